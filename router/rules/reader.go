package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"flowbridge/router"
)

// Bounds that no honest file comes near.
const (
	maxFile     = 4 << 20 // bytes
	maxNodes    = 1 << 20 // values read, those behind aliases as often as they are used
	maxMistakes = 1000
	maxSecret   = 64 << 10 // bytes of what ${} stands for
)

// reader reads a file's nodes.
type reader struct {
	*report
	file   string
	lines  []string
	cutOff int // line of the syntax error that ends what can be read; 0 for a whole file
}

// report collects what is wrong in all files.
type report struct {
	cfg      Config
	order    map[string]int // of files, by name
	mistakes Mistakes
	warned   Mistakes
	partial  bool // some file could not be read to its end
	parsed   int  // values parsed so far
	nodes    int  // values read so far
	steps    int  // of regular expressions
	tried    int  // what trying expressions and templates has cost, as a meter counts
	secrets  []secret
}

// secret is a text that no mistake may show.
type secret struct{ text, name string }

// wrong notes a mistake at a node.
func (r *reader) wrong(n *yaml.Node, path, problem, hint string) {
	r.at(n.Line, n.Column, path, problem, hint)
}

// absent notes that something is not there. What stands behind a syntax error may well be.
func (r *reader) absent(n *yaml.Node, path, problem, hint string) {
	if r.cutOff == 0 {
		r.wrong(n, path, problem, hint)
	}
}

// noSuch notes that something is not there in any file.
func (r *reader) noSuch(n *yaml.Node, path, problem, hint string) {
	if !r.partial {
		r.wrong(n, path, problem, hint)
	}
}

// place returns where a node stands.
func (r *reader) place(n *yaml.Node) Place { return Place{r.file, n.Line, n.Column} }

// warn notes something that works and is surely not meant.
func (r *reader) warn(n *yaml.Node, path, problem, hint string) {
	r.warnAt(Place{r.file, max(1, min(n.Line, len(r.lines))), max(1, n.Column)}, path, problem, hint)
}

func (r *report) warnAt(p Place, path, problem, hint string) {
	if len(r.warned) < maxMistakes {
		r.warned = append(r.warned, Mistake{File: p.File, Line: p.Line, Column: p.Column, Path: path, Problem: problem, Hint: hint, Warning: true})
	}
}

// at notes a mistake at a position.
func (r *reader) at(line, column int, path, problem, hint string) {
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

// finish returns faults and warnings by position, with nothing in them that is secret.
func (r *report) finish() Mistakes {
	all := slices.Concat(r.mistakes, r.warned)
	slices.SortFunc(r.secrets, func(a, b secret) int { return len(b.text) - len(a.text) })
	for i := range all {
		m := &all[i]
		for _, s := range r.secrets {
			m.Problem = strings.ReplaceAll(m.Problem, s.text, s.name)
			m.Hint = strings.ReplaceAll(m.Hint, s.text, s.name)
		}
	}
	all.sort(r.order)
	return slices.Compact(all) // what stands behind an alias is read more than once
}

// hide keeps a text out of every mistake. Very short ones hold no secret and would garble the words.
func (r *report) hide(text, name string) {
	if len(text) >= 6 {
		r.secrets = append(r.secrets, secret{text, name})
	}
}

// entry is one key of a map.
type entry struct {
	key   string
	at    *yaml.Node // the key
	value *yaml.Node
	path  string // of the value
}

// mapping returns the keys of a map in the order of the file, with what << merges into it.
func (r *reader) mapping(n *yaml.Node, path string) (entries []entry, ok bool) {
	n = follow(n)
	if n.Kind != yaml.MappingNode {
		r.wrong(n, path, "must be a map of keys and values, not "+describe(n), "")
		return nil, false
	}
	return r.merge(nil, n, path, 0), true
}

// merge adds the keys of n that are not there yet. Own keys come first and so win over merged ones.
func (r *reader) merge(entries []entry, n *yaml.Node, path string, depth int) []entry {
	own := make(map[string]int, len(n.Content)/2)
	for _, e := range entries {
		own[e.key] = 0
	}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !r.count(n) {
			return entries
		}
		key, value := follow(n.Content[i]), n.Content[i+1]
		at := n.Content[i]
		if value.Tag == "!!null" && value.Value == "" { // it stands nowhere
			value.Line, value.Column = at.Line, at.Column
		}
		switch line, seen := own[key.Value]; {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!null":
			r.wrong(at, path, "a key must be a plain text, not "+describe(key), "")
		case key.Tag == "!!merge":
			merged = append(merged, value)
		case seen && line > 0:
			r.wrong(at, join(path, key.Value), "stands here twice", fmt.Sprintf("the first is on line %d", line))
		case seen: // merged into a map that has it
		case anyReference.MatchString(key.Value):
			r.wrong(at, path, anyReference.FindString(key.Value)+" stands for nothing here", "a name is written out")
		default:
			own[key.Value] = at.Line
			entries = append(entries, entry{key.Value, at, value, join(path, key.Value)})
		}
	}
	for _, m := range merged {
		parts := []*yaml.Node{m}
		if follow(m).Kind == yaml.SequenceNode {
			parts = follow(m).Content
		}
		for _, part := range parts {
			target := follow(part)
			if target.Kind != yaml.MappingNode || depth >= 10 {
				r.wrong(part, join(path, "<<"), "<< must name a map, and not too many through one another", "")
				continue
			}
			entries = r.merge(entries, target, path, depth+1)
		}
	}
	return entries
}

// list returns the items of a list; anything else is a list of one.
func (r *reader) list(n *yaml.Node, path string) (items []*yaml.Node, paths []string) {
	if follow(n).Kind != yaml.SequenceNode {
		return []*yaml.Node{n}, []string{path}
	}
	for i, item := range follow(n).Content {
		if !r.count(item) {
			break
		}
		items, paths = append(items, item), append(paths, fmt.Sprintf("%s[%d]", path, i))
	}
	return items, paths
}

// count bounds how much is read: a few aliases of aliases can stand for billions of values.
func (r *reader) count(n *yaml.Node) bool {
	if r.nodes++; r.nodes == maxNodes {
		r.wrong(n, "", "the file stands for too many values", "use fewer aliases")
	}
	return r.nodes < maxNodes
}

// scalar is a single value. Mistakes name it as it was written.
type scalar struct {
	*yaml.Node
	path     string
	text     string
	dropped  []int // where in text, in characters, Value has a $ more
	resolved bool  // text came from the environment or a file: it may be secret
}

// written is the value as it stands in the file, for people. What looks like a credential may be one that
// was put in the wrong place.
func (s scalar) written() string {
	if credential.MatchString(s.Value) || token.MatchString(s.Value) {
		return "the value"
	}
	return quote(s.Value)
}

// credential is what the credentials of notifiers look like.
var credential = regexp.MustCompile(whole(credentialForms()...))

func credentialForms() (forms []string) {
	for _, kind := range router.Kinds() {
		for _, k := range kind.Keys() {
			if k.Is == router.KeyCredential {
				forms = append(forms, k.Forms...)
			}
		}
	}
	return forms
}

// guarded says that no mistake may be made of the text itself.
func (s scalar) guarded() bool { return s.resolved || s.written() == "the value" }

// scalar reads a single value that must not be empty.
func (r *reader) scalar(n *yaml.Node, path string) (s scalar, ok bool) {
	n = follow(n)
	s = scalar{Node: n, path: path, text: n.Value}
	if n.Kind != yaml.ScalarNode {
		r.wrong(n, path, "must be a single value, not "+describe(n), "")
		return s, false
	}
	s.text, s.dropped, ok = r.plain(s)
	if ok && (n.Tag == "!!null" || strings.TrimSpace(s.text) == "") {
		hint := ""
		if n.Line <= len(r.lines) && strings.Contains(r.lines[n.Line-1], "#") {
			hint = "an unquoted # begins a comment: put the value in quotes"
		}
		r.wrong(n, path, "has no value", hint)
		return s, false
	}
	return s, ok
}

// scalars reads a single value or a list of them.
func (r *reader) scalars(n *yaml.Node, path string) (all []scalar, ok bool) {
	ok = true
	items, paths := r.list(n, path)
	for i, item := range items {
		s, good := r.scalar(item, paths[i])
		if good {
			all = append(all, s)
		}
		ok = ok && good
	}
	if len(items) == 0 {
		r.wrong(follow(n), path, "is an empty list", "")
		return nil, false
	}
	return all, ok
}

// boolean reads true or false.
func (r *reader) boolean(n *yaml.Node, path string) bool {
	s, ok := r.scalar(n, path)
	if ok && s.text != "true" && s.text != "false" {
		hint := ""
		switch strings.ToLower(s.Value) { // as older YAML has them
		case "yes", "on":
			hint = "write true"
		case "no", "off":
			hint = "write false"
		}
		r.wrong(s.Node, path, "must be true or false, not "+s.written(), hint)
	}
	return ok && s.text == "true"
}

// inside returns where the character at an offset of a scalar's text stands in the file, or where the
// scalar begins if the two do not run side by side (escapes in quotes).
func (r *reader) inside(s scalar, offset int) (line, column int) {
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
func (r *reader) indent(line int) int {
	if line > len(r.lines) {
		return 1
	}
	return len(r.lines[line-1]) - len(strings.TrimLeft(r.lines[line-1], " ")) + 1
}

// follow returns what an alias stands for.
func follow(n *yaml.Node) *yaml.Node {
	for range 10 {
		if n.Kind != yaml.AliasNode || n.Alias == nil {
			break
		}
		n = n.Alias
	}
	return n
}

// describe names the kind of a node for people.
func describe(n *yaml.Node) string {
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

// join adds a key to a path.
func join(path, key string) string {
	if !plainKey.MatchString(key) {
		key = quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}
