package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
)

// refusal ends an attempt with a service's own no. It is tried again after a time, 0 for never.
func (q *queue) refusal(n *router.Notification, words string, again time.Duration) router.Result {
	event := event(fmt.Sprint("parked ", n.Delivery, words))
	event.Name, event.Source = router.ParkedDelivery, router.SourceFlowbridge
	r := router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: n.Revision, State: router.DeliveryParked,
		Error: words, Receipt: n.Receipt,
		Rest: q.now.Add(time.Second), Event: &event, Digest: n.Digest}
	if again > 0 {
		r.NextAt = q.now.Add(again)
	}
	return r
}

func (q *queue) refuse(notifier, words string, again time.Duration) *router.Notification {
	q.t.Helper()
	n := q.claim(notifier)
	check(q.t, q.Finish(context.Background(), q.refusal(n, words, again)))
	return n
}

// told says how often the journal was told that a delivery is parked.
func (q *queue) told() (n int) {
	q.t.Helper()
	waiting, err := q.Waiting(context.Background(), 100)
	check(q.t, err)
	return len(waiting)
}

func (q *queue) state(id int64) router.Delivery {
	q.t.Helper()
	all, err := q.Deliveries(context.Background(), "", 0)
	check(q.t, err)
	for _, d := range all {
		if d.ID == id {
			return d
		}
	}
	q.t.Fatalf("no delivery %d", id)
	return router.Delivery{}
}

var pageOpen = router.Receipt{Own: made("dedup_key", "k"), Open: true, Severity: router.Error}

func parkedSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx := context.Background()

	t.Run("it is tried again when its time has come, and shown as parked until then", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(page(1, "k"))
		n := q.refuse("page", "bad key", 10*time.Minute)
		names, next, err := q.Due(ctx, q.now)
		check(t, err)
		if d := q.state(n.Delivery); d.State != router.DeliveryParked || !d.NextAt.Equal(q.now.Add(10*time.Minute)) ||
			len(names) != 0 || !next.Equal(d.NextAt) {
			t.Errorf("%+v; due %v, next in %s", d, names, next.Sub(q.now))
		}
		if n, _ := q.try("page"); n != nil {
			t.Errorf("tried at once: %+v", n)
		}
		q.pass(10 * time.Minute)
		names, _, err = q.Due(ctx, q.now)
		check(t, err)
		diff(t, names, []string{"page"})
		probe := q.claim("page")
		if probe.Refusals != 1 || !probe.FailingSince.Equal(noon) || probe.Attempt != 2 {
			t.Errorf("probe: refusals %d, failing since %s, attempt %d", probe.Refusals, probe.FailingSince, probe.Attempt)
		}
		check(t, q.Finish(ctx, q.refusal(probe, "bad key", 20*time.Minute)))
		if d := q.state(n.Delivery); d.State != router.DeliveryParked || !d.NextAt.Equal(q.now.Add(20*time.Minute)) ||
			q.told() != 1 {
			t.Errorf("after a probe in vain: %+v; the journal was told %d times", d, q.told())
		}
		q.pass(20 * time.Minute)
		q.deliver("page", pageOpen)
		if d := q.state(n.Delivery); d.State != router.DeliveryDelivered || q.told() != 1 {
			t.Errorf("mended: %+v; the journal was told %d times", d, q.told())
		}
	})

	t.Run("the other cards of its incident say that a page fails for long, until it is made", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(chat(1, true, router.Error), page(1, "k"))
		problems := func(want ...router.Problem) {
			t.Helper()
			n := q.deliver("chat", router.Receipt{Own: made("ts", "1"), Open: true, Severity: router.Error})
			diff(t, n.Problems, want)
		}
		fails := func() {
			n := q.claim("page")
			check(t, q.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: n.Revision,
				State: router.DeliveryWaiting, Error: "answered 503", NextAt: q.now, Receipt: n.Receipt}))
		}
		fails()
		problems()
		q.pass(time.Minute)
		fails()
		problems(router.Problem{Notifier: "page", Error: "answered 503", Since: noon}) // its card is renewed, once
		q.pass(time.Second)
		fails()
		if n, _ := q.try("chat"); n != nil {
			t.Errorf("its card is renewed again: %+v", n)
		}
		q.deliver("page", pageOpen)
		problems() // its card is renewed
		q.owe(page(1, "k"))
		fails()
		q.pass(time.Hour)
		fails() // new numbers of what somebody was paged for
		q.owe(chat(1, true, router.Error))
		problems()
	})

	t.Run("so they do where its service is busy, or nobody knows whether the page was made", func(t *testing.T) {
		for name, answer := range map[string]router.Result{
			"busy":    {Interrupted: true},
			"unclear": {Receipt: router.Receipt{Own: made("dedup_key", "k"), Open: true, Opening: 1, Unsure: true}},
		} {
			q := newQueue(t, open)
			first := page(1, "k")
			first.Opening = 1
			q.owe(chat(1, true, router.Error), first)
			card := func() *router.Notification {
				return q.deliver("chat", router.Receipt{Own: made("ts", "1"), Open: true, Severity: router.Error})
			}
			card()
			for range 2 {
				n := q.claim("page")
				r := answer
				r.Delivery, r.Claim, r.Revision, r.State, r.Error = n.Delivery, n.Claim, 1, router.DeliveryWaiting, "answered"
				r.NextAt = q.now.Add(time.Minute)
				check(t, q.Finish(ctx, r))
				q.pass(time.Minute)
			}
			want := []router.Problem{{Notifier: "page", Error: "answered", Since: noon}}
			if got := card().Problems; !slices.Equal(got, want) {
				t.Errorf("%s: %+v", name, got)
			}
			sure := router.Receipt{Own: made("dedup_key", "k"), Open: true, Opening: 1, Told: 1}
			q.deliver("page", sure)
			if got := card().Problems; len(got) != 0 {
				t.Errorf("%s, and then made: %+v", name, got)
			}
		}
	})

	t.Run("a card that was told before a page was late is not renewed for it", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(chat(1, true, router.Error), page(1, "k"))
		q.deliver("chat", router.Receipt{Own: made("ts", "1"), Open: true, Severity: router.Error})
		q.pass(2 * time.Minute)
		q.deliver("page", router.Receipt{Own: made("dedup_key", "k"), Open: true, Told: 1})
		if n, _ := q.try("chat"); n != nil {
			t.Errorf("it is renewed: %+v", n)
		}
	})

	t.Run("so they do of a page that was not tried since its service fails", func(t *testing.T) {
		q := newQueue(t, open)
		for i := range int64(router.LaneDown) {
			q.owe(page(i+10, fmt.Sprint("k", i)))
			n := q.claim("page")
			check(t, q.Finish(ctx, failed(n, q.now.Add(time.Hour), q.now.Add(time.Hour))))
		}
		q.owe(chat(1, true, router.Error), page(1, "k"))
		d, err := q.Incident(ctx, 1)
		check(t, err)
		if d.Deliveries[1].Behind != "503" {
			t.Errorf("its delivery: %+v", d.Deliveries[1])
		}
		q.pass(time.Minute)
		n := q.deliver("chat", router.Receipt{Own: made("ts", "1"), Open: true, Severity: router.Error})
		diff(t, n.Problems, []router.Problem{{Notifier: "page", Error: "503", Since: noon}})
	})

	t.Run("the other cards of its incident call it a problem, also while it is tried again, until it is told",
		func(t *testing.T) {
			q := newQueue(t, open)
			q.owe(chat(1, true, router.Error), page(1, "k"))
			q.refuse("page", "bad key", time.Minute)
			problems := func(want ...router.Problem) {
				t.Helper()
				n := q.deliver("chat", router.Receipt{Own: made("ts", "1"), Open: true, Severity: router.Error})
				diff(t, n.Problems, want)
			}
			problems(router.Problem{Notifier: "page", Error: "bad key"})
			q.pass(time.Minute)
			probe := q.claim("page")
			q.owe(chat(1, true, router.Error))
			problems(router.Problem{Notifier: "page", Error: "bad key"})
			check(t, q.Finish(ctx, told(probe, pageOpen)))
			problems() // its card is renewed
		})

	t.Run("it is left alone when its time is never", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(page(1, "k"))
		n := q.refuse("page", "bad key", 0)
		q.pass(100 * 24 * time.Hour)
		names, next, err := q.Due(ctx, q.now)
		check(t, err)
		if d := q.state(n.Delivery); len(names) != 0 || !next.IsZero() || !d.NextAt.IsZero() {
			t.Errorf("due %v, next %s, %+v", names, next, d)
		}
		if n, _ := q.try("page"); n != nil {
			t.Errorf("tried: %+v", n)
		}
	})

	t.Run("since when a delivery fails is kept until it succeeds, and an attempt that was cut short is no failure",
		func(t *testing.T) {
			q := newQueue(t, open)
			q.owe(page(1, "k"))
			n := q.claim("page")
			if !n.FailingSince.IsZero() {
				t.Errorf("never tried, and failing since %s", n.FailingSince)
			}
			check(t, q.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: 1,
				State: router.DeliveryWaiting, Interrupted: true, Error: "429", NextAt: q.now.Add(time.Minute)}))
			q.pass(time.Minute)
			if n = q.claim("page"); !n.FailingSince.IsZero() {
				t.Errorf("cut short, and failing since %s", n.FailingSince)
			}
			since := q.now
			check(t, q.Finish(ctx, failed(n, q.now.Add(time.Second), time.Time{})))
			for range 3 {
				q.pass(time.Second)
				if n = q.claim("page"); !n.FailingSince.Equal(since) {
					t.Errorf("failing since %s, want %s", n.FailingSince, since)
				}
				check(t, q.Finish(ctx, failed(n, q.now.Add(time.Second), time.Time{})))
			}
			q.pass(time.Second)
			q.refuse("page", "no", time.Second)
			q.owe(page(1, "k"))
			if n = q.claim("page"); !n.FailingSince.Equal(since) {
				t.Errorf("after a refusal: failing since %s, want %s", n.FailingSince, since)
			}
			check(t, q.Finish(ctx, told(n, pageOpen)))
			q.owe(page(1, "k"))
			if n = q.claim("page"); !n.FailingSince.IsZero() || n.Parked {
				t.Errorf("after a success: failing since %s, parked %t", n.FailingSince, n.Parked)
			}
		})

	t.Run("refusals are remembered over one success, and forgotten after two in a row or a person's retry",
		func(t *testing.T) {
			q := newQueue(t, open)
			refusals := func(want int, parked bool) {
				t.Helper()
				q.owe(page(1, "k"))
				n := q.claim("page")
				if n.Refusals != want || n.Parked != parked {
					t.Errorf("%d refusals, parked %t; want %d, %t", n.Refusals, n.Parked, want, parked)
				}
				check(t, q.Finish(ctx, told(n, pageOpen)))
			}
			q.owe(page(1, "k"))
			q.refuse("page", "no", time.Hour)
			q.owe(page(1, "k"))
			q.refuse("page", "no", time.Hour)
			refusals(2, true)
			refusals(2, false)
			refusals(0, false)
			q.owe(page(1, "k"))
			n := q.refuse("page", "no", time.Hour)
			check(t, q.RetryDelivery(ctx, n.Delivery))
			refusals(0, true)
		})

	t.Run("the same refusal is told again after a success and after a person, and not within one episode",
		func(t *testing.T) {
			q := newQueue(t, open)
			q.owe(page(1, "k"))
			n := q.refuse("page", "bad key", time.Minute)
			steps := []struct {
				name string
				do   func()
				told int
			}{
				{"refused", func() {}, 1},
				{"its card was renewed by another's", func() { q.owe(page(1, "k")); q.refuse("page", "bad key", time.Minute) }, 1},
				{"a probe", func() { q.pass(time.Minute); q.refuse("page", "bad key", time.Minute) }, 1},
				{"other words", func() { q.pass(time.Minute); q.refuse("page", "no such service", time.Minute) }, 2},
				{"the words of before", func() { q.pass(time.Minute); q.refuse("page", "bad key", time.Minute) }, 2},
				{"a plain failure between", func() {
					q.pass(time.Minute)
					q.fail("page", 0, time.Second)
					q.pass(time.Second)
					q.refuse("page", "bad key", time.Minute)
				}, 2},
				{"a person", func() { check(t, q.RetryDelivery(ctx, n.Delivery)); q.refuse("page", "bad key", time.Minute) }, 3},
				{"a probe", func() { q.pass(time.Minute); q.refuse("page", "bad key", time.Minute) }, 3},
				{"a success", func() { q.pass(time.Minute); q.deliver("page", pageOpen) }, 3},
				{"refused after it", func() { q.owe(page(1, "k")); q.refuse("page", "bad key", time.Minute) }, 4},
				{"renewed by another's", func() { q.owe(page(1, "k")); q.refuse("page", "bad key", time.Minute) }, 4},
				{"a success without a refusal before", func() {
					q.owe(page(1, "k"))
					q.deliver("page", pageOpen)
					q.owe(page(1, "k"))
					q.deliver("page", pageOpen)
				}, 4},
				{"refused after it", func() { q.owe(page(1, "k")); q.refuse("page", "bad key", time.Minute) }, 5},
			}
			for _, step := range steps {
				step.do()
				if got := q.told(); got != step.told {
					t.Errorf("%s: the journal was told %d times, want %d", step.name, got, step.told)
				}
			}
		})

	t.Run("it is tried after all else that is due, pages first", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(router.Owed{Notice: 5, Key: "n5", Target: page(0, "").Target, Severity: router.Info}, page(1, "k1"))
		for _, words := range []string{"too long", "bad key"} {
			q.refuse("page", words, time.Minute)
		}
		q.pass(time.Minute)
		over := page(3, "k3")
		over.Open = false
		q.owe(page(2, "k2"), over)
		var got []string
		for range 4 {
			got = append(got, about(q.claim("page")))
		}
		diff(t, got, []string{"INC-2", "INC-3", "INC-1", "n5"})
	})

	t.Run("it waits for the circuit breaker, the budget and the pause of its class", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(page(1, "k1"))
		q.refuse("page", "bad key", time.Second)
		for n := range int64(router.LaneDown) {
			q.owe(page(n+2, fmt.Sprint("k", n+2)))
			q.fail("page", time.Minute, time.Hour)
		}
		q.pass(time.Second)
		names, _, err := q.Due(ctx, q.now)
		check(t, err)
		if n, _ := q.try("page"); n != nil || len(names) != 0 {
			t.Errorf("in spite of the breaker: %v, due %v", n, names)
		}
		q.pass(time.Minute)
		q.charges = func(*router.Notification) []router.Charge {
			return []router.Charge{{Budget: "b", Calls: 1, Every: time.Minute, Burst: 1}}
		}
		check(t, q.Finish(ctx, q.refusal(q.claim("page"), "bad key", time.Second))) // an answer: the service lives
		q.pass(time.Second)
		for {
			n, short := q.try("page")
			if n == nil && short == 0 {
				break
			}
			if n != nil {
				t.Errorf("in spite of the budget: %s", about(n))
			}
		}
		q.pass(time.Minute)
		n := q.claim("page")
		check(t, q.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: n.Revision,
			State: router.DeliveryWaiting, Interrupted: true, Error: "429", NextAt: q.now.Add(2 * time.Minute)}))
		q.charges = nil
		q.pass(time.Minute)
		names, _, err = q.Due(ctx, q.now)
		check(t, err)
		if n, _ := q.try("page"); n != nil || len(names) != 0 {
			t.Errorf("in spite of the pause: %v, due %v", n, names)
		}
		q.pass(time.Minute)
		q.claim("page")
	})

	t.Run("what a newer incident with its key has replaced is not tried again", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(page(1, "k"))
		q.refuse("page", "bad key", time.Minute)
		q.owe(page(2, "k"))
		q.deliver("page", pageOpen)
		q.pass(time.Hour)
		if n, _ := q.try("page"); n != nil {
			t.Errorf("tried: %s", about(n))
		}
		if names, next, err := q.Due(ctx, q.now); len(names) != 0 || !next.IsZero() || err != nil {
			t.Errorf("due %v, next %s, %v", names, next, err)
		}
	})

	t.Run("it does not overtake what has its key, nor is it overtaken", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(page(1, "k"), page(2, "k"))
		q.refuse("page", "bad key", 30*time.Second) // INC-1
		second := q.claim("page")
		q.pass(30 * time.Second)
		if n, _ := q.try("page"); n != nil {
			t.Errorf("%s is tried while %s is", about(n), about(second))
		}
		check(t, q.Finish(ctx, failed(second, q.now.Add(time.Minute), time.Time{}))) // it made nothing
		probe := q.claim("page")
		if probe.Incident.Number != 1 {
			t.Fatalf("got %s", about(probe))
		}
		check(t, q.Extend(ctx, probe.Delivery, probe.Claim, q.now.Add(time.Hour)))
		q.pass(time.Minute)
		if n, _ := q.try("page"); n != nil {
			t.Errorf("%s is tried while %s is", about(n), about(probe))
		}
	})

	t.Run("one that gets through sets free what was refused with the same words", func(t *testing.T) {
		q := newQueue(t, open)
		for n := range int64(router.StormSize + 3) {
			q.owe(chat(n+1, true, router.Error))
		}
		q.owe(page(1, "k"))
		for range router.StormSize + 2 {
			q.refuse("chat", "token_revoked", time.Hour)
			q.pass(time.Second)
		}
		odd := q.refuse("chat", "invalid_blocks", 2*time.Hour)
		q.refuse("page", "token_revoked", 3*time.Hour)
		q.pass(time.Hour - (router.StormSize+2)*time.Second) // of the first
		q.deliver("chat", router.Receipt{Own: made("ts", "1"), Open: true, Severity: router.Error})
		digest := q.claim("chat")
		if digest.Digest == nil || len(digest.Digest.Parts) != router.StormSize+1 {
			t.Fatalf("got %s", about(digest))
		}
		check(t, q.Finish(ctx, told(digest, router.Receipt{Digest: "2", Open: true})))
		if d := q.state(odd.Delivery); d.State != router.DeliveryParked {
			t.Errorf("refused with other words: %s", d.State)
		}
		if n, _ := q.try("page"); n != nil {
			t.Errorf("at another notifier: %s", about(n))
		}
	})

	t.Run("probes in vain do not stop what is new", func(t *testing.T) {
		q := newQueue(t, open)
		for n := range int64(4) {
			q.owe(page(n+1, fmt.Sprint("k", n+1)))
			q.refuse("page", fmt.Sprint("reason ", n%2), time.Minute)
		}
		q.pass(time.Minute)
		for range 4 {
			q.refuse("page", "the details are too long", time.Minute)
		}
		q.owe(page(9, "k9"))
		if n := q.claim("page"); n.Incident.Number != 9 {
			t.Errorf("got %s", about(n))
		}
	})

	t.Run("a probe whose process dies is tried again", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(page(1, "k"))
		q.refuse("page", "bad key", time.Minute)
		q.pass(time.Minute)
		q.claim("page") // and nobody finishes it
		q.pass(time.Minute)
		n := q.claim("page")
		if !n.MayExist || n.Refusals != 1 {
			t.Errorf("%+v", n)
		}
		check(t, q.Finish(ctx, q.refusal(n, "bad key", time.Minute)))
		if d := q.state(n.Delivery); d.State != router.DeliveryParked || q.told() != 1 {
			t.Errorf("%+v; the journal was told %d times", d, q.told())
		}
	})

	t.Run("a clock that was years ahead holds no probe back", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(page(1, "k"))
		q.pass(10 * 365 * 24 * time.Hour)
		q.refuse("page", "bad key", 6*time.Hour)
		q.now = noon.Add(time.Minute)
		if _, _, err := q.Due(ctx, q.now); err != nil {
			t.Fatal(err)
		}
		q.claim("page")
	})

	t.Run("a long wait is a pause that people know of, of this notifier and class alone", func(t *testing.T) {
		q := newQueue(t, open)
		other := chat(2, true, router.Error)
		other.Target.Notifier, other.Target.Address = "ops", "#other"
		q.owe(chat(1, true, router.Error), other)
		pause := func(notifier string, wait time.Duration) {
			n := q.claim(notifier)
			check(t, q.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: n.Revision,
				State: router.DeliveryWaiting, Interrupted: true, Error: "429", NextAt: q.now.Add(wait)}))
		}
		pause("chat", 5*time.Minute)
		pause("ops", time.Minute)
		waits := func() map[string]time.Duration {
			lanes, err := q.Lanes(ctx)
			check(t, err)
			got := map[string]time.Duration{}
			for _, l := range lanes {
				if !l.Waits.IsZero() {
					got[l.Notifier] = l.Waits.Sub(noon)
				}
			}
			return got
		}
		diff(t, waits(), map[string]time.Duration{"chat": 5 * time.Minute})
		q.pass(4*time.Minute + 30*time.Second)
		diff(t, waits(), map[string]time.Duration{"chat": 5 * time.Minute}) // to its end
		if n := q.claim("ops"); n.Incident.Number != 2 {
			t.Errorf("got %s", about(n))
		}
		q.owe(router.Owed{Notice: 5, Key: "n5", Target: chatTarget, Severity: router.Info})
		if n := q.claim("chat"); n.Notice == nil {
			t.Errorf("got %s, want what is of another class", about(n))
		}
		q.pass(30 * time.Second)
		diff(t, waits(), map[string]time.Duration{})
		q.claim("chat")
	})
}
