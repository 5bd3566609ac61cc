package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"flowbridge/router"
)

// claimable is the condition under which a waiting delivery may be tried: its time has come, nobody is at it nor at
// another of the same target and key (a younger one, where this one was parked meanwhile), and no older one of
// these still waits: a resolve must not overtake its trigger, nor the trigger of the next incident with the same key.
//
// It is written so that PostgreSQL has a single plan, by deliveries_waiting for the oldest: what waits comes
// and goes faster than its statistics, and while those say that nothing waits every index looks as good as another. As
// NOT EXISTS a claim among 5,000 took it seconds.
const claimable = `d.state = 'waiting' AND d.class >= 0 AND d.next_at <= ? AND (
	SELECT max(other.claimed_until) FROM deliveries other WHERE other.state = 'waiting' AND other.target = d.target AND other.key = d.key) <= ? AND d.id = (
	SELECT min(older.id) FROM deliveries older WHERE older.state = 'waiting' AND older.target = d.target AND older.key = d.key)`

// Claim takes a notifier's most important delivery that may be tried, until the lease ends, and returns all that the
// notifier needs to bring its service to the newest state; nil if there is none. The attempt is on disk before
// Claim returns: after a crash the next one knows that something may exist. What the budgets have no room for waits,
// which is no failure; short says how many classes had to.
func (s *Store) Claim(ctx context.Context, ask router.Ask) (n *router.Notification, short int, err error) {
	if due, err := s.mayBeDue(ctx, ask.Notifier, micros(ask.Now)); err != nil || !due {
		return nil, 0, err
	}
	err = s.inShared(ctx, func(ctx context.Context, tx *txn) error {
		n, short, err = s.claim(ctx, tx, &ask)
		return err
	})
	s.agenda.changed(ask.Notifier)
	if err != nil {
		return nil, 0, fmt.Errorf("claim delivery: %w", err)
	}
	return n, short, nil
}

func (s *Store) claim(ctx context.Context, tx *txn, ask *router.Ask) (_ *router.Notification, short int, err error) {
	now := micros(ask.Now)
	l, err := lockLane(ctx, tx, ask.Notifier)
	if err != nil || l.rests > now {
		return nil, 0, err
	}
	if l.down() {
		if probing, err := inFlight(ctx, tx, ask.Notifier, now); probing || err != nil {
			return nil, 0, err
		}
	}
	blocked, err := waiting(ctx, tx, ask.Notifier, now)
	if err != nil {
		return nil, 0, err
	}
	for {
		c, err := next(ctx, tx, ask, &l, blocked)
		if err == nil && c == nil {
			c, err = nextProbe(ctx, tx, ask, blocked)
		}
		if err != nil || c == nil {
			return nil, short, err
		}
		c.n.Target.Credential, c.n.Target.Address = s.routingKey(ask.Notifier, c.routingKey),
			s.address(ask.Notifier, c.n.Target.Address)
		if c.n.Class == router.ClassDigested {
			if many, err := manyDigested(ctx, tx, ask.Notifier); many || err != nil {
				if err != nil {
					return nil, short, err
				}
				blocked[c.n.Class] = true // the digest stands in for them still
				continue
			}
		}
		if err := c.load(ctx, tx, ask); err != nil {
			return nil, short, err
		}
		if ask.Charges != nil {
			until, err := spend(ctx, tx, ask.Now, ask.Charges(&c.n))
			if err != nil {
				return nil, short, err
			}
			if !until.IsZero() {
				short++
				blocked[c.n.Class] = true
				if err := wait(ctx, tx, ask.Notifier, c.n.Class, until, now); err != nil {
					return nil, short, err
				}
				continue
			}
		}
		l.turns++
		c.n.Failures = int(l.failures)
		return &c.n, short, errors.Join(c.take(ctx, tx, ask), writeLane(ctx, tx, ask.Notifier, l))
	}
}

// inFlight says whether somebody tries a delivery to a notifier.
func inFlight(ctx context.Context, tx *txn, notifier string, now int64) (bool, error) {
	var n int
	err := tx.QueryRowContext(ctx,
		`SELECT count(*) FROM deliveries WHERE claimed_until > 0 AND claimed_until > ? AND notifier = ? AND state = 'waiting'`, now, notifier).Scan(&n)
	return n > 0, err
}

// candidate is a delivery that may be claimed.
type candidate struct {
	n               router.Notification
	id              int64
	routingKey      string // as it is stored
	parked          bool   // and is to be probed
	incident, event int64
	since           int64 // owed since
	told            telling
	unsettled       string     // id of a digest that may have told of it
	body            digestBody // of the digest that it is told in, if there is one
}

// pick returns the first delivery to a notifier under a condition, of a class that need not wait; nil if there is none.
func pick(ctx context.Context, tx *txn, notifier, where, order string, blocked map[router.Class]bool,
	args ...any) (*candidate, error) {
	args = append([]any{notifier}, args...)
	classes := ""
	for _, c := range router.Classes() {
		if !blocked[c] {
			classes += ", ?"
			args = append(args, int64(c))
		}
	}
	if classes == "" {
		return nil, nil
	}
	c := &candidate{n: router.Notification{Target: router.Target{Notifier: notifier}}}
	var mayExist, open, failing int64
	var receipt []byte
	err := tx.QueryRowContext(ctx,
		`SELECT d.id, d.incident, d.event, d.kind, d.channel, d.routing_key, d.owed, d.attempts, d.failing_since,
		d.was_parked = 1, d.refusals, d.may_exist, d.open, d.opening, d.severity, d.receipt, d.key, d.class, d.told, d.digest, d.owed_since FROM deliveries d
		WHERE d.notifier = ? AND `+where+` AND d.class IN (`+classes[2:]+`) ORDER BY `+order+` LIMIT 1`+tx.d.skipLocked,
		args...).
		Scan(&c.id, &c.incident, &c.event, &c.n.Target.Kind, &c.n.Target.Address, &c.routingKey, &c.n.Revision, &c.n.Attempt,
			&failing,
			&c.n.Parked, &c.n.Refusals, &mayExist, &open, &c.n.Opening, &c.n.Severity, &receipt, &c.n.Key, &c.n.Class, &c.told,
			&c.unsettled, &c.since)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c.n.Delivery, c.n.FailingSince = c.id, fromMicros(failing)
	c.n.Attempt++
	c.n.MayExist, c.n.Open = mayExist != 0, open != 0
	return c, json.Unmarshal(receipt, &c.n.Receipt)
}

// load fills in what the notifier needs to know, of one incident or notice, or of the many that a digest tells of.
func (c *candidate) load(ctx context.Context, tx *txn, ask *router.Ask) error {
	if c.unsettled != "" {
		return c.recallDigest(ctx, tx)
	}
	together, err := digestible(ctx, tx, ask, c)
	if err != nil {
		return err
	}
	if together != nil {
		return c.beginDigest(ctx, tx, together, micros(ask.Now))
	}
	if c.incident == 0 {
		return loadNotice(ctx, tx, &c.n, c.event)
	}
	return loadIncident(ctx, tx, &c.n, c.incident)
}

// take writes the claim.
func (c *candidate) take(ctx context.Context, tx *txn, ask *router.Ask) error {
	c.n.Claim = rand.Text()
	until := micros(ask.Now.Add(ask.Lease))
	if c.parked {
		if err := c.unparkProbe(ctx, tx, ask.Now); err != nil {
			return err
		}
	}
	if c.n.Digest != nil {
		return c.takeDigest(ctx, tx, until)
	}
	_, err := tx.ExecContext(ctx,
		`UPDATE deliveries SET claimed_until = ?, claim = ?, attempts = attempts + 1, may_exist = 1, cosmetic = 1,
		tried_since = CASE WHEN open = 1 AND told_open = 0 AND (attempts = 0 OR may_exist = 0) THEN ? ELSE tried_since END WHERE id = ?`,
		until, c.n.Claim, micros(ask.Now), c.n.Delivery)
	return err
}

// Extend makes a claim hold until a time. It wraps router.ErrConflict when the claim is ours no more.
func (s *Store) Extend(ctx context.Context, delivery int64, claim string, until time.Time) error {
	err := s.inShared(ctx, func(ctx context.Context, tx *txn) error {
		held, err := tx.ExecContext(ctx, `UPDATE deliveries SET claimed_until = ? WHERE claimed_until > 0 AND claim = ?`,
			micros(until), claim)
		if err != nil {
			return err
		}
		return stillOurs(held, delivery)
	})
	if err != nil {
		return fmt.Errorf("extend claim: %w", err)
	}
	return nil
}

// stillOurs says what it means that a statement which names a claim found nothing.
func stillOurs(r sql.Result, delivery int64) error {
	n, err := r.RowsAffected()
	if err == nil && n == 0 {
		return fmt.Errorf("%w: delivery %d is in other hands", router.ErrConflict, delivery)
	}
	return err
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
	if n.Also, err = worstFirst(alerts(ctx, tx, `waba = ? AND flow = ? AND active = 1 AND incident <> ?`, n.Incident.WABA,
		n.Incident.Flow, number)); err != nil {
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
		if d.Receipt.Link != "" {
			n.Related = append(n.Related, router.Related{Notifier: d.Notifier, Kind: d.Kind, Link: d.Receipt.Link})
		}
	}
	if n.Problems, err = problems(ctx, tx, number, n.Delivery); err != nil || len(n.Left()) == 0 {
		return err
	}
	n.Taken, err = takenKeys(ctx, tx, n)
	return err
}

// takenKeys returns the keys among those that may be left of a lost database under which another incident has a page.
func takenKeys(ctx context.Context, tx *txn, n *router.Notification) ([]string, error) {
	left, args := n.Left(), []any{n.Incident.Number}
	for _, key := range left {
		args = append(args, key)
	}
	return all(ctx, tx, takenQuery(len(left)), args, scanText)
}

func takenQuery(keys int) string {
	return `SELECT key FROM deliveries WHERE keyed = 1 AND incident <> ? AND open = 1 AND key IN (?` +
		strings.Repeat(", ?", keys-1) + `) GROUP BY key`
}

// worstFirst sorts alerts that were read, or says that they were not.
func worstFirst(found []router.Alert, err error) ([]router.Alert, error) {
	if err != nil {
		return nil, fmt.Errorf("read alerts: %w", err)
	}
	return router.WorstFirst(found), nil
}

// Finish records how an attempt ended and gives the claim up, which must still be ours: else it wraps
// router.ErrConflict, and nothing changes. It may be repeated.
func (s *Store) Finish(ctx context.Context, r router.Result) error {
	receipt, err := json.Marshal(r.Receipt)
	if err != nil {
		return fmt.Errorf("finish delivery: %w", err)
	}
	var made *attemptRow
	if r.Attempt != nil && s.cfg.KeepAttempts > 0 {
		if made, err = encodeAttempt(&r); err != nil {
			return fmt.Errorf("finish delivery: %w", err)
		}
	}
	now := micros(s.cfg.Now())
	var f finished
	told := r.State == router.DeliveryDelivered && r.Digest == nil
	err = s.inShared(ctx, func(ctx context.Context, tx *txn) (err error) {
		if f, err = finish(ctx, tx, &r, string(receipt), now); err == nil && made != nil {
			err = made.write(ctx, tx)
		}
		if err == nil && told {
			f.version = s.agenda.slot(f.notifier).version
			f.left, err = leaves(ctx, tx, f.notifier)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("finish delivery: %w", err)
	}
	if told {
		s.agenda.finished(f.notifier, f.version, f.left, now)
	} else {
		s.agenda.changed(f.notifier)
	}
	if r.State == router.DeliveryWaiting && !r.Interrupted {
		s.peers.failing(f.notifier)
	}
	// What else may be due by this is due to the same notifier, whose lane goes on by itself, but for one that stops.
	switch {
	case r.Digest != nil && f.renewed:
		s.wakeDelivery()
	case r.Interrupted && micros(r.NextAt) <= now:
		s.wakeDelivery(append(f.others, f.notifier)...)
	case len(f.others) > 0:
		s.wakeDelivery(f.others...)
	}
	if f.parked {
		s.wakeFold()
	}
	return nil
}

// finished is what the end of an attempt came to.
type finished struct {
	notifier string
	renewed  bool     // something may be due of other deliveries of the incident
	others   []string // notifiers to which something may be due now
	parked   bool     // the delivery needs a person, and the fallback is to be told

	version uint64 // of the agenda, when left was read
	left    bool   // something else waits for the notifier, or is to be probed
}

// leaves says whether anything waits for a notifier, or is to be probed.
func leaves(ctx context.Context, tx *txn, notifier string) (left bool, err error) {
	err = tx.QueryRowContext(ctx,
		`SELECT EXISTS (SELECT 1 FROM deliveries WHERE notifier = ? AND state = 'waiting' AND class >= 0)
		OR EXISTS (SELECT 1 FROM deliveries WHERE notifier = ? AND state = 'parked' AND next_at > 0)`, notifier,
		notifier).Scan(&left)
	return left, err
}

// finish does so in a transaction.
func finish(ctx context.Context, tx *txn, r *router.Result, receipt string, now int64) (f finished, err error) {
	var class router.Class
	var again bool // it was refused before, and not told since
	var unparked int64
	err = tx.QueryRowContext(ctx, `SELECT notifier, class, was_parked = 1, unparked FROM deliveries WHERE id = ?`,
		r.Delivery).
		Scan(&f.notifier, &class, &again, &unparked)
	if errors.Is(err, sql.ErrNoRows) {
		return f, router.ErrNotFound
	}
	if err != nil {
		return f, err
	}
	// The lane comes before any delivery: one order of locks for all.
	if err := settleLane(ctx, tx, f.notifier, r, again, now); err != nil {
		return f, err
	}
	if r.Interrupted && micros(r.NextAt) > now { // the service is busy: what else is like it can wait as well
		if err := wait(ctx, tx, f.notifier, class, r.NextAt, now); err != nil {
			return f, err
		}
	}
	if r.Digest != nil {
		f.renewed, err = finishDigest(ctx, tx, r, receipt, now)
	} else {
		f.renewed, err = finishOne(ctx, tx, r, receipt, now)
	}
	if err == nil {
		f.others, err = othersDue(ctx, tx, r.Delivery, f.notifier, f.renewed)
	}
	if err != nil || r.Event == nil {
		return f, err
	}
	if f.parked, err = isParked(ctx, tx, r.Delivery); err != nil || !f.parked {
		return f, err
	}
	event := *r.Event
	if unparked > 0 { // what was told of it before was another matter
		event.Digest = fmt.Sprintf("%s/%d", event.Digest, unparked)
	}
	row, err := encodeEvent(&event)
	if err != nil {
		return f, err
	}
	return f, insertEvent(ctx, tx, row)
}

// isParked says whether a delivery needs a person. One that was refused does not if more was owed by then.
func isParked(ctx context.Context, tx *txn, id int64) (bool, error) {
	var state router.DeliveryState
	err := tx.QueryRowContext(ctx, `SELECT state FROM deliveries WHERE id = ?`, id).Scan(&state)
	return state == router.DeliveryParked, err
}

// made says whether a receipt names something at the service that is about this incident alone, or may be there.
func made(r *router.Receipt) bool {
	return r.Unsure || r.Digest == "" && *r != router.Receipt{}
}

// mayExist takes up whether the service has something of a delivery, or may have. What it has certainly heard nothing
// of was not tried: nobody can have done anything to it there.
const mayExist = `may_exist = ?, tried_since = tried_since * ?`

// finishOne records how an attempt at one delivery ended, and says whether that renews others.
func finishOne(ctx context.Context, tx *txn, r *router.Result, receipt string, now int64) (renewed bool, err error) {
	exists, told := toInt(made(&r.Receipt)), toldNothing
	switch {
	case exists == 1:
		told = toldCard
	case r.Receipt.Digest != "":
		told = toldDigest
	}
	finish := func(set string, args ...any) error {
		args = append([]any{now, receipt, int64(told), toInt(r.Receipt.Open), int64(r.Receipt.Severity)}, args...)
		done, err := tx.ExecContext(ctx,
			`UPDATE deliveries SET claimed_until = 0, updated_at = ?, receipt = ?, told = ?, told_open = ?, told_severity = ?, `+
				set+` WHERE id = ? AND claim = ?`, append(args, r.Delivery, r.Claim)...)
		if err != nil {
			return err
		}
		if err := stillOurs(done, r.Delivery); err != nil {
			return err
		}
		return classify(ctx, tx, r.Delivery)
	}
	switch {
	case r.Interrupted && micros(r.NextAt) > now: // the service named a time: the attempt does not count
		return false, finish(`last_error = ?, attempts = CASE WHEN attempts > 0 THEN attempts - 1 ELSE 0 END, next_at = ?, `+
			mayExist,
			r.Error, micros(r.NextAt), exists, exists)
	case r.Interrupted: // cut short: it does not count either, but it may have told somebody
		return false, finish(`last_error = ?, attempts = CASE WHEN attempts > 0 THEN attempts - 1 ELSE 0 END, next_at = ?`,
			r.Error, now)
	case r.State == router.DeliveryWaiting:
		return false, finish(`last_error = ?, next_at = ?, `+mayExist+`, `+stillFailing, r.Error, micros(r.NextAt), exists,
			exists, now)
	case r.State == router.DeliveryParked:
		// A refusal speaks of the state that was told: what became owed meanwhile, perhaps the end, is tried at once.
		return false, finish(`last_error = ?, `+mayExist+`, `+stillFailing+`, `+parking,
			r.Error, exists, exists, now, r.Revision, now, micros(r.NextAt), r.Revision)
	}
	// Done; what became owed meanwhile is due at once, but for new numbers alone.
	before, err := receiptOf(ctx, tx, r.Delivery)
	if err != nil {
		return false, err
	}
	refused, renewed, err := unpark(ctx, tx, r.Delivery, now)
	if err != nil {
		return false, err
	}
	// A service that takes and refuses in turn is probed more and more rarely all the same: see
	// router.Notification.Refusals.
	called := toInt(r.Receipt.Open || r.Receipt != before) // else there was nothing to tell
	if err := finish(`last_error = '', told_at = CASE WHEN ? = 1 THEN ? ELSE told_at END, `+mayExist+`,
		attempts = 0, failing_since = 0, refusals = refusals * ?, have = ?,
		next_at = CASE WHEN cosmetic = 1 AND owed > ? THEN CAST(? AS BIGINT) ELSE ? END,
		owed_since = CASE WHEN owed > ? THEN ? ELSE owed_since END, state = CASE WHEN owed > ? THEN 'waiting' ELSE ? END`,
		called, now, exists, exists, toInt(refused), r.Revision,
		r.Revision, now+router.CosmeticEvery.Microseconds(), now, r.Revision, now, r.Revision, string(r.State)); err != nil {
		return false, err
	}
	linked, err := noteReceipt(ctx, tx, r, before, now)
	return renewed || linked, err
}

// Retarget pins a delivery to another target: for what never made anything where it was pinned before. It wraps
// router.ErrConflict when the claim is ours no more: by now somebody else may make something there.
func (s *Store) Retarget(ctx context.Context, delivery int64, claim string, t router.Target) error {
	held, err := s.write.ExecContext(ctx,
		`UPDATE deliveries SET kind = ?, keyed = ?, channel = ?, routing_key = ?, target = ? WHERE id = ? AND claim = ?`,
		string(t.Kind), toInt(t.Kind.Keyed()), s.sealedAddress(&t), s.sealed(t.Credential), t.ID(), delivery, claim)
	if err == nil {
		err = stillOurs(held, delivery)
	}
	if err != nil {
		return fmt.Errorf("retarget delivery: %w", err)
	}
	return nil
}

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

// retrying makes a delivery due that a person wants tried again. Its arguments are three times now.
const retrying = `state = 'waiting', next_at = ?, updated_at = ?, owed_since = ?, refusals = 0, unparked = unparked + was_parked`

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
