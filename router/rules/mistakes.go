package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Mistake is one thing that is wrong in a rules file, or a warning about it.
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

// Mistakes are all that is wrong in a file, by position. It is the error that Load returns, as *Mistakes.
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
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), strings.Compare(a.Path, b.Path))
	})
}

// didYouMean returns a hint that names the known word nearest to what somebody wrote, or "".
func didYouMean(word string, known []string) string {
	if near := Nearest(word, known); near != "" {
		return fmt.Sprintf("did you mean %s?", quote(near))
	}
	return ""
}

// Nearest returns the known word that somebody most likely meant, or "".
func Nearest(word string, known []string) (best string) {
	least := 4
	for _, k := range known {
		reach := 3
		switch n := min(utf8.RuneCountInString(word), utf8.RuneCountInString(k)); {
		case n <= 2:
			reach = 0
		case n <= 4:
			reach = 1
		case n == 5:
			reach = 2
		}
		d := distance(word, k)
		if len(word) >= 3 && strings.HasPrefix(k, strings.ToLower(word)) {
			d = min(d, 1) // an abbreviation
			reach = max(reach, 1)
		}
		if d <= reach && d < least {
			best, least = k, d
		}
	}
	return best
}

// nearMiss returns the known word that differs from word by at most two letters, or by case alone. A word
// that is known is no near miss, nor is one that is nothing like any of them.
func nearMiss(word string, known []string) (string, bool) {
	if slices.Contains(known, word) {
		return "", false
	}
	for reach := range 3 {
		for _, k := range known {
			if distance(word, k) == reach && reach < len(k)/2 {
				return k, true
			}
		}
	}
	return "", false
}

// distance counts the letters to insert, drop, change or swap with a neighbour, whatever their case. Words
// of very different length are simply far apart.
func distance(a, b string) int {
	const far = 1 << 10
	if d := len(a) - len(b); d > 12 || d < -12 {
		return far
	}
	s, t := []rune(strings.ToLower(a)), []rune(strings.ToLower(b))
	before, last, row := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := range s {
		row[0] = i + 1
		for j := range t {
			change := last[j]
			if s[i] != t[j] {
				change++
			}
			row[j+1] = min(change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && s[i] == t[j-1] && s[i-1] == t[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(t)]
}

// quote writes what somebody wrote on one line and of bounded length.
func quote(s string) string { return fmt.Sprintf("%q", shorten(s, 60)) }

// shorten cuts s to at most limit characters, the last of them an ellipsis.
func shorten(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}

// oneLine writes s on one line of bounded length.
func oneLine(s string, limit int) string {
	return shorten(strings.Join(strings.Fields(s), " "), limit)
}

// oneOf writes a list of words for a hint: "a, b or c".
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
