package main

import (
	"bytes"
	"errors"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
)

// outlet is standard output or standard error, whose reader may go away: the log shipper restarts, or what stands
// behind the pipe has seen enough (`| head -1`). What nobody reads any more is dropped and counted: neither a running
// bridge nor the exit status of a command depends on it.
type outlet struct {
	file  *os.File
	lost  atomic.Int64 // lines that nobody can have read
	queue *logQueue    // where lines wait for a reader that is slow; nil: whoever writes waits
}

// surviveBrokenPipes makes a write to a pipe without a reader an error: by default it ends the process at once, with
// SIGPIPE, if it is to standard output or standard error. See package os/signal.
func surviveBrokenPipes() { signal.Ignore(syscall.SIGPIPE) }

// Write writes p whole. A pipe without a reader takes everything.
func (o *outlet) Write(p []byte) (int, error) {
	if o.queue != nil {
		o.queue.put(p)
		return len(p), nil
	}
	n, err := o.file.Write(p)
	if err != nil {
		o.lost.Add(int64(max(1, bytes.Count(p[n:], []byte("\n")))))
	}
	if errors.Is(err, syscall.EPIPE) {
		return len(p), nil
	}
	return n, err
}

// collectors count the log lines that were lost or dropped, where this is the log.
func (o *outlet) collectors() []prometheus.Collector {
	counter := func(name, help string, count func() int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
			func() float64 { return float64(count()) })
	}
	lost, dropped := o.lost.Load, func() int64 { return 0 }
	if o.queue != nil {
		lost, dropped = o.queue.to.lost.Load, o.queue.dropped.Load
	}
	return []prometheus.Collector{
		counter("flowbridge_log_lines_lost_total",
			"Log lines that could not be written: nobody reads the log any more, or its disk is full.", lost),
		counter("flowbridge_log_lines_dropped_total",
			"Log lines that were dropped: whoever reads the log is slower than it is written.", dropped),
	}
}
