package console

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
)

// detailText returns what a reader sees of the first incident of a store.
func detailText(t *testing.T, s *memStore, path string) string {
	t.Helper()
	c, _ := newConsole(t, Config{}, s)
	resp, body := newBrowser(t, c).do("GET", path, nil)
	if resp.StatusCode != 200 {
		t.Fatalf("%s: %s\n%s", path, resp.Status, body)
	}
	return pageText(body)
}

func TestTheBridgesOwnTroubleIsNotMetasWord(t *testing.T) {
	s := filledStore()
	inc := &s.incidents[0]
	inc.Event, inc.Flow, inc.Title = router.BridgeDelay, "", ""
	inc.Subject = router.Subject{Kind: router.SubjectBridge}
	inc.State, inc.ResolvedAt, inc.ResolvedBy = router.IncidentResolved, at(30), ""
	inc.Alerts = []router.Alert{{Event: router.BridgeDelay, Since: at(0), Until: at(30), OpenedBy: 101}}
	inc.Facts = []router.Fact{{Name: "Since", Text: "noon"}}
	text := detailText(t, s, "/incidents/42")
	for _, want := range []string{"recovery, by flowbridge’s word", "What flowbridge says", "What flowbridge reported",
		"flowbridge’s clock", "Everything flowbridge People Notes", "flowbridge reports it no more."} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(text, "Meta") {
		t.Errorf("it speaks of Meta:\n%s", text)
	}
}

func TestBeforeIsWhatCameBefore(t *testing.T) {
	s := filledStore()
	for number := int64(30); number < 60; number++ {
		other := s.incidents[0]
		other.Number, other.State, other.ResolvedAt = number, router.IncidentResolved, at(50)
		if number != 42 {
			s.incidents = append(s.incidents, other)
		}
	}
	text := detailText(t, s, "/incidents/42")
	_, before, _ := strings.Cut(text, "Before: the last of this signal")
	if !strings.Contains(before, "INC-39 ") || strings.Contains(before, "INC-43 ") || strings.Contains(before, "INC-59 ") {
		t.Errorf("before INC-42 were\n%s", before)
	}
	if f := s.incidentFilters[len(s.incidentFilters)-1]; f.Before != 42 || f.Limit != 10 {
		t.Errorf("asked for %+v", f)
	}
}

func TestTheLegendSaysWhenSomebodyHadIt(t *testing.T) {
	const from = "acknowledged from 2026-05-04 12:02 UTC"
	for _, tt := range []struct {
		name   string
		change func(*router.IncidentDetail)
		want   string
		ends   bool
	}{
		{"it goes on", func(*router.IncidentDetail) {}, from, false},
		{"it was taken back", func(inc *router.IncidentDetail) {
			inc.Timeline = append(inc.Timeline, router.Entry{At: at(4), Kind: router.EntryUnacknowledged})
		}, from + " to 2026-05-04 12:04 UTC", true},
		{"it is over", func(inc *router.IncidentDetail) {
			inc.State, inc.ResolvedAt = router.IncidentResolved, at(6)
		}, from + " to 2026-05-04 12:06 UTC", true},
	} {
		s := filledStore()
		s.readings = []router.AlertReading{{At: at(0), Level: "5", Reading: router.Reading{Value: new(6.1)}}}
		inc := &s.incidents[0]
		inc.Timeline = append(inc.Timeline[:1], router.Entry{At: at(2), Kind: router.EntryAcknowledged})
		tt.change(inc)
		c, _ := newConsole(t, Config{Now: func() time.Time { return noon.Add(time.Hour) }}, s)
		_, body := newBrowser(t, c).do("GET", "/incidents/42", nil)
		text := pageText(body)
		if !strings.Contains(text, tt.want) || strings.Contains(text, from+" to") != tt.ends {
			t.Errorf("%s: want %q in\n%s", tt.name, tt.want, text)
		}
	}
}

func TestATimelineWithoutNotesSaysWhereTheyComeFrom(t *testing.T) {
	s := filledStore()
	const none = "No note. What people write as notes on its incident in PagerDuty"
	if text := detailText(t, s, "/incidents/42?kind=notes"); !strings.Contains(text, none) {
		t.Error(text)
	}
	if text := detailText(t, s, "/incidents/42?kind=people"); !strings.Contains(text, "Nothing of that kind") {
		t.Error(text)
	}
	s.incidents[0].Timeline = append(s.incidents[0].Timeline, router.Entry{At: at(3), Kind: router.EntryNote, Text: "Hm"})
	if text := detailText(t, s, "/incidents/42?kind=notes"); strings.Contains(text, none) {
		t.Error(text)
	}
}

// TestAnIncidentThatIsOverIsShownAsItWas: its signal has come back since, and its alerts are of a later incident.
func TestAnIncidentThatIsOverIsShownAsItWas(t *testing.T) {
	s := filledStore()
	inc := &s.incidents[0]
	inc.State, inc.ResolvedAt, inc.Path = router.IncidentResolved, at(30), []router.Level{"5", "10", "50"}
	later := 66.6
	inc.Alerts = []router.Alert{{Event: inc.Event, Level: "50", Since: at(0), Until: at(30), Raised: at(90),
		Reading: router.Reading{Value: &later}}}
	text := detailText(t, s, "/incidents/42")
	vitals, _, _ := strings.Cut(text, "Lasted")
	if strings.Contains(vitals, "Now") || strings.Contains(vitals, "66.6 %") {
		t.Errorf("the head of an incident that is over:\n%s", vitals)
	}
	if !strings.Contains(text, "5 % → 10 % → 50 %. Meta has reported some of it again since") {
		t.Errorf("the levels that it reached are lost:\n%s", text)
	}
}

// TestAnIncidentOfSeveralSignalsIsShownByItsWorst holds that number, threshold, chart and line of the list are of the
// signal that the title names.
func TestAnIncidentOfSeveralSignalsIsShownByItsWorst(t *testing.T) {
	s := filledStore()
	s.incidents = s.incidents[:1]
	inc := &s.incidents[0]
	inc.Title, inc.Path, inc.OpenedAt = "", []router.Level{"5"}, at(-30)
	inc.Alerts = []router.Alert{
		{Event: router.EndpointLatency, Level: "7000", Active: true, Since: at(-20), Raised: at(-20),
			Severity: router.Critical, Reading: router.Reading{Value: new(9100.0)}},
		{Event: router.EndpointErrorRate, Level: "5", Active: true, Since: at(-30), Raised: at(-10), Severity: router.Warning,
			Reading: router.Reading{Value: new(6.9)}},
	}
	s.readings = []router.AlertReading{{At: at(-20), Reading: router.Reading{Value: new(9100.0)}}}
	text := detailText(t, s, "/incidents/42")
	for _, want := range []string{"Endpoint latency (p90) over 7 s Now 9.1 s Threshold 7 s",
		"Endpoint latency (p90), as Meta reported it", "Endpoint latency (p90) over 7 s [picture]Critical yes",
		"Endpoint error rate over 5 % [picture]Warning yes"} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	text = detailText(t, s, "/")
	if !strings.Contains(strings.Join(strings.Fields(text), " "), "Endpoint latency (p90) INC-42 7 s") ||
		!strings.Contains(text, "9.1 s") || strings.Contains(text, "6.9 %") {
		t.Errorf("the list:\n%s", text)
	}
	inc.Alerts[0].Event, inc.Alerts[0].Level, inc.Alerts[0].Value = router.FlowStatusChange, router.Blocked, nil
	if text = detailText(t, s, "/incidents/42"); !strings.Contains(text, "Endpoint error rate, as Meta reported it") {
		t.Errorf("of what has no numbers, no chart of the others:\n%s", text)
	}
}

// TestAnIncidentSaysWhatItsCardSays holds that nobody has to go to Slack for the kinds of errors, or for the id of the
// flow.
func TestAnIncidentSaysWhatItsCardSays(t *testing.T) {
	s := filledStore()
	inc := &s.incidents[0]
	reading := &inc.Alerts[0].Reading
	reading.P50, reading.Requests = new(3.5), new(3400.0)
	for i := range mostErrors + 2 {
		reading.Errors = append(reading.Errors, router.ErrorCount{Type: "odd", Count: new(float64(i))})
	}
	reading.Errors = append(reading.Errors, router.ErrorCount{Type: "timeout_error", Rate: new(66.66), Count: new(90.0)})
	inc.Fields = []router.Field{{Name: "Region", Value: "<eu>"}}
	for _, state := range []router.IncidentState{router.IncidentOpen, router.IncidentResolved} {
		inc.State, inc.ResolvedAt = state, at(30)
		text := detailText(t, s, "/incidents/42")
		for _, want := range []string{"Flow 1987937931743377 account w1", "Team payments", "Median 3.5 %", "Requests 3400",
			"Region <eu>", "timeout_error 66.66 % 90 answer faster", "and 3 more"} {
			if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
				t.Errorf("%s: no %q in\n%s", state, want, text)
			}
		}
	}
	inc.Alerts[0].Raised = at(40)
	text := detailText(t, s, "/incidents/42")
	if strings.Contains(text, "timeout_error") || strings.Contains(text, "3400") {
		t.Errorf("it says of an incident that is over what was said later:\n%s", text)
	}
}

// TestTheLevelsOfAChartAreToldApart holds that the labels of levels that are close together do not lie on each other.
func TestTheLevelsOfAChartAreToldApart(t *testing.T) {
	label := regexp.MustCompile(`<text x="70" y="([0-9.]+)"`)
	s := filledStore()
	for _, worst := range []float64{3, 61.5, 99} {
		s.readings = []router.AlertReading{{At: at(0), Reading: router.Reading{Value: &worst}}}
		c, _ := newConsole(t, Config{}, s)
		_, body := newBrowser(t, c).do("GET", "/incidents/42", nil)
		last, n := 0.0, 0
		for _, found := range label.FindAllStringSubmatch(body, -1) {
			y, err := strconv.ParseFloat(found[1], 64)
			if err != nil || y < last+22 || y > chartHigh {
				t.Errorf("at %v %%: a label at %s, after one at %v, of %d", worst, found[1], last, chartHigh)
			}
			last, n = y, n+1
		}
		if want := map[float64]int{3: 1, 61.5: 3, 99: 3}[worst]; n != want {
			t.Errorf("at %v %%: %d labels, want %d", worst, n, want)
		}
	}
}

func TestFlowsOfOneNameAreToldApart(t *testing.T) {
	s := filledStore()
	other := s.incidents[0]
	other.Number = 43
	for _, flow := range []string{other.Flow, "77"} { // another incident of the flow, and one of another flow
		other.Flow = flow
		s.incidents = append(s.incidents[:3:3], other)
		text := detailText(t, s, "/?state=all")
		for _, where := range []string{"1987937931743377 · account w1", "77 · account w1"} {
			if strings.Contains(text, where) != (flow == "77") {
				t.Errorf("with a Checkout of flow %s: %s:\n%s", flow, where, text)
			}
		}
	}
}
