package store_test

import (
	"context"
	"fmt"
	"testing"

	"flowbridge/router"
	"flowbridge/router/store"
)

// TestTheStateOfEachFlowIsReadOnce asks for the states of more and more flows at once: each has its alerts and its
// incident, and each of them once, however many are asked for.
func TestTheStateOfEachFlowIsReadOnce(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		var b router.Batch
		var flows []router.FlowID
		for n := range int64(70) { // more than one query asks for
			flow := router.FlowID{WABA: "w", Flow: fmt.Sprint("of state ", n)}
			inc := incident(1000 + n)
			inc.WABA, inc.Flow = flow.WABA, flow.Flow
			b.Incidents = append(b.Incidents, inc)
			for _, level := range []router.Level{"5", "10"} {
				b.Alerts = append(b.Alerts, router.FlowAlert{FlowID: flow, Alert: router.Alert{Event: router.EndpointErrorRate,
					Level: level, Active: true, Raised: noon, Since: noon, Incident: inc.Number, Key: inc.Key}})
			}
			flows = append(flows, flow)
		}
		check(t, s.Commit(ctx, b))
		for _, n := range []int{1, 2, 3, 4, 5, 6, 7, 9, 33, 64, 65, 70} {
			states, err := s.States(ctx, flows[:n], nil)
			check(t, err)
			for i, flow := range flows[:n] {
				state := states[flow]
				if len(state.Incidents) != 1 || state.Incidents[0].Number != 1000+int64(i) || len(state.Alerts) != 2 ||
					state.Alerts[0].Level == state.Alerts[1].Level {
					t.Errorf("of %d flows, flow %d: %d incidents and %d alerts, want 1 and 2", n, i, len(state.Incidents),
						len(state.Alerts))
				}
			}
		}
	})
}
