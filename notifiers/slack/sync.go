package slack

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"flowbridge/router"
)

// telling is the state of one Sync call.
type telling struct {
	*Notifier
	api     api // with the token in force
	n       *router.Notification
	card    card
	receipt receipt // what is known to exist, or may; it goes back beside an error too

	fresh bool // this attempt posted the root: nothing of ours is in its thread
}

// tell brings the channel to the state: first the card, then the lines of the thread.
func (t *telling) tell(ctx context.Context) *failure {
	if t.n.Digest != nil {
		return t.digest(ctx)
	}
	// An old card that was left behind is pointed on before there may be another one.
	for _, step := range []func(context.Context) *failure{t.point, t.root, t.point, t.thread} {
		if f := step(ctx); f != nil {
			return f
		}
	}
	t.link(ctx)
	t.receipt.Open, t.receipt.Severity, t.receipt.Unsure, t.receipt.Looks = t.n.Open, t.n.Severity, false, 0
	return nil
}

// root makes sure that the message exists and shows the card.
func (t *telling) root(ctx context.Context) *failure {
	if t.receipt.TS == "" && t.uncertain() {
		t.receipt.Unsure = true // for as long as nobody has looked
		if f := t.adopt(ctx, ""); f != nil {
			return f
		}
		t.receipt.Unsure, t.receipt.Looks = false, 0
	}
	if t.receipt.TS == "" {
		return t.post(ctx)
	}
	if t.n.Notice != nil { // told once
		return nil
	}
	switch f := t.edit(ctx); {
	case f.is(frozen) || f.is(gone):
		return t.anew(ctx, f)
	case f != nil:
		return f
	}
	return t.follow(ctx)
}

// anew puts another root in the place of one that is gone, or of one that is frozen and does not show enough.
func (t *telling) anew(ctx context.Context, why *failure) *failure {
	old := t.receipt.TS
	if t.uncertain() { // an earlier attempt may have posted it
		if f := t.adopt(ctx, old); f != nil {
			return f
		}
	}
	adopted := t.receipt.TS != old
	if !adopted {
		if why.is(frozen) && !t.deserves() {
			return nil
		}
		// whether the new thread takes replies is not known
		t.n.Receipt = altered(t.n.Receipt, func(o *own) { o.Mute = false })
		t.card = render(t.n, t.cfg.Interactive)
		if f := t.post(ctx); f != nil {
			return f
		}
	}
	if why.is(frozen) {
		t.receipt.Old = old
	}
	if adopted {
		return t.root(ctx) // it ends: each root that is adopted is newer than the one before
	}
	return nil
}

// uncertain says whether an earlier attempt may have told more than the receipt knows: one that ended without
// a clear answer (Unsure), or that died before it could write a receipt, which counts as an attempt. A first
// attempt since the last success knows everything, and so does one that was only asked to come later: most
// updates need no look, and looks are scarce.
func (t *telling) uncertain() bool { return uncertain(t.n) }

func uncertain(n *router.Notification) bool { return n.Receipt.Unsure || n.MayExist && n.Attempt > 1 }

// named is where the message is, or goes: an id, or the #name that the rules file gives.
func (t *telling) named() string { return cmp.Or(t.receipt.Channel, t.n.Target.Address) }

// channel is named, by its id if we have met it. A post goes by the name, which may belong to another channel
// by now.
func (t *telling) channel() string { return cmp.Or(t.known(t.named()), t.named()) }

// posts and updates are what we stop for a while after a 429: about one post a second and channel is allowed. Updates
// are counted for the whole app, but Slack has limits of single messages and channels too, and one of those must not
// keep the others from being told; a call too many in each channel is all that it costs.
func (t *telling) posts() string   { return "chat.postMessage " + t.channel() }
func (t *telling) updates() string { return "chat.update " + t.channel() }

// post posts the root.
func (t *telling) post(ctx context.Context) *failure {
	id, ts, f := t.postRoot(ctx, t.card.calling(t.n), t.metadata(0))
	switch {
	case f.is(ambiguous):
		if t.receipt.TS == "" { // else the old one is known still: only what is newer can be the one that we look for
			t.receipt.Channel = t.channel()
		}
		t.receipt.Unsure = true
		return f
	case f != nil:
		return f
	}
	t.remember(t.n.Target.Address, id)
	t.receipt = receipt{router.Receipt{Told: t.receipt.Told, Open: t.n.Open, Severity: t.n.Severity},
		own{Channel: id, TS: ts}}
	t.fresh = true
	return nil
}

// postRoot posts a card to the channel. One that Slack does not know by its name may have been renamed: then it is
// posted once more, by the id that the name had.
func (t *telling) postRoot(ctx context.Context, c card, marks slack.MsgOption) (id, ts string, f *failure) {
	name := t.named()
	to := name
	call := func(c card) *failure {
		var err error
		id, ts, _, err = t.api.PostMessageWithResponseContext(ctx, to, append(c.options(), marks)...)
		return posted(id, ts, err)
	}
	f = t.send(ctx, t.posts(), c, call)
	if f == nil || f.code != "channel_not_found" || !isName(name) {
		return id, ts, f
	}
	if to = t.met(ctx, name); to == "" {
		return id, ts, f
	}
	if f = t.send(ctx, t.posts(), c, call); f == nil {
		t.cfg.Logger.Warn("Slack has no channel of that name any more; it was told by the id that the name had: correct the "+
			"channel in the rules file", "notifier", t.n.Target.Notifier, "channel", name, "id", to, "delivery", t.n.Delivery)
	}
	return id, ts, f
}

// posted reads the answer to a post. The library takes {} for a success.
func posted(id, ts string, err error) *failure {
	if err == nil && (id == "" || ts == "") {
		return &failure{method: "chat.postMessage", class: ambiguous, code: "an answer without channel and ts"}
	}
	return read("chat.postMessage", err)
}

// update edits the root in place. Repeating it does no harm, so that no end of it is ambiguous.
func (t *telling) update(ctx context.Context) *failure {
	return t.send(ctx, t.updates(), t.card, func(c card) *failure {
		options := append(empty(), c.options()...)
		id, ts, _, err := t.api.UpdateMessageContext(ctx, t.receipt.Channel, t.receipt.TS, append(options, t.metadata(0))...)
		if err == nil && (id == "" || ts == "") {
			return &failure{method: "chat.update", class: transient, code: "an answer without channel and ts"}
		}
		return read("chat.update", err)
	})
}

// send does a call with a card; where the app is no member of the channel it joins once, and where Slack
// does not take the card it says the same once in plain words. limit names what Slack counts together: after
// a 429 nothing of it is sent until it is over, since a hundred deliveries that insist only make it last.
func (t *telling) send(ctx context.Context, limit string, c card, call func(card) *failure) *failure {
	if wait := t.wait(limit); wait > 0 {
		return &failure{method: strings.Fields(limit)[0], class: limited, code: "too many calls", after: wait}
	}
	f := call(c)
	if f != nil && f.code == "not_in_channel" {
		switch joined := t.join(ctx); {
		case joined == nil:
			f = call(c)
		case joined.soon():
			f = joined
		}
	}
	if f.is(payload) && !c.bare() {
		refusal := f
		if f = call(c.plain()); f == nil {
			t.cfg.Logger.Warn("Slack refused a card; it was told in plain words", "delivery", t.n.Delivery, "error",
				refusal.said())
		}
	}
	if f.is(limited) {
		t.hold(limit, f.after)
	}
	return f
}

// link finds the address of a message that has none yet. Nothing depends on it: a later Sync asks again, and while
// Slack gives no answer, or wants no more such calls, no card waits for one.
func (t *telling) link(ctx context.Context) {
	if t.receipt.Link != "" {
		return
	}
	const method = "chat.getPermalink"
	channel, ts := t.receipt.Channel, t.receipt.TS
	if t.receipt.Link = t.linked(channel, ts); t.receipt.Link != "" || t.wait(method) > 0 {
		return
	}
	link, err := t.api.GetPermalinkContext(ctx, &slack.PermalinkParameters{Channel: channel, Ts: ts})
	switch f := read(method, err); {
	case f.soon():
		t.hold(method, max(f.after, permalinkRest))
	case f == nil && webURL(link):
		t.receipt.Link = link
		t.learn(channel, ts, link)
	}
}

// eventType is that of the metadata on all that we post.
const eventType = "flowbridge"

// metadata marks a message as ours: what it tells, and up to which entry of the timeline; 0 for the root, pointer for
// the line that leads from an old root to its successor. It
// is how we know it again when the answer to the post was lost. The time tells two installations of
// flowbridge apart that count from one both.
func (t *telling) metadata(entry int64) slack.MsgOption {
	about, number := "notice", int64(0)
	if t.n.Incident != nil {
		about, number = "incident", t.n.Incident.Number
	} else {
		number = t.n.Notice.Event
	}
	return slack.MsgOptionMetadata(slack.SlackMetadata{EventType: eventType, EventPayload: map[string]any{
		about: number, "delivery": t.n.Delivery, "revision": t.n.Revision, "entry": entry, "since": t.since().Unix(),
		"open": t.n.Open, "severity": int(t.n.Severity),
	}})
}

// ours says whether a message is one that this delivery posted, and up to which entry it tells.
func (t *telling) ours(m *slack.Message) (entry int64, ok bool) {
	ok = m.Metadata.EventType == eventType && marked(m, "delivery") == t.n.Delivery &&
		marked(m, "since") == t.since().Unix()
	return marked(m, "entry"), ok
}

// marked is a number of the metadata, 0 where it is not there.
func marked(m *slack.Message, key string) int64 {
	v, _ := m.Metadata.EventPayload[key].(float64)
	return int64(v)
}

// since is when what we tell began, by Meta's clock.
func (t *telling) since() time.Time {
	if t.n.Incident != nil {
		return t.n.Incident.OpenedAt
	}
	return t.n.Notice.At
}
