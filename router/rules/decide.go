package rules

import (
	"slices"
	"strings"

	"flowbridge/router"
)

// Decide says what the rules make of an event, as it stands: a recovery is asked only of rules that name
// alert_state: DEACTIVATED alone, or its change, and who hears of it because its opening was told is not decided here.
//
// Of Meta's events that no rule matched, all but recoveries and what is personal (router.IsPersonal) go to `default`. A
// parked delivery goes to `fallback` unless a rule names DELIVERY_PARKED, and never to the notifier it is parked
// for; so do an event that could not be folded (BRIDGE_EVENT_SET_ASIDE) and a silence of everything that begins
// (BRIDGE_EVERYTHING_SILENCED). Trouble of the bridge's own that begins and ends goes to those of `watch`, and a test
// message to the notifier that it is to try. Nothing else that a person or flowbridge itself said is decided by rules.
//
// `during` and `except` look at the event's At. Where that is zero, as with router.Event.Opening, the decision is about
// every time: Named has all who may have been told at one time or another.
//
// The lists of a decision may be those of others too: nobody writes to them.
func (r *Rules) Decide(ev *router.Event) router.Decision {
	parked := ev.ForFallback()
	if !parked && !ev.OfMeta() {
		return router.Decision{}
	}
	if router.IsDrill(ev.Flow) {
		return r.decideDrill(ev, r.decide(ev, parked))
	}
	return r.decide(ev, parked)
}

func (r *Rules) decide(ev *router.Event, parked bool) router.Decision {
	d := router.Decision{FlowInfo: r.info(ev), Version: r.cfg.Version}
	d.Ends, d.EndsBy = r.ends(ev)
	if rule := r.drilled(ev); rule != nil {
		d.Rules = rule.alone.names
		r.applyOne(&d, ev, rule)
		return d
	}
	if parked && ev.Name == router.TestMessage {
		r.applyTest(&d, ev)
		return d
	}
	var buf [8]int
	hits := r.match(ev, buf[:0])
	sure := slices.ContainsFunc(hits, func(i int) bool { return !r.rules[i].match.perhaps(ev) })
	var last *rule // that speaks after those that matched
	switch {
	case sure || recovery(ev) || router.IsPersonal(ev.Name):
	case parked && ev.Name == router.WeeklyReport:
		last = r.reported
	case parked && router.IsWatched(ev.Name):
		last = r.watched
	case parked:
		last = r.parked
	default:
		last = r.otherwise
	}
	switch {
	case len(hits) == 1 && last == nil:
		d.Rules = r.rules[hits[0]].alone.names
		r.applyOne(&d, ev, &r.rules[hits[0]])
	case len(hits) == 0 && last != nil:
		r.applyOne(&d, ev, last)
	default:
		r.applyAll(&d, ev, hits, last)
	}
	if parked && ev.Act != nil { // who cannot be told is not told that it cannot
		d.Notify = slices.DeleteFunc(slices.Clone(d.Notify),
			func(r router.Route) bool { return r.Notifier == ev.Act.Notifier })
	}
	return d
}

// applyTest names the notifier that a person wants to try, as bad as they want it.
func (r *Rules) applyTest(d *router.Decision, ev *router.Event) {
	if d.Severity = ev.Said; d.Severity == router.SeverityUnset {
		d.Severity = router.DefaultSeverity(ev)
	}
	if ev.Act == nil {
		return
	}
	if target, ok := r.Target(ev.Act.Notifier); ok {
		d.Notify, d.Named = []router.Route{{Target: target}}, []router.Target{target}
	}
}

// alone is what a rule decides where no other matches, worked out when it is read: that is nearly every event.
type alone struct {
	names  []string
	notify [router.Critical + 1][]router.Route // by severity
	named  []router.Target
}

// settle works out what the rule decides alone.
func (rule *rule) settle() {
	rule.alone.names = []string{rule.name}
	for _, route := range rule.notify {
		rule.alone.named = append(rule.alone.named, route.target)
	}
	rule.alone.named = slices.Clip(distinct(rule.alone.named))
	for severity := range rule.alone.notify {
		rule.alone.notify[severity] = slices.Clip(combine(rule.routes(nil, router.Severity(severity))))
	}
}

// routes appends whom the rule tells of a severity.
func (rule *rule) routes(to []router.Route, severity router.Severity) []router.Route {
	for _, route := range rule.notify {
		if route.severities.has(severity) {
			to = append(to, router.Route{Target: route.target, After: route.after, UnlessAcknowledged: route.unlessAck,
				Mention: route.mention, Remind: route.remind})
		}
	}
	return to
}

// applyOne fills in what one rule says.
func (r *Rules) applyOne(d *router.Decision, ev *router.Event, rule *rule) {
	d.Severity = rule.severity.of(ev)
	if d.Severity == router.SeverityUnset {
		d.Severity = router.DefaultSeverity(ev)
	}
	d.GroupBy, d.ResolveAfter, d.PageOnRise = rule.groupBy, rule.resolve.wait, rule.rise == reactPage
	d.NoteAutoResolve, d.AcknowledgedFor = rule.autoResolve == reactNote, rule.ackedFor.wait
	d.Fields = showFields(ev.Value, rule.fields)
	d.AsksForChange = rule.match.asksForChange(ev)
	d.Notify, d.Named, d.Drop = rule.alone.notify[d.Severity], rule.alone.named, rule.drop
}

// asksForChange says whether the rule names the change that a matching event is about.
func (m *match) asksForChange(ev *router.Event) bool {
	return ev.Change != "" && m.changes.namesOne(ev.Change)
}

// applyAll fills in what several rules say, since they continue, or say nothing of the time that is not known:
//   - severity, group_by, resolve_after, acknowledged_for, on_escalation, on_auto_resolve and fields are those of the
//     first rule that says something;
//   - everybody whom one of them notifies is told. A notifier that is named more than once is told at the earliest of
//     its times, and `unless: acknowledged` holds for it only if every entry says so: who is to be told in any case, by
//     one rule, is not kept in the dark by another. Whom one of them mentions is called, and the shortest time after
//     which one of them reminds counts.
func (r *Rules) applyAll(d *router.Decision, ev *router.Event, hits []int, last *rule) {
	matched := make([]*rule, 0, len(hits)+1)
	for _, i := range hits {
		matched = append(matched, &r.rules[i])
		d.Rules = append(d.Rules, r.rules[i].name)
	}
	if last != nil {
		matched = append(matched, last)
	}
	var fields []string
	var resolve, ackedFor hold
	var rise, autoResolve reaction
	for _, rule := range matched {
		d.AsksForChange = d.AsksForChange || rule.match.asksForChange(ev)
		if d.Severity == router.SeverityUnset {
			d.Severity = rule.severity.of(ev)
		}
		if d.GroupBy == router.GroupBySignal {
			d.GroupBy = rule.groupBy
		}
		if !resolve.said {
			resolve = rule.resolve
		}
		if !ackedFor.said {
			ackedFor = rule.ackedFor
		}
		if rise == reactUnset {
			rise = rule.rise
		}
		if autoResolve == reactUnset {
			autoResolve = rule.autoResolve
		}
		if fields == nil {
			fields = rule.fields
		}
	}
	if d.Severity == router.SeverityUnset {
		d.Severity = router.DefaultSeverity(ev)
	}
	d.ResolveAfter, d.PageOnRise, d.NoteAutoResolve = resolve.wait, rise == reactPage, autoResolve == reactNote
	d.AcknowledgedFor = ackedFor.wait
	d.Fields = showFields(ev.Value, fields)
	for _, rule := range matched {
		d.Named = append(d.Named, rule.alone.named...)
		d.Notify = rule.routes(d.Notify, d.Severity)
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
			kept[n-1].Remind = router.Oftener(kept[n-1].Remind, route.Remind)
			kept[n-1].Mention = router.Union(kept[n-1].Mention, route.Mention)
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
