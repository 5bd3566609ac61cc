package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"flowbridge/router"
	"flowbridge/router/console"
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
		return r.change(name, data)
	case r.field != "":
		return r.value(name, r.field, data)
	case has("messages"):
		return r.value(name, router.MessagesField, data)
	case has("event"):
		return r.value(name, router.FlowsField, data)
	}
	return nil,
		fmt.Errorf(
			"%s is no webhook post (entry), no change (field and value), no value with an event, and no event of "+
				"/api/v1/events; give --field for the value of another field", name)
}

// change reads a change as if it had come now.
func (r *eventReader) change(name string, change json.RawMessage) ([]router.Event, error) {
	post, err := changePost(sampleWABA, r.now, change)
	if err != nil {
		return nil, err
	}
	return r.decode(name, post)
}

// value reads the value of a change.
func (r *eventReader) value(name, field string, value []byte) ([]router.Event, error) {
	change, err := newChange(field, value)
	if err != nil {
		return nil, err
	}
	return r.change(name, change)
}

// decode reads a post as the bridge does.
func (r *eventReader) decode(name string, post []byte) ([]router.Event, error) {
	events, ignored := whatsapp.Decode(post, r.now, whatsapp.WantsAll)
	if n := ignored[router.MessagesField]; n > 0 {
		r.notes = append(r.notes, fmt.Sprintf(
			"%d changes of the field messages are no filled forms: the bridge lets them go, and no rule is asked", n))
	}
	if n := ignored[whatsapp.OtherProduct]; n > 0 {
		r.notes = append(r.notes,
			fmt.Sprintf("%s of the post %s of another product of Meta's: the bridge lets them go, and no rule is asked",
				counted(n, "entry"), map[bool]string{true: "is", false: "are"}[n == 1]))
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
	var v journalView
	if err := json.Unmarshal(data, &v); err != nil {
		return ev, fmt.Errorf("%s: %w", name, err)
	}
	if v.Unreadable != "" {
		return ev, fmt.Errorf("%s: event %d could not be read: %s", name, v.Seq, v.Unreadable)
	}
	ev = *v.event()
	switch {
	case v.Field == nil: // one of a list
		if ev.Source == router.SourceMeta {
			ev.Field = router.FieldOf(ev.Name)
		}
		r.note(
			"the API's list shows no measurements and no value: a rule with when, error_type or fields may decide otherwise; " +
				"GET /api/v1/events/{seq} shows them")
	case router.IsPersonal(ev.Name):
		r.note("the API shows nothing that people wrote: a rule with when or fields may decide otherwise")
	}
	if v.Reduced != "" {
		r.note(fmt.Sprintf("what event %d said is not kept (%s): a rule with when or fields may decide otherwise", v.Seq,
			v.Reduced))
	}
	return ev, nil
}

// note notes something once.
func (r *eventReader) note(text string) {
	if !slices.Contains(r.notes, text) {
		r.notes = append(r.notes, text)
	}
}

// journalView is an event as the API shows it.
type journalView struct {
	console.EventDetail
	Field *string `json:"field"` // nil where it is one of a list: that has none of what stands behind it
}

func (v *journalView) event() *router.Event {
	e := &router.Event{
		Seq: v.Seq, Source: router.Source(v.Source), WABA: v.WABA, Flow: v.Flow, Name: v.EventDetail.Event.Event,
		AlertState: v.AlertState, OldStatus: v.OldStatus, NewStatus: v.NewStatus, Threshold: v.Threshold,
		Reading: router.Reading{Value: v.Value, P50: v.P50, Requests: v.Requests, Errors: v.Errors},
		Message: v.Message, Warning: v.Warning, Value: v.Body,
	}
	if len(v.Facts) > 0 {
		e.Facts = v.Facts
	}
	kind := router.SubjectKind(v.Subject.Kind)
	if kind != "" && kind != router.SubjectFlow && kind != router.SubjectBridge && !router.IsPersonal(e.Name) {
		e.Subject = router.Subject{Kind: kind, ID: v.Subject.ID, Name: v.Subject.Name}
		if kind == router.SubjectAccount { // the account itself is named by WABA
			e.Subject.ID = ""
		}
		e.Change = v.Change
		e.Said, _ = router.ParseSeverity(v.Said)
		if v.Signal != e.Name {
			e.Signal = v.Signal
		}
		if v.Expires != nil {
			e.Expires = *v.Expires
		}
	}
	if v.At != nil {
		e.At = *v.At
	}
	if v.ReceivedAt != nil {
		e.Received = *v.ReceivedAt
	}
	if v.Field != nil {
		e.Field = *v.Field
	}
	return e
}

// loadTrialRules reads rules that will tell nobody: secrets that are not there have stand-ins. env sets variables.
func (p *program) loadTrialRules(path string, env map[string]string) (*rules.Rules, error) {
	cfg := p.rulesConfig()
	cfg.StandIns = true
	cfg.Env = func(name string) (string, bool) {
		value, _ := p.Getenv(name)
		return cmp.Or(env[name], value), true
	}
	return loadRules(path, cfg)
}
