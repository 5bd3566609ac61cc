package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"flowbridge/router"
)

func arrival(n int) router.Event {
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	return router.Event{Digest: fmt.Sprint("arrived ", n), Source: router.SourceMeta, Received: now, At: now, Name: "X"}
}

func digests(t *testing.T, s *Store) (out []string) {
	t.Helper()
	events, err := s.Waiting(context.Background(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		out = append(out, e.Digest)
	}
	return out
}

// TestIntakeWaitsForNoTransactionOfOthers holds the writer of the database while events arrive.
func TestIntakeWaitsForNoTransactionOfOthers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := openFull(t, filepath.Join(t.TempDir(), "test.db"))
	err := s.inTx(ctx, func(*txn) error {
		for n := range 3 {
			if stored, err := s.Append(ctx, []router.Event{arrival(n), arrival(0)}); stored != 1 || err != nil {
				t.Errorf("event %d while the writer is taken: stored %d, %v", n, stored, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := digests(t, s); len(got) != 3 || got[0] != "arrived 0" || got[2] != "arrived 2" {
		t.Errorf("the journal has %q", got)
	}
	if stored, err := s.Append(ctx, []router.Event{arrival(1)}); stored != 0 || err != nil {
		t.Errorf("a repeat of what was moved: stored %d, %v", stored, err)
	}
}

// TestAKillBetweenTheTwoFilesLosesNothing leaves behind what a kill can: an event that is in both files, one that is
// only in the inbox, and one that is only in the journal.
func TestAKillBetweenTheTwoFilesLosesNothing(t *testing.T) {
	t.Parallel()
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "test.db")
	s := openFull(t, path)
	for n := range 2 {
		if _, err := s.Append(ctx, []router.Event{arrival(n)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := digests(t, s); len(got) != 2 {
		t.Fatalf("the journal has %q", got)
	}
	if _, err := s.inbox.write.ExecContext(ctx, `DELETE FROM inbox WHERE digest = 'arrived 0'`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(ctx, []router.Event{arrival(2)}); err != nil {
		t.Fatal(err)
	}
	// The row that was moved is put back, as if it had not been removed before the kill.
	if _, err := s.inbox.write.ExecContext(ctx,
		`INSERT INTO inbox (digest, received_at, state, body) VALUES ('arrived 1', 1, 'waiting', '{}') ON CONFLICT DO NOTHING`); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := openFull(t, path)
	if got := digests(t, again); len(got) != 3 || got[1] != "arrived 1" || got[2] != "arrived 2" {
		t.Errorf("after the kill the journal has %q", got)
	}
	if stats, err := again.Stats(ctx); err != nil || stats.Events[router.EventWaiting] != 3 {
		t.Errorf("waiting: %+v, %v", stats.Events, err)
	}
}

// TestWhatTheJournalKnowsHidesNothingBehindIt puts before what is new in the inbox what came there before a kill and
// was moved, and what needs no folding. Whoever asks for a few that wait is not told that none do.
func TestWhatTheJournalKnowsHidesNothingBehindIt(t *testing.T) {
	t.Parallel()
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "test.db")
	s := openFull(t, path)
	for n := range 7 {
		if _, err := s.Append(ctx, []router.Event{arrival(n)}); err != nil {
			t.Fatal(err)
		}
	}
	var b router.Batch
	events, err := s.Waiting(ctx, 7)
	for _, e := range events {
		b.Outcomes = append(b.Outcomes, router.Outcome{Seq: e.Seq})
	}
	if err := errors.Join(err, s.Commit(ctx, b)); err != nil || len(events) != 7 {
		t.Fatal(len(events), err)
	}
	// The rows are put back, as if they had not been removed before the kill.
	for n := range 7 {
		if _, err := s.inbox.write.ExecContext(ctx,
			`INSERT INTO inbox (digest, received_at, state, body) VALUES (?, 1, 'waiting', '{}')
			ON CONFLICT DO NOTHING`, arrival(n).Digest); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := openFull(t, path)
	unreadable := arrival(7)
	unreadable.Unreadable = "no JSON"
	if _, err := again.Append(ctx, []router.Event{unreadable, arrival(8), arrival(9), arrival(10)}); err != nil {
		t.Fatal(err)
	}
	if events, err := again.Waiting(ctx, 2); err != nil || len(events) != 2 || events[0].Digest != "arrived 8" {
		t.Errorf("the first two that wait: %+v, %v", events, err)
	}
}

func TestABackupHoldsWhatIsInTheInbox(t *testing.T) {
	t.Parallel()
	ctx, dir := context.Background(), t.TempDir()
	path, copied := filepath.Join(dir, "test.db"), filepath.Join(dir, "copy.db")
	s := openFull(t, path)
	if _, err := s.Append(ctx, []router.Event{arrival(0)}); err != nil {
		t.Fatal(err)
	}
	digests(t, s) // moved
	if _, err := s.Append(ctx, []router.Event{arrival(1), arrival(2)}); err != nil {
		t.Fatal(err)
	}
	if err := Backup(ctx, path, copied); err != nil {
		t.Fatal(err)
	}
	if got := digests(t, openFull(t, copied)); len(got) != 3 || got[2] != "arrived 2" {
		t.Errorf("the copy has %q", got)
	}
}

// TestWhatWasMovedLeavesTheInbox looks that the inbox does not grow.
func TestWhatWasMovedLeavesTheInbox(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := openFull(t, filepath.Join(t.TempDir(), "test.db"))
	for n := range 500 {
		if _, err := s.Append(ctx, []router.Event{arrival(n)}); err != nil {
			t.Fatal(err)
		}
	}
	digests(t, s)
	if _, err := s.inbox.tidy(ctx); err != nil {
		t.Fatal(err)
	}
	if left, err := number(ctx, s.inbox.read, `SELECT count(*) FROM inbox`); left != 0 || err != nil {
		t.Errorf("%d events are left in the inbox, %v", left, err)
	}
}

func TestADatabaseHasOneInboxByWhateverName(t *testing.T) {
	t.Parallel()
	ctx, dir := context.Background(), t.TempDir()
	path, link := filepath.Join(dir, "test.db"), filepath.Join(t.TempDir(), "link.db")
	s := openFull(t, path)
	if _, err := s.Append(ctx, []router.Event{arrival(0)}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), os.Symlink(path, link)); err != nil {
		t.Fatal(err)
	}
	if got := digests(t, openFull(t, link)); len(got) != 1 {
		t.Errorf("by another name the journal has %q", got)
	}
}

func TestAnInboxThatCannotBeOpenedIsNamed(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(path string) error{
		"something else": func(path string) error {
			return os.WriteFile(path, []byte(strings.Repeat("this is no database ", 100)), 0o600)
		},
		"a folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"a pipe":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "test.db")
			if err := put(path + "-inbox"); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(context.Background(), Config{DSN: path}); err == nil ||
				!strings.Contains(err.Error(), path+"-inbox") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestWhoReadsTheInboxForLongHoldsNobodyUp lets a backup read while the inbox is tidied, with its writer at work.
func TestWhoReadsTheInboxForLongHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	path := filepath.Join(t.TempDir(), "test.db")
	s := openFull(t, path)
	if _, err := s.Append(ctx, []router.Event{arrival(0)}); err != nil {
		t.Fatal(err)
	}
	_, end, err := viewInbox(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	digests(t, s) // moved
	if _, err := s.Append(ctx, []router.Event{arrival(1)}); err != nil {
		t.Fatal(err)
	}
	digests(t, s)
	tidied := func(want bool) {
		t.Helper()
		if done, err := s.inbox.tidy(ctx); done != want || err != nil {
			t.Errorf("the log is emptied: %v, %v, want %v", done, err, want)
		}
	}
	tidied(false)
	writer, err := s.inbox.write.Conn(ctx) // the only one: an arrival would have it
	if err != nil {
		t.Fatal(err)
	}
	tidied(false)
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	end()
	tidied(true)
}

// TestWhoeverReadsIntakeGoesOn takes all connections that others read with.
func TestWhoeverReadsIntakeGoesOn(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s := openFull(t, filepath.Join(t.TempDir(), "test.db"))
	for range s.read.Stats().MaxOpenConnections {
		conn, err := s.read.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if n, err := s.Append(ctx, []router.Event{arrival(0)}); n != 1 || err != nil {
		t.Errorf("while others read, %d events were stored, %v", n, err)
	}
}
