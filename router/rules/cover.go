package rules

import (
	"math"
	"math/bits"
	"slices"

	"flowbridge/router"
)

// covers says that m matches every event that other matches. It may say no where that is so, never yes where it is not.
func (m *match) covers(other *match) bool {
	switch {
	case m.recoveryOnly() != other.recoveryOnly(),
		!m.coversEvents(other.events),
		!coversTexts(m.fields, other.fields),
		!coversTexts(m.wabas, other.wabas),
		!coversTexts(m.oldStatuses, other.oldStatuses),
		!coversTexts(m.newStatuses, other.newStatuses),
		!coversTexts(m.errorTypes, other.errorTypes),
		m.alertState != "" && m.alertState != other.alertState,
		!m.coversThresholds(other),
		!m.coversFlows(other),
		!m.coversTimes(other):
		return false
	}
	return m.when == nil || other.when != nil && m.when.text == other.when.text
}

// coversEvents knows that a rule without events is not asked about some.
func (m *match) coversEvents(others []string) bool {
	if m.events != nil {
		return coversTexts(m.events, others)
	}
	return !slices.ContainsFunc(others, onlyByName)
}

// coversTexts takes nil for every text.
func coversTexts(all, others []string) bool {
	return all == nil || others != nil && !slices.ContainsFunc(others, func(v string) bool { return !slices.Contains(all, v) })
}

func (m *match) coversThresholds(other *match) bool {
	if m.thresholds == nil {
		return true
	}
	return other.thresholds != nil && !slices.ContainsFunc(other.thresholds, func(b bound) bool {
		return !slices.ContainsFunc(m.thresholds, func(a bound) bool { return a.covers(b, other.events) })
	})
}

// covers says that a bound holds wherever b holds, of the given events; nil for any.
func (a bound) covers(b bound, events []string) bool {
	misfit := func(event string) bool { return !a.fits(event) }
	if a.unit != router.NoUnit && a.unit != b.unit && (events == nil || slices.ContainsFunc(events, misfit)) {
		return false
	}
	switch a.op {
	case ">=":
		return (b.op == "" || b.op == ">" || b.op == ">=") && b.value >= a.value
	case ">":
		return (b.op == "" || b.op == ">=") && b.value > a.value || b.op == ">" && b.value >= a.value
	case "<=":
		return (b.op == "" || b.op == "<" || b.op == "<=") && b.value <= a.value
	case "<":
		return (b.op == "" || b.op == "<=") && b.value < a.value || b.op == "<" && b.value <= a.value
	}
	return b.op == "" && a.value == b.value
}

func (m *match) coversFlows(other *match) bool {
	if len(m.flows) == 0 {
		return true
	}
	return other.ids != nil && !slices.ContainsFunc(other.ids, func(id string) bool { return !m.holdsFlow(id) })
}

func (m *match) coversTimes(other *match) bool {
	if m.during != nil && (other.during == nil || slices.ContainsFunc(other.during, func(w *window) bool { return !slices.Contains(m.during, w) })) {
		return false
	}
	return !slices.ContainsFunc(m.except, func(w *window) bool { return !slices.Contains(other.except, w) })
}

// mayMeet says that some event may match both; false is certain.
func (m *match) mayMeet(other *match) bool {
	apart := func(a, b []string) bool {
		return a != nil && b != nil && !slices.ContainsFunc(a, func(v string) bool { return slices.Contains(b, v) })
	}
	return !apart(m.events, other.events) && !apart(m.fields, other.fields) && !apart(m.wabas, other.wabas) && !apart(m.ids, other.ids)
}

// maxPieces bounds how far a rule is taken apart to see whether several earlier ones cover it together.
const maxPieces = 256

// pieces takes a match apart: by event, threshold, status and flow. Together they match what it matches.
func (m *match) pieces() []match {
	all := []match{*m}
	split := func(n int, set func(p *match, i int)) {
		if n < 2 || n*len(all) > maxPieces {
			return
		}
		var finer []match
		for _, p := range all {
			for i := range n {
				piece := p
				set(&piece, i)
				finer = append(finer, piece)
			}
		}
		all = finer
	}
	split(len(m.events), func(p *match, i int) { p.events = m.events[i : i+1] })
	split(len(m.newStatuses), func(p *match, i int) { p.newStatuses = m.newStatuses[i : i+1] })
	split(len(m.thresholds), func(p *match, i int) { p.thresholds = m.thresholds[i : i+1] })
	split(len(m.ids), func(p *match, i int) { p.ids = m.ids[i : i+1] })
	return all
}

// takenBefore returns the rules that take every event that rule i matches, before it is asked; all is false if some may
// reach it.
func (r *Rules) takenBefore(i int) (by []int, all bool) {
	for _, piece := range r.rules[i].match.pieces() {
		j := r.firstThatCovers(&piece, i)
		if j < 0 {
			return nil, false
		}
		if !slices.Contains(by, j) {
			by = append(by, j)
		}
	}
	slices.Sort(by)
	return by, true
}

// firstThatCovers returns the first rule before place end that takes all that a piece of a rule matches; -1 for none. What
// covers it matches any event of the piece, so that the index finds it.
func (r *Rules) firstThatCovers(piece *match, end int) int {
	ev := piece.sample()
	sets, n := r.index.sets(&ev)
	if piece.recoveryOnly() { // even where no such event exists
		sets[0] = r.index.recovery
	}
	for word := range (end + 63) / 64 {
		left := sets[0].words[word]
		for _, set := range sets[1:n] {
			left &= set.words[word]
		}
		for ; left != 0; left &= left - 1 {
			j := word*64 + bits.TrailingZeros64(left)
			if j >= end {
				return -1
			}
			if !r.rules[j].proceed && r.rules[j].match.covers(piece) {
				return j
			}
		}
	}
	return -1
}

// sample returns an event whose indexed facts are those of a match; where it takes anything, one that no rule names.
func (m *match) sample() router.Event {
	first := func(values []string) string {
		if len(values) == 0 {
			return ""
		}
		return values[0]
	}
	ev := router.Event{
		Name: first(m.events), Flow: first(m.ids), Field: first(m.fields), WABA: first(m.wabas),
		OldStatus: first(m.oldStatuses), NewStatus: first(m.newStatuses), AlertState: m.alertState,
	}
	if len(m.thresholds) > 0 {
		t := m.thresholds[0].value
		switch m.thresholds[0].op {
		case ">":
			t = math.Nextafter(t, math.Inf(1))
		case "<":
			t = math.Nextafter(t, math.Inf(-1))
		}
		ev.Threshold = &t
	}
	return ev
}

// isKnown says whether Meta documents an event, so that it is known what it carries.
func isKnown(event string) bool { return slices.Contains(router.KnownEvents(), event) }

// carriers says which of the known events have the fact that a key of match asks for.
func carriers() map[string][]string {
	of := map[string][]string{}
	for _, s := range router.Signals() {
		status := s.ByWord() && s.Subject == router.SubjectFlow
		for key, carries := range map[string]bool{
			"alert_state": s.Measured(), "threshold": s.Measured(), "error_type": s.Errors,
			"old_status": status, "new_status": status,
		} {
			if carries {
				of[key] = append(of[key], s.Name)
			}
		}
	}
	return of
}

// mayOpen says whether something that the rule matches can open an incident.
func (m *match) mayOpen() bool {
	if m.recoveryOnly() {
		return false
	}
	return m.events == nil || slices.ContainsFunc(m.events, func(event string) bool {
		switch s := router.SignalOf(event); {
		case s.ByWord():
			return s.Opens(m.newStatuses)
		case s.Measured():
			return true
		}
		return !isKnown(event)
	})
}

// aboutFlows says whether the rule can match an event of a flow.
func (m *match) aboutFlows() bool {
	if m.fields != nil && !slices.Contains(m.fields, router.FlowsField) {
		return false
	}
	if m.events == nil {
		return true
	}
	return slices.ContainsFunc(m.events, func(event string) bool {
		return !router.IsPersonal(event) && router.SubjectOf(event) == router.SubjectFlow
	})
}
