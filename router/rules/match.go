package rules

import (
	"maps"
	"math/bits"
	"slices"

	"flowbridge/router"
)

// match holds what a rule asks of an event: all its keys must hold. A nil list asks nothing.
type match struct {
	events      []string
	fields      []string
	wabas       []string
	oldStatuses []string
	newStatuses []string
	alertState  string // "" where the rule names none, or both
	thresholds  []bound
	flows       []flowTest
	ids         []string  // what the tests of flows come down to, sorted; nil without any
	errorTypes  []string  // normal forms
	during      []*window // the time of the event is in one of them
	except      []*window // and in none of these
	when        *when
}

// flowTest is a key that comes down to a set of flows: `flow`, or a label such as `team`.
type flowTest struct {
	key string
	ids map[string]bool
}

// onlyByName says whether a rule must name an event to be asked about it: it holds a filled form, or is our own.
func onlyByName(event string) bool {
	s := router.SignalOf(event)
	return s.Personal || s.Subject == router.SubjectBridge
}

// recovery says whether an event is one that only rules for recoveries are asked about.
func recovery(ev *router.Event) bool { return ev.Paired() && ev.AlertState == router.Deactivated }

func (m *match) recoveryOnly() bool { return m.alertState == router.Deactivated }

// flowIDs returns the flows that pass every flowTest, sorted; nil if there is no test.
func (m *match) flowIDs() []string {
	if len(m.flows) == 0 {
		return nil
	}
	ids := slices.Sorted(maps.Keys(m.flows[0].ids))
	return slices.DeleteFunc(ids, func(id string) bool {
		return slices.ContainsFunc(m.flows[1:], func(t flowTest) bool { return !t.ids[id] })
	})
}

// mayHoldThreshold says whether an event of the right unit can have threshold t.
func (m *match) mayHoldThreshold(t float64) bool {
	return m.thresholds == nil || slices.ContainsFunc(m.thresholds, func(b bound) bool { return b.op.holds(t, b.value) })
}

// match appends the places of the rules that match an event: the first, and those after rules that say
// `continue: true`. A rule that only holds at some times does not end the search where the time is not known. It allocates
// nothing unless hits is too short or a rule has `when`.
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
	case recovery(ev) != m.recoveryOnly(),
		!m.holdsEvent(ev),
		!holdsText(m.fields, ev.Field),
		!holdsText(m.wabas, ev.WABA),
		!holdsText(m.oldStatuses, ev.OldStatus),
		!holdsText(m.newStatuses, ev.NewStatus),
		m.alertState != "" && m.alertState != ev.AlertState,
		!m.holdsThreshold(ev),
		!m.holdsFlow(ev.Flow),
		!r.holdsErrorType(m.errorTypes, ev.Errors),
		!m.holdsTime(ev):
		return false
	}
	return true
}

// holdsEvent says whether an event has a name that the rule asks for. What is personal must be named, or its field.
func (m *match) holdsEvent(ev *router.Event) bool {
	switch {
	case m.events != nil:
		return slices.Contains(m.events, ev.Name)
	case onlyByName(ev.Name):
		return false
	case router.IsPersonal(ev.Name):
		return slices.Contains(m.fields, ev.Field)
	}
	return true
}

func holdsText(any []string, v string) bool { return any == nil || slices.Contains(any, v) }

func (m *match) holdsThreshold(ev *router.Event) bool {
	if m.thresholds == nil {
		return true
	}
	for _, b := range m.thresholds {
		if b.holds(ev) {
			return true
		}
	}
	return false
}

func (m *match) holdsFlow(id string) bool {
	for _, t := range m.flows {
		if !t.ids[id] {
			return false
		}
	}
	return true
}

func (r *Rules) holdsErrorType(any []string, errors []router.ErrorCount) bool {
	if any == nil {
		return true
	}
	for _, e := range errors {
		normal, ok := r.errorTypes[e.Type]
		if !ok {
			normal = router.NormalErrorType(e.Type)
		}
		if slices.Contains(any, normal) {
			return true
		}
	}
	return false
}
