package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"flowbridge/router"
)

// when is a compiled expression.
type when struct {
	text    string
	program *vm.Program
	names   []string // of the environment, that the expression mentions
}

// whenError is one error of an event as an expression sees it.
type whenError struct {
	Type  string  `expr:"error_type"` // Meta's documented spelling where it is known, else as Meta wrote it
	Rate  float64 `expr:"error_rate"`
	Count float64 `expr:"error_count"`
}

// whenTypes returns a value of its type for every name that an expression may mention: those below, and
// every label that some flow has.
func whenTypes(labels []string) map[string]any {
	types := map[string]any{}
	for _, name := range []string{"event", "field", "flow", "flow_name", "waba", "alert_state", "old_status", "new_status", "message", "warning"} {
		types[name] = ""
	}
	for _, name := range []string{"threshold", "error_rate", "p90_latency", "p50_latency", "requests_count", "availability"} {
		types[name] = 0.0
	}
	types["errors"], types["labels"], types["value"] = []whenError{}, map[string]string{}, map[string]any{}
	for _, label := range labels {
		if _, taken := types[label]; !taken {
			types[label] = ""
		}
	}
	return types
}

// fact returns what a name of whenTypes stands for. Numbers that Meta did not send are NaN, so that every
// comparison with them is false.
func (r *Rules) fact(name string, ev *router.Event) any {
	info := r.flows[ev.Flow]
	switch name {
	case "event":
		return ev.Name
	case "field":
		return ev.Field
	case "flow":
		return ev.Flow
	case "flow_name":
		return info.FlowName
	case "waba":
		return ev.WABA
	case "alert_state":
		return ev.AlertState
	case "old_status":
		return ev.OldStatus
	case "new_status":
		return ev.NewStatus
	case "message":
		return ev.Message
	case "warning":
		return ev.Warning
	case "threshold":
		return number(ev.Threshold, true)
	case "error_rate":
		return number(ev.Reading.Value, ev.Name == router.ClientErrorRate || ev.Name == router.EndpointErrorRate)
	case "p90_latency":
		return number(ev.Reading.Value, ev.Name == router.EndpointLatency)
	case "availability":
		return number(ev.Reading.Value, ev.Name == router.EndpointAvailability)
	case "p50_latency":
		return number(ev.P50, true)
	case "requests_count":
		return number(ev.Requests, true)
	case "errors":
		return whenErrors(ev.Errors)
	case "labels":
		if info.Labels == nil {
			return map[string]string{}
		}
		return info.Labels
	case "value":
		return jsonObject(ev.Value)
	}
	return info.Labels[name]
}

func number(n *float64, known bool) float64 {
	if n == nil || !known {
		return math.NaN()
	}
	return *n
}

func whenErrors(counts []router.ErrorCount) []whenError {
	out := make([]whenError, len(counts))
	for i, c := range counts {
		out[i] = whenError{Type: c.Type, Rate: number(c.Rate, true), Count: number(c.Count, true)}
		if help, ok := router.DescribeError(c.Type); ok {
			out[i].Type = help.Type
		}
	}
	return out
}

func jsonObject(value json.RawMessage) map[string]any {
	var out map[string]any
	if json.NewDecoder(bytes.NewReader(value)).Decode(&out) != nil {
		return map[string]any{} // no object: nothing is found in it
	}
	return out
}

// holdsWhen asks a rule's expression. env holds what earlier expressions asked of the same event.
func (r *Rules) holdsWhen(rule *rule, ev *router.Event, env map[string]any) (map[string]any, bool) {
	if env == nil {
		env = make(map[string]any, len(rule.match.when.names))
	}
	for _, name := range rule.match.when.names {
		if _, ok := env[name]; !ok {
			env[name] = r.fact(name, ev)
		}
	}
	out, err := runWhen(rule.match.when.program, env)
	if err != nil && r.cfg.OnWhenError != nil {
		if router.IsPersonal(ev.Name) { // the error may quote what somebody wrote
			err = errors.New("the expression failed on this response")
		}
		r.cfg.OnWhenError(rule.name, err)
	}
	return env, err == nil && out
}

func runWhen(program *vm.Program, env map[string]any) (out bool, err error) {
	v, err := expr.Run(program, env)
	if err != nil {
		return false, err
	}
	out, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("the expression is %T, not true or false", v)
	}
	return out, nil
}

var unknownName = regexp.MustCompile(`^unknown name (\S+)`)

// when compiles an expression and reports what is wrong with it where it stands.
func (l *loader) whenOf(e entry) *when {
	s, ok := l.scalar(e.value, e.path)
	if !ok {
		return nil
	}

	types := whenTypes(l.rules.labels)
	program, err := compileWhen(s.text, types)
	if err != nil {
		l.badExpression(s, err, types)
		return nil
	}
	w := &when{program: program, text: s.text}
	root := program.Node()
	ast.Walk(&root, visitor(func(node *ast.Node) {
		id, ok := (*node).(*ast.IdentifierNode)
		switch {
		case !ok:
		case id.Value == "$env":
			w.names = slices.AppendSeq(w.names, maps.Keys(types))
		case types[id.Value] != nil:
			w.names = append(w.names, id.Value)
		}
	}))
	slices.Sort(w.names)
	w.names = slices.Compact(w.names)
	return w
}

type visitor func(*ast.Node)

func (v visitor) Visit(node *ast.Node) { v(node) }

// compileWhen type-checks an expression. now() is off: the same event must be decided the same way always.
func compileWhen(text string, types map[string]any) (program *vm.Program, err error) {
	defer func() {
		if p := recover(); p != nil {
			program, err = nil, fmt.Errorf("the expression cannot be compiled: %v", p)
		}
	}()
	return expr.Compile(text, expr.Env(types), expr.AsBool(), expr.DisableBuiltin("now"))
}

func (l *loader) badExpression(s scalar, err error, types map[string]any) {
	line, column, problem, hint := s.Line, s.Column, err.Error(), ""
	var at *file.Error
	if errors.As(err, &at) {
		problem = at.Message
		line, column = l.inside(s, at.From)
	}
	problem = strings.Replace(problem, "unexpected token EOF", "the expression ends too early", 1)
	problem = strings.Replace(problem, "expected bool, but got", "must be true or false, not", 1)
	if m := unknownName.FindStringSubmatch(problem); m != nil {
		if l.partial { // perhaps a label of a flow behind the syntax error
			return
		}
		hint = didYouMean(m[1], slices.Sorted(maps.Keys(types)))
		if m[1] == "now" {
			hint = "rules know no clock"
		}
	}
	if s.resolved {
		problem, hint = "the expression in "+s.Value+" is not valid", ""
	}
	l.at(line, column, s.path, oneLine(problem, 200), hint)
}
