package rules

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

func compiledSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("rules.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("rules.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON reads a YAML file as an editor does that checks it against a JSON Schema.
func asJSON(t testing.TB, data []byte) any {
	t.Helper()
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	return jsonOf(t, root.Content[0])
}

func jsonOf(t testing.TB, n *yaml.Node) any {
	switch n = yamldoc.Follow(n); n.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			out[n.Content[i].Value] = jsonOf(t, n.Content[i+1])
		}
		return out
	case yaml.SequenceNode:
		out := []any{}
		for _, item := range n.Content {
			out = append(out, jsonOf(t, item))
		}
		return out
	}
	var v any
	if err := n.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if _, ok := v.(time.Time); ok {
		return n.Value
	}
	return v
}

// places returns where a value is not as the schema wants it, as paths of the loader; nil if it is.
func places(t testing.TB, s *jsonschema.Schema, v any) []string {
	err := s.Validate(v)
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	found := map[string]bool{}
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(e.Causes) == 0 {
			found[strings.Join(e.InstanceLocation, "/")] = true
		}
		for _, cause := range e.Causes {
			walk(cause)
		}
	}
	walk(invalid)
	return slices.Sorted(maps.Keys(found))
}

func TestTheSchemaTakesGoodFiles(t *testing.T) {
	s := compiledSchema(t)
	good, err := filepath.Glob("testdata/[tw]*/*.yaml") // teams and warnings
	if err != nil || len(good) < 3 {
		t.Fatal(good, err)
	}
	for _, file := range append(good, "../../rules.example.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if at := places(t, s, asJSON(t, data)); at != nil {
			t.Errorf("%s: not taken at %v: %v", file, at, s.Validate(asJSON(t, data)))
		}
	}
}

func TestTheSchemaFindsWhatIsWrongAndWhere(t *testing.T) {
	s := compiledSchema(t)
	for _, c := range []struct{ name, text, at string }{
		{"no version", "default: {notify: chat}", ""},
		{"a version that does not exist", "version: 2", "version"},
		{"an unknown key at the top", "version: 1\ndefualt: {notify: chat}", ""},
		{"a notifier without kind", "version: 1\nnotifiers: {chat: {channel: \"#chat\"}}", "notifiers/chat"},
		{"a kind that does not exist", "version: 1\nnotifiers: {chat: {kind: slak, channel: \"#chat\"}}",
			"notifiers/chat/kind"},
		{"a channel for PagerDuty",
			"version: 1\nnotifiers: {page: {kind: pagerduty, routing_key: \"${X}\", channel: \"#chat\"}}", "notifiers/page"},
		{"a variable in a title", "version: 1\ndefault: {notify: chat, title: \"at ${X}\"}", "default/title"},
		{"a file in a name", "version: 1\nrules: [{name: \"${file:/x}\", match: {}, notify: chat}]", "rules/0/name"},
		{"a variable for a duration", "version: 1\ndefault: {notify: chat, resolve_after: \"${X}\"}",
			"default/resolve_after"},
		{"a variable for a severity", "version: 1\ndefault: {notify: chat, severity: \"${X}\"}", "default/severity"},
		{"a channel without #", "version: 1\nnotifiers: {chat: {kind: slack, channel: chat}}", "notifiers/chat/channel"},
		{"a routing key that is too short", "version: 1\nnotifiers: {page: {kind: pagerduty, routing_key: abc}}",
			"notifiers/page/routing_key"},
		{"a webhook that everybody on the way can read",
			"version: 1\nnotifiers: {hook: {kind: webhook, url: \"http://hooks.example.com/x\", secret: \"${X}\"}}",
			"notifiers/hook/url"},
		{"a webhook with a password",
			"version: 1\nnotifiers: {hook: {kind: webhook, url: \"https://me:pw@hooks.example.com/x\", secret: \"${X}\"}}",
			"notifiers/hook/url"},
		{"a webhook with a short secret",
			"version: 1\nnotifiers: {hook: {kind: webhook, url: \"https://hooks.example.com/x\", secret: whsec_abc}}",
			"notifiers/hook/secret"},
		{"a webhook without a secret", "version: 1\nnotifiers: {hook: {kind: webhook, url: \"https://hooks.example.com/x\"}}",
			"notifiers/hook"},
		{"a routing key for a webhook",
			"version: 1\nnotifiers: {hook: {kind: webhook, url: \"https://hooks.example.com/x\", secret: \"${X}\", " +
				"routing_key: \"${X}\"}}", "notifiers/hook"},
		{"a name that may press buttons", "version: 1\nnotifiers: {chat: {kind: slack, channel: \"#chat\", allow: [anna]}}",
			"notifiers/chat/allow/0"},
		{"no notifiers in notifiers", "version: 1\nnotifiers: {}", "notifiers"},
		{"a label that rules know already", "version: 1\nflows: {\"1\": {event: x}}", ""},
		{"a label with two values", "version: 1\nflows: {\"1\": {team: [a, b]}}", "flows/1/team"},
		{"a runbook that is no link", "version: 1\nflows: {\"1\": {runbook: wiki}}", "flows/1/runbook"},
		{"a day that does not exist", "version: 1\nwindows: {x: {days: [mon-freitag]}}", "windows/x/days/0"},
		{"a date without a day", "version: 1\nwindows: {x: {dates: [2026-12]}}", "windows/x/dates/0"},
		{"a flow without an id", "version: 1\nflows: {Checkout: {team: a}}", ""},
		{"an account without an id", "version: 1\naccounts: {1.98e15: {team: a}}", ""},
		{"not two things", "version: 1\nrules: [{name: a, match: {event: {not: x, is: y}}, notify: chat}]",
			"rules/0/match/event"},
		{"a subject that does not exist", "version: 1\nrules: [{name: a, match: {subject: phones}, notify: chat}]",
			"rules/0/match/subject"},
		{"hours without minutes", "version: 1\nwindows: {x: {hours: 9-18}}", "windows/x/hours"},
		{"a window without anything", "version: 1\nwindows: {x: {}}", "windows/x"},
		{"rules that are a map", "version: 1\nrules: {}", "rules"},
		{"a rule without a name", "version: 1\nrules: [{match: {}, notify: chat}]", "rules/0"},
		{"a rule that tells nobody", "version: 1\nrules: [{name: a, match: {}}]", "rules/0"},
		{"a rule that drops and tells", "version: 1\nrules: [{name: a, match: {}, drop: true, notify: chat}]", "rules/0"},
		{"a rule that drops and continues", "version: 1\nrules: [{name: a, match: {}, drop: true, continue: true}]",
			"rules/0"},
		{"a rule called default", "version: 1\nrules: [{name: default, match: {}, notify: chat}]", "rules/0/name"},
		{"an unknown key of a rule", "version: 1\nrules: [{name: a, match: {}, notfy: chat}]", "rules/0"},
		{"a match that is a word", "version: 1\nrules: [{name: a, match: all, notify: chat}]", "rules/0/match"},
		{"an alert state that does not exist", "version: 1\nrules: [{name: a, match: {alert_state: ACTIVE}, notify: chat}]",
			"rules/0/match/alert_state"},
		{"a threshold that is none", "version: 1\nrules: [{name: a, match: {threshold: [\"about 5\"]}, notify: chat}]",
			"rules/0/match/threshold/0"},
		{"a severity that does not exist", "version: 1\nrules: [{name: a, match: {}, severity: fatal, notify: chat}]",
			"rules/0/severity"},
		{"a severity of what is no threshold",
			"version: 1\nrules: [{name: a, match: {}, severity: {\">=10\": error}, notify: chat}]", "rules/0/severity"},
		{"severities that nothing has",
			"version: 1\nrules: [{name: a, match: {}, notify: {to: chat, severity: \">critical\"}}]", "rules/0/notify/severity"},
		{"an entry of notify without to", "version: 1\nrules: [{name: a, match: {}, notify: [{after: 5m}]}]",
			"rules/0/notify/0"},
		{"a time without a unit", "version: 1\nrules: [{name: a, match: {}, notify: {to: chat, after: 5}}]",
			"rules/0/notify/after"},
		{"unless something else", "version: 1\nrules: [{name: a, match: {}, notify: {to: chat, unless: resolved}}]",
			"rules/0/notify/unless"},
		{"a rise that does something else", "version: 1\nrules: [{name: a, match: {}, on_escalation: shout, notify: chat}]",
			"rules/0/on_escalation"},
		{"a watch that nobody understands", "version: 1\nwatch: {after: sometimes}", "watch/after"},
		{"a report on no day", "version: 1\nreport: {every: \"mon 09:00\", to: x}", "report/every"},
		{"a report to nobody", "version: 1\nreport: {every: \"monday 09:00\"}", "report"},
		{"a drill without every", "version: 1\ndrill: {at: \"10:00\"}", "drill"},
		{"a drill every hour", "version: 1\ndrill: {every: 1h}", "drill/every"},
		{"a drill at noon", "version: 1\ndrill: {every: 1d, at: noon}", "drill/at"},
		{"a channel that drills page", "version: 1\nnotifiers: {chat: {kind: slack, channel: \"#chat\", drill: page}}",
			"notifiers/chat"},
		{"a drill that does something else",
			"version: 1\nnotifiers: {page: {kind: pagerduty, routing_key: \"${X}\", drill: card}}", "notifiers/page/drill"},
		{"a default that matches", "version: 1\ndefault: {notify: chat, match: {}}", "default"},
	} {
		at := places(t, s, asJSON(t, []byte(c.text)))
		if !slices.Contains(at, c.at) {
			t.Errorf("%s: found at %q, want %q", c.name, at, c.at)
		}
		if _, err := Load("rules.yaml", []byte(c.text), testConfig()); err == nil {
			t.Errorf("%s: the loader takes it", c.name)
		}
	}
	for _, name := range []string{"a-list", "times", "unknown-keys", "values", "wrong-kinds"} {
		data, err := os.ReadFile("testdata/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if places(t, s, asJSON(t, data)) == nil {
			t.Errorf("%s.yaml is taken", name)
		}
	}
}

func TestEveryKeyOfTheSchemaIsDescribed(t *testing.T) {
	for _, k := range allKeys() {
		if len(k.about) < 10 || !strings.HasSuffix(k.about, ".") && !strings.HasSuffix(k.about, "}}.") {
			t.Errorf("%s is described as %q", k.name, k.about)
		}
	}
}

func allKeys() (keys []key) {
	for _, t := range []table{fileKeys, flowKeys, accountKeys, notKeys, notifierKeys(router.KindSlack),
		notifierKeys(router.KindPagerDuty), notifierKeys(router.KindWebhook), windowKeys, matchKeys, actionKeys, ruleKeys,
		routeKeys, watchKeys, drillKeys, reportKeys} {
		keys = append(keys, t.keys...)
	}
	return keys
}

// TestTheLoaderReadsEveryKeyOfTheTables writes something impossible under each key: the loader must notice.
func TestTheLoaderReadsEveryKeyOfTheTables(t *testing.T) {
	const head = "version: 1\nnotifiers: {chat: {kind: slack, channel: \"#chat\"}}\n"
	for _, c := range []struct {
		table table
		text  string // with a place for the key and its value
		path  string
	}{
		{flowKeys, head + "flows: {\"1\": {%s: %s}}\n", "flows.1."},
		{accountKeys, head + "accounts: {\"1\": {%s: %s}}\n", "accounts.1."},
		{notKeys, head + "rules: [{name: a, match: {event: {%s: %s}}, notify: chat}]\n", "rules[0].match.event."},
		{notifierKeys(router.KindSlack), "version: 1\nnotifiers: {chat: {kind: slack, %s: %s}}\n", "notifiers.chat."},
		{notifierKeys(router.KindPagerDuty), "version: 1\nnotifiers: {chat: {kind: pagerduty, %s: %s}}\n", "notifiers.chat."},
		{notifierKeys(router.KindWebhook), "version: 1\nnotifiers: {chat: {kind: webhook, %s: %s}}\n", "notifiers.chat."},
		{windowKeys, head + "windows: {w: {%s: %s}}\n", "windows.w."},
		{matchKeys, head + "rules: [{name: a, match: {%s: %s}, notify: chat}]\n", "rules[0].match."},
		{actionKeys, head + "default: {%s: %s}\n", "default."},
		{ruleKeys, head + "rules: [{%s: %s}]\n", "rules[0]."},
		{routeKeys, head + "default: {notify: {%s: %s}}\n", "default.notify."},
		{watchKeys, head + "watch: {%s: %s}\n", "watch."},
		{drillKeys, head + "drill: {%s: %s}\n", "drill."},
		{reportKeys, head + "report: {%s: %s}\n", "report."},
		{fileKeys, "%s: %s\n", ""},
	} {
		for _, k := range c.table.keys {
			_, err := Load("rules.yaml", fmt.Appendf(nil, c.text, k.name, "[[[x]]]"), testConfig())
			if err == nil || !strings.Contains(err.Error(), " "+c.path+k.name) ||
				strings.Contains(err.Error(), c.path+k.name+": unknown key") {
				t.Errorf("%s%s is not read: %v", c.path, k.name, err)
			}
		}
	}
}

// values are some good values of every key that is a value or a list of them.
var values = map[string][]any{
	"version": {1, "1"}, "fallback": {"chat"},
	"versions":      {map[string]any{"5.0": "2026-12-24"}},
	"unheard_after": {map[string]any{"ENDPOINT_LATENCY": "4h", "CLIENT_ERROR_RATE": "never"}},
	"probe":         {true, false, "true"}, "endpoint": {"https://shop.example.com/flow?a=b", "https://10.0.0.1:8443"},
	"name": {"Checkout", 5, true}, "runbook": {"https://example.com/x"},
	"channel": {"#chat", "C0123456789"}, "routing_key": {testKey, "${PD_KEY}"}, "url": {"https://hooks.example.com/x?y=z",
		"http://127.0.0.1:8080/x"}, "secret": {testWebhookSecret}, "allow": {"U0123ABCD", []any{"S0123ABCD", "W0123ABCD"}},
	"days": {"mon-fri", []any{"sat", "sun-mon"}}, "hours": {"09:00-18:00", []any{"22:00-06:00", "12:00-24:00"}},
	"time_zone": {"Europe/Berlin", "UTC"}, "dates": {"2026-12-24", []any{"2026-12-24..2027-01-01", "2026-05-01"}},
	"event":     {router.EndpointLatency, []any{"SOMETHING_NEW", router.FlowStatusChange}},
	"field":     {"flows", []any{"messages"}},
	"threshold": {10, ">=10", []any{5, "50"}, 7.5}, "flow": {"Checkout5", []any{"1", 77}},
	"waba":    {"9", 9, []any{102290129340398}, "Main", map[string]any{"not": "9"}},
	"subject": {"phone", []any{"account", "flow"}}, "change": {"PAUSED", map[string]any{"not": []any{"RED", "ODD"}}},
	"phone": {15550783881, "+1 555-078-3881"}, "template": {"order (en)"},
	"old_status": {router.Published}, "new_status": {router.Blocked, []any{router.Throttled, "ODD"}},
	"error_type":  {"timeout_error", []any{"TIMEOUT"}},
	"alert_state": {router.Activated, []any{router.Activated, router.Deactivated}}, "when": {"error_rate > 5", true},
	"severity": {"error", map[string]any{"10": "info", "BLOCKED": "critical", "5s": "error"},
		map[string]any{"DISABLE": "warning", "Needs Testing": "info"}},
	"group_by":      {"flow", "threshold"},
	"resolve_after": {"5m", "1h30m"}, "acknowledged_for": {"4h", "0s", "5m"}, "on_escalation": {"note", "page"},
	"on_auto_resolve": {"note", "page"},
	"title":           {"x", 5, "costs $${X}, or ${{.Value}}"}, "text": {"{{.FlowName}}"},
	"fields": {"a", []any{"b", "c.d"}},
	"during": {"night", []any{"night"}}, "except": {"office", []any{"office"}}, "continue": {true, false, "false"},
	"drill": {"page"}, "every": {"7d", "90d"}, "at": {"10:00", "23:59"},
	"to": {"chat"}, "after": {"0s", "7d"}, "unless": {"acknowledged"}, "remind": {"30m", "0s"},
	"mention": {"here", []any{"channel", "U0123ABCD", "S0123ABCD"}},
}

// words that a key with few words does not have; the loader and the schema both know that.
var closed = []string{
	"version", "runbook", "channel", "routing_key", "url", "secret", "allow", "days", "dates", "hours", "threshold",
	"alert_state", "subject", "severity", "group_by", "resolve_after", "acknowledged_for", "on_escalation",
	"on_auto_resolve",
	"continue", "drop", "after", "unless", "mention", "remind", "kind", "drill", "every", "at",
	"probe", "endpoint",
}

func TestTheSchemaAndTheLoaderAgree(t *testing.T) {
	for _, k := range allKeys() { // a new key must be tried too
		if !slices.Contains([]string{"flows", "accounts", "not", "notifiers", "windows", "rules", "default", "match",
			"notify", "kind", "drop", "watch", "rule", "report"}, k.name) && values[k.name] == nil {
			t.Fatalf("no value is tried for %s", k.name)
		}
	}
	s := compiledSchema(t)
	cfg := testConfig()
	env := cfg.Env
	cfg.Env = func(name string) (string, bool) {
		if name == "URL" {
			return "https://example.com/y", true
		}
		return env(name)
	}
	good, bad := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		file := drawFile(t)
		spoilt := ""
		if rapid.IntRange(0, 2).Draw(t, "spoil") > 0 {
			spoilt = spoil(t, file)
		}
		text, err := yaml.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		var invalid []string
		if err := s.Validate(file); err != nil {
			invalid = append(invalid, err.Error())
		}
		_, err = Load("rules.yaml", text, cfg)
		if (err == nil) != (invalid == nil) || spoilt == "" && err != nil {
			t.Fatalf("spoilt: %s\nloader: %v\nschema: %v\n%s", spoilt, err, invalid, text)
		}
		if err == nil {
			good++
		} else {
			bad++
		}
	})
	if !testing.Short() && (good < 10 || bad < 10) {
		t.Errorf("%d good and %d bad files show little", good, bad)
	}
}

// drawFile returns a file without mistakes.
func drawFile(t *rapid.T) map[string]any {
	some := func(table table, into map[string]any, not ...string) map[string]any {
		for _, k := range table.keys {
			if pool := values[k.name]; pool != nil && !slices.Contains(not, k.name) &&
				(k.required || rapid.IntRange(0, 3).Draw(t, k.name+"?") == 0) {
				into[k.name] = copied(rapid.SampledFrom(pool).Draw(t, k.name))
			}
		}
		return into
	}
	route := func() any {
		if rapid.Bool().Draw(t, "short") {
			return "chat"
		}
		return some(routeKeys, map[string]any{}, "severity")
	}
	notify := func() any {
		if rapid.Bool().Draw(t, "one") {
			return route()
		}
		return []any{route(), "page"}
	}
	file := map[string]any{
		"version": rapid.SampledFrom(values["version"]).Draw(t, "version"),
		"flows": map[string]any{"1": map[string]any{"name": "Checkout5", "team": "x"},
			"2": some(flowKeys, map[string]any{"team": 5})},
		"accounts": map[string]any{"9": map[string]any{"name": "Main", "team": "x"},
			"10": some(accountKeys, map[string]any{"team": 5})},
		"notifiers": map[string]any{"chat": some(notifierKeys(router.KindSlack), map[string]any{"kind": "slack"}),
			"page": some(notifierKeys(router.KindPagerDuty), map[string]any{"kind": "pagerduty"}),
			"hook": some(notifierKeys(router.KindWebhook), map[string]any{"kind": "webhook"})},
		"windows": map[string]any{"night": some(windowKeys, map[string]any{"hours": "22:00-06:00"}),
			"office": some(windowKeys, map[string]any{"days": "mon-fri"})},
		"default": some(actionKeys, map[string]any{"notify": notify()}),
		"watch": map[string]any{"after": rapid.SampledFrom([]any{"auto", "24h", "5m"}).Draw(t, "silence"),
			"notify": notify()},
		"drill":  some(drillKeys, map[string]any{}),
		"report": map[string]any{"every": "friday 17:30", "to": "chat", "time_zone": "Europe/Berlin"},
	}
	rules := []any{}
	for i := range rapid.IntRange(0, 3).Draw(t, "rules") {
		rule := some(ruleKeys, map[string]any{})
		rule["name"], rule["match"] = fmt.Sprint("rule ", i), some(matchKeys, map[string]any{}, "severity")
		if rapid.IntRange(0, 4).Draw(t, "team") == 0 {
			delete(rule["match"].(map[string]any), "flow") // no flow but 1 is called so
			rule["match"].(map[string]any)["team"] = rapid.SampledFrom([]any{"x", 5, []any{"x", "5"}}).Draw(t, "of team")
		}
		if rapid.IntRange(0, 4).Draw(t, "drops") == 0 {
			delete(rule, "continue")
			rule["drop"] = true
		} else {
			rule["notify"] = notify()
			if rapid.IntRange(0, 4).Draw(t, "drop false") == 0 {
				rule["drop"] = "false"
			}
		}
		rules = append(rules, rule)
	}
	file["rules"] = rules
	return some(fileKeys, file, "drill")
}

// copied keeps the values that are drawn from apart from those that are spoilt.
func copied(v any) any {
	if m, ok := v.(map[string]any); ok {
		return maps.Clone(m)
	}
	return v
}

// spoil makes one mistake of structure in a file and says which.
func spoil(t *rapid.T, file map[string]any) string {
	var spots []func() string
	var walk func(path string, m map[string]any, known, open bool)
	walk = func(path string, m map[string]any, known, open bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			at := path + key
			spots = append(spots, func() string {
				m[key] = nil
				return at + " is null"
			}, func() string {
				if _, isMap := m[key].(map[string]any); !isMap || key != "match" && known {
					m[key] = []any{[]any{"x"}}
					return at + " is a list of lists"
				}
				m[key] = "x"
				return at + " is a word"
			})
			if slices.Contains(closed, key) {
				spots = append(spots, func() string {
					m[key] = "zzzz"
					return at + " is zzzz"
				})
			}
			if _, isText := m[key].(string); isText {
				spots = append(spots, func() string {
					m[key] = ""
					return at + " is empty"
				})
			}
			if slices.Contains([]string{"version", "kind", "channel", "routing_key", "match", "notify", "to"}, key) ||
				key == "name" && strings.HasPrefix(path, "rules") {
				spots = append(spots, func() string {
					delete(m, key)
					return at + " is gone"
				})
			}
			switch v := m[key].(type) {
			case map[string]any:
				walk(at+".", v, key != "flows" && key != "accounts" && key != "windows" && key != "notifiers", key == "match")
			case []any:
				for i := range v {
					if inner, ok := v[i].(map[string]any); ok {
						walk(fmt.Sprintf("%s[%d].", at, i), inner, true, false)
					}
				}
			}
		}
		if known && !open && !strings.HasPrefix(path, "flows.") && !strings.HasPrefix(path, "accounts.") {
			spots = append(spots, func() string {
				m["zzzz"] = 1
				return path + "zzzz is unknown"
			})
		}
	}
	walk("", file, true, false)
	return spots[rapid.IntRange(0, len(spots)-1).Draw(t, "spot")]()
}

func TestTheSchemaIsOneDocument(t *testing.T) {
	if diff := cmp.Diff(string(Schema()), string(Schema())); diff != "" {
		t.Errorf("it is not the same each time\n%s", diff)
	}
}
