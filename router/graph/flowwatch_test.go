package graph

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
)

// noon is when everything happens in these tests.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// well is an answer of Graph's that says so, and others are made of.
func well() string {
	return `{"status":"PUBLISHED","endpoint_uri":"https://u:pw@shop.example.com/flow?key=1","health_status":{"can_send_message":` +
		`"AVAILABLE","entities":[{"entity_type":"FLOW","id":"77","can_send_message":"AVAILABLE"},` +
		`{"entity_type":"WABA","id":"501","can_send_message":"AVAILABLE"}]}}`
}

func TestWhatIsWellAndWhatCardsSayOfIt(t *testing.T) {
	const endpoint = "Endpoint=https://shop.example.com/flow"
	change := func(old, with string) string { return strings.Replace(well(), old, with, 1) }
	entity := `"id":"77","can_send_message":"AVAILABLE"`
	for _, c := range []struct {
		what, body string
		well       bool
		facts      []string
	}{
		{"all is available", well(), true, []string{endpoint}},
		{"the status is another", change("PUBLISHED", "THROTTLED"), false, []string{"Status at Meta=THROTTLED", endpoint}},
		{"a draft is not well", change("PUBLISHED", "DRAFT"), false, []string{"Status at Meta=DRAFT", endpoint}},
		{"overall it is limited", change(`"AVAILABLE","entities"`, `"LIMITED","entities"`), false, []string{endpoint}},
		{"the flow is blocked", change(entity, `"can_send_message":"BLOCKED","errors":[{"error_description":"no endpoint",`+
			`"possible_solution":"set one"}]`), false,
			[]string{"Meta's health=the flow is BLOCKED: no endpoint", "Meta's solution=set one", endpoint}},
		{"the account is limited", change(`"501","can_send_message":"AVAILABLE"`,
			`"501","can_send_message":"LIMITED","additional_info":["over quota"]`), false,
			[]string{"Meta's health=the account is LIMITED: over quota", endpoint}},
		{"it is available with an error", change(entity, entity+`,"errors":[{"error_description":"odd"}]`), false,
			[]string{endpoint}},
		{"it is available, and more is said", change(entity, entity+`,"additional_info":{"odd":1}`), false,
			[]string{endpoint}},
		{"the flow is not named", change(`"FLOW"`, `"APP"`), false, []string{endpoint}},
		{"health is missing", `{"status":"PUBLISHED"}`, false, nil},
		{"an entity says nothing", change(entity, `"id":"77"`), false, []string{endpoint}},
		{"a word that is new", change(entity, `"can_send_message":"GOOD"`), false,
			[]string{"Meta's health=the flow is GOOD", endpoint}},
		{"too many entities", change(`"entities":[`, `"entities":[`+strings.Repeat(
			`{"entity_type":"APP","can_send_message":"AVAILABLE"},`, mostEntities)), false, []string{endpoint}},
	} {
		h, ok := readHealth([]byte(c.body))
		var facts []string
		for _, f := range h.Facts() {
			facts = append(facts, f.Name+"="+f.Text)
		}
		if !ok || h.Well() != c.well || !slices.Equal(facts, c.facts) {
			t.Errorf("%s: read %t, well %t, facts %q, want %t, %q", c.what, ok, h.Well(), facts, c.well, c.facts)
		}
	}
	for _, body := range []string{``, `[]`, `{}`, `{"status":7}`,
		`{"status":"PUBLISHED","health_status":{"entities":{}}}`} {
		if _, ok := readHealth([]byte(body)); ok {
			t.Errorf("%s is read", body)
		}
	}
}

// unheardState is a flow with an error rate over 10 and 50 % that was last heard of at a time.
func unheardState(heard time.Time) router.State {
	alert := func(l router.Level) router.Alert {
		return router.Alert{Event: router.EndpointErrorRate, Level: l, Active: true, Raised: heard, Heard: heard, Incident: 1}
	}
	return router.State{FlowID: router.FlowID{WABA: "501", Flow: "77"}, Alerts: []router.Alert{alert("10"), alert("50")},
		Incidents: []router.Incident{{Number: 1, State: router.IncidentOpen}}}
}

func afterTwoHours(string) time.Duration { return 2 * time.Hour }

func TestThreeGoodLooksInARowAreARecovery(t *testing.T) {
	// Looks are letters, five minutes apart: w is well, b is not, h: something was heard since the look before, l:
	// something of two hours ago was, and it is well. An earlier look has found it blocked, unless the first letter is n.
	for looks, want := range map[string]string{
		"w": "", "ww": "", "www": "12:00", "wwww": "12:00 12:00", "wwbww": "", "wwbwww": "12:15", "wwhww": "", "b": "",
		"wwl": "", "wwlww": "12:10", "nwwww": "", "nwbwww": "",
	} {
		s, m, at := unheardState(noon.Add(-3*time.Hour)), &memory{good: map[string]*goodRun{}}, noon
		var got []string
		letters, never := strings.CutPrefix(looks, "n")
		if !never {
			s.Alerts[0].Facts = []router.Fact{{Name: router.FactHealth, Text: "the flow is BLOCKED"}}
		}
		for _, look := range letters {
			h, _ := readHealth([]byte(well()))
			switch look {
			case 'b':
				h.CanSend = "LIMITED"
			case 'h':
				s.Alerts[1].Raised = at
			case 'l':
				s.Alerts[1].Raised = at.Add(-2 * time.Hour)
			}
			for _, e := range m.recover(&s, s.Unheard(afterTwoHours, at), &h, at) {
				got = append(got, e.At.Format("15:04"))
				if *e.Threshold != 10 || e.AlertState != router.Deactivated || !e.Looked() ||
					!e.Look.AsOf.Equal(s.LastHeard(e.Name)) {
					t.Errorf("%s: %+v", looks, e)
				}
			}
			at = at.Add(soon)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: recoveries as of %q, want %q", looks, got, want)
		}
	}
}

func TestAStatusThatNoWebhookBroughtIsSeenTwice(t *testing.T) {
	for _, c := range []struct{ known, looks, want string }{
		{"", "PUBLISHED PUBLISHED", ""},
		{"", "BLOCKED", ""},
		{"", "BLOCKED BLOCKED", "->BLOCKED at 12:00"},
		{"", "BLOCKED THROTTLED THROTTLED", "->THROTTLED at 12:05"},
		{"", "BLOCKED PUBLISHED BLOCKED", ""},
		{"", "FROZEN FROZEN", ""},
		{"BLOCKED", "BLOCKED BLOCKED", ""},
		{"BLOCKED", "PUBLISHED PUBLISHED", "BLOCKED->PUBLISHED at 12:00"},
		{"BLOCKED", "THROTTLED THROTTLED", "BLOCKED->THROTTLED at 12:00"},
		{"BLOCKED", "FROZEN FROZEN", ""},
		{"THROTTLED", "DEPRECATED DEPRECATED", "THROTTLED->DEPRECATED at 12:00"},
	} {
		s, m, at := router.State{}, &memory{}, noon
		if c.known != "" {
			s.Alerts = []router.Alert{{Event: router.FlowStatusChange, Level: router.Level(c.known), Active: true}}
		}
		got := ""
		for _, status := range strings.Fields(c.looks) {
			for _, e := range m.compare(&s, &Health{Status: status}, at) {
				got += fmt.Sprintf("%s->%s at %s", e.OldStatus, e.NewStatus, e.At.Format("15:04"))
			}
			at = at.Add(soon)
		}
		if got != c.want {
			t.Errorf("%q, then %s: %q, want %q", c.known, c.looks, got, c.want)
		}
	}
}

func TestWhoIsLookedAtFirst(t *testing.T) {
	w, err := NewFlowWatch(WatchConfig{UnheardAfter: afterTwoHours, Now: func() time.Time { return noon },
		Named: func() []string { return []string{"90", "no id", "91", "92"} }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	unheard, fresh := unheardState(noon.Add(-3*time.Hour)), unheardState(noon.Add(-time.Hour))
	fresh.Flow = "78"
	w.of("77").looked = noon.Add(-soon)
	w.of("78").looked = noon.Add(-soon)
	w.of("90").looked = noon.Add(-seldom)
	w.of("91").looked = noon.Add(-seldom + time.Second)
	w.of("92").looked, w.of("92").unsure = noon.Add(-soon-time.Second), true
	w.of("99")                   // nobody names it any more
	opened := unheardState(noon) // since it was looked at
	opened.Flow, opened.Incidents[0].Since = "93", noon
	w.of("93").looked = noon.Add(-time.Second)
	got := w.due([]router.State{unheard, fresh, opened})
	if want := []string{"92", "77", "93", "90"}; !slices.Equal(got, want) || w.memory["99"] != nil {
		t.Errorf("looked at %q, want %q; %d are remembered", got, want, len(w.memory))
	}
}

// TestAllFlowsHaveTheirTurn holds that those that are not watched are not always the same, whatever opens meanwhile.
func TestAllFlowsHaveTheirTurn(t *testing.T) {
	w, err := NewFlowWatch(WatchConfig{UnheardAfter: afterTwoHours}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var flows []router.FlowID
	for i := range 2*mostFlows + 7 {
		flows = append(flows, router.FlowID{WABA: "501", Flow: fmt.Sprint(10_000 + i)})
	}
	seen := map[router.FlowID]int{}
	for range 3 {
		got := w.inTurn(flows)
		if len(got) != mostFlows {
			t.Fatalf("%d have their turn, want %d", len(got), mostFlows)
		}
		for _, id := range got {
			seen[id]++
		}
		flows = slices.DeleteFunc(flows, func(id router.FlowID) bool { return id == got[len(got)-1] }) // it is over
	}
	if len(seen) != 2*mostFlows+7 || len(w.inTurn(nil)) != 0 {
		t.Errorf("%d had their turn, want all", len(seen))
	}
}

// TestCardsSayOnceWhatIsKnown holds that an event is written only where cards show something else.
func TestCardsSayOnceWhatIsKnown(t *testing.T) {
	s := unheardState(noon)
	h, _ := readHealth([]byte(well()))
	events := knownEvents(&s, &h, noon)
	if len(events) != 1 || len(events[0].Facts) != 1 || events[0].Name != router.FlowLookedUp {
		t.Fatalf("wrote %+v", events)
	}
	for i := range s.Alerts {
		s.Alerts[i].Facts = append([]router.Fact{{Name: "Reason", Text: "x"}}, events[0].Facts...)
	}
	if again := knownEvents(&s, &h, noon); len(again) > 0 {
		t.Errorf("and again %+v", again)
	}
	s.Incidents[0].State = router.IncidentResolved
	h.Endpoint = ""
	if over := knownEvents(&s, &h, noon); len(over) > 0 {
		t.Errorf("of what is over %+v", over)
	}
}

// rottenJournal has two flows of which nothing was heard for long. One of them cannot be read.
type rottenJournal struct {
	good, rotten router.FlowID
	appended     []router.Event
}

func (j *rottenJournal) Folds() bool { return true }

func (j *rottenJournal) Counting(context.Context) ([]router.Counting, error) {
	return []router.Counting{{FlowID: j.rotten, Event: router.EndpointErrorRate},
		{FlowID: j.good, Event: router.EndpointErrorRate}}, nil
}

func (j *rottenJournal) States(_ context.Context, flows []router.FlowID, _ []int64) (map[router.FlowID]router.State,
	error) {
	if slices.Contains(flows, j.rotten) {
		return nil, fmt.Errorf("read flows: %w", router.ErrValues)
	}
	state := unheardState(noon.Add(-3 * time.Hour))
	state.FlowID = j.good
	return map[router.FlowID]router.State{j.good: state}, nil
}

func (j *rottenJournal) Append(_ context.Context, events []router.Event) (int, error) {
	j.appended = append(j.appended, events...)
	return len(events), nil
}

func TestAFlowThatCannotBeReadHidesNoOther(t *testing.T) {
	for name, look := range map[string]func(context.Context, string) (Health, error){
		"without a token": nil,
		"with one":        func(context.Context, string) (Health, error) { return Health{}, errors.New("Graph is away") },
	} {
		j := &rottenJournal{good: router.FlowID{WABA: "501", Flow: "78"}, rotten: router.FlowID{WABA: "501", Flow: "77"}}
		w, err := NewFlowWatch(WatchConfig{Look: look, UnheardAfter: afterTwoHours,
			Now: func() time.Time { return noon }}, j)
		if err != nil {
			t.Fatal(err)
		}
		for _, flow := range []string{"77", "78"} {
			w.of(flow).account = "501"
		}
		if err := w.Round(t.Context()); err != nil || len(j.appended) != 1 || j.appended[0].Flow != "78" {
			t.Errorf("%s: %v, and %+v was written; want one event of flow 78", name, err, j.appended)
		}
	}
}
