package whatsapp_test

import (
	"fmt"
	"time"

	"flowbridge/router/whatsapp"
)

// Sign makes the header X-Hub-Signature-256, as Meta does. The Handler compares it before anything of a post is read.
func ExampleSign() {
	fmt.Println(whatsapp.Sign("app secret", []byte(`{"object":"whatsapp_business_account","entry":[]}`)))
	// Output:
	// sha256=f55d1484bc76c3d3ba787f7352b6c81f5dc9b125053b8c278aeadc3b13004236
}

func ExampleDecode() {
	post := []byte(
		`{"object": "whatsapp_business_account", "entry": [{"id": "204996122399161", "time": 1772438400, "changes": [
		{"field": "flows", "value": {"event": "ENDPOINT_ERROR_RATE", "flow_id": "2987937931743302", "alert_state": "ACTIVATED",
			"threshold": 10, "error_rate": 14.28, "message": "The error rate is over 10 %."}},
		{"field": "flows", "value": "neither a map nor anything else that we can read"}
	]}]}`)
	events, _ := whatsapp.Decode(post, time.Date(2026, 3, 2, 8, 0, 5, 0, time.UTC), nil)
	for _, e := range events {
		if e.Unreadable != "" {
			fmt.Println("unreadable:", e.Unreadable)
			continue
		}
		fmt.Println(e.At.Format("15:04:05"), e.Name, e.AlertState, "at", *e.Threshold, "of flow", e.Flow, "now",
			*e.Reading.Value)
	}
	// Output:
	// 08:00:00 ENDPOINT_ERROR_RATE ACTIVATED at 10 of flow 2987937931743302 now 14.28
	// unreadable: the value of a flows change is no object
}
