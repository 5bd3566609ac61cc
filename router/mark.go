package router

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A process can end in the middle of a fold without an error that anybody sees: out of memory, a stack that
// overflows. What it was at waits at the next start, and ends the next process too. So the one that folds leaves a
// mark in the store and removes it when it stops. Whoever finds a mark folds what comes first alone, one after
// another, and writes before each what it is at. What ended processes so is folded without the programs in the rules,
// and in the end not at all.

// Mark is left in the store by the process that folds.
type Mark struct {
	Alone string // what is folded alone: an event, or the timers of a flow; "" for neither
	Times int64  // how often in a row that was begun
}

const (
	endsUntilPlain = 2 // how often a process must have ended at something until it is folded by plain rules
	endsUntilAside = 4 // and until it is set aside
)

// errEnds says why something is set aside.
var errEnds = fmt.Errorf("the process ended %d times in the middle of it", endsUntilAside)

// careful is what a Router knows of the mark.
type careful struct {
	begun bool // ours is in the store
	found Mark // what was there before
	alone string
	times int64
	left  int // events, and flows with timers, that are folded alone yet
}

// beginFold leaves a mark before the first fold. What stands before it must be done carefully if there was one
// already.
func (r *Router) beginFold(ctx context.Context) error {
	c := &r.careful
	if c.begun {
		return nil
	}
	found, err := r.journal.FoldMark(ctx)
	if err != nil {
		return err
	}
	if found != nil {
		c.found, c.left = *found, r.cfg.Batch
		if c.found.Alone != "" {
			r.cfg.Logger.Warn("the process before this one ended while it folded; folding carefully",
				"at", c.found.Alone, "times", c.found.Times)
		}
	} else if err := r.journal.SetFoldMark(ctx, &Mark{}); err != nil {
		return err
	}
	c.begun = true
	return nil
}

// foldAlone writes that something is folded alone now, and says how often processes have ended at it.
func (r *Router) foldAlone(ctx context.Context, alone string) (ends int64, err error) {
	c := &r.careful
	if c.alone == alone { // it failed, and is tried again
		return c.times - 1, nil
	}
	m := Mark{Alone: alone, Times: 1}
	if c.found.Alone == alone {
		m.Times += c.found.Times
	}
	if err := r.journal.SetFoldMark(ctx, &m); err != nil {
		return 0, err
	}
	c.alone, c.times = alone, m.Times
	return c.times - 1, nil
}

// foldedAlone takes up that it is done. The mark says what was begun last until there is another: it is never the
// first of what waits any more, so that nothing depends on its end being written.
func (r *Router) foldedAlone() { r.careful.left-- }

// endFold removes the mark: nothing was being folded when the process ended.
func (r *Router) endFold(ctx context.Context) {
	if !r.careful.begun {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := r.journal.SetFoldMark(ctx, nil); err != nil && !errors.Is(err, ErrConflict) {
		r.cfg.Logger.Warn("the end of the fold could not be noted: the next process folds carefully at first",
			"error", err)
	}
}

// foldCarefully folds one event alone, or sets it aside.
func (r *Router) foldCarefully(ctx context.Context, e *Event) (n int, err error) {
	ends, err := r.foldAlone(ctx, fmt.Sprintf("event %d", e.Seq))
	switch {
	case err != nil:
		return 0, err
	case ends >= endsUntilAside:
		g := newBatch(r.cfg.Rules(), nil, 0, nil, r.cfg.Now())
		g.setAside(e, errEnds)
		if err := r.commit(ctx, g); err != nil {
			return 0, err
		}
	case ends >= endsUntilPlain:
		r.cfg.Logger.Error("an event ended the process before: it is folded without the expressions and templates of "+
			"the rules",
			"seq", e.Seq, "event", e.Name, "waba", e.WABA, "flow", e.Flow, "times", ends)
		if _, err := r.foldEvents(ctx, r.cfg.Rules().Plain(), []Event{*e}); err != nil {
			return 0, err
		}
	default:
		if _, err := r.foldEvents(ctx, r.cfg.Rules(), []Event{*e}); err != nil {
			return 0, err
		}
	}
	r.foldedAlone()
	return 1, nil
}

// runTimersCarefully does the same for the timers of a flow.
func (r *Router) runTimersCarefully(ctx context.Context, flow FlowID) error {
	ends, err := r.foldAlone(ctx, fmt.Sprintf("timers of flow %q of account %q", flow.Flow, flow.WABA))
	rules := r.cfg.Rules()
	switch {
	case err != nil:
		return err
	case ends >= endsUntilAside:
		g := newBatch(rules, map[FlowID]State{}, 0, nil, r.cfg.Now())
		g.postpone(flow, errEnds)
		err = r.commit(ctx, g)
	case ends >= endsUntilPlain:
		err = r.runTimers(ctx, rules.Plain(), []FlowID{flow})
	default:
		err = r.runTimers(ctx, rules, []FlowID{flow})
	}
	if err != nil {
		return err
	}
	r.foldedAlone()
	return nil
}
