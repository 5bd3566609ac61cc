package rules

import (
	"slices"

	"flowbridge/router"
)

// bitset is a set of rules by their place in the file.
type bitset []uint64

func (b bitset) add(i int) { b[i/64] |= 1 << (i % 64) }

// index finds the rules that may match an event. For each value that some rule names, the set of rules that
// can match it is worked out once; what may match an event is the intersection of a handful of sets, and its
// bits stand in the order of the file. The index only narrows: match.holds has the last word.
type index struct {
	ordinary   bitset // rules for all but recoveries
	recovery   bitset // rules for recoveries alone
	unlevelled bitset // rules that ask for no threshold

	events     dimension[string]
	flows      dimension[string]
	fields     dimension[string]
	wabas      dimension[string]
	oldStatus  dimension[string]
	newStatus  dimension[string]
	thresholds dimension[float64]
}

// metaThresholds are those of Meta's alerts, in percent and milliseconds.
var metaThresholds = [...]float64{5, 10, 50, 90, 1000, 5000, 7000}

// dimension narrows by one key of match.
type dimension[K comparable] struct {
	named map[K]bitset // rules that can match a value that some rule names
	other bitset       // rules that can match any other value
}

// of returns the rules that can match value v, or nil if no rule cares.
func (d *dimension[K]) of(v K) bitset {
	if len(d.named) == 0 {
		return nil
	}
	if set, ok := d.named[v]; ok {
		return set
	}
	return d.other
}

func newIndex(rules []rule) index {
	x := index{ordinary: newBitset(rules), recovery: newBitset(rules), unlevelled: newBitset(rules)}
	for i := range rules {
		m := &rules[i].match
		if m.recoveryOnly() {
			x.recovery.add(i)
		} else {
			x.ordinary.add(i)
		}
		if m.thresholds == nil {
			x.unlevelled.add(i)
		}
	}
	x.events = narrow(rules, func(m *match) []string { return m.events })
	for _, name := range onlyByName {
		set := newBitset(rules)
		for i := range rules {
			if slices.Contains(rules[i].match.events, name) {
				set.add(i)
			}
		}
		x.events.named[name] = set
	}
	x.flows = narrow(rules, (*match).flowIDs)
	x.fields = narrow(rules, func(m *match) []string { return m.fields })
	x.wabas = narrow(rules, func(m *match) []string { return m.wabas })
	x.oldStatus = narrow(rules, func(m *match) []string { return m.oldStatuses })
	x.newStatus = narrow(rules, func(m *match) []string { return m.newStatuses })
	x.thresholds = narrow(rules, (*match).exactThresholds)
	for _, t := range metaThresholds { // comparisons are worked out for what Meta really sends
		set := newBitset(rules)
		for i := range rules {
			if rules[i].match.mayHoldThreshold(t) {
				set.add(i)
			}
		}
		x.thresholds.named[t] = set
	}
	return x
}

func newBitset(rules []rule) bitset { return make(bitset, (len(rules)+63)/64) }

// narrow indexes one key. values lists what a rule names there; nil means that it takes anything.
func narrow[K comparable](rules []rule, values func(*match) []K) dimension[K] {
	d := dimension[K]{named: map[K]bitset{}, other: newBitset(rules)}
	for i := range rules {
		if values(&rules[i].match) == nil {
			d.other.add(i)
		}
	}
	for i := range rules {
		for _, v := range values(&rules[i].match) {
			if d.named[v] == nil {
				d.named[v] = slices.Clone(d.other)
			}
			d.named[v].add(i)
		}
	}
	return d
}

// sets returns the sets that an event's rules lie in; nil ones do not narrow.
func (x *index) sets(ev *router.Event) [8]bitset {
	first, level := x.ordinary, x.unlevelled
	if recovery(ev) {
		first = x.recovery
	}
	if ev.Threshold != nil {
		level = x.thresholds.of(*ev.Threshold)
	}
	return [...]bitset{
		first, level, x.events.of(ev.Name), x.flows.of(ev.Flow), x.fields.of(ev.Field), x.wabas.of(ev.WABA),
		x.oldStatus.of(ev.OldStatus), x.newStatus.of(ev.NewStatus),
	}
}
