package store

import (
	"context"
	"fmt"
	"time"

	"flowbridge/router"
)

// pauseScan bounds how many events that are not Meta's are passed over in one step.
const pauseScan = 10_000

// pauseHops bounds the steps, should the times of the journal not be in order: four weeks have 672 hours.
const pauseHops = 2000

// moment is an event's place and the time of its arrival; the zero moment is none.
type moment struct{ seq, at int64 }

// Pauses returns the pauses between two arrivals of Meta's events since a time that are at least so long, oldest first,
// and when the first of these events arrived, zero for none. Drills are not Meta's. It goes through the journal in
// steps of that length, and so reads few events however many there are.
func (s *Store) Pauses(ctx context.Context, from time.Time,
	least time.Duration) (pauses []time.Duration, first time.Time, err error) {
	if least <= 0 {
		return nil, first, fmt.Errorf("pauses of %s", least)
	}
	start, err := s.firstSince(ctx, from)
	if err != nil {
		return nil, first, fmt.Errorf("read journal: %w", err)
	}
	at, err := s.metaEvent(ctx, start, true)
	for hops := 0; err == nil && at != (moment{}) && hops < pauseHops; hops++ {
		if first.IsZero() {
			first = fromMicros(at.at)
		}
		var seq int64
		if seq, err = s.firstSince(ctx, fromMicros(at.at+least.Microseconds())); err != nil {
			break
		}
		seq = max(seq, at.seq+1)
		var before, next moment
		if next, err = s.metaEvent(ctx, seq, true); err != nil || next == (moment{}) {
			break
		}
		if before, err = s.metaEvent(ctx, next.seq-1, false); err != nil {
			break
		}
		if pause := time.Duration(next.at-before.at) * time.Microsecond; pause >= least {
			pauses = append(pauses, pause)
		}
		at = next
	}
	if err != nil {
		return nil, first, fmt.Errorf("read journal: %w", err)
	}
	return pauses, first, nil
}

// metaEvent returns the first event of Meta's at a position or after it, or else the last at it or before it.
func (s *Store) metaEvent(ctx context.Context, seq int64, forward bool) (moment, error) {
	where, last := `seq >= ? AND seq < ? AND `+s.fromMeta()+` ORDER BY seq`, seq+pauseScan
	if !forward {
		where, last = `seq <= ? AND seq > ? AND `+s.fromMeta()+` ORDER BY seq DESC`, seq-pauseScan
	}
	found, err := all(ctx, s.read, `SELECT seq, received_at FROM events WHERE `+where+` LIMIT 1`,
		[]any{seq, last, router.DrillPrefix + "%"},
		func(row scanner) (m moment, err error) {
			err = row.Scan(&m.seq, &m.at)
			return m, err
		})
	if err != nil || len(found) == 0 {
		return moment{}, err
	}
	return found[0], nil
}

// fromMeta is the condition that an event is Meta's and no drill.
func (s *Store) fromMeta() string {
	return `reduced < 2 AND ` + s.bodyField("source") + ` = 'meta' AND coalesce(` + s.bodyField("flow") +
		`, '') NOT LIKE ?`
}
