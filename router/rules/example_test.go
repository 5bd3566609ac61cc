package rules_test

import (
	"fmt"
	"time"

	"flowbridge/router"
	"flowbridge/router/rules"
)

func ExampleLoad() {
	_, err := rules.Load("rules.yaml", []byte(`
version: 1
notifiers:
  chat: {kind: slack, chanel: "#ops"}
rules:
  - name: errors
    match: {event: ENDPOINT_EROR_RATE}
    notify: [cat]
`), rules.Config{})
	fmt.Println(err)
	// Output:
	// rules.yaml:4:23: notifiers.chat.chanel: unknown key (did you mean "channel"?)
	// rules.yaml:7:20: rules[0].match.event: there is no event "ENDPOINT_EROR_RATE" (did you mean "ENDPOINT_ERROR_RATE"?)
	// rules.yaml:8:14: rules[0].notify[0]: there is no notifier "cat" (did you mean "chat"?)
}

func ExampleRules_Decide() {
	loaded, err := rules.Load("rules.yaml", []byte(`
version: 1
flows:
  "2": {name: Checkout, team: payments}
notifiers:
  chat: {kind: slack, channel: "#ops"}
  page: {kind: pagerduty, routing_key: "${KEY}"}
rules:
  - name: payments is failing
    match: {event: ENDPOINT_ERROR_RATE, team: payments}
    notify: [chat, {to: page, severity: ">=error", after: 5m}]
`), rules.Config{Env: func(string) (string, bool) { return "00000000000000000000000000000000", true }})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, threshold := range []float64{5, 10} {
		decision := loaded.Decide(&router.Event{Source: router.SourceMeta, Field: "flows", Name: router.EndpointErrorRate,
			Flow: "2", AlertState: router.Activated,
			Threshold: &threshold, At: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)})
		fmt.Println(decision.Rule()+":", decision.Severity)
		for _, route := range decision.Notify {
			fmt.Println(" ", route.Notifier, "after", route.After)
		}
	}
	// Output:
	// payments is failing: warning
	//   chat after 0s
	// payments is failing: error
	//   chat after 0s
	//   page after 5m0s
}
