// Package yamldoc reads YAML files with the position of everything in them, and collects what is wrong in all of them
// as file:line:column, with a hint where it can. What the keys are, and what their values mean, is left to its callers:
// it knows maps, lists, single values and texts.
package yamldoc

import (
	"fmt"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// Bounds that no honest file comes near.
const (
	MaxFile     = 4 << 20 // bytes
	MaxNodes    = 1 << 20 // values read, those behind aliases as often as they are used
	maxMistakes = 1000
)

// Format is what a caller's files have of their own.
type Format struct {
	Holds      string                 // what is in such a file, for people: "rules"
	Begin      string                 // the hint for an empty file
	References string                 // where ${NAME} and ${file:PATH} may stand, for people; elsewhere they are mistakes
	Secret     func(text string) bool // says that a text looks like a secret, so that no mistake shows it; nil: none does
}

// Reader reads one file's nodes, and notes in its report what is wrong with them.
type Reader struct {
	*Report
	file   string
	lines  []string
	cutOff int // line of the syntax error that ends what can be read; 0 for a whole file
}

// FileName returns the name of the file.
func (r *Reader) FileName() string { return r.file }

// Wrong notes a mistake at a node.
func (r *Reader) Wrong(n *yaml.Node, path, problem, hint string) {
	r.At(n.Line, n.Column, path, problem, hint)
}

// Absent notes that something is not there. What stands behind a syntax error may well be.
func (r *Reader) Absent(n *yaml.Node, path, problem, hint string) {
	if r.cutOff == 0 {
		r.Wrong(n, path, problem, hint)
	}
}

// NoSuch notes that something is not there in any file.
func (r *Reader) NoSuch(n *yaml.Node, path, problem, hint string) {
	if !r.partial {
		r.Wrong(n, path, problem, hint)
	}
}

// Place returns where a node stands.
func (r *Reader) Place(n *yaml.Node) Place { return Place{r.file, n.Line, n.Column} }

// Warn notes something that works and is surely not meant.
func (r *Reader) Warn(n *yaml.Node, path, problem, hint string) {
	r.WarnAt(Place{r.file, max(1, min(n.Line, len(r.lines))), max(1, n.Column)}, path, problem, hint)
}

// At notes a mistake at a position.
func (r *Reader) At(line, column int, path, problem, hint string) {
	// The last value before a syntax error may be cut short.
	if len(r.mistakes) > maxMistakes || r.cutOff > 0 && line >= r.cutOff-1 {
		return
	}
	line = max(1, min(line, len(r.lines))) // YAML knows more line breaks than editors do
	m := Mistake{File: r.file, Line: line, Column: max(1, column), Path: path, Problem: problem, Hint: hint}
	if len(r.mistakes) == maxMistakes {
		m.Path, m.Problem, m.Hint = "", "there are more mistakes", "mend these first"
	}
	r.mistakes = append(r.mistakes, m)
}

// Entry is one key of a map.
type Entry struct {
	Key   string
	At    *yaml.Node // the key
	Value *yaml.Node
	Path  string // of the value
}

// Mapping returns the keys of a map in the order of the file, with what << merges into it.
func (r *Reader) Mapping(n *yaml.Node, path string) (entries []Entry, ok bool) {
	n = Follow(n)
	if n.Kind != yaml.MappingNode {
		r.Wrong(n, path, "must be a map of keys and values, not "+Describe(n), "")
		return nil, false
	}
	return r.merge(nil, n, path, 0), true
}

// merge adds the keys of n that are not there yet. Own keys come first and so win over merged ones.
func (r *Reader) merge(entries []Entry, n *yaml.Node, path string, depth int) []Entry {
	own := make(map[string]int, len(n.Content)/2)
	for _, e := range entries {
		own[e.Key] = 0
	}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !r.count(n) {
			return entries
		}
		key, value := Follow(n.Content[i]), n.Content[i+1]
		at := n.Content[i]
		if value.Tag == "!!null" && value.Value == "" { // it stands nowhere
			value.Line, value.Column = at.Line, at.Column
		}
		switch line, seen := own[key.Value]; {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!null":
			r.Wrong(at, path, "a key must be a plain text, not "+Describe(key), "")
		case key.Tag == "!!merge":
			merged = append(merged, value)
		case seen && line > 0:
			r.Wrong(at, Join(path, key.Value), "stands here twice", fmt.Sprintf("the first is on line %d", line))
		case seen: // merged into a map that has it
		case Reference(key.Value) != "":
			r.Wrong(at, path, Reference(key.Value)+" stands for nothing here", "a name is written out")
		default:
			own[key.Value] = at.Line
			entries = append(entries, Entry{key.Value, at, value, Join(path, key.Value)})
		}
	}
	for _, m := range merged {
		parts := []*yaml.Node{m}
		if Follow(m).Kind == yaml.SequenceNode {
			parts = Follow(m).Content
		}
		for _, part := range parts {
			target := Follow(part)
			if target.Kind != yaml.MappingNode || depth >= 10 {
				r.Wrong(part, Join(path, "<<"), "<< must name a map, and not too many through one another", "")
				continue
			}
			entries = r.merge(entries, target, path, depth+1)
		}
	}
	return entries
}

// List returns the items of a list; anything else is a list of one.
func (r *Reader) List(n *yaml.Node, path string) (items []*yaml.Node, paths []string) {
	if Follow(n).Kind != yaml.SequenceNode {
		return []*yaml.Node{n}, []string{path}
	}
	for i, item := range Follow(n).Content {
		if !r.count(item) {
			break
		}
		items, paths = append(items, item), append(paths, fmt.Sprintf("%s[%d]", path, i))
	}
	return items, paths
}

// count bounds how much is read: a few aliases of aliases can stand for billions of values.
func (r *Reader) count(n *yaml.Node) bool {
	if r.nodes++; r.nodes == MaxNodes {
		r.Wrong(n, "", "the file stands for too many values", "use fewer aliases")
	}
	return r.nodes < MaxNodes
}

// Scalar is a single value. Mistakes name it as it was written.
type Scalar struct {
	*yaml.Node
	Path     string
	Text     string
	Resolved bool // Text came from elsewhere, such as the environment: it may be secret

	dropped []int // where in Text, in characters, Value has a $ more
	format  *Format
}

// Written is the value as it stands in the file, for people. What looks like a secret may be one that was put in the
// wrong place.
func (s Scalar) Written() string {
	if s.secret() {
		return "the value"
	}
	return Quote(s.Value)
}

// Guarded says that no mistake may be made of the text itself.
func (s Scalar) Guarded() bool { return s.Resolved || s.secret() }

func (s Scalar) secret() bool { return s.format.Secret != nil && s.format.Secret(s.Value) }

// ValueAt makes a value of a node that is one already, such as a key, or of what it stands for.
func (r *Reader) ValueAt(n *yaml.Node, path, text string) Scalar {
	return Scalar{Node: n, Path: path, Text: text, format: &r.format}
}

// Scalar reads a single value that must not be empty.
func (r *Reader) Scalar(n *yaml.Node, path string) (s Scalar, ok bool) {
	n = Follow(n)
	s = r.ValueAt(n, path, n.Value)
	if n.Kind != yaml.ScalarNode {
		r.Wrong(n, path, "must be a single value, not "+Describe(n), "")
		return s, false
	}
	s.Text, s.dropped, ok = r.plain(s)
	if ok && (n.Tag == "!!null" || strings.TrimSpace(s.Text) == "") {
		hint := ""
		if n.Line <= len(r.lines) && strings.Contains(r.lines[n.Line-1], "#") {
			hint = commentHint
		}
		r.Wrong(n, path, "has no value", hint)
		return s, false
	}
	return s, ok
}

// references finds ${NAME} and ${file:PATH}, and those with more than one $ before them.
var references = regexp.MustCompile(`\$*\$\{([A-Za-z_][A-Za-z0-9_]*|file:[^}]*)\}`)

// Reference returns the first ${NAME} or ${file:PATH} in a text, or "".
func Reference(text string) string { return references.FindString(text) }

// plain returns the text of a value in which nothing is resolved, and where in it, in characters, a $ was left out.
func (r *Reader) plain(s Scalar) (text string, dropped []int, ok bool) {
	if !strings.Contains(s.Value, "${") {
		return s.Value, nil, true
	}
	ok = true
	var b strings.Builder
	rest := 0
	for _, at := range references.FindAllStringIndex(s.Value, -1) {
		found := s.Value[at[0]:at[1]]
		if !strings.HasPrefix(found, "$$") {
			line, column := r.Inside(s, len([]rune(s.Value[:at[0]])))
			r.At(line, column, s.Path, Shorten(found, 60)+" stands for nothing here",
				r.format.References+"; for the text itself write $${")
			ok = false
			continue
		}
		b.WriteString(s.Value[rest:at[0]])
		dropped = append(dropped, len([]rune(b.String())))
		rest = at[0] + 1
	}
	b.WriteString(s.Value[rest:])
	return b.String(), dropped, ok
}

// Scalars reads a single value or a list of them.
func (r *Reader) Scalars(n *yaml.Node, path string) (all []Scalar, ok bool) {
	ok = true
	items, paths := r.List(n, path)
	for i, item := range items {
		s, good := r.Scalar(item, paths[i])
		if good {
			all = append(all, s)
		}
		ok = ok && good
	}
	if len(items) == 0 {
		r.Wrong(Follow(n), path, "is an empty list", "")
		return nil, false
	}
	return all, ok
}

// Boolean reads true or false.
func (r *Reader) Boolean(n *yaml.Node, path string) bool {
	s, ok := r.Scalar(n, path)
	if ok && s.Text != "true" && s.Text != "false" {
		hint := ""
		switch strings.ToLower(s.Value) { // as older YAML has them
		case "yes", "on":
			hint = "write true"
		case "no", "off":
			hint = "write false"
		}
		r.Wrong(s.Node, path, "must be true or false, not "+s.Written(), hint)
	}
	return ok && s.Text == "true"
}

// Inside returns where the character at an offset of a scalar's text stands in the file, or where the
// scalar begins if the two do not run side by side (escapes in quotes).
func (r *Reader) Inside(s Scalar, offset int) (line, column int) {
	line, column = s.Line, s.Column
	text := []rune(s.Value)
	shift := 0
	for _, at := range s.dropped {
		if at < offset {
			shift++
		}
	}
	if offset += shift; offset > len(text) {
		return line, column
	}
	switch {
	case s.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		line, column = line+1, r.indent(line+1)
	case s.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		column++
	}
	fresh, read := true, 0 // the line that source is
	var source []rune
	for _, c := range text[:offset] {
		if line > len(r.lines) {
			return s.Line, s.Column
		}
		if line != read {
			source, read = []rune(r.lines[line-1]), line
		}
		switch {
		case column <= len(source) && source[column-1] == c:
			column, fresh = column+1, false
		case (c == ' ' || c == '\n') && (column > len(source) || strings.TrimSpace(string(source[column-1:])) == ""):
			line, column, fresh = line+1, r.indent(line+1), true
		case c == ' ' && fresh: // part of the indentation that was skipped
		default:
			return s.Line, s.Column
		}
	}
	return line, column
}

// indent returns the column of the first character of a line that is no space.
func (r *Reader) indent(line int) int {
	if line > len(r.lines) {
		return 1
	}
	return len(r.lines[line-1]) - len(strings.TrimLeft(r.lines[line-1], " ")) + 1
}

// Follow returns what an alias stands for.
func Follow(n *yaml.Node) *yaml.Node {
	for range 10 {
		if n.Kind != yaml.AliasNode || n.Alias == nil {
			break
		}
		n = n.Alias
	}
	return n
}

// Describe names the kind of a node for people.
func Describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a map"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	}
	return "a single value"
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Join adds a key to a path.
func Join(path, key string) string {
	if !plainKey.MatchString(key) {
		key = Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}
