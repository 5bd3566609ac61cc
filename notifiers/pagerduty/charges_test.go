package pagerduty_test

import (
	"strings"
	"testing"
	"time"

	"flowbridge/notifiers/pagerduty"
	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

// TestChargesAreTheCallsThatPagerDutyCounts tells every state of a page, and compares what it was charged with what
// arrived.
func TestChargesAreTheCallsThatPagerDutyCounts(t *testing.T) {
	t.Parallel()
	told := func(n router.Notification) router.Notification { // as it is known after an attempt that succeeded
		n.Receipt = router.Receipt{Own: dedup(n.Key), Open: true, Severity: n.Severity, Told: n.Incident.Entries,
			Opening: n.Opening}
		n.MayExist = true
		return n
	}
	lost := func(n router.Notification) router.Notification { // an attempt that nobody wrote the end of
		n.MayExist, n.Attempt = true, 2
		return n
	}
	acked := func(n router.Notification) router.Notification {
		inc := *n.Incident
		inc.State, inc.AcknowledgedAt, inc.AcknowledgedBy = router.IncidentAcknowledged, opened.Add(time.Hour), "ana"
		n.Incident = &inc
		n.Timeline = append(n.Timeline, router.Entry{N: 6, Kind: router.EntryAcknowledged})
		return n
	}
	over := func(n router.Notification) router.Notification {
		inc := *n.Incident
		inc.State, inc.ResolvedAt = router.IncidentResolved, opened.Add(time.Hour)
		n.Incident, n.Open = &inc, false
		return n
	}
	with := func(n router.Notification, change func(*router.Notification)) router.Notification {
		change(&n)
		return n
	}
	tests := []struct {
		name string
		n    router.Notification
		want int
	}{
		{"open", failing(), 1},
		{"open, once more after an attempt that was lost", lost(failing()), 1},
		{"update", told(failing()), 1},
		{"escalate", with(told(failing()), func(n *router.Notification) { n.Receipt.Severity = router.Warning }), 1},
		{"acknowledge", acked(told(failing())), 2},
		{"acknowledged before it was told", acked(failing()), 2},
		{"acknowledged, and worse since: it pages", with(acked(told(failing())), func(n *router.Notification) {
			n.Alerts = append([]router.Alert{}, n.Alerts...)
			n.Alerts[0].Heard = opened.Add(2 * time.Hour)
		}), 1},
		{"acknowledged, and told so", with(acked(told(failing())), func(n *router.Notification) {
			n.Receipt.Acknowledged,
				n.Timeline = true, nil
		}), 1},
		{"acknowledged anew", with(acked(told(failing())),
			func(n *router.Notification) { n.Receipt.Acknowledged = true }), 2},
		{"acknowledged in PagerDuty itself", with(acked(told(failing())), func(n *router.Notification) {
			n.Incident.AcknowledgedIn = router.Page{Notifier: n.Target.Notifier, Key: n.Key}
		}), 1},
		{"an acknowledgement that was taken back elsewhere",
			with(told(failing()), func(n *router.Notification) { n.Receipt.Acknowledged = true }), 2},
		{"reopened, and the end between them never told",
			with(told(failing()), func(n *router.Notification) { n.Opening, n.Receipt.Opening = 2, 1 }), 2},
		{"reopened and acknowledged",
			with(acked(told(failing())), func(n *router.Notification) { n.Opening, n.Receipt.Opening = 2, 1 }), 3},
		{"reopened after its end was told", with(told(failing()), func(n *router.Notification) {
			n.Opening, n.Receipt.Opening,
				n.Receipt.Open = 2, 1, false
		}), 1},
		{"resolve", over(told(failing())), 1},
		{"resolve after an attempt that was lost", over(lost(failing())), 1},
		{"resolved, and told so", with(over(told(failing())), func(n *router.Notification) { n.Receipt.Open = false }), 0},
		{"over before it was told", over(failing()), 0},
		{"notice", notice("FLOW_ON_FIRE", router.Info), 1},
		{"notice that pages", notice("FLOW_ON_FIRE", router.Critical), 1},
		{"notice that was told",
			with(notice("FLOW_ON_FIRE", router.Info), func(n *router.Notification) { n.Receipt.Told = 1 }), 0},
		{"recovery of what nobody knows", with(notice(router.EndpointErrorRate, router.Error), func(n *router.Notification) {
			n.Notice.AlertState, n.Notice.Recovery, n.Key = router.Deactivated, incident42, incident42
		}), 4},
		{"a digest, which it never gets", router.Notification{Target: failing().Target, Digest: &router.Digest{}}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
			charged := 0
			for _, c := range b.Charges(&test.n) {
				charged += c.Calls
				if strings.Contains(c.Budget, routingKey) {
					t.Error("a budget is named by the routing key itself")
				}
			}
			if unread := test.n; unread.Incident != nil {
				unread.Incident, unread.Alerts, unread.Timeline = nil, nil, nil
				for _, c := range b.Charges(&unread) {
					if c.Calls > charged {
						t.Errorf("at least %d calls, but %d", c.Calls, charged)
					}
				}
			}
			if _, err := b.Sync(t.Context(), test.n); err != nil {
				t.Fatal(err)
			}
			if got := len(b.Calls()); got != charged || got != test.want {
				t.Errorf("charged %d calls, made %d %v, want %d", charged, got, b.actions(), test.want)
			}
		})
	}
}
