package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"flowbridge/router"
)

// choice is a way to choose a delivery of those to a notifier under a condition.
type choice struct {
	where, order  string // within a class
	before        string // condition for what goes before all else, of router.ClassNew
	acrossClasses bool   // of the first of each class it is the first by order; else of the most important class
}

// inTurn is the order in which what waits in a class is told.
const inTurn = "d.owed_since, d.id"

// newCritical is the condition for what goes before all else: in a storm a new page that is critical must not stand
// behind a hundred warnings. Its numbers are written out for the index of it, deliveries_critical.
var newCritical = fmt.Sprintf("d.class = %d AND d.severity = %d", router.ClassNew, router.Critical)

var (
	mostImportant = choice{where: claimable, order: inTurn, before: newCritical}
	owedLongest   = choice{where: claimable, order: inTurn, acrossClasses: true}
)

// pick returns the delivery that a choice finds in classes that need not wait; nil if there is none. args are those of
// its condition.
func pick(ctx context.Context, tx *txn, notifier string, by choice, blocked map[router.Class]bool,
	args ...any) (*candidate, error) {
	var classes int
	var asked []any
	if blocked[router.ClassNew] {
		by.before = ""
	}
	if by.before != "" {
		asked = append([]any{notifier}, args...)
	}
	for _, c := range router.Classes() {
		if !blocked[c] {
			classes++
			asked = append(append(asked, notifier, int64(c)), args...)
		}
	}
	if classes == 0 {
		return nil, nil
	}
	query := by.query(tx.d, classes)
	if tx.d.peers { // it is read once it is locked: what the choice saw of it may be older
		id, err := number(ctx, tx, query, asked...)
		if err != nil || id == 0 {
			return nil, err
		}
		query, asked = candidateQuery+`?`, []any{id}
	}
	c := &candidate{n: router.Notification{Target: router.Target{Notifier: notifier}}}
	var mayExist, open, failing int64
	err := tx.QueryRowContext(ctx, query, asked...).
		Scan(&c.id, &c.incident, &c.event, &c.n.Target.Kind, &c.n.Target.Address, &c.routingKey, &c.n.Revision,
			&c.n.Attempt, &failing, &c.n.Parked, &c.n.Refusals, &mayExist, &open, &c.n.Opening, &c.n.Severity,
			storedReceipt{&c.n.Receipt, &c.lost}, &c.n.Key, &c.n.Class, &c.told, &c.unsettled)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	}
	c.n.Delivery, c.n.FailingSince = c.id, fromMicros(failing)
	c.n.Attempt++
	c.n.MayExist, c.n.Open = mayExist != 0, open != 0
	return c, nil
}

const candidateQuery = `SELECT id, incident, event, kind, channel, routing_key, owed, attempts, failing_since,
	was_parked = 1, refusals, may_exist, open, opening, severity, receipt, key, class, told, digest
	FROM deliveries WHERE id = `

// query finds the delivery, or where processes share the database its id, 0 for none. It looks in one class after
// another: how much waits in those before, or in one that is to wait, does not matter. There are few such queries, and
// each claim asks one, so they are kept.
func (by choice) query(d *dialect, classes int) string {
	key := choiceKey{by, classes, d.peers}
	if query, ok := choiceQueries.Load(key); ok {
		return query.(string)
	}
	first := func(what, of string) string {
		return `(SELECT ` + what + ` FROM deliveries d WHERE d.notifier = ? AND ` + of + ` AND ` + by.where +
			` ORDER BY ` + by.order + ` LIMIT 1` + d.skipLocked + `)`
	}
	const ofClass = `d.class = ` + integer
	var found string
	if by.acrossClasses {
		each := slices.Repeat([]string{`SELECT * FROM ` + first(`d.id, d.owed_since`, ofClass) + ` AS of_class`}, classes)
		found = `coalesce((SELECT d.id FROM (` + strings.Join(each, ` UNION ALL `) + `) AS d ORDER BY ` + inTurn +
			` LIMIT 1), 0)`
	} else {
		each := slices.Repeat([]string{first(`d.id`, ofClass)}, classes)
		if by.before != "" {
			each = slices.Insert(each, 0, first(`d.id`, by.before))
		}
		found = `coalesce(` + strings.Join(append(each, `0`), `, `) + `)`
	}
	query := candidateQuery + found
	if d.peers {
		query = `SELECT ` + found
	}
	choiceQueries.Store(key, query)
	return query
}

type choiceKey struct {
	choice
	classes int
	peers   bool
}

var choiceQueries sync.Map // by choiceKey
