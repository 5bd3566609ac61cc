package router

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// OneLine writes what somebody else wrote on one line: runs of spaces, line breaks and control characters, on which a
// terminal would act, become one space. What is not UTF-8 becomes U+FFFD.
func OneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(s), " ")
}

// Shorten cuts s to at most limit characters, the last of which is then an ellipsis.
func Shorten(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}
