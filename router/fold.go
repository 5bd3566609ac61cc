package router

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Verdict is what the rules say about an event.
type Verdict struct {
	Decision           // about the event itself
	Opening  *Decision // about Event.Opening, where there is one
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
	State     State   // the flow afterwards, with incidents that were resolved by this event
	Alerts    []Alert // those that changed
	Incidents []int64 // numbers of those that changed, ascending
	Entries   []Entry
	Owed      []Owed
	Known     []Owed // what their services know by themselves
	Notice    *Notice
	Outcome   string // one line for people
}

// Fold moves one flow by one event: state, event, verdict, moment -> state', timeline, what is owed. It is
// pure: no clock, no I/O, nothing that hangs on map order, and s is not changed. next is the number that
// a new incident takes.
//
// Order is by Event.At, which is taken as no later than Event.Received; arrival breaks ties. Whatever the order of
// arrival, the same alerts end up active. What was older than tooOld when it arrived opens nothing and is told to
// nobody, though a recovery still closes what is open.
func Fold(s State, next int64, e *Event, v Verdict, m Moment) Step {
	f := newFold(s, m)
	f.next, f.e, f.v = next, inTime(e), v
	f.state.FlowID = e.FlowID()    // of a flow that is new, too
	f.pass(earlier(f.e.At, m.Now)) // what was due before the event happened comes first, however late both are folded
	switch {
	case e.Name == TestMessage && e.ForFallback():
		f.notice()
	case e.Act != nil:
		f.act()
	case effectOf(e) == effect{}:
		f.notice()
	default:
		f.move(effectOf(e))
	}
	return f.step()
}

// Tick moves one flow by the passing of time alone: recoveries that were held back, notifiers that had to
// wait, silences that are over. It is as pure as Fold, and harmless when repeated.
func Tick(s State, m Moment) Step {
	f := newFold(s, m)
	f.pass(m.Now)
	return f.step()
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

// fold is one event at work.
type fold struct {
	e    *Event // the zero Event while only time passes
	v    Verdict
	m    Moment
	next int64
	// passed is the time up to which timers have run: that of the event, unless Meta's clock is ahead of ours.
	passed time.Time

	state   State
	alerts  []int   // indexes of changed alerts
	dirty   []int64 // numbers of changed incidents
	touched []touched
	entries []Entry
	owed    []Owed
	known   []Owed
	note    *Notice
	outcome []string
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

// move applies an effect on the ladder: clear, raise, then bring every incident it touched in line.
func (f *fold) move(eff effect) {
	cleared := eff.clears && f.clear(eff.clear)
	if eff.raises {
		f.raise(eff.raise)
	}
	for i := range f.touched {
		f.settle(&f.touched[i])
	}
	if eff.clears && !eff.raises {
		f.afterRecovery(eff.clear, cleared)
	}
}

// clear makes level l and every worse one inactive, where nothing newer made them active.
func (f *fold) clear(l Level) (moved bool) {
	own := f.alert(l)
	if a := &f.state.Alerts[own]; f.e.At.After(a.Cleared) {
		a.Cleared = f.e.At
		f.alerts = append(f.alerts, own)
	}
	for i := range f.state.Alerts {
		a := &f.state.Alerts[i]
		if a.Event != f.e.SignalKey() || !reaches(a.Event, a.Level, l) || !a.Active || a.Raised.After(f.e.At) {
			continue
		}
		a.Active, a.Until, a.ClosedBy = false, f.e.At, f.e.Seq
		if f.e.Reading.Value != nil {
			a.Before, a.Reading = a.Reading.Value, f.e.Reading
		}
		f.alerts = append(f.alerts, i)
		t, inc := f.touch(a.Incident), f.incident(a.Incident)
		if a.Hold > 0 && inc != nil && inc.State != IncidentResolved {
			a.HeldUntil = f.holdUntil(a.Hold)
			t.held = append(t.held, a.Level)
		} else {
			t.cleared = append(t.cleared, a.Level)
		}
		moved = true
	}
	return moved
}

// raise makes level l active, or refreshes its numbers if it is already.
func (f *fold) raise(l Level) {
	if f.v.Drop {
		f.say("dropped by rule %q", f.v.Rule())
		return
	}
	i := f.alert(l)
	a := &f.state.Alerts[i]
	switch {
	case f.e.At.Before(a.Raised), f.e.At.Before(f.clearedAt(l)):
		f.late(f.lateFor(a))
		return
	case tooOld(f.e):
		f.say("%s old when it arrived: it opens nothing", FormatDuration(f.e.Received.Sub(f.e.At)))
		return
	case !f.e.Expires.IsZero() && !f.e.Expires.After(f.m.Now):
		f.say("it has ended by its own time already: it opens nothing")
		return
	}
	f.alerts = append(f.alerts, i)
	if f.e.Reading.Value != nil || !a.Active {
		a.Before, a.Reading = f.lastValue(), f.e.Reading
	}
	a.Raised, a.Facts, a.Expires = f.e.At, f.e.Facts, f.e.Expires
	if a.Active { // already: the numbers refresh, and nobody is paged again
		f.touch(a.Incident)
		return
	}
	if !a.HeldUntil.IsZero() { // a flap: the same trouble, and nobody is told as of something new
		a.Active, a.Since, a.Until, a.OpenedBy, a.ClosedBy, a.HeldUntil = true, f.e.At, time.Time{}, f.e.Seq, 0, time.Time{}
		f.touch(a.Incident).flapped = true
		return
	}
	key := f.v.GroupBy.Key(f.e)
	inc := f.incidentByKey(key)
	if inc == nil {
		inc = f.reopen(key)
	}
	if inc == nil {
		inc = f.open(key)
	}
	t := f.touch(inc.Number)
	t.raised = true
	if t.fresh || t.reopened || f.v.Severity > t.severity {
		inc.AcknowledgedFor = f.v.AcknowledgedFor
	}
	if inc.Event == f.e.SignalKey() && !slices.Contains(inc.Path, l) {
		inc.Path = append(slices.Clone(inc.Path), l)
	}
	a.Active, a.Since, a.Until, a.OpenedBy, a.ClosedBy = true, f.e.At, time.Time{}, f.e.Seq, 0
	a.Severity, a.Incident, a.Key, a.Hold, a.Heard = f.v.Severity, inc.Number, key, f.v.ResolveAfter, f.heard()
	f.route(a, inc)
	inc.PageOnRise = inc.PageOnRise || f.v.PageOnRise
	inc.NoteAutoResolve = f.v.NoteAutoResolve
}

// open makes a new incident for the event.
func (f *fold) open(key string) *Incident {
	f.endOld(key)
	first := !slices.ContainsFunc(f.state.Incidents, func(inc Incident) bool { return inc.Key == key && inc.hasPaged() })
	f.state.Incidents = append(f.state.Incidents, Incident{
		Number: f.next, Key: key, WABA: f.e.WABA, Flow: f.e.FlowID().Flow, Event: f.e.SignalKey(), Subject: f.e.Subject,
		State: IncidentOpen, Rule: f.v.Rule(), RulesVersion: f.v.Version, OpenedAt: f.e.At, Since: f.heard(), First: first,
	})
	f.next++
	inc := &f.state.Incidents[len(f.state.Incidents)-1]
	f.touch(inc.Number).fresh = true
	return inc
}

// reopen takes up an incident that a person has resolved although Meta still reports it, and that gets worse;
// nil if there is none.
func (f *fold) reopen(key string) *Incident {
	for i := range f.state.Incidents {
		inc := &f.state.Incidents[i]
		if inc.Key == key && len(f.counting(inc.Number)) > 0 { // resolved, else it would have been found
			f.touch(inc.Number).reopened = true
			f.unresolve(inc)
			return inc
		}
	}
	return nil
}

// afterRecovery handles what a recovery means beyond the alerts that it cleared: rules may tell somebody
// of it, a status that cleared nothing is news of its own, and what we do not know may still be open in
// a service that finds incidents by our key.
func (f *fold) afterRecovery(l Level, cleared bool) {
	s := signalOf(f.e.SignalKey())
	byWord := s.ByWord() && !s.Moves()
	if !cleared {
		if a := f.newerRaise(l); a != nil {
			f.late(f.lateFor(a))
			return
		}
		unknown := !tooOld(f.e) && f.closeUnknown(l)
		if !unknown && !byWord {
			f.say("nothing was active")
			if !s.Moves() {
				return
			}
		}
	}
	if s.Moves() { // most such words end nothing, as when a new template is approved: told to those who ask for them
		all := f.v.Notify
		if cleared { // who was told of the trouble hears there that it is over
			f.v.Notify = slices.DeleteFunc(slices.Clone(all), func(r Route) bool { return f.hears(&r.Target) })
		}
		if f.v.AsksForChange && !cleared || cleared && len(f.v.Notify) > 0 {
			f.notice()
		}
		f.v.Notify = all
		return
	}
	if byWord && !cleared || !byWord && len(f.v.Notify) > 0 {
		f.notice()
	}
}

// hears says whether a target was told of an incident that this event concerns.
func (f *fold) hears(t *Target) bool {
	return slices.ContainsFunc(f.state.Incidents, func(inc Incident) bool {
		told := func(w Watch) bool {
			return (w.Target == t.ID() || w.Notifier == t.Notifier) && (w.Opening > 0 || w.Severity != SeverityUnset)
		}
		concerned := func(c touched) bool { return c.number == inc.Number }
		return slices.ContainsFunc(f.touched, concerned) && slices.ContainsFunc(inc.Watch, told)
	})
}

// newerRaise returns an alert that the recovery of level l would have cleared, had it come in time.
func (f *fold) newerRaise(l Level) *Alert {
	for i := range f.state.Alerts {
		a := &f.state.Alerts[i]
		if a.Event == f.e.SignalKey() && reaches(a.Event, a.Level, l) && a.Raised.After(f.e.At) {
			return a
		}
	}
	return nil
}

// closeUnknown asks the services that find incidents by our key to close what we never heard of: the key
// depends on the event alone, so an incident there survives even the loss of our database. See PageKeys.
func (f *fold) closeUnknown(l Level) (unknown bool) {
	opening, ok := f.e.Opening()
	if !ok || f.v.Opening == nil || f.state.Alerts[f.alert(l)].Incident != 0 {
		return false
	}
	key := f.v.Opening.GroupBy.Key(&opening)
	severity := f.v.Opening.Severity
	if signalOf(f.e.SignalKey()).Moves() { // a thousand templates that are approved go behind all trouble
		severity = Info
	}
	var told []string
	for _, t := range f.v.Opening.Named {
		if t.Kind.Keyed() && !slices.Contains(told, t.ID()) && !f.wasTold(key, &t) {
			told = append(told, t.ID())
			f.owed = append(f.owed, Owed{Event: f.e.Seq, Key: key, Target: t, Severity: severity})
			f.say("resolve to %s", t.Notifier)
		}
	}
	if len(told) == 0 && slices.ContainsFunc(f.state.Alerts, func(a Alert) bool { return a.Key == key }) {
		return false
	}
	f.outcome = slices.Insert(f.outcome, 0, "recovery of an alert that nobody knows")
	if len(told) > 0 {
		f.note = newNotice(f.e, f.v.Opening)
		f.note.Recovery = key
	}
	return true
}

// wasTold says whether a target was told of an incident with a key that we know: then we know what is open there. Of a
// lower level that is not for it, a target that pages hears nothing, and may still hold what was opened before our
// database was lost.
func (f *fold) wasTold(key string, t *Target) bool {
	return slices.ContainsFunc(f.state.Incidents, func(inc Incident) bool {
		return inc.Key == key && slices.ContainsFunc(inc.Watch, func(w Watch) bool {
			return (w.Target == t.ID() || w.Notifier == t.Notifier) && (w.Opening > 0 || w.Severity != SeverityUnset)
		})
	})
}

// expire ends the alerts of an incident whose own time is over, and returns them. It was over then, by our clock.
func (f *fold) expire(inc *Incident, now time.Time) (expired []*Alert) {
	for i := range f.state.Alerts {
		a := &f.state.Alerts[i]
		if a.Incident != inc.Number || !a.Active || a.Expires.IsZero() || a.Expires.After(now) {
			continue
		}
		a.Active, a.Until, a.ClosedBy = false, a.Expires, 0
		f.alerts = append(f.alerts, i)
		expired = append(expired, a)
	}
	SortAlerts(expired)
	return expired
}

// describe renews what an incident shows of its flow and its fields.
func (f *fold) describe(inc *Incident) {
	info := f.v.FlowInfo
	if info.FlowName != "" || info.AccountName != "" || info.NumberName != "" || info.Runbook != "" || len(info.Labels) > 0 {
		// A name that was known stays: who gives names beside the rules may not know it again yet.
		info.FlowName = cmp.Or(info.FlowName, inc.FlowName)
		info.AccountName = cmp.Or(info.AccountName, inc.AccountName)
		info.NumberName = cmp.Or(info.NumberName, inc.NumberName)
		inc.FlowInfo = info
	}
	if len(f.v.Fields) > 0 {
		inc.Fields = f.v.Fields
	}
}

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
	f.entries = append(f.entries, Entry{
		Incident: inc.Number, N: inc.Entries, At: at, Recorded: f.m.Now, Kind: kind, Text: text, Event: event,
	})
}

func (f *fold) say(format string, args ...any) {
	f.outcome = append(f.outcome, fmt.Sprintf(format, args...))
}

// step gathers what changed.
func (f *fold) step() Step {
	f.wind()
	s := Step{State: f.state, Entries: f.entries, Owed: f.owed, Known: f.known, Notice: f.note, Outcome: strings.Join(f.outcome, "; ")}
	slices.Sort(f.alerts)
	for _, i := range slices.Compact(f.alerts) {
		s.Alerts = append(s.Alerts, f.state.Alerts[i])
	}
	slices.Sort(f.dirty)
	s.Incidents = slices.Compact(f.dirty)
	return s
}
