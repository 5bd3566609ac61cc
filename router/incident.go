package router

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Level is a rung of a signal's ladder: a threshold in its shortest decimal form ("5", "7000"), the
// status of a flow ("THROTTLED"), or "" where Meta named none.
type Level string

// ThresholdLevel returns the level of a threshold; nil is the level without a name.
func ThresholdLevel(t *float64) Level {
	if t == nil {
		return ""
	}
	return Level(strconv.FormatFloat(*t, 'f', -1, 64))
}

// Threshold returns the number of a numeric level.
func (l Level) Threshold() (t float64, ok bool) {
	t, err := strconv.ParseFloat(string(l), 64)
	return t, err == nil
}

// IsWord says whether the level is a word of Meta's and no threshold: "BLOCKED".
func (l Level) IsWord() bool {
	_, number := l.Threshold()
	return l != "" && !number
}

// FlowID names a flow within its account; everything the fold knows is kept by flow. For another subject Flow is its
// Subject.Key.
type FlowID struct{ WABA, Flow string }

// Compare orders ids by account, and then by flow.
func (id FlowID) Compare(other FlowID) int {
	return cmp.Or(cmp.Compare(id.WABA, other.WABA), cmp.Compare(id.Flow, other.Flow))
}

// OnlyFlow returns the id of a flow, of what may be the key of another subject: then "".
func OnlyFlow(flow string) string {
	if strings.Contains(flow, ":") {
		return ""
	}
	return flow
}

// Alert is one level of one signal of one flow, active or not: an ACTIVATED/DEACTIVATED pair. Its
// identity is (FlowID, Event, Level). An inactive alert is kept, so that a late event is known as late.
type Alert struct {
	Event string // key of the signal: Event.SignalKey; EventOf it is the event's name, as rules know it
	Level Level

	Active   bool
	Raised   time.Time // time of the newest event that made or kept it active: an older one is late
	Cleared  time.Time // time of the newest event that cleared this level and all that are worse
	Since    time.Time // when it last became active, by Meta's clock
	Until    time.Time // when it last became inactive; zero while it is active
	OpenedBy int64     // journal position of the ACTIVATED that made it active
	ClosedBy int64     // journal position of what cleared it; 0 while it is active
	Heard    time.Time // when what made it active reached us, by our clock: nobody can have acknowledged it before
	Severity Severity  // decided when it became active

	Unheard time.Time // when it was said that nothing is heard of it any more, since it last became active

	// Facts are what Meta said of it when it was last reported as active, and Expires when it ends by itself: see
	// Event.
	Facts   []Fact
	Expires time.Time

	// Countdown is of the alert without a level of a signal that counts down, while it is active; else nil. It is
	// replaced, never changed.
	Countdown *Countdown

	Reading          // as last reported
	Before  *float64 // Reading.Value of the report before that

	Incident int64        // number of the incident it belongs or last belonged to; 0 for none
	Key      string       // that incident's key
	Routes   []AlertRoute // whom it was routed to when it became active, sorted by notifier: pinned

	// Hold is how long its recovery is held back, pinned like Routes. HeldUntil is not zero while Meta says
	// that it is over and the hold is not: it counts as active until then.
	Hold      time.Duration
	HeldUntil time.Time
}

// Counts says whether the alert keeps its incident open: Meta reports it, or its recovery is held back.
func (a *Alert) Counts() bool { return a.Active || !a.HeldUntil.IsZero() }

// Reported returns when it was last reported, as active or as over.
func (a *Alert) Reported() time.Time { return later(a.Raised, a.Until) }

// LastReport returns the alert of a signal with the newest report, among those that want takes; nil for none.
func LastReport(alerts []Alert, event string, want func(*Alert) bool) (last *Alert) {
	for i := range alerts {
		a := &alerts[i]
		if a.Event == event && want(a) && (last == nil || a.Reported().After(last.Reported())) {
			last = a
		}
	}
	return last
}

// AlertRoute is how an alert reaches a notifier.
type AlertRoute struct {
	Notifier           string        `json:"notifier"`        // of several names for one target, that of the incident
	Due                time.Time     `json:"due,omitzero"`    // it is not newly told before; zero: at once
	After              time.Duration `json:"after,omitempty"` // of a step of a Countdown: Due is so long after it begins
	UnlessAcknowledged bool          `json:"unless_acknowledged,omitempty"`
	Mention            []string      `json:"mention,omitempty"` // whom it calls by name: see Route
	Remind             time.Duration `json:"remind,omitempty"`  // see Route
}

// route returns how the alert reaches a notifier, or nil.
func (a *Alert) route(notifier string) *AlertRoute {
	for i := range a.Routes {
		if a.Routes[i].Notifier == notifier {
			return &a.Routes[i]
		}
	}
	return nil
}

// IncidentState is open, acknowledged or resolved.
type IncidentState string

// The states of an incident.
const (
	IncidentOpen         IncidentState = "open"
	IncidentAcknowledged IncidentState = "acknowledged"
	IncidentResolved     IncidentState = "resolved"
)

// GroupBy says which alerts of a flow make one incident.
type GroupBy string

// The ways to group. The zero value is GroupBySignal.
const (
	GroupBySignal    GroupBy = ""          // one incident per flow and event: the ladder 5 -> 10 -> 50 % is one
	GroupByThreshold GroupBy = "threshold" // each pair its own incident
	GroupByFlow      GroupBy = "flow"      // all signals of a flow together
)

// Key returns the key of the incident that e belongs to. It depends on e alone, so that an incident in
// PagerDuty can be closed even when our database is lost. It is at most 245 characters: PagerDuty's limit is 255.
func (g GroupBy) Key(e *Event) string {
	if signalOf(e.SignalKey()).Counts { // it is open for weeks, and trouble that joined it would not end before it
		g = GroupBySignal
	}
	parts := []string{"flowbridge", url.PathEscape(e.WABA), url.PathEscape(e.FlowID().Flow)}
	if g != GroupByFlow {
		parts = append(parts, url.PathEscape(e.SignalKey()))
	}
	if g == GroupByThreshold || g == GroupBySignal && signalOf(e.SignalKey()).OwnIncident {
		parts = append(parts, url.PathEscape(string(e.Level())))
	}
	key := strings.Join(parts, "/")
	if len(key) > 245 {
		sum := sha256.Sum256([]byte(key))
		key = key[:170] + "/" + hex.EncodeToString(sum[:])
	}
	return key
}

// Incident is the alerts that belong together.
type Incident struct {
	Number   int64 // from 1; people say INC-42
	Key      string
	WABA     string
	Flow     string // id of the flow, or Subject.Key
	Event    string // key of the signal that opened it; EventOf it is the event's name, as rules know it
	FlowInfo        // as the flow was named at the newest event that had a name for it

	Subject Subject // zero for a flow
	Change  string  // Event.Change of its worst alert; "" of a flow
	Facts   []Fact  // what Meta said of that, and of what else is active where no level is worse than another

	State    IncidentState
	Severity Severity // highest among its active alerts; once resolved, the peak
	Peak     Severity
	Path     []Level // levels that became active, in order, without repeats: 5 -> 10 -> 50

	Rule string // the first rule that matched the event that opened it
	// RulesVersion is the digest of the rules that were in force then; "" where that is not known.
	RulesVersion string

	Title    string // from the rule's template; "" means the built-in one
	Text     string
	Fields   []Field
	Events   int64 // events of Meta's that concerned it
	Revision int64 // from 1, up with every change

	OpenedAt       time.Time
	Since          time.Time // when it opened last, or was opened again, by our clock: no act before that is about it
	ResolvedAt     time.Time // zero until resolved
	AcknowledgedAt time.Time // zero unless acknowledged; see Acknowledges
	AcknowledgedBy string
	// AcknowledgedEvent is the journal position of the acknowledgement: it tells what came at the same moment.
	AcknowledgedEvent int64
	AcknowledgedIn    Page   // through which it was acknowledged; the zero Page if it was not in a service that pages
	ResolvedBy        string // a person, or "" when Meta reported the recovery
	Owner             string // who has it, as PagerDuty says; "" where nobody does
	Links             []Link // what services call it, sorted by notifier
	Acts              ActTimes
	// Reopened is the page that a person opened again in its service after it was over; the zero Page for none.
	Reopened Page
	// First says that nobody was told of an incident with its key before, as far as we know. A service that pages may
	// hold what was opened there before our database was lost: at the end it is asked to close that as well.
	First bool
	// ByItself says in a sentence what a service that pages did by itself and no person has answered yet; "" for
	// nothing.
	ByItself string

	Flaps      int64    // how often it came back while its recovery was held back
	Silence    Silence  // that its worst alert is under; the zero Silence for none
	Pageable   []string // notifiers that its rules name and that page, whether or not they are told yet
	PageOnRise bool     // when it gets worse while it is acknowledged, those who page are told anew
	// NoteAutoResolve says that a page which its service ended by itself, while Meta still reports the trouble, is only
	// noted; else it pages once more.
	NoteAutoResolve bool
	// AcknowledgedFor is how long an acknowledgement lasts that nobody follows up; 0 is for good.
	AcknowledgedFor time.Duration
	Watch           []Watch   // who is told, sorted by notifier
	Entries         int64     // length of the timeline
	Wake            time.Time // when a timer of it is due next; zero for none
}

// ActTimes are the times of the newest acts of people on an incident, by kind: an older act of the kind that arrives
// later changes nothing. They are by the clock of who said it: PagerDuty's, Slack's, or ours.
type ActTimes struct {
	Acknowledgement time.Time `json:"acknowledgement,omitzero"` // it was acknowledged, or that was taken back
	// AcknowledgementIn is the page through which that was done; the zero Page if it was not in a service that pages.
	AcknowledgementIn Page      `json:"acknowledgement_in,omitzero"`
	Resolution        time.Time `json:"resolution,omitzero"` // it was resolved by hand, or that was taken back
	Owner             time.Time `json:"owner,omitzero"`      // it was given to somebody
	// FollowUp is when somebody who has it was last heard of: it was given to somebody, or a note was written.
	FollowUp time.Time `json:"follow_up,omitzero"`
	// Ended is when a service last ended a page by itself while the incident was resolved by hand: where that was taken
	// back there before, and is heard of later, the page is over all the same.
	Ended time.Time `json:"ended,omitzero"`
}

// Acknowledges says whether the acknowledgement of the incident covers an alert: what had reached us by then, and
// nothing later. Meta's clock does not count here, since it may be minutes behind what people could see.
func (i *Incident) Acknowledges(a *Alert) bool {
	if a.Heard.Equal(i.AcknowledgedAt) {
		return a.OpenedBy <= i.AcknowledgedEvent
	}
	return a.Heard.Before(i.AcknowledgedAt)
}

// AcknowledgesPage says whether the acknowledgement covers a page. One that a person wanted made after it is news to
// those who are paged.
func (i *Incident) AcknowledgesPage(w *Watch) bool {
	return !w.Open || !w.Paged || w.Since.Before(i.AcknowledgedAt)
}

// hasPaged says whether a page of it was ever opened.
func (i *Incident) hasPaged() bool {
	return slices.ContainsFunc(
		i.Watch,
		func(w Watch) bool { return w.Opening > 0 && slices.Contains(i.Pageable, w.Notifier) },
	)
}

// EventName is the name of the event that opened it, as rules know it.
func (i *Incident) EventName() string { return EventOf(i.Event) }

// Name returns the number as people say it: INC-42.
func (i *Incident) Name() string { return IncidentName(i.Number) }

// What says in a line what it is about: the rule's title, or the subject, the signal and what that came to. A level
// that a flow has left meanwhile is not said to hold.
func (i *Incident) What() string {
	s := signalOf(i.Event)
	switch {
	case i.Title != "":
		return i.Title
	case i.Change != "":
		return Claim(i.About(), i.Event, Level(i.Change))
	case len(i.Path) == 0:
		return Topic(i.About(), i.Event)
	case s.Moves() || s.Counts:
		return Claim(i.About(), i.Event, i.Path[len(i.Path)-1])
	}
	return Topic(i.About(), i.Event) + " " + Reached(i.Event, i.Path[len(i.Path)-1], nil)
}

// IncidentName returns the number n as people say it.
func IncidentName(n int64) string { return fmt.Sprintf("INC-%d", n) }

// Page names what a service that pages made of an incident.
type Page struct {
	Notifier string `json:"notifier,omitempty"`
	Key      string `json:"key,omitempty"` // what the service finds it by; "" where the notifier has one page
}

// Is says whether it is the page of a notifier with a key.
func (p Page) Is(notifier, key string) bool {
	return p.Notifier != "" && p.Notifier == notifier && (p.Key == "" || p.Key == key)
}

// Watch is how an incident stands with one notifier.
type Watch struct {
	Notifier string   `json:"notifier"`
	Open     bool     `json:"open"`               // it is told that the incident is open
	Severity Severity `json:"severity"`           // highest of the active alerts that route to it, kept when it closes
	Paged    bool     `json:"paged,omitempty"`    // a person wants it told at once, whatever it waits for
	PagedBy  string   `json:"paged_by,omitempty"` // who that is
	// PagedAt is the journal position that caused this extra page, a rise in severity while somebody had acknowledged
	// the incident; 0 for the first page, and for a card.
	PagedAt int64 `json:"rise,omitempty"`
	// Target identifies where it is told (Target.ID): under whatever names the rules know a target, it is told once.
	// "" is of incidents from before this was kept.
	Target string `json:"target,omitempty"`
	// Opening counts how often it has opened. Who acknowledged one opening is paged for the next, even if the service
	// never heard of the end between them.
	Opening int64     `json:"opening,omitempty"`
	Since   time.Time `json:"since,omitzero"` // when it opened last, by our clock
	// Dismissed is not unset while the service has ended the page by itself: it is told again of what is worse.
	Dismissed Severity `json:"dismissed,omitempty"`
	// Repaged says that a page which the service ended by itself was sent once more: the next time it is only noted.
	Repaged bool `json:"repaged,omitempty"`
	// Held says that the service acknowledged it by itself: it notifies nobody of a rise, which opens a page anew.
	Held bool `json:"held,omitempty"`
	// Reminders counts how often it was told again in this opening that nobody has the incident, and Reminded is when
	// it was last, or when nobody had it any more.
	Reminders int64     `json:"reminders,omitempty"`
	Reminded  time.Time `json:"reminded,omitzero"`
}

// FlowInfo is what the rules file says of a flow and of the account that it is in, or of the account alone where an
// event is about no flow. Names that it does not give may be Meta's.
type FlowInfo struct {
	FlowName    string `json:"flow_name,omitempty"`    // "" means unknown: show the id
	AccountName string `json:"account_name,omitempty"` // "" means unknown: show the WABA id
	// of a phone number that has an id alone; "" means unknown
	NumberName string            `json:"number_name,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`  // team, and any other; a flow has its account's as well
	Runbook    string            `json:"runbook,omitempty"` // URL
}

// Field is a fact that a rule wants shown, by its name in Meta's value.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Entry is one line of an incident's timeline.
type Entry struct {
	Incident int64
	N        int64     // from 1 within the incident
	At       time.Time // when it happened, by the clock of who said it
	Recorded time.Time // when we folded it
	Kind     EntryKind
	Text     string // one sentence for people, plain text; it may hold what Meta wrote: escape it
	Event    int64  // journal position of the event behind it
}

// EntryKind is what an Entry tells.
type EntryKind string

// The kinds of entries.
const (
	EntryOpened         EntryKind = "opened"
	EntryEscalated      EntryKind = "escalated"  // the severity rose
	EntryActivated      EntryKind = "activated"  // another alert became active, no worse than what was
	EntryRefreshed      EntryKind = "refreshed"  // new numbers, nothing else: not written any more, see AlertReading
	EntryEased          EntryKind = "eased"      // some alert became inactive, others are still active
	EntryRecovering     EntryKind = "recovering" // Meta reports a recovery, which is held back
	EntryFlapped        EntryKind = "flapped"    // it came back while its recovery was held back
	EntryReopened       EntryKind = "reopened"   // it got worse after a person had resolved it, or that was taken back
	EntryTold           EntryKind = "told"       // a notifier is told now that had to wait
	EntryResolved       EntryKind = "resolved"
	EntryRecovered      EntryKind = "recovered" // Meta reports the recovery of what a person had resolved
	EntryLate           EntryKind = "late"      // an event older than what was known: nothing changed
	EntryAcknowledged   EntryKind = "acknowledged"
	EntryUnacknowledged EntryKind = "unacknowledged"
	EntryReminded       EntryKind = "reminded" // nobody has it: said again to those who want that
	EntryPaged          EntryKind = "paged"    // a person wanted somebody paged at once
	EntrySilenced       EntryKind = "silenced" // a silence covers it from now on, or none does any more
	EntryAssigned       EntryKind = "assigned"
	EntryNote           EntryKind = "note"
	EntryLinked         EntryKind = "linked"      // a service's name for the incident became known
	EntryUndelivered    EntryKind = "undelivered" // a notifier could not be told
	EntryByItself       EntryKind = "automatic"   // a service that pages did something by itself
	EntryUnheard        EntryKind = "unheard"     // nothing was heard of an alert for long
)
