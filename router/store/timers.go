package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"flowbridge/router"
)

// Timers returns flows with an incident that has something due, limit at most, and when the next timer of any is
// due; zero if none is wound. It returns nothing while another process folds.
func (s *Store) Timers(ctx context.Context, now time.Time,
	limit int) (flows []router.FlowID, next time.Time, err error) {
	err = s.turn(ctx, func(q querier) error {
		flows, err = all(ctx, q,
			`SELECT DISTINCT waba, flow FROM incidents WHERE wake_at > 0 AND wake_at <= ? ORDER BY waba, flow LIMIT ?`,
			[]any{micros(now), limit}, func(row scanner) (id router.FlowID, err error) {
				err = row.Scan(&id.WABA, &id.Flow)
				return id, err
			})
		if err != nil {
			return err
		}
		soonest, err := number(ctx, q, `SELECT coalesce(min(wake_at), 0) FROM incidents WHERE wake_at > 0`)
		next = fromMicros(soonest)
		return err
	})
	if err != nil {
		return nil, next, fmt.Errorf("read timers: %w", s.d.blame(err))
	}
	return flows, next, nil
}

// wakeAll makes every timer due now, where a batch asks for it. Those of incidents that are resolved are about what
// ends by its own time, which no silence moves.
func (s *Store) wakeAll(ctx context.Context, tx *txn, b router.Batch) error {
	if !b.Wake {
		return nil
	}
	_, err := tx.ExecContext(ctx, `UPDATE incidents SET wake_at = ? WHERE state <> 'resolved'`, micros(s.cfg.Now()))
	return err
}

// postponeTimers puts off the timers of flows that cannot be run.
func postponeTimers(ctx context.Context, tx *txn, b router.Batch) error {
	until := micros(b.PostponedUntil)
	return each(ctx, tx, b.Postponed,
		`UPDATE incidents SET wake_at = ? WHERE waba = ? AND flow = ? AND wake_at > 0 AND wake_at < ?`,
		func(flow router.FlowID) ([]any, error) { return []any{until, flow.WABA, flow.Flow, until}, nil })
}

// Counting returns every alert that keeps an incident open which is not resolved.
func (s *Store) Counting(ctx context.Context) ([]router.Counting, error) {
	found, err := all(ctx, s.read,
		`SELECT a.waba, a.flow, a.event, i.details FROM incidents i JOIN alerts a ON a.incident = i.number
		WHERE i.state <> 'resolved' AND `+counts+` ORDER BY a.waba, a.flow, a.event, a.level`, nil,
		func(row scanner) (c router.Counting, err error) {
			var d incidentDetails
			err = row.Scan(&c.WABA, &c.Flow, &c.Event, legibleJSON{&d})
			c.Labels = d.Labels
			return c, err
		})
	if err != nil {
		return nil, fmt.Errorf("read what is active: %w", err)
	}
	return found, nil
}

// Silences returns the silences that have not ended. One that cannot be read silences nothing.
func (s *Store) Silences(ctx context.Context) ([]router.Silence, error) {
	return s.silences(ctx, `ended_at = 0 AND (until = 0 OR until > ?) ORDER BY since, id LIMIT ?`, micros(s.cfg.Now()),
		router.MaxSilences)
}

// AllSilences returns silences, the newest first, those that have ended too.
func (s *Store) AllSilences(ctx context.Context, limit int) ([]router.Silence, error) {
	return s.silences(ctx, `1 = 1 ORDER BY since DESC, id LIMIT ?`, limited(limit))
}

// SilencesBefore returns those that come after one in that order, by its id; none after an id that nobody knows.
func (s *Store) SilencesBefore(ctx context.Context, id string, limit int) ([]router.Silence, error) {
	return s.silences(ctx,
		`EXISTS (SELECT 1 FROM silences b WHERE b.id = ?
			AND (silences.since < b.since OR silences.since = b.since AND silences.id > b.id))
		ORDER BY since DESC, id LIMIT ?`, id, limited(limit))
}

func (s *Store) silences(ctx context.Context, where string, args ...any) ([]router.Silence, error) {
	found, err := silencesOf(ctx, s.read, where, args...)
	if err != nil {
		return nil, fmt.Errorf("read silences: %w", s.d.blame(err))
	}
	return found, nil
}

func silencesOf(ctx context.Context, q querier, where string, args ...any) ([]router.Silence, error) {
	found, err := all(ctx, q, `SELECT body FROM silences WHERE `+where, args,
		func(row scanner) (silence router.Silence, err error) {
			err = row.Scan(legibleJSON{&silence})
			return silence, err
		})
	return slices.DeleteFunc(found, func(silence router.Silence) bool { return silence.ID == "" }), err
}

func writeSilences(ctx context.Context, tx *txn, b router.Batch) error {
	const query = `INSERT INTO silences (id, since, until, ended_at, body) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, body = excluded.body`
	return each(ctx, tx, b.Silences, query, func(silence router.Silence) ([]any, error) {
		body, err := json.Marshal(silence)
		return []any{silence.ID, micros(silence.Since), micros(silence.Until), micros(silence.Ended), string(body)}, err
	})
}
