package delivery

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"flowbridge/router"
)

func TestRetriesBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("500 Internal Server Error")
		s := failing(boom, boom, boom, boom, boom, boom, boom, boom, boom, boom, boom)
		q := newQueue(toSlack(1, "chat"))
		stop := run(t, Config{Notifiers: slack(s)}, q)
		time.Sleep(time.Hour)
		stop()
		var want []time.Duration
		at := time.Duration(0)
		for _, wait := range []time.Duration{0, 1, 2, 4, 8, 16, 32, 50, 50, 50, 50, 50} {
			at += wait * time.Second
			want = append(want, at)
		}
		if diff := cmp.Diff(want, s.offsets()); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
		if got := q.states()[1]; got != router.DeliveryDelivered {
			t.Errorf("state %q, want delivered", got)
		}
	})
}

func TestAServiceSaysWhenToComeBack(t *testing.T) {
	boom := errors.New("500 Internal Server Error")
	for _, tt := range []struct {
		name  string
		after time.Duration // of the 429; a plain failure follows
		want  []time.Duration
	}{
		{"and is obeyed, without lengthening the back-off", 90 * time.Second,
			[]time.Duration{0, 90 * time.Second, 91 * time.Second}},
		{"at most five minutes away, where it says hours", 2 * time.Hour,
			[]time.Duration{0, 5 * time.Minute, 5*time.Minute + time.Second}},
		{"or days", 48 * time.Hour, []time.Duration{0, 5 * time.Minute, 5*time.Minute + time.Second}},
		{"or a lifetime", (1<<31 - 1) * time.Second, []time.Duration{0, 5 * time.Minute, 5*time.Minute + time.Second}},
		{"a time that has passed is no reason to hurry", -time.Minute, []time.Duration{0, time.Second, 2 * time.Second}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := failing(later{time.Now().Add(tt.after)}, boom)
				q := newQueue(toSlack(1, "chat"))
				stop := run(t, Config{Notifiers: slack(s)}, q)
				time.Sleep(3 * time.Hour)
				stop()
				if diff := cmp.Diff(tt.want, s.offsets()); diff != "" {
					t.Errorf("attempts (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestARefusalParks(t *testing.T) {
	notice := func(name string) router.Notification {
		n := toSlack(1, "chat")
		n.Incident, n.Notice = nil, &router.Notice{Event: 12, Name: name, WABA: "w1", Flow: "f1"}
		return n
	}
	pagerduty := toPagerDuty(1, "oncall")
	pagerduty.Receipt = router.Receipt{Own: made("dedup_key", "k")} // something is open there
	for _, tt := range []struct {
		name string
		n    router.Notification
		err  error // nil: no notifier is configured
		want string
		act  *router.Act // nil: the journal is told nothing
	}{
		{"and tells the journal", toSlack(1, "chat"), refused("Slack refused: channel_not_found"),
			"Slack refused: channel_not_found", &router.Act{Incident: 7, Notifier: "chat",
				Error: "Slack refused: channel_not_found"}},
		{"a notice as well", notice(router.FlowVersionExpiryWarning), refused("no"), "no",
			&router.Act{Notifier: "chat", Error: "no"}},
		{"but not the notice about a parked delivery", notice(router.ParkedDelivery), refused("no"), "no", nil},
		{"without Slack's token, saying which variable to set", toSlack(1, "chat"), nil,
			"flowbridge runs without Slack: give it what that needs, start it again, and retry this delivery",
			&router.Act{Incident: 7, Notifier: "chat",
				Error: "flowbridge runs without Slack: give it what that needs, start it again, and retry this delivery"}},
		{"keeping what was made before", pagerduty, refused("routing_key is\n not valid"), "routing_key is not valid",
			&router.Act{Incident: 7, Notifier: "oncall", Error: "routing_key is not valid"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := failing(tt.err)
				cfg := Config{}
				if tt.err != nil {
					cfg.Notifiers = map[router.Kind]Notifier{tt.n.Target.Kind: s}
				}
				q := newQueue(tt.n)
				stop := run(t, cfg, q)
				time.Sleep(time.Hour)
				stop()
				r := q.finished()
				if len(r) != 1 || r[0].State != router.DeliveryParked || r[0].Error != tt.want || r[0].Receipt != tt.n.Receipt {
					t.Fatalf("results %+v; want one, parked with %q", r, tt.want)
				}
				if tt.act == nil {
					if r[0].Event != nil {
						t.Errorf("the journal was told %+v", r[0].Event)
					}
					return
				}
				e := r[0].Event
				at := time.Now().Add(-time.Hour)
				act := *tt.act
				if act.Delivery = tt.n.Delivery; act.Incident != 0 {
					act.About = "flow f1: Endpoint error rate"
				}
				want := &router.Event{Source: router.SourceFlowbridge, Name: router.ParkedDelivery, WABA: "w1", Flow: "f1",
					At: at, Received: at, Act: &act, Digest: e.Digest}
				if diff := cmp.Diff(want, e); diff != "" || e.Digest == "" {
					t.Errorf("event (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestWhatIsParkedIsTriedAgainNowAndThen(t *testing.T) {
	d, err := New(Config{Rand: func() float64 { return 0.5 }}, newQueue())
	if err != nil {
		t.Fatal(err)
	}
	now := d.cfg.Now()
	day := 24 * time.Hour
	open := func(refusals int) router.Notification {
		n := toSlack(1, "chat")
		n.Refusals, n.FailingSince = refusals, now.Add(-100*day)
		return n
	}
	resolved := func(failing, ended time.Duration) router.Notification {
		n := toSlack(1, "chat")
		n.FailingSince = now.Add(-failing)
		n.Incident.State, n.Incident.ResolvedAt = router.IncidentResolved, now.Add(-ended)
		return n
	}
	notice := func(failing time.Duration) router.Notification {
		n := toSlack(1, "chat")
		n.Incident, n.Notice = nil, &router.Notice{Event: 12, Name: router.ParkedDelivery}
		if failing > 0 {
			n.FailingSince = now.Add(-failing)
		}
		return n
	}
	digest := toSlack(1, "chat")
	digest.Digest, digest.Incident = &router.Digest{Parts: []router.Summary{{Incident: *digest.Incident}}}, nil
	for _, tt := range []struct {
		name string
		n    router.Notification
		want time.Duration // 0: never
	}{
		{"the first time after ten minutes", open(0), 10 * time.Minute},
		{"then after twice as long", open(1), 20 * time.Minute},
		{"and twice as long", open(4), 160 * time.Minute},
		{"but never more than six hours, while the incident is open", open(5), 5 * time.Hour},
		{"however often", open(1000), 5 * time.Hour},
		{"an end that was refused", resolved(time.Hour, time.Hour), 10 * time.Minute},
		{"an end of today, after a page that was refused for weeks", resolved(30*day, time.Hour), 10 * time.Minute},
		{"an end for a week", resolved(8*day, 8*day), 0},
		{"a notice", notice(0), 10 * time.Minute},
		{"a notice of six days ago", notice(6 * day), 10 * time.Minute},
		{"a notice for a week", notice(8 * day), 0},
		{"a digest", digest, 10 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := d.result(&tt.n, router.Receipt{}, refused("no"), nil)
			got := r.NextAt.Sub(now)
			if r.NextAt.IsZero() {
				got = 0
			}
			if got = got.Round(time.Minute); r.State != router.DeliveryParked || got != tt.want {
				t.Errorf("%s, tried again in %s, want %s", r.State, got, tt.want)
			}
		})
	}
}

// TestWhatFailedRestsItsLane holds how long a lane rests after a failure that makes it one of too many: as long as a
// first retry, and longer with each that follows.
func TestWhatFailedRestsItsLane(t *testing.T) {
	d, err := New(Config{Rand: func() float64 { return 0.5 }}, newQueue())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	d.cfg.Now = func() time.Time { return now }
	for _, tt := range []struct {
		name     string
		failures int // of other deliveries before it
		err, cut error
		want     time.Duration // 0: it says nothing of the service
	}{
		{"the one too many", router.LaneDown - 1, errors.New("503"), nil, time.Second},
		{"the next", router.LaneDown, errors.New("503"), nil, 2 * time.Second},
		{"a refusal that is one too many", router.LaneDown - 1, refused("no"), nil, time.Second},
		{"a refusal after it", router.LaneDown + 1, refused("no"), nil, 4 * time.Second},
		{"a service that is busy", router.LaneDown, later{now.Add(time.Minute)}, nil, 0},
		{"a stop of ours", router.LaneDown, errors.New("cut"), errStopping, 0},
		{"a success", router.LaneDown, nil, nil, 0},
	} {
		n := toSlack(1, "chat")
		n.Failures, n.Attempt = tt.failures, 1
		got := time.Duration(0)
		if r := d.result(&n, posted, tt.err, tt.cut); !r.Rest.IsZero() {
			got = r.Rest.Sub(now)
		}
		if got != tt.want {
			t.Errorf("%s: it rests for %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestARefusalOfAProbeIsNoNewAlarmInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := toPagerDuty(1, "oncall")
		n.Parked, n.Refusals = true, 3
		metrics := prometheus.NewRegistry()
		var logs bytes.Buffer
		stop := run(t, Config{Notifiers: map[router.Kind]Notifier{router.KindPagerDuty: failing(refused("bad key"))},
			Registerer: metrics,
			Logger:     slog.New(slog.NewTextHandler(&logs, nil))}, newQueue(n))
		synctest.Wait()
		stop()
		if got := logs.String(); strings.Contains(got, "level=ERROR") ||
			!strings.Contains(got, `level=WARN msg="a delivery that needs a person was tried again in vain"`) {
			t.Errorf("log: %s", got)
		}
		if n, err := testutil.GatherAndCount(metrics, "flowbridge_deliveries_total"); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

func TestAnAttemptIsKeptAsItWasMadeWithoutItsCredential(t *testing.T) {
	n := toPagerDuty(1, "oncall")
	for keeps, want := range map[bool]*router.Attempt{false: nil, true: {Took: 3 * time.Second, Status: 503,
		Result: router.AttemptRetried, Error: "busy", Calls: []router.Call{{Status: 202}, {Status: 503,
			Request: "it has " + n.Target.Credential.String()}}}} {
		synctest.Test(t, func(t *testing.T) {
			s := &service{answer: func(ctx context.Context, n router.Notification) (router.Receipt, error) {
				time.Sleep(3 * time.Second)
				router.ExchangeOf(ctx).Add(router.Call{Status: 202})
				router.ExchangeOf(ctx).Add(router.Call{Status: 503, Request: "it has " + n.Target.Credential.Reveal()})
				return router.Receipt{}, errors.New("busy")
			}}
			q := newQueue(n)
			began := time.Now()
			stop := run(t, Config{Notifiers: map[router.Kind]Notifier{n.Target.Kind: s}, KeepsAttempts: keeps}, q)
			time.Sleep(3500 * time.Millisecond)
			stop()
			if want != nil {
				want.At, want.Revision = began, q.finished()[0].Revision
			}
			if diff := cmp.Diff(want, q.finished()[0].Attempt); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatMayExistIsRememberedWhereNobodySpeaksToTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := toSlack(1, "chat")
		n.MayExist, n.Attempt = true, 1 // that attempt died
		q := newQueue(n)
		stop := run(t, Config{}, q)
		synctest.Wait()
		stop()
		if r := q.finished(); len(r) != 1 || r[0].State != router.DeliveryParked || !r[0].Receipt.Unsure {
			t.Errorf("results %+v; want one, parked, with a receipt that is not sure", r)
		}
	})
}

func TestTheSameRefusalIsToldOnce(t *testing.T) {
	for _, tt := range []struct {
		name         string
		first, again string
		told         int
	}{
		{"the same words", "invalid_auth", "invalid_auth", 1},
		{"another request id", "refused, request 7f3a-11", "refused, request 8e0b-12", 1},
		{"another reason", "invalid_auth", "is_archived", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := failing(refused(tt.first), refused(tt.again))
				q := newQueue(toSlack(1, "chat"))
				stop := run(t, Config{Notifiers: slack(s)}, q)
				synctest.Wait()
				q.owe(toSlack(1, "chat"))
				synctest.Wait()
				stop()
				if len(q.events) != tt.told || len(s.called()) != 2 {
					t.Errorf("told %d times after %d attempts, want %d after 2", len(q.events), len(s.called()), tt.told)
				}
			})
		})
	}
	if parkedDigest(1, "no") == parkedDigest(2, "no") {
		t.Error("two deliveries share a digest")
	}
}

func TestBackoffStaysWithinItsBounds(t *testing.T) {
	for _, rand := range []float64{0, 0.25, 0.999999} {
		d, err := New(Config{Rand: func() float64 { return rand }}, newQueue())
		if err != nil {
			t.Fatal(err)
		}
		for n, about := range map[int]time.Duration{0: time.Second, 1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second,
			1000: 50 * time.Second} {
			got := d.backoff(n)
			if got < about*8/10 || got > about*12/10 || got > time.Minute {
				t.Errorf("after attempt %d with %v: %s, want about %s and at most 1 min", n, rand, got, about)
			}
		}
	}
}

func TestErrorsFitARow(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"lines become one", "first\r\n\tsecond  third", "first second third"},
		{"nothing that a terminal would act on", "a\x1b[31mb\u2028c", "a [31mb c"},
		{"broken UTF-8 is marked", "a\xffb", "a\uFFFDb"},
		{"long ones are cut", strings.Repeat("ä", 600), strings.Repeat("ä", 499) + "…"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := errorText(errors.New(tt.in)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	d, err := New(Config{}, newQueue())
	if err != nil {
		t.Fatal(err)
	}
	n := toSlack(1, "chat")
	if r := d.result(&n, router.Receipt{}, errors.New(" \n"), nil); r.Error == "" {
		t.Error("an error without words looks like success")
	}
	if r := d.result(&n, router.Receipt{}, io.EOF, nil); r.Error != "EOF" || r.Event != nil {
		t.Errorf("a plain error: %+v", r)
	}
}
