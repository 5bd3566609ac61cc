package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"flowbridge/router"
)

// memStore is a store over plain slices.
type memStore struct {
	glance
	mu         sync.Mutex
	incidents  []router.IncidentDetail
	events     []router.JournalEvent
	deliveries []router.Delivery
	attempts   []router.Attempt
	versions   []router.RulesVersion
	hits       []router.RuleHits
	sights     []router.Sight
	silences   []router.Silence
	pairs      map[int64][]int64
	stats      router.Stats
	progress   router.Progress
	appended   []router.Event
	retried    []int64
	forgotten  []router.Person
	audit      []router.AuditEntry // newest first
	auditFault error
	fold       func() (router.EventProgress, error) // of what was appended; nil: it is folded at once
	fault      error                                // what storage says instead of working
	panics     bool
	stamp      int // goes up when something changes
	lanes      []router.Lane
	readings   []router.AlertReading

	reportFilters []router.ReportFilter

	incidentFilters []router.IncidentFilter // that were asked for
	countFilters    []router.IncidentFilter
	eventFilters    []router.EventFilter
	deliveryFilters []router.DeliveryFilter
	nextEvent       int64 // where the next page of events begins
	searchRest      router.SearchRest
}

func (s *memStore) Incidents(_ context.Context, f router.IncidentFilter) ([]router.IncidentDetail, error) {
	if s.panics {
		panic("nil map")
	}
	s.incidentFilters = append(s.incidentFilters, f)
	if f.Worst && f.Before == 9 {
		return nil, router.ErrNotFound
	}
	var out []router.IncidentDetail
	for _, i := range s.incidents {
		if (f.State == "" || i.State == f.State) && (!f.Active || i.State != router.IncidentResolved) &&
			(f.Flow == "" || i.Flow == f.Flow) && (f.Before == 0 || i.Number < f.Before) && len(out) < f.Limit {
			out = append(out, i)
		}
	}
	return out, s.fault
}

func (s *memStore) FlowSummary(context.Context, router.FlowID, time.Time, time.Time) (router.FlowSummary, error) {
	return router.FlowSummary{}, s.fault
}

func (s *memStore) ReadingsBetween(context.Context, router.FlowID, string, time.Time,
	time.Time) ([]router.AlertReading, error) {
	return s.readings, s.fault
}

func (s *memStore) Forget(_ context.Context, p router.Person) (router.Found, error) {
	s.forgotten = append(s.forgotten, p)
	return router.Found{ForgottenCount: router.ForgottenCount{Events: 2, Notices: 1},
			Told: []router.Told{{Notifier: "chat", Kind: router.KindSlack, Event: 7, Link: "https://chat.example.com/m"}}},
		s.fault
}

func (s *memStore) Incident(_ context.Context, number int64) (router.IncidentDetail, error) {
	if s.fault != nil {
		return router.IncidentDetail{}, s.fault
	}
	for _, i := range s.incidents {
		if i.Number == number {
			return i, nil
		}
	}
	return router.IncidentDetail{}, fmt.Errorf("incident %d: %w", number, router.ErrNotFound)
}

func (s *memStore) Events(_ context.Context, state router.EventState, limit int) ([]router.JournalEvent, error) {
	var out []router.JournalEvent
	for _, e := range slices.Backward(s.events) {
		if (state == "" || e.State == state) && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, s.fault
}

func (s *memStore) FindEvents(_ context.Context, f router.EventFilter) ([]router.JournalEvent, int64, error) {
	s.eventFilters = append(s.eventFilters, f)
	var out []router.JournalEvent
	for _, e := range slices.Backward(s.events) {
		if (f.State == "" || e.State == f.State) && (f.Digest == "" || e.Digest == f.Digest) &&
			(f.Before == 0 || e.Seq < f.Before) && len(out) < f.Limit {
			out = append(out, e)
		}
	}
	return out, s.nextEvent, s.fault
}

func (s *memStore) Event(_ context.Context, seq int64) (router.JournalEvent, error) {
	for _, e := range s.events {
		if e.Seq == seq {
			return e, s.fault
		}
	}
	return router.JournalEvent{}, cmp.Or(s.fault, fmt.Errorf("event %d: %w", seq, router.ErrNotFound))
}

func (s *memStore) Pairs(_ context.Context, first, last int64) (map[int64][]int64, error) {
	out := map[int64][]int64{}
	for seq, pairs := range s.pairs {
		if first <= seq && seq <= last {
			out[seq] = pairs
		}
	}
	return out, s.fault
}

func (s *memStore) Silences(context.Context) ([]router.Silence, error) {
	return slices.DeleteFunc(slices.Clone(s.silences), func(q router.Silence) bool {
		return !q.Ended.IsZero() || !q.Until.IsZero() && !q.Until.After(noon)
	}), s.fault
}

func (s *memStore) AllSilences(_ context.Context, limit int) ([]router.Silence, error) {
	return s.silences[:min(limit, len(s.silences))], s.fault
}

func (s *memStore) SilencesBefore(_ context.Context, id string, limit int) ([]router.Silence, error) {
	at := slices.IndexFunc(s.silences, func(q router.Silence) bool { return q.ID == id })
	if at < 0 {
		return nil, s.fault
	}
	rest := s.silences[at+1:]
	return rest[:min(limit, len(rest))], s.fault
}

func (s *memStore) FindDeliveries(_ context.Context, f router.DeliveryFilter) ([]router.Delivery, error) {
	s.deliveryFilters = append(s.deliveryFilters, f)
	var out []router.Delivery
	for _, d := range slices.Backward(s.deliveries) {
		if (f.State == "" || d.State == f.State) && (f.Before == 0 || d.ID < f.Before) && len(out) < f.Limit &&
			(f.Event == 0 || d.Event == f.Event) && (f.Incident == 0 || d.Incident == f.Incident) &&
			(f.Notifier == "" || d.Notifier == f.Notifier) {
			out = append(out, d)
		}
	}
	return out, s.fault
}

func (s *memStore) RetryDeliveries(ctx context.Context, f router.DeliveryFilter,
	audit func(n int) router.AuditEntry) (n int, err error) {
	s.deliveryFilters = append(s.deliveryFilters, f)
	for _, d := range s.deliveries {
		if d.State == f.State {
			s.retried = append(s.retried, d.ID)
			n++
		}
	}
	return n, cmp.Or(s.fault, s.Audit(ctx, audit(n)))
}

func (s *memStore) About(_ context.Context, list []router.Delivery) (map[int64]router.About, error) {
	about := map[int64]router.About{}
	for _, d := range list {
		for _, i := range s.incidents {
			if d.Incident == i.Number {
				about[d.ID] = router.About{WABA: i.WABA, Flow: i.Flow, Event: i.Event, Subject: i.Subject, FlowInfo: i.FlowInfo}
			}
		}
	}
	return about, s.fault
}

func (s *memStore) RetryDelivery(_ context.Context, id int64, audit ...router.AuditEntry) error {
	for _, d := range s.deliveries {
		switch {
		case d.ID != id:
		case d.State == router.DeliveryDelivered:
			return fmt.Errorf("delivery %d: %w: it was delivered", id, router.ErrConflict)
		default:
			s.retried = append(s.retried, id)
			s.audit = append(audit, s.audit...)
			return s.fault
		}
	}
	return fmt.Errorf("delivery %d: %w", id, router.ErrNotFound)
}

func (s *memStore) Audit(_ context.Context, entries ...router.AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := cmp.Or(s.auditFault, s.fault); err != nil {
		return err
	}
	s.audit = append(entries, s.audit...)
	return nil
}

func (s *memStore) AuditEntries(_ context.Context, before int64, limit int) ([]router.AuditEntry, error) {
	var out []router.AuditEntry
	for _, e := range s.audit {
		if (before == 0 || e.ID < before) && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, s.fault
}

func (s *memStore) Append(_ context.Context, events []router.Event) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil {
		return 0, s.fault
	}
	s.appended = append(s.appended, events...)
	return len(events), nil
}

func (s *memStore) EventProgress(_ context.Context, digest string) (router.EventProgress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fold != nil {
		return s.fold()
	}
	folded := slices.ContainsFunc(s.appended, func(e router.Event) bool { return e.Digest == digest })
	return router.EventProgress{Folded: folded}, s.fault
}

func (s *memStore) Stats(ctx context.Context) (router.Stats, error) {
	if _, ok := ctx.Deadline(); !ok {
		return router.Stats{}, errors.New("a scrape without a time-out")
	}
	return s.stats, s.fault
}

func (s *memStore) Progress(ctx context.Context, _ time.Time) (router.Progress, error) {
	if _, ok := ctx.Deadline(); !ok {
		return router.Progress{}, errors.New("a look without a time-out")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.progress, s.fault
}

func (s *memStore) Ping(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		return errors.New("a probe without a time-out")
	}
	return s.fault
}

// noon is the time of the tests; moments are given in a zone of their own, so that UTC must be made.
var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func at(minute int) time.Time {
	return noon.Add(time.Duration(minute) * time.Minute).In(time.FixedZone("CEST", 2*60*60))
}

// filledStore knows one incident in each state, one delivery in each state, and events of every kind.
func filledStore() *memStore {
	endpoint := router.IncidentDetail{
		Incident: router.Incident{
			Number: 42, Key: "flowbridge/w1/1987937931743377/ENDPOINT_ERROR_RATE", WABA: "w1", Flow: "1987937931743377",
			Event: router.EndpointErrorRate,
			FlowInfo: router.FlowInfo{FlowName: "Checkout", Labels: map[string]string{"team": "payments"},
				Runbook: "https://runbooks.example.com/checkout"},
			State: router.IncidentOpen, Severity: router.Error, Peak: router.Critical, Path: []router.Level{"5", "10", "50"},
			Rule: "payments endpoint is failing", Title: "Checkout <fails> & burns", OpenedAt: at(0),
			Owner: "Grace", Links: []router.Link{{Notifier: "payments-oncall", ID: "PT4KHLK", Number: 17,
				URL: "https://example.pagerduty.com/incidents/PT4KHLK"}},
			Silence: router.Silence{ID: "deploying", Until: at(60), By: "Ada", Why: "deploy"}, Flaps: 2,
			Pageable: []string{"payments-oncall", "vendor-oncall"},
			Watch: []router.Watch{{Notifier: "payments-chat", Open: true}, {Notifier: "payments-oncall", Open: true},
				{Notifier: "vendor-oncall"}},
		},
		Alerts: []router.Alert{
			{Event: router.EndpointErrorRate, Level: "10", Active: true, Since: at(5), OpenedBy: 102, Severity: router.Error,
				Reading: router.Reading{Value: new(14.28)}, Routes: []router.AlertRoute{{Notifier: "payments-chat"},
					{Notifier: "payments-oncall", Due: at(10)}}},
			{Event: router.EndpointErrorRate, Level: "50", Since: at(6), Until: at(9), OpenedBy: 103, ClosedBy: 104,
				Severity: router.Critical},
		},
		Deliveries: []router.Delivery{
			{ID: 7, Incident: 42, Notifier: "payments-chat", Kind: router.KindSlack, State: router.DeliveryDelivered,
				Updated: at(9), NextAt: at(9),
				Receipt: router.Receipt{Own: `{"channel":"C0PAY","ts":"1777896000.000100"}`,
					Link: "https://example.slack.com/archives/C0PAY/p1", Told: 4, Open: true}},
			{ID: 8, Incident: 42, Notifier: "payments-oncall", Kind: router.KindPagerDuty, State: router.DeliveryWaiting,
				Attempts: 3, Failing: at(7),
				LastError: "PagerDuty answered 503", NextAt: at(10), Updated: at(9)},
		},
		Timeline: []router.Entry{
			{Incident: 42, N: 1, At: at(0), Recorded: at(1), Kind: router.EntryOpened,
				Text: "Endpoint error rate over 5 %: now 6.1 %", Event: 101},
			{Incident: 42, N: 2, At: at(9), Kind: router.EntryEased, Text: "Endpoint error rate back under 50 %", Event: 104},
		},
	}
	blocked := router.IncidentDetail{
		Incident: router.Incident{
			Number: 41, Key: "flowbridge/w1/2/FLOW_STATUS_CHANGE", WABA: "w1", Flow: "2", Event: router.FlowStatusChange,
			State: router.IncidentAcknowledged, Severity: router.Critical, Peak: router.Critical,
			Path: []router.Level{"BLOCKED"},
			Rule: "default", OpenedAt: at(-30), AcknowledgedAt: at(-20), AcknowledgedBy: "Ada",
		},
		Alerts: []router.Alert{{Event: router.FlowStatusChange, Level: "BLOCKED", Active: true, Since: at(-30), OpenedBy: 90,
			Severity: router.Critical}},
	}
	over := router.IncidentDetail{Incident: router.Incident{
		Number: 40, Key: "flowbridge/w1/3/ENDPOINT_LATENCY", WABA: "w1", Flow: "3", Event: router.EndpointLatency,
		State: router.IncidentResolved, Severity: router.Warning, Peak: router.Warning,
		Rule: "default", OpenedAt: at(-90), ResolvedAt: at(-80), ResolvedBy: "Grace",
	}}
	return &memStore{
		incidents: []router.IncidentDetail{endpoint, blocked, over},
		deliveries: []router.Delivery{
			endpoint.Deliveries[0], endpoint.Deliveries[1],
			{ID: 9, Event: 99, Notifier: "ops-chat", Kind: router.KindSlack, State: router.DeliveryParked, Attempts: 1,
				LastError: "Slack refused: channel_not_found (invite the bot)", Updated: at(2)},
			{ID: 10, Incident: 40, Notifier: "ops-chat", Kind: router.KindSlack, State: router.DeliveryCancelled,
				Updated: at(3)},
		},
		events: []router.JournalEvent{
			{Event: router.Event{Seq: 101, Digest: "d", Source: router.SourceMeta, At: at(0), Received: at(1), WABA: "w1",
				Flow: "1987937931743377",
				Name: router.EndpointErrorRate, AlertState: router.Activated, Threshold: new(5.0), Message: "Meta's words",
				Field: "flows", Reading: router.Reading{Value: new(6.1),
					Errors: []router.ErrorCount{{Type: "timeout_error", Rate: new(66.6), Count: new(2.0)}}},
				Value: []byte(`{"event":"ENDPOINT_ERROR_RATE","threshold":5}`)},
				State: router.EventFolded, Outcome: "opened INC-42"},
			{Event: router.Event{Seq: 102, Source: router.SourceMeta, At: at(2), Received: at(2), WABA: "w1",
				Name:  router.FlowResponse,
				Value: []byte(`{"from":"15550100","response":{"name":"Jane Secret"}}`)}, State: router.EventFolded,
				Outcome: "no rule tells anybody"},
			{Event: router.Event{Seq: 103, Source: router.SourceMeta, At: at(3), Received: at(3),
				Unreadable: "not JSON: unexpected end",
				Raw:        []byte("{\"entry\":[\xff<b>")}, State: router.EventUnreadable},
			{Event: router.Event{Seq: 104, Source: router.SourceMeta, At: at(4), Received: at(4), WABA: "w1", Flow: "2",
				Name:      router.FlowStatusChange,
				OldStatus: router.Throttled, NewStatus: router.Blocked}, State: router.EventWaiting},
		},
		attempts: []router.Attempt{{Delivery: 9, N: 2, Revision: 3, At: at(5), Took: 1500 * time.Millisecond,
			Result: router.AttemptParked, Status: 200,
			Error: "Slack refused: channel_not_found", More: 1, With: 4, Calls: []router.Call{
				{Method: "POST", URL: "https://slack.com/api/chat.postMessage", Request: `{"text":"<b>&"}`, RequestCut: true,
					Status: 200,
					Answer: `{"ok":false,"error":"channel_not_found"}`, AnswerCut: true, Took: time.Second},
				{Method: "POST", URL: "https://hooks.example.com/…", Error: "connection refused", Took: 500 * time.Millisecond},
			}}},
		versions: []router.RulesVersion{
			{Digest: "bb22", First: at(1), Loaded: at(5), By: router.RulesReloaded},
			{Digest: "aa11", First: at(0), Loaded: at(0), By: router.RulesAtStart,
				Files: []router.RulesFile{{Name: "rules.yaml", Text: "version: 1\n"}}},
		},
		hits: []router.RuleHits{{Day: at(0).Truncate(24 * time.Hour), Rule: "payments", Hits: 3, Pages: 1, Last: at(4)}},
		sights: []router.Sight{{What: router.SightPost, At: at(3)},
			{What: router.SightBadPost, At: at(2), Detail: "from 192.0.2.1"}},
		silences: []router.Silence{
			{ID: "deploying", Scope: router.Scope{Flow: "1987937931743377", Labels: map[string]string{"team": "payments"}},
				Since: at(-10), Until: at(60), By: "Ada", Why: "deploy"},
			{ID: "all", Since: at(-20)},
			{ID: "over", Scope: router.Scope{WABA: "w1", Event: router.EndpointLatency}, Since: at(-60), Until: at(-30),
				By: "Grace"},
			{ID: "ended", Scope: router.Scope{Flow: "2"}, Since: at(-90), Ended: at(-80)},
			{ID: "forgotten", Scope: router.Scope{Flow: "2"}, Since: at(-60 * 24 * 9), Ended: at(-60 * 24 * 8)},
		},
		pairs: map[int64][]int64{101: {104}, 104: {101, 103}},
		stats: router.Stats{
			Events:     map[router.EventState]int64{router.EventWaiting: 1, router.EventUnreadable: 2},
			Incidents:  map[router.IncidentState]int64{router.IncidentOpen: 3},
			Deliveries: map[router.DeliveryState]int64{router.DeliveryWaiting: 4, router.DeliveryParked: 5},
			OldestWait: noon.Add(-90 * time.Second),
		},
	}
}
