package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"flowbridge/router"
)

// Finish records how an attempt ended and gives the claim up, which must still be ours: else it wraps
// router.ErrConflict, and nothing changes. It may be repeated.
func (s *Store) Finish(ctx context.Context, r router.Result) error {
	_, _, err := s.finishAnd(ctx, r, nil)
	return err
}

// FinishAndClaim is Finish, and after an attempt that has told its delivery also Claim, where more of the same notifier
// may be tried by then: both or, with an error, none. What is claimed is looked for only once the rest is written, so
// that it may be the same delivery, which became owed more meanwhile.
func (s *Store) FinishAndClaim(ctx context.Context, r router.Result, ask router.Ask) (n *router.Notification,
	short int, err error) {
	return s.finishAnd(ctx, r, &ask)
}

// finishAnd does so, and claims nothing without an ask.
func (s *Store) finishAnd(ctx context.Context, r router.Result, ask *router.Ask) (n *router.Notification, short int,
	err error) {
	f, err := s.newFinished(&r)
	if err != nil {
		return nil, 0, fmt.Errorf("finish delivery: %w", err)
	}
	err = s.inShared(ctx, func(ctx context.Context, tx *txn) (err error) {
		f.outcome, n, short = outcome{}, nil, 0
		if err := f.finish(ctx, tx); err != nil || !f.over() {
			return err
		}
		f.version = s.agenda.slot(f.notifier).version
		err = tx.later(ctx, reading(&f.left, leavesQuery, []any{f.notifier, f.notifier, f.now, f.notifier}, scanLeft))
		if err != nil || ask == nil {
			return err
		}
		if err := tx.flush(ctx); err != nil || f.next() != f.now {
			return err
		}
		f.goesOn = true
		its := *ask
		its.Now = s.cfg.Now()
		n, short, err = s.claim(ctx, tx, &its, f.lane, f.waits())
		return err
	})
	if err = s.isClaimed(ctx, n, ask, err); err != nil {
		return nil, 0, fmt.Errorf("finish delivery: %w", err)
	}
	s.tell(f)
	return n, short, nil
}

// tell wakes whoever has something to do now that an attempt has ended.
func (s *Store) tell(f *finished) {
	slices.Sort(f.others)
	f.others = slices.Compact(f.others)
	if f.over() && !f.goesOn {
		s.agenda.finished(f.notifier, f.version, f.next(), f.now)
	} else {
		s.agenda.changed(f.notifier)
	}
	r := f.of
	if r.State == router.DeliveryWaiting && !r.Interrupted {
		s.peers.failing(f.notifier)
	}
	// What else may be due by this is due to the same notifier, whose lane goes on by itself, but for one that stops.
	switch {
	case r.Digest != nil && f.renewed:
		s.wakeDelivery()
	case r.Interrupted && micros(r.NextAt) <= f.now:
		s.wakeDelivery(append(f.others, f.notifier)...)
	case len(f.others) > 0:
		s.wakeDelivery(f.others...)
	}
	if f.parked {
		s.wakeFold()
	}
}

// finished is the end of an attempt.
type finished struct {
	of      *router.Result
	receipt string      // as it is written
	made    *attemptRow // nil for nothing that is kept
	now     int64       // microseconds
	outcome
}

func (s *Store) newFinished(r *router.Result) (*finished, error) {
	receipt, err := json.Marshal(r.Receipt)
	if err != nil {
		return nil, err
	}
	f := &finished{of: r, receipt: string(receipt), now: micros(s.cfg.Now())}
	if r.Attempt != nil && s.cfg.KeepAttempts > 0 {
		f.made, err = encodeAttempt(r)
	}
	return f, err
}

// over says that there is nothing to be tried again: what else waits for the notifier is looked for at once.
func (f *finished) over() bool {
	return (f.of.State == router.DeliveryDelivered || f.of.State == router.DeliveryCancelled) && f.of.Digest == nil
}

// outcome is what the end of an attempt came to.
type outcome struct {
	notifier string
	lane     lane     // as it is now
	renewed  bool     // something may be due of other deliveries of the incident
	others   []string // notifiers to which something may be due now
	parked   bool     // the delivery needs a person, and the fallback is to be told

	version uint64 // of the agenda, when left was read
	left    []left // of each class
	goesOn  bool   // more of the notifier was to be claimed at once
}

// left is what else waits for a notifier in a class.
type left struct {
	class router.Class
	until int64  // microseconds: the class waits, 0 where it does not
	first *int64 // microseconds: when something in it may be tried, nil where nothing waits
}

func scanLeft(row scanner) (l left, err error) {
	err = row.Scan(&l.class, &l.until, &l.first)
	return l, err
}

// next returns when something else may be due to the notifier, 0 where nothing waits, and nothing is to be probed.
func (f *finished) next() (next int64) {
	for _, l := range f.left {
		if l.first == nil {
			continue
		}
		if at := max(l.until, *l.first, f.now); next == 0 || at < next {
			next = at
		}
	}
	return next
}

// waits returns the classes that have to wait.
func (f *finished) waits() map[router.Class]bool {
	waits := map[router.Class]bool{}
	for _, l := range f.left {
		if l.until > 0 {
			waits[l.class] = true
		}
	}
	return waits
}

// leavesQuery finds when what else waits for a notifier may be tried: until when each class waits, 0 where it does not,
// and the first time in it; 0 where so many wait that not all are looked at, NULL where nothing does. What is to be
// probed is of no class.
var leavesQuery = fmt.Sprintf(`SELECT c.class, coalesce(w.until, 0), (SELECT CASE WHEN count(*) = %[1]d THEN 0 ELSE min(next_at) END
				FROM (SELECT next_at FROM deliveries WHERE state = 'waiting' AND notifier = ? AND class = c.class
					ORDER BY owed_since, id LIMIT %[1]d) AS few)
			FROM (`+everyClass()+`) AS c LEFT JOIN waits w ON w.notifier = ? AND w.class = c.class AND w.until > ?
		UNION ALL SELECT -1, 0, 0 WHERE EXISTS (
			SELECT 1 FROM deliveries WHERE notifier = ? AND state = 'parked' AND next_at > 0)`, mostLeft)

// mostLeft bounds what leavesQuery looks at in a class.
const mostLeft = 8

// finish records it in a transaction.
func (f *finished) finish(ctx context.Context, tx *txn) error {
	r, now := f.of, f.now
	was, l, err := tried(ctx, tx, r)
	if err != nil {
		return err
	}
	f.notifier = was.notifier
	f.lane = l.after(r, was.refused)
	if err := lockFinished(ctx, tx, r, &was, l.down() && !f.lane.down(), now); err != nil {
		return err
	}
	if err := settleLane(ctx, tx, f.notifier, l, f.lane, now); err != nil {
		return err
	}
	if r.Interrupted && micros(r.NextAt) > now { // the service is busy: what else is like it can wait as well
		if err := wait(ctx, tx, f.notifier, was.class, r.NextAt, now); err != nil {
			return err
		}
	}
	if r.Digest != nil {
		f.renewed, err = finishDigest(ctx, tx, r, f.receipt, now)
	} else {
		f.renewed, err = finishOne(ctx, tx, r, &was, f.receipt, now)
		if err == nil && was.changesCards(r, now) {
			f.renewed, err = true, renewOthers(ctx, tx, was.incident, r.Delivery, now, was.shownSince(r))
		}
	}
	if err == nil && f.made != nil && !was.kept {
		err = f.made.write(ctx, tx, was.attempts+1)
	}
	if err == nil {
		err = othersDue(ctx, tx, r.Delivery, f.notifier, f.renewed, &f.others)
	}
	if err != nil || r.Event == nil {
		return err
	}
	if f.parked, err = isParked(ctx, tx, r.Delivery); err != nil || !f.parked {
		return err
	}
	event := *r.Event
	if was.unparked > 0 { // what was told of it before was another matter
		event.Digest = fmt.Sprintf("%s/%d", event.Digest, was.unparked)
	}
	row, err := encodeEvent(&event)
	if err != nil {
		return err
	}
	return insertEvent(ctx, tx, row)
}

// before is a delivery as it was when an attempt at it ended.
type before struct {
	notifier string
	incident int64
	kind     router.Kind
	key      string
	class    router.Class
	refused  bool // it was refused, and not told since
	unparked int64
	receipt  router.Receipt
	open     bool // it is owed that it is open
	opening  int64
	since    int64 // microseconds: since when it is owed
	updated  int64 // microseconds
	attempts int64 // number of the last attempt that is kept, 0 for none
	kept     bool  // and that was under the same claim: this is a repeat
}

// changesCards says whether the other cards of the incident show something else of a page after an attempt: that it is
// made, where they may have called it a problem, or that it is one by now. See other.
func (b *before) changesCards(r *router.Result, now int64) bool {
	late := now-b.since >= unpagedFor.Microseconds()
	switch {
	case b.incident == 0 || !b.kind.Keyed() || !late || b.receipt.Tells(b.opening):
		return false
	case r.State == router.DeliveryWaiting:
		return b.open && b.updated-b.since < unpagedFor.Microseconds()
	}
	return r.State == router.DeliveryDelivered && r.Receipt.Open
}

// shownSince returns when cards were told at the earliest that show now what they should not: a page that is made is
// shown as a problem only by those that were told while it was late, and in a storm that is few. Microseconds, 0 for
// ever.
func (b *before) shownSince(r *router.Result) int64 {
	if r.State == router.DeliveryWaiting {
		return 0
	}
	return b.since + unpagedFor.Microseconds()
}

// tried reads a delivery, and locks its lane: the lane comes before any delivery, which is one order of locks for all.
func tried(ctx context.Context, tx *txn, r *router.Result) (b before, l lane, err error) {
	query := `SELECT d.notifier, d.incident, d.kind, d.key, d.class, d.was_parked = 1, d.unparked, d.receipt,
		d.open, d.opening, d.owed_since, d.updated_at,
		coalesce((SELECT n FROM attempts WHERE delivery = d.id ORDER BY n DESC LIMIT 1), 0),
		coalesce((SELECT claim FROM attempts WHERE delivery = d.id ORDER BY n DESC LIMIT 1), '') = ?, ` + laneColumns + `
		FROM deliveries d JOIN lanes ON lanes.notifier = d.notifier WHERE d.id = ?` + tx.d.locking("lanes")
	var lost bool // nothing hangs on it: the claim knew
	var open int64
	dests := []any{&b.notifier, &b.incident, &b.kind, &b.key, &b.class, &b.refused, &b.unparked,
		storedReceipt{&b.receipt, &lost}, &open, &b.opening, &b.since, &b.updated, &b.attempts, &b.kept}
	err = tx.QueryRowContext(ctx, query, r.Claim, r.Delivery).Scan(append(dests, l.dests()...)...)
	if errors.Is(err, sql.ErrNoRows) { // there is a lane of every delivery that was ever claimed
		err = router.ErrNotFound
	}
	b.open = open != 0
	return b, l, err
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
func finishOne(ctx context.Context, tx *txn, r *router.Result, was *before, receipt string,
	now int64) (renewed bool, err error) {
	exists, told := toInt(made(&r.Receipt)), toldNothing
	switch {
	case exists == 1:
		told = toldCard
	case r.Receipt.Digest != "":
		told = toldDigest
	}
	finish := func(set string, args ...any) error {
		first := []any{now, receipt, int64(told), toInt(r.Receipt.Open), int64(r.Receipt.Severity)}
		first = append(first, classAfterArgs(told, r.Receipt.Open, r.Receipt.Severity)...)
		update := doing(`UPDATE deliveries SET claimed_until = 0, updated_at = ?, receipt = ?, told = ?,
			told_open = ?, told_severity = ?, class = `+classAfter+`, `+set+` WHERE id = ? AND claim = ?`,
			append(append(first, args...), r.Delivery, r.Claim)...)
		update.affected = func(rows int64) error { return ours(rows, r.Delivery) }
		return tx.later(ctx, update)
	}
	switch {
	case r.Interrupted && micros(r.NextAt) > now: // the service named a time: the attempt does not count
		return false, finish(`last_error = ?, attempts = CASE WHEN attempts > 0 THEN attempts - 1 ELSE 0 END, next_at = ?, `+
			mayExist, r.Error, micros(r.NextAt), exists, exists)
	case r.Interrupted: // cut short: it does not count either, but it may have told somebody
		return false, finish(`last_error = ?, attempts = CASE WHEN attempts > 0 THEN attempts - 1 ELSE 0 END, next_at = ?`,
			r.Error, now)
	case r.State == router.DeliveryWaiting:
		return false, finish(`last_error = ?, next_at = ?, `+mayExist+`, `+stillFailing,
			r.Error, micros(r.NextAt), exists, exists, now)
	case r.State == router.DeliveryParked:
		// A refusal speaks of the state that was told: what became owed meanwhile, perhaps the end, is tried at once.
		return false, finish(`last_error = ?, `+mayExist+`, `+stillFailing+`, `+parking,
			r.Error, exists, exists, now, r.Revision, now, micros(r.NextAt), r.Revision)
	}
	// Done; what became owed meanwhile is due at once, but for what may wait.
	refused := was.refused
	if refused {
		if refused, renewed, err = unpark(ctx, tx, r.Delivery, now); err != nil {
			return false, err
		}
	}
	// A service that takes and refuses in turn is probed more and more rarely all the same: see
	// router.Notification.Refusals.
	called := toInt(r.Receipt.Open || r.Receipt != was.receipt) // else there was nothing to tell
	if err := finish(`last_error = '', told_at = CASE WHEN ? = 1 THEN ? ELSE told_at END, `+mayExist+`,
		attempts = 0, failing_since = 0, refusals = refusals * ?, have = ?,
		next_at = `+integer+` + CASE WHEN owed > ? THEN `+mayWait+` ELSE 0 END,
		owed_since = CASE WHEN owed > ? THEN ? ELSE owed_since END, state = CASE WHEN owed > ? THEN 'waiting' ELSE ? END`,
		called, now, exists, exists, toInt(refused), r.Revision,
		now, r.Revision, r.Revision, now, r.Revision, string(r.State)); err != nil {
		return false, err
	}
	linked, err := noteReceipt(ctx, tx, r, was, now)
	return renewed || linked, err
}

// Retarget pins a delivery to another target: for what never made anything where it was pinned before, or whose target
// is gone with all that was made there, so that its receipt and its link are of no use. It wraps router.ErrConflict
// when the claim is ours no more: by now somebody else may make something there.
func (s *Store) Retarget(ctx context.Context, delivery int64, claim string, t router.Target) error {
	err := s.inTx(ctx, func(tx *txn) error {
		held, err := tx.ExecContext(ctx, `UPDATE deliveries SET kind = ?, keyed = ?, channel = ?, routing_key = ?, target = ?,
			receipt = '{}' WHERE id = ? AND claim = ?`,
			string(t.Kind), toInt(t.Kind.Keyed()), s.sealedAddress(&t), s.sealed(t.Credential), t.ID(), delivery, claim)
		if err == nil {
			err = stillOurs(held, delivery)
		}
		if err == nil {
			_, err = tx.ExecContext(ctx, `UPDATE links SET stale = 1 WHERE (incident, notifier, key) IN (
				SELECT incident, notifier, key FROM deliveries WHERE id = ?)`, delivery)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("retarget delivery: %w", err)
	}
	return nil
}
