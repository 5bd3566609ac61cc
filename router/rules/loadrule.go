package rules

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"flowbridge/router"
)

// ruleList reads the rules of a file.
func (l *loader) ruleList(e entry) {
	if follow(e.value).Kind != yaml.SequenceNode {
		l.wrong(e.value, e.path, "must be a list of rules, not "+describe(follow(e.value)), "begin each rule with - name:")
		return
	}
	items, paths := l.list(e.value, e.path)
	for i, item := range items {
		if o, ok := l.object(item, paths[i], &ruleKeys); ok {
			l.rules.rules = append(l.rules.rules, l.rule(o))
		}
	}
}

// rule reads one rule.
func (l *loader) rule(o object) rule {
	rule := rule{path: o.path, place: l.place(o.node), places: map[string]Place{}}
	if e, ok := o.at["name"]; ok {
		rule.name = l.ruleName(e)
	} else if !o.has("name") {
		l.absent(o.node, join(o.path, "name"), "is missing", "people see it on the incident: say when the rule applies")
	}
	if e, ok := o.at["match"]; ok {
		rule.match = l.match(e, rule.places)
	} else if !o.has("match") {
		l.absent(o.node, join(o.path, "match"), "is missing", "match: {} matches everything")
	}
	if e, ok := o.at["match"]; ok && rule.match.when != nil {
		l.tryWhen(&rule, rule.places["when"], join(e.path, "when"))
	}
	l.times(&rule, o)
	if e, ok := o.at["continue"]; ok {
		rule.proceed = l.boolean(e.value, e.path)
	}
	if e, ok := o.at["drop"]; ok {
		rule.drop = l.boolean(e.value, e.path)
	}
	l.waits = nil
	l.actions(&rule, o)
	notify, notifies := o.at["notify"]
	switch {
	case rule.drop && notifies:
		l.wrong(notify.at, notify.path, "a rule that drops an event tells nobody", "remove notify or drop")
	case !rule.drop && !o.has("notify"):
		l.absent(o.node, join(o.path, "notify"), "is missing", "name whom to tell, or say drop: true")
	}
	if rule.drop && rule.proceed {
		l.wrong(o.at["continue"].at, o.at["continue"].path, "what is dropped cannot continue", "remove continue or drop")
	}
	if rule.drop && rule.match.recoveryOnly() {
		l.wrong(o.at["drop"].at, o.at["drop"].path, "a recovery cannot be dropped: it would leave incidents open", "remove drop, or match alert_state: ACTIVATED")
	}
	l.doubtful(&rule, o)
	return rule
}

// times reads `during` and `except`.
func (l *loader) times(rule *rule, o object) {
	m := &rule.match
	during, within := o.at["during"]
	if within {
		m.during, rule.places["during"] = l.windowNames(during), l.place(during.at)
	}
	except, without := o.at["except"]
	if without {
		m.except, rule.places["except"] = l.windowNames(except), l.place(except.at)
	}
	excluded := func(w *window) bool { return slices.Contains(m.except, w) }
	if len(m.during) > 0 && !slices.ContainsFunc(m.during, func(w *window) bool { return !excluded(w) }) {
		l.wrong(except.at, except.path, "excludes all that during names, so the rule can never match", "")
	}
}

func (l *loader) ruleName(e entry) string {
	s, ok := l.scalar(e.value, e.path)
	if !ok {
		return ""
	}
	switch at := (entry{at: s.Node, path: s.path}); {
	case s.text == defaultName:
		l.wrong(s.Node, s.path, `a rule cannot be called "default"`, "that is what events are told by that no rule matched")
	case utf8.RuneCountInString(s.text) > 200:
		l.wrong(s.Node, s.path, "is longer than 200 characters", "")
	default:
		l.name("rule", s.text, at)
	}
	return s.text
}

// otherwise reads `default`.
func (l *loader) otherwise(e entry) {
	if n := follow(e.value); n.Kind != yaml.MappingNode {
		l.wrong(n, e.path, "must be a map, not "+describe(n), "write default: {notify: [NAME]}")
		return
	}
	o, ok := l.object(e.value, e.path, &actionKeys)
	if !ok {
		return
	}
	rule := rule{name: defaultName, path: e.path, place: l.place(e.at)}
	l.actions(&rule, o)
	if !o.has("notify") {
		l.absent(follow(e.value), join(e.path, "notify"), "is missing", "name whom to tell")
	}
	l.rules.otherwise = &rule
}

// actions reads the keys that say what to do.
func (l *loader) actions(rule *rule, o object) {
	for _, k := range []struct {
		key  string
		read func(entry)
	}{
		{"notify", func(e entry) { rule.notify = l.notify(e) }},
		{"severity", func(e entry) { rule.severity = l.severity(e, rule.match.events) }},
		{"group_by", func(e entry) { rule.groupBy = l.groupBy(e) }},
		{"resolve_after", func(e entry) { rule.resolve = hold{true, l.wait(e)} }},
		{"on_escalation", func(e entry) { rule.rise, rule.riseAt = l.reaction(e), l.place(e.at) }},
		{"on_auto_resolve", func(e entry) { rule.autoResolve = l.reaction(e) }},
		{"fields", func(e entry) { rule.fields = l.fieldNames(e) }},
	} {
		if e, ok := o.at[k.key]; ok {
			k.read(e)
		}
	}
	l.words(rule, o.at)
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
					routes = append(routes, route{target: target, at: l.place(item)})
				}
			}
			continue
		}
		o, _ := l.object(item, paths[i], &routeKeys)
		route := route{at: l.place(item)}
		if e, ok := o.at["to"]; ok {
			if s, ok := l.scalar(e.value, e.path); ok {
				route.target, _ = l.notifier(s)
			}
		} else if !o.has("to") {
			l.absent(item, join(paths[i], "to"), "is missing", "name a notifier")
		}
		if e, ok := o.at["severity"]; ok {
			route.severities = l.severitySet(e)
		}
		if e, ok := o.at["after"]; ok {
			route.after = l.wait(e)
			l.waits = append(l.waits, e)
		}
		if e, ok := o.at["unless"]; ok {
			route.unlessAck = l.unless(e)
			l.waits = append(l.waits, e)
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

func (l *loader) reaction(e entry) reaction {
	s, ok := l.scalar(e.value, e.path)
	known := []string{string(reactNote), string(reactPage)}
	if ok && !slices.Contains(known, s.text) {
		l.wrong(s.Node, s.path, "must be "+oneOf(known)+", not "+s.written(), didYouMean(s.text, known))
	}
	return reaction(s.text)
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

// severity reads one severity, or a map from thresholds and statuses to severities. events are those of the rule; nil for any.
func (l *loader) severity(e entry, events []string) (rule severityRule) {
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
		case slices.Contains(router.Statuses(), k.key):
			rule.statuses[k.key] = severity
		case !ok || b.op != "":
			l.wrong(k.at, k.path, "is neither a threshold nor a status",
				cmp.Or(didYouMean(k.key, router.Statuses()), `write 10, "50%" or "5s", or a status such as BLOCKED`))
		case slices.ContainsFunc(rule.levels, func(s severityAt) bool { return s.bound == b }):
			l.wrong(k.at, k.path, "stands here twice", "")
		default:
			rule.levels = append(rule.levels, severityAt{b, severity})
			l.neverSent(k.at, k.path, quote(k.key), b, events)
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
	l.wrong(s.Node, s.path, "there is no severity "+s.written(), cmp.Or(didYouMean(strings.TrimLeft(s.text, "<>= "), severityWords()), hint))
}

func (l *loader) groupBy(e entry) router.GroupBy {
	s, ok := l.scalar(e.value, e.path)
	known := []string{string(router.GroupByThreshold), string(router.GroupByFlow)}
	if ok && !slices.Contains(known, s.text) {
		l.wrong(s.Node, s.path, "alerts cannot be grouped by "+s.written(),
			cmp.Or(didYouMean(s.text, known), "it is "+oneOf(known)+"; without it, one incident for each flow and event"))
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
