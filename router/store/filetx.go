package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	sqlitelib "modernc.org/sqlite/lib"
)

// fileTx is a transaction of SQLite, begun by hand. That of database/sql starts a goroutine with each query, to end it
// with the context of the transaction: a fifteenth of the work of a claim, for statements that nothing ends (see
// txn.next).
type fileTx struct {
	*sql.Conn
	ctx  context.Context
	over bool
}

func beginSQLite(ctx context.Context, conn *sql.Conn) (begun, error) {
	t := &fileTx{Conn: conn, ctx: ctx}
	// Whoever begins writes: one that began to read could not write after somebody else has.
	if _, err := conn.ExecContext(ctx, `BEGIN IMMEDIATE`); err != nil {
		return nil, errors.Join(err, t.Rollback()) // it may have begun when its time was over
	}
	return t, nil
}

// Commit is refused where the context has ended. What cannot be committed is undone.
func (t *fileTx) Commit() error {
	err := t.ctx.Err()
	if err == nil {
		_, err = t.ExecContext(context.WithoutCancel(t.ctx), `COMMIT`)
	}
	if err != nil {
		return errors.Join(err, t.Rollback())
	}
	t.over = true
	return nil
}

// Rollback undoes what is not committed. SQLite does so by itself after some faults. Where it cannot the connection is
// not used again, and the next one is in no transaction.
func (t *fileTx) Rollback() error {
	if t.over {
		return nil
	}
	t.over = true
	_, err := t.ExecContext(context.WithoutCancel(t.ctx), `ROLLBACK`)
	if err == nil || code(err) == sqlitelib.SQLITE_ERROR { // there is none
		return nil
	}
	return t.Raw(func(any) error { return fmt.Errorf("%w: %w", driver.ErrBadConn, err) })
}
