package console

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

const (
	// rowsOfPage is how many incidents a page lists: as many as 60 KB have room for.
	rowsOfPage = 40
	// stateAll stands for every state in the filter; none means those that are not resolved.
	stateAll = "all"
)

func (c *Console) incidentRoutes() []pageRoute {
	return []pageRoute{
		{Method: http.MethodGet, Path: "/", Nav: "/", View: c.incidentsPage, Live: true},
		{Method: http.MethodGet, Path: "/incidents.csv", View: c.incidentsCSV},
		{Method: http.MethodGet, Path: "/incidents.json", View: c.incidentsJSON},
		{Method: http.MethodGet, Path: "/incidents/:number", Nav: "/", View: c.incidentPage, Live: true},
		{Method: http.MethodGet, Path: "/incidents/:number/told/:delivery", Nav: "/", View: c.toldDetail},
		{Method: http.MethodGet, Path: "/acknowledge", Nav: "/", View: c.confirmSeveral},
		{Method: http.MethodPost, Path: "/acknowledge", Nav: "/", View: c.acknowledgeSeveral},
		{Method: http.MethodPost, Path: "/my-team", View: c.setTeam},
	}
}

// incidentList is what the page of incidents shows.
type incidentList struct {
	Counts         []countLink
	Form           incidentForm
	Rows           []incidentRow
	Next           string // path of what is older, or ""
	Searched       *searched
	Query          string // of the filter, for CSV and JSON
	Here           string // of the page, for acts that lead back to it
	Narrowed       bool   // the filter asks for something
	First          string // path of the first page, of one that goes on
	MyTeam         string // of this browser, or ""
	MayKeep        bool   // the team of the filter may be made that
	Over           bool   // it lists what is resolved
	CanSetUp       bool
	CanAcknowledge bool // some row can be acknowledged
}

// searched is what a page says that has not looked through all incidents.
type searched struct {
	Until time.Time // when the newest incident was opened that it has not looked at
	Next  string    // path of what goes on there
}

// countLink is a number that leads to what it counts.
type countLink struct {
	Name, Path, Class string
	N                 int64
	Current           bool
}

// incidentForm is the filter as it stands in the form.
type incidentForm struct {
	State, Severity, Signal, Flow, Team, Notifier, Rule, Query string
	States, Severities, Signals                                []option
	Others                                                     []input // keys of the filter that have no field
}

// incidentRow is a line of the list.
type incidentRow struct {
	Number                        int64
	Name, About, Signal           string
	Of                            string // About, in lists of several subjects
	Where                         string // id and account, where another row is called the same
	State, Severity               string
	Ladder, Now, Was              string
	Opened, Resolved              time.Time
	Took                          string // of what is resolved
	Has, Called, Team             string // who has it, or whom PagerDuty calls meanwhile
	Marks                         []tag
	Open, Trouble, CanAcknowledge bool
}

// tag is a word with a look.
type tag struct{ Text, Class string }

// pageFilter reads the filter from the address of a page: that of the API, where no state means what is not resolved,
// what is left empty in a form asks for nothing, and what is worst comes first.
func (c *Console) pageFilter(r *http.Request) (router.IncidentFilter, error) {
	asked, err := readQuery(r)
	if err != nil {
		return router.IncidentFilter{}, err
	}
	values := url.Values{"state": {stateActive}}
	for name, all := range asked.values {
		if all = slices.DeleteFunc(slices.Clone(all), func(value string) bool { return value == "" }); len(all) > 0 {
			values[name] = all
		}
	}
	if values.Get("state") == stateAll {
		values.Del("state")
	}
	values.Set("order", orderWorst)
	below := values.Get("below")
	values.Del("below")
	f, err := c.incidentFilter(&query{values: values}, rowsOfPage)
	if err == nil && below != "" {
		if f.Below, err = strconv.ParseInt(below, 10, 64); err != nil || f.Below < 1 {
			err = refuse(http.StatusBadRequest, "below is the number of an incident, not %q", bounded(below, maxActor))
		}
	}
	return f, err
}

// incidentsPage: GET /
func (c *Console) incidentsPage(r *http.Request, _ httprouter.Params) (page, error) {
	q := r.URL.Query()
	f, err := c.pageFilter(r)
	if err != nil {
		return page{}, err
	}
	counts, err := c.store.Counts(r.Context(), f)
	if err != nil {
		return page{}, err
	}
	rows, rest, err := c.store.SearchIncidents(r.Context(), f)
	if errors.Is(err, router.ErrNotFound) { // the one before which the page began is gone
		return page{SeeOther: "/" + filterOf(q)}, nil
	}
	if err != nil {
		return page{}, err
	}
	list := incidentList{Counts: countLinks(q, &counts), Form: newIncidentForm(q), Rows: each(rows, c.newRow),
		Query: filterOf(q), Here: queryOf(q),
		MyTeam: c.myTeam(r), Narrowed: filterOf(q) != "", Over: f.State == router.IncidentResolved,
		CanSetUp: c.web.has("/setup")}
	if f.Before > 0 || f.Below > 0 {
		list.First = "/" + filterOf(q)
	}
	c.tellApart(list.Rows, rows)
	list.MayKeep = list.Form.Team != "" && list.Form.Team != list.MyTeam
	list.CanAcknowledge = slices.ContainsFunc(list.Rows, func(row incidentRow) bool { return row.CanAcknowledge })
	goesOn := func(key string, number int64) string {
		return "/" + queryOf(with(q, key, strconv.FormatInt(number, 10)))
	}
	switch {
	case rest.Below > 0:
		list.Searched = &searched{rest.Until, goesOn("below", rest.Below)}
	case len(rows) == f.Limit && f.Below > 0:
		list.Next = goesOn("below", rows[len(rows)-1].Number)
	case len(rows) == f.Limit:
		list.Next = goesOn("before", rows[len(rows)-1].Number)
	}
	return page{Title: "Incidents", Template: "incidents", Data: list}, nil
}

// has says whether a path is a route of the console.
func (w *web) has(path string) bool {
	return slices.ContainsFunc(w.nav, func(e navEntry) bool { return e.Path == path })
}

// filterOf returns the filter of a list without where its page begins: "" or "?...".
func filterOf(q url.Values) string { return queryOf(q, "before", "below") }

// with returns the filter of a list with another beginning of its page.
func with(q url.Values, key, value string) url.Values {
	out := maps.Clone(q)
	out.Del("before")
	out.Del("below")
	out.Set(key, value)
	return out
}

// queryOf returns the filter of a page without some of its parts and without what is empty: "" or "?...".
func queryOf(q url.Values, without ...string) string {
	kept := url.Values{}
	for name, values := range q {
		for _, value := range values {
			if value != "" && !slices.Contains(without, name) {
				kept.Add(name, value)
			}
		}
	}
	if len(kept) == 0 {
		return ""
	}
	return "?" + kept.Encode()
}

// countLinks are the numbers of what passes the filter, each with the list of what it counts.
func countLinks(q url.Values, n *router.Counts) []countLink {
	link := func(name string, n int64, class string, narrowed ...string) countLink {
		to := maps.Clone(q)
		for _, key := range []string{"state", "silenced", "trouble"} {
			delete(to, key)
		}
		for i := 0; i < len(narrowed); i += 2 {
			to.Set(narrowed[i], narrowed[i+1])
		}
		return countLink{Name: name, N: n, Path: "/" + filterOf(to), Class: class, Current: filterOf(q) == filterOf(to)}
	}
	return []countLink{
		link("Not everybody was told", n.Trouble, "critical", "state", stateAll, "trouble", "true"),
		link("Open", n.Open, "error", "state", "open"),
		link("Acknowledged", n.Acknowledged, "info", "state", "acknowledged"),
		link("Silenced", n.Silenced, "hush", "silenced", "true"),
	}
}

// formKeys are the keys that the form has fields for, and those that say where a page begins.
var formKeys = []string{"q", "state", "severity", "signal", "team", "flow", "notifier", "rule", "before", "below"}

func newIncidentForm(q url.Values) incidentForm {
	form := incidentForm{State: q.Get("state"), Severity: strings.Join(q["severity"], ","),
		Signal: strings.Join(q["signal"], ","), Flow: q.Get("flow"), Team: q.Get("team"), Notifier: q.Get("notifier"),
		Rule: q.Get("rule"), Query: q.Get("q")}
	for _, key := range slices.Sorted(maps.Keys(q)) {
		if slices.Contains(formKeys, key) {
			continue
		}
		for _, value := range q[key] {
			if value != "" {
				form.Others = append(form.Others, input{Type: "hidden", Name: key, Value: value})
			}
		}
	}
	form.States = choices(form.State, option{Text: "Not resolved"}, option{Value: "open", Text: "Open"},
		option{Value: "acknowledged", Text: "Acknowledged"},
		option{Value: "resolved", Text: "Resolved"}, option{Value: stateAll, Text: "All"})
	form.Severities = withOther(form.Severity, option{Text: "Any"}, option{Value: "critical", Text: "Critical"},
		option{Value: "error", Text: "Error"},
		option{Value: "warning", Text: "Warning"}, option{Value: "info", Text: "Info"})
	form.Signals = []option{{Text: "Any"}}
	for _, s := range router.Signals() {
		if len(s.Levels) > 0 || s.AnyLevel {
			form.Signals = append(form.Signals, option{Value: s.Name, Text: router.SignalName(s.Name)})
		}
	}
	form.Signals = withOther(form.Signal, form.Signals...)
	return form
}

// withOther is choices, with one that is not among them, as an address may have it: >=error.
func withOther(chosen string, all ...option) []option {
	if chosen != "" && !slices.ContainsFunc(all, func(o option) bool { return o.Value == chosen }) {
		all = append(all, option{Value: chosen, Text: bounded(chosen, maxActor)})
	}
	return choices(chosen, all...)
}

// choices marks the one that was chosen.
func choices(chosen string, all ...option) []option {
	for i := range all {
		all[i].Chosen = all[i].Value == chosen
	}
	return all
}

// newRow makes a line of the list.
func (c *Console) newRow(r *router.IncidentRow) incidentRow {
	inc := &r.Incident
	event := signalNow(inc, r.Alerts)
	row := incidentRow{Number: inc.Number, Name: inc.Name(), About: inc.About(),
		Signal: cmp.Or(inc.Title, router.SignalName(event)),
		State:  string(inc.State), Severity: inc.Severity.String(), Ladder: router.FormatPath(inc.Event, inc.Path),
		Opened: inc.OpenedAt,
		Team:   inc.Labels["team"], Open: inc.State == router.IncidentOpen,
		Trouble: r.Trouble()}
	row.CanAcknowledge = row.Open
	row.Has, row.Called = inc.WhoHasIt()
	if inc.State == router.IncidentResolved {
		row.Resolved, row.Took, row.Severity = inc.ResolvedAt, router.FormatDuration(inc.ResolvedAt.Sub(inc.OpenedAt)),
			inc.Peak.String()
	}
	if event != inc.Event { // the path is that of the signal that it began with
		row.Ladder = router.FormatLevel(event, worstOf(r.Alerts).Level)
	}
	row.Now, row.Was = nowAndWas(event, r.Alerts)
	row.Marks = marksOf(r)
	return row
}

// tellApart says of rows that are called the same, and are about different flows, which each is about.
func (c *Console) tellApart(rows []incidentRow, of []router.IncidentRow) {
	ids := map[string][]router.FlowID{}
	for i := range rows {
		id := router.FlowID{WABA: of[i].WABA, Flow: of[i].Flow}
		if name := rows[i].About; !slices.Contains(ids[name], id) {
			ids[name] = append(ids[name], id)
		}
	}
	for i := range rows {
		if len(ids[rows[i].About]) < 2 {
			continue
		}
		rows[i].Where = "account " + c.called(cmp.Or(of[i].AccountName, c.cfg.AccountName(of[i].WABA)), of[i].WABA)
		if flow := router.OnlyFlow(of[i].Flow); flow != "" {
			rows[i].Where = flow + " · " + rows[i].Where
		}
	}
}

// nowAndWas writes the newest number of a signal, and the one before it.
func nowAndWas(event string, alerts []router.Alert) (now, was string) {
	a := router.LastReport(alerts, event, func(a *router.Alert) bool { return a.Value != nil })
	if a == nil {
		return "", ""
	}
	if a.Before != nil && *a.Before != *a.Value {
		was = router.FormatValue(event, *a.Before)
	}
	return router.FormatValue(event, *a.Value), was
}

// marksOf says what is special about an incident, the most important first.
func marksOf(r *router.IncidentRow) (marks []tag) {
	for i := range r.Deliveries {
		if d := &r.Deliveries[i]; d.State == router.DeliveryParked {
			marks = append(marks, tag{d.Notifier + " not told", "bad"})
		} else if d.Fails() {
			marks = append(marks, tag{d.Notifier + " fails", "bad"})
		}
	}
	if len(marks) > 2 {
		marks = []tag{{fmt.Sprintf("%d not told", len(marks)), "bad"}}
	}
	if r.State == router.IncidentAcknowledged {
		marks = append(marks, tag{"acknowledged", "ok"})
	}
	if r.Silence.ID != "" {
		marks = append(marks, tag{"silenced", "hush"})
	}
	if r.Flaps > 0 {
		marks = append(marks, tag{"came back " + router.FormatTimes(r.Flaps), ""})
	}
	if r.State != router.IncidentResolved && len(r.Alerts) > 0 &&
		!slices.ContainsFunc(r.Alerts, func(a router.Alert) bool { return a.Active }) {
		marks = append(marks, tag{"recovering", "ok"})
	}
	return marks
}

// fileOf makes a file of all incidents of a filter, newest first.
func fileOf[T interface{ Position() int64 }](c *Console, r *http.Request,
	read func(context.Context, router.IncidentFilter) ([]T, error), file func([]T) (page, error)) (page, error) {
	f, err := c.pageFilter(r)
	if err != nil {
		return page{}, err
	}
	select {
	case c.files <- struct{}{}:
		defer func() { <-c.files }()
	case <-r.Context().Done():
		return page{}, r.Context().Err()
	}
	found, more, err := router.EveryIncident(f, func(f router.IncidentFilter) ([]T, error) { return read(r.Context(), f) })
	switch {
	case err != nil:
		return page{}, err
	case more:
		return page{}, refuse(http.StatusBadRequest,
			"more than %d incidents match: narrow the filter, by from= and to= for example", router.MaxListed)
	}
	return file(found)
}

// incidentsJSON: GET /incidents.json, as the API writes them
func (c *Console) incidentsJSON(r *http.Request, _ httprouter.Params) (page, error) {
	return fileOf(c, r, c.store.Incidents, func(found []router.IncidentDetail) (page, error) {
		return jsonFile("incidents.json", map[string]any{"incidents": each(found, newIncident)})
	})
}

// jsonFile makes an answer of the API to download.
func jsonFile(name string, what any) (page, error) {
	data, err := json.MarshalIndent(what, "", " ")
	return page{File: &file{name, "application/json", append(data, '\n')}}, err
}

// incidentsCSV: GET /incidents.csv
func (c *Console) incidentsCSV(r *http.Request, _ httprouter.Params) (page, error) {
	return fileOf(c, r, c.store.IncidentRows, incidentsTable)
}

func incidentsTable(found []router.IncidentRow) (page, error) {
	lines := [][]string{{"incident", "state", "severity", "peak", "about", "signal", "levels", "now", "team", "owner",
		"rule",
		"opened_at", "acknowledged_at", "acknowledged_by", "resolved_at", "resolved_by", "flaps"}}
	for i := range found {
		inc := &found[i]
		now, _ := nowAndWas(inc.Event, inc.Alerts)
		lines = append(lines, []string{inc.Name(), string(inc.State), inc.Severity.String(), inc.Peak.String(), inc.About(),
			inc.Event,
			router.FormatPath(inc.Event, inc.Path), now, inc.Labels["team"], inc.Owner, inc.Rule, stampOf(inc.OpenedAt),
			stampOf(inc.AcknowledgedAt), inc.AcknowledgedBy, stampOf(inc.ResolvedAt), inc.ResolvedBy,
			strconv.FormatInt(inc.Flaps, 10)})
	}
	return csvFile("incidents.csv", lines)
}

// csvFile makes a table to download.
func csvFile(name string, lines [][]string) (page, error) {
	var buf bytes.Buffer
	w := csv.NewWriter(&buf)
	for _, line := range lines {
		for i := range line {
			line[i] = noFormula(line[i])
		}
		w.Write(line)
	}
	w.Flush()
	return page{File: &file{name, "text/csv; charset=utf-8", buf.Bytes()}}, w.Error()
}

// noFormula keeps a spreadsheet from calculating what Meta or a person wrote.
func noFormula(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func stampOf(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// myTeam is the team of this browser, "" for none.
func (c *Console) myTeam(r *http.Request) string {
	team, err := url.QueryUnescape(c.cookie(r, "team"))
	if err != nil {
		return ""
	}
	return bounded(team, maxActor)
}

// setTeam: POST /my-team keeps the team of this browser.
func (c *Console) setTeam(r *http.Request, _ httprouter.Params) (page, error) {
	team := bounded(r.PostForm.Get("team"), maxActor)
	said := done("Your team is %s in this browser.", team)
	if team == "" {
		said = done("This browser has no team any more.")
	}
	back := url.Values{}
	if query := r.PostForm.Get("back"); query != "" {
		back, _ = url.ParseQuery(strings.TrimPrefix(query, "?"))
	}
	back.Set("team", team)
	return page{SeeOther: "/" + filterOf(back), Said: said, team: &team}, nil
}
