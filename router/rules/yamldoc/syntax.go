package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// parse returns the root of a file's one document, nil if there is nothing to read on. A file that is no
// YAML is read as far as it is, so that one wrong indentation does not hide what else is wrong.
func (r *Reader) parse(data []byte) (root *yaml.Node) {
	if len(data) > MaxFile {
		r.At(1, 1, "", fmt.Sprintf("the file is larger than %d MiB", MaxFile>>20), "")
		return nil
	}
	if r.parsed > MaxNodes {
		r.At(1, 1, "", "the files before this one have too many values", "keep "+r.format.Holds+" shorter")
		return nil
	}
	defer func() { r.parsed += countNodes(root) }()
	whole, second, err := parseYAML(data)
	empty := errors.Is(err, io.EOF) || err == nil && !second &&
		(len(whole.Content) == 0 || whole.Content[0].Tag == "!!null")
	switch {
	case empty:
		r.At(1, 1, "", "the file is empty", r.format.Begin)
		return nil
	case err != nil:
		whole = r.parseBeginning(data, err)
	case second:
		line := 1
		for i, text := range r.lines {
			if strings.HasPrefix(text, "---") {
				line = i + 1
			}
		}
		r.At(line, 1, "", "a second document begins here", "a "+r.format.Holds+" file is one document: remove the line ---")
		r.cutOff, r.partial = line+1, true
	}
	if whole == nil || len(whole.Content) == 0 {
		return nil
	}
	return whole.Content[0]
}

// countNodes counts the values of a file: they take much more memory than its text.
func countNodes(n *yaml.Node) (nodes int) {
	if n == nil {
		return 0
	}
	for _, part := range n.Content {
		nodes += countNodes(part)
	}
	return nodes + 1
}

// parseYAML returns the first document, and whether there is a second. yaml.v3 can panic on small inputs.
func parseYAML(data []byte) (root *yaml.Node, second bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			root, err = nil, fmt.Errorf("the YAML reader stumbled: %v", p)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	root = &yaml.Node{}
	if err := dec.Decode(root); err != nil {
		return nil, false, err
	}
	switch err := dec.Decode(&yaml.Node{}); {
	case errors.Is(err, io.EOF):
		return root, false, nil
	case err != nil:
		return nil, false, err
	}
	return root, true, nil
}

// parseBeginning reports a syntax error where a person would look for it, and returns what stands before.
//
// yaml.v3 tells a line at most, and often that of the block around the mistake. The construct that cannot
// be read begins on the line after the longest beginning that can.
func (r *Reader) parseBeginning(data []byte, err error) *yaml.Node {
	line, message := yamlError(err)
	said := line
	budget := 16 << 20 // bytes to parse in search of the place; beyond that yaml's own line must do
	end := consumed(data)
	var root *yaml.Node
	for n := bytes.Count(data[:end], []byte("\n")); n >= 0 && budget > 0; n-- {
		beginning := data[:end]
		if i := bytes.LastIndexByte(beginning, '\n'); i >= 0 {
			beginning, end = data[:i+1], i
		} else {
			beginning, end = nil, 0
		}
		budget -= len(beginning)
		good, _, err := parseYAML(beginning)
		if err == nil || errors.Is(err, io.EOF) {
			root, line = good, bytes.Count(beginning, []byte("\n"))+1
			break
		}
	}
	line = max(1, min(line, len(r.lines)))
	if anchor, ok := strings.CutPrefix(message, "unknown anchor '"); ok {
		name, _, _ := strings.Cut(anchor, "'")
		r.At(line, max(1, columnOf(r.lines[line-1], "*"+name)), "", fmt.Sprintf("nothing above is named &%s", name),
			"quote the value if it only begins with *")
	} else {
		column, problem, hint := explainSyntax(r.lines[line-1], message)
		if strings.Contains(message, "did not find expected ','") &&
			slices.ContainsFunc(r.lines[line-1:max(line, min(said, len(r.lines)))], endsInComment) {
			hint = commentHint
		}
		r.At(line, column, "", problem, hint)
	}
	r.cutOff, r.partial = line, true
	return root
}

// commentHint is for a value that a comment takes away.
const commentHint = "an unquoted # begins a comment: put the value in quotes"

// endsInComment says whether a comment of a line has what closes a list or a map.
func endsInComment(line string) bool {
	_, comment, ok := strings.Cut(line, " #")
	return ok && strings.ContainsAny(comment, "]}")
}

var yamlErrorForm = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)

func yamlError(err error) (line int, message string) {
	m := yamlErrorForm.FindStringSubmatch(err.Error())
	if m == nil {
		return 1, err.Error()
	}
	line, _ = strconv.Atoi(m[1])
	return max(1, line), m[2]
}

// consumed returns how many bytes yaml.v3 reads before it gives up.
func consumed(data []byte) (n int) {
	reader := &byteReader{data: data}
	defer func() {
		_ = recover() // what it stumbles over is reported already
		n = reader.n
	}()
	dec := yaml.NewDecoder(reader)
	for dec.Decode(&yaml.Node{}) == nil {
	}
	return reader.n
}

// byteReader hands out one byte at a time, so that nothing is read ahead.
type byteReader struct {
	data []byte
	n    int
}

func (b *byteReader) Read(p []byte) (int, error) {
	if b.n == len(b.data) || len(p) == 0 {
		return 0, io.EOF
	}
	p[0] = b.data[b.n]
	b.n++
	return 1, nil
}

// explainSyntax puts yaml.v3's words into plain ones. The column is that of the first thing on the line.
func explainSyntax(text, message string) (column int, problem, hint string) {
	indent := len(text) - len(strings.TrimLeft(text, " "))
	column = indent + 1
	if strings.HasPrefix(text[indent:], "\t") {
		return column, "a tab stands in the indentation", "YAML allows only spaces there"
	}
	for _, e := range []struct{ said, problem, hint string }{
		{"mapping values are not allowed", "a \":\" stands where no key can be",
			`check the indentation, and quote a text that contains ": "`},
		{"did not find expected key", "a key is expected here", "check that the indentation is that of the lines above"},
		{"did not find expected '-' indicator", "a list goes on here with something that is no item",
			"begin the item with - or mend the indentation"},
		{"could not find expected ':'", "a key without its \":\"", `write "key: value"`},
		{"did not find expected ',' or ']'", "a list that begins with [ misses a comma or its ]",
			"quote a value that has a comma, a bracket or a brace in it"},
		{"did not find expected ',' or '}'", "a map that begins with { misses a comma or its }",
			"quote a value that has a comma, a bracket or a brace in it"},
		{"did not find expected node content", "a value is expected here",
			"a [ or { that is not closed can be above; quote a text that begins with such a character"},
		{"found unexpected end of stream", "a quoted text is never closed", "add the missing quote"},
		{"found character that cannot start any token", "a value cannot begin with this character", "quote the value"},
		{"unknown escape character", `a \ in double quotes is followed by a letter that means nothing`,
			`use single quotes, or write \\`},
		{"control characters are not allowed", "a character that is no text stands here", "save the file as UTF-8 text"},
		{"UTF-8", "this is no UTF-8 text", "save the file as UTF-8"},
		{"exceeded max depth", "lists or maps are nested far too deep", ""},
	} {
		if strings.Contains(message, e.said) {
			return column, e.problem, e.hint
		}
	}
	return column, "this is no YAML: " + OneLine(message, 120), ""
}

// columnOf returns the column of word in a line, in characters from 1; 0 if it is not there.
func columnOf(line, word string) int {
	i := strings.Index(line, word)
	if i < 0 {
		return 0
	}
	return len([]rune(line[:i])) + 1
}
