package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The inbox is a SQLite file of its own, beside the other: what arrives is written there and on disk before it is
// answered, so that intake waits for no transaction of those that fold and tell. From there it is moved into the
// journal, in order, before it is folded.
//
// The two files need not agree at a kill. A row is removed from the inbox only after the commit that put it into the
// journal; what a kill leaves in both is moved once more, and is a repeat there: the journal knows its digest.
type inbox struct {
	s           *Store
	write, read *pool
	journal     *pool // the database itself, for intake alone: those of s.read may all be taken by people who look
	eraser      *pool // empties the log, and waits for nobody: a reader may stay for as long as a backup takes

	waiting atomic.Int64 // events that are not in the journal yet
	moving  sync.Mutex
	moved   atomic.Int64 // position of the last that is in the journal
	cleared atomic.Int64 // up to where they were removed here
	dirty   atomic.Bool  // its log may hold what was removed
}

const (
	// mostMoved bounds what one transaction moves, and with it how long the writer is taken.
	mostMoved = 256
	// tidyEvery is how often what was moved is removed while nothing new arrives.
	tidyEvery = time.Second
)

const inboxTable = `CREATE TABLE IF NOT EXISTS inbox (
	seq         INTEGER PRIMARY KEY AUTOINCREMENT,
	digest      TEXT   NOT NULL UNIQUE,
	received_at BIGINT NOT NULL,
	state       TEXT   NOT NULL,
	body        TEXT   NOT NULL)`

// InboxPath returns where the inbox of a database is: beside the file itself, by whatever name that is opened.
func InboxPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return path + inboxSuffix
}

const inboxSuffix = "-inbox"

// openInbox opens the inbox of a database, or makes it.
func (s *Store) openInbox(ctx context.Context, database string) (err error) {
	path := InboxPath(database)
	defer func() {
		if err != nil {
			err = fmt.Errorf("the inbox %s: %w", path, explain(err))
		}
	}()
	if err := s.ownFile(path); err != nil {
		return err
	}
	for _, beside := range []string{"-wal", "-shm", "-journal"} {
		s.closeToOthers(path + beside)
	}
	in := &inbox{s: s}
	for _, one := range []struct {
		to       **pool
		path     string
		settings url.Values
	}{
		{&in.write, path, url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(5000)", "journal_mode(WAL)",
			"synchronous(FULL)",
			"cache_size(-2000)", "journal_size_limit(16777216)", "secure_delete(1)", tempInMemory}}},
		{&in.read, path, url.Values{"_pragma": {"busy_timeout(5000)", "query_only(1)", "cache_size(-500)"}}},
		{&in.journal, database, url.Values{"_pragma": {"busy_timeout(5000)", "query_only(1)", "cache_size(-500)"}}},
		{&in.eraser, path, url.Values{"_pragma": {"busy_timeout(0)", "cache_size(-500)", "synchronous(FULL)"}}},
	} {
		db, err := s.openHeld(one.path, one.settings)
		if err != nil {
			return err
		}
		s.opened = append(s.opened, db)
		db.SetMaxOpenConns(1)
		*one.to = &pool{DB: db, d: s.d}
		if one.to == &in.write {
			if _, err := db.ExecContext(ctx, inboxTable); err != nil {
				return err
			}
		}
	}
	waiting, err := number(ctx, in.read, `SELECT count(*) FROM inbox`)
	if err != nil {
		return err
	}
	in.waiting.Store(waiting)
	in.dirty.Store(true) // an earlier process may have been killed before it emptied the log
	s.inbox, s.store = in, in.store
	return nil
}

func insertInboxQuery(n int) string {
	return `INSERT INTO inbox (digest, received_at, state, body) VALUES (?, ?, ?, ?)` + strings.Repeat(`, (?, ?, ?, ?)`,
		n-1) + ` ON CONFLICT (digest) DO NOTHING`
}

// store writes what arrived, but for what the journal has already.
func (in *inbox) store(ctx context.Context, rows []eventRow) (fresh []bool, err error) {
	known, err := in.known(ctx, rows)
	if err != nil {
		return nil, err
	}
	var news []eventRow
	for i := range rows {
		if !known[rows[i].digest] {
			news = append(news, rows[i])
		}
	}
	moved, clear := in.moved.Load(), in.cleared.Load()
	var stored []bool
	err = in.s.inTxOf(ctx, in.write, func(tx *txn) error {
		if moved > clear {
			if _, err := tx.ExecContext(ctx, `DELETE FROM inbox WHERE seq <= ?`, moved); err != nil {
				return err
			}
		}
		stored = stored[:0]
		for rest := news; len(rest) > 0; {
			n := largest(len(rest))
			are, err := insertRows(ctx, tx, "inbox", insertInboxQuery(n), rest[:n])
			if err != nil {
				return err
			}
			stored, rest = append(stored, are...), rest[n:]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	in.dirty.Store(true)
	in.cleared.Store(max(moved, clear))
	fresh = make([]bool, len(rows))
	for i := range rows {
		if !known[rows[i].digest] {
			fresh[i], stored = stored[0], stored[1:]
			if fresh[i] {
				in.waiting.Add(1)
			}
		}
	}
	return fresh, nil
}

// known says which digests the journal has.
func (in *inbox) known(ctx context.Context, rows []eventRow) (map[string]bool, error) {
	known := map[string]bool{}
	for rest := rows; len(rest) > 0; {
		n := largest(len(rest))
		args := make([]any, 0, n)
		for _, row := range rest[:n] {
			args = append(args, row.digest)
		}
		found, err := all(ctx, in.journal, `SELECT digest FROM events WHERE digest IN (?`+strings.Repeat(", ?", n-1)+`)`, args,
			scanText)
		if err != nil {
			return nil, err
		}
		for _, digest := range found {
			known[digest] = true
		}
		rest = rest[n:]
	}
	return known, nil
}

// move puts what waits into the journal, at most so many, and says how many those were.
func (in *inbox) move(ctx context.Context, most int) (moved int, err error) {
	if in.waiting.Load() == 0 {
		return 0, nil
	}
	in.moving.Lock()
	defer in.moving.Unlock()
	for moved < most {
		n, err := in.moveSome(ctx, min(most-moved, mostMoved))
		if err != nil || n == 0 {
			return moved, err
		}
		moved += n
	}
	return moved, nil
}

func (in *inbox) moveSome(ctx context.Context, most int) (int, error) {
	type arrived struct {
		seq int64
		eventRow
	}
	rows, err := all(ctx, in.read,
		`SELECT seq, digest, received_at, state, body FROM inbox WHERE seq > ? ORDER BY seq LIMIT ?`,
		[]any{in.moved.Load(), most}, func(row scanner) (a arrived, err error) {
			err = row.Scan(&a.seq, &a.digest, &a.received, &a.state, &a.body)
			return a, err
		})
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	if err := in.s.mayWrite(); err != nil {
		return 0, err
	}
	events := make([]eventRow, len(rows))
	for i := range rows {
		events[i] = rows[i].eventRow
	}
	err = in.s.inTx(ctx, func(tx *txn) error {
		for rest := events; len(rest) > 0; {
			n := largest(len(rest))
			if _, err := tx.ExecContext(ctx, insertEventsQuery(n), rowArgs(rest[:n])...); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	in.moved.Store(rows[len(rows)-1].seq)
	in.waiting.Add(-int64(len(rows)))
	return len(rows), nil
}

// largest returns the largest power of two that is no more than n and that one statement takes: few are prepared.
func largest(n int) int {
	size := 1
	for size*2 <= min(n, maxRows) {
		size *= 2
	}
	return size
}

// tidy removes what was moved, and empties the log; done is false if something is in the way, or still waits.
func (in *inbox) tidy(ctx context.Context) (done bool, err error) {
	moved := in.moved.Load()
	if moved > in.cleared.Load() {
		if _, err := in.write.ExecContext(ctx, `DELETE FROM inbox WHERE seq <= ?`, moved); err != nil {
			return false, err
		}
		in.cleared.Store(moved)
		in.dirty.Store(true)
	}
	switch {
	case in.waiting.Load() > 0:
		return false, nil
	case !in.dirty.Load():
		return true, nil
	}
	in.dirty.Store(false) // before it is emptied: what is removed meanwhile makes it dirty again
	if done, err = emptyLog(ctx, in.eraser.DB); !done {
		in.dirty.Store(true)
	}
	return done, err
}

// tidyInbox tidies it again and again, until Close.
func (s *Store) tidyInbox() {
	ticker := time.NewTicker(tidyEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-ticker.C:
		}
		if _, err := s.inbox.tidy(context.Background()); err != nil {
			s.cfg.Logger.Warn("the inbox of the database could not be tidied: what was moved may still be read in it",
				"error", err)
		}
	}
}

// settle moves all that waits into the journal, for whoever looks for it there. It changes nothing where it cannot.
func (s *Store) settle(ctx context.Context) error {
	if s.inbox == nil {
		return nil
	}
	_, err := s.inbox.move(ctx, int(s.inbox.waiting.Load()))
	return err
}

// copyInbox adds to the copy of a database what is in its inbox. It is asked with a view of the inbox from before the
// copy was made: what was moved since is in the copy.
func copyInbox(ctx context.Context, inbox *sql.Tx, empty string) error {
	rows, err := inbox.QueryContext(ctx, `SELECT digest, received_at, state, body FROM inbox ORDER BY seq`)
	if err != nil {
		return err
	}
	defer rows.Close()
	to, err := openFile(empty, url.Values{"mode": {"rw"}})
	if err != nil {
		return err
	}
	defer to.Close()
	tx, err := to.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for rows.Next() {
		var row eventRow
		if err := rows.Scan(&row.digest, &row.received, &row.state, &row.body); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, insertEventsQuery(1), rowArgs([]eventRow{row})...); err != nil {
			return err
		}
	}
	return errors.Join(rows.Err(), tx.Commit())
}

// viewInbox begins to read the inbox of a database; nil if there is none.
func viewInbox(ctx context.Context, path string) (tx *sql.Tx, done func(), err error) {
	path = InboxPath(path)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, func() {}, nil
	}
	db, err := openFile(path, url.Values{"mode": {"rw"}, "_pragma": {"busy_timeout(5000)", "query_only(1)"}})
	if err != nil {
		return nil, nil, err
	}
	tx, err = db.BeginTx(ctx, nil)
	if err == nil {
		var n int
		err = tx.QueryRowContext(ctx, `SELECT count(*) FROM inbox`).Scan(&n) // the view begins with this
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("read the inbox: %w", explain(err)), db.Close())
	}
	return tx, func() { _, _ = tx.Rollback(), db.Close() }, nil
}
