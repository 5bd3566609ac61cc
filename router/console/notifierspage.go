package console

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

const (
	// marksOfList and marksOfOne bound the attempts that are looked at.
	marksOfList = 2000
	marksOfOne  = 10_000
	// stripHours is how far the strip of attempts goes back.
	stripHours = 24
)

func (c *Console) notifierRoutes() []pageRoute {
	return []pageRoute{
		{Method: http.MethodGet, Path: "/notifiers", Nav: "/deliveries", View: c.notifiersPage, Live: true},
		{Method: http.MethodGet, Path: "/notifiers/:name", Nav: "/deliveries", View: c.notifierPage, Live: true},
		{Method: http.MethodGet, Path: "/notifiers/:name/test", Nav: "/deliveries", View: c.confirmTest},
		{Method: http.MethodPost, Path: "/notifiers/:name/test", Nav: "/deliveries", View: c.postTest},
	}
}

// notifierRow is a line of the list of notifiers.
type notifierRow struct {
	Name, Kind, Place string
	Word, Look, Why   string // how it stands
	Until             time.Time
	Waiting           int
	Parked            int64
	Told, Failed      int // attempts in the last day, as far as they were looked at
	Last              time.Time
	Known             bool // the rules in force name it
}

// target returns a notifier of the rules in force.
func (c *Console) target(name string) (router.Target, bool) {
	if c.cfg.Notifiers == nil {
		return router.Target{}, false
	}
	all := c.cfg.Notifiers()
	at := slices.IndexFunc(all, func(t router.Target) bool { return t.Notifier == name })
	if at < 0 {
		return router.Target{}, false
	}
	return all[at], true
}

// health is what the store knows of notifiers.
type health struct {
	lanes   []router.Lane
	backlog []router.Backlog
	parked  []router.ParkedGroup
	marks   []router.AttemptMark
}

// healthOf reads it, of one notifier or of all for "".
func (c *Console) healthOf(r *http.Request, name string, most int) (h health, err error) {
	ctx := r.Context()
	if h.lanes, err = c.store.Lanes(ctx); err != nil {
		return h, err
	}
	if h.backlog, err = c.store.Backlog(ctx); err != nil {
		return h, err
	}
	if h.parked, err = c.store.ParkedGroups(ctx, router.DeliveryFilter{Notifier: name}); err != nil {
		return h, err
	}
	h.marks, err = c.store.AttemptMarks(ctx, name, c.cfg.Now().Add(-stripHours*time.Hour), most)
	return h, err
}

// row says how it stands with one notifier.
func (h *health) row(name string, now time.Time) notifierRow {
	row := notifierRow{Name: name, Word: "delivering", Look: "ok"}
	var newest *router.ParkedGroup
	for i := range h.parked {
		if g := &h.parked[i]; g.Counts[name] > 0 {
			row.Parked += g.Counts[name]
			if newest == nil || g.Newest.After(newest.Newest) {
				newest = g
			}
		}
	}
	for _, b := range h.backlog {
		if b.Notifier == name {
			row.Waiting += b.Waiting
		}
	}
	for _, m := range h.marks {
		switch {
		case m.Notifier != name || m.Result == router.AttemptInterrupted:
		case m.Result == router.AttemptDelivered, m.Result == router.AttemptCancelled:
			row.Told, row.Last = row.Told+1, m.At
		default:
			row.Failed++
		}
	}
	if newest != nil && newest.Newest.After(row.Last) { // what got through since then says that it delivers
		said, _ := saidAndDo(newest.Error)
		row.Word, row.Look, row.Why = "refused", "bad", said
	}
	for _, l := range h.lanes {
		if until := later(l.PausedUntil, l.Waits); l.Notifier == name && until.After(now) {
			row.Word, row.Look, row.Until, row.Why = "paused", "bad", until, "its service wants no calls for a while"
			if l.PausedUntil.After(now) {
				row.Why = fmt.Sprintf("%d deliveries in a row failed", l.Failures)
				if newest != nil {
					said, _ := saidAndDo(newest.Error)
					row.Why += ", the last that was parked with: " + said
				}
			}
		}
	}
	return row
}

// notifiersPage: GET /notifiers
func (c *Console) notifiersPage(r *http.Request, _ httprouter.Params) (page, error) {
	h, err := c.healthOf(r, "", marksOfList)
	if err != nil {
		return page{}, err
	}
	now, seen := c.cfg.Now(), map[string]bool{}
	var rows []notifierRow
	if c.cfg.Notifiers != nil {
		for _, t := range c.cfg.Notifiers() {
			row := h.row(t.Notifier, now)
			row.Kind, row.Place, row.Known, seen[t.Notifier] = capital(t.Kind.Label()), t.Place(), true, true
			rows = append(rows, row)
		}
	}
	for _, name := range h.names() { // what an incident opened is told to its end, whatever the rules say now
		if !seen[name] {
			rows = append(rows, h.row(name, now))
		}
	}
	// bad stands before ok
	slices.SortStableFunc(rows, func(a, b notifierRow) int { return strings.Compare(a.Look, b.Look) })
	return page{Title: "Notifiers", Template: "notifiers", Data: rows}, nil
}

// names are those of whom the store knows something that is not done.
func (h *health) names() (names []string) {
	for _, b := range h.backlog {
		names = append(names, b.Notifier)
	}
	for _, g := range h.parked {
		names = append(names, g.Notifiers...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// notifierDetail is what the page of a notifier shows.
type notifierDetail struct {
	notifierRow
	Backlog  []backlogLine
	Groups   []parkedGroup
	Budgets  []budgetLine
	Strip    template.HTML
	Hours    []hourLine
	P50, P99 string
	Cut      bool // there were more attempts than were looked at
	Rules    []string
	Pages    bool
	TestPath string
	TestWhy  string // why it cannot be tried
}

// backlogLine is what waits of one class.
type backlogLine struct {
	Class   string
	Waiting int
	Oldest  time.Time
}

// budgetLine is what is left of a budget.
type budgetLine struct {
	Name        string
	Left, Whole int
	Full        time.Time // when nothing is owing any more
}

// hourLine is an hour of attempts.
type hourLine struct {
	At           time.Time
	Told, Failed int
}

// classWords say for people what a class is.
var classWords = map[router.Class]string{router.ClassNew: "new trouble", router.ClassResolved: "ends",
	router.ClassWorse:  "what got worse",
	router.ClassUpdate: "numbers and notes", router.ClassDigested: "told in a digest", router.ClassNews: "news"}

// notifierPage: GET /notifiers/{name}
func (c *Console) notifierPage(r *http.Request, p httprouter.Params) (page, error) {
	name := p.ByName("name")
	h, err := c.healthOf(r, name, marksOfOne)
	if err != nil {
		return page{}, err
	}
	t, known := c.target(name)
	now := c.cfg.Now()
	onLane := slices.ContainsFunc(h.lanes, func(l router.Lane) bool { return l.Notifier == name })
	if !known && !onLane && !slices.Contains(h.names(), name) {
		return page{}, refuse(http.StatusNotFound, "there is no notifier %q", bounded(name, maxActor))
	}
	d := notifierDetail{notifierRow: h.row(name, now), Groups: each(h.parked, newParkedGroup),
		Rules: c.cfg.RulesNaming(name), Cut: len(h.marks) == marksOfOne,
		TestPath: "/notifiers/" + url.PathEscape(name) + "/test"}
	d.Known = known
	if known {
		d.Kind, d.Place, d.Pages = capital(t.Kind.Label()), t.Place(), t.Kind.Pages()
		if d.Budgets, err = c.budgets(r, t); err != nil {
			return page{}, err
		}
	} else {
		d.TestWhy = "The rules in force do not name it."
	}
	for _, b := range h.backlog {
		if b.Notifier == name {
			d.Backlog = append(d.Backlog, backlogLine{cmp.Or(classWords[b.Class], b.Class.String()), b.Waiting, b.Oldest})
		}
	}
	d.measure(h.marks, now)
	return page{Title: "Notifier " + name, Template: "notifier", Data: d}, nil
}

// budgets says what is left of the calls that a service takes.
func (c *Console) budgets(r *http.Request, t router.Target) (lines []budgetLine, err error) {
	charges := c.cfg.Budgets(t)
	var names []string
	for _, one := range charges {
		names = append(names, one.Budget)
	}
	paid, err := c.store.BudgetsPaid(r.Context(), names)
	if err != nil {
		return nil, err
	}
	now := c.cfg.Now()
	for _, one := range charges {
		line := budgetLine{Name: capital(t.Kind.Label()), Left: one.Burst, Whole: one.Burst}
		if until := paid[one.Budget]; until.After(now) && one.Every > 0 {
			owing := int((until.Sub(now) + one.Every - 1) / one.Every)
			line.Left, line.Full = max(one.Burst-owing, 0), until
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// measure draws the strip of the last day, and says how long attempts took.
func (d *notifierDetail) measure(marks []router.AttemptMark, now time.Time) {
	first := now.UTC().Truncate(time.Hour).Add(-(stripHours - 1) * time.Hour)
	hours := make([]hourLine, stripHours)
	for i := range hours {
		hours[i].At = first.Add(time.Duration(i) * time.Hour)
	}
	var took []time.Duration
	for _, m := range marks {
		if m.Result == router.AttemptInterrupted {
			continue
		}
		took = append(took, m.Took)
		at := int(m.At.Sub(first) / time.Hour)
		if m.At.Before(first) || at >= stripHours {
			continue
		}
		if m.Result == router.AttemptDelivered || m.Result == router.AttemptCancelled {
			hours[at].Told++
		} else {
			hours[at].Failed++
		}
	}
	d.Hours, d.Strip = hours, drawStrip(hours)
	if len(took) > 0 {
		slices.Sort(took)
		d.P50, d.P99 = millis(took[(len(took)-1)/2]), millis(took[(len(took)*99-1)/100])
	}
}

func millis(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

// drawStrip draws two rows of bars: what was told above, what failed below.
func drawStrip(hours []hourLine) template.HTML {
	most := 1
	for _, h := range hours {
		most = max(most, h.Told, h.Failed)
	}
	const wide, half = 30, 40
	var out strings.Builder
	fmt.Fprintf(&out,
		`<svg class="chart" viewBox="0 0 %d %d" role="img" aria-label="Attempts in each of the last %d hours: the table below has the numbers">`,
		wide*len(hours), 2*half+22, len(hours))
	bar := func(x, n int, class string, up bool) {
		if n == 0 {
			return
		}
		high := max(n*half/most, 2)
		y := half + 1
		if up {
			y = half - high
		}
		fmt.Fprintf(&out, `<rect class="%s" fill="currentColor" x="%d" y="%d" width="%d" height="%d"/>`, class, x+2, y,
			wide-4, high)
	}
	for i, h := range hours {
		bar(i*wide, h.Told, "good", true)
		bar(i*wide, h.Failed, "critical", false)
	}
	fmt.Fprintf(&out,
		`<line class="mark" x1="0" x2="%d" y1="%d" y2="%d"/><text x="0" y="%d">%s</text><text x="%d" y="%d" text-anchor="end">now</text></svg>`,
		wide*len(hours), half, half, 2*half+18, hours[0].At.Format("15:04 UTC"), wide*len(hours), 2*half+18)
	return template.HTML(out.String())
}

// confirmTest: GET /notifiers/{name}/test
func (c *Console) confirmTest(r *http.Request, p httprouter.Params) (page, error) {
	name := p.ByName("name")
	form := confirmation{Title: "Send a test message", About: name, Button: "Send it", Back: "/notifiers/" +
		url.PathEscape(name)}
	t, known := c.target(name)
	if !known {
		form.Cannot = "The rules in force name no such notifier: there is nobody to tell."
		return confirm(form), nil
	}
	form.About = strings.TrimSpace(t.Kind.Label() + " " + t.Place())
	form.What = []string{
		"One message goes out that is marked TEST and says who sent it. It takes the way that every message takes: " +
			"journal, queue, budget.",
		"No incident opens. What came of it stands under deliveries."}
	switch {
	case t.Kind.Pages():
		form.Told = []string{name + " (" + t.Kind.Label() + "): as a change, which wakes nobody"}
		form.Inputs = []input{{Type: "check", Name: "page", Label: "Page for real",
			Hint: "It wakes whoever is on call, and stays open there until somebody resolves it there."}}
	default:
		form.Told = []string{c.whom(name, t.Kind) + ", and nobody else"}
	}
	return confirm(form), nil
}

// postTest: POST /notifiers/{name}/test
func (c *Console) postTest(r *http.Request, p httprouter.Params) (page, error) {
	name := p.ByName("name")
	back := page{SeeOther: "/notifiers/" + url.PathEscape(name)}
	t, known := c.target(name)
	if !known {
		return page{}, refuse(http.StatusNotFound, "there is no notifier %q", bounded(name, maxActor))
	}
	now, by, who := c.cfg.Now().UTC(), c.actorName(r), callerOf(r)
	e := router.Event{Digest: "test/" + rand.Text(), Source: router.SourceFlowbridge, Name: router.TestMessage, At: now,
		Received: now, Said: router.Info,
		Message: "TEST by " + by + ": nothing is wrong. Whoever reads this is told by " + name + ".",
		Act:     &router.Act{Actor: by, Notifier: name, Verified: who.verified, From: who.from}}
	what := "send a test message to " + name
	if r.PostForm.Get("page") != "" && t.Kind.Pages() {
		e.Said = router.Error
		what = "page " + name + " as a test"
		e.Message = "TEST by " + by + ": nothing is wrong. Resolve it. Whoever reads this is paged by " + name + "."
	}
	if _, err := c.store.Append(r.Context(), []router.Event{e}); err != nil {
		return page{}, err
	}
	came := c.await(r.Context(), &e)
	c.keep(r.Context(), c.auditEntry(r, by, what, cmp.Or(came.Outcome, "it is in the journal")))
	c.cfg.Logger.Info("a person sends a test message", "notifier", name, "by", by, "from", r.RemoteAddr)
	back.Said = done("The test message is on its way: %s.",
		strings.TrimSuffix(cmp.Or(came.Outcome, came.Note, "it is in the journal"), "."))
	return back, nil
}
