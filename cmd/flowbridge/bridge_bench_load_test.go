package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/whatsapp"
)

// benchPost is a signed post, as it goes over the wire: to make it costs nothing while it is measured.
type benchPost struct {
	flow    string
	request []byte
}

// newBenchPost is about the endpoint of a flow, in Meta's form. at is its entry.time in Unix seconds.
func newBenchPost(flow string, at int64, state string) benchPost {
	rate, word := 14.28, "reached"
	if state == router.Deactivated {
		rate, word = 3.5, "dropped below"
	}
	body := fmt.Appendf(nil,
		`{"object":"whatsapp_business_account","entry":[{"id":"104996122399160","time":%d,"changes":[{"field":"flows","value":{"event":"ENDPOINT_ERROR_RATE","message":"The endpoint error rate has %s the 10%% threshold in the last 30 minutes","flow_id":%q,"error_rate":%g,"threshold":10,"alert_state":%q,"errors":[{"error_type":"TIMEOUT","error_rate":66.66,"error_count":2},{"error_type":"unexpected_http_status_code","error_rate":33.33,"error_count":1}]}}]}]}`,
		at, word, flow, rate, state)
	request := fmt.Appendf(nil,
		"POST /webhooks/whatsapp HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\nX-Hub-Signature-256: "+
			"%s\r\nContent-Length: %d\r\n\r\n",
		whatsapp.Sign(benchSecret, body), len(body))
	return benchPost{flow: flow, request: append(request, body...)}
}

// benchPairs are n events in pairs over some flows. Half of the flows are in trouble at a time, and none at the end.
// Each is a second later than the one before, and the last is of now.
func benchPairs(n, flows int) (posts []benchPost) {
	at := time.Now().Unix() - int64(n)
	add := func(pair int, state string) {
		posts = append(posts, newBenchPost(benchFlow(pair%flows), at+int64(len(posts)), state))
	}
	pairs := n / 2
	open := min(flows/2, pairs)
	for i := range pairs + open {
		if i < pairs {
			add(i, router.Activated)
		}
		if i >= open {
			add(i-open, router.Deactivated)
		}
	}
	return posts
}

// benchOpenings are n alerts, each about a flow of its own.
func benchOpenings(n int) (posts []benchPost) {
	at := time.Now().Unix() - int64(n)
	for i := range n {
		posts = append(posts, newBenchPost(benchFlow(i), at+int64(i), router.Activated))
	}
	return posts
}

// benchRulesFile routes each flow to one of so many channels, and to one of so many routing keys.
func benchRulesFile(b *testing.B, targets, flows int) (path string) {
	b.Helper()
	var text bytes.Buffer
	text.WriteString("version: 1\nflows:\n")
	for n := range flows {
		fmt.Fprintf(&text, "  %q: {name: Flow %s, team: team-%d}\n", benchFlow(n), benchFlow(n), n%targets)
	}
	text.WriteString("notifiers:\n")
	for n := range targets {
		fmt.Fprintf(&text, "  chat-%d: {kind: slack, channel: %q}\n  page-%d: {kind: pagerduty, routing_key: %q}\n", n,
			benchChannel(n), n, benchRoutingKey(n))
	}
	text.WriteString("rules:\n")
	for n := range min(targets, flows) {
		fmt.Fprintf(&text, "  - {name: rule %d, match: {team: team-%d}, notify: [chat-%d, page-%d]}\n", n, n, n, n)
	}
	text.WriteString("default: {notify: [chat-0]}\n")
	path = filepath.Join(b.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// benchConn is a connection of Meta's that stays open.
type benchConn struct {
	net.Conn
	answers *bufio.Reader
}

func dialBench(address string) (*benchConn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &benchConn{conn, bufio.NewReader(conn)}, nil
}

// benchPatience bounds the wait for one answer: a bridge that hangs fails the benchmark.
const benchPatience = 30 * time.Second

// post returns an error unless the answer is 200.
func (c *benchConn) post(p *benchPost) error {
	if err := c.SetDeadline(time.Now().Add(benchPatience)); err != nil {
		return err
	}
	if _, err := c.Write(p.request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var said bytes.Buffer
	if _, err := io.Copy(&said, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s: %s", resp.Status, &said)
	}
	return nil
}

// closedLoop posts as fast as it is answered, over so many connections, which are spread over the addresses. It
// returns how long the first third, the second and the last took, and how long each post was answered in.
func closedLoop(b *testing.B, addresses []string, conns int,
	posts []benchPost) (thirds [3]time.Duration, answered []time.Duration) {
	b.Helper()
	answered = make([]time.Duration, len(posts))
	var next, done atomic.Int64
	var ends [3]time.Time // each is written once
	began := time.Now()
	drivers(b, conns, func(n int) error {
		conn, err := dialBench(addresses[n%len(addresses)])
		if err != nil {
			return err
		}
		defer conn.Close()
		for {
			i := int(next.Add(1)) - 1
			if i >= len(posts) {
				return nil
			}
			sent := time.Now()
			if err := conn.post(&posts[i]); err != nil {
				return err
			}
			answered[i] = time.Since(sent)
			n := int(done.Add(1))
			for third := range ends {
				if n == len(posts)*(third+1)/len(ends) {
					ends[third] = time.Now()
				}
			}
		}
	})
	for third, end := range ends {
		thirds[third], began = end.Sub(began), end
	}
	return thirds, answered
}

// openConns is how many connections an open loop has: more than a bridge that keeps up ever needs.
const openConns = 256

// openLoop posts so many a second whether or not the bridge keeps up. It returns when each post was due, by flow, and
// how long after that it was answered.
func openLoop(b *testing.B, address string, rate int,
	posts []benchPost) (due map[string]time.Time, answered []time.Duration) {
	b.Helper()
	began := time.Now().Add(100 * time.Millisecond)
	when := func(i int) time.Time { return began.Add(time.Duration(i) * time.Second / time.Duration(rate)) }
	due, answered = make(map[string]time.Time, len(posts)), make([]time.Duration, len(posts))
	for i := range posts {
		due[posts[i].flow] = when(i)
	}
	queue := make(chan int, len(posts)) // whoever posts late is late by the clock, not by the one before
	go func() {
		defer close(queue)
		for i := range posts {
			time.Sleep(time.Until(when(i)))
			queue <- i
		}
	}()
	drivers(b, min(openConns, len(posts)), func(int) error {
		conn, err := dialBench(address)
		if err != nil {
			return err
		}
		defer conn.Close()
		for i := range queue {
			if err := conn.post(&posts[i]); err != nil {
				return err
			}
			answered[i] = time.Since(when(i))
		}
		return nil
	})
	return due, answered
}

// drivers runs n of them, and ends the benchmark if one fails.
func drivers(b *testing.B, n int, drive func(n int) error) {
	b.Helper()
	var running sync.WaitGroup
	faults := make(chan error, n)
	for i := range n {
		running.Go(func() {
			if err := drive(i); err != nil {
				faults <- err
			}
		})
	}
	running.Wait()
	select {
	case err := <-faults:
		b.Fatalf("a post was not answered 200: %v", err)
	default:
	}
}
