package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

const windows = `
windows:
  office: {days: mon-fri, hours: ["09:00-12:30", "13:30-18:00"], time_zone: Europe/Berlin}
  night: {days: [fri, sun], hours: 22:00-06:00}
  weekend: {days: sat-sun}
  late: {hours: "18:00-24:00", time_zone: Asia/Kolkata}
  xmas: {dates: ["2026-12-24..2026-12-26", 2027-01-01], time_zone: Europe/Berlin}
  silvester: {dates: 2026-12-31, hours: "20:00-04:00", days: mon-fri}
  spring: {days: sun, hours: "01:30-03:30", time_zone: Europe/Berlin}
`

func TestWindowsGoByTheClockOnTheWall(t *testing.T) {
	rules := mustLoad(t, world+windows+"rules: []"+ending)
	for _, c := range []struct {
		window, at string
		want       bool
	}{
		{"office", "2026-01-05T08:00:00Z", true}, // Monday, 9:00 in Berlin
		{"office", "2026-01-05T07:59:59Z", false},
		{"office", "2026-01-05T11:30:00Z", false}, // hours end before their last minute
		{"office", "2026-01-05T12:30:00Z", true},
		{"office", "2026-01-05T16:59:59Z", true},
		{"office", "2026-01-05T17:00:00Z", false},
		{"office", "2026-07-06T07:00:00Z", true},  // an hour earlier in summer
		{"office", "2026-01-04T09:00:00Z", false}, // Sunday
		{"weekend", "2026-01-03T00:00:00Z", true},
		{"weekend", "2026-01-02T23:59:59Z", false},
		{"night", "2026-01-02T22:00:00Z", true},  // Friday
		{"night", "2026-01-03T05:59:00Z", true},  // Saturday morning is the night of Friday
		{"night", "2026-01-03T22:00:00Z", false}, // that of Saturday was not asked for
		{"night", "2026-01-04T05:00:00Z", false},
		{"night", "2026-01-05T05:00:00Z", true}, // Monday morning is the night of Sunday
		{"night", "2026-01-05T06:00:00Z", false},
		{"night", "2026-01-04T22:00:00Z", true},
		{"night", "2026-01-02T05:00:00Z", false}, // Friday morning is the night of Thursday
		{"late", "2026-01-05T12:30:00Z", true},   // 18:00 in Kolkata
		{"late", "2026-01-05T18:29:59Z", true},
		{"late", "2026-01-05T18:30:00Z", false},
		{"xmas", "2026-12-23T23:00:00Z", true}, // midnight in Berlin
		{"xmas", "2026-12-23T22:59:59Z", false},
		{"xmas", "2026-12-26T22:59:59Z", true},
		{"xmas", "2026-12-26T23:00:00Z", false},
		{"xmas", "2027-01-01T12:00:00Z", true},
		{"xmas", "2025-12-24T12:00:00Z", false}, // another year
		{"silvester", "2026-12-31T20:00:00Z", true},
		{"silvester", "2027-01-01T03:59:00Z", true}, // Friday morning is the night of Thursday
		{"silvester", "2026-12-31T03:00:00Z", false},
		{"spring", "2026-03-29T00:30:00Z", true}, // 1:30; at 2:00 the clock goes to 3:00
		{"spring", "2026-03-29T01:00:00Z", true}, // 3:00
		{"spring", "2026-03-29T01:30:00Z", false},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := rules.windows[c.window].holds(at); got != c.want {
			t.Errorf("%s at %s: got %v, want %v", c.window, c.at, got, c.want)
		}
	}
}

func TestDecisionsInTime(t *testing.T) {
	monday := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	saturday := time.Date(2026, 1, 3, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, rules string
		at          time.Time
		want        string
	}{
		{"during a window", `[{name: a, match: {}, during: weekend, notify: chat}, {name: b, match: {}, notify: page}]`,
			saturday, "a: chat"},
		{"outside it the next rule is asked",
			`[{name: a, match: {}, during: weekend, notify: chat}, {name: b, match: {}, notify: page}]`, monday, "b: page"},
		{"during any of several", `[{name: a, match: {}, during: [night, office, weekend], notify: chat}]`, monday,
			"a: chat"},
		{"except a window", `[{name: a, match: {}, except: weekend, notify: chat}]`, saturday, "default: ops"},
		{"during one and except another",
			`[{name: a, match: {}, during: [office, weekend], except: [night, weekend], notify: chat}]`, saturday,
			"default: ops"},
		{"an event without a time may have been in any window",
			`[{name: a, match: {}, during: weekend, notify: chat}, {name: b, match: {}, except: weekend, notify: page}, {name: c, match: {}, notify: ops}]`, time.Time{}, "a + b + c: chat, ops, page"},
		{"or in none", `[{name: a, match: {}, during: weekend, notify: chat}]`, time.Time{}, "a: chat, ops"},
		{"after", `[{name: a, match: {}, notify: [chat, {to: page, after: 1h30m, unless: acknowledged}]}]`, monday,
			"a: chat, page after 1h30m0s unless acknowledged"},
		{"the earliest time of a notifier wins",
			`[{name: a, match: {}, continue: true, notify: {to: page, after: 10m}}, {name: b, match: {}, notify: {to: page, after: 5m}}]`, monday, "a + b: page after 5m0s"},
		{"at once is earliest",
			`[{name: a, match: {}, continue: true, notify: {to: page, after: 10m}}, {name: b, match: {}, notify: page}]`, monday,
			"a + b: page"},
		{"what an entry does not hear of does not hurry it",
			`[{name: a, match: {}, severity: error, notify: [{to: page, severity: critical}, {to: page, severity: "<critical", after: 10m}]}]`, monday,
			"a: page after 10m0s"},
		{"unless only if all say so",
			`[{name: a, match: {}, continue: true, notify: {to: page, unless: acknowledged}}, {name: b, match: {}, notify: {to: page, after: 5m}}]`, monday, "a + b: page"},
		{"resolve_after and on_escalation of the first rule that says so",
			`[{name: a, match: {}, continue: true, notify: chat}, {name: b, match: {}, continue: true, resolve_after: 5m, on_escalation: note, notify: chat}, {name: c, match: {}, resolve_after: 1h, on_escalation: page, notify: chat}]`, monday, "a + b + c: chat; holds 5m0s"},
		{"on_auto_resolve of the first rule that says so",
			`[{name: a, match: {}, continue: true, notify: chat}, {name: b, match: {}, on_auto_resolve: note, notify: chat}]`,
			monday, "a + b: chat; notes what PagerDuty ends"},
		{"acknowledged_for of the first rule that says so",
			`[{name: a, match: {}, continue: true, notify: chat}, {name: b, match: {}, continue: true, acknowledged_for: 4h, notify: chat}, {name: c, match: {}, acknowledged_for: 1h, notify: chat}]`, monday, "a + b + c: chat; acknowledged for 4h0m0s"},
		{"and of a rule that is alone", `[{name: a, match: {}, acknowledged_for: 4h, notify: chat}]`, monday,
			"a: chat; acknowledged for 4h0m0s"},
		{"mention of all entries",
			`[{name: a, match: {}, continue: true, notify: {to: chat, mention: [here, U0123ABCD]}}, {name: b, match: {}, notify: [{to: chat, mention: [S0123ABCD, here]}, {to: chat, severity: critical, mention: channel}]}]`, monday, "a + b: chat calls here U0123ABCD S0123ABCD"},
		{"the shortest remind of a notifier",
			`[{name: a, match: {}, continue: true, notify: [{to: chat, remind: 1h}, page]}, {name: b, match: {}, notify: [chat, {to: chat, remind: 30m}]}]`, monday, "a + b: chat every 30m0s, page"},
		{"even 0s",
			`[{name: a, match: {}, continue: true, resolve_after: 0s, notify: chat}, {name: b, match: {}, resolve_after: 5m, on_escalation: page, notify: chat}]`, monday, "a + b: chat; pages on rise"},
		{"default can wait too", `[{name: a, match: {flow: "2"}, notify: chat}]`, monday, "default: ops"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules := mustLoad(t, world+windows+"rules: "+c.rules+ending)
			ev := with(activated(router.EndpointErrorRate, 10), func(ev *router.Event) { ev.At = c.at })
			d := rules.Decide(&ev)
			names := d.Rules
			if len(names) == 0 {
				names = []string{d.Rule()}
			}
			var to []string
			for _, r := range d.Notify {
				words := r.Notifier
				if r.After > 0 {
					words += fmt.Sprint(" after ", r.After)
				}
				if r.UnlessAcknowledged {
					words += " unless acknowledged"
				}
				if r.Remind > 0 {
					words += fmt.Sprint(" every ", r.Remind)
				}
				if len(r.Mention) > 0 {
					words += " calls " + strings.Join(r.Mention, " ")
				}
				to = append(to, words)
			}
			got := strings.Join(names, " + ") + ": " + strings.Join(to, ", ")
			if d.ResolveAfter > 0 {
				got += fmt.Sprint("; holds ", d.ResolveAfter)
			}
			if d.AcknowledgedFor > 0 {
				got += fmt.Sprint("; acknowledged for ", d.AcknowledgedFor)
			}
			if d.PageOnRise {
				got += "; pages on rise"
			}
			if d.NoteAutoResolve {
				got += "; notes what PagerDuty ends"
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestARecoveryOfWhatNobodyKnowsFindsAllWhoMayHaveBeenTold(t *testing.T) {
	rules := mustLoad(t, world+windows+`rules:
  - {name: a, match: {}, during: weekend, notify: {to: page, after: 5m, severity: critical}}
  - {name: b, match: {}, notify: chat}
`)
	ev := with(deactivated(router.EndpointErrorRate, 10),
		func(ev *router.Event) { ev.At = time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC) })
	var named []string
	for _, target := range router.Judge(rules, &ev).Opening.Named {
		named = append(named, target.Notifier)
	}
	if diff := cmp.Diff([]string{"chat", "page"}, named); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestANotifierSaysWhoMayPressItsButtons(t *testing.T) {
	rules := mustLoad(t, `
version: 1
notifiers:
  chat: {kind: slack, channel: "#chat", allow: [U0123ABCD, S0123ABCD]}
  ops: {kind: slack, channel: "#ops"}
default: {notify: [chat, ops]}
`)
	if diff := cmp.Diff([]string{"U0123ABCD", "S0123ABCD"}, rules.Allow("chat")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for _, name := range []string{"ops", "nobody"} {
		if got := rules.Allow(name); got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}
