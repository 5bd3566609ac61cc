package sandbox

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

// history lists roots and broadcast replies, newest first.
func (r *slackRequest) history() answer {
	ch, out := r.readable()
	if ch == nil {
		return out
	}
	var list []*Message
	for _, m := range slices.Backward(ch.messages) {
		if m.ThreadTS == "" || m.Broadcast {
			list = append(list, m)
		}
	}
	return r.page(ch, list)
}

// replies lists a thread, its root first.
func (r *slackRequest) replies() answer {
	ch, out := r.readable()
	if ch == nil {
		return out
	}
	ts := r.form.Get("ts")
	if ch.message(ts) == nil {
		return refuse("thread_not_found")
	}
	var list []*Message
	for _, m := range ch.messages {
		if m.TS == ts || m.ThreadTS == ts {
			list = append(list, m)
		}
	}
	return r.page(ch, list)
}

// readable returns the channel that is asked for; reading wants membership.
func (r *slackRequest) readable() (*channel, answer) {
	ch := r.s.channel(r.form.Get("channel"))
	scope := "channels:history"
	if ch != nil && ch.Private {
		scope = "groups:history"
	}
	switch {
	case !r.scope(scope):
		return nil, r.lacks(scope)
	case ch == nil || r.form.Get("channel") != ch.ID:
		return nil, refuse("channel_not_found")
	case !ch.Member:
		return nil, refuse("not_in_channel")
	}
	return ch, answer{}
}

// page cuts a list to oldest, latest, cursor and limit.
func (r *slackRequest) page(ch *channel, list []*Message) answer {
	oldest, latest := r.form.Get("oldest"), r.form.Get("latest")
	inclusive := r.form.Get("inclusive") == "1" || r.form.Get("inclusive") == "true"
	list = slices.DeleteFunc(list, func(m *Message) bool {
		if inclusive && (m.TS == oldest || m.TS == latest) {
			return false
		}
		return oldest != "" && !after(m.TS, oldest) || latest != "" && !after(latest, m.TS)
	})
	start := 0
	if cursor := r.form.Get("cursor"); cursor != "" {
		raw, err := base64.StdEncoding.DecodeString(cursor)
		at := slices.IndexFunc(list, func(m *Message) bool { return "next_ts:"+m.TS == string(raw) })
		if err != nil || at < 0 {
			return refuse("invalid_cursor")
		}
		start = at
	}
	limit, _ := strconv.Atoi(r.form.Get("limit"))
	if limit <= 0 || limit > 999 {
		limit = 100
	}
	end, next := min(start+limit, len(list)), ""
	if end < len(list) {
		next = base64.StdEncoding.EncodeToString([]byte("next_ts:" + list[end].TS))
	}
	metadata := r.form.Get("include_all_metadata") == "1" || r.form.Get("include_all_metadata") == "true"
	messages := make([]map[string]any, 0, limit)
	for _, m := range list[start:end] {
		messages = append(messages, m.wire(ch, metadata))
	}
	return grant(map[string]any{
		"messages": messages, "has_more": next != "", "response_metadata": map[string]any{"next_cursor": next},
	})
}

// after compares two ts, or the numbers that oldest and latest may be.
func after(a, b string) bool {
	x, _ := strconv.ParseFloat(a, 64)
	y, _ := strconv.ParseFloat(b, 64)
	return x > y
}

func (r *slackRequest) join() answer {
	ch := r.s.channel(r.form.Get("channel"))
	switch {
	case ch == nil || r.form.Get("channel") != ch.ID:
		return refuse("channel_not_found")
	case ch.Archived:
		return refuse("is_archived")
	case ch.Private && !ch.Member: // a person must invite
		return refuse("method_not_supported_for_channel_type")
	}
	out := map[string]any{"channel": ch.wire()}
	if ch.Member {
		out["warning"] = "already_in_channel"
	}
	ch.Member = true
	return grant(out)
}

// list lists public channels unless it is asked for others; private ones are those that the app is in.
func (r *slackRequest) list() answer {
	types := strings.Split(cmp.Or(r.form.Get("types"), "public_channel"), ",")
	private := slices.Contains(types, "private_channel")
	if private && !r.scope("groups:read") {
		return r.lacks("groups:read")
	}
	list := make([]map[string]any, 0, len(r.s.channels))
	for _, ch := range r.s.channels {
		wanted := private && ch.Member
		if !ch.Private {
			wanted = slices.Contains(types, "public_channel")
		}
		if wanted && (!ch.Archived || r.form.Get("exclude_archived") != "true") {
			list = append(list, ch.wire())
		}
	}
	return grant(map[string]any{"channels": list, "response_metadata": map[string]any{"next_cursor": ""}})
}

// lacks refuses for want of a scope.
func (r *slackRequest) lacks(scope string) answer {
	return refuse("missing_scope", "needed", scope, "provided", strings.Join(r.s.cfg.Scopes, ","))
}

func (r *slackRequest) info() answer {
	ch := r.s.channel(r.form.Get("channel"))
	if ch == nil || r.form.Get("channel") != ch.ID {
		return refuse("channel_not_found")
	}
	return grant(map[string]any{"channel": ch.wire()})
}

// wire writes a channel as Slack does.
func (ch *channel) wire() map[string]any {
	return map[string]any{
		"id": ch.ID, "name": strings.TrimPrefix(ch.Name, "#"), "is_channel": true,
		"is_archived": ch.Archived, "is_member": ch.Member, "is_private": ch.Private,
	}
}
