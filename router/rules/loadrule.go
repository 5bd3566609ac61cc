package rules

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"flowbridge/router"
)

func (l *loader) ruleList(e entry) {
	if follow(e.value).Kind != yaml.SequenceNode {
		l.wrong(e.value, e.path, "must be a list of rules, not "+describe(follow(e.value)), "begin each rule with - name:")
		return
	}
	l.named = map[string]int{}
	items, paths := l.list(e.value, e.path)
	for i, item := range items {
		if entries, ok := l.mapping(item, paths[i]); ok {
			l.rules.rules = append(l.rules.rules, l.rule(item, paths[i], entries))
		}
	}
}

// rule reads one rule.
func (l *loader) rule(n *yaml.Node, path string, entries []entry) rule {
	var rule rule
	var during, except entry // not part of match, which is read as a whole
	at := map[string]entry{}
	for _, e := range entries {
		at[e.key] = e
		switch e.key {
		case "name":
			rule.name = l.ruleName(e)
		case "match":
			rule.match = l.match(e)
		case "continue":
			rule.proceed = l.boolean(e.value, e.path)
		case "drop":
			rule.drop = l.boolean(e.value, e.path)
		case "during":
			during = e
		case "except":
			except = e
		default:
			if !l.action(&rule, e) {
				if meant := l.unknown(e, append(actionKeys(), "name", "match", "during", "except", "continue", "drop")...); meant != "" {
					at[meant] = e
				}
			}
		}
	}
	l.times(&rule.match, during, except)
	l.words(&rule, at)
	if at["name"].value == nil {
		l.absent(n, join(path, "name"), "is missing", "people see it on the incident: say when the rule applies")
	}
	if at["match"].value == nil {
		l.absent(n, join(path, "match"), "is missing", "match: {} matches everything")
	}
	notify, notifies := at["notify"]
	switch {
	case rule.drop && notifies:
		l.wrong(notify.at, notify.path, "a rule that drops an event tells nobody", "remove notify or drop")
	case !rule.drop && !notifies:
		l.absent(n, join(path, "notify"), "is missing", "name whom to tell, or say drop: true")
	}
	if rule.drop && rule.proceed {
		l.wrong(at["continue"].at, at["continue"].path, "what is dropped cannot continue", "remove continue or drop")
	}
	if rule.drop && rule.match.recoveryOnly() {
		l.wrong(at["drop"].at, at["drop"].path, "a recovery cannot be dropped: it would leave incidents open", "remove drop, or match alert_state: ACTIVATED")
	}
	if slices.Contains(rule.match.events, router.FlowResponse) && !rule.drop {
		l.rules.responses = true
	}
	return rule
}

// times reads `during` and `except`.
func (l *loader) times(m *match, during, except entry) {
	if during.value != nil {
		m.during = l.windowNames(during)
	}
	if except.value != nil {
		m.except = l.windowNames(except)
	}
	inAll := func(w *window) bool { return slices.Contains(m.except, w) }
	if len(m.during) > 0 && !slices.ContainsFunc(m.during, func(w *window) bool { return !inAll(w) }) {
		l.wrong(except.at, except.path, "excludes all that during names, so the rule can never match", "")
	}
}

func (l *loader) ruleName(e entry) string {
	s, ok := l.scalar(e.value, e.path)
	if !ok {
		return ""
	}
	line, taken := l.named[s.text]
	switch {
	case taken:
		l.wrong(s.Node, s.path, fmt.Sprintf("another rule is called %s already, on line %d", s.written(), line), "")
	case s.text == defaultName:
		l.wrong(s.Node, s.path, `a rule cannot be called "default"`, "that is what events are told by that no rule matched")
	case utf8.RuneCountInString(s.text) > 200:
		l.wrong(s.Node, s.path, "is longer than 200 characters", "")
	}
	if !taken {
		l.named[s.text] = s.Line
	}
	return s.text
}

// otherwise reads `default`.
func (l *loader) otherwise(e entry) {
	entries, ok := l.mapping(e.value, e.path)
	if !ok {
		return
	}
	rule := rule{name: defaultName}
	at := map[string]entry{}
	for _, d := range entries {
		at[d.key] = d
		if !l.action(&rule, d) {
			if meant := l.unknown(d, actionKeys()...); meant != "" {
				at[meant] = d
			}
		}
	}
	l.words(&rule, at)
	if at["notify"].value == nil {
		l.absent(follow(e.value), join(e.path, "notify"), "is missing", "name whom to tell")
	}
	l.rules.otherwise = &rule
}

func actionKeys() []string {
	return []string{"notify", "severity", "group_by", "resolve_after", "on_escalation", "title", "text", "fields"}
}

// action reads a key that says what to do; ok is false if it is none. Templates are left to words, which
// needs to know what the rule matches.
func (l *loader) action(rule *rule, e entry) (ok bool) {
	switch e.key {
	case "notify":
		rule.notify = l.notify(e)
	case "severity":
		rule.severity = l.severity(e)
	case "group_by":
		rule.groupBy = l.groupBy(e)
	case "resolve_after":
		rule.resolve = hold{true, l.wait(e)}
	case "on_escalation":
		rule.rise = l.onRise(e)
	case "fields":
		rule.fields = l.fieldNames(e)
	case "title", "text":
	default:
		return false
	}
	return true
}

func (l *loader) notify(e entry) (routes []route) {
	items, paths := l.list(e.value, e.path)
	if len(items) == 0 {
		l.wrong(follow(e.value), e.path, "is empty", "name whom to tell, or say drop: true")
	}
	for i, item := range items {
		if follow(item).Kind != yaml.MappingNode {
			if s, ok := l.scalar(item, paths[i]); ok {
				if target, ok := l.notifier(s); ok {
					routes = append(routes, route{target: target})
				}
			}
			continue
		}
		entries, _ := l.mapping(item, paths[i])
		var route route
		found := false
		for _, k := range entries {
			switch k.key {
			case "to":
				found = true
				if s, ok := l.scalar(k.value, k.path); ok {
					route.target, _ = l.notifier(s)
				}
			case "severity":
				route.severities = l.severitySet(k)
			case "after":
				route.after = l.wait(k)
			case "unless":
				route.unlessAck = l.unless(k)
			default:
				found = l.unknown(k, "to", "severity", "after", "unless") == "to" || found
			}
		}
		if !found {
			l.absent(item, join(paths[i], "to"), "is missing", "name a notifier")
		}
		routes = append(routes, route)
	}
	return routes
}

// unless reads the one thing that can keep a notifier from being told.
func (l *loader) unless(e entry) bool {
	s, ok := l.scalar(e.value, e.path)
	if ok && s.text != string(router.IncidentAcknowledged) {
		l.wrong(s.Node, s.path, "must be acknowledged, not "+s.written(), didYouMean(s.text, []string{string(router.IncidentAcknowledged)}))
	}
	return ok
}

func (l *loader) onRise(e entry) onRise {
	s, ok := l.scalar(e.value, e.path)
	known := []string{string(riseNote), string(risePage)}
	if ok && !slices.Contains(known, s.text) {
		l.wrong(s.Node, s.path, "must be "+oneOf(known)+", not "+s.written(), didYouMean(s.text, known))
	}
	return onRise(s.text)
}

// severitySet reads what an entry of notify is told of.
func (l *loader) severitySet(e entry) (set severitySet) {
	all, _ := l.scalars(e.value, e.path)
	for _, s := range all {
		some, ok := parseSeveritySet(s.text)
		if !ok {
			l.badSeverity(s, `write one of them, a list, or a comparison such as ">=error"`)
		}
		set |= some
	}
	return set
}

// severity reads one severity, or a map from thresholds and statuses to severities.
func (l *loader) severity(e entry) (rule severityRule) {
	if follow(e.value).Kind != yaml.MappingNode {
		rule.always = l.severityWord(e)
		return rule
	}
	rule.statuses = map[string]router.Severity{}
	entries, _ := l.mapping(e.value, e.path)
	if len(entries) == 0 {
		l.wrong(follow(e.value), e.path, "is empty", "")
	}
	for _, k := range entries {
		severity := l.severityWord(k)
		b, ok := parseBound(k.key)
		switch {
		case slices.Contains(knownStatuses(), k.key):
			rule.statuses[k.key] = severity
		case !ok || b.op != "":
			hint := didYouMean(k.key, knownStatuses())
			if hint == "" {
				hint = `write 10, "50%" or "5s", or a status such as BLOCKED`
			}
			l.wrong(k.at, k.path, "is neither a threshold nor a status", hint)
		case slices.ContainsFunc(rule.levels, func(s severityAt) bool { return s.bound == b }):
			l.wrong(k.at, k.path, "stands here twice", "")
		default:
			rule.levels = append(rule.levels, severityAt{b, severity})
		}
	}
	return rule
}

func (l *loader) severityWord(e entry) router.Severity {
	s, ok := l.scalar(e.value, e.path)
	if !ok {
		return router.SeverityUnset
	}
	severity, err := router.ParseSeverity(s.text)
	if err != nil {
		l.badSeverity(s, "it is "+oneOf(severityWords()))
	}
	return severity
}

func (l *loader) badSeverity(s scalar, hint string) {
	if near := didYouMean(strings.TrimLeft(s.text, "<>= "), severityWords()); near != "" {
		hint = near
	}
	l.wrong(s.Node, s.path, "there is no severity "+s.written(), hint)
}

func (l *loader) groupBy(e entry) router.GroupBy {
	s, ok := l.scalar(e.value, e.path)
	known := []string{string(router.GroupByThreshold), string(router.GroupByFlow)}
	if ok && !slices.Contains(known, s.text) {
		hint := didYouMean(s.text, known)
		if hint == "" {
			hint = "it is " + oneOf(known) + "; without it, one incident for each flow and event"
		}
		l.wrong(s.Node, s.path, "alerts cannot be grouped by "+s.written(), hint)
	}
	return router.GroupBy(s.text)
}

func (l *loader) fieldNames(e entry) (names []string) {
	all, _ := l.scalars(e.value, e.path)
	for _, s := range all {
		if slices.Contains(names, s.text) {
			l.wrong(s.Node, s.path, s.written()+" stands here twice", "")
			continue
		}
		names = append(names, s.text)
	}
	return names
}
