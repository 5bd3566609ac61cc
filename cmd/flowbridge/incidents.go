package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"flowbridge/router"
	"flowbridge/router/console"
)

// incidentsCommand is `flowbridge incidents`.
type incidentsCommand struct {
	List          incidentsList `cmd:"" default:"withargs" help:"List incidents: those that are not resolved, or by --state."`
	Show          incidentsShow `cmd:"" help:"Show one incident: its alerts, who was told, and its timeline."`
	Acknowledge   incidentsAct  `cmd:"" aliases:"ack" help:"Say that somebody is on it."`
	Unacknowledge incidentsAct  `cmd:"" help:"Take an acknowledgement back."`
	Resolve       incidentsAct  `cmd:"" help:"Close it, whatever Meta still reports."`
	Reopen        incidentsAct  `cmd:"" help:"Take back that it was resolved by hand."`
	Page          incidentsAct  `cmd:"" help:"Page at once whoever would be paged later or not at all."`
}

type incidentsList struct {
	State  string     `enum:"unresolved,open,acknowledged,resolved,all" default:"unresolved" help:"${enum}."`
	Flow   string     `help:"Only those of a flow: its id or name."`
	Limit  int        `default:"100" help:"How many at most, up to 500; the newest."`
	Bridge adminFlags `embed:""`
}

// Run prints a table, or the API's answer.
func (c incidentsList) Run(ctx context.Context, p *program) error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
	client, err := c.Bridge.client(p)
	if err != nil {
		return err
	}
	q := url.Values{"limit": {fmt.Sprint(c.Limit)}, "flow": {c.Flow}}
	list, err := readList(ctx, client, "incidents", q, map[string][]string{"unresolved": {"open", "acknowledged"},
		"all": {""}}, c.State, c.Limit)
	if err != nil {
		return err
	}
	if len(list.all) > c.Limit { // of two states
		list.all, list.more = list.all[:c.Limit], true
	}
	return printList(p, c.Bridge, "incidents", list, printIncidents)
}

// listed is what was read of a list. more says that it goes on.
type listed struct {
	all  []json.RawMessage
	more bool
}

// printList prints a list for people, or as the API answers it.
func printList[T any](p *program, flags adminFlags, what string, list listed,
	print func(io.Writer, []T, time.Time) error) error {
	if list.more {
		defer fmt.Fprintf(p.Stderr, "there are more %s: the console and the API page through all of them\n", what)
	}
	if flags.JSON {
		return printJSON(p.Stdout, map[string]any{what: append([]json.RawMessage{}, list.all...)}) // never null
	}
	if len(list.all) == 0 {
		_, err := fmt.Fprintf(p.Stdout, "no %s\n", what)
		return err
	}
	views, err := decodeList[T](list.all)
	if err != nil {
		return err
	}
	return print(p.Stdout, views, time.Now())
}

func decodeList[T any](list []json.RawMessage) ([]T, error) {
	views := make([]T, len(list))
	for i, one := range list {
		if err := json.Unmarshal(one, &views[i]); err != nil {
			return nil, err
		}
	}
	return views, nil
}

// readList reads a list in the states that a word stands for, so many of each state or a page more; a word that is not
// in words stands for itself.
func readList(ctx context.Context, client *adminClient, what string, q url.Values, words map[string][]string,
	word string, most int) (list listed, err error) {
	states, ok := words[word]
	if !ok {
		states = []string{word}
	}
	for _, state := range states {
		q.Del("before")
		q.Del("state")
		if state != "" {
			q.Set("state", state)
		}
		for read := 0; ; {
			var page []json.RawMessage
			answer := map[string]json.RawMessage{}
			err := client.call(ctx, "GET", "/api/v1/"+what+"?"+q.Encode(), nil, &answer)
			if err == nil {
				err = json.Unmarshal(answer[what], &page)
			}
			if err != nil {
				return listed{}, err
			}
			list.all, read = append(list.all, page...), read+len(page)
			next := strings.Trim(string(answer["next"]), `"`) // a number, or an id
			if next == "" || next == "null" || len(page) == 0 {
				break
			}
			if read >= most {
				list.more = true
				break
			}
			q.Set("before", next)
		}
	}
	return list, nil
}

func printIncidents(w io.Writer, incidents []console.Incident, now time.Time) error {
	rows := [][]string{{"INCIDENT", "STATE", "SEVERITY", "ABOUT", "WHAT", "OPENED", "OWNER", "NOTE"}}
	called := make([]router.Called, len(incidents))
	for i := range incidents {
		inc := &incidents[i]
		id := cmp.Or(inc.Flow, inc.Subject.Kind+":"+inc.Subject.ID)
		called[i] = router.Called{Name: aboutOf(inc), Account: cmp.Or(inc.AccountName, inc.WABA), ID: id}
	}
	about := router.TellApart(called)
	for i := range incidents {
		inc := &incidents[i]
		rows = append(rows, []string{
			router.IncidentName(inc.Number), inc.State, inc.Severity, about[i], troubleOf(inc),
			ago(now, inc.OpenedAt) + " ago", cmp.Or(inc.Owner, inc.AcknowledgedBy), strings.Join(notesOf(inc), ", "),
		})
	}
	return printTable(w, rows)
}

// aboutOf names what an incident is about: its flow, or another subject.
func aboutOf(inc *console.Incident) string {
	about := router.Incident{
		WABA: inc.WABA, Flow: inc.Flow, FlowInfo: router.FlowInfo{FlowName: inc.FlowName, AccountName: inc.AccountName},
		Subject: router.Subject{Kind: router.SubjectKind(inc.Subject.Kind), ID: inc.Subject.ID, Name: inc.Subject.Name},
	}
	if inc.Subject.Kind == string(router.SubjectAccount) {
		return "account " + nameAndID(inc.AccountName, inc.WABA)
	}
	return about.About()
}

// troubleOf says what is wrong: "Endpoint error rate 5 % → 10 %"; of an incident of several signals, the worst.
func troubleOf(inc *console.Incident) string {
	signal := cmp.Or(inc.Signal, inc.Event)
	worst := slices.IndexFunc(inc.Alerts, func(a console.Alert) bool { return a.Active || a.HeldUntil != nil })
	if worst >= 0 && inc.State != string(router.IncidentResolved) {
		if a := &inc.Alerts[worst]; cmp.Or(a.Signal, a.Event) != signal {
			return strings.TrimSpace(router.SignalName(cmp.Or(a.Signal, a.Event)) + " " + levelOf(a))
		}
	}
	return strings.TrimSpace(router.SignalName(signal) + " " + router.FormatPath(signal, inc.Path))
}

// levelOf writes the level of an alert: "10 %", "THROTTLED", or "" where Meta named none.
func levelOf(a *console.Alert) string {
	switch {
	case a.Status != nil:
		return *a.Status
	case a.Threshold != nil:
		return router.FormatValue(a.Event, *a.Threshold)
	}
	return ""
}

// notesOf returns what else a person should know of an incident at a glance.
func notesOf(inc *console.Incident) (notes []string) {
	if inc.Silenced != nil {
		notes = append(notes, "silenced")
	}
	for _, page := range inc.Pages {
		if page.State == string(router.PageWaiting) {
			note := "pages " + page.Notifier + " at " + clock(page.At)
			if page.UnlessAcknowledged {
				note += " unless acknowledged"
			}
			notes = append(notes, note)
		}
	}
	if inc.Flaps > 0 {
		notes = append(notes, "flapped "+router.FormatTimes(inc.Flaps))
	}
	for _, d := range inc.Deliveries {
		switch {
		case d.State == string(router.DeliveryParked):
			notes = append(notes, d.Notifier+" parked")
		case d.State == string(router.DeliveryWaiting) && d.LastError != "":
			notes = append(notes, d.Notifier+" fails")
		}
	}
	return notes
}

type incidentsShow struct {
	Number string     `arg:"" help:"Its number: 42 or INC-42."`
	Bridge adminFlags `embed:""`
}

// Run prints one incident.
func (c incidentsShow) Run(ctx context.Context, p *program) error {
	client, err := c.Bridge.client(p)
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if err := client.call(ctx, "GET", "/api/v1/incidents/"+url.PathEscape(c.Number), nil, &raw); err != nil {
		return err
	}
	if c.Bridge.JSON {
		return printJSON(p.Stdout, raw)
	}
	var inc console.Incident
	if err := json.Unmarshal(raw, &inc); err != nil {
		return err
	}
	return printIncident(p.Stdout, &inc, time.Now())
}

func printIncident(w io.Writer, inc *console.Incident, now time.Time) error {
	fmt.Fprintf(w, "%s %s: %s\n", router.IncidentName(inc.Number), clean(aboutOf(inc)), clean(troubleOf(inc)))
	if inc.Title != "" {
		fmt.Fprintln(w, clean(inc.Title))
	}
	if err := printTable(w, factsOf(inc, now)); err != nil {
		return err
	}
	rows := [][]string{{"LEVEL", "STATE", "SEVERITY", "LAST VALUE", "SINCE", "BY EVENT"}}
	for _, a := range inc.Alerts {
		state, since, number, events := "ended", a.Until, "", ""
		switch {
		case a.HeldUntil != nil:
			state = "recovering"
		case a.Active:
			state, since = "active", a.Since
		}
		if a.Value != nil {
			number = router.FormatValue(a.Event, *a.Value)
		}
		if a.OpenedBy != nil {
			events = fmt.Sprint(*a.OpenedBy)
		}
		if a.ClosedBy != nil {
			events += fmt.Sprintf(" → %d", *a.ClosedBy)
		}
		level := levelOf(&a)
		if a.Event != inc.Event {
			level = router.SignalName(a.Event) + " " + level
		}
		rows = append(rows, []string{level, state, a.Severity, number, clock(since), events})
	}
	if err := section(w, rows); err != nil {
		return err
	}
	rows = [][]string{{"NOTIFIER", "STATE", "DELIVERY ID", "ERROR OR LINK"}}
	for _, d := range inc.Deliveries {
		rows = append(rows, []string{d.Notifier, d.State, fmt.Sprint(d.ID), cmp.Or(d.LastError, d.Receipt.Link())})
	}
	if err := section(w, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, e := range inc.Timeline {
		if _, err := fmt.Fprintf(w, "%s  %s\n", clock(e.At), clean(e.Text)); err != nil {
			return err
		}
	}
	return nil
}

// section prints a table with more than its head, and an empty line before it.
func section(w io.Writer, rows [][]string) error {
	if len(rows) == 1 {
		return nil
	}
	fmt.Fprintln(w)
	return printTable(w, rows)
}

// factsOf returns the lines of an incident's head: what, and its value. Those without a value are left out.
func factsOf(inc *console.Incident, now time.Time) (rows [][]string) {
	fact := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	severity := inc.Severity
	if inc.Peak != inc.Severity {
		severity += ", was " + inc.Peak
	}
	fact("state", inc.State+", "+severity)
	fact("opened", fmt.Sprintf("%s (%s ago)", clock(inc.OpenedAt), ago(now, inc.OpenedAt)))
	if inc.AcknowledgedAt != nil {
		by := cmp.Or(inc.AcknowledgedBy, "somebody")
		fact("acknowledged", fmt.Sprintf("by %s (%s ago)", by, ago(now, inc.AcknowledgedAt)))
	}
	if inc.ResolvedAt != nil {
		fact("resolved", fmt.Sprintf("by %s (%s ago)", cmp.Or(inc.ResolvedBy, "Meta"), ago(now, inc.ResolvedAt)))
	}
	fact("owner", inc.Owner)
	for _, key := range slices.Sorted(maps.Keys(inc.Labels)) {
		fact(key, inc.Labels[key])
	}
	fact("flow", nameAndID(inc.FlowName, inc.Flow))
	fact("account", nameAndID(inc.AccountName, inc.WABA))
	fact("rule", inc.Rule)
	fact("runbook", inc.Runbook)
	fact("can page", strings.Join(inc.Pageable, ", "))
	for _, page := range inc.Pages {
		fact("page", page.Text)
	}
	if s := inc.Silenced; s != nil {
		fact("silenced", strings.Join(slices.DeleteFunc([]string{"by " + cmp.Or(s.By, "somebody"), s.Why,
			"ends " + ends(s.Until, s.Until == nil), "id " + s.Silence},
			func(part string) bool { return part == "" }), ", "))
	}
	if inc.Flaps > 0 {
		fact("flapped", router.FormatTimes(inc.Flaps))
	}
	for _, link := range inc.Links {
		name := link.ID
		if link.Number != 0 {
			name = fmt.Sprintf("#%d", link.Number)
		}
		fact(link.Notifier, name+" "+link.URL)
	}
	return rows
}

type incidentsAct struct {
	Numbers []string   `arg:"" name:"number" help:"Numbers: 42 or INC-42."`
	By      string     `placeholder:"NAME" help:"Who does it, for cards and timelines. Default: $USER."`
	Bridge  adminFlags `embed:""`
}

// Run does what its name in the command line says to each incident. One that cannot be does not keep it from the
// others.
func (c incidentsAct) Run(ctx context.Context, p *program, line *kong.Context) error {
	client, err := c.Bridge.client(p)
	if err != nil {
		return err
	}
	word := line.Selected().Name
	return forEach(p, c.Numbers, func(number string) error {
		var answer console.Acted
		path := "/api/v1/incidents/" + url.PathEscape(number) + "/" + word
		if err := client.call(ctx, "POST", path, map[string]string{"by": p.user(c.By)}, &answer); err != nil {
			return err
		}
		if c.Bridge.JSON {
			return printJSON(p.Stdout, answer)
		}
		return printActed(p.Stdout, router.IncidentName(answer.Incident), word, answer.Queued, answer.Result)
	})
}

// forEach does something for each of several arguments, and says of each that failed why.
func forEach(p *program, args []string, do func(string) error) error {
	var fault error
	for _, arg := range args {
		if err := do(arg); err != nil {
			fmt.Fprintln(p.Stderr, "flowbridge:", err)
			fault = errFault
		}
	}
	return fault
}

// printActed says what became of an act.
func printActed(w io.Writer, what, word string, queued bool, came console.Result) (err error) {
	switch {
	case !queued:
		_, err = fmt.Fprintf(w, "%s: nothing to %s, it is so already\n", what, word)
	case came.Outcome != "":
		_, err = fmt.Fprintln(w, clean(came.Outcome))
	default:
		_, err = fmt.Fprintf(w, "%s: %s: %s\n", what, word, cmp.Or(clean(came.Note), "it is stored"))
	}
	return err
}
