package webhook

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"time"

	"flowbridge/router"
)

// The types of messages.
const (
	incidentOpened       = "incident.opened" // or opened anew
	incidentUpdated      = "incident.updated"
	incidentAcknowledged = "incident.acknowledged"
	incidentResolved     = "incident.resolved" // for this receiver: nothing that is routed to it is active any more
	noticeType           = "notice"
)

// Bounds of our own: Standard Webhooks asks for less than 20 KB. Names and texts come from Meta and the rules, and are
// of any length.
const (
	maxText   = 2000 // characters
	maxShort  = 300
	maxFields = 20
	maxAlerts = 20
	maxPages  = 20
)

// message is what is posted. The names are those of the admin API.
type message struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"` // when it happened
	Data      data      `json:"data"`
}

type data struct {
	Notifier string    `json:"notifier"` // its name in the rules
	Severity string    `json:"severity"` // for this receiver
	Incident *incident `json:"incident,omitempty"`
	Notice   *notice   `json:"notice,omitempty"`
}

type incident struct {
	Number  int64   `json:"number"`
	Name    string  `json:"name"` // INC-42
	Key     string  `json:"key"`  // the same for every incident about the same trouble
	State   string  `json:"state"`
	Open    bool    `json:"open"` // for this receiver
	Event   string  `json:"event"`
	Signal  string  `json:"signal"`  // unlike event where several share one: ACCOUNT_BAN
	Subject subject `json:"subject"` // what it is about
	// Meta's word for what happened to another subject than a flow, or ""
	Change         string            `json:"change"`
	Facts          []router.Fact     `json:"facts"` // what Meta said beside that, for people
	WABA           string            `json:"waba_id"`
	AccountName    string            `json:"account_name"`
	Flow           string            `json:"flow_id"`
	FlowName       string            `json:"flow_name"`
	Labels         map[string]string `json:"labels"`
	Runbook        string            `json:"runbook"`
	Rule           string            `json:"rule"`
	Title          string            `json:"title"`
	Text           string            `json:"text"`
	Fields         []field           `json:"fields"`
	OpenedAt       time.Time         `json:"opened_at"`
	AcknowledgedAt *time.Time        `json:"acknowledged_at"`
	AcknowledgedBy string            `json:"acknowledged_by"`
	ResolvedAt     *time.Time        `json:"resolved_at"`
	ResolvedBy     string            `json:"resolved_by"` // a person, or "" when Meta reported the recovery
	Owner          string            `json:"owner"`
	Silenced       bool              `json:"silenced"`
	Reminders      int64             `json:"reminders"` // how often this receiver was told again that nobody has it
	Pages          []page            `json:"pages"`     // who is paged, will be, or is not; none once it is resolved
	Alerts         []alert           `json:"alerts"`    // worst first
	Link           string            `json:"link"`      // its page for people, or ""
}

type subject struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	Name string `json:"name"`
}

type page struct {
	Notifier           string     `json:"notifier"`
	State              string     `json:"state"`
	At                 *time.Time `json:"at"`
	By                 string     `json:"by"`
	Again              bool       `json:"again"`
	UnlessAcknowledged bool       `json:"unless_acknowledged"`
	Number             int64      `json:"number"`
	URL                string     `json:"url"`
}

type alert struct {
	Event     string     `json:"event"`
	Signal    string     `json:"signal"`
	Threshold *float64   `json:"threshold"`
	Status    string     `json:"status,omitempty"`
	Severity  string     `json:"severity"`
	Active    bool       `json:"active"`
	Since     *time.Time `json:"since"`
	Until     *time.Time `json:"until"`
	Value     *float64   `json:"value"` // as last reported, in the unit of the threshold
}

type notice struct {
	Event      string            `json:"event"`
	Subject    subject           `json:"subject"`
	Change     string            `json:"change"`
	Facts      []router.Fact     `json:"facts"`
	Seq        int64             `json:"seq"` // position in the journal
	WABA       string            `json:"waba_id"`
	Account    string            `json:"account_name"`
	Flow       string            `json:"flow_id"`
	FlowName   string            `json:"flow_name"`
	Labels     map[string]string `json:"labels"`
	Runbook    string            `json:"runbook"`
	Rule       string            `json:"rule"`
	Title      string            `json:"title"`
	Text       string            `json:"text"`
	Message    string            `json:"message"` // Meta's sentence
	Warning    string            `json:"warning"`
	AlertState string            `json:"alert_state"`
	Threshold  *float64          `json:"threshold"`
	Value      *float64          `json:"value"`
	OldStatus  string            `json:"old_status"`
	NewStatus  string            `json:"new_status"`
	Fields     []field           `json:"fields"`
}

type field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Message returns what a receiver would get of a notification of which nothing was said yet, or as its receipt has it.
// It calls nobody.
func Message(n router.Notification) ([]byte, error) {
	var last own
	if err := n.Receipt.Own.Get(&last); err != nil {
		return nil, err
	}
	return json.MarshalIndent(newMessage(&n, last), "", "  ")
}

func newMessage(n *router.Notification, last own) *message {
	m := &message{Type: noticeType,
		Data: data{Notifier: n.Target.Notifier, Severity: max(n.Severity, router.Info).String()}}
	if n.Notice != nil {
		m.Timestamp, m.Data.Notice = n.Notice.At.UTC(), newNotice(n.Notice)
		return m
	}
	m.Data.Incident = newIncident(n)
	m.Type, m.Timestamp = typeOf(n, last)
	return m
}

// typeOf says what is news for the receiver, and since when.
func typeOf(n *router.Notification, last own) (string, time.Time) {
	inc, r := n.Incident, &n.Receipt
	acknowledged := inc.State == router.IncidentAcknowledged
	newly := slices.ContainsFunc(n.Timeline, func(e router.Entry) bool { return e.Kind == router.EntryAcknowledged })
	switch {
	case n.Open && (!r.Open || n.Opening != r.Opening):
		return incidentOpened, newest(n, inc.OpenedAt)
	case n.Open && acknowledged && (!r.Acknowledged || newly):
		return incidentAcknowledged, inc.AcknowledgedAt.UTC()
	// what was said to be over changes still: Meta reports the end of what a person resolved
	case n.Open, !r.Open && last.Said != "":
		return incidentUpdated, newest(n, inc.OpenedAt)
	}
	return incidentResolved, cmp.Or(inc.ResolvedAt, newest(n, inc.OpenedAt)).UTC()
}

// newest is when something of the incident's alerts changed last.
func newest(n *router.Notification, at time.Time) time.Time {
	for i := range n.Alerts {
		for _, one := range []time.Time{n.Alerts[i].Raised, n.Alerts[i].Until} {
			if one.After(at) {
				at = one
			}
		}
	}
	return at.UTC()
}

// encode returns the body, and what tells whether two of them say the same. When it happened is not part of that, nor
// is when somebody was paged, and what the service calls that: a page anew every half hour is no news for a receiver of
// its own.
func (m *message) encode() (body []byte, sum string, err error) {
	if body, err = json.Marshal(m); err != nil {
		return nil, "", err
	}
	told := m.Data
	if told.Incident != nil {
		inc := *told.Incident
		inc.Pages = slices.Clone(inc.Pages)
		for i := range inc.Pages {
			p := &inc.Pages[i]
			p.At, p.Number, p.URL = nil, 0, ""
		}
		told.Incident = &inc
	}
	data, err := json.Marshal(told)
	if err != nil {
		return nil, "", err
	}
	hash := sha256.Sum256(data)
	return body, hex.EncodeToString(hash[:8]), nil
}

func newIncident(n *router.Notification) *incident {
	i := n.Incident
	out := &incident{
		Number: i.Number, Name: i.Name(), Key: n.Key, State: string(i.State), Open: n.Open,
		Event: short(router.EventOf(i.Event)), Signal: short(i.Event),
		Subject: newSubject(i.Subject, i.Event, i.WABA, i.Flow, i.FlowName), Change: short(i.Change), Facts: facts(i.Facts),
		WABA: short(i.WABA), AccountName: short(i.AccountName), Flow: short(router.OnlyFlow(i.Flow)),
		FlowName: short(i.FlowName), Labels: labels(i.Labels), Runbook: i.Runbook, Rule: short(i.Rule), Title: short(i.Title),
		Text:   cut(i.Text, maxText),
		Fields: fields(i.Fields), OpenedAt: i.OpenedAt.UTC(), AcknowledgedAt: moment(i.AcknowledgedAt),
		AcknowledgedBy: short(i.AcknowledgedBy),
		ResolvedAt:     moment(i.ResolvedAt), ResolvedBy: short(i.ResolvedBy), Owner: short(i.Owner),
		Silenced: i.Silence.ID != "", Alerts: []alert{}, Link: n.Link,
		Reminders: reminders(n), Pages: pages(n),
	}
	for _, a := range n.Alerts[:min(len(n.Alerts), maxAlerts)] {
		one := alert{Event: short(router.EventOf(a.Event)), Signal: short(a.Event), Severity: a.Severity.String(),
			Active: a.Active, Since: moment(a.Since), Until: moment(a.Until), Value: number(a.Value)}
		if t, ok := a.Level.Threshold(); ok {
			one.Threshold = number(&t)
		} else {
			one.Status = short(string(a.Level))
		}
		out.Alerts = append(out.Alerts, one)
	}
	return out
}

func newNotice(n *router.Notice) *notice {
	return &notice{
		Event: short(n.Name), Subject: newSubject(n.Subject, n.SignalKey(), n.WABA, n.Flow, n.FlowName),
		Change: short(n.Change),
		Facts:  facts(n.Facts), Seq: n.Event, WABA: short(n.WABA), Account: short(n.AccountName),
		Flow: short(router.OnlyFlow(n.Flow)), FlowName: short(n.FlowName), Labels: labels(n.Labels), Runbook: n.Runbook,
		Rule: short(n.Rule), Title: short(n.Title), Text: cut(n.Text, maxText), Message: cut(n.Message, maxText),
		Warning:    cut(n.Warning, maxText),
		AlertState: n.AlertState, Threshold: number(n.Threshold), Value: number(n.Value), OldStatus: short(n.OldStatus),
		NewStatus: short(n.NewStatus),
		Fields:    fields(n.Fields),
	}
}

// newSubject names what it is about, also where that is a flow, as the admin API does.
func newSubject(s router.Subject, signal, waba, flow, flowName string) subject {
	if s.Kind == "" {
		s = router.Subject{Kind: router.SubjectOf(signal), ID: router.OnlyFlow(flow), Name: flowName}
	}
	if s.Kind == router.SubjectAccount {
		s.ID = waba
	}
	return subject{Kind: string(s.Kind), ID: short(s.ID), Name: short(s.Name)}
}

func facts(of []router.Fact) []router.Fact {
	out := []router.Fact{}
	for _, f := range of[:min(len(of), maxFields)] {
		out = append(out, router.Fact{Name: short(f.Name), Text: cut(f.Text, maxText)})
	}
	return out
}

// reminders is how often the receiver was told again, where the rules want that.
func reminders(n *router.Notification) int64 {
	if !n.Reminds() {
		return 0
	}
	for i := range n.Incident.Watch {
		if w := &n.Incident.Watch[i]; w.Notifier == n.Target.Notifier {
			return w.Reminders
		}
	}
	return 0
}

func pages(n *router.Notification) []page {
	out := []page{}
	all := n.Incident.Pages(n.Alerts)
	for i := range all[:min(len(all), maxPages)] {
		p := &all[i]
		if p.State == router.PageMade && slices.ContainsFunc(n.Problems, func(other router.Problem) bool {
			return other.Notifier == p.Notifier
		}) {
			p.State = router.PageFailed
		}
		out = append(out, page{
			Notifier: short(p.Notifier), State: string(p.State), At: moment(p.At), By: short(p.By), Again: p.Again,
			UnlessAcknowledged: p.UnlessAcknowledged, Number: p.Link.Number, URL: p.Link.URL,
		})
	}
	return out
}

func labels(of map[string]string) map[string]string {
	if of == nil {
		return map[string]string{}
	}
	return of
}

func fields(of []router.Field) []field {
	out := []field{}
	for _, f := range of[:min(len(of), maxFields)] {
		out = append(out, field{short(f.Name), cut(f.Value, maxText)})
	}
	return out
}

func short(text string) string { return cut(text, maxShort) }

func cut(text string, most int) string { return router.Shorten(text, most) }

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// number leaves out what JSON cannot write.
func number(v *float64) *float64 {
	if v == nil || math.IsNaN(*v) || math.IsInf(*v, 0) {
		return nil
	}
	return v
}
