package main

import (
	"slices"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
	databases "flowbridge/router/store/storetest"
)

// TestALateRecoveryEndsNothingThatIsNewer folds the events of more and more flows together, with a recovery of each
// that is older than its newest report, as when Meta repeats it.
func TestALateRecoveryEndsNothingThatIsNewer(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	onBoth(t, func(t *testing.T, db string) {
		b := newByHand(t, flapRules, db)
		for flows := range 6 {
			names := "abcdef"[:flows+1]
			b.now = b.now.Add(time.Minute) // of which PagerDuty takes 120 calls
			at := b.now.Unix() - 10
			stand := func(want int, when string) {
				t.Helper()
				b.now = b.now.Add(time.Second) // what comes while something waits is looked for in a moment
				for b.deliver("page") {
				}
				pages := 0
				for _, inc := range b.pager.Incidents() {
					if inc.Status != sandbox.IncidentResolved {
						pages++
					}
				}
				known, err := b.store.Incidents(t.Context(), router.IncidentFilter{State: router.IncidentOpen, Limit: 100})
				if err != nil || len(known) != want || pages != want {
					t.Errorf("%d flows, %s: %d incidents and %d pages are open, want %d (%v)", len(names), when, len(known),
						pages, want, err)
				}
			}
			report := func(at int64, state string, flows string) (entries []string) {
				for _, flow := range flows {
					entries = append(entries, pairEntry(at, string(flow), state, 50))
				}
				return entries
			}
			b.accept([]byte(postOf(report(at, router.Activated, names)...)))
			b.fold()
			stand(len(names), "all fail")
			b.accept([]byte(postOf(slices.Concat(report(at+2, router.Activated, names),
				report(at+1, router.Deactivated, names))...)))
			b.fold()
			stand(len(names), "a recovery comes late")
			b.accept([]byte(postOf(report(at+3, router.Deactivated, names)...)))
			b.fold()
			stand(0, "all are well")
		}
	})
}
