package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// Bounds of connections. Every one takes a file descriptor, and the database, the services and the other address need
// theirs.
const (
	mostPublic = 1024
	mostAdmin  = 256 // a browser opens six for a page
)

// connectionLimits shares the file descriptors that this process may have: half for the public address, an eighth for
// the admin address, the rest for the database, the services and files.
func connectionLimits(files uint64) (public, admin int) {
	return int(min(mostPublic, max(files/2, 1))), int(min(mostAdmin, max(files/8, 1)))
}

// connections is a listener that has no more than so many connections at a time. Beyond that the one that is least
// likely to be missed gives way to the newcomer, so that strangers who hold connections shut nobody out.
type connections struct {
	net.Listener
	most     int
	reason   refusalReason
	refusals *refusals
	done     chan struct{} // closed with the listener

	mu      sync.Mutex
	changed *sync.Cond // a connection has closed or is idle, or the listener is closed
	open    map[*connection]struct{}
	closed  bool
}

func limitConnections(l net.Listener, most int, reason refusalReason, refusals *refusals) *connections {
	c := &connections{Listener: l, most: most, reason: reason, refusals: refusals, done: make(chan struct{}),
		open: map[*connection]struct{}{}}
	c.changed = sync.NewCond(&c.mu)
	return c
}

// The wait after a connection that could not be accepted: for want of file descriptors, mostly.
const acceptWait, acceptWaitMost = 5 * time.Millisecond, time.Second

// Accept fails only once the listener is closed: that nobody can be accepted for the moment must not end the bridge.
func (l *connections) Accept() (net.Conn, error) {
	for wait := acceptWait; ; wait = min(2*wait, acceptWaitMost) {
		conn, err := l.Listener.Accept()
		if err == nil {
			return l.hold(conn)
		}
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		l.refusals.note(refusedAccept, err.Error())
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-l.done:
			timer.Stop()
			return nil, net.ErrClosed
		}
	}
}

// hold makes room for a connection. Where everybody else is being answered it waits.
func (l *connections) hold(conn net.Conn) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.open) >= l.most && !l.closed {
		if last := l.leastMissed(); last != nil {
			delete(l.open, last)
			_ = last.Conn.Close()
			l.refusals.note(l.reason, "")
			continue
		}
		l.changed.Wait()
	}
	if l.closed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	c := &connection{Conn: conn, among: l, since: time.Now()}
	l.open[c] = struct{}{}
	return c, nil
}

// leastMissed is the connection that has been of no use for longest: first those that nobody asks anything on, and of
// them those whose requests were never answered well. It is nil if all are being answered.
func (l *connections) leastMissed() (last *connection) {
	for c := range l.open {
		if c.working == 0 && (last == nil || c.lessMissed(last)) {
			last = c
		}
	}
	return last
}

func (c *connection) lessMissed(other *connection) bool {
	if idle := c.asking == 0; idle != (other.asking == 0) {
		return idle
	}
	if c.useful != other.useful {
		return !c.useful
	}
	return c.since.Before(other.since)
}

// Close closes the listener; connections stay open.
func (l *connections) Close() error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.done)
		l.changed.Broadcast()
	}
	l.mu.Unlock()
	return l.Listener.Close()
}

// connection is one of them. Its methods may be called on nil, where a request came over no such listener.
type connection struct {
	net.Conn
	among *connections

	// Under the lock of among.
	since   time.Time // it was accepted, or ended its last request
	working int       // requests that are being answered; HTTP/2 has several
	asking  int       // requests that are at hand, also of somebody who makes us wait
	useful  bool      // a request of its was answered well
}

func (c *connection) startWork() {
	if c == nil {
		return
	}
	c.among.mu.Lock()
	defer c.among.mu.Unlock()
	c.working++
}

func (c *connection) endWork(well bool) {
	if c == nil {
		return
	}
	c.among.mu.Lock()
	c.working--
	c.among.mu.Unlock()
	c.answered(well)
}

// ask notes that a request has begun, until it was answered.
func (c *connection) ask() (answered func(well bool)) {
	if c == nil {
		return func(bool) {}
	}
	c.among.mu.Lock()
	c.asking++
	c.among.mu.Unlock()
	return func(well bool) {
		c.among.mu.Lock()
		c.asking--
		c.among.mu.Unlock()
		c.answered(well)
	}
}

func (c *connection) answered(well bool) {
	if c == nil {
		return
	}
	c.among.mu.Lock()
	defer c.among.mu.Unlock()
	c.since, c.useful = time.Now(), c.useful || well
	c.among.changed.Signal()
}

func (c *connection) Close() error {
	c.among.mu.Lock()
	delete(c.among.open, c)
	c.among.changed.Signal()
	c.among.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite lets the server end an answer in good order: without it, who is still sending might not read it.
func (c *connection) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

type connectionKey struct{}

// withConnection is for http.Server.ConnContext.
func withConnection(ctx context.Context, conn net.Conn) context.Context {
	if over, ok := conn.(*tls.Conn); ok {
		conn = over.NetConn()
	}
	return context.WithValue(ctx, connectionKey{}, conn)
}

// connectionOf returns the connection of a request, nil if its listener has no bound.
func connectionOf(ctx context.Context) *connection {
	c, _ := ctx.Value(connectionKey{}).(*connection)
	return c
}

// rememberUse notes whether a connection is of use. Unlike bodies.within it keeps none open for being at work, but
// closes those first on which nobody asks: who has no token can make us wait, and must not take the place of who has
// one.
func rememberUse(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, answered := &answer{ResponseWriter: w}, connectionOf(r.Context()).ask()
		defer func() { answered(answer.good()) }()
		next.ServeHTTP(answer, r)
	})
}
