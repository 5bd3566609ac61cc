package pagerduty

import (
	"testing"
	"time"

	"flowbridge/router"
)

// TestWhatIsSaidInTheSameSecondIsAboutTheNewPage holds that a clock of PagerDuty's that is a little behind, or that
// counts whole seconds, does not put the name of a new page on the incident before, which had the same key.
func TestWhatIsSaidInTheSameSecondIsAboutTheNewPage(t *testing.T) {
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	before := router.Place{Incident: 1, Known: at.Add(-time.Hour), Link: router.Link{ID: "P1", Number: 1}}
	place := func(known time.Duration) router.Place { return router.Place{Incident: 2, Known: at.Add(known)} }
	for _, tt := range []struct {
		name  string
		newer router.Place
		about router.Link
		want  int64
	}{
		{"told just before", place(-time.Second), router.Link{ID: "P2", Number: 2}, 2},
		{"told in the same second, by our clock after", place(300 * time.Millisecond), router.Link{ID: "P2", Number: 2}, 2},
		{"what is known by its name belongs there", place(300 * time.Millisecond), router.Link{ID: "P1", Number: 1}, 1},
		{"told much later", place(time.Minute), router.Link{ID: "P2", Number: 2}, 1},
	} {
		s := said{at: at, about: tt.about}
		chosen := s.choose([]router.Place{tt.newer, before}, nil)
		if len(chosen) != 1 || chosen[0].Incident != tt.want {
			t.Errorf("%s: chosen %+v, want INC-%d", tt.name, chosen, tt.want)
		}
	}
}
