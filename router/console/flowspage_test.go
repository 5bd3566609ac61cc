package console

import (
	"fmt"
	"strings"
	"testing"

	"flowbridge/router"
)

// TestNoFlowIsLeftOutWithoutAWord holds that lists that are cut say so, and lead to the rest.
func TestNoFlowIsLeftOutWithoutAWord(t *testing.T) {
	s := glanceStore()
	s.seen, s.notices = nil, nil
	for i := range 130 {
		s.seen = append(s.seen, router.SeenFlow{FlowID: router.FlowID{WABA: fmt.Sprintf("w%d", i%65),
			Flow: fmt.Sprintf("7%03d", i)}, Active: 1, Severity: router.Critical, Last: at(5)})
	}
	c, _ := newConsole(t, Config{}, s)
	b, path, shown := newBrowser(t, c), "/flows", 0
	for _, want := range []string{"And 70 more", "And 10 more", ""} {
		resp, body := b.do("GET", path, nil)
		first := fmt.Sprintf(`<b>7%03d</b>`, shown)
		if resp.StatusCode != 200 || !strings.Contains(body, want) || !strings.Contains(body, first) || len(body) > 60<<10 {
			t.Errorf("%s: %s, %d bytes, want %q and %s\n%s", path, resp.Status, len(body), want, first, pageText(body))
		}
		for i := shown; i < min(shown+mostFlows, 130); i++ {
			if !strings.Contains(body, fmt.Sprintf(`/accounts/w%d"`, i%65)) ||
				!strings.Contains(body, fmt.Sprintf(`&#34;7%03d&#34;: {name`, i)) {
				t.Errorf("%s lacks the account of flow %d, or its name to paste", path, i)
			}
		}
		shown += mostFlows
		path = fmt.Sprintf("/flows?after=%d", shown)
		if more := strings.Contains(body, `href="`+path+`"`); more != (want != "") {
			t.Errorf("it leads to %s: %v", path, more)
		}
	}
	if _, body := b.do("GET", "/flows?after=900", nil); !strings.Contains(body, "That was all") {
		t.Errorf("past the last:\n%s", pageText(body))
	}
	for _, odd := range []string{"x", "-1", "99999999999999999999"} {
		if resp, _ := b.do("GET", "/flows?after="+odd, nil); resp.StatusCode != 400 {
			t.Errorf("after=%s: %s", odd, resp.Status)
		}
	}
	for i := range s.seen {
		s.seen[i].WABA = "w1"
	}
	if _, body := b.do("GET", "/accounts/w1", nil); !strings.Contains(body, `And 100 more: <a href="/?state=all&amp;waba=w1"`) ||
		!strings.Contains(body, "# and 70 more") || len(body) > 60<<10 {
		t.Errorf("of an account, %d bytes:\n%s", len(body), pageText(body))
	}
}

// TestLinksToAFlowNameItsAccount holds that what several accounts have is not mixed, and that no link leads nowhere.
func TestLinksToAFlowNameItsAccount(t *testing.T) {
	s := filledStore()
	s.incidents[1].Flow, s.incidents[1].Event = "account:", router.AccountBan
	known := func(name string) []string { return []string{name} }
	c, _ := newConsole(t, Config{FlowIDs: known}, s)
	b := newBrowser(t, c)
	for path, want := range map[string]string{
		"/report?from=2026-05-01": `href="/?state=all&amp;flow=account%3A&amp;waba=w1"`,
		"/events/101":             `href="/flows/1987937931743377?waba=w1"`,
	} {
		if _, body := b.do("GET", path, nil); !strings.Contains(body, want) {
			t.Errorf("%s has no %s:\n%s", path, want, body)
		}
	}
	for _, path := range []string{"/flows/1987937931743377", "/flows/2", "/flows/77"} {
		if _, body := b.do("GET", path, nil); strings.Contains(body, `"/accounts/"`) {
			t.Errorf("%s leads nowhere:\n%s", path, body)
		}
	}
}

func TestAFlowWhoseIncidentWasResolvedByHandIsNotWell(t *testing.T) {
	s := filledStore()
	s.incidents = s.incidents[:1]
	inc := &s.incidents[0]
	inc.State, inc.ResolvedAt, inc.ResolvedBy = router.IncidentResolved, at(8), "Ada"
	for _, reported := range []bool{true, false} {
		inc.Alerts[0].Active = reported
		c, _ := newConsole(t, Config{}, s)
		_, body := newBrowser(t, c).do("GET", "/flows/1987937931743377?waba=w1", nil)
		text := pageText(body)
		if strings.Contains(text, "no trouble reported") == reported ||
			strings.Contains(text, "Resolved by a person, and still reported") != reported {
			t.Errorf("reported: %v\n%s", reported, text)
		}
	}
}

// TestWhatIsOpenIsShownHoweverMuchCameBackSince holds that an incident that is open for long is not lost behind others
// that came and went.
func TestWhatIsOpenIsShownHoweverMuchCameBackSince(t *testing.T) {
	s := filledStore()
	open := s.incidents[0]
	s.incidents = nil
	for i := range 2 * mostIncidents {
		flap := router.IncidentDetail{Incident: open.Incident}
		flap.Number, flap.State, flap.ResolvedAt = int64(1000-i), router.IncidentResolved, at(8)
		s.incidents = append(s.incidents, flap)
	}
	s.incidents = append(s.incidents, open)
	c, _ := newConsole(t, Config{}, s)
	b := newBrowser(t, c)
	for _, path := range []string{"/flows/1987937931743377", "/flows/1987937931743377?waba=w1", "/accounts/w1"} {
		_, body := b.do("GET", path, nil)
		text := pageText(body)
		if strings.Contains(text, "No incident is open") || strings.Contains(text, "no trouble reported") ||
			!strings.Contains(text, open.Name()) || !strings.Contains(text, "INC-1000") {
			t.Errorf("%s:\n%s", path, text)
		}
		if strings.Contains(text, "All that are open") {
			t.Errorf("%s leads to further ones, of which there are none:\n%s", path, text)
		}
	}
	for i := range s.incidents {
		s.incidents[i].State = router.IncidentOpen
	}
	if _, body := b.do("GET", "/accounts/w1", nil); !strings.Contains(body, `href="/?waba=w1">All that are open`) {
		t.Errorf("of many that are open:\n%s", pageText(body))
	}
}

func TestThePageOfAnAccountNamesWhatEachIncidentIsAbout(t *testing.T) {
	c, _ := newConsole(t, Config{}, filledStore())
	b := newBrowser(t, c)
	const name = "<b>flow 2</b> Flow status"
	if _, body := b.do("GET", "/accounts/w1", nil); !strings.Contains(body, name) {
		t.Errorf("no %s:\n%s", name, pageText(body))
	}
	if _, body := b.do("GET", "/flows/2?waba=w1", nil); strings.Contains(body, name) {
		t.Errorf("the page of the flow says %s at each of its incidents:\n%s", name, pageText(body))
	}
}

// TestAFlowWhoseTroubleIsStillReportedIsNotWell holds it for what somebody resolved so long ago that the page has no
// room for it.
func TestAFlowWhoseTroubleIsStillReportedIsNotWell(t *testing.T) {
	s := filledStore()
	s.incidents = nil
	for _, active := range []int64{1, 0} {
		s.seen = []router.SeenFlow{{FlowID: router.FlowID{WABA: "w1", Flow: "7"}, Active: active, Last: at(-5)}}
		s.notices = []router.Notice{{Event: 1, WABA: "w1", Flow: "7", Name: router.FlowVersionExpiryWarning, At: at(-5)}}
		c, _ := newConsole(t, Config{}, s)
		b := newBrowser(t, c)
		for _, path := range []string{"/flows/7?waba=w1", "/accounts/w1"} {
			_, body := b.do("GET", path, nil)
			text := pageText(body)
			if strings.Contains(text, "still reported") != (active > 0) ||
				strings.Contains(text, "no trouble reported") != (active == 0) {
				t.Errorf("%s, with %d active:\n%s", path, active, text)
			}
		}
	}
}
