package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flowbridge/router"
)

// asked is a rule's match as the property test writes and understands it, on its own.
type asked struct {
	events, flows, wabas, newStatuses, fields, errorTypes, teams []string
	thresholds                                                   []string
	states                                                       []string
	subjects, changes, severities                                []string
	not                                                          []string // keys of which it wants none
	proceed                                                      bool
	during                                                       string
}

func (a asked) yaml(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  - name: %q\n    continue: %v\n    notify: [chat]\n", name, a.proceed)
	if a.during != "" {
		fmt.Fprintf(&b, "    during: %s\n", a.during)
	}
	b.WriteString("    match: {")
	for _, k := range []struct {
		key    string
		values []string
	}{
		{"event", a.events}, {"flow", a.flows}, {"waba", a.wabas}, {"new_status", a.newStatuses}, {"field", a.fields},
		{"error_type", a.errorTypes}, {"team", a.teams}, {"threshold", a.thresholds}, {"alert_state", a.states},
		{"subject", a.subjects}, {"change", a.changes}, {"severity", a.severities},
	} {
		if len(k.values) > 0 {
			list := `["` + strings.Join(k.values, `", "`) + `"]`
			if slices.Contains(a.not, k.key) {
				list = "{not: " + list + "}"
			}
			fmt.Fprintf(&b, "%s: %s, ", k.key, list)
		}
	}
	return b.String() + "}\n"
}

var teamOf = map[string]string{"1": "red", "2": "red", "3": "blue"}

// teamOfEvent is that of its flow, and else that of its account.
func teamOfEvent(ev *router.Event) string {
	if team := teamOf[ev.Flow]; team != "" {
		return team
	}
	return map[string]string{"8": "red", "9": "green"}[ev.WABA]
}

// matches is the meaning of a match, spelled out.
func (a asked) matches(ev *router.Event) bool {
	anyOf := func(key string, values []string, v string) bool {
		return len(values) == 0 || slices.Contains(values, v) != slices.Contains(a.not, key)
	}
	if ev.Name == router.FlowResponse && (!slices.Contains(a.events, router.FlowResponse) ||
		slices.Contains(a.not, "event")) {
		return false
	}
	onlyRecoveries := slices.Equal(slices.Compact(slices.Sorted(slices.Values(a.states))), []string{router.Deactivated})
	isRecovery := ev.Name != router.FlowStatusChange && ev.AlertState == router.Deactivated
	namesChange := len(a.changes) > 0 && !slices.Contains(a.not, "change")
	if isRecovery && !onlyRecoveries && !namesChange || !isRecovery && onlyRecoveries {
		return false
	}
	if slices.Contains(a.states, router.Activated) && !slices.Contains(a.states, router.Deactivated) &&
		ev.AlertState != router.Activated {
		return false
	}
	if len(a.thresholds) > 0 &&
		slices.ContainsFunc(a.thresholds, func(t string) bool { return reachesInWords(t, ev) }) == slices.Contains(a.not,
			"threshold") {
		return false
	}
	if len(a.errorTypes) > 0 && slices.ContainsFunc(ev.Errors, func(e router.ErrorCount) bool {
		return slices.ContainsFunc(a.errorTypes,
			func(t string) bool { return router.NormalErrorType(t) == router.NormalErrorType(e.Type) })
	}) == slices.Contains(a.not, "error_type") {
		return false
	}
	kind := string(ev.Subject.Kind)
	if kind == "" {
		kind = map[string]string{router.FlowResponse: "account"}[ev.Name]
	}
	if kind == "" {
		kind = "flow"
	}
	if !anyOf("subject", a.subjects, kind) || !anyOf("change", a.changes, ev.Change) ||
		!anyOf("severity", a.severities, router.DefaultSeverity(ev).String()) {
		return false
	}
	weekend := ev.At.Weekday() == time.Saturday || ev.At.Weekday() == time.Sunday
	if a.during == "weekend" && !weekend || a.during == "week" && weekend {
		return false
	}
	return anyOf("event", a.events, ev.Name) && anyOf("flow", a.flows, ev.Flow) && anyOf("waba", a.wabas, ev.WABA) &&
		anyOf("new_status", a.newStatuses, ev.NewStatus) && anyOf("field", a.fields, ev.Field) &&
		anyOf("team", a.teams, teamOfEvent(ev))
}

func reachesInWords(threshold string, ev *router.Event) bool {
	if ev.Threshold == nil {
		return false
	}
	switch t, latency := *ev.Threshold, ev.Name == router.EndpointLatency; threshold {
	case "10":
		return t == 10
	case ">=10":
		return t >= 10
	case "<5000":
		return t < 5000
	case "50%":
		return t == 50 && !latency
	case ">=5s":
		return t >= 5000 && (latency || ev.Name == "SOMETHING_NEW" || ev.Name == router.FlowResponse ||
			ev.Name == router.FlowStatusChange)
	}
	panic("unknown threshold " + threshold)
}

func TestTheIndexFindsWhatReadingEveryRuleFinds(t *testing.T) {
	names := []string{router.EndpointErrorRate, router.EndpointLatency, router.FlowStatusChange, router.FlowResponse,
		"SOMETHING_NEW"}
	states := []string{router.Activated, router.Deactivated}
	some := func(values ...string) *rapid.Generator[[]string] {
		return rapid.OneOf(rapid.Just[[]string](nil), rapid.SliceOfNDistinct(rapid.SampledFrom(values), 1, len(values),
			rapid.ID[string]))
	}
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		text.WriteString("version: 1\nnotifiers: {chat: {kind: slack, channel: \"#chat\"}}\nflows:\n")
		for _, id := range []string{"1", "2", "3"} {
			fmt.Fprintf(&text, "  %q: {team: %s}\n", id, teamOf[id])
		}
		text.WriteString("accounts: {\"8\": {team: red}, \"9\": {team: green}}\n")
		text.WriteString("windows: {weekend: {days: sat-sun}, week: {days: mon-fri}}\nrules:\n")
		all := make([]asked, rapid.IntRange(1, 140).Draw(t, "rules"))
		for i := range all {
			all[i] = asked{
				events: some(names...).Draw(t, "events"), flows: some("1", "2", "77").Draw(t, "flows"),
				wabas:       some("8", "9").Draw(t, "wabas"),
				newStatuses: some(router.Blocked, router.Throttled).Draw(t, "statuses"), fields: some("flows").Draw(t, "fields"),
				errorTypes: some("TIMEOUT", "payload-schema-error").Draw(t, "errors"), proceed: rapid.Bool().Draw(t, "continue"),
				during: rapid.SampledFrom([]string{"", "", "", "week", "weekend"}).Draw(t, "during"),
				states: some(states...).Draw(t, "states"), thresholds: some("10", ">=10", "<5000").Draw(t, "thresholds"),
			}
			all[i].not = some("event", "flow", "waba", "new_status", "field", "error_type", "team", "threshold", "subject",
				"change", "severity").Draw(t, "not")
			all[i].subjects, all[i].changes = some("flow", "account", "template").Draw(t, "subjects"),
				some("PAUSED", "APPROVED").Draw(t, "changes")
			all[i].severities = some("warning", "error", "critical").Draw(t, "severities")
			if len(all[i].flows) == 0 {
				all[i].teams = some("red", "blue", "green").Draw(t, "teams")
			}
			if len(all[i].events) == 0 {
				all[i].thresholds = some("10", ">=10", "<5000", "50%", ">=5s").Draw(t, "thresholds with units")
			}
			text.WriteString(all[i].yaml(fmt.Sprint("rule ", i)))
		}
		rules, err := Load("rules.yaml", []byte(text.String()), Config{})
		if err != nil {
			t.Fatalf("%v\n%s", err, text.String())
		}
		for range 20 {
			ev := router.Event{
				At:     time.Date(2026, 1, rapid.IntRange(1, 7).Draw(t, "day"), 12, 0, 0, 0, time.UTC),
				Source: router.SourceMeta, Name: rapid.SampledFrom(names).Draw(t, "name"),
				Flow:       rapid.SampledFrom([]string{"", "1", "2", "3", "77", "78"}).Draw(t, "flow"),
				WABA:       rapid.SampledFrom([]string{"8", "9", "10"}).Draw(t, "waba"),
				Field:      rapid.SampledFrom([]string{"flows", "messages"}).Draw(t, "field"),
				AlertState: rapid.SampledFrom(append(states, "", "ODD")).Draw(t, "state"),
				NewStatus:  rapid.SampledFrom([]string{"", router.Blocked, router.Published}).Draw(t, "status"),
				Threshold: rapid.SampledFrom([]*float64{nil, new(5.0), new(10.0), new(50.0), new(5000.0), new(7000.0),
					new(12.5)}).Draw(t, "threshold"),
				Change: rapid.SampledFrom([]string{"", "", "PAUSED", "APPROVED", "ODD"}).Draw(t, "change"),
				Subject: router.Subject{Kind: rapid.SampledFrom([]router.SubjectKind{"", "", "account", "template", "entity"}).Draw(
					t, "subject")},
			}
			for _, e := range some("timeout_error", "payload_schema_error", "odd").Draw(t, "errors") {
				ev.Errors = append(ev.Errors, router.ErrorCount{Type: e})
			}
			var want []int
			for i, a := range all {
				if a.matches(&ev) {
					want = append(want, i)
					if !a.proceed {
						break
					}
				}
			}
			if diff := cmp.Diff(want, rules.match(&ev, nil)); diff != "" {
				t.Fatalf("-read every rule +index\n%s\nevent %+v\n%s", diff, ev, text.String())
			}
		}
	})
}

func TestMatchingAllocatesNothing(t *testing.T) {
	rules := benchmarkRules(t, 1000)
	ev := router.Event{Source: router.SourceMeta, Name: router.EndpointErrorRate, Flow: "1000001",
		AlertState: router.Activated, Threshold: new(50.0),
		Reading: router.Reading{Errors: []router.ErrorCount{{Type: "TIMEOUT_ERROR"}}}}
	var buf [8]int
	if n := testing.AllocsPerRun(100, func() { rules.match(&ev, buf[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { rules.Decide(&ev) }); n != 0 {
		t.Errorf("a decision makes %v allocations", n)
	}
}

// benchmarkRules writes n rules for a dozen teams: most name an event, a flow and thresholds, some a label,
// an account or a status, and the last takes everything.
func benchmarkRules(tb testing.TB, n int) *Rules {
	events := []string{router.EndpointErrorRate, router.ClientErrorRate, router.EndpointLatency,
		router.EndpointAvailability}
	thresholds := [][]string{{"5", "10", "50"}, {"5", "10", "50"}, {"1000", "5000", "7000"}, {"90"}}
	var text strings.Builder
	text.WriteString("version: 1\nnotifiers: {chat: {kind: slack, channel: \"#chat\"}}\nflows:\n")
	for i := range max(10, n/10) {
		fmt.Fprintf(&text, "  \"%d\": {name: Flow %d, team: team-%d}\n", 1000000+i, i, i%12)
	}
	text.WriteString("rules:\n")
	for i := range n - 1 {
		e := i % len(events)
		match := fmt.Sprintf("event: %s, flow: \"%d\", threshold: \">=%s\"", events[e], 1000000+i%max(10, n/10),
			thresholds[e][i/4%len(thresholds[e])])
		switch i % 10 {
		case 7:
			match = fmt.Sprintf("event: %s, team: team-%d, threshold: %s, waba: \"%d\"", events[e], i%12%10, thresholds[e][0], i)
		case 8:
			match = fmt.Sprintf("event: FLOW_STATUS_CHANGE, new_status: BLOCKED, flow: \"%d\"", 2000000+i)
		case 9:
			match = fmt.Sprintf("threshold: %s, error_type: timeout_error, flow: \"%d\", when: error_rate > 20",
				thresholds[e][0], 3000000+i)
		}
		fmt.Fprintf(&text, "  - {name: rule %d, match: {%s}, notify: [chat]}\n", i, match)
	}
	text.WriteString("  - {name: everything, match: {}, notify: [chat]}\n")
	return mustLoad(tb, text.String())
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{10, 100, 1_000, 10_000} {
		rules := benchmarkRules(b, n)
		// Nothing but the last rule takes this event: the whole file has to be looked through.
		last := router.Event{Source: router.SourceMeta, Field: "flows", Name: router.EndpointErrorRate, WABA: "1",
			Flow:       "1000001",
			AlertState: router.Activated, Threshold: new(1.0),
			Reading: router.Reading{Errors: []router.ErrorCount{{Type: "timeout_error"}}}}
		hit := last
		hit.Threshold = new(50.0)
		for _, c := range []struct {
			name string
			ev   *router.Event
		}{{"last", &last}, {"hit", &hit}} {
			b.Run(fmt.Sprintf("rules=%d/%s", n, c.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if d := rules.Decide(c.ev); len(d.Rules) != 1 || c.ev == &last && d.Rules[0] != "everything" {
						b.Fatal(d.Rules)
					}
				}
			})
		}
	}
}

// BenchmarkDecideWorst has a thousand rules that only an unusual threshold tells apart, and none holds.
func BenchmarkDecideWorst(b *testing.B) {
	var text strings.Builder
	text.WriteString("version: 1\nnotifiers: {chat: {kind: slack, channel: \"#chat\"}}\nrules:\n")
	for i := range 1000 {
		fmt.Fprintf(&text, "  - {name: rule %d, match: {event: ENDPOINT_ERROR_RATE, threshold: \">=%d\"}, notify: [chat]}\n",
			i, 100+i)
	}
	rules := mustLoad(b, text.String())
	ev := router.Event{Source: router.SourceMeta, Name: router.EndpointErrorRate, AlertState: router.Activated,
		Threshold: new(5.5)}
	b.ReportAllocs()
	for b.Loop() {
		if d := rules.Decide(&ev); len(d.Rules) != 0 {
			b.Fatal(d.Rules)
		}
	}
}
