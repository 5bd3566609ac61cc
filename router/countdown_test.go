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

// endsAt is what these rules say of a warning: that it ends at a time.
func endsAt(ends time.Time) func(*router.Event) router.Decision {
	return func(e *router.Event) router.Decision {
		d := chatAndPage(e)
		if router.SignalOf(e.Name).Counts && e.AlertState == "" {
			d.Ends, d.EndsBy = ends, router.EndsByRules
		}
		return d
	}
}

func warned(minute int) router.Event {
	return at(minute, router.FlowVersionExpiryWarning, func(e *router.Event) { e.Warning = "it will expire" })
}

// tick lets time pass, and returns what it came to.
func (h *history) tick(now time.Time) []router.Entry {
	step := router.Tick(h.state, router.Moment{Now: now, Silences: h.silences, Target: h.Target})
	h.state = step.State
	h.entries = append(h.entries, step.Entries...)
	return step.Entries
}

// TestStepsComeOnceEachAtTheirTime pushes the clock to some days before the end, one after another.
func TestStepsComeOnceEachAtTheirTime(t *testing.T) {
	const announced = 40 * 24 * time.Hour
	for _, c := range []struct {
		name string
		left []float64 // days
		want []string  // what the timeline says then, and how bad it is
	}{
		{"a day before each step, and at it", []float64{22, 21, 20, 14, 13, 7, 6, 3, 2, 1, 0.5, 0, -1, -30},
			[]string{"", "reminded 21 info", "", "reminded 14 info", "", "escalated 7 warning", "", "escalated 3 error", "",
				"escalated 1 critical", "", "reminded 0 critical", "", ""}},
		{"the bridge was down over two of them", []float64{20, 6, 2}, []string{"reminded 21 info", "escalated 7 warning",
			"escalated 3 error"}},
		{"it was down over all", []float64{-2, -3}, []string{"escalated 0 critical", ""}},
		{"a second before, and the clock twice at the same", []float64{21 + 1.0/86400, 21, 21},
			[]string{"", "reminded 21 info", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ends := morning.Add(announced)
			h := &history{decide: endsAt(ends)}
			h.fold(warned(0))
			for i, left := range c.left {
				now := ends.Add(-time.Duration(left * float64(24*time.Hour)))
				var got []string
				for _, e := range h.tick(now) {
					if e.Kind == router.EntryPaged {
						continue
					}
					path := h.state.Incidents[0].Path
					got = append(got, fmt.Sprintf("%s %s %s", e.Kind, path[len(path)-1], h.state.Incidents[0].Severity))
				}
				if strings.Join(got, ", ") != c.want[i] {
					t.Errorf("%g days before the end: %q, want %q", left, got, c.want[i])
				}
				if wake := h.state.Incidents[0].Wake; !wake.IsZero() && !wake.After(now) {
					t.Errorf("%g days before the end: the next timer is due already", left)
				}
			}
		})
	}
}

// TestWhatEndsACountdown says what closes the incident, and what leaves it open.
func TestWhatEndsACountdown(t *testing.T) {
	for _, c := range []struct {
		name  string
		event router.Event
		open  bool
	}{
		{"it is published anew", status(5, "DRAFT", "PUBLISHED"), false},
		{"it is published, and Meta does not say what it was", status(5, "", "PUBLISHED"), false},
		{"it is retired", status(5, "PUBLISHED", "DEPRECATED"), false},
		{"it is retired while it is blocked", status(5, "BLOCKED", "DEPRECATED"), false},
		{"it comes back by itself", status(5, "THROTTLED", "PUBLISHED"), true},
		{"it was blocked, and comes back by itself", status(5, "BLOCKED", "PUBLISHED"), true},
		{"it is a draft again", status(5, "PUBLISHED", "DRAFT"), true},
		{"it was published before the warning", status(-5, "DRAFT", "PUBLISHED"), true},
		{"Graph says that it has another version", at(5, router.FlowVersionExpiryWarning, func(e *router.Event) {
			e.Source, e.AlertState = router.SourceFlowbridge, router.Deactivated
			e.Look = &router.Look{AsOf: morning}
		}), false},
		{"the warning comes once more", warned(5), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &history{decide: endsAt(morning.Add(10 * 24 * time.Hour))}
			h.fold(warned(0))
			c.event.Received = morning.Add(time.Hour)
			h.fold(c.event)
			if open := openIncidents(h.state) != ""; open != c.open {
				t.Errorf("open %t, want %t", open, c.open)
			}
			entries := len(h.entries)
			h.tick(morning.Add(100 * 24 * time.Hour))
			if told := len(h.entries) > entries; told != c.open {
				t.Errorf("steps come %t, want %t: %q", told, c.open, timeline(h.entries[entries:]))
			}
		})
	}
}

// TestWhoPagesHearsOfAnExpiryFirstAsNews lets rules name a notifier that pages for everything.
func TestWhoPagesHearsOfAnExpiryFirstAsNews(t *testing.T) {
	for severity, want := range map[router.Severity]string{
		router.SeverityUnset: "notices page FLOW_VERSION_EXPIRY_WARNING; INC-1 info open: chat(info)",
		router.Warning:       "notices page FLOW_VERSION_EXPIRY_WARNING; INC-1 warning open: chat(warning)",
		router.Error:         "notices ; INC-1 error open: chat(error) page(error)",
	} {
		h := &history{}
		h.decide = func(e *router.Event) router.Decision {
			d := endsAt(morning.Add(30 * 24 * time.Hour))(e)
			d.Notify = []router.Route{{Target: chat}, {Target: page}}
			if severity != router.SeverityUnset {
				d.Severity = severity
			}
			return d
		}
		h.fold(warned(0))
		if got := "notices " + strings.Join(h.notices, " ") + "; " + openIncidents(h.state); got != want {
			t.Errorf("%s: %s, want %s", severity, got, want)
		}
	}
}

// TestAnExpiryIsAnIncidentOfItsOwn has rules group by flow, and by threshold.
func TestAnExpiryIsAnIncidentOfItsOwn(t *testing.T) {
	for _, group := range []router.GroupBy{router.GroupBySignal, router.GroupByFlow, router.GroupByThreshold} {
		h := &history{}
		h.decide = func(e *router.Event) router.Decision {
			d := endsAt(morning.Add(22 * 24 * time.Hour))(e)
			d.GroupBy = group
			return d
		}
		h.fold(warned(0))
		h.fold(up(1, 10))
		h.tick(morning.Add(10 * 24 * time.Hour))
		want := "INC-1 info open: chat(info)\nINC-2 error open: chat(error) page(error)"
		if got := openIncidents(h.state); got != want {
			t.Errorf("%q: %s", group, got)
		}
	}
}

// TestADateThatIsKnownLaterCountsFromThenOn brings a version and its date, takes steps back by another date, and takes
// the date away.
func TestADateThatIsKnownLaterCountsFromThenOn(t *testing.T) {
	h := &history{decide: endsAt(time.Time{})}
	h.fold(warned(0))
	if wake := h.state.Incidents[0].Wake; !wake.IsZero() {
		t.Errorf("without a date it wakes at %s", wake)
	}
	now := 1
	look := func(version string, ends time.Time, by router.EndsBy) {
		h.fold(at(now, router.FlowLookedUp, func(e *router.Event) {
			e.Source = router.SourceFlowbridge
			e.Look = &router.Look{Countdown: &router.Countdown{Version: version, Ends: ends, EndsBy: by}}
		}))
		h.tick(morning.Add(time.Duration(now) * time.Minute))
		now++
	}
	say := func(want string) {
		t.Helper()
		facts := ""
		for _, f := range h.state.Incidents[0].Facts {
			facts += "; " + f.Name + " " + f.Text
		}
		if got := activeAlerts(h.state) + " " + openIncidents(h.state) + facts; strings.ReplaceAll(got,
			router.FlowVersionExpiryWarning, "") != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	say("/ INC-1 info open: chat(info); Expires no date is known: put it under versions in the rules when Meta names it")
	look("5.0", morning.Add(3*24*time.Hour), router.EndsByRules)
	for range 2 {
		say("/ /14 /21 /3 /7 INC-1 error open: chat(error) page(error); Version Flow JSON 5.0; " +
			"Frozen since 10 September 2025, by Meta's changelog; Expires 5 March 2026, by versions in the rules")
		h.fold(warned(now)) // which names neither
		now++
	}
	look("5.0", morning.Add(8*24*time.Hour), router.EndsByRules)
	say("/ /14 /21 INC-1 info open: chat(info) page-closed; Version Flow JSON 5.0; " +
		"Frozen since 10 September 2025, by Meta's changelog; Expires 10 March 2026, by versions in the rules")
	h.tick(morning.Add(25 * time.Hour))
	say("/ /14 /21 /7 INC-1 warning open: chat(warning) page-closed; Version Flow JSON 5.0; " +
		"Frozen since 10 September 2025, by Meta's changelog; Expires 10 March 2026, by versions in the rules")
	look("5.0", time.Time{}, "")
	say("/ INC-1 info open: chat(info) page-closed; Version Flow JSON 5.0; Frozen since 10 September 2025, by Meta's " +
		"changelog; Expires no date is known: put it under versions in the rules when Meta names it")
}

// TestTheOrderOfArrivalOfAnExpiryDoesNotMatter folds warnings, statuses and trouble as they happened, and shuffled with
// repeats, and lets weeks pass.
func TestTheOrderOfArrivalOfAnExpiryDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ends := time.Time{}
		if days := rapid.IntRange(-1, 40).Draw(t, "days"); days >= 0 {
			ends = morning.Add(time.Duration(days) * 24 * time.Hour)
		}
		draw := rapid.Custom(func(t *rapid.T) router.Event {
			if rapid.Bool().Draw(t, "warning") {
				return warned(0)
			}
			words := []string{"DRAFT", "PUBLISHED", "THROTTLED", "BLOCKED", "DEPRECATED"}
			return status(0, rapid.SampledFrom(words).Draw(t, "old"), rapid.SampledFrom(words).Draw(t, "new"))
		})
		happened := rapid.SliceOfN(draw, 1, 10).Draw(t, "events")
		for i := range happened {
			happened[i].At = morning.Add(time.Duration(i) * time.Minute)
			happened[i].Received = morning.Add(time.Hour)
		}
		arrived := rapid.Permutation(slices.Concat(happened,
			happened[:rapid.IntRange(0, len(happened)).Draw(t, "repeats")])).Draw(t, "arrived")
		want, got := &history{decide: endsAt(ends)}, &history{decide: endsAt(ends)}
		for _, e := range happened {
			want.fold(e)
		}
		for i, e := range arrived {
			e.Received = morning.Add(time.Hour + time.Duration(i)*time.Second)
			got.fold(e)
			checkInvariants(t, got.state)
		}
		for days := range 45 {
			if days > 0 {
				want.tick(morning.Add(time.Duration(days) * 24 * time.Hour))
				got.tick(morning.Add(time.Duration(days) * 24 * time.Hour))
				checkInvariants(t, got.state)
			}
			if g, w := whatStands(got.state), whatStands(want.state); g != w {
				t.Fatalf("after %d days, shuffled:\n%s\nin order:\n%s", days, g, w)
			}
		}
	})
}
