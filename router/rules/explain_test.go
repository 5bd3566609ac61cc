package rules

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flowbridge/router"
)

// TestExplainAndServeAgree holds explanations against what decides for real, on generated rules and events.
func TestExplainAndServeAgree(t *testing.T) {
	names := []string{router.EndpointErrorRate, router.EndpointLatency, router.FlowStatusChange, router.FlowResponse,
		router.ParkedDelivery, "SOMETHING_NEW"}
	states := []string{router.Activated, router.Deactivated}
	some := func(values ...string) *rapid.Generator[[]string] {
		return rapid.OneOf(rapid.Just[[]string](nil), rapid.SliceOfNDistinct(rapid.SampledFrom(values), 1, len(values),
			rapid.ID[string]))
	}
	actions := []string{
		"notify: [chat]", "notify: [page, chat]",
		`notify: [{to: page, severity: ">=error", after: 5m}, chat, {to: page, severity: "<error", unless: acknowledged}]`,
		`notify: [{to: chat, severity: info}]`, "notify: [chat]\n    severity: critical", "drop: true",
	}
	whens := []string{"", "error_rate > 10", `labels["team"] == "red"`, "value.response.stars > 3", "requests_count < 5"}
	times := []string{"", "during: night", "except: night", "during: [night, weekend]\n    except: weekend"}
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		text.WriteString(
			"version: 1\nnotifiers:\n  chat: {kind: slack, channel: \"#chat\"}\n  page: {kind: pagerduty, routing_key: " +
				"0123456789abcdef0123456789abcdef}\n" +
				"windows:\n  night: {hours: [\"22:00-06:00\"]}\n  weekend: {days: [sat, sun]}\nflows:\n")
		for _, id := range []string{"1", "2", "3"} {
			fmt.Fprintf(&text, "  %q: {team: %s}\n", id, teamOf[id])
		}
		text.WriteString("rules:\n")
		for i := range rapid.IntRange(1, 12).Draw(t, "rules") {
			a := asked{
				events: some(names...).Draw(t, "events"), flows: some("1", "2", "77").Draw(t, "flows"),
				wabas:       some("8", "9").Draw(t, "wabas"),
				newStatuses: some(router.Blocked, router.Throttled).Draw(t, "statuses"), fields: some("flows").Draw(t, "fields"),
				errorTypes: some("TIMEOUT", "payload-schema-error").Draw(t, "errors"), states: some(states...).Draw(t, "states"),
			}
			if len(a.events) == 0 {
				a.thresholds = some("10", ">=10", "<5000", "50%", ">=5s").Draw(t, "thresholds")
			}
			action := rapid.SampledFrom(actions).Draw(t, "action")
			if action == "drop: true" && len(a.states) == 1 && a.states[0] == router.Deactivated {
				action = actions[0]
			}
			a.proceed = rapid.Bool().Draw(t, "continue") && action != "drop: true"
			rule := strings.Replace(a.yaml(fmt.Sprint("rule ", i)), "notify: [chat]", action, 1)
			if when := rapid.SampledFrom(whens).Draw(t, "when"); when != "" {
				rule = strings.Replace(rule, "match: {", fmt.Sprintf("match: {when: %q, ", when), 1)
			}
			text.WriteString(rule)
			if at := rapid.SampledFrom(times).Draw(t, "times"); at != "" {
				text.WriteString("    " + at + "\n")
			}
		}
		if rapid.Bool().Draw(t, "default") {
			text.WriteString("default: {notify: [chat]}\n")
		}
		if rapid.Bool().Draw(t, "fallback") {
			text.WriteString("fallback: chat\n")
		}
		rules, err := Load("rules.yaml", []byte(text.String()), Config{})
		if err != nil {
			t.Fatalf("%v\n%s", err, text.String())
		}
		for range 20 {
			ev := router.Event{
				Source: rapid.SampledFrom([]router.Source{router.SourceMeta, router.SourceMeta, router.SourceMeta,
					router.SourceFlowbridge, router.SourceConsole}).Draw(t, "source"),
				Name:       rapid.SampledFrom(names).Draw(t, "name"),
				Flow:       rapid.SampledFrom([]string{"", "1", "2", "3", "77", "78", router.DrillPrefix + "1"}).Draw(t, "flow"),
				WABA:       rapid.SampledFrom([]string{"8", "9", "10"}).Draw(t, "waba"),
				Field:      rapid.SampledFrom([]string{"flows", "messages"}).Draw(t, "field"),
				AlertState: rapid.SampledFrom(append(states, "", "ODD")).Draw(t, "state"),
				NewStatus:  rapid.SampledFrom([]string{"", router.Blocked, router.Published}).Draw(t, "status"),
				Threshold: rapid.SampledFrom([]*float64{nil, new(5.0), new(10.0), new(50.0), new(5000.0), new(12.5)}).Draw(t,
					"threshold"),
				Reading: router.Reading{Value: rapid.SampledFrom([]*float64{nil, new(9.0), new(14.0)}).Draw(t, "value")},
				Value: json.RawMessage(rapid.SampledFrom([]string{"", `{"response":{"stars":5}}`, `{"response":"x"}`,
					`{"flowbridge_drill_rule":"rule 1"}`}).Draw(t, "whole value")),
				At: rapid.SampledFrom([]time.Time{{}, time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC),
					time.Date(2026, 1, 10, 23, 0, 0, 0, time.UTC)}).Draw(t, "at"),
			}
			if ev.Source != router.SourceMeta {
				ev.Act = &router.Act{Notifier: rapid.SampledFrom([]string{"chat", "page"}).Draw(t, "parked at")}
			}
			for _, e := range some("timeout_error", "payload_schema_error", "odd").Draw(t, "errors") {
				ev.Errors = append(ev.Errors, router.ErrorCount{Type: e})
			}
			explainAgrees(t, rules, &ev, text.String())
		}
	})
}

func explainAgrees(t *rapid.T, rules *Rules, ev *router.Event, text string) {
	t.Helper()
	want := rules.Decide(ev)
	x := rules.Explain(ev)
	var matched []string
	spoke := false
	for _, a := range x.Rules {
		switch {
		case a.Matched && a.Rule == defaultName:
			spoke = true
		case a.Matched:
			matched = append(matched, a.Rule)
		}
		if a.Skipped == "" && !a.Matched && (len(a.Decided) != 1 || a.Decided[0].Holds || a.Decided[0].Text == "") {
			t.Fatalf("%s did not match, and nothing says why: %+v", a.Rule, a.Decided)
		}
		if !strings.HasPrefix(a.Place.String(), "rules.yaml:") {
			t.Fatalf("%s has no place", a.Rule)
		}
	}
	if diff := cmp.Diff(want.Rules, matched); diff != "" {
		t.Fatalf("rules that match: -decided +explained\n%s\nevent %+v\n%s", diff, ev, text)
	}
	told := map[string]string{}
	for _, route := range x.Routes {
		if route.Tells {
			told[route.Notifier] = route.When
		}
	}
	decided := map[string]string{}
	for _, route := range want.Notify {
		decided[route.Notifier] = explainWhen(route)
	}
	if diff := cmp.Diff(decided, told); diff != "" {
		t.Fatalf("who is told: -decided +explained\n%s\nevent %+v\n%s", diff, ev, text)
	}
	if byDefault := len(want.Rules) == 0 && len(want.Notify) > 0 && !ev.ForFallback(); byDefault && !spoke {
		t.Fatalf("default speaks, and the explanation does not say so\nevent %+v\n%s", ev, text)
	}
}

func TestExplanationsNameTheKeyThatDecided(t *testing.T) {
	const rest = `
windows: {night: {hours: ["22:00-06:00"]}, berlin: {hours: ["09:00-18:00"], time_zone: Europe/Berlin}}
rules: `
	response := router.Event{Source: router.SourceMeta, Field: "messages", WABA: "9", Name: router.FlowResponse,
		Value: json.RawMessage(`{"response":{"email":"a@example.com","stars":2}}`)}
	noon := func(ev *router.Event) { ev.At = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		name  string
		rules string
		ev    router.Event
		want  string
	}{
		{"an event", `[{name: a, match: {event: [ENDPOINT_LATENCY, CLIENT_ERROR_RATE]}, notify: chat}]`,
			activated(router.EndpointErrorRate, 5),
			"event: event is ENDPOINT_ERROR_RATE, not ENDPOINT_LATENCY or CLIENT_ERROR_RATE"},
		{"a label", `[{name: a, match: {team: growth}, notify: chat}]`, activated(router.EndpointErrorRate, 5),
			"team: team is payments, which it does not ask for"},
		{"a flow", `[{name: a, match: {flow: Sign-up}, notify: chat}]`, activated(router.EndpointErrorRate, 5),
			"flow: flow is Checkout, which it does not ask for"},
		{"a flow, of what is about none", `[{name: a, match: {flow: Sign-up}, notify: chat}]`,
			router.Event{Source: router.SourceMeta, Field: "account_update", WABA: "9", Name: router.AccountUpdate},
			"flow: flow is missing, which it does not ask for"},
		{"days", `[{name: a, match: {threshold: [3d, "<=1d"]}, notify: chat}]`,
			router.Event{Source: router.SourceMeta, Field: "flows", WABA: "9", Flow: "1", Name: router.FlowVersionExpiryWarning},
			"threshold: threshold is missing, not 3d or <=1d"},
		{"a threshold", `[{name: a, match: {threshold: [">=10%", 5s]}, notify: chat}]`,
			activated(router.EndpointErrorRate, 5), "threshold: threshold is 5 %, not >=10% or 5s"},
		{"an error type", `[{name: a, match: {error_type: timeout}, notify: chat}]`, activated(router.EndpointErrorRate, 5),
			"error_type: error_type is missing, not timeout-error"},
		{"an expression with its numbers", `[{name: a, match: {when: error_rate > 20 && threshold > 1}, notify: chat}]`,
			with(activated(router.EndpointErrorRate, 5), func(ev *router.Event) { ev.Reading.Value = new(14.28) }),
			"when: when is false: error_rate is 14.28, threshold is 5"},
		{"a recovery", `[{name: a, match: {event: ENDPOINT_ERROR_RATE}, notify: chat}]`, deactivated(router.EndpointErrorRate,
			5), "alert_state: a recovery is asked only of rules with alert_state: DEACTIVATED"},
		{"what rules must name", `[{name: a, match: {}, notify: chat}]`, response,
			"event: only rules that name FLOW_RESPONSE are asked about it"},
		{"a form, of which nothing is shown",
			`[{name: a, match: {event: FLOW_RESPONSE, when: value.response.email == "b@example.com" && event != ""}, notify: chat}]`, response, "when: when is false"},
		{"an expression that fails on a form",
			`[{name: a, match: {event: FLOW_RESPONSE, when: value.response.email > 5}, notify: chat}]`, response,
			"when: when failed on this response"},
		{"a window", `[{name: a, match: {}, during: night, notify: chat}]`, with(activated(router.EndpointErrorRate, 5),
			noon), "during: Mon 2026-01-05 12:00 UTC is in no window of during"},
		{"a window elsewhere", `[{name: a, match: {}, except: berlin, notify: chat}]`,
			with(activated(router.EndpointErrorRate, 5), noon), "except: Mon 2026-01-05 13:00 CET is in berlin"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules, err := Load("rules.yaml", []byte(world+rest+c.rules+ending),
				Config{Env: func(string) (string, bool) { return "0123456789abcdef0123456789abcdef", true }})
			if err != nil {
				t.Fatal(err)
			}
			got := rules.Explain(&c.ev).Rules[0]
			if len(got.Decided) != 1 || got.Matched {
				t.Fatalf("got %+v", got)
			}
			if check := got.Decided[0].Key + ": " + got.Decided[0].Text; check != c.want {
				t.Errorf("got  %s\nwant %s", check, c.want)
			}
		})
	}
}

func TestAnExplanationSaysWhatADrillDoesOtherwise(t *testing.T) {
	rules, err := Load("rules.yaml", []byte(`version: 1
notifiers:
  chat: {kind: slack, channel: "#chat"}
  page: {kind: pagerduty, routing_key: 0123456789abcdef0123456789abcdef}
rules:
  - {name: one, match: {event: ENDPOINT_ERROR_RATE}, notify: [page, chat]}
  - {name: two, match: {event: ENDPOINT_LATENCY}, notify: [{to: chat, after: 5m}, page]}
default: {notify: [chat]}
`), Config{})
	if err != nil {
		t.Fatal(err)
	}
	drill := activated(router.EndpointErrorRate, 50)
	drill.Flow = router.DrillPrefix + "1"
	const unpaged = "page: it pages, and drills page nobody without drill: page"
	for _, c := range []struct {
		value string
		want  []string
	}{
		{"{}", []string{"one matched", "two: the search has ended", "default: a rule matched", unpaged, "chat: at once"}},
		{`{"flowbridge_drill_rule":"two"}`, []string{"one: the drill names the rule that acts", "two matched",
			"default: the drill names the rule that acts", "chat: at once", unpaged}},
	} {
		drill.Value = json.RawMessage(c.value)
		x := rules.Explain(&drill)
		var got []string
		for _, a := range x.Rules {
			if a.Matched {
				got = append(got, a.Rule+" matched")
			} else {
				got = append(got, a.Rule+": "+a.Skipped)
			}
		}
		for _, route := range x.Routes {
			got = append(got, route.Notifier+": "+route.When+route.Why)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", c.value, diff)
		}
	}
}
