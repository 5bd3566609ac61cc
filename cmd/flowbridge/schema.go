package main

import "flowbridge/router/rules"

type schemaCommand struct{}

// Run prints the JSON Schema of a rules file.
func (schemaCommand) Run(p *program) error {
	_, err := p.Stdout.Write(rules.Schema())
	return err
}
