package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
	databases "flowbridge/router/store/storetest"
)

const (
	testWebhookSecret = "webhook-secret-of-the-test"
	testPagerToken    = "pagerduty-token-of-the-test"
	otherRoutingKey   = "fedcba9876543210fedcba9876543210"
)

const backRules = `version: 1
flows: {"77": {name: Checkout, runbook: "https://runbooks.example.com/checkout"}}
notifiers:
  chat: {kind: slack, channel: "#ops"}
  page: {kind: pagerduty, routing_key: "${PD_KEY}"}
rules:
  - name: everything
    match: {field: flows}
    on_escalation: page
    notify: [chat, page]
`

// pager is a bridge with a PagerDuty that tells it what people do.
type pager struct {
	*services
	*process
	t     *testing.T
	rules string // path
	base  time.Time
}

// newPager starts both. The bridge knows the webhook secret and, where token is set, the REST API.
func newPager(t *testing.T, rules string, cfg sandbox.PagerDutyConfig, token string) *pager {
	t.Helper()
	t.Parallel() // stories mostly wait
	// Slack's limits are told elsewhere. Without them whatever is done reaches the other side at once.
	s := startServices(t, sandbox.SlackConfig{Token: testSlackToken, Channels: []string{"#ops"}, NoLimits: true},
		sandbox.PagerDutyConfig{})
	s.env = append(s.env, "FLOWBRIDGE_UNBUDGETED=true")
	cfg.RoutingKeys = []router.Secret{testRoutingKey, otherRoutingKey}
	cfg.APIToken, cfg.WebhookRetry = testPagerToken, 50*time.Millisecond
	s.PagerDuty = sandbox.NewPagerDuty(cfg)
	server := httptest.NewServer(s.PagerDuty)
	t.Cleanup(func() {
		s.PagerDuty.ClearFaults()
		server.CloseClientConnections()
		server.Close()
	})
	s.env = append(s.env, "PAGERDUTY_EVENTS_URL="+server.URL, "PAGERDUTY_API_URL="+server.URL, "PAGERDUTY_API_TOKEN="+
		token, "PAGERDUTY_FROM=flowbridge@example.com",
		"PAGERDUTY_WEBHOOK_SECRET=secret-of-before,"+testWebhookSecret,
		"FLOWBRIDGE_PUBLIC_URL=https://flowbridge.example.com", "PD_OTHER="+otherRoutingKey)
	p := &pager{services: s, t: t, rules: writeRules(t, rules), base: time.Now().Add(-time.Hour).Truncate(time.Second)}
	p.process = start(t, s, p.rules, databases.File(t))
	s.PagerDuty.Subscribe(p.Public+"/webhooks/pagerduty", testWebhookSecret)
	ctx, stop := context.WithCancel(context.Background())
	var sending sync.WaitGroup
	sending.Go(func() { s.PagerDuty.SendWebhooks(ctx) })
	t.Cleanup(func() {
		stop()
		sending.Wait()
	})
	return p
}

// meta posts what Meta says of a flow so many minutes into the story.
func (p *pager) meta(minute int64, flow, state string, threshold float64) {
	p.t.Helper()
	p.post(p.t, pairPost(p.base.Unix()+60*minute, flow, state, threshold), http.StatusOK)
}

// until waits, and fails the story with what can be seen if that is in vain.
func (p *pager) until(what string, ok func() bool) {
	p.t.Helper()
	eventually(p.t, what, ok)
}

// do has a person do something in PagerDuty, which must be possible.
func (p *pager) do(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// person acts through the admin API.
func (p *pager) person(incident int, act string) {
	p.t.Helper()
	if status := p.ask(incident, act); status/100 != 2 {
		p.t.Fatalf("%s answered %d", act, status)
	}
}

// ask acts through the admin API, and returns how that answers.
func (p *pager) ask(incident int, act string) (status int) {
	p.t.Helper()
	resp, err := http.Post(fmt.Sprintf("%s/api/v1/incidents/%d/%s", p.Admin, incident, act), "application/json",
		strings.NewReader(`{"by":"ana"}`))
	if err != nil {
		p.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// card returns a root message of the channel, counted from 0, with its thread; nothing if there is no such one.
func (p *pager) card(n int) (root sandbox.Message, thread string) {
	var lines []string
	roots := 0
	for _, m := range p.Slack.Messages("#ops") {
		switch {
		case m.ThreadTS == "":
			if roots == n {
				root = m
			}
			roots++
		case m.ThreadTS == root.TS:
			lines = append(lines, m.Text)
		}
	}
	return root, strings.Join(lines, "\n")
}

// shows says whether a card has all words in its text or its blocks, or its thread has them.
func (p *pager) shows(n int, words ...string) bool {
	root, thread := p.card(n)
	all := root.Text + string(root.Blocks) + string(root.Attachments) + thread
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(all, w) })
}

// page returns an incident of PagerDuty by its number; the zero one if there is none.
func (p *pager) page(number int) sandbox.Incident {
	if all := p.PagerDuty.Incidents(); number <= len(all) {
		return all[number-1]
	}
	return sandbox.Incident{}
}

// seen returns state, severity and timeline of an incident of ours.
func (p *pager) seen(number int) (state string, timeline []string) {
	var inc struct {
		State    string
		Timeline []struct{ Kind, Text string }
	}
	p.get(p.t, fmt.Sprintf("/api/v1/incidents/%d", number), &inc)
	for _, e := range inc.Timeline {
		timeline = append(timeline, e.Kind)
	}
	return inc.State, timeline
}

// rest waits until nothing is under way: all webhooks are answered, everything is folded and delivered.
func (p *pager) rest() {
	p.t.Helper()
	p.until("everything is told", func() bool {
		return p.PagerDuty.Unsent() == 0 && p.toCome(p.t) == 0 && p.PagerDuty.Unsent() == 0
	})
}

// cards returns the texts of all root messages.
func (p *pager) cards() string {
	var out []string
	for _, m := range p.Slack.Messages("#ops") {
		if m.ThreadTS == "" {
			out = append(out, m.Text)
		}
	}
	return strings.Join(out, "\n")
}
