package rules

import (
	"maps"
	"slices"
	"time"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

// never is written in the place of a length of time.
const never = "never"

// leastUnheard bounds unheard_after: Meta measures over ten minutes at least, and repeats nothing that goes on.
const leastUnheard = 10 * time.Minute

// measuredEvents are those that unheard_after can name.
func measuredEvents() (names []string) {
	for _, s := range router.Signals() {
		if s.Unheard > 0 {
			names = append(names, s.Name)
		}
	}
	return names
}

// unheardAfter reads how long nothing need be heard of an alert, by event.
func (l *loader) unheardAfter(e entry) {
	all, ok := l.Mapping(e.Value, e.Path)
	if !ok {
		return
	}
	for _, of := range all {
		if !slices.Contains(measuredEvents(), of.Key) {
			l.Wrong(of.At, of.Path, yamldoc.Quote(of.Key)+" is no event that is measured",
				yamldoc.DidYouMean(of.Key, measuredEvents()))
			continue
		}
		s, ok := l.Scalar(of.Value, of.Path)
		if !ok {
			continue
		}
		if s.Text == never {
			l.keepUnheard(of.Key, 0)
			continue
		}
		d := l.wait(of)
		if said, ok := router.ParseDuration(s.Text); ok && said < leastUnheard {
			l.Wrong(of.Value, of.Path, s.Written()+" is too short", "10m at least, or never")
		}
		l.keepUnheard(of.Key, d)
	}
}

func (l *loader) keepUnheard(event string, d time.Duration) {
	if l.rules.unheard == nil {
		l.rules.unheard = map[string]time.Duration{}
	}
	l.rules.unheard[event] = d
}

// UnheardAfter says how long nothing need be heard of an active alert of an event; 0: for ever.
func (r *Rules) UnheardAfter(event string) time.Duration {
	if d, ok := r.unheard[event]; ok {
		return d
	}
	return router.SignalOf(event).Unheard
}

// NamedFlows returns the ids of the flows that the rules name, sorted.
func (r *Rules) NamedFlows() []string { return slices.Sorted(maps.Keys(r.flows)) }
