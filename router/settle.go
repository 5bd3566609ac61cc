package router

import (
	"fmt"
	"slices"
	"strings"
)

// settle brings an incident in line with its alerts: state, severity, who is told, and what the timeline says.
func (f *fold) settle(t *touched) {
	inc := f.incident(t.number)
	if inc == nil {
		return
	}
	f.change(inc)
	inc.Events++
	f.describe(inc)
	active := f.counting(inc.Number)
	inc.say(active)
	switch {
	case inc.State == IncidentResolved: // by hand, while Meta said ACTIVATED
		f.settleResolved(t, inc, active)
		return
	case !t.moved():
		f.say("refreshed %s", inc.Name()) // no line of the timeline: its numbers are kept as an AlertReading
		f.oweNumbers(inc)
		return
	}
	before := slices.Clone(inc.Watch)
	if len(active) == 0 {
		inc.State, inc.ResolvedAt, inc.Severity = IncidentResolved, f.e.At, inc.Peak
		f.entry(inc, EntryResolved, f.reading(fmt.Sprintf("%s after %s", f.recovery(), FormatDuration(f.e.At.Sub(inc.OpenedAt)))))
		f.say("resolved %s", inc.Name())
	} else {
		inc.Severity = active[0].Severity
		inc.Peak = max(inc.Peak, inc.Severity)
		f.tell(t, inc, active)
	}
	f.watch(inc, active)
	if inc.PageOnRise && inc.State == IncidentAcknowledged && inc.Severity > t.severity {
		f.pageAgain(inc)
	}
	if inc.State == IncidentResolved || inc.Severity > t.severity {
		inc.ByItself = ""
	}
	f.notePages(inc, before)
	f.owe(inc, before)
	if t.fresh || inc.State == IncidentResolved {
		f.oweSiblings(inc)
	}
}

// settleResolved notes what Meta says of an incident that a person has resolved. Nobody is told again, but for cards that
// say that Meta still reports it.
func (f *fold) settleResolved(t *touched, inc *Incident, active []*Alert) {
	if len(t.cleared) > 0 && len(active) == 0 {
		f.entry(inc, EntryRecovered, Reporter(inc.Event)+" reports the recovery: "+f.recovery())
		f.say("recovery of %s, which was resolved by hand", inc.Name())
		f.oweCards(inc)
		return
	}
	f.say("noted; %s was resolved by hand", inc.Name())
}

// tell writes the timeline of an incident that goes on: it got better if something cleared, else worse.
func (f *fold) tell(t *touched, inc *Incident, active []*Alert) {
	switch {
	case len(t.held) > 0 && !slices.ContainsFunc(active, func(a *Alert) bool { return a.Active }):
		f.entry(inc, EntryRecovering, f.reading(f.recovery())+
			"; resolves in "+FormatDuration(lastHold(active).Sub(f.passed))+" unless it comes back")
		f.say("holding back the recovery of %s", inc.Name())
		return
	case len(t.cleared)+len(t.held) > 0:
		f.entry(inc, EntryEased, f.reading(f.recovery())+"; still active: "+whatCounts(active))
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
	if meaning := LevelMeaning(f.e.SignalKey(), f.e.Level()); meaning != "" {
		text += ". " + strings.TrimSuffix(meaning, ".")
	}
	if IsDrill(inc.Flow) {
		text = DrillName + ": " + text
	}
	f.entry(inc, kind, text+rose)
	f.say("%s %s", kind, inc.Name())
}

// owe tells every notifier of inc that is open, or was until now. before is nil where nothing opened or closed.
func (f *fold) owe(inc *Incident, before []Watch) {
	for _, w := range inc.Watch {
		wasOpen := slices.ContainsFunc(before, func(b Watch) bool { return b.Open && b.Notifier == w.Notifier && b.Rise == w.Rise })
		if !w.Open && !wasOpen {
			continue
		}
		target := Target{Notifier: w.Notifier}
		if w.Open {
			target = f.targetOf(&w)
		}
		o := Owed{Incident: inc.Number, Event: w.Rise, Key: inc.keyFor(w), Target: target, Open: w.Open,
			Opening: w.Opening, Severity: w.Severity}
		if before != nil && w.Open && !wasOpen && inc.Reopened.Is(w.Notifier, o.Key) {
			o.Reopened, inc.Reopened = true, Page{} // whoever has that has not been told of this
			f.dirty = append(f.dirty, inc.Number)
		}
		f.owed = append(f.owed, o)
	}
}

// oweNumbers tells them of new numbers alone.
func (f *fold) oweNumbers(inc *Incident) {
	first := len(f.owed)
	f.owe(inc, nil)
	for i := range f.owed[first:] {
		f.owed[first+i].Cosmetic = true
	}
}

// targetOf returns where a notifier is told: as the event's rules say, else as the rules do now. One that they have
// renamed meanwhile is known by its address. Of one that is gone only the name is left.
func (f *fold) targetOf(w *Watch) Target {
	for _, t := range f.v.Notify {
		if t.Notifier == w.Notifier {
			return t.Target
		}
	}
	if f.m.Target != nil {
		if now, ok := f.m.Target(w.Notifier); ok {
			return now
		}
	}
	if f.m.Targets != nil {
		for _, t := range f.m.Targets() {
			if w.Target != "" && t.ID() == w.Target {
				t.Notifier = w.Notifier
				return t
			}
		}
	}
	return Target{Notifier: w.Notifier}
}

// keyFor returns what a keyed service knows the incident by: for a second page the severity is part of it, so that
// it follows from the incident alone, like the first.
func (i *Incident) keyFor(w Watch) string {
	if w.Rise == 0 {
		return i.Key
	}
	return i.Key + "/" + w.Severity.String() // 9 characters at most: Key leaves room for them
}

// pageAgain opens a second page at every notifier that pages and hears of something worse than the acknowledgement of
// its page covers: a service notifies nobody of changes to what is acknowledged there. It holds for a rise that was
// folded before the acknowledgement became known, too.
func (f *fold) pageAgain(inc *Incident) {
	counting := f.counting(inc.Number)
	var more []Watch
	for _, w := range inc.Watch {
		if w.Rise != 0 || !w.Open || !slices.Contains(inc.Pageable, w.Notifier) || !inc.heldBy(&w, counting) {
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
		more = append(more, Watch{Notifier: w.Notifier, Target: w.Target, Open: true, Severity: w.Severity, Rise: rise.OpenedBy,
			Opening: 1, Since: f.heard()})
	}
	inc.Watch = append(inc.Watch, more...)
	slices.SortFunc(inc.Watch, compareWatch)
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

// pagedAgain says whether a notifier has a second page for a rise already, or one that is as bad.
func (f *fold) pagedAgain(inc *Incident, notifier string, rise *Alert) bool {
	return slices.ContainsFunc(inc.Watch, func(w Watch) bool {
		return w.Notifier == notifier && w.Rise != 0 && (w.Rise == rise.OpenedBy || w.Open && w.Severity >= rise.Severity)
	})
}

// oweSiblings renews the cards of the flow's other incidents, which name what else is active.
func (f *fold) oweSiblings(inc *Incident) {
	for i := range f.state.Incidents {
		other := &f.state.Incidents[i]
		if other.Number == inc.Number || other.State == IncidentResolved {
			continue
		}
		for _, w := range other.Watch {
			if w.Open {
				f.owed = append(f.owed, Owed{Incident: other.Number, Event: w.Rise, Key: other.keyFor(w), Target: Target{Notifier: w.Notifier},
					Open: true, Opening: w.Opening, Severity: w.Severity, Cosmetic: true})
			}
		}
	}
}

// oweCards renews what an incident that is over shows to those who were told of it and cannot be paged.
func (f *fold) oweCards(inc *Incident) {
	for _, w := range inc.Watch {
		told := w.Severity != SeverityUnset // it is kept when the watch closes
		if told && w.Rise == 0 && !slices.Contains(inc.Pageable, w.Notifier) {
			f.owed = append(f.owed, Owed{Incident: inc.Number, Key: inc.Key, Target: Target{Notifier: w.Notifier}, Severity: w.Severity})
		}
	}
}

// at writes the event's threshold, where it has one: " at 10 %".
func (f *fold) at() string {
	if f.e.Threshold == nil {
		return ""
	}
	return " at " + FormatValue(f.e.SignalKey(), *f.e.Threshold)
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

// say renews what an incident shows of what Meta said of its alerts that count, worst first. What it said of them last stays
// when none does.
func (i *Incident) say(counting []*Alert) {
	if len(counting) == 0 {
		return
	}
	worst := counting[0]
	if i.Facts = worst.Facts; i.Subject.Kind != "" {
		i.Change = string(worst.Level)
	}
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
	switch {
	case f.e.OldStatus != "" && signalOf(f.e.SignalKey()).ByWord():
		return text + " (was " + f.e.OldStatus + ")"
	case f.e.Reading.Value != nil:
		return text + ": now " + FormatValue(f.e.SignalKey(), *f.e.Reading.Value)
	}
	return text
}
