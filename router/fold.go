package router

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fold moves one flow by one event, phase by phase, each in the file of its name:
//
//	timers     what was due before the event happened: recoveries held back, waits, silences, reminders, countdowns
//	act        or notice, look, or ladder: what the event does. On the ladder levels clear and are raised, and
//	           incidents open
//	reconcile  each incident that this touched, in line with its alerts: its state, its severity, its timeline
//	watch      who is told that it is open, and how bad it is for them
//	owe        what each of them must be told: deliveries, with a higher revision
//	recovery   what an end means beyond the alerts that it cleared
//	timers     when each incident has something due next
//
// It is pure: state, event, verdict, moment -> state', timeline, what is owed. No clock, no I/O, nothing that hangs on
// map order, and s is not changed. next is the number that a new incident takes.
//
// What holds after every event, and the test that holds it:
//
//   - The order of arrival does not matter. Order is by Event.At, which is taken as no later than Event.Received;
//     arrival breaks ties: TestOrderOfArrivalDoesNotMatter, TestAClockAheadOfOursIsNotBelieved, TestWhatHappenedWhen.
//   - People's acts are ordered in the same way, each kind by itself: the last one stands.
//     TestOrderOfArrivalOfActsDoesNotMatter.
//   - What was older than tooOld when it arrived opens nothing and is told to nobody, though a recovery still closes
//     what is open: TestWhatIsTooOldOpensNothing.
//   - An incident is open while one of its alerts counts, as bad as the worst of them, and a notifier is open while
//     such an alert routes to it: checkInvariants, which every random history in fold_property_test.go asks after each
//     event.
//   - Whoever was told that something is open is told when it is over; nobody is told early or under a silence:
//     TestWhoIsTold, and TestActsEnd with people among the events.
//   - What comes back of what we told a service changes nothing: TestNoEcho.
//   - An act does what the guard says, and nothing where that refuses: TestTheFoldDoesWhatTheGuardSays.
//   - The input is left alone: TestFoldLeavesItsInputAlone.
//
// The stories in cmd/flowbridge/testdata/fold show in full what a history comes to; TestSimulation there holds the same
// promises, and more, for the whole program.
func Fold(s State, next int64, e *Event, v Verdict, m Moment) Step {
	f := newFold(s, m)
	f.next, f.e, f.v = next, inTime(e), v
	f.state.FlowID = e.FlowID() // of a flow that is new, too

	f.runTimers(earlier(f.e.At, m.Now)) // however late both are folded
	switch effect := effectOf(e); {
	case e.Act != nil:
		f.act()
	case e.looks():
		f.look()
	case f.heardSince():
	case effect.none():
		f.notice()
	default:
		cleared := f.climb(effect)
		f.endCountdown()
		for i := range f.touched {
			f.follow(&f.touched[i])
		}
		f.afterRecovery(effect, cleared)
	}
	f.setTimers()
	return f.step()
}

// follow does what a change of its alerts means for an incident.
func (f *fold) follow(t *touched) {
	inc := f.incident(t.number)
	if inc == nil {
		return
	}
	before := slices.Clone(inc.Watch)
	switch f.reconcile(t, inc) {
	case alertsChanged:
		f.watch(inc, f.counting(inc.Number))
		f.watchAgain(t, inc)
		f.notePages(inc, before, f.e.At)
		f.owe(inc, before)
		f.oweAround(t, inc)
	case numbersChanged:
		f.oweNumbers(inc)
	case recoveryNoted:
		f.oweCards(inc)
	}
}

// Tick moves one flow by the passing of time alone: recoveries that were held back, notifiers that had to
// wait, silences that are over. It is as pure as Fold, and harmless when repeated.
func Tick(s State, m Moment) Step {
	f := newFold(s, m)
	f.runTimers(m.Now)
	f.setTimers()
	return f.step()
}

// Verdict is what the rules say about an event.
type Verdict struct {
	Decision            // about the event itself
	Opening  *Decision  // about Event.Opening, where there is one
	Steps    []Decision // about Event.Steps, in their order
}

// Moment is what a fold may know beside the flow, the event and the verdict.
type Moment struct {
	Now      time.Time
	Silences []Silence // those that have not ended, in any order
	// Target returns where a notifier's messages go now; ok is false for one that the rules do not name.
	Target func(notifier string) (t Target, ok bool)
	// Targets returns every notifier that the rules name, sorted by name.
	Targets func() []Target
}

// Step is what folding one event, or the passing of time, came to.
type Step struct {
	State        State   // the flow afterwards, with incidents that were resolved by this event
	Alerts       []Alert // those that changed
	Incidents    []int64 // numbers of those that changed, ascending
	Entries      []Entry
	Owed         []Owed
	AlreadyThere []Owed // the change came from that service: recorded, and not sent
	Notice       *Notice
	Outcome      string // one line for people
}

func newFold(s State, m Moment) *fold {
	f := &fold{e: &Event{}, m: m, state: s}
	f.state.Alerts = slices.Clone(s.Alerts)
	f.state.Incidents = slices.Clone(s.Incidents)
	for i := range f.state.Incidents {
		f.state.Incidents[i].Watch = slices.Clone(f.state.Incidents[i].Watch)
	}
	return f
}

// fold is the working state of one Fold or Tick call.
type fold struct {
	e    *Event // the zero Event while only time passes
	v    Verdict
	m    Moment
	next int64
	// passed is the time up to which timers have run: that of the event, unless Meta's clock is ahead of ours.
	passed time.Time

	state        State
	alerts       []int   // indexes of changed alerts
	dirty        []int64 // numbers of changed incidents
	touched      []touched
	entries      []Entry
	owed         []Owed
	alreadyThere []Owed
	note         *Notice
	outcome      []string
}

// touched is an incident that the event changed, with what it was before.
type touched struct {
	number   int64
	severity Severity // before; SeverityUnset for a new incident
	cleared  []Level
	held     []Level // like cleared, but the recovery is held back
	raised   bool    // an alert of it became active
	flapped  bool    // an alert of it came back while its recovery was held back
	fresh    bool    // it was opened by this event
	reopened bool    // a person had resolved it
}

// moved says that alerts became active or inactive; else there were only new numbers.
func (t *touched) moved() bool { return t.raised || t.flapped || len(t.cleared)+len(t.held) > 0 }

// touch marks an incident as concerned and remembers how it was.
func (f *fold) touch(number int64) *touched {
	for i := range f.touched {
		if f.touched[i].number == number {
			return &f.touched[i]
		}
	}
	t := touched{number: number}
	if inc := f.incident(number); inc != nil {
		t.severity = inc.Severity
	}
	f.touched = append(f.touched, t)
	return &f.touched[len(f.touched)-1]
}

func (f *fold) change(inc *Incident) {
	inc.Revision++
	f.dirty = append(f.dirty, inc.Number)
}

func (f *fold) entry(inc *Incident, kind EntryKind, text string) {
	f.entryAt(inc, f.e.At, f.e.Seq, kind, text)
}

// entryAt adds to the timeline of an incident what happened at a time; event is 0 where only time passed.
func (f *fold) entryAt(inc *Incident, at time.Time, event int64, kind EntryKind, text string) {
	inc.Entries++
	if IsDrill(inc.Flow) { // wherever a line of it is read
		text = DrillName + ": " + text
	}
	f.entries = append(f.entries, Entry{
		Incident: inc.Number, N: inc.Entries, At: at, Recorded: f.m.Now, Kind: kind, Text: text, Event: event,
	})
}

func (f *fold) say(format string, args ...any) {
	f.outcome = append(f.outcome, fmt.Sprintf(format, args...))
}

// step returns what changed.
func (f *fold) step() Step {
	s := Step{
		State:        f.state,
		Entries:      f.entries,
		Owed:         f.owed,
		AlreadyThere: f.alreadyThere,
		Notice:       f.note,
		Outcome:      strings.Join(f.outcome, "; "),
	}
	slices.Sort(f.alerts)
	for _, i := range slices.Compact(f.alerts) {
		s.Alerts = append(s.Alerts, f.state.Alerts[i])
	}
	slices.Sort(f.dirty)
	s.Incidents = slices.Compact(f.dirty)
	return s
}
