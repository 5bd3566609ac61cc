package store

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"time"

	"flowbridge/router"
)

// insertEventsQuery inserts n events, but for repeats.
func insertEventsQuery(n int) string {
	return `INSERT INTO events (digest, received_at, state, body) VALUES (?, ?, ?, ?)` + strings.Repeat(`, (?, ?, ?, ?)`,
		n-1) + ` ON CONFLICT (digest) DO NOTHING`
}

// maxCommitEvents bounds one shared transaction, and with it how long the last to join waits.
const maxCommitEvents = 1024

// appendCall is one call of Append that waits for the commit it shares.
type appendCall struct {
	rows   []eventRow
	stored int
	err    error
	done   chan struct{}
}

// eventRow is an event ready to be written.
type eventRow struct {
	digest   string
	received int64
	state    router.EventState
	body     string
}

// Append stores events, all of a call or none, and returns after they are on disk. Concurrent calls share one
// transaction. Repeats of a digest are dropped; stored counts the others. It returns router.ErrBusy at once
// when too many events wait, and router.ErrClosed after Close. If ctx ends first, the events may be stored.
func (s *Store) Append(ctx context.Context, events []router.Event) (stored int, err error) {
	if len(events) == 0 {
		return 0, nil
	}
	call := &appendCall{done: make(chan struct{})}
	for i := range events {
		row, err := encodeEvent(&events[i])
		if err != nil {
			return 0, err
		}
		call.rows = append(call.rows, row)
	}
	n := int64(len(call.rows))
	if waiting := s.queued.Add(n); waiting > int64(s.cfg.QueueEvents) && waiting > n { // one large call alone may pass
		s.queued.Add(-n)
		return 0, router.ErrBusy
	}
	select {
	case <-s.closing:
		s.queued.Add(-n)
		return 0, router.ErrClosed
	default:
	}
	s.queue <- call // never blocks: the queue has a place for every event that may wait
	select {
	case <-call.done:
		return call.stored, call.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func encodeEvent(e *router.Event) (eventRow, error) {
	if e.Digest == "" {
		return eventRow{}, fmt.Errorf("event %s has no digest", e.Name)
	}
	body, err := json.Marshal(e)
	if err != nil {
		return eventRow{}, fmt.Errorf("encode event %s: %w", e.Name, err)
	}
	state := router.EventWaiting
	if e.Unreadable != "" {
		state = router.EventUnreadable
	}
	return eventRow{digest: e.Digest, received: micros(e.Received), state: state, body: string(body)}, nil
}

// commitCalls commits what waits, until Close and the queue is empty.
func (s *Store) commitCalls() {
	for {
		select {
		case call := <-s.queue:
			s.commitBatch(s.gather(call))
		case <-s.closing:
			for {
				select {
				case call := <-s.queue:
					s.commitBatch(s.gather(call))
				default:
					return
				}
			}
		}
	}
}

// gather joins the calls that wait by now.
func (s *Store) gather(first *appendCall) []*appendCall {
	runtime.Gosched() // those that the last commit woke are about to call again: let them join
	calls, events := []*appendCall{first}, len(first.rows)
	for events < maxCommitEvents {
		select {
		case call := <-s.queue:
			calls = append(calls, call)
			events += len(call.rows)
		default:
			return calls
		}
	}
	return calls
}

// commitBatch stores calls in one transaction. If the values of one are refused, each is tried alone, so that it
// does not fail its neighbours; if storage fails, it fails for all: trying each would only hold up those that follow.
func (s *Store) commitBatch(calls []*appendCall) {
	err := s.commitTogether(calls)
	if err != nil && len(calls) > 1 && s.d.refused(err) {
		for _, call := range calls {
			call.err = s.commitTogether([]*appendCall{call})
		}
	} else {
		for _, call := range calls {
			call.err = err
		}
	}
	fresh, events := false, 0
	for _, call := range calls {
		events += len(call.rows)
		s.queued.Add(-int64(len(call.rows)))
		fresh = fresh || call.stored > 0
		close(call.done)
	}
	s.crowd.arrived(time.Now(), events)
	if fresh {
		s.wakeFold()
	}
}

func (s *Store) commitTogether(calls []*appendCall) error {
	var rows []eventRow
	for _, call := range calls {
		rows = append(rows, call.rows...)
		call.stored = 0
	}
	fresh, err := s.store(context.Background(), rows) // shared by many callers: the end of one must not end it for all
	if err != nil {
		return fmt.Errorf("store event: %w", err)
	}
	for _, call := range calls {
		for range call.rows {
			if fresh[0] {
				call.stored++
			}
			fresh = fresh[1:]
		}
	}
	return nil
}

// areFresh says which digests are of events that were stored. A repeat among them is one.
func areFresh(digests, stored []string) []bool {
	is := make(map[string]bool, len(stored))
	for _, digest := range stored {
		is[digest] = true
	}
	fresh := make([]bool, len(digests))
	for i, digest := range digests {
		fresh[i] = is[digest]
		delete(is, digest)
	}
	return fresh
}

// insertEvent stores an event that is part of a transaction; a repeat is dropped.
func insertEvent(ctx context.Context, tx *txn, row eventRow) error {
	if _, err := tx.ExecContext(ctx, insertEventsQuery(1), row.digest, row.received, string(row.state),
		row.body); err != nil {
		return fmt.Errorf("store event: %w", err)
	}
	return nil
}

// waitingQuery says twice that a folded event is not meant: only so does SQLite know that the index of the few that
// are not folded will do, and leaves the whole journal alone.
const waitingQuery = `SELECT seq, digest, body FROM events WHERE state = 'waiting' AND state <> 'folded'
	ORDER BY seq LIMIT ?`

// Waiting returns at most limit events that wait to be folded by this process, in journal order: none while
// another process folds. Fewer than limit means that no more wait, in the inbox either: what is moved from there may be
// known to the journal already, after a kill, or need no folding.
func (s *Store) Waiting(ctx context.Context, limit int) (events []router.Event, err error) {
	for {
		moved := 0
		if s.inbox != nil {
			if moved, err = s.inbox.move(ctx, limit); err != nil {
				return nil, fmt.Errorf("read journal: %w", s.d.blame(err))
			}
		}
		if moved == 0 && len(events) > 0 { // that was all
			return events, nil
		}
		err = s.turn(ctx, func(q querier) error {
			events, err = all(ctx, q, waitingQuery, []any{limit},
				func(row scanner) (router.Event, error) { return scanEvent(row) })
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read journal: %w", s.d.blame(err))
		}
		if moved == 0 || len(events) >= limit {
			return events, nil
		}
	}
}

func scanEvent(row scanner, more ...any) (e router.Event, err error) {
	var body []byte
	var seq int64
	var digest string
	if err := row.Scan(append([]any{&seq, &digest, &body}, more...)...); err != nil {
		return e, err
	}
	if err := json.Unmarshal(body, &e); err != nil { // written by another version: it must not hide the others
		e = router.Event{Unreadable: "what is stored of it cannot be read: " + err.Error()}
	}
	e.Seq, e.Digest = seq, digest
	return e, nil
}
