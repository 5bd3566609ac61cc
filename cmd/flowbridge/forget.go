package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"flowbridge/router"
	"flowbridge/router/console"
	"flowbridge/router/store"
)

type forgetCommand struct {
	Phone  string     `xor:"who" required:"" placeholder:"NUMBER" help:"Telephone number, with its country code, however it is written."`
	User   string     `xor:"who" required:"" placeholder:"ID" help:"Id that WhatsApp, Slack or PagerDuty knows the person by."`
	By     string     `placeholder:"NAME" help:"Who asks for it, for the audit. Default: $USER."`
	DB     string     `name:"db" placeholder:"DSN" help:"Database to work on directly, where no bridge runs on it: a path or a postgres:// URL. Default: the bridge at --admin is asked."`
	Bridge adminFlags `embed:""`
}

// forgetWait bounds how long a bridge may take: it looks through its whole journal.
const forgetWait = 11 * time.Minute

// Run blanks what is held of a person, and says what it found.
func (c forgetCommand) Run(ctx context.Context, p *program) error {
	who, err := router.NewPerson(c.Phone, c.User)
	if err != nil {
		return usageError{err}
	}
	var was console.Forgotten
	if c.DB == "" {
		was, err = c.ask(ctx, p)
	} else {
		was, err = c.direct(ctx, p, who)
	}
	if err != nil {
		return err
	}
	if c.Bridge.JSON {
		return printJSON(p.Stdout, was)
	}
	return printForgotten(p.Stdout, &was)
}

// ask has a running bridge do it.
func (c forgetCommand) ask(ctx context.Context, p *program) (was console.Forgotten, err error) {
	client, err := c.Bridge.client(p)
	if err != nil {
		return was, err
	}
	client.http.Timeout = forgetWait
	err = client.call(ctx, "POST", "/api/v1/forget", map[string]string{"phone": c.Phone, "user": c.User,
		"by": p.user(c.By)}, &was)
	return was, err
}

// direct does it in the database itself.
func (c forgetCommand) direct(ctx context.Context, p *program, who router.Person) (was console.Forgotten, err error) {
	if err := store.MustExist(c.DB); err != nil {
		return was, err
	}
	s, err := store.Open(ctx, store.Config{DSN: c.DB, Logger: newLogger(p.Stderr)})
	if err != nil {
		return was, fmt.Errorf("%w (while a bridge runs on it, leave out --db and name the bridge with --admin)", err)
	}
	defer s.Close()
	found, err := s.Forget(ctx, who)
	if err == nil {
		err = s.Audit(ctx, router.AuditEntry{At: time.Now().UTC(), Who: cmp.Or(p.user(c.By), "somebody"),
			Verified: "the database itself",
			From:     "this machine", What: "forget a person", Result: "blanked"})
	}
	return console.NewForgotten(found), err
}

// printForgotten says what was found.
func printForgotten(w io.Writer, was *console.Forgotten) error {
	if !was.Forgotten.Any() {
		_, err := fmt.Fprintln(w, "nothing was held of this person")
		return err
	}
	fmt.Fprintln(w, "blanked; digests are kept, so that what Meta repeats is known:")
	n := was.Forgotten
	rows := [][]string{}
	for _, row := range []struct {
		name string
		n    int64
	}{{"events", n.Events}, {"notices", n.Notices}, {"incidents", n.Incidents}, {"timeline entries", n.Timeline},
		{"errors of deliveries", n.Deliveries},
		{"silences", n.Silences}, {"postponed webhooks", n.Postponed}, {"audit entries", n.Audit},
		{"attempts at deliveries", n.Attempts}} {
		if row.n > 0 {
			rows = append(rows, []string{"  " + row.name, fmt.Sprint(row.n)})
		}
	}
	if err := printAligned(w, rows); err != nil || len(was.Told) == 0 {
		return err
	}
	fmt.Fprintln(w, "sent already, and not touched: remove these by hand where they are:")
	rows = rows[:0]
	for _, t := range was.Told {
		about := ""
		switch {
		case t.Incident != nil:
			about = router.IncidentName(*t.Incident)
		case t.Notice != nil:
			about = fmt.Sprintf("notice of event %d", *t.Notice)
		}
		rows = append(rows, []string{"  " + clean(t.Notifier), t.Kind, about, clean(t.Link)})
	}
	return printAligned(w, rows)
}
