package rules

import (
	"slices"
	"time"

	"flowbridge/router"
)

// Outline is a rule as a list of rules shows it.
type Outline struct {
	Name       string
	Place      Place
	Match      []Place // where the keys of its match stand, in the order of the file
	Routes     []OutlineRoute
	Drop       bool
	Continue   bool
	ShadowedBy []string // the rules that take every event that it matches; none where some event may reach it
}

// OutlineRoute is an entry of notify.
type OutlineRoute struct {
	Notifier   string
	Kind       router.Kind
	Severities string // that it is told of, "" for all
	After      time.Duration
	UnlessAck  bool
}

// Outline lists the rules in the order of the file, `default` last.
func (r *Rules) Outline() []Outline {
	var list []Outline
	for i := range r.rules {
		o := outlineOf(&r.rules[i])
		if by, all := r.takenBefore(i); all {
			for _, at := range by {
				o.ShadowedBy = append(o.ShadowedBy, r.rules[at].name)
			}
		}
		list = append(list, o)
	}
	if r.otherwise != nil {
		o := outlineOf(r.otherwise)
		o.Name = defaultName
		list = append(list, o)
	}
	return list
}

func outlineOf(rule *rule) Outline {
	o := Outline{Name: rule.name, Place: rule.place, Drop: rule.drop, Continue: rule.proceed}
	for _, at := range rule.places {
		o.Match = append(o.Match, at)
	}
	slices.SortFunc(o.Match, func(a, b Place) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	for _, route := range rule.notify {
		one := OutlineRoute{Notifier: route.target.Notifier, Kind: route.target.Kind, After: route.after,
			UnlessAck: route.unlessAck}
		if route.severities != 0 {
			one.Severities = route.severities.String()
		}
		o.Routes = append(o.Routes, one)
	}
	return o
}
