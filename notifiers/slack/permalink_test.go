package slack

import (
	"strings"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

// another is an incident of another flow in the same channel.
func another(number int64) router.Notification {
	return with(opened(), func(n *router.Notification, inc *router.Incident) {
		n.Delivery, inc.Number = 100+number, number
	})
}

// TestSlackIsAskedForTheAddressOfOneCardInAChannel: those of the others are made of it, and are what Slack would say.
func TestSlackIsAskedForTheAddressOfOneCardInAChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	from := len(w.slack.Calls())
	for number := range int64(3) {
		r := w.sync(another(50 + number))
		want := "https://sandbox.slack.com/archives/" + ownOf(r).Channel + "/p" + strings.ReplaceAll(ownOf(r).TS, ".", "")
		if r.Link != want {
			t.Errorf("the address of card %d is %s, want %s", number+1, r.Link, want)
		}
	}
	if got, want := w.calls(from), "postMessage getPermalink postMessage postMessage"; got != want {
		t.Errorf("called %q, want %q", got, want)
	}
	w.pass(permalinkFor)
	from = len(w.slack.Calls())
	w.sync(another(60))
	if got, want := w.calls(from), "postMessage getPermalink"; got != want {
		t.Errorf("after an hour called %q, want %q", got, want)
	}
}

// TestAnAddressOfAnotherFormServesItsOwnCardAlone: of what does not end as Slack's addresses do nothing is made.
func TestAnAddressOfAnotherFormServesItsOwnCardAlone(t *testing.T) {
	t.Parallel()
	for _, link := range []string{"https://sandbox.slack.com/archives/C9/p1700000000000100", "https://elsewhere.example/1",
		""} {
		w := newWorld(t)
		w.slack.Fail(sandbox.Fault{Method: "chat.getPermalink", Body: `{"ok":true,"permalink":"` + link + `"}`, Times: 1})
		from := len(w.slack.Calls())
		if r := w.sync(another(50)); r.Link != link {
			t.Errorf("the address is %q, want %q", r.Link, link)
		}
		if r := w.sync(another(51)); !strings.HasPrefix(r.Link, "https://sandbox.slack.com/archives/C0SANDBOX01/p") {
			t.Errorf("after %q the address of another card is %q", link, r.Link)
		}
		if got, want := w.calls(from), "postMessage getPermalink:fault postMessage getPermalink"; got != want {
			t.Errorf("after %q called %q, want %q", link, got, want)
		}
	}
}

// TestAnAddressIsLearntFromItsChannelAlone: what only happens to end in the same digits says nothing of others.
func TestAnAddressIsLearntFromItsChannelAlone(t *testing.T) {
	t.Parallel()
	n, err := New(Config{Token: "xoxb-1"})
	if err != nil {
		t.Fatal(err)
	}
	for link, want := range map[string]string{"https://a.example/archives/C2/p171": "", "https://a.example/?at=171": "",
		"https://a.example/archives/C1/p171": "https://a.example/archives/C1/p182"} {
		clear(n.links)
		n.learn("C1", "17.1", link)
		if got := n.linked("C1", "18.2"); got != want {
			t.Errorf("by %q the next is %q, want %q", link, got, want)
		}
	}
}

// TestNothingWaitsForAnAddress: without an answer the card stands, and none asks again for a while.
func TestNothingWaitsForAnAddress(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]sandbox.Fault{
		"the connection breaks": {EOF: true},
		"too many calls":        {Status: 429, RetryAfter: 30 * time.Second},
		"a fault of Slack":      {OKFalse: "internal_error"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			fault.Method = "chat.getPermalink"
			w.slack.Fail(fault)
			r := w.sync(opened())
			if r.Link != "" || ownOf(r).TS == "" {
				t.Errorf("receipt %+v", r)
			}
			from := len(w.slack.Calls())
			w.sync(another(50))
			if got, want := w.calls(from), "postMessage"; got != want {
				t.Errorf("the next card called %q, want %q", got, want)
			}
			w.slack.ClearFaults()
			w.pass(permalinkRest)
			if r = w.sync(after(r, 1, escalated())); r.Link == "" {
				t.Error("it was not asked again")
			}
		})
	}
}

// TestAMessageThatIsGoneHasNoAddress: that says nothing of other messages.
func TestAMessageThatIsGoneHasNoAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.slack.Fail(sandbox.Fault{Method: "chat.getPermalink", OKFalse: "message_not_found", Times: 1})
	if r := w.sync(another(50)); r.Link != "" {
		t.Errorf("receipt %+v", r)
	}
	if r := w.sync(another(51)); r.Link == "" {
		t.Error("Slack was not asked of the next")
	}
}
