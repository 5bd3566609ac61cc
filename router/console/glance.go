package console

import (
	"context"
	"time"

	"flowbridge/router"
)

// Glance is what a Store knows for pages that show much at a time. Each is one query, and returns a bounded number of
// rows.
type Glance interface {
	// ParkedGroups returns what is parked and passes a filter, by the error; the largest groups first.
	ParkedGroups(ctx context.Context, f router.DeliveryFilter) ([]router.ParkedGroup, error)
	// AttemptMarks returns the newest attempts since a time, at one notifier or at all for "", oldest first.
	AttemptMarks(ctx context.Context, notifier string, since time.Time, limit int) ([]router.AttemptMark, error)
	// Backlog says what is owed, by notifier and class.
	Backlog(ctx context.Context) ([]router.Backlog, error)
	// BudgetsPaid returns when the calls that were made so far are paid off, by the names of budgets.
	BudgetsPaid(ctx context.Context, names []string) (map[string]time.Time, error)
	// SeenFlows returns the subjects that there are alerts of, of an account or of all for "": the worst first.
	SeenFlows(ctx context.Context, waba string) ([]router.SeenFlow, error)
	// FlowReadings returns what Meta measured of a flow since a time, of all its signals, oldest first.
	FlowReadings(ctx context.Context, flow router.FlowID, since time.Time) ([]router.AlertReading, error)
	// NewestNotices returns the newest notices of a flow, of an account where the flow is "", or of all for the zero
	// FlowID.
	NewestNotices(ctx context.Context, flow router.FlowID, limit int) ([]router.Notice, error)
	// StatusPeriods returns when a flow, or any flow of an account, was in a status that is trouble.
	StatusPeriods(ctx context.Context, flow router.FlowID, from, to time.Time) ([]router.StatusPeriod, error)
}
