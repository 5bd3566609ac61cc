package console

import (
	"encoding/json"
	"math"
	"strings"
	"time"

	"flowbridge/router"
)

// maxRaw bounds what is shown of an unreadable post, which may have 3 MiB.
const maxRaw = 4 << 10

func newIncident(i *router.IncidentDetail) Incident {
	labels := i.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	return Incident{
		Number: i.Number, State: string(i.State), Severity: i.Severity.String(), Peak: i.Peak.String(), Title: i.Title,
		WABA: i.WABA, AccountName: i.AccountName, Flow: router.OnlyFlow(i.Flow), FlowName: i.FlowName, Labels: labels,
		Runbook: i.Runbook, Drill: router.IsDrill(i.Flow),
		Event: i.EventName(), Signal: i.Event, Subject: newSubject(i.Event, i.WABA, i.Flow, i.FlowName, i.Subject),
		Change: i.Change,
		Facts:  append([]router.Fact{}, i.Facts...), Key: i.Key, Rule: i.Rule, RulesVersion: i.RulesVersion,
		Path:     append([]router.Level{}, i.Path...),
		OpenedAt: moment(i.OpenedAt), AcknowledgedAt: moment(i.AcknowledgedAt), AcknowledgedBy: i.AcknowledgedBy,
		ResolvedAt: moment(i.ResolvedAt), ResolvedBy: i.ResolvedBy, Owner: i.Owner,
		Links:    each(i.Links, func(l *router.Link) Link { return Link{l.Notifier, l.ID, l.Number, l.URL} }),
		Silenced: newSilenced(&i.Silence), Flaps: i.Flaps, Pageable: append([]string{}, i.Pageable...),
		Pages:  each(i.PagesTold(), newPage),
		Alerts: each(i.Alerts, newAlert), Deliveries: each(i.Deliveries, newDelivery), Timeline: each(i.Timeline, newEntry),
	}
}

// newSubject names what an event or incident is about, also where that is a flow.
func newSubject(signal, waba, flow, flowName string, s router.Subject) Subject {
	if s.Kind == "" {
		s = router.Subject{Kind: router.SubjectOf(signal), ID: router.OnlyFlow(flow), Name: flowName}
	}
	if s.Kind == router.SubjectAccount {
		s.ID = waba
	}
	return Subject{Kind: string(s.Kind), ID: s.ID, Name: s.Name}
}

func newPage(p *router.PageStatus) Page {
	return Page{
		Notifier: p.Notifier, State: string(p.State), At: moment(p.At), By: p.By, Again: p.Again,
		UnlessAcknowledged: p.UnlessAcknowledged,
		Number:             p.Link.Number, URL: p.Link.URL,
		Text: p.Words(func(at time.Time) string { return at.UTC().Format("15:04 UTC") }),
	}
}

func newSilenced(s *router.Silence) *Silenced {
	if s.ID == "" {
		return nil
	}
	return &Silenced{Silence: s.ID, Until: moment(s.Until), By: s.By, Why: s.Why}
}

func newAlert(a *router.Alert) Alert {
	out := Alert{
		Event: router.EventOf(a.Event), Signal: a.Event, Severity: a.Severity.String(), Active: a.Active,
		Since: moment(a.Since), Until: moment(a.Until),
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

func newDelivery(d *router.Delivery) Delivery {
	out := Delivery{
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

func newListedDelivery(d *router.Delivery, of router.About) ListedDelivery {
	out := ListedDelivery{
		Delivery: newDelivery(d), WABA: of.WABA, AccountName: of.AccountName, Flow: router.OnlyFlow(of.Flow),
		FlowName: of.FlowName,
		Event:    router.EventOf(of.Event),
	}
	if of.Event != "" {
		out.Subject = newSubject(of.Event, of.WABA, of.Flow, of.FlowName, of.Subject)
	}
	return out
}

func newReceipt(r *router.Receipt) Receipt {
	out := Receipt{"channel": "", "ts": "", "dedup_key": ""}
	if r.Own.Get(&out) != nil { // what cannot be read is not shown
		out = Receipt{}
	}
	out["link"] = r.Link
	return out
}

func newEntry(e *router.Entry) Entry {
	return Entry{At: moment(e.At), Kind: string(e.Kind), Text: e.Text}
}

func newEvent(e *router.JournalEvent, pairs []int64) Event {
	out := Event{
		Seq: e.Seq, At: moment(e.At), ReceivedAt: moment(e.Received), Source: string(e.Source), WABA: e.WABA,
		Flow:  router.OnlyFlow(e.Flow),
		Event: e.Name, Signal: e.SignalKey(), Subject: newSubject(e.Name, e.WABA, e.Flow, "", e.Subject), Change: e.Change,
		Threshold: number(e.Threshold), AlertState: e.AlertState, OldStatus: e.OldStatus, NewStatus: e.NewStatus,
		State: string(e.State), Outcome: e.Outcome, Unreadable: e.Unreadable, Reduced: string(e.Reduced),
		PairsWith: append([]int64{}, pairs...),
	}
	if e.Unreadable != "" && !router.IsPersonal(e.Name) {
		out.Raw = strings.ToValidUTF8(string(e.Raw[:min(len(e.Raw), maxRaw)]), "\uFFFD")
		out.Size = len(e.Raw)
	}
	return out
}

func newEventDetail(e *router.JournalEvent, pairs []int64) EventDetail {
	out := EventDetail{
		Event: newEvent(e, pairs), Field: e.Field, Facts: append([]router.Fact{}, e.Facts...), Said: e.Said.String(),
		Expires: moment(e.Expires), Message: e.Message, Warning: e.Warning, Value: number(e.Reading.Value),
		P50:      number(e.P50),
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
