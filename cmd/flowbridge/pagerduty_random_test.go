package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
	databases "flowbridge/router/store/storetest"
)

// TestAllSidesAgreeWhateverMetaAndPeopleDo lets Meta, people in PagerDuty and people at the console do things in a
// random order, some of them at once. When all is quiet every side shows the same, and nobody was told without end.
func TestAllSidesAgreeWhateverMetaAndPeopleDo(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	for seed := range uint64(8) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			p := newPager(t, strings.Replace(backRules, "on_escalation: page", "on_escalation: "+
				[]string{"page", "note"}[seed%2], 1), sandbox.PagerDutyConfig{OnCall: "ben", Calls: -1}, "")
			rnd := rand.New(rand.NewPCG(seed, 5))
			var story []string
			for step := range int64(25) {
				what := p.randomStep(rnd, step)
				story = append(story, what)
				if rnd.IntN(3) > 0 { // else the next comes while this one is under way
					p.rest()
				}
			}
			p.rest()
			p.agree(story)
			if n := len(p.PagerDuty.Calls()); n > 25*4 {
				t.Errorf("PagerDuty was called %d times about 25 things", n)
			}
			p.meta(30, "77", "DEACTIVATED", 1)
			p.rest()
			p.agree(append(story, "all is well"))
			for _, inc := range p.PagerDuty.Incidents() {
				if inc.Status != sandbox.IncidentResolved {
					t.Errorf("#%d is %s after all is well\n%s", inc.Number, inc.Status, strings.Join(story, "\n"))
				}
			}
		})
	}
}

// wasResolved says whether an incident was over at some time.
func (p *pager) wasResolved(number int) bool {
	p.t.Helper()
	var inc struct{ Timeline []struct{ Kind string } }
	p.get(p.t, fmt.Sprintf("/api/v1/incidents/%d", number), &inc)
	return slices.ContainsFunc(inc.Timeline,
		func(e struct{ Kind string }) bool { return e.Kind == string(router.EntryResolved) })
}

// randomStep does something that is possible, and says what.
func (p *pager) randomStep(rnd *rand.Rand, minute int64) string {
	var open []sandbox.Incident
	for _, inc := range p.PagerDuty.Incidents() {
		if inc.Status != sandbox.IncidentResolved {
			open = append(open, inc)
		}
	}
	level := []float64{10, 50}[rnd.IntN(2)]
	switch n := rnd.IntN(10); {
	case n < 3 || len(open) == 0:
		p.meta(minute, "77", "ACTIVATED", level)
		return fmt.Sprintf("Meta: ACTIVATED at %g", level)
	case n < 4:
		p.meta(minute, "77", "DEACTIVATED", level)
		return fmt.Sprintf("Meta: DEACTIVATED at %g", level)
	case n < 5:
		var list struct{ Incidents []struct{ Number int } }
		p.get(p.t, "/api/v1/incidents?state=open", &list)
		if len(list.Incidents) == 0 {
			return "nothing"
		}
		number := list.Incidents[0].Number
		if status := p.ask(number, "acknowledge"); status == http.StatusConflict && p.wasResolved(number) {
			return fmt.Sprintf("console: acknowledge INC-%d, which was over by then", number)
		} else if status/100 != 2 {
			p.t.Fatalf("acknowledge answered %d", status)
		}
		return fmt.Sprintf("console: acknowledge INC-%d", number)
	}
	inc := open[rnd.IntN(len(open))]
	name, do := "acknowledge", func() error { return p.PagerDuty.Acknowledge(inc.Number, "ben") }
	switch n := rnd.IntN(8); {
	case n == 0:
		name, do = "resolve", func() error { return p.PagerDuty.Resolve(inc.Number, "ben") }
	case n == 1:
		name, do = "reassign", func() error { return p.PagerDuty.Reassign(inc.Number, "ben", "cleo") }
	case n == 2:
		name, do = "note", func() error { return p.PagerDuty.Note(inc.Number, "ben", "looking") }
	case n < 5:
		name, do = "unacknowledge", func() error { return p.PagerDuty.Unacknowledge(inc.Number, "ben") }
	}
	if err := do(); err != nil {
		name += ", which was not possible"
	}
	return fmt.Sprintf("PagerDuty: %s #%d", name, inc.Number)
}

// agree fails the test where PagerDuty or Slack shows something else than flowbridge.
func (p *pager) agree(story []string) {
	p.t.Helper()
	var list struct {
		Incidents []struct {
			Number     int
			State, Key string
		}
	}
	p.get(p.t, "/api/v1/incidents", &list)
	open := map[string]int{} // pages of PagerDuty that are open, by key
	for _, inc := range p.PagerDuty.Incidents() {
		if inc.Status != sandbox.IncidentResolved {
			open[inc.DedupKey]++
		}
	}
	var wrong []string
	unresolved := map[string]bool{}
	for _, inc := range list.Incidents {
		unresolved[inc.Key] = unresolved[inc.Key] || inc.State != "resolved"
	}
	for key, n := range open {
		if key := strings.TrimSuffix(key, "/critical"); n > 1 || !unresolved[key] {
			wrong = append(wrong, fmt.Sprintf("PagerDuty has %d open incidents with the key %s, ours is open: %v", n, key,
				unresolved[key]))
		}
	}
	for _, inc := range list.Incidents {
		if inc.State != "resolved" && open[inc.Key] != 1 {
			wrong = append(wrong, fmt.Sprintf("INC-%d is %s, and PagerDuty has %d open incidents for it", inc.Number, inc.State,
				open[inc.Key]))
		}
		want := map[string]string{"open": "#a30200", "acknowledged": "#daa038", "resolved": "#2eb886"}[inc.State]
		if root, _ := p.card(inc.Number - 1); root.Color != want && root.Color != "" { // what was missed has no colour
			wrong = append(wrong, fmt.Sprintf("INC-%d is %s, and its card has the colour %s: %s", inc.Number, inc.State,
				root.Color, root.Text))
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		p.t.Fatalf("%s\nafter\n%s", strings.Join(wrong, "\n"), strings.Join(story, "\n"))
	}
}
