package rules

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

// ruleList reads the rules of a file.
func (l *loader) ruleList(e entry) {
	if yamldoc.Follow(e.Value).Kind != yaml.SequenceNode {
		l.Wrong(e.Value, e.Path, "must be a list of rules, not "+yamldoc.Describe(yamldoc.Follow(e.Value)),
			"begin each rule with - name:")
		return
	}
	items, paths := l.List(e.Value, e.Path)
	for i, item := range items {
		if o, ok := l.object(item, paths[i], &ruleKeys); ok {
			l.rules.rules = append(l.rules.rules, l.rule(o))
		}
	}
}

// rule reads one rule.
func (l *loader) rule(o object) rule {
	rule := rule{path: o.path, place: l.Place(o.node), places: map[string]Place{}}
	if e, ok := o.at["name"]; ok {
		rule.name = l.ruleName(e)
	} else if !o.has("name") {
		l.Absent(o.node, yamldoc.Join(o.path, "name"), "is missing",
			"people see it on the incident: say when the rule applies")
	}
	if e, ok := o.at["match"]; ok {
		rule.match = l.match(e, rule.places)
	} else if !o.has("match") {
		l.Absent(o.node, yamldoc.Join(o.path, "match"), "is missing", "match: {} matches everything")
	}
	if e, ok := o.at["match"]; ok && rule.match.when != nil {
		l.tryWhen(&rule, rule.places["when"], yamldoc.Join(e.Path, "when"))
	}
	l.times(&rule, o)
	if e, ok := o.at["continue"]; ok {
		rule.proceed = l.Boolean(e.Value, e.Path)
	}
	if e, ok := o.at["drop"]; ok {
		rule.drop = l.Boolean(e.Value, e.Path)
	}
	l.waits, l.calls = nil, nil
	l.actions(&rule, o)
	notify, notifies := o.at["notify"]
	switch {
	case rule.drop && notifies:
		l.Wrong(notify.At, notify.Path, "a rule that drops an event tells nobody", "remove notify or drop")
	case !rule.drop && !o.has("notify"):
		l.Absent(o.node, yamldoc.Join(o.path, "notify"), "is missing", "name whom to tell, or say drop: true")
	}
	if rule.drop && rule.proceed {
		l.Wrong(o.at["continue"].At, o.at["continue"].Path, "what is dropped cannot continue", "remove continue or drop")
	}
	if rule.drop && rule.match.recoveryOnly() {
		l.Wrong(o.at["drop"].At, o.at["drop"].Path, "a recovery cannot be dropped: it would leave incidents open",
			"remove drop, or match alert_state: ACTIVATED")
	}
	l.doubtful(&rule, o)
	return rule
}

// times reads `during` and `except`.
func (l *loader) times(rule *rule, o object) {
	m := &rule.match
	during, within := o.at["during"]
	if within {
		m.during, rule.places["during"] = l.windowNames(during), l.Place(during.At)
	}
	except, without := o.at["except"]
	if without {
		m.except, rule.places["except"] = l.windowNames(except), l.Place(except.At)
	}
	excluded := func(w *window) bool { return slices.Contains(m.except, w) }
	if len(m.during) > 0 && !slices.ContainsFunc(m.during, func(w *window) bool { return !excluded(w) }) {
		l.Wrong(except.At, except.Path, "excludes all that during names, so the rule can never match", "")
	}
}

func (l *loader) ruleName(e entry) string {
	s, ok := l.Scalar(e.Value, e.Path)
	if !ok {
		return ""
	}
	switch at := (entry{At: s.Node, Path: s.Path}); {
	case s.Text == defaultName:
		l.Wrong(s.Node, s.Path, `a rule cannot be called "default"`, "that is what events are told by that no rule matched")
	case strings.ContainsFunc(s.Text, unicode.IsControl):
		l.Wrong(s.Node, s.Path, "has a line break or another control character in it", "write the name on one line")
	case utf8.RuneCountInString(s.Text) > 200:
		l.Wrong(s.Node, s.Path, "is longer than 200 characters", "")
	default:
		l.name("rule", s.Text, at)
	}
	return s.Text
}

// otherwise reads `default`.
func (l *loader) otherwise(e entry) {
	if n := yamldoc.Follow(e.Value); n.Kind != yaml.MappingNode {
		l.Wrong(n, e.Path, "must be a map, not "+yamldoc.Describe(n), "write default: {notify: [NAME]}")
		return
	}
	o, ok := l.object(e.Value, e.Path, &actionKeys)
	if !ok {
		return
	}
	rule := rule{name: defaultName, path: e.Path, place: l.Place(e.At)}
	l.actions(&rule, o)
	if !o.has("notify") {
		l.Absent(yamldoc.Follow(e.Value), yamldoc.Join(e.Path, "notify"), "is missing", "name whom to tell")
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
		{"severity", func(e entry) { rule.severity = l.severity(e, rule.match.events.names()) }},
		{"group_by", func(e entry) { rule.groupBy = l.groupBy(e) }},
		{"resolve_after", func(e entry) { rule.resolve = hold{true, l.wait(e)} }},
		{"acknowledged_for", func(e entry) { rule.ackedFor = hold{true, l.lasting(e)} }},
		{"on_escalation", func(e entry) { rule.rise, rule.riseAt = l.reaction(e), l.Place(e.At) }},
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
	items, paths := l.List(e.Value, e.Path)
	if len(items) == 0 {
		l.Wrong(yamldoc.Follow(e.Value), e.Path, "is empty", "name whom to tell, or say drop: true")
	}
	for i, item := range items {
		if yamldoc.Follow(item).Kind != yaml.MappingNode {
			if s, ok := l.Scalar(item, paths[i]); ok {
				if target, ok := l.notifier(s); ok {
					told := route{target: target, at: l.Place(item)}
					l.namedTwice(item, paths[i], &told, routes)
					routes = append(routes, told)
				}
			}
			continue
		}
		o, _ := l.object(item, paths[i], &routeKeys)
		route := route{at: l.Place(item)}
		if e, ok := o.at["to"]; ok {
			if s, ok := l.Scalar(e.Value, e.Path); ok {
				route.target, _ = l.notifier(s)
			}
		} else if !o.has("to") {
			l.Absent(item, yamldoc.Join(paths[i], "to"), "is missing", "name a notifier")
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
		if e, ok := o.at["remind"]; ok {
			route.remind = l.lasting(e)
			l.waits = append(l.waits, e)
		}
		if e, ok := o.at["mention"]; ok {
			route.mention = l.mention(e, &route.target)
			l.calls = append(l.calls, e)
		}
		if _, some := o.at["severity"]; !some || route.severities != 0 {
			l.namedTwice(item, paths[i], &route, routes)
		}
		routes = append(routes, route)
	}
	return routes
}

// namedTwice reports an entry of notify whose notifier is told of the same severity by another entry, at another time
// or on another condition: the earlier time would count, and `unless` only where both say so. Whom entries mention, and
// how often they remind, can be put together.
func (l *loader) namedTwice(item *yaml.Node, path string, told *route, before []route) {
	for i := range before {
		other := &before[i]
		alike := told.after == other.after && told.unlessAck == other.unlessAck
		if alike || told.target.Notifier == "" || other.target.Notifier != told.target.Notifier ||
			!told.severities.overlaps(other.severities) {
			continue
		}
		l.Wrong(item, path, fmt.Sprintf("another entry, %s, tells %s of the same severity at another time or condition",
			l.seenFrom(told.at, other.at), told.target.Notifier),
			"write one entry, with remind to tell it again, or give each its own severity")
		return
	}
}

// mostMentions bounds whom an entry of notify calls: more of them are a user group.
const mostMentions = 10

var mentionForm = regexp.MustCompile(whole(router.MentionForms()...))

// mention reads whom an entry of notify calls by name.
func (l *loader) mention(e entry, target *router.Target) (names []string) {
	if target.Kind != "" && target.Kind.Mentions() == nil {
		l.Wrong(e.At, e.Path, target.Kind.One()+" mentions nobody",
			"mention is for "+yamldoc.OneOf(kindsThat(func(k router.Kind) bool { return k.Mentions() != nil })))
	}
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		switch bare := strings.Trim(s.Text, "@<!>"); {
		case !mentionForm.MatchString(s.Text) && mentionForm.MatchString(bare):
			l.Wrong(s.Node, s.Path, s.Written()+" is nobody who can be mentioned",
				fmt.Sprintf("did you mean %s?", yamldoc.Quote(bare)))
		case !mentionForm.MatchString(s.Text):
			l.Wrong(s.Node, s.Path, s.Written()+" is nobody who can be mentioned",
				cmp.Or(yamldoc.DidYouMean(s.Text, []string{"here", "channel"}),
					"write here, channel, a Slack member id (U...) or the id of a user group (S...)"))
		case slices.Contains(names, s.Text):
			l.Wrong(s.Node, s.Path, s.Written()+" stands here twice", "")
		default:
			names = append(names, s.Text)
		}
	}
	if len(names) > mostMentions {
		l.Wrong(e.At, e.Path, fmt.Sprintf("mentions more than %d", mostMentions),
			"make a user group of them, and mention that (S...)")
	}
	return names
}

// kindsThat lists kinds.
func kindsThat(can func(router.Kind) bool) (words []string) {
	for _, kind := range router.Kinds() {
		if can(kind) {
			words = append(words, string(kind))
		}
	}
	return words
}

// unless reads the one thing that can keep a notifier from being told.
func (l *loader) unless(e entry) bool {
	s, ok := l.Scalar(e.Value, e.Path)
	if ok && s.Text != string(router.IncidentAcknowledged) {
		l.Wrong(s.Node, s.Path, "must be acknowledged, not "+s.Written(),
			yamldoc.DidYouMean(s.Text, []string{string(router.IncidentAcknowledged)}))
	}
	return ok
}

func (l *loader) reaction(e entry) reaction {
	s, ok := l.Scalar(e.Value, e.Path)
	known := []string{string(reactNote), string(reactPage)}
	if ok && !slices.Contains(known, s.Text) {
		l.Wrong(s.Node, s.Path, "must be "+yamldoc.OneOf(known)+", not "+s.Written(), yamldoc.DidYouMean(s.Text, known))
	}
	return reaction(s.Text)
}

// severitySet reads what an entry of notify is told of.
func (l *loader) severitySet(e entry) (set severitySet) {
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		some, ok := parseSeveritySet(s.Text)
		if !ok {
			l.badSeverity(s, `write one of them, a list, or a comparison such as ">=error"`)
		}
		set |= some
	}
	return set
}

// severity reads one severity, or a map from thresholds, statuses and changes to severities. events are those of the
// rule; nil for any.
func (l *loader) severity(e entry, events []string) (rule severityRule) {
	if yamldoc.Follow(e.Value).Kind != yaml.MappingNode {
		rule.always = l.severityWord(e)
		return rule
	}
	rule.words = map[string]router.Severity{}
	entries, _ := l.Mapping(e.Value, e.Path)
	if len(entries) == 0 {
		l.Wrong(yamldoc.Follow(e.Value), e.Path, "is empty", "")
	}
	for _, k := range entries {
		severity := l.severityWord(k)
		b, ok := parseBound(k.Key)
		switch {
		case slices.Contains(severityLevels(), k.Key):
			rule.words[k.Key] = severity
			l.neverSays(k, events)
		case !ok || b.op != "":
			own, _ := saidBy(events)
			meant := cmp.Or(yamldoc.DidYouMean(k.Key, own), yamldoc.DidYouMean(k.Key, severityLevels()))
			if _, slip := yamldoc.NearMiss(k.Key, severityLevels()); !slip && plainChange.MatchString(k.Key) { // it may be new
				rule.words[k.Key] = severity
				l.Warn(k.At, k.Path, "Meta is not known to send the word "+yamldoc.Quote(k.Key),
					cmp.Or(meant, "known are statuses such as BLOCKED, and changes such as DISABLE"))
				continue
			}
			l.Wrong(k.At, k.Path, "is no threshold, no status and no change",
				cmp.Or(meant, `write 10, "50%" or "5s", a status such as BLOCKED, or a change such as DISABLE`))
		case slices.ContainsFunc(rule.levels, func(s severityAt) bool { return s.bound == b }):
			l.Wrong(k.At, k.Path, "stands here twice", "")
		default:
			rule.levels = append(rule.levels, severityAt{b, severity})
			l.neverSent(k.At, k.Path, yamldoc.Quote(k.Key), b, events)
		}
	}
	return rule
}

// severityLevels returns the words that a map of severities can have beside thresholds: statuses of flows, and changes.
func severityLevels() []string { return slices.Concat(router.Statuses(), router.KnownChanges("")) }

func (l *loader) severityWord(e entry) router.Severity {
	s, ok := l.Scalar(e.Value, e.Path)
	if !ok {
		return router.SeverityUnset
	}
	severity, err := router.ParseSeverity(s.Text)
	if err != nil {
		l.badSeverity(s, "it is "+yamldoc.OneOf(severityWords()))
	}
	return severity
}

func (l *loader) badSeverity(s scalar, hint string) {
	l.Wrong(s.Node, s.Path, "there is no severity "+s.Written(),
		cmp.Or(yamldoc.DidYouMean(strings.TrimLeft(s.Text, "<>= "), severityWords()), hint))
}

func (l *loader) groupBy(e entry) router.GroupBy {
	s, ok := l.Scalar(e.Value, e.Path)
	known := []string{string(router.GroupByThreshold), string(router.GroupByFlow)}
	if ok && !slices.Contains(known, s.Text) {
		l.Wrong(s.Node, s.Path, "alerts cannot be grouped by "+s.Written(),
			cmp.Or(yamldoc.DidYouMean(s.Text, known), "it is "+yamldoc.OneOf(known)+
				"; without it, one incident for each flow and event"))
	}
	return router.GroupBy(s.Text)
}

func (l *loader) fieldNames(e entry) (names []string) {
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		if slices.Contains(names, s.Text) {
			l.Wrong(s.Node, s.Path, s.Written()+" stands here twice", "")
			continue
		}
		names = append(names, s.Text)
	}
	return names
}
