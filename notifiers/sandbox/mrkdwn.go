package sandbox

import (
	"cmp"
	"regexp"
	"strings"
	"unicode"
)

// What a terminal is told. They are the only escapes that reach it: harmless takes out all others.
const (
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	italic = "\x1b[3m"
	under  = "\x1b[4m"
	cyan   = "\x1b[36m"
	reset  = "\x1b[0m"
)

// colors of bars and buttons.
var colors = map[string]string{
	"red": "\x1b[31m", "yellow": "\x1b[33m", "green": "\x1b[32m", "blue": "\x1b[34m", "purple": "\x1b[35m",
	"grey": "\x1b[90m",
}

// emoji that cards use; others keep their names.
var emoji = map[string]string{
	"rotating_light": "🚨", "fire": "🔥", "red_circle": "🔴", "large_orange_circle": "🟠", "large_yellow_circle": "🟡",
	"large_green_circle": "🟢", "large_blue_circle": "🔵", "white_circle": "⚪", "black_circle": "⚫", "white_check_mark": "✅",
	"heavy_check_mark": "✔", "x": "❌", "no_entry": "⛔", "warning": "⚠️", "information_source": "ℹ️", "bell": "🔔",
	"no_bell": "🔕",
	"mega":    "📣", "eyes": "👀", "memo": "📝", "link": "🔗", "book": "📖", "hourglass": "⌛", "repeat": "🔁", "inbox_tray": "📥",
	"pager":    "📟",
	"arrow_up": "⬆️", "arrow_down": "⬇️", "chart_with_upwards_trend": "📈", "chart_with_downwards_trend": "📉",
	"octagonal_sign": "🛑", "construction": "🚧", "calendar": "📅", "package": "📦", "wrench": "🔧", "bulb": "💡",
}

var (
	angled   = regexp.MustCompile(`<([^<>\n]+)>`)
	starred  = regexp.MustCompile(`(^|[^\pL\pN*])\*([^*\n]+)\*($|[^\pL\pN*])`)
	slanted  = regexp.MustCompile(`(^|[^\pL\pN_])_([^_\n]+)_($|[^\pL\pN_])`)
	named    = regexp.MustCompile(`:([a-z0-9_+-]+):`)
	escapes  = regexp.MustCompile("\x1b\\[[0-9;]*m")
	unescape = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")
)

// mrkdwn draws Slack's markup: links, dates, bold, code, emoji, and the three escapes.
func (d *drawing) mrkdwn(s string) string {
	var out strings.Builder
	for i, part := range strings.Split(harmless(s), "```") {
		if i%2 == 1 { // preformatted
			out.WriteString(d.paint(unescape.Replace(strings.Trim(part, "\n")), cyan))
			continue
		}
		for j, span := range strings.Split(part, "`") {
			if j%2 == 1 {
				out.WriteString(d.paint(unescape.Replace(span), cyan))
			} else {
				out.WriteString(d.spans(span))
			}
		}
	}
	return out.String()
}

// spans draws markup without code in it.
func (d *drawing) spans(s string) string {
	s = angled.ReplaceAllStringFunc(s, func(token string) string {
		target, label, labelled := strings.Cut(token[1:len(token)-1], "|")
		switch {
		case strings.HasPrefix(target, "!date^"):
			return label
		case strings.HasPrefix(target, "!"):
			return "@" + target[1:]
		case strings.HasPrefix(target, "@"), strings.HasPrefix(target, "#"):
			return target
		case labelled:
			return d.paint(label, under)
		}
		return d.paint(target, under)
	})
	for range 2 { // a match takes the character behind it, and with it what the next one needs before it
		s = starred.ReplaceAllString(s, "$1"+d.paint("$2", bold)+"$3")
		s = slanted.ReplaceAllString(s, "$1"+d.paint("$2", italic)+"$3")
	}
	return unescape.Replace(glyphs(s))
}

// textObj draws a text object: of plain text, only the emoji are markup.
func (d *drawing) textObj(t *textObj) string {
	if t.Type == "plain_text" {
		return d.plain(t.Text)
	}
	return d.mrkdwn(t.Text)
}

func (d *drawing) plain(s string) string { return glyphs(harmless(s)) }

// glyphs writes emoji for their names.
func glyphs(s string) string {
	return named.ReplaceAllStringFunc(s, func(name string) string {
		return cmp.Or(emoji[strings.Trim(name, ":")], name)
	})
}

// harmless takes out what a terminal would act on.
func harmless(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' || unicode.Is(unicode.Bidi_Control, r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// paint puts a style around s, also behind styles that end within it.
func (d *drawing) paint(s, style string) string {
	if !d.o.ANSI || style == "" || s == "" {
		return s
	}
	return style + strings.ReplaceAll(s, reset, reset+style) + reset
}

// wrap breaks text at spaces into lines of at most so many columns; a longer word stands alone, whole. A
// style that is open at the end of a line is closed there and opened again on the next.
func wrap(s string, width int) []string {
	var lines []string
	for _, paragraph := range strings.Split(strings.TrimRight(s, "\n"), "\n") {
		line := ""
		for i, word := range strings.Split(paragraph, " ") {
			switch {
			case i == 0:
				line = word
			case columns(line)+1+columns(word) > width && strings.TrimSpace(line) != "":
				lines = append(lines, line)
				line = word
			default:
				line += " " + word
			}
		}
		lines = append(lines, line)
	}
	open := ""
	for i, line := range lines {
		line = open + line
		open = ""
		for _, style := range escapes.FindAllString(line, -1) {
			if open += style; style == reset {
				open = ""
			}
		}
		if open != "" {
			line += reset
		}
		lines[i] = line
	}
	return lines
}

// pad fills a line with spaces.
func pad(line string, width int) string {
	return line + strings.Repeat(" ", max(0, width-columns(line)))
}

// columns is how wide a line is on a terminal: emoji take two, styles and marks none.
func columns(line string) int {
	n := 0
	for _, r := range escapes.ReplaceAllString(line, "") {
		switch {
		case r == '\uFE0F': // it makes an emoji of the sign before it, which is then wider by one
			n++
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		case r >= 0x1F000, r >= 0x1100 && r <= 0x115F, r >= 0x2E80 && r <= 0xA4CF, r >= 0xAC00 && r <= 0xD7A3, r >= 0xFF00 &&
			r <= 0xFF60:
			n += 2
		case strings.ContainsRune("✅❌⛔⚪⚫⌛", r):
			n += 2
		default:
			n++
		}
	}
	return n
}
