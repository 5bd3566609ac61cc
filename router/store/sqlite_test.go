package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"flowbridge/router"
	"flowbridge/router/store"
)

func TestASecondBridgeOnTheSameFileIsSentAway(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "test.db")
	s, err := store.Open(ctx, store.Config{DSN: path})
	check(t, err)
	appendAll(t, s, event("x"))
	other := filepath.Join(t.TempDir(), "link.db")
	check(t, os.Symlink(path, other))
	for _, name := range []string{path, other} {
		second, err := store.Open(ctx, store.Config{DSN: name})
		if err == nil {
			check(t, second.Close())
		}
		if err == nil || !strings.Contains(err.Error(), "another flowbridge is using it") {
			t.Errorf("the second start on %s: %v", name, err)
		}
	}

	reader, err := store.OpenHistory(ctx, path)
	check(t, err)
	if bounds, err := reader.Bounds(ctx); bounds.First != 1 || err != nil {
		t.Errorf("who only reads finds %+v, %v", bounds, err)
	}
	check(t, reader.Close())

	check(t, s.Close())
	again, err := store.Open(ctx, store.Config{DSN: path})
	check(t, err)
	check(t, again.Close())
}

// TestALinkToAFileThatIsNotThereYetMakesIt: a volume is empty at the first start.
func TestALinkToAFileThatIsNotThereYetMakesIt(t *testing.T) {
	ctx := t.Context()
	volume, link := filepath.Join(t.TempDir(), "volume.db"), filepath.Join(t.TempDir(), "flowbridge.db")
	check(t, os.Symlink(volume, link))
	for range 2 {
		s, err := store.Open(ctx, store.Config{DSN: link})
		check(t, err)
		if second, err := store.Open(ctx, store.Config{DSN: volume}); err == nil {
			second.Close()
			t.Error("two are at the same file")
		}
		check(t, s.Close())
	}
	info, err := os.Stat(volume)
	check(t, err)
	if info.Size() == 0 || info.Mode().Perm() != 0o600 {
		t.Errorf("it has %d bytes, and the mode %s", info.Size(), info.Mode())
	}
}

// TestABackupIsOneMoment copies a database while events are stored in pairs: every copy holds both of a pair or
// none, and all that was accepted before it began.
func TestABackupIsOneMoment(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	path := filepath.Join(dir, "live.db")
	s, err := store.Open(ctx, store.Config{DSN: path})
	check(t, err)
	defer s.Close()
	stop := make(chan struct{})
	var mu sync.Mutex
	accepted := 0
	var work sync.WaitGroup
	work.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := s.Append(ctx, []router.Event{event(fmt.Sprint("left", n)), event(fmt.Sprint("right", n))}); err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			accepted += 2
			mu.Unlock()
		}
	})
	for i := range 5 {
		mu.Lock()
		before := accepted
		mu.Unlock()
		file := filepath.Join(dir, fmt.Sprintf("copy%d.db", i))
		check(t, store.Backup(ctx, path, file))
		info, err := os.Stat(file)
		check(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("the copy can be read by others: %v", info.Mode())
		}
		c, err := store.Open(ctx, store.Config{DSN: file})
		check(t, err)
		got, err := c.Waiting(ctx, 1_000_000)
		check(t, errors.Join(err, c.Close()))
		if len(got) < before || len(got)%2 != 0 {
			t.Errorf("the copy has %d events; %d were accepted before it began", len(got), before)
		}
	}
	close(stop)
	work.Wait()
	if err := store.Backup(ctx, path, path); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a backup over the original: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*.part-*"))
	check(t, err)
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
