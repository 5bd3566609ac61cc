package rules

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

// checks holds every key of a rule's match against an event, with the matchers that match.holds uses, `when` last.
func (r *Rules) checks(rule *rule, ev *router.Event, f *facts) []Reason {
	m := &rule.match
	c := &checked{rule: rule, ev: ev}
	c.alertState()
	c.event()
	c.texts()
	c.subject()
	c.numbers()
	c.all = append(c.all, r.flowChecks(rule, ev)...)
	if m.errorTypes.asks() {
		c.add("error_type", r.holdsErrorType(&m.errorTypes, ev.Errors), errorTypesOf(ev), m.errorTypes.names()...)
	}
	if m.timed() {
		c.all = append(c.all, timeCheck(rule, ev))
	}
	if m.when != nil && !slices.ContainsFunc(c.all, func(c Reason) bool { return !c.Holds }) {
		c.all = append(c.all, r.whenCheck(rule, ev, f))
	}
	return c.all
}

// checked gathers the reasons of one rule about one event. Each of its methods adds those of some keys, where the rule
// has them.
type checked struct {
	rule *rule
	ev   *router.Event
	all  []Reason
}

// add adds the reason of a key. want is what the rule asks for; none where that cannot be listed.
func (c *checked) add(key string, holds bool, got string, want ...string) {
	text := key + " is " + got
	switch {
	case holds:
	case want == nil:
		text += ", which it does not ask for"
	default:
		text += ", not " + yamldoc.OneOf(want)
	}
	c.all = append(c.all, Reason{Key: key, Place: c.rule.placeOf(key), Holds: holds, Text: text})
}

// fail adds a key that does not hold for a reason of its own.
func (c *checked) fail(key, text string) {
	c.all = append(c.all, Reason{Key: key, Place: c.rule.placeOf(key), Text: text})
}

func (c *checked) alertState() {
	m, ev := &c.rule.match, c.ev
	switch {
	case m.recoveryOnly() && !recovery(ev):
		c.add("alert_state", false, orNothing(ev.AlertState), router.Deactivated)
	case recovery(ev) && !m.asksOf(true):
		text := "a recovery is asked only of rules with alert_state: DEACTIVATED"
		if ev.Change != "" {
			text += ", or with its change"
		}
		c.fail("alert_state", text)
	case m.alertState != "":
		c.add("alert_state", m.alertState == ev.AlertState, orNothing(ev.AlertState), m.alertState)
	}
}

func (c *checked) event() {
	m, ev := &c.rule.match, c.ev
	switch holds := m.holdsEvent(ev); {
	case m.events.names() != nil || m.events.asks() && !holds && !onlyByName(ev.Name):
		c.add("event", holds, orNothing(ev.Name), m.events.names()...)
	case !holds:
		c.fail("event", fmt.Sprintf("only rules that name %s are asked about it", ev.Name))
	}
}

// texts are the keys that are compared with a word of the event as it stands.
func (c *checked) texts() {
	m, ev := &c.rule.match, c.ev
	for _, t := range []struct {
		key  string
		want *wanted
		got  string
	}{
		{"field", &m.fields, ev.Field},
		{"waba", &m.wabas, ev.WABA},
		{"subject", &m.subjects, string(subjectOf(ev))},
		{"change", &m.changes, ev.Change},
		{"old_status", &m.oldStatuses, ev.OldStatus},
		{"new_status", &m.newStatuses, ev.NewStatus},
	} {
		if t.want.asks() {
			c.add(t.key, t.want.holds(t.got), orNothing(t.got), t.want.names()...)
		}
	}
}

// subject is the phone number or the template that the event is about.
func (c *checked) subject() {
	m, ev := &c.rule.match, c.ev
	about := orNothing(cmp.Or(ev.Subject.Name, ev.Subject.ID))
	if kind := subjectOf(ev); kind != router.SubjectPhone && kind != router.SubjectTemplate {
		about = "missing"
	}
	if m.phones.asks() {
		c.add("phone", m.phones.holdsPhone(ev), about, m.phones.names()...)
	}
	if m.templates.asks() {
		c.add("template", m.templates.holdsTemplate(ev), about, m.templates.names()...)
	}
}

// numbers are how bad it is: the severity and the threshold.
func (c *checked) numbers() {
	m, ev := &c.rule.match, c.ev
	if m.severities != 0 {
		severity := router.DefaultSeverity(ev)
		c.add("severity", m.severities.has(severity), severity.String(), m.severities.words()...)
	}
	if m.thresholds == nil {
		return
	}
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
	c.add("threshold", m.holdsThreshold(ev), got, want...)
}

// errorTypesOf lists Meta's error types of an event.
func errorTypesOf(ev *router.Event) string {
	if len(ev.Errors) == 0 {
		return "missing"
	}
	var types []string
	for _, e := range ev.Errors {
		types = append(types, e.Type)
	}
	return yamldoc.Shorten(strings.Join(types, ", "), 100)
}

// flowChecks are those of `flow` and of labels.
func (r *Rules) flowChecks(rule *rule, ev *router.Event) (all []Reason) {
	info := r.info(ev)
	for _, t := range rule.match.flows {
		got := info.Labels[t.key]
		if t.key == "flow" {
			got = ""
			if ev.Flow != "" {
				got = info.DisplayName(ev.Flow)
			}
		}
		c := Reason{Key: t.key, Place: rule.placeOf(t.key), Holds: t.holds(ev.Flow, ev.WABA),
			Text: t.key + " is " + orNothing(got)}
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
	at := ev.At.In(m.zone()).Format("Mon 2006-01-02 15:04 MST")
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

// zone is the one that all windows of a rule are in, else UTC: who reads the hours of a window reads this time beside.
func (m *match) zone() *time.Location {
	all := slices.Concat(m.during, m.except)
	for _, w := range all {
		if w.zone.String() != all[0].zone.String() {
			return time.UTC
		}
	}
	return all[0].zone
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
	case err != nil && router.IsPersonal(ev.Name) && !errors.Is(err, errBudget): // it may quote what somebody wrote
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

// placeOf returns where the first of some keys stands that the rule has, or the rule itself.
func (r *rule) placeOf(keys ...string) Place {
	for _, key := range keys {
		if at, ok := r.places[key]; ok {
			return at
		}
	}
	return r.place
}
