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
	"flowbridge/router/rules/yamldoc"
)

// windows reads the named times of `during` and `except`.
func (l *loader) windows(e entry) {
	entries, ok := l.Mapping(e.Value, e.Path)
	if !ok {
		return
	}
	for _, n := range entries {
		if !l.name("window", n.Key, n) {
			continue
		}
		w := &window{name: n.Key, days: [7]bool{true, true, true, true, true, true, true}, zone: time.UTC}
		l.rules.windows[n.Key] = w // known by name even with mistakes in it
		o, ok := l.object(n.Value, n.Path, &windowKeys)
		if !ok {
			continue
		}
		if e, ok := o.at["days"]; ok {
			w.days = l.days(e)
		}
		if e, ok := o.at["dates"]; ok {
			w.dates = l.dates(e)
		}
		if e, ok := o.at["hours"]; ok {
			w.hours = l.hours(e)
		}
		if e, ok := o.at["time_zone"]; ok {
			w.zone = l.zone(e)
		}
		if len(yamldoc.Follow(n.Value).Content) == 0 {
			l.Absent(n.At, n.Path, "is empty", "say which days, dates or hours it means")
		}
	}
}

// weekdays are the days as they are written, by time.Weekday.
func weekdays() []string { return []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} }

// days reads days of the week and spans of them: mon-fri, or fri-mon over the week's end.
func (l *loader) days(e entry) (days [7]bool) {
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		first, last, span := strings.Cut(s.Text, "-")
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
		problem := "there is no day " + s.Written()
		if word != s.Text && !s.Guarded() {
			problem = "there is no day " + yamldoc.Quote(word)
		}
		l.Wrong(s.Node, s.Path, problem,
			cmp.Or(nearestDay(word), `write mon, tue, wed, thu, fri, sat, sun, or a span such as mon-fri`))
	}
	return i, i >= 0
}

func nearestDay(word string) string {
	long := make([]string, 7)
	for i := range long {
		long[i] = strings.ToLower(time.Weekday(i).String())
	}
	for i, short := range weekdays() {
		if strings.EqualFold(word, short) || len(word) > 3 && yamldoc.Nearest(word, long) == long[i] {
			return fmt.Sprintf("did you mean %s?", yamldoc.Quote(short))
		}
	}
	return ""
}

const datesHint = `write "2026-12-24", or "2026-12-24..2026-12-26"`

// dates reads days of the year and spans of them.
func (l *loader) dates(e entry) (all []dates) {
	scalars, _ := l.Scalars(e.Value, e.Path)
	for _, s := range scalars {
		first, last, span := strings.Cut(s.Text, "..")
		from, err := time.Parse(time.DateOnly, strings.TrimSpace(first))
		to, err2 := from, error(nil)
		if span {
			to, err2 = time.Parse(time.DateOnly, strings.TrimSpace(last))
		}
		switch {
		case err != nil || err2 != nil:
			l.Wrong(s.Node, s.Path, s.Written()+" is no date", datesHint)
			continue
		case to.Before(from):
			l.Wrong(s.Node, s.Path, s.Written()+" ends before it begins", "write the earlier date first")
			continue
		}
		all = append(all, dates{dayOf(from), dayOf(to)})
	}
	if all == nil {
		all = []dates{}
	}
	return all
}

var hoursPattern = regexp.MustCompile(whole(hoursForm))

const hoursHint = `write 24-hour times: "09:00-18:00", or "22:00-06:00" over midnight`

// hours reads parts of the day.
func (l *loader) hours(e entry) (all []hours) {
	scalars, _ := l.Scalars(e.Value, e.Path)
	for _, s := range scalars {
		m := hoursPattern.FindStringSubmatch(s.Text) // whole, hour, minute, end, hour, minute
		if m == nil {
			l.Wrong(s.Node, s.Path, s.Written()+" are no hours", hoursHint)
			continue
		}
		h := hours{minutes(m[2], m[3]), 24 * 60}
		if m[5] != "" {
			h.to = minutes(m[5], m[6])
		}
		if h.from == h.to {
			l.Wrong(s.Node, s.Path, s.Written()+" ends when it begins", "leave hours out for the whole day")
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
	s, ok := l.Scalar(e.Value, e.Path)
	if !ok {
		return time.UTC
	}
	zone, err := time.LoadLocation(s.Text)
	if err != nil || s.Text == "Local" { // what is local differs from machine to machine
		hint := "write its name as in Europe/Berlin, or UTC"
		if near := nearestZone(s.Text); near != "" && !s.Guarded() {
			hint = fmt.Sprintf("did you mean %s?", yamldoc.Quote(near))
		}
		l.Wrong(s.Node, s.Path, "there is no time zone "+s.Written(), hint)
		return time.UTC
	}
	return zone
}

// windowNames reads names of windows.
func (l *loader) windowNames(e entry) (windows []*window) {
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		if l.find("window", s, "name it under windows") {
			windows = append(windows, l.rules.windows[s.Text])
		}
	}
	return windows
}

// maxWait bounds every time that a rules file can ask to wait.
const maxWait = 7 * 24 * time.Hour

const maxWaitHint = "7d at most"

var waitLoose = regexp.MustCompile(`(?i)^([0-9]+) *(s|sec|secs|seconds?|m|min|mins|minutes?|h|hrs?|hours?|d|days?|)$`)

const waitHint = "write 30s, 5m, 2h, 1h30m or 1d"

// wait reads how long to wait.
func (l *loader) wait(e entry) time.Duration {
	s, ok := l.Scalar(e.Value, e.Path)
	if !ok {
		return 0
	}
	d, ok := router.ParseDuration(s.Text)
	if !ok {
		problem, hint := s.Written()+" is no length of time", waitHint
		if m := waitLoose.FindStringSubmatch(s.Text); m != nil && !s.Guarded() {
			meant := m[1] + (strings.ToLower(m[2]) + "m")[:1]
			hint = fmt.Sprintf("did you mean %s?", yamldoc.Quote(meant))
			if _, ok := router.ParseDuration(meant); !ok { // it has more digits than any time of ours
				problem, hint = s.Written()+" is too long", maxWaitHint
			}
		} else if _, positive := router.ParseDuration(strings.TrimPrefix(s.Text, "-")); positive {
			problem, hint = "nobody can wait for "+s.Written(), "a length of time is not negative"
		}
		l.Wrong(s.Node, s.Path, problem, hint)
		return 0
	}
	if d > maxWait {
		l.Wrong(s.Node, s.Path, s.Written()+" is too long", maxWaitHint)
		return 0
	}
	return d
}

// shortest is how long an acknowledgement lasts at least, and what is said again and again rests: who is on their way
// to a keyboard is not paged anew.
const shortest = 5 * time.Minute

// lasting reads a length of time that is not too short for people; 0s is none.
func (l *loader) lasting(e entry) time.Duration {
	d := l.wait(e)
	if d > 0 && d < shortest {
		l.Wrong(yamldoc.Follow(e.Value), e.Path, yamldoc.Quote(yamldoc.Follow(e.Value).Value)+" is too short", "5m at least")
		return 0
	}
	return d
}
