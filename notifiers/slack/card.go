package slack

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"flowbridge/router"
)

// Colours of the bar: the state of what the card is about.
const (
	firing       = "#a30200"
	acknowledged = "#daa038"
	silenced     = "#dddddd"
	resolved     = "#2eb886"
	news         = "#439fe0"
)

// card is one message: the sentence that a phone shows and a screen reader says, a head, and a body beside a
// coloured bar.
type card struct {
	text  string
	head  []slack.Block
	color string
	body  []slack.Block
	call  string // whom it calls by name, in mrkdwn, when it is posted: an edit calls nobody
	whole bool   // it tells the whole timeline: the thread has nothing to add
}

// bare says that the card is its text and nothing else.
func (c card) bare() bool { return len(c.head) == 0 && len(c.body) == 0 }

// plain is what is left of a card that Slack refused.
func (c card) plain() card { return card{text: c.text} }

// calling is the card as it is posted.
func (c card) calling(n *router.Notification) card {
	if c.call == "" {
		return c
	}
	p := newParts(n)
	p.section(needed, "call", c.call)
	c.text += " " + c.call
	c.head = append(slices.Clip(c.head), p.fit(budget)...)
	return c
}

// options are what a post of the card sends.
func (c card) options() []slack.MsgOption {
	out := []slack.MsgOption{slack.MsgOptionText(c.text, false), slack.MsgOptionDisableLinkUnfurl(),
		slack.MsgOptionDisableMediaUnfurl()}
	if len(c.head) > 0 {
		out = append(out, slack.MsgOptionBlocks(c.head...))
	}
	if len(c.body) > 0 {
		out = append(out, slack.MsgOptionAttachments(slack.Attachment{Color: c.color,
			Blocks: slack.Blocks{BlockSet: c.body}}))
	}
	return out
}

// empty are what an update sends before the options of its card: what a card does not have must go.
func empty() []slack.MsgOption {
	return []slack.MsgOption{slack.MsgOptionBlocks(), slack.MsgOptionAttachments([]slack.Attachment{}...)}
}

// part is a block with how much it matters: where there is no room for all, what matters least goes first.
type part struct {
	matters int
	size    int // characters
	block   slack.Block
}

// parts builds the blocks of a card. Ids are new with every revision: clients keep what they show of a block
// whose id they know.
type parts struct {
	prefix string
	list   []part
}

// blockPrefix begins the id of every block: delivery and revision.
const blockPrefix = "flowbridge/%d/%d/"

func newParts(n *router.Notification) *parts {
	return &parts{prefix: fmt.Sprintf(blockPrefix, n.Delivery, n.Revision)}
}

// section adds a text; an empty one, which Slack refuses, adds nothing.
func (p *parts) section(matters int, name, text string) {
	if text == "" {
		return
	}
	b := slack.NewSectionBlock(mrkdwn(text), nil, nil)
	b.BlockID = p.prefix + name
	p.add(matters, utf8.RuneCountInString(text), b)
}

// fields adds facts, two beside each other, in sections of ten.
func (p *parts) fields(matters int, name string, list []field) {
	for i := 0; len(list) > 0; i++ {
		var texts []*slack.TextBlockObject
		size := 0
		few := list[:min(len(list), maxFields)]
		for _, f := range few {
			text := "*" + f.name + "*\n" + f.value
			texts = append(texts, mrkdwn(text))
			size += utf8.RuneCountInString(text)
		}
		b := slack.NewSectionBlock(nil, texts, nil)
		b.BlockID = fmt.Sprintf("%s%s-%d", p.prefix, name, i+1)
		p.add(matters, size, b)
		list = list[len(few):]
	}
}

// context adds small print.
func (p *parts) context(matters int, name string, texts ...string) {
	var elements []slack.MixedElement
	size := 0
	for _, text := range texts[:min(len(texts), maxElements)] {
		elements = append(elements, mrkdwn(text))
		size += utf8.RuneCountInString(text)
	}
	p.add(matters, size, slack.NewContextBlock(p.prefix+name, elements...))
}

// actions adds what can be pressed; nothing adds nothing.
func (p *parts) actions(matters int, name string, elements []slack.BlockElement) {
	if len(elements) == 0 {
		return
	}
	elements = elements[:min(len(elements), maxButtons)]
	size := 0
	for _, e := range elements {
		size += sizeOf(e)
	}
	p.add(matters, size, slack.NewActionBlock(p.prefix+name, elements...))
}

func (p *parts) add(matters, size int, b slack.Block) {
	p.list = append(p.list, part{matters, size, b})
}

// fit returns the blocks, without the least important where they are more or longer than so many characters.
func (p *parts) fit(room int) []slack.Block {
	for {
		size, least := 0, 0
		for i, one := range p.list {
			size += one.size
			if one.matters <= p.list[least].matters { // of equals the last
				least = i
			}
		}
		if size <= room && len(p.list) <= maxBlocks-2 {
			break
		}
		p.list = append(p.list[:least:least], p.list[least+1:]...)
	}
	blocks := make([]slack.Block, len(p.list))
	for i, one := range p.list {
		blocks[i] = one.block
	}
	return blocks
}

// field is a fact with its name, both in mrkdwn.
type field struct{ name, value string }

// fact is a field of our own.
func fact(name, value string) field { return field{line(name, nameText), line(value, factText)} }

// asked are the fields that a rule wants shown.
func asked(fields []router.Field) (list []field) {
	for _, f := range fields {
		list = append(list, field{line(f.Name, nameText), line(f.Value, fieldText)})
	}
	return few(list)
}

// few cuts a list of facts to what a card may show, and drops empty ones.
func few(list []field) []field {
	var out []field
	for _, f := range list {
		if f.name != "" && f.value != "" && len(out) < mostFields {
			out = append(out, f)
		}
	}
	return out
}

// mrkdwn is verbatim: else Slack would find mentions and channels of its own in what others wrote.
func mrkdwn(text string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.MarkdownType, text, false, true)
}

// linkButton leads somewhere; pressing it asks nothing of us.
func linkButton(id, label, target string) []slack.BlockElement {
	if !webURL(target) {
		return nil
	}
	return []slack.BlockElement{slack.NewButtonBlockElement(id, "", plainText(label, maxButtonText)).WithURL(target)}
}
