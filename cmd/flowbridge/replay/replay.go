// Package replay folds the journal of a bridge through other rules and compares what they tell with what the database
// says was told. It only reads, and tells nobody anything. Playing the rules is left to rules/stories, opening the
// database and reading the rules to its caller.
package replay

import (
	"cmp"
	"context"
	"maps"
	"strconv"
	"time"

	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/rules/stories"
	"flowbridge/router/store"
)

// journalPage is how many events are read at a time.
const journalPage = 2000

// Run folds a journal through rules. What began in the last so long is compared; 0 stands for all of it.
func Run(ctx context.Context, h *store.History, r *rules.Rules, since time.Duration) (*Report, error) {
	bounds, err := h.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	var from time.Time
	if since > 0 {
		from = bounds.End.Add(-since)
	}
	p := replayer{h: h, rules: r, trial: stories.NewTrial(r), compare: newComparison(from), keys: map[int64]string{},
		open: map[paged]*telling{}, from: from,
		begin: bounds.First, notices: bounds.First - 1}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for page := range readAhead(ctx, h, bounds) {
		if page.err != nil {
			return nil, page.err
		}
		if err := p.page(ctx, page.events); err != nil {
			return nil, err
		}
	}
	p.hear(p.trial.Advance(bounds.End))
	if err := p.live(ctx, bounds.Last+1); err != nil {
		return nil, err
	}
	p.compare.settle(time.Time{})
	return p.report(bounds), ctx.Err()
}

type journalPart struct {
	events []router.Event
	err    error
}

// readAhead reads the journal in pages, one ahead of who folds them.
func readAhead(ctx context.Context, h *store.History, bounds store.HistoryBounds) <-chan journalPart {
	pages := make(chan journalPart, 1)
	go func() {
		defer close(pages)
		for after := bounds.First - 1; after < bounds.Last; {
			events, err := h.Events(ctx, after, bounds.Last, journalPage)
			if err == nil && len(events) == 0 {
				return
			}
			select {
			case pages <- journalPart{events, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
			after = events[len(events)-1].Seq
		}
	}()
	return pages
}

// replayer folds a journal and holds what it tells against what was told.
type replayer struct {
	h       *store.History
	rules   *rules.Rules
	trial   *stories.Trial
	compare *comparison
	from    time.Time
	begin   int64 // position of the first event of which more is kept than the digest

	keys     map[int64]string   // of incidents of the past, by number
	open     map[paged]*telling // what these rules have opened, until nothing can come back
	settled  time.Time
	loaded   int64 // last incident of the past that was read
	ahead    []store.PastIncident
	notices  int64 // position up to which notices of the past were read
	before   map[string]int64
	first    time.Time
	last     time.Time
	events   int64
	compared int64
	lost     int64 // acts that concern no incident under these rules
	parked   int64 // events about deliveries
	reduced  int64 // events of which not all that they said is kept
}

// paged is a page or card of an incident under these rules.
type paged struct {
	incident, rise int64
	notifier       string
}

func (p *replayer) page(ctx context.Context, events []router.Event) error {
	if len(events) == 0 {
		return nil
	}
	for i := range events {
		if err := p.fold(ctx, &events[i]); err != nil {
			return err
		}
	}
	if err := p.live(ctx, events[len(events)-1].Seq); err != nil {
		return err
	}
	// Meta repeats for seven days, so nothing that is older can still meet its like.
	if old := p.trial.Now().Add(-8 * 24 * time.Hour); old.Sub(p.settled) >= 12*time.Hour {
		p.settled = old
		p.compare.settle(old)
		maps.DeleteFunc(p.open, func(_ paged, t *telling) bool { return !t.to.IsZero() && t.to.Before(old) })
	}
	return nil
}

func (p *replayer) fold(ctx context.Context, e *router.Event) error {
	if e.Reduced != "" {
		p.reduced++
	}
	if e.Reduced == router.ReducedOld { // it is not known what it was
		p.begin = e.Seq + 1
		return nil
	}
	p.events++
	if p.first.IsZero() {
		p.first = e.Received
	}
	p.last = e.Received
	if !e.Received.Before(p.from) {
		if p.before == nil {
			p.before = map[string]int64{}
			for name, n := range p.trial.Hits() {
				p.before[name] = n
			}
		}
		p.compared++
		if e.Source == router.SourceMeta && e.FlowID().Flow != "" {
			p.compare.flow(e.FlowID()).Events++
		}
	}
	// its own news is in no comparison, and what became of a delivery under other rules is not known
	if e.Source == router.SourceFlowbridge && router.IsForFallback(e.Name) && !router.IsWatched(e.Name) {
		if e.Name == router.ParkedDelivery {
			p.parked++
		}
		return nil
	}
	if e.Act != nil && e.Act.Incident != 0 {
		found, err := p.translate(ctx, e)
		if err != nil {
			return err
		}
		if !found {
			p.lost++
			return nil
		}
	}
	told, _ := p.trial.Fold(*e)
	p.hear(told)
	return nil
}

// translate makes an act concern the incident that these rules have in the place of the one of the past: that of the
// same key, else the only one of its flow. Numbers differ.
func (p *replayer) translate(ctx context.Context, e *router.Event) (found bool, err error) {
	key, ok := p.keys[e.Act.Incident]
	if !ok {
		if key, err = p.h.IncidentKey(ctx, e.Act.Incident); err != nil && err != router.ErrNotFound {
			return false, err
		}
		p.keys[e.Act.Incident] = key
	}
	var same, others []int64
	for _, inc := range p.trial.State(e.FlowID()).Incidents {
		if (inc.State == router.IncidentResolved) != (e.Name == router.Reopen) {
			continue
		}
		if inc.Key == key {
			same = append(same, inc.Number)
		}
		others = append(others, inc.Number)
	}
	act := *e.Act
	switch {
	case len(same) > 0:
		act.Incident = same[len(same)-1]
	case len(others) == 1:
		act.Incident = others[0]
	default:
		return false, nil
	}
	e.Act = &act
	return true, nil
}

// hear takes up what these rules tell.
func (p *replayer) hear(told []stories.Telling) {
	for i := range told {
		t := &told[i]
		switch {
		case t.Verb == stories.VerbNotice:
			n := t.Notice
			p.compare.add(&telling{kind: kindOf(t.Kind, true), notifier: t.Notifier, rule: t.Rule, flow: n.FlowID(),
				what: n.Name, key: strconv.FormatInt(n.Event, 10), from: n.At, to: n.At, told: true})
		case t.Incident == nil:
		case t.Verb == stories.VerbOpen:
			inc, at := t.Incident, paged{t.Incident.Number, t.Event, t.Notifier}
			if entry := p.open[at]; entry != nil { // it came back: the database keeps one delivery for it
				entry.to = time.Time{}
				continue
			}
			entry := &telling{kind: kindOf(t.Kind, false), notifier: t.Notifier, rule: t.Rule,
				flow: router.FlowID{WABA: inc.WABA, Flow: inc.Flow},
				what: inc.Event, key: inc.Key, from: inc.OpenedAt, told: true}
			p.open[at] = entry
			p.compare.add(entry)
		case t.Verb == stories.VerbResolve:
			if entry := p.open[paged{t.Incident.Number, t.Event, t.Notifier}]; entry != nil {
				entry.to = cmp.Or(t.Incident.ResolvedAt, t.At)
			}
		}
	}
}

// live takes up what was told of events up to a position.
func (p *replayer) live(ctx context.Context, upTo int64) error {
	notices, err := p.h.Notices(ctx, p.notices, upTo)
	if err != nil {
		return err
	}
	p.notices = upTo
	for _, n := range notices {
		if n.Event < p.begin { // nothing but the digest of its event is kept
			continue
		}
		if router.IsForFallback(n.Name) || n.Recovery != "" && n.Kind.Keyed() {
			continue // trouble of the bridge's own; or the end of what nobody knows, which is no news
		}
		p.compare.add(&telling{live: true, kind: kindOf(n.Kind, true), notifier: n.Notifier, rule: n.Rule, flow: n.FlowID(),
			what: n.Name, key: strconv.FormatInt(n.Event, 10), from: n.At, to: n.At, told: n.Told})
	}
	for {
		if len(p.ahead) == 0 {
			if p.ahead, err = p.h.Incidents(ctx, p.loaded, journalPage); err != nil || len(p.ahead) == 0 {
				return err
			}
			p.loaded = p.ahead[len(p.ahead)-1].Number
		}
		for len(p.ahead) > 0 && p.ahead[0].OpenedBy <= upTo {
			p.liveIncident(&p.ahead[0])
			p.ahead = p.ahead[1:]
		}
		if len(p.ahead) > 0 {
			return nil
		}
	}
}

func (p *replayer) liveIncident(inc *store.PastIncident) {
	for _, d := range inc.Deliveries {
		p.compare.add(&telling{live: true, kind: kindOf(d.Kind, false), notifier: d.Notifier, rule: inc.Rule,
			flow: router.FlowID{WABA: inc.WABA, Flow: inc.Flow},
			what: inc.Event, key: inc.Key, from: inc.OpenedAt, to: inc.ResolvedAt, told: d.Told, older: inc.OpenedBy < p.begin})
	}
}

// report gathers what was found.
func (p *replayer) report(bounds store.HistoryBounds) *Report {
	r := p.compare.report()
	r.Events, r.Compared, r.From, r.To = p.events, p.compared, p.first, p.last
	if p.from.After(r.From) {
		r.From = p.from
	}
	r.ActsLeftOut, r.DeliveriesLeftOut, r.Reduced = p.lost, p.parked, p.reduced
	names, places := p.rules.Names()
	for i, name := range names {
		if p.trial.Hits()[name] == p.before[name] {
			r.NeverHit = append(r.NeverHit, RuleAt{name, places[i].String()})
		}
	}
	for i := range r.Differences {
		if d := &r.Differences[i]; d.Added > 0 {
			d.Place = p.rules.PlaceOf(d.Rule).String()
		}
	}
	for i := range r.BusiestFlows {
		f := &r.BusiestFlows[i]
		f.Name = p.rules.Flow(f.Flow).FlowName
	}
	return r
}
