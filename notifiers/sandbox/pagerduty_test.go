package sandbox_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	pd "github.com/PagerDuty/go-pagerduty"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

const (
	keyA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1"
	keyB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb2"
)

func startPagerDuty(t *testing.T, cfg sandbox.PagerDutyConfig) (*sandbox.PagerDuty, *pd.Client, string) {
	t.Helper()
	if cfg.RoutingKeys == nil {
		cfg.RoutingKeys = []router.Secret{keyA, keyB}
	}
	p := sandbox.NewPagerDuty(cfg)
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return p, pd.NewClient("", pd.WithV2EventsAPIEndpoint(server.URL)), server.URL
}

func trigger(key, dedup, summary, severity string) *pd.V2Event {
	return &pd.V2Event{RoutingKey: key, Action: "trigger", DedupKey: dedup, Payload: &pd.V2Payload{
		Summary: summary, Source: "Checkout", Severity: severity, Timestamp: "2026-03-14T03:00:00Z",
		Details: map[string]any{"now": "14 %"},
	}}
}

func TestAnIncidentOpensRefreshesAndResolves(t *testing.T) {
	clock := newClock()
	p, client, _ := startPagerDuty(t, sandbox.PagerDutyConfig{Now: clock.now})
	start := clock.now()
	send := func(e *pd.V2Event) {
		t.Helper()
		if _, err := client.ManageEventWithContext(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		clock.advance(time.Minute)
	}
	send(&pd.V2Event{RoutingKey: keyA, Action: "resolve", DedupKey: "k"}) // nothing is open
	send(trigger(keyA, "k", "first", "warning"))
	send(trigger(keyA, "k", "second", "critical"))
	send(trigger(keyB, "k", "another service", "info"))
	send(&pd.V2Event{RoutingKey: keyA, Action: "acknowledge", DedupKey: "k"})
	send(&pd.V2Event{RoutingKey: keyA, Action: "resolve", DedupKey: "k"})
	send(trigger(keyA, "k", "again", "error"))

	want := []sandbox.Incident{
		{Number: 1, RoutingKey: keyA, DedupKey: "k", Summary: "first", Severity: "critical", Status: "resolved", Triggers: 2,
			OpenedAt: start.Add(time.Minute), AcknowledgedAt: start.Add(4 * time.Minute),
			ResolvedAt: start.Add(5 * time.Minute)},
		{Number: 2, RoutingKey: keyB, DedupKey: "k", Summary: "another service", Severity: "info", Status: "triggered",
			Triggers: 1, OpenedAt: start.Add(3 * time.Minute)},
		{Number: 3, RoutingKey: keyA, DedupKey: "k", Summary: "again", Severity: "error", Status: "triggered", Triggers: 1,
			OpenedAt: start.Add(6 * time.Minute)},
	}
	if diff := cmp.Diff(want, p.Incidents(), cmpopts.IgnoreFields(sandbox.Incident{}, "Details", "Timestamp", "Source",
		"ID", "Alerts")); diff != "" {
		t.Errorf("incidents (-want +got):\n%s", diff)
	}
	if got := p.Incidents()[0].Details["now"]; got != "14 %" {
		t.Errorf("details: %v", got)
	}
	if first := p.Calls()[0]; !first.Dropped || first.Action != "resolve" || first.DedupKey != "k" || first.Status != 202 {
		t.Errorf("resolve of nothing: %+v", first)
	}
}

func TestAChangeEventPagesNobody(t *testing.T) {
	p, client, _ := startPagerDuty(t, sandbox.PagerDutyConfig{})
	_, err := client.CreateChangeEventWithContext(t.Context(), pd.ChangeEvent{
		RoutingKey: keyA, Payload: pd.ChangeEventPayload{Summary: "Checkout was published", Source: "flowbridge"},
		Links: []pd.ChangeEventLink{{Href: "https://example.com", Text: "page"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	changes := p.ChangeEvents()
	if len(changes) != 1 || changes[0].Summary != "Checkout was published" || changes[0].Links[0].Text != "page" ||
		len(p.Incidents()) != 0 {
		t.Errorf("changes %+v, incidents %+v", changes, p.Incidents())
	}
}

func TestPagerDutyRefusesWhatTheRealOneRefuses(t *testing.T) {
	p, _, url := startPagerDuty(t, sandbox.PagerDutyConfig{})
	event := func(change func(map[string]any, map[string]any)) map[string]any {
		payload := map[string]any{"summary": "s", "source": "s", "severity": "error"}
		e := map[string]any{"routing_key": keyA, "event_action": "trigger", "dedup_key": "k", "payload": payload}
		change(e, payload)
		return e
	}
	set := func(key string, value any) map[string]any {
		return event(func(e, _ map[string]any) { e[key] = value })
	}
	inPayload := func(key string, value any) map[string]any {
		return event(func(_, p map[string]any) { p[key] = value })
	}
	tests := []struct {
		name, path string
		body       any
		want       []string
	}{
		{"a wrong key", enqueue, set("routing_key", strings.Repeat("c", 32)), []string{"Invalid routing key"}},
		{"a short key with odd letters", enqueue, set("routing_key", "e+x"),
			[]string{"Length of 'routing_key' is incorrect (should be 32 characters)",
				"'routing_key' cannot contain non-alphanumeric characters."}},
		{"no key", enqueue, set("routing_key", ""), []string{"'routing_key' is missing or blank"}},
		{"no action", enqueue, set("event_action", nil), []string{"'event_action' is missing or blank"}},
		{"an unknown action", enqueue, set("event_action", "snooze"),
			[]string{"'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')"}},
		{"a resolve without a dedup key", enqueue, map[string]any{"routing_key": keyA, "event_action": "resolve"},
			[]string{"'dedup_key' is missing or blank"}},
		{"a long dedup key", enqueue, set("dedup_key", strings.Repeat("k", 256)),
			[]string{"Length of 'dedup_key' is incorrect (should be no more than 255 characters)"}},
		{"no payload", enqueue, set("payload", nil), []string{"'payload' is missing or blank"}},
		{"an empty payload", enqueue, set("payload", map[string]any{}), []string{"'payload.summary' is missing or blank",
			"'payload.source' is missing or blank", "'payload.severity' is missing or blank"}},
		{"a long summary", enqueue, inPayload("summary", strings.Repeat("s", 1025)),
			[]string{"Length of 'payload.summary' is incorrect (should be no more than 1024 characters)"}},
		{"an unknown severity", enqueue, inPayload("severity", "fatal"),
			[]string{"'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')"}},
		{"an odd time", enqueue, inPayload("timestamp", "yesterday"),
			[]string{"'payload.timestamp' is invalid (must be a valid ISO 8601 date and time)"}},
		{"a link that leads nowhere", enqueue, set("links", []any{map[string]any{"text": "x"}}),
			[]string{"'links[0].href' is missing or blank"}},
		{"an image without TLS", enqueue, set("images", []any{map[string]any{"src": "http://example.com/x.png"}}),
			[]string{"'images[0].src' is invalid (must be served over HTTPS)"}},
		{"details that are no object", enqueue, inPayload("custom_details", []string{"x"}),
			[]string{"Event is not valid JSON, or a field has the wrong type"}},
		{"too large a body", enqueue, inPayload("custom_details", map[string]any{"x": strings.Repeat("x", 512<<10)}),
			[]string{"Event is too large (should be no more than 524288 bytes)"}},
		{"a change event without a summary", "/v2/change/enqueue", map[string]any{"routing_key": keyA,
			"payload": map[string]any{}}, []string{"'payload.summary' is missing or blank"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			body, err := json.Marshal(test.body)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.Post(url+test.path, "application/json", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			raw, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Status string
				Errors []string
			}
			if err := json.Unmarshal(raw, &got); err != nil || resp.StatusCode != 400 || got.Status != "invalid event" {
				t.Errorf("%d %s (%v)", resp.StatusCode, raw, err)
			}
			if diff := cmp.Diff(test.want, got.Errors); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
	if n := len(p.Incidents()) + len(p.ChangeEvents()); n != 0 {
		t.Errorf("%d of them were accepted", n)
	}
}

const enqueue = "/v2/enqueue"

func TestARoutingKeyTakesSoManyCallsAMinute(t *testing.T) {
	clock := newClock()
	_, client, url := startPagerDuty(t, sandbox.PagerDutyConfig{Calls: 2, RetryAfter: true, Now: clock.now})
	send := func(key string) error {
		_, err := client.ManageEventWithContext(t.Context(), trigger(key, "k", "s", "error"))
		return err
	}
	for range 2 {
		if err := send(keyA); err != nil {
			t.Fatal(err)
		}
		clock.advance(10 * time.Second)
	}
	body, err := json.Marshal(trigger(keyA, "k", "s", "error"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(url+enqueue, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Retry-After"); resp.StatusCode != 429 || got != "40" {
		t.Errorf("third call in 20 s: %d, Retry-After %q; want 429 and 40", resp.StatusCode, got)
	}
	if err := send(keyB); err != nil {
		t.Errorf("another key is limited too: %v", err)
	}
	clock.advance(40 * time.Second)
	if err := send(keyA); err != nil {
		t.Errorf("a minute after the first: %v", err)
	}
}

func TestPagerDutyFailsByTheSameFaults(t *testing.T) {
	p, client, _ := startPagerDuty(t, sandbox.PagerDutyConfig{})
	p.Fail(sandbox.Fault{Method: enqueue, EOF: true, AfterAccept: true, Times: 1})
	if _, err := client.ManageEventWithContext(t.Context(), trigger(keyA, "k", "s", "error")); err == nil {
		t.Error("no error, though the connection was cut")
	}
	if got := p.Incidents(); len(got) != 1 {
		t.Errorf("%d incidents, want the one whose answer was lost", len(got))
	}
	if call := p.Calls()[0]; call.Status != 0 || call.Action != "trigger" {
		t.Errorf("the call: %+v", call)
	}
}
