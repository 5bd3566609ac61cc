package main

import (
	"fmt"
	"strings"
	"testing"

	"flowbridge/router"
)

const flapRules = `version: 1
notifiers:
  page: {kind: pagerduty, routing_key: "` + testRoutingKey + `"}
default: {notify: [page]}
`

// TestANewPageDoesNotWaitBehindAStormThatIsOver has 200 flows fail and recover twice before PagerDuty, which takes two
// calls a second, has heard of most. Each of their first ends is a call, since a database that was lost may have left
// something there.
func TestANewPageDoesNotWaitBehindAStormThatIsOver(t *testing.T) {
	t.Parallel()
	const flows, atMost = 200, 3
	b := newByHand(t, flapRules)
	at := b.now.Unix() - 100
	for _, state := range []string{router.Activated, router.Deactivated, router.Activated, router.Deactivated} {
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
	paged := func() bool {
		for _, inc := range b.pager.Incidents() {
			if strings.Contains(inc.DedupKey, "was-well") {
				return true
			}
		}
		return false
	}
	for !paged() {
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
	if n := len(b.pager.Incidents()); n != 1 {
		t.Errorf("%d incidents, want 1: nobody is paged for what is over", n)
	}
	if n := len(b.pager.Calls()); n > flows+2 {
		t.Errorf("%d calls for %d flows that were over before PagerDuty heard of them", n, flows)
	}
}
