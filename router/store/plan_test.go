package store

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// TestWhatRunsForEveryBatchLeavesTheJournalAlone looks at how SQLite goes about the queries that are asked for every
// batch: it finds what waits by the index of what waits, not among all that ever was.
func TestWhatRunsForEveryBatchLeavesTheJournalAlone(t *testing.T) {
	s := openFull(t, filepath.Join(t.TempDir(), "plan.db"))
	for query, want := range map[string]string{
		waitingQuery: "SEARCH events USING INDEX events_unfolded",
		`SELECT * FROM incidents WHERE ` + standing(`(waba, flow) IN (VALUES (?, ?), (?, ?))`): "SEARCH incidents USING INDEX incidents_unresolved",
		`SELECT coalesce(min(wake_at), 0) FROM incidents WHERE wake_at > 0`:                    "SEARCH incidents USING COVERING INDEX incidents_wake",
		backlogQuery: "SCAN deliveries USING COVERING INDEX deliveries_lane",
		laterQuery:   "SEARCH deliveries USING COVERING INDEX deliveries_next",
		headQuery:    "events_unfolded",
		triedQuery:   "deliveries_claimed",
		anyQuery:     "SEARCH d USING INDEX deliveries_lane",
		oldIncidents: "SEARCH i USING INDEX incidents_resolved",
	} {
		plan, err := all(context.Background(), s.read, "EXPLAIN QUERY PLAN "+query, make([]any, strings.Count(query, "?")), func(row scanner) (step string, err error) {
			var ignored int
			err = row.Scan(&ignored, &ignored, &ignored, &step)
			return step, err
		})
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
		text := strings.Join(plan, "\n")
		if !strings.Contains(text, want) || strings.Contains(text, "SCAN events") || strings.Contains(text, "SCAN incidents") {
			t.Errorf("%s\ngoes about it so:\n%s\nwant: %s", query, text, want)
		}
	}
}
