package store

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"flowbridge/router"
)

// Swept counts what Sweep removed.
type Swept struct {
	Events, Incidents, Notices, Silences int64
	Audit                                int64
	Readings                             int64
	Refreshed                            int64 // entries of timelines that an older flowbridge wrote of refreshes
	Attempts, Rules, Hits                int64
	Reduced                              int64 // events of which what they said was removed
}

// Any says whether anything was removed.
func (s Swept) Any() bool { return s != Swept{} }

const (
	// sweepRows bounds what one transaction removes, about: posts wait no longer than for that.
	sweepRows = 500
	// KeepDigests is how long a digest is kept in any case: Meta may send the same change again for seven days, and one
	// is for clocks and queues.
	KeepDigests = 8 * 24 * time.Hour
)

// Sweep removes events that were received more than keepEvents ago, and incidents that were resolved, notices that
// were folded, silences that ended and what the audit says of more than keepIncidents ago, with all that belongs to
// them; zero keeps for ever.
// Attempts are removed after Config.KeepAttempts, versions of the rules that no incident names and what rules did after
// router.KeepRules, readings after router.KeepReadings, whatever the others, and the body of a post that could not be
// read after seven days. It never removes what is still to be folded or told, what an open incident or an active alert
// is made of, the incident with the highest number, nor the digest of an event that Meta may still repeat: where
// keepEvents is shorter than that, nothing but the digest is kept.
//
// It works in small transactions with as much rest between them, so that posts are stored meanwhile, and returns
// early when ctx ends; what it has removed by then is removed. While another process sweeps it does nothing. The file
// of a SQLite database stays as large as it was; what becomes free in it is used again before it grows. PostgreSQL's
// autovacuum does the same for its tables.
func (s *Store) Sweep(ctx context.Context, now time.Time, keepEvents,
	keepIncidents time.Duration) (swept Swept, err error) {
	done, err := s.peers.alone(ctx)
	if err != nil || done == nil {
		return swept, err
	}
	defer done()
	swept.Refreshed, err = s.sweepRefreshed(ctx) // first: these need events that are old
	if err == nil {
		swept.Readings, err = s.sweepReadings(ctx, micros(now.Add(-router.KeepReadings)))
	}
	if err == nil {
		swept.Attempts, err = s.sweepAttempts(ctx, micros(now.Add(-max(s.cfg.KeepAttempts, 0))))
	}
	if err == nil {
		swept.Rules, err = s.sweepRules(ctx, micros(now.Add(-router.KeepRules)))
	}
	if err == nil {
		swept.Hits, err = s.sweepHits(ctx, micros(now.Add(-router.KeepRules)))
	}
	if err == nil && keepEvents > 0 {
		swept.Events, err = s.sweepEvents(ctx, now, micros(now.Add(-max(keepEvents, KeepDigests))))
	}
	if err == nil {
		swept.Reduced, err = s.reduceOld(ctx, now, keepEvents)
	}
	if err == nil && keepIncidents > 0 {
		before := micros(now.Add(-keepIncidents))
		swept.Incidents, err = s.sweepIncidents(ctx, before)
		if err == nil {
			swept.Notices, err = s.sweepNotices(ctx, before)
		}
		if err == nil {
			swept.Silences, err = s.sweepSilences(ctx, before)
		}
		if err == nil {
			swept.Audit, err = s.sweepAudit(ctx, before)
		}
	}
	if swept.Any() {
		pulse(s.erased)
	}
	if err != nil {
		return swept, fmt.Errorf("remove what is old: %w", err)
	}
	return swept, nil
}

// reduceOld removes what old events said, and keeps what else there is of them.
func (s *Store) reduceOld(ctx context.Context, now time.Time, keepEvents time.Duration) (n int64, err error) {
	for _, reduce := range []func() (int64, error){
		func() (int64, error) { return s.reducePast(ctx) },
		func() (int64, error) { return s.reduceUnreadable(ctx, micros(now.Add(-keepUnreadable))) },
		func() (int64, error) {
			if keepEvents <= 0 || keepEvents >= KeepDigests {
				return 0, nil
			}
			return s.goThrough(ctx, &s.reduced, now, micros(now.Add(-keepEvents)), keptDigest, s.leaveDigests)
		},
	} {
		some, err := reduce()
		if n += some; err != nil {
			return n, err
		}
	}
	return n, nil
}

// leaveDigests removes everything of some events but their digest.
func (s *Store) leaveDigests(ctx context.Context, tx *txn, seqs []int64) error {
	body, err := json.Marshal(router.Event{Reduced: router.ReducedOld})
	if err != nil {
		return err
	}
	return each(ctx, tx, seqs,
		`UPDATE events SET body = ?, outcome = '', state = 'folded', reduced = ? WHERE seq = ? AND state <> 'waiting'`,
		func(seq int64) ([]any, error) { return []any{string(body), int64(keptDigest), seq}, nil })
}

// remove runs f in a transaction, and then rests for as long as that took.
func (s *Store) remove(ctx context.Context, f func(tx *txn) error) error {
	began := time.Now()
	if err := s.inTx(ctx, f); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(min(time.Since(began), time.Second)):
		return nil
	}
}

// progress is up to where the journal was swept: what is left before that is needed still. It is asked again once a
// day.
type progress struct {
	sync.Mutex
	last int64
	full time.Time // when the journal was last gone through from its beginning
}

// fullSweep is how often the journal is gone through from its beginning. What an incident needs that is over is removed
// so much later at most.
const fullSweep = 24 * time.Hour

// counts is the condition that an alert keeps its incident open.
const counts = `(a.active = 1 OR a.held_until > 0)`

// needed is 1 for an event that an active alert, or the timeline of an incident that is not over, points at. Nothing
// old joins them later: what is folded is new. It is written so that PostgreSQL has a single plan, by the indexes: as
// EXISTS it may read the whole timeline first.
const needed = `coalesce(
	(SELECT 1 FROM alerts a WHERE a.opened_by > 0 AND a.opened_by = e.seq AND ` + counts + ` LIMIT 1),
	(SELECT 1 FROM alerts a WHERE a.closed_by > 0 AND a.closed_by = e.seq AND ` + counts + ` LIMIT 1),
	(SELECT 1 FROM timeline t CROSS JOIN incidents i
		WHERE t.event > 0 AND t.event = e.seq AND i.number = t.incident AND i.state <> 'resolved' LIMIT 1),
	(SELECT 1 FROM timeline t CROSS JOIN alerts a WHERE t.event > 0 AND t.event = e.seq AND a.incident = t.incident AND ` +
	counts + ` LIMIT 1), 0)`

const oldEvents = `SELECT e.seq, e.received_at, e.state, e.reduced, ` + needed +
	` FROM events e WHERE e.seq > ? ORDER BY e.seq LIMIT ?`

// sweepEvents removes what nobody needs of the events that came before a time.
func (s *Store) sweepEvents(ctx context.Context, now time.Time, before int64) (n int64, err error) {
	return s.goThrough(ctx, &s.swept, now, before, keptDigest+1, func(ctx context.Context, tx *txn, seqs []int64) error {
		for _, query := range []string{
			`DELETE FROM events WHERE seq = ?`,
			`DELETE FROM people WHERE event = ? AND NOT EXISTS (SELECT 1 FROM notices n WHERE n.event = people.event)`,
		} {
			if err := each(ctx, tx, seqs, query, func(seq int64) ([]any, error) { return []any{seq}, nil }); err != nil {
				return err
			}
		}
		return nil
	})
}

// goThrough goes through the journal from where it got to, to the first page without anything that came before a time,
// and does something to such events that are folded, that nothing needs, and of which more is kept than a measure says.
func (s *Store) goThrough(ctx context.Context, p *progress, now time.Time, before, measure int64,
	do func(context.Context, *txn, []int64) error) (n int64, err error) {
	p.Lock()
	defer p.Unlock()
	if age := now.Sub(p.full); age < 0 || age >= fullSweep {
		p.last, p.full = 0, now
	}
	type row struct {
		seq, received, reduced, needed int64
		state                          router.EventState
	}
	allOld := true
	for last := p.last; ; {
		page, err := all(ctx, s.read, oldEvents, []any{last, sweepRows}, func(rows scanner) (r row, err error) {
			err = rows.Scan(&r.seq, &r.received, &r.state, &r.reduced, &r.needed)
			return r, err
		})
		if err != nil || len(page) == 0 {
			return n, err
		}
		last = page[len(page)-1].seq
		old := 0
		var gone []int64
		for _, r := range page {
			if r.received >= before {
				continue
			}
			if old++; r.state != router.EventWaiting && r.needed == 0 && r.reduced < measure {
				gone = append(gone, r.seq)
			}
		}
		if old == 0 {
			return n, nil
		}
		if len(gone) > 0 {
			if err := s.remove(ctx, func(tx *txn) error { return do(ctx, tx, gone) }); err != nil {
				return n, err
			}
		}
		n += int64(len(gone))
		if allOld = allOld && old == len(page); allOld {
			p.last = last
		}
	}
}

// over is the condition that nobody needs a resolved incident any more. The highest number stays, so that none is given
// twice. The texts that are put together leave PostgreSQL the index of what is asked for: while its statistics say that
// nothing waits, an index of all that does looks as good.
const over = `i.resolved_at < ? AND i.number < (SELECT max(number) FROM incidents)
	AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.incident = i.number AND ` + counts + `)
	AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.incident = i.number AND d.state || '' = 'waiting')`

// itIsOver is the same for the one with a number.
const itIsOver = `i.number = ? AND i.state || '' = 'resolved' AND ` + over

const oldIncidents = `SELECT i.resolved_at, i.number, i.entries FROM incidents i WHERE i.state = 'resolved' AND ` + over + `
	AND (i.resolved_at, i.number) > (?, ?) ORDER BY i.resolved_at, i.number LIMIT ?`

// oldIncident is an incident to be removed, with the length of its timeline.
type oldIncident struct{ resolved, number, entries int64 }

func (s *Store) sweepIncidents(ctx context.Context, before int64) (n int64, err error) {
	for last := (oldIncident{}); ; {
		page, err := all(ctx, s.read, oldIncidents, []any{before, last.resolved, last.number, sweepRows},
			func(row scanner) (o oldIncident, err error) {
				err = row.Scan(&o.resolved, &o.number, &o.entries)
				return o, err
			})
		if err != nil || len(page) == 0 {
			return n, err
		}
		last = page[len(page)-1]
		for len(page) > 0 {
			rows, some := int64(0), 0
			for some < len(page) && (some == 0 || rows+page[some].entries <= sweepRows) {
				rows += page[some].entries + 4 // itself, its alerts and its deliveries, about
				some++
			}
			removed, err := s.removeIncidents(ctx, page[:some], before)
			n += removed
			if err != nil {
				return n, err
			}
			page = page[some:]
		}
	}
}

// removeIncidents removes some incidents, a timeline that is too long for one transaction in several.
func (s *Store) removeIncidents(ctx context.Context, some []oldIncident, before int64) (n int64, err error) {
	for upTo := int64(sweepRows); len(some) == 1 && upTo < some[0].entries; upTo += sweepRows {
		err := s.remove(ctx, func(tx *txn) error {
			_, err := tx.ExecContext(ctx,
				`DELETE FROM timeline WHERE incident = ? AND n <= ? AND EXISTS (SELECT 1 FROM incidents i WHERE `+itIsOver+`)`,
				some[0].number, upTo, some[0].number, before)
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	err = s.remove(ctx, func(tx *txn) error {
		n = 0
		for _, old := range some {
			result, err := tx.ExecContext(ctx, `DELETE FROM incidents AS i WHERE `+itIsOver, old.number, before)
			if err != nil {
				return err
			}
			gone, err := result.RowsAffected()
			if err != nil {
				return err
			}
			if gone == 0 { // somebody needs it again
				continue
			}
			n++
			for _, query := range []string{
				`DELETE FROM timeline WHERE incident = ?`,
				`DELETE FROM attempts WHERE delivery IN (SELECT id FROM deliveries WHERE incident = ?)`,
				`DELETE FROM deliveries WHERE incident = ?`,
				`DELETE FROM alerts WHERE incident = ?`,
				`DELETE FROM links WHERE incident = ?`,
				`DELETE FROM former_links WHERE incident = ?`,
			} {
				if _, err := tx.ExecContext(ctx, query, old.number); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return n, err
}

func (s *Store) sweepNotices(ctx context.Context, before int64) (n int64, err error) {
	type notice struct{ folded, event int64 }
	for last := (notice{folded: -1}); ; {
		page, err := all(ctx, s.read,
			`SELECT n.folded_at, n.event FROM notices n WHERE n.folded_at < ? AND (n.folded_at, n.event) > (?, ?)
			AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.incident = 0 AND d.event = n.event AND d.state || '' = 'waiting')
			ORDER BY n.folded_at, n.event LIMIT ?`, []any{before, last.folded, last.event, sweepRows / 2},
			func(row scanner) (o notice, err error) {
				err = row.Scan(&o.folded, &o.event)
				return o, err
			})
		if err != nil || len(page) == 0 {
			return n, err
		}
		last = page[len(page)-1]
		err = s.remove(ctx, func(tx *txn) error {
			for _, query := range []string{
				`DELETE FROM attempts WHERE delivery IN (SELECT id FROM deliveries WHERE incident = 0 AND event = ?)`,
				`DELETE FROM deliveries WHERE incident = 0 AND event = ?`, `DELETE FROM notices WHERE event = ?`,
				`DELETE FROM people WHERE event = ?
				AND NOT EXISTS (SELECT 1 FROM events e WHERE e.seq = people.event AND e.reduced < 2)`,
			} {
				if err := each(ctx, tx, page, query, func(o notice) ([]any, error) { return []any{o.event}, nil }); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return n, err
		}
		n += int64(len(page))
	}
}

// sweepSilences removes them all at once: people make few.
func (s *Store) sweepSilences(ctx context.Context, before int64) (n int64, err error) {
	err = s.remove(ctx, func(tx *txn) error {
		result, err := tx.ExecContext(ctx,
			`DELETE FROM silences WHERE ended_at > 0 AND ended_at < ? OR until > 0 AND until < ?`, before, before)
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	return n, err
}
