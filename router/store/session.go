package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// A failover leaves sessions behind that still answer, at a server that takes no writes: it became a standby, or was
// made read-only. Kept, each of them refuses every post and page, reads what was true before the failover, and holds
// the advisory lock that lets another process fold. So:
//   - a session is checked for being writable when it is made (limitSession);
//   - one that answers that it cannot write, or that its server goes, is ended with that answer (useless), and all
//     others made before it are ended when they are next taken from their pool (generation);
//   - the session that folds and the one that listens, which are in no pool, are asked now and then (writable);
//   - no session is used for longer than Config.SessionLife: by then the server's name may lead elsewhere.

// errReadOnly is the answer of a server that is of no use to us, though it lets us in.
var errReadOnly = errors.New("the server takes no writes: it is a standby, or default_transaction_read_only is on")

// useless says that an error ends its session: no statement will write anything there any more.
func useless(e *pgconn.PgError) bool {
	switch e.Code {
	case "25006", // read_only_sql_transaction
		"57P01", "57P02", "57P03", // the server stops, crashed or starts
		"57P04", "57P05": // the database is gone; idle for too long
		return true
	}
	return strings.HasPrefix(e.Code, "08") || e.SeverityUnlocalized == "FATAL" || e.SeverityUnlocalized == "PANIC"
}

// ofServer says that an error speaks of the server and not of one session: others hear the same soon, or never.
func ofServer(e *pgconn.PgError) bool {
	switch e.Code {
	case "25006", "57P01", "57P02", "57P03":
		return true
	}
	return false
}

// isIdle says that the server ended a session that said nothing in the middle of a transaction
// (idle_in_transaction_session_timeout). What was done in it is undone.
func isIdle(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && refusal.Code == "25P03"
}

// isLost says that a connection ended while it was in use. One that cannot be made is another matter.
func isLost(err error) bool {
	var network *net.OpError
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &network) && network.Op != "dial"
}

// generation counts how often all sessions of a pool were given up. One of an older generation is not used again.
type generation struct{ atomic.Int64 }

// birth is what a session remembers of how it was made, in its CustomData.
type birth struct {
	generation int64 // of its pool, from before it was dialled
	at         time.Time
}

const birthKey = "flowbridge"

// sessionConfig returns the configuration of one connection that is about to be made, of a pool's generation.
func (s *Store) sessionConfig(config *pgx.ConnConfig, of *generation) *pgx.ConnConfig {
	config = config.Copy()
	born := birth{of.Load(), time.Now()}
	config.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		conn.CustomData()[birthKey] = born
		return s.limitSession(ctx, conn)
	}
	config.OnPgError = func(_ *pgconn.PgConn, e *pgconn.PgError) bool {
		if ofServer(e) && of.CompareAndSwap(born.generation, born.generation+1) { // the first to hear it
			for _, other := range []*generation{&s.writers, &s.readers} {
				if other != of {
					other.Add(1)
				}
			}
		}
		return !useless(e) // false ends the session
	}
	return config
}

// outdated says that a session is not to be used again. It asks nobody: the server tells of both settings by itself,
// with its answer to a statement or a ping.
func (s *Store) outdated(conn *pgconn.PgConn, of *generation) bool {
	born, ok := conn.CustomData()[birthKey].(birth)
	readOnly := conn.ParameterStatus("in_hot_standby") == "on" ||
		conn.ParameterStatus("default_transaction_read_only") == "on"
	return !ok || born.generation != of.Load() || time.Since(born.at) > s.cfg.SessionLife || readOnly && !s.onlyReads
}

// openPool opens n connections at most, one when it is needed.
func (s *Store) openPool(config *pgx.ConnConfig, n int, of *generation) *pool {
	connector := stdlib.GetConnector(*config,
		stdlib.OptionBeforeConnect(func(_ context.Context, c *pgx.ConnConfig) error {
			*c = *s.sessionConfig(c, of)
			return nil
		}),
		stdlib.OptionResetSession(func(_ context.Context, conn *pgx.Conn) error {
			if s.outdated(conn.PgConn(), of) {
				return driver.ErrBadConn
			}
			return nil
		}))
	db := sql.OpenDB(gated{connector, &s.gate})
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	db.SetConnMaxIdleTime(s.cfg.SessionLife)
	db.SetConnMaxLifetime(s.cfg.SessionLife)
	s.opened = append(s.opened, db)
	return &pool{DB: db, d: s.d}
}

// limitSession refuses a server that takes no writes, and bounds what a session may hold up, whatever becomes of us. In
// the middle of a transaction it is given half the time: if we are cut off, one of our sessions may wait for what
// another one holds, and its time begins when it has that. Each of our statements has an index: a session that chose to
// read a table from one end to the other while it was empty would do so for as long as it lives. What is compiled for a
// statement pays for one that takes seconds: none of ours does.
func (s *Store) limitSession(ctx context.Context, conn *pgconn.PgConn) error {
	call, dead := s.cfg.Timeout.Milliseconds(), s.cfg.DeadAfter.Milliseconds()
	_, err := conn.Exec(ctx, fmt.Sprintf(`SET statement_timeout = %d; SET lock_timeout = %d;
		SET idle_in_transaction_session_timeout = %d; SET tcp_user_timeout = %d; SET tcp_keepalives_idle = %d;
		SET tcp_keepalives_interval = %d; SET tcp_keepalives_count = 3; SET client_min_messages = warning;
		SET enable_seqscan = off; SET jit = off`,
		call, call, dead/2, dead, max(dead/3000, 1), max(dead/6000, 1))).ReadAll()
	if err != nil || s.onlyReads {
		return err
	}
	return writable(ctx, conn)
}

// writable asks the server whether it takes writes.
func writable(ctx context.Context, conn *pgconn.PgConn) error {
	results, err := conn.Exec(ctx, `SHOW transaction_read_only`).ReadAll()
	switch {
	case err != nil:
		return err
	case len(results) != 1 || len(results[0].Rows) != 1 || string(results[0].Rows[0][0]) != "off":
		return errReadOnly
	}
	return nil
}

// onServer runs f with the connection below a session; the session is over if that fails.
func onServer(conn *sql.Conn, f func(*pgconn.PgConn) error) error {
	return conn.Raw(func(driver any) error { return f(driver.(*stdlib.Conn).Conn().PgConn()) })
}

// ended says that a session is over, and with it all that it held.
func ended(conn *sql.Conn) bool {
	return onServer(conn, func(c *pgconn.PgConn) error {
		if c.IsClosed() {
			return errEnded
		}
		return nil
	}) != nil
}

var (
	errEnded   = errors.New("the session has ended")
	errUnclear = errors.New("the session has ended, and nobody knows whether the last of it was done")
)
