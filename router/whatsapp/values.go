package whatsapp

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// text reads a string; a number or a word comes as it is written, and so does anything else that stands where a
// string was meant. Missing and null are "". It is always text that a database takes: valid UTF-8 without NUL.
func text(raw []byte) string {
	if isNull(raw) {
		return ""
	}
	return clean(string(unquote(raw)))
}

// clean makes it text that a database takes.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// unquote returns the content of a string, and any other value as it is.
func unquote(raw []byte) []byte {
	if raw[0] != '"' {
		return raw
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return raw
	}
	return []byte(s)
}

// maxWord bounds ids, names and states, in bytes. Meta's are far shorter; a database cannot index without a bound.
const maxWord = 256

// word reads a text that is an id, a name or a state.
func word(raw []byte) string { return bounded(text(raw)) }

func bounded(s string) string {
	if len(s) > maxWord {
		s = strings.ToValidUTF8(s[:maxWord], "") // a character that was cut is dropped
	}
	return s
}

// number reads a number, or a string that holds one, also with a percent sign. nil is no number.
func number(raw []byte) *float64 { return parse(text(raw)) }

func parse(s string) *float64 {
	s = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(s), "%"))
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return nil
	}
	return &f
}

// isNull says whether a value is missing or null.
func isNull(raw []byte) bool { return len(raw) == 0 || string(raw) == "null" }

// maxDepth bounds how deep canonical looks; what lies deeper stays as it was written.
const maxDepth = 16

// canonical appends a form of a JSON value that is the same whatever the order of its keys, the white space between
// them and the escapes in strings; numbers stay as they were written. It is no JSON.
func canonical(out, value []byte, depth int) []byte {
	switch {
	case len(value) == 0 || depth == maxDepth:
		return append(out, value...)
	case value[0] == '"':
		return appendString(out, unquote(value))
	case value[0] == '[':
		out = append(out, '[')
		for element := range elements(value) {
			out = append(canonical(out, element, depth+1), ',')
		}
		return append(out, ']')
	case value[0] == '{':
		type member struct{ key, value []byte }
		all := make([]member, 0, 16)
		members(value, func(key, value []byte) { all = append(all, member{key, value}) })
		slices.SortStableFunc(all, func(a, b member) int { return bytes.Compare(a.key, b.key) })
		out = append(out, '{')
		for _, m := range all {
			out = append(canonical(appendString(out, m.key), m.value, depth+1), ',')
		}
		return append(out, '}')
	}
	return append(out, value...)
}

// appendString appends a string so that no two lists of strings look alike.
func appendString[T string | []byte](out []byte, s T) []byte {
	return append(append(strconv.AppendInt(out, int64(len(s)), 10), ':'), s...)
}
