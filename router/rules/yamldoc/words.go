package yamldoc

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// DidYouMean returns a hint that names the known word nearest to what somebody wrote, or "".
func DidYouMean(word string, known []string) string {
	if near := Nearest(word, known); near != "" {
		return fmt.Sprintf("did you mean %s?", Quote(near))
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

// NearMiss returns the known word that differs from word by at most two letters, or by case alone. A word
// that is known is no near miss, nor is one that is nothing like any of them.
func NearMiss(word string, known []string) (string, bool) {
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

// Quote writes what somebody wrote on one line and of bounded length.
func Quote(s string) string { return fmt.Sprintf("%q", Shorten(s, 60)) }

// Shorten cuts s to at most limit characters, the last of them an ellipsis.
func Shorten(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}

// OneLine writes s on one line of bounded length.
func OneLine(s string, limit int) string {
	return Shorten(strings.Join(strings.Fields(s), " "), limit)
}

// OneOf writes a list of words for a hint: "a, b or c".
func OneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
