package router

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// mostReminders bounds how often an opening is told again: a day of half hours. What nobody has by then nobody will
// have because of one more.
const mostReminders = 48

// Oftener returns the shorter of two intervals; 0 is never.
func Oftener(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// remindsAt returns when a notifier is told again that nobody has the incident; zero for never. There is nothing to be
// told again while somebody has it, under a silence, or while Meta says that it is over.
func (f *fold) remindsAt(inc *Incident, w *Watch, counting []*Alert) time.Time {
	if inc.State != IncidentOpen || !w.Open || w.PagedAt != 0 || w.Reminders >= mostReminders {
		return time.Time{}
	}
	every := time.Duration(0)
	for _, a := range counting {
		if r := a.route(w.Notifier); r != nil && a.Active && f.silenceOf(inc, a) == nil {
			every = Oftener(every, r.Remind)
		}
	}
	if every == 0 {
		return time.Time{}
	}
	return later(w.Since, w.Reminded).Add(every)
}

// remind tells those again who are due, and says whether anybody is. Who pages opens a page anew: its service notifies
// nobody of what it has already.
func (f *fold) remind(inc *Incident, counting []*Alert, now time.Time) bool {
	var pages, others []string
	for i := range inc.Watch {
		w := &inc.Watch[i]
		if at := f.remindsAt(inc, w, counting); at.IsZero() || at.After(now) {
			continue
		}
		times := w.Reminders + 1
		if slices.Contains(inc.Pageable, w.Notifier) {
			w.opens(f.heard())
			pages = append(pages, w.Notifier)
		} else {
			others = append(others, w.Notifier)
		}
		w.Reminders, w.Reminded = times, later(now, f.heard())
	}
	text := fmt.Sprintf("Nobody has it after %s", FormatDuration(now.Sub(inc.OpenedAt)))
	switch {
	case len(others) > 0 && len(pages) > 0:
		f.entryAt(inc, now, 0, EntryReminded, text+". "+paged(pages)+" again")
	case len(others) > 0:
		f.entryAt(inc, now, 0, EntryReminded, text)
	case len(pages) > 0:
		f.entryAt(inc, now, 0, EntryPaged, paged(pages)+" again: n"+strings.TrimPrefix(text, "N"))
	}
	return len(others)+len(pages) > 0
}

// restReminders begins the time anew after which those who want that are told again: nobody has it any more since then.
func (i *Incident) restReminders(at time.Time) {
	for k := range i.Watch {
		i.Watch[k].Reminders, i.Watch[k].Reminded = 0, at
	}
}
