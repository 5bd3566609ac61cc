package router_test

import (
	"fmt"
	"time"

	"flowbridge/router"
)

// A rise to 10 % opens an incident; chat is owed a card and page a page. The recovery resolves it.
func ExampleFold() {
	threshold := 10.0
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	event := router.Event{Seq: 1, Source: router.SourceMeta, Received: at, At: at, WABA: "1", Flow: "2",
		Name: router.EndpointErrorRate, AlertState: router.Activated, Threshold: &threshold}
	everybody := router.Verdict{Decision: router.Decision{Severity: router.Error, Notify: []router.Route{
		{Target: router.Target{Notifier: "chat", Kind: router.KindSlack, Address: "#ops"}},
		{Target: router.Target{Notifier: "page", Kind: router.KindPagerDuty, Credential: "k"}},
	}}}
	print := func(step router.Step) {
		for _, e := range step.Entries {
			fmt.Println(e.At.Format("15:04"), router.IncidentName(e.Incident), e.Kind+":", e.Text)
		}
		for _, o := range step.Owed {
			fmt.Printf("  owed to %s: open=%t\n", o.Target.Notifier, o.Open)
		}
	}

	step := router.Fold(router.State{}, 1, &event, everybody, router.Moment{Now: at})
	print(step)

	later := at.Add(20 * time.Minute)
	event.Seq, event.AlertState, event.At, event.Received = 2, router.Deactivated, later, later
	print(router.Fold(step.State, 2, &event, router.Verdict{}, router.Moment{Now: later}))

	// Output:
	// 08:00 INC-1 opened: Endpoint error rate over 10 %
	//   owed to chat: open=true
	//   owed to page: open=true
	// 08:20 INC-1 resolved: Endpoint error rate back under 10 % after 20 min
	//   owed to chat: open=false
	//   owed to page: open=false
}
