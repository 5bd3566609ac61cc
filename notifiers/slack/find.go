package slack

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"flowbridge/router"
)

// adopt looks for the root that an earlier attempt posted, and puts it into the receipt if it is there. after is the ts
// of the one in whose place it was posted, which is older; "" where there was none. Where the channel cannot be read,
// nothing is found: a message that appears twice is better than one that never does.
func (t *telling) adopt(ctx context.Context, after string) *failure {
	var found slack.Message
	id, ts, f := t.search(ctx, func(m *slack.Message) bool {
		entry, ok := t.ours(m)
		found = *m
		return ok && entry == 0 && newer(m.Timestamp, after)
	})
	if ts == "" {
		return t.unlessUnreadable(f)
	}
	t.receipt = receipt{router.Receipt{
		Told: t.receipt.Told, Unsure: t.receipt.Unsure, Looks: t.receipt.Looks, Open: t.n.Open, Severity: t.n.Severity,
	}, own{Channel: id, TS: ts}}
	if open, ok := found.Metadata.EventPayload["open"].(bool); ok { // it may show an older state
		t.receipt.Open, t.receipt.Severity = open, router.Severity(marked(&found, "severity"))
	}
	t.n.Receipt.Open = t.n.Open // it is no news that it is open
	t.n.Receipt = altered(t.n.Receipt, func(o *own) { o.TS, o.Mute = ts, false })
	t.card = render(t.n, t.cfg.Interactive)
	return nil
}

// newer compares two ts of Slack's.
func newer(ts, than string) bool {
	return len(ts) > len(than) || len(ts) == len(than) && ts > than
}

// search returns the newest message of the channel that is what we look for, and the channel's id; ts is empty if
// there is none.
func (t *telling) search(ctx context.Context, is func(*slack.Message) bool) (id, ts string, f *failure) {
	if id, f = t.resolve(ctx, t.channel()); f != nil {
		return "", "", f
	}
	p := slack.GetConversationHistoryParameters{
		ChannelID: id, Oldest: t.oldest(), Inclusive: true, Limit: pageSize, IncludeAllMetadata: true,
		Latest: asTS(t.cfg.Now().Add(margin)), // with it Slack begins with the newest
	}
	p.Cursor, t.receipt.Cursor = t.receipt.Cursor, ""
	for range maxPages {
		page, err := t.api.GetConversationHistoryContext(ctx, &p)
		if f := read("conversations.history", err); f != nil {
			if f.is(limited) && t.n.Digest == nil { // whose receipt is that of many incidents
				t.receipt.Cursor = p.Cursor
			}
			return "", "", f
		}
		for i := range page.Messages { // newest first
			if m := &page.Messages[i]; m.Timestamp != "" && is(m) {
				return id, m.Timestamp, nil
			}
		}
		if p.Cursor = page.ResponseMetaData.NextCursor; p.Cursor == "" {
			return id, "", nil
		}
	}
	t.cfg.Logger.Warn(
		"a channel of Slack has too many messages to look through for one of ours; it is posted, perhaps again",
		"delivery", t.n.Delivery, "channel", id, "messages", maxPages*pageSize)
	return id, "", nil
}

// lastReply returns the newest entry of the timeline that the thread tells already; 0 for none.
func (t *telling) lastReply(ctx context.Context) (last int64, _ *failure) {
	f := t.eachReply(ctx, t.receipt.TS, func(m *slack.Message) {
		if entry, ok := t.ours(m); ok {
			last = max(last, entry)
		}
	})
	return last, f
}

// eachReply calls do with the replies to a root that an earlier attempt may have posted.
func (t *telling) eachReply(ctx context.Context, root string, do func(*slack.Message)) *failure {
	p := slack.GetConversationRepliesParameters{ChannelID: t.receipt.Channel, Timestamp: root, Oldest: t.oldest(),
		Limit: pageSize, IncludeAllMetadata: true}
	for range maxPages {
		found, _, cursor, err := t.api.GetConversationRepliesContext(ctx, &p)
		if err != nil {
			return t.unlessUnreadable(read("conversations.replies", err))
		}
		for i := range found {
			do(&found[i])
		}
		if p.Cursor = cursor; cursor == "" {
			break
		}
	}
	return nil
}

// unlessUnreadable passes on what may be better in a while: then we wait and look again, up to a point. It passes on as
// well that our token is no good, since a person then has to act before anything can be looked for or told.
func (t *telling) unlessUnreadable(f *failure) *failure {
	switch {
	case f.disowns():
		return f
	case f.is(limited) && t.receipt.Looks < mostLooks: // Slack asks for a minute or so each time
		t.receipt.Looks += mostLooks / mostLimited
		return f
	case (f.soon() || f.is(unknown)) && t.receipt.Looks < mostLooks:
		t.receipt.Looks++
		return f
	}
	return nil
}

// oldest is the ts from which on we look, which is before any attempt that may have told what is not told yet: before
// the oldest entry of that was written down, before the notice came, or before the digest was begun.
func (t *telling) oldest() string {
	at := t.cfg.Now()
	before := func(when time.Time) {
		if !when.IsZero() && when.Before(at) {
			at = when
		}
	}
	before(t.n.FailingSince)
	for _, e := range t.n.Timeline {
		before(e.Recorded)
	}
	switch {
	case t.n.Digest != nil:
		before(t.n.Digest.Begun)
	case t.n.Notice != nil:
		before(t.n.Notice.At)
	case t.receipt.TS == "" && (len(t.n.Timeline) == 0 || t.n.Timeline[0].N > 1): // when it was written down is not known
		before(t.n.Incident.OpenedAt)
	}
	return asTS(at.Add(-margin))
}

// asTS writes a time as the ts of a message.
func asTS(at time.Time) string {
	return strconv.FormatInt(max(0, at.Unix()), 10) + ".000000"
}

// join enters the channel of t.
func (t *telling) join(ctx context.Context) *failure {
	id, f := t.resolve(ctx, t.channel())
	if f != nil {
		return f
	}
	_, _, _, err := t.api.JoinConversationContext(ctx, id)
	return read("conversations.join", err)
}

// resolve returns the id of a channel, which is all that most methods take. What receipts know counts first: a private
// channel is not listed without the scope groups:read.
func (t *telling) resolve(ctx context.Context, channel string) (id string, _ *failure) {
	if !isName(channel) {
		return channel, nil
	}
	if id := t.met(ctx, channel); id != "" {
		return id, nil
	}
	id, f := t.listed(ctx, channel, "public_channel", "private_channel")
	if f != nil && f.code == "missing_scope" {
		id, f = t.listed(ctx, channel, "public_channel")
	}
	return id, f
}

// met returns the id that a #name had when something was told there last, "" where nobody knows. What receipts say is
// not remembered: the name may belong to another channel by now.
func (t *telling) met(ctx context.Context, channel string) string {
	if id := t.known(channel); id != "" {
		return id
	}
	id, err := t.cfg.ChannelID(ctx, channel)
	if err != nil {
		t.cfg.Logger.Warn("what the receipts call a channel of Slack could not be read", "channel", channel, "error", err)
		return ""
	}
	return id
}

// listed looks for a channel among those of some types.
func (t *telling) listed(ctx context.Context, channel string, types ...string) (id string, _ *failure) {
	p := slack.GetConversationsParameters{Limit: 1000, ExcludeArchived: true, Types: types}
	for range maxChannelPages {
		found, cursor, err := t.api.GetConversationsContext(ctx, &p)
		if f := read("conversations.list", err); f != nil {
			return "", f
		}
		for i := range found {
			if "#"+found[i].Name == channel {
				t.remember(channel, found[i].ID)
				return found[i].ID, nil
			}
		}
		if p.Cursor = cursor; cursor == "" {
			break
		}
	}
	return "", &failure{method: "conversations.list", class: refused, code: "channel_not_found", hint: hintChannel}
}

// isName says whether a channel is given by its #name, not by its id.
func isName(channel string) bool { return strings.HasPrefix(channel, "#") }

// known returns the id of a channel that we have met, "" for others.
func (s *Notifier) known(channel string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[channel]
}

func (s *Notifier) remember(channel, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids[channel] = id
}

// wait returns how long Slack still wants nothing of what limit names.
func (s *Notifier) wait(limit string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[limit].Sub(s.cfg.Now())
}

func (s *Notifier) hold(limit string, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[limit] = s.cfg.Now().Add(d)
}
