package console

import (
	"html"
	"html/template"
	"regexp"
	"strings"
	"unicode"
)

// markdown turns the part of Markdown that the manual is written in into HTML: headings, paragraphs, lists, tables,
// code, emphasis and links. Everything else is text. link returns where a link leads, "" for what is no link.
func markdown(text string, link func(target string) string) template.HTML {
	m := marking{lines: strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n"), link: link}
	for len(m.lines) > 0 {
		m.block()
	}
	return template.HTML(m.out.String())
}

// marking is the state of one text.
type marking struct {
	lines []string // what is left
	link  func(string) string
	out   strings.Builder
}

var (
	headingLine = regexp.MustCompile(`^(#{1,4}) +(.+)$`)
	itemLine    = regexp.MustCompile(`^ {0,3}(?:[-*]|([0-9]{1,3})\.) +(.+)$`)
	ruleLine    = regexp.MustCompile(`^\|?[ :|-]*-[ :|-]*\|?$`)
)

// next takes the first line.
func (m *marking) next() string {
	line := m.lines[0]
	m.lines = m.lines[1:]
	return line
}

// block writes what begins with the first line.
func (m *marking) block() {
	line := m.lines[0]
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	switch {
	case strings.TrimSpace(line) == "":
		m.next()
	case strings.HasPrefix(strings.TrimLeft(line, " "), "```"):
		m.code(indent)
	case headingLine.MatchString(line):
		m.heading(headingLine.FindStringSubmatch(m.next()))
	case strings.HasPrefix(line, "|") && len(m.lines) > 1 && ruleLine.MatchString(strings.TrimSpace(m.lines[1])):
		m.table()
	case itemLine.MatchString(line):
		m.list()
	case strings.HasPrefix(line, "    "):
		m.indented()
	default:
		m.paragraph()
	}
}

func (m *marking) heading(found []string) {
	level := string(rune('0' + len(found[1])))
	m.out.WriteString(`<h` + level + ` id="` + anchor(found[2]) + `">` + m.inline(found[2]) + `</h` + level + ">\n")
}

// anchor is the name by which links find a heading, as GitHub makes it.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, heading)
}

func (m *marking) code(indent string) {
	m.next()
	var body []string
	for len(m.lines) > 0 {
		line := m.next()
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			break
		}
		body = append(body, strings.TrimPrefix(line, indent))
	}
	m.pre(body)
}

func (m *marking) indented() {
	var body []string
	for len(m.lines) > 0 && (strings.HasPrefix(m.lines[0], "    ") || strings.TrimSpace(m.lines[0]) == "") {
		body = append(body, strings.TrimPrefix(m.next(), "    "))
	}
	m.pre(body)
}

// pre writes lines as they are. Whoever uses a keyboard must be able to scroll them.
func (m *marking) pre(body []string) {
	m.out.WriteString(`<pre tabindex="0"><code>` + html.EscapeString(strings.TrimRight(strings.Join(body, "\n"), "\n")) +
		"</code></pre>\n")
}

func (m *marking) table() {
	m.out.WriteString(`<div class="scroll" tabindex="0"><table><thead><tr>`)
	for _, cell := range cells(m.next()) {
		m.out.WriteString(`<th scope="col">` + m.inline(cell) + `</th>`)
	}
	m.next()
	m.out.WriteString(`</tr></thead><tbody>`)
	for len(m.lines) > 0 && strings.HasPrefix(m.lines[0], "|") {
		m.out.WriteString(`<tr>`)
		for _, cell := range cells(m.next()) {
			m.out.WriteString(`<td>` + m.inline(cell) + `</td>`)
		}
		m.out.WriteString(`</tr>`)
	}
	m.out.WriteString("</tbody></table></div>\n")
}

// cells splits a row: a bar after a backslash, or within code, is part of a cell.
func cells(row string) (list []string) {
	row = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(row), "|"), "|")
	var cell strings.Builder
	code := false
	for i := 0; i < len(row); i++ {
		switch {
		case row[i] == '\\' && i+1 < len(row) && row[i+1] == '|':
			cell.WriteByte('|')
			i++
		case row[i] == '|' && !code:
			list = append(list, strings.TrimSpace(cell.String()))
			cell.Reset()
		default:
			if row[i] == '`' {
				code = !code
			}
			cell.WriteByte(row[i])
		}
	}
	return append(list, strings.TrimSpace(cell.String()))
}

// list writes items. What is indented, or goes on in the next line, belongs to the item before it.
func (m *marking) list() {
	tag := "ul"
	if itemLine.FindStringSubmatch(m.lines[0])[1] != "" {
		tag = "ol"
	}
	m.out.WriteString("<" + tag + ">")
	for len(m.lines) > 0 {
		found := itemLine.FindStringSubmatch(m.lines[0])
		if found == nil {
			break
		}
		m.next()
		text := found[2]
		for len(m.lines) > 0 && strings.TrimSpace(m.lines[0]) != "" && !itemLine.MatchString(m.lines[0]) &&
			!m.begins(m.lines[0]) {
			text += " " + strings.TrimSpace(m.next())
		}
		m.out.WriteString("<li>" + m.inline(text) + "</li>")
		if len(m.lines) > 1 && strings.TrimSpace(m.lines[0]) == "" && itemLine.MatchString(m.lines[1]) {
			m.next()
		}
	}
	m.out.WriteString("</" + tag + ">\n")
}

// begins says whether a line begins a block of its own.
func (m *marking) begins(line string) bool {
	return headingLine.MatchString(line) || strings.HasPrefix(line, "|") || strings.HasPrefix(strings.TrimLeft(line, " "),
		"```")
}

func (m *marking) paragraph() {
	text := strings.TrimSpace(m.next())
	for len(m.lines) > 0 && strings.TrimSpace(m.lines[0]) != "" && !m.begins(m.lines[0]) &&
		!itemLine.MatchString(m.lines[0]) {
		text += " " + strings.TrimSpace(m.next())
	}
	m.out.WriteString("<p>" + m.inline(text) + "</p>\n")
}

// Marks within a line. Code comes first: within it nothing else is a mark.
var inlineMark = regexp.MustCompile("(`+)(.+?)(`+)" +
	`|\[([^\]\[]+)\]\(([^()\s]+)\)|\*\*([^*]+)\*\*|<(https?://[^\s<>]+)>`)

func (m *marking) inline(text string) string {
	var out strings.Builder
	for text != "" {
		at := inlineMark.FindStringSubmatchIndex(text)
		if at == nil {
			break
		}
		group := func(n int) string {
			if at[2*n] < 0 {
				return ""
			}
			return text[at[2*n]:at[2*n+1]]
		}
		out.WriteString(html.EscapeString(text[:at[0]]))
		switch {
		case group(1) != "":
			out.WriteString("<code>" + html.EscapeString(strings.TrimSpace(group(2))) + "</code>")
		case group(4) != "":
			out.WriteString(m.anchored(m.link(group(5)), m.inline(group(4))))
		case group(6) != "":
			out.WriteString("<strong>" + m.inline(group(6)) + "</strong>")
		default:
			out.WriteString(m.anchored(webURL(group(7)), html.EscapeString(group(7))))
		}
		text = text[at[1]:]
	}
	out.WriteString(html.EscapeString(text))
	return out.String()
}

// anchored writes a link around what is HTML already; no link where it leads nowhere.
func (m *marking) anchored(target, inner string) string {
	if target == "" {
		return inner
	}
	return `<a href="` + html.EscapeString(target) + `">` + inner + `</a>`
}
