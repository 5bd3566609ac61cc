package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"flowbridge/router"
)

// reportCommand is `flowbridge report`.
type reportCommand struct {
	From   string     `placeholder:"TIME" help:"From this time on: how long ago (12h, 7d), a day (2026-03-02), or a time (RFC 3339). Default: 7 days before --to."`
	To     string     `placeholder:"TIME" help:"Before this time, likewise. Default: now."`
	Team   string     `help:"Only what concerns flows with this label team."`
	Zone   string     `placeholder:"NAME" help:"Time zone whose nights, 22:00 to 06:00, count: Europe/Berlin. Default: UTC."`
	Bridge adminFlags `embed:""`
}

// Run prints the report, or the API's answer.
func (c reportCommand) Run(ctx context.Context, p *program) error {
	client, err := c.Bridge.client(p)
	if err != nil {
		return err
	}
	q := url.Values{}
	for name, value := range map[string]string{"from": c.From, "to": c.To, "team": c.Team, "zone": c.Zone} {
		if value != "" {
			q.Set(name, value)
		}
	}
	var raw json.RawMessage
	if err := client.call(ctx, "GET", "/api/v1/report?"+q.Encode(), nil, &raw); err != nil {
		return asUsage(err)
	}
	if c.Bridge.JSON {
		return printJSON(p.Stdout, raw)
	}
	var report router.Report
	if err := json.Unmarshal(raw, &report); err != nil {
		return err
	}
	return printReport(p.Stdout, &report)
}

// reportRows is how many flows, signals and rules are printed.
const reportRows = 10

// printReport writes a report for people.
func printReport(w io.Writer, r *router.Report) error {
	const form = "2006-01-02 15:04"
	of := ""
	if r.Team != "" {
		of = " of " + clean(r.Team)
	}
	fmt.Fprintf(w, "report%s from %s to %s UTC; nights are 22:00 to 06:00 %s\n\n", of, r.From.UTC().Format(form),
		r.To.UTC().Format(form), r.Zone)
	if r.Cut {
		fmt.Fprint(w, "There was more than one report takes: the newest of it was counted.\n\n")
	}
	rows := [][]string{
		{"incidents", fmt.Sprintf("%d opened, %d were open before, %d resolved, %d still open", r.Incidents, r.Before,
			r.Resolved, r.StillOpen())},
		{"pages", fmt.Sprintf("%d, %d of them at night", r.Pages, r.NightPages)},
		{"acknowledged", spreadWords(&r.Acknowledge)},
		{"resolved", spreadWords(&r.Resolve)},
		{"came back", router.FormatTimes(r.Flaps)},
	}
	for _, s := range r.Statuses {
		rows = append(rows, []string{s.Status, fmt.Sprintf("%.0f min, %s", s.Minutes, counted(int(s.Flows), "flow"))})
	}
	if err := printTable(w, rows); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		of   []router.ReportLine
	}{{"FLOW", r.FlowsApart()}, {"SIGNAL", r.Signals}, {"RULE", r.Rules}} {
		if err := printReportLines(w, part.name, part.of); err != nil {
			return err
		}
	}
	return printOutlook(w, r)
}

func spreadWords(s *router.Spread) string {
	if s.Count == 0 {
		return "none"
	}
	words := func(n float64) string { return router.FormatDuration(time.Duration(n * float64(time.Second))) }
	return fmt.Sprintf("%d, median %s, worst %s (%s)", s.Count, words(s.Median), words(s.Worst),
		router.IncidentName(s.Incident))
}

func printReportLines(w io.Writer, name string, lines []router.ReportLine) error {
	if len(lines) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	rows := [][]string{{name, "INCIDENTS", "PAGES", "AT NIGHT", "CAME BACK", "MIN THROTTLED OR BLOCKED"}}
	for _, l := range lines[:min(len(lines), reportRows)] {
		minutes := ""
		if l.Minutes > 0 {
			minutes = fmt.Sprintf("%.0f", l.Minutes)
		}
		rows = append(rows, []string{cmp.Or(l.Name, l.Key), number(l.Incidents), number(l.Pages), number(l.NightPages),
			number(l.Flaps), minutes})
	}
	if name != "FLOW" {
		for i := range rows {
			rows[i] = rows[i][:5]
		}
	}
	if err := printTable(w, rows); err != nil {
		return err
	}
	if more := len(lines) - reportRows; more > 0 {
		_, err := fmt.Fprintf(w, "and %d more: see --json\n", more)
		return err
	}
	return nil
}

// printOutlook prints what the next shift should know.
func printOutlook(w io.Writer, r *router.Report) error {
	now := r.To
	if len(r.Open) > 0 {
		fmt.Fprintln(w)
		rows := [][]string{{"STILL OPEN", "SEVERITY", "WHAT", "FOR", "OWNER"}}
		for _, o := range r.Open {
			rows = append(rows, []string{router.IncidentName(o.Number), o.Severity, o.What,
				router.FormatDuration(now.Sub(o.OpenedAt)), o.Owner})
		}
		if err := printTable(w, rows); err != nil {
			return err
		}
		if more := r.StillOpen() - int64(len(r.Open)); more > 0 {
			fmt.Fprintf(w, "and %d more: see flowbridge incidents\n", more)
		}
	}
	if len(r.Ending) > 0 {
		fmt.Fprintln(w)
		rows := [][]string{{"SILENCE", "OF", "ENDS", "BY", "WHY"}}
		for _, s := range r.Ending {
			rows = append(rows, []string{s.ID, s.Of, clock(&s.Until), s.By, s.Why})
		}
		if err := printTable(w, rows); err != nil {
			return err
		}
	}
	if len(r.Parked) > 0 {
		fmt.Fprintln(w)
		rows := [][]string{{"PARKED FOR", "DELIVERIES"}}
		for _, p := range r.Parked {
			rows = append(rows, []string{p.Notifier, strconv.FormatInt(p.Count, 10)})
		}
		return printTable(w, rows)
	}
	return nil
}
