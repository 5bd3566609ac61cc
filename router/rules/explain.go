package rules

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

// Explanation says what the rules make of an event, and why. What it decides is what Decide decides.
type Explanation struct {
	Decision router.Decision
	Rules    []Asked // every rule, in the order of the file; `default` last, where there is one
	Routes   []Told  // every entry of notify of the rules that spoke, in their order
}

// Asked is what came of one rule.
type Asked struct {
	Rule    string
	Place   Place
	Matched bool
	Perhaps bool     // it matched, as far as is known without the time: see Decide
	Skipped string   // why it was not asked; "" if it was
	Decided []Reason // of a rule that matched every key; else the first that does not hold
}

// Reason is one key of a match, held against an event.
type Reason struct {
	Key   string // as it stands in the file: "event", "team", "when"
	Place Place
	Holds bool
	Text  string // a sentence for people, without what somebody wrote into a form
}

// Told is one entry of notify, held against what was decided.
type Told struct {
	Rule     string
	Place    Place
	Notifier string
	Kind     router.Kind
	Tells    bool
	Why      string // why it does not tell
	When     string // "at once", or what it waits for
}

// Explain asks every rule about an event, as Decide does, and keeps the reasons.
func (r *Rules) Explain(ev *router.Event) Explanation {
	x := Explanation{Decision: r.Decide(ev)}
	var spoke []*rule
	ended, sure := false, false
	asked := &facts{of: map[string]any{}, left: eventBudget}
	for i := range r.rules {
		rule := &r.rules[i]
		a := Asked{Rule: rule.name, Place: rule.place}
		if ended {
			a.Skipped = "the search has ended"
			x.Rules = append(x.Rules, a)
			continue
		}
		a.Decided = r.checks(rule, ev, asked)
		if i := slices.IndexFunc(a.Decided, func(c Reason) bool { return !c.Holds }); i >= 0 {
			a.Decided = a.Decided[i : i+1]
		} else if r.decidesOn(ev) {
			a.Matched, a.Perhaps = true, rule.match.perhaps(ev)
			sure = sure || !a.Perhaps
			spoke = append(spoke, rule)
			if !rule.proceed && !a.Perhaps {
				ended = true
			}
		} else {
			a.Skipped = "rules do not decide about it"
		}
		x.Rules = append(x.Rules, a)
	}
	if r.otherwise != nil {
		a := Asked{Rule: defaultName, Place: r.otherwise.place, Skipped: r.whyNoDefault(ev, sure)}
		if a.Matched = a.Skipped == ""; a.Matched {
			spoke = append(spoke, r.otherwise)
		}
		x.Rules = append(x.Rules, a)
	}
	x.Routes = explainRoutes(&x.Decision, spoke)
	return x
}

// decidesOn says whether rules are asked about an event at all: Meta's, and trouble of the bridge's own.
func (r *Rules) decidesOn(ev *router.Event) bool {
	return ev.OfMeta() || ev.ForFallback()
}

// whyNoDefault says why `default` does not speak; "" if it does.
func (r *Rules) whyNoDefault(ev *router.Event, matched bool) string {
	switch {
	case matched:
		return "a rule matched"
	case !r.decidesOn(ev):
		return "rules do not decide about it"
	case recovery(ev):
		return "a recovery that no rule names tells only those who were told of the trouble"
	case router.IsPersonal(ev.Name):
		return "what people wrote is told only where a rule names " + ev.Name
	case ev.ForFallback() && router.IsWatched(ev.Name):
		return "trouble of the bridge's own goes to those of watch, or else to fallback"
	case ev.ForFallback():
		return "trouble of the bridge's own goes to fallback"
	}
	return ""
}

// explainRoutes holds every entry of notify of the rules that spoke against the decision.
func explainRoutes(d *router.Decision, spoke []*rule) (all []Told) {
	seen := map[string]bool{}
	for _, rule := range spoke {
		for _, route := range rule.notify {
			t := Told{Rule: rule.name, Place: route.at, Notifier: route.target.Notifier, Kind: route.target.Kind}
			final := slices.IndexFunc(d.Notify, func(r router.Route) bool { return r.Notifier == t.Notifier })
			switch {
			case !route.severities.has(d.Severity):
				t.Why = fmt.Sprintf("the severity is %s, and it is told of %s", d.Severity, route.severities)
			case final < 0:
				t.Why = "it is what could not be told"
			case seen[t.Notifier]:
				t.Why = "named above already"
			default:
				t.Tells, t.When = true, explainWhen(d.Notify[final])
				seen[t.Notifier] = true
			}
			all = append(all, t)
		}
	}
	for _, route := range d.Notify { // by nobody's rule: the fallback
		if !seen[route.Notifier] {
			all = append(all, Told{Rule: "fallback", Notifier: route.Notifier, Kind: route.Kind, Tells: true,
				When: explainWhen(route)})
		}
	}
	return all
}

func explainWhen(r router.Route) string {
	when := "at once"
	if r.After > 0 {
		when = fmt.Sprintf("after %s, if it is still open then", router.FormatDuration(r.After))
	}
	if r.UnlessAcknowledged {
		when += ", unless somebody has acknowledged it"
	}
	if len(r.Mention) > 0 {
		when += ", and calls " + strings.Join(r.Mention, ", ")
	}
	if r.Remind > 0 {
		when += ", and again every " + router.FormatDuration(r.Remind) + " while nobody has it"
	}
	return when
}

// String lists the severities of a set.
func (s severitySet) String() string { return strings.Join(s.words(), ", ") }

func (s severitySet) words() (words []string) {
	for severity := router.Info; severity <= router.Critical; severity++ {
		if s.has(severity) {
			words = append(words, severity.String())
		}
	}
	return words
}

// checks holds every key of a rule's match against an event, with the matchers that match.holds uses, `when` last.
func (r *Rules) checks(rule *rule, ev *router.Event, f *facts) (all []Reason) {
	m := &rule.match
	add := func(key string, holds bool, got string, want ...string) {
		c := Reason{Key: key, Place: rule.placeOf(key), Holds: holds}
		switch {
		case holds:
			c.Text = key + " is " + got
		case want == nil:
			c.Text = fmt.Sprintf("%s is %s, which it does not ask for", key, got)
		default:
			c.Text = fmt.Sprintf("%s is %s, not %s", key, got, yamldoc.OneOf(want))
		}
		all = append(all, c)
	}
	switch {
	case m.recoveryOnly() && !recovery(ev):
		add("alert_state", false, orNothing(ev.AlertState), router.Deactivated)
	case recovery(ev) && !m.asksOf(true):
		c := Reason{Key: "alert_state", Place: rule.placeOf("alert_state"),
			Text: "a recovery is asked only of rules with alert_state: DEACTIVATED"}
		if ev.Change != "" {
			c.Text += ", or with its change"
		}
		all = append(all, c)
	case m.alertState != "":
		add("alert_state", m.alertState == ev.AlertState, orNothing(ev.AlertState), m.alertState)
	}
	switch holds := m.holdsEvent(ev); {
	case m.events.names() != nil || m.events.asks() && !holds && !onlyByName(ev.Name):
		add("event", holds, orNothing(ev.Name), m.events.names()...)
	case !holds:
		all = append(all, Reason{Key: "event", Place: rule.placeOf("event"),
			Text: fmt.Sprintf("only rules that name %s are asked about it", ev.Name)})
	}
	texts := []struct {
		key  string
		want *wanted
		got  string
	}{
		{"field", &m.fields, ev.Field}, {"waba", &m.wabas, ev.WABA}, {"subject", &m.subjects, string(subjectOf(ev))},
		{"change", &m.changes, ev.Change},
		{"old_status", &m.oldStatuses, ev.OldStatus}, {"new_status", &m.newStatuses, ev.NewStatus},
	}
	for _, t := range texts {
		if t.want.asks() {
			add(t.key, t.want.holds(t.got), orNothing(t.got), t.want.names()...)
		}
	}
	about := orNothing(cmp.Or(ev.Subject.Name, ev.Subject.ID))
	if kind := subjectOf(ev); kind != router.SubjectPhone && kind != router.SubjectTemplate {
		about = "missing"
	}
	if m.phones.asks() {
		add("phone", m.phones.holdsPhone(ev), about, m.phones.names()...)
	}
	if m.templates.asks() {
		add("template", m.templates.holdsTemplate(ev), about, m.templates.names()...)
	}
	if m.severities != 0 {
		severity := router.DefaultSeverity(ev)
		add("severity", m.severities.has(severity), severity.String(), m.severities.words()...)
	}
	if m.thresholds != nil {
		got := "missing"
		if ev.Threshold != nil {
			got = router.FormatValue(ev.Name, *ev.Threshold)
		}
		var want []string
		for _, b := range m.thresholds {
			if !m.notBounds {
				want = append(want, b.String())
			}
		}
		add("threshold", m.holdsThreshold(ev), got, want...)
	}
	all = append(all, r.flowChecks(rule, ev)...)
	if m.errorTypes.asks() {
		got := "missing"
		if len(ev.Errors) > 0 {
			var types []string
			for _, e := range ev.Errors {
				types = append(types, e.Type)
			}
			got = yamldoc.Shorten(strings.Join(types, ", "), 100)
		}
		add("error_type", r.holdsErrorType(&m.errorTypes, ev.Errors), got, m.errorTypes.names()...)
	}
	if m.timed() {
		all = append(all, timeCheck(rule, ev))
	}
	if m.when != nil && !slices.ContainsFunc(all, func(c Reason) bool { return !c.Holds }) {
		all = append(all, r.whenCheck(rule, ev, f))
	}
	return all
}

// flowChecks are those of `flow` and of labels.
func (r *Rules) flowChecks(rule *rule, ev *router.Event) (all []Reason) {
	info := r.info(ev)
	for _, t := range rule.match.flows {
		got := info.Labels[t.key]
		if t.key == "flow" {
			got = info.DisplayName(ev.Flow)
		}
		c := Reason{Key: t.key, Place: rule.placeOf(t.key), Holds: t.holds(ev.Flow, ev.WABA), Text: t.key + " is " +
			orNothing(got)}
		if !c.Holds {
			c.Text += ", which it does not ask for"
		}
		all = append(all, c)
	}
	return all
}

// timeCheck is that of `during` and `except`.
func timeCheck(rule *rule, ev *router.Event) Reason {
	m := &rule.match
	c := Reason{Key: "during", Place: rule.placeOf("during", "except"), Holds: m.holdsTime(ev)}
	if m.during == nil {
		c.Key = "except"
	}
	if ev.At.IsZero() {
		c.Text = "the time is not known, so any window may hold"
		return c
	}
	inside := func(all []*window) (names []string) {
		for _, w := range all {
			if w.holds(ev.At) {
				names = append(names, w.name)
			}
		}
		return names
	}
	at := ev.At.UTC().Format("Mon 2006-01-02 15:04 UTC")
	switch out, in := inside(m.except), inside(m.during); {
	case len(out) > 0:
		c.Key, c.Place = "except", rule.placeOf("except")
		c.Text = fmt.Sprintf("%s is in %s", at, strings.Join(out, ", "))
	case len(in) > 0:
		c.Text = fmt.Sprintf("%s is in %s", at, strings.Join(in, ", "))
	case m.during != nil:
		c.Text = at + " is in no window of during"
	default:
		c.Text = at + " is in no window of except"
	}
	return c
}

// whenCheck asks a rule's expression, and shows the numbers and words that it goes by. Nothing of a form is shown.
func (r *Rules) whenCheck(rule *rule, ev *router.Event, f *facts) Reason {
	c := Reason{Key: "when", Place: rule.placeOf("when")}
	holds, err := r.askWhen(rule.match.when, ev, f)
	var known []string
	for _, name := range rule.match.when.names {
		switch v := f.of[name].(type) {
		case float64:
			known = append(known, fmt.Sprintf("%s is %v", name, orMissing(v)))
		case string:
			known = append(known, fmt.Sprintf("%s is %s", name, orNothing(yamldoc.OneLine(v, 60))))
		}
	}
	c.Holds = err == nil && holds
	switch {
	case err != nil && router.IsPersonal(ev.Name) && !errors.Is(err, errBudget): // the error may quote what somebody wrote
		c.Text = "when failed on this response"
	case err != nil:
		c.Text = "when failed: " + yamldoc.OneLine(err.Error(), 120)
	case c.Holds:
		c.Text = "when is true"
	default:
		c.Text = "when is false"
	}
	if len(known) > 0 && !router.IsPersonal(ev.Name) {
		c.Text += ": " + strings.Join(known, ", ")
	}
	return c
}

func orMissing(v float64) any {
	if v != v {
		return "missing"
	}
	return v
}

func orNothing(s string) string {
	if s == "" {
		return "missing"
	}
	return s
}

// String writes a bound as it can stand in a rules file.
func (b bound) String() string {
	switch b.unit {
	case router.Percent:
		return fmt.Sprintf("%s%v%%", b.op, b.value)
	case router.Millis:
		return fmt.Sprintf("%s%s", b.op, strings.ReplaceAll(b.unit.Format(b.value), " ", ""))
	}
	return fmt.Sprintf("%s%v", b.op, b.value)
}

// placeOf returns where the first of some keys stands that the rule has, or the rule itself.
func (r *rule) placeOf(keys ...string) Place {
	for _, key := range keys {
		if at, ok := r.places[key]; ok {
			return at
		}
	}
	return r.place
}
