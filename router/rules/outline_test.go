package rules

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

func TestOutlineListsRulesWithWhomTheyTell(t *testing.T) {
	r, err := Load("rules.yaml", []byte(`version: 1
notifiers:
  chat: {kind: slack, channel: "#ops"}
  oncall: {kind: pagerduty, routing_key: "0123456789abcdef0123456789abcdef"}
rules:
  - name: latency
    match:
      event: ENDPOINT_LATENCY
      threshold: ">=5s"
    continue: true
    notify: [chat, {to: oncall, severity: ">=error", after: 5m, unless: acknowledged}]
  - {name: all, match: {event: [ENDPOINT_LATENCY, ENDPOINT_ERROR_RATE]}, notify: [chat]}
  - {name: late, match: {event: ENDPOINT_ERROR_RATE, threshold: 10}, drop: true}
default: {notify: [chat]}
fallback: chat
`), Config{})
	if err != nil {
		t.Fatal(err)
	}
	at := func(line, column int) Place { return Place{File: "rules.yaml", Line: line, Column: column} }
	chat := OutlineRoute{Notifier: "chat", Kind: router.KindSlack}
	want := []Outline{
		{Name: "latency", Place: at(6, 5), Match: []Place{at(8, 7), at(9, 7)}, Continue: true,
			Routes: []OutlineRoute{chat, {Notifier: "oncall", Kind: router.KindPagerDuty, Severities: "error, critical",
				After: 5 * time.Minute, UnlessAck: true}}},
		{Name: "all", Place: at(12, 5), Match: []Place{at(12, 25)}, Routes: []OutlineRoute{chat}},
		{Name: "late", Place: at(13, 5), Match: []Place{at(13, 26), at(13, 54)}, Drop: true, ShadowedBy: []string{"all"}},
		{Name: "default", Place: at(14, 1), Routes: []OutlineRoute{chat}},
	}
	if diff := cmp.Diff(want, r.Outline()); diff != "" {
		t.Error(diff)
	}
}
