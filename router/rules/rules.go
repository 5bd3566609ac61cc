// Package rules reads a rules file, reports every mistake in it with its position, and decides who is told
// of an event and in which words. It is pure: no clock, no goroutines, no environment but what Config hands
// in and the time zone database. Folding what it decides is left to package router, telling anybody to the notifiers.
package rules

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"flowbridge/router"
)

// Config is what the rules may know of the world. The zero Config knows nothing: every ${} is a mistake.
type Config struct {
	// Env looks up ${NAME}. Default: no variable is set.
	Env func(name string) (value string, ok bool)
	// ReadFile reads ${file:PATH}; white space around the content is dropped. Default: no file can be read.
	ReadFile func(path string) ([]byte, error)
	// StandIns says that nobody will be told anything: what a variable that is not set or empty, or a file that is not
	// there, stands for is something of the right form. Default: that is a mistake.
	StandIns bool
	// Samples are events as Meta sends them: expressions and templates are tried on them when they are read, so that one
	// that takes too much is a mistake. Default: none.
	Samples []router.Event
	// Version is what every Decision names the rules by. Default: "".
	Version string
	// OnTemplateError is told that the title or text of a rule failed at run time; the built-in words are
	// used then. It may be called from several goroutines. Default: nobody is told.
	OnTemplateError func(rule string, err error)
	// OnWhenError is told that the `when` of a rule failed at run time, which counts as no match. It may be
	// called from several goroutines. Default: nobody is told.
	OnWhenError func(rule string, err error)
}

// Rules is a rules file without mistakes. It never changes and may be used by several goroutines.
type Rules struct {
	cfg        Config
	flows      map[string]router.FlowInfo // by id; shared, so never written
	accounts   map[string]router.FlowInfo // by id; they name no flow
	labels     []string                   // keys that some flow or account has, sorted
	targets    map[string]router.Target   // by name
	windows    map[string]*window         // by name
	allow      map[string][]string        // by notifier: who may press buttons
	drillsPage map[string]bool            // notifiers that page and are told of drills all the same
	watch      Watch
	watchTells []route // `watch: notify`
	watched    *rule   // tells of trouble of the bridge's own that no rule names; nil if it tells nobody
	drill      Drill
	report     Report
	reported   *rule // tells of reports; nil if nobody is told
	rules      []rule
	byName     map[string]*rule
	otherwise  *rule                    // `default`; nil if there is none
	unheard    map[string]time.Duration // by event: see UnheardAfter
	probes     map[string]probe         // by flow: see Probe
	// by account
	accountProbes map[string]probe
	versions      map[string]time.Time // by version of the Flow JSON: when it expires
	fallback      string               // name of a notifier; "" if there is none
	parked        *rule                // tells fallback of parked deliveries; nil if there is none
	index         index
	errorTypes    map[string]string // normal forms of the spellings to expect
	personal      []string          // fields with personal data that some rule asks for: see WantsField
	plain         bool              // expressions and templates are left out: see Plain
}

var _ router.Rules = (*Rules)(nil)

// rule is one entry of `rules`, or `default`.
type rule struct {
	name        string
	path        string // "rules[2]"
	place       Place
	places      map[string]Place // of the keys of match, and of during and except
	match       match
	notify      []route
	severity    severityRule
	groupBy     router.GroupBy
	resolve     hold
	ackedFor    hold
	rise        reaction
	riseAt      Place
	autoResolve reaction
	fields      []string
	words       words
	proceed     bool // continue: true
	drop        bool
	alone       alone
}

// hold is what a rule says of `resolve_after` or `acknowledged_for`.
type hold struct {
	said bool
	wait time.Duration
}

// reaction is what a rule says of `on_escalation`, what happens when an incident that somebody has acknowledged gets
// worse, and of `on_auto_resolve`, what happens when PagerDuty ends a page by itself while Meta still reports the
// trouble.
type reaction string

const (
	reactUnset reaction = ""
	reactNote  reaction = "note" // those who were told see it
	reactPage  reaction = "page" // and those who page are told anew
)

// route is one entry of `notify`.
type route struct {
	target     router.Target
	severities severitySet
	after      time.Duration
	unlessAck  bool
	mention    []string
	remind     time.Duration
	at         Place
}

// defaultName is how decisions, incidents and notices call the entry `default`.
const defaultName = "default"

// Version is that of the Config that they were read with.
func (r *Rules) Version() string { return r.cfg.Version }

// build makes what decisions need of rules that are read.
func (r *Rules) build() {
	r.byName = make(map[string]*rule, len(r.rules))
	for i := range r.rules {
		r.byName[r.rules[i].name] = &r.rules[i]
		r.rules[i].settle()
	}
	if r.otherwise != nil {
		r.byName[defaultName] = r.otherwise
		r.otherwise.settle()
	}
	if fallback, ok := r.Fallback(); ok {
		r.parked = &rule{notify: []route{{target: fallback}}}
		r.parked.settle()
	}
	if tells := r.watchRoutes(); len(tells) > 0 {
		r.watched = &rule{notify: tells}
		r.watched.settle()
	}
	r.index = newIndex(r.rules)
	r.personal = r.wantedFields()
	r.errorTypes = errorSpellings()
}

// errorSpellings maps the spellings of error types that Meta is known to use to their normal forms, so
// that matching one allocates nothing.
func errorSpellings() map[string]string {
	spellings := map[string]string{}
	for _, t := range router.KnownErrorTypes() {
		for _, s := range []string{t, strings.ReplaceAll(t, "_", "-"), strings.ReplaceAll(t, "-", "_")} {
			spellings[s] = router.NormalErrorType(s)
			spellings[strings.ToUpper(s)] = router.NormalErrorType(s)
		}
	}
	return spellings
}

// Plain returns the same rules without their expressions and templates: a rule with an expression matches nothing, and
// there are the built-in words only. Each that is left out is told as a fault.
func (r *Rules) Plain() router.Rules {
	plain := *r
	plain.plain = true
	return &plain
}

// errLeftOut is what is told of what Plain leaves out.
var errLeftOut = errors.New("left out: the process ended on this event, again and again")

// Fallback returns the notifier that is told when a delivery is parked; ok is false if the file names none.
func (r *Rules) Fallback() (t router.Target, ok bool) { return r.Target(r.fallback) }

// Target returns a notifier by its name.
func (r *Rules) Target(name string) (t router.Target, ok bool) {
	t, ok = r.targets[name]
	return t, ok
}

// Targets returns every notifier, sorted by name.
func (r *Rules) Targets() []router.Target {
	targets := make([]router.Target, 0, len(r.targets))
	for _, name := range slices.Sorted(maps.Keys(r.targets)) {
		targets = append(targets, r.targets[name])
	}
	return targets
}

// Allow returns the ids of the Slack users and user groups who alone may press the buttons of a notifier's messages;
// nil lets everybody in the channel.
func (r *Rules) Allow(notifier string) []string { return slices.Clone(r.allow[notifier]) }

// WantsField says whether some rule asks for what comes under a field of the account that holds what people write or
// who they are: for filled forms under messages, for a field of router.ChatFields by its name. If none does, its
// changes need not be looked at.
func (r *Rules) WantsField(field string) bool { return slices.Contains(r.personal, field) }

// Wants says whether some rule may tell somebody of an event under such a field. Expressions are not run and the time
// is not looked at: what they keep a rule from is found out when the event is folded.
func (r *Rules) Wants(ev *router.Event) bool {
	timeless := *ev
	timeless.At = time.Time{}
	for i := range r.rules {
		rule := &r.rules[i]
		if !r.holdsKeys(rule, &timeless) {
			continue
		}
		if !rule.drop {
			return true
		}
		if rule.match.when == nil && !rule.match.perhaps(&timeless) {
			return false
		}
	}
	return false
}

// wantedFields returns the fields with personal data that some rule asks for.
func (r *Rules) wantedFields() (fields []string) {
	for i := range r.rules {
		if r.rules[i].drop {
			continue
		}
		m := &r.rules[i].match
		for _, name := range m.events.names() {
			switch field := strings.ToLower(name); {
			case router.SignalOf(name).Personal:
				fields = append(fields, router.FieldOf(name))
			case router.ChatField(field) != "":
				fields = append(fields, field)
			}
		}
		for _, field := range m.fields.names() {
			if router.ChatField(field) != "" {
				fields = append(fields, field)
			}
		}
	}
	return fields
}

// rule returns a rule by the name that decisions give it, or nil.
func (r *Rules) rule(name string) *rule { return r.byName[name] }

// PlaceOf returns where a rule stands.
func (r *Rules) PlaceOf(name string) Place {
	if rule := r.rule(name); rule != nil {
		return rule.place
	}
	return Place{}
}

// Names returns the names of the rules, in the order of the file, with where they stand. `default` is last.
func (r *Rules) Names() (names []string, places []Place) {
	for i := range r.rules {
		names, places = append(names, r.rules[i].name), append(places, r.rules[i].place)
	}
	if r.otherwise != nil {
		names, places = append(names, defaultName), append(places, r.otherwise.place)
	}
	return names, places
}

// Naming returns the rules that tell a notifier, in the order of the file: their names, `default`, and fallback.
func (r *Rules) Naming(notifier string) (names []string) {
	tells := func(rule *rule) bool {
		return slices.ContainsFunc(rule.notify, func(route route) bool { return route.target.Notifier == notifier })
	}
	for i := range r.rules {
		if tells(&r.rules[i]) {
			names = append(names, r.rules[i].name)
		}
	}
	if r.otherwise != nil && tells(r.otherwise) {
		names = append(names, defaultName)
	}
	if r.fallback == notifier && notifier != "" {
		names = append(names, "fallback")
	}
	return names
}

// Flow returns what the rules file says of a flow.
func (r *Rules) Flow(id string) router.FlowInfo { return r.flows[id] }

// info returns what the files say of the flow of an event and of its account. It allocates only where both have labels.
func (r *Rules) info(ev *router.Event) router.FlowInfo {
	info, account := r.flows[ev.Flow], r.accounts[ev.WABA]
	info.AccountName = account.AccountName
	if ev.Flow == "" {
		info.Runbook = account.Runbook
	}
	switch {
	case len(info.Labels) == 0 && len(account.Labels) > 0:
		info.Labels = account.Labels
	case len(account.Labels) > 0:
		labels := maps.Clone(account.Labels)
		maps.Copy(labels, info.Labels)
		info.Labels = labels
	}
	return info
}

// Account returns what the rules file says of a WhatsApp Business Account.
func (r *Rules) Account(id string) router.FlowInfo { return r.accounts[id] }

// NamedAccounts returns the ids of the accounts that the files name, sorted.
func (r *Rules) NamedAccounts() []string { return slices.Sorted(maps.Keys(r.accounts)) }

// RuleBehind returns the name of the first rule of a decision that tells a notifier.
func (r *Rules) RuleBehind(d *router.Decision, notifier string) string {
	for _, name := range d.Rules {
		rule := r.rule(name)
		if slices.ContainsFunc(rule.notify, func(route route) bool {
			return route.target.Notifier == notifier && route.severities.has(d.Severity)
		}) {
			return name
		}
	}
	return d.Rule()
}
