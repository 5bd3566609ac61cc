package router

import "slices"

// afterRecovery handles what a recovery means beyond the alerts that it cleared: rules may tell somebody
// of it, a status that cleared nothing is news of its own, and what we do not know may still be open in
// a service that finds incidents by our key.
func (f *fold) afterRecovery(e effect, cleared bool) {
	if !e.clears || e.raises {
		return
	}
	l := e.clear
	s := signalOf(f.e.SignalKey())
	byWord := s.ByWord() && !s.Moves()
	if !cleared {
		if a := f.newerRaise(l); a != nil {
			f.late(f.lateFor(a))
			return
		}
		unknown := !tooOld(f.e) && f.closeUnknown(l)
		if !unknown && !byWord {
			f.say("nothing was active")
			if !s.Moves() {
				return
			}
		}
	}
	if s.Moves() { // most such words end nothing, as when a new template is approved: told to those who ask for them
		all := f.v.Notify
		if cleared { // who was told of the trouble hears there that it is over
			f.v.Notify = slices.DeleteFunc(slices.Clone(all), func(r Route) bool { return f.hears(&r.Target) })
		}
		if f.v.AsksForChange && !cleared || cleared && len(f.v.Notify) > 0 {
			f.notice()
		}
		f.v.Notify = all
		return
	}
	if byWord && !cleared || !byWord && len(f.v.Notify) > 0 {
		f.notice()
	}
}

// hears says whether a target was told of an incident that this event concerns.
func (f *fold) hears(t *Target) bool {
	return slices.ContainsFunc(f.state.Incidents, func(inc Incident) bool {
		told := func(w Watch) bool {
			return (w.Target == t.ID() || w.Notifier == t.Notifier) && (w.Opening > 0 || w.Severity != SeverityUnset)
		}
		concerned := func(c touched) bool { return c.number == inc.Number }
		return slices.ContainsFunc(f.touched, concerned) && slices.ContainsFunc(inc.Watch, told)
	})
}

// newerRaise returns an alert that the recovery of level l would have cleared, had it come in time.
func (f *fold) newerRaise(l Level) *Alert {
	for i := range f.state.Alerts {
		a := &f.state.Alerts[i]
		if a.Event == f.e.SignalKey() && reaches(a.Event, a.Level, l) && a.Raised.After(f.e.At) {
			return a
		}
	}
	return nil
}

// closeUnknown asks the services that find incidents by our key to close what we never heard of: the key
// depends on the event alone, so an incident there survives even the loss of our database. See PageKeys.
func (f *fold) closeUnknown(l Level) (unknown bool) {
	opening, ok := f.e.Opening()
	if !ok || f.v.Opening == nil || f.state.Alerts[f.alert(l)].Incident != 0 {
		return false
	}
	key := f.v.Opening.GroupBy.Key(&opening)
	severity := min(f.v.Opening.Severity, Warning) // an end, which goes behind all trouble: of a lost database come many
	if signalOf(f.e.SignalKey()).Moves() {         // as do a thousand templates that are approved, and behind all else
		severity = Info
	}
	var told []string
	for _, t := range f.v.Opening.Named {
		if t.Kind.Keyed() && !slices.Contains(told, t.ID()) && !f.wasTold(key, &t) {
			told = append(told, t.ID())
			f.owed = append(f.owed, Owed{Notice: f.e.Seq, Key: key, Target: t, Severity: severity})
			f.say("resolve to %s", t.Notifier)
		}
	}
	if len(told) == 0 && slices.ContainsFunc(f.state.Alerts, func(a Alert) bool { return a.Key == key }) {
		return false
	}
	f.outcome = slices.Insert(f.outcome, 0, "recovery of an alert that nobody knows")
	if len(told) > 0 {
		f.note = newNotice(f.e, f.v.Opening)
		f.note.Recovery = key
	}
	return true
}

// wasTold says whether a target was told of an incident with a key that we know: then we know what is open there. Of a
// lower level that is not for it, a target that pages hears nothing, and may still hold what was opened before our
// database was lost.
func (f *fold) wasTold(key string, t *Target) bool {
	return slices.ContainsFunc(f.state.Incidents, func(inc Incident) bool {
		return inc.Key == key && slices.ContainsFunc(inc.Watch, func(w Watch) bool {
			return (w.Target == t.ID() || w.Notifier == t.Notifier) && (w.Opening > 0 || w.Severity != SeverityUnset)
		})
	})
}
