package router

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// chatFields are the fields of an account whose changes hold what people wrote, their names and their numbers. One that
// ends in * stands for all that begin so. The field messages is one of its own: filled forms come under it.
var chatFields = []string{
	"automatic_events", "calls", "consumer_profile", "group_*", "history", "marketing_messages*", "message_deletion",
	"message_echoes",
	"messaging_handovers", "smb_app_state_sync", "smb_message_echoes", "standby", "tracking_events", "user_id_update",
	"user_preferences",
}

// ChatFields returns the fields of an account, beside messages, whose changes hold what people wrote or who they are,
// sorted; one that ends in * stands for all that begin so. Such a change is no event unless a rule asks for it by the
// field's name.
func ChatFields() []string { return slices.Clone(chatFields) }

// ChatField returns the entry of ChatFields that a field falls under, in upper or lower case; "" for none.
func ChatField(field string) string {
	for _, known := range chatFields {
		prefix, family := strings.CutSuffix(known, "*")
		switch {
		case len(field) < len(prefix) || !family && len(field) > len(prefix):
		case strings.EqualFold(field[:len(prefix)], prefix): // events are named like their field, in upper case
			return known
		}
	}
	return ""
}

// IsPersonal says of an event's name that the event is about people: a filled form, or a change of one of ChatFields.
// Only rules that name it are asked about it, and only what they show of it is kept once it is folded.
func IsPersonal(event string) bool {
	return signalOf(event).Personal || ChatField(event) != ""
}

// Reduced says, for people, why what an event said is kept no longer, or only in part; "" while it is kept as it came.
type Reduced string

// Why an event is reduced.
const (
	ReducedPersonal  Reduced = "of what people wrote only the fields that a rule names are kept"
	ReducedDropped   Reduced = "a rule drops it"
	ReducedOld       Reduced = "it is older than events are kept: only its digest is, to know a repeat"
	ReducedUnread    Reduced = "the body of a post that could not be read is kept for 7 days"
	ReducedForgotten Reduced = "the person whom it was about has been forgotten"
)

// Reduce returns the event without what it said: its words, its value and its body. What it is and what was measured
// stay.
func (e *Event) Reduce(why Reduced) Event {
	kept := *e
	kept.Value, kept.Raw, kept.Message, kept.Warning, kept.Reduced = nil, nil, "", "", why
	return kept
}

// Kept returns what stays of an event that was folded with a decision, nil for all of it.
func (e *Event) Kept(d *Decision) *Event {
	switch {
	case e.Source != SourceMeta:
		return nil
	case IsPersonal(e.Name):
		kept := e.Reduce(cmp.Or(e.Reduced, ReducedPersonal))
		kept.Value = shownValue(d)
		return &kept
	case d.Drop:
		kept := e.Reduce(cmp.Or(e.Reduced, ReducedDropped))
		return &kept
	}
	return nil
}

// shownValue returns the fields that a rule shows as a value in which the same rule finds them again; nil without any.
func shownValue(d *Decision) json.RawMessage {
	if d.Drop || len(d.Fields) == 0 {
		return nil
	}
	fields := make(map[string]string, len(d.Fields))
	for _, f := range d.Fields {
		fields[f.Name] = f.Value
	}
	value, err := json.Marshal(fields)
	if err != nil {
		return nil
	}
	return value
}

// People returns by what the person can be found whom a filled form is of: a telephone number, an id.
func (e *Event) People() (ids []string) {
	var of struct {
		From   string `json:"from"`
		UserID string `json:"user_id"`
	}
	if !signalOf(e.Name).Personal || json.Unmarshal(e.Value, &of) != nil {
		return nil
	}
	for _, id := range []string{of.From, of.UserID} {
		if id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}
