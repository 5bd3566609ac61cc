package router_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

// acts makes an event of a person at a minute.
func acts(minute int, source router.Source, name string, act router.Act) router.Event {
	return at(minute, name, func(e *router.Event) { e.Source, e.Act = source, &act })
}

func TestTheAuditKeepsWhatPeopleDid(t *testing.T) {
	sim := router.NewSimulation(&history{decide: chatAndPage})
	var got []router.AuditEntry
	for _, e := range []router.Event{
		up(0, 10),
		acts(1, router.SourceConsole, router.Acknowledge, router.Act{Incident: 1, Actor: "API (name given: ana)",
			Verified: router.VerifiedAdminToken, From: "203.0.113.9"}),
		acts(2, router.SourceSlack, router.Unacknowledge, router.Act{Incident: 1, Actor: "bo", From: "Slack, user U0BO"}),
		acts(3, router.SourcePagerDuty, router.Acknowledge, router.Act{Incident: 1, Actor: "cy", Notifier: "page"}),
		// no person's act
		acts(4, router.SourcePagerDuty, router.Resolve, router.Act{Incident: 1, Notifier: "page", Itself: true}),
		acts(5, router.SourcePagerDuty, router.LinkIncident,
			router.Act{Incident: 1, Link: &router.Link{Notifier: "page", ID: "P1"}}),
		silence(6, "s1", router.Scope{Flow: "f", Event: "E", Labels: map[string]string{"team": "payments"}}, time.Time{}),
		silence(7, "s2", router.Scope{}, morning.Add(67*time.Minute)),
		unsilence(8, "s1"),
		acts(9, router.SourceConsole, router.Resolve, router.Act{Incident: 7, Verified: router.VerifiedNot,
			From: "127.0.0.1"}),
		down(10, 5),
	} {
		for _, b := range sim.Fold(e) {
			got = append(got, b.Audit...)
		}
	}
	entry := func(event int64, who, verified, from, what, result string) router.AuditEntry {
		return router.AuditEntry{At: morning.Add(time.Duration(event-1) * time.Minute), Who: who, Verified: verified,
			From: from, What: what, Result: result, Event: event}
	}
	const unknown = "not recorded"
	want := []router.AuditEntry{
		entry(2, "API (name given: ana)", router.VerifiedAdminToken, "203.0.113.9", "acknowledge INC-1",
			"acknowledged INC-1"),
		entry(3, "bo", router.VerifiedSlack, "Slack, user U0BO", "unacknowledge INC-1", "unacknowledged INC-1"),
		entry(4, "cy", router.VerifiedPagerDuty, "PagerDuty", "acknowledge INC-1", "acknowledged INC-1"),
		entry(7, "ana", unknown, unknown, "silence flow f, event E, team payments until it has recovered (s1)",
			"silence s1 added"),
		entry(8, "ana", unknown, unknown, "silence everything until 2026-03-02 09:07 UTC (s2)", "silence s2 added"),
		entry(9, "ana", unknown, unknown, "end silence s1", "silence s1 ended"),
		entry(10, "somebody", router.VerifiedNot, "127.0.0.1", "resolve INC-7", "INC-7 is resolved already"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the audit (-want +got):\n%s", diff)
	}
}

func TestASilenceOfEverythingIsToldToTheFallbackWhenItBegins(t *testing.T) {
	for _, tt := range []struct {
		name  string
		scope router.Scope
		until time.Time
		want  string
	}{
		{"a flow", router.Scope{Flow: "f"}, morning.Add(time.Hour), ""},
		{"an account", router.Scope{WABA: "w"}, morning.Add(time.Hour), ""},
		{"a team", router.Scope{Labels: map[string]string{"team": "a"}}, time.Time{}, ""},
		{"everything", router.Scope{}, morning.Add(time.Hour),
			"Everything is silenced for 1 h, until 2026-03-02 09:00 UTC, by ana."},
		{"everything until recovered", router.Scope{}, time.Time{}, "Everything is silenced until it has recovered, by ana."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sim := router.NewSimulation(&history{decide: chatAndPage})
			var told []router.Event
			e := silence(0, "s", tt.scope, tt.until)
			for _, b := range append(sim.Fold(e), sim.Fold(e)...) { // a repeat begins nothing
				told = append(told, b.Events...)
			}
			if tt.want == "" {
				if len(told) > 0 {
					t.Errorf("told: %+v", told)
				}
				return
			}
			if len(told) != 1 || told[0].Name != router.EverythingSilenced || !told[0].ForFallback() ||
				!strings.HasPrefix(told[0].Message, tt.want) {
				t.Errorf("told: %+v, want %q", told, tt.want)
			}
		})
	}
}
