package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"flowbridge/router"
)

// claimable is the condition under which a waiting delivery may be tried: its time has come, nobody is at it,
// and no older one of the same notifier and key still waits: a resolve must not overtake its trigger, nor the
// trigger of the next incident with the same key.
const claimable = `d.state = 'waiting' AND d.next_at <= ? AND d.claimed_until <= ? AND NOT EXISTS (
	SELECT 1 FROM deliveries older WHERE older.state = 'waiting' AND older.notifier = d.notifier AND older.key = d.key AND older.id < d.id)`

// Due returns the notifiers that have a delivery to be tried now, and when the next of the others comes due
// (zero if none does).
func (s *Store) Due(ctx context.Context, now time.Time) (notifiers []string, next time.Time, err error) {
	us := micros(now)
	notifiers, err = all(ctx, s.read, `SELECT DISTINCT d.notifier FROM deliveries d WHERE `+claimable+` ORDER BY d.notifier`, []any{us, us},
		func(row scanner) (name string, err error) {
			err = row.Scan(&name)
			return name, err
		})
	if err != nil {
		return nil, next, fmt.Errorf("read queue: %w", err)
	}
	var soonest int64
	err = s.read.QueryRowContext(ctx, `SELECT coalesce(min(CASE WHEN next_at > claimed_until THEN next_at ELSE claimed_until END), 0) FROM deliveries
		WHERE state = 'waiting' AND (next_at > ? OR claimed_until > ?)`, us, us).Scan(&soonest)
	if err != nil {
		return nil, next, fmt.Errorf("read queue: %w", err)
	}
	return notifiers, fromMicros(soonest), nil
}

// Claim takes a notifier's oldest delivery that may be tried, until the lease ends, and returns all that the
// notifier needs to bring its service to the newest state; nil if there is none. The attempt is on disk before
// Claim returns: after a crash the next one knows that something may exist.
func (s *Store) Claim(ctx context.Context, notifier string, now time.Time, lease time.Duration) (n *router.Notification, err error) {
	err = s.inTx(ctx, func(tx *txn) error {
		n, err = s.claim(ctx, tx, notifier, now, lease)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("claim delivery: %w", err)
	}
	return n, nil
}

func (s *Store) claim(ctx context.Context, tx *txn, notifier string, now time.Time, lease time.Duration) (*router.Notification, error) {
	us := micros(now)
	n := &router.Notification{Target: router.Target{Notifier: notifier}}
	var incident, event, mayExist, open int64
	var receipt []byte
	var key string
	err := tx.QueryRowContext(ctx, `SELECT d.id, d.incident, d.event, d.kind, d.channel, d.routing_key, d.owed, d.attempts, d.may_exist, d.open,
		d.severity, d.receipt, d.key FROM deliveries d WHERE d.notifier = ? AND `+claimable+` ORDER BY d.next_at, d.id LIMIT 1`+s.d.skipLocked, notifier, us, us).
		Scan(&n.Delivery, &incident, &event, &n.Target.Kind, &n.Target.Channel, &key, &n.Revision, &n.Attempt, &mayExist, &open, &n.Severity, &receipt, &n.Key)
	if err != nil {
		return nil, err
	}
	n.Target.RoutingKey = router.Secret(key)
	n.Attempt++
	n.MayExist, n.Open = mayExist != 0, open != 0
	if err := json.Unmarshal(receipt, &n.Receipt); err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET claimed_until = ?, attempts = attempts + 1, may_exist = 1 WHERE id = ?`,
		micros(now.Add(lease)), n.Delivery); err != nil {
		return nil, err
	}
	if incident == 0 {
		return n, loadNotice(ctx, tx, n, event)
	}
	return n, loadIncident(ctx, tx, n, incident)
}

func loadNotice(ctx context.Context, tx *txn, n *router.Notification, event int64) error {
	var body []byte
	if err := tx.QueryRowContext(ctx, `SELECT body FROM notices WHERE event = ?`, event).Scan(&body); err != nil {
		return fmt.Errorf("read notice: %w", err)
	}
	return json.Unmarshal(body, &n.Notice)
}

// loadIncident fills in the newest state of an incident and what is around it.
func loadIncident(ctx context.Context, tx *txn, n *router.Notification, number int64) error {
	found, err := incidents(ctx, tx, `number = ?`, number)
	if err != nil || len(found) == 0 {
		return errors.Join(err, fmt.Errorf("read %s: %d rows", router.IncidentName(number), len(found)))
	}
	n.Incident = &found[0]
	if n.Alerts, err = worstFirst(alerts(ctx, tx, `incident = ?`, number)); err != nil {
		return err
	}
	if n.Also, err = worstFirst(alerts(ctx, tx, `waba = ? AND flow = ? AND active = 1 AND incident <> ?`, n.Incident.WABA, n.Incident.Flow, number)); err != nil {
		return err
	}
	if n.Timeline, err = timeline(ctx, tx, number, n.Receipt.Told, router.MaxTimeline); err != nil {
		return err
	}
	others, err := deliveries(ctx, tx, `incident = ? AND id <> ? ORDER BY notifier`, number, n.Delivery)
	if err != nil {
		return err
	}
	for _, d := range others {
		if d.State == router.DeliveryParked {
			n.Problems = append(n.Problems, router.Problem{Notifier: d.Notifier, Error: d.LastError})
		}
		if d.Receipt.Link != "" {
			n.Related = append(n.Related, router.Related{Notifier: d.Notifier, Kind: d.Kind, Link: d.Receipt.Link})
		}
	}
	return nil
}

func worstFirst(found []router.Alert, err error) ([]router.Alert, error) {
	if err != nil {
		return nil, fmt.Errorf("read alerts: %w", err)
	}
	sorted := make([]*router.Alert, len(found))
	for i := range found {
		sorted[i] = &found[i]
	}
	router.SortAlerts(sorted)
	out := make([]router.Alert, len(found))
	for i, a := range sorted {
		out[i] = *a
	}
	return out, nil
}

// Finish records how an attempt ended and gives the claim up.
func (s *Store) Finish(ctx context.Context, r router.Result) error {
	receipt, err := json.Marshal(r.Receipt)
	if err != nil {
		return fmt.Errorf("finish delivery: %w", err)
	}
	nothing := r.Receipt == router.Receipt{}
	err = s.inTx(ctx, func(tx *txn) error {
		now := micros(s.cfg.Now())
		const set = `UPDATE deliveries SET claimed_until = 0, updated_at = ?, receipt = ?, `
		switch {
		case r.Interrupted: // the attempt does not count, but it may have told somebody
			_, err = tx.ExecContext(ctx, set+`last_error = ?, attempts = CASE WHEN attempts > 0 THEN attempts - 1 ELSE 0 END, next_at = ? WHERE id = ?`,
				now, string(receipt), r.Error, max(now, micros(r.NextAt)), r.Delivery)
		case r.State == router.DeliveryWaiting:
			_, err = tx.ExecContext(ctx, set+`last_error = ?, next_at = ?, may_exist = ? WHERE id = ?`,
				now, string(receipt), r.Error, micros(r.NextAt), toInt(!nothing), r.Delivery)
		case r.State == router.DeliveryParked:
			_, err = tx.ExecContext(ctx, set+`last_error = ?, may_exist = ?, was_parked = 1, state = 'parked' WHERE id = ?`,
				now, string(receipt), r.Error, toInt(!nothing), r.Delivery)
		default: // done; what became owed meanwhile is due at once
			_, err = tx.ExecContext(ctx, set+`last_error = '', may_exist = ?, attempts = 0, have = ?, next_at = ?,
				state = CASE WHEN owed > ? THEN 'waiting' ELSE ? END WHERE id = ?`,
				now, string(receipt), toInt(!nothing), r.Revision, now, r.Revision, string(r.State), r.Delivery)
			if err == nil {
				err = s.mended(ctx, tx, r.Delivery, now)
			}
		}
		if err != nil || r.Event == nil {
			return err
		}
		row, err := encodeEvent(r.Event)
		if err != nil {
			return err
		}
		return insertEvent(ctx, tx, row)
	})
	if err != nil {
		return fmt.Errorf("finish delivery: %w", err)
	}
	pulse(s.owed) // a younger delivery of the same key, or a newer revision, may have waited for this one
	if r.Event != nil {
		s.wakeFold()
	}
	return nil
}

// mended renews the other cards of an incident when a delivery that they called a problem is one no more.
func (s *Store) mended(ctx context.Context, tx *txn, id, now int64) error {
	var incident int64
	err := tx.QueryRowContext(ctx, `UPDATE deliveries SET was_parked = 0 WHERE id = ? AND was_parked = 1 RETURNING incident`, id).Scan(&incident)
	if errors.Is(err, sql.ErrNoRows) || incident == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE deliveries SET owed = owed + 1, state = 'waiting', next_at = ?
		WHERE incident = ? AND id <> ? AND state = 'delivered' AND open = 1`, now, incident, id)
	return err
}

// Retarget pins a delivery to another target: for what never made anything where it was pinned before.
func (s *Store) Retarget(ctx context.Context, delivery int64, t router.Target) error {
	_, err := s.write.ExecContext(ctx, `UPDATE deliveries SET kind = ?, channel = ?, routing_key = ? WHERE id = ?`,
		string(t.Kind), t.Channel, t.RoutingKey.Reveal(), delivery)
	if err != nil {
		return fmt.Errorf("retarget delivery: %w", err)
	}
	return nil
}

// RetryDelivery makes a parked delivery, or one in back-off, due now. It returns router.ErrNotFound, or wraps
// router.ErrConflict with the reason.
func (s *Store) RetryDelivery(ctx context.Context, id int64) error {
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
			var newer int64
			err := tx.QueryRowContext(ctx, `SELECT n.incident FROM deliveries o JOIN deliveries n ON n.notifier = o.notifier AND n.key = o.key
				AND n.id > o.id WHERE o.id = ? AND n.may_exist = 1 ORDER BY n.id DESC LIMIT 1`, id).Scan(&newer)
			if err == nil {
				return fmt.Errorf("%w: %s has replaced it at %s", router.ErrConflict, router.IncidentName(newer), d.Notifier)
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return err
			}
		}
		now := micros(s.cfg.Now())
		_, err = tx.ExecContext(ctx, `UPDATE deliveries SET state = 'waiting', next_at = ?, updated_at = ? WHERE id = ?`, now, now, id)
		return err
	})
	if err == nil {
		s.wakeDelivery()
	}
	return err
}
