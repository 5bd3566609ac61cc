package slack

import (
	"testing"
	"time"

	"flowbridge/router"
)

// TestACommandIsAnsweredOnceItsActShows has the fold come to an act with the third look at its incident: whoever writes
// the next command sees it.
func TestACommandIsAnsweredOnceItsActShows(t *testing.T) {
	t.Parallel()
	entry := func(kind router.EntryKind) func(*router.IncidentDetail, time.Time) {
		return func(inc *router.IncidentDetail, at time.Time) {
			inc.Timeline = append(inc.Timeline, router.Entry{Kind: kind, At: at, N: 99})
		}
	}
	for _, test := range []struct {
		text  string
		now   router.Notification
		fold  func(*router.IncidentDetail, time.Time)
		wants string
	}{
		{"ack 42", opened(), entry(router.EntryAcknowledged), "INC-42: acknowledged."},
		{"unack 42", acked(), entry(router.EntryUnacknowledged), "INC-42: no longer acknowledged."},
		{"silence 42 4h", opened(), func(inc *router.IncidentDetail, _ time.Time) { inc.Silence.ID = "s" },
			"INC-42: silenced for 4 h."},
		{"unsilence 42", cards()["silenced-from-its-card"], func(inc *router.IncidentDetail, _ time.Time) {
			inc.Silence = router.Silence{}
		}, "INC-42: no longer silenced."},
		// Meta was faster
		{"resolve 42", opened(), func(inc *router.IncidentDetail, _ time.Time) { inc.Incident = *resolvedOne().Incident },
			"INC-42: already resolved by Meta at <!date^1773464700^{time}|05:05 UTC>"},
	} {
		t.Run(test.text, func(t *testing.T) {
			d := newDesk(t)
			d.card(opened())
			d.ledger.set(test.now, d.receipt)
			looks, folded, at := 0, false, time.Time{}
			d.ledger.appended = func(_ *ledger, when time.Time) { looks, at = 0, when }
			d.ledger.looked = func() {
				if looks++; looks == 3 && !at.IsZero() {
					inc := d.ledger.incidents[42]
					test.fold(&inc, at)
					d.ledger.incidents[42], folded = inc, true
				}
			}
			if got := d.write(test.text); got != test.wants {
				t.Errorf("answered %q, want %q", got, test.wants)
			}
			d.ledger.mu.Lock()
			if !folded {
				t.Error("it was answered before it could be seen")
			}
			d.ledger.mu.Unlock()
			d.over(0)
		})
	}
}
