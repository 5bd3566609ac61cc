package main

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/notifiers/slack"
	"flowbridge/router"
	"flowbridge/router/delivery"
	"flowbridge/router/rules"
	"flowbridge/router/store"
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
	ctx, now := t.Context(), time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	loaded, err := rules.Load("rules.yaml", fmt.Appendf(nil, newsRules, fields), rules.Config{})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := store.Open(ctx, store.Config{DSN: databases.File(t), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	chat := sandbox.NewSlack(sandbox.SlackConfig{Token: testSlackToken, Channels: []string{"#ops"}, Now: clock})
	server := httptest.NewServer(chat)
	defer server.Close()
	notifier, err := slack.New(slack.Config{Token: testSlackToken, APIURL: server.URL + "/api/", Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	folder, err := router.New(router.Config{Rules: func() router.Rules { return loaded }, Now: clock}, kept)
	if err != nil {
		t.Fatal(err)
	}
	deliverer, err := delivery.New(delivery.Config{
		Notifiers: map[router.Kind]delivery.Notifier{router.KindSlack: notifier}, Now: clock,
	}, kept)
	if err != nil {
		t.Fatal(err)
	}
	accept := func(body []byte) {
		t.Helper()
		events, _ := whatsapp.Decode(body, now, whatsapp.WantsAll)
		if _, err := kept.Append(ctx, events); err != nil {
			t.Fatal(err)
		}
	}
	deliver := func() (worked bool) {
		t.Helper()
		worked, err := deliverer.Deliver(ctx, "chat")
		if err != nil {
			t.Fatal(err)
		}
		return worked
	}
	fold := func() {
		t.Helper()
		for n := 1; n > 0; {
			if n, err = folder.Fold(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	// tell delivers until the channel has so many messages, and moves the clock to what waits next.
	tell := func(messages int) {
		t.Helper()
		for len(chat.Messages("#ops")) < messages {
			if deliver() {
				continue
			}
			_, next, err := kept.Due(ctx, now)
			if err != nil || !next.After(now) {
				t.Fatalf("after %d messages nothing waits: %v %v", len(chat.Messages("#ops")), next, err)
			}
			now = next
		}
	}

	var entries []string
	for i := range approvals {
		entries = append(entries, fmt.Sprintf(`{"id":"501","time":%d,"changes":[{"field":"message_template_status_update",`+
			`"value":{"event":"APPROVED","message_template_id":%d,"message_template_name":"hello_%d",`+
			`"message_template_language":"en","reason":"NONE"}}]}`, now.Unix(), 1000+i, i))
	}
	accept([]byte(postOf(entries...)))
	fold()
	tell(told)
	ban, err := whatsapp.Sample{Event: router.AccountUpdate, WABA: "501", Time: now}.Body()
	if err != nil {
		t.Fatal(err)
	}
	accept(ban)
	before := len(chat.Messages("#ops"))
	deliver() // what was in flight when it came
	fold()
	if fields == "" {
		tell(3) // all that there is to tell
	} else {
		tell(before + atMost + 1)
	}

	card := -1
	for i, m := range chat.Messages("#ops") {
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
	for _, call := range chat.Calls() {
		if call.Error != "" {
			t.Errorf("Slack refuses %s: %s", call.Method, call.Error)
		}
	}
	stats, err := kept.Stats(ctx)
	if waiting := stats.Deliveries[router.DeliveryWaiting]; err != nil || fields != "" && waiting < approvals/2 {
		t.Errorf("%d approvals wait behind the ban: there was no queue (%v)", waiting, err)
	}
}
