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

	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/store"
	"flowbridge/router/whatsapp"
)

// BenchmarkPosts compares, in one run, what a post costs: bare reads it and checks the signature; durable
// answers once its event is on disk; folding does so while the router folds the journal behind it; unwanted is a
// message of a customer's, which flowbridge lets go. Each with 16 and 64 connections, on loopback, client and
// server on the same cores.
func BenchmarkPosts(b *testing.B) {
	alert := func(n int64) []byte {
		return fmt.Appendf(nil, `{"object":"whatsapp_business_account","entry":[{"id":"104996122399160","time":%d,"changes":[{"field":"flows","value":{"event":"ENDPOINT_ERROR_RATE","message":"The endpoint error rate has reached the 10%% threshold in the last 30 minutes","flow_id":"%d","error_rate":14.28,"threshold":10,"alert_state":"ACTIVATED","errors":[{"error_type":"TIMEOUT","error_rate":66.66,"error_count":2},{"error_type":"unexpected_http_status_code","error_rate":33.33,"error_count":1}]}}]}]}`,
			1772438400+n, 1987937931743377+n%50)
	}
	message := func(n int64) []byte {
		return fmt.Appendf(nil, `{"object":"whatsapp_business_account","entry":[{"id":"104996122399160","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"},"contacts":[{"profile":{"name":"A customer"},"wa_id":"15551234567"}],"messages":[{"from":"15551234567","id":"wamid.HBgLMTU1NTEyMzQ1NjcVAgASGBQ%012d","timestamp":"1772438400","text":{"body":"Hello, is my order on its way? I have been waiting since \"Monday\"."},"type":"text"}]},"field":"messages"}]}]}`, n)
	}
	for _, conns := range []int{16, 64} {
		for _, c := range []struct {
			name    string
			post    func(int64) []byte
			handler func(b *testing.B) http.Handler
		}{
			{"bare", alert, bareHandler},
			{"durable", alert, func(b *testing.B) http.Handler { return intakeHandler(b, false) }},
			{"folding", alert, func(b *testing.B) http.Handler { return intakeHandler(b, true) }},
			{"bare-message", message, bareHandler},
			{"unwanted", message, func(b *testing.B) http.Handler { return intakeHandler(b, false) }},
		} {
			b.Run(fmt.Sprintf("%s/conns=%d", c.name, conns), func(b *testing.B) { drive(b, c.handler(b), conns, c.post) })
		}
	}
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
func intakeHandler(b *testing.B, folding bool) http.Handler {
	logger := slog.New(slog.DiscardHandler)
	journal, err := store.Open(context.Background(), store.Config{DSN: filepath.Join(b.TempDir(), "bench.db"), Logger: logger})
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
	intake, err := whatsapp.New(whatsapp.Config{AppSecrets: []router.Secret{benchSecret}, VerifyToken: "t", Logger: logger}, journal)
	if err != nil {
		b.Fatal(err)
	}
	if folding {
		loaded, err := rules.Load("rules.yaml", []byte("version: 1\nnotifiers: {ops: {kind: slack, channel: \"#ops\"}}\ndefault: {notify: [ops]}\n"), rules.Config{})
		if err != nil {
			b.Fatal(err)
		}
		r, err := router.New(router.Config{Rules: func() router.Rules { return loaded }, Logger: logger}, journal)
		if err != nil {
			b.Fatal(err)
		}
		working.Go(func() { _ = r.Run(ctx) })
	}
	return publicRoutes(intake, func(h http.Handler) http.Handler { return h })
}

// drive posts b.N times over a number of connections that stay open.
func drive(b *testing.B, h http.Handler, conns int, post func(int64) []byte) {
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
	var n atomic.Int64
	var clients sync.WaitGroup
	faults := make(chan error, conns)
	b.ResetTimer()
	for range conns {
		clients.Go(func() {
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				faults <- err
				return
			}
			defer conn.Close()
			answers := bufio.NewReader(conn)
			var request bytes.Buffer
			for {
				i := n.Add(1)
				if i > int64(b.N) {
					return
				}
				body := post(i)
				request.Reset()
				fmt.Fprintf(&request, "POST /webhooks/whatsapp HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\nX-Hub-Signature-256: %s\r\nContent-Length: %d\r\n\r\n", whatsapp.Sign(benchSecret, body), len(body))
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
	b.StopTimer()
	select {
	case err := <-faults:
		b.Fatal(err)
	default:
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "posts/s")
}
