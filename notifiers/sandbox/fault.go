package sandbox

import (
	"cmp"
	"net/http"
	"time"
)

// Fault makes calls fail. Exactly one of Status, OKFalse, Body, Hang and EOF says how; Body may stand
// beside Status.
type Fault struct {
	// Method it is for: Slack's "chat.postMessage", PagerDuty's "/v2/enqueue". "" is every method.
	Method string
	// Skip lets so many calls through first.
	Skip int
	// Times is how many calls fail; 0 means all, until ClearFaults.
	Times int
	// Until ends it by the clock of the stand-in. Default: it ends with Times or ClearFaults.
	Until time.Time
	// AfterAccept does what was asked, then fails: the message is posted, its answer is lost.
	AfterAccept bool

	Status     int           // HTTP status
	RetryAfter time.Duration // beside Status, the Retry-After header; 0 sends none
	RetryWords string        // in place of RetryAfter: the header word for word, such as "-1" or a date
	Location   string        // beside a Status of 3xx, where it leads
	OKFalse    string        // Slack: 200 with {"ok":false,"error":OKFalse}
	Body       string        // 200, or Status, with this body
	Hang       bool          // no answer until ClearFaults, or until the client goes away; then as if nothing had been
	EOF        bool          // the connection is cut without an answer
}

// Fail adds a fault. Of several that fit a call, the first added counts.
func (c *core) Fail(f Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, &f)
}

// ClearFaults forgets all faults, and lets go of the calls that hang.
func (c *core) ClearFaults() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = nil
	close(c.released)
	c.released = make(chan struct{})
}

// Faults returns those that calls meet now.
func (c *core) Faults() (out []Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.faults {
		if !f.over(c.now()) {
			out = append(out, *f)
		}
	}
	return out
}

func (f *Fault) over(now time.Time) bool { return !f.Until.IsZero() && !now.Before(f.Until) }

// fault takes the fault that is due for a call, nil for none; c.mu is held.
func (c *core) fault(method string) *Fault {
	for i, f := range c.faults {
		if f.Method != "" && f.Method != method || f.over(c.now()) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times == 1 {
			c.faults = append(c.faults[:i:i], c.faults[i+1:]...)
		} else if f.Times > 1 {
			f.Times--
		}
		return f
	}
	return nil
}

// instead returns what is sent in place of the right answer.
func (f *Fault) instead(right answer) answer {
	switch {
	case f.Hang:
		return right
	case f.OKFalse != "":
		out := jsonAnswer(http.StatusOK, map[string]any{"ok": false, "error": f.OKFalse})
		out.err = f.OKFalse
		return out
	case f.EOF:
		return answer{err: "connection cut"}
	}
	out := answer{
		status: cmp.Or(f.Status, http.StatusOK),
		header: http.Header{},
		body:   []byte(f.Body),
		err:    "fault",
	}
	if f.Body == "" {
		out.body = []byte("<html><body>" + http.StatusText(f.Status) + "</body></html>")
	}
	if f.RetryAfter > 0 {
		out.header.Set("Retry-After", retryAfter(f.RetryAfter))
	}
	if f.RetryWords != "" {
		out.header.Set("Retry-After", f.RetryWords)
	}
	if f.Location != "" {
		out.header.Set("Location", f.Location)
	}
	return out
}
