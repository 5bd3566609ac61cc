package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
)

// glanceSuite is what every database must do for the pages that show much at a glance.
func glanceSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx := context.Background()

	t.Run("what is parked is told by its error", func(t *testing.T) {
		s := owing(t, open, owed(1, "chat", "a"), owed(2, "chat", "b"), owed(1, "page", "c"), owed(2, "page", "d"),
			owed(3, "well", "e"))
		var ids []int64
		park := func(notifier, said string, at time.Time) {
			n := claim(t, s.Store, notifier, at)
			ids = append(ids, n.Delivery)
			check(t, s.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: n.Revision,
				State: router.DeliveryParked, Error: said}))
		}
		park("chat", "channel_not_found", noon)
		park("chat", "channel_not_found", noon)
		park("page", "channel_not_found", noon)
		park("page", "bad key", noon)
		groups, err := s.ParkedGroups(ctx, router.DeliveryFilter{})
		check(t, err)
		var got []string
		for _, g := range groups {
			got = append(got, fmt.Sprint(g.Error, g.Notifiers, g.Count, g.Counts, g.Delivery == max(ids[0], ids[1], ids[2])))
		}
		diff(t, got, []string{"channel_not_found[chat page] 3 map[chat:2 page:1] true", "bad key[page] 1 map[page:1] false"})
		for _, f := range []router.DeliveryFilter{{Notifier: "page"}, {Query: "KEY"}, {Query: "% OR 1=1"},
			{Notifier: "well"}} {
			groups, err := s.ParkedGroups(ctx, f)
			check(t, err)
			n := int64(0)
			for _, g := range groups {
				n += g.Count
			}
			if want := map[string]int64{"page": 2, "KEY": 1}[f.Notifier+f.Query]; n != want {
				t.Errorf("%+v: %d, want %d", f, n, want)
			}
		}
		found, err := s.FindDeliveries(ctx, router.DeliveryFilter{Event: 99})
		check(t, err)
		if len(found) > 0 {
			t.Errorf("of a notice that is none: %+v", found)
		}
	})

	t.Run("attempts are marked by notifier and time, a digest's once", func(t *testing.T) {
		s := owing(t, open, owed(1, "chat", "a"), owed(2, "page", "b"))
		for i, notifier := range []string{"chat", "page", "chat"} {
			at := noon.Add(time.Duration(i) * time.Minute)
			n := claim(t, s.Store, notifier, at)
			check(t, s.Finish(ctx, router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: n.Revision,
				State: router.DeliveryWaiting, NextAt: at, Error: "503",
				Attempt: &router.Attempt{Revision: n.Revision, At: at, Took: time.Duration(i+1) * time.Second,
					Result: router.AttemptRetried}}))
		}
		for _, tt := range []struct {
			notifier string
			since    time.Time
			limit    int
			want     string
		}{
			{"", noon, 10, "[chat 1s page 2s chat 3s]"}, {"chat", noon, 10, "[chat 1s chat 3s]"},
			{"", noon.Add(time.Minute), 10, "[page 2s chat 3s]"},
			{"", noon, 1, "[chat 3s]"}, {"none", noon, 10, "[]"},
		} {
			marks, err := s.AttemptMarks(ctx, tt.notifier, tt.since, tt.limit)
			check(t, err)
			got := []string{}
			for _, m := range marks {
				got = append(got, m.Notifier+" "+m.Took.String())
				if m.Result != router.AttemptRetried {
					t.Errorf("%+v", m)
				}
			}
			if fmt.Sprint(got) != tt.want {
				t.Errorf("%+v: %v", tt, got)
			}
		}
	})

	t.Run("flows, what was measured of them, notices and budgets", func(t *testing.T) {
		s := open(t, store.Config{})
		words := router.StatusLevels()
		alert := func(waba, flow, event string, level router.Level, active bool, raised time.Time) router.FlowAlert {
			return router.FlowAlert{FlowID: router.FlowID{WABA: waba, Flow: flow},
				Alert: router.Alert{Event: event, Level: level, Active: active, Raised: raised, Since: raised, Incident: 1}}
		}
		severe := func(waba, flow string, level router.Level, severity router.Severity) router.FlowAlert {
			a := alert(waba, flow, "E", level, true, noon)
			a.Severity = severity
			return a
		}
		read := func(flow, event string, at time.Time, value float64) router.AlertReading {
			return router.AlertReading{FlowID: router.FlowID{WABA: "w", Flow: flow}, Event: event, Level: "5", Slot: at, At: at,
				Reading: router.Reading{Value: &value}}
		}
		check(t, s.Commit(ctx, router.Batch{
			Alerts: []router.FlowAlert{
				alert("w", "calm", "E", "5", false, noon.Add(time.Hour)), alert("w", "bad", "S", words[0], true, noon),
				alert("w", "bad", "S", words[1], true, noon),
				alert("w", "bad", "E", "5", true, noon), alert("v", "slow", "S", words[0], true, noon),
				alert("v", "slow", "S", words[1], false, noon),
				severe("x", "many", "5", router.Warning), severe("x", "many", "10", router.Error),
				severe("x", "worst", "50", router.Critical),
			},
			Readings: []router.AlertReading{read("bad", "E", noon.Add(time.Minute), 2), read("bad", "A", noon, 1),
				read("bad", "E", noon.Add(-time.Hour), 9), read("other", "E", noon, 7)},
			Notices: []router.Notice{{Event: 1, WABA: "w", Flow: "12"}, {Event: 2, WABA: "w", Flow: "123"},
				{Event: 3, WABA: "v", Flow: "12"},
				{Event: 4, WABA: "v", Name: `"flow":"12"`}},
		}))
		for waba, want := range map[string]string{
			"":  "[worst 1  critical many 2  error bad 3 BLOCKED  slow 1 THROTTLED  calm 0  ]",
			"w": "[bad 3 BLOCKED  calm 0  ]", "none": "[]"} {
			found, err := s.SeenFlows(ctx, waba)
			check(t, err)
			got := []string{}
			for _, f := range found {
				got = append(got, fmt.Sprint(f.Flow, " ", f.Active, " ", f.Status, " ", f.Severity))
			}
			if fmt.Sprint(got) != want {
				t.Errorf("flows of %q: %v, want %s", waba, got, want)
			}
		}
		readings, err := s.FlowReadings(ctx, router.FlowID{WABA: "w", Flow: "bad"}, noon)
		check(t, err)
		if len(readings) != 2 || readings[0].Event != "A" || *readings[1].Value != 2 {
			t.Errorf("%+v", readings)
		}
		for flow, want := range map[router.FlowID]string{{}: "[4 3 2 1]", {Flow: "12"}: "[3 1]", {WABA: "w"}: "[2 1]",
			{WABA: "w", Flow: "12"}: "[1]", {Flow: `12"`}: "[]"} {
			notices, err := s.NewestNotices(ctx, flow, 10)
			check(t, err)
			got := []int64{}
			for _, n := range notices {
				got = append(got, n.Event)
			}
			if fmt.Sprint(got) != want {
				t.Errorf("notices of %+v: %v, want %s", flow, got, want)
			}
		}
		check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{incident(1)},
			Owed: []router.Owed{owed(1, "chat", "a")}}))
		_, _, err = s.Claim(ctx, router.Ask{Notifier: "chat", Now: noon, Lease: time.Minute,
			Charges: func(*router.Notification) []router.Charge {
				return []router.Charge{{Budget: "posts", Calls: 2, Every: time.Second, Burst: 5}}
			}})
		check(t, err)
		paid, err := s.BudgetsPaid(ctx, []string{"posts", "other"})
		check(t, err)
		if len(paid) != 1 || !paid["posts"].Equal(noon.Add(2*time.Second)) {
			t.Errorf("%v", paid)
		}
		if paid, err := s.BudgetsPaid(ctx, nil); err != nil || len(paid) > 0 {
			t.Errorf("%v %v", paid, err)
		}
	})

	t.Run("each is one query, however much there is", func(t *testing.T) {
		s := open(t, store.Config{})
		var batch router.Batch
		for n := int64(1); n <= 600; n++ {
			batch.Owed = append(batch.Owed, owed(n, "chat", fmt.Sprint(n)))
			batch.Notices = append(batch.Notices, router.Notice{Event: n, WABA: "w", Flow: fmt.Sprint(n)})
			batch.Alerts = append(batch.Alerts, router.FlowAlert{FlowID: router.FlowID{WABA: "w", Flow: fmt.Sprint(n)},
				Alert: router.Alert{Event: "E", Level: "5", Active: true}})
		}
		check(t, s.Commit(ctx, batch))
		for name, ask := range map[string]func() (int, error){
			"groups": func() (int, error) { l, err := s.ParkedGroups(ctx, router.DeliveryFilter{}); return len(l), err },
			"marks":  func() (int, error) { l, err := s.AttemptMarks(ctx, "", noon, 10); return len(l), err },
			"flows":  func() (int, error) { l, err := s.SeenFlows(ctx, ""); return len(l), err },
			"readings": func() (int, error) {
				l, err := s.FlowReadings(ctx, router.FlowID{WABA: "w", Flow: "1"}, noon)
				return len(l), err
			},
			"notices": func() (int, error) { l, err := s.NewestNotices(ctx, router.FlowID{WABA: "w"}, 20); return len(l), err },
			"budgets": func() (int, error) { l, err := s.BudgetsPaid(ctx, []string{"a", "b"}); return len(l), err },
		} {
			before := s.Asked()
			n, err := ask()
			check(t, err)
			if asked := s.Asked() - before; asked > 1 || n > 500 {
				t.Errorf("%s: %d rows in %d queries", name, n, asked)
			}
		}
		flow := router.FlowID{WABA: "w", Flow: "1"}
		for name, page := range map[string][]func() error{
			"a flow": {
				func() error {
					_, err := s.IncidentRows(ctx, router.IncidentFilter{WABA: "w", Flow: "1", Limit: 40})
					return err
				},
				func() error { _, err := s.StatusPeriods(ctx, flow, noon, noon.Add(time.Hour)); return err },
				func() error { _, err := s.NewestNotices(ctx, flow, 15); return err },
				func() error { _, err := s.FlowReadings(ctx, flow, noon); return err },
			},
			"the deliveries": {
				func() error { _, err := s.ParkedGroups(ctx, router.DeliveryFilter{}); return err },
				func() error {
					_, err := s.FindDeliveries(ctx, router.DeliveryFilter{State: router.DeliveryWaiting, Limit: 25})
					return err
				},
				func() error {
					found, err := s.FindDeliveries(ctx, router.DeliveryFilter{Limit: 50})
					check(t, err)
					_, err = s.About(ctx, found)
					return err
				},
			},
			"a notifier": {
				func() error { _, err := s.Lanes(ctx); return err }, func() error { _, err := s.Backlog(ctx); return err },
				func() error { _, err := s.ParkedGroups(ctx, router.DeliveryFilter{Notifier: "chat"}); return err },
				func() error { _, err := s.AttemptMarks(ctx, "chat", noon, 10_000); return err },
				func() error { _, err := s.BudgetsPaid(ctx, []string{"a"}); return err },
			},
		} {
			before := s.Asked()
			for _, ask := range page {
				check(t, ask())
			}
			if asked := s.Asked() - before; asked > 8 {
				t.Errorf("the page of %s asks %d times", name, asked)
			}
		}
	})
}
