package store_test

import (
	"context"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
)

// TestProgress holds what counts as something to be done: the oldest event that waits, and deliveries that nothing
// holds back.
func TestProgress(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		now := time.Now()
		is := func(what string, want router.Progress) {
			t.Helper()
			got, err := s.Progress(ctx, now)
			check(t, err)
			t.Log(what)
			diff(t, got, want)
		}
		lanes := func(chat, page int64) map[string]int64 { return map[string]int64{"chat": chat, "page": page} }
		is("an event waits, and two notifiers are owed something", router.Progress{Folds: true, Head: 1, Lanes: lanes(0, 0)})
		appendAll(t, s, event("b"))
		check(t, s.Commit(ctx, router.Batch{Outcomes: []router.Outcome{{Seq: 1}}}))
		is("the next event waits", router.Progress{Folds: true, Head: 2, Lanes: lanes(0, 0)})
		check(t, s.Commit(ctx, router.Batch{Outcomes: []router.Outcome{{Seq: 2}}}))
		n := claim(t, s, "page", now)
		is("an attempt is under way", router.Progress{Folds: true, Lanes: lanes(0, 1)})

		later := result(n, router.DeliveryWaiting)
		later.NextAt = now.Add(time.Minute)
		check(t, s.Finish(ctx, later))
		is("a back-off", router.Progress{Folds: true, Lanes: map[string]int64{"chat": 0}})
		now = now.Add(2 * time.Minute)
		is("it is over", router.Progress{Folds: true, Lanes: lanes(0, 1)})

		busy := result(claim(t, s, "chat", now), router.DeliveryWaiting)
		busy.Interrupted, busy.NextAt = true, now.Add(time.Minute)
		check(t, s.Finish(ctx, busy))
		is("a service that named a time, or a budget that is used up",
			router.Progress{Folds: true, Lanes: map[string]int64{"page": 1}})

		for i := range int64(router.LaneDown) {
			check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{incident(2 + i)},
				Owed: []router.Owed{page(2+i, router.IncidentName(2+i))}}))
		}
		for range router.LaneDown {
			failing := result(claim(t, s, "page", now), router.DeliveryWaiting)
			failing.NextAt, failing.Rest = now.Add(time.Second), now.Add(time.Minute)
			check(t, s.Finish(ctx, failing))
		}
		now = now.Add(2 * time.Second)
		if got, err := s.Progress(ctx, now); err != nil || len(got.Lanes) > 1 || got.Lanes["page"] != 0 {
			t.Errorf("with an open circuit breaker: %v, %v", got.Lanes, err)
		}
	})
}
