package console

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

// actPage is an act on an incident as the console shows it: a button that leads to GET /incidents/{number}/{word},
// which says what will happen, and is posted. That of a silence leads to the form of a new one.
type actPage struct {
	Word, Event string // of the path, and of the journal
	Label       string // on the button
	Grave       bool
	what        func(inc *router.IncidentDetail, by string) []string // nil: the form of a new silence says it
}

// actPages are the acts on an incident, in the order of the buttons.
var actPages = []actPage{
	{Word: "acknowledge", Event: router.Acknowledge, Label: "Acknowledge",
		what: func(inc *router.IncidentDetail, by string) []string {
			lines := []string{by + " has it from now on. " + router.Reporter(inc.Event) +
				" still reports it: it stays active until the recovery is reported."}
			for _, p := range inc.Pages(inc.Alerts) {
				if p.State == router.PageWaiting && p.UnlessAcknowledged {
					lines = append(lines, "The page of "+p.Notifier+" that is due is taken back.")
				}
			}
			if inc.AcknowledgedFor > 0 {
				lines = append(lines, "The acknowledgement ends after "+router.FormatDuration(inc.AcknowledgedFor)+
					" if nobody follows it up.")
			}
			return lines
		}},
	{Word: "unacknowledge", Event: router.Unacknowledge, Label: "Take back",
		what: func(*router.IncidentDetail, string) []string {
			return []string{"Nobody has it any more. Those who page are told anew."}
		}},
	{Word: "resolve", Event: router.Resolve, Label: "Resolve", what: func(inc *router.IncidentDetail, _ string) []string {
		lines := []string{"The incident is closed by hand, on every card and in the services that page."}
		if anyCounting(inc.Alerts) {
			lines = append(lines, router.Reporter(inc.Event)+" still reports it. If it gets worse, the incident opens again.")
		}
		return lines
	}},
	{Word: "reopen", Event: router.Reopen, Label: "Reopen", Grave: true,
		what: func(*router.IncidentDetail, string) []string {
			return []string{"The incident is open again, and who was told of it is told so."}
		}},
	{Word: "page", Event: router.PageNow, Label: "Page now", Grave: true,
		what: func(inc *router.IncidentDetail, _ string) []string {
			return []string{"Paged at once, whatever they wait for: " + strings.Join(inc.Unpaged(), ", ") + "."}
		}},
	{Event: router.AddSilence, Label: "Silence"},
}

func anyCounting(alerts []router.Alert) bool {
	return slices.ContainsFunc(alerts, func(a router.Alert) bool { return a.Counts() })
}

// path is where the button of an act leads.
func (a *actPage) path(inc *router.IncidentDetail) string {
	if a.what == nil {
		return "/silences/" + silenceNew + "?incident=" + inc.Name()
	}
	return incidentPath(inc.Number) + "/" + a.Word
}

// actorName is what cards and timelines call whoever acts through the console.
func (c *Console) actorName(r *http.Request) string {
	who := callerOf(r)
	if who.person != "" {
		return who.person
	}
	return "Somebody at the console"
}

// doAct writes an act on incidents to the journal and returns what came of it, of the last of them.
func (c *Console) doAct(r *http.Request, name string, incidents ...*router.IncidentDetail) (Result, error) {
	by := c.actorName(r)
	events := make([]router.Event, len(incidents))
	for i, inc := range incidents {
		events[i] = router.Event{Name: name, WABA: inc.WABA, Flow: inc.Flow,
			Act: &router.Act{Incident: inc.Number, Actor: by}}
	}
	came, err := c.sayAll(r, events)
	if err != nil {
		return came, err
	}
	for _, inc := range incidents {
		c.cfg.Logger.Info("a person acts", "act", name, "incident", inc.Name(), "by", by, "from", r.RemoteAddr)
	}
	return came, nil
}

// toldOf says who is told of what a person does to an incident.
func toldOf(inc *router.IncidentDetail) (lines []string) {
	for i := range inc.Deliveries {
		d := &inc.Deliveries[i]
		line := d.Notifier + " (" + d.Kind.Label() + ")"
		switch {
		case d.State == router.DeliveryParked:
			line += ": could not be told so far, its delivery is parked"
		case d.State == router.DeliveryCancelled:
			continue
		case d.Kind.Edits():
			line += ": its message changes"
		}
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		lines = []string{"Nobody: no notifier was told of it."}
	}
	return lines
}

// refusalWords says why an act cannot be, as the page says it beside the button.
func refusalWords(inc *router.IncidentDetail, why router.Refusal) string {
	switch why {
	case router.AlreadyResolved:
		return "It is resolved."
	case router.NotResolved:
		return "It is not resolved."
	case router.Recovered:
		return router.Reporter(inc.Event) + " reports it no more."
	case router.AlreadyAcknowledged:
		return "It is acknowledged."
	case router.NotAcknowledged:
		return "It is not acknowledged."
	case router.NobodyToPage:
		return "Its rules name nobody who pages."
	case router.AllPaged:
		return sentence(allPaged(inc))
	case router.AlreadySilenced:
		return "It is silenced already."
	case router.NotSilenced:
		return "It is not silenced."
	}
	return sentence(string(why))
}

// whoWasPaged tells those who can be paged and were called from those whose page could not be made.
func whoWasPaged(inc *router.IncidentDetail) (paged, failed []string) {
	for _, p := range inc.PagesTold() {
		if p.State == router.PageFailed && !slices.Contains(failed, p.Notifier) {
			failed = append(failed, p.Notifier)
		}
	}
	paged = slices.DeleteFunc(slices.Clone(inc.Pageable), func(name string) bool { return slices.Contains(failed, name) })
	return paged, failed
}

// allPaged says of an incident whose pagers were all called that they were, or could not be.
func allPaged(inc *router.IncidentDetail) string {
	var said []string
	paged, failed := whoWasPaged(inc)
	if len(paged) > 0 {
		said = append(said, "paged already: "+strings.Join(paged, ", "))
	}
	if len(failed) > 0 {
		said = append(said, "could not be paged: "+strings.Join(failed, ", ")+"; retry the delivery")
	}
	return strings.Join(said, "; ")
}

func (c *Console) actRoutes() (routes []pageRoute) {
	for _, act := range actPages {
		path := "/incidents/:number/" + act.Word
		if act.what == nil {
			continue
		}
		routes = append(routes,
			pageRoute{Method: http.MethodGet, Path: path, Nav: "/", View: c.confirmAct(act)},
			pageRoute{Method: http.MethodPost, Path: path, Nav: "/", View: c.postAct(act)})
	}
	return routes
}

// confirmAct: GET /incidents/{number}/{act}
func (c *Console) confirmAct(act actPage) view {
	return func(r *http.Request, p httprouter.Params) (page, error) {
		inc, err := c.incident(r, p)
		if err != nil {
			return page{}, err
		}
		return c.actForm(r, act, &inc), nil
	}
}

func (c *Console) actForm(r *http.Request, act actPage, inc *router.IncidentDetail) page {
	form := confirmation{Title: act.Label + " " + inc.Name(), About: headline(inc), Button: act.Label, Grave: act.Grave,
		Back: incidentPath(inc.Number)}
	if why := inc.May(act.Event); why != router.MayHappen {
		form.Cannot = refusalWords(inc, why)
		return confirm(form)
	}
	form.What, form.Told = act.what(inc, c.actorName(r)), toldOf(inc)
	return confirm(form)
}

// postAct: POST /incidents/{number}/{act}
func (c *Console) postAct(act actPage) view {
	return func(r *http.Request, p httprouter.Params) (page, error) {
		inc, err := c.incident(r, p)
		if err != nil {
			return page{}, err
		}
		back := page{SeeOther: incidentPath(inc.Number)}
		if why := inc.May(act.Event); why != router.MayHappen {
			waits, err := c.actsWait(r, inc.Number) // what waits to be folded comes first, and may be what makes it possible
			if err != nil {
				return page{}, err
			}
			if !waits {
				back.Said = flash{Text: "Nothing was done. " + refusalWords(&inc, why), Bad: true}
				return back, nil
			}
		}
		came, err := c.doAct(r, act.Event, &inc)
		if err != nil {
			return page{}, err
		}
		back.Said = done("%s", sentence(cmp.Or(came.Outcome, came.Note)))
		return back, nil
	}
}

func incidentPath(number int64) string { return fmt.Sprintf("/incidents/%d", number) }

// after writes how long after another time something was.
func after(from, at time.Time) string {
	if from.IsZero() || at.IsZero() {
		return ""
	}
	return router.FormatDuration(at.Sub(from))
}
