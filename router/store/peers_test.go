package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

// TestPeers holds how several processes share one PostgreSQL database: each store here stands for a process.
func TestPeers(t *testing.T) {
	t.Parallel()
	server := storetest.Shared(t)
	ctx := context.Background()
	pair := func(t *testing.T) (a, b *store.Store) {
		t.Helper()
		dsn := migrated(t, server)
		return peer(t, dsn), peer(t, dsn)
	}

	t.Run("one folds at a time, and the next one when it leaves", func(t *testing.T) {
		t.Parallel()
		a, b := pair(t)
		appendAll(t, b, event("x"))
		if got := waiting(t, a); len(got) != 1 {
			t.Fatalf("the first to ask is to fold %d events, want 1", len(got))
		}
		if got := waiting(t, b); len(got) != 0 {
			t.Errorf("the second is to fold %d events as well", len(got))
		}
		if !a.Folds() || b.Folds() {
			t.Errorf("the first says it folds: %v, the second: %v", a.Folds(), b.Folds())
		}
		if flows, _, err := b.Timers(ctx, noon, 10); len(flows) != 0 || err != nil {
			t.Errorf("the second has timers: %v, %v", flows, err)
		}
		if err := b.Commit(ctx, router.Batch{Outcomes: []router.Outcome{{Seq: 1}}}); !errors.Is(err, router.ErrConflict) {
			t.Errorf("the second commits: %v, want ErrConflict", err)
		}
		drain(b.Appended())
		check(t, a.Close())
		heard(t, b.Appended())
		if got := waiting(t, b); len(got) != 1 {
			t.Errorf("after the first has left: %d events, want 1", len(got))
		}
		check(t, b.Commit(ctx, router.Batch{Outcomes: []router.Outcome{{Seq: 1}}}))
	})

	t.Run("who stops folding leaves it to the next one, and goes on with the rest", func(t *testing.T) {
		t.Parallel()
		a, b := pair(t)
		appendAll(t, b, event("x"))
		if got := waiting(t, a); len(got) != 1 {
			t.Fatalf("%d events to fold", len(got))
		}
		drain(b.Appended())
		a.StopFolding()
		heard(t, b.Appended())
		if got := waiting(t, b); len(got) != 1 {
			t.Errorf("the next one is to fold %d events, want 1", len(got))
		}
		check(t, b.Commit(ctx, router.Batch{Incidents: []router.Incident{incident(1)},
			Owed: []router.Owed{owed(1, "chat", "k")}, Outcomes: []router.Outcome{{Seq: 1}}}))
		n := claim(t, a, "chat", noon)
		check(t, a.Finish(ctx, result(n, router.DeliveryDelivered)))

		b.StopFolding() // nobody folds, and yet what a had read before is worth nothing
		if err := a.Commit(ctx, router.Batch{Outcomes: []router.Outcome{{Seq: 1}}}); !errors.Is(err, router.ErrConflict) {
			t.Errorf("it commits what it read before another one folded: %v, want ErrConflict", err)
		}
		if got := waiting(t, a); len(got) != 0 || !a.Folds() {
			t.Errorf("and then it is to fold %d events; it folds: %t", len(got), a.Folds())
		}
	})

	t.Run("who has lost the right to fold cannot commit, and folds anew when it has it again", func(t *testing.T) {
		t.Parallel()
		dsn := migrated(t, server)
		a, b := peer(t, dsn), peer(t, dsn)
		appendAll(t, a, event("x"))
		if got := waiting(t, a); len(got) != 1 {
			t.Fatalf("%d events to fold", len(got))
		}
		server.Exec(t, dsn, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		eventually(t, "the other folds", func() bool { return len(waiting(t, b)) == 1 })
		if err := a.Commit(ctx, router.Batch{Incidents: []router.Incident{incident(1)},
			Outcomes: []router.Outcome{{Seq: 1, Text: "stale"}}}); err == nil {
			t.Error("what was folded under a session that is over was committed")
		}
		if err := a.Commit(ctx, router.Batch{Incidents: []router.Incident{incident(1)}}); !errors.Is(err,
			router.ErrConflict) {
			t.Errorf("and again: %v, want ErrConflict", err)
		}
		check(t, b.Commit(ctx, router.Batch{Outcomes: []router.Outcome{{Seq: 1, Text: "folded once"}}}))
		appendAll(t, a, event("y"))
		check(t, b.Close())
		eventually(t, "the first folds again", func() bool { return len(waiting(t, a)) == 1 })
		check(t, a.Commit(ctx, router.Batch{Outcomes: []router.Outcome{{Seq: 2}}}))
		events, err := a.Events(ctx, router.EventFolded, 0)
		check(t, err)
		if len(events) != 2 || events[1].Outcome != "folded once" {
			t.Errorf("folded: %+v", events)
		}
	})

	t.Run("one wakes the other", func(t *testing.T) {
		t.Parallel()
		a, b := pair(t)
		waiting(t, a) // it folds
		drain(a.Appended())
		appendAll(t, b, event("x"))
		heard(t, a.Appended())
		drain(b.Owed())
		check(t, a.Commit(ctx, router.Batch{Incidents: []router.Incident{incident(1)},
			Owed: []router.Owed{owed(1, "chat", "k")}}))
		heard(t, b.Owed())
	})

	t.Run("what a process hands back when it leaves is offered to the other", func(t *testing.T) {
		t.Parallel()
		a, b := pair(t)
		posts := 0
		eventually(t, "the other listens", func() bool {
			posts++
			appendAll(t, a, event(fmt.Sprint("e", posts)))
			select {
			case <-b.Appended():
				return true
			default:
				return false
			}
		})
		check(t, a.Commit(ctx, router.Batch{Incidents: []router.Incident{incident(1)},
			Owed: []router.Owed{owed(1, "chat", "k")}}))
		heard(t, b.Owed())
		n := claim(t, a, "chat", noon)
		check(t, a.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: 1, State: router.DeliveryWaiting,
			Interrupted: true, Error: "cut", NextAt: noon}))
		check(t, a.Close())
		heard(t, b.Owed())
		claim(t, b, "chat", noon)
	})

	t.Run("no delivery is claimed by two", func(t *testing.T) {
		t.Parallel()
		a, b := pair(t)
		var batch router.Batch
		for n := range int64(60) {
			batch.Incidents = append(batch.Incidents, incident(n+1))
			batch.Owed = append(batch.Owed, owed(n+1, "page", fmt.Sprint("key", n)))
		}
		check(t, a.Commit(ctx, batch))
		var mu sync.Mutex
		var claimed []int64
		var work sync.WaitGroup
		for i := range 6 {
			s := []*store.Store{a, b}[i%2]
			work.Go(func() {
				for {
					n, err := try(s, "page", noon)
					if n == nil || err != nil {
						if err != nil {
							t.Error(err)
						}
						return
					}
					mu.Lock()
					claimed = append(claimed, n.Delivery)
					mu.Unlock()
				}
			})
		}
		work.Wait()
		slices.Sort(claimed)
		if once := slices.Compact(slices.Clone(claimed)); len(once) != len(claimed) || len(claimed) != 60 {
			t.Errorf("%d claims of %d deliveries, want 60 of 60", len(claimed), len(once))
		}
	})

	t.Run("what one spends of a budget the other has not", func(t *testing.T) {
		t.Parallel()
		a, b := pair(t)
		var batch router.Batch
		for n := range int64(20) {
			batch.Incidents = append(batch.Incidents, incident(n+1))
			batch.Owed = append(batch.Owed, owed(n+1, "page", fmt.Sprint("key", n)))
		}
		check(t, a.Commit(ctx, batch))
		ask := router.Ask{Notifier: "page", Now: noon, Lease: time.Minute,
			Charges: func(*router.Notification) []router.Charge {
				return []router.Charge{{Budget: "shared", Calls: 1, Every: time.Second, Burst: 7}}
			}}
		var mu sync.Mutex
		var work sync.WaitGroup
		claimed := 0
		for _, s := range []*store.Store{a, b, a, b} {
			work.Go(func() {
				for {
					n, _, err := s.Claim(ctx, ask)
					if n == nil || err != nil {
						if err != nil {
							t.Error(err)
						}
						return
					}
					mu.Lock()
					claimed++
					mu.Unlock()
				}
			})
		}
		work.Wait()
		if claimed != 7 {
			t.Errorf("%d were claimed, and the budget has room for 7", claimed)
		}
	})

	t.Run("repeats that reach two at once, in another order, are stored once", func(t *testing.T) {
		t.Parallel()
		a, b := pair(t)
		var there, back []router.Event
		for n := range 300 {
			there = append(there, event(fmt.Sprint("d", n)))
		}
		back = slices.Clone(there)
		slices.Reverse(back)
		var work sync.WaitGroup
		var stored [2]int
		for i, events := range [][]router.Event{there, back} {
			s := []*store.Store{a, b}[i]
			work.Go(func() {
				var err error
				if stored[i], err = s.Append(ctx, events); err != nil {
					t.Error(err)
				}
			})
		}
		work.Wait()
		if stored[0]+stored[1] != 300 {
			t.Errorf("stored %d and %d, want 300 in all", stored[0], stored[1])
		}
	})

	t.Run("several start on an empty database at once", func(t *testing.T) {
		t.Parallel()
		dsn := server.Database(t)
		var work sync.WaitGroup
		for range 3 {
			work.Go(func() {
				s, err := store.Open(ctx, store.Config{DSN: dsn, StartWait: storetest.Patience})
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		work.Wait()
	})
}

// TestAProcessThatIsCutOffGivesUpTheFold pulls the cable of the process that folds: it learns of it by its own
// time-outs, the other by the server's.
func TestAProcessThatIsCutOffGivesUpTheFold(t *testing.T) {
	t.Parallel()
	server := storetest.Shared(t)
	ctx := context.Background()
	dsn, link := migrated(t, server), server.Link(t)
	a := openPeer(t, store.Config{DSN: link.DSN(dsn), Timeout: 4 * time.Second, DeadAfter: time.Second})
	b := peer(t, dsn)
	appendAll(t, a, event("x"))
	if got := waiting(t, a); len(got) != 1 {
		t.Fatalf("%d events to fold", len(got))
	}
	link.Cut()
	if _, err := a.Append(ctx, []router.Event{event("y")}); err == nil {
		t.Error("stored without a database")
	}
	if err := a.Ping(ctx); err == nil {
		t.Error("Ping finds a database where there is none")
	}
	eventually(t, "the other folds", func() bool { return len(waiting(t, b)) == 1 })
	check(t, b.Commit(ctx, router.Batch{Outcomes: []router.Outcome{{Seq: 1}}}))
	link.Mend()
	eventually(t, "the database is found again", func() bool { return a.Ping(ctx) == nil })
	if err := a.Commit(ctx, router.Batch{Outcomes: []router.Outcome{{Seq: 1, Text: "twice"}}}); err == nil {
		t.Error("what was folded before the cut was committed after it")
	}
	eventually(t, "events are stored again",
		func() bool { _, err := a.Append(ctx, []router.Event{event("z")}); return err == nil })
	eventually(t, "the other is woken", func() bool { return len(waiting(t, b)) > 0 })
}

// TestLosingTheDatabase stops the server as a power cut would and starts it again.
func TestLosingTheDatabase(t *testing.T) {
	t.Parallel()
	server := storetest.Start(t, "fsync=on")
	ctx := context.Background()
	s := peer(t, server.Database(t))
	appendAll(t, s, event("x"))
	if got := waiting(t, s); len(got) != 1 {
		t.Fatalf("%d events to fold", len(got))
	}
	server.Stop()
	for _, digest := range []string{"y", "z"} {
		if _, err := s.Append(ctx, []router.Event{event(digest)}); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("stored without a database, or waited for a time-out: %v", err)
		}
	}
	if err := s.Ping(ctx); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Ping finds a database where there is none, or waited for a time-out: %v", err)
	}
	check(t, server.Run())
	eventually(t, "the database is found again", func() bool { return s.Ping(ctx) == nil })
	if got := waitingAgain(t, s); len(got) != 1 || got[0].Digest != "x" {
		t.Errorf("what was accepted: %v", got)
	}
	appendAll(t, s, event("w"))
	check(t, s.Commit(ctx, router.Batch{Outcomes: []router.Outcome{{Seq: 1}}}))
}

// peer opens the store of a process that nobody takes for dead, however long it gets no processor.
func peer(t *testing.T, dsn string) *store.Store {
	t.Helper()
	return openPeer(t, store.Config{DSN: dsn, Timeout: time.Minute, DeadAfter: time.Hour})
}

func openPeer(t *testing.T, cfg store.Config) *store.Store {
	t.Helper()
	cfg.StartWait, cfg.Now = storetest.Patience, func() time.Time { return noon }
	s, err := store.Open(context.Background(), cfg)
	check(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func waiting(t *testing.T, s *store.Store) []router.Event {
	t.Helper()
	got, err := s.Waiting(context.Background(), 100)
	check(t, err)
	return got
}

// waitingAgain forgives errors for a while, as the router does.
func waitingAgain(t *testing.T, s *store.Store) (got []router.Event) {
	t.Helper()
	eventually(t, "the journal is read again", func() (ok bool) {
		var err error
		got, err = s.Waiting(context.Background(), 100)
		return err == nil && len(got) > 0
	})
	return got
}

func heard(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(2 * time.Minute):
		t.Error("nobody called")
	}
}

func drain(c <-chan struct{}) {
	for {
		select {
		case <-c:
		case <-time.After(50 * time.Millisecond):
			return
		}
	}
}

// eventually waits until something is true, looking again and again.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(2 * time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-timeout:
			t.Fatalf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
}
