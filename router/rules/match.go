package rules

import (
	"maps"
	"math/bits"
	"slices"

	"flowbridge/router"
)

// match holds what a rule asks of an event: all its keys must hold. A nil list asks nothing.
type match struct {
	events      wanted
	fields      wanted
	wabas       wanted // ids
	subjects    wanted // kinds
	changes     wanted
	phones      wanted
	templates   wanted
	oldStatuses wanted
	newStatuses wanted
	alertState  string // "" where the rule names none, or both
	severities  severitySet
	thresholds  []bound
	notBounds   bool // none of thresholds holds
	flows       []flowTest
	ids         []string  // flows that can pass the tests of flows, sorted; nil where others can too
	errorTypes  wanted    // normal forms
	during      []*window // the time of the event is in one of them
	except      []*window // and in none of these
	when        *when
	negated     []string // keys that say `not`
}

// flowTest is a key that comes down to a set of flows: `flow`, or a label such as `team`. An account can have a label
// as well: what is said of it, and of its flows that have no such label of their own, holds then.
type flowTest struct {
	key   string
	ids   map[string]bool // of flows
	wabas map[string]bool // ids of accounts
	own   map[string]bool // flows that have the label, whatever its value
	not   bool
}

func (t *flowTest) holds(flow, waba string) bool {
	return (t.ids[flow] || t.wabas[waba] && !t.own[flow]) != t.not
}

// open says whether flows that the files do not name can pass.
func (t *flowTest) open() bool { return t.not || len(t.wabas) > 0 }

// may says whether a flow can pass, in some account.
func (t *flowTest) may(flow string) bool {
	if t.not {
		return !t.ids[flow]
	}
	return t.ids[flow] || len(t.wabas) > 0 && !t.own[flow]
}

// always says whether a flow passes in every account.
func (t *flowTest) always(flow string) bool {
	if t.not {
		return !t.ids[flow] && (len(t.wabas) == 0 || t.own[flow])
	}
	return t.ids[flow]
}

func (t *flowTest) same(other *flowTest) bool {
	return t.key == other.key && t.not == other.not && maps.Equal(t.ids, other.ids) && maps.Equal(t.wabas, other.wabas)
}

// onlyByName says whether a rule must name an event to be asked about it: it holds a filled form, or is our own.
func onlyByName(event string) bool {
	s := router.SignalOf(event)
	return s.Personal || s.Subject == router.SubjectBridge
}

// recovery says whether an event is one that only rules for recoveries are asked about, and rules that name its change.
func recovery(ev *router.Event) bool { return ev.Paired() && ev.AlertState == router.Deactivated }

func (m *match) recoveryOnly() bool { return m.alertState == router.Deactivated }

// asksOf says whether the rule is asked about an event that is a recovery, or is none. Good news is a recovery whose
// Change rules may name, "APPROVED".
func (m *match) asksOf(recovery bool) bool {
	if recovery {
		return m.recoveryOnly() || m.changes.names() != nil
	}
	return !m.recoveryOnly()
}

// flowIDs returns the flows that can pass every flowTest, sorted; nil if there is no test, or if flows that no file
// names can pass too.
func (m *match) flowIDs() []string {
	closed := slices.IndexFunc(m.flows, func(t flowTest) bool { return !t.open() })
	if closed < 0 {
		return nil
	}
	ids := slices.Sorted(maps.Keys(m.flows[closed].ids))
	ids = slices.DeleteFunc(ids, func(id string) bool { return !m.mayBeFlow(id) })
	return append([]string{}, ids...)
}

func (m *match) mayBeFlow(id string) bool {
	return !slices.ContainsFunc(m.flows, func(t flowTest) bool { return !t.may(id) })
}

// mayHoldThreshold says whether an event of the right unit can have threshold t.
func (m *match) mayHoldThreshold(t float64) bool {
	return m.thresholds == nil || m.notBounds ||
		slices.ContainsFunc(m.thresholds, func(b bound) bool { return b.op.holds(t, b.value) })
}

// match appends the places of the rules that match an event: the first, and those after rules that say
// `continue: true`. A rule that only holds at some times does not end the search where the time is not known. It
// allocates nothing unless hits is too short or a rule has `when`.
func (r *Rules) match(ev *router.Event, hits []int) []int {
	sets, n := r.index.sets(ev)
	var asked *facts // by `when`, shared by the rules
	for block := range sets[0].some {
		busy := sets[0].some[block]
		for _, set := range sets[1:n] {
			busy &= set.some[block]
		}
		for ; busy != 0; busy &= busy - 1 {
			word := block*64 + bits.TrailingZeros64(busy)
			left := sets[0].words[word]
			for _, set := range sets[1:n] {
				left &= set.words[word]
			}
			for ; left != 0; left &= left - 1 {
				i := word*64 + bits.TrailingZeros64(left)
				var ok bool
				if asked, ok = r.holds(&r.rules[i], ev, asked); !ok {
					continue
				}
				hits = append(hits, i)
				if !r.rules[i].proceed && !r.rules[i].match.perhaps(ev) {
					return hits
				}
			}
		}
	}
	return hits
}

// holds says whether every key of a rule's match holds for an event. The keys stand in the order of their
// cost, `when` last: it is asked only where all else holds.
func (r *Rules) holds(rule *rule, ev *router.Event, asked *facts) (*facts, bool) {
	m := &rule.match
	switch {
	case !r.holdsKeys(rule, ev):
		return asked, false
	case m.when == nil:
		return asked, true
	}
	return r.holdsWhen(rule, ev, asked)
}

// holdsKeys says so of every key but `when`.
func (r *Rules) holdsKeys(rule *rule, ev *router.Event) bool {
	m := &rule.match
	switch {
	case !m.asksOf(recovery(ev)),
		!m.holdsEvent(ev),
		!m.fields.holds(ev.Field),
		!m.wabas.holds(ev.WABA),
		!m.changes.holds(ev.Change),
		!m.oldStatuses.holds(ev.OldStatus),
		!m.newStatuses.holds(ev.NewStatus),
		m.alertState != "" && m.alertState != ev.AlertState,
		!m.holdsThreshold(ev),
		!m.holdsFlow(ev),
		m.subjects.asks() && !m.subjects.holds(string(subjectOf(ev))),
		!m.phones.holdsPhone(ev),
		!m.templates.holdsTemplate(ev),
		m.severities != 0 && !m.severities.has(router.DefaultSeverity(ev)),
		!r.holdsErrorType(&m.errorTypes, ev.Errors),
		!m.holdsTime(ev):
		return false
	}
	return true
}

// holdsEvent says whether an event has a name that the rule asks for. What is personal must be named, or its field.
func (m *match) holdsEvent(ev *router.Event) bool {
	switch {
	case !m.events.holds(ev.Name):
		return false
	case m.events.names() != nil:
		return true
	case onlyByName(ev.Name):
		return false
	case router.IsPersonal(ev.Name):
		return m.fields.namesOne(ev.Field)
	}
	return true
}

func (m *match) holdsThreshold(ev *router.Event) bool {
	if m.thresholds == nil {
		return true
	}
	for _, b := range m.thresholds {
		if b.holds(ev) {
			return !m.notBounds
		}
	}
	return m.notBounds
}

func (m *match) holdsFlow(ev *router.Event) bool {
	for i := range m.flows {
		if !m.flows[i].holds(ev.Flow, ev.WABA) {
			return false
		}
	}
	return true
}

func (r *Rules) holdsErrorType(asked *wanted, errors []router.ErrorCount) bool {
	if !asked.asks() {
		return true
	}
	for _, e := range errors {
		normal, ok := r.errorTypes[e.Type]
		if !ok {
			normal = router.NormalErrorType(e.Type)
		}
		if slices.Contains(asked.values, normal) {
			return !asked.not
		}
	}
	return asked.not
}
