package console

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

func (c *Console) eventRoutes() []pageRoute {
	return []pageRoute{
		{Method: http.MethodGet, Path: "/events", Nav: "/events", View: c.eventsPage, Live: true},
		{Method: http.MethodGet, Path: "/events/:seq", Nav: "/events", View: c.eventPage},
	}
}

// eventList is what the page of events shows.
type eventList struct {
	Form     filterForm
	Rows     []eventRow
	Next     string
	Narrowed bool
	Further  bool // it is not the first page
	Passed   bool // a part of the journal was looked through, and it goes on
}

// filterForm is a filter as it stands in the form of a page.
type filterForm struct {
	Path   string
	Fields []input
	Open   bool
}

// eventRow is a line of the list.
type eventRow struct {
	Seq                 int64
	What, About, Source string
	State, Look         string // and its class
	Value, Outcome      string
	At, Received        time.Time
	Delay               string
}

// pageQuery reads the query of a page: what is left empty in a form asks for nothing.
func pageQuery(r *http.Request) (*query, error) {
	asked, err := readQuery(r)
	if err != nil {
		return nil, err
	}
	values := url.Values{"limit": {strconv.Itoa(rowsOfPage)}}
	for name, all := range asked.values {
		if all = slices.DeleteFunc(slices.Clone(all), func(value string) bool { return value == "" }); len(all) > 0 {
			values[name] = all
		}
	}
	return &query{values: values}, nil
}

// nextPage returns the path of a page that goes on before something, "" for 0.
func nextPage(r *http.Request, before int64) string {
	if before == 0 {
		return ""
	}
	q := r.URL.Query()
	q.Set("before", strconv.FormatInt(before, 10))
	return r.URL.Path + queryOf(q)
}

// chooseFrom makes the options of a select from words, with one for any.
func chooseFrom(chosen string, words ...string) []option {
	list := []option{{Text: "Any"}}
	for _, word := range words {
		list = append(list, option{Value: word, Text: capital(word)})
	}
	return choices(chosen, list...)
}

// eventsPage: GET /events, see eventFilter.
func (c *Console) eventsPage(r *http.Request, _ httprouter.Params) (page, error) {
	asked, err := pageQuery(r)
	if err != nil {
		return page{}, err
	}
	f, err := c.eventFilter(asked)
	if err != nil {
		return page{}, err
	}
	found, next, err := c.store.FindEvents(r.Context(), f)
	if err != nil {
		return page{}, err
	}
	q := r.URL.Query()
	list := eventList{Rows: each(found, c.newEventRow), Next: nextPage(r, next),
		Narrowed: queryOf(q, "before", "limit") != "", Further: f.Before > 0,
		Passed: next != 0 && len(found) < f.Limit}
	list.Form = filterForm{Path: "/events", Open: list.Narrowed, Fields: []input{
		{Name: "q", Label: "Name has", Type: "search", Value: q.Get("q"), Hint: "error_rate"},
		{Name: "source", Label: "From", Type: "select", Options: sourceOptions(q.Get("source"))},
		{Name: "flow", Label: "Flow", Value: q.Get("flow"), Hint: "name or id"},
		{Name: "waba", Label: "Account", Value: q.Get("waba"), Hint: "id"},
		{Name: "state", Label: "State", Type: "select", Options: chooseFrom(q.Get("state"), "waiting", "folded", "unreadable",
			"failed")},
		{Name: "from", Label: "Since", Value: q.Get("from"), Hint: "4h or 2026-03-02"},
		{Name: "to", Label: "Until", Value: q.Get("to"), Hint: "1h or 2026-03-02"},
	}}
	return page{Title: "Events", Template: "events", Data: list}, nil
}

// sourceWords are who spoke, as people write them.
var sourceWords = map[router.Source]string{router.SourceMeta: "Meta", router.SourceConsole: "Console",
	router.SourceSlack:     "Slack",
	router.SourcePagerDuty: "PagerDuty", router.SourceFlowbridge: "flowbridge"}

func sourceOptions(chosen string) []option {
	list := []option{{Text: "Any"}}
	for _, s := range []router.Source{router.SourceMeta, router.SourceConsole, router.SourceSlack, router.SourcePagerDuty,
		router.SourceFlowbridge} {
		list = append(list, option{Value: string(s), Text: sourceWords[s]})
	}
	return choices(chosen, list...)
}

// eventLooks are the classes of states.
var eventLooks = map[router.EventState]string{router.EventUnreadable: "bad", router.EventFailed: "bad",
	router.EventWaiting: "hush"}

func (c *Console) newEventRow(e *router.JournalEvent) eventRow {
	row := eventRow{Seq: e.Seq, What: eventWords(&e.Event), About: c.aboutEvent(&e.Event), Source: sourceWords[e.Source],
		State: string(e.State),
		Look:  eventLooks[e.State], Outcome: e.Outcome, At: e.At, Received: e.Received, Delay: delayOf(&e.Event)}
	if e.Unreadable != "" {
		row.Outcome = cmp.Or(row.Outcome, e.Unreadable)
	}
	if v := number(e.Reading.Value); v != nil && !router.IsPersonal(e.Name) {
		row.Value = router.FormatValue(e.SignalKey(), *v)
	}
	return row
}

// delayOf is how long an event took from Meta's clock to us; "" of what did not come from there.
func delayOf(e *router.Event) string {
	if e.Source != router.SourceMeta || e.Unreadable != "" {
		return ""
	}
	return router.FormatDuration(max(e.Received.Sub(e.At), 0))
}

// eventWords says in a line what an event is.
func eventWords(e *router.Event) string {
	if e.Unreadable != "" && e.Name == "" {
		return "A post that could not be read"
	}
	if e.Act != nil && e.Source != router.SourceFlowbridge {
		if words := e.Act.Words(e.Name); words != "" {
			return capital(words) + " by " + cmp.Or(e.Act.Actor, "somebody")
		}
	}
	parts := []string{router.SignalName(e.SignalKey())}
	if e.Threshold != nil {
		parts = append(parts, "at "+router.FormatValue(e.SignalKey(), *e.Threshold))
	}
	if e.AlertState != "" {
		parts = append(parts, e.AlertState)
	}
	if e.NewStatus != "" {
		parts = append(parts, cmp.Or(e.OldStatus, "nothing")+" → "+e.NewStatus)
	}
	if e.Change != "" && e.Change != e.AlertState {
		parts = append(parts, e.Change)
	}
	return strings.Join(parts, " ")
}

// aboutEvent names what an event is about.
func (c *Console) aboutEvent(e *router.Event) string {
	if e.Flow != "" && router.OnlyFlow(e.Flow) != "" {
		return cmp.Or(c.cfg.FlowName(e.Flow), e.Flow)
	}
	about := cmp.Or(e.Subject.Name, e.Subject.ID, c.cfg.AccountName(e.WABA), e.WABA)
	if about == "" && e.Act != nil {
		return e.Act.Notifier
	}
	return about
}

// eventDetail is what the page of an event shows.
type eventDetail struct {
	eventRow
	Facts      []router.Fact
	FlowPath   string
	Message    string
	Warning    string
	Errors     []errorLine
	Value      string // as Meta wrote it
	Hidden     string // why it is not shown
	Fields     []router.Fact
	Raw        string
	Size       int
	Unreadable string
	Pairs      []pairLine
	Deliveries []deliveryRow
	CanExplain bool
	Explained  string
	TryPath    string
}

// pairLine is the other half of an alert.
type pairLine struct {
	Seq  int64
	What string
}

// mostOfValue bounds what is shown of a value, so that the page stays small.
const mostOfValue = 24 << 10

// event loads the one that the path names.
func (c *Console) event(r *http.Request, p httprouter.Params) (e router.JournalEvent, err error) {
	seq, err := strconv.ParseInt(p.ByName("seq"), 10, 64)
	if err != nil || seq < 1 {
		return e, refuse(http.StatusNotFound, "there is no event %q", bounded(p.ByName("seq"), maxActor))
	}
	e, err = c.store.Event(r.Context(), seq)
	if errors.Is(err, router.ErrNotFound) {
		return e, refuse(http.StatusNotFound, "there is no event %d", seq)
	}
	return e, err
}

// eventPage: GET /events/{seq}, with explain=yes also why the rules make of it what they do.
func (c *Console) eventPage(r *http.Request, p httprouter.Params) (page, error) {
	e, err := c.event(r, p)
	if err != nil {
		return page{}, err
	}
	d := c.newEventDetail(&e)
	pairs, err := c.store.Pairs(r.Context(), e.Seq, e.Seq)
	if err != nil {
		return page{}, err
	}
	for _, seq := range pairs[e.Seq][:min(len(pairs[e.Seq]), 2)] { // one query each
		other, err := c.store.Event(r.Context(), seq)
		if err != nil && !errors.Is(err, router.ErrNotFound) {
			return page{}, err
		}
		d.Pairs = append(d.Pairs, pairLine{seq, eventWords(&other.Event)})
	}
	for _, seq := range pairs[e.Seq][len(d.Pairs):] {
		d.Pairs = append(d.Pairs, pairLine{Seq: seq})
	}
	if d.Deliveries, err = c.deliveriesOf(r, &e); err != nil {
		return page{}, err
	}
	if d.CanExplain = c.cfg.Explain != nil && (e.OfMeta() || e.ForFallback()) && e.Unreadable == ""; d.CanExplain &&
		r.URL.Query().Get("explain") != "" {
		if d.Explained, err = c.cfg.Explain(&e.Event); err != nil {
			c.cfg.Logger.Warn("an event could not be explained", "event", e.Seq, "error", err)
			d.Explained = "That could not be found out: the log says why."
		}
	}
	if c.web.has("/rules") && e.Source == router.SourceMeta && e.Unreadable == "" {
		d.TryPath = "/rules/candidate"
	}
	return page{Title: fmt.Sprintf("Event %d", e.Seq), Template: "event", Data: d}, nil
}

// deliveriesOf returns the deliveries of a notice, or of the incident that an event changed.
func (c *Console) deliveriesOf(r *http.Request, e *router.JournalEvent) ([]deliveryRow, error) {
	f := router.DeliveryFilter{Event: e.Seq, Limit: 20}
	if found := incidentNames.FindStringSubmatch(e.Outcome); found != nil {
		f.Event = 0
		f.Incident, _ = router.ParseIncidentName(found[0])
	}
	found, err := c.store.FindDeliveries(r.Context(), f)
	if err != nil {
		return nil, err
	}
	return each(found, func(d *router.Delivery) deliveryRow { return c.newDeliveryRow(d, router.About{}) }), nil
}

// incidentNames are the names of incidents in a text.
var incidentNames = regexp.MustCompile(`\bINC-([1-9][0-9]{0,17})\b`)

func (c *Console) newEventDetail(e *router.JournalEvent) eventDetail {
	shape := newEventDetail(e, nil)
	d := eventDetail{eventRow: c.newEventRow(e), Message: shape.Message, Warning: e.Warning, Unreadable: e.Unreadable,
		Raw: shape.Raw, Size: shape.Size}
	add := func(name, text string) {
		if text != "" {
			d.Facts = append(d.Facts, router.Fact{Name: name, Text: text})
		}
	}
	add("Name", e.Name)
	add("Field", e.Field)
	add("Account", c.called(c.cfg.AccountName(e.WABA), e.WABA))
	if flow := router.OnlyFlow(e.Flow); flow != "" {
		add("Flow", c.called(c.cfg.FlowName(flow), flow))
		d.FlowPath = flowPath(e.FlowID())
	}
	if !e.Subject.OfFlow() {
		add(capital(string(e.Subject.Kind)), c.called(e.Subject.Name, e.Subject.ID))
	}
	add("Alert state", e.AlertState)
	if e.Threshold != nil {
		add("Threshold", router.FormatValue(e.SignalKey(), *e.Threshold))
	}
	if !router.IsPersonal(e.Name) {
		add("Measured", d.eventRow.Value)
	}
	d.Facts = append(d.Facts, readingFacts(e.SignalKey(), &e.Reading)...)
	add("Old status", e.OldStatus)
	add("New status", e.NewStatus)
	add("Change", e.Change)
	add("Severity, as Meta says", e.Said.String())
	if e.Act != nil {
		add("Who", e.Act.Actor)
		add("Notifier", e.Act.Notifier)
		add("Words", e.Act.Text)
		add("Error", e.Act.Error)
	}
	d.Facts = append(d.Facts, e.Facts...)
	d.Errors = errorLines(e.Errors)
	d.body(e, shape.Body)
	return d
}

// called writes a name with its id, or the id alone.
func (c *Console) called(name, id string) string {
	if name == "" || name == id {
		return id
	}
	return name + " (" + id + ")"
}

// body shows the value as Meta wrote it. Of what people wrote only what a rule names is kept, and shown; before it is
// folded nothing is.
func (d *eventDetail) body(e *router.JournalEvent, value json.RawMessage) {
	switch {
	case router.IsPersonal(e.Name):
		d.Hidden = "What people wrote is not shown: only the fields that a rule names are."
		var fields map[string]string
		if e.Reduced == router.ReducedPersonal && json.Unmarshal(e.Event.Value, &fields) == nil {
			for _, name := range slices.Sorted(maps.Keys(fields)) {
				d.Fields = append(d.Fields, router.Fact{Name: name, Text: fields[name]})
			}
		}
	case value != nil:
		var buf bytes.Buffer
		if json.Indent(&buf, value, "", "  ") != nil {
			return
		}
		if d.Value = buf.String(); len(d.Value) > mostOfValue {
			d.Value = strings.ToValidUTF8(d.Value[:mostOfValue], "") + "\n… cut here: the API has all of it"
		}
	case e.Reduced != "":
		d.Hidden = sentence("What it said is not kept: " + string(e.Reduced))
	}
}
