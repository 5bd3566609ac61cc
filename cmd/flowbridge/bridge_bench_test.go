package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	databases "flowbridge/router/store/storetest"
)

var (
	bridgeEvents = flag.Int("bridge.events", 30_000,
		"events of a closed loop of BenchmarkBridge; fewer make all its parts smaller, down to a tenth of a second of each")
	bridgeWait = flag.Duration("bridge.wait", 30*time.Second,
		"how long BenchmarkBridge waits for deliveries that the limits of services hold back")
)

// benchFlows is over how many flows the pairs of a closed loop go.
const benchFlows = 500

// BenchmarkBridge drives the program as it runs for users: the real binary in a process of its own, with everything at
// work (fold, deliveries, log, metrics), over a database whose commits are on disk. Stand-in Slack and PagerDuty with
// the real limits are another process, the handler that only checks signatures is a third, and this one is Meta. All
// share the processors of this machine. Each part is one run, whatever b.N: see its metrics. A post that is lost, or
// not answered 200, fails it. All of it takes half an hour: ask for it with -timeout 60m.
func BenchmarkBridge(b *testing.B) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		b.Skip("needs /proc to tell what a process uses")
	}
	for _, conns := range []int{16, 64} {
		for _, targets := range []int{1, 50, 400} {
			part(b, fmt.Sprintf("closed/conns=%d/targets=%d", conns, targets), func(b *testing.B) {
				benchClosed(b, conns, targets, 1, benchSQLite(b))
			})
		}
	}
	for _, rate := range []int{200, 500} {
		for _, targets := range []int{20, 400} {
			part(b, fmt.Sprintf("open/rate=%d/targets=%d", rate, targets), func(b *testing.B) { benchOpen(b, rate, targets) })
		}
	}
	part(b, "storm", benchStorm)
	all := []string{besideClients, besideReplay, besideBackup}
	part(b, "busy/beside=all", func(b *testing.B) { benchBusy(b, benchSQLite(b), all...) })
	part(b, "busy/beside=nothing", func(b *testing.B) { benchBusy(b, benchSQLite(b)) })
	for _, one := range all {
		part(b, "busy/beside="+one, func(b *testing.B) { benchBusy(b, benchSQLite(b), one) })
	}
	b.Run("postgres", func(b *testing.B) {
		server := databases.Start(b, "fsync=on", "shared_buffers=256MB", "max_wal_size=4GB")
		part(b, "busy", func(b *testing.B) { benchBusy(b, server.Database(b), besideClients, besideReplay) })
		for _, processes := range []int{1, 3} {
			part(b, fmt.Sprintf("processes=%d/closed", processes), func(b *testing.B) {
				benchClosed(b, 64, 50, processes, server.Database(b))
			})
			part(b, fmt.Sprintf("processes=%d/deliveries", processes), func(b *testing.B) {
				benchBacklog(b, processes, server.Database(b))
			})
		}
	})
	part(b, "deliveries", func(b *testing.B) { benchBacklog(b, 1, benchSQLite(b)) })
	part(b, "idle", benchIdle)
}

// part runs once what takes its own time, and leaves out the metric that says how long that was.
func part(b *testing.B, name string, run func(b *testing.B)) {
	b.Run(name, func(b *testing.B) {
		for ran := false; b.Loop(); ran = true {
			if !ran {
				run(b)
			}
		}
		b.ReportMetric(0, "ns/op")
	})
}

// scaled is n, or less where -bridge.events asks for less.
func scaled(n int) int { return max(1, n*min(*bridgeEvents, 30_000)/30_000) }

func benchSQLite(b *testing.B) string { return filepath.Join(b.TempDir(), "bench.db") }

// benchClosed posts pairs as fast as they are answered: to the bare handler, to the bridge, and to the bare handler
// again.
func benchClosed(b *testing.B, conns, targets, processes int, db string) {
	posts := benchPairs(*bridgeEvents, benchFlows)
	bare := []string{startChild(b, bareProgram)}
	barely := func() (took time.Duration) {
		thirds, _ := closedLoop(b, bare, conns, posts)
		return thirds[0] + thirds[1] + thirds[2]
	}
	took := barely()

	services := startStandIns(b, benchServicesConfig{Targets: targets})
	bridges, addresses := startBenchBridges(b, processes, services, benchRulesFile(b, targets, benchFlows), db)
	before := cpuOf(b, bridges)
	thirds, answered := closedLoop(b, addresses, conns, posts)
	meanwhile := cpuOf(b, bridges) - before
	settled := settleBridges(b, bridges, len(posts), *bridgeWait)
	used := cpuOf(b, bridges) - before
	stopBenchBridges(b, bridges)
	took += barely()

	n := float64(len(posts))
	posting := thirds[0] + thirds[1] + thirds[2]
	b.ReportMetric(n/posting.Seconds(), "accepted/s")
	b.ReportMetric(2*n/took.Seconds(), "bare/s")
	b.ReportMetric(took.Seconds()/2/posting.Seconds(), "of-bare")
	b.ReportMetric(n/3/thirds[0].Seconds(), "first-third/s")
	b.ReportMetric(n/3/thirds[2].Seconds(), "last-third/s")
	b.ReportMetric(meanwhile.Seconds()*1000/n, "cpu-ms/event-posting")
	b.ReportMetric(used.Seconds()*1000/n, "cpu-ms/event")
	b.ReportMetric(settled.folded.Seconds(), "folded-after-s")
	if settled.told >= 0 {
		b.ReportMetric(settled.told.Seconds(), "told-after-s")
	}
	b.ReportMetric(float64(settled.waiting), "left-waiting")
	quantiles(b, "answer", answered)
	reportServices(b, services.told(b))
	reportPeak(b, bridges)
}

// benchOpen opens an incident for each of many flows at a steady pace, and takes the time of the answers and of the
// first that a service hears of each. Where targets are few, that waits for what their services allow.
func benchOpen(b *testing.B, rate, targets int) {
	posts := benchOpenings(scaled(15 * rate))
	services := startStandIns(b, benchServicesConfig{Targets: targets})
	bridges, addresses := startBenchBridges(b, 1, services, benchRulesFile(b, targets, len(posts)), benchSQLite(b))
	before := cpuOf(b, bridges)
	due, answered := openLoop(b, addresses[0], rate, posts)
	settled := settleBridges(b, bridges, len(posts), 0)
	services.awaitTold(b, 0, len(posts), *bridgeWait)
	used := cpuOf(b, bridges) - before
	told := services.told(b)
	stopBenchBridges(b, bridges)

	var took []time.Duration
	for flow, at := range due {
		first := told.PagerDuty[flow]
		if posted, ok := told.Slack[flow]; ok && (first.IsZero() || posted.Before(first)) {
			first = posted
		}
		if !first.IsZero() {
			took = append(took, first.Sub(at))
		}
	}
	quantiles(b, "answer", answered)
	quantiles(b, "service", took)
	b.ReportMetric(float64(len(posts)-len(took)), "left-waiting")
	b.ReportMetric(settled.folded.Seconds(), "folded-after-s")
	b.ReportMetric(used.Seconds()*1000/float64(len(posts)), "cpu-ms/event")
	reportServices(b, told)
	reportPeak(b, bridges)
}

// benchStorm opens many incidents within ten seconds, while PagerDuty is down for a minute.
func benchStorm(b *testing.B) {
	const targets, rate = 20, 200
	posts := benchOpenings(scaled(10 * rate))
	services := startStandIns(b, benchServicesConfig{Targets: targets})
	bridges, addresses := startBenchBridges(b, 1, services, benchRulesFile(b, targets, len(posts)), benchSQLite(b))
	services.ask(b, "pagerduty-is-down", nil)
	outage := time.Now().Add(time.Duration(scaled(60_000)) * time.Millisecond)
	before := cpuOf(b, bridges)
	due, answered := openLoop(b, addresses[0], rate, posts)
	settled := settleBridges(b, bridges, len(posts), 0)
	time.Sleep(time.Until(outage))
	services.ask(b, "pagerduty-is-up", nil)
	outage = time.Now()
	if !services.awaitTold(b, 0, len(posts), 8*time.Minute) {
		b.Fatalf("%d of %d flows were paged", len(services.told(b).PagerDuty), len(posts))
	}
	used := cpuOf(b, bridges) - before
	told := services.told(b)
	stopBenchBridges(b, bridges)

	began, first, last := due[posts[0].flow], time.Time{}, time.Time{}
	for _, at := range told.PagerDuty {
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
	}
	quantiles(b, "answer", answered)
	b.ReportMetric(settled.folded.Seconds(), "folded-after-s")
	b.ReportMetric(first.Sub(outage).Seconds(), "first-page-after-outage-s")
	b.ReportMetric(last.Sub(outage).Seconds(), "last-page-after-outage-s")
	b.ReportMetric(last.Sub(began).Seconds(), "last-page-s")
	b.ReportMetric(used.Seconds()*1000/float64(len(posts)), "cpu-ms/event")
	reportServices(b, told)
	reportPeak(b, bridges)
}

// benchBacklog lets a backlog build up while no service answers, and takes how fast it is told by services that have no
// limits. It holds five incidents for each target, which is what the budgets of a channel let go at once.
func benchBacklog(b *testing.B, processes int, db string) {
	const each = 5
	posts := benchOpenings(scaled(400 * each))
	targets := (len(posts) + each - 1) / each
	services := startStandIns(b, benchServicesConfig{Targets: targets, Plain: true})
	bridges, addresses := startBenchBridges(b, processes, services, benchRulesFile(b, targets, len(posts)), db)
	services.ask(b, "hold", nil)
	closedLoop(b, addresses, 16, posts)
	settleBridges(b, bridges, len(posts), 0)
	before, began := cpuOf(b, bridges), time.Now()
	services.ask(b, "release", nil)
	if !services.awaitTold(b, len(posts), len(posts), benchPatience+time.Minute) {
		told := services.told(b)
		b.Fatalf("of %d flows Slack was told of %d, PagerDuty of %d", len(posts), len(told.Slack), len(told.PagerDuty))
	}
	told := services.told(b)
	settleBridges(b, bridges, len(posts), *bridgeWait) // the last are written down
	used := cpuOf(b, bridges) - before
	stopBenchBridges(b, bridges)
	after := 0.0 // those that were in flight before are not counted
	for _, service := range []map[string]time.Time{told.Slack, told.PagerDuty} {
		for _, at := range service {
			if at.After(began) {
				after++
			}
		}
	}
	took := told.Last.Sub(began).Seconds()
	b.ReportMetric(after/took, "deliveries/s")
	b.ReportMetric((after+float64(told.Accepted-2*len(posts)))/took, "calls/s") // a page is told the address of its card
	b.ReportMetric(used.Seconds()*1000/after, "cpu-ms/delivery")
	reportServices(b, told)
	reportPeak(b, bridges)
}

// benchIdle starts the bridge over a new database, and again over the same, some times, and leaves the last alone.
func benchIdle(b *testing.B) {
	const starts = 5
	rulesFile := benchRulesFile(b, 50, benchFlows)
	services := startStandIns(b, benchServicesConfig{Targets: 50})
	var fresh, again []time.Duration
	var last []*benchBridge
	for range starts {
		db := benchSQLite(b)
		first, _ := startBenchBridges(b, 1, services, rulesFile, db)
		stopBenchBridges(b, first)
		stopBenchBridges(b, last)
		last, _ = startBenchBridges(b, 1, services, rulesFile, db)
		fresh, again = append(fresh, first[0].readyAfter), append(again, last[0].readyAfter)
	}
	slices.Sort(fresh)
	slices.Sort(again)
	rest := time.Duration(scaled(10_000)) * time.Millisecond
	before := cpuOf(b, last)
	time.Sleep(rest)
	used := cpuOf(b, last) - before
	b.ReportMetric(float64(fresh[starts/2].Microseconds())/1000, "ready-ms-new-db")
	b.ReportMetric(float64(again[starts/2].Microseconds())/1000, "ready-ms")
	b.ReportMetric(mebibytes(last[0].memory(b, "VmRSS")), "idle-MiB")
	b.ReportMetric(used.Seconds()*1000/rest.Seconds(), "idle-cpu-ms/s")
}

func startBenchBridges(b *testing.B, n int, services benchStandIns, rulesFile,
	db string) (bridges []*benchBridge, addresses []string) {
	b.Helper()
	for range n {
		p := startBenchBridge(b, services, rulesFile, db)
		bridges, addresses = append(bridges, p), append(addresses, p.public)
	}
	return bridges, addresses
}

func stopBenchBridges(b *testing.B, bridges []*benchBridge) {
	b.Helper()
	for _, p := range bridges {
		p.stop(b)
	}
}

// reportServices says how often services were called.
func reportServices(b *testing.B, told benchTold) {
	b.Helper()
	refused := 0
	for _, n := range told.Refused {
		refused += n
	}
	b.ReportMetric(float64(told.Accepted), "calls")
	b.ReportMetric(float64(refused), "calls-refused")
}

// reportPeak says how much memory the largest of some processes that have ended had.
func reportPeak(b *testing.B, bridges []*benchBridge) {
	b.Helper()
	peak := int64(0)
	for _, p := range bridges {
		peak = max(peak, p.peak)
	}
	b.ReportMetric(mebibytes(peak), "peak-MiB")
}
