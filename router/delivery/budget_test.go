package delivery

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"flowbridge/router"
)

func TestCharges(t *testing.T) {
	post := func(channel string, calls int) router.Charge {
		return router.Charge{Budget: "slack chat.postMessage " + channel, Calls: calls, Every: time.Second, Burst: 5}
	}
	update := func(reserve int) router.Charge {
		return router.Charge{Budget: "slack chat.update", Calls: 1, Every: 1500 * time.Millisecond, Burst: 10, Reserve: reserve}
	}
	event := func(calls int) router.Charge {
		return router.Charge{Budget: "pagerduty 7b9f5d2f0d9ef529", Calls: calls, Every: 600 * time.Millisecond, Burst: 20}
	}
	of := func(n router.Notification, change func(*router.Notification)) *router.Notification {
		n.Open = true
		change(&n)
		return &n
	}
	entries := func(kinds ...router.EntryKind) (out []router.Entry) {
		for _, k := range kinds {
			out = append(out, router.Entry{Kind: k})
		}
		return out
	}
	slack, pager := toSlack(1, "chat"), toPagerDuty(1, "oncall")
	for _, tt := range []struct {
		name string
		n    *router.Notification
		want []router.Charge
	}{
		{"a new card", of(slack, func(n *router.Notification) { n.Timeline = entries(router.EntryOpened, router.EntryRefreshed) }), []router.Charge{post("#chat", 1)}},
		{"a new card with a line in its thread", of(slack, func(n *router.Notification) { n.Timeline = entries(router.EntryOpened, router.EntryEscalated) }), []router.Charge{post("#chat", 2)}},
		{"new numbers on a card", of(slack, func(n *router.Notification) {
			n.Receipt, n.Class, n.Timeline = posted, router.ClassUpdate, entries(router.EntryRefreshed)
		}), []router.Charge{update(5)}},
		{"the end of a card, from the reserve", of(slack, func(n *router.Notification) {
			n.Open, n.Receipt, n.Class, n.Timeline = false, posted, router.ClassResolved, entries(router.EntryResolved)
		}), []router.Charge{update(0), post("#chat", 1)}},
		{"many lines, which are joined", of(slack, func(n *router.Notification) {
			n.Receipt, n.Class = posted, router.ClassWorse
			n.Timeline = entries(router.EntryNote, router.EntryNote, router.EntryNote, router.EntryNote, router.EntryNote)
		}), []router.Charge{update(0), post("#chat", 1)}},
		{"a card that can be edited no more", of(slack, func(n *router.Notification) {
			n.Receipt, n.Class, n.Timeline = posted, router.ClassUpdate, entries(router.EntryRefreshed, router.EntryNote)
			n.Receipt.Frozen = true
		}), []router.Charge{post("#chat", 1)}},
		{"a card whose thread takes no replies", of(slack, func(n *router.Notification) {
			n.Receipt, n.Class, n.Timeline = posted, router.ClassUpdate, entries(router.EntryNote)
			n.Receipt.Mute = true
		}), []router.Charge{update(5)}},
		{"what was over before it was told", of(slack, func(n *router.Notification) {
			n.Open, n.Timeline = false, entries(router.EntryEscalated, router.EntryResolved)
		}), []router.Charge{post("#chat", 1)}},
		{"a digest that is looked for", of(slack, func(n *router.Notification) { n.Incident, n.Digest = nil, &router.Digest{Unsettled: true} }), nil},
		{"a digest", of(slack, func(n *router.Notification) { n.Incident, n.Digest = nil, &router.Digest{} }), []router.Charge{post("#chat", 1)}},
		{"a notice", of(slack, func(n *router.Notification) { n.Open, n.Incident, n.Notice = false, nil, &router.Notice{} }), []router.Charge{post("#chat", 1)}},
		{"a notice that is there", of(slack, func(n *router.Notification) { n.Incident, n.Notice, n.Receipt = nil, &router.Notice{}, posted }), nil},
		{"a page", of(pager, func(*router.Notification) {}), []router.Charge{event(1)}},
		{"an acknowledgement", of(pager, func(n *router.Notification) {
			n.Incident = &router.Incident{State: router.IncidentAcknowledged}
		}), []router.Charge{event(2)}},
		{"the end of the first incident of its key", of(pager, func(n *router.Notification) {
			n.Open, n.Key, n.Incident = false, "k", &router.Incident{Key: "k", State: router.IncidentResolved, First: true, PageOnRise: true}
		}), []router.Charge{event(4)}},
		{"an acknowledgement that was passed on", of(pager, func(n *router.Notification) {
			n.Incident, n.Receipt.Acknowledged = &router.Incident{State: router.IncidentAcknowledged}, true
		}), []router.Charge{event(1)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Charges(tt.n)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("charges (-want +got):\n%s", diff)
			}
			for _, c := range got {
				if strings.Contains(c.Budget, pager.Target.RoutingKey.Reveal()) {
					t.Error("a budget is named by the routing key itself")
				}
			}
		})
	}
}

// TestBudgetsStayUnderTheLimits holds that in no minute more calls are made than a service takes.
func TestBudgetsStayUnderTheLimits(t *testing.T) {
	for name, b := range map[string]struct {
		burst, most int
		every       time.Duration
	}{
		"chat.update": {updateBurst, 50, updateEvery},
		"PagerDuty":   {eventBurst, 120, eventEvery},
	} {
		if got := b.burst + int(time.Minute/b.every); got > b.most {
			t.Errorf("%s: %d calls in a minute, %d are allowed", name, got, b.most)
		}
	}
}

func TestTheQueueInMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(toSlack(1, "chat"), toPagerDuty(2, "oncall"))
		q.items[1].n.Class = router.ClassUpdate
		q.lanes = []router.Lane{{Notifier: "chat", Failures: 2}, {Notifier: "oncall", Failures: 3},
			{Notifier: "busy", Waits: time.Now().Add(5 * time.Minute)}, {Notifier: "free", Waits: time.Now().Add(time.Minute)}}
		metrics := prometheus.NewRegistry()
		if _, err := New(Config{Registerer: metrics}, q); err != nil {
			t.Fatal(err)
		}
		time.Sleep(90 * time.Second)
		want := `
# HELP flowbridge_lane_paused 1 while a notifier keeps failing and is only probed, or its service wants a pause of more than a minute, else 0.
# TYPE flowbridge_lane_paused gauge
flowbridge_lane_paused{notifier="busy"} 1
flowbridge_lane_paused{notifier="chat"} 0
flowbridge_lane_paused{notifier="free"} 0
flowbridge_lane_paused{notifier="oncall"} 1
# HELP flowbridge_owed_oldest_seconds Since when the delivery is owed that has waited longest, by class: new, resolved, worse, update, digested.
# TYPE flowbridge_owed_oldest_seconds gauge
flowbridge_owed_oldest_seconds{class="new",notifier="chat"} 90
flowbridge_owed_oldest_seconds{class="update",notifier="oncall"} 90
`
		if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "flowbridge_lane_paused", "flowbridge_owed_oldest_seconds"); err != nil {
			t.Error(err)
		}
	})
}
