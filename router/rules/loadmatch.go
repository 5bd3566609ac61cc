package rules

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

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

// knownFields lists the fields of an account that are known, those that hold what people write last.
func knownFields() []string {
	return append(router.AccountFields(), router.FlowsField, router.MessagesField)
}

// knownChanges lists Meta's words for what happens under some events, nil for any; ok is false where others may exist.
func knownChanges(events []string) (words []string, ok bool) {
	if ok = true; events == nil {
		events = router.KnownEvents()
	}
	for _, event := range events {
		c, known := router.ChangesOf(event)
		words = slices.Concat(words, c.Opens, c.Ends, c.News)
		ok = ok && !c.Any && (known || slices.Contains(router.KnownEvents(), event))
	}
	slices.Sort(words)
	return slices.Compact(words), ok
}

// allChanges lists Meta's words for what happens, of every event.
func allChanges() []string {
	words, _ := knownChanges(nil)
	return words
}

// subjectKinds are the words of `subject`.
func subjectKinds() []string {
	return []string{
		string(router.SubjectFlow), string(router.SubjectAccount), string(router.SubjectPhone),
		string(router.SubjectTemplate),
		string(router.SubjectEntity), string(router.SubjectPayment),
	}
}

// metaID is the form of the ids of flows and accounts.
var metaID = regexp.MustCompile(`^[0-9]+$`)

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
		read func(e entry, not bool)
	}{
		{"event", func(k entry, not bool) { m.events = wanted{l.eventNames(k), not} }},
		{"field", func(k entry, not bool) { m.fields = wanted{l.fieldsOfMeta(k), not} }},
		{"threshold", func(k entry, not bool) { m.thresholds, m.notBounds = l.thresholds(k, m.events.names()), not }},
		{"alert_state", func(k entry, not bool) { m.alertState = l.alertState(k, not) }},
		{"flow", func(k entry, not bool) { m.flows = append(m.flows, l.flowTest(k, not)) }},
		{"waba", func(k entry, not bool) { m.wabas = wanted{l.accountIDs(k), not} }},
		{"subject", func(k entry, not bool) { m.subjects = wanted{l.subjects(k), not} }},
		{"change", func(k entry, not bool) { m.changes = wanted{l.changes(k, m.events.names()), not} }},
		{"phone", func(k entry, not bool) { m.phones = wanted{l.phones(k), not} }},
		{"template", func(k entry, not bool) { m.templates = wanted{l.texts(k, nil), not} }},
		{"severity", func(k entry, not bool) { m.severities = l.asksSeverity(k, not) }},
		{"old_status", func(k entry, not bool) { m.oldStatuses = wanted{l.texts(k, router.Statuses()), not} }},
		{"new_status", func(k entry, not bool) { m.newStatuses = wanted{l.texts(k, router.Statuses()), not} }},
		{"error_type", func(k entry, not bool) { m.errorTypes = wanted{l.errorTypeNames(k), not} }},
	} {
		if e, ok := o.at[k.key]; ok {
			if e, not, ok := l.negated(e); ok {
				k.read(e, not)
				if not {
					m.negated = append(m.negated, k.key)
				}
			}
		}
	}
	if e, ok := o.at["when"]; ok {
		m.when = l.whenOf(e, m.events.names())
	}
	for _, label := range l.rules.labels {
		if k, ok := o.at[label]; ok {
			if k, not, ok := l.negated(k); ok {
				m.flows = append(m.flows, l.labelTest(k, not))
			}
		}
	}
	m.ids = m.flowIDs()
	if len(m.flows) > 1 && m.ids != nil && len(m.ids) == 0 {
		l.Wrong(e.At, e.Path, "no flow is all of this at once, so the rule can never match", "")
	}
	return m
}

// negated reads {not: value or list}, and returns what stands there. Whatever else a key has is returned as it is.
func (l *loader) negated(e entry) (inner entry, not, ok bool) {
	if yamldoc.Follow(e.Value).Kind != yaml.MappingNode {
		return e, false, true
	}
	o, ok := l.object(e.Value, e.Path, &notKeys)
	if !ok {
		return e, false, false
	}
	inner, ok = o.at["not"]
	if !ok && !o.has("not") {
		l.Absent(yamldoc.Follow(e.Value), e.Path, "must be a value, a list, or {not: value or list}", "")
	}
	inner.Key = e.Key
	return inner, true, ok
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
		if !l.misspelt(s, "event", append(router.KnownEvents(), chatEvents()...)) &&
			!slices.Contains(saidByPeople[:], s.Text) &&
			router.ChatField(s.Text) == "" {
			l.unheardOf(s, "event", router.KnownEvents())
		}
	}
	return names
}

// texts reads texts that Meta chooses. What nobody knows may exist; what is nearly known is misspelt.
func (l *loader) texts(e entry, known []string) (names []string) {
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		names = append(names, s.Text)
		if what := strings.ReplaceAll(e.Key, "_", " "); !l.misspelt(s, what, known) {
			l.unheardOf(s, what, known)
		}
	}
	return names
}

// fieldsOfMeta reads fields of the account.
func (l *loader) fieldsOfMeta(e entry) (names []string) {
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		names = append(names, s.Text)
		if !l.misspelt(s, "field", append(knownFields(), router.ChatFields()...)) && router.ChatField(s.Text) == "" {
			l.unheardOf(s, "field", knownFields())
		}
	}
	return names
}

// unheardOf warns of a name that Meta is not known to send. It may be a new one, so that the rules are read all the
// same. Where nothing is known, nothing is said.
func (l *loader) unheardOf(s scalar, what string, known []string) {
	if len(known) == 0 || slices.Contains(known, s.Text) || s.Guarded() {
		return
	}
	hint := "known are: " + yamldoc.Shorten(strings.Join(known, ", "), 100)
	if near := closest(s.Text, known); near != "" {
		hint = fmt.Sprintf("did you mean %s?", yamldoc.Quote(near))
	}
	l.Warn(s.Node, s.Path, fmt.Sprintf("Meta is not known to send the %s %s", what, s.Written()), hint)
}

// closest returns the known word that somebody most likely meant, or "": one that is nearly the same, that is longer,
// or that shares most of its parts.
func closest(word string, known []string) (best string) {
	parts := func(s string) []string {
		return strings.FieldsFunc(strings.ToLower(s), func(c rune) bool { return c == '_' || c == '-' || c == ' ' })
	}
	own, most := parts(word), 0
	for _, k := range known {
		theirs := parts(k)
		shared := 0
		for _, part := range own {
			alike := func(p string) bool {
				return p == part || len(p) > 3 && strings.HasPrefix(part, p) || len(part) > 3 && strings.HasPrefix(p, part)
			}
			if slices.ContainsFunc(theirs, alike) {
				shared++
			}
		}
		if shared > 1 && 2*shared >= max(len(own), len(theirs)) && 2*shared*10-len(theirs) > most {
			best, most = k, 2*shared*10-len(theirs)
		}
	}
	if near, ok := yamldoc.NearMiss(word, known); ok {
		return near
	}
	if near := yamldoc.Nearest(word, known); strings.HasPrefix(strings.ToLower(near), strings.ToLower(word)) {
		return near
	}
	return best
}

// subjects reads kinds of subjects.
func (l *loader) subjects(e entry) (kinds []string) {
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		kinds = append(kinds, s.Text)
		l.oneWord(s, "there is no subject "+s.Written(), subjectKinds())
	}
	return kinds
}

// phones reads telephone numbers, however they are written.
func (l *loader) phones(e entry) (numbers []string) {
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		numbers = append(numbers, s.Text)
		if _, err := router.NewPerson(s.Text, ""); err != nil {
			l.Wrong(s.Node, s.Path, s.Written()+" is no telephone number: "+err.Error(), "")
		}
	}
	return numbers
}

// plainChange is the form of nearly all words for changes. Where an event has other words they are free texts.
var plainChange = regexp.MustCompile(`^[A-Z_]+$`)

// changes reads Meta's words for what happened. events are those of the rule; nil for any.
func (l *loader) changes(e entry, events []string) (words []string) {
	known, all := knownChanges(events)
	scalars, _ := l.Scalars(e.Value, e.Path)
	for _, s := range scalars {
		words = append(words, s.Text)
		near, nearly := yamldoc.NearMiss(s.Text, known)
		switch {
		case s.Guarded():
		case nearly:
			l.Warn(s.Node, s.Path, "Meta is not known to send the change "+s.Written(),
				fmt.Sprintf("did you mean %s?", yamldoc.Quote(near)))
		case all || events == nil && plainChange.MatchString(s.Text):
			l.unheardOf(s, "change", known)
		}
	}
	return words
}

// asksSeverity reads severities. What is asked for is the severity that an event has by its signal and its level.
func (l *loader) asksSeverity(e entry, not bool) severitySet {
	set := l.severitySet(e)
	if !not || set == 0 {
		return set
	}
	if set = allSeverities &^ set; set == 0 {
		l.Wrong(yamldoc.Follow(e.Value), e.Path, "leaves no severity, so the rule can never match", "")
	}
	return set
}

// accountIDs reads accounts by id, or by the name that they have under accounts. A name stands for all that have it.
func (l *loader) accountIDs(e entry) (ids []string) {
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		named := slices.Sorted(maps.Keys(l.accountsBy[""][s.Text]))
		ids = append(ids, named...)
		if metaID.MatchString(s.Text) {
			ids = append(ids, s.Text)
		} else if named == nil {
			l.NoSuch(s.Node, s.Path, "no account is called "+s.Written(),
				cmp.Or(yamldoc.DidYouMean(s.Text, l.accountsBy.values("")), "name it under accounts, or write its id"))
		}
	}
	if ids == nil {
		ids = []string{}
	}
	return ids
}

// oneWord reports a word that is none of those that are known.
func (l *loader) oneWord(s scalar, problem string, known []string) {
	if !slices.Contains(known, s.Text) {
		l.Wrong(s.Node, s.Path, problem, cmp.Or(yamldoc.DidYouMean(s.Text, known), "it is "+yamldoc.OneOf(known)))
	}
}

func (l *loader) misspelt(s scalar, what string, known []string) bool {
	near, ok := yamldoc.NearMiss(s.Text, known)
	if ok {
		l.Wrong(s.Node, s.Path, fmt.Sprintf("there is no %s %s", what, s.Written()),
			fmt.Sprintf("did you mean %s?", yamldoc.Quote(near)))
	}
	return ok
}

// alertState reads ACTIVATED or DEACTIVATED. To name both is to name none, and what is not the one is the other.
func (l *loader) alertState(e entry, not bool) string {
	known := []string{router.Activated, router.Deactivated}
	named := map[string]bool{}
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		named[s.Text] = true
		l.oneWord(s, "there is no alert state "+s.Written(), known)
	}
	switch {
	case named[router.Activated] && named[router.Deactivated]:
		if not {
			l.Wrong(yamldoc.Follow(e.Value), e.Path, "leaves no alert state, so the rule can never match", "")
		}
		return ""
	case not && named[router.Activated]:
		return router.Deactivated
	case not:
		return "" // a rule that names no state is not asked about recoveries
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
			if b.unit == router.NoUnit { // of days, which this release began to count
				l.Warn(s.Node, s.Path, fmt.Sprintf("%s never holds: %s is measured in %s", s.Written(), events[0], unit),
					fmt.Sprintf("did you mean %s?", yamldoc.Quote(strings.TrimSpace(s.Text)+"d")))
				break
			}
			l.Wrong(s.Node, s.Path, fmt.Sprintf("%s never holds: %s is measured in %s", s.Written(), events[0], unit), "")
		default:
			l.neverSent(s.Node, s.Path, s.Written(), b, events)
			l.everyLatency(s.Node, s.Path, s.Written(), b, events)
		}
		bounds = append(bounds, b)
	}
	return bounds
}

// flowIndex finds flows by what the files say of them: a label and its value, or the name of a flow.
type flowIndex map[string]map[string]map[string]bool // ids by value by label; the name is label ""

// indexFlows makes the indexes once all flows and accounts are read: many rules may ask for one team.
func (l *loader) indexFlows() {
	l.flowsBy, l.accountsBy, l.labelled = flowIndex{}, flowIndex{}, map[string]map[string]bool{}
	for id, info := range l.rules.flows {
		l.flowsBy.add("", info.FlowName, id)
		for label, value := range info.Labels {
			l.flowsBy.add(label, value, id)
			if l.labelled[label] == nil {
				l.labelled[label] = map[string]bool{}
			}
			l.labelled[label][id] = true
		}
	}
	for id, info := range l.rules.accounts {
		l.accountsBy.add("", info.AccountName, id)
		for label, value := range info.Labels {
			l.accountsBy.add(label, value, id)
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
func (l *loader) flowTest(e entry, not bool) flowTest {
	t := flowTest{key: e.Key, ids: map[string]bool{}, not: not}
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		_, found := l.rules.flows[s.Text]
		if !found && metaID.MatchString(s.Text) {
			found = true
			if near, ok := yamldoc.NearMiss(s.Text, slices.Sorted(maps.Keys(l.rules.flows))); ok && len(s.Text) > 8 &&
				!l.Partial() {
				l.Warn(s.Node, s.Path, "no flow under flows has the id "+s.Written(),
					fmt.Sprintf("did you mean %s?", yamldoc.Quote(near)))
			}
		}
		if found {
			t.ids[s.Text] = true
		}
		named := l.flowsBy[""][s.Text]
		maps.Copy(t.ids, named)
		if !found && named == nil {
			l.NoSuch(s.Node, s.Path, "no flow is called "+s.Written(), cmp.Or(yamldoc.DidYouMean(s.Text, l.flowsBy.values("")),
				"name it under flows, or write its id"))
		}
	}
	return t
}

// labelTest reads values of a label that some flow or account has, and finds those that have them.
func (l *loader) labelTest(e entry, not bool) flowTest {
	t := flowTest{key: e.Key, ids: map[string]bool{}, wabas: map[string]bool{}, own: l.labelled[e.Key], not: not}
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		ids, wabas := l.flowsBy[e.Key][s.Text], l.accountsBy[e.Key][s.Text]
		maps.Copy(t.ids, ids)
		maps.Copy(t.wabas, wabas)
		if ids == nil && wabas == nil {
			values, who, have := l.flowsBy.values(e.Key), "flow", "flows have "
			if of := l.accountsBy.values(e.Key); len(of) > 0 {
				values, who, have = append(values, of...), "flow or account", "they have "
				slices.Sort(values)
				values = slices.Compact(values)
			}
			l.NoSuch(s.Node, s.Path, fmt.Sprintf("no %s has %s %s", who, e.Key, s.Written()),
				cmp.Or(yamldoc.DidYouMean(s.Text, values), have+yamldoc.Shorten(strings.Join(values, ", "), 100)))
		}
	}
	return t
}

// errorTypeNames reads error types in any of their spellings.
func (l *loader) errorTypeNames(e entry) (types []string) {
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		types = append(types, router.NormalErrorType(s.Text))
		if _, known := router.DescribeError(s.Text); !known && !l.misspelt(s, "error type", knownErrorTypes()) {
			l.unheardOf(s, "error type", knownErrorTypes())
		}
	}
	return types
}
