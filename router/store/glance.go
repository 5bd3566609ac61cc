package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"flowbridge/router"
)

// What pages ask for to show much at a glance: each is one query, and looks at so many rows at most.
const (
	maxGroups      = 200
	maxSeenFlows   = 500
	scannedNotices = 2000
)

// ParkedGroups returns what is parked and passes a filter, by the error; the largest groups first.
func (s *Store) ParkedGroups(ctx context.Context, f router.DeliveryFilter) (groups []router.ParkedGroup, err error) {
	f.State = router.DeliveryParked
	c := s.deliveryConditions(&f)
	found, err := all(ctx, s.read,
		`SELECT last_error, notifier, count(*), min(updated_at), max(updated_at), max(id) FROM deliveries
		WHERE `+c.where()+` GROUP BY last_error, notifier ORDER BY count(*) DESC, last_error, notifier LIMIT ?`,
		append(c.args, maxGroups),
		func(row scanner) (g router.ParkedGroup, err error) {
			var notifier string
			var oldest, newest int64
			err = row.Scan(&g.Error, &notifier, &g.Count, &oldest, &newest, &g.Delivery)
			g.Notifiers, g.Oldest, g.Newest = []string{notifier}, fromMicros(oldest), fromMicros(newest)
			g.Counts = map[string]int64{notifier: g.Count}
			return g, err
		})
	if err != nil {
		return nil, fmt.Errorf("read what is parked: %w", err)
	}
	for _, one := range found {
		at := slices.IndexFunc(groups, func(g router.ParkedGroup) bool { return g.Error == one.Error })
		if at < 0 {
			groups = append(groups, one)
			continue
		}
		g := &groups[at]
		g.Notifiers, g.Count, g.Delivery = append(g.Notifiers, one.Notifiers...), g.Count+one.Count,
			max(g.Delivery, one.Delivery)
		g.Counts[one.Notifiers[0]] = one.Count
		slices.Sort(g.Notifiers)
		if one.Oldest.Before(g.Oldest) {
			g.Oldest = one.Oldest
		}
		if one.Newest.After(g.Newest) {
			g.Newest = one.Newest
		}
	}
	slices.SortStableFunc(groups, func(a, b router.ParkedGroup) int { return int(b.Count - a.Count) })
	return groups, nil
}

// AttemptMarks returns the newest attempts since a time, at one notifier or at all for "", oldest first. An attempt
// that told of several deliveries counts once.
func (s *Store) AttemptMarks(ctx context.Context, notifier string, since time.Time,
	limit int) ([]router.AttemptMark, error) {
	where, args := ``, []any{micros(since), limit}
	if notifier != "" {
		where, args = ` WHERE d.notifier = ?`, append(args, notifier)
	}
	found, err := all(ctx, s.read, `SELECT d.notifier, a.at, a.took, a.result FROM (
		SELECT delivery, at, took, result FROM attempts WHERE at >= ? AND told_by = 0 ORDER BY at DESC LIMIT ?) AS a
		JOIN deliveries d ON d.id = a.delivery`+where+` ORDER BY a.at`, args,
		func(row scanner) (m router.AttemptMark, err error) {
			var at, took int64
			err = row.Scan(&m.Notifier, &at, &took, &m.Result)
			m.At, m.Took = fromMicros(at), time.Duration(took)*time.Microsecond
			return m, err
		})
	if err != nil {
		return nil, fmt.Errorf("read attempts: %w", err)
	}
	return found, nil
}

// SeenFlows returns the subjects that there are alerts of, of one account or of all for "": by the worst severity that
// is active, the blocked and throttled first, then those with most levels, then those that last had something.
func (s *Store) SeenFlows(ctx context.Context, waba string) ([]router.SeenFlow, error) {
	c := &conditions{}
	c.add("waba <> ''")
	if waba != "" {
		c.add("waba = ?", waba)
	}
	worst, words, args := "0", router.StatusLevels(), []any{}
	for i, word := range words {
		worst, args = fmt.Sprintf("CASE WHEN level = ? THEN %d ELSE %s END", i+1, worst), append([]any{string(word)}, args...)
	}
	found, err := all(ctx, s.read,
		`SELECT waba, flow, CAST(sum(active) AS BIGINT), max(raised_at), max(CASE WHEN active > 0 THEN `+worst+` ELSE 0 END),
			max(CASE WHEN active > 0 THEN severity ELSE 0 END)
		FROM alerts WHERE `+c.where()+` GROUP BY waba, flow ORDER BY 6 DESC, 5 DESC, 3 DESC, 4 DESC, waba, flow LIMIT ?`,
		append(append(args, c.args...), maxSeenFlows),
		func(row scanner) (f router.SeenFlow, err error) {
			var last, status int64
			err = row.Scan(&f.WABA, &f.Flow, &f.Active, &last, &status, &f.Severity)
			if f.Last = fromMicros(last); status > 0 {
				f.Status = words[status-1]
			}
			return f, err
		})
	if err != nil {
		return nil, fmt.Errorf("read flows: %w", err)
	}
	return found, nil
}

// FlowReadings returns what Meta measured of a flow since a time, of all its signals, oldest first; the newest 10,000.
func (s *Store) FlowReadings(ctx context.Context, flow router.FlowID, since time.Time) ([]router.AlertReading, error) {
	found, err := all(ctx, s.read,
		`SELECT event, level, slot, at, value FROM readings WHERE waba = ? AND flow = ? AND at >= ?
			ORDER BY at DESC, event, level LIMIT ?`,
		[]any{flow.WABA, flow.Flow, micros(since), maxReadings}, func(row scanner) (router.AlertReading, error) {
			r := router.AlertReading{FlowID: flow}
			var slot, at int64
			var value float64
			err := row.Scan(&r.Event, &r.Level, &slot, &at, &value)
			r.Slot, r.At, r.Value = fromMicros(slot), fromMicros(at), &value
			return r, err
		})
	if err != nil {
		return nil, fmt.Errorf("read what was measured: %w", err)
	}
	slices.Reverse(found)
	return found, nil
}

// NewestNotices returns the newest notices of a flow, of an account where the flow is "", or of all for the zero
// FlowID, as far as they are among the newest 2,000 of all.
func (s *Store) NewestNotices(ctx context.Context, flow router.FlowID, limit int) ([]router.Notice, error) {
	part, args := "", []any{int64(math.MaxInt64), scannedNotices}
	for _, one := range []struct{ key, value string }{{"flow", flow.Flow}, {"waba", flow.WABA}} {
		if one.value != "" { // JSON writes an id of digits in one way
			quoted, err := json.Marshal(one.value)
			if err != nil {
				return nil, err
			}
			part += ` AND ` + s.d.position + `(body, ?) > 0`
			args = append(args, `"`+one.key+`":`+string(quoted))
		}
	}
	found, err := all(ctx, s.read,
		`SELECT event, folded_at, body FROM (
			SELECT event, folded_at, body FROM notices WHERE event < ? ORDER BY event DESC LIMIT ?) AS newest
		WHERE 1 = 1`+part+` ORDER BY event DESC LIMIT ?`, append(args, limited(limit)),
		func(row scanner) (n router.Notice, err error) {
			var event, at int64
			var body []byte
			err = row.Scan(&event, &at, &body)
			return *readNotice(event, fromMicros(at), router.Info, body), err
		})
	if err != nil {
		return nil, fmt.Errorf("read notices: %w", err)
	}
	return found, nil
}

// BudgetsPaid returns when the calls that were made so far are paid off, by the names of budgets: see router.Charge.
// One that nothing was taken from is left out.
func (s *Store) BudgetsPaid(ctx context.Context, names []string) (map[string]time.Time, error) {
	paid := map[string]time.Time{}
	if len(names) == 0 {
		return paid, nil
	}
	c := &conditions{}
	anyOf(c, "name", names)
	_, err := all(ctx, s.read, `SELECT name, paid FROM budgets WHERE `+c.where(), c.args,
		func(row scanner) (struct{}, error) {
			var name string
			var at int64
			err := row.Scan(&name, &at)
			paid[name] = fromMicros(at)
			return struct{}{}, err
		})
	if err != nil {
		return nil, fmt.Errorf("read budgets: %w", err)
	}
	return paid, nil
}
