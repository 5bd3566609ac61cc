package console

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
)

// card is a message of Slack's, drawn from what was posted: the same blocks in the same order.
type card struct {
	Text   string // what a phone shows
	Blocks []cardBlock
}

// cardBlock is one block.
type cardBlock struct {
	Head    bool // above the bar
	Text    string
	Fields  []string
	Small   []string
	Buttons []string
	Rule    bool
}

// slackBlock is what is read of a block.
type slackBlock struct {
	Type     string            `json:"type"`
	Text     slackText         `json:"text"`
	Fields   []slackText       `json:"fields"`
	Elements []json.RawMessage `json:"elements"`
}

type slackText struct {
	Text string `json:"text"`
}

// UnmarshalJSON reads an object with a text, or a bare one.
func (t *slackText) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte(`"`)) {
		return json.Unmarshal(data, &t.Text)
	}
	var of struct {
		Text string `json:"text"`
	}
	err := json.Unmarshal(data, &of)
	t.Text = of.Text
	return err
}

// nested reads a list that a form holds as text.
type nested[T any] []T

// UnmarshalJSON reads the list, or the text of one.
func (n *nested[T]) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte(`"`)) {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		data = []byte(text)
	}
	var list []T
	err := json.Unmarshal(data, &list)
	*n = list
	return err
}

// drawCard reads what was sent to a service that draws blocks; nil where it is something else.
func drawCard(request string) *card {
	var sent struct {
		Text        string             `json:"text"`
		Blocks      nested[slackBlock] `json:"blocks"`
		Attachments nested[struct {
			Blocks []slackBlock `json:"blocks"`
		}] `json:"attachments"`
	}
	if json.Unmarshal([]byte(request), &sent) != nil || len(sent.Blocks) == 0 && len(sent.Attachments) == 0 {
		return nil
	}
	drawn := &card{Text: plainMarks(sent.Text)}
	for _, b := range sent.Blocks {
		drawn.add(b, true)
	}
	for _, a := range sent.Attachments {
		for _, b := range a.Blocks {
			drawn.add(b, false)
		}
	}
	return drawn
}

func (c *card) add(b slackBlock, head bool) {
	out := cardBlock{Head: head, Text: plainMarks(b.Text.Text), Rule: b.Type == "divider"}
	for _, f := range b.Fields {
		out.Fields = append(out.Fields, plainMarks(f.Text))
	}
	for _, raw := range b.Elements {
		var e struct {
			Type string    `json:"type"`
			Text slackText `json:"text"`
		}
		if json.Unmarshal(raw, &e) != nil || e.Text.Text == "" {
			continue
		}
		if e.Type == "button" {
			out.Buttons = append(out.Buttons, plainMarks(e.Text.Text))
		} else {
			out.Small = append(out.Small, plainMarks(e.Text.Text))
		}
	}
	c.Blocks = append(c.Blocks, out)
}

var (
	slackDate  = regexp.MustCompile(`<!date\^[0-9]+\^[^|>]*\|([^>]*)>`)
	slackLink  = regexp.MustCompile(`<(?:https?:[^|>]*)\|([^>]*)>`)
	slackOther = regexp.MustCompile(`<([^>]*)>`)
	slackEmoji = regexp.MustCompile(`:[a-z0-9_+-]{2,40}:`)
	slackBold  = regexp.MustCompile(`\*([^*\n]+)\*`)
)

// emoji are the marks of cards.
var emoji = map[string]string{":rotating_light:": "🚨", ":red_circle:": "🔴", ":large_orange_circle:": "🟠",
	":large_blue_circle:": "🔵",
	":white_check_mark:":  "✅", ":ballot_box_with_check:": "☑", ":no_bell:": "🔕", ":eyes:": "👀", ":pager:": "📟",
	":robot_face:": "🤖",
	":warning:":    "⚠", ":bell:": "🔔", ":mag:": "🔍", ":information_source:": "ℹ"}

// plainMarks turns Slack's marks into plain text: what is escaped by us is text, and no markup of ours.
func plainMarks(s string) string {
	s = slackDate.ReplaceAllString(s, "$1")
	s = slackLink.ReplaceAllString(s, "$1")
	s = slackOther.ReplaceAllString(s, "$1")
	s = slackEmoji.ReplaceAllStringFunc(s, func(name string) string {
		if mark, ok := emoji[name]; ok {
			return mark
		}
		return name
	})
	s = slackBold.ReplaceAllString(s, "$1")
	return strings.NewReplacer("```", "", "&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(s)
}

// pretty writes JSON with its members in lines of their own, and anything else as it is.
func pretty(text string) string {
	var buf bytes.Buffer
	if json.Indent(&buf, []byte(text), "", " ") == nil {
		text = buf.String()
	}
	return short(text)
}
