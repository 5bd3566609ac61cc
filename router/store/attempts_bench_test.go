package store

import (
	"strings"
	"testing"

	"flowbridge/router"
)

// BenchmarkPackExchange takes what it costs to pack what one card cost to be told: its request, the answer that repeats
// it, a line of its thread, and the link.
func BenchmarkPackExchange(b *testing.B) {
	card := `{"attachments":[{"color":"#b00","blocks":[` + strings.TrimSuffix(strings.Repeat(
		`{"type":"section","text":{"type":"mrkdwn","text":"*Endpoint error rate* over 10 %, now 14.28 % since 09:12 UTC"}},`,
		24), ",") + `]}],"channel":"C1"}`
	line := `{"channel":"C1","metadata":{"event_type":"flowbridge"},"text":":pager: Paged payments-oncall","thread_ts":"1.2"}`
	a := &router.Attempt{Calls: []router.Call{
		{Method: "POST", URL: "https://slack.com/api/chat.postMessage", Request: card, Status: 200,
			Answer: `{"ok":true,"message":` + card[:min(len(card), 3900)]},
		{Method: "POST", URL: "https://slack.com/api/chat.postMessage", Request: line, Status: 200,
			Answer: `{"ok":true,"message":` + line + `}`},
		{Method: "GET", URL: "https://slack.com/api/chat.getPermalink", Request: `{"channel":"C1"}`, Status: 200,
			Answer: `{"ok":true}`},
	}}
	size := 0
	for b.Loop() {
		packed, err := packExchange(a)
		if err != nil {
			b.Fatal(err)
		}
		size = len(packed)
	}
	b.ReportMetric(float64(size), "bytes")
	b.ReportAllocs()
}
