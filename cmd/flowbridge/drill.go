package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"flowbridge/router"
	"flowbridge/router/console"
)

// drillCommand is `flowbridge drill`.
type drillCommand struct {
	Rule    string        `placeholder:"NAME" help:"Rule that acts, as if it had matched. Default: those that match an alert of a flow that the rules do not name."`
	Timeout time.Duration `default:"2m" placeholder:"TIME" help:"How long each half may take: what it takes to be told, and to be told that it is over."`
	Admin   string        `default:"http://127.0.0.1:9090" env:"FLOWBRIDGE_ADMIN" placeholder:"URL" help:"Admin address of the bridge, which is asked what came of it."`
	URL     string        `name:"url" default:"http://127.0.0.1:8080/webhooks/whatsapp" help:"Where the bridge takes webhooks."`
}

// mostDrillTime bounds --timeout.
const mostDrillTime = time.Hour

// Run sends a signed pair and waits until everybody was told of both. Whatever happens in between, the second half is
// sent.
func (c drillCommand) Run(ctx context.Context, p *program) error {
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return wrongUsage("--url: %q is no http or https address: write it as http://127.0.0.1:8080/webhooks/whatsapp", c.URL)
	}
	if c.Timeout <= 0 || c.Timeout > mostDrillTime {
		return wrongUsage("--timeout: write a time such as 2m, at most %s", router.FormatDuration(mostDrillTime))
	}
	secrets, err := p.secrets("META_APP_SECRET")
	if err != nil {
		return err
	}
	if len(secrets) == 0 {
		return errors.New("META_APP_SECRET is not set: give the bridge's own, or it will refuse the signature")
	}
	client, err := p.adminClient("--admin", c.Admin)
	if err != nil {
		return err
	}
	if err := client.call(ctx, "GET", "/api/v1/incidents?limit=1", nil, &json.RawMessage{}); err != nil {
		return fmt.Errorf("the bridge cannot be asked: %w (name it with --admin)", err)
	}
	began := time.Now()
	d := &drilling{c: c, p: p, client: client, secret: secrets[0], began: began, flow: drillFlow(began)}
	return d.run(ctx)
}

// drilling is one drill.
type drilling struct {
	c      drillCommand
	p      *program
	client *adminClient
	secret router.Secret
	began  time.Time
	flow   string
	number int64
	faults int
	// silenced is that a silence covered it while it was open: it is known then why nobody is told of its end.
	silenced bool
}

// say prints a step with the time since the beginning.
func (d *drilling) say(format string, args ...any) {
	fmt.Fprintf(d.p.Stdout, "%8.3f s  %s\n", time.Since(d.began).Seconds(), clean(fmt.Sprintf(format, args...)))
}

func (d *drilling) fault(format string, args ...any) {
	d.faults++
	d.say("MISSING: "+format, args...)
}

func (d *drilling) run(ctx context.Context) error {
	if err := d.post(ctx, router.Activated); err != nil {
		return err
	}
	d.half(ctx, "told", router.IncidentOpen)
	// Nothing is to stay open, though somebody has pressed Ctrl-C.
	if err := d.post(context.WithoutCancel(ctx), router.Deactivated); err != nil {
		return fmt.Errorf("the drill could not be ended: %w; resolve its incident: flowbridge incidents --flow %s", err,
			d.flow)
	}
	if d.number > 0 {
		d.half(ctx, "told that it is over", router.IncidentResolved)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if d.faults > 0 {
		return errFault
	}
	d.say("everybody was told")
	return nil
}

func (d *drilling) post(ctx context.Context, state string) error {
	at := d.began
	if state == router.Deactivated {
		at = time.Now()
	}
	body, err := drillBody(d.flow, d.c.Rule, at, state)
	if err != nil {
		return err
	}
	status, answer, took, err := postSigned(ctx, newHTTPClient(0), d.c.URL, d.secret, body)
	if err != nil {
		return fmt.Errorf("%w (is the bridge running there? name it with --url)", err)
	}
	if !strings.HasPrefix(status, "200") {
		return fmt.Errorf("the bridge answered %s%s", status, answer)
	}
	d.say("%s sent, answered in %s", state, took.Round(time.Millisecond/10))
	return nil
}

// half waits until the incident is in a state, and everybody who is to be told of that was.
func (d *drilling) half(ctx context.Context, what string, state router.IncidentState) {
	ctx, cancel := context.WithTimeout(ctx, d.c.Timeout)
	defer cancel()
	inc, seen, printed := (*console.Incident)(nil), false, map[int64]bool{}
	for {
		found, err := d.incident(ctx)
		if err == nil && found != nil {
			inc = found
		}
		reached := inc != nil && (inc.State == string(state) || state == router.IncidentOpen)
		if reached && !seen {
			seen = true
			d.number = inc.Number
			d.say("%s is %s, by rule %q", router.IncidentName(inc.Number), inc.State, inc.Rule)
			if d.c.Rule != "" && d.c.Rule != inc.Rule && state == router.IncidentOpen {
				d.fault("the bridge has no rule %q: others acted", d.c.Rule)
			}
		}
		if reached && d.deliveries(inc, what, printed) || !router.Sleep(ctx, 50*time.Millisecond) {
			break
		}
	}
	switch {
	case inc == nil:
		d.fault("no incident after %s%s", d.c.Timeout, d.came(ctx))
	case !seen:
		d.fault("%s is not %s after %s", router.IncidentName(inc.Number), state, d.c.Timeout)
	case len(inc.Deliveries) == 0 && inc.Silenced != nil:
		d.silenced = true
		d.fault("silence %s covers it: nobody is told", inc.Silenced.Silence)
	case len(inc.Deliveries) == 0 && !d.silenced:
		d.fault("no rule tells anybody: notifiers that page are told of drills only with drill: page")
	}
	if inc == nil {
		return
	}
	for _, one := range inc.Deliveries {
		if !printed[one.ID] {
			d.fault("%s was not %s: %s%s", one.Notifier, what, one.State, inParentheses(one.LastError))
		}
	}
}

// deliveries prints those that were told, and says whether all were, or nothing more is to be waited for.
func (d *drilling) deliveries(inc *console.Incident, what string, printed map[int64]bool) (done bool) {
	done = true
	for _, one := range inc.Deliveries {
		switch one.State {
		case string(router.DeliveryDelivered):
			if !printed[one.ID] {
				printed[one.ID] = true
				d.say("%s (%s) was %s%s", one.Notifier, one.Kind, what, inParentheses(receiptOf(&one)))
			}
		case string(router.DeliveryParked), string(router.DeliveryCancelled): // a person is needed, or it came too late
		default:
			done = false
		}
	}
	return done
}

func receiptOf(d *console.Delivery) string { return d.Receipt.Link() }

func inParentheses(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// incident returns the drill's incident, nil while there is none.
func (d *drilling) incident(ctx context.Context) (*console.Incident, error) {
	if d.number > 0 {
		var inc console.Incident
		err := d.client.call(ctx, "GET", fmt.Sprintf("/api/v1/incidents/%d", d.number), nil, &inc)
		return &inc, err
	}
	var answer struct{ Incidents []console.Incident }
	if err := d.client.call(ctx, "GET", "/api/v1/incidents?flow="+d.flow, nil, &answer); err != nil ||
		len(answer.Incidents) == 0 {
		return nil, err
	}
	return &answer.Incidents[0], nil
}

// came says what came of the event instead.
func (d *drilling) came(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), outcomeWait)
	defer cancel()
	var answer struct{ Events []console.Event }
	if d.client.call(ctx, "GET", "/api/v1/events?flow="+d.flow, nil, &answer) != nil || len(answer.Events) == 0 {
		return ""
	}
	return ": " + cmp.Or(cameOf(&answer.Events[0]), nothingCame)
}
