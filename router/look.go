package router

import (
	"fmt"
	"slices"
	"time"
)

// FlowLookedUp is the name of an event in which flowbridge says what Meta's Graph API knows of a flow with an open
// incident, or that nothing was heard of it for long. It moves no alert, and nobody is paged for it.
const FlowLookedUp = "FLOW_LOOKED_UP"

// EndpointProbed is the name of an event in which flowbridge says what it sees itself of a flow's endpoint, while
// incidents about that go on. Like FlowLookedUp it moves no alert, and nobody is paged for it.
const EndpointProbed = "ENDPOINT_PROBED"

// Look is on events of Meta's kind that flowbridge itself writes, for want of a webhook: what it had heard, and went
// by.
type Look struct {
	// Signal is of FlowLookedUp: of which nothing was heard; "" where it only brings facts.
	Signal string `json:"signal,omitempty"`
	// AsOf is State.LastHeard of the signal when it was looked up. Where more was heard since, the event changes nothing.
	AsOf time.Time     `json:"as_of,omitzero"`
	For  time.Duration `json:"for,omitempty"` // how long nothing was heard
	// Countdown is of FlowLookedUp: which version the flow has, and when that expires, as far as is known by now.
	Countdown *Countdown `json:"countdown,omitempty"`
}

// Names of facts that a look brings. Those of the next look take their place.
const (
	FactStatus   = "Status at Meta"
	FactHealth   = "Meta's health"
	FactSolution = "Meta's solution"
	FactEndpoint = "Endpoint"
	FactUnheard  = "Not heard of"
	FactSource   = "Known from" // of an event that no webhook brought
	// FactProbe says what probes of the endpoint came to. Incidents say it beside what Meta measures: see Incident.say.
	FactProbe = "Endpoint probe"
)

// graphFacts are those that are Graph's.
var graphFacts = []string{FactStatus, FactHealth, FactSolution, FactEndpoint}

// GraphFacts returns those of some facts that a look has brought.
func GraphFacts(facts []Fact) []Fact {
	return slices.DeleteFunc(slices.Clone(facts), func(f Fact) bool { return !slices.Contains(graphFacts, f.Name) })
}

// ProbeFacts returns those of some facts that probes have brought.
func ProbeFacts(facts []Fact) []Fact {
	return slices.DeleteFunc(slices.Clone(facts), func(f Fact) bool { return f.Name != FactProbe })
}

// byHealth ends sentences about what no webhook said.
const byHealth = ", by Meta's health: no webhook came"

// Looked says whether flowbridge wrote an event of Meta's kind, since Graph says so and no webhook came.
func (e *Event) Looked() bool {
	return e.Source == SourceFlowbridge && e.Look != nil && !e.looks()
}

// looks says whether an event brings facts for cards, and moves nothing.
func (e *Event) looks() bool { return e.Name == FlowLookedUp || e.Name == EndpointProbed }

// OfMeta says whether rules are asked about e: Meta said it, or Graph did.
func (e *Event) OfMeta() bool { return e.Source == SourceMeta || e.Looked() }

// LastHeard returns when anything was heard of a signal last, that it is active or over; zero for never.
func (s *State) LastHeard(signal string) (last time.Time) {
	for i := range s.Alerts {
		if a := &s.Alerts[i]; a.Event == signal {
			last = later(last, later(later(a.Raised, a.Heard), later(a.Cleared, a.Until)))
		}
	}
	return last.Truncate(time.Microsecond) // as databases keep it, so that a replay in memory sees the same
}

// Unheard is a signal that was reported as active, and of which nothing was heard since, for longer than it should be.
type Unheard struct {
	Signal string
	Level  Level         // the mildest that is active; "" where they cannot be compared
	AsOf   time.Time     // State.LastHeard
	For    time.Duration // since then
	Said   bool          // its cards say so already
}

// Unheard lists the signals of a flow that open incidents are about and of which nothing was heard for too long, by
// name. after says how long that is for a signal; 0: it may be silent for ever.
func (s *State) Unheard(after func(signal string) time.Duration, now time.Time) (list []Unheard) {
	for i := range s.Alerts {
		a := &s.Alerts[i]
		if !a.Active || !signalOf(a.Event).Measured() || signalOf(a.Event).Counts || !s.GoesOn(a.Incident) {
			continue
		}
		if n := len(list); n > 0 && list[n-1].Signal == a.Event { // sorted by event
			u := &list[n-1]
			u.Said = u.Said && !a.Unheard.IsZero()
			switch {
			case reaches(a.Event, u.Level, a.Level):
				u.Level = a.Level
			case !reaches(a.Event, a.Level, u.Level):
				u.Level = ""
			}
			continue
		}
		wait, last := after(a.Event), s.LastHeard(a.Event)
		if wait > 0 && now.Sub(last) >= wait {
			list = append(list, Unheard{a.Event, a.Level, last, now.Sub(last), !a.Unheard.IsZero()})
		}
	}
	return list
}

// GoesOn says whether an incident of the flow is known, and not resolved.
func (s *State) GoesOn(number int64) bool {
	return slices.ContainsFunc(s.Incidents, func(i Incident) bool {
		return i.Number == number && i.State != IncidentResolved
	})
}

// Worst returns the worst word of a signal that is active, of those that are known; "" for none.
func (s *State) Worst(signal string) (worst Level) {
	of := signalOf(signal)
	for i := range s.Alerts {
		a := &s.Alerts[i]
		if a.Event == signal && a.Active && of.place(a.Level) > of.place(worst) {
			worst = a.Level
		}
	}
	return worst
}

// heardSince says of an event that flowbridge wrote for want of a webhook that one has come meanwhile.
func (f *fold) heardSince() bool {
	if f.e.Look == nil {
		return false
	}
	signal := f.e.SignalKey()
	if f.e.looks() {
		signal = f.e.Look.Signal
	}
	if signal == "" || !f.state.LastHeard(signal).After(f.e.Look.AsOf) {
		return false
	}
	f.say("more was heard of it meanwhile: it changes nothing")
	return true
}

// look shows on the cards of a flow what Graph knows of it, what probes of its endpoint came to, or that nothing was
// heard of a signal. The last is said on the timeline once for each time that an alert is active.
func (f *fold) look() {
	look := f.e.Look
	if look == nil || f.heardSince() {
		return
	}
	if look.Countdown != nil {
		f.redate(look.Countdown)
		return
	}
	var told []int64
	news := false
	for i := range f.state.Alerts {
		a := &f.state.Alerts[i]
		if !a.Active || !f.state.GoesOn(a.Incident) || look.Signal != "" && a.Event != look.Signal ||
			f.e.Name == EndpointProbed && !signalOf(a.Event).OfEndpoint() {
			continue
		}
		if look.Signal != "" {
			if !a.Unheard.IsZero() {
				continue
			}
			a.Unheard = f.e.At
		}
		a.Facts = withLook(a.Facts, f.e)
		f.alerts = append(f.alerts, i)
		if !slices.Contains(told, a.Incident) {
			told = append(told, a.Incident)
		}
		news = true
	}
	if !news {
		f.say("nothing of it is open, or it was said before")
	}
	for _, number := range told {
		f.showLook(f.incident(number))
	}
}

func (f *fold) showLook(inc *Incident) {
	inc.say(f.counting(inc.Number))
	f.change(inc)
	if signal := f.e.Look.Signal; signal != "" {
		f.entry(inc, EntryUnheard, fmt.Sprintf("%s: nothing was heard of it for %s. If it is over, resolve it by hand",
			SignalName(signal), FormatDuration(f.e.Look.For)))
		f.say("said on %s that nothing was heard", inc.Name())
	} else {
		f.say("shown on %s", inc.Name())
	}
	for _, w := range inc.Watch {
		if w.Open && w.PagedAt == 0 && !slices.Contains(inc.Pageable, w.Notifier) {
			o := inc.owes(&w)
			o.Target, o.Cosmetic = f.targetOf(&w), f.e.Look.Signal == ""
			f.owed = append(f.owed, o)
		}
	}
}

// withLook puts what a look brought in the place of what the one before did.
func withLook(facts []Fact, e *Event) []Fact {
	old := graphFacts
	switch {
	case e.Name == EndpointProbed:
		old = []string{FactProbe}
	case e.Look.Signal != "":
		old = []string{FactUnheard}
	}
	kept := slices.DeleteFunc(slices.Clone(facts), func(f Fact) bool { return slices.Contains(old, f.Name) })
	return slices.Concat(kept, e.Facts)
}

// looked are the facts of looks that go on to be true when an alert is raised: of one that is active all but that
// nothing was heard of it, and of one that is not what probes say of the same endpoint.
func (f *fold) looked(a *Alert) []Fact {
	if a.Active {
		return slices.Concat(GraphFacts(a.Facts), ProbeFacts(a.Facts))
	}
	for _, i := range f.state.EndpointTrouble() {
		if facts := ProbeFacts(f.state.Alerts[i].Facts); len(facts) > 0 && signalOf(a.Event).OfEndpoint() {
			return facts
		}
	}
	return nil
}

// EndpointTrouble returns the indexes of the alerts that are active and about the endpoint of the flow, and whose
// incidents go on.
func (s *State) EndpointTrouble() (alerts []int) {
	for i := range s.Alerts {
		if a := &s.Alerts[i]; a.Active && signalOf(a.Event).OfEndpoint() && s.GoesOn(a.Incident) {
			alerts = append(alerts, i)
		}
	}
	return alerts
}

// sayProbe puts what probes came to first among what an incident shows, beside what Meta measures of the same endpoint.
// counting are its alerts that count, worst first.
func (i *Incident) sayProbe(counting []*Alert) {
	at := slices.IndexFunc(counting, func(a *Alert) bool { return len(ProbeFacts(a.Facts)) > 0 })
	if at < 0 {
		return
	}
	probed := counting[at]
	s, text, newest := signalOf(probed.Event), "from here "+ProbeFacts(probed.Facts)[0].Text, (*Alert)(nil)
	for _, a := range counting {
		if a.Event == probed.Event && a.Reading.Value != nil &&
			(newest == nil || a.Reported().After(newest.Reported())) {
			newest = a
		}
	}
	if newest != nil && s.OfEndpoint() {
		text = "Meta sees " + fmt.Sprintf(s.Endpoint, s.Unit.Format(*newest.Reading.Value)) + ", " + text
	}
	others := slices.DeleteFunc(slices.Clone(i.Facts), func(f Fact) bool { return f.Name == FactProbe })
	i.Facts = append([]Fact{{FactProbe, text}}, others...)
}
