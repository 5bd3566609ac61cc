package main

import (
	"slices"
	"time"

	"flowbridge/router"
)

// The ladder of a signal, told from the journal alone: what Meta reports, whatever the bridge makes of it.

// inOrder returns what is in the journal as it happened. Meta's clock is never believed to be ahead; arrival breaks
// ties.
func inOrder(journal []router.Event) []router.Event {
	events := slices.Clone(journal)
	for i := range events {
		if e := &events[i]; e.At.After(e.Received) {
			e.At = e.Received
		}
	}
	slices.SortStableFunc(events, func(a, b router.Event) int { return a.At.Compare(b.At) })
	return events
}

func keyOfEvent(e *router.Event) string { return router.GroupBySignal.Key(e) }

func level(e *router.Event) string { return string(e.Level()) }

// reported returns the levels that are active, by the key of their incident.
func (w *world) reported() map[string][]string {
	active, _ := ladders(w.journal, time.Time{})
	return active
}

// newestRaise returns when a level last became active, by the key of its incident.
func (w *world) newestRaise() map[string]time.Time {
	_, raised := ladders(w.journal, time.Time{})
	return raised
}

// wasOpen says whether a recovery ended something that was known when it arrived.
func (w *world) wasOpen(recovery *router.Event) bool {
	i := slices.IndexFunc(w.journal, func(e router.Event) bool { return e.Digest == recovery.Digest })
	active, _ := ladders(w.journal[:i], recovery.At)
	return slices.Contains(active[keyOfEvent(recovery)], level(recovery))
}

// ladders climbs every ladder of a journal, until a time where there is one.
func ladders(journal []router.Event, until time.Time) (active map[string][]string, raised map[string]time.Time) {
	active, raised = map[string][]string{}, map[string]time.Time{}
	for _, e := range inOrder(journal) {
		if !until.IsZero() && !e.At.Before(until) {
			break
		}
		key, l := keyOfEvent(&e), level(&e)
		tooOld := e.Received.Sub(e.At) > stale
		rise := func() {
			if !tooOld && !slices.Contains(active[key], l) {
				active[key], raised[key] = append(active[key], l), e.At
			}
		}
		fall := func(reached func(string) bool) { active[key] = slices.DeleteFunc(active[key], reached) }
		switch {
		case e.AlertState == router.Activated:
			rise()
		case e.AlertState == router.Deactivated:
			fall(func(other string) bool { return severityOf(other) >= severityOf(l) })
		case e.Name != router.FlowStatusChange:
		case e.NewStatus == router.Blocked:
			rise()
		case e.NewStatus == router.Throttled:
			fall(func(other string) bool { return other == router.Blocked })
			rise()
		default:
			active[key] = nil
		}
	}
	return active, raised
}

// severityOf is how bad a level is: those of the simulation are of one signal each.
func severityOf(level string) router.Severity {
	switch level {
	case "5":
		return router.Warning
	case "10", router.Throttled:
		return router.Error
	}
	return router.Critical
}

// standing writes what should stand.
func (w *world) standing() map[string]router.Severity {
	out := map[string]router.Severity{}
	for key, levels := range w.reported() {
		for _, l := range levels {
			out[key] = max(out[key], severityOf(l))
		}
	}
	return out
}
