package router

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// What a store or queue may say. Callers decide on these; every other error is a fault of storage.
var (
	ErrBusy     = errors.New("the queue is full")   // try again soon; nothing was stored
	ErrNotFound = errors.New("not found")           // no such incident or delivery
	ErrConflict = errors.New("not possible now")    // wrapped with the reason
	ErrClosed   = errors.New("the store is closed") // shutting down; nothing was stored

	// ErrUnavailable says that storage as a whole is at fault, whatever was to be stored: it is away, full, read-only,
	// locked by somebody else, or its tables are not ours. ErrValues says that what was to be stored, or was read, is
	// at fault: anything else may succeed. Errors that wrap neither may be either.
	ErrUnavailable = errors.New("storage is not available")
	ErrValues      = errors.New("it cannot be stored as it is")
)

// State is everything the fold knows of one flow.
type State struct {
	FlowID
	Alerts    []Alert    // active or not, sorted by (Event, Level)
	Incidents []Incident // those not resolved, and those that an alert belongs to or last belonged to; sorted by Number
}

// Batch is what folding some events came to. It is committed whole or not at all.
type Batch struct {
	Outcomes  []Outcome
	Alerts    []FlowAlert    // insert or replace by (FlowID, Event, Level)
	Incidents []Incident     // insert or replace by Number
	Entries   []Entry        // appended
	Readings  []AlertReading // insert or replace by (FlowID, Event, Level, Slot), unless what is there is newer
	Notices   []Notice       // inserted by Event
	Silences  []Silence      // insert or replace by ID
	Wake      bool           // every timer is due at once: what people wish to be told of has changed
	Owed      []Owed         // in the order in which deliveries are made; each delivery once
	// AlreadyThere are deliveries of which the change came from their service: it is recorded, and not sent. They
	// remember it, so that no attempt that is under way or still waits undoes it, and are not tried because of it. They
	// come after Owed, each delivery once. Overtaken are those of which something newer is in Owed: they come before
	// it.
	AlreadyThere []Owed
	Overtaken    []Owed
	Events       []Event // appended to the journal; a repeat by digest is dropped
	Audit        []AuditEntry
	Hits         []RuleHits // added to what is there, by (Day, Rule)
	// Postponed are flows whose timers cannot be run: those that are due by PostponedUntil are due then.
	Postponed      []FlowID
	PostponedUntil time.Time
}

// Outcome says what came of an event, in one line for people.
type Outcome struct {
	Seq    int64
	Text   string
	Failed bool // it could not be folded: it is set aside
	// Kept takes the place of the event in the journal, with the same digest; nil leaves it as it came.
	Kept *Event
	// People are the telephone numbers and ids by which something that is kept of the event, or was made of it, can be
	// found when a person is to be forgotten. They are not stored as they are.
	People []string
}

// FlowAlert is an alert with the flow it is about.
type FlowAlert struct {
	FlowID
	Alert
}

// Owed says that a notifier is owed the newest state of an incident, of a second page about it, or of a notice. Its
// delivery is found by (Incident, Event(), Target.Notifier) or made; either way it then waits with a higher revision.
type Owed struct {
	Incident int64  // number; 0 for a notice
	PagedAt  int64  // Watch.PagedAt of a second page about the incident; 0 for the first, for a card, and for a notice
	Notice   int64  // journal position of a notice; 0 for an incident
	Key      string // the incident's key: deliveries of one notifier and key go one after another
	Target   Target // used when the delivery is made; an existing delivery keeps what is pinned to it
	Open     bool
	Opening  int64 // see Watch.Opening; 0 of what is AlreadyThere where it is the one that the service was told of
	Severity Severity
	// Unheard says of an end that a service which pages need not hear of it, if it has not heard of the beginning: nobody
	// is paged for what was over before. Else an incident may be left there under its key: see Incident.First.
	Unheard bool
	// Cosmetic says that nothing of it opened, ended or changed but its numbers, or what else is named beside it: see
	// CosmeticEvery.
	Cosmetic bool
	// Reopened says that the service has it open by itself, whatever it was told last: as the opening before, where
	// Open. With Ended that is since when: an end that it was told of since then stands.
	Reopened bool
	// Ended, if not zero, is when the service ended it by itself: whatever it was told since has opened it anew.
	Ended time.Time
	// Of what is AlreadyThere: the service holds it as acknowledged, and when it said so.
	Acknowledged bool
	At           time.Time
	// Of what is AlreadyThere: the service may hold more of before our database was lost. It is told of the end all the
	// same.
	Left bool
}

// Event returns the journal position that is part of what the delivery is found by; 0 for the first page or card of an
// incident.
func (o *Owed) Event() int64 { return cmp.Or(o.Notice, o.PagedAt) }

// Counting is an alert that keeps an incident open which is not resolved, as far as silences look at it.
type Counting struct {
	FlowID
	Event  string
	Labels map[string]string
}

// Result is how an attempt at a delivery ended.
type Result struct {
	Delivery int64
	Revision int64   // of the Notification that was tried
	Claim    string  // of the Notification
	Receipt  Receipt // to keep for the next attempt
	// State is DeliveryDelivered (if a newer revision is owed by now the delivery waits again),
	// DeliveryCancelled (the same, for what had nothing to tell), DeliveryWaiting (tried again at NextAt)
	// or DeliveryParked (if a newer revision is owed by now that is tried instead, and Event is left out).
	State  DeliveryState
	Error  string    // in words for people, without secrets; "" on success
	NextAt time.Time // of DeliveryWaiting; of DeliveryParked when it is tried again by itself, zero for never
	// Interrupted says that the attempt is not counted: our own shutdown cut it short, or the service named
	// the time to come back. State is DeliveryWaiting then.
	Interrupted bool
	// Rest, if not zero, says that the failure speaks of the service rather than of the delivery: if the notifier
	// keeps failing, nothing is tried there before.
	Rest time.Time
	// Digest are the incidents of a digest that was tried: State and Receipt are for each of them. Those that are
	// told of as open keep waiting for a card, as ClassDigested. An unsettled one that is DeliveryCancelled was not
	// there: its incidents are due, each as it is by now.
	Digest *Digest
	// Event, if not nil, is appended to the journal in the same transaction. A repeat by digest is dropped, unless the
	// delivery was told, or retried by a person, since: then it is news again.
	Event *Event
	// Attempt, if not nil, is kept with it, without Delivery and N. Of a digest it is kept for each of its deliveries.
	Attempt *Attempt
}

// IncidentDetail is an incident with all that people may ask of it.
type IncidentDetail struct {
	Incident
	Alerts     []Alert    // worst first
	Deliveries []Delivery // by notifier
	Timeline   []Entry    // oldest first; the newest 500
}

// SilenceScope is what a silence of the incident covers: its signal of its flow, or all of them where it holds several.
func (d *IncidentDetail) SilenceScope() Scope {
	s := Scope{WABA: d.WABA, Flow: d.Flow, Event: d.Event}
	if slices.ContainsFunc(d.Alerts, func(a Alert) bool { return a.Event != d.Event }) {
		s.Event = ""
	}
	return s
}

// JournalEvent is an event with what came of it.
type JournalEvent struct {
	Event
	State   EventState
	Outcome string
}

// EventProgress says how far the fold has come with an event.
type EventProgress struct {
	Folded  bool
	Outcome string // of one that is folded
	// Due says that some timer is due, or within a second. What a silence changes of incidents comes by their timers,
	// after its event.
	Due bool
}

// Stats counts what is in the store.
type Stats struct {
	Events     map[EventState]int64    // all but the folded ones: counting those would be slow
	Incidents  map[IncidentState]int64 // open and acknowledged only
	Deliveries map[DeliveryState]int64 // waiting and parked only
	OldestWait time.Time               // when the oldest waiting event was received; zero if none waits
}

// Progress is where the fold and the deliveries stand: what is there for long with something to do does not get on.
type Progress struct {
	Folds bool // this process has the right to fold
	// journal position of the oldest event that waits to be folded, less than 0 where it has none yet; 0 for none
	Head int64
	// Lanes are the attempts that were ever begun at each notifier that has something due now: neither its circuit
	// breaker, nor a budget, nor a back-off holds that back.
	Lanes map[string]int64
}
