package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"unicode/utf8"

	"flowbridge/router"
)

// Bounds of what templates make.
const (
	maxTitle = 300  // characters
	maxText  = 3000 // characters
	maxSteps = 1000 // turns of range and calls of template, in one execution
)

// words are the templates of a rule; nil where it has none.
type words struct{ title, text *template.Template }

// RenderIncident executes the templates of the rule that opened an incident: where several matched, of the
// first. alerts are the incident's, worst first. A result is "" where there is no template or it failed: the
// built-in words are used then.
func (r *Rules) RenderIncident(inc *router.Incident, alerts []router.Alert) (title, text string) {
	rule := r.rule(inc.Rule)
	if rule == nil || rule.words == (words{}) {
		return "", ""
	}
	return r.render(rule, viewIncident(inc, alerts))
}

// RenderNotice executes the templates of the rule that matched a notice, as RenderIncident does.
func (r *Rules) RenderNotice(n *router.Notice) (title, text string) {
	rule := r.rule(n.Rule)
	if rule == nil || rule.words == (words{}) {
		return "", ""
	}
	return r.render(rule, viewNotice(n))
}

func (r *Rules) render(rule *rule, v View) (title, text string) {
	one := func(t *template.Template, limit int) string {
		out, err := execute(t, v, limit)
		if err != nil && r.cfg.OnTemplateError != nil {
			r.cfg.OnTemplateError(rule.name, err)
		}
		return out
	}
	return oneLine(one(rule.words.title, maxTitle), maxTitle), one(rule.words.text, maxText)
}

// execute runs a template; a nil one makes "". What is too long is cut, and not executed to its end.
func execute(t *template.Template, v View, limit int) (out string, err error) {
	if t == nil {
		return "", nil
	}
	defer func() {
		if p := recover(); p != nil {
			out, err = "", fmt.Errorf("template: %v", p)
		}
	}()
	own, err := t.Clone()
	if err != nil {
		return "", err
	}
	steps := 0
	own.Funcs(template.FuncMap{stepFunc: func() (string, error) {
		if steps++; steps > maxSteps {
			return "", fmt.Errorf("the template takes more than %d steps", maxSteps)
		}
		return "", nil
	}})
	w := &limited{left: limit * utf8.UTFMax}
	if err := own.Execute(w, v); err != nil && !errors.Is(err, errFull) {
		return "", err
	}
	return shorten(strings.TrimSpace(strings.ToValidUTF8(w.String(), "")), limit), nil
}

var errFull = errors.New("long enough")

// limited is a strings.Builder that takes so many bytes and no more.
type limited struct {
	strings.Builder
	left int
}

func (w *limited) Write(p []byte) (int, error) {
	fits := p[:min(len(p), w.left)]
	w.left -= len(fits)
	w.Builder.Write(fits)
	if len(fits) < len(p) {
		return len(fits), errFull
	}
	return len(p), nil
}

// stepFunc is called by every turn of a range and every call of a template: {{range 1000000000}} is legal.
const stepFunc = "flowbridge_step"

func parseTemplate(name, text string) (t *template.Template, err error) {
	defer func() {
		if p := recover(); p != nil {
			t, err = nil, fmt.Errorf("template: %s:1: %v", name, p)
		}
	}()
	funcs := template.FuncMap{stepFunc: func() string { return "" }}
	step, err := template.New("step").Funcs(funcs).Parse("{{" + stepFunc + "}}")
	if err != nil {
		return nil, err
	}
	t, err = template.New(name).Option("missingkey=zero").Funcs(funcs).Parse(text)
	if err != nil {
		return nil, err
	}
	for _, part := range t.Templates() {
		countSteps(part.Root, step.Root.Nodes[0])
		if part.Root != nil {
			part.Root.Nodes = slices.Insert(part.Root.Nodes, 0, step.Root.Nodes[0])
		}
	}
	return t, nil
}

// countSteps puts step at the beginning of every body of a range.
func countSteps(list *parse.ListNode, step parse.Node) {
	if list == nil {
		return
	}
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.RangeNode:
			countSteps(n.List, step)
			countSteps(n.ElseList, step)
			n.List.Nodes = slices.Insert(n.List.Nodes, 0, step)
		case *parse.IfNode:
			countSteps(n.List, step)
			countSteps(n.ElseList, step)
		case *parse.WithNode:
			countSteps(n.List, step)
			countSteps(n.ElseList, step)
		}
	}
}
