package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"flowbridge/router"
	"flowbridge/router/whatsapp"
)

// Flows of rules.example.yaml.
const (
	checkout = "1987937931743377"
	signUp   = "2046115872904163"
)

// demoStep is one post of the story.
type demoStep struct {
	at     time.Duration // of its arrival, since midnight
	older  time.Duration // how much older the event itself is
	sample whatsapp.Sample
	field  string         // instead of sample: a change of this field
	value  map[string]any // with this value
	forged bool           // signed with a secret that is not the app's
	note   string         // what is special about it
}

// demoSteps is a day of trouble, in order of arrival.
func demoSteps() []demoStep {
	at := func(hour, minute int) time.Duration {
		return time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute
	}
	status := func(flow, from, to string) whatsapp.Sample {
		return whatsapp.Sample{Event: router.FlowStatusChange, Flow: flow, OldStatus: from, NewStatus: to}
	}
	up := func(flow, event string, threshold, value float64) whatsapp.Sample {
		return whatsapp.Sample{Event: event, Flow: flow, Threshold: &threshold, Value: &value, AlertState: router.Activated}
	}
	down := func(flow, event string, threshold, value float64) whatsapp.Sample {
		return whatsapp.Sample{Event: event, Flow: flow, Threshold: &threshold, Value: &value, AlertState: router.Deactivated}
	}
	const errorRate, latency, availability, clientErrors = router.EndpointErrorRate, router.EndpointLatency, router.EndpointAvailability, router.ClientErrorRate
	return []demoStep{
		{at: at(7, 50), sample: whatsapp.Sample{Event: whatsapp.SampleTest}, note: "Meta's Test button: no rule names it, so default speaks"},
		{at: at(8, 2), sample: status(checkout, router.Draft, router.Published)},

		// The ladder goes up, and two more signals of the same flow go wrong beside it.
		{at: at(9, 5), sample: up(checkout, errorRate, 5, 6.4)},
		{at: at(9, 5), sample: up(checkout, errorRate, 5, 6.4), note: "the same post again, as Meta sends it after a late answer"},
		{at: at(9, 20), sample: up(checkout, errorRate, 10, 14.28)},
		{at: at(9, 40), sample: up(checkout, errorRate, 50, 61.5)},
		{at: at(9, 45), sample: up(checkout, availability, 90, 71)},
		{at: at(9, 50), sample: up(checkout, errorRate, 50, 66.6), note: "active already: new numbers"},
		{at: at(10, 10), sample: status(checkout, router.Published, router.Throttled)},
		{at: at(10, 40), sample: status(checkout, router.Throttled, router.Blocked)},

		// It comes down again, one step after the other.
		{at: at(11, 15), sample: down(checkout, availability, 90, 99.6)},
		{at: at(11, 20), sample: down(checkout, errorRate, 50, 23)},
		{at: at(11, 35), sample: down(checkout, errorRate, 10, 7.1)},
		{at: at(11, 40), sample: status(checkout, router.Blocked, router.Throttled)},
		{at: at(11, 55), sample: down(checkout, errorRate, 5, 1.2)},
		{at: at(12, 5), older: 40 * time.Minute, sample: up(checkout, errorRate, 10, 12.5), note: "late: it is older than the recovery"},
		{at: at(12, 20), sample: status(checkout, router.Throttled, router.Published)},

		// The rest of the day.
		{at: at(13, 0), sample: whatsapp.Sample{Event: router.FlowVersionExpiryWarning, Flow: signUp}},
		{at: at(14, 30), sample: whatsapp.Sample{Event: router.FlowResponse}, note: "a filled form, with personal data"},
		{at: at(14, 31), sample: whatsapp.Sample{Event: whatsapp.SampleMessage}, note: "a customer's message, which is nobody's business here"},
		{at: at(15, 15), field: "message_template_status_update", value: map[string]any{
			"event": "REJECTED", "message_template_id": 594425479261596, "message_template_name": "order_is_ready",
			"message_template_language": "en_GB", "reason": "TAG_CONTENT_MISMATCH"}},
		{at: at(16, 0), sample: whatsapp.Sample{Event: whatsapp.SampleQuality}},
		{at: at(17, 30), field: "flows", value: map[string]any{"event": latency, "flow_id": signUp, "alert_state": router.Activated,
			"threshold": 1000, "p90_latency": 1240, "p50_latency": 300, "requests_count": 7}, note: "seven requests: a rule drops it"},
		{at: at(18, 0), sample: whatsapp.Sample{Event: router.FlowStatusChange}, forged: true, note: "forged: BLOCKED, signed with another secret"},
		{at: at(20, 30), sample: up(checkout, latency, 5000, 6200)},
		{at: at(21, 10), sample: down(checkout, latency, 5000, 2900)},

		// What is still open when the day ends.
		{at: at(22, 50), sample: up(signUp, clientErrors, 5, 8.25)},
		{at: at(23, 20), sample: up(checkout, availability, 90, 82.5)},
		{at: at(23, 25), sample: up(checkout, errorRate, 5, 7.9)},
		{at: at(23, 40), sample: up(checkout, errorRate, 10, 17.5)},
	}
}

// demoExamples are flags of `send` that go on with the story.
var demoExamples = []struct{ says, flags string }{
	{"Checkout answers again: this resolves its availability incident, in Slack and in PagerDuty.",
		"--event ENDPOINT_AVAILABILITY --threshold 90 --value 99.5 --alert-state DEACTIVATED"},
	{"Its errors get worse: the same incident goes up to critical.",
		"--event ENDPOINT_ERROR_RATE --threshold 50 --value 58"},
	{"Sign-up is blocked: everybody is told.",
		"--event FLOW_STATUS_CHANGE --flow " + signUp + " --old-status THROTTLED --new-status BLOCKED"},
}

// demoWant is what the story must come to, and nothing beside it.
func demoWant() []fact {
	return []fact{
		{"posts", "29 answered 200 OK, 1 answered 401 Unauthorized"},
		{"#flow-ops", "7 messages, 3 lines in their threads, 5 edits"},
		{"#payments-alerts", "6 messages, 8 lines in their threads, 14 edits"},
		{"PagerDuty #1", "ENDPOINT_ERROR_RATE: resolved, error at last, linked to its card"},
		{"PagerDuty #2", "ENDPOINT_AVAILABILITY: resolved, critical at last, linked to its card"},
		{"PagerDuty #3", "FLOW_STATUS_CHANGE: resolved, critical at last, linked to its card"},
		{"PagerDuty #4", "ENDPOINT_LATENCY: resolved, critical at last, linked to its card"},
		{"PagerDuty #5", "ENDPOINT_AVAILABILITY: triggered, critical at last, linked to its card"},
		{"PagerDuty #6", "ENDPOINT_ERROR_RATE: triggered, error at last, linked to its card"},
		{"change events", "1"},
		{"calls refused", "0"},
		{"deliveries parked", "0"},
		{"posts unreadable", "0"},
		{"warnings logged", "1"}, // about the forged post
		{"personal data", "0 of 6 words can be seen"},
	}
}

// personal are words of the story that nobody may read anywhere: who filled the form, what the rule does not
// name of it, and what a customer wrote.
var personal = []string{"customer@example.com", "15550100200", "A customer", "sample-token", "wamid.", "Is my order on its way?"}

// body returns the post of a step on the day that begins at midnight.
func (s *demoStep) body(midnight time.Time) ([]byte, error) {
	at := midnight.Add(s.at - s.older)
	if s.field == "" {
		s.sample.Time = at
		return s.sample.Body()
	}
	return json.Marshal(map[string]any{"object": "whatsapp_business_account", "entry": []any{map[string]any{
		"id": "104996122399160", "time": at.Unix(), "changes": []any{map[string]any{"field": s.field, "value": s.value}},
	}}})
}

// story plays a day, tells it, and says whether it came to what it should.
func (d *demo) story(ctx context.Context, midnight time.Time) (ok bool, err error) {
	d.out.title("What Meta sends on %s, and what comes of it", midnight.Format("2 January"))
	before := d.look()
	for _, step := range demoSteps() {
		d.clock.set(midnight.Add(step.at))
		if err := d.send(ctx, &step, midnight); err != nil {
			return false, err
		}
		after := d.look()
		d.out.came(difference(before, after))
		before = after
	}
	d.out.title("What the Slack channels look like at the end of the day")
	for _, ch := range before.channels {
		d.out.block(d.slack.Render(ch.Name, d.out.render()))
	}
	d.out.title("What PagerDuty has seen")
	d.out.pager(before)
	d.out.title("Is that all as it should be?")
	facts, err := d.facts(ctx, before)
	if err != nil {
		return false, err
	}
	return d.out.verdict(facts, demoWant()), nil
}

// send posts one step and tells what the bridge made of it.
func (d *demo) send(ctx context.Context, s *demoStep, midnight time.Time) error {
	body, err := s.body(midnight)
	if err != nil {
		return err
	}
	secret := router.Secret(demoSecret)
	if s.forged {
		secret = "a guess"
	}
	last, err := d.bridge.store.Events(ctx, "", 1)
	if err != nil {
		return err
	}
	status, _, _, err := postSigned(ctx, d.public+"/webhooks/whatsapp", secret, body)
	if err != nil {
		return err
	}
	d.answers[status]++
	d.out.sent(midnight.Add(s.at), d.describe(body, s), s.note)
	if err := d.settle(ctx); err != nil {
		return err
	}
	events, err := d.bridge.store.Events(ctx, "", 10)
	if err != nil {
		return err
	}
	var outcomes []string
	for _, e := range events {
		if len(last) == 0 || e.Seq > last[0].Seq {
			outcomes = append(outcomes, e.Outcome)
		}
	}
	switch {
	case status != "200 OK":
		outcomes = []string{"answered " + status}
	case len(outcomes) == 0:
		outcomes = []string{"nothing stored, nobody told"}
	}
	d.out.outcome(strings.Join(outcomes, "; "))
	return nil
}

// describe says what a post holds, in Meta's words.
func (d *demo) describe(body []byte, s *demoStep) string {
	events, _ := whatsapp.Decode(body, time.Now(), true)
	if len(events) == 0 {
		return s.sample.Event
	}
	e := &events[0]
	decision := d.bridge.rules.rules().Decide(e)
	words := e.Name
	switch {
	case e.Paired():
		words += " " + e.AlertState
	case e.NewStatus != "":
		words += fmt.Sprintf(" %s → %s", e.OldStatus, e.NewStatus)
	}
	if e.Threshold != nil {
		words += " at " + router.FormatValue(e.Name, *e.Threshold)
	}
	if e.Reading.Value != nil {
		words += ", measured " + router.FormatValue(e.Name, *e.Reading.Value)
	}
	if e.Flow == "" {
		return words
	}
	return decision.DisplayName(e.Flow) + "  " + words
}
