package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"flowbridge/router"
)

// scannedIncidents bounds the incidents that one search for what no index knows goes through.
const scannedIncidents = 10_000

// outOfOrder is how much later an incident with a lower number may have been opened, by Meta's clock.
const outOfOrder = 24 * time.Hour

// SearchIncidents is IncidentRows, the worst first, for a page: its work is bounded. What no index knows, such as
// words, it looks for among the newest of those that are over, so many at a time, and says what it has not looked
// through. A page may then be short, or empty, and not the last.
func (s *Store) SearchIncidents(ctx context.Context,
	f router.IncidentFilter) (rows []router.IncidentRow, rest router.SearchRest, err error) {
	f.Worst = true
	var scan int64
	if scansIncidents(&f) {
		scan = scannedIncidents
	}
	found, lowest, err := s.findWorst(ctx, &f, scan)
	if err == nil && lowest > 0 && len(found) < limited(f.Limit) {
		rest, err = s.restOf(ctx, lowest)
		if rest.Until.Before(f.From.Add(-outOfOrder)) {
			rest = router.SearchRest{}
		}
	}
	if err != nil {
		return nil, rest, fmt.Errorf("search incidents: %w", err)
	}
	rows, err = s.rows(ctx, found)
	return rows, rest, err
}

// scansIncidents says whether a filter may have to go through all incidents to find a few.
func scansIncidents(f *router.IncidentFilter) bool {
	named := slices.ContainsFunc(router.QueryWords(f.Query), func(word string) bool {
		_, named := router.ParseIncidentName(word)
		return named
	})
	over := !f.Active && f.State != router.IncidentOpen && f.State != router.IncidentAcknowledged
	told := f.Trouble == nil || !*f.Trouble
	// What is narrowed to a time goes through that alone, and of a flow there are few.
	if !over || !told || named || f.Flow != "" || !f.To.IsZero() {
		return false
	}
	return f.Query != "" || len(f.Labels) > 0 || f.Notifier != "" || f.Rule != "" || f.Severities != nil ||
		f.Signals != nil || f.Subject != "" || f.SubjectID != "" || f.Silenced != nil || f.Trouble != nil
}

// restOf says what there is below a number.
func (s *Store) restOf(ctx context.Context, below int64) (router.SearchRest, error) {
	found, err := all(ctx, s.read,
		`SELECT number, opened_at FROM incidents WHERE number < ? ORDER BY number DESC LIMIT 1`, []any{below},
		func(row scanner) (r router.SearchRest, err error) {
			var opened int64
			err = row.Scan(&r.Below, &opened)
			r.Below++ // past a gap, so that no search is for nothing
			r.Until = fromMicros(opened)
			return r, err
		})
	if err != nil || len(found) == 0 {
		return router.SearchRest{}, err
	}
	return found[0], nil
}
