package main

import (
	"errors"
	"fmt"

	"flowbridge/router/rules"
)

type checkCommand struct {
	Files []string `arg:"" name:"file" help:"Rules files to check."`
}

// Run reads every file and prints every mistake of all of them, one a line.
func (c checkCommand) Run(p *program) error {
	bad := false
	for _, path := range c.Files {
		_, err := p.loadRules(path)
		var mistakes *rules.Mistakes
		switch {
		case errors.As(err, &mistakes):
			bad = true
			fmt.Fprintln(p.Stdout, mistakes)
		case err != nil:
			bad = true
			fmt.Fprintf(p.Stdout, "%s: %v\n", path, err)
		default:
			fmt.Fprintf(p.Stdout, "%s: ok\n", path)
		}
	}
	if bad {
		return errFault
	}
	return nil
}

// maxRulesFile bounds a rules file and the files that it names.
const maxRulesFile = 8 << 20

// loadRules reads the rules file at path. What a person got wrong comes back as rules.Mistakes.
func (p *program) loadRules(path string) (*rules.Rules, error) {
	data, err := readBounded(path, maxRulesFile)
	if err != nil {
		return nil, err
	}
	return rules.Load(path, data, rules.Config{
		Env:      p.Getenv,
		ReadFile: func(path string) ([]byte, error) { return readBounded(path, maxSecretFile) },
	})
}
