package router

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// pass does what was due by a time: recoveries that are held back no longer, and notifiers that need not
// wait any more, since the time of a route or a silence is over.
func (f *fold) pass(now time.Time) {
	f.passed = now
	for i := range f.state.Incidents {
		inc := &f.state.Incidents[i]
		if inc.State == IncidentResolved {
			f.expireResolved(inc, now)
			continue
		}
		expired, released := f.expire(inc, now), f.release(inc, now)
		counting := f.counting(inc.Number)
		before := slices.Clone(inc.Watch)
		switch {
		case len(expired) > 0 && len(counting) == 0:
			f.resolveExpired(inc, expired)
		case len(expired) > 0:
			inc.Severity = counting[0].Severity
			inc.say(counting)
			f.entryAt(inc, now, 0, EntryEased, fmt.Sprintf("%s: over by its own time; still active: %s", whatCounts(expired), whatCounts(counting)))
		case len(released) > 0 && len(counting) == 0:
			f.resolveHeld(inc, released)
		case len(released) > 0:
			inc.Severity = counting[0].Severity
			f.entryAt(inc, now, 0, EntryEased, fmt.Sprintf("%s has stayed away for %s; still active: %s",
				whatCounts(released), FormatDuration(released[0].Hold), whatCounts(counting)))
		}
		lapsed := f.lapse(inc, counting, now)
		silence := inc.Silence
		changed := f.watchAt(inc, counting, now)
		if lapsed != nil {
			f.entryAt(inc, now, 0, EntryUnacknowledged, lapsed.words(inc, before))
		}
		if inc.Silence.ID != silence.ID && inc.State != IncidentResolved {
			f.entryAt(inc, now, 0, EntrySilenced, inc.Silence.words())
		}
		reminded := f.remind(inc, counting, now)
		for j := range inc.Watch {
			if inc.Watch[j].Open && !before[j].Open && lapsed == nil { // else that said so
				f.entryAt(inc, now, 0, EntryTold, f.whyNow(inc, inc.Watch[j].Notifier, counting))
			}
		}
		if changed || reminded || lapsed != nil || len(released)+len(expired) > 0 {
			f.change(inc)
			f.owe(inc, before)
		}
		if inc.State == IncidentResolved {
			f.oweSiblings(inc)
		}
	}
}

// release ends the holds of an incident that are over, and returns their alerts.
func (f *fold) release(inc *Incident, now time.Time) (released []*Alert) {
	for i := range f.state.Alerts {
		a := &f.state.Alerts[i]
		if a.Incident == inc.Number && !a.HeldUntil.IsZero() && !a.HeldUntil.After(now) {
			a.HeldUntil = time.Time{}
			f.alerts = append(f.alerts, i)
			released = append(released, a)
		}
	}
	SortAlerts(released)
	return released
}

// releaseAll ends every hold of an incident: a person has resolved it.
func (f *fold) releaseAll(inc *Incident) {
	for i := range f.state.Alerts {
		if a := &f.state.Alerts[i]; a.Incident == inc.Number && !a.HeldUntil.IsZero() {
			a.HeldUntil = time.Time{}
			f.alerts = append(f.alerts, i)
		}
	}
}

// resolveHeld resolves an incident whose recovery was held back. It was over when Meta said so.
func (f *fold) resolveHeld(inc *Incident, released []*Alert) {
	last := slices.MaxFunc(released, func(a, b *Alert) int { return a.Until.Compare(b.Until) })
	inc.State, inc.ResolvedAt, inc.Severity = IncidentResolved, last.Until, inc.Peak
	f.entryAt(inc, last.Until.Add(last.Hold), 0, EntryResolved, fmt.Sprintf("%s after %s, and has stayed so for %s",
		recovered(last), FormatDuration(last.Until.Sub(inc.OpenedAt)), FormatDuration(last.Hold)))
}

// expireResolved notes that what a person had resolved is over by its own time, for cards that say that Meta still reports it.
func (f *fold) expireResolved(inc *Incident, now time.Time) {
	expired := f.expire(inc, now)
	if len(expired) == 0 {
		return
	}
	f.change(inc)
	f.entryAt(inc, expired[0].Until, 0, EntryRecovered, whatCounts(expired)+": over by its own time")
	if len(f.counting(inc.Number)) == 0 {
		f.oweCards(inc)
	}
}

// resolveExpired resolves an incident whose last alert has ended by its own time.
func (f *fold) resolveExpired(inc *Incident, expired []*Alert) {
	last := slices.MaxFunc(expired, func(a, b *Alert) int { return a.Until.Compare(b.Until) })
	inc.State, inc.ResolvedAt, inc.Severity = IncidentResolved, last.Until, inc.Peak
	f.entryAt(inc, last.Until, 0, EntryResolved, fmt.Sprintf("%s: over by its own time, after %s",
		whatCounts(expired), FormatDuration(last.Until.Sub(inc.OpenedAt))))
}

// recovered writes what got better about an alert.
func recovered(a *Alert) string {
	switch {
	case signalOf(a.Event).Moves():
		return Sentence(a.Event, a.Level) + ": over"
	case a.Level.IsWord():
		return SignalName(a.Event) + " " + Uncrossed(a.Event, a.Level)
	}
	return SignalName(a.Event) + " is " + Uncrossed(a.Event, a.Level)
}

// watch recomputes who is told of inc, and how bad it is for them, at the time of the event. counting are its
// alerts that count, worst first.
func (f *fold) watch(inc *Incident, counting []*Alert) {
	f.watchAt(inc, counting, f.passed)
}

// watchAt does so for a time, and says whether anything changed. A notifier is open while an alert that counts routes to it,
// from the time on that one of them may tell it. Its severity is the highest among those; what it must not be told yet
// does not raise it.
func (f *fold) watchAt(inc *Incident, counting []*Alert, now time.Time) (changed bool) {
	for i := range inc.Watch {
		w := &inc.Watch[i]
		was := *w
		if w.Rise != 0 { // a page of its own for a level: open while something as bad is routed there
			w.Open = inc.State != IncidentResolved && was.Open && routedSeverity(counting, w.Notifier) >= w.Severity
			changed = changed || *w != was
			continue
		}
		w.Paged = w.Paged && inc.State != IncidentResolved
		routed, tellable := f.severities(inc, w, counting, now)
		w.Open = inc.State != IncidentResolved && (tellable != SeverityUnset || was.Open && routed != SeverityUnset)
		switch { // what its service ended by itself stays ended there until it is worse, a person wishes it, or it is over
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

// mayTell says whether a notifier may newly be told of an alert.
func (f *fold) mayTell(inc *Incident, a *Alert, r *AlertRoute, now time.Time) bool {
	return !now.Before(r.Due) && !(r.UnlessAcknowledged && inc.State == IncidentAcknowledged) && f.silenceOf(inc, a) == nil
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

// nextSilence returns when the next silence of an alert begins; zero for none.
func (f *fold) nextSilence(inc *Incident, a *Alert) (next time.Time) {
	for i := range f.m.Silences {
		s := &f.m.Silences[i]
		if s.Planned(f.m.Now) && s.Covers(f.state.FlowID, a.Event, inc.Labels) && (next.IsZero() || s.Since.Before(next)) {
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

// wind sets when the next timer of each incident is due.
func (f *fold) wind() {
	for i := range f.state.Incidents {
		inc := &f.state.Incidents[i]
		wake := f.nextTimer(inc)
		if !wake.Equal(inc.Wake) {
			inc.Wake = wake
			f.dirty = append(f.dirty, inc.Number)
		}
	}
}

// nextTimer returns when something about an incident will be due; zero if nothing will.
func (f *fold) nextTimer(inc *Incident) (next time.Time) {
	soonest := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	counting := f.counting(inc.Number)
	lapses := f.lapsesAt(inc, counting)
	for i := range inc.Watch {
		soonest(f.remindsAt(inc, &inc.Watch[i], counting))
	}
	for _, a := range counting {
		if a.Active {
			soonest(a.Expires)
		}
		if inc.State == IncidentResolved {
			continue
		}
		soonest(a.HeldUntil)
		soonest(lapses)
		if silence := f.silenceOf(inc, a); silence != nil {
			soonest(silence.Until)
		}
		soonest(f.nextSilence(inc, a))
		for _, r := range a.Routes {
			i := slices.IndexFunc(inc.Watch, func(w Watch) bool { return w.Notifier == r.Notifier })
			told := i >= 0 && inc.Watch[i].Open && inc.Watch[i].Severity >= a.Severity
			if !told && r.Due.After(f.passed) {
				soonest(r.Due)
			}
		}
	}
	return next
}

// lastHold returns when the last recovery that is held back counts.
func lastHold(counting []*Alert) (last time.Time) {
	for _, a := range counting {
		if a.HeldUntil.After(last) {
			last = a.HeldUntil
		}
	}
	return last
}

// whatCounts lists alerts for a sentence.
func whatCounts(alerts []*Alert) string {
	words := make([]string, len(alerts))
	for i, a := range alerts {
		words[i] = Sentence(a.Event, a.Level)
		if !a.Active && !a.HeldUntil.IsZero() {
			words[i] += " (recovering)"
		}
	}
	return strings.Join(words, ", ")
}
