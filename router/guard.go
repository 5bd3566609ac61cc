package router

import "slices"

// Refusal is why an act of a person cannot be now, or would change nothing. Everybody who takes acts asks May and says
// it in words of their own; the fold asks as well, and decides.
type Refusal string

// The reasons to refuse an act.
const (
	// MayHappen is the zero Refusal: nothing stands in the way.
	MayHappen Refusal = ""
	// AlreadyResolved is of every act but Reopen, Note and LinkIncident on an incident that is resolved.
	AlreadyResolved Refusal = "already resolved"
	// NotResolved is of Reopen on an incident that is not resolved.
	NotResolved Refusal = "not resolved"
	// Recovered is of Reopen where nothing goes on any more: no alert of the incident is active, no recovery held back;
	// or, which only the fold sees, a newer incident has its key by now.
	Recovered Refusal = "recovered"
	// AlreadyAcknowledged is of Acknowledge. The fold takes the act all the same where more has come since.
	AlreadyAcknowledged Refusal = "already acknowledged"
	// NotAcknowledged is of Unacknowledge.
	NotAcknowledged Refusal = "not acknowledged"
	// NobodyToPage is of PageNow: the rules of the incident name no notifier that pages.
	NobodyToPage Refusal = "nobody to page"
	// AllPaged is of PageNow: there are such notifiers, and each has an open page. See Unpaged.
	AllPaged Refusal = "all paged"
	// AlreadySilenced is of AddSilence for the incident's flow, which has a silence of its own. See OwnSilence.
	AlreadySilenced Refusal = "already silenced"
	// NotSilenced is of EndSilence on an incident that is under no silence.
	NotSilenced Refusal = "not silenced"
	// SilencedWider is of EndSilence: the silence covers more than the incident's flow, and has to be ended by its id.
	SilencedWider Refusal = "silenced wider"
	// UnknownAct is of whatever is no act on an incident.
	UnknownAct Refusal = "unknown act"
)

// Refusals lists every reason to refuse an act; MayHappen is none.
func Refusals() []Refusal {
	return []Refusal{AlreadyResolved, NotResolved, Recovered, AlreadyAcknowledged, NotAcknowledged, NobodyToPage,
		AllPaged, AlreadySilenced, NotSilenced, SilencedWider, UnknownAct}
}

// May says whether a person may do an act (Acknowledge and the other names of events) to the incident now, or why not.
// Who does it, and whether the act comes too late, is not looked at.
func (d *IncidentDetail) May(act string) Refusal { return d.may(act, anyCounts(d.Alerts)) }

// May is IncidentDetail.May for whoever shows the incident of a notification. It must have one.
func (n *Notification) May(act string) Refusal { return n.Incident.may(act, anyCounts(n.Alerts)) }

func anyCounts(alerts []Alert) bool {
	return slices.ContainsFunc(alerts, func(a Alert) bool { return a.Counts() })
}

// may is the guard of all acts on an incident. ongoing says whether Meta still reports an alert of it, or its recovery
// is held back; only Reopen depends on that.
func (i *Incident) may(act string, ongoing bool) Refusal {
	resolved, acknowledged := i.State == IncidentResolved, i.State == IncidentAcknowledged
	switch {
	case act == Note || act == LinkIncident: // for the record, whatever the state
	case act == Reopen && !resolved:
		return NotResolved
	case act == Reopen && !ongoing:
		return Recovered
	case act == Reopen:
	case resolved:
		return AlreadyResolved
	case act == Acknowledge && acknowledged:
		return AlreadyAcknowledged
	case act == Unacknowledge && !acknowledged:
		return NotAcknowledged
	case act == PageNow && len(i.Pageable) == 0:
		return NobodyToPage
	case act == PageNow && len(i.Unpaged()) == 0:
		return AllPaged
	case act == AddSilence && i.OwnSilence():
		return AlreadySilenced
	case act == EndSilence && i.Silence.ID == "":
		return NotSilenced
	case act == EndSilence && !i.OwnSilence():
		return SilencedWider
	case !slices.Contains([]string{Acknowledge, Unacknowledge, Resolve, PageNow, Assign, AddSilence, EndSilence}, act):
		return UnknownAct
	}
	return MayHappen
}

// Unpaged lists the notifiers that PageNow would page: they page, the incident's rules name them, and they have no page
// open. A second page alone, about a rise in severity, does not count: see Watch.PagedAt.
func (i *Incident) Unpaged() (notifiers []string) {
	for _, name := range i.Pageable {
		if !slices.ContainsFunc(i.Watch, func(w Watch) bool { return w.Notifier == name && w.Open && w.PagedAt == 0 }) {
			notifiers = append(notifiers, name)
		}
	}
	return notifiers
}

// OwnSilence says whether the silence that the incident is under is about its flow, and nothing beside it. One that
// covers more is not ended from the card of one incident, and does not keep anybody from adding one of its own.
func (i *Incident) OwnSilence() bool {
	s := &i.Silence
	return s.ID != "" && s.WABA == i.WABA && s.Flow == i.Flow && i.Flow != "" && (s.Event == "" || s.Event == i.Event)
}
