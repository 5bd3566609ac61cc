package sandbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// RenderOptions say how a channel is drawn. A zero field takes its default.
type RenderOptions struct {
	ANSI  bool // colours and bold, for a terminal; else words
	Width int  // columns. Default: 100
}

// Render draws what a channel looks like now, oldest message first, each with its thread below it: a
// block of lines that ends with a newline. Times are UTC. What people wrote is made harmless for a terminal.
func (s *Slack) Render(channel string, o RenderOptions) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.channel(channel)
	if ch == nil {
		return fmt.Sprintf("%s: no such channel\n", channel)
	}
	d := drawing{o: o, width: max(cmp.Or(o.Width, 100), 40)}
	d.line("", d.paint(ch.Name, bold))
	for _, m := range ch.messages {
		if m.ThreadTS == "" || ch.message(m.ThreadTS) == nil {
			d.line("", "")
			d.message(m)
			d.thread(ch, m)
		}
	}
	if len(ch.messages) == 0 {
		d.line(margin, "nobody has written anything here")
	}
	return d.out.String()
}

// RenderText draws what one person is told: lines that are no longer than o.Width, unless a word is.
func RenderText(text string, o RenderOptions) []string {
	d := drawing{o: o}
	return wrap(d.mrkdwn(text), cmp.Or(o.Width, 100))
}

// margin is where a message's text begins: right of the time.
const margin = "       "

// drawing is a channel on its way to the screen.
type drawing struct {
	o     RenderOptions
	width int
	out   strings.Builder
}

func (d *drawing) message(m *Message) {
	head := m.Posted.UTC().Format("15:04") + "  " + d.paint("flowbridge", bold)
	if m.Edited > 0 {
		head += d.paint(fmt.Sprintf("  edited %s", times(m.Edited)), dim)
	}
	d.line("", head)

	var blocks []block
	_ = json.Unmarshal(m.Blocks, &blocks) // it was read once when it was posted
	if len(blocks) == 0 {                 // else the text is for notifications only
		d.text(func() string { return margin }, d.mrkdwn(m.Text))
	}
	d.blocks(func() string { return margin }, blocks)

	var attachments []struct {
		Color, Title, Text, Fallback string
		Blocks                       []block
	}
	_ = json.Unmarshal(m.Attachments, &attachments)
	for _, a := range attachments {
		bar := d.bar(a.Color)
		if len(a.Blocks) == 0 {
			d.text(bar, d.mrkdwn(cmp.Or(strings.TrimSpace(a.Title+"\n"+a.Text), a.Fallback)))
		}
		d.blocks(bar, a.Blocks)
	}
}

// thread draws the replies to m, each as short as it is: the time and its text.
func (d *drawing) thread(ch *channel, m *Message) {
	var replies []*Message
	for _, reply := range ch.messages {
		if reply.ThreadTS == m.TS {
			replies = append(replies, reply)
		}
	}
	for i, reply := range replies {
		first, rest := "├ ", "│ "
		if i == len(replies)-1 {
			first, rest = "└ ", "  "
		}
		body := d.mrkdwn(reply.words())
		if reply.Broadcast {
			body += d.paint("  (also sent to the channel)", dim)
		}
		time := reply.Posted.UTC().Format("15:04") + "  "
		for j, line := range wrap(body, d.width-len(margin)-2-len(time)) {
			if j == 0 {
				d.line(margin+d.paint(first, dim), time+line)
			} else {
				d.line(margin+d.paint(rest, dim)+strings.Repeat(" ", len(time)), line)
			}
		}
	}
}

// words returns what a message says, wherever it says it.
func (m *Message) words() string {
	var blocks []block
	_ = json.Unmarshal(m.Blocks, &blocks)
	var parts []string
	for _, b := range blocks {
		if b.Text != nil {
			parts = append(parts, b.Text.Text)
		}
	}
	return cmp.Or(strings.Join(parts, " "), m.Text)
}

// bar returns the prefixes of an attachment's lines: a bar in its colour, and the colour's name beside
// the first where there are no colours.
func (d *drawing) bar(hex string) func() string {
	name := colorName(hex)
	first := true
	return func() string {
		word := ""
		if first && !d.o.ANSI {
			word = name
		}
		first = false
		return fmt.Sprintf("%*s %s ", len(margin)-2, word, d.paint("▌", colors[name]))
	}
}

func (d *drawing) blocks(prefix func() string, list []block) {
	for i, b := range list {
		if i > 0 && list[i-1].Type != "divider" && (b.Type == "actions" || b.Type == "section" && len(b.Fields) > 0) {
			d.line(prefix(), "")
		}
		switch b.Type {
		case "header":
			d.text(prefix, d.paint(d.textObj(b.Text), bold))
		case "section":
			if b.Text != nil {
				d.text(prefix, d.textObj(b.Text))
			}
			d.fields(prefix, b.Fields)
			if b.Accessory != nil {
				d.line(prefix(), d.button(b.Accessory))
			}
		case "context":
			var parts []string
			for _, e := range b.Elements {
				t := textObj{Type: e.Type}
				_ = json.Unmarshal(e.Text, &t.Text)
				parts = append(parts, cmp.Or(d.textObj(&t), d.plain(e.AltText)))
			}
			d.text(prefix, d.paint(strings.Join(parts, "  "), dim))
		case "actions":
			var parts []string
			for _, e := range b.Elements {
				parts = append(parts, d.button(&e))
			}
			d.text(prefix, strings.Join(parts, "  "))
		case "divider":
			d.line(prefix(), d.paint(strings.Repeat("─", 40), dim))
		case "image":
			d.text(prefix, d.paint(d.plain(b.AltText), dim))
		}
	}
}

// fields draws fields as Slack does: two beside each other.
func (d *drawing) fields(prefix func() string, fields []*textObj) {
	column := (d.width - len(margin) - 4) / 2
	for i := 0; i < len(fields); i += 2 {
		left := wrap(d.textObj(fields[i]), column)
		var right []string
		if i+1 < len(fields) {
			right = wrap(d.textObj(fields[i+1]), column)
		}
		for row := range max(len(left), len(right)) {
			line := pad(at(left, row), column)
			if r := at(right, row); r != "" {
				line += "  " + r
			}
			d.line(prefix(), line)
		}
	}
}

func (d *drawing) button(e *element) string {
	var label textObj
	_ = json.Unmarshal(e.Text, &label)
	if e.Placeholder != nil {
		label.Text = e.Placeholder.Text + " ▾"
	}
	words := "[ " + d.plain(cmp.Or(label.Text, e.Type)) + " ]"
	switch e.Style {
	case "primary":
		return d.paint(words, colors["green"])
	case "danger":
		return d.paint(words, colors["red"])
	}
	return words
}

// text wraps what is drawn already.
func (d *drawing) text(prefix func() string, drawn string) {
	if drawn == "" {
		return
	}
	for _, line := range wrap(drawn, d.width-len(margin)-2) {
		d.line(prefix(), line)
	}
}

func (d *drawing) line(prefix, text string) {
	d.out.WriteString(strings.TrimRight(prefix+text, " ") + "\n")
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// colorName says what a colour such as #a30200 is called; "" for none.
func colorName(hex string) string {
	n, err := strconv.ParseUint(strings.TrimPrefix(hex, "#"), 16, 24)
	if err != nil {
		return ""
	}
	r, g, b := int(n>>16), int(n>>8&0xff), int(n&0xff)
	most, least := max(r, g, b), min(r, g, b)
	spread := most - least
	if spread < 24 {
		return "grey"
	}
	var hue int // degrees on the colour wheel
	switch most {
	case r:
		hue = (60*(g-b)/spread + 360) % 360
	case g:
		hue = 60*(b-r)/spread + 120
	default:
		hue = 60*(r-g)/spread + 240
	}
	switch {
	case hue < 15 || hue >= 340:
		return "red"
	case hue < 70:
		return "yellow"
	case hue < 170:
		return "green"
	case hue < 260:
		return "blue"
	}
	return "purple"
}
