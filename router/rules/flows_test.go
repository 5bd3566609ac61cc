package rules

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

func TestFlowsAreFoundByIDAndByName(t *testing.T) {
	r, err := Load("rules.yaml", []byte(`version: 1
flows:
  "1": {name: Checkout}
  "2": {name: Survey}
  "3": {name: survey}
  "4": {name: "1"}
notifiers:
  ops: {kind: slack, channel: "#ops"}
rules:
  - {name: all, match: {field: flows}, notify: [ops]}
`), Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{"checkout": {"1"}, "Survey": {"2", "3"}, "1": {"1"}, "Chekout": nil,
		"": nil} {
		if diff := cmp.Diff(want, r.FlowIDs(name)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", name, diff)
		}
	}
}

func TestASilenceOfWhatTheRulesDoNotKnowIsAnsweredWithTheNearest(t *testing.T) {
	r, err := Load("rules.yaml", []byte(`version: 1
flows:
  "1": {name: Checkout, team: payments, tier: gold}
  "2": {name: Survey, team: growth}
accounts:
  "102290129340398": {name: Shop}
notifiers:
  ops: {kind: slack, channel: "#ops"}
default: {notify: [ops]}
`), Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		scope router.Scope
		want  []string
	}{
		{"everything", router.Scope{}, nil},
		{"what is known", router.Scope{Event: router.EndpointLatency, Labels: map[string]string{"team": "growth"}}, nil},
		{"an event that may be new", router.Scope{Event: "FLOW_QUALITY"}, nil},
		{"a misspelt event", router.Scope{Event: "ENDPOINT_LATENC"},
			[]string{`there is no event "ENDPOINT_LATENC": did you mean "ENDPOINT_LATENCY"?`}},
		{"an account by its id", router.Scope{WABA: "7"}, nil},
		{"a misspelt account", router.Scope{WABA: "Shpo"},
			[]string{`no account is called "Shpo": did you mean "Shop"?`}},
		{"no account", router.Scope{WABA: "nonsense"},
			[]string{`no account is called "nonsense": give its id, or a name of accounts`}},
		{"a misspelt team", router.Scope{Labels: map[string]string{"team": "paymnts"}},
			[]string{`no flow has team "paymnts": did you mean "payments"?`}},
		{"an unknown label and value", router.Scope{Labels: map[string]string{"tiers": "gold", "team": "x"}},
			[]string{`no flow has team "x": flows have growth, payments`,
				`no flow has the label "tiers": did you mean "tier"?`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, r.Misnamed(&c.scope)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}
