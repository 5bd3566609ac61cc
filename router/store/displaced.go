package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"flowbridge/router"
)

// Whoever has a file open may go on writing to it after it was removed or another was put in its place: nothing fails,
// and all of it is gone when he ends. So the files of a SQLite database are looked at by their names, and where one is
// not what was opened the bridge ends; what it holds is written down before that. Until then no more connections are
// opened: to another file with the log of this one they would damage both.
const (
	lookAtFilesEvery = time.Second
	// surelyDisplaced is how many looks in a row must find the same.
	surelyDisplaced = 3
)

// heldFile is a file of a database as it was opened.
type heldFile struct {
	path string
	info fs.FileInfo
	head *fileHead // of the database itself, else nil
}

// noteFiles notes the files of a database that is open, itself first.
func (s *Store) noteFiles(path string) {
	inbox := InboxPath(path)
	real := strings.TrimSuffix(inbox, inboxSuffix)
	for _, path := range []string{path, real + "-wal", real + "-shm", real + ".lock", inbox, inbox + "-wal",
		inbox + "-shm"} {
		if info, err := os.Stat(path); err == nil {
			s.held = append(s.held, heldFile{path: path, info: info})
		}
	}
}

// became says what a file has become: "" where it is as it was, or where that cannot be seen.
func (f *heldFile) became() string {
	switch info, err := os.Stat(f.path); {
	case errors.Is(err, fs.ErrNotExist):
		return removed
	case err == nil && !os.SameFile(info, f.info):
		return "replaced"
	case err == nil && f.head != nil && f.head.overwritten():
		return overwritten
	}
	return ""
}

const removed, overwritten = "removed", "overwritten"

// displaced returns the first file that is not what was opened, and what it became; "" for none.
func (s *Store) displaced() (path, how string) {
	for i := range s.held {
		if how := s.held[i].became(); how != "" {
			return s.held[i].path, how
		}
	}
	return "", ""
}

// mayOpen refuses a connection where its files would be others.
func (s *Store) mayOpen() error {
	if path, how := s.displaced(); how != "" {
		return fmt.Errorf("%s was %s", path, how)
	}
	return nil
}

// WatchFiles returns an error once a file of the database was removed, or replaced by another, while it is in use: the
// Store must then be closed, which saves what it holds. Else it returns nil when ctx ends.
func (s *Store) WatchFiles(ctx context.Context) error {
	for seen := 0; router.Sleep(ctx, lookAtFilesEvery); {
		path, how := s.displaced()
		if how == "" {
			seen = 0
			continue
		}
		if seen++; seen >= surelyDisplaced {
			return fmt.Errorf("%s was %s while flowbridge was using it: stop flowbridge before its database is touched",
				path, how)
		}
	}
	return nil
}

// saveDisplaced saves what is held where a file was displaced. It comes after the last write, and before the files are
// closed. A database that was removed is written anew; one that was replaced is written beside the other file.
func (s *Store) saveDisplaced(ctx context.Context) error {
	if _, how := s.displaced(); how == "" || len(s.opened) == 0 {
		return nil
	}
	path, how := s.held[0].path, s.held[0].became()
	if how == overwritten {
		return s.leaveOverwritten()
	}
	err := s.settle(ctx)
	if err == nil {
		// What is left in an old log would be taken for that of the file that has the name by then; and where the log was
		// removed nobody else reads it.
		err = s.emptyLogSoon(ctx)
	}
	if err != nil {
		return fmt.Errorf("what was held of %s cannot be saved: %w", path, err)
	}
	if how == "" {
		return nil
	}
	file := path
	if how != removed {
		file += s.heldSuffix()
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil { // it may have been removed with all that is in it
		return fmt.Errorf("what was held of %s cannot be written: %w", path, err)
	}
	err = copyTo(file, "", func(part string) error {
		_, err := s.write.ExecContext(ctx, `VACUUM INTO ?`, part)
		return err
	})
	if err != nil {
		return fmt.Errorf("what was held of %s cannot be written to %s: %w", path, file, err)
	}
	if how == removed {
		s.cfg.Logger.Warn("the database was removed while it was in use: it is there again, with all that it held",
			"file", path)
	} else {
		s.cfg.Logger.Warn("the database was replaced while it was in use: what it held was written beside it", "file", path,
			"held", file, "do", "to go on with what was held, give it the name of the other before the next start")
	}
	return nil
}

// heldSuffix is the end of the name under which something is kept beside a database.
func (s *Store) heldSuffix() string { return ".held-" + s.cfg.Now().UTC().Format("20060102T150405Z") }

// emptyLogSoon empties the log, as soon as those who read let it. It takes the writer's connection: one that is opened
// after the log was removed has another.
func (s *Store) emptyLogSoon(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, eraseAtOnce)
	defer cancel()
	for {
		done, err := emptyLog(ctx, s.write.DB)
		if done || err != nil {
			return err
		}
		if !router.Sleep(ctx, eraseAgain/20) {
			return errors.New("somebody else reads it all the while")
		}
	}
}
