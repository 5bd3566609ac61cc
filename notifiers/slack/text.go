package slack

import (
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// line makes a value fit into a line of mrkdwn: one line, at most so many characters after escaping. Nothing
// in it can mention anybody, link anywhere or break the formatting around it.
func line(s string, most int) string {
	return escape(strings.Join(strings.Fields(harmless(s)), " "), most)
}

// prose is line for text with paragraphs.
func prose(s string, most int) string { return escape(strings.TrimSpace(harmless(s)), most) }

// escapes are Slack's three, and look-alikes for marks that would format what follows them. An underscore
// stays: it formats only around whole words, and names are full of it.
var escapes = map[rune]string{'&': "&amp;", '<': "&lt;", '>': "&gt;", '*': "∗", '`': "ˋ", '~': "∼"}

// escape writes s for mrkdwn, cut to so many characters. An entity is never cut in two.
func escape(s string, most int) string {
	var out strings.Builder
	var kept, size int // bytes and characters of out that leave room for the ellipsis
	for _, r := range s {
		word := escapes[r]
		if word == "" {
			word = string(r)
		}
		size += utf8.RuneCountInString(word)
		if size > most {
			return out.String()[:kept] + "…"
		}
		out.WriteString(word)
		if size < most {
			kept = out.Len()
		}
	}
	return out.String()
}

// cut shortens plain text to so many characters.
func cut(s string, most int) string {
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}

// harmless takes out what is no text: control characters, and marks that turn the direction of writing.
func harmless(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\u2028', r == '\u2029', unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// date writes a time that Slack shows in the reader's own zone.
func date(at time.Time) string {
	return stamp(at, "{date_short_pretty} {time}", "2006-01-02 15:04 UTC")
}

// clock is date for where the day is known.
func clock(at time.Time) string { return stamp(at, "{time}", "15:04 UTC") }

func stamp(at time.Time, format, fallback string) string {
	return fmt.Sprintf("<!date^%d^%s|%s>", at.Unix(), format, at.UTC().Format(fallback))
}

// webURL says whether Slack takes s as the target of a link. One that it does not take would cost the whole
// card.
func webURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" &&
		utf8.RuneCountInString(s) <= maxURL && !strings.ContainsAny(s, " <>|")
}

// link writes a label that leads to a URL, or only the label where there is none, or one that would take the
// room of the text.
func link(target, label string) string {
	if !webURL(target) || len(target) > inlineURL {
		return label
	}
	return "<" + strings.ReplaceAll(target, "&", "&amp;") + "|" + label + ">"
}

// capital writes the first letter large.
func capital(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(r)) + s[size:]
}
