package rules

import (
	"testing"

	"flowbridge/router"
)

func TestATestMessageGoesToItsNotifierAlone(t *testing.T) {
	r := mustLoad(t, `version: 1
notifiers:
  chat: {kind: slack, channel: "#chat"}
  ops: {kind: slack, channel: "#ops"}
rules:
  - {name: all, match: {event: [BRIDGE_TEST]}, notify: [ops]}
default: {notify: [ops]}
fallback: ops
`)
	for _, tt := range []struct {
		name string
		ev   router.Event
		want string // whom it tells
		how  router.Severity
	}{
		{"it tells whom it is to try", router.Event{Source: router.SourceFlowbridge, Act: &router.Act{Notifier: "chat"}},
			"chat", router.Info},
		{"as bad as it is wanted", router.Event{Source: router.SourceFlowbridge, Said: router.Error,
			Act: &router.Act{Notifier: "chat"}}, "chat", router.Error},
		{"a notifier that is none is nobody", router.Event{Source: router.SourceFlowbridge,
			Act: &router.Act{Notifier: "gone"}}, "", router.Info},
		{"without one it is nobody", router.Event{Source: router.SourceFlowbridge}, "", router.Info},
	} {
		tt.ev.Name = router.TestMessage
		d := r.Decide(&tt.ev)
		got := ""
		for _, route := range d.Notify {
			got += route.Notifier
		}
		if got != tt.want || d.Severity != tt.how {
			t.Errorf("%s: told %q as %s", tt.name, got, d.Severity)
		}
		v := router.Judge(r, &tt.ev)
		tt.ev.Seq = 7
		step := router.Fold(router.State{}, 1, &tt.ev, v, router.Moment{})
		if len(step.Owed) != len(tt.want)/4 || len(step.Incidents) > 0 || len(step.Alerts) > 0 {
			t.Errorf("%s: folded to %+v", tt.name, step)
		}
	}
	if got := r.Naming("ops"); len(got) != 3 || got[0] != "all" || got[1] != "default" || got[2] != "fallback" {
		t.Errorf("rules that name ops: %v", got)
	}
	if got := r.Naming("chat"); len(got) != 0 {
		t.Errorf("rules that name chat: %v", got)
	}
}
