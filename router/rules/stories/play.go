package stories

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/rules/yamldoc"
)

// player plays one story.
type player struct {
	rules    *rules.Rules
	trial    *Trial
	build    EventBuilder
	flows    map[router.FlowID]bool // that something happened to
	silences []string               // ids of those that were added and not ended, in order
	added    int
}

func (p *player) step(s *Step) StepResult {
	r := StepResult{Place: s.Place, Title: s.title}
	p.trial.each = func(b router.Batch) { r.Batches = append(r.Batches, b) }
	if !s.Until.IsZero() {
		r.Told = p.trial.Advance(s.Until)
	}
	switch {
	case s.Event != nil:
		r.Problem = p.event(&r, s.Event)
	case s.Act != nil:
		r.Problem = p.act(&r, s.Act)
	}
	r.At = p.trial.Now()
	r.Diff = p.diff(s, r.Told)
	return r
}

func (p *player) event(r *StepResult, e *Event) (problem string) {
	events, err := p.build(e, p.trial.Now())
	if err != nil {
		return err.Error()
	}
	var outcomes []string
	for _, ev := range events {
		p.flows[ev.FlowID()] = true
		told, outcome := p.trial.Fold(ev)
		r.Told = append(r.Told, told...)
		outcomes = append(outcomes, outcome)
	}
	r.Outcome = strings.Join(outcomes, "; ")
	return ""
}

func (p *player) act(r *StepResult, a *Act) (problem string) {
	now := p.trial.Now()
	ev := router.Event{Source: router.SourceConsole, Name: a.Name, At: now, Received: now,
		Act: &router.Act{Actor: a.By, Notifier: a.Through}}
	if t, ok := p.rules.Target(a.Through); ok {
		if ev.Source = t.Kind.Acts(); ev.Source == "" {
			return fmt.Sprintf("nobody can act through %s: nothing comes back from %s", a.Through, t.Kind.One())
		}
	}
	if a.Silence != nil {
		if problem = p.silence(&ev, a); problem != "" {
			return problem
		}
	} else {
		inc, problem := p.incident(a)
		if problem != "" {
			return problem
		}
		ev.WABA, ev.Flow, ev.Act.Incident = inc.WABA, inc.Flow, inc.Number
	}
	told, outcome := p.trial.Fold(ev)
	r.Told, r.Outcome = append(r.Told, told...), outcome
	return ""
}

func (p *player) silence(ev *router.Event, a *Act) (problem string) {
	id := a.Silence.ID
	if a.Name == router.AddSilence {
		p.added++
		id = cmp.Or(id, fmt.Sprintf("silence-%d", p.added))
		p.silences = append(p.silences, id)
		ev.Act.Silence = &router.Silence{ID: id, Scope: a.Silence.Scope, By: a.By, Why: a.Silence.Why}
		if a.Silence.For > 0 {
			ev.Act.Silence.Until = ev.At.Add(a.Silence.For)
		}
		return ""
	}
	switch {
	case id == "" && len(p.silences) == 0:
		return "no silence was added"
	case id == "" && len(p.silences) > 1:
		return "several silences were added: say which with id: " + strings.Join(p.silences, ", ")
	case id == "":
		id = p.silences[0]
	case !slices.Contains(p.silences, id):
		return fmt.Sprintf("no silence %q was added", id)
	}
	p.silences = slices.DeleteFunc(p.silences, func(other string) bool { return other == id })
	ev.Act.Silence = &router.Silence{ID: id}
	return ""
}

// incident finds the one that a person acts on.
func (p *player) incident(a *Act) (inc router.Incident, problem string) {
	var found []router.Incident
	for id := range p.flows {
		for _, inc := range p.trial.State(id).Incidents {
			resolved := inc.State == router.IncidentResolved
			if resolved == (a.Name == router.Reopen) && a.is(&inc) {
				found = append(found, inc)
			}
		}
	}
	slices.SortFunc(found, func(x, y router.Incident) int { return cmp.Compare(x.Number, y.Number) })
	what := "open"
	if a.Name == router.Reopen {
		what = "resolved by hand and still reported by Meta"
	}
	switch len(found) {
	case 0:
		problem = "there is no incident that is " + what
		if a.Event != "" {
			problem += ", of " + a.Event
		}
		if a.Flow != "" {
			problem += ", of " + p.rules.Flow(a.Flow).DisplayName(a.Flow)
		}
		if about := cmp.Or(a.Phone, a.Template); about != "" {
			problem += ", of " + about
		}
		return inc, problem
	case 1:
		return found[0], ""
	}
	var names []string
	which := "flow or event"
	for _, inc := range found {
		if !inc.Subject.OfFlow() {
			which = "flow, phone, template or event"
		}
		names = append(names, fmt.Sprintf("%s of %s", inc.EventName(), inc.About()))
	}
	return inc, fmt.Sprintf("%d incidents are %s (%s): say which with %s", len(found), what,
		yamldoc.Shorten(strings.Join(names, ", "), 200), which)
}

// diff compares what was told with what the step expects; nil if it is as expected.
func (p *player) diff(s *Step, told []Telling) (lines []DiffLine) {
	wrong := false
	used := make([]bool, len(told))
	for i := range s.told {
		want := &s.told[i]
		line := DiffLine{Sign: '-', Text: want.String(), Place: want.place}
		for j := range told {
			if used[j] || !want.fits(&told[j]) {
				continue
			}
			used[j], line.Sign = true, ' '
			if want.verb != "" {
				break // else everything that it is told
			}
		}
		wrong = wrong || line.Sign == '-'
		lines = append(lines, line)
	}
	for i := range told {
		t := &told[i]
		unwanted := s.strict && !used[i] && !t.Verb.Quiet()
		for _, not := range s.notTold {
			unwanted = unwanted || not.fits(t)
		}
		if unwanted {
			wrong = true
			lines = append(lines, p.got(t))
		}
	}
	if !wrong {
		return nil
	}
	slices.SortStableFunc(lines,
		func(a, b DiffLine) int { return strings.Compare(notifierOf(a.Text), notifierOf(b.Text)) })
	return lines
}

func notifierOf(text string) string {
	name, _, _ := strings.Cut(text, ":")
	return name
}

// got is the line of something that nobody expected.
func (p *player) got(t *Telling) DiffLine {
	line := DiffLine{Sign: '+', Text: t.Notifier + ": " + t.Words(), Place: p.rules.PlaceOf(t.Rule)}
	if t.Rule != "" {
		line.Note = fmt.Sprintf("rule %q", t.Rule)
	}
	return line
}
