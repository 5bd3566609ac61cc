//go:build unix

package storetest

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Link is a way to a server over TCP that can be cut, and that can be led to another server: a virtual address.
type Link struct {
	listener net.Listener
	work     sync.WaitGroup

	mu     sync.Mutex
	server *Server    // where new connections lead to
	passes *sync.Cond // told when a cut is mended
	cut    bool
	mute   bool          // what the server says does not get through
	cutAt  []byte        // nil: nowhere
	isCut  chan struct{} // closed when that was reached
	refuse chan struct{} // new connections are closed at once, and this with the first; nil: they are not
	closed bool
	conns  []net.Conn
}

// Link opens a way to the server that lives as long as the test.
func (s *Server) Link(t testing.TB) *Link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Link{server: s, listener: listener}
	l.passes = sync.NewCond(&l.mu)
	l.work.Go(l.accept)
	t.Cleanup(l.close)
	return l
}

// DSN returns the URL of a database by way of the link.
func (l *Link) DSN(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err) // only our own come here
	}
	u.Host, u.RawQuery = l.listener.Addr().String(), url.Values{"user": {"flowbridge"}, "sslmode": {"disable"}}.Encode()
	return u.String()
}

// Refuse closes new connections at once from now on, as what lies between does while the server is away. What it
// returns is closed with the first.
func (l *Link) Refuse() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = make(chan struct{})
	return l.refuse
}

// Admit lets new connections through again.
func (l *Link) Admit() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = nil
}

// refuses says whether a connection is refused.
func (l *Link) refuses() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse == nil {
		return false
	}
	select {
	case <-l.refuse:
	default:
		close(l.refuse)
	}
	return true
}

// To leads new connections to another server. Those that are there stay where they are.
func (l *Link) To(s *Server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.server = s
}

// socket is where new connections lead to.
func (l *Link) socket() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.server.Socket()
}

// Cut lets nothing through from now on, in either direction, and says so to nobody: like a cable that was pulled.
func (l *Link) Cut() { l.set(true) }

// Mute lets what clients say through, and nothing of what the server answers.
func (l *Link) Mute() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut, l.mute = false, true
	l.passes.Broadcast()
}

// CutAt cuts it as soon as a client says a text, which gets through no more. What it returns is closed then.
func (l *Link) CutAt(text string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cutAt, l.isCut = []byte(text), make(chan struct{})
	return l.isCut
}

// heard cuts the link where it is to be cut.
func (l *Link) heard(said []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cutAt != nil && bytes.Contains(said, l.cutAt) {
		l.cut, l.cutAt = true, nil
		close(l.isCut)
	}
}

// Mend lets everything through again.
func (l *Link) Mend() { l.set(false) }

func (l *Link) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut, l.mute = cut, false
	l.passes.Broadcast()
}

// Break ends all connections, as what lies between does when it is started anew. What was on its way does not arrive,
// and new ones get through.
func (l *Link) Break() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		if c, ok := c.(*net.TCPConn); ok {
			_ = c.SetLinger(0) // a reset
		}
		_ = c.Close()
	}
	l.conns, l.cut, l.mute = nil, false, false
	l.passes.Broadcast()
}

// pass waits until the link is whole, for an answer in that direction, too.
func (l *Link) pass(answer bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for (l.cut || l.mute && answer) && !l.closed {
		l.passes.Wait()
	}
}

func (l *Link) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		if l.refuses() {
			_ = client.Close()
			continue
		}
		server, err := net.Dial("unix", l.socket())
		if err != nil {
			_ = client.Close()
			continue
		}
		if !l.keep(client, server) {
			return
		}
		l.work.Go(func() { l.copy(client, server, true) })
		l.work.Go(func() { l.copy(server, client, false) })
	}
}

// keep remembers connections, to close them in the end; false if that has come.
func (l *Link) keep(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		for _, c := range conns {
			_ = c.Close()
		}
		return false
	}
	l.conns = append(l.conns, conns...)
	return true
}

// copy carries bytes, and the end of them, while the link is whole: what the server answers, or what a client says.
func (l *Link) copy(to, from net.Conn, answers bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if !answers {
			l.heard(buffer[:n])
		}
		l.pass(answers)
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return // the other direction carries what was said last, and the end
			}
		}
		if err != nil {
			if err != io.EOF {
				_ = from.Close()
			}
			_ = to.Close()
			return
		}
	}
}

func (l *Link) close() {
	_ = l.listener.Close()
	l.mu.Lock()
	l.closed = true
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.passes.Broadcast()
	l.mu.Unlock()
	l.work.Wait()
}
