package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"flowbridge/router"
	"flowbridge/router/store"
)

// journalSuite is what happens to events until they are folded.
func journalSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx := context.Background()
	t.Run("events come back in journal order until they are folded", func(t *testing.T) {
		s := open(t, store.Config{})
		want := []router.Event{event("a"), event("b"), event("c")}
		appendAll(t, s.Store, want...)
		got, err := s.Waiting(ctx, 2)
		check(t, err)
		want[0].Seq, want[1].Seq = 1, 2
		diff(t, got, want[:2])
		check(t, s.Commit(ctx, router.Batch{Outcomes: []router.Outcome{{Seq: 1, Text: "opened INC-1"}}}))
		got, err = s.Waiting(ctx, 10)
		check(t, err)
		if len(got) != 2 || got[0].Digest != "b" {
			t.Errorf("after folding the first: got %v", got)
		}
		events, err := s.Events(ctx, router.EventFolded, 0)
		check(t, err)
		if len(events) != 1 || events[0].Outcome != "opened INC-1" {
			t.Errorf("folded events: got %+v", events)
		}
	})

	t.Run("a repeat by digest is dropped, within a call and between calls", func(t *testing.T) {
		s := open(t, store.Config{})
		if n, err := s.Append(ctx, []router.Event{event("a"), event("a"), event("b")}); n != 2 || err != nil {
			t.Errorf("first call: stored %d, %v", n, err)
		}
		if n, err := s.Append(ctx, []router.Event{event("b"), event("c")}); n != 1 || err != nil {
			t.Errorf("second call: stored %d, %v", n, err)
		}
	})

	t.Run("each of the callers that share a commit is told of its own repeats", func(t *testing.T) {
		s := open(t, store.Config{})
		const callers = 200
		var known []router.Event
		for i := 0; i < callers; i += 7 {
			known = append(known, event(fmt.Sprint("shared", i)))
		}
		appendAll(t, s.Store, known...)
		var work sync.WaitGroup
		for i := range callers {
			work.Go(func() {
				of := []router.Event{event(fmt.Sprint("shared", i)), event(fmt.Sprint("own", i)), event(fmt.Sprint("own", i))}
				want := 2
				if i%7 == 0 {
					want = 1
				}
				if n, err := s.Append(ctx, of); n != want || err != nil {
					t.Errorf("caller %d: stored %d, %v, want %d", i, n, err, want)
				}
			})
		}
		work.Wait()
	})

	t.Run("what is unreadable is kept and waits for nobody", func(t *testing.T) {
		s := open(t, store.Config{})
		e := event("x")
		e.Unreadable, e.Raw = "no JSON", []byte("\xff\x00 no json")
		appendAll(t, s.Store, e)
		if waiting, err := s.Waiting(ctx, 10); len(waiting) != 0 || err != nil {
			t.Errorf("waiting: %v, %v", waiting, err)
		}
		kept, err := s.Events(ctx, router.EventUnreadable, 0)
		check(t, err)
		if len(kept) != 1 || string(kept[0].Raw) != "\xff\x00 no json" {
			t.Errorf("kept: %+v", kept)
		}
	})

	t.Run("a call that cannot be stored does not fail its neighbours", func(t *testing.T) {
		s := open(t, store.Config{})
		if _, err := s.Append(ctx, []router.Event{{Name: "NO_DIGEST"}}); err == nil {
			t.Error("an event without a digest was stored")
		}
		appendAll(t, s.Store, event("a"))
	})

	t.Run("text that no database likes is stored, folded and found again", func(t *testing.T) {
		s := open(t, store.Config{})
		flow := router.FlowID{WABA: "w\x00", Flow: "f\xff\u00e9'?$1"}
		e := event("a\x00\xff")
		e.WABA, e.Flow, e.Value = flow.WABA, flow.Flow, []byte("{\"x\":\"\xc3\x28\"}")
		appendAll(t, s.Store, e)
		if n, err := s.Append(ctx, []router.Event{e}); n != 0 || err != nil {
			t.Errorf("its repeat: stored %d, %v", n, err)
		}
		inc := incident(1)
		inc.WABA, inc.Flow, inc.AcknowledgedBy = flow.WABA, flow.Flow, "o'\x00"
		check(t, s.Commit(ctx, router.Batch{Outcomes: []router.Outcome{{Seq: 1, Text: "\x00"}},
			Incidents: []router.Incident{inc},
			Alerts: []router.FlowAlert{{FlowID: flow, Alert: router.Alert{Event: "E", Level: "5", Active: true,
				Incident: 1}}}}))
		states, err := s.States(ctx, []router.FlowID{flow, {WABA: "w", Flow: "f"}, {WABA: "w", Flow: "g"}}, nil)
		check(t, err)
		if got := states[flow]; len(got.Alerts) != 1 || len(got.Incidents) != 1 {
			t.Errorf("found: %+v", got)
		}
	})

	t.Run("many callers share commits and all get theirs stored", func(t *testing.T) {
		s := open(t, store.Config{})
		var work sync.WaitGroup
		for i := range 200 {
			work.Go(func() {
				if n, err := s.Append(ctx, []router.Event{event(fmt.Sprint("d", i))}); n != 1 || err != nil {
					t.Errorf("stored %d, %v", n, err)
				}
			})
		}
		work.Wait()
		got, err := s.Waiting(ctx, 1000)
		check(t, err)
		if len(got) != 200 {
			t.Errorf("got %d events", len(got))
		}
	})

	t.Run("a full queue refuses at once, and one large post passes", func(t *testing.T) {
		s := open(t, store.Config{QueueEvents: 2})
		appendAll(t, s.Store, event("a"), event("b"), event("c"))
		var work sync.WaitGroup
		busy := make(chan error, 400)
		for i := range 400 {
			work.Go(func() {
				_, err := s.Append(ctx, []router.Event{event(fmt.Sprint("e", i))})
				busy <- err
			})
		}
		work.Wait()
		close(busy)
		stored := 3
		for err := range busy {
			if err == nil {
				stored++
			} else if !errors.Is(err, router.ErrBusy) {
				t.Errorf("got %v, want ErrBusy", err)
			}
		}
		if got, _ := s.Waiting(ctx, 1000); len(got) != stored {
			t.Errorf("%d calls were answered with success, %d events are stored", stored, len(got))
		}
	})

	t.Run("after close nothing is accepted, and what was accepted is there", func(t *testing.T) {
		s := open(t, store.Config{})
		appendAll(t, s.Store, event("a"))
		check(t, s.Close())
		if _, err := s.Append(ctx, []router.Event{event("b")}); !errors.Is(err, router.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
		if got, err := s.reopen().Waiting(ctx, 10); len(got) != 1 || err != nil {
			t.Errorf("after reopening: %v, %v", got, err)
		}
	})
}
