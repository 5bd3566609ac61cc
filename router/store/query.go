// What every room of the store asks the database with: statements over a pool, a session or a transaction.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// pool is a database, and txn a transaction of its writer, that take statements as they are written here.
type pool struct {
	*sql.DB
	d      *dialect
	polite bool         // its transactions are not what somebody waits for who is to be answered
	asked  atomic.Int64 // queries so far, for tests that count them
}

// session is a connection of a pool that one caller has for himself.
type session struct {
	*sql.Conn
	d *dialect
}

type txn struct {
	begun
	d     *dialect
	conn  *sql.Conn   // that it runs on
	late  []statement // that were put off
	fault error       // of such a one: nothing of the transaction is of use

	polite bool      // it lets others have the processor now and then
	since  time.Time // when it did last
}

// begun is a transaction as its database begins it.
type begun interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	Commit() error
	Rollback() error
}

// statement is one that can share a round trip with others: see txn.later.
type statement struct {
	query string
	args  []any

	row      func(scanner) error    // takes each row of its answer; nil: it has none
	affected func(rows int64) error // takes how many rows it changed; nil: that does not matter
}

// doing is a statement that answers nothing.
func doing(query string, args ...any) statement { return statement{query: query, args: args} }

// reading is one whose answer is added to rows.
func reading[T any](rows *[]T, query string, args []any, scan func(scanner) (T, error)) statement {
	return statement{query: query, args: args, row: func(row scanner) error {
		v, err := scan(row)
		if err == nil {
			*rows = append(*rows, v)
		}
		return err
	}}
}

// querier is any of them.
type querier interface {
	// bounded limits a query where nothing else does.
	bounded(ctx context.Context) (context.Context, context.CancelFunc)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (p *pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	p.asked.Add(1)
	return p.DB.QueryContext(ctx, p.d.rebind(query), p.d.clean(args)...)
}

func (p *pool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	p.asked.Add(1)
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

// mostTurn is how long a transaction goes on before others have the processor. Go itself lets one go on for 10 ms, and
// a post that is on disk already waits so long for its answer.
const mostTurn = 200 * time.Microsecond

// next comes before each statement, and returns its context. SQLite's statements are short, and to be able to stop one
// costs a goroutine each time: a context that has ended lets none begin.
func (t *txn) next(ctx context.Context) context.Context {
	if t.polite && time.Since(t.since) > mostTurn {
		runtime.Gosched()
		t.since = time.Now()
	}
	if t.d.peers || ctx.Err() != nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

func (t *txn) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := t.flush(ctx); err != nil {
		return nil, err
	}
	return t.begun.QueryContext(t.next(ctx), t.d.rebind(query), t.d.clean(args)...)
}

// QueryRowContext cannot say that what was put off has failed: the next call says so, at the latest at the end.
func (t *txn) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	_ = t.flush(ctx)
	return t.begun.QueryRowContext(t.next(ctx), t.d.rebind(query), t.d.clean(args)...)
}

func (t *txn) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := t.flush(ctx); err != nil {
		return nil, err
	}
	return t.begun.ExecContext(t.next(ctx), t.d.rebind(query), t.d.clean(args)...)
}

// later does statements where that is no round trip. Elsewhere it puts them off until the next one that is not put off,
// flush or the end of the transaction, and they share one.
func (t *txn) later(ctx context.Context, statements ...statement) error {
	if t.d.together != nil {
		t.late = append(t.late, statements...)
		return nil
	}
	for i := range statements {
		if err := t.do(ctx, &statements[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t *txn) do(ctx context.Context, s *statement) error {
	if s.row != nil {
		_, err := all(ctx, t, s.query, s.args, func(row scanner) (struct{}, error) { return struct{}{}, s.row(row) })
		return err
	}
	done, err := t.ExecContext(ctx, s.query, s.args...)
	if err != nil || s.affected == nil {
		return err
	}
	rows, err := done.RowsAffected()
	if err == nil {
		err = s.affected(rows)
	}
	return err
}

// flush does what was put off.
func (t *txn) flush(ctx context.Context) error {
	late := t.late
	if t.late = nil; len(late) > 0 && t.fault == nil {
		t.fault = t.d.together(ctx, t, late)
	}
	return t.fault
}

// inTx runs f in a transaction of the writer; again if it was undone for the sake of another one, or with its session.
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
		return s.once(ctx, conn, of.polite, f)
	}))
}

// inTxOn does so on one session of PostgreSQL, until that has ended.
func (s *Store) inTxOn(ctx context.Context, conn *sql.Conn, f func(tx *txn) error) (err error) {
	for range tries {
		if err = s.once(ctx, conn, false, f); err == nil || !s.d.undone(err) || ended(conn) {
			break
		}
	}
	return timedOut(ctx, err)
}

const tries = 3

// again tries what was undone a few times.
func (s *Store) again(try func() error) (err error) {
	for range tries {
		if err = try(); err == nil || !s.d.undone(err) && !errors.Is(err, errEnded) {
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

// once tries it once. Its error is an errEnded where the session has ended before it was to be committed: then nothing
// of it was done. It is an errUnclear where that ended while it was committed.
func (s *Store) once(ctx context.Context, conn *sql.Conn, polite bool, f func(tx *txn) error) error {
	tx, err := s.d.begin(ctx, conn)
	if err != nil {
		return s.endedWith(ctx, conn, err)
	}
	defer tx.Rollback() // for one that panics
	t := &txn{begun: tx, d: s.d, conn: conn, polite: polite, since: time.Now()}
	err = f(t)
	if err == nil {
		err = t.flush(ctx)
	}
	if err != nil {
		return s.endedWith(ctx, conn, errors.Join(err, ignoreDone(tx.Rollback())))
	}
	if err = tx.Commit(); err != nil && s.d.peers && ended(conn) {
		return fmt.Errorf("%w: %w", errUnclear, err)
	}
	return err
}

// endedWith returns an error of a session of PostgreSQL, as an errEnded where that has ended with it, and not because
// the time was over.
func (s *Store) endedWith(ctx context.Context, conn *sql.Conn, err error) error {
	if s.d.peers && ctx.Err() == nil && ended(conn) {
		return fmt.Errorf("%w: %w", errEnded, err)
	}
	return err
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

// all reads every row of a query.
func all[T any](ctx context.Context, q querier, query string, args []any, scan func(scanner) (T, error)) ([]T, error) {
	ctx, cancel := q.bounded(ctx)
	defer cancel()
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// number reads one number.
func number(ctx context.Context, q querier, query string, args ...any) (n int64, err error) {
	ctx, cancel := q.bounded(ctx)
	defer cancel()
	err = q.QueryRowContext(ctx, query, args...).Scan(&n)
	return n, err
}

// each runs a statement for every row.
func each[T any](ctx context.Context, tx *txn, rows []T, query string, args func(T) ([]any, error)) error {
	if len(rows) == 0 {
		return nil
	}
	values := make([][]any, len(rows))
	for i, row := range rows {
		var err error
		if values[i], err = args(row); err != nil {
			return err
		}
	}
	return tx.d.execAll(ctx, tx, query, values)
}

// scanner is a row of a query.
type scanner interface{ Scan(dest ...any) error }

func scanText(row scanner) (text string, err error) {
	err = row.Scan(&text)
	return text, err
}

func scanID(row scanner) (id int64, err error) {
	err = row.Scan(&id)
	return id, err
}
