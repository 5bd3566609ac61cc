package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"time"
)

// auditCommand is `flowbridge audit`.
type auditCommand struct {
	Limit  int        `default:"50" help:"How many at most, up to 500; the newest."`
	Before int64      `placeholder:"ID" help:"Only what was stored before an entry."`
	Bridge adminFlags `embed:""`
}

// auditView is what the API says of one thing that somebody did.
type auditView struct {
	ID       int64
	At       *time.Time
	Who      string
	Verified string
	From     string
	What     string
	Result   string
}

// Run prints a table, or the API's answer.
func (c auditCommand) Run(ctx context.Context, p *program) error {
	client, err := c.Bridge.client(p)
	if err != nil {
		return err
	}
	q := url.Values{"limit": {fmt.Sprint(c.Limit)}}
	if c.Before != 0 {
		q.Set("before", fmt.Sprint(c.Before))
	}
	var raw json.RawMessage
	if err := client.call(ctx, "GET", "/api/v1/audit?"+q.Encode(), nil, &raw); err != nil {
		return err
	}
	if c.Bridge.JSON {
		return printJSON(p.Stdout, raw)
	}
	var answer struct{ Audit []json.RawMessage }
	if err := json.Unmarshal(raw, &answer); err != nil {
		return err
	}
	return printList(p, c.Bridge, "entries", answer.Audit, printAudit)
}

func printAudit(w io.Writer, views []auditView, _ time.Time) error {
	rows := [][]string{{"ID", "AT", "WHO", "VERIFIED", "FROM", "WHAT", "RESULT"}}
	for _, v := range views {
		rows = append(rows, []string{fmt.Sprint(v.ID), clock(v.At), v.Who, v.Verified, v.From, v.What, v.Result})
	}
	return printTable(w, rows)
}
