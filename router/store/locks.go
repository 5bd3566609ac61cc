// In which order transactions lock deliveries.

package store

import (
	"context"
	"slices"

	"flowbridge/router"
)

// PostgreSQL lets transactions write side by side, and finds out after a second that two of them wait for each other:
// one is undone, and in a storm the fold stood still for that long again and again. So whoever changes more than one
// delivery locks all of them first, by number. A claim waits for none: it passes over what is locked.

// lockDeliveries locks the deliveries whose numbers a query returns, in one order for all.
func lockDeliveries(ctx context.Context, tx *txn, numbers string, args ...any) error {
	if tx.d.forUpdate == "" {
		return nil
	}
	_, err := all(ctx, tx, lockQuery(numbers), args, scanID)
	return err
}

// lockQuery goes from one number to the next, each of which there is one way to find: see liftQuery.
func lockQuery(numbers string) string {
	return `SELECT d.id FROM (SELECT id FROM (` + numbers + `) AS numbers (id) ORDER BY id) AS n
		CROSS JOIN LATERAL (SELECT id FROM deliveries WHERE id = n.id FOR UPDATE) AS d`
}

// lockOwedQuery finds what a batch changes: what there is of what it owes, and what waits before that (lift).
const lockOwedQuery = `SELECT d.id FROM unnest(?::bigint[], ?::bigint[], ?::text[]) AS o (incident, event, notifier)
		CROSS JOIN LATERAL (SELECT id FROM deliveries
			WHERE incident = o.incident AND event = o.event AND notifier = o.notifier LIMIT 1) AS d
	UNION SELECT d.id FROM unnest(?::text[], ?::text[]) AS o (target, key)
		CROSS JOIN LATERAL (SELECT id FROM deliveries
			WHERE state = 'waiting' AND target = o.target AND key = o.key ORDER BY id LIMIT 1000) AS d`

// lockOwed locks the deliveries that a batch changes.
func lockOwed(ctx context.Context, tx *txn, b router.Batch) error {
	if tx.d.forUpdate == "" {
		return nil
	}
	var incidents, events []int64
	var notifiers, targets, keys []string
	for _, owed := range [][]router.Owed{b.Owed, b.AlreadyThere, b.Overtaken} {
		for i := range owed {
			o := &owed[i]
			incidents, events = append(incidents, o.Incident), append(events, o.Event())
			notifiers = append(notifiers, plainText(o.Target.Notifier))
			targets, keys = append(targets, plainText(o.Target.ID())), append(keys, plainText(o.Key))
		}
	}
	if len(incidents) == 0 {
		return nil
	}
	return lockDeliveries(ctx, tx, lockOwedQuery, incidents, events, notifiers, targets, keys)
}

// lockFinished locks the deliveries that the end of an attempt changes, where it is more than one: those of a digest,
// the others of an incident that are renewed, what was refused with the same words, and what was put off while the
// service was down.
func lockFinished(ctx context.Context, tx *txn, r *router.Result, was *before, back bool, now int64) error {
	delivered := r.State == router.DeliveryDelivered
	renews := r.Digest == nil && was.changesCards(r, now)
	addressed := r.Receipt.Link != "" && r.Receipt.Link != was.receipt.Link
	if tx.d.forUpdate == "" || r.Digest == nil && !back && !renews && !(delivered && (was.refused || addressed)) {
		return nil
	}
	ids := []int64{r.Delivery}
	if r.Digest != nil {
		for i := range r.Digest.Parts {
			ids = append(ids, r.Digest.Parts[i].Delivery)
		}
	}
	slices.Sort(ids)
	args := []any{slices.Compact(ids)}
	if delivered = delivered || renews; delivered {
		args = append(args, r.Delivery, was.notifier, ids, released)
	}
	if back {
		args = append(args, was.notifier, now)
	}
	return lockDeliveries(ctx, tx, finishedQuery(delivered, back), args...)
}

// finishedQuery finds them: those with some numbers, what is renewed or set free by one that ended, and what
// putOffQuery finds.
func finishedQuery(delivered, back bool) string {
	query := `SELECT unnest(?::bigint[])`
	if delivered {
		query += ` UNION SELECT id FROM deliveries WHERE incident <> 0 AND incident = (
				SELECT incident FROM deliveries WHERE id = ?)
			UNION (SELECT id FROM deliveries WHERE state = 'parked' AND notifier = ? AND last_error IN (
				SELECT last_error FROM deliveries WHERE was_parked = 1 AND id = ANY(?::bigint[])) ORDER BY class, id LIMIT ?)`
	}
	if back {
		query += ` UNION (` + putOffQuery + `)`
	}
	return query
}
