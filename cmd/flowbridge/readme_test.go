package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

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
		if strings.HasPrefix(block, readmeStories) || strings.HasPrefix(block, "# .github/") {
			continue
		}
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

// readmeStories begins a block of the README that holds stories about the example rules.
const readmeStories = "# rules.test.yaml\n"

// TestTheReadmesStoriesHold plays them.
func TestTheReadmesStoriesHold(t *testing.T) {
	p := program{Getenv: func(string) (string, bool) { return "", false }}
	for _, block := range readmeBlocks(t, "yaml") {
		if !strings.HasPrefix(block, readmeStories) {
			continue
		}
		stories, err := rules.LoadStories("README.md", []byte(block), func(_ string, env map[string]string) (*rules.Rules, error) {
			return p.loadTrialRules("../../rules.example.yaml", env)
		})
		if err != nil {
			t.Errorf("%v\nin\n%s", err, block)
			continue
		}
		for i := range stories.Stories {
			if result := stories.Run(&stories.Stories[i], buildEvent); result.Failed() {
				t.Errorf("%s: %+v", stories.Stories[i].Name, result.Steps)
			}
		}
	}
}

// TestTheReadmeShowsWhatTheProgramPrints looks for the README's picture of a card in the demo's output, and for
// what it says of the commands in the scripts that run them.
func TestTheReadmeShowsWhatTheProgramPrints(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	goldens, err := filepath.Glob("testdata/*.golden")
	if err != nil {
		t.Fatal(err)
	}
	printed := ""
	for _, path := range append(scripts, goldens...) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		printed += string(text)
	}
	for _, block := range readmeBlocks(t, "") {
		if !strings.Contains(printed, block) {
			t.Errorf("flowbridge prints no longer\n%s", block)
		}
	}
}

// TestTheReadmeNamesTestsThatExist holds its table of faults.
func TestTheReadmeNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	code := ""
	err = filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			var one []byte
			one, err = os.ReadFile(path)
			code += string(one)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(string(text), -1)
	if len(names) == 0 {
		t.Fatal("the README names no test")
	}
	for _, name := range names {
		if !strings.Contains(code, "\nfunc "+name[1]+"(") {
			t.Errorf("there is no %s", name[1])
		}
	}
}
