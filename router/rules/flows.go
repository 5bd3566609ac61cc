package rules

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

// FlowIDs returns the ids of the flows that a person means by an id or a name of the file, sorted; names are compared
// without regard to case. None means that the file does not know it, several that they share a name.
func (r *Rules) FlowIDs(name string) (ids []string) {
	if _, ok := r.flows[name]; ok {
		return []string{name}
	}
	for id, info := range r.flows {
		if strings.EqualFold(info.FlowName, name) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// AccountIDs is FlowIDs for accounts.
func (r *Rules) AccountIDs(name string) (ids []string) {
	if _, ok := r.accounts[name]; ok {
		return []string{name}
	}
	for id, info := range r.accounts {
		if strings.EqualFold(info.AccountName, name) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// accountNames returns the names of accounts, sorted.
func (r *Rules) accountNames() (names []string) {
	for _, info := range r.accounts {
		if info.AccountName != "" {
			names = append(names, info.AccountName)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Misnamed says what in a scope the files do not know, so that no flow is in it, with the nearest that they know. An
// event that nobody knows may exist; one that is nearly known is misspelt. An account is named by its id.
func (r *Rules) Misnamed(s *router.Scope) (problems []string) {
	if near, ok := yamldoc.NearMiss(s.Event, router.KnownEvents()); ok && s.Event != "" {
		problems = append(problems, fmt.Sprintf("there is no event %s: did you mean %s?", yamldoc.Quote(s.Event),
			yamldoc.Quote(near)))
	}
	if s.WABA != "" && !metaID.MatchString(s.WABA) {
		problems = append(problems, fmt.Sprintf("no account is called %s: %s", yamldoc.Quote(s.WABA),
			cmp.Or(yamldoc.DidYouMean(s.WABA, r.accountNames()), "give its id, or a name of accounts")))
	}
	for _, label := range slices.Sorted(maps.Keys(s.Labels)) {
		var values []string
		for _, info := range slices.Concat(slices.Collect(maps.Values(r.flows)), slices.Collect(maps.Values(r.accounts))) {
			if value := info.Labels[label]; value != "" {
				values = append(values, value)
			}
		}
		slices.Sort(values)
		values = slices.Compact(values)
		switch value := s.Labels[label]; {
		case len(values) == 0:
			problems = append(problems, fmt.Sprintf("no flow has the label %s: %s", yamldoc.Quote(label),
				cmp.Or(yamldoc.DidYouMean(label, r.labels), "known are: "+yamldoc.Shorten(strings.Join(r.labels, ", "), 100))))
		case !slices.Contains(values, value):
			problems = append(problems, fmt.Sprintf("no flow has %s %s: %s", label, yamldoc.Quote(value),
				cmp.Or(yamldoc.DidYouMean(value, values), "flows have "+yamldoc.Shorten(strings.Join(values, ", "), 100))))
		}
	}
	return problems
}
