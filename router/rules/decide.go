package rules

import (
	"slices"
	"strings"

	"flowbridge/router"
)

// Decide says what the rules make of an event, as it stands: a recovery is asked only of rules that name
// alert_state: DEACTIVATED alone, and who hears of it because its opening was told is not decided here.
//
// Of Meta's events that no rule matched, all but recoveries and FLOW_RESPONSE go to `default`. A parked
// delivery goes to `fallback` unless a rule names DELIVERY_PARKED, and never to the notifier it is parked
// for. Nothing else that a person or flowbridge itself said is decided by rules.
//
// `during` and `except` look at the event's At. Where that is zero, as with router.Event.Opening, the decision is about
// every time: Named has all who may have been told at one time or another.
func (r *Rules) Decide(ev *router.Event) router.Decision {
	parked := ev.Source == router.SourceFlowbridge && ev.Name == router.ParkedDelivery
	if !parked && ev.Source != router.SourceMeta {
		return router.Decision{}
	}
	d := router.Decision{FlowInfo: r.flows[ev.Flow]}
	var buf [8]int
	hits := r.match(ev, buf[:0])
	matched := make([]*rule, len(hits), len(hits)+1)
	sure := false
	for i, hit := range hits {
		matched[i] = &r.rules[hit]
		d.Rules = append(d.Rules, matched[i].name)
		sure = sure || !matched[i].match.perhaps(ev)
	}
	switch {
	case sure || recovery(ev) || ev.Name == router.FlowResponse:
	case parked:
		if fallback, ok := r.Fallback(); ok {
			matched = append(matched, &rule{notify: []route{{target: fallback}}})
		}
	case r.otherwise != nil:
		matched = append(matched, r.otherwise)
	}
	r.apply(&d, ev, matched)
	if parked && ev.Act != nil { // who cannot be told is not told that it cannot
		d.Notify = slices.DeleteFunc(d.Notify, func(r router.Route) bool { return r.Notifier == ev.Act.Notifier })
	}
	return d
}

// apply fills in what the matching rules say, where several do because they continue:
//   - severity, group_by, resolve_after, on_escalation and fields are those of the first rule that says something;
//   - everybody whom one of them notifies is told. A notifier that is named more than once is told at the earliest of its
//     times, and `unless: acknowledged` holds for it only if every entry says so: who is to be told in any case, by one rule,
//     is not kept in the dark by another.
func (r *Rules) apply(d *router.Decision, ev *router.Event, matched []*rule) {
	var fields []string
	var resolve hold
	var rise onRise
	for _, rule := range matched {
		if d.Severity == router.SeverityUnset {
			d.Severity = rule.severity.of(ev)
		}
		if d.GroupBy == router.GroupBySignal {
			d.GroupBy = rule.groupBy
		}
		if !resolve.said {
			resolve = rule.resolve
		}
		if rise == riseUnset {
			rise = rule.rise
		}
		if fields == nil {
			fields = rule.fields
		}
	}
	if d.Severity == router.SeverityUnset {
		d.Severity = router.DefaultSeverity(ev)
	}
	d.ResolveAfter, d.PageOnRise = resolve.wait, rise == risePage
	d.Fields = showFields(ev.Value, fields)
	for _, rule := range matched {
		for _, route := range rule.notify {
			d.Named = append(d.Named, route.target)
			if route.severities.has(d.Severity) {
				d.Notify = append(d.Notify, router.Route{Target: route.target, After: route.after, UnlessAcknowledged: route.unlessAck})
			}
		}
		// What an earlier rule has told somebody of cannot be forgotten any more; the search ends all the same.
		d.Drop = rule.drop && len(d.Notify) == 0
	}
	d.Notify, d.Named = combine(d.Notify), distinct(d.Named)
}

// combine sorts routes by notifier and makes one of those of the same notifier.
func combine(routes []router.Route) []router.Route {
	slices.SortStableFunc(routes, func(a, b router.Route) int { return strings.Compare(a.Notifier, b.Notifier) })
	kept := routes[:0]
	for _, route := range routes {
		if n := len(kept); n > 0 && kept[n-1].Notifier == route.Notifier {
			kept[n-1].After = min(kept[n-1].After, route.After)
			kept[n-1].UnlessAcknowledged = kept[n-1].UnlessAcknowledged && route.UnlessAcknowledged
			continue
		}
		kept = append(kept, route)
	}
	return kept
}

// distinct sorts targets by notifier and drops repeats.
func distinct(targets []router.Target) []router.Target {
	slices.SortFunc(targets, func(a, b router.Target) int { return strings.Compare(a.Notifier, b.Notifier) })
	return slices.Compact(targets)
}
