package rules

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"flowbridge/router"
)

func matchKeys() []string {
	return []string{"event", "field", "threshold", "alert_state", "flow", "waba", "old_status", "new_status", "error_type", "when"}
}

// knownEvents lists the names that a misspelt event is compared with: those of flows, and the fields of an
// account that are announced in upper case. Others may exist.
func knownEvents() []string {
	events := []string{
		router.FlowStatusChange, router.ClientErrorRate, router.EndpointErrorRate, router.EndpointLatency,
		router.EndpointAvailability, router.FlowVersionExpiryWarning, router.FlowResponse, router.ParkedDelivery,
	}
	for _, field := range accountFields() {
		events = append(events, strings.ToUpper(field))
	}
	return events
}

// accountFields lists fields of an account beside flows and messages that apps subscribe to.
func accountFields() []string {
	return []string{
		"account_alerts", "account_review_update", "account_update", "business_capability_update",
		"message_template_quality_update", "message_template_status_update", "phone_number_name_update",
		"phone_number_quality_update", "security", "template_category_update",
	}
}

func knownStatuses() []string {
	return []string{router.Draft, router.Published, router.Deprecated, router.Throttled, router.Blocked}
}

var flowID = regexp.MustCompile(`^[0-9]+$`)

// match reads what a rule asks of an event.
func (l *loader) match(e entry) (m match) {
	entries, ok := l.mapping(e.value, e.path)
	if !ok {
		return m
	}
	threshold := entry{}
	for _, k := range entries {
		switch k.key {
		case "event":
			m.events = l.eventNames(k)
		case "field":
			m.fields = l.names(k, append(accountFields(), "flows", "messages"))
		case "threshold":
			threshold = k
		case "alert_state":
			m.alertState = l.alertState(k)
		case "flow":
			m.flows = append(m.flows, l.flowTest(k))
		case "waba":
			m.wabas = l.names(k, nil)
		case "old_status":
			m.oldStatuses = l.names(k, knownStatuses())
		case "new_status":
			m.newStatuses = l.names(k, knownStatuses())
		case "error_type":
			m.errorTypes = l.errorTypeNames(k)
		case "when":
			if s, ok := l.scalar(k.value, k.path); ok {
				m.when = l.when(s)
			}
		default:
			if slices.Contains(l.rules.labels, k.key) {
				m.flows = append(m.flows, l.labelTest(k))
			} else if l.partial == 0 {
				l.unknown(k, append(matchKeys(), l.rules.labels...)...)
			}
		}
	}
	if len(m.flows) > 1 && len(m.flowIDs()) == 0 {
		l.wrong(e.at, e.path, "no flow is all of this at once, so the rule can never match", "")
	}
	if threshold.value != nil {
		m.thresholds = l.thresholds(threshold, m.events)
	}
	return m
}

func (l *loader) eventNames(e entry) (names []string) {
	all, _ := l.scalars(e.value, e.path)
	for _, s := range all {
		names = append(names, s.text)
		if s.text == router.Acknowledge || s.text == router.Resolve {
			l.wrong(s.Node, s.path, "rules are not asked about "+s.written()+": a person said it", "")
		}
		l.misspelt(s, "event", knownEvents())
	}
	return names
}

// names reads texts that Meta chooses. What nobody knows may exist; what is nearly known is misspelt.
func (l *loader) names(e entry, known []string) (names []string) {
	all, _ := l.scalars(e.value, e.path)
	for _, s := range all {
		names = append(names, s.text)
		l.misspelt(s, strings.ReplaceAll(e.key, "_", " "), known)
	}
	return names
}

func (l *loader) misspelt(s scalar, what string, known []string) {
	if near, ok := nearMiss(s.text, known); ok {
		l.wrong(s.Node, s.path, fmt.Sprintf("there is no %s %s", what, s.written()), fmt.Sprintf("did you mean %s?", quote(near)))
	}
}

// alertState reads ACTIVATED or DEACTIVATED. To name both is to name none.
func (l *loader) alertState(e entry) string {
	known := []string{router.Activated, router.Deactivated}
	named := map[string]bool{}
	all, _ := l.scalars(e.value, e.path)
	for _, s := range all {
		named[s.text] = true
		if !slices.Contains(known, s.text) {
			hint := didYouMean(s.text, known)
			if hint == "" {
				hint = "it is " + oneOf(known)
			}
			l.wrong(s.Node, s.path, "there is no alert state "+s.written(), hint)
		}
	}
	switch {
	case named[router.Activated] && named[router.Deactivated]:
		return ""
	case named[router.Deactivated]:
		return router.Deactivated
	case named[router.Activated]:
		return router.Activated
	}
	return ""
}

func (l *loader) thresholds(e entry, events []string) (bounds []bound) {
	all, _ := l.scalars(e.value, e.path)
	for _, s := range all {
		b, ok := parseBound(s.text)
		fits := func(event string) bool { return b.unit.fits(event) }
		switch {
		case !ok:
			l.wrong(s.Node, s.path, s.written()+" is no threshold", boundHint)
		case events != nil && !slices.ContainsFunc(events, fits):
			measured := "percent"
			if b.unit == percent {
				measured = "milliseconds or seconds"
			}
			l.wrong(s.Node, s.path, fmt.Sprintf("%s never holds: %s is measured in %s", s.written(), events[0], measured), "")
		}
		bounds = append(bounds, b)
	}
	return bounds
}

// flowTest reads flows by id or name. A name stands for all flows that have it.
func (l *loader) flowTest(e entry) flowTest {
	t := flowTest{key: e.key, ids: map[string]bool{}}
	all, _ := l.scalars(e.value, e.path)
	for _, s := range all {
		_, found := l.rules.flows[s.text]
		if found = found || flowID.MatchString(s.text); found {
			t.ids[s.text] = true
		}
		for id, info := range l.rules.flows {
			if info.FlowName == s.text {
				t.ids[id], found = true, true
			}
		}
		if !found {
			names := l.ofFlows(func(info router.FlowInfo) string { return info.FlowName })
			l.absent(s.Node, s.path, "no flow is called "+s.written(), cmp.Or(didYouMean(s.text, names), "name it under flows, or write its id"))
		}
	}
	return t
}

// ofFlows returns what flows have of something, sorted, without repeats and without "".
func (l *loader) ofFlows(what func(router.FlowInfo) string) (all []string) {
	for _, info := range l.rules.flows {
		if v := what(info); v != "" {
			all = append(all, v)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// labelTest reads values of a label that some flow has, and finds the flows that have them.
func (l *loader) labelTest(e entry) flowTest {
	t := flowTest{key: e.key, ids: map[string]bool{}}
	all, _ := l.scalars(e.value, e.path)
	for _, s := range all {
		found := false
		for id, info := range l.rules.flows {
			if info.Labels[e.key] == s.text {
				t.ids[id], found = true, true
			}
		}
		if !found {
			values := l.ofFlows(func(info router.FlowInfo) string { return info.Labels[e.key] })
			l.absent(s.Node, s.path, fmt.Sprintf("no flow has %s %s", e.key, s.written()),
				cmp.Or(didYouMean(s.text, values), "flows have "+shorten(strings.Join(values, ", "), 100)))
		}
	}
	return t
}

// errorTypeNames reads error types in any of their spellings.
func (l *loader) errorTypeNames(e entry) (types []string) {
	all, _ := l.scalars(e.value, e.path)
	for _, s := range all {
		types = append(types, router.NormalErrorType(s.text))
		if _, known := router.DescribeError(s.text); !known {
			names := router.KnownErrorTypes()
			slices.Sort(names)
			l.misspelt(s, "error type", names)
		}
	}
	return types
}
