package router

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// reconciled says what reconcile came to, as far as somebody is told of it.
type reconciled int

const (
	nothingToTell  reconciled = iota
	numbersChanged            // and nothing else
	recoveryNoted             // Meta reports the end of what a person has resolved: cards say so
	alertsChanged             // some became active or inactive
)

// reconcile brings an incident in line with its alerts: state, severity, and what the timeline says.
func (f *fold) reconcile(t *touched, inc *Incident) reconciled {
	f.change(inc)
	inc.Events++
	f.describe(inc)
	counting := f.counting(inc.Number)
	inc.say(counting)
	switch {
	case inc.State == IncidentResolved: // by hand, while Meta said ACTIVATED
		return f.reconcileResolved(t, inc, counting)
	case !t.moved():
		f.say("refreshed %s", inc.Name()) // no line of the timeline: its numbers are kept as an AlertReading
		return numbersChanged
	case len(counting) == 0:
		inc.State, inc.ResolvedAt, inc.Severity = IncidentResolved, f.e.At, inc.Peak
		lasted := FormatDuration(f.e.At.Sub(inc.OpenedAt))
		f.entry(inc, EntryResolved, f.reading(fmt.Sprintf("%s after %s", f.recoveryOf(inc), lasted)))
		f.say("resolved %s", inc.Name())
	default:
		inc.Severity = counting[0].Severity
		inc.Peak = max(inc.Peak, inc.Severity)
		f.tell(t, inc, counting)
	}
	if inc.State == IncidentResolved || inc.Severity > t.severity {
		inc.ByItself = ""
	}
	if inc.State == IncidentResolved && f.e.Looked() {
		inc.ByItself = "Closed by Meta's health: no webhook came"
	}
	return alertsChanged
}

// reconcileResolved notes what Meta says of an incident that a person has resolved. Nobody is told again, but for cards
// that say that Meta still reports it.
func (f *fold) reconcileResolved(t *touched, inc *Incident, counting []*Alert) reconciled {
	if len(t.cleared) > 0 && len(counting) == 0 {
		f.entry(inc, EntryRecovered, Reporter(inc.Event)+" reports the recovery: "+f.recoveryOf(inc))
		f.say("recovery of %s, which was resolved by hand", inc.Name())
		return recoveryNoted
	}
	f.say("noted; %s was resolved by hand", inc.Name())
	return nothingToTell
}

// tell writes the timeline of an incident that goes on: it got better if something cleared, else worse.
func (f *fold) tell(t *touched, inc *Incident, active []*Alert) {
	switch {
	case len(t.held) > 0 && !slices.ContainsFunc(active, func(a *Alert) bool { return a.Active }):
		f.entry(inc, EntryRecovering, f.reading(f.recoveryOf(inc))+
			"; resolves in "+FormatDuration(lastHold(active).Sub(f.passed))+" unless it comes back")
		f.say("holding back the recovery of %s", inc.Name())
		return
	case len(t.cleared)+len(t.held) > 0 && !(t.raised && signalOf(f.e.SignalKey()).Replaces):
		f.entry(inc, EntryEased, f.reading(f.recoveryOf(inc))+"; still active: "+whatCounts(active))
		f.say("eased %s", inc.Name())
		return
	case t.flapped:
		inc.Flaps++
		f.entry(inc, EntryFlapped, f.reading(Sentence(f.e.SignalKey(), f.e.Level())+" again")+
			"; came back "+FormatTimes(inc.Flaps)+" while its recovery was held back")
		f.say("flapped %s", inc.Name())
		return
	}
	kind, rose := EntryActivated, ""
	switch {
	case t.fresh:
		kind = EntryOpened
	case t.reopened:
		kind = EntryReopened
	case inc.Severity > t.severity:
		kind, rose = EntryEscalated, fmt.Sprintf("; severity rises from %s to %s", t.severity, inc.Severity)
	}
	text := f.reading(Sentence(f.e.SignalKey(), f.e.Level()))
	if c := countdownOf(active); c != nil {
		text += ". " + c.sentence()
	}
	if meaning := LevelMeaning(f.e.SignalKey(), f.e.Level()); meaning != "" && !IsDrill(inc.Flow) {
		text += ". " + strings.TrimSuffix(meaning, ".")
	}
	f.entry(inc, kind, text+rose)
	f.say("%s %s", kind, inc.Name())
}

// at writes the event's threshold, where it has one: " at 10 %".
func (f *fold) at() string {
	if f.e.Threshold == nil {
		return ""
	}
	return " at " + FormatValue(f.e.SignalKey(), *f.e.Threshold)
}

// recoveryOf writes what got better of an incident, as a sentence.
func (f *fold) recoveryOf(inc *Incident) string {
	switch {
	case !f.endsCountdown(inc):
		return f.recovery()
	case IsPublished(f.e.NewStatus):
		return "The flow was published anew"
	}
	return "The flow is " + f.e.NewStatus
}

// recovery writes what got better, as a sentence.
func (f *fold) recovery() string {
	key := f.e.SignalKey()
	switch s := signalOf(key); {
	case s.Moves() && (s.ends(f.e.Change) || f.e.AlertState == Activated): // the word that it is now
		return Sentence(key, f.e.Level())
	case s.Moves():
		return Sentence(key, f.e.Level()) + ": over"
	case s.ByWord():
		return SignalName(key) + " is " + f.e.NewStatus
	}
	return SignalName(key) + " " + Uncrossed(key, f.e.Level())
}

// say renews what an incident shows of what Meta said of its alerts that count, worst first. What it said of them last
// stays when none does.
func (i *Incident) say(counting []*Alert) {
	if len(counting) == 0 {
		return
	}
	worst := counting[0]
	if i.Facts = worst.Facts; i.Subject.Kind != "" {
		i.Change = string(worst.Level)
	}
	i.sayProbe(counting)
	for _, a := range counting[1:] {
		if a.Event != worst.Event || !signalOf(a.Event).Apart {
			continue
		}
		for _, fact := range a.Facts {
			if len(i.Facts) < maxFacts && !slices.Contains(i.Facts, fact) {
				i.Facts = append(slices.Clip(i.Facts), fact)
			}
		}
	}
}

// maxFacts bounds the facts of an incident, more than which nobody reads.
const maxFacts = 24

// reading adds what Meta measured to a sentence.
func (f *fold) reading(text string) string {
	if f.e.Looked() {
		text += byHealth
	}
	switch {
	case f.e.OldStatus != "" && signalOf(f.e.SignalKey()).ByWord():
		return text + " (was " + f.e.OldStatus + ")"
	case f.e.Reading.Value != nil:
		return text + ": now " + FormatValue(f.e.SignalKey(), *f.e.Reading.Value)
	}
	return text
}

// describe renews what an incident shows of its flow and its fields.
func (f *fold) describe(inc *Incident) {
	info := f.v.FlowInfo
	named := info.FlowName != "" || info.AccountName != "" || info.NumberName != ""
	if named || info.Runbook != "" || len(info.Labels) > 0 {
		// A name that was known stays: who gives names beside the rules may not know it again yet.
		info.FlowName = cmp.Or(info.FlowName, inc.FlowName)
		info.AccountName = cmp.Or(info.AccountName, inc.AccountName)
		info.NumberName = cmp.Or(info.NumberName, inc.NumberName)
		inc.FlowInfo = info
	}
	if len(f.v.Fields) > 0 && !f.endsCountdown(inc) {
		inc.Fields = f.v.Fields
	}
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

// sayRecovered writes what got better about an alert.
func sayRecovered(a *Alert) string {
	switch {
	case signalOf(a.Event).Moves():
		return Sentence(a.Event, a.Level) + ": over"
	case a.Level.IsWord():
		return SignalName(a.Event) + " " + Uncrossed(a.Event, a.Level)
	}
	return SignalName(a.Event) + " is " + Uncrossed(a.Event, a.Level)
}
