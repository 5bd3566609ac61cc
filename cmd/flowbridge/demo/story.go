package demo

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/whatsapp"
)

// Flows and the account of rules.example.yaml.
const (
	checkout = "1987937931743377"
	signUp   = "2046115872904163"
	shop     = "102290129340398"
)

// step is one thing that happens in the story: a post of Meta's, what a person does, or a look of the bridge's own.
type step struct {
	at     time.Duration // of its arrival, since midnight
	older  time.Duration // how much older the event itself is
	sample whatsapp.Sample
	field  string         // instead of sample: a change of this field
	value  map[string]any // with this value
	drill  string         // instead of sample: the half of a drill's pair with this state
	looks  bool           // instead of a post: the bridge looks at itself and its source
	forged bool           // signed with a secret that is not the app's
	act    *act           // instead of a post: what a person does
	late   *act           // what a person does after the post, before Slack shows what came of it
	note   string         // what is special about it
}

// daySteps is a day of trouble, scene by scene, in order of arrival.
func daySteps() []step {
	steps := slices.Concat(
		silenceOfMeta(),
		quietMorning(),
		drilled(),
		errorsOfCheckout(),
		recoveryOfCheckout(),
		newsOfTheAccount(),
		latencyOfCheckout(),
		lateEvening(),
	)
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	return steps
}

// silenceOfMeta is a day without a post, from the morning before on: whatever broke meanwhile, nobody was told.
func silenceOfMeta() []step {
	return []step{
		{at: at(7, 10) - 24*time.Hour, sample: whatsapp.Sample{Event: whatsapp.SampleMessage},
			note: "the day before: a customer's message, and then nothing more"},
		{at: at(7, 15), looks: true, note: "as it does twice a minute: not one post for a day"},
		{at: at(7, 50) + 30*time.Second, looks: true, note: "posts come again"},
	}
}

// drilled is a drill: the pair that `flowbridge drill` sends, by the rule that pages.
func drilled() []step {
	return []step{
		{at: at(8, 10), drill: router.Activated, note: "flowbridge drill: signed like Meta's posts, and marked DRILL"},
		{at: at(8, 11), drill: router.Deactivated, note: "everybody was told: the drill ends it"},
	}
}

func quietMorning() []step {
	return []step{
		{at: at(7, 50), sample: whatsapp.Sample{Event: whatsapp.SampleTest},
			note: "Meta's Test button: no rule names it, so default speaks"},
		{at: at(8, 2), sample: status(checkout, router.Draft, router.Published)},
	}
}

// errorsOfCheckout go up the ladder, and two more signals of the same flow go wrong beside them.
func errorsOfCheckout() []step {
	return []step{
		{at: at(9, 5), sample: up(checkout, errorRate, 5, 6.4)},
		{at: at(9, 5), sample: up(checkout, errorRate, 5, 6.4),
			note: "the same post again, as Meta sends it after a late answer"},
		{at: at(9, 20), sample: up(checkout, errorRate, 10, 14.28)},
		{at: at(9, 25), act: acknowledges(2), note: "which PagerDuty says in a webhook"},
		{at: at(9, 40), sample: up(checkout, errorRate, 50, 61.5),
			note: "worse than what was acknowledged: a rule pages anew"},
		{at: at(9, 45), sample: up(checkout, availability, 90, 71)},
		{at: at(9, 50), sample: up(checkout, errorRate, 50, 66.6), note: "active already: new numbers"},
		{at: at(10, 10), sample: status(checkout, router.Published, router.Throttled)},
		{at: at(10, 40), sample: status(checkout, router.Throttled, router.Blocked)},
	}
}

// recoveryOfCheckout comes down again, one step after the other.
func recoveryOfCheckout() []step {
	return []step{
		{at: at(11, 15), sample: down(checkout, availability, 90, 99.6), late: presses(payments, "resolve", "Resolve", 4),
			note: "before Slack shows it, a payments engineer presses Resolve"},
		{at: at(11, 20), sample: down(checkout, errorRate, 50, 23)},
		{at: at(11, 35), sample: down(checkout, errorRate, 10, 7.1)},
		{at: at(11, 40), sample: status(checkout, router.Blocked, router.Throttled)},
		{at: at(11, 55), sample: down(checkout, errorRate, 5, 1.2)},
		{at: at(12, 5), older: 40 * time.Minute, sample: up(checkout, errorRate, 10, 12.5),
			note: "late: it is older than the recovery"},
		{at: at(12, 20), sample: status(checkout, router.Throttled, router.Published)},
	}
}

// newsOfTheAccount are notices, what people write, and what becomes of the account and of a template.
func newsOfTheAccount() []step {
	const templates = "MESSAGE_TEMPLATE_STATUS_UPDATE"
	return []step{
		{at: at(13, 10), sample: account(router.AccountUpdate, "SCHEDULE_FOR_DISABLE"),
			note: "a ban is announced: there is a week to request a review"},
		{at: at(14, 30), sample: whatsapp.Sample{Event: router.FlowResponse}, note: "a filled form, with personal data"},
		{at: at(14, 31), sample: whatsapp.Sample{Event: whatsapp.SampleMessage},
			note: "a customer's message, which is nobody's business here"},
		{at: at(15, 15), field: "message_template_status_update", value: map[string]any{
			"event": "REJECTED", "message_template_id": 594425479261597, "message_template_name": "spring_sale",
			"message_template_language": "en_GB", "reason": "TAG_CONTENT_MISMATCH"}},
		{at: at(15, 45), sample: account(router.AccountUpdate, "DISABLE"),
			note: "sooner than announced: it is the same incident, and worse"},
		{at: at(16, 0), field: "phone_number_quality_update", value: map[string]any{
			"display_phone_number": "15550100100", "event": "THROUGHPUT_UPGRADE",
			"max_daily_conversations_per_business": "TIER_UNLIMITED"}},
		{at: at(16, 10), sample: account(templates, "PAUSED"), note: "it returns by itself when the pause is over"},
		{at: at(19, 20), sample: account(router.AccountUpdate, "REINSTATE"), note: "the review was won"},
		{at: at(22, 10), sample: account(templates, "UNPAUSE"), note: "which Meta calls an approval: the pause is over"},
	}
}

// latencyOfCheckout is trouble that comes and goes, after two posts that must not make any.
func latencyOfCheckout() []step {
	return []step{
		{at: at(17, 30), field: "flows", value: map[string]any{
			"event": latency, "flow_id": signUp, "alert_state": router.Activated,
			"threshold": 1000, "p90_latency": 1240, "p50_latency": 300, "requests_count": 7},
			note: "seven requests: a rule drops it"},
		{at: at(18, 0), sample: whatsapp.Sample{Event: router.FlowStatusChange}, forged: true,
			note: "forged: BLOCKED, signed with another secret"},
		{at: at(20, 30), sample: up(checkout, latency, 5000, 6200)},
		{at: at(21, 10), sample: down(checkout, latency, 5000, 2900)},
	}
}

// lateEvening is what is still open when the day ends.
func lateEvening() []step {
	return []step{
		{at: at(22, 50), sample: up(signUp, router.ClientErrorRate, 5, 8.25)},
		{at: at(22, 55), act: silences(growth, "#flow-ops", 9), note: "they know why, and want to hear no more of it"},
		{at: at(23, 20), sample: up(checkout, availability, 90, 82.5)},
		{at: at(23, 25), sample: up(checkout, errorRate, 5, 7.9)},
		{at: at(23, 40), sample: up(checkout, errorRate, 10, 17.5)},
		{at: at(23, 45), act: presses(onCall, "acknowledge", "Acknowledge", 11)},
		{at: at(23, 50), act: writes(onCall, "#payments-alerts", "")},
		{at: at(23, 55), sample: expires(signUp, 14),
			note: "an incident that counts the days down"},
	}
}

// Signals of which several scenes tell.
const (
	errorRate    = router.EndpointErrorRate
	latency      = router.EndpointLatency
	availability = router.EndpointAvailability
)

func at(hour, minute int) time.Duration {
	return time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute
}

func status(flow, from, to string) whatsapp.Sample {
	return whatsapp.Sample{Event: router.FlowStatusChange, Flow: flow, OldStatus: from, NewStatus: to}
}

func up(flow, event string, threshold, value float64) whatsapp.Sample {
	return whatsapp.Sample{Event: event, Flow: flow, Threshold: &threshold, Value: &value, AlertState: router.Activated}
}

func down(flow, event string, threshold, value float64) whatsapp.Sample {
	return whatsapp.Sample{Event: event, Flow: flow, Threshold: &threshold, Value: &value, AlertState: router.Deactivated}
}

func expires(flow string, days float64) whatsapp.Sample {
	return whatsapp.Sample{Event: router.FlowVersionExpiryWarning, Flow: flow, Value: &days}
}

func account(event, change string) whatsapp.Sample {
	return whatsapp.Sample{Event: event, Change: change, WABA: shop}
}

// examples are commands that go on with the story, for a shell in which BRIDGE is where Meta posts.
var examples = []struct {
	says     string
	commands []string
}{
	{"You take the availability incident: its card turns yellow, and PagerDuty knows.",
		[]string{"incidents acknowledge 10"}},
	{"Checkout answers again: this resolves it, in Slack and in PagerDuty.",
		[]string{"send --url $BRIDGE --event ENDPOINT_AVAILABILITY \\\n" +
			"      --threshold 90 --value 99.5 --alert-state DEACTIVATED"}},
	{"Its errors get worse, though somebody has them: who is on call is paged anew.",
		[]string{"send --url $BRIDGE --event ENDPOINT_ERROR_RATE \\\n" +
			"      --threshold 50 --value 58"}},
	{"Sign-up is blocked: everybody is told.",
		[]string{"send --url $BRIDGE --event FLOW_STATUS_CHANGE \\\n" +
			"      --flow " + signUp + " --old-status THROTTLED --new-status BLOCKED"}},
	{"Meta announces a ban of the account, and takes it back.",
		[]string{"send --url $BRIDGE --event ACCOUNT_UPDATE \\\n" +
			"      --change SCHEDULE_FOR_DISABLE",
			"send --url $BRIDGE --event ACCOUNT_UPDATE --change REINSTATE"}},
	{"What is open, what is silenced, and who was told.",
		[]string{"incidents", "silences", "deliveries --state all"}},
}

// wantedFacts is what the story must come to, and nothing beside it.
func wantedFacts() []fact {
	return []fact{
		{"posts", "37 answered 200 OK, 1 answered 401 Unauthorized"},
		{"#flow-ops", "10 messages, 10 lines in their threads, 13 edits"},
		{"#payments-alerts", "7 messages, 18 lines in their threads, 24 edits"},
		{"PagerDuty #1", "DRILL ENDPOINT_AVAILABILITY: resolved, critical"},
		{"PagerDuty #2", "ENDPOINT_ERROR_RATE: resolved, error"},
		{"PagerDuty #3", "ENDPOINT_ERROR_RATE/critical: resolved, critical"},
		{"PagerDuty #4", "ENDPOINT_AVAILABILITY: resolved, critical"},
		{"PagerDuty #5", "FLOW_STATUS_CHANGE: resolved, critical"},
		{"PagerDuty #6", "ACCOUNT_BAN: resolved, critical"},
		{"PagerDuty #7", "ENDPOINT_LATENCY: resolved, critical"},
		{"PagerDuty #8", "ENDPOINT_AVAILABILITY: triggered, critical"},
		{"PagerDuty #9", "ENDPOINT_ERROR_RATE: acknowledged, error"},
		{"acts in Slack", "1 acknowledge, 1 silence"},
		{"acts in PagerDuty", "1 acknowledge"},
		{"drills", "INC-2 resolved, told payments-chat, payments-oncall"},
		{"of itself", "BRIDGE_SOURCE_SILENT INC-1 resolved, told ops-chat"},
		{"PagerDuty says", "2 acknowledged, 7 resolved, 9 triggered"},
		{"PagerDuty is told", "1 acknowledge, 7 resolve"},
		{"told alone", "INC-4: already resolved by Meta at 11:15 UTC"},
		{"linked to cards", "9 of 9 PagerDuty incidents"},
		{"change events", "1"},
		{"calls refused", "0"},
		{"deliveries parked", "0"},
		{"posts unreadable", "0"},
		{"warnings logged", "3"}, // about the forged post, the silence of Meta, and its end
		{"personal data", "0 of 6 words can be seen"},
	}
}

// personal are words of the story that nobody may read anywhere: who filled the form, what the rule does not
// name of it, and what a customer wrote.
var personal = []string{"customer@example.com", "15550100200", "A customer", "sample-token", "wamid.",
	"Is my order on its way?"}

// body returns the post of a step on the day that begins at midnight.
func (s *step) body(midnight time.Time) ([]byte, error) {
	at := midnight.Add(s.at - s.older)
	if s.drill != "" {
		return drillPost(at, s.drill)
	}
	if s.field == "" {
		s.sample.Time = at
		return s.sample.Body()
	}
	return json.Marshal(map[string]any{"object": "whatsapp_business_account", "entry": []any{map[string]any{
		"id": "104996122399160", "time": at.Unix(), "changes": []any{map[string]any{"field": s.field, "value": s.value}},
	}}})
}

// drillPost is half of a drill's pair: of a flow that is none, by the rule that pages.
func drillPost(at time.Time, state string) ([]byte, error) {
	return whatsapp.Drill(router.DrillPrefix+"1", at, state,
		map[string]any{rules.DrillRule: "payments endpoint is failing"})
}

// story plays a day, tells it, and says whether it came to what it should.
func (d *demo) story(ctx context.Context, midnight time.Time) (ok bool, err error) {
	d.out.title("What Meta sends and people do on %s, and what comes of it", midnight.Format("2 January"))
	before := d.look()
	for _, step := range daySteps() {
		d.clock.set(midnight.Add(step.at))
		alone, err := d.step(ctx, &step, midnight)
		if err != nil {
			return false, err
		}
		after := d.look()
		d.out.came(difference(before, after))
		d.out.alone(alone)
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
	return d.out.verdict(facts, wantedFacts()), nil
}

// step has one thing happen, waits for what comes of it, and tells what the bridge made of it. alone is what was
// said to a single person.
func (d *demo) step(ctx context.Context, s *step, midnight time.Time) (alone []string, err error) {
	last, err := d.bridge.Store.Events(ctx, "", 1)
	if err != nil {
		return nil, err
	}
	told := len(d.slack.Told())
	status, answer := "200 OK", ""
	switch {
	case s.act != nil:
		d.out.acted(midnight.Add(s.at), s.act.what, s.note)
		answer, err = s.act.do(ctx, d)
	case s.looks:
		d.out.acted(midnight.Add(s.at), "flowbridge looks at itself and its source", s.note)
		d.bridge.Look(ctx)
	default:
		status, err = d.post(ctx, s, midnight)
	}
	if err != nil {
		return nil, err
	}
	if err := d.settle(ctx); err != nil {
		return nil, err
	}
	outcome, err := d.outcome(ctx, last)
	switch {
	case err != nil:
		return nil, err
	case answer != "": // it says the same, in the words of who asked
		alone = append(alone, answer)
	case status != "200 OK":
		d.out.outcome("answered " + status)
	default:
		d.out.outcome(outcome)
	}
	for _, one := range d.slack.Told()[told:] {
		alone = append(alone, one.Text)
	}
	return alone, nil
}

// outcome says what the fold made of the events since the last. What PagerDuty calls an incident is left to the cards.
func (d *demo) outcome(ctx context.Context, last []router.JournalEvent) (string, error) {
	events, err := d.bridge.Store.Events(ctx, "", 10)
	var outcomes []string
	for _, e := range events {
		if (len(last) == 0 || e.Seq > last[0].Seq) && e.Name != router.LinkIncident {
			outcomes = append(outcomes, e.Outcome)
		}
	}
	if len(outcomes) == 0 {
		return "nothing stored, nobody told", err
	}
	return strings.Join(outcomes, "; "), err
}

// post posts what Meta says in a step, and returns how the bridge answers.
func (d *demo) post(ctx context.Context, s *step, midnight time.Time) (status string, err error) {
	body, err := s.body(midnight)
	if err != nil {
		return "", err
	}
	secret := router.Secret(appSecret)
	if s.forged {
		secret = "a guess"
	}
	if s.late != nil {
		d.slack.Fail(sandbox.Fault{Method: "chat.update", Hang: true}) // cards do not change for a while
		defer d.slack.ClearFaults()
	}
	status, err = d.cfg.Post(ctx, d.public+"/webhooks/whatsapp", secret, body)
	if err != nil {
		return "", err
	}
	d.answers["answered "+status]++
	d.out.sent(midnight.Add(s.at), d.describe(body, s), s.note)
	if s.late == nil {
		return status, nil
	}
	if err := d.until(ctx, "the post to be folded", d.folded); err != nil {
		return "", err
	}
	before := len(d.slack.Told())
	if _, err := s.late.do(ctx, d); err != nil {
		return "", err
	}
	return status, d.until(ctx, "a word to who was late", func(context.Context) (bool, error) {
		return len(d.slack.Told()) > before, nil
	})
}

// describe says what a post holds, in Meta's words.
func (d *demo) describe(body []byte, s *step) string {
	events, _ := whatsapp.Decode(body, time.Now(), whatsapp.WantsAll)
	if len(events) == 0 {
		return s.sample.Event
	}
	e := &events[0]
	decision := d.rules.Decide(e)
	words := e.Name
	switch {
	case e.Change != "":
		words += " " + e.Change
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
	switch {
	case !e.Subject.OfFlow() && e.Change != "":
		return e.Subject.Label(decision.FlowInfo, e.WABA) + "  " + words
	case e.Flow == "":
		return words
	}
	return decision.DisplayName(e.Flow) + "  " + words
}
