package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

// What BenchmarkBridge runs beside the bridge.
const (
	bareProgram     = "bench-bare"     // bareHandler
	servicesProgram = "bench-services" // stand-in Slack and PagerDuty
)

// benchPrograms are what the test binary is when it is called so.
var benchPrograms = map[string]func(){bareProgram: runBareProgram, servicesProgram: runServicesProgram,
	profiledProgram: runProfiledProgram}

// benchServicesConfig is what the stand-ins are told.
type benchServicesConfig struct {
	Targets int  // channels, and routing keys
	Plain   bool // no limits, no state: every call is answered at once
}

// benchTold is what the stand-ins were told.
type benchTold struct {
	Slack, PagerDuty map[string]time.Time // when the first call about a flow came that was answered 2xx
	Accepted         int                  // calls that were answered 2xx
	Last             time.Time            // when the last of them came
	Refused          map[int]int          // calls that were answered otherwise, by status
}

// benchFlowIDs finds the flows that a call is about, in JSON and in forms.
var benchFlowIDs = regexp.MustCompile(`987600000\d{6}`)

func benchFlow(n int) string { return fmt.Sprintf("987600000%06d", n) }

func benchChannel(n int) string    { return fmt.Sprintf("#bench-%d", n) }
func benchRoutingKey(n int) string { return fmt.Sprintf("%032d", n+1) }

// benchServices are stand-ins that write down when they were told of which flow.
type benchServices struct {
	slack, pager http.Handler
	outage       *sandbox.PagerDuty // nil: there are none

	hold sync.RWMutex // locked: nothing is answered

	mu   sync.Mutex
	told benchTold
}

func newBenchServices(cfg benchServicesConfig) *benchServices {
	s := &benchServices{told: benchTold{Slack: map[string]time.Time{}, PagerDuty: map[string]time.Time{},
		Refused: map[int]int{}}}
	if cfg.Plain {
		s.slack, s.pager = http.HandlerFunc(plainSlack), http.HandlerFunc(plainPagerDuty)
		return s
	}
	var channels []string
	var keys []router.Secret
	for n := range cfg.Targets {
		channels, keys = append(channels, benchChannel(n)), append(keys, router.Secret(benchRoutingKey(n)))
	}
	s.slack = sandbox.NewSlack(sandbox.SlackConfig{Token: testSlackToken, Channels: channels})
	s.outage = sandbox.NewPagerDuty(sandbox.PagerDutyConfig{RoutingKeys: keys})
	s.pager = s.outage
	return s
}

// plainSlack says of every call that it posted or edited a message, and names one that is asked for. A channel's id is
// made of its name.
func plainSlack(w http.ResponseWriter, r *http.Request) {
	id := r.FormValue("channel")
	var n int
	if _, err := fmt.Sscanf(id, "#bench-%d", &n); err == nil {
		id = fmt.Sprintf("C%010d", n)
	}
	w.Header().Set("Content-Type", "application/json")
	if ts := r.FormValue("message_ts"); ts != "" {
		fmt.Fprintf(w, `{"ok":true,"permalink":"https://bench.slack.com/archives/%s/p%s"}`, id,
			strings.ReplaceAll(ts, ".", ""))
		return
	}
	now := time.Now().UnixMicro()
	fmt.Fprintf(w, `{"ok":true,"channel":%q,"ts":"%d.%06d"}`, id, now/1e6, now%1e6)
}

func plainPagerDuty(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"success","message":"Event processed"}`)
}

func (s *benchServices) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/bench/"):
		s.control(w, path.Base(r.URL.Path))
	case strings.HasPrefix(r.URL.Path, "/api/"):
		s.note(w, r, s.slack, s.told.Slack)
	default:
		s.note(w, r, s.pager, s.told.PagerDuty)
	}
}

// note answers a call, and writes it down.
func (s *benchServices) note(w http.ResponseWriter, r *http.Request, service http.Handler, told map[string]time.Time) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	at := time.Now()
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	s.hold.RLock()
	service.ServeHTTP(answer, r)
	s.hold.RUnlock()
	flows := benchFlowIDs.FindAllString(string(body), -1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if answer.status >= 300 {
		s.told.Refused[answer.status]++
		return
	}
	s.told.Accepted++
	s.told.Last = at
	for _, flow := range flows {
		if _, known := told[flow]; !known {
			told[flow] = at
		}
	}
}

// control does what the benchmark asks of the stand-ins.
func (s *benchServices) control(w http.ResponseWriter, what string) {
	switch what {
	case "hold":
		s.hold.Lock()
	case "release":
		s.hold.Unlock()
	case "pagerduty-is-down":
		s.outage.Fail(sandbox.Fault{Status: http.StatusServiceUnavailable})
	case "pagerduty-is-up":
		s.outage.ClearFaults()
	case "told":
		s.mu.Lock()
		told := s.told
		told.Slack, told.PagerDuty, told.Refused = maps.Clone(told.Slack), maps.Clone(told.PagerDuty),
			maps.Clone(told.Refused)
		s.mu.Unlock()
		_ = json.NewEncoder(w).Encode(told)
	case "count":
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = json.NewEncoder(w).Encode([]int{len(s.told.Slack), len(s.told.PagerDuty)})
	default:
		http.Error(w, what, http.StatusNotFound)
	}
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// benchChild serves on loopback, says where, and ends with its standard input.
func benchChild(h http.Handler) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitFault)
	}
	go func() { _ = newServer(h, slog.New(slog.DiscardHandler)).Serve(l) }()
	fmt.Println(l.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func runBareProgram() { benchChild(bareHandler(nil)) }

func runServicesProgram() {
	var cfg benchServicesConfig
	if err := json.Unmarshal([]byte(os.Args[1]), &cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitUsage)
	}
	benchChild(newBenchServices(cfg))
}

// startChild runs one of these programs until the benchmark ends, and returns where it listens.
func startChild(b *testing.B, program string, args ...string) (address string) {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Args = append([]string{program}, args...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	if _, err := fmt.Fscanln(stdout, &address); err != nil {
		b.Fatalf("%s: %v", program, err)
	}
	return address
}

// benchStandIns are the stand-ins as the benchmark sees them.
type benchStandIns struct{ address string }

func startStandIns(b *testing.B, cfg benchServicesConfig) benchStandIns {
	b.Helper()
	text, err := json.Marshal(cfg)
	if err != nil {
		b.Fatal(err)
	}
	return benchStandIns{startChild(b, servicesProgram, string(text))}
}

// ask has the stand-ins do something, and reads the answer into v unless that is nil.
func (s benchStandIns) ask(b *testing.B, what string, v any) {
	b.Helper()
	resp, err := http.Get("http://" + s.address + "/bench/" + what)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.Fatalf("%s: %s", what, resp.Status)
	}
	if v == nil {
		return
	}
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		b.Fatalf("%s: %v", what, err)
	}
}

func (s benchStandIns) told(b *testing.B) (told benchTold) {
	b.Helper()
	s.ask(b, "told", &told)
	return told
}

// awaitTold waits until each service was told of so many flows, for so long at most, and says whether it was.
func (s benchStandIns) awaitTold(b *testing.B, slack, pager int, atMost time.Duration) bool {
	b.Helper()
	for deadline := time.Now().Add(atMost); ; time.Sleep(50 * time.Millisecond) {
		var count [2]int
		s.ask(b, "count", &count)
		if count[0] >= slack && count[1] >= pager {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// quantiles reports the median, the worst hundredth and the worst of some times, in milliseconds.
func quantiles(b *testing.B, name string, took []time.Duration) {
	b.Helper()
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(took[len(took)/2]), name+"-p50-ms")
	b.ReportMetric(ms(took[len(took)*99/100]), name+"-p99-ms")
	b.ReportMetric(ms(took[len(took)-1]), name+"-max-ms")
}
