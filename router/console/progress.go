package console

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"flowbridge/router"
)

// progress remembers since when the fold and each notifier with something due are where they are. Ages of events and
// deliveries would not tell: after an outage all are old, and are worked off nevertheless.
type progress struct {
	mu     sync.Mutex
	looked time.Time
	folds  bool
	fold   mark // zero while no event waits
	lanes  map[string]mark
}

// mark is a place and the first look that found it there.
type mark struct {
	at    int64
	since time.Time
}

// look takes in where everything is at a time.
func (p *progress) look(now time.Time, is router.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looked, p.folds = now, is.Folds
	if p.fold.at != is.Head {
		p.fold = mark{is.Head, now}
	}
	lanes := make(map[string]mark, len(is.Lanes))
	for notifier, turns := range is.Lanes {
		m, ok := p.lanes[notifier]
		if !ok || m.at != turns {
			m = mark{turns, now}
		}
		lanes[notifier] = m
	}
	p.lanes = lanes
}

// stalled returns for how long everything had not moved at the last look: the fold, 0 if no event waits, and the
// notifiers with something due.
func (p *progress) stalled() (folds bool, fold time.Duration, lanes map[string]time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fold.at != 0 {
		fold = p.looked.Sub(p.fold.since)
	}
	lanes = make(map[string]time.Duration, len(p.lanes))
	for notifier, m := range p.lanes {
		lanes[notifier] = p.looked.Sub(m.since)
	}
	return p.folds, fold, lanes
}

const (
	// laneFactor and peerFactor are how much more time than the fold of this process has: an attempt alone may take 30 s
	// until its time-out; and when another process has the right to fold, that one is the first to say that it does not.
	laneFactor, peerFactor = 3, 4
	// looks is how often the watch looks in the time after which something is stalled.
	looks = 6
)

// trouble says what does not get on, given how long the fold may stand still; "" if nothing.
func (p *progress) trouble(after time.Duration) string {
	folds, fold, lanes := p.stalled()
	var out []string
	switch {
	case folds && fold >= after:
		out = append(out, "events wait to be folded, and for "+router.FormatDuration(fold)+
			" none was, though this process has the right to: see its log")
	case fold >= peerFactor*after:
		out = append(out, "events wait to be folded, and for "+router.FormatDuration(fold)+
			" no process has folded any: see their logs")
	}
	var stuck []string
	for notifier, d := range lanes {
		if d >= laneFactor*after {
			stuck = append(stuck, fmt.Sprintf("%s (%s)", notifier, router.FormatDuration(d)))
		}
	}
	if len(stuck) > 0 {
		slices.Sort(stuck)
		out = append(out, "deliveries are due and are not tried, to "+strings.Join(stuck, ", ")+": see the log")
	}
	return strings.Join(out, "; ")
}

// observe looks where everything is. Storage that does not answer leaves what is known: that is a fault of its own.
func (c *Console) observe(ctx context.Context) error {
	now := c.cfg.Now()
	is, err := c.store.Progress(ctx, now)
	if err == nil {
		c.progress.look(now, is)
	}
	return err
}

// Watch looks again and again until ctx ends, so that whoever asks /readyz once is told since when something does not
// get on.
func (c *Console) Watch(ctx context.Context) {
	tick := time.NewTicker(c.cfg.StalledAfter / looks)
	defer tick.Stop()
	for {
		bounded, cancel := context.WithTimeout(ctx, probeTimeout)
		if err := c.observe(bounded); err != nil && ctx.Err() == nil {
			c.cfg.Logger.Debug("it could not be seen whether everything gets on", "error", err)
		}
		cancel()
		c.auditWrongTokens(ctx, false)
		select {
		case <-ctx.Done():
			c.auditWrongTokens(ctx, true)
			return
		case <-tick.C:
		}
	}
}
