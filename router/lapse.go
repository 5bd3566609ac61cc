package router

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// lapse is an acknowledgement that has ended since nobody followed it up.
type lapse struct {
	by    string // who had acknowledged it
	after time.Duration
	pages []string // notifiers whose pages it held: they are opened anew, as when a person takes it back
}

// lapsesAt returns when the acknowledgement of an incident ends by itself; zero if it does not. While a recovery is
// held back there is nothing to follow up, and while a silence covers the incident nobody is to be told: it ends after
// that.
func (f *fold) lapsesAt(inc *Incident, counting []*Alert) time.Time {
	active := slices.ContainsFunc(counting, func(a *Alert) bool { return a.Active })
	if inc.State != IncidentAcknowledged || inc.AcknowledgedFor == 0 || !active ||
		f.silenceOf(inc, counting[0]) != nil {
		return time.Time{}
	}
	return later(inc.AcknowledgedAt, inc.Acts.FollowUp).Add(inc.AcknowledgedFor)
}

// lapse ends the acknowledgement of an incident if it has lasted too long; else it returns nil.
func (f *fold) lapse(inc *Incident, counting []*Alert, now time.Time) *lapse {
	at := f.lapsesAt(inc, counting)
	if at.IsZero() || at.After(now) {
		return nil
	}
	ended := &lapse{by: cmp.Or(inc.AcknowledgedBy, "somebody"), after: inc.AcknowledgedFor}
	for _, w := range inc.heldPages(counting) {
		ended.pages = append(ended.pages, w.Notifier)
	}
	inc.State = IncidentOpen
	unacknowledge(inc)
	inc.restReminders(now)
	return ended
}

// words say it on the timeline. before is who was told until then: others had waited for the acknowledgement to end.
func (l *lapse) words(inc *Incident, before []Watch) string {
	names := slices.Clone(l.pages)
	for i, w := range inc.Watch {
		if w.Open && !before[i].Open && slices.Contains(inc.Pageable, w.Notifier) {
			names = append(names, w.Notifier)
		}
	}
	slices.Sort(names)
	text := fmt.Sprintf("Nobody has followed up the acknowledgement of %s for %s", l.by, FormatDuration(l.after))
	if len(names) > 0 {
		text += ". " + paged(slices.Compact(names))
	}
	return text
}

// followUp notes that somebody who has an incident was heard of.
func (f *fold) followUp(inc *Incident) { inc.Acts.FollowUp = later(inc.Acts.FollowUp, f.e.At) }
