package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	databases "flowbridge/router/store/storetest"
)

// BenchmarkConsole measures the pages of the real binary, in a process of its own with all of it at work: when the
// first byte of a page comes, over 10,000 and 100,000 incidents of which 200 are open, and what 20 tabs that poll take
// from intake. It uses -bridge.events as BenchmarkBridge does.
func BenchmarkConsole(b *testing.B) {
	databases.OnEach(b, func(b *testing.B, fresh func(b *testing.B) string) {
		for _, incidents := range []int{10_000, 100_000} {
			b.Run(fmt.Sprintf("incidents=%d", incidents), func(b *testing.B) { benchFirstByte(b, incidents, fresh(b)) })
		}
		part(b, "tabs=20", func(b *testing.B) { benchTabs(b, 20, fresh) })
	})
}

// benchFirstByte asks for pages one after the other over a connection that stays open, as a browser does.
func benchFirstByte(b *testing.B, incidents int, db string) {
	services := startStandIns(b, benchServicesConfig{Targets: 1, Plain: true})
	rules := benchRulesFile(b, 1, benchFlows)
	startBenchBridge(b, services, rules, db).stop(b) // the schema
	databases.Remember(b, db, incidents)
	bridge := startBenchBridge(b, services, rules, db)
	for _, page := range []struct{ name, path string }{
		{"list", "/"},
		{"open", "/?state=open"},
		{"resolved", "/?state=resolved"},
		{"search", "/?state=all&q=needle"},
		{"incident", fmt.Sprintf("/incidents/%d", incidents-7)},
	} {
		part(b, page.name, func(b *testing.B) {
			var took []time.Duration
			before := bridge.cpu(b)
			for range scaled(400) {
				took = append(took, firstByte(b, bridge.admin, page.path))
			}
			b.ReportMetric(float64((bridge.cpu(b)-before).Microseconds())/float64(len(took)), "cpu-µs/page")
			quantiles(b, "first-byte", took)
		})
	}
	part(b, "poll", func(b *testing.B) { benchPoll(b, bridge) })
	bridge.stop(b)
}

// benchPoll measures what a poll costs that is told that nothing has changed: the processor's time, which others on the
// machine take nothing from.
func benchPoll(b *testing.B, bridge *benchBridge) {
	etag, polls := poll(b, bridge.admin, ""), scaled(2000)
	before := bridge.cpu(b)
	for range polls {
		if now := poll(b, bridge.admin, etag); now != "" {
			b.Fatal("the page has changed while nothing was done")
		}
	}
	b.ReportMetric(float64((bridge.cpu(b)-before).Microseconds())/float64(polls), "cpu-µs/poll")
}

// poll asks for the list with the ETag that a tab has, and returns that of a new page; "" where nothing has changed.
func poll(b *testing.B, admin, etag string) string {
	b.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+admin+"/", nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("If-None-Match", etag)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		b.Fatal(err)
	}
	if resp.StatusCode == http.StatusNotModified {
		return ""
	}
	return resp.Header.Get("ETag")
}

// firstByte is how long it takes from asking for a page until its first byte comes. A page that is no page fails.
func firstByte(b *testing.B, admin, path string) (took time.Duration) {
	b.Helper()
	var began time.Time
	ctx := httptrace.WithClientTrace(context.Background(),
		&httptrace.ClientTrace{GotFirstResponseByte: func() { took = time.Since(began) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+path, nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	began = time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		b.Fatalf("%s: %s (%v)", path, resp.Status, err)
	}
	return took
}

// benchTabs takes the time of a closed loop of posts without tabs, with tabs that poll every 5 s, and without again.
func benchTabs(b *testing.B, tabs int, fresh func(b *testing.B) string) {
	services := startStandIns(b, benchServicesConfig{Targets: 1, Plain: true})
	rules := benchRulesFile(b, 1, benchFlows)
	var polls atomic.Int64
	loop := func(tabs int) (took, cpu time.Duration) {
		bridge := startBenchBridge(b, services, rules, fresh(b))
		posts := benchPairs(*bridgeEvents, benchFlows)
		ctx, stop := context.WithCancel(context.Background())
		var polling sync.WaitGroup
		for i := range tabs {
			polling.Go(func() { pollAsTab(ctx, bridge.admin, time.Duration(i)*5*time.Second/time.Duration(tabs), &polls) })
		}
		thirds, _ := closedLoop(b, []string{bridge.public}, 16, posts)
		stop()
		polling.Wait()
		cpu = bridge.cpu(b)
		bridge.stop(b)
		return thirds[0] + thirds[1] + thirds[2], cpu
	}
	var alone, beside, aloneCPU, besideCPU []time.Duration
	for range 3 {
		took, cpu := loop(0)
		alone, aloneCPU = append(alone, took), append(aloneCPU, cpu)
		took, cpu = loop(tabs)
		beside, besideCPU = append(beside, took), append(besideCPU, cpu)
	}
	slices.Sort(alone)
	slices.Sort(beside)
	b.ReportMetric(float64(*bridgeEvents)/alone[1].Seconds(), "alone/s")
	b.ReportMetric(float64(*bridgeEvents)/beside[1].Seconds(), "beside-tabs/s")
	b.ReportMetric(100*(1-alone[1].Seconds()/beside[1].Seconds()), "%less")
	// What the process used for each poll, during which something always changes: others on the machine take nothing from
	// that.
	more := time.Duration(0)
	for i := range aloneCPU {
		more += besideCPU[i] - aloneCPU[i]
	}
	b.ReportMetric(float64(more.Microseconds())/1000/float64(max(polls.Load(), 1)), "cpu-ms/poll")
	b.ReportMetric(float64(polls.Load())/3, "polls")
}

// pollAsTab asks for the list every 5 s as the script of a page does, with the ETag that it has.
func pollAsTab(ctx context.Context, admin string, after time.Duration, polls *atomic.Int64) {
	etag, wait := "", time.NewTimer(after)
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/", nil)
		if err != nil {
			return
		}
		req.Header.Set("Accept", "text/html")
		req.Header.Set("If-None-Match", etag)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			etag = resp.Header.Get("ETag")
			polls.Add(1)
		}
		wait.Reset(5 * time.Second)
	}
}
