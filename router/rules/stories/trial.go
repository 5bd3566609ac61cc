package stories

import (
	"fmt"
	"slices"
	"time"

	"flowbridge/router"
	"flowbridge/router/rules"
)

// Trial runs rules over a history in memory, with a clock that the caller moves, and says who is told what. Every
// service is taken to answer at once. Tests of rules and replays are made of it.
type Trial struct {
	rules *rules.Rules
	sim   *router.Simulation
	hits  map[string]int64   // by rule
	event *router.Event      // that is being folded
	each  func(router.Batch) // if not nil, called with all that the fold comes to

	told     map[deliveryKey]Telling // what each notifier was told last of what is open
	names    map[routeName]string    // rules behind what a notifier may be told of an incident, by its key
	decision router.Decision         // about event
}

// deliveryKey is one delivery: an incident, or a second page about it, and a notifier.
type deliveryKey struct {
	incident, pagedAt int64
	notifier          string
}

type routeName struct{ key, notifier string }

// Verb is what somebody is told.
type Verb string

// The verbs. The first five reach people; the others change a card, a thread or the state of an incident elsewhere, and
// notify nobody.
const (
	VerbOpen    Verb = "open"    // an incident is open: a new card, a page
	VerbRise    Verb = "rise"    // it got worse
	VerbResolve Verb = "resolve" // it is over, for this notifier
	VerbNotice  Verb = "notice"  // an event with no pair

	VerbRemind Verb = "remind" // it is open still, and nobody has it

	VerbEase          Verb = "ease" // it got better, and is not over
	VerbAcknowledge   Verb = "acknowledge"
	VerbUnacknowledge Verb = "unacknowledge"
	VerbUpdate        Verb = "update" // new numbers, a note, what else is active
)

// Quiet says that the telling notifies nobody.
func (v Verb) Quiet() bool {
	return v == VerbEase || v == VerbAcknowledge || v == VerbUnacknowledge || v == VerbUpdate
}

// Telling is one thing that a notifier is told.
type Telling struct {
	Notifier string
	Kind     router.Kind
	Verb     Verb
	Severity router.Severity // of an open incident or a notice
	At       time.Time
	Rule     string // that decided it; "" where a recovery of what nobody knows is told
	Event    int64  // journal position of a notice, or of the rise behind a second page; else 0
	Incident *router.Incident
	Notice   *router.Notice

	state router.IncidentState
}

// Words are the verb, with the severity where it matters: "open critical", "resolve".
func (t *Telling) Words() string {
	switch t.Verb {
	case VerbOpen, VerbRise, VerbEase, VerbNotice:
		return fmt.Sprintf("%s %s", t.Verb, t.Severity)
	}
	return string(t.Verb)
}

// NewTrial returns a Trial in which nothing has happened yet.
func NewTrial(r *rules.Rules) *Trial {
	t := &Trial{rules: r, hits: map[string]int64{}, told: map[deliveryKey]Telling{}, names: map[routeName]string{}}
	t.sim = router.NewSimulation(recordingRules{r, t})
	return t
}

// Fold folds an event, at the time of its arrival, and returns who is told what, in order, and what came of the event
// in one line.
func (t *Trial) Fold(e router.Event) (told []Telling, outcome string) {
	told = t.Advance(e.Received)
	t.event, t.decision = &e, router.Decision{}
	for _, b := range t.sim.Fold(e) {
		told = t.hear(told, b)
		for _, o := range b.Outcomes {
			outcome = o.Text
		}
	}
	t.event = nil
	return told, outcome
}

// Advance moves the clock, never back, and returns who is told what because of that.
func (t *Trial) Advance(to time.Time) (told []Telling) {
	for _, b := range t.sim.Advance(to) {
		told = t.hear(told, b)
	}
	return told
}

// Now returns the trial's clock.
func (t *Trial) Now() time.Time { return t.sim.Now() }

// State returns what is known of a flow.
func (t *Trial) State(id router.FlowID) router.State { return t.sim.State(id) }

// Hits returns how many events each rule matched, by name; `default` is called default. Recoveries count for the rules
// that name them, and not once more for what they resolve.
func (t *Trial) Hits() map[string]int64 { return t.hits }

// recordingRules writes down what the rules decide about the event at hand.
type recordingRules struct {
	*rules.Rules
	t *Trial
}

// Decide decides, and notes it unless the question is about what the event undoes.
func (w recordingRules) Decide(e *router.Event) router.Decision {
	d := w.Rules.Decide(e)
	if w.t.event == nil || e.AlertState != w.t.event.AlertState || e.NewStatus != w.t.event.NewStatus {
		return d
	}
	w.t.decision = d
	for _, name := range d.Rules {
		w.t.hits[name]++
	}
	if len(d.Rules) == 0 && len(d.Notify) > 0 && !e.ForFallback() {
		w.t.hits[d.Rule()]++
	}
	key := d.GroupBy.Key(e)
	for _, route := range d.Notify {
		w.t.names[routeName{key, route.Notifier}] = w.RuleBehind(&d, route.Notifier)
	}
	return d
}

// hear appends what a batch tells.
func (t *Trial) hear(told []Telling, b router.Batch) []Telling {
	if t.each != nil {
		t.each(b)
	}
	for i, o := range b.Owed {
		if slices.ContainsFunc(b.Owed[i+1:], func(later router.Owed) bool {
			return later.Incident == o.Incident && later.Event() == o.Event() && later.Target.Notifier == o.Target.Notifier
		}) {
			continue // the newest state is what is told
		}
		if o.Incident == 0 {
			told = append(told, t.hearNotice(b, o))
			continue
		}
		told = append(told, t.hearIncident(b, o))
	}
	return told
}

func (t *Trial) hearNotice(b router.Batch, o router.Owed) Telling {
	out := Telling{Notifier: o.Target.Notifier, Kind: o.Target.Kind, Verb: VerbNotice, Severity: o.Severity,
		At: t.sim.Now(), Event: o.Event()}
	for i := range b.Notices {
		if n := &b.Notices[i]; n.Event == o.Notice {
			out.Notice, out.Rule = n, n.Rule
			if n.Recovery == o.Key {
				out.Verb, out.Rule = VerbResolve, ""
			} else if rule := t.names[routeName{t.keyOfEvent(), o.Target.Notifier}]; rule != "" {
				out.Rule = rule
			}
		}
	}
	return out
}

// keyOfEvent is the key under which names holds what the event at hand decided.
func (t *Trial) keyOfEvent() string {
	if t.event == nil {
		return ""
	}
	return t.decision.GroupBy.Key(t.event)
}

func (t *Trial) hearIncident(b router.Batch, o router.Owed) Telling {
	at := deliveryKey{o.Incident, o.Event(), o.Target.Notifier}
	was, known := t.told[at]
	out := Telling{Notifier: o.Target.Notifier, Kind: o.Target.Kind, Verb: VerbUpdate, Severity: o.Severity,
		At: t.sim.Now(), Event: o.Event(),
		Incident: was.Incident, Rule: was.Rule, state: was.state}
	if target, ok := t.rules.Target(o.Target.Notifier); ok {
		out.Kind = target.Kind
	}
	for i := range b.Incidents {
		if b.Incidents[i].Number == o.Incident {
			out.Incident, out.state = &b.Incidents[i], b.Incidents[i].State
		}
	}
	for _, e := range b.Entries {
		if e.Incident == o.Incident {
			out.At = e.Recorded
		}
	}
	switch {
	case !o.Open:
		out.Verb = VerbResolve
		delete(t.told, at)
		return out
	case !known:
		out.Verb = VerbOpen
		if out.Incident != nil {
			out.Rule = t.names[routeName{out.Incident.Key, o.Target.Notifier}]
			if out.Rule == "" {
				out.Rule = out.Incident.Rule
			}
		}
	case o.Severity > was.Severity:
		out.Verb = VerbRise
	case o.Severity < was.Severity:
		out.Verb = VerbEase
	case o.PagedAt == 0 && reminders(out.Incident, o.Target.Notifier) > reminders(was.Incident, o.Target.Notifier):
		out.Verb = VerbRemind
	case out.state == router.IncidentAcknowledged && was.state != out.state:
		out.Verb = VerbAcknowledge
	case was.state == router.IncidentAcknowledged && was.state != out.state:
		out.Verb = VerbUnacknowledge
	}
	t.told[at] = out
	return out
}

// reminders is how often a notifier was told again of an incident.
func reminders(inc *router.Incident, notifier string) int64 {
	if inc == nil {
		return 0
	}
	i := slices.IndexFunc(inc.Watch, func(w router.Watch) bool { return w.Notifier == notifier && w.PagedAt == 0 })
	if i < 0 {
		return 0
	}
	return inc.Watch[i].Reminders
}

// Alerts returns the alerts of an incident, worst first.
func (t *Trial) Alerts(id router.FlowID, incident int64) []router.Alert {
	state := t.sim.State(id)
	return state.AlertsOf(incident)
}
