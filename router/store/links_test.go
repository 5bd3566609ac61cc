package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

const rateKey = "flowbridge/501/77/ENDPOINT_ERROR_RATE"

// overBoth runs a test over each database, with a store that has INC-1, which chat and page are told of.
func overBoth(t *testing.T, test func(t *testing.T, s *store.Store)) {
	overBothBy(t, nil, test)
}

// overBothBy does so by a clock; nil is one that stands at noon.
func overBothBy(t *testing.T, now func() time.Time, test func(t *testing.T, s *store.Store)) {
	server := storetest.Shared(t)
	for name, fresh := range map[string]func(*testing.T) string{
		"SQLite":     func(t *testing.T) string { return filepath.Join(t.TempDir(), "test.db") },
		"PostgreSQL": func(t *testing.T) string { return migrated(t, server) },
	} {
		t.Run(name, func(t *testing.T) {
			s := opener(fresh)(t, store.Config{Now: now}).Store
			appendAll(t, s, event("a"))
			check(t, s.Commit(context.Background(), router.Batch{Incidents: []router.Incident{failing(1)},
				Owed: []router.Owed{owedPage(true), owedChat()}}))
			test(t, s)
		})
	}
}

func failing(number int64, links ...router.Link) router.Incident {
	return router.Incident{Number: number, Key: rateKey, WABA: "501", Flow: "77", Event: "ENDPOINT_ERROR_RATE",
		State: router.IncidentOpen, OpenedAt: noon, Revision: 1, Links: links}
}

func owedPage(open bool) router.Owed {
	return router.Owed{Incident: 1, Key: rateKey, Target: router.Target{Notifier: "page", Kind: router.KindPagerDuty,
		Credential: "k"}, Open: open, Severity: router.Error}
}

func owedChat() router.Owed {
	return router.Owed{Incident: 1, Key: rateKey, Target: router.Target{Notifier: "chat", Kind: router.KindSlack,
		Address: "#ops"}, Open: true, Severity: router.Error}
}

// attempt makes an attempt at what is due to a notifier, which ends with a receipt; false if nothing was due.
func attempt(t *testing.T, s *store.Store, notifier string, receipt router.Receipt) (n router.Notification, ok bool) {
	t.Helper()
	return attemptAt(t, s, noon, notifier, receipt)
}

func attemptAt(t *testing.T, s *store.Store, now time.Time, notifier string,
	receipt router.Receipt) (n router.Notification, ok bool) {
	t.Helper()
	claimed, _, err := s.Claim(context.Background(), router.Ask{Notifier: notifier, Now: now, Lease: time.Minute})
	check(t, err)
	if claimed == nil {
		return n, false
	}
	check(t, s.Finish(context.Background(), router.Result{Delivery: claimed.Delivery, Revision: claimed.Revision,
		Claim: claimed.Claim, Receipt: receipt, State: router.DeliveryDelivered}))
	return *claimed, true
}

var openReceipt = router.Receipt{Own: made("dedup_key", rateKey), Open: true}

func TestAPageIsFoundByItsKeyAndByTheNameThatTheServiceGivesIt(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		place := router.Place{FlowID: router.FlowID{WABA: "501", Flow: "77"}, Incident: 1, State: router.IncidentOpen,
			OpenedAt: noon, Notifier: "page", Key: rateKey, Credential: "k"}
		got, err := s.PlacesByKey(ctx, router.KindPagerDuty, "another key", rateKey)
		check(t, err)
		diff(t, got, []router.Place{place})

		place.Link = router.Link{Notifier: "page", Key: rateKey, ID: "P1", Number: 7,
			URL: "https://example.pagerduty.com/incidents/P1", Service: "S1"}
		check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{failing(1, place.Link)}}))
		for _, find := range []func() ([]router.Place, error){
			func() ([]router.Place, error) { return s.PlacesByKey(ctx, router.KindPagerDuty, rateKey) },
			func() ([]router.Place, error) { return s.PlacesByLink(ctx, router.KindPagerDuty, "P1") },
		} {
			got, err := find()
			check(t, err)
			diff(t, got, []router.Place{place})
		}
		got, err = s.PlacesByLink(ctx, router.KindPagerDuty, "P2")
		check(t, err)
		diff(t, got, []router.Place(nil))

		// It is opened anew there: what is done to the old page belongs to the incident, and to no page of it.
		check(t, s.Commit(ctx, router.Batch{
			Incidents: []router.Incident{failing(1, router.Link{Notifier: "page", Key: rateKey, ID: "P2", Number: 8})}}))
		got, err = s.PlacesByLink(ctx, router.KindPagerDuty, "P1")
		check(t, err)
		diff(t, got, []router.Place{{FlowID: place.FlowID, Incident: 1, State: router.IncidentOpen, OpenedAt: noon}})
	})
}

// TestWhatIsPinnedAnewHasNoReceiptAndIsAskedForItsName is for a target that is gone with all that was made there.
func TestWhatIsPinnedAnewHasNoReceiptAndIsAskedForItsName(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		attempt(t, s, "page", openReceipt)
		check(t, s.Commit(ctx, router.Batch{Owed: []router.Owed{owedPage(true)},
			Incidents: []router.Incident{failing(1, router.Link{Notifier: "page", Key: rateKey, ID: "P1", Number: 7})}}))
		n := claim(t, s, "page", noon)
		diff(t, n.Receipt, openReceipt)
		another := router.Target{Notifier: "page", Kind: router.KindPagerDuty, Credential: "another"}
		check(t, s.Retarget(ctx, n.Delivery, n.Claim, another))
		n = claim(t, s, "page", noon.Add(time.Hour)) // as if the process had ended there
		diff(t, n.Receipt, router.Receipt{})
		diff(t, n.Target, another)
		made := router.Result{Delivery: n.Delivery, Revision: n.Revision, Claim: n.Claim, Receipt: openReceipt,
			State: router.DeliveryDelivered}
		check(t, s.Finish(ctx, made))
		nameless, err := s.Unlinked(ctx, router.KindPagerDuty, noon.Add(-time.Minute))
		check(t, err)
		if len(nameless) != 1 {
			t.Errorf("asked for: %+v", nameless)
		}
	})
}

// TestAPageThatTheServiceRefusedWasNotThere looks since when people can have done anything to a page: not while each
// attempt at it was refused for certain.
func TestAPageThatTheServiceRefusedWasNotThere(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		for i, tt := range []struct {
			name   string
			end    router.Result
			exists bool
		}{
			{"busy, and it says until when", router.Result{State: router.DeliveryWaiting, Interrupted: true,
				NextAt: noon.Add(time.Minute)}, false},
			{"refused for now", router.Result{State: router.DeliveryWaiting, NextAt: noon.Add(2 * time.Minute)}, false},
			{"no clear answer", router.Result{State: router.DeliveryWaiting, NextAt: noon.Add(3 * time.Minute),
				Receipt: openReceipt}, true},
			{"busy again", router.Result{State: router.DeliveryWaiting, NextAt: noon.Add(4 * time.Minute), Receipt: openReceipt},
				true},
		} {
			at := noon.Add(time.Duration(i) * time.Minute)
			claimed, _, err := s.Claim(ctx, router.Ask{Notifier: "page", Now: at, Lease: time.Minute})
			check(t, err)
			if claimed == nil {
				t.Fatalf("%s: nothing is due", tt.name)
			}
			tt.end.Delivery, tt.end.Revision, tt.end.Claim = claimed.Delivery, claimed.Revision, claimed.Claim
			check(t, s.Finish(ctx, tt.end))
			places, err := s.PlacesByKey(ctx, router.KindPagerDuty, rateKey)
			check(t, err)
			want := time.Time{}
			if tt.exists { // since the first attempt that may have made it
				want = noon.Add(2 * time.Minute)
			}
			if !places[0].Known.Equal(want) {
				t.Errorf("%s: known since %s, want %s", tt.name, places[0].Known, want)
			}
		}
	})
}

// TestAPageThatAPersonReopenedIsNotOpenForTheNextIncident holds that what is done on such a page is not taken for the
// next incident with its key: its end is told first, and then that one is told anew.
func TestAPageThatAPersonReopenedIsNotOpenForTheNextIncident(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		isOpen := func() bool {
			places, err := s.PlacesByKey(ctx, router.KindPagerDuty, rateKey)
			check(t, err)
			return places[0].Open
		}
		attempt(t, s, "page", openReceipt)
		if !isOpen() {
			t.Error("a page that was told is not open")
		}
		check(t, s.Commit(ctx, router.Batch{Owed: []router.Owed{owedPage(false)}}))
		attempt(t, s, "page", router.Receipt{Own: made("dedup_key", rateKey)})
		reopened := owedPage(true)
		reopened.At = noon.Add(time.Minute)
		end := owedPage(false)
		end.Reopened = true
		check(t, s.Commit(ctx, router.Batch{AlreadyThere: []router.Owed{reopened}}))
		if !isOpen() {
			t.Error("one that a person has reopened is not open")
		}
		check(t, s.Commit(ctx, router.Batch{Owed: []router.Owed{end}}))
		if isOpen() {
			t.Error("one whose end waits to be told again is open")
		}
	})
}

func TestAPageThatWasToldOfTheEndAfterAPersonOpenedItIsToldOnceMore(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		attempt(t, s, "page", openReceipt)
		check(t, s.Commit(ctx, router.Batch{Owed: []router.Owed{owedPage(false)}}))
		attempt(t, s, "page", router.Receipt{Own: made("dedup_key", rateKey)}) // told of the end, at noon by our clock
		for _, tt := range []struct {
			name     string
			reopened time.Time
			told     bool
		}{
			{"opened there a minute later", noon.Add(time.Minute), false},
			{"opened there within the same second, or before", noon, true},
		} {
			known := owedPage(true)
			known.At = tt.reopened
			check(t, s.Commit(ctx, router.Batch{AlreadyThere: []router.Owed{known}}))
			if n, ok := attempt(t, s, "page", openReceipt); ok != tt.told || ok && !n.Open {
				t.Errorf("%s: told %v (open %v), want %v", tt.name, ok, n.Open, tt.told)
			}
			known.Open, known.At = false, noon.Add(time.Hour)
			check(t, s.Commit(ctx, router.Batch{AlreadyThere: []router.Owed{known}})) // and closed there again
		}
	})
}

func TestAPageIsUnlinkedFromWhenItIsAcceptedUntilItsNameIsKnownAndAnewAfterItWasClosed(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		unlinked := func(what string, want int) {
			t.Helper()
			got, err := s.Unlinked(ctx, router.KindPagerDuty, noon.Add(-time.Minute))
			check(t, err)
			if len(got) != want {
				t.Errorf("%s: %d pages without a name, want %d", what, len(got), want)
			}
		}
		unlinked("before it was told", 0)
		attempt(t, s, "page", openReceipt)
		unlinked("accepted", 1)
		link := router.Link{Notifier: "page", Key: rateKey, ID: "P1"}
		check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{failing(1, link)}}))
		unlinked("named", 0)
		check(t, s.Commit(ctx, router.Batch{Owed: []router.Owed{owedPage(false)}}))
		attempt(t, s, "page", router.Receipt{Own: made("dedup_key", rateKey)})
		check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{failing(1, link)},
			Owed: []router.Owed{owedPage(true)}}))
		attempt(t, s, "page", openReceipt)
		unlinked("open anew", 1)
		check(t, s.Commit(ctx, router.Batch{
			Incidents: []router.Incident{failing(1, router.Link{Notifier: "page", Key: rateKey, ID: "P2"})}}))
		unlinked("named anew", 0)
		check(t, s.Commit(ctx, router.Batch{AlreadyThere: []router.Owed{owedPage(false)}}))
		check(t, s.Commit(ctx, router.Batch{Owed: []router.Owed{owedPage(true)}}))
		unlinked("closed by a person there, and open anew", 1)
		if got, err := s.Unlinked(ctx, router.KindPagerDuty, noon); len(got) != 0 || err != nil {
			t.Errorf("told long ago: %v, %v", got, err)
		}
	})
}

func TestPagesThatNeverGetANameHideNoOthers(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		var b router.Batch
		for n := range int64(101) {
			inc := failing(n + 2)
			inc.Flow = fmt.Sprint(n)
			b.Incidents = append(b.Incidents, inc)
			page := owedPage(true)
			page.Incident, page.Key = n+2, fmt.Sprint(rateKey, n)
			b.Owed = append(b.Owed, page)
		}
		check(t, s.Commit(ctx, b))
		for ok := true; ok; {
			_, ok = attempt(t, s, "page", openReceipt)
		}
		nameless, err := s.Unlinked(ctx, router.KindPagerDuty, noon.Add(-time.Minute))
		check(t, err)
		if len(nameless) != 100 || !slices.ContainsFunc(nameless, func(p router.Place) bool { return p.Incident == 102 }) {
			t.Errorf("%d pages, and that of INC-102, told last, is not among them", len(nameless))
		}
	})
}

func TestWhatAServiceKnowsIsNotToldToItUnlessSomethingElseIsUnderWay(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		attempt(t, s, "page", openReceipt)
		check(t, s.Commit(ctx, router.Batch{AlreadyThere: []router.Owed{owedPage(false)}}))
		if n, ok := attempt(t, s, "page", openReceipt); ok {
			t.Errorf("told what it said itself: %+v", n)
		}
		check(t, s.Commit(ctx, router.Batch{Owed: []router.Owed{owedPage(true)}}))
		claimed, _, err := s.Claim(ctx, router.Ask{Notifier: "page", Now: noon, Lease: time.Minute})
		check(t, err)
		check(t, s.Commit(ctx, router.Batch{AlreadyThere: []router.Owed{owedPage(false)}})) // while a trigger is under way
		check(t, s.Finish(ctx, router.Result{Delivery: claimed.Delivery, Revision: claimed.Revision, Claim: claimed.Claim,
			Receipt: openReceipt, State: router.DeliveryDelivered}))
		if n, ok := attempt(t, s, "page", router.Receipt{Own: made("dedup_key", rateKey)}); !ok || n.Open {
			t.Errorf("after a trigger that came too late: told %v, open %v", ok, n.Open)
		}
	})
}

func TestACardsAddressReachesThePageOnce(t *testing.T) {
	t.Parallel()
	card := router.Receipt{Own: made("ts", "1.0"), Link: "https://example.slack.com/archives/C1/p10"}
	linked := []router.Related{{Notifier: "chat", Kind: router.KindSlack, Link: card.Link}}
	later := noon.Add(router.LinkAfter)
	for _, test := range []struct {
		name string
		card func(t *testing.T, s *store.Store) // is posted beside the page
		now  time.Time
	}{
		{"a while after the page was told", func(t *testing.T, s *store.Store) {
			attempt(t, s, "page", openReceipt)
			attempt(t, s, "chat", card)
		}, later},
		{"a while after the page that is under way", func(t *testing.T, s *store.Store) {
			page, _, err := s.Claim(context.Background(), router.Ask{Notifier: "page", Now: noon, Lease: time.Minute})
			check(t, err)
			attempt(t, s, "chat", card)
			check(t, s.Finish(context.Background(), router.Result{Delivery: page.Delivery, Revision: page.Revision,
				Claim: page.Claim, Receipt: openReceipt, State: router.DeliveryDelivered}))
		}, later},
		{"with the page that waits", func(t *testing.T, s *store.Store) { attempt(t, s, "chat", card) }, noon},
		{"at once with what else is owed", func(t *testing.T, s *store.Store) {
			attempt(t, s, "page", openReceipt)
			attempt(t, s, "chat", card)
			check(t, s.Commit(context.Background(), router.Batch{Owed: []router.Owed{owedPage(true)}}))
		}, noon},
		{"at once with what else became owed while the page was under way", func(t *testing.T, s *store.Store) {
			page, _, err := s.Claim(context.Background(), router.Ask{Notifier: "page", Now: noon, Lease: time.Minute})
			check(t, err)
			check(t, s.Commit(context.Background(), router.Batch{Owed: []router.Owed{owedPage(true)}}))
			attempt(t, s, "chat", card)
			check(t, s.Finish(context.Background(), router.Result{Delivery: page.Delivery, Revision: page.Revision,
				Claim: page.Claim, Receipt: openReceipt, State: router.DeliveryDelivered}))
		}, noon},
	} {
		t.Run(test.name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, s *store.Store) {
				test.card(t, s)
				if n, ok := attemptAt(t, s, test.now.Add(-time.Millisecond), "page", openReceipt); ok && test.now.After(noon) {
					t.Errorf("told already: %+v", n)
				}
				n, ok := attemptAt(t, s, test.now, "page", openReceipt)
				if diff := cmp.Diff(linked, n.Related); !ok || diff != "" {
					t.Errorf("told %v; related (-want +got):\n%s", ok, diff)
				}
				if n, ok := attemptAt(t, s, later, "chat", card); ok {
					t.Errorf("the card is told of the page that was told of it: %+v", n)
				}
				check(t, s.Commit(context.Background(), router.Batch{Owed: []router.Owed{owedChat()}}))
				attempt(t, s, "chat", card)
				if n, ok := attemptAt(t, s, noon.Add(time.Hour), "page", openReceipt); ok {
					t.Errorf("the page is told again of an address that it has: %+v", n)
				}
			})
		})
	}
}

func TestACardsAddressDoesNotOpenAPageThatIsClosed(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		attempt(t, s, "page", openReceipt)
		check(t, s.Commit(ctx, router.Batch{AlreadyThere: []router.Owed{owedPage(false)}}))
		attempt(t, s, "chat", router.Receipt{Own: made("ts", "1.0"), Link: "https://example.slack.com/archives/C1/p10"})
		if n, ok := attempt(t, s, "page", openReceipt); ok {
			t.Errorf("told: %+v", n)
		}
	})
}

func TestWhatIsPostponedComesBackInItsOrderUntilItIsSettled(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		said := func(about, digest string) router.Postponed {
			return router.Postponed{About: about, Digest: digest, Received: noon, Events: []router.Event{{Name: router.Note,
				At: noon, Received: noon, Source: router.SourcePagerDuty, Act: &router.Act{Text: digest}}}}
		}
		for _, p := range []router.Postponed{said("P1", "a"), said("P1", "b"), said("P2", "c"), said("P1", "a")} {
			check(t, s.Postpone(ctx, p))
		}
		due := func(at time.Time) (digests []string) {
			t.Helper()
			list, err := s.Postponed(ctx, at, 10)
			check(t, err)
			for _, p := range list {
				digests = append(digests, p.Digest)
			}
			return digests
		}
		diff(t, due(noon), []string{"a", "c"})
		list, err := s.Postponed(ctx, noon, 1)
		check(t, err)
		want := said("P1", "a")
		want.ID = list[0].ID
		diff(t, list, []router.Postponed{want})
		check(t, s.PostponeMore(ctx, want.ID, noon.Add(time.Minute)))
		diff(t, due(noon), []string{"c"}) // b waits for a
		diff(t, due(noon.Add(time.Minute)), []string{"a", "c"})
		check(t, s.Settle(ctx, want.ID))
		diff(t, due(noon), []string{"b", "c"})
		for about, want := range map[string]bool{"P1": true, "P3": false} {
			if got, err := s.Waits(ctx, about); got != want || err != nil {
				t.Errorf("something waits about %s: %v, %v", about, got, err)
			}
		}
		for i := range router.MaxPostponed {
			err = s.Postpone(ctx, said("P9", fmt.Sprint(i)))
		}
		if !errors.Is(err, router.ErrBusy) {
			t.Errorf("more than is kept: %v", err)
		}
	})
}
