package store_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"flowbridge/router"
	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

// TestWhateverHappensEveryOwedStateArrives plays random histories on one queue: incidents open, change and close,
// alone and by the dozen; two processes claim, tell, fail, are told to wait, die before and after they told
// somebody, and come back late; time passes. At the end each notifier has been told of the last state of each
// incident. On the way, of the deliveries of one notifier and key only the oldest is ever tried, no delivery is tried
// twice at a time, no older state follows a newer one, and an attempt that may have told somebody is remembered.
func TestWhateverHappensEveryOwedStateArrives(t *testing.T) {
	t.Parallel()
	storetest.Long(t)
	played := 0
	rapid.Check(t, func(t *rapid.T) {
		if played++; played > histories {
			return
		}
		dir, err := os.MkdirTemp("", "queue")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		h := &history{T: t, now: noon, owed: map[job]owedState{}, told: map[job]toldState{}, ids: map[job]int64{},
			died:      map[job]bool{},
			unsettled: map[job]string{}, posted: map[string]bool{}}
		h.s, err = store.Open(context.Background(), store.Config{DSN: filepath.Join(dir, "q.db"),
			Now: func() time.Time { return h.now }})
		if err != nil {
			t.Fatal(err)
		}
		defer h.s.Close()
		for range rapid.IntRange(5, 60).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"owe", "owe", "claim", "claim", "claim", "end", "end", "end", "pass", "storm",
				"retry"}).Draw(t, "step") {
			case "owe":
				h.owe(h.change(rapid.Int64Range(1, 8).Draw(t, "incident")))
			case "storm":
				if h.storms++; h.storms <= 2 {
					for n := range int64(router.StormSize + 3) {
						h.owe(100*int64(h.storms)+n, true, router.Error)
					}
				}
			case "claim":
				h.claim(rapid.IntRange(0, 1).Draw(t, "process"), rapid.SampledFrom(lanes).Draw(t, "lane"))
			case "end":
				if len(h.flying) > 0 {
					h.end(rapid.IntRange(0, len(h.flying)-1).Draw(t, "which"), rapid.SampledFrom(outcomes).Draw(t, "outcome"))
				}
			case "pass":
				h.now = h.now.Add(rapid.SampledFrom([]time.Duration{time.Second, lease, time.Minute}).Draw(t, "time"))
			case "retry":
				h.retryParked()
			}
		}
		h.settle()
	})
}

const lease = 15 * time.Second

var (
	lanes    = []string{"chat", "page"}
	outcomes = []string{"told", "told", "told", "failed", "later", "refused", "stopped", "died", "died after telling",
		"cut off"}
)

// job is what one notifier is owed of one incident.
type job struct {
	incident int64
	notifier string
}

type owedState struct {
	open     bool
	severity router.Severity
}

type toldState struct {
	owedState
	revision int64
}

// flight is an attempt that has not ended.
type flight struct {
	process int
	until   time.Time
	n       *router.Notification
}

type history struct {
	*rapid.T
	s      *store.Store
	now    time.Time
	storms int
	owed   map[job]owedState
	told   map[job]toldState
	ids    map[job]int64
	died   map[job]bool // an attempt ended without a word, and may have told somebody
	flying []flight

	unsettled map[job]string  // the digest that tells of it, until it is known how that ended
	posted    map[string]bool // digests that are there
}

func (h *history) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// change draws how an incident moves.
func (h *history) change(n int64) (incident int64, open bool, severity router.Severity) {
	was := h.owed[job{n, "chat"}]
	return n, !was.open || rapid.Bool().Draw(h.T, "stays open"),
		rapid.SampledFrom([]router.Severity{router.Warning, router.Error, router.Critical}).Draw(h.T, "severity")
}

// keyOf makes some incidents share a key. Those of a storm do not: only what need not wait for others is digested.
func keyOf(j job) string {
	if j.incident >= 100 {
		return fmt.Sprint("s", j.incident)
	}
	return fmt.Sprint("k", j.incident%4)
}

func (h *history) owe(n int64, open bool, severity router.Severity) {
	inc := incident(n)
	if !open {
		inc.State, inc.ResolvedAt = router.IncidentResolved, h.now
	}
	b := router.Batch{Incidents: []router.Incident{inc}}
	for _, notifier := range lanes {
		j := job{n, notifier}
		h.owed[j] = owedState{open, severity}
		target := router.Target{Notifier: notifier, Kind: router.KindPagerDuty, Credential: "key"}
		if notifier == "chat" {
			target = chatTarget
		}
		b.Owed = append(b.Owed, router.Owed{Incident: n, Key: keyOf(j), Target: target, Open: open, Severity: severity})
	}
	h.must(h.s.Commit(context.Background(), b))
}

// jobs are what an attempt tells, with the revision of each.
func (h *history) jobs(n *router.Notification) map[job]toldState {
	out := map[job]toldState{}
	if n.Digest == nil {
		j := job{n.Incident.Number, n.Target.Notifier}
		out[j] = toldState{owedState{n.Open, n.Severity}, n.Revision}
		h.ids[j] = n.Delivery
		return out
	}
	for _, p := range n.Digest.Parts {
		j := job{p.Incident.Number, n.Target.Notifier}
		out[j] = toldState{owedState{!n.Digest.Recovered, p.Severity}, p.Revision}
		h.ids[j] = p.Delivery
	}
	return out
}

func (h *history) claim(process int, notifier string) bool {
	for _, f := range h.flying {
		if f.process == process && f.n.Target.Notifier == notifier && h.now.Before(f.until) {
			return false // a lane does one thing after another
		}
	}
	n, _, err := h.s.Claim(context.Background(), h.ask(notifier))
	h.must(err)
	if n == nil {
		return false
	}
	h.fly(process, n)
	return true
}

func (h *history) ask(notifier string) router.Ask {
	return router.Ask{Notifier: notifier, Now: h.now, Lease: lease}
}

// fly takes up that a process has claimed something, which it may.
func (h *history) fly(process int, n *router.Notification) {
	mine := h.jobs(n)
	looks := n.Digest != nil && n.Digest.Unsettled // it tells nothing, and waits for nobody
	for _, f := range h.flying {
		if !h.now.Before(f.until) {
			continue
		}
		for j := range h.jobs(f.n) {
			for m := range mine {
				if m == j || m.notifier == j.notifier && keyOf(m) == keyOf(j) && !looks &&
					(f.n.Digest == nil || !f.n.Digest.Unsettled) {
					h.Fatalf("%v is claimed while %v is in flight", m, j)
				}
			}
		}
	}
	parked := h.parked()
	for m := range mine {
		for j, id := range h.ids {
			if !looks && j.notifier == m.notifier && keyOf(j) == keyOf(m) && id < h.ids[m] && h.told[j].owedState != h.owed[j] &&
				!parked[id] {
				h.Fatalf("%v is tried before the older %v has what it is owed", m, j)
			}
		}
		if h.died[m] && n.Digest == nil && !n.MayExist {
			h.Fatalf("%v: nobody remembers that an attempt may have told it", m)
		}
		if id := h.unsettled[m]; id != "" && (n.Digest == nil || n.Digest.ID != id || !n.Digest.Unsettled) {
			h.Fatalf("%v: nobody looks whether a digest told it", m)
		}
	}
	if n.Digest != nil {
		for j, id := range h.unsettled {
			if _, ok := mine[j]; id == n.Digest.ID && !ok {
				h.Fatalf("%v: a digest is looked for without it", j)
			}
		}
		for j := range mine {
			h.unsettled[j] = n.Digest.ID
		}
	}
	h.flying = append(h.flying, flight{process, h.now.Add(lease), n})
}

// end ends an attempt. Who was cut off comes back after the lease, when another may have begun.
func (h *history) end(i int, outcome string) {
	f := h.flying[i]
	h.flying = append(h.flying[:i:i], h.flying[i+1:]...)
	r := router.Result{Delivery: f.n.Delivery, Claim: f.n.Claim, Revision: f.n.Revision, Digest: f.n.Digest,
		Receipt: f.n.Receipt, State: router.DeliveryWaiting, Error: outcome}
	if f.n.MayExist && r.Receipt.Own == "" {
		r.Receipt.Unsure = true // as a notifier says that cannot know better
	}
	tells := false
	switch outcome {
	case "told":
		tells = true
		r.State, r.Error = router.DeliveryDelivered, ""
	case "failed":
		r.NextAt, r.Rest = h.now.Add(time.Second), h.now.Add(2*time.Second)
	case "later":
		r.Interrupted, r.NextAt = true, h.now.Add(5*time.Second)
	case "stopped":
		r.Interrupted, r.NextAt = true, h.now
	case "refused":
		r.State, r.Rest = router.DeliveryParked, h.now.Add(2*time.Second)
	case "died":
		h.remember(f.n)
		return
	case "died after telling":
		h.post(f)
		h.remember(f.n)
		return
	case "cut off":
		tells = true
		r.State, r.Error = router.DeliveryDelivered, ""
		h.post(f)
		h.now = h.now.Add(lease)
		h.claim(1-f.process, f.n.Target.Notifier)
	}
	if tells {
		h.post(f)
		switch {
		case r.Digest == nil:
			r.Receipt = router.Receipt{Own: made("ts", f.n.Claim), Open: f.n.Open, Severity: f.n.Severity}
		case h.posted[r.Digest.ID]:
			r.Receipt = router.Receipt{Digest: r.Digest.ID, Open: !r.Digest.Recovered}
		default: // it was looked for, and is not there
			r.State, tells = router.DeliveryCancelled, false
		}
	}
	var next *router.Notification
	var err error
	if outcome == "told" && rapid.Bool().Draw(h.T, "goes on") {
		next, _, err = h.s.FinishAndClaim(context.Background(), r, h.ask(f.n.Target.Notifier))
	} else {
		err = h.s.Finish(context.Background(), r)
	}
	taken := false
	for _, g := range h.flying {
		for j := range h.jobs(g.n) {
			_, ok := h.jobs(f.n)[j]
			taken = taken || ok
		}
	}
	switch {
	case errors.Is(err, router.ErrConflict):
		if !taken && h.now.Before(f.until) {
			h.Fatalf("the claim of %d is gone, and nobody has it", f.n.Delivery)
		}
		h.remember(f.n)
		return
	case err != nil:
		h.Fatal(err)
	}
	if r.Digest != nil && !r.Receipt.Unsure && outcome != "stopped" || r.State == router.DeliveryCancelled {
		for j := range h.jobs(f.n) {
			delete(h.unsettled, j)
		}
	}
	if next != nil {
		defer h.fly(f.process, next)
	}
	if !tells {
		return
	}
	for j, s := range h.jobs(f.n) {
		if s.revision < h.told[j].revision {
			h.Fatalf("%v was told revision %d after %d", j, s.revision, h.told[j].revision)
		}
		h.told[j] = s
		delete(h.died, j)
	}
}

// post is the service taking a digest. One that is only looked for it does not get, nor one of somebody whose lease
// is over.
func (h *history) post(f flight) {
	if f.n.Digest != nil && !f.n.Digest.Unsettled && h.now.Before(f.until) {
		h.posted[f.n.Digest.ID] = true
	}
}

// remember notes that nobody knows how an attempt ended. Of a digest that is known already: see unsettled.
func (h *history) remember(n *router.Notification) {
	if n.Digest == nil {
		h.died[job{n.Incident.Number, n.Target.Notifier}] = true
	}
}

func (h *history) parked() map[int64]bool {
	found, err := h.s.Deliveries(context.Background(), router.DeliveryParked, 0)
	h.must(err)
	ids := map[int64]bool{}
	for _, d := range found {
		ids[d.ID] = true
	}
	return ids
}

func (h *history) retryParked() {
	for _, id := range slices.Sorted(maps.Keys(h.parked())) {
		if err := h.s.RetryDelivery(context.Background(), id); err != nil && !errors.Is(err, router.ErrConflict) {
			h.Fatal(err)
		}
	}
}

// settle lets everything end well, and looks at what the notifiers were told.
func (h *history) settle() {
	inOrder := func(a, b job) int {
		return cmp.Or(cmp.Compare(a.incident, b.incident), cmp.Compare(a.notifier, b.notifier))
	}
	for _, j := range slices.SortedFunc(maps.Keys(h.owed), inOrder) {
		if h.owed[j].open {
			h.owe(j.incident, false, h.owed[j].severity)
		}
	}
	for idle := 0; idle < 3; idle++ {
		h.retryParked()
		h.now = h.now.Add(time.Minute)
		h.flying = nil // who was at it is dead
		for _, lane := range lanes {
			for h.claim(0, lane) {
				for idle = 0; len(h.flying) > 0; {
					h.end(len(h.flying)-1, "told")
				}
			}
		}
	}
	replaced := h.parked() // that cannot be retried, since a younger incident has their key at the service
	for j, want := range h.owed {
		if replaced[h.ids[j]] {
			continue
		}
		if got := h.told[j]; got.owedState != want {
			h.Errorf("%v was told %v, and is owed %v", j, got.owedState, want)
		}
	}
	left, err := h.s.Deliveries(context.Background(), router.DeliveryWaiting, 0)
	h.must(err)
	if len(left) > 0 {
		h.Errorf("still owed: %+v", left)
	}
}
