package router

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// PageState says how an incident stands with somebody who can be paged for it.
type PageState string

// The states of a page.
const (
	PageMade         PageState = "paged"        // it was told: its page is open
	PageWaiting      PageState = "waiting"      // it is told at PageStatus.At, if the incident still goes on
	PageAcknowledged PageState = "acknowledged" // it is not told: somebody acknowledged the incident first
	PageSilenced     PageState = "silenced"     // it is not told: of a silence
	PageEnded        PageState = "ended"        // the service ended its page by itself, and is told of what is worse
	PageFailed       PageState = "failed"       // it is to be told, and could not be so far: PageStatus.Why says why
)

// PageStatus is how an incident stands with one notifier that pages.
type PageStatus struct {
	Notifier string
	State    PageState
	At       time.Time // when it was told, or is due; zero: it would have been told at once
	By       string    // who had it paged by hand; "" for nobody
	Again    bool      // a second page, since it got worse after it was acknowledged
	// UnlessAcknowledged says of a page that waits that an acknowledgement takes it back.
	UnlessAcknowledged bool
	Link               Link // what the service calls it; zero where that is not known
	// Why says of a page that failed what its service answered last, and Delivery which delivery that is.
	Why      string
	Delivery int64
}

// Pages says who is paged for an incident, who will be, and who is not although the rules route an alert there,
// sorted by notifier. alerts are those of the incident. Of one that is over, it lists nobody.
func (i *Incident) Pages(alerts []Alert) (list []PageStatus) {
	if i.State == IncidentResolved {
		return nil
	}
	for _, w := range i.Watch {
		if !slices.Contains(i.Pageable, w.Notifier) {
			continue
		}
		p := PageStatus{Notifier: w.Notifier, State: PageMade, At: w.Since, Again: w.PagedAt != 0, Link: i.linkOf(&w)}
		if w.Paged {
			p.By = w.PagedBy
		}
		due, routed := dueFor(alerts, w.Notifier)
		switch {
		case w.Open:
		case w.PagedAt != 0 || !routed:
			continue
		default:
			p.At, p.Link, p.UnlessAcknowledged = due.Due, Link{}, due.UnlessAcknowledged
			p.State = i.waits(&w, due)
		}
		list = append(list, p)
	}
	return list
}

// PagesTold is Pages with what became of its deliveries: one that could not be told is PageFailed.
func (d *IncidentDetail) PagesTold() []PageStatus {
	list := d.Pages(d.Alerts)
	for i := range list {
		p := &list[i]
		if failed := d.failedPage(p); failed != nil {
			p.State, p.Why, p.Delivery, p.Link = PageFailed, cmp.Or(failed.LastError, failed.Behind), failed.ID, Link{}
		}
	}
	return list
}

// failedPage returns the delivery of a page that its service has not been told of, nil where it has been, or is not to
// be. A second page is the newest delivery of its notifier.
func (d *IncidentDetail) failedPage(p *PageStatus) *Delivery {
	var found *Delivery
	for i := range d.Deliveries {
		if del := &d.Deliveries[i]; del.Notifier == p.Notifier && (found == nil || p.Again) {
			found = del
		}
	}
	switch {
	case p.State != PageMade || found == nil || found.Receipt.Open && !found.Receipt.Unsure:
		return nil
	case found.LastError == "" && found.Behind == "":
		return nil
	case found.State != DeliveryParked && found.State != DeliveryWaiting:
		return nil
	case p.Link.Name() != "" && found.Receipt.Told == 0: // its service tells us of it: the answer alone was lost
		return nil
	}
	return found
}

// WhoHasIt names who has an incident, "" for nobody, and says then whom the service that pages calls: "PagerDuty calls
// Ada", or "". Whom that calls has not said yes.
func (i *Incident) WhoHasIt() (has, called string) {
	switch {
	case !i.AcknowledgedAt.IsZero() || i.AcknowledgedBy != "":
		return cmp.Or(i.Owner, i.AcknowledgedBy), ""
	case i.Owner == "":
		return "", ""
	case i.State == IncidentResolved:
		return "", pagingService() + " called " + i.Owner
	}
	return "", pagingService() + " calls " + i.Owner
}

// waits says why a notifier that an alert is routed to has no page.
func (i *Incident) waits(w *Watch, r AlertRoute) PageState {
	switch {
	case w.Dismissed != SeverityUnset:
		return PageEnded
	case r.UnlessAcknowledged && i.State == IncidentAcknowledged:
		return PageAcknowledged
	case i.Silence.ID != "":
		return PageSilenced
	}
	return PageWaiting
}

// dueFor returns how the first alert that counts and is routed to a notifier gets there.
func dueFor(alerts []Alert, notifier string) (first AlertRoute, routed bool) {
	for k := range alerts {
		r := alerts[k].route(notifier)
		if r == nil || !alerts[k].Counts() {
			continue
		}
		if !routed || r.Due.Before(first.Due) {
			first, routed = *r, true
		}
	}
	return first, routed
}

// linkOf returns what the service calls the page of a watch.
func (i *Incident) linkOf(w *Watch) Link {
	for _, l := range i.Links {
		if l.Notifier == w.Notifier && (l.Key == i.keyFor(*w) || l.Key == "" && w.PagedAt == 0) {
			return l
		}
	}
	return Link{}
}

// sameName says whether another link names the same thing, by all that people are shown.
func (l *Link) sameName(other *Link) bool {
	return l.ID == other.ID && l.Number == other.Number && l.URL == other.URL
}

// Name returns what the service calls it, as people say it there: "PagerDuty #7"; "" where that is not known.
func (l *Link) Name() string {
	switch {
	case l.Number != 0:
		return fmt.Sprintf("%s #%d", pagingService(), l.Number)
	case l.ID != "":
		return pagingService() + " " + l.ID
	}
	return ""
}

// pagingService names the service that pages; one kind does.
func pagingService() string {
	i := slices.IndexFunc(kinds, func(k kindInfo) bool { return k.pages })
	return kinds[i].label
}

// Words says it in a sentence without its end: "Paged payments-oncall (PagerDuty #7)", "Pages payments-oncall at
// 22:46 UTC unless acknowledged". at writes a time for the reader.
func (p *PageStatus) Words(at func(time.Time) string) string {
	when := ""
	if !p.At.IsZero() {
		when = at(p.At)
	}
	switch p.State {
	case PageWaiting:
		said := "Pages " + p.Notifier
		if when != "" {
			said += " at " + when
		}
		if p.UnlessAcknowledged {
			said += " unless acknowledged"
		}
		return said
	case PageAcknowledged:
		said := "The acknowledgement took the page of " + p.Notifier + " back"
		if when != "" {
			said += ", which was due at " + when
		}
		return said
	case PageSilenced:
		return p.Notifier + " is not paged while it is silenced"
	case PageEnded:
		return p.Notifier + " is not paged until it gets worse: " + pagingService() + " ended its page by itself"
	}
	if p.State == PageFailed {
		return p.Notifier + " could not be paged: " + p.Why
	}
	said := "Paged " + p.Notifier
	if p.Again {
		said += " again"
	}
	if name := p.Link.Name(); name != "" {
		said += " (" + name + ")"
	}
	if p.By != "" {
		said += ", by " + p.By
	}
	return said
}

// notePages says on the timeline who is paged by what has just happened. Where it happened in their own service,
// they know.
func (f *fold) notePages(inc *Incident, before []Watch, at time.Time) {
	from := f.from(inc)
	var names []string
	for _, w := range inc.Watch {
		was := slices.ContainsFunc(before, func(b Watch) bool {
			return b.Open && b.Notifier == w.Notifier && b.PagedAt == w.PagedAt && b.Opening == w.Opening
		})
		if w.Open && !was && slices.Contains(inc.Pageable, w.Notifier) && !from.Is(w.Notifier, inc.keyFor(w)) {
			names = append(names, w.Notifier)
		}
	}
	if len(names) > 0 {
		f.entryAt(inc, at, f.e.Seq, EntryPaged, paged(slices.Compact(names)))
	}
}

// takenBack lists the pages that an acknowledgement takes back, for the timeline.
func (i *Incident) takenBack(alerts []Alert) string {
	var names []string
	for _, p := range i.Pages(alerts) {
		if p.State == PageAcknowledged {
			names = append(names, p.Notifier)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "; takes back the page of " + strings.Join(names, ", ")
}

// paged says who was paged, for the timeline.
func paged(notifiers []string) string { return "Paged " + strings.Join(notifiers, ", ") }
