package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
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
// NOT EXISTS a claim among 5,000 took it seconds. Of many that wait under one key all but the oldest are passed over by
// the first condition, so that only few are asked the second.
const claimable = `d.state = 'waiting' AND d.next_at <= ? AND d.id = (
	SELECT min(older.id) FROM deliveries older
	WHERE older.state = 'waiting' AND older.target = d.target AND older.key = d.key) AND ` + untried

// untried is the condition that nobody is at a delivery of the same target and key as d.
const untried = `coalesce((
	SELECT max(other.claimed_until) FROM deliveries other
	WHERE other.claimed_until > 0 AND other.state = 'waiting' AND other.target = d.target AND other.key = d.key), 0) <= ?`

// Claim takes a notifier's most important delivery that may be tried, until the lease ends, and returns all that the
// notifier needs to bring its service to the newest state; nil if there is none. The attempt is on disk before
// Claim returns: after a crash the next one knows that something may exist. What the budgets have no room for waits,
// which is no failure; short says how many classes had to.
func (s *Store) Claim(ctx context.Context, ask router.Ask) (n *router.Notification, short int, err error) {
	if due, err := s.mayBeDue(ctx, ask.Notifier, micros(ask.Now)); err != nil || !due {
		return nil, 0, err
	}
	err = s.inShared(ctx, func(ctx context.Context, tx *txn) error {
		if now := s.cfg.Now(); now.After(ask.Now) {
			ask.Now = now // it may have waited, and the service counts from the call that follows
		}
		l, waits, err := enterLane(ctx, tx, ask.Notifier, micros(ask.Now))
		if err == nil {
			n, short, err = s.claim(ctx, tx, &ask, l, waits)
		}
		return err
	})
	s.agenda.changed(ask.Notifier)
	if err = s.isClaimed(ctx, n, &ask, err); err != nil {
		return nil, 0, fmt.Errorf("claim delivery: %w", err)
	}
	return n, short, nil
}

// isClaimed drops an error that leaves open whether a claim was written, where it was: else the delivery waits for the
// end of its lease.
func (s *Store) isClaimed(ctx context.Context, n *router.Notification, ask *router.Ask, err error) error {
	if errors.Is(err, errUnclear) && n != nil &&
		s.Extend(ctx, n.Delivery, n.Claim, s.cfg.Now().Add(ask.Lease)) == nil {
		return nil
	}
	return err
}

// claim does so in a lane that is locked and of whose classes some have to wait, to which it adds.
func (s *Store) claim(ctx context.Context, tx *txn, ask *router.Ask, l lane,
	blocked map[router.Class]bool) (_ *router.Notification, short int, err error) {
	now := micros(ask.Now)
	if l.rests > now {
		return nil, 0, nil
	}
	if l.down() {
		if probing, err := inFlight(ctx, tx, ask.Notifier, now); probing || err != nil {
			return nil, 0, err
		}
	}
	for {
		c, err := s.candidate(ctx, tx, ask, &l, blocked)
		if err != nil || c == nil {
			return nil, short, err
		}
		if c.n.Class == router.ClassDigested {
			if many, err := manyDigested(ctx, tx, ask.Notifier); many || err != nil {
				if err != nil {
					return nil, short, err
				}
				blocked[c.n.Class] = true // the digest stands in for them still
				continue
			}
		}
		until, left, err := c.loadAndSpend(ctx, tx, ask)
		switch {
		case errors.Is(err, errForgotten):
			continue
		case errors.Is(err, errLocked):
			blocked[c.n.Class] = true
			continue
		case err != nil:
			return nil, short, err
		case !until.IsZero():
			short++
			blocked[c.n.Class] = true
			if err := wait(ctx, tx, ask.Notifier, c.n.Class, until, now); err != nil {
				return nil, short, err
			}
			continue
		}
		if c.lost {
			s.cfg.Logger.Warn("the receipt of a delivery is damaged; what its service has is found out there", "delivery", c.id,
				"notifier", ask.Notifier)
		}
		l.turns++
		c.n.Failures = int(l.failures)
		err = errors.Join(c.take(ctx, tx, ask), writeLane(ctx, tx, ask.Notifier, l), tx.flush(ctx))
		if err == nil && !left {
			short, err = s.foresee(ctx, tx, ask, &l, blocked, short)
		}
		return &c.n, short, err
	}
}

// candidate returns what is to be claimed next, or probed where there is no such thing; nil where there is neither.
func (s *Store) candidate(ctx context.Context, tx *txn, ask *router.Ask, l *lane,
	blocked map[router.Class]bool) (*candidate, error) {
	c, err := next(ctx, tx, ask, l, blocked)
	if err == nil && c == nil {
		c, err = nextProbe(ctx, tx, ask, blocked)
	}
	if err != nil || c == nil {
		return nil, err
	}
	c.n.Target.Credential = s.routingKey(ask.Notifier, c.routingKey)
	c.n.Target.Address = s.address(ask.Notifier, c.n.Target.Address)
	return c, nil
}

// foresee makes the class of what comes next wait at once where a claim has emptied a budget that this needs, too: else
// the lane would only come to find that out.
func (s *Store) foresee(ctx context.Context, tx *txn, ask *router.Ask, l *lane, blocked map[router.Class]bool,
	short int) (int, error) {
	c, err := s.candidate(ctx, tx, ask, l, blocked)
	if err != nil || c == nil || c.n.Class == router.ClassDigested {
		return short, err
	}
	until, err := c.lacks(ctx, tx, ask)
	if err != nil || until.IsZero() {
		return short, err
	}
	return short + 1, wait(ctx, tx, ask.Notifier, c.n.Class, until, micros(ask.Now))
}

// loadAndSpend loads a candidate and takes what it costs from the budgets; or it returns until when these have no room.
// left says whether the same could be taken again.
func (c *candidate) loadAndSpend(ctx context.Context, tx *txn, ask *router.Ask) (until time.Time, left bool,
	err error) {
	if until, err = c.lacks(ctx, tx, ask); err != nil || !until.IsZero() {
		return until, true, err
	}
	if err := c.load(ctx, tx, ask); err != nil || ask.Charges == nil {
		return until, true, err
	}
	return spend(ctx, tx, ask.Now, ask.Charges(&c.n), c.budgets)
}

// lacks returns until when the budgets have no room for a candidate, zero where they may have. It is asked before the
// candidate is loaded, which is more work than all else of a claim: of many that wait for a budget one is tried each
// time that it has room.
func (c *candidate) lacks(ctx context.Context, tx *txn, ask *router.Ask) (time.Time, error) {
	if ask.Charges == nil || c.incident == 0 || c.unsettled != "" {
		return time.Time{}, nil
	}
	until, budgets, err := room(ctx, tx, ask.Now, ask.Charges(&c.n))
	c.budgets = budgets
	return until, err
}

// inFlightQuery asks for the last claim, and so finds it by the index of claims.
const inFlightQuery = `SELECT coalesce((SELECT claimed_until FROM deliveries
	WHERE claimed_until > ` + integer + ` AND claimed_until > 0 AND notifier = ? AND state = 'waiting'
	ORDER BY claimed_until DESC LIMIT 1), 0)`

// inFlight says whether somebody tries a delivery to a notifier.
func inFlight(ctx context.Context, tx *txn, notifier string, now int64) (bool, error) {
	until, err := number(ctx, tx, inFlightQuery, now, notifier)
	return until > 0, err
}

// candidate is a delivery that may be claimed.
type candidate struct {
	n               router.Notification
	id              int64
	routingKey      string // as it is stored
	parked          bool   // and is to be probed
	incident, event int64
	told            telling
	unsettled       string           // id of a digest that may have told of it
	lost            bool             // its receipt cannot be read
	budgets         map[string]int64 // that lacks has read
	body            digestBody       // of the digest that it is told in, if there is one
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
	return loadIncident(ctx, tx, &c.n, c.incident, ask.Now)
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
	return tx.later(ctx, doing(
		`UPDATE deliveries SET claimed_until = ?, claim = ?, attempts = attempts + 1, may_exist = 1, cosmetic = 1,
		tried_since = CASE WHEN open = 1 AND told_open = 0 AND (attempts = 0 OR may_exist = 0) THEN ? ELSE tried_since END
		WHERE id = ?`,
		until, c.n.Claim, micros(ask.Now), c.n.Delivery))
}

// extendQuery finds a claim among those of its notifier: a digest has many deliveries, and in a storm every channel has
// one that is extended again and again (20 ms each among 20,000).
func extendQuery(d *dialect) string {
	return `UPDATE deliveries SET claimed_until = ? WHERE id IN (SELECT id FROM deliveries
		WHERE notifier = (SELECT notifier FROM deliveries WHERE id = ?) AND claimed_until > 0 AND claim = ?
		ORDER BY claimed_until, id LIMIT ?` + d.forUpdate + `)`
}

// Extend makes a claim hold until a time. It wraps router.ErrConflict when the claim is ours no more.
func (s *Store) Extend(ctx context.Context, delivery int64, claim string, until time.Time) error {
	err := s.inShared(ctx, func(ctx context.Context, tx *txn) error {
		held, err := tx.ExecContext(ctx, extendQuery(tx.d), micros(until), delivery, claim, router.DigestSize)
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
	if err == nil {
		err = ours(n, delivery)
	}
	return err
}

func ours(rows, delivery int64) error {
	if rows == 0 {
		return fmt.Errorf("%w: delivery %d is in other hands", router.ErrConflict, delivery)
	}
	return nil
}

func loadNotice(ctx context.Context, tx *txn, n *router.Notification, event int64) error {
	var at int64
	var body []byte
	err := tx.QueryRowContext(ctx, `SELECT folded_at, body FROM notices WHERE event = ?`, event).Scan(&at, &body)
	if err != nil {
		return fmt.Errorf("read notice: %w", err)
	}
	n.Notice = readNotice(event, fromMicros(at), n.Severity, body)
	return nil
}

// loadIncident fills in the newest state of an incident and what is around it: its alerts, and the active ones of its
// flow beside them; its timeline; where else people find it, and who else was refused and not told since.
func loadIncident(ctx context.Context, tx *txn, n *router.Notification, number int64, now time.Time) error {
	var found []router.Incident
	var around []router.FlowAlert
	var others []other
	late := micros(now.Add(-unpagedFor))
	err := tx.later(ctx,
		reading(&found, readIncidents+`number = ?`, []any{number}, legibly(scanIncident)),
		reading(&around, readAlerts+aroundIncident, []any{number, number, number}, legibly(scanAlert)),
		reading(&n.Timeline, newestQuery, []any{number, n.Receipt.Told, router.MaxTimeline}, scanEntry),
		reading(&others, othersQuery, []any{late, number, n.Delivery}, legibly(scanOther)))
	if err == nil {
		err = tx.flush(ctx)
	}
	if err == nil && len(found) == 0 {
		err = errors.New("it is not there")
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", router.IncidentName(number), err)
	}
	n.Incident = &found[0]
	slices.Reverse(n.Timeline)
	for _, a := range router.WorstFirst(onlyAlerts(around)) {
		if a.Incident == number {
			n.Alerts = append(n.Alerts, a)
		} else {
			n.Also = append(n.Also, a)
		}
	}
	slices.SortFunc(others, func(a, b other) int { return cmp.Compare(a.Related.Notifier, b.Related.Notifier) })
	for _, o := range others {
		if o.Link != "" {
			n.Related = append(n.Related, o.Related)
		}
		if o.counts(n.Incident, late) {
			o.Problem.Notifier = o.Related.Notifier
			n.Problems = append(n.Problems, o.Problem)
		}
	}
	if len(n.Left()) > 0 {
		n.Taken, err = takenKeys(ctx, tx, n)
	}
	return err
}

// aroundIncident is the condition for the alerts of an incident, and the active ones of its flow.
const aroundIncident = `incident = ? OR waba = (SELECT waba FROM incidents WHERE number = ?)
	AND flow = (SELECT flow FROM incidents WHERE number = ?) AND active = 1`

// unpagedFor is how long a page is owed before cards stop saying that it was made.
const unpagedFor = time.Minute

// othersQuery also says of a page since when it is not made. One that is late and was not tried, since its service
// fails, has what that said to the one that was.
const othersQuery = `SELECT notifier, kind, receipt, was_parked = 1,
		CASE WHEN last_error = '' AND owed_since <= ? AND ` + pageWaits + ` THEN ` + laneSays + ` ELSE last_error END, opening,
		CASE WHEN ` + pageWaits + ` THEN owed_since ELSE 0 END, key
	FROM deliveries d WHERE incident = ? AND id <> ?`

const pageWaits = `keyed = 1 AND open = 1 AND state = 'waiting'`

// laneSays is what the service of a delivery d said to the one that failed there last, "" while it does not fail.
const laneSays = `coalesce((SELECT CASE WHEN l.refusal <> '' THEN l.refusal ELSE f.last_error END
	FROM lanes l LEFT JOIN deliveries f ON f.id = l.failed WHERE l.notifier = d.notifier AND l.rests > 0), '')`

// notTried stands for the words of a service that was not asked yet.
const notTried = "other pages come first"

// other is another delivery of an incident.
type other struct {
	router.Related
	router.Problem
	refused bool
	key     string
	since   int64 // microseconds: since when a page is owed that was not made in this opening, 0 for none
	told    bool  // the service has said yes to something that it was told
}

// counts says whether an incident has the problem: it was refused and not told since, so that it is parked or under
// way again; or it is a page that is late. One that its service speaks of is there, and only the answer was lost.
func (o *other) counts(inc *router.Incident, late int64) bool {
	known := func(l router.Link) bool { return l.Notifier == o.Related.Notifier && l.Key == o.key && l.Name() != "" }
	if o.refused || o.since == 0 || o.since > late || !o.told && slices.ContainsFunc(inc.Links, known) {
		return o.refused
	}
	o.Since, o.Error = fromMicros(o.since), cmp.Or(o.Error, notTried)
	return true
}

func scanOther(row scanner) (o other, err error) {
	var receipt router.Receipt
	var opening int64
	err = row.Scan(&o.Related.Notifier, &o.Kind, storedJSON{&receipt}, &o.refused, &o.Error, &opening, &o.since, &o.key)
	o.Link, o.told = receipt.Link, receipt.Told > 0
	if receipt.Tells(opening) {
		o.since = 0
	}
	return o, err
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
	return `SELECT key FROM deliveries WHERE keyed = 1 AND incident <> ? AND open + 0 = 1 AND key IN (?` +
		strings.Repeat(", ?", keys-1) + `) GROUP BY key`
}
