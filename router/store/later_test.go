package store

import (
	"errors"
	"path/filepath"
	"testing"

	"flowbridge/router"
	"flowbridge/router/store/storetest"
)

// TestWhatIsPutOffIsDoneInTurnOrNothingIs: a statement that was put off is seen by those after it, whichever they are,
// and one that fails undoes all, though what came next could not say so.
func TestWhatIsPutOffIsDoneInTurnOrNothingIs(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) { putsOff(t, filepath.Join(t.TempDir(), "later.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { putsOff(t, storetest.Shared(t).Database(t)) })
}

func putsOff(t *testing.T, dsn string) {
	s := openFull(t, dsn)
	const insert, count = `INSERT INTO budgets (name, paid) VALUES (?, 1)`, `SELECT count(*) FROM budgets`
	var seen []int64
	err := s.inTx(t.Context(), func(tx *txn) error {
		err := tx.later(t.Context(), doing(insert, "a"), reading(&seen, count, nil, scanID), doing(insert, "b"))
		if err != nil {
			return err
		}
		n, err := number(t.Context(), tx, count)
		seen = append(seen, n)
		return errors.Join(err, tx.later(t.Context(), doing(insert, "c")))
	})
	if n, _ := number(t.Context(), s.read, count); err != nil || n != 3 || len(seen) != 2 || seen[0] != 1 || seen[1] != 2 {
		t.Errorf("%v: saw %v, and there are %d", err, seen, n)
	}
	err = s.inTx(t.Context(), func(tx *txn) error {
		none := doing(`UPDATE budgets SET paid = 2 WHERE name = ?`, "d")
		none.affected = func(rows int64) error { return ours(rows, 7) }
		if err := tx.later(t.Context(), doing(insert, "e"), none); err != nil {
			return err
		}
		_, _ = number(t.Context(), tx, count)
		return nil
	})
	if n, _ := number(t.Context(), s.read, count); !errors.Is(err, router.ErrConflict) || n != 3 {
		t.Errorf("what failed said %v, and there are %d", err, n)
	}
}
