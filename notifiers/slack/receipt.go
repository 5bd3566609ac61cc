package slack

import "flowbridge/router"

// own is the half of a receipt that only this package reads.
type own struct {
	Channel string          `json:"channel,omitempty"` // Slack's id of the channel
	TS      string          `json:"ts,omitempty"`      // Slack's name of the root message
	Frozen  bool            `json:"frozen,omitempty"`  // Slack lets nobody edit the root message any more
	Shown   router.Severity `json:"shown,omitempty"`   // what it shows since it is frozen; zero if it shows an end
	// Slack's name of a frozen root that is still to be told of its successor
	Old string `json:"old,omitempty"`
	// Cursor is where a look through the channel goes on that Slack limited; "" for the newest message.
	Cursor string `json:"cursor,omitempty"`
	// Called is the newest entry for which people were called in the channel, in place of a thread that takes no replies.
	Called int64 `json:"called,omitempty"`
	Mute   bool  `json:"mute,omitempty"` // the thread takes no replies: the root message says what it would have said
}

// receipt is a router.Receipt with its own half at hand.
type receipt struct {
	router.Receipt
	own
}

// write returns it as the queue keeps it.
func (r receipt) write() router.Receipt {
	r.Receipt.Own, _ = router.PutOwn(r.own) // texts, numbers and flags can be written
	return r.Receipt
}

// ownOf reads the own half of a receipt; what cannot be read is as good as none.
func ownOf(r router.Receipt) (o own) {
	if r.Own.Get(&o) != nil {
		return own{}
	}
	return o
}

// altered returns a receipt with another own half.
func altered(r router.Receipt, change func(*own)) router.Receipt {
	changed := receipt{r, ownOf(r)}
	change(&changed.own)
	return changed.write()
}

// Message names what a receipt says was posted: Slack's id of its channel, and its ts; "" for what there is not.
func Message(r router.Receipt) (channel, ts string) {
	o := ownOf(r)
	return o.Channel, o.TS
}

// ChannelID returns what Slack calls a channel, by the first of some receipts that says it; "" where none does.
func ChannelID(receipts []router.Receipt) string {
	for _, r := range receipts {
		if id := ownOf(r).Channel; id != "" && !isName(id) {
			return id
		}
	}
	return ""
}
