package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"time"

	"flowbridge/router/console"
)

// auditCommand is `flowbridge audit`.
type auditCommand struct {
	Limit  int        `default:"50" help:"How many at most, up to 500; the newest."`
	Before int64      `placeholder:"ID" help:"Only what was stored before an entry."`
	Bridge adminFlags `embed:""`
}

// Run prints a table, or the API's answer.
func (c auditCommand) Run(ctx context.Context, p *program) error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
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
	var answer struct {
		Audit []json.RawMessage
		Next  any
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return err
	}
	return printList(p, c.Bridge, "entries", listed{answer.Audit, answer.Next != nil}, printAudit)
}

func printAudit(w io.Writer, entries []console.AuditEntry, _ time.Time) error {
	rows := [][]string{{"ID", "AT", "WHO", "VERIFIED BY", "FROM", "WHAT", "RESULT"}}
	for _, e := range entries {
		rows = append(rows, []string{fmt.Sprint(e.ID), clock(e.At), e.Who, e.Verified, e.From, e.What, e.Result})
	}
	return printTable(w, rows)
}
