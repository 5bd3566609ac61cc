package main

import (
	"fmt"
	"strings"
	"testing"

	"flowbridge/router"
	databases "flowbridge/router/store/storetest"
	"flowbridge/router/whatsapp"
)

const newsRules = `version: 1
notifiers:
  chat: {kind: slack, channel: "#ops"}
rules:
  - name: approvals
    match: {event: MESSAGE_TEMPLATE_STATUS_UPDATE, change: APPROVED}
    notify: [chat]
    %s
default: {notify: [chat]}
`

// TestABanDoesNotWaitBehindAThousandApprovals bans an account while its channel is busy with approvals for a quarter of
// an hour, each of which has a message of its own where its rule names fields to show, and else with what is told of
// all in few. Router and Deliverer are driven by hand on a clock of the test's own, which Slack's limits go by too.
func TestABanDoesNotWaitBehindAThousandApprovals(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	t.Run("told one by one", func(t *testing.T) { banAmongApprovals(t, "fields: [reason]", 50) })
	t.Run("told in digests", func(t *testing.T) { banAmongApprovals(t, "", 1) })
}

func banAmongApprovals(t *testing.T, fields string, told int) {
	const approvals, atMost = 1000, 6
	b := newByHand(t, fmt.Sprintf(newsRules, fields), databases.File(t))
	// tell delivers until the channel has so many messages, and moves the clock to what waits next.
	tell := func(messages int) {
		t.Helper()
		for len(b.chat.Messages("#ops")) < messages {
			if !b.deliver("chat") {
				b.passUntilDue()
			}
		}
	}

	var entries []string
	for i := range approvals {
		entries = append(entries, fmt.Sprintf(`{"id":"501","time":%d,"changes":[{"field":"message_template_status_update",`+
			`"value":{"event":"APPROVED","message_template_id":%d,"message_template_name":"hello_%d",`+
			`"message_template_language":"en","reason":"NONE"}}]}`, b.now.Unix(), 1000+i, i))
	}
	b.accept([]byte(postOf(entries...)))
	b.fold()
	tell(told)
	ban, err := whatsapp.Sample{Event: router.AccountUpdate, WABA: "501", Time: b.now}.Body()
	if err != nil {
		t.Fatal(err)
	}
	b.accept(ban)
	before := len(b.chat.Messages("#ops"))
	b.deliver("chat") // what was in flight when it came
	b.fold()
	if fields == "" {
		tell(3) // all that there is to tell
	} else {
		tell(before + atMost + 1)
	}

	card := -1
	for i, m := range b.chat.Messages("#ops") {
		switch {
		case strings.Contains(m.Text, "account 501 is disabled"):
			card = i
		case fields == "" && strings.Contains(m.Text, "500 news that came at once"):
		case fields == "" || !strings.Contains(m.Text, "is approved"):
			t.Errorf("nobody expects %q", m.Text)
		}
	}
	switch {
	case card < before:
		t.Errorf("the ban was accepted after %d messages, and %d approvals later it has no card", before, atMost)
	case card > before+1: // one may have been in flight
		t.Errorf("%d approvals are told between the ban and its card", card-before)
	}
	for _, call := range b.chat.Calls() {
		if call.Error != "" {
			t.Errorf("Slack refuses %s: %s", call.Method, call.Error)
		}
	}
	stats, err := b.store.Stats(t.Context())
	if waiting := stats.Deliveries[router.DeliveryWaiting]; err != nil || fields != "" && waiting < approvals/2 {
		t.Errorf("%d approvals wait behind the ban: there was no queue (%v)", waiting, err)
	}
}
