package whatsapp

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"flowbridge/router"
)

// Names of samples that are no names of events.
const (
	SampleTest    = "TEST"    // what the Test button of Meta's dashboard sends
	SampleMessage = "MESSAGE" // a customer's ordinary message, which is let go
)

// Sample is a post as Meta would send it. Empty fields take what is usual for the event.
type Sample struct {
	Event string // one of SampleNames
	WABA  string
	Flow  string
	Time  time.Time

	Threshold  *float64 // percent, or milliseconds for latency
	AlertState string
	Value      *float64 // what was measured, in the threshold's unit; of a warning, the days until the version expires
	ErrorType  string
	OldStatus  string
	NewStatus  string
	Change     string // of an account field: one of Changes
	Phone      string // that it is about, of a field about numbers
	Template   string // that it is about, of a field about templates: its id, or its name, with or without "(en_US)"
}

// samples builds the value of each kind of change of flows and messages.
var samples = map[string]func(s Sample) (field string, value map[string]any){
	router.ClientErrorRate: func(s Sample) (string, map[string]any) { return fieldFlows, s.errorRate("client") },
	router.EndpointErrorRate: func(s Sample) (string, map[string]any) {
		return fieldFlows,
			s.errorRate("endpoint")
	},
	router.EndpointLatency:          func(s Sample) (string, map[string]any) { return fieldFlows, s.latency() },
	router.EndpointAvailability:     func(s Sample) (string, map[string]any) { return fieldFlows, s.availability() },
	router.FlowStatusChange:         func(s Sample) (string, map[string]any) { return fieldFlows, s.status() },
	router.FlowVersionExpiryWarning: func(s Sample) (string, map[string]any) { return fieldFlows, s.expiry() },
	router.FlowResponse:             func(s Sample) (string, map[string]any) { return fieldMessages, s.response() },
	SampleTest:                      func(Sample) (string, map[string]any) { return fieldFlows, test() },
	SampleMessage:                   func(s Sample) (string, map[string]any) { return fieldMessages, s.message() },
}

// SampleNames returns the events of which there is a sample, sorted.
func SampleNames() []string {
	return slices.Sorted(slices.Values(slices.AppendSeq(slices.Collect(maps.Keys(samples)), maps.Keys(accountSamples))))
}

// Drill returns the post that begins a drill, or ends it: of the sample whose trouble is the worst, for a flow that is
// none. more are fields of its value.
func Drill(flow string, at time.Time, state string, more map[string]any) ([]byte, error) {
	body, err := Sample{Event: router.EndpointAvailability, WABA: "0", Flow: flow, Time: at, AlertState: state}.Body()
	if err != nil {
		return nil, err
	}
	var post struct {
		Object string `json:"object"`
		Entry  []struct {
			ID      string `json:"id"`
			Time    int64  `json:"time"`
			Changes []struct {
				Field string         `json:"field"`
				Value map[string]any `json:"value"`
			} `json:"changes"`
		} `json:"entry"`
	}
	if err := json.Unmarshal(body, &post); err != nil {
		return nil, err
	}
	value := post.Entry[0].Changes[0].Value
	value[DrillMark] = true
	maps.Copy(value, more)
	return json.Marshal(post)
}

// ChangeError says that an event has no sample of a change.
type ChangeError struct {
	Event, Change string
	Known         []string // those that it has, sorted
}

func (e *ChangeError) Error() string {
	if len(e.Known) == 0 {
		return e.Event + " has no changes"
	}
	return fmt.Sprintf("no sample of %s with change %q: there are %s", e.Event, e.Change, strings.Join(e.Known, ", "))
}

// Body returns the post, ready to be signed. A Change that the event has not is a *ChangeError.
func (s Sample) Body() ([]byte, error) {
	build, flows := samples[s.Event]
	of, account := accountSamples[s.Event]
	if !flows && !account {
		return nil, fmt.Errorf("no sample of event %q: there are %s", s.Event, strings.Join(SampleNames(), ", "))
	}
	s.WABA, s.Flow = cmp.Or(s.WABA, "104996122399160"), cmp.Or(s.Flow, "1987937931743377")
	if s.Time.IsZero() {
		s.Time = time.Now()
	}
	if s.Change = cmp.Or(s.Change, of.usual); s.Change != "" && !slices.Contains(Changes(s.Event), s.Change) {
		return nil, &ChangeError{s.Event, s.Change, Changes(s.Event)}
	}
	field, value := router.FieldOf(s.Event), map[string]any(nil)
	if account {
		value = of.value(s)
		s.about(value)
	} else {
		field, value = build(s)
	}
	entry := map[string]any{"id": s.WABA, "changes": []any{map[string]any{"field": field, "value": value}}}
	if value["waba_info"] != nil { // it names the account: the post comes from the partner's business
		entry["id"] = sampleBusiness
	}
	switch {
	case s.Event == SampleTest:
		entry["id"] = "0"
		fallthrough
	case field != fieldMessages: // posts about messages carry no time
		entry["time"] = s.Time.Unix()
	}
	return json.Marshal(map[string]any{"object": "whatsapp_business_account", "entry": []any{entry}})
}

// pair is what the four monitoring events have in common.
func (s Sample) pair(message string) map[string]any {
	threshold, _, _ := s.Crossed()
	return map[string]any{
		"event": s.Event, "flow_id": s.Flow, "threshold": threshold, "message": message,
		"alert_state": cmp.Or(s.AlertState, router.Activated),
	}
}

// The thresholds that samples have where none is asked for.
var usualThresholds = map[string]float64{
	router.ClientErrorRate: 10, router.EndpointErrorRate: 10, router.EndpointLatency: 5000,
	router.EndpointAvailability: 90,
}

// Crossed returns the threshold of the sample, and whether it says that it is crossed. ok is false for what has none.
func (s Sample) Crossed() (threshold float64, crossed, ok bool) {
	threshold, ok = usualThresholds[s.Event]
	if s.Threshold != nil {
		threshold = *s.Threshold
	}
	return threshold, s.AlertState != router.Deactivated, ok
}

// measured is the value that is asked for, or one that fits the threshold and the state: the usual one if it does.
func (s Sample) measured(usual float64) float64 {
	if s.Value != nil {
		return *s.Value
	}
	signal := router.SignalOf(s.Event)
	threshold, crossed, _ := s.Crossed()
	if signal.Worse(usual, threshold) == crossed {
		return usual
	}
	factor := 0.75
	if crossed == (signal.Bad == router.Above) {
		factor = 1.25
	}
	if value := threshold * factor; signal.Unit != router.Percent || value <= 100 {
		return value
	}
	return 100
}

func (s Sample) errorRate(side string) map[string]any {
	v := s.pair("The " + side + " error rate of this flow has crossed a threshold")
	v["error_rate"] = s.measured(14.28)
	v["errors"] = []any{
		map[string]any{"error_type": cmp.Or(s.ErrorType, "timeout_error"), "error_rate": 66.66, "error_count": 2},
		map[string]any{"error_type": "unexpected_http_status_code", "error_rate": 33.33, "error_count": 1},
	}
	return v
}

func (s Sample) latency() map[string]any {
	v := s.pair("The p90 latency of this flow's endpoint has crossed a threshold")
	p90 := s.measured(6200)
	v["p90_latency"], v["p50_latency"], v["requests_count"] = p90, p90/4, 34
	return v
}

func (s Sample) availability() map[string]any {
	v := s.pair("The availability of this flow's endpoint has crossed a threshold")
	v["availability"] = s.measured(75)
	return v
}

func (s Sample) status() map[string]any {
	from, to := cmp.Or(s.OldStatus, router.Published), cmp.Or(s.NewStatus, router.Blocked)
	return map[string]any{"event": s.Event, "flow_id": s.Flow, "old_status": from, "new_status": to,
		"message": fmt.Sprintf("Flow changed status from %s to %s", from, to)}
}

func (s Sample) expiry() map[string]any {
	when := "soon"
	if s.Value != nil {
		when = fmt.Sprintf("in %g days", *s.Value)
	}
	return map[string]any{"event": s.Event, "flow_id": s.Flow,
		"warning": "The version of this flow will expire " + when + ". Move it to a newer version."}
}

func test() map[string]any {
	return map[string]any{"event": router.FlowStatusChange, "flow_id": "1000",
		"message": "Flow {FlowName} changed status from DRAFT to PUBLISHED"}
}

// inMessages is a change of the field messages with one message in it.
func (s Sample) inMessages(message map[string]any) map[string]any {
	unix := fmt.Sprint(s.Time.Unix())
	message["from"], message["timestamp"], message["id"] = "15550100200", unix,
		"wamid.sample."+fmt.Sprint(s.Time.UnixNano())
	return map[string]any{
		"messaging_product": "whatsapp",
		"metadata":          map[string]any{"display_phone_number": "15550100100", "phone_number_id": "106540352242922"},
		"contacts":          []any{map[string]any{"profile": map[string]any{"name": "A customer"}, "wa_id": "15550100200"}},
		"messages":          []any{message},
	}
}

func (s Sample) message() map[string]any {
	return s.inMessages(map[string]any{"type": "text", "text": map[string]any{"body": "Is my order on its way?"}})
}

func (s Sample) response() map[string]any {
	const answers = `{"flow_token":"sample-token","topic":"delivery","preferred_time":"afternoon","call_me_back":true,"email":"customer@example.com"}`
	return s.inMessages(map[string]any{"type": "interactive", "context": map[string]any{"from": "15550100100",
		"id": "wamid.sample"},
		"interactive": map[string]any{"type": "nfm_reply", "nfm_reply": map[string]any{"name": "flow", "body": "Sent",
			"response_json": answers}}})
}
