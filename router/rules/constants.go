package rules

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

// compared is a text that an expression compares a name with: event == "FLOW_STATUS_CHANGE", team in ["a", "b"].
type compared struct {
	name  string // "event"; of labels["team"] the label; "error_type" of an error
	label bool   // it was written labels["team"], so that no other name is meant
	value string
	at    int // where in the expression it stands, in characters
}

// constantsOf returns the texts that a comparison holds a name against; nil for any other part of an expression.
func constantsOf(node ast.Node) (all []compared) {
	n, ok := node.(*ast.BinaryNode)
	if !ok {
		return nil
	}
	add := func(subject, value ast.Node) {
		text, ok := value.(*ast.StringNode)
		if !ok {
			return
		}
		c := compared{value: text.Value, at: text.Location().From}
		switch of := subject.(type) {
		case *ast.IdentifierNode:
			c.name = of.Value
		case *ast.MemberNode:
			property, named := of.Property.(*ast.StringNode)
			base, whole := of.Node.(*ast.IdentifierNode)
			switch {
			case !named:
				return
			case whole && base.Value == "labels":
				c.name, c.label = property.Value, true
			case property.Value == "error_type" && !whole:
				c.name = property.Value
			default:
				return
			}
		default:
			return
		}
		all = append(all, c)
	}
	switch n.Operator {
	case "==", "!=":
		add(n.Left, n.Right)
		add(n.Right, n.Left)
	case "in":
		if list, ok := n.Right.(*ast.ArrayNode); ok {
			for _, value := range list.Nodes {
				add(n.Left, value)
			}
		}
	}
	return all
}

// What is said of an ordering of severity. An expression would compare texts: critical comes before error there.
const (
	severityOrdered     = "severity is a text here, and texts are ordered by the alphabet: critical comes before error"
	severityOrderedHint = `use severity: ">=error" as a key of match`
)

// ordersSeverity says whether a part of an expression compares severity by order, and where severity stands.
func ordersSeverity(node ast.Node) (at file.Location, ok bool) {
	n, binary := node.(*ast.BinaryNode)
	if !binary || !slices.Contains([]string{"<", "<=", ">", ">="}, n.Operator) {
		return at, false
	}
	for _, side := range []ast.Node{n.Left, n.Right} {
		if of, named := side.(*ast.IdentifierNode); named && of.Value == "severity" {
			return of.Location(), true
		}
	}
	return at, false
}

// constants warns of what an expression compares with and can never be. events are those of the rule; nil for any.
func (l *loader) constants(s scalar, w *when, events []string) {
	if s.Guarded() || l.Partial() { // what seems to be unknown may stand where nothing could be read
		return
	}
	for _, c := range w.constants {
		problem, hint := l.neverIs(&c, events)
		if problem == "" {
			continue
		}
		line, column := l.Inside(s, c.at)
		l.WarnAt(Place{File: l.FileName(), Line: line, Column: column}, s.Path, problem, hint)
	}
}

// neverIs says why a name is never what an expression compares it with; "" if it can be.
func (l *loader) neverIs(c *compared, events []string) (problem, hint string) {
	if c.label {
		return l.neverLabel(c)
	}
	switch c.name {
	case "flow":
		return c.noID("flow_name", l.flowsBy.values(""))
	case "waba":
		return c.noID("account_name", l.accountsBy.values(""))
	case "flow_name":
		return c.noSuch("no flow is called %s", append(l.flowsBy.values(""), ""))
	case "account_name":
		return c.noSuch("no account is called %s", append(l.accountsBy.values(""), ""))
	case "subject":
		return c.noSuch("there is no subject %s", subjectKinds())
	case "severity":
		return c.noSuch("there is no severity %s", severityWords())
	case "change":
		return neverChange(c, events)
	}
	if known := metaWords(c.name); known != nil {
		return c.unheardOf(known)
	}
	return l.neverLabel(c)
}

// metaWords returns all that Meta is known to send under a name; nil if that is no name of Meta's.
func metaWords(name string) []string {
	switch name {
	case "event":
		return router.KnownEvents()
	case "field":
		return knownFields()
	case "old_status", "new_status":
		return append(router.Statuses(), "")
	case "alert_state":
		return []string{router.Activated, router.Deactivated, ""}
	case "error_type":
		return knownErrorTypes()
	}
	return nil
}

// neverChange says why no event of a rule has a change.
func neverChange(c *compared, events []string) (problem, hint string) {
	known, all := knownChanges(events)
	switch {
	case all && len(known) == 0 && c.value != "":
		return yamldoc.OneOf(events) + " has no change", ""
	case !all && (events != nil || !plainChange.MatchString(c.value)):
		return "", ""
	}
	return c.unheardOf(append(known, ""))
}

// neverLabel says why no flow and no account has a label with this value. Where it stands by its name alone, a label
// that none of them has at all is an unknown name.
func (l *loader) neverLabel(c *compared) (problem, hint string) {
	values := map[string]bool{}
	for _, by := range []flowIndex{l.flowsBy, l.accountsBy} {
		for value := range by[c.name] {
			values[value] = true
		}
	}
	switch {
	case c.value == "":
		return "", ""
	case len(values) == 0 && c.label:
		return "no flow or account has the label " + yamldoc.Quote(c.name), yamldoc.DidYouMean(c.name, l.rules.labels)
	case len(values) == 0:
		return "", ""
	}
	return c.noSuch("no flow or account has "+c.name+" %s", slices.Sorted(maps.Keys(values)))
}

// unheardOf says that a word is none of those that Meta is known to send. Fields of chat are refused elsewhere.
func (c *compared) unheardOf(known []string) (problem, hint string) {
	if (c.name == "event" || c.name == "field") && router.ChatField(c.value) != "" {
		return "", ""
	}
	return c.noSuch("Meta is not known to send the "+strings.ReplaceAll(c.name, "_", " ")+" %s", known)
}

// noSuch says that a value is none of those that are known, and which is the nearest. who has %s for the value.
func (c *compared) noSuch(who string, known []string) (problem, hint string) {
	if len(known) == 0 || slices.Contains(known, c.value) {
		return "", ""
	}
	named := slices.DeleteFunc(slices.Clone(known), func(word string) bool { return word == "" })
	hint = "known are: " + yamldoc.Shorten(strings.Join(named, ", "), 100)
	if near := closest(c.value, known); near != "" {
		hint = fmt.Sprintf("did you mean %s?", yamldoc.Quote(near))
	}
	return fmt.Sprintf(who, yamldoc.Quote(c.value)), hint
}

// noID says that a value is no id of Meta's, and what to compare instead.
func (c *compared) noID(instead string, known []string) (problem, hint string) {
	if c.value == "" || metaID.MatchString(c.value) {
		return "", ""
	}
	return fmt.Sprintf("%s is an id here, and %s is none", c.name, yamldoc.Quote(c.value)),
		fmt.Sprintf("write %s == %s", instead, yamldoc.Quote(cmp.Or(closest(c.value, known), c.value)))
}
