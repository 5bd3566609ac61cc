package slack

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

// digestOf is many incidents: every fifth is critical.
func digestOf(n int, recovered bool) router.Notification {
	d := &router.Digest{ID: "D1", Begun: began, Recovered: recovered, Console: "https://flowbridge.example.com"}
	for i := range n {
		inc := *opened().Incident
		inc.Number, inc.FlowName = int64(100+i), fmt.Sprintf("Flow %d <!channel>", i+1)
		p := router.Summary{Delivery: int64(i + 1), Revision: 1, Severity: router.Warning, Told: i%2 == 0, Incident: inc}
		if i%5 == 4 {
			p.Severity, p.Incident.Path = router.Critical, []router.Level{"5", "50"}
		}
		d.Parts = append(d.Parts, p)
	}
	return router.Notification{Delivery: 1, Revision: 1, Attempt: 1, Target: opened().Target, Digest: d}
}

// newsOf is many notices: templates that were approved, a few that were not, and a number that was verified.
func newsOf(n int) router.Notification {
	d := &router.Digest{ID: "D1", Begun: began, News: true, Console: "https://flowbridge.example.com"}
	for i := range n {
		note := router.Notice{Event: int64(i + 1), At: began, WABA: "501", Name: "MESSAGE_TEMPLATE_STATUS_UPDATE",
			Signal: "TEMPLATE_STATUS",
			Change: "APPROVED", Severity: router.Info, Subject: router.Subject{Kind: router.SubjectTemplate, ID: fmt.Sprint(i),
				Name: fmt.Sprintf("promo_%d <!channel>", i+1)}}
		if i%10 == 9 {
			note.Change = "PENDING_DELETION"
		}
		d.Parts = append(d.Parts, router.Summary{Delivery: int64(i + 1), Revision: 1, Severity: router.Info, Notice: note})
	}
	return router.Notification{Delivery: 1, Revision: 1, Attempt: 1, Target: opened().Target, Class: router.ClassNews,
		Digest: d}
}

func TestManyNewsAreOneMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.sync(newsOf(200))
	if r.Digest == "" || ownOf(r).TS != "" || r.Open {
		t.Errorf("receipt %+v", r)
	}
	body := blockText(t, w.slack.Messages("#payments")[0])
	for _, part := range []string{
		":information_source: *200 news that came at once*",
		"• 180 × ", " APPROVED: ", "promo_1 &lt;!channel&gt;", "and 175 more", "• 20 × ", " PENDING_DELETION: ",
		"<https://flowbridge.example.com/events|See all events>",
	} {
		if !strings.Contains(body, part) {
			t.Errorf("the digest lacks %q:\n%s", part, body)
		}
	}
	if strings.Contains(body, "<!channel>") {
		t.Error("the name of a template mentions the channel")
	}
	if calls := w.calls(0); calls != "postMessage" {
		t.Errorf("calls: %s", calls)
	}
}

func TestADigestStandsForManyCards(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.sync(digestOf(33, false))
	if r.Digest == "" || ownOf(r).TS != "" || !r.Open || !strings.HasPrefix(ownOf(r).Channel, "C") {
		t.Errorf("receipt %+v", r)
	}
	want := []string{
		"33 more incidents opened: 6 critical, 27 warning; the worst: " +
			"Flow 5 &lt;!channel&gt;: Endpoint error rate reached 50 %"}
	if diff := cmp.Diff(want, w.shown()); diff != "" {
		t.Errorf("channel (-want +got):\n%s", diff)
	}
	body := blockText(t, w.slack.Messages("#payments")[0])
	for _, part := range []string{
		":rotating_light: *33 more incidents opened: 6 critical, 27 warning*",
		"• Critical: Flow 5 &lt;!channel&gt;: Endpoint error rate reached 50 % (INC-104)",
		"… and 28 more", "once no more than 30 of them are open", "<https://flowbridge.example.com|See all incidents>",
	} {
		if !strings.Contains(body, part) {
			t.Errorf("the digest lacks %q:\n%s", part, body)
		}
	}
	if strings.Contains(body, "<!channel>") {
		t.Error("a flow's name mentions the channel")
	}
	if calls := w.calls(0); calls != "postMessage" {
		t.Errorf("calls: %s", calls)
	}
}

func TestWhatADigestToldOf(t *testing.T) {
	t.Parallel()
	told := router.Receipt{Digest: "17.1", Open: true}
	t.Run("gets a card of its own when it gets worse", func(t *testing.T) {
		w := newWorld(t)
		n := opened()
		n.Receipt = told
		n.Receipt.Own = w.sync(digestOf(33, false)).Own
		r := w.sync(n)
		if ownOf(r).TS == "" || r.Digest != "" || len(w.shown()) != 2 {
			t.Errorf("receipt %+v, channel %q", r, w.shown())
		}
	})
	t.Run("is over in one line", func(t *testing.T) {
		w := newWorld(t)
		n := opened()
		n.Open, n.Alerts[0].Active, n.Receipt = false, false, told
		n.Incident.State, n.Incident.ResolvedAt = router.IncidentResolved, began.Add(5*time.Minute)
		n.Timeline = append(n.Timeline, entry(2, router.EntryResolved, "Endpoint error rate back under 5 %"))
		w.sync(n)
		want := []string{"Checkout: Endpoint error rate resolved after 5 min (INC-42)"}
		if diff := cmp.Diff(want, w.shown()); diff != "" {
			t.Errorf("channel (-want +got):\n%s", diff)
		}
	})
	t.Run("is over together with others", func(t *testing.T) {
		w := newWorld(t)
		r := w.sync(digestOf(6, true))
		if r.Open || r.Digest == "" {
			t.Errorf("receipt %+v", r)
		}
		if diff := cmp.Diff([]string{"6 incidents without a card here are over"}, w.shown()); diff != "" {
			t.Errorf("channel (-want +got):\n%s", diff)
		}
		body := blockText(t, w.slack.Messages("#payments")[0])
		for _, part := range []string{"Over: INC-100, INC-102, INC-104.",
			"Opened and closed again before this channel could be told: INC-101, INC-103, INC-105."} {
			if !strings.Contains(body, part) {
				t.Errorf("the digest lacks %q:\n%s", part, body)
			}
		}
	})
}

func TestADigestOfAnySizeFits(t *testing.T) {
	t.Parallel()
	for _, recovered := range []bool{false, true} {
		w := newWorld(t)
		n := digestOf(router.DigestSize, recovered)
		for i := range n.Digest.Parts {
			p := &n.Digest.Parts[i]
			p.Incident.Title, p.Incident.Number = strings.Repeat("<&>", 500), 9_000_000_000+int64(i)
		}
		n.Digest.Console = "https://flowbridge.example.com/" + strings.Repeat("x", 2000)
		w.sync(n)
		if calls := w.calls(0); calls != "postMessage" {
			t.Errorf("recovered %v: calls %s; want one that Slack takes", recovered, calls)
		}
		if size := utf8.RuneCountInString(w.shown()[0]); size > sentence {
			t.Errorf("recovered %v: the sentence has %d characters", recovered, size)
		}
	}
}

func TestADigestThatSlackDoesNotTake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.slack.Fail(sandbox.Fault{Method: "chat.postMessage", Times: 1, OKFalse: "invalid_auth"})
	r, err := w.fail(digestOf(33, false))
	var refusal interface{ Permanent() bool }
	if !errors.As(err, &refusal) || !refusal.Permanent() || r != (router.Receipt{}) {
		t.Errorf("got %v, receipt %+v", err, r)
	}
}

// lost is a digest as the queue hands it out after an attempt of which nobody knows how it ended.
func lost(n router.Notification, r router.Receipt) router.Notification {
	d := *n.Digest
	d.Unsettled = true
	n.Digest, n.Receipt, n.MayExist, n.Attempt = &d, r, true, 2
	return n
}

func TestADigestWhoseAnswerWasLostIsLookedFor(t *testing.T) {
	t.Parallel()
	for _, fault := range []sandbox.Fault{{EOF: true}, {OKFalse: "internal_error"}, {Status: 403}} {
		for _, accepted := range []bool{true, false} {
			testLostDigest(t, fault, accepted)
		}
	}
}

func testLostDigest(t *testing.T, fault sandbox.Fault, accepted bool) {
	t.Run(fmt.Sprintf("%d %s accepted %v", fault.Status, fault.OKFalse, accepted), func(t *testing.T) {
		w := newWorld(t)
		other := digestOf(40, false)
		other.Digest.ID = "D0"
		w.sync(other)
		fault.Method, fault.Times, fault.AfterAccept = "chat.postMessage", 1, accepted
		w.slack.Fail(fault)
		r, _ := w.fail(digestOf(33, false))
		if r != (router.Receipt{Unsure: true}) {
			t.Fatalf("receipt %+v", r)
		}
		w.notifier = w.sibling() // a new process
		w.pass(time.Hour)
		from := len(w.slack.Calls())
		want := router.Receipt{}
		if accepted {
			posted := w.slack.Messages("#payments")[1]
			want = router.Receipt{Own: put(own{Channel: w.slack.Channels()[0].ID}), Digest: posted.TS, Open: true}
		}
		if got := w.sync(lost(digestOf(33, false), r)); got != want {
			t.Errorf("receipt %+v, want %+v", got, want)
		}
		if calls := w.calls(from); calls != "list history" {
			t.Errorf("calls %s", calls)
		}
	})
}

func TestALookForADigestThatFails(t *testing.T) {
	t.Parallel()
	unsure := router.Receipt{Unsure: true}
	t.Run("is repeated", func(t *testing.T) {
		w := newWorld(t)
		w.slack.Fail(sandbox.Fault{Method: "conversations.history", Status: 503})
		r := unsure
		for i := range mostLooks {
			if r, _ = w.fail(lost(digestOf(33, false), r)); r != (router.Receipt{Unsure: true, Looks: i + 1}) {
				t.Errorf("receipt %+v", r)
			}
		}
		if r = w.sync(lost(digestOf(33, false), r)); r != (router.Receipt{}) {
			t.Errorf("receipt %+v; twice is better than never", r)
		}
	})
	t.Run("says nothing when the token is no good", func(t *testing.T) {
		w := newWorld(t)
		w.slack.Fail(sandbox.Fault{Method: "conversations.list", OKFalse: "token_revoked"})
		for _, n := range []router.Notification{lost(digestOf(33, false), unsure), afterCrash(opened())} {
			r, err := w.fail(n)
			var refusal interface{ Permanent() bool }
			if !errors.As(err, &refusal) || !refusal.Permanent() || !r.Unsure {
				t.Errorf("got %v, receipt %+v", err, r)
			}
		}
	})
}

// blockText is all text of the blocks of a message.
func blockText(t *testing.T, m sandbox.Message) string {
	t.Helper()
	var blocks []struct{ Text struct{ Text string } }
	if err := json.Unmarshal(m.Blocks, &blocks); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, b := range blocks {
		out = append(out, b.Text.Text)
	}
	return strings.Join(out, "\n")
}
