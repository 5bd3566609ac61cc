package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/whatsapp"
)

// maxEventFile bounds a file with an event: Meta posts at most 3 MiB.
const maxEventFile = 4 << 20

// eventReader reads events in any of the forms in which people have them.
type eventReader struct {
	field string // of the account, for a bare value
	now   time.Time
	notes []string // what a reader should know
}

// read returns the events of a webhook post, of one change or its value, or of the admin API. name is for errors.
func (r *eventReader) read(name string, data []byte) ([]router.Event, error) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(data, &top); err != nil {
		return nil, fmt.Errorf("%s is no JSON object: %w", name, err)
	}
	has := func(keys ...string) bool {
		for _, key := range keys {
			if _, ok := top[key]; !ok {
				return false
			}
		}
		return true
	}
	switch {
	case has("entry"):
		return r.decode(name, data)
	case has("events"):
		var list []json.RawMessage
		if err := json.Unmarshal(top["events"], &list); err != nil {
			return nil, fmt.Errorf("%s: events is no list: %w", name, err)
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("%s: there are no events in it", name)
		}
		var all []router.Event
		for _, one := range list {
			ev, err := r.shown(name, one)
			if err != nil {
				return nil, err
			}
			all = append(all, ev)
		}
		return all, nil
	case has("event", "waba_id", "received_at"):
		ev, err := r.shown(name, data)
		return []router.Event{ev}, err
	case has("field", "value"):
		return r.decode(name, postOf(data, r.now))
	case r.field != "":
		return r.decode(name, valuePost(r.field, data, r.now))
	case has("messages"):
		return r.decode(name, valuePost("messages", data, r.now))
	case has("event"):
		return r.decode(name, valuePost("flows", data, r.now))
	}
	return nil, fmt.Errorf("%s is no webhook post (entry), no change (field and value), no value with an event, and no event of /api/v1/events; give --field for the value of another field", name)
}

// valuePost and postOf wrap what people have into the post that Meta would send.
func valuePost(field string, value []byte, at time.Time) []byte {
	change, _ := json.Marshal(map[string]any{"field": field, "value": json.RawMessage(value)}) // valid JSON already
	return postOf(change, at)
}

func postOf(change []byte, at time.Time) []byte {
	post, _ := json.Marshal(map[string]any{"object": "whatsapp_business_account", "entry": []any{map[string]any{
		"id": sampleWABA, "time": at.Unix(), "changes": []any{json.RawMessage(change)},
	}}})
	return post
}

// decode reads a post as the bridge does.
func (r *eventReader) decode(name string, post []byte) ([]router.Event, error) {
	events, letGo := whatsapp.Decode(post, r.now, true)
	if letGo > 0 {
		r.notes = append(r.notes, fmt.Sprintf("%d changes of the field messages are no filled forms: the bridge lets them go, and no rule is asked", letGo))
	}
	for i := range events {
		if events[i].Unreadable != "" {
			return nil, fmt.Errorf("%s: the bridge would keep it as unreadable: %s", name, events[i].Unreadable)
		}
		if events[i].At.After(r.now) { // a clock ahead of ours
			r.now = events[i].At
		}
	}
	return events, nil
}

// shown reads an event as the admin API shows it.
func (r *eventReader) shown(name string, data []byte) (ev router.Event, err error) {
	var e struct {
		Seq          int64
		At           time.Time
		Source       router.Source
		WABA         string `json:"waba_id"`
		Flow         string `json:"flow_id"`
		Event, State string
		Threshold    *float64
		AlertState   string `json:"alert_state"`
		OldStatus    string `json:"old_status"`
		NewStatus    string `json:"new_status"`
		Unreadable   string
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return ev, fmt.Errorf("%s: %w", name, err)
	}
	if e.Unreadable != "" {
		return ev, fmt.Errorf("%s: event %d could not be read: %s", name, e.Seq, e.Unreadable)
	}
	const note = "the API shows no measurements and no value: a rule with when, error_type or fields may decide otherwise"
	if len(r.notes) == 0 {
		r.notes = append(r.notes, note)
	}
	ev = router.Event{
		Source: e.Source, At: e.At, Received: e.At, WABA: e.WABA, Flow: e.Flow, Name: e.Event, Threshold: e.Threshold,
		AlertState: e.AlertState, OldStatus: e.OldStatus, NewStatus: e.NewStatus,
	}
	if ev.Source == router.SourceMeta {
		ev.Field = fieldOf(e.Event)
	}
	return ev, nil
}

// fieldOf is the field of an account that an event comes under.
func fieldOf(event string) string {
	switch event {
	case router.FlowResponse:
		return "messages"
	case router.FlowStatusChange, router.ClientErrorRate, router.EndpointErrorRate, router.EndpointLatency,
		router.EndpointAvailability, router.FlowVersionExpiryWarning:
		return "flows"
	}
	return strings.ToLower(event)
}

// mistakesIn returns what a person got wrong in a file.
func mistakesIn(err error) (m *rules.Mistakes, ok bool) {
	ok = errors.As(err, &m)
	return m, ok
}

// standIn is what a variable is worth that is not set where nobody is told anything: it has the form of a routing key.
const standIn = "00000000000000000000000000000000"

// loadTrialRules reads rules that will tell nobody: a variable that is neither set nor in env has a stand-in.
func (p *program) loadTrialRules(path string, env map[string]string) (*rules.Rules, error) {
	trial := *p
	trial.Getenv = func(name string) (string, bool) {
		if value, ok := env[name]; ok {
			return value, true
		}
		if value, ok := p.Getenv(name); ok && value != "" {
			return value, true
		}
		return standIn, true
	}
	return trial.loadRules(path)
}
