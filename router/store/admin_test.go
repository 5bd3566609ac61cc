package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
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

	t.Run("how far the fold has come with an event is known by its digest", func(t *testing.T) {
		s := open(t, store.Config{})
		appendAll(t, s.Store, event("a"), event("b"))
		progress := func(digest string) router.EventProgress {
			t.Helper()
			p, err := s.EventProgress(ctx, digest)
			check(t, err)
			return p
		}
		diff(t, progress("b"), router.EventProgress{})
		check(t, s.Commit(ctx, router.Batch{Outcomes: []router.Outcome{{Seq: 2, Text: "opened INC-1"}}}))
		diff(t, progress("b"), router.EventProgress{Folded: true, Outcome: "opened INC-1"})
		diff(t, progress("a"), router.EventProgress{})
		if _, err := s.EventProgress(ctx, "c"); !errors.Is(err, router.ErrNotFound) {
			t.Errorf("an event that is not there: got %v", err)
		}
		inc := router.Incident{Number: 1, Key: "k", WABA: "w", Flow: "f", State: router.IncidentOpen,
			OpenedAt: time.Unix(1772438400, 0).UTC()}
		check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{inc}, Wake: true}))
		diff(t, progress("b"), router.EventProgress{Folded: true, Outcome: "opened INC-1", Due: true})
		check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{inc}}))
		diff(t, progress("b"), router.EventProgress{Folded: true, Outcome: "opened INC-1"})
	})

	t.Run("what opened an alert and what ended it are found from each other", func(t *testing.T) {
		s := open(t, store.Config{})
		alert := func(level router.Level, opened, closed int64) router.FlowAlert {
			return router.FlowAlert{FlowID: router.FlowID{WABA: "w", Flow: "f"}, Alert: router.Alert{Event: "E", Level: level,
				OpenedBy: opened, ClosedBy: closed}}
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

// inspectSuite looks at databases that are in use, that are new, and that are not there.
func inspectSuite(t *testing.T, fresh func(*testing.T) string) {
	ctx := context.Background()

	t.Run("a database that a bridge uses is inspected without being touched", func(t *testing.T) {
		dsn := fresh(t)
		s, err := store.Open(ctx, store.Config{DSN: dsn, StartWait: storetest.Patience})
		check(t, err)
		defer s.Close()
		appendAll(t, s, event("a"))
		found, err := store.Inspect(ctx, dsn)
		check(t, err)
		if !found.Exists || found.Schema == 0 || found.Schema != found.Newest {
			t.Errorf("got %+v", found)
		}
		if waiting, err := s.Waiting(ctx, 10); len(waiting) != 1 || err != nil {
			t.Errorf("afterwards %d events wait, %v", len(waiting), err)
		}
	})

	t.Run("a database without tables gets none by being inspected", func(t *testing.T) {
		dsn := fresh(t)
		for range 2 {
			found, err := store.Inspect(ctx, dsn)
			check(t, err)
			if found.Schema != 0 || found.Newest == 0 {
				t.Errorf("got %+v", found)
			}
		}
	})
}

func TestInspectSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"":                         "no path given",
		t.TempDir():                "it is a folder: name a file in it",
		"postgres://ada:hunter2@[": "the URL cannot be read",
		"postgres://ada:hunter2@127.0.0.1:1/db?sslmode=disable": "is PostgreSQL running there",
	} {
		_, err := store.Inspect(context.Background(), dsn)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %q", dsn, err, want)
		}
	}
}
