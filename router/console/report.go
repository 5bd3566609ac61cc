package console

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

const (
	// reportDefault and reportMost are how much time a report is about.
	reportDefault, reportMost = 7 * 24 * time.Hour, 93 * 24 * time.Hour
)

// reportFilter reads what a report is to be about: from, to, team, and the zone whose nights count.
func (c *Console) reportFilter(q *query) (f router.ReportFilter, err error) {
	now := c.cfg.Now().UTC()
	f = router.ReportFilter{From: q.time("from", now), To: q.time("to", now), Team: q.text("team"), Zone: time.UTC}
	zone := q.text("zone")
	if f.Zone, err = time.LoadLocation(zone); err != nil || zone == "Local" {
		q.problem("zone: %q is no time zone, such as Europe/Berlin", bounded(zone, maxActor))
		f.Zone = time.UTC
	}
	if f.To.IsZero() {
		f.To = now
	}
	if f.From.IsZero() {
		f.From = f.To.Add(-reportDefault)
	}
	switch {
	case !f.From.Before(f.To):
		q.problem("from is not before to")
	case f.To.Sub(f.From) > reportMost:
		q.problem("a report is about at most 93 days")
	}
	return f, q.err()
}

// report makes the report that a request asks for.
func (c *Console) report(r *http.Request, q *query) (router.Report, error) {
	f, err := c.reportFilter(q)
	if err != nil {
		return router.Report{}, err
	}
	data, err := c.store.ReportData(r.Context(), f)
	if err != nil {
		return router.Report{}, err
	}
	return router.NewReport(f, &data), nil
}

// showReport: GET /api/v1/report?from=&to=&team=&zone=
func (c *Console) showReport(r *http.Request, _ httprouter.Params) (int, any, error) {
	q, err := readQuery(r)
	if err != nil {
		return 0, nil, err
	}
	report, err := c.report(r, q)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, report, nil
}

func (c *Console) reportRoutes() []pageRoute {
	return []pageRoute{{Method: http.MethodGet, Path: "/report", Nav: "/report", View: c.reportPage}}
}

// reportView is what the page of a report shows.
type reportView struct {
	router.Report
	Periods       []option // paths
	From, To      string   // as they stand in the form
	TeamName      string
	ZoneName      string
	CSV, JSON     string
	Tables        []reportTable
	OpenList      []router.ReportOpen
	OpenMore      int64 // how many are open beside those
	TimesOf       []timesOf
	NoisiestPages string
}

// reportTable is one of its tables: flows, signals or rules.
type reportTable struct {
	Title, Of string
	Path      string // of what a line leads to, with its key at the end
	Minutes   bool
	Lines     []router.ReportLine
	More      int
}

// timesOf is how long something took.
type timesOf struct {
	Name          string
	Median, Worst string
	Count         int64
	Incident      int64
}

// rowsOfReport is how many lines a table of the page has.
const rowsOfReport = 15

// reportPage: GET /report?from=&to=&team=&zone=&format=csv
func (c *Console) reportPage(r *http.Request, _ httprouter.Params) (page, error) {
	q, err := readQuery(r)
	if err != nil {
		return page{}, err
	}
	format := oneOf(q, "format", "csv", "json")
	given := q.values
	for _, name := range []string{"from", "to", "team", "zone"} { // what a form leaves empty asks for nothing
		if given.Get(name) == "" {
			given.Del(name)
		}
	}
	report, err := c.report(r, q)
	if err != nil {
		return page{}, err
	}
	switch format {
	case "csv":
		return reportCSV(&report)
	case "json":
		return jsonFile("report.json", report)
	}
	v := reportView{Report: report, TeamName: given.Get("team"), ZoneName: given.Get("zone"), From: given.Get("from"),
		To:     given.Get("to"),
		Tables: reportTables(&report), OpenList: report.Open,
		OpenMore: report.StillOpen() - int64(len(report.Open))}
	file := func(format string) string {
		return "/report" + queryOf(url.Values{"from": {stampOf(report.From)}, "to": {stampOf(report.To)},
			"team": {v.TeamName}, "zone": {v.ZoneName}, "format": {format}})
	}
	v.CSV, v.JSON = file("csv"), file("json")
	for _, one := range []struct{ from, name string }{{"8h", "Last 8 hours"}, {"12h", "Last 12 hours"}, {"1d", "Last day"},
		{"7d", "Last week"}, {"30d", "Last 30 days"}} {
		v.Periods = append(v.Periods, option{Value: "/report" +
			queryOf(url.Values{"from": {one.from}, "team": {v.TeamName}, "zone": {v.ZoneName}}), Text: one.name,
			Chosen: v.From == one.from && v.To == "" || v.From == "" && v.To == "" && one.from == "7d"})
	}
	for _, one := range []struct {
		name string
		s    router.Spread
	}{{"Acknowledged", report.Acknowledge}, {"Resolved", report.Resolve}} {
		v.TimesOf = append(v.TimesOf, timesOf{one.name, seconds(one.s.Median), seconds(one.s.Worst), one.s.Count,
			one.s.Incident})
	}
	return page{Title: "Report", Template: "report", Data: v}, nil
}

func reportTables(report *router.Report) []reportTable {
	tables := []reportTable{
		{Title: "Flows", Of: "Flow", Path: "/?state=all&flow=", Minutes: true, Lines: report.FlowsApart()},
		{Title: "Signals", Of: "Signal", Path: "/?state=all&signal=", Lines: report.Signals},
		{Title: "Rules, the noisiest first", Of: "Rule", Path: "/?state=all&rule=", Lines: report.Rules},
	}
	for i := range tables {
		if n := len(tables[i].Lines); n > rowsOfReport {
			tables[i].Lines, tables[i].More = tables[i].Lines[:rowsOfReport], n-rowsOfReport
		}
	}
	return tables
}

func seconds(n float64) string { return router.FormatDuration(time.Duration(n * float64(time.Second))) }

// reportCSV writes a report as a table with a line for each number.
func reportCSV(report *router.Report) (page, error) {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	minutes := func(n float64) string { return strconv.FormatFloat(n, 'f', 1, 64) }
	lines := [][]string{{"part", "key", "name", "incidents", "pages", "night_pages", "flaps", "minutes", "at", "text"},
		{"period", report.Team, report.Zone, "", "", "", "", "", stampOf(report.From), stampOf(report.To)},
		{"total", "", "", number(report.Incidents), number(report.Pages), number(report.NightPages), number(report.Flaps), "",
			"", ""}}
	for _, one := range []struct {
		name string
		s    router.Spread
	}{{"acknowledge", report.Acknowledge}, {"resolve", report.Resolve}} {
		lines = append(lines, []string{"time", one.name, "median", number(one.s.Count), "", "", "",
			minutes(one.s.Median / 60), "", ""},
			[]string{"time", one.name, "worst", "", "", "", "", minutes(one.s.Worst / 60), "", incidentOrNone(one.s.Incident)})
	}
	for _, s := range report.Statuses {
		lines = append(lines, []string{"status", s.Status, "", "", "", "", "", minutes(s.Minutes), "", ""})
	}
	for _, part := range []struct {
		name string
		of   []router.ReportLine
	}{{"flow", report.Flows}, {"signal", report.Signals}, {"rule", report.Rules}} {
		for _, l := range part.of {
			lines = append(lines, []string{part.name, l.Key, l.Name, number(l.Incidents), number(l.Pages), number(l.NightPages),
				number(l.Flaps), minutes(l.Minutes), "", ""})
		}
	}
	for _, o := range report.Open {
		lines = append(lines, []string{"open", router.IncidentName(o.Number), o.What, "", "", "", "", "", stampOf(o.OpenedAt),
			o.Severity})
	}
	for _, s := range report.Ending {
		lines = append(lines, []string{"silence", s.ID, s.Of, "", "", "", "", "", stampOf(s.Until), s.Why})
	}
	for _, p := range report.Parked {
		lines = append(lines, []string{"parked", p.Notifier, "", number(p.Count), "", "", "", "", "", ""})
	}
	return csvFile("report.csv", lines)
}

func incidentOrNone(n int64) string {
	if n == 0 {
		return ""
	}
	return router.IncidentName(n)
}
