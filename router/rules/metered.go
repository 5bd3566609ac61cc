package rules

import (
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

// when is a compiled expression with places for a meter in it.
type when struct {
	text  string
	names []string // of the environment, that the expression mentions
	steps int      // of its regular expressions

	constants []compared // texts that it compares names with

	program *vm.Program
	ready   sync.Pool // of *metered
}

// metered is an expression with its meter, for one goroutine at a time.
type metered struct {
	meter   meter
	program vm.Program
}

const (
	// maxWhen bounds an expression, in bytes: reading it goes as deep as it has brackets.
	maxWhen = 16 << 10
	// turnCost is what a turn of a loop costs, beside partCost for every part of its body.
	turnCost, partCost = 16, 8
)

// compileWhen type-checks an expression and makes it one that is metered. now() is off: the same event must be
// decided the same way always.
func compileWhen(text string, types map[string]any) (w *when, err error) {
	defer func() {
		if p := recover(); p != nil {
			w, err = nil, fmt.Errorf("the expression cannot be compiled: %v", p)
		}
	}()
	if len(text) > maxWhen {
		return nil, fmt.Errorf("an expression has at most %d KiB", maxWhen>>10)
	}
	config := conf.CreateNew()
	// Nothing is worked out beforehand: the optimizer has no meter.
	options := []expr.Option{expr.Env(types), expr.AsBool(), expr.DisableBuiltin("now"), expr.Optimize(false)}
	for _, option := range options {
		option(config)
	}
	for name := range config.Disabled {
		delete(config.Builtins, name)
	}
	tree, err := parser.ParseWithConfig(text, config)
	if err != nil {
		return nil, err
	}
	w = &when{text: text}
	if err := w.look(tree, types); err != nil {
		return nil, err
	}
	if _, err := checker.Check(tree, config); err != nil {
		return nil, err
	}
	ast.Walk(&tree.Node, visitor(meterNode))
	w.program, err = compiler.Compile(tree, config)
	return w, err
}

// look notes what an expression mentions. It refuses an ordering of severity, and regular expressions that are too
// large before anything compiles them.
func (w *when) look(tree *parser.Tree, types map[string]any) (err error) {
	ast.Walk(&tree.Node, visitor(func(node *ast.Node) {
		w.constants = append(w.constants, constantsOf(*node)...)
		if at, ordered := ordersSeverity(*node); ordered && err == nil {
			fault := &file.Error{Location: at, Message: severityOrdered}
			err = fault.Bind(tree.Source)
		}
		switch n := (*node).(type) {
		case *ast.IdentifierNode:
			for name := range types {
				if name == n.Value || n.Value == "$env" {
					w.names = append(w.names, name)
				}
			}
		case *ast.BinaryNode:
			pattern, ok := n.Right.(*ast.StringNode)
			if n.Operator != "matches" || !ok || err != nil {
				break
			}
			steps, fault := patternSteps(pattern.Value)
			if w.steps += steps; fault != nil {
				at := &file.Error{Location: pattern.Location(), Message: fault.Error()}
				err = at.Bind(tree.Source)
			}
		}
	}))
	slices.Sort(w.names)
	w.names = slices.Compact(w.names)
	return err
}

type visitor func(*ast.Node)

func (v visitor) Visit(node *ast.Node) { v(node) }

// meterNode lets the meter charge for what a part of an expression does before it is done. It comes after the types
// are checked, and changes none.
func meterNode(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.BinaryNode:
		meterOperator(node, n)
	case *ast.MemberNode:
		n.Property = weighed(n.Property, 1, 0)
	case *ast.CallNode:
		for i, arg := range n.Arguments {
			n.Arguments[i] = weighed(arg, 1, 0)
		}
	case *ast.BuiltinNode:
		meterBuiltin(node, n)
	}
}

func meterOperator(node *ast.Node, n *ast.BinaryNode) {
	pattern, written := n.Right.(*ast.StringNode)
	switch n.Operator {
	case "and", "&&", "or", "||", "??": // they look at nothing but true, false and nil
	case "==", "!=", "startsWith", "endsWith": // one that is written out bounds it
		if !literal(n.Left) && !literal(n.Right) {
			n.Left, n.Right = weighed(n.Left, 1, 0), weighed(n.Right, 1, 0)
		}
	case "matches":
		if !written {
			*node = meterCall(n, n.Operator, n.Left, n.Right)
			return
		}
		steps, _ := patternSteps(pattern.Value) // it was good just now
		n.Left = weighed(n.Left, steps, 0)
	case "..":
		*node = meterCall(n, n.Operator, n.Left, n.Right)
	default:
		n.Left, n.Right = weighed(n.Left, 1, 0), weighed(n.Right, 1, 0)
	}
}

func meterBuiltin(node *ast.Node, n *ast.BuiltinNode) {
	loop := false
	for _, arg := range n.Arguments {
		body, ok := arg.(*ast.PredicateNode)
		if !ok {
			continue
		}
		loop = true
		parts, factor := 0, 1
		ast.Walk(&body.Node, visitor(func(*ast.Node) { parts++ }))
		if n.Name == "sortBy" { // its results are compared with one another
			factor = elementCost
		}
		body.Node = meterCall(body.Node, opWeigh, constant(factor), constant(turnCost+partCost*parts), body.Node)
	}
	switch {
	case loop:
	case n.Name == "count" || n.Name == "sum":
		n.Arguments[0] = weighed(n.Arguments[0], elementCost, 0)
	default:
		*node = meterCall(n, n.Name, n.Arguments...)
	}
}

// weighed charges for the value of a node, unless its type or the text of the expression bounds it.
func weighed(n ast.Node, factor, beside int) ast.Node {
	if literal(n) || beside == 0 && small(n.Type()) {
		return n
	}
	return meterCall(n, opWeigh, constant(factor), constant(beside), n)
}

// literal says whether a node is written out in the expression.
func literal(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.NilNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.StringNode, *ast.ConstantNode:
		return true
	case *ast.ArrayNode:
		return !slices.ContainsFunc(n.Nodes, func(element ast.Node) bool { return !literal(element) })
	}
	return false
}

// small says whether all values of a type are small: true and false, and numbers.
func small(t reflect.Type) bool { return t.Kind() <= reflect.Float64 }

// meterCall returns a node that calls the meter, in the place of another, and has its type.
func meterCall(of ast.Node, name string, args ...ast.Node) ast.Node {
	call := &ast.CallNode{Callee: constant(anyMeter), Arguments: append([]ast.Node{constant(name)}, args...)}
	call.SetLocation(of.Location())
	call.SetNature(*of.Nature())
	return call
}

func constant(v any) ast.Node {
	n := &ast.ConstantNode{Value: v}
	n.SetType(reflect.TypeOf(v))
	return n
}

// anyMeter stands in a compiled expression where its meter belongs.
func anyMeter(...any) any { panic("rules: an expression without a meter") }

// run runs the expression. It returns what that cost, which is never more than budget.
func (w *when) run(env map[string]any, budget int) (holds bool, cost int, err error) {
	m, ok := w.ready.Get().(*metered)
	if !ok {
		m = &metered{program: *w.program}
		m.program.Constants = slices.Clone(w.program.Constants)
		for i, c := range m.program.Constants {
			if _, ok := c.(func(...any) any); ok {
				m.program.Constants[i] = m.meter.call
			}
		}
	}
	defer w.ready.Put(m)
	budget = min(budget, whenBudget)
	m.meter.left = budget
	out, err := expr.Run(&m.program, env)
	cost = budget - m.meter.left
	if err != nil {
		return false, cost, err
	}
	holds, ok = out.(bool)
	if !ok {
		return false, cost, fmt.Errorf("the expression is %T, not true or false", out)
	}
	return holds, cost, nil
}
