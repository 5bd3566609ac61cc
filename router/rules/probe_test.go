package rules

import (
	"testing"

	"flowbridge/router"
)

func TestWhatAFlowSaysOfProbesGoesBeforeWhatItsAccountSays(t *testing.T) {
	t.Parallel()
	const file = `version: 1
accounts:
  "9": {name: Main, probe: true}
  "10": {name: Other, probe: false}
flows:
  "1": {name: Checkout, probe: true, endpoint: "https://shop.example.com/flow?a=b"}
  "2": {name: Sign-up, probe: false}
  "3": {name: Help, endpoint: "https://shop.example.com/help"}
  "4": {name: Refunds}
notifiers: {chat: {kind: slack, channel: "#chat"}}
default: {notify: chat}
`
	r, err := Load("rules.yaml", []byte(file), Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		account, flow, endpoint string
		on                      bool
	}{
		{"9", "1", "https://shop.example.com/flow?a=b", true},
		{"10", "1", "https://shop.example.com/flow?a=b", true},
		{"9", "2", "", false},
		{"9", "3", "https://shop.example.com/help", true},
		{"10", "3", "https://shop.example.com/help", false},
		{"9", "4", "", true},
		{"9", "5", "", true},
		{"10", "5", "", false},
		{"11", "5", "", false},
		{"9", router.DrillPrefix + "5", "", false},
	} {
		endpoint, on := r.Probe(router.FlowID{WABA: c.account, Flow: c.flow})
		if endpoint != c.endpoint || on != c.on {
			t.Errorf("flow %s of account %s: %t at %q, want %t at %q", c.flow, c.account, on, endpoint, c.on, c.endpoint)
		}
	}
	if !r.Probes() {
		t.Error("they want no probes")
	}
	for _, plain := range []string{"", "flows: {\"1\": {name: Checkout, probe: false}}\n",
		"accounts: {\"9\": {name: Main}}\n"} {
		r, err := Load("rules.yaml", []byte("version: 1\n"+plain+
			"notifiers: {chat: {kind: slack, channel: \"#chat\"}}\ndefault: {notify: chat}\n"), Config{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Probes() {
			t.Errorf("%q: they want probes", plain)
		}
	}
}
