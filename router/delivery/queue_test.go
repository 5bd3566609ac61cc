package delivery

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"flowbridge/router"
)

// memQueue keeps deliveries in memory as the store keeps them on disk: claims with leases, revisions,
// attempts that count until one succeeds.
type memQueue struct {
	mu      sync.Mutex
	items   []*item
	results []router.Result
	events  []router.Event
	looks   int // how often Due was asked
	faulted int // how often Due or Claim had to say a fault
	pulse   chan struct{}
	lanes   []router.Lane

	// What storage says instead of working; nil works.
	dueFault, claimFault, extendFault, finishFault, goOnFault, retargetFault error
	finishFaults                                                             int  // so many times; -1 for ever
	stuck                                                                    bool // Due names the present as the next time
	// Claim hands out nothing, whatever Due says
	empty bool
	slow  time.Duration // how long Claim takes to say so
	asked func()        // called by Claim before it hands anything out
}

type item struct {
	n       router.Notification // as it is handed out; Revision is what is owed
	state   router.DeliveryState
	nextAt  time.Time
	lease   time.Time // zero: not claimed
	claims  int
	owed    time.Time
	lastErr string
}

func newQueue(owed ...router.Notification) *memQueue {
	q := &memQueue{pulse: make(chan struct{}, 1)}
	for _, n := range owed {
		q.owe(n)
	}
	return q
}

// owe adds a delivery, or raises what an existing one is owed.
func (q *memQueue) owe(n router.Notification) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.items, func(it *item) bool { return it.n.Delivery == n.Delivery })
	if i < 0 {
		n.Revision = max(n.Revision, 1)
		q.items = append(q.items, &item{n: n, state: router.DeliveryWaiting, owed: time.Now()})
	} else {
		it := q.items[i]
		it.n.Revision++
		it.n.Attempt = 0
		it.state, it.nextAt = router.DeliveryWaiting, time.Time{}
	}
	q.wake()
}

func (q *memQueue) wake() {
	select {
	case q.pulse <- struct{}{}:
	default:
	}
}

func (q *memQueue) Owed() <-chan struct{} { return q.pulse }

func (it *item) dueAt() time.Time {
	if it.lease.After(it.nextAt) {
		return it.lease
	}
	return it.nextAt
}

func (q *memQueue) Due(_ context.Context, now time.Time, but ...string) (names []string, next time.Time, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.looks++
	if q.dueFault != nil {
		q.faulted++
		return nil, time.Time{}, q.dueFault
	}
	for _, it := range q.items {
		at := it.dueAt()
		switch {
		case it.state != router.DeliveryWaiting:
		case !at.After(now):
			names = append(names, it.n.Target.Notifier)
		case next.IsZero() || at.Before(next):
			next = at
		}
	}
	if q.stuck {
		next = now
	}
	slices.Sort(names)
	return slices.Compact(names), next, nil
}

func (q *memQueue) Claim(_ context.Context, ask router.Ask) (*router.Notification, int, error) {
	notifier, now := ask.Notifier, ask.Now
	if q.asked != nil {
		q.asked()
	}
	q.mu.Lock()
	if q.empty {
		slow := q.slow
		q.mu.Unlock()
		time.Sleep(slow)
		return nil, 0, nil
	}
	defer q.mu.Unlock()
	if q.claimFault != nil {
		q.faulted++
		return nil, 0, q.claimFault
	}
	for _, it := range q.items {
		if it.state != router.DeliveryWaiting || it.n.Target.Notifier != notifier || it.dueAt().After(now) {
			continue
		}
		if !it.lease.IsZero() {
			it.n.MayExist = true // nobody wrote how the last attempt ended
		}
		it.n.Attempt++
		it.claims++
		it.n.Claim = fmt.Sprint(it.n.Delivery, "/", it.claims)
		it.lease = now.Add(ask.Lease)
		n := it.n
		return &n, 0, nil
	}
	return nil, 0, nil
}

func (q *memQueue) Extend(_ context.Context, delivery int64, claim string, until time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.extendFault != nil {
		return q.extendFault
	}
	for _, it := range q.items {
		if it.n.Delivery == delivery && it.n.Claim == claim {
			it.lease = until
			return nil
		}
	}
	return router.ErrConflict
}

func (q *memQueue) Backlog(context.Context) (out []router.Backlog, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range q.items {
		if it.state == router.DeliveryWaiting {
			out = append(out, router.Backlog{Notifier: it.n.Target.Notifier, Class: it.n.Class, Waiting: 1, Oldest: it.owed})
		}
	}
	return out, nil
}

func (q *memQueue) Lanes(context.Context) ([]router.Lane, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lanes, nil
}

func (q *memQueue) Finish(ctx context.Context, r router.Result) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if q.finishFault != nil && q.finishFaults != 0 {
		q.finishFaults--
		return q.finishFault
	}
	for _, it := range q.items {
		if it.n.Delivery == r.Delivery && it.n.Claim != r.Claim {
			return router.ErrConflict
		}
	}
	q.results = append(q.results, r)
	for _, it := range q.items {
		if it.n.Delivery != r.Delivery {
			continue
		}
		it.lease, it.nextAt, it.lastErr, it.n.Receipt, it.n.MayExist = time.Time{}, r.NextAt, r.Error, r.Receipt, false
		if r.Interrupted {
			it.n.Attempt--
		}
		if r.Error == "" {
			it.n.Attempt = 0
		}
		if r.State == router.DeliveryWaiting || it.n.Revision == r.Revision {
			it.state = r.State
		}
	}
	if r.Event != nil && !slices.ContainsFunc(q.events, func(e router.Event) bool { return e.Digest == r.Event.Digest }) {
		q.events = append(q.events, *r.Event)
	}
	return nil
}

func (q *memQueue) FinishAndClaim(ctx context.Context, r router.Result, ask router.Ask) (*router.Notification, int,
	error) {
	if q.goOnFault != nil {
		return nil, 0, q.goOnFault
	}
	if err := q.Finish(ctx, r); err != nil || r.State != router.DeliveryDelivered {
		return nil, 0, err
	}
	n, short, _ := q.Claim(ctx, ask)
	return n, short, nil
}

func (q *memQueue) Retarget(_ context.Context, delivery int64, claim string, t router.Target) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.retargetFault != nil {
		return q.retargetFault
	}
	for _, it := range q.items {
		if it.n.Delivery == delivery && it.n.Claim == claim {
			it.n.Target, it.n.Receipt = t, router.Receipt{}
			return nil
		}
	}
	return router.ErrConflict
}

// set changes what storage does, from a test.
func (q *memQueue) set(change func(*memQueue)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	change(q)
}

// states returns where every delivery stands, by id.
func (q *memQueue) states() map[int64]router.DeliveryState {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := map[int64]router.DeliveryState{}
	for _, it := range q.items {
		out[it.n.Delivery] = it.state
	}
	return out
}

func (q *memQueue) finished() []router.Result {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.results)
}
