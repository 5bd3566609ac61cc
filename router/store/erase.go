package store

import (
	"context"
	"database/sql"
	"net/url"
	"time"

	sqlitelib "modernc.org/sqlite/lib"

	"flowbridge/router"
)

// What is removed from a SQLite file must not stay readable in it. The writer overwrites it with zeros (secure_delete),
// but the write-ahead log beside the file still holds the pages as they were until it is emptied. So it is, soon after
// something was removed.
const (
	eraseSoon   = time.Second     // after something was removed: more may follow
	eraseAgain  = time.Second     // where somebody reads or writes just then
	eraseAtOnce = 5 * time.Second // for somebody who waits for it
	eraseRest   = 5 * time.Second // between two times, for forms that come in all day
)

// openEraser opens a connection that empties the log. It waits for nobody: what reads or writes just then goes first.
func (s *Store) openEraser(path string) error {
	db, err := s.openHeld(path, url.Values{"_pragma": {"busy_timeout(0)", "cache_size(-500)", "synchronous(FULL)"}})
	if err != nil {
		return err
	}
	s.eraser, s.opened = db, append(s.opened, db)
	db.SetMaxOpenConns(1)
	pulse(s.erased) // an earlier process may have been killed before it did so
	return nil
}

// eraseLogs empties the log after each pulse, until Close; the last connection that closes empties it as well.
func (s *Store) eraseLogs() {
	wait := func(d time.Duration) bool {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-s.closing:
			return false
		case <-timer.C:
			return true
		}
	}
	for {
		select {
		case <-s.closing:
			return
		case <-s.erased:
		}
		for pause := eraseSoon; ; pause = eraseAgain {
			if !wait(pause) {
				return
			}
			if done, err := s.emptyOwnLog(context.Background()); done || err != nil {
				if err != nil {
					s.cfg.Logger.Warn("the log of the database could not be emptied: what was removed may still be read in it",
						"error", err)
				}
				break
			}
		}
		if !wait(eraseRest) {
			return
		}
	}
}

// emptyOwnLog empties the log of the database, where that is what it was.
func (s *Store) emptyOwnLog(ctx context.Context) (done bool, err error) {
	if err := s.mayWrite(); err != nil {
		return false, err
	}
	return emptyLog(ctx, s.eraser)
}

// emptyLog moves what the log of a database holds into its file and cuts it to nothing; done is false if somebody was
// in the way. Most is moved while others write.
func emptyLog(ctx context.Context, db *sql.DB) (done bool, err error) {
	for _, how := range []string{"PASSIVE", "TRUNCATE"} {
		var busy, pages, moved int
		err := db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(`+how+`)`).Scan(&busy, &pages, &moved)
		switch c := code(err); {
		case c == sqlitelib.SQLITE_BUSY || c == sqlitelib.SQLITE_LOCKED:
			return false, nil
		case err != nil:
			return false, err
		}
		done = busy == 0
	}
	return done, nil
}

// awaitErased tries for a while to empty the log at once; if somebody is in the way all the while it is emptied later.
func (s *Store) awaitErased(ctx context.Context) {
	if s.eraser == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, eraseAtOnce)
	defer cancel()
	for inbox, log := false, false; !(inbox && log) && ctx.Err() == nil; router.Sleep(ctx, eraseAgain/20) {
		var err error
		if !inbox {
			if inbox, err = s.inbox.tidy(ctx); err != nil {
				s.cfg.Logger.Warn("the inbox of the database could not be tidied: what was moved may still be read in it",
					"error", err)
				return
			}
		}
		if !log {
			if log, err = s.emptyOwnLog(ctx); err != nil {
				return // a fault is logged when it is tried again
			}
		}
	}
}
