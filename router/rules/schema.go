package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"flowbridge/router"
)

// Schema returns the JSON Schema (draft 2020-12) of a rules file, for editors and CI. It holds what can be said of the
// structure of one file; names that other places give, expressions and templates are left to Load.
func Schema() []byte {
	s := objectOf(fileKeys, nil, nil)
	s["patternProperties"] = schema{"^" + ownKey: true}
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Rules of flowbridge"
	s["description"] = "Whom to tell of what Meta says about WhatsApp Flows. ${NAME} and ${file:PATH} stand for an " +
		"address of a notifier or a part of it, and for a whole key or secret, and for nothing elsewhere: there, $${NAME} " +
		"is written for the text ${NAME}."
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		panic(fmt.Sprintf("rules: the schema is no JSON: %v", err)) // it is made of texts, numbers and lists
	}
	return b.Bytes()
}

// schema is a JSON Schema.
type schema map[string]any

// with returns a schema with one keyword more.
func (s schema) with(keyword string, value any) schema {
	s = maps.Clone(s)
	s[keyword] = value
	return s
}

func (s schema) described(text string) schema { return s.with("description", text) }

// requiring returns the schema of a map with a key that must be there.
func (s schema) requiring(name string) schema {
	required, _ := s["required"].([]any)
	return s.with("required", append(append([]any{}, required...), name))
}

// objectOf is the schema of a map whose keys are those of a table. others describes further keys, if there may be any,
// and reserved lists those that they cannot be.
func objectOf(t table, others schema, reserved func() []string) schema {
	properties := map[string]any{}
	required := []any{}
	for _, k := range t.keys {
		properties[k.name] = k.value.described(k.about)
		if k.required {
			required = append(required, k.name)
		}
	}
	s := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	if others != nil {
		s["additionalProperties"] = others
	}
	if reserved != nil {
		s["propertyNames"] = schema{"not": schema{"enum": reserved()}}
	}
	return s
}

// mapOf is the schema of a map whose keys are names of somebody's choice.
func mapOf(value, more schema) schema {
	s := schema{"type": "object", "additionalProperties": value}
	maps.Copy(s, more)
	return s
}

// text is the schema of a value that is taken as it is written. YAML calls some of them numbers or true and false.
func text() schema {
	return schema{"type": []any{"string", "number", "boolean"}, "pattern": `\S`, "not": referring()}
}

// referring is the schema of a text with a ${NAME} in it that has no second $.
func referring() schema {
	return schema{"type": "string", "pattern": `(^|[^$])` + referenceForm}
}

// form is the schema of a text that has one of some forms.
func form(forms ...string) schema { return schema{"type": "string", "pattern": whole(forms...)} }

// address is that of one for which a variable or a file may stand.
func address(forms ...string) schema { return form(append(forms, referenceForm)...) }

// whole is the pattern of a text that is one of some forms from its beginning to its end.
func whole(forms ...string) string { return `^(` + strings.Join(forms, "|") + `)$` }

// word is the schema of one of some words.
func word(words ...string) schema {
	return schema{"enum": words}
}

// open is the schema of words that are known, where there may be others.
func open(words ...string) schema {
	return schema{"anyOf": []any{schema{"enum": words}, text()}}
}

// some is the schema of a value or a list of such values.
func some(one schema) schema {
	return schema{"anyOf": []any{one, schema{"type": "array", "items": one, "minItems": 1}}}
}

// asks is the schema of what a key of match asks for: a value, a list, or what it must not be.
func asks(one schema) schema {
	not := schema{"type": "object", "properties": map[string]any{"not": some(one).described(notKeys.keys[0].about)},
		"required": []any{"not"}, "additionalProperties": false}
	return schema{"anyOf": []any{one, schema{"type": "array", "items": one, "minItems": 1}, not}}
}

// byID says of a map that its keys are ids of Meta's.
func byID() schema { return schema{"propertyNames": schema{"pattern": metaID.String()}} }

func boolean() schema { return schema{"enum": []any{true, false, "true", "false"}} }

func wait() schema { return form(waitForm) }

// notifierSchema is that of a notifier: its kind says which keys it has.
func notifierSchema() schema {
	kind := schema{"enum": kindWords(), "description": "What tells people: " + eitherKind() + "."}
	var each []any
	for _, one := range router.Kinds() {
		each = append(each, schema{
			"if":   schema{"properties": map[string]any{"kind": schema{"const": string(one)}}, "required": []any{"kind"}},
			"then": objectOf(notifierKeys(one), nil, nil),
		})
	}
	return schema{"type": "object", "required": []any{"kind"}, "properties": map[string]any{"kind": kind}, "allOf": each}
}

// ruleSchema is that of a rule: it drops, or it tells somebody.
func ruleSchema() schema {
	says := func(name string) schema {
		return schema{"properties": map[string]any{name: schema{"enum": []any{true, "true"}}}, "required": []any{name}}
	}
	return objectOf(ruleKeys, nil, nil).
		with("if", says("drop")).
		with("then", schema{"not": schema{"anyOf": []any{schema{"required": []any{"notify"}}, says("continue")}}}).
		with("else", schema{"required": []any{"notify"}})
}

// severityMap is the schema of a map from thresholds, statuses and changes to severities.
func severityMap() schema {
	properties := map[string]any{}
	for _, level := range severityLevels() {
		properties[level] = word(severityWords()...)
	}
	return schema{
		"type": "object", "minProperties": 1, "properties": properties, "additionalProperties": false,
		"patternProperties": map[string]any{
			// it may be new
			whole(` *` + numberForm + ` *`): word(severityWords()...), plainChange.String(): word(severityWords()...),
		},
	}
}
