package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

// BenchmarkLists measures what a page asks of a database with 10,000 and 100,000 incidents, 200 of them open. The
// baseline is a page of 50 whose incidents are read one by one.
func BenchmarkLists(b *testing.B) {
	ctx := context.Background()
	rows := func(f router.IncidentFilter) func(s *store.Store) error {
		f.Limit = 50
		return func(s *store.Store) error { _, err := s.IncidentRows(ctx, f); return err }
	}
	search := func(f router.IncidentFilter) func(s *store.Store) error {
		f.Limit = 50
		return func(s *store.Store) error { _, _, err := s.SearchIncidents(ctx, f); return err }
	}
	events := func(f router.EventFilter) func(s *store.Store) error {
		f.Limit = 50
		return func(s *store.Store) error { _, _, err := s.FindEvents(ctx, f); return err }
	}
	day := func(n int) time.Time { return time.UnixMicro(1772000000000000).Add(time.Duration(n) * time.Hour) }
	storetest.OnEach(b, func(b *testing.B, fresh func(b *testing.B) string) {
		for _, incidents := range []int{10_000, 100_000} {
			dsn := fresh(b)
			if err := openBench(b, dsn).Close(); err != nil { // the schema
				b.Fatal(err)
			}
			storetest.Remember(b, dsn, incidents)
			s := openBench(b, dsn)
			for _, page := range []struct {
				name string
				ask  func(s *store.Store) error
			}{
				{"baseline one by one", func(s *store.Store) error {
					for n := range int64(50) {
						if _, err := s.Incident(ctx, int64(incidents)-n); err != nil {
							return err
						}
					}
					return nil
				}},
				{"whole", func(s *store.Store) error { _, err := s.Incidents(ctx, router.IncidentFilter{Limit: 50}); return err }},
				{"counts", func(s *store.Store) error { _, err := s.Counts(ctx, router.IncidentFilter{}); return err }},
				{"worst", rows(router.IncidentFilter{Worst: true})},
				{"open", rows(router.IncidentFilter{State: router.IncidentOpen})},
				{"open, second page of the worst",
					rows(router.IncidentFilter{State: router.IncidentOpen, Worst: true, Before: int64(incidents) - 100})},
				{"newest", rows(router.IncidentFilter{})},
				{"severity", rows(router.IncidentFilter{Severities: []router.Severity{router.Critical}})},
				{"trouble", rows(router.IncidentFilter{Trouble: new(true)})},
				{"flow and signal", rows(router.IncidentFilter{WABA: "1", Flow: "77",
					Signals: []string{router.EndpointErrorRate}})},
				{"account", rows(router.IncidentFilter{WABA: "1"})},
				{"another account", rows(router.IncidentFilter{WABA: "2"})},
				{"a common team", rows(router.IncidentFilter{Labels: map[string]string{"team": "payments"}})},
				{"a rare team", rows(router.IncidentFilter{Labels: map[string]string{"team": "rare"}})},
				{"rare words", rows(router.IncidentFilter{Query: "needle"})},
				{"no such words", rows(router.IncidentFilter{Query: "nothing has this"})},
				{"a page: rare words", search(router.IncidentFilter{Query: "needle"})},
				{"a page: no such words", search(router.IncidentFilter{Query: "nothing has this"})},
				{"a page: a rare team", search(router.IncidentFilter{Labels: map[string]string{"team": "rare"}})},
				{"a page: no such notifier", search(router.IncidentFilter{Notifier: "nobody"})},
				{"a page: no such rule", search(router.IncidentFilter{Rule: "none"})},
				{"a notifier", rows(router.IncidentFilter{Notifier: "chat"})},
				{"no such notifier", rows(router.IncidentFilter{Notifier: "nobody"})},
				{"no such rule", rows(router.IncidentFilter{Rule: "none"})},
				{"an hour of long ago", rows(router.IncidentFilter{From: day(1), To: day(2)})},
				{"events", events(router.EventFilter{})},
				{"events of a flow", events(router.EventFilter{Flow: "77"})},
				{"events of an incident", events(router.EventFilter{Incident: 77})},
				{"events of another name", events(router.EventFilter{Names: []string{"NONE"}})},
				{"events of an hour of long ago", events(router.EventFilter{From: day(1), To: day(2)})},
				{"deliveries parked", func(s *store.Store) error {
					_, err := s.FindDeliveries(ctx, router.DeliveryFilter{State: router.DeliveryParked, Limit: 50})
					return err
				}},
				{"deliveries to nobody", func(s *store.Store) error {
					_, err := s.FindDeliveries(ctx, router.DeliveryFilter{Notifier: "nobody", Limit: 50})
					return err
				}},
				{"summary of a flow", func(s *store.Store) error {
					_, err := s.FlowSummary(ctx, router.FlowID{WABA: "1", Flow: "77"}, day(0), day(100))
					return err
				}},
			} {
				b.Run(fmt.Sprintf("incidents=%d/%s", incidents, page.name), func(b *testing.B) {
					for b.Loop() {
						if err := page.ask(s); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	})
}
