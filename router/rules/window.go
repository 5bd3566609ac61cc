package rules

import (
	"slices"
	"time"

	"flowbridge/router"
)

// window is an entry of `windows`: some hours of some days of the week, by the clock on the wall of a place.
type window struct {
	name  string
	days  [7]bool // by time.Weekday
	hours []hours // nil for the whole day
	zone  *time.Location
}

// hours are a part of the day, from one minute to before another. Those that end no later than they begin go on after
// midnight and belong to the day on which they begin.
type hours struct{ from, to int } // minutes since midnight; to is at most that of 24:00

func (h hours) overnight() bool { return h.to <= h.from }

// holds says whether a time lies in the window. Where clocks are set forward or back the clock on the wall counts.
func (w *window) holds(at time.Time) bool {
	local := at.In(w.zone)
	today := local.Weekday()
	if w.hours == nil {
		return w.days[today]
	}
	minute := local.Hour()*60 + local.Minute()
	for _, h := range w.hours {
		switch {
		case !h.overnight():
			if w.days[today] && h.from <= minute && minute < h.to {
				return true
			}
		case minute >= h.from && w.days[today], minute < h.to && w.days[(today+6)%7]:
			return true
		}
	}
	return false
}

// timed says whether the time of an event decides about the rule.
func (m *match) timed() bool { return m.during != nil || m.except != nil }

// holdsTime says whether an event lies in some window of `during` and in none of `except`. An event without a time is the
// opening of an incident that nobody knows, at a time that nobody knows: it may have been in any window.
func (m *match) holdsTime(ev *router.Event) bool {
	if !m.timed() || ev.At.IsZero() {
		return true
	}
	in := func(w *window) bool { return w.holds(ev.At) }
	return (m.during == nil || slices.ContainsFunc(m.during, in)) && !slices.ContainsFunc(m.except, in)
}

// perhaps says that a rule which holds for an event would not hold at every time, and the time is not known.
func (m *match) perhaps(ev *router.Event) bool { return m.timed() && ev.At.IsZero() }
