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

// TestWhoSaidNothingForTooLongBeginsAnew holds that a process that got no processor in the middle of a transaction, so
// that the server ended its session, neither fails to start nor leaves a page for
// later.
func TestWhoSaidNothingForTooLongBeginsAnew(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, at string                     // where it is stopped
		do       func(s *store.Store) error // after it has started, if it is stopped then
	}{
		{"while it starts", "CREATE TABLE deliveries", nil},
		{"while it claims a delivery", "INSERT INTO lanes", func(s *store.Store) error {
			n, _, err := s.Claim(context.Background(), router.Ask{Notifier: "page", Now: noon, Lease: time.Minute})
			if err == nil && n == nil {
				err = errors.New("nothing was claimed")
			}
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := storetest.Shared(t)
			link, dsn := server.Link(t), server.Database(t)
			look, err := sql.Open("pgx", dsn)
			check(t, err)
			defer look.Close()
			cfg := store.Config{DSN: link.DSN(dsn), DeadAfter: time.Second, Timeout: time.Minute,
				Now: func() time.Time { return noon }}
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
