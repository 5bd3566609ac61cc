package router

import (
	"cmp"
	"slices"
	"strings"
)

// route pins to an alert that became active whom it is told to. What is told to one target is one thing: a notifier
// whose target the incident knows already, by another name, goes by that name.
func (f *fold) route(a *Alert, inc *Incident) {
	a.Routes = nil
	for _, route := range f.v.Notify {
		r := AlertRoute{
			Notifier:           inc.watchFor(&route.Target),
			UnlessAcknowledged: route.UnlessAcknowledged,
			Mention:            route.Mention,
			Remind:             route.Remind,
		}
		if route.After > 0 {
			r.Due = f.passed.Add(route.After)
		}
		a.addRoute(r)
	}
	for i, t := range f.v.Named { // a person may want them paged, whatever the severity
		twin := slices.ContainsFunc(f.v.Named[:i], func(other Target) bool { return other.ID() == t.ID() })
		if !t.Kind.Pages() || twin {
			continue
		}
		// its address is kept, whatever it will be called
		if name := inc.watchFor(&t); !slices.Contains(inc.Pageable, name) {
			inc.Pageable = append(slices.Clone(inc.Pageable), name)
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
	if r.Due.Before(old.Due) { // zero is at once
		old.Due = r.Due
	}
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
