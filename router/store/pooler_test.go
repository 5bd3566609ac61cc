package store_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

// TestAPoolerThatSharesSessionsIsRefused holds that no two processes come to fold at once because a pooler gives both
// the session whose lock says who folds.
func TestAPoolerThatSharesSessionsIsRefused(t *testing.T) {
	t.Parallel()
	server := storetest.Shared(t)
	for _, mode := range []string{"transaction", "statement"} {
		for _, exec := range []string{"", "&default_query_exec_mode=exec", "&default_query_exec_mode=simple_protocol"} {
			t.Run(mode+exec, func(t *testing.T) {
				dsn := server.Pooler(t, mode, migrated(t, server)) + exec
				for range 2 { // there are sessions by then
					s, err := store.Open(context.Background(), store.Config{DSN: dsn})
					if err == nil {
						_ = s.Close()
					}
					if err == nil || !strings.Contains(err.Error(), "pool_mode=session") {
						t.Errorf("opened: %v", err)
					}
				}
			})
		}
	}
}

func TestAPoolerThatWorksBySessionIsAsGoodAsTheServer(t *testing.T) {
	t.Parallel()
	server := storetest.Shared(t)
	dsn := server.Pooler(t, "session", migrated(t, server))
	open := func() *store.Store {
		s, err := store.Open(context.Background(), store.Config{DSN: dsn, Now: func() time.Time { return noon }})
		check(t, err)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	one, other := open(), open()
	appendAll(t, one, event("a"))
	check(t, one.Commit(context.Background(), router.Batch{Incidents: []router.Incident{failing(1)},
		Owed: []router.Owed{owedPage(true)}}))
	if n, ok := attempt(t, other, "page", openReceipt); !ok || n.Incident == nil || n.Incident.Number != 1 {
		t.Errorf("told %v: %+v", ok, n)
	}
	if n, ok := attempt(t, one, "page", openReceipt); ok {
		t.Errorf("told once more: %+v", n)
	}
}

// TestAPoolerThatComesToShareSessionsStopsTheFold holds so of a pooler that is changed while bridges run: nobody folds,
// and the error says why.
func TestAPoolerThatComesToShareSessionsStopsTheFold(t *testing.T) {
	t.Parallel()
	server := storetest.Shared(t)
	dsn := server.Pooler(t, "session", migrated(t, server)) + "&default_query_exec_mode=exec"
	var processes []*store.Store
	for range 2 {
		s, err := store.Open(context.Background(), store.Config{DSN: dsn})
		check(t, err)
		t.Cleanup(func() { _ = s.Close() })
		processes = append(processes, s)
	}
	appendAll(t, processes[0], event("a"))
	folds := func() (n int, why []error) {
		for _, s := range processes {
			events, err := s.Waiting(context.Background(), 10)
			if err != nil {
				why = append(why, err)
			} else if len(events) > 0 {
				n++
			}
		}
		return n, why
	}
	if n, why := folds(); n != 1 || len(why) != 0 {
		t.Fatalf("%d fold by session, %v", n, why)
	}
	storetest.SetPoolMode(t, dsn, "transaction")
	others, err := sql.Open("pgx", dsn)
	check(t, err)
	t.Cleanup(func() { _ = others.Close() })
	looks := 0
	eventually(t, "nobody folds, and one says why", func() bool {
		looks++
		done := begun(t, others, looks%6)
		defer done()
		n, why := folds()
		return n == 0 && len(why) > 0 && strings.Contains(why[0].Error(), "pool_mode=session")
	})
}

// begun has so many transactions begun by others until done is called. Each takes a session of the pooler that was
// free: where nobody else is at work, each of us may well get the same one again and again, as if it were its own.
func begun(t *testing.T, others *sql.DB, n int) (done func()) {
	t.Helper()
	var all []*sql.Tx
	for range n {
		tx, err := others.Begin()
		check(t, err)
		_, err = tx.Exec("SELECT 1")
		check(t, err)
		all = append(all, tx)
	}
	return func() {
		for _, tx := range all {
			check(t, tx.Rollback())
		}
	}
}
