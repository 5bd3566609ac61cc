package router

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// lookTime is when these flows are looked up.
var lookTime = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func TestOfWhatNothingWasHeard(t *testing.T) {
	alert := func(event string, l Level, ago time.Duration) Alert {
		return Alert{Event: event, Level: l, Active: true, Raised: lookTime.Add(-ago), Heard: lookTime.Add(-ago), Incident: 1}
	}
	after := func(event string) time.Duration { return SignalOf(event).Unheard }
	with := func(a Alert, f func(*Alert)) Alert { f(&a); return a }
	old := alert(EndpointErrorRate, "10", 3*time.Hour)
	for _, c := range []struct {
		what   string
		state  IncidentState
		alerts []Alert
		want   string
	}{
		{"a rate, two hours ago", IncidentOpen, []Alert{alert(EndpointErrorRate, "10", 2*time.Hour)},
			"ENDPOINT_ERROR_RATE 10 2 h false"},
		{"a rate, less long ago", IncidentOpen, []Alert{alert(EndpointErrorRate, "10", 119*time.Minute)}, ""},
		{"availability, half an hour ago", IncidentAcknowledged, []Alert{alert(EndpointAvailability, "90", 30*time.Minute)},
			"ENDPOINT_AVAILABILITY 90 30 min false"},
		{"a status may stay for days", IncidentOpen, []Alert{alert(FlowStatusChange, Blocked, 99*time.Hour)}, ""},
		{"it is over by hand", IncidentResolved, []Alert{old}, ""},
		{"it is over", IncidentOpen, []Alert{with(old, func(a *Alert) { a.Active = false })}, ""},
		{"another level was heard of", IncidentOpen, []Alert{old, alert(EndpointErrorRate, "50", time.Minute)}, ""},
		{"the end of another level was heard of", IncidentOpen, []Alert{old,
			{Event: EndpointErrorRate, Level: "50", Until: lookTime.Add(-time.Minute)}}, ""},
		{"it reached us late", IncidentOpen, []Alert{with(old, func(a *Alert) { a.Heard = lookTime.Add(-time.Hour) })}, ""},
		{"the mildest of several", IncidentOpen, []Alert{old, alert(EndpointErrorRate, "5", 4*time.Hour)},
			"ENDPOINT_ERROR_RATE 5 3 h false"},
		{"it was said of one, not of the other", IncidentOpen, []Alert{
			with(old, func(a *Alert) { a.Unheard = lookTime }), alert(EndpointErrorRate, "50", 3*time.Hour)},
			"ENDPOINT_ERROR_RATE 10 3 h false"},
		{"it was said", IncidentOpen, []Alert{with(old, func(a *Alert) { a.Unheard = lookTime })},
			"ENDPOINT_ERROR_RATE 10 3 h true"},
	} {
		s := State{Alerts: c.alerts, Incidents: []Incident{{Number: 1, State: c.state}}}
		var got []string
		for _, u := range s.Unheard(after, lookTime) {
			got = append(got, fmt.Sprintf("%s %s %s %t", u.Signal, u.Level, FormatDuration(u.For), u.Said))
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// lookWorld folds what Meta and a look say of one flow.
type lookWorld struct {
	state State
	group GroupBy
	next  int64
	last  Step
	log   []string // entries
}

func (w *lookWorld) fold(e Event) {
	e.WABA, e.Flow = "501", "77"
	e.Seq, e.Received = int64(len(w.log)+1), e.At
	d := Decision{Severity: Error, GroupBy: w.group, Notify: []Route{{Target: Target{Notifier: "chat", Kind: KindSlack}},
		{Target: Target{Notifier: "page", Kind: KindPagerDuty}}}}
	for _, r := range d.Notify {
		d.Named = append(d.Named, r.Target)
	}
	w.last = Fold(w.state, w.next+1, &e, Verdict{Decision: d}, Moment{Now: e.At,
		Target: func(n string) (Target, bool) {
			i := slices.IndexFunc(d.Notify, func(r Route) bool { return r.Notifier == n })
			return d.Notify[i].Target, true
		}})
	w.state = w.last.State
	for _, inc := range w.state.Incidents {
		w.next = max(w.next, inc.Number)
	}
	for _, entry := range w.last.Entries {
		w.log = append(w.log, string(entry.Kind)+": "+entry.Text)
	}
}

// pair is one of Meta's, some minutes after lookTime.
func pair(state string, threshold float64, minutes int) Event {
	return Event{Source: SourceMeta, Name: EndpointErrorRate, AlertState: state, Threshold: &threshold,
		At: lookTime.Add(time.Duration(minutes) * time.Minute)}
}

// recoveryByLook is what three good looks came to.
func (w *lookWorld) recoveryByLook(asOf time.Time, minutes int) Event {
	e := pair(Deactivated, 10, minutes)
	e.Source, e.Look = SourceFlowbridge, &Look{AsOf: asOf}
	return e
}

func TestALookClosesWhatMetaLeftOpen(t *testing.T) {
	w := &lookWorld{}
	w.fold(pair(Activated, 10, 0))
	w.fold(pair(Activated, 50, 1))
	w.fold(w.recoveryByLook(w.state.LastHeard(EndpointErrorRate), 150))
	inc := w.state.Incidents[0]
	if inc.State != IncidentResolved || inc.ByItself == "" || inc.ResolvedBy != "" {
		t.Errorf("it is %s, by %q, by itself %q", inc.State, inc.ResolvedBy, inc.ByItself)
	}
	want := "resolved: Endpoint error rate back under 10 % after 2 h 30 min, by Meta's health: no webhook came"
	if got := w.log[len(w.log)-1]; got != want {
		t.Errorf("the timeline says %q, want %q", got, want)
	}
	before := slices.Clone(w.log)
	w.fold(pair(Deactivated, 10, 140)) // the true one comes late, and then one more
	w.fold(pair(Deactivated, 10, 160))
	if len(w.state.Incidents) != 1 || w.state.Incidents[0].State != IncidentResolved || !slices.Equal(w.log, before) {
		t.Errorf("the true recovery changed it: %q", w.log)
	}
	if w.fold(pair(Activated, 10, 170)); len(w.state.Incidents) != 2 || w.state.Incidents[1].State != IncidentOpen {
		t.Errorf("new trouble opens nothing")
	}
}

func TestALookThatWasOvertakenChangesNothing(t *testing.T) {
	for what, meanwhile := range map[string]Event{
		"it got worse": pair(Activated, 50, 100), "its numbers came": pair(Activated, 10, 100),
		"another level ended": pair(Deactivated, 50, 100),
	} {
		w := &lookWorld{}
		w.fold(pair(Activated, 10, 0))
		w.fold(pair(Activated, 50, 0))
		asOf := w.state.LastHeard(EndpointErrorRate)
		w.fold(meanwhile)
		before := len(w.log)
		if w.fold(w.recoveryByLook(asOf, 150)); w.state.Incidents[0].State != IncidentOpen || len(w.log) != before {
			t.Errorf("%s: it is %s; %q", what, w.state.Incidents[0].State, w.log)
		}
	}
}

func TestThatNothingWasHeardIsSaidOnceAndPagesNobody(t *testing.T) {
	w := &lookWorld{}
	w.fold(pair(Activated, 10, 0))
	say := func(minutes int, facts ...Fact) {
		w.fold(Event{Source: SourceFlowbridge, Name: FlowLookedUp, At: lookTime.Add(time.Duration(minutes) * time.Minute),
			Facts: facts, Look: &Look{Signal: EndpointErrorRate, AsOf: w.state.LastHeard(EndpointErrorRate),
				For: 2 * time.Hour}})
	}
	say(120, Fact{FactUnheard, "nothing for 2 h"})
	inc := w.state.Incidents[0]
	if got := w.log[len(w.log)-1]; !strings.HasPrefix(got,
		"unheard: Endpoint error rate: nothing was heard of it for 2 h") {
		t.Errorf("the timeline says %q", got)
	}
	if len(w.last.Owed) != 1 || w.last.Owed[0].Target.Notifier != "chat" || !w.last.Owed[0].Open ||
		inc.State != IncidentOpen {
		t.Errorf("owed is %+v, and it is %s", w.last.Owed, inc.State)
	}
	if len(inc.Facts) != 1 || inc.Facts[0].Name != FactUnheard {
		t.Errorf("the card says %+v", inc.Facts)
	}
	before := len(w.log)
	say(130, Fact{FactUnheard, "nothing for 2 h"})
	w.fold(Event{Source: SourceFlowbridge, Name: FlowLookedUp, At: lookTime.Add(131 * time.Minute), Look: &Look{},
		Facts: []Fact{{FactEndpoint, "https://shop.example.com"}}})
	if len(w.log) != before || len(w.state.Incidents[0].Facts) != 2 {
		t.Errorf("said again: %q, %+v", w.log, w.state.Incidents[0].Facts)
	}
	w.fold(pair(Activated, 10, 140)) // something is heard: what Graph knows stays, the other fact goes
	if facts := w.state.Incidents[0].Facts; len(facts) != 1 || facts[0].Name != FactEndpoint {
		t.Errorf("the card says %+v", facts)
	}
}

// probed is what a probe says, some minutes after lookTime.
func probed(text string, minutes int) Event {
	return Event{Source: SourceFlowbridge, Name: EndpointProbed, At: lookTime.Add(time.Duration(minutes) * time.Minute),
		Look: &Look{}, Facts: []Fact{{FactProbe, text}}}
}

// measured is what Meta measures of a signal.
func measured(event, state string, threshold, value float64, minutes int) Event {
	e := pair(state, threshold, minutes)
	e.Name, e.Reading.Value = event, &value
	return e
}

// card is what the newest incident of a signal shows of probes; "" for nothing.
func (w *lookWorld) card(event string) (text string) {
	for _, inc := range w.state.Incidents {
		if inc.Event == event {
			text = ""
			for _, f := range inc.Facts {
				if f.Name == FactProbe {
					text += f.Text
				}
			}
		}
	}
	return text
}

func TestCardsSayWhatAProbeSawBesideWhatMetaMeasures(t *testing.T) {
	w := &lookWorld{}
	want := func(what, event, text string) {
		t.Helper()
		if got := w.card(event); got != text {
			t.Errorf("%s: the card says %q, want %q", what, got, text)
		}
	}
	w.fold(measured(EndpointAvailability, Activated, 90, 75, 0))
	w.fold(measured(ClientErrorRate, Activated, 5, 6, 0))
	w.fold(probed("100 % of 3 probes answered", 1))
	want("a probe", EndpointAvailability, "Meta sees 75 % available, from here 100 % of 3 probes answered")
	want("trouble of clients", ClientErrorRate, "")
	if len(w.last.Owed) != 1 || w.last.Owed[0].Target.Notifier != "chat" || !w.last.Owed[0].Cosmetic ||
		len(w.last.Entries) != 0 {
		t.Errorf("owed is %+v, and the timeline says %+v", w.last.Owed, w.last.Entries)
	}
	w.fold(Event{Source: SourceFlowbridge, Name: FlowLookedUp, At: lookTime.Add(time.Minute), Look: &Look{},
		Facts: []Fact{{FactEndpoint, "https://shop.example.com"}}})
	w.fold(measured(EndpointAvailability, Activated, 90, 60, 2))
	want("Meta's number is another", EndpointAvailability,
		"Meta sees 60 % available, from here 100 % of 3 probes answered")
	if facts := w.state.Incidents[0].Facts; len(facts) != 2 || facts[0].Name != FactProbe ||
		facts[1].Name != FactEndpoint {
		t.Errorf("what Graph knows and what the probe saw do not stand side by side: %+v", facts)
	}
	w.fold(measured(EndpointLatency, Activated, 7000, 7200, 3))
	want("another signal of the same endpoint", EndpointLatency,
		"Meta sees p90 7.2 s, from here 100 % of 3 probes answered")
	w.fold(probed("no answer in 10 s (all 12 probes)", 14))
	want("another probe", EndpointLatency, "Meta sees p90 7.2 s, from here no answer in 10 s (all 12 probes)")

	w.fold(measured(EndpointAvailability, Deactivated, 90, 99, 20))
	revision := w.state.Incidents[0].Revision
	w.fold(probed("100 % of 20 probes answered", 24))
	if w.state.Incidents[0].Revision != revision {
		t.Error("a card of what is over was changed")
	}
	want("it is over", EndpointAvailability, "Meta sees 60 % available, from here no answer in 10 s (all 12 probes)")
	w.fold(measured(EndpointLatency, Deactivated, 7000, 500, 25))
	w.fold(measured(EndpointLatency, Activated, 1000, 1100, 40))
	want("new trouble", EndpointLatency, "")
	w.fold(probed("late", 39))
	w.fold(measured(EndpointLatency, Activated, 5000, 5100, 41))
	want("it got worse", EndpointLatency, "Meta sees p90 5.1 s, from here late")
	w.fold(measured(EndpointLatency, Activated, 1000, 4900, 42))
	want("a milder level was reported last", EndpointLatency, "Meta sees p90 4.9 s, from here late")
}

func TestAProbeIsSaidOnTheCardOfAFlowWhoseWorstTroubleIsAnother(t *testing.T) {
	w := &lookWorld{}
	blocked := Event{Source: SourceMeta, Name: FlowStatusChange, NewStatus: Blocked, At: lookTime}
	w.group = GroupByFlow
	w.fold(blocked)
	w.fold(pair(Activated, 5, 1))
	w.fold(probed("TLS fails", 2))
	if got := w.card(w.state.Incidents[0].Event); len(w.state.Incidents) != 1 || got != "from here TLS fails" {
		t.Errorf("the card says %q, of %d incidents", got, len(w.state.Incidents))
	}
}
