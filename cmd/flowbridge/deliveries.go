package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"time"

	"flowbridge/router"
	"flowbridge/router/console"
)

// deliveriesCommand is `flowbridge deliveries`.
type deliveriesCommand struct {
	List  deliveriesList  `cmd:"" default:"withargs" help:"List deliveries: those that are not done, or by --state."`
	Retry deliveriesRetry `cmd:"" help:"Try deliveries again at once: those that are parked or wait."`
}

type deliveriesList struct {
	State  string     `enum:"owed,waiting,delivered,parked,cancelled,all" default:"owed" help:"${enum}; owed is parked and waiting."`
	Limit  int        `default:"100" help:"How many at most of each state, up to 500; the newest."`
	Bridge adminFlags `embed:""`
}

// Run prints a table, or the API's answer.
func (c deliveriesList) Run(ctx context.Context, p *program) error {
	client, err := c.Bridge.client(p)
	if err != nil {
		return err
	}
	words := map[string][]string{"owed": {"parked", "waiting"}, "all": {""}}
	list, err := readList(ctx, client, "deliveries", url.Values{"limit": {fmt.Sprint(c.Limit)}}, words, c.State)
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
		rows = append(rows, []string{fmt.Sprint(d.ID), d.State, d.Notifier, of, aboutDelivery(&d), fmt.Sprint(d.Attempts), ago(now, d.UpdatedAt) + " ago", next, d.LastError})
	}
	return printTable(w, rows)
}

// aboutDelivery names what a delivery is about; "" where that is not known any more.
func aboutDelivery(d *console.ListedDelivery) string {
	if d.Event == "" {
		return ""
	}
	return aboutOf(&console.Incident{WABA: d.WABA, AccountName: d.AccountName, Flow: d.Flow, FlowName: d.FlowName, Subject: d.Subject})
}

type deliveriesRetry struct {
	IDs    []string   `arg:"" name:"id" help:"Ids, as the list shows them."`
	By     string     `placeholder:"NAME" help:"Who asks for it. Default: $USER."`
	Bridge adminFlags `embed:""`
}

// Run has each delivery tried again.
func (c deliveriesRetry) Run(ctx context.Context, p *program) error {
	client, err := c.Bridge.client(p)
	if err != nil {
		return err
	}
	return forEach(p, c.IDs, func(id string) error {
		var answer console.Acted
		if err := client.call(ctx, "POST", "/api/v1/deliveries/"+url.PathEscape(id)+"/retry", map[string]string{"by": p.user(c.By)}, &answer); err != nil {
			return err
		}
		if c.Bridge.JSON {
			return printJSON(p.Stdout, answer)
		}
		_, err := fmt.Fprintf(p.Stdout, "delivery %d: is tried again now\n", answer.Delivery)
		return err
	})
}
