package rules

import (
	"strings"
	"testing"
	"time"

	"flowbridge/router"
)

func TestWhenAVersionExpires(t *testing.T) {
	const head = "version: 1\nnotifiers: {chat: {kind: slack, channel: \"#chat\"}}\ndefault: {notify: chat}\n"
	r, err := Load("rules.yaml", []byte(head+"versions: {5.0: 2026-12-24, \"6.10\": \"2027-01-01\"}\n"), testConfig())
	if err != nil {
		t.Fatal(err)
	}
	for warning, want := range map[string]string{
		"Flow JSON version 5.0 will expire.":               "2026-12-24T12:00:00Z rules",
		"version: v6.10 expires in 9 days":                 "2027-01-01T12:00:00Z rules",
		"version 5.1 will expire in 30 days":               "2026-04-01T12:00:00Z warning",
		"Your current Flow version expires in 1 day.":      "2026-03-03T12:00:00Z warning",
		"Your current Flow version will freeze in 21 days": "",
		"version 5.0 or version 6.10 will expire":          "",
		"it will expire in 30 weeks":                       "",
		"it will expire in 3000 days":                      "",
		"":                                                 "",
	} {
		at := time.Date(2026, 3, 2, 23, 30, 0, 0, time.UTC)
		d := r.Decide(&router.Event{Source: router.SourceMeta, Name: router.FlowVersionExpiryWarning, At: at, Received: at,
			Warning: warning, Flow: "1"})
		got := ""
		if !d.Ends.IsZero() {
			got = d.Ends.Format(time.RFC3339) + " " + string(d.EndsBy)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", warning, got, want)
		}
	}

	_, err = Load("rules.yaml",
		[]byte(head+"versions: {five: 2026-12-24, \"5.0\": soon, \"5.1\": 2026-02-30, \"5.2\": []}\n"),
		testConfig())
	for _, mistake := range []string{
		`versions.five: "five" is no version of the Flow JSON`, `versions."5.0": "soon" is no date`,
		`versions."5.1": "2026-02-30" is no date`, `versions."5.2"`,
	} {
		if err == nil || !strings.Contains(err.Error(), mistake) {
			t.Errorf("%q is not among %v", mistake, err)
		}
	}
}
