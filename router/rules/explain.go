package rules

import (
	"fmt"
	"slices"
	"strings"

	"flowbridge/router"
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
	var drilled *rule // that acts whatever its match
	if r.decidesOn(ev) {
		drilled = r.drilled(ev)
	}
	for i := range r.rules {
		rule := &r.rules[i]
		a := Asked{Rule: rule.name, Place: rule.place}
		if drilled != nil {
			a.drill(drilled == rule)
		} else if ended {
			a.Skipped = "the search has ended"
		}
		if drilled != nil || ended {
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
		if drilled != nil {
			a.drill(drilled == r.otherwise)
		} else if a.Matched = a.Skipped == ""; a.Matched {
			spoke = append(spoke, r.otherwise)
		}
		x.Rules = append(x.Rules, a)
	}
	if drilled != nil {
		spoke = []*rule{drilled}
	}
	x.Routes = explainRoutes(ev, &x.Decision, spoke)
	return x
}

// drill is what comes of a rule where a drill names the one that acts.
func (a *Asked) drill(named bool) {
	if a.Matched = named; !named {
		a.Skipped = "the drill names the rule that acts"
	}
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
func explainRoutes(ev *router.Event, d *router.Decision, spoke []*rule) (all []Told) {
	seen, opens := map[string]bool{}, d.Opens(ev.SignalKey())
	for _, rule := range spoke {
		for _, route := range rule.notify {
			t := Told{Rule: rule.name, Place: route.at, Notifier: route.target.Notifier, Kind: route.target.Kind}
			final := slices.IndexFunc(d.Notify, func(r router.Route) bool { return r.Notifier == t.Notifier })
			switch {
			case !route.severities.has(d.Severity):
				t.Why = fmt.Sprintf("the severity is %s, and it is told of %s", d.Severity, route.severities)
			case final < 0 && router.IsDrill(ev.Flow):
				t.Why = "it pages, and drills page nobody without drill: page"
			case final < 0:
				t.Why = "it is what could not be told"
			case seen[t.Notifier]:
				t.Why = "named above already"
			default:
				t.Tells, t.When = true, explainWhen(d.Notify[final])
				if !slices.ContainsFunc(opens, func(r router.Route) bool { return r.Notifier == t.Notifier }) {
					t.When = "at once, as news: it pages from severity error on"
				}
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

// String writes a bound as it can stand in a rules file.
func (b bound) String() string {
	switch b.unit {
	case router.Percent:
		return fmt.Sprintf("%s%v%%", b.op, b.value)
	case router.Millis:
		return fmt.Sprintf("%s%s", b.op, strings.ReplaceAll(b.unit.Format(b.value), " ", ""))
	case router.Days:
		return fmt.Sprintf("%s%vd", b.op, b.value)
	}
	return fmt.Sprintf("%s%v", b.op, b.value)
}
