package pagerduty_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"flowbridge/notifiers/pagerduty"
	"flowbridge/notifiers/sandbox"
	"flowbridge/notifiers/sandbox/sandboxtest"
	"flowbridge/router"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestWhatPagerDutyIsSent holds every request of a Sync as it goes over the wire, with the key struck out. The
// stand-in refuses what the real PagerDuty refuses.
func TestWhatPagerDutyIsSent(t *testing.T) {
	t.Parallel()
	told := router.Receipt{Own: dedup(incident42), Open: true, Told: 3, Severity: router.Error}
	tests := map[string]func() router.Notification{
		"opened": func() router.Notification {
			n := failing()
			n.Alerts, n.Severity, n.Incident.Path = n.Alerts[1:], router.Error, []router.Level{"10"}
			return n
		},
		"escalated": func() router.Notification {
			n := failing()
			n.Receipt = told
			n.Related = []router.Related{
				{Notifier: "payments-chat", Kind: router.KindSlack, Link: "https://example.slack.com/archives/C0PAY/p1"},
				{Notifier: "other-oncall", Kind: router.KindPagerDuty, Link: "https://example.pagerduty.com/incidents/Q1"},
			}
			n.Problems = []router.Problem{{Notifier: "ops-chat", Error: "Slack refused: channel_not_found (invite the bot)"}}
			n.Also = []router.Alert{
				{Event: router.FlowStatusChange, Level: router.Throttled, Active: true, Since: opened.Add(time.Minute),
					Incident: 43},
				{Event: router.EndpointAvailability, Level: "90", Active: true, Since: opened, Incident: 44},
			}
			n.Incident.Fields = []router.Field{{Name: "region", Value: "south"}}
			n.Incident.Title, n.Incident.Text = "Payments are failing", "Look at the gateway first.\nThen at the queue."
			return n
		},
		"refreshed after the worst": func() router.Notification {
			n := failing()
			n.Receipt = told
			eased := 12.0
			n.Alerts[0].Active, n.Alerts[0].Until, n.Alerts[0].Value = false, opened.Add(20*time.Minute), &eased
			return n
		},
		"recovery held back": func() router.Notification {
			n := failing()
			n.Receipt, n.Incident.Flaps = told, 2
			gone := 0.4
			for i := range n.Alerts {
				n.Alerts[i].Before, n.Alerts[i].Value = n.Alerts[i].Value, &gone
				n.Alerts[i].Active, n.Alerts[i].Until, n.Alerts[i].HeldUntil = false, opened.Add(20*time.Minute),
					opened.Add(30*time.Minute)
			}
			return n
		},
		"acknowledged": func() router.Notification {
			n := acknowledge(failing())
			n.Receipt = told
			return n
		},
		"resolved": func() router.Notification {
			n := closed(failing())
			n.Receipt = told
			return n
		},
		"blocked": func() router.Notification {
			n := failing()
			n.Incident.Event, n.Incident.Path = router.FlowStatusChange, []router.Level{router.Throttled, router.Blocked}
			n.Alerts = []router.Alert{
				{Event: router.FlowStatusChange, Level: router.Blocked, Active: true, Since: opened, Raised: opened},
				{Event: router.FlowStatusChange, Level: router.Throttled, Active: true, Since: opened, Raised: opened},
			}
			n.Link = ""
			return n
		},
		"slow": func() router.Notification {
			n := failing()
			p90, p50, requests := 7200.0, 850.0, 34.0
			n.Incident.Event, n.Incident.Path, n.Incident.FlowInfo = router.EndpointLatency, []router.Level{"7000"},
				router.FlowInfo{}
			n.Alerts = []router.Alert{{Event: router.EndpointLatency, Level: "7000", Active: true, Since: opened, Raised: opened,
				Reading: router.Reading{Value: &p90, P50: &p50, Requests: &requests}}}
			return n
		},
		"recovery of what nobody knows": func() router.Notification {
			n := recovered(notice(router.EndpointErrorRate, router.Critical))
			n.Notice.Recovery, n.Key = incident42, incident42
			return n
		},
		"published": func() router.Notification {
			n := statusNotice(router.Info, router.Draft, router.Published)
			n.Notice.Message = "Flow Checkout changed status from DRAFT to PUBLISHED"
			return n
		},
		"version expires": func() router.Notification {
			n := notice(router.FlowVersionExpiryWarning, router.Warning)
			n.Notice.Warning = "The version of this flow will expire soon."
			n.Notice.Runbook = "https://runbooks.example.com/versions"
			return n
		},
		"unknown event that pages": func() router.Notification {
			n := notice("FLOW_ON_FIRE", router.Critical)
			threshold, value := 3.0, 4.5
			n.Notice.Threshold, n.Notice.Value = &threshold, &value
			n.Notice.Fields = []router.Field{{Name: "where", Value: "the kitchen"}}
			return n
		},
		"news of an account": func() router.Notification {
			n := notice("MESSAGE_TEMPLATE_STATUS_UPDATE", router.Info)
			n.Notice.Flow, n.Notice.FlowInfo = "", router.FlowInfo{}
			return n
		},
		"parked delivery": func() router.Notification {
			n := notice(router.ParkedDelivery, router.Error)
			n.Notice.Act = &router.Act{Incident: 42, Notifier: "payments-chat",
				Error: "Slack refused: not_in_channel (invite the bot)"}
			return n
		},
		"hostile flow": func() router.Notification {
			n := failing()
			const hostile = "<!channel> \x1b[31m\u202eevil\u2028\"},{\"x\":\"*_`\xff & <script>"
			n.Incident.FlowName, n.Incident.Runbook = hostile, "javascript:alert(1)"
			n.Incident.Labels = map[string]string{"team": "a\nb", hostile: hostile}
			n.Incident.Fields = []router.Field{{Name: hostile, Value: hostile}}
			n.Alerts[0].Errors = []router.ErrorCount{{Type: hostile}}
			n.Problems = []router.Problem{{Notifier: "x", Error: hostile}}
			return n
		},
		"over 512 KB": func() router.Notification {
			n := failing()
			n.Incident.Fields = fields(200)
			return n
		},
		"over 512 KB of news": func() router.Notification {
			n := notice("FLOW_ON_FIRE", router.Info)
			n.Notice.Fields = fields(200)
			return n
		},
	}
	for name, build := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
			b.sync(t, build())
			var got bytes.Buffer
			for _, r := range b.sent {
				fmt.Fprintf(&got, "POST %s\n", r.path)
				if err := json.Indent(&got, bytes.ReplaceAll(r.body, []byte(routingKey), []byte("KEY")), "", "  "); err != nil {
					t.Fatal(err)
				}
				got.WriteByte('\n')
			}
			golden := filepath.Join("testdata", strings.ReplaceAll(name, " ", "-")+".json")
			sandboxtest.Golden(t, golden, got.String(), *update)
		})
	}
}

// long makes everything as long as it gets, with so many fields.
func long(n router.Notification, count int) router.Notification {
	huge := strings.Repeat("<世界>", 1000)
	inc := n.Incident
	inc.Title, inc.Text, inc.Rule, inc.Event, inc.WABA, inc.Flow, inc.FlowName = huge, huge, huge, huge, huge, huge, huge
	inc.Labels = map[string]string{"team": huge, huge: huge}
	inc.Runbook, n.Link = "https://example.com/"+huge, "https://example.com/"+strings.Repeat("x", 2000)
	inc.Key = strings.Repeat("k", 245)
	n.Key = inc.Key + "/critical"
	inc.Fields = fields(count)
	for range 100 {
		inc.Path = append(inc.Path, router.Level(huge))
		n.Also = append(n.Also, n.Alerts[0])
		n.Problems = append(n.Problems, router.Problem{Notifier: huge, Error: huge})
		n.Related = append(n.Related, router.Related{Notifier: huge, Kind: router.KindSlack, Link: n.Link})
	}
	return n
}

func fields(count int) (out []router.Field) {
	for i := range count {
		out = append(out, router.Field{Name: fmt.Sprint("field ", i), Value: strings.Repeat("<世界>", 1000)})
	}
	return out
}

func TestTheLongestEventFits(t *testing.T) {
	t.Parallel()
	for _, count := range []int{0, 200} {
		b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
		n := long(failing(), count)
		if count == 0 {
			n.Problems = n.Problems[:10]
		}
		b.sync(t, n)
		inc := b.Incidents()[0]
		for name, got := range map[string][2]int{
			"summary":   {utf8.RuneCountInString(inc.Summary), 1024},
			"source":    {utf8.RuneCountInString(inc.Source), 255},
			"component": {utf8.RuneCountInString(inc.Component), 255},
			"group":     {utf8.RuneCountInString(inc.Group), 255},
			"class":     {utf8.RuneCountInString(inc.Class), 255},
			"links":     {len(inc.Links), 12}, // without the runbook, whose URL nobody could follow
		} {
			if got[0] != got[1] {
				t.Errorf("%s has %d, want %d", name, got[0], got[1])
			}
		}
		if _, dropped := inc.Details["left_out"]; dropped != (count > 0) {
			t.Errorf("with %d fields the details are dropped: %v (%d bytes)", count, dropped, len(b.sent[0].body))
		}
		if size := len(b.sent[0].body); size > 512_000 {
			t.Errorf("the body has %d bytes", size)
		}
	}
}

// TestASummaryNamesWhatItsSeverityIs: what the notifier is not to be told of yet, under a silence or since its time has
// not come, is no part of either.
func TestASummaryNamesWhatItsSeverityIs(t *testing.T) {
	t.Parallel()
	for severity, want := range map[router.Severity]string{
		router.Critical: "Critical: Checkout endpoint error rate reached 57 %, over 50 % (INC-42)",
		router.Error:    "Error: Checkout endpoint error rate reached 57 %, over 10 % (INC-42)",
	} {
		b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
		n := failing()
		value := 57.0
		n.Severity = severity
		n.Alerts = []router.Alert{
			{Event: router.EndpointErrorRate, Level: "50", Active: true, Severity: router.Critical, Since: opened,
				Raised: opened, Reading: router.Reading{Value: &value}},
			{Event: router.EndpointErrorRate, Level: "10", Active: true, Severity: router.Error, Since: opened,
				Raised: opened},
		}
		b.sync(t, n)
		if got := b.Incidents()[0].Summary; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTheNumberIsNeverCutOffASummary(t *testing.T) {
	t.Parallel()
	b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
	n := failing()
	n.Incident.FlowName = strings.Repeat("LONG ", 1000)
	n.Alerts[0].Event = strings.Repeat("LONG_", 1000)
	b.sync(t, n)
	if got := b.Incidents()[0].Summary; utf8.RuneCountInString(got) != 1024 || !strings.HasSuffix(got, "… (INC-42)") {
		t.Errorf("summary of %d characters: %s", utf8.RuneCountInString(got), got)
	}
}
