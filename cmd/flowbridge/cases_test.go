package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"flowbridge/notifiers/pagerduty"
	"flowbridge/notifiers/sandbox"
	"flowbridge/notifiers/sandbox/sandboxtest"
	"flowbridge/notifiers/slack"
	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/rules/stories"
	"flowbridge/router/whatsapp"
)

// caseRules tell a channel and a pager of everything, and of forms that ask for something.
const caseRules = `
version: 1
flows:
  "410022000000003": {name: Sign-up, team: growth}
notifiers:
  chat: {kind: slack, channel: "#chat"}
  oncall: {kind: pagerduty, routing_key: "${KEY}"}
rules:
  - name: forms
    match: {event: FLOW_RESPONSE, when: value.response.topic != nil}
    fields: [topic, preferred_time]
    notify: [chat]
default: {notify: [chat, oncall]}
`

// healthCase is a post of Meta's in testdata/cases, and what must be read of it at a glance.
type healthCase struct {
	name  string
	after []string // posts that came before
	says  []string // what card and page must say
	never []string // what nobody may see
}

var healthCases = []healthCase{
	{name: "a01-ban-scheduled", says: []string{"Error: account 310022000000041 will be disabled", "9 April 2026"}},
	{name: "a02-ban-disabled", says: []string{"Critical: account 310022000000041 is disabled"}},
	{name: "a03-ban-reinstated", after: []string{"a01-ban-scheduled", "a02-ban-disabled"},
		says: []string{"Resolved: account 310022000000041"}},
	{name: "a04-restriction",
		says: []string{"account 310022000000041 cannot start conversations", "7 April 2026", "Look at your templates again"}},
	{name: "a07-offboarded", says: []string{"Critical: account 310022000000041 is offboarded"}},
	{name: "a08-reconnected", after: []string{"a07-offboarded"}, says: []string{"Resolved: account 310022000000041"}},
	{name: "a09-app-uninstalled",
		says: []string{"Error: account 310022000000099: app uninstalled", "nothing more will arrive"}},
	{name: "a12-pricing-tier", says: []string{"10,000,001 to 25,000,000"}},
	{name: "b01-alert-warning-active", says: []string{"Warning: business 910022000000004", "cannot raise your limits"}},
	{name: "b03-alert-none", after: []string{"b01-alert-warning-active"},
		says: []string{"Resolved: business 910022000000004"}},
	{name: "c01-phone-flagged", says: []string{"Error: number +15550190002 is flagged for low quality", "10,000 a day"}},
	{name: "c02-phone-unflagged", after: []string{"c01-phone-flagged"}, says: []string{"Resolved: number +15550190002"}},
	{name: "c04-phone-throughput-upgrade", says: []string{"number +15550190002: higher throughput", "unlimited"}},
	{name: "d01-template-paused", says: []string{"Warning: template parcel_on_its_way (en_GB) is paused", "until Apr 1"}},
	{name: "d02-template-unpaused", after: []string{"d01-template-paused"},
		says: []string{"Resolved: template parcel_on_its_way (en_GB)"}},
	{name: "d03-template-rejected",
		says: []string{"Warning: template spring_sale (en_GB) is rejected", "Two variables", "Write some words"}},
	{name: "d07-template-quality-red", says: []string{"Warning: template hello_again (nl): low quality", "Yellow"}},
	{name: "d08-template-quality-green", after: []string{"d07-template-quality-red"},
		says: []string{"Resolved: template hello_again (nl)"}},
	{name: "d09-template-category-impending",
		says: []string{"Warning: template receipt (de) becomes marketing", "3 April 2026"}},
	{name: "e01-security-pin-reset",
		says: []string{"Critical: number +15550190002: two-step verification is to be switched off"}},
	{name: "e03-review-rejected",
		says: []string{"Critical: account 310022000000041 is rejected", "cannot be used with the API"}},
	{name: "e05-payment-config", says: []string{"Warning: payment configuration web-shop needs testing"}},
	{name: "f01-mixed-template-quality", says: []string{"number +52 is flagged for low quality"}},
	{name: "f02-flow-alert-no-message"},
	{name: "f07-draft-created-freeze", says: []string{"Warning: flow 410022000000002", "will freeze in 14 days"}},
	{name: "f08-ms-time", says: []string{"Error: Sign-up: Client error rate over 10 %"}},
	{name: "n01-nfm-plain",
		says: []string{"a broken cup", "mornings"}, never: []string{"noor", "Noor", "tok-1", "31655500001"}},
	{name: "n04-nfm-array", says: []string{"no rule tells anybody"}},
	{name: "p01-smb-echo", says: []string{"nobody is told"}},
	{name: "p02-history", says: []string{"nobody is told"}},
	{name: "p05-calls", says: []string{"nobody is told"}},
	{name: "p06-message-echoes", says: []string{"nobody is told"}},
	{name: "w03-user-object", says: []string{"nobody is told"}},
	{name: "w04-page-object", says: []string{"nobody is told"}},
}

// TestWhatPeopleSeeOfEveryCase plays Meta's posts about accounts, numbers, templates and flows through decoder,
// rules and fold, and holds the card and the page of each. Slack's stand-in takes the card, with Slack's limits. A
// new case is a post in testdata/cases, a row above, and a run with -update.
func TestWhatPeopleSeeOfEveryCase(t *testing.T) {
	t.Parallel()
	key := func(string) (string, bool) { return strings.Repeat("0", 32), true }
	loaded, err := rules.Load("rules.yaml", []byte(caseRules), rules.Config{Env: key})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range healthCases {
		t.Run(c.name, func(t *testing.T) {
			trial := stories.NewTrial(loaded)
			for _, before := range c.after {
				for _, e := range caseEvents(t, loaded, before) {
					trial.Fold(e)
				}
			}
			var got strings.Builder
			for _, e := range caseEvents(t, loaded, c.name) {
				told, outcome := trial.Fold(e)
				fmt.Fprintf(&got, "%s: %s\n", e.Name, outcome)
				for _, one := range told {
					showTelling(t, &got, loaded, trial, &e, one)
				}
			}
			if got.Len() == 0 {
				got.WriteString("no event: nobody is told\n")
			}
			sandboxtest.Golden(t, filepath.Join("testdata", "cases", c.name+".golden"), got.String(), *update)
			for _, want := range c.says {
				if !strings.Contains(strings.Join(strings.Fields(got.String()), " "), want) {
					t.Errorf("nothing says %q", want)
				}
			}
			for _, banned := range c.never {
				if strings.Contains(got.String(), banned) {
					t.Errorf("%q can be seen", banned)
				}
			}
		})
	}
	files, err := filepath.Glob("testdata/cases/*.json")
	if err != nil || len(files) != len(healthCases) {
		t.Errorf("%d posts, and rows for %d (%v)", len(files), len(healthCases), err)
	}
}

// caseEvents decodes a post as the bridge does, a minute after it was sent.
func caseEvents(t *testing.T, loaded *rules.Rules, name string) []router.Event {
	t.Helper()
	post, err := os.ReadFile(filepath.Join("testdata", "cases", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 4, 1, 3, 0, 0, 0, time.UTC)
	events, _ := whatsapp.Decode(post, now, loaded.WantsField)
	return slices.DeleteFunc(events, func(e router.Event) bool { return router.IsPersonal(e.Name) && !loaded.Wants(&e) })
}

// showTelling draws what one notifier's service gets.
func showTelling(t *testing.T, out *strings.Builder, loaded *rules.Rules, trial *stories.Trial, e *router.Event,
	one stories.Telling) {
	t.Helper()
	x := explainer{rules: loaded}
	n := x.notification(trial, e, one)
	fmt.Fprintf(out, "\n-- %s: %s --\n", one.Notifier, one.Words())
	if n.Target.Kind.Pages() {
		_, event, err := pagerduty.Preview(n)
		var pretty bytes.Buffer
		if err == nil {
			err = json.Indent(&pretty, event, "", "  ")
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(out, pretty.String())
		return
	}
	card, err := slack.Card(n)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(out, picture(t, card))
}

// picture posts a card to Slack's stand-in and draws the channel: what a phone shows first.
func picture(t *testing.T, card []byte) string {
	t.Helper()
	var message map[string]json.RawMessage
	var said string
	if err := json.Unmarshal(card, &message); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(message["text"], &said); err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return time.Unix(1775012400, 0).UTC() }
	service := sandbox.NewSlack(sandbox.SlackConfig{Channels: []string{"#chat"}, Now: now})
	server := httptest.NewServer(service)
	defer server.Close()
	form := url.Values{"token": {"xoxb-sandbox"}, "channel": {"#chat"}, "text": {said},
		"blocks": {string(message["blocks"])}, "attachments": {string(message["attachments"])}}
	for name := range form {
		if form.Get(name) == "" {
			form.Del(name)
		}
	}
	resp, err := server.Client().PostForm(server.URL+"/api/chat.postMessage", form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		OK    bool
		Error string
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || !answer.OK {
		t.Fatalf("Slack's stand-in refuses the card: %s (%v)", answer.Error, err)
	}
	return said + "\n\n" + service.Render("#chat", sandbox.RenderOptions{Width: 100})
}
