package router_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

// TestReportCounts reports a night of two teams, from 20:00 to 08:00.
func TestReportCounts(t *testing.T) {
	day := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	at := func(hours float64) time.Time { return day.Add(time.Duration(hours * float64(time.Hour))) }
	inc := func(n int64, flow, signal, team string, opened, resolved float64) router.Incident {
		i := router.Incident{Number: n, WABA: "w", Flow: flow, Event: signal, Rule: "rule of " + team,
			State: router.IncidentOpen, Severity: router.Error, OpenedAt: at(opened),
			FlowInfo: router.FlowInfo{FlowName: "Flow " + flow, Labels: map[string]string{"team": team}}}
		if resolved != 0 {
			i.State, i.ResolvedAt = router.IncidentResolved, at(resolved)
		}
		return i
	}
	data := router.ReportData{
		Incidents: []router.Incident{
			inc(1, "1", router.EndpointErrorRate, "payments", 19, 21),   // began before, ended within
			inc(2, "1", router.EndpointErrorRate, "payments", 23, 23.5), // within
			inc(3, "2", router.FlowStatusChange, "payments", 30, 40),    // ended later
			inc(4, "3", router.EndpointLatency, "care", 22, 0),          // still open
			inc(5, "3", router.EndpointLatency, "care", 10, 12),         // over before
			inc(6, "1", router.EndpointErrorRate, "payments", 24, 28),   // within
			inc(7, "4", router.EndpointErrorRate, "care", 33, 0),        // later
		},
		Entries: []router.Entry{
			{Incident: 1, At: at(19), Kind: router.EntryPaged, Text: "Paged oncall"}, // before
			{Incident: 2, At: at(20.5), Kind: router.EntryPaged, Text: "Paged oncall, vendor"},
			{Incident: 2, At: at(23.1), Kind: router.EntryAcknowledged, Text: "Acknowledged by Ada"},
			{Incident: 2, At: at(23.4), Kind: router.EntryAcknowledged, Text: "Acknowledged by Grace"},
			{Incident: 2, At: at(23.2), Kind: router.EntryFlapped},
			{Incident: 6, At: at(24), Kind: router.EntryPaged, Text: "Paged oncall, by Ada, who is on call"},
			{Incident: 6, At: at(24.5), Kind: router.EntryPaged, Text: "Paged oncall again: nobody has it after 30 min, still"},
			{Incident: 6, At: at(25), Kind: router.EntryReminded, Text: "Nobody has it after 1 h. Paged oncall again"},
			{Incident: 6, At: at(25), Kind: router.EntryReminded, Text: "Nobody has it after 1 h"},
			{Incident: 6, At: at(26), Kind: router.EntryAcknowledged},
			{Incident: 3, At: at(33), Kind: router.EntryAcknowledged}, // after the night, of what began in it
			{Incident: 6, At: at(24), Kind: router.EntryTold, Text: "Paged vendor: still active after 5 min"},
			{Incident: 6, At: at(24), Kind: router.EntryTold, Text: "Paged other, which had to wait"},
			{Incident: 6, At: at(24), Kind: router.EntryTold, Text: "Told chat: still active after 5 min"},
			{Incident: 6, At: at(25), Kind: router.EntryUnacknowledged,
				Text: "Nobody has followed up the acknowledgement of Ada for 30 min. Paged oncall, vendor"},
			{Incident: 6, At: at(25), Kind: router.EntryUnacknowledged, Text: "No longer acknowledged: Ada"},
			{Incident: 4, At: at(22), Kind: router.EntryPaged, Text: "Paged care-oncall"},
			{Incident: 99, At: at(22), Kind: router.EntryPaged, Text: "Paged nobody"},
		},
		Changes: []router.Event{
			{Seq: 1, WABA: "w", Flow: "2", Name: router.FlowStatusChange, OldStatus: "PUBLISHED", NewStatus: "THROTTLED",
				At: at(30)},
			{Seq: 2, WABA: "w", Flow: "2", Name: router.FlowStatusChange, OldStatus: "THROTTLED", NewStatus: "BLOCKED",
				At: at(30.5)},
			{Seq: 3, WABA: "w", Flow: "other", Name: router.FlowStatusChange, OldStatus: "PUBLISHED", NewStatus: "BLOCKED",
				At: at(30.5)},
		},
		Silences: []router.Silence{
			{ID: "soon", Since: at(20), Until: at(33), By: "Ada", Why: "deploy",
				Scope: router.Scope{Flow: "1", Labels: map[string]string{"team": "payments"}}},
			{ID: "late", Since: at(20), Until: at(80)},
			{ID: "other", Since: at(20), Until: at(34), Scope: router.Scope{Labels: map[string]string{"team": "care"}}},
			{ID: "recovered", Since: at(20)},
		},
		Parked: []router.Parked{{Notifier: "b", Count: 1}, {Notifier: "a", Count: 3}},
	}
	want := router.Report{
		From: at(20), To: at(32), Team: "payments", Zone: "UTC",
		Incidents: 3, Before: 1, Resolved: 3, Pages: 9, NightPages: 7, Flaps: 1,
		Acknowledge: router.Spread{Count: 3, Median: 7200, Worst: 3 * 3600, Incident: 3},
		Resolve:     router.Spread{Count: 3, Median: 7200, Worst: 4 * 3600, Incident: 6},
		Statuses: []router.ReportStatus{{Status: "BLOCKED", Minutes: 90, Flows: 1},
			{Status: "THROTTLED", Minutes: 30, Flows: 1}},
		Flows: []router.ReportLine{
			{Key: "1", WABA: "w", Name: "Flow 1", Incidents: 2, Pages: 9, NightPages: 7, Flaps: 1},
			{Key: "2", WABA: "w", Name: "Flow 2", Incidents: 1, Minutes: 120},
		},
		Signals: []router.ReportLine{
			{Key: router.EndpointErrorRate, Name: "Endpoint error rate", Incidents: 2, Pages: 9, NightPages: 7, Flaps: 1},
			{Key: router.FlowStatusChange, Name: router.SignalName(router.FlowStatusChange), Incidents: 1},
		},
		Rules: []router.ReportLine{{Key: "rule of payments", Name: "rule of payments", Incidents: 3, Pages: 9, NightPages: 7,
			Flaps: 1}},
		Open: []router.ReportOpen{{Number: 3, What: "Flow 2: " + router.SignalName(router.FlowStatusChange),
			Severity: "error", State: "resolved", OpenedAt: at(30)}},
		Ending: []router.ReportSilence{{ID: "soon", Of: "flow 1, team payments", Until: at(33), By: "Ada", Why: "deploy"}},
		Parked: []router.Parked{{Notifier: "a", Count: 3}, {Notifier: "b", Count: 1}},
	}
	got := router.NewReport(router.ReportFilter{From: at(20), To: at(32), Team: "payments"}, &data)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	if got.StillOpen() != int64(len(got.Open)) {
		t.Errorf("%d are still open, and %d are listed", got.StillOpen(), len(got.Open))
	}

	for _, tt := range []struct {
		name                      string
		f                         router.ReportFilter
		incidents, pages, atNight int64
	}{
		{"of all teams", router.ReportFilter{From: at(20), To: at(32)}, 4, 10, 8},
		{"of nights elsewhere", router.ReportFilter{From: at(20), To: at(32),
			Zone: time.FixedZone("five hours behind", -5*3600)}, 4, 10, 0},
		{"of a team that has nothing", router.ReportFilter{From: at(20), To: at(32), Team: "nobody"}, 0, 0, 0},
		{"of a time that is none", router.ReportFilter{From: at(32), To: at(32)}, 0, 0, 0},
	} {
		r := router.NewReport(tt.f, &data)
		if r.Incidents != tt.incidents || r.Pages != tt.pages || r.NightPages != tt.atNight {
			t.Errorf("%s: %d incidents, %d pages, %d at night", tt.name, r.Incidents, r.Pages, r.NightPages)
		}
	}
	empty := router.NewReport(router.ReportFilter{From: at(20), To: at(32)}, &router.ReportData{})
	if empty.Flows == nil || empty.Open == nil || empty.Parked == nil || empty.Resolve != (router.Spread{}) {
		t.Errorf("an empty report: %+v", empty)
	}
}

// TestOnlyWhatWasSeenToBeginIsCounted: how long a flow had been in the status before the first change, nobody knows.
func TestOnlyWhatWasSeenToBeginIsCounted(t *testing.T) {
	at := func(minute int) time.Time { return morning.Add(time.Duration(minute) * time.Minute) }
	changes := []router.Event{status(10, router.Throttled, router.Blocked), status(30, router.Blocked, router.Throttled),
		status(40, router.Throttled, router.Published)}
	var got []string
	for _, p := range router.StatusPeriods(changes, at(-1000), at(60)) {
		got = append(got, fmt.Sprint(p.Status, " ", p.From.Sub(morning), " ", p.Duration()))
	}
	if want := []string{"BLOCKED 10m0s 20m0s", "THROTTLED 30m0s 10m0s"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if part := router.StatusPeriods(changes, at(20), at(35)); len(part) != 2 || !part[0].From.Equal(at(20)) ||
		part[0].Duration() != 10*time.Minute || !part[1].To.Equal(at(35)) || !part[1].Ongoing {
		t.Errorf("of a part of the time: %+v", part)
	}
}

func TestANightIsFromTenToSix(t *testing.T) {
	day := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for clock, want := range map[string]int64{"21h59m": 0, "22h": 1, "23h59m": 1, "24h": 1, "29h59m": 1, "30h": 0,
		"30h30m": 0} {
		past, err := time.ParseDuration(clock)
		if err != nil {
			t.Fatal(err)
		}
		r := router.NewReport(router.ReportFilter{From: day, To: day.Add(48 * time.Hour)}, &router.ReportData{
			Incidents: []router.Incident{{Number: 1, OpenedAt: day}},
			Entries:   []router.Entry{{Incident: 1, At: day.Add(past), Kind: router.EntryPaged, Text: "Paged oncall"}}})
		if r.Pages != 1 || r.NightPages != want {
			t.Errorf("a page at %s: %d pages, %d at night, want %d", clock, r.Pages, r.NightPages, want)
		}
	}
}

// TestAReportCountsWhatItDoesNotList holds that the number of what is still open is that of all, and the list that of
// the worst.
func TestAReportCountsWhatItDoesNotList(t *testing.T) {
	var data router.ReportData
	for n := range int64(150) {
		data.Incidents = append(data.Incidents, router.Incident{Number: n + 1, WABA: "w", Flow: fmt.Sprint(n),
			Event: router.EndpointErrorRate, State: router.IncidentOpen, Severity: router.Error, OpenedAt: morning})
	}
	r := router.NewReport(router.ReportFilter{From: morning, To: morning.Add(time.Hour)}, &data)
	if r.StillOpen() != 150 || len(r.Open) != 100 {
		t.Errorf("%d are still open, and %d of them are listed", r.StillOpen(), len(r.Open))
	}
}
