package sandbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	pd "github.com/PagerDuty/go-pagerduty"
	"github.com/PagerDuty/go-pagerduty/webhookv3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"flowbridge/notifiers/sandbox"
)

const apiToken = "rest-token"

// subscriber takes webhooks, and answers with what it is told.
type subscriber struct {
	mu      sync.Mutex
	answers []int // the next statuses; 202 when there is none
	got     []string
	ids     []string
}

func (s *subscriber) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	signed := webhookv3.VerifySignature(r, "secret") == nil
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var hook struct {
		Event struct {
			Event_type string
			Agent      *struct{ Type, Summary string }
			Data       struct {
				Number         int64
				Status         string
				Content        string
				Assignees      []struct{ Summary string }
				Incident       struct{ Summary string }
				Resolve_reason *struct{ Incident struct{ Summary string } }
			}
		}
	}
	_ = json.Unmarshal(body, &hook)
	e := hook.Event
	text := e.Event_type
	if e.Agent != nil {
		text += " by " + e.Agent.Summary
	}
	if e.Data.Number != 0 {
		text += fmt.Sprintf(", #%d %s", e.Data.Number, e.Data.Status)
	}
	for _, a := range e.Data.Assignees {
		text += ", with " + a.Summary
	}
	if e.Data.Content != "" {
		text += ", " + e.Data.Incident.Summary + ": " + e.Data.Content
	}
	if e.Data.Resolve_reason != nil {
		text += ", merged into " + e.Data.Resolve_reason.Incident.Summary
	}
	if !signed {
		text = "not signed: " + text
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got, s.ids = append(s.got, text), append(s.ids, r.Header.Get("X-Webhook-Id"))
	if len(s.answers) == 0 {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	w.WriteHeader(s.answers[0])
	s.answers = s.answers[1:]
}

// subscribe makes the account tell s what happens, until the test ends.
func subscribe(t *testing.T, p *sandbox.PagerDuty, s *subscriber) {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	p.Subscribe(server.URL, "secret")
	ctx, stop := context.WithCancel(context.Background())
	var sending sync.WaitGroup
	sending.Go(func() { p.SendWebhooks(ctx) })
	t.Cleanup(func() {
		stop()
		sending.Wait()
	})
}

func sentAll(t *testing.T, p *sandbox.PagerDuty) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	// Waiting holds no lock, so that Unsent can be asked.
	for p.Unsent() > 0 {
		changed := p.Changed()
		if p.Unsent() == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%d webhooks are not sent", p.Unsent())
		}
	}
}

func TestWhatHappensInPagerDutyIsToldByWebhooks(t *testing.T) {
	p, client, _ := startPagerDuty(t, sandbox.PagerDutyConfig{OnCall: "ana"})
	s := &subscriber{}
	subscribe(t, p, s)
	send := func(e *pd.V2Event) error {
		_, err := client.ManageEventWithContext(t.Context(), e)
		return err
	}
	p.Ping()
	for i, err := range []error{
		send(trigger(keyA, "one", "first", "error")),
		send(trigger(keyA, "one", "again", "error")), // tells nobody
		send(trigger(keyA, "two", "second", "error")),
		p.Acknowledge(1, "ben"),
		p.Escalate(1, "", "cleo"),
		p.Reassign(1, "cleo", "dora", "eve"),
		send(&pd.V2Event{RoutingKey: keyA, Action: "acknowledge", DedupKey: "one"}),
		p.Unacknowledge(1, "dora"),
		p.Note(1, "dora", "found it"),
		p.Prioritize(1, "dora", "P1"),
		p.Merge(2, 1, "dora"),
		send(&pd.V2Event{RoutingKey: keyA, Action: "resolve", DedupKey: "one"}), // the other alert is still open
		send(&pd.V2Event{RoutingKey: keyA, Action: "resolve", DedupKey: "two"}),
		p.Reopen(1, "eve"),
		p.Resolve(1, "eve"),
	} {
		if err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}
	sentAll(t, p)
	want := []string{
		"pagey.ping",
		"incident.triggered by Events API V2, #1 triggered, with ana",
		"incident.triggered by Events API V2, #2 triggered, with ana",
		"incident.acknowledged by ben, #1 acknowledged, with ben",
		"incident.escalated, #1 triggered, with cleo",
		"incident.reassigned by cleo, #1 triggered, with dora, with eve",
		"incident.acknowledged by Events API V2, #1 acknowledged, with dora, with eve",
		"incident.unacknowledged by dora, #1 triggered, with dora, with eve",
		"incident.annotated by dora, [#1] first: found it",
		"incident.priority_updated by dora, #1 triggered, with dora, with eve",
		"incident.resolved by dora, #2 resolved, with ana, merged into [#1] first",
		"incident.resolved by Events API V2, #1 resolved, with dora, with eve",
		"incident.reopened by eve, #1 triggered, with dora, with eve",
		"incident.resolved by eve, #1 resolved, with dora, with eve",
	}
	if diff := cmp.Diff(want, s.got); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
}

func TestPeopleCannotDoWhatPagerDutyDoesNotOffer(t *testing.T) {
	p, client, _ := startPagerDuty(t, sandbox.PagerDutyConfig{})
	if _, err := client.ManageEventWithContext(t.Context(), trigger(keyA, "one", "first", "error")); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"an incident that is not there": p.Acknowledge(2, "ben"),
		"unacknowledge":                 p.Unacknowledge(1, "ben"),
		"reopen":                        p.Reopen(1, "ben"),
		"merge into itself":             p.Merge(1, 1, "ben"),
		"merge into nothing":            p.Merge(1, 7, "ben"),
	} {
		if err == nil {
			t.Errorf("%s: possible", what)
		}
	}
	if err := p.Resolve(1, "ben"); err != nil {
		t.Error(err)
	}
	if p.Resolve(1, "ben") == nil || p.Acknowledge(1, "ben") == nil || p.Reassign(1, "ben", "ana") == nil {
		t.Error("what is resolved can be worked on")
	}
}

func TestWebhooksAreRepeatedInTheirOrderAndDroppedWhenRefused(t *testing.T) {
	p, client, _ := startPagerDuty(t, sandbox.PagerDutyConfig{WebhookRetry: time.Millisecond})
	s := &subscriber{answers: []int{503, 429, 202, 401, 202}}
	subscribe(t, p, s)
	if _, err := client.ManageEventWithContext(t.Context(), trigger(keyA, "one", "first", "error")); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{p.Acknowledge(1, "ben"), p.Resolve(1, "ben")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	sentAll(t, p)
	want := []sandbox.Webhook{
		{Type: "incident.triggered", Incident: 1, Attempts: 3, Status: 202},
		{Type: "incident.acknowledged", Incident: 1, Attempts: 1, Status: 401, Dropped: true},
		{Type: "incident.resolved", Incident: 1, Attempts: 1, Status: 202},
	}
	if diff := cmp.Diff(want, p.Webhooks()); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
	if s.ids[0] == "" || s.ids[0] != s.ids[1] || s.ids[1] != s.ids[2] || s.ids[2] == s.ids[3] {
		t.Errorf("ids %v", s.ids)
	}
}

func TestTheRESTAPITellsOfIncidents(t *testing.T) {
	clock := newClock()
	p, events, url := startPagerDuty(t, sandbox.PagerDutyConfig{APIToken: apiToken, Appears: time.Minute, OnCall: "ana",
		Now: clock.now})
	ctx := t.Context()
	client := pd.NewClient(apiToken, pd.WithAPIEndpoint(url))
	for _, key := range []string{"one", "two"} {
		if _, err := events.ManageEventWithContext(ctx, trigger(keyB, key, "first", "error")); err != nil {
			t.Fatal(err)
		}
	}
	list := func(o pd.ListIncidentsOptions) (numbers []uint) {
		t.Helper()
		found, err := client.ListIncidentsWithContext(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, inc := range found.Incidents {
			numbers = append(numbers, inc.IncidentNumber)
		}
		return numbers
	}
	if got := list(pd.ListIncidentsOptions{}); len(got) != 0 {
		t.Errorf("before they appear: %v", got)
	}
	clock.advance(time.Minute)
	if err := p.Resolve(1, "ana"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		o    pd.ListIncidentsOptions
		want []uint
	}{
		{pd.ListIncidentsOptions{}, []uint{1, 2}},
		{pd.ListIncidentsOptions{SortBy: "created_at:desc", Limit: 1}, []uint{2}},
		{pd.ListIncidentsOptions{IncidentKey: "one"}, []uint{1}},
		{pd.ListIncidentsOptions{Statuses: []string{"triggered", "acknowledged"}}, []uint{2}},
		{pd.ListIncidentsOptions{Since: clock.now().Format(time.RFC3339)}, nil},
	} {
		if diff := cmp.Diff(test.want, list(test.o)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.o, diff)
		}
	}
	inc, err := client.GetIncidentWithContext(ctx, p.Incidents()[1].ID)
	if err != nil || inc.IncidentKey != "two" || inc.Assignments[0].Assignee.Summary != "ana" || inc.HTMLURL == "" {
		t.Errorf("incident %+v, %v", inc, err)
	}
	alerts, err := client.ListIncidentAlertsWithContext(ctx, inc.ID, pd.ListIncidentAlertsOptions{})
	if err != nil || len(alerts.Alerts) != 1 || alerts.Alerts[0].AlertKey != "two" {
		t.Errorf("alerts %+v, %v", alerts, err)
	}
	service, err := client.GetServiceWithContext(ctx, inc.Service.ID,
		&pd.GetServiceOptions{Includes: []string{"integrations"}})
	if err != nil || service.Integrations[0].IntegrationKey != keyB {
		t.Errorf("service %+v, %v", service, err)
	}
	users, err := client.ListUsersWithContext(ctx, pd.ListUsersOptions{})
	if err != nil || len(users.Users) != 1 || users.Users[0].Name != "ana" {
		t.Errorf("users %+v, %v", users, err)
	}
	if _, err := client.CreateIncidentNoteWithContext(ctx, inc.ID,
		pd.IncidentNote{Content: "hello", User: pd.APIObject{Summary: "ana@example.com"}}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"hello"}, p.Incidents()[1].Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}

	_, err = client.GetIncidentWithContext(ctx, "Q9")
	refused(t, err, http.StatusNotFound)
	_, err = client.CreateIncidentNoteWithContext(ctx, inc.ID, pd.IncidentNote{Content: "hello"})
	refused(t, err, http.StatusBadRequest)
	_, err = pd.NewClient("guessed", pd.WithAPIEndpoint(url)).GetIncidentWithContext(ctx, inc.ID)
	refused(t, err, http.StatusUnauthorized)
}

func refused(t *testing.T, err error, status int) {
	t.Helper()
	if diff := cmp.Diff(pd.APIError{StatusCode: status}, err, cmpopts.IgnoreFields(pd.APIError{}, "APIError"),
		cmpopts.IgnoreUnexported(pd.APIError{})); diff != "" {
		t.Errorf("refusal (-want +got):\n%s", diff)
	}
}
