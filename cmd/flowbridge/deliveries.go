package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"flowbridge/router"
	"flowbridge/router/console"
)

// deliveriesCommand is `flowbridge deliveries`.
type deliveriesCommand struct {
	List  deliveriesList  `cmd:"" default:"withargs" help:"List deliveries: those that are not done, or by --state."`
	Show  deliveriesShow  `cmd:"" help:"Show one delivery: each attempt with what was sent and answered."`
	Retry deliveriesRetry `cmd:"" help:"Try deliveries again at once: those that are parked or wait."`
}

type deliveriesList struct {
	State  string     `enum:"owed,waiting,delivered,parked,cancelled,all" default:"owed" help:"${enum}; owed is parked and waiting."`
	Limit  int        `default:"100" help:"How many at most of each state, up to 500; the newest."`
	Bridge adminFlags `embed:""`
}

// Run prints a table, or the API's answer.
func (c deliveriesList) Run(ctx context.Context, p *program) error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
	client, err := c.Bridge.client(p)
	if err != nil {
		return err
	}
	words := map[string][]string{"owed": {"parked", "waiting"}, "all": {""}}
	list, err := readList(ctx, client, "deliveries", url.Values{"limit": {fmt.Sprint(c.Limit)}}, words, c.State,
		c.Limit)
	if err != nil {
		return err
	}
	return printList(p, c.Bridge, "deliveries", list, printDeliveries)
}

func printDeliveries(w io.Writer, deliveries []console.ListedDelivery, now time.Time) error {
	rows := [][]string{{"ID", "STATE", "NOTIFIER", "FOR", "ABOUT", "FAILED TRIES", "CHANGED", "NEXT TRY", "LAST ERROR"}}
	for _, d := range deliveries {
		of, next := "", ""
		switch {
		case d.Incident != nil:
			of = router.IncidentName(*d.Incident)
		case d.Notice != nil:
			of = fmt.Sprintf("notice of event %d", *d.Notice)
		}
		if d.NextAt != nil {
			next = "now"
			if d.NextAt.After(now) {
				next = "in " + ago(now, d.NextAt)
			}
		}
		rows = append(rows, []string{fmt.Sprint(d.ID), d.State, d.Notifier, of, aboutDelivery(&d), fmt.Sprint(d.Attempts),
			ago(now, d.UpdatedAt) + " ago", next, d.LastError})
	}
	return printTable(w, rows)
}

// aboutDelivery names what a delivery is about; "" where that is not known any more.
func aboutDelivery(d *console.ListedDelivery) string {
	if d.Event == "" {
		return ""
	}
	return aboutOf(&console.Incident{WABA: d.WABA, AccountName: d.AccountName, Flow: d.Flow, FlowName: d.FlowName,
		Subject: d.Subject})
}

type deliveriesShow struct {
	ID     string     `arg:"" name:"id" help:"Id, as the list shows it."`
	Bridge adminFlags `embed:""`
}

// Run prints one delivery.
func (c deliveriesShow) Run(ctx context.Context, p *program) error {
	client, err := c.Bridge.client(p)
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if err := client.call(ctx, "GET", "/api/v1/deliveries/"+url.PathEscape(c.ID), nil, &raw); err != nil {
		return err
	}
	if c.Bridge.JSON {
		return printJSON(p.Stdout, raw)
	}
	var d console.DeliveryDetail
	if err := json.Unmarshal(raw, &d); err != nil {
		return err
	}
	return printDelivery(p.Stdout, &d, time.Now())
}

func printDelivery(w io.Writer, d *console.DeliveryDetail, now time.Time) error {
	if err := printDeliveries(w, []console.ListedDelivery{d.ListedDelivery}, now); err != nil {
		return err
	}
	for i := range d.Log {
		printAttempt(w, &d.Log[i])
	}
	var err error
	if len(d.Log) == 0 {
		_, err = fmt.Fprintln(w, "\nno attempt is kept: none was made, or it is older than --keep-attempts of the bridge")
	}
	return err
}

func printAttempt(w io.Writer, a *console.Attempt) {
	fmt.Fprintf(w, "\nattempt %d  %s  %s, in %.3f s, revision %d\n", a.N, clock(a.At), a.Result, a.Seconds, a.Revision)
	if a.Error != "" {
		fmt.Fprintln(w, "error:", clean(a.Error))
	}
	if a.ToldBy != nil {
		fmt.Fprintf(w, "told in a digest, with delivery %d\n", *a.ToldBy)
	}
	for i := range a.Calls {
		if a.More > 0 && i == len(a.Calls)-1 {
			fmt.Fprintf(w, "... %s more\n", counted(a.More, "call"))
		}
		c := &a.Calls[i]
		fmt.Fprintf(w, "> %s %s\n", clean(c.Method), clean(c.URL))
		printBody(w, c.Request, c.RequestCut)
		answered := fmt.Sprint(c.Status)
		if c.Status == 0 {
			answered = "no answer: " + clean(c.Error)
		}
		fmt.Fprintf(w, "< %s, in %.3f s\n", answered, c.Seconds)
		printBody(w, c.Answer, c.AnswerCut)
	}
}

// printBody prints what was sent or answered, JSON with its lines set in.
func printBody(w io.Writer, body string, cut bool) {
	var pretty bytes.Buffer
	if body == "" {
		return
	}
	if json.Indent(&pretty, []byte(body), "", "  ") != nil {
		pretty.Reset()
		pretty.WriteString(body)
	}
	for line := range strings.SplitSeq(pretty.String(), "\n") {
		text := strings.TrimLeft(line, " ")
		fmt.Fprintln(w, "  "+line[:len(line)-len(text)]+clean(text))
	}
	if cut {
		fmt.Fprintln(w, "  ... (cut)")
	}
}

type deliveriesRetry struct {
	IDs      []string   `arg:"" optional:"" name:"id" help:"Ids, as the list shows them."`
	All      bool       `help:"All that are parked, or of these those that --notifier and --like name."`
	Notifier string     `placeholder:"NAME" help:"With --all: those to this notifier."`
	Like     string     `placeholder:"TEXT" help:"With --all: those whose last error has this, in capitals or not."`
	By       string     `placeholder:"NAME" help:"Who asks for it. Default: $USER."`
	Bridge   adminFlags `embed:""`
}

// Run has each delivery tried again, or all that the flags name.
func (c deliveriesRetry) Run(ctx context.Context, p *program) error {
	switch {
	case c.All && len(c.IDs) > 0:
		return wrongUsage("give ids or --all, not both")
	case !c.All && (c.Notifier != "" || c.Like != ""):
		return wrongUsage("--notifier and --like go with --all")
	case !c.All && len(c.IDs) == 0:
		return wrongUsage("give ids, as `flowbridge deliveries` shows them, or --all")
	}
	client, err := c.Bridge.client(p)
	if err != nil {
		return err
	}
	if c.All {
		return c.all(ctx, p, client)
	}
	return forEach(p, c.IDs, func(id string) error {
		var answer console.Acted
		if err := client.call(ctx, "POST", "/api/v1/deliveries/"+url.PathEscape(id)+"/retry",
			map[string]string{"by": p.user(c.By)}, &answer); err != nil {
			return err
		}
		if c.Bridge.JSON {
			return printJSON(p.Stdout, answer)
		}
		_, err := fmt.Fprintf(p.Stdout, "delivery %d: is tried again now\n", answer.Delivery)
		return err
	})
}

// all has all tried again that the flags name, and says how many they are.
func (c deliveriesRetry) all(ctx context.Context, p *program, client *adminClient) error {
	client.http.Timeout = retryAllTimeout
	var answer console.Retried
	request := console.RetryRequest{Notifier: c.Notifier, Query: c.Like, By: p.user(c.By)}
	if err := client.call(ctx, "POST", "/api/v1/deliveries/retry", request, &answer); err != nil {
		return err
	}
	if c.Bridge.JSON {
		return printJSON(p.Stdout, answer)
	}
	text := fmt.Sprintf("%d parked deliveries are tried again now\n", answer.Retried)
	switch answer.Retried {
	case 0:
		text = "no parked delivery is like that\n"
	case 1:
		text = "1 parked delivery is tried again now\n"
	}
	_, err := io.WriteString(p.Stdout, text)
	return err
}

// retryAllTimeout is longer than the API takes at most.
const retryAllTimeout = 45 * time.Second
