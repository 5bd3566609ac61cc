package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
)

// queueSuite is what every database must do for those who deliver.
func queueSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx := context.Background()

	t.Run("new incidents go before ends, ends before what got worse, and numbers come last", func(t *testing.T) {
		q := newQueue(t, open)
		for n := range int64(8) {
			q.owe(chat(n+1, true, router.Warning))
		}
		for range 8 {
			q.deliver("chat", router.Receipt{Own: made("ts", "1"), Open: true, Severity: router.Warning})
		}
		q.owe(chat(1, true, router.Warning), chat(2, true, router.Critical), chat(3, false, router.Warning),
			chat(4, true, router.Warning),
			router.Owed{Notice: 5, Key: "n5", Target: chatTarget, Severity: router.Info},
			router.Owed{Notice: 6, Key: "n6", Target: chatTarget, Severity: router.Error},
			chat(9, true, router.Warning), chat(10, false, router.Warning))
		var got []string
		for range 8 {
			n := q.claim("chat")
			got = append(got, n.Class.String()+" "+about(n))
		}
		// and then n5, which is news
		diff(t, got[:7], []string{"new n6", "new INC-9", "resolved INC-3", "resolved INC-10", "worse INC-2", "update INC-1",
			"update INC-4"})
	})

	t.Run("what is owed longest has its turn, however much matters more", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(chat(1, true, router.Error))
		q.deliver("chat", router.Receipt{Own: made("ts", "1"), Open: true, Severity: router.Error})
		q.owe(chat(1, true, router.Error))
		for n := range int64(20) {
			q.pass(time.Second)
			q.owe(chat(n+2, true, router.Error))
		}
		for i := range 8 {
			if n := q.claim("chat"); n.Incident.Number == 1 {
				return
			} else if i > 0 && n.Incident.Number != int64(i+2) {
				t.Errorf("claim %d: got INC-%d, want the one owed longest", i, n.Incident.Number)
			}
		}
		t.Error("eight claims passed it over")
	})

	t.Run("what is new and critical goes before all else, in turn", func(t *testing.T) {
		q := newQueue(t, open)
		for n := range int64(3) {
			q.owe(chat(n+1, true, router.Error))
			q.pass(time.Second)
		}
		q.owe(chat(4, true, router.Critical))
		q.pass(time.Second)
		q.owe(chat(5, true, router.Critical),
			router.Owed{Notice: 6, Key: "n6", Target: chatTarget, Severity: router.Critical})
		var got []string
		for range 6 {
			got = append(got, about(q.claim("chat")))
		}
		diff(t, got, []string{"INC-4", "INC-5", "n6", "INC-1", "INC-2", "INC-3"})
	})

	t.Run("a recovery that a new page waits for matters as much as the page", func(t *testing.T) {
		q := newQueue(t, open)
		first, again := page(1, "key"), page(3, "key")
		q.owe(first, page(2, "other"))
		for range 2 {
			q.deliver("page", router.Receipt{Own: made("dedup_key", "k"), Open: true, Severity: router.Error})
		}
		first.Open = false
		second := page(2, "other")
		second.Open = false
		q.owe(second, first)
		q.owe(again)
		if n := q.claim("page"); n.Incident.Number != 1 || n.Class != router.ClassNew {
			t.Errorf("got %s as %s, want the end of INC-1, which INC-3 waits for", about(n), n.Class)
		}
	})

	t.Run("what finds no budget waits, and what needs none of it does not", func(t *testing.T) {
		q := newQueue(t, open)
		for n := range int64(4) {
			q.owe(chat(n+1, true, router.Error))
		}
		q.charges = func(n *router.Notification) []router.Charge {
			name := "posts"
			if n.Notice != nil {
				name = "another"
			}
			return []router.Charge{{Budget: name, Calls: 1, Every: time.Second, Burst: 2}}
		}
		card := router.Receipt{Own: made("ts", "1"), Open: true, Severity: router.Error}
		q.deliver("chat", card)
		second, short := q.try("chat")
		if second == nil || short != 1 {
			t.Fatalf("second: got %v, and %d classes have to wait", second, short)
		}
		check(t, q.Finish(ctx, told(second, card)))
		if n, short := q.try("chat"); n != nil || short != 0 {
			t.Errorf("third: got %v, and %d classes more have to wait", n, short)
		}
		names, next, err := q.Due(ctx, q.now)
		check(t, err)
		if len(names) != 0 || !next.Equal(q.now.Add(time.Second)) {
			t.Errorf("due: %v, next in %s", names, next.Sub(q.now))
		}
		q.owe(router.Owed{Notice: 5, Key: "n5", Target: chatTarget, Severity: router.Info})
		q.pass(time.Second / 4) // it waits: what else has come is looked for in a moment
		if n := q.claim("chat"); n.Notice == nil {
			t.Errorf("got %s, want the notice", about(n))
		}
		q.pass(time.Second)
		q.deliver("chat", card)
		if n, _ := q.try("chat"); n != nil {
			t.Errorf("fourth: got %v", n)
		}
	})

	t.Run("a budget is charged when the claim is made, however long ago it was asked for", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(chat(1, true, router.Error), chat(2, true, router.Error))
		q.charges = func(*router.Notification) []router.Charge {
			return []router.Charge{{Budget: "posts", Calls: 1, Every: time.Second, Burst: 1}}
		}
		asked := q.now
		q.pass(2 * time.Second) // for which the call waited
		n, _, err := q.Claim(ctx, router.Ask{Notifier: "chat", Now: asked, Lease: time.Minute, Charges: q.charges})
		check(t, err)
		if n == nil {
			t.Fatal("nothing was claimed")
		}
		check(t, q.Finish(ctx, told(n, router.Receipt{Own: made("ts", "1"), Open: true, Severity: router.Error})))
		q.pass(time.Second / 2)
		if n, _ := q.try("chat"); n != nil {
			t.Errorf("claimed %s half a second after the last call", about(n))
		}
	})

	t.Run("no lane is asked for what only may come", func(t *testing.T) {
		q := newQueue(t, open)
		due := func(what string, want ...string) (next time.Time) {
			t.Helper()
			names, next, err := q.Due(ctx, q.now)
			check(t, err)
			diff(t, names, want)
			return next
		}
		card := router.Receipt{Own: made("ts", "1"), Open: true, Severity: router.Error}
		q.owe(chat(1, true, router.Error), page(1, "key"))
		q.deliver("chat", card)
		q.deliver("page", router.Receipt{Own: made("dedup_key", "k"), Open: true, Severity: router.Error})
		due("all is told")

		numbers := chat(1, true, router.Error)
		numbers.Cosmetic = true
		q.owe(numbers, chat(2, true, router.Error))
		q.deliver("chat", card)
		if next := due("new numbers wait"); !next.Equal(q.now.Add(router.CosmeticEvery)) {
			t.Errorf("the next is due in %s", next.Sub(q.now))
		}

		over := page(2, "other")
		over.Open, over.Unheard = false, true
		q.owe(over)
		due("a page that was over before it was told is no work")
		q.owe(page(3, "third"))
		due("a page", "page")
	})

	t.Run("a charge of several budgets takes all or none, and leaves a reserve", func(t *testing.T) {
		q := newQueue(t, open)
		for n := range int64(4) {
			q.owe(chat(n+1, true, router.Error))
		}
		small := router.Charge{Budget: "small", Calls: 1, Every: time.Hour, Burst: 1}
		large := router.Charge{Budget: "large", Calls: 1, Every: time.Second, Burst: 3}
		reserved := large
		reserved.Reserve = 1
		costs := map[string][]router.Charge{"c1": {small}, "c2": {large, small}, "c3": {large}, "c4": {reserved}}
		q.charges = func(n *router.Notification) []router.Charge { return costs[n.Key] }
		spend := func(want string) {
			t.Helper()
			n, _ := q.try("chat")
			if n != nil {
				check(t, q.Finish(ctx, told(n, router.Receipt{Own: made("ts", "1"), Open: true, Severity: router.Error})))
			}
			if got := n != nil && n.Key == want; got != (want != "") {
				t.Errorf("got %v, want %q", n, want)
			}
			q.pass(time.Microsecond)
		}
		spend("c1")
		spend("") // of c2
		q.pass(time.Hour)
		spend("c2") // all is paid off
		spend("c3")
		spend("") // of c4
	})

	t.Run("a notifier that keeps failing rests, and is probed by one delivery at a time", func(t *testing.T) {
		q := newQueue(t, open)
		for n := range int64(6) {
			q.owe(page(n+1, fmt.Sprint("k", n)))
		}
		for range router.LaneDown {
			q.fail("page", time.Second, 10*time.Second)
		}
		names, next, err := q.Due(ctx, q.now)
		check(t, err)
		if n, _ := q.try("page"); n != nil || len(names) != 0 || !next.Equal(q.now.Add(time.Second)) {
			t.Errorf("at rest: claimed %v, due %v, next in %s", n, names, next.Sub(q.now))
		}
		lanes, err := q.Lanes(ctx)
		check(t, err)
		diff(t, lanes, []router.Lane{{Notifier: "page", Failures: 3, PausedUntil: q.now.Add(time.Second)}})

		q.pass(time.Second)
		probe := q.claim("page")
		if n, _ := q.try("page"); n != nil || probe.Failures != 3 {
			t.Errorf("a second probe: %v; the first knew of %d failures", n, probe.Failures)
		}
		if names, next, err := q.Due(ctx, q.now); len(names) != 0 || !next.After(q.now) ||
			next.After(q.now.Add(time.Minute)) || err != nil {
			t.Errorf("while it is probed, due: %v, next %s, %v; want the end of the claim", names, next, err)
		}
		check(t, q.Finish(ctx, failed(probe, q.now.Add(10*time.Second), q.now.Add(2*time.Second))))
		q.pass(2 * time.Second)
		probe = q.claim("page")
		check(t, q.Finish(ctx, told(probe, router.Receipt{Own: made("dedup_key", "k"), Open: true})))
		left := map[int64]int{}
		for range 5 { // all at once, those in back-off too; only who was tried has an attempt behind it
			n := q.claim("page")
			left[n.Incident.Number] = n.Attempt
		}
		diff(t, left, map[int64]int{1: 2, 2: 2, 3: 2, 4: 2, 6: 1})
	})

	t.Run("one delivery that fails again and again stops no other", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(page(1, "k1"))
		for range 5 {
			q.fail("page", time.Minute, time.Second)
			q.pass(time.Second)
		}
		q.owe(page(2, "k2"))
		q.claim("page")
		q.claim("page")
	})

	t.Run("a refusal of one delivery stops no other, the same to one after another does", func(t *testing.T) {
		q := newQueue(t, open)
		for n := range int64(6) {
			q.owe(page(n+1, fmt.Sprint("k", n)))
		}
		refuse := func(words string) {
			n := q.claim("page")
			check(t, q.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: n.Revision,
				State: router.DeliveryParked, Error: words, Rest: q.now.Add(time.Minute)}))
		}
		for _, words := range []string{"bad key", "too long", "bad key", "bad key", "bad key"} {
			refuse(words)
		}
		if n, _ := q.try("page"); n != nil {
			t.Error("the sixth was tried as well")
		}
		// Who retries one has mended something.
		check(t, q.RetryDelivery(ctx, 1))
		q.claim("page")
	})

	t.Run("what became owed while an older state was refused is tried, and nobody is told that it is parked",
		func(t *testing.T) {
			q := newQueue(t, open)
			q.owe(page(1, "k"))
			q.deliver("page", router.Receipt{Own: made("dedup_key", "k"), Open: true, Severity: router.Error})
			q.owe(page(1, "k"))
			refresh := q.claim("page")
			over := page(1, "k")
			over.Open = false
			q.owe(over)
			refuse := func(n *router.Notification, words string) {
				event := event(words)
				check(t, q.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: n.Revision,
					State: router.DeliveryParked,
					Error: words, Receipt: n.Receipt, Event: &event, Digest: n.Digest}))
			}
			refuse(refresh, "details are too long")
			end := q.claim("page")
			if waiting, err := q.Waiting(ctx, 10); end.Open || len(waiting) != 0 || err != nil {
				t.Errorf("claimed %+v, the journal was told %+v, %v", end, waiting, err)
			}
			refuse(end, "details are too long")
			if waiting, err := q.Waiting(ctx, 10); len(waiting) != 1 || err != nil {
				t.Errorf("parked for good: the journal was told %+v, %v", waiting, err)
			}
			if n, _ := q.try("page"); n != nil {
				t.Errorf("tried again: %+v", n)
			}
		})

	t.Run("who lost a claim changes nothing any more", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(page(1, "k"))
		lost := q.claim("page")
		check(t, q.Extend(ctx, lost.Delivery, lost.Claim, q.now.Add(2*time.Minute)))
		q.pass(time.Minute)
		if n, _ := q.try("page"); n != nil {
			t.Error("claimed in spite of the extension")
		}
		q.pass(time.Minute)
		has := q.claim("page")
		if !has.MayExist || has.Attempt != 2 || has.Claim == lost.Claim {
			t.Errorf("second claim: %+v", has)
		}
		if err := q.Extend(ctx, lost.Delivery, lost.Claim, q.now.Add(time.Hour)); !errors.Is(err, router.ErrConflict) {
			t.Errorf("extend: %v", err)
		}
		if err := q.Finish(ctx, told(lost, router.Receipt{Own: made("dedup_key", "lost")})); !errors.Is(err,
			router.ErrConflict) {
			t.Errorf("finish: %v", err)
		}
		if n, _ := q.try("page"); n != nil {
			t.Error("the lost result released the claim")
		}
		for range 2 { // it may be repeated
			check(t, q.Finish(ctx, told(has, router.Receipt{Own: made("dedup_key", "k"), Open: true})))
		}
		all, err := q.Deliveries(ctx, router.DeliveryDelivered, 0)
		check(t, err)
		if len(all) != 1 || all[0].Receipt.Own != made("dedup_key", "k") {
			t.Errorf("delivered: %+v", all)
		}
	})

	t.Run("a time that the service named holds for all that is alike", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(chat(1, true, router.Error), chat(2, true, router.Error), router.Owed{Notice: 5, Key: "n5", Target: chatTarget,
			Severity: router.Info})
		n := q.claim("chat")
		check(t, q.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: 1, State: router.DeliveryWaiting,
			Interrupted: true, Error: "429", NextAt: q.now.Add(time.Minute)}))
		if n := q.claim("chat"); n.Notice == nil {
			t.Errorf("got %s, want what is of another class", about(n))
		}
		if n, _ := q.try("chat"); n != nil {
			t.Errorf("got %s, want nothing", about(n))
		}
		check(t, q.RetryDelivery(ctx, n.Delivery)) // somebody knows better
		if n := q.claim("chat"); n.Attempt != 1 || n.MayExist {
			t.Errorf("attempt %d, may exist %v", n.Attempt, n.MayExist)
		}
		if n := q.claim("chat"); n.Incident.Number != 2 {
			t.Errorf("got %s, want INC-2", about(n))
		}
	})

	t.Run("of two times that the service named the later holds", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(page(1, "k1"), page(2, "k2"))
		for i, again := range []*router.Notification{q.claim("page"), q.claim("page")} {
			check(t, q.Finish(ctx, router.Result{Delivery: again.Delivery, Claim: again.Claim, Revision: 1,
				State: router.DeliveryWaiting, Interrupted: true,
				Error: "429", NextAt: q.now.Add([]time.Duration{time.Minute, time.Second}[i])}))
		}
		q.pass(time.Second)
		if n, _ := q.try("page"); n != nil {
			t.Errorf("%s is tried after a second", about(n))
		}
		q.pass(time.Minute)
		q.claim("page")
	})

	t.Run("a clock that was years ahead for a moment holds nothing back for years", func(t *testing.T) {
		q := newQueue(t, open)
		for n := range int64(5) {
			q.owe(chat(n+1, true, router.Error))
		}
		q.charges = func(*router.Notification) []router.Charge {
			return []router.Charge{{Budget: "posts", Calls: 1, Every: time.Second, Burst: 4}}
		}
		q.pass(10 * 365 * 24 * time.Hour)
		lost := q.claim("chat") // by a process that dies
		for range router.LaneDown {
			q.fail("chat", time.Minute, time.Minute)
		}
		q.try("chat")
		q.now = noon.Add(time.Minute)
		if _, next, err := q.Due(ctx, q.now); next.After(q.now.Add(time.Hour)) || err != nil {
			t.Errorf("next in %s, %v", next.Sub(q.now), err)
		}
		q.pass(time.Minute) // who holds a claim and lives has said so by then
		seen := map[int64]bool{}
		for range 5 {
			n := q.deliver("chat", router.Receipt{Own: made("ts", "1"), Open: true, Severity: router.Error})
			seen[n.Delivery] = true
			q.pass(time.Second)
		}
		if len(seen) != 5 || !seen[lost.Delivery] {
			t.Errorf("told of %v", seen)
		}
	})

	t.Run("what a stop cuts short is offered to the others at once", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(page(1, "k"))
		<-q.Owed()
		n := q.claim("page")
		check(t, q.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: 1, State: router.DeliveryWaiting,
			Interrupted: true, Error: "cut", NextAt: q.now}))
		select {
		case <-q.Owed():
		default:
			t.Error("nobody was woken")
		}
	})

	t.Run("who lost a claim pins nothing any more", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(page(1, "k"))
		lost := q.claim("page")
		q.pass(time.Minute)
		has := q.claim("page")
		other := router.Target{Notifier: "page", Kind: router.KindPagerDuty, Credential: "another-key"}
		if err := q.Retarget(ctx, lost.Delivery, lost.Claim, other); !errors.Is(err, router.ErrConflict) {
			t.Errorf("the lost claim: %v", err)
		}
		check(t, q.Retarget(ctx, has.Delivery, has.Claim, other))
	})

	t.Run("metrics know what is owed since when", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(chat(1, true, router.Error))
		q.pass(time.Minute)
		q.owe(chat(1, true, router.Error), chat(2, true, router.Error), page(3, "k"))
		got, err := q.Backlog(ctx)
		check(t, err)
		diff(t, got, []router.Backlog{
			{Notifier: "chat", Class: router.ClassNew, Waiting: 2, Oldest: noon},
			{Notifier: "page", Class: router.ClassNew, Waiting: 1, Oldest: noon.Add(time.Minute)},
		})
	})

	t.Run("what is parked", func(t *testing.T) { parkedSuite(t, open) })

	t.Run("new numbers alone are told at once, then every ten seconds, and the last of them always", func(t *testing.T) {
		q := newQueue(t, open)
		told := router.Receipt{Own: made("ts", "1"), Open: true, Severity: router.Error}
		numbers := chat(1, true, router.Error)
		numbers.Cosmetic = true
		q.owe(chat(1, true, router.Error))
		q.deliver("chat", told)
		q.pass(time.Minute)
		q.owe(numbers)
		q.deliver("chat", told) // at once: nothing was told for long
		waits := func(d time.Duration) {
			t.Helper()
			if n, _ := q.try("chat"); n != nil {
				t.Errorf("%s is told too early", about(n))
			}
			if names, next, err := q.Due(ctx, q.now); err != nil || len(names) != 0 || !next.Equal(q.now.Add(d)) {
				t.Errorf("due %v, next in %s, %v; want it in %s", names, next.Sub(q.now), err, d)
			}
		}
		for range 3 {
			q.pass(time.Second)
			q.owe(numbers)
		}
		waits(7 * time.Second)
		q.pass(7 * time.Second)
		if n := q.deliver("chat", told); n.Revision != 5 { // the newest of them
			t.Errorf("told revision %d", n.Revision)
		}
		q.pass(time.Minute)
		if n, _ := q.try("chat"); n != nil {
			t.Errorf("%s is told twice", about(n))
		}

		// What comes while it is told waits as well, but for what matters.
		q.owe(numbers)
		n := q.claim("chat")
		q.owe(numbers)
		finish := func() {
			check(t, q.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: n.Revision,
				State: router.DeliveryDelivered, Receipt: told}))
		}
		finish()
		waits(10 * time.Second)
		q.pass(10 * time.Second)
		n = q.claim("chat")
		q.owe(numbers, chat(1, true, router.Critical))
		numbers.Severity = router.Critical
		q.owe(numbers)
		finish()
		if n = q.claim("chat"); n.Class != router.ClassWorse {
			t.Errorf("got class %s", n.Class)
		}
		finish()

		// What matters does not wait behind numbers that do.
		q.owe(numbers)
		waits(10 * time.Second)
		q.pass(time.Second)
		q.owe(chat(1, false, router.Error))
		if n := q.deliver("chat", router.Receipt{Own: made("ts", "1")}); n.Open {
			t.Error("the end is not told")
		}
	})

	t.Run("numbers that come while a delivery fails change nothing of its back-off", func(t *testing.T) {
		q := newQueue(t, open)
		q.owe(chat(1, true, router.Error))
		q.fail("chat", 0, 30*time.Second)
		numbers := chat(1, true, router.Error)
		numbers.Cosmetic = true
		q.pass(time.Second)
		q.owe(numbers)
		q.owe(chat(1, true, router.Critical))
		if _, next, err := q.Due(ctx, q.now); err != nil || !next.Equal(q.now.Add(29*time.Second)) {
			t.Errorf("next in %s, %v", next.Sub(q.now), err)
		}
		q.pass(29 * time.Second)
		q.deliver("chat", router.Receipt{Own: made("ts", "1"), Open: true, Severity: router.Critical})
	})

	t.Run("numbers are told at once where a clock said that the last were told in years", func(t *testing.T) {
		q := newQueue(t, open)
		q.pass(1000 * 24 * time.Hour)
		q.owe(chat(1, true, router.Error))
		q.deliver("chat", router.Receipt{Own: made("ts", "1"), Open: true, Severity: router.Error})
		q.now = noon
		numbers := chat(1, true, router.Error)
		numbers.Cosmetic = true
		q.owe(numbers)
		q.deliver("chat", router.Receipt{Own: made("ts", "1"), Open: true, Severity: router.Error})
	})

	t.Run("a storm", func(t *testing.T) { stormSuite(t, open) })
}

// queue is an open store with a clock that is moved.
type queue struct {
	opened
	t       *testing.T
	now     time.Time
	charges func(*router.Notification) []router.Charge
}

func newQueue(t *testing.T, open func(*testing.T, store.Config) opened) *queue {
	q := &queue{t: t, now: noon}
	q.opened = open(t, store.Config{Now: func() time.Time { return q.now }})
	return q
}

func (q *queue) pass(d time.Duration) { q.now = q.now.Add(d) }

// owe commits deliveries with the incidents and notices that they are about.
func (q *queue) owe(list ...router.Owed) {
	q.t.Helper()
	b := router.Batch{Owed: list}
	for _, o := range list {
		if o.Incident == 0 {
			b.Notices = append(b.Notices, router.Notice{Event: o.Notice, At: noon, Name: "X", Severity: o.Severity})
			continue
		}
		inc := incident(o.Incident)
		inc.Flow = fmt.Sprint("f", o.Incident)
		if !o.Open {
			inc.State, inc.ResolvedAt = router.IncidentResolved, q.now
		}
		b.Incidents = append(b.Incidents, inc)
	}
	check(q.t, q.Commit(context.Background(), b))
}

func (q *queue) try(notifier string) (n *router.Notification, short int) {
	q.t.Helper()
	n, short, err := q.Claim(context.Background(), router.Ask{Notifier: notifier, Now: q.now, Lease: time.Minute,
		Charges: q.charges})
	check(q.t, err)
	return n, short
}

func (q *queue) claim(notifier string) *router.Notification {
	q.t.Helper()
	n, _ := q.try(notifier)
	if n == nil {
		q.t.Fatalf("nothing to claim for %s", notifier)
	}
	return n
}

func (q *queue) deliver(notifier string, r router.Receipt) *router.Notification {
	q.t.Helper()
	n := q.claim(notifier)
	check(q.t, q.Finish(context.Background(), told(n, r)))
	return n
}

// fail claims a delivery that fails: it may be tried again after a time, and the notifier after another.
func (q *queue) fail(notifier string, rest, again time.Duration) {
	q.t.Helper()
	check(q.t, q.Finish(context.Background(), failed(q.claim(notifier), q.now.Add(again), q.now.Add(rest))))
}

func told(n *router.Notification, r router.Receipt) router.Result {
	return router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: n.Revision, State: router.DeliveryDelivered,
		Receipt: r, Digest: n.Digest}
}

func failed(n *router.Notification, next, rest time.Time) router.Result {
	return router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: n.Revision, State: router.DeliveryWaiting,
		Error:  "503",
		NextAt: next, Rest: rest, Receipt: n.Receipt, Digest: n.Digest}
}

func about(n *router.Notification) string {
	switch {
	case n.Digest != nil:
		return fmt.Sprintf("a digest of %d", len(n.Digest.Parts))
	case n.Notice != nil:
		return fmt.Sprint("n", n.Notice.Event)
	}
	return n.Incident.Name()
}

var chatTarget = router.Target{Notifier: "chat", Kind: router.KindSlack, Address: "#ops"}

func chat(incident int64, open bool, severity router.Severity) router.Owed {
	return router.Owed{Incident: incident, Key: fmt.Sprint("c", incident), Target: chatTarget, Open: open,
		Severity: severity}
}

func page(incident int64, key string) router.Owed {
	return router.Owed{Incident: incident, Key: key, Open: true, Severity: router.Error,
		Target: router.Target{Notifier: "page", Kind: router.KindPagerDuty, Credential: "pinned-key"}}
}

// made is a receipt's own half with one member.
func made(name, value string) router.Own { return router.Own(fmt.Sprintf("{%q:%q}", name, value)) }
