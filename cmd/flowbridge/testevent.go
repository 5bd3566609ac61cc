package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"flowbridge/router"
	"flowbridge/router/rules/stories"
	"flowbridge/router/whatsapp"
)

// buildEvent makes of a story's event the post that Meta would send, and reads it as the bridge does.
func buildEvent(e *stories.Event, now time.Time) ([]router.Event, error) {
	at := now.Add(-e.Late)
	if router.IsWatched(e.Name) {
		return bridgeEvent(e, at, now)
	}
	post, err := storyPost(e, at)
	if err != nil {
		return nil, err
	}
	events, ignored := whatsapp.Decode(post, now, whatsapp.WantsAll)
	if len(events) == 0 {
		return nil, fmt.Errorf("the bridge would let this go: %d changes of the field messages are no filled forms",
			ignored.Total())
	}
	for i := range events {
		if events[i].Unreadable != "" {
			return nil, errors.New("the bridge could not read this: " + events[i].Unreadable)
		}
		events[i].At = at // Meta writes whole seconds; a story may be finer
		if read := events[i].AlertState; e.Change != "" && e.AlertState != "" && e.AlertState != read {
			return nil, fmt.Errorf("%s with the change %s is %s, and not %s: its word says that", e.Name, e.Change,
				cmp.Or(read, "neither"), e.AlertState)
		}
	}
	return events, nil
}

// bridgeEvent is what the bridge says of itself: the mildest level unless the story names another under change,
// about what it names under with: {about}, such as a notifier.
func bridgeEvent(e *stories.Event, at, now time.Time) ([]router.Event, error) {
	signal := router.SignalOf(e.Name)
	said := struct{ Change, About string }{Change: cmp.Or(e.Change, signal.Levels[0].Word)}
	if e.With != nil {
		if err := json.Unmarshal(e.With, &said); err != nil {
			return nil, err
		}
	}
	if e.AlertState == router.Deactivated {
		said.Change = router.WellWord
	}
	if !slices.Contains(signal.Words(), said.Change) {
		return nil, fmt.Errorf("with: change: %s has %s, and no %q", e.Name, strings.Join(signal.Words(), ", "), said.Change)
	}
	about := cmp.Or(said.About, "flowbridge")
	return []router.Event{{
		Source: router.SourceFlowbridge, Name: e.Name, Change: said.Change, AlertState: router.StateOf(e.Name, said.Change),
		Subject: router.Subject{Kind: router.SubjectBridge, ID: about, Name: about}, At: at, Received: now,
		Digest: fmt.Sprintf("story/%s/%s/%s/%d", e.Name, about, said.Change, at.UnixNano()),
	}}, nil
}

func storyPost(e *stories.Event, at time.Time) ([]byte, error) {
	waba := cmp.Or(e.WABA, sampleWABA)
	switch {
	case e.WholeValue != nil:
		return storyValue(e.Field, waba, at, e.WholeValue)
	case router.SignalOf(e.Name).Personal:
		return storyResponse(e, waba, at)
	}
	value, err := sampleValue(e, waba, at)
	if err != nil {
		return nil, err
	}
	if err := merge(value, e.With); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return storyValue(e.Field, waba, at, raw)
}

// sampleValue is the sample's value with what the story changes; of an event that has no sample, what the story says.
// Where a story says nothing of another subject than a flow but with, that is the whole value.
func sampleValue(e *stories.Event, waba string, at time.Time) (value map[string]any, err error) {
	ofFlow := e.Field == router.FlowsField
	switch {
	case !slices.Contains(whatsapp.SampleNames(), e.Name) || e.Field != router.FieldOf(e.Name):
		if !ofFlow {
			return map[string]any{}, nil
		}
		return spelledOut(e), nil
	case !ofFlow && e.With != nil && cmp.Or(e.Change, e.Phone, e.Template) == "":
		return map[string]any{}, nil
	}
	sample, err := whatsapp.Sample{
		Event: e.Name, WABA: waba, Flow: e.Flow, Time: at, Threshold: e.Threshold, AlertState: e.AlertState, Value: e.Value,
		ErrorType: e.ErrorType, OldStatus: e.OldStatus, NewStatus: e.NewStatus, Change: e.Change, Phone: e.Phone,
		Template: e.Template,
	}.Body()
	if err != nil {
		return nil, err
	}
	var post samplePost
	numbers := json.NewDecoder(bytes.NewReader(sample))
	numbers.UseNumber() // ids have more digits than a float64
	if err := numbers.Decode(&post); err != nil {
		return nil, err
	}
	return post.Entry[0].Changes[0].Value, nil
}

// spelledOut is the value of an event of flows that has no sample.
func spelledOut(e *stories.Event) map[string]any {
	value := map[string]any{"event": e.Name, "flow_id": e.Flow}
	for key, text := range map[string]string{"alert_state": e.AlertState, "old_status": e.OldStatus,
		"new_status": e.NewStatus} {
		if text != "" {
			value[key] = text
		}
	}
	if e.Threshold != nil {
		value["threshold"] = *e.Threshold
	}
	return value
}

// samplePost is what is looked at of a sample: it has one entry with one change.
type samplePost struct {
	Entry []struct {
		Changes []struct {
			Value map[string]any `json:"value"`
		} `json:"changes"`
	} `json:"entry"`
}

// storyResponse is a form that was filled in, with the answers that the story gives.
func storyResponse(e *stories.Event, waba string, at time.Time) ([]byte, error) {
	answers := map[string]any{"flow_token": "story"}
	if err := merge(answers, e.With); err != nil {
		return nil, err
	}
	text, err := json.Marshal(answers)
	if err != nil {
		return nil, err
	}
	value, err := json.Marshal(map[string]any{"messaging_product": "whatsapp", "messages": []any{map[string]any{
		"id": fmt.Sprintf("wamid.story.%d", at.UnixNano()), "from": "15550100200", "timestamp": fmt.Sprint(at.Unix()),
		"type": "interactive",
		"interactive": map[string]any{"type": "nfm_reply", "nfm_reply": map[string]any{"name": "flow", "body": "Sent",
			"response_json": string(text)}},
	}}})
	if err != nil {
		return nil, err
	}
	return storyValue("messages", waba, at, value)
}

func merge(into map[string]any, with json.RawMessage) error {
	if with == nil {
		return nil
	}
	var more map[string]any
	if err := json.Unmarshal(with, &more); err != nil {
		return err
	}
	maps.Copy(into, more)
	return nil
}

func storyValue(field, waba string, at time.Time, value json.RawMessage) ([]byte, error) {
	change, err := newChange(field, value)
	if err != nil {
		return nil, err
	}
	return changePost(waba, at, change)
}
