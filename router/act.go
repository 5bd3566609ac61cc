package router

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
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

// endedThere tells a page again which a person ended in its service before somebody wished the incident open: the
// service has ended it all the same, and makes it anew. Where it is open there again, nobody notices.
func (f *fold) endedThere(inc *Incident) {
	if f.e.Name != Resolve || f.e.Source != SourcePagerDuty {
		return
	}
	for i := range inc.Watch {
		w := &inc.Watch[i]
		if key := inc.keyFor(*w); w.Open && w.Notifier == f.e.Act.Notifier &&
			(f.e.Act.Key == "" || f.e.Act.Key == key) {
			o := inc.owes(w)
			o.Target = f.targetOf(w)
			f.owed = append(f.owed, o)
		}
	}
}

// heldThere takes up an acknowledgement in a service that changes nothing here: the service holds the page as
// acknowledged all the same, and notifies nobody of more. Where somebody took it back elsewhere since, the page is
// opened anew, unless it was taken back there, too. Where it stands by another act, the delivery remembers it for when
// that is taken back.
func (f *fold) heldThere(inc *Incident) {
	page := f.from(inc)
	if f.e.Name != Acknowledge || f.e.Act.Itself || inc.State == IncidentOpen && page == inc.Acts.AcknowledgementIn {
		return
	}
	for i := range inc.Watch {
		w := &inc.Watch[i]
		if !w.Open || !page.Is(w.Notifier, inc.keyFor(*w)) || f.e.At.Before(w.Since) {
			continue
		}
		o := inc.owes(w)
		o.Target, o.Opening = f.targetOf(w), 0 // of whatever the service has
		if inc.State == IncidentAcknowledged {
			o.Acknowledged, o.At = true, f.e.At
			f.alreadyThere = append(f.alreadyThere, o)
			continue
		}
		w.opens(f.heard())
		o.Opening = w.Opening
		f.owed = append(f.owed, o)
		f.change(inc)
		f.say("the page of %s is opened anew", inc.Name())
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
	inc.State = IncidentOpen
	unacknowledge(inc)
	inc.restReminders(f.e.At)
	f.entry(inc, EntryUnacknowledged, "No longer acknowledged: "+f.who())
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

// actItself folds what a service that pages did by itself: no person has decided anything, so Meta's word stands. A
// page that it ended is sent once more, unless the rule says that it is only noted; one that it acknowledged is opened
// anew when it gets worse.
func (f *fold) actItself(inc *Incident) {
	w := f.openPage(inc)
	if w == nil || f.e.At.Before(w.Since) {
		f.say("%s: no page of it is open there", inc.Name())
		return
	}
	f.byItself(inc, w, f.e.Name, f.e.At)
}

// openPage returns the open page through which the act came, nil if there is none.
func (f *fold) openPage(inc *Incident) *Watch {
	i := slices.IndexFunc(inc.Watch, func(w Watch) bool {
		return w.Open && w.Notifier == f.e.Act.Notifier &&
			(f.e.Act.Key == "" && w.PagedAt == 0 || f.e.Act.Key == inc.keyFor(w))
	})
	if i < 0 {
		return nil
	}
	return &inc.Watch[i]
}

// byItself takes up what a service did at a time to a page by itself: it acknowledged it, or ended it.
func (f *fold) byItself(inc *Incident, w *Watch, name string, at time.Time) {
	before := slices.Clone(inc.Watch)
	what := ""
	switch {
	case name == Acknowledge:
		w.Held = true
		what = "acknowledged it by itself: nobody has it"
		f.say("%s acknowledged %s by itself", w.Notifier, inc.Name())
	case inc.NoteAutoResolve || w.Repaged:
		w.Dismissed, w.Open = w.Severity, false
		what = "ended its page by itself, and is told again when it gets worse; " + Reporter(inc.Event) + " still reports it"
		f.say("%s ended the page of %s by itself", w.Notifier, inc.Name())
	default:
		w.Repaged = true
		w.Opening++
		w.Since = f.heard()
		what = "ended its page by itself while " + Reporter(inc.Event) + " still reports it, and is paged once more"
		f.say("paged %s again for %s", w.Notifier, inc.Name())
	}
	inc.ByItself = cmp.Or(w.Notifier, "PagerDuty") + " " + what
	f.entry(inc, EntryByItself, inc.ByItself)
	f.change(inc)
	if w.Dismissed != SeverityUnset {
		f.oweOthers(inc, before)
		return
	}
	from := len(f.owed)
	f.owe(inc, before)
	for i := range f.owed[from:] {
		if o := &f.owed[from+i]; name == Resolve && o.Target.Notifier == w.Notifier && o.PagedAt == w.PagedAt {
			o.Ended = at
		}
	}
}

// actReopen takes back that a person resolved an incident that Meta still reports.
func (f *fold) actReopen(inc *Incident) {
	counting := f.counting(inc.Number)
	why := inc.may(Reopen, len(counting) > 0 && f.incidentByKey(inc.Key) == nil)
	if why != MayHappen {
		f.refuse(inc, why)
	}
	switch why {
	case NotResolved:
		f.endReopened(inc) // its page may be over: what that was for has recovered, and something lesser goes on
		f.fellOnOwn(inc)
		return
	case Recovered:
		f.endReopened(inc)
		return
	}
	before := slices.Clone(inc.Watch)
	f.unresolve(inc)
	inc.Severity = counting[0].Severity
	f.entry(inc, EntryReopened, "Reopened by "+f.who())
	f.say("reopened %s", inc.Name())
	f.change(inc)
	f.watch(inc, counting)
	f.notePages(inc, before, f.e.At)
	f.oweOthers(inc, before)
	f.oweSiblings(inc)
	f.endReopened(inc)
	if w := f.openPage(inc); w != nil && f.e.Source == SourcePagerDuty && inc.Acts.Ended.After(f.e.At) {
		f.alreadyThere = slices.DeleteFunc(f.alreadyThere, func(o Owed) bool {
			return o.Incident == inc.Number && o.Target.Notifier == w.Notifier && o.PagedAt == w.PagedAt
		})
		f.byItself(inc, w, Resolve, inc.Acts.Ended) // the service has ended it since
	}
}

// endReopened ends a page that a person reopened in its service, where what it was for has recovered since they did:
// nobody else would end it there. What was over when they reopened it is their own wish, until there is new trouble.
func (f *fold) endReopened(inc *Incident) {
	page := f.from(inc)
	// a page of before: one page of a key is open at a time, so it is this now
	if page.Notifier == "" && page.Key != "" {
		for _, w := range inc.Watch {
			if inc.keyFor(w) == page.Key && slices.Contains(inc.Pageable, w.Notifier) {
				page.Notifier = w.Notifier
			}
		}
	}
	if newer := f.incidentByKey(inc.Key); newer != nil && newer.Number != inc.Number {
		for _, w := range inc.Watch {
			if !page.Is(w.Notifier, inc.keyFor(w)) || f.madeAnew(newer, inc, &w) {
				continue
			}
			inc.Reopened = page // what comes after the newer one would fall on it, too
			f.dirty = append(f.dirty, inc.Number)
			if f.fellOn(newer, w.Target, inc.keyFor(w), inc.linkOf(&w).ID) {
				inc.Reopened = Page{}
				f.owed = append(f.owed, inc.owesEnd(&w)) // first: the newer one may not be told yet
			}
		}
		return // it has the key now, and its page would be ended
	}
	for _, w := range inc.Watch {
		if w.Open || !page.Is(w.Notifier, inc.keyFor(w)) {
			continue
		}
		inc.Reopened = page
		f.dirty = append(f.dirty, inc.Number)
		since := slices.ContainsFunc(f.state.Alerts, func(a Alert) bool {
			return a.Incident == inc.Number && a.route(w.Notifier) != nil && a.Until.After(f.e.At)
		})
		if since {
			f.owed = append(f.owed, inc.owesEnd(&w))
		}
	}
}

// madeAnew says whether the service made a page of its own for what came after w had been reopened, and calls it by
// another name: what had been reopened was over by then. One that has opened more than once may owe its name to before.
func (f *fold) madeAnew(newer, inc *Incident, w *Watch) bool {
	key, before := inc.keyFor(*w), inc.linkOf(w)
	return before.ID != "" && slices.ContainsFunc(newer.Watch, func(n Watch) bool {
		now := newer.linkOf(&n)
		return n.Target == w.Target && newer.keyFor(n) == key && n.Opening == 1 && f.e.At.Before(n.Since) &&
			now.ID != "" && now.ID != before.ID
	})
}

// fellOn opens a page anew that fell on an older one, or would, which a person had reopened: whoever has that has not
// been told of this. A reopening that came after the opening may still have come before our attempt to tell it: where
// the service has named the older page, and the newer one has no other name, it fell on that. name is that of the
// older, "" for none.
func (f *fold) fellOn(inc *Incident, target, key, name string) (fell bool) {
	for i := range inc.Watch {
		w := &inc.Watch[i]
		if !w.Open || w.Target != target || inc.keyFor(*w) != key {
			continue
		}
		nameless := name != "" && (inc.linkOf(w).ID == "" || inc.linkOf(w).ID == name)
		if !f.e.At.Before(w.Since) && !nameless {
			continue
		}
		w.opens(f.heard())
		o := inc.owes(w)
		o.Target = f.targetOf(w)
		f.owed = append(f.owed, o)
		f.change(inc)
		f.say("the page of %s is opened anew", inc.Name())
		fell = true
	}
	return fell
}

// fellOnOwn does so where the incident's own page was over when a person reopened it, and something has come since that
// nobody has acknowledged: also where that opened the incident again, and is told elsewhere alone.
func (f *fold) fellOnOwn(inc *Incident) {
	page, counting := f.from(inc), f.counting(inc.Number)
	for _, w := range inc.Watch {
		news := inc.Since.After(f.e.At) || slices.ContainsFunc(counting, func(a *Alert) bool { // it was over in between
			return a.route(w.Notifier) != nil && a.Heard.After(f.e.At)
		})
		seen := inc.State == IncidentAcknowledged && inc.AcknowledgedAt.After(w.Since)
		if key := inc.keyFor(w); news && !seen && page.Is(w.Notifier, key) && f.fellOn(inc, w.Target, key, "") {
			f.owed[len(f.owed)-1].Reopened = true
		}
	}
}

// endOld ends the pages of earlier incidents with a key that people have reopened: the page of the next would fall on
// them, and notify nobody.
func (f *fold) endOld(key string) {
	for i := range f.state.Incidents {
		inc := &f.state.Incidents[i]
		if inc.Key != key || inc.State != IncidentResolved || inc.Reopened == (Page{}) {
			continue
		}
		for _, w := range inc.Watch {
			if inc.Reopened.Is(w.Notifier, inc.keyFor(w)) {
				f.owed = append(f.owed, inc.owesEnd(&w))
			}
		}
		inc.Reopened = Page{}
		f.dirty = append(f.dirty, inc.Number)
	}
}

// unresolve opens an incident again that a person had resolved.
func (f *fold) unresolve(inc *Incident) {
	inc.State, inc.ResolvedAt, inc.ResolvedBy, inc.Since = IncidentOpen, time.Time{}, "", f.e.At
	if f.e.Act == nil {
		inc.Since = f.heard()
	}
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
	inc.Links = slices.DeleteFunc(
		slices.Clone(inc.Links),
		func(old Link) bool { return old.Notifier == link.Notifier && old.Key == link.Key },
	)
	inc.Links = append(inc.Links, *link)
	slices.SortFunc(inc.Links, func(a, b Link) int {
		return cmp.Or(strings.Compare(a.Notifier, b.Notifier), strings.Compare(a.Key, b.Key))
	})
	inc.Owner = cmp.Or(inc.Owner, f.e.Act.Owner)
	name := link.ID
	if link.Number != 0 {
		name = fmt.Sprintf("#%d", link.Number)
	}
	f.entry(inc, EntryLinked, fmt.Sprintf("%s's page is PagerDuty %s", cmp.Or(link.Notifier, "somebody"), name))
	f.say("linked %s", inc.Name())
	f.change(inc)
	f.oweOthers(inc, nil)
	if inc.State != IncidentResolved || inc.ResolvedBy == "" || f.incidentByKey(inc.Key) != nil {
		return
	}
	for _, w := range inc.Watch { // the service made it anew after a person had resolved what it had: close that, too
		if key := inc.keyFor(w); w.Notifier == link.Notifier && key == cmp.Or(link.Key, inc.Key) {
			o := inc.owesEnd(&w)
			o.Ended = f.e.At // unless we have closed it since
			f.owed = append(f.owed, o)
		}
	}
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

// from returns the page through which the act came, the zero Page where it came through none, or nobody knows which. An
// act without a key is about the only page that the notifier has: one that is made later is not it.
func (f *fold) from(inc *Incident) Page {
	if f.e.Source != SourcePagerDuty {
		return Page{}
	}
	if f.e.Act.Key != "" {
		return Page{f.e.Act.Notifier, f.e.Act.Key}
	}
	only, pages := Page{}, 0
	for _, w := range inc.Watch {
		if w.Notifier == f.e.Act.Notifier {
			only, pages = Page{w.Notifier, inc.keyFor(w)}, pages+1
		}
	}
	if pages > 1 {
		return Page{}
	}
	return only
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
