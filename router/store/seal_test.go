package store_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

// sealing is the part of the suite about routing keys at rest. fresh names a database.
func sealing(t *testing.T, fresh func(*testing.T) string) {
	ctx := context.Background()
	dsn := fresh(t)
	var log bytes.Buffer
	// with opens the database with secrets, hands it to f, and returns how its routing keys are stored.
	with := func(f func(s *store.Store), secrets ...router.Secret) (stored string) {
		t.Helper()
		log.Reset()
		s, err := store.Open(ctx, store.Config{DSN: dsn,
			StartWait: storetest.Patience, Seals: secrets, Now: func() time.Time { return noon },
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Target: func(notifier string) (router.Target, bool) {
				return router.Target{Notifier: notifier, Credential: "key-of-the-rules"}, notifier == "page"
			}})
		check(t, err)
		defer s.Close()
		f(s)
		keys, err := s.StoredRoutingKeys(ctx)
		check(t, err)
		if len(keys) != 1 {
			t.Fatalf("stored keys: %q", keys)
		}
		return keys[0]
	}
	later := noon
	claimed := func(want router.Secret) func(s *store.Store) {
		return func(s *store.Store) {
			t.Helper()
			later = later.Add(time.Hour)
			if n := claim(t, s, "page", later); n.Target.Credential != want {
				t.Errorf("the claim has routing key %q, want %q", n.Target.Credential.Reveal(), want.Reveal())
			}
			places, err := s.PlacesByKey(ctx, router.KindPagerDuty, "k1")
			check(t, err)
			if len(places) != 1 || places[0].Credential != want {
				t.Errorf("places: %+v", places)
			}
		}
	}
	plain := with(func(s *store.Store) { // of an older bridge
		check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{incident(1)},
			Owed: []router.Owed{owed(1, "page", "k1")}}))
	})
	if plain != "pinned-key" {
		t.Errorf("without a secret: %q", plain)
	}
	first := with(claimed("pinned-key"), "first")
	if !strings.HasPrefix(first, "sealed:1:") || strings.Contains(first, "pinned") {
		t.Errorf("sealed: %q", first)
	}
	if again := with(claimed("pinned-key"), "first"); again != first {
		t.Errorf("sealed anew with the same secret: %q, %q", first, again)
	}
	second := with(claimed("pinned-key"), "second", "first")
	if second == first {
		t.Error("not sealed anew with the newest secret")
	}
	if lost := with(claimed("key-of-the-rules"), "third"); lost != second ||
		!strings.Contains(log.String(), "stand in for them") {
		t.Errorf("a key that none opens: %q, the log says %s", lost, &log)
	}
	with(claimed("pinned-key"), "third", "second")
	with(func(s *store.Store) {
		later = later.Add(time.Hour)
		n := claim(t, s, "page", later)
		check(t, s.Retarget(ctx, n.Delivery, n.Claim, router.Target{Notifier: "page", Kind: router.KindPagerDuty,
			Credential: "another-key"}))
	}, "third")
	if stored := with(claimed("another-key"), "third"); !strings.HasPrefix(stored, "sealed:1:") {
		t.Errorf("a key that was put there later: %q", stored)
	}
}

// sealingAddresses is the part about addresses that may hold a credential.
func sealingAddresses(t *testing.T, fresh func(*testing.T) string) {
	ctx, dsn := context.Background(), fresh(t)
	hook := router.Target{Notifier: "hook", Kind: router.KindWebhook, Address: "https://hooks.example.com/hunter2",
		Credential: "whsec_x"}
	var before []string
	for i, secrets := range [][]router.Secret{{"first"}, {"second", "first"}} {
		s, err := store.Open(ctx, store.Config{DSN: dsn,
			StartWait: storetest.Patience, Seals: secrets, Now: func() time.Time { return noon }})
		check(t, err)
		if i == 0 {
			chat := owed(1, "chat", "k1")
			chat.Target = chatTarget
			check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{incident(1)},
				Owed: []router.Owed{chat, {Incident: 1, Key: "k1", Target: hook, Open: true}}}))
		}
		stored, err := s.StoredAddresses(ctx)
		check(t, err)
		if len(stored) != 2 || stored[0] != chatTarget.Address || !strings.HasPrefix(stored[1], "sealed:1:") ||
			strings.Contains(stored[1], "hunter2") || slices.Equal(stored, before) {
			t.Errorf("stored: %q, before %q", stored, before)
		}
		before = stored
		diff(t, claim(t, s, "hook", noon.Add(time.Duration(i)*time.Hour)).Target, hook)
		check(t, s.Close())
	}
}
