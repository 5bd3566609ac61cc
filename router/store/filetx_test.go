package store

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
)

// TestATransactionOfAFileEndsWhateverHappens holds that what was begun is done or undone as a whole, and that the next
// one begins on a connection that is in none.
func TestATransactionOfAFileEndsWhateverHappens(t *testing.T) {
	t.Parallel()
	s, err := Open(context.Background(), Config{DSN: filepath.Join(t.TempDir(), "test.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	write := func(ctx context.Context, tx *txn, name string) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO lanes (notifier) VALUES (?)`, name)
		return err
	}
	errOurs := errors.New("ours")
	for _, tt := range []struct {
		name string
		do   func(ctx context.Context, end context.CancelFunc, tx *txn) error
		want error // nil: some error, or none where it is done
		done bool
	}{
		{name: "it is done", done: true,
			do: func(ctx context.Context, _ context.CancelFunc, tx *txn) error { return write(ctx, tx, "it is done") }},
		{name: "it fails", want: errOurs, do: func(ctx context.Context, _ context.CancelFunc, tx *txn) error {
			return errors.Join(write(ctx, tx, "it fails"), errOurs)
		}},
		{name: "it panics", want: errOurs, do: func(ctx context.Context, _ context.CancelFunc, tx *txn) error {
			panic(errors.Join(write(ctx, tx, "it panics"), errOurs))
		}},
		{name: "its context ends between two statements", want: context.Canceled,
			do: func(ctx context.Context, end context.CancelFunc, tx *txn) error {
				err := write(ctx, tx, "its context ends between two statements")
				end()
				var n int
				return errors.Join(err, tx.QueryRowContext(ctx, `SELECT count(*) FROM lanes`).Scan(&n))
			}},
		{name: "its context ends before it is committed", want: context.Canceled,
			do: func(ctx context.Context, end context.CancelFunc, tx *txn) error {
				err := write(ctx, tx, "its context ends before it is committed")
				end()
				return err
			}},
		{name: "SQLite has undone it", do: func(ctx context.Context, _ context.CancelFunc, tx *txn) error {
			_, err := tx.ExecContext(ctx, `ROLLBACK`)
			return errors.Join(write(ctx, tx, "another"), err)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, end := context.WithCancel(context.Background())
			defer end()
			err := func() (err error) {
				defer func() {
					if p := recover(); p != nil {
						err = p.(error)
					}
				}()
				return s.inTx(ctx, func(tx *txn) error { return tt.do(ctx, end, tx) })
			}()
			if (err == nil) != tt.done || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("error %v", err)
			}
			if err := s.inTx(context.Background(), func(tx *txn) error {
				var found string
				err := tx.QueryRowContext(context.Background(), `SELECT notifier FROM lanes WHERE notifier = ?`, tt.name).
					Scan(&found)
				if errors.Is(err, sql.ErrNoRows) != !tt.done {
					t.Errorf("read after it: %v", err)
				}
				return write(context.Background(), tx, "after "+tt.name)
			}); err != nil {
				t.Errorf("the next one: %v", err)
			}
		})
	}
}
