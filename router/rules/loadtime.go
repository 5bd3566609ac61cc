package rules

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a container may have no time zones of its own

	"flowbridge/router"
)

// windows reads the named times of `during` and `except`.
func (l *loader) windows(e entry) {
	entries, ok := l.mapping(e.value, e.path)
	if !ok {
		return
	}
	for _, n := range entries {
		if !l.name("window", n.key, n) {
			continue
		}
		w := &window{name: n.key, days: [7]bool{true, true, true, true, true, true, true}, zone: time.UTC}
		l.rules.windows[n.key] = w // known by name even with mistakes in it
		o, ok := l.object(n.value, n.path, &windowKeys)
		if !ok {
			continue
		}
		if e, ok := o.at["days"]; ok {
			w.days = l.days(e)
		}
		if e, ok := o.at["hours"]; ok {
			w.hours = l.hours(e)
		}
		if e, ok := o.at["time_zone"]; ok {
			w.zone = l.zone(e)
		}
		if len(follow(n.value).Content) == 0 {
			l.absent(n.at, n.path, "is empty", "say which days or hours it means")
		}
	}
}

// weekdays are the days as they are written, by time.Weekday.
func weekdays() []string { return []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} }

// days reads days of the week and spans of them: mon-fri, or fri-mon over the week's end.
func (l *loader) days(e entry) (days [7]bool) {
	all, _ := l.scalars(e.value, e.path)
	for _, s := range all {
		first, last, span := strings.Cut(s.text, "-")
		from, ok := l.day(s, first)
		to := from
		if span && ok {
			to, ok = l.day(s, last)
		}
		if !ok {
			continue
		}
		for d := from; ; d = (d + 1) % 7 {
			days[d] = true
			if d == to {
				break
			}
		}
	}
	return days
}

func (l *loader) day(s scalar, word string) (int, bool) {
	word = strings.TrimSpace(word)
	i := slices.Index(weekdays(), word)
	if i < 0 {
		problem := "there is no day " + s.written()
		if word != s.text && !s.guarded() {
			problem = "there is no day " + quote(word)
		}
		l.wrong(s.Node, s.path, problem, cmp.Or(nearestDay(word), `write mon, tue, wed, thu, fri, sat, sun, or a span such as mon-fri`))
	}
	return i, i >= 0
}

func nearestDay(word string) string {
	long := make([]string, 7)
	for i := range long {
		long[i] = strings.ToLower(time.Weekday(i).String())
	}
	for i, short := range weekdays() {
		if strings.EqualFold(word, short) || len(word) > 3 && Nearest(word, long) == long[i] {
			return fmt.Sprintf("did you mean %s?", quote(short))
		}
	}
	return ""
}

var hoursPattern = regexp.MustCompile(whole(hoursForm))

const hoursHint = `write 24-hour times: "09:00-18:00", or "22:00-06:00" over midnight`

// hours reads parts of the day.
func (l *loader) hours(e entry) (all []hours) {
	scalars, _ := l.scalars(e.value, e.path)
	for _, s := range scalars {
		m := hoursPattern.FindStringSubmatch(s.text) // whole, hour, minute, end, hour, minute
		if m == nil {
			l.wrong(s.Node, s.path, s.written()+" are no hours", hoursHint)
			continue
		}
		h := hours{minutes(m[2], m[3]), 24 * 60}
		if m[5] != "" {
			h.to = minutes(m[5], m[6])
		}
		if h.from == h.to {
			l.wrong(s.Node, s.path, s.written()+" ends when it begins", "leave hours out for the whole day")
		}
		all = append(all, h)
	}
	return all
}

func minutes(hour, minute string) int {
	h, _ := strconv.Atoi(hour) // the form has only digits
	m, _ := strconv.Atoi(minute)
	return h*60 + m
}

// zone reads a time zone by its name in the time zone database.
func (l *loader) zone(e entry) *time.Location {
	s, ok := l.scalar(e.value, e.path)
	if !ok {
		return time.UTC
	}
	zone, err := time.LoadLocation(s.text)
	if err != nil || s.text == "Local" { // what is local differs from machine to machine
		hint := "write its name as in Europe/Berlin, or UTC"
		if near := nearestZone(s.text); near != "" && !s.guarded() {
			hint = fmt.Sprintf("did you mean %s?", quote(near))
		}
		l.wrong(s.Node, s.path, "there is no time zone "+s.written(), hint)
		return time.UTC
	}
	return zone
}

// windowNames reads names of windows.
func (l *loader) windowNames(e entry) (windows []*window) {
	all, _ := l.scalars(e.value, e.path)
	for _, s := range all {
		if l.find("window", s, "name it under windows") {
			windows = append(windows, l.rules.windows[s.text])
		}
	}
	return windows
}

// maxWait bounds every time that a rules file can ask to wait.
const maxWait = 7 * 24 * time.Hour

var waitLoose = regexp.MustCompile(`(?i)^([0-9]+) *(s|sec|secs|seconds?|m|min|mins|minutes?|h|hrs?|hours?|d|days?|)$`)

const waitHint = "write 30s, 5m, 2h, 1h30m or 1d"

// wait reads how long to wait.
func (l *loader) wait(e entry) time.Duration {
	s, ok := l.scalar(e.value, e.path)
	if !ok {
		return 0
	}
	d, ok := router.ParseDuration(s.text)
	if !ok {
		problem, hint := s.written()+" is no length of time", waitHint
		if m := waitLoose.FindStringSubmatch(s.text); m != nil && !s.guarded() {
			unit := strings.ToLower(m[2])
			hint = fmt.Sprintf("did you mean %s?", quote(m[1]+(unit + "m")[:1]))
		} else if _, positive := router.ParseDuration(strings.TrimPrefix(s.text, "-")); positive {
			problem, hint = "nobody can wait for "+s.written(), "a length of time is not negative"
		}
		l.wrong(s.Node, s.path, problem, hint)
		return 0
	}
	if d > maxWait {
		l.wrong(s.Node, s.path, s.written()+" is too long", "7d at most")
		return 0
	}
	return d
}
