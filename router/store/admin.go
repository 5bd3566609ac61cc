package store

import (
	"context"
	"fmt"

	"flowbridge/router"
)

// Event returns one event of the journal, or router.ErrNotFound.
func (s *Store) Event(ctx context.Context, seq int64) (e router.JournalEvent, err error) {
	found, err := all(ctx, s.read, `SELECT seq, digest, body, state, outcome FROM events WHERE seq = ?`, []any{seq},
		func(row scanner) (e router.JournalEvent, err error) {
			e.Event, err = scanEvent(row, &e.State, &e.Outcome)
			return e, err
		})
	if err != nil {
		return e, fmt.Errorf("read event: %w", err)
	}
	if len(found) == 0 {
		return e, router.ErrNotFound
	}
	return found[0], nil
}

// Pairs returns, for journal positions between first and last, the positions of the other half: for an event that
// opened an alert that of the event that ended it, and the other way round. One recovery can end several. Only the
// last time that an alert was active is known. The alerts are looked through as they are: there are a dozen for
// each flow, however long the journal.
func (s *Store) Pairs(ctx context.Context, first, last int64) (map[int64][]int64, error) {
	type pair struct{ opened, closed int64 }
	found, err := all(ctx, s.read, `SELECT DISTINCT opened_by, closed_by FROM alerts WHERE opened_by > 0 AND closed_by > 0
		AND (opened_by BETWEEN ? AND ? OR closed_by BETWEEN ? AND ?) ORDER BY opened_by, closed_by`,
		[]any{first, last, first, last},
		func(row scanner) (p pair, err error) {
			err = row.Scan(&p.opened, &p.closed)
			return p, err
		})
	if err != nil {
		return nil, fmt.Errorf("read pairs: %w", err)
	}
	pairs := map[int64][]int64{}
	for _, p := range found {
		if first <= p.opened && p.opened <= last {
			pairs[p.opened] = append(pairs[p.opened], p.closed)
		}
		if first <= p.closed && p.closed <= last && p.closed != p.opened {
			pairs[p.closed] = append(pairs[p.closed], p.opened)
		}
	}
	return pairs, nil
}
