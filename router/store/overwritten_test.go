package store

import (
	"bytes"
	"context"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"flowbridge/router"
)

// TestACopyThatIsWrittenOverADatabaseInUseIsLeftAsItIs writes another file over one that is in use: what came since is
// in the journal of the other once it is opened, and nothing of the file as it was is written into it.
func TestACopyThatIsWrittenOverADatabaseInUseIsLeftAsItIs(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "a.db")
	backup, raw := filepath.Join(t.TempDir(), "backup.db"), filepath.Join(t.TempDir(), "raw.db")
	opened := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	open := func() *Store {
		t.Helper()
		opened = opened.Add(time.Hour)
		now := opened
		s, err := Open(ctx, Config{DSN: path, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	s := open()
	add := func(n int) {
		t.Helper()
		if _, err := s.Append(ctx, []router.Event{large(n)}); err != nil {
			t.Fatal(err)
		}
	}
	add(1)
	if _, err := s.Waiting(ctx, 10); err != nil {
		t.Fatal(err)
	}
	if err := Backup(ctx, path, backup); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // all is in the file then
		t.Fatal(err)
	}
	if err := os.WriteFile(raw, read(t, path), private); err != nil {
		t.Fatal(err)
	}
	for n, copy := range []string{backup, raw} {
		s = open()
		for m := range 20 {
			add(100*n + 10 + m)
			if _, err := s.Waiting(ctx, 100); err != nil {
				t.Fatal(err)
			}
			if _, err := s.emptyOwnLog(ctx); err != nil {
				t.Fatalf("its own checkpoint: %v", err)
			}
		}
		vacuum(t, path)
		if path, how := s.displaced(); how != "" {
			t.Fatalf("what is done to it by SQLite is taken for %s of %s", how, path)
		}
		add(100*n + 50)
		if _, err := s.Waiting(ctx, 100); err != nil { // it is in the log
			t.Fatal(err)
		}
		if err := os.WriteFile(path, read(t, copy), private); err != nil {
			t.Fatal(err)
		}
		if _, how := s.displaced(); how != overwritten {
			t.Fatalf("%s: it was %q", copy, how)
		}
		add(100*n + 60)
		if _, err := s.Waiting(ctx, 100); err == nil {
			t.Error("what arrives is moved into a file that is another's")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(read(t, path), read(t, copy)) {
			t.Errorf("%s was changed", copy)
		}
		s = open()
		waiting, err := s.Waiting(ctx, 100)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range waiting {
			got = append(got, e.Digest)
		}
		if want := []string{large(1).Digest, large(100*n + 60).Digest}; !slices.Equal(got, want) {
			t.Errorf("with %s wait %q, want %q", copy, got, want)
		}
		if err := whole(ctx, s.write.DB); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestALogThatIsOfAnotherDatabaseIsNotReadIntoACopy puts a copy in the place of a database whose bridge was killed, and
// leaves the log of that beside it.
func TestALogThatIsOfAnotherDatabaseIsNotReadIntoACopy(t *testing.T) {
	ctx := context.Background()
	path, copied := filepath.Join(t.TempDir(), "a.db"), filepath.Join(t.TempDir(), "copy.db")
	s := openFull(t, path)
	for n := range 40 {
		if n == 20 {
			if err := Backup(ctx, path, copied); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Append(ctx, []router.Event{large(n)}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Waiting(ctx, 100); err != nil {
			t.Fatal(err)
		}
	}
	log := read(t, path+"-wal") // as a kill leaves it
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string][]byte{path: read(t, copied), path + "-wal": log} {
		if err := os.WriteFile(file, text, private); err != nil {
			t.Fatal(err)
		}
	}
	s = openFull(t, path)
	// The last may be in the inbox, too, which is read.
	if waiting, err := s.Waiting(ctx, 100); err != nil || len(waiting) < 20 || len(waiting) > 21 {
		t.Errorf("%d events wait (%v), want the 20 of the copy", len(waiting), err)
	}
	if err := whole(ctx, s.write.DB); err != nil {
		t.Error(err)
	}
	if kept, err := filepath.Glob(path + "-wal.held-*"); err != nil || len(kept) != 1 {
		t.Errorf("the log is at %q (%v)", kept, err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// vacuum has another program write the whole file anew.
func vacuum(t *testing.T, path string) {
	t.Helper()
	db, err := openFile(path, url.Values{"_pragma": {"busy_timeout(5000)"}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`VACUUM`); err != nil {
		t.Fatal(err)
	}
}
