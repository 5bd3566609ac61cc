package rules

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

// warnings looks at rules without faults for what is surely not meant. Each of them is certain in what it says: a file
// that is right as it is gets none.
func (l *loader) warnings() {
	l.shadowed()
	l.unused()
	l.noDefault()
	l.noFallback()
	l.forgottenFlows()
	l.toldTwice()
	l.neverPagesAgain()
	l.neverToldOf()
}

// shadowed warns of rules that no event can reach.
func (l *loader) shadowed() {
	r := l.rules
	for i := range r.rules {
		by, all := r.takenBefore(i)
		if !all {
			continue
		}
		first := &r.rules[by[0]]
		problem := fmt.Sprintf("rule %s, %s, takes every event that this rule matches", yamldoc.Quote(first.name),
			l.seenFrom(r.rules[i].place, first.place))
		if len(by) > 1 {
			names := make([]string, len(by))
			for n, at := range by {
				names[n] = yamldoc.Quote(r.rules[at].name)
			}
			problem = fmt.Sprintf("the rules %s before it, the first of them %s, take every event that this rule matches",
				yamldoc.Shorten(strings.Join(names, ", "), 200), l.seenFrom(r.rules[i].place, first.place))
		}
		l.WarnAt(r.rules[i].place, r.rules[i].path, problem,
			"move this rule up, narrow the other, or let it say continue: true")
	}
}

func (l *loader) seenFrom(here, there Place) string {
	if here.File == there.File {
		return fmt.Sprintf("on line %d", there.Line)
	}
	return "at " + there.String()
}

// unused warns of notifiers and windows that nothing names.
func (l *loader) unused() {
	for _, kind := range []string{"notifier", "window"} {
		for _, name := range slices.Sorted(maps.Keys(l.names[kind])) {
			if n := l.names[kind][name]; !n.used {
				l.WarnAt(n.file.Place(n.at), n.path, "nothing uses this "+kind, "name it in a rule, or remove it")
			}
		}
	}
}

// noDefault warns if events can get lost that no rule matches.
func (l *loader) noDefault() {
	everything := func(rule rule) bool { return rule.match.covers(&match{}) }
	if l.rules.otherwise != nil || slices.ContainsFunc(l.rules.rules, everything) {
		return
	}
	l.WarnAt(Place{File: l.files[0].FileName(), Line: 1, Column: 1}, "default",
		"there is none, so nobody is told of events that no rule matches", "add default: {notify: [NAME]}")
}

// noFallback warns if nobody would hear of what cannot be told.
func (l *loader) noFallback() {
	if l.rules.fallback == "" {
		l.WarnAt(Place{File: l.files[0].FileName(), Line: 1, Column: 1}, "fallback",
			"there is none, so nobody is told when a message cannot be delivered", "add fallback: NAME")
	}
}

// forgottenFlows warns of flows with a name or an owner that no rule is about.
func (l *loader) forgottenFlows() {
	if len(l.rules.rules) == 0 {
		return // default is meant for all
	}
	concerned := map[string]bool{}
	for i := range l.rules.rules {
		m := &l.rules.rules[i].match
		if !m.aboutFlows() {
			continue
		}
		if m.ids == nil {
			return
		}
		for _, id := range m.ids {
			concerned[id] = true
		}
	}
	then := "nobody is told of it"
	if l.rules.otherwise != nil {
		then = "only default is told of it"
	}
	for _, id := range slices.Sorted(maps.Keys(l.rules.flows)) {
		if !concerned[id] {
			n := l.names["flow"][id]
			info := l.rules.flows[id]
			l.WarnAt(n.file.Place(n.at), n.path, fmt.Sprintf("no rule is about %s: %s", info.DisplayName(id), then),
				"let a rule match it by its name or by a label")
		}
	}
}

// toldTwice warns of rules for DEACTIVATED where the pair does already what they are meant to do.
func (l *loader) toldTwice() {
	r := l.rules
	for i := range r.rules {
		rule := &r.rules[i]
		if !rule.match.recoveryOnly() {
			continue
		}
		at, path := rule.places["alert_state"], rule.path+".match.alert_state"
		if !slices.ContainsFunc(rule.notify, func(to route) bool { return !to.target.Kind.Pages() }) {
			l.WarnAt(at, path, "a recovery alone opens and closes nothing in PagerDuty",
				"leave alert_state out: what the rule opens, the recovery resolves by itself")
			continue
		}
		opening, either := rule.match, rule.match
		opening.alertState, either.alertState = router.Activated, ""
		told := false
		for j := range r.rules {
			other := &r.rules[j]
			if other.match.recoveryOnly() || other.drop || !other.match.mayMeet(&opening) {
				continue
			}
			told = true
			if !other.match.covers(&opening) && !either.covers(&other.match) {
				continue
			}
			if both := tellBoth(rule, other); both != "" {
				l.WarnAt(at, path, fmt.Sprintf("%s hears of the recovery already, since rule %s, %s, told it of the trouble", both,
					yamldoc.Quote(other.name), l.seenFrom(at, other.place)),
					"leave alert_state out, or tell somebody else")
				break
			}
		}
		if !told {
			then := "nobody"
			if r.otherwise != nil {
				then = "only default"
			}
			l.WarnAt(at, path, "it tells that the trouble is over, and "+then+" tells that it began",
				"leave alert_state out: a rule for the trouble also tells of the recovery")
		}
	}
}

// neverPagesAgain warns of rules that page anew whom they do not tell once somebody has acknowledged. Where rules
// continue, another may tell them.
func (l *loader) neverPagesAgain() {
	r := l.rules
	if slices.ContainsFunc(r.rules, func(rule rule) bool { return rule.proceed }) {
		return
	}
	for i := range r.rules {
		rule := &r.rules[i]
		pages := slices.ContainsFunc(rule.notify, func(to route) bool { return to.target.Kind.Pages() })
		if rule.rise == reactPage && pages &&
			!slices.ContainsFunc(rule.notify, func(to route) bool { return to.target.Kind.Pages() && !to.unlessAck }) {
			l.WarnAt(rule.riseAt, rule.path+".on_escalation", "pages nobody: every PagerDuty service says unless: acknowledged",
				"remove one of the two")
		}
	}
}

// tellBoth returns a notifier that two rules name, or "".
func tellBoth(a, b *rule) string {
	for _, to := range a.notify {
		if slices.ContainsFunc(b.notify, func(other route) bool { return other.target.Notifier == to.target.Notifier }) {
			return to.target.Notifier
		}
	}
	return ""
}

// saidBy returns the words that some events are known to move by; all is false where more than that may come.
func saidBy(events []string) (words []string, all bool) {
	for _, event := range events {
		signals := router.SignalsOf(event)
		if len(signals) == 0 {
			return words, false // who knows
		}
		for i := range signals {
			words = append(words, signals[i].Words()...)
		}
	}
	return words, len(events) > 0
}

// neverSays warns of a status or change that no event of a rule can have, as a key of a map. events are nil for any.
func (l *loader) neverSays(e entry, events []string) {
	words, all := saidBy(events)
	if !all || slices.Contains(words, e.Key) {
		return
	}
	hint := "it has no statuses and no changes"
	if len(words) > 0 {
		slices.Sort(words)
		hint = "known are: " + yamldoc.Shorten(strings.Join(slices.Compact(words), ", "), 100)
	}
	l.Warn(e.At, e.Path, fmt.Sprintf("Meta is not known to say %s of %s", yamldoc.Quote(e.Key),
		yamldoc.Shorten(strings.Join(events, ", "), 100)), hint)
}

// neverSent warns of a threshold that no event of a rule can have. events are nil for any.
func (l *loader) neverSent(at *yaml.Node, path, written string, b bound, events []string) {
	var sent []float64
	for _, event := range events {
		of := router.Thresholds(event)
		if of == nil {
			return // who knows
		}
		sent = append(sent, of...)
	}
	if len(sent) == 0 || slices.ContainsFunc(sent, func(t float64) bool { return b.op.holds(t, b.value) }) {
		return
	}
	words := make([]string, 0, len(sent))
	for _, t := range sent {
		if w := router.FormatValue(events[0], t); len(events) == 1 && !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	hint := "Meta sends " + router.ThresholdWords()
	if len(words) > 0 {
		hint = "it sends " + strings.Join(words, ", ")
	}
	if len(events) == 1 && b.unit == router.NoUnit && slices.Contains(sent, b.value*1000) {
		hint = fmt.Sprintf("did you mean %s?", yamldoc.Quote(fmt.Sprintf("%s%gs", b.op, b.value)))
	}
	l.Warn(at, path, fmt.Sprintf("Meta never sends such a threshold for %s: %s",
		yamldoc.Shorten(strings.Join(events, ", "), 100), written), hint)
}

// everyLatency warns of a bare number that a rate is compared with, and that every latency passes: there it is
// milliseconds.
func (l *loader) everyLatency(at *yaml.Node, path, written string, b bound, events []string) {
	if b.unit != router.NoUnit || b.op != ">" && b.op != ">=" {
		return
	}
	slow := slices.IndexFunc(events, func(event string) bool { return router.UnitOf(event) == router.Millis })
	if slow < 0 {
		return
	}
	sent := router.Thresholds(events[slow])
	if slices.ContainsFunc(sent, func(t float64) bool { return t <= b.value }) {
		return
	}
	seconds := fmt.Sprintf("%s%gs", b.op, b.value)
	if !slices.ContainsFunc(sent, func(t float64) bool { return b.op.holds(t, b.value*1000) }) {
		seconds = ">=5s"
	}
	hint := fmt.Sprintf("write %q for latency", seconds)
	if slices.ContainsFunc(events, func(event string) bool { return router.UnitOf(event) == router.Percent }) {
		hint = fmt.Sprintf("write \"%s%g%%\" for rates, and such as %q for latency", b.op, b.value, seconds)
	}
	l.Warn(at, path, fmt.Sprintf("%s holds for every threshold of %s: a bare number is milliseconds there", written,
		events[slow]), hint)
}

// token is what credentials of Slack and Meta look like.
var token = regexp.MustCompile(`^(xox[a-z]-|xapp-|EAA[A-Za-z0-9]{20})`)

// tokens warns of credentials anywhere in a file. Routing keys look like any other id: they are found where they
// belong.
func (l *loader) tokens(n *yaml.Node, path string, depth int) {
	if depth > 50 {
		return
	}
	switch n.Kind {
	case yaml.ScalarNode:
		if token.MatchString(n.Value) {
			l.Warn(n, path, "a token stands in the file, where everybody can read it",
				"tokens are given in the environment; revoke this one")
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			l.tokens(item, fmt.Sprintf("%s[%d]", path, i), depth+1)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			l.tokens(n.Content[i+1], yamldoc.Join(path, n.Content[i].Value), depth+1)
		}
	}
}
