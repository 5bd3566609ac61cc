package store

import (
	"context"
	"fmt"
	"time"

	"flowbridge/router"
)

// headQuery finds the oldest event that waits; see waitingQuery for its condition.
const headQuery = `SELECT coalesce(min(seq), 0) FROM events WHERE state = 'waiting' AND state <> 'folded'`

// triedQuery tells which notifiers are being tried, and turnsQuery how often each ever was.
const (
	triedQuery = `SELECT DISTINCT notifier FROM deliveries WHERE claimed_until > ? AND claimed_until > 0`
	turnsQuery = `SELECT notifier, turns FROM lanes`
)

// Progress says where the fold and the deliveries stand at a time. It changes nothing.
func (s *Store) Progress(ctx context.Context, now time.Time) (p router.Progress, err error) {
	p = router.Progress{Folds: s.Folds(), Lanes: map[string]int64{}}
	if p.Head, err = number(ctx, s.read, headQuery); err != nil {
		return p, fmt.Errorf("read journal: %w", err)
	}
	if s.inbox != nil && p.Head == 0 && s.inbox.waiting.Load() > 0 { // it has no position in the journal yet
		p.Head = -1 - s.inbox.moved.Load()
	}
	tried, err := all(ctx, s.read, triedQuery, []any{micros(now)}, scanText)
	if err != nil {
		return p, fmt.Errorf("read queue: %w", err)
	}
	due, _, err := s.Due(ctx, now, tried...) // whoever is at one of these has it looked at
	if err != nil {
		return p, err
	}
	for _, notifier := range append(due, tried...) {
		p.Lanes[notifier] = 0
	}
	type lane struct {
		notifier string
		turns    int64
	}
	lanes, err := all(ctx, s.read, turnsQuery, nil, func(row scanner) (l lane, err error) {
		err = row.Scan(&l.notifier, &l.turns)
		return l, err
	})
	if err != nil {
		return p, fmt.Errorf("read lanes: %w", err)
	}
	for _, l := range lanes {
		if _, ok := p.Lanes[l.notifier]; ok {
			p.Lanes[l.notifier] = l.turns
		}
	}
	return p, nil
}
