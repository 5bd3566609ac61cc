package console

import (
	"context"
	"slices"
	"time"

	"flowbridge/router"
)

// glance is what a memStore answers to Glance.
type glance struct {
	marks    []router.AttemptMark
	backlog  []router.Backlog
	paid     map[string]time.Time
	seen     []router.SeenFlow
	measured []router.AlertReading
	notices  []router.Notice
	periods  []router.StatusPeriod
}

func (s *memStore) ParkedGroups(_ context.Context, f router.DeliveryFilter) (groups []router.ParkedGroup, err error) {
	s.deliveryFilters = append(s.deliveryFilters, f)
	for _, d := range s.deliveries {
		if d.State == router.DeliveryParked && (f.Notifier == "" || f.Notifier == d.Notifier) {
			groups = append(groups, router.ParkedGroup{Error: d.LastError, Notifiers: []string{d.Notifier}, Count: 14,
				Counts: map[string]int64{d.Notifier: 14}, Oldest: d.Updated, Newest: d.Updated, Delivery: d.ID})
		}
	}
	return groups, s.fault
}

func (s *memStore) AttemptMarks(_ context.Context, notifier string, _ time.Time, _ int) ([]router.AttemptMark, error) {
	return slices.DeleteFunc(slices.Clone(s.marks), func(m router.AttemptMark) bool {
		return notifier != "" &&
			m.Notifier != notifier
	}), s.fault
}

func (s *memStore) Backlog(context.Context) ([]router.Backlog, error) { return s.backlog, s.fault }

func (s *memStore) BudgetsPaid(context.Context, []string) (map[string]time.Time, error) {
	return s.paid, s.fault
}

func (s *memStore) SeenFlows(_ context.Context, waba string) ([]router.SeenFlow, error) {
	return slices.DeleteFunc(slices.Clone(s.seen), func(f router.SeenFlow) bool { return waba != "" && f.WABA != waba }),
		s.fault
}

func (s *memStore) FlowReadings(context.Context, router.FlowID, time.Time) ([]router.AlertReading, error) {
	return s.measured, s.fault
}

func (s *memStore) NewestNotices(_ context.Context, flow router.FlowID, _ int) ([]router.Notice, error) {
	return slices.DeleteFunc(slices.Clone(s.notices), func(n router.Notice) bool {
		return flow.Flow != "" &&
			n.Flow != flow.Flow
	}), s.fault
}

func (s *memStore) StatusPeriods(context.Context, router.FlowID, time.Time, time.Time) ([]router.StatusPeriod, error) {
	return s.periods, s.fault
}
