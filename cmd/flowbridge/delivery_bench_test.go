package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
	"flowbridge/router/rules"
	databases "flowbridge/router/store/storetest"
	"flowbridge/router/whatsapp"
)

// benchRules sends each signal to a lane of its own.
const benchRules = `version: 1
notifiers:
  page1: {kind: pagerduty, routing_key: "00000000000000000000000000000001"}
  page2: {kind: pagerduty, routing_key: "00000000000000000000000000000002"}
  page3: {kind: pagerduty, routing_key: "00000000000000000000000000000003"}
  page4: {kind: pagerduty, routing_key: "00000000000000000000000000000004"}
rules:
  - {name: errors, match: {event: ENDPOINT_ERROR_RATE}, notify: [page1]}
  - {name: client errors, match: {event: CLIENT_ERROR_RATE}, notify: [page2]}
  - {name: latency, match: {event: ENDPOINT_LATENCY}, notify: [page3]}
  - {name: availability, match: {event: ENDPOINT_AVAILABILITY}, notify: [page4]}
`

var benchSignals = []string{router.EndpointErrorRate, router.ClientErrorRate, router.EndpointLatency,
	router.EndpointAvailability}

// BenchmarkWebhookToService posts signed events over HTTP, 200 a second, each about another flow, and takes the time
// from the first byte of the post to the trigger that reaches PagerDuty's stand-in. The budgets and the stand-in's
// limits are off: what is left is flowbridge and the disk.
func BenchmarkWebhookToService(b *testing.B) {
	databases.OnEach(b, func(b *testing.B, fresh func(b *testing.B) string) {
		for _, lanes := range []int{1, 4} {
			b.Run(fmt.Sprintf("lanes=%d", lanes), func(b *testing.B) {
				w := newBenchWorld(b, fresh(b))
				tick := time.NewTicker(5 * time.Millisecond)
				defer tick.Stop()
				b.ResetTimer()
				for i := range b.N {
					<-tick.C
					go w.post(b, i, benchSignals[i%lanes])
				}
				w.await(b, b.N)
				b.StopTimer()
				w.report(b)
			})
		}
	})
}

// BenchmarkDeliveries lets a backlog build up while PagerDuty is not to be reached by its lanes, and takes how fast
// it is delivered.
func BenchmarkDeliveries(b *testing.B) {
	databases.OnEach(b, func(b *testing.B, fresh func(b *testing.B) string) {
		for _, lanes := range []int{1, 4} {
			b.Run(fmt.Sprintf("lanes=%d", lanes), func(b *testing.B) {
				w := newBenchWorld(b, fresh(b))
				w.hold.Lock() // each lane has one delivery in flight, and waits
				for i := range b.N {
					w.post(b, i, benchSignals[i%lanes])
				}
				b.ResetTimer()
				w.hold.Unlock()
				w.await(b, b.N)
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
			})
		}
	})
}

// benchWorld is a running bridge with a stand-in PagerDuty, and the time of what it is told.
type benchWorld struct {
	url  string
	hold sync.RWMutex // locked: PagerDuty does not answer

	mu     sync.Mutex
	posted map[string]time.Time // by flow
	told   map[string]time.Time
}

func newBenchWorld(b *testing.B, db string) *benchWorld {
	w := &benchWorld{posted: map[string]time.Time{}, told: map[string]time.Time{}}
	var keys []router.Secret
	for i := range 4 {
		keys = append(keys, router.Secret(fmt.Sprintf("%032d", i+1)))
	}
	pager := sandbox.NewPagerDuty(sandbox.PagerDutyConfig{RoutingKeys: keys, Calls: -1})
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var event struct {
			DedupKey string `json:"dedup_key"`
		}
		_ = json.Unmarshal(body, &event)
		if parts := strings.Split(event.DedupKey, "/"); len(parts) > 2 {
			w.mu.Lock()
			w.told[parts[2]] = time.Now()
			w.mu.Unlock()
		}
		w.hold.RLock()
		defer w.hold.RUnlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		pager.ServeHTTP(rw, r)
	}))
	loaded, err := rules.Load("rules.yaml", []byte(benchRules), rules.Config{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	bridge, err := newBridge(ctx, bridgeConfig{
		Rules: loaded, DB: db, AppSecrets: []router.Secret{benchSecret}, VerifyToken: "t",
		PagerDutyURL: server.URL, Logger: slog.New(slog.DiscardHandler),
		Unbudgeted: func() bool { return true }, KeepAttempts: keepAttempts,
	})
	if err != nil {
		b.Fatal(err)
	}
	var listeners [2]net.Listener
	for i := range listeners {
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			b.Fatal(err)
		}
	}
	w.url = "http://" + listeners[0].Addr().String() + "/webhooks/whatsapp"
	var running sync.WaitGroup
	running.Go(func() {
		if err := bridge.run(ctx, listeners[0], listeners[1]); err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(func() {
		stop()
		running.Wait()
		server.Close()
	})
	return w
}

// post sends one event about a flow of its own.
func (w *benchWorld) post(b *testing.B, i int, signal string) {
	flow := fmt.Sprint(1000 + i)
	body := fmt.Appendf(nil,
		`{"object":"whatsapp_business_account","entry":[{"id":"501","time":%d,"changes":[{"field":"flows","value":{"event":%q,"flow_id":%q,"error_rate":14.28,"threshold":10,"alert_state":"ACTIVATED"}}]}]}`,
		lately+int64(i), signal, flow)
	req, err := http.NewRequest(http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		b.Error(err)
		return
	}
	req.Header.Set("X-Hub-Signature-256", whatsapp.Sign(benchSecret, body))
	w.mu.Lock()
	w.posted[flow] = time.Now()
	w.mu.Unlock()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Error(err)
		return
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.Errorf("answered %s", resp.Status)
	}
}

// await waits until PagerDuty was told of so many flows.
func (w *benchWorld) await(b *testing.B, n int) {
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(time.Millisecond) {
		w.mu.Lock()
		told := len(w.told)
		w.mu.Unlock()
		switch {
		case told >= n:
			return
		case time.Now().After(deadline):
			b.Fatalf("%d of %d flows were told", told, n)
		}
	}
}

// report adds the median and the worst hundredth of the times.
func (w *benchWorld) report(b *testing.B) {
	var took []time.Duration
	for flow, at := range w.told {
		took = append(took, at.Sub(w.posted[flow]))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
