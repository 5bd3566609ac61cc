package router

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// act folds what a person did, or what became of a delivery. An act that changes nothing is recorded as such: our
// own acts come back from the services that we told of them.
func (f *fold) act() {
	inc := f.incident(f.e.Act.Incident)
	if f.e.Name == ParkedDelivery {
		f.parked(inc)
		return
	}
	if inc == nil {
		f.say("%s is resolved already", IncidentName(f.e.Act.Incident))
		return
	}
	switch f.e.Name {
	case Reopen:
		f.actReopen(inc)
	case LinkIncident:
		f.actLink(inc)
	case Note:
		f.entry(inc, EntryNote, f.e.Act.Text+" ("+f.who()+")")
		f.say("noted on %s", inc.Name())
		f.change(inc)
		f.owe(inc, nil)
	default:
		if inc.State == IncidentResolved {
			f.say("%s is resolved already", inc.Name())
			return
		}
		f.actOpen(inc)
	}
}

// actOpen folds an act on an incident that is not resolved.
func (f *fold) actOpen(inc *Incident) {
	before := slices.Clone(inc.Watch)
	switch f.e.Name {
	case Acknowledge:
		if inc.State == IncidentAcknowledged {
			f.say("%s is acknowledged already", inc.Name())
			return
		}
		inc.State, inc.AcknowledgedAt, inc.AcknowledgedBy = IncidentAcknowledged, f.e.At, f.e.Act.Actor
		inc.AcknowledgedEvent, inc.AcknowledgedIn, inc.Owner = f.e.Seq, f.from(inc), cmp.Or(f.e.Act.Owner, inc.Owner)
		f.entry(inc, EntryAcknowledged, "Acknowledged by "+f.who())
		f.say("acknowledged %s", inc.Name())
	case Unacknowledge:
		if inc.State != IncidentAcknowledged {
			f.say("%s is not acknowledged", inc.Name())
			return
		}
		inc.State = IncidentOpen
		unacknowledge(inc)
		f.entry(inc, EntryUnacknowledged, "No longer acknowledged: "+f.who())
		f.say("unacknowledged %s", inc.Name())
	case Resolve:
		inc.State, inc.ResolvedAt, inc.ResolvedBy, inc.Severity = IncidentResolved, f.e.At, cmp.Or(f.e.Act.Actor, "somebody"), inc.Peak
		still := ""
		if slices.ContainsFunc(f.counting(inc.Number), func(a *Alert) bool { return a.Active }) {
			still = "; Meta still reports it"
		}
		f.entry(inc, EntryResolved, fmt.Sprintf("Resolved by %s after %s%s", f.who(), FormatDuration(f.e.At.Sub(inc.OpenedAt)), still))
		f.say("resolved %s by hand", inc.Name())
		f.releaseAll(inc)
	case PageNow:
		if !f.page(inc) {
			f.say("nobody is left to page for %s", inc.Name())
			return
		}
		f.entry(inc, EntryPaged, "Paged at once, as "+f.who()+" wished")
		f.say("paged for %s", inc.Name())
	case Assign:
		if inc.Owner == f.e.Act.Owner {
			f.say("%s is with %s already", inc.Name(), cmp.Or(inc.Owner, "nobody"))
			return
		}
		inc.Owner = f.e.Act.Owner
		f.entry(inc, EntryAssigned, "Assigned to "+cmp.Or(inc.Owner, "nobody")+" in PagerDuty")
		f.say("assigned %s", inc.Name())
	default:
		f.say("unknown act %s", f.e.Name)
		return
	}
	f.change(inc)
	f.watch(inc, f.counting(inc.Number))
	f.oweOthers(inc, before)
	if inc.State == IncidentResolved {
		f.oweSiblings(inc)
	}
}

// actReopen takes back that a person resolved an incident that Meta still reports.
func (f *fold) actReopen(inc *Incident) {
	if inc.State != IncidentResolved {
		f.say("%s is not resolved", inc.Name())
		return
	}
	before := slices.Clone(inc.Watch)
	counting := f.counting(inc.Number)
	if f.incidentByKey(inc.Key) != nil || len(counting) == 0 {
		f.say("%s cannot be reopened: it is over", inc.Name())
		return
	}
	unresolve(inc)
	inc.Severity = counting[0].Severity
	f.entry(inc, EntryReopened, "Reopened by "+f.who())
	f.say("reopened %s", inc.Name())
	f.change(inc)
	f.watch(inc, counting)
	f.oweOthers(inc, before)
	f.oweSiblings(inc)
}

// unresolve opens an incident again that a person had resolved.
func unresolve(inc *Incident) {
	inc.State, inc.ResolvedAt, inc.ResolvedBy = IncidentOpen, time.Time{}, ""
	unacknowledge(inc)
}

func unacknowledge(inc *Incident) {
	inc.AcknowledgedAt, inc.AcknowledgedBy, inc.AcknowledgedEvent, inc.AcknowledgedIn = time.Time{}, "", 0, Page{}
}

// actLink keeps what a service calls the incident; the other cards show it.
func (f *fold) actLink(inc *Incident) {
	link := f.e.Act.Link
	if link == nil || link.ID == "" || slices.Contains(inc.Links, *link) {
		f.say("nothing new about %s", inc.Name())
		return
	}
	inc.Links = slices.DeleteFunc(slices.Clone(inc.Links), func(old Link) bool { return old.Notifier == link.Notifier && old.Key == link.Key })
	inc.Links = append(inc.Links, *link)
	slices.SortFunc(inc.Links, func(a, b Link) int {
		return cmp.Or(strings.Compare(a.Notifier, b.Notifier), strings.Compare(a.Key, b.Key))
	})
	inc.Owner = cmp.Or(inc.Owner, f.e.Act.Owner)
	name := link.ID
	if link.Number != 0 {
		name = fmt.Sprintf("#%d", link.Number)
	}
	f.entry(inc, EntryLinked, fmt.Sprintf("%s calls it %s", cmp.Or(link.Notifier, "PagerDuty"), name))
	f.say("linked %s", inc.Name())
	f.change(inc)
	f.oweOthers(inc, nil)
	if inc.State != IncidentResolved {
		return
	}
	for _, w := range inc.Watch { // the service made it anew after a person had resolved what it had: close that, too
		if key := inc.keyFor(w); w.Notifier == link.Notifier && key == cmp.Or(link.Key, inc.Key) {
			f.owed = append(f.owed, Owed{Incident: inc.Number, Event: w.Rise, Key: key, Target: Target{Notifier: w.Notifier}, Severity: w.Severity})
		}
	}
}

// page makes every notifier due that pages and is not told yet: those that wait, those under a silence, and
// those that hear of worse levels only.
func (f *fold) page(inc *Incident) (paged bool) {
	for _, notifier := range inc.Pageable {
		inc.watchFor(notifier)
	}
	for i := range inc.Watch {
		w := &inc.Watch[i]
		if !w.Open && w.Rise == 0 && slices.Contains(inc.Pageable, w.Notifier) {
			w.Paged, paged = true, true
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

// oweOthers owes to all but the page that the act came from: its service knows, and its delivery need only remember
// whether it is open. Slack is told all the same, since a button that was pressed changes no card, and so is another
// page of the same notifier, since nobody acted on that one.
func (f *fold) oweOthers(inc *Incident, before []Watch) {
	from := len(f.owed)
	f.owe(inc, before)
	page := f.from(inc)
	added := slices.Clone(f.owed[from:])
	f.owed = f.owed[:from]
	for _, o := range added {
		if page.Is(o.Target.Notifier, o.Key) {
			f.known = append(f.known, o)
		} else {
			f.owed = append(f.owed, o)
		}
	}
}

// from returns the page through which the act came, the zero Page where it came through none, or nobody knows which.
func (f *fold) from(inc *Incident) Page {
	pages := 0
	for _, w := range inc.Watch {
		if w.Notifier == f.e.Act.Notifier {
			pages++
		}
	}
	if f.e.Source != SourcePagerDuty || f.e.Act.Key == "" && pages > 1 {
		return Page{}
	}
	return Page{f.e.Act.Notifier, f.e.Act.Key}
}

// who says who acted, and where.
func (f *fold) who() string {
	who := cmp.Or(f.e.Act.Actor, "somebody")
	switch f.e.Source {
	case SourceSlack:
		return who + " in Slack"
	case SourcePagerDuty:
		return who + " in PagerDuty"
	}
	return who
}
