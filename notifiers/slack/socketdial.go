package slack

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"flowbridge/notifiers"
)

// socketHandshake is how long the opening of a connection may take.
const socketHandshake = 45 * time.Second

// socketDialer opens the connections of Socket Mode. What is read until one stands is bounded, as the header of every
// other answer is: what a proxy says, certificates and the header of the server together. Messages have a bound of
// their own.
func socketDialer() *websocket.Dialer {
	d := net.Dialer{}
	return &websocket.Dialer{
		Proxy:            http.ProxyFromEnvironment,
		HandshakeTimeout: socketHandshake,
		NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := d.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			c := &handshakeConn{Conn: conn}
			c.left.Store(notifiers.MaxAnswerHeader)
			return c, nil
		},
	}
}

// errLongHandshake ends a connection whose other end goes on and on before it begins.
var errLongHandshake = fmt.Errorf("more than %d KiB before the connection stands", notifiers.MaxAnswerHeader>>10)

// handshakeConn bounds what is read until the handshake is over. The library has no word for that, but it gives the
// handshake a deadline, and takes that away when the connection stands.
type handshakeConn struct {
	net.Conn
	left atomic.Int64 // bytes that may still be read
	over atomic.Bool
}

func (c *handshakeConn) SetDeadline(t time.Time) error {
	if t.IsZero() {
		c.over.Store(true)
	}
	return c.Conn.SetDeadline(t)
}

func (c *handshakeConn) Read(p []byte) (int, error) {
	if c.over.Load() {
		return c.Conn.Read(p)
	}
	left := c.left.Load()
	if left <= 0 {
		return 0, errLongHandshake
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), left)])
	c.left.Add(int64(-n))
	return n, err
}
