package router_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

func TestPeopleWriteLengthsOfTime(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "90d": 90 * 24 * time.Hour, "0m": 0,
		"999999999d": 1<<63 - 1,
	} {
		if got, ok := router.ParseDuration(text); !ok || got != want {
			t.Errorf("%q: %s, %v; want %s", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "5", "m", "-5m", "5 m", "1.5h", "1w", "5m "} {
		if got, ok := router.ParseDuration(text); ok {
			t.Errorf("%q is read as %s", text, got)
		}
	}
}

// TestWhatAnIncidentCameToIsNotSaidToHold holds that a level is said to hold only where it does: an incident may have
// left its last one, and go on at a lower one.
func TestWhatAnIncidentCameToIsNotSaidToHold(t *testing.T) {
	shop := router.FlowInfo{FlowName: "Checkout"}
	for want, i := range map[string]router.Incident{
		"Checkout: Endpoint error rate reached 50 %": {
			Event: router.EndpointErrorRate, FlowInfo: shop, Path: []router.Level{"5", "50"}},
		"Checkout: Endpoint availability fell below 90 %": {
			Event: router.EndpointAvailability, FlowInfo: shop, Path: []router.Level{"90"}},
		"Checkout: Flow status became BLOCKED": {
			Event: router.FlowStatusChange, FlowInfo: shop, Path: []router.Level{"THROTTLED", "BLOCKED"}},
		"account w is disabled": {Event: router.AccountBan, WABA: "w", Flow: account.Key(), Subject: account,
			Path: []router.Level{"DISABLE", "SCHEDULE_FOR_DISABLE"}, Change: "DISABLE"},
		"Slow": {Event: router.EndpointLatency, FlowInfo: shop, Path: []router.Level{"5000"}, Title: "Slow"},
	} {
		if got := i.What(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestWhatIsCalledTheSameIsToldApart(t *testing.T) {
	got := router.TellApart([]router.Called{
		{"Checkout", "Shop DE", "1"}, {"Checkout", "Shop FR", "2"}, {"Checkout", "Shop DE", "1"}, // twice the same
		{"Sign-up", "Shop DE", "3"}, {"Sign-up", "Shop DE", "4"}, {"Support", "Shop DE", "5"}, {"Support", "Shop DE", "5"},
		{router.DrillName, "0", "0001"}, {router.DrillName, "0", "0002"},
		{"flowbridge", "", "bridge:source"}, {"flowbridge", "", "bridge:drill"},
	})
	want := []string{"Checkout (Shop DE)", "Checkout (Shop FR)", "Checkout (Shop DE)", "Sign-up (3)", "Sign-up (4)",
		"Support", "Support", router.DrillName, router.DrillName, "flowbridge", "flowbridge"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
