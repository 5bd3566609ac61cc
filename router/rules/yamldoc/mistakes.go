package yamldoc

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Place is where something stands in the files.
type Place struct {
	File         string
	Line, Column int // from 1
}

// String writes file:line:column; of the zero Place nothing.
func (p Place) String() string {
	if p == (Place{}) {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Mistake is one thing that is wrong in a file, or a warning about it.
type Mistake struct {
	File    string
	Line    int    // from 1
	Column  int    // from 1, in characters
	Path    string // where in the structure: "rules[2].match.event"; "" for the file as a whole
	Problem string // what is wrong
	Hint    string // what to do; may be empty
	Warning bool   // the file can be loaded, but this is surely not what was meant
}

// String writes file:line:column: path: what is wrong (hint). The path of a warning has "warning: " before it.
func (m Mistake) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", m.File, m.Line, m.Column)
	if m.Warning {
		b.WriteString("warning: ")
	}
	if m.Path != "" {
		b.WriteString(m.Path + ": ")
	}
	b.WriteString(m.Problem)
	if m.Hint != "" {
		b.WriteString(" (" + m.Hint + ")")
	}
	return b.String()
}

// Mistakes are all that is wrong in files, by position. As an error they are a *Mistakes.
type Mistakes []Mistake

// Error writes one mistake a line.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, mistake := range m {
		lines[i] = mistake.String()
	}
	return strings.Join(lines, "\n")
}

// Faults returns those that keep a file from being loaded.
func (m Mistakes) Faults() (faults Mistakes) {
	for _, mistake := range m {
		if !mistake.Warning {
			faults = append(faults, mistake)
		}
	}
	return faults
}

// sort puts mistakes in the order of files and of places in them.
func (m Mistakes) sort(order map[string]int) {
	slices.SortStableFunc(m, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			strings.Compare(a.Path, b.Path))
	})
}

// Report collects what is wrong in all files that are read together.
type Report struct {
	format   Format
	order    map[string]int // of files, by name
	mistakes Mistakes
	warned   Mistakes
	partial  bool // some file could not be read to its end
	parsed   int  // values parsed so far
	nodes    int  // values read so far
	secrets  []secret
}

// secret is a text that no mistake may show.
type secret struct{ text, name string }

// NewReport returns a report of files in which nothing is wrong yet.
func NewReport(f Format) *Report { return &Report{format: f, order: map[string]int{}} }

// Open parses a file and returns the root of its one document, nil if there is nothing to read on. Mistakes are in the
// order in which files were opened.
func (r *Report) Open(name string, data []byte) (*Reader, *yaml.Node) {
	file := &Reader{Report: r, file: name, lines: strings.Split(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n")}
	if _, twice := r.order[name]; !twice {
		r.order[name] = len(r.order)
	}
	return file, file.parse(data)
}

// Partial says that some file could not be read to its end: what seems to be missing may stand there.
func (r *Report) Partial() bool { return r.partial }

// WarnAt notes something that works and is surely not meant, at a place of any file.
func (r *Report) WarnAt(p Place, path, problem, hint string) {
	if len(r.warned) < maxMistakes {
		r.warned = append(r.warned, Mistake{File: p.File, Line: p.Line, Column: p.Column, Path: path, Problem: problem,
			Hint: hint, Warning: true})
	}
}

// Finish returns faults and warnings by position, with nothing in them that is secret.
func (r *Report) Finish() Mistakes {
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

// Hide keeps a text out of every mistake. Very short ones hold no secret and would garble the words.
func (r *Report) Hide(text, name string) {
	if len(text) >= 6 {
		r.secrets = append(r.secrets, secret{text, name})
	}
}
