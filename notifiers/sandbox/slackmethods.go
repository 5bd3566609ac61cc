package sandbox

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// workspace is where permalinks lead.
const workspace = "https://sandbox.slack.com/"

// Slack's sizes of a message as a whole. Sources: chat.postMessage, chat.update, message metadata.
const (
	maxPostText   = 40_000 // characters; a post is cut there, silently
	maxUpdateText = 4_000  // characters; an update is refused
	maxMetadata   = 8_000  // bytes
)

// slackRequest is one call of the Web API.
type slackRequest struct {
	s      *Slack
	method string
	form   url.Values
}

// slackMethods are the methods, each with the scope it needs. "" needs none.
var slackMethods = map[string]struct {
	scope string
	do    func(*slackRequest) answer
}{
	"auth.test":             {"", (*slackRequest).authTest},
	"chat.postMessage":      {"chat:write", (*slackRequest).post},
	"chat.update":           {"chat:write", (*slackRequest).update},
	"chat.delete":           {"chat:write", (*slackRequest).delete},
	"chat.getPermalink":     {"", (*slackRequest).permalink},
	"conversations.history": {"", (*slackRequest).history}, // by the kind of channel
	"conversations.replies": {"", (*slackRequest).replies},
	"conversations.join":    {"channels:join", (*slackRequest).join},
	"conversations.list":    {"channels:read", (*slackRequest).list},
	"conversations.info":    {"channels:read", (*slackRequest).info},
	"usergroups.users.list": {"usergroups:read", (*slackRequest).groupMembers},
	"users.info":            {"users:read", (*slackRequest).userInfo},
	"apps.connections.open": {"", (*slackRequest).openSocket},
}

func (r *slackRequest) note(call *Call) {
	call.Channel = r.form.Get("channel")
	if ch := r.s.channel(call.Channel); ch != nil {
		call.Channel = ch.Name
	}
}

func (r *slackRequest) act(*Call) answer {
	token, valid := r.form.Get("token"), r.s.cfg.Token
	if r.method == "apps.connections.open" {
		valid = r.s.cfg.AppToken
	}
	method, known := slackMethods[r.method]
	switch {
	case token == "":
		return refuse("not_authed")
	case token != valid.Reveal():
		return refuse("invalid_auth")
	case !known:
		return refuse("unknown_method")
	case method.scope != "" && !r.scope(method.scope):
		return r.lacks(method.scope)
	}
	if wait, ok := r.limit(); !ok {
		out := refuse("ratelimited")
		out.status = http.StatusTooManyRequests
		out.header.Set("Retry-After", retryAfter(wait))
		return out
	}
	return method.do(r)
}

// limit counts the call against what its method allows.
func (r *slackRequest) limit() (wait time.Duration, ok bool) {
	now := r.s.now()
	switch r.method {
	case "chat.postMessage":
		if ch := r.s.channel(r.form.Get("channel")); ch != nil {
			return ch.posts.take(now)
		}
	case "chat.update":
		return r.s.updates.take(now)
	case "conversations.history", "conversations.replies":
		return r.s.reads.take(now)
	}
	return 0, true
}

func (r *slackRequest) scope(name string) bool { return slices.Contains(r.s.cfg.Scopes, name) }

func (r *slackRequest) authTest() answer {
	said := map[string]any{
		"url": workspace, "team": "Sandbox", "user": "flowbridge", "team_id": teamID, "user_id": "U0SANDBOX",
		"bot_id":                "B0SANDBOX",
		"is_enterprise_install": r.s.cfg.OrgWide,
	}
	if r.s.cfg.Enterprise != "" {
		said["enterprise_id"] = r.s.cfg.Enterprise
	}
	if r.s.cfg.OrgWide { // the token is of no single workspace
		said["team_id"] = r.s.cfg.Enterprise
	}
	out := grant(said)
	out.header.Set("X-OAuth-Scopes", strings.Join(r.s.cfg.Scopes, ","))
	return out
}

func (r *slackRequest) post() answer {
	ch := r.s.channel(r.form.Get("channel"))
	switch {
	case ch == nil:
		return refuse("channel_not_found")
	case ch.Archived:
		return refuse("is_archived")
	case !ch.Member && (ch.Private || !r.scope("chat:write.public")):
		return refuse("not_in_channel")
	}
	m := &Message{}
	if out := r.fill(m); out.err != "" {
		return out
	}
	// A reply to a message that is gone lands in the channel, and Slack says ok.
	if parent := ch.message(r.form.Get("thread_ts")); parent != nil {
		m.ThreadTS = parent.TS
		if parent.ThreadTS != "" {
			m.ThreadTS = parent.ThreadTS
		}
		if code := cmp.Or(ch.locked[m.ThreadTS], ch.locked[""]); code != "" {
			return refuse(code)
		}
		m.Broadcast = r.form.Get("reply_broadcast") == "true"
	}
	now := r.s.now()
	m.TS, m.Posted = r.s.stamp(now), now
	ch.add(m, r.s.keep)
	return grant(map[string]any{"channel": ch.ID, "ts": m.TS, "message": m.wire(ch, true)})
}

func (r *slackRequest) update() answer {
	id := r.form.Get("channel")
	ch := r.s.channel(id)
	if ch == nil || id != ch.ID { // an update wants the id: a name is not found
		return refuse("channel_not_found")
	}
	if ch.Archived {
		return refuse("is_inactive")
	}
	m := ch.message(r.form.Get("ts"))
	switch {
	case m == nil:
		return refuse("message_not_found")
	case r.s.cfg.EditWindow > 0 && r.s.now().Sub(m.Posted) >= r.s.cfg.EditWindow:
		return refuse("edit_window_closed")
	case utf8.RuneCountInString(r.form.Get("text")) > maxUpdateText:
		return refuse("msg_too_long")
	}
	next := *m
	if out := r.fill(&next); out.err != "" {
		return out
	}
	next.Edited++
	*m = next
	return grant(map[string]any{"channel": ch.ID, "ts": m.TS, "text": m.Text, "message": m.wire(ch, true)})
}

// fill puts text, blocks, attachments and metadata into m as they were sent. The answer is zero, or a refusal.
func (r *slackRequest) fill(m *Message) answer {
	m.Text = r.form.Get("text")
	if runes := []rune(m.Text); len(runes) > maxPostText {
		m.Text = string(runes[:maxPostText])
	}
	var faults blockFaults
	m.Blocks = faults.blocks(r.form.Get("blocks"))
	m.Attachments, m.Color = faults.attachments(r.form.Get("attachments"))
	switch {
	case faults.code != "":
		return refuse(faults.code, "errors", faults.said, "response_metadata", map[string]any{"messages": faults.messages()})
	case m.Text == "" && m.Blocks == nil && m.Attachments == nil:
		return refuse("no_text")
	}
	metadata := r.form.Get("metadata")
	if metadata == "" {
		return answer{}
	}
	var meta struct {
		EventType    string         `json:"event_type"`
		EventPayload map[string]any `json:"event_payload"`
	}
	switch err := json.Unmarshal([]byte(metadata), &meta); {
	case err != nil || meta.EventType == "" || meta.EventPayload == nil:
		return refuse("invalid_metadata_format")
	case len(metadata) > maxMetadata:
		return refuse("metadata_too_large")
	}
	m.Metadata = json.RawMessage(metadata)
	return answer{}
}

func (r *slackRequest) delete() answer {
	ch := r.s.channel(r.form.Get("channel"))
	switch {
	case ch == nil:
		return refuse("channel_not_found")
	case !ch.remove(r.form.Get("ts")):
		return refuse("message_not_found")
	}
	return grant(map[string]any{"channel": ch.ID, "ts": r.form.Get("ts")})
}

func (r *slackRequest) permalink() answer {
	ch := r.s.channel(r.form.Get("channel"))
	if ch == nil {
		return refuse("channel_not_found")
	}
	m := ch.message(r.form.Get("message_ts"))
	if m == nil {
		return refuse("message_not_found")
	}
	link := workspace + "archives/" + ch.ID + "/p" + strings.ReplaceAll(m.TS, ".", "")
	if m.ThreadTS != "" {
		link += "?thread_ts=" + m.ThreadTS + "&cid=" + ch.ID
	}
	return grant(map[string]any{"channel": ch.ID, "permalink": link})
}

// wire writes a message as Slack does; history holds metadata back unless asked.
func (m *Message) wire(ch *channel, metadata bool) map[string]any {
	out := map[string]any{
		"type": "message", "ts": m.TS, "text": m.Text,
		"user": "U0SANDBOX", "bot_id": "B0SANDBOX", "app_id": "A0SANDBOX", "team": "T0SANDBOX",
	}
	if m.Blocks != nil {
		out["blocks"] = m.Blocks
	}
	if m.Attachments != nil {
		out["attachments"] = m.Attachments
	}
	if m.Metadata != nil && metadata {
		out["metadata"] = m.Metadata
	}
	if m.Edited > 0 {
		out["edited"] = map[string]any{"user": "U0SANDBOX", "ts": m.TS}
	}
	if m.ThreadTS != "" {
		out["thread_ts"] = m.ThreadTS
	}
	if m.Broadcast {
		out["subtype"] = "thread_broadcast"
	}
	replies := 0
	for _, other := range ch.messages {
		if other.ThreadTS == m.TS {
			replies++
		}
	}
	if replies > 0 { // a root with replies names its own thread
		out["thread_ts"], out["reply_count"] = m.TS, replies
	}
	return out
}

// grant is a success.
func grant(body map[string]any) answer {
	body["ok"] = true
	return jsonAnswer(http.StatusOK, body)
}

// refuse is ok:false with Slack's code, and more keys and values beside it.
func refuse(code string, more ...any) answer {
	body := map[string]any{"ok": false, "error": code}
	for i := 0; i+1 < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	out := jsonAnswer(http.StatusOK, body)
	out.err = code
	return out
}
