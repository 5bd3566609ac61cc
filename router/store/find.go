package store

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"flowbridge/router"
)

// scannedEvents bounds the events that one look for what no index knows goes through, and the notices.
const scannedEvents = 20_000

// FindEvents returns events, newest first, and where the next page begins (EventFilter.Before), 0 where there is none.
// What no index knows is looked for among so many events at a time: a page may then be short, or empty, and not the
// last.
func (s *Store) FindEvents(ctx context.Context,
	f router.EventFilter) (found []router.JournalEvent, next int64, err error) {
	if err := s.settle(ctx); err != nil {
		return nil, 0, fmt.Errorf("read journal: %w", err)
	}
	if f.Before <= 0 {
		f.Before = math.MaxInt64
	}
	c, limit := s.eventConditions(&f), limited(f.Limit)
	bounds, err := s.boundsOf(ctx, &f)
	if err != nil {
		return nil, 0, fmt.Errorf("read journal: %w", err)
	}
	from := `events`
	switch named, args := s.namedEvents(&f); {
	case named != "":
		from = `(` + named + `) AS named CROSS JOIN events` // SQLite takes the few first
		c.add("events.seq = named.event")
		c.args = append(args, c.args...)
	case s.scans(&f):
		// The row that ends the part is looked up, since positions may have gaps.
		bounds.cut, err = number(ctx, s.read,
			`SELECT coalesce((SELECT seq FROM events WHERE seq < ? ORDER BY seq DESC LIMIT 1 OFFSET ?), 0)`,
			bounds.before, scannedEvents-1)
		if err != nil {
			return nil, 0, fmt.Errorf("read journal: %w", err)
		}
	}
	c.add("events.seq < ?", bounds.before)
	c.add("events.seq >= ?", max(bounds.first, bounds.cut))
	found, err = all(ctx, s.read, `SELECT events.seq, digest, body, state, outcome FROM `+from+` WHERE `+c.where()+
		` ORDER BY events.seq DESC LIMIT ?`,
		append(c.args, limit), func(row scanner) (e router.JournalEvent, err error) {
			e.Event, err = scanEvent(row, &e.State, &e.Outcome)
			return e, err
		})
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("read journal: %w", err)
	case len(found) == limit:
		next = found[limit-1].Seq
	case bounds.cut > bounds.first:
		next = bounds.cut
	}
	if next == 1 {
		next = 0
	}
	return found, next, nil
}

// scans says whether a filter asks for what only the JSON of the events says.
func (s *Store) scans(f *router.EventFilter) bool {
	few := f.Digest != "" || f.State != "" && f.State != router.EventFolded
	return !few && (f.Names != nil || f.WABA != "" || f.Source != "" || f.Query != "")
}

// eventConditions are what a filter asks of an event.
func (s *Store) eventConditions(f *router.EventFilter) *conditions {
	c := &conditions{}
	c.add("reduced < 2") // of the others nothing is left to be shown
	if f.State != "" {
		c.add("state = ?", string(f.State))
	}
	if f.State != "" && f.State != router.EventFolded {
		c.add("state <> 'folded'") // for the index of the few: see waitingQuery
	}
	if f.Digest != "" {
		c.add("digest = ?", f.Digest)
	}
	if !f.From.IsZero() {
		c.add("received_at >= ?", micros(f.From))
	}
	if !f.To.IsZero() {
		c.add("received_at < ?", micros(f.To))
	}
	if f.Names != nil {
		anyOf(c, s.bodyField("name"), f.Names)
	}
	if f.WABA != "" {
		c.add(s.bodyField("waba")+" = ?", f.WABA)
	}
	if f.Source != "" {
		c.add(s.bodyField("source")+" = ?", string(f.Source))
	}
	if f.Query != "" {
		c.add(s.d.position+"(lower("+s.bodyField("name")+"), ?) > 0", strings.ToLower(f.Query))
	}
	return c
}

func (s *Store) bodyField(name string) string { return fmt.Sprintf(s.d.field, "body", name) }

// eventBounds are positions: of the events that a filter may name, from first and before another; those before cut are
// left to the next page.
type eventBounds struct{ first, before, cut int64 }

// slack is how far events may be out of the order of the times at which they were received.
const slack = 10 * time.Minute

// boundsOf returns between which positions the events of a filter are.
func (s *Store) boundsOf(ctx context.Context, f *router.EventFilter) (b eventBounds, err error) {
	b = eventBounds{first: 1, before: f.Before}
	if !f.From.IsZero() {
		if b.first, err = s.firstSince(ctx, f.From.Add(-slack)); err != nil {
			return b, err
		}
	}
	if !f.To.IsZero() {
		end, err := s.firstSince(ctx, f.To.Add(slack))
		if err != nil {
			return b, err
		}
		b.before = min(b.before, end)
	}
	return b, nil
}

// firstSince returns the position of the first event that was received at a time or after it, or the one behind the
// last. No index knows when events were received, and none is needed: their positions are in that order.
func (s *Store) firstSince(ctx context.Context, at time.Time) (seq int64, err error) {
	const early = `(SELECT received_at FROM events WHERE seq >= (low + high) / 2 ORDER BY seq LIMIT 1) < ?`
	const query = `WITH RECURSIVE halves (low, high) AS (
		SELECT coalesce((SELECT min(seq) FROM events), 1), coalesce((SELECT max(seq) FROM events), 0) + 1
		UNION ALL SELECT CASE WHEN ` + early + ` THEN (low + high) / 2 + 1 ELSE low END, CASE WHEN ` + early +
		` THEN high ELSE (low + high) / 2 END
			FROM halves WHERE low < high)
		SELECT low FROM halves WHERE low >= high`
	return number(ctx, s.read, query, micros(at), micros(at))
}

// namedEvents returns the query of the positions of what a filter by flow or incident names, "" where it names neither.
func (s *Store) namedEvents(f *router.EventFilter) (query string, args []any) {
	const of = `SELECT event FROM timeline WHERE event > 0 AND incident IN (%[1]s)
		UNION SELECT opened_by FROM alerts WHERE incident IN (%[1]s)
		UNION SELECT closed_by FROM alerts WHERE incident IN (%[1]s)`
	switch {
	case f.Incident > 0:
		query, args = fmt.Sprintf(of, `SELECT number FROM incidents WHERE number = ?`),
			[]any{f.Incident, f.Incident, f.Incident}
		if f.Flow != "" { // both must hold
			query = fmt.Sprintf(of, `SELECT number FROM incidents WHERE number = ? AND flow = ?`)
			args = []any{f.Incident, f.Flow, f.Incident, f.Flow, f.Incident, f.Flow}
		}
	case f.Flow != "":
		// A notice has no column for its flow, and JSON writes an id of digits in one way.
		query = fmt.Sprintf(of, `SELECT number FROM incidents WHERE flow = ?`) + ` UNION SELECT event FROM (
			SELECT event, body FROM notices WHERE event < ? ORDER BY event DESC LIMIT ?) AS newest WHERE ` + s.d.position +
			`(body, ?) > 0`
		args = []any{f.Flow, f.Flow, f.Flow, f.Before, scannedEvents, `"flow":"` + f.Flow + `"`}
	}
	return query, args
}

// FindDeliveries returns deliveries, newest first.
func (s *Store) FindDeliveries(ctx context.Context, f router.DeliveryFilter) ([]router.Delivery, error) {
	c := s.deliveryConditions(&f)
	if f.Before > 0 {
		c.add("id < ?", f.Before)
	}
	found, err := deliveries(ctx, s.read, c.where()+` ORDER BY id DESC LIMIT ?`, append(c.args, limited(f.Limit))...)
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	return found, nil
}

func (s *Store) deliveryConditions(f *router.DeliveryFilter) *conditions {
	c := &conditions{}
	switch f.State {
	case "":
	case router.DeliveryParked, router.DeliveryWaiting:
		c.add("state = '" + string(f.State) + "'") // for the indices of the few: see waitingQuery
	default:
		c.add("state = ?", string(f.State))
	}
	if f.Notifier != "" {
		c.add("notifier = ?", f.Notifier)
	}
	if f.Incident > 0 {
		c.add("incident = ?", f.Incident)
	}
	if f.Event > 0 {
		c.add("incident = 0 AND event = ?", f.Event)
	}
	if f.Query != "" {
		c.add(s.d.position+"(lower(last_error), ?) > 0", strings.ToLower(f.Query))
	}
	return c
}

// FlowSummary tells of a flow, or of an account with all that belongs to it where the flow is "".
func (s *Store) FlowSummary(ctx context.Context, flow router.FlowID, from,
	to time.Time) (out router.FlowSummary, err error) {
	f := router.IncidentFilter{WABA: flow.WABA, Flow: flow.Flow, Active: true, Worst: true}
	if out.Active, err = s.IncidentRows(ctx, f); err != nil {
		return out, err
	}
	f = router.IncidentFilter{WABA: flow.WABA, Flow: flow.Flow, State: router.IncidentResolved, Limit: recentIncidents}
	if out.Recent, err = s.IncidentRows(ctx, f); err != nil {
		return out, err
	}
	out.Periods, err = s.StatusPeriods(ctx, flow, from, to)
	return out, err
}

const (
	recentIncidents = 10
	// maxChanges bounds the status changes that periods are made of: of an account with many flows, the newest.
	maxChanges = 5000
)

// StatusPeriods returns when a flow, or any flow of an account, was THROTTLED or BLOCKED, as the events say that
// opened, changed and ended its incidents.
func (s *Store) StatusPeriods(ctx context.Context, flow router.FlowID, from,
	to time.Time) ([]router.StatusPeriod, error) {
	found, err := s.statusChanges(ctx, flow, from, to)
	if err != nil {
		return nil, err
	}
	return router.StatusPeriods(found, from, to), nil
}

// statusChanges returns the newest changes of status of what was wrong between two times: of a flow, of all of an
// account where the flow is "", or of all there is where the account is "" as well.
func (s *Store) statusChanges(ctx context.Context, flow router.FlowID, from, to time.Time) ([]router.Event, error) {
	// Of incidents of several signals at once the statuses may be a part.
	where, args := `i.opened_at < ? AND (i.resolved_at = 0 OR i.resolved_at >= ?)`, []any{micros(to), micros(from)}
	switch {
	case flow == router.FlowID{}:
		where, args = `i.opened_at < ? AND i.number IN (`+goingOn+`)`, []any{micros(to), micros(from)}
	case flow.Flow != "": // not by the account: see conditions
		where, args = where+` AND i.waba || '' = ? AND i.flow = ?`, append(args, flow.WABA, flow.Flow)
	case flow.WABA != "":
		where, args = where+` AND i.waba = ?`, append(args, flow.WABA)
	}
	found, err := all(ctx, s.read, `SELECT seq, digest, body FROM events WHERE seq IN (
		SELECT t.event FROM incidents i JOIN timeline t ON t.incident = i.number AND t.event > 0 WHERE `+where+`)
		AND `+s.bodyField("new_status")+` <> '' ORDER BY seq DESC LIMIT ?`, append(args, maxChanges),
		func(row scanner) (router.Event, error) { return scanEvent(row) })
	if err != nil {
		return nil, fmt.Errorf("read status changes: %w", err)
	}
	return found, nil
}
