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
	case other.mayRecover() && !m.asksOf(true), other.asksOf(false) && !m.asksOf(false),
		!m.coversEvents(other),
		!m.fields.covers(&other.fields),
		!m.wabas.covers(&other.wabas),
		!m.subjects.covers(&other.subjects),
		!m.changes.covers(&other.changes),
		!m.phones.covers(&other.phones),
		!m.templates.covers(&other.templates),
		!m.oldStatuses.covers(&other.oldStatuses),
		!m.newStatuses.covers(&other.newStatuses),
		!m.errorTypes.covers(&other.errorTypes),
		m.severities != 0 && (other.severities == 0 || other.severities&^m.severities != 0),
		m.alertState != "" && m.alertState != other.alertState,
		!m.coversThresholds(other),
		!m.coversFlows(other),
		!m.coversTimes(other):
		return false
	}
	return m.when == nil || other.when != nil && m.when.text == other.when.text
}

// coversEvents knows that a rule without events is not asked about some.
func (m *match) coversEvents(other *match) bool {
	if m.events.names() == nil && slices.ContainsFunc(other.events.names(), onlyByName) {
		return false
	}
	return m.events.covers(&other.events)
}

// mayRecover says whether the rule is asked about recoveries that can be.
func (m *match) mayRecover() bool {
	if !m.asksOf(true) || m.recoveryOnly() {
		return m.recoveryOnly()
	}
	if m.alertState == router.Activated {
		return false
	}
	return m.events.names() == nil || slices.ContainsFunc(m.events.names(), func(event string) bool {
		c, known := router.ChangesOf(event)
		return !known || c.Any || c.Apart || slices.ContainsFunc(m.changes.names(), func(word string) bool {
			return !slices.Contains(c.Opens, word) && !slices.Contains(c.News, word)
		})
	})
}

func (m *match) coversThresholds(other *match) bool {
	switch {
	case m.thresholds == nil:
		return true
	case m.notBounds || other.notBounds:
		return m.notBounds == other.notBounds && slices.Equal(m.thresholds, other.thresholds)
	}
	return other.thresholds != nil && !slices.ContainsFunc(other.thresholds, func(b bound) bool {
		return !slices.ContainsFunc(m.thresholds, func(a bound) bool { return a.covers(b, other.events.names()) })
	})
}

// covers says that a bound holds wherever b holds, of the given events; nil for any.
func (a bound) covers(b bound, events []string) bool {
	misfit := func(event string) bool { return !a.fits(event) }
	if a.unit != router.NoUnit && a.unit != b.unit && (events == nil || slices.ContainsFunc(events, misfit)) {
		return false
	}
	if a.unit == router.NoUnit && b.unit == router.Days {
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
	return !slices.ContainsFunc(m.flows, func(t flowTest) bool {
		if slices.ContainsFunc(other.flows, func(o flowTest) bool { return t.same(&o) }) {
			return false
		}
		return other.ids == nil || slices.ContainsFunc(other.ids, func(id string) bool { return !t.always(id) })
	})
}

func (m *match) coversTimes(other *match) bool {
	if m.during != nil && (other.during == nil ||
		slices.ContainsFunc(other.during, func(w *window) bool { return !slices.Contains(m.during, w) })) {
		return false
	}
	return !slices.ContainsFunc(m.except, func(w *window) bool { return !slices.Contains(other.except, w) })
}

// mayMeet says that some event may match both; false is certain.
func (m *match) mayMeet(other *match) bool {
	apart := func(a, b []string) bool {
		return a != nil && b != nil && !slices.ContainsFunc(a, func(v string) bool { return slices.Contains(b, v) })
	}
	return !m.events.apart(&other.events) && !m.fields.apart(&other.fields) && !m.wabas.apart(&other.wabas) &&
		!m.subjects.apart(&other.subjects) && !m.changes.apart(&other.changes) && !apart(m.ids, other.ids)
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
	one := func(w wanted, i int) wanted { return wanted{values: w.values[i : i+1]} }
	split(len(m.events.names()), func(p *match, i int) { p.events = one(m.events, i) })
	split(len(m.changes.names()), func(p *match, i int) { p.changes = one(m.changes, i) })
	split(len(m.newStatuses.names()), func(p *match, i int) { p.newStatuses = one(m.newStatuses, i) })
	if !m.notBounds {
		split(len(m.thresholds), func(p *match, i int) { p.thresholds = m.thresholds[i : i+1] })
	}
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

// firstThatCovers returns the first rule before place end that takes all that a piece of a rule matches; -1 for none.
// What covers it matches any event of the piece, so that the index finds it.
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
		Name: first(m.events.names()), Flow: first(m.ids), Field: first(m.fields.names()), WABA: first(m.wabas.names()),
		OldStatus: first(m.oldStatuses.names()), NewStatus: first(m.newStatuses.names()), AlertState: m.alertState,
		Change: first(m.changes.names()), Subject: router.Subject{Kind: router.SubjectKind(first(m.subjects.names()))},
	}
	if ev.Subject.Kind == "" {
		ev.Subject.Kind = "any" // one that no rule names
	}
	if len(m.thresholds) > 0 && !m.notBounds {
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
			"alert_state": s.Measured() && !s.Counts, "threshold": s.Measured(), "error_type": s.Errors,
			"old_status": status, "new_status": status,
		} {
			if carries {
				of[key] = append(of[key], s.Name)
			}
		}
	}
	for _, event := range router.KnownEvents() {
		c, ok := router.ChangesOf(event)
		if !ok {
			continue
		}
		of["change"] = append(of["change"], event)
		if len(c.Opens)+len(c.Ends) > 0 && !slices.Contains(of["alert_state"], event) {
			of["alert_state"] = append(of["alert_state"], event)
		}
		switch router.SubjectOf(event) {
		case router.SubjectPhone:
			of["phone"] = append(of["phone"], event)
		case router.SubjectTemplate:
			of["template"] = append(of["template"], event)
		}
	}
	return of
}

// mayOpen says whether something that the rule matches can open an incident.
func (m *match) mayOpen() bool {
	if m.recoveryOnly() {
		return false
	}
	return m.events.names() == nil || slices.ContainsFunc(m.events.names(), func(event string) bool {
		if c, ok := router.ChangesOf(event); ok {
			opens := func(word string) bool { return slices.Contains(c.Opens, word) }
			return c.Any && len(c.Opens) > 0 || m.changes.names() == nil && len(c.Opens) > 0 ||
				slices.ContainsFunc(m.changes.names(), opens)
		}
		switch s := router.SignalOf(event); {
		case s.ByWord():
			return s.Opens(m.newStatuses.names())
		case s.Measured():
			return true
		}
		return !isKnown(event)
	})
}

// aboutFlows says whether the rule can match an event of a flow.
func (m *match) aboutFlows() bool {
	if !m.fields.holds(router.FlowsField) || !m.subjects.holds(string(router.SubjectFlow)) ||
		m.changes.names() != nil || m.phones.names() != nil || m.templates.names() != nil {
		return false
	}
	if m.events.names() == nil {
		return true
	}
	return slices.ContainsFunc(m.events.names(), func(event string) bool {
		return !router.IsPersonal(event) && router.SubjectOf(event) == router.SubjectFlow
	})
}
