package graph

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"flowbridge/router"
)

const (
	// goodLooks in a row close what nobody has heard of, and statusLooks write a status that no webhook brought: a webhook
	// that is on its way gets there first. They are soon apart at least.
	goodLooks, statusLooks = 3, 2
	// soon is the time between two looks at a flow that may be well again, or otherwise than we know; seldom between those
	// at any other.
	soon, seldom = 5 * time.Minute, time.Hour
	// mostFlows bounds the flows that are watched, and mostLooks the looks of one round.
	mostFlows, mostLooks = 500, 20
	// roundEvery is the time between two rounds, and lookTimeout bounds the wait for one look.
	roundEvery, lookTimeout = time.Minute, 30 * time.Second
	// pollEvery is how often the clock is looked at.
	pollEvery = time.Second
)

// WatchJournal is what a FlowWatch needs of the store.
type WatchJournal interface {
	// Folds says whether this process folds: it alone looks flows up.
	Folds() bool
	// Counting returns every alert that keeps an incident open which is not resolved.
	Counting(ctx context.Context) ([]router.Counting, error)
	// States returns what is known of flows; the zero State for one that is new.
	States(ctx context.Context, flows []router.FlowID, named []int64) (map[router.FlowID]router.State, error)
	// Append writes events to the journal. A repeat by digest is dropped.
	Append(ctx context.Context, events []router.Event) (int, error)
}

// WatchConfig is what a FlowWatch may be told. A zero field takes its default.
type WatchConfig struct {
	// Look asks Graph: Client.Look. Default: there is no token, and Graph is not asked.
	Look func(ctx context.Context, flow string) (Health, error)
	// UnheardAfter says how long nothing need be heard of an active alert of an event; 0: for ever. Required.
	UnheardAfter func(event string) time.Duration
	// VersionEnds says when a version of the Flow JSON expires, and whose word that is; zero where that is not known.
	// Default: nothing is counted down but what Meta's warnings say.
	VersionEnds func(version string) (ends time.Time, by router.EndsBy)
	// Named returns the ids of the flows that the rules name: their status is compared as well. Default: none.
	Named func() []string
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger gets a line for each round that failed for the store. Default: none.
	Logger *slog.Logger
}

// FlowWatch looks after what webhooks have missed: it has Graph asked how it stands with flows, and writes what that
// comes to into the journal, as events of flowbridge's own. It decides nothing that the fold does not: events that are
// overtaken change nothing there. What it remembers of looks is lost with the process, so that they begin anew.
type FlowWatch struct {
	cfg     WatchConfig
	journal WatchJournal
	last    time.Time     // when the last round began
	turn    router.FlowID // the last that had its turn, of those that are not watched
	memory  map[string]*memory
}

// memory is what is remembered of a flow.
type memory struct {
	account string // its WhatsApp Business Account, where Graph or an alert names it
	looked  time.Time
	unsure  bool                // its status was another one than is known, or the look failed
	good    map[string]*goodRun // by signal
	status  string              // that was seen instead
	seen    int                 // looks in a row that saw it
	since   time.Time           // the first of them
}

// goodRun is how often in a row Graph said that a flow is well of which nothing was heard.
type goodRun struct {
	asOf  time.Time // another one begins anew
	ill   bool      // Graph had said before that something is wrong
	n     int
	since time.Time
}

// NewFlowWatch returns a FlowWatch. Run starts it.
func NewFlowWatch(cfg WatchConfig, journal WatchJournal) (*FlowWatch, error) {
	if cfg.UnheardAfter == nil {
		return nil, errors.New("graph: nothing says after how long an alert is looked up")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Named == nil {
		cfg.Named = func() []string { return nil }
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	return &FlowWatch{cfg: cfg, journal: journal, memory: map[string]*memory{}}, nil
}

// Run makes rounds until ctx ends.
func (w *FlowWatch) Run(ctx context.Context) {
	for router.Sleep(ctx, pollEvery) {
		// another process looks: what is remembered here is of before, and a round is due at once after that
		if !w.journal.Folds() {
			w.last = time.Time{}
			clear(w.memory)
			continue
		}
		if now := w.cfg.Now(); now.Sub(w.last).Abs() >= roundEvery {
			w.last = now
			if err := w.Round(ctx); err != nil && ctx.Err() == nil {
				w.cfg.Logger.Warn("what nothing was heard of could not be looked up; trying again", "error", err)
			}
		}
	}
}

// Round looks once at all that is due, which is for who folds. Its errors are the store's. What our clock and the rules
// say needs no look: it is said of those that are not watched, too, some of them in each round.
func (w *FlowWatch) Round(ctx context.Context) error {
	open, err := w.open(ctx)
	if err != nil {
		return err
	}
	watched := open[:min(len(open), mostFlows)]
	unwatched := w.inTurn(open[len(watched):])
	if w.cfg.Look == nil {
		watched, unwatched = nil, slices.Concat(watched, unwatched)
	}
	if err := w.unlooked(ctx, unwatched); err != nil || w.cfg.Look == nil {
		return err
	}
	states, err := w.states(ctx, watched)
	if err != nil {
		return err
	}
	for _, at := range w.due(states) {
		if ctx.Err() != nil {
			return nil
		}
		if err := w.lookAt(ctx, at); err != nil && !errors.Is(err, router.ErrValues) {
			return err
		}
	}
	return nil
}

// inTurn returns as many flows as may be watched, from behind those of the round before. All of them have their turn.
func (w *FlowWatch) inTurn(flows []router.FlowID) []router.FlowID {
	at, found := slices.BinarySearchFunc(flows, w.turn, router.FlowID.Compare)
	if found {
		at++
	}
	flows = slices.Concat(flows[at:], flows[:at])
	flows = flows[:min(len(flows), mostFlows)]
	if n := len(flows); n > 0 {
		w.turn = flows[n-1]
	}
	return flows
}

// unlooked writes what is to be said of flows whether Graph is asked or not.
func (w *FlowWatch) unlooked(ctx context.Context, flows []router.FlowID) error {
	states, err := w.states(ctx, flows)
	if err != nil {
		return err
	}
	var events []router.Event
	now := w.cfg.Now()
	for i := range states {
		events = append(events, unheardEvents(&states[i], states[i].Unheard(w.cfg.UnheardAfter, now), now)...)
		events = append(events, w.versionEvents(&states[i], nil, now)...)
	}
	return w.append(ctx, events)
}

// open returns the flows that open incidents are about, by account and id.
func (w *FlowWatch) open(ctx context.Context) (flows []router.FlowID, err error) {
	counting, err := w.journal.Counting(ctx)
	for _, c := range counting { // sorted
		if n := len(flows); ids.MatchString(c.Flow) && (n == 0 || flows[n-1] != c.FlowID) {
			flows = append(flows, c.FlowID)
		}
	}
	return flows, err
}

func (w *FlowWatch) states(ctx context.Context, flows []router.FlowID) (list []router.State, err error) {
	if len(flows) == 0 {
		return nil, nil
	}
	found, err := w.journal.States(ctx, flows, nil)
	if errors.Is(err, router.ErrValues) && len(flows) > 1 { // one that is damaged must not hide the others
		return w.statesOneByOne(ctx, flows)
	}
	for _, id := range flows {
		list = append(list, found[id])
	}
	return list, err
}

// statesOneByOne leaves out those that cannot be read.
func (w *FlowWatch) statesOneByOne(ctx context.Context, flows []router.FlowID) (list []router.State, err error) {
	for i := range flows {
		switch one, err := w.states(ctx, flows[i:i+1]); {
		case err == nil:
			list = append(list, one...)
		case !errors.Is(err, router.ErrValues):
			return nil, err
		}
	}
	return list, nil
}

// due returns the flows to look at now, those first that may be over, and then who waits for longest. It forgets those
// that are not watched any more.
func (w *FlowWatch) due(states []router.State) (list []string) {
	now := w.cfg.Now()
	wait := map[string]time.Duration{}
	for _, id := range w.cfg.Named() {
		if ids.MatchString(id) && len(wait) < mostFlows {
			wait[id] = seldom
		}
	}
	for i := range states {
		wait[states[i].Flow] = seldom
		if len(states[i].Unheard(w.cfg.UnheardAfter, now)) > 0 {
			wait[states[i].Flow] = soon
		}
		m := w.of(states[i].Flow)
		m.account = states[i].WABA
		if openedSince(&states[i], m.looked) { // its cards are to say at once what Graph knows
			m.looked = time.Time{}
		}
	}
	for id := range w.memory {
		if wait[id] == 0 {
			delete(w.memory, id)
		}
	}
	for id, long := range wait {
		m := w.of(id)
		if m.unsure {
			long, wait[id] = soon, soon
		}
		if now.Sub(m.looked) >= long {
			list = append(list, id)
		}
	}
	slices.SortFunc(list, func(a, b string) int {
		return cmp.Or(cmp.Compare(wait[a], wait[b]), w.memory[a].looked.Compare(w.memory[b].looked), cmp.Compare(a, b))
	})
	return list[:min(len(list), mostLooks)]
}

// openedSince says whether an incident of a flow that goes on opened after a time, by our clock.
func openedSince(s *router.State, at time.Time) bool {
	return slices.ContainsFunc(s.Incidents, func(inc router.Incident) bool {
		return inc.State != router.IncidentResolved && inc.Since.After(at)
	})
}

func (w *FlowWatch) of(id string) *memory {
	if w.memory[id] == nil {
		w.memory[id] = &memory{good: map[string]*goodRun{}}
	}
	return w.memory[id]
}

// lookAt looks at one flow, and writes what that comes to.
func (w *FlowWatch) lookAt(ctx context.Context, flow string) error {
	m := w.of(flow)
	m.looked = w.cfg.Now()
	asking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	health, failed := w.cfg.Look(asking, flow)
	if ctx.Err() != nil {
		return nil
	}
	if m.account = cmp.Or(m.account, health.Account); m.account == "" {
		return nil // of which account it is nobody says
	}
	// What is known is read after the look: what came meanwhile counts.
	states, err := w.states(ctx, []router.FlowID{{WABA: m.account, Flow: flow}})
	if err != nil {
		return err
	}
	now, s := w.cfg.Now(), &states[0]
	unheard := s.Unheard(w.cfg.UnheardAfter, now)
	if failed != nil {
		m.unsure = true
		return w.append(ctx, append(unheardEvents(s, unheard, now), w.versionEvents(s, nil, now)...))
	}
	events := m.compare(s, &health, now)
	events = append(events, m.recover(s, unheard, &health, now)...)
	if !m.counting() {
		events = append(events, unheardEvents(s, unheard, now)...)
		events = append(events, knownEvents(s, &health, now)...)
	}
	return w.append(ctx, append(events, w.versionEvents(s, &health, now)...))
}

func (w *FlowWatch) append(ctx context.Context, events []router.Event) error {
	if len(events) == 0 {
		return nil
	}
	_, err := w.journal.Append(ctx, events)
	return err
}

// recover returns the recoveries that looks came to: Graph had said that something is wrong with a flow, and has said
// often enough since that it is well. Where Graph never saw the trouble its health proves nothing: a flow whose
// requests fail now and then can be sent all the same. A look that failed neither counts nor begins anew; one that is
// not well begins anew.
func (m *memory) recover(s *router.State, unheard []router.Unheard, h *Health, now time.Time) (events []router.Event) {
	for signal := range m.good {
		if !slices.ContainsFunc(unheard, func(u router.Unheard) bool { return u.Signal == signal }) {
			delete(m.good, signal)
		}
	}
	for i := range unheard {
		u := &unheard[i]
		run := m.good[u.Signal]
		if run == nil || !run.asOf.Equal(u.AsOf) || !h.Well() {
			run = &goodRun{asOf: u.AsOf}
			m.good[u.Signal] = run
		}
		run.ill = run.ill || wasIll(s, u.Signal)
		if !h.Well() || !run.ill {
			continue
		}
		if run.n++; run.n == 1 {
			run.since = now
		}
		if run.n < goodLooks {
			continue
		}
		e := ownEvent(s.FlowID, u.Signal, "over/"+u.Signal, u.AsOf, run.since, now)
		e.AlertState = router.Deactivated
		if t, ok := u.Level.Threshold(); ok {
			e.Threshold = &t
		}
		events = append(events, e)
	}
	return events
}

// wasIll says whether a look has found something wrong while a signal was active: its cards say so still.
func wasIll(s *router.State, signal string) bool {
	wrong := func(f router.Fact) bool { return f.Name != router.FactEndpoint }
	return slices.ContainsFunc(s.Alerts, func(a router.Alert) bool {
		return a.Event == signal && a.Active && slices.ContainsFunc(router.GraphFacts(a.Facts), wrong)
	})
}

// counting says whether good looks are being counted: until that is done, cards say what was wrong, and a process that
// takes over knows it from them.
func (m *memory) counting() bool {
	for _, run := range m.good {
		if run.n > 0 {
			return true
		}
	}
	return false
}

// compare returns the status of a flow where several looks in a row saw another one than is known.
func (m *memory) compare(s *router.State, h *Health, now time.Time) []router.Event {
	known := s.Worst(router.FlowStatusChange)
	is, ok := router.Standing(h.Status)
	if m.unsure = ok && is != known; !m.unsure {
		m.status, m.seen = "", 0
		return nil
	}
	if m.status != h.Status {
		m.status, m.seen, m.since = h.Status, 0, now
	}
	if m.seen++; m.seen < statusLooks {
		return nil
	}
	asOf := s.LastHeard(router.FlowStatusChange)
	e := ownEvent(s.FlowID, router.FlowStatusChange, "status/"+h.Status, asOf, m.since, now)
	e.OldStatus, e.NewStatus = string(known), h.Status
	e.Facts = []router.Fact{{Name: router.FactSource, Text: "Meta's health: no webhook came"}}
	return []router.Event{e}
}

// unheardEvents say on cards that nothing was heard of signals, where they do not say so already.
func unheardEvents(s *router.State, unheard []router.Unheard, now time.Time) (events []router.Event) {
	for i := range unheard {
		u := &unheard[i]
		if u.Said {
			continue
		}
		e := ownEvent(s.FlowID, router.FlowLookedUp, "unheard/"+u.Signal, u.AsOf, now, now)
		e.Look.Signal, e.Look.For = u.Signal, u.For
		e.Facts = []router.Fact{{Name: router.FactUnheard, Text: fmt.Sprintf(
			"nothing for %s: if it is over, resolve it by hand",
			router.FormatDuration(u.For.Truncate(time.Minute)))}}
		events = append(events, e)
	}
	return events
}

// knownEvents show what Graph knows on the cards of a flow, where they show something else.
func knownEvents(s *router.State, h *Health, now time.Time) []router.Event {
	facts, open, shown := h.Facts(), false, true
	for i := range s.Alerts {
		if a := &s.Alerts[i]; a.Active && s.GoesOn(a.Incident) {
			open, shown = true, shown && slices.Equal(router.GraphFacts(a.Facts), facts)
		}
	}
	if !open || shown {
		return nil
	}
	e := ownEvent(s.FlowID, router.FlowLookedUp, "known", now, now, now)
	e.Look.AsOf, e.Facts = time.Time{}, facts
	return []router.Event{e}
}

// ownEvent is an event of flowbridge's own about a flow. Its digest is that of what it is about and goes by, so that
// writing it again, by this process or the next, is a repeat.
func ownEvent(id router.FlowID, name, about string, asOf, at, now time.Time) router.Event {
	return router.Event{
		Digest: fmt.Sprintf("%d-looked-up/%s/%s/%s", asOf.UnixMicro(), id.WABA, id.Flow, about),
		Source: router.SourceFlowbridge, Received: now, At: at, WABA: id.WABA, Flow: id.Flow, Field: router.FlowsField,
		Name: name, Look: &router.Look{AsOf: asOf},
	}
}
