package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"flowbridge/router"
)

// agenda is when something may be due to each notifier. It is kept in memory, so that who is due is known without
// asking for each notifier each time: whatever changes a delivery says to which notifiers that was, and only those are
// looked at again. What this process missed, it finds when it looks at all, now and then.
type agenda struct {
	mu     sync.Mutex
	slots  map[string]slot // by notifier
	looked time.Time       // when all were looked at last; zero: they have to be
}

type slot struct {
	known   bool
	at      int64  // microseconds; 0: nothing is to come
	version uint64 // of what was changed: what was read before is not kept
	looked  int64  // microseconds: when at was read
	more    bool   // more has come since, which may be due before: it is looked at again lookAgain after looked
}

// lookAgain is how soon after a look a notifier that waits is looked at again: in a storm more is owed to it with each
// batch, and what holds it back, its budgets above all, lasts longer than this.
const lookAgain = 250 * time.Millisecond

// stale says that it is to be looked at, and if not, when at the latest.
func (s *slot) stale(now int64) (bool, int64) {
	switch again := s.looked + lookAgain.Microseconds(); {
	case !s.known, s.more && (now >= again || now < s.looked):
		return true, 0
	case s.more && (s.at == 0 || again < s.at):
		return false, again
	}
	return false, s.at
}

// lookEvery is how often all notifiers are looked at: a call of another process can be missed.
const lookEvery = 15 * time.Second

// mostLooks bounds how often one call looks at what changes while it looks: whoever changed it wakes the next.
const mostLooks = 3

// changed says that something about deliveries to notifiers has changed, or about any of them where none is named.
func (a *agenda) changed(notifiers ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(notifiers) == 0 {
		a.looked = time.Time{}
		notifiers = slices.Collect(maps.Keys(a.slots))
	}
	for _, name := range notifiers {
		a.slots[name] = slot{version: a.slots[name].version + 1}
	}
}

// owed says that more is owed to notifiers, and to which at once: where nothing waited before, that is due now and need
// not be looked for. One that waits for something is looked at again in a moment.
func (a *agenda) owed(atOnce map[string]bool, notifiers []string, now int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, name := range notifiers {
		was := a.slots[name]
		is := slot{version: was.version + 1}
		switch {
		case was.known && was.at == 0 && atOnce[name]:
			is.known, is.at = true, now
		case was.known && was.at > now:
			is.known, is.at, is.looked, is.more = true, was.at, was.looked, true
		}
		a.slots[name] = is
	}
}

// all says whether every notifier has to be looked at, and takes that up.
func (a *agenda) all(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if since := now.Sub(a.looked); since >= 0 && since < lookEvery {
		return false
	}
	a.looked = now
	return true
}

// unknown returns the notifiers to look at, but for some, with the versions that an answer is for.
func (a *agenda) unknown(now int64, skip func(notifier string) bool) map[string]uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[string]uint64{}
	for name, s := range a.slots {
		if stale, _ := s.stale(now); stale && !skip(name) {
			out[name] = s.version
		}
	}
	return out
}

// know keeps when something is due to a notifier, unless something has changed since it was asked, and says whether it
// did.
func (a *agenda) know(notifier string, version uint64, at, now int64) (kept bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.slots[notifier].version != version {
		return false
	}
	a.slots[notifier] = slot{known: true, at: at, version: version, looked: now}
	return true
}

// finished keeps when something may be due to a notifier after an attempt, which was read at a version; 0 for never.
// Where anything has changed since it has to be looked at.
func (a *agenda) finished(notifier string, version uint64, next, now int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := slot{version: a.slots[notifier].version + 1}
	if s.version == version+1 {
		s.known, s.at, s.looked = true, next, now
	}
	a.slots[notifier] = s
}

// due returns the notifiers with something to be tried at a time, but for some, sorted, and when the next is after
// that.
func (a *agenda) due(now int64, skip func(notifier string) bool) (notifiers []string, next int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, s := range a.slots {
		stale, at := s.stale(now)
		switch {
		case stale || at == 0 || skip(name):
		case at <= now:
			notifiers = append(notifiers, name)
		case next == 0 || at < next:
			next = at
		}
	}
	slices.Sort(notifiers)
	return notifiers, next
}

// waitingNotifiers are those with anything that waits, or that is to be probed.
const waitingNotifiers = `SELECT notifier FROM deliveries WHERE state = 'waiting' GROUP BY notifier
	UNION SELECT notifier FROM deliveries WHERE state = 'parked' AND next_at > 0 GROUP BY notifier`

// Due returns the notifiers that have a delivery to be tried now, and when another may come due (zero if none does). It
// leaves out those that the caller is at, who looks for himself what else there is, and then asks again, and those that
// another process owns.
func (s *Store) Due(ctx context.Context, now time.Time, but ...string) (notifiers []string, next time.Time, err error) {
	us := micros(now)
	owners := s.peers.shares()
	if err := owners.join(ctx); err != nil {
		return nil, next, fmt.Errorf("join those who deliver: %w", err)
	}
	if s.agenda.all(now) {
		names, err := all(ctx, s.read, waitingNotifiers, nil, scanText)
		if err == nil {
			err = owners.review(ctx, now, names)
		}
		if err != nil {
			s.agenda.changed()
			return nil, next, fmt.Errorf("read queue: %w", err)
		}
		s.agenda.changed(slices.Concat(names, s.agenda.names())...)
	}
	left := make(map[string]bool, len(but))
	for _, name := range but {
		left[name] = true
	}
	skip := func(notifier string) bool { return left[notifier] || owners.foreign(notifier) }
	for again, n := true, 0; again && n < mostLooks; n++ { // once more where what was read had changed by then
		far := false
		again = false
		for name, version := range s.agenda.unknown(us, skip) {
			at, err := s.nextFor(ctx, name, us)
			if err != nil {
				return nil, next, fmt.Errorf("read queue: %w", err)
			}
			again = !s.agenda.know(name, version, at.soonest(), us) || again
			far = far || at.farther(us)
		}
		if !far {
			continue
		}
		again = true // what waits was put off by a wrong clock
		if err := s.setBack(ctx, us); err != nil {
			return nil, next, fmt.Errorf("read queue: %w", err)
		}
		s.agenda.changed(s.agenda.names()...)
	}
	notifiers, soon := s.agenda.due(us, skip)
	return notifiers, fromMicros(soon), nil
}

// mayBeDue says whether it is worth a transaction to claim something for a notifier: a lane asks once more than there
// is something, each time. What is known is not read again, unless it was put off as by a wrong clock. What it finds
// need not be asked for by Due again.
func (s *Store) mayBeDue(ctx context.Context, notifier string, now int64) (bool, error) {
	known := s.agenda.slot(notifier)
	if stale, _ := known.stale(now); !stale && known.at <= now+farthest.Microseconds() {
		return known.at > 0 && known.at <= now, nil
	}
	c, err := s.nextFor(ctx, notifier, now)
	if err != nil {
		return false, fmt.Errorf("read queue: %w", err)
	}
	at := c.soonest()
	if c.farther(now) { // it is for Due to set that right
		return at > 0 && at <= now, nil
	}
	s.agenda.know(notifier, known.version, at, now)
	return at > 0 && at <= now, nil
}

// slot returns what is known of a notifier.
func (a *agenda) slot(notifier string) slot {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.slots[notifier]
}

// names are the notifiers that are known.
func (a *agenda) names() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.slots))
}

// coming are the times at which something about a notifier changes, in microseconds: what waits, and what is to be
// probed.
type coming struct{ waits, probes []int64 }

// soonest returns the first, 0 for none.
func (c *coming) soonest() (first int64) {
	for _, at := range slices.Concat(c.waits, c.probes) {
		if at > 0 && (first == 0 || at < first) {
			first = at
		}
	}
	return first
}

// farther says that something is put off farther than anybody can have meant.
func (c *coming) farther(now int64) bool {
	far := func(most time.Duration) func(int64) bool {
		return func(at int64) bool { return at > now+most.Microseconds() }
	}
	return slices.ContainsFunc(c.waits, far(farthest)) || slices.ContainsFunc(c.probes, far(farthestProbe))
}

// ownPausesQuery finds until when a notifier's lane rests, or probes with one delivery at a time, and its classes wait.
const ownPausesQuery = `SELECT -1, rests FROM lanes WHERE notifier = ? AND rests > ?
		UNION ALL SELECT -1, coalesce((SELECT max(d.claimed_until) FROM deliveries d
				WHERE d.claimed_until > ` + integer + ` AND d.claimed_until > 0 AND d.notifier = l.notifier AND d.state = 'waiting'), 0)
			FROM lanes l WHERE l.notifier = ? AND l.failures >= ?
		UNION ALL SELECT class, until FROM waits WHERE notifier = ? AND until > ?`

// What ownComingQuery says of a time.
const (
	dueNow   = iota // something of a class may be tried
	dueLater        // a retry, or the end of a claim
	dueProbe        // what is parked of a class is probed
)

// ownComingQuery finds of which classes of a notifier something may be tried now, and when something else changes. Each
// class is asked for by itself, in order: so there is one way to find it, and PostgreSQL takes that also while its
// statistics say that nothing waits. Asked for several it went through all that waits anywhere, 25 ms of 40,000.
// The bound of a time comes before the condition of the index: SQLite begins at the first of two, and "> 0" first is
// all that waits (6 ms of 50,000).
var ownComingQuery = fmt.Sprintf(`SELECT %d, c.class, 0 FROM (`+everyClass()+`) AS c
			WHERE (SELECT 1 FROM deliveries d WHERE d.notifier = ? AND d.class = c.class AND `+claimable+`
				ORDER BY `+inTurn+` LIMIT 1) = 1
		UNION ALL SELECT %d, 0, coalesce(min(next_at), 0) FROM deliveries
			WHERE state = 'waiting' AND notifier = ? AND next_at > `+integer+` AND next_at > 0
		UNION ALL SELECT %[2]d, 0, coalesce((SELECT claimed_until FROM deliveries
			WHERE notifier = ? AND claimed_until > `+integer+` AND claimed_until > 0 ORDER BY claimed_until LIMIT 1), 0)
		UNION ALL SELECT %d, class, min(next_at) FROM deliveries
			WHERE state = 'parked' AND next_at > 0 AND notifier = ? GROUP BY class`, dueNow, dueLater, dueProbe)

// everyClass is a table of all classes.
func everyClass() string {
	var rows []string
	for _, class := range router.Classes() {
		rows = append(rows, fmt.Sprintf(`SELECT %d AS class`, class))
	}
	return strings.Join(rows, " UNION ALL ")
}

// nextFor looks when something is due to a notifier: a time that has passed is now. It may be too early where the class
// of what comes then has to wait.
func (s *Store) nextFor(ctx context.Context, notifier string, now int64) (c coming, err error) {
	type pause struct{ class, until int64 }
	pauses, err := all(ctx, s.read, ownPausesQuery, []any{notifier, now, now, notifier, router.LaneDown, notifier, now},
		func(row scanner) (p pause, err error) {
			err = row.Scan(&p.class, &p.until)
			return p, err
		})
	if err != nil {
		return c, err
	}
	waits := map[router.Class]bool{}
	for _, p := range pauses {
		if p.until == 0 {
			continue // nobody is at anything
		}
		c.waits = append(c.waits, p.until)
		if p.class < 0 { // nothing is tried before
			c.waits = []int64{p.until}
			return c, nil
		}
		waits[router.Class(p.class)] = true
	}
	err = s.comes(ctx, notifier, now, waits, &c)
	return c, err
}

// comes adds what is due to a notifier to what is coming, and when more of it is. Some of its classes have to wait.
func (s *Store) comes(ctx context.Context, notifier string, now int64, waits map[router.Class]bool, c *coming) error {
	type change struct {
		what  int
		class router.Class
		at    int64
	}
	changes, err := all(ctx, s.read, ownComingQuery, []any{notifier, now, now, notifier, now, notifier, now, notifier},
		func(row scanner) (o change, err error) {
			err = row.Scan(&o.what, &o.class, &o.at)
			return o, err
		})
	if err != nil {
		return err
	}
	digested := false
	for _, o := range changes {
		switch {
		case o.what == dueLater:
			c.waits = append(c.waits, o.at)
		case o.what == dueProbe:
			if o.at > now || !waits[o.class] { // what waits with its class is due after that
				c.probes = append(c.probes, o.at)
			}
		case waits[o.class]:
		case o.class == router.ClassDigested:
			digested = true
		default:
			c.waits = append(c.waits, now)
		}
	}
	if !digested {
		return nil
	}
	many, err := manyDigested(ctx, s.read, notifier)
	if err == nil && !many { // else the digest stands in for them still
		c.waits = append(c.waits, now)
	}
	return err
}

// Queries of the other notifiers that something of a delivery's target and key waits for, and that something of its
// incident is told. Two names of one target are few, and so are the notifiers of an incident.
const (
	sameLineQuery = `SELECT o.notifier FROM deliveries o WHERE o.state = 'waiting'
		AND o.target = (SELECT target FROM deliveries WHERE id = ?) AND o.key = (SELECT key FROM deliveries WHERE id = ?)
		AND o.notifier <> ? ORDER BY o.id LIMIT 100`
	sameIncidentQuery = `SELECT o.notifier FROM deliveries o
		WHERE o.incident = (SELECT incident FROM deliveries WHERE id = ?) AND o.incident <> 0 AND o.notifier <> ?`
)

// othersDue adds the other notifiers for which something may be due once an attempt has ended: what went after it
// under another name, and what else tells of the incident where that was renewed.
func othersDue(ctx context.Context, tx *txn, id int64, notifier string, renewed bool, others *[]string) error {
	due := []statement{reading(others, sameLineQuery, []any{id, id, notifier}, scanText)}
	if renewed {
		due = append(due, reading(others, sameIncidentQuery, []any{id, notifier}, scanText))
	}
	return tx.later(ctx, due...)
}
