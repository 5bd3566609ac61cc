package slack

import (
	"strings"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

// TestChargesAreTheCallsThatSlackCounts tells every state of a card, and compares what it was charged with what
// arrived. Only where an attempt was lost is more charged than called: whether a message is there shows when it is
// looked for.
func TestChargesAreTheCallsThatSlackCounts(t *testing.T) {
	t.Parallel()
	over := func(n router.Notification) router.Notification {
		inc, alerts := *n.Incident, append([]router.Alert{}, n.Alerts...)
		inc.State, inc.ResolvedAt = router.IncidentResolved, began.Add(5*time.Minute)
		alerts[0].Active = false
		n.Incident, n.Alerts, n.Open = &inc, alerts, false
		n.Timeline = append(n.Timeline, entry(7, router.EntryResolved, "Endpoint error rate back under 5 %"))
		return n
	}
	lines := func(n router.Notification, kinds ...router.EntryKind) router.Notification {
		for i, k := range kinds {
			n.Timeline = append(n.Timeline, entry(int64(2+i), k, "a line"))
		}
		return n
	}
	class := func(c router.Class, n router.Notification) router.Notification {
		n.Class = c
		return n
	}
	with := func(n router.Notification, change func(*router.Notification)) router.Notification {
		change(&n)
		return n
	}
	news := func() router.Notification {
		n := opened()
		n.Incident, n.Alerts, n.Timeline, n.Open = nil, nil, nil, false
		n.Notice = &router.Notice{Event: 9, At: began, WABA: "501", Flow: "77", Name: router.FlowStatusChange,
			NewStatus: router.Published, Severity: router.Info, Rule: "r"}
		return n
	}
	tests := []struct {
		name  string
		first *router.Notification // what the channel was told before; nil for nothing
		n     router.Notification
		posts int
		edits int
	}{
		{"open", nil, opened(), 1, 0},
		{"open, with a line in its thread", nil, lines(opened(), router.EntryEscalated), 2, 0},
		{"open, with many lines, which are joined", nil, lines(opened(), router.EntryNote, router.EntryNote, router.EntryNote,
			router.EntryNote, router.EntryNote), 2, 0},
		{"update", new(opened()), class(router.ClassUpdate, opened()), 0, 1},
		{"escalate", new(opened()), class(router.ClassWorse, lines(opened(), router.EntryEscalated)), 1, 1},
		{"acknowledge", new(opened()), class(router.ClassUpdate, lines(opened(), router.EntryAcknowledged)), 1, 1},
		{"a reminder", new(opened()), with(lines(opened(), router.EntryReminded), func(n *router.Notification) {
			n.Alerts = append([]router.Alert{}, n.Alerts...)
			n.Alerts[0].Routes = []router.AlertRoute{{Notifier: "payments-chat", Remind: time.Hour, Mention: []string{"here"}}}
		}), 1, 1},
		{"a reminder of others", new(opened()), lines(opened(), router.EntryReminded), 0, 1},
		{"four lines", new(opened()), lines(opened(), router.EntryNote, router.EntryNote, router.EntryNote, router.EntryNote),
			4, 1},
		{"five lines, which are joined", new(opened()), lines(opened(), router.EntryNote, router.EntryNote, router.EntryNote,
			router.EntryNote, router.EntryNote), 1, 1},
		{"resolve", new(opened()), class(router.ClassResolved, over(opened())), 1, 1},
		{"reopened", new(over(opened())), with(opened(), func(n *router.Notification) {
			n.Timeline = append(n.Timeline, entry(8, router.EntryReopened, "it is back"))
		}), 1, 1},
		{"over before it was told", nil, over(lines(opened(), router.EntryEscalated)), 1, 0},
		{"a thread that takes no replies", new(opened()), with(lines(opened(), router.EntryNote),
			func(n *router.Notification) { n.Receipt = altered(n.Receipt, func(o *own) { o.Mute = true }) }), 0, 1},
		{"a card that cannot be edited", new(opened()), with(lines(opened(), router.EntryNote), func(n *router.Notification) {
			n.Receipt = altered(n.Receipt, func(o *own) { o.Frozen, o.Shown = true, router.Critical })
		}), 1, 0},
		{"the end of a card that cannot be edited", new(opened()), with(over(opened()), func(n *router.Notification) {
			n.Receipt = altered(n.Receipt, func(o *own) { o.Frozen, o.Shown = true, router.Critical })
		}), 3, 0},
		{"notice", nil, news(), 1, 0},
		{"notice that was told", new(news()), news(), 0, 0},
		{"digest", nil, digestOf(33, false), 1, 0},
		{"digest of ends", nil, digestOf(6, true), 1, 0},
		{"a digest that is looked for", new(digestOf(33, false)),
			with(digestOf(33, false), func(n *router.Notification) { n.Digest.Unsettled = true }), 0, 0},
		{"the card of what a digest told of", new(digestOf(33, false)), opened(), 1, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			n := test.n
			if test.first != nil {
				want := ownOf(n.Receipt)
				n = after(w.sync(*test.first), 1, n)
				n.Receipt = altered(n.Receipt, func(o *own) { o.Mute, o.Frozen, o.Shown = want.Mute, want.Frozen, want.Shown })
			}
			before := len(w.slack.Calls())
			charges := w.notifier.Charges(&n)
			if n.Incident != nil {
				leastPosts, leastEdits := charged(t, w.notifier.Charges(unread(n)))
				if posts, edits := charged(t, charges); leastPosts > posts || leastEdits > edits {
					t.Errorf("at least %d posts and %d edits, but %d and %d", leastPosts, leastEdits, posts, edits)
				}
			}
			w.sync(n)
			posts, edits := charged(t, charges)
			if calledPosts, calledEdits := callsOf(w, before); posts != calledPosts || edits != calledEdits ||
				posts != test.posts || edits != test.edits {
				t.Errorf("charged %d posts and %d edits, made %d and %d, want %d and %d", posts, edits, calledPosts, calledEdits,
					test.posts, test.edits)
			}
			for _, c := range charges {
				if least := n.Class <= router.ClassWorse; strings.HasPrefix(c.Budget, "slack chat.update") &&
					(c.Reserve == 0) != least {
					t.Errorf("a delivery of class %s leaves %d edits to others", n.Class, c.Reserve)
				}
			}
		})
	}
	for name, fault := range map[string]*sandbox.Fault{
		"and had posted": {Method: "chat.postMessage", EOF: true, AfterAccept: true, Times: 1},
		"and had not":    {Method: "chat.postMessage", EOF: true, Times: 1},
	} {
		t.Run("an attempt that was lost "+name, func(t *testing.T) {
			w := newWorld(t)
			n := lines(opened(), router.EntryEscalated)
			w.slack.Fail(*fault)
			w.fail(n)
			n = afterCrash(n)
			before := len(w.slack.Calls())
			posts, edits := charged(t, w.notifier.Charges(&n))
			w.sync(n)
			if calledPosts, calledEdits := callsOf(w, before); posts < calledPosts || edits < calledEdits ||
				posts+edits != calledPosts+calledEdits+1 {
				t.Errorf("charged %d posts and %d edits, made %d and %d", posts, edits, calledPosts, calledEdits)
			}
		})
	}
}

// unread is a notification as the queue asks about it before it has read the incident.
func unread(n router.Notification) *router.Notification {
	n.Incident, n.Alerts, n.Also, n.Timeline, n.Related, n.Problems, n.Digest = nil, nil, nil, nil, nil, nil, nil
	return &n
}

func charged(t *testing.T, charges []router.Charge) (posts, edits int) {
	t.Helper()
	for _, c := range charges {
		switch c.Budget {
		case "slack chat.postMessage #payments":
			posts += c.Calls
		case "slack chat.update":
			edits += c.Calls
		default:
			t.Errorf("an unknown budget %q", c.Budget)
		}
	}
	return posts, edits
}

func callsOf(w *world, from int) (posts, edits int) {
	for _, c := range w.slack.Calls()[from:] {
		switch c.Method {
		case "chat.postMessage":
			posts++
		case "chat.update":
			edits++
		}
	}
	return posts, edits
}

// TestTheBudgetOfEditsStaysUnderTheLimit holds that in no minute more edits are made than Slack takes of an app.
func TestTheBudgetOfEditsStaysUnderTheLimit(t *testing.T) {
	t.Parallel()
	if got := updateBurst + int(time.Minute/updateEvery); got >= 50 {
		t.Errorf("%d edits in a minute, 50 are allowed", got)
	}
}

// TestPostsThatTheBudgetAllowsMeetNoLimit: a call arrives some milliseconds after it was paid for, and the next one
// sooner.
func TestPostsThatTheBudgetAllowsMeetNoLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(there *sandbox.SlackConfig, _ *Config) { there.NoLimits = false })
	allowed, burst := w.now, postBurst
	for i := range int64(30) {
		if burst--; burst < 0 {
			allowed = allowed.Add(postEvery)
		}
		w.mu.Lock()
		w.now = allowed.Add(time.Duration((i+1)%2) * 90 * time.Millisecond)
		w.mu.Unlock()
		n := another(i + 1)
		if posts, _ := calls(&n); posts != 1 {
			t.Fatalf("it takes %d posts", posts)
		}
		if _, err := w.notifier.Sync(t.Context(), n); err != nil {
			t.Fatalf("post %d: %v", i+1, err)
		}
	}
}
