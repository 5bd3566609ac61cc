package console

import (
	"encoding/json"
	"time"

	"flowbridge/router"
)

// The types below are the outside contract of the API: what it answers, and what it is sent. A list is never null; a
// time, number or status that is absent is null; times are RFC 3339 in UTC. Fields may be added, never renamed.

// Incident is an incident with its alerts, deliveries and timeline.
type Incident struct {
	Number      int64             `json:"number"`   // people say INC-42
	State       string            `json:"state"`    // open, acknowledged or resolved
	Severity    string            `json:"severity"` // critical, error, warning or info; once resolved, the peak
	Peak        string            `json:"peak"`     // the highest severity so far
	Title       string            `json:"title"`    // by the rule's template; "" if it has none
	WABA        string            `json:"waba_id"`
	AccountName string            `json:"account_name"` // "" if it has no name
	Flow        string            `json:"flow_id"`      // "" where it is about another subject
	FlowName    string            `json:"flow_name"`    // "" if the rules file names it not
	Labels      map[string]string `json:"labels"`       // of the flow, from the rules file
	Runbook     string            `json:"runbook"`      // URL, or ""
	Drill       bool              `json:"drill"`        // made by flowbridge drill: nothing is wrong
	Event       string            `json:"event"`        // that opened it, as rules know it
	// that opened it; unlike event where several share one: ACCOUNT_BAN
	Signal  string  `json:"signal"`
	Subject Subject `json:"subject"` // what it is about
	// Meta's word for what happened to another subject than a flow, or ""
	Change string         `json:"change"`
	Facts  []router.Fact  `json:"facts"` // what Meta said beside that, for people
	Key    string         `json:"key"`   // PagerDuty's dedup key
	Rule   string         `json:"rule"`  // that matched the event that opened it
	Path   []router.Level `json:"path"`  // levels it reached, in order: "5", "10", or "THROTTLED"
	// digest of the rules when it opened: /api/v1/rules/{digest}; or ""
	RulesVersion   string     `json:"rules_version"`
	OpenedAt       *time.Time `json:"opened_at"`
	AcknowledgedAt *time.Time `json:"acknowledged_at"` // null unless it is acknowledged
	AcknowledgedBy string     `json:"acknowledged_by"` // a person, or ""
	ResolvedAt     *time.Time `json:"resolved_at"`     // null until it is resolved
	ResolvedBy     string     `json:"resolved_by"`     // a person, or "" when Meta reported the recovery
	Owner          string     `json:"owner"`           // who has it, as PagerDuty says, or ""
	Links          []Link     `json:"links"`           // what services call it, by notifier
	Silenced       *Silenced  `json:"silenced"`        // the silence that its worst alert is under, or null
	Flaps          int64      `json:"flaps"`           // how often it came back while its recovery was held back
	Pageable       []string   `json:"pageable"`        // notifiers that its rules name and that page, told or not
	Pages          []Page     `json:"pages"`           // by notifier; none once it is resolved
	Alerts         []Alert    `json:"alerts"`          // worst first; what came again later is of another incident
	Deliveries     []Delivery `json:"deliveries"`      // by notifier
	Timeline       []Entry    `json:"timeline"`        // oldest first, the newest 500
}

// Subject is what an incident or event is about.
type Subject struct {
	Kind string `json:"kind"` // flow, account, phone, template, entity, payment or bridge
	ID   string `json:"id"`   // of an account its WABA id
	Name string `json:"name"` // for people, or ""
}

// Alert is one threshold or status of one signal.
type Alert struct {
	Event     string     `json:"event"`
	Signal    string     `json:"signal"`
	Threshold *float64   `json:"threshold"` // percent, or milliseconds for latency
	Status    *string    `json:"status"`    // of a signal without thresholds: THROTTLED, BLOCKED, DISABLE
	Severity  string     `json:"severity"`
	Active    bool       `json:"active"`
	Since     *time.Time `json:"since"`           // when it last became active, by Meta's clock
	Until     *time.Time `json:"until"`           // when it last became inactive; null while it is active
	Value     *float64   `json:"value"`           // as last reported, in the unit of the threshold
	HeldUntil *time.Time `json:"held_until"`      // while its recovery is held back
	Routes    []string   `json:"routes"`          // notifiers that the rules named when it became active
	OpenedBy  *int64     `json:"opened_by_event"` // journal positions: the ACTIVATED,
	ClosedBy  *int64     `json:"closed_by_event"` // and what ended it
}

// Counts says whether the alert keeps its incident open: Meta reports it, or its recovery is held back.
func (a *Alert) Counts() bool { return a.Active || a.HeldUntil != nil }

// Link is what a service calls an incident.
type Link struct {
	Notifier string `json:"notifier"`
	ID       string `json:"id"`     // the service's own: "PT4KHLK"
	Number   int64  `json:"number"` // as people say it there, or 0
	URL      string `json:"url"`    // or ""
}

// Page is how an incident stands with a notifier that pages.
type Page struct {
	Notifier string `json:"notifier"`
	// paged, failed, waiting, acknowledged (which took it back), silenced or ended (by the service)
	State string     `json:"state"`
	At    *time.Time `json:"at"`    // when it was paged, or is due; null: it would have been at once
	By    string     `json:"by"`    // who had it paged by hand, or ""
	Again bool       `json:"again"` // a second page: it got worse after it was acknowledged
	// UnlessAcknowledged says of one that waits that an acknowledgement takes it back.
	UnlessAcknowledged bool   `json:"unless_acknowledged"`
	Number             int64  `json:"number"` // as people say it in the service, or 0
	URL                string `json:"url"`    // or ""
	Text               string `json:"text"`   // all that in a sentence, for people
}

// Silenced is the silence that an incident is under.
type Silenced struct {
	Silence string     `json:"silence"` // id
	Until   *time.Time `json:"until"`   // null: until recovery
	By      string     `json:"by"`      // a person, or ""
	Why     string     `json:"why"`     // or ""
}

// Delivery is one incident or notice owed to one notifier.
type Delivery struct {
	ID        int64      `json:"id"`
	Incident  *int64     `json:"incident"` // number; null for a notice
	Notice    *int64     `json:"notice"`   // journal position of the event; null for an incident
	Notifier  string     `json:"notifier"`
	Kind      string     `json:"kind"`       // slack, pagerduty or webhook
	State     string     `json:"state"`      // waiting, delivered, parked or cancelled
	Attempts  int        `json:"attempts"`   // since the last one that succeeded
	LastError string     `json:"last_error"` // one line, or ""
	NextAt    *time.Time `json:"next_at"`    // while waiting; of one that is parked, when it is tried again by itself
	UpdatedAt *time.Time `json:"updated_at"`
	Receipt   Receipt    `json:"receipt"` // null where nothing was made
}

// ListedDelivery is a delivery with what it is about, which is empty where its incident or notice is not kept any more.
type ListedDelivery struct {
	Delivery
	WABA        string  `json:"waba_id"`
	AccountName string  `json:"account_name"` // "" if it has no name
	Flow        string  `json:"flow_id"`
	FlowName    string  `json:"flow_name"` // "" if it has no name
	Event       string  `json:"event"`
	Subject     Subject `json:"subject"`
}

// Receipt is what the service calls what was made there: link, a URL or "", and what else the kind keeps, as that
// writes it. Of channel, ts (of Slack) and dedup_key (of PagerDuty) those that the kind does not have are "".
type Receipt map[string]any

// Link returns the URL of what was made, "" where there is none.
func (r Receipt) Link() string {
	link, _ := r["link"].(string)
	return link
}

// Entry is a line of a timeline.
type Entry struct {
	At   *time.Time `json:"at"`   // when it happened, by the clock of who said it
	Kind string     `json:"kind"` // opened, acknowledged, resolved, ...: see router.EntryKind
	Text string     `json:"text"` // plain text that may hold what Meta wrote: escape it
}

// Event is an event of the journal. Meta's value stays behind: a filled form is somebody's personal data.
type Event struct {
	Seq         int64      `json:"seq"`         // its position in the journal, from 1
	At          *time.Time `json:"at"`          // when it happened, by Meta's clock
	ReceivedAt  *time.Time `json:"received_at"` // by ours
	Source      string     `json:"source"`      // meta, console, slack, pagerduty or flowbridge
	WABA        string     `json:"waba_id"`
	AccountName string     `json:"account_name"` // "" if it has no name
	Flow        string     `json:"flow_id"`
	FlowName    string     `json:"flow_name"` // "" if the rules file names it not
	Event       string     `json:"event"`
	Signal      string     `json:"signal"`      // unlike event where several signals share one
	Subject     Subject    `json:"subject"`     // what it is about
	Change      string     `json:"change"`      // Meta's word for what happened to another subject than a flow, or ""
	Threshold   *float64   `json:"threshold"`   // percent, or milliseconds for latency
	AlertState  string     `json:"alert_state"` // ACTIVATED, DEACTIVATED or ""
	OldStatus   string     `json:"old_status"`
	NewStatus   string     `json:"new_status"`
	State       string     `json:"state"`   // waiting, folded, unreadable or failed
	Outcome     string     `json:"outcome"` // what came of it, for people
	// PairsWith has the positions of the other half: of an ACTIVATED what ended it, of a recovery what it ended.
	PairsWith  []int64 `json:"pairs_with"`
	Unreadable string  `json:"unreadable"`     // why it could not be read
	Raw        string  `json:"raw,omitempty"`  // of an unreadable one: the post, cut after maxRaw bytes
	Size       int     `json:"size,omitempty"` // of an unreadable one: bytes of the whole post
	Reduced    string  `json:"reduced"`        // why what it said is kept no longer, or only in part; "" while it is
}

// EventDetail is one event with all that rules can ask of it. The answers of a filled form stay behind here too.
type EventDetail struct {
	Event
	Field    string              `json:"field"`         // of the account, as Meta names it
	Facts    []router.Fact       `json:"facts"`         // what Meta said beside all that, for people
	Said     string              `json:"said_severity"` // how bad Meta itself calls it, or ""
	Expires  *time.Time          `json:"expires_at"`    // when it ends by itself, by Meta's word
	Message  string              `json:"message"`       // Meta's sentence
	Warning  string              `json:"warning"`
	Value    *float64            `json:"value"`    // as measured, in the unit of the threshold
	P50      *float64            `json:"p50"`      // milliseconds
	Requests *float64            `json:"requests"` // in the window
	Errors   []router.ErrorCount `json:"errors"`
	Body     json.RawMessage     `json:"body"` // as Meta wrote it, or null
	Act      *router.Act         `json:"act"`  // what a person did, or null
}

// RetryRequest names deliveries that a person wants tried again. What is left out does not narrow.
type RetryRequest struct {
	Notifier string `json:"notifier,omitempty"`
	State    string `json:"state,omitempty"` // parked, or waiting for what failed and waits. Default: parked
	Query    string `json:"q,omitempty"`     // part of the last error
	By       string `json:"by,omitempty"`
}

// Retried says how many deliveries are tried again.
type Retried struct {
	Retried int `json:"retried"`
}

// Acted answers who acknowledged, resolved, ... an incident, or asked for a delivery to be tried again.
type Acted struct {
	Incident int64 `json:"incident,omitempty"` // number; of an act on an incident
	Delivery int64 `json:"delivery,omitempty"` // id; of a retry
	Queued   bool  `json:"queued"`             // it is stored and will happen; false: it was so already
	Result
}

// Result says what came of what a person wants. Both are empty for what was so already.
type Result struct {
	Outcome string `json:"outcome,omitempty"` // for people, once it is folded
	Note    string `json:"note,omitempty"`    // for people: what does not show yet
}

// Silence is a silence as the API shows it.
type Silence struct {
	ID             string            `json:"id"`
	State          string            `json:"state"` // active, planned (it begins later) or ended
	WABA           string            `json:"waba_id"`
	AccountName    string            `json:"account_name"` // "" if it has no name
	Flow           string            `json:"flow_id"`
	FlowName       string            `json:"flow_name"` // "" if the rules file names it not
	Event          string            `json:"event"`
	Labels         map[string]string `json:"labels"`
	Everything     bool              `json:"everything"`      // nothing narrows it
	Since          *time.Time        `json:"since"`           // when it begins or began
	Until          *time.Time        `json:"until"`           // null: until recovery
	UntilRecovered bool              `json:"until_recovered"` // it ends by itself once nothing that it covers is wrong
	EndedAt        *time.Time        `json:"ended_at"`        // null while it holds
	By             string            `json:"by"`
	Why            string            `json:"why"`
	// numbers of unresolved incidents with an alert that it covers; none before it begins and once it has ended
	Covers []int64 `json:"covers"`
}

// SilenceRequest is what a person asks for. What is set of waba, flow, event, team and labels must all fit.
type SilenceRequest struct {
	WABA       string            `json:"waba,omitempty"`
	Flow       string            `json:"flow,omitempty"` // id, or the name that the rules give it
	Event      string            `json:"event,omitempty"`
	Team       string            `json:"team,omitempty"` // short for labels: {team: ...}
	Labels     map[string]string `json:"labels,omitempty"`
	Everything bool              `json:"everything,omitempty"` // must be said where nothing narrows the silence
	For        string            `json:"for,omitempty"`        // "30m", "4h", "2d"
	Until      string            `json:"until,omitempty"`      // RFC 3339, or "recovered"
	Start      string            `json:"start,omitempty"`      // RFC 3339, or how long from now: "2h". Default: at once
	By         string            `json:"by,omitempty"`
	Why        string            `json:"why,omitempty"`
}

// SilenceAdded is the answer to POST /api/v1/silences.
type SilenceAdded struct {
	Silence Silence `json:"silence"`
	Covers  []int64 `json:"covers"` // numbers of unresolved incidents with an alert that it covers: none may be a slip
	Queued  bool    `json:"queued"`
	Result
}

// SilenceEnded is the answer to DELETE /api/v1/silences/{id}.
type SilenceEnded struct {
	Silence string `json:"silence"` // id
	Queued  bool   `json:"queued"`  // false: it was over already
	Result
}

// AuditEntry is one thing that somebody did.
type AuditEntry struct {
	ID  int64      `json:"id"`
	At  *time.Time `json:"at"`
	Who string     `json:"who"`
	// Verified is how it is known that they may: admin token, view token, proxy header, Slack signature, Slack socket,
	// PagerDuty signature or none.
	Verified string `json:"verified"`
	From     string `json:"from"` // address, or service
	What     string `json:"what"`
	Result   string `json:"result"`
	Event    *int64 `json:"event"` // journal position; null for what does not go through the journal
}

// Forgotten says what was held of a person, and which messages services still have.
type Forgotten struct {
	Forgotten router.ForgottenCount `json:"forgotten"` // rows that were blanked, by where they are
	Told      []Told                `json:"told"`      // messages that were sent: flowbridge does not touch them
}

// Told is a message that a service has.
type Told struct {
	Notifier string `json:"notifier"`
	Kind     string `json:"kind"`
	Incident *int64 `json:"incident"` // number; null for a notice
	Notice   *int64 `json:"notice"`   // journal position of the event; null for an incident
	Link     string `json:"link"`     // or ""
}
