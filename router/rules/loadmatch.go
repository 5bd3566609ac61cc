package rules

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
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
	entries, ok := l.Mapping(e.Value, e.Path)
	if !ok {
		return m
	}
	labels := table{matchKeys.where, slices.Clone(matchKeys.keys)}
	for _, label := range l.rules.labels {
		labels.keys = append(labels.keys, key{name: label})
	}
	if l.Partial() { // labels may stand where nothing could be read
		entries = slices.DeleteFunc(entries, func(k entry) bool { return !labels.has(k.Key) })
	}
	o := l.known(entries, e.Value, e.Path, &labels)
	for name, k := range o.at {
		places[name] = l.Place(k.At)
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
		l.Wrong(e.At, e.Path, "no flow is all of this at once, so the rule can never match", "")
	}
	return m
}

// saidByPeople are events that rules are not asked about.
var saidByPeople = [...]string{
	router.Acknowledge, router.Unacknowledge, router.Resolve, router.Reopen, router.PageNow, router.Assign, router.Note,
	router.LinkIncident, router.AddSilence, router.EndSilence,
}

func (l *loader) eventNames(e entry) (names []string) {
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		names = append(names, s.Text)
		if slices.Contains(saidByPeople[:], s.Text) {
			l.Wrong(s.Node, s.Path, "rules are not asked about "+s.Written()+": a person says it, or a service", "")
		}
		l.misspelt(s, "event", append(router.KnownEvents(), chatEvents()...))
	}
	return names
}

// texts reads texts that Meta chooses. What nobody knows may exist; what is nearly known is misspelt.
func (l *loader) texts(e entry, known []string) (names []string) {
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		names = append(names, s.Text)
		l.misspelt(s, strings.ReplaceAll(e.Key, "_", " "), known)
	}
	return names
}

// oneWord reports a word that is none of those that are known.
func (l *loader) oneWord(s scalar, problem string, known []string) {
	if !slices.Contains(known, s.Text) {
		l.Wrong(s.Node, s.Path, problem, cmp.Or(yamldoc.DidYouMean(s.Text, known), "it is "+yamldoc.OneOf(known)))
	}
}

func (l *loader) misspelt(s scalar, what string, known []string) {
	if near, ok := yamldoc.NearMiss(s.Text, known); ok {
		l.Wrong(s.Node, s.Path, fmt.Sprintf("there is no %s %s", what, s.Written()), fmt.Sprintf("did you mean %s?", yamldoc.Quote(near)))
	}
}

// alertState reads ACTIVATED or DEACTIVATED. To name both is to name none.
func (l *loader) alertState(e entry) string {
	known := []string{router.Activated, router.Deactivated}
	named := map[string]bool{}
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		named[s.Text] = true
		l.oneWord(s, "there is no alert state "+s.Written(), known)
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
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		b, ok := parseBound(s.Text)
		switch {
		case !ok:
			l.Wrong(s.Node, s.Path, s.Written()+" is no threshold", boundHint)
		case events != nil && !slices.ContainsFunc(events, b.fits):
			unit := router.UnitOf(events[0])
			l.Wrong(s.Node, s.Path, fmt.Sprintf("%s never holds: %s is measured in %s", s.Written(), events[0], unit), "")
		default:
			l.neverSent(s.Node, s.Path, s.Written(), b, events)
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
	t := flowTest{key: e.Key, ids: map[string]bool{}}
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		_, found := l.rules.flows[s.Text]
		if found = found || flowID.MatchString(s.Text); found {
			t.ids[s.Text] = true
		}
		named := l.flowsBy[""][s.Text]
		maps.Copy(t.ids, named)
		if !found && named == nil {
			l.NoSuch(s.Node, s.Path, "no flow is called "+s.Written(), cmp.Or(yamldoc.DidYouMean(s.Text, l.flowsBy.values("")), "name it under flows, or write its id"))
		}
	}
	return t
}

// labelTest reads values of a label that some flow has, and finds the flows that have them.
func (l *loader) labelTest(e entry) flowTest {
	t := flowTest{key: e.Key, ids: map[string]bool{}}
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		ids := l.flowsBy[e.Key][s.Text]
		maps.Copy(t.ids, ids)
		if ids == nil {
			values := l.flowsBy.values(e.Key)
			l.NoSuch(s.Node, s.Path, fmt.Sprintf("no flow has %s %s", e.Key, s.Written()),
				cmp.Or(yamldoc.DidYouMean(s.Text, values), "flows have "+yamldoc.Shorten(strings.Join(values, ", "), 100)))
		}
	}
	return t
}

// errorTypeNames reads error types in any of their spellings.
func (l *loader) errorTypeNames(e entry) (types []string) {
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		types = append(types, router.NormalErrorType(s.Text))
		if _, known := router.DescribeError(s.Text); !known {
			l.misspelt(s, "error type", knownErrorTypes())
		}
	}
	return types
}
