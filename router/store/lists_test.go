package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
)

// listed is what lists are asked of: eight incidents, each of which differs from the others in what one can ask for.
//
//	1 open, error      flow 101 "Checkout", team payments     chat delivered
//	2 open, critical   flow 102 "Refunds", team payments/eu   chat, page parked
//	3 acknowledged     flow 101, latency, rule "slow"         page
//	4 resolved         flow 101, critical                     chat
//	5 open, warning    phone 15550100, silenced               -
//	6 open, error      account w2, fact "Spam reports"        chat failing
//	7 resolved         flow 103                               page parked
//	8 open, error      template 9:en_US, title "Zahlung ÜBEL" -
func listed(t *testing.T, s *store.Store) {
	t.Helper()
	at := func(hours int) time.Time { return noon.Add(time.Duration(hours-100) * time.Hour) }
	inc := func(n int64, flow, event string, state router.IncidentState, severity router.Severity) router.Incident {
		i := incident(n)
		i.Key, i.Flow, i.Event, i.State, i.Severity, i.Peak, i.OpenedAt = fmt.Sprint("k", n), flow, event, state, severity,
			severity, at(int(n))
		if state == router.IncidentResolved {
			i.ResolvedAt = at(int(n) + 1)
		}
		return i
	}
	checkout := router.FlowInfo{FlowName: "Checkout", Labels: map[string]string{"team": "payments"}}
	incidents := []router.Incident{
		inc(1, "101", router.EndpointErrorRate, router.IncidentOpen, router.Error),
		inc(2, "102", router.EndpointErrorRate, router.IncidentOpen, router.Critical),
		inc(3, "101", router.EndpointLatency, router.IncidentAcknowledged, router.Error),
		inc(4, "101", router.EndpointErrorRate, router.IncidentResolved, router.Critical),
		inc(5, "phone:15550100", "PHONE_NUMBER_QUALITY_UPDATE", router.IncidentOpen, router.Warning),
		inc(6, "account:", router.AccountBan, router.IncidentOpen, router.Error),
		inc(7, "103", router.FlowStatusChange, router.IncidentResolved, router.Warning),
		inc(8, "template:9:en_US", "MESSAGE_TEMPLATE_STATUS_UPDATE", router.IncidentOpen, router.Error),
	}
	incidents[0].FlowInfo, incidents[2].FlowInfo, incidents[3].FlowInfo = checkout, checkout, checkout
	incidents[1].FlowInfo = router.FlowInfo{FlowName: "Refunds", Labels: map[string]string{"team": "payments",
		"region": "eu"}}
	incidents[2].Rule = "slow"
	incidents[3].Path = []router.Level{"10", "50"}
	incidents[4].Subject = router.Subject{Kind: router.SubjectPhone, ID: "15550100", Name: "+1 555 0100"}
	incidents[4].Silence = router.Silence{ID: "s1", Since: noon}
	incidents[5].WABA, incidents[5].Subject = "w2", router.Subject{Kind: router.SubjectAccount}
	incidents[5].Facts = []router.Fact{{Name: "Reason", Text: "Spam reports"}}
	incidents[7].Subject = router.Subject{Kind: router.SubjectTemplate, ID: "9:en_US", Name: "order (en_US)"}
	incidents[7].Title = "Zahlung ÜBEL 50%"
	incidents[6].FlowInfo = router.FlowInfo{FlowName: "Old", Labels: map[string]string{"team": "payments\nregion=eu"}}
	var entries []router.Entry
	var alerts []router.FlowAlert
	for _, i := range incidents {
		entries = append(entries, router.Entry{Incident: i.Number, N: 1, At: i.OpenedAt, Recorded: i.OpenedAt,
			Kind: router.EntryOpened, Text: "opened", Event: i.Number})
		alerts = append(alerts, router.FlowAlert{FlowID: router.FlowID{WABA: i.WABA, Flow: i.Flow},
			Alert: router.Alert{Event: i.Event, Level: router.Level(fmt.Sprint(i.Number)),
				Active: true, Raised: noon, Since: noon, OpenedBy: i.Number, Severity: i.Severity, Incident: i.Number, Key: i.Key}})
	}
	told := func(n int64, notifier string) router.Owed { return owed(n, notifier, fmt.Sprint("k", n, notifier)) }
	check(t, s.Commit(context.Background(), router.Batch{Incidents: incidents, Entries: entries, Alerts: alerts,
		Owed: []router.Owed{
			told(1, "chat"), told(2, "chat"), told(4, "chat"), told(6, "chat"), told(2, "page"), told(3, "page"),
			told(7, "page"),
		}}))
	for range 7 {
		for _, notifier := range []string{"chat", "page"} {
			n, err := try(s, notifier, noon)
			check(t, err)
			if n == nil {
				continue
			}
			r := result(n, router.DeliveryDelivered)
			switch key := fmt.Sprint(n.Incident.Number, notifier); key {
			case "2page", "7page":
				r.State, r.Error = router.DeliveryParked, "PagerDuty refused: Invalid Routing Key"
			case "3page":
				r.Receipt = router.Receipt{Own: made("dedup_key", "k3page"), Open: true}
			case "6chat":
				r.State, r.Error, r.NextAt = router.DeliveryWaiting, "Slack answered 503", noon.Add(time.Hour)
			}
			check(t, s.Finish(context.Background(), r))
		}
	}
}

func numbersOf(rows []router.IncidentRow) (numbers []int64) {
	for _, r := range rows {
		numbers = append(numbers, r.Number)
	}
	return numbers
}

func listsSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx := context.Background()
	s := open(t, store.Config{})
	listed(t, s.Store)
	for _, tt := range []struct {
		name string
		f    router.IncidentFilter
		want []int64
	}{
		{"nothing", router.IncidentFilter{}, []int64{8, 7, 6, 5, 4, 3, 2, 1}},
		{"open", router.IncidentFilter{State: router.IncidentOpen}, []int64{8, 6, 5, 2, 1}},
		{"acknowledged", router.IncidentFilter{State: router.IncidentAcknowledged}, []int64{3}},
		{"resolved", router.IncidentFilter{State: router.IncidentResolved}, []int64{7, 4}},
		{"active", router.IncidentFilter{Active: true}, []int64{8, 6, 5, 3, 2, 1}},
		{"active and resolved", router.IncidentFilter{Active: true, State: router.IncidentResolved}, nil},
		{"a severity", router.IncidentFilter{Severities: []router.Severity{router.Warning}}, []int64{7, 5}},
		{"severities", router.IncidentFilter{Severities: []router.Severity{router.Error, router.Critical}},
			[]int64{8, 6, 4, 3, 2, 1}},
		{"no severity", router.IncidentFilter{Severities: []router.Severity{}}, nil},
		{"a flow", router.IncidentFilter{Flow: "101"}, []int64{4, 3, 1}},
		{"a flow's signal", router.IncidentFilter{Flow: "101", Signals: []string{router.EndpointErrorRate}}, []int64{4, 1}},
		{"an account", router.IncidentFilter{WABA: "w2"}, []int64{6}},
		{"an event that several signals share", router.IncidentFilter{Signals: router.SignalsNamed(router.AccountUpdate)},
			[]int64{6}},
		{"flows", router.IncidentFilter{Subject: router.SubjectFlow}, []int64{7, 4, 3, 2, 1}},
		{"a flow as a subject", router.IncidentFilter{Subject: router.SubjectFlow, SubjectID: "102"}, []int64{2}},
		{"phones", router.IncidentFilter{Subject: router.SubjectPhone}, []int64{5}},
		{"a template", router.IncidentFilter{Subject: router.SubjectTemplate, SubjectID: "9:en_US"}, []int64{8}},
		{"an account as a subject", router.IncidentFilter{Subject: router.SubjectAccount, SubjectID: "w2"}, []int64{6}},
		{"another account as a subject", router.IncidentFilter{Subject: router.SubjectAccount, SubjectID: "w"}, nil},
		{"a subject of any kind", router.IncidentFilter{SubjectID: "15550100"}, []int64{5}},
		{"an account of any kind", router.IncidentFilter{SubjectID: "w2"}, []int64{6}},
		{"a team", router.IncidentFilter{Labels: map[string]string{"team": "payments"}}, []int64{4, 3, 2, 1}},
		{"labels", router.IncidentFilter{Labels: map[string]string{"team": "payments", "region": "eu"}}, []int64{2}},
		{"a label in other letters", router.IncidentFilter{Labels: map[string]string{"team": "Payments"}}, nil},
		{"the beginning of a label", router.IncidentFilter{Labels: map[string]string{"team": "pay"}}, nil},
		{"a label of two lines", router.IncidentFilter{Labels: map[string]string{"team": "payments\nregion=eu"}}, []int64{7}},
		{"a notifier", router.IncidentFilter{Notifier: "page"}, []int64{7, 3, 2}},
		{"a rule", router.IncidentFilter{Rule: "slow"}, []int64{3}},
		{"from", router.IncidentFilter{From: noon.Add(-93 * time.Hour)}, []int64{8, 7}},
		{"to", router.IncidentFilter{To: noon.Add(-98 * time.Hour)}, []int64{1}},
		{"silenced", router.IncidentFilter{Silenced: new(true)}, []int64{5}},
		{"not silenced", router.IncidentFilter{Silenced: new(false), Active: true}, []int64{8, 6, 3, 2, 1}},
		{"trouble", router.IncidentFilter{Trouble: new(true)}, []int64{7, 6, 2}},
		{"no trouble", router.IncidentFilter{Trouble: new(false)}, []int64{8, 5, 4, 3, 1}},
		{"a name", router.IncidentFilter{Query: "inc-4"}, []int64{4}},
		{"a number", router.IncidentFilter{Query: "4"}, []int64{4}},
		{"a flow's id", router.IncidentFilter{Query: "102"}, []int64{2}},
		{"a flow's name, in other letters", router.IncidentFilter{Query: "cHECK"}, []int64{4, 3, 1}},
		{"a title in letters of another alphabet", router.IncidentFilter{Query: "übel 50%"}, []int64{8}},
		{"what LIKE would take for anything", router.IncidentFilter{Query: "%"}, []int64{8, 4}},
		{"a subject's name", router.IncidentFilter{Query: "555 01"}, []int64{5}},
		{"a fact", router.IncidentFilter{Query: "spam"}, []int64{6}},
		{"words of a signal", router.IncidentFilter{Query: "endpoint error"}, []int64{4, 2, 1}},
		{"an event", router.IncidentFilter{Query: "account_update"}, []int64{6}},
		{"words of a name and of a signal", router.IncidentFilter{Query: "endpoint check"}, []int64{4, 3, 1}},
		{"words of which one does not fit", router.IncidentFilter{Query: "endpoint check nowhere"}, nil},
		{"a name and a word", router.IncidentFilter{Query: "INC-4 check"}, []int64{4}},
		{"a name and a word of another", router.IncidentFilter{Query: "INC-4 refunds"}, nil},
		{"a team and a rule, in other letters", router.IncidentFilter{Query: "PAYmen slow"}, []int64{3}},
		{"a headline", router.IncidentFilter{Query: "Checkout: Endpoint error rate over 50 %"}, []int64{4}},
		{"a quote", router.IncidentFilter{Query: `'"; --`}, nil},
		{"what no database stores", router.IncidentFilter{Query: "\x00\xff"}, nil},
		{"before", router.IncidentFilter{Before: 4, Limit: 2}, []int64{3, 2}},
		{"the worst first", router.IncidentFilter{Worst: true}, []int64{2, 6, 8, 1, 5, 3, 7, 4}},
		{"the worst of those that are not over", router.IncidentFilter{Worst: true, Active: true}, []int64{2, 6, 8, 1, 5, 3}},
		{"the worst of those that are over", router.IncidentFilter{Worst: true, State: router.IncidentResolved},
			[]int64{7, 4}},
		{"the worst after one", router.IncidentFilter{Worst: true, Before: 8, Limit: 3}, []int64{1, 5, 3}},
		{"the worst after one that is over", router.IncidentFilter{Worst: true, Before: 7}, []int64{4}},
		{"the worst after the last", router.IncidentFilter{Worst: true, Before: 4}, nil},
		{"much at once", router.IncidentFilter{Worst: true, State: router.IncidentOpen, Flow: "102",
			Labels:   map[string]string{"region": "eu"},
			Notifier: "page", Trouble: new(true), Query: "refunds", Silenced: new(false)}, []int64{2}},
	} {
		rows, err := s.IncidentRows(ctx, tt.f)
		if err != nil || !slices.Equal(numbersOf(rows), tt.want) {
			t.Errorf("%s: %v, %v, want %v", tt.name, numbersOf(rows), err, tt.want)
		}
		whole, err := s.Incidents(ctx, tt.f)
		if err != nil || len(whole) != len(rows) {
			t.Errorf("%s: %d whole, %v", tt.name, len(whole), err)
		}
	}
	if _, err := s.IncidentRows(ctx, router.IncidentFilter{Worst: true, Before: 99}); !errors.Is(err, router.ErrNotFound) {
		t.Errorf("after one that is not there: %v", err)
	}
	t.Run("page by page the list is the whole, each incident once", func(t *testing.T) {
		for _, worst := range []bool{false, true} {
			whole, err := s.IncidentRows(ctx, router.IncidentFilter{Worst: worst})
			check(t, err)
			var paged []int64
			for f := (router.IncidentFilter{Worst: worst, Limit: 3}); ; {
				page, err := s.IncidentRows(ctx, f)
				check(t, err)
				if len(page) == 0 {
					break
				}
				paged = append(paged, numbersOf(page)...)
				f.Before = paged[len(paged)-1]
			}
			diff(t, paged, numbersOf(whole))
		}
	})
	t.Run("a row says whom it was told to", func(t *testing.T) {
		rows, err := s.IncidentRows(ctx, router.IncidentFilter{Flow: "102"})
		check(t, err)
		marks := rows[0].Deliveries
		if len(marks) != 2 || marks[0].Fails() || !marks[1].Fails() || marks[1].Notifier != "page" ||
			marks[1].Error != "PagerDuty refused: Invalid Routing Key" ||
			!rows[0].Trouble() || len(rows[0].Alerts) != 1 || rows[0].FlowName != "Refunds" {
			t.Errorf("%+v", rows[0])
		}
	})
	t.Run("counts", func(t *testing.T) {
		counts, err := s.Counts(ctx, router.IncidentFilter{})
		check(t, err)
		diff(t, counts, router.Counts{Open: 5, Acknowledged: 1, Silenced: 1, Trouble: 3, Parked: 2})
		for _, f := range []router.IncidentFilter{
			{Labels: map[string]string{"team": "payments"}},
			{Labels: map[string]string{"team": "payments"}, State: router.IncidentResolved, Trouble: new(true)},
			{Labels: map[string]string{"team": "payments"}, Notifier: "chat", Query: "endpoint", Silenced: new(true)},
		} {
			counts, err := s.Counts(ctx, f)
			check(t, err)
			want := router.Counts{Open: 2, Acknowledged: 1, Trouble: 1, Parked: 2}
			if f.Notifier != "" {
				want.Acknowledged = 0
			}
			diff(t, counts, want)
		}
	})
	t.Run("deliveries", func(t *testing.T) {
		for _, tt := range []struct {
			name string
			f    router.DeliveryFilter
			want string
		}{
			{"all", router.DeliveryFilter{}, "7page 3page 2page 6chat 4chat 2chat 1chat"},
			{"parked", router.DeliveryFilter{State: router.DeliveryParked}, "7page 2page"},
			{"waiting", router.DeliveryFilter{State: router.DeliveryWaiting}, "6chat"},
			{"a notifier", router.DeliveryFilter{Notifier: "chat", State: router.DeliveryDelivered}, "4chat 2chat 1chat"},
			{"an incident", router.DeliveryFilter{Incident: 2}, "2page 2chat"},
			{"words", router.DeliveryFilter{Query: "routing KEY"}, "7page 2page"},
		} {
			for before := int64(0); ; {
				f := tt.f
				f.Before, f.Limit = before, 2
				found, err := s.FindDeliveries(ctx, f)
				check(t, err)
				for _, d := range found {
					one := fmt.Sprint(d.Incident, d.Notifier)
					if !strings.HasPrefix(tt.want, one) {
						t.Errorf("%s: got %s, want %s", tt.name, one, tt.want)
					}
					tt.want, before = strings.TrimPrefix(strings.TrimPrefix(tt.want, one), " "), d.ID
				}
				if len(found) == 0 {
					break
				}
			}
			if tt.want != "" {
				t.Errorf("%s: %s are missing", tt.name, tt.want)
			}
		}
	})
	t.Run("retry of all like these", func(t *testing.T) { retrySuite(t, s.Store) })
	t.Run("a search of what an older version wrote", func(t *testing.T) {
		check(t, s.PretendOldWords(ctx))
		for query, want := range map[string][]int64{"PAYmen slow": {3}, "payments": {7, 4, 3, 2, 1}, "team": nil} {
			rows, err := s.IncidentRows(ctx, router.IncidentFilter{Query: query})
			if err != nil || !slices.Equal(numbersOf(rows), want) {
				t.Errorf("%s: %v, %v, want %v", query, numbersOf(rows), err, want)
			}
		}
	})
}

func retrySuite(t *testing.T, s *store.Store) {
	ctx := context.Background()
	for _, tt := range []struct {
		name string
		f    router.DeliveryFilter
		want int
	}{
		{"of a notifier that has none", router.DeliveryFilter{Notifier: "chat"}, 0},
		{"of other words", router.DeliveryFilter{Query: "channel_not_found"}, 0},
		{"of what waits and failed", router.DeliveryFilter{State: router.DeliveryWaiting}, 1},
		{"of what is parked", router.DeliveryFilter{Notifier: "page", Query: "invalid routing"}, 2},
		{"of the same again", router.DeliveryFilter{}, 0},
	} {
		asked := 0
		n, err := s.RetryDeliveries(ctx, tt.f, func(n int) router.AuditEntry {
			asked++
			return router.AuditEntry{At: noon, Who: "ada", What: tt.name, Result: fmt.Sprint(n)}
		})
		if n != tt.want || err != nil || asked != 1 {
			t.Errorf("%s: %d, %v; audited %d times; want %d", tt.name, n, err, asked, tt.want)
		}
		kept, err := s.AuditEntries(ctx, 0, 1)
		check(t, err)
		if len(kept) != 1 || kept[0].What != tt.name || kept[0].Result != fmt.Sprint(tt.want) {
			t.Errorf("%s: audit %+v", tt.name, kept)
		}
	}
	if _, err := s.RetryDeliveries(ctx, router.DeliveryFilter{State: router.DeliveryDelivered}, nil); !errors.Is(err,
		router.ErrConflict) {
		t.Errorf("what was delivered: %v", err)
	}
	n := claim(t, s, "page", noon)
	if n.Incident.Number != 2 && n.Incident.Number != 7 || n.Refusals != 0 {
		t.Errorf("due is %+v", n)
	}
}

// manyRetriesSuite parks more than one transaction takes, some of which something newer has replaced.
func manyRetriesSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx, s := context.Background(), open(t, store.Config{})
	var batch router.Batch
	const parked = 250
	for n := int64(1); n <= parked; n++ {
		i := incident(n)
		i.Key, i.Flow, i.Entries = fmt.Sprint("k", n), fmt.Sprint("f", n), 0
		batch.Incidents, batch.Owed = append(batch.Incidents, i), append(batch.Owed, owed(n, "page", i.Key))
		if n%25 == 0 {
			check(t, s.Commit(ctx, batch))
			batch = router.Batch{}
		}
	}
	for range parked {
		r := result(claim(t, s.Store, "page", noon), router.DeliveryParked)
		r.Error = "refused"
		check(t, s.Finish(ctx, r))
	}
	next := incident(parked + 1)
	next.Key = "k7"
	check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{next},
		Owed: []router.Owed{owed(parked+1, "page", "k7")}}))
	newer := claim(t, s.Store, "page", noon)
	if newer.Incident.Number != parked+1 {
		t.Fatalf("claimed %d", newer.Incident.Number)
	}
	done := result(newer, router.DeliveryDelivered)
	done.Receipt = router.Receipt{Told: 1, Open: true}
	check(t, s.Finish(ctx, done))
	n, err := s.RetryDeliveries(ctx, router.DeliveryFilter{}, nil)
	left, _ := s.FindDeliveries(ctx, router.DeliveryFilter{State: router.DeliveryParked})
	if n != parked-1 || err != nil || len(left) != 1 || left[0].Incident != 7 {
		t.Errorf("retried %d, %v; left %+v", n, err, left)
	}
}

// eventsSuite looks for events in every way.
func eventsSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx, s := context.Background(), open(t, store.Config{})
	for i := range 8 {
		e := event(fmt.Sprint("d", i+1))
		e.Received = noon.Add(time.Duration(i) * time.Hour)
		switch i + 1 {
		case 2:
			e.Name, e.WABA = router.FlowStatusChange, "w2"
		case 3:
			e.Source, e.Name = router.SourceConsole, router.Acknowledge
		case 4:
			e.Flow, e.Name = "g", "FLOW_PUBLISHED"
		}
		appendAll(t, s.Store, e)
	}
	inc, other := incident(1), incident(2)
	inc.Flow, other.Flow = "f", "h"
	check(t, s.Commit(ctx, router.Batch{
		Outcomes:  []router.Outcome{{Seq: 1, Text: "opened"}, {Seq: 2, Failed: true}, {Seq: 3}, {Seq: 4}, {Seq: 5}, {Seq: 6}},
		Incidents: []router.Incident{inc, other},
		Entries: []router.Entry{{Incident: 1, N: 1, Event: 1}, {Incident: 1, N: 2, Event: 3},
			{Incident: 2, N: 1, Event: 5}},
		Alerts: []router.FlowAlert{{FlowID: router.FlowID{WABA: "w", Flow: "f"}, Alert: router.Alert{Event: "E", Level: "5",
			Incident: 1, OpenedBy: 1, ClosedBy: 6}}},
		Notices: []router.Notice{{Event: 4, Flow: "g", Name: "FLOW_PUBLISHED"}},
	}))
	for _, tt := range []struct {
		name string
		f    router.EventFilter
		want []int64
	}{
		{"all", router.EventFilter{}, []int64{8, 7, 6, 5, 4, 3, 2, 1}},
		{"folded", router.EventFilter{State: router.EventFolded}, []int64{6, 5, 4, 3, 1}},
		{"waiting", router.EventFilter{State: router.EventWaiting}, []int64{8, 7}},
		{"failed, by name", router.EventFilter{State: router.EventFailed, Names: []string{router.FlowStatusChange}},
			[]int64{2}},
		{"a name", router.EventFilter{Names: []string{router.FlowStatusChange, router.Acknowledge}}, []int64{3, 2}},
		{"a flow", router.EventFilter{Flow: "f"}, []int64{6, 3, 1}},
		{"a flow that had notices only", router.EventFilter{Flow: "g"}, []int64{4}},
		{"a flow, by name", router.EventFilter{Flow: "f", Names: []string{router.Acknowledge}}, []int64{3}},
		{"an incident", router.EventFilter{Incident: 1}, []int64{6, 3, 1}},
		{"an incident of another flow", router.EventFilter{Incident: 1, Flow: "h"}, nil},
		{"an account", router.EventFilter{WABA: "w2"}, []int64{2}},
		{"a source", router.EventFilter{Source: router.SourceConsole}, []int64{3}},
		{"from", router.EventFilter{From: noon.Add(6 * time.Hour)}, []int64{8, 7}},
		{"to", router.EventFilter{To: noon.Add(2 * time.Hour)}, []int64{2, 1}},
		{"between", router.EventFilter{From: noon.Add(time.Hour), To: noon.Add(3 * time.Hour)}, []int64{3, 2}},
		{"before all", router.EventFilter{To: noon.Add(-24 * time.Hour)}, nil},
		{"after all", router.EventFilter{From: noon.Add(24 * time.Hour)}, nil},
		{"part of a name", router.EventFilter{Query: "status"}, []int64{2}},
		{"a digest", router.EventFilter{Digest: "d5"}, []int64{5}},
	} {
		var got []int64
		for f := tt.f; ; {
			f.Limit = 2
			found, next, err := s.FindEvents(ctx, f)
			check(t, err)
			for _, e := range found {
				got = append(got, e.Seq)
			}
			if f.Before = next; next == 0 {
				break
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// boundedSuite counts queries of lists of 500 incidents in each order and shape.
func boundedSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx, s := context.Background(), open(t, store.Config{})
	var batch router.Batch
	for n := int64(1); n <= 600; n++ {
		i := incident(n)
		i.Flow, i.Entries = fmt.Sprint("f", n), 2
		if n%2 == 0 {
			i.State, i.ResolvedAt = router.IncidentResolved, noon
		}
		batch.Incidents = append(batch.Incidents, i)
		batch.Entries = append(batch.Entries, router.Entry{Incident: n, N: 1, Text: "Opened"},
			router.Entry{Incident: n, N: 2, Text: "Eased"})
		batch.Alerts = append(batch.Alerts, router.FlowAlert{FlowID: router.FlowID{WABA: "w", Flow: i.Flow},
			Alert: router.Alert{Event: "E", Level: "10", Active: true, Incident: n}})
		batch.Owed = append(batch.Owed, owed(n, "chat", fmt.Sprint(n)))
	}
	check(t, s.Commit(ctx, batch))
	for _, f := range []router.IncidentFilter{{}, {Worst: true}, {Worst: true, Before: 301},
		{State: router.IncidentOpen, Rule: "r", Trouble: new(false)}} {
		before := s.Asked()
		whole, err := s.Incidents(ctx, f)
		check(t, err)
		asked := s.Asked() - before
		before = s.Asked()
		rows, err := s.IncidentRows(ctx, f)
		check(t, err)
		_, err = s.Counts(ctx, router.IncidentFilter{})
		check(t, err)
		light := s.Asked() - before
		t.Logf("%+v: %d incidents in %d queries, rows and counts in %d", f, len(whole), asked, light)
		if asked > 8 || light > 8 || len(rows) != len(whole) {
			t.Errorf("%+v: %d incidents in %d queries, %d rows in %d", f, len(whole), asked, len(rows), light)
		}
		for _, d := range whole {
			if len(d.Alerts) != 1 || len(d.Deliveries) != 1 || len(d.Timeline) != 2 || d.Timeline[0].N != 1 ||
				d.Deliveries[0].Incident != d.Number {
				t.Fatalf("INC-%d: %d alerts, %d deliveries, timeline %+v", d.Number, len(d.Alerts), len(d.Deliveries), d.Timeline)
			}
		}
	}
}

func flowSuite(t *testing.T, open func(*testing.T, store.Config) opened) {
	ctx, s := context.Background(), open(t, store.Config{})
	change := func(n int, at time.Time, old, status string) router.Event {
		return router.Event{Source: router.SourceMeta, Digest: fmt.Sprint("c", n), Received: at, At: at, WABA: "w", Flow: "f",
			Name:      router.FlowStatusChange,
			OldStatus: old, NewStatus: status}
	}
	at := func(hours int) time.Time { return noon.Add(time.Duration(hours) * time.Hour) }
	appendAll(t, s.Store, change(1, at(-50), "PUBLISHED", router.Throttled),
		change(2, at(-20), router.Throttled, router.Blocked),
		change(3, at(-10), router.Blocked, "PUBLISHED"), change(4, at(-1), "PUBLISHED", router.Throttled))
	over, now := incident(1), incident(2)
	over.Event, over.State, over.OpenedAt, over.ResolvedAt = router.FlowStatusChange, router.IncidentResolved, at(-50),
		at(-10)
	now.Event, now.OpenedAt = router.FlowStatusChange, at(-1)
	check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{over, now}, Entries: []router.Entry{
		{Incident: 1, N: 1, Event: 1}, {Incident: 1, N: 2, Event: 2}, {Incident: 1, N: 3, Event: 3},
		{Incident: 2, N: 1, Event: 4}}}))
	for _, flow := range []router.FlowID{{WABA: "w", Flow: "f"}, {WABA: "w"}} {
		sum, err := s.FlowSummary(ctx, flow, at(-24), noon)
		check(t, err)
		of := router.FlowID{WABA: "w", Flow: "f"}
		diff(t, sum.Periods, []router.StatusPeriod{
			{FlowID: of, Status: router.Throttled, From: at(-24), To: at(-20)},
			{FlowID: of, Status: router.Blocked, From: at(-20), To: at(-10)},
			{FlowID: of, Status: router.Throttled, From: at(-1), To: noon, Ongoing: true},
		})
		diff(t, numbersOf(sum.Active), []int64{2})
		diff(t, numbersOf(sum.Recent), []int64{1})
	}
	none, err := s.FlowSummary(ctx, router.FlowID{WABA: "w", Flow: "g"}, at(-24), noon)
	check(t, err)
	if len(none.Periods)+len(none.Active)+len(none.Recent) > 0 {
		t.Errorf("of a flow that nobody knows: %+v", none)
	}
}
