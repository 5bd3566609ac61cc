package rules

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/file"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

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
	for _, name := range []string{"event", "field", "flow", "flow_name", "waba", "account_name", "subject", "change",
		"phone", "template", "severity", "alert_state", "old_status", "new_status", "message", "warning"} {
		types[name] = ""
	}
	for _, name := range append(router.Readings(), "threshold", "p50_latency", "requests_count") {
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
	info := r.info(ev)
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
	case "account_name":
		return info.AccountName
	case "subject":
		return string(subjectOf(ev))
	case "change":
		return ev.Change
	case "phone":
		return aboutA(router.SubjectPhone, ev, ev.Subject.ID)
	case "template":
		name, _, _ := strings.Cut(ev.Subject.Name, " (")
		return aboutA(router.SubjectTemplate, ev, name)
	case "severity":
		return router.DefaultSeverity(ev).String()
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
	if slices.Contains(router.Readings(), name) {
		return number(ev.Reading.Value, router.SignalOf(ev.Name).Reading == name)
	}
	return info.Labels[name]
}

// aboutA returns a text of an event that is about a subject of some kind, and "" of others.
func aboutA(kind router.SubjectKind, ev *router.Event, text string) string {
	if ev.Subject.Kind != kind {
		return ""
	}
	return text
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

// facts are what expressions ask of one event, and what they may still do.
type facts struct {
	of   map[string]any
	left int
}

// holdsWhen asks a rule's expression. f holds what earlier expressions asked of the same event; nil for the first.
func (r *Rules) holdsWhen(rule *rule, ev *router.Event, f *facts) (*facts, bool) {
	if r.plain {
		if r.cfg.OnWhenError != nil {
			r.cfg.OnWhenError(rule.name, errLeftOut)
		}
		return f, false
	}
	if f == nil {
		f = &facts{of: make(map[string]any, len(rule.match.when.names)), left: eventBudget}
	}
	holds, err := r.askWhen(rule.match.when, ev, f)
	if err != nil && r.cfg.OnWhenError != nil {
		r.cfg.OnWhenError(rule.name, err)
	}
	return f, err == nil && holds
}

// askWhen runs an expression on an event. Of a form that was filled its errors quote nothing.
func (r *Rules) askWhen(w *when, ev *router.Event, f *facts) (bool, error) {
	for _, name := range w.names {
		if _, ok := f.of[name]; !ok {
			f.of[name] = r.fact(name, ev)
		}
	}
	holds, cost, err := w.run(f.of, f.left)
	f.left -= cost
	switch {
	case errors.Is(err, errBudget):
		err = plainError(err)
		if cost < whenBudget && f.left == 0 {
			err = fmt.Errorf("%w: that of all expressions on one event is used up", errBudget)
		}
		return false, err
	case err != nil && !reachable(ev): // a field of what is no object is like one that is not there
		return false, nil
	case err != nil && router.IsPersonal(ev.Name): // the error may quote what somebody wrote
		return false, errors.New("the expression failed on this response")
	}
	return holds, err
}

// reachable says whether an expression can look for fields in what Meta sent, and for answers in a form that was
// filled: people can send what is no object, and that is no fault of the rule.
func reachable(ev *router.Event) bool {
	var value map[string]json.RawMessage
	if json.Unmarshal(ev.Value, &value) != nil || value == nil {
		return len(ev.Value) == 0 && !router.SignalOf(ev.Name).Personal
	}
	if !router.SignalOf(ev.Name).Personal {
		return true
	}
	var answers map[string]json.RawMessage
	return json.Unmarshal(value["response"], &answers) == nil && answers != nil
}

// plainError is an error of the budget without the expression that it quotes.
func plainError(err error) error {
	if quoting, ok := errors.AsType[*file.Error](err); ok && quoting.Prev != nil {
		return quoting.Prev
	}
	return err
}

// unknownOfError is what the compiler says of an unknown part of an error: by the name of our type.
var unknownOfError = regexp.MustCompile(`^type rules\.whenError has no field (\S+)`)

// partsOfErrors are those that there are: see whenError.
var partsOfErrors = []string{"error_type", "error_rate", "error_count"}

var unknownName = regexp.MustCompile(`^unknown name (\S+)`)

// whenOf compiles an expression and reports what is wrong with it where it stands.
func (l *loader) whenOf(e entry, events []string) *when {
	s, ok := l.Scalar(e.Value, e.Path)
	if !ok {
		return nil
	}
	types := whenTypes(l.rules.labels)
	w, err := compileWhen(s.Text, types)
	if err != nil {
		l.badExpression(s, err, types)
		return nil
	}
	l.constants(s, w, events)
	if l.steps += w.steps; l.steps > maxPatterns && l.steps-w.steps <= maxPatterns {
		l.Wrong(s.Node, s.Path, "the patterns of all rules together are too large",
			"use shorter ones, or smaller counts in {}")
	}
	return w
}

// slips are what people write from other languages, by what the compiler says of it, and what to write.
var slips = []struct{ said, problem, hint string }{
	{`unexpected token Operator("=")`, "", "== compares, and >= is at least"},
	{`unexpected token Identifier("AND")`, "", "write and in small letters, or &&"},
	{`unexpected token Identifier("OR")`, "", "write or in small letters, or ||"},
	{"cannot use string as type rules.whenError in array", "errors holds errors, and a text is none",
		`write any(errors, .error_type == "timeout_error")`},
}

func (l *loader) badExpression(s scalar, err error, types map[string]any) {
	line, column, problem, hint := s.Line, s.Column, err.Error(), ""
	var at *file.Error
	if errors.As(err, &at) {
		problem = at.Message
		line, column = l.Inside(s, at.From)
	}
	problem = strings.Replace(problem, "unexpected token EOF", "the expression ends too early", 1)
	problem = strings.Replace(problem, "expected bool, but got", "must be true or false, not", 1)
	if problem == severityOrdered {
		hint = severityOrderedHint
	}
	for _, slip := range slips {
		if strings.HasPrefix(problem, slip.said) {
			problem, hint = cmp.Or(slip.problem, problem), slip.hint
		}
	}
	if m := unknownOfError.FindStringSubmatch(problem); m != nil {
		problem = "an error has no " + m[1]
		hint = cmp.Or(yamldoc.DidYouMean(m[1], partsOfErrors), "it has "+strings.Join(partsOfErrors, ", "))
	}
	if m := unknownName.FindStringSubmatch(problem); m != nil {
		if l.Partial() { // perhaps a label of a flow behind the syntax error
			return
		}
		hint = cmp.Or(yamldoc.DidYouMean(m[1], slices.Sorted(maps.Keys(types))), "a text stands in quotes")
		if m[1] == "now" {
			hint = "rules know no clock"
		}
	}
	l.At(line, column, s.Path, yamldoc.OneLine(problem, 200), hint)
}
