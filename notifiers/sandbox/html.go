package sandbox

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// HTML draws messages and incidents for a browser, as their services do. What people and Meta wrote never becomes
// markup, links lead to http, https and mailto only, and nothing needs a script, an image or a style beside Style.
type HTML struct {
	// Press is where the forms of messages post to: channel, ts, action and, of a menu, option.<action>. Default: what can
	// be pressed is drawn, and does nothing.
	Press string
	// Page is the same for PagerDuty's incidents: number, do and text.
	Page string
	// Here says that both services are drawn on the page: links from one to the other lead there, and not to the real
	// ones.
	Here bool
	// Names of people, by id.
	Names map[string]string
}

// Style is the style sheet of what HTML draws.
//
//go:embed html.css
var Style string

//go:embed html.tmpl
var htmlSource string

// Message draws a message of a channel with the replies to it. channel is its id or name, for forms.
func (h HTML) Message(channel string, m Message, replies []Message) (template.HTML, error) {
	return h.draw("message", h.view(channel, m, replies))
}

// Ephemeral draws what one person was told; asked is what they wrote, if they did.
func (h HTML) Ephemeral(e Ephemeral, asked string) (template.HTML, error) {
	return h.draw("ephemeral", map[string]any{"Ephemeral": e, "Who": cmp.Or(h.Names[e.User], e.User), "Asked": asked,
		"Text": h.mrkdwn(e.Text)})
}

// Incident draws an incident of PagerDuty.
func (h HTML) Incident(inc Incident) (template.HTML, error) {
	return h.draw("incident", incidentView{h, inc})
}

// Change draws a change event.
func (h HTML) Change(c ChangeEvent) (template.HTML, error) { return h.draw("change", c) }

func (h HTML) draw(name string, data any) (template.HTML, error) {
	var out strings.Builder
	err := htmlTemplates.ExecuteTemplate(&out, name, data)
	return template.HTML(out.String()), err // by html/template
}

var htmlTemplates = template.Must(template.New("").Funcs(template.FuncMap{
	"at":     func(t time.Time) string { return t.UTC().Format("2 Jan 15:04") },
	"iso":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"here":   func(href string) bool { return strings.HasPrefix(href, "#") },
	"glyphs": func(s string) string { return glyphs(harmless(s)) },
}).Parse(htmlSource))

// messageView is a message as its template wants it.
type messageView struct {
	Message
	Channel     string
	Press       string        // where its form posts to; "" where there is nothing to press
	Words       template.HTML // of one without blocks: else its text is for notifications only
	Parts       []blockView
	Attachments []attachmentView
	Replies     []messageView
}

type attachmentView struct {
	Color string        // its name
	Words template.HTML // where there are no blocks
	Parts []blockView
}

type blockView struct {
	Type, AltText string
	Text          template.HTML
	Fields        []template.HTML // or the texts of a context
	Elements      []elementView
}

type elementView struct {
	element
	Label, URL string
	Sure       template.HTML // what is asked before it is done
	Submits    bool
}

func (h HTML) view(channel string, m Message, replies []Message) messageView {
	v := messageView{Message: m, Channel: channel}
	var blocks []block
	_ = json.Unmarshal(m.Blocks, &blocks) // it was read once when it was posted
	if v.Parts = h.parts(blocks); len(blocks) == 0 {
		v.Words = h.mrkdwn(m.Text)
	}
	var attachments []struct {
		Color, Title, Text, Fallback string
		Blocks                       []block
	}
	_ = json.Unmarshal(m.Attachments, &attachments)
	for _, a := range attachments {
		one := attachmentView{Color: colorName(a.Color), Parts: h.parts(a.Blocks)}
		if len(a.Blocks) == 0 {
			one.Words = h.mrkdwn(cmp.Or(strings.TrimSpace(a.Title+"\n"+a.Text), a.Fallback))
		}
		v.Attachments = append(v.Attachments, one)
		blocks = append(blocks, a.Blocks...)
	}
	if slices.ContainsFunc(blocks, func(b block) bool { return b.Type == "actions" || b.Accessory != nil }) {
		v.Press = h.Press
	}
	for _, reply := range replies {
		v.Replies = append(v.Replies, h.view(channel, reply, nil))
	}
	return v
}

func (h HTML) parts(blocks []block) (parts []blockView) {
	for _, b := range blocks {
		v := blockView{Type: b.Type, AltText: b.AltText, Text: h.text(b.Text)}
		for _, field := range b.Fields {
			v.Fields = append(v.Fields, h.text(field))
		}
		for _, e := range b.Elements {
			if b.Type != "context" {
				v.Elements = append(v.Elements, h.element(e))
				continue
			}
			t := textObj{Type: e.Type}
			_ = json.Unmarshal(e.Text, &t.Text)
			if t.Text = cmp.Or(t.Text, e.AltText); t.Type == "image" {
				t.Type = "plain_text"
			}
			v.Fields = append(v.Fields, h.text(&t))
		}
		if b.Accessory != nil {
			v.Elements = append(v.Elements, h.element(*b.Accessory))
		}
		parts = append(parts, v)
	}
	return parts
}

func (h HTML) element(e element) elementView {
	var label textObj
	_ = json.Unmarshal(e.Text, &label)
	if e.Placeholder != nil {
		label.Text = e.Placeholder.Text
	}
	v := elementView{element: e, Label: cmp.Or(label.Text, e.AltText, e.Type), URL: h.Link(e.URL), Submits: h.Press != ""}
	if e.Confirm != nil {
		v.Sure = h.text(e.Confirm.Text)
	}
	return v
}

// incidentView is an incident as its template wants it.
type incidentView struct {
	HTML
	Incident
}

// detail is a row of an incident's details.
type detail struct {
	Name, Value string
	Code        bool
}

// Rows are the details, by name: a list of texts has a line for each, and what is no text or number is JSON.
func (v incidentView) Rows() (rows []detail) {
	for _, name := range slices.Sorted(maps.Keys(v.Details)) {
		switch value := v.Details[name].(type) {
		case string:
			rows = append(rows, detail{name, value, false})
		case float64, bool, nil:
			rows = append(rows, detail{name, fmt.Sprint(value), false})
		default:
			if list, ok := texts(value); ok {
				rows = append(rows, detail{name, strings.Join(list, "\n"), false})
				continue
			}
			data, _ := json.MarshalIndent(value, "", " ")
			rows = append(rows, detail{name, string(data), true})
		}
	}
	return rows
}

// texts returns a list that holds nothing but texts.
func texts(value any) (list []string, ok bool) {
	all, ok := value.([]any)
	for _, one := range all {
		text, isText := one.(string)
		list, ok = append(list, text), ok && isText
	}
	return list, ok
}

// Link returns where a link leads, and "" where it must not be one.
func (h HTML) Link(address string) string {
	if !h.Here {
		return webLink(address)
	}
	if id, ok := strings.CutPrefix(address, incidentPages+"Q"); ok {
		if number, err := strconv.ParseInt(id, 10, 64); err == nil {
			return fmt.Sprintf("#pd-%d", number)
		}
	}
	if at, ok := strings.CutPrefix(address, workspace+"archives/"); ok {
		_, at, _ = strings.Cut(at, "/p")
		at, _, _ = strings.Cut(at, "?")
		if _, err := strconv.ParseInt(at, 10, 64); err == nil && len(at) > 6 {
			return "#m-" + at[:len(at)-6] + "." + at[len(at)-6:]
		}
	}
	return webLink(address)
}

// webLink returns an address that may be a link, and "" for any other.
func webLink(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" && u.Scheme != "mailto" || !slices.Contains([]string{"http", "https", "mailto"},
		u.Scheme) {
		return ""
	}
	return address
}
