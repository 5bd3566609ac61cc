package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"flowbridge/router"
	"flowbridge/router/rules"
)

// What explain says of an event that counts down: the steps that have begun by its time, and those that come later.

// begun returns what the rules say of the steps that have begun when the event comes, the newest first. Each is an
// alert of its own, and what the rules drop of them opens none.
func (x *explainer) begun(ev *router.Event, ends time.Time) (all []rules.Explanation) {
	if ends.IsZero() {
		return nil
	}
	for _, step := range slices.Backward(ev.Steps(ends)) {
		if step.At.After(ev.At) {
			continue
		}
		if own := x.rules.Explain(&step); !own.Decision.Drop {
			all = append(all, own)
		}
	}
	return all
}

// standing says how bad it is with all steps that have begun, and whom they and the event itself tell. Who is told of
// one of them is not listed as not told of another.
func (x *explainer) standing(ev *router.Event, own *rules.Explanation) (severity router.Severity, all []rules.Told) {
	begun := x.begun(ev, own.Decision.Ends)
	severity, all = own.Decision.Severity, own.Routes
	if len(begun) == 0 {
		return severity, all
	}
	told := map[string]bool{}
	var tells, not []rules.Told
	for _, step := range append(begun, *own) {
		severity = max(severity, step.Decision.Severity)
		for _, route := range step.Routes {
			switch {
			case !route.Tells:
				not = append(not, route)
			case !told[route.Notifier]:
				told[route.Notifier] = true
				tells = append(tells, route)
			}
		}
	}
	for _, route := range not {
		if !told[route.Notifier] {
			told[route.Notifier] = true // said once
			tells = append(tells, route)
		}
	}
	return severity, tells
}

// stepRules prints the rules of the newest step that has begun, where others match it than the event itself.
func (x *explainer) stepRules(ev *router.Event, own *rules.Explanation) {
	matched := func(e *rules.Explanation) (names []string) {
		for _, a := range e.Rules {
			if a.Matched {
				names = append(names, a.Rule)
			}
		}
		return names
	}
	begun := x.begun(ev, own.Decision.Ends)
	if own.Decision.Drop || len(begun) == 0 || slices.Equal(matched(&begun[0]), matched(own)) {
		return
	}
	fmt.Fprint(x.out, "\nIts newest step has begun. The rules of that:\n\n")
	x.ruleLines(begun[0].Rules)
}

// steps says what is told later of something that ends: when, how bad it is by then, and whom.
func (x *explainer) steps(ev *router.Event, ends time.Time) {
	for _, step := range ev.Steps(ends) {
		if ends.IsZero() {
			x.fact("later", "nothing more: it is not known when the version expires")
			return
		}
		d := x.rules.Decide(&step)
		if d.Drop || !step.At.After(ev.At) {
			continue
		}
		var names []string
		for _, r := range d.Opens(ev.SignalKey()) {
			names = append(names, r.Notifier)
		}
		x.fact("later", fmt.Sprintf("with %s left, on %s: %s to %s", router.FormatValue(ev.Name, *step.Threshold),
			step.At.UTC().Format("2 January 2006 15:04 UTC"), d.Severity, cmp.Or(strings.Join(names, ", "), "nobody")))
	}
}
