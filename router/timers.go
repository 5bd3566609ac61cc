package router

import (
	"fmt"
	"slices"
	"time"
)

// runTimers does what was due by a time: recoveries that are held back no longer, alerts and acknowledgements that end
// by themselves, reminders, and notifiers that need not wait any more, since the time of a route or a silence is over.
func (f *fold) runTimers(now time.Time) {
	f.passed = now
	for i := range f.state.Incidents {
		inc := &f.state.Incidents[i]
		if inc.State == IncidentResolved {
			f.expireResolved(inc, now)
			continue
		}
		f.runTimersOf(inc, now)
	}
}

// runTimersOf does so for an incident that goes on.
func (f *fold) runTimersOf(inc *Incident, now time.Time) {
	expired, released := f.expire(inc, now), f.release(inc, now)
	begun := f.begin(inc, now)
	counting := f.counting(inc.Number)
	f.endByTime(inc, expired, released, counting, now)
	rose := f.sayBegun(inc, begun, counting, now)
	before, silence := slices.Clone(inc.Watch), inc.Silence
	lapsed := f.lapse(inc, counting, now)
	changed := f.watchAt(inc, counting, now)
	if lapsed != nil {
		f.entryAt(inc, now, 0, EntryUnacknowledged, lapsed.words(inc, before))
	}
	if inc.Silence.ID != silence.ID && inc.State != IncidentResolved {
		f.entryAt(inc, now, 0, EntrySilenced, inc.Silence.words())
	}
	reminded := f.remind(inc, counting, now)
	for j := range inc.Watch {
		if inc.Watch[j].Open && !before[j].Open && lapsed == nil && !begun { // else that said so
			f.entryAt(inc, now, 0, EntryTold, f.whyNow(inc, inc.Watch[j].Notifier, counting))
		}
	}
	again := false
	if (rose || roseFor(inc, before)) && inc.PageOnRise && inc.State == IncidentAcknowledged {
		pages := len(inc.Watch)
		f.pageAgain(inc)
		again = len(inc.Watch) > pages
	}
	if begun || again {
		f.notePages(inc, before, now)
	}
	if changed || reminded || lapsed != nil || begun || len(released)+len(expired) > 0 {
		f.change(inc)
		f.owe(inc, before)
	}
	if inc.State == IncidentResolved {
		f.oweSiblings(inc)
	}
}

// roseFor says whether it got worse for a notifier that was told before: by something that it had to wait for.
func roseFor(inc *Incident, before []Watch) bool {
	for i := range before {
		if inc.Watch[i].Open && before[i].Open && inc.Watch[i].Severity > before[i].Severity {
			return true
		}
	}
	return false
}

// endByTime says on the timeline what has ended: alerts by their own time, or held back for long enough. The incident
// is resolved with the last of them.
func (f *fold) endByTime(inc *Incident, expired, released, counting []*Alert, now time.Time) {
	switch {
	case len(expired) > 0 && len(counting) == 0:
		f.resolveExpired(inc, expired)
	case len(expired) > 0:
		inc.Severity = counting[0].Severity
		inc.say(counting)
		f.entryAt(inc, now, 0, EntryEased, fmt.Sprintf("%s: over by its own time; still active: %s",
			whatCounts(expired), whatCounts(counting)))
	case len(released) > 0 && len(counting) == 0:
		f.resolveHeld(inc, released)
	case len(released) > 0:
		inc.Severity = counting[0].Severity
		inc.say(counting)
		f.entryAt(inc, now, 0, EntryEased, fmt.Sprintf("%s has stayed away for %s; still active: %s",
			whatCounts(released), FormatDuration(released[0].Hold), whatCounts(counting)))
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
		sayRecovered(last), FormatDuration(last.Until.Sub(inc.OpenedAt)), FormatDuration(last.Hold)))
}

// expireResolved notes that what a person had resolved is over by its own time, for cards that say that Meta still
// reports it.
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

// setTimers sets when the next timer of each incident is due.
func (f *fold) setTimers() {
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
	if inc.State != IncidentResolved {
		soonest(countdownOf(counting).next())
	}
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
