package store

import (
	"context"
	"database/sql/driver"
	"sync"
	"time"
)

// Bounds of the pause between two tries to connect to a server that does not let us in.
const (
	leastGatePause = 50 * time.Millisecond
	mostGatePause  = 500 * time.Millisecond
)

// gate bounds how often a server that does not let us in is asked to. Every post and every delivery of a storm would
// ask, through each pool, and that is work for a server that is about to come back: a standby that is to be promoted,
// above all. After a try failed there is one at a time, with a pause that doubles. Meanwhile everybody else hears at
// once what the last one heard.
type gate struct {
	mu     sync.Mutex
	err    error // what the last try heard; nil: it was let in, and as many try as want to
	next   time.Time
	pause  time.Duration
	trying bool // one tries
}

// enter lets a try begin, or returns why there is to be none. A try of several that are let in while the last one
// succeeded is no probe.
func (g *gate) enter(now time.Time) (probe bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.err == nil:
		return false, nil
	case g.trying || now.Before(g.next):
		return false, g.err
	}
	g.trying = true
	return true, nil
}

// leave takes how a try ended. One that was broken off says nothing of the server.
func (g *gate) leave(now time.Time, probe, brokenOff bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if probe {
		g.trying = false
	}
	switch {
	case err == nil:
		g.err, g.pause = nil, 0
	case brokenOff:
	case probe || g.err == nil: // of several at once the first counts
		g.pause = min(max(2*g.pause, leastGatePause), mostGatePause)
		g.err, g.next = err, now.Add(g.pause)
	}
}

// gated makes connections while its gate allows that.
type gated struct {
	driver.Connector
	gate *gate
}

func (c gated) Connect(ctx context.Context) (driver.Conn, error) {
	probe, err := c.gate.enter(time.Now())
	if err != nil {
		return nil, err
	}
	conn, err := c.Connector.Connect(ctx)
	c.gate.leave(time.Now(), probe, ctx.Err() != nil, err)
	return conn, err
}
