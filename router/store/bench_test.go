package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

// journals runs a benchmark over an empty database and over one that has grown: 1,000,000 events and 10,000 open
// incidents, each told to two notifiers.
func journals(b *testing.B, fresh func(b *testing.B) string, bench func(b *testing.B, s *store.Store)) {
	for _, grown := range []bool{false, true} {
		b.Run(map[bool]string{false: "journal=empty", true: "journal=1000000"}[grown], func(b *testing.B) {
			if grown {
				bench(b, openGrown(b, fresh))
			} else {
				bench(b, openBench(b, fresh(b)))
			}
		})
	}
}

func openBench(b *testing.B, dsn string) *store.Store {
	s, err := store.Open(context.Background(), store.Config{DSN: dsn})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// openGrown opens a database that has served for long.
func openGrown(b *testing.B, fresh func(b *testing.B) string) *store.Store {
	dsn := fresh(b)
	if err := openBench(b, dsn).Close(); err != nil { // the schema
		b.Fatal(err)
	}
	storetest.Grow(b, dsn)
	return openBench(b, dsn)
}

var value = json.RawMessage(
	`{"event":"ENDPOINT_ERROR_RATE","message":"The endpoint error rate has reached the 10% threshold in the last 30 minutes","flow_id":"1987937931743377","error_rate":14.28,"threshold":10,"alert_state":"ACTIVATED","errors":[{"error_type":"TIMEOUT","error_rate":66.66,"error_count":2}]}`)

// BenchmarkAppend measures durable events per second with so many callers at a time, of one event each, over an empty
// database and a grown one. They take turns: the pace of a disk changes more from one minute to the next than with what
// is on it. An op is an event in each.
func BenchmarkAppend(b *testing.B) {
	storetest.OnEach(b, func(b *testing.B, fresh func(b *testing.B) string) {
		stores := []*store.Store{openBench(b, fresh(b)), openGrown(b, fresh)}
		var n atomic.Int64 // goes on over all runs: a digest is new once
		for _, callers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
				var took [2]time.Duration
				for done, turn := 0, 0; done < b.N; turn++ {
					events := min(25*callers, b.N-done)
					for i := range stores {
						i = (i + turn) % 2
						began := time.Now()
						appendMany(b, stores[i], callers, events, &n)
						took[i] += time.Since(began)
					}
					done += events
				}
				b.ReportMetric(float64(b.N)/took[0].Seconds(), "events/s-empty")
				b.ReportMetric(float64(b.N)/took[1].Seconds(), "events/s-grown")
				b.ReportMetric(took[0].Seconds()/took[1].Seconds(), "grown/empty")
			})
		}
	})
}

// appendMany stores events by so many callers at a time. n numbers them.
func appendMany(b *testing.B, s *store.Store, callers, events int, n *atomic.Int64) {
	var left atomic.Int64
	left.Store(int64(events))
	var work sync.WaitGroup
	for range callers {
		work.Go(func() {
			for left.Add(-1) >= 0 {
				i := n.Add(1)
				at := time.Unix(1782438400+i, 0).UTC()
				e := router.Event{Source: router.SourceMeta, Digest: fmt.Sprintf("%010d-%032x", at.Unix(),
					uint64(i)*0x9E3779B97F4A7C15), Received: at, At: at, WABA: "1", Flow: "2", Name: router.EndpointErrorRate,
					Value: value}
				if _, err := s.Append(context.Background(), []router.Event{e}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
}

// BenchmarkDeliver measures claims that are finished, per second, by one lane and by four.
func BenchmarkDeliver(b *testing.B) {
	storetest.OnEach(b, func(b *testing.B, fresh func(b *testing.B) string) {
		journals(b, fresh, func(b *testing.B, s *store.Store) {
			ctx := context.Background()
			number := int64(1_000_000)
			for _, lanes := range []int{1, 4} {
				b.Run(fmt.Sprintf("lanes=%d", lanes), func(b *testing.B) {
					for made := 0; made < b.N; {
						var batch router.Batch
						for ; made < b.N && len(batch.Owed) < 500; made++ {
							number++
							inc := incident(number)
							inc.Flow, inc.Entries = fmt.Sprint("g", number), 1
							batch.Incidents = append(batch.Incidents, inc)
							batch.Entries = append(batch.Entries, router.Entry{Incident: number, N: 1, Text: "Opened"})
							batch.Owed = append(batch.Owed, owed(number, fmt.Sprint("lane", made%lanes), fmt.Sprint(number)))
						}
						if err := s.Commit(ctx, batch); err != nil {
							b.Fatal(err)
						}
					}
					var work sync.WaitGroup
					b.ResetTimer()
					for lane := range lanes {
						work.Go(func() {
							for {
								n, err := try(s, fmt.Sprint("lane", lane), time.Now())
								if n == nil || err != nil {
									if err != nil {
										b.Error(err)
									}
									return
								}
								if err := s.Finish(ctx, result(n, router.DeliveryDelivered)); err != nil {
									b.Error(err)
									return
								}
							}
						})
					}
					work.Wait()
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
				})
			}
		})
	})
}

// BenchmarkFold measures reading what a batch of 200 events needs and storing what it comes to: every event of
// another flow, which gets a new reading and a delivery that is owed.
func BenchmarkFold(b *testing.B) {
	storetest.OnEach(b, func(b *testing.B, fresh func(b *testing.B) string) {
		journals(b, fresh, func(b *testing.B, s *store.Store) {
			ctx := context.Background()
			const size = 200
			n := 0
			refreshes := int64(0)
			for b.Loop() {
				refreshes++
				events := make([]router.Event, size)
				var flows []router.FlowID
				for i := range events {
					n++
					events[i] = event(fmt.Sprint("fold", n))
					flows = append(flows, router.FlowID{WABA: "1", Flow: fmt.Sprint("f", i+1)})
				}
				_, appending := s.Append(ctx, events)
				waiting, reading := s.Waiting(ctx, size)
				_, stating := s.States(ctx, flows, nil)
				if err := errors.Join(appending, reading, stating); err != nil {
					b.Fatal(err)
				}
				var batch router.Batch
				for i, e := range waiting {
					inc := incident(int64(i + 1))
					inc.WABA, inc.Flow, inc.Entries = flows[i].WABA, flows[i].Flow, 3
					batch.Outcomes = append(batch.Outcomes, router.Outcome{Seq: e.Seq, Text: "refreshed"})
					batch.Incidents = append(batch.Incidents, inc)
					batch.Alerts = append(batch.Alerts, router.FlowAlert{FlowID: flows[i], Alert: router.Alert{Event: "E", Level: "10",
						Active: true, Incident: inc.Number}})
					at := time.Now().Add(time.Duration(refreshes) * time.Minute)
					batch.Readings = append(batch.Readings, router.AlertReading{FlowID: flows[i], Event: "E", Level: "10",
						Slot: at.Truncate(5 * time.Minute), At: at,
						Reading: router.Reading{Value: e.Threshold}})
					batch.Owed = append(batch.Owed, owed(inc.Number, "chat", fmt.Sprint(inc.Number)))
				}
				if err := s.Commit(ctx, batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
		})
	})
}

// BenchmarkStorm measures a claim that is finished while 5,000 deliveries wait for the same notifier, in a database
// that has grown and that the planner knows from quieter days.
func BenchmarkStorm(b *testing.B) {
	storetest.OnEach(b, func(b *testing.B, fresh func(b *testing.B) string) {
		s := openGrown(b, fresh)
		ctx := context.Background()
		var batch router.Batch
		for number := int64(1_000_000); number < 1_005_000; number++ {
			inc := incident(number)
			inc.Flow = fmt.Sprint("g", number)
			batch.Incidents = append(batch.Incidents, inc)
			batch.Owed = append(batch.Owed, owed(number, "storm", fmt.Sprint(number)))
		}
		if err := s.Commit(ctx, batch); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			n, _, err := s.Claim(ctx, router.Ask{Notifier: "storm", Now: time.Now(), Lease: time.Minute})
			if n == nil || err != nil {
				b.Fatal(n, err)
			}
			if err := s.Finish(ctx, result(n, router.DeliveryDelivered)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
