package router

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// IncidentFilter narrows a list of incidents: all that is set must hold. Zero fields do not narrow.
type IncidentFilter struct {
	State      IncidentState
	Active     bool       // those that are not resolved
	Severities []Severity // any of these; of a resolved one its peak counts
	Flow       string     // id of a flow, or Subject.Key
	WABA       string
	Signals    []string    // keys of signals, any of these: see SignalsNamed
	Subject    SubjectKind // what it is about
	SubjectID  string      // Subject.ID: of a flow its id, of an account its WABA id
	Labels     map[string]string
	Notifier   string // has a delivery there
	Rule       string // that matched the event that opened it
	From, To   time.Time
	Silenced   *bool
	Trouble    *bool // not everybody was told: see IncidentRow.Trouble
	// Query are words, each of which must fit, whatever its case: INC-42, 42, an id, or part of its title, its headline, a
	// name, a label, a fact or the rule.
	Query string
	// Worst orders them by state (open first), trouble first, severity and age (newest first); resolved ones by trouble
	// and age alone. Default: newest first.
	Worst  bool
	Before int64 // number of the last of the page before; 0 begins
	// Below goes on with those below this number that are over and that everybody was told of, in the order of Worst: see
	// SearchRest. 0 begins.
	Below int64
	Limit int // default and most: 500
}

// MaxListed is how many incidents are read to the end of a list at most: more than a storm opens, and few enough to be
// held in memory.
const MaxListed = 3_000

// EveryIncident reads a list of incidents page by page to its end, newest first, and says whether there are more than
// MaxListed: those are left out. A filter's Worst, Before, Below and Limit do not count.
func EveryIncident[T interface{ Position() int64 }](f IncidentFilter,
	read func(IncidentFilter) ([]T, error)) (list []T, more bool, err error) {
	f.Worst, f.Before, f.Below, f.Limit = false, 0, 0, incidentPage
	for {
		page, err := read(f)
		list = append(list, page...)
		switch {
		case err != nil:
			return nil, false, err
		case len(list) > MaxListed:
			return list[:MaxListed], true, nil
		case len(page) < incidentPage:
			return list, false, nil
		}
		f.Before = page[len(page)-1].Position()
	}
}

// incidentPage is how many incidents are read at once: see IncidentFilter.Limit.
const incidentPage = 500

// Position is where an incident stands in a list, newest first: its number.
func (i Incident) Position() int64 { return i.Number }

// SearchRest is what a search of incidents has not looked through. Zero: nothing.
type SearchRest struct {
	Below int64     // IncidentFilter.Below that goes on
	Until time.Time // when the newest incident of the rest was opened
}

// EventFilter narrows a list of events. Zero fields do not narrow.
type EventFilter struct {
	State    EventState
	Names    []string // any of these
	Flow     string   // id: those that opened, changed or ended an incident of the flow, or are notices of it
	Incident int64    // number: those on its timeline and of its alerts
	WABA     string
	Source   Source
	From, To time.Time // received
	Query    string    // part of the name, whatever its case
	Digest   string
	Before   int64 // journal position; 0 begins at the newest
	Limit    int   // default and most: 500
}

// DeliveryFilter narrows a list of deliveries. Zero fields do not narrow.
type DeliveryFilter struct {
	State    DeliveryState
	Notifier string
	Incident int64  // number
	Event    int64  // of a notice: journal position
	Query    string // part of the last error, whatever its case
	Before   int64  // id; 0 begins at the newest
	Limit    int    // default and most: 500
}

// IncidentRow is an incident as a list shows it: without its timeline and without what its deliveries made.
type IncidentRow struct {
	Incident
	Alerts     []Alert        // worst first
	Deliveries []DeliveryMark // by notifier
}

// DeliveryMark is how a delivery stands.
type DeliveryMark struct {
	Incident int64
	ID       int64
	Notifier string
	Kind     Kind
	State    DeliveryState
	Failing  time.Time // since when its attempts fail; zero while they do not
	Error    string    // of the last attempt, or ""
}

// Fails is Delivery.Fails.
func (d *DeliveryMark) Fails() bool { return fails(d.State, d.Failing) }

// Trouble says that not everybody was told.
func (r *IncidentRow) Trouble() bool {
	for i := range r.Deliveries {
		if r.Deliveries[i].Fails() {
			return true
		}
	}
	return false
}

// Counts are the numbers at the head of a list of incidents.
type Counts struct {
	Open         int64 // and not acknowledged
	Acknowledged int64
	Silenced     int64 // of the two
	Trouble      int64 // incidents, resolved or not, of which not everybody was told
	Parked       int64 // deliveries, also of notices
}

// FlowSummary is how it stands with a flow, an account or another subject.
type FlowSummary struct {
	Active  []IncidentRow  // worst first
	Recent  []IncidentRow  // the last ten that are resolved, newest first
	Periods []StatusPeriod // oldest first
}

// SignalsNamed returns the keys of the signals that people may mean by a name: a key, or an event's name that several
// share.
func SignalsNamed(name string) []string {
	keys := []string{name}
	for _, s := range SignalsOf(name) {
		keys = Union(keys, []string{s.Name})
	}
	return keys
}

// SignalsLike returns the keys of the signals whose words for people hold a text, whatever its case.
func SignalsLike(text string) (keys []string) {
	text = strings.ToLower(text)
	for _, s := range signals {
		if strings.Contains(strings.ToLower(SignalName(s.Name)), text) {
			keys = append(keys, s.Name)
		}
	}
	return keys
}

// QueryWords returns the words that people look for, without what ends a part of a sentence.
func QueryWords(query string) []string {
	words := strings.Fields(query)
	for i, word := range words {
		words[i] = cmp.Or(strings.TrimRight(word, ":,;"), word)
	}
	return words
}

// ParseIncidentName reads a number as people write it: 42, INC-42 or #42. named says that it can be nothing but that.
func ParseIncidentName(text string) (number int64, named bool) {
	digits := strings.TrimPrefix(text, "#")
	if len(text) > 4 && strings.EqualFold(text[:4], "INC-") {
		digits = text[4:]
	}
	number, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || number < 1 {
		return 0, false
	}
	return number, digits != text
}

// StatusPeriod is how long a flow was in one of the statuses that are trouble.
type StatusPeriod struct {
	FlowID
	Status   string    // THROTTLED or BLOCKED
	From, To time.Time // within what was asked for
	Ongoing  bool      // it had not ended at To
}

// Duration is how long it lasted, of what was asked for.
func (p *StatusPeriod) Duration() time.Duration { return p.To.Sub(p.From) }

// StatusPeriods returns when flows were in a status that is trouble, between two times, by their status changes: oldest
// first. What began before the first change is left out: nobody knows when.
func StatusPeriods(changes []Event, from, to time.Time) (periods []StatusPeriod) {
	byFlow := map[FlowID][]*Event{}
	for i := range changes {
		if e := &changes[i]; e.NewStatus != "" && signalOf(e.SignalKey()).ByWord() {
			byFlow[e.FlowID()] = append(byFlow[e.FlowID()], e)
		}
	}
	for flow, events := range byFlow {
		slices.SortStableFunc(events, func(a, b *Event) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Seq, b.Seq)) })
		status, since, signal := "", time.Time{}, signalOf(events[0].SignalKey())
		add := func(until time.Time, ongoing bool) {
			p := StatusPeriod{FlowID: flow, Status: status, From: later(since, from), To: until, Ongoing: ongoing}
			if until.After(to) {
				p.To, p.Ongoing = to, true
			}
			if signal.place(Level(status)) >= 0 && p.From.Before(p.To) {
				periods = append(periods, p)
			}
		}
		for _, e := range events {
			if e.NewStatus != status {
				add(e.At, false)
				status, since = e.NewStatus, e.At
			}
		}
		add(to, true)
	}
	slices.SortFunc(periods, func(a, b StatusPeriod) int {
		return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.WABA, b.WABA), cmp.Compare(a.Flow, b.Flow))
	})
	return periods
}
