package main

import (
	"errors"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
)

// outlet is standard output or standard error, whose reader may go away: the log shipper restarts, or what stands behind
// the pipe has seen enough (`| head -1`). What nobody reads any more is dropped and counted: neither a running bridge nor the
// exit status of a command depends on it.
type outlet struct {
	file *os.File
	lost atomic.Int64 // writes that nobody can have read
}

// surviveBrokenPipes makes a write to a pipe without a reader an error: by default it ends the process at once, with
// SIGPIPE, if it is to standard output or standard error. See package os/signal.
func surviveBrokenPipes() { signal.Ignore(syscall.SIGPIPE) }

// Write writes p whole. A pipe without a reader takes everything.
func (o *outlet) Write(p []byte) (int, error) {
	n, err := o.file.Write(p)
	if err != nil {
		o.lost.Add(1)
	}
	if errors.Is(err, syscall.EPIPE) {
		return len(p), nil
	}
	return n, err
}

// collector counts the log lines that were lost, where this is the log: each is one write.
func (o *outlet) collector() prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "flowbridge_log_lines_lost_total", Help: "Log lines that could not be written: nobody reads the log any more, or its disk is full.",
	}, func() float64 { return float64(o.lost.Load()) })
}
