package console

import (
	"context"
	"fmt"

	"flowbridge/router"
)

func (s *memStore) ConsoleKey(context.Context) ([]byte, error) {
	return []byte("a key of thirty-two random bytes"), s.fault
}

func (s *memStore) PageStamp(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(len(s.events)+len(s.appended), s.stamp), s.fault
}

func (s *memStore) Lanes(context.Context) ([]router.Lane, error) { return s.lanes, s.fault }

func (s *memStore) IncidentRows(ctx context.Context, f router.IncidentFilter) ([]router.IncidentRow, error) {
	found, err := s.Incidents(ctx, f)
	var rows []router.IncidentRow
	for _, d := range found {
		row := router.IncidentRow{Incident: d.Incident, Alerts: d.Alerts}
		for _, del := range d.Deliveries {
			mark := router.DeliveryMark{Incident: d.Number, ID: del.ID, Notifier: del.Notifier, Kind: del.Kind, State: del.State,
				Error: del.LastError, Failing: del.Failing}
			row.Deliveries = append(row.Deliveries, mark)
		}
		rows = append(rows, row)
	}
	return rows, err
}

func (s *memStore) SearchIncidents(ctx context.Context,
	f router.IncidentFilter) ([]router.IncidentRow, router.SearchRest, error) {
	rows, err := s.IncidentRows(ctx, f)
	return rows, s.searchRest, err
}

func (s *memStore) Counts(_ context.Context, f router.IncidentFilter) (router.Counts, error) {
	s.countFilters = append(s.countFilters, f)
	return router.Counts{Open: 1, Acknowledged: 1, Silenced: 1, Trouble: 1, Parked: 1}, s.fault
}

func (s *memStore) ReportData(_ context.Context, f router.ReportFilter) (d router.ReportData, err error) {
	s.reportFilters = append(s.reportFilters, f)
	for _, i := range s.incidents {
		d.Incidents, d.Entries = append(d.Incidents, i.Incident), append(d.Entries, i.Timeline...)
	}
	d.Silences, d.Parked = s.silences, []router.Parked{{Notifier: "vendor-oncall", Count: 2}}
	return d, s.fault
}
