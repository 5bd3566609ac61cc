package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

// TestProcessesShareTheNotifiersOut holds who is told of what is due where several processes deliver: each notifier has
// one owner, nothing is left out, and where the owner does not get on the others help.
func TestProcessesShareTheNotifiersOut(t *testing.T) {
	t.Parallel()
	server, ctx := storetest.Shared(t), context.Background()
	const notifiers = 40
	owing := func(t *testing.T) (dsn string, a, b *store.Store) {
		t.Helper()
		dsn = migrated(t, server)
		a, b = slowPeer(t, dsn), slowPeer(t, dsn)
		var batch router.Batch
		for i := range notifiers {
			number := int64(i + 1)
			batch.Incidents = append(batch.Incidents, incident(number))
			batch.Owed = append(batch.Owed, owed(number, fmt.Sprintf("n%02d", i), fmt.Sprintf("k%d", i)))
		}
		waiting(t, a)
		check(t, a.Commit(ctx, batch))
		return dsn, a, b
	}
	due := func(t *testing.T, s *store.Store) []string {
		t.Helper()
		names, _, err := s.Due(ctx, noon)
		check(t, err)
		return names
	}
	// shared waits until a and b have heard of each other and own all notifiers between them.
	shared := func(t *testing.T, a, b *store.Store) (ofA, ofB []string) {
		t.Helper()
		eventually(t, "each notifier has one owner", func() bool {
			ofA, ofB = due(t, a), due(t, b)
			return len(ofA)+len(ofB) == notifiers && len(ofA) > 0 && len(ofB) > 0 // else one has not heard of the other
		})
		for _, name := range ofA {
			if slices.Contains(ofB, name) {
				t.Errorf("both own %s", name)
			}
		}
		return ofA, ofB
	}

	t.Run("one process owns all", func(t *testing.T) {
		t.Parallel()
		_, a, _ := owing(t)
		if got := len(due(t, a)); got != notifiers {
			t.Errorf("%d are due, want %d", got, notifiers)
		}
	})

	t.Run("two share them, and one that leaves gives up its own at once", func(t *testing.T) {
		t.Parallel()
		_, a, b := owing(t)
		shared(t, a, b)
		a.StopDelivering()
		eventually(t, "the other owns all", func() bool { return len(due(t, b)) == notifiers })
	})

	t.Run("what a process owned that says no more is owned by the other once its lease is over", func(t *testing.T) {
		t.Parallel()
		dsn, a, b := owing(t)
		shared(t, a, b)
		server.Exec(t, dsn, `UPDATE processes SET until = 0`) // as if nobody had renewed: the living do so soon
		eventually(t, "each notifier has one owner again", func() bool {
			return len(due(t, a))+len(due(t, b)) == notifiers
		})
	})

	t.Run("others help where an attempt failed", func(t *testing.T) {
		t.Parallel()
		_, a, b := owing(t)
		ofA, _ := shared(t, a, b)
		n := claim(t, a, ofA[0], noon)
		check(t, a.Finish(ctx, failed(n, noon, noon.Add(time.Second))))
		eventually(t, "the other is told of it", func() bool { return slices.Contains(due(t, b), ofA[0]) })
		if slices.Contains(due(t, b), ofA[1]) {
			t.Errorf("it is told of %s too, where nothing failed", ofA[1])
		}
	})

	t.Run("others help where nothing is tried", func(t *testing.T) {
		t.Parallel()
		_, a, b := owing(t)
		ofA, _ := shared(t, a, b)
		late := noon.Add(time.Minute) // two looks later
		for range 2 {
			late = late.Add(time.Minute)
			names, _, err := b.Due(ctx, late)
			check(t, err)
			if slices.Contains(names, ofA[0]) {
				return
			}
		}
		t.Errorf("%s waits, its owner does nothing, and nobody helps", ofA[0])
	})
}

// slowPeer is a process with the usual leases, which a slow machine renews in time.
func slowPeer(t *testing.T, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), store.Config{DSN: dsn,
		StartWait: storetest.Patience, Now: func() time.Time { return noon }})
	check(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}
