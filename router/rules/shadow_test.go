package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"flowbridge/router"
)

// TestARuleThatIsSaidNeverToMatchNeverMatches: the warning must be certain.
func TestARuleThatIsSaidNeverToMatchNeverMatches(t *testing.T) {
	said := 0
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string, odds int, values ...string) string {
			if rapid.IntRange(0, 9).Draw(t, name+" odds") >= odds {
				return ""
			}
			some := rapid.SliceOfNDistinct(rapid.SampledFrom(values), 1, 2, rapid.ID[string]).Draw(t, name)
			list := `["` + strings.Join(some, `", "`) + `"]`
			if name != "alert_state" && rapid.IntRange(0, 4).Draw(t, name+" not") == 0 {
				list = "{not: " + list + "}"
			}
			return fmt.Sprintf(`%s: %s, `, name, list)
		}
		var text strings.Builder
		text.WriteString(world +
			"accounts: {\"8\": {team: growth}}\nwindows: {week: {days: mon-fri}, weekend: {days: sat-sun}}\nrules:\n")
		n, last := rapid.IntRange(2, 12).Draw(t, "rules"), ""
		for i := range n {
			match := draw("event", 7, router.EndpointErrorRate, router.EndpointLatency, router.FlowStatusChange, "SOMETHING_NEW",
				"MESSAGE_TEMPLATE_STATUS_UPDATE") +
				draw("flow", 3, "1", "2", "77") + draw("team", 3, "payments", "growth") + draw("alert_state", 3, router.Activated,
				router.Deactivated) +
				draw("new_status", 2, router.Blocked, router.Throttled) + draw("error_type", 1, "timeout_error",
				"payload-schema-error") + draw("waba", 1, "8", "9") +
				draw("change", 2, "PAUSED", "APPROVED") + draw("subject", 1, "flow", "template") + draw("severity", 1, "warning",
				"error")
			if !strings.Contains(match, "event") {
				match += draw("threshold", 5, "10", ">=10", ">10", "<50", "<=10", "50%", ">=5s", ">10%")
			} else {
				match += draw("threshold", 5, "10", ">=10", ">10", "<50", "<=10", ">5")
			}
			if rapid.IntRange(0, 3).Draw(t, "narrower than the last") == 0 {
				match = last + map[bool]string{true: "", false: "field: flows, "}[strings.Contains(last, "field")]
			}
			last = match
			if rapid.IntRange(0, 9).Draw(t, "when odds") == 0 {
				match += "when: threshold > 10, "
			}
			fmt.Fprintf(&text, "  - name: r%d\n    match: {%s}\n    continue: %v\n    notify: chat\n", i, match,
				rapid.IntRange(0, 5).Draw(t, "continue") == 0)
			if key := rapid.SampledFrom([]string{"", "", "", "during", "except"}).Draw(t, "time"); key != "" {
				fmt.Fprintf(&text, "    %s: %s\n", key, rapid.SampledFrom([]string{"week", "weekend"}).Draw(t, "window"))
			}
		}
		l := newLoader(testConfig())
		rules, found := l.load([]File{{"rules.yaml", []byte(text.String())}})
		if len(found.Faults()) > 0 {
			t.Skip("no flow is of two teams")
		}
		never := map[int]bool{}
		for i := range rules.rules {
			if _, all := rules.takenBefore(i); all {
				never[i] = true
				said++
			}
			for j := range i { // the index must not hide a rule that covers this one
				if !never[i] && !rules.rules[j].proceed && rules.rules[j].match.covers(&rules.rules[i].match) {
					t.Fatalf("rule %d covers %d, and nobody says so\n%s", j, i, text.String())
				}
			}
		}
		for range 60 {
			ev := router.Event{
				Source: router.SourceMeta, Field: "flows", At: time.Date(2026, 1, rapid.IntRange(1, 7).Draw(t, "day"), 12, 0, 0, 0,
					time.UTC),
				Name: rapid.SampledFrom([]string{router.EndpointErrorRate, router.EndpointLatency, router.FlowStatusChange,
					"SOMETHING_NEW", "OTHER", "MESSAGE_TEMPLATE_STATUS_UPDATE"}).Draw(t, "name"),
				Flow:       rapid.SampledFrom([]string{"1", "2", "3", "77", "78"}).Draw(t, "flow"),
				WABA:       rapid.SampledFrom([]string{"8", "9", "10"}).Draw(t, "account"),
				AlertState: rapid.SampledFrom([]string{router.Activated, router.Deactivated, ""}).Draw(t, "state"),
				NewStatus:  rapid.SampledFrom([]string{"", router.Blocked, router.Throttled}).Draw(t, "status"),
				Threshold: rapid.SampledFrom([]*float64{nil, new(5.0), new(10.0), new(10.5), new(50.0), new(7000.0)}).Draw(t,
					"limit"),
				Change:  rapid.SampledFrom([]string{"", "PAUSED", "APPROVED", "ODD"}).Draw(t, "change"),
				Subject: router.Subject{Kind: rapid.SampledFrom([]router.SubjectKind{"", "template", "phone"}).Draw(t, "subject")},
			}
			if ev.Name == "MESSAGE_TEMPLATE_STATUS_UPDATE" && ev.Change == "PAUSED" && ev.AlertState == router.Deactivated {
				continue // what opens is no recovery
			}
			if rapid.Bool().Draw(t, "errors") {
				ev.Errors = []router.ErrorCount{{Type: "TIMEOUT"}}
			}
			for _, hit := range rules.match(&ev, nil) {
				if never[hit] {
					t.Fatalf("rule %d matches %+v\n%s", hit, ev, text.String())
				}
			}
		}
	})
	if said == 0 {
		t.Error("no rule was ever said never to match: the test shows nothing")
	}
}
