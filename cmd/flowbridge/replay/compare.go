package replay

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"flowbridge/router"
)

// tellKind is what is compared.
type tellKind int

const (
	tellPage    tellKind = iota // an incident opened at a PagerDuty notifier
	tellMessage                 // a new card or notice in a Slack channel
	tellChange                  // a change event at a PagerDuty notifier, which pages nobody
	tellKinds
)

func (k tellKind) String() string { return [...]string{"page", "message", "change event"}[k] }

func kindOf(k router.Kind, notice bool) tellKind {
	switch {
	case !k.Pages():
		return tellMessage
	case notice:
		return tellChange
	}
	return tellPage
}

// telling is one thing that was told, or would be. It lasts from the opening of its incident to its end.
type telling struct {
	live     bool // it is in the database; else these rules make it
	kind     tellKind
	notifier string
	rule     string
	flow     router.FlowID
	what     string // event
	key      string // of the incident; of a notice the position of the event
	from, to time.Time
	told     bool // of a live one: the service was told; else it is owed, was given up, or there was nothing left to tell
	older    bool // the event behind it is no longer in the journal, so that these rules cannot meet it
}

func (t *telling) overlaps(o *telling) bool {
	return (t.to.IsZero() || !t.to.Before(o.from)) && (o.to.IsZero() || !o.to.Before(t.from))
}

// comparison pairs what was told with what would be told. Two tellings are the same where the same notifier is told of
// the same flow at the same time: of the same incident if there is one. Nothing is kept longer than it can find its
// like.
type comparison struct {
	from    time.Time
	waiting map[bucket][]*telling
	counts  [tellKinds]Count
	diffs   map[diffKey]*Difference
	flows   map[router.FlowID]*Flow
}

type bucket struct {
	kind     tellKind
	notifier string
	flow     router.FlowID
}

type diffKey struct {
	kind           tellKind
	notifier, rule string
}

func newComparison(from time.Time) *comparison {
	return &comparison{from: from, waiting: map[bucket][]*telling{}, diffs: map[diffKey]*Difference{},
		flows: map[router.FlowID]*Flow{}}
}

func (c *comparison) add(t *telling) {
	at := bucket{t.kind, t.notifier, t.flow}
	c.waiting[at] = append(c.waiting[at], t)
}

func (c *comparison) flow(id router.FlowID) *Flow {
	f := c.flows[id]
	if f == nil {
		f = &Flow{WABA: id.WABA, Flow: id.Flow}
		c.flows[id] = f
	}
	return f
}

// settle pairs what ended before a time; the zero time settles everything.
func (c *comparison) settle(before time.Time) {
	var singles []*telling
	for at, all := range c.waiting {
		ended := func(t *telling) bool { return before.IsZero() || !t.to.IsZero() && t.to.Before(before) }
		if !slices.ContainsFunc(all, ended) {
			continue
		}
		slices.SortStableFunc(all,
			func(a, b *telling) int { return cmp.Or(a.from.Compare(b.from), strings.Compare(a.key, b.key)) })
		for i, t := range all {
			if t == nil || !ended(t) {
				continue
			}
			j := likeOf(all, t)
			if j < 0 {
				singles = append(singles, t)
			} else {
				c.pair(t, all[j])
				all[j] = nil
			}
			all[i] = nil
		}
		all = slices.DeleteFunc(all, func(t *telling) bool { return t == nil })
		if len(all) == 0 {
			delete(c.waiting, at)
		} else {
			c.waiting[at] = all
		}
	}
	slices.SortFunc(singles, func(a, b *telling) int {
		return cmp.Or(a.from.Compare(b.from), strings.Compare(a.key, b.key), strings.Compare(a.notifier, b.notifier),
			cmp.Compare(a.kind, b.kind))
	})
	for _, t := range singles {
		c.single(t)
	}
}

// likeOf returns the place of what is the same on the other side, or -1. Where nothing has its key, as where incidents
// are grouped in another way, it is what was told at the same time and is nobody else's. Notices are the same only if
// their event is.
func likeOf(all []*telling, t *telling) int {
	if j := sameKey(all, t); j >= 0 || isNotice(t) {
		return j
	}
	return slices.IndexFunc(all, func(o *telling) bool {
		return o != nil && o.live != t.live && !isNotice(o) && o.overlaps(t) && sameKey(all, o) < 0
	})
}

// sameKey returns the place of what has the same key on the other side, or -1.
func sameKey(all []*telling, t *telling) int {
	return slices.IndexFunc(all, func(o *telling) bool {
		return o != nil && o.live != t.live && o.key == t.key && o.overlaps(t)
	})
}

// isNotice says that a telling has no duration and the position of an event as its key.
func isNotice(t *telling) bool { return !strings.HasPrefix(t.key, "flowbridge/") }

func (c *comparison) compared(t *telling) bool { return !t.from.Before(c.from) }

// pair counts what both sides tell. What the rules of the time told, and no service heard, is named apart.
func (c *comparison) pair(a, b *telling) {
	if !c.compared(a) && !c.compared(b) {
		return
	}
	live := a
	if b.live {
		live = b
	}
	n, f := &c.counts[a.kind], c.flow(a.flow)
	n.Now++
	f.now(a.kind)
	if !live.told {
		n.NotDelivered++
		return
	}
	n.Live++
	n.Same++
	f.live(a.kind)
}

// single counts what only one side tells.
func (c *comparison) single(t *telling) {
	if !c.compared(t) || t.live && (!t.told || t.older) {
		return
	}
	key := diffKey{t.kind, t.notifier, t.rule}
	d := c.diffs[key]
	if d == nil {
		d = &Difference{Kind: t.kind.String(), kind: t.kind, Notifier: t.notifier, Rule: t.rule}
		c.diffs[key] = d
	}
	n, f := &c.counts[t.kind], c.flow(t.flow)
	if t.live {
		n.Live++
		n.Gone++
		d.Gone++
		f.live(t.kind)
	} else {
		n.Now++
		n.Added++
		d.Added++
		f.now(t.kind)
	}
	if len(d.Examples) < maxExamples {
		d.Examples = append(d.Examples, Example{At: t.from.UTC(), WABA: t.flow.WABA, Flow: t.flow.Flow, Event: t.what,
			Gone: t.live})
	}
}

const (
	maxExamples = 3  // of each difference
	mostFlows   = 10 // that are listed
)

// report lists what was counted: pages first, what differs most first.
func (c *comparison) report() *Report {
	r := &Report{Pages: c.counts[tellPage], Messages: c.counts[tellMessage], ChangeEvents: c.counts[tellChange],
		Flows: len(c.flows)}
	for _, d := range c.diffs {
		r.Differences = append(r.Differences, *d)
	}
	slices.SortFunc(r.Differences, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(b.Added+b.Gone, a.Added+a.Gone),
			strings.Compare(a.Notifier, b.Notifier), strings.Compare(a.Rule, b.Rule))
	})
	for _, f := range c.flows {
		if f.Events > 0 {
			r.BusiestFlows = append(r.BusiestFlows, *f)
		}
	}
	slices.SortFunc(r.BusiestFlows, func(a, b Flow) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), strings.Compare(a.Flow, b.Flow), strings.Compare(a.WABA, b.WABA))
	})
	r.BusiestFlows = r.BusiestFlows[:min(len(r.BusiestFlows), mostFlows)]
	return r
}
