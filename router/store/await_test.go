package store_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

// TestAStartWaitsForAServerThatIsAway holds that whoever starts before PostgreSQL is up, while its network is cut, or
// in the middle of a failover needs nobody, and says what it waits for.
func TestAStartWaitsForAServerThatIsAway(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(t *testing.T) (dsn string, back func()){
		"not up yet": func(t *testing.T) (string, func()) {
			server := storetest.Start(t)
			dsn := server.Link(t).DSN(server.Database(t))
			server.Stop()
			return dsn, func() { check(t, server.Run()) }
		},
		"cut off": func(t *testing.T) (string, func()) {
			server := storetest.Shared(t)
			link := server.Link(t)
			link.Cut()
			return link.DSN(server.Database(t)), link.Mend
		},
		"a standby that is promoted": func(t *testing.T) (string, func()) {
			pair := storetest.StartPair(t)
			link := pair.Link(t)
			dsn := link.DSN(pair.Primary.Database(t))
			link.To(pair.Standby)
			eventually(t, "the standby knows the database, and takes no writes", func() bool {
				_, err := store.Open(context.Background(), store.Config{DSN: dsn})
				return err != nil && strings.Contains(err.Error(), "the server takes no writes")
			})
			return dsn, func() {
				pair.Primary.Stop()
				pair.Standby.Promote(t)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn, back := away(t)
			if _, err := store.Open(context.Background(), store.Config{DSN: dsn}); err == nil {
				t.Fatal("it is opened, and should be away")
			}
			log := make(logLines, 10)
			cfg := store.Config{DSN: dsn, StartWait: time.Hour, Logger: slog.New(slog.NewTextHandler(log, nil))}
			opened := opening(cfg)
			waits(t, opened, log, "the database cannot be reached yet")
			back()
			check(t, <-opened)
		})
	}
}

// TestAStartWaitsForNothingThatSomebodyHasToMend holds that it ends with what is to be done.
func TestAStartWaitsForNothingThatSomebodyHasToMend(t *testing.T) {
	t.Parallel()
	server := storetest.Shared(t)
	for dsn, want := range map[string]string{
		server.DSN("nobody_made_it"):                          "make it first with createdb",
		"postgres://127.0.0.1/x?sslmode=never":                "the URL cannot be read",
		server.DSN("postgres") + "&user=nobody_made_this_one": "does it let us in",
	} {
		_, err := store.Open(context.Background(), store.Config{DSN: dsn, StartWait: time.Hour})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", dsn, err, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	log := make(logLines, 10)
	go func() { // an end is waited for by nobody either
		<-log
		cancel()
	}()
	_, err := store.Open(ctx, store.Config{DSN: "postgres://flowbridge@127.0.0.1:1/flowbridge?sslmode=disable",
		StartWait: time.Hour, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of its context", err)
	}
}
