package rules

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

const watchHead = `version: 1
notifiers:
  chat: {kind: slack, channel: "#chat"}
  other: {kind: slack, channel: "#other"}
  page: {kind: pagerduty, routing_key: "` + testKey + `"}
  drilled: {kind: pagerduty, routing_key: "fedcba9876543210fedcba9876543210", drill: page}
`

func told(d router.Decision) string {
	var names []string
	for _, to := range d.Notify {
		names = append(names, to.Notifier)
	}
	return strings.Join(names, " ")
}

func TestTroubleOfTheBridgesOwnGoesToWatchOrElseToFallback(t *testing.T) {
	silent := router.Event{Source: router.SourceFlowbridge, Name: router.SourceSilent, Change: router.SilentWord,
		AlertState: router.Activated,
		Subject:    router.Subject{Kind: router.SubjectBridge, ID: "source", Name: "flowbridge"}}
	slow := router.Event{Source: router.SourceFlowbridge, Name: router.SlowAnswers, Change: router.SlowWord,
		AlertState: router.Activated}
	parked := router.Event{Source: router.SourceFlowbridge, Name: router.ParkedDelivery,
		Act: &router.Act{Notifier: "other"}}
	for _, tt := range []struct{ name, rules, silent, slow, parked string }{
		{"nobody is named", "default: {notify: other}", "", "", ""},
		{"a channel is the fallback", "default: {notify: other}\nfallback: chat", "chat", "chat", "chat"},
		{"a pager is the fallback", "default: {notify: other}\nfallback: page", "page", "", "page"},
		{"watch names one", "default: {notify: other}\nfallback: page\nwatch: {notify: [chat]}", "chat", "chat", "page"},
		{"a rule names it",
			"rules: [{name: r, match: {event: BRIDGE_SOURCE_SILENT, change: SILENT}, notify: other}]\nwatch: {notify: [chat]}",
			"other", "chat", ""},
		{"a rule that names no event is not asked",
			"rules: [{name: r, match: {}, notify: other}]\nwatch: {notify: [{to: chat, severity: \">=error\"}]}", "chat",
			"", ""},
	} {
		r, err := Load("rules.yaml", []byte(watchHead+tt.rules+"\n"), testConfig())
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := []string{told(r.Decide(&silent)), told(r.Decide(&slow)), told(r.Decide(&parked))}
		if diff := cmp.Diff([]string{tt.silent, tt.slow, tt.parked}, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.name, diff)
		}
	}
}

func TestADrillIsToldAtOnceAndPagesOnlyWhereThatIsSaid(t *testing.T) {
	r, err := Load("rules.yaml", []byte(watchHead+`
rules:
  - {name: checkout, match: {flow: "1"}, notify: [{to: other, after: 5m, mention: here, remind: 30m}, drilled], resolve_after: 10m}
default: {notify: [chat, page]}
`), testConfig())
	if err != nil {
		t.Fatal(err)
	}
	drill := func(state, rule string) router.Event {
		value, _ := json.Marshal(map[string]string{DrillRule: rule})
		return router.Event{Source: router.SourceMeta, Name: router.EndpointAvailability, Flow: "000176", AlertState: state,
			Value: value}
	}
	for _, tt := range []struct{ name, rule, want string }{
		{"whom default tells, without the pager", "", "chat"},
		{"whom the rule tells, with the pager that drills page", "checkout", "drilled other"},
		{"a rule that there is not", "gone", "chat"},
	} {
		begins, ends := drill(router.Activated, tt.rule), drill(router.Deactivated, tt.rule)
		d := r.Decide(&begins)
		if got := told(d); got != tt.want {
			t.Errorf("%s: told %q, want %q", tt.name, got, tt.want)
		}
		if d.FlowName != router.DrillName || d.ResolveAfter != 0 {
			t.Errorf("%s: %+v", tt.name, d)
		}
		for _, to := range d.Notify {
			if to.After != 0 || to.Mention != nil || to.Remind != 0 {
				t.Errorf("%s: it waits, calls somebody or reminds: %+v", tt.name, to)
			}
		}
		if d := r.Decide(&ends); len(d.Notify) > 0 {
			t.Errorf("%s: its end is told to %q beside those who heard of it", tt.name, told(d))
		}
	}
}

func TestDrillsAreAtTheSameTimesForEverybody(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, tt := range []struct {
		drill     Drill
		now, want string
	}{
		{Drill{Days: 1, At: 10 * time.Hour, Zone: time.UTC}, "2026-03-02T10:00:00Z", "2026-03-02T10:00:00Z"},
		{Drill{Days: 1, At: 10 * time.Hour, Zone: time.UTC}, "2026-03-02T09:59:59Z", "2026-03-01T10:00:00Z"},
		{Drill{Days: 7, At: 10 * time.Hour, Zone: time.UTC}, "2026-03-02T10:00:00Z", "2026-02-26T10:00:00Z"},
		{Drill{Days: 7, At: 10 * time.Hour, Zone: time.UTC}, "2026-03-05T09:00:00Z", "2026-02-26T10:00:00Z"},
		{Drill{Days: 7, At: 10 * time.Hour, Zone: time.UTC}, "2026-03-05T11:00:00Z", "2026-03-05T10:00:00Z"},
		{Drill{Days: 1, At: 10 * time.Hour, Zone: berlin}, "2026-07-01T08:30:00Z", "2026-07-01T08:00:00Z"},
		// the hour that is left out
		{Drill{Days: 1, At: 150 * time.Minute, Zone: berlin}, "2026-03-29T12:00:00Z", "2026-03-29T01:30:00Z"},
	} {
		if got := tt.drill.Slot(at(tt.now)); !got.Equal(at(tt.want)) {
			t.Errorf("%+v at %s: %s, want %s", tt.drill, tt.now, got.UTC().Format(time.RFC3339), tt.want)
		}
	}
	if got := (Drill{}).Slot(at("2026-03-02T10:00:00Z")); !got.IsZero() {
		t.Errorf("no drills, and one at %s", got)
	}
}

func TestReportsAreOfTheWeekBefore(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	monday := Report{Weekly: true, Day: time.Monday, At: 9 * time.Hour, Zone: berlin}
	for now, want := range map[string]string{
		"2026-03-02T08:00:00Z": "2026-03-02T08:00:00Z", // a Monday, 09:00 in Berlin
		"2026-03-02T07:59:59Z": "2026-02-23T08:00:00Z",
		"2026-03-08T23:00:00Z": "2026-03-02T08:00:00Z",
		"2026-03-30T07:00:00Z": "2026-03-30T07:00:00Z", // in summer
	} {
		at, err := time.Parse(time.RFC3339, now)
		if err != nil {
			t.Fatal(err)
		}
		if got := monday.Slot(at).UTC().Format(time.RFC3339); got != want {
			t.Errorf("at %s: %s, want %s", now, got, want)
		}
	}
	if got := (Report{}).Slot(time.Unix(1e9, 0)); !got.IsZero() {
		t.Errorf("no reports, and one at %s", got)
	}
	report := router.Event{Source: router.SourceFlowbridge, Name: router.WeeklyReport}
	r, err := Load("rules.yaml", []byte(watchHead+
		"default: {notify: other}\nfallback: page\nreport: {every: \"monday 09:00\", to: chat}\n"), testConfig())
	if err != nil {
		t.Fatal(err)
	}
	if got := told(r.Decide(&report)); got != "chat" {
		t.Errorf("a report is told to %q", got)
	}
}
