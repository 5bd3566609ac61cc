package router

import (
	"fmt"
	"slices"
	"time"
)

// watch recomputes who is told of inc, and how bad it is for them, at the time of the event. counting are its
// alerts that count, worst first.
func (f *fold) watch(inc *Incident, counting []*Alert) {
	f.watchAt(inc, counting, f.passed)
}

// watchAgain gives those who are paged a second page where it got worse while somebody had it.
func (f *fold) watchAgain(t *touched, inc *Incident) {
	if inc.PageOnRise && inc.State == IncidentAcknowledged && inc.Severity > t.severity {
		f.pageAgain(inc)
	}
}

// watchAt does so for a time, and says whether anything changed. A notifier is open while an alert that counts routes
// to it, from the time on that one of them may tell it. Its severity is the highest among those; what it must not be
// told yet does not raise it.
func (f *fold) watchAt(inc *Incident, counting []*Alert, now time.Time) (changed bool) {
	for i := range inc.Watch {
		w := &inc.Watch[i]
		was := *w
		if w.PagedAt != 0 { // a page of its own for a level: open while something as bad is routed there
			w.Open = inc.State != IncidentResolved && was.Open && routedSeverity(counting, w.Notifier) >= w.Severity
			changed = changed || *w != was
			continue
		}
		w.Paged = w.Paged && inc.State != IncidentResolved
		routed, tellable := f.severities(inc, w, counting, now)
		w.Open = inc.State != IncidentResolved && (tellable != SeverityUnset || was.Open && routed != SeverityUnset)
		// what its service ended by itself stays ended there until it is worse, a person wishes it, or it is over
		switch {
		case w.Dismissed == SeverityUnset:
		case w.Open && tellable <= w.Dismissed && !w.Paged:
			w.Open = false
		default:
			w.Dismissed = SeverityUnset
		}
		switch {
		case w.Open && was.Open:
			w.Severity = max(tellable, min(was.Severity, routed))
			if w.Held && w.Severity > was.Severity {
				w.opens(f.heard())
			}
		case w.Open:
			w.Severity = tellable
			w.opens(f.heard())
		case w.Dismissed == SeverityUnset:
			w.Repaged = false
		}
		changed = changed || *w != was
	}
	silence := Silence{}
	if inc.State != IncidentResolved && len(counting) > 0 {
		if s := f.silenceOf(inc, counting[0]); s != nil {
			silence = *s
		}
	}
	if silence.ID != inc.Silence.ID {
		inc.Silence, changed = silence, true
	}
	return changed
}

// severities returns the worst severity that is routed to a notifier, and the worst that it may be told of now.
func (f *fold) severities(inc *Incident, w *Watch, counting []*Alert, now time.Time) (routed, tellable Severity) {
	for _, a := range counting {
		r := a.route(w.Notifier)
		if r == nil {
			continue
		}
		routed = max(routed, a.Severity)
		if f.mayTell(inc, a, r, now) {
			tellable = max(tellable, a.Severity)
		}
	}
	if w.Paged && len(counting) > 0 {
		routed, tellable = max(routed, counting[0].Severity), max(tellable, counting[0].Severity)
	}
	return routed, tellable
}

// mayTell says whether a notifier may newly be told of an alert. One whose recovery is held back is over, as far as
// anybody knows.
func (f *fold) mayTell(inc *Incident, a *Alert, r *AlertRoute, now time.Time) bool {
	return a.HeldUntil.IsZero() && !now.Before(r.Due) && !(r.UnlessAcknowledged && inc.State == IncidentAcknowledged) &&
		f.silenceOf(inc, a) == nil
}

// silenceOf returns a silence that an alert is under, or nil. A silence is about when people are told, so it goes
// by our clock.
func (f *fold) silenceOf(inc *Incident, a *Alert) *Silence {
	for i := range f.m.Silences {
		if s := &f.m.Silences[i]; s.holds(f.m.Now) && s.Covers(f.state.FlowID, a.Event, inc.Labels) {
			return s
		}
	}
	return nil
}

// opens makes it a new opening.
func (w *Watch) opens(at time.Time) {
	w.Opening++
	w.Since, w.Held = at, false
	w.Reminders, w.Reminded = 0, time.Time{}
}

// routedSeverity returns the worst severity that is routed to a notifier.
func routedSeverity(counting []*Alert, notifier string) (worst Severity) {
	for _, a := range counting {
		if a.route(notifier) != nil {
			worst = max(worst, a.Severity)
		}
	}
	return worst
}

// nextSilence returns when the next silence of an alert begins; zero for none.
func (f *fold) nextSilence(inc *Incident, a *Alert) (next time.Time) {
	for i := range f.m.Silences {
		s := &f.m.Silences[i]
		covers := s.Planned(f.m.Now) && s.Covers(f.state.FlowID, a.Event, inc.Labels)
		if covers && (next.IsZero() || s.Since.Before(next)) {
			next = s.Since
		}
	}
	return next
}

// whyNow says on the timeline why a notifier is told later than the others.
func (f *fold) whyNow(inc *Incident, notifier string, counting []*Alert) string {
	told := "Told"
	if slices.Contains(inc.Pageable, notifier) {
		told = "Paged"
	}
	for _, a := range counting {
		if r := a.route(notifier); r != nil && r.Due.After(a.Since) {
			return fmt.Sprintf("%s %s: still active after %s", told, notifier, FormatDuration(r.Due.Sub(a.Since)))
		}
	}
	return told + " " + notifier + ", which had to wait"
}

// pageAgain opens a second page at every notifier that pages and hears of something worse than the acknowledgement of
// its page covers: a service notifies nobody of changes to what is acknowledged there. It holds for a rise that was
// folded before the acknowledgement became known, too.
func (f *fold) pageAgain(inc *Incident) {
	counting := f.counting(inc.Number)
	var more []Watch
	for _, w := range inc.Watch {
		if w.PagedAt != 0 || !w.Open || !slices.Contains(inc.Pageable, w.Notifier) || !inc.heldBy(&w, counting) {
			continue
		}
		covered, rise := SeverityUnset, (*Alert)(nil)
		for _, a := range counting { // worst first
			switch {
			case a.route(w.Notifier) == nil:
			case inc.Acknowledges(a):
				covered = max(covered, a.Severity)
			case rise == nil && a.Severity <= w.Severity:
				rise = a
			}
		}
		if rise == nil || rise.Severity <= covered || f.pagedAgain(inc, w.Notifier, rise) {
			continue
		}
		more = append(more, Watch{Notifier: w.Notifier, Target: w.Target, Open: true, Severity: w.Severity,
			PagedAt: rise.OpenedBy, Opening: 1, Since: f.heard()})
	}
	inc.Watch = append(inc.Watch, more...)
	slices.SortFunc(inc.Watch, compareWatch)
}

// pagedAgain says whether a notifier has a second page for a rise already, or one that is as bad.
func (f *fold) pagedAgain(inc *Incident, notifier string, rise *Alert) bool {
	return slices.ContainsFunc(inc.Watch, func(w Watch) bool {
		return w.Notifier == notifier && w.PagedAt != 0 &&
			(w.PagedAt == rise.OpenedBy || w.Open && w.Severity >= rise.Severity)
	})
}

// heldPages returns those whose pages the acknowledgement holds: where it ends they are opened anew.
func (i *Incident) heldPages(counting []*Alert) (held []Watch) {
	for _, w := range i.Watch {
		if w.Open && slices.Contains(i.Pageable, w.Notifier) && i.heldBy(&w, counting) {
			held = append(held, w)
		}
	}
	return held
}

// heldBy says whether the service of a page may hold it as acknowledged: it opened before the acknowledgement, or all
// that it opened for after that was covered, so that the acknowledgement went with it.
func (i *Incident) heldBy(w *Watch, counting []*Alert) bool {
	if !w.Since.After(i.AcknowledgedAt) {
		return true
	}
	covers := false
	for _, a := range counting {
		r := a.route(w.Notifier)
		if r == nil {
			continue
		}
		covered := i.Acknowledges(a) && !r.Due.After(i.AcknowledgedAt)
		if !covered && !a.Heard.After(w.Since) {
			return false
		}
		covers = covers || covered
	}
	return covers && i.AcknowledgesPage(w)
}
