package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

// telling are rules that tell some notifiers of everything that is no recovery, and the first of them of trouble of the
// bridge's own.
type telling []string

func (r telling) Decide(e *router.Event) (d router.Decision) {
	d.Severity = router.Error
	if e.Paired() && e.AlertState == router.Deactivated {
		return d
	}
	to := r
	if e.ForFallback() {
		to = r[:1]
	}
	for _, name := range to {
		t, _ := r.Target(name)
		d.Notify = append(d.Notify, router.Route{Target: t})
	}
	return d
}

func (r telling) Target(name string) (router.Target, bool) {
	return router.Target{Notifier: name, Kind: router.KindSlack, Address: "#" + name}, true
}
func (r telling) Targets() (all []router.Target) {
	for _, name := range r {
		t, _ := r.Target(name)
		all = append(all, t)
	}
	return all
}
func (r telling) RenderIncident(*router.Incident, []router.Alert) (title, text string) { return "", "" }
func (r telling) Plain() router.Rules                                                  { return r }
func (r telling) RenderNotice(*router.Notice) (title, text string)                     { return "", "" }

// folding returns a Router over a store.
func folding(t *testing.T, s *store.Store, rules router.Rules, now func() time.Time) *router.Router {
	t.Helper()
	r, err := router.New(router.Config{Rules: func() router.Rules { return rules }, Now: now}, s)
	check(t, err)
	return r
}

// onEach runs a test over a fresh database of each kind. poison makes the database refuse every alert of a flow.
func onEach(t *testing.T,
	run func(t *testing.T, open func(store.Config) *store.Store, exec func(query string, args ...any), poison string)) {
	with := func(t *testing.T, dsn, driver, poison string) {
		t.Helper()
		open := func(cfg store.Config) *store.Store {
			cfg.DSN, cfg.StartWait = dsn, storetest.Patience
			if cfg.Now == nil {
				cfg.Now = func() time.Time { return noon }
			}
			s, err := store.Open(context.Background(), cfg)
			check(t, err)
			t.Cleanup(func() { _ = s.Close() })
			return s
		}
		run(t, open, func(query string, args ...any) {
			t.Helper()
			db, err := sql.Open(driver, dsn)
			check(t, err)
			defer db.Close()
			_, err = db.Exec(query, args...)
			check(t, err)
		}, poison)
	}
	t.Run("SQLite", func(t *testing.T) {
		with(t, filepath.Join(t.TempDir(), "test.db"), "sqlite",
			`CREATE TRIGGER poison BEFORE INSERT ON alerts WHEN new.flow = 'poison' BEGIN SELECT RAISE(ABORT, 'no poison'); END`)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		with(t, storetest.Shared(t).Database(t), "pgx", `ALTER TABLE alerts ADD CONSTRAINT poison CHECK (flow <> 'poison')`)
	})
}

func foldUntilDone(t *testing.T, s *store.Store, r *router.Router) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		_, fault := r.Fold(ctx)
		stats, err := s.Stats(t.Context())
		check(t, err)
		switch {
		case stats.Events[router.EventWaiting] == 0:
			return
		case !router.Sleep(ctx, 10*time.Millisecond): // a session that was cut off may hold the right to fold for a moment
			t.Fatalf("%d events wait still: %v", stats.Events[router.EventWaiting], fault)
		}
	}
}

func TestAnEventThatTheDatabaseRefusesIsSetAside(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open func(store.Config) *store.Store, exec func(string, ...any), poison string) {
		ctx, s := t.Context(), open(store.Config{})
		exec(poison)
		for n := range 20 {
			e := event(fmt.Sprint("e", n+1))
			e.Flow = fmt.Sprint("f", n+1)
			if n == 11 {
				e.Flow = "poison"
			}
			appendAll(t, s, e)
		}
		exec(`UPDATE events SET body = '{"at": 7}' WHERE seq = 5`) // as another version may have written it
		r := folding(t, s, telling{"fallback"}, func() time.Time { return noon })
		foldUntilDone(t, s, r)

		failed, err := s.Events(ctx, router.EventFailed, 0)
		check(t, err)
		if len(failed) != 2 || failed[0].Seq != 12 || failed[1].Seq != 5 ||
			!strings.HasPrefix(failed[0].Outcome, "set aside: ") || !strings.Contains(failed[1].Outcome, "cannot be read") {
			t.Errorf("set aside: %+v", failed)
		}
		stats, err := s.Stats(ctx)
		check(t, err)
		diff(t, stats.Events, map[router.EventState]int64{router.EventWaiting: 0, router.EventUnreadable: 0,
			router.EventFailed: 2})
		incidents, err := s.Incidents(ctx, router.IncidentFilter{})
		check(t, err)
		if len(incidents) != 18 {
			t.Errorf("%d incidents are open, want 18", len(incidents))
		}
		told := map[string]bool{}
		for n, err := try(s, "fallback", noon); n != nil; n, err = try(s, "fallback", noon) {
			check(t, err)
			if n.Notice != nil {
				about, _, _ := strings.Cut(n.Notice.Message, " (")
				told[n.Notice.Name+" "+about] = true
			}
			check(t, s.Finish(ctx, result(n, router.DeliveryDelivered)))
		}
		diff(t, told, map[string]bool{router.EventSetAside + " Event 5": true, router.EventSetAside + " Event 12": true})
	})
}

func TestTimersThatTheDatabaseRefusesArePutOff(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open func(store.Config) *store.Store, exec func(string, ...any), poison string) {
		ctx, s := t.Context(), open(store.Config{})
		var b router.Batch
		for n, flow := range []string{"f1", "poison", "f2"} {
			inc := incident(int64(n + 1))
			inc.Flow, inc.Wake = flow, noon
			id := router.FlowID{WABA: "w", Flow: flow}
			b.Incidents = append(b.Incidents, inc)
			b.Alerts = append(b.Alerts, router.FlowAlert{FlowID: id, Alert: router.Alert{Event: "E", Level: "5", HeldUntil: noon,
				Hold: time.Minute, Incident: inc.Number}})
		}
		check(t, s.Commit(ctx, b))
		if strings.HasPrefix(poison, "ALTER") { // what is there already is left alone
			poison += " NOT VALID"
		}
		exec(poison)
		r := folding(t, s, telling{"fallback"}, func() time.Time { return noon })
		for range 20 {
			_, _, _ = r.Tick(ctx)
		}
		flows, next, err := s.Timers(ctx, noon, 10)
		check(t, err)
		if len(flows) != 0 || !next.Equal(noon.Add(10*time.Minute)) {
			t.Errorf("due: %v, next %v", flows, next)
		}
		for number, want := range map[int64]router.IncidentState{1: router.IncidentResolved, 2: router.IncidentOpen,
			3: router.IncidentResolved} {
			if d, err := s.Incident(ctx, number); d.State != want || err != nil {
				t.Errorf("%s is %s, want %s (%v)", d.Name(), d.State, want, err)
			}
		}
		waiting, err := s.Waiting(ctx, 10)
		check(t, err)
		if len(waiting) != 1 || waiting[0].Name != router.EventSetAside ||
			!strings.Contains(waiting[0].Message, "flow poison") {
			t.Errorf("told: %+v", waiting)
		}
	})
}

// TestAnEventThatTakesTooLongIsSetAside holds it for PostgreSQL, where a transaction has so much time and no more.
func TestAnEventThatTakesTooLongIsSetAside(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open func(store.Config) *store.Store, exec func(string, ...any), poison string) {
		if !strings.HasPrefix(poison, "ALTER") {
			t.Skip("a transaction on SQLite waits for the disk alone")
		}
		s := open(store.Config{Timeout: time.Second})
		exec(
			`CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF new.flow = ''slow'' THEN PERFORM pg_sleep(60); END IF; RETURN new; END'`)
		exec(`CREATE TRIGGER slow BEFORE INSERT ON alerts FOR EACH ROW EXECUTE FUNCTION slow()`)
		slow, other := event("slow"), event("other")
		slow.Flow = "slow"
		appendAll(t, s, slow, other)
		foldUntilDone(t, s, folding(t, s, telling{"fallback"}, func() time.Time { return noon }))
		events, err := s.Events(t.Context(), "", 0)
		check(t, err)
		if len(events) != 3 || events[2].State != router.EventFailed || events[1].Outcome != "opened INC-1" ||
			events[0].Name != router.EventSetAside {
			t.Errorf("got %+v", events)
		}
	})
}

// TestManyRefreshesOfManyNotifiersFitIntoATransaction holds what once stopped every flow: 200 refreshes of an incident
// that 200 notifiers are told of came to 40,000 rows in one transaction, which PostgreSQL had no time for.
func TestManyRefreshesOfManyNotifiersFitIntoATransaction(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open func(store.Config) *store.Store, _ func(string, ...any), _ string) {
		ctx, s := t.Context(), open(store.Config{Timeout: time.Minute})
		const many = 200
		var rules telling
		for n := range many {
			rules = append(rules, fmt.Sprintf("n%03d", n))
		}
		r := folding(t, s, rules, func() time.Time { return noon.Add(time.Hour) })
		appendAll(t, s, event("opens"))
		if n, err := r.Fold(ctx); n != 1 || err != nil {
			t.Fatalf("folded %d, %v", n, err)
		}
		var events []router.Event
		for n := range many {
			e := event(fmt.Sprint("refresh", n))
			e.At = e.At.Add(time.Duration(n) * time.Second)
			events = append(events, e)
		}
		appendAll(t, s, events...)
		if n, err := r.Fold(ctx); n != many || err != nil {
			t.Fatalf("folded %d, %v", n, err)
		}
		if n := claim(t, s, "n199", noon.Add(time.Hour)); n.Revision != 2 || n.Incident.Events != many+1 {
			t.Errorf("revision %d of a delivery, %d events", n.Revision, n.Incident.Events)
		}
	})
}

// TestAPageThatItsServiceClosedAndThatOpensAnew holds that it makes no difference whether both are folded in one batch.
func TestAPageThatItsServiceClosedAndThatOpensAnew(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open func(store.Config) *store.Store, _ func(string, ...any), _ string) {
		ctx, s := t.Context(), open(store.Config{})
		inc := incident(1)
		inc.Links = []router.Link{{Notifier: "page", Key: "k", ID: "P1"}}
		check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{inc}, Owed: []router.Owed{owed(1, "page", "k")}}))
		n := claim(t, s, "page", noon)
		check(t, s.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: n.Revision,
			State:   router.DeliveryDelivered,
			Receipt: router.Receipt{Own: made("dedup_key", "k"), Open: true, Severity: router.Error}}))
		closed := owed(1, "page", "k")
		closed.Open = false
		check(t, s.Commit(ctx, router.Batch{Overtaken: []router.Owed{closed}, Owed: []router.Owed{owed(1, "page", "k")}}))
		if n := claim(t, s, "page", noon); !n.Open || n.Class != router.ClassNew {
			t.Errorf("open %v, class %s", n.Open, n.Class)
		}
		stale, err := s.Unlinked(ctx, router.KindPagerDuty, noon.Add(-time.Hour))
		check(t, err)
		if len(stale) != 1 {
			t.Errorf("its link is taken for that of the new page: %+v", stale)
		}
	})
}

func TestAnEndThatNamesNoOpeningEndsTheOneThatIsKnown(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open func(store.Config) *store.Store, _ func(string, ...any), _ string) {
		s := open(store.Config{})
		opened, closed := owed(1, "page", "k"), owed(1, "page", "k")
		opened.Opening, closed.Open = 3, false
		check(t, s.Commit(t.Context(), router.Batch{Incidents: []router.Incident{incident(1)}, Owed: []router.Owed{opened}}))
		check(t, s.Commit(t.Context(), router.Batch{Owed: []router.Owed{closed}}))
		if n := claim(t, s, "page", noon); n.Open || n.Opening != 3 {
			t.Errorf("open %v, opening %d", n.Open, n.Opening)
		}
	})
}
