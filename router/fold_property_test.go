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
		group := rapid.SampledFrom([]router.GroupBy{router.GroupBySignal, router.GroupByThreshold, router.GroupByFlow}).Draw(
			t, "group by")
		happened := rapid.SliceOfN(rapid.Custom(drawEvent), 1, 14).Draw(t, "events")
		for i := range happened { // no two at the same time: arrival would break the tie
			happened[i].At = morning.Add(time.Duration(i) * time.Minute)
			happened[i].Received = morning.Add(time.Hour)
		}
		arrived := rapid.Permutation(slices.Concat(happened,
			happened[:rapid.IntRange(0, len(happened)).Draw(t, "repeats")])).Draw(t, "arrived")

		want, got := &history{decide: groupedBy(group)}, &history{decide: groupedBy(group)}
		for _, e := range happened {
			want.fold(e)
			checkInvariants(t, want.state)
		}
		for i, e := range arrived {
			e.Received = morning.Add(time.Hour + time.Duration(i)*time.Second)
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
				e = person(0, rapid.SampledFrom([]string{router.Acknowledge, router.Resolve}).Draw(t, "act"),
					rapid.Int64Range(1, 4).Draw(t, "incident"))
			}
			e.At = morning.Add(time.Duration(i) * time.Minute)
			e.Received = e.At
			h.fold(e)
			checkInvariants(t, h.state)
		}
	})
}

// TestAClockAheadOfOursIsNotBelieved dates some events of a history minutes or hours ahead of their arrival. What
// stands in the end is what would if they had happened as they arrived: a true recovery is never late.
func TestAClockAheadOfOursIsNotBelieved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		happened := rapid.SliceOfN(rapid.Custom(drawEvent), 1, 14).Draw(t, "events")
		want, got := &history{decide: chatAndPage}, &history{decide: chatAndPage}
		for i, e := range happened {
			e.Received = morning.Add(time.Duration(i) * time.Minute)
			e.At = e.Received
			want.fold(e)
			e.At = e.Received.Add(rapid.SampledFrom([]time.Duration{0, 0, 90 * time.Second, 10 * time.Minute,
				5 * time.Hour}).Draw(t, "ahead"))
			got.fold(e)
			checkInvariants(t, got.state)
		}
		if g, w := whatStands(got.state), whatStands(want.state); g != w {
			t.Fatalf("dated ahead:\n%s\nas it arrived:\n%s", g, w)
		}
	})
}

// TestWhatIsTooOldOpensNothing lets some openings arrive more than eight days late: what stands is what would without
// them. Recoveries that are as late close what they are about all the same.
func TestWhatIsTooOldOpensNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, got := &history{decide: chatAndPage}, &history{decide: chatAndPage}
		for i := range rapid.IntRange(1, 14).Draw(t, "length") {
			e := pair(0, router.EndpointErrorRate, drawState(t), rapid.SampledFrom([]float64{5, 10, 50}).Draw(t, "rate"))
			e.At = morning.Add(time.Duration(i) * time.Minute)
			e.Received = e.At
			tooOld := rapid.IntRange(0, 3).Draw(t, "late") == 0
			if tooOld {
				e.Received = e.At.Add(time.Duration(rapid.IntRange(9, 100).Draw(t, "days")) * 24 * time.Hour)
			}
			got.fold(e)
			if !tooOld || e.AlertState == router.Deactivated {
				want.fold(e)
			}
			checkInvariants(t, got.state)
		}
		if g, w := whatStands(got.state), whatStands(want.state); g != w {
			t.Fatalf("with what is too old:\n%s\nwithout:\n%s", g, w)
		}
	})
}

// TestOrderOfArrivalOfActsDoesNotMatter lets people acknowledge an incident and take that back, or resolve and reopen
// it. What they did last stands, however their acts arrive.
func TestOrderOfArrivalOfActsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([][]string{{router.Acknowledge, router.Unacknowledge},
			{router.Resolve, router.Reopen}}).Draw(t, "kind")
		stateAfter := map[string]router.IncidentState{router.Acknowledge: router.IncidentAcknowledged,
			router.Unacknowledge: router.IncidentOpen,
			router.Resolve:       router.IncidentResolved, router.Reopen: router.IncidentOpen}
		var acts []router.Event
		for i := range rapid.IntRange(1, 8).Draw(t, "length") {
			acts = append(acts, person(1+i, rapid.SampledFrom(kind).Draw(t, "act"), 1))
		}
		want := stateAfter[acts[len(acts)-1].Name]
		h := &history{decide: chatAndPage}
		h.fold(up(0, 10))
		arrived := rapid.Permutation(slices.Concat(acts, acts[:rapid.IntRange(0, len(acts)).Draw(t, "repeats")])).Draw(t,
			"arrived")
		for i, e := range arrived {
			e.Received = morning.Add(time.Hour + time.Duration(i)*time.Second)
			h.fold(e)
			checkInvariants(t, h.state)
		}
		if got := h.state.Incidents[0].State; got != want {
			t.Fatalf("it is %s, and the last act, in order of what happened, makes it %s", got, want)
		}
	})
}

func drawEvent(t *rapid.T) router.Event {
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		return status(0, "", rapid.SampledFrom([]string{router.Throttled, router.Blocked, router.Published}).Draw(t,
			"status"))
	case 1:
		return pair(0, router.EndpointAvailability, drawState(t), rapid.SampledFrom([]float64{90, 95}).Draw(t,
			"availability"))
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
			if w.Paged || w.PagedAt != 0 { // open for another reason
				continue
			}
			severity, open := routed[w.Notifier]
			if w.Open != open || open && w.Severity != severity {
				t.Fatalf("%s: notifier %s open=%v severity=%s, want open=%v severity=%s", inc.Name(), w.Notifier, w.Open,
					w.Severity, open, severity)
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
