package router

import (
	"cmp"
	"encoding/json"
	"time"
)

// Event is one thing that Meta, a person or flowbridge itself said: for Meta, one change of one entry
// of one post. It is written to the journal before anything else happens and never changes after.
type Event struct {
	Seq      int64     `json:"-"` // position in the journal, from 1; 0 until it is stored
	Digest   string    `json:"-"` // identity of the change: a second event with the same digest is a repeat
	Source   Source    `json:"source"`
	Received time.Time `json:"received"` // when it reached us, UTC
	At       time.Time `json:"at"`       // when it happened: Meta's entry.time, or else Received; UTC. See Fold

	WABA  string `json:"waba,omitempty"` // WhatsApp Business Account id
	Flow  string `json:"flow,omitempty"` // flow id; empty where Meta names none (a form that was filled)
	Field string `json:"field,omitempty"`
	Name  string `json:"name"` // one of the names below, or whatever Meta wrote

	// Subject is what it is about where that is no flow; zero for a flow, which Flow names. Change is Meta's own word
	// for what happened to it: "DISABLE", "PAUSED", "RED"; "" of flows. Facts are what Meta said beside that.
	Subject Subject `json:"subject,omitzero"`
	Change  string  `json:"change,omitempty"`
	Facts   []Fact  `json:"facts,omitempty"`
	// Signal is the row of the table of signals where several share an event's name: "ACCOUNT_BAN"; "" where it is
	// called like the event. See SignalKey.
	Signal string `json:"signal,omitempty"`
	// Said is how bad Meta itself calls it; SeverityUnset where it does not.
	Said Severity `json:"said_severity,omitempty"`
	// Expires is when what it reports ends by itself, by Meta's word: of a restriction. Zero: not by itself.
	Expires time.Time `json:"expires,omitzero"`

	// AlertState is Activated, Deactivated, or whatever Meta wrote. Of another subject than a flow it is derived from
	// Change, and "" of news.
	AlertState string   `json:"alert_state,omitempty"`
	OldStatus  string   `json:"old_status,omitempty"`
	NewStatus  string   `json:"new_status,omitempty"`
	Threshold  *float64 `json:"threshold,omitempty"` // percent, or milliseconds for latency
	Reading

	Message string `json:"message,omitempty"` // Meta's sentence, for people only: it may contradict the fields
	Warning string `json:"warning,omitempty"`

	// Value is the change's value as Meta wrote it, for `when`, templates and fields. For a FlowResponse
	// it is {"message_id", "name", "body", "from", "user_id", "flow_token", "response": {...}} and holds personal data.
	Value json.RawMessage `json:"value,omitempty"`
	// Reduced says why that, and the words, are kept no longer, or only in part.
	Reduced Reduced `json:"reduced,omitempty"`

	// Act is set where a person or flowbridge itself speaks, and nil for Meta's events.
	Act *Act `json:"act,omitempty"`

	// Look is set where flowbridge itself speaks of a flow, for want of a webhook.
	Look *Look `json:"look,omitempty"`

	// Unreadable says why a well-signed post could not be read; Raw then holds its body as it came.
	Unreadable string `json:"unreadable,omitempty"`
	Raw        []byte `json:"raw,omitempty"`
}

// Subject names one thing that events can be about.
type Subject struct {
	Kind SubjectKind `json:"kind"`
	// ID is Meta's id where there is one, and otherwise what Meta names it by: the digits of a phone number, a
	// template's id, the type and id of a business entity. "" for the account itself, which Event.WABA names.
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"` // for people, as Meta wrote it: "order_confirmation (en_US)", "+1 555-078-3881"
}

// Key stands in the place of a flow's id for another subject: "phone:15550783881", "template:123:en_US", "account:"; ""
// for the zero Subject. A flow's id holds digits only, so that nothing clashes.
func (s Subject) Key() string {
	if s.Kind == "" || s.Kind == SubjectFlow {
		return ""
	}
	return string(s.Kind) + ":" + s.ID
}

// FlowID is where what the fold knows of the event's subject is kept. An act on an incident has its incident's Flow.
func (e *Event) FlowID() FlowID { return FlowID{e.WABA, cmp.Or(e.Flow, e.Subject.Key())} }

// SignalKey is the name of the event's row in the table of signals, and of its alerts: Signal, or else Name.
func (e *Event) SignalKey() string { return cmp.Or(e.Signal, e.Name) }

// Fact is one thing that Meta said of an event, fit for people: dates are dates, limits are numbers.
type Fact struct {
	Name string `json:"name"` // "Reason", "Until", "What to do"
	Text string `json:"text"`
}

// Reading is what Meta measured. A nil pointer is a number that Meta did not send.
type Reading struct {
	Value    *float64     `json:"reading,omitempty"`  // error rate or availability in percent, p90 latency in ms
	P50      *float64     `json:"p50,omitempty"`      // ms
	Requests *float64     `json:"requests,omitempty"` // in the window
	Errors   []ErrorCount `json:"errors,omitempty"`
}

// ErrorCount is one kind of error in a Reading.
type ErrorCount struct {
	Type  string   `json:"type"`            // as Meta wrote it; see DescribeError
	Rate  *float64 `json:"rate,omitempty"`  // percent of all errors, truncated by Meta
	Count *float64 `json:"count,omitempty"` // errors in the window
}

// Act is what a person did, or what happened to a delivery. Its Source says where; the others hear of it, not the
// service that it came from.
type Act struct {
	Incident int64  `json:"incident"`           // number of the incident it concerns; 0 for a notice or a silence
	Actor    string `json:"actor,omitempty"`    // who, in words for people
	Notifier string `json:"notifier,omitempty"` // through which it came, if known; of ParkedDelivery: whose delivery
	// which of the notifier's pages it came through; "" where that is not known
	Key      string `json:"key,omitempty"`
	Error    string `json:"error,omitempty"`    // of ParkedDelivery: the service's own words
	About    string `json:"about,omitempty"`    // of ParkedDelivery: what could not be told, in a line
	Delivery int64  `json:"delivery,omitempty"` // of ParkedDelivery: its id, for who retries it
	// Itself says that the service acted by itself (a time-out, an automation): no person has decided anything.
	Itself bool   `json:"itself,omitempty"`
	Text   string `json:"text,omitempty"` // of Note
	// Owner is of Assign: names, in words for people; "" for nobody. Acknowledge and LinkIncident may know it too.
	Owner   string   `json:"owner,omitempty"`
	Link    *Link    `json:"link,omitempty"`    // of LinkIncident
	Silence *Silence `json:"silence,omitempty"` // of AddSilence; of EndSilence only its ID
	// Verified and From are for the audit: how it is known that the person may do this, and where it came from. ""
	// where the source says it all.
	Verified string `json:"verified,omitempty"`
	From     string `json:"from,omitempty"`
}

// Link is what a service calls an incident of ours. Several of ours can be one of theirs, after a merge.
type Link struct {
	Notifier string `json:"notifier"`
	Key      string `json:"key,omitempty"`    // which of the notifier's pages: what the service finds it by
	ID       string `json:"id"`               // the service's own: "PT4KHLK"
	Number   int64  `json:"number,omitempty"` // as people say it there
	URL      string `json:"url,omitempty"`
	// Service is the id of the service there that the page belongs to; "" where that is not known. Pages of two notifiers
	// with one key are told apart by it.
	Service string `json:"service,omitempty"`
}

// Source is who spoke.
type Source string

// The sources of events.
const (
	SourceMeta       Source = "meta"
	SourceConsole    Source = "console"    // a person, through the admin API
	SourceSlack      Source = "slack"      // a person, through a button or a slash command
	SourcePagerDuty  Source = "pagerduty"  // a person, in PagerDuty
	SourceFlowbridge Source = "flowbridge" // the bridge itself
)

// Names of events that people and the bridge itself say. Those of Meta stand beside the table of signals.
const (
	Acknowledge    = "ACKNOWLEDGE"     // a person acknowledges Act.Incident
	Resolve        = "RESOLVE"         // a person resolves Act.Incident
	Unacknowledge  = "UNACKNOWLEDGE"   // a person takes an acknowledgement back
	Reopen         = "REOPEN"          // a person takes back that it was resolved by hand
	PageNow        = "PAGE"            // a person wants those paged at once who would hear of it later or not at all
	Assign         = "ASSIGN"          // Act.Owner is who has it now
	Note           = "NOTE"            // Act.Text is for the timeline
	LinkIncident   = "LINK"            // Act.Link is what a service calls the incident
	AddSilence     = "SILENCE"         // a person adds Act.Silence
	EndSilence     = "UNSILENCE"       // a person ends the silence Act.Silence.ID
	ParkedDelivery = "DELIVERY_PARKED" // a delivery needs a person: told to the fallback notifier

	EventSetAside      = "BRIDGE_EVENT_SET_ASIDE"     // an event could not be folded: told to the fallback notifier
	EverythingSilenced = "BRIDGE_EVERYTHING_SILENCED" // a silence of everything begins: told to the fallback notifier
	TestMessage        = "BRIDGE_TEST"                // a person tries a notifier: told to Act.Notifier and nobody else
)

// Values of alert_state.
const (
	Activated   = "ACTIVATED"
	Deactivated = "DEACTIVATED"
)

// EventState is where an event stands in the journal.
type EventState string

// The states of an event.
const (
	EventWaiting    EventState = "waiting"    // stored, not folded yet
	EventFolded     EventState = "folded"     // folded; its outcome says what came of it
	EventUnreadable EventState = "unreadable" // a well-signed post that could not be read, kept as it came
	EventFailed     EventState = "failed"     // could not be folded and was set aside; its outcome says why
)

// ForFallback says whether e is trouble of the bridge's own, which goes to the fallback notifier unless a rule names
// it.
func (e *Event) ForFallback() bool {
	return e.Source == SourceFlowbridge && IsForFallback(e.Name)
}

// IsForFallback says so of an event's name.
func IsForFallback(name string) bool {
	return signalOf(name).Subject == SubjectBridge
}

// Paired says whether e is half of an ACTIVATED/DEACTIVATED pair. Meta's four monitoring events are, and so is what the
// decoder found to be one by a word of Meta's; an unknown event that carries one of the two words is taken at its word.
func (e *Event) Paired() bool {
	s := signalOf(e.SignalKey())
	return (e.AlertState == Activated || e.AlertState == Deactivated) && (!s.ByWord() || s.Moves())
}

// Opening returns the event that e undoes: for a DEACTIVATED the ACTIVATED of the same threshold, for a word that is
// better than the one before it, such as a flow that left THROTTLED or BLOCKED, the change that put it there. ok is
// false where e undoes nothing. Rules are asked about it to learn who would have been told of what is now over. When it
// happened is not known: its At is zero.
func (e *Event) Opening() (opening Event, ok bool) {
	opening = *e
	opening.At = time.Time{}
	s := signalOf(e.SignalKey())
	switch {
	case e.Paired() && e.AlertState == Deactivated:
		opening.AlertState = Activated
		if s.ends(e.Change) && len(s.Levels) > 0 { // what it was is not known: the worst
			opening.Change, opening.Facts = s.Levels[len(s.Levels)-1].Word, nil
		}
		return opening, true
	case s.place(Level(e.OldStatus)) > s.place(Level(e.NewStatus)):
		opening.OldStatus, opening.NewStatus = "", e.OldStatus
		return opening, true
	}
	return Event{}, false
}

// Openings returns every event that e may undo: see Opening, which is the first of them. A word that ends every level
// undoes whichever was reached, and rules may tell others of each.
func (e *Event) Openings() (all []Event) {
	first, ok := e.Opening()
	if !ok {
		return nil
	}
	all = append(all, first)
	if s := signalOf(e.SignalKey()); s.Moves() && s.ends(e.Change) {
		for i := len(s.Levels) - 2; i >= 0; i-- {
			milder := first
			milder.Change = s.Levels[i].Word
			all = append(all, milder)
		}
	}
	return all
}

// Level returns the level that e speaks of: its threshold, or the word of a signal that moves by words.
func (e *Event) Level() Level {
	switch s := signalOf(e.SignalKey()); {
	case s.Moves():
		return Level(e.Change)
	case s.ByWord():
		return Level(e.NewStatus)
	}
	return ThresholdLevel(e.Threshold)
}
