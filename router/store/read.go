package store

import (
	"context"
	"fmt"
	"time"

	"flowbridge/router"
)

// maxList is the most that one list holds.
const maxList = 500

func limited(limit int) int {
	if limit <= 0 || limit > maxList {
		return maxList
	}
	return limit
}

// Incident returns one incident, or router.ErrNotFound.
func (s *Store) Incident(ctx context.Context, number int64) (d router.IncidentDetail, err error) {
	found, err := shownIncidents(ctx, s.read, `number = ?`, number)
	if err != nil {
		return d, fmt.Errorf("read incident: %w", err)
	}
	if len(found) == 0 {
		return d, router.ErrNotFound
	}
	details, err := s.details(ctx, found)
	if err != nil {
		return d, err
	}
	return details[0], nil
}

// Events returns the journal, newest first; an empty state means all of it.
func (s *Store) Events(ctx context.Context, state router.EventState, limit int) ([]router.JournalEvent, error) {
	if err := s.settle(ctx); err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	where, args := "reduced < 2", []any{} // of the others nothing is left to be shown
	if state != "" {
		where, args = where+" AND state = ?", []any{string(state)}
	}
	if state != "" && state != router.EventFolded {
		where += " AND state <> 'folded'" // for the index of the few: see waitingQuery
	}
	found, err := all(ctx, s.read, `SELECT seq, digest, body, state, outcome FROM events WHERE `+where+
		` ORDER BY seq DESC LIMIT ?`,
		append(args, limited(limit)), func(row scanner) (e router.JournalEvent, err error) {
			e.Event, err = scanEvent(row, &e.State, &e.Outcome)
			return e, err
		})
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	return found, nil
}

// dueSoon is how far ahead of ours the clock of who woke a timer may be: of another machine, or between our look at the
// clock and the database's at the table.
const dueSoon = time.Second

// EventProgress says how far the fold, of whichever process, has come with an event, or router.ErrNotFound.
func (s *Store) EventProgress(ctx context.Context, digest string) (p router.EventProgress, err error) {
	if err := s.settle(ctx); err != nil {
		return p, fmt.Errorf("read journal: %w", err)
	}
	found, err := all(ctx, s.read,
		`SELECT state, outcome, (SELECT count(*) FROM incidents WHERE wake_at > 0 AND wake_at <= ?) FROM events
			WHERE digest = ?`,
		[]any{micros(s.cfg.Now().Add(dueSoon)), digest}, func(row scanner) (p router.EventProgress, err error) {
			var state router.EventState
			var due int64
			err = row.Scan(&state, &p.Outcome, &due)
			p.Folded, p.Due = state != router.EventWaiting, due > 0
			return p, err
		})
	switch {
	case err != nil:
		return p, fmt.Errorf("read journal: %w", err)
	case len(found) == 0:
		return p, fmt.Errorf("event %s: %w", digest, router.ErrNotFound)
	}
	return found[0], nil
}

// Deliveries returns deliveries, newest first; an empty state means all of them.
func (s *Store) Deliveries(ctx context.Context, state router.DeliveryState, limit int) ([]router.Delivery, error) {
	where, args := "1 = 1", []any{}
	if state != "" {
		where, args = "state = ?", []any{string(state)}
	}
	if state == router.DeliveryParked {
		where += " AND state = 'parked'" // for the index of the few: see waitingQuery
	}
	found, err := deliveries(ctx, s.read, where+` ORDER BY id DESC LIMIT ?`, append(args, limited(limit))...)
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	return found, nil
}

// deliveries reads deliveries by a condition, without the credential that is pinned to them.
func deliveries(ctx context.Context, q querier, where string, args ...any) ([]router.Delivery, error) {
	return all(ctx, q,
		`SELECT id, incident, event, notifier, kind, state, attempts, failing_since, last_error, next_at, updated_at, receipt,
			CASE WHEN last_error = '' AND `+pageWaits+` THEN `+laneSays+` ELSE '' END
			FROM deliveries d WHERE `+where,
		args, func(row scanner) (d router.Delivery, err error) {
			var failing, next, updated int64
			err = row.Scan(&d.ID, &d.Incident, &d.Event, &d.Notifier, &d.Kind, &d.State, &d.Attempts, &failing,
				&d.LastError, &next, &updated, legibleJSON{&d.Receipt}, &d.Behind)
			d.Failing = fromMicros(failing)
			if d.State == router.DeliveryWaiting || d.State == router.DeliveryParked {
				d.NextAt = fromMicros(next)
			}
			d.Updated = fromMicros(updated)
			return d, err
		})
}

// Stats counts what waits, what is open and what needs a person.
func (s *Store) Stats(ctx context.Context) (router.Stats, error) {
	stats := router.Stats{
		Events:     map[router.EventState]int64{router.EventWaiting: 0, router.EventUnreadable: 0, router.EventFailed: 0},
		Incidents:  map[router.IncidentState]int64{router.IncidentOpen: 0, router.IncidentAcknowledged: 0},
		Deliveries: map[router.DeliveryState]int64{router.DeliveryWaiting: 0, router.DeliveryParked: 0},
	}
	arriving := int64(0)
	if s.inbox != nil {
		arriving = s.inbox.waiting.Load() // before the journal is looked at: what is moved meanwhile is there
	}
	// Each count is over a partial index, so that it costs what it counts and not the whole history.
	type count struct {
		what, state string
		n, oldest   int64
	}
	counts, err := all(ctx, s.read, `
		SELECT 'events', state, count(*), CASE state WHEN 'waiting' THEN min(received_at) ELSE 0 END FROM events
		WHERE state <> 'folded' GROUP BY state
		UNION ALL SELECT 'incidents', state, count(*), 0 FROM incidents WHERE state <> 'resolved' GROUP BY state
		UNION ALL SELECT 'deliveries', 'waiting', count(*), 0 FROM deliveries WHERE state = 'waiting'
		UNION ALL SELECT 'deliveries', 'parked', count(*), 0 FROM deliveries WHERE state = 'parked'`, nil,
		func(row scanner) (c count, err error) {
			err = row.Scan(&c.what, &c.state, &c.n, &c.oldest)
			return c, err
		})
	if err != nil {
		return stats, fmt.Errorf("count: %w", err)
	}
	for _, c := range counts {
		switch c.what {
		case "events":
			stats.Events[router.EventState(c.state)] = c.n
			if c.oldest > 0 {
				stats.OldestWait = time.UnixMicro(c.oldest).UTC()
			}
		case "incidents":
			stats.Incidents[router.IncidentState(c.state)] = c.n
		case "deliveries":
			stats.Deliveries[router.DeliveryState(c.state)] = c.n
		}
	}
	stats.Events[router.EventWaiting] += arriving
	return stats, nil
}
