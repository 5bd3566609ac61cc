package main

import (
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"

	"flowbridge/router/rules"
	"flowbridge/router/rules/stories"
)

type testCommand struct {
	Files   []string `arg:"" name:"file" complete:"file" help:"Files of stories."`
	Verbose bool     `short:"v" help:"Print every step and what it tells."`
	Run_    string   `name:"run" placeholder:"REGEXP" help:"Only stories whose name matches."`
	Cover   bool     `help:"Fail if a rule is hit by no story, and name it."`
}

// maxStoryFile bounds a file of stories.
const maxStoryFile = 4 << 20

// Run plays the stories of every file and says which did not go as they say. Nobody is told anything.
func (c testCommand) Run(p *program) error {
	only, err := regexp.Compile(c.Run_)
	if err != nil {
		return wrongUsage("--run: %w", err)
	}
	bad := false
	for _, path := range c.Files {
		file, err := p.loadStories(path)
		if err != nil { // mistakes stand a line each
			bad = true
			fmt.Fprintf(p.Stdout, "%v\nFAIL\t%s\tnot run\n", err, path)
			continue
		}
		t := tester{out: p.Stdout, verbose: c.Verbose, hits: map[string]int64{}}
		for i := range file.Stories {
			if only.MatchString(file.Stories[i].Name) {
				t.run(file, &file.Stories[i])
			}
		}
		bad = !t.summary(path, file.Rules, c.Cover) || bad
	}
	if bad {
		return errFault
	}
	return nil
}

// loadStories reads a file of stories and the rules that it names, relative to itself.
func (p *program) loadStories(path string) (*stories.File, error) {
	data, err := readRegular(path, maxStoryFile)
	if err != nil {
		return nil, err
	}
	return stories.Load(path, data, func(named string, env map[string]string) (*rules.Rules, error) {
		if !filepath.IsAbs(named) {
			named = filepath.Join(filepath.Dir(path), named)
		}
		return p.loadTrialRules(named, env)
	})
}

// tester runs the stories of one file.
type tester struct {
	out         io.Writer
	verbose     bool
	ran, failed int
	hits        map[string]int64
}

func (t *tester) run(all *stories.File, story *stories.Story) {
	t.ran++
	if t.verbose {
		fmt.Fprintf(t.out, "=== RUN   %s\n", story.Name)
	}
	result := all.Run(story, buildEvent)
	for name, n := range result.Hits {
		t.hits[name] += n
	}
	switch {
	case result.Failed():
		t.failed++
		fmt.Fprintf(t.out, "--- FAIL: %s (%s)\n", story.Name, story.Place)
	case t.verbose:
		fmt.Fprintf(t.out, "--- PASS: %s\n", story.Name)
	}
	for i := range result.Steps {
		if step := &result.Steps[i]; t.verbose || step.Failed() {
			t.step(step)
		}
	}
}

// step prints a step: what it tells if all is as it says, and the difference if it is not.
func (t *tester) step(s *stories.StepResult) {
	fmt.Fprintf(t.out, "    %s: %s\n", s.Place, s.Title)
	if s.Problem != "" {
		fmt.Fprintf(t.out, "        %s\n", s.Problem)
		return
	}
	if t.verbose && s.Outcome != "" {
		fmt.Fprintf(t.out, "        %s: %s\n", s.At.UTC().Format("Mon 2006-01-02 15:04:05"), s.Outcome)
	}
	if len(s.Diff) == 0 {
		for _, told := range s.Told {
			fmt.Fprintf(t.out, "          %s: %s\n", told.Notifier, told.Words())
		}
		return
	}
	if !t.verbose && s.Outcome != "" {
		fmt.Fprintf(t.out, "        %s (-want +got):\n", s.Outcome)
	} else {
		fmt.Fprint(t.out, "        (-want +got):\n")
	}
	widest := 0
	for _, line := range s.Diff {
		widest = max(widest, len(line.Text))
	}
	for _, line := range s.Diff {
		text := fmt.Sprintf("        %c %-*s  %s", line.Sign, widest, line.Text,
			strings.TrimSpace(line.Note+" "+line.Place.String()))
		if line.Sign == ' ' {
			text = "          " + line.Text
		}
		fmt.Fprintln(t.out, strings.TrimRight(text, " "))
	}
}

// summary prints the last line, and says whether all is well.
func (t *tester) summary(path string, r *rules.Rules, cover bool) (good bool) {
	names, places := r.Names()
	hit := 0
	var missed []string
	for i, name := range names {
		if t.hits[name] > 0 {
			hit++
		} else {
			missed = append(missed, fmt.Sprintf("%s: no story hits rule %q", places[i], name))
		}
	}
	rulesHit := fmt.Sprintf("%d of %d rules hit", hit, len(names))
	switch {
	case t.failed > 0:
		fmt.Fprintf(t.out, "FAIL\t%s\t%d of %s failed, %s\n", path, t.failed, counted(t.ran, "story"), rulesHit)
	case cover && len(missed) > 0:
		fmt.Fprintf(t.out, "FAIL\t%s\t%s, %s\n", path, counted(t.ran, "story"), rulesHit)
	case t.ran == 0:
		fmt.Fprintf(t.out, "ok  \t%s\tno stories to run\n", path)
	default:
		fmt.Fprintf(t.out, "ok  \t%s\t%s, %s\n", path, counted(t.ran, "story"), rulesHit)
	}
	if cover {
		for _, line := range missed {
			fmt.Fprintln(t.out, line)
		}
	}
	return t.failed == 0 && !(cover && len(missed) > 0)
}
