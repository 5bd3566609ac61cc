package store_test

import (
	"context"
	"errors"
	"testing"

	"flowbridge/router"
	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

func markSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx := context.Background()
	s := open(t, store.Config{})
	is := func(s *store.Store, want *router.Mark) {
		t.Helper()
		got, err := s.FoldMark(ctx)
		check(t, err)
		diff(t, got, want)
	}
	is(s.Store, nil)
	for _, m := range []*router.Mark{{}, {Alone: "event 7", Times: 2}, {Alone: `timers of flow "1"`, Times: 1}} {
		check(t, s.SetFoldMark(ctx, m))
		is(s.Store, m)
	}
	check(t, s.Close())
	s2 := s.reopen()
	is(s2, &router.Mark{Alone: `timers of flow "1"`, Times: 1})
	check(t, s2.SetFoldMark(ctx, nil))
	is(s2, nil)
}

// TestOnlyWhoFoldsLeavesAMark has two processes on one database.
func TestOnlyWhoFoldsLeavesAMark(t *testing.T) {
	t.Parallel()
	dsn := storetest.Shared(t).Database(t)
	a, b := peer(t, dsn), peer(t, dsn)
	ctx := context.Background()
	appendAll(t, a, event("v"))
	if len(waiting(t, a)) != 1 {
		t.Fatal("the first does not fold")
	}
	check(t, a.SetFoldMark(ctx, &router.Mark{Alone: "event 1", Times: 1}))
	if err := b.SetFoldMark(ctx, nil); !errors.Is(err, router.ErrConflict) {
		t.Errorf("the other removes it: %v", err)
	}
	if m, err := b.FoldMark(ctx); m == nil || m.Alone != "event 1" || err != nil {
		t.Errorf("the other reads %v, %v", m, err)
	}
}
