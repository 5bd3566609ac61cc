package router

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

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

// openPage returns the open page through which the act came, nil if there is none. Where several notifiers have a page
// with its key, and nobody knows which was meant, it is the only one that is open.
func (f *fold) openPage(inc *Incident) *Watch {
	is := func(w Watch) bool {
		key := inc.keyFor(w)
		if f.e.Act.Notifier == "" {
			return w.Open && f.e.Act.Key == key && slices.Contains(inc.Pageable, w.Notifier)
		}
		return w.Open && w.Notifier == f.e.Act.Notifier &&
			(f.e.Act.Key == "" && w.PagedAt == 0 || f.e.Act.Key == key)
	}
	i := slices.IndexFunc(inc.Watch, is)
	if i < 0 || f.e.Act.Notifier == "" && slices.ContainsFunc(inc.Watch[i+1:], is) {
		return nil
	}
	return &inc.Watch[i]
}

// heldElsewhere says whether the act would take back an acknowledgement that its own page does not hold: the service
// escalated a page that opened after it, or a time-out ended what stands by an act in another page.
func (f *fold) heldElsewhere(inc *Incident) bool {
	page := f.from(inc)
	if f.e.Name != Unacknowledge || inc.State != IncidentAcknowledged || page.Notifier == "" ||
		inc.AcknowledgedIn.Is(page.Notifier, page.Key) {
		return false
	}
	if f.e.Act.Itself && inc.AcknowledgedIn.Notifier != "" {
		return true
	}
	i := slices.IndexFunc(inc.Watch, func(w Watch) bool { return page.Is(w.Notifier, inc.keyFor(w)) })
	return i >= 0 && !inc.heldBy(&inc.Watch[i], f.counting(inc.Number))
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

// actLink keeps what a service calls the incident; the other cards show it.
func (f *fold) actLink(inc *Incident) {
	link := f.e.Act.Link
	if link == nil || link.ID == "" || slices.Contains(inc.Links, *link) {
		f.say("nothing new about %s", inc.Name())
		return
	}
	known := false
	inc.Links = slices.DeleteFunc(slices.Clone(inc.Links), func(old Link) bool {
		known = known || old.Notifier == link.Notifier && old.Key == link.Key && old.sameName(link)
		return old.Notifier == link.Notifier && old.Key == link.Key
	})
	inc.Links = append(inc.Links, *link)
	slices.SortFunc(inc.Links, func(a, b Link) int {
		return cmp.Or(strings.Compare(a.Notifier, b.Notifier), strings.Compare(a.Key, b.Key))
	})
	inc.Owner = cmp.Or(inc.Owner, f.e.Act.Owner)
	if known { // nobody is shown its service
		f.say("nothing new about %s", inc.Name())
		f.dirty = append(f.dirty, inc.Number)
		return
	}
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
