package router

import (
	"context"
	"sync/atomic"
	"time"
)

// Sleep waits, and says whether ctx lasted.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// LogLimiter keeps the log from filling with what comes again and again, or what anybody can bring about who reaches a
// public address.
type LogLimiter struct{ last atomic.Int64 } // Unix seconds

// Allow says whether something is to be logged now: at most once in ten seconds.
func (s *LogLimiter) Allow(now time.Time) bool {
	at, before := now.Unix(), s.last.Load()
	return (at-before >= 10 || at < before) && s.last.CompareAndSwap(before, at)
}
