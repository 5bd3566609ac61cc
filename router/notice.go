package router

import (
	"fmt"
	"slices"
)

// notice tells the event once to whom the rules name.
func (f *fold) notice() {
	switch {
	case f.v.Drop:
		f.say("dropped by rule %q", f.v.DroppedBy())
		return
	case tooOld(f.e):
		f.say("%s old when it arrived: nobody is told", FormatDuration(f.e.Received.Sub(f.e.At)))
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
	for i, t := range f.v.Notify {
		if slices.ContainsFunc(f.v.Notify[:i], func(other Route) bool { return other.ID() == t.ID() }) {
			continue // another name for the same target
		}
		owed := func(o Owed) bool { return o.Notice == f.e.Seq && o.Target.Notifier == t.Notifier }
		if slices.ContainsFunc(f.owed, owed) {
			continue
		}
		key := fmt.Sprintf("flowbridge/notice/%d", f.e.Seq)
		f.owed = append(f.owed, Owed{Notice: f.e.Seq, Key: key, Target: t.Target, Severity: f.v.Severity})
		f.say("notice to %s", t.Notifier)
	}
}

// newNotice returns what notifiers may see of an event. A form's answers stay behind: only the fields that
// a rule names come out.
func newNotice(e *Event, d *Decision) *Notice {
	return &Notice{
		Event: e.Seq, At: e.At, WABA: e.WABA, Flow: e.Flow, Name: e.Name, Signal: e.Signal, Subject: e.Subject,
		Change: e.Change, Facts: e.Facts,
		Severity: d.Severity, Rule: d.Rule(), Fields: d.Fields, FlowInfo: d.FlowInfo,
		AlertState: e.AlertState, OldStatus: e.OldStatus, NewStatus: e.NewStatus, Threshold: e.Threshold,
		Reading: e.Reading, Message: e.Message, Warning: e.Warning, Act: e.Act,
	}
}
