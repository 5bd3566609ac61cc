package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
)

// BenchmarkAppend measures durable events per second with so many callers at a time.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s, err := store.Open(context.Background(), store.Config{DSN: filepath.Join(b.TempDir(), "bench.db")})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			value := json.RawMessage(`{"event":"ENDPOINT_ERROR_RATE","message":"The endpoint error rate has reached the 10% threshold in the last 30 minutes","flow_id":"1987937931743377","error_rate":14.28,"threshold":10,"alert_state":"ACTIVATED","errors":[{"error_type":"TIMEOUT","error_rate":66.66,"error_count":2}]}`)
			var n atomic.Int64
			var work sync.WaitGroup
			b.ResetTimer()
			for range callers {
				work.Go(func() {
					for {
						i := n.Add(1)
						if i > int64(b.N) {
							return
						}
						at := time.Unix(1772438400+i, 0).UTC()
						e := router.Event{Source: router.SourceMeta, Digest: fmt.Sprintf("%010d-%032x", at.Unix(), uint64(i)*0x9E3779B97F4A7C15), Received: at, At: at, WABA: "1", Flow: "2", Name: router.EndpointErrorRate, Value: value}
						if _, err := s.Append(context.Background(), []router.Event{e}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			work.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
