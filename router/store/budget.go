package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"flowbridge/router"
)

// spend takes charges from their budgets, all or none, and returns when there will be enough if there is not
// enough now; zero if it was taken. A budget is one number: when all calls made so far will be paid off. It lies
// in the database, so that processes share it and a restart forgets nothing.
func spend(ctx context.Context, tx *txn, now time.Time, charges []router.Charge) (wait time.Time, err error) {
	charges = slices.Clone(charges)
	// one order of locks for all
	slices.SortFunc(charges, func(a, b router.Charge) int { return cmp.Compare(a.Budget, b.Budget) })
	paid := make([]time.Time, len(charges))
	for i, c := range charges {
		us, err := lockBudget(ctx, tx, c.Budget)
		if err != nil {
			return wait, err
		}
		var until time.Time
		if paid[i], until = pay(fromMicros(us), now, c); until.After(wait) {
			wait = until
		}
	}
	if !wait.IsZero() {
		return wait, nil
	}
	for i, c := range charges {
		if _, err := tx.ExecContext(ctx, `UPDATE budgets SET paid = ? WHERE name = ?`, micros(paid[i]),
			c.Budget); err != nil {
			return wait, err
		}
	}
	return wait, nil
}

// lockBudget reads a budget, makes it if there is none, and keeps other processes from it until the transaction ends.
func lockBudget(ctx context.Context, tx *txn, name string) (paid int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT paid FROM budgets WHERE name = ?`+tx.d.forUpdate, name).Scan(&paid)
	if !errors.Is(err, sql.ErrNoRows) {
		return paid, err
	}
	err = tx.QueryRowContext(ctx, `INSERT INTO budgets (name, paid) VALUES (?, 0)
		ON CONFLICT (name) DO UPDATE SET paid = budgets.paid RETURNING paid`, name).Scan(&paid)
	return paid, err
}

// pay returns when a budget will be paid off after a charge, or until when it must wait. A charge that is larger
// than the budget ever holds waits until it is full.
func pay(paid, now time.Time, c router.Charge) (after, wait time.Time) {
	if paid.Before(now) {
		paid = now
	}
	after = paid.Add(time.Duration(c.Calls) * c.Every)
	calls := min(c.Calls+c.Reserve, c.Burst)
	if wait = paid.Add(-time.Duration(c.Burst-calls) * c.Every); wait.After(now) {
		return paid, wait
	}
	return after, time.Time{}
}
