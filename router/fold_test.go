package router_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
)

var morning = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// history folds events one after another, as the Router does, and collects what came of it.
type history struct {
	state    router.State
	last     int64
	seq      int64
	decide   func(e *router.Event) router.Decision
	entries  []router.Entry
	owed     []string // "INC-1 chat open warning"
	notices  []string // "chat FLOW_STATUS_CHANGE"
	outcome  string
	silences []router.Silence
	over     map[int64]router.Incident // as they were last, by number
}

func (h *history) Target(name string) (router.Target, bool) {
	t, ok := map[string]router.Target{"chat": chat, "page": page}[name]
	return t, ok
}

func (h *history) Targets() []router.Target { return []router.Target{chat, page} }

func (h *history) Decide(e *router.Event) router.Decision { return h.decide(e) }
func (h *history) RenderIncident(*router.Incident, []router.Alert) (string, string) {
	return "", ""
}
func (h *history) Plain() router.Rules                          { return h }
func (h *history) RenderNotice(*router.Notice) (string, string) { return "", "" }

func (h *history) fold(e router.Event) router.Step {
	if h.over == nil {
		h.over = map[int64]router.Incident{}
	}
	h.seq++
	e.Seq = h.seq
	if e.Act != nil && h.over[e.Act.Incident].Number != 0 && !slices.ContainsFunc(h.state.Incidents,
		func(inc router.Incident) bool { return inc.Number == e.Act.Incident }) {
		h.state.Incidents = slices.Insert(slices.Clone(h.state.Incidents), 0, h.over[e.Act.Incident])
	}
	step := router.Fold(h.state, h.last+1, &e, router.Judge(h, &e), router.Moment{Now: e.Received, Silences: h.silences,
		Target: h.Target})
	h.state = step.State
	// What the store keeps for the fold: unresolved incidents, the last of each alert, those whose page a person reopened,
	// and those that an act names.
	for _, inc := range h.state.Incidents {
		h.over[inc.Number] = inc
	}
	h.state.Incidents = slices.DeleteFunc(slices.Clone(h.state.Incidents), func(inc router.Incident) bool {
		return inc.State == router.IncidentResolved && inc.Reopened == (router.Page{}) &&
			!slices.ContainsFunc(h.state.Alerts, func(a router.Alert) bool { return a.Incident == inc.Number })
	})
	h.entries = append(h.entries, step.Entries...)
	for _, n := range step.Incidents {
		h.last = max(h.last, n)
	}
	for _, o := range step.Owed {
		if o.Incident != 0 {
			open := "closed"
			if o.Open {
				open = "open"
			}
			h.owed = append(h.owed, fmt.Sprintf("%s %s %s %s", router.IncidentName(o.Incident), o.Target.Notifier, open,
				o.Severity))
		} else if step.Notice.Recovery != "" && o.Target.Kind.Keyed() {
			h.notices = append(h.notices, "close "+o.Target.Notifier+" "+o.Key)
		} else {
			h.notices = append(h.notices, o.Target.Notifier+" "+step.Notice.Name)
		}
	}
	h.outcome = step.Outcome
	return step
}

var (
	chat = router.Target{Notifier: "chat", Kind: router.KindSlack, Address: "#ops"}
	page = router.Target{Notifier: "page", Kind: router.KindPagerDuty, Credential: "k"}
)

// chatAndPage tells chat of everything and page of what is an error or worse.
func chatAndPage(e *router.Event) router.Decision {
	d := router.Decision{Rules: []string{"all"}, Severity: router.DefaultSeverity(e),
		Notify: []router.Route{{Target: chat}}, Named: []router.Target{chat, page}}
	if e.Paired() && e.AlertState == router.Deactivated {
		d.Notify = nil
	} else if d.Severity >= router.Error {
		d.Notify = append(d.Notify, router.Route{Target: page})
	}
	return d
}

// at builds an event of Meta's some minutes after the morning began.
func at(minute int, name string, set func(*router.Event)) router.Event {
	t := morning.Add(time.Duration(minute) * time.Minute)
	e := router.Event{Source: router.SourceMeta, Received: t, At: t, WABA: "w", Flow: "f", Field: "flows", Name: name}
	set(&e)
	return e
}

func pair(minute int, name, state string, threshold float64) router.Event {
	return at(minute, name, func(e *router.Event) { e.AlertState, e.Threshold = state, &threshold })
}

func up(minute int, threshold float64) router.Event {
	return pair(minute, router.EndpointErrorRate, router.Activated, threshold)
}

func down(minute int, threshold float64) router.Event {
	return pair(minute, router.EndpointErrorRate, router.Deactivated, threshold)
}

func status(minute int, from, to string) router.Event {
	return at(minute, router.FlowStatusChange, func(e *router.Event) { e.OldStatus, e.NewStatus = from, to })
}

func person(minute int, what string, incident int64) router.Event {
	e := at(minute, what, func(e *router.Event) {
		e.Source, e.Act = router.SourceConsole, &router.Act{Incident: incident, Actor: "ana"}
	})
	return e
}

func value(e router.Event, v float64) router.Event {
	e.Reading.Value = &v
	return e
}

func TestFold(t *testing.T) {
	tests := []struct {
		name     string
		events   []router.Event
		decide   func(*router.Event) router.Decision // default: chatAndPage
		active   string                              // "ENDPOINT_ERROR_RATE/5 ..."
		open     string                              // "INC-1 critical open: chat(critical) page(critical)"
		timeline []string
		owed     []string // nil: not checked
		notices  []string
		outcome  string
	}{
		{
			name:     "an activated alert opens an incident",
			events:   []router.Event{value(up(0, 5), 6.25)},
			active:   "ENDPOINT_ERROR_RATE/5",
			open:     "INC-1 warning open: chat(warning)",
			timeline: []string{"opened: Endpoint error rate over 5 %: now 6.25 %"},
			owed:     []string{"INC-1 chat open warning"},
			outcome:  "opened INC-1",
		},
		{
			name:   "the ladder is one incident whose severity is that of its highest alert",
			events: []router.Event{up(0, 5), up(1, 10), up(2, 50)},
			active: "ENDPOINT_ERROR_RATE/10 ENDPOINT_ERROR_RATE/5 ENDPOINT_ERROR_RATE/50",
			open:   "INC-1 critical open: chat(critical) page(critical)",
			timeline: []string{
				"opened: Endpoint error rate over 5 %",
				"escalated: Endpoint error rate over 10 %; severity rises from warning to error",
				"escalated: Endpoint error rate over 50 %; severity rises from error to critical",
			},
			owed: []string{"INC-1 chat open warning", "INC-1 chat open error", "INC-1 page open error",
				"INC-1 chat open critical", "INC-1 page open critical"},
		},
		{
			name:     "a repeated activation refreshes the numbers",
			events:   []router.Event{value(up(0, 5), 6), value(up(1, 5), 7.5)},
			active:   "ENDPOINT_ERROR_RATE/5",
			open:     "INC-1 warning open: chat(warning)",
			timeline: []string{"opened: Endpoint error rate over 5 %: now 6 %"},
			outcome:  "refreshed INC-1",
		},
		{
			name:   "a recovery at the top falls to the highest alert that is still active",
			events: []router.Event{up(0, 5), up(1, 10), up(2, 50), down(3, 50)},
			active: "ENDPOINT_ERROR_RATE/10 ENDPOINT_ERROR_RATE/5",
			open:   "INC-1 error open: chat(error) page(error)",
			timeline: []string{"opened: Endpoint error rate over 5 %",
				"escalated: Endpoint error rate over 10 %; severity rises from warning to error",
				"escalated: Endpoint error rate over 50 %; severity rises from error to critical",
				"eased: Endpoint error rate back under 50 %; still active: Endpoint error rate over 10 %, Endpoint error rate " +
					"over 5 %"},
			outcome: "eased INC-1",
		},
		{
			name:   "a notifier closes when the last alert that routes to it clears",
			events: []router.Event{up(0, 5), up(1, 10), down(2, 10)},
			active: "ENDPOINT_ERROR_RATE/5",
			open:   "INC-1 warning open: chat(warning) page-closed",
			owed: []string{"INC-1 chat open warning", "INC-1 chat open error", "INC-1 page open error",
				"INC-1 chat open warning", "INC-1 page closed error"},
		},
		{
			name:   "a notifier that closed is not told of what goes on without it",
			events: []router.Event{up(0, 5), up(1, 10), down(2, 10), up(3, 5)},
			active: "ENDPOINT_ERROR_RATE/5",
			open:   "INC-1 warning open: chat(warning) page-closed",
			owed: []string{"INC-1 chat open warning", "INC-1 chat open error", "INC-1 page open error",
				"INC-1 chat open warning",
				"INC-1 page closed error", "INC-1 chat open warning"},
		},
		{
			name:   "below the lowest threshold is below all of them",
			events: []router.Event{up(0, 5), up(1, 10), up(2, 50), down(125, 5)},
			timeline: []string{"opened: Endpoint error rate over 5 %",
				"escalated: Endpoint error rate over 10 %; severity rises from warning to error",
				"escalated: Endpoint error rate over 50 %; severity rises from error to critical",
				"resolved: Endpoint error rate back under 5 % after 2 h 5 min"},
			outcome: "resolved INC-1",
		},
		{
			name:   "a jump over the ladder opens at the top",
			events: []router.Event{up(0, 50), down(1, 50)}, outcome: "resolved INC-1",
		},
		{
			name:   "trouble after a recovery is a new incident",
			events: []router.Event{up(0, 5), down(1, 5), up(2, 5)},
			active: "ENDPOINT_ERROR_RATE/5", open: "INC-2 warning open: chat(warning)",
		},
		{
			name:   "availability is bad below its threshold",
			events: []router.Event{value(pair(0, router.EndpointAvailability, router.Activated, 90), 75)},
			active: "ENDPOINT_AVAILABILITY/90", open: "INC-1 critical open: chat(critical) page(critical)",
			timeline: []string{"opened: Endpoint availability below 90 %: now 75 %"},
		},
		{
			name: "availability back over a milder threshold clears the worse one",
			events: []router.Event{pair(0, router.EndpointAvailability, router.Activated, 95),
				pair(1, router.EndpointAvailability, router.Activated, 90),
				pair(2, router.EndpointAvailability, router.Deactivated, 95)},
			outcome: "resolved INC-1",
		},
		{
			name: "latency speaks in seconds",
			events: []router.Event{value(pair(0, router.EndpointLatency, router.Activated, 7000), 7850),
				value(pair(1, router.EndpointLatency, router.Deactivated, 7000), 900)},
			timeline: []string{"opened: Endpoint latency (p90) over 7 s: now 7.85 s",
				"resolved: Endpoint latency (p90) back under 7 s after 1 min: now 900 ms"},
		},
		{
			name:   "two signals of a flow are two incidents",
			events: []router.Event{up(0, 5), pair(1, router.EndpointLatency, router.Activated, 1000)},
			active: "ENDPOINT_ERROR_RATE/5 ENDPOINT_LATENCY/1000",
			open:   "INC-1 warning open: chat(warning)\nINC-2 warning open: chat(warning)",
			// The card of the first names what else is active.
			owed: []string{"INC-1 chat open warning", "INC-2 chat open warning", "INC-1 chat open warning"},
		},
		{
			name: "throttled, then blocked, then throttled, then published",
			events: []router.Event{status(0, "PUBLISHED", "THROTTLED"), status(1, "THROTTLED", "BLOCKED"),
				status(2, "BLOCKED", "THROTTLED"), status(60, "THROTTLED", "PUBLISHED")},
			timeline: []string{
				"opened: Flow status is THROTTLED (was PUBLISHED). At most 10 new sends an hour; flows already sent still open",
				"escalated: Flow status is BLOCKED (was THROTTLED). The flow can neither be sent nor opened; severity rises " +
					"from error to critical",
				"eased: Flow status is THROTTLED (was BLOCKED); still active: Flow status is THROTTLED",
				"resolved: Flow status is PUBLISHED after 1 h (was THROTTLED)",
			},
			outcome: "resolved INC-1",
		},
		{
			name:   "throttled then blocked keeps throttled active",
			events: []router.Event{status(0, "PUBLISHED", "THROTTLED"), status(1, "THROTTLED", "BLOCKED")},
			active: "FLOW_STATUS_CHANGE/BLOCKED FLOW_STATUS_CHANGE/THROTTLED",
			open:   "INC-1 critical open: chat(critical) page(critical)",
		},
		{
			name:   "blocked at once, then throttled, is an improvement",
			events: []router.Event{status(0, "PUBLISHED", "BLOCKED"), status(1, "BLOCKED", "THROTTLED")},
			active: "FLOW_STATUS_CHANGE/THROTTLED", open: "INC-1 error open: chat(error) page(error)",
			outcome: "eased INC-1",
		},
		{
			name:    "a status change that resolves is no notice",
			events:  []router.Event{status(0, "PUBLISHED", "BLOCKED"), status(1, "BLOCKED", "DEPRECATED")},
			outcome: "resolved INC-1",
		},
		{
			name:   "a published flow is a notice",
			events: []router.Event{status(0, "DRAFT", "PUBLISHED")}, notices: []string{"chat FLOW_STATUS_CHANGE"},
			outcome: "notice to chat",
		},
		{
			name:    "a status change without statuses is a notice",
			events:  []router.Event{status(0, "", "")},
			notices: []string{"chat FLOW_STATUS_CHANGE"},
		},
		{
			name: "unknown events are notices",
			events: []router.Event{at(1, "SOMETHING_NEW", func(*router.Event) {}),
				at(2, router.EndpointLatency, func(e *router.Event) { e.AlertState = "PAUSED" })},
			notices: []string{"chat SOMETHING_NEW", "chat ENDPOINT_LATENCY"},
		},
		{
			name: "an unknown event with an alert state is a pair",
			events: []router.Event{pair(0, "ENDPOINT_SATURATION", router.Activated, 80),
				pair(1, "ENDPOINT_SATURATION", router.Deactivated, 80)},
			timeline: []string{"opened: Endpoint saturation over 80", "resolved: Endpoint saturation back under 80 after 1 min"},
		},
		{
			name: "an unknown event's ladder has no direction",
			events: []router.Event{pair(0, "ENDPOINT_SATURATION", router.Activated, 80),
				pair(1, "ENDPOINT_SATURATION", router.Deactivated, 50)},
			active: "ENDPOINT_SATURATION/80", open: "INC-1 warning open: chat(warning)",
			notices: []string{"close page flowbridge/w/f/ENDPOINT_SATURATION"},
		},
		{
			name:   "after the loss of the database a lower level that pages nobody does not hide what is open in PagerDuty",
			events: []router.Event{up(0, 5), down(1, 50)}, active: "ENDPOINT_ERROR_RATE/5",
			open:    "INC-1 warning open: chat(warning)",
			notices: []string{"close page flowbridge/w/f/ENDPOINT_ERROR_RATE"},
		},
		{
			name: "what we opened there ourselves is known", events: []router.Event{up(0, 50), down(1, 50), down(2, 10)},
			outcome: "nothing was active",
		},
		{
			name: "a late activation, older than the recovery, changes nothing, and is on the timeline of what it came too " +
				"late for",
			events: []router.Event{up(0, 5), down(10, 5), up(5, 5)},
			timeline: []string{"opened: Endpoint error rate over 5 %",
				"resolved: Endpoint error rate back under 5 % after 10 min",
				"late: Arrived late and changed nothing: Endpoint error rate ACTIVATED at 5 %"},
			outcome: "late: older than what is known",
		},
		{
			name:   "a late activation of a higher level, older than the recovery of a lower one, changes nothing",
			events: []router.Event{up(0, 5), down(10, 5), up(5, 50)}, outcome: "late: older than what is known",
		},
		{
			name:   "a late recovery, older than the newest activation, changes nothing",
			events: []router.Event{up(10, 5), down(5, 5)},
			active: "ENDPOINT_ERROR_RATE/5",
			open:   "INC-1 warning open: chat(warning)",
			timeline: []string{"opened: Endpoint error rate over 5 %",
				"late: Arrived late and changed nothing: Endpoint error rate DEACTIVATED at 5 %"},
			owed:    []string{"INC-1 chat open warning"},
			outcome: "late: older than what is known",
		},
		{
			name:   "a late recovery still clears what was older than it",
			events: []router.Event{up(0, 50), up(20, 5), down(10, 5)},
			active: "ENDPOINT_ERROR_RATE/5", open: "INC-1 warning open: chat(warning) page-closed",
		},
		{
			name:   "arrival breaks ties",
			events: []router.Event{up(0, 5), down(0, 5), up(0, 5)},
			active: "ENDPOINT_ERROR_RATE/5", open: "INC-2 warning open: chat(warning)",
		},
		{
			name:    "a recovery of an alert that nobody knows closes PagerDuty and tells nobody else",
			events:  []router.Event{down(0, 50)},
			notices: []string{"close page flowbridge/w/f/ENDPOINT_ERROR_RATE"},
			outcome: "recovery of an alert that nobody knows; resolve to page",
		},
		{
			name:    "below a threshold that pages nobody is below those that do",
			events:  []router.Event{down(0, 5)},
			notices: []string{"close page flowbridge/w/f/ENDPOINT_ERROR_RATE"},
			outcome: "recovery of an alert that nobody knows; resolve to page",
		},
		{
			name:    "a recovery of a rung that was jumped over closes nothing while the ladder is known",
			events:  []router.Event{up(0, 50), down(1, 10)},
			outcome: "resolved INC-1",
		},
		{
			name:    "a flow that left a status nobody knew of closes PagerDuty and is a notice",
			events:  []router.Event{status(0, "BLOCKED", "PUBLISHED")},
			notices: []string{"close page flowbridge/w/f/FLOW_STATUS_CHANGE", "chat FLOW_STATUS_CHANGE"},
		},
		{
			name: "an alert that a rule drops opens nothing", decide: func(*router.Event) router.Decision {
				return router.Decision{Rules: []string{"quiet"}, Drop: true}
			},
			events: []router.Event{up(0, 5)}, outcome: `dropped by rule "quiet"`,
		},
		{
			name: "a drop is that of the last rule that matched", decide: func(*router.Event) router.Decision {
				return router.Decision{Rules: []string{"says how bad it is", "quiet"}, Drop: true}
			},
			events: []router.Event{up(0, 5)}, outcome: `dropped by rule "quiet"`,
		},
		{
			name: "news that a rule drops is told to nobody", decide: func(*router.Event) router.Decision {
				return router.Decision{Rules: []string{"says how bad it is", "quiet"}, Drop: true}
			},
			events: []router.Event{status(0, "DRAFT", "PUBLISHED")}, outcome: `dropped by rule "quiet"`,
		},
		{
			name: "grouped by threshold, each pair is its own incident", decide: groupedBy(router.GroupByThreshold),
			events: []router.Event{up(0, 5), up(1, 10), down(2, 10)},
			active: "ENDPOINT_ERROR_RATE/5", open: "INC-1 warning open: chat(warning)", outcome: "resolved INC-2",
		},
		{
			name: "grouped by flow, all signals are one incident", decide: groupedBy(router.GroupByFlow),
			events: []router.Event{up(0, 5), status(1, "PUBLISHED", "BLOCKED"), down(2, 5)},
			active: "FLOW_STATUS_CHANGE/BLOCKED", open: "INC-1 critical open: chat(critical) page(critical)",
		},
		{
			name:   "an acknowledged incident stays acknowledged when it gets worse",
			events: []router.Event{up(0, 5), person(1, router.Acknowledge, 1), up(2, 50)},
			active: "ENDPOINT_ERROR_RATE/5 ENDPOINT_ERROR_RATE/50",
			open:   "INC-1 critical acknowledged: chat(critical) page(critical)",
		},
		{
			name:   "a person resolves: everybody is told, and a mere repeat opens nothing",
			events: []router.Event{up(0, 10), person(1, router.Resolve, 1), up(2, 10)},
			active: "ENDPOINT_ERROR_RATE/10",
			owed: []string{"INC-1 chat open error", "INC-1 page open error", "INC-1 chat closed error",
				"INC-1 page closed error"},
			timeline: []string{"opened: Endpoint error rate over 10 %",
				"resolved: Resolved by ana after 1 min; Meta still reports it"},
			outcome: "noted; INC-1 was resolved by hand",
		},
		{
			name:   "a milder level after a person resolved opens nothing",
			events: []router.Event{up(0, 10), person(1, router.Resolve, 1), up(2, 5)},
			active: "ENDPOINT_ERROR_RATE/10 ENDPOINT_ERROR_RATE/5",
			timeline: []string{"opened: Endpoint error rate over 10 %",
				"resolved: Resolved by ana after 1 min; Meta still reports it"},
			outcome: "noted; INC-1 was resolved by hand",
		},
		{
			name: "a status that gets better after a person resolved opens nothing",
			events: []router.Event{status(0, router.Published, router.Blocked), person(1, router.Resolve, 1),
				status(2, router.Blocked, router.Throttled)},
			active: "FLOW_STATUS_CHANGE/THROTTLED",
			timeline: []string{"opened: Flow status is BLOCKED (was PUBLISHED). The flow can neither be sent nor opened",
				"resolved: Resolved by ana after 1 min; Meta still reports it"},
			outcome: "noted; INC-1 was resolved by hand",
		},
		{
			name: "and once it is over the card says so",
			events: []router.Event{status(0, router.Published, router.Blocked), person(1, router.Resolve, 1),
				status(2, router.Blocked, router.Throttled), status(3, router.Throttled, router.Published)},
			timeline: []string{"opened: Flow status is BLOCKED (was PUBLISHED). The flow can neither be sent nor opened",
				"resolved: Resolved by ana after 1 min; Meta still reports it",
				"recovered: Meta reports the recovery: Flow status is PUBLISHED"},
		},
		{
			name:   "a rise after a person resolved reopens the incident, and the recovery ends it",
			events: []router.Event{up(0, 10), person(1, router.Resolve, 1), up(2, 50), down(3, 5)},
			timeline: []string{"opened: Endpoint error rate over 10 %",
				"resolved: Resolved by ana after 1 min; Meta still reports it",
				"reopened: Endpoint error rate over 50 %",
				"resolved: Endpoint error rate back under 5 % after 3 min"},
		},
		{
			name: "a threshold that cannot be read is over with the lowest that can",
			events: []router.Event{at(0, router.EndpointErrorRate, func(e *router.Event) { e.AlertState = router.Activated }),
				down(1, 10), down(2, 5)},
			notices: []string{"close page flowbridge/w/f/ENDPOINT_ERROR_RATE"}, // of 10 %, which a lost database may have known
			timeline: []string{"opened: Endpoint error rate is out of bounds",
				"resolved: Endpoint error rate back under 5 % after 2 min"},
		},
		{
			name: "a parked delivery is told to the fallback and shown on the other cards",
			events: []router.Event{up(0, 10), at(1, router.ParkedDelivery, func(e *router.Event) {
				e.Source, e.Act = router.SourceFlowbridge, &router.Act{Incident: 1, Notifier: "page",
					Error: "PagerDuty refused: bad key"}
			})},
			active: "ENDPOINT_ERROR_RATE/10",
			open:   "INC-1 error open: chat(error) page(error)",
			timeline: []string{"opened: Endpoint error rate over 10 %",
				"undelivered: page could not be told: PagerDuty refused: bad key"},
			owed:    []string{"INC-1 chat open error", "INC-1 page open error", "INC-1 chat open error"},
			notices: []string{"chat DELIVERY_PARKED", "page DELIVERY_PARKED"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &history{decide: tt.decide}
			if h.decide == nil {
				h.decide = chatAndPage
			}
			for _, e := range tt.events {
				h.fold(e)
			}
			if got := activeAlerts(h.state); got != tt.active {
				t.Errorf("active alerts: got %q, want %q", got, tt.active)
			}
			if got := openIncidents(h.state); got != tt.open {
				t.Errorf("open incidents: got %q, want %q", got, tt.open)
			}
			if got := sparePages(timeline(h.entries)); tt.timeline != nil && !slices.Equal(got, tt.timeline) {
				t.Errorf("timeline:\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(tt.timeline, "\n     "))
			}
			if tt.owed != nil && !slices.Equal(h.owed, tt.owed) {
				t.Errorf("owed:\n got %s\nwant %s", strings.Join(h.owed, "\n     "), strings.Join(tt.owed, "\n     "))
			}
			if !slices.Equal(h.notices, tt.notices) {
				t.Errorf("notices: got %q, want %q", h.notices, tt.notices)
			}
			if tt.outcome != "" && h.outcome != tt.outcome {
				t.Errorf("outcome: got %q, want %q", h.outcome, tt.outcome)
			}
		})
	}
}

func groupedBy(g router.GroupBy) func(*router.Event) router.Decision {
	return func(e *router.Event) router.Decision {
		d := chatAndPage(e)
		d.GroupBy = g
		return d
	}
}

func activeAlerts(s router.State) string {
	var out []string
	for _, a := range s.Alerts {
		if a.Active {
			out = append(out, a.Event+"/"+string(a.Level))
		}
	}
	return strings.Join(out, " ")
}

func openIncidents(s router.State) string {
	var out []string
	for _, inc := range s.Incidents {
		if inc.State == router.IncidentResolved {
			continue
		}
		line := fmt.Sprintf("%s %s %s:", inc.Name(), inc.Severity, inc.State)
		for _, w := range inc.Watch {
			if w.Open {
				line += fmt.Sprintf(" %s(%s)", w.Notifier, w.Severity)
			} else if w.Severity != router.SeverityUnset { // it was told
				line += " " + w.Notifier + "-closed"
			}
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

func timeline(entries []router.Entry) (out []string) {
	for _, e := range entries {
		out = append(out, string(e.Kind)+": "+e.Text)
	}
	return out
}

func TestFoldLeavesItsInputAlone(t *testing.T) {
	h := &history{decide: chatAndPage}
	h.fold(up(0, 5))
	h.fold(up(1, 10))
	before := fmt.Sprintf("%+v", h.state)
	saved := h.state
	h.fold(down(2, 5))
	if after := fmt.Sprintf("%+v", saved); after != before {
		t.Errorf("the state given to Fold changed:\n got %s\nwant %s", after, before)
	}
}

func TestFoldRemembersNumbersBefore(t *testing.T) {
	h := &history{decide: chatAndPage}
	h.fold(value(up(0, 5), 6))
	h.fold(value(up(1, 10), 12))
	h.fold(value(up(2, 10), 14))
	for _, a := range h.state.Alerts {
		if a.Level == "10" && (*a.Reading.Value != 14 || *a.Before != 12) {
			t.Errorf("at 10 %%: got now %v, before %v; want 14, 12", *a.Reading.Value, *a.Before)
		}
	}
	if path := h.state.Incidents[0].Path; !slices.Equal(path, []router.Level{"5", "10"}) {
		t.Errorf("path: got %v", path)
	}
}

// TestNewNumbersAloneAreCosmetic holds what may wait for router.CosmeticEvery: new numbers, and what else is wrong with
// the flow.
func TestNewNumbersAloneAreCosmetic(t *testing.T) {
	h := history{decide: chatAndPage}
	for i, step := range []struct {
		event    router.Event
		cosmetic string // incidents whose notifiers may be told later
	}{
		{value(up(0, 10), 12), ""},
		{value(up(1, 10), 14), "INC-1 INC-1"},
		{value(up(2, 50), 60), ""},
		{person(3, router.Acknowledge, 1), ""},
		{value(up(4, 50), 61), "INC-1 INC-1"},
		{value(down(5, 50), 30), ""},
		{pair(6, router.EndpointLatency, router.Activated, 1000), "INC-1 INC-1"},
		{value(down(7, 5), 3), "INC-2"},
	} {
		var got []string
		for _, o := range h.fold(step.event).Owed {
			if o.Cosmetic {
				got = append(got, router.IncidentName(o.Incident))
			}
		}
		if text := strings.Join(got, " "); text != step.cosmetic {
			t.Errorf("step %d: cosmetic for %q, want %q", i, text, step.cosmetic)
		}
	}
}
