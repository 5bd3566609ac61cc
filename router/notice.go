package router

import (
	"cmp"
	"fmt"
	"slices"
)

// notice tells the event once to whom the rules name.
func (f *fold) notice() {
	switch {
	case f.v.Drop:
		f.say("dropped by rule %q", f.v.Rule())
		return
	case len(f.v.Notify) == 0:
		f.say("no rule tells anybody")
		return
	}
	recovery := ""
	if f.note != nil { // one notice for an event: who closes what nobody knows does that, the others are told
		recovery = f.note.Recovery
	}
	f.note = newNotice(f.e, &f.v.Decision)
	f.note.Recovery = recovery
	for _, t := range f.v.Notify {
		if slices.ContainsFunc(f.owed, func(o Owed) bool { return o.Event == f.e.Seq && o.Target.Notifier == t.Notifier }) {
			continue
		}
		f.owed = append(f.owed, Owed{Event: f.e.Seq, Key: fmt.Sprintf("flowbridge/notice/%d", f.e.Seq), Target: t.Target, Severity: f.v.Severity})
		f.say("notice to %s", t.Notifier)
	}
}

// newNotice returns what notifiers may see of an event. A form's answers stay behind: only the fields that
// a rule names come out.
func newNotice(e *Event, d *Decision) *Notice {
	return &Notice{
		Event: e.Seq, At: e.At, WABA: e.WABA, Flow: e.Flow, Name: e.Name,
		Severity: d.Severity, Rule: d.Rule(), Fields: d.Fields, FlowInfo: d.FlowInfo,
		AlertState: e.AlertState, OldStatus: e.OldStatus, NewStatus: e.NewStatus, Threshold: e.Threshold,
		Reading: e.Reading, Message: e.Message, Warning: e.Warning, Act: e.Act,
	}
}

// act folds what a person did, or what became of a delivery.
func (f *fold) act() {
	inc := f.incident(f.e.Act.Incident)
	gone := inc == nil || inc.State == IncidentResolved
	switch f.e.Name {
	case Acknowledge:
		switch {
		case gone:
			f.say("%s is resolved already", IncidentName(f.e.Act.Incident))
		case inc.State == IncidentAcknowledged:
			f.say("%s is acknowledged already", inc.Name())
		default:
			inc.State, inc.AcknowledgedAt, inc.AcknowledgedBy = IncidentAcknowledged, f.e.At, f.e.Act.Actor
			f.entry(inc, EntryAcknowledged, "Acknowledged by "+cmp.Or(f.e.Act.Actor, "somebody"))
			f.say("acknowledged %s", inc.Name())
			f.change(inc)
			f.owe(inc, nil)
		}
	case Resolve:
		if gone {
			f.say("%s is resolved already", IncidentName(f.e.Act.Incident))
			return
		}
		who := cmp.Or(f.e.Act.Actor, "somebody")
		inc.State, inc.ResolvedAt, inc.ResolvedBy, inc.Severity = IncidentResolved, f.e.At, who, inc.Peak
		f.entry(inc, EntryResolved, fmt.Sprintf("Resolved by %s after %s; Meta still reports it", who, FormatDuration(f.e.At.Sub(inc.OpenedAt))))
		f.say("resolved %s by hand", inc.Name())
		f.change(inc)
		f.releaseAll(inc)
		before := slices.Clone(inc.Watch)
		f.watch(inc, nil)
		f.owe(inc, before)
		f.oweSiblings(inc)
	default: // a delivery was parked: the cards of the incident say so, and the fallback is told
		if !gone {
			f.entry(inc, EntryUndelivered, fmt.Sprintf("%s could not be told: %s", f.e.Act.Notifier, f.e.Act.Error))
			f.change(inc)
			f.owe(inc, nil)
			f.owed = slices.DeleteFunc(f.owed, func(o Owed) bool { return o.Target.Notifier == f.e.Act.Notifier })
		}
		f.notice()
	}
}
