package router

import (
	"cmp"
	"fmt"
)

// Severity is how bad something is, in PagerDuty's four words. Higher is worse; the zero value means
// that nobody said.
type Severity int

// The severities, mildest first.
const (
	SeverityUnset Severity = iota
	Info
	Warning
	Error
	Critical
)

var severityWords = [...]string{"", "info", "warning", "error", "critical"}

// String returns the word as it stands in YAML, JSON and PagerDuty; "" for SeverityUnset.
func (s Severity) String() string {
	if s < 0 || int(s) >= len(severityWords) {
		return fmt.Sprintf("severity(%d)", int(s))
	}
	return severityWords[s]
}

// ParseSeverity reads critical, error, warning or info.
func ParseSeverity(word string) (Severity, error) {
	for s := Info; s <= Critical; s++ {
		if severityWords[s] == word {
			return s, nil
		}
	}
	return SeverityUnset, fmt.Errorf("unknown severity %q: use critical, error, warning or info", word)
}

// MarshalText writes the word.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word; an empty one is SeverityUnset.
func (s *Severity) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*s = SeverityUnset
		return nil
	}
	*s, err = ParseSeverity(string(text))
	return err
}

// DefaultSeverity is how bad e is where no rule says otherwise. Thresholds between or beside Meta's own
// take the severity of the highest of Meta's that they reach. A recovery is good news.
func DefaultSeverity(e *Event) Severity {
	s := signalOf(e.SignalKey())
	switch paired := e.Paired(); {
	case paired && e.AlertState == Deactivated:
		return Info
	case e.Said != SeverityUnset:
		return e.Said
	case s.Counts && (!paired || e.AlertState == Activated):
		return s.reached(e.Threshold).Severity
	case paired && s.Measured():
		return s.reached(e.Threshold).Severity
	case s.ByWord():
		if known := s.find(string(e.Level())); known != nil {
			if s.place(Level(known.Word)) >= 0 && !paired && s.Moves() { // a level that is neither reached nor left
				return Info
			}
			if e.Warning != "" && !paired { // such as: the version of a flow that was created will freeze
				return max(known.Severity, Warning)
			}
			return cmp.Or(known.Severity, s.Severity, Info)
		}
		if paired || !s.AnyLevel {
			return cmp.Or(s.Severity, Info)
		}
	case s.Severity != SeverityUnset:
		return s.Severity
	case paired:
		return Warning
	}
	return Info
}
