package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	databases "flowbridge/router/store/storetest"
)

// killers are expressions, and wordKillers templates, that took all memory or time there is.
var (
	killers = []string{
		`len(repeat(repeat("a", 999999), 999999)) > 1`,
		`len(reduce(1..60, #acc + #acc, "a")) > 1`,
		`len(toJSON(reduce(1..60, [#acc, #acc], [1]))) > 1`,
		`all(1..9999, all(1..9999, all(1..9999, # > 0)))`,
		`repeat("a", 999999) matches "(a?){300}b"`,
		`len(string(reduce(1..99999, [#acc], [1]))) > 1`,
	}
	wordKillers = []string{
		`{{$s := "aaaaaaaa"}}{{range 60}}{{$s = print $s $s}}{{end}}{{$s}}`,
		`{{range 99999}}{{$x := printf "%999999d" 1}}{{end}}`,
		`{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`,
		`{{$s := printf "%9999s" "a"}}{{range 99}}{{$s = printf "%s%[1]s%[1]s" $s}}{{end}}`,
	}
)

// TestRulesThatWantAllThereIsDoNotEndTheBridge has rules that are good on every sample, and then events of other flows.
func TestRulesThatWantAllThereIsDoNotEndTheBridge(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	var text strings.Builder
	text.WriteString("version: 1\nnotifiers:\n  chat: {kind: slack, channel: \"#ops\"}\nrules:\n")
	for i, killer := range killers {
		fmt.Fprintf(&text, "  - {name: when %d, match: {when: 'flow == \"70%d\" && %s'}, notify: chat}\n", i, i, killer)
	}
	for i, killer := range wordKillers {
		defined, rest := "", killer
		if at := strings.Index(killer, "{{template"); at > 0 { // what is defined stands outside
			if end := strings.LastIndex(killer, "{{template"); strings.HasPrefix(killer, "{{define") {
				defined, rest = killer[:end], killer[end:]
			}
		}
		fmt.Fprintf(&text, "  - name: words %d\n    match: {flow: \"80%d\"}\n", i, i)
		fmt.Fprintf(&text, "    title: '%s{{if eq .Flow \"80%d\"}}%s{{end}}'\n    notify: chat\n", defined, i, rest)
	}
	text.WriteString("default: {notify: chat}\n")

	s := newServices(t, "#ops")
	s.memory = 4 << 10
	p := start(t, s, writeRules(t, text.String()), databases.File(t))
	flows := 0
	for i := range killers {
		p.post(t, pairPost(lately, fmt.Sprintf("70%d", i), "ACTIVATED", 50), http.StatusOK)
		flows++
	}
	for i := range wordKillers {
		p.post(t, pairPost(lately, fmt.Sprintf("80%d", i), "ACTIVATED", 50), http.StatusOK)
		flows++
	}
	eventually(t, "all are told, in the built-in words", func() bool {
		cards := s.Slack.Messages("#ops")
		for _, card := range cards {
			if !strings.Contains(card.Text, "Endpoint error rate over 50 %") {
				t.Fatalf("a card says %.200s", card.Text)
			}
		}
		return len(cards) == flows
	})
	metrics := getText(t, p.Admin+"/metrics")
	for i := range killers {
		if want := fmt.Sprintf(`flowbridge_rule_faults_total{part="when",rule="when %d"} `, i); !strings.Contains(metrics,
			want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
	for i := range wordKillers {
		if want := fmt.Sprintf(`flowbridge_rule_faults_total{part="template",rule="words %d"} `,
			i); !strings.Contains(metrics, want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
	if peak := peakMemory(t, p.cmd.Process.Pid); peak > 256 {
		t.Errorf("the bridge took %d MiB", peak)
	}
	must(t, p.stop(t))
}

// peakMemory returns the most memory that a process had, in MiB; 0 where nobody says so.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	must(t, err)
	t.Logf("at most %d MiB", kib>>10)
	return kib >> 10
}

// TestCheckFindsRulesThatWantAllThereIs runs it with little memory.
func TestCheckFindsRulesThatWantAllThereIs(t *testing.T) {
	t.Parallel()
	path, err := binary()
	must(t, err)
	var text strings.Builder
	text.WriteString("version: 1\nnotifiers:\n  chat: {kind: slack, channel: \"#ops\"}\nrules:\n")
	for i, killer := range killers {
		fmt.Fprintf(&text, "  - {name: when %d, match: {when: '%s'}, notify: chat}\n", i, killer)
	}
	for i, killer := range wordKillers {
		fmt.Fprintf(&text, "  - {name: words %d, match: {}, title: '%s', notify: chat}\n", i, killer)
	}
	out, err := within(4<<10, path, "check", writeRules(t, text.String())).CombinedOutput()
	if err == nil || err.Error() != "exit status 1" {
		t.Errorf("check ends with %v", err)
	}
	if n := strings.Count(string(out), "it takes too much time or memory"); n != len(killers)+len(wordKillers) {
		t.Errorf("check finds %d of %d:\n%s", n, len(killers)+len(wordKillers), out)
	}
}
