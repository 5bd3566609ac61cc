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

// counted is a service that counts calls.
type counted struct{ *service }

func (counted) Charges(n *router.Notification) []router.Charge {
	return []router.Charge{{Budget: "calls of " + n.Target.Notifier, Calls: 1, Every: time.Second, Burst: 1}}
}

func TestANotifierSaysWhatADeliveryCosts(t *testing.T) {
	unbudgeted := false
	d, err := New(Config{Notifiers: map[router.Kind]Notifier{router.KindSlack: counted{&service{answer: works}},
		router.KindPagerDuty: &service{answer: works}},
		Unbudgeted: func() bool { return unbudgeted }}, newQueue())
	if err != nil {
		t.Fatal(err)
	}
	chat, oncall := toSlack(1, "chat"), toPagerDuty(2, "oncall")
	want := []router.Charge{{Budget: "calls of chat", Calls: 1, Every: time.Second, Burst: 1}}
	if diff := cmp.Diff(want, d.charges(&chat)); diff != "" {
		t.Errorf("charges (-want +got):\n%s", diff)
	}
	if got := d.charges(&oncall); got != nil {
		t.Errorf("one whose calls nobody counts is charged %v", got)
	}
	unbudgeted = true
	if got := d.charges(&chat); got != nil {
		t.Errorf("without budgets it is charged %v", got)
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
		if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "flowbridge_lane_paused",
			"flowbridge_owed_oldest_seconds"); err != nil {
			t.Error(err)
		}
	})
}
