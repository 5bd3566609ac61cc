package store

import (
	"context"
	"runtime"
	"sync"
	"time"
)

const (
	// crowdedAt is how many events a second and processor are a crowd: about twice as many as can be folded as they come,
	// so that some have to wait in any case.
	crowdedAt = 2500
	// crowdWindow is how long events are counted.
	crowdWindow = 50 * time.Millisecond
	// wayFor is how long a crowd is given way; where it goes on, all have to share. quietFor is how long there must have
	// been none before the next is given way.
	wayFor, quietFor = 3 * time.Second, time.Second
	// restShare is how long others rest for each time that they worked.
	restShare = 9
	// mostRest bounds one rest of who folds, and mostCallRest how long a call waits for this that shares a transaction:
	// well under the time that its caller gives it.
	mostRest, mostCallRest = 400 * time.Millisecond, 2 * time.Second
)

// crowd says whether posts come so fast that there are not processors for all that is to be done. Then those that fold
// and tell rest for most of the time: a post that is not answered comes again, and they have the same to do afterwards.
type crowd struct {
	at float64 // events a second

	mu     sync.Mutex
	began  time.Time // of the window
	events int       // that came in it
	here   bool      // in the last window
	since  time.Time // when the crowd came that is here or was last
	last   time.Time // when it was seen last
}

func newCrowd() crowd { return crowd{at: crowdedAt * float64(runtime.GOMAXPROCS(0))} }

// arrived counts events.
func (c *crowd) arrived(now time.Time, events int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look(now)
	c.events += events
}

// look begins another window where one is over.
func (c *crowd) look(now time.Time) {
	took := now.Sub(c.began)
	if took < crowdWindow {
		return
	}
	if c.here = float64(c.events) >= c.at*took.Seconds(); c.here {
		if now.Sub(c.last) > quietFor {
			c.since = now
		}
		c.last = now
	}
	c.began, c.events = now, 0
}

// goesFirst says whether there is a crowd that is to be given way.
func (c *crowd) goesFirst(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look(now)
	return c.here && now.Sub(c.since) < wayFor
}

// giveWay rests after work that took so long, no longer than most, while a crowd goes first, or until over is closed.
func (c *crowd) giveWay(over <-chan struct{}, worked, most time.Duration) {
	for rest := min(restShare*worked, most); rest > 0 && c.goesFirst(time.Now()); rest -= crowdWindow {
		select {
		case <-over:
			return
		case <-time.After(min(rest, crowdWindow)):
		}
	}
}

// GiveWay rests for a moment after work that took so long, while more arrives than can be folded beside it: half a
// second at most, and for no more than three seconds of a stream that goes on.
func (s *Store) GiveWay(ctx context.Context, worked time.Duration) {
	s.crowd.giveWay(ctx.Done(), worked, mostRest)
}
