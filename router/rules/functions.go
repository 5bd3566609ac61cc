package rules

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"
	_ "time/tzdata" // a container may have no time zones of its own

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

// wordFunc is a function that templates have beside those of every Go template.
type wordFunc struct {
	name, usage, about string
	make               func(*meter) any
}

// wordFuncs are those that people need to write a line about an incident. Each charges for what it makes before it
// makes it.
var wordFuncs = []wordFunc{
	{"upper", `{{upper .Severity}}`, "capital letters", func(m *meter) any {
		return func(s string) string { m.charge(3 * len(s)); return strings.ToUpper(s) }
	}},
	{"lower", `{{lower .Event}}`, "small letters", func(m *meter) any {
		return func(s string) string { m.charge(3 * len(s)); return strings.ToLower(s) }
	}},
	{"title", `{{title .Severity}}`, "a capital at the beginning", func(m *meter) any {
		return func(s string) string {
			m.charge(3 * len(s))
			for i := range s {
				if i > 0 {
					return strings.ToUpper(s[:i]) + s[i:]
				}
			}
			return strings.ToUpper(s)
		}
	}},
	{"replace", `{{replace .Event "_" " "}}`, "another text in the place of one", func(m *meter) any {
		return func(s, old, fresh string) string {
			m.charge(len(s))
			m.charge(times(len(s)+1, len(fresh)))
			return strings.ReplaceAll(s, old, fresh)
		}
	}},
	{"short", `{{short .Message 80}}`, "at most so many characters", func(m *meter) any {
		return func(s string, limit int) string { m.charge(4 * len(s)); return yamldoc.Shorten(s, max(limit, 1)) }
	}},
	{"join", `{{join .Labels ", "}}`, "a list or the values of a map, with a text between them", func(m *meter) any {
		return func(list any, between string) (string, error) { return m.join(list, between) }
	}},
	{"default", `{{.Runbook | default "no runbook"}}`, "the first where the second is empty", func(m *meter) any {
		return func(instead, v any) any {
			if v == nil || reflect.ValueOf(v).IsZero() {
				return instead
			}
			return v
		}
	}},
	{"date", `{{date "Mon 15:04" "Europe/Berlin" .At}}`,
		"a time by the clock of a place, as Go writes times; seconds since 1970 are a time as well",
		func(m *meter) any {
			return func(layout, zone string, at any) (string, error) { return m.date(layout, zone, at) }
		}},
	{"percent", `{{percent 14.2857}}`, "a number in percent: 14.29 %", func(m *meter) any {
		return func(v any) (string, error) {
			m.charge(64)
			n, err := numberOf(v)
			return router.Percent.Format(n), err
		}
	}},
	{"number", `{{number 1234567}}`, "a number that people can read: 1,234,567", func(m *meter) any {
		return func(v any) (string, error) {
			m.charge(64)
			n, err := numberOf(v)
			return readable(n), err
		}
	}},
}

// join writes the elements of a list, or the values of a map in the order of its keys, one after another.
func (m *meter) join(list any, between string) (string, error) {
	v := reflect.ValueOf(list)
	var parts []string
	add := func(v reflect.Value) {
		m.weigh(v.Interface(), written, 0)
		m.charge(elementCost + len(between))
		parts = append(parts, fmt.Sprint(v.Interface()))
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			add(v.Index(i))
		}
	case reflect.Map:
		m.charge(times(v.Len(), entryCost))
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, key := range keys {
			add(v.MapIndex(key))
		}
	default:
		return "", fmt.Errorf("join takes a list or a map, not %T", list)
	}
	return strings.Join(parts, between), nil
}

func (m *meter) date(layout, zone string, at any) (string, error) {
	m.charge(zoneCost + 64*len(layout))
	t, ok := at.(time.Time)
	if !ok {
		seconds, err := numberOf(at)
		if err != nil || math.IsNaN(seconds) || math.Abs(seconds) > 1<<38 {
			return "", fmt.Errorf("date takes a time or seconds since 1970, not %T", at)
		}
		t = time.Unix(int64(seconds), 0)
	}
	where, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return "", fmt.Errorf("there is no time zone %s", yamldoc.Quote(zone))
	}
	return t.In(where).Format(layout), nil
}

// numberOf reads a number, or the text of one. Units behind it are left out.
func numberOf(v any) (float64, error) {
	switch of := reflect.ValueOf(v); {
	case of.CanFloat():
		return of.Float(), nil
	case of.CanInt():
		return float64(of.Int()), nil
	case of.Kind() == reflect.String:
		text, _, _ := strings.Cut(strings.TrimSpace(of.String()), " ")
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			return n, nil
		}
	}
	if text, ok := v.(string); ok {
		return 0, fmt.Errorf("%s is no number", yamldoc.Quote(text))
	}
	return 0, fmt.Errorf("%T is no number", v)
}

// readable writes a number with commas between thousands, and two decimals at most.
func readable(v float64) string {
	text := router.NoUnit.Format(v)
	whole, rest, decimals := strings.Cut(text, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	for i := len(whole) - 3; i > 0 && whole[0] >= '0' && whole[0] <= '9'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if decimals {
		rest = "." + rest
	}
	return sign + whole + rest
}

// own returns the functions of wordFuncs for a meter.
func (m *meter) own() template.FuncMap {
	all := template.FuncMap{}
	for _, f := range wordFuncs {
		all[f.name] = f.make(m)
	}
	return all
}
