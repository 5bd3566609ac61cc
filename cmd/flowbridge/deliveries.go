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

func printDeliveries(w io.Writer, deliveries []console.Delivery, now time.Time) error {
	rows := [][]string{{"ID", "STATE", "NOTIFIER", "ABOUT", "FAILED TRIES", "CHANGED", "NEXT TRY", "LAST ERROR"}}
	for _, d := range deliveries {
		about, next := "", ""
		switch {
		case d.Incident != nil:
			about = router.IncidentName(*d.Incident)
		case d.Notice != nil:
			about = fmt.Sprintf("notice of event %d", *d.Notice)
		}
		if d.NextAt != nil {
			next = "now"
			if d.NextAt.After(now) {
				next = "in " + ago(now, d.NextAt)
			}
		}
		rows = append(rows, []string{fmt.Sprint(d.ID), d.State, d.Notifier, about, fmt.Sprint(d.Attempts), ago(now, d.UpdatedAt) + " ago", next, d.LastError})
	}
	return printTable(w, rows)
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
