package console

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"

	"flowbridge/router"
)

// place is where an incident belongs: the id of its flow, and the account. Of another subject than a flow, which the
// title names, it is the account alone.
type place struct{ Kind, ID, Account, Path string }

// placeOf returns where an incident belongs; nil for what belongs to no account.
func (c *Console) placeOf(inc *router.IncidentDetail) *place {
	if inc.WABA == "" || router.IsDrill(inc.Flow) {
		return nil
	}
	account := c.called(cmp.Or(inc.AccountName, c.cfg.AccountName(inc.WABA)), inc.WABA)
	if flow := router.OnlyFlow(inc.Flow); flow != "" {
		return &place{"Flow", flow, account, flowPath(router.FlowID{WABA: inc.WABA, Flow: flow})}
	}
	return &place{Kind: "Account", ID: account, Path: "/accounts/" + url.PathEscape(inc.WABA)}
}

// said fills in what Meta said beside the number, as the card does, and what the rule wants shown. Of an incident that
// is over it is what was said until then.
func (d *incidentDetail) said(inc *router.IncidentDetail, event string) {
	of := func(has func(*router.Alert) bool) *router.Alert {
		return router.LastReport(inc.Alerts, event, func(a *router.Alert) bool {
			return has(a) && (d.Active || !a.Raised.After(inc.ResolvedAt))
		})
	}
	if a := of(func(a *router.Alert) bool { return a.Value != nil }); a != nil {
		d.Facts = append(readingFacts(event, &a.Reading), d.Facts...)
	}
	for _, f := range inc.Fields {
		d.Facts = append(d.Facts, router.Fact{Name: bounded(f.Name, maxActor), Text: bounded(f.Value, maxWhy)})
	}
	if a := of(func(a *router.Alert) bool { return len(a.Errors) > 0 }); a != nil {
		d.Errors = errorLines(a.Errors)
	}
}

// readingFacts are what Meta measured beside the number that crosses levels.
func readingFacts(event string, r *router.Reading) (facts []router.Fact) {
	if v := number(r.P50); v != nil {
		facts = append(facts, router.Fact{Name: "Median", Text: router.FormatValue(event, *v)})
	}
	if v := number(r.Requests); v != nil {
		facts = append(facts, router.Fact{Name: "Requests", Text: router.FormatValue("", *v)})
	}
	return facts
}

// errorLine is one kind of error, as Meta counted it.
type errorLine struct{ Type, Share, Count, Help string }

// mostErrors bounds the kinds of errors that a page lists: it has 60 KB.
const mostErrors = 20

// errorLines lists kinds of errors, the most frequent first.
func errorLines(counts []router.ErrorCount) (lines []errorLine) {
	counts = slices.Clone(counts)
	weight := func(v *float64) float64 {
		if v = number(v); v == nil {
			return -1
		}
		return *v
	}
	slices.SortStableFunc(counts, func(a, b router.ErrorCount) int {
		return cmp.Or(cmp.Compare(weight(b.Count), weight(a.Count)), cmp.Compare(weight(b.Rate), weight(a.Rate)))
	})
	for _, one := range counts[:min(len(counts), mostErrors)] {
		line := errorLine{Type: bounded(one.Type, maxQuery)}
		if known, ok := router.DescribeError(one.Type); ok {
			line.Help = known.Help
		}
		if v := number(one.Rate); v != nil {
			line.Share = router.Percent.Format(*v)
		}
		if v := number(one.Count); v != nil {
			line.Count = router.FormatValue("", *v)
		}
		lines = append(lines, line)
	}
	if n := len(counts) - mostErrors; n > 0 {
		lines = append(lines, errorLine{Type: fmt.Sprintf("and %d more", n)})
	}
	return lines
}
