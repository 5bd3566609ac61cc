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
)

// incidentsCommand is `flowbridge incidents`.
type incidentsCommand struct {
	List          incidentsList `cmd:"" default:"withargs" help:"List incidents: those that are not resolved, or by --state."`
	Show          incidentsShow `cmd:"" help:"Show one incident: its alerts, who was told, and its timeline."`
	Acknowledge   incidentsAct  `cmd:"" help:"Say that somebody is on it."`
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

// incidentView is what the API says of an incident, as far as it is printed.
type incidentView struct {
	Number         int64
	State          string
	Severity       string
	Peak           string
	Title          string
	WABA           string `json:"waba_id"`
	Flow           string `json:"flow_id"`
	FlowName       string `json:"flow_name"`
	Labels         map[string]string
	Runbook        string
	Event          string
	Rule           string
	Path           []router.Level
	OpenedAt       *time.Time `json:"opened_at"`
	AcknowledgedAt *time.Time `json:"acknowledged_at"`
	AcknowledgedBy string     `json:"acknowledged_by"`
	ResolvedAt     *time.Time `json:"resolved_at"`
	ResolvedBy     string     `json:"resolved_by"`
	Owner          string
	Links          []router.Link
	Silenced       *struct {
		Silence string
		Until   *time.Time
		By, Why string
	}
	Flaps      int64
	Pageable   []string
	Alerts     []alertView
	Deliveries []deliveryView
	Timeline   []struct {
		At   *time.Time
		Kind string
		Text string
	}
}

type alertView struct {
	Event     string
	Threshold *float64
	Status    *string
	Severity  string
	Active    bool
	Since     *time.Time
	Until     *time.Time
	HeldUntil *time.Time `json:"held_until"`
	Value     *float64
	Routes    []string
	OpenedBy  *int64 `json:"opened_by_event"`
	ClosedBy  *int64 `json:"closed_by_event"`
}

// counts says whether the alert keeps its incident open.
func (a *alertView) counts() bool { return a.Active || a.HeldUntil != nil }

func (a *alertView) level() string {
	switch {
	case a.Status != nil:
		return *a.Status
	case a.Threshold != nil:
		return router.FormatValue(a.Event, *a.Threshold)
	}
	return ""
}

// Run prints a table, or the API's answer.
func (c incidentsList) Run(ctx context.Context, p *program) error {
	client, err := c.Bridge.client(p)
	if err != nil {
		return err
	}
	q := url.Values{"limit": {fmt.Sprint(c.Limit)}, "flow": {c.Flow}}
	list, err := readList(ctx, client, "incidents", q, map[string][]string{"unresolved": {"open", "acknowledged"}, "all": {""}}, c.State)
	if err != nil {
		return err
	}
	list = list[:min(len(list), c.Limit)] // of two states
	return printList(p, c.Bridge, "incidents", list, printIncidents)
}

// printList prints a list for people, or as the API answers it.
func printList[T any](p *program, flags adminFlags, what string, list []json.RawMessage, print func(io.Writer, []T, time.Time) error) error {
	if flags.JSON {
		return printJSON(p.Stdout, map[string]any{what: append([]json.RawMessage{}, list...)}) // never null
	}
	if len(list) == 0 {
		_, err := fmt.Fprintf(p.Stdout, "no %s, of those that were asked for\n", what)
		return err
	}
	views, err := decodeList[T](list)
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

// readList reads a list in the states that a word stands for; a word that is not in words stands for itself.
func readList(ctx context.Context, client *adminClient, what string, q url.Values, words map[string][]string, word string) (all []json.RawMessage, err error) {
	states, ok := words[word]
	if !ok {
		states = []string{word}
	}
	for _, state := range states {
		q.Del("state")
		if state != "" {
			q.Set("state", state)
		}
		answer := map[string][]json.RawMessage{}
		if err := client.call(ctx, "GET", "/api/v1/"+what+"?"+q.Encode(), nil, &answer); err != nil {
			return nil, err
		}
		all = append(all, answer[what]...)
	}
	return all, nil
}

func printIncidents(w io.Writer, views []incidentView, now time.Time) error {
	rows := [][]string{{"INCIDENT", "STATE", "SEVERITY", "FLOW", "WHAT", "OPENED", "WITH", "NOTE"}}
	for i := range views {
		v := &views[i]
		rows = append(rows, []string{
			router.IncidentName(v.Number), v.State, v.Severity, v.flow(), v.what(), ago(now, v.OpenedAt) + " ago",
			cmp.Or(v.Owner, v.AcknowledgedBy), strings.Join(v.notes(), ", "),
		})
	}
	return printTable(w, rows)
}

func (v *incidentView) flow() string {
	return router.FlowInfo{FlowName: v.FlowName}.DisplayName(v.Flow)
}

// what says what is wrong: "Endpoint error rate 5 % → 10 %".
func (v *incidentView) what() string {
	return strings.TrimSpace(router.SignalName(v.Event) + " " + router.FormatPath(v.Event, v.Path))
}

// notes are what else a person should know at a glance.
func (v *incidentView) notes() (notes []string) {
	if v.Silenced != nil {
		notes = append(notes, "silenced")
	}
	if v.Flaps > 0 {
		notes = append(notes, "flapped "+router.FormatTimes(v.Flaps))
	}
	for _, d := range v.Deliveries {
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
	var v incidentView
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	return printIncident(p.Stdout, &v, time.Now())
}

func printIncident(w io.Writer, v *incidentView, now time.Time) error {
	fmt.Fprintf(w, "%s %s: %s\n", router.IncidentName(v.Number), clean(v.flow()), clean(v.what()))
	if v.Title != "" {
		fmt.Fprintln(w, clean(v.Title))
	}
	if err := printTable(w, v.facts(now)); err != nil {
		return err
	}
	rows := [][]string{{"LEVEL", "STATE", "SEVERITY", "NOW", "SINCE", "EVENTS"}}
	for _, a := range v.Alerts {
		state, since, number, events := "over", a.Until, "", ""
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
		level := a.level()
		if a.Event != v.Event {
			level = router.SignalName(a.Event) + " " + level
		}
		rows = append(rows, []string{level, state, a.Severity, number, clock(since), events})
	}
	if err := section(w, rows); err != nil {
		return err
	}
	rows = [][]string{{"NOTIFIER", "STATE", "DELIVERY", "ERROR OR LINK"}}
	for _, d := range v.Deliveries {
		said := d.LastError
		if said == "" && d.Receipt != nil {
			said = d.Receipt.Link
		}
		rows = append(rows, []string{d.Notifier, d.State, fmt.Sprint(d.ID), said})
	}
	if err := section(w, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, e := range v.Timeline {
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

// facts are the lines of an incident's head: what, and its value. Those without a value are left out.
func (v *incidentView) facts(now time.Time) (rows [][]string) {
	fact := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	severity := v.Severity
	if v.Peak != v.Severity {
		severity += ", was " + v.Peak
	}
	fact("state", v.State+", "+severity)
	fact("opened", fmt.Sprintf("%s (%s ago)", clock(v.OpenedAt), ago(now, v.OpenedAt)))
	if v.AcknowledgedAt != nil {
		fact("acknowledged", fmt.Sprintf("by %s (%s ago)", cmp.Or(v.AcknowledgedBy, "somebody"), ago(now, v.AcknowledgedAt)))
	}
	if v.ResolvedAt != nil {
		fact("resolved", fmt.Sprintf("by %s (%s ago)", cmp.Or(v.ResolvedBy, "Meta"), ago(now, v.ResolvedAt)))
	}
	fact("owner", v.Owner)
	for _, key := range slices.Sorted(maps.Keys(v.Labels)) {
		fact(key, v.Labels[key])
	}
	fact("flow", v.Flow)
	fact("account", v.WABA)
	fact("rule", v.Rule)
	fact("runbook", v.Runbook)
	fact("can page", strings.Join(v.Pageable, ", "))
	if s := v.Silenced; s != nil {
		fact("silenced", strings.Join(slices.DeleteFunc([]string{"by " + cmp.Or(s.By, "somebody"), s.Why, "ends " + ends(s.Until, s.Until == nil), "id " + s.Silence},
			func(part string) bool { return part == "" }), ", "))
	}
	if v.Flaps > 0 {
		fact("flapped", router.FormatTimes(v.Flaps))
	}
	for _, link := range v.Links {
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

// Run does what its name in the command line says to each incident. One that cannot be does not keep it from the others.
func (c incidentsAct) Run(ctx context.Context, p *program, line *kong.Context) error {
	client, err := c.Bridge.client(p)
	if err != nil {
		return err
	}
	word := line.Selected().Name
	return forEach(p, c.Numbers, func(number string) error {
		var answer struct {
			Incident int64 `json:"incident"`
			became
		}
		path := "/api/v1/incidents/" + url.PathEscape(number) + "/" + word
		if err := client.call(ctx, "POST", path, map[string]string{"by": p.user(c.By)}, &answer); err != nil {
			return err
		}
		if c.Bridge.JSON {
			return printJSON(p.Stdout, answer)
		}
		return answer.print(p.Stdout, router.IncidentName(answer.Incident), word)
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

// became is what the API says of an act.
type became struct {
	Queued  bool   `json:"queued"`
	Outcome string `json:"outcome,omitempty"` // once it is folded
	Note    string `json:"note,omitempty"`    // what does not show yet
}

// print says what became of an act.
func (b became) print(w io.Writer, what, word string) (err error) {
	switch {
	case !b.Queued:
		_, err = fmt.Fprintf(w, "%s: nothing to %s, it is so already\n", what, word)
	case b.Outcome != "":
		_, err = fmt.Fprintln(w, clean(b.Outcome))
	default:
		_, err = fmt.Fprintf(w, "%s: %s: %s\n", what, word, cmp.Or(clean(b.Note), "it is stored"))
	}
	return err
}
