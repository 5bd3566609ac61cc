// Package pagerduty brings PagerDuty to the state it is owed, through the Events API v2: it opens, refreshes,
// acknowledges and resolves incidents, and puts news beside them. Whom to tell, and when to try again, is left
// to the rules and the queue.
//
// An incident has the dedup key that the router gave it, so every repeat falls on the one that is open. A
// notice is a change event, which pages nobody, unless its severity says otherwise: see pages.
//
// While an incident is acknowledged PagerDuty notifies nobody of a new trigger, so a severity that rises
// shows in the incident and in Slack, and wakes nobody: the one who acknowledged is at it. Where a rule says
// on_escalation: page, the rise is a delivery of its own, with another key.
package pagerduty

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	pd "github.com/PagerDuty/go-pagerduty"

	"flowbridge/router"
)

// Config is what a Notifier may be told. Zero fields choose themselves.
type Config struct {
	// EventsURL is where the Events API is, without /v2/enqueue. Accounts of the EU region have
	// https://events.eu.pagerduty.com. Default: https://events.pagerduty.com.
	EventsURL string
	// Timeout bounds one call; a Sync makes at most two. Default: 10 s.
	Timeout time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Notifier tells PagerDuty. The routing key comes with each Notification.
type Notifier struct {
	cfg  Config
	http *http.Client
}

// New returns a Notifier. It calls nobody yet.
func New(cfg Config) (*Notifier, error) {
	cfg.EventsURL = strings.TrimRight(cmp.Or(cfg.EventsURL, "https://events.pagerduty.com"), "/")
	cfg.Timeout = cmp.Or(cfg.Timeout, 10*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	u, err := url.Parse(cfg.EventsURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("pagerduty: the address of the Events API must be a URL such as https://events.eu.pagerduty.com")
	}
	return &Notifier{cfg: cfg, http: &http.Client{
		Transport: http.DefaultTransport.(*http.Transport).Clone(),
		// A redirect would carry the routing key to whoever it names.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Sync brings PagerDuty to the state in n. Its errors are those of package notifiers: Refused for what no
// repetition will change, Later after a 429; everything else is worth another try, and any repeat is
// harmless but that of a change event, which would be listed twice.
func (p *Notifier) Sync(ctx context.Context, n router.Notification) (router.Receipt, error) {
	switch {
	case n.Notice != nil:
		return p.tell(ctx, &n)
	case n.Open:
		return p.open(ctx, &n)
	case mayBeOpen(&n):
		return p.resolve(ctx, &n)
	}
	return n.Receipt, nil // closed already, or over before PagerDuty heard of it: nobody is paged for that
}

// mayBeOpen says whether an earlier attempt opened the incident at PagerDuty, or may have. Attempts since the
// last success are such even beside a receipt that says closed: the incident may have come back, and what
// we learned of that be lost in a crash. A resolve too many is forgotten there without a word.
func mayBeOpen(n *router.Notification) bool {
	return n.Receipt.Open || n.MayExist && (n.Receipt == router.Receipt{} || n.Attempt > 1)
}

// open triggers the incident, or refreshes it, and passes an acknowledgement on.
func (p *Notifier) open(ctx context.Context, n *router.Notification) (router.Receipt, error) {
	event := trigger(n)
	may, err := p.enqueue(ctx, n.Target.RoutingKey, event)
	r := n.Receipt
	if may || mayBeOpen(n) {
		r.DedupKey, r.Open = event.DedupKey, true
	}
	if err != nil {
		return r, err
	}
	r.Severity, r.Told = n.Severity, n.Incident.Entries
	switch {
	case n.Incident.State != router.IncidentAcknowledged:
		r.Acknowledged = false
	case !r.Acknowledged && acknowledged(n):
		if _, err := p.enqueue(ctx, n.Target.RoutingKey, &pd.V2Event{Action: "acknowledge", DedupKey: r.DedupKey}); err != nil {
			return r, err
		}
		r.Acknowledged = true
	}
	return r, nil
}

// acknowledged says whether the acknowledgement covers all that this notifier is open for. What became active
// after it, or was to be told only after it (`after: 30m`), is news here: it pages, whoever has seen the
// incident elsewhere. A rule that does not want that says `unless: acknowledged`.
func acknowledged(n *router.Notification) bool {
	at := n.Incident.AcknowledgedAt
	return !slices.ContainsFunc(n.Alerts, func(a router.Alert) bool {
		return a.Counts() && slices.ContainsFunc(a.Routes, func(r router.AlertRoute) bool {
			return r.Notifier == n.Target.Notifier && (a.Since.After(at) || r.Due.After(at))
		})
	})
}

// resolve closes the incident. Its dedup key stays on the receipt: that is what people look for.
func (p *Notifier) resolve(ctx context.Context, n *router.Notification) (router.Receipt, error) {
	r := n.Receipt
	r.DedupKey, r.Open = cmp.Or(n.Receipt.DedupKey, n.Key), true
	if _, err := p.enqueue(ctx, n.Target.RoutingKey, &pd.V2Event{Action: "resolve", DedupKey: r.DedupKey}); err != nil {
		return r, err
	}
	r.Open, r.Acknowledged, r.Told = false, false, n.Incident.Entries
	return r, nil
}

// tell tells of a notice, once. Told is 1 on the receipt of one that was told for certain.
func (p *Notifier) tell(ctx context.Context, n *router.Notification) (router.Receipt, error) {
	if n.Receipt.Told > 0 {
		return n.Receipt, nil
	}
	key, notice := n.Target.RoutingKey, n.Notice
	var may bool
	var err error
	made := router.Receipt{Severity: severity(n)}
	switch {
	case notice.Recovery != "":
		made.DedupKey = notice.Recovery
		may, err = p.enqueue(ctx, key, &pd.V2Event{Action: "resolve", DedupKey: notice.Recovery})
	case pages(n):
		event := page(n)
		made.DedupKey, made.Open = event.DedupKey, true
		may, err = p.enqueue(ctx, key, event)
	default:
		may, err = p.change(ctx, key, change(n))
	}
	switch {
	case err == nil:
		made.Told = 1
		return made, nil
	case may || n.MayExist:
		return made, err
	}
	return n.Receipt, err
}

// pages says whether a notice pages somebody: from severity error on. Who routes an event that has no pair to
// PagerDuty with severity: critical wants to be woken by it, and closes the incident by hand, since no
// recovery will come. A recovery wakes nobody whatever its rule says, nor does a flow that is drafted or
// published: a rule about status changes is severe for the sake of THROTTLED and BLOCKED.
func pages(n *router.Notification) bool {
	switch {
	case n.Notice.AlertState == router.Deactivated:
		return false
	case n.Notice.Name == router.FlowStatusChange && router.StatusMeaning(n.Notice.NewStatus) == "":
		return false
	}
	return n.Severity >= router.Error
}
