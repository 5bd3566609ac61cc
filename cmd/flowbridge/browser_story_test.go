package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	databases "flowbridge/router/store/storetest"
)

// A page at night: a phone, a link, and nobody who is signed in.
const (
	mostTaps      = 3
	mostNightWire = 60 << 10
	nightToken    = "token-of-the-night"
)

// TestAtThreeInTheMorningAPhoneAcknowledgesInThreeTaps follows the link of a card, with script and without.
func TestAtThreeInTheMorningAPhoneAcknowledgesInThreeTaps(t *testing.T) {
	t.Parallel()
	c := startChromium(t)
	for _, scripts := range []bool{true, false} {
		t.Run(fmt.Sprintf("scripts=%v", scripts), func(t *testing.T) {
			s := newServices(t, "#ops")
			s.env = append(s.env, "FLOWBRIDGE_ADMIN_TOKEN="+nightToken)
			bridge := start(t, s, writeRules(t, browserRules), databases.File(t))
			bridge.post(t, pairPost(lately, checkoutFlow, "ACTIVATED", 50), http.StatusOK)
			eventually(t, "somebody is paged", func() bool { return len(s.PagerDuty.Incidents()) == 1 })

			b := c.tab(t)
			b.phone()
			if !scripts {
				b.withoutScript()
			}
			taps := 0
			tap := func(selector string) {
				t.Helper()
				taps++
				b.follow(chromedp.Tap(chromedp.CSS(selector), chromedp.NodeVisible))
			}
			b.open(bridge.Admin + "/incidents/1") // where the card's Details leads
			if got := b.path(); got != "/login" {
				t.Fatalf("who is not signed in comes to %s", got)
			}
			b.do(chromedp.SendKeys(chromedp.ID("name"), "Ada"), chromedp.SendKeys(chromedp.ID("token"), nightToken))
			tap("main form button")
			if got := b.path(); got != "/incidents/1" {
				t.Fatalf("who has signed in comes to %s", got)
			}
			for what, selector := range map[string]string{"the headline": "h1", "the number": ".vitals .big",
				"the runbook": ".links a", "Acknowledge": ".acts .primary"} {
				box := evaluate[struct{ Height, Bottom float64 }](b,
					fmt.Sprintf(`document.querySelector(%q).getBoundingClientRect().toJSON()`, selector))
				if box.Bottom > 780 {
					t.Errorf("%s is not on the first screen: it ends at %.0f px", what, box.Bottom)
				}
				if what == "Acknowledge" && box.Height < 44 {
					t.Errorf("Acknowledge is %.0f px high", box.Height)
				}
			}
			tap(".acts .primary")
			tap("main form .primary")
			if got := evaluate[string](b,
				`location.pathname + ' ' + document.querySelector('.tag').textContent`); got != "/incidents/1 acknowledged" {
				t.Errorf("in the end the page is %q:\n%s", got, evaluate[string](b, "document.body.innerText"))
			}
			if came := b.since(); taps > mostTaps || came.Wire > mostNightWire {
				t.Errorf("%d taps, %d bytes on the wire; want at most %d and %d: %s", taps, came.Wire, mostTaps, mostNightWire,
					came.Requests)
			}
			if found := b.forbidden(); len(found) > 0 {
				t.Errorf("the policy forbids %q", found)
			}
		})
	}
}

// countPollsUntil is a script: window.seenAfter is how many polls began until an expression is true, once it is. The
// page itself counts, since a test on a slow machine looks late.
func countPollsUntil(expression string) string {
	return `{
		let polls = 0;
		const ask = window.fetch, look = () => {
			if (window.seenAfter === undefined && (` + expression + `)) window.seenAfter = polls;
		};
		window.fetch = (...of) => { polls++; return ask(...of); };
		new MutationObserver(look).observe(document, {subtree: true, childList: true, characterData: true});
		look();
	}`
}

// TestPagesAreLiveAndPaused holds that what is new is announced and moves no row, that Pause stops asking, and that
// what is done elsewhere shows within a poll.
func TestPagesAreLiveAndPaused(t *testing.T) {
	t.Parallel()
	s := newServices(t, "#ops")
	bridge := start(t, s, writeRules(t, browserRules), databases.File(t))
	open := func(flow string) {
		t.Helper()
		bridge.post(t, pairPost(lately, flow, "ACTIVATED", 10), http.StatusOK)
	}
	state := func(number int, want string) {
		t.Helper()
		eventually(t, fmt.Sprintf("INC-%d is %s", number, want), func() bool {
			var inc struct{ State string }
			bridge.get(t, fmt.Sprintf("/api/v1/incidents/%d", number), &inc)
			return inc.State == want
		})
	}
	open(checkoutFlow)
	state(1, "open")

	c := startChromium(t)
	list, other, incident := c.tab(t), c.tab(t), c.tab(t)
	for _, b := range []*tab{list, other} {
		b.open(bridge.Admin + "/")
	}
	incident.open(bridge.Admin + "/incidents/1")
	const rows = `[...document.querySelectorAll('main [data-key]')].map(r => r.dataset.key + ' at ' + r.getBoundingClientRect().top).join()`
	const keys = `[...document.querySelectorAll('main [data-key]')].map(r => r.dataset.key).sort().join()`
	const announced = `document.querySelector('#live').textContent`
	// so that only rows could move rows
	list.do(chromedp.Evaluate[chromedp.Void](`document.querySelector('#live').style.position = 'fixed'`))
	before := evaluate[string](list, rows)

	open("77")
	list.until(announced + `.startsWith('1 new')`)
	if got := evaluate[string](list, rows); got != before {
		t.Errorf("rows moved from %s to %s", before, got)
	}
	list.do(chromedp.Click(chromedp.CSS("#live button")))
	list.until(keys + ` === '1,2'`)

	list.do(chromedp.Click(chromedp.ID("pause")))
	if got := evaluate[string](list, `document.querySelector('#pause').getAttribute('aria-pressed')`); got != "true" {
		t.Errorf("Pause is pressed: %s", got)
	}
	other.since()
	list.since()
	open("78")
	other.until(announced + `.startsWith('2 new')`)
	eventually(t, "the tab beside it has asked three times", func() bool { return other.polls() >= 3 })
	if came := list.since(); came.Polls > 0 || len(came.Requests) > 0 {
		t.Errorf("paused, the page asks %d times, and for %s", came.Polls, came.Requests)
	}
	list.do(chromedp.Click(chromedp.ID("pause")))
	list.until(announced + `.startsWith('1 new')`)

	resp, err := http.DefaultClient.Do(must1(http.NewRequestWithContext(context.Background(), http.MethodPost,
		bridge.Admin+"/api/v1/incidents/1/acknowledge", bytes.NewReader([]byte(`{"by":"Grace"}`)))))
	must(t, err)
	resp.Body.Close()
	state(1, "acknowledged")
	incident.do(chromedp.Evaluate[chromedp.Void](countPollsUntil(
		`document.querySelector('.over .tag').textContent === 'acknowledged' && document.querySelector('.vitals').textContent.includes('Grace')`)))
	incident.until("window.seenAfter >= 0")
	if n := evaluate[int](incident, "window.seenAfter"); n > 1 {
		t.Errorf("it takes %d polls until an act elsewhere is seen", n)
	}
	if bar := evaluate[bool](list, `!!document.querySelector('.trouble')`); bar {
		t.Error("there is a red bar, and nothing is wrong")
	}
	for _, b := range []*tab{list, other, incident} {
		if found := b.forbidden(); len(found) > 0 {
			t.Errorf("the policy forbids %q", found)
		}
	}
}

// TestTheRedBarComesByItself holds that a page that stands open says so when somebody cannot be told.
func TestTheRedBarComesByItself(t *testing.T) {
	t.Parallel()
	bridge := start(t, newServices(t, "#elsewhere"), writeRules(t, browserRules), databases.File(t))
	b := startChromium(t).tab(t)
	b.open(bridge.Admin + "/")
	if evaluate[bool](b, `!!document.querySelector('.trouble')`) {
		t.Fatal("there is a red bar, and nothing is wrong")
	}
	bridge.post(t, pairPost(lately, checkoutFlow, "ACTIVATED", 10), http.StatusOK)
	b.until(`(document.querySelector('.trouble') || {textContent: ''}).textContent.includes('parked')`)
	b.follow(chromedp.Click(chromedp.CSS(".trouble a")))
	if text := evaluate[string](b, "document.querySelector('main').innerText"); !strings.Contains(text,
		"channel_not_found") {
		t.Errorf("the red bar leads to a page that does not say why:\n%s", text)
	}
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestFromTheReportToTheAttemptThatFailedInFiveClicks goes from the report of a night to what a service was sent and
// answered.
func TestFromTheReportToTheAttemptThatFailedInFiveClicks(t *testing.T) {
	t.Parallel()
	bridge := start(t, newServices(t, "#elsewhere"), writeRules(t, browserRules), databases.File(t))
	bridge.post(t, pairPost(lately, checkoutFlow, "ACTIVATED", 10), http.StatusOK)
	eventually(t, "a delivery is parked", func() bool {
		var parked struct{ Deliveries []struct{} }
		bridge.get(t, "/api/v1/deliveries?state=parked", &parked)
		return len(parked.Deliveries) == 1
	})
	b := startChromium(t).tab(t)
	b.open(bridge.Admin + "/")
	clicks := 0
	for _, selector := range []string{`nav a[href="/report"]`, `main a[href="/incidents/1"]`, `.alarm a[href*="/told/"]`,
		`main details summary`} {
		clicks++
		click := chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible)
		if strings.HasSuffix(selector, "summary") {
			b.do(click)
		} else {
			b.follow(click)
		}
	}
	b.until(
		`document.querySelector('main').innerText.includes('channel_not_found') && !!document.querySelector('main details[open] pre')`)
	if clicks > 5 {
		t.Errorf("it takes %d clicks", clicks)
	}
}

// TestAnOperatorTriesRulesWithoutATerminal pastes rules, and reads what a replay of the journal through them comes to.
func TestAnOperatorTriesRulesWithoutATerminal(t *testing.T) {
	t.Parallel()
	bridge := start(t, newServices(t, "#ops"), writeRules(t, browserRules), databases.File(t))
	bridge.post(t, pairPost(lately, checkoutFlow, "ACTIVATED", 50), http.StatusOK)
	eventually(t, "it is folded", func() bool {
		var list struct{ Incidents []struct{} }
		bridge.get(t, "/api/v1/incidents", &list)
		return len(list.Incidents) == 1
	})
	b := startChromium(t).tab(t)
	b.open(bridge.Admin + "/")
	b.follow(chromedp.Click(chromedp.CSS(`nav a[href="/rules"]`), chromedp.NodeVisible))
	b.follow(chromedp.Click(chromedp.CSS(`main a[href="/rules/candidate"]`), chromedp.NodeVisible))
	paste := func(rules, days string) string {
		t.Helper()
		b.do(chromedp.SetValue(chromedp.ID("rules"), rules), chromedp.SetValue(chromedp.ID("days"), days))
		b.follow(chromedp.Click(chromedp.CSS("main form .primary"), chromedp.NodeVisible))
		return evaluate[string](b, "document.querySelector('main').innerText")
	}
	if got := paste(strings.Replace(browserRules, "to: on-call", "to: nobody", 1), ""); !strings.Contains(got,
		"They cannot be loaded") {
		t.Errorf("rules with a mistake:\n%s", got)
	}
	got := paste(strings.Replace(browserRules, ", {to: on-call, severity: [error, critical]}", "", 1), "1")
	for _, want := range []string{"They can be loaded", "The journal, replayed", "1 events folded", "−1 "} {
		if !strings.Contains(got, want) {
			t.Errorf("rules that page nobody: no %q in\n%s", want, got)
		}
	}
	if found := b.forbidden(); len(found) > 0 {
		t.Errorf("the policy forbids %q", found)
	}
}
