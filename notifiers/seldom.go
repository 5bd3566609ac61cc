package notifiers

import (
	"sync/atomic"
	"time"
)

// Seldom keeps from filling the log what anybody who reaches a public address can bring about.
type Seldom struct{ last atomic.Int64 } // Unix seconds

// Now says whether something is to be logged now: at most once in ten seconds.
func (s *Seldom) Now(now time.Time) bool {
	at, before := now.Unix(), s.last.Load()
	return (at-before >= 10 || at < before) && s.last.CompareAndSwap(before, at)
}
