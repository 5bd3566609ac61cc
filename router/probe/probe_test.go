package probe

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"flowbridge/router"
)

// world is a Prober with a journal in memory, whose events are folded as the router folds them.
type world struct {
	*Prober
	t       *testing.T
	at      time.Time
	states  map[router.FlowID]router.State
	digests map[string]bool
	said    []string // lines of events that were new
	reads   int
	broken  error
	given   map[router.FlowID]string
	graph   map[string]router.Secret
	log     bytes.Buffer
}

func newWorld(t *testing.T, cfg Config) *world {
	t.Helper()
	w := &world{t: t, at: noon, states: map[router.FlowID]router.State{}, digests: map[string]bool{},
		given: map[router.FlowID]string{}, graph: map[string]router.Secret{}}
	cfg.Wanted = func() bool { return len(w.given) > 0 }
	cfg.Probe = func(id router.FlowID) (string, bool) { at, ok := w.given[id]; return at, ok }
	cfg.Endpoint = func(id string) (router.Secret, bool) { at, ok := w.graph[id]; return at, ok }
	cfg.Sign = func([]byte) string { return "sha256=signed" }
	cfg.Now = func() time.Time { return w.at }
	cfg.Private = true
	cfg.Logger = slog.New(slog.NewTextHandler(&w.log, nil))
	w.begin(cfg)
	return w
}

// begin is a process that takes over.
func (w *world) begin(cfg Config) {
	var err error
	if w.Prober, err = New(cfg, w); err != nil {
		w.t.Fatal(err)
	}
	w.looker.since = func(time.Time) time.Duration { return 300 * time.Millisecond } // however slow the machine is
}

func (w *world) Folds() bool { return true }

func (w *world) Counting(context.Context) (list []router.Counting, err error) {
	w.reads++
	for id, s := range w.states {
		for _, a := range s.Alerts {
			if a.Active && s.GoesOn(a.Incident) {
				list = append(list, router.Counting{FlowID: id, Event: a.Event})
			}
		}
	}
	slices.SortFunc(list, func(a, b router.Counting) int { return strings.Compare(a.Flow, b.Flow) })
	return list, w.broken
}

func (w *world) States(_ context.Context, flows []router.FlowID, _ []int64) (map[router.FlowID]router.State, error) {
	found := map[router.FlowID]router.State{}
	for _, id := range flows {
		found[id] = w.states[id]
	}
	return found, w.broken
}

func (w *world) Append(_ context.Context, events []router.Event) (stored int, err error) {
	if w.broken != nil {
		return 0, w.broken
	}
	for i := range events {
		if e := &events[i]; !w.digests[e.Digest] {
			w.digests[e.Digest] = true
			w.said = append(w.said, e.Facts[0].Text)
			s := router.Fold(w.states[e.FlowID()], 100, e, router.Verdict{}, router.Moment{Now: w.at})
			w.states[e.FlowID()] = s.State
			stored++
		}
	}
	return stored, nil
}

// trouble is Meta's report of a signal of a flow, or of its end.
func (w *world) trouble(flow, event, state string, incident int64) {
	w.t.Helper()
	threshold, reading := 90.0, 75.0
	e := router.Event{Source: router.SourceMeta, Name: event, AlertState: state, WABA: "501", Flow: flow, At: w.at,
		Received: w.at, Threshold: &threshold, Reading: router.Reading{Value: &reading}}
	id := e.FlowID()
	w.states[id] = router.Fold(w.states[id], incident, &e,
		router.Verdict{Decision: router.Decision{Severity: router.Error}}, router.Moment{Now: w.at}).State
}

// rounds lets minutes pass, with a round in each.
func (w *world) rounds(minutes int) {
	w.t.Helper()
	for range minutes {
		if err := w.Round(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		w.at = w.at.Add(time.Minute)
	}
}

// saidSince checks which lines were written since it was asked last; each is a beginning.
func (w *world) saidSince(what string, want ...string) {
	w.t.Helper()
	equal := slices.EqualFunc(w.said, want, func(got, want string) bool { return strings.HasPrefix(got, want) })
	if !equal {
		w.t.Errorf("%s: said %q, want %q", what, w.said, want)
	}
	w.said = nil
}

func id(flow string) router.FlowID { return router.FlowID{WABA: "501", Flow: flow} }

func TestALineIsWrittenWhereItChanges(t *testing.T) {
	t.Parallel()
	var failing atomic.Bool
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if failing.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		endpointOf(t, businessKey())(w, r)
	})
	metrics := prometheus.NewRegistry()
	cfg := Config{Roots: s.roots, Key: func() *rsa.PublicKey { return &businessKey().PublicKey }, Registerer: metrics}
	w := newWorld(t, cfg)
	w.given[id("77")] = s.URL

	w.rounds(3)
	w.trouble("77", router.ClientErrorRate, router.Activated, 1)
	w.rounds(3)
	if n := s.calls.Load(); n > 0 {
		t.Fatalf("it was called %d times while nothing is wrong with the endpoint", n)
	}
	w.trouble("77", router.EndpointAvailability, router.Activated, 2)
	w.rounds(10)
	w.saidSince("the first ten minutes", "1 probe answered, in 300 ms")
	w.rounds(1)
	w.saidSince("it is no chance any more", "100 % of 11 probes answered, p90 300 ms")
	w.rounds(25)
	w.saidSince("nothing changes")
	failing.Store(true)
	w.rounds(9)
	w.saidSince("it fails", "96 % of 30 probes answered")
	w.rounds(30)
	w.saidSince("it goes on failing", "63 % of 30 probes answered", "30 % of 30 probes answered",
		"it answers HTTP 500 (all 30 probes)")
	calls := s.calls.Load()
	if calls != 75 {
		t.Errorf("it was called %d times in 75 minutes", calls)
	}

	w.trouble("77", router.EndpointAvailability, router.Deactivated, 0)
	w.rounds(20)
	w.saidSince("it is over")
	if s.calls.Load() != calls {
		t.Error("it was called after that")
	}
	w.trouble("77", router.EndpointLatency, router.Activated, 3)
	w.rounds(1)
	w.saidSince("new trouble", "it answers HTTP 500 (1 probe)")

	counts := `
# HELP flowbridge_probes_total Probes of endpoints of flows, by how that ended.
# TYPE flowbridge_probes_total counter
`
	for _, r := range slices.Sorted(slices.Values(results)) {
		n := map[result]int{active: 36, odd: 40}[r]
		counts += fmt.Sprintf("flowbridge_probes_total{result=%q} %d\n", r, n)
	}
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(counts), "flowbridge_probes_total"); err != nil {
		t.Error(err)
	}
}

func TestAProcessThatTakesOverDoesNotBeginWithLess(t *testing.T) {
	t.Parallel()
	s := newSite(t, endpointOf(t, businessKey()))
	w := newWorld(t, Config{Roots: s.roots, Key: func() *rsa.PublicKey { return &businessKey().PublicKey }})
	w.given[id("77")] = s.URL
	w.trouble("77", router.EndpointErrorRate, router.Activated, 1)
	w.rounds(20)
	w.saidSince("the first process", "1 probe", "100 % of 11 probes")
	w.begin(w.cfg)
	w.rounds(4)
	w.saidSince("it knows of few")
	w.rounds(20)
	w.saidSince("it knows of enough", "100 % of 5 probes")

	w.begin(w.cfg)
	w.rounds(4)
	w.trouble("77", router.EndpointErrorRate, router.Deactivated, 0)
	w.rounds(4)
	w.saidSince("it was over before that")
}

func TestANewIncidentDoesNotWaitForTheTenMinutesOfTheOneBefore(t *testing.T) {
	t.Parallel()
	s := newSite(t, endpointOf(t, businessKey()))
	w := newWorld(t, Config{Roots: s.roots})
	w.given[id("77")] = s.URL
	w.trouble("77", router.EndpointErrorRate, router.Activated, 1)
	w.rounds(1)
	w.trouble("77", router.EndpointErrorRate, router.Deactivated, 0)
	w.at = w.at.Add(time.Second)
	w.trouble("77", router.EndpointErrorRate, router.Activated, 2)
	w.rounds(1)
	w.saidSince("both", "1 probe reached it", "100 % of 2 probes reached it")
	w.trouble("77", router.EndpointLatency, router.Activated, 3) // its card has the line from the beginning
	w.rounds(5)
	w.saidSince("a second signal")
}

func TestFlowsWithOneEndpointShareItsProbes(t *testing.T) {
	t.Parallel()
	s := newSite(t, endpointOf(t, businessKey()))
	w := newWorld(t, Config{Roots: s.roots})
	for i := range 30 {
		flow := strconv.Itoa(100 + i)
		w.given[id(flow)] = s.URL
		w.trouble(flow, router.EndpointErrorRate, router.Activated, int64(i+1))
	}
	for range 4 { // rounds are more often than a probe is due
		w.rounds(1)
		w.at = w.at.Add(-45 * time.Second)
	}
	if n := s.calls.Load(); n != 1 {
		t.Errorf("it was called %d times within a minute", n)
	}
	if len(w.said) != 30 {
		t.Errorf("%d flows have a line", len(w.said))
	}
}

func TestProbesAreBounded(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var now, most int
	called := map[string]int{}
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		now++
		most = max(most, now)
		called[r.URL.Path]++
		mu.Unlock()
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		now--
		mu.Unlock()
	})
	w := newWorld(t, Config{Roots: s.roots})
	for i := range 150 {
		flow := strconv.Itoa(1000 + i)
		w.given[id(flow)] = s.URL + "/" + flow
		w.trouble(flow, router.EndpointErrorRate, router.Activated, int64(i+1))
	}
	for minute := range 3 {
		for range 4 {
			w.rounds(1)
			w.at = w.at.Add(-45 * time.Second)
		}
		if n := s.calls.Load(); n > int64(mostProbes*(minute+1)) {
			t.Errorf("%d probes in %d minutes", n, minute+1)
		}
	}
	if len(called) != 150 || most > atOnce {
		t.Errorf("%d of 150 endpoints had their turn; %d at a time", len(called), most)
	}
	delete(w.given, id("1000"))
	clear(w.states)
	w.rounds(2)
	if len(w.endpoints)+len(w.flows) > 0 {
		t.Errorf("%d endpoints and %d flows are remembered for nothing", len(w.endpoints), len(w.flows))
	}
}

func TestWhereAnEndpointIsComesFromTheRulesOrFromGraph(t *testing.T) {
	t.Parallel()
	s, other := newSite(t, endpointOf(t, businessKey())), newSite(t, endpointOf(t, businessKey()))
	w := newWorld(t, Config{Roots: s.roots})
	w.given[id("77")] = ""
	w.trouble("77", router.EndpointErrorRate, router.Activated, 1)
	w.rounds(9)
	if w.log.Len() > 0 {
		t.Errorf("the log says %s", w.log.String())
	}
	w.rounds(5)
	if n := strings.Count(w.log.String(), "nobody knows where it is"); n != 1 || len(w.said) > 0 {
		t.Errorf("the log says %s; the card says %q", w.log.String(), w.said)
	}
	w.graph["77"] = router.Secret(s.URL + "/flow?key=secret")
	w.rounds(1)
	w.saidSince("Graph knows it", "1 probe reached it")
	w.given[id("77")] = other.URL
	w.rounds(1)
	if s.calls.Load() != 1 || other.calls.Load() != 1 {
		t.Errorf("called %d and %d times", s.calls.Load(), other.calls.Load())
	}
	w.graph["78"], w.given[id("78")] = "", ""
	w.trouble("78", router.EndpointErrorRate, router.Activated, 2)
	w.rounds(1)
	if !strings.Contains(w.log.String(), "by Graph the flow has no endpoint") ||
		strings.Contains(w.log.String(), "secret") {
		t.Errorf("the log says %s", w.log.String())
	}
	w.graph["79"], w.given[id("79")] = "http://127.0.0.1:1/flow", ""
	w.trouble("79", router.EndpointErrorRate, router.Activated, 3)
	w.said = nil
	w.rounds(1)
	w.saidSince("Graph names no https", "its address is no https address: not called (1 probe)")
}

func TestWhileTheStoreFailsNothingIsForgotten(t *testing.T) {
	t.Parallel()
	s := newSite(t, endpointOf(t, businessKey()))
	w := newWorld(t, Config{Roots: s.roots})
	w.given[id("77")] = s.URL
	w.trouble("77", router.EndpointErrorRate, router.Activated, 1)
	w.broken = errors.New("the disk is full")
	if err := w.Round(t.Context()); !errors.Is(err, w.broken) {
		t.Errorf("error is %v", err)
	}
	w.broken = nil
	w.rounds(1)
	w.saidSince("it works again", "1 probe reached it")
}

func TestNothingIsReadWhileNobodyWantsProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		run := func() {
			ctx, cancel := context.WithTimeout(t.Context(), 10*pollEvery)
			defer cancel()
			w.Run(ctx)
		}
		run()
		if w.reads > 0 {
			t.Errorf("the store was read %d times", w.reads)
		}
		w.given[id("77")] = "https://shop.example.com/flow"
		if run(); w.reads != 1 { // the clock of the bridge stands still
			t.Errorf("the store was read %d times, want once", w.reads)
		}
	})
	for _, cfg := range []Config{{}, {Wanted: func() bool { return true }}} {
		if _, err := New(cfg, nil); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}
