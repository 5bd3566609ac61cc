package store

import (
	"context"
	"fmt"

	"flowbridge/router"
)

// FoldMark returns the mark of the process that folds, or of the last that ended without removing it; nil for none.
func (s *Store) FoldMark(ctx context.Context) (*router.Mark, error) {
	marks, err := all(ctx, s.read, `SELECT alone, times FROM fold_mark WHERE id = 1`, nil,
		func(row scanner) (m router.Mark, err error) {
			err = row.Scan(&m.Alone, &m.Times)
			return m, err
		})
	if err != nil {
		return nil, fmt.Errorf("read the mark of the fold: %w", s.d.blame(err))
	}
	if len(marks) == 0 {
		return nil, nil
	}
	return &marks[0], nil
}

// SetFoldMark replaces it; nil removes it. It wraps router.ErrConflict if another process folds by now.
func (s *Store) SetFoldMark(ctx context.Context, m *router.Mark) error {
	err := s.inTurn(ctx, func(tx *txn) error {
		if m == nil {
			_, err := tx.ExecContext(ctx, `DELETE FROM fold_mark WHERE id = 1`)
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO fold_mark (id, alone, times) VALUES (1, ?, ?)
			ON CONFLICT (id) DO UPDATE SET alone = excluded.alone, times = excluded.times`, m.Alone, m.Times)
		return err
	})
	if err != nil {
		return fmt.Errorf("store the mark of the fold: %w", s.d.blame(err))
	}
	return nil
}
