package slack

import (
	"context"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"flowbridge/router"
)

// thread writes what the timeline has new. Receipt.Told moves on with every line, so that an attempt that
// ends half-way repeats nothing. It stays behind where the thread takes no replies: the card has the lines from there
// on.
func (t *telling) thread(ctx context.Context) *failure {
	if len(t.n.Timeline) == 0 {
		return nil
	}
	if t.receipt.Mute {
		return t.callAloud(ctx)
	}
	newest := t.n.Timeline[len(t.n.Timeline)-1].N
	lines := replies(t.n)
	if t.card.whole {
		lines = nil
	}
	if len(lines) > 0 && !t.fresh && t.uncertain() {
		last, f := t.lastReply(ctx)
		if f != nil {
			return f
		}
		t.told(last)
		lines = replies(t.n)
	}
	for _, r := range lines {
		f := t.reply(ctx, r)
		if f.is(gone) && !t.fresh { // somebody deleted the root in the meantime
			if f = t.post(ctx); f == nil {
				f = t.reply(ctx, r)
			}
		}
		switch {
		case f.refusesReplies():
			return t.muted(ctx)
		case f != nil:
			return f
		}
		t.receipt.Told = r.entry
	}
	t.receipt.Told = newest
	return nil
}

// told says that the thread has everything up to an entry.
func (t *telling) told(last int64) {
	t.n.Receipt.Told = max(t.n.Receipt.Told, last)
	t.n.Timeline = slices.DeleteFunc(slices.Clone(t.n.Timeline), func(e router.Entry) bool { return e.N <= last })
}

// refusesReplies says that a reply found its root, which was told before it, and was refused as one. No person need act
// for this incident: what a reply would say is said elsewhere.
func (f *failure) refusesReplies() bool {
	return f.is(mute) || f.is(refused) && strings.HasPrefix(f.code, "restricted_action")
}

// muted says on the card what the thread does not take.
func (t *telling) muted(ctx context.Context) *failure {
	t.told(t.receipt.Told)
	t.receipt.Mute = true
	t.n.Receipt = altered(t.n.Receipt, func(o *own) { o.Mute = true })
	t.card = render(t.n, t.cfg.Interactive)
	if f := t.edit(ctx); f != nil && !f.is(frozen) { // then neither takes it: it waits for the next root
		return f
	}
	return t.callAloud(ctx)
}

// callAloud calls people in the channel itself, once for each time that it got worse: an edited card notifies nobody,
// and its thread takes no replies.
func (t *telling) callAloud(ctx context.Context) *failure {
	call, who := loudest(t.n, t.receipt.Called)
	if who == "" {
		return nil
	}
	if t.fresh { // who sees a new card needs no second call
		t.receipt.Called = call.entry
		return nil
	}
	if t.uncertain() {
		_, ts, f := t.search(ctx, func(m *slack.Message) bool {
			entry, ok := t.ours(m)
			return ok && entry == call.entry
		})
		if f = t.unlessUnreadable(f); f != nil {
			return f
		}
		if ts != "" {
			t.receipt.Called = call.entry
			return nil
		}
	}
	t.link(ctx)
	text := link(t.receipt.Link, t.n.Incident.Name()) + ": " + call.text + " " + who
	f := t.send(ctx, t.posts(), card{text: text}, func(c card) *failure {
		options := append(c.options(), t.metadata(call.entry))
		id, ts, _, err := t.api.PostMessageWithResponseContext(ctx, t.receipt.Channel, options...)
		return posted(id, ts, err)
	})
	switch {
	case f.is(ambiguous):
		t.receipt.Unsure = true
		return f
	case f != nil:
		return f
	}
	t.receipt.Called = call.entry
	return nil
}

// loudest returns the newest line after an entry that says that it got worse, and whom the rules call for it; "" for
// nobody.
func loudest(n *router.Notification, after int64) (newest reply, who string) {
	for _, r := range entryLines(n) {
		if r.loud && r.entry > after {
			newest, who = r, mentions(n)
		}
	}
	return newest, who
}

// reply posts one line into the thread. A root that is gone makes it a failure of class gone.
func (t *telling) reply(ctx context.Context, r reply) *failure {
	loud, text := r.loud && !t.fresh, r.text // who sees a new card needs no second call
	if who := mentions(t.n); loud && who != "" {
		text += " " + who
	}
	return t.answer(ctx, t.receipt.TS, text, loud, t.metadata(r.entry))
}

// answer posts into the thread of any root.
func (t *telling) answer(ctx context.Context, root, text string, loud bool, marks slack.MsgOption) *failure {
	var id, ts, thread string
	f := t.send(ctx, t.posts(), card{text: text}, func(c card) *failure {
		options := append(c.options(), marks, slack.MsgOptionTS(root))
		if loud {
			options = append(options, slack.MsgOptionBroadcast())
		}
		var m slack.Message
		var err error
		id, ts, m, err = t.api.PostMessageWithResponseContext(ctx, t.receipt.Channel, options...)
		thread = m.ThreadTimestamp
		return posted(id, ts, err)
	})
	switch {
	case f.is(ambiguous):
		t.receipt.Unsure = true
		return f
	case f != nil || thread == root:
		return f
	}
	// Slack posts a reply to a message that is gone into the channel, where nobody knows what it speaks of.
	_, _, _ = t.api.DeleteMessageContext(ctx, id, ts) // if that fails a line too many stays
	return &failure{method: "chat.postMessage", class: gone, code: "the reply did not land in its thread"}
}
