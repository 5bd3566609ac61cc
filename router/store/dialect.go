package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pressly/goose/v3"

	"flowbridge/router"
)

// dialect is what differs between the databases in the SQL that they share. Statements are written once, with ?
// for each parameter, in turn; a literal never holds one.
type dialect struct {
	goose goose.Dialect
	// identity is the type of a key that numbers itself. The migrations are written with SQLite's.
	identity string
	// skipLocked goes after the choice of a delivery to claim: what another process is about to claim is passed over.
	skipLocked string
	// forUpdate goes after the choice of a row that is about to be written, so that nobody else writes it meanwhile.
	forUpdate string
	// numbered parameters are $1, $2 and so on.
	numbered bool
	// plain text holds no NUL and is valid UTF-8; Meta may send neither.
	plain bool
	// timeout bounds a transaction or a query; 0 where the database itself does.
	timeout time.Duration
	// execAll runs a statement for every row.
	execAll func(ctx context.Context, tx *txn, query string, rows [][]any) error
	// undone says that a transaction lost against another one, and that the same may succeed now.
	undone func(error) bool
	// refused says that the values are at fault, not storage: others may be stored.
	refused func(error) bool
	// unavailable says that storage is at fault, whatever the values.
	unavailable func(error) bool

	rebound sync.Map // statements as written -> as the database wants them
}

// rebind turns a statement into the database's own form. There are few, so they are kept.
func (d *dialect) rebind(query string) string {
	if !d.numbered {
		return query
	}
	if own, ok := d.rebound.Load(query); ok {
		return own.(string)
	}
	var own strings.Builder
	n := 0
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			own.WriteString("$" + strconv.Itoa(n))
		}
		own.WriteString(part)
		n++
	}
	d.rebound.Store(query, own.String())
	return own.String()
}

// clean makes text fit for the database. The same text always becomes the same, so what was written is found.
func (d *dialect) clean(args []any) []any {
	if !d.plain {
		return args
	}
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = plainText(text)
		}
	}
	return args
}

func plainText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// blame makes an error say what is at fault, where that is clear: see router.ErrUnavailable.
func (d *dialect) blame(err error) error {
	switch {
	case err == nil || errors.Is(err, router.ErrConflict) || errors.Is(err, router.ErrClosed):
		return err
	case ofJSON(err) || d.refused(err):
		return fmt.Errorf("%w: %w", router.ErrValues, err)
	case d.unavailable(err):
		return fmt.Errorf("%w: %w", router.ErrUnavailable, err)
	}
	return err
}

// ofJSON says that something could not be written as JSON, or read.
func ofJSON(err error) bool {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	var value *json.UnsupportedValueError
	var marshaler *json.MarshalerError
	return errors.As(err, &syntax) || errors.As(err, &mismatch) || errors.As(err, &value) || errors.As(err, &marshaler)
}

// pool is a database, and txn a transaction of its writer, that take statements as they are written here.
type pool struct {
	*sql.DB
	d *dialect
}

// session is a connection of a pool that one caller has for himself.
type session struct {
	*sql.Conn
	d *dialect
}

type txn struct {
	*sql.Tx
	d    *dialect
	conn *sql.Conn // that it runs on
}

// querier is any of them.
type querier interface {
	// bounded limits a query where nothing else does.
	bounded(ctx context.Context) (context.Context, context.CancelFunc)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (p *pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return p.DB.QueryContext(ctx, p.d.rebind(query), p.d.clean(args)...)
}

func (p *pool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return p.DB.QueryRowContext(ctx, p.d.rebind(query), p.d.clean(args)...)
}

func (p *pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return p.DB.ExecContext(ctx, p.d.rebind(query), p.d.clean(args)...)
}

func (s *session) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return s.Conn.QueryContext(ctx, s.d.rebind(query), s.d.clean(args)...)
}

func (s *session) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return s.Conn.QueryRowContext(ctx, s.d.rebind(query), s.d.clean(args)...)
}

func (t *txn) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.Tx.QueryContext(ctx, t.d.rebind(query), t.d.clean(args)...)
}

func (t *txn) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return t.Tx.QueryRowContext(ctx, t.d.rebind(query), t.d.clean(args)...)
}

func (t *txn) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.Tx.ExecContext(ctx, t.d.rebind(query), t.d.clean(args)...)
}

// inTx runs f in a transaction of the writer; again if it was undone for the sake of another one, or its session was of
// no use.
func (s *Store) inTx(ctx context.Context, f func(tx *txn) error) error {
	return s.inTxOf(ctx, s.write, f)
}

// inTxOf does so in a transaction of a pool.
func (s *Store) inTxOf(ctx context.Context, of *pool, f func(tx *txn) error) error {
	ctx, cancel := s.d.bounded(ctx)
	defer cancel()
	return timedOut(ctx, s.again(func() error {
		conn, err := of.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		return s.once(ctx, conn, f)
	}))
}

// inTxOn does so on one session of PostgreSQL, until that has ended.
func (s *Store) inTxOn(ctx context.Context, conn *sql.Conn, f func(tx *txn) error) (err error) {
	for range tries {
		if err = s.once(ctx, conn, f); err == nil || !s.d.undone(err) || ended(conn) {
			break
		}
	}
	return timedOut(ctx, err)
}

const tries = 3

// again tries what was undone a few times.
func (s *Store) again(try func() error) (err error) {
	for range tries {
		if err = try(); err == nil || !s.d.undone(err) {
			break
		}
	}
	return err
}

// timedOut says of an error that the time was over, where it was: a driver may only say that something is closed.
func timedOut(ctx context.Context, err error) error {
	if over := ctx.Err(); err != nil && over != nil && !errors.Is(err, over) {
		return fmt.Errorf("%w: %w", over, err)
	}
	return err
}

func (s *Store) once(ctx context.Context, conn *sql.Conn, f func(tx *txn) error) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(&txn{tx, s.d, conn}); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

// bounded limits a call to the database where nothing else does.
func (d *dialect) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if d.timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d.timeout)
}

func (p *pool) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return p.d.bounded(ctx)
}

func (s *session) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return s.d.bounded(ctx)
}

// bounded does nothing: a transaction is bounded as a whole.
func (t *txn) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return ctx, func() {}
}

// ignoreDone drops the error of a transaction that has ended by itself.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}
