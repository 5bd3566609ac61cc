package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"flowbridge/router"
)

// Paths of the Events API v2.
const (
	enqueue       = "/v2/enqueue"
	changeEnqueue = "/v2/change/enqueue"
)

// Limits of the Events API v2. Source: PagerDuty, "Send an alert event" and "Send a change event".
const (
	maxEvent    = 512 << 10 // bytes
	maxSummary  = 1024      // characters, as all below
	maxDedupKey = 255
	keyLength   = 32
)

// pdEvent is the body of either kind of event.
type pdEvent struct {
	p      *PagerDuty
	path   string
	faults []string

	RoutingKey router.Secret `json:"-"`
	Key        string        `json:"routing_key"`
	Action     string        `json:"event_action"`
	DedupKey   string        `json:"dedup_key"`
	Client     string        `json:"client"`
	ClientURL  string        `json:"client_url"`
	Links      []Link        `json:"links"`
	Images     []struct {
		Src string `json:"src"`
	} `json:"images"`
	Payload *struct {
		Summary   string         `json:"summary"`
		Source    string         `json:"source"`
		Severity  string         `json:"severity"`
		Timestamp string         `json:"timestamp"`
		Component string         `json:"component"`
		Group     string         `json:"group"`
		Class     string         `json:"class"`
		Details   map[string]any `json:"custom_details"`
	} `json:"payload"`
}

func (e *pdEvent) note(call *Call) { call.Action, call.DedupKey = e.Action, e.DedupKey }

// readEvent reads a body and notes all that PagerDuty would say against it.
func readEvent(p *PagerDuty, path string, body []byte) *pdEvent {
	e := &pdEvent{p: p, path: path}
	if len(body) > maxEvent {
		e.wrong("Event is too large (should be no more than %d bytes)", maxEvent)
		return e
	}
	if err := json.Unmarshal(body, e); err != nil {
		e.wrong("Event is not valid JSON, or a field has the wrong type")
		return e
	}
	e.RoutingKey, e.Key = router.Secret(e.Key), ""
	e.checkKey(e.RoutingKey.Reveal())
	if path == changeEnqueue {
		e.checkPayload()
		return e
	}
	if n := utf8.RuneCountInString(e.DedupKey); n > maxDedupKey {
		e.wrong("Length of 'dedup_key' is incorrect (should be no more than %d characters)", maxDedupKey)
	}
	switch e.Action {
	case "trigger":
		e.checkPayload()
		e.checkSeverity()
	case "acknowledge", "resolve":
		e.need("dedup_key", e.DedupKey)
	case "":
		e.need("event_action", "")
	default:
		e.wrong("'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')")
	}
	return e
}

func (e *pdEvent) checkKey(key string) {
	if !e.need("routing_key", key) {
		return
	}
	if len(key) != keyLength {
		e.wrong("Length of 'routing_key' is incorrect (should be %d characters)", keyLength)
	}
	if strings.ContainsFunc(key, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		e.wrong("'routing_key' cannot contain non-alphanumeric characters.")
	}
}

func (e *pdEvent) checkPayload() {
	if e.Payload == nil {
		e.wrong("'payload' is missing or blank")
		return
	}
	e.need("payload.summary", e.Payload.Summary)
	if utf8.RuneCountInString(e.Payload.Summary) > maxSummary {
		e.wrong("Length of 'payload.summary' is incorrect (should be no more than %d characters)", maxSummary)
	}
	if e.path == enqueue {
		e.need("payload.source", e.Payload.Source)
	}
	if t := e.Payload.Timestamp; t != "" {
		if _, err := time.Parse(time.RFC3339, t); err != nil {
			e.wrong("'payload.timestamp' is invalid (must be a valid ISO 8601 date and time)")
		}
	}
	for i, link := range e.Links {
		e.need(fmt.Sprintf("links[%d].href", i), link.Href)
	}
	for i, image := range e.Images {
		if !strings.HasPrefix(image.Src, "https://") {
			e.wrong("'images[%d].src' is invalid (must be served over HTTPS)", i)
		}
	}
}

func (e *pdEvent) checkSeverity() {
	severities := []string{"critical", "error", "warning", "info"}
	if e.Payload != nil && e.need("payload.severity", e.Payload.Severity) &&
		!slices.Contains(severities, e.Payload.Severity) {
		e.wrong("'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')")
	}
}

// need refuses an empty field, and says whether there was something in it.
func (e *pdEvent) need(field, value string) bool {
	if strings.TrimSpace(value) == "" {
		e.wrong("'%s' is missing or blank", field)
		return false
	}
	return true
}

func (e *pdEvent) wrong(format string, args ...any) {
	e.faults = append(e.faults, fmt.Sprintf(format, args...))
}
