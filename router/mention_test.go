package router_test

import (
	"slices"
	"testing"

	"flowbridge/router"
)

// TestMentionsArePinnedToWhatIsActive: whom the rules call for a level is called while that is active, and two entries
// for one target call whom each of them names.
func TestMentionsArePinnedToWhatIsActive(t *testing.T) {
	other := chat
	other.Notifier = "chat under another name"
	sim := router.NewSimulation(&history{decide: func(e *router.Event) router.Decision {
		d := chatAndPage(e)
		d.Notify = []router.Route{{Target: chat, Mention: []string{"U0123ABCD"}}}
		if d.Severity == router.Critical {
			d.Notify = append(d.Notify, router.Route{Target: other, Mention: []string{"here", "U0123ABCD"}})
		}
		return d
	}})
	for _, step := range []struct {
		e    router.Event
		want []string
	}{
		{up(0, 10), []string{"U0123ABCD"}},
		{up(1, 50), []string{"U0123ABCD", "here"}},
		{down(2, 50), []string{"U0123ABCD"}},
		{down(3, 5), nil},
	} {
		sim.Fold(step.e)
		state := sim.State(router.FlowID{WABA: "w", Flow: "f"})
		n := router.Notification{Target: chat, Alerts: state.AlertsOf(1)}
		if got := n.Mentions(); !slices.Equal(got, step.want) {
			t.Errorf("after %s: %v, want %v", step.e.AlertState, got, step.want)
		}
	}
}
