package console

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

const (
	// flowDays is how far the page of a flow looks back.
	flowDays = 30
	// mostNotices and mostIncidents bound its lists, and mostOfAccount that of flows on the page of an account, which has
	// incidents, too.
	mostNotices   = 15
	mostIncidents = 40
	mostOfAccount = 30
)

// flowDetail is what the page of a flow or an account shows.
type flowDetail struct {
	flowRow
	WABA           string
	IsAccount      bool
	Other          []flowRow // of an account its flows
	More           int       // of an account: flows that there is no room for
	Open, Past     []incidentRow
	OpenMore       bool          // there may be more that are open
	Still          []incidentRow // resolved by a person, while their trouble is still reported
	Signals        []sparkline
	Bars           template.HTML
	Periods        []periodLine
	Throttled      string // minutes in all
	Blocked        string
	Notices        []noticeLine
	YAML           string
	EventsPath     string
	From           time.Time
	Nothing        bool
	Runbook, Label string
}

// sparkline is what was measured of a signal, drawn small.
type sparkline struct {
	Name, Now, Worst string
	Last             time.Time
	Picture          template.HTML
	N                int
}

// periodLine is a time in a status that is trouble.
type periodLine struct {
	Flow, Status string
	From, To     time.Time
	Took         string
	Ongoing      bool
}

// noticeLine is something that was told of once.
type noticeLine struct {
	Event    int64
	At       time.Time
	What     string
	Severity string
}

// flowPage: GET /flows/{id}?waba=
func (c *Console) flowPage(r *http.Request, p httprouter.Params) (page, error) {
	id := router.FlowID{WABA: bounded(r.URL.Query().Get("waba"), maxQuery), Flow: p.ByName("id")}
	if len(id.Flow) > maxQuery {
		return page{}, refuse(http.StatusNotFound, "there is no such flow")
	}
	return c.subjectPage(r, id)
}

// accountPage: GET /accounts/{id}
func (c *Console) accountPage(r *http.Request, p httprouter.Params) (page, error) {
	id := p.ByName("id")
	if len(id) > maxQuery {
		return page{}, refuse(http.StatusNotFound, "there is no such account")
	}
	return c.subjectPage(r, router.FlowID{WABA: id})
}

// subjectPage shows a flow, or an account where the flow is "".
func (c *Console) subjectPage(r *http.Request, id router.FlowID) (page, error) {
	now, ctx := c.cfg.Now(), r.Context()
	from := now.AddDate(0, 0, -flowDays)
	d := flowDetail{IsAccount: id.Flow == "", From: from}
	rows, err := c.incidentsOf(r, &id, &d)
	if err != nil {
		return page{}, err
	}
	periods, err := c.store.StatusPeriods(ctx, id, from, now)
	if err != nil {
		return page{}, err
	}
	if err := c.noticesOf(r, id, &d); err != nil {
		return page{}, err
	}
	if d.IsAccount {
		err = c.accountOf(r, id, &d)
	} else {
		err = c.flowOfDetail(r, id, &d, rows)
	}
	if err != nil {
		return page{}, err
	}
	d.periods(c, periods, from, now)
	d.Nothing = len(rows)+len(d.Notices)+len(d.Signals)+len(d.Periods)+len(d.Other) == 0
	if d.Nothing && !c.flowNamed(id.Flow) && !c.accountNamed(id.WABA) {
		return page{}, refuse(http.StatusNotFound, "nothing is known of %s", bounded(cmp.Or(id.Flow, id.WABA), maxActor))
	}
	return page{Title: d.Name, Template: "flow", Data: d}, nil
}

// incidentsOf reads the incidents of a flow or an account, the worst that is open first, and fills them in. What is
// open is read apart: however often something else came back since, it is there.
func (c *Console) incidentsOf(r *http.Request, id *router.FlowID, d *flowDetail) ([]router.IncidentRow, error) {
	read := func(f router.IncidentFilter) ([]router.IncidentRow, error) {
		f.WABA, f.Flow, f.Limit = id.WABA, id.Flow, mostIncidents
		return c.store.IncidentRows(r.Context(), f)
	}
	rows, err := read(router.IncidentFilter{Active: true, Worst: true})
	if err != nil {
		return nil, err
	}
	d.OpenMore = d.IsAccount && len(rows) == mostIncidents
	past, err := read(router.IncidentFilter{State: router.IncidentResolved})
	if err != nil {
		return nil, err
	}
	rows = append(rows, past...)
	if id.WABA == "" && len(rows) > 0 { // whose it is, the worst that is open says, or else the newest
		id.WABA = rows[0].WABA
		rows = slices.DeleteFunc(rows, func(row router.IncidentRow) bool { return row.WABA != id.WABA })
	}
	d.WABA = id.WABA
	for i := range rows {
		row := c.newRow(&rows[i])
		if d.IsAccount && rows[i].Title == "" {
			row.Of = row.About
		}
		switch {
		case row.Took == "":
			d.Open = append(d.Open, row)
		case slices.ContainsFunc(rows[i].Alerts, func(a router.Alert) bool { return a.Active }):
			d.Still = append(d.Still, row)
			fallthrough
		default:
			d.Past = append(d.Past, row)
		}
	}
	d.Past = d.Past[:min(len(d.Past), 10)]
	return rows, nil
}

// flowOfDetail fills in what there is of a flow alone.
func (c *Console) flowOfDetail(r *http.Request, id router.FlowID, d *flowDetail, rows []router.IncidentRow) error {
	readings, err := c.store.FlowReadings(r.Context(), id, d.From)
	if err != nil {
		return err
	}
	d.Signals = sparklines(readings, d.From, c.cfg.Now())
	known, err := c.store.SeenFlows(r.Context(), id.WABA)
	if err != nil {
		return err
	}
	seen := router.SeenFlow{FlowID: id}
	if at := slices.IndexFunc(known, func(f router.SeenFlow) bool { return f.FlowID == id }); at >= 0 {
		seen = known[at]
	}
	words := router.StatusLevels()
	for i := range rows {
		for j := range rows[i].Alerts {
			if a := &rows[i].Alerts[j]; a.Counts() && slices.Index(words, a.Level) > slices.Index(words, seen.Status) {
				seen.Status = a.Level
			}
		}
		if name := rows[i].Subject.Name; name != "" && d.Label == "" {
			d.Label = name
		}
		d.Runbook = cmp.Or(d.Runbook, webURL(rows[i].Runbook))
	}
	d.flowRow = c.newFlowRow(&seen)
	if d.Label != "" && !d.IsFlow {
		d.Name = d.Label
	}
	d.EventsPath = "/events" + queryOf(url.Values{"flow": {id.Flow}})
	d.YAML = c.pasteFlows([]router.SeenFlow{seen})
	return nil
}

// accountOf fills in what there is of an account alone.
func (c *Console) accountOf(r *http.Request, id router.FlowID, d *flowDetail) error {
	found, err := c.store.SeenFlows(r.Context(), id.WABA)
	if err != nil {
		return err
	}
	for i := range found {
		d.Active += found[i].Active
	}
	d.Other = each(found[:min(len(found), mostOfAccount)], c.newFlowRow)
	d.More = len(found) - len(d.Other)
	d.Name, d.ID, d.Unnamed = cmp.Or(c.cfg.AccountName(id.WABA), "Account "+id.WABA), id.WABA, !c.accountNamed(id.WABA)
	d.EventsPath = "/events" + queryOf(url.Values{"waba": {id.WABA}})
	d.YAML = c.pasteFlows(append(found, router.SeenFlow{FlowID: id}))
	return nil
}

// noticesOf lists what was told of once, an expiry among them.
func (c *Console) noticesOf(r *http.Request, id router.FlowID, d *flowDetail) error {
	if !d.IsAccount && router.OnlyFlow(id.Flow) == "" {
		return nil
	}
	notices, err := c.store.NewestNotices(r.Context(), id, mostNotices)
	if err != nil {
		return err
	}
	for i := range notices {
		n := &notices[i]
		what := router.SignalName(n.SignalKey())
		if n.NewStatus != "" {
			what += ": " + cmp.Or(n.OldStatus, "nothing") + " → " + n.NewStatus
		}
		if said := cmp.Or(n.Warning, n.Message); said != "" {
			what += ": " + router.Shorten(said, maxQuery)
		}
		d.Notices = append(d.Notices, noticeLine{n.Event, n.At, what, n.Severity.String()})
	}
	return nil
}

// periods lists when it was in trouble, and adds up the minutes.
func (d *flowDetail) periods(c *Console, found []router.StatusPeriod, from, now time.Time) {
	words, sums := router.StatusLevels(), map[string]time.Duration{}
	for i := range slices.Backward(found) {
		p := &found[i]
		sums[p.Status] += p.Duration()
		if len(d.Periods) < mostIncidents {
			d.Periods = append(d.Periods, periodLine{cmp.Or(c.cfg.FlowName(p.Flow), p.Flow), p.Status, p.From, p.To,
				router.FormatDuration(p.Duration()), p.Ongoing})
		}
	}
	minutes := func(i int) string {
		if i >= len(words) || sums[string(words[i])] == 0 {
			return ""
		}
		return fmt.Sprintf("%d min", int((sums[string(words[i])]+time.Minute-1)/time.Minute))
	}
	d.Throttled, d.Blocked = minutes(0), minutes(1)
	if len(found) == 0 {
		return
	}
	const wide = 720
	var out strings.Builder
	fmt.Fprintf(&out,
		`<svg class="chart" viewBox="0 0 %d 54" role="img" aria-label="When it was throttled or blocked in the last %d days: the table below has the times">`+
			`<line class="mark" x1="0" x2="%d" y1="30" y2="30"/>`, wide, flowDays, wide)
	whole := now.Sub(from)
	for i := range found[max(0, len(found)-maxPoints):] {
		p := &found[max(0, len(found)-maxPoints)+i]
		x := float64(wide) * float64(p.From.Sub(from)) / float64(whole)
		class, high := "error", 14
		if i := slices.Index(words, router.Level(p.Status)); i == len(words)-1 {
			class, high = "critical", 26
		}
		fmt.Fprintf(&out, `<rect class="%s" fill="currentColor" x="%.1f" y="%d" width="%.1f" height="%d"/>`, class, x,
			30-high,
			max(float64(wide)*float64(p.Duration())/float64(whole), 1.5), high)
	}
	fmt.Fprintf(&out, `<text x="0" y="50">%s</text><text x="%d" y="50" text-anchor="end">now</text></svg>`,
		from.UTC().Format(time.DateOnly), wide)
	d.Bars = template.HTML(out.String())
}

// sparklines draws each signal: steps from report to report, the worst of all levels at a time.
func sparklines(readings []router.AlertReading, from, now time.Time) (lines []sparkline) {
	by := map[string][]reading{}
	for i := range readings {
		one := &readings[i]
		if number(one.Value) == nil || one.At.After(now) {
			continue
		}
		list := by[one.Event]
		if n := len(list); n > 0 && list[n-1].At.Equal(one.At) {
			list[n-1].value = *one.Value
			continue
		}
		by[one.Event] = append(list, reading{At: one.At, value: *one.Value})
	}
	for _, event := range slices.Sorted(maps.Keys(by)) {
		points, signal := by[event], router.SignalOf(event)
		worst := points[0].value
		for _, one := range points {
			if signal.Worse(one.value, worst) {
				worst = one.value
			}
		}
		last := points[len(points)-1]
		lines = append(lines, sparkline{Name: router.SignalName(event), Now: router.FormatValue(event, last.value),
			Worst: router.FormatValue(event, worst),
			Last:  last.At, N: len(points), Picture: drawSpark(event, &signal, points, from, now)})
	}
	return lines
}

// drawSpark draws one. A value holds until the next report; where none follows, to now.
func drawSpark(event string, signal *router.Signal, points []reading, from, now time.Time) template.HTML {
	const wide, high = 720, 90
	points = points[max(0, len(points)-maxPoints):]
	ch := chart{Rows: points}
	top := ch.highest(signal)
	x := func(at time.Time) float64 { return wide * float64(at.Sub(from)) / float64(now.Sub(from)) }
	y := func(v float64) float64 { return 4 + (high-24)*(1-min(max(v/top, 0), 1)) }
	var out strings.Builder
	fmt.Fprintf(&out, `<svg class="chart" viewBox="0 0 %d %d" role="img" aria-label="%s over %d days">`, wide, high,
		template.HTMLEscapeString(router.SignalName(event)), flowDays)
	for _, t := range router.Thresholds(event) {
		if t <= top {
			fmt.Fprintf(&out, `<line class="mark" x1="0" x2="%d" y1="%.1f" y2="%.1f"/>`, wide, y(t), y(t))
		}
	}
	fmt.Fprintf(&out, `<path class="step" d="M%.1f %.1f`, max(x(points[0].At), 0), y(points[0].value))
	for _, one := range points[1:] {
		fmt.Fprintf(&out, "H%.1fV%.1f", x(one.At), y(one.value))
	}
	fmt.Fprintf(&out, `H%d"/><text x="0" y="%d">%s</text><text x="%d" y="%d" text-anchor="end">now</text></svg>`, wide,
		high-4, from.UTC().Format(time.DateOnly), wide, high-4)
	return template.HTML(out.String())
}
