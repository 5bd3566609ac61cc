package router

import "slices"

// owe tells every notifier of inc that is open, or was until now. before is nil where nothing opened or closed.
func (f *fold) owe(inc *Incident, before []Watch) {
	for _, w := range inc.Watch {
		wasOpen := slices.ContainsFunc(before, func(b Watch) bool {
			return b.Open && b.Notifier == w.Notifier && b.PagedAt == w.PagedAt
		})
		if !w.Open && !wasOpen {
			continue
		}
		o := inc.owes(&w)
		if w.Open {
			o.Target = f.targetOf(&w)
		}
		if before != nil && w.Open && !wasOpen && inc.Reopened.Is(w.Notifier, o.Key) {
			o.Reopened, inc.Reopened = true, Page{} // whoever has that has not been told of this
			f.dirty = append(f.dirty, inc.Number)
		}
		f.owed = append(f.owed, o)
	}
}

// owes returns what is owed of an incident to one that watches it, as it stands. Where that goes is pinned to its
// delivery, once it is made.
func (i *Incident) owes(w *Watch) Owed {
	return Owed{Incident: i.Number, PagedAt: w.PagedAt, Key: i.keyFor(*w), Target: Target{Notifier: w.Notifier},
		Open: w.Open, Opening: w.Opening, Severity: w.Severity, Unheard: !w.Open && !i.First}
}

// owesEnd returns that its service is owed the end of a page that it has open by itself.
func (i *Incident) owesEnd(w *Watch) Owed {
	o := i.owes(w)
	o.Open, o.Reopened, o.Unheard = false, true, false
	return o
}

// oweNumbers tells them of new numbers alone.
func (f *fold) oweNumbers(inc *Incident) {
	first := len(f.owed)
	f.owe(inc, nil)
	for i := range f.owed[first:] {
		f.owed[first+i].Cosmetic = true
	}
}

// oweOthers owes to all but the page that the act came from: its service knows, and its delivery need only remember
// whether it is open and acknowledged, where the act says so. Slack is told all the same, since a button that was
// pressed changes no card, and so is another page of the same notifier, since nobody acted on that one.
func (f *fold) oweOthers(inc *Incident, before []Watch) {
	from := len(f.owed)
	f.owe(inc, before)
	page := f.from(inc)
	added := slices.Clone(f.owed[from:])
	f.owed = f.owed[:from]
	for _, o := range added {
		switch {
		case !page.Is(o.Target.Notifier, o.Key):
			f.owed = append(f.owed, o)
		case slices.Contains([]string{Acknowledge, Unacknowledge, Resolve, Reopen}, f.e.Name):
			o.Acknowledged, o.At = inc.State == IncidentAcknowledged, f.e.At
			if kind := f.e.Name; kind == Acknowledge || kind == Unacknowledge {
				o.Opening = 0 // of whatever the service has: it may not have been told of the newest
			}
			o.Left = f.e.Name == Resolve && inc.First && inc.PageOnRise && page.Key == inc.Key
			f.alreadyThere = append(f.alreadyThere, o)
		}
	}
}

// oweAround owes to whom else it shows: cards of the flow's other incidents name what is active beside them.
func (f *fold) oweAround(t *touched, inc *Incident) {
	if t.fresh || inc.State == IncidentResolved {
		f.oweSiblings(inc)
	}
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
				o := other.owes(&w)
				o.Cosmetic = true
				f.owed = append(f.owed, o)
			}
		}
	}
}

// oweCards renews what an incident that is over shows to those who were told of it and cannot be paged.
func (f *fold) oweCards(inc *Incident) {
	for _, w := range inc.Watch {
		told := w.Severity != SeverityUnset // it is kept when the watch closes
		if told && w.PagedAt == 0 && !slices.Contains(inc.Pageable, w.Notifier) {
			o := inc.owes(&w)
			o.Open, o.Opening = false, 0
			f.owed = append(f.owed, o)
		}
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
	if w.PagedAt == 0 {
		return i.Key
	}
	return i.Key + "/" + w.Severity.String() // 9 characters at most: Key leaves room for them
}
