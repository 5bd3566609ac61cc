package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"flowbridge/router"
)

// RetryDelivery makes a parked delivery, or one in back-off, due now, and keeps for the audit who asked for it. It
// returns router.ErrNotFound, or wraps router.ErrConflict with the reason.
func (s *Store) RetryDelivery(ctx context.Context, id int64, audit ...router.AuditEntry) error {
	err := s.inTx(ctx, func(tx *txn) error {
		found, err := deliveries(ctx, tx, `id = ?`, id)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return router.ErrNotFound
		}
		d := found[0]
		if d.State != router.DeliveryParked && d.State != router.DeliveryWaiting {
			return fmt.Errorf("%w: delivery %d is %s", router.ErrConflict, id, d.State)
		}
		if d.Kind.Keyed() { // what is told of a replaced incident would fall on the one that has its key now
			newer, err := replacedBy(ctx, tx, id)
			if err != nil {
				return err
			}
			if newer != 0 {
				return fmt.Errorf("%w: %s has replaced it at %s", router.ErrConflict, router.IncidentName(newer), d.Notifier)
			}
		}
		if err := reopenLane(ctx, tx, d.Notifier); err != nil {
			return err
		}
		now := micros(s.cfg.Now())
		if _, err = tx.ExecContext(ctx, `UPDATE deliveries SET `+retrying+` WHERE id = ?`, now, now, now, id); err != nil {
			return err
		}
		return insertAudit(ctx, tx, audit)
	})
	if err == nil {
		s.wakeDelivery()
	}
	return err
}

// RetryDeliveries makes all that a filter names due now, as RetryDelivery does: what is parked, and of DeliveryWaiting
// what failed; "" is DeliveryParked. It passes over what RetryDelivery refuses, and says how many it were. What the
// audit keeps is asked for at the end, also of an error.
func (s *Store) RetryDeliveries(ctx context.Context, f router.DeliveryFilter,
	audit func(n int) router.AuditEntry) (n int, err error) {
	if f.State == "" {
		f.State = router.DeliveryParked
	}
	if f.State != router.DeliveryParked && f.State != router.DeliveryWaiting {
		return 0, fmt.Errorf("%w: what is %s is not tried again", router.ErrConflict, f.State)
	}
	c := s.deliveryConditions(&f)
	if f.State == router.DeliveryWaiting {
		c.add("failing_since > 0")
	}
	// what is parked anew meanwhile is not of these
	last, err := number(ctx, s.read, `SELECT coalesce(max(id), 0) FROM deliveries`)
	for after := int64(0); err == nil; {
		var page []int64
		page, err = all(ctx, s.read, `SELECT id FROM deliveries WHERE `+c.where()+
			` AND id > ? AND id <= ? ORDER BY id LIMIT ?`,
			append(slices.Clone(c.args), after, last, retriedAtOnce), scanID)
		if err != nil || len(page) == 0 {
			break
		}
		after = page[len(page)-1]
		var some int
		var notifiers []string
		some, notifiers, err = s.retrySome(ctx, c, page)
		if n += some; some > 0 {
			s.wakeDelivery(notifiers...)
		}
	}
	if audit != nil {
		entry := audit(n)
		// what was done is kept, also where who asked has gone
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if kept := s.Audit(ctx, entry); err == nil {
			err = kept
		}
	}
	if err != nil {
		return n, fmt.Errorf("retry deliveries: %w", err)
	}
	return n, nil
}

// retrySome has some deliveries tried again, of those that still are what was asked for, and says whose they are.
func (s *Store) retrySome(ctx context.Context, c *conditions, ids []int64) (n int, notifiers []string, err error) {
	these := conditions{}
	anyOf(&these, "d.id", ids)
	err = s.inTx(ctx, func(tx *txn) error {
		still := `SELECT d.id FROM deliveries d WHERE ` + these.where() + ` AND (` + c.where() +
			`) AND NOT (d.keyed = 1 AND EXISTS (` + replacing + `))`
		args := slices.Concat(these.args, c.args)
		notifiers, err = all(ctx, tx, `SELECT DISTINCT notifier FROM deliveries WHERE id IN (`+still+`) ORDER BY notifier`,
			slices.Clone(args), scanText)
		if err != nil {
			return err
		}
		for _, notifier := range notifiers { // in order, so that two who do this do not wait for each other
			if err := reopenLane(ctx, tx, notifier); err != nil {
				return err
			}
		}
		if err := lockDeliveries(ctx, tx, `SELECT unnest(?::bigint[])`, ids); err != nil {
			return err
		}
		now := micros(s.cfg.Now())
		changed, err := tx.ExecContext(ctx, `UPDATE deliveries SET `+retrying+` WHERE id IN (`+still+`)`,
			append([]any{now, now, now}, args...)...)
		if err != nil {
			return err
		}
		rows, err := changed.RowsAffected()
		n = int(rows)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	return n, notifiers, nil
}

// retrying makes a delivery due that a person wants tried again. Its arguments are three times now.
const retrying = `state = 'waiting', next_at = ?, updated_at = ?, owed_since = ?, refusals = 0,
	unparked = unparked + was_parked`

// retriedAtOnce bounds the deliveries that one transaction has tried again.
const retriedAtOnce = 100

// reopenLane forgets what a lane waits for: who asks for a retry has mended something, and it is tried at once.
func reopenLane(ctx context.Context, tx *txn, notifier string) error {
	l, err := lockLane(ctx, tx, notifier)
	if err != nil {
		return err
	}
	if err := writeLane(ctx, tx, notifier, lane{turns: l.turns}); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM waits WHERE notifier = ?`, notifier)
	return err
}
