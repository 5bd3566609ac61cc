package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

// takes is a notifier that takes a time, and says when it was cut short.
func takes(d time.Duration, cut func()) *service {
	return &service{answer: func(ctx context.Context, _ router.Notification) (router.Receipt, error) {
		select {
		case <-time.After(d):
			return posted, nil
		case <-ctx.Done():
			cut()
			return router.Receipt{Unsure: true}, ctx.Err()
		}
	}}
}

func TestAClaimIsKeptWhileItsSyncRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := takes(29*time.Second, func() { t.Error("it was cut short") })
		q := newQueue(toSlack(1, "chat"))
		stop := run(t, Config{Notifiers: slack(s)}, q)
		other := &service{answer: works}
		stopOther := run(t, Config{Notifiers: slack(other)}, q)
		time.Sleep(time.Minute)
		stop()
		stopOther()
		if len(s.called())+len(other.called()) != 1 || q.states()[1] != router.DeliveryDelivered {
			t.Errorf("told %d and %d times, state %q", len(s.called()), len(other.called()), q.states()[1])
		}
	})
}

func TestASyncEndsBeforeAnotherMayBegin(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault error
		cut   time.Duration // after the start
	}{
		{"when the queue cannot be reached", errors.New("connection refused"), 10 * time.Second},
		{"when the claim is in other hands", router.ErrConflict, 5 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var cut time.Duration
				s := takes(29*time.Second, func() { cut = time.Since(began) })
				q := newQueue(toSlack(1, "chat"))
				q.extendFault, q.finishFault, q.finishFaults = tt.fault, tt.fault, -1
				var logs bytes.Buffer
				stop := run(t, Config{Notifiers: slack(s), Logger: slog.New(slog.NewTextHandler(&logs, nil))}, q)
				time.Sleep(14 * time.Second)
				stop()
				if cut != tt.cut {
					t.Errorf("cut short after %s, want %s", cut, tt.cut)
				}
				if got := strings.Count(logs.String(), "a delivery was taken over"); got != 1 &&
					errors.Is(tt.fault, router.ErrConflict) {
					t.Errorf("told of the take-over %d times:\n%s", got, &logs)
				}
				// Another process, which reaches the queue, takes it over when the lease is over.
				q.set(func(q *memQueue) { q.extendFault, q.finishFault = nil, nil })
				other := &service{answer: works}
				stop = run(t, Config{Notifiers: slack(other)}, q)
				time.Sleep(5 * time.Second)
				stop()
				if took := other.at[0].Sub(began); took != 15*time.Second || !other.called()[0].MayExist {
					t.Errorf("taken over after %s: %+v", took, other.called()[0])
				}
			})
		})
	}
}

func TestAClaimThatCannotBeKeptIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := takes(29*time.Second, func() {})
		q := newQueue(toSlack(1, "chat"))
		q.extendFault = errors.New("connection refused")
		stop := run(t, Config{Notifiers: slack(s)}, q)
		time.Sleep(10*time.Second + time.Millisecond)
		q.set(func(q *memQueue) { q.empty = true })
		stop()
		r := q.finished()[0]
		if !r.Interrupted || !r.Receipt.Unsure || r.Error != "cut short because the claim could not be kept" ||
			!r.Rest.IsZero() {
			t.Errorf("result %+v", r)
		}
	})
}

func TestWhatIsHandedOutAfterAStopIsHandedBackUntouched(t *testing.T) {
	for told, name := range []string{"the first", "one that is claimed as another ended"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{answer: works}
				q := newQueue(toSlack(1, "chat"), toSlack(2, "chat"))
				stopping := make(chan struct{})
				var stop func()
				asked := 0
				q.asked = func() {
					if asked++; asked == told+1 {
						close(stopping)
						time.Sleep(time.Second)
					}
				}
				stop = run(t, Config{Notifiers: slack(s)}, q)
				<-stopping
				began := time.Now()
				stop()
				if took := time.Since(began); took != time.Second {
					t.Errorf("stopped after %s, want at once", took)
				}
				id := int64(told + 1)
				want := router.Result{Delivery: id, Revision: 1, Claim: fmt.Sprint(id, "/1"), State: router.DeliveryWaiting,
					Interrupted: true, Error: "cut short because flowbridge stopped", NextAt: time.Now()}
				if diff := cmp.Diff(want, q.finished()[told]); diff != "" || len(s.called()) != told {
					t.Errorf("told %d, want %d; the last result (-want +got):\n%s", len(s.called()), told, diff)
				}
			})
		})
	}
}
