package main

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxLogWaiting is how many bytes of the log wait for a reader that is slow: about a thousand lines.
	maxLogWaiting = 256 << 10
	// logFlush is how long what waits may take when the process ends.
	logFlush = time.Second
)

// logQueue stands between those who log and an outlet whose reader may stall: a full pipe must not hold up intake,
// folding and telling. What finds no room is dropped and counted, and the log says how many lines that were once its
// reader goes on.
type logQueue struct {
	to      *outlet
	form    logFlags     // of what it says itself
	dropped atomic.Int64 // lines, since the start

	mu      sync.Mutex
	waiting []byte // whole lines
	gap     int64  // lines that were dropped behind them; until they are taken, no others follow
	closed  bool
	more    chan struct{} // of size 1: something waits, or it was closed
	done    chan struct{} // closed when everything is written
}

// queued makes an outlet take lines without waiting for its reader, from now on. It is closed by flush.
func (o *outlet) queued(form logFlags) {
	q := &logQueue{to: &outlet{file: o.file}, form: form, more: make(chan struct{}, 1), done: make(chan struct{})}
	o.queue = q
	go q.run()
}

// flush ends that, and waits for a moment until what waits is written.
func (o *outlet) flush() {
	if o.queue == nil {
		return
	}
	o.queue.close()
	select {
	case <-o.queue.done:
	case <-time.After(logFlush):
	}
}

// put takes a line.
func (q *logQueue) put(line []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.gap > 0 || len(q.waiting)+len(line) > maxLogWaiting {
		q.gap++
		q.dropped.Add(1)
		return
	}
	q.waiting = append(q.waiting, line...)
	q.wake()
}

func (q *logQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake()
}

func (q *logQueue) wake() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// run writes what waits, until it is closed.
func (q *logQueue) run() {
	defer close(q.done)
	logger := q.form.logger(q.to)
	for range q.more {
		for {
			q.mu.Lock()
			lines, gap, closed := q.waiting, q.gap, q.closed
			q.waiting, q.gap = nil, 0
			q.mu.Unlock()
			if len(lines) == 0 && gap == 0 {
				if closed {
					return
				}
				break
			}
			_, _ = q.to.Write(lines) // which counts what is lost
			if gap > 0 {
				logger.Warn("lines of the log were dropped: whoever reads it was too slow", "lines", gap)
			}
		}
	}
}
