package slack

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

// lostCard posts a card whose answer is lost, or leaves no trace at all, and returns what is owed by a new process
// then.
func (w *world) lostCard(crash bool) router.Notification {
	w.t.Helper()
	w.slack.Fail(sandbox.Fault{Method: "chat.postMessage", EOF: true, AfterAccept: true, Times: 1})
	r, _ := w.fail(opened())
	w.notifier = w.sibling()
	if crash {
		return afterCrash(opened())
	}
	return after(r, 2, opened())
}

func TestACardInAPrivateChannelIsFoundAfterACrash(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		scopes string
		knows  func(context.Context, string) (string, error) // what receipts say
		cards  int
	}{
		"by its name": {"groups:history groups:read channels:read", nil, 1},
		"by the id that receipts know": {"groups:history",
			func(context.Context, string) (string, error) { return "C0SANDBOX01", nil }, 1},
		"where receipts cannot be read": {"groups:history groups:read channels:read",
			func(context.Context, string) (string, error) { return "", errors.New("no disk") }, 1},
		"not without a way to find it":   {"groups:history channels:read", nil, 2}, // twice is better than never
		"not without a scope to read it": {"groups:read channels:read channels:history", nil, 2},
	}
	for name, test := range tests {
		for _, crash := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, crash %v", name, crash), func(t *testing.T) {
				w := newWorld(t, func(there *sandbox.SlackConfig, here *Config) {
					there.Channels, there.Private = nil, []string{"#payments"}
					there.Scopes, here.ChannelID = append(strings.Fields(test.scopes), "chat:write"), test.knows
				})
				r := w.sync(w.lostCard(crash))
				if got := w.slack.Messages("#payments"); len(got) != test.cards || got[len(got)-1].TS != ownOf(r).TS {
					t.Errorf("%d cards, want %d; %s", len(got), test.cards, w.calls(0))
				}
			})
		}
	}
}

func TestWithoutTheScopeForPrivateChannelsPublicOnesAreFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(there *sandbox.SlackConfig, _ *Config) {
		there.Scopes = []string{"chat:write", "channels:read", "channels:history"}
	})
	w.sync(w.lostCard(true))
	if got := len(w.shown()); got != 1 {
		t.Errorf("%d cards: %s", got, w.calls(0))
	}
}

func TestAnIDThatAReceiptKnowsServesOthersOfThatChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(there *sandbox.SlackConfig, _ *Config) {
		there.Channels, there.Private = nil, []string{"#payments"}
		there.Scopes = []string{"chat:write", "groups:history"} // it cannot be found by its name
	})
	other := opened()
	other.Delivery = 8
	r := w.sync(other)
	n := w.lostCard(true)
	w.sync(after(r, 1, with(escalated(), func(n *router.Notification, _ *router.Incident) { n.Delivery = 8 })))
	w.sync(n)
	if got := len(w.roots()); got != 2 {
		t.Errorf("%d cards, want one for each: %q", got, w.shown())
	}
}

func TestACardIsFoundBelowManyNewerMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.lostCard(true)
	w.slack.Talk("#payments", 1200)
	r := w.sync(n)
	if got := w.slack.Messages("#payments"); len(got) != 1201 || got[0].TS != ownOf(r).TS {
		t.Errorf("%d messages, receipt %+v", len(got), r)
	}
}

func TestTheLookForACardGoesBackToTheAttemptAndNoFurther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pass(-24 * time.Hour)
	w.slack.Talk("#payments", 500)
	w.pass(24 * time.Hour)
	w.slack.Fail(sandbox.Fault{Method: "chat.postMessage", EOF: true, Times: 1})
	r, _ := w.fail(opened()) // it was not posted
	from := len(w.slack.Calls())
	w.sync(after(r, 2, opened()))
	if got, want := w.calls(from), "list history postMessage getPermalink"; got != want {
		t.Errorf("called %q, want %q", got, want)
	}
}

func TestAChannelTooBusyToLookThroughIsToldOnceMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.lostCard(true)
	w.slack.Talk("#payments", maxPages*pageSize)
	r := w.sync(n)
	if got := w.slack.Messages("#payments"); ownOf(r).TS != got[len(got)-1].TS ||
		!strings.Contains(w.log.String(), "perhaps again") {
		t.Errorf("receipt %+v\n%s", r, &w.log)
	}
}

// TestALookThatSlackLimitsEndsAfterMinutes holds that a card whose answer was lost comes, though Slack never lets us
// look.
func TestALookThatSlackLimitsEndsAfterMinutes(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]func(*world) router.Notification{
		"a card":   func(w *world) router.Notification { return w.lostCard(false) },
		"a digest": func(*world) router.Notification { return lost(digestOf(33, false), router.Receipt{Unsure: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			n := n(w)
			w.slack.Fail(sandbox.Fault{Method: "conversations.history", Status: 429, RetryAfter: time.Minute})
			began := w.clock()
			for {
				r, err := w.notifier.Sync(t.Context(), n)
				if err == nil {
					break
				}
				if outcome(err) != "later" || w.clock().Sub(began) > 10*time.Minute {
					t.Fatalf("after %s: %v", w.clock().Sub(began), err)
				}
				w.pass(time.Minute)
				n.Receipt = r
			}
			if waited := w.clock().Sub(began); waited < 3*time.Minute {
				t.Errorf("it was posted after %s: a limit of a minute is no reason to post twice", waited)
			}
		})
	}
}

// TestALookGoesOnWhereSlackLimitedIt holds that a channel with more messages than Slack shows us in a minute is looked
// through all the same.
func TestALookGoesOnWhereSlackLimitedIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.lostCard(false)
	w.slack.Talk("#payments", 3*pageSize)
	for range 3 {
		w.slack.Fail(sandbox.Fault{Method: "conversations.history", Skip: 1, Times: 1, Status: 429, RetryAfter: time.Minute})
		n.Receipt, _ = w.fail(n)
		w.pass(time.Minute)
	}
	from := len(w.slack.Calls())
	r := w.sync(n)
	got := w.slack.Messages("#payments")
	if len(got) != 3*pageSize+1 || got[0].TS != ownOf(r).TS || ownOf(r).Cursor != "" {
		t.Errorf("%d messages, receipt %+v", len(got), r)
	}
	if calls := w.calls(from); !strings.HasPrefix(calls, "history update") {
		t.Errorf("it looked through what it had seen: %s", calls)
	}
}

// TestARenamedChannelIsToldByItsID holds that what is new gets to a channel that has another name than in the rules.
func TestARenamedChannelIsToldByItsID(t *testing.T) {
	t.Parallel()
	receipts := func(context.Context, string) (string, error) { return "C0SANDBOX01", nil }
	tests := map[string]struct {
		met   bool // this process told something there before
		knows func(context.Context, string) (string, error)
		cards int // of what is new
		calls string
	}{
		"which this process has met": {true, nil, 1, "postMessage:channel_not_found postMessage"},
		"which receipts know":        {false, receipts, 1, "postMessage:channel_not_found postMessage getPermalink"},
		"which nobody knows":         {false, nil, 0, "postMessage:channel_not_found"},
		"where receipts cannot be read": {false, func(context.Context, string) (string, error) {
			return "", errors.New("no disk")
		}, 0, "postMessage:channel_not_found"},
		"which is gone": {false, func(context.Context, string) (string, error) { return "C0GONE", nil }, 0,
			"postMessage:channel_not_found postMessage:channel_not_found"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(_ *sandbox.SlackConfig, here *Config) { here.ChannelID = test.knows })
			if test.met {
				w.sync(opened())
			}
			w.slack.Rename("#payments", "#payments-old")
			before, calls := len(w.slack.Messages("C0SANDBOX01")), len(w.slack.Calls())
			n := opened()
			n.Delivery = 8
			_, err := w.notifier.Sync(t.Context(), n)
			if got := len(w.slack.Messages("C0SANDBOX01")) - before; got != test.cards || (err == nil) != (got > 0) {
				t.Errorf("%d cards, want %d; %v", got, test.cards, err)
			}
			if got := w.calls(calls); got != test.calls {
				t.Errorf("calls %q, want %q", got, test.calls)
			}
			if said := strings.Contains(w.log.String(), "has no channel of that name"); said != (test.cards > 0) {
				t.Errorf("the log says %q", w.log.String())
			}
		})
	}
}
