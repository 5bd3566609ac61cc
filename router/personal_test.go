package router

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChatFieldsAreKnownByNameAndByFamily(t *testing.T) {
	for field, want := range map[string]string{
		"history": "history", "HISTORY": "history", "group_settings_update": "group_*", "GROUP_X": "group_*",
		"marketing_messages":             "marketing_messages*",
		"marketing_messages_link_clicks": "marketing_messages*", "flows": "", "messages": "", "": "", "histor": "",
		"history_2": "", "groups": "",
		"account_update": "", "security": "", "message_template_status_update": "", "phone_number_quality_update": "",
	} {
		if got := ChatField(field); got != want {
			t.Errorf("%q falls under %q, want %q", field, got, want)
		}
	}
	if !IsPersonal(FlowResponse) || !IsPersonal("CALLS") || IsPersonal(ClientErrorRate) || IsPersonal("") {
		t.Error("what is personal is wrong")
	}
}

func TestOfAnEventThatWasFoldedOnlyWhatIsNeededStays(t *testing.T) {
	value := json.RawMessage(`{"from":"15550100200","response":{"topic":"delivery","email":"customer@example.com"}}`)
	n := 7.0
	form := Event{Source: SourceMeta, Name: FlowResponse, Field: MessagesField, WABA: "501", Value: value}
	alert := Event{Source: SourceMeta, Name: ClientErrorRate, Flow: "1", AlertState: Activated, Threshold: &n,
		Message: "words", Value: value}
	shown := Decision{Fields: []Field{{Name: "topic", Value: "delivery"}}}
	kept := func(e Event, change func(*Event)) *Event {
		e.Value, e.Message = nil, ""
		change(&e)
		return &e
	}
	for name, c := range map[string]struct {
		event Event
		d     Decision
		want  *Event
	}{
		"a form of which a rule shows a field": {form, shown, kept(form, func(e *Event) {
			e.Reduced, e.Value = ReducedPersonal, json.RawMessage(`{"topic":"delivery"}`)
		})},
		"a form of which no rule shows anything": {form, Decision{},
			kept(form, func(e *Event) { e.Reduced = ReducedPersonal })},
		"a form that a rule drops": {form, Decision{Drop: true, Fields: shown.Fields},
			kept(form, func(e *Event) { e.Reduced = ReducedPersonal })},
		"a call": {Event{Source: SourceMeta, Name: "CALLS", Value: value}, Decision{},
			&Event{Source: SourceMeta, Name: "CALLS", Reduced: ReducedPersonal}},
		"an alert":                 {alert, Decision{}, nil},
		"an alert that is dropped": {alert, Decision{Drop: true}, kept(alert, func(e *Event) { e.Reduced = ReducedDropped })},
		"what a person did": {Event{Source: SourceSlack, Name: Acknowledge, Act: &Act{Actor: "somebody"}},
			Decision{Drop: true}, nil},
	} {
		if diff := cmp.Diff(c.want, c.event.Kept(&c.d)); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
}

func TestTheBatchSaysWhatStaysAndWhoseItIs(t *testing.T) {
	form := Event{Seq: 1, Source: SourceMeta, Name: FlowResponse,
		Value: json.RawMessage(`{"from":"15550100200","user_id":"US.1","response":{}}`)}
	for name, c := range map[string]struct {
		rules  Rules
		people []string
	}{
		"told": {fixed{Decision{Severity: Info, Notify: []Route{{Target: Target{Notifier: "chat"}}}}},
			[]string{"15550100200", "US.1"}},
		"nobody": {fixed{Decision{Severity: Info}}, nil},
	} {
		g := newBatch(c.rules, map[FlowID]State{}, 0, nil, form.Received)
		g.event(&form)
		out := g.result().Outcomes[0]
		if diff := cmp.Diff(c.people, out.People); diff != "" || out.Kept == nil || out.Kept.Value != nil {
			t.Errorf("%s: kept %+v, people: -want +got\n%s", name, out.Kept, diff)
		}
	}
}

// fixed decides the same about everything.
type fixed struct{ d Decision }

func (f fixed) Decide(*Event) Decision                               { return f.d }
func (fixed) RenderIncident(*Incident, []Alert) (title, text string) { return "", "" }
func (f fixed) Plain() Rules                                         { return f }
func (fixed) RenderNotice(*Notice) (title, text string)              { return "", "" }
func (fixed) Target(string) (Target, bool)                           { return Target{}, false }
func (fixed) Targets() []Target                                      { return nil }
