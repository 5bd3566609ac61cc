package rules

import (
	"strings"
	"testing"
)

func TestShownRulesHoldNoCredential(t *testing.T) {
	const key, hook, secret = "R0UT1NGKEY0000000000000000000001", "https://hooks.example.com/services/T0/s3cr3tpath",
		"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
	for name, tt := range map[string]struct{ text, want string }{
		"references stay, literals go": {
			"notifiers:\n  a: {kind: pagerduty, routing_key: \"" + key +
				"\"}\n  b: {kind: pagerduty, routing_key: \"${PD_KEY}\"}\n  c: {kind: webhook, url: " + hook +
				", secret: '${file:/run/s}'}\n",
			"notifiers:\n  a: {kind: pagerduty, routing_key: \"••••••\"}\n  b: {kind: pagerduty, routing_key: " +
				"\"${PD_KEY}\"}\n  c: {kind: webhook, url: ••••••, secret: '${file:/run/s}'}\n",
		},
		"an anchor and what names it": {
			"x-keys: [&k " + key + "]\nnotifiers:\n  a: {routing_key: *k}\n",
			"x-keys: [&k ••••••]\nnotifiers:\n  a: {routing_key: *k}\n",
		},
		"what merges it": {
			"x-base: &base {routing_key: short-and-odd, kind: pagerduty}\nnotifiers:\n  a: {<<: *base}\n",
			"x-base: &base {routing_key: ••••••, kind: pagerduty}\nnotifiers:\n  a: {<<: *base}\n",
		},
		"comments": {
			"version: 1 # was " + key + "\n# secret: " + secret + "\n# routing_key: oldone\n# xoxb-12345678-abcdef\n",
			"version: 1 # was ••••••\n# secret: ••••••\n# routing_key: ••••••\n# ••••••\n",
		},
		"part of a value": {
			"notifiers:\n  c: {url: \"https://hooks.example.com/tok/${NAME}\"}\n",
			"notifiers:\n  c: {url: \"••••••\"}\n",
		},
		"a value over two lines": {
			"notifiers:\n  a:\n    routing_key: \"R0UT1NGKEY000000\\\n      0000000000000001\"\n", notKept,
		},
		"escapes": {
			"notifiers:\n  a: {routing_key: \"\\x52\\x30UT1NG\"}\n",
			"notifiers:\n  a: {routing_key: \"••••••\"}\n",
		},
		"what is no secret": {
			"flows:\n  \"1987937931743377\": {name: Checkout, runbook: https://runbooks.example.com/checkout}\n",
			"flows:\n  \"1987937931743377\": {name: Checkout, runbook: https://runbooks.example.com/checkout}\n",
		},
		"what is no YAML": {"notifiers: {a: [", notKept},
	} {
		t.Run(name, func(t *testing.T) {
			shown := Shown([]File{{Name: "rules.yaml", Data: []byte(tt.text)}})
			if shown[0].Text != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", shown[0].Text, tt.want)
			}
			for _, part := range []string{key, hook, secret, "s3cr3tpath", "short-and-odd", "oldone", "0000000000000001"} {
				if strings.Contains(shown[0].Text, part) {
					t.Errorf("%q is shown:\n%s", part, shown[0].Text)
				}
			}
		})
	}
}

func TestADigestChangesWithWhatIsShown(t *testing.T) {
	digest := func(text string) string { return Digest(Shown([]File{{"rules.yaml", []byte(text)}})) }
	one, other := "notifiers:\n  a: {routing_key: R0UT1NGKEY0000000000000000000001}\n",
		"notifiers:\n  a: {routing_key: R0UT1NGKEY0000000000000000000002}\n"
	if digest(one) != digest(other) {
		t.Error("it tells credentials apart")
	}
	if digest(one) == digest(one+"# changed\n") {
		t.Error("it does not tell texts apart")
	}
}
