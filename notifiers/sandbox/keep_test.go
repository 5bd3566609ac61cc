package sandbox_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

func TestWhatAStandInRemembersCanBeBounded(t *testing.T) {
	s, api := startSlack(t, sandbox.SlackConfig{Channels: []string{"#ops"}, NoLimits: true, Keep: 5})
	var root string
	for i := range 20 {
		opts := []slack.MsgOption{slack.MsgOptionText(fmt.Sprint("message ", i), false)}
		if i%4 != 0 {
			opts = append(opts, slack.MsgOptionTS(root))
		}
		_, ts, err := api.PostMessageContext(t.Context(), "#ops", opts...)
		if err != nil {
			t.Fatal(err)
		}
		if i%4 == 0 {
			root = ts
		}
	}
	var kept []string
	for _, m := range s.Messages("#ops") {
		kept = append(kept, m.Text)
	}
	if got, want := strings.Join(kept, ", "), "message 16, message 17, message 18, message 19"; got != want {
		t.Errorf("the channel holds %s, want the newest thread, whole: %s", got, want)
	}
	if calls := s.Calls(); len(calls) != 5 || calls[4].Status != http.StatusOK {
		t.Errorf("%d calls, want the newest 5: %+v", len(calls), calls)
	}

	const key = router.Secret("0123456789abcdef0123456789abcdef")
	pager := sandbox.NewPagerDuty(sandbox.PagerDutyConfig{RoutingKeys: []router.Secret{key}, Calls: -1, Keep: 3})
	server := httptest.NewServer(pager)
	defer server.Close()
	for i := range 7 {
		body := fmt.Sprintf(
			`{"routing_key":"%s","event_action":"trigger","dedup_key":"k%d","payload":{"summary":"s%d","source":"x","severity":"info"}}`, key.Reveal(), i, i)
		resp, err := http.Post(server.URL+"/v2/enqueue", "application/json", strings.NewReader(body))
		if err != nil || resp.StatusCode != http.StatusAccepted {
			t.Fatal(resp, err)
		}
		resp.Body.Close()
	}
	incidents := pager.Incidents()
	if len(incidents) != 3 || incidents[0].Number != 5 || incidents[2].Number != 7 || incidents[2].ID != "Q0000007" {
		t.Errorf("PagerDuty holds %+v, want #5 to #7", incidents)
	}
	if pager.Acknowledge(7, "ana") != nil || pager.Acknowledge(4, "ana") == nil {
		t.Error("incidents are not found by their number")
	}
}

func TestAFaultEndsByTheClock(t *testing.T) {
	clock := newClock()
	s, api := startSlack(t, sandbox.SlackConfig{Channels: []string{"#ops"}, NoLimits: true, Now: clock.now})
	s.Fail(sandbox.Fault{OKFalse: "internal_error", Until: clock.now().Add(time.Minute)})
	if _, _, err := api.PostMessageContext(t.Context(), "#ops", slack.MsgOptionText("x", false)); err == nil ||
		len(s.Faults()) != 1 {
		t.Errorf("Slack does not fail (%v), and says that it does in %d ways", err, len(s.Faults()))
	}
	clock.advance(time.Minute)
	if _, _, err := api.PostMessageContext(t.Context(), "#ops", slack.MsgOptionText("x", false)); err != nil ||
		len(s.Faults()) != 0 {
		t.Errorf("Slack still fails: %v, in %d ways", err, len(s.Faults()))
	}
}
