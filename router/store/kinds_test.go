package store_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
)

// TestADatabaseFromBeforeKindsWereDescribedGoesOn opens one as the version before migration 18 left it: its pages are
// found by their key, and what its receipts say is the kinds' own.
func TestADatabaseFromBeforeKindsWereDescribedGoesOn(t *testing.T) {
	t.Parallel()
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "older.db")
	s, err := store.Open(ctx, store.Config{DSN: path, Now: func() time.Time { return noon }})
	check(t, err)
	page, chat := owedPage(true), owedChat()
	check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{failing(1)}, Owed: []router.Owed{page, chat}}))
	check(t, s.Close())
	const oldPage = `{"dedup_key":"k","told":1,"open":true,"opening":1,"severity":"error"}`
	const oldCard = `{"channel":"C1","ts":"1.0","link":"https://example.slack.com/archives/C1/p10","told":1,"open":true,"severity":"error","frozen":true,"shown":"error","mute":true}`
	db, err := sql.Open("sqlite", path)
	check(t, err)
	for _, statement := range append(indexesOf24,
		`DROP INDEX deliveries_key`, `DROP INDEX deliveries_paging`,
		`ALTER TABLE deliveries DROP COLUMN keyed`, `ALTER TABLE deliveries DROP COLUMN cosmetic`,
		`CREATE INDEX deliveries_key ON deliveries (key, id) WHERE kind = 'pagerduty'`,
		`CREATE INDEX deliveries_paging ON deliveries (updated_at) WHERE kind = 'pagerduty' AND open = 1`,
		`DROP INDEX incidents_account`, `DROP INDEX incidents_opened`, `ALTER TABLE incidents DROP COLUMN silenced`,
		`ALTER TABLE incidents DROP COLUMN labels`, `ALTER TABLE incidents DROP COLUMN words`,
		`ALTER TABLE links DROP COLUMN service`,
		`DROP INDEX incidents_rules`, `ALTER TABLE incidents DROP COLUMN rules`, `DROP TABLE rules_versions`,
		`DROP TABLE rule_hits`,
		`DROP TABLE seen`, `DROP TABLE console_key`, `DROP TABLE attempts`, `DROP TABLE processes`,
		`DELETE FROM goose_db_version WHERE version_id >= 18`, `DELETE FROM remembered WHERE name NOT LIKE 'reduce%'`,
		`UPDATE deliveries SET may_exist = 1, receipt = '`+oldPage+`' WHERE kind = 'pagerduty'`,
		`UPDATE deliveries SET may_exist = 1, receipt = '`+oldCard+`' WHERE kind = 'slack'`,
	) {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	check(t, db.Close())

	s, err = store.Open(ctx, store.Config{DSN: path, Now: func() time.Time { return noon }})
	check(t, err)
	defer s.Close()
	places, err := s.PlacesByKey(ctx, router.KindPagerDuty, rateKey)
	check(t, err)
	if len(places) != 1 || places[0].Notifier != "page" || places[0].Credential != "k" {
		t.Errorf("places %+v", places)
	}
	n := claim(t, s, "page", noon)
	diff(t, n.Receipt, router.Receipt{Told: 1, Open: true, Opening: 1, Severity: router.Error, Own: `{"dedup_key":"k"}`})
	diff(t, n.Target, page.Target)
	n = claim(t, s, "chat", noon)
	card := router.Receipt{Told: 1, Open: true, Severity: router.Error, Link: "https://example.slack.com/archives/C1/p10",
		Own: `{"channel":"C1","frozen":true,"mute":true,"shown":"error","ts":"1.0"}`}
	diff(t, n.Receipt, card)
	diff(t, n.Target, chat.Target)
	check(t, s.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: n.Revision,
		State: router.DeliveryDelivered, Receipt: card}))
	receipts, err := s.Receipts(ctx, router.KindSlack, "#ops")
	check(t, err)
	diff(t, receipts, []router.Receipt{card})
}
