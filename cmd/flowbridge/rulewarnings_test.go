package main

import (
	"fmt"
	"strings"
	"testing"

	"flowbridge/router"
	"flowbridge/router/rules"
)

// TestARuleOfWhatASampleSaysGetsNoWarning makes a rule of all that each sample says: it matches, so that no warning
// about its keys can be right.
func TestARuleOfWhatASampleSaysGetsNoWarning(t *testing.T) {
	t.Parallel()
	for _, ev := range sampleEvents() {
		match := fmt.Sprintf("event: %q, field: %q, severity: %s", ev.Name, ev.Field, router.DefaultSeverity(&ev))
		for _, one := range []struct{ key, value string }{
			{"subject", string(ev.Subject.Kind)}, {"change", ev.Change}, {"alert_state", ev.AlertState},
			{"old_status", ev.OldStatus}, {"new_status", ev.NewStatus},
		} {
			if one.value != "" {
				match += fmt.Sprintf(", %s: %q", one.key, one.value)
			}
		}
		switch ev.Subject.Kind {
		case router.SubjectPhone:
			match += fmt.Sprintf(", phone: %q", ev.Subject.Name)
		case router.SubjectTemplate:
			match += fmt.Sprintf(", template: %q", ev.Subject.Name)
		}
		if ev.Threshold != nil {
			match += fmt.Sprintf(", threshold: %v", *ev.Threshold)
		}
		text := fmt.Sprintf("version: 1\nnotifiers: {chat: {kind: slack, channel: \"#chat\"}}\n"+
			"rules:\n  - {name: a, match: {%s}, notify: chat}\ndefault: {notify: chat}\nfallback: chat\n", match)
		r, found := rules.Check([]rules.File{{Name: "rules.yaml", Data: []byte(text)}}, rules.Config{})
		if strings.Contains(found.Error(), "never matches") || r == nil {
			t.Errorf("%s\n%v", match, found)
			continue
		}
		if d := r.Decide(&ev); d.Rule() != "a" {
			t.Errorf("%s matches no sample of %s", match, ev.Name)
		}
	}
}
