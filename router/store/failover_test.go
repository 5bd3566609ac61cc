package store_test

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

// TestFailover holds that a process needs nobody when PostgreSQL fails over to its standby: what was answered is there,
// and it stores, folds, delivers, sweeps and reads on by itself.
func TestFailover(t *testing.T) {
	t.Parallel()
	for _, failover := range storetest.Failovers() {
		t.Run(failover.Name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			pair := storetest.StartPair(t)
			dsn := pair.Link(t).DSN(pair.Primary.Database(t))
			a, b := peer(t, dsn), peer(t, dsn)
			tellOf(t, a, 1)
			for name, s := range map[string]*store.Store{"a": a, "b": b} { // every pool has sessions by now
				appendAll(t, s, event("by "+name))
				read(t, s, 1)
			}
			claim(t, b, "chat", noon)
			appendAll(t, a, event("answered before"))

			failover.Do(pair, t, func() {
				for _, s := range []*store.Store{a, b} {
					eventually(t, "posts are refused", func() bool {
						_, err := s.Append(ctx, []router.Event{event("refused")})
						return err != nil && s.Ping(ctx) != nil
					})
					_, _ = s.Waiting(ctx, 100) // the router does not rest meanwhile
				}
			})

			for _, s := range []*store.Store{a, b} {
				eventually(t, "events are stored again",
					func() bool { _, err := s.Append(ctx, []router.Event{event("stored after")}); return err == nil })
				eventually(t, "it can be written", func() bool { return s.Ping(ctx) == nil })
			}
			folder := a
			eventually(t, "one of them folds again", func() bool {
				for _, s := range []*store.Store{a, b} {
					if got, err := s.Waiting(ctx, 100); err == nil && len(got) > 0 && s.Commit(ctx, tells(2)) == nil {
						folder = s
						return true
					}
				}
				return false
			})
			digests := map[string]bool{}
			for _, e := range waiting(t, folder) {
				digests[e.Digest] = true
			}
			if !digests["answered before"] || !digests["by a"] || !digests["by b"] {
				t.Errorf("what was answered before the failover is gone: %v", digests)
			}
			folder.StopFolding()
			for i, s := range []*store.Store{a, b} {
				read(t, s, 2)
				tellOf(t, s, int64(3+i))
				s.StopFolding()
				eventually(t, "it sweeps", func() bool { _, err := s.Sweep(ctx, noon, 1, 1); return err == nil })
			}
			n := claim(t, b, "chat", noon)
			check(t, b.Finish(ctx, result(n, router.DeliveryDelivered)))
		})
	}
}

// tellOf folds an incident that somebody is owed, by way of the process that folds.
func tellOf(t *testing.T, s *store.Store, number int64) {
	t.Helper()
	last, err := s.LastIncident(context.Background())
	check(t, err)
	if last != number-1 {
		t.Errorf("the last incident is %d, want %d", last, number-1)
	}
	appendAll(t, s, event(router.IncidentName(number)))
	waiting(t, s)
	check(t, s.Commit(context.Background(), tells(number)))
}

func tells(number int64) router.Batch {
	return router.Batch{Incidents: []router.Incident{incident(number)},
		Owed: []router.Owed{owed(number, "chat", router.IncidentName(number))}}
}

// read reads an incident with every session of the pool at once. A session that was cut may say so; none may read what
// was true before the failover.
func read(t *testing.T, s *store.Store, number int64) {
	t.Helper()
	const sessions = 4
	errs := make(chan error, sessions)
	eventually(t, "incidents are read", func() bool {
		for range sessions {
			go func() {
				_, err := s.Incident(context.Background(), number)
				errs <- err
			}()
		}
		all := true
		for range sessions {
			err := <-errs
			if errors.Is(err, router.ErrNotFound) {
				t.Errorf("%s is not there: the read is stale", router.IncidentName(number))
			}
			all = all && err == nil
		}
		return all
	})
}

// TestAStandbyIsNotServedFrom holds that a server that takes no writes is refused with what to do, passed over among
// several, and good enough for what only reads.
func TestAStandbyIsNotServedFrom(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	pair := storetest.StartPair(t)
	dsn := pair.Primary.Database(t)
	primary, standby := pair.Primary.Link(t), pair.Standby.Link(t)
	both, err := url.Parse(primary.DSN(dsn))
	check(t, err)
	other, err := url.Parse(standby.DSN(dsn))
	check(t, err)
	both.Host = other.Host + "," + both.Host
	var s *store.Store
	eventually(t, "the standby knows the database", func() bool {
		s, err = store.Open(ctx, store.Config{DSN: both.String(), StartWait: storetest.Patience})
		return err == nil || !strings.Contains(err.Error(), "does not exist")
	})
	check(t, err)
	defer s.Close()
	appendAll(t, s, event("a"))

	const want = "the server takes no writes: it is a standby, or default_transaction_read_only is on: name the " +
		"primary in the URL, or all servers, as host1:5432,host2:5432"
	_, opened := store.Open(ctx, store.Config{DSN: other.String()})
	_, inspected := store.Inspect(ctx, other.String())
	for by, err := range map[string]error{"Open": opened, "Inspect": inspected} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", by, err)
		}
	}
	eventually(t, "the standby has the tables", func() bool {
		h, err := store.OpenHistory(ctx, other.String())
		return err == nil && h.Close() == nil
	})
	if name := store.DisplayName("postgres://ada:hunter2@" + both.Host + "/bridge"); name != "postgres://"+both.Host+
		"/bridge" {
		t.Errorf("several servers are shown as %s", name)
	}
}

// TestSessionsHaveABoundedLife holds that no session outlives its time, in use or not: the address may lead elsewhere.
func TestSessionsHaveABoundedLife(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dsn := storetest.Shared(t).Database(t)
	s, err := store.Open(ctx, store.Config{DSN: dsn,
		StartWait: storetest.Patience, SessionLife: 2 * time.Second, DeadAfter: time.Second})
	check(t, err)
	defer s.Close()
	appendAll(t, s, event("a"))
	waiting(t, s)
	check(t, s.Ping(ctx))
	read := func() { _, _ = s.LastIncident(ctx) }
	read()

	db, err := sql.Open("pgx", dsn)
	check(t, err)
	defer db.Close()
	pids := func() (all map[int]bool) {
		rows, err := db.Query(
			`SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		check(t, err)
		defer rows.Close()
		all = map[int]bool{}
		for rows.Next() {
			var pid int
			check(t, rows.Scan(&pid))
			all[pid] = true
		}
		return all
	}
	const kinds = 4 // one that folds, one that stores, one that reads, one that listens
	var first map[int]bool
	eventually(t, "every session is there", func() bool { first = pids(); return len(first) >= kinds })
	eventually(t, "every session is another one", func() bool {
		_, _ = s.Waiting(ctx, 1)
		_ = s.Ping(ctx)
		read()
		now := pids()
		for pid := range first {
			if now[pid] {
				return false
			}
		}
		return len(now) >= kinds
	})
}
