package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/notifiers/sandbox"
	databases "flowbridge/router/store/storetest"
)

func TestAnAcknowledgementInPagerDutyIsSeenInSlack(t *testing.T) {
	p := newPager(t, backRules, sandbox.PagerDutyConfig{OnCall: "ben"}, "")
	p.meta(0, "77", "ACTIVATED", 10)
	p.until("the card names PagerDuty's incident, and who has it", func() bool {
		return p.shows(0, "page's page is PagerDuty #1", `*Owner*\nben`, p.page(1).ID+`|PagerDuty #1`)
	})
	p.do(p.PagerDuty.Acknowledge(1, "cleo"))
	p.until("the card is acknowledged", func() bool {
		root, thread := p.card(0)
		return p.shows(0, `*Owner*\ncleo`) && strings.Contains(root.Text, "acknowledged by cleo") &&
			root.Color == "#daa038" && strings.Contains(thread, "Acknowledged by cleo in PagerDuty")
	})
	p.do(p.PagerDuty.Escalate(1, "", "dora"))
	p.until("the thread names the owner", func() bool {
		root, thread := p.card(0)
		return p.shows(0, `*Owner*\ndora`) && strings.Contains(thread, "Assigned to dora in PagerDuty") &&
			strings.Contains(root.Text, "(INC-1, open)")
	})
	p.do(p.PagerDuty.Note(1, "dora", "the endpoint's\ncertificate has run out"))
	p.do(p.PagerDuty.Prioritize(1, "dora", "P1"))
	p.until("the thread has the note and the priority", func() bool {
		return p.shows(0, "the endpoint's certificate has run out (dora in PagerDuty)", "Priority is now P1")
	})
	p.do(p.PagerDuty.Acknowledge(1, "dora"))
	p.rest()
	p.do(p.PagerDuty.Unacknowledge(1, ""))
	p.until("the card is open again", func() bool {
		root, _ := p.card(0)
		return strings.Contains(root.Text, "(INC-1, open)") && root.Color == "#a30200"
	})
	p.rest()
	for _, call := range p.PagerDuty.Calls() {
		if call.Action == "acknowledge" {
			t.Errorf("an acknowledgement of PagerDuty's went back there: %+v", call)
		}
	}
	if got := p.page(1); got.Status != sandbox.IncidentTriggered || len(p.PagerDuty.Incidents()) != 1 {
		t.Errorf("incidents %+v", p.PagerDuty.Incidents())
	}
}

func TestAnAcknowledgementElsewhereIsSeenInPagerDutyAndComesBackAsNothing(t *testing.T) {
	p := newPager(t, backRules, sandbox.PagerDutyConfig{}, "")
	p.meta(0, "77", "ACTIVATED", 10)
	p.until("the card names PagerDuty's incident", func() bool { return p.shows(0, "page's page is PagerDuty #1") })
	p.person(1, "acknowledge")
	p.until("PagerDuty knows, and has told so", func() bool {
		return p.page(1).Status == sandbox.IncidentAcknowledged && slices.ContainsFunc(p.PagerDuty.Webhooks(),
			func(w sandbox.Webhook) bool { return w.Type == "incident.acknowledged" })
	})
	p.rest()
	if got := p.page(1).Details["acknowledged_by"]; got != "API (name given: ana)" {
		t.Errorf("PagerDuty shows that %v acknowledged it, want the name that ana gave", got)
	}
	var inc struct {
		State           string
		Acknowledged_by string
	}
	p.get(t, "/api/v1/incidents/1", &inc)
	if inc.State != "acknowledged" || inc.Acknowledged_by != "API (name given: ana)" {
		t.Errorf("after its echo: %+v", inc)
	}
	p.person(1, "resolve")
	p.until("PagerDuty's incident is resolved", func() bool { return p.page(1).Status == sandbox.IncidentResolved })
	p.rest()
	state, timeline := p.seen(1)
	if diff := cmp.Diff([]string{"opened", "paged", "linked", "acknowledged", "resolved"}, timeline); diff != "" ||
		state != "resolved" {
		t.Errorf("%s; timeline (-want +got):\n%s", state, diff)
	}
	for _, w := range p.PagerDuty.Webhooks() {
		if w.Status != http.StatusAccepted {
			t.Errorf("a webhook was not taken: %+v", w)
		}
	}
}

func TestNotesSayWhoActedElsewhere(t *testing.T) {
	p := newPager(t, backRules, sandbox.PagerDutyConfig{}, testPagerToken)
	p.meta(0, "77", "ACTIVATED", 10)
	p.until("the card names PagerDuty's incident", func() bool { return p.shows(0, "page's page is PagerDuty #1") })
	p.person(1, "acknowledge")
	p.until("it is noted", func() bool { return len(p.page(1).Notes) == 1 })
	p.person(1, "resolve")
	p.until("that is noted, too", func() bool { return len(p.page(1).Notes) == 2 })
	p.rest()
	if diff := cmp.Diff([]string{"flowbridge: Acknowledged by API (name given: ana)",
		"flowbridge: Resolved by API (name given: ana)"}, p.page(1).Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	if _, timeline := p.seen(1); slices.Contains(timeline, "note") {
		t.Errorf("our notes came back: %v", timeline)
	}
}

func TestResolvedInPagerDutyThenRecoveredThenBrokenAgain(t *testing.T) {
	databases.Long(t)
	p := newPager(t, backRules, sandbox.PagerDutyConfig{}, "")
	p.meta(0, "77", "ACTIVATED", 10)
	p.until("the card names PagerDuty's incident", func() bool { return p.shows(0, "page's page is PagerDuty #1") })
	p.rest()
	p.do(p.PagerDuty.Resolve(1, "cleo"))
	p.until("the card is resolved, and says that Meta still reports it", func() bool {
		root, thread := p.card(0)
		return root.Color == "#2eb886" && p.shows(0, "Resolved by cleo", "Meta still reports it") &&
			strings.Contains(thread, "Resolved by cleo in PagerDuty")
	})
	p.rest()
	p.meta(1, "77", "ACTIVATED", 10) // a mere repeat pages nobody
	p.meta(2, "77", "DEACTIVATED", 10)
	p.until("the recovery is noted",
		func() bool { _, timeline := p.seen(1); return slices.Contains(timeline, "recovered") })
	p.rest()
	if n := len(p.PagerDuty.Incidents()); n != 1 {
		t.Fatalf("PagerDuty has %d incidents, want 1", n)
	}
	p.meta(3, "77", "ACTIVATED", 10)
	p.until("somebody is paged anew, by a new card", func() bool {
		return p.page(2).Status == sandbox.IncidentTriggered && p.shows(1, "INC-2", "page's page is PagerDuty #2")
	})
	p.do(p.PagerDuty.Acknowledge(2, "cleo"))
	p.until("it is the new incident that is acknowledged", func() bool { return p.shows(1, "Acknowledged by cleo") })
	p.rest()
	if state, _ := p.seen(1); state != "resolved" {
		t.Errorf("INC-1 is %s", state)
	}
}

func TestARiseAfterAResolveInPagerDutyReopens(t *testing.T) {
	databases.Long(t)
	p := newPager(t, backRules, sandbox.PagerDutyConfig{}, "")
	p.meta(0, "77", "ACTIVATED", 10)
	p.until("the card names PagerDuty's incident", func() bool { return p.shows(0, "page's page is PagerDuty #1") })
	p.rest()
	p.do(p.PagerDuty.Resolve(1, "cleo"))
	p.until("it is resolved", func() bool { return p.shows(0, "Resolved by cleo in PagerDuty") })
	p.rest()
	p.meta(1, "77", "ACTIVATED", 50)
	p.until("it is paged anew, and the same card says so", func() bool {
		return p.page(2).Status == sandbox.IncidentTriggered && p.shows(0, "page's page is PagerDuty #2")
	})
	p.do(p.PagerDuty.Resolve(2, "cleo"))
	p.rest()
	p.do(p.PagerDuty.Reopen(2, "dora"))
	p.until("it is open again", func() bool { return p.shows(0, "Reopened by dora in PagerDuty") })
	p.rest()
	p.meta(2, "77", "DEACTIVATED", 5)
	p.until("everything is closed", func() bool { return p.page(2).Status == sandbox.IncidentResolved })
	p.rest()
	if n := len(p.PagerDuty.Incidents()); n != 2 {
		t.Errorf("PagerDuty has %d incidents, want 2", n)
	}
}

func TestWhatIsMadeAnewBeforeWeHearOfAResolveIsClosed(t *testing.T) {
	databases.Long(t)
	p := newPager(t, backRules, sandbox.PagerDutyConfig{}, "")
	p.meta(0, "77", "ACTIVATED", 10)
	p.until("the card names PagerDuty's incident", func() bool { return p.shows(0, "page's page is PagerDuty #1") })
	p.rest()
	p.PagerDuty.Subscribe("http://127.0.0.1:1/", testWebhookSecret) // webhooks are held up
	p.do(p.PagerDuty.Resolve(1, "cleo"))
	p.meta(1, "77", "ACTIVATED", 10)
	p.until("new numbers make a new incident there", func() bool { return p.page(2).Status == sandbox.IncidentTriggered })
	p.PagerDuty.Subscribe(p.Public+"/webhooks/pagerduty", testWebhookSecret)
	p.until("it is closed", func() bool { return p.page(2).Status == sandbox.IncidentResolved })
	p.rest()
	if state, _ := p.seen(1); state != "resolved" || len(p.PagerDuty.Incidents()) != 2 {
		t.Errorf("INC-1 is %s, PagerDuty has %+v", state, p.PagerDuty.Incidents())
	}
}

func TestMergedIncidentsShareWhatPeopleDo(t *testing.T) {
	p := newPager(t, backRules, sandbox.PagerDutyConfig{}, "")
	p.meta(0, "77", "ACTIVATED", 10)
	p.meta(0, "78", "ACTIVATED", 10)
	p.meta(0, "79", "ACTIVATED", 10)
	p.until("three are paged", func() bool {
		return p.shows(0, "page is PagerDuty") && p.shows(1, "page is PagerDuty") && p.shows(2, "page is PagerDuty")
	})
	p.rest()
	p.do(p.PagerDuty.Acknowledge(1, "cleo"))
	p.until("one is acknowledged", func() bool { return strings.Contains(p.cards(), "acknowledged by cleo") })
	p.do(p.PagerDuty.Merge(2, 1, "cleo"))
	p.until("what was merged is acknowledged like the other", func() bool {
		return strings.Count(p.cards(), "acknowledged by cleo") == 2
	})
	p.do(p.PagerDuty.Merge(3, 1, "cleo"))
	p.until("all three are", func() bool { return strings.Count(p.cards(), "acknowledged by cleo") == 3 })
	p.rest()
	states := func() (out []string) {
		for n := range 3 {
			state, _ := p.seen(n + 1)
			out = append(out, state)
		}
		return out
	}
	p.do(p.PagerDuty.Unacknowledge(1, "cleo"))
	p.until("none is acknowledged any more",
		func() bool { return slices.Equal(states(), []string{"open", "open", "open"}) })
	p.meta(1, "78", "DEACTIVATED", 10)
	p.until("one has recovered", func() bool { return slices.Contains(states(), "resolved") })
	p.rest()
	if p.page(1).Status != sandbox.IncidentTriggered {
		t.Errorf("PagerDuty's incident is %s while two of ours are open in it", p.page(1).Status)
	}
	p.do(p.PagerDuty.Resolve(1, "dora"))
	p.until("all are resolved",
		func() bool { return slices.Equal(states(), []string{"resolved", "resolved", "resolved"}) })
	p.rest()
	if n := len(p.PagerDuty.Incidents()); n != 3 {
		t.Errorf("PagerDuty has %d incidents, want 3", n)
	}
}

func TestWhatGetsWorseWhileAcknowledgedIsPagedASecondTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		end  func(p *pager)
	}{
		{"Meta says that it is over", func(p *pager) { p.meta(3, "77", "DEACTIVATED", 5) }},
		{"a person resolves the second page", func(p *pager) { p.do(p.PagerDuty.Resolve(2, "dora")) }},
		{"a person resolves the first page", func(p *pager) { p.do(p.PagerDuty.Resolve(1, "cleo")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPager(t, backRules, sandbox.PagerDutyConfig{}, "")
			p.meta(0, "77", "ACTIVATED", 10)
			p.until("the card names PagerDuty's incident", func() bool { return p.shows(0, "page's page is PagerDuty #1") })
			p.do(p.PagerDuty.Acknowledge(1, "cleo"))
			p.until("it is acknowledged", func() bool { return p.shows(0, "acknowledged by cleo") })
			p.meta(2, "77", "ACTIVATED", 50) // Meta is late: by its clock the rise came long before the acknowledgement
			p.until("a second incident is paged", func() bool {
				return p.page(2).Status == sandbox.IncidentTriggered && p.shows(0, "page's page is PagerDuty #2")
			})
			p.rest()
			if first := p.page(1); first.Status != sandbox.IncidentAcknowledged {
				t.Errorf("the first is %s", first.Status)
			}
			if second := p.page(2); second.DedupKey != p.page(1).DedupKey+"/critical" {
				t.Errorf("the second has the key %s", second.DedupKey)
			}
			p.do(p.PagerDuty.Acknowledge(2, "dora"))
			p.rest()
			if c.end(p); c.name == "Meta says that it is over" {
				p.until("Meta's word is folded", func() bool { state, _ := p.seen(1); return state == "resolved" })
			}
			p.until("both are closed", func() bool {
				return p.page(1).Status == sandbox.IncidentResolved && p.page(2).Status == sandbox.IncidentResolved
			})
			p.rest()
			root, _ := p.card(0)
			if state, _ := p.seen(1); state != "resolved" || root.Color != "#2eb886" || len(p.PagerDuty.Incidents()) != 2 {
				t.Errorf("INC-1 is %s, the card %s, incidents %+v", state, root.Color, p.PagerDuty.Incidents())
			}
		})
	}
}

func TestAPageOfASecondServiceLeavesTheFirstItsName(t *testing.T) {
	rules := strings.Replace(strings.Replace(backRules, "notify: [chat, page]",
		"notify: [chat, page, {to: second, after: 5s}]", 1), "rules:",
		`  second: {kind: pagerduty, routing_key: "${PD_OTHER}"}`+"\nrules:", 1)
	p := newPager(t, rules, sandbox.PagerDutyConfig{}, "")
	p.base = time.Now()
	p.meta(0, "77", "ACTIVATED", 10)
	p.until("each page has its own name", func() bool {
		return p.shows(0, "page's page is PagerDuty #1", "second's page is PagerDuty #2")
	})
	p.rest()
	p.do(p.PagerDuty.Resolve(1, "")) // by itself
	p.until("who was paged first is paged once more", func() bool {
		return p.page(3).DedupKey == p.page(1).DedupKey && p.shows(0, "page's page is PagerDuty #3")
	})
	p.rest()
	if got := p.page(2); got.Status != sandbox.IncidentTriggered || len(p.PagerDuty.Incidents()) != 3 {
		t.Errorf("incidents %+v", p.PagerDuty.Incidents())
	}
}

func TestAnOpenPageWhoseKeyIsGoneIsMadeWithTheKeyOfTheRules(t *testing.T) {
	p := newPager(t, backRules, sandbox.PagerDutyConfig{}, "")
	p.meta(0, "77", "ACTIVATED", 10)
	p.meta(0, "78", "ACTIVATED", 10)
	p.until("both are paged", func() bool { return len(p.PagerDuty.Incidents()) == 2 })
	p.rest()
	writeFile(t, p.rules, strings.Replace(backRules, "${PD_KEY}", "${PD_OTHER}", 1))
	p.until("the new key is in force", func() bool {
		return strings.Contains(p.stderr.String(), "the rules were read anew")
	})
	p.meta(1, "77", "ACTIVATED", 50)
	p.rest()
	if n := len(p.PagerDuty.Incidents()); n != 2 {
		t.Fatalf("an edit of the rules alone made PagerDuty have %d incidents", n)
	}
	p.PagerDuty.DeleteKey(testRoutingKey)
	p.meta(2, "77", "DEACTIVATED", 50)
	p.until("what is open is paged with the new key", func() bool { return p.page(3).RoutingKey == otherRoutingKey })
	p.meta(2, "78", "DEACTIVATED", 10)
	p.rest()
	p.meta(3, "77", "DEACTIVATED", 5)
	p.until("and ends there", func() bool { return p.page(3).Status == sandbox.IncidentResolved })
	p.rest()
	var parked struct{ Deliveries []any }
	p.get(t, "/api/v1/deliveries?state=parked", &parked)
	if len(parked.Deliveries) > 0 || len(p.PagerDuty.Incidents()) != 3 {
		t.Errorf("parked %v, incidents %+v", parked.Deliveries, p.PagerDuty.Incidents())
	}
}

func TestThePageLinksToTheCardTheRunbookAndTheConsole(t *testing.T) {
	p := newPager(t, backRules, sandbox.PagerDutyConfig{}, "")
	// no matter who is first
	p.PagerDuty.Fail(sandbox.Fault{Method: "/v2/enqueue", Times: 1, Status: http.StatusServiceUnavailable})
	p.meta(0, "77", "ACTIVATED", 10)
	p.until("the page has all links", func() bool {
		var texts []string
		for _, l := range p.page(1).Links {
			texts = append(texts, l.Text)
		}
		return slices.Equal(texts, []string{"Runbook", "Details in flowbridge", "Slack: chat", "Flows in WhatsApp Manager"})
	})
	p.rest()
	p.meta(1, "77", "DEACTIVATED", 10)
	p.rest()
	triggers := p.page(1).Triggers
	if triggers > 3 { // opened; the card's address; and where that comes between, once more
		t.Errorf("PagerDuty was told %d times of one event", triggers)
	}
}

func TestTheNameOfAPageIsAskedForAndThePersonWhoHasIt(t *testing.T) {
	databases.Long(t)
	p := newPager(t, backRules, sandbox.PagerDutyConfig{OnCall: "ben", NoKeys: true, Appears: 3 * time.Second},
		testPagerToken)
	p.PagerDuty.Subscribe("", "") // no webhooks
	p.meta(0, "77", "ACTIVATED", 10)
	p.until("the card names PagerDuty's incident", func() bool { return p.shows(0, "page's page is PagerDuty #1") })
	p.rest()
	if _, timeline := p.seen(1); !slices.Equal(timeline, []string{"opened", "paged", "linked"}) {
		t.Errorf("timeline %v", timeline)
	}
}

func TestAnIncidentWithoutAKeyIsLookedUpBeforeAnActIsPlaced(t *testing.T) {
	p := newPager(t, backRules, sandbox.PagerDutyConfig{NoKeys: true}, testPagerToken)
	p.meta(0, "77", "ACTIVATED", 10)
	p.until("somebody is paged", func() bool { return p.page(1).Status == sandbox.IncidentTriggered })
	p.PagerDuty.Fail(sandbox.Fault{Method: "GET /incidents/{id}", Times: 1, Status: http.StatusBadGateway})
	p.do(p.PagerDuty.Acknowledge(1, "cleo"))
	p.do(p.PagerDuty.Note(1, "cleo", "looking"))
	p.until("the acts are placed, in their order",
		func() bool { return p.shows(0, "acknowledged by cleo", "looking (cleo in PagerDuty)") })
	p.rest()
	_, timeline := p.seen(1)
	timeline = slices.DeleteFunc(timeline, func(kind string) bool { return kind == "linked" })
	if diff := cmp.Diff([]string{"opened", "paged", "acknowledged", "note"}, timeline); diff != "" {
		t.Errorf("timeline (-want +got):\n%s", diff)
	}
}

func TestWebhooksAreNotLostWhileTheBridgeIsDown(t *testing.T) {
	p := newPager(t, backRules, sandbox.PagerDutyConfig{NoKeys: true}, testPagerToken)
	s := p.services
	p.meta(0, "77", "ACTIVATED", 10)
	p.until("somebody is paged", func() bool { return p.page(1).Status == sandbox.IncidentTriggered })
	p.PagerDuty.Fail(sandbox.Fault{Method: "GET /incidents/{id}", Status: http.StatusBadGateway}) // it cannot be looked up
	p.do(p.PagerDuty.Acknowledge(1, "cleo"))
	p.until("the webhook is taken", func() bool { return len(p.PagerDuty.Webhooks()) == 2 }) // and that it was triggered
	p.kill()
	p.do(p.PagerDuty.Note(1, "cleo", "still looking"))
	p.PagerDuty.ClearFaults()
	db := p.cmd.Args[slices.Index(p.cmd.Args, "--db")+1]
	rules := p.cmd.Args[slices.Index(p.cmd.Args, "--rules")+1]
	p.process = start(t, s, rules, db)
	p.PagerDuty.Subscribe(p.Public+"/webhooks/pagerduty", testWebhookSecret)
	p.until("both acts are seen", func() bool { return p.shows(0, "acknowledged by cleo", "still looking") })
}

func TestPagerDutysSecretsStayInside(t *testing.T) {
	p := newPager(t, backRules, sandbox.PagerDutyConfig{}, "a-token-that-is-not-taken")
	p.PagerDuty.Subscribe("", "") // so that there is something to look up
	p.meta(0, "77", "ACTIVATED", 10)
	p.until("the token is refused, and that is said",
		func() bool { return strings.Contains(p.stderr.String(), "PAGERDUTY_API_TOKEN") })
	body := []byte(`{"event":{"id":"1","event_type":"pagey.ping","data":{}}}`)
	for _, c := range []struct {
		signature string
		want      int
	}{
		{sandbox.SignWebhook(testWebhookSecret, body), http.StatusAccepted},
		{sandbox.SignWebhook("secret-of-before", body), http.StatusAccepted},
		{sandbox.SignWebhook("guessed", body), http.StatusUnauthorized},
		{"", http.StatusUnauthorized},
	} {
		req, err := http.NewRequest(http.MethodPost, p.Public+"/webhooks/pagerduty", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-PagerDuty-Signature", c.signature)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%q answered %s, want %d", c.signature, resp.Status, c.want)
		}
	}
	metrics := getText(t, p.Admin+"/metrics")
	if !hasLine(metrics, `flowbridge_pagerduty_webhooks_total{result="refused"} 2`) {
		t.Error("the refused webhooks are not counted")
	}
	var all json.RawMessage
	p.get(t, "/api/v1/events", &all)
	sandbox.AssertNoSecret(t, []string{testWebhookSecret, "secret-of-before", "a-token-that-is-not-taken", testRoutingKey},
		p.stderr.String(), metrics, string(all))
}
