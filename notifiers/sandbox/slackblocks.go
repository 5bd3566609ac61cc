package sandbox

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Limits of Block Kit, in characters unless they count things. Sources: Slack's reference of blocks,
// block elements and composition objects; maxMessage was found by trial (it is not documented).
const (
	maxBlocks      = 50
	maxAttachments = 100
	maxBlockID     = 255
	maxText        = 3000
	maxFields      = 10
	maxField       = 2000
	maxHeader      = 150
	maxContext     = 10
	maxActions     = 25
	maxButton      = 75
	maxValue       = 2000
	maxActionID    = 255
	maxURL         = 3000
	maxConfirmHead = 100
	maxConfirmText = 300
	maxConfirmWord = 30
	maxPlaceholder = 150
	maxOptions     = 100 // of a select
	maxOverflow    = 5   // of an overflow menu
	maxOptionText  = 75
	maxOptionValue = 150
	maxAltText     = 2000
	maxMessage     = 13_200
)

// block holds every field that our kinds of blocks and elements can have.
type block struct {
	Type      string     `json:"type"`
	BlockID   string     `json:"block_id"`
	Text      *textObj   `json:"text"`
	Fields    []*textObj `json:"fields"`
	Elements  []element  `json:"elements"`
	Accessory *element   `json:"accessory"`
	ImageURL  string     `json:"image_url"`
	AltText   string     `json:"alt_text"`
}

type textObj struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// element is a button, a menu, an image, or a text in a context block.
type element struct {
	Type     string
	Text     json.RawMessage // a string where the element itself is a text, else a textObj
	ActionID string          `json:"action_id"`
	URL      string
	Value    string
	Style    string
	ImageURL string `json:"image_url"`
	AltText  string `json:"alt_text"`
	Options  []option
	Confirm  *struct{ Title, Text, Confirm, Deny *textObj }

	Placeholder *textObj
}

type option struct {
	Text  *textObj `json:"text"`
	Value string   `json:"value"`
}

// blockFaults collects what is wrong with the blocks of a message, by JSON pointer as Slack names it.
type blockFaults struct {
	code    string // Slack's error: the first one counts
	said    []string
	base    string // pointer of the list that is looked at
	refusal string // code for faults in that list
	ids     map[string]bool
	count   int // blocks of the message
	text    int // characters of the message
}

func (f *blockFaults) wrong(pointer, format string, args ...any) {
	f.fail(f.refusal, fmt.Sprintf(format, args...)+" [json-pointer:"+f.base+pointer+"]")
}

func (f *blockFaults) fail(code, said string) {
	if f.code == "" {
		f.code = code
	}
	f.said = append(f.said, said)
}

func (f *blockFaults) messages() []string {
	out := make([]string, len(f.said))
	for i, said := range f.said {
		out[i] = "[ERROR] " + said
	}
	return out
}

// blocks checks a form's blocks and returns them, nil for none.
func (f *blockFaults) blocks(raw string) json.RawMessage {
	f.base, f.refusal = "/blocks", "invalid_blocks"
	if raw == "" {
		return nil
	}
	var list []block
	if err := json.Unmarshal([]byte(raw), &list); err != nil {
		f.fail("invalid_blocks_format", "blocks is no JSON list of blocks")
		return nil
	}
	f.list(list)
	if f.code == "" && f.text > maxMessage {
		f.fail("msg_blocks_too_long", "the texts of all blocks are too long")
	}
	if len(list) == 0 {
		return nil
	}
	return json.RawMessage(raw)
}

// attachments checks a form's attachments and returns them with the colour of the first.
func (f *blockFaults) attachments(raw string) (_ json.RawMessage, color string) {
	if raw == "" {
		return nil, ""
	}
	var list []struct {
		Color  string  `json:"color"`
		Blocks []block `json:"blocks"`
	}
	if err := json.Unmarshal([]byte(raw), &list); err != nil {
		f.fail("invalid_attachments", "attachments is no JSON list of attachments")
		return nil, ""
	}
	if len(list) > maxAttachments {
		f.fail("too_many_attachments", fmt.Sprintf("no more than %d attachments", maxAttachments))
	}
	for i, a := range list {
		// Slack names the attachment, not the block, as what is invalid.
		f.base, f.refusal = fmt.Sprintf("/attachments/%d/blocks", i), "invalid_attachments"
		f.list(a.Blocks)
		if i == 0 {
			color = a.Color
		}
	}
	if f.code == "" && f.text > maxMessage {
		f.fail("msg_blocks_too_long", "the texts of all blocks are too long")
	}
	if len(list) == 0 {
		return nil, ""
	}
	return json.RawMessage(raw), color
}

func (f *blockFaults) list(list []block) {
	if f.count += len(list); f.count > maxBlocks {
		f.wrong("", "no more than %d items allowed", maxBlocks)
	}
	if f.ids == nil {
		f.ids = map[string]bool{}
	}
	for i := range list {
		f.block(fmt.Sprintf("/%d", i), &list[i])
	}
}

func (f *blockFaults) block(at string, b *block) {
	f.size(at+"/block_id", b.BlockID, maxBlockID)
	if b.BlockID != "" && f.ids[b.BlockID] {
		f.wrong(at+"/block_id", "block_id already exists")
	}
	f.ids[b.BlockID] = true
	switch b.Type {
	case "section":
		if b.Text == nil && len(b.Fields) == 0 {
			f.wrong(at, "missing required field: text or fields")
		}
		if b.Text != nil {
			f.textObj(at+"/text", b.Text, maxText, "")
		}
		if len(b.Fields) > maxFields {
			f.wrong(at+"/fields", "no more than %d items allowed", maxFields)
		}
		for i, field := range b.Fields {
			f.textObj(fmt.Sprintf("%s/fields/%d", at, i), field, maxField, "")
		}
		if b.Accessory != nil {
			f.element(at+"/accessory", b.Accessory)
		}
	case "header":
		f.textObj(at+"/text", b.Text, maxHeader, "plain_text")
	case "context":
		f.elements(at, b, maxContext)
	case "actions":
		f.elements(at, b, maxActions)
		seen := map[string]bool{}
		for i, e := range b.Elements {
			if e.ActionID != "" && seen[e.ActionID] {
				f.wrong(fmt.Sprintf("%s/elements/%d/action_id", at, i), "action_id already exists")
			}
			seen[e.ActionID] = true
		}
	case "image":
		f.image(at, b.ImageURL, b.AltText)
	case "divider":
	default:
		f.wrong(at+"/type", "unsupported type: %s", b.Type)
	}
}

func (f *blockFaults) elements(at string, b *block, most int) {
	if len(b.Elements) == 0 {
		f.wrong(at+"/elements", "must have at least 1 item")
	}
	if len(b.Elements) > most {
		f.wrong(at+"/elements", "no more than %d items allowed", most)
	}
	for i := range b.Elements {
		e, at := &b.Elements[i], fmt.Sprintf("%s/elements/%d", at, i)
		if isText := e.Type == "mrkdwn" || e.Type == "plain_text"; isText != (b.Type == "context") && e.Type != "image" ||
			e.Type == "image" && b.Type != "context" {
			f.wrong(at+"/type", "unsupported type: %s", e.Type)
			continue
		}
		f.element(at, e)
	}
}

func (f *blockFaults) element(at string, e *element) {
	f.size(at+"/action_id", e.ActionID, maxActionID)
	f.size(at+"/url", e.URL, maxURL)
	switch e.Type {
	case "mrkdwn", "plain_text":
		text := &textObj{Type: e.Type}
		_ = json.Unmarshal(e.Text, &text.Text) // what is no string stays empty, and is refused as that
		f.textObj(at, text, maxText, "")
		return
	case "image":
		f.image(at, e.ImageURL, e.AltText)
	case "button":
		var text *textObj
		_ = json.Unmarshal(e.Text, &text)
		f.textObj(at+"/text", text, maxButton, "plain_text")
		f.size(at+"/value", e.Value, maxValue)
		if e.Style != "" && e.Style != "primary" && e.Style != "danger" {
			f.wrong(at+"/style", "must be one of primary, danger")
		}
	case "static_select", "overflow":
		most := maxOptions
		if e.Type == "overflow" {
			most = maxOverflow
		} else if e.Placeholder != nil {
			f.textObj(at+"/placeholder", e.Placeholder, maxPlaceholder, "plain_text")
		}
		if len(e.Options) == 0 || len(e.Options) > most {
			f.wrong(at+"/options", "must have 1 to %d items", most)
		}
		for i, o := range e.Options {
			at := fmt.Sprintf("%s/options/%d", at, i)
			f.textObj(at+"/text", o.Text, maxOptionText, "")
			f.size(at+"/value", o.Value, maxOptionValue)
		}
	default:
		f.wrong(at+"/type", "unsupported type: %s", e.Type)
	}
	if c := e.Confirm; c != nil {
		f.textObj(at+"/confirm/title", c.Title, maxConfirmHead, "plain_text")
		f.textObj(at+"/confirm/text", c.Text, maxConfirmText, "")
		f.textObj(at+"/confirm/confirm", c.Confirm, maxConfirmWord, "plain_text")
		if c.Deny != nil {
			f.textObj(at+"/confirm/deny", c.Deny, maxConfirmWord, "plain_text")
		}
	}
}

func (f *blockFaults) image(at, url, alt string) {
	if url == "" || alt == "" {
		f.wrong(at, "missing required field: image_url or alt_text")
	}
	f.size(at+"/image_url", url, maxURL)
	f.size(at+"/alt_text", alt, maxAltText)
}

// textObj checks a text object; kind "" allows both kinds.
func (f *blockFaults) textObj(at string, t *textObj, most int, kind string) {
	switch {
	case t == nil:
		f.wrong(at, "missing required field: text")
		return
	case t.Type != "plain_text" && t.Type != "mrkdwn" || kind != "" && t.Type != kind:
		f.wrong(at+"/type", "must be a valid enum value")
	case t.Text == "":
		f.wrong(at+"/text", "must be more than 0 characters")
	}
	f.size(at+"/text", t.Text, most)
	f.text += utf8.RuneCountInString(t.Text)
}

func (f *blockFaults) size(at, s string, most int) {
	if utf8.RuneCountInString(s) > most {
		f.wrong(at, "must be less than %d characters", most+1)
	}
}
