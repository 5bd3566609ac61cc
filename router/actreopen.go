package router

import (
	"slices"
	"time"
)

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
	inc.say(counting) // what was held back is over with the resolution
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
	if page.Notifier == "" && page.Key != "" { // of before: one page of a key is open at a time, so it is this now
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
