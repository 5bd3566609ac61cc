package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"flowbridge/router"
	"flowbridge/router/console"
)

// eventsCommand is `flowbridge events`.
type eventsCommand struct {
	List   eventsList   `cmd:"" default:"withargs" help:"List events, the newest first."`
	Show   eventsShow   `cmd:"" help:"Show one event: what it says, and what came of it."`
	Follow eventsFollow `cmd:"" help:"Print events as they come and are folded, until it is interrupted."`
}

type eventsList struct {
	State  string     `enum:"all,waiting,folded,unreadable,failed" default:"all" help:"${enum}."`
	Limit  int        `default:"50" help:"How many at most, up to 500; the newest."`
	Bridge adminFlags `embed:""`
}

// Run prints a table, or the API's answer.
func (c eventsList) Run(ctx context.Context, p *program) error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
	client, err := c.Bridge.client(p)
	if err != nil {
		return err
	}
	q := url.Values{"limit": {fmt.Sprint(c.Limit)}}
	list, err := readList(ctx, client, "events", q, map[string][]string{"all": {""}}, c.State, c.Limit)
	if err != nil {
		return err
	}
	return printList(p, c.Bridge, "events", list, printEvents)
}

func printEvents(w io.Writer, events []console.Event, _ time.Time) error {
	rows := [][]string{{"EVENT", "HAPPENED", "FROM", "ABOUT", "WHAT", "CAME OF IT"}}
	for i := range events {
		e := &events[i]
		at := clock(cmp.Or(e.At, e.ReceivedAt))
		rows = append(rows, []string{fmt.Sprint(e.Seq), at, e.Source, aboutEvent(e), whatHappened(e), cameOf(e)})
	}
	return printTable(w, rows)
}

// aboutEvent names what an event is about: a name and the id, or the one that there is.
func aboutEvent(e *console.Event) string {
	switch {
	case e.Flow != "" && e.FlowName != "":
		return nameAndID(e.FlowName, e.Flow)
	case e.Flow != "":
		return router.FlowInfo{}.DisplayName(e.Flow)
	case e.Subject.Kind == string(router.SubjectAccount) && e.AccountName != "":
		return "account " + nameAndID(e.AccountName, e.WABA)
	case e.Subject.Name != "":
		return e.Subject.Name
	case e.Subject.ID != "":
		return e.Subject.Kind + " " + e.Subject.ID
	}
	return ""
}

// nameAndID writes a name with its id behind it, or the one that there is.
func nameAndID(name, id string) string {
	if name == "" || id == "" || name == id {
		return cmp.Or(name, id)
	}
	return name + " (" + id + ")"
}

// whatHappened says in Meta's words what an event says.
func whatHappened(e *console.Event) string {
	parts := []string{e.Event}
	if e.Threshold != nil {
		parts = append(parts, router.FormatValue(e.Event, *e.Threshold))
	}
	if e.NewStatus != "" {
		parts = append(parts, strings.TrimSpace(e.OldStatus+" → "+e.NewStatus))
	}
	return strings.Join(strings.Fields(strings.Join(append(parts, e.Change, e.AlertState), " ")), " ")
}

// nothingCame is said of an event that changed nothing and says not why.
const nothingCame = "nothing came of it"

// cameOf says what came of an event so far.
func cameOf(e *console.Event) string {
	switch {
	case e.Unreadable != "":
		return "unreadable: " + e.Unreadable
	case e.State == string(router.EventFailed):
		return cmp.Or(e.Outcome, "set aside: it cannot be folded")
	case e.State == string(router.EventWaiting):
		return "waits to be folded"
	}
	return e.Outcome
}

type eventsShow struct {
	Number string     `arg:"" name:"event" help:"Its number, as the list shows it."`
	Bridge adminFlags `embed:""`
}

// Run prints one event.
func (c eventsShow) Run(ctx context.Context, p *program) error {
	client, err := c.Bridge.client(p)
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if err := client.call(ctx, "GET", "/api/v1/events/"+url.PathEscape(c.Number), nil, &raw); err != nil {
		return err
	}
	if c.Bridge.JSON {
		return printJSON(p.Stdout, raw)
	}
	var e console.EventDetail
	if err := json.Unmarshal(raw, &e); err != nil {
		return err
	}
	return printEvent(p.Stdout, &e)
}

func printEvent(w io.Writer, e *console.EventDetail) error {
	fmt.Fprintf(w, "event %d: %s\n", e.Seq, clean(whatHappened(&e.Event)))
	var rows [][]string
	fact := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	measured := func(v *float64) string {
		if v == nil {
			return ""
		}
		return router.FormatValue(e.Event.Event, *v)
	}
	fact("came of it", cameOf(&e.Event))
	fact("about", aboutEvent(&e.Event))
	fact("account", nameAndID(e.AccountName, e.WABA))
	fact("from", e.Source)
	fact("field", e.Field)
	fact("happened", clock(e.At))
	fact("received", clock(e.ReceivedAt))
	fact("value", measured(e.Value))
	fact("median", measured(e.P50))
	if e.Requests != nil {
		fact("requests", strconv.FormatFloat(*e.Requests, 'f', -1, 64))
	}
	for _, f := range e.Facts {
		fact(f.Name, f.Text)
	}
	for _, one := range e.Errors {
		count := ""
		if one.Count != nil {
			count = strconv.FormatFloat(*one.Count, 'f', -1, 64) + " times"
		}
		fact("error", strings.TrimSpace(one.Type+" "+count))
	}
	fact("message", e.Message)
	fact("warning", e.Warning)
	if e.Act != nil {
		fact("by", e.Act.Actor)
	}
	var pairs []string
	for _, seq := range e.PairsWith {
		pairs = append(pairs, fmt.Sprint(seq))
	}
	fact("pairs with", strings.Join(pairs, ", "))
	fact("reduced", e.Reduced)
	fact("post", e.Raw)
	return printTable(w, rows)
}

type eventsFollow struct {
	Last   int        `default:"10" help:"How many of those that came before are printed first."`
	Bridge adminFlags `embed:""`
}

const (
	// followEvery is how often there is a look.
	followEvery = time.Second
	// followPatience is how long what waits to be folded is waited for, so that a line says what came of it.
	followPatience = 10 * time.Second
)

// Run prints a line for each event until ctx ends. A bridge that does not answer for a while is asked again.
func (c eventsFollow) Run(ctx context.Context, p *program) error {
	client, err := c.Bridge.client(p)
	if err != nil {
		return err
	}
	var f follower
	for first := true; ; first = false {
		limit := maxFollowed
		if first {
			limit = max(1, min(c.Last, maxFollowed))
		}
		list, err := readList(ctx, client, "events", url.Values{"limit": {fmt.Sprint(limit)}}, nil, "", limit)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && first:
			return err
		case err != nil:
			f.complain(p.Stderr, err)
		default:
			if first && c.Last == 0 {
				f.skip(list.all)
			}
			if err := f.print(p.Stdout, list.all, time.Now(), c.Bridge.JSON); err != nil {
				return err
			}
		}
		if !router.Sleep(ctx, followEvery) {
			return nil
		}
	}
}

// maxFollowed is how many events one look takes: as many as the API gives.
const maxFollowed = 500

// follower prints each event of the journal once, in order.
type follower struct {
	last    int64  // that was printed
	trouble string // that was complained of last; "" while the bridge answers
}

// skip takes what is there as printed.
func (f *follower) skip(list []json.RawMessage) {
	if events, err := decodeList[console.Event](list); err == nil && len(events) > 0 {
		f.last = events[0].Seq
	}
}

func (f *follower) complain(w io.Writer, err error) {
	if f.trouble != err.Error() {
		f.trouble = err.Error()
		fmt.Fprintln(w, "flowbridge:", err)
	}
}

// print prints what is new of a list, newest first, and stops before what waits to be folded.
func (f *follower) print(w io.Writer, list []json.RawMessage, now time.Time, asJSON bool) error {
	f.trouble = ""
	events, err := decodeList[console.Event](list)
	if err != nil {
		return err
	}
	if n := len(events); n == maxFollowed && f.last != 0 && events[n-1].Seq > f.last+1 {
		fmt.Fprintf(w, "(events %d to %d came too fast: see flowbridge events)\n", f.last+1, events[n-1].Seq-1)
	}
	for i := range slices.Backward(events) {
		e := &events[i]
		if e.Seq <= f.last {
			continue
		}
		if e.State == string(router.EventWaiting) && e.ReceivedAt != nil && now.Sub(*e.ReceivedAt) < followPatience {
			return nil
		}
		f.last = e.Seq
		if asJSON {
			if _, err := fmt.Fprintf(w, "%s\n", list[i]); err != nil {
				return err
			}
			continue
		}
		line := fmt.Sprintf("%d %s %s: %s", e.Seq, cmp.Or(aboutEvent(e), e.Source), whatHappened(e),
			cmp.Or(cameOf(e), nothingCame))
		if _, err := fmt.Fprintf(w, "%s  %s\n", clock(cmp.Or(e.At, e.ReceivedAt)), clean(line)); err != nil {
			return err
		}
	}
	return nil
}
