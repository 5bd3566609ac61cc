package pagerduty

import (
	"slices"
	"testing"
	"time"

	"flowbridge/router"
)

// TestWhatIsSaidInTheSameSecondIsAboutTheNewPage holds that a clock of PagerDuty's that is a little behind, or that
// counts whole seconds, does not put the name of a new page on the incident before, which had the same key.
func TestWhatIsSaidInTheSameSecondIsAboutTheNewPage(t *testing.T) {
	t.Parallel()
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

// TestWhatIsSaidIsAboutTheIncidentThatWasMadeForAPage holds that an act on a page which has no name yet does not fall
// on the next one with its key, though that was there already when the person acted.
func TestWhatIsSaidIsAboutTheIncidentThatWasMadeForAPage(t *testing.T) {
	t.Parallel()
	made := time.Date(2026, 3, 2, 12, 1, 49, 0, time.UTC)
	first := router.Place{Incident: 1, Known: made.Add(400 * time.Millisecond)}
	next := router.Place{Incident: 2, Known: made.Add(time.Second), Open: true}
	with := func(p router.Place, change func(p *router.Place)) router.Place {
		change(&p)
		return p
	}
	for _, tt := range []struct {
		name  string
		keyed []router.Place // newest first
		want  []int64
	}{
		{"the first is over", []router.Place{next, first}, []int64{1}},
		{"PagerDuty was not told of its end: the next trigger fell on it",
			[]router.Place{next, with(first, func(p *router.Place) { p.Open = true })}, []int64{1, 2}},
		{"the first has another name", []router.Place{next, with(first, func(p *router.Place) { p.Link.ID = "P9" })},
			[]int64{2}},
		{"both were told of in one second: the newest that was there",
			[]router.Place{with(next, func(p *router.Place) { p.Known = made.Add(500 * time.Millisecond) }), first}, []int64{2}},
		{"two notifiers have the page", []router.Place{next, with(first, func(p *router.Place) { p.Notifier = "a" }),
			with(first, func(p *router.Place) { p.Notifier = "b" })}, []int64{1, 1}},
		{"an older one is of no account", []router.Place{next, first,
			{Incident: 3, Known: made.Add(-time.Hour), Link: router.Link{ID: "P3"}}}, []int64{1}},
	} {
		s := said{at: made.Add(time.Second), made: made, about: router.Link{ID: "P1"}}
		var got []int64
		for _, p := range s.choose(tt.keyed, nil) {
			got = append(got, p.Incident)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestAPageOfAnotherServiceTakesNoNameAway holds what tells the pages of two notifiers with one key apart: the services
// that they are in, and where those are not known, who has a name already.
func TestAPageOfAnotherServiceTakesNoNameAway(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	first := func(id, service string) router.Place {
		p := router.Place{Incident: 1, Notifier: "first", Key: "k", Known: at.Add(-time.Hour)}
		if id != "" {
			p.Link = router.Link{Notifier: "first", Key: "k", ID: id, Number: 11, Service: service}
		}
		return p
	}
	second := func(id, service string, known time.Duration) router.Place {
		p := router.Place{Incident: 1, Notifier: "second", Key: "k", Known: at.Add(known)}
		if id != "" {
			p.Link = router.Link{Notifier: "second", Key: "k", ID: id, Number: 12, Service: service}
		}
		return p
	}
	untold := second("", "", 0)
	untold.Known = time.Time{}
	for _, tt := range []struct {
		name    string
		keyed   []router.Place
		service string // of the incident
		want    []string
	}{
		{"the other is in a service of its own", []router.Place{second("", "", -time.Second), first("P11", "S1")}, "S2",
			[]string{"second"}},
		{"the first was made anew in its service", []router.Place{second("", "", -time.Second), first("P11", "S1")}, "S1",
			[]string{"first"}},
		{"both have names", []router.Place{second("P12", "S2", -time.Second), first("P11", "S1")}, "S1", []string{"first"}},
		{"no service is known: who has a name keeps it",
			[]router.Place{second("", "", -time.Second), first("P11", "")}, "", []string{"second"}},
		{"the name is from before services were kept",
			[]router.Place{second("", "", -time.Second), first("P11", "")}, "S2", []string{"second"}},
		{"the other was not told yet", []router.Place{untold, first("P11", "")}, "S1", []string{"first"}},
		{"by a clock that is behind", []router.Place{second("", "", time.Second), first("P11", "S1")}, "S2",
			[]string{"second"}},
		{"one notifier, whose page goes to another service now", []router.Place{first("P11", "S1")}, "S2",
			[]string{"first"}},
		{"neither has a name", []router.Place{second("", "", -time.Second), first("", "")}, "S1",
			[]string{"second", "first"}},
	} {
		s := said{at: at, about: router.Link{ID: "P13", Number: 13}, service: tt.service}
		var got []string
		for _, p := range s.choose(tt.keyed, nil) {
			got = append(got, p.Notifier)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestAnActComesNoEarlierThanThePageThatItIsOn is for a host whose clock is some seconds ahead of PagerDuty's.
func TestAnActComesNoEarlierThanThePageThatItIsOn(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	page := func(known time.Duration, change func(*router.Place)) router.Place {
		p := router.Place{Incident: 2, Notifier: "oncall", Key: "k", Known: at.Add(known), Open: true}
		change(&p)
		return p
	}
	as := func(*router.Place) {}
	named := func(p *router.Place) { p.Link = router.Link{Notifier: "oncall", Key: "k", ID: "P2", Number: 2} }
	older := router.Place{Incident: 1, Notifier: "oncall", Key: "k", Known: at.Add(-time.Hour),
		Link: router.Link{ID: "P1", Number: 1}}
	for _, tt := range []struct {
		name  string
		keyed []router.Place
		want  int64
		after time.Duration // what was said is taken for so much later
	}{
		{"the only page", []router.Place{page(20*time.Second, as)}, 2, 20 * time.Second},
		{"by its name", []router.Place{page(20*time.Second, named)}, 2, 20 * time.Second},
		{"within the usual skew", []router.Place{page(2*time.Second, as)}, 2, 2 * time.Second},
		{"told before", []router.Place{page(-time.Second, as)}, 2, 0},
		{"an hour before the page", []router.Place{page(time.Hour, as)}, 0, 0},
		{"of a page of before", []router.Place{page(20*time.Second, func(p *router.Place) { named(p); p.Stale = true })}, 2,
			0},
		{"an incident of before had the key", []router.Place{page(20*time.Second, as), older}, 1, 0},
		{"a page that is over", []router.Place{page(20*time.Second, func(p *router.Place) { p.Open = false })}, 0, 0},
	} {
		s := said{at: at, received: at.Add(time.Minute), about: router.Link{ID: "P2", Number: 2},
			events: []router.Event{{Name: router.Acknowledge, Act: &router.Act{}}}}
		var linked []router.Place
		if tt.keyed[0].Link.ID == s.about.ID {
			linked = tt.keyed[:1]
		}
		places := join(linked, s.choose(tt.keyed, linked))
		incident, after := int64(0), time.Duration(0)
		for _, e := range s.spread(places) {
			incident, after = e.Act.Incident, e.At.Sub(at)
		}
		if incident != tt.want || after != tt.after {
			t.Errorf("%s: INC-%d, %s later; want INC-%d, %s", tt.name, incident, after, tt.want, tt.after)
		}
	}
}
