package router_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"flowbridge/router"
)

// act is what somebody did in a service.
func act(minute int, source router.Source, what string, a router.Act) router.Event {
	return at(minute, what, func(e *router.Event) { e.Source, e.Act = source, &a })
}

// pagingOnRise pages again when something acknowledged gets worse.
func pagingOnRise(e *router.Event) router.Decision {
	d := chatAndPage(e)
	d.PageOnRise = true
	return d
}

// secondWaits tells a second notifier that pages once the trouble has lasted for half an hour.
func secondWaits(e *router.Event) router.Decision {
	d := chatAndPage(e)
	second := router.Target{Notifier: "second", Kind: router.KindPagerDuty, Credential: "l"}
	d.Named = append(d.Named, second)
	if len(d.Notify) > 1 {
		d.Notify = append(d.Notify, router.Route{Target: second, After: 30 * time.Minute})
	}
	return d
}

// TestAPageTakesBackItsOwnAcknowledgementOnly holds that what a service does with one page leaves alone who has
// another.
func TestAPageTakesBackItsOwnAcknowledgementOnly(t *testing.T) {
	through := func(minute int, notifier, what string, itself bool) router.Event {
		a := router.Act{Incident: 1, Actor: "ben", Notifier: notifier, Itself: itself}
		return act(minute, router.SourcePagerDuty, what, a)
	}
	for _, tt := range []struct {
		name   string
		events []router.Event
		want   router.IncidentState
	}{
		{"a page that opened after the acknowledgement is escalated", []router.Event{up(0, 10),
			through(1, "page", router.Acknowledge, false), up(40, 10), through(50, "second", router.Unacknowledge, true)},
			router.IncidentAcknowledged},
		{"by a person", []router.Event{up(0, 10),
			through(1, "page", router.Acknowledge, false), up(40, 10), through(50, "second", router.Unacknowledge, false)},
			router.IncidentAcknowledged},
		{"and what was acknowledged elsewhere", []router.Event{up(0, 10),
			person(1, router.Acknowledge, 1), up(40, 10), through(50, "second", router.Unacknowledge, true)},
			router.IncidentAcknowledged},
		{"a time-out of a page beside the one that was acknowledged", []router.Event{up(0, 10), up(40, 10),
			through(41, "page", router.Acknowledge, false), through(50, "second", router.Unacknowledge, true)},
			router.IncidentAcknowledged},
		{"a time-out of the page that was acknowledged", []router.Event{up(0, 10), up(40, 10),
			through(41, "page", router.Acknowledge, false), through(50, "page", router.Unacknowledge, true)},
			router.IncidentOpen},
		{"a time-out where no page was", []router.Event{up(0, 10), up(40, 10),
			person(41, router.Acknowledge, 1), through(50, "second", router.Unacknowledge, true)}, router.IncidentOpen},
		{"the second has it since", []router.Event{up(0, 10), through(1, "page", router.Acknowledge, false), up(40, 10),
			through(41, "second", router.Acknowledge, false), through(50, "second", router.Unacknowledge, true)},
			router.IncidentOpen},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &history{decide: secondWaits}
			for _, e := range tt.events {
				h.fold(e)
			}
			if got := h.state.Incidents[0].State; got != tt.want {
				t.Errorf("it is %s (%s), want %s", got, h.outcome, tt.want)
			}
		})
	}
}

// TestWhatPagerDutyEndsByItselfIsHeardWhicheverPageItWas is for two notifiers whose pages have one key: where nobody
// knows which of them was meant, it is the one that is open.
func TestWhatPagerDutyEndsByItselfIsHeardWhicheverPageItWas(t *testing.T) {
	up10 := up(0, 10)
	key := router.GroupBySignal.Key(&up10)
	ended := func(minute int, key string) router.Event {
		return act(minute, router.SourcePagerDuty, router.Resolve, router.Act{Incident: 1, Itself: true, Key: key})
	}
	for _, tt := range []struct {
		name   string
		events []router.Event
		want   string
	}{
		{"one is open", []router.Event{up(0, 10), ended(1, key)}, "paged page again for INC-1"},
		{"both are", []router.Event{up(0, 10), up(40, 10), ended(50, key)}, "INC-1: no page of it is open there"},
		{"a page of before", []router.Event{up(0, 10), ended(1, "")}, "INC-1: no page of it is open there"},
	} {
		h := &history{decide: secondWaits}
		for _, e := range tt.events {
			h.fold(e)
		}
		if h.outcome != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, h.outcome, tt.want)
		}
	}
}

func TestTheServiceOfAPageIsKeptWithoutAWord(t *testing.T) {
	named := func(minute int, service string) router.Event {
		return act(minute, router.SourcePagerDuty, router.LinkIncident, router.Act{Incident: 1, Notifier: "page",
			Link: &router.Link{Notifier: "page", ID: "P1", Number: 7, Service: service}})
	}
	h := &history{decide: chatAndPage}
	h.fold(up(0, 10))
	h.fold(named(1, ""))
	lines := len(h.entries)
	step := h.fold(named(2, "S1"))
	if len(h.entries) != lines || len(step.Owed) > 0 || h.state.Incidents[0].Links[0].Service != "S1" {
		t.Errorf("timeline %v, owed %v, links %+v", timeline(h.entries), step.Owed, h.state.Incidents[0].Links)
	}
}

func TestActs(t *testing.T) {
	inPagerDuty := func(minute int, what string, a router.Act) router.Event {
		a.Incident, a.Actor, a.Notifier = 1, "ben", "page"
		return act(minute, router.SourcePagerDuty, what, a)
	}
	for _, tt := range []struct {
		name     string
		decide   func(*router.Event) router.Decision
		events   []router.Event
		open     string
		owed     []string // nil: not compared
		timeline []string
		outcome  string
	}{
		{
			name: "an acknowledgement in Slack goes to PagerDuty and to the card",
			events: []router.Event{up(0, 10), act(1, router.SourceSlack, router.Acknowledge,
				router.Act{Incident: 1, Actor: "ana", Notifier: "chat"})},
			open: "INC-1 error acknowledged: chat(error) page(error)",
			owed: []string{"INC-1 chat open error", "INC-1 page open error", "INC-1 chat open error",
				"INC-1 page open error"},
			timeline: []string{"opened: Endpoint error rate over 10 %", "acknowledged: Acknowledged by ana in Slack"},
		},
		{
			name:     "an acknowledgement in PagerDuty does not go back there",
			events:   []router.Event{up(0, 10), inPagerDuty(1, router.Acknowledge, router.Act{})},
			open:     "INC-1 error acknowledged: chat(error) page(error)",
			owed:     []string{"INC-1 chat open error", "INC-1 page open error", "INC-1 chat open error"},
			timeline: []string{"opened: Endpoint error rate over 10 %", "acknowledged: Acknowledged by ben in PagerDuty"},
		},
		{
			name: "an acknowledgement that comes back changes nothing",
			events: []router.Event{up(0, 10), person(1, router.Acknowledge, 1),
				inPagerDuty(2, router.Acknowledge, router.Act{})},
			open: "INC-1 error acknowledged: chat(error) page(error)", outcome: "INC-1 is acknowledged already",
			timeline: []string{"opened: Endpoint error rate over 10 %", "acknowledged: Acknowledged by ana"},
		},
		{
			name: "an acknowledgement is taken back",
			events: []router.Event{up(0, 10), person(1, router.Acknowledge, 1),
				inPagerDuty(2, router.Unacknowledge, router.Act{})},
			open: "INC-1 error open: chat(error) page(error)",
			timeline: []string{"opened: Endpoint error rate over 10 %", "acknowledged: Acknowledged by ana",
				"unacknowledged: No longer acknowledged: ben in PagerDuty"},
		},
		{
			name:   "taken back here, whoever pages calls somebody anew",
			events: []router.Event{up(0, 10), person(1, router.Acknowledge, 1), person(2, router.Unacknowledge, 1)},
			open:   "INC-1 error open: chat(error) page(error)",
			timeline: []string{"opened: Endpoint error rate over 10 %", "acknowledged: Acknowledged by ana",
				"unacknowledged: No longer acknowledged: ana. Paged page"},
		},
		{
			name: "a resolve by hand is taken back while Meta still reports it",
			events: []router.Event{up(0, 10), inPagerDuty(1, router.Resolve, router.Act{}),
				inPagerDuty(2, router.Reopen, router.Act{})},
			open: "INC-1 error open: chat(error) page(error)",
			timeline: []string{"opened: Endpoint error rate over 10 %",
				"resolved: Resolved by ben in PagerDuty after 1 min; Meta still reports it",
				"reopened: Reopened by ben in PagerDuty"},
		},
		{
			name:    "what Meta reports as over cannot be reopened",
			events:  []router.Event{up(0, 10), down(1, 10), inPagerDuty(2, router.Reopen, router.Act{})},
			outcome: "INC-1 cannot be reopened: it is over",
			timeline: []string{"opened: Endpoint error rate over 10 %",
				"resolved: Endpoint error rate back under 10 % after 1 min"},
		},
		{
			name: "page now pages who hears of worse levels only",
			events: []router.Event{up(0, 5), act(1, router.SourceSlack, router.PageNow, router.Act{Incident: 1, Actor: "ana"}),
				down(2, 5)},
			owed: []string{"INC-1 chat open warning", "INC-1 chat open warning", "INC-1 page open warning",
				"INC-1 chat closed warning", "INC-1 page closed warning"},
			timeline: []string{"opened: Endpoint error rate over 5 %", "paged: Paged page, by ana in Slack",
				"resolved: Endpoint error rate back under 5 % after 2 min"},
		},
		{
			name: "page now does not wait", decide: waiting(false),
			events: []router.Event{up(0, 10), person(1, router.PageNow, 1)},
			open:   "INC-1 error open: chat(error) page(error)",
		},
		{
			name:   "page now pages nobody twice",
			events: []router.Event{up(0, 10), person(1, router.PageNow, 1)},
			open:   "INC-1 error open: chat(error) page(error)", outcome: "nobody is left to page for INC-1",
			timeline: []string{"opened: Endpoint error rate over 10 %"},
		},
		{
			name: "who acknowledges what was paged after an acknowledgement has that as well",
			events: []router.Event{up(0, 5), person(1, router.Acknowledge, 1), person(2, router.PageNow, 1),
				inPagerDuty(3, router.Acknowledge, router.Act{})},
			open: "INC-1 warning acknowledged: chat(warning) page(warning)", outcome: "acknowledged INC-1",
			timeline: []string{"opened: Endpoint error rate over 5 %", "acknowledged: Acknowledged by ana",
				"paged: Paged page, by ana", "acknowledged: Acknowledged by ben in PagerDuty"},
		},
		{
			name:   "who acknowledges a page that had to wait until after an acknowledgement has that as well",
			decide: waiting(false),
			events: []router.Event{up(0, 10), person(1, router.Acknowledge, 1), up(40, 10),
				inPagerDuty(41, router.Acknowledge, router.Act{})},
			open: "INC-1 error acknowledged: chat(error) page(error)", outcome: "acknowledged INC-1",
		},
		{
			name:   "a rise pages a second time where the acknowledgement went with a page that opened after it",
			decide: pagingOnRise,
			events: []router.Event{up(0, 10), person(1, router.Acknowledge, 1),
				inPagerDuty(2, router.Resolve, router.Act{Itself: true}), up(3, 50)},
			open: "INC-1 critical acknowledged: chat(critical) page(critical) page(critical)",
		},
		{
			name: "and not where that was opened for news: nobody has acknowledged it", decide: pagingOnRise,
			events: []router.Event{up(0, 5), person(1, router.Acknowledge, 1), up(2, 10), up(3, 50)},
			open:   "INC-1 critical acknowledged: chat(critical) page(critical)",
		},
		{
			name: "an owner, a note and a link are for the others",
			events: []router.Event{
				up(0, 10), inPagerDuty(1, router.Assign, router.Act{Owner: "Cleo"}),
				inPagerDuty(2, router.Note, router.Act{Text: "looking"}),
				inPagerDuty(3, router.LinkIncident, router.Act{Link: &router.Link{Notifier: "page", ID: "P1", Number: 7}}),
			},
			open: "INC-1 error open: chat(error) page(error)",
			owed: []string{"INC-1 chat open error", "INC-1 page open error", "INC-1 chat open error", "INC-1 chat open error",
				"INC-1 page open error", "INC-1 chat open error"},
			timeline: []string{"opened: Endpoint error rate over 10 %", "assigned: Assigned to Cleo in PagerDuty",
				"note: looking (ben in PagerDuty)", "linked: page's page is PagerDuty #7"},
		},
		{
			name: "a rise while it is acknowledged pages a second time, and both pages end with it", decide: pagingOnRise,
			events: []router.Event{up(0, 10), person(1, router.Acknowledge, 1), up(2, 50), down(3, 5)},
			owed: []string{
				"INC-1 chat open error", "INC-1 page open error", // opened
				"INC-1 chat open error", "INC-1 page open error", // acknowledged
				"INC-1 chat open critical", "INC-1 page open critical", "INC-1 page open critical", // rose: the second page
				"INC-1 chat closed critical", "INC-1 page closed critical", "INC-1 page closed critical",
			},
		},
		{
			name: "the second page ends when the level that it was for is over", decide: pagingOnRise,
			events: []router.Event{up(0, 10), person(1, router.Acknowledge, 1), up(2, 50), down(3, 50)},
			open:   "INC-1 error acknowledged: chat(error) page(error) page-closed",
		},
		{
			name: "who resolves one of two pages in PagerDuty resolves both", decide: pagingOnRise,
			events: []router.Event{up(0, 10), person(1, router.Acknowledge, 1), up(2, 50),
				inPagerDuty(3, router.Resolve, router.Act{})},
			owed: []string{
				"INC-1 chat open error", "INC-1 page open error", "INC-1 chat open error", "INC-1 page open error",
				"INC-1 chat open critical", "INC-1 page open critical", "INC-1 page open critical",
				"INC-1 chat closed critical", "INC-1 page closed critical", "INC-1 page closed critical",
			},
		},
		{
			name:   "a card that says that Meta still reports it is renewed when Meta no longer does; nobody is paged for it",
			events: []router.Event{up(0, 10), person(1, router.Resolve, 1), down(2, 10)},
			owed: []string{"INC-1 chat open error", "INC-1 page open error", "INC-1 chat closed error",
				"INC-1 page closed error",
				"INC-1 chat closed error"},
			timeline: []string{"opened: Endpoint error rate over 10 %",
				"resolved: Resolved by ana after 1 min; Meta still reports it",
				"recovered: Meta reports the recovery: Endpoint error rate back under 10 %"},
		},
		{
			name:   "without the policy a rise while it is acknowledged only renews the page",
			events: []router.Event{up(0, 10), person(1, router.Acknowledge, 1), up(2, 50)},
			open:   "INC-1 critical acknowledged: chat(critical) page(critical)",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &history{decide: tt.decide}
			if h.decide == nil {
				h.decide = chatAndPage
			}
			for _, e := range tt.events {
				h.fold(e)
			}
			if got := openIncidents(h.state); got != tt.open {
				t.Errorf("open incidents: got %q, want %q", got, tt.open)
			}
			if tt.owed != nil && !slices.Equal(h.owed, tt.owed) {
				t.Errorf("owed:\n got %s\nwant %s", strings.Join(h.owed, "\n     "), strings.Join(tt.owed, "\n     "))
			}
			if got := sparePages(timeline(h.entries)); tt.timeline != nil && !slices.Equal(got, tt.timeline) {
				t.Errorf("timeline:\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(tt.timeline, "\n     "))
			}
			if tt.outcome != "" && h.outcome != tt.outcome {
				t.Errorf("outcome: got %q, want %q", h.outcome, tt.outcome)
			}
		})
	}
}

// TestActsEnd holds for any mixture of what Meta and people say: once Meta says that all is well, nothing is
// open for anybody, and every service was told so or said so itself.
func TestActsEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{decide: pagingOnRise}
		minute := 0
		for range rapid.IntRange(1, 25).Draw(t, "length") {
			minute++
			e := drawEvent(t)
			if rapid.Bool().Draw(t, "person") {
				e = act(0, rapid.SampledFrom([]router.Source{router.SourceConsole, router.SourceSlack,
					router.SourcePagerDuty}).Draw(t, "source"),
					rapid.SampledFrom([]string{router.Acknowledge, router.Unacknowledge, router.Resolve, router.Reopen, router.PageNow,
						router.Assign, router.Note}).Draw(t, "act"),
					router.Act{Incident: rapid.Int64Range(1, 3).Draw(t, "incident"), Actor: "ana", Owner: "ben", Text: "note"})
				if e.Source == router.SourcePagerDuty {
					e.Act.Notifier = "page"
				}
			}
			e.At = morning.Add(time.Duration(minute) * time.Minute)
			e.Received = e.At
			h.fold(e)
			checkInvariants(t, h.state)
		}
		for _, e := range []router.Event{down(minute+1, 1), pair(minute+1, router.EndpointAvailability, router.Deactivated,
			99), status(minute+1, "", router.Published)} {
			h.fold(e)
		}
		if left := openIncidents(h.state); left != "" {
			t.Fatalf("left: %s", left)
		}
	})
}
