package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"testing"

	"flowbridge/notifiers/sandbox/sandboxtest"
	"flowbridge/router"
)

// exampleSubjects are what the page's cards are about.
var exampleSubjects = map[router.SubjectKind]router.Subject{
	router.SubjectAccount:  {Kind: router.SubjectAccount},
	router.SubjectPhone:    {Kind: router.SubjectPhone, ID: "15550100001", Name: "+15550100001"},
	router.SubjectTemplate: {Kind: router.SubjectTemplate, ID: "7:en_US", Name: "order_update (en_US)"},
	router.SubjectEntity:   {Kind: router.SubjectEntity, ID: "BUSINESS:91", Name: "business 91"},
	router.SubjectPayment:  {Kind: router.SubjectPayment, ID: "web-shop", Name: "web-shop"},
}

// TestThePageOfAccountHealthIsTheTable holds the tables of docs/account-health.md against the table of signals, and
// with it every first line of a card. With -update it writes them.
func TestThePageOfAccountHealthIsTheTable(t *testing.T) {
	t.Parallel()
	const path = "docs/account-health.md"
	const begin, end = "<!-- tables: from the table of signals -->\n", "<!-- end of the tables -->\n"
	page, err := os.ReadFile(path)
	must(t, err)
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for its tables", path)
	}
	sandboxtest.Golden(t, path, before+begin+"\n"+healthTables()+"\n"+end+after, *update)
}

func healthTables() string {
	trouble := []string{
		"## What opens an incident\n",
		"| field | Meta's word | severity | the card begins | ends with |", "| --- | --- | --- | --- | --- |",
	}
	news := []string{
		"\n## News, told once\n",
		"| field | Meta's word | severity | the card begins |", "| --- | --- | --- | --- |",
	}
	advice := []string{
		"\n## What it means, and what helps\n",
		"| signal | in general | what helps |", "| --- | --- | --- |",
	}
	for _, s := range router.Signals() {
		example, ofAccount := exampleSubjects[s.Subject]
		if !ofAccount || s.Personal {
			continue
		}
		about := example.Label(router.FlowInfo{AccountName: "Acme EU"}, "")
		field := "`" + s.Field + "`"
		ends := cmp.Or(strings.Join(words(s.Ends), ", "), "its date, or what Meta says of it next")
		if s.Name == "ACCOUNT_ALERTS" {
			ends = "the alert's `NONE` or `RESOLVED`"
		}
		for _, l := range s.Levels {
			trouble = append(trouble, fmt.Sprintf("| %s | `%s` | %s | %s | %s |",
				field, l.Word, defaultSeverity(&s, l.Word, router.Activated), router.Claim(about, s.Name, l.Level()), ends))
		}
		if s.AnyLevel {
			trouble = append(trouble, fmt.Sprintf("| %s | another word | %s | %s | %s |", field, cmp.Or(s.Severity, router.Info),
				router.Claim(about, s.Name, "THE_WORD"), ends))
		}
		for _, l := range s.News {
			news = append(news, fmt.Sprintf("| %s | `%s` | %s | %s |",
				field, l.Word, defaultSeverity(&s, l.Word, ""), router.Claim(about, s.Name, l.Level())))
		}
		if len(s.Levels)+len(s.News) == 0 {
			news = append(news, fmt.Sprintf("| %s | | %s | %s |",
				field, cmp.Or(s.Severity, router.Info), router.Claim(about, s.Name, "")))
		}
		advice = append(advice, fmt.Sprintf("| %s | %s | %s [%s](%s) |", s.Title, s.Impact, s.Help, s.LinkLabel(), s.Link))
	}
	return strings.Join(append(append(trouble, news...), advice...), "\n") + "\n"
}

func defaultSeverity(s *router.Signal, word, state string) string {
	e := router.Event{Name: router.EventOf(s.Name), Signal: s.Name, Change: word, AlertState: state}
	severity := router.DefaultSeverity(&e).String()
	if s.Name == "ACCOUNT_ALERTS" {
		return "Meta's, or " + severity
	}
	return severity
}

func words(levels []router.SignalLevel) (all []string) {
	for _, l := range levels {
		all = append(all, "`"+l.Word+"`")
	}
	return all
}
