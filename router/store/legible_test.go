package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
	"flowbridge/router/store"
)

// damaged is a queue whose database can be changed behind its back.
type damaged struct {
	*queue
	dsn string
}

// damage runs a statement that must change something.
func (d *damaged) damage(statement string) {
	d.t.Helper()
	driver := "sqlite"
	if store.IsPostgres(d.dsn) {
		driver = "pgx"
	}
	db, err := sql.Open(driver, d.dsn)
	check(d.t, err)
	defer db.Close()
	done, err := db.Exec(statement)
	check(d.t, err)
	if n, err := done.RowsAffected(); n == 0 || err != nil {
		d.t.Fatalf("%s: %d rows, %v", statement, n, err)
	}
}

// legibleSuite holds that a row which cannot be read holds up no other, and that what it is about is told as far as
// it can be.
func legibleSuite(t *testing.T, fresh func(*testing.T) string) {
	ctx := context.Background()
	card := router.Receipt{Own: made("ts", "1"), Open: true, Severity: router.Error}
	start := func(t *testing.T) *damaged {
		dsn := fresh(t)
		return &damaged{newQueue(t, opener(func(*testing.T) string { return dsn })), dsn}
	}

	t.Run("a receipt: what the service has is to be found out there", func(t *testing.T) {
		q := start(t)
		q.owe(chat(1, true, router.Error), chat(2, true, router.Error), page(1, "key"))
		q.deliver("chat", card)
		q.deliver("chat", card)
		q.damage(`UPDATE deliveries SET receipt = '{broken' WHERE incident = 1 AND notifier = 'chat'`)
		if n := q.deliver("page", router.Receipt{Own: made("dedup_key", "k"), Open: true}); len(n.Related) > 0 {
			t.Errorf("the page names %+v", n.Related)
		}
		if list, err := q.Deliveries(ctx, "", 0); len(list) != 3 || err != nil {
			t.Errorf("%d deliveries are listed (%v), want 3", len(list), err)
		}
		q.owe(chat(1, false, router.Error), chat(2, false, router.Error))
		for range 2 {
			n := q.claim("chat")
			if lost := n.Incident.Number == 1; lost != (n.Receipt == router.Receipt{Unsure: true}) {
				t.Errorf("%s: receipt %+v", about(n), n.Receipt)
			}
			check(t, q.Finish(ctx, told(n, router.Receipt{Own: made("ts", "1")})))
		}
		if n, _ := q.try("chat"); n != nil {
			t.Errorf("then came %s", about(n))
		}
	})

	t.Run("an incident and an alert", func(t *testing.T) {
		q := start(t)
		for n := range int64(3) {
			inc := incident(n + 1)
			inc.Flow, inc.FlowName = fmt.Sprint("f", inc.Number), "Checkout"
			check(t, q.Commit(ctx, router.Batch{Incidents: []router.Incident{inc},
				Alerts: []router.FlowAlert{{FlowID: router.FlowID{WABA: inc.WABA, Flow: inc.Flow},
					Alert: router.Alert{Event: router.EndpointErrorRate, Level: "10", Active: true, Incident: inc.Number}}},
				Owed: []router.Owed{chat(n+1, true, router.Error)}}))
		}
		q.damage(`UPDATE incidents SET details = '{broken' WHERE number <> 2`)
		q.damage(`UPDATE alerts SET details = '7' WHERE incident = 1`)
		for _, want := range []string{"", "Checkout", ""} {
			n := q.deliver("chat", card)
			said := strings.Contains(n.Incident.Text, "cannot be read")
			if n.Incident.FlowName != want || len(n.Alerts) != 1 || said != (want == "") {
				t.Errorf("%s is told as %q, %q, with %d alerts", about(n), n.Incident.FlowName, n.Incident.Text,
					len(n.Alerts))
			}
		}
		if list, err := q.Incidents(ctx, router.IncidentFilter{}); len(list) != 3 || err != nil {
			t.Errorf("%d incidents are listed (%v), want 3", len(list), err)
		}
		for flow, fails := range map[string]bool{"f1": true, "f2": false, "f3": true} {
			_, err := q.States(ctx, []router.FlowID{{WABA: incident(1).WABA, Flow: flow}}, nil)
			if errors.Is(err, router.ErrValues) != fails || (err != nil) != fails {
				t.Errorf("the fold reads flow %s: %v", flow, err)
			}
		}
	})

	t.Run("a notice, alone and among news", func(t *testing.T) {
		q := start(t)
		notice := func(event int64, severity router.Severity) router.Owed {
			return router.Owed{Notice: event, Key: about(&router.Notification{Notice: &router.Notice{Event: event}}),
				Target: chatTarget, Severity: severity}
		}
		q.owe(notice(1, router.Error))
		for event := range int64(router.FewNews + 1) {
			q.owe(notice(event+2, router.Info))
		}
		q.damage(`UPDATE notices SET body = '{broken' WHERE event <= 2`)
		if n := q.deliver("chat", router.Receipt{Told: 1}); n.Notice == nil || n.Notice.Event != 1 ||
			n.Notice.Severity != router.Error || !strings.Contains(n.Notice.Text, "Event 1 ") {
			t.Errorf("alone: %+v", n.Notice)
		}
		n := q.claim("chat")
		if n.Digest == nil || len(n.Digest.Parts) != router.FewNews+1 || n.Digest.Parts[0].Notice.Event != 2 {
			t.Errorf("among news: %+v", n)
		}
		if list, err := q.NewestNotices(ctx, router.FlowID{}, 0); len(list) != router.FewNews+2 || err != nil {
			t.Errorf("%d notices are listed (%v)", len(list), err)
		}
	})

	t.Run("a digest that may have been told", func(t *testing.T) {
		q := start(t)
		for n := range int64(router.StormSize + 2) {
			q.owe(chat(n+1, true, router.Error))
		}
		first := q.claim("chat")
		if first.Digest == nil {
			t.Fatalf("got %s, want a digest", about(first))
		}
		q.damage(`UPDATE digests SET body = '{broken'`)
		q.pass(time.Hour)
		n := q.claim("chat")
		if n.Digest == nil || n.Digest.Unsettled || n.Digest.ID == first.Digest.ID ||
			len(n.Digest.Parts) != router.StormSize+2 {
			t.Fatalf("then came %+v, want another digest of the same", n)
		}
		check(t, q.Finish(ctx, told(n, router.Receipt{Digest: n.Digest.ID, Open: true})))
		if n, _ := q.try("chat"); n != nil {
			t.Errorf("then came %s", about(n))
		}
	})

	t.Run("what was sent and answered: it is forgotten whole", func(t *testing.T) {
		q := start(t)
		q.owe(chat(1, true, router.Error))
		r := q.finish("chat", "a card", nil)
		q.damage(`UPDATE attempts SET exchange = '\x00ff00'`)
		made := q.attempts(r.Delivery)
		if len(made) != 1 || len(made[0].Calls) != 1 || !strings.Contains(made[0].Calls[0].Error, "cannot be read") {
			t.Errorf("attempts: %+v", made)
		}
		person, err := router.NewPerson("15551234567", "")
		check(t, err)
		found, err := q.Forget(ctx, person)
		if check(t, err); found.Attempts != 1 || q.attempts(r.Delivery)[0].Calls[0].Request != router.Forgotten {
			t.Errorf("found %+v; then %+v", found, q.attempts(r.Delivery))
		}
	})

	t.Run("a person who is forgotten: what cannot be read and names them is blanked", func(t *testing.T) {
		q := start(t)
		const broken = `{broken "+1 555 123 4567"`
		notice := router.Owed{Notice: 7, Key: "n", Target: chatTarget, Severity: router.Error}
		inc := incident(1)
		inc.AcknowledgedBy = "Ada, 15551234567"
		_, err := q.Append(ctx, []router.Event{{Digest: "d", Source: router.SourceMeta, Received: noon, At: noon, Name: "X"}})
		check(t, err)
		_, err = q.Waiting(ctx, 1) // it is in the journal then
		check(t, err)
		q.owe(notice)
		check(t, q.Commit(ctx, router.Batch{Incidents: []router.Incident{inc},
			Silences: []router.Silence{{ID: "a", Since: noon}}}))
		for _, column := range []string{"events SET body", "incidents SET details", "notices SET body",
			"silences SET body"} {
			q.damage(`UPDATE ` + column + ` = '` + broken + `'`)
		}
		person, err := router.NewPerson("15551234567", "")
		check(t, err)
		found, err := q.Forget(ctx, person)
		want := router.ForgottenCount{Events: 1, Incidents: 1, Notices: 1, Silences: 1}
		if diff := cmp.Diff(want, found.ForgottenCount); diff != "" || err != nil {
			t.Errorf("found (-want +got), %v:\n%s", err, diff)
		}
		if got, err := q.Incident(ctx, 1); err != nil || got.AcknowledgedBy != router.Forgotten {
			t.Errorf("acknowledged by %q (%v)", got.AcknowledgedBy, err)
		}
		if again, err := q.Forget(ctx, person); err != nil || again.Any() {
			t.Errorf("then found %+v (%v)", again, err)
		}
	})

	t.Run("a silence: it silences nothing", func(t *testing.T) {
		q := start(t)
		for _, id := range []string{"a", "b"} {
			check(t, q.Commit(ctx, router.Batch{Silences: []router.Silence{{ID: id, Since: noon}}}))
		}
		q.damage(`UPDATE silences SET body = '{broken' WHERE id = 'a'`)
		list, err := q.Silences(ctx)
		if check(t, err); len(list) != 1 || list[0].ID != "b" {
			t.Errorf("got %+v", list)
		}
	})
}
