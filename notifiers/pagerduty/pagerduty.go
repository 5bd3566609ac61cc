// Package pagerduty brings PagerDuty to the state it is owed, through the Events API v2: it opens, refreshes,
// acknowledges and resolves incidents, and puts news beside them (Notifier). It takes what people do there, from V3
// webhooks (Webhooks), and learns from the REST API what PagerDuty calls our incidents (Linker); both go to the
// journal. Whom to tell, when to try again, and what an act means is left to the rules, the queue and the router.
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
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	pd "github.com/PagerDuty/go-pagerduty"

	"flowbridge/notifiers"
	"flowbridge/router"
)

// Kind is the kind of notifiers that this package tells.
const Kind = router.KindPagerDuty

// Config is what a Notifier may be told. A zero field takes its default.
type Config struct {
	// EventsURL is where the Events API is, without /v2/enqueue. Accounts of the EU region have
	// https://events.eu.pagerduty.com. Default: https://events.pagerduty.com.
	EventsURL string
	// APIToken and From, the e-mail of a user, are for notes: PagerDuty shows only that the Events API acknowledged or
	// resolved an incident, not who did that elsewhere. Default: no notes.
	APIToken router.Secret
	From     string
	// APITokenNow returns the token in force; it is asked for each note, since it may be replaced. Default: APIToken.
	APITokenNow func() router.Secret
	// APIURL is where the REST API is. Default: https://api.pagerduty.com.
	APIURL string
	// Timeout bounds one call; a Sync makes at most four. Default: 10 s.
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
	var err error
	if cfg.EventsURL, err = base(cfg.EventsURL, "https://events.pagerduty.com", "Events API"); err != nil {
		return nil, err
	}
	if cfg.APIURL, err = base(cfg.APIURL, "https://api.pagerduty.com", "REST API"); err != nil {
		return nil, err
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, 10*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.APITokenNow == nil {
		cfg.APITokenNow = func() router.Secret { return cfg.APIToken }
	}
	return &Notifier{cfg: cfg, http: newClient()}, nil
}

// newClient returns an HTTP client that follows no redirect: that would carry a credential to whoever it names.
func newClient() *http.Client {
	return &http.Client{
		Transport:     notifiers.Recorded{RoundTripper: notifiers.NewTransport()},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// base checks the address of an API and takes off what the paths begin with.
func base(address, otherwise, what string) (string, error) {
	address = strings.TrimRight(cmp.Or(address, otherwise), "/")
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" ||
		u.Fragment != "" {
		return "", fmt.Errorf("pagerduty: the address of the %s must be a URL such as %s", what,
			strings.Replace(otherwise, ".pagerduty", ".eu.pagerduty", 1))
	}
	return address, nil
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
	case mayBeLeft(&n):
		return p.closeLeft(ctx, &n, n.Receipt)
	}
	return n.Receipt, nil // closed already, or over before PagerDuty heard of it: nobody is paged for that
}

// mayBeOpen says whether an earlier attempt opened the incident at PagerDuty, or may have. Attempts since the
// last success are such even beside a receipt that says closed: the incident may have come back, and what
// we learned of that be lost in a crash. What was opened before our database was lost may be there, too, under the key
// of an incident that is over before PagerDuty heard of it. A resolve too many is forgotten there without a word.
func mayBeOpen(n *router.Notification) bool {
	left := n.Incident != nil && n.Incident.First && !n.Open && n.Key == n.Incident.Key && n.Receipt == router.Receipt{}
	return left || n.Receipt.Open || n.Receipt.Unsure || n.MayExist && (n.Receipt == router.Receipt{} || n.Attempt > 1)
}

// mayBeLeft says whether PagerDuty may still hold second pages of before our database was lost, while the incident is
// closed there: somebody resolved it by hand.
func mayBeLeft(n *router.Notification) bool {
	return !n.Open && n.Incident != nil && n.Receipt.Told < n.Incident.Entries && len(n.Left()) > 0
}

// open triggers the incident, or refreshes it, and passes an acknowledgement on. Where PagerDuty may still hold an
// older opening, or an acknowledgement that was taken back, that is ended first: while it stands a trigger notifies
// nobody, and the Events API has no way to take an acknowledgement back.
func (p *Notifier) open(ctx context.Context, n *router.Notification) (router.Receipt, error) {
	event, stale := trigger(n), n.Stale()
	r := n.Receipt
	if stale {
		r = named(r, event.DedupKey)
		if _, err := p.enqueue(ctx, n.Target.Credential,
			&pd.V2Event{Action: "resolve", DedupKey: event.DedupKey}); err != nil {
			return r, err
		}
		r.Open, r.Acknowledged, r.Unsure = false, false, false
	}
	may, err := p.enqueue(ctx, n.Target.Credential, event)
	if may || mayBeOpen(n) && !stale {
		certain := r.Tells(n.Opening)
		r = named(r, event.DedupKey)
		r.Open, r.Opening, r.Unsure = true, n.Opening, !certain
	}
	if err != nil {
		return r, err
	}
	r.Severity, r.Told, r.Unsure = n.Severity, n.Incident.Entries, false
	switch {
	case n.Incident.State != router.IncidentAcknowledged:
		r.Acknowledged = false
	case knows(n):
		r.Acknowledged = true
	case passesOn(n):
		if _, err := p.enqueue(ctx, n.Target.Credential,
			&pd.V2Event{Action: "acknowledge", DedupKey: event.DedupKey}); err != nil {
			return r, err
		}
		r.Acknowledged = true
		p.note(ctx, n, "Acknowledged by "+n.Incident.AcknowledgedBy)
	}
	return r, nil
}

// knows says whether PagerDuty holds the acknowledgement by itself: a repeat would undo what somebody there does
// meanwhile.
func knows(n *router.Notification) bool {
	return !n.Stale() && n.Incident.AcknowledgedIn.Is(n.Target.Notifier, n.Key)
}

// passesOn says whether an acknowledgement goes with the trigger.
func passesOn(n *router.Notification) bool {
	news := n.Stale() || !n.Receipt.Acknowledged || anew(n)
	return n.Incident != nil && n.Incident.State == router.IncidentAcknowledged && !knows(n) && news && acknowledged(n)
}

// anew says whether somebody acknowledged the incident since we told of it last. In between it may have been taken back
// in PagerDuty, which knows of that by itself.
func anew(n *router.Notification) bool {
	return slices.ContainsFunc(n.Timeline, func(e router.Entry) bool { return e.Kind == router.EntryAcknowledged })
}

// acknowledged says whether the acknowledgement covers all that this notifier is open for. What we heard of
// after it, or was to be told only after it (`after: 30m`), is news here: it pages, whoever has seen the
// incident elsewhere. A rule that does not want that says `unless: acknowledged`. So is what a person wanted paged
// after it.
func acknowledged(n *router.Notification) bool {
	at := n.Incident.AcknowledgedAt
	if slices.ContainsFunc(n.Incident.Watch, func(w router.Watch) bool {
		return w.Notifier == n.Target.Notifier && w.PagedAt == 0 && n.Key == n.Incident.Key &&
			!n.Incident.AcknowledgesPage(&w)
	}) {
		return false
	}
	return !slices.ContainsFunc(n.Alerts, func(a router.Alert) bool {
		return a.Counts() && slices.ContainsFunc(a.Routes, func(r router.AlertRoute) bool {
			return r.Notifier == n.Target.Notifier && (!n.Incident.Acknowledges(&a) || r.Due.After(at))
		})
	})
}

// resolve closes the incident. Its dedup key stays on the receipt: that is what people look for.
func (p *Notifier) resolve(ctx context.Context, n *router.Notification) (router.Receipt, error) {
	key := cmp.Or(dedupKey(n.Receipt), n.Key)
	r := named(n.Receipt, key)
	r.Open = true
	if _, err := p.enqueue(ctx, n.Target.Credential, &pd.V2Event{Action: "resolve", DedupKey: key}); err != nil {
		return r, err
	}
	r, err := p.closeLeft(ctx, n, r)
	if err != nil {
		return r, err
	}
	r.Open, r.Acknowledged, r.Unsure = false, false, false
	if n.Incident.State == router.IncidentResolved && n.Incident.ResolvedBy != "" {
		p.note(ctx, n, "Resolved by "+n.Incident.ResolvedBy)
	}
	return r, nil
}

// closeLeft resolves what may be left there of before our database was lost.
func (p *Notifier) closeLeft(ctx context.Context, n *router.Notification, r router.Receipt) (router.Receipt, error) {
	for _, left := range n.Left() {
		if _, err := p.enqueue(ctx, n.Target.Credential, &pd.V2Event{Action: "resolve", DedupKey: left}); err != nil {
			return r, err
		}
	}
	r.Told = n.Incident.Entries
	return r, nil
}

// noteMark begins our notes, so that we know them when PagerDuty tells us of them.
const noteMark = "flowbridge: "

// note writes who did what elsewhere on the incident, where we know its name. Nothing depends on it, so a note that is
// refused is none.
func (p *Notifier) note(ctx context.Context, n *router.Notification, text string) {
	i := slices.IndexFunc(n.Incident.Links, func(l router.Link) bool {
		return l.Notifier == n.Target.Notifier &&
			l.Key == n.Key
	})
	if p.cfg.APIToken == "" || p.cfg.From == "" || i < 0 || !isID(n.Incident.Links[i].ID) {
		return
	}
	api := rest{token: p.cfg.APITokenNow(), url: p.cfg.APIURL, timeout: p.cfg.Timeout, now: p.cfg.Now, http: p.http}
	_ = api.note(ctx, n.Incident.Links[i].ID, p.cfg.From, noteMark+line(text, maxNote))
}

// tell tells of a notice, once. Told is 1 on the receipt of one that was told for certain.
func (p *Notifier) tell(ctx context.Context, n *router.Notification) (router.Receipt, error) {
	if n.Receipt.Told > 0 {
		return n.Receipt, nil
	}
	key, notice := n.Target.Credential, n.Notice
	var may bool
	var err error
	made := router.Receipt{Severity: severity(n)}
	switch {
	case n.Recovers():
		made = named(made, notice.Recovery)
		for _, one := range router.PageKeys(notice.Recovery) { // whichever of them there are
			var did bool
			did, err = p.enqueue(ctx, key, &pd.V2Event{Action: "resolve", DedupKey: one})
			if may = may || did; err != nil {
				break
			}
		}
	case pages(n):
		event := page(n)
		made = named(made, event.DedupKey)
		made.Open = true
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
	switch signal := router.SignalOf(n.Notice.SignalKey()); {
	case n.Notice.AlertState == router.Deactivated:
		return false
	case signal.ByWord() && !signal.Moves() && router.StatusMeaning(n.Notice.NewStatus) == "":
		return false
	}
	return n.Severity >= router.Error
}
