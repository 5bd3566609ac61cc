package rules

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"flowbridge/router"
)

// chatEvents lists the names of events that hold what people write: nobody is offered them, and they are no slips.
func chatEvents() (events []string) {
	for _, field := range router.ChatFields() {
		events = append(events, strings.ToUpper(field))
	}
	return events
}

// knownErrorTypes lists Meta's error types, sorted.
func knownErrorTypes() []string { return slices.Sorted(slices.Values(router.KnownErrorTypes())) }

var flowID = regexp.MustCompile(`^[0-9]+$`)

// match reads what a rule asks of an event.
func (l *loader) match(e entry, places map[string]Place) (m match) {
	entries, ok := l.mapping(e.value, e.path)
	if !ok {
		return m
	}
	labels := table{matchKeys.where, slices.Clone(matchKeys.keys)}
	for _, label := range l.rules.labels {
		labels.keys = append(labels.keys, key{name: label})
	}
	if l.partial { // labels may stand where nothing could be read
		entries = slices.DeleteFunc(entries, func(k entry) bool { return !labels.has(k.key) })
	}
	o := l.known(entries, e.value, e.path, &labels)
	for name, k := range o.at {
		places[name] = l.place(k.at)
	}
	for _, k := range []struct {
		key  string
		read func(entry)
	}{
		{"event", func(k entry) { m.events = l.eventNames(k) }},
		{"field", func(k entry) {
			m.fields = l.texts(k, slices.Concat(router.AccountFields(), router.ChatFields(), []string{router.FlowsField, router.MessagesField}))
		}},
		{"threshold", func(k entry) { m.thresholds = l.thresholds(k, m.events) }},
		{"alert_state", func(k entry) { m.alertState = l.alertState(k) }},
		{"flow", func(k entry) { m.flows = append(m.flows, l.flowTest(k)) }},
		{"waba", func(k entry) { m.wabas = l.texts(k, nil) }},
		{"old_status", func(k entry) { m.oldStatuses = l.texts(k, router.Statuses()) }},
		{"new_status", func(k entry) { m.newStatuses = l.texts(k, router.Statuses()) }},
		{"error_type", func(k entry) { m.errorTypes = l.errorTypeNames(k) }},
		{"when", func(k entry) { m.when = l.whenOf(k) }},
	} {
		if e, ok := o.at[k.key]; ok {
			k.read(e)
		}
	}
	for _, label := range l.rules.labels {
		if k, ok := o.at[label]; ok {
			m.flows = append(m.flows, l.labelTest(k))
		}
	}
	m.ids = m.flowIDs()
	if len(m.flows) > 1 && len(m.ids) == 0 {
		l.wrong(e.at, e.path, "no flow is all of this at once, so the rule can never match", "")
	}
	return m
}

// saidByPeople are events that rules are not asked about.
var saidByPeople = [...]string{
	router.Acknowledge, router.Unacknowledge, router.Resolve, router.Reopen, router.PageNow, router.Assign, router.Note,
	router.LinkIncident, router.AddSilence, router.EndSilence,
}

func (l *loader) eventNames(e entry) (names []string) {
	all, _ := l.scalars(e.value, e.path)
	for _, s := range all {
		names = append(names, s.text)
		if slices.Contains(saidByPeople[:], s.text) {
			l.wrong(s.Node, s.path, "rules are not asked about "+s.written()+": a person says it, or a service", "")
		}
		l.misspelt(s, "event", append(router.KnownEvents(), chatEvents()...))
	}
	return names
}

// texts reads texts that Meta chooses. What nobody knows may exist; what is nearly known is misspelt.
func (l *loader) texts(e entry, known []string) (names []string) {
	all, _ := l.scalars(e.value, e.path)
	for _, s := range all {
		names = append(names, s.text)
		l.misspelt(s, strings.ReplaceAll(e.key, "_", " "), known)
	}
	return names
}

// oneWord reports a word that is none of those that are known.
func (l *loader) oneWord(s scalar, problem string, known []string) {
	if !slices.Contains(known, s.text) {
		l.wrong(s.Node, s.path, problem, cmp.Or(didYouMean(s.text, known), "it is "+oneOf(known)))
	}
}

func (l *loader) misspelt(s scalar, what string, known []string) {
	if near, ok := nearMiss(s.text, known); ok {
		l.wrong(s.Node, s.path, fmt.Sprintf("there is no %s %s", what, s.written()), fmt.Sprintf("did you mean %s?", quote(near)))
	}
}

// alertState reads ACTIVATED or DEACTIVATED. To name both is to name none.
func (l *loader) alertState(e entry) string {
	known := []string{router.Activated, router.Deactivated}
	named := map[string]bool{}
	all, _ := l.scalars(e.value, e.path)
	for _, s := range all {
		named[s.text] = true
		l.oneWord(s, "there is no alert state "+s.written(), known)
	}
	switch {
	case named[router.Activated] && named[router.Deactivated]:
		return ""
	case named[router.Deactivated]:
		return router.Deactivated
	case named[router.Activated]:
		return router.Activated
	}
	return ""
}

func (l *loader) thresholds(e entry, events []string) (bounds []bound) {
	all, _ := l.scalars(e.value, e.path)
	for _, s := range all {
		b, ok := parseBound(s.text)
		switch {
		case !ok:
			l.wrong(s.Node, s.path, s.written()+" is no threshold", boundHint)
		case events != nil && !slices.ContainsFunc(events, b.fits):
			unit := router.UnitOf(events[0])
			l.wrong(s.Node, s.path, fmt.Sprintf("%s never holds: %s is measured in %s", s.written(), events[0], unit), "")
		default:
			l.neverSent(s.Node, s.path, s.written(), b, events)
		}
		bounds = append(bounds, b)
	}
	return bounds
}

// flowIndex finds flows by what the files say of them: a label and its value, or the name of a flow.
type flowIndex map[string]map[string]map[string]bool // ids by value by label; the name is label ""

// indexFlows makes the index once all flows are read: many rules may ask for one team.
func (l *loader) indexFlows() {
	l.flowsBy = flowIndex{}
	for id, info := range l.rules.flows {
		l.flowsBy.add("", info.FlowName, id)
		for label, value := range info.Labels {
			l.flowsBy.add(label, value, id)
		}
	}
}

func (x flowIndex) add(label, value, id string) {
	if value == "" {
		return
	}
	if x[label] == nil {
		x[label] = map[string]map[string]bool{}
	}
	if x[label][value] == nil {
		x[label][value] = map[string]bool{}
	}
	x[label][value][id] = true
}

// values returns the values that flows have of a label, sorted.
func (x flowIndex) values(label string) []string { return slices.Sorted(maps.Keys(x[label])) }

// flowTest reads flows by id or name. A name stands for all flows that have it.
func (l *loader) flowTest(e entry) flowTest {
	t := flowTest{key: e.key, ids: map[string]bool{}}
	all, _ := l.scalars(e.value, e.path)
	for _, s := range all {
		_, found := l.rules.flows[s.text]
		if found = found || flowID.MatchString(s.text); found {
			t.ids[s.text] = true
		}
		named := l.flowsBy[""][s.text]
		maps.Copy(t.ids, named)
		if !found && named == nil {
			l.noSuch(s.Node, s.path, "no flow is called "+s.written(), cmp.Or(didYouMean(s.text, l.flowsBy.values("")), "name it under flows, or write its id"))
		}
	}
	return t
}

// labelTest reads values of a label that some flow has, and finds the flows that have them.
func (l *loader) labelTest(e entry) flowTest {
	t := flowTest{key: e.key, ids: map[string]bool{}}
	all, _ := l.scalars(e.value, e.path)
	for _, s := range all {
		ids := l.flowsBy[e.key][s.text]
		maps.Copy(t.ids, ids)
		if ids == nil {
			values := l.flowsBy.values(e.key)
			l.noSuch(s.Node, s.path, fmt.Sprintf("no flow has %s %s", e.key, s.written()),
				cmp.Or(didYouMean(s.text, values), "flows have "+shorten(strings.Join(values, ", "), 100)))
		}
	}
	return t
}

// errorTypeNames reads error types in any of their spellings.
func (l *loader) errorTypeNames(e entry) (types []string) {
	all, _ := l.scalars(e.value, e.path)
	for _, s := range all {
		types = append(types, router.NormalErrorType(s.text))
		if _, known := router.DescribeError(s.text); !known {
			l.misspelt(s, "error type", knownErrorTypes())
		}
	}
	return types
}
