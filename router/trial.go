package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// mostOwed bounds what one transaction owes, about: a batch ends early at the event that reaches it. Deliveries are
// what it writes most of, and two hundred notices to two hundred notifiers would be too many for the time it has.
const mostOwed = 4000

const (
	// triesAlone is how often an event must fail alone before it is asked whether it is the event that is at fault.
	triesAlone = 3
	// triesLonely is the same where nothing else waits that could show that storage works: about three minutes.
	triesLonely = 40
)

// trial is what is known of batches of one kind that failed: how many one may hold, and what has failed alone.
type trial struct {
	most  int // Config.Batch
	size  int // of the next batch; 0 for most
	alone string
	tries int // of alone, in a row
}

func (t *trial) limit() int {
	if t.size == 0 {
		return t.most
	}
	return t.size
}

// passed takes up that a batch was stored: the next may be twice as large.
func (t *trial) passed() {
	if t.size *= 2; t.size >= t.most {
		t.size = 0
	}
	t.alone, t.tries = "", 0
}

// failed takes up that a batch of n was not stored, the only one of which is named alone, and says whether there is
// something to do about it at once: to try the half of it, or else to ask whether what failed alone is at fault.
func (t *trial) failed(n int, alone string, err error) (halve, ask bool) {
	if !ofTheBatch(err) {
		return false, false
	}
	if n > 1 {
		t.size = n / 2
		return true, false
	}
	if t.size = 1; t.alone != alone {
		t.alone, t.tries = alone, 0
	}
	t.tries++
	return false, t.tries >= triesAlone
}

// ofTheBatch says whether a failure may be the fault of what was to be stored.
func ofTheBatch(err error) bool {
	for _, other := range []error{ErrUnavailable, ErrConflict, ErrClosed, context.Canceled} {
		if errors.Is(err, other) {
			return false
		}
	}
	return true
}

// guilty says whether what failed alone is at fault, and not storage: storage says so itself and can be written to, or
// something else that waits is stored meanwhile, or nothing else waits and storage can be written to all the while.
// other tries that; it says false if there is nothing.
func (r *Router) guilty(ctx context.Context, t *trial, cause error, other func() (bool, error)) bool {
	if r.journal.Ping(ctx) != nil {
		return false
	}
	if errors.Is(cause, ErrValues) {
		return true
	}
	found, err := other()
	if found {
		return err == nil
	}
	return err == nil && t.tries >= triesLonely
}

// foldEvents folds some events in one transaction, at least one, and says how many those were.
func (r *Router) foldEvents(ctx context.Context, rules Rules, events []Event) (n int, err error) {
	flows, named := make([]FlowID, 0, len(events)), []int64(nil)
	for _, e := range events {
		flows = append(flows, e.FlowID())
		if e.Act != nil && e.Act.Incident != 0 {
			named = append(named, e.Act.Incident)
		}
	}
	slices.SortFunc(flows, FlowID.Compare)
	slices.Sort(named)
	g, err := r.newBatch(ctx, rules, slices.Compact(flows), slices.Compact(named), r.cfg.Now())
	if err != nil {
		return 0, err
	}
	for n < len(events) && (n == 0 || len(g.owing.owed) < mostOwed) {
		g.event(&events[n])
		n++
	}
	if err := r.commit(ctx, g); err != nil {
		return 0, err
	}
	r.folded.Add(float64(n))
	return n, nil
}

// setEventAside marks an event that failed alone, if it is at fault; the rest of the journal goes on.
func (r *Router) setEventAside(ctx context.Context, e *Event, cause error) (done bool, err error) {
	guilty := r.guilty(ctx, &r.events, cause, func() (bool, error) {
		waiting, err := r.journal.Waiting(ctx, r.cfg.Batch)
		i := slices.IndexFunc(waiting, func(w Event) bool { return w.FlowID() != e.FlowID() })
		if err != nil || i < 0 {
			return false, err
		}
		_, err = r.foldEvents(ctx, r.cfg.Rules(), waiting[i:i+1])
		return true, err
	})
	if !guilty {
		return false, nil
	}
	g := newBatch(r.cfg.Rules(), nil, 0, nil, r.cfg.Now())
	g.setAside(e, cause)
	return true, r.commit(ctx, g)
}

// runTimers runs the timers of some flows in one transaction.
func (r *Router) runTimers(ctx context.Context, rules Rules, flows []FlowID) error {
	g, err := r.newBatch(ctx, rules, flows, nil, r.upTo())
	if err != nil {
		return err
	}
	for _, flow := range flows {
		g.tick(flow)
	}
	return r.commit(ctx, g)
}

// postpone puts off the timers of a flow that failed alone, if it is at fault; those of other flows go on.
func (r *Router) postpone(ctx context.Context, flow FlowID, cause error) (done bool, err error) {
	guilty := r.guilty(ctx, &r.timers, cause, func() (bool, error) {
		due, _, err := r.journal.Timers(ctx, r.upTo(), r.cfg.Batch)
		i := slices.IndexFunc(due, func(other FlowID) bool { return other != flow })
		if err != nil || i < 0 {
			return false, err
		}
		return true, r.runTimers(ctx, r.cfg.Rules(), due[i:i+1])
	})
	if !guilty {
		return false, nil
	}
	g := newBatch(r.cfg.Rules(), map[FlowID]State{}, 0, nil, r.cfg.Now())
	g.postpone(flow, cause)
	return true, r.commit(ctx, g)
}

// commit stores what a batch came to, and says what of it could not be folded.
func (r *Router) commit(ctx context.Context, g *batch) error {
	b := g.result()
	if g.err != nil {
		return g.err
	}
	if err := r.journal.Commit(ctx, b); err != nil {
		return err
	}
	if r.cfg.OnHits != nil && len(b.Hits) > 0 {
		r.cfg.OnHits(b.Hits)
	}
	for _, a := range g.aside {
		r.broken.Inc()
		r.cfg.Logger.Error("an event could not be folded and was set aside; the fallback notifier is told",
			"seq", a.event.Seq, "event", a.event.Name, "waba", a.event.WABA, "flow", a.event.Flow, "error", a.err)
	}
	return nil
}

// describe says in an error how far the fault is narrowed down.
func (t *trial) describe(err error) error {
	if t.tries == 0 {
		return err
	}
	return fmt.Errorf("%s fails alone, try %d: %w", t.alone, t.tries, err)
}
