//go:build unix

package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Standby makes and starts a server that follows s and lives as long as the test, and returns when it is in step: from
// then on s answers a commit only once the standby has it too, so that what was answered outlasts a failover.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	standby := must(t)(place(s.settings...))
	t.Cleanup(func() {
		standby.Stop()
		_ = os.RemoveAll(standby.dir)
	})
	backup := standby.command(filepath.Join(s.bin, "pg_basebackup"),
		"-h", s.dir, "-U", "flowbridge", "-D", standby.data(), "-c", "fast", "--no-sync")
	if out, err := backup.CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	standby.Follow(t, s)
	return standby
}

// Follow starts a server that is stopped as a standby of another one, and returns when it is in step. It must have
// stopped in order, with Shutdown, before that other one was promoted.
func (s *Server) Follow(t testing.TB, primary *Server) {
	t.Helper()
	for name, text := range map[string]string{
		"standby.signal":       "",
		"postgresql.auto.conf": fmt.Sprintf("primary_conninfo = 'host=%s user=flowbridge'\n", primary.dir),
	} {
		path := filepath.Join(s.data(), name)
		err := os.WriteFile(path, []byte(text), 0o600)
		if err == nil && s.creds != nil {
			err = os.Chown(path, int(s.creds.Uid), int(s.creds.Gid))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	primary.Exec(t, primary.DSN("postgres"), `ALTER SYSTEM SET synchronous_standby_names = '*'`)
	primary.Exec(t, primary.DSN("postgres"), `SELECT pg_reload_conf()`)
	primary.until(t, "a standby is in step",
		`SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'sync'`)
}

// Promote makes a standby the primary, and returns when it can be written.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	s.Exec(t, s.DSN("postgres"), `SELECT pg_promote()`)
	s.until(t, "the standby is promoted", `SELECT NOT pg_is_in_recovery()`)
}

// Backup reads a table of a database as pg_dump does: it keeps others from changing the table until it is ended, or the
// server is.
func (s *Server) Backup(t testing.TB, dsn, table string) (end func()) {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("LOCK TABLE " + table + " IN ACCESS SHARE MODE"); err != nil {
		t.Fatal(err)
	}
	return func() { _ = tx.Rollback() }
}

// Freeze makes the server refuse to write, as a standby does (25006), while its sessions live on.
func (s *Server) Freeze(t testing.TB) {
	t.Helper()
	s.Exec(t, s.DSN("postgres"), `ALTER SYSTEM SET default_transaction_read_only = on`)
	s.Exec(t, s.DSN("postgres"), `SELECT pg_reload_conf()`)
	s.until(t, "the server is read-only", `SELECT current_setting('transaction_read_only') = 'on'`)
}

// Shutdown ends the server in order: its sessions are told so (57P01), and its standby gets all that it had.
func (s *Server) Shutdown() { s.end("shutdown\n") }

// until waits until a query answers true.
func (s *Server) until(t testing.TB, what, query string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	db, err := sql.Open("pgx", s.DSN("postgres")+"&connect_timeout=10")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxIdleConns(0) // a new session each time knows the newest settings
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var ok bool
		err := db.QueryRowContext(ctx, query).Scan(&ok)
		if err == nil && ok {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(errors.Join(fmt.Errorf("waited in vain until %s", what), err))
		case <-tick.C:
		}
	}
}
