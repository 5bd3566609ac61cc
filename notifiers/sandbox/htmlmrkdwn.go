package sandbox

import (
	"cmp"
	"html"
	"html/template"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	struck  = regexp.MustCompile(`(^|[^\pL\pN~])~([^~\n]+)~($|[^\pL\pN~])`)
	setOff  = regexp.MustCompile("\x00([0-9]+)\x00")
	newline = strings.NewReplacer("\n", "<br>")
)

// text draws a text object: of plain text, only the emoji are markup.
func (h HTML) text(t *textObj) template.HTML {
	switch {
	case t == nil:
		return ""
	case t.Type == "plain_text":
		return template.HTML(newline.Replace(html.EscapeString(glyphs(harmless(t.Text)))))
	}
	return h.mrkdwn(t.Text)
}

// mrkdwn draws Slack's markup: links, dates, people, bold, italic, struck, code, emoji, and the three escapes.
func (h HTML) mrkdwn(s string) template.HTML {
	var out strings.Builder
	for i, part := range strings.Split(harmless(s), "```") { // which leaves no \x00 in it
		if i%2 == 1 {
			out.WriteString(`<pre tabindex="0">` + html.EscapeString(unescape.Replace(strings.Trim(part, "\n"))) + "</pre>")
			continue
		}
		for j, span := range strings.Split(part, "`") {
			if j%2 == 1 {
				out.WriteString("<code>" + html.EscapeString(unescape.Replace(span)) + "</code>")
			} else {
				out.WriteString(h.spans(span))
			}
		}
	}
	return template.HTML(out.String())
}

// spans draws markup without code in it. What stands in angle brackets is set off first, so that an address with stars
// in it stays whole.
func (h HTML) spans(s string) string {
	var tokens []string
	s = angled.ReplaceAllStringFunc(s, func(token string) string {
		tokens = append(tokens, h.angled(token[1:len(token)-1]))
		return "\x00" + strconv.Itoa(len(tokens)-1) + "\x00"
	})
	s = newline.Replace(emphasis(s))
	return setOff.ReplaceAllStringFunc(s, func(mark string) string {
		n, _ := strconv.Atoi(strings.Trim(mark, "\x00"))
		return tokens[n]
	})
}

// emphasis draws bold, italic, struck and emoji of what has no angle brackets in it.
func emphasis(s string) string {
	s = html.EscapeString(unescape.Replace(glyphs(s)))
	for range 2 { // a match takes the character behind it, and with it what the next one needs before it
		s = starred.ReplaceAllString(s, "$1<b>$2</b>$3")
		s = slanted.ReplaceAllString(s, "$1<i>$2</i>$3")
		s = struck.ReplaceAllString(s, "$1<s>$2</s>$3")
	}
	return s
}

// angled draws what stands in angle brackets.
func (h HTML) angled(token string) string {
	target, label, labelled := strings.Cut(token, "|")
	plain := func(s string) string { return html.EscapeString(glyphs(unescape.Replace(s))) }
	called := func(s string) string { return `<span class="sb-at">` + plain(s) + `</span>` }
	switch {
	case strings.HasPrefix(target, "!date^"):
		seconds, _, _ := strings.Cut(strings.TrimPrefix(target, "!date^"), "^")
		at, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil {
			return plain(label)
		}
		return `<time datetime="` + time.Unix(at, 0).UTC().Format(time.RFC3339) + `">` + plain(label) + `</time>`
	case strings.HasPrefix(target, "!"):
		_, group, _ := strings.Cut(target, "^") // of "!subteam^S0ABC"
		return called("@" + cmp.Or(label, group, target[1:]))
	case strings.HasPrefix(target, "@"):
		return called("@" + cmp.Or(h.Names[target[1:]], label, target[1:]))
	case strings.HasPrefix(target, "#"):
		return called("#" + cmp.Or(label, target[1:]))
	}
	address := h.Link(unescape.Replace(target))
	if !labelled {
		label = target
	}
	words := plain(label) // an address stays as it is
	if labelled {
		words = emphasis(label)
	}
	if address == "" {
		return words
	}
	away := ` target="_blank" rel="noopener noreferrer"`
	if strings.HasPrefix(address, "#") {
		away = ""
	}
	return `<a href="` + html.EscapeString(address) + `"` + away + `>` + words + `</a>`
}
