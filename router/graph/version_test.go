package graph

import (
	"testing"
	"time"

	"flowbridge/router"
)

// TestWhatTheVersionOfAFlowComesTo looks at a flow that was warned of.
func TestWhatTheVersionOfAFlowComesTo(t *testing.T) {
	soonOver, later := noon.AddDate(0, 0, 30), noon.AddDate(1, 0, 0)
	ends := func(version string) (time.Time, router.EndsBy) {
		switch version {
		case "5.0", "5.1":
			return soonOver, router.EndsByRules
		case "6.0":
			return later, router.EndsByRules
		}
		return time.Time{}, ""
	}
	for _, c := range []struct {
		name           string
		known          router.Countdown
		graph, status  string // "": Graph is not asked
		want, wantEnds string
	}{
		{"which version it is was not known", router.Countdown{}, "5.0", "PUBLISHED", "look 5.0", "2026-04-01"},
		{"neither is its date", router.Countdown{}, "4.0", "PUBLISHED", "look 4.0", ""},
		{"all is known", router.Countdown{Version: "5.0", Ends: soonOver, EndsBy: router.EndsByRules}, "5.0", "PUBLISHED",
			"", ""},
		{"the date is another", router.Countdown{Version: "5.0", Ends: noon, EndsBy: router.EndsByRules}, "", "",
			"look 5.0", "2026-04-01"},
		{"the date is gone from the rules", router.Countdown{Version: "7.0", Ends: noon, EndsBy: router.EndsByRules}, "", "",
			"look 7.0", ""},
		{"Meta's own word stands", router.Countdown{Version: "7.0", Ends: noon, EndsBy: router.EndsByWarning}, "", "",
			"", ""},
		{"it was moved to one that stays", router.Countdown{Version: "5.0"}, "7.3", "PUBLISHED", "over", ""},
		{"it was moved to one that ends in a year", router.Countdown{Version: "5.0"}, "6.0", "PUBLISHED", "over", ""},
		{"it was moved to one that ends as soon", router.Countdown{Version: "5.0"}, "5.1", "PUBLISHED", "look 5.1",
			"2026-04-01"},
		{"it is moved, and not published yet", router.Countdown{Version: "5.0"}, "7.3", "DRAFT", "", ""},
		{"Graph does not say", router.Countdown{Version: "5.0", Ends: soonOver, EndsBy: router.EndsByRules}, "", "PUBLISHED",
			"", ""},
	} {
		s := router.State{FlowID: router.FlowID{WABA: "501", Flow: "77"},
			Alerts:    []router.Alert{{Event: router.FlowVersionExpiryWarning, Active: true, Incident: 1, Countdown: &c.known}},
			Incidents: []router.Incident{{Number: 1, State: router.IncidentOpen}}}
		var h *Health
		if c.status != "" {
			h = &Health{Version: c.graph, Status: c.status}
		}
		w := &FlowWatch{cfg: WatchConfig{VersionEnds: ends}}
		got, gotEnds := "", ""
		for _, e := range w.versionEvents(&s, h, noon) {
			switch {
			case e.AlertState == router.Deactivated && e.Looked():
				got += "over"
			case e.Name == router.FlowLookedUp:
				got += "look " + e.Look.Countdown.Version
				if !e.Look.Countdown.Ends.IsZero() {
					gotEnds = e.Look.Countdown.Ends.Format(time.DateOnly)
				}
			}
		}
		if got != c.want || gotEnds != c.wantEnds {
			t.Errorf("%s: %q, %q, want %q, %q", c.name, got, gotEnds, c.want, c.wantEnds)
		}
		s.Incidents[0].State = router.IncidentResolved
		if events := w.versionEvents(&s, h, noon); len(events) > 0 {
			t.Errorf("%s: resolved by hand, it says %v", c.name, events)
		}
	}
}
