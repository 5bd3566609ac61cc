package graph

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"flowbridge/router"
)

const testToken = "EAAG-token-of-the-test"

// meta answers as a test wants it, over HTTP on a pipe: the clock of a synctest bubble stands for time.
type meta struct {
	mu     sync.Mutex
	asked  []string // paths and queries
	at     []time.Time
	answer func(w http.ResponseWriter, r *http.Request)
}

func (m *meta) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	m.asked, m.at = append(m.asked, r.URL.RequestURI()), append(m.at, time.Now())
	answer := m.answer
	m.mu.Unlock()
	if strings.Contains(r.URL.RequestURI(), testToken) {
		panic("the token is in the address")
	}
	answer(w, r)
}

func (m *meta) calls() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.asked...)
}

func (m *meta) says(status int, body string) {
	m.does(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func (m *meta) does(answer func(w http.ResponseWriter, r *http.Request)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer = answer
}

// client is one that asks m, in a bubble, until the test ends. Calls wait for the network as long as bubbles do.
func (m *meta) client(t *testing.T, cfg Config) *Client {
	t.Helper()
	cfg.Token, cfg.URL = testToken, "http://graph.test"
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	wire := newPipes()
	server := &http.Server{Handler: m}
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(wire) })
	transport := c.http.Transport.(*http.Transport)
	transport.DialContext, transport.Proxy = wire.dial, nil
	ctx, cancel := context.WithCancel(t.Context())
	running.Go(func() { c.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		transport.CloseIdleConnections()
		_ = server.Close()
		running.Wait()
	})
	return c
}

// pipes is a network in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// name asks for a name and says what it got.
func name(c *Client, kind Kind, id string) string {
	got, ok := c.Name(kind, id)
	if ok != (got != "") {
		return "ok and the name differ"
	}
	return got
}

func TestWhatGraphAnswersBecomesAName(t *testing.T) {
	for _, c := range []struct {
		what   string
		kind   Kind
		status int
		body   string
		want   string
		asks   string
		ends   outcome
	}{
		{"an account", Account, 200, `{"name":"Acme EU","id":"501"}`, "Acme EU", "/v23.0/501?fields=name", asked},
		{"a flow", Flow, 200, `{"name":"Checkout","status":"PUBLISHED"}`, "Checkout",
			"/v23.0/501?fields=name%2Cstatus", asked},
		{"a number", Phone, 200, `{"display_phone_number":"+1 555-0100","verified_name":"Acme"}`, "+1 555-0100 (Acme)",
			"/v23.0/501?fields=display_phone_number%2Cverified_name", asked},
		{"a number without a name", Phone, 200, `{"display_phone_number":"+1 555-0100"}`, "+1 555-0100", "", asked},
		{"a name on two lines", Flow, 200, `{"name":"Check\n\u0007out"}`, "Check out", "", asked},
		{"a long name", Flow, 200, `{"name":"` + strings.Repeat("é", 300) + `"}`, strings.Repeat("é", maxName-1) + "…",
			"", asked},
		{"no name", Flow, 200, `{"id":"501"}`, "", "", unknown},
		{"no JSON", Flow, 200, `<html>`, "", "", odd},
		{"a body without an end", Flow, 200, `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, "", "", odd},
		{"an unknown id", Flow, 400, `{"error":{"code":100,"message":"Unsupported get request."}}`, "", "", unknown},
		{"404", Flow, 404, ``, "", "", unknown},
		{"no permission", Account, 403, `{"error":{"code":200}}`, "", "", forbidden},
		{"a bad token", Account, 401, `{"error":{"code":190}}`, "", "", badToken},
		{"the app's limit", Account, 400, `{"error":{"code":4}}`, "", "", limited},
		{"the account's limit", Account, 400, `{"error":{"code":80004}}`, "", "", limited},
		{"429", Account, 429, ``, "", "", limited},
		{"503", Account, 503, `Service Unavailable`, "", "", odd},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &meta{}
				m.says(c.status, c.body)
				client := m.client(t, Config{})
				if got := name(client, c.kind, "501"); got != "" {
					t.Errorf("before Graph has answered, it is called %q", got)
				}
				time.Sleep(time.Second)
				if got := name(client, c.kind, "501"); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
				if calls := m.calls(); len(calls) != 1 || c.asks != "" && calls[0] != c.asks {
					t.Errorf("asked %q", calls)
				}
				if got := testutil.ToFloat64(client.calls[c.ends]); got != 1 {
					t.Errorf("%v calls ended with %s", got, c.ends)
				}
			})
		})
	}
}

// TestNothingElseIsAskedFor holds that only Meta's ids become part of a path.
func TestNothingElseIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meta{}
		m.says(200, `{"name":"x"}`)
		client := m.client(t, Config{})
		for _, id := range []string{"", "0", "me", "1/../me", "1?x", "-1", "٣", strings.Repeat("1", 33)} {
			name(client, Flow, id)
		}
		name(client, "template", "501")
		time.Sleep(time.Minute)
		if calls := m.calls(); len(calls) > 0 {
			t.Errorf("asked %q", calls)
		}
	})
}

func TestANameIsKeptForADayAndAFaultForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meta{}
		m.says(404, "")
		client := m.client(t, Config{})
		expect := func(after time.Duration, want string, calls int) {
			t.Helper()
			time.Sleep(after)
			got := name(client, Flow, "77")
			time.Sleep(time.Second)
			if n := len(m.calls()); got != want || n != calls {
				t.Fatalf("%q after %d calls, want %q after %d", got, n, want, calls)
			}
		}
		expect(0, "", 1)
		m.says(200, `{"name":"Checkout"}`)
		expect(59*time.Minute, "", 1)
		expect(2*time.Minute, "", 2)
		expect(time.Minute, "Checkout", 2)
		m.says(200, `{"name":"Check-out"}`)
		expect(23*time.Hour, "Checkout", 2)
		expect(time.Hour, "Checkout", 3) // shown while it is asked for anew
		expect(time.Minute, "Check-out", 3)
		m.says(404, "")
		expect(25*time.Hour, "Check-out", 4) // it was deleted: its name is better than its number
		expect(time.Minute, "Check-out", 4)
	})
}

func TestTheOldestAnswerGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meta{}
		m.says(200, `{"name":"x"}`)
		client := m.client(t, Config{Most: 2})
		for _, id := range []string{"1", "2", "3"} {
			name(client, Flow, id)
			time.Sleep(2 * time.Second)
		}
		got := fmt.Sprintf("%q %q %q", name(client, Flow, "2"), name(client, Flow, "3"), name(client, Flow, "1"))
		synctest.Wait()
		if want := `"x" "x" ""`; got != want || len(client.answers) != 2 || client.oldest.Len() != 2 {
			t.Errorf("known are %s, want %s", got, want)
		}
	})
}

// TestTheBudgetIsKept asks for a thousand names at once, and again and again.
func TestTheBudgetIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meta{}
		m.says(200, `{"name":"x"}`)
		client := m.client(t, Config{})
		for range 3 * 60 {
			for id := range 1000 {
				name(client, Flow, strconv.Itoa(id+1))
			}
			if len(client.queue) > 256 {
				t.Fatalf("%d wait", len(client.queue))
			}
			time.Sleep(time.Minute)
		}
		m.mu.Lock()
		calls := slices.Clone(m.at)
		m.mu.Unlock()
		if n := len(calls); n < 590 || n > 601 {
			t.Errorf("%d calls in three hours", n)
		}
		for i, at := range calls {
			if i > 0 && at.Sub(calls[i-1]) < time.Second {
				t.Errorf("call %d follows in %s", i, at.Sub(calls[i-1]))
			}
			if i >= 200 && at.Sub(calls[i-200]) < time.Hour {
				t.Errorf("call %d is the 201st within %s", i, at.Sub(calls[i-200]))
			}
		}
	})
}

func TestARefusedTokenAndAUsedUpBudgetAreWaitedOut(t *testing.T) {
	for _, body := range []string{`{"error":{"code":190}}`, `{"error":{"code":4}}`, `{"error":{"code":80004}}`} {
		synctest.Test(t, func(t *testing.T) {
			token := router.Secret(testToken)
			var mu sync.Mutex
			m := &meta{}
			m.says(400, body)
			client := m.client(t, Config{TokenNow: func() router.Secret {
				mu.Lock()
				defer mu.Unlock()
				return token
			}})
			for i := range 59 {
				name(client, Flow, strconv.Itoa(i+1))
				time.Sleep(time.Minute)
			}
			if n := len(m.calls()); n != 1 {
				t.Errorf("%s: %d calls in an hour", body, n)
			}
			mu.Lock()
			token = "EAAG-another"
			mu.Unlock()
			m.says(200, `{"name":"x"}`)
			name(client, Flow, "1")
			time.Sleep(time.Second)
			if got := name(client, Flow, "1"); got != "x" {
				t.Errorf("%s: with another token it is called %q", body, got)
			}
		})
	}
}

// TestGraphIsNeverWaitedFor has it say nothing at all.
func TestGraphIsNeverWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meta{answer: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }}
		client := m.client(t, Config{})
		began := time.Now()
		name(client, Flow, "77")
		name(client, Account, "501")
		if took := time.Since(began); took > 0 {
			t.Errorf("a name took %s", took)
		}
		time.Sleep(4900 * time.Millisecond)
		if n := testutil.ToFloat64(client.calls[timedOut]); n != 0 {
			t.Errorf("it is given up too early")
		}
		time.Sleep(7 * time.Second)
		if n := testutil.ToFloat64(client.calls[timedOut]); n != 2 {
			t.Errorf("%v calls were given up", n)
		}
	})
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meta{answer: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://elsewhere.test/", http.StatusFound)
		}}
		client := m.client(t, Config{})
		name(client, Flow, "77")
		time.Sleep(time.Second)
		if n := testutil.ToFloat64(client.calls[redirected]); n != 1 || len(m.calls()) != 1 {
			t.Errorf("asked %q", m.calls())
		}
	})
}

// TestTheTokenStaysInItsHeader has Graph and the network quote it wherever they can.
func TestTheTokenStaysInItsHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := &meta{}
		client := m.client(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for i, body := range []string{
			`{"error":{"code":100,"message":"what is ` + testToken + `?"}}`,
			`{"error":{"code":200,"message":"` + testToken + `"}}`,
			`{"error":{"code":1,"message":"no\n` + testToken + `"}}`,
			`{"error":{"code":190,"message":"Malformed ` + testToken + `"}}`,
		} {
			m.does(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer "+testToken {
					t.Errorf("Authorization is %q", r.Header.Get("Authorization"))
				}
				w.WriteHeader(400)
				_, _ = io.WriteString(w, body)
			})
			name(client, Flow, strconv.Itoa(i+1))
			time.Sleep(2 * time.Second)
		}
		synctest.Wait()
		said := log.String() + fmt.Sprintf("%v %+v %#v", client.cfg.Token, client.cfg, client.cfg.Token)
		if strings.Contains(said, testToken) {
			t.Errorf("the token leaks: %s", strings.ReplaceAll(said, testToken, "TOKEN"))
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 4 {
			t.Errorf("the log has %d warnings, want one for each reason:\n%s", n, log.String())
		}
	})
}

func TestWhereGraphIs(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "https://graph.facebook.com/v23.0",
		"https://graph.facebook.com/":       "https://graph.facebook.com/v23.0",
		"https://graph.facebook.com/v24.0/": "https://graph.facebook.com/v24.0",
		"http://127.0.0.1:1/x":              "http://127.0.0.1:1/x/v23.0",
		"ftp://x":                           "",
		"graph.facebook.com":                "",
		"https://u:secret@x":                "",
		"https://x?access_token=secret":     "",
	} {
		got, err := Address(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error quotes %q", text)
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a client without a token is made")
	}
}

func TestALookRemembersWhereTheEndpointIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meta{}
		client := m.client(t, Config{})
		if at, ok := client.Endpoint("77"); ok {
			t.Errorf("it is at %q before anybody looked", at.Reveal())
		}
		for _, body := range []string{well(), `{"status":"PUBLISHED"}`} {
			m.does(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, body) })
			health, err := client.Look(t.Context(), "77")
			if err != nil {
				t.Fatal(err)
			}
			if at, ok := client.Endpoint("77"); !ok || at != health.Address ||
				at != "" && at != "https://u:pw@shop.example.com/flow?key=1" {
				t.Errorf("it is at %q (%t)", at.Reveal(), ok)
			}
			if said := fmt.Sprintf("%v %+v %#v", health, health, health); strings.Contains(said, "pw") {
				t.Errorf("the password of the address is printed: %s", said)
			}
		}
		if at, ok := client.Endpoint("77"); !ok || at != "" {
			t.Errorf("a flow without an endpoint has %q (%t)", at.Reveal(), ok)
		}
		for i := range mostEndpoints {
			client.keepEndpoint(strconv.Itoa(1000+i), "https://shop.example.com")
		}
		if n := len(client.endpoints); n > mostEndpoints {
			t.Errorf("%d addresses are kept", n)
		}
	})
}
