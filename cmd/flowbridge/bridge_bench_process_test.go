package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

var bridgeProfiles = flag.String("bridge.profiles", "",
	"folder for a CPU profile of each bridge that BenchmarkBridge runs; "+
		"they are then the test binary, which is the same program")

var bridgeShare = flag.Float64("bridge.share", 0,
	"processors that each bridge of BenchmarkBridge may use, as if several had a machine each; 0 for all. "+
		"Needs root, and control groups")

// profiledProgram is `flowbridge` that writes a CPU profile to the file that profileFile names when it ends.
const (
	profiledProgram = "flowbridge-profiled"
	profileFile     = "FLOWBRIDGE_BENCH_PROFILE"
)

func runProfiledProgram() {
	file, err := os.Create(os.Getenv(profileFile))
	if err == nil {
		err = pprof.StartCPUProfile(file)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitFault)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	p := program{Stdin: os.Stdin, Stdout: &outlet{file: os.Stdout}, Stderr: &outlet{file: os.Stderr}, Getenv: os.LookupEnv}
	code := p.run(ctx, os.Args[1:])
	stop()
	pprof.StopCPUProfile()
	_ = file.Close()
	os.Exit(code)
}

// benchBridge is a bridge in a process of its own. Its log goes to a file, as it would where it is a service.
type benchBridge struct {
	cmd           *exec.Cmd
	public, admin string // addresses
	readyAfter    time.Duration
	ended         bool
	peak          int64 // bytes of memory, set when it ends
}

// startBenchBridge runs `flowbridge serve` until it is stopped or the benchmark ends.
func startBenchBridge(b *testing.B, services benchStandIns, rulesFile, db string) *benchBridge {
	b.Helper()
	args := []string{"serve", "--rules", rulesFile, "--db", db, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}
	path, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	p := &benchBridge{cmd: exec.Command(path, args...)}
	p.cmd.Env = append(os.Environ(),
		"META_APP_SECRET="+benchSecret.Reveal(), "META_VERIFY_TOKEN=verify-token-of-the-test",
		"SLACK_BOT_TOKEN="+testSlackToken, "SLACK_API_URL=http://"+services.address+"/api/", "PAGERDUTY_EVENTS_URL=http://"+
			services.address)
	if *bridgeProfiles != "" {
		if p.cmd.Path, err = os.Executable(); err != nil {
			b.Fatal(err)
		}
		p.cmd.Args[0] = profiledProgram
		name := strings.NewReplacer("/", "-", "=", "-").Replace(strings.TrimPrefix(b.Name(), "BenchmarkBridge/"))
		p.cmd.Env = append(p.cmd.Env, fmt.Sprintf("%s=%s-%d.pprof", profileFile, filepath.Join(*bridgeProfiles, name),
			time.Now().UnixMilli()))
	}
	log, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	p.cmd.Stderr = log
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ungroup := keepToShare(b, p.cmd.Process.Pid)
	b.Cleanup(func() {
		p.stop(b)
		ungroup()
		if b.Failed() {
			said, _ := os.ReadFile(log.Name())
			b.Logf("the bridge complained of\n%s", tail(complaints(string(said))))
		}
	})
	for p.public == "" {
		if time.Since(began) > benchPatience {
			b.Fatal("the bridge did not get ready")
		}
		time.Sleep(time.Millisecond)
		said, err := os.ReadFile(log.Name())
		if err != nil {
			b.Fatal(err)
		}
		for text := range bytes.Lines(said) {
			var line struct{ Msg, Listen, Admin string }
			if json.Unmarshal(text, &line) == nil && line.Msg == "flowbridge is ready" {
				p.public, p.admin = line.Listen, line.Admin
			}
		}
	}
	for {
		resp, err := http.Get("http://" + p.admin + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Since(began) > benchPatience {
			b.Fatal("the bridge did not get ready")
		}
		time.Sleep(time.Millisecond)
	}
	p.readyAfter = time.Since(began)
	return p
}

// keepToShare puts a process into a control group of its own that may use -bridge.share; the function that it returns
// takes the group away once the process has ended.
func keepToShare(b *testing.B, pid int) (ungroup func()) {
	b.Helper()
	if *bridgeShare == 0 {
		return func() {}
	}
	const period = 100_000 // microseconds
	quota := fmt.Sprint(int(*bridgeShare * period))
	group, err := newControlGroup(fmt.Sprint("flowbridge-bench-", pid), "cpu",
		map[string]string{"cpu.cfs_quota_us": quota}, map[string]string{"cpu.max": fmt.Sprint(quota, " ", period)})
	if err == nil {
		err = group.take(pid)
	}
	if err != nil {
		b.Fatalf("-bridge.share: %v", err)
	}
	return group.remove
}

// complaints are the lines of a log that are more than information.
func complaints(log string) string {
	var out strings.Builder
	for line := range strings.Lines(log) {
		if !strings.Contains(line, `"level":"INFO"`) {
			out.WriteString(line)
		}
	}
	return out.String()
}

// stop ends the process cleanly, and keeps its peak of memory.
func (p *benchBridge) stop(b *testing.B) {
	b.Helper()
	if p.ended {
		return
	}
	p.ended = true
	p.peak = p.memory(b, "VmHWM")
	_ = p.cmd.Process.Signal(os.Interrupt)
	kill := time.AfterFunc(benchPatience, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	if err := p.cmd.Wait(); err != nil {
		b.Errorf("the bridge ended: %v", err)
	}
}

// cpu is what the process has used so far, user and system. The kernel counts it in hundredths of a second.
func (p *benchBridge) cpu(b *testing.B) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // from the third on: proc_pid_stat(5)
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		b.Fatal(err)
	}
	return time.Duration(user+system) * time.Second / 100
}

// memory reads VmRSS, what the process has now, or VmHWM, the most that it ever had, in bytes.
func (p *benchBridge) memory(b *testing.B, name string) int64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0 // it is gone
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			var kib int64
			_, _ = fmt.Sscan(rest, &kib)
			return kib << 10
		}
	}
	return 0
}

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// benchMetrics is one look at /metrics.
type benchMetrics string

func (p *benchBridge) metrics(b *testing.B) benchMetrics {
	b.Helper()
	client := http.Client{Timeout: benchPatience}
	resp, err := client.Get("http://" + p.admin + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	return benchMetrics(text)
}

var errNoSample = errors.New("no such sample")

// sum adds the samples of a metric that have a label. It returns errNoSample where there is none: a bridge leaves out
// the gauges of a storage that does not answer in time.
func (m benchMetrics) sum(name, label string) (total float64, err error) {
	err = errNoSample
	for line := range strings.Lines(string(m)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != '{' && rest[0] != ' ' || !strings.Contains(rest, label) {
			continue
		}
		var value float64
		if _, fault := fmt.Sscan(rest[strings.LastIndexByte(strings.TrimSpace(rest), ' ')+1:], &value); fault != nil {
			return 0, fault
		}
		total, err = total+value, nil
	}
	return total, err
}

// benchSettled says how a bridge came to rest after the last post.
type benchSettled struct {
	folded, told time.Duration // until nothing waited any more; -1 where that was not seen
	waiting      int           // deliveries that waited still at the end
}

// settleBridges waits until all is folded, and then for so long at most until nothing waits to be told.
func settleBridges(b *testing.B, bridges []*benchBridge, events int, atMost time.Duration) (s benchSettled) {
	b.Helper()
	began := time.Now()
	s.folded, s.told = -1, -1
	for {
		m := bridges[0].metrics(b)
		lag, lagErr := m.sum("flowbridge_journal_events", `state="waiting"`)
		waiting, waitingErr := m.sum("flowbridge_owed_deliveries", `state="waiting"`)
		took := time.Since(began)
		if lagErr == nil && lag == 0 && s.folded < 0 {
			s.folded = took
			// it may say something about itself as well
			if n := counterOf(b, bridges, "flowbridge_events_folded_total", ""); int(n) < events {
				b.Fatalf("%.0f of %d events were folded", n, events)
			}
		}
		if waitingErr == nil {
			s.waiting = int(waiting)
		}
		switch {
		case s.folded >= 0 && waitingErr == nil && waiting == 0:
			s.told = took
			return s
		case s.folded >= 0 && took > s.folded+atMost:
			return s
		case took > 10*time.Minute:
			b.Fatalf("%g events still wait to be folded (%v)", lag, lagErr)
		}
		time.Sleep(time.Second) // each look counts what waits
	}
}

// counterOf adds what several processes have counted; 0 where there is nothing of it.
func counterOf(b *testing.B, bridges []*benchBridge, name, label string) (total float64) {
	b.Helper()
	for _, p := range bridges {
		n, err := p.metrics(b).sum(name, label)
		if err != nil && !errors.Is(err, errNoSample) {
			b.Fatal(err)
		}
		total += n
	}
	return math.Round(total)
}

// cpuOf adds what several processes have used.
func cpuOf(b *testing.B, bridges []*benchBridge) (total time.Duration) {
	b.Helper()
	for _, p := range bridges {
		total += p.cpu(b)
	}
	return total
}
