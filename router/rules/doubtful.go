package rules

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

// Keys of a rule that contradict each other, so that it matches nothing or says what means nothing.

// doubtful warns of what a rule says and can never mean, while it is read.
func (l *loader) doubtful(rule *rule, o object) {
	m := &rule.match
	l.apart(rule, o.path)
	l.severityApart(rule, o.path)
	if !m.mayOpen() {
		for _, key := range []string{"resolve_after", "acknowledged_for", "on_escalation", "on_auto_resolve"} {
			if e, ok := o.at[key]; ok {
				l.Warn(e.At, e.Path, "means nothing here: what the rule matches is told once and opens nothing", "remove it")
			}
		}
		for _, e := range l.calls {
			l.Warn(e.At, e.Path, "means nothing here: what the rule matches opens nothing, and calls nobody", "remove it")
		}
		for _, e := range l.waits {
			l.Warn(e.At, e.Path, "means nothing here: what the rule matches is told once, and at once", "remove it")
		}
	}
	if e, ok := o.at["on_escalation"]; ok && m.mayOpen() && rule.rise == reactPage && len(rule.notify) > 0 &&
		!slices.ContainsFunc(rule.notify, func(to route) bool { return to.target.Kind.Pages() }) {
		l.Warn(e.At, e.Path, "pages nobody: the rule tells no PagerDuty service", "add one to notify, or remove it")
	}
}

// about returns the known events that the rule can be about by its event, its field or its subject; nil where others
// may come too. What nobody knows yet under a known field, or of a known subject, has no keys that these have not.
func (m *match) about() (events []string) {
	switch {
	case m.events.names() != nil:
		if slices.ContainsFunc(m.events.names(), func(event string) bool { return !isKnown(event) }) {
			return nil
		}
		return m.events.names()
	case m.fields.names() != nil:
		known := func(field string) bool { return slices.Contains(knownFields(), field) }
		if slices.ContainsFunc(m.fields.names(), func(field string) bool { return !known(field) }) {
			return nil
		}
		return only(router.KnownEvents(), m.comesUnder)
	case m.subjects.names() != nil:
		return only(router.KnownEvents(), m.hasSubjectOf)
	}
	return nil
}

// only returns those of some events of which something holds.
func only(events []string, holds func(event string) bool) []string {
	return slices.DeleteFunc(slices.Clone(events), func(event string) bool { return !holds(event) })
}

func (m *match) comesUnder(event string) bool { return m.fields.holds(router.FieldOf(event)) }

func (m *match) hasSubjectOf(event string) bool {
	return m.subjects.holds(string(router.SubjectOf(event)))
}

// aboutWords names the first of what the rule can be about.
func (m *match) aboutWords() string {
	switch {
	case m.events.names() != nil:
		return m.events.values[0]
	case m.fields.names() != nil:
		return "the field " + m.fields.values[0]
	}
	return "the subject " + m.subjects.values[0]
}

// apart warns of keys of match of which no event can have all.
func (l *loader) apart(rule *rule, path string) {
	m := &rule.match
	all := m.about()
	if len(all) == 0 {
		return
	}
	never := func(key, problem, hint string) {
		l.WarnAt(rule.places[key], path+".match."+key, problem+", so the rule never matches", hint)
	}
	events := only(all, m.comesUnder)
	if len(events) == 0 {
		never("field", m.aboutWords()+" does not come under this field", "its field is "+router.FieldOf(all[0]))
		return
	}
	of := events[0]
	if events = only(events, m.hasSubjectOf); len(events) == 0 {
		never("subject", m.aboutWords()+" has another subject", "its subject is "+string(router.SubjectOf(of)))
		return
	}
	if m.events.names() == nil {
		l.changeApart(rule, path, events)
	}
	carry := carriers()
	for _, key := range slices.Sorted(maps.Keys(carry)) {
		if _, asks := rule.places[key]; asks && !slices.Contains(m.negated, key) &&
			!slices.ContainsFunc(events, func(event string) bool { return slices.Contains(carry[key], event) }) {
			never(key, m.aboutWords()+" has no "+key, "it is for "+yamldoc.OneOf(carry[key]))
		}
	}
}

// changeApart warns of a change that is one of others than a field or a subject. Fields that nobody knows yet may be
// about the account, with any change.
func (l *loader) changeApart(rule *rule, path string, events []string) {
	m := &rule.match
	known, all := knownChanges(events)
	if !all || len(known) == 0 || m.changes.names() == nil || m.fields.names() == nil &&
		m.subjects.holds(string(router.SubjectAccount)) {
		return
	}
	for _, change := range m.changes.names() {
		if !slices.Contains(known, change) && slices.Contains(allChanges(), change) {
			l.WarnAt(rule.places["change"], path+".match.change", fmt.Sprintf("Meta is not known to send the change %s "+
				"of %s", yamldoc.Quote(change), m.aboutWords()), "known are: "+yamldoc.Shorten(strings.Join(known, ", "), 100))
		}
	}
}

// severityApart warns of severities that no alert has which the rule asks for by event and threshold.
func (l *loader) severityApart(rule *rule, path string) {
	m := &rule.match
	if m.severities == 0 || m.thresholds == nil || m.notBounds || m.events.names() == nil ||
		m.alertState == "" && m.severities.has(router.Info) { // what has no state is info
		return
	}
	var have severitySet
	for _, event := range m.events.names() {
		if router.Thresholds(event) == nil && !isKnown(event) {
			return
		}
		for _, t := range router.Thresholds(event) {
			ev := router.Event{Source: router.SourceMeta, Field: router.FlowsField, Name: event, Threshold: &t,
				AlertState: cmp.Or(m.alertState, router.Activated)}
			if slices.ContainsFunc(m.thresholds, func(b bound) bool { return b.holds(&ev) }) {
				have |= 1 << router.DefaultSeverity(&ev)
			}
		}
	}
	if have != 0 && have&m.severities == 0 {
		l.WarnAt(rule.places["severity"], path+".match.severity", fmt.Sprintf("by itself %s is %s at this threshold, "+
			"so the rule never matches", m.events.values[0], yamldoc.OneOf(have.words())), "leave one of the two out")
	}
}

// neverToldOf warns of entries of notify that the rule's own severity shuts out. Where an earlier rule continues, its
// severity may count.
func (l *loader) neverToldOf() {
	r := l.rules
	said := false
	for i := range r.rules {
		rule := &r.rules[i]
		if !said {
			l.shutOut(rule)
		}
		said = said || rule.proceed && rule.severity.says()
	}
	if r.otherwise != nil {
		l.shutOut(r.otherwise)
	}
}

func (l *loader) shutOut(rule *rule) {
	always := rule.severity.always
	if always == router.SeverityUnset {
		return
	}
	for _, to := range rule.notify {
		if !to.severities.has(always) {
			l.WarnAt(to.at, rule.path+".notify", fmt.Sprintf("%s is never told: it is told of %s, and the rule says "+
				"severity: %s", to.target.Notifier, yamldoc.OneOf(to.severities.words()), always), "change one of the two")
		}
	}
}
