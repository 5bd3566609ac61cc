package router

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// batch folds events and the passing of time over the states of some flows, and collects what is to be stored.
// The Router uses one for each batch, a Simulation one for its whole life.
type batch struct {
	rules    Rules
	states   map[FlowID]State
	last     int64 // highest number of an incident
	silences []Silence
	now      time.Time
	aside    []aside // events, and timers of flows, that could not be folded
	// counting returns the alerts that count of flows beyond states. It is asked once, if a silence until recovered may
	// be over. Nil: there are none.
	counting func() ([]Counting, error)
	others   []Counting // what it returned
	asked    bool
	err      error // of storage: nothing of the batch may be kept

	alerts    map[alertID]Alert
	incidents map[int64]Incident
	changed   map[string]bool // ids of silences
	owing     owing
	readings  map[readingID]AlertReading
	hits      map[string]*RuleHits // by rule
	b         Batch
}

type alertID struct {
	FlowID
	event string
	level Level
}

func newBatch(rules Rules, states map[FlowID]State, last int64, silences []Silence, now time.Time) *batch {
	return &batch{
		rules: rules, states: states, last: last, silences: silences, now: now,
		alerts: map[alertID]Alert{}, incidents: map[int64]Incident{}, changed: map[string]bool{}, owing: newOwing(),
		readings: map[readingID]AlertReading{}, hits: map[string]*RuleHits{},
	}
}

// event folds one event, or sets it aside.
func (g *batch) event(e *Event) {
	outcome, err := g.fold(e)
	if err != nil {
		g.setAside(e, err)
		return
	}
	g.outcome(e, outcome)
}

// outcome takes up what came of an event, for the journal, and for the audit where a person did it.
func (g *batch) outcome(e *Event, out Outcome) {
	out.Seq = e.Seq
	g.b.Outcomes = append(g.b.Outcomes, out)
	if entry, ok := e.audited(out.Text); ok {
		g.b.Audit = append(g.b.Audit, entry)
	}
}

func (g *batch) fold(e *Event) (out Outcome, err error) {
	switch {
	case e.Unreadable != "":
		return out, errors.New(e.Unreadable)
	case e.Name == AddSilence || e.Name == EndSilence:
		return Outcome{Text: g.silence(e)}, nil
	}
	id := e.FlowID()
	var v Verdict
	step, err := g.guard(func() Step {
		v = Judge(g.rules, e)
		return Fold(g.states[id], g.last+1, e, v, g.moment())
	})
	if err != nil {
		return out, err
	}
	g.hit(e, &v.Decision)
	g.pages(e, &v.Decision, &step)
	g.keep(id, step)
	g.measure(id, e, step.Alerts)
	out = Outcome{Text: step.Outcome, Kept: e.Kept(&v.Decision)}
	if step.Notice != nil || out.Kept != nil && out.Kept.Value != nil {
		out.People = e.People()
	}
	return out, nil
}

// tick folds the passing of time for one flow, or puts it off.
func (g *batch) tick(id FlowID) {
	step, err := g.guard(func() Step { return Tick(g.states[id], g.moment()) })
	if err != nil {
		g.postpone(id, err)
		return
	}
	g.pages(&Event{}, &Decision{}, &step)
	g.keep(id, step)
}

func (g *batch) moment() Moment {
	return Moment{Now: g.now, Silences: g.silences, Target: g.rules.Target, Targets: g.rules.Targets}
}

// guard folds, and writes what the rules' templates make of it. A fault of ours, or of theirs, becomes an error: it
// must not stop the journal.
func (g *batch) guard(fold func() Step) (step Step, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("fault in flowbridge: %v", p)
		}
	}()
	step = fold()
	for _, number := range step.Incidents {
		i := slices.IndexFunc(step.State.Incidents, func(inc Incident) bool { return inc.Number == number })
		inc := step.State.Incidents[i]
		inc.Title, inc.Text = g.rules.RenderIncident(&inc, step.State.AlertsOf(number))
		if IsDrill(inc.Flow) {
			inc.Title, inc.Text = drillWords(inc.Title)
		}
		step.State.Incidents[i] = inc
	}
	if step.Notice != nil {
		step.Notice.Title, step.Notice.Text = g.rules.RenderNotice(step.Notice)
	}
	return step, nil
}

// keep takes up what a step came to.
func (g *batch) keep(id FlowID, step Step) {
	for _, a := range step.Alerts {
		g.alerts[alertID{id, a.Event, a.Level}] = a
	}
	for _, number := range step.Incidents {
		i := slices.IndexFunc(step.State.Incidents, func(inc Incident) bool { return inc.Number == number })
		g.incidents[number] = step.State.Incidents[i]
		g.last = max(g.last, number)
	}
	if step.Notice != nil {
		g.b.Notices = append(g.b.Notices, *step.Notice)
	}
	g.b.Entries = append(g.b.Entries, step.Entries...)
	for _, o := range step.Owed {
		g.owing.owe(o)
	}
	for _, o := range step.AlreadyThere {
		g.owing.record(o)
	}
	step.State.FlowID = id
	before := g.states[id]
	g.states[id] = step.State
	g.endRecovered(func(s *Silence) bool { return before.covered(s) && !step.State.covered(s) })
}

// silence folds a person's wish, and says what came of it.
func (g *batch) silence(e *Event) string {
	if e.Act == nil || e.Act.Silence == nil || e.Act.Silence.ID == "" {
		return "names no silence"
	}
	s := *e.Act.Silence
	if e.Name == EndSilence {
		if !g.endSilence(s.ID, g.now) {
			return "silence " + s.ID + " is over already"
		}
		return "silence " + s.ID + " ended"
	}
	holding := 0 // or will
	for i := range g.silences {
		if !g.silences[i].Over(g.now) {
			holding++
		}
	}
	switch {
	case slices.ContainsFunc(g.silences, func(old Silence) bool { return old.ID == s.ID }):
		return "silence " + s.ID + " is there already"
	case holding >= MaxSilences:
		return fmt.Sprintf("not silenced: there are %d silences already", holding)
	}
	s.Since, s.Ended = earlier(e.At, g.now), time.Time{}
	if s.Start.After(s.Since) {
		s.Since = s.Start
	}
	g.silences = append(g.silences, s)
	g.changed[s.ID], g.b.Wake = true, true
	if s.Everything() {
		g.b.Events = append(g.b.Events, everythingSilenced(&s, g.now))
	}
	return "silence " + s.ID + " added"
}

// endRecovered ends those of some silences that last until recovered under which nothing is wrong any more, over all
// flows. It is asked about those under which something has just ended.
func (g *batch) endRecovered(some func(*Silence) bool) {
	for i := range g.silences {
		s := &g.silences[i]
		if s.UntilRecovered() && s.holds(g.now) && some(s) && !g.covered(s) {
			g.endSilence(s.ID, g.now)
		}
	}
}

// covered says whether anything that counts is under a silence, in any flow.
func (g *batch) covered(s *Silence) bool {
	for _, state := range g.states {
		if state.covered(s) {
			return true
		}
	}
	if !g.asked && g.counting != nil {
		g.others, g.err = g.counting()
	}
	g.asked = true
	return g.err != nil || slices.ContainsFunc(g.others, func(c Counting) bool {
		_, here := g.states[c.FlowID]
		return !here && s.Covers(c.FlowID, c.Event, c.Labels)
	})
}

// covered says whether an alert of the flow that keeps an incident open is under a silence.
func (s *State) covered(silence *Silence) bool {
	return slices.ContainsFunc(s.Alerts, func(a Alert) bool {
		if !a.Counts() {
			return false
		}
		i := slices.IndexFunc(
			s.Incidents,
			func(inc Incident) bool { return inc.Number == a.Incident && inc.State != IncidentResolved },
		)
		return i >= 0 && silence.Covers(s.FlowID, a.Event, s.Incidents[i].Labels)
	})
}

func (g *batch) endSilence(id string, at time.Time) (ended bool) {
	for i := range g.silences {
		if s := &g.silences[i]; s.ID == id && s.Ended.IsZero() {
			s.Ended = at
			g.changed[id], g.b.Wake, ended = true, true, true
		}
	}
	return ended
}

// result returns what is to be stored.
func (g *batch) result() Batch {
	b := g.b
	g.owing.write(&b)
	b.Readings = sortedReadings(g.readings)
	for _, rule := range slices.Sorted(maps.Keys(g.hits)) {
		b.Hits = append(b.Hits, *g.hits[rule])
	}
	for id, a := range g.alerts {
		b.Alerts = append(b.Alerts, FlowAlert{id.FlowID, a})
	}
	slices.SortFunc(b.Alerts, func(x, y FlowAlert) int {
		return cmp.Or(FlowID.Compare(x.FlowID, y.FlowID), compareAlerts(x.Alert, y.Alert))
	})
	for _, number := range slices.Sorted(maps.Keys(g.incidents)) {
		b.Incidents = append(b.Incidents, g.incidents[number])
	}
	for _, s := range g.silences {
		if g.changed[s.ID] {
			b.Silences = append(b.Silences, s)
		}
	}
	return b
}

// Judge asks the rules about an event, and about the one that it undoes where there is one.
func Judge(rules Rules, e *Event) Verdict {
	if e.Act != nil && !e.ForFallback() { // a person speaks: nothing to decide
		return Verdict{}
	}
	v := Verdict{Decision: rules.Decide(e)}
	for _, step := range e.Steps(v.Ends) {
		v.Steps = append(v.Steps, rules.Decide(&step))
	}
	for _, opening := range e.Openings() {
		d := rules.Decide(&opening)
		if v.Opening == nil {
			v.Opening = &d
			continue
		}
		for _, t := range d.Named { // whoever may have been told of one of them
			if !slices.ContainsFunc(v.Opening.Named, func(other Target) bool { return other == t }) {
				v.Opening.Named = append(slices.Clone(v.Opening.Named), t)
			}
		}
	}
	return v
}

// AlertsOf returns the alerts of an incident, active or not, worst first.
func (s *State) AlertsOf(number int64) []Alert {
	return WorstFirst(slices.DeleteFunc(slices.Clone(s.Alerts), func(a Alert) bool { return a.Incident != number }))
}
