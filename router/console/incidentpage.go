package console

import (
	"cmp"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

// flowManager is where Meta shows flows; there is no confirmed address of a single one.
const flowManager = "https://business.facebook.com/wa/manage/flows/"

// incidentDetail is what the page of an incident shows, in reading order.
type incidentDetail struct {
	Number                  int64
	Name, State, Severity   string
	Where                   *place
	Team                    string
	About, Signal, Reporter string // Reporter says whose word it is: Meta's, or the bridge's
	Now, Was, Threshold     string
	Measured                string // over which time
	Opened, Resolved        time.Time
	Took, ResolvedBy        string
	Acknowledged            time.Time
	Has, Called             string // who has it, or whom PagerDuty calls meanwhile
	Impact, Help            string
	Text                    string
	Facts                   []router.Fact
	Errors                  []errorLine
	Silence                 *router.Silence
	Active                  bool // it is not resolved
	Acts                    []actButton
	Links                   []webLink
	Runbook                 string
	Problems                []problemLine // who was not told
	Pages                   []pageLine
	Chart                   *chart
	Ladder                  []rung
	Climbed                 string // the levels that it reached, where not all of them are in Ladder any more
	Told                    []toldLine
	Why                     *why
	Timeline                []timelineLine
	TimelineNone            string // stands where no line fits
	TimelineKind, Rule      string
	Kinds                   []option
	Also, Recent            []incidentRow
}

// actButton is an act, with why it cannot be.
type actButton struct {
	Path, Label, Why string
	Main             bool
}

// webLink leads to a page elsewhere.
type webLink struct{ Label, URL string }

// problemLine is somebody who was not told.
type problemLine struct {
	Notifier, Why string
	Delivery      int64
	Next          time.Time
}

// pageLine is how it stands with somebody who pages. Delivery is what to try again, 0 for nothing.
type pageLine struct {
	Text, URL, Class string
	Delivery         int64
}

// rung is a level of the ladder.
type rung struct {
	Name, Severity     string
	Active, Held       bool
	Since, Until       time.Time
	OpenedBy, ClosedBy int64
	Took               string
}

// toldLine is a delivery.
type toldLine struct {
	ID             int64
	Notifier, Kind string
	State, Error   string
	Updated, Next  time.Time
	Attempts       int
	First          time.Time // when it was told first
	Delay          string    // from Meta's clock to then
	Link           string
	MayRetry       bool
}

// WhyLine is one thing that the rules came to. Path leads to its line on the page of the rules, "" for nowhere.
type WhyLine struct{ Text, Path string }

// why is what the rules came to when the incident opened.
type why struct {
	Rule  string
	Lines []WhyLine
	Today string // what today's rules would say otherwise
}

// timelineLine is a line of the timeline.
type timelineLine struct {
	At    time.Time
	Kind  string
	Text  string
	Event int64
}

// incidentPage: GET /incidents/{number}
func (c *Console) incidentPage(r *http.Request, p httprouter.Params) (page, error) {
	inc, err := c.incident(r, p)
	if err != nil {
		return page{}, err
	}
	d := newDetail(&inc)
	d.Where = c.placeOf(&inc)
	d.Acts = actButtons(&inc, callerOf(r).may == mayAct)
	if err := c.toldLines(r, &inc, &d); err != nil {
		return page{}, err
	}
	if d.Chart, err = c.chartOf(r, &inc); err != nil {
		return page{}, err
	}
	if !d.Active {
		d.ofThen(&inc)
	}
	if err := c.neighbours(r, &inc, &d); err != nil {
		return page{}, err
	}
	if c.cfg.Why != nil {
		lines, today, err := c.cfg.Why(r.Context(), &inc)
		if err != nil { // the page is needed all the same
			c.cfg.Logger.Warn("it could not be explained why an incident opened", "incident", inc.Name(), "error", err)
			lines = []WhyLine{{Text: "That could not be found out: the log says why."}}
		}
		d.Why = &why{Rule: inc.Rule, Lines: lines, Today: today}
	}
	d.timeline(&inc, r.URL.Query().Get("kind"))
	return page{Title: headline(&inc), Template: "incident", Data: d}, nil
}

// ofThen shows an incident that is over as it was: what its alerts hold may be of a later one, which has them by now.
func (d *incidentDetail) ofThen(inc *router.IncidentDetail) {
	later := func(a router.Alert) bool { return a.Raised.After(inc.ResolvedAt) }
	switch {
	case d.Chart != nil:
		d.Now, d.Was = d.Chart.Rows[0].Value, ""
	case slices.ContainsFunc(inc.Alerts, later):
		d.Now, d.Was = "", ""
	}
	if slices.ContainsFunc(inc.Path, func(l router.Level) bool {
		return !slices.ContainsFunc(inc.Alerts, func(a router.Alert) bool { return a.Event == inc.Event && a.Level == l })
	}) {
		d.Climbed = router.FormatPath(inc.Event, inc.Path)
	}
}

// headline is the title of an incident, as on its card.
func headline(inc *router.IncidentDetail) string {
	if inc.Title != "" {
		return inc.Title
	}
	if a := worstOf(inc.Alerts); a != nil && inc.State != router.IncidentResolved {
		return router.Claim(inc.About(), a.Event, a.Level)
	}
	return router.Topic(inc.About(), inc.Event)
}

// worstOf is the worst alert that keeps an incident open, nil for none.
func worstOf(alerts []router.Alert) *router.Alert {
	for i := range alerts {
		if alerts[i].Counts() {
			return &alerts[i]
		}
	}
	return nil
}

// signalNow is the signal that the title of an incident names: that of the worst alert which keeps it open, or the one
// that it began with.
func signalNow(inc *router.Incident, alerts []router.Alert) string {
	if a := worstOf(alerts); a != nil && inc.State != router.IncidentResolved {
		return a.Event
	}
	return inc.Event
}

func newDetail(inc *router.IncidentDetail) incidentDetail {
	event := signalNow(&inc.Incident, inc.Alerts)
	d := incidentDetail{Number: inc.Number, Name: inc.Name(), State: string(inc.State), Severity: inc.Severity.String(),
		About:  inc.About(),
		Signal: router.SignalName(event), Reporter: router.Reporter(inc.Event), Opened: inc.OpenedAt,
		Resolved: inc.ResolvedAt, ResolvedBy: inc.ResolvedBy,
		Acknowledged: inc.AcknowledgedAt,
		Text:         inc.Text, Facts: inc.Facts,
		Active:  inc.State != router.IncidentResolved,
		Runbook: webURL(inc.Runbook), Rule: inc.Rule, Team: inc.Labels["team"]}
	d.Has, d.Called = inc.WhoHasIt()
	if !d.Active {
		d.Severity, d.Took = inc.Peak.String(), after(inc.OpenedAt, inc.ResolvedAt)
	}
	if inc.Silence.ID != "" {
		d.Silence = &inc.Silence
	}
	d.Now, d.Was = nowAndWas(event, inc.Alerts)
	signal := router.SignalOf(event)
	if signal.Window > 0 {
		d.Measured = router.FormatDuration(signal.Window)
	}
	if a := worstOf(inc.Alerts); a != nil {
		if !a.Level.IsWord() {
			d.Threshold = router.FormatLevel(a.Event, a.Level)
		}
		s := router.SignalOf(a.Event)
		d.Impact, d.Help = cmp.Or(router.LevelMeaning(a.Event, a.Level), s.Impact), router.LevelHelp(a.Event, a.Level)
	}
	d.said(inc, event)
	if router.IsDrill(inc.Flow) { // its text says that nobody is affected
		d.Impact, d.Help = "", ""
	}
	d.Links = linksOf(inc, &signal)
	for _, p := range inc.PagesTold() {
		class := map[router.PageState]string{router.PageMade: "bad", router.PageFailed: "bad",
			router.PageWaiting: "warning"}[p.State]
		d.Pages = append(d.Pages, pageLine{p.Words(func(at time.Time) string { return at.UTC().Format("15:04 UTC") }),
			webURL(p.Link.URL), class, p.Delivery})
	}
	several := slices.ContainsFunc(inc.Alerts, func(a router.Alert) bool { return a.Event != inc.Alerts[0].Event })
	for i := range inc.Alerts {
		d.Ladder = append(d.Ladder, newRung(&inc.Alerts[i], several))
	}
	return d
}

// newRung is a level of the ladder; of an incident of several signals it names its signal.
func newRung(a *router.Alert, several bool) rung {
	name := router.FormatLevel(a.Event, a.Level)
	if several {
		name = router.Sentence(a.Event, a.Level)
	} else if name == "" {
		name = router.SignalName(a.Event)
	}
	r := rung{Name: name, Severity: a.Severity.String(), Active: a.Active, Held: !a.HeldUntil.IsZero(), Since: a.Since,
		Until: a.Until, OpenedBy: a.OpenedBy, ClosedBy: a.ClosedBy}
	if !a.Active {
		r.Took = after(a.Since, a.Until)
	}
	return r
}

// linksOf are the pages of others about an incident.
func linksOf(inc *router.IncidentDetail, signal *router.Signal) (links []webLink) {
	add := func(label, address string) {
		if address = webURL(address); address != "" {
			links = append(links, webLink{label, address})
		}
	}
	if inc.Subject.OfFlow() {
		add("Flow manager at Meta", flowManager)
	}
	add(signal.LinkLabel(), signal.Link)
	for i := range inc.Links {
		add(cmp.Or(inc.Links[i].Name(), inc.Links[i].Notifier), inc.Links[i].URL)
	}
	for i := range inc.Deliveries {
		d := &inc.Deliveries[i]
		known := slices.ContainsFunc(inc.Links, func(l router.Link) bool { return l.Notifier == d.Notifier && l.URL != "" })
		if !known {
			add(capital(d.Kind.Label())+": "+d.Notifier, d.Receipt.Link)
		}
	}
	return links
}

// actButtons are the acts with those that can be first in mind: the order never changes, so that no button moves under
// a thumb.
func actButtons(inc *router.IncidentDetail, may bool) (buttons []actButton) {
	for _, act := range actPages {
		b := actButton{Path: act.path(inc), Label: act.Label, Main: act.Event == router.Acknowledge}
		if why := inc.May(act.Event); why != router.MayHappen {
			b.Why = refusalWords(inc, why)
		} else if !may {
			b.Why = "You may look, not act."
		}
		buttons = append(buttons, b)
	}
	return buttons
}

// toldLines says who was told, and who was not.
func (c *Console) toldLines(r *http.Request, inc *router.IncidentDetail, d *incidentDetail) error {
	for i := range inc.Deliveries {
		del := &inc.Deliveries[i]
		line := toldLine{ID: del.ID, Notifier: del.Notifier, Kind: capital(del.Kind.Label()), State: string(del.State),
			Error:   del.LastError,
			Updated: del.Updated, Next: del.NextAt, Link: webURL(del.Receipt.Link)}
		attempts, err := c.store.Attempts(r.Context(), del.ID)
		if err != nil {
			return err
		}
		line.Attempts = len(attempts)
		for j := range attempts {
			if a := &attempts[j]; a.Result == router.AttemptDelivered {
				line.First = a.At.Add(a.Took)
				line.Delay = after(inc.OpenedAt, line.First)
				break
			}
		}
		d.Told = append(d.Told, line)
		if del.Fails() {
			d.Problems = append(d.Problems, problemLine{del.Notifier, del.LastError, del.ID, del.NextAt})
		}
	}
	return nil
}

// neighbours are the other incidents of the flow: what else is active, and the last ten of this signal.
func (c *Console) neighbours(r *http.Request, inc *router.IncidentDetail, d *incidentDetail) error {
	if inc.Flow == "" {
		return nil
	}
	active, err := c.store.IncidentRows(r.Context(), router.IncidentFilter{Flow: inc.Flow, WABA: inc.WABA, Active: true,
		Worst: true, Limit: 10})
	if err != nil {
		return err
	}
	for i := range active {
		if active[i].Number != inc.Number {
			d.Also = append(d.Also, c.newRow(&active[i]))
		}
	}
	past, err := c.store.IncidentRows(r.Context(), router.IncidentFilter{Flow: inc.Flow, WABA: inc.WABA,
		Signals: []string{inc.Event}, Before: inc.Number, Limit: 10})
	d.Recent = each(past, c.newRow)
	return err
}

// timelineKinds are what the timeline may be narrowed to.
var timelineKinds = map[string][]router.EntryKind{
	"people": {router.EntryAcknowledged, router.EntryUnacknowledged, router.EntryAssigned, router.EntryNote,
		router.EntrySilenced, router.EntryPaged},
	"meta": {router.EntryOpened, router.EntryEscalated, router.EntryActivated, router.EntryEased, router.EntryRecovering,
		router.EntryFlapped,
		router.EntryReopened, router.EntryResolved, router.EntryRecovered, router.EntryLate},
	"notes": {router.EntryNote},
}

// maxLines bounds the timeline on the page: it has to be read on a phone, and to fit into 60 KB.
const maxLines = 100

func (d *incidentDetail) timeline(inc *router.IncidentDetail, kind string) {
	kinds, narrowed := timelineKinds[kind]
	for i := range slices.Backward(inc.Timeline) {
		e := &inc.Timeline[i]
		if narrowed && !slices.Contains(kinds, e.Kind) || len(d.Timeline) >= maxLines {
			continue
		}
		d.Timeline = append(d.Timeline, timelineLine{e.At, string(e.Kind), e.Text, e.Event})
	}
	d.TimelineNone = "Nothing of that kind has happened."
	if kind == "notes" {
		d.TimelineNone = "No note. What people write as notes on its incident in PagerDuty is shown here."
	}
	d.Kinds = choices(kind, option{Text: "Everything"}, option{Value: "meta", Text: d.Reporter},
		option{Value: "people", Text: "People"}, option{Value: "notes", Text: "Notes"})
}

// toldPage is what an attempt page shows: what was sent, word for word.
type toldPage struct {
	Incident, ID   int64
	Name, Notifier string
	Kind, State    string
	Error          string
	Attempts       []attemptLine
	Link           string
	MayRetry       bool
}

// attemptLine is one attempt.
type attemptLine struct {
	router.Attempt
	Took, Result string
	Calls        []callLine
	Left         int // calls that the page has no room for
}

// callLine is one call, with what it drew.
type callLine struct {
	router.Call
	Took            string
	Card            *card
	Request, Answer string
}

// mostSent bounds what is shown of all attempts, the newest first, and mostText each text of theirs: the page has 60
// KB.
const (
	mostSent = 16 << 10
	mostText = 6 << 10
)

// toldDetail: GET /incidents/{number}/told/{delivery}
func (c *Console) toldDetail(r *http.Request, p httprouter.Params) (page, error) {
	inc, err := c.incident(r, p)
	if err != nil {
		return page{}, err
	}
	id, _ := strconv.ParseInt(p.ByName("delivery"), 10, 64)
	at := slices.IndexFunc(inc.Deliveries, func(d router.Delivery) bool { return d.ID == id })
	if at < 0 {
		return page{}, refuse(http.StatusNotFound, "%s has no delivery %q", inc.Name(), p.ByName("delivery"))
	}
	d := &inc.Deliveries[at]
	attempts, err := c.store.Attempts(r.Context(), id)
	if err != nil {
		return page{}, err
	}
	shown := toldPage{Incident: inc.Number, ID: id, Name: inc.Name(), Notifier: d.Notifier, Kind: capital(d.Kind.Label()),
		State: string(d.State),
		Error: d.LastError, Link: webURL(d.Receipt.Link), MayRetry: mayRetry(d)}
	shown.Attempts = attemptLines(attempts)
	return page{Title: "What " + d.Notifier + " was told of " + inc.Name(), Template: "told", Data: shown}, nil
}

// attemptLines shows attempts, the newest first, as far as a page has room for them.
func attemptLines(attempts []router.Attempt) (lines []attemptLine) {
	room := mostSent
	for i := range slices.Backward(attempts) {
		line := newAttemptLine(&attempts[i], room > 0)
		for j := range line.Calls {
			room -= line.Calls[j].size()
		}
		line.Left = len(attempts[i].Calls) - len(line.Calls)
		lines = append(lines, line)
	}
	return lines
}

// size is how many bytes of a page a call takes: JSON is a third larger there, for its quotes.
func (l *callLine) size() int {
	return len(template.HTMLEscapeString(l.Request)) + len(template.HTMLEscapeString(l.Answer))
}

func newAttemptLine(a *router.Attempt, whole bool) attemptLine {
	line := attemptLine{Attempt: *a, Took: fmt.Sprintf("%d ms", a.Took.Milliseconds()), Result: string(a.Result)}
	if !whole {
		return line
	}
	for _, call := range a.Calls {
		line.Calls = append(line.Calls, callLine{Call: call, Took: fmt.Sprintf("%d ms", call.Took.Milliseconds()),
			Card:    drawCard(call.Request),
			Request: pretty(call.Request), Answer: pretty(call.Answer)})
	}
	return line
}

// short cuts a text that a page would be too large with.
func short(text string) string {
	if len(text) <= mostText {
		return text
	}
	return strings.ToValidUTF8(text[:mostText], "") + "\n… cut here: the API has all of it"
}
