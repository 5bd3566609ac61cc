package rules

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"flowbridge/router/rules/yamldoc"
)

// Report is when the week is reported, by the file.
type Report struct {
	Weekly bool // else never
	Day    time.Weekday
	At     time.Duration  // after midnight
	Zone   *time.Location // whose midnight, and whose nights
}

// Report returns what the file says of reports.
func (r *Rules) Report() Report { return r.report }

// Slot returns the newest time of a report that is not after now; zero if there are none.
func (p Report) Slot(now time.Time) time.Time {
	if !p.Weekly {
		return time.Time{}
	}
	local := now.In(p.Zone)
	for back := range 8 {
		day := local.AddDate(0, 0, -back)
		slot := time.Date(day.Year(), day.Month(), day.Day(), 0, int(p.At/time.Minute), 0, 0, p.Zone)
		if slot.Weekday() == p.Day && !slot.After(now) {
			return slot
		}
	}
	return time.Time{}
}

var weekly = regexp.MustCompile(whole(weeklyForm))

// longDays are the days of the week as reports have them, by time.Weekday.
func longDays() (days []string) {
	for day := time.Sunday; day <= time.Saturday; day++ {
		days = append(days, strings.ToLower(day.String()))
	}
	return days
}

func (l *loader) report(e entry) {
	const example = `write report: {every: "monday 09:00", to: NAME}`
	if n := yamldoc.Follow(e.Value); n.Kind != yaml.MappingNode {
		l.Wrong(n, e.Path, "must be a map, not "+yamldoc.Describe(n), example)
		return
	}
	o, ok := l.object(e.Value, e.Path, &reportKeys)
	if !ok {
		return
	}
	for _, key := range []string{"every", "to"} {
		if !o.has(key) {
			l.Absent(o.node, yamldoc.Join(o.path, key), "is missing", example)
		}
	}
	p := Report{Zone: time.UTC}
	if e, ok := o.at["every"]; ok {
		if s, ok := l.Scalar(e.Value, e.Path); ok {
			p.Weekly = weekly.MatchString(s.Text)
			if !p.Weekly {
				l.Wrong(s.Node, s.Path, s.Written()+" is no time of the week", `write the day in full and the time: "monday 09:00"`)
			} else {
				day, at, _ := strings.Cut(s.Text, " ")
				p.Day = time.Weekday(slices.Index(longDays(), day))
				clock, _ := time.Parse("15:04", at) // as the form has it
				p.At = time.Duration(clock.Hour())*time.Hour + time.Duration(clock.Minute())*time.Minute
			}
		}
	}
	if e, ok := o.at["time_zone"]; ok {
		p.Zone = l.zone(e)
	}
	if e, ok := o.at["to"]; ok {
		if s, ok := l.Scalar(e.Value, e.Path); ok {
			if target, ok := l.notifier(s); ok {
				l.rules.reported = &rule{notify: []route{{target: target}}}
				l.rules.reported.settle()
			}
		}
	}
	l.rules.report = p
}
