package rules

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

func TestTemplatesSeeIncidentsAndNotices(t *testing.T) {
	rules := mustLoad(t, world+`rules:
  - name: words
    match: {}
    title: |
      {{.Incident}} {{.Signal}} of {{.FlowName}}:
      {{.Value}}
    text: '{{range .Alerts}}{{.Signal}} {{.Threshold}} {{.Severity}} {{.Active}}; {{end}}{{.Labels.team}}{{.Labels.none}} {{.OldStatus}}>{{.NewStatus}} {{range .Errors}}{{.Type}} {{.Count}}: {{.Help}}{{end}}'
    notify: chat
`+ending)
	inc := &router.Incident{Number: 42, Flow: "1", Event: router.EndpointErrorRate, Rule: "words",
		OpenedAt: time.Unix(0, 0),
		FlowInfo: router.FlowInfo{FlowName: "Checkout", Labels: map[string]string{"team": "payments"}}}
	title, text := rules.RenderIncident(inc, []router.Alert{
		{Event: router.EndpointErrorRate, Level: "50", Severity: router.Critical},
		{Event: router.EndpointErrorRate, Level: "10", Severity: router.Error, Active: true, Reading: router.Reading{
			Value: new(14.28), Errors: []router.ErrorCount{{Type: "TIMEOUT", Count: new(3.0)}}}},
	})
	if want := "INC-42 Endpoint error rate of Checkout: 14.28 %"; title != want {
		t.Errorf("title is %q, want %q", title, want)
	}
	if want := "Endpoint error rate 50 % critical false; Endpoint error rate 10 % error true; payments > TIMEOUT 3: " +
		"answer faster"; text != want {
		t.Errorf("text is %q, want %q", text, want)
	}
	title, text = rules.RenderNotice(&router.Notice{Name: router.FlowStatusChange, Flow: "7", Rule: "words",
		OldStatus: router.Draft, NewStatus: router.Published})
	if diff := cmp.Diff([]string{"Flow status of flow 7:", "DRAFT>PUBLISHED"}, []string{title, text}); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	title, text = rules.RenderIncident(&router.Incident{Rule: "a rule of yesterday's file"}, nil)
	if title != "" || text != "" {
		t.Errorf("a rule that is gone says %q, %q", title, text)
	}
}

func TestWhatTemplatesMakeIsBounded(t *testing.T) {
	rules := mustLoad(t, world+`
default:
  title: '{{range .Alerts}}{{$.Message}}{{$.FlowName}}{{end}}{{.FlowName}}'
  text: '{{range 900}}{{$.FlowName}}{{end}}'
  notify: chat
`)
	title, text := rules.RenderIncident(&router.Incident{Rule: "default",
		FlowInfo: router.FlowInfo{FlowName: strings.Repeat("größer ", 1000)}}, nil)
	if n := utf8.RuneCountInString(title); n != maxTitle || !strings.HasSuffix(title, "…") {
		t.Errorf("the title has %d characters", n)
	}
	if n := utf8.RuneCountInString(text); n != maxText || !strings.HasSuffix(text, "…") {
		t.Errorf("the text has %d characters", n)
	}
}

func TestATemplateThatFailsLeavesTheBuiltInWordsAndIsTold(t *testing.T) {
	var told []string
	cfg := testConfig()
	cfg.OnTemplateError = func(rule string, err error) { told = append(told, rule) }
	rules, err := Load("rules.yaml", []byte(world+`rules:
  - name: first error
    match: {event: ENDPOINT_ERROR_RATE}
    title: "{{(index .Errors 0).Type}}"
    text: "{{.FlowName}} fails"
    notify: chat
`), cfg)
	if err != nil {
		t.Fatal(err)
	}
	title, text := rules.RenderIncident(&router.Incident{Rule: "first error", Flow: "1"}, nil)
	if title != "" || text != "flow 1 fails" || len(told) != 1 || told[0] != "first error" {
		t.Errorf("title %q, text %q, told %q", title, text, told)
	}
}

func TestNothingOfAResponseComesOutButItsFields(t *testing.T) {
	rules := mustLoad(t, world+`rules:
  - name: form
    match: {event: FLOW_RESPONSE}
    text: '{{printf "%+v" .}}'
    notify: chat
`)
	_, text := rules.RenderNotice(&router.Notice{Name: router.FlowResponse, Rule: "form", Message: "Ada",
		Warning: "Lovelace",
		Fields:  []router.Field{{Name: "topic", Value: "Refund"}}})
	if strings.Contains(text, "Ada") || strings.Contains(text, "Lovelace") || !strings.Contains(text, "topic:Refund") {
		t.Errorf("text is %s", text)
	}
}

func TestPlainRulesHaveNoExpressionsAndNoTemplates(t *testing.T) {
	var told []string
	cfg := testConfig()
	cfg.OnWhenError = func(rule string, err error) { told = append(told, "when of "+rule) }
	cfg.OnTemplateError = func(rule string, err error) { told = append(told, "words of "+rule) }
	whole, err := Load("rules.yaml", []byte(world+`rules:
  - {name: a, match: {event: ENDPOINT_LATENCY, when: "true"}, notify: chat}
  - {name: b, match: {when: "true"}, notify: chat}
  - {name: c, match: {event: ENDPOINT_ERROR_RATE}, title: own, notify: page}
`+ending), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ev := activated(router.EndpointErrorRate, 10)
	for _, c := range []struct {
		rules       router.Rules
		rule, title string
		told        []string
	}{{whole, "b", "own", nil}, {whole.Plain(), "c", "", []string{"when of b", "words of c"}}} {
		told = nil
		d := c.rules.Decide(&ev)
		title, text := c.rules.RenderIncident(&router.Incident{Rule: "c"}, nil)
		if d.Rule() != c.rule || title != c.title || text != "" || !cmp.Equal(told, c.told) {
			t.Errorf("decided by %q, title %q, text %q, told %q", d.Rule(), title, text, told)
		}
	}
}

func TestTemplatesHaveFunctions(t *testing.T) {
	view := View{
		Severity: "error", Event: "ENDPOINT_LATENCY", Message: "one two three", Labels: map[string]string{"b": "2", "a": "1"},
		At: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC), Fields: map[string]string{"until": "1796400000"},
	}
	for text, want := range map[string]string{
		`{{upper .Severity}} {{lower .Event}} {{title .Severity}} {{title "é"}}{{title ""}}`: "ERROR endpoint_latency Error É",
		`{{replace .Event "_" " "}}`: "ENDPOINT LATENCY",
		`{{short .Message 7}}`:       "one tw…",
		`{{join .Labels ", "}}`:      "1, 2",
		`{{.Runbook | default "no runbook"}} {{.Severity | default "x"}}`: "no runbook error",
		`{{date "Mon 15:04" "Europe/Berlin" .At}}`:                        "Wed 14:00",
		`{{date "2006-01-02" "UTC" .Fields.until}}`:                       "2026-12-04",
		`{{percent 14.2857}} {{percent "5 %"}}`:                           "14.29 % 5 %",
		`{{number 1234567}} {{number "-1234.5"}} {{number 100}}`:          "1,234,567 -1,234.5 100",
	} {
		tmpl, err := parseTemplate("text", text)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := execute(tmpl, view, maxText); got != want || err != nil {
			t.Errorf("%s makes %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`{{date "15:04" "Nowhere/City" .At}}`, `{{date "15:04" "Local" .At}}`, `{{number "x"}}`,
		`{{join .Severity ","}}`, `{{date "15" "UTC" .Labels}}`} {
		tmpl, err := parseTemplate("text", text)
		if err != nil {
			t.Fatal(err)
		}
		if out, _, err := execute(tmpl, view, maxText); err == nil {
			t.Errorf("%s makes %q", text, out)
		}
	}
	for _, f := range wordFuncs {
		if _, err := parseTemplate("text", f.usage); err != nil {
			t.Errorf("the example of %s: %v", f.name, err)
		}
	}
}
