package main

import (
	"net/http"
	"slices"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

// drama plays one of the stories in which alerting goes wrong most, on one flow, amid whatever else goes on: by chance
// alone its steps would seldom meet.
func (w *world) drama() {
	flow := []string{"71", "72", "73"}[w.rand.IntN(1+int(w.seed%3))]
	event := router.EndpointErrorRate
	w.say("-- a story of flow %s", flow)
	w.meta(flow, event, 10, true)
	w.soon(12)
	act := w.actor(flow, event)
	switch w.rand.IntN(8) {
	case 0: // acknowledged, taken back, worse
		act(router.Acknowledge)
		w.soon(6)
		act(router.Unacknowledge)
		w.meta(flow, event, 50, true)
	case 1: // acknowledged, over and back while PagerDuty cannot be reached
		act(router.Acknowledge)
		w.soon(6)
		w.pager.Fail(sandbox.Fault{Times: 2 + w.rand.IntN(6), Status: http.StatusServiceUnavailable})
		w.say("PagerDuty cannot be reached for a while")
		w.meta(flow, event, 10, false)
		w.soon(4)
		w.meta(flow, event, 10, true)
	case 2: // worse before the acknowledgement is heard of
		act(router.Acknowledge)
		w.meta(flow, event, 50, true)
	case 3: // over, and another with the same key has opened before the act is heard of
		act([]string{router.Acknowledge, router.Resolve}[w.rand.IntN(2)])
		w.meta(flow, event, 10, false)
		w.soon(6)
		w.meta(flow, event, 10, true)
	case 4: // over and back, and both arrive in a heap
		if w.has(withLate) {
			w.outage()
		}
		w.meta(flow, event, 10, false)
		w.now = w.now.Add(time.Duration(w.rand.IntN(60)) * time.Second)
		w.meta(flow, event, 10, true)
		w.now = later(w.now, w.heapUntil.Add(2*time.Second))
	case 5: // partly over
		w.meta(flow, event, 50, true)
		w.soon(8)
		w.meta(flow, event, 50, false)
	case 6: // a second page, and the database is lost
		act(router.Acknowledge)
		w.soon(6)
		w.meta(flow, event, 50, true)
		w.soon(8)
		if w.has(withLost) {
			w.lose()
		}
	case 7: // a person resolves it and takes that back
		act(router.Resolve, router.Reopen)
	}
	w.soon(8)
}

// actor returns a person who acts on what is wrong with a signal, here or in PagerDuty; nobody where nobody does.
func (w *world) actor(flow, event string) (act func(names ...string)) {
	var can []func(name string)
	if w.has(withConsole) {
		can = append(can, func(name string) { w.actOn(flow, event, name) })
	}
	if w.has(withHooks | withShuffled) {
		can = append(can, func(name string) { w.actOnPage(flow, event, name) })
	}
	if len(can) == 0 {
		return func(...string) {}
	}
	does := can[w.rand.IntN(len(can))]
	return func(names ...string) {
		for _, name := range names {
			does(name)
			w.soon(w.rand.IntN(4))
		}
	}
}

// meta makes a level of a flow active, or not.
func (w *world) meta(flow, event string, threshold float64, active bool) {
	if slices.Contains(w.active["501/"+flow+"/"+event], threshold) == active {
		return
	}
	w.truth = later(w.truth, w.now).Add(time.Second)
	w.toggle("501", flow, event, threshold)
}

// soon lets what is on its way arrive, be folded and be told, so many times, while seconds pass.
func (w *world) soon(times int) {
	for range times {
		w.now = w.now.Add(time.Duration(w.rand.IntN(20_000)) * time.Millisecond)
		w.survive(w.postOne)
		w.survive(w.hookOne)
		w.survive(func() { w.fold() })
		w.survive(func() { w.deliver() })
	}
}

// actOn is a person acting on what is open, or was last, about a signal.
func (w *world) actOn(flow, event, name string) {
	unresolved, err := w.unresolved()
	w.must(err)
	for _, inc := range unresolved {
		if inc.Flow == flow && inc.Event == event {
			w.survive(func() { w.actThere(&inc, name) })
			return
		}
	}
}

// actOnPage is a person acting in PagerDuty on the newest page about a signal.
func (w *world) actOnPage(flow, event, name string) {
	key := router.GroupBySignal.Key(&router.Event{WABA: "501", Flow: flow, Name: event})
	all := w.pager.Incidents()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].DedupKey == key {
			w.actInPagerDuty(&all[i], name, agentPerson)
			return
		}
	}
}
