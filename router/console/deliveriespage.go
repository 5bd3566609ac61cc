package console

import (
	"cmp"
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

func (c *Console) deliveryRoutes() []pageRoute {
	return []pageRoute{
		{Method: http.MethodGet, Path: "/deliveries", Nav: "/deliveries", View: c.deliveriesPage, Live: true},
		{Method: http.MethodGet, Path: "/deliveries/:id", Nav: "/deliveries", View: c.deliveryPage},
		{Method: http.MethodGet, Path: "/deliveries/:id/retry", Nav: "/deliveries", View: c.confirmRetry},
		{Method: http.MethodPost, Path: "/deliveries/:id/retry", Nav: "/deliveries", View: c.postRetry},
		{Method: http.MethodGet, Path: "/retry", Nav: "/deliveries", View: c.confirmRetries},
		{Method: http.MethodPost, Path: "/retry", Nav: "/deliveries", View: c.postRetries},
	}
}

// deliveryList is what the page of deliveries shows.
type deliveryList struct {
	Form             filterForm
	Groups           []parkedGroup
	Waiting, Rows    []deliveryRow
	Next             string
	Narrowed         bool
	Notifiers, Quiet bool // there is a page of notifiers; nothing is parked and nothing waits
}

// parkedGroup is what is parked for the same reason, with what to do.
type parkedGroup struct {
	Said, Do       string
	Notifiers      string
	Count          int64
	Oldest, Newest time.Time
	Delivery       int64
	RetryPath      string
	ListPath       string
}

// deliveryRow is a line of the list.
type deliveryRow struct {
	ID             int64
	State, Look    string
	Notifier, Kind string
	What, About    string
	IncidentPath   string
	EventPath      string
	Error          string
	Attempts       int // that failed, where nothing has come through since
	Updated, Next  time.Time
	Link           string
	MayRetry       bool
}

// mayRetry says whether a delivery has something to be tried.
func mayRetry(d *router.Delivery) bool {
	return d.State == router.DeliveryWaiting || d.State == router.DeliveryParked
}

// deliveryLooks are the classes of states.
var deliveryLooks = map[router.DeliveryState]string{router.DeliveryParked: "bad", router.DeliveryDelivered: "ok",
	router.DeliveryCancelled: "hush"}

func (c *Console) newDeliveryRow(d *router.Delivery, of router.About) deliveryRow {
	row := deliveryRow{ID: d.ID, State: string(d.State), Look: deliveryLooks[d.State], Notifier: d.Notifier,
		Kind: capital(d.Kind.Label()), Error: d.LastError,
		Updated: d.Updated, Link: webURL(d.Receipt.Link)}
	if d.Fails() {
		row.Attempts = d.Attempts
	}
	if mayRetry(d) {
		row.Next, row.MayRetry = d.NextAt, true
	}
	if d.Incident != 0 {
		row.What, row.IncidentPath = router.IncidentName(d.Incident), incidentPath(d.Incident)
	} else {
		row.What, row.EventPath = fmt.Sprintf("Notice of event %d", d.Event), fmt.Sprintf("/events/%d", d.Event)
	}
	if about := cmp.Or(of.FlowName, of.Subject.Name, router.OnlyFlow(of.Flow), of.AccountName, of.WABA); about != "" {
		row.About = router.Topic(about, of.Event)
	} else if of.Event != "" {
		row.About = router.SignalName(of.Event)
	}
	return row
}

// saidAndDo takes a refusal apart: what the service said, and in brackets at its end what a person can do.
func saidAndDo(text string) (said, do string) {
	depth := 0
	for at := len(text) - 1; at > 0 && strings.HasSuffix(text, ")"); at-- {
		switch text[at] {
		case ')':
			depth++
		case '(':
			depth--
		}
		if depth == 0 {
			if text[at-1] == ' ' {
				return text[:at-1], sentence(text[at+1 : len(text)-1])
			}
			break
		}
	}
	return text, "Mend what it says, then retry."
}

// likeThese is the part of an error by which a filter finds all with the same.
func likeThese(text string) string {
	if len(text) > maxQuery {
		text = strings.ToValidUTF8(text[:maxQuery], "")
	}
	return text
}

func newParkedGroup(g *router.ParkedGroup) parkedGroup {
	out := parkedGroup{Notifiers: strings.Join(g.Notifiers[:min(len(g.Notifiers), 5)], ", "), Count: g.Count,
		Oldest: g.Oldest, Newest: g.Newest, Delivery: g.Delivery}
	if n := len(g.Notifiers) - 5; n > 0 {
		out.Notifiers += fmt.Sprintf(" and %d more", n)
	}
	out.Said, out.Do = saidAndDo(cmp.Or(g.Error, "no reason is known"))
	filter := url.Values{"q": {likeThese(g.Error)}}
	if len(g.Notifiers) == 1 {
		filter.Set("notifier", g.Notifiers[0])
	}
	out.RetryPath = "/retry" + queryOf(filter)
	filter.Set("state", string(router.DeliveryParked))
	out.ListPath = "/deliveries" + queryOf(filter)
	return out
}

// deliveriesPage: GET /deliveries, see deliveryFilter. Without a filter what needs a person comes first, then what
// waits.
func (c *Console) deliveriesPage(r *http.Request, _ httprouter.Params) (page, error) {
	asked, err := pageQuery(r)
	if err != nil {
		return page{}, err
	}
	f, err := c.deliveryFilter(asked)
	if err != nil {
		return page{}, err
	}
	q := r.URL.Query()
	list := deliveryList{Narrowed: queryOf(q, "before", "limit") != "", Notifiers: c.cfg.Notifiers != nil}
	first := !list.Narrowed && f.Before == 0
	if first || f.State == router.DeliveryParked && f.Before == 0 {
		groups, err := c.store.ParkedGroups(r.Context(), f)
		if err != nil {
			return page{}, err
		}
		list.Groups = each(groups[:min(len(groups), rowsOfPage/2)], newParkedGroup)
	}
	var waiting []router.Delivery
	if first {
		if waiting, err = c.store.FindDeliveries(r.Context(), router.DeliveryFilter{State: router.DeliveryWaiting,
			Limit: rowsOfPage / 2}); err != nil {
			return page{}, err
		}
	}
	found, err := c.store.FindDeliveries(r.Context(), f)
	if err != nil {
		return page{}, err
	}
	about, err := c.store.About(r.Context(), slices.Concat(waiting, found))
	if err != nil {
		return page{}, err
	}
	row := func(d *router.Delivery) deliveryRow { return c.newDeliveryRow(d, about[d.ID]) }
	list.Waiting = each(waiting, row)
	for i := range found {
		if first && found[i].State == router.DeliveryWaiting && len(waiting) < rowsOfPage/2 { // it stands above
			continue
		}
		list.Rows = append(list.Rows, row(&found[i]))
	}
	if len(found) == f.Limit {
		list.Next = nextPage(r, found[len(found)-1].ID)
	}
	list.Quiet = first && len(list.Groups)+len(waiting) == 0
	list.Form = filterForm{Path: "/deliveries", Open: list.Narrowed, Fields: []input{
		{Name: "state", Label: "State", Type: "select", Options: chooseFrom(q.Get("state"), "parked", "waiting", "delivered",
			"cancelled")},
		{Name: "notifier", Label: "Notifier", Value: q.Get("notifier")},
		{Name: "incident", Label: "Incident", Value: q.Get("incident"), Hint: "INC-42"},
		{Name: "q", Label: "Error has", Type: "search", Value: q.Get("q"), Hint: "channel_not_found"},
	}}
	return page{Title: "Deliveries", Template: "deliveries", Data: list}, nil
}

// deliveryDetail is what the page of a delivery shows.
type deliveryDetail struct {
	deliveryRow
	Said, Do string
	Attempts []attemptLine
	ID       int64
}

// delivery loads the one that the path names.
func (c *Console) delivery(r *http.Request, p httprouter.Params) (d router.Delivery, err error) {
	id, err := strconv.ParseInt(p.ByName("id"), 10, 64)
	if err != nil || id < 1 {
		return d, refuse(http.StatusNotFound, "there is no delivery %q", bounded(p.ByName("id"), maxActor))
	}
	d, err = c.store.Delivery(r.Context(), id)
	if errors.Is(err, router.ErrNotFound) {
		return d, refuse(http.StatusNotFound, "there is no delivery %d", id)
	}
	return d, err
}

// deliveryPage: GET /deliveries/{id}
func (c *Console) deliveryPage(r *http.Request, p httprouter.Params) (page, error) {
	d, err := c.delivery(r, p)
	if err != nil {
		return page{}, err
	}
	attempts, err := c.store.Attempts(r.Context(), d.ID)
	if err != nil {
		return page{}, err
	}
	about, err := c.store.About(r.Context(), []router.Delivery{d})
	if err != nil {
		return page{}, err
	}
	shown := deliveryDetail{deliveryRow: c.newDeliveryRow(&d, about[d.ID]), ID: d.ID, Attempts: attemptLines(attempts)}
	if d.LastError != "" && shown.MayRetry {
		shown.Said, shown.Do = saidAndDo(d.LastError)
	}
	return page{Title: fmt.Sprintf("Delivery %d to %s", d.ID, d.Notifier), Template: "delivery", Data: shown}, nil
}

// confirmRetry: GET /deliveries/{id}/retry
func (c *Console) confirmRetry(r *http.Request, p httprouter.Params) (page, error) {
	d, err := c.delivery(r, p)
	if err != nil {
		return page{}, err
	}
	row := c.newDeliveryRow(&d, router.About{})
	form := confirmation{Title: fmt.Sprintf("Retry delivery %d", d.ID), About: row.What + " to " + d.Notifier,
		Button: "Retry now", Grave: d.Kind.Pages(), Back: backFrom(r, &d)}
	if !row.MayRetry {
		form.Cannot = sentence("It is " + string(d.State) + ": there is nothing to retry")
		return confirm(form), nil
	}
	form.What = []string{
		"It is tried at once, with what it is owed by now. If it fails again, it is parked or waits as before."}
	form.Told = []string{c.whom(d.Notifier, d.Kind)}
	return confirm(form), nil
}

// backFrom is the page that a retry leads back to: that of the delivery, or of what was told of an incident.
func backFrom(r *http.Request, d *router.Delivery) string {
	if d.Incident > 0 && r.URL.Query().Get("back") == "incident" {
		return toldPath(d.Incident, d.ID)
	}
	return fmt.Sprintf("/deliveries/%d", d.ID)
}

// toldPath is the page of what a delivery told of an incident.
func toldPath(incident, delivery int64) string {
	return fmt.Sprintf("/incidents/%d/told/%d", incident, delivery)
}

// whom says who is told through a notifier.
func (c *Console) whom(notifier string, kind router.Kind) string {
	line := notifier + " (" + kind.Label() + ")"
	if kind.Pages() {
		line += ": it may wake whoever is on call"
	}
	return line
}

// postRetry: POST /deliveries/{id}/retry
func (c *Console) postRetry(r *http.Request, p httprouter.Params) (page, error) {
	d, err := c.delivery(r, p)
	if err != nil {
		return page{}, err
	}
	by := c.actorName(r)
	back := page{SeeOther: backFrom(r, &d), Said: done("Delivery %d is tried at once.", d.ID)}
	err = c.store.RetryDelivery(r.Context(), d.ID, c.auditEntry(r, by, fmt.Sprintf("retry delivery %d", d.ID),
		"it is tried at once"))
	switch {
	case errors.Is(err, router.ErrConflict):
		back.Said = flash{Text: "Nothing was done. " + sentence(err.Error()), Bad: true}
	case err != nil:
		return page{}, err
	default:
		c.cfg.Logger.Info("a person asks for a retry", "delivery", d.ID, "by", by, "from", r.RemoteAddr)
	}
	return back, nil
}

// retryFilter reads which deliveries are to be tried again.
func retryFilter(values url.Values) (router.DeliveryFilter, error) {
	q := &query{values: url.Values{}}
	for _, name := range []string{"notifier", "q"} {
		if value := values.Get(name); value != "" {
			q.values.Set(name, value)
		}
	}
	f := router.DeliveryFilter{State: router.DeliveryParked, Notifier: q.text("notifier"), Query: q.text("q")}
	return f, q.err()
}

// confirmRetries: GET /retry?notifier=&q=
func (c *Console) confirmRetries(r *http.Request, _ httprouter.Params) (page, error) {
	f, err := retryFilter(r.URL.Query())
	if err != nil {
		return page{}, err
	}
	groups, err := c.store.ParkedGroups(r.Context(), f)
	if err != nil {
		return page{}, err
	}
	form := confirmation{Title: "Retry all like these", About: capital(retryWords(&f)), Button: "Retry",
		Back: "/deliveries"}
	var n int64
	names := map[string]bool{}
	for i := range groups {
		n += groups[i].Count
		for _, name := range groups[i].Notifiers {
			names[name] = true
		}
	}
	if n == 0 {
		form.Cannot = "None is parked that this names."
		return confirm(form), nil
	}
	form.Button = fmt.Sprintf("Retry %d", n)
	form.What = []string{fmt.Sprintf(
		"%d are tried at once, each with what it is owed by now. Those that fail again are parked as before.", n)}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		line := name
		if t, ok := c.target(name); ok {
			line = c.whom(name, t.Kind)
			form.Grave = form.Grave || t.Kind.Pages()
		}
		form.Told = append(form.Told, line)
	}
	form.Inputs = []input{{Type: "hidden", Name: "notifier", Value: f.Notifier},
		{Type: "hidden", Name: "q", Value: f.Query}}
	return confirm(form), nil
}

// postRetries: POST /retry
func (c *Console) postRetries(r *http.Request, _ httprouter.Params) (page, error) {
	f, err := retryFilter(r.PostForm)
	if err != nil {
		return page{}, err
	}
	by, what := c.actorName(r), retryWords(&f)
	n, err := c.store.RetryDeliveries(r.Context(), f, func(n int) router.AuditEntry {
		return c.auditEntry(r, by, what, fmt.Sprintf("%d are tried at once", n))
	})
	if err != nil {
		return page{}, err
	}
	c.cfg.Logger.Info("a person asks for retries", "what", what, "deliveries", n, "by", by, "from", r.RemoteAddr)
	if n == 0 {
		return page{SeeOther: "/deliveries", Said: flash{Text: "None was parked any more that this names.", Bad: true}}, nil
	}
	return page{SeeOther: "/deliveries", Said: done("Tried at once: %d.", n)}, nil
}
