package rules

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

// world is what the decisions below are made in; rules are added to it.
const world = `
version: 1
flows:
  "1": {name: Checkout, team: payments, runbook: https://example.com/checkout}
  "2": {name: Sign-up, team: growth}
  "3": {name: Refund, team: payments, tier: gold}
notifiers:
  chat: {kind: slack, channel: "#chat"}
  ops: {kind: slack, channel: "#ops"}
  page: {kind: pagerduty, routing_key: "${PD_KEY}"}
`

const ending = "\ndefault: {notify: ops}\nfallback: ops\n"

// activated, deactivated and the like are events of flow 1.
func activated(name string, threshold float64) router.Event {
	return router.Event{Source: router.SourceMeta, Field: "flows", WABA: "9", Flow: "1", Name: name,
		AlertState: router.Activated, Threshold: &threshold}
}

func deactivated(name string, threshold float64) router.Event {
	ev := activated(name, threshold)
	ev.AlertState = router.Deactivated
	return ev
}

func became(old, now string) router.Event {
	return router.Event{Source: router.SourceMeta, Field: "flows", WABA: "9", Flow: "1", Name: router.FlowStatusChange,
		OldStatus: old, NewStatus: now}
}

func with(ev router.Event, change func(*router.Event)) router.Event {
	change(&ev)
	return ev
}

func parked(notifier string) router.Event {
	return router.Event{Source: router.SourceFlowbridge, Name: router.ParkedDelivery,
		Act: &router.Act{Incident: 1, Notifier: notifier}}
}

func TestDecisions(t *testing.T) {
	response := router.Event{Source: router.SourceMeta, Field: "messages", WABA: "9", Name: router.FlowResponse,
		Value: json.RawMessage(`{"message_id":"wamid.1","from":"+15550001","response":{"email":"a@example.com","stars":2}}`)}
	for _, c := range []struct {
		name  string
		rules string
		ev    router.Event
		want  string
	}{
		{"the first match wins",
			`[{name: a, match: {event: ENDPOINT_LATENCY}, notify: chat}, {name: b, match: {}, notify: page}]`,
			activated(router.EndpointLatency, 1000), "a: warning to chat"},
		{"continue asks later rules too and tells everybody once",
			`[{name: a, match: {}, continue: true, notify: [chat, ops]}, {name: b, match: {}, notify: [page, chat]}, {name: c, match: {}, notify: ops}]`,
			activated(router.EndpointLatency, 1000), "a + b: warning to chat, ops, page"},
		{"the first rule that sets something wins it",
			`[{name: a, match: {}, continue: true, notify: chat}, {name: b, match: {}, continue: true, severity: info, fields: x, notify: chat}, {name: c, match: {}, severity: critical, group_by: flow, fields: y, notify: chat}]`,
			with(activated(router.EndpointLatency, 1000), func(ev *router.Event) {
				ev.Value = json.RawMessage(`{"x":1,"y":2}`)
			}), "a + b + c: info to chat by flow with x=1"},
		{"what no rule matched goes to default", `[{name: a, match: {flow: "2"}, notify: chat}]`,
			activated(router.EndpointLatency, 1000), "default: warning to ops"},
		{"a recovery that no rule matched goes nowhere", `[{name: a, match: {flow: "2"}, notify: chat}]`,
			deactivated(router.EndpointLatency, 1000), "default: info to nobody"},
		{"a rule without alert_state is not asked about recoveries", `[{name: a, match: {}, notify: chat}]`,
			deactivated(router.EndpointLatency, 1000), "default: info to nobody"},
		{"a rule for recoveries is", `[{name: a, match: {alert_state: DEACTIVATED}, notify: chat}]`,
			deactivated(router.EndpointLatency, 1000), "a: info to chat"},
		{"and about nothing else", `[{name: a, match: {alert_state: DEACTIVATED}, notify: chat}]`,
			activated(router.EndpointLatency, 1000), "default: warning to ops"},
		{"to name both states is to name none", `[{name: a, match: {alert_state: [ACTIVATED, DEACTIVATED]}, notify: chat}]`,
			became("", router.Published), "a: info to chat"},
		{"even for recoveries", `[{name: a, match: {alert_state: [ACTIVATED, DEACTIVATED]}, notify: chat}]`,
			deactivated(router.EndpointLatency, 1000), "default: info to nobody"},
		{"ACTIVATED asks for the word", `[{name: a, match: {alert_state: ACTIVATED}, notify: chat}]`,
			became("", router.Published), "default: info to ops"},
		{"an unknown event with a DEACTIVATED is a recovery too", `[{name: a, match: {}, notify: chat}]`,
			deactivated("SOMETHING_NEW", 1), "default: info to nobody"},
		{"a status change is never a recovery for the rules",
			`[{name: a, match: {new_status: PUBLISHED, old_status: BLOCKED}, notify: chat}]`,
			became(router.Blocked, router.Published), "a: info to chat"},

		{"drop forgets", `[{name: a, match: {}, drop: true}, {name: b, match: {}, notify: chat}]`,
			activated(router.EndpointLatency, 1000), "a: dropped"},
		{"drop cannot forget what an earlier rule tells",
			`[{name: a, match: {}, continue: true, notify: chat}, {name: b, match: {}, drop: true}, {name: c, match: {}, notify: ops}]`, activated(router.EndpointLatency, 1000), "a + b: warning to chat"},
		{"an entry of notify can ask for a severity",
			`[{name: a, match: {}, notify: [chat, {to: page, severity: ">=error"}]}]`, activated(router.EndpointErrorRate, 5),
			"a: warning to chat"},
		{"and is told from there on", `[{name: a, match: {}, notify: [chat, {to: page, severity: ">=error"}]}]`,
			activated(router.EndpointErrorRate, 10), "a: error to chat, page"},
		{"or for some severities",
			`[{name: a, match: {}, notify: [{to: chat, severity: [info, critical]}, {to: page, severity: error}]}]`,
			activated(router.EndpointErrorRate, 50), "a: critical to chat"},
		{"the severity is the one that the rule decides",
			`[{name: a, match: {}, severity: error, notify: {to: page, severity: ">=error"}}]`,
			activated(router.EndpointErrorRate, 5), "a: error to page"},
		{"severity by threshold", `[{name: a, match: {}, severity: {5: info, "10%": critical}, notify: chat}]`,
			activated(router.EndpointErrorRate, 10), "a: critical to chat"},
		{"a threshold that the map does not have keeps its default",
			`[{name: a, match: {}, severity: {5: info, "10%": critical}, notify: chat}]`,
			activated(router.EndpointErrorRate, 50), "a: critical to chat"},
		{"a map in percent says nothing of latency", `[{name: a, match: {}, severity: {"1000%": info}, notify: chat}]`,
			activated(router.EndpointLatency, 1000), "a: warning to chat"},
		{"a map in seconds does", `[{name: a, match: {}, severity: {"1s": info}, notify: chat}]`,
			activated(router.EndpointLatency, 1000), "a: info to chat"},
		{"a map of statuses", `[{name: a, match: {}, severity: {THROTTLED: critical, BLOCKED: error}, notify: chat}]`,
			became(router.Published, router.Throttled), "a: critical to chat"},
		{"a map of changes",
			`[{name: a, match: {}, severity: {SCHEDULE_FOR_DISABLE: warning, DISABLE: error}, notify: chat}]`,
			ban("SCHEDULE_FOR_DISABLE"), "a: warning to chat"},
		{"each change has its own",
			`[{name: a, match: {}, severity: {SCHEDULE_FOR_DISABLE: warning, DISABLE: error}, notify: chat}]`,
			ban("DISABLE"), "a: error to chat"},
		{"a change that the map does not have keeps its default",
			`[{name: a, match: {}, severity: {SCHEDULE_FOR_DISABLE: warning}, notify: chat}]`,
			ban("DISABLE"), "a: critical to chat"},
		{"a word that is new at Meta",
			`[{name: a, match: {change: FROZEN_SOLID}, severity: {FROZEN_SOLID: error}, notify: chat}]`,
			ban("FROZEN_SOLID"), "a: error to chat"},
		{"a map of statuses says nothing of a change",
			`[{name: a, match: {}, severity: {BLOCKED: info, 5: info}, notify: chat}]`,
			ban("DISABLE"), "a: critical to chat"},
		{"alerts can be grouped", `[{name: a, match: {}, group_by: threshold, notify: chat}]`,
			activated(router.EndpointErrorRate, 5), "a: warning to chat by threshold"},

		{"flow by name", `[{name: a, match: {flow: Checkout}, notify: chat}]`, activated(router.EndpointErrorRate, 5),
			"a: warning to chat"},
		{"flow by id that the file does not name", `[{name: a, match: {flow: 77}, notify: chat}]`,
			with(activated(router.EndpointErrorRate, 5), func(ev *router.Event) { ev.Flow = "77" }), "a: warning to chat"},
		{"labels", `[{name: a, match: {team: payments}, notify: chat}]`, activated(router.EndpointErrorRate, 5),
			"a: warning to chat"},
		{"all labels must hold", `[{name: a, match: {team: payments, tier: gold}, notify: chat}]`,
			activated(router.EndpointErrorRate, 5), "default: warning to ops"},
		{"waba and field", `[{name: a, match: {waba: 9, field: flows}, notify: chat}]`,
			activated(router.EndpointErrorRate, 5), "a: warning to chat"},
		{"error types in any spelling", `[{name: a, match: {error_type: [payload_schema_error, TIMEOUT]}, notify: chat}]`,
			with(activated(router.EndpointErrorRate, 5), func(ev *router.Event) {
				ev.Errors = []router.ErrorCount{{Type: "odd"},
					{Type: "timeout-error"}}
			}), "a: warning to chat"},
		{"a threshold that Meta did not send is none", `[{name: a, match: {threshold: ">=0"}, notify: chat}]`,
			became("", router.Published), "default: info to ops"},
		{"thresholds in seconds", `[{name: a, match: {threshold: [">=5s", "10%"]}, notify: chat}]`,
			activated(router.EndpointLatency, 7000), "a: critical to chat"},
		{"and in percent", `[{name: a, match: {threshold: [">=5s", ">=10%"]}, notify: chat}]`,
			activated(router.EndpointLatency, 1000), "default: warning to ops"},

		{"when sees numbers", `[{name: a, match: {when: "error_rate > 14 and threshold in [10, 50]"}, notify: chat}]`,
			with(activated(router.EndpointErrorRate, 10), func(ev *router.Event) { ev.Reading.Value = new(14.28) }),
			"a: error to chat"},
		{"a number that Meta did not send compares with nothing",
			`[{name: a, match: {when: error_rate < 100 || error_rate >= 0 || p90_latency > 0 || requests_count < 5}, notify: chat}]`, activated(router.EndpointErrorRate, 10), "default: error to ops"},
		{"an error rate is no latency", `[{name: a, match: {when: p90_latency > 0 || availability > 0}, notify: chat}]`,
			with(activated(router.EndpointErrorRate, 10), func(ev *router.Event) { ev.Reading.Value = new(14.28) }),
			"default: error to ops"},
		{"when sees labels and names",
			`[{name: a, match: {when: 'team == "payments" and labels["team"] == team and flow_name == "Checkout" and tier == ""'}, notify: chat}]`, activated(router.EndpointErrorRate, 10), "a: error to chat"},
		{"when sees errors in Meta's spelling",
			`[{name: a, match: {when: 'any(errors, .error_type == "timeout_error" and .error_count > 1)'}, notify: chat}]`,
			with(activated(router.EndpointErrorRate, 10), func(ev *router.Event) {
				ev.Errors = []router.ErrorCount{{Type: "TIMEOUT", Count: new(2.0)}}
			}), "a: error to chat"},
		{"when sees what Meta sent", `[{name: a, match: {when: value.a.b == 2}, notify: chat}]`,
			with(activated("SOMETHING_NEW", 1), func(ev *router.Event) { ev.Value = json.RawMessage(`{"a":{"b":2}}`) }),
			"a: warning to chat"},
		{"when that fails is no match", `[{name: a, match: {when: value.a.b == 2}, notify: chat}]`,
			activated("SOMETHING_NEW", 1), "default: warning to ops"},
		{"when that is not true or false is no match", `[{name: a, match: {when: value.a}, notify: chat}]`,
			with(activated("SOMETHING_NEW", 1), func(ev *router.Event) { ev.Value = json.RawMessage(`{"a":1}`) }),
			"default: warning to ops"},
		{"when can ask for the whole",
			`[{name: a, match: {when: '"team" in $env and $env["new_status"] == "BLOCKED"'}, notify: chat}]`,
			became("", router.Blocked), "a: critical to chat"},

		{"a response goes to rules that name it",
			`[{name: a, match: {}, notify: page}, {name: b, match: {event: FLOW_RESPONSE}, fields: [email, response.stars, from, none], notify: chat}]`,
			response, "b: info to chat with email=a@example.com response.stars=2 from=+15550001"},
		{"and never to default, nor to a rule without event", `[{name: a, match: {field: messages}, notify: page}]`, response,
			"default: info to nobody"},
		{"without fields nothing of it is shown", `[{name: b, match: {event: FLOW_RESPONSE}, notify: chat}]`, response,
			"b: info to chat"},

		{"a parked delivery goes to fallback", `[{name: a, match: {}, notify: page}]`, parked("page"),
			"default: error to ops"},
		{"or to rules that name it", `[{name: a, match: {event: DELIVERY_PARKED}, notify: chat}]`, parked("page"),
			"a: error to chat"},
		{"but never to the notifier that cannot be told", `[{name: a, match: {}, notify: page}]`, parked("ops"),
			"default: error to nobody"},
		{"not even by a rule", `[{name: a, match: {event: DELIVERY_PARKED}, notify: [chat, page]}]`, parked("page"),
			"a: error to chat"},
		{"what a person does is not decided", `[{name: a, match: {}, notify: page}]`,
			router.Event{Source: router.SourceConsole, Name: router.Acknowledge}, "default:  to nobody"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules := mustLoad(t, world+"rules: "+c.rules+ending)
			if got := inWords(rules.Decide(&c.ev)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestEveryDecisionSaysWhoseFlowItIs(t *testing.T) {
	rules := mustLoad(t, world+"rules: []"+ending)
	ev := deactivated(router.EndpointErrorRate, 5)
	want := router.FlowInfo{FlowName: "Checkout", Labels: map[string]string{"team": "payments"},
		Runbook: "https://example.com/checkout"}
	if diff := cmp.Diff(want, rules.Decide(&ev).FlowInfo); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestWithoutDefaultAndFallbackNobodyIsTold(t *testing.T) {
	rules := mustLoad(t, world+`rules: [{name: a, match: {flow: "2"}, notify: chat}]`)
	for _, ev := range []router.Event{activated(router.EndpointLatency, 1000), parked("page")} {
		if d := rules.Decide(&ev); len(d.Notify) > 0 {
			t.Errorf("%s is told to %v", ev.Name, d.Notify)
		}
	}
}

func TestADecisionCarriesTheWholeTarget(t *testing.T) {
	rules := mustLoad(t, world+"rules: [{name: a, match: {}, notify: page}]")
	ev := activated(router.EndpointLatency, 1000)
	want := []router.Route{{Target: router.Target{Notifier: "page", Kind: router.KindPagerDuty, Credential: testKey}}}
	if diff := cmp.Diff(want, rules.Decide(&ev).Notify); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestFailingExpressionsAreToldWithoutWhatPeopleWrote(t *testing.T) {
	var told []string
	cfg := testConfig()
	cfg.OnWhenError = func(rule string, err error) { told = append(told, rule+": "+err.Error()) }
	rules, err := Load("rules.yaml", []byte(world+`rules:
  - {name: a, match: {event: SOMETHING_NEW, when: int(value.n) > 1}, notify: chat}
  - {name: b, match: {event: FLOW_RESPONSE, when: int(value.response.name) > 1}, notify: chat}
`), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range []router.Event{
		{Source: router.SourceMeta, Name: "SOMETHING_NEW", Value: json.RawMessage(`{"n":"x"}`)},
		{Source: router.SourceMeta, Name: router.FlowResponse, Value: json.RawMessage(`{"response":{"name":"Ada"}}`)},
	} {
		if d := rules.Decide(&ev); len(d.Rules) > 0 {
			t.Errorf("%s matched %v", ev.Name, d.Rules)
		}
	}
	all := strings.Join(told, "\n")
	if len(told) != 2 || !strings.HasPrefix(told[0], "a: ") || !strings.HasPrefix(told[1], "b: ") ||
		strings.Contains(all, "Ada") {
		t.Errorf("told:\n%s", all)
	}
}

// TestAnExpressionOnAResponseThatIsNoObjectIsNoFault holds that it is no match either.
func TestAnExpressionOnAResponseThatIsNoObjectIsNoFault(t *testing.T) {
	cfg := testConfig()
	cfg.OnWhenError = func(rule string, err error) { t.Errorf("%s: %v", rule, err) }
	rules, err := Load("rules.yaml", []byte(world+`rules:
  - {name: a, match: {event: FLOW_RESPONSE, when: 'value.response.topic == "Refund"'}, notify: chat}
  - {name: b, match: {event: FLOW_RESPONSE, when: int(value.response.stars) < 3}, notify: chat}
`), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, response := range []string{`[{"topic":"Refund"}]`, `"Refund"`, `7`, `null`, `true`, `[]`} {
		ev := router.Event{Source: router.SourceMeta, Name: router.FlowResponse,
			Value: json.RawMessage(`{"response":` + response + `}`)}
		if d := rules.Decide(&ev); len(d.Rules) > 0 {
			t.Errorf("%s matched %v", response, d.Rules)
		}
	}
}

func TestFieldsAreShownPlainlyAndBounded(t *testing.T) {
	value := json.RawMessage(
		`{"id":12345678901234567890,"rate":0.10,"ok":false,"none":null,"empty":"","lines":" a\n b\t","tag":"<b>&",
		"long":"` + strings.Repeat("é", 300) +
			`","list":[1,"x"],"many":["a",{"name":"b"}],"deep":{"er":{"still":"here"}},"dot.ted":"yes","response":{"email":"a@example.com","id":"mine"}}`)
	got := showFields(value, []string{"id", "rate", "ok", "none", "empty", "lines", "tag", "long", "list", "deep.er.still",
		"deep.none", "dot.ted", "email", "response.id", "absent", "list.1", "list.2", "many.1.name", "many.x", "many.0"})
	want := []router.Field{
		{Name: "id", Value: "12345678901234567890"}, {Name: "rate", Value: "0.10"}, {Name: "ok", Value: "false"},
		{Name: "lines", Value: "a b"},
		{Name: "tag", Value: "<b>&"}, {Name: "long", Value: strings.Repeat("é", 199) + "…"}, {Name: "list", Value: `[1,"x"]`},
		{Name: "deep.er.still", Value: "here"}, {Name: "dot.ted", Value: "yes"}, {Name: "email", Value: "a@example.com"},
		{Name: "response.id", Value: "mine"},
		{Name: "list.1", Value: "x"}, {Name: "many.1.name", Value: "b"}, {Name: "many.0", Value: "a"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for _, odd := range []string{"", "null", "[1]", "{", `"x"`} {
		if got := showFields(json.RawMessage(odd), []string{"a"}); got != nil {
			t.Errorf("%q shows %v", odd, got)
		}
	}
}

// account is an event about something else than a flow, in account 9.
func account(name, change string, subject router.Subject) router.Event {
	return router.Event{Source: router.SourceMeta, Field: strings.ToLower(name), WABA: "9", Name: name, Change: change,
		Subject: subject}
}

// ban is an event about a ban of account 9.
func ban(state string) router.Event {
	about := router.Subject{Kind: router.SubjectAccount}
	return with(account(router.AccountUpdate, state, about), func(ev *router.Event) {
		ev.Signal, ev.AlertState = router.AccountBan, router.Activated
	})
}

const accountWorld = world + `
accounts:
  "9": {name: Main, team: payments, region: eu}
  "8": {name: Test, region: us}
`

func TestDecisionsAboutAccounts(t *testing.T) {
	number := router.Subject{Kind: router.SubjectPhone, ID: "15550783881", Name: "+1 555-078-3881"}
	template := router.Subject{Kind: router.SubjectTemplate, ID: "4711", Name: "order_confirmation (en_US)"}
	paused := account("MESSAGE_TEMPLATE_STATUS_UPDATE", "PAUSED", template)
	flagged := account("PHONE_NUMBER_QUALITY_UPDATE", "FLAGGED", number)
	approved := with(account("MESSAGE_TEMPLATE_STATUS_UPDATE", "APPROVED", template),
		func(ev *router.Event) { ev.AlertState = router.Deactivated })
	unknownFlow := with(activated(router.EndpointErrorRate, 5), func(ev *router.Event) { ev.Flow = "77" })
	for _, c := range []struct {
		name  string
		match string
		ev    router.Event
		want  bool
	}{
		{"subject", "{subject: phone}", flagged, true},
		{"another subject", "{subject: [template, account]}", flagged, false},
		{"an event of flows is about a flow", "{subject: flow}", activated(router.EndpointErrorRate, 5), true},
		{"an event that was kept before subjects were known", "{subject: phone}",
			account("PHONE_NUMBER_QUALITY_UPDATE", "", router.Subject{}), true},
		{"change", "{event: MESSAGE_TEMPLATE_STATUS_UPDATE, change: [PAUSED, DISABLED]}", paused, true},
		{"another change", "{event: MESSAGE_TEMPLATE_STATUS_UPDATE, change: REJECTED}", paused, false},
		{"phone by its digits", "{phone: 15550783881}", flagged, true},
		{"phone as people write it", `{phone: "+1 (555) 078 3881"}`, flagged, true},
		{"another phone", "{phone: 1555078388}", flagged, false},
		{"a template is no phone", "{phone: 4711471}", paused, false},
		{"template by its name", "{template: order_confirmation}", paused, true},
		{"template by name and language", "{template: order_confirmation (en_US)}", paused, true},
		{"template by id", "{template: 4711}", paused, true},
		{"another language", "{template: order_confirmation (de)}", paused, false},
		{"the beginning of a name is none", "{template: order}", paused, false},
		{"severity is that of the signal", `{severity: ">=error"}`, activated(router.EndpointErrorRate, 10), true},
		{"and its level", `{severity: ">=error"}`, activated(router.EndpointErrorRate, 5), false},
		{"waba by name", "{waba: Main}", paused, true},
		{"waba by the name of another", "{waba: Test}", paused, false},
		{"a label of the account", "{team: payments}", paused, true},
		{"another label of the account", "{region: us}", paused, false},
		{"a flow has its account's labels", "{region: eu}", activated(router.EndpointErrorRate, 5), true},
		{"even one that no file names", "{team: payments}", unknownFlow, true},
		{"unless it has one of its own", "{team: payments}", with(unknownFlow, func(ev *router.Event) { ev.Flow = "2" }),
			false},
		{"when sees all of it",
			`{when: 'subject == "template" and change == "PAUSED" and template == "order_confirmation" and account_name == "Main" and region == "eu" and phone == "" and severity != ""'}`,
			paused, true},

		{"not one", "{event: {not: ENDPOINT_LATENCY}}", activated(router.EndpointErrorRate, 5), true},
		{"not this one", "{event: {not: [ENDPOINT_LATENCY, ENDPOINT_ERROR_RATE]}}", activated(router.EndpointErrorRate, 5),
			false},
		{"not a change that it has not", "{change: {not: PAUSED}}", activated(router.EndpointErrorRate, 5), true},
		{"not a flow", "{flow: {not: Checkout}}", activated(router.EndpointErrorRate, 5), false},
		{"not a team", "{team: {not: growth}}", paused, true},
		{"not a threshold", `{threshold: {not: ">=10"}}`, activated(router.EndpointErrorRate, 5), true},
		{"not this threshold", `{threshold: {not: 5}}`, activated(router.EndpointErrorRate, 5), false},
		{"not a severity", "{severity: {not: [info, warning]}}", activated(router.EndpointErrorRate, 5), false},
		{"not a phone", "{phone: {not: 15550783881}}", flagged, false},
		{"not an account", "{waba: {not: Test}}", flagged, true},
		{"not activated is a recovery", "{alert_state: {not: ACTIVATED}}", deactivated(router.EndpointErrorRate, 5), true},
		{"not deactivated is everything else", "{alert_state: {not: DEACTIVATED}}", paused, true},
		{"not an event names none that must be named", "{event: {not: ENDPOINT_LATENCY}}",
			router.Event{Source: router.SourceMeta, Field: "messages", Name: router.FlowResponse}, false},

		{"good news that a rule names", "{change: APPROVED}", approved, true},
		{"good news that no rule names", "{event: MESSAGE_TEMPLATE_STATUS_UPDATE}", approved, false},
		{"good news is a recovery", "{alert_state: DEACTIVATED}", approved, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules := mustLoad(t, accountWorld+"rules: [{name: a, match: "+c.match+", notify: chat}]"+ending)
			if got := rules.Decide(&c.ev); (got.Rule() == "a") != c.want {
				t.Errorf("decided by %s", got.Rule())
			}
		})
	}
}

func TestADecisionSaysWhetherARuleAsksForTheChange(t *testing.T) {
	approved := account("MESSAGE_TEMPLATE_STATUS_UPDATE", "APPROVED", router.Subject{})
	for match, want := range map[string]bool{
		"{change: [APPROVED, REJECTED]}": true, "{event: MESSAGE_TEMPLATE_STATUS_UPDATE}": false,
		"{change: {not: REJECTED}}": false, "{change: REJECTED}": false,
	} {
		rules := mustLoad(t, accountWorld+"rules: [{name: a, match: "+match+
			", continue: true, notify: chat}, {name: b, match: {waba: 9}, notify: ops}]"+ending)
		if got := rules.Decide(&approved).AsksForChange; got != want {
			t.Errorf("%s: %v", match, got)
		}
	}
}

func TestEveryDecisionSaysWhoseAccountItIs(t *testing.T) {
	rules := mustLoad(t, accountWorld+"rules: []"+ending)
	flow, news := deactivated(router.EndpointErrorRate, 5),
		account("ACCOUNT_UPDATE", "DISABLE", router.Subject{Kind: router.SubjectAccount})
	for _, c := range []struct {
		ev   router.Event
		want router.FlowInfo
	}{
		{flow, router.FlowInfo{FlowName: "Checkout", AccountName: "Main", Labels: map[string]string{"team": "payments",
			"region": "eu"}, Runbook: "https://example.com/checkout"}},
		{news, router.FlowInfo{AccountName: "Main", Labels: map[string]string{"team": "payments", "region": "eu"}}},
	} {
		if diff := cmp.Diff(c.want, rules.Decide(&c.ev).FlowInfo); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
}

// TestAnExpressionOnWhatIsNoObjectIsNoMatchAndNoFault: people can send anything as an answer.
func TestAnExpressionOnWhatIsNoObjectIsNoMatchAndNoFault(t *testing.T) {
	cfg := testConfig()
	cfg.OnWhenError = func(rule string, err error) { t.Errorf("%s: %v", rule, err) }
	rules, err := Load("rules.yaml", []byte(world+`rules:
  - {name: a, match: {event: FLOW_RESPONSE, when: value.response.topic.name == "x"}, notify: chat}
  - {name: b, match: {event: SOMETHING_NEW, when: value.a.b > 1}, notify: chat}
  - {name: c, match: {event: FLOW_RESPONSE, when: waba == "9"}, notify: chat}
`), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{`{"response":"text"}`, `{"response":[1]}`, `{"response":null}`, `{}`, `[]`, `"x"`} {
		for name, want := range map[string]string{router.FlowResponse: "c", "SOMETHING_NEW": "default"} {
			if name != router.FlowResponse && value[0] == '{' {
				continue
			}
			ev := router.Event{Source: router.SourceMeta, Name: name, WABA: "9", Value: json.RawMessage(value)}
			if d := rules.Decide(&ev); d.Rule() != want {
				t.Errorf("%s of %s is decided by %s", value, name, d.Rule())
			}
		}
	}
}
