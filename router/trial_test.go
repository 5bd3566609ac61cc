package router_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"flowbridge/router"
)

// ledger is a journal in memory that refuses some batches.
type ledger struct {
	events []router.Event // that wait
	due    []router.FlowID
	states map[router.FlowID]router.State
	// refuse says why a batch is refused; nil takes it.
	refuse  func(b *router.Batch) error
	unwell  error // what Ping says
	tried   []int // how many events each batch held
	folded  []int64
	failed  map[int64]string // outcome of events that were set aside
	batches []router.Batch
	put     []router.FlowID // timers that were put off
	mark    *router.Mark
	marks   int // how often it was written
}

func (l *ledger) Waiting(_ context.Context, limit int) ([]router.Event, error) {
	return slices.Clone(l.events[:min(limit, len(l.events))]), nil
}

func (l *ledger) States(_ context.Context, flows []router.FlowID, _ []int64) (map[router.FlowID]router.State, error) {
	states := map[router.FlowID]router.State{}
	for _, flow := range flows {
		states[flow] = l.states[flow]
	}
	return states, nil
}

func (l *ledger) FoldMark(context.Context) (*router.Mark, error) {
	if l.mark == nil {
		return nil, nil
	}
	return new(*l.mark), nil
}

func (l *ledger) SetFoldMark(_ context.Context, m *router.Mark) error {
	l.marks++
	l.mark = nil
	if m != nil {
		l.mark = new(*m)
	}
	return nil
}

func (l *ledger) LastIncident(context.Context) (int64, error)         { return 0, nil }
func (l *ledger) Silences(context.Context) ([]router.Silence, error)  { return nil, nil }
func (l *ledger) Counting(context.Context) ([]router.Counting, error) { return nil, nil }
func (l *ledger) Ping(context.Context) error                          { return l.unwell }
func (l *ledger) GiveWay(context.Context, time.Duration)              {}
func (l *ledger) Appended() <-chan struct{}                           { return nil }

func (l *ledger) Timers(_ context.Context, _ time.Time, limit int) ([]router.FlowID, time.Time, error) {
	return slices.Clone(l.due[:min(limit, len(l.due))]), time.Time{}, nil
}

func (l *ledger) Commit(_ context.Context, b router.Batch) error {
	l.tried = append(l.tried, len(b.Outcomes))
	if l.refuse != nil {
		if err := l.refuse(&b); err != nil {
			return err
		}
	}
	l.batches = append(l.batches, b)
	for _, o := range b.Outcomes {
		l.events = slices.DeleteFunc(l.events, func(e router.Event) bool { return e.Seq == o.Seq })
		if o.Failed {
			l.failed[o.Seq] = o.Text
		} else {
			l.folded = append(l.folded, o.Seq)
		}
	}
	for _, e := range b.Events {
		e.Seq = int64(1000 + len(l.batches))
		l.events = append(l.events, e)
	}
	for _, flow := range b.Postponed {
		l.put = append(l.put, flow)
		l.due = slices.DeleteFunc(l.due, func(f router.FlowID) bool { return f == flow })
	}
	for _, inc := range b.Incidents {
		if inc.Wake.IsZero() {
			l.due = slices.DeleteFunc(l.due,
				func(f router.FlowID) bool { return f == router.FlowID{WABA: inc.WABA, Flow: inc.Flow} })
		}
	}
	return nil
}

// refusing returns a ledger with n events of as many flows, which refuses whatever folds one of some.
func refusing(n int, cause error, poison ...int64) *ledger {
	l := &ledger{failed: map[int64]string{}, states: map[router.FlowID]router.State{}}
	for i := range n {
		e := up(i, 10)
		e.Seq, e.Flow = int64(i+1), fmt.Sprint("f", i+1)
		l.events = append(l.events, e)
	}
	l.refuse = func(b *router.Batch) error {
		if slices.ContainsFunc(b.Outcomes,
			func(o router.Outcome) bool { return !o.Failed && slices.Contains(poison, o.Seq) }) {
			return cause
		}
		return nil
	}
	return l
}

// over returns a Router over a ledger and what it counts of broken events.
func over(t *testing.T, l *ledger, rules router.Rules) (*router.Router, func() float64) {
	t.Helper()
	metrics := prometheus.NewRegistry()
	r, err := router.New(router.Config{Rules: func() router.Rules { return rules },
		Now: func() time.Time { return morning }, Batch: 16, Registerer: metrics}, l)
	if err != nil {
		t.Fatal(err)
	}
	return r, func() float64 {
		n, err := testutil.GatherAndCount(metrics, "flowbridge_events_broken_total")
		if err != nil || n != 1 {
			t.Fatalf("%d counters, %v", n, err)
		}
		families, _ := metrics.Gather()
		for _, f := range families {
			if f.GetName() == "flowbridge_events_broken_total" {
				return f.GetMetric()[0].GetCounter().GetValue()
			}
		}
		return 0
	}
}

// foldAll folds until nothing waits, or a number of tries is over.
func foldAll(t *testing.T, r *router.Router, l *ledger, tries int) {
	t.Helper()
	for ; tries > 0 && len(l.events) > 0; tries-- {
		_, _ = r.Fold(t.Context())
	}
}

var errOdd = errors.New("something odd")

func TestABatchGrowsBackToItsBoundAndNoFurther(t *testing.T) {
	l := refusing(100, router.ErrValues, 7)
	r, _ := over(t, l, &history{decide: chatAndPage})
	foldAll(t, r, l, 100)
	want := []int{16, 8, 4, 8, 4, 2, 4, 2, 1, 1, 1, 1, 2, 4, 8, 16, 16, 16, 16, 16}
	if diff := cmp.Diff(want, l.tried); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
}

func TestAnEventThatFailsAloneIsSetAsideAndTheRestGoesOn(t *testing.T) {
	for name, cause := range map[string]error{
		"by values that cannot be stored": fmt.Errorf("%w: a number", router.ErrValues),
		"by taking too long":              context.DeadlineExceeded,
		"by something odd":                errOdd,
	} {
		t.Run(name, func(t *testing.T) {
			l := refusing(40, cause, 7, 29)
			r, broken := over(t, l, fallingBack{&history{decide: chatAndPage}})
			foldAll(t, r, l, 100)
			if len(l.events) > 0 || len(l.failed) != 2 || !strings.HasPrefix(l.failed[7], "set aside: ") || l.failed[29] == "" {
				t.Fatalf("%d events wait, set aside: %v", len(l.events), l.failed)
			}
			if n := broken(); n != 2 {
				t.Errorf("%v are counted", n)
			}
			first := slices.DeleteFunc(slices.Clone(l.folded), func(seq int64) bool { return seq > 40 })
			slices.Sort(first)
			if len(slices.Compact(first)) != 38 || len(first) != 38 {
				t.Errorf("folded: %v", l.folded)
			}
			var told []string
			for _, b := range l.batches {
				for _, n := range b.Notices {
					about, _, _ := strings.Cut(n.Message, ")")
					told = append(told, n.Name+" "+about)
				}
			}
			slices.Sort(told)
			want := []string{router.EventSetAside + " Event 29 (ENDPOINT_ERROR_RATE of flow f29", router.EventSetAside +
				" Event 7 (ENDPOINT_ERROR_RATE of flow f7"}
			if diff := cmp.Diff(want, told); diff != "" {
				t.Errorf("the fallback was told (-want +got):\n%s", diff)
			}
			l.refuse = nil
			for range 5 { // a batch that passes makes the next one larger
				l.events = refusing(16, nil).events
				foldAll(t, r, l, 10)
			}
			if l.tried[len(l.tried)-1] != 16 {
				t.Errorf("batches stay small: %v", l.tried)
			}
		})
	}
}

func TestAnOutageSetsNothingAside(t *testing.T) {
	everything := []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for _, tt := range []struct {
		name   string
		cause  error
		unwell error
		poison []int64
		halved bool
	}{
		{"storage says that it is away", fmt.Errorf("%w: connection refused", router.ErrUnavailable), nil, []int64{3}, false},
		{"another process folds", router.ErrConflict, nil, []int64{3}, false},
		{"it is closed", router.ErrClosed, nil, []int64{3}, false},
		{"nothing can be written", errOdd, errOdd, everything, true},
		{"only a little can be written", errOdd, nil, everything, true},
		{"all takes too long", context.DeadlineExceeded, nil, everything, true},
		{"values are refused, and nothing can be written", router.ErrValues, errOdd, everything, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := refusing(10, tt.cause, tt.poison...)
			l.unwell = tt.unwell
			r, broken := over(t, l, &history{decide: chatAndPage})
			foldAll(t, r, l, 200)
			if len(l.events) != 10 || len(l.failed) > 0 || broken() != 0 {
				t.Fatalf("%d events wait, set aside: %v", len(l.events), l.failed)
			}
			if halved := slices.Min(l.tried) == 1; halved != tt.halved {
				t.Errorf("batches: %v", l.tried)
			}
			l.refuse, l.unwell = nil, nil // and after it all is as it was
			foldAll(t, r, l, 10)
			if diff := cmp.Diff(everything, l.folded); diff != "" {
				t.Errorf("folded (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnEventThatFailsWithNothingBesideItIsTriedForLonger(t *testing.T) {
	l := refusing(1, errOdd, 1)
	r, _ := over(t, l, &history{decide: chatAndPage})
	foldAll(t, r, l, 20)
	if len(l.failed) > 0 {
		t.Fatalf("set aside after %d tries", len(l.tried))
	}
	foldAll(t, r, l, 100)
	if len(l.failed) != 1 {
		t.Errorf("set aside: %v", l.failed)
	}
}

func TestWhatTellsOfAnEventSetAsideTellsOfItselfToNobody(t *testing.T) {
	l := refusing(1, router.ErrValues, 1)
	only := l.refuse
	l.refuse = func(b *router.Batch) error {
		if len(b.Notices) > 0 {
			return router.ErrValues
		}
		return only(b)
	}
	r, _ := over(t, l, fallingBack{&history{decide: chatAndPage}})
	foldAll(t, r, l, 100)
	if len(l.events) > 0 || len(l.failed) != 2 {
		t.Errorf("%d events wait, set aside: %v", len(l.events), l.failed)
	}
}

func TestAFaultOfOursSetsAnEventAside(t *testing.T) {
	l := refusing(3, nil)
	l.events[1].Unreadable = "what is stored of it cannot be read"
	r, broken := over(t, l, &history{decide: func(e *router.Event) router.Decision {
		if e.Flow == "f1" {
			panic("no such rule")
		}
		return chatAndPage(e)
	}})
	if n, err := r.Fold(t.Context()); n != 3 || err != nil {
		t.Fatalf("folded %d, %v", n, err)
	}
	want := map[int64]string{1: "set aside: fault in flowbridge: no such rule",
		2: "set aside: what is stored of it cannot be read"}
	if diff := cmp.Diff(want, l.failed); diff != "" || broken() != 2 || len(l.events) != 2 {
		t.Errorf("%v are counted, %d events are new, set aside (-want +got):\n%s", broken(), len(l.events), diff)
	}
}

func TestTimersOfAFlowThatFailAloneArePutOff(t *testing.T) {
	l := refusing(0, nil)
	for i := range 10 {
		flow := router.FlowID{WABA: "w", Flow: fmt.Sprint("f", i)}
		l.due = append(l.due, flow)
		l.states[flow] = router.State{FlowID: flow,
			Incidents: []router.Incident{{Number: int64(i + 1), WABA: flow.WABA, Flow: flow.Flow,
				State: router.IncidentOpen, Wake: morning}}}
	}
	l.refuse = func(b *router.Batch) error {
		if slices.ContainsFunc(b.Incidents, func(inc router.Incident) bool { return inc.Flow == "f4" }) {
			return errOdd
		}
		return nil
	}
	r, broken := over(t, l, &history{decide: chatAndPage})
	for range 50 {
		_, _, _ = r.Tick(t.Context())
	}
	if diff := cmp.Diff([]router.FlowID{{WABA: "w", Flow: "f4"}}, l.put); diff != "" || len(l.due) > 0 || broken() != 1 {
		t.Errorf("%d flows are due, %v are counted, put off (-want +got):\n%s", len(l.due), broken(), diff)
	}
	if len(l.events) != 1 || l.events[0].Name != router.EventSetAside {
		t.Errorf("told: %+v", l.events)
	}
}

// fallingBack are rules that tell chat of trouble of the bridge's own.
type fallingBack struct{ *history }

func (f fallingBack) Decide(e *router.Event) router.Decision {
	if e.ForFallback() {
		return router.Decision{Notify: []router.Route{{Target: chat}}, Severity: router.Error}
	}
	return f.history.Decide(e)
}

func TestWhatABatchOwesIsKeptOncePerDelivery(t *testing.T) {
	const many = 200
	everybody := func(e *router.Event) router.Decision {
		d := chatAndPage(e)
		d.Notify = nil
		if e.AlertState == router.Deactivated {
			return d
		}
		for i := range many {
			d.Notify = append(d.Notify, router.Route{Target: router.Target{Notifier: fmt.Sprintf("n%03d", i),
				Kind: router.KindSlack, Address: fmt.Sprintf("#c%d", i)}})
		}
		return d
	}
	l := refusing(many, nil)
	for i := range l.events {
		l.events[i].Flow = "f"
	}
	last := pair(many, l.events[0].Name, router.Deactivated, 10)
	last.Seq, last.Flow = many+1, "f"
	l.events = append(l.events, last)
	r, err := router.New(router.Config{Rules: func() router.Rules { return &history{decide: everybody} }, Batch: many + 1,
		Now: func() time.Time { return morning.Add(24 * time.Hour) }}, l)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.Fold(t.Context()); n != many+1 || err != nil {
		t.Fatalf("folded %d, %v", n, err)
	}
	owed := l.batches[0].Owed
	if len(owed) != many {
		t.Fatalf("%d rows are owed", len(owed))
	}
	for i, o := range owed { // the newest state, with the place that the first of them knew
		if o.Open || o.Target.Kind != router.KindSlack || o.Target.Notifier != fmt.Sprintf("n%03d", i) {
			t.Fatalf("got %+v", o)
		}
	}
}

func TestABatchEndsWhereItOwesTooMuch(t *testing.T) {
	l := refusing(0, nil)
	for i := range 100 {
		l.events = append(l.events, router.Event{Seq: int64(i + 1), Source: router.SourceMeta, Name: "NEWS", At: morning,
			Received: morning})
	}
	l.refuse = func(b *router.Batch) error {
		if len(b.Owed) > 5000 {
			t.Errorf("%d rows are owed by one batch", len(b.Owed))
		}
		return nil
	}
	r, err := router.New(router.Config{Rules: func() router.Rules {
		return &history{decide: func(e *router.Event) (d router.Decision) {
			for i := range 200 {
				d.Notify = append(d.Notify,
					router.Route{Target: router.Target{Notifier: fmt.Sprintf("n%03d", i), Kind: router.KindSlack}})
			}
			return d
		}}
	}}, l)
	if err != nil {
		t.Fatal(err)
	}
	foldAll(t, r, l, 100)
	if len(l.folded) != 100 {
		t.Errorf("folded %d", len(l.folded))
	}
}

// TestTheLogIsNotFilledByTriesThatFail holds that a database which takes every second batch leaves a line in ten
// seconds.
func TestTheLogIsNotFilledByTriesThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, tries := refusing(1000, nil), 0
		l.refuse = func(*router.Batch) error {
			if tries++; tries%2 == 0 {
				return fmt.Errorf("too many connections: %w", router.ErrUnavailable)
			}
			return nil
		}
		var log bytes.Buffer
		r, err := router.New(router.Config{Rules: func() router.Rules { return &history{decide: chatAndPage} }, Batch: 1,
			Logger: slog.New(slog.NewJSONHandler(&log, nil))}, l)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 25*time.Second)
		defer stop()
		if err := r.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(log.String(), "\n"); tries < 400 || lines != 3 {
			t.Errorf("%d lines about %d tries, want 3\n%s", lines, tries, &log)
		}
		if !strings.Contains(log.String(), `"in":"100ms"`) {
			t.Errorf("it does not say when it tries again in words: %s", &log)
		}
	})
}
