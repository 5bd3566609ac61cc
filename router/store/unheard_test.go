package store_test

import (
	"context"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
)

// pageOver is the end of a page. Where first, its service may hold something under its key of before our database was
// lost, and is told of the end whatever it has heard.
func pageOver(incident int64, key string, first bool) router.Owed {
	o := page(incident, key)
	o.Open, o.Unheard = false, !first
	return o
}

// unheardSuite is about pages that are over before their service has heard of them.
func unheardSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx := context.Background()

	t.Run("nothing waits of what a service has heard nothing of", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(page(1, "a"), page(2, "b"))
		q.owe(pageOver(1, "a", false), pageOver(3, "c", false), pageOver(4, "d", true))
		for range 2 { // of page 2 nothing but the truth is known, and INC-4 may be left of a lost database
			q.deliver("page", pageOpen)
		}
		if n, _ := q.try("page"); n != nil {
			t.Errorf("there is %s, too", about(n))
		}
		all, err := q.Deliveries(ctx, router.DeliveryCancelled, 0)
		check(t, err)
		if len(all) != 2 || all[0].Incident+all[1].Incident != 4 || all[0].Attempts+all[1].Attempts > 0 {
			t.Errorf("cancelled: %+v", all)
		}
		q.owe(page(1, "a")) // it comes back
		if n := q.claim("page"); n.Incident.Number != 1 || n.Class != router.ClassNew || n.Attempt != 1 {
			t.Errorf("got %s as %s, attempt %d", about(n), n.Class, n.Attempt)
		}
	})

	t.Run("what a service may have heard of is ended there", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(page(1, "a"))
		n := q.claim("page")
		q.owe(pageOver(1, "a", false)) // while it is told
		check(t, q.Finish(ctx, told(n, pageOpen)))
		if n := q.deliver("page", router.Receipt{}); n.Open || n.Class != router.ClassResolved {
			t.Errorf("got %s, open %t, as %s", about(n), n.Open, n.Class)
		}
		q.owe(page(2, "b"))
		n = q.claim("page")
		q.owe(pageOver(2, "b", false))
		r := failed(n, q.now.Add(time.Second), time.Time{})
		r.Receipt = router.Receipt{Own: made("dedup_key", "b"), Unsure: true}
		check(t, q.Finish(ctx, r))
		q.pass(time.Second)
		if n := q.claim("page"); n.Open || !n.Receipt.Unsure {
			t.Errorf("got %s, open %t, receipt %+v", about(n), n.Open, n.Receipt)
		}
	})

	t.Run("one that failed for certain is forgotten, and one that was refused is not", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(page(1, "a"))
		q.fail("page", 0, time.Minute)
		q.owe(pageOver(1, "a", false))
		q.owe(page(2, "b"))
		refused := q.refuse("page", "bad key", 0)
		q.owe(pageOver(2, "b", false))
		if n := q.claim("page"); n.Delivery != refused.Delivery {
			t.Errorf("got %s", about(n))
		}
		q.pass(time.Hour)
		if n, _ := q.try("page"); n != nil && n.Delivery != refused.Delivery {
			t.Errorf("got %s, of which nobody has heard", about(n))
		}
	})

	t.Run("a new page stands behind nothing that is over", func(t *testing.T) {
		q := newQueue(t, open)
		for n := range int64(20) { // flows that flap, each for the first time
			key := string(rune('a' + n))
			q.owe(page(2*n+1, key))
			q.owe(pageOver(2*n+1, key, true))
			q.owe(page(2*n+2, key)) // by which what is before it matters as much
			q.owe(pageOver(2*n+2, key, false))
			q.pass(time.Second)
		}
		q.owe(page(100, "new"))
		if n := q.claim("page"); n.Incident.Number != 100 {
			t.Errorf("got %s as %s, want the new page", about(n), n.Class)
		}
	})

	t.Run("an end stands before what nobody has heard of", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(page(1, "a"))
		q.deliver("page", pageOpen)
		q.owe(pageOver(2, "b", true), pageOver(3, "a", true))
		q.pass(time.Second)
		q.owe(page(4, "c"))
		q.deliver("page", pageOpen)
		q.owe(pageOver(4, "c", false))
		q.owe(pageOver(1, "a", false))
		var got []string
		for range 3 {
			got = append(got, about(q.deliver("page", router.Receipt{})))
		}
		diff(t, got, []string{"INC-1", "INC-4", "INC-2"})
	})
}
