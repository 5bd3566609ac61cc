package router

import (
	"errors"
	"testing"
)

// TestAListOfIncidentsIsReadToItsEnd holds that a list is read page by page, and no further than is bounded.
func TestAListOfIncidentsIsReadToItsEnd(t *testing.T) {
	read := func(n int64) func(IncidentFilter) ([]Incident, error) {
		return func(f IncidentFilter) (page []Incident, err error) {
			from := n
			if f.Before > 0 {
				from = f.Before - 1
			}
			for number := from; number > 0 && len(page) < f.Limit; number-- {
				page = append(page, Incident{Number: number})
			}
			return page, nil
		}
	}
	for _, tt := range []struct {
		there, want int64
		more        bool
	}{{0, 0, false}, {1, 1, false}, {500, 500, false}, {501, 501, false}, {MaxListed, MaxListed, false},
		{MaxListed + 1, MaxListed, true}} {
		list, more, err := EveryIncident(IncidentFilter{Worst: true, Before: 3, Limit: 2}, read(tt.there))
		if err != nil || int64(len(list)) != tt.want || more != tt.more {
			t.Errorf("of %d: %d incidents, more: %t, %v; want %d, more: %t", tt.there, len(list), more, err, tt.want, tt.more)
		}
		for i := range list {
			if list[i].Number != tt.there-int64(i) {
				t.Fatalf("of %d: place %d is number %d", tt.there, i, list[i].Number)
			}
		}
	}
	fault := errors.New("the disk is full")
	fails := func(IncidentFilter) ([]Incident, error) { return nil, fault }
	if _, _, err := EveryIncident(IncidentFilter{}, fails); err != fault {
		t.Errorf("a list that cannot be read: %v", err)
	}
}
