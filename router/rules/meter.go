package rules

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"reflect"
	"regexp"
	"strings"

	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/vm/runtime"
)

// A meter bounds what an expression does. Its unit is about one byte that is read or made, and everything that costs
// memory or time is charged before it is done: what multiplies (repeat, join, replace, ..), what looks through lists
// and texts, every turn of a loop. There is no clock in it, so that the same event is decided the same way on every
// machine.
type meter struct{ left int }

const (
	// whenBudget is what one expression may do on one event: some ten milliseconds, and as many megabytes. Honest
	// ones take a few thousand.
	whenBudget = 4 << 20
	// eventBudget is what all expressions of the rules may do on one event together.
	eventBudget = 16 * whenBudget
	// maxDepth bounds how deep in one another the lists and maps are that an expression works on.
	maxDepth = 100
	// zoneCost is what is charged for a time zone: it is read from a file.
	zoneCost = 4096
	// elementCost is what an element of a list costs, entryCost the entry of a map, beside what is in it.
	elementCost, entryCost = 16, 48
)

var (
	// errBudget says that a rule wants more than it may have.
	errBudget = errors.New("it takes too much time or memory")
	errDepth  = fmt.Errorf("%w: its lists are more than %d deep in one another", errBudget, maxDepth)
)

// charge takes n from what is left. It panics where there is too little: the expression ends there.
func (m *meter) charge(n int) {
	if n < 0 || n > m.left {
		m.left = 0
		panic(errBudget)
	}
	m.left -= n
}

// times multiplies what cannot be negative, and never overflows.
func times(a, b int) int {
	if high, low := bits.Mul64(uint64(max(a, 0)), uint64(max(b, 0))); high == 0 && low <= math.MaxInt32 {
		return int(low)
	}
	return math.MaxInt32
}

// call is what metered expressions call: one function for all, so that one place knows what is charged. See metered.
func (m *meter) call(args ...any) any {
	name := args[0].(string)
	args = args[1:]
	switch name {
	case opWeigh:
		m.charge(args[1].(int))
		m.weigh(args[2], args[0].(int), 0)
		return args[2]
	case "..":
		from, to := runtime.ToInt(args[0]), runtime.ToInt(args[1])
		if from <= to && uint(to)-uint(from) > uint(m.left) {
			panic(errBudget)
		}
		m.charge(elementCost + times(8, to-from+1))
		return runtime.MakeRange(from, to)
	case "matches":
		return m.matches(args[0], args[1])
	}
	m.chargeBuiltin(name, args)
	out, err := callBuiltin(name, args)
	if err != nil {
		panic(err)
	}
	return out
}

// opWeigh names what charges for a value, some times over, and a number beside, and returns the value.
const opWeigh = "weigh"

// weigh charges for all that is in a value, as often as it is in it: lists that share their elements are cheap to
// make, and dear to write out.
func (m *meter) weigh(v any, factor, depth int) {
	if depth > maxDepth {
		panic(errDepth)
	}
	switch v := v.(type) {
	case string:
		m.charge(times(factor, 1+len(v)))
	case []byte:
		m.charge(times(factor, 1+len(v)))
	case []int:
		m.charge(times(factor, 1+8*len(v)))
	case []any:
		m.charge(factor)
		for _, element := range v {
			m.charge(factor * elementCost)
			m.weigh(element, factor, depth+1)
		}
	case map[string]any:
		m.charge(factor)
		for key, value := range v {
			m.charge(times(factor, entryCost+len(key)))
			m.weigh(value, factor, depth+1)
		}
	default:
		m.weighOther(reflect.ValueOf(v), factor, depth)
	}
}

// weighOther weighs what is no text, and neither a list nor a map as JSON makes them.
func (m *meter) weighOther(v reflect.Value, factor, depth int) {
	m.charge(factor)
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			m.charge(factor * elementCost)
			m.weigh(v.Index(i).Interface(), factor, depth+1)
		}
	case reflect.Map:
		for entry := v.MapRange(); entry.Next(); {
			m.charge(factor * entryCost)
			m.weigh(entry.Key().Interface(), factor, depth+1)
			m.weigh(entry.Value().Interface(), factor, depth+1)
		}
	case reflect.Struct:
		m.charge(factor * entryCost)
		for i := range v.NumField() {
			if f := v.Field(i); f.CanInterface() {
				m.weigh(f.Interface(), factor, depth+1)
			}
		}
	case reflect.Pointer, reflect.Func, reflect.Interface: // a time zone, a method
		m.charge(factor * entryCost)
	}
}

// size is the length of a text; 0 for anything else.
func size(v any) int {
	s, _ := v.(string)
	return len(s)
}

// chargeBuiltin charges for a function of the language before it is called.
func (m *meter) chargeBuiltin(name string, args []any) {
	arg := func(i int) any {
		if i < len(args) {
			return args[i]
		}
		return nil
	}
	factor := 2 // what it makes is at most so much larger than what it takes, and takes so much longer
	switch name {
	case "len", "type", "first", "last", "get", "take": // whatever is in it
		for _, a := range args {
			m.charge(1 + size(a))
		}
		return
	case "fromJSON":
		factor = 32
	case "toJSON", "sort", "split", "splitAfter": // indented; compared; a text for every character
		factor = 16
	case "string", "min", "max", "mean", "median":
		factor = 4
	case "timezone":
		m.charge(zoneCost)
	case "date":
		m.charge(times(zoneCost, len(args)))
	}
	for _, a := range args {
		m.weigh(a, factor, 0)
	}
	switch name {
	case "repeat":
		m.charge(times(size(arg(0)), runtime.ToInt(arg(1))))
	case "join":
		m.charge(times(size(arg(1)), elements(arg(0))))
	case "replace":
		m.charge(times(size(arg(2)), strings.Count(text0(arg(0)), text0(arg(1)))))
	case "trim":
		m.charge(times(size(arg(0)), size(arg(1))))
	case "uniq": // compares each with each
		n := elements(arg(0))
		for _, a := range args {
			m.weigh(a, n, 0)
		}
	}
}

func text0(v any) string {
	s, _ := v.(string)
	return s
}

// elements is the length of a list; 0 for anything else.
func elements(v any) int {
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice || r.Kind() == reflect.Array {
		return r.Len()
	}
	return 0
}

func callBuiltin(name string, args []any) (any, error) {
	f := builtin.Builtins[builtin.Index[name]]
	switch {
	case f.Fast != nil:
		return f.Fast(args[0]), nil
	case f.Safe != nil:
		out, _, err := f.Safe(args...)
		return out, err
	}
	return f.Func(args...)
}

// maxPattern bounds the steps of a regular expression, maxPatterns those of all in the rules together. Some ten
// characters, ((a{100}){100}){100}, can stand for millions.
const maxPattern, maxPatterns = 2000, 500_000

// matches is the operator for a pattern that is not written out. One that is written out is charged as a text is.
func (m *meter) matches(s, pattern any) bool {
	if s == nil || pattern == nil {
		return false
	}
	p, ok := pattern.(string)
	if !ok {
		panic(fmt.Errorf("a pattern is a text, not %T", pattern))
	}
	m.weigh(p, elementCost, 0)
	steps, err := patternSteps(p)
	if err != nil {
		panic(err)
	}
	m.charge(times(elementCost, steps))
	m.weigh(s, steps, 0)
	re, err := regexp.Compile(p)
	if err != nil {
		panic(err)
	}
	if b, ok := s.([]byte); ok {
		return re.Match(b)
	}
	return re.MatchString(s.(string))
}
