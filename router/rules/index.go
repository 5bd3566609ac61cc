package rules

import (
	"math"
	"slices"

	"flowbridge/router"
)

// index finds the rules that may match an event. For each value that some rule names, the set of rules that
// can match it is worked out once; what may match an event is the intersection of a handful of sets, and its
// bits stand in the order of the file. The index only narrows: match.holds has the last word.
type index struct {
	ordinary   bitset // rules for all but recoveries
	recovery   bitset // rules for recoveries
	unlevelled bitset // rules that ask for no threshold

	events     dimension
	flows      dimension // the flow, and every label: a label stands for the flows that have it
	fields     dimension
	wabas      dimension
	subjects   dimension
	changes    dimension
	oldStatus  dimension
	newStatus  dimension
	thresholds ladder
}

// bitset is a set of rules by their place in the file. Most sets are nearly empty where there are many rules, so a
// second level says which words have bits: what is empty is skipped 4,096 rules at a time.
type bitset struct {
	words []uint64
	some  []uint64 // bit i is set if words[i] is not 0
}

func newBitset(rules []rule) bitset {
	words := (len(rules) + 63) / 64
	return bitset{make([]uint64, words), make([]uint64, (words+63)/64)}
}

func (b bitset) add(i int) {
	b.words[i/64] |= 1 << (i % 64)
	b.some[i/4096] |= 1 << (i / 64 % 64)
}

func (b bitset) clone() bitset { return bitset{slices.Clone(b.words), slices.Clone(b.some)} }

// dimension narrows by one key of match.
type dimension struct {
	named map[string]bitset // rules that can match a value that some rule names
	other bitset            // rules that can match any other value
}

// of returns the rules that can match value v; ok is false if no rule cares.
func (d *dimension) of(v string) (set bitset, ok bool) {
	if len(d.named) == 0 {
		return bitset{}, false
	}
	return d.set(v), true
}

func (d *dimension) set(v string) bitset {
	if set, ok := d.named[v]; ok {
		return set
	}
	return d.other
}

func newIndex(rules []rule) index {
	x := index{ordinary: newBitset(rules), recovery: newBitset(rules), unlevelled: newBitset(rules)}
	for i := range rules {
		m := &rules[i].match
		if m.asksOf(true) {
			x.recovery.add(i)
		}
		if m.asksOf(false) {
			x.ordinary.add(i)
		}
		if m.thresholds == nil || m.notBounds {
			x.unlevelled.add(i)
		}
	}
	x.events = narrow(rules, func(m *match) *wanted { return &m.events })
	for _, s := range router.Signals() {
		name := s.Name
		if !onlyByName(name) {
			continue
		}
		set := newBitset(rules)
		for i := range rules {
			if rules[i].match.events.namesOne(name) {
				set.add(i)
			}
		}
		x.events.named[name] = set
	}
	x.flows = narrowFlows(rules)
	x.fields = narrow(rules, func(m *match) *wanted { return &m.fields })
	x.wabas = narrow(rules, func(m *match) *wanted { return &m.wabas })
	x.subjects = narrow(rules, func(m *match) *wanted { return &m.subjects })
	x.changes = narrow(rules, func(m *match) *wanted { return &m.changes })
	x.oldStatus = narrow(rules, func(m *match) *wanted { return &m.oldStatuses })
	x.newStatus = narrow(rules, func(m *match) *wanted { return &m.newStatuses })
	x.thresholds = newLadder(rules)
	return x
}

// narrow indexes one key. asked returns what a rule asks for there.
func narrow(rules []rule, asked func(*match) *wanted) dimension {
	d := dimension{named: map[string]bitset{}, other: newBitset(rules)}
	for i := range rules {
		if asked(&rules[i].match).names() == nil { // it takes anything, or anything but some
			d.other.add(i)
		}
	}
	for i := range rules {
		for _, v := range asked(&rules[i].match).names() {
			d.setOf(v).add(i)
		}
	}
	return d
}

// setOf returns the set of a value, which begins with the rules that take any other.
func (d *dimension) setOf(v string) bitset {
	set, ok := d.named[v]
	if !ok {
		set = d.other.clone()
		d.named[v] = set
	}
	return set
}

// narrowFlows indexes flows. Rules that ask for a label of an account can match flows that no file names, too.
func narrowFlows(rules []rule) dimension {
	d := dimension{named: map[string]bitset{}, other: newBitset(rules)}
	for i := range rules {
		if m := &rules[i].match; m.ids == nil {
			d.other.add(i)
		}
	}
	for i := range rules {
		for _, id := range rules[i].match.ids {
			d.setOf(id).add(i)
		}
	}
	return d
}

// ladder narrows by threshold. The limits that rules name part the numbers into points and the gaps between them, and
// within a gap all rules answer alike: so comparisons are worked out once too.
type ladder struct {
	limits []float64
	sets   []bitset // below limits[0], at limits[0], between it and limits[1], ..., above the last
	any    bitset   // every rule, where there are too many limits
}

// maxLadder bounds the memory of a ladder.
const maxLadder = 16 << 20 // bytes

func newLadder(rules []rule) ladder {
	var s ladder
	for i := range rules {
		for _, b := range rules[i].match.thresholds {
			s.limits = append(s.limits, b.value)
		}
	}
	slices.Sort(s.limits)
	s.limits = slices.Compact(s.limits)
	if len(s.limits)*2*(len(rules)/8+1) > maxLadder {
		s.limits, s.any = nil, newBitset(rules)
		for i := range rules {
			s.any.add(i)
		}
		return s
	}
	s.sets = make([]bitset, 2*len(s.limits)+1)
	for step := range s.sets {
		s.sets[step] = newBitset(rules)
		at := s.within(step)
		for i := range rules {
			if rules[i].match.mayHoldThreshold(at) {
				s.sets[step].add(i)
			}
		}
	}
	return s
}

// within returns a number that lies on a step.
func (s *ladder) within(step int) float64 {
	i := step / 2
	switch {
	case step%2 == 1:
		return s.limits[i]
	case len(s.limits) == 0:
		return 0
	case i == 0:
		return s.limits[0] - 1
	case i == len(s.limits):
		return s.limits[i-1] + 1 + math.Abs(s.limits[i-1])
	}
	return s.limits[i-1]/2 + s.limits[i]/2
}

// of returns the rules that can match threshold t.
func (s *ladder) of(t float64) bitset {
	if s.sets == nil {
		return s.any
	}
	i, found := slices.BinarySearch(s.limits, t)
	if found {
		return s.sets[2*i+1]
	}
	return s.sets[2*i]
}

// sets returns the sets that an event's rules lie in, n of them.
func (x *index) sets(ev *router.Event) (sets [10]bitset, n int) {
	sets[0], sets[1] = x.ordinary, x.unlevelled
	if recovery(ev) {
		sets[0] = x.recovery
	}
	if ev.Threshold != nil {
		sets[1] = x.thresholds.of(*ev.Threshold)
	}
	n = 2
	for _, d := range [...]struct {
		in *dimension
		v  string
	}{
		{&x.events, ev.Name}, {&x.flows, ev.Flow}, {&x.fields, ev.Field}, {&x.wabas, ev.WABA}, {&x.changes, ev.Change},
		{&x.oldStatus, ev.OldStatus}, {&x.newStatus, ev.NewStatus},
	} {
		if set, ok := d.in.of(d.v); ok {
			sets[n] = set
			n++
		}
	}
	if len(x.subjects.named) > 0 {
		sets[n] = x.subjects.set(string(subjectOf(ev)))
		n++
	}
	return sets, n
}
