package rules

import (
	"slices"
	"time"

	"flowbridge/router"
)

// window is an entry of `windows`: some hours of some days of the week or of the year, by the clock on the wall of a
// place.
type window struct {
	name  string
	days  [7]bool // by time.Weekday
	dates []dates // nil for every day of the year
	hours []hours // nil for the whole day
	zone  *time.Location
}

// dates are days of the year, from one to another and both of them, in the order of days.
type dates struct{ from, to int } // as dayOf has them

// dayOf numbers the days, so that a later one has the larger number.
func dayOf(t time.Time) int { return (t.Year()*100+int(t.Month()))*100 + t.Day() }

// has says whether a day is one of those that the window is about.
func (w *window) has(day time.Time) bool {
	at := dayOf(day)
	return w.days[day.Weekday()] &&
		(w.dates == nil || slices.ContainsFunc(w.dates, func(d dates) bool { return d.from <= at && at <= d.to }))
}

// hours are a part of the day, from one minute to before another. Those that end no later than they begin go on after
// midnight and belong to the day on which they begin.
type hours struct{ from, to int } // minutes since midnight; to is at most that of 24:00

func (h hours) overnight() bool { return h.to <= h.from }

// holds says whether a time lies in the window. Where clocks are set forward or back the clock on the wall counts.
func (w *window) holds(at time.Time) bool {
	local := at.In(w.zone)
	today := w.has(local)
	if w.hours == nil {
		return today
	}
	minute := local.Hour()*60 + local.Minute()
	for _, h := range w.hours {
		switch {
		case !h.overnight():
			if today && h.from <= minute && minute < h.to {
				return true
			}
		case minute >= h.from && today, minute < h.to &&
			w.has(time.Date(local.Year(), local.Month(), local.Day()-1, 12, 0, 0, 0, w.zone)):
			return true
		}
	}
	return false
}

// timed says whether the time of an event decides about the rule.
func (m *match) timed() bool { return m.during != nil || m.except != nil }

// holdsTime says whether an event lies in some window of `during` and in none of `except`. An event without a time is
// the opening of an incident that nobody knows, at a time that nobody knows: it may have been in any window.
func (m *match) holdsTime(ev *router.Event) bool {
	if !m.timed() || ev.At.IsZero() {
		return true
	}
	in := func(w *window) bool { return w.holds(ev.At) }
	return (m.during == nil || slices.ContainsFunc(m.during, in)) && !slices.ContainsFunc(m.except, in)
}

// perhaps says that a rule which holds for an event would not hold at every time, and the time is not known.
func (m *match) perhaps(ev *router.Event) bool { return m.timed() && ev.At.IsZero() }
