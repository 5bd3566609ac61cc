package store_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"flowbridge/router"
	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

func TestMain(m *testing.M) {
	storetest.InMemory()
	// Many tests wait for a server and not for a processor. -parallel says otherwise, -rapid.checks plays more histories.
	for name, value := range map[string]string{"test.parallel": "12", "rapid.checks": "40"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// opened is a store over a fresh database, with what it takes to open the same database again.
type opened struct {
	*store.Store
	reopen func() *store.Store
}

// TestSQLite and TestPostgres run the whole suite over each database.
func TestSQLite(t *testing.T) {
	t.Parallel()
	fresh := func(t *testing.T) string { return filepath.Join(t.TempDir(), "test.db") }
	suite(t, fresh, fresh)
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	server := storetest.Shared(t)
	suite(t, func(t *testing.T) string { return migrated(t, server) }, func(t *testing.T) string {
		return server.Database(t)
	})
}

// migrated returns the URL of a database that has its tables, and nothing in them.
func migrated(t *testing.T, server *storetest.Server) string {
	t.Helper()
	return server.Copy(t, "migrated", func(dsn string) error {
		s, err := store.Open(context.Background(), store.Config{DSN: dsn, StartWait: storetest.Patience})
		if err != nil {
			return err
		}
		return s.Close()
	})
}

// opener returns what opens a store over a fresh database that fresh names.
func opener(fresh func(*testing.T) string) func(*testing.T, store.Config) opened {
	return func(t *testing.T, cfg store.Config) opened {
		t.Helper()
		cfg.DSN = fresh(t)
		if cfg.Now == nil {
			cfg.Now = func() time.Time { return noon }
		}
		// No test of these is about a process that is dead, and on a busy machine one may say nothing for long.
		if cfg.DeadAfter == 0 {
			cfg.DeadAfter = time.Hour
		}
		cfg.StartWait = storetest.Patience
		open := func() *store.Store {
			s, err := store.Open(context.Background(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return s
		}
		return opened{open(), open}
	}
}

// suite is what every database must do. fresh names one that nothing was written to, empty one that has no tables.
func suite(t *testing.T, fresh, empty func(*testing.T) string) {
	ctx, open := context.Background(), opener(fresh)
	run := func(name string, of func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each has databases of its own
			of(t)
		})
	}
	run("queue", func(t *testing.T) { queueSuite(t, open) })
	run("rows that cannot be read", func(t *testing.T) { legibleSuite(t, fresh) })
	run("goes on", func(t *testing.T) { goesOnSuite(t, open) })
	run("unheard", func(t *testing.T) { unheardSuite(t, open) })
	run("news", func(t *testing.T) { newsSuite(t, open) })

	run("journal", func(t *testing.T) { journalSuite(t, open) })

	run("lists", func(t *testing.T) { listsSuite(t, open) })
	run("report", func(t *testing.T) { reportSuite(t, open) })
	run("a search goes on until it has seen all", func(t *testing.T) { searchSuite(t, fresh) })
	run("lists of many", func(t *testing.T) { boundedSuite(t, open) })
	run("looking for events", func(t *testing.T) { eventsSuite(t, open) })
	run("retries of many", func(t *testing.T) { manyRetriesSuite(t, open) })
	run("how it stands with a flow", func(t *testing.T) { flowSuite(t, open) })

	run("the mark of the fold", func(t *testing.T) { markSuite(t, open) })

	run("personal", func(t *testing.T) { personalSuite(t, open) })

	run("routing keys are encrypted at rest", func(t *testing.T) { sealing(t, fresh) })
	run("addresses that may hold a credential are, too", func(t *testing.T) { sealingAddresses(t, fresh) })

	run("what was folded comes back as it was", func(t *testing.T) {
		s := open(t, store.Config{})
		flow := router.FlowID{WABA: "w", Flow: "f"}
		value := 14.28
		alert := router.Alert{Event: "E", Level: "10", Active: true, Raised: noon, Since: noon, OpenedBy: 3,
			Severity: router.Error,
			Reading:  router.Reading{Value: &value, Errors: []router.ErrorCount{{Type: "TIMEOUT", Count: &value}}},
			Before:   &value, Incident: 1, Key: "k", Routes: []router.AlertRoute{{Notifier: "chat"},
				{Notifier: "page", Due: noon}}, Hold: time.Minute, HeldUntil: noon,
			Facts: []router.Fact{{Name: "Until", Text: "soon"}}, Expires: noon}
		inc := incident(1)
		inc.FlowInfo = router.FlowInfo{FlowName: "Checkout", Labels: map[string]string{"team": "payments"},
			Runbook: "https://runbooks.example.com"}
		inc.Path, inc.Title, inc.Text, inc.Fields = []router.Level{"5", "10"}, "t", "x",
			[]router.Field{{Name: "n", Value: "v"}}
		inc.Watch = []router.Watch{{Notifier: "chat", Open: true, Severity: router.Error}}
		inc.AcknowledgedAt, inc.AcknowledgedBy, inc.First = noon, "ana", true
		inc.AcknowledgedFor, inc.Acts.FollowUp = 4*time.Hour, noon
		inc.Subject, inc.Change, inc.Facts = router.Subject{Kind: router.SubjectPhone, ID: "1", Name: "+1"}, "FLAGGED",
			alert.Facts
		old := incident(2)
		old.State, old.ResolvedAt, old.ResolvedBy = router.IncidentResolved, noon, "ana"
		entry := router.Entry{Incident: 1, N: 1, At: noon, Recorded: noon, Kind: router.EntryOpened, Text: "Opened", Event: 3}
		check(t, s.Commit(ctx, router.Batch{Alerts: []router.FlowAlert{{FlowID: flow, Alert: alert}},
			Incidents: []router.Incident{inc, old}, Entries: []router.Entry{entry}}))

		states, err := s.States(ctx, []router.FlowID{flow, {WABA: "w", Flow: "other"}}, nil)
		check(t, err)
		diff(t, states[flow], router.State{FlowID: flow, Alerts: []router.Alert{alert}, Incidents: []router.Incident{inc}})
		diff(t, states[router.FlowID{WABA: "w", Flow: "other"}],
			router.State{FlowID: router.FlowID{WABA: "w", Flow: "other"}})
		// those that are over are there when they are named
		states, err = s.States(ctx, []router.FlowID{flow}, []int64{1, 2, 99})
		check(t, err)
		diff(t, states[flow].Incidents, []router.Incident{inc, old})
		detail, err := s.Incident(ctx, 1)
		check(t, err)
		diff(t, detail, router.IncidentDetail{Incident: inc, Alerts: []router.Alert{alert}, Timeline: []router.Entry{entry}})
		if last, err := s.LastIncident(ctx); last != 2 || err != nil {
			t.Errorf("last incident: %d, %v", last, err)
		}
		if _, err := s.Incident(ctx, 99); !errors.Is(err, router.ErrNotFound) {
			t.Errorf("an unknown incident: %v", err)
		}
		resolved, err := s.Incidents(ctx, router.IncidentFilter{State: router.IncidentResolved, Flow: "f"})
		check(t, err)
		if len(resolved) != 1 || resolved[0].Number != 2 {
			t.Errorf("resolved incidents: %+v", resolved)
		}
	})

	run("an incident that a person resolved is known while its alert is active", func(t *testing.T) {
		s := open(t, store.Config{})
		inc := incident(1)
		inc.State = router.IncidentResolved
		check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{inc}, Alerts: []router.FlowAlert{{
			FlowID: router.FlowID{WABA: "w", Flow: "f"}, Alert: router.Alert{Event: "E", Level: "5", Active: true,
				Incident: 1}}}}))
		states, err := s.States(ctx, []router.FlowID{{WABA: "w", Flow: "f"}}, nil)
		check(t, err)
		if got := states[router.FlowID{WABA: "w", Flow: "f"}].Incidents; len(got) != 1 {
			t.Errorf("got %d incidents", len(got))
		}
	})

	run("an incident whose page a person reopened is known until the next one opens", func(t *testing.T) {
		s := open(t, store.Config{})
		inc := incident(1)
		inc.State, inc.Reopened = router.IncidentResolved, router.Page{Notifier: "page", Key: "k"}
		flow := router.FlowID{WABA: "w", Flow: "f"}
		known := func() []router.Incident {
			check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{inc}}))
			states, err := s.States(ctx, []router.FlowID{flow, {WABA: "w", Flow: "other"}}, nil)
			check(t, err)
			return states[flow].Incidents
		}
		diff(t, known(), []router.Incident{inc})
		inc.Reopened = router.Page{}
		if got := known(); len(got) != 0 {
			t.Errorf("got %d incidents", len(got))
		}
	})

	run("a delivery goes from owed to delivered", func(t *testing.T) {
		s := open(t, store.Config{})
		other := incident(2)
		other.Event = "OTHER"
		check(t, s.Commit(ctx, router.Batch{
			Incidents: []router.Incident{incident(1), other},
			Alerts: []router.FlowAlert{
				{FlowID: router.FlowID{WABA: "w", Flow: "f"}, Alert: router.Alert{Event: "E", Level: "5", Active: true,
					Severity: router.Warning, Incident: 1}},
				{FlowID: router.FlowID{WABA: "w", Flow: "f"}, Alert: router.Alert{Event: "E", Level: "10", Active: true,
					Severity: router.Error, Incident: 1}},
				{FlowID: router.FlowID{WABA: "w", Flow: "f"}, Alert: router.Alert{Event: "OTHER", Level: "5", Active: true,
					Incident: 2}}},
			Entries: []router.Entry{{Incident: 1, N: 1, Text: "first"}, {Incident: 1, N: 2, Text: "second"}},
			Owed:    []router.Owed{owed(1, "page", "key")},
		}))
		names, _, err := s.Due(ctx, noon)
		check(t, err)
		diff(t, names, []string{"page"})
		n := claim(t, s.Store, "page", noon)
		if n.Attempt != 1 || n.MayExist || n.Revision != 1 || !n.Open || n.Severity != router.Error ||
			n.Target.Credential.Reveal() != "pinned-key" {
			t.Errorf("claimed: %+v", n)
		}
		if len(n.Alerts) != 2 || n.Alerts[0].Level != "10" || len(n.Also) != 1 || n.Also[0].Event != "OTHER" ||
			len(n.Timeline) != 2 {
			t.Errorf("what is around it: alerts %v, also %v, timeline %v", n.Alerts, n.Also, n.Timeline)
		}
		if again, err := try(s.Store, "page", noon); again != nil || err != nil {
			t.Errorf("claimed twice: %v, %v", again, err)
		}
		receipt := router.Receipt{Own: made("dedup_key", "key"), Link: "https://example.com", Told: 1, Open: true,
			Severity: router.Error}
		check(t, s.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: 1, Receipt: receipt,
			State: router.DeliveryDelivered}))
		if names, next, err := s.Due(ctx, noon); len(names) != 0 || !next.IsZero() || err != nil {
			t.Errorf("still due: %v %v %v", names, next, err)
		}
		check(t, s.Commit(ctx, router.Batch{Owed: []router.Owed{owed(1, "page", "key")}}))
		n = claim(t, s.Store, "page", noon)
		diff(t, n.Receipt, receipt)
		if n.Revision != 2 || !n.MayExist || len(n.Timeline) != 1 || n.Timeline[0].Text != "second" {
			t.Errorf("second claim: %+v", n)
		}
	})

	run("what is owed while a delivery is in flight is due when it ends", func(t *testing.T) {
		s := owing(t, open, owed(1, "chat", "key"))
		n := claim(t, s.Store, "chat", noon)
		check(t, s.Commit(ctx, router.Batch{Owed: []router.Owed{owed(1, "chat", "key")}}))
		check(t, s.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: n.Revision,
			State: router.DeliveryDelivered, Receipt: router.Receipt{Own: made("ts", "1")}}))
		if n := claim(t, s.Store, "chat", noon); n.Revision != 2 || n.Attempt != 1 {
			t.Errorf("got revision %d, attempt %d", n.Revision, n.Attempt)
		}
	})

	run("a retry waits for its time", func(t *testing.T) {
		s := owing(t, open, owed(1, "chat", "key"))
		n := claim(t, s.Store, "chat", noon)
		check(t, s.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: 1, State: router.DeliveryWaiting,
			NextAt: noon.Add(time.Second), Error: "busy"}))
		names, next, err := s.Due(ctx, noon)
		check(t, err)
		if len(names) != 0 || !next.Equal(noon.Add(time.Second)) {
			t.Errorf("due: %v, next %v", names, next)
		}
		// A newer revision does not cut the back-off short.
		check(t, s.Commit(ctx, router.Batch{Owed: []router.Owed{owed(1, "chat", "key")}}))
		if n, err := try(s.Store, "chat", noon); n != nil || err != nil {
			t.Errorf("claimed in back-off: %+v, %v", n, err)
		}
		if n := claim(t, s.Store, "chat", noon.Add(time.Second)); n.Attempt != 2 || n.MayExist {
			t.Errorf("attempt %d, may exist %v", n.Attempt, n.MayExist)
		}
	})

	run("deliveries of one notifier and key go one after another", func(t *testing.T) {
		s := owing(t, open, owed(1, "page", "key"), owed(2, "page", "key"), owed(3, "page", "other"))
		first := claim(t, s.Store, "page", noon)
		second := claim(t, s.Store, "page", noon)
		if first.Incident.Number != 1 || second.Incident.Number != 3 {
			t.Errorf("claimed %d and %d, want 1 and 3", first.Incident.Number, second.Incident.Number)
		}
		check(t, s.Finish(ctx, router.Result{Delivery: second.Delivery, Claim: second.Claim, Revision: 1,
			State: router.DeliveryDelivered}))
		check(t, s.Finish(ctx, router.Result{Delivery: first.Delivery, Claim: first.Claim, Revision: 1,
			State: router.DeliveryWaiting, NextAt: noon.Add(time.Hour)}))
		if n, err := try(s.Store, "page", noon); n != nil || err != nil {
			t.Errorf("overtook an older one in back-off: %+v, %v", n, err)
		}
		n := claim(t, s.Store, "page", noon.Add(time.Hour))
		check(t, s.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: 1,
			State: router.DeliveryDelivered}))
		if n := claim(t, s.Store, "page", noon.Add(time.Hour)); n.Incident.Number != 2 {
			t.Errorf("claimed %d, want 2", n.Incident.Number)
		}
	})

	run("a claim ends with its lease", func(t *testing.T) {
		s := owing(t, open, owed(1, "page", "key"))
		claim(t, s.Store, "page", noon)
		if n := claim(t, s.Store, "page", noon.Add(time.Minute)); !n.MayExist {
			t.Error("the second claim does not know of the first")
		}
	})

	run("an attempt that our own shutdown cut short is not counted", func(t *testing.T) {
		s := owing(t, open, owed(1, "page", "key"))
		n := claim(t, s.Store, "page", noon)
		check(t, s.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: 1, Interrupted: true}))
		if n := claim(t, s.Store, "page", noon); n.Attempt != 1 || !n.MayExist {
			t.Errorf("attempt %d, may exist %v", n.Attempt, n.MayExist)
		}
	})

	run("a parked delivery tells the journal, shows on the other cards, and can be retried", func(t *testing.T) {
		s := owing(t, open, owed(1, "chat", "key"), owed(1, "page", "key"))
		n := claim(t, s.Store, "chat", noon)
		check(t, s.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: 1,
			State: router.DeliveryDelivered, Receipt: router.Receipt{Own: made("ts", "1"),
				Link: "https://slack.example.com/1"}}))
		page := claim(t, s.Store, "page", noon)
		diff(t, page.Related, []router.Related{{Notifier: "chat", Kind: router.KindPagerDuty,
			Link: "https://slack.example.com/1"}})
		parked := event("parked")
		parked.Name = router.ParkedDelivery
		check(t, s.Finish(ctx, router.Result{Delivery: page.Delivery, Claim: page.Claim, Revision: 1,
			State: router.DeliveryParked, Error: "bad key", Event: &parked}))
		if waiting, err := s.Waiting(ctx, 10); len(waiting) != 1 || waiting[0].Name != router.ParkedDelivery || err != nil {
			t.Errorf("journal: %v, %v", waiting, err)
		}
		stats, err := s.Stats(ctx)
		check(t, err)
		if stats.Deliveries[router.DeliveryParked] != 1 || stats.Events[router.EventWaiting] != 1 ||
			stats.Incidents[router.IncidentOpen] != 3 || stats.OldestWait.IsZero() {
			t.Errorf("stats: %+v", stats)
		}
		check(t, s.Commit(ctx, router.Batch{Owed: []router.Owed{owed(1, "chat", "key")}}))
		n = claim(t, s.Store, "chat", noon)
		diff(t, n.Problems, []router.Problem{{Notifier: "page", Error: "bad key"}})
		check(t, s.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: n.Revision,
			State: router.DeliveryDelivered, Receipt: n.Receipt}))

		check(t, s.RetryDelivery(ctx, page.Delivery))
		page = claim(t, s.Store, "page", noon)
		if page.MayExist {
			t.Error("a refusal that made nothing is remembered as if it had")
		}
		check(t, s.Finish(ctx, router.Result{Delivery: page.Delivery, Claim: page.Claim, Revision: page.Revision,
			State: router.DeliveryDelivered, Receipt: router.Receipt{Own: made("dedup_key", "key")}}))
		if n := claim(t, s.Store, "chat", noon); len(n.Problems) != 0 {
			t.Errorf("the card still shows %v", n.Problems)
		}
	})

	run("a newer revision revives a parked delivery", func(t *testing.T) {
		s := owing(t, open, owed(1, "page", "key"))
		n := claim(t, s.Store, "page", noon)
		check(t, s.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: 1, State: router.DeliveryParked,
			Error: "bad key"}))
		check(t, s.Commit(ctx, router.Batch{Owed: []router.Owed{owed(1, "page", "key")}}))
		claim(t, s.Store, "page", noon)
	})

	run("a retry is refused when it cannot be, with the reason", func(t *testing.T) {
		s := owing(t, open, owed(1, "page", "key"))
		n := claim(t, s.Store, "page", noon)
		check(t, s.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: 1, State: router.DeliveryParked,
			Error: "bad key"}))
		check(t, s.Commit(ctx, router.Batch{Owed: []router.Owed{owed(2, "page", "key")}}))
		next := claim(t, s.Store, "page", noon)
		check(t, s.Finish(ctx, router.Result{Delivery: next.Delivery, Claim: next.Claim, Revision: 1,
			State: router.DeliveryDelivered, Receipt: router.Receipt{Own: made("dedup_key", "key")}}))
		for id, want := range map[int64]string{n.Delivery: "INC-2 has replaced it at page", next.Delivery: "is delivered",
			99: "not found"} {
			if err := s.RetryDelivery(ctx, id); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("retry of %d: got %v, want %q", id, err, want)
			}
		}
	})

	run("a delivery can be pinned anew, and its key is shown to nobody", func(t *testing.T) {
		s := owing(t, open, owed(1, "page", "key"))
		n := claim(t, s.Store, "page", noon)
		check(t, s.Retarget(ctx, n.Delivery, n.Claim, router.Target{Kind: router.KindPagerDuty, Credential: "another-key"}))
		if n := claim(t, s.Store, "page", noon.Add(time.Minute)); n.Target.Credential.Reveal() != "another-key" {
			t.Error("the new key was not used")
		}
		shown, err := s.Deliveries(ctx, "", 0)
		check(t, err)
		if text := fmt.Sprintf("%+v", shown); strings.Contains(text, "another-key") || strings.Contains(text, "pinned-key") {
			t.Error("a routing key is shown")
		}
	})

	run("a list of deliveries knows what they are about", func(t *testing.T) {
		s := open(t, store.Config{})
		target := router.Target{Notifier: "chat", Kind: router.KindSlack}
		named := router.FlowInfo{FlowName: "Checkout", AccountName: "Main"}
		check(t, s.Commit(ctx, router.Batch{
			Incidents: []router.Incident{{Number: 1, Key: "k", WABA: "w", Flow: "f", Event: router.EndpointErrorRate,
				FlowInfo: named, State: router.IncidentOpen, OpenedAt: noon}},
			Notices: []router.Notice{{Event: 5, At: noon, WABA: "w", Flow: "g", Name: "X", Rule: "r",
				FlowInfo: router.FlowInfo{FlowName: "Survey"}}},
			Owed: []router.Owed{{Incident: 1, Key: "k", Open: true, Target: target}, {Notice: 5, Key: "n", Target: target},
				{Notice: 6, Key: "gone", Target: target}},
		}))
		list, err := s.Deliveries(ctx, "", 0)
		check(t, err)
		about, err := s.About(ctx, list)
		check(t, err)
		got := map[string]router.About{}
		for _, d := range list {
			if a, ok := about[d.ID]; ok {
				got[fmt.Sprint(d.Incident, " ", d.Event)] = a
			}
		}
		diff(t, got, map[string]router.About{
			"1 0": {WABA: "w", Flow: "f", Event: router.EndpointErrorRate, FlowInfo: named},
			"0 5": {WABA: "w", Flow: "g", Event: "X", FlowInfo: router.FlowInfo{FlowName: "Survey"}},
		})
		none, err := s.About(ctx, nil)
		check(t, err)
		diff(t, len(none), 0)
	})

	run("a notice is told once", func(t *testing.T) {
		s := open(t, store.Config{})
		notice := router.Notice{Event: 5, At: noon, Name: "X", Severity: router.Info, Rule: "r",
			Fields: []router.Field{{Name: "a", Value: "b"}}}
		check(t, s.Commit(ctx, router.Batch{Notices: []router.Notice{notice}, Owed: []router.Owed{{Notice: 5, Key: "n",
			Target: router.Target{Notifier: "chat", Kind: router.KindSlack}}}}))
		n := claim(t, s.Store, "chat", noon)
		diff(t, *n.Notice, notice)
		check(t, s.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: 1,
			State: router.DeliveryCancelled}))
		if names, _, err := s.Due(ctx, noon); len(names) != 0 || err != nil {
			t.Errorf("due again: %v, %v", names, err)
		}
	})

	run("the timeline of a notification is bounded to the newest", func(t *testing.T) {
		s := owing(t, open, owed(1, "chat", "key"))
		var b router.Batch
		for i := range int64(router.MaxTimeline + 10) {
			b.Entries = append(b.Entries, router.Entry{Incident: 1, N: i + 1, At: noon})
		}
		check(t, s.Commit(ctx, b))
		n := claim(t, s.Store, "chat", noon)
		if len(n.Timeline) != router.MaxTimeline || n.Timeline[len(n.Timeline)-1].N != router.MaxTimeline+10 {
			t.Errorf("got %d entries, the last is %d", len(n.Timeline), n.Timeline[len(n.Timeline)-1].N)
		}
	})

	run("whoever waits is woken", func(t *testing.T) {
		s := open(t, store.Config{})
		appendAll(t, s.Store, event("a"))
		<-s.Appended()
		check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{incident(1)},
			Owed: []router.Owed{owed(1, "chat", "k")}}))
		<-s.Owed()
		check(t, s.Ping(ctx))
	})

	run("flows with a timer that is due are found, and the next one is known", func(t *testing.T) {
		s := open(t, store.Config{})
		for n, wake := range []time.Time{noon.Add(time.Minute), noon, {}, noon.Add(-time.Hour)} {
			inc := incident(int64(n + 1))
			inc.Flow, inc.Wake = fmt.Sprint("f", n+1), wake
			check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{inc}}))
		}
		flows, next, err := s.Timers(ctx, noon, 10)
		check(t, err)
		diff(t, flows, []router.FlowID{{WABA: "w", Flow: "f2"}, {WABA: "w", Flow: "f4"}})
		diff(t, next, noon.Add(-time.Hour))
		if flows, _, err = s.Timers(ctx, noon, 1); len(flows) != 1 || err != nil {
			t.Errorf("limited to one: got %v, %v", flows, err)
		}
		check(t, s.Commit(ctx, router.Batch{Wake: true}))
		if flows, _, err = s.Timers(ctx, noon, 10); len(flows) != 4 || err != nil {
			t.Errorf("after waking all: got %v, %v", flows, err)
		}
	})

	run("housekeeping", func(t *testing.T) { sweeping(t, open) })

	run("silences hold until their time or their end", func(t *testing.T) {
		s := open(t, store.Config{})
		silences := []router.Silence{
			{ID: "a", Scope: router.Scope{Flow: "f", Labels: map[string]string{"team": "growth"}}, Since: noon.Add(-time.Hour),
				By: "ana", Why: "deploy"},
			{ID: "b", Scope: router.Scope{Flow: "f"}, Since: noon.Add(-time.Minute), Until: noon.Add(time.Minute)},
			{ID: "c", Scope: router.Scope{Flow: "f"}, Since: noon.Add(-2 * time.Hour), Until: noon},
		}
		check(t, s.Commit(ctx, router.Batch{Silences: silences}))
		got, err := s.Silences(ctx)
		check(t, err)
		diff(t, got, silences[:2])
		silences[0].Ended = noon
		check(t, s.Commit(ctx, router.Batch{Silences: silences[:1]}))
		got, err = s.Silences(ctx)
		check(t, err)
		diff(t, got, silences[1:2])
		got, err = s.AllSilences(ctx, 2)
		check(t, err)
		diff(t, got, []router.Silence{silences[1], silences[0]})
	})

	adminSuite(t, open)
	run("audit", func(t *testing.T) { auditSuite(t, open) })
	run("kept", func(t *testing.T) { keptSuite(t, open) })
	run("pages", func(t *testing.T) { pagesSuite(t, open) })
	run("pages at a glance", func(t *testing.T) { glanceSuite(t, open) })
	inspectSuite(t, empty)
}

// TestADeadProcessGivesUpItsClaims holds what is done about claims at a start. On SQLite nobody else can be at the
// file; on PostgreSQL another process may be in the middle of one.
func TestADeadProcessGivesUpItsClaims(t *testing.T) {
	t.Parallel()
	t.Run("SQLite: at the next start", func(t *testing.T) {
		s := owing(t, opener(func(t *testing.T) string { return filepath.Join(t.TempDir(), "test.db") }),
			owed(1, "page", "key"))
		claim(t, s.Store, "page", noon)
		check(t, s.Close())
		if n := claim(t, s.reopen(), "page", noon); !n.MayExist || n.Attempt != 2 {
			t.Errorf("may exist %v, attempt %d", n.MayExist, n.Attempt)
		}
	})
	t.Run("PostgreSQL: with the lease", func(t *testing.T) {
		server := storetest.Shared(t)
		s := owing(t, opener(func(t *testing.T) string { return migrated(t, server) }), owed(1, "page", "key"))
		claim(t, s.Store, "page", noon)
		other := s.reopen()
		if n, err := try(other, "page", noon); n != nil || err != nil {
			t.Errorf("claimed what another process is at: %v, %v", n, err)
		}
		if n := claim(t, other, "page", noon.Add(time.Minute)); !n.MayExist || n.Attempt != 2 {
			t.Errorf("may exist %v, attempt %d", n.MayExist, n.Attempt)
		}
	})
}

// TestOpenSaysWhatIsWrong holds the words for what cannot be opened.
func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	check(t, os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 100)), 0o600))
	for dsn, want := range map[string]string{
		"":                               "no path given",
		filepath.Join(dir, "no", "x.db"): "does not exist: make it first",
		dir:                              "is a folder",
		text:                             "is no SQLite database",
	} {
		s, err := store.Open(context.Background(), store.Config{DSN: dsn, StartWait: storetest.Patience})
		if err == nil {
			check(t, s.Close())
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("open %q: got %v, want %q", dsn, err, want)
		}
	}
}

// owing opens a store with incidents 1 to 3 and the given deliveries.
func owing(t *testing.T, open func(*testing.T, store.Config) opened, owed ...router.Owed) opened {
	t.Helper()
	s := open(t, store.Config{})
	check(t, s.Commit(context.Background(),
		router.Batch{Incidents: []router.Incident{incident(1), incident(2), incident(3)}, Owed: owed}))
	return s
}

func event(digest string) router.Event {
	threshold := 10.0
	return router.Event{Source: router.SourceMeta, Digest: digest, Received: noon, At: noon.Add(-time.Minute), WABA: "w",
		Flow: "f",
		Name: router.EndpointErrorRate, AlertState: router.Activated, Threshold: &threshold,
		Value: []byte(`{"threshold":10}`)}
}

func incident(n int64) router.Incident {
	return router.Incident{Number: n, Key: "k", WABA: "w", Flow: "f", Event: "E", State: router.IncidentOpen,
		Severity: router.Error,
		Peak:     router.Error, Rule: "r", Events: 1, Revision: 1, Entries: 1, OpenedAt: noon}
}

func owed(incident int64, notifier, key string) router.Owed {
	return router.Owed{Incident: incident, Key: key, Open: true, Severity: router.Error,
		Target: router.Target{Notifier: notifier, Kind: router.KindPagerDuty, Credential: "pinned-key"}}
}

func appendAll(t *testing.T, s *store.Store, events ...router.Event) {
	t.Helper()
	if n, err := s.Append(context.Background(), events); n != len(events) || err != nil {
		t.Fatalf("stored %d of %d, %v", n, len(events), err)
	}
	if _, err := s.Events(context.Background(), "", 1); err != nil { // who reads the journal finds them there
		t.Fatal(err)
	}
}

func claim(t *testing.T, s *store.Store, notifier string, now time.Time) *router.Notification {
	t.Helper()
	n, err := try(s, notifier, now)
	if err != nil || n == nil {
		t.Fatalf("claim for %s: %v, %v", notifier, n, err)
	}
	return n
}

// try claims without budgets.
func try(s *store.Store, notifier string, now time.Time) (*router.Notification, error) {
	n, _, err := s.Claim(context.Background(), router.Ask{Notifier: notifier, Now: now, Lease: time.Minute})
	return n, err
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func diff(t *testing.T, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("got differs from want (-want +got):\n%s", d)
	}
}
