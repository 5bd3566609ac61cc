package slack

import (
	"encoding/json"

	"github.com/slack-go/slack"

	"flowbridge/router"
)

// Card returns the message that a notification makes in a channel, as chat.postMessage takes it: {"text", "blocks",
// "attachments"}, with its buttons. A receipt that says that it is open there counts as one of a message. It calls
// nobody.
func Card(n router.Notification) ([]byte, error) {
	n.Receipt = altered(n.Receipt, func(o *own) {
		if n.Receipt.Open && o.TS == "" {
			o.TS = "0"
		}
	})
	c := render(&n, true)
	if ownOf(n.Receipt).TS == "" {
		c = c.calling(&n)
	}
	message := struct {
		Text        string             `json:"text"`
		Blocks      []slack.Block      `json:"blocks,omitempty"`
		Attachments []slack.Attachment `json:"attachments,omitempty"`
	}{Text: c.text, Blocks: c.head}
	if len(c.body) > 0 {
		message.Attachments = []slack.Attachment{{Color: c.color, Blocks: slack.Blocks{BlockSet: c.body}}}
	}
	return json.Marshal(message)
}
