package sandbox

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"flowbridge/router"
)

// PagerDutyConfig is what a stand-in PagerDuty may be told. Zero fields choose themselves.
type PagerDutyConfig struct {
	// RoutingKeys of the services that exist, 32 letters and digits each. Default: none.
	RoutingKeys []router.Secret
	// Calls is how many a routing key may send in a minute; below 0 is no limit. Default: 120.
	Calls int
	// RetryAfter makes a 429 say when to come back. PagerDuty documents none. Default: it says nothing.
	RetryAfter bool
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// PagerDuty is a stand-in for PagerDuty's Events API v2: POST /v2/enqueue and /v2/change/enqueue. Unlike
// the real one it has done what it accepted when the answer arrives. Its methods may be called from
// several goroutines.
type PagerDuty struct {
	core
	cfg       PagerDutyConfig
	incidents []*Incident
	changes   []ChangeEvent
	counts    map[router.Secret]*window
}

// Incident is one incident of the stand-in, with the alert that made it.
type Incident struct {
	Number     int64 // from 1
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
	return &PagerDuty{core: newCore(cfg.Now), cfg: cfg, counts: map[router.Secret]*window{}}
}

// ServeHTTP answers a call of the Events API.
func (p *PagerDuty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
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
		e.p.changes = append(e.p.changes, ChangeEvent{
			RoutingKey: e.RoutingKey, Summary: e.Payload.Summary, Source: e.Payload.Source, Timestamp: e.Payload.Timestamp,
			Details: e.Payload.Details, Links: e.Links, At: now,
		})
		return jsonAnswer(http.StatusAccepted, map[string]any{"status": "success", "message": "Change event processed"})
	}
	if e.DedupKey == "" {
		e.DedupKey = fmt.Sprintf("%032x", len(e.p.incidents)+1)
	}
	call.Dropped = !e.p.apply(e, now)
	return jsonAnswer(http.StatusAccepted, map[string]any{
		"status": "success", "message": "Event processed", "dedup_key": e.DedupKey,
	})
}

// apply moves the open incident of the event's keys. It returns false for an acknowledge or resolve
// without one, which PagerDuty forgets without a word.
func (p *PagerDuty) apply(e *pdEvent, now time.Time) bool {
	at := slices.IndexFunc(p.incidents, func(inc *Incident) bool {
		return inc.RoutingKey == e.RoutingKey && inc.DedupKey == e.DedupKey && inc.Status != IncidentResolved
	})
	switch {
	case e.Action != "trigger" && at < 0:
		return false
	case e.Action == "acknowledge":
		p.incidents[at].Status, p.incidents[at].AcknowledgedAt = IncidentAcknowledged, now
		return true
	case e.Action == "resolve":
		p.incidents[at].Status, p.incidents[at].ResolvedAt = IncidentResolved, now
		return true
	case at < 0:
		at = len(p.incidents)
		p.incidents = append(p.incidents, &Incident{
			Number: int64(at) + 1, RoutingKey: e.RoutingKey, DedupKey: e.DedupKey, Summary: e.Payload.Summary,
			Status: IncidentTriggered, OpenedAt: now,
		})
	}
	inc := p.incidents[at]
	inc.Triggers++
	inc.Severity, inc.Source, inc.Timestamp = e.Payload.Severity, e.Payload.Source, e.Payload.Timestamp
	inc.Component, inc.Group, inc.Class = e.Payload.Component, e.Payload.Group, e.Payload.Class
	inc.Details, inc.Links, inc.Client, inc.ClientURL = e.Payload.Details, e.Links, e.Client, e.ClientURL
	return true
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
