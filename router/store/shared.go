package store

import (
	"context"
	"errors"
	"time"

	"flowbridge/router"
)

// mostShared bounds how many calls share one transaction, and with it how long the writer is taken.
const mostShared = 64

// sharedCall is a small piece of work that waits for the transaction it shares.
type sharedCall struct {
	ctx  context.Context
	at   time.Time                                // when it was made
	do   func(ctx context.Context, tx *txn) error // it may be run again
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

// runShared runs calls in one transaction. Where one of several fails, all are run once more, each behind a savepoint:
// that costs a copy of each page that is written, and next to none fails.
func (s *Store) runShared(calls []*sharedCall) {
	err := s.inTx(context.Background(), func(tx *txn) error { return runAll(tx, calls) })
	if errors.Is(err, errOneFailed) {
		err = s.inTx(context.Background(), func(tx *txn) error { return runEach(tx, calls) })
	}
	for _, call := range calls {
		if err != nil {
			call.err = err
		}
		close(call.done)
	}
}

var errOneFailed = errors.New("one of several calls failed")

// runAll runs calls that all succeed, or a single one.
func runAll(tx *txn, calls []*sharedCall) error {
	for _, call := range calls {
		switch ran := call.run(tx); {
		case !ran || call.err == nil:
		case len(calls) > 1:
			return errOneFailed
		default:
			return call.err
		}
	}
	return nil
}

// runEach takes back what a call did that fails. Its error says that the transaction is of no use any more.
func runEach(tx *txn, calls []*sharedCall) error {
	for _, call := range calls {
		ctx := context.WithoutCancel(call.ctx)
		if _, err := tx.ExecContext(ctx, `SAVEPOINT one`); err != nil {
			return err
		}
		if call.run(tx) && call.err != nil {
			if _, err := tx.ExecContext(ctx, `ROLLBACK TO one`); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `RELEASE one`); err != nil {
			return err
		}
	}
	return nil
}

// run does what the call is for, unless its context has ended, and says whether it did. It is not cancelled in the
// middle: that would end the transaction for all.
func (c *sharedCall) run(tx *txn) (ran bool) {
	if c.err = c.ctx.Err(); c.err != nil {
		return false
	}
	c.err = c.do(context.WithoutCancel(c.ctx), tx)
	return true
}
