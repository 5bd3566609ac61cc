package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/store"
	databases "flowbridge/router/store/storetest"
	"flowbridge/router/whatsapp"
)

// BenchmarkPosts compares, in one run, what a post costs: bare reads it and checks the signature; durable
// answers once its event is on disk; folding does so while the router folds the journal behind it; unwanted is a
// message of a customer's, which flowbridge lets go. Each with 16 and 64 connections, on loopback, client and
// server on the same cores.
func BenchmarkPosts(b *testing.B) {
	message := func(n int64) []byte {
		return fmt.Appendf(nil,
			`{"object":"whatsapp_business_account","entry":[{"id":"104996122399160","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"},"contacts":[{"profile":{"name":"A customer"},"wa_id":"15551234567"}],"messages":[{"from":"15551234567","id":"wamid.HBgLMTU1NTEyMzQ1NjcVAgASGBQ%012d","timestamp":"1772438400","text":{"body":"Hello, is my order on its way? I have been waiting since \"Monday\"."},"type":"text"}]},"field":"messages"}]}]}`, n)
	}
	fresh := func(b *testing.B) http.Handler {
		return intakeHandler(b, filepath.Join(b.TempDir(), "bench.db"), false)
	}
	for _, conns := range []int{16, 64} {
		for _, c := range []struct {
			name    string
			post    func(int64) []byte
			handler func(b *testing.B) http.Handler
		}{
			{"bare", alert, bareHandler},
			{"durable", alert, fresh},
			{"folding", alert, func(b *testing.B) http.Handler {
				return intakeHandler(b, filepath.Join(b.TempDir(), "bench.db"), true)
			}},
			{"bare-message", message, bareHandler},
			{"unwanted", message, fresh},
		} {
			b.Run(fmt.Sprintf("%s/conns=%d", c.name, conns), func(b *testing.B) {
				address := serveHandler(b, c.handler(b))
				var n atomic.Int64
				b.ResetTimer()
				drive(b, address, conns, b.N, &n, c.post)
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "posts/s")
			})
		}
	}
}

// BenchmarkGrownPosts compares what durable posts cost a bridge whose journal is empty with one whose journal has
// grown, beside the bare handler. They take turns: the pace of a disk changes more from one minute to the next than
// with what is on it. An op is a post to each.
func BenchmarkGrownPosts(b *testing.B) {
	databases.OnEach(b, func(b *testing.B, fresh func(b *testing.B) string) {
		dsn := fresh(b)
		journal, err := store.Open(context.Background(), store.Config{DSN: dsn})
		if err == nil {
			err = journal.Close()
		}
		if err != nil {
			b.Fatal(err)
		}
		databases.Grow(b, dsn)
		names := []string{"bare", "empty", "grown"}
		addresses := []string{serveHandler(b, bareHandler(b)), serveHandler(b, intakeHandler(b, fresh(b), false)),
			serveHandler(b, intakeHandler(b, dsn, false))}
		var n atomic.Int64 // goes on over all runs: an event is new once
		for _, conns := range []int{16, 64} {
			b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
				took := make([]time.Duration, len(names))
				for done, turn := 0, 0; done < b.N; turn++ {
					posts := min(50*conns, b.N-done)
					for i := range names {
						i = (i + turn) % len(names)
						began := time.Now()
						drive(b, addresses[i], conns, posts, &n, alert)
						took[i] += time.Since(began)
					}
					done += posts
				}
				for i, name := range names {
					b.ReportMetric(float64(b.N)/took[i].Seconds(), "posts/s-"+name)
				}
				b.ReportMetric(took[0].Seconds()/took[1].Seconds(), "empty/bare")
				b.ReportMetric(took[1].Seconds()/took[2].Seconds(), "grown/empty")
			})
		}
	})
}

// alert is a webhook about a flow, another one for each n.
func alert(n int64) []byte {
	return fmt.Appendf(nil,
		`{"object":"whatsapp_business_account","entry":[{"id":"104996122399160","time":%d,"changes":[{"field":"flows","value":{"event":"ENDPOINT_ERROR_RATE","message":"The endpoint error rate has reached the 10%% threshold in the last 30 minutes","flow_id":"%d","error_rate":14.28,"threshold":10,"alert_state":"ACTIVATED","errors":[{"error_type":"TIMEOUT","error_rate":66.66,"error_count":2},{"error_type":"unexpected_http_status_code","error_rate":33.33,"error_count":1}]}}]}]}`,
		lately+n, 1987937931743377+n%50)
}

const benchSecret = router.Secret("a secret of the benchmark")

// bareHandler does the least that a receiver may do.
func bareHandler(*testing.B) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 3<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		mac := hmac.New(sha256.New, []byte(benchSecret.Reveal()))
		mac.Write(body)
		sent, err := hex.DecodeString(strings.TrimPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256="))
		if err != nil || !hmac.Equal(sent, mac.Sum(nil)) {
			http.Error(w, "bad signature", http.StatusUnauthorized)
		}
	})
}

// intakeHandler is the public side of the bridge over a real store.
func intakeHandler(b *testing.B, dsn string, folding bool) http.Handler {
	logger := slog.New(slog.DiscardHandler)
	journal, err := store.Open(context.Background(), store.Config{DSN: dsn, Logger: logger})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var working sync.WaitGroup
	b.Cleanup(func() {
		stop()
		working.Wait()
		if err := journal.Close(); err != nil {
			b.Error(err)
		}
	})
	intake, err := whatsapp.New(whatsapp.Config{AppSecrets: []router.Secret{benchSecret}, VerifyToken: "t",
		Logger: logger}, journal)
	if err != nil {
		b.Fatal(err)
	}
	if folding {
		loaded, err := rules.Load("rules.yaml",
			[]byte("version: 1\nnotifiers: {ops: {kind: slack, channel: \"#ops\"}}\ndefault: {notify: [ops]}\n"), rules.Config{})
		if err != nil {
			b.Fatal(err)
		}
		r, err := router.New(router.Config{Rules: func() router.Rules { return loaded }, Logger: logger}, journal)
		if err != nil {
			b.Fatal(err)
		}
		working.Go(func() { _ = r.Run(ctx) })
	}
	return newBodies(newRefusals(logger)).within(publicRoutes(intake, func(h http.Handler) http.Handler { return h }))
}

// serveHandler serves on loopback, and returns where.
func serveHandler(b *testing.B, h http.Handler) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := newServer(h, slog.New(slog.DiscardHandler))
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	b.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
	return l.Addr().String()
}

// drive posts so many times over a number of connections that stay open. n numbers the posts.
func drive(b *testing.B, address string, conns, posts int, n *atomic.Int64, post func(int64) []byte) {
	var left atomic.Int64
	left.Store(int64(posts))
	var clients sync.WaitGroup
	faults := make(chan error, conns)
	for range conns {
		clients.Go(func() {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				faults <- err
				return
			}
			defer conn.Close()
			answers := bufio.NewReader(conn)
			var request bytes.Buffer
			for left.Add(-1) >= 0 {
				body := post(n.Add(1))
				request.Reset()
				fmt.Fprintf(&request,
					"POST /webhooks/whatsapp HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\nX-Hub-Signature-256: "+
						"%s\r\nContent-Length: %d\r\n\r\n", whatsapp.Sign(benchSecret, body), len(body))
				request.Write(body)
				if _, err := conn.Write(request.Bytes()); err != nil {
					faults <- err
					return
				}
				resp, err := http.ReadResponse(answers, nil)
				if err != nil {
					faults <- err
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					faults <- fmt.Errorf("answered %s", resp.Status)
					return
				}
			}
		})
	}
	clients.Wait()
	select {
	case err := <-faults:
		b.Fatal(err)
	default:
	}
}
