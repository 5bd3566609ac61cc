package whatsapp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"flowbridge/router"
)

// The fields of a subscription that have rules of their own.
const (
	fieldFlows    = "flows"
	fieldMessages = "messages"
)

// Decode turns a post into events. It never fails: what cannot be read becomes an unreadable event that holds
// its bytes, and does not touch its neighbours. letGo counts the changes of the field messages that nobody
// wants. received is the time of arrival in UTC.
func Decode(body []byte, received time.Time, wantResponses bool) (events []router.Event, letGo int) {
	d := decoder{received: received, wantResponses: wantResponses}
	d.post(body)
	return d.events, d.letGo
}

// decoder gathers the events of one post. waba, time and field are those of the change at hand.
type decoder struct {
	received      time.Time
	wantResponses bool

	waba  string
	time  string // as Meta wrote it; "" where there is none
	field string

	events []router.Event
	letGo  int
}

func (d *decoder) post(body []byte) {
	var post struct{ Entry json.RawMessage }
	if err := json.Unmarshal(body, &post); err != nil {
		d.unreadable(body, "the post is no JSON object: "+err.Error())
		return
	}
	entries := list(post.Entry)
	if len(entries) == 0 {
		d.unreadable(body, "the post has no entry")
	}
	for _, raw := range entries {
		d.entry(raw)
	}
}

func (d *decoder) entry(raw json.RawMessage) {
	d.waba, d.time, d.field = "", "", ""
	var entry struct {
		ID, Time, Changes json.RawMessage
		ChangedFields     json.RawMessage `json:"changed_fields"`
	}
	if err := json.Unmarshal(raw, &entry); err != nil || isNull(raw) {
		d.unreadable(raw, "the entry is no object")
		return
	}
	d.waba, d.time = text(entry.ID), text(entry.Time)
	changes := append(list(entry.Changes), list(entry.ChangedFields)...)
	if len(changes) == 0 {
		d.unreadable(raw, "the entry has no changes")
	}
	for _, raw := range changes {
		d.change(raw)
	}
}

func (d *decoder) change(raw json.RawMessage) {
	d.field = ""
	var change struct{ Field, Value json.RawMessage }
	if raw[0] == '"' { // changed_fields may name a field and hold no value
		change.Field = raw
	} else if err := json.Unmarshal(raw, &change); err != nil || isNull(raw) {
		d.unreadable(raw, "the change is no object")
		return
	}
	d.field = text(change.Field)
	switch d.field {
	case fieldFlows:
		d.flow(raw, change.Value)
	case fieldMessages:
		d.messages(change.Value)
	case "":
		d.unreadable(raw, "the change names no field")
	default:
		d.add(router.Event{Name: strings.ToUpper(d.field), Value: change.Value})
	}
}

// flow reads a change of the field flows. Odd members are left out; what they were stays in Value.
func (d *decoder) flow(raw, value json.RawMessage) {
	var v struct {
		Event, Message, Warning, Threshold, Availability, Errors json.RawMessage
		FlowID                                                   json.RawMessage `json:"flow_id"`
		AlertState                                               json.RawMessage `json:"alert_state"`
		OldStatus                                                json.RawMessage `json:"old_status"`
		NewStatus                                                json.RawMessage `json:"new_status"`
		ErrorRate                                                json.RawMessage `json:"error_rate"`
		P90                                                      json.RawMessage `json:"p90_latency"`
		P50                                                      json.RawMessage `json:"p50_latency"`
		Requests                                                 json.RawMessage `json:"requests_count"`
	}
	if err := json.Unmarshal(value, &v); err != nil || isNull(value) {
		d.unreadable(raw, "the value of a flows change is no object")
		return
	}
	e := router.Event{
		Flow: text(v.FlowID), Name: text(v.Event), AlertState: text(v.AlertState),
		OldStatus: text(v.OldStatus), NewStatus: text(v.NewStatus), Threshold: number(v.Threshold),
		Message: text(v.Message), Warning: text(v.Warning), Value: value,
		Reading: router.Reading{P50: number(v.P50), Requests: number(v.Requests), Errors: errorCounts(v.Errors)},
	}
	for _, measured := range []json.RawMessage{v.ErrorRate, v.P90, v.Availability} {
		if e.Reading.Value == nil {
			e.Reading.Value = number(measured)
		}
	}
	d.add(e)
}

func errorCounts(raw json.RawMessage) (errors []router.ErrorCount) {
	for _, one := range list(raw) {
		var v struct {
			Type  json.RawMessage `json:"error_type"`
			Rate  json.RawMessage `json:"error_rate"`
			Count json.RawMessage `json:"error_count"`
		}
		if json.Unmarshal(one, &v) == nil && text(v.Type) != "" {
			errors = append(errors, router.ErrorCount{Type: text(v.Type), Rate: number(v.Rate), Count: number(v.Count)})
		}
	}
	return errors
}

// add completes an event with what its entry says.
func (d *decoder) add(e router.Event) {
	e.Source, e.Received, e.WABA, e.Field = router.SourceMeta, d.received, d.waba, d.field
	e.At = occurred(d.time, d.received)
	if !utf8.Valid(e.Value) {
		e.Value = bytes.ToValidUTF8(e.Value, []byte("\uFFFD"))
	}
	if e.Digest == "" {
		e.Digest = d.digest(e.Value)
	}
	d.events = append(d.events, e)
}

func (d *decoder) unreadable(raw []byte, why string) {
	sum := sha256.Sum256(raw)
	d.events = append(d.events, router.Event{
		Source: router.SourceMeta, Received: d.received, At: d.received, WABA: d.waba, Field: d.field,
		Unreadable: why, Raw: bytes.Clone(raw), Digest: "unreadable-" + hex.EncodeToString(sum[:]),
	})
}

// digest is the identity of a change: account, time, field and value, whatever the order of its keys and the
// white space between them. It begins with the time, so that the digests of a journal grow with it and an index
// over them is written at its end.
//
// Without a time two real events can be equal to the byte: an alert, its recovery, and the same alert again. There
// the hour of arrival stands in for it: taking a repeat for a new event costs little, losing one is worse.
func (d *decoder) digest(value json.RawMessage) string {
	at := d.time
	if at == "" {
		at = fmt.Sprint(d.received.Truncate(time.Hour).Unix())
	}
	h := sha256.New()
	for _, part := range []string{d.waba, at, d.field} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	h.Write(canonical(value))
	return digestOf(at, h.Sum(nil))
}

// digestOf joins a time and a hash; 128 bits of it are enough to tell changes apart.
func digestOf(at string, sum []byte) string {
	return fmt.Sprintf("%.20s-%x", at, sum[:16])
}

// canonical writes JSON with sorted keys and without white space; numbers stay as they were written.
func canonical(value json.RawMessage) []byte {
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return value
	}
	out, err := json.Marshal(v)
	if err != nil {
		return value
	}
	return out
}

// Times outside these bounds are no times of an event: Flows did not exist, or a clock is wrong.
var earliest = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

const tooEarly = time.Hour

// occurred reads entry.time: seconds since 1970, or milliseconds where the number is too large for that. The time
// of arrival stands in for what is missing or cannot be.
func occurred(raw string, received time.Time) time.Time {
	n := number(json.RawMessage(raw))
	if n == nil {
		return received
	}
	seconds := *n
	if seconds > 1e11 {
		seconds /= 1000
	}
	if seconds > 1e11 || seconds < 0 {
		return received
	}
	at := time.UnixMilli(int64(seconds * 1000)).UTC()
	if at.Before(earliest) || at.After(received.Add(tooEarly)) {
		return received
	}
	return at
}
