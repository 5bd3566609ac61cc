package router_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"flowbridge/router"
)

// TestOrderOfArrivalDoesNotMatter folds a random history twice: as it happened, and shuffled with repeats.
// Both must end with the same alerts active, the same notifiers open, and the same severities.
func TestOrderOfArrivalDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		group := rapid.SampledFrom([]router.GroupBy{router.GroupBySignal, router.GroupByThreshold, router.GroupByFlow}).Draw(t, "group by")
		happened := rapid.SliceOfN(rapid.Custom(drawEvent), 1, 14).Draw(t, "events")
		for i := range happened { // no two at the same time: arrival would break the tie
			happened[i].At = morning.Add(time.Duration(i) * time.Minute)
			happened[i].Received = morning.Add(time.Hour)
		}
		arrived := rapid.Permutation(slices.Concat(happened, happened[:rapid.IntRange(0, len(happened)).Draw(t, "repeats")])).Draw(t, "arrived")

		want, got := &history{decide: groupedBy(group)}, &history{decide: groupedBy(group)}
		for _, e := range happened {
			want.fold(e)
			checkInvariants(t, want.state)
		}
		for _, e := range arrived {
			got.fold(e)
			checkInvariants(t, got.state)
		}
		if g, w := whatStands(got.state), whatStands(want.state); g != w {
			t.Fatalf("shuffled:\n%s\nin order:\n%s", g, w)
		}
	})
}

// TestPeopleDoNotBreakTheFold adds acknowledgements and resolves by hand at random.
func TestPeopleDoNotBreakTheFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{decide: chatAndPage}
		for i := range rapid.IntRange(1, 25).Draw(t, "length") {
			e := drawEvent(t)
			if rapid.IntRange(0, 3).Draw(t, "person") == 0 {
				e = person(0, rapid.SampledFrom([]string{router.Acknowledge, router.Resolve}).Draw(t, "act"), rapid.Int64Range(1, 4).Draw(t, "incident"))
			}
			e.At = morning.Add(time.Duration(i) * time.Minute)
			h.fold(e)
			checkInvariants(t, h.state)
		}
	})
}

func drawEvent(t *rapid.T) router.Event {
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		return status(0, "", rapid.SampledFrom([]string{router.Throttled, router.Blocked, router.Published}).Draw(t, "status"))
	case 1:
		return pair(0, router.EndpointAvailability, drawState(t), rapid.SampledFrom([]float64{90, 95}).Draw(t, "availability"))
	default:
		return pair(0, router.EndpointErrorRate, drawState(t), rapid.SampledFrom([]float64{5, 10, 50}).Draw(t, "rate"))
	}
}

func drawState(t *rapid.T) string {
	return rapid.SampledFrom([]string{router.Activated, router.Deactivated}).Draw(t, "state")
}

// checkInvariants holds after every event: a notifier is open exactly while an active alert routes to it,
// its severity is the highest of those alerts, and an incident is as bad as the worst of its active alerts.
func checkInvariants(t *rapid.T, s router.State) {
	for _, inc := range s.Incidents {
		worst := router.SeverityUnset
		routed := map[string]router.Severity{}
		for _, a := range s.Alerts {
			if a.Counts() && a.Incident == inc.Number {
				worst = max(worst, a.Severity)
				for _, n := range a.Routes {
					routed[n.Notifier] = max(routed[n.Notifier], a.Severity)
				}
			}
		}
		if inc.State == router.IncidentResolved {
			if inc.ResolvedBy == "" && worst != router.SeverityUnset {
				t.Fatalf("%s resolved by itself with an active alert", inc.Name())
			}
			routed = nil
		} else if worst == router.SeverityUnset {
			t.Fatalf("%s is open without an active alert", inc.Name())
		} else if inc.Severity != worst {
			t.Fatalf("%s: severity %s, want %s", inc.Name(), inc.Severity, worst)
		}
		for _, w := range inc.Watch {
			if w.Paged || w.Rise != 0 { // open for another reason
				continue
			}
			severity, open := routed[w.Notifier]
			if w.Open != open || open && w.Severity != severity {
				t.Fatalf("%s: notifier %s open=%v severity=%s, want open=%v severity=%s", inc.Name(), w.Notifier, w.Open, w.Severity, open, severity)
			}
		}
	}
	for _, a := range s.Alerts {
		if a.Active && !slices.ContainsFunc(s.Incidents, func(inc router.Incident) bool { return inc.Number == a.Incident }) {
			t.Fatalf("active alert %s/%s has no incident", a.Event, a.Level)
		}
	}
}

// whatStands writes what is wrong now and who is told, without the numbers that depend on arrival.
func whatStands(s router.State) string {
	lines := []string{activeAlerts(s)}
	incidents := slices.Clone(s.Incidents)
	slices.SortFunc(incidents, func(a, b router.Incident) int { return cmp.Compare(a.Key, b.Key) })
	for _, inc := range incidents {
		if inc.State == router.IncidentResolved {
			continue
		}
		line := fmt.Sprintf("%s %s", inc.Key, inc.Severity)
		for _, w := range inc.Watch {
			if w.Open {
				line += fmt.Sprintf(" %s(%s)", w.Notifier, w.Severity)
			}
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
