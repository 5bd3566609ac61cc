package store_test

import (
	"context"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
)

// TestTwoNamesForOneTargetWaitForEachOther holds for two notifiers with one routing key, or one that was renamed: the
// trigger of the next incident must not overtake the resolve of the one before it.
func TestTwoNamesForOneTargetWaitForEachOther(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		attempt(t, s, "page", openReceipt)
		renamed, elsewhere := owedPage(true), owedPage(true)
		renamed.Incident, renamed.Target.Notifier = 2, "renamed"
		elsewhere.Incident, elsewhere.Target.Notifier, elsewhere.Target.Credential = 2, "elsewhere", "another"
		check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{failing(2)},
			Owed: []router.Owed{owedPage(false), renamed, elsewhere}}))
		if n, ok := attempt(t, s, "renamed", openReceipt); ok {
			t.Errorf("told of the next incident before the end of the last: %+v", n)
		}
		if _, ok := attempt(t, s, "elsewhere", openReceipt); !ok {
			t.Error("another target waits for it, too")
		}
		if n, ok := attempt(t, s, "page", router.Receipt{Own: made("dedup_key", rateKey)}); !ok || n.Open {
			t.Errorf("the end of the last: told %v, %+v", ok, n)
		}
		if n, ok := attempt(t, s, "renamed", openReceipt); !ok || !n.Open {
			t.Errorf("the next: told %v, %+v", ok, n)
		}
	})
}

// TestWhatTheNextIncidentHasIsNotLeftOfALostDatabase is for the end of an incident that is told late.
func TestWhatTheNextIncidentHasIsNotLeftOfALostDatabase(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s *store.Store) {
		over := failing(1)
		over.State, over.First, over.PageOnRise = router.IncidentResolved, true, true
		rise := owedPage(true)
		rise.Incident, rise.PagedAt, rise.Key = 2, 9, rateKey+"/critical"
		check(t, s.Commit(context.Background(), router.Batch{Incidents: []router.Incident{over, failing(2)},
			Owed: []router.Owed{owedPage(false), rise}}))
		if n, ok := attempt(t, s, "page", openReceipt); !ok || n.Key != rise.Key { // what is new comes first
			t.Fatalf("told %v, %+v", ok, n)
		}
		n, ok := attempt(t, s, "page", router.Receipt{Own: made("dedup_key", rateKey)})
		if !ok || n.Incident.Number != 1 {
			t.Fatalf("told %v, %+v", ok, n)
		}
		diff(t, n.Left(), []string{rateKey + "/warning", rateKey + "/error"})
	})
}

// TestWhatIsLeftOfALostDatabaseEndsWithAPageThatAPersonEnded has its service asked once, though it knows of the end.
func TestWhatIsLeftOfALostDatabaseEndsWithAPageThatAPersonEnded(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s *store.Store) {
		attempt(t, s, "page", openReceipt)
		over, ended := failing(1), owedPage(false)
		over.State, over.First, over.PageOnRise = router.IncidentResolved, true, true
		ended.At, ended.Left = noon.Add(time.Hour), true
		check(t, s.Commit(context.Background(),
			router.Batch{Incidents: []router.Incident{over}, AlreadyThere: []router.Owed{ended}}))
		n, ok := attempt(t, s, "page", router.Receipt{Own: made("dedup_key", rateKey)})
		if !ok || n.Open || n.Receipt.Open || len(n.Left()) != 3 {
			t.Errorf("told %v: %+v, left %v", ok, n, n.Left())
		}
	})
}

// TestAPageThatWasToldOfAfterAPersonEndedItIsEndedAgain is for a webhook that comes late: what we told in between
// opened the page anew.
func TestAPageThatWasToldOfAfterAPersonEndedItIsEndedAgain(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		attempt(t, s, "page", openReceipt)
		ended := owedPage(false)
		ended.At = noon.Add(-time.Hour)
		check(t, s.Commit(ctx, router.Batch{AlreadyThere: []router.Owed{ended}}))
		if n, ok := attempt(t, s, "page", router.Receipt{Own: made("dedup_key", rateKey)}); !ok || n.Open || !n.Receipt.Open {
			t.Errorf("told %v: %+v", ok, n)
		}
	})
}

// TestAPageThatAPersonEndedIsClosedOnceWhereItIsMadeAnew is for the name of what the service made of a trigger that
// came after a person had ended the page: it is closed, unless it was told of the end since.
func TestAPageThatAPersonEndedIsClosedOnceWhereItIsMadeAnew(t *testing.T) {
	t.Parallel()
	closed := router.Receipt{Own: made("dedup_key", rateKey)}
	for _, tt := range []struct {
		name   string
		before func(t *testing.T, s *store.Store)
		closed bool // once more
	}{
		{"it was told of the end since", func(t *testing.T, s *store.Store) {
			check(t, s.Commit(context.Background(), router.Batch{Owed: []router.Owed{owedPage(false)}}))
			attempt(t, s, "page", closed)
		}, false},
		{"a person ended what it had, and nothing was told since", func(t *testing.T, s *store.Store) {
			ended := owedPage(false)
			ended.At = noon.Add(-100 * time.Second)
			check(t, s.Commit(context.Background(), router.Batch{AlreadyThere: []router.Owed{ended}}))
			check(t, s.Commit(context.Background(), router.Batch{Owed: []router.Owed{owedPage(false)}}))
			attempt(t, s, "page", closed) // which finds nothing to tell
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := noon
			overBothBy(t, func() time.Time { return clock }, func(t *testing.T, s *store.Store) {
				clock = noon.Add(-2 * time.Minute)
				attempt(t, s, "page", openReceipt)
				clock = noon.Add(-time.Minute)
				tt.before(t, s)
				anew, end := owedPage(true), owedPage(false)
				anew.At = noon.Add(-90 * time.Second)
				end.Reopened, end.Ended = true, anew.At
				check(t, s.Commit(context.Background(), router.Batch{Owed: []router.Owed{end}, Overtaken: []router.Owed{anew}}))
				if n, ok := attempt(t, s, "page", closed); !ok || n.Open || n.Receipt.Open != tt.closed {
					t.Errorf("told %v: open %v, and it holds one that is open: %v, want %v", ok, n.Open, n.Receipt.Open, tt.closed)
				}
				clock = noon
			})
		})
	}
}

// TestAReceiptSaysWhatTheServiceHolds is what a later attempt judges by: see Notification.Stale.
func TestAReceiptSaysWhatTheServiceHolds(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		attempt(t, s, "page", openReceipt)
		known, owed := owedPage(true), owedPage(true)
		known.Acknowledged, known.Opening, owed.Opening = true, 1, 2
		check(t, s.Commit(ctx, router.Batch{AlreadyThere: []router.Owed{known}}))
		check(t, s.Commit(ctx, router.Batch{Owed: []router.Owed{owed}}))
		n, ok := attempt(t, s, "page", openReceipt)
		if !ok || !n.Receipt.Acknowledged || n.Receipt.Opening != 1 || n.Opening != 2 || !n.Stale() {
			t.Errorf("told %v, opening %d, receipt %+v", ok, n.Opening, n.Receipt)
		}
	})
}

// TestAnAcknowledgementIsOfTheOpeningThatTheServiceWasToldOf is for one that comes while the next opening waits.
func TestAnAcknowledgementIsOfTheOpeningThatTheServiceWasToldOf(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		told := openReceipt
		told.Opening = 1
		attempt(t, s, "page", told)
		known, owed := owedPage(true), owedPage(true)
		known.Acknowledged, owed.Opening = true, 2
		check(t, s.Commit(ctx, router.Batch{Owed: []router.Owed{owed}}))
		check(t, s.Commit(ctx, router.Batch{AlreadyThere: []router.Owed{known}}))
		n, ok := attempt(t, s, "page", openReceipt)
		if !ok || !n.Receipt.Acknowledged || n.Receipt.Opening != 1 || n.Opening != 2 || !n.Stale() {
			t.Errorf("told %v, opening %d, receipt %+v", ok, n.Opening, n.Receipt)
		}
	})
}

func TestWhatIsActiveAnywhereIsKnown(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		alert := func(flow string, incident int64, active bool) router.FlowAlert {
			return router.FlowAlert{FlowID: router.FlowID{WABA: "501", Flow: flow},
				Alert: router.Alert{Event: router.EndpointErrorRate, Level: "10", Active: active, Incident: incident}}
		}
		labelled, resolved := failing(2), failing(3)
		labelled.Labels = map[string]string{"team": "payments"}
		resolved.State = router.IncidentResolved
		check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{labelled, resolved},
			Alerts: []router.FlowAlert{alert("1", 1, false), alert("2", 2, true), alert("3", 3, true)}}))
		got, err := s.Counting(ctx)
		check(t, err)
		diff(t, got, []router.Counting{{FlowID: router.FlowID{WABA: "501", Flow: "2"}, Event: router.EndpointErrorRate,
			Labels: map[string]string{"team": "payments"}}})
	})
}
