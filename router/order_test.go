package router_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
)

// arriving says when an event reached us, in minutes after the morning began.
func arriving(minute int, e router.Event) router.Event {
	e.Received = morning.Add(time.Duration(minute) * time.Minute)
	return e
}

// in is an act of a person in PagerDuty on the incident's first page.
func in(minute int, what string) router.Event {
	return throughPage(minute, what, "", router.Act{})
}

// itself is what PagerDuty does without anybody.
func itself(minute int, what string) router.Event {
	return throughPage(minute, what, "", router.Act{Itself: true})
}

// TestWhatHappenedWhen holds events and acts against the order in which they happened, however they arrive.
func TestWhatHappenedWhen(t *testing.T) {
	days := func(n int) int { return n * 24 * 60 }
	for _, tt := range []struct {
		name     string
		decide   func(*router.Event) router.Decision // default: chatAndPage
		events   []router.Event
		open     string
		owed     []string // nil: not compared
		timeline []string // nil: not compared
		outcome  string
	}{
		{
			name:   "a clock of Meta's that is ahead of ours does not make the true recovery late",
			events: []router.Event{arriving(0, up(60, 10)), arriving(5, down(5, 10))}, outcome: "resolved INC-1",
		},
		{
			name:   "what is older than eight days when it arrives opens nothing",
			events: []router.Event{arriving(days(100), up(0, 50))}, outcome: "100 d old when it arrived: it opens nothing",
			owed: []string{},
		},
		{
			name:   "nor is anybody told of old news",
			events: []router.Event{arriving(days(9), status(0, router.Draft, router.Published))}, owed: []string{},
			outcome: "9 d old when it arrived: nobody is told",
		},
		{
			name:   "an old recovery closes what is open all the same",
			events: []router.Event{up(0, 10), arriving(days(9), down(1, 10))}, outcome: "resolved INC-1",
		},
		{
			name: "seven days are what Meta repeats", events: []router.Event{arriving(days(7), up(0, 10))},
			open: "INC-1 error open: chat(error) page(error)",
		},
		{
			name: "a recovery that arrives late is held back for a grace from its arrival", decide: holding,
			events: []router.Event{up(0, 10), arriving(60, down(2, 10)), arriving(61, up(3, 10))},
			open:   "INC-1 error open: chat(error) page(error)", outcome: "flapped INC-1",
		},
		{
			name:   "an act that is older than the newest of its kind changes nothing",
			events: []router.Event{up(0, 10), in(2, router.Unacknowledge), arriving(3, in(1, router.Acknowledge))},
			open:   "INC-1 error open: chat(error) page(error)",
			timeline: []string{"opened: Endpoint error rate over 10 %",
				"late: Arrived late and changed nothing: Acknowledge by ben in PagerDuty"},
		},
		{
			name: "a resolve and a reopening that arrive reversed",
			events: []router.Event{up(0, 10), person(1, router.Resolve, 1), in(3, router.Reopen),
				arriving(4, in(2, router.Resolve))},
			open: "INC-1 error open: chat(error) page(error)", outcome: "late: INC-1 knows of something newer",
		},
		{
			name:   "a resolve in PagerDuty heard of after somebody wished it open elsewhere: its page is made anew there",
			events: []router.Event{up(0, 10), person(2, router.Reopen, 1), arriving(3, in(1, router.Resolve))},
			open:   "INC-1 error open: chat(error) page(error)", outcome: "late: INC-1 knows of something newer",
			owed: []string{"INC-1 chat open error", "INC-1 page open error", "INC-1 page open error"},
		},
		{
			name:   "an acknowledgement of 10 % that arrives after the rise to 50 % does not swallow the second page",
			decide: pagingOnRise,
			events: []router.Event{up(0, 10), up(2, 50), arriving(3, in(1, router.Acknowledge))},
			open:   "INC-1 critical acknowledged: chat(critical) page(critical) page(critical)",
		},
		{
			name: "one that came after the rise covers it", decide: pagingOnRise,
			events: []router.Event{up(0, 10), up(2, 50), arriving(4, in(3, router.Acknowledge))},
			open:   "INC-1 critical acknowledged: chat(critical) page(critical)",
		},
		{
			name:   "an acknowledgement from before the trouble is of something else",
			events: []router.Event{up(5, 10), arriving(6, in(1, router.Acknowledge))},
			open:   "INC-1 error open: chat(error) page(error)", outcome: "late: INC-1 knows of something newer",
		},
		{
			name:    "a resolve from before it got worse does not resolve it",
			events:  []router.Event{up(0, 10), up(2, 50), arriving(3, in(1, router.Resolve))},
			open:    "INC-1 critical open: chat(critical) page(critical)",
			outcome: "INC-1 got worse after it was resolved by hand",
		},
		{
			name:   "what PagerDuty ends by itself while Meta reports it is paged once more",
			events: []router.Event{up(0, 10), itself(1, router.Resolve)},
			open:   "INC-1 error open: chat(error) page(error)",
			owed:   []string{"INC-1 chat open error", "INC-1 page open error", "INC-1 chat open error", "INC-1 page open error"},
		},
		{
			name:   "once: the next time it is noted, and a refresh does not page",
			events: []router.Event{up(0, 10), itself(1, router.Resolve), itself(2, router.Resolve), up(3, 10)},
			open:   "INC-1 error open: chat(error) page-closed",
		},
		{
			name:   "and a rise pages again",
			events: []router.Event{up(0, 10), itself(1, router.Resolve), itself(2, router.Resolve), up(3, 50)},
			open:   "INC-1 critical open: chat(critical) page(critical)",
		},
		{
			name: "on_auto_resolve: note", events: []router.Event{up(0, 10), itself(1, router.Resolve)},
			decide: func(e *router.Event) router.Decision {
				d := chatAndPage(e)
				d.NoteAutoResolve = true
				return d
			},
			open: "INC-1 error open: chat(error) page-closed",
		},
		{
			name:   "what PagerDuty acknowledges by itself nobody has",
			events: []router.Event{up(0, 10), itself(1, router.Acknowledge)},
			open:   "INC-1 error open: chat(error) page(error)",
			timeline: []string{"opened: Endpoint error rate over 10 %",
				"automatic: page acknowledged it by itself: nobody has it"},
		},
		{
			name:     "a late event is on the timeline of the incident that was going on, not of the next",
			events:   []router.Event{up(0, 5), down(10, 5), up(20, 5), arriving(30, up(5, 5))},
			open:     "INC-2 warning open: chat(warning)",
			timeline: nil, outcome: "late: older than what is known",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &history{decide: tt.decide}
			if h.decide == nil {
				h.decide = chatAndPage
			}
			for _, e := range tt.events {
				h.fold(e)
			}
			if got := openIncidents(h.state); got != tt.open {
				t.Errorf("open incidents: got %q, want %q", got, tt.open)
			}
			if tt.owed != nil && !slices.Equal(append(h.owed, h.notices...), tt.owed) {
				t.Errorf("owed:\n got %s\nwant %s", strings.Join(append(h.owed, h.notices...), "\n     "),
					strings.Join(tt.owed, "\n     "))
			}
			if got := sparePages(timeline(h.entries)); tt.timeline != nil && !slices.Equal(got, tt.timeline) {
				t.Errorf("timeline:\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(tt.timeline, "\n     "))
			}
			if tt.outcome != "" && h.outcome != tt.outcome {
				t.Errorf("outcome: got %q, want %q", h.outcome, tt.outcome)
			}
		})
	}
}

// TestAPageThatAPersonReopenedBeforeItRecoveredIsEnded is for a webhook that comes late; where a newer incident was put
// on that page, it is opened anew for it.
func TestAPageThatAPersonReopenedBeforeItRecoveredIsEnded(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events []router.Event
		want   []string
	}{
		{"reopened, recovered, and heard of in the other order", []router.Event{up(0, 5), up(1, 10), in(2, router.Resolve),
			down(5, 10), arriving(6, in(3, router.Reopen))},
			[]string{"chat RATE open", "page RATE closed"}},
		{"reopened after it had recovered: a wish", []router.Event{up(0, 5), up(1, 10), in(2, router.Resolve), down(3, 10),
			in(5, router.Reopen)},
			[]string{"chat RATE open"}},
		{"the next incident has its key, and was put on that page", []router.Event{up(0, 10), in(2, router.Resolve),
			down(4, 10), up(5, 10), arriving(6, in(3, router.Reopen))},
			[]string{"page RATE open", "page RATE closed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &history{decide: chatAndPage}
			var step router.Step
			for _, e := range tt.events {
				step = h.fold(e)
			}
			if got := owedTo(step.Owed); !slices.Equal(got, tt.want) {
				t.Errorf("owed: got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestAnotherOpeningIsCounted says which opening a page is told of: one that ended and came back is the next.
func TestAnotherOpeningIsCounted(t *testing.T) {
	h := &history{decide: chatAndPage}
	h.fold(up(0, 5))
	var openings []int64
	for i, e := range []router.Event{up(1, 10), person(2, router.Acknowledge, 1), down(3, 10), up(4, 10),
		itself(5, router.Resolve)} {
		for _, o := range h.fold(e).Owed {
			if o.Target.Notifier == "page" {
				openings = append(openings, int64(i), o.Opening)
			}
		}
	}
	if want := []int64{0, 1, 1, 1, 2, 1, 3, 2, 4, 3}; !slices.Equal(openings, want) {
		t.Errorf("event and opening: got %v, want %v", openings, want)
	}
}

// twins names one routing key and one channel twice: errors go to one name, what is critical to the other.
func twins(e *router.Event) router.Decision {
	page2, chat2 := page, chat
	page2.Notifier, chat2.Notifier = "again", "hall"
	d := router.Decision{Rules: []string{"all"}, Severity: router.DefaultSeverity(e),
		Named: []router.Target{page2, chat, chat2, page}}
	switch {
	case e.AlertState == router.Deactivated:
	case d.Severity == router.Critical:
		d.Notify = []router.Route{{Target: page2}, {Target: chat2}}
	default:
		d.Notify = []router.Route{{Target: chat}, {Target: chat2}, {Target: page}}
	}
	return d
}

// TestOneTargetIsToldAsOneWhateverItsNames holds for notifiers that share an address: a partial recovery must not close
// what is still active under the other name, and a channel gets one card.
func TestOneTargetIsToldAsOneWhateverItsNames(t *testing.T) {
	h := &history{decide: twins}
	for _, e := range []router.Event{up(0, 10), up(1, 50), down(2, 50), up(3, 50)} {
		h.fold(e)
	}
	if got, want := openIncidents(h.state), "INC-1 critical open: chat(critical) page(critical)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	h.fold(down(4, 5))
	for _, told := range h.owed {
		if strings.Contains(told, "again") || strings.Contains(told, "hall") {
			t.Errorf("told under another name: %s", told)
		}
	}
	h.fold(status(5, router.Draft, router.Published))
	if want := []string{"chat FLOW_STATUS_CHANGE", "page FLOW_STATUS_CHANGE"}; !slices.Equal(h.notices, want) {
		t.Errorf("notices: got %v, want %v", h.notices, want)
	}
}

// TestASilenceUntilRecoveredEndsWhenNothingThatItCoversIsWrong is decided over all flows: of a team, an event, an
// account, or everything, and of a flow id that two accounts share.
func TestASilenceUntilRecoveredEndsWhenNothingThatItCoversIsWrong(t *testing.T) {
	on := func(waba, flow string, e router.Event) router.Event {
		e.WABA, e.Flow = waba, flow
		return e
	}
	labelled := func(e *router.Event) router.Decision {
		d := chatAndPage(e)
		d.Labels = map[string]string{"team": "payments"}
		return d
	}
	for _, tt := range []struct {
		name        string
		scope       router.Scope
		first, last router.Event // what is wrong: the silence ends with the last
	}{
		{"a team", router.Scope{Labels: map[string]string{"team": "payments"}}, on("w", "f", up(0, 10)),
			on("w", "g", up(1, 10))},
		{"an event", router.Scope{Event: router.EndpointErrorRate}, on("w", "f", up(0, 10)), on("v", "g", up(1, 10))},
		{"an account", router.Scope{WABA: "w"}, on("w", "f", up(0, 10)), on("w", "g", up(1, 10))},
		{"everything", router.Scope{}, on("w", "f", up(0, 10)), on("v", "g", up(1, 10))},
		{"a flow id that two accounts share", router.Scope{Flow: "f"}, on("w", "f", up(0, 10)), on("v", "f", up(1, 10))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sim := router.NewSimulation(&history{decide: labelled})
			silenced := func(batches []router.Batch) (ended bool) {
				for _, b := range batches {
					for _, s := range b.Silences {
						ended = ended || !s.Ended.IsZero()
					}
				}
				return ended
			}
			over := func(e router.Event, minute int) router.Event {
				gone := down(minute, 5)
				gone.WABA, gone.Flow = e.WABA, e.Flow
				return gone
			}
			sim.Fold(tt.first)
			sim.Fold(tt.last)
			sim.Fold(silence(2, "s", tt.scope, time.Time{}))
			if silenced(sim.Fold(over(tt.first, 3))) {
				t.Error("it ended while something that it covers was wrong")
			}
			if !silenced(sim.Fold(over(tt.last, 4))) {
				t.Error("it did not end when nothing was wrong any more")
			}
			told := 0
			again := tt.first
			again.At, again.Received = morning.Add(5*time.Minute), morning.Add(5*time.Minute)
			for _, b := range sim.Fold(again) {
				told += len(b.Owed)
			}
			if told == 0 {
				t.Error("later trouble is hidden")
			}
		})
	}
}
