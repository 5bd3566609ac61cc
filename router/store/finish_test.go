package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
)

// goesOnSuite is what every database must do where the next delivery is claimed with the end of one.
func goesOnSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx := context.Background()
	card := router.Receipt{Own: made("ts", "1"), Open: true, Severity: router.Error}
	goesOn := func(q *queue, r router.Result) *router.Notification {
		q.t.Helper()
		n, _, err := q.FinishAndClaim(ctx, r, router.Ask{Notifier: "chat", Now: q.now, Lease: time.Minute,
			Charges: q.charges})
		check(q.t, err)
		return n
	}
	state := func(q *queue, delivery int64) router.DeliveryState {
		q.t.Helper()
		d, err := q.Delivery(ctx, delivery)
		check(q.t, err)
		return d.State
	}

	t.Run("one after another", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(chat(1, true, router.Error), chat(2, true, router.Error), chat(3, true, router.Error))
		n := q.claim("chat")
		for _, want := range []string{"INC-2", "INC-3"} {
			was := n.Delivery
			if n = goesOn(q, told(n, card)); n == nil || about(n) != want || n.Attempt != 1 {
				t.Fatalf("got %+v, want the first attempt at %s", n, want)
			}
			if got := state(q, was); got != router.DeliveryDelivered {
				t.Errorf("what was told is %s", got)
			}
		}
		if other, _ := q.try("chat"); other != nil {
			t.Errorf("%s was handed out twice", about(other))
		}
		if n = goesOn(q, told(n, card)); n != nil {
			t.Errorf("then came %s", about(n))
		}
	})

	t.Run("the same, of which more is owed since", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(chat(1, true, router.Error))
		first := q.claim("chat")
		q.owe(chat(1, false, router.Error))
		n := goesOn(q, told(first, card))
		if n == nil || n.Delivery != first.Delivery || n.Open || n.Receipt != card || n.Claim == first.Claim {
			t.Errorf("got %+v, want the end of INC-1", n)
		}
	})

	t.Run("neither where the claim is somebody else's by now", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(chat(1, true, router.Error), chat(2, true, router.Error))
		first := q.claim("chat")
		q.pass(2 * time.Minute)
		taken := q.claim("chat")
		n, _, err := q.FinishAndClaim(ctx, told(first, card), router.Ask{Notifier: "chat", Now: q.now, Lease: time.Minute})
		if !errors.Is(err, router.ErrConflict) || n != nil {
			t.Errorf("got %v and %v, want a conflict", n, err)
		}
		if n = goesOn(q, told(taken, card)); n == nil || about(n) != "INC-2" {
			t.Errorf("then came %+v, want INC-2", n)
		}
	})

	t.Run("nothing after a failure, and nothing that has to wait", func(t *testing.T) {
		q := newQueue(t, open)
		for n := range int64(4) {
			q.owe(chat(n+1, true, router.Error))
		}
		q.charges = func(*router.Notification) []router.Charge {
			return []router.Charge{{Budget: "posts", Calls: 1, Every: time.Second, Burst: 2}}
		}
		if n := goesOn(q, failed(q.claim("chat"), q.now.Add(time.Minute), q.now.Add(time.Second))); n != nil {
			t.Errorf("after a failure came %s", about(n))
		}
		if n := goesOn(q, told(q.claim("chat"), card)); n != nil {
			t.Errorf("without a budget came %s", about(n))
		}
		names, next, err := q.Due(ctx, q.now)
		check(t, err)
		if len(names) != 0 || !next.Equal(q.now.Add(time.Second)) {
			t.Errorf("due: %v, next in %s; want when there is a budget", names, next.Sub(q.now))
		}
	})

	t.Run("neither where the next cannot be read: the end alone is written then", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(chat(1, true, router.Error))
		n := q.claim("chat")
		check(t, q.Commit(ctx, router.Batch{Owed: []router.Owed{
			{Notice: 9, Key: "n9", Target: chatTarget, Severity: router.Error}}})) // and there is no such notice
		_, _, err := q.FinishAndClaim(ctx, told(n, card), router.Ask{Notifier: "chat", Now: q.now, Lease: time.Minute})
		if err == nil || state(q, n.Delivery) != router.DeliveryWaiting {
			t.Fatalf("got %v, and the delivery is %s", err, state(q, n.Delivery))
		}
		check(t, q.Finish(ctx, told(n, card)))
		if got := state(q, n.Delivery); got != router.DeliveryDelivered {
			t.Errorf("it is %s", got)
		}
	})
}
