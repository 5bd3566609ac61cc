package slack

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

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
	// of what counts down the day stands among what is known
	if a := worst(n); a != nil && a.Level != "" && !a.Level.IsWord() && !router.SignalOf(a.Event).Counts {
		own = append(own, fact("Threshold", router.FormatLevel(a.Event, a.Level)))
	}
	if a := reading(n); a != nil {
		own = append(own, readingFacts(a.Event, &a.Reading)...)
	}
	if window := router.SignalOf(signalNow(n)).Window; window != 0 {
		own = append(own, fact("Measured over", router.FormatDuration(window)))
	}
	own = append(own, saidFacts(inc.Facts)...)
	if a := worst(n); a != nil {
		own = append(own, metasWord(inc.Subject, a.Level)...)
	}
	own = append(own, field{"Started", date(inc.OpenedAt)})
	own = append(own, owner(n)...)
	own = append(own, labels(inc.Labels)...)
	return few(append(own, ids(inc.Subject, inc.FlowInfo, inc.WABA, inc.Flow)...))
}

// metasWord is what Meta calls what happened, of another subject than a flow.
func metasWord(s router.Subject, of router.Level) []field {
	if word := s.Word(of); word != "" {
		return []field{fact("Meta's word", word)}
	}
	return nil
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

// ids are what Meta's managers find the subject by, beside its name.
func ids(s router.Subject, info router.FlowInfo, waba, flow string) (list []field) {
	if s.OfFlow() {
		if info.FlowName != "" {
			list = append(list, fact("Flow", flow))
		}
		return list
	}
	account := waba
	if info.AccountName != "" && s.Kind != router.SubjectAccount {
		account = info.AccountName + " (" + waba + ")"
	}
	if s.Kind != router.SubjectAccount || info.AccountName != "" {
		list = append(list, fact("Account", account))
	}
	if id, _, _ := strings.Cut(s.ID, ":"); s.Kind == router.SubjectTemplate && id != "" && !strings.HasPrefix(s.Name, id) {
		list = append(list, fact("Template id", id))
	}
	return list
}

// saidFacts are what Meta said of an account and what belongs to it, as far as it is short.
func saidFacts(all []router.Fact) (list []field) {
	for _, f := range all {
		if !isProse(f) {
			list = append(list, fact(f.Name, f.Text))
		}
	}
	return list
}

// saidProse is what Meta said in sentences: descriptions, recommendations, what to do.
func saidProse(all []router.Fact) string {
	var lines []string
	for _, f := range all {
		if isProse(f) && len(lines) < mostProse {
			lines = append(lines, "*"+line(f.Name, nameText)+":* "+line(f.Text, fieldText))
		}
	}
	return strings.Join(lines, "\n")
}

// isProse says whether a fact has too many words for a column.
func isProse(f router.Fact) bool { return utf8.RuneCountInString(f.Text) > shortFact }

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
