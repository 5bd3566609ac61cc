package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
)

// A copy that is written over the file of a database in use (cp, cat >) is the same file to the system, and nothing
// fails at first. But what is in the log beside it belongs to the file as it was: SQLite would write that into the
// copy, with the next checkpoint or as it is closed, and damage both. So the head of the file is looked at.

const (
	headSize = 100 // bytes, see https://www.sqlite.org/fileformat.html
	magic    = "SQLite format 3\x00"
)

// fileHead is the head of a database in use. Its file stays open until all else of the database is closed: to close it
// gives up the locks that this process has on it.
type fileHead struct {
	file *os.File

	mu      sync.Mutex
	changes uint32 // SQLite's counter of changes, which grows, as it was last seen
}

// read returns the counter of changes; ok is false if this is no head of a database that writes ahead: a copy that
// VACUUM INTO made is none, and neither is a file that is being written. SQLite may write the head meanwhile, so that
// it counts once it was read twice.
func (h *fileHead) read() (changes uint32, ok bool) {
	var head, again [headSize]byte
	for range mostReads {
		for _, into := range []*[headSize]byte{&again, &head} {
			if _, err := h.file.ReadAt(into[:], 0); err != nil {
				return h.changes, !errors.Is(err, io.EOF)
			}
		}
		if head == again {
			break
		}
	}
	return binary.BigEndian.Uint32(head[24:]), bytes.HasPrefix(head[:], []byte(magic)) && writesAhead(head[:])
}

// mostReads bounds how often a head is read that changes all the time.
const mostReads = 10

// writesAhead says whether the database with a head has a log beside it.
func writesAhead(head []byte) bool { return head[18] == 2 && head[19] == 2 }

// overwritten says whether something else was written over the file.
func (h *fileHead) overwritten() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	changes, ok := h.read()
	if !ok || changes < h.changes {
		return true
	}
	h.changes = changes
	return false
}

// noteHead notes the head of the database. One that is not as it should be, for whatever reason, is not looked at.
func (s *Store) noteHead(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	s.opened = slices.Insert(s.opened, 0, io.Closer(file)) // the first is closed last
	if h := (&fileHead{file: file}); len(s.held) > 0 && !h.overwritten() {
		s.held[0].head = h
	}
	return nil
}

// mayWrite refuses what would mix the database with a copy that was written over it.
func (s *Store) mayWrite() error {
	if len(s.held) > 0 && s.held[0].head != nil && s.held[0].head.overwritten() {
		return fmt.Errorf("%s was %s", s.held[0].path, overwritten)
	}
	return nil
}

// setLogAside moves away a log that is of another database: a copy was put in the place of that after its bridge was
// killed. A copy has no log; SQLite would read this one into it all the same, and damage it. Nobody has the files open.
func (s *Store) setLogAside(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	head := make([]byte, headSize)
	_, err = file.ReadAt(head, 0)
	if file.Close(); err != nil || !bytes.HasPrefix(head, []byte(magic)) || writesAhead(head) {
		return nil // what is wrong with it SQLite says
	}
	log := logOf(path)
	if info, err := os.Stat(log); err != nil || info.Size() == 0 {
		return nil
	}
	kept := log + s.heldSuffix()
	if err := os.Rename(log, kept); err != nil {
		return fmt.Errorf("%s is of another database than %s: move it away: %w", log, path, err)
	}
	s.cfg.Logger.Warn("the database is a copy, and the log beside it was that of another: it was moved away, and what "+
		"was posted since the copy was made is not in it", "file", path, "log", kept)
	return nil
}

// logOf is where the log of a database is: beside the file itself, by whatever name that is opened.
func logOf(path string) string { return strings.TrimSuffix(InboxPath(path), inboxSuffix) + "-wal" }

// leaveOverwritten keeps the log from being written into what is in the file by now. A copy of it stays for whoever
// knows what to do with it.
func (s *Store) leaveOverwritten() error {
	path := s.held[0].path
	log := logOf(path)
	kept := log + s.heldSuffix()
	err := copyTo(kept, log, func(part string) error { return copyFile(part, log) })
	if err == nil {
		err = os.Truncate(log, 0) // to remove it is not enough: SQLite has it open
	}
	if err != nil {
		return fmt.Errorf("what is in %s cannot be kept from damaging %s: %w", log, path, err)
	}
	s.cfg.Logger.Warn("another file was written over the database while it was in use: what was held is lost, but for "+
		"posts that came since; the next start goes on with the other", "file", path, "log", kept)
	return nil
}

// copyFile writes the bytes of a file into another that is there.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY, private)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
