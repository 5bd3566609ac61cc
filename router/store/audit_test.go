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

// auditSuite is what every database must do with what people did.
func auditSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx := context.Background()
	entry := func(n int64) router.AuditEntry {
		return router.AuditEntry{At: noon.Add(time.Duration(n) * time.Minute), Who: "API (name given: ada)",
			Verified: router.VerifiedAdminToken,
			From:     "203.0.113.9", What: fmt.Sprintf("acknowledge INC-%d", n), Result: fmt.Sprintf("acknowledged INC-%d", n),
			Event: n}
	}
	read := func(t *testing.T, s opened, before int64, limit int) []router.AuditEntry {
		t.Helper()
		list, err := s.AuditEntries(ctx, before, limit)
		check(t, err)
		return list
	}

	t.Run("it comes back as it was, the newest first, page by page", func(t *testing.T) {
		s := open(t, store.Config{})
		var want []router.AuditEntry
		for n := range int64(5) {
			check(t, s.Audit(ctx, entry(n)))
			e := entry(n)
			e.ID = n + 1
			want = append([]router.AuditEntry{e}, want...)
		}
		diff(t, read(t, s, 0, 0), want)
		diff(t, read(t, s, 0, 2), want[:2])
		diff(t, read(t, s, 4, 2), want[2:4])
		diff(t, read(t, s, 1, 2), []router.AuditEntry(nil))
	})

	t.Run("it is kept with what it is about, whole or not at all", func(t *testing.T) {
		s := owing(t, open, owed(1, "page", "key"))
		check(t, s.Commit(ctx, router.Batch{Audit: []router.AuditEntry{entry(1)}}))
		n := claim(t, s.Store, "page", noon)
		check(t, s.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: 1, State: router.DeliveryParked,
			Error: "bad key"}))
		check(t, s.RetryDelivery(ctx, n.Delivery, entry(2)))
		if err := s.RetryDelivery(ctx, 99, entry(3)); !errors.Is(err, router.ErrNotFound) {
			t.Errorf("a retry of nothing: %v", err)
		}
		if list := read(t, s, 0, 0); len(list) != 2 || list[0].What != "acknowledge INC-2" ||
			list[1].What != "acknowledge INC-1" {
			t.Errorf("kept: %+v", list)
		}
	})

	t.Run("it is kept as long as incidents", func(t *testing.T) {
		s := open(t, store.Config{})
		const many = 1200 // more than one transaction removes
		var entries []router.AuditEntry
		for n := range int64(many) {
			entries = append(entries, entry(n))
		}
		check(t, s.Audit(ctx, entries...))
		diff(t, sweptAt(t, s.Store, noon.Add(364*day)), store.Swept{})
		diff(t, sweptAt(t, s.Store, noon.Add(365*day+(many-1)*time.Minute)), store.Swept{Audit: many - 1})
		if list := read(t, s, 0, 0); len(list) != 1 || list[0].Event != many-1 {
			t.Errorf("left: %+v", list)
		}
	})
}
