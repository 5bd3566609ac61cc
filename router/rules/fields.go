package rules

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

const maxFieldValue = 200 // characters

// showFields returns the named facts of Meta's value, in the order of the names. A name may be a path with
// dots; the name of an answer in a form is found without its "response.". What is not there is left out.
func showFields(value json.RawMessage, names []string) (fields []router.Field) {
	if len(names) == 0 || len(value) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber() // ids must not lose digits
	var root any
	if dec.Decode(&root) != nil {
		return nil
	}
	for _, name := range names {
		v := lookUp(root, name)
		if v == nil {
			v = lookUp(root, "response."+name)
		}
		if text := plain(v); text != "" {
			fields = append(fields, router.Field{Name: name, Value: text})
		}
	}
	return fields
}

// lookUp follows a path with dots. A key that itself has dots is found too, and a number is a place in a list, from 0.
func lookUp(v any, path string) any {
	if list, ok := v.([]any); ok {
		head, rest, more := strings.Cut(path, ".")
		at, err := strconv.ParseUint(head, 10, 31)
		switch {
		case err != nil || at >= uint64(len(list)):
			return nil
		case !more:
			return list[at]
		}
		return lookUp(list[at], rest)
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	if found, ok := object[path]; ok {
		return found
	}
	head, rest, more := strings.Cut(path, ".")
	if !more {
		return nil
	}
	return lookUp(object[head], rest)
}

// plain writes a value on one line for people: text as it is, the rest as JSON; "" for nothing.
func plain(v any) string {
	var text string
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		text = v
	default:
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if enc.Encode(v) != nil {
			return ""
		}
		text = b.String()
	}
	return yamldoc.OneLine(strings.ToValidUTF8(text, ""), maxFieldValue)
}
