package whatsapp

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"flowbridge/router"
)

// The fields of a subscription that have rules of their own.
const (
	fieldFlows    = router.FlowsField
	fieldMessages = router.MessagesField
)

// maxEvents bounds the events of one post. Meta puts at most 1,000 updates into one.
const maxEvents = 10_000

// Decode turns a post into events. It never fails: what cannot be read becomes an unreadable event that holds
// its bytes, and does not touch its neighbours. What holds people's words and is not wanted, and what is of another
// product, becomes none: ignored counts it. received is the time of arrival in UTC. Nothing of body is kept.
func Decode(body []byte, received time.Time, wants Wants) (events []router.Event, ignored Ignored) {
	d := decoder{received: received, wants: wants}
	d.post(body)
	if len(d.events) > maxEvents {
		d = decoder{received: received}
		d.unreadable(body, fmt.Sprintf("the post holds more than %d events", maxEvents))
	}
	return d.events, d.ignored
}

// decoder gathers the events of one post. waba, time and field are those of the change at hand.
type decoder struct {
	received time.Time
	wants    Wants

	waba  string
	time  string // as Meta wrote it; "" where there is none
	field string

	events  []router.Event
	ignored Ignored

	identity []byte // room for what a digest is made of
}

func (d *decoder) post(body []byte) {
	if !json.Valid(body) {
		d.unreadable(body, "the post is no JSON")
		return
	}
	var entries [][]byte // read last: whether they are ours is said by a key that may stand behind them
	object := ""
	members(body, func(key, value []byte) {
		switch string(key) {
		case "entry":
			entries = slices.AppendSeq(entries, elements(value))
		case "object":
			object = word(value)
		}
	})
	switch {
	case object != "" && object != ourObject:
		d.ignored.add(OtherProduct, max(len(entries), 1))
		return
	case len(entries) == 0:
		d.unreadable(body, "the post has no entry")
	}
	for _, entry := range entries {
		if len(d.events) > maxEvents {
			break
		}
		d.entry(entry)
	}
}

func (d *decoder) entry(raw []byte) {
	d.waba, d.time, d.field = "", "", ""
	var changes [][]byte // read last: they need the id and the time, wherever these stand
	other := false
	isObject := members(raw, func(key, value []byte) {
		switch string(key) {
		case "id":
			d.waba = word(value)
		case "time":
			d.time = word(value)
		case "changes", "changed_fields":
			changes = slices.AppendSeq(changes, elements(value))
		case "messaging", "standby": // in the place of changes
			other = true
		}
	})
	switch {
	case len(changes) == 0 && other:
		d.ignored.add(OtherProduct, 1)
	case !isObject:
		d.unreadable(raw, "the entry is no object")
	case len(changes) == 0:
		d.unreadable(raw, "the entry has no changes")
	}
	for _, change := range changes {
		if len(d.events) > maxEvents {
			break
		}
		d.change(change)
	}
}

func (d *decoder) change(raw []byte) {
	d.field = ""
	var value []byte
	isObject := members(raw, func(key, v []byte) {
		switch string(key) {
		case "field":
			d.field = word(v)
		case "value":
			value = v
		}
	})
	if raw[0] == '"' { // changed_fields may name a field and hold no value
		d.field = word(raw)
	} else if !isObject {
		d.unreadable(raw, "the change is no object")
		return
	}
	switch d.field {
	case fieldFlows:
		d.flow(raw, value)
	case fieldMessages:
		d.messages(value)
	case "":
		d.unreadable(raw, "the change names no field")
	default:
		switch chat := router.ChatField(d.field); {
		case chat == "":
			d.account(value)
		case d.wants.field(d.field):
			d.add(router.Event{Name: strings.ToUpper(d.field)}, d.time, value)
		default:
			d.ignored.add(chat, 1)
		}
	}
}

// flow reads a change of the field flows. Odd members are left out; what they were stays in Value.
func (d *decoder) flow(raw, value []byte) {
	var e router.Event
	var errorRate, p90, availability *float64
	var reason string
	isObject := members(value, func(key, v []byte) {
		switch string(key) {
		case "event":
			e.Name = word(v)
		case "flow_id":
			e.Flow = word(v)
		case "alert_state":
			e.AlertState = word(v)
		case "old_status":
			e.OldStatus = word(v)
		case "new_status":
			e.NewStatus = word(v)
		case "threshold":
			e.Threshold = number(v)
		case "error_rate":
			errorRate = number(v)
		case "p90_latency":
			p90 = number(v)
		case "availability":
			availability = number(v)
		case "p50_latency":
			e.P50 = number(v)
		case "requests_count":
			e.Requests = number(v)
		case "errors":
			e.Errors = errorCounts(v)
		case "message":
			e.Message = text(v)
		case "warning":
			e.Warning = text(v)
		case "reason":
			reason = text(v)
		}
	})
	if !isObject {
		d.unreadable(raw, "the value of a flows change is no object")
		return
	}
	e.Facts = flowFacts(&e, reason)
	e.Reading.Value = cmp.Or(errorRate, p90, availability) // of which an event has one
	d.add(e, d.time, value)
}

func errorCounts(raw []byte) (errors []router.ErrorCount) {
	for one := range elements(raw) {
		var e router.ErrorCount
		members(one, func(key, v []byte) {
			switch string(key) {
			case "error_type":
				e.Type = word(v)
			case "error_rate":
				e.Rate = number(v)
			case "error_count":
				e.Count = number(v)
			}
		})
		if e.Type != "" {
			errors = append(errors, e)
		}
	}
	return errors
}

// add completes an event with what its entry says. at is its time as Meta wrote it.
func (d *decoder) add(e router.Event, at string, value []byte) {
	e.Source, e.Received, e.WABA, e.Field = router.SourceMeta, d.received, cmp.Or(e.WABA, d.waba), d.field
	e.At = occurred(at, d.received)
	if value != nil {
		if e.Value = bytes.Clone(value); !utf8.Valid(value) {
			e.Value = bytes.ToValidUTF8(value, []byte("\uFFFD"))
		}
	}
	if e.Digest == "" {
		e.Digest = d.digest(func(id []byte) []byte { return canonical(id, e.Value, 0) })
	}
	d.events = append(d.events, e)
}

func (d *decoder) unreadable(raw []byte, why string) {
	d.add(router.Event{Unreadable: why, Raw: bytes.Clone(raw), Digest: "unreadable-" +
		d.digest(func(id []byte) []byte { return append(id, raw...) })}, d.time, nil)
}

// digest is the identity of a change: account, time, field and value, whatever the order of its keys and the
// white space between them. It begins with the time, so that the digests of a journal grow with it and an index
// over them is written at its end.
//
// Without a time, or with a 0 for one, two real events can be equal to the byte: an alert, its recovery, and the same
// alert again. There the hour of arrival stands in for it: taking a repeat for a new event costs little, losing one is
// worse.
func (d *decoder) digest(content func(id []byte) []byte) string {
	at, said := d.time, ""
	if _, ok := timeOf(d.time); !ok {
		at, said = strconv.FormatInt(d.received.Truncate(time.Hour).Unix(), 10), d.time
	}
	id := d.identity[:0]
	for _, part := range []string{d.waba, at, d.field} {
		id = appendString(id, part)
	}
	if said != "" {
		id = appendString(id, said)
	}
	d.identity = content(id)
	return digestOf(at, d.identity)
}

// maxTime bounds the time at the head of a digest, in characters.
const maxTime = 20

// digestOf joins a time and a hash; 128 bits of it are enough to tell changes apart.
func digestOf(at string, id []byte) string {
	sum := sha256.Sum256(id)
	if len(at) > maxTime {
		at = fmt.Sprintf("%.*s", maxTime, at)
	}
	return at + "-" + hex.EncodeToString(sum[:16])
}

// Times outside these bounds are no times of an event: Flows did not exist, or a clock is wrong.
var earliest = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// Earliest is the first time that an event can have: one that says another is taken to be of when it arrived.
func Earliest() time.Time { return earliest }

const tooEarly = time.Hour

// occurred reads entry.time. The time of arrival stands in for what is missing or cannot be.
func occurred(raw string, received time.Time) time.Time {
	at, ok := timeOf(raw)
	if !ok || at.After(received.Add(tooEarly)) {
		return received
	}
	return at
}

// timeOf reads a time of Meta's: seconds since 1970, or milliseconds where the number is too large for that.
func timeOf(raw string) (at time.Time, ok bool) {
	n := parse(raw)
	if n == nil {
		return at, false
	}
	seconds := *n
	if seconds > 1e11 {
		seconds /= 1000
	}
	if seconds > 1e11 || seconds < 0 {
		return at, false
	}
	at = time.UnixMilli(int64(seconds * 1000)).UTC()
	return at, !at.Before(earliest)
}
