package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"flowbridge/router"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is a Notifier that answers by a script and remembers when it was called, and with what.
type service struct {
	answer func(ctx context.Context, n router.Notification) (router.Receipt, error)

	mu    sync.Mutex
	calls []router.Notification
	at    []time.Time
}

func (s *service) Sync(ctx context.Context, n router.Notification) (router.Receipt, error) {
	s.mu.Lock()
	s.calls = append(s.calls, n)
	s.at = append(s.at, time.Now())
	s.mu.Unlock()
	return s.answer(ctx, n)
}

// offsets returns when the calls came, counted from the first.
func (s *service) offsets() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]time.Duration, len(s.at))
	for i, at := range s.at {
		out[i] = at.Sub(s.at[0])
	}
	return out
}

func (s *service) called() []router.Notification {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

var posted = router.Receipt{Own: made("ts", "17.1"), Open: true}

func works(context.Context, router.Notification) (router.Receipt, error) { return posted, nil }

// failing answers with each error once, nil for success, and works from then on.
func failing(errs ...error) *service {
	i := 0
	return &service{answer: func(context.Context, router.Notification) (router.Receipt, error) {
		i++
		if i <= len(errs) && errs[i-1] != nil {
			return router.Receipt{}, errs[i-1]
		}
		return posted, nil
	}}
}

func hangs(ctx context.Context, _ router.Notification) (router.Receipt, error) {
	<-ctx.Done()
	return posted, ctx.Err() // it may have been posted
}

type refused string

func (e refused) Error() string { return string(e) }
func (refused) Permanent() bool { return true }

type gone struct{ refused }

func (gone) TargetGone() bool { return true }

type later struct{ at time.Time }

func (later) Error() string          { return "429 Too Many Requests" }
func (e later) NotBefore() time.Time { return e.at }

// toSlack and toPagerDuty are deliveries of incident INC-7 to a notifier.
func toSlack(id int64, notifier string) router.Notification {
	return router.Notification{
		Delivery: id, Target: router.Target{Notifier: notifier, Kind: router.KindSlack, Address: "#" + notifier},
		Incident: &router.Incident{Number: 7, WABA: "w1", Flow: "f1", Event: router.EndpointErrorRate},
	}
}

func toPagerDuty(id int64, notifier string) router.Notification {
	n := toSlack(id, notifier)
	n.Target = router.Target{Notifier: notifier, Kind: router.KindPagerDuty,
		Credential: "R0UT1NGKEY0000000000000000000000"}
	return n
}

// run starts a Deliverer in a synctest bubble; stop ends it and waits for it.
func run(t *testing.T, cfg Config, q Queue) (stop func()) {
	t.Helper()
	if cfg.Rand == nil {
		cfg.Rand = func() float64 { return 0.5 } // no stray
	}
	d, err := New(cfg, q)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func slack(s *service) map[router.Kind]Notifier { return map[router.Kind]Notifier{router.KindSlack: s} }

func TestWhatIsOwedIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{answer: works}
		q := newQueue(toSlack(1, "chat"), toSlack(2, "chat"), toSlack(3, "ops"))
		stop := run(t, Config{Notifiers: slack(s), Link: func(i *router.Incident) string {
			return "https://bridge/" +
				i.Name()
		}}, q)
		synctest.Wait()
		q.owe(toSlack(4, "chat")) // the pulse wakes it, no time passes
		synctest.Wait()
		stop()
		want := map[int64]router.DeliveryState{1: "delivered", 2: "delivered", 3: "delivered", 4: "delivered"}
		if diff := cmp.Diff(want, q.states()); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
		for _, r := range q.finished() {
			if r.Receipt != posted || r.Error != "" || r.Revision != 1 {
				t.Errorf("result %+v: want the receipt, no error, the revision that was told", r)
			}
		}
		if got := s.called()[0].Link; got != "https://bridge/INC-7" {
			t.Errorf("link %q", got)
		}
		if n := len(s.called()); n != 4 {
			t.Errorf("the service was told %d times, want 4", n)
		}
	})
}

func TestNothingToTellIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{answer: func(context.Context, router.Notification) (router.Receipt, error) {
			return router.Receipt{},
				nil
		}}
		q := newQueue(toSlack(1, "chat"))
		stop := run(t, Config{Notifiers: slack(s)}, q)
		synctest.Wait()
		stop()
		if got := q.states()[1]; got != router.DeliveryCancelled {
			t.Errorf("state %q, want cancelled", got)
		}
	})
}

func TestAHangingNotifierDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, fast := &service{answer: hangs}, &service{answer: works}
		q := newQueue(toSlack(1, "chat"), toPagerDuty(2, "oncall"))
		stop := run(t, Config{Notifiers: map[router.Kind]Notifier{router.KindSlack: slow, router.KindPagerDuty: fast}}, q)
		synctest.Wait()
		q.owe(toPagerDuty(3, "oncall"))
		synctest.Wait() // no time has passed, and Slack still hangs
		want := map[int64]router.DeliveryState{1: "waiting", 2: "delivered", 3: "delivered"}
		if diff := cmp.Diff(want, q.states()); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		r := q.finished()[2]
		if r.Delivery != 1 || r.State != router.DeliveryWaiting || r.Interrupted || r.Receipt != posted {
			t.Errorf("after the time-out: %+v; want a failed attempt that kept its receipt", r)
		}
		stop()
	})
}

func TestANewerRevisionIsToldAfterTheOneInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &service{answer: func(context.Context, router.Notification) (router.Receipt, error) {
			<-release
			return posted,
				nil
		}}
		q := newQueue(toSlack(1, "chat"))
		stop := run(t, Config{Notifiers: slack(s)}, q)
		synctest.Wait()
		q.owe(toSlack(1, "chat"))
		synctest.Wait()
		if n := len(s.called()); n != 1 {
			t.Fatalf("%d calls at a time for one delivery", n)
		}
		close(release)
		synctest.Wait()
		stop()
		var got []int64
		for _, n := range s.called() {
			got = append(got, n.Revision)
		}
		if diff := cmp.Diff([]int64{1, 2}, got); diff != "" {
			t.Errorf("revisions told (-want +got):\n%s", diff)
		}
	})
}

func TestStopping(t *testing.T) {
	t.Run("lets a Sync in flight end within the grace", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &service{answer: func(ctx context.Context, _ router.Notification) (router.Receipt, error) {
				select {
				case <-time.After(4 * time.Second):
					return posted, nil
				case <-ctx.Done():
					return router.Receipt{}, ctx.Err()
				}
			}}
			q := newQueue(toSlack(1, "chat"), toSlack(2, "chat"))
			stop := run(t, Config{Notifiers: slack(s)}, q)
			synctest.Wait()
			stop()
			want := map[int64]router.DeliveryState{1: "delivered", 2: "waiting"} // nothing new is begun
			if diff := cmp.Diff(want, q.states()); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
		})
	})
	t.Run("cuts it short after the grace, which is no failed attempt", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &service{answer: hangs}
			q := newQueue(toSlack(1, "chat"))
			var logs bytes.Buffer
			stop := run(t, Config{Notifiers: slack(s), Logger: slog.New(slog.NewTextHandler(&logs, nil))}, q)
			synctest.Wait()
			started := time.Now()
			stop()
			if took := time.Since(started); took != 5*time.Second {
				t.Errorf("stopped after %s, want the grace of 5 s", took)
			}
			want := []router.Result{{
				Delivery: 1, Revision: 1, Claim: "1/1", State: router.DeliveryWaiting, Receipt: posted, Interrupted: true,
				Error: "cut short because flowbridge stopped", NextAt: time.Now(),
			}}
			if diff := cmp.Diff(want, q.finished()); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
			if strings.Contains(logs.String(), "level=WARN") || strings.Contains(logs.String(), "level=ERROR") {
				t.Errorf("a clean stop alarms people:\n%s", &logs)
			}
		})
	})
	t.Run("takes no time when nothing is in flight", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			stop := run(t, Config{}, newQueue())
			synctest.Wait()
			started := time.Now()
			stop()
			if took := time.Since(started); took != 0 {
				t.Errorf("stopped after %s", took)
			}
		})
	})
}

func TestAPanicIsARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var once sync.Once
		s := &service{answer: func(_ context.Context, n router.Notification) (router.Receipt, error) {
			if n.Delivery == 1 {
				once.Do(func() { panic("nil map") })
			}
			return posted, nil
		}}
		q := newQueue(toSlack(1, "chat"), toSlack(2, "chat"))
		var logs bytes.Buffer
		stop := run(t, Config{Notifiers: slack(s), Logger: slog.New(slog.NewTextHandler(&logs, nil))}, q)
		synctest.Wait()
		want := map[int64]router.DeliveryState{1: "waiting", 2: "delivered"}
		if diff := cmp.Diff(want, q.states()); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
		if got := q.finished()[0]; got.Error != "fault in flowbridge: nil map" || !got.Receipt.Unsure {
			t.Errorf("result %+v: it may have told somebody before it panicked", got)
		}
		time.Sleep(2 * time.Second)
		stop()
		if got := q.states()[1]; got != router.DeliveryDelivered {
			t.Errorf("state %q after the retry, want delivered", got)
		}
		if !strings.Contains(logs.String(), "delivery_test.go") {
			t.Errorf("the log does not say where it panicked:\n%s", &logs)
		}
	})
}

func TestRetarget(t *testing.T) {
	old := toSlack(1, "chat").Target
	corrected := router.Target{Notifier: "chat", Kind: router.KindSlack, Address: "#payments-alerts"}
	made, maybe, digest := toSlack(1, "chat"), toSlack(1, "chat"), toSlack(1, "chat")
	made.Receipt = posted
	maybe.MayExist = true
	digest.Digest, digest.Incident = &router.Digest{Parts: []router.Summary{{Incident: *digest.Incident}}}, nil
	for _, tt := range []struct {
		name  string
		n     router.Notification
		rules map[string]router.Target
		want  router.Target
	}{
		{"a corrected channel serves what made nothing yet", toSlack(1, "chat"), map[string]router.Target{"chat": corrected},
			corrected},
		{"what was made stays where it is", made, map[string]router.Target{"chat": corrected}, old},
		{"what may have been made stays too", maybe, map[string]router.Target{"chat": corrected}, old},
		{"a digest goes where what it tells of was to go", digest, map[string]router.Target{"chat": corrected}, old},
		{"a notifier that the rules file dropped keeps its target", toSlack(1, "chat"), nil, old},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := failing()
				q := newQueue(tt.n)
				target := func(name string) (router.Target, bool) { t, ok := tt.rules[name]; return t, ok }
				stop := run(t, Config{Notifiers: slack(s), Target: target}, q)
				synctest.Wait()
				stop()
				if diff := cmp.Diff(tt.want, s.called()[0].Target); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.want, q.items[0].n.Target); diff != "" {
					t.Errorf("pinned (-want +got):\n%s", diff)
				}
			})
		})
	}
	t.Run("a target that cannot be pinned is not told", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := failing()
			q := newQueue(toSlack(1, "chat"))
			q.retargetFault = errors.New("disk full")
			stop := run(t, Config{Notifiers: slack(s), Target: func(string) (router.Target, bool) { return corrected, true }}, q)
			synctest.Wait()
			if len(s.called()) != 0 {
				t.Error("it was told")
			}
			q.set(func(q *memQueue) { q.retargetFault = nil })
			time.Sleep(2 * time.Second)
			stop()
			if got := q.states()[1]; got != router.DeliveryDelivered {
				t.Errorf("state %q once storage works, want delivered", got)
			}
		})
	})
}

// TestATargetThatIsGone is about what was made at a target that the service has no more.
func TestATargetThatIsGone(t *testing.T) {
	old := toSlack(1, "chat").Target
	other := router.Target{Notifier: "chat", Kind: router.KindSlack, Address: "#payments-alerts"}
	another := toPagerDuty(1, "chat").Target
	for _, tt := range []struct {
		name  string
		rules router.Target // "" for a notifier that they name no more
		ended bool
		err   error
		told  []router.Target
		state router.DeliveryState
	}{
		{"what is open is told where the rules say now", other, false, gone{"is_archived"}, []router.Target{old, other},
			router.DeliveryDelivered},
		{"what is over ended with it", other, true, gone{"is_archived"}, []router.Target{old}, router.DeliveryDelivered},
		{"the rules name no other", old, false, gone{"is_archived"}, []router.Target{old}, router.DeliveryParked},
		{"the rules do not name it any more", router.Target{}, false, gone{"is_archived"}, []router.Target{old},
			router.DeliveryParked},
		{"the rules name something of another kind", another, false, gone{"is_archived"}, []router.Target{old},
			router.DeliveryParked},
		{"the target is there, and refuses", other, false, refused("restricted_action"), []router.Target{old},
			router.DeliveryParked},
		{"the rules were only edited", other, false, nil, []router.Target{old}, router.DeliveryDelivered},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := toSlack(1, "chat")
				n.Receipt, n.MayExist, n.Open = posted, true, !tt.ended
				s := &service{answer: func(_ context.Context, n router.Notification) (router.Receipt, error) {
					if n.Target == old {
						return n.Receipt, tt.err
					}
					return router.Receipt{Own: made("ts", "18.1"), Open: true}, nil
				}}
				q := newQueue(n)
				stop := run(t, Config{Notifiers: slack(s), Target: func(string) (router.Target, bool) {
					return tt.rules, tt.rules != (router.Target{})
				}}, q)
				synctest.Wait()
				stop()
				var told []router.Target
				for i, n := range s.called() {
					told = append(told, n.Target)
					if i > 0 && (n.Receipt != router.Receipt{} || n.MayExist) {
						t.Errorf("the other is told with the receipt %+v of the first", n.Receipt)
					}
				}
				if diff := cmp.Diff(tt.told, told); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
				it := q.items[0]
				if it.n.Target != tt.told[len(tt.told)-1] || it.state != tt.state || tt.ended && it.n.Receipt.Open {
					t.Errorf("pinned %+v, %s, receipt %+v", it.n.Target, it.state, it.n.Receipt)
				}
			})
		})
	}
}

func TestLogsAndMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := failing(refused("invalid_auth"), errors.New("503"), nil)
		q := newQueue(toPagerDuty(1, "oncall"), toPagerDuty(2, "oncall"))
		metrics := prometheus.NewRegistry()
		var logs bytes.Buffer
		stop := run(t, Config{
			Notifiers:  map[router.Kind]Notifier{router.KindPagerDuty: s},
			Registerer: metrics,
			Logger:     slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		}, q)
		time.Sleep(time.Minute)
		stop()
		want := `
# HELP flowbridge_deliveries_total Attempts at a delivery, by how they ended: delivered, cancelled (nothing to tell), retried, parked, refused_again (it was parked before), interrupted.
# TYPE flowbridge_deliveries_total counter
flowbridge_deliveries_total{kind="pagerduty",notifier="oncall",result="delivered"} 1
flowbridge_deliveries_total{kind="pagerduty",notifier="oncall",result="parked"} 1
flowbridge_deliveries_total{kind="pagerduty",notifier="oncall",result="retried"} 1
`
		if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "flowbridge_deliveries_total"); err != nil {
			t.Error(err)
		}
		if n, err := testutil.GatherAndCount(metrics, "flowbridge_delivery_sync_seconds"); n != 1 || err != nil {
			t.Errorf("%d histograms, %v", n, err)
		}
		for _, line := range []string{
			`level=ERROR msg="a delivery is parked and needs a person" delivery=1 notifier=oncall attempt=1 incident=INC-7 error=invalid_auth`,
			`level=WARN msg="a delivery is tried again" delivery=2 notifier=oncall attempt=1 incident=INC-7 error=503 at=`,
			`level=INFO msg="a delivery is delivered" delivery=2 notifier=oncall attempt=2 incident=INC-7 revision=1`,
		} {
			if strings.Count(logs.String(), line) != 1 {
				t.Errorf("the log lacks, or repeats, %q:\n%s", line, &logs)
			}
		}
		if strings.Contains(logs.String(), toPagerDuty(1, "").Target.Credential.Reveal()) {
			t.Error("the log shows a routing key")
		}
	})
}

func TestNew(t *testing.T) {
	if _, err := New(Config{}, nil); err == nil {
		t.Error("no queue: want an error")
	}
	taken := prometheus.NewRegistry()
	if _, err := New(Config{Registerer: taken}, newQueue()); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Registerer: taken}, newQueue()); err == nil {
		t.Error("metrics that are registered already: want an error")
	}
}

// made is a receipt's own half with one member.
func made(name, value string) router.Own { return router.Own(fmt.Sprintf("{%q:%q}", name, value)) }
