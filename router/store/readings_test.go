package store_test

import (
	"fmt"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

// sweptAt sweeps with the usual settings.
func sweptAt(t *testing.T, s *store.Store, now time.Time) store.Swept {
	t.Helper()
	swept, err := s.Sweep(t.Context(), now, 90*day, 365*day)
	check(t, err)
	return swept
}

func numbered(many int) (events []router.Event) {
	for n := range many {
		events = append(events, event(fmt.Sprint("e", n)))
	}
	return events
}

// TestRefreshesOfAnOpenIncidentAreBounded refreshes an alert every minute for ten days, and lets a year pass.
func TestRefreshesOfAnOpenIncidentAreBounded(t *testing.T) {
	t.Parallel()
	storetest.Long(t)
	onEach(t, func(t *testing.T, open func(store.Config) *store.Store, _ func(string, ...any), _ string) {
		clock := noon
		now := func() time.Time { return clock }
		ctx, s := t.Context(), open(store.Config{Now: now})
		r := folding(t, s, telling{"chat"}, now)
		const minutes = 10 * 24 * 60
		for begun := 0; begun < minutes; begun += 720 {
			var events []router.Event
			for n := begun; n < begun+720; n++ {
				e, value := event(fmt.Sprint("e", n)), float64(n)
				e.Received, e.At, e.Reading.Value = noon.Add(time.Duration(n)*time.Minute), noon.Add(time.Duration(n)*time.Minute),
					&value
				events = append(events, e)
			}
			clock = events[len(events)-1].At
			appendAll(t, s, events...)
			foldUntilDone(t, s, r)
		}
		d, err := s.Incident(ctx, 1)
		check(t, err)
		if len(d.Timeline) != 1 || d.Entries != 1 || d.Events != minutes || d.Revision != minutes {
			t.Errorf("%d entries (%d), %d events, revision %d", len(d.Timeline), d.Entries, d.Events, d.Revision)
		}
		flow := router.FlowID{WABA: "w", Flow: "f"}
		readings, err := s.Readings(ctx, flow, router.EndpointErrorRate, time.Time{})
		check(t, err)
		if want := 6*12 + 10*24 - 6; len(readings) != want {
			t.Errorf("%d readings, want %d", len(readings), want)
		}
		last := readings[len(readings)-1]
		if *last.Value != minutes-1 || !last.At.Equal(clock) || last.Level != "10" || last.FlowID != flow || last.P50 != nil {
			t.Errorf("the last is %+v", last)
		}
		some, err := s.Readings(ctx, flow, router.EndpointErrorRate, clock.Add(-5*time.Hour))
		check(t, err)
		if len(some) != 6 { // five whole hours, and the one that has begun
			t.Errorf("%d readings of the last five hours", len(some))
		}

		clock = noon.Add(95 * day) // of its ten days, five are as old as readings are kept
		diff(t, sweptAt(t, s, clock), store.Swept{Events: 5*24*60 - 1, Readings: 6*12 + 5*24 - 6})
		clock = noon.Add(365 * day)
		diff(t, sweptAt(t, s, clock), store.Swept{Events: 5 * 24 * 60, Readings: 5 * 24})
		events, err := s.Events(ctx, "", 0)
		check(t, err)
		if len(events) != 1 || events[0].Seq != 1 {
			t.Errorf("left: %d events; the one that opened the incident is needed", len(events))
		}
	})
}

func TestAReadingIsReplacedByANewerOneOfItsSlot(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open func(store.Config) *store.Store, _ func(string, ...any), _ string) {
		s := open(store.Config{})
		flow := router.FlowID{WABA: "w", Flow: "f"}
		reading := func(minute int, value float64) router.AlertReading {
			return router.AlertReading{FlowID: flow, Event: "E", Level: "5", Slot: noon,
				At:      noon.Add(time.Duration(minute) * time.Minute),
				Reading: router.Reading{Value: &value, Requests: &value}}
		}
		for _, r := range []router.AlertReading{reading(1, 10), reading(3, 30), reading(2, 20)} {
			check(t, s.Commit(t.Context(), router.Batch{Readings: []router.AlertReading{r}}))
		}
		got, err := s.Readings(t.Context(), flow, "E", noon)
		check(t, err)
		diff(t, got, []router.AlertReading{reading(3, 30)})
	})
}

func TestWhatAnOlderFlowbridgeWroteOfRefreshesIsRemoved(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open func(store.Config) *store.Store, _ func(string, ...any), _ string) {
		const many = 1200
		ctx, s := t.Context(), open(store.Config{})
		inc := incident(1)
		inc.Entries = many
		b := router.Batch{Incidents: []router.Incident{inc}}
		appendAll(t, s, numbered(many)...)
		for n := range int64(many) {
			kind := router.EntryRefreshed
			if n == 0 {
				kind = router.EntryOpened
			}
			b.Outcomes = append(b.Outcomes, router.Outcome{Seq: n + 1})
			b.Entries = append(b.Entries, router.Entry{Incident: 1, N: n + 1, Kind: kind, Event: n + 1})
		}
		check(t, s.Commit(ctx, b))
		swept, err := s.Sweep(ctx, noon.Add(100*day), 0, 0)
		check(t, err)
		diff(t, swept, store.Swept{Refreshed: many - 1})
		diff(t, sweptAt(t, s, noon.Add(100*day)), store.Swept{Events: many - 1})
		d, err := s.Incident(ctx, 1)
		check(t, err)
		if len(d.Timeline) != 1 || d.Timeline[0].Kind != router.EntryOpened {
			t.Errorf("timeline: %+v", d.Timeline)
		}
	})
}

// TestWhatASweepLeavesIsNotReadAgain holds the cost of a sweep: what is old and needed is looked at once a day, so that
// it goes up to a day later than what needed it.
func TestWhatASweepLeavesIsNotReadAgain(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open func(store.Config) *store.Store, _ func(string, ...any), _ string) {
		ctx, s := t.Context(), open(store.Config{})
		b := router.Batch{Incidents: []router.Incident{incident(1), incident(2)}}
		appendAll(t, s, numbered(700)...)
		for n := range int64(700) {
			b.Outcomes = append(b.Outcomes, router.Outcome{Seq: n + 1})
			b.Entries = append(b.Entries, router.Entry{Incident: 1, N: n + 1, Kind: router.EntryEased, Event: n + 1})
		}
		check(t, s.Commit(ctx, b))
		begun := noon.Add(100 * day)
		diff(t, sweptAt(t, s, begun), store.Swept{})

		over := incident(1)
		over.State, over.ResolvedAt = router.IncidentResolved, begun
		appendAll(t, s, event("later"))
		check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{over}, Outcomes: []router.Outcome{{Seq: 701}}}))
		diff(t, sweptAt(t, s, begun.Add(time.Hour)), store.Swept{Events: 1}) // the one that came since
		diff(t, sweptAt(t, s, begun.Add(25*time.Hour)), store.Swept{Events: 700})
	})
}
