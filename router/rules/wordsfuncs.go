package rules

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"text/template"
)

// functions are those that a meter counts, in the place of the ones that every template has. Others make nothing that
// is larger than what they take.
func (m *meter) functions() template.FuncMap {
	all := m.own()
	maps.Copy(all, template.FuncMap{
		stepFunc:   func(cost int) string { m.charge(cost); return "" },
		"print":    m.bounded(fmt.Sprint),
		"println":  m.bounded(fmt.Sprintln),
		"html":     m.bounded(template.HTMLEscaper),
		"js":       m.bounded(template.JSEscaper),
		"urlquery": m.bounded(template.URLQueryEscaper),
		"printf":   m.printf,
	})
	return all
}

// written is how much longer a value may be once it is written out.
const written = 10

func (m *meter) bounded(write func(...any) string) func(...any) string {
	return func(args ...any) string {
		for _, arg := range args {
			m.weigh(arg, written, 0)
		}
		return write(args...)
	}
}

// printf is fmt.Sprintf. Each verb is charged as if it wrote the largest of the arguments, and each of its numbers as
// a width of all that is in it: %999999d writes a megabyte, and %[1]s%[1]s the same text twice.
func (m *meter) printf(format string, args ...any) (string, error) {
	m.charge(len(format))
	largest, leaves := 0, 1
	for _, arg := range args {
		before := m.left
		m.weigh(arg, written, 0)
		largest = max(largest, before-m.left)
		if kind := reflect.ValueOf(arg).Kind(); kind != reflect.String && kind > reflect.Complex128 {
			leaves = max(leaves, before-m.left)
		}
	}
	for rest := format; ; {
		_, verb, ok := strings.Cut(rest, "%")
		if !ok {
			return fmt.Sprintf(format, args...), nil
		}
		end := strings.IndexFunc(verb, func(c rune) bool { return !strings.ContainsRune("+-# 0123456789.[]*", c) })
		if end < 0 {
			end = len(verb)
		}
		if strings.Contains(verb[:end], "*") {
			return "", errors.New("printf takes no * here: write the number")
		}
		widths := 0
		for _, number := range strings.FieldsFunc(verb[:end], func(c rune) bool { return c < '0' || c > '9' }) {
			widths += digits(number)
		}
		m.charge(largest)
		m.charge(times(widths, leaves))
		rest = verb[end:]
	}
}

// digits reads a number, and takes one that is too long for a large one.
func digits(number string) (n int) {
	for _, c := range number {
		n = min(10*n+int(c-'0'), 1<<24)
	}
	return n
}
