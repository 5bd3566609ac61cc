package slack

import (
	"fmt"
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
	own = append(own, field{"Started", date(inc.OpenedAt)})
	own = append(own, owner(inc)...)
	return few(append(own, labels(inc.Labels)...))
}

// owner says who has it, and what services call it.
func owner(inc *router.Incident) (list []field) {
	var names []string
	for _, l := range inc.Links[:min(len(inc.Links), mostLinks)] {
		name := l.ID
		if l.Number != 0 {
			name = fmt.Sprintf("#%d", l.Number)
		}
		names = append(names, link(l.URL, line(name, nameText)))
	}
	theirs := strings.Join(names, ", ")
	switch {
	case inc.Owner != "" && theirs != "":
		return []field{{"Owner", line(inc.Owner, factText) + " (PagerDuty " + theirs + ")"}}
	case inc.Owner != "":
		return []field{fact("Owner", inc.Owner)}
	case theirs != "":
		return []field{{"PagerDuty", theirs}}
	}
	return nil
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
