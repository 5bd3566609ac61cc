package router_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"flowbridge/router"
)

// incidentActs are the acts that the guard knows, and one that it does not.
var incidentActs = []string{router.Acknowledge, router.Unacknowledge, router.Resolve, router.Reopen, router.PageNow,
	router.Assign, router.Note, router.LinkIncident, router.AddSilence, router.EndSilence, "SHRUG"}

// refused is what the guard says of each act in one state; it lets the others through.
type refused map[string]router.Refusal

// but is the same with another answer to one act.
func (r refused) but(act string, why router.Refusal) refused {
	r = maps.Clone(r)
	r[act] = why
	return r
}

// detail returns an incident as the store shows it.
func (h *history) detail(number int64) router.IncidentDetail {
	d := router.IncidentDetail{Incident: h.over[number]}
	for _, a := range h.state.Alerts {
		if a.Incident == number {
			d.Alerts = append(d.Alerts, a)
		}
	}
	return d
}

// TestWhetherAnActMayHappen asks for every act in every state, and has the fold do it: what the guard refuses changes
// nothing.
func TestWhetherAnActMayHappen(t *testing.T) {
	chatOnly := func(e *router.Event) router.Decision {
		d := chatAndPage(e)
		d.Notify, d.Named = d.Notify[:min(1, len(d.Notify))], d.Named[:1]
		return d
	}
	silenced := func(scope router.Scope) []router.Silence {
		began, ends := morning.Add(-time.Hour), morning.Add(24*time.Hour)
		return []router.Silence{{ID: "s", Scope: scope, Since: began, Until: ends}}
	}
	resolve, reopen := person(1, router.Resolve, 1), person(2, router.Reopen, 1)
	acknowledge := person(2, router.Acknowledge, 1)

	open := refused{router.Unacknowledge: router.NotAcknowledged, router.Reopen: router.NotResolved,
		router.EndSilence: router.NotSilenced, "SHRUG": router.UnknownAct}
	paged := open.but(router.PageNow, router.AllPaged)
	acknowledged := paged.but(router.Acknowledge, router.AlreadyAcknowledged).
		but(router.Unacknowledge, router.MayHappen)
	wider := open.but(router.EndSilence, router.SilencedWider)
	reopenable := refused{}
	for _, act := range incidentActs {
		if !slices.Contains([]string{router.Reopen, router.Note, router.LinkIncident}, act) {
			reopenable[act] = router.AlreadyResolved
		}
	}
	over := reopenable.but(router.Reopen, router.Recovered)

	for _, tt := range []struct {
		state    string
		decide   func(*router.Event) router.Decision
		silences []router.Silence
		events   []router.Event
		want     refused
	}{
		{state: "open, and a notifier is left to page", events: []router.Event{up(0, 5)}, want: open},
		{state: "open, and all are paged", events: []router.Event{up(0, 10)}, want: paged},
		{state: "open, and a page waits", decide: waiting(false), events: []router.Event{up(0, 10)}, want: open},
		{state: "open, and its rules page nobody", decide: chatOnly, events: []router.Event{up(0, 50)},
			want: open.but(router.PageNow, router.NobodyToPage)},
		{state: "acknowledged", events: []router.Event{up(0, 10), acknowledge}, want: acknowledged},
		{state: "acknowledged after it was paged by hand", want: acknowledged,
			events: []router.Event{up(0, 5), person(1, router.PageNow, 1), acknowledge}},
		{state: "acknowledged, and that was taken back", want: paged,
			events: []router.Event{up(0, 10), acknowledge, person(3, router.Unacknowledge, 1)}},
		{state: "under a silence of its own", events: []router.Event{up(0, 10)},
			silences: silenced(router.Scope{WABA: "w", Flow: "f", Event: router.EndpointErrorRate}),
			want:     open.but(router.AddSilence, router.AlreadySilenced).but(router.EndSilence, router.MayHappen)},
		{state: "under a silence of its account", events: []router.Event{up(0, 10)}, want: wider,
			silences: silenced(router.Scope{WABA: "w"})},
		{state: "under a silence of its flow in every account", events: []router.Event{up(0, 10)}, want: wider,
			silences: silenced(router.Scope{Flow: "f"})},
		{state: "resolved by hand while Meta still reports it", want: reopenable,
			events: []router.Event{up(0, 10), resolve}},
		{state: "reopened, and resolved by hand again", want: reopenable,
			events: []router.Event{up(0, 10), resolve, reopen, person(3, router.Resolve, 1)}},
		{state: "resolved by hand while its recovery was held back", decide: holding, want: over,
			events: []router.Event{up(0, 10), down(1, 10), resolve}},
		{state: "resolved by hand, and over by now", want: over,
			events: []router.Event{up(0, 10), resolve, down(2, 10)}},
		{state: "resolved by Meta", events: []router.Event{up(0, 10), down(1, 10)}, want: over},
		{state: "resolved by Meta, and followed by another", want: over,
			events: []router.Event{up(0, 10), down(1, 10), up(2, 10)}},
	} {
		for _, act := range incidentActs {
			t.Run(tt.state+"/"+act, func(t *testing.T) {
				h := &history{decide: tt.decide, silences: tt.silences}
				if h.decide == nil {
					h.decide = chatAndPage
				}
				for _, e := range tt.events {
					h.fold(e)
				}
				inc, want := h.detail(1), tt.want[act]
				if got := inc.May(act); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				n := router.Notification{Incident: &inc.Incident, Alerts: inc.Alerts}
				if got := n.May(act); got != want {
					t.Errorf("of a notification: got %q, want %q", got, want)
				}
				if act != router.AddSilence && act != router.EndSilence { // to the fold no acts on one incident
					agrees(t, h, act, 4)
				}
			})
		}
	}
}

// agrees has the fold do an act to INC-1 before a minute, and fails where it does not what the guard says.
func agrees(t interface {
	Helper()
	Errorf(format string, args ...any)
}, h *history, act string, minute int) {
	t.Helper()
	before := h.detail(1)
	why, paged := before.May(act), before.Unpaged()
	e := person(minute, act, 1)
	e.At = e.At.Add(-time.Second)
	e.Received = e.At
	e.Act.Owner, e.Act.Text = fmt.Sprint("owner ", h.seq), "note"
	e.Act.Link = &router.Link{Notifier: "page", ID: fmt.Sprint(h.seq)}
	h.fold(e)
	after := h.over[1]
	if changed := after.Revision != before.Revision; changed != (why == router.MayHappen) {
		t.Errorf("%s: the guard says %q, and the fold %q", act, why, h.outcome)
	}
	if act == router.PageNow && why == router.MayHappen {
		for _, w := range after.Watch {
			if slices.Contains(paged, w.Notifier) && w.PagedAt == 0 && !w.Open {
				t.Errorf("%s is not paged, of %q", w.Notifier, paged)
			}
		}
	}
}

// TestTheFoldDoesWhatTheGuardSays asks the guard and the fold after any mixture of what Meta and people say.
func TestTheFoldDoesWhatTheGuardSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := []func(*router.Event) router.Decision{chatAndPage, pagingOnRise, waiting(true), holding}
		h := &history{decide: rapid.SampledFrom(rules).Draw(t, "rules")}
		length := rapid.IntRange(1, 20).Draw(t, "length")
		for minute := range length {
			e := drawEvent(t)
			if rapid.Bool().Draw(t, "person") {
				act := rapid.SampledFrom(incidentActs[:6]).Draw(t, "act")
				e = person(0, act, rapid.Int64Range(1, 2).Draw(t, "incident"))
			}
			e.At = morning.Add(time.Duration(minute) * time.Minute)
			e.Received = e.At
			h.fold(e)
		}
		if h.over[1].Number == 0 {
			t.Skip("nothing is wrong")
		}
		act := rapid.SampledFrom(incidentActs[:8]).Draw(t, "last act")
		inc := h.detail(1)
		news := func(a router.Alert) bool { return a.Counts() && !inc.Acknowledges(&a) }
		page := func(w router.Watch) bool { return !inc.AcknowledgesPage(&w) }
		more := slices.ContainsFunc(inc.Alerts, news) || slices.ContainsFunc(inc.Watch, page)
		if inc.May(act) == router.AlreadyAcknowledged && more {
			t.Skip("more has come since it was acknowledged: see TestWhoAcknowledgesAgainHasWhatCameSince")
		}
		agrees(t, h, act, length)
	})
}

// TestWhoAcknowledgesAgainHasWhatCameSince holds the one case in which the fold takes what the guard refuses.
func TestWhoAcknowledgesAgainHasWhatCameSince(t *testing.T) {
	h := &history{decide: chatAndPage}
	for _, e := range []router.Event{up(0, 10), person(1, router.Acknowledge, 1), up(2, 50)} {
		h.fold(e)
	}
	inc := h.detail(1)
	if got := inc.May(router.Acknowledge); got != router.AlreadyAcknowledged {
		t.Errorf("got %q, want %q", got, router.AlreadyAcknowledged)
	}
	h.fold(person(3, router.Acknowledge, 1))
	if h.outcome != "acknowledged INC-1" {
		t.Errorf("outcome: got %q", h.outcome)
	}
	h.fold(person(4, router.Acknowledge, 1))
	if h.outcome != "INC-1 is acknowledged already" {
		t.Errorf("outcome: got %q", h.outcome)
	}
}

func TestEveryReasonIsListed(t *testing.T) {
	all := router.Refusals()
	for i, why := range all {
		if why == router.MayHappen || slices.Contains(all[:i], why) {
			t.Errorf("%q is no reason, or stands there twice", why)
		}
	}
}
