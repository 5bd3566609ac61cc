package stories

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/rules/yamldoc"
)

// plainEvent builds events without Meta's protocol, which is not known here.
func plainEvent(e *Event, now time.Time) ([]router.Event, error) {
	ev := router.Event{Source: router.SourceMeta, Field: e.Field, WABA: "9", Flow: e.Flow, Name: e.Name,
		At: now.Add(-e.Late), Received: now,
		AlertState: e.AlertState, OldStatus: e.OldStatus, NewStatus: e.NewStatus, Threshold: e.Threshold,
		Reading: router.Reading{Value: e.Value}}
	if router.UnitOf(e.Name) != router.NoUnit && e.AlertState == "" {
		ev.AlertState = router.Activated
	}
	return []router.Event{ev}, nil
}

// world is what the stories below are played in; rules are added to it.
const world = `
version: 1
flows:
  "1": {name: Checkout, team: payments, runbook: https://example.com/checkout}
  "2": {name: Sign-up, team: growth}
  "3": {name: Refund, team: payments, tier: gold}
notifiers:
  chat: {kind: slack, channel: "#chat"}
  ops: {kind: slack, channel: "#ops"}
  page: {kind: pagerduty, routing_key: "${PD_KEY}"}
`

const ending = "\ndefault: {notify: ops}\nfallback: ops\n"

func storyWorld(text string) func(string, map[string]string) (*rules.Rules, error) {
	return func(path string, env map[string]string) (*rules.Rules, error) {
		if path != "rules.yaml" {
			return nil, fmt.Errorf("%s: %w", path, os.ErrNotExist)
		}
		return rules.Load(path, []byte(world+text+ending),
			rules.Config{Env: func(name string) (string, bool) { return "0123456789abcdef0123456789abcdef", true }})
	}
}

// TestStoryFilesReportEveryMistakeWithItsPlace compares with the .want beside each file of testdata.
func TestStoryFilesReportEveryMistakeWithItsPlace(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Load(filepath.Base(file), data, storyWorld("rules: [{name: a, match: {}, notify: [chat]}]"))
			var mistakes *yamldoc.Mistakes
			if !errors.As(err, &mistakes) {
				t.Fatalf("got %v, want mistakes", err)
			}
			want, err := os.ReadFile(strings.TrimSuffix(file, ".yaml") + ".want")
			if err != nil {
				t.Fatalf("%v; got\n%s", err, mistakes)
			}
			if diff := cmp.Diff(strings.TrimSpace(string(want)), mistakes.Error()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// TestStories plays one step after another; the last says who is told what, and the test is what the diff is.
func TestStories(t *testing.T) {
	const rules = `
rules:
  - name: page
    match: {event: ENDPOINT_ERROR_RATE}
    resolve_after: 10m
    notify: [chat, {to: page, severity: ">=error", after: 5m, unless: acknowledged}]
  - name: wakes
    match: {event: CLIENT_ERROR_RATE}
    on_escalation: page
    acknowledged_for: 4h
    notify: [page]
  - name: reminds
    match: {event: ENDPOINT_LATENCY}
    acknowledged_for: 2h
    notify: [{to: chat, mention: here, remind: 30m}, {to: page, remind: 1h}]
`
	for _, c := range []struct {
		name  string
		steps string
		want  []string // of all steps: "- wanted", "+ got", "  as expected", "! problem"
	}{
		{"as expected",
			`[{event: ENDPOINT_ERROR_RATE, flow: Checkout, threshold: 10, told: {chat: open error}}, {wait: 5m, told: {page: open error}}]`, nil},
		{"a wait that is too short",
			`[{event: ENDPOINT_ERROR_RATE, flow: Checkout, threshold: 10, told: {chat: open error}}, {wait: 299s, told: {page: open error}}]`, []string{"- page: open error"}},
		{"silence is asserted", `[{event: ENDPOINT_ERROR_RATE, flow: Checkout, threshold: 10, told: nobody}]`,
			[]string{`+ chat: open error (rule "page")`}},
		{"and so is a wrong severity",
			`[{event: ENDPOINT_ERROR_RATE, flow: Checkout, threshold: 5, told: {chat: open error}}]`,
			[]string{"- chat: open error", `+ chat: open warning (rule "page")`}},
		{"anything will do", `[{event: ENDPOINT_ERROR_RATE, flow: Checkout, threshold: 5, told: [chat]}]`, nil},
		{"nothing will not", `[{event: ENDPOINT_ERROR_RATE, flow: Checkout, threshold: 5, told: [chat, page]}]`,
			[]string{"  chat: anything", "- page: anything"}},
		{"who must not be told", `[{event: ENDPOINT_ERROR_RATE, flow: Checkout, threshold: 5, not_told: [page, chat]}]`,
			[]string{`+ chat: open warning (rule "page")`}},
		{"a step that says nothing asserts nothing", `[{event: ENDPOINT_ERROR_RATE, flow: Checkout, threshold: 5}]`, nil},
		{"an acknowledgement stops the page",
			`[{event: ENDPOINT_ERROR_RATE, flow: Checkout, threshold: 10}, {acknowledge: anna, told: {chat: acknowledge}}, {wait: 1h, told: nobody}]`, nil},
		{"until it is taken back",
			`[{event: ENDPOINT_ERROR_RATE, flow: Checkout, threshold: 10}, {acknowledge: anna}, {wait: 1h}, {unacknowledge: anna, told: {chat: unacknowledge, page: open error}}]`, nil},
		{"a person can page at once",
			`[{event: ENDPOINT_ERROR_RATE, flow: Checkout, threshold: 5}, {page: {by: anna, in: chat}, told: {page: open warning}}]`, nil},
		{"a flap is one incident",
			`[{event: ENDPOINT_ERROR_RATE, flow: Checkout, threshold: 5}, {event: ENDPOINT_ERROR_RATE, flow: Checkout, threshold: 5, alert_state: DEACTIVATED, told: nobody},
			{wait: 5m, event: ENDPOINT_ERROR_RATE, flow: Checkout, threshold: 5, told: nobody}, {event: ENDPOINT_ERROR_RATE, flow: Checkout, threshold: 5, alert_state: DEACTIVATED}, {wait: 10m, told: {chat: resolve}}]`, nil},
		{"resolved and reopened by hand",
			`[{event: ENDPOINT_ERROR_RATE, flow: Checkout, threshold: 5}, {resolve: anna, told: {chat: resolve}}, {reopen: ben, told: {chat: open warning}}]`, nil},
		{"worse while acknowledged pages anew",
			`[{event: CLIENT_ERROR_RATE, flow: Checkout, threshold: 5, told: {page: open warning}}, {acknowledge: {by: anna, in: page}}, {event: CLIENT_ERROR_RATE, flow: Checkout, threshold: 50, told: {page: [rise critical, open critical]}}]`, nil},
		{"an acknowledgement that nobody follows up ends",
			`[{event: CLIENT_ERROR_RATE, flow: Checkout, threshold: 5}, {acknowledge: anna, told: {page: acknowledge}}, {wait: 239m, told: nobody}, {wait: 1m, told: {page: unacknowledge}}, {wait: 1d, told: nobody}]`, nil},
		{"what nobody has is told again",
			`[{event: ENDPOINT_LATENCY, flow: Checkout, threshold: 5000, told: {chat: open error, page: open error}}, {wait: 29m, told: nobody}, {wait: 1m, told: {chat: remind, page: update}},
			{wait: 30m, told: {chat: remind, page: remind}}, {acknowledge: anna, told: {chat: acknowledge, page: acknowledge}}, {wait: 119m, told: nobody}, {wait: 1m, told: {chat: unacknowledge, page: unacknowledge}},
			{wait: 30m, told: {chat: remind, page: update}}, {event: ENDPOINT_LATENCY, flow: Checkout, threshold: 5000, alert_state: DEACTIVATED, told: {chat: resolve, page: resolve}}, {wait: 1d, told: nobody}]`, nil},
		{"a silence by label",
			`[{silence: {by: anna, team: growth, for: 1h}}, {event: ENDPOINT_ERROR_RATE, flow: Sign-up, threshold: 5, told: nobody}, {event: ENDPOINT_ERROR_RATE, flow: Checkout, threshold: 5, told: {chat: open warning}}, {unsilence: anna, told: {chat: open warning}}]`, nil},
		{"a silence until it has recovered",
			`[{silence: {by: anna, flow: Sign-up}}, {event: CLIENT_ERROR_RATE, flow: Sign-up, threshold: 5, told: nobody}, {event: CLIENT_ERROR_RATE, flow: Sign-up, threshold: 5, alert_state: DEACTIVATED, told: nobody}, {event: CLIENT_ERROR_RATE, flow: Sign-up, threshold: 5, told: {page: open warning}}]`, nil},
		{"a late event changes nothing",
			`[{event: CLIENT_ERROR_RATE, flow: Sign-up, threshold: 5, alert_state: DEACTIVATED, told: {page: resolve}}, {late: 10m, event: CLIENT_ERROR_RATE, flow: Sign-up, threshold: 5, told: nobody}]`, nil},
		{"two incidents of one flow",
			`[{event: CLIENT_ERROR_RATE, flow: Sign-up, threshold: 5}, {event: ENDPOINT_ERROR_RATE, flow: Sign-up, threshold: 5}, {acknowledge: anna}]`,
			[]string{"! 2 incidents are open (CLIENT_ERROR_RATE of Sign-up, ENDPOINT_ERROR_RATE of Sign-up): " +
				"say which with flow or event"}},
		{"one of them",
			`[{event: CLIENT_ERROR_RATE, flow: Sign-up, threshold: 5}, {event: ENDPOINT_ERROR_RATE, flow: Sign-up, threshold: 5}, {acknowledge: {by: anna, event: CLIENT_ERROR_RATE}, told: {page: acknowledge}}]`, nil},
		{"nothing to acknowledge", `[{acknowledge: anna}]`, []string{"! there is no incident that is open"}},
		{"no silence to end", `[{unsilence: anna}]`, []string{"! no silence was added"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := "rules: rules.yaml\nstories:\n  - name: a\n    at: 2026-03-02 09:00 Europe/Berlin\n    steps: " +
				c.steps + "\n"
			stories, err := Load("a.test.yaml", []byte(text), storyWorld(rules))
			if err != nil {
				t.Fatal(err)
			}
			result := stories.Run(&stories.Stories[0], plainEvent)
			var got []string
			for _, step := range result.Steps {
				if step.Problem != "" {
					got = append(got, "! "+step.Problem)
				}
				for _, line := range step.Diff {
					text := fmt.Sprintf("%c %s", line.Sign, line.Text)
					if line.Note != "" {
						text += " (" + line.Note + ")"
					}
					got = append(got, text)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if result.Failed() != (len(c.want) > 0) {
				t.Errorf("Failed() is %v", result.Failed())
			}
		})
	}
}

// FuzzLoadStories holds that whatever somebody writes is answered with mistakes or stories that can be played.
func FuzzLoadStories(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(
		[]byte(
			"rules: rules.yaml\nstories: [{name: a, steps: [{event: ENDPOINT_ERROR_RATE, flow: \"1\", threshold: 10, told: " +
				"{chat: open error}}, {wait: 1h}, {acknowledge: a}]}]"))
	load := storyWorld("rules: [{name: a, match: {}, notify: [chat]}]")
	f.Fuzz(func(t *testing.T, data []byte) {
		stories, err := Load("a.yaml", data, load)
		if err != nil {
			var mistakes *yamldoc.Mistakes
			if !errors.As(err, &mistakes) || len(*mistakes) == 0 {
				t.Fatalf("got %v, want mistakes", err)
			}
			return
		}
		for i := range min(len(stories.Stories), 5) {
			stories.Run(&stories.Stories[i], plainEvent)
		}
	})
}
