package console

import (
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
