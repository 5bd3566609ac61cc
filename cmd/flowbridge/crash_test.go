package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	databases "flowbridge/router/store/storetest"
)

const crashRules = `version: 1
notifiers:
  chat: {kind: slack, channel: "#ops"}
  page: {kind: pagerduty, routing_key: "${PD_KEY}"}
rules:
  - name: everything
    match: {field: flows}
    notify: [chat, page]
`

func writeRules(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// lately is when the stories of tests begin, in Unix seconds: what is old opens nothing, and what is dated in the
// future is taken as of now.
var lately = time.Now().Add(-time.Hour).Unix()

// pairPost is a post of Meta's about one threshold of a flow's endpoint error rate.
func pairPost(unix int64, flow, state string, threshold float64) string {
	return postOf(pairEntry(unix, flow, state, threshold))
}

func pairEntry(unix int64, flow, state string, threshold float64) string {
	return fmt.Sprintf(
		`{"id":"501","time":%d,"changes":[{"field":"flows","value":{"event":"ENDPOINT_ERROR_RATE","flow_id":%q,"error_rate":%g,"threshold":%g,"alert_state":%q}}]}`,
		unix, flow, threshold+1, threshold, state)
}

func postOf(entries ...string) string {
	return `{"object":"whatsapp_business_account","entry":[` + strings.Join(entries, ",") + `]}`
}

// TestKilledBetweenAnswerAndDelivery kills the bridge after it answered 200 and before either service could
// be told. After the next start both are, once.
func TestKilledBetweenAnswerAndDelivery(t *testing.T) {
	t.Parallel()
	s := newServices(t, "#ops")
	rules, db := writeRules(t, crashRules), databases.File(t)
	s.Slack.Fail(sandbox.Fault{Method: "chat.postMessage", Times: 100, Status: http.StatusServiceUnavailable})
	s.PagerDuty.Fail(sandbox.Fault{Times: 100, Status: http.StatusServiceUnavailable})

	p := start(t, s, rules, db)
	p.post(t, pairPost(lately, "77", "ACTIVATED", 50), http.StatusOK)
	p.kill()

	if n := len(s.Slack.Messages("#ops")); n != 0 {
		t.Fatalf("Slack was told %d times before the crash", n)
	}
	s.Slack.ClearFaults()
	s.PagerDuty.ClearFaults()
	start(t, s, rules, db)
	eventually(t, "both services are told", func() bool {
		return len(rootsOf(s.Slack)) == 1 && len(s.PagerDuty.Incidents()) == 1
	})
	if got := s.PagerDuty.Incidents()[0].Status; got != "triggered" {
		t.Errorf("PagerDuty's incident is %s, want triggered", got)
	}
}

// TestKilledWhileAServiceHangs kills the bridge while PagerDuty has accepted a trigger and not answered yet, and
// the alert recovers before anybody could have learned that. The incident must not be stranded.
func TestKilledWhileAServiceHangs(t *testing.T) {
	t.Parallel()
	s := newServices(t, "#ops")
	rules, db := writeRules(t, crashRules), databases.File(t)
	s.PagerDuty.Fail(sandbox.Fault{Times: 1, Hang: true, AfterAccept: true})

	p := start(t, s, rules, db)
	p.post(t, pairPost(lately, "77", "ACTIVATED", 50), http.StatusOK)
	eventually(t, "PagerDuty has accepted the trigger", func() bool { return len(s.PagerDuty.Incidents()) == 1 })
	p.post(t, pairPost(lately+60, "77", "DEACTIVATED", 50), http.StatusOK)
	p.kill()

	s.PagerDuty.ClearFaults()
	start(t, s, rules, db)
	eventually(t, "PagerDuty's incident is resolved",
		func() bool { return s.PagerDuty.Incidents()[0].Status == "resolved" })
	if n := len(s.PagerDuty.Incidents()); n != 1 {
		t.Errorf("PagerDuty has %d incidents, want 1", n)
	}
}

// TestSecretsStayInside runs a whole life with refusals and looks for secrets in all that people may read.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	s := newServices(t, "#ops")
	s.env = append(s.env, "PD_KEY=ffffffffffffffffffffffffffffffff") // a key that PagerDuty does not know
	rules, db := writeRules(t, crashRules), databases.File(t)
	p := start(t, s, rules, db)
	p.post(t, pairPost(lately, "77", "ACTIVATED", 50), http.StatusOK)
	var parked struct{ Deliveries []struct{ Last_error string } }
	eventually(t, "the delivery is parked", func() bool {
		p.get(t, "/api/v1/deliveries?state=parked", &parked)
		return len(parked.Deliveries) == 1
	})
	if !strings.Contains(parked.Deliveries[0].Last_error, "PagerDuty") {
		t.Errorf("the parked delivery says %q", parked.Deliveries[0].Last_error)
	}
	var incident any
	p.get(t, "/api/v1/incidents/1", &incident)
	pages := fmt.Sprint(incident, parked, getText(t, p.Admin+"/metrics"), getText(t, p.Admin+"/api/v1/events"))
	if err := p.stop(t); err != nil {
		t.Errorf("a clean stop: %v", err)
	}
	for _, secret := range []string{testSecret, testSlackToken, "ffffffffffffffffffffffffffffffff",
		"verify-token-of-the-test"} {
		if strings.Contains(p.stderr.String(), secret) {
			t.Error("a secret is in the log")
		}
		if strings.Contains(pages, secret) {
			t.Error("a secret is in what the admin address answers")
		}
	}
}
