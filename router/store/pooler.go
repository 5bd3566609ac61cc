package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
)

// errShared is what a pooler is refused with that hands each transaction to whatever session is free. The right to fold
// is a lock of a session: there two processes would have it at once, and neither would see the other.
var errShared = errors.New("something between it and us has transactions of several programs share a session, as " +
	"PgBouncer does with pool_mode=transaction, and flowbridge needs sessions of its own: set pool_mode=session for " +
	"this database, or name the server itself in the URL")

// mostTries is how often a pooler is asked for a second session: others who use it may take the one that is meant.
const mostTries = 3

// ownSessions wraps errShared where our sessions are not ours alone. A server that nobody stands before has said with
// its first answer (BackendKeyData) which of its processes it is; a pooler says a number of its own. Then a second
// session, in the middle of a transaction, must be another one than the first, and the first must stay what it was.
func (s *Store) ownSessions(ctx context.Context) error {
	first, err := s.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer first.Close()
	var named, process string
	err = onServer(first, func(c *pgconn.PgConn) (err error) {
		named = strconv.FormatUint(uint64(c.PID()), 10)
		process, err = processOf(ctx, c)
		return err
	})
	if err != nil || process == named {
		return err
	}
	for range mostTries {
		second, err := s.read.Conn(ctx)
		if err != nil {
			return err
		}
		err = isAnother(ctx, first, second, process)
		_ = second.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// isAnother wraps errShared if a second session is the first, which was a process of the server, or moves it.
func isAnother(ctx context.Context, first, second *sql.Conn, process string) error {
	return onServer(second, func(c *pgconn.PgConn) error {
		if _, err := c.Exec(ctx, `BEGIN`).ReadAll(); err != nil {
			var refusal *pgconn.PgError
			if errors.As(err, &refusal) { // pool_mode=statement
				return fmt.Errorf("%w (%w)", errShared, err)
			}
			return err
		}
		other, err := processOf(ctx, c)
		now := process
		if err == nil && other != process {
			err = onServer(first, func(c *pgconn.PgConn) (err error) {
				now, err = processOf(ctx, c)
				return err
			})
		}
		if _, ended := c.Exec(ctx, `ROLLBACK`).ReadAll(); err == nil {
			err = ended
		}
		if err == nil && (other == process || now != process) {
			err = errShared
		}
		return err
	})
}

// stays is errShared where a session is served by another process of the server than when this was asked first: a
// pooler may come to share sessions while we run.
func stays(ctx context.Context, c *pgconn.PgConn) error {
	const key = "flowbridge process"
	process, err := processOf(ctx, c)
	if err != nil {
		return err
	}
	if was, known := c.CustomData()[key]; known && was != process {
		return errShared
	}
	c.CustomData()[key] = process
	return nil
}

// processOf asks which process of the server a session is served by.
func processOf(ctx context.Context, c *pgconn.PgConn) (string, error) {
	results, err := c.Exec(ctx, `SELECT pg_backend_pid()`).ReadAll() // no prepared statement: it may be somebody else's
	if err != nil {
		return "", err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != 1 {
		return "", errors.New("the server does not say its process")
	}
	return string(results[0].Rows[0][0]), nil
}
