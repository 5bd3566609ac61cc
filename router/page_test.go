package router_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"flowbridge/router"
)

// throughPage is an act of ben in PagerDuty, through the page with a key.
func throughPage(minute int, what, key string, a router.Act) router.Event {
	a.Incident, a.Actor, a.Notifier, a.Key = 1, "ben", "page", key
	return act(minute, router.SourcePagerDuty, what, a)
}

// owedTo lists what a step owes, or knows, by notifier and key.
func owedTo(list []router.Owed) (out []string) {
	for _, o := range list {
		open := " closed"
		if o.Open {
			open = " open"
		}
		if o.Reopened && !o.Ended.IsZero() {
			open += " unless it was told since"
		}
		if o.Left {
			open += ", and what a lost database left"
		}
		out = append(out, o.Target.Notifier+" "+o.Key[len(o.Key)-4:]+open)
	}
	return out
}

func TestWhatAPageSaysItselfIsOwedToTheOthers(t *testing.T) {
	up10 := up(0, 10)
	key := router.GroupBySignal.Key(&up10)
	link := router.Act{Link: &router.Link{Notifier: "page", Key: key, ID: "P1", Number: 7}}
	again := router.Act{Link: &router.Link{Notifier: "page", Key: key, ID: "P2", Number: 9}}
	for _, tt := range []struct {
		name        string
		events      []router.Event
		owed, known []string // of the last
	}{
		{"an acknowledgement", []router.Event{up(0, 10), throughPage(1, router.Acknowledge, key, router.Act{})},
			[]string{"chat RATE open"}, []string{"page RATE open"}},
		{"an acknowledgement of what is acknowledged already: it must end there, too, once that is taken back",
			[]router.Event{up(0, 10), person(1, router.Acknowledge, 1), throughPage(2, router.Acknowledge, key, router.Act{})},
			nil, []string{"page RATE open"}},
		{"and one that comes late",
			[]router.Event{up(0, 10), person(2, router.Acknowledge, 1), throughPage(1, router.Acknowledge, key, router.Act{})},
			nil, []string{"page RATE open"}},
		{"a resolve: what still waits for the page must not open it again",
			[]router.Event{up(0, 10), throughPage(1, router.Resolve, key, router.Act{})},
			[]string{"chat RATE closed"}, []string{"page RATE closed, and what a lost database left"}},
		{"a resolve through the second page closes the first", []router.Event{up(0, 10), person(1, router.Acknowledge, 1),
			up(2, 50), throughPage(3, router.Resolve, key+"/critical", router.Act{})},
			[]string{"chat RATE closed", "page RATE closed"}, []string{"page ical closed"}},
		{"a resolve through one of two pages, nobody knows which", []router.Event{up(0, 10), person(1, router.Acknowledge, 1),
			up(2, 50), throughPage(3, router.Resolve, "", router.Act{})},
			[]string{"chat RATE closed", "page RATE closed", "page ical closed"}, nil},
		{"a name", []router.Event{up(0, 10), throughPage(1, router.LinkIncident, key, link)},
			[]string{"chat RATE open"}, nil},
		{"a name for what the service made anew after a person had resolved it: that is closed", []router.Event{up(0, 10),
			throughPage(1, router.LinkIncident, key, link), throughPage(2, router.Resolve, key, router.Act{}),
			throughPage(3, router.LinkIncident, key, again)},
			[]string{"page RATE closed unless it was told since"}, nil},
		{"what is done elsewhere", []router.Event{up(0, 10), person(1, router.Acknowledge, 1)},
			[]string{"chat RATE open", "page RATE open"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &history{decide: pagingOnRise}
			var step router.Step
			for _, e := range tt.events {
				step = h.fold(e)
			}
			if diff := cmp.Diff(tt.owed, owedTo(step.Owed)); diff != "" {
				t.Errorf("owed (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.known, owedTo(step.AlreadyThere)); diff != "" {
				t.Errorf("known (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAnAcknowledgementTakenBackElsewhereEndsInItsService is for one that is heard of only after that: the service
// holds it until the page is opened anew.
func TestAnAcknowledgementTakenBackElsewhereEndsInItsService(t *testing.T) {
	up10 := up(0, 10)
	key := router.GroupBySignal.Key(&up10)
	late := throughPage(1, router.Acknowledge, key, router.Act{})
	here, there := person(2, router.Unacknowledge, 1), throughPage(2, router.Unacknowledge, key, router.Act{})
	for _, tt := range []struct {
		name   string
		events []router.Event
		want   int64 // the opening of the page in the end
	}{
		{"here", []router.Event{up(0, 10), here, late}, 2},
		{"here, after it was acknowledged here as well", []router.Event{up(0, 10), person(1, router.Acknowledge, 1), here,
			late}, 2},
		{"there: it holds nothing", []router.Event{up(0, 10), there, late}, 1},
		{"here, and acknowledged again", []router.Event{up(0, 10), here, person(3, router.Acknowledge, 1), late}, 1},
		{"here, and over since", []router.Event{up(0, 10), here, down(3, 10), late}, 1},
		{"here, and the page has opened anew since", []router.Event{up(0, 5), up(0, 10), here, down(3, 10), up(4, 10),
			late}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &history{decide: chatAndPage}
			var step router.Step
			for _, e := range tt.events {
				step = h.fold(e)
			}
			watch := h.state.Incidents[0].Watch
			i := slices.IndexFunc(watch, func(w router.Watch) bool { return w.Notifier == "page" })
			owed := slices.ContainsFunc(step.Owed, func(o router.Owed) bool {
				return o.Target.Notifier == "page" && o.Open && o.Opening == tt.want
			})
			if anew := tt.want > 1 && !strings.Contains(tt.name, "since"); watch[i].Opening != tt.want || owed != anew {
				t.Errorf("opening %d, want %d; it is owed: %v", watch[i].Opening, tt.want, owed)
			}
		})
	}
}

func TestTroubleThatFollowsIsNotPutOnAPageThatAPersonReopened(t *testing.T) {
	up10 := up(0, 10)
	key := router.GroupBySignal.Key(&up10)
	link := func(minutes int, incident int64, id string) router.Event {
		return act(minutes, router.SourcePagerDuty, router.LinkIncident, router.Act{Incident: incident, Notifier: "page",
			Key:  key,
			Link: &router.Link{Notifier: "page", Key: key, ID: id}})
	}
	for _, tt := range []struct {
		name   string
		events []router.Event
		want   []string // what the last owes to who pages
	}{
		{"heard before: the old page is ended first",
			[]router.Event{up(0, 10), down(1, 10), throughPage(2, router.Reopen, key, router.Act{}), up(3, 10)},
			[]string{"page RATE closed", "page RATE open"}},
		{"a page that it had before, where only its key is known", []router.Event{up(0, 10), down(1, 10),
			act(2, router.SourcePagerDuty, router.Reopen, router.Act{Incident: 1, Actor: "ben", Key: key}), up(3, 10)},
			[]string{"page RATE closed", "page RATE open"}},
		{"the page of one long over", []router.Event{up(0, 10), down(1, 10), up(2, 10), down(3, 10),
			throughPage(4, router.Reopen, key, router.Act{}), up(5, 10)},
			[]string{"page RATE closed", "page RATE open"}},
		{"the page of one that goes on below what pages", []router.Event{up(0, 5), up(0, 10), down(1, 10),
			throughPage(2, router.Reopen, key, router.Act{}), down(3, 5), up(5, 10)},
			[]string{"page RATE closed", "page RATE open"}},
		{"heard after: it is paged anew, once the old page is ended", []router.Event{up(0, 10), down(1, 10), up(3, 10),
			throughPage(2, router.Reopen, key, router.Act{})},
			[]string{"page RATE open", "page RATE closed"}},
		{"heard after, and the next has a page of its own: the old one was over by then", []router.Event{up(0, 10),
			link(1, 1, "P1"), down(1, 10), up(3, 10), link(4, 2, "P2"), throughPage(2, router.Reopen, key, router.Act{})},
			nil},
		{"heard after, and the next is on the old page", []router.Event{up(0, 10), link(1, 1, "P1"), down(1, 10), up(3, 10),
			link(4, 2, "P1"), throughPage(2, router.Reopen, key, router.Act{})},
			[]string{"page RATE open", "page RATE closed"}},
		{"heard after, and the next had its own page before it paged again", []router.Event{up(0, 10), link(1, 1, "P1"),
			down(1, 10), up(2, 5), up(2, 10), link(3, 2, "P2"), down(4, 10), up(6, 10),
			throughPage(5, router.Reopen, key, router.Act{})},
			[]string{"page RATE open", "page RATE closed"}},
		{"heard after its own incident had paged again", []router.Event{up(0, 5), up(0, 10), down(1, 10), up(3, 10),
			throughPage(2, router.Reopen, key, router.Act{})},
			[]string{"page RATE open"}},
		{"and acknowledged since", []router.Event{up(0, 5), up(0, 10), down(1, 10), up(3, 10),
			person(4, router.Acknowledge, 1), throughPage(2, router.Reopen, key, router.Act{})},
			nil},
		{"reopened while the next one goes on: the one after that is not put on it", []router.Event{up(0, 10), down(1, 10),
			up(2, 10), throughPage(3, router.Reopen, key, router.Act{}), down(4, 10), up(5, 10)},
			[]string{"page RATE closed", "page RATE open"}},
		{"reopened after it was paged: that is another page", []router.Event{up(0, 10), down(1, 10), up(3, 10),
			throughPage(4, router.Reopen, key, router.Act{})},
			nil},
		{"reopened after the next one had opened, which has no name of its own yet: it may have fallen on that",
			[]router.Event{up(0, 10), link(1, 1, "P1"), down(1, 10), up(3, 10),
				throughPage(4, router.Reopen, key, router.Act{})},
			[]string{"page RATE open", "page RATE closed"}},
		{"reopened after the next one was named: that is another page", []router.Event{up(0, 10), link(1, 1, "P1"),
			down(1, 10), up(3, 10), link(4, 2, "P2"), throughPage(4, router.Reopen, key, router.Act{})},
			nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := lastOwedToPage(&history{decide: chatAndPage}, tt.events)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("owed (-want +got):\n%s", diff)
			}
		})
	}
}

func lastOwedToPage(h *history, events []router.Event) []string {
	var step router.Step
	for _, e := range events {
		step = h.fold(e)
	}
	return slices.DeleteFunc(owedTo(step.Owed), func(s string) bool { return strings.HasPrefix(s, "chat") })
}

// TestAPageThatWasReopenedBeforeLesserTroubleIsMadeAnew: the other signal of the flow has opened the incident again.
func TestAPageThatWasReopenedBeforeLesserTroubleIsMadeAnew(t *testing.T) {
	up10 := up(0, 10)
	key := router.GroupByFlow.Key(&up10)
	resolved, slow := throughPage(1, router.Resolve, key, router.Act{}), pair(4, router.EndpointLatency, router.Activated,
		1000)
	reopened := throughPage(2, router.Reopen, key, router.Act{})
	for _, tt := range []struct {
		name   string
		events []router.Event
		want   []string
	}{
		{"heard after it", []router.Event{up10, resolved, throughPage(3, router.Acknowledge, key, router.Act{}), slow,
			reopened}, []string{"page /w/f open"}},
		{"and that was acknowledged since", []router.Event{up10, resolved, slow,
			throughPage(5, router.Acknowledge, key, router.Act{}), reopened}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := lastOwedToPage(&history{decide: groupedBy(router.GroupByFlow)}, tt.events)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("owed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnIncidentIsTheFirstUntilOneOfItsKeyHasPaged(t *testing.T) {
	h := &history{decide: chatAndPage}
	for i, tt := range []struct {
		event router.Event
		want  bool // of the incident that it opens
	}{{up(0, 5), true}, {down(1, 5), false}, {up(2, 10), true}, {down(3, 10), false}, {up(4, 5), false}} {
		h.fold(tt.event)
		if tt.event.AlertState == router.Activated {
			if inc := h.state.Incidents[len(h.state.Incidents)-1]; inc.First != tt.want {
				t.Errorf("%d: %s is the first: %t, want %t", i, inc.Name(), inc.First, tt.want)
			}
		}
	}
}

// TestAPageThatAPersonReopenedIsEndedBeforeItsIncidentPagesAgain has a lesser level keep the incident open meanwhile.
func TestAPageThatAPersonReopenedIsEndedBeforeItsIncidentPagesAgain(t *testing.T) {
	up10 := up(0, 10)
	key := router.GroupBySignal.Key(&up10)
	sim := router.NewSimulation(&history{decide: chatAndPage})
	var last router.Batch
	for _, e := range []router.Event{up(0, 5), up(0, 10), down(1, 10), throughPage(2, router.Reopen, key, router.Act{}),
		up(3, 10)} {
		for _, b := range sim.Fold(e) {
			last = b
		}
	}
	opening := func(list []router.Owed) (out []int64) {
		for _, o := range list {
			if o.Target.Notifier == "page" && o.Open {
				out = append(out, o.Opening)
			}
		}
		return out
	}
	if got, want := opening(last.Owed), []int64{2}; !slices.Equal(got, want) {
		t.Errorf("owed openings: got %d, want %d", got, want)
	}
	if got, want := opening(last.Overtaken), []int64{1}; !slices.Equal(got, want) {
		t.Errorf("openings that the service has: got %d, want %d", got, want)
	}
}

func TestAnIncidentRemembersWhoHasItAndWhereItWasAcknowledged(t *testing.T) {
	up10 := up(0, 10)
	key := router.GroupBySignal.Key(&up10)
	h := &history{decide: pagingOnRise}
	incident := func() router.Incident { return h.state.Incidents[0] }
	h.fold(up10)
	h.fold(throughPage(1, router.LinkIncident, key,
		router.Act{Owner: "cleo", Link: &router.Link{Notifier: "page", Key: key, ID: "P1"}}))
	h.fold(throughPage(2, router.LinkIncident, key+"/critical",
		router.Act{Owner: "dora", Link: &router.Link{Notifier: "page", Key: key + "/critical", ID: "P2"}}))
	if inc := incident(); inc.Owner != "cleo" || len(inc.Links) != 2 {
		t.Errorf("owner %q, links %+v", inc.Owner, inc.Links)
	}
	h.fold(throughPage(3, router.Acknowledge, key, router.Act{Owner: "ben"}))
	if inc := incident(); inc.Owner != "ben" || inc.AcknowledgedIn != (router.Page{Notifier: "page", Key: key}) {
		t.Errorf("acknowledged there: owner %q, in %+v", inc.Owner, inc.AcknowledgedIn)
	}
	h.fold(person(4, router.Acknowledge, 1)) // comes too late
	h.fold(throughPage(5, router.Unacknowledge, key, router.Act{}))
	h.fold(act(6, router.SourceSlack, router.Acknowledge, router.Act{Incident: 1, Actor: "ana", Notifier: "chat"}))
	if inc := incident(); inc.AcknowledgedIn != (router.Page{}) || inc.AcknowledgedBy != "ana" {
		t.Errorf("acknowledged in Slack: %+v", inc.AcknowledgedIn)
	}
}

// shelf is a journal with some events, which keeps the batch that they came to.
type shelf struct {
	waiting []router.Event
	batch   router.Batch
}

func (s *shelf) Waiting(context.Context, int) ([]router.Event, error) { return s.waiting, nil }
func (s *shelf) States(_ context.Context, flows []router.FlowID, _ []int64) (map[router.FlowID]router.State, error) {
	return map[router.FlowID]router.State{}, nil
}
func (s *shelf) FoldMark(context.Context) (*router.Mark, error)  { return nil, nil }
func (s *shelf) SetFoldMark(context.Context, *router.Mark) error { return nil }
func (s *shelf) LastIncident(context.Context) (int64, error)     { return 0, nil }
func (s *shelf) Commit(_ context.Context, b router.Batch) error {
	s.batch = b
	return nil
}
func (s *shelf) Silences(context.Context) ([]router.Silence, error) { return nil, nil }
func (s *shelf) Timers(context.Context, time.Time, int) (flows []router.FlowID, next time.Time, err error) {
	return nil, next, nil
}
func (s *shelf) Counting(context.Context) ([]router.Counting, error) { return nil, nil }
func (s *shelf) Ping(context.Context) error                          { return nil }
func (s *shelf) GiveWay(context.Context, time.Duration)              {}
func (s *shelf) Appended() <-chan struct{}                           { return nil }

func TestInABatchTheLastWordAboutAPageCounts(t *testing.T) {
	up10 := up(0, 10)
	key := router.GroupBySignal.Key(&up10)
	resolve, worse := throughPage(1, router.Resolve, key, router.Act{}), up(2, 50)
	for _, tt := range []struct {
		name   string
		events []router.Event
		known  []string
	}{
		{"resolved there", []router.Event{up10, resolve}, []string{"page RATE closed"}},
		{"resolved there, and worse since", []router.Event{up10, resolve, worse}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &shelf{waiting: slices.Clone(tt.events)}
			for i := range s.waiting {
				s.waiting[i].Seq = int64(i + 1)
			}
			r, err := router.New(router.Config{Rules: func() router.Rules { return &history{decide: chatAndPage} },
				Now: func() time.Time { return morning }}, s)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Fold(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.known, owedTo(s.batch.AlreadyThere)); diff != "" {
				t.Errorf("known (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAPageThatEndedByItselfAfterAPersonReopenedItIsMadeAnew is for a reopening that is heard of after the end: nothing
// was open here when that came.
func TestAPageThatEndedByItselfAfterAPersonReopenedItIsMadeAnew(t *testing.T) {
	up10 := up(0, 10)
	key := router.GroupBySignal.Key(&up10)
	itself := func(minutes int) router.Event {
		return throughPage(minutes, router.Resolve, key, router.Act{Itself: true})
	}
	reopened := func(minutes int) router.Event { return throughPage(minutes, router.Reopen, key, router.Act{}) }
	for _, tt := range []struct {
		name   string
		events []router.Event
		want   []string
	}{
		{"it ended after that", []router.Event{up(0, 10), person(1, router.Resolve, 1), itself(3), reopened(2)},
			[]string{"page RATE open"}},
		{"it ended after that, and an end of before is heard of late", []router.Event{up(0, 10), person(1, router.Resolve, 1),
			itself(4), itself(2), reopened(3)}, []string{"page RATE open"}},
		{"it ended before that", []router.Event{up(0, 10), person(1, router.Resolve, 1), itself(2), reopened(3)}, nil},
		{"it did not end", []router.Event{up(0, 10), person(1, router.Resolve, 1), reopened(2)}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &history{decide: chatAndPage}
			var step router.Step
			for _, e := range tt.events {
				step = h.fold(e)
			}
			got := slices.DeleteFunc(owedTo(step.Owed), func(s string) bool { return strings.HasPrefix(s, "chat") })
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("owed (-want +got):\n%s", diff)
			}
		})
	}
}
