package router

import (
	"slices"
	"time"
)

// effect is what an event does to the levels of its signal. Clearing comes first: BLOCKED -> THROTTLED
// leaves BLOCKED and stands on THROTTLED.
type effect struct {
	clears, raises bool
	replaces       bool  // every other level becomes inactive
	clear          Level // this level and every worse one become inactive
	raise          Level // this level becomes active
}

// none says that it does nothing to any level.
func (e effect) none() bool { return e == effect{} }

// effectOf reads an event's meaning; the zero effect is that of a notice.
func effectOf(e *Event) effect {
	s := signalOf(e.SignalKey())
	switch {
	case s.ByWord() && !s.Moves():
		return s.effectOfWord(e.Level())
	case s.Counts && !e.Paired():
		return effect{raises: true} // the level without a name
	case !e.Paired():
		return effect{}
	case e.AlertState == Activated:
		eff := effect{raises: true, raise: e.Level(), replaces: s.Replaces}
		// a word replaces the worse one before it
		if at := s.place(eff.raise); !s.Apart && at >= 0 && at < len(s.Levels)-1 {
			eff.clears, eff.clear = true, s.Levels[at+1].Level()
		}
		return eff
	case s.ends(e.Change):
		return effect{clears: true, clear: s.all()}
	}
	return effect{clears: true, clear: e.Level()}
}

// effectOfWord reads a word, which says where all levels of the signal stand.
func (s *Signal) effectOfWord(word Level) effect {
	named := func(l SignalLevel) bool { return l.Word == string(word) }
	at := s.place(word)
	switch {
	case word == "" || len(s.Levels) == 0 || slices.ContainsFunc(s.News, named):
		return effect{}
	case at == len(s.Levels)-1:
		return effect{raises: true, raise: word}
	case at >= 0:
		return effect{clears: true, clear: s.Levels[at+1].Level(), raises: true, raise: word}
	case s.AnyEnds || slices.ContainsFunc(s.Ends, named):
		return effect{clears: true, clear: s.Levels[0].Level()}
	}
	return effect{}
}

// reaches says whether level l of an event is at least as bad as base, so that being below base means
// being below l as well. Levels that cannot be compared reach only themselves. All reach the level without a name: a
// recovery that names none is one of all.
func reaches(event string, l, base Level) bool {
	if l == base || base == "" {
		return true
	}
	s := signalOf(event)
	if s.Apart {
		return false
	}
	if s.Measured() {
		if l == "" && !s.Counts { // a threshold that could not be read is one of Meta's: none is milder than the first
			return base == s.Levels[0].Level()
		}
		lt, ok1 := l.Threshold()
		bt, ok2 := base.Threshold()
		return ok1 && ok2 && s.Worse(lt, bt)
	}
	return s.place(base) >= 0 && s.place(l) > s.place(base)
}

// Reaches says whether a is at a level of the same signal that is at least as bad as that of b.
func (a *Alert) Reaches(b *Alert) bool {
	return a.Event == b.Event && reaches(a.Event, a.Level, b.Level)
}

// climb applies an effect: it clears, then raises. cleared says whether anything was active that is not any more.
func (f *fold) climb(e effect) (cleared bool) {
	cleared = e.clears && f.clear(e.clear)
	if e.replaces {
		for _, l := range f.levelsBeside(e.raise) {
			cleared = f.clear(l) || cleared
		}
	}
	if e.raises {
		f.raise(e.raise)
	}
	return cleared
}

// levelsBeside are the other levels of the event's signal that were ever reported.
func (f *fold) levelsBeside(l Level) (others []Level) {
	for i := range f.state.Alerts {
		if a := &f.state.Alerts[i]; a.Event == f.e.SignalKey() && a.Level != l && !a.Raised.IsZero() {
			others = append(others, a.Level)
		}
	}
	return others
}

// replaced says whether a newer event has put another level in the place of one that the event reports.
func (f *fold) replaced() bool {
	s := signalOf(f.e.SignalKey())
	return s.Replaces && slices.ContainsFunc(f.state.Alerts, func(a Alert) bool {
		return a.Event == s.Name && a.Raised.After(f.e.At)
	})
}

// clear makes level l and every worse one inactive, where nothing newer made them active.
func (f *fold) clear(l Level) (moved bool) { return f.clearOf(f.e.SignalKey(), l) }

// clearOf does so for a signal that need not be the event's own.
func (f *fold) clearOf(signal string, l Level) (moved bool) {
	own := f.alertOf(signal, l)
	if a := &f.state.Alerts[own]; f.e.At.After(a.Cleared) {
		a.Cleared = f.e.At
		f.alerts = append(f.alerts, own)
	}
	for i := range f.state.Alerts {
		a := &f.state.Alerts[i]
		if a.Event != signal || !reaches(a.Event, a.Level, l) || !a.Active || a.Raised.After(f.e.At) {
			continue
		}
		a.Active, a.Until, a.ClosedBy, a.Countdown = false, f.e.At, f.e.Seq, nil
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
		f.say("dropped by rule %q", f.v.DroppedBy())
		return
	}
	i := f.alert(l)
	a := &f.state.Alerts[i]
	switch {
	case f.e.At.Before(a.Raised), f.e.At.Before(f.clearedAt(l)), f.replaced():
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
	if signalOf(f.e.SignalKey()).Counts {
		defer f.plan()
	}
	a.Raised, a.Facts, a.Expires = f.e.At, slices.Concat(f.e.Facts, f.looked(a)), f.e.Expires
	if a.Active { // already: the numbers refresh, and nobody is paged again
		f.touch(a.Incident)
		f.worsen(a)
		return
	}
	if !a.HeldUntil.IsZero() { // a flap: the same trouble, and nobody is told as of something new
		a.Active, a.Since, a.Until, a.HeldUntil = true, f.e.At, time.Time{}, time.Time{}
		a.OpenedBy, a.ClosedBy = f.e.Seq, 0
		f.touch(a.Incident).flapped = true
		return
	}
	key := f.v.GroupBy.Key(f.e)
	inc, quiet := f.incidentFor(key, l)
	t := f.touch(inc.Number)
	t.raised = !quiet
	if t.fresh || t.reopened || !quiet && f.v.Severity > t.severity {
		inc.AcknowledgedFor = f.v.AcknowledgedFor
	}
	if inc.Event == f.e.SignalKey() && !slices.Contains(inc.Path, l) {
		inc.Path = append(slices.Clone(inc.Path), l)
	}
	a.Active, a.Since, a.Until, a.OpenedBy, a.ClosedBy = true, f.e.At, time.Time{}, f.e.Seq, 0
	a.Unheard = time.Time{}
	a.Severity, a.Incident, a.Key, a.Hold, a.Heard = f.v.Severity, inc.Number, key, f.v.ResolveAfter, f.heard()
	f.route(a, inc)
	inc.PageOnRise = inc.PageOnRise || f.v.PageOnRise
	inc.NoteAutoResolve = f.v.NoteAutoResolve
}

// worsen takes up that Meta itself calls worse by now what is active already.
func (f *fold) worsen(a *Alert) {
	inc := f.incident(a.Incident)
	if inc == nil || f.e.Said == SeverityUnset || f.v.Severity <= a.Severity {
		return
	}
	t := f.touch(inc.Number)
	if inc.State == IncidentResolved { // by a person
		t.reopened = true
		f.unresolve(inc)
	}
	t.raised = true
	a.Severity, a.OpenedBy, a.Heard = f.v.Severity, f.e.Seq, f.heard()
	f.route(a, inc)
	inc.PageOnRise = inc.PageOnRise || f.v.PageOnRise
}

// open makes a new incident for the event.
func (f *fold) open(key string) *Incident {
	f.endOld(key)
	paged := func(inc Incident) bool { return inc.Key == key && inc.hasPaged() }
	first := !slices.ContainsFunc(f.state.Incidents, paged)
	f.state.Incidents = append(f.state.Incidents, Incident{
		Number: f.next, Key: key, WABA: f.e.WABA, Flow: f.e.FlowID().Flow, Event: f.e.SignalKey(), Subject: f.e.Subject,
		State: IncidentOpen, Rule: f.v.Rule(), RulesVersion: f.v.Version, OpenedAt: f.e.At, Since: f.heard(), First: first,
	})
	f.next++
	inc := &f.state.Incidents[len(f.state.Incidents)-1]
	f.touch(inc.Number).fresh = true
	return inc
}

// incidentFor returns the incident that level l belongs to, which may be a new one; quiet where nobody is told of it.
func (f *fold) incidentFor(key string, l Level) (inc *Incident, quiet bool) {
	if inc = f.incidentByKey(key); inc != nil {
		return inc, false
	}
	if inc = f.resolvedOver(key, l); inc != nil {
		return inc, true
	}
	if inc = f.reopen(key); inc != nil {
		return inc, false
	}
	return f.open(key), false
}

// resolvedOver returns an incident that a person has resolved and that level l makes no worse: one as bad is active in
// it, or was until this event; nil if there is none.
func (f *fold) resolvedOver(key string, l Level) *Incident {
	for i := range f.state.Alerts {
		a := &f.state.Alerts[i]
		if a.Key != key || a.Event != f.e.SignalKey() || a.Level == l || !reaches(a.Event, a.Level, l) {
			continue
		}
		if !a.Active && a.ClosedBy != f.e.Seq {
			continue
		}
		if inc := f.incident(a.Incident); inc != nil && inc.State == IncidentResolved {
			return inc
		}
	}
	return nil
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
