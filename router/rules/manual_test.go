package rules

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

// TestTheManualSaysWhatTheCodeKnows holds the tables of the page about rules, or writes them anew with -update.
func TestTheManualSaysWhatTheCodeKnows(t *testing.T) {
	const path = "../../cmd/flowbridge/docs/rules.md"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := fill(string(page))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(string(page), "\n")); diff != "" {
		t.Errorf("write it anew with -update: -want +got\n%s", diff)
	}
}

// TestTheReferenceIsThatOfTheSchema holds the page that lists every key, or writes it anew with -update: it is made of
// the tables that the schema and the loader are made of.
func TestTheReferenceIsThatOfTheSchema(t *testing.T) {
	const path = "../../cmd/flowbridge/docs/rules-reference.md"
	want := referencePage()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(string(page), "\n")); diff != "" {
		t.Errorf("write it anew with -update: -want +got\n%s", diff)
	}
}

// An example that can never hold misleads: error_rate and requests_count are of different events.
func TestTheManualsExpressionCanHold(t *testing.T) {
	about := matchKeys.keys[slices.Index(matchKeys.names(), "when")].about
	_, rest, _ := strings.Cut(about, "must be true: ")
	example, _, _ := strings.Cut(rest, ". ")
	r := mustLoad(t, fmt.Sprintf("version: 1\nnotifiers: {chat: {kind: slack, channel: \"#chat\"}}\nrules:\n"+
		"  - {name: example, match: {when: %q}, notify: chat}\n", example))
	ev := router.Event{Source: router.SourceMeta, Field: router.FlowsField, Name: router.EndpointLatency,
		AlertState: router.Activated, Threshold: new(5000.0)}
	ev.Reading = router.Reading{Value: new(6520.0), Requests: new(120.0)}
	if d := r.Decide(&ev); d.Rule() != "example" {
		t.Errorf("%s holds for no event", example)
	}
}

// referencePage is the page: a table for each kind of map.
func referencePage() string {
	var b strings.Builder
	b.WriteString(
		"# Every key of the rules\n\nMade from the schema, which `flowbridge schema` prints. [Rules by example](rules.md) " +
			"shows them at work.\n")
	part := func(title string, t table) {
		fmt.Fprintf(&b, "\n## %s\n\n| key | meaning |\n| --- | --- |\n", title)
		for _, k := range t.keys {
			required := ""
			if k.required {
				required = "Required. "
			}
			fmt.Fprintf(&b, "| `%s` | %s%s |\n", k.name, required, cell(k.about))
		}
	}
	part("The file", fileKeys)
	part("A flow", flowKeys)
	part("An account", accountKeys)
	for _, kind := range router.Kinds() {
		part("A notifier of kind "+string(kind), notifierKeys(kind))
	}
	part("A window", windowKeys)
	part("`watch`", watchKeys)
	part("`drill`", drillKeys)
	part("`report`", reportKeys)
	part("A rule", ruleKeys)
	part("`match`", matchKeys)
	part("`{not: ...}` in a key of `match`", notKeys)
	part("An entry of `notify`", routeKeys)
	return b.String()
}

// manual returns parts of the manual that are written from the code, in Markdown, by the name that marks their place in
// the page: the keys of match and of windows, and what title and text can use.
func manual() map[string]string {
	return map[string]string{
		"match": keyTable("key of `match`", &matchKeys), "windows": keyTable("key of a window", &windowKeys),
		"accounts": keyTable("key of an account", &accountKeys), "fields": fieldTable(), "functions": functionTable(),
	}
}

func keyTable(of string, t *table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | meaning |\n| --- | --- |\n", of)
	for _, k := range t.keys {
		fmt.Fprintf(&b, "| `%s` | %s |\n", k.name, cell(k.about))
	}
	return b.String()
}

func fieldTable() string {
	var b strings.Builder
	b.WriteString("| field | what it is |\n| --- | --- |\n")
	view := reflect.TypeFor[View]()
	for i := range view.NumField() {
		fmt.Fprintf(&b, "| `.%s` | %s |\n", view.Field(i).Name, cell(view.Field(i).Tag.Get("about")))
	}
	return b.String()
}

func functionTable() string {
	var b strings.Builder
	b.WriteString("| function | example | makes |\n| --- | --- | --- |\n")
	for _, f := range wordFuncs {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", f.name, f.usage, cell(f.about))
	}
	return b.String()
}

// cell writes a text into a cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// fill returns a page with the parts of manual in their places: each stands between a line <!-- from the code: NAME -->
// and a line <!-- end -->. A place that the code knows nothing of is an error, as is a part without a place.
func fill(page string) (string, error) {
	parts := manual()
	var out []string
	var filled []string
	skip := false
	for line := range strings.SplitSeq(page, "\n") {
		name, opens := strings.CutPrefix(line, "<!-- from the code: ")
		switch {
		case opens:
			name = strings.TrimSuffix(name, " -->")
			part, ok := parts[name]
			if !ok || skip {
				return "", fmt.Errorf("the code has no part %q", name)
			}
			out = append(out, line, "", strings.TrimSuffix(part, "\n"), "")
			filled, skip = append(filled, name), true
		case line == "<!-- end -->":
			skip = false
			out = append(out, line)
		case !skip:
			out = append(out, line)
		}
	}
	for name := range parts {
		if !slices.Contains(filled, name) {
			return "", fmt.Errorf("the page has no place for %q", name)
		}
	}
	return strings.Join(out, "\n"), nil
}
