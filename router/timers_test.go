package router_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"flowbridge/router"
)

// told is what a simulation owed to whom, each time something opened, changed or closed for a notifier:
// "08:05 INC-1 page open error". Repeats of the same are left out.
type told struct {
	sim   *router.Simulation
	last  map[string]string
	lines []string
	// entries is the timeline of all incidents: "08:05 told: ...".
	entries []string
}

func newTold(rules router.Rules) *told {
	return &told{sim: router.NewSimulation(rules), last: map[string]string{}}
}

func (s *told) take(batches []router.Batch) {
	for _, b := range batches {
		for _, e := range b.Entries {
			s.entries = append(s.entries, fmt.Sprintf("%s %s: %s", e.At.Format("15:04"), e.Kind, e.Text))
		}
		for _, o := range b.Owed {
			who, open := router.IncidentName(o.Incident)+" "+o.Target.Notifier, "closed"
			if o.Open {
				open = "open " + o.Severity.String()
			}
			if s.last[who] != open && (s.last[who] != "" || o.Open) {
				s.lines = append(s.lines, fmt.Sprintf("%s %s %s", s.sim.Now().Format("15:04"), who, open))
			}
			s.last[who] = open
		}
	}
}

func (s *told) happen(e router.Event) {
	s.until(int(e.Received.Sub(morning) / time.Minute))
	s.take(s.sim.Fold(e))
}

// until moves the clock minute by minute, so that it says when what was owed.
func (s *told) until(minute int) {
	now := s.sim.Now()
	if now.IsZero() {
		now = morning
	}
	for ; !now.After(morning.Add(time.Duration(minute) * time.Minute)); now = now.Add(time.Minute) {
		s.take(s.sim.Advance(now))
	}
}

// waiting tells chat at once, and page of errors that have lasted for five minutes.
func waiting(unlessAcknowledged bool) func(*router.Event) router.Decision {
	return func(e *router.Event) router.Decision {
		d := chatAndPage(e)
		for i := range d.Notify {
			if d.Notify[i].Notifier == "page" {
				d.Notify[i].After, d.Notify[i].UnlessAcknowledged = 5*time.Minute, unlessAcknowledged
			}
		}
		return d
	}
}

// holding holds every recovery back for ten minutes.
func holding(e *router.Event) router.Decision {
	d := chatAndPage(e)
	d.ResolveAfter = 10 * time.Minute
	return d
}

// holdingAndWaiting does both.
func holdingAndWaiting(e *router.Event) router.Decision {
	d := waiting(false)(e)
	d.ResolveAfter = 10 * time.Minute
	return d
}

// risingAndWaiting pages again when something acknowledged gets worse, and waits for that, too.
func risingAndWaiting(e *router.Event) router.Decision {
	d := waiting(false)(e)
	d.PageOnRise = true
	return d
}

// lapsing ends an acknowledgement that nobody follows up after half an hour.
func lapsing(e *router.Event) router.Decision {
	d := chatAndPage(e)
	d.AcknowledgedFor = 30 * time.Minute
	return d
}

// reminding tells chat again each half hour, and page each hour.
func reminding(e *router.Event) router.Decision {
	d := chatAndPage(e)
	for i := range d.Notify {
		d.Notify[i].Remind = time.Duration(i+1) * 30 * time.Minute
	}
	return d
}

// TestRemindersEnd: what nobody ever has is not told for ever, and what pages is opened anew each time.
func TestRemindersEnd(t *testing.T) {
	s := newTold(&history{decide: reminding})
	s.happen(up(0, 10))
	s.until(5 * 24 * 60)
	watch := s.sim.Unresolved()[0].Watch
	if watch[0].Reminders != 48 || watch[0].Opening != 1 || watch[1].Reminders != 48 || watch[1].Opening != 49 {
		t.Errorf("%+v", watch)
	}
}

func silence(minute int, id string, scope router.Scope, until time.Time) router.Event {
	return at(minute, router.AddSilence, func(e *router.Event) {
		e.WABA, e.Flow, e.Source = "", "", router.SourceConsole
		e.Act = &router.Act{Actor: "ana", Silence: &router.Silence{ID: id, Scope: scope, Until: until, By: "ana"}}
	})
}

// plannedSilence begins later than it is asked for.
func plannedSilence(minute int, id string, scope router.Scope, start, until time.Time) router.Event {
	e := silence(minute, id, scope, until)
	e.Act.Silence.Start = start
	return e
}

func unsilence(minute int, id string) router.Event {
	return at(minute, router.EndSilence, func(e *router.Event) {
		e.WABA, e.Flow, e.Source = "", "", router.SourceConsole
		e.Act = &router.Act{Actor: "ana", Silence: &router.Silence{ID: id}}
	})
}

// TestTimers holds who is told when. Stories that are told at length stand in cmd/flowbridge/testdata/fold/timers.yaml.
func TestTimers(t *testing.T) {
	minute := func(n int) time.Time { return morning.Add(time.Duration(n) * time.Minute) }
	flow := router.Scope{Flow: "f"}
	for _, tt := range []struct {
		name    string
		decide  func(*router.Event) router.Decision
		events  []router.Event
		until   int // minute
		told    []string
		entries []string // nil: not compared
	}{
		{
			name: "a notifier that waits is told of what is still open", decide: waiting(false),
			events: []router.Event{up(0, 10)}, until: 20,
			told:    []string{"08:00 INC-1 chat open error", "08:05 INC-1 page open error"},
			entries: []string{"08:00 opened: Endpoint error rate over 10 %", "08:05 told: Paged page: still active after 5 min"},
		},
		{
			name: "a notifier that waits hears nothing of what is over by then", decide: waiting(false),
			events: []router.Event{up(0, 10), down(4, 10)}, until: 20,
			told: []string{"08:00 INC-1 chat open error", "08:04 INC-1 chat closed"},
		},
		{
			name: "nor of what is over and held back", decide: holdingAndWaiting,
			events: []router.Event{up(0, 10), down(4, 10)}, until: 20,
			told: []string{"08:00 INC-1 chat open error", "08:14 INC-1 chat closed"},
		},
		{
			name: "it is told once that comes back before the hold is over", decide: holdingAndWaiting,
			events: []router.Event{up(0, 10), down(4, 10), up(8, 10)}, until: 12,
			told: []string{"08:00 INC-1 chat open error", "08:08 INC-1 page open error"},
		},
		{
			name: "a silence that ends while a recovery is held back tells nobody", decide: holding,
			events: []router.Event{silence(0, "s", flow, minute(8)), up(1, 10), down(5, 10)}, until: 20,
		},
		{
			name: "a rise that had to wait is a second page where somebody has the first", decide: risingAndWaiting,
			events: []router.Event{up(0, 10), person(6, router.Acknowledge, 1), up(7, 50)}, until: 20,
			told: []string{"08:00 INC-1 chat open error", "08:05 INC-1 page open error", "08:07 INC-1 chat open critical",
				"08:12 INC-1 page open critical"},
			entries: []string{"08:00 opened: Endpoint error rate over 10 %", "08:05 told: Paged page: still active after 5 min",
				"08:06 acknowledged: Acknowledged by ana",
				"08:07 escalated: Endpoint error rate over 50 %; severity rises from error to critical"},
		},
		{
			name: "a wait counts from the alert that routes, not from the incident", decide: waiting(false),
			events: []router.Event{up(0, 5), up(7, 10)}, until: 20,
			told: []string{"08:00 INC-1 chat open warning", "08:07 INC-1 chat open error", "08:12 INC-1 page open error"},
		},
		{
			name: "what was acknowledged in time pages nobody", decide: waiting(true),
			events: []router.Event{up(0, 10), person(2, router.Acknowledge, 1)}, until: 20,
			told: []string{"08:00 INC-1 chat open error"},
		},
		{
			name: "who is told already stays told when somebody acknowledges", decide: waiting(true),
			events: []router.Event{up(0, 10), person(7, router.Acknowledge, 1), down(9, 10)}, until: 20,
			told: []string{"08:00 INC-1 chat open error", "08:05 INC-1 page open error", "08:09 INC-1 chat closed",
				"08:09 INC-1 page closed"},
		},
		{
			name: "after the hold it is a new incident", decide: holding,
			events: []router.Event{up(0, 5), down(5, 5), up(16, 5)}, until: 17,
			told: []string{"08:00 INC-1 chat open warning", "08:15 INC-1 chat closed", "08:16 INC-2 chat open warning"},
		},
		{
			name: "each level has a hold of its own", decide: holding,
			events: []router.Event{up(0, 5), up(1, 10), down(5, 10)}, until: 20,
			told: []string{"08:00 INC-1 chat open warning", "08:01 INC-1 chat open error", "08:01 INC-1 page open error",
				"08:15 INC-1 chat open warning", "08:15 INC-1 page closed"},
		},
		{
			name: "a person's resolve is not held back", decide: holding,
			events: []router.Event{up(0, 5), down(5, 5), person(6, router.Resolve, 1)}, until: 20,
			told: []string{"08:00 INC-1 chat open warning", "08:06 INC-1 chat closed"},
		},
		{
			name:   "a silenced incident opens quietly and is told when the silence ends",
			events: []router.Event{silence(0, "s", flow, minute(30)), up(1, 10)}, until: 40,
			told: []string{"08:30 INC-1 chat open error", "08:30 INC-1 page open error"},
		},
		{
			name:   "what recovers under a silence was never news",
			events: []router.Event{silence(0, "s", flow, minute(30)), up(1, 10), down(9, 10)}, until: 40,
		},
		{
			name:   "a silence does not swallow the recovery of what was told",
			events: []router.Event{up(0, 10), silence(1, "s", flow, minute(30)), down(9, 10)}, until: 40,
			told: []string{"08:00 INC-1 chat open error", "08:00 INC-1 page open error", "08:09 INC-1 chat closed",
				"08:09 INC-1 page closed"},
			entries: []string{"08:00 opened: Endpoint error rate over 10 %", "08:01 silenced: Silenced by ana for 29 min",
				"08:09 resolved: Endpoint error rate back under 10 % after 9 min"},
		},
		{
			name:   "a silence that begins later covers nothing before, and then what is open",
			events: []router.Event{plannedSilence(0, "s", flow, minute(20), minute(30)), up(1, 5), up(25, 50)}, until: 40,
			told: []string{"08:01 INC-1 chat open warning", "08:30 INC-1 chat open critical", "08:30 INC-1 page open critical"},
			entries: []string{"08:01 opened: Endpoint error rate over 5 %", "08:20 silenced: Silenced by ana for 10 min",
				"08:25 escalated: Endpoint error rate over 50 %; severity rises from warning to critical",
				"08:30 silenced: No longer silenced", "08:30 told: Paged page, which had to wait"},
		},
		{
			name:   "one that a person ends before it begins covers nothing",
			events: []router.Event{plannedSilence(0, "s", flow, minute(20), minute(30)), up(1, 10), unsilence(5, "s")},
			until:  40,
			told:   []string{"08:01 INC-1 chat open error", "08:01 INC-1 page open error"},
		},
		{
			name:   "a silence that a person ends tells at once",
			events: []router.Event{silence(0, "s", flow, minute(30)), up(1, 10), unsilence(5, "s")}, until: 40,
			told: []string{"08:05 INC-1 chat open error", "08:05 INC-1 page open error"},
		},
		{
			name:   "a silence until recovered ends with the last alert that it covers",
			events: []router.Event{up(0, 5), silence(1, "s", flow, time.Time{}), up(2, 10), down(5, 5), up(6, 10)}, until: 40,
			told: []string{"08:00 INC-1 chat open warning", "08:05 INC-1 chat closed", "08:06 INC-2 chat open error",
				"08:06 INC-2 page open error"},
		},
		{
			name: "a silence for one event covers no other",
			events: []router.Event{
				silence(0, "s", router.Scope{Flow: "f", Event: router.EndpointLatency}, minute(30)), up(1, 5),
				pair(2, router.EndpointLatency, router.Activated, 7000),
			}, until: 10,
			told: []string{"08:01 INC-1 chat open warning"},
		},
		{
			name: "a note follows it up, and so does another acknowledgement after it", decide: lapsing,
			events: []router.Event{up(0, 10), person(2, router.Acknowledge, 1), person(12, router.Note, 1),
				person(50, router.Acknowledge, 1)}, until: 90,
			told: []string{"08:00 INC-1 chat open error", "08:00 INC-1 page open error"},
			entries: []string{"08:00 opened: Endpoint error rate over 10 %", "08:02 acknowledged: Acknowledged by ana",
				"08:12 note:  (ana)",
				"08:42 unacknowledged: Nobody has followed up the acknowledgement of ana for 30 min. Paged page",
				"08:50 acknowledged: Acknowledged by ana",
				"09:20 unacknowledged: Nobody has followed up the acknowledgement of ana for 30 min. Paged page"},
		},
		{
			name: "who takes it back begins the time anew after which it is told again", decide: reminding,
			events: []router.Event{up(0, 10), person(20, router.Acknowledge, 1), person(70, router.Unacknowledge, 1)},
			until:  101,
			told:   []string{"08:00 INC-1 chat open error", "08:00 INC-1 page open error"},
			entries: []string{"08:00 opened: Endpoint error rate over 10 %", "08:20 acknowledged: Acknowledged by ana",
				"09:10 unacknowledged: No longer acknowledged: ana. Paged page", "09:40 reminded: Nobody has it after 1 h 40 min"},
		},
		{
			name: "who was paged twice is told again once, by the first page", decide: func(e *router.Event) router.Decision {
				d := reminding(e)
				d.PageOnRise = true
				return d
			},
			events: []router.Event{up(0, 10), person(1, router.Acknowledge, 1), up(2, 50), person(3, router.Unacknowledge, 1)},
			until:  64,
			told: []string{"08:00 INC-1 chat open error", "08:00 INC-1 page open error", "08:02 INC-1 chat open critical",
				"08:02 INC-1 page open critical"},
			entries: []string{"08:00 opened: Endpoint error rate over 10 %", "08:01 acknowledged: Acknowledged by ana",
				"08:02 escalated: Endpoint error rate over 50 %; severity rises from error to critical",
				"08:03 unacknowledged: No longer acknowledged: ana. Paged page", "08:33 reminded: Nobody has it after 33 min",
				"09:03 reminded: Nobody has it after 1 h 3 min. Paged page again"},
		},
		{
			name:   "two silences: the longer one counts",
			events: []router.Event{silence(0, "a", flow, minute(10)), silence(0, "b", flow, minute(20)), up(1, 5)}, until: 40,
			told: []string{"08:20 INC-1 chat open warning"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			decide := tt.decide
			if decide == nil {
				decide = chatAndPage
			}
			s := newTold(&history{decide: decide})
			for _, e := range tt.events {
				s.happen(e)
			}
			s.until(tt.until)
			if !slices.Equal(s.lines, tt.told) {
				t.Errorf("told:\n got %s\nwant %s", strings.Join(s.lines, "\n     "), strings.Join(tt.told, "\n     "))
			}
			s.entries = sparePages(s.entries)
			if tt.entries != nil && !slices.Equal(s.entries, tt.entries) {
				t.Errorf("timeline:\n got %s\nwant %s", strings.Join(s.entries, "\n     "), strings.Join(tt.entries, "\n     "))
			}
		})
	}
}

func TestARiseThatHadToWaitIsASecondPage(t *testing.T) {
	s := newTold(&history{decide: risingAndWaiting})
	for _, e := range []router.Event{up(0, 10), person(6, router.Acknowledge, 1), up(7, 50)} {
		s.happen(e)
	}
	s.until(20)
	watch := s.sim.Unresolved()[0].Watch
	if len(watch) != 3 || watch[2].PagedAt == 0 || !watch[2].Open || watch[2].Severity != router.Critical {
		t.Errorf("%+v", watch)
	}
	if last := s.entries[len(s.entries)-1]; last != "08:12 paged: Paged page" {
		t.Errorf("the timeline ends with %q", last)
	}
}

// TestWhoIsTold holds for any mixture of alerts, people, silences and time: whoever was told that an incident is
// open is told when it is over, nobody is told before a wait or under a silence of something new, and once every
// alert, wait, hold and silence is over everybody has the last word.
func TestWhoIsTold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		after := time.Duration(rapid.IntRange(0, 6).Draw(t, "after")) * time.Minute
		hold := time.Duration(rapid.IntRange(0, 4).Draw(t, "hold")) * time.Minute
		remind := time.Duration(rapid.IntRange(0, 6).Draw(t, "remind")) * time.Minute
		lasts := time.Duration(rapid.IntRange(0, 6).Draw(t, "acknowledged for")) * time.Minute
		s := newTold(&history{decide: func(e *router.Event) router.Decision {
			d := chatAndPage(e)
			d.ResolveAfter, d.AcknowledgedFor = hold, lasts
			for i := range d.Notify {
				d.Notify[i].After, d.Notify[i].Remind = after, remind
			}
			return d
		}})
		minute, silences := 0, 0
		for range rapid.IntRange(1, 20).Draw(t, "length") {
			minute += rapid.IntRange(0, 4).Draw(t, "minutes")
			e := drawEvent(t)
			switch rapid.IntRange(0, 6).Draw(t, "who") {
			case 0:
				e = person(0, rapid.SampledFrom([]string{router.Acknowledge, router.Resolve}).Draw(t, "act"),
					rapid.Int64Range(1, 4).Draw(t, "incident"))
			case 1:
				silences++
				until := morning.Add(time.Duration(minute+rapid.IntRange(1, 9).Draw(t, "lasts")) * time.Minute)
				if rapid.Bool().Draw(t, "until recovered") {
					until = time.Time{}
				}
				e = silence(0, fmt.Sprint("s", silences), router.Scope{Flow: "f"}, until)
			}
			e.At = morning.Add(time.Duration(minute) * time.Minute)
			e.Received = e.At
			s.happen(e)
			for _, inc := range s.sim.State(router.FlowID{WABA: "w", Flow: "f"}).Incidents {
				for _, w := range inc.Watch {
					open := strings.HasPrefix(s.last[inc.Name()+" "+w.Notifier], "open")
					if open != w.Open {
						t.Fatalf("%s: %s was told open=%v, and the incident says %v", inc.Name(), w.Notifier, open, w.Open)
					}
				}
			}
		}
		for _, name := range []string{router.EndpointErrorRate, router.EndpointAvailability} {
			threshold := 1.0
			if name == router.EndpointAvailability {
				threshold = 99
			}
			e := pair(0, name, router.Deactivated, threshold)
			e.At = morning.Add(time.Duration(minute+1) * time.Minute)
			e.Received = e.At
			s.happen(e)
		}
		e := status(0, "", router.Published)
		e.At = morning.Add(time.Duration(minute+1) * time.Minute)
		e.Received = e.At
		s.happen(e)
		s.until(minute + 120)
		for who, state := range s.last {
			if state != "closed" {
				t.Fatalf("%s is left with %s", who, state)
			}
		}
		if open := s.sim.Unresolved(); len(open) > 0 {
			t.Fatalf("%s is left open", open[0].Name())
		}
	})
}
