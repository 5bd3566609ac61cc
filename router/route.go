package router

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// route pins to an alert that became active whom it is told to. What is told to one target is one thing: a notifier
// whose target the incident knows already, by another name, goes by that name.
func (f *fold) route(a *Alert, inc *Incident) {
	a.Routes = inc.routes(&f.v.Decision, a.Event)
	for i := range a.Routes {
		a.Routes[i].begin(f.passed)
		a.Routes[i].After = 0
	}
	inc.namePageable(f.v.Named)
}

// Opens returns those who are told that something is wrong with a signal. Of what ends by a date those who page are
// woken from severity error on; before that they hear of it as of news.
func (d *Decision) Opens(signal string) []Route {
	if !signalOf(signal).Counts || d.Severity >= Error {
		return d.Notify
	}
	return slices.DeleteFunc(slices.Clone(d.Notify), func(r Route) bool { return r.Kind.Pages() })
}

// routes returns how a decision about a signal reaches notifiers, from when on is not said yet.
func (i *Incident) routes(d *Decision, signal string) []AlertRoute {
	var to Alert
	for _, route := range d.Opens(signal) {
		to.addRoute(AlertRoute{
			Notifier:           i.watchFor(&route.Target),
			UnlessAcknowledged: route.UnlessAcknowledged,
			Mention:            route.Mention,
			Remind:             route.Remind,
			After:              route.After,
		})
	}
	return to.Routes
}

// begin says from when on the notifier may be told of what begins now.
func (r *AlertRoute) begin(now time.Time) {
	if r.Due = (time.Time{}); r.After > 0 {
		r.Due = now.Add(r.After)
	}
}

// namePageable takes up those who page among targets that rules name.
func (i *Incident) namePageable(named []Target) {
	for k, t := range named { // a person may want them paged, whatever the severity
		twin := slices.ContainsFunc(named[:k], func(other Target) bool { return other.ID() == t.ID() })
		if !t.Kind.Pages() || twin {
			continue
		}
		// its address is kept, whatever it will be called
		if name := i.watchFor(&t); !slices.Contains(i.Pageable, name) {
			i.Pageable = append(slices.Clone(i.Pageable), name)
		}
	}
}

// addRoute adds a way to be told. Of two to one target the earlier counts, and that which is told in any case.
func (a *Alert) addRoute(r AlertRoute) {
	old := a.route(r.Notifier)
	if old == nil {
		a.Routes = append(a.Routes, r)
		slices.SortFunc(a.Routes, func(x, y AlertRoute) int { return strings.Compare(x.Notifier, y.Notifier) })
		return
	}
	old.UnlessAcknowledged = old.UnlessAcknowledged && r.UnlessAcknowledged
	old.Mention, old.Remind = Union(old.Mention, r.Mention), Oftener(old.Remind, r.Remind)
	old.After = min(old.After, r.After)
}

// nameOf returns the name by which the incident knows a target, and else the target's own.
func (i *Incident) nameOf(t *Target) string {
	for _, w := range i.Watch {
		if w.Target != "" && w.Target == t.ID() {
			return w.Notifier
		}
	}
	return t.Notifier
}

// watchFor makes sure that the incident knows of a target, and returns the name that it goes by. Watch stays sorted.
func (i *Incident) watchFor(t *Target) (name string) {
	name = i.nameOf(t)
	if !slices.ContainsFunc(i.Watch, func(w Watch) bool { return w.Notifier == name }) {
		i.Watch = append(i.Watch, Watch{Notifier: name, Target: t.ID()})
		slices.SortFunc(i.Watch, compareWatch)
	}
	return name
}

func compareWatch(a, b Watch) int {
	return cmp.Or(strings.Compare(a.Notifier, b.Notifier), cmp.Compare(a.PagedAt, b.PagedAt))
}

// PageKeys returns every key under which a service that pages may know an incident with a key: the incident's own, and
// that of a second page for each severity that it can have risen to.
func PageKeys(key string) []string {
	keys := []string{key}
	for s := Warning; s <= Critical; s++ {
		keys = append(keys, key+"/"+s.String())
	}
	return keys
}
