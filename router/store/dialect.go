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
	// forUpdate goes after the choice of a row that is about to be written, so that nobody else writes it meanwhile; see
	// locking for one of several tables.
	forUpdate string
	// position is the function that finds a text in another, 0 for nowhere.
	position string
	// field is an expression for a text at the top of the JSON in a column, with %s for each.
	field string
	// numbered parameters are $1, $2 and so on.
	numbered bool
	// plain text holds no NUL and is valid UTF-8; Meta may send neither.
	plain bool
	// peers says that other processes may be at work on the database.
	peers bool
	// timeout bounds a transaction or a query; 0 where the database itself does.
	timeout time.Duration
	// begin begins a transaction that writes, on a connection that nobody else uses.
	begin func(ctx context.Context, conn *sql.Conn) (begun, error)
	// execAll runs a statement for every row.
	execAll func(ctx context.Context, tx *txn, query string, rows [][]any) error
	// together runs statements in one round trip; nil where that is none.
	together func(ctx context.Context, tx *txn, statements []statement) error
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

// locking is forUpdate for the rows of one table of a join, by its name in there.
func (d *dialect) locking(table string) string {
	if d.forUpdate == "" {
		return ""
	}
	return d.forUpdate + " OF " + table
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
