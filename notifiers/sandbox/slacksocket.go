package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// socketPath is where the app's web socket ends.
const socketPath = "/socket/"

// Bounds of a web socket.
const (
	pingEvery   = 5 * time.Second
	socketWrite = 5 * time.Second
)

// socket is a connection that the app holds in Socket Mode.
type socket struct {
	s    *Slack
	conn *websocket.Conn

	writing sync.Mutex // the library wants one at a time

	mu      sync.Mutex
	waiting map[string]chan Sent // for acknowledgements, by envelope
	last    int
	closed  chan struct{}
}

// openSocket gives out an address with a ticket, which is good once.
func (r *slackRequest) openSocket() answer {
	r.s.app.tickets++
	return grant(map[string]any{"url": strings.Replace(r.s.app.base, "http", "ws", 1) + socketPath +
		fmt.Sprint("ticket-", r.s.app.tickets)})
}

// Sockets returns how many connections the app holds.
func (s *Slack) Sockets() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.app.sockets)
}

// SocketsEver returns how many connections the app has made so far, those that have ended included.
func (s *Slack) SocketsEver() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.app.socketsEver
}

// DropSockets ends every connection, as Slack does once in a while: with a word before if politely, else without. None
// of them counts any more when it returns.
func (s *Slack) DropSockets(politely bool) {
	s.mu.Lock()
	sockets := s.app.sockets
	s.app.sockets = nil
	s.wake()
	s.mu.Unlock()
	for _, one := range sockets {
		if politely {
			_ = one.write(map[string]any{"type": "disconnect", "reason": "refresh_requested"}) // it is closed in any case
		}
		_ = one.conn.Close()
	}
}

// liveSocket is the newest connection, nil for none.
func (s *Slack) liveSocket() *socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.app.sockets); n > 0 {
		return s.app.sockets[n-1]
	}
	return nil
}

// holdSocket serves one connection until either side ends it.
func (s *Slack) holdSocket(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // it has answered
	}
	defer conn.Close()
	conn.SetReadLimit(maxReply)
	one := &socket{s: s, conn: conn, waiting: map[string]chan Sent{}, closed: make(chan struct{})}
	if one.write(map[string]any{"type": "hello", "num_connections": 1,
		"connection_info": map[string]any{"app_id": appID}}) != nil {
		return
	}
	s.mu.Lock()
	s.app.sockets = append(s.app.sockets, one)
	s.app.socketsEver++
	s.wake()
	s.mu.Unlock()
	var pinging sync.WaitGroup
	pinging.Go(one.ping)
	one.read()
	close(one.closed)
	pinging.Wait()
	s.mu.Lock()
	s.app.sockets = slices.DeleteFunc(s.app.sockets, func(other *socket) bool { return other == one })
	s.wake()
	s.mu.Unlock()
}

func (c *socket) write(v any) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(socketWrite)); err != nil {
		return err
	}
	return c.conn.WriteJSON(v)
}

// ping shows that the connection lives.
func (c *socket) ping() {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		// The first at once: an app counts from the last one that it saw.
		if c.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(socketWrite)) != nil {
			return
		}
		select {
		case <-tick.C:
		case <-c.closed:
			return
		}
	}
}

// read takes acknowledgements until the connection ends.
func (c *socket) read() {
	for {
		var ack struct {
			Envelope string          `json:"envelope_id"`
			Payload  json.RawMessage `json:"payload"`
		}
		if err := c.conn.ReadJSON(&ack); err != nil {
			return
		}
		c.mu.Lock()
		if wait := c.waiting[ack.Envelope]; wait != nil {
			delete(c.waiting, ack.Envelope)
			wait <- Sent{Status: http.StatusOK, Answer: ack.Payload}
		}
		c.mu.Unlock()
	}
}

// send sends an envelope and waits for its acknowledgement.
func (c *socket) send(ctx context.Context, kind string, payload []byte) (Sent, error) {
	wait := make(chan Sent, 1)
	c.mu.Lock()
	c.last++
	id := fmt.Sprint("envelope-", c.last)
	c.waiting[id] = wait
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waiting, id)
		c.mu.Unlock()
	}()
	at := time.Now()
	err := c.write(map[string]any{"envelope_id": id, "type": kind, "payload": json.RawMessage(payload),
		"accepts_response_payload": kind == "slash_commands"})
	if err != nil {
		return Sent{}, fmt.Errorf("through the web socket: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.s.cfg.Patience)
	defer cancel()
	select {
	case sent := <-wait:
		sent.Kind, sent.payload, sent.At = kind, payload, at
		return sent, nil
	case <-c.closed:
		return Sent{}, errors.New("the app closed its web socket")
	case <-ctx.Done():
		return Sent{}, fmt.Errorf("the app acknowledged nothing in %s", c.s.cfg.Patience)
	}
}
