package router

import (
	"cmp"
	"container/heap"
	"slices"
	"time"
)

// Simulation folds a history in memory, with a clock that the caller moves: what a rules file would have told
// whom, without a store and without telling anybody. It is what tests of rules, explanations and replays run on.
type Simulation struct {
	rules    Rules
	now      time.Time
	seq      int64
	last     int64
	states   map[FlowID]State
	silences []Silence
	timers   timers
}

// NewSimulation returns a Simulation in which nothing has happened yet.
func NewSimulation(rules Rules) *Simulation {
	return &Simulation{rules: rules, states: map[FlowID]State{}}
}

// Now returns the simulation's clock: the zero time until something happened.
func (s *Simulation) Now() time.Time { return s.now }

// Fold runs the timers that are due by the event's arrival, which becomes the time, and then folds it. An event
// without a Seq gets the next one. What the timers came to stands in batches of their own, before the event's.
func (s *Simulation) Fold(e Event) []Batch {
	batches := s.Advance(e.Received)
	if e.Seq == 0 {
		e.Seq = s.seq + 1
	}
	s.seq = max(s.seq, e.Seq)
	batches = append(batches, s.step(e.FlowID(), func(g *batch) { g.event(&e) }))
	return append(batches, s.Advance(s.now)...) // a silence that was added or ended concerns every flow now
}

// Advance moves the clock, never back, and runs the timers that come due, each at its time.
func (s *Simulation) Advance(to time.Time) (batches []Batch) {
	for len(s.timers) > 0 && !s.timers[0].at.After(to) {
		t := heap.Pop(&s.timers).(timer)
		if !s.wound(t) {
			continue // it was wound anew meanwhile
		}
		if t.at.After(s.now) {
			s.now = t.at
		}
		batches = append(batches, s.step(t.flow, func(g *batch) { g.tick(t.flow) }))
	}
	if to.After(s.now) {
		s.now = to
	}
	return batches
}

// State returns what is known of a flow.
func (s *Simulation) State(id FlowID) State { return s.states[id] }

// Unresolved returns the incidents that are open or acknowledged, by number.
func (s *Simulation) Unresolved() (open []Incident) {
	for _, state := range s.states {
		for _, inc := range state.Incidents {
			if inc.State != IncidentResolved {
				open = append(open, inc)
			}
		}
	}
	slices.SortFunc(open, func(a, b Incident) int { return cmp.Compare(a.Number, b.Number) })
	return open
}

func (s *Simulation) wound(t timer) bool {
	return slices.ContainsFunc(s.states[t.flow].Incidents, func(inc Incident) bool { return inc.Wake.Equal(t.at) })
}

// step folds one thing and keeps what the store would keep.
func (s *Simulation) step(id FlowID, do func(*batch)) Batch {
	g := newBatch(s.rules, s.states, s.last, s.silences, s.now)
	do(g)
	b := g.result()
	over := func(silence Silence) bool { return silence.Over(s.now) }
	s.last, s.silences = g.last, slices.DeleteFunc(g.silences, over)
	state := s.states[id]
	for _, inc := range state.Incidents {
		if !inc.Wake.IsZero() {
			heap.Push(&s.timers, timer{inc.Wake, id})
		}
	}
	state.Incidents = slices.DeleteFunc(slices.Clone(state.Incidents), func(inc Incident) bool {
		return inc.State == IncidentResolved && inc.Reopened == (Page{}) &&
			!slices.ContainsFunc(state.Alerts, func(a Alert) bool { return a.Incident == inc.Number })
	})
	if len(state.Alerts)+len(state.Incidents) == 0 {
		delete(s.states, id) // an event that names a flow but leaves nothing behind
	} else {
		s.states[id] = state
	}
	if b.Wake {
		s.wakeAll()
	}
	return b
}

// wakeAll makes the timers of every flow due now.
func (s *Simulation) wakeAll() {
	for id, state := range s.states {
		state.Incidents = slices.Clone(state.Incidents)
		for i := range state.Incidents {
			if inc := &state.Incidents[i]; inc.State != IncidentResolved {
				inc.Wake = s.now
				heap.Push(&s.timers, timer{s.now, id})
			}
		}
		s.states[id] = state
	}
}

// timer says that a flow has something due.
type timer struct {
	at   time.Time
	flow FlowID
}

// timers is a heap, soonest first; the flow breaks ties, so that a simulation runs the same way every time.
type timers []timer

func (t timers) Len() int { return len(t) }
func (t timers) Less(i, j int) bool {
	return cmp.Or(t[i].at.Compare(t[j].at), t[i].flow.Compare(t[j].flow)) < 0
}
func (t timers) Swap(i, j int) { t[i], t[j] = t[j], t[i] }

// Push is heap.Interface's.
func (t *timers) Push(x any) { *t = append(*t, x.(timer)) }

// Pop is heap.Interface's.
func (t *timers) Pop() any {
	old := *t
	last := old[len(old)-1]
	*t = old[:len(old)-1]
	return last
}
