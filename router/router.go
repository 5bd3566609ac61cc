package router

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
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
}

// Journal is what the Router needs of the store. Every error is a fault of storage: the Router waits and
// tries again, and nothing of a failed Commit has happened.
type Journal interface {
	// Waiting returns at most limit events that nobody folded, in journal order.
	Waiting(ctx context.Context, limit int) ([]Event, error)
	// States returns what is known of each flow; the zero State for a flow that is new.
	States(ctx context.Context, flows []FlowID) (map[FlowID]State, error)
	// LastIncident returns the highest number an incident ever had, 0 for none.
	LastIncident(ctx context.Context) (int64, error)
	// Commit stores what the events of a batch came to and marks them folded, whole or not at all.
	Commit(ctx context.Context, b Batch) error
	// Appended is pulsed after events were stored.
	Appended() <-chan struct{}
}

// Config is what a Router may be told. Zero fields choose themselves.
type Config struct {
	// Rules returns the rules in force; it is asked once for each batch. Required.
	Rules func() Rules
	// Batch is how many events one transaction folds at most. Larger is faster, and keeps posts waiting
	// longer for the disk. Default: 200.
	Batch int
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger gets one line for each batch that could not be stored. Default: none.
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
		cfg: cfg, journal: j,
		folded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "flowbridge_events_folded_total", Help: "Events of the journal that were run through the rules."}),
		broken: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "flowbridge_events_broken_total", Help: "Events that could not be folded because of a fault in flowbridge."}),
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
	for {
		n, err := r.Fold(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			wait = min(max(2*wait, 100*time.Millisecond), slowest)
			r.cfg.Logger.Error("the journal could not be folded; trying again", "error", err, "in", wait)
			if !sleep(ctx, wait) {
				return nil
			}
			continue
		}
		wait = 0
		if n > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.journal.Appended():
		case <-time.After(slowest): // a pulse can be missed when another process appends
		}
	}
}

// Fold folds one batch of waiting events and returns how many there were.
func (r *Router) Fold(ctx context.Context) (n int, err error) {
	events, err := r.journal.Waiting(ctx, r.cfg.Batch)
	if err != nil || len(events) == 0 {
		return 0, err
	}
	flows := make([]FlowID, 0, len(events))
	for _, e := range events {
		flows = append(flows, FlowID{e.WABA, e.Flow})
	}
	slices.SortFunc(flows, func(a, b FlowID) int { return cmp.Or(cmp.Compare(a.WABA, b.WABA), cmp.Compare(a.Flow, b.Flow)) })
	states, err := r.journal.States(ctx, slices.Compact(flows))
	if err != nil {
		return 0, err
	}
	last, err := r.journal.LastIncident(ctx)
	if err != nil {
		return 0, err
	}
	b := r.fold(events, states, last)
	if err := r.journal.Commit(ctx, b); err != nil {
		return 0, err
	}
	r.folded.Add(float64(len(events)))
	return len(events), nil
}

// fold runs events through rules and fold and gathers what is to be stored.
func (r *Router) fold(events []Event, states map[FlowID]State, last int64) Batch {
	rules := r.cfg.Rules()
	var b Batch
	type alertID struct {
		FlowID
		event string
		level Level
	}
	alerts := map[alertID]Alert{}
	incidents := map[int64]Incident{}
	for i := range events {
		e := &events[i]
		id := FlowID{e.WABA, e.Flow}
		step, err := r.step(rules, states[id], last+1, e)
		if err != nil {
			r.broken.Inc()
			r.cfg.Logger.Error("an event could not be folded; it stays in the journal", "seq", e.Seq, "event", e.Name, "error", err)
			b.Outcomes = append(b.Outcomes, Outcome{e.Seq, err.Error()})
			continue
		}
		for _, a := range step.Alerts {
			alerts[alertID{id, a.Event, a.Level}] = a
		}
		for _, number := range step.Incidents {
			i := slices.IndexFunc(step.State.Incidents, func(inc Incident) bool { return inc.Number == number })
			inc := step.State.Incidents[i]
			inc.Title, inc.Text = rules.RenderIncident(&inc, incidentAlerts(&step.State, number))
			step.State.Incidents[i] = inc
			incidents[number] = inc
			last = max(last, number)
		}
		if step.Notice != nil {
			step.Notice.Title, step.Notice.Text = rules.RenderNotice(step.Notice)
			b.Notices = append(b.Notices, *step.Notice)
		}
		b.Entries = append(b.Entries, step.Entries...)
		b.Owed = append(b.Owed, step.Owed...)
		b.Outcomes = append(b.Outcomes, Outcome{e.Seq, step.Outcome})
		step.State.FlowID = id
		states[id] = step.State
	}
	for id, a := range alerts {
		b.Alerts = append(b.Alerts, FlowAlert{id.FlowID, a})
	}
	slices.SortFunc(b.Alerts, func(x, y FlowAlert) int {
		return cmp.Or(cmp.Compare(x.WABA, y.WABA), cmp.Compare(x.Flow, y.Flow), compareAlerts(x.Alert, y.Alert))
	})
	for _, number := range slices.Sorted(maps.Keys(incidents)) {
		b.Incidents = append(b.Incidents, incidents[number])
	}
	return b
}

// step asks the rules and folds one event. A fault of ours must not stop the journal: it becomes an error.
func (r *Router) step(rules Rules, s State, next int64, e *Event) (step Step, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("fault in flowbridge: %v", p)
		}
	}()
	return Fold(s, next, e, Judge(rules, e), r.cfg.Now()), nil
}

// Judge asks the rules about an event, and about the one that it undoes where there is one.
func Judge(rules Rules, e *Event) Verdict {
	if e.Name == Acknowledge || e.Name == Resolve {
		return Verdict{}
	}
	v := Verdict{Decision: rules.Decide(e)}
	if opening, ok := e.Opening(); ok {
		d := rules.Decide(&opening)
		v.Opening = &d
	}
	return v
}

func incidentAlerts(s *State, number int64) []Alert {
	var of []*Alert
	for i := range s.Alerts {
		if s.Alerts[i].Incident == number {
			of = append(of, &s.Alerts[i])
		}
	}
	SortAlerts(of)
	out := make([]Alert, len(of))
	for i, a := range of {
		out[i] = *a
	}
	return out
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
