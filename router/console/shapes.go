package console

import (
	"encoding/json"
	"math"
	"strings"
	"time"

	"flowbridge/router"
)

// The shapes below are the outside contract of the API: a list is never null, a time, number or status that
// is absent is null, times are RFC 3339 in UTC. Fields may be added, never renamed.

// incident is an incident with its alerts, deliveries and timeline.
type incident struct {
	Number         int64             `json:"number"`
	State          string            `json:"state"`    // open, acknowledged or resolved
	Severity       string            `json:"severity"` // critical, error, warning or info; once resolved, the peak
	Peak           string            `json:"peak"`
	Title          string            `json:"title"` // by the rule's template; "" if it has none
	WABA           string            `json:"waba_id"`
	Flow           string            `json:"flow_id"`
	FlowName       string            `json:"flow_name"` // "" if the rules file names it not
	Labels         map[string]string `json:"labels"`
	Runbook        string            `json:"runbook"` // URL, or ""
	Event          string            `json:"event"`
	Key            string            `json:"key"`  // PagerDuty's dedup key
	Rule           string            `json:"rule"` // that matched the event that opened it
	Path           []string          `json:"path"` // levels it reached, in order: "5", "10", or "THROTTLED"
	OpenedAt       *time.Time        `json:"opened_at"`
	AcknowledgedAt *time.Time        `json:"acknowledged_at"`
	AcknowledgedBy string            `json:"acknowledged_by"`
	ResolvedAt     *time.Time        `json:"resolved_at"`
	ResolvedBy     string            `json:"resolved_by"` // a person, or "" when Meta reported the recovery
	Owner          string            `json:"owner"`       // who has it, as PagerDuty says, or ""
	Links          []link            `json:"links"`       // what services call it, by notifier
	Silenced       *silenced         `json:"silenced"`    // the silence that its worst alert is under, or null
	Flaps          int64             `json:"flaps"`       // how often it came back while its recovery was held back
	Pageable       []string          `json:"pageable"`    // notifiers that its rules name and that page, told or not
	Alerts         []alert           `json:"alerts"`      // worst first
	Deliveries     []delivery        `json:"deliveries"`  // by notifier
	Timeline       []entry           `json:"timeline"`    // oldest first
}

// alert is one threshold or status of one signal.
type alert struct {
	Event     string     `json:"event"`
	Threshold *float64   `json:"threshold"` // percent, or milliseconds for latency
	Status    *string    `json:"status"`    // of FLOW_STATUS_CHANGE: THROTTLED or BLOCKED
	Severity  string     `json:"severity"`
	Active    bool       `json:"active"`
	Since     *time.Time `json:"since"`
	Until     *time.Time `json:"until"`
	Value     *float64   `json:"value"`           // as last reported, in the unit of the threshold
	HeldUntil *time.Time `json:"held_until"`      // while its recovery is held back
	Routes    []string   `json:"routes"`          // notifiers that the rules named when it became active
	OpenedBy  *int64     `json:"opened_by_event"` // journal positions: the ACTIVATED,
	ClosedBy  *int64     `json:"closed_by_event"` // and what ended it
}

// link is what a service calls an incident.
type link struct {
	Notifier string `json:"notifier"`
	ID       string `json:"id"`
	Number   int64  `json:"number"` // as people say it there, or 0
	URL      string `json:"url"`    // or ""
}

// silenced is the silence that an incident is under.
type silenced struct {
	Silence string     `json:"silence"` // id
	Until   *time.Time `json:"until"`   // null: until recovery
	By      string     `json:"by"`
	Why     string     `json:"why"`
}

// delivery is one incident or notice owed to one notifier.
type delivery struct {
	ID        int64      `json:"id"`
	Incident  *int64     `json:"incident"` // number; null for a notice
	Notice    *int64     `json:"notice"`   // journal position of the event; null for an incident
	Notifier  string     `json:"notifier"`
	Kind      string     `json:"kind"`
	State     string     `json:"state"`    // waiting, delivered, parked or cancelled
	Attempts  int        `json:"attempts"` // since the last one that succeeded
	LastError string     `json:"last_error"`
	NextAt    *time.Time `json:"next_at"` // while waiting; of one that is parked, when it is tried again by itself
	UpdatedAt *time.Time `json:"updated_at"`
	Receipt   receipt    `json:"receipt"`
}

// receipt is what the service calls what was made there: link, a URL or "", and what else the kind keeps, as that writes it. Of
// channel, ts (of Slack) and dedup_key (of PagerDuty) those that the kind does not have are "".
type receipt map[string]any

// entry is a line of a timeline.
type entry struct {
	At   *time.Time `json:"at"`
	Kind string     `json:"kind"`
	Text string     `json:"text"` // plain text that may hold what Meta wrote: escape it
}

// event is an event of the journal. Meta's value stays behind: a filled form is somebody's personal data.
type event struct {
	Seq        int64      `json:"seq"`
	At         *time.Time `json:"at"`
	ReceivedAt *time.Time `json:"received_at"`
	Source     string     `json:"source"`
	WABA       string     `json:"waba_id"`
	Flow       string     `json:"flow_id"`
	Event      string     `json:"event"`
	Threshold  *float64   `json:"threshold"`
	AlertState string     `json:"alert_state"`
	OldStatus  string     `json:"old_status"`
	NewStatus  string     `json:"new_status"`
	State      string     `json:"state"`          // waiting, folded, unreadable or failed
	Outcome    string     `json:"outcome"`        // what came of it, for people
	PairsWith  []int64    `json:"pairs_with"`     // positions of the other half: of an ACTIVATED what ended it, of a recovery what it ended
	Unreadable string     `json:"unreadable"`     // why it could not be read
	Raw        string     `json:"raw,omitempty"`  // of an unreadable one: the post, cut after maxRaw bytes
	Size       int        `json:"size,omitempty"` // of an unreadable one: bytes of the whole post
	Reduced    string     `json:"reduced"`        // why what it said is kept no longer, or only in part; "" while it is
}

// eventDetail is one event with all that rules can ask of it. The answers of a filled form stay behind here too.
type eventDetail struct {
	event
	Field    string              `json:"field"`
	Message  string              `json:"message"` // Meta's sentence
	Warning  string              `json:"warning"`
	Value    *float64            `json:"value"`    // as measured, in the unit of the threshold
	P50      *float64            `json:"p50"`      // milliseconds
	Requests *float64            `json:"requests"` // in the window
	Errors   []router.ErrorCount `json:"errors"`
	Body     json.RawMessage     `json:"body"` // as Meta wrote it, or null
	Act      *router.Act         `json:"act"`  // what a person did, or null
}

// maxRaw bounds what is shown of an unreadable post, which may have 3 MiB.
const maxRaw = 4 << 10

func newIncident(i *router.IncidentDetail) incident {
	labels := i.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	return incident{
		Number: i.Number, State: string(i.State), Severity: i.Severity.String(), Peak: i.Peak.String(), Title: i.Title,
		WABA: i.WABA, Flow: i.Flow, FlowName: i.FlowName, Labels: labels, Runbook: i.Runbook,
		Event: i.Event, Key: i.Key, Rule: i.Rule, Path: each(i.Path, func(l *router.Level) string { return string(*l) }),
		OpenedAt: moment(i.OpenedAt), AcknowledgedAt: moment(i.AcknowledgedAt), AcknowledgedBy: i.AcknowledgedBy,
		ResolvedAt: moment(i.ResolvedAt), ResolvedBy: i.ResolvedBy, Owner: i.Owner,
		Links:    each(i.Links, func(l *router.Link) link { return link{l.Notifier, l.ID, l.Number, l.URL} }),
		Silenced: newSilenced(&i.Silence), Flaps: i.Flaps, Pageable: append([]string{}, i.Pageable...),
		Alerts: each(i.Alerts, newAlert), Deliveries: each(i.Deliveries, newDelivery), Timeline: each(i.Timeline, newEntry),
	}
}

func newSilenced(s *router.Silence) *silenced {
	if s.ID == "" {
		return nil
	}
	return &silenced{Silence: s.ID, Until: moment(s.Until), By: s.By, Why: s.Why}
}

func newAlert(a *router.Alert) alert {
	out := alert{
		Event: a.Event, Severity: a.Severity.String(), Active: a.Active, Since: moment(a.Since), Until: moment(a.Until),
		Value: number(a.Value), HeldUntil: moment(a.HeldUntil),
		Routes:   each(a.Routes, func(r *router.AlertRoute) string { return r.Notifier }),
		OpenedBy: unlessZero(a.OpenedBy), ClosedBy: unlessZero(a.ClosedBy),
	}
	if t, ok := a.Level.Threshold(); a.Level.IsWord() {
		out.Status = new(string(a.Level))
	} else if ok {
		out.Threshold = number(&t)
	}
	return out
}

func newDelivery(d *router.Delivery) delivery {
	out := delivery{
		ID: d.ID, Incident: unlessZero(d.Incident), Notice: unlessZero(d.Event), Notifier: d.Notifier, Kind: string(d.Kind),
		State: string(d.State), Attempts: d.Attempts, LastError: d.LastError, UpdatedAt: moment(d.Updated),
	}
	if d.State == router.DeliveryWaiting || d.State == router.DeliveryParked {
		out.NextAt = moment(d.NextAt)
	}
	if r := d.Receipt; r != (router.Receipt{}) {
		out.Receipt = newReceipt(&r)
	}
	return out
}

func newReceipt(r *router.Receipt) receipt {
	out := receipt{"channel": "", "ts": "", "dedup_key": ""}
	if r.Own.Get(&out) != nil { // what cannot be read is not shown
		out = receipt{}
	}
	out["link"] = r.Link
	return out
}

func newEntry(e *router.Entry) entry {
	return entry{At: moment(e.At), Kind: string(e.Kind), Text: e.Text}
}

func newEvent(e *router.JournalEvent, pairs []int64) event {
	out := event{
		Seq: e.Seq, At: moment(e.At), ReceivedAt: moment(e.Received), Source: string(e.Source), WABA: e.WABA, Flow: e.Flow,
		Event: e.Name, Threshold: number(e.Threshold), AlertState: e.AlertState, OldStatus: e.OldStatus, NewStatus: e.NewStatus,
		State: string(e.State), Outcome: e.Outcome, Unreadable: e.Unreadable, Reduced: string(e.Reduced),
		PairsWith: append([]int64{}, pairs...),
	}
	if e.Unreadable != "" && !router.IsPersonal(e.Name) {
		out.Raw = strings.ToValidUTF8(string(e.Raw[:min(len(e.Raw), maxRaw)]), "\uFFFD")
		out.Size = len(e.Raw)
	}
	return out
}

func newEventDetail(e *router.JournalEvent, pairs []int64) eventDetail {
	out := eventDetail{
		event: newEvent(e, pairs), Field: e.Field, Message: e.Message, Warning: e.Warning, Value: number(e.Reading.Value), P50: number(e.P50),
		Requests: number(e.Requests), Errors: append([]router.ErrorCount{}, e.Errors...), Act: e.Act,
	}
	switch {
	case router.IsPersonal(e.Name):
		out.Message = ""
	case json.Valid(e.Event.Value):
		out.Body = e.Event.Value
	}
	return out
}

// each makes a list that is never null.
func each[T, U any](in []T, shape func(*T) U) []U {
	out := make([]U, len(in))
	for i := range in {
		out[i] = shape(&in[i])
	}
	return out
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}

func unlessZero(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

// number keeps out what JSON cannot write: one odd number must not lose the whole list.
func number(v *float64) *float64 {
	if v == nil || math.IsNaN(*v) || math.IsInf(*v, 0) {
		return nil
	}
	return v
}
