package slack

import (
	"flag"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/notifiers/sandbox/sandboxtest"
	"flowbridge/router"
)

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "8"); err != nil { // they wait for others; -parallel says otherwise
		panic(err)
	}
	os.Exit(m.Run())
}

const token = "xoxb-secret-of-the-test"

// world is a Notifier with a stand-in Slack, over real HTTP, and a clock that is moved.
type world struct {
	t        *testing.T
	slack    *sandbox.Slack
	notifier *Notifier
	log      sandboxtest.LogBuffer

	mu  sync.Mutex
	now time.Time
}

func newWorld(t *testing.T, change ...func(*sandbox.SlackConfig, *Config)) *world {
	t.Helper()
	w := &world{t: t, now: began.Add(time.Minute)}
	there := sandbox.SlackConfig{Token: token, Channels: []string{"#payments"}, NoLimits: true, Now: w.clock}
	here := Config{Token: token, Now: w.clock, Logger: slog.New(slog.NewTextHandler(&w.log, nil))}
	for _, c := range change {
		c(&there, &here)
	}
	w.slack = sandbox.NewSlack(there)
	server := httptest.NewServer(w.slack)
	t.Cleanup(func() {
		w.slack.ClearFaults()
		server.Close()
	})
	here.APIURL = server.URL + "/api/"
	n, err := New(here)
	if err != nil {
		t.Fatal(err)
	}
	w.notifier = n
	t.Cleanup(func() { sandbox.AssertNoSecret(t, []string{token}, w.log.String()) })
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// sync tells n and returns the receipt; it fails the test if Slack was not told.
func (w *world) sync(n router.Notification) router.Receipt {
	w.t.Helper()
	r, err := w.notifier.Sync(w.t.Context(), n)
	if err != nil {
		w.t.Fatalf("Sync: %v", err)
	}
	return r
}

// fail tells n, which must not succeed. No error holds the token.
func (w *world) fail(n router.Notification) (router.Receipt, error) {
	w.t.Helper()
	r, err := w.notifier.Sync(w.t.Context(), n)
	if err == nil {
		w.t.Fatal("Sync succeeded")
	}
	sandbox.AssertNoSecret(w.t, []string{token, "127.0.0.1"}, err.Error())
	return r, err
}

// after is n as the queue hands it out after an attempt that ended with r: the next state if that was a
// success, else the same state again.
func after(r router.Receipt, attempt int, n router.Notification) router.Notification {
	n.Receipt, n.MayExist, n.Attempt = r, r != router.Receipt{}, attempt
	var left []router.Entry
	for _, e := range n.Timeline {
		if e.N > r.Told {
			left = append(left, e)
		}
	}
	n.Timeline = left
	return n
}

// afterCrash is n as the queue hands it out after an attempt that nobody wrote the end of.
func afterCrash(n router.Notification) router.Notification {
	n = after(router.Receipt{}, 2, n)
	n.MayExist = true
	return n
}

// calls lists the methods that were called, without the first so many, and how those that failed did.
func (w *world) calls(from int) string {
	var out []string
	for _, c := range w.slack.Calls()[from:] {
		word := strings.TrimPrefix(strings.TrimPrefix(c.Method, "chat."), "conversations.")
		if c.Error != "" {
			word += ":" + c.Error
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}

// shown lists what the channel shows: roots as their text, replies with an arrow, two for those that the channel sees
// too.
func (w *world) shown() []string {
	var out []string
	for _, m := range w.slack.Messages("#payments") {
		text := m.Text
		if m.ThreadTS != "" {
			text = "> " + text
		}
		if m.Broadcast {
			text = ">" + text
		}
		out = append(out, text)
	}
	return out
}

// sibling returns a Notifier of the same Slack that remembers nothing, as after a restart.
func (w *world) sibling() *Notifier {
	w.t.Helper()
	n, err := New(w.notifier.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// put is the own half of a receipt.
func put(o own) router.Own { return receipt{own: o}.write().Own }
