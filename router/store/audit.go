package store

import (
	"context"
	"fmt"
	"math"

	"flowbridge/router"
)

// Audit keeps what people and operators did that does not go through the journal: what does is kept by Commit, and a
// retry by RetryDelivery, each in its own transaction.
func (s *Store) Audit(ctx context.Context, entries ...router.AuditEntry) error {
	err := s.inTx(ctx, func(tx *txn) error { return insertAudit(ctx, tx, entries) })
	if err != nil {
		return fmt.Errorf("store audit: %w", err)
	}
	return nil
}

// AuditEntries returns at most limit entries, the newest first: those before an id, or all for 0.
func (s *Store) AuditEntries(ctx context.Context, before int64, limit int) ([]router.AuditEntry, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	found, err := all(ctx, s.read,
		`SELECT id, at, who, verified, origin, what, result, event FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?`,
		[]any{before, limited(limit)}, func(row scanner) (e router.AuditEntry, err error) {
			var at int64
			err = row.Scan(&e.ID, &at, &e.Who, &e.Verified, &e.From, &e.What, &e.Result, &e.Event)
			e.At = fromMicros(at)
			return e, err
		})
	if err != nil {
		return nil, fmt.Errorf("read audit: %w", err)
	}
	return found, nil
}

func writeAudit(ctx context.Context, tx *txn, b router.Batch) error {
	return insertAudit(ctx, tx, b.Audit)
}

func insertAudit(ctx context.Context, tx *txn, entries []router.AuditEntry) error {
	const query = `INSERT INTO audit (at, who, verified, origin, what, result, event) VALUES (?, ?, ?, ?, ?, ?, ?)`
	return each(ctx, tx, entries, query, func(e router.AuditEntry) ([]any, error) {
		return []any{micros(e.At), e.Who, e.Verified, e.From, e.What, e.Result, e.Event}, nil
	})
}

// sweepAudit removes what is older than a time.
func (s *Store) sweepAudit(ctx context.Context, before int64) (n int64, err error) {
	const query = `DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ? ORDER BY at LIMIT ?)`
	for {
		gone := int64(0)
		err := s.remove(ctx, func(tx *txn) error {
			result, err := tx.ExecContext(ctx, query, before, sweepRows)
			if err != nil {
				return err
			}
			gone, err = result.RowsAffected()
			return err
		})
		if err != nil {
			return n, err
		}
		if n += gone; gone < sweepRows {
			return n, nil
		}
	}
}
