package rules

import (
	"slices"
	"strings"
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
