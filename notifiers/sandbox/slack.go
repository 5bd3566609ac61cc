package sandbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"flowbridge/router"
)

// SlackConfig is what a stand-in Slack may be told. A zero field takes its default.
type SlackConfig struct {
	// Token is the only bot token that is valid. Default: "xoxb-sandbox".
	Token router.Secret
	// Channels by #name; the app is a member of each. Default: none.
	Channels []string
	// Private are more of them, which are private. Default: none.
	Private []string
	// Scopes of the token. Default: chat:write, channels:history, channels:join, channels:read, groups:history,
	// groups:read, usergroups:read.
	Scopes []string
	// SigningSecret signs what the workspace posts to the app. Default: "sandbox-signing-secret".
	SigningSecret router.Secret
	// AppToken is the only app-level token that is valid. Default: "xapp-sandbox".
	AppToken router.Secret
	// People by id, with the names that they show. Who is not in it has their id for a name.
	People map[string]string
	// Strangers are people whose own workspace, or Enterprise Grid, is another: by their id.
	Strangers map[string]Home
	// Enterprise is the Enterprise Grid that the workspace belongs to. Default: none.
	Enterprise string
	// OrgWide says that the app is installed for all of Enterprise.
	OrgWide bool
	// Groups are user groups: ids of people by the id of the group.
	Groups map[string][]string
	// EditWindow is how long a message can be edited. Default: for ever.
	EditWindow time.Duration
	// Patience is how long the app may take to answer a request. Default: 3 s, as Slack's.
	Patience time.Duration
	// NoLimits lifts the rate limits; sizes stay as they are.
	NoLimits bool
	// Burst is how many posts in a row a channel takes before it insists on one a second. Default: 5.
	Burst int
	// Updates is how many chat.update the app may send in a minute. Default: 50, Slack's tier 3.
	Updates int
	// Reads is the same for conversations.history and conversations.replies together. Default: 50.
	Reads int
	// Keep bounds what is remembered: messages of a channel, calls, and what single people were told, of which the oldest
	// go first. Default: all.
	Keep int
	// Now is the clock: for ts, and for the rate limits. Default: time.Now.
	Now func() time.Time
}

// Home is where a person belongs.
type Home struct{ Team, Enterprise string }

// Channel is a conversation of the stand-in workspace.
type Channel struct {
	ID       string // C and ten more
	Name     string // with the leading #
	Member   bool   // the app is in it
	Archived bool
	Private  bool
}

// Message is what a channel shows now, in Slack's own form where that is JSON.
type Message struct {
	TS          string
	ThreadTS    string // of a reply: the ts of its root
	Text        string
	Blocks      json.RawMessage // nil where there are none
	Attachments json.RawMessage
	Color       string          // of the first attachment: "#a30200"
	Metadata    json.RawMessage // {"event_type", "event_payload"}
	Broadcast   bool            // a reply that the channel shows too
	Edited      int             // how often it was updated
	Posted      time.Time
}

// Slack is a stand-in for Slack's Web API. The path's last element names the method, so any address that
// ends in "/api/" will do. Its methods may be called from several goroutines.
type Slack struct {
	core
	cfg      SlackConfig
	channels []*channel
	last     int64 // microseconds of the newest ts: ts never repeat and only grow
	updates  window
	reads    window
	app      app
}

// channel is a Channel with its messages.
type channel struct {
	Channel
	messages []*Message // by ts, ascending; replies among them
	posts    bucket
	// threads that take no replies: what the app is told, by the ts of the root; "" is all of them
	locked map[string]string
}

// NewSlack returns an empty workspace.
func NewSlack(cfg SlackConfig) *Slack {
	cfg.Token = cmp.Or(cfg.Token, "xoxb-sandbox")
	cfg.SigningSecret = cmp.Or(cfg.SigningSecret, "sandbox-signing-secret")
	cfg.AppToken = cmp.Or(cfg.AppToken, "xapp-sandbox")
	cfg.Patience = cmp.Or(cfg.Patience, answerIn)
	cfg.Burst = cmp.Or(cfg.Burst, 5)
	cfg.Updates = cmp.Or(cfg.Updates, 50)
	cfg.Reads = cmp.Or(cfg.Reads, 50)
	if cfg.Scopes == nil {
		cfg.Scopes = []string{"chat:write", "channels:history", "channels:join", "channels:read", "groups:history",
			"groups:read", "usergroups:read"}
	}
	s := &Slack{core: newCore(cfg.Now, cfg.Keep), cfg: cfg}
	if !cfg.NoLimits {
		s.updates = window{most: cfg.Updates, per: time.Minute}
		s.reads = window{most: cfg.Reads, per: time.Minute}
	}
	for i, name := range slices.Concat(cfg.Channels, cfg.Private) {
		ch := &channel{
			Channel: Channel{
				ID: fmt.Sprintf("C0SANDBOX%02d", i+1), Name: "#" + strings.TrimPrefix(name, "#"), Member: true,
				Private: i >= len(cfg.Channels),
			},
			locked: map[string]string{},
		}
		if !cfg.NoLimits {
			ch.posts = bucket{burst: cfg.Burst, every: time.Second}
		}
		s.channels = append(s.channels, ch)
	}
	return s
}

// Rotate makes other tokens and another signing secret the only ones that are valid; "" leaves one as it is.
func (s *Slack) Rotate(token, app, signing router.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.Token, s.cfg.AppToken, s.cfg.SigningSecret = cmp.Or(token, s.cfg.Token), cmp.Or(app, s.cfg.AppToken),
		cmp.Or(signing, s.cfg.SigningSecret)
}

// ServeHTTP answers a call of the Web API, takes what the app tells a person later, and holds its web socket.
func (s *Slack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, hookPath):
		s.serve(w, r, "response_url", func(body []byte) request {
			return &hookRequest{s: s, id: strings.TrimPrefix(r.URL.Path, hookPath), body: body}
		})
		return
	case strings.HasPrefix(r.URL.Path, socketPath):
		s.holdSocket(w, r)
		return
	}
	s.met(r)
	method := path.Base(r.URL.Path)
	s.serve(w, r, method, func(body []byte) request {
		form, _ := url.ParseQuery(string(body)) // what cannot be read is missing, and refused as that
		for key, values := range r.URL.Query() {
			form[key] = append(form[key], values...)
		}
		if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && !form.Has("token") {
			form.Set("token", bearer)
		}
		return &slackRequest{s: s, method: method, form: form}
	})
}

// Channels returns all channels in the order they were configured.
func (s *Slack) Channels() []Channel {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Channel, len(s.channels))
	for i, ch := range s.channels {
		out[i] = ch.Channel
	}
	return out
}

// Messages returns every message of a channel, replies among them, oldest first. channel is an id or a
// #name; one that does not exist has no messages.
func (s *Slack) Messages(channel string) []Message {
	return s.messages(channel, func(*Message) bool { return true })
}

// Thread returns the message ts and the replies to it, oldest first.
func (s *Slack) Thread(channel, ts string) []Message {
	return s.messages(channel, func(m *Message) bool { return m.TS == ts || m.ThreadTS == ts })
}

func (s *Slack) messages(channel string, want func(*Message) bool) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.channel(channel)
	if ch == nil {
		return nil
	}
	var out []Message
	for _, m := range ch.messages {
		if want(m) {
			out = append(out, *m)
		}
	}
	return out
}

// Talk is so many messages that people write to each other in a channel.
func (s *Slack) Talk(channel string, messages int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch, now := s.channel(channel), s.now()
	for i := range messages {
		if ch != nil {
			ch.add(&Message{TS: s.stamp(now), Text: fmt.Sprint("talk ", i+1), Posted: now}, s.keep)
		}
	}
	s.wake()
}

// DeleteMessage does what a person can do to any message. It says whether there was one.
func (s *Slack) DeleteMessage(channel, ts string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.channel(channel)
	deleted := ch != nil && ch.remove(ts)
	s.wake()
	return deleted
}

// Archive closes or reopens a channel, as a person would.
func (s *Slack) Archive(channel string, archived bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch := s.channel(channel); ch != nil {
		ch.Archived = archived
	}
}

// Rename gives a channel another name. Its id stays, and the old name is unknown from then on.
func (s *Slack) Rename(channel, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch := s.channel(channel); ch != nil {
		ch.Name = name
	}
}

// LockThread makes the thread of a message take no more replies, for which the app is told code; "" unlocks it. An
// empty ts is every thread of the channel.
func (s *Slack) LockThread(channel, ts, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch := s.channel(channel); ch != nil {
		ch.locked[ts] = code
	}
}

// Invite puts the app into a channel, or takes it out of it.
func (s *Slack) Invite(channel string, member bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch := s.channel(channel); ch != nil {
		ch.Member = member
	}
}

// channel finds a channel by id or name, nil for none; s.mu is held.
func (s *Slack) channel(idOrName string) *channel {
	for _, ch := range s.channels {
		if idOrName == ch.ID || "#"+strings.TrimPrefix(idOrName, "#") == ch.Name {
			return ch
		}
	}
	return nil
}

// stamp returns a ts that no message had before.
func (s *Slack) stamp(now time.Time) string {
	s.last = max(s.last+1, now.UnixMicro())
	return fmt.Sprintf("%d.%06d", s.last/1e6, s.last%1e6)
}

func (ch *channel) message(ts string) *Message {
	for _, m := range ch.messages {
		if m.TS == ts {
			return m
		}
	}
	return nil
}

// add appends a message. Of more than keep the oldest go, each with its thread; 0 keeps all.
func (ch *channel) add(m *Message, keep int) {
	ch.messages = append(ch.messages, m)
	for keep > 0 && len(ch.messages) > keep {
		oldest := ch.messages[0].TS
		ch.messages = slices.DeleteFunc(ch.messages, func(m *Message) bool { return m.TS == oldest || m.ThreadTS == oldest })
	}
}

func (ch *channel) remove(ts string) bool {
	before := len(ch.messages)
	ch.messages = slices.DeleteFunc(ch.messages, func(m *Message) bool { return m.TS == ts })
	return len(ch.messages) < before
}
