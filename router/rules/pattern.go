package rules

import (
	"fmt"
	"regexp/syntax"
)

// patternSteps returns about how many steps a regular expression compiles to, which is what each character of a text
// can cost. It is an error to have more than maxPattern.
func patternSteps(pattern string) (steps int, err error) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	if steps = stepsOf(re); steps > maxPattern {
		return steps, fmt.Errorf("%w: the pattern stands for more than %d steps", errBudget, maxPattern)
	}
	return steps, nil
}

// stepsOf adds up the steps of a parsed expression; its repeats are not written out yet.
func stepsOf(re *syntax.Regexp) int {
	steps := 1
	for _, sub := range re.Sub {
		steps += stepsOf(sub)
	}
	switch re.Op {
	case syntax.OpLiteral:
		steps = len(re.Rune)
	case syntax.OpRepeat:
		steps = times(steps, max(re.Min, re.Max, 0)+1)
	}
	return min(steps, 1<<24)
}
