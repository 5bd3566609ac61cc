package store_test

import (
	"context"
	"errors"
	"testing"

	"flowbridge/router"
	"flowbridge/router/store"
)

// adminSuite is what the admin API asks of every database, beyond what others do.
func adminSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx := context.Background()

	t.Run("an event is found by its position", func(t *testing.T) {
		s := open(t, store.Config{})
		want := event("b")
		appendAll(t, s.Store, event("a"), want)
		check(t, s.Commit(ctx, router.Batch{Outcomes: []router.Outcome{{Seq: 2, Text: "opened INC-1"}}}))
		want.Seq = 2
		got, err := s.Event(ctx, 2)
		check(t, err)
		diff(t, got, router.JournalEvent{Event: want, State: router.EventFolded, Outcome: "opened INC-1"})
		if _, err := s.Event(ctx, 3); !errors.Is(err, router.ErrNotFound) {
			t.Errorf("an event that is not there: got %v", err)
		}
	})

	t.Run("what opened an alert and what ended it are found from each other", func(t *testing.T) {
		s := open(t, store.Config{})
		alert := func(level router.Level, opened, closed int64) router.FlowAlert {
			return router.FlowAlert{FlowID: router.FlowID{WABA: "w", Flow: "f"}, Alert: router.Alert{Event: "E", Level: level, OpenedBy: opened, ClosedBy: closed}}
		}
		check(t, s.Commit(ctx, router.Batch{Alerts: []router.FlowAlert{
			alert("5", 1, 4), alert("10", 2, 4), alert("50", 3, 0), alert("70", 7, 9), alert("90", 0, 4)}}))
		for _, tt := range []struct {
			first, last int64
			want        map[int64][]int64
		}{
			{1, 4, map[int64][]int64{1: {4}, 2: {4}, 4: {1, 2}}},
			{4, 4, map[int64][]int64{4: {1, 2}}},
			{2, 3, map[int64][]int64{2: {4}}},
			{8, 20, map[int64][]int64{9: {7}}},
			{5, 6, map[int64][]int64{}},
		} {
			got, err := s.Pairs(ctx, tt.first, tt.last)
			check(t, err)
			diff(t, got, tt.want)
		}
	})
}
