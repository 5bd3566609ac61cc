package router

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// AlertReading is what Meta measured of an alert at a time. Refreshes of an alert between its changes leave nothing but
// these: at most one for each slot of time is kept, the newest, and none for longer than KeepReadings.
type AlertReading struct {
	FlowID
	Event   string
	Level   Level
	Slot    time.Time
	At      time.Time
	Reading // its Value is not nil; Errors are left out
}

const (
	// KeepReadings is how long readings are kept: what a chart of a quarter needs.
	KeepReadings = 90 * 24 * time.Hour

	// The first hours of an alert are looked at closely; after that a number an hour will do. So an alert that stays
	// active for all of KeepReadings has 2,226 readings, and one that begins anew all the time 288 a day at most.
	closely     = 6 * time.Hour
	closeSlot   = 5 * time.Minute
	distantSlot = time.Hour
)

// slotOf returns the slot of a reading at a time, of an alert that has been active since another.
func slotOf(since, at time.Time) time.Time {
	if at.Sub(since) < closely {
		return at.UTC().Truncate(closeSlot)
	}
	return at.UTC().Truncate(distantSlot)
}

// readingID names a reading.
type readingID struct {
	alertID
	slot int64
}

// measure takes up the numbers that an event brought to the alerts which it changed or refreshed.
func (g *batch) measure(id FlowID, e *Event, changed []Alert) {
	if e.Act != nil || e.Reading.Value == nil {
		return
	}
	for i := range changed {
		a := &changed[i]
		// what came too late, or was dropped, changes no number
		if a.Event != e.SignalKey() || a.Reading.Value != e.Reading.Value {
			continue
		}
		at := a.Raised
		if !a.Active {
			at = a.Until
		}
		r := AlertReading{
			FlowID:  id,
			Event:   a.Event,
			Level:   a.Level,
			Slot:    slotOf(a.Since, at),
			At:      at,
			Reading: e.Reading,
		}
		r.Errors = nil
		g.readings[readingID{alertID{id, a.Event, a.Level}, r.Slot.UnixMicro()}] = r
	}
}

// sortedReadings puts them in the order in which all processes write them.
func sortedReadings(readings map[readingID]AlertReading) []AlertReading {
	return slices.SortedFunc(maps.Values(readings), func(a, b AlertReading) int {
		return cmp.Or(
			a.FlowID.Compare(b.FlowID),
			cmp.Compare(a.Event, b.Event),
			cmp.Compare(a.Level, b.Level),
			a.Slot.Compare(b.Slot),
		)
	})
}
