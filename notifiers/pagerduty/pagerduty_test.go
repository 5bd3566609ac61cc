package pagerduty_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"flowbridge/notifiers/pagerduty"
	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "8"); err != nil { // they wait for others; -parallel says otherwise
		panic(err)
	}
	os.Exit(m.Run())
}

const (
	routingKey = "0123456789abcdef0123456789abcdef"
	otherKey   = "fedcba9876543210fedcba9876543210"
	incident42 = "flowbridge/501/77/ENDPOINT_ERROR_RATE"
)

var opened = time.Date(2026, 3, 14, 3, 0, 0, 0, time.UTC)

// bench is a Notifier that speaks to a stand-in PagerDuty, and what went over the wire.
type bench struct {
	*sandbox.PagerDuty
	*pagerduty.Notifier

	mu   sync.Mutex
	sent []request
}

type request struct {
	path string
	body []byte
}

func newBench(t *testing.T, cfg pagerduty.Config, account sandbox.PagerDutyConfig) *bench {
	t.Helper()
	account.RoutingKeys = append(account.RoutingKeys, routingKey)
	b := &bench{PagerDuty: sandbox.NewPagerDuty(account)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read request: %v", err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		b.mu.Lock()
		b.sent = append(b.sent, request{r.URL.Path, body})
		b.mu.Unlock()
		b.PagerDuty.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(b.ClearFaults)
	cfg.EventsURL, cfg.APIURL = server.URL, server.URL
	var err error
	if b.Notifier, err = pagerduty.New(cfg); err != nil {
		t.Fatal(err)
	}
	return b
}

// sync makes an attempt that must succeed, and returns n as the next attempt gets it.
func (b *bench) sync(t *testing.T, n router.Notification) router.Notification {
	t.Helper()
	receipt, err := b.Sync(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return again(n, receipt)
}

// fail makes an attempt that must not succeed, and returns n as the next attempt gets it.
func (b *bench) fail(t *testing.T, n router.Notification) (router.Notification, error) {
	t.Helper()
	receipt, err := b.Sync(t.Context(), n)
	if err == nil {
		t.Fatal("no error")
	}
	next := again(n, receipt)
	next.Attempt = n.Attempt + 1
	return next, err
}

// again returns n as the queue hands it out after an attempt with a receipt.
func again(n router.Notification, receipt router.Receipt) router.Notification {
	if receipt != (router.Receipt{}) {
		n.Receipt = receipt
	}
	n.Attempt, n.MayExist = 1, n.Receipt != router.Receipt{}
	return n
}

// actions returns what PagerDuty was asked to do.
func (b *bench) actions() (actions []string) {
	for _, call := range b.Calls() {
		actions = append(actions, call.Action)
	}
	return actions
}

func failing() router.Notification {
	value, before, requests, share, count, half := 62.5, 14.28, 1200.0, 66.66, 500.0, 33.33
	reading := router.Reading{Value: &value, Requests: &requests, Errors: []router.ErrorCount{
		{Type: "TIMEOUT", Rate: &share, Count: &count}, {Type: "something_new", Rate: &half},
	}}
	alert := func(level router.Level, s router.Severity, minutes time.Duration) router.Alert {
		at := opened.Add(minutes * time.Minute)
		return router.Alert{Event: router.EndpointErrorRate, Level: level, Active: true, Raised: at, Since: at, Heard: at,
			Severity: s,
			Incident: 42, Routes: []router.AlertRoute{{Notifier: "other"}, {Notifier: "oncall"}}}
	}
	ten, fifty := alert("10", router.Error, 0), alert("50", router.Critical, 10)
	ten.OpenedBy, fifty.OpenedBy = 1001, 1005
	ten.Value = &before
	fifty.Reading, fifty.Before = reading, &before
	return router.Notification{
		Delivery: 7, Revision: 3, Attempt: 1, Key: incident42,
		Target: router.Target{Notifier: "oncall", Kind: router.KindPagerDuty, Credential: routingKey},
		Incident: &router.Incident{
			Number: 42, Key: incident42, WABA: "501", Flow: "77", Event: router.EndpointErrorRate,
			FlowInfo: router.FlowInfo{FlowName: "Checkout", Labels: map[string]string{"team": "payments", "tier": "1"},
				Runbook: "https://runbooks.example.com/checkout"},
			State: router.IncidentOpen, Severity: router.Critical, Peak: router.Critical, Path: []router.Level{"10", "50"},
			Rule: "payments endpoint is failing", OpenedAt: opened, Entries: 5,
		},
		Open: true, Severity: router.Critical, Alerts: []router.Alert{fifty, ten},
		Link: "https://flowbridge.example.com/incidents/42",
	}
}

func acknowledge(n router.Notification) router.Notification {
	inc := *n.Incident
	inc.State, inc.AcknowledgedAt, inc.AcknowledgedBy = router.IncidentAcknowledged, opened.Add(time.Hour), "Ana"
	n.Incident = &inc
	return n
}

func closed(n router.Notification) router.Notification {
	n.Open = false
	return n
}

func TestAnIncidentOpensRefreshesIsAcknowledgedAndResolves(t *testing.T) {
	t.Parallel()
	b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
	n := failing()
	n.Severity = router.Error
	n = b.sync(t, n)
	want := router.Receipt{Own: dedup(incident42), Open: true, Told: 5, Severity: router.Error}
	if diff := cmp.Diff(want, n.Receipt); diff != "" {
		t.Errorf("receipt (-want +got):\n%s", diff)
	}
	n.Severity = router.Critical
	n = b.sync(t, b.sync(t, n))
	n = b.sync(t, b.sync(t, acknowledge(n)))
	if got := b.Incidents()[0].Status; got != sandbox.IncidentAcknowledged || !n.Receipt.Acknowledged {
		t.Errorf("after the acknowledgement the incident is %s, receipt %+v", got, n.Receipt)
	}
	n = b.sync(t, closed(n))
	n = b.sync(t, n) // told already
	want = router.Receipt{Own: dedup(incident42), Told: 5, Severity: router.Critical}
	if diff := cmp.Diff(want, n.Receipt); diff != "" {
		t.Errorf("receipt (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"trigger", "trigger", "trigger", "trigger", "acknowledge", "trigger", "resolve"},
		b.actions()); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
	got := b.Incidents()
	title := "Error: Checkout endpoint error rate reached 62.5 %, over 10 % (INC-42)" // of the first trigger
	if len(got) != 1 || got[0].Status != sandbox.IncidentResolved || got[0].Severity != "critical" ||
		got[0].Summary != title {
		t.Errorf("incidents: %+v", got)
	}
}

func TestAnIncidentThatComesBackIsPagedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
	n := b.sync(t, closed(b.sync(t, failing())))
	n.Open = true
	n = b.sync(t, n)
	if got := b.Incidents(); len(got) != 2 || got[1].Status != sandbox.IncidentTriggered || !n.Receipt.Open {
		t.Errorf("incidents %+v, receipt %+v", got, n.Receipt)
	}
}

func TestAnAcknowledgementDoesNotCoverWhatCameAfterIt(t *testing.T) {
	t.Parallel()
	b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
	n := acknowledge(failing())
	n.Incident.AcknowledgedAt = opened.Add(15 * time.Minute) // of 10 %
	n.Alerts[0].Heard = opened.Add(20 * time.Minute)         // 50 % came after it, though it began before it
	n = b.sync(t, n)
	n.Alerts = n.Alerts[1:] // back under 50 %, but 10 % was not for this notifier yet
	n.Alerts[0].Routes[1].Due = opened.Add(30 * time.Minute)
	n = b.sync(t, n)
	if diff := cmp.Diff([]string{"trigger", "trigger"}, b.actions()); diff != "" || n.Receipt.Acknowledged {
		t.Errorf("receipt %+v, actions (-want +got):\n%s", n.Receipt, diff)
	}
	n.Incident.AcknowledgedAt = opened.Add(40 * time.Minute)
	n = b.sync(t, n)
	if !n.Receipt.Acknowledged || b.Incidents()[0].Status != sandbox.IncidentAcknowledged {
		t.Errorf("receipt %+v", n.Receipt)
	}
}

func TestAnAcknowledgementThatCameFromAPageIsNotToldToIt(t *testing.T) {
	t.Parallel()
	b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
	n := acknowledge(b.sync(t, failing()))
	told := []router.Entry{{N: 6, Kind: router.EntryAcknowledged}}
	for _, in := range []router.Page{{Notifier: "oncall", Key: incident42}, {Notifier: "oncall"}} {
		n.Incident.AcknowledgedIn, n.Timeline, n.Receipt.Acknowledged = in, told, false
		if n = b.sync(t, n); !n.Receipt.Acknowledged {
			t.Errorf("acknowledged in %+v: receipt %+v", in, n.Receipt)
		}
	}
	n.Incident.AcknowledgedIn = router.Page{Notifier: "oncall", Key: incident42 + "/critical"} // another page's
	n = b.sync(t, n)
	n.Timeline = nil
	n = b.sync(t, n) // told already
	if diff := cmp.Diff([]string{"trigger", "trigger", "trigger", "trigger", "acknowledge", "trigger"},
		b.actions()); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
}

func TestAnAcknowledgementAfterOneThatWasTakenBackInPagerDutyIsTold(t *testing.T) {
	t.Parallel()
	b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
	n := b.sync(t, acknowledge(failing()))
	if err := b.Unacknowledge(1, ""); err != nil { // we hear of it; since PagerDuty knows, nothing is owed to it
		t.Fatal(err)
	}
	n.Timeline = []router.Entry{{N: 6, Kind: router.EntryUnacknowledged}, {N: 7, Kind: router.EntryAcknowledged}}
	b.sync(t, n)
	if got := b.Incidents()[0].Status; got != sandbox.IncidentAcknowledged {
		t.Errorf("the incident is %s", got)
	}
}

func TestAPageThatAPersonWantsIsNotAcknowledgedByWhoHadItBefore(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		wanted  time.Time
		actions []string
	}{
		{"wanted after the acknowledgement", opened.Add(2 * time.Hour), []string{"trigger"}},
		{"wanted before it", opened.Add(time.Minute), []string{"trigger", "acknowledge"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
			n := acknowledge(failing())
			n.Opening = 1
			n.Incident.Watch = []router.Watch{{Notifier: "oncall", Open: true, Paged: true, Opening: 1, Since: tt.wanted}}
			for i := range n.Alerts { // its rules page for worse only
				n.Alerts[i].Routes = []router.AlertRoute{{Notifier: "other"}}
			}
			b.sync(t, n)
			if diff := cmp.Diff(tt.actions, b.actions()); diff != "" {
				t.Errorf("actions (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWhatALostDatabaseLeftOpenEndsWithTheFirstIncidentOfItsKey has what the bridge that is gone had made.
func TestWhatALostDatabaseLeftOpenEndsWithTheFirstIncidentOfItsKey(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		of   func(n *router.Notification)
		want []string // statuses of the first page and the second
	}{
		{"both end", func(*router.Notification) {}, []string{"resolved", "resolved"}},
		{"the rules page once", func(n *router.Notification) { n.Incident.PageOnRise = false },
			[]string{"resolved", "triggered"}},
		{"it is not the first: what is there is known", func(n *router.Notification) { n.Incident.First = false },
			[]string{"triggered", "triggered"}},
		{"the second page is of this life, and ends by itself", func(n *router.Notification) {
			n.Incident.Watch = []router.Watch{{Notifier: "oncall", PagedAt: 1005, Severity: router.Critical}}
		}, []string{"resolved", "triggered"}},
		{"the second page is of the next incident", func(n *router.Notification) {
			n.Taken = []string{incident42 + "/critical"}
		}, []string{"resolved", "triggered"}},
		{"somebody resolved the first by hand", func(n *router.Notification) {
			n.Receipt = router.Receipt{Opening: 1}
		}, []string{"triggered", "resolved"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
			for _, key := range []string{incident42, incident42 + "/critical"} {
				n := failing()
				n.Key, n.Incident.Key = key, key
				b.sync(t, n)
			}
			n := closed(failing())
			n.Incident.State, n.Incident.First, n.Incident.PageOnRise = router.IncidentResolved, true, true
			tt.of(&n)
			n = b.sync(t, n) // it was over before it could be told
			if diff := cmp.Diff(tt.want, b.statuses()); diff != "" {
				t.Errorf("incidents (-want +got):\n%s", diff)
			}
			before := len(b.actions())
			if b.sync(t, n); n.Incident.First && len(b.actions()) != before {
				t.Errorf("told once more: %v", b.actions()[before:])
			}
		})
	}
}

// statuses are those of PagerDuty's incidents, the oldest first.
func (b *bench) statuses() (all []string) {
	for _, inc := range b.Incidents() {
		all = append(all, string(inc.Status))
	}
	return all
}

// TestAnOpeningThatNobodyWasPagedForIsAPage has PagerDuty hold what is over here: an acknowledgement that was taken
// back, or an opening whose end it never heard of. Whatever it is told of those notifies nobody.
func TestAnOpeningThatNobodyWasPagedForIsAPage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		then     func(n *router.Notification)
		actions  []string // after the acknowledgement
		statuses []string
	}{
		{"an acknowledgement that was taken back in Slack",
			func(n *router.Notification) { n.Incident.State = router.IncidentOpen },
			[]string{"resolve", "trigger"}, []string{"resolved", "triggered"}},
		{"over and back, which it never heard of: who acknowledged the first is paged for the second",
			func(n *router.Notification) {
				n.Opening = 2
				n.Alerts[0].Heard, n.Alerts[1].Heard = opened.Add(2*time.Hour), opened.Add(2*time.Hour)
			}, []string{"resolve", "trigger"}, []string{"resolved", "triggered"}},
		{"over and back, and acknowledged since", func(n *router.Notification) {
			n.Opening = 2
			n.Timeline = []router.Entry{{N: 6, Kind: router.EntryAcknowledged}}
		}, []string{"resolve", "trigger", "acknowledge"}, []string{"resolved", "acknowledged"}},
		{"new numbers", func(*router.Notification) {}, []string{"trigger"}, []string{"acknowledged"}},
		{"taken back in PagerDuty, as the receipt says", func(n *router.Notification) {
			n.Incident.State, n.Receipt.Acknowledged = router.IncidentOpen, false
		}, []string{"trigger"}, []string{"acknowledged"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
			n := failing()
			n.Opening = 1
			n = b.sync(t, acknowledge(n))
			before := len(b.actions())
			tt.then(&n)
			n = b.sync(t, n)
			if diff := cmp.Diff(tt.actions, b.actions()[before:]); diff != "" {
				t.Errorf("actions (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.statuses, b.statuses()); diff != "" {
				t.Errorf("incidents (-want +got):\n%s", diff)
			}
			if n.Stale() || n.Receipt.Opening != n.Opening {
				t.Errorf("told, and still stale: %+v", n.Receipt)
			}
			before = len(b.actions())
			n.Timeline = nil
			b.sync(t, n) // a repeat pages nobody
			if diff := cmp.Diff([]string{"trigger"}, b.actions()[before:]); diff != "" || len(b.statuses()) != len(tt.statuses) {
				t.Errorf("repeated: incidents %v, actions (-want +got):\n%s", b.statuses(), diff)
			}
		})
	}
}

func TestAnOpeningWhoseTriggerGotLostAfterTheOldOneWasEndedIsTriggered(t *testing.T) {
	t.Parallel()
	b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
	n := failing()
	n.Opening = 1
	n = b.sync(t, acknowledge(n))
	n.Opening, n.Incident.State = 2, router.IncidentOpen
	b.Fail(sandbox.Fault{Skip: 1, Times: 1, Status: 503})
	n, _ = b.fail(t, n)
	b.sync(t, n)
	if diff := cmp.Diff([]string{"resolved", "triggered"}, b.statuses()); diff != "" {
		t.Errorf("incidents (-want +got):\n%s", diff)
	}
}

func TestAPageWhoseFirstAnswerGotLostIsNotMadeTwice(t *testing.T) {
	t.Parallel()
	b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
	n := failing()
	n.Opening = 1
	// PagerDuty has it, and we died before we wrote that down
	b.Fail(sandbox.Fault{Times: 1, AfterAccept: true, Status: 503})
	b.fail(t, n)
	n.MayExist = true
	b.Fail(sandbox.Fault{Times: 1, Status: http.StatusTooManyRequests})
	n, _ = b.fail(t, n)
	b.sync(t, n)
	if diff := cmp.Diff([]string{"triggered"}, b.statuses()); diff != "" {
		t.Errorf("incidents (-want +got):\n%s", diff)
	}
}

// TestAReceiptSaysForHowCertainAPageIs: cards say that somebody is paged once PagerDuty has said yes, and go on saying
// so while what comes later gets no answer.
func TestAReceiptSaysForHowCertainAPageIs(t *testing.T) {
	t.Parallel()
	b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
	n := failing()
	n.Opening = 1
	certain := func(want bool) {
		t.Helper()
		if n.Receipt.Open != true || n.Receipt.Tells(n.Opening) != want {
			t.Errorf("certain %t: %+v", want, n.Receipt)
		}
	}
	b.Fail(sandbox.Fault{Times: 1, Status: 503})
	n, _ = b.fail(t, n)
	certain(false)
	b.Fail(sandbox.Fault{Times: 1, Status: 403})
	n, _ = b.fail(t, n)
	certain(false)
	n = b.sync(t, n)
	certain(true)
	b.Fail(sandbox.Fault{Times: 1, Status: 503})
	n, _ = b.fail(t, n)
	certain(true)
	n.Opening = 2
	b.Fail(sandbox.Fault{Skip: 1, Times: 1, Status: 503})
	n, _ = b.fail(t, n)
	certain(false)
	n = b.sync(t, n)
	certain(true)
}

func TestANoteSaysWhoActedElsewhere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		cfg  pagerduty.Config
		want []string
	}{
		{"with a token and a user", pagerduty.Config{APIToken: "t", From: "ana@example.com"},
			[]string{"flowbridge: Acknowledged by Ana", "flowbridge: Resolved by Ana & Ben"}},
		{"in nobody's name", pagerduty.Config{APIToken: "t"}, nil},
		{"with a token that is not taken: nothing depends on notes", pagerduty.Config{APIToken: "x", From: "ana@example.com"},
			nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, c.cfg, sandbox.PagerDutyConfig{APIToken: "t"})
			n := acknowledge(failing())
			n = b.sync(t, n) // without a name there is nothing to write on
			n.Receipt.Acknowledged = false
			n.Incident.Links = []router.Link{{Notifier: "other", Key: incident42, ID: "Q1"},
				{Notifier: "oncall", Key: incident42, ID: b.Incidents()[0].ID}}
			n = closed(b.sync(t, n))
			n.Incident.State, n.Incident.ResolvedBy = router.IncidentResolved, "Ana\n& Ben"
			b.sync(t, n)
			if diff := cmp.Diff(c.want, b.Incidents()[0].Notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsOverBeforePagerDutyHeardOfItPagesNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
	receipt, err := b.Sync(t.Context(), closed(failing()))
	if err != nil || receipt != (router.Receipt{}) || len(b.Calls()) != 0 {
		t.Errorf("receipt %+v, %v, calls %+v", receipt, err, b.Calls())
	}
}

func TestWhatMayExistIsResolved(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		receipt router.Receipt
		attempt int
	}{
		{"the first attempt was cut short", router.Receipt{}, 2},
		{"the first attempt was cut short and did not count", router.Receipt{}, 1},
		{"it had come back, and that attempt was cut short", router.Receipt{Own: dedup(incident42), Told: 3}, 2},
		{"an attempt ended without an answer, and more is owed since", router.Receipt{Unsure: true}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
			b.sync(t, failing()) // nobody heard of it
			n := closed(failing())
			n.MayExist, n.Attempt, n.Receipt = true, test.attempt, test.receipt
			n = b.sync(t, n)
			want := router.Receipt{Own: dedup(incident42), Told: 5}
			if diff := cmp.Diff(want, n.Receipt); diff != "" || b.Incidents()[0].Status != sandbox.IncidentResolved {
				t.Errorf("incident %+v, receipt (-want +got):\n%s", b.Incidents()[0], diff)
			}
		})
	}
}

func TestAFailedAcknowledgementIsRepeated(t *testing.T) {
	t.Parallel()
	b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
	b.Fail(sandbox.Fault{Skip: 1, Times: 1, Status: http.StatusBadGateway})
	n, _ := b.fail(t, acknowledge(failing()))
	if !n.Receipt.Open || n.Receipt.Acknowledged {
		t.Errorf("receipt %+v", n.Receipt)
	}
	n = b.sync(t, n)
	if got := b.Incidents(); len(got) != 1 || got[0].Status != sandbox.IncidentAcknowledged || !n.Receipt.Acknowledged {
		t.Errorf("incidents %+v, receipt %+v", got, n.Receipt)
	}
}

func notice(name string, s router.Severity) router.Notification {
	return router.Notification{
		Delivery: 8, Revision: 1, Attempt: 1, Severity: s,
		Target: router.Target{Notifier: "oncall", Kind: router.KindPagerDuty, Credential: routingKey},
		Notice: &router.Notice{Event: 1234, At: opened, WABA: "501", Flow: "77", Name: name, Severity: s, Rule: "news",
			FlowInfo: router.FlowInfo{FlowName: "Checkout", Labels: map[string]string{"team": "payments"}}},
	}
}

func statusNotice(s router.Severity, from, to string) router.Notification {
	n := notice(router.FlowStatusChange, s)
	n.Notice.OldStatus, n.Notice.NewStatus = from, to
	return n
}

func recovered(n router.Notification) router.Notification {
	n.Notice.AlertState = router.Deactivated
	return n
}

func TestANoticePagesOnlyFromErrorOn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		n     router.Notification
		pages bool
	}{
		{"a published flow", statusNotice(router.Info, router.Draft, router.Published), false},
		{"a published flow, by a rule that means BLOCKED", statusNotice(router.Critical, router.Draft, router.Published),
			false},
		{"a retired flow that somebody wants to be woken by", statusNotice(router.Critical, router.Published,
			router.Deprecated), true},
		{"a version that expires", notice(router.FlowVersionExpiryWarning, router.Warning), false},
		{"a version that expires, severely", notice(router.FlowVersionExpiryWarning, router.Error), true},
		{"an unknown event", notice("FLOW_ON_FIRE", router.Critical), true},
		{"a mild unknown event", notice("FLOW_ON_FIRE", router.Info), false},
		{"an event without a severity", notice("FLOW_ON_FIRE", router.SeverityUnset), false},
		{"a recovery", recovered(notice(router.EndpointErrorRate, router.Critical)), false},
		{"a parked delivery", notice(router.ParkedDelivery, router.Error), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
			n := b.sync(t, test.n)
			if n.Receipt == (router.Receipt{}) {
				t.Error("no receipt, though something was made")
			}
			n = b.sync(t, n) // told already
			incidents, changes := b.Incidents(), b.ChangeEvents()
			want := [2]int{0, 1}
			if test.pages {
				want = [2]int{1, 0}
				if incidents[0].DedupKey != "flowbridge/notice/1234/1773457200" || n.Receipt.Own != dedup(incidents[0].DedupKey) {
					t.Errorf("dedup key %q, receipt %+v", incidents[0].DedupKey, n.Receipt)
				}
			}
			if got := [2]int{len(incidents), len(changes)}; got != want || len(b.Calls()) != 1 {
				t.Errorf("incidents and change events: %v, want %v; calls %+v", got, want, b.Calls())
			}
		})
	}
}

func TestARecoveryOfWhatNobodyKnowsResolvesAndTellsNothingElse(t *testing.T) {
	t.Parallel()
	b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
	b.sync(t, failing()) // by a flowbridge whose database was lost
	n := recovered(notice(router.EndpointErrorRate, router.Critical))
	n.Notice.Recovery, n.Key = incident42, "flowbridge/notice/9"
	// who is only told of it, after the next has opened
	if b.sync(t, n); b.Incidents()[0].Status != sandbox.IncidentTriggered {
		t.Errorf("the incident is %s", b.Incidents()[0].Status)
	}
	told := len(b.ChangeEvents())
	n.Key = incident42
	n = b.sync(t, n)
	if got := b.Incidents(); len(got) != 1 || got[0].Status != sandbox.IncidentResolved || len(b.ChangeEvents()) != told {
		t.Errorf("incidents %+v, change events %+v", got, b.ChangeEvents())
	}
	if n.Receipt.Own != dedup(incident42) || n.Receipt.Open {
		t.Errorf("receipt %+v", n.Receipt)
	}
}

func TestSyncsOfManyDeliveriesKeepToThemselves(t *testing.T) {
	t.Parallel()
	b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{RoutingKeys: []router.Secret{otherKey}, Calls: -1})
	var work sync.WaitGroup
	for i := range 40 {
		n := failing()
		inc := *n.Incident
		n.Incident = &inc
		inc.Number = int64(i + 1)
		n.Target.Credential = []router.Secret{routingKey, otherKey, "a key that nobody knows"}[i%3]
		work.Go(func() {
			if _, err := b.Sync(t.Context(), n); (err != nil) != (i%3 == 2) {
				t.Errorf("delivery %d: %v", i, err)
			}
		})
	}
	work.Wait()
	got := b.Incidents()
	if diff := cmp.Diff([]int{14, 13}, []int{got[0].Triggers, got[1].Triggers},
		cmpopts.SortSlices(func(x, y int) bool { return x > y })); diff != "" {
		t.Errorf("triggers (-want +got):\n%s", diff)
	}
}

func TestAnAddressThatIsNoneIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"events.eu.pagerduty.com", "ftp://events.pagerduty.com", "https://",
		"https://user:word@example.com", "https://example.com?x=1", "https://exa mple.com"} {
		if _, err := pagerduty.New(pagerduty.Config{EventsURL: address}); err == nil {
			t.Errorf("%s is taken for the address of the Events API", address)
		}
	}
}

// dedup is the own half of the receipt of an alert.
func dedup(key string) router.Own { return router.Own(fmt.Sprintf(`{"dedup_key":%q}`, key)) }
