package main

import (
	"net/http"
	"strings"
	"testing"

	"flowbridge/notifiers/sandbox"
	databases "flowbridge/router/store/storetest"
)

// TestARuleThatFailsOnAnEventIsCounted runs rules that are good when they are read, and fail on what Meta then sends.
func TestARuleThatFailsOnAnEventIsCounted(t *testing.T) {
	t.Parallel()
	s := newServices(t, "#ops")
	path := writeRules(t, `version: 1
notifiers:
  chat: {kind: slack, channel: "#ops"}
rules:
  - name: of one reason
    match: {event: ENDPOINT_ERROR_RATE, when: 'errors[0].error_type == "timeout_error"'}
    drop: true
  - name: first error
    match: {event: ENDPOINT_ERROR_RATE}
    title: "{{(index .Errors 0).Type}}"
    notify: [chat]
`)
	p := start(t, s, path, databases.File(t))
	p.post(t, pairPost(lately, "77", "ACTIVATED", 50), http.StatusOK) // without any errors
	eventually(t, "the card has the built-in words", func() bool {
		cards := s.Slack.Messages("#ops")
		return len(cards) == 1 && strings.Contains(cards[0].Text, "Endpoint error rate over 50 %")
	})
	metrics := getText(t, p.Admin+"/metrics")
	for _, want := range []string{
		`flowbridge_rule_faults_total{part="template",rule="first error"} 1`,
		`flowbridge_rule_faults_total{part="when",rule="of one reason"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
	if log := p.stderr.String(); !strings.Contains(log, "a rule failed on an event") ||
		!strings.Contains(log, "of one reason") {
		t.Errorf("the log does not say which rule failed:\n%s", log)
	}
}

// TestACardThatSlackRefusesIsInTheLog: it is told in plain words, and somebody should know why.
func TestACardThatSlackRefusesIsInTheLog(t *testing.T) {
	t.Parallel()
	s := newServices(t, "#ops")
	s.Slack.Fail(sandbox.Fault{Method: "chat.postMessage", OKFalse: "invalid_blocks", Times: 1})
	p := start(t, s, writeRules(t, ruleNamed("all")), databases.File(t))
	p.post(t, pairPost(lately, "77", "ACTIVATED", 50), http.StatusOK)
	eventually(t, "the message is there in plain words", func() bool { return len(s.Slack.Messages("#ops")) == 1 })
	eventually(t, "the log says so", func() bool { return strings.Contains(p.stderr.String(), "Slack refused a card") })
}
