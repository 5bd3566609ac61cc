package main

import (
	"slices"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/rules"
)

// TestACountdownIsComparedByTheStepsThatCame holds that rules as they are would route nothing elsewhere: who pages is
// told of a version that expires from severity error on.
func TestACountdownIsComparedByTheStepsThatCame(t *testing.T) {
	t.Parallel()
	loaded, err := rules.Load("rules.yaml", []byte("version: 1\nnotifiers: {ops: {kind: slack, channel: \"#ops\"}, "+
		"page: {kind: pagerduty, routing_key: \""+testRoutingKey+"\"}}\ndefault: {notify: [ops, page]}\n"), rules.Config{})
	must(t, err)
	event := func(int64) (*router.Event, error) {
		return &router.Event{Source: router.SourceMeta, Name: router.FlowVersionExpiryWarning, Field: router.FlowsField,
			WABA: "501", Flow: "77", At: time.Now()}, nil
	}
	seq, days := int64(7), []float64{7, 1}
	for _, tt := range []struct {
		active []activeAlert
		want   []string
	}{
		{[]activeAlert{{&seq, nil}}, []string{"ops"}},
		{[]activeAlert{{&seq, nil}, {&seq, &days[0]}}, []string{"ops"}},
		{[]activeAlert{{&seq, nil}, {&seq, &days[1]}}, []string{"ops", "page"}},
	} {
		got, unknown, err := routedBy(loaded, tt.active, event)
		if err != nil || unknown || !slices.Equal(got, tt.want) {
			t.Errorf("%d alerts are routed to %q (unknown: %t, %v), want %q", len(tt.active), got, unknown, err, tt.want)
		}
	}
}
