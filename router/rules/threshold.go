package rules

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"flowbridge/router"
)

// comparison is how a value is compared: "" stands for equality.
type comparison string

const comparisonForm = `(>=|<=|>|<|)\s*`

func (c comparison) holds(v, limit float64) bool {
	switch c {
	case ">=":
		return v >= limit
	case ">":
		return v > limit
	case "<=":
		return v <= limit
	case "<":
		return v < limit
	}
	return v == limit
}

// bound is one threshold that a rule asks for: 10, "10%", ">=5s". A bound in percent does not hold for a
// latency, nor one in seconds for a rate, so that one rule can list both. Days are always written with their unit:
// "3d".
type bound struct {
	op    comparison
	value float64 // percent or ms
	unit  router.Unit
}

// fits says whether an event may be measured in the unit of the bound.
func (b bound) fits(event string) bool {
	of := router.UnitOf(event)
	if of == router.Days { // a bare number is of what Meta measures
		return b.unit == of
	}
	return b.unit == router.NoUnit || of == router.NoUnit || b.unit == of
}

func (b bound) holds(ev *router.Event) bool {
	if ev.Threshold == nil || !b.fits(ev.Name) {
		return false
	}
	return b.op.holds(*ev.Threshold, b.value)
}

var boundForm = regexp.MustCompile(`^` + comparisonForm + `(\d+(?:\.\d+)?)\s*(%|ms|s|m|d|)$`)

const boundHint = `write a number, "10%", "5s" or "3d", with >=, >, <= or < before it if need be`

func parseBound(s string) (b bound, ok bool) {
	m := boundForm.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return bound{}, false
	}
	value, err := strconv.ParseFloat(m[2], 64)
	if err != nil || math.IsInf(value, 0) {
		return bound{}, false
	}
	b = bound{op: comparison(m[1]), value: value}
	switch m[3] {
	case "%":
		b.unit = router.Percent
	case "ms":
		b.unit = router.Millis
	case "d":
		b.unit = router.Days
	case "s":
		b.unit, b.value = router.Millis, value*float64(time.Second/time.Millisecond)
	case "m":
		b.unit, b.value = router.Millis, value*float64(time.Minute/time.Millisecond)
	}
	return b, true
}

// severityRule is what a rule says of severity: one word, or a word for some thresholds, statuses and changes.
type severityRule struct {
	always router.Severity
	levels []severityAt
	words  map[string]router.Severity // by the status or the change
}

type severityAt struct {
	bound
	severity router.Severity
}

// says says whether the rule says anything of severity.
func (s *severityRule) says() bool {
	return s.always != router.SeverityUnset || len(s.levels)+len(s.words) > 0
}

// of returns what the rule says of an event; SeverityUnset where it says nothing.
func (s *severityRule) of(ev *router.Event) router.Severity {
	if s.always != router.SeverityUnset {
		return s.always
	}
	switch signal := router.SignalOf(ev.SignalKey()); {
	case signal.Moves():
		return s.words[ev.Change]
	case signal.ByWord():
		return s.words[ev.NewStatus]
	case ev.Change != "": // of what is new at Meta
		return s.words[ev.Change]
	}
	for _, l := range s.levels {
		if l.holds(ev) {
			return l.severity
		}
	}
	return router.SeverityUnset
}

func severityWords() []string {
	return []string{router.Critical.String(), router.Error.String(), router.Warning.String(), router.Info.String()}
}

// severitySet holds the severities that an entry of notify is told of; 0 means all.
type severitySet uint8

// allSeverities are all that there are.
const allSeverities severitySet = 1<<router.Info | 1<<router.Warning | 1<<router.Error | 1<<router.Critical

func (s severitySet) has(severity router.Severity) bool { return s == 0 || s&(1<<severity) != 0 }

// overlaps says whether some severity is in both sets.
func (s severitySet) overlaps(other severitySet) bool { return s == 0 || other == 0 || s&other != 0 }

var severityForm = regexp.MustCompile(`^` + comparisonForm + `([A-Za-z]+)$`)

// parseSeveritySet reads "error", ">=error" and the like. A set that nothing is in is refused.
func parseSeveritySet(s string) (set severitySet, ok bool) {
	m := severityForm.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return 0, false
	}
	limit, err := router.ParseSeverity(m[2])
	if err != nil {
		return 0, false
	}
	for each := router.Info; each <= router.Critical; each++ {
		if comparison(m[1]).holds(float64(each), float64(limit)) {
			set |= 1 << each
		}
	}
	return set, set != 0
}
