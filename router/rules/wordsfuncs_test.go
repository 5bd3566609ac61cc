package rules

import (
	"errors"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
)

// wordKillers are templates that are well formed, and took all memory or time there is before they had a budget.
var wordKillers = map[string]string{
	"a text that doubles":     `{{$s := "aaaaaaaa"}}{{range 60}}{{$s = print $s $s}}{{end}}{{len $s}}`,
	"the same with printf":    `{{$s := "aaaaaaaa"}}{{range 60}}{{$s = printf "%s%[1]s" $s}}{{end}}{{len $s}}`,
	"a line that doubles":     `{{$s := "aaaaaaaa"}}{{range 60}}{{$s = println $s $s}}{{end}}{{len $s}}`,
	"HTML that grows":         `{{$s := "<"}}{{range 90}}{{$s = html $s}}{{$s = print $s $s}}{{end}}{{len $s}}`,
	"JavaScript that grows":   `{{$s := "'"}}{{range 90}}{{$s = js $s}}{{end}}{{len $s}}`,
	"a URL that grows":        `{{$s := "%"}}{{range 90}}{{$s = urlquery $s $s}}{{end}}{{len $s}}`,
	"a wide number in a loop": `{{range 999}}{{$x := printf "%999999d" 1}}{{end}}`,
	"many wide numbers":       `{{len (printf "` + strings.Repeat("%[1]999999d", 1000) + `" 1)}}`,
	"one text many times": `{{$s := printf "%9999s" "a"}}{{len (printf "` + strings.Repeat("%[1]s",
		1000) + `" $s)}}`,
	"wide in every field":                   `{{len (printf "%999999v" .)}}`,
	"a width from an argument":              `{{len (printf "%*d" 999999 1)}}`,
	"loops in loops":                        `{{range 9999}}{{range 9999}}{{end}}{{end}}`,
	"a turn that does much":                 `{{range 9999}}` + strings.Repeat(`{{if eq 1 1}}{{end}}`, 500) + `{{end}}`,
	"templates that call one another":       `{{define "a"}}{{template "b"}}{{template "b"}}{{end}}{{define "b"}}{{template "a"}}{{template "a"}}{{end}}{{template "a"}}`,
	"a template that calls itself for ever": `{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`,
	"a loop in an else":                     `{{range 0}}{{else}}{{range 999999999}}{{end}}{{end}}`,
	"a loop in a with":                      `{{with 0}}{{else with 1}}{{range 999999999}}{{end}}{{end}}`,
	"a text replaced by more":               `{{$s := "aaaaaaaa"}}{{range 60}}{{$s = replace $s "a" "aa"}}{{end}}{{len $s}}`,
	"many dates":                            `{{range 9999}}{{$x := date "Monday" "Europe/Berlin" $.At}}{{end}}`,
	"variables that double":                 doublingWords(),
}

func doublingWords() string {
	var b strings.Builder
	b.WriteString(`{{$a := "aaaaaaaa"}}`)
	for range 60 {
		b.WriteString(`{{$a = print $a $a}}`)
	}
	return b.String() + `{{len $a}}`
}

func TestATemplateThatWantsTooMuchIsAMistakeAndMakesNothing(t *testing.T) {
	for name, text := range wordKillers {
		t.Run(name, func(t *testing.T) {
			made := allocated(func() {
				tmpl, err := parseTemplate("text", text)
				if err != nil {
					t.Fatal(err)
				}
				out, cost, err := execute(tmpl, sampleViews(&rule{})[0], maxText)
				if err == nil || out != "" || cost > wordsBudget || !errors.Is(err, errBudget) &&
					!strings.Contains(err.Error(), "printf takes no *") {
					t.Errorf("made %.40q at %d, error %v", out, cost, err)
				}
			})
			if most := uint64(32 << 20); made > most {
				t.Errorf("it took %d MiB", made>>20)
			}
			_, err := Load("rules.yaml", []byte(world+"default:\n  text: |\n    "+text+"\n  notify: chat\n"), testConfig())
			if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "rules.yaml:1") {
				t.Errorf("reading says %v", err)
			}
		})
	}
}

// TestATemplateThatFailsOnALargeEventLeavesTheBuiltInWords has rules that are good on every sample.
func TestATemplateThatFailsOnALargeEventLeavesTheBuiltInWords(t *testing.T) {
	var told []error
	cfg := testConfig()
	cfg.OnTemplateError = func(_ string, err error) { told = append(told, err) }
	rules, err := Load("rules.yaml", []byte(world+`
default:
  title: '{{$s := .FlowName}}{{range .Errors}}{{$s = print $s $s}}{{end}}{{$s}}'
  text: '{{.FlowName}}'
  notify: chat
`), cfg)
	if err != nil {
		t.Fatal(err)
	}
	errs := make([]router.ErrorCount, 60)
	title, text := rules.RenderIncident(&router.Incident{Rule: "default", FlowInfo: router.FlowInfo{FlowName: "Checkout"},
		OpenedAt: time.Unix(0, 0)},
		[]router.Alert{{Event: router.EndpointErrorRate, Active: true, Reading: router.Reading{Errors: errs}}})
	if title != "" || text != "Checkout" || len(told) != 1 || !errors.Is(told[0], errBudget) {
		t.Errorf("title %.40q, text %.40q, told %v", title, text, told)
	}
}

func TestPrintfWritesAsEver(t *testing.T) {
	for text, want := range map[string]string{
		`{{printf "%5.1f|%-6s|%06d|%x|%q|%%" 3.14159 "ab" 42 "hi" "x"}}`: `3.1|ab    |000042|6869|"x"|%`,
		`{{printf "%[2]s %[1]s" "a" "b"}}`:                               "b a",
		`{{printf "%.2000s" .FlowName}}`:                                 "Sample",
		`{{printf "100%"}}`:                                              "100%!(NOVERB)",
		`{{print 1 2}} {{html "<a>"}} {{urlquery "a b"}} {{js "'"}}`:     `1 2 &lt;a&gt; a+b \'`,
	} {
		tmpl, err := parseTemplate("text", text)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := execute(tmpl, sampleViews(&rule{})[0], maxText); got != want || err != nil {
			t.Errorf("%s makes %q, %v, want %q", text, got, err, want)
		}
	}
}

// FuzzWords executes any template: it ends soon, and takes a bounded amount of memory.
func FuzzWords(f *testing.F) {
	for _, text := range wordKillers {
		f.Add(text)
	}
	f.Add(`{{range .Alerts}}{{.Signal}} {{.Threshold}}; {{end}}{{with .Errors}}{{(index . 0).Type}}{{end}}`)
	f.Add(`{{block "a" .}}{{slice .FlowName 0 2}}{{break}}{{end}}{{.At.Format "15:04"}}{{.Labels.team}}{{and 1 0 | not}}`)
	f.Add(
		`{{join .Labels ", "}}{{replace .Event "_" " "}}{{date "Jan 2" "UTC" 1e9}}{{percent .Value}}{{number 12}}{{short .Message 3}}`)
	f.Fuzz(func(t *testing.T, text string) {
		made := allocated(func() {
			tmpl, err := parseTemplate("text", text)
			if err != nil {
				return
			}
			for _, v := range sampleViews(&rule{}) {
				_, _, _ = execute(tmpl, v, maxText)
			}
		})
		if made > 256<<20 {
			t.Errorf("it takes %d MiB", made>>20)
		}
	})
}
