package router

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// Target is where a notifier's messages go. It is pinned to a delivery, so that editing the rules file
// never strands what was opened.
type Target struct {
	Notifier   string // its name in the rules file
	Kind       Kind
	Address    string // where that is at the service, such as a channel; "" where the credential says it
	Credential Secret // what opens it, or what messages are signed with; "" where the service has one for all
}

// ID identifies the target whatever the rules call it: two names with one ID are told as one. It holds no secret, and
// nothing can be learnt from it about a credential.
func (t *Target) ID() string {
	if t.Kind == "" { // only its name is known
		return "named/" + t.Notifier
	}
	sum := sha256.Sum256([]byte(t.Address + "\x00" + t.Credential.Reveal()))
	return string(t.Kind) + "/" + hex.EncodeToString(sum[:12])
}

// Decision is what the rules say about one event.
type Decision struct {
	Version  string   // digest of the rules: see RulesVersion; "" where nobody keeps them
	Rules    []string // names of the rules that matched, in order; empty means that `default` spoke, if anybody did
	Drop     bool     // a rule asks that it be forgotten
	Severity Severity
	GroupBy  GroupBy
	Notify   []Route // who is told, sorted by Notifier, without repeats
	// Named is everybody whom the matching rules name, whatever the severity, sorted like Notify. A
	// recovery of what nobody knows closes there what a worse level may have opened.
	Named        []Target
	ResolveAfter time.Duration // a recovery is held back this long, so that a flap stays one incident
	PageOnRise   bool          // on_escalation: page
	// NoteAutoResolve is on_auto_resolve: note.
	NoteAutoResolve bool
	// AcknowledgedFor is how long an acknowledgement lasts that nobody follows up; 0 is for good.
	AcknowledgedFor time.Duration
	// AsksForChange says that a rule which matched names the event's Change: good news that closes nothing is told
	// then.
	AsksForChange bool
	Fields        []Field
	// Ends is when what the event reports ends, of a signal that counts down, and EndsBy whose word that is; zero where
	// that is not known.
	Ends   time.Time
	EndsBy EndsBy
	FlowInfo
}

// Route is how a rule tells a notifier of an alert.
type Route struct {
	Target
	After time.Duration // it is told only of what is still open this long after it began; 0 at once
	// UnlessAcknowledged says that it is not newly told while somebody has acknowledged the incident.
	UnlessAcknowledged bool
	Mention            []string // whom it calls by name when it opens and when it gets worse: see Kind.Mentions
	// Remind is how often it is told again while the incident is open and nobody has it; 0 for never.
	Remind time.Duration
}

// Rule returns the name of the first rule that matched, or "default".
func (d *Decision) Rule() string {
	if len(d.Rules) == 0 {
		return "default"
	}
	return d.Rules[0]
}

// DroppedBy returns the name of the rule that drops the event: the last that matched. Those before it continue.
func (d *Decision) DroppedBy() string {
	if len(d.Rules) == 0 {
		return d.Rule()
	}
	return d.Rules[len(d.Rules)-1]
}

// Notice is an event with no pair, told once.
type Notice struct {
	Event    int64     `json:"event"` // journal position
	At       time.Time `json:"at"`
	WABA     string    `json:"waba,omitempty"`
	Flow     string    `json:"flow,omitempty"`
	Name     string    `json:"name"`
	Signal   string    `json:"signal,omitempty"` // as of the Event, and so are the next three
	Subject  Subject   `json:"subject,omitzero"`
	Change   string    `json:"change,omitempty"`
	Facts    []Fact    `json:"facts,omitempty"`
	Severity Severity  `json:"severity"`
	Rule     string    `json:"rule"`
	Title    string    `json:"title,omitempty"` // from the rule's template; "" means the built-in one
	Text     string    `json:"text,omitempty"`
	Fields   []Field   `json:"fields,omitempty"`
	FlowInfo

	// What Meta said. For a FlowResponse these hold nothing personal: only Fields do, if the rule asks.
	AlertState string   `json:"alert_state,omitempty"`
	OldStatus  string   `json:"old_status,omitempty"`
	NewStatus  string   `json:"new_status,omitempty"`
	Threshold  *float64 `json:"threshold,omitempty"`
	Reading    `json:"reading"`
	Message    string `json:"message,omitempty"`
	Warning    string `json:"warning,omitempty"`
	Act        *Act   `json:"act,omitempty"`

	// Recovery, when set, is the key of an incident that we know nothing of and that Meta says is over.
	// A keyed service closes it, and tells nothing else; the others ignore it.
	Recovery string `json:"recovery,omitempty"`
}

// Illegible stands for the notice of an event of which what was kept cannot be read: that there was one is told all the
// same.
func Illegible(event int64, at time.Time, severity Severity) Notice {
	return Notice{Event: event, At: at, Name: "ILLEGIBLE_NOTICE", Severity: severity, Rule: "unknown",
		Title: "A notice cannot be read",
		Text:  fmt.Sprintf("What flowbridge kept of it is damaged. Event %d of the journal says what Meta sent.", event)}
}

// FlowID is that of the event.
func (n *Notice) FlowID() FlowID { return FlowID{n.WABA, cmp.Or(n.Flow, n.Subject.Key())} }

// SignalKey is that of the event.
func (n *Notice) SignalKey() string { return cmp.Or(n.Signal, n.Name) }

// Notification is all that a notifier needs to bring its service to the state it is owed. Exactly one of
// Incident, Notice and Digest is set.
type Notification struct {
	Delivery     int64     // id of the delivery, stable over attempts; of a digest: of its first incident
	Revision     int64     // what is owed: higher is newer
	Attempt      int       // from 1, counting attempts since the last one that succeeded
	FailingSince time.Time // when the first of the attempts since the last success failed; zero if none did
	Parked       bool      // it was refused, and not told since
	Refusals     int       // so far; forgotten once it was told twice in a row, or a person retried it
	Target       Target
	Receipt      Receipt // of earlier attempts; zero if nothing was made
	MayExist     bool    // an earlier attempt may have made something even if Receipt is zero
	Claim        string  // proves to the queue that the attempt is ours; another one is handed out with the next
	Class        Class
	Failures     int // deliveries to this notifier that failed in a row before this attempt

	// Key is what a keyed service knows the incident by. A second page about the same incident has one of its own.
	Key      string
	Incident *Incident
	Open     bool     // for this notifier: some active alert routes to it
	Opening  int64    // which opening that is: see Watch.Opening
	Severity Severity // for this notifier
	Alerts   []Alert  // of the incident, active or not, worst first
	Timeline []Entry  // entries after Receipt.Told, oldest first, at most MaxTimeline, the newest if there are more
	Also     []Alert  // active alerts of the same flow in other incidents
	Problems []Problem
	Related  []Related // what other notifiers made for the same incident
	Taken    []string  // keys of second pages that the next incident with its key has: see Left

	Notice *Notice
	Digest *Digest

	Link string // this incident's page for people, "" where there is none
}

// AlsoActive lists what is active on the same flow in other incidents, worst first: of each incident its worst alert.
func (n *Notification) AlsoActive() (list []Alert) {
	for i := range n.Also {
		a := &n.Also[i]
		same := func(other Alert) bool { return a.Incident != 0 && other.Incident == a.Incident }
		if !slices.ContainsFunc(list, same) {
			list = append(list, *a)
		}
	}
	return list
}

// Stale says whether a service that pages may still hold an older opening, or an acknowledgement that was taken back
// elsewhere: whatever it is told of that notifies nobody. It has to be ended there first.
func (n *Notification) Stale() bool {
	if n.Incident == nil || !n.Open {
		return false
	}
	unclear := n.Receipt.Unsure || n.MayExist && (n.Receipt == Receipt{} || n.Attempt > 1)
	older := n.Opening != n.Receipt.Opening && (n.Receipt.Open || unclear && n.Opening > 1)
	return older || n.Receipt.Open && n.Receipt.Acknowledged && n.Incident.State != IncidentAcknowledged
}

// Mentions returns whom the rules call there by name for what is active, each once.
func (n *Notification) Mentions() (names []string) {
	for i := range n.Alerts {
		if r := n.Alerts[i].route(n.Target.Notifier); r != nil && n.Alerts[i].Counts() {
			names = Union(names, r.Mention)
		}
	}
	return names
}

// Reminds says whether the rules have it told again, of something that is active, while nobody has it.
func (n *Notification) Reminds() bool {
	return slices.ContainsFunc(n.Alerts, func(a Alert) bool {
		r := a.route(n.Target.Notifier)
		return r != nil && a.Counts() && r.Remind > 0
	})
}

// Union appends what is new of more to a copy of list.
func Union(list, more []string) []string {
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(slices.Clip(list), s)
		}
	}
	return list
}

// Recovers says whether a notice closes what nobody knows of. Another notifier is only told of the same event: under
// the key of its own it must not touch what the next incident has opened meanwhile.
func (n *Notification) Recovers() bool {
	return n.Notice != nil && n.Notice.Recovery != "" && n.Key == n.Notice.Recovery
}

// Left returns the keys under which a service that pages may hold what was opened before our database was lost, and
// which end with this: see Incident.First. Those of its own second pages end by themselves, and so do those of the next
// incident with its key. Each key is a call, once for each key of ours in the life of a database.
func (n *Notification) Left() (keys []string) {
	if n.Incident == nil || !n.Target.Kind.Keyed() || !n.Incident.First || !n.Incident.PageOnRise || n.Open ||
		n.Key != n.Incident.Key {
		return nil
	}
	for _, key := range PageKeys(n.Key)[1:] {
		own := slices.ContainsFunc(n.Incident.Watch, func(w Watch) bool {
			return w.PagedAt != 0 && w.Notifier == n.Target.Notifier && n.Incident.keyFor(w) == key
		})
		if !own && !slices.Contains(n.Taken, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// MaxTimeline bounds Notification.Timeline.
const MaxTimeline = 50

// Problem is a delivery of the same incident elsewhere that needs a person, or a page that is not made yet.
type Problem struct {
	Notifier string
	Error    string
	Since    time.Time // of a page that is tried still: since when; zero for what needs a person
}

// Related is what another notifier made for the same incident.
type Related struct {
	Notifier string
	Kind     Kind
	Link     string // URL
}

// Tells says whether the service was told for certain that the incident is open, of an opening: see Watch.Opening.
func (r *Receipt) Tells(opening int64) bool { return r.Open && r.Opening == opening && !r.Unsure }

// Receipt is what the service calls what we made there. It is not zero exactly when something was made,
// or may have been.
type Receipt struct {
	Link string `json:"link,omitempty"` // URL for people

	Told    int64 `json:"told,omitempty"`    // the newest timeline entry that was told
	Open    bool  `json:"open,omitempty"`    // the service was told that it is open
	Opening int64 `json:"opening,omitempty"` // which opening the service was told of: see Watch.Opening
	// the service holds it as acknowledged: it was told so, or said so
	Acknowledged bool     `json:"acknowledged,omitempty"`
	Severity     Severity `json:"severity,omitempty"` // that the service was told last
	Unsure       bool     `json:"unsure,omitempty"`   // an attempt to make something ended without a clear answer
	Looks        int      `json:"looks,omitempty"`    // times since then that we could not look whether it was made

	// Digest is the service's name of a message that told of this incident and of others, while it has none of its own.
	Digest string `json:"digest,omitempty"`

	Own Own `json:"own,omitempty"` // what only the kind reads
}

// DeliveryState is waiting, delivered, parked or cancelled.
type DeliveryState string

// The states of a delivery.
const (
	DeliveryWaiting   DeliveryState = "waiting"   // owed, and will be tried
	DeliveryDelivered DeliveryState = "delivered" // the service has the newest state
	// needs a person: the service refused; tried again now and then all the same
	DeliveryParked    DeliveryState = "parked"
	DeliveryCancelled DeliveryState = "cancelled" // there was nothing left to tell
)

// Delivery is one incident or notice owed to one notifier, as people see it.
type Delivery struct {
	ID        int64
	Incident  int64 // number; 0 for a notice
	Event     int64 // of a notice: its journal position
	Notifier  string
	Kind      Kind
	State     DeliveryState
	Attempts  int       // since the last one that succeeded; one that is going on counts
	Failing   time.Time // since when its attempts fail; zero while they do not
	LastError string
	// Behind is what the service said to what was tried before it, while it fails and this was not tried; "" else
	Behind  string
	NextAt  time.Time // when it is tried next, while waiting or parked; zero for never
	Updated time.Time
	Receipt Receipt
}

// Fails says that whom it is for was not told: it is parked, or waits after an attempt that failed.
func (d *Delivery) Fails() bool { return fails(d.State, d.Failing) }

func fails(state DeliveryState, failing time.Time) bool {
	return state == DeliveryParked || state == DeliveryWaiting && !failing.IsZero()
}
