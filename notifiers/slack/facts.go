package slack

import (
	"maps"
	"slices"
	"strings"

	"flowbridge/router"
)

// incidentFacts are the numbers of an incident, and whose it is.
func incidentFacts(n *router.Notification) (own []field) {
	inc := n.Incident
	if a := reading(n); a != nil {
		now := router.FormatValue(a.Event, *a.Value)
		if a.Before != nil && *a.Before != *a.Value {
			now += " (was " + router.FormatValue(a.Event, *a.Before) + ")"
		}
		own = append(own, fact("Now", now))
	}
	if a := worst(n); a != nil && a.Level != "" && !a.Level.IsWord() {
		own = append(own, fact("Threshold", router.FormatLevel(a.Event, a.Level)))
	}
	if a := reading(n); a != nil {
		own = append(own, readingFacts(a.Event, &a.Reading)...)
	}
	if window := router.SignalOf(inc.Event).Window; window != 0 {
		own = append(own, fact("Measured over", router.FormatDuration(window)))
	}
	own = append(own, field{"Started", date(inc.OpenedAt)})
	own = append(own, owner(n)...)
	own = append(own, labels(inc.Labels)...)
	if inc.Subject.Kind == "" && inc.FlowName != "" { // Meta's manager finds it by its id
		own = append(own, fact("Flow", inc.Flow))
	}
	return few(own)
}

// owner says who has it, and what services call pages of it that are not shown as such.
func owner(n *router.Notification) (list []field) {
	inc := n.Incident
	shown := inc.Pages(n.Alerts)
	var names []string
	for _, l := range inc.Links {
		if len(names) < mostLinks && !slices.ContainsFunc(shown, func(p router.PageStatus) bool { return p.Link == l }) {
			names = append(names, link(l.URL, line(l.Name(), nameText)))
		}
	}
	if inc.Owner != "" {
		list = append(list, fact("Owner", inc.Owner))
	}
	if len(names) > 0 {
		list = append(list, field{"Known as", strings.Join(names, ", ")})
	}
	return list
}

// readingFacts are the numbers beside the one that the event is about.
func readingFacts(event string, r *router.Reading) (list []field) {
	if r.P50 != nil {
		list = append(list, fact("Median", router.FormatValue(event, *r.P50)))
	}
	if r.Requests != nil {
		list = append(list, fact("Requests", router.FormatValue("", *r.Requests)))
	}
	return list
}

// labels are what the rules file says of the flow: its team, and others.
func labels(all map[string]string) (list []field) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if len(list) < mostLabels {
			list = append(list, fact(capital(name), all[name]))
		}
	}
	return list
}
