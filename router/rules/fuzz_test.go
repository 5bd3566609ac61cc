package rules

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
)

// FuzzLoad reads any file: it is refused with mistakes that have positions, or can decide any event.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	more, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	files = append(files, more...)
	for _, file := range append(files, "../../rules.example.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, text := range []string{
		"\n: [*a", "#\n-\n{", "0: [:!00 \xef", "a: &a [*a, *a]", "a: &a {<<: *a}", "<<: [*a, {<<: *b}]", "? [a]\n: b",
		"? {a: b}\n: *c",
		"a: !!binary x", "!!merge <<: a", "a: !!float \"x\"", "--- |\n  x\n...\n---\n", "%YAML 9.9\n---\na: b", "%TAG ! x",
		"\"\\", "'", "\xff\xfe\x00",
		"a: |9\n  b", "a: >-\n\n\n", "&a &b c", "*a : b", "- - - -", "{{{{", "[[[[", "a:\n  - b\n - c",
		strings.Repeat("[", 300), strings.Repeat("- ", 300),
		strings.Repeat("a: {", 300), "version: 1\nnotifiers: &n {<<: *n}\nrules: *n", "\t", "\u2028", "a: b # \x7f",
		world + "rules: [{name: a, match: {when: 'any(1..9999, any(1..9999, # > 0))'}, notify: chat}]" + ending,
		world + "rules: [{name: a, match: {}, title: '{{range 99999999}}{{range 99999999}}{{end}}{{end}}', notify: chat}]",
		world + windows +
			`rules: [{name: a, match: {threshold: [">=5s", "<1"]}, during: [night, office], except: late, resolve_after: 1d1h, on_escalation: page, notify: {to: page, after: 7d, unless: acknowledged}}]` + ending,
		world +
			`rules: [{name: a, match: {event: FLOW_RESPONSE, when: 'let x = value; x.response.a.b > 1'}, fields: [a.b, "."], severity: {5: info}, text: '{{.Fields}}', notify: [{to: chat, severity: ">=info"}]}]` + ending,
	} {
		f.Add([]byte(text))
	}
	value := json.RawMessage(`{"event":"X","a":{"b":[1,2,{"c":null}]},"response":{"a":"b","n":1e9}}`)
	events := []router.Event{
		{}, activated(router.EndpointErrorRate, 10), deactivated(router.EndpointLatency, 5000),
		became(router.Throttled, router.Blocked), parked("chat"),
		{Source: router.SourceMeta, Name: router.FlowResponse, Field: "messages", Value: value},
		{Source: router.SourceMeta, Name: "SOMETHING_NEW", Value: json.RawMessage("{"),
			Reading: router.Reading{Errors: []router.ErrorCount{{Type: "TIMEOUT"}, {}}}},
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 16<<10 {
			return
		}
		rules, err := Load("rules.yaml", data, testConfig())
		_, found := Check([]File{{"rules.yaml", data}}, testConfig())
		if faults := found.Faults(); (len(faults) > 0) != (err != nil) {
			t.Fatalf("the loader says %v, and check %v", err, faults)
		}
		if len(found) > 0 {
			checkMistakes(t, data, &found)
		}
		if err != nil {
			checkMistakes(t, data, err)
			return
		}
		for i := range events {
			d := rules.Decide(&events[i])
			timed := with(events[i], func(ev *router.Event) { ev.At = time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC) })
			rules.Decide(&timed)
			rules.RenderIncident(&router.Incident{Rule: d.Rule()}, nil)
			rules.RenderNotice(&router.Notice{Rule: d.Rule(), Name: events[i].Name})
		}
	})
}

func checkMistakes(t *testing.T, data []byte, err error) {
	var mistakes *Mistakes
	if !errors.As(err, &mistakes) || len(*mistakes) == 0 {
		t.Fatalf("error is %T: %v", err, err)
	}
	lines := strings.Count(string(data), "\n") + 1
	for _, m := range *mistakes {
		if m.Line < 1 || m.Line > lines || m.Column < 1 || m.Problem == "" {
			t.Errorf("a mistake nowhere: %+v", m)
		}
	}
	text := err.Error()
	if strings.Count(text, "\n")+1 != len(*mistakes) {
		t.Errorf("not one line a mistake: %q", text)
	}
	if strings.Contains(text, "hunter2-") && !strings.Contains(string(data), "hunter2-") ||
		strings.Contains(text, testKey) {
		t.Errorf("a secret leaks: %s", text)
	}
}
