// Package probe looks at the endpoints of flows itself, while Meta reports trouble with them, so that a card says
// whether only Meta sees it: Meta's health check where the business's public key is known, else TLS and HTTP alone.
// What that comes to it writes to the journal; the fold shows it on cards. Where an endpoint is and whether it may be
// probed is left to the rules and to Graph.
package probe

import (
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
)

const (
	// probeEvery is the time between two probes of an endpoint, and sayEvery between two lines about a flow.
	probeEvery, sayEvery = time.Minute, 10 * time.Minute
	// mostProbes bounds the probes of a minute, and atOnce those of a moment. Flows with the same endpoint share a probe.
	mostProbes, atOnce = 60, 10
	// mostFlows bounds the flows that are followed.
	mostFlows = 500
	// roundEvery is how often there is a look at what is open, and pollEvery at the clock.
	roundEvery, pollEvery = 15 * time.Second, time.Second
)

// Journal is what a Prober needs of the store. Its errors are faults of storage.
type Journal interface {
	// Folds says whether this process folds: it alone probes.
	Folds() bool
	// Counting returns every alert that keeps an incident open which is not resolved, sorted by flow.
	Counting(ctx context.Context) ([]router.Counting, error)
	// States returns what is known of flows.
	States(ctx context.Context, flows []router.FlowID, named []int64) (map[router.FlowID]router.State, error)
	// Append writes events to the journal. A repeat by digest is dropped.
	Append(ctx context.Context, events []router.Event) (int, error)
}

// Config is what a Prober may be told. A zero field takes its default.
type Config struct {
	// Wanted says whether any endpoint is to be probed: else nothing is read of the store. Required.
	Wanted func() bool
	// Probe says whether the endpoint of a flow is to be probed, and where it is by the rules; "" where they do not
	// say. Required.
	Probe func(flow router.FlowID) (endpoint string, ok bool)
	// Endpoint returns where it is by what Graph said last. Default: nobody knows.
	Endpoint func(flow string) (router.Secret, bool)
	// Key returns the business's public key, with which pings are encrypted. Default: there is none, and TLS and HTTP
	// alone are looked at.
	Key func() *rsa.PublicKey
	// Sign returns the header X-Hub-Signature-256 for the body of a ping. Required.
	Sign func(body []byte) string
	// Private says that addresses of one's own network may be called.
	Private bool
	// Roots are the authorities that certificates may be signed by. Default: those of the system.
	Roots *x509.CertPool
	// Agent is the User-Agent. Default: "flowbridge".
	Agent string
	// Timeout bounds a probe. Default: 10 s, as Meta's own.
	Timeout time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger gets a line for each round that failed for the store, and for a flow without an address. Default: none.
	Logger *slog.Logger
	// Registerer gets the metrics. Default: none are kept.
	Registerer prometheus.Registerer
}

// Prober probes endpoints. What it remembers of that is lost with the process.
type Prober struct {
	cfg     Config
	journal Journal
	looker  *looker
	counts  map[result]prometheus.Counter

	// Of Run alone.
	last      time.Time // when the last round began
	endpoints map[router.Secret]*endpoint
	flows     map[router.FlowID]*flow
}

// endpoint is what is remembered of an address.
type endpoint struct {
	used   bool // by a flow with trouble; else it is remembered for a minute, so that it is not probed more often
	looked time.Time
	tally  tally
}

// flow is what is remembered of a flow with trouble.
type flow struct {
	at       router.Secret // its endpoint; "" where nobody knows it
	since    time.Time     // it is followed
	missing  bool          // the log has it that nobody knows where its endpoint is
	incident int64         // the first of those that the line was written for
	said     time.Time     // when a line was written last; zero: never by this process
	line     string        // that was written
	summary  summary       // that the line is of
}

// New returns a Prober. Run starts it.
func New(cfg Config, journal Journal) (*Prober, error) {
	if cfg.Wanted == nil || cfg.Probe == nil || cfg.Sign == nil {
		return nil, errors.New("probe: nothing says which endpoints are probed, or signs pings")
	}
	if cfg.Endpoint == nil {
		cfg.Endpoint = func(string) (router.Secret, bool) { return "", false }
	}
	if cfg.Key == nil {
		cfg.Key = func() *rsa.PublicKey { return nil }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Agent = cmp.Or(cfg.Agent, "flowbridge")
	cfg.Timeout = cmp.Or(cfg.Timeout, answerTimeout)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	p := &Prober{cfg: cfg, journal: journal, looker: newLooker(&cfg), counts: map[result]prometheus.Counter{},
		endpoints: map[router.Secret]*endpoint{}, flows: map[router.FlowID]*flow{}}
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "flowbridge_probes_total", Help: "Probes of endpoints of flows, by how that ended.",
	}, []string{"result"})
	for _, r := range results {
		p.counts[r] = counter.WithLabelValues(string(r))
	}
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(counter); err != nil {
			return nil, fmt.Errorf("probe: %w", err)
		}
	}
	return p, nil
}

// Run makes rounds until ctx ends.
func (p *Prober) Run(ctx context.Context) {
	for router.Sleep(ctx, pollEvery) {
		if !p.cfg.Wanted() || !p.journal.Folds() {
			p.last = time.Time{}
			clear(p.flows)
			clear(p.endpoints)
			continue
		}
		if now := p.cfg.Now(); now.Sub(p.last).Abs() >= roundEvery {
			p.last = now
			if err := p.Round(ctx); err != nil && ctx.Err() == nil {
				p.cfg.Logger.Warn("what is wrong with endpoints could not be read or written; trying again", "error", err)
			}
		}
	}
}

// Round probes once what is due, and writes what that comes to. Its errors are the store's.
func (p *Prober) Round(ctx context.Context) error {
	counting, err := p.journal.Counting(ctx)
	if err != nil {
		return err
	}
	p.follow(counting)
	due := p.due()
	sights := p.look(ctx, due)
	if ctx.Err() != nil {
		return nil // cut short: that says nothing of an endpoint
	}
	now := p.cfg.Now()
	for i, at := range due {
		p.counts[sights[i].result].Inc()
		p.endpoints[at].tally.add(sights[i], now)
	}
	return p.say(ctx, due)
}

// follow takes up the flows whose endpoints are in trouble, and lets go of the others.
func (p *Prober) follow(counting []router.Counting) {
	now, flows := p.cfg.Now(), map[router.FlowID]*flow{}
	for _, e := range p.endpoints {
		e.used = false
	}
	for _, c := range counting {
		if signal := router.SignalOf(c.Event); !signal.OfEndpoint() || flows[c.FlowID] != nil || len(flows) >= mostFlows {
			continue
		}
		given, ok := p.cfg.Probe(c.FlowID)
		if !ok {
			continue
		}
		f := p.flows[c.FlowID]
		if f == nil {
			f = &flow{since: now}
		}
		flows[c.FlowID], f.at = f, router.Secret(given)
		if f.at == "" {
			f.at, ok = p.cfg.Endpoint(c.Flow)
		}
		if f.at == "" {
			p.missing(c.FlowID, f, ok)
			continue
		}
		if p.endpoints[f.at] == nil {
			p.endpoints[f.at] = &endpoint{}
		}
		p.endpoints[f.at].used = true
	}
	p.flows = flows
	maps.DeleteFunc(p.endpoints, func(_ router.Secret, e *endpoint) bool {
		return !e.used && now.Sub(e.looked).Abs() >= probeEvery
	})
}

// missing tells the log, once, of a flow that cannot be probed. Graph is asked within a few minutes where to look.
func (p *Prober) missing(id router.FlowID, f *flow, asked bool) {
	why := "Graph has not said where it is"
	switch {
	case asked:
		why = "by Graph the flow has no endpoint"
	case p.cfg.Now().Sub(f.since) < sayEvery:
		return
	}
	if !f.missing {
		p.cfg.Logger.Warn("an endpoint is not probed: nobody knows where it is", "flow", id.Flow, "why", why,
			"do", "set META_ACCESS_TOKEN, or write endpoint: into the rules")
	}
	f.missing = true
}

// due returns the endpoints to probe now, those first that have waited for longest.
func (p *Prober) due() (list []router.Secret) {
	now, room := p.cfg.Now(), mostProbes
	for at, e := range p.endpoints {
		switch {
		case now.Sub(e.looked).Abs() < probeEvery:
			room--
		case e.used:
			list = append(list, at)
		}
	}
	slices.SortFunc(list, func(a, b router.Secret) int {
		return cmp.Or(p.endpoints[a].looked.Compare(p.endpoints[b].looked), cmp.Compare(a, b))
	})
	list = list[:max(min(len(list), room), 0)]
	for _, at := range list {
		p.endpoints[at].looked = now
	}
	return list
}

// look probes endpoints, some at a time.
func (p *Prober) look(ctx context.Context, due []router.Secret) []sight {
	sights := make([]sight, len(due))
	var looking sync.WaitGroup
	next := make(chan int)
	for range min(atOnce, len(due)) {
		looking.Go(func() {
			for i := range next {
				sights[i] = p.looker.look(ctx, due[i])
			}
		})
	}
	for i := range due {
		next <- i
	}
	close(next)
	looking.Wait()
	return sights
}

// say writes what cards of the flows behind some endpoints are to say, where that is something else than they do. What
// is known is read after the probes: of what is over nothing is said.
func (p *Prober) say(ctx context.Context, looked []router.Secret) error {
	var ids []router.FlowID
	for id, f := range p.flows {
		if slices.Contains(looked, f.at) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	slices.SortFunc(ids, router.FlowID.Compare)
	states, err := p.journal.States(ctx, ids, nil)
	if err != nil {
		return err
	}
	var events []router.Event
	now, changes := p.cfg.Now(), map[router.FlowID]flow{}
	for _, id := range ids {
		s, f := states[id], *p.flows[id]
		if e, ok := f.event(&s, p.endpoints[f.at].tally.sum(), now); ok {
			events, changes[id] = append(events, e), f
		}
	}
	if len(events) == 0 {
		return nil
	}
	if _, err = p.journal.Append(ctx, events); err != nil {
		return err
	}
	for id, f := range changes {
		*p.flows[id] = f
	}
	return nil
}

// event returns what the cards of a flow are to say from now on; ok is false where they need not say anything new.
func (f *flow) event(s *router.State, sum summary, now time.Time) (e router.Event, ok bool) {
	trouble := s.EndpointTrouble()
	if len(trouble) == 0 || sum.n == 0 {
		return e, false
	}
	shown, incident := "", s.Alerts[trouble[0]].Incident
	for n, i := range trouble {
		facts := router.ProbeFacts(s.Alerts[i].Facts)
		text := ""
		if len(facts) > 0 {
			text = facts[0].Text
		}
		if n == 0 {
			shown = text
		} else if text != shown {
			shown = "" // not all of them say it
		}
		incident = min(incident, s.Alerts[i].Incident)
	}
	line := sum.line()
	if f.incident != incident && shown == "" {
		f.said = time.Time{} // of what is new nothing was said
	}
	switch {
	case line == shown:
		return e, false
	case f.said.IsZero() && shown != "" && sum.n < enough: // a process before this one had seen more
		return e, false
	case !f.said.IsZero() && now.Sub(f.said).Abs() < sayEvery:
		return e, false
	case !f.said.IsZero() && f.line == shown && !sum.differs(&f.summary):
		return e, false
	}
	f.said, f.line, f.summary, f.incident = now, line, sum, incident
	// Another process that takes over within the same ten minutes writes a repeat.
	return router.Event{
		Digest: fmt.Sprintf("probed/%s/%s/%d/%d", s.WABA, s.Flow, incident, now.Unix()/int64(sayEvery/time.Second)),
		Source: router.SourceFlowbridge, Received: now, At: now, WABA: s.WABA, Flow: s.Flow, Field: router.FlowsField,
		Name: router.EndpointProbed, Look: &router.Look{}, Facts: []router.Fact{{Name: router.FactProbe, Text: line}},
	}, true
}
