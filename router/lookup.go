package router

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// alert returns the index of the event's alert at level l, made if need be.
func (f *fold) alert(l Level) int { return f.alertOf(f.e.SignalKey(), l) }

// alertOf returns the index of the alert of a signal at level l, made if need be.
func (f *fold) alertOf(signal string, l Level) int {
	i, ok := slices.BinarySearchFunc(f.state.Alerts, Alert{Event: signal, Level: l}, compareAlerts)
	if !ok {
		f.state.Alerts = slices.Insert(f.state.Alerts, i, Alert{Event: signal, Level: l})
		for j := range f.alerts {
			if f.alerts[j] >= i {
				f.alerts[j]++
			}
		}
	}
	return i
}

func compareAlerts(a, b Alert) int {
	return cmp.Or(strings.Compare(a.Event, b.Event), strings.Compare(string(a.Level), string(b.Level)))
}

// clearedAt returns when level l was last cleared, by itself or by a milder level.
func (f *fold) clearedAt(l Level) (at time.Time) {
	for _, a := range f.state.Alerts {
		if a.Event == f.e.SignalKey() && reaches(a.Event, l, a.Level) && a.Cleared.After(at) {
			at = a.Cleared
		}
	}
	return at
}

// lastValue returns the newest number of the event's signal, at whatever level it was reported.
func (f *fold) lastValue() (value *float64) {
	var newest time.Time
	for _, a := range f.state.Alerts {
		at := a.Reported()
		if a.Event == f.e.SignalKey() && a.Active && a.Reading.Value != nil && !at.Before(newest) && !at.After(f.e.At) {
			newest, value = at, a.Reading.Value
		}
	}
	return value
}

// counting returns the alerts that keep an incident open, worst first.
func (f *fold) counting(number int64) (counting []*Alert) {
	for i := range f.state.Alerts {
		if a := &f.state.Alerts[i]; a.Counts() && a.Incident == number {
			counting = append(counting, a)
		}
	}
	SortAlerts(counting)
	return counting
}

// SortAlerts puts the worst first: by severity, then by level, then by name.
func SortAlerts(alerts []*Alert) { slices.SortStableFunc(alerts, worseFirst) }

// WorstFirst returns alerts in the order of SortAlerts.
func WorstFirst(alerts []Alert) []Alert {
	sorted := make([]*Alert, len(alerts))
	for i := range alerts {
		sorted[i] = &alerts[i]
	}
	SortAlerts(sorted)
	out := make([]Alert, len(alerts))
	for i, a := range sorted {
		out[i] = *a
	}
	return out
}

func worseFirst(a, b *Alert) int {
	switch {
	case a.Severity != b.Severity:
		return int(b.Severity) - int(a.Severity)
	case a.Level != b.Level && a.Reaches(b):
		return -1
	case a.Level != b.Level && b.Reaches(a):
		return 1
	case a.Event == b.Event && a.Level != b.Level: // of words that stand apart: the table has the mildest first
		s := signalOf(a.Event)
		if order := s.place(b.Level) - s.place(a.Level); order != 0 {
			return order
		}
	}
	return compareAlerts(*a, *b)
}

// incident returns the flow's incident with a number, or nil.
func (f *fold) incident(number int64) *Incident {
	for i := range f.state.Incidents {
		if f.state.Incidents[i].Number == number {
			return &f.state.Incidents[i]
		}
	}
	return nil
}

// incidentByKey returns the unresolved incident with a key, or nil.
func (f *fold) incidentByKey(key string) *Incident {
	for i := range f.state.Incidents {
		if inc := &f.state.Incidents[i]; inc.Key == key && inc.State != IncidentResolved {
			return inc
		}
	}
	return nil
}
