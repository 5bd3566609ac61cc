package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

func TestAHistoryHoldsWhatWasFoldedAndTold(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) { holdsHistory(t, filepath.Join(t.TempDir(), "past.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { holdsHistory(t, storetest.Shared(t).Database(t)) })
}

func holdsHistory(t *testing.T, path string) {
	ctx := context.Background()
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	s, err := store.Open(ctx, store.Config{DSN: path, Now: func() time.Time { return now }})
	check(t, err)
	defer s.Close()
	odd := event("odd")
	odd.Unreadable = "no JSON"
	appendAll(t, s, event("a"), odd, event("b"), event("c"), event("waits"))
	inc := incident(1)
	inc.OpenedAt = now
	check(t, s.Commit(ctx, router.Batch{
		Outcomes:  []router.Outcome{{Seq: 1, Text: "opened"}, {Seq: 3, Text: "notice"}, {Seq: 4, Text: "nothing"}},
		Incidents: []router.Incident{inc},
		Entries:   []router.Entry{{Incident: 1, N: 1, At: now, Recorded: now, Kind: router.EntryOpened, Event: 1}},
		Notices:   []router.Notice{{Event: 3, Name: "NEWS", Rule: "news"}},
		Owed: []router.Owed{owed(1, "told", "k"), owed(1, "waits", "k"),
			{Notice: 3, Key: "n", Target: router.Target{Notifier: "told", Kind: router.KindSlack}}},
	}))
	for range 2 {
		n := claim(t, s, "told", now)
		check(t, s.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: n.Revision,
			State: router.DeliveryDelivered, Receipt: router.Receipt{Own: made("ts", "1")}}))
	}

	h, err := store.OpenHistory(ctx, path)
	check(t, err)
	defer h.Close()
	bounds, err := h.Bounds(ctx)
	check(t, err)
	diff(t, [2]int64{bounds.First, bounds.Last}, [2]int64{1, 4}) // without the one that waits
	var seqs []int64
	for after := int64(0); ; {
		events, err := h.Events(ctx, after, bounds.Last, 2)
		check(t, err)
		if len(events) == 0 {
			break
		}
		for _, e := range events {
			seqs = append(seqs, e.Seq)
		}
		after = seqs[len(seqs)-1]
	}
	diff(t, seqs, []int64{1, 3, 4}) // without the unreadable one

	incidents, err := h.Incidents(ctx, 0, 10)
	check(t, err)
	if len(incidents) != 1 || incidents[0].OpenedBy != 1 || len(incidents[0].Deliveries) != 2 ||
		!incidents[0].Deliveries[0].Told || incidents[0].Deliveries[1].Told {
		t.Errorf("got %+v", incidents)
	}
	notices, err := h.Notices(ctx, 0, bounds.Last)
	check(t, err)
	if len(notices) != 1 || notices[0].Rule != "news" || !notices[0].Told || notices[0].Event != 3 {
		t.Errorf("got %+v", notices)
	}
	key, err := h.IncidentKey(ctx, 1)
	check(t, err)
	diff(t, key, inc.Key)
	if _, err := h.IncidentKey(ctx, 2); !errors.Is(err, router.ErrNotFound) {
		t.Errorf("got %v, want router.ErrNotFound", err)
	}
}

func TestAHistoryNoticesThatABridgeBeganToWrite(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "past.db")
	open := func() *store.Store {
		s, err := store.Open(ctx, store.Config{DSN: path})
		check(t, err)
		return s
	}
	s := open()
	appendAll(t, s, event("a"))
	check(t, s.Close())
	h, err := store.OpenHistory(ctx, path)
	check(t, err)
	defer h.Close()
	if _, err := h.Events(ctx, 0, 9, 10); err != nil {
		t.Fatal(err)
	}
	s = open()
	defer s.Close()
	appendAll(t, s, event("b"))
	if _, err := h.Events(ctx, 0, 9, 10); err == nil || !strings.Contains(err.Error(), "start again") {
		t.Errorf("got %v, want to be told to start again", err)
	}
}

func TestOpenHistorySaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	check(t, os.WriteFile(text, []byte(strings.Repeat("no database ", 100)), 0o600))
	for _, c := range []struct{ dsn, want string }{
		{"", "no path given"},
		{dir, "is a folder"},
		{filepath.Join(dir, "none.db"), "no such file"},
		{text, "is no SQLite database"},
	} {
		if h, err := store.OpenHistory(context.Background(), c.dsn); err == nil || !strings.Contains(err.Error(), c.want) {
			if h != nil {
				h.Close()
			}
			t.Errorf("%s: got %v, want %q", c.dsn, err, c.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "none.db")); err == nil {
		t.Error("it made the file")
	}
}
