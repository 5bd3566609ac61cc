package delivery

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

func TestStorageFaultsAreWaitedOut(t *testing.T) {
	full := errors.New("database or disk is full")
	for _, tt := range []struct {
		name        string
		break_, fix func(*memQueue)
		log         string
	}{
		{"looking", func(q *memQueue) { q.dueFault = full }, func(q *memQueue) { q.dueFault = nil },
			"look for due deliveries"},
		{"claiming", func(q *memQueue) { q.claimFault = full }, func(q *memQueue) { q.claimFault = nil }, "claim a delivery"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := failing()
				q := newQueue(toSlack(1, "chat"))
				tt.break_(q)
				var logs bytes.Buffer
				stop := run(t, Config{Notifiers: slack(s), Logger: slog.New(slog.NewTextHandler(&logs, nil))}, q)
				for range 600 {
					time.Sleep(time.Second)
					q.wake() // what is folded meanwhile does not hurry us
				}
				q.set(func(q *memQueue) {
					if q.faulted > 200 {
						t.Errorf("storage was asked %d times in ten minutes", q.faulted)
					}
					tt.fix(q)
				})
				time.Sleep(5 * time.Second)
				synctest.Wait()
				stop()
				if got := q.states()[1]; got != router.DeliveryDelivered {
					t.Errorf("state %q once storage works, want delivered", got)
				}
				text := logs.String()
				if strings.Count(text, "level=ERROR") != 1 || !strings.Contains(text, tt.log) ||
					!strings.Contains(text, "again\n") && !strings.Contains(text, `again"`) {
					t.Errorf("want one error and one line that it is over:\n%s", text)
				}
			})
		})
	}
}

func TestAResultThatCannotBeWritten(t *testing.T) {
	full := errors.New("database or disk is full")
	t.Run("is written on a further try, and told once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := failing()
			q := newQueue(toSlack(1, "chat"))
			q.finishFault, q.finishFaults = full, 3
			stop := run(t, Config{Notifiers: slack(s)}, q)
			time.Sleep(5 * time.Minute)
			stop()
			if len(s.called()) != 1 || q.states()[1] != router.DeliveryDelivered {
				t.Errorf("told %d times, state %q; want once and delivered", len(s.called()), q.states()[1])
			}
		})
	})
	t.Run("is told again when the lease is over, as something that may exist", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := failing()
			q := newQueue(toSlack(1, "chat"))
			q.finishFault, q.finishFaults = full, 5
			var logs bytes.Buffer
			stop := run(t, Config{Notifiers: slack(s), Logger: slog.New(slog.NewTextHandler(&logs, nil))}, q)
			time.Sleep(5 * time.Minute)
			stop()
			if diff := cmp.Diff([]time.Duration{0, 15 * time.Second}, s.offsets()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if !s.called()[1].MayExist || q.states()[1] != router.DeliveryDelivered {
				t.Errorf("second call %+v, state %q", s.called()[1], q.states()[1])
			}
			if strings.Count(logs.String(), "level=ERROR") != 1 {
				t.Errorf("want one error:\n%s", &logs)
			}
		})
	})
	t.Run("is not tried again when that is useless", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := newQueue(toSlack(1, "chat"))
			q.finishFault, q.finishFaults = router.ErrNotFound, -1
			stop := run(t, Config{Notifiers: slack(failing())}, q)
			synctest.Wait()
			stop()
			if q.finishFaults != -2 {
				t.Errorf("Finish was called %d times, want once", -1-q.finishFaults)
			}
		})
	})
}

func TestAResultIsWrittenThoughTheNextCannotBeClaimedWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := failing()
		q := newQueue(toSlack(1, "chat"), toSlack(2, "chat"))
		q.goOnFault = errors.New("read notice: it is not there")
		stop := run(t, Config{Notifiers: slack(s)}, q)
		time.Sleep(time.Second)
		stop()
		want := map[int64]router.DeliveryState{1: "delivered", 2: "delivered"}
		if diff := cmp.Diff(want, q.states()); diff != "" || len(s.called()) != 2 {
			t.Errorf("told %d times, want twice; states (-want +got):\n%s", len(s.called()), diff)
		}
	})
}

func TestAQueueThatHandsOutNothingIsNotAskedWithoutAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(toSlack(1, "chat"))
		q.empty = true
		stop := run(t, Config{Notifiers: slack(failing())}, q)
		time.Sleep(10 * time.Minute)
		q.set(func(q *memQueue) {
			if q.looks > 50 {
				t.Errorf("it was asked %d times in ten minutes, want the slow poll", q.looks)
			}
			q.looks, q.stuck = 0, true
		})
		time.Sleep(time.Minute)
		stop()
		if q.looks > 60*20+1 {
			t.Errorf("it was asked %d times in a minute, want every 50 ms at most", q.looks)
		}
	})
}

func TestWhatBecomesDueWhileALaneEndsIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(toSlack(1, "chat"))
		q.empty, q.slow = true, time.Second
		stop := run(t, Config{Notifiers: slack(failing())}, q)
		synctest.Wait()
		q.set(func(q *memQueue) { q.empty = false })
		q.owe(toSlack(2, "chat")) // while the lane is about to hear that there is nothing
		time.Sleep(2 * time.Second)
		stop()
		want := map[int64]router.DeliveryState{1: "delivered", 2: "delivered"}
		if diff := cmp.Diff(want, q.states()); diff != "" {
			t.Errorf("states before the slow poll (-want +got):\n%s", diff)
		}
	})
}

func TestWorkOfAnotherProcessIsFoundByThePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		stop := run(t, Config{Notifiers: slack(failing())}, q)
		synctest.Wait()
		q.owe(toSlack(1, "chat"))
		select { // nobody hears the pulse
		case <-q.pulse:
		default:
		}
		time.Sleep(16 * time.Second)
		stop()
		if got := q.states()[1]; got != router.DeliveryDelivered {
			t.Errorf("state %q, want delivered", got)
		}
	})
}
