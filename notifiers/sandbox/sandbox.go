// Package sandbox stands in for Slack, PagerDuty, Meta's Graph API and receivers of webhooks: HTTP servers that keep
// the real limits, state and errors, and that can be told to fail. The demo and the tests of notifiers talk to them
// over real HTTP; what a notifier should make of an answer is left to the notifiers.
//
// Slack, PagerDuty, Graph and WebhookReceiver are http.Handlers. Nothing here listens, and nothing runs in the
// background.
package sandbox

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// maxBody bounds what is read of a request. Both services take far less.
const maxBody = 4 << 20

// Call is one request that a stand-in received, whatever became of it.
type Call struct {
	Method   string    // Slack: "chat.postMessage"; PagerDuty: "/v2/enqueue"
	Channel  string    // Slack: the channel's #name, or what was asked for where there is no such channel
	Action   string    // PagerDuty: trigger, acknowledge or resolve; Graph: health_status of a look at a flow
	DedupKey string    // PagerDuty
	At       time.Time // when it arrived
	Status   int       // HTTP status of the answer; 0 while there is none and where the connection was cut
	Error    string    // Slack's error code, PagerDuty's first words; "" for a success
	Dropped  bool      // PagerDuty: accepted, and silently forgotten since no such incident is open
}

// answer is what a stand-in says to one call.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    string // as in Call.Error
}

// core is what the stand-ins share: a lock over everything, the record of calls, faults, and waking those
// who wait for something to happen.
type core struct {
	now  func() time.Time
	keep int // how much is remembered of each thing; 0 is all

	mu       sync.Mutex
	calls    []*Call
	faults   []*Fault
	changed  chan struct{} // closed and replaced with every change
	released chan struct{} // closed and replaced by ClearFaults
}

func newCore(now func() time.Time, keep int) core {
	if now == nil {
		now = time.Now
	}
	return core{now: now, keep: keep, changed: make(chan struct{}), released: make(chan struct{})}
}

// Calls returns every request so far, oldest first: what is not in it was never asked.
func (c *core) Calls() []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Call, len(c.calls))
	for i, call := range c.calls {
		out[i] = *call
	}
	return out
}

// Changed returns a channel that is closed at the next change: a call that arrived or was answered, or
// a message that a person deleted. Take it before looking, and no change is missed.
func (c *core) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// Wait returns nil once done() holds, which is asked at every change, or the error of ctx.
func (c *core) Wait(ctx context.Context, done func() bool) error {
	for {
		changed := c.Changed()
		if done() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// newest drops the oldest of a list until it holds no more than keep; 0 keeps all.
func newest[T any](list []T, keep int) []T {
	if keep > 0 && len(list) > keep {
		list = slices.Delete(list, 0, len(list)-keep)
	}
	return list
}

// wake tells those who wait; c.mu is held.
func (c *core) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// request is one call as the service sees it.
type request interface {
	note(*Call)       // what it is about, whether it succeeds or not
	act(*Call) answer // does it
}

// serve answers one request: the record, the faults and the wire are common, what read makes of the body
// is the service's. All methods of the request are called with c.mu held.
func (c *core) serve(w http.ResponseWriter, r *http.Request, method string, read func(body []byte) request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "request body: "+err.Error(), http.StatusRequestEntityTooLarge)
		return
	}

	req := read(body)

	c.mu.Lock()
	call := &Call{Method: method, At: c.now()}
	c.calls = newest(append(c.calls, call), c.keep)
	req.note(call)
	fault, released := c.fault(method), c.released
	var out answer
	acted := fault == nil || fault.AfterAccept
	if acted {
		out = req.act(call)
	}
	c.wake()
	c.mu.Unlock()

	if fault != nil && fault.Hang {
		select {
		case <-released: // a slow service, not a dead one: it goes on where it stood
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}

	c.mu.Lock()
	if !acted && fault.Hang {
		out = req.act(call)
	}
	if fault != nil {
		out = fault.instead(out)
	}
	cut := fault != nil && fault.EOF
	if !cut {
		call.Status = out.status
	}
	call.Error = out.err
	c.wake()
	c.mu.Unlock()

	if cut {
		panic(http.ErrAbortHandler)
	}
	for key, values := range out.header {
		w.Header()[key] = values
	}
	w.WriteHeader(out.status)
	_, _ = w.Write(out.body) // a client that is gone does not want it
}

// jsonAnswer is an answer in JSON.
func jsonAnswer(status int, body any) answer {
	data, err := json.Marshal(body)
	if err != nil { // our own maps and structs always marshal
		return answer{status: http.StatusInternalServerError, body: []byte(err.Error()), err: "marshal"}
	}
	return answer{
		status: status,
		header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
		body:   data,
	}
}

// retryAfter writes a wait as the header does, in whole seconds, rounded up.
func retryAfter(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
