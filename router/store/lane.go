package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"flowbridge/router"
)

// lane is how it stands with a notifier, for every process that delivers to it.
type lane struct {
	turns    int64
	failures int64
	failed   int64 // id of the delivery that failed last
	rests    int64 // microseconds: nothing is tried before
	refusal  string
	refusals int64
}

// down says that the notifier keeps failing: one delivery at a time probes whether it is back.
func (l *lane) down() bool { return l.failures >= router.LaneDown }

// lockLane reads a lane, makes it if there is none, and keeps other processes from it until the transaction ends.
func lockLane(ctx context.Context, tx *txn, notifier string) (l lane, err error) {
	err = tx.QueryRowContext(ctx, `INSERT INTO lanes (notifier) VALUES (?) ON CONFLICT (notifier) DO UPDATE SET turns = lanes.turns
		RETURNING turns, failures, failed, rests, refusal, refusals`, notifier).
		Scan(&l.turns, &l.failures, &l.failed, &l.rests, &l.refusal, &l.refusals)
	return l, err
}

func writeLane(ctx context.Context, tx *txn, notifier string, l lane) error {
	_, err := tx.ExecContext(ctx, `UPDATE lanes SET turns = ?, failures = ?, failed = ?, rests = ?, refusal = ?, refusals = ? WHERE notifier = ?`,
		l.turns, l.failures, l.failed, l.rests, l.refusal, l.refusals, notifier)
	return err
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

// settleLane brings the lane in line with how an attempt ended. When a service is back, what its failures put off is
// due at once.
func settleLane(ctx context.Context, tx *txn, notifier string, r *router.Result, again bool, now int64) error {
	was, err := lockLane(ctx, tx, notifier)
	if err != nil {
		return err
	}
	is := was.after(r, again)
	if is != was {
		if err := writeLane(ctx, tx, notifier, is); err != nil {
			return err
		}
	}
	if was.down() && !is.down() {
		_, err = tx.ExecContext(ctx, `UPDATE deliveries SET next_at = ? WHERE state = 'waiting' AND notifier = ? AND next_at > ? AND attempts > 0`,
			now, notifier, now)
	}
	return err
}

// wait makes a class of a lane wait, no shorter than it does already.
func wait(ctx context.Context, tx *txn, notifier string, class router.Class, until time.Time, now int64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO waits (notifier, class, until, since) VALUES (?, ?, ?, ?)
		ON CONFLICT (notifier, class) DO UPDATE SET since = CASE WHEN excluded.until > waits.until THEN excluded.since ELSE waits.since END,
		until = CASE WHEN excluded.until > waits.until THEN excluded.until ELSE waits.until END`, notifier, int64(class), micros(until), now)
	return err
}

// waiting returns which classes of a lane wait at a time.
func waiting(ctx context.Context, tx *txn, notifier string, now int64) (map[router.Class]bool, error) {
	found, err := all(ctx, tx, `SELECT class FROM waits WHERE notifier = ? AND until > ?`, []any{notifier, now},
		func(row scanner) (c router.Class, err error) {
			err = row.Scan(&c)
			return c, err
		})
	blocked := map[router.Class]bool{}
	for _, c := range found {
		blocked[c] = true
	}
	return blocked, err
}

// Lanes says how it stands with every notifier that was ever told something, by name.
func (s *Store) Lanes(ctx context.Context) ([]router.Lane, error) {
	const query = `SELECT l.notifier, l.failures, l.rests, coalesce((
		SELECT max(w.until) FROM waits w WHERE w.notifier = l.notifier AND w.until > ? AND w.until - w.since > ?), 0) FROM lanes l ORDER BY l.notifier`
	found, err := all(ctx, s.read, query, []any{micros(s.cfg.Now()), router.LongWait.Microseconds()}, func(row scanner) (l router.Lane, err error) {
		var rests, waits int64
		err = row.Scan(&l.Notifier, &l.Failures, &rests, &waits)
		l.Rests, l.Waits = fromMicros(rests), fromMicros(waits)
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("read lanes: %w", err)
	}
	return found, nil
}

const backlogQuery = `SELECT notifier, class, count(*), min(owed_since) FROM deliveries WHERE state = 'waiting' AND class >= 0
	GROUP BY notifier, class ORDER BY notifier, class`

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

// laterQuery finds the times at which something changes; 0 is none.
const laterQuery = `SELECT 'lane', notifier, 0, rests FROM lanes WHERE rests > ?
	UNION ALL SELECT 'class', notifier, class, until FROM waits WHERE until > ?
	UNION ALL SELECT 'retry', '', 0, coalesce(min(next_at), 0) FROM deliveries WHERE state = 'waiting' AND next_at > 0 AND next_at > ?
	UNION ALL SELECT 'lease', '', 0, coalesce(min(claimed_until), 0) FROM deliveries WHERE claimed_until > 0 AND claimed_until > ?`

// anyQuery looks for a delivery of a notifier and a class that may be tried.
const anyQuery = `SELECT 1 FROM deliveries d WHERE d.notifier = ? AND d.class = ? AND ` + claimable + ` LIMIT 1`

// probesQuery finds when the next parked delivery is to be tried again, by notifier and class.
const probesQuery = `SELECT notifier, class, min(next_at) FROM deliveries WHERE state = 'parked' AND next_at > 0 GROUP BY notifier, class`

// Due returns the notifiers that have a delivery to be tried now, and when another may come due (zero if none does).
func (s *Store) Due(ctx context.Context, now time.Time) (notifiers []string, next time.Time, err error) {
	us := micros(now)
	backlog, err := s.Backlog(ctx)
	if err != nil {
		return nil, next, err
	}
	probes, err := s.probes(ctx)
	if err == nil && len(backlog)+len(probes) == 0 {
		return nil, next, nil
	}
	var later []pause
	if err == nil {
		later, err = s.later(ctx, us)
	}
	if err == nil && (slices.ContainsFunc(later, func(p pause) bool { return p.until > us+farthest.Microseconds() }) ||
		slices.ContainsFunc(probes, func(p pause) bool { return p.until > us+farthestProbe.Microseconds() })) {
		if err = s.setBack(ctx, us); err == nil {
			later, err = s.later(ctx, us)
		}
	}
	if err != nil {
		return nil, next, fmt.Errorf("read queue: %w", err)
	}
	if notifiers, err = s.dueNow(ctx, us, backlog, later); err != nil {
		return nil, next, err
	}
	var coming []pause
	for _, p := range probes { // where nothing else is due: what was refused does not hold up what was not told yet
		switch {
		case p.until > us:
			coming = append(coming, p)
		case !paused(later, p.notifier, p.class) && !slices.Contains(notifiers, p.notifier):
			notifiers = append(notifiers, p.notifier)
		}
	}
	slices.Sort(notifiers)
	return notifiers, fromMicros(soonest(slices.Concat(later, coming))), nil
}

// paused says whether a notifier, or what it is owed of a class, has to wait.
func paused(later []pause, notifier string, class router.Class) bool {
	return slices.ContainsFunc(later, func(p pause) bool {
		return p.notifier == notifier && (p.of == "lane" || p.of == "class" && p.class == class)
	})
}

// soonest returns when the first pause ends; 0 if there is none.
func soonest(later []pause) (first int64) {
	for _, p := range later {
		if p.until > 0 && (first == 0 || p.until < first) {
			first = p.until
		}
	}
	return first
}

// dueNow returns the notifiers that have a delivery to be tried, by the backlog and what is paused.
func (s *Store) dueNow(ctx context.Context, now int64, backlog []router.Backlog, later []pause) (notifiers []string, err error) {
	pauses := map[pause]bool{}
	for _, p := range later {
		p.until = 0
		pauses[p] = true
	}
	for _, b := range backlog {
		last := len(notifiers) > 0 && notifiers[len(notifiers)-1] == b.Notifier
		if last || pauses[pause{of: "lane", notifier: b.Notifier}] || pauses[pause{of: "class", notifier: b.Notifier, class: b.Class}] ||
			b.Class == router.ClassDigested && b.Waiting > router.StormSize {
			continue
		}
		var one int
		err := s.read.QueryRowContext(ctx, anyQuery, b.Notifier, int64(b.Class), now, now).Scan(&one)
		switch {
		case err == nil:
			notifiers = append(notifiers, b.Notifier)
		case !errors.Is(err, sql.ErrNoRows):
			return nil, fmt.Errorf("read queue: %w", err)
		}
	}
	return notifiers, nil
}

func (s *Store) probes(ctx context.Context) ([]pause, error) {
	return all(ctx, s.read, probesQuery, nil, func(row scanner) (p pause, err error) {
		err = row.Scan(&p.notifier, &p.class, &p.until)
		return p, err
	})
}

// pause is something that is not to be tried before a time.
type pause struct {
	of, notifier string
	class        router.Class
	until        int64
}

func (s *Store) later(ctx context.Context, now int64) ([]pause, error) {
	return all(ctx, s.read, laterQuery, []any{now, now, now, now}, func(row scanner) (p pause, err error) {
		err = row.Scan(&p.of, &p.notifier, &p.class, &p.until)
		return p, err
	})
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
