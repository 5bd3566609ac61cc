package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
)

// stormSuite is what happens when a channel would get more cards than it takes.
func stormSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx := context.Background()
	const many = router.StormSize + 5
	card := router.Receipt{Own: made("ts", "card"), Open: true, Severity: router.Error}
	storm := func(t *testing.T, n int) *queue {
		q := newQueue(t, open)
		for i := range int64(n) {
			q.owe(chat(i+1, true, router.Error))
		}
		return q
	}
	digested := func(t *testing.T) *queue {
		q := storm(t, many)
		n := q.deliver("chat", router.Receipt{Digest: "17.1", Open: true})
		if n.Digest == nil || n.Digest.Recovered || len(n.Digest.Parts) != many || n.Incident != nil {
			t.Fatalf("got %s, want a digest of all", about(n))
		}
		return q
	}

	t.Run("few incidents get a card each", func(t *testing.T) {
		q := storm(t, router.StormSize)
		for range router.StormSize {
			if n := q.deliver("chat", card); n.Incident == nil {
				t.Fatalf("got %s", about(n))
			}
		}
	})

	t.Run("pages are never told in a digest", func(t *testing.T) {
		q := newQueue(t, open)
		for i := range int64(many) {
			q.owe(page(i+1, fmt.Sprint("k", i)))
		}
		for range many {
			if n := q.deliver("page", router.Receipt{Own: made("dedup_key", "k"), Open: true}); n.Incident == nil {
				t.Fatalf("got %s", about(n))
			}
		}
	})

	t.Run("many get one digest, and then silence while they stay as they are", func(t *testing.T) {
		q := digested(t)
		q.owe(chat(3, true, router.Error), chat(4, true, router.Warning)) // no worse
		if n, _ := q.try("chat"); n != nil {
			t.Errorf("got %s", about(n))
		}
		if names, next, err := q.Due(ctx, q.now); len(names) != 0 || !next.IsZero() || err != nil {
			t.Errorf("due: %v, next %s, %v", names, next, err)
		}
		got, err := q.Backlog(ctx)
		check(t, err)
		diff(t, got, []router.Backlog{{Notifier: "chat", Class: router.ClassDigested, Waiting: many, Oldest: noon}})
	})

	t.Run("one that gets worse gets its card", func(t *testing.T) {
		q := digested(t)
		q.owe(chat(7, true, router.Critical))
		n := q.deliver("chat", router.Receipt{Own: made("ts", "card"), Open: true, Severity: router.Critical})
		if about(n) != "INC-7" || n.Class != router.ClassWorse || n.Receipt.Digest != "17.1" || n.MayExist {
			t.Errorf("got %+v", n)
		}
	})

	t.Run("an end is told, by a line while there are few and by a digest when there are many", func(t *testing.T) {
		q := digested(t)
		q.owe(chat(1, false, router.Error))
		if n := q.deliver("chat", router.Receipt{Own: made("ts", "line")}); about(n) != "INC-1" || n.Open ||
			n.Receipt.Digest != "17.1" {
			t.Errorf("got %s", about(n))
		}
		for i := range int64(router.FewRecoveries + 1) {
			q.owe(chat(i+2, false, router.Error))
		}
		q.owe(chat(40, false, router.Error)) // it opened and closed during the storm
		n := q.deliver("chat", router.Receipt{Digest: "17.2"})
		if n.Digest == nil || !n.Digest.Recovered || len(n.Digest.Parts) != router.FewRecoveries+2 ||
			!n.Digest.Parts[0].Told || n.Digest.Parts[router.FewRecoveries+1].Told {
			t.Fatalf("got %s: %+v", about(n), n.Digest)
		}
		delivered, err := q.Deliveries(ctx, router.DeliveryDelivered, 0)
		check(t, err)
		if len(delivered) != router.FewRecoveries+3 {
			t.Errorf("%d deliveries are done, want %d", len(delivered), router.FewRecoveries+3)
		}
		// No more than a storm's worth is open now: each gets a card.
		for range many - router.FewRecoveries - 2 {
			if n := q.deliver("chat", card); n.Incident == nil || n.Class != router.ClassDigested {
				t.Fatalf("got %s as %s", about(n), n.Class)
			}
		}
		if left, err := q.Backlog(ctx); len(left) != 0 || err != nil {
			t.Errorf("left: %v, %v", left, err)
		}
	})

	t.Run("a digest that fails is tried again, with what is so by then", func(t *testing.T) {
		q := storm(t, many)
		q.fail("chat", time.Second, time.Second)
		if n, _ := q.try("chat"); n != nil {
			t.Errorf("tried at once: %s", about(n))
		}
		q.pass(time.Second)
		q.owe(chat(1, false, router.Error))
		n := q.deliver("chat", router.Receipt{Digest: "17.1", Open: true})
		if len(n.Digest.Parts) != many-1 {
			t.Errorf("got %s", about(n))
		}
		if n := q.claim("chat"); about(n) != "INC-1" || n.Open {
			t.Errorf("got %s", about(n))
		}
	})

	t.Run("a refused digest parks one delivery and releases the others", func(t *testing.T) {
		q := storm(t, many)
		n := q.claim("chat")
		check(t, q.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, State: router.DeliveryParked,
			Error: "invalid_auth", Rest: q.now.Add(time.Minute), Digest: n.Digest}))
		if n := q.claim("chat"); len(n.Digest.Parts) != many-1 {
			t.Errorf("got %s", about(n))
		}
	})

	t.Run("what was over before a digest was refused is told all the same", func(t *testing.T) {
		q := storm(t, many)
		n := q.claim("chat")
		q.owe(chat(1, false, router.Error))
		check(t, q.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, State: router.DeliveryParked,
			Error: "invalid_blocks", Digest: n.Digest}))
		q.deliver("chat", router.Receipt{Digest: "17.1", Open: true})
		if n := q.claim("chat"); about(n) != "INC-1" || n.Open {
			t.Errorf("got %s", about(n))
		}
	})

	// unsettled is what the queue hands out after an attempt at a digest of which nobody knows how it ended, while
	// incidents go on.
	unsettled := func(t *testing.T, lose func(*queue, *router.Notification)) (*queue, *router.Notification) {
		q := storm(t, many)
		lost := q.claim("chat")
		if lost.Digest.Unsettled || lost.Digest.ID == "" || !lost.Digest.Begun.Equal(q.now) {
			t.Fatalf("the first attempt: %+v", lost.Digest)
		}
		lose(q, lost)
		q.pass(time.Minute)
		q.owe(chat(2, false, router.Error), chat(3, true, router.Critical))
		n := q.claim("chat")
		want := *lost.Digest
		want.Unsettled = true
		for i := range want.Parts {
			want.Parts[i].Incident = n.Digest.Parts[i].Incident
		}
		diff(t, *n.Digest, want)
		if !n.MayExist || !n.Receipt.Unsure || n.Attempt != 2 {
			t.Errorf("attempt %d, receipt %+v", n.Attempt, n.Receipt)
		}
		return q, n
	}
	ways := map[string]func(*queue, *router.Notification){
		"whose process died": func(q *queue, n *router.Notification) {},
		"whose answer was lost": func(q *queue, n *router.Notification) {
			r := failed(n, q.now.Add(time.Second), q.now.Add(time.Second))
			r.Receipt.Unsure = true
			check(t, q.Finish(ctx, r))
		},
		"that was cut short": func(q *queue, n *router.Notification) {
			check(t, q.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, State: router.DeliveryWaiting,
				Interrupted: true, NextAt: q.now, Digest: n.Digest}))
		},
	}
	for way, lose := range ways {
		t.Run("a digest "+way+" is looked for, and is there", func(t *testing.T) {
			q, n := unsettled(t, lose)
			check(t, q.Finish(ctx, told(n, router.Receipt{Digest: "17.1", Open: true})))
			got := []string{about(q.claim("chat")), about(q.claim("chat"))}
			diff(t, got, []string{"INC-2", "INC-3"})
		})
		t.Run("a digest "+way+" is looked for, and is not there", func(t *testing.T) {
			q, n := unsettled(t, lose)
			check(t, q.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, State: router.DeliveryCancelled,
				Receipt: n.Receipt, Digest: n.Digest}))
			anew := q.claim("chat")
			if anew.Digest == nil || anew.Digest.Unsettled || anew.Digest.ID == n.Digest.ID || len(anew.Digest.Parts) != many-1 {
				t.Errorf("got %s, digest %s", about(anew), anew.Digest.ID)
			}
		})
	}

	t.Run("a look that fails counts, and a digest stays together until somebody knows", func(t *testing.T) {
		q, n := unsettled(t, ways["whose answer was lost"])
		r := failed(n, q.now.Add(time.Second), q.now.Add(time.Second))
		r.Receipt.Looks++
		check(t, q.Finish(ctx, r))
		q.pass(time.Second)
		n = q.claim("chat")
		if n.Digest == nil || n.Receipt.Looks != 1 {
			t.Fatalf("got %s, receipt %+v", about(n), n.Receipt)
		}
		check(t, q.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, State: router.DeliveryParked,
			Error: "invalid_auth", Receipt: n.Receipt, Digest: n.Digest}))
		n = q.claim("chat")
		if n.Digest == nil || len(n.Digest.Parts) != many {
			t.Fatalf("got %s", about(n))
		}
		check(t, q.Finish(ctx, told(n, router.Receipt{Digest: "17.1", Open: true})))
		if parked, err := q.Deliveries(ctx, router.DeliveryParked, 0); len(parked) != 0 || err != nil {
			t.Errorf("parked: %+v, %v", parked, err)
		}
	})

	t.Run("only one may finish a digest", func(t *testing.T) {
		q := storm(t, many)
		lost := q.claim("chat")
		q.pass(time.Minute)
		n := q.claim("chat")
		if err := q.Finish(ctx, told(lost, router.Receipt{Digest: "17.0"})); err == nil {
			t.Error("the lost one was finished")
		}
		check(t, q.Finish(ctx, told(n, router.Receipt{Digest: "17.1", Open: true})))
	})

	t.Run("a lost end stands as it was told, and what came back is told anew", func(t *testing.T) {
		q := digested(t)
		for i := range int64(router.FewRecoveries + 1) {
			q.owe(chat(i+1, false, router.Error))
		}
		q.claim("chat")
		q.pass(time.Minute)
		q.owe(chat(1, true, router.Warning))
		n := q.claim("chat")
		if n.Digest == nil || !n.Digest.Recovered || !n.Digest.Unsettled {
			t.Fatalf("got %s", about(n))
		}
		check(t, q.Finish(ctx, told(n, router.Receipt{Digest: "17.2"})))
		if n := q.claim("chat"); about(n) != "INC-1" || !n.Open || n.Class != router.ClassNew {
			t.Errorf("got %s as %s", about(n), n.Class)
		}
	})

	t.Run("what is owed meanwhile is told after the digest", func(t *testing.T) {
		q := storm(t, many)
		n := q.claim("chat")
		q.owe(chat(2, false, router.Error), chat(3, true, router.Critical))
		check(t, q.Finish(ctx, told(n, router.Receipt{Digest: "17.1", Open: true})))
		got := []string{about(q.claim("chat")), about(q.claim("chat"))}
		diff(t, got, []string{"INC-2", "INC-3"})
	})
}
