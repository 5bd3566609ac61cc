package pagerduty

import (
	"bytes"
	"encoding/json"

	pd "github.com/PagerDuty/go-pagerduty"

	"flowbridge/router"
)

// Preview returns what a notification makes in PagerDuty: its title, "" of what ends an incident, and the event as
// the Events API takes it, without the routing key. It calls nobody.
func Preview(n router.Notification) (title string, event []byte, err error) {
	var sent any
	switch {
	case n.Notice == nil && n.Open:
		e := trigger(&n)
		title, sent = e.Payload.Summary, e
	case n.Notice == nil:
		sent = &pd.V2Event{Action: "resolve", DedupKey: n.Key}
	case n.Recovers():
		sent = &pd.V2Event{Action: "resolve", DedupKey: n.Notice.Recovery}
	case pages(&n):
		e := page(&n)
		title, sent = e.Payload.Summary, e
	default:
		e := change(&n)
		title, sent = e.Payload.Summary, e
	}
	event, err = json.Marshal(sent)
	return title, bytes.Replace(event, []byte(`"routing_key":"",`), nil, 1), err
}
