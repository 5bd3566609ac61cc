package store_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

// TestWhoLosesASessionBeginsAnew holds that a process whose session ended in the middle of a transaction neither fails
// to start nor leaves a page for later: because it got no processor, and the server ended what said nothing, or because
// its connection was lost.
func TestWhoLosesASessionBeginsAnew(t *testing.T) {
	t.Parallel()
	claim := func(s *store.Store) error {
		n, _, err := s.Claim(context.Background(), router.Ask{Notifier: "page", Now: noon, Lease: time.Minute})
		if err == nil && n == nil {
			err = errors.New("nothing was claimed")
		}
		return err
	}
	for _, tt := range []struct {
		name, at string                     // where it is stopped
		lost     bool                       // and its connection is lost, else the server ends the session
		do       func(s *store.Store) error // after it has started, if it is stopped then
	}{
		{"for it says nothing while it starts", "CREATE TABLE deliveries", false, nil},
		{"for it says nothing while it claims a delivery", "INSERT INTO lanes", false, claim},
		{"with its connection while it starts", "CREATE TABLE deliveries", true, nil},
		{"with its connection while it claims a delivery", "INSERT INTO lanes", true, claim},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := storetest.Shared(t)
			link, dsn := server.Link(t), server.Database(t)
			look, err := sql.Open("pgx", dsn)
			check(t, err)
			defer look.Close()
			cfg := store.Config{DSN: link.DSN(dsn), DeadAfter: 4 * time.Second, Timeout: time.Minute,
				StartWait: storetest.Patience, Now: func() time.Time { return noon }}
			if tt.lost {
				cfg.DeadAfter = time.Hour
			}
			do := func() error {
				s, err := store.Open(context.Background(), cfg)
				if err == nil {
					err = s.Close()
				}
				return err
			}
			if tt.do != nil {
				s, err := store.Open(context.Background(), cfg)
				check(t, err)
				defer s.Close()
				check(t, s.Commit(context.Background(), router.Batch{Incidents: []router.Incident{incident(1)},
					Owed: []router.Owed{page(1, "k")}}))
				do = func() error { return tt.do(s) }
			}
			cut, done := link.CutAt(tt.at), make(chan error, 1)
			go func() { done <- do() }()
			<-cut
			if tt.lost {
				link.Break()
				check(t, <-done)
				return
			}
			eventually(t, "the server has ended the session", func() bool {
				var n int
				check(t, look.QueryRow(`SELECT count(*) FROM pg_stat_activity
					WHERE datname = current_database() AND state = 'idle in transaction'`).Scan(&n))
				return n == 0
			})
			link.Mend()
			check(t, <-done)
		})
	}
}

// linked returns a store behind a link, and a look at its database beside that. Its server ends no session by itself.
func linked(t *testing.T) (*storetest.Link, *sql.DB, *store.Store) {
	t.Helper()
	server := storetest.Shared(t)
	link, dsn := server.Link(t), server.Database(t)
	look, err := sql.Open("pgx", dsn)
	check(t, err)
	t.Cleanup(func() { _ = look.Close() })
	s, err := store.Open(context.Background(), store.Config{DSN: link.DSN(dsn), StartWait: storetest.Patience,
		DeadAfter: time.Hour, Timeout: time.Minute, Now: func() time.Time { return noon }})
	check(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return link, look, s
}

// TestAPostIsStoredThoughItsConnectionIsLost holds that what arrives is stored once and then folded, not refused, where
// nobody can say whether the server did what was on its way.
func TestAPostIsStoredThoughItsConnectionIsLost(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	link, look, s := linked(t)

	appendAll(t, s, event("a"))
	<-s.Appended()

	link.Mute()
	done := make(chan error, 1)
	go func() {
		_, err := s.Append(ctx, []router.Event{event("b")})
		done <- err
	}()
	eventually(t, "the server has stored it", func() bool {
		var n int
		check(t, look.QueryRow(`SELECT count(*) FROM events`).Scan(&n))
		return n == 2
	})
	link.Break()
	check(t, <-done)
	<-s.Appended()
	var found []router.Event
	eventually(t, "the journal is read by a connection that is whole", func() bool {
		var err error
		found, err = s.Waiting(ctx, 10)
		return err == nil
	})
	if len(found) != 2 {
		t.Errorf("%d events are stored, want 2", len(found))
	}
}

// TestAPostWaitsForAServerThatIsAboutToBeBack holds that what arrives while a server is started anew is not refused,
// and that it is, once that has been away for long.
func TestAPostWaitsForAServerThatIsAboutToBeBack(t *testing.T) {
	t.Parallel()
	link, _, s := linked(t)
	appendAll(t, s, event("a"))

	refused := link.Refuse()
	link.Break()
	done := make(chan error, 1)
	go func() {
		_, err := s.Append(context.Background(), []router.Event{event("b")})
		done <- err
	}()
	<-refused
	link.Admit()
	check(t, <-done)

	link.Refuse()
	link.Break()
	for _, digest := range []string{"c", "d"} { // the second hears it at once
		if _, err := s.Append(context.Background(), []router.Event{event(digest)}); err == nil {
			t.Errorf("the event %s was stored while the server was away", digest)
		}
	}
	link.Admit()
	eventually(t, "the server is back", func() bool {
		_, err := s.Append(context.Background(), []router.Event{event("c")})
		return err == nil
	})
}

// TestAClaimIsKnownThoughItsConnectionIsLost holds that a delivery is tried at once where nobody can say whether its
// claim was written: else it would wait for the end of a lease that nobody holds.
func TestAClaimIsKnownThoughItsConnectionIsLost(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	link, look, s := linked(t)
	check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{incident(1)}, Owed: []router.Owed{page(1, "k")}}))

	cut, done := link.CutAt("commit\x00"), make(chan error, 1) // the statement, and no other that has the word
	var n *router.Notification
	go func() {
		var err error
		n, _, err = s.Claim(ctx, router.Ask{Notifier: "page", Now: noon, Lease: time.Minute})
		done <- err
	}()
	<-cut
	link.Mute()
	eventually(t, "the server has written the claim", func() bool {
		var claimed int
		check(t, look.QueryRow(`SELECT count(*) FROM deliveries WHERE claim <> ''`).Scan(&claimed))
		return claimed == 1
	})
	link.Break()
	check(t, <-done)
	if n == nil {
		t.Fatal("nothing was claimed")
	}
	check(t, s.Finish(ctx, result(n, router.DeliveryDelivered)))
}
