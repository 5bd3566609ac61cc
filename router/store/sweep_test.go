package store_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
)

const day = 24 * time.Hour

// sweeping is the part of the suite about housekeeping. Time moves by clock.
func sweeping(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx := context.Background()

	t.Run("what is old goes, and what is needed stays", func(t *testing.T) {
		clock := noon
		s := open(t, store.Config{Now: func() time.Time { return clock }})
		// Events 1 to 5 are old, 6 is young; 5 waits still.
		for n := range 6 {
			e := event(fmt.Sprint("e", n+1))
			if n == 5 {
				e.Received = noon.Add(400 * day)
			}
			appendAll(t, s.Store, e)
		}
		number := func(n int64, state router.IncidentState, resolved time.Time) router.Incident {
			inc := incident(n)
			inc.State, inc.ResolvedAt = state, resolved
			return inc
		}
		alert := func(incident int64, level router.Level, active bool, by int64) router.FlowAlert {
			return router.FlowAlert{FlowID: router.FlowID{WABA: "w", Flow: "f"},
				Alert: router.Alert{Event: "E", Level: level, Active: active, OpenedBy: by, Incident: incident}}
		}
		check(t, s.Commit(ctx, router.Batch{
			Outcomes: []router.Outcome{{Seq: 1}, {Seq: 2}, {Seq: 3}, {Seq: 4}, {Seq: 6}},
			Incidents: []router.Incident{
				number(1, router.IncidentResolved, noon),              // over, long ago
				number(2, router.IncidentOpen, time.Time{}),           // open all the while
				number(3, router.IncidentResolved, noon),              // resolved by hand while Meta reports it
				number(4, router.IncidentResolved, noon),              // over, and still to be told
				number(5, router.IncidentResolved, noon.Add(300*day)), // over, not long ago
				number(6, router.IncidentResolved, noon),              // the highest
			},
			Alerts: []router.FlowAlert{alert(1, "1", false, 1), alert(2, "2", true, 2), alert(3, "3", true, 3),
				alert(4, "4", false, 1)},
			Entries: []router.Entry{{Incident: 1, N: 1, Event: 1}, {Incident: 2, N: 1, Event: 2}, {Incident: 3, N: 1, Event: 3},
				{Incident: 5, N: 1, Event: 4}},
			Owed: []router.Owed{owed(1, "told", "k1"), owed(2, "told", "k2"), owed(4, "waiting", "k4"),
				{Notice: 1, Key: "n", Target: router.Target{Notifier: "told"}},
				{Notice: 2, Key: "m", Target: router.Target{Notifier: "waiting"}}},
			Notices: []router.Notice{{Event: 1}, {Event: 2}, {Event: 3}},
			Silences: []router.Silence{{ID: "ended", Since: noon, Ended: noon}, {ID: "timed", Since: noon, Until: noon.Add(day)},
				{ID: "holds", Since: noon}},
		}))
		for range 3 {
			n := claim(t, s.Store, "told", noon)
			check(t, s.Finish(ctx, result(n, router.DeliveryDelivered)))
		}
		clock = noon.Add(400 * day)
		check(t, s.Commit(ctx, router.Batch{Notices: []router.Notice{{Event: 6}}}))

		swept, err := s.Sweep(ctx, clock, 0, 0)
		check(t, err)
		diff(t, swept, store.Swept{}) // zero keeps for ever
		swept, err = s.Sweep(ctx, clock, 90*day, 365*day)
		check(t, err)
		diff(t, swept, store.Swept{Events: 2, Incidents: 1, Notices: 2, Silences: 2})

		events, err := s.Events(ctx, "", 0)
		check(t, err)
		var seqs []int64
		for _, e := range events {
			seqs = append(seqs, e.Seq)
		}
		diff(t, seqs, []int64{6, 5, 3, 2})
		incidents, err := s.Incidents(ctx, router.IncidentFilter{})
		check(t, err)
		var kept []int64
		for _, inc := range incidents {
			kept = append(kept, inc.Number)
		}
		diff(t, kept, []int64{6, 5, 4, 3, 2})
		states, err := s.States(ctx, []router.FlowID{{WABA: "w", Flow: "f"}}, nil)
		check(t, err)
		var levels []router.Level
		for _, a := range states[router.FlowID{WABA: "w", Flow: "f"}].Alerts {
			levels = append(levels, a.Level)
		}
		diff(t, levels, []router.Level{"2", "3", "4"})
		for range 2 { // an incident and a notice, whole
			claim(t, s.Store, "waiting", clock)
		}
		if last, err := s.LastIncident(ctx); last != 6 || err != nil {
			t.Errorf("last incident: %d, %v", last, err)
		}
		swept, err = s.Sweep(ctx, clock, 90*day, 365*day)
		check(t, err)
		diff(t, swept, store.Swept{}) // and again there is nothing
	})

	t.Run("an event that Meta may repeat is kept however short the time", func(t *testing.T) {
		s := open(t, store.Config{})
		e := event("young")
		e.Unreadable, e.Received = "no JSON", noon.Add(-7*day)
		appendAll(t, s.Store, e)
		swept, err := s.Sweep(ctx, noon, time.Hour, time.Hour)
		check(t, err)
		diff(t, swept, store.Swept{Reduced: 1})
		if n, err := s.Append(ctx, []router.Event{e}); n != 0 || err != nil {
			t.Errorf("its repeat: stored %d, %v", n, err)
		}
		swept, err = s.Sweep(ctx, noon.Add(2*day), time.Hour, time.Hour)
		check(t, err)
		diff(t, swept, store.Swept{Events: 1})
	})

	t.Run("much is removed in many steps while events are stored", func(t *testing.T) {
		s := open(t, store.Config{})
		const many = 2300
		var events []router.Event
		var b router.Batch
		for n := range many {
			e := event(fmt.Sprint("e", n))
			e.Unreadable = "no JSON"
			events = append(events, e)
		}
		for n := range int64(many) { // one incident with a timeline of many, the others with none
			b.Entries = append(b.Entries, router.Entry{Incident: 1, N: n + 1})
		}
		for n := range int64(40) {
			inc := incident(n + 1)
			inc.State, inc.ResolvedAt = router.IncidentResolved, noon
			if n == 0 {
				inc.Entries = many
			}
			b.Incidents = append(b.Incidents, inc)
			b.Owed = append(b.Owed, owed(n+1, "x", fmt.Sprint(n)))
			b.Alerts = append(b.Alerts, router.FlowAlert{FlowID: router.FlowID{WABA: "w", Flow: fmt.Sprint(n)},
				Alert: router.Alert{Incident: n + 1}})
		}
		for chunk := range slices.Chunk(events, 500) {
			appendAll(t, s.Store, chunk...)
		}
		check(t, s.Commit(ctx, b))
		for n, err := try(s.Store, "x", noon); n != nil; n, err = try(s.Store, "x", noon) {
			check(t, err)
			check(t, s.Finish(ctx, result(n, router.DeliveryDelivered)))
		}
		stop := make(chan struct{})
		var work sync.WaitGroup
		work.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				e := event(fmt.Sprint("during", n))
				e.Received = noon.Add(400 * day)
				if _, err := s.Append(ctx, []router.Event{e}); err != nil {
					t.Error(err)
				}
			}
		})
		swept, err := s.Sweep(ctx, noon.Add(400*day), 90*day, 365*day)
		close(stop)
		work.Wait()
		check(t, err)
		diff(t, swept, store.Swept{Events: many, Incidents: 39})
		stats, err := s.Deliveries(ctx, "", 0)
		check(t, err)
		if len(stats) != 1 {
			t.Errorf("%d deliveries are left, want that of the highest incident", len(stats))
		}
	})

	t.Run("one sweep follows the other at once", func(t *testing.T) {
		s := open(t, store.Config{})
		for n := range 100 {
			e := event(fmt.Sprint(n))
			e.Unreadable = "no JSON"
			appendAll(t, s.Store, e)
			swept, err := s.Sweep(ctx, noon.Add(400*day), 90*day, 365*day)
			check(t, err)
			diff(t, swept.Events, int64(1))
		}
	})

	t.Run("a sweep that is cut short leaves the rest for the next", func(t *testing.T) {
		s := open(t, store.Config{})
		for n := range 3 {
			e := event(fmt.Sprint(n))
			e.Unreadable = "no JSON"
			appendAll(t, s.Store, e)
		}
		cut, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := s.Sweep(cut, noon.Add(400*day), 90*day, 365*day); err == nil {
			t.Error("it says that all was done")
		}
		swept, err := s.Sweep(ctx, noon.Add(400*day), 90*day, 365*day)
		check(t, err)
		diff(t, swept.Events, int64(3))
	})
}

// result is how an attempt at n ended.
func result(n *router.Notification, state router.DeliveryState) router.Result {
	return router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: n.Revision, State: state}
}
