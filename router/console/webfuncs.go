package console

import (
	"html"
	"html/template"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"flowbridge/router"
)

// templateFuncs are what templates may call. Those that return template.HTML escape all that they are given.
func (c *Console) templateFuncs() template.FuncMap {
	return template.FuncMap{
		"path":     func(parts ...string) string { return c.path(strings.Join(parts, "")) },
		"at":       showTime,
		"ago":      func(at time.Time) template.HTML { return showAge(at, c.cfg.Now()) },
		"web":      webURL,
		"duration": router.FormatDuration,
		"capital":  capital,
		"severity": severityMark,
		"query":    url.QueryEscape,
		"segment":  url.PathEscape,
		"inc":      router.IncidentName,
		"linked":   c.linkIncidents,
	}
}

// linkIncidents writes a text in which the names of incidents lead to them.
func (c *Console) linkIncidents(text string) template.HTML {
	return template.HTML(incidentNames.ReplaceAllString(html.EscapeString(text),
		`<a href="`+html.EscapeString(c.path("/incidents/"))+`$1">INC-$1</a>`))
}

// showTime writes a time in UTC, which the script turns into the reader's zone; "–" for none.
func showTime(at time.Time) template.HTML {
	if at.IsZero() {
		return "–"
	}
	at = at.UTC()
	return template.HTML(`<time datetime="` + at.Format(time.RFC3339) + `">` + at.Format("2006-01-02 15:04") +
		` UTC</time>`)
}

// showAge writes how long ago something was, which the script keeps up to date.
func showAge(at, now time.Time) template.HTML {
	if at.IsZero() {
		return "–"
	}
	at = at.UTC()
	return template.HTML(`<time class="ago" datetime="` + at.Format(time.RFC3339) + `" title="` +
		at.Format("2006-01-02 15:04:05") + ` UTC">` +
		html.EscapeString(router.FormatDuration(now.Sub(at))) + `</time>`)
}

// severityMark writes a severity as a word with a shape and a colour of its own.
func severityMark(word any) template.HTML {
	name := ""
	switch w := word.(type) {
	case router.Severity:
		name = w.String()
	case string:
		name = w
	}
	shape, ok := map[string]string{
		"critical": `<path d="M8 0l8 8-8 8-8-8z"/>`,
		"error":    `<path d="M1 1h14v14H1z"/>`,
		"warning":  `<path d="M8 1l8 14H0z"/>`,
		"info":     `<circle cx="8" cy="8" r="7"/>`,
	}[name]
	if !ok {
		return ""
	}
	return template.HTML(`<span class="sev ` + name + `"><svg viewBox="0 0 16 16" aria-hidden="true">` + shape + `</svg>` +
		capital(name) + `</span>`)
}

// webURL returns an address that may stand in a link, "" for any other: of what Meta, rules and services say only pages
// of the web are led to.
func webURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return ""
	}
	return u.String()
}

// capital writes the first letter large.
func capital(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + s[size:]
}

// sentence makes one of a text that stands in the middle of another.
func sentence(s string) string {
	s = capital(strings.TrimSpace(s))
	if s == "" || strings.ContainsAny(s[len(s)-1:], ".!?…") {
		return s
	}
	return s + "."
}
