package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	databases "flowbridge/router/store/storetest"
	"flowbridge/router/whatsapp"
)

// strangerPaths are the routes that strangers can post to.
var strangerPaths = []string{"/webhooks/whatsapp", "/webhooks/pagerduty", "/slack/actions", "/slack/commands"}

const signingSecretOfTest = "signing-secret-of-the-test"

// newTarget starts a bridge with all its public routes, and so many file descriptors; 0 for no limit.
func newTarget(t *testing.T, files int) *process {
	t.Helper()
	s := newServices(t, "#ops")
	s.env = append(s.env, "SLACK_SIGNING_SECRET="+signingSecretOfTest, "PAGERDUTY_WEBHOOK_SECRET="+testWebhooks.Reveal())
	s.files = files
	return start(t, s, writeRules(t, crashRules), databases.File(t))
}

// strangerHeader has signatures that look right, and are not.
func strangerHeader() http.Header {
	zeros := strings.Repeat("0", 64)
	return http.Header{
		"Content-Type":        {"application/x-www-form-urlencoded"},
		"X-Hub-Signature-256": {"sha256=" + zeros}, "X-Pagerduty-Signature": {"v1=" + zeros},
		"X-Slack-Signature": {"v0=" + zeros}, "X-Slack-Request-Timestamp": {strconv.FormatInt(time.Now().Unix(), 10)},
	}
}

// strangers are connections that go on with a post whose signature is wrong.
type strangers struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (s *strangers) begin(p *process, path string, length int, first []byte) error {
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.Public, "http://"))
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.conns = append(s.conns, conn)
	s.mu.Unlock()
	header := strangerHeader()
	header.Set("Content-Length", strconv.Itoa(length))
	var head strings.Builder
	fmt.Fprintf(&head, "POST %s HTTP/1.1\r\nHost: bridge\r\n", path)
	_ = header.Write(&head)
	head.WriteString("\r\n")
	_, _ = conn.Write(append([]byte(head.String()), first...)) // who is cut off has been refused
	return nil
}

// drip sends a byte on every connection again and again, until ctx ends.
func (s *strangers) drip(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.mu.Lock()
			for _, conn := range s.conns {
				_, _ = conn.Write([]byte("x"))
			}
			s.mu.Unlock()
		}
	}
}

func (s *strangers) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.conns {
		conn.Close()
	}
	s.conns = nil
}

// honest posts webhooks over some connections, each time on a new one where fresh says so. It fails the test unless
// every one is answered 200, and tells how long they took.
func honest(t *testing.T, client func() *http.Client, url string, posts int, fresh bool) {
	t.Helper()
	const clients = 4
	var mu sync.Mutex
	var took []time.Duration
	bad := map[string]int{}
	var working sync.WaitGroup
	for c := range clients {
		working.Go(func() {
			client := client()
			defer client.CloseIdleConnections()
			for i := range posts / clients {
				body := pairPost(lately+int64(i), strconv.Itoa(100+c), "ACTIVATED", 5)
				began := time.Now()
				said := answered(client, url+"/webhooks/whatsapp",
					http.Header{"X-Hub-Signature-256": {whatsapp.Sign(testSecret, []byte(body))}}, body)
				mu.Lock()
				took = append(took, time.Since(began))
				if said != "200 OK" {
					bad[said]++
				}
				mu.Unlock()
				if fresh {
					client.CloseIdleConnections()
				}
			}
		})
	}
	working.Wait()
	if len(bad) > 0 {
		t.Errorf("of %d honest posts some were answered %v", len(took), bad)
	}
	slices.Sort(took)
	t.Logf("%d honest posts: median %s, p99 %s, longest %s", len(took), took[len(took)/2], took[len(took)*99/100],
		took[len(took)-1])
}

// answered posts, and returns the status or the error.
func answered(client *http.Client, url string, header http.Header, body string) string {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	req.Header = header
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Status
}

func plainClient() *http.Client {
	return &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
}

// others posts what Slack and PagerDuty would, and a post of Meta's that is as large as it may be. Who finds no room
// repeats it, as they do: strangers that were fast a moment ago give way to a large body once they are slow.
func others(t *testing.T, p *process) {
	t.Helper()
	client := plainClient()
	defer client.CloseIdleConnections()
	stamp, form := strconv.FormatInt(time.Now().Unix(), 10), "ssl_check=1"
	ping := `{"event":{"id":"1","event_type":"pagey.ping","resource_type":"pagey","occurred_at":"2026-03-02T10:00:00Z","data":{}}}`
	large := `{"object":"whatsapp_business_account","entry":[],"x":"` + strings.Repeat("x", 3<<20-100) + `"}`
	for _, c := range []struct {
		path, body, want string
		header           http.Header
	}{
		{"/slack/commands", form, "200 OK", http.Header{
			"X-Slack-Request-Timestamp": {stamp}, "X-Slack-Signature": {sandbox.Sign(signingSecretOfTest, stamp, []byte(form))},
			"Content-Type": {"application/x-www-form-urlencoded"}}},
		{"/webhooks/pagerduty", ping, "202 Accepted",
			http.Header{"X-Pagerduty-Signature": {sandbox.SignWebhook(testWebhooks, []byte(ping))}}},
		{"/webhooks/whatsapp", large, "200 OK",
			http.Header{"X-Hub-Signature-256": {whatsapp.Sign(testSecret, []byte(large))}}},
	} {
		eventually(t, c.path+" is answered "+c.want, func() bool {
			return answered(client, p.Public+c.path, c.header, c.body) == c.want
		})
	}
}

// refused returns how many the bridge turned away for a reason.
func refused(t *testing.T, p *process, reason refusalReason) int {
	t.Helper()
	return p.counter(t, fmt.Sprintf(`flowbridge_refused_total{reason="%s"}`, reason))
}

// TestStrangersWhoDripHoldNobodyUp has 400 connections that send a byte now and then to the route of Meta's webhooks,
// and 40 to every other.
func TestStrangersWhoDripHoldNobodyUp(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	p := newTarget(t, 0)
	s, n := &strangers{}, 0
	t.Cleanup(s.close)
	for _, path := range strangerPaths {
		for range map[bool]int{true: 400, false: 40}[path == "/webhooks/whatsapp"] {
			if err := s.begin(p, path, 900_000, []byte("x")); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	eventually(t, "all of them are being read", func() bool {
		return p.counter(t, "flowbridge_body_bytes")/firstChunk+refused(t, p, refusedSlow) >= n
	})
	ctx, stop := context.WithCancel(t.Context())
	var dripping sync.WaitGroup
	dripping.Go(func() { s.drip(ctx) })
	honest(t, plainClient, p.Public, 400, false)
	honest(t, plainClient, p.Public, 400, true)
	others(t, p)
	if p.readiness(t) != http.StatusOK {
		t.Error("the bridge says that it is not ready")
	}
	eventually(t, "all of them were ended", func() bool { return p.counter(t, "flowbridge_body_bytes") == 0 })
	stop()
	dripping.Wait()
	if got := refused(t, p, refusedSlow); got != n {
		t.Errorf("%d were ended for being too slow, want %d", got, n)
	}
	if logged := strings.Count(p.stderr.String(), refusalWords[refusedSlow]); logged < 1 || 20*logged > n {
		t.Errorf("the log names %d of them in %d lines, want a line now and then", n, logged)
	}
}

// TestLargeBodiesOfStrangersStayInTheirRoom has 240 connections that each send all but the last byte of 3 MB.
func TestLargeBodiesOfStrangersStayInTheirRoom(t *testing.T) {
	databases.Long(t)
	p := newTarget(t, 0)
	honest(t, plainClient, p.Public, 100, false)
	idle := p.memory(t)
	s := &strangers{}
	t.Cleanup(s.close)
	body := make([]byte, 3<<20-1)
	var sending sync.WaitGroup
	for range 240 {
		sending.Go(func() {
			for range 2 { // who is refused comes back
				if err := s.begin(p, strangerPaths[0], 3<<20, body); err != nil {
					t.Error(err)
				}
			}
		})
	}
	honest(t, plainClient, p.Public, 400, true)
	sending.Wait()
	honest(t, plainClient, p.Public, 400, false)
	peak := p.memory(t)
	t.Logf("%d MB above idle (%d MB)", (peak-idle)>>20, idle>>20)
	if peak-idle > 100<<20 {
		t.Errorf("memory rose from %d to %d MB", idle>>20, peak>>20)
	}
	if refused(t, p, refusedNoRoom)+refused(t, p, refusedDisplaced) == 0 {
		t.Error("nobody was turned away")
	}
	others(t, p)
	s.close()
	eventually(t, "all memory is given back", func() bool { return p.counter(t, "flowbridge_body_bytes") == 0 })
}

// memory returns the most that the process ever had in memory.
func (p *process) memory(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skip("this system does not say what a process has in memory")
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmHWM:" {
			kilobytes, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	t.Fatalf("no VmHWM in\n%s", status)
	return 0
}

// TestIdleStrangersShutNobodyOut has more connections than the process may have files.
func TestIdleStrangersShutNobodyOut(t *testing.T) {
	p := newTarget(t, 512)
	client := plainClient() // whose connection was there before, and stays
	defer client.CloseIdleConnections()
	verify := func(what string, client *http.Client) {
		t.Helper()
		resp, err := client.Get(p.Public +
			"/webhooks/whatsapp?hub.mode=subscribe&hub.challenge=1&hub.verify_token=verify-token-of-the-test")
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		defer resp.Body.Close()
		if _, _ = io.Copy(io.Discard, resp.Body); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: answered %s", what, resp.Status)
		}
	}
	verify("before", client)
	var idle []net.Conn
	defer func() {
		for _, conn := range idle {
			conn.Close()
		}
	}()
	for _, base := range []string{p.Public, p.Admin} {
		for range 600 {
			conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			idle = append(idle, conn)
			_, _ = io.WriteString(conn, "GET /nothing HTTP/1.1\r\nHost: bridge\r\n\r\n")
		}
		if base == p.Public {
			eventually(t, "some of the idle have given way",
				func() bool { return refused(t, p, refusedConnection) >= 600-512/2 })
		}
		verify("a connection that was of use before", client)
		honest(t, plainClient, p.Public, 100, true)
		for range 20 {
			probe := plainClient()
			resp, err := probe.Get(p.Admin + "/readyz")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			probe.CloseIdleConnections()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("/readyz answered %s", resp.Status)
			}
		}
	}
	if refused(t, p, refusedAdmin) == 0 {
		t.Error("nobody gave way on the admin address")
	}
	if log := p.stderr.String(); !strings.Contains(log, refusalWords[refusedConnection]) ||
		strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("the log says\n%s", tail(log))
	}
	if err := p.stop(t); err != nil {
		t.Errorf("the bridge ended with %v", err)
	}
}

// TestStreamsOfStrangersHoldNobodyUp has 3,000 posts that drip over 30 connections of HTTP/2: more than there is room
// for.
func TestStreamsOfStrangersHoldNobodyUp(t *testing.T) {
	databases.Long(t)
	ca := newAuthority(t, "CA of the bridge")
	cert, key := ca.issue("bridge", 20*24*time.Hour)
	dir := t.TempDir()
	s := newServices(t, "#ops")
	s.env = append(s.env, "FLOWBRIDGE_TLS_CERT="+ca.write(filepath.Join(dir, "tls.crt"), cert), "FLOWBRIDGE_TLS_KEY="+
		ca.write(filepath.Join(dir, "tls.key"), key))
	p := start(t, s, writeRules(t, crashRules), databases.File(t))
	url := "https" + strings.TrimPrefix(p.Public, "http")
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	client := func() *http.Client {
		return &http.Client{Timeout: time.Minute, Transport: &http.Transport{ForceAttemptHTTP2: true,
			HTTP2: &http.HTTP2Config{StrictMaxConcurrentRequests: true}, TLSClientConfig: &tls.Config{RootCAs: roots}}}
	}
	honest(t, client, url, 100, false)
	ctx, stop := context.WithCancel(t.Context())
	var streams sync.WaitGroup
	defer streams.Wait()
	defer stop()
	for range 30 {
		one := client()
		defer one.CloseIdleConnections()
		// now it has one connection
		if said := answered(one, url+strangerPaths[0], strangerHeader(), "x"); said != "401 Unauthorized" {
			t.Fatal(said)
		}
		for range maxStreams {
			streams.Go(func() {
				read, write := io.Pipe()
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+strangerPaths[0], read)
				if err != nil {
					t.Error(err)
					return
				}
				req.Header, req.ContentLength = strangerHeader(), smallBody
				go func() {
					_, _ = write.Write([]byte("x"))
					<-ctx.Done()
					write.Close()
				}()
				if resp, err := one.Do(req); err == nil {
					resp.Body.Close()
				}
			})
		}
	}
	eventually(t, "there is no room for more of them", func() bool { return refused(t, p, refusedDisplaced) > 0 })
	honest(t, client, url, 400, false)
	honest(t, client, url, 40, true)
	stop()
	eventually(t, "all memory is given back", func() bool { return p.counter(t, "flowbridge_body_bytes") == 0 })
}
