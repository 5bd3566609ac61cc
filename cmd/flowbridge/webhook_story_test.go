package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	databases "flowbridge/router/store/storetest"
)

const (
	testHookSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	webhookRules   = `version: 1
flows: {"77": {name: Checkout}}
notifiers:
  desk: {kind: webhook, url: "${HOOK_URL}", secret: "${HOOK_SECRET}"}
rules:
  - name: everything
    match: {field: flows}
    notify: [desk]
`
)

// TestAWebhookIsToldFromTheOpeningToTheEnd runs the bridge with a receiver of webhooks that verifies what it gets,
// loses an answer, and is away for a while.
func TestAWebhookIsToldFromTheOpeningToTheEnd(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	receiver := sandbox.NewWebhookReceiver(sandbox.WebhookConfig{Secret: testHookSecret})
	server := httptest.NewServer(receiver)
	t.Cleanup(func() {
		receiver.ClearFaults()
		server.Close()
	})
	s := newServices(t, "#ops")
	s.env = append(s.env, "HOOK_URL="+server.URL+"/hooks?token=hunter2-in-the-url", "HOOK_SECRET="+testHookSecret,
		"FLOWBRIDGE_LOG_LEVEL=debug")
	p := start(t, s, writeRules(t, webhookRules), databases.File(t))
	base := time.Now().Add(-time.Hour).Unix()
	told := func(want ...string) {
		t.Helper()
		eventually(t, "the receiver is told "+strings.Join(want, ", "), func() bool {
			var got []string
			for _, m := range receiver.Messages() {
				got = append(got, m.Type)
			}
			return slices.Equal(got, want)
		})
	}
	page := func(path string) string {
		t.Helper()
		resp, err := http.Get(p.Admin + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	act := func(what string) {
		t.Helper()
		resp, err := http.Post(fmt.Sprintf("%s/api/v1/incidents/1/%s", p.Admin, what), "application/json",
			strings.NewReader(`{"by":"ana"}`))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			t.Fatalf("%s answered %d", what, resp.StatusCode)
		}
	}

	receiver.Fail(sandbox.Fault{EOF: true, AfterAccept: true, Times: 1}) // it has the message, and nobody knows
	p.post(t, pairPost(base, "77", "ACTIVATED", 10), http.StatusOK)
	told("incident.opened")
	eventually(t, "the lost answer is repeated under the same id",
		func() bool { return receiver.Messages()[0].Repeats == 1 })

	receiver.Fail(sandbox.Fault{Status: http.StatusServiceUnavailable, Times: 2})
	p.post(t, pairPost(base+60, "77", "ACTIVATED", 50), http.StatusOK)
	told("incident.opened", "incident.updated")
	act("acknowledge")
	told("incident.opened", "incident.updated", "incident.acknowledged")
	p.post(t, pairPost(base+120, "77", "DEACTIVATED", 5), http.StatusOK)
	told("incident.opened", "incident.updated", "incident.acknowledged", "incident.resolved")

	var last struct {
		Data struct {
			Notifier string
			Incident struct {
				Name, State    string
				FlowName       string `json:"flow_name"`
				AcknowledgedBy string `json:"acknowledged_by"`
				ResolvedAt     string `json:"resolved_at"`
			}
		}
	}
	messages := receiver.Messages()
	if err := json.Unmarshal(messages[3].Body, &last); err != nil {
		t.Fatal(err)
	}
	if inc := last.Data.Incident; last.Data.Notifier != "desk" || inc.Name != "INC-1" || inc.State != "resolved" ||
		inc.FlowName != "Checkout" || !strings.Contains(inc.AcknowledgedBy, "ana") || inc.ResolvedAt == "" {
		t.Errorf("the end says %s", messages[3].Body)
	}

	// A receiver that wants no more: a person has to act.
	receiver.Fail(sandbox.Fault{Status: http.StatusGone})
	p.post(t, pairPost(base+180, "77", "ACTIVATED", 10), http.StatusOK)
	eventually(t, "what it refuses is parked", func() bool {
		return strings.Contains(page("/api/v1/deliveries?state=parked"), "the webhook receiver refused: 410 Gone")
	})
	var pages string
	for _, path := range []string{"/api/v1/incidents?state=open", "/api/v1/deliveries", "/api/v1/events", "/api/v1/audit",
		"/metrics"} {
		pages += page(path)
	}
	sandbox.AssertNoSecret(t, []string{testHookSecret, strings.TrimPrefix(testHookSecret, "whsec_"), "hunter2"},
		p.stderr.String(), pages)
}
