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
	"flowbridge/router/rules/yamldoc"
)

// Bounds of what templates make.
const (
	maxTitle    = 300      // characters
	maxText     = 3000     // characters
	maxTemplate = 16 << 10 // bytes of its own
	wordsBudget = 1 << 20  // of the meter, for one execution
	stepCost    = 100      // of a turn of range, or a call of template, beside a unit for each byte of what it executes
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
	title, text, failed := r.rendered(rule, v)
	for _, err := range failed {
		if r.cfg.OnTemplateError != nil {
			r.cfg.OnTemplateError(rule.name, err)
		}
	}
	return title, text
}

// rendered returns also why templates failed.
func (r *Rules) rendered(rule *rule, v View) (title, text string, failed []error) {
	one := func(t *template.Template, limit int) string {
		if t == nil {
			return ""
		}
		out, err := "", errLeftOut
		if !r.plain {
			out, _, err = execute(t, v, limit)
		}
		if err != nil {
			failed = append(failed, err)
		}
		return out
	}
	title, text = yamldoc.OneLine(one(rule.words.title, maxTitle), maxTitle), one(rule.words.text, maxText)
	return title, text, failed
}

// WordsFailed returns why the templates of a rule failed on what a notification is about, so that the built-in words
// are used; nil where none did. Of a form that was filled it quotes nothing.
func (r *Rules) WordsFailed(n *router.Notification) error {
	name, v, personal := "", View{}, false
	switch {
	case n.Incident != nil:
		name, v = n.Incident.Rule, viewIncident(n.Incident, n.Alerts)
	case n.Notice != nil:
		name, v, personal = n.Notice.Rule, viewNotice(n.Notice), router.IsPersonal(n.Notice.Name)
	}
	rule := r.rule(name)
	if rule == nil {
		return nil
	}
	_, _, failed := r.rendered(rule, v)
	switch {
	case len(failed) == 0:
		return nil
	case personal:
		return errors.New("it failed on this response")
	}
	var why []string
	for _, err := range failed {
		text := err.Error()
		if m := templateError.FindStringSubmatch(text); m != nil {
			text = m[1] + ": " + m[4]
		}
		why = append(why, yamldoc.OneLine(text, 200))
	}
	return errors.New(strings.Join(why, "; "))
}

// execute runs a template; a nil one makes "". What is too long is cut, and not executed to its end. It returns what
// that cost, which is never more than wordsBudget.
func execute(t *template.Template, v View, limit int) (out string, cost int, err error) {
	if t == nil {
		return "", 0, nil
	}
	m := meter{left: wordsBudget}
	defer func() {
		cost = wordsBudget - m.left
		if p := recover(); p != nil {
			out, err = "", fmt.Errorf("template: %v", p)
		}
	}()
	own, err := t.Clone()
	if err != nil {
		return "", 0, err
	}
	own.Funcs(m.functions())
	w := &limited{left: limit * utf8.UTFMax}
	if err := own.Execute(w, v); err != nil && !errors.Is(err, errFull) {
		return "", 0, err
	}
	return yamldoc.Shorten(strings.TrimSpace(strings.ToValidUTF8(w.String(), "")), limit), 0, nil
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

// stepFunc is called by every turn of a range and every call of a template, with what it costs: {{range 1000000000}}
// is legal.
const stepFunc = "flowbridge_step"

func parseTemplate(name, text string) (t *template.Template, err error) {
	defer func() {
		if p := recover(); p != nil {
			t, err = nil, fmt.Errorf("template: %s:1: %v", name, p)
		}
	}()
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("a template has at most %d KiB", maxTemplate>>10)
	}
	t, err = template.New(name).Option("missingkey=zero").Funcs((&meter{}).functions()).Parse(text)
	if err != nil {
		return nil, err
	}
	for _, part := range t.Templates() {
		if part.Root != nil {
			countSteps(part.Root)
			countStep(part.Root)
		}
	}
	return t, nil
}

// countSteps lets every body of a range in a list count its turns.
func countSteps(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.RangeNode:
			countSteps(n.List)
			countSteps(n.ElseList)
			countStep(n.List)
		case *parse.IfNode:
			countSteps(n.List)
			countSteps(n.ElseList)
		case *parse.WithNode:
			countSteps(n.List)
			countSteps(n.ElseList)
		}
	}
}

// countStep puts a call of stepFunc at the beginning of a body: its cost is what is written in it.
func countStep(body *parse.ListNode) {
	text := fmt.Sprintf("{{%s %d}}", stepFunc, stepCost+len(body.String()))
	step := template.Must(template.New("step").Funcs((&meter{}).functions()).Parse(text))
	body.Nodes = slices.Insert(body.Nodes, 0, step.Root.Nodes[0])
}
