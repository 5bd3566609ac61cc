package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"flowbridge/router"
)

// What is parked is tried again now and then by itself: a probe. It stays parked until its time (next_at) has come and
// nothing else is due to its notifier; while it is tried it is a delivery like any other, so that claims, budgets, the
// circuit breaker and the order of a key hold for it. Refused again it is parked again, and nobody is told: its digest
// says that they know. An episode ends when it is told, or retried by a person.

// probeable is the condition under which a parked delivery may be tried: its time has come, nobody is at another of the
// same target and key, and no older one of these waits. See claimable.
const probeable = `d.state = 'parked' AND d.next_at > 0 AND d.next_at <= ? AND ` + untried + ` AND coalesce((
	SELECT min(older.id) FROM deliveries older
	WHERE older.state = 'waiting' AND older.target = d.target AND older.key = d.key), d.id) >= d.id`

var longestParked = choice{where: probeable, order: "d.next_at, d.id"}

// nextProbe returns the parked delivery that is to be tried, of a class that need not wait; nil if there is none. It is
// asked where nothing else is due: what was refused must not hold up what the service has not heard of.
func nextProbe(ctx context.Context, tx *txn, ask *router.Ask, blocked map[router.Class]bool) (*candidate, error) {
	for {
		c, err := pick(ctx, tx, ask.Notifier, longestParked, blocked, micros(ask.Now), micros(ask.Now))
		if err != nil || c == nil {
			return nil, err
		}
		c.parked = true
		newer, err := replacedBy(ctx, tx, c.id)
		if err != nil || newer == 0 {
			return c, err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET next_at = 0 WHERE id = ?`, c.id); err != nil {
			return nil, err
		}
	}
}

// unparkAll does so for those of many that were refused, and says whether others are renewed.
func unparkAll(ctx context.Context, tx *txn, parts []router.Summary, now int64) (renewed bool, err error) {
	ids := make([]int64, len(parts))
	for i, p := range parts {
		ids[i] = p.Delivery
	}
	list, args := among(ids)
	refused, err := all(ctx, tx, `SELECT id FROM deliveries WHERE was_parked = 1 AND id IN `+list+` ORDER BY id`, args, scanID)
	for _, id := range refused {
		if err == nil {
			var others bool
			_, others, err = unpark(ctx, tx, id, now)
			renewed = renewed || others
		}
	}
	return renewed, err
}

// unparkProbe makes the candidate wait like any other, as owed from now on: it has been shown as parked until now.
func (c *candidate) unparkProbe(ctx context.Context, tx *txn, now time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = 'waiting', owed_since = ? WHERE id = ?`, micros(now),
		c.id)
	return err
}

// replacing finds newer deliveries that may have made something under the key of a keyed delivery d: what is told of d
// would fall on them.
const replacing = `SELECT n.incident FROM deliveries n
	WHERE n.keyed = 1 AND n.key = d.key AND n.target = d.target AND n.id > d.id AND n.may_exist = 1`

// replacedBy returns the number of the incident that has replaced that of a keyed delivery at its service, 0 for none.
func replacedBy(ctx context.Context, tx *txn, id int64) (incident int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT coalesce((`+replacing+
		` ORDER BY n.id DESC LIMIT 1), 0) FROM deliveries d WHERE d.id = ?`, id).Scan(&incident)
	return incident, err
}

// stillFailing notes that an attempt failed; its argument is the time. A refusal speaks of the state that was told:
// what became owed meanwhile, perhaps the end, is tried at once. The arguments of parking are the revision that was
// refused, now, when it is tried again, and the revision.
const (
	stillFailing = `failing_since = CASE WHEN failing_since = 0 THEN ? ELSE failing_since END`
	parking      = `was_parked = 1, refusals = refusals + 1,
		next_at = CASE WHEN owed > ? THEN ? ELSE CAST(? AS BIGINT) END,
		state = CASE WHEN owed > ? THEN 'waiting' ELSE 'parked' END`
)

// released bounds what one success sets free.
const released = router.DigestSize

// freeQuery sets free what was refused with the same words.
const freeQuery = `UPDATE deliveries SET state = 'waiting', next_at = ?, owed_since = ? WHERE id IN (
	SELECT d.id FROM deliveries d WHERE d.state = 'parked' AND d.notifier = ? AND d.last_error = ? AND d.id <> ?
	AND (SELECT count(*) FROM (` + replacing + ` LIMIT 1) AS newer) = 0
	ORDER BY d.class, d.id LIMIT ?)`

// unpark ends the episode of a delivery that was refused before, and that gets through now. A refusal after this is
// news. What was parked with the same words is tried at once: somebody has mended its cause. The other cards of its
// incident, which call it a problem, are renewed. It is called before the words are forgotten, and says whether there
// was an episode, and whether others were renewed.
func unpark(ctx context.Context, tx *txn, id, now int64) (refused, renewed bool, err error) {
	var incident int64
	var notifier, words string
	err = tx.QueryRowContext(ctx, `UPDATE deliveries SET was_parked = 0, unparked = unparked + 1
		WHERE id = ? AND was_parked = 1 RETURNING incident, notifier, last_error`, id).Scan(&incident, &notifier, &words)
	if errors.Is(err, sql.ErrNoRows) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	if _, err := tx.ExecContext(ctx, freeQuery, now, now, notifier, words, id, released); err != nil {
		return true, false, err
	}
	if incident == 0 {
		return true, false, nil
	}
	return true, true, renewOthers(ctx, tx, incident, id, now, 0)
}

// renewOthers renews the cards of an incident that were told since a time, and show how a delivery fares. A digest
// shows nothing of that.
func renewOthers(ctx context.Context, tx *txn, incident, id, now, since int64) error {
	_, err := tx.ExecContext(ctx,
		`UPDATE deliveries SET owed = owed + 1, state = 'waiting', next_at = ?, owed_since = ?, class = `+
			classSQL("", "", "")+`
		WHERE incident = ? AND id <> ? AND state = 'delivered' AND open = 1 AND told = ? AND updated_at >= ?`,
		now, now, incident, id, int64(toldCard), since)
	return err
}
