package rules

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	testKey           = "0123456789abcdef0123456789ABCDEF"
	testWebhookSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
)

// testConfig is a small world: what the files in testdata refer to.
func testConfig() Config {
	env := map[string]string{
		"PD_KEY": testKey, "PD_PAYMENTS_KEY": testKey, "HOOK_SECRET": testWebhookSecret, "SECRET_URL": "gopher://hunter2-url",
		"SHORT_KEY": "hunter2-short", "SECRET_CHANNEL": "hunter2-channel", "EMPTY": "",
		"SECRET_WHEN": "hunter2 > 1", "SECRET_TITLE": "{{.Hunter2}}", "TEAM": "hunter2-team", "FLOW_NAME": "Checkout",
	}
	return Config{
		Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		ReadFile: func(path string) ([]byte, error) {
			switch path {
			case "/run/secrets/key":
				return []byte(testKey + "\n"), nil
			case "/run/secrets/short":
				return []byte("hunter2-file\n"), nil
			}
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		},
	}
}

func mustLoad(t testing.TB, text string) *Rules {
	t.Helper()
	rules, err := Load("rules.yaml", []byte(text), testConfig())
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestEveryMistakeIsReportedInOneRunWithItsPosition(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Load(filepath.Base(file), data, testConfig())
			var mistakes *Mistakes
			if !errors.As(err, &mistakes) {
				t.Fatalf("error is %v", err)
			}
			got := err.Error() + "\n"
			if strings.Contains(strings.ToLower(got), "hunter2-") && !strings.Contains(got, `"hunter2-tem"`) ||
				strings.Contains(got, testKey) || strings.Contains(got, testWebhookSecret) || strings.Contains(got, "aHVudGVyM") {
				t.Errorf("a secret leaks:\n%s", got)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestTheExampleNeedsOneVariableAndCoversEveryEvent(t *testing.T) {
	data, err := os.ReadFile("../../rules.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	rules, err := Load("rules.example.yaml", data, Config{Env: func(name string) (string, bool) {
		asked = append(asked, name)
		return testKey, true
	}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"PD_PAYMENTS_KEY"}, asked); diff != "" {
		t.Errorf("variables: -want +got\n%s", diff)
	}
	want := []string{"ops-chat slack #flow-ops", "payments-chat slack #payments-alerts", "payments-oncall pagerduty "}
	var got []string
	for _, target := range rules.Targets() {
		got = append(got, fmt.Sprintf("%s %s %s", target.Notifier, target.Kind, target.Address))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("targets: -want +got\n%s", diff)
	}
	if fallback, ok := rules.Fallback(); !ok || fallback.Notifier != "ops-chat" {
		t.Errorf("fallback is %+v", fallback)
	}
	if !rules.WantsField(router.MessagesField) {
		t.Error("the example asks for no responses")
	}

	const checkout, signUp = "1987937931743377", "2046115872904163"
	// a Wednesday
	morning, evening := time.Date(2026, 1, 7, 9, 0, 0, 0, time.UTC), time.Date(2026, 1, 7, 21, 0, 0, 0, time.UTC)
	event := func(name, flow string, change func(*router.Event)) router.Event {
		ev := router.Event{Source: router.SourceMeta, Field: "flows", Name: name, Flow: flow, At: morning}
		change(&ev)
		return ev
	}
	active := func(threshold float64) func(*router.Event) {
		return func(ev *router.Event) { ev.AlertState, ev.Threshold = router.Activated, &threshold }
	}
	status := func(old, now string) func(*router.Event) {
		return func(ev *router.Event) { ev.OldStatus, ev.NewStatus = old, now }
	}
	account := func(kind router.SubjectKind, change, state string) func(*router.Event) {
		return func(ev *router.Event) {
			ev.Subject, ev.Change, ev.AlertState, ev.Value = router.Subject{Kind: kind, ID: "1"}, change, state,
				[]byte(`{"reason":"NONE"}`)
		}
	}
	value := func(json string) func(*router.Event) { return func(ev *router.Event) { ev.Value = []byte(json) } }
	for _, c := range []struct {
		ev   router.Event
		want string
	}{
		{event(router.EndpointErrorRate, checkout, active(5)), "payments endpoint is failing: warning to payments-chat"},
		{event(router.EndpointErrorRate, checkout, active(10)),
			"payments endpoint is failing: error to payments-chat, payments-oncall"},
		{event(router.EndpointErrorRate, signUp, active(50)), "sign-up is failing: critical to ops-chat"},
		{event(router.EndpointErrorRate, signUp, func(ev *router.Event) { active(50)(ev); ev.At = evening }),
			"sign-up is failing and nobody may see it: critical to ops-chat, payments-oncall"},
		{event(router.EndpointErrorRate, signUp, func(ev *router.Event) { active(5)(ev); ev.At = evening }),
			"sign-up is failing and nobody may see it: warning to ops-chat"},
		{event(router.ClientErrorRate, signUp, active(50)), "flow health: critical to ops-chat"},
		{event(router.EndpointAvailability, checkout, active(90)),
			"payments endpoint is failing: critical to payments-chat, payments-oncall"},
		{event(router.EndpointLatency, checkout, active(1000)), "flow health: warning to ops-chat"},
		{event(router.EndpointLatency, checkout, active(5000)),
			"payments endpoint is slow: critical to payments-chat, payments-oncall"},
		{event(router.EndpointLatency, signUp, func(ev *router.Event) { active(1000)(ev); ev.Requests = new(3.0) }),
			"few requests say nothing about latency: dropped"},
		{event(router.ClientErrorRate, checkout, active(50)), "payments client errors: error to payments-chat"},
		{event(router.FlowStatusChange, signUp, status(router.Published, router.Throttled)),
			"throttled flows: error to ops-chat"},
		{event(router.FlowStatusChange, signUp, status(router.Throttled, router.Blocked)),
			"blocked flows page at once: critical to ops-chat, payments-oncall"},
		{event(router.FlowStatusChange, signUp, status(router.Draft, router.Published)),
			"published or retired: info to ops-chat"},
		{event(router.FlowStatusChange, signUp, status(router.Published, router.Deprecated)),
			"published or retired: info to ops-chat"},
		{event(router.FlowStatusChange, signUp, status("", router.Draft)), "default: info to ops-chat"},
		{event(router.FlowVersionExpiryWarning, checkout, status("", "")), "a version will expire: info to ops-chat"},
		{event(router.FlowResponse, "", value(`{"response":{"call_me_back":true,"topic":"Refund","phone":"+1"}}`)),
			"somebody asks to be called back: info to payments-chat with topic=Refund"},
		{event(router.FlowResponse, "", value(`{"response":{}}`)), "default: info to nobody"},
		{event("MESSAGE_TEMPLATE_STATUS_UPDATE", "", account(router.SubjectTemplate, "REJECTED", "")),
			"a message template was rejected: warning to ops-chat with reason=NONE"},
		{event("MESSAGE_TEMPLATE_STATUS_UPDATE", "", account(router.SubjectTemplate, "PAUSED", router.Activated)),
			"a phone number or a template is in trouble: warning to ops-chat with reason=NONE"},
		{event("MESSAGE_TEMPLATE_STATUS_UPDATE", "", account(router.SubjectTemplate, "APPROVED", router.Deactivated)),
			"approvals and higher limits: info to ops-chat"},
		{event("PHONE_NUMBER_QUALITY_UPDATE", "", account(router.SubjectPhone, "FLAGGED", router.Activated)),
			"a phone number or a template is in trouble: error to ops-chat with reason=NONE"},
		{event("PHONE_NUMBER_QUALITY_UPDATE", "", account(router.SubjectPhone, "UNFLAGGED", router.Deactivated)),
			"default: info to nobody"},
		{event("SECURITY", "", account(router.SubjectPhone, "PIN_CHANGED", "")),
			"somebody changes the PIN of a phone number: critical to ops-chat, payments-oncall"},
		{event("ACCOUNT_REVIEW_UPDATE", "", account(router.SubjectAccount, "REJECTED", router.Activated)),
			"the account is in danger: critical to ops-chat, payments-oncall"},
		{event("ACCOUNT_REVIEW_UPDATE", "", account(router.SubjectAccount, "PENDING", "")), "default: info to ops-chat"},
		{event("SOMETHING_NEW", "", value(`{}`)), "default: info to ops-chat"},
	} {
		d := rules.Decide(&c.ev)
		if got := inWords(d); got != c.want {
			t.Errorf("%s of %q: got %s, want %s", c.ev.Name, c.ev.Flow, got, c.want)
		}
	}
}

// inWords writes a decision on one line.
func inWords(d router.Decision) string {
	var to []string
	for _, target := range d.Notify {
		to = append(to, target.Notifier)
	}
	if len(to) == 0 {
		to = []string{"nobody"}
	}
	name := strings.Join(d.Rules, " + ")
	if name == "" {
		name = d.Rule()
	}
	out := fmt.Sprintf("%s: %s to %s", name, d.Severity, strings.Join(to, ", "))
	if d.Drop {
		out = name + ": dropped"
	}
	if d.GroupBy != router.GroupBySignal {
		out += " by " + string(d.GroupBy)
	}
	for i, f := range d.Fields {
		out += map[bool]string{true: " with ", false: " "}[i == 0] + f.Name + "=" + f.Value
	}
	return out
}

func TestAnAddressMayHaveReferencesInIt(t *testing.T) {
	cfg := Config{
		Env: func(name string) (string, bool) {
			return map[string]string{"ENV": "prod", "HOST": "hooks.example.com"}[name], true
		},
		ReadFile: func(string) ([]byte, error) { return []byte("token\n"), nil },
	}
	const text = `
version: 1
notifiers:
  chat: {kind: slack, channel: "#alerts-${ENV}"}
  hook: {kind: webhook, url: "https://${HOST}/x/${file:/run/token}", secret: "` + testWebhookSecret + `"}
default: {notify: chat}
`
	rules, err := Load("rules.yaml", []byte(text), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"chat": "#alerts-prod", "hook": "https://hooks.example.com/x/token"} {
		if target, _ := rules.Target(name); target.Address != want {
			t.Errorf("%s is at %s", name, target.Address)
		}
	}
	if _, err := Load("rules.yaml", []byte(text), Config{Env: func(string) (string, bool) { return "a b", true },
		ReadFile: cfg.ReadFile}); err == nil ||
		strings.Contains(err.Error(), "a b") || !strings.Contains(err.Error(), "rules.yaml:4:") {
		t.Errorf("a channel with a space in it: %v", err)
	}
	if _, err = Load("rules.yaml", []byte(text), Config{StandIns: true, ReadFile: cfg.ReadFile}); err != nil {
		t.Error(err)
	}
}

func TestReferencesStandForWholeValues(t *testing.T) {
	rules := mustLoad(t, `
version: 1
flows:
  1987937931743377: {name: Checkout, runbook: https://example.com/x}
  9007199254740993: {name: beyond what a float can hold}
  007: {name: odd, cost: 0x10}
  "2": {name: "$${X} and $$${file:/x}, $$5, ${ {{", runbook: "https://example.com/$${X}"}
notifiers:
  env: {kind: pagerduty, routing_key: "${PD_KEY}"}
  file: {kind: pagerduty, routing_key: "${file:/run/secrets/key}"}
  id: {kind: slack, channel: C0123456789}
default: {notify: env}
`)
	for _, name := range []string{"env", "file"} {
		if target, _ := rules.Target(name); target.Credential.Reveal() != testKey {
			t.Errorf("%s is %q", name, target.Credential.Reveal())
		}
	}
	if target, ok := rules.Target("id"); !ok || target.Address != "C0123456789" {
		t.Errorf("id is %+v", target)
	}
	if diff := cmp.Diff([]string{"007", "1987937931743377", "2", "9007199254740993"},
		slices.Sorted(maps.Keys(rules.flows))); diff != "" {
		t.Errorf("ids: -want +got\n%s", diff)
	}
	want := router.FlowInfo{FlowName: "Checkout", Runbook: "https://example.com/x", Labels: map[string]string{}}
	if diff := cmp.Diff(want, rules.flows["1987937931743377"]); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got, want := rules.flows["2"], (router.FlowInfo{
		FlowName: "${X} and $${file:/x}, $$5, ${ {{", Runbook: "https://example.com/${X}",
		Labels: map[string]string{}}); !cmp.Equal(got, want) {
		t.Errorf("what is meant as it stands is %+v", got)
	}
	if _, ok := rules.Fallback(); ok {
		t.Error("there is a fallback that nobody named")
	}
	if rules.WantsField(router.MessagesField) {
		t.Error("nobody asks for responses")
	}
}

func TestAFewAliasesCannotStandForEverything(t *testing.T) {
	var text strings.Builder
	text.WriteString(
		"version: 1\nnotifiers: {chat: {kind: slack, channel: \"#chat\"}}\nrules:\n  - &r {name: a, match: {}, notify: &n [")
	text.WriteString(strings.Repeat("chat, ", 2000))
	text.WriteString("chat]}\n")
	for i := range 2000 {
		fmt.Fprintf(&text, "  - {name: r%d, match: {}, notify: *n}\n", i)
	}
	_, err := Load("rules.yaml", []byte(text.String()), Config{})
	if err == nil || !strings.Contains(err.Error(), "stands for too many values") {
		t.Errorf("error is %v", err)
	}
}

func TestAFileThatIsTooLargeIsRefusedUnread(t *testing.T) {
	_, err := Load("rules.yaml", make([]byte, yamldoc.MaxFile+1), Config{})
	if want := "rules.yaml:1:1: the file is larger than 4 MiB"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestFilesThatHaveTooManyValuesTogetherAreRefused(t *testing.T) {
	var files []File
	for i := range 4 {
		files = append(files, File{fmt.Sprintf("%d.yaml", i),
			[]byte("version: 1\nx: [" + strings.Repeat("a,", yamldoc.MaxNodes/2) + "]")})
	}
	_, err := LoadFiles(files, Config{})
	if want := "3.yaml:1:1: the files before this one have too many values (keep rules shorter)"; err == nil ||
		!strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}
