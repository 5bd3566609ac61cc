package store

import (
	"context"
	"time"

	"flowbridge/router"
)

// mostShared bounds how many calls share one transaction, and with it how long the writer is taken.
const mostShared = 64

// sharedCall is a small piece of work that waits for the transaction it shares.
type sharedCall struct {
	ctx  context.Context
	at   time.Time // when it was made
	do   func(ctx context.Context, tx *txn) error
	err  error
	done chan struct{}
}

// inShared runs do in a transaction that it shares with whoever else waits by then, each whole or not at all: one write
// to the disk is for all of them. It returns once that is over, and does not begin where ctx has ended. PostgreSQL lets
// transactions share their writes by itself.
func (s *Store) inShared(ctx context.Context, do func(ctx context.Context, tx *txn) error) error {
	if s.shared == nil {
		return s.inTx(ctx, func(tx *txn) error { return do(ctx, tx) })
	}
	call := &sharedCall{ctx: ctx, at: time.Now(), do: do, done: make(chan struct{})}
	select {
	case s.shared <- call:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return router.ErrClosed
	}
	select {
	case <-call.done:
		return call.err
	case <-s.sharedOver: // it may have been too late to be taken
		select {
		case <-call.done:
			return call.err
		default:
			return router.ErrClosed
		}
	}
}

// shareCalls runs what waits, until Close.
func (s *Store) shareCalls() {
	defer close(s.sharedOver)
	var worked time.Duration
	for {
		select {
		case call := <-s.shared:
			s.crowd.giveWay(s.closing, worked, time.Until(call.at.Add(mostCallRest)))
			began := time.Now()
			s.runShared(s.joinShared(call))
			worked = time.Since(began)
		case <-s.closing:
			for {
				select {
				case call := <-s.shared:
					s.runShared(s.joinShared(call))
				default:
					return
				}
			}
		}
	}
}

// joinShared returns the calls that wait by now.
func (s *Store) joinShared(first *sharedCall) []*sharedCall {
	calls := []*sharedCall{first}
	for len(calls) < mostShared {
		select {
		case call := <-s.shared:
			calls = append(calls, call)
		default:
			return calls
		}
	}
	return calls
}

func (s *Store) runShared(calls []*sharedCall) {
	err := s.inTx(context.Background(), func(tx *txn) error {
		for _, call := range calls {
			if err := runOne(tx, call, len(calls) > 1); err != nil {
				return err
			}
		}
		return nil
	})
	for _, call := range calls {
		if err != nil {
			call.err = err
		}
		close(call.done)
	}
}

// runOne runs a call, and takes back what it did if it fails. Its error says that the transaction is of no use any
// more. A call is not cancelled in the middle: that would end the transaction for all.
func runOne(tx *txn, call *sharedCall, several bool) error {
	ctx := context.WithoutCancel(call.ctx)
	if call.err = call.ctx.Err(); call.err != nil {
		return nil
	}
	if !several {
		call.err = call.do(ctx, tx)
		return call.err
	}
	if _, err := tx.ExecContext(ctx, `SAVEPOINT one`); err != nil {
		return err
	}
	if call.err = call.do(ctx, tx); call.err != nil {
		if _, err := tx.ExecContext(ctx, `ROLLBACK TO one`); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `RELEASE one`)
	return err
}
