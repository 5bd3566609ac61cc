package router

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// act folds what a person did, what a service did by itself, or what became of a delivery. An act that changes nothing
// is recorded as such: our own acts come back from the services that we told of them. Acts are ordered by when they
// happened: one that is older than the newest of its kind comes too late.
func (f *fold) act() {
	inc := f.incident(f.e.Act.Incident)
	switch f.e.Name {
	case ParkedDelivery:
		f.parked(inc)
		return
	case TestMessage: // of nothing that has happened
		f.notice()
		return
	}
	if inc == nil { // it is over for long, so that the store did not load it
		f.refuse(&Incident{Number: f.e.Act.Incident}, AlreadyResolved)
		return
	}
	if f.heldElsewhere(inc) {
		f.say("%s is acknowledged through another page", inc.Name())
		return
	}
	itself := f.e.Act.Itself && (f.e.Name == Resolve || f.e.Name == Acknowledge)
	if newest := inc.Acts.of(f.e.Name); newest != nil && !itself {
		if f.e.At.Before(*newest) {
			f.lateAct(inc)
			f.endedThere(inc)
			f.heldThere(inc)
			return
		}
		*newest = f.e.At
		if newest == &inc.Acts.Acknowledgement {
			inc.Acts.AcknowledgementIn = f.from(inc)
		}
		f.dirty = append(f.dirty, inc.Number)
	}
	switch f.e.Name {
	case Reopen:
		f.actReopen(inc)
	case LinkIncident:
		f.actLink(inc)
	case Note:
		f.followUp(inc)
		f.entry(inc, EntryNote, f.e.Act.Text+" ("+f.who()+")")
		f.say("noted on %s", inc.Name())
		f.change(inc)
		f.owe(inc, nil)
	default:
		switch why := inc.may(f.e.Name, true); {
		case why == AlreadyResolved:
			f.refuse(inc, why)
			if itself && f.e.Name == Resolve && f.e.At.After(inc.Acts.Ended) {
				inc.Acts.Ended = f.e.At
				f.dirty = append(f.dirty, inc.Number)
			}
		case itself:
			f.actItself(inc)
		default:
			f.actOpen(inc, why)
		}
	}
}

// refuse records that an act changes nothing, and why.
func (f *fold) refuse(inc *Incident, why Refusal) {
	switch why {
	case AlreadyResolved:
		f.say("%s is resolved already", inc.Name())
	case NotResolved:
		f.say("%s is not resolved", inc.Name())
	case Recovered:
		f.say("%s cannot be reopened: it is over", inc.Name())
	case AlreadyAcknowledged:
		f.say("%s is acknowledged already", inc.Name())
	case NotAcknowledged:
		f.say("%s is not acknowledged", inc.Name())
	case NobodyToPage, AllPaged:
		f.say("nobody is left to page for %s", inc.Name())
	case UnknownAct:
		f.say("unknown act %s", f.e.Name)
	default:
		f.say("%s: %s", inc.Name(), why)
	}
}

// of returns the time of the newest act of a kind, to be read and moved on; nil for acts without an order.
func (t *ActTimes) of(name string) *time.Time {
	switch name {
	case Acknowledge, Unacknowledge:
		return &t.Acknowledgement
	case Resolve, Reopen:
		return &t.Resolution
	case Assign:
		return &t.Owner
	}
	return nil
}

// actOpen folds an act on an incident that is not resolved. why is what the guard says of the act.
func (f *fold) actOpen(inc *Incident, why Refusal) {
	if f.e.Name == Acknowledge && f.e.At.Before(inc.Since) {
		f.lateAct(inc) // it was about what was before
		return
	}
	if why == AlreadyAcknowledged && f.acknowledgesMore(inc) {
		why = MayHappen
	}
	if why != MayHappen {
		f.refuse(inc, why)
		if why == AlreadyAcknowledged {
			f.heldThere(inc)
		}
		return
	}
	before := slices.Clone(inc.Watch)
	done := true
	switch f.e.Name {
	case Acknowledge:
		f.actAcknowledge(inc)
	case Unacknowledge:
		f.actUnacknowledge(inc)
	case Resolve:
		done = f.actResolve(inc)
	case PageNow:
		unpaged := inc.Unpaged()
		if done = f.page(inc); !done {
			f.refuse(inc, AllPaged) // under another name: only the fold knows who shares a target
			break
		}
		f.entry(inc, EntryPaged, paged(unpaged)+", by "+f.who())
		f.say("paged for %s", inc.Name())
	case Assign:
		done = f.actAssign(inc)
	}
	if !done {
		return
	}
	f.change(inc)
	f.watch(inc, f.counting(inc.Number))
	if f.e.Name == Acknowledge && inc.PageOnRise {
		f.pageAgain(inc)
	}
	if f.e.Name != PageNow { // that has said so
		f.notePages(inc, before, f.e.At)
	}
	f.oweOthers(inc, before)
	if inc.State == IncidentResolved {
		f.oweSiblings(inc)
	}
}

// acknowledgesMore says whether something has come since the incident was acknowledged. Who acknowledges it again has
// that as well: a second page in a service is acknowledged by itself.
func (f *fold) acknowledgesMore(inc *Incident) bool {
	news := func(a *Alert) bool { // a page shows what is routed there, and no more
		return !inc.Acknowledges(a) && (f.e.Source != SourcePagerDuty || a.route(f.e.Act.Notifier) != nil)
	}
	counting := f.counting(inc.Number)
	paged := func(w Watch) bool {
		late := w.Open && slices.Contains(inc.Pageable, w.Notifier) && !inc.heldBy(&w, counting) &&
			(f.e.Source != SourcePagerDuty || w.Notifier == f.e.Act.Notifier)
		return (late || !inc.AcknowledgesPage(&w)) && w.Since.Before(f.e.At)
	}
	return slices.ContainsFunc(counting, news) || slices.ContainsFunc(inc.Watch, paged)
}

// actAcknowledge acknowledges what had reached us when the person acted.
func (f *fold) actAcknowledge(inc *Incident) {
	inc.State, inc.AcknowledgedAt, inc.AcknowledgedBy = IncidentAcknowledged, f.e.At, f.e.Act.Actor
	inc.AcknowledgedEvent, inc.AcknowledgedIn = f.e.Seq, f.from(inc)
	inc.Owner, inc.ByItself = cmp.Or(f.e.Act.Owner, inc.Owner), ""
	f.entry(inc, EntryAcknowledged, "Acknowledged by "+f.who()+inc.takenBack(f.state.AlertsOf(inc.Number)))
	f.say("acknowledged %s", inc.Name())
}

func (f *fold) actUnacknowledge(inc *Incident) {
	from, anew := f.from(inc), ""
	var names []string
	for _, w := range inc.heldPages(f.counting(inc.Number)) {
		if !from.Is(w.Notifier, inc.keyFor(w)) { // else its service has done so itself
			names = append(names, w.Notifier)
		}
	}
	if len(names) > 0 {
		anew = ". " + paged(slices.Compact(names))
	}
	inc.State = IncidentOpen
	unacknowledge(inc)
	inc.restReminders(f.e.At)
	f.entry(inc, EntryUnacknowledged, "No longer acknowledged: "+f.who()+anew)
	f.say("unacknowledged %s", inc.Name())
}

// actResolve resolves an incident by hand. What reached us after the person acted is not resolved by it: the incident
// would open again for that at once, so it stays open, and its pages are told of it.
func (f *fold) actResolve(inc *Incident) (done bool) {
	counting := f.counting(inc.Number)
	if slices.ContainsFunc(counting, func(a *Alert) bool { return a.Active && a.Heard.After(f.e.At) }) {
		f.entry(inc, EntryLate, "Resolved by "+f.who()+" before it got worse: it stays open")
		f.say("%s got worse after it was resolved by hand", inc.Name())
		f.change(inc)
		f.owe(inc, nil)
		return false
	}
	still := ""
	if slices.ContainsFunc(counting, func(a *Alert) bool { return a.Active }) {
		still = "; " + Reporter(inc.Event) + " still reports it"
	}
	inc.State, inc.ResolvedAt, inc.Severity, inc.ByItself = IncidentResolved, f.e.At, inc.Peak, ""
	inc.ResolvedBy = cmp.Or(f.e.Act.Actor, "somebody")
	lasted := FormatDuration(f.e.At.Sub(inc.OpenedAt))
	f.entry(inc, EntryResolved, fmt.Sprintf("Resolved by %s after %s%s", f.who(), lasted, still))
	f.say("resolved %s by hand", inc.Name())
	f.releaseAll(inc)
	return true
}

func (f *fold) actAssign(inc *Incident) (done bool) {
	if inc.Owner == f.e.Act.Owner {
		f.say("%s is with %s already", inc.Name(), cmp.Or(inc.Owner, "nobody"))
		return false
	}
	inc.Owner = f.e.Act.Owner
	f.followUp(inc)
	f.entry(inc, EntryAssigned, "Assigned to "+cmp.Or(inc.Owner, "nobody")+" in PagerDuty")
	f.say("assigned %s", inc.Name())
	return true
}

func unacknowledge(inc *Incident) {
	inc.AcknowledgedAt, inc.AcknowledgedBy, inc.AcknowledgedEvent, inc.AcknowledgedIn = time.Time{}, "", 0, Page{}
}

// page makes every notifier due that pages and is not told yet: those that wait, those under a silence, and
// those that hear of worse levels only.
func (f *fold) page(inc *Incident) (paged bool) {
	for _, notifier := range inc.Pageable {
		t := Target{Notifier: notifier}
		if f.m.Target != nil {
			if now, ok := f.m.Target(notifier); ok {
				t = now
			}
		}
		if !slices.ContainsFunc(inc.Watch, func(w Watch) bool { return w.Notifier == notifier }) {
			inc.watchFor(&t)
		}
	}
	unpaged := inc.Unpaged()
	for i := range inc.Watch {
		w := &inc.Watch[i]
		if w.PagedAt == 0 && slices.Contains(unpaged, w.Notifier) {
			w.Paged, w.PagedBy, paged = true, f.who(), true
		}
	}
	return paged
}

// parked shows on an incident's cards that a delivery needs a person, and tells the fallback.
func (f *fold) parked(inc *Incident) {
	if inc != nil && inc.State != IncidentResolved {
		f.entry(inc, EntryUndelivered, fmt.Sprintf("%s could not be told: %s", f.e.Act.Notifier, f.e.Act.Error))
		f.change(inc)
		f.owe(inc, nil)
		f.owed = slices.DeleteFunc(f.owed, func(o Owed) bool { return o.Target.Notifier == f.e.Act.Notifier })
	}
	f.notice()
}

// who says who acted, and where.
func (f *fold) who() string {
	who := cmp.Or(f.e.Act.Actor, "somebody")
	if f.e.Act.Itself {
		return "PagerDuty by itself"
	}
	switch f.e.Source {
	case SourceSlack:
		return who + " in Slack"
	case SourcePagerDuty:
		return who + " in PagerDuty"
	}
	return who
}
