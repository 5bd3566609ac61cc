package router

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Countdown is what is known of something that ends, such as the version of a flow, and the steps that come before. It
// belongs to the alert that reported it, the one without a level; each step becomes an alert of its own by our clock.
type Countdown struct {
	Version string    `json:"version,omitempty"`  // of the Flow JSON; "" where nobody has said it
	DataAPI string    `json:"data_api,omitempty"` // version of the data API, for people; "" where nobody has said it
	Ends    time.Time `json:"ends,omitzero"`      // zero where that is not known
	EndsBy  EndsBy    `json:"ends_by,omitempty"`  // whose word that is
	Freezes time.Time `json:"freezes,omitzero"`   // by the warning's words: published no longer, but sent and opened

	Steps []CountdownStep `json:"steps,omitempty"` // that have not come, most days first
}

// CountdownStep is what the rules said of a step when it was planned: it is pinned, as all that an incident opened is.
type CountdownStep struct {
	Days     float64      `json:"days"`
	Severity Severity     `json:"severity"`
	Routes   []AlertRoute `json:"notify,omitempty"`
}

// EndsBy says whose word a date is.
type EndsBy string

// Whose word a date can be.
const (
	EndsByRules     EndsBy = "rules"
	EndsByChangelog EndsBy = "changelog"
	EndsByWarning   EndsBy = "warning"
)

// words say it on a card.
func (by EndsBy) words() string {
	return map[EndsBy]string{
		EndsByRules: "by versions in the rules", EndsByChangelog: "by Meta's changelog", EndsByWarning: "by Meta's warning",
	}[by]
}

// Names of the facts of a countdown.
const (
	FactVersion = "Version"
	FactFrozen  = "Frozen"
	FactExpires = "Expires"
)

// facts are what cards show of it.
func (c *Countdown) facts() (facts []Fact) {
	version := ""
	if c.Version != "" {
		version = "Flow JSON " + c.Version
	}
	if c.DataAPI != "" {
		version = strings.TrimPrefix(version+", data API "+c.DataAPI, ", ")
	}
	if version != "" {
		facts = append(facts, Fact{FactVersion, version})
	}
	switch frozen := FlowVersionOf(c.Version).Frozen; {
	case !frozen.IsZero():
		facts = append(facts, Fact{FactFrozen, "since " + frozen.Format(dayForm) + ", by Meta's changelog"})
	case !c.Freezes.IsZero():
		facts = append(facts, Fact{FactFrozen, "from " + c.Freezes.UTC().Format(dayForm) + ", by Meta's warning: " +
			"it can be published no longer then, and is still sent and opened"})
	}
	if !c.Ends.IsZero() {
		return append(facts, Fact{FactExpires, c.Ends.UTC().Format(dayForm) + ", " + c.EndsBy.words()})
	}
	return append(facts, Fact{FactExpires, "no date is known: put it under versions in the rules when Meta names it"})
}

// sentence says it on the timeline.
func (c *Countdown) sentence() string {
	of := "The version"
	if c.Version != "" {
		of = "Flow JSON " + c.Version
	}
	if c.Ends.IsZero() {
		return "No date is known on which " + strings.Replace(of, "The v", "the v", 1) + " expires: nothing is counted down"
	}
	return fmt.Sprintf("%s expires on %s, %s", of, c.Ends.UTC().Format(dayForm), c.EndsBy.words())
}

// dayForm is how people see a date.
const dayForm = "2 January 2006"

// at returns when a step of so many days comes; zero where the end is not known.
func (c *Countdown) at(days float64) time.Time {
	if c.Ends.IsZero() {
		return time.Time{}
	}
	return c.Ends.Add(-time.Duration(days * float64(day)))
}

// due says whether a step has come by a time.
func (c *Countdown) due(days float64, now time.Time) bool {
	at := c.at(days)
	return !at.IsZero() && !at.After(now)
}

// next returns when the next step comes; zero for none, and of a nil Countdown.
func (c *Countdown) next() time.Time {
	if c == nil || len(c.Steps) == 0 {
		return time.Time{}
	}
	return c.at(c.Steps[0].Days)
}

// countdownOf returns the countdown of one of some alerts, nil for none.
func countdownOf(alerts []*Alert) *Countdown {
	for _, a := range alerts {
		if a.Active && a.Countdown != nil {
			return a.Countdown
		}
	}
	return nil
}

// Countdown returns the alert of the flow whose signal counts down in an incident that goes on; nil for none.
func (s *State) Countdown() *Alert {
	for i := range s.Alerts {
		if a := &s.Alerts[i]; a.Active && a.Countdown != nil && s.GoesOn(a.Incident) {
			return a
		}
	}
	return nil
}

// Steps returns the events that will tell of the steps of a countdown that e begins, most days first; none of any other
// event. Each happens when its step comes, or with e where it is not known when that is. Rules are asked about them.
func (e *Event) Steps(ends time.Time) (steps []Event) {
	s := signalOf(e.SignalKey())
	if !s.Counts || e.AlertState == Deactivated || !e.OfMeta() {
		return nil
	}
	c := Countdown{Ends: ends}
	for i := range s.Levels {
		step, days := *e, s.Levels[i].Threshold
		step.Threshold = &days
		step.At = later(e.At, c.at(days))
		steps = append(steps, step)
	}
	return steps
}

// plan renews the countdown of the event's signal, once the alert without a level is active: what is known of the end,
// and what the rules say of the steps that have not come. Where the event has just made it active, what has come
// already is part of the opening.
func (f *fold) plan() {
	i := f.alert("")
	base := &f.state.Alerts[i]
	inc := f.incident(base.Incident)
	if !base.Active || inc == nil || !base.Raised.Equal(f.e.At) {
		return
	}
	s, was := signalOf(base.Event), cmp.Or(base.Countdown, &Countdown{})
	c := *was
	c.Version = cmp.Or(f.e.FlowVersion(), c.Version)
	if !f.v.Ends.IsZero() {
		c.Ends, c.EndsBy = f.v.Ends, f.v.EndsBy
	}
	if freezes := f.e.saidFreeze(); !freezes.IsZero() {
		c.Freezes = freezes
	}
	c.Steps = nil
	for n := range f.v.Steps {
		d, days := &f.v.Steps[n], s.Levels[n].Threshold
		if d.Drop || f.stands(ThresholdLevel(&days)) {
			continue
		}
		c.Steps = append(c.Steps, CountdownStep{Days: days, Severity: d.Severity, Routes: inc.routes(d, base.Event)})
		inc.namePageable(d.Named)
	}
	base.Countdown = &c
	base.Facts = slices.Concat(c.facts(), f.e.Facts, GraphFacts(base.Facts))
	f.alerts = append(f.alerts, i)
	f.shareFacts(base)
	if base.OpenedBy == f.e.Seq && inc.State != IncidentResolved {
		f.begin(inc, later(f.passed, f.m.Now))
		f.noticeToPagers()
	}
}

// stands says whether the event's signal is at a level already.
func (f *fold) stands(l Level) bool {
	return slices.ContainsFunc(f.state.Alerts, func(a Alert) bool {
		return a.Event == f.e.SignalKey() && a.Level == l && a.Active
	})
}

// shareFacts shows on the steps that have come what is known of the countdown.
func (f *fold) shareFacts(base *Alert) {
	for i := range f.state.Alerts {
		if a := &f.state.Alerts[i]; a.Event == base.Event && a.Active && a.Countdown == nil {
			a.Raised, a.Facts = base.Raised, base.Facts
			f.alerts = append(f.alerts, i)
		}
	}
}

// noticeToPagers tells those who page once, as of news: they are woken by a step that is severe enough, and by nothing
// before.
func (f *fold) noticeToPagers() {
	if f.v.Severity >= Error {
		return
	}
	all := f.v.Notify
	f.v.Notify = slices.DeleteFunc(slices.Clone(all), func(r Route) bool { return !r.Kind.Pages() })
	if len(f.v.Notify) > 0 {
		f.notice()
	}
	f.v.Notify = all
}

// begin makes the steps active whose time has come, and says whether there are any. Of several the last is reached.
func (f *fold) begin(inc *Incident, now time.Time) bool {
	i := slices.IndexFunc(f.state.Alerts, func(a Alert) bool {
		return a.Incident == inc.Number && a.Active && a.Countdown != nil
	})
	if i < 0 {
		return false
	}
	base := f.state.Alerts[i] // what is added moves it
	c := *base.Countdown
	coming := slices.IndexFunc(c.Steps, func(s CountdownStep) bool { return !c.due(s.Days, now) })
	if coming < 0 {
		coming = len(c.Steps)
	}
	if coming == 0 {
		return false
	}
	begun := c.Steps[:coming]
	c.Steps = slices.Clone(c.Steps[coming:])
	f.state.Alerts[i].Countdown = &c
	f.alerts = append(f.alerts, i)
	for _, step := range begun {
		at := f.alertOf(base.Event, ThresholdLevel(&step.Days))
		a := &f.state.Alerts[at]
		a.Active, a.Raised, a.Since, a.Until = true, base.Raised, later(base.Since, c.at(step.Days)), time.Time{}
		a.OpenedBy, a.ClosedBy, a.Heard, a.HeldUntil = base.OpenedBy, 0, f.heard(), time.Time{}
		a.Severity, a.Facts, a.Incident, a.Key, a.Hold = step.Severity, base.Facts, inc.Number, base.Key, base.Hold
		a.Routes = slices.Clone(step.Routes)
		for n := range a.Routes {
			a.Routes[n].begin(now)
		}
		f.alerts = append(f.alerts, at)
	}
	if l := ThresholdLevel(&begun[coming-1].Days); inc.Event == base.Event && !slices.Contains(inc.Path, l) {
		inc.Path = append(slices.Clone(inc.Path), l)
	}
	return true
}

// sayBegun says on the timeline which step has come, and whether the incident got worse by it.
func (f *fold) sayBegun(inc *Incident, begun bool, counting []*Alert, now time.Time) (rose bool) {
	if !begun || len(counting) == 0 {
		return false
	}
	was := inc.Severity
	inc.Severity = counting[0].Severity
	inc.Peak = max(inc.Peak, inc.Severity)
	inc.say(counting)
	var last *Alert
	for _, a := range counting {
		if last == nil || a.Reaches(last) {
			last = a
		}
	}
	text := Sentence(last.Event, last.Level) + ". " + countdownOf(counting).sentence()
	if inc.Severity > was {
		f.entryAt(inc, now, 0, EntryEscalated, fmt.Sprintf("%s; severity rises from %s to %s", text, was, inc.Severity))
		return true
	}
	f.entryAt(inc, now, 0, EntryReminded, text)
	return false
}

// endCountdown ends what counts down where the event says that it can be so no more: the flow was published anew, with
// a version that can be published, or retired.
func (f *fold) endCountdown() {
	if !f.e.renews() {
		return
	}
	for i := range signals {
		if s := &signals[i]; s.Counts && s.Subject == SubjectOf(f.e.SignalKey()) {
			f.clearOf(s.Name, "")
		}
	}
}

// renews says whether a word of the event is one that ends countdowns. A flow that is published again since it has
// recovered is the same as before.
func (e *Event) renews() bool {
	s := signalOf(e.SignalKey())
	known := s.find(e.NewStatus)
	return known != nil &&
		(known.Renews == RenewsAlways || known.Renews == RenewsUnlessBack && s.place(Level(e.OldStatus)) < 0)
}

// endsCountdown says whether the event is of another signal than an incident that counts down.
func (f *fold) endsCountdown(inc *Incident) bool {
	return signalOf(inc.Event).Counts && inc.Event != f.e.SignalKey()
}

// Says says whether the same is known of what ends as by another look.
func (c *Countdown) Says(known *Countdown) bool {
	return c.Version == known.Version && c.DataAPI == known.DataAPI && c.Ends.Equal(known.Ends) && c.EndsBy == known.EndsBy
}

// redate takes up what is known by now of the version of a flow: which it is, and when it expires. Steps that had come
// by another date are taken back, and what is due by the new one comes by the timers.
func (f *fold) redate(known *Countdown) {
	i := slices.IndexFunc(f.state.Alerts, func(a Alert) bool {
		return a.Active && a.Countdown != nil && f.state.GoesOn(a.Incident)
	})
	if i < 0 {
		f.say("nothing of it is open")
		return
	}
	base := &f.state.Alerts[i]
	c := *base.Countdown
	if c.Says(known) { // looked at twice before the first look was folded
		f.say("it is known already")
		return
	}
	c.Version, c.DataAPI, c.Ends, c.EndsBy = known.Version, known.DataAPI, known.Ends, known.EndsBy
	inc := f.incident(base.Incident)
	c.Steps = slices.Clone(c.Steps)
	for k := range f.state.Alerts {
		a := &f.state.Alerts[k]
		days, ok := a.Level.Threshold()
		if !ok || !a.Active || a.Event != base.Event || c.due(days, f.m.Now) {
			continue
		}
		a.Active, a.Until, a.ClosedBy = false, f.e.At, f.e.Seq
		c.Steps = append(c.Steps, CountdownStep{Days: days, Severity: a.Severity, Routes: a.Routes})
		f.alerts = append(f.alerts, k)
	}
	slices.SortFunc(c.Steps, func(a, b CountdownStep) int { return cmp.Compare(b.Days, a.Days) })
	base.Countdown = &c
	base.Facts = slices.Concat(c.facts(), GraphFacts(base.Facts))
	f.alerts = append(f.alerts, i)
	f.shareFacts(base)

	counting, before := f.counting(inc.Number), slices.Clone(inc.Watch)
	inc.Severity = counting[0].Severity
	inc.say(counting)
	f.watch(inc, counting)
	f.change(inc)
	f.entry(inc, EntryNote, c.sentence())
	f.say("shown on %s", inc.Name())
	f.owe(inc, before)
}
