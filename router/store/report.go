package store

import (
	"context"
	"fmt"

	"flowbridge/router"
)

const (
	// reportIncidents and reportEntries bound what one report is made of.
	reportIncidents, reportEntries = 5000, 20_000
)

// ReportData reads what a report is made of: in five queries, each bounded, however much is stored.
func (s *Store) ReportData(ctx context.Context, f router.ReportFilter) (d router.ReportData, err error) {
	if d.Incidents, err = s.reported(ctx, f, reportIncidents); err != nil {
		return d, fmt.Errorf("read incidents of a report: %w", err)
	}
	d.Cut = len(d.Incidents) == reportIncidents
	where, args := reportWhere(s, f)
	// Of the newest entries: of a storm the end says more than the beginning. Where trouble was over before anybody could
	// be paged, nobody was.
	d.Entries, err = all(ctx, s.read, `SELECT incident, n, at, recorded_at, kind, text, event FROM (
		SELECT t.incident, t.n, t.at, t.recorded_at, t.kind, t.text, t.event FROM timeline t WHERE t.incident IN (
			SELECT number FROM incidents WHERE `+where+` ORDER BY number DESC LIMIT ?)
		AND (t.kind IN ('acknowledged', 'unacknowledged', 'flapped') OR t.kind IN ('paged', 'reminded', 'told') AND EXISTS (
			SELECT 1 FROM deliveries d WHERE d.incident = t.incident AND d.keyed = 1 AND (d.told_at > 0 OR d.may_exist = 1)))
		ORDER BY t.at DESC, t.incident DESC, t.n DESC LIMIT ?) AS newest
		ORDER BY at, incident, n`, append(args, reportIncidents, reportEntries), scanEntry)
	if err != nil {
		return d, fmt.Errorf("read timelines of a report: %w", err)
	}
	d.Cut = d.Cut || len(d.Entries) == reportEntries
	if d.Changes, err = s.statusChanges(ctx, router.FlowID{}, f.From, f.To); err != nil {
		return d, err
	}
	d.Cut = d.Cut || len(d.Changes) == maxChanges
	if d.Silences, err = s.Silences(ctx); err != nil {
		return d, err
	}
	d.Parked, err = s.parkedByNotifier(ctx, f.Team)
	return d, err
}

// goingOn are the incidents that were not over at a time: each part has an index.
const goingOn = `SELECT number FROM incidents WHERE state <> 'resolved'
	UNION ALL SELECT number FROM incidents WHERE state = 'resolved' AND resolved_at >= ?`

// reportWhere is what a report asks of an incident.
func reportWhere(s *Store, f router.ReportFilter) (where string, args []any) {
	c := conditions{}
	c.add("opened_at < ?", micros(f.To))
	c.add("number IN ("+goingOn+")", micros(f.From))
	if f.Team != "" {
		c.add(s.d.position+"(labels, ?) > 0", labelLine("team", f.Team))
	}
	return c.where(), c.args
}

func (s *Store) reported(ctx context.Context, f router.ReportFilter, limit int) ([]router.Incident, error) {
	where, args := reportWhere(s, f)
	return shownIncidents(ctx, s.read, where+` ORDER BY number DESC LIMIT ?`, append(args, limit)...)
}

// mostNotifiers bounds the notifiers that are listed with what is parked for them.
const mostNotifiers = 100

// parkedByNotifier counts what is parked, by notifier: of a team's incidents, or of all and of notices where team is
// "".
func (s *Store) parkedByNotifier(ctx context.Context, team string) ([]router.Parked, error) {
	query, args := `SELECT notifier, count(*) FROM deliveries WHERE state = 'parked'`, []any(nil)
	if team != "" {
		query += ` AND incident IN (SELECT number FROM incidents WHERE ` + s.d.position + `(labels, ?) > 0 AND number IN (
			SELECT incident FROM deliveries WHERE state = 'parked'))`
		args = append(args, labelLine("team", team))
	}
	found, err := all(ctx, s.read, query+` GROUP BY notifier ORDER BY count(*) DESC, notifier LIMIT ?`,
		append(args, mostNotifiers),
		func(row scanner) (p router.Parked, err error) {
			err = row.Scan(&p.Notifier, &p.Count)
			return p, err
		})
	if err != nil {
		return nil, fmt.Errorf("read parked deliveries: %w", err)
	}
	return found, nil
}
