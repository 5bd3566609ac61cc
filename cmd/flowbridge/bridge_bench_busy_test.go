package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"flowbridge/router"
)

// What a busy bridge has beside it.
const (
	besideClients = "clients" // 20 that look at it every second
	besideReplay  = "replay"  // of its journal, again and again
	besideBackup  = "backup"  // of its SQLite file, again and again
)

// benchBusy takes the answers at a steady pace twice: from a bridge that has nothing else to do, and from the same one
// while 100,000 deliveries wait, all services hang, and others are at work beside it.
func benchBusy(b *testing.B, db string, beside ...string) {
	const targets, rate, clients = 400, 200, 20
	idle, busy, backlog := scaled(10*rate), scaled(15*rate), scaled(100_000)
	services := startStandIns(b, benchServicesConfig{Targets: targets})
	rulesFile := benchRulesFile(b, targets, benchFlows+idle+busy)
	bridges, addresses := startBenchBridges(b, 1, services, rulesFile, db)
	posts := benchOpenings(benchFlows + idle + busy)[benchFlows:]
	_, answered := openLoop(b, addresses[0], rate, posts[:idle])
	quantiles(b, "idle-answer", answered)

	services.ask(b, "hold", nil)
	closedLoop(b, addresses, 64, benchPairs(backlog, benchFlows))
	settled := settleBridges(b, bridges, idle+backlog, 0)
	b.ReportMetric(float64(settled.waiting), "waiting")

	ctx, stop := context.WithCancel(b.Context())
	var others sync.WaitGroup
	if slices.Contains(beside, besideClients) {
		for n := range clients {
			others.Go(func() { benchClient(ctx, bridges[0].admin, n) })
		}
	}
	if slices.Contains(beside, besideReplay) {
		benchAgain(ctx, b, &others, func(int) []string { return []string{"replay", "--rules", rulesFile, "--db", db} })
	}
	if slices.Contains(beside, besideBackup) {
		dir := b.TempDir()
		benchAgain(ctx, b, &others, func(n int) []string {
			return []string{"backup", filepath.Join(dir, fmt.Sprint(n)), "--db", db}
		})
	}
	_, answered = openLoop(b, addresses[0], rate, posts[idle:])
	stop()
	others.Wait()
	services.ask(b, "release", nil)
	quantiles(b, "busy-answer", answered)
	stopBenchBridges(b, bridges)
	reportPeak(b, bridges)
}

// benchClient looks at a list of the console or of the API once a second.
func benchClient(ctx context.Context, admin string, n int) {
	path := []string{"/", "/api/v1/incidents", "/deliveries?state=waiting", "/api/v1/events"}[n%4]
	for router.Sleep(ctx, time.Second) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+path, nil)
		if err != nil {
			panic(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
}

// benchAgain runs a command of the bridge again and again, each time with other arguments.
func benchAgain(ctx context.Context, b *testing.B, running *sync.WaitGroup, args func(n int) []string) {
	path, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	running.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			out, err := exec.CommandContext(ctx, path, args(n)...).CombinedOutput()
			if err != nil && ctx.Err() == nil {
				b.Errorf("%v: %v\n%s", args(n), err, out)
				return
			}
		}
	})
}
