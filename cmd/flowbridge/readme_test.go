package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"gopkg.in/yaml.v3"

	"flowbridge/router/rules"
	"flowbridge/router/rules/stories"
)

// document is the README, or a page of the manual.
type document struct{ path, text string }

// documents returns all of them.
func documents(t *testing.T) (all []document) {
	t.Helper()
	files, err := filepath.Glob("docs/*.md")
	must(t, err)
	for _, path := range append(files, "../../README.md") {
		text, err := os.ReadFile(path)
		must(t, err)
		all = append(all, document{path, string(text)})
	}
	return all
}

// block is a code block of a page: what stands after ```, and what is in it.
type block struct{ path, language, text string }

// blocks returns those of all pages that are in a language.
func blocks(t *testing.T, language string) (found []block) {
	t.Helper()
	for _, p := range documents(t) {
		for i, part := range strings.Split(p.text, "```") {
			if name, text, _ := strings.Cut(part, "\n"); i%2 == 1 && name == language {
				found = append(found, block{p.path, name, text})
			}
		}
	}
	if len(found) == 0 {
		t.Fatalf("no page has a block in %q", language)
	}
	return found
}

// The first lines of YAML that is no rules file.
const (
	storiesBlock    = "# rules.test.yaml\n"
	workflowBlock   = "# .github/workflows/rules.yaml\n"
	deploymentBlock = "# deployment.yaml\n"
)

// is says whether a block begins with a line.
func (b block) is(first string) bool { return strings.HasPrefix(b.text, first) }

// TestEveryExampleIsOfAKindThatIsChecked holds that no page has a block that the tests of this file pass over.
func TestEveryExampleIsOfAKindThatIsChecked(t *testing.T) {
	t.Parallel()
	checked := []string{"yaml", "sh", "nginx", ""}
	for _, p := range documents(t) {
		for i, part := range strings.Split(p.text, "```") {
			if language, _, _ := strings.Cut(part, "\n"); i%2 == 1 && !slices.Contains(checked, language) {
				t.Errorf("%s: nothing checks a block in %q", p.path, language)
			}
		}
	}
}

// keyAtTheTop is how a block of keys of the file begins; others are rules.
var keyAtTheTop = regexp.MustCompile(`(?m)\A(#.*\n|\s*\n)*[a-z_]+:`)

// TestTheRulesOfThePagesAreGood loads every example; one that is no whole file gets the notifiers and the flow that
// it speaks of.
func TestTheRulesOfThePagesAreGood(t *testing.T) {
	t.Parallel()
	const notifiers = `version: 1
notifiers:
  payments-chat: {kind: slack, channel: "#payments-alerts"}
  payments-oncall: {kind: pagerduty, routing_key: "${PD_PAYMENTS_KEY}"}
  ops-chat: {kind: slack, channel: "#flow-ops"}
  support-chat: {kind: slack, channel: "#support"}
`
	const flows = "flows:\n  \"1\": {name: Checkout, team: payments}\n"
	for _, b := range blocks(t, "yaml") {
		if b.is(storiesBlock) || b.is(workflowBlock) || b.is(deploymentBlock) {
			continue
		}
		file := b.text
		if !strings.HasPrefix(file, "version:") {
			switch {
			case strings.Contains(file, "rules:"):
			case keyAtTheTop.MatchString(file):
				file += "default: {notify: [ops-chat]}\n"
			default:
				file = "rules:\n" + file
			}
			if !strings.Contains(file, "flows:") {
				file = flows + file
			}
			file = notifiers + file
		}
		_, err := rules.Load(b.path, []byte(file),
			rules.Config{Env: func(string) (string, bool) { return testRoutingKey, true }, Samples: sampleEvents()})
		if err != nil {
			t.Errorf("%v\nin\n%s", err, file)
		}
	}
}

// TestTheStoriesOfThePagesHold plays them, with the example rules.
func TestTheStoriesOfThePagesHold(t *testing.T) {
	t.Parallel()
	p := program{Getenv: func(string) (string, bool) { return "", false }}
	played := 0
	for _, b := range blocks(t, "yaml") {
		if !b.is(storiesBlock) {
			continue
		}
		file, err := stories.Load(b.path, []byte(b.text), func(_ string, env map[string]string) (*rules.Rules, error) {
			return p.loadTrialRules("../../rules.example.yaml", env)
		})
		if err != nil {
			t.Errorf("%v\nin\n%s", err, b.text)
			continue
		}
		for i := range file.Stories {
			played++
			if result := file.Run(&file.Stories[i], buildEvent); result.Failed() {
				t.Errorf("%s: %+v", file.Stories[i].Name, result.Steps)
			}
		}
	}
	if played == 0 {
		t.Error("no page has stories")
	}
}

// TestThePagesShowWhatTheProgramPrints looks for the picture of a card in the demo's output, and for what pages say
// that commands print in the scripts that run them.
func TestThePagesShowWhatTheProgramPrints(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	must(t, err)
	goldens, err := filepath.Glob("testdata/*.golden")
	must(t, err)
	ofRooms, err := filepath.Glob("*/testdata/*.golden")
	must(t, err)
	printed := ""
	for _, path := range slices.Concat(scripts, goldens, ofRooms) {
		text, err := os.ReadFile(path)
		must(t, err)
		printed += string(text)
	}
	for _, b := range blocks(t, "") {
		if !strings.Contains(printed, b.text) {
			t.Errorf("%s: flowbridge prints no longer\n%s", b.path, b.text)
		}
	}
}

// TestThePagesNameTestsThatExist holds the tables of faults and attacks.
func TestThePagesNameTestsThatExist(t *testing.T) {
	t.Parallel()
	code := sources(t, func(path string) bool { return strings.HasSuffix(path, "_test.go") })
	named := map[string]int{}
	for _, p := range documents(t) {
		for _, name := range regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(p.text, -1) {
			named[p.path]++
			if !strings.Contains(code, "\nfunc "+name[1]+"(") {
				t.Errorf("%s: there is no %s", p.path, name[1])
			}
		}
	}
	for _, path := range []string{"docs/faults.md", "docs/security.md"} {
		if named[path] == 0 {
			t.Errorf("%s names no test", path)
		}
	}
}

// sources returns the text of all Go files of the project that pass.
func sources(t *testing.T, pass func(path string) bool) string {
	t.Helper()
	var code strings.Builder
	must(t, filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") && pass(path) {
			var text []byte
			text, err = os.ReadFile(path)
			code.Write(text)
		}
		return err
	}))
	return code.String()
}

// otherFlags are flags of other programs that pages name.
var otherFlags = []string{"--cap-drop", "--from-file", "--memory", "--no-deps", "--now", "--read-only", "--rm",
	"--security-opt", "--wait"}

// TestThePagesNameWhatThereIs holds that commands, flags, variables and metrics are those of the program.
func TestThePagesNameWhatThereIs(t *testing.T) {
	t.Parallel()
	var c commands
	p := program{}
	parser, err := kong.New(&c, p.options(t.Context())...)
	must(t, err)
	known := map[string]bool{"--help": true}
	var learn func(n *kong.Node)
	learn = func(n *kong.Node) {
		for _, flag := range n.Flags {
			known["--"+flag.Name] = true
		}
		for _, child := range n.Children {
			learn(child)
		}
	}
	learn(parser.Model.Node)
	for _, flag := range otherFlags {
		known[flag] = true
	}
	code := sources(t, func(path string) bool { return !strings.HasSuffix(path, "_test.go") })
	for _, page := range documents(t) {
		for _, flag := range regexp.MustCompile("[` (]--[a-z][a-z-]+").FindAllString(page.text, -1) {
			if !known[flag[1:]] {
				t.Errorf("%s: there is no flag %s", page.path, flag[1:])
			}
		}
		for _, line := range calls(page.text) {
			checkCall(t, page.path, parser.Model.Node, line)
		}
		for _, name := range regexp.MustCompile(`\b(FLOWBRIDGE|META|SLACK|PAGERDUTY)_[A-Z_]+[A-Z]\b`).FindAllString(page.text,
			-1) {
			// which is Compose's
			if plain := strings.TrimSuffix(name, "_FILE"); !strings.Contains(code, plain) && plain != "FLOWBRIDGE_IMAGE" {
				t.Errorf("%s: there is no variable %s", page.path, name)
			}
		}
		for _, name := range regexp.MustCompile(`\bflowbridge_[a-z_]+[a-z]\b`).FindAllString(page.text, -1) {
			if !strings.Contains(code, `"`+name+`"`) && !strings.Contains(code, `"`+strings.TrimPrefix(name, "flowbridge_")+
				`"`) {
				t.Errorf("%s: there is no metric %s", page.path, name)
			}
		}
	}
}

// calls returns what a page says is written after the program's name: in its examples for a shell, and in its text.
func calls(text string) (found []string) {
	inShell := regexp.MustCompile(`(?m)^(?:go run )?(?:\./|\./cmd/)?flowbridge (.*)$`)
	inText := regexp.MustCompile("`(?:[^`|]+\\| )?flowbridge ([^`]+)`")
	inCI := regexp.MustCompile(`(?m) flowbridge ((?:check|test) .*)$`)
	for i, part := range strings.Split(text, "```") {
		pattern := inText
		switch {
		case i%2 == 0:
		case strings.HasPrefix(part, "sh\n"):
			pattern = inShell
		case strings.HasPrefix(part, "yaml\n"):
			pattern = inCI
		default:
			continue
		}
		for _, m := range pattern.FindAllStringSubmatch(part, -1) {
			call, _, _ := strings.Cut(m[1], " #")
			found = append(found, strings.Join(strings.Fields(call), " "))
		}
	}
	return found
}

// checkCall says what of a call the program does not have.
func checkCall(t *testing.T, path string, at *kong.Node, call string) {
	t.Helper()
	flags := map[string]bool{"--help": true}
	add := func(n *kong.Node) {
		for _, flag := range n.Flags {
			flags["--"+flag.Name] = true
		}
	}
	leaf := false // what follows are arguments
	for _, word := range strings.Fields(call) {
		word = strings.Trim(word, `",.;:`)
		switch {
		case strings.HasPrefix(word, "--"):
			leaf = true
			for _, n := range at.Children { // one of them may be meant where none is named
				add(n)
			}
			if name, _, _ := strings.Cut(word, "="); !flags[name] {
				t.Errorf("%s: flowbridge %s: there is no flag %s (there are %s)", path, call, name,
					strings.Join(slices.Sorted(maps.Keys(flags)), " "))
			}
		case !leaf && len(at.Children) > 0:
			i := slices.IndexFunc(at.Children, func(n *kong.Node) bool { return n.Name == word })
			if i < 0 {
				t.Errorf("%s: flowbridge %s: there is no command %s", path, call, word)
				return
			}
			at = at.Children[i]
			add(at)
		}
	}
}

// TestTheLinksOfThePagesLeadSomewhere holds those within the project.
func TestTheLinksOfThePagesLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, p := range documents(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(p.text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := p.path
			if file != "" {
				target = filepath.Join(filepath.Dir(p.path), file)
			}
			text, err := os.ReadFile(target)
			if err != nil {
				t.Errorf("%s: %v", p.path, err)
			} else if anchor != "" && !slices.Contains(anchors(string(text)), anchor) {
				t.Errorf("%s: %s has no heading for #%s", p.path, target, anchor)
			}
		}
	}
}

// anchors returns what the headings of a page are called in links.
func anchors(text string) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

// TestTheManualHasAllItsPages holds the list of them against the files, and that the README names each.
func TestTheManualHasAllItsPages(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	must(t, err)
	var listed []string
	for _, name := range manualPages {
		listed = append(listed, filepath.Join("docs", name+".md"))
		if !strings.HasPrefix(manualPage(name), "# ") {
			t.Errorf("%s has no title in its first line", name)
		}
		if !strings.Contains(string(readme), "| ["+name+"](cmd/flowbridge/docs/"+name+".md) |") {
			t.Errorf("the README's table does not name %s", name)
		}
	}
	files, err := filepath.Glob("docs/*")
	must(t, err)
	if slices.Sort(listed); !slices.Equal(listed, files) {
		t.Errorf("manualPages are %v, and the files %v", listed, files)
	}
}

// TestTheExamplesOfOthersFit holds what pages say to Kubernetes, to a proxy and to CI: paths, and what is pinned.
func TestTheExamplesOfOthersFit(t *testing.T) {
	t.Parallel()
	for _, b := range blocks(t, "yaml") {
		var any map[string]any
		if !b.is(deploymentBlock) && !b.is(workflowBlock) {
			continue
		}
		if err := yaml.Unmarshal([]byte(b.text), &any); err != nil {
			t.Errorf("%s: %v", b.path, err)
		}
		for _, m := range regexp.MustCompile(`uses: (\S+)`).FindAllStringSubmatch(b.text, -1) {
			if !regexp.MustCompile(`@[0-9a-f]{40}$`).MatchString(m[1]) {
				t.Errorf("%s: %s is not pinned by its commit", b.path, m[1])
			}
		}
		for _, m := range regexp.MustCompile(`path: (/[a-z]+)`).FindAllStringSubmatch(b.text, -1) {
			if m[1] != "/healthz" && m[1] != "/readyz" {
				t.Errorf("%s: no probe is answered at %s", b.path, m[1])
			}
		}
	}
	for _, b := range blocks(t, "nginx") {
		var paths []string
		for _, m := range regexp.MustCompile(`location = (\S+)`).FindAllStringSubmatch(b.text, -1) {
			paths = append(paths, m[1])
		}
		if !slices.Equal(paths, strangerPaths) {
			t.Errorf("%s: the proxy passes on %v, and the public routes are %v", b.path, paths, strangerPaths)
		}
	}
}
