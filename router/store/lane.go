package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"flowbridge/router"
)

// lane is a notifier's circuit breaker, shared by all processes that deliver to it.
type lane struct {
	turns    int64
	failures int64
	failed   int64 // id of the delivery that failed last
	rests    int64 // microseconds: nothing is tried before
	refusal  string
	refusals int64
}

const laneColumns = `lanes.turns, lanes.failures, lanes.failed, lanes.rests, lanes.refusal, lanes.refusals`

// dests is where they are read to.
func (l *lane) dests() []any {
	return []any{&l.turns, &l.failures, &l.failed, &l.rests, &l.refusal, &l.refusals}
}

// down says that the notifier keeps failing: one delivery at a time probes whether it is back.
func (l *lane) down() bool { return l.failures >= router.LaneDown }

// lockLane reads a lane, makes it if there is none, and keeps other processes from it until the transaction ends.
func lockLane(ctx context.Context, tx *txn, notifier string) (l lane, err error) {
	err = tx.QueryRowContext(ctx, `SELECT `+laneColumns+` FROM lanes WHERE notifier = ?`+tx.d.forUpdate, notifier).
		Scan(l.dests()...)
	if !errors.Is(err, sql.ErrNoRows) {
		return l, err
	}
	err = tx.QueryRowContext(ctx,
		`INSERT INTO lanes (notifier) VALUES (?) ON CONFLICT (notifier) DO UPDATE SET turns = lanes.turns
		RETURNING `+laneColumns, notifier).Scan(l.dests()...)
	return l, err
}

func writeLane(ctx context.Context, tx *txn, notifier string, l lane) error {
	return tx.later(ctx, doing(
		`UPDATE lanes SET turns = ?, failures = ?, failed = ?, rests = ?, refusal = ?, refusals = ? WHERE notifier = ?`,
		l.turns, l.failures, l.failed, l.rests, l.refusal, l.refusals, notifier))
}

// after returns the lane after an attempt. Failures of different deliveries in a row speak against the service;
// one that fails again and again may have itself to blame, and has its own back-off. A refusal is an answer, so the
// service lives; but when it says the same to one delivery after another nobody will be heard, as with a token
// that was revoked. again says that this delivery had been refused before: that it is refused again says nothing new of
// the others, however many of its kind are probed.
func (l lane) after(r *router.Result, again bool) lane {
	switch {
	case r.Interrupted, r.State == router.DeliveryCancelled: // says nothing of the service
	case r.State == router.DeliveryDelivered:
		return lane{turns: l.turns}
	case r.State == router.DeliveryParked && again && !l.down():
		l.failures, l.failed = 0, 0
	case r.State == router.DeliveryParked:
		if l.refusal != r.Error {
			l = lane{turns: l.turns, refusal: r.Error}
		}
		l.refusals++
		l.failures, l.failed, l.rests = 0, 0, 0
		if l.refusals >= router.LaneDown {
			l.failures, l.rests = l.refusals, micros(r.Rest)
		}
	case !r.Rest.IsZero():
		if l.failed != r.Delivery || r.Digest != nil || l.down() {
			l.failures++
		}
		l.failed = r.Delivery
		if l.down() {
			l.rests = micros(r.Rest)
		}
	}
	return l
}

// settleLane brings a lane, which is locked, in line with how an attempt ended. When a service is back, what its
// failures put off is due at once.
func settleLane(ctx context.Context, tx *txn, notifier string, was, is lane, now int64) (err error) {
	if is != was {
		if err := writeLane(ctx, tx, notifier, is); err != nil {
			return err
		}
	}
	if was.down() && !is.down() {
		_, err = tx.ExecContext(ctx, backQuery, now, notifier, now)
	}
	return err
}

// putOffQuery finds what waits for a notifier that failed, which is little; the order is that of deliveries_next.
const putOffQuery = `SELECT id FROM deliveries WHERE state = 'waiting' AND notifier = ? AND next_at > ` + integer + `
	AND next_at > 0 AND attempts > 0 ORDER BY next_at LIMIT 10000`

const backQuery = `UPDATE deliveries SET next_at = ? WHERE id IN (` + putOffQuery + `)`

// everyTurn is how often a lane takes what is owed longest, whatever its class: so nothing waits for ever behind what
// matters more.
const everyTurn = 8

// next returns the delivery whose turn it is, of a class that need not wait; nil if there is none.
func next(ctx context.Context, tx *txn, ask *router.Ask, l *lane, blocked map[router.Class]bool) (*candidate, error) {
	by := mostImportant
	if l.turns%everyTurn == everyTurn-1 {
		by = owedLongest
	}
	now := micros(ask.Now)
	return pick(ctx, tx, ask.Notifier, by, blocked, now, now)
}

// wait makes a class of a lane wait, no shorter than it does already.
func wait(ctx context.Context, tx *txn, notifier string, class router.Class, until time.Time, now int64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO waits (notifier, class, until, since) VALUES (?, ?, ?, ?)
		ON CONFLICT (notifier, class) DO UPDATE SET
		since = CASE WHEN excluded.until > waits.until THEN excluded.since ELSE waits.since END,
		until = CASE WHEN excluded.until > waits.until THEN excluded.until ELSE waits.until END`, notifier, int64(class),
		micros(until), now)
	return err
}

// enterLane locks a lane and returns which of its classes wait at a time.
func enterLane(ctx context.Context, tx *txn, notifier string, now int64) (l lane, blocked map[router.Class]bool,
	err error) {
	query := `SELECT ` + laneColumns + `, w.class FROM lanes
		LEFT JOIN waits w ON w.notifier = lanes.notifier AND w.until > ? WHERE lanes.notifier = ?` + tx.d.locking("lanes")
	blocked = map[router.Class]bool{}
	found, err := all(ctx, tx, query, []any{now, notifier}, func(row scanner) (class *router.Class, err error) {
		err = row.Scan(append(l.dests(), &class)...)
		return class, err
	})
	if err != nil {
		return l, nil, err
	}
	for _, class := range found {
		if class != nil {
			blocked[*class] = true
		}
	}
	if len(found) == 0 { // what never was in use has nothing that waits
		l, err = lockLane(ctx, tx, notifier)
	}
	return l, blocked, err
}

// Lanes returns the circuit breaker of every notifier that was ever told something, by name.
func (s *Store) Lanes(ctx context.Context) ([]router.Lane, error) {
	const query = `SELECT l.notifier, l.failures, l.rests, coalesce((
		SELECT max(w.until) FROM waits w WHERE w.notifier = l.notifier AND w.until > ? AND w.until - w.since > ?), 0)
		FROM lanes l ORDER BY l.notifier`
	found, err := all(ctx, s.read, query, []any{micros(s.cfg.Now()), router.LongWait.Microseconds()},
		func(row scanner) (l router.Lane, err error) {
			var rests, waits int64
			err = row.Scan(&l.Notifier, &l.Failures, &rests, &waits)
			l.PausedUntil, l.Waits = fromMicros(rests), fromMicros(waits)
			return l, err
		})
	if err != nil {
		return nil, fmt.Errorf("read lanes: %w", err)
	}
	return found, nil
}

const backlogQuery = `SELECT notifier, class, count(*), min(owed_since) FROM deliveries
	WHERE state = 'waiting' GROUP BY notifier, class ORDER BY notifier, class`

// Backlog says what is owed, by notifier and class.
func (s *Store) Backlog(ctx context.Context) ([]router.Backlog, error) {
	found, err := all(ctx, s.read, backlogQuery, nil, func(row scanner) (b router.Backlog, err error) {
		var oldest int64
		err = row.Scan(&b.Notifier, &b.Class, &b.Waiting, &oldest)
		b.Oldest = fromMicros(oldest)
		return b, err
	})
	if err != nil {
		return nil, fmt.Errorf("read queue: %w", err)
	}
	return found, nil
}

const (
	// farthest is more than anything that waits is put off: a service is obeyed for minutes. What is farther away was
	// written while a clock was wrong, and would hold deliveries back until that day. farthestProbe is the same for what
	// is parked, which is tried every some hours.
	farthest      = 2 * time.Hour
	farthestProbe = 12 * time.Hour
	// heldOn is how long a claim goes on that a wrong clock dated: whoever holds it and lives extends it in that time.
	heldOn = time.Minute
)

// setBack makes due what is put off farther than anybody can have meant.
func (s *Store) setBack(ctx context.Context, now int64) error {
	s.cfg.Logger.Warn("deliveries were put off for hours or years, as by a clock that was wrong; they are due now")
	far, farProbe := now+farthest.Microseconds(), now+farthestProbe.Microseconds()
	return s.inTx(ctx, func(tx *txn) error {
		for _, one := range []struct {
			query   string
			to, far int64
		}{
			{`UPDATE lanes SET rests = ? WHERE rests > ?`, now, far},
			{`UPDATE budgets SET paid = ? WHERE paid > ?`, now, far},
			{`UPDATE waits SET until = ? WHERE until > ?`, now, far},
			{`UPDATE deliveries SET next_at = ? WHERE state = 'waiting' AND next_at > ?`, now, far},
			{`UPDATE deliveries SET next_at = ? WHERE state = 'parked' AND next_at > ?`, now, farProbe},
			{`UPDATE deliveries SET claimed_until = ? WHERE claimed_until > ?`, now + heldOn.Microseconds(), far},
		} {
			if _, err := tx.ExecContext(ctx, one.query, one.to, one.far); err != nil {
				return err
			}
		}
		return nil
	})
}
