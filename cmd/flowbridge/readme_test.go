package main

import (
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"flowbridge/router/rules"
)

// readmeBlocks returns the code blocks of the README that begin with ```language.
func readmeBlocks(t *testing.T, language string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split(string(text), "```") {
		if block, ok := strings.CutPrefix(part, language+"\n"); ok && i%2 == 1 {
			blocks = append(blocks, block)
		}
	}
	if len(blocks) == 0 {
		t.Fatalf("the README has no block in %q", language)
	}
	return blocks
}

// TestTheReadmesRulesAreGood loads every example; one that is no whole file gets the notifiers and the flow that
// it speaks of.
func TestTheReadmesRulesAreGood(t *testing.T) {
	const notifiers = `version: 1
notifiers:
  payments-chat: {kind: slack, channel: "#payments-alerts"}
  payments-oncall: {kind: pagerduty, routing_key: "${PD_PAYMENTS_KEY}"}
  ops-chat: {kind: slack, channel: "#flow-ops"}
  support-chat: {kind: slack, channel: "#support"}
`
	const flows = "flows:\n  \"1\": {name: Checkout, team: payments}\n"
	for _, block := range readmeBlocks(t, "yaml") {
		file := block
		if !strings.HasPrefix(file, "version:") {
			if !strings.Contains(file, "rules:") {
				file = "rules:\n" + file
			}
			if !strings.Contains(file, "flows:") {
				file = flows + file
			}
			file = notifiers + file
		}
		_, err := rules.Load("README.md", []byte(file), rules.Config{Env: func(string) (string, bool) { return testRoutingKey, true }})
		if err != nil {
			t.Errorf("%v\nin\n%s", err, file)
		}
	}
}

// TestTheReadmeShowsWhatTheProgramPrints looks for the README's picture of a card in the demo's output, and for
// what it says of `check` in the script that runs it.
func TestTheReadmeShowsWhatTheProgramPrints(t *testing.T) {
	demo, err := os.ReadFile("testdata/demo.golden")
	if err != nil {
		t.Fatal(err)
	}
	printed := string(demo)
	script, err := txtar.ParseFile("testdata/script/check-prints-every-mistake-with-its-place.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range script.Files {
		printed += string(f.Data)
	}
	for _, block := range readmeBlocks(t, "") {
		if !strings.Contains(printed, block) {
			t.Errorf("flowbridge prints no longer\n%s", block)
		}
	}
}
