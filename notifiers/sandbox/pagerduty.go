package sandbox

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"flowbridge/router"
)

// PagerDutyConfig is what a stand-in PagerDuty may be told. A zero field takes its default.
type PagerDutyConfig struct {
	// RoutingKeys of the services that exist, 32 letters and digits each. Default: none.
	RoutingKeys []router.Secret
	// Calls is how many a routing key may send in a minute; below 0 is no limit. Default: 120.
	Calls int
	// RetryAfter makes a 429 say when to come back. PagerDuty documents none. Default: it says nothing.
	RetryAfter bool
	// APIToken opens the REST API. Default: nothing does.
	APIToken router.Secret
	// Appears is how long after an incident was made the REST API tells of it. Default: at once.
	Appears time.Duration
	// NoKeys makes incidents without an incident_key, as the real one does of alerts: only their alerts have keys.
	NoKeys bool
	// OnCall is who has an incident at first. Default: nobody.
	OnCall string
	// WebhookRetry is how long the first repeat of a webhook waits; each further one waits twice as long, a minute at
	// most. Default: 1 s.
	WebhookRetry time.Duration
	// Keep bounds what is remembered: incidents, change events, calls and webhooks that were sent, of which the oldest go
	// first. Default: all.
	Keep int
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// PagerDuty is a stand-in for PagerDuty: its Events API v2 (POST /v2/enqueue and /v2/change/enqueue), what flowbridge
// reads of its REST API (incidents, their alerts, services, users), what people do there, and the V3 webhooks that
// tell of it all. Unlike the real one it has done what it accepted when the answer arrives. Its methods may be
// called from several goroutines.
type PagerDuty struct {
	core
	cfg       PagerDutyConfig
	incidents []*Incident // by number
	made      int64       // incidents there ever were
	noticed   int64       // change events there ever were
	changes   []ChangeEvent
	counts    map[router.Secret]*window
	asked     window // calls of the REST API

	subscription subscription
	queue        []*webhookPost // that wait to be sent, oldest first
	sent         []Webhook
}

// Incident is one incident of the stand-in, with the alert that made it.
type Incident struct {
	Number     int64  // from 1
	ID         string // PagerDuty's name for it
	RoutingKey router.Secret
	DedupKey   string
	Summary    string // as the first trigger said: later ones do not change it
	Severity   string // this and all below as the last trigger said
	Source     string
	Component  string
	Group      string
	Class      string
	Timestamp  string
	Details    map[string]any
	Links      []Link
	Client     string
	ClientURL  string

	Status         string // IncidentTriggered, IncidentAcknowledged or IncidentResolved
	Triggers       int    // how many it took; only the first paged somebody
	OpenedAt       time.Time
	AcknowledgedAt time.Time
	ResolvedAt     time.Time // zero until resolved

	Alerts     []Alert  // the one that made it, and those of the incidents that were merged into it
	Assignees  []string // who has it
	Priority   string
	Notes      []string
	MergedInto int64 // number of the incident that it goes on in; 0 for none
}

// Alert is what an incident holds: what the Events API speaks of.
type Alert struct {
	RoutingKey router.Secret
	DedupKey   string
	Resolved   bool
}

// Status of an Incident.
const (
	IncidentTriggered    = "triggered"
	IncidentAcknowledged = "acknowledged"
	IncidentResolved     = "resolved"
)

// Link stands beside an incident or a change event.
type Link struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

// ChangeEvent stands on a service's list of recent changes, and pages nobody.
type ChangeEvent struct {
	Number     int64 // from 1
	RoutingKey router.Secret
	Summary    string
	Source     string
	Timestamp  string
	Details    map[string]any
	Links      []Link
	At         time.Time // when it arrived
}

// NewPagerDuty returns an account without incidents.
func NewPagerDuty(cfg PagerDutyConfig) *PagerDuty {
	cfg.Calls = cmp.Or(cfg.Calls, 120)
	cfg.WebhookRetry = cmp.Or(cfg.WebhookRetry, time.Second)
	return &PagerDuty{core: newCore(cfg.Now, cfg.Keep), cfg: cfg, counts: map[router.Secret]*window{},
		asked: window{most: maxRestCalls, per: time.Minute}}
}

// ServeHTTP answers a call of the Events API or the REST API.
func (p *PagerDuty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch name, ok := restName(r); {
	case ok:
		p.serve(w, r, name, func(body []byte) request { return &restCall{p: p, name: name, r: r, body: body} })
	case r.URL.Path != enqueue && r.URL.Path != changeEnqueue:
		http.NotFound(w, r)
	case r.Method != http.MethodPost:
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
	default:
		p.serve(w, r, r.URL.Path, func(body []byte) request { return readEvent(p, r.URL.Path, body) })
	}
}

// Incidents returns every incident, open or not, oldest first.
func (p *PagerDuty) Incidents() []Incident {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Incident, len(p.incidents))
	for i, inc := range p.incidents {
		out[i] = *inc
		out[i].Alerts, out[i].Assignees, out[i].Notes = slices.Clone(inc.Alerts), slices.Clone(inc.Assignees),
			slices.Clone(inc.Notes)
	}
	return out
}

// ChangeEvents returns every change event, oldest first.
func (p *PagerDuty) ChangeEvents() []ChangeEvent {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.changes)
}

// act does what an event asks for.
func (e *pdEvent) act(call *Call) answer {
	if !slices.Contains(e.p.cfg.RoutingKeys, e.RoutingKey) && len(e.faults) == 0 {
		e.faults = append(e.faults, "Invalid routing key")
	}
	if len(e.faults) > 0 {
		out := jsonAnswer(http.StatusBadRequest, map[string]any{
			"status": "invalid event", "message": "Event object is invalid", "errors": e.faults,
		})
		out.err = e.faults[0]
		return out
	}
	if wait, ok := e.p.limit(e.RoutingKey); !ok {
		out := jsonAnswer(http.StatusTooManyRequests, map[string]any{
			"status": "throttle exceeded", "message": "Requests for this service are arriving too quickly.  Please retry later.",
		})
		out.err = "throttle exceeded"
		if e.p.cfg.RetryAfter {
			out.header.Set("Retry-After", retryAfter(wait))
		}
		return out
	}
	now := e.p.now()
	if e.path == changeEnqueue {
		e.p.noticed++
		e.p.changes = newest(append(e.p.changes, ChangeEvent{
			Number: e.p.noticed, RoutingKey: e.RoutingKey, Summary: e.Payload.Summary, Source: e.Payload.Source,
			Timestamp: e.Payload.Timestamp,
			Details:   e.Payload.Details, Links: e.Links, At: now,
		}), e.p.keep)
		return jsonAnswer(http.StatusAccepted, map[string]any{"status": "success", "message": "Change event processed"})
	}
	if e.DedupKey == "" {
		e.DedupKey = fmt.Sprintf("%032x", e.p.made+1)
	}
	call.Dropped = !e.p.apply(e, now)
	return jsonAnswer(http.StatusAccepted, map[string]any{
		"status": "success", "message": "Event processed", "dedup_key": e.DedupKey,
	})
}

// apply moves the open incident that holds the event's alert. It returns false for an acknowledge or resolve
// without one, which PagerDuty forgets without a word.
func (p *PagerDuty) apply(e *pdEvent, now time.Time) bool {
	inc, alert := p.open(e.RoutingKey, e.DedupKey)
	switch {
	case e.Action != "trigger" && inc == nil:
		return false
	case e.Action == "acknowledge":
		if inc.Status != IncidentAcknowledged {
			inc.Status, inc.AcknowledgedAt = IncidentAcknowledged, now
			p.tell("incident.acknowledged", inc, integration, nil)
		}
		return true
	case e.Action == "resolve":
		alert.Resolved = true
		if !slices.ContainsFunc(inc.Alerts, func(a Alert) bool { return !a.Resolved }) {
			inc.Status, inc.ResolvedAt = IncidentResolved, now
			p.tell("incident.resolved", inc, integration, nil)
		}
		return true
	}
	fresh := inc == nil
	if fresh {
		p.made++
		number := p.made
		inc = &Incident{
			Number: number, ID: fmt.Sprintf("Q%07d", number), RoutingKey: e.RoutingKey, DedupKey: e.DedupKey,
			Summary: e.Payload.Summary,
			Status:  IncidentTriggered, OpenedAt: now, Alerts: []Alert{{RoutingKey: e.RoutingKey, DedupKey: e.DedupKey}},
		}
		if p.cfg.OnCall != "" {
			inc.Assignees = []string{p.cfg.OnCall}
		}
		p.incidents = newest(append(p.incidents, inc), p.keep)
	}
	inc.Triggers++
	if inc.RoutingKey == e.RoutingKey && inc.DedupKey == e.DedupKey { // and not what was merged into it
		inc.Severity, inc.Source, inc.Timestamp = e.Payload.Severity, e.Payload.Source, e.Payload.Timestamp
		inc.Component, inc.Group, inc.Class = e.Payload.Component, e.Payload.Group, e.Payload.Class
		inc.Details, inc.Links, inc.Client, inc.ClientURL = e.Payload.Details, e.Links, e.Client, e.ClientURL
	}
	if fresh {
		p.tell("incident.triggered", inc, integration, nil)
	}
	return true
}

// open returns the alert with some keys that is not resolved, and its incident; nil if there is none.
func (p *PagerDuty) open(key router.Secret, dedup string) (*Incident, *Alert) {
	for _, inc := range p.incidents {
		for i := range inc.Alerts {
			if a := &inc.Alerts[i]; inc.Status != IncidentResolved && !a.Resolved && a.RoutingKey == key && a.DedupKey == dedup {
				return inc, a
			}
		}
	}
	return nil, nil
}

// limit counts a call of a routing key.
func (p *PagerDuty) limit(key router.Secret) (wait time.Duration, ok bool) {
	w := p.counts[key]
	if w == nil {
		w = &window{most: max(p.cfg.Calls, 0), per: time.Minute}
		p.counts[key] = w
	}
	return w.take(p.now())
}
