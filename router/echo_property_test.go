package router_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"flowbridge/router"
)

// side is what a service shows of one page or card: "open", "acknowledged", "resolved", "" before it was told.
type side struct{ state router.IncidentState }

// pageID names what a service made for an incident: of a notifier one, and one more for each second page.
type pageID struct {
	notifier string
	incident int64
	pagedAt  int64
}

// services are Slack and PagerDuty beside the real fold. Slack shows what it is told and nothing else; in PagerDuty
// people change the page where it stands, and every change there comes back as an act, whoever made it.
type services struct {
	t         *rapid.T
	sim       *router.Simulation
	minute    int
	incidents map[int64]router.Incident
	sides     map[pageID]*side
	waiting   map[pageID]bool // owed and not told yet: bursts collapse
	owed      int             // deliveries that were ever owed
	syncs     int             // calls that were ever made
}

// TestNoEcho interleaves what Meta reports and what people do in Slack, PagerDuty and the console with deliveries that
// come early or late. Once everything was told, every side shows the same; what we told a service and what comes back
// of it changes nothing and is told to nobody; and there were no more calls than deliveries owed, which are few for
// each event.
func TestNoEcho(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &services{
			t: t, incidents: map[int64]router.Incident{},
			sides: map[pageID]*side{}, waiting: map[pageID]bool{},
		}
		s.sim = router.NewSimulation(&history{decide: rapid.SampledFrom([]func(*router.Event) router.Decision{chatAndPage,
			pagingOnRise, waiting(false)}).Draw(t, "rules")})
		for range rapid.IntRange(1, 40).Draw(t, "length") {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				s.fold(drawEvent(t))
			case 1:
				s.somebody()
			case 2:
				s.inPagerDuty()
			case 3:
				s.deliver(rapid.IntRange(1, 3).Draw(t, "deliveries"))
			}
			s.pass(rapid.SampledFrom([]int{0, 1, 1, 10}).Draw(t, "minutes"))
		}
		s.deliver(len(s.waiting))
		s.agree()
		s.pass(1)
		for _, e := range []router.Event{down(0, 1), pair(0, router.EndpointAvailability, router.Deactivated, 99),
			status(0, "", router.Published)} {
			s.fold(e)
		}
		s.deliver(len(s.waiting))
		s.agree()
		for id, side := range s.sides {
			if side.state != router.IncidentResolved {
				t.Fatalf("Meta says that all is well, and %+v shows %s", id, side.state)
			}
		}
		if s.syncs > s.owed {
			t.Fatalf("%d calls for %d deliveries owed", s.syncs, s.owed)
		}
	})
}

func (s *services) now() time.Time { return morning.Add(time.Duration(s.minute) * time.Minute) }

// pass lets time pass, and with it what was waiting for it.
func (s *services) pass(minutes int) {
	s.minute += minutes
	s.keep(s.sim.Advance(s.now()))
}

// fold folds an event and returns how many deliveries it owes: at most a card and two pages of each incident of its
// flow.
func (s *services) fold(e router.Event) (owed int) {
	e.At, e.Received = s.now(), s.now()
	owed = s.keep(s.sim.Fold(e))
	if most := 3 * (len(s.incidents) + 1); owed > most {
		s.t.Fatalf("%s owes %d deliveries, more than %d", e.Name, owed, most)
	}
	return owed
}

func (s *services) keep(batches []router.Batch) (owed int) {
	for _, b := range batches {
		for _, inc := range b.Incidents {
			s.incidents[inc.Number] = inc
		}
		for _, o := range b.Owed {
			if o.Incident != 0 {
				s.waiting[pageID{o.Target.Notifier, o.Incident, o.PagedAt}] = true
				owed++
			}
		}
	}
	s.owed += owed
	return owed
}

// somebody acts through a button in Slack or on the console; both leave every card and page to us.
func (s *services) somebody() {
	if len(s.incidents) == 0 {
		return
	}
	what := rapid.SampledFrom([]string{router.Acknowledge, router.Unacknowledge, router.Resolve, router.Reopen,
		router.PageNow}).Draw(s.t, "act")
	a := router.Act{Incident: rapid.SampledFrom(slices.Sorted(maps.Keys(s.incidents))).Draw(s.t, "incident"), Actor: "ana"}
	source := router.SourceConsole
	if rapid.Bool().Draw(s.t, "in Slack") {
		source, a.Notifier = router.SourceSlack, "chat"
	}
	s.fold(act(0, source, what, a))
}

// inPagerDuty lets a person do what PagerDuty offers for a page as it stands. They reopen only what a person had
// resolved and Meta still reports to them: what is over stays over here, and that they want it open there all the same
// is their own wish.
func (s *services) inPagerDuty() {
	var pages []pageID
	for id := range s.sides {
		if id.notifier == "page" {
			pages = append(pages, id)
		}
	}
	if len(pages) == 0 {
		return
	}
	slices.SortFunc(pages, func(a, b pageID) int {
		return slices.Compare([]int64{a.incident, a.pagedAt}, []int64{b.incident, b.pagedAt})
	})
	id := rapid.SampledFrom(pages).Draw(s.t, "page")
	side := s.sides[id]
	offers := map[router.IncidentState][]string{
		router.IncidentOpen:         {router.Acknowledge, router.Resolve},
		router.IncidentAcknowledged: {router.Unacknowledge, router.Resolve},
	}[side.state]
	if side.state == router.IncidentResolved && s.reopenable(id) {
		offers = []string{router.Reopen}
	}
	if len(offers) == 0 {
		return
	}
	what := rapid.SampledFrom(offers).Draw(s.t, "act in PagerDuty")
	side.state = map[string]router.IncidentState{
		router.Acknowledge: router.IncidentAcknowledged, router.Unacknowledge: router.IncidentOpen,
		router.Resolve: router.IncidentResolved,
		router.Reopen:  router.IncidentOpen,
	}[what]
	s.comesBack(id, what, "ben")
}

// reopenable says whether a page is of an incident that was resolved by hand and that Meta still reports to the page.
func (s *services) reopenable(id pageID) bool {
	state := s.sim.State(router.FlowID{WABA: "w", Flow: "f"})
	inc := s.incidents[id.incident]
	if inc.State != router.IncidentResolved || inc.ResolvedBy == "" || id.pagedAt != 0 ||
		slices.ContainsFunc(state.Incidents, func(other router.Incident) bool {
			return other.Key == inc.Key && other.State != router.IncidentResolved
		}) {
		return false
	}
	return slices.ContainsFunc(state.Alerts, func(a router.Alert) bool {
		return a.Active && a.Incident == inc.Number && slices.ContainsFunc(a.Routes, func(r router.AlertRoute) bool {
			return r.Notifier == id.notifier && !s.now().Before(r.Due)
		})
	})
}

// comesBack folds what PagerDuty says of a change there.
func (s *services) comesBack(id pageID, what, who string) (owed int) {
	return s.fold(act(0, router.SourcePagerDuty, what, router.Act{Incident: id.incident, Actor: who,
		Notifier: id.notifier}))
}

// deliver makes some of the calls that are owed, each with what is so now.
func (s *services) deliver(n int) {
	for range n {
		if len(s.waiting) == 0 {
			return
		}
		ids := slices.SortedFunc(maps.Keys(s.waiting), func(a, b pageID) int {
			if a.notifier != b.notifier {
				return slices.Compare([]byte(a.notifier), []byte(b.notifier))
			}
			return slices.Compare([]int64{a.incident, a.pagedAt}, []int64{b.incident, b.pagedAt})
		})
		s.sync(rapid.SampledFrom(ids).Draw(s.t, "delivery"))
	}
}

// sync brings one side to what we hold, and folds the echo of each change that this makes.
func (s *services) sync(id pageID) {
	delete(s.waiting, id)
	s.syncs++
	want := s.wanted(id)
	there := s.sides[id]
	if there == nil {
		if want == router.IncidentResolved && id.notifier == "page" {
			return // opened and closed before anybody could be told: nobody is paged
		}
		there = &side{}
		s.sides[id] = there
	}
	was := there.state
	there.state = want
	if id.notifier != "page" || was == want {
		return
	}
	seen := func() string { // all but when people acted last
		inc := s.incidents[id.incident]
		inc.Acts = router.ActTimes{}
		return fmt.Sprintf("%+v", inc)
	}
	before := seen()
	echo := map[router.IncidentState]string{
		router.IncidentAcknowledged: router.Acknowledge, router.IncidentOpen: router.Unacknowledge,
		router.IncidentResolved: router.Resolve,
	}[want]
	if want == router.IncidentResolved && s.incidents[id.incident].State != router.IncidentResolved {
		return // this notifier hears no more of it, which is no resolve: it is known by its sender, and not taken
	}
	if want == router.IncidentAcknowledged && !s.covered(id) {
		return // what came after the acknowledgement is not acknowledged there: see Incident.Acknowledges
	}
	if owed := s.comesBack(id, echo, "flowbridge"); owed != 0 {
		s.t.Fatalf("the echo of %s to %+v owes %d deliveries", want, id, owed)
	}
	if now := seen(); now != before {
		s.t.Fatalf("the echo of %s to %+v changed the incident from\n%s to\n%s", want, id, before, now)
	}
}

// covered says whether the acknowledgement of an incident covers a page, and all that counts and is routed to it. What
// it was to be told of only later is news there.
func (s *services) covered(id pageID) bool {
	state, inc := s.sim.State(router.FlowID{WABA: "w", Flow: "f"}), s.incidents[id.incident]
	if slices.ContainsFunc(inc.Watch, func(w router.Watch) bool {
		return w.Notifier == id.notifier && w.PagedAt == id.pagedAt && !inc.AcknowledgesPage(&w)
	}) {
		return false
	}
	return !slices.ContainsFunc(state.Alerts, func(a router.Alert) bool {
		return a.Counts() && a.Incident == inc.Number && slices.ContainsFunc(a.Routes, func(r router.AlertRoute) bool {
			return r.Notifier == id.notifier && (!inc.Acknowledges(&a) || r.Due.After(inc.AcknowledgedAt))
		})
	})
}

// wanted is what a side should show.
func (s *services) wanted(id pageID) router.IncidentState {
	inc := s.incidents[id.incident]
	for _, w := range inc.Watch {
		if w.Notifier == id.notifier && w.PagedAt == id.pagedAt && w.Open {
			return inc.State
		}
	}
	return router.IncidentResolved
}

// agree checks that every side shows what we hold.
func (s *services) agree() {
	for id, side := range s.sides {
		if want := s.wanted(id); side.state != want {
			s.t.Fatalf("%+v shows %s, want %s\n%+v", id, side.state, want, s.incidents[id.incident])
		}
	}
	for number, inc := range s.incidents {
		for _, w := range inc.Watch {
			if w.Open && s.sides[pageID{w.Notifier, number, w.PagedAt}] == nil {
				s.t.Fatalf("%s was never told of %s", w.Notifier, inc.Name())
			}
		}
	}
}
