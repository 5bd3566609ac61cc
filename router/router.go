package router

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Rules decide who is told of an event and in which words. They are pure: the same event, the same answer.
type Rules interface {
	// Decide says what the rules make of an event, as it stands. For a recovery the Router asks twice:
	// about the event itself and about the one that it undoes.
	Decide(e *Event) Decision
	// RenderIncident and RenderNotice execute the templates of the rule that matched. Empty strings
	// mean the built-in words.
	RenderIncident(inc *Incident, alerts []Alert) (title, text string)
	RenderNotice(n *Notice) (title, text string)
	// Plain returns the same rules without the programs of their authors: no expression holds, and no template says
	// anything.
	Plain() Rules
	// Target returns where a notifier's messages go; ok is false for one that the rules do not name.
	Target(notifier string) (t Target, ok bool)
	// Targets returns every notifier, sorted by name.
	Targets() []Target
}

// Journal is what the Router needs of the store. Nothing of a failed Commit has happened. Errors wrap ErrUnavailable
// or ErrValues where it is clear what is at fault.
type Journal interface {
	// Waiting returns at most limit events that nobody folded, in journal order.
	Waiting(ctx context.Context, limit int) ([]Event, error)
	// States returns what is known of each flow; the zero State for a flow that is new. The incidents that are named
	// are among it in any case: a person acted on them, or their service told of them, long after they were over.
	States(ctx context.Context, flows []FlowID, named []int64) (map[FlowID]State, error)
	// LastIncident returns the highest number an incident ever had, 0 for none.
	LastIncident(ctx context.Context) (int64, error)
	// Commit stores what the events of a batch came to and marks them folded, or set aside, whole or not at all.
	Commit(ctx context.Context, b Batch) error
	// Silences returns those that have not ended, MaxSilences at most.
	Silences(ctx context.Context) ([]Silence, error)
	// Counting returns every alert that keeps an incident open which is not resolved.
	Counting(ctx context.Context) ([]Counting, error)
	// Timers returns flows with a timer that is due at now, limit at most, and when the next timer of any flow
	// is due; zero if none is wound.
	Timers(ctx context.Context, now time.Time, limit int) (flows []FlowID, next time.Time, err error)
	// FoldMark returns the mark of the process that folds, or of the last that ended without removing it; nil for none.
	FoldMark(ctx context.Context) (*Mark, error)
	// SetFoldMark replaces it; nil removes it. It wraps ErrConflict if another process folds by now.
	SetFoldMark(ctx context.Context, m *Mark) error
	// Ping says whether anything can be stored, by storing something.
	Ping(ctx context.Context) error
	// GiveWay rests for a moment after work that took so long, while more arrives than can be folded beside it.
	GiveWay(ctx context.Context, worked time.Duration)
	// Appended is pulsed after events were stored.
	Appended() <-chan struct{}
}

// Config is what a Router may be told. A zero field takes its default.
type Config struct {
	// Rules returns the rules in force; it is asked once for each batch. Required.
	Rules func() Rules
	// Batch is how many events, or flows with timers, one transaction folds at most. Larger is faster, and keeps posts
	// waiting longer for the disk. Default: 200.
	Batch int
	// OnHits is told what rules did, once that is stored. Default: nobody is.
	OnHits func([]RuleHits)
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger gets a line about batches that could not be stored, at most one in ten seconds. Default: none.
	Logger *slog.Logger
	// Registerer gets the metrics. Default: none are kept.
	Registerer prometheus.Registerer
}

// Router folds the journal, one event after another in journal order.
type Router struct {
	cfg     Config
	journal Journal
	folded  prometheus.Counter
	broken  prometheus.Counter

	faults         LogLimiter // for logging what could not be folded
	events, timers trial
	careful        careful
	// behind is when the last event that was folded had reached us, while more of the journal waits; else zero. Timers
	// run up to then: what waits may say that they are not due any more.
	behind time.Time
}

// New returns a Router over a journal. Run starts it.
func New(cfg Config, j Journal) (*Router, error) {
	if cfg.Rules == nil {
		return nil, errors.New("router: no rules")
	}
	cfg.Batch = cmp.Or(cfg.Batch, 200)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	r := &Router{
		cfg: cfg, journal: j, events: trial{most: cfg.Batch}, timers: trial{most: cfg.Batch},
		folded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "flowbridge_events_folded_total", Help: "Events of the journal that were run through the rules."}),
		broken: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "flowbridge_events_broken_total",
			Help: "Events that could not be folded and were set aside, and timers of a flow that were put off."}),
	}
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(r.folded, r.broken)
	}
	return r, nil
}

// Run folds until ctx ends. It returns nil then; a storage fault is waited out.
func (r *Router) Run(ctx context.Context) error {
	const slowest = 5 * time.Second
	wait := time.Duration(0)
	defer r.endFold(ctx)
	for {
		began := time.Now()
		next, busy, err := r.work(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			wait = min(max(2*wait, 100*time.Millisecond), slowest)
			if r.faults.Allow(r.cfg.Now()) { // tries that succeed in between set the pause back
				r.cfg.Logger.Error("the journal could not be folded; trying again", "error", err, "in", wait.String())
			}
			if !Sleep(ctx, wait) {
				return nil
			}
			continue
		}
		wait = 0
		if busy {
			r.journal.GiveWay(ctx, time.Since(began))
			continue
		}
		idle := slowest // a pulse can be missed when another process appends
		if !next.IsZero() {
			idle = min(max(next.Sub(r.cfg.Now()), time.Millisecond), slowest)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.journal.Appended():
		case <-time.After(idle):
		}
	}
}

// work folds a batch and runs a batch of timers. busy says that there may be more to do at once; else next is
// when the next timer is due.
func (r *Router) work(ctx context.Context) (next time.Time, busy bool, err error) {
	events, foldErr := r.Fold(ctx)
	flows, next, tickErr := r.Tick(ctx) // what is due does not wait for an event that fails
	return next, events+flows > 0, errors.Join(foldErr, tickErr)
}

// Fold folds one batch of waiting events and returns how many there were. A batch that fails for a reason of its own
// is halved until it passes, or one event fails alone: that is set aside once it is clear that it is at fault.
func (r *Router) Fold(ctx context.Context) (n int, err error) {
	for {
		events, err := r.journal.Waiting(ctx, r.events.limit())
		if err == nil && len(events) == 0 {
			r.behind = time.Time{}
		}
		if err != nil || len(events) == 0 {
			return 0, err
		}
		if err := r.beginFold(ctx); err != nil {
			return 0, err
		}
		waiting := len(events)
		var n int
		if r.careful.left > 0 {
			events = events[:1]
			n, err = r.foldCarefully(ctx, &events[0])
		} else {
			n, err = r.foldEvents(ctx, r.cfg.Rules(), events)
		}
		if err == nil {
			r.behind = time.Time{}
			if n < waiting || n == r.events.limit() {
				r.behind = earlier(events[n-1].Received, r.cfg.Now())
			}
			r.events.passed()
			return n, nil
		}
		halve, ask := r.events.failed(len(events), fmt.Sprintf("event %d", events[0].Seq), err)
		if halve && ctx.Err() == nil {
			continue
		}
		if ask {
			done, failed := r.setEventAside(ctx, &events[0], err)
			if done && failed == nil {
				r.events.passed()
				return 1, nil
			}
			err = errors.Join(err, failed)
		}
		return 0, r.events.describe(err)
	}
}

// Tick runs the timers that are due, of some flows at a time. It returns how many flows there were, and when the
// next timer is due; zero if none is wound. What fails it treats as Fold does: the timers of a flow that are at fault
// are put off.
func (r *Router) Tick(ctx context.Context) (n int, next time.Time, err error) {
	for {
		flows, next, err := r.journal.Timers(ctx, r.upTo(), r.timers.limit())
		if err != nil || len(flows) == 0 {
			return 0, next, err
		}
		if err := r.beginFold(ctx); err != nil {
			return 0, next, err
		}
		if r.careful.left > 0 {
			flows = flows[:1]
			err = r.runTimersCarefully(ctx, flows[0])
		} else {
			err = r.runTimers(ctx, r.cfg.Rules(), flows)
		}
		if err == nil {
			r.timers.passed()
			return len(flows), next, nil
		}
		halve, ask := r.timers.failed(len(flows), "timers of flow "+flows[0].Flow, err)
		if halve && ctx.Err() == nil {
			continue
		}
		if ask {
			done, failed := r.postpone(ctx, flows[0], err)
			if done && failed == nil {
				r.timers.passed()
				return 1, next, nil
			}
			err = errors.Join(err, failed)
		}
		return 0, next, r.timers.describe(err)
	}
}

// upTo is the time up to which timers run.
func (r *Router) upTo() time.Time {
	if r.behind.IsZero() {
		return r.cfg.Now()
	}
	return r.behind
}

// newBatch reads what folding needs: see Journal.States.
func (r *Router) newBatch(ctx context.Context, rules Rules, flows []FlowID, named []int64,
	now time.Time) (*batch, error) {
	states, err := r.journal.States(ctx, flows, named)
	if err != nil {
		return nil, err
	}
	last, err := r.journal.LastIncident(ctx)
	if err != nil {
		return nil, err
	}
	silences, err := r.journal.Silences(ctx)
	if err != nil {
		return nil, err
	}
	g := newBatch(rules, states, last, silences, now)
	g.counting = func() ([]Counting, error) { return r.journal.Counting(ctx) }
	return g, nil
}
