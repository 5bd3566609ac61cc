package slack

import (
	"encoding/json"
	"strings"
	"testing"

	"flowbridge/router"
)

// TestACardOfSeveralSignalsSpeaksOfTheWorst: where an incident holds all signals of a flow, the number beside the title
// is of the signal that the title names.
func TestACardOfSeveralSignalsSpeaksOfTheWorst(t *testing.T) {
	n := opened()
	first := n.Alerts[0]
	n.Incident.Event, n.Incident.Path = router.EndpointLatency, []router.Level{"1000", "5000"}
	first.Event, first.Level, first.Value = router.EndpointLatency, "5000", ptr(5200)
	first.Severity, first.Active = router.Error, true
	second := first
	second.Event, second.Level, second.Severity, second.Value = router.ClientErrorRate, "50", router.Critical, ptr(60)
	second.Raised = first.Raised.Add(-1) // the newest report is of the other signal
	n.Alerts, n.Severity = []router.Alert{second, first}, router.Critical
	drawn := render(&n, true)
	blocks, err := json.Marshal(append(drawn.head, drawn.body...))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"card": string(blocks), "text": drawn.text} {
		if !strings.Contains(text, "60 %") || strings.Contains(text, "5.2 s") {
			t.Errorf("the %s of a client error rate of 60 %% and a latency of 5.2 s: %s", name, text)
		}
		if strings.Contains(text, "1 s → 5 s") {
			t.Errorf("the %s has the path of the other signal: %s", name, text)
		}
	}
}
