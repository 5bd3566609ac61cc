package store_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
)

// pagesSuite is what every database must do for the pages of the console.
func pagesSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx := context.Background()

	t.Run("the key of the console is made once and stays", func(t *testing.T) {
		s := open(t, store.Config{})
		keys := make(chan []byte, 8)
		for range cap(keys) {
			go func() {
				key, err := s.ConsoleKey(ctx)
				if err != nil {
					t.Error(err)
				}
				keys <- key
			}()
		}
		first := <-keys
		for range cap(keys) - 1 {
			if key := <-keys; !bytes.Equal(key, first) {
				t.Errorf("two keys: %x and %x", first, key)
			}
		}
		if len(first) != 32 || bytes.Equal(first, make([]byte, 32)) {
			t.Errorf("no key: %x", first)
		}
	})

	t.Run("the stamp of the pages changes with what they show, and not else", func(t *testing.T) {
		s := owing(t, open, owed(1, "page", "key"))
		stamp := func() string {
			t.Helper()
			text, err := s.PageStamp(ctx)
			check(t, err)
			return text
		}
		last := stamp()
		if again := stamp(); again != last {
			t.Errorf("nothing happened: %s, then %s", last, again)
		}
		changed := func(what string) {
			t.Helper()
			now := stamp()
			if now == last {
				t.Errorf("%s does not show: %s", what, now)
			}
			last = now
		}
		n := claim(t, s.Store, "page", noon)
		changed("an attempt that begins")
		check(t, s.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: 1, State: router.DeliveryWaiting,
			Error: "503", NextAt: noon.Add(time.Second)}))
		changed("one that fails")
		check(t, s.RetryDelivery(ctx, n.Delivery))
		n = claim(t, s.Store, "page", noon.Add(2*time.Second))
		stamped := stamp()
		check(t, s.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: 1, State: router.DeliveryParked,
			Error: "bad key"}))
		if last = stamped; true {
			changed("a delivery that is parked")
		}
		if _, err := s.Append(ctx, []router.Event{{Digest: "new", Source: router.SourceMeta, At: noon, Received: noon,
			Name: router.EndpointErrorRate}}); err != nil {
			t.Fatal(err)
		}
		_, err := s.Events(ctx, "", 1) // brings in what has arrived
		check(t, err)
		changed("an event")
		inc := router.Incident{Number: 7, Key: "k", WABA: "w", Flow: "f", Event: router.EndpointErrorRate,
			State: router.IncidentOpen, Severity: router.Error, OpenedAt: noon, Revision: 1}
		check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{inc}}))
		changed("an incident")
		inc.Revision = 2
		check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{inc}}))
		changed("a revision of it")
	})
}
