package store

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"flowbridge/router"
)

// spend takes charges from their budgets, all or none, and returns when there will be enough if there is not
// enough now; zero if it was taken. left says whether the same could be taken again. A budget is one number: when all
// calls made so far will be paid off. It lies in the database: processes share it, and a restart forgets nothing. What
// room has read in the same transaction is read again only where others could have written it since.
func spend(ctx context.Context, tx *txn, now time.Time, charges []router.Charge,
	budgets map[string]int64) (wait time.Time, left bool, err error) {
	if len(charges) == 0 {
		return wait, true, nil
	}
	if tx.d.peers || len(unread(charges, budgets)) > 0 {
		if budgets, err = lockBudgets(ctx, tx, charges); err != nil {
			return wait, false, err
		}
	}
	if wait = short(budgets, now, charges); !wait.IsZero() {
		return wait, false, nil
	}
	for _, c := range charges {
		after, _ := pay(fromMicros(budgets[c.Budget]), now, c)
		budgets[c.Budget] = micros(after)
		if err := tx.later(ctx, doing(`UPDATE budgets SET paid = ? WHERE name = ?`, micros(after), c.Budget)); err != nil {
			return wait, false, err
		}
	}
	return wait, short(budgets, now, charges).IsZero(), nil
}

// room returns until when there is not enough for charges, zero where there seems to be, and what it has read. It locks
// nothing: whoever spends looks again.
func room(ctx context.Context, tx *txn, now time.Time, charges []router.Charge) (wait time.Time,
	budgets map[string]int64, err error) {
	if len(charges) == 0 {
		return wait, nil, nil
	}
	budgets, err = readBudgets(ctx, tx, charges, "")
	return short(budgets, now, charges), budgets, err
}

// unread returns those charges whose budgets are not among some: as a rule there are none of them yet.
func unread(charges []router.Charge, budgets map[string]int64) []router.Charge {
	return slices.DeleteFunc(slices.Clone(charges), func(c router.Charge) bool {
		_, known := budgets[c.Budget]
		return known
	})
}

// lockBudgets reads the budgets of some charges, makes those that there are none of, and keeps other processes from
// them until the transaction ends.
func lockBudgets(ctx context.Context, tx *txn, charges []router.Charge) (map[string]int64, error) {
	locked := " ORDER BY name" + tx.d.forUpdate // one order of locks for all
	budgets, err := readBudgets(ctx, tx, charges, locked)
	fresh := unread(charges, budgets)
	if err != nil || len(fresh) == 0 {
		return budgets, err
	}
	slices.SortFunc(fresh, func(a, b router.Charge) int { return cmp.Compare(a.Budget, b.Budget) })
	for _, c := range fresh {
		if _, err := tx.ExecContext(ctx, `INSERT INTO budgets (name, paid) VALUES (?, 0) ON CONFLICT (name) DO NOTHING`,
			c.Budget); err != nil {
			return nil, err
		}
	}
	return readBudgets(ctx, tx, charges, locked)
}

// readBudgets reads when the budgets of some charges will be paid off.
func readBudgets(ctx context.Context, tx *txn, charges []router.Charge, then string) (map[string]int64, error) {
	var names []any
	for _, c := range charges {
		names = append(names, c.Budget)
	}
	budgets := make(map[string]int64, len(charges))
	_, err := all(ctx, tx, `SELECT name, paid FROM budgets WHERE name IN (?`+strings.Repeat(", ?", len(names)-1)+`)`+then,
		names, func(row scanner) (_ struct{}, err error) {
			var name string
			var paid int64
			err = row.Scan(&name, &paid)
			budgets[name] = paid
			return struct{}{}, err
		})
	return budgets, err
}

// short returns until when charges find no room in budgets, zero where they do. What no budget is kept of yet is paid.
func short(budgets map[string]int64, now time.Time, charges []router.Charge) (wait time.Time) {
	for _, c := range charges {
		if _, until := pay(fromMicros(budgets[c.Budget]), now, c); until.After(wait) {
			wait = until
		}
	}
	return wait
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
