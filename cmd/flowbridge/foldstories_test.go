package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flowbridge/notifiers/sandbox/sandboxtest"
	"flowbridge/router"
	"flowbridge/router/rules/stories"
)

// TestStoriesOfTheFold plays the stories in testdata/fold through decoder, rules and fold, and holds all that the fold
// comes to: timelines, what is owed, and what a service is known to have already. A new case is a story, and a run with
// -update.
func TestStoriesOfTheFold(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/fold/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(path string) bool { return filepath.Base(path) == "rules.yaml" })
	if len(files) == 0 {
		t.Fatal("there are no stories")
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			file, err := (&program{Getenv: noVariables}).loadStories(path)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			for i := range file.Stories {
				story := &file.Stories[i]
				fmt.Fprintf(&out, "# %s\n", story.Name)
				result := file.Run(story, buildEvent)
				for j := range result.Steps {
					writeStep(&out, &result.Steps[j])
				}
				if result.Failed() {
					t.Errorf("%s: a step does not go as it says", story.Name)
				}
				fmt.Fprintln(&out)
			}
			sandboxtest.Golden(t, strings.TrimSuffix(path, ".yaml")+".golden", out.String(), *update)
		})
	}
}

// writeStep writes what happens in a step, and what the fold comes to.
func writeStep(out *strings.Builder, s *stories.StepResult) {
	fmt.Fprintf(out, "%s  %s", s.At.Format("15:04"), s.Title)
	if s.Outcome != "" {
		fmt.Fprintf(out, ": %s", s.Outcome)
	}
	fmt.Fprintln(out)
	if s.Problem != "" {
		fmt.Fprintf(out, "       cannot be: %s\n", s.Problem)
	}
	for i := range s.Batches {
		b := &s.Batches[i]
		for _, e := range b.Entries {
			fmt.Fprintf(out, "       %s %s %s: %s\n", e.At.Format("15:04"), router.IncidentName(e.Incident), e.Kind, e.Text)
		}
		for _, o := range b.Owed {
			fmt.Fprintf(out, "         owed %s\n", owedWords(&o))
		}
		for _, o := range b.AlreadyThere {
			fmt.Fprintf(out, "         already there: %s\n", owedWords(&o))
		}
	}
}

// owedWords writes what a notifier is owed: "INC-1 to page: open error, opening 2".
func owedWords(o *router.Owed) string {
	words := router.IncidentName(o.Incident)
	switch {
	case o.Notice != 0:
		words = fmt.Sprintf("the notice of event %d", o.Notice)
	case o.PagedAt != 0:
		words += fmt.Sprintf(", paged at event %d,", o.PagedAt)
	}
	state := "closed"
	switch {
	case o.Notice != 0:
		state = o.Severity.String()
	case o.Open:
		state = fmt.Sprintf("open %s, opening %d", o.Severity, o.Opening)
	}
	for _, flag := range []struct {
		word string
		set  bool
	}{{"acknowledged", o.Acknowledged}, {"numbers alone", o.Cosmetic}, {"reopened there", o.Reopened},
		{"ended there", !o.Ended.IsZero()}} {
		if flag.set {
			state += ", " + flag.word
		}
	}
	return fmt.Sprintf("%s to %s: %s", words, o.Target.Notifier, state)
}

func noVariables(string) (string, bool) { return "", false }
