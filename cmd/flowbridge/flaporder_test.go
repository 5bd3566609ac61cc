package main

import (
	"fmt"
	"strings"
	"testing"

	"flowbridge/router"
	databases "flowbridge/router/store/storetest"
)

const flapRules = `version: 1
notifiers:
  page: {kind: pagerduty, routing_key: "` + testRoutingKey + `"}
default: {notify: [page]}
`

// TestANewPageDoesNotWaitBehindWhatIsOver has 200 flows recover before PagerDuty, which takes two calls a second, has
// heard of most. Each is a call, since a database that was lost may have left something there.
func TestANewPageDoesNotWaitBehindWhatIsOver(t *testing.T) {
	t.Parallel()
	for name, storm := range map[string][]string{
		"they fail and recover twice":   {router.Activated, router.Deactivated, router.Activated, router.Deactivated},
		"nobody knows that they failed": {router.Deactivated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newPageAfter(t, storm)
		})
	}
}

func newPageAfter(t *testing.T, storm []string) {
	const flows, atMost = 200, 3
	b := newByHand(t, flapRules, databases.File(t))
	at := b.now.Unix() - 100
	for _, state := range storm {
		var entries []string
		for i := range flows {
			entries = append(entries, pairEntry(at, fmt.Sprint("flap", i), state, 50))
		}
		at++
		b.accept([]byte(postOf(entries...)))
		b.fold()
	}
	for b.deliver("page") { // as long as PagerDuty takes something
	}
	told := len(b.pager.Calls())
	b.accept([]byte(pairPost(at, "was-well", router.Activated, 50)))
	b.fold()
	for len(b.pager.Incidents()) == 0 {
		if !b.deliver("page") {
			b.passUntilDue()
		}
	}
	if n := len(b.pager.Calls()) - told; n > atMost {
		t.Errorf("somebody is paged with the call %d after the event, want at most %d", n, atMost)
	}
	for told = 0; told != len(b.pager.Calls()); { // until nothing is left to tell
		told = len(b.pager.Calls())
		for b.deliver("page") {
		}
		if _, next, err := b.store.Due(t.Context(), b.now); err == nil && next.After(b.now) {
			b.now, told = next, 0
		}
	}
	for _, inc := range b.pager.Incidents() {
		if !strings.Contains(inc.DedupKey, "was-well") {
			t.Errorf("somebody is paged for %s, which was over", inc.DedupKey)
		}
	}
	keys := map[string]bool{}
	for _, call := range b.pager.Calls() {
		if keys[call.DedupKey] {
			t.Errorf("%s is told twice", call.DedupKey)
		}
		keys[call.DedupKey] = true
	}
}
