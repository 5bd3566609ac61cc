package store

import (
	"context"
	"hash/fnv"
	"slices"
	"sync"
	"time"
)

// owners shares the notifiers out among the processes that deliver from one PostgreSQL database, so that they do not
// compete for the same rows: each process holds a lease, and each notifier is owned by one of those whose lease holds
// (rendezvous hashing: when a process comes or goes, no notifier moves between two others).
//
// Ownership says who looks and who is woken, and no more: what keeps two processes from telling the same are claims. So
// for a moment two may take a notifier for theirs. Where the owner does not get on, others help: at once after a failed
// attempt, and otherwise when nothing was tried between two looks at the queue.
type owners struct {
	s    *Store
	name string // of this process

	mu      sync.Mutex
	joined  bool // this process delivers
	left    bool // and has stopped doing so
	live    []string
	helped  map[string]bool  // notifiers of others that are looked at here as well, until the next look
	waiting map[string]int64 // turns of the notifiers of others that had something waiting when that was reviewed
	at      time.Time        // when that was
}

// renewals is how many times a lease is renewed while it holds.
const renewals = 4

func newOwners(s *Store, name string) *owners {
	return &owners{s: s, name: name, helped: map[string]bool{}, waiting: map[string]int64{}}
}

// join makes this process an owner of notifiers, from its first look at the queue on.
func (o *owners) join(ctx context.Context) error {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	known := o.joined || o.left
	o.mu.Unlock()
	if known {
		return nil
	}
	live, err := o.lease(ctx)
	if err != nil {
		return err
	}
	o.mu.Lock()
	o.joined, o.live = !o.left, live
	o.mu.Unlock()
	o.s.peers.owed(nil) // the others have fewer from now on
	return nil
}

// keep renews the lease until ctx ends.
func (o *owners) keep(ctx context.Context) {
	tick := time.NewTicker(o.s.cfg.DeadAfter / renewals)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		o.mu.Lock()
		joined := o.joined
		o.mu.Unlock()
		if !joined {
			continue
		}
		live, err := o.lease(ctx)
		if err != nil { // whoever cannot renew it cannot claim either
			continue
		}
		o.mu.Lock()
		changed := o.joined && !slices.Equal(live, o.live)
		if o.joined {
			o.live = live
		}
		o.mu.Unlock()
		if changed {
			o.s.agenda.changed()
			pulse(o.s.owed)
		}
	}
}

// lease renews the lease of this process, removes what is over, and returns who holds one, sorted.
func (o *owners) lease(ctx context.Context) ([]string, error) {
	const query = `WITH clock AS (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) AS now),
		ours AS (INSERT INTO processes (name, until, schema) SELECT ?, now + ?, ? FROM clock
			ON CONFLICT (name) DO UPDATE SET until = excluded.until),
		gone AS (DELETE FROM processes WHERE name IN (
			SELECT p.name FROM processes p, clock WHERE p.until <= clock.now AND p.name <> ? FOR UPDATE OF p SKIP LOCKED))
		SELECT p.name FROM processes p, clock WHERE p.until > clock.now AND p.name <> ? ORDER BY p.name`
	ctx, cancel := o.s.d.bounded(ctx)
	defer cancel()
	live, err := all(ctx, o.s.write, query,
		[]any{o.name, o.s.cfg.DeadAfter.Microseconds(), o.s.schema, o.name, o.name}, scanText)
	if err != nil {
		return nil, err
	}
	live = append(live, o.name)
	slices.Sort(live)
	return live, nil
}

// resign gives up the lease, so that the others own what was ours at once.
func (o *owners) resign(ctx context.Context) {
	o.mu.Lock()
	joined := o.joined
	o.joined, o.left = false, true
	o.mu.Unlock()
	if !joined {
		return
	}
	_, _ = o.s.write.ExecContext(ctx, `DELETE FROM processes WHERE name = ?`, o.name) // else it ends by itself
}

// foreign says that a notifier is left to another process.
func (o *owners) foreign(notifier string) bool {
	if o == nil {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.joined && len(o.live) > 1 && !o.helped[notifier] && ownerOf(notifier, o.live) != o.name
}

// ownerOf returns the process that owns a notifier: the one whose name, hashed with the notifier's, is the largest.
func ownerOf(notifier string, live []string) (owner string) {
	var most uint64
	for _, name := range live {
		h := fnv.New64a()
		_, _ = h.Write([]byte(notifier + "\x00" + name))
		if sum := mix(h.Sum64()); owner == "" || sum > most {
			owner, most = name, sum
		}
	}
	return owner
}

// mix spreads the last bytes that were hashed over all bits: the finalizer of MurmurHash3.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// help has this process look at notifiers of others too.
func (o *owners) help(notifiers []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, name := range notifiers {
		o.helped[name] = true
	}
}

// laneTurns is how far a notifier's lane has come.
type laneTurns struct {
	notifier        string
	turns, failures int64
}

// review decides which notifiers of others are helped until the next look: those that keep failing, and those where
// something waits and nothing was tried since the last look. Looks that follow sooner, such as when a process has come,
// prove nothing.
func (o *owners) review(ctx context.Context, now time.Time, waiting []string) error {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	since := now.Sub(o.at)
	early := len(o.live) < 2 || since >= 0 && since < lookEvery
	o.mu.Unlock()
	if early {
		return nil
	}
	lanes, err := all(ctx, o.s.read, `SELECT notifier, turns, failures FROM lanes`, nil,
		func(row scanner) (l laneTurns, err error) {
			err = row.Scan(&l.notifier, &l.turns, &l.failures)
			return l, err
		})
	if err != nil {
		return err
	}
	byName := map[string]laneTurns{}
	for _, l := range lanes {
		byName[l.notifier] = l
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.waiting
	o.at = now
	o.waiting, o.helped = map[string]int64{}, map[string]bool{}
	for _, name := range waiting {
		l := byName[name]
		o.waiting[name] = l.turns
		turns, waited := before[name]
		o.helped[name] = l.failures > 0 || waited && turns == l.turns
	}
	return nil
}
