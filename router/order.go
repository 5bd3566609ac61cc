package router

import (
	"cmp"
	"fmt"
	"time"
)

const (
	// oldest is how old a change may be when it arrives and still open something. Meta repeats what was not taken for
	// seven days; what is older is a mistake, or somebody who plays old posts again.
	oldest = 8 * 24 * time.Hour
	// holdGrace is how long a recovery that arrives late is held back at least, from its arrival, if its rule holds
	// recoveries back: what came back in between may arrive after it.
	holdGrace = 5 * time.Minute
)

// inTime returns e as it is folded: never later than it was received, whatever the clock of who sent it. What is dated
// in the future would make the true recovery look late.
func inTime(e *Event) *Event {
	if e.Received.IsZero() || !e.At.After(e.Received) {
		return e
	}
	dated := *e
	dated.At = e.Received
	return &dated
}

// earlier returns the first of two times.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// later returns the last of two times.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// tooOld says whether an event of Meta's was so old when it arrived that it opens nothing.
func tooOld(e *Event) bool {
	return e.Source == SourceMeta && !e.At.IsZero() && e.Received.Sub(e.At) > oldest
}

// heard is when the event reached us, or the time to which timers have run where only time passes.
func (f *fold) heard() time.Time {
	if f.e.Received.IsZero() {
		return f.passed
	}
	return f.e.Received
}

// holdUntil returns until when a recovery is held back: for the time that the rule says, from when it happened. One
// that arrives late is held back for a grace from its arrival.
func (f *fold) holdUntil(hold time.Duration) time.Time {
	return later(f.passed.Add(hold), f.heard().Add(min(hold, holdGrace)))
}

// lateFor returns the number of the incident that the event came too late for: that of its alert, or else the newest
// one of its signal.
func (f *fold) lateFor(a *Alert) (number int64) {
	for i := range f.state.Incidents { // one that was going on when it happened, if that is known
		inc := &f.state.Incidents[i]
		over := inc.State == IncidentResolved && inc.ResolvedAt.Before(f.e.At)
		if inc.Event == f.e.SignalKey() && !inc.OpenedAt.After(f.e.At) && !over {
			number = inc.Number
		}
	}
	if number = cmp.Or(number, a.Incident); number != 0 {
		return number
	}
	for i := range f.state.Alerts {
		if other := &f.state.Alerts[i]; other.Event == f.e.SignalKey() {
			number = max(number, other.Incident)
		}
	}
	return number
}

// late notes an event that is older than what its alert already knows.
func (f *fold) late(incident int64) {
	f.say("late: older than what is known")
	if inc := f.incident(incident); inc != nil {
		inc.Events++
		said := SignalName(f.e.SignalKey()) + " " + cmp.Or(f.e.AlertState, f.e.NewStatus) + f.at()
		if signalOf(f.e.SignalKey()).Moves() {
			said = f.recovery()
		}
		f.entry(inc, EntryLate, "Arrived late and changed nothing: "+said)
		f.dirty = append(f.dirty, inc.Number)
	}
}

// lateAct notes an act that is older than the newest of its kind, or than all that it could be about.
func (f *fold) lateAct(inc *Incident) {
	f.say("late: %s knows of something newer", inc.Name())
	f.entry(inc, EntryLate, fmt.Sprintf("Arrived late and changed nothing: %s by %s",
		SignalName(f.e.SignalKey()), f.who()))
	f.dirty = append(f.dirty, inc.Number)
}
