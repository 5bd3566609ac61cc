package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"flowbridge/router"
)

// maxReadings bounds one answer of Readings: all that is kept of four levels that were active all the while.
const maxReadings = 10_000

// Readings returns what Meta measured of a flow's signal since a time, at all its levels, oldest first; the newest
// 10,000.
func (s *Store) Readings(ctx context.Context, flow router.FlowID, event string,
	since time.Time) ([]router.AlertReading, error) {
	return s.ReadingsBetween(ctx, flow, event, since, time.Time{})
}

// ReadingsBetween returns those from a time on and before another; the zero time is no bound.
func (s *Store) ReadingsBetween(ctx context.Context, flow router.FlowID, event string, from,
	to time.Time) ([]router.AlertReading, error) {
	until := int64(math.MaxInt64)
	if !to.IsZero() {
		until = micros(to)
	}
	found, err := all(ctx, s.read, `SELECT level, slot, at, value, p50, requests FROM (
		SELECT * FROM readings WHERE waba = ? AND flow = ? AND event = ? AND at >= ? AND at < ?
		ORDER BY at DESC, level LIMIT ?) AS newest ORDER BY at, level`,
		[]any{flow.WABA, flow.Flow, event, micros(from), until, maxReadings}, func(row scanner) (router.AlertReading, error) {
			r := router.AlertReading{FlowID: flow, Event: event}
			var slot, at int64
			var value float64
			err := row.Scan(&r.Level, &slot, &at, &value, &r.P50, &r.Requests)
			r.Slot, r.At, r.Value = fromMicros(slot), fromMicros(at), &value
			return r, err
		})
	if err != nil {
		return nil, fmt.Errorf("read what was measured: %w", err)
	}
	return found, nil
}

// writeReadings keeps the newest of each slot.
func writeReadings(ctx context.Context, tx *txn, b router.Batch) error {
	const query = `INSERT INTO readings (waba, flow, event, level, slot, at, value, p50, requests)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (waba, flow, event, level, slot) DO UPDATE SET at = excluded.at, value = excluded.value,
		p50 = excluded.p50, requests = excluded.requests WHERE excluded.at >= readings.at`
	return each(ctx, tx, b.Readings, query, func(r router.AlertReading) ([]any, error) {
		return []any{r.WABA, r.Flow, r.Event, string(r.Level), micros(r.Slot), micros(r.At), orNull(r.Value), orNull(r.P50),
			orNull(r.Requests)}, nil
	})
}

func orNull(v *float64) sql.NullFloat64 {
	if v == nil {
		return sql.NullFloat64{}
	}
	return sql.NullFloat64{Float64: *v, Valid: true}
}

// sweepReadings removes those that are older than they are kept.
func (s *Store) sweepReadings(ctx context.Context, before int64) (int64, error) {
	return s.removePages(ctx, `SELECT waba, flow, event, level, slot FROM readings WHERE slot < ? ORDER BY slot LIMIT ?`,
		[]any{before, sweepRows},
		`DELETE FROM readings WHERE waba = ? AND flow = ? AND event = ? AND level = ? AND slot = ?`,
		func(row scanner) ([]any, error) {
			var waba, flow, event, level string
			var slot int64
			err := row.Scan(&waba, &flow, &event, &level, &slot)
			return []any{waba, flow, event, level, slot}, err
		})
}

// sweepRefreshed removes what an older flowbridge wrote to the timeline of each refresh.
func (s *Store) sweepRefreshed(ctx context.Context) (int64, error) {
	return s.removePages(ctx, refreshedQuery, []any{sweepRows}, `DELETE FROM timeline WHERE incident = ? AND n = ?`,
		func(row scanner) ([]any, error) {
			var incident, n int64
			err := row.Scan(&incident, &n)
			return []any{incident, n}, err
		})
}

const refreshedQuery = `SELECT incident, n FROM timeline WHERE kind = 'refreshed' ORDER BY incident, n LIMIT ?`

// removePages removes what a query finds, a page at a time, until it finds nothing.
func (s *Store) removePages(ctx context.Context, find string, args []any, remove string,
	scan func(scanner) ([]any, error)) (n int64, err error) {
	for {
		page, err := all(ctx, s.read, find, args, scan)
		if err != nil || len(page) == 0 {
			return n, err
		}
		err = s.remove(ctx, func(tx *txn) error {
			return each(ctx, tx, page, remove, func(row []any) ([]any, error) { return row, nil })
		})
		if err != nil {
			return n, err
		}
		n += int64(len(page))
	}
}
