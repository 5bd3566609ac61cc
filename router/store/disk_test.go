package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store/storetest"
)

// TestAFullDiskRefusesAndDamagesNothing fills the inbox up to a limit of pages, as a full disk would, and then
// makes room.
func TestAFullDiskRefusesAndDamagesNothing(t *testing.T) {
	ctx := context.Background()
	s := openFull(t, filepath.Join(t.TempDir(), "full.db"))
	var pages int
	if err := s.inbox.write.QueryRowContext(ctx, `PRAGMA page_count`).Scan(&pages); err != nil {
		t.Fatal(err)
	}
	limit := func(pages int) {
		if _, err := s.inbox.write.ExecContext(ctx, fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(pages + 40)
	fillUp(t, s, func() { limit(1 << 20) })
	if err := errors.Join(whole(ctx, s.write.DB), whole(ctx, s.inbox.write.DB)); err != nil {
		t.Error(err)
	}
}

// fillUp stores events until that is refused, makes room, and goes on. Every event that was accepted must be there.
func fillUp(t *testing.T, s *Store, room func()) {
	ctx := context.Background()
	accepted := map[string]bool{}
	refused := 0
	for n := 0; n < 100_000 && refused < 20; n++ {
		e := large(n)
		if _, err := s.Append(ctx, []router.Event{e}); err == nil {
			accepted[e.Digest] = true
			continue
		} else if errors.Is(err, router.ErrBusy) || !strings.Contains(err.Error(), "full") &&
			!strings.Contains(err.Error(), "space") {
			t.Fatalf("refused with %v, want words about the disk", err)
		}
		refused++
	}
	if refused == 0 || len(accepted) == 0 {
		t.Fatalf("accepted %d and refused %d: the disk never was full", len(accepted), refused)
	}
	if _, err := s.Stats(ctx); err != nil {
		t.Errorf("nothing can be read while the disk is full: %v", err)
	}
	room()
	if err := s.Ping(ctx); err != nil {
		t.Errorf("with room again: %v", err)
	}
	for n := 200_000; n < 200_010; n++ {
		e := large(n)
		if _, err := s.Append(ctx, []router.Event{e}); err != nil {
			t.Fatalf("with room again: %v", err)
		}
		accepted[e.Digest] = true
	}
	kept, err := s.Waiting(ctx, 200_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range kept {
		delete(accepted, e.Digest)
	}
	if len(accepted) > 0 {
		t.Errorf("%d events that were accepted are gone", len(accepted))
	}
}

func openFull(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(context.Background(), Config{DSN: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// large is an event of about 3 KB that no database makes smaller.
func large(n int) router.Event {
	noise := make([]byte, 1500)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(noise)
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	return router.Event{Digest: fmt.Sprintf("%08d", n), Source: router.SourceMeta, Received: now, At: now, Name: "X",
		Message: hex.EncodeToString(noise)}
}

// TestAVolumeThatIsFullRefusesAndDamagesNothing does the same on a file system without room for more, where this
// process may mount one: there the journal's own write-ahead log is what does not fit.
func TestAVolumeThatIsFullRefusesAndDamagesNothing(t *testing.T) {
	dir := t.TempDir()
	mount(t, dir, "4m")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s := openFull(t, filepath.Join(dir, "full.db"))
	fillUp(t, s, func() { remove(t, ballast) })
	if err := errors.Join(whole(context.Background(), s.write.DB),
		whole(context.Background(), s.inbox.write.DB)); err != nil {
		t.Error(err)
	}
}

// TestATablespaceThatIsFullRefusesAndDamagesNothing does the same to PostgreSQL, where this process may mount a file
// system for its tables.
func TestATablespaceThatIsFullRefusesAndDamagesNothing(t *testing.T) {
	server := storetest.Start(t)
	dir := server.Folder(t, "volume")
	mount(t, dir, "24m")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 12<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	tables := server.Folder(t, "volume/tables")
	server.Exec(t, server.DSN("postgres"), "CREATE TABLESPACE small LOCATION '"+tables+"'")
	server.Exec(t, server.DSN("postgres"), "CREATE DATABASE small TABLESPACE small")
	s := openFull(t, server.DSN("small"))
	t.Cleanup(server.Stop) // before the file system goes
	fillUp(t, s, func() { remove(t, ballast) })
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
