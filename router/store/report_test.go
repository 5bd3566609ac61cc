package store_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
)

// reportSuite reads what reports are made of, of the incidents of listed: the first opened 99 h before noon, the eighth
// 92 h. The change of status is the first event, which the first incident names too.
func reportSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx := context.Background()
	s := open(t, store.Config{})
	listed(t, s.Store)
	at := func(hours int) time.Time { return noon.Add(time.Duration(hours-100) * time.Hour) }
	change := event("change")
	change.Name, change.OldStatus, change.NewStatus, change.At = router.FlowStatusChange, "PUBLISHED", "BLOCKED", at(7)
	_, err := s.Append(ctx, []router.Event{change})
	check(t, err)
	found, err := s.Events(ctx, "", 1)
	check(t, err)
	check(t, s.Commit(ctx, router.Batch{Entries: []router.Entry{
		{Incident: 7, N: 2, At: at(7), Recorded: at(7), Kind: router.EntryActivated, Text: "blocked", Event: found[0].Seq},
		{Incident: 7, N: 3, At: at(7), Recorded: at(7), Kind: router.EntryPaged, Text: "Paged page"}, // which refused it
		{Incident: 3, N: 2, At: at(4), Recorded: at(4), Kind: router.EntryPaged, Text: "Paged page"},
		{Incident: 2, N: 2, At: at(3), Recorded: at(3), Kind: router.EntryAcknowledged, Text: "Acknowledged by Ada"},
		{Incident: 4, N: 2, At: at(4), Recorded: at(4), Kind: router.EntryFlapped, Text: "came back"},
	}}))
	for _, tt := range []struct {
		name      string
		f         router.ReportFilter
		incidents []int64
		entries   []int64
		changes   int
		parked    []router.Parked
	}{
		{"of all the time", router.ReportFilter{From: at(0), To: noon}, []int64{1, 2, 3, 4, 5, 6, 7, 8}, []int64{2, 3, 4}, 1,
			[]router.Parked{{Notifier: "page", Count: 2}}},
		{"of the end: what is not over, and what ended in it", router.ReportFilter{From: at(8), To: noon},
			[]int64{1, 2, 3, 5, 6, 7, 8}, []int64{2, 3}, 1, []router.Parked{{Notifier: "page", Count: 2}}},
		{"of the beginning", router.ReportFilter{From: at(0), To: at(4)}, []int64{1, 2, 3}, []int64{2, 3}, 1,
			[]router.Parked{{Notifier: "page", Count: 2}}},
		{"of a team", router.ReportFilter{From: at(0), To: noon, Team: "payments"}, []int64{1, 2, 3, 4}, []int64{2, 3, 4}, 1,
			[]router.Parked{{Notifier: "page", Count: 1}}},
		{"of a team that is none", router.ReportFilter{From: at(0), To: noon, Team: "pay"}, nil, nil, 1, nil},
	} {
		d, err := s.ReportData(ctx, tt.f)
		check(t, err)
		var incidents, entries []int64
		for _, i := range d.Incidents {
			incidents = append(incidents, i.Number)
		}
		for _, e := range d.Entries {
			entries = append(entries, e.Incident)
		}
		slices.Sort(incidents)
		slices.Sort(entries)
		if !slices.Equal(incidents, tt.incidents) || !slices.Equal(entries, tt.entries) || len(d.Changes) != tt.changes ||
			!slices.Equal(d.Parked, tt.parked) || d.Cut {
			t.Errorf("%s: %v %v, %d changes, %v", tt.name, incidents, entries, len(d.Changes), d.Parked)
		}
	}
}
