package sandbox

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"flowbridge/router"
)

// The workspace and its app, as they are named in requests.
const (
	teamID = "T0SANDBOX"
	appID  = "A0SANDBOX"
	userID = "U0PERSON"
)

// hookPath is where a person is told something later: the addresses that requests name are below it.
const hookPath = "/hooks/"

// What Slack allows of such an address.
const (
	hookUses = 5
	hookLife = 30 * time.Minute
	answerIn = 3 * time.Second // an app that takes longer has failed, for Slack and for the person
	maxReply = 64 << 10
)

// app is what the workspace knows of the app that is installed in it.
type app struct {
	actions, commands string // addresses that it wants requests at
	base              string // of this stand-in, as the app calls it
	hooks             map[string]*hook
	hooked            int // how many there ever were
	requests          int // how many there were: trigger ids never repeat
	told              []Ephemeral
	sockets           []*socket
	socketsEver       int
	tickets           int
}

type hook struct {
	user, channel string
	uses          int
	until         time.Time
}

// Ephemeral is a message that only one person saw.
type Ephemeral struct {
	User    string
	Channel string // #name
	Text    string
	At      time.Time
}

// Press is what a person does to a message. A zero field takes its default.
type Press struct {
	Action string // action id of a button or a menu
	Option int    // of a menu: which of its options, from 0
	User   string // id. Default: "U0PERSON".
	// Team and Enterprise say where the app was pressed. Default: the workspace's own.
	Team, Enterprise string
	At               time.Time // when it was pressed. Default: now.
}

// Command is a slash command that a person writes. A zero field takes its default.
type Command struct {
	Command string // Default: "/flows".
	Text    string
	Channel string // #name or id. Default: the first channel.
	User    string // id. Default: "U0PERSON".
	// Team and Enterprise say where it was written. Default: the workspace's own.
	Team, Enterprise string
}

// Sent is a request that the workspace sent to the app.
type Sent struct {
	Kind   string // "interactive" or "slash_commands"
	At     time.Time
	Status int             // HTTP status of the answer; 200 for what was acknowledged through a socket
	Answer json.RawMessage // what the answer says; nil for nothing

	payload, form []byte
}

// Text is what a person is told by the answer to a command.
func (s Sent) Text() string {
	var said struct{ Text string }
	_ = json.Unmarshal(s.Answer, &said) // an answer that is none says nothing
	return said.Text
}

// Connect says where the app wants what people do, as its settings in Slack would. Where the app holds a web socket,
// requests go there.
func (s *Slack) Connect(actionsURL, commandsURL string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.app.actions, s.app.commands = actionsURL, commandsURL
}

// Told returns what single people were told, oldest first.
func (s *Slack) Told() []Ephemeral {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Ephemeral(nil), s.app.told...)
}

// Press presses a button of a message, or picks from a menu of it, and waits for the app's answer as Slack does. The
// error says that there is nothing to press, or that no answer came.
func (s *Slack) Press(ctx context.Context, channel, ts string, p Press) (Sent, error) {
	payload, err := s.press(channel, ts, p)
	if err != nil {
		return Sent{}, err
	}
	data, err := json.Marshal(payload)
	if err != nil {
		return Sent{}, err
	}
	return s.send(ctx, "interactive", data, []byte(url.Values{"payload": {string(data)}}.Encode()))
}

// Write writes a slash command and waits for the app's answer.
func (s *Slack) Write(ctx context.Context, c Command) (Sent, error) {
	form, err := s.command(c)
	if err != nil {
		return Sent{}, err
	}
	flat := map[string]string{}
	for key := range form {
		flat[key] = form.Get(key)
	}
	data, err := json.Marshal(flat)
	if err != nil {
		return Sent{}, err
	}
	return s.send(ctx, "slash_commands", data, []byte(form.Encode()))
}

// Repeat sends a request again, as Slack does with what was not answered in time.
func (s *Slack) Repeat(ctx context.Context, sent Sent) (Sent, error) {
	return s.send(ctx, sent.Kind, sent.payload, sent.form)
}

// send goes through a socket where there is one, else over HTTP.
func (s *Slack) send(ctx context.Context, kind string, payload, form []byte) (Sent, error) {
	if socket := s.liveSocket(); socket != nil {
		sent, err := socket.send(ctx, kind, payload)
		sent.form = form
		return sent, err
	}
	sent, err := s.post(ctx, kind, form)
	sent.payload = payload
	return sent, err
}

// post signs a form and posts it to the app.
func (s *Slack) post(ctx context.Context, kind string, form []byte) (Sent, error) {
	at := time.Now()
	s.mu.Lock()
	address := s.app.actions
	if kind == "slash_commands" {
		address = s.app.commands
	}
	secret := s.cfg.SigningSecret
	s.mu.Unlock()
	if address == "" {
		return Sent{}, errors.New("the app says nowhere what it wants done with this")
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(form))
	if err != nil {
		return Sent{}, err
	}
	stamp := strconv.FormatInt(at.Unix(), 10)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Slack-Request-Timestamp", stamp)
	req.Header.Set("X-Slack-Signature", Sign(secret, stamp, form))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return Sent{}, fmt.Errorf("the app did not answer in %s: %w", s.cfg.Patience, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	sent := Sent{Kind: kind, form: form, At: at, Status: resp.StatusCode}
	if json.Valid(answer) {
		sent.Answer = answer
	}
	return sent, err
}

// Sign returns the signature that Slack puts on a body.
func Sign(secret router.Secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	fmt.Fprintf(mac, "v0:%s:%s", timestamp, body)
	return "v0=" + hex.EncodeToString(mac.Sum(nil))
}

// press builds what Slack says of a press.
func (s *Slack) press(channel, ts string, p Press) (map[string]any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.channel(channel)
	if ch == nil || ch.message(ts) == nil {
		return nil, fmt.Errorf("there is no message %s in %s", ts, channel)
	}
	m := ch.message(ts)
	action := m.action(p)
	if action == nil {
		return nil, fmt.Errorf("nothing to press is called %q there, or it has no such option", p.Action)
	}
	user, team := cmp.Or(p.User, userID), cmp.Or(p.Team, teamID)
	now := s.now()
	action["action_ts"] = s.stamp(now)
	if !p.At.IsZero() {
		action["action_ts"] = fmt.Sprintf("%d.%06d", p.At.Unix(), p.At.Nanosecond()/1000)
	}
	home, grid := team, any(nil)
	if stranger, ok := s.cfg.Strangers[user]; ok {
		home = stranger.Team
	}
	if enterprise := cmp.Or(p.Enterprise, s.cfg.Enterprise); enterprise != "" {
		grid = map[string]any{"id": enterprise, "name": "Grid"}
	}
	return map[string]any{
		"type": "block_actions", "api_app_id": appID, "token": "deprecated",
		"team":         map[string]any{"id": team, "domain": "sandbox"},
		"user":         map[string]any{"id": user, "username": s.handle(user), "name": s.handle(user), "team_id": home},
		"channel":      map[string]any{"id": ch.ID, "name": strings.TrimPrefix(ch.Name, "#")},
		"container":    map[string]any{"type": "message", "message_ts": m.TS, "channel_id": ch.ID, "is_ephemeral": false},
		"message":      m.wire(ch, true),
		"trigger_id":   s.trigger(),
		"response_url": s.hookFor(user, ch.Name, now),
		"actions":      []any{action},
		"enterprise":   grid, "is_enterprise_install": s.cfg.OrgWide, "state": map[string]any{"values": map[string]any{}},
	}, nil
}

// action is what Slack says of an element of a message that is pressed; nil if there is none.
func (m *Message) action(p Press) map[string]any {
	var blocks []block
	_ = json.Unmarshal(m.Blocks, &blocks) // it was read once when it was posted
	var attachments []struct{ Blocks []block }
	_ = json.Unmarshal(m.Attachments, &attachments)
	for _, a := range attachments {
		blocks = append(blocks, a.Blocks...)
	}
	for _, b := range blocks {
		for _, e := range b.Elements {
			if e.ActionID != p.Action || p.Action == "" {
				continue
			}
			out := map[string]any{"action_id": e.ActionID, "block_id": b.BlockID, "type": e.Type}
			if e.Type == "button" {
				out["text"], out["value"] = e.Text, e.Value
				return out
			}
			if p.Option >= len(e.Options) {
				return nil
			}
			out["selected_option"] = e.Options[p.Option]
			return out
		}
	}
	return nil
}

// command builds what Slack says of a slash command.
func (s *Slack) command(c Command) (url.Values, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.channel(c.Channel)
	if c.Channel == "" && len(s.channels) > 0 {
		ch = s.channels[0]
	}
	if ch == nil {
		return nil, fmt.Errorf("there is no channel %q to write in", c.Channel)
	}
	user := cmp.Or(c.User, userID)
	return url.Values{
		"token": {"deprecated"}, "team_id": {cmp.Or(c.Team, teamID)}, "team_domain": {"sandbox"},
		"channel_id": {ch.ID}, "channel_name": {strings.TrimPrefix(ch.Name, "#")},
		"user_id": {user}, "user_name": {s.handle(user)}, "command": {cmp.Or(c.Command, "/flows")}, "text": {c.Text},
		"api_app_id": {appID}, "is_enterprise_install": {strconv.FormatBool(s.cfg.OrgWide)},
		"enterprise_id": {cmp.Or(c.Enterprise, s.cfg.Enterprise)},
		"response_url":  {s.hookFor(user, ch.Name, s.now())}, "trigger_id": {s.trigger()},
	}, nil
}

// handle is what a person is called in requests, whatever name they show.
func (s *Slack) handle(user string) string {
	return strings.ToLower(strings.ReplaceAll(cmp.Or(s.cfg.People[user], user), " ", "."))
}

// trigger names a request as no other.
func (s *Slack) trigger() string {
	s.app.requests++
	return fmt.Sprintf("%d.0.%x", s.app.requests, sha256.Sum256(fmt.Append(nil, s.app.requests)))[:48]
}

// hookFor makes an address to tell a person something later.
func (s *Slack) hookFor(user, channel string, now time.Time) string {
	if s.app.hooks == nil {
		s.app.hooks = map[string]*hook{}
	}
	maps.DeleteFunc(s.app.hooks, func(_ string, h *hook) bool { return now.After(h.until) })
	s.app.hooked++
	id := fmt.Sprintf("actions/%s/%d", teamID, s.app.hooked)
	s.app.hooks[id] = &hook{user: user, channel: channel, until: now.Add(hookLife)}
	return s.app.base + hookPath + id
}

// met remembers where the app finds this stand-in: the addresses that it is given are of the same host.
func (s *Slack) met(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.app.base = "http://" + r.Host
}

// hookRequest is what the app tells a person later.
type hookRequest struct {
	s    *Slack
	id   string
	body []byte
}

func (r *hookRequest) note(call *Call) {
	if h := r.s.app.hooks[r.id]; h != nil {
		call.Channel = h.channel
	}
}

func (r *hookRequest) act(*Call) answer {
	h := r.s.app.hooks[r.id]
	var said struct {
		Type    string `json:"response_type"`
		Replace bool   `json:"replace_original"`
		Text    string
	}
	switch {
	case h == nil, r.s.now().After(h.until), h.uses >= hookUses:
		return answer{status: http.StatusNotFound, body: []byte("used_url"), err: "used_url"}
	case json.Unmarshal(r.body, &said) != nil || said.Text == "":
		return answer{status: http.StatusBadRequest, body: []byte("no_text"), err: "no_text"}
	case said.Type != "ephemeral" || said.Replace: // an app of ours speaks to one person, and leaves the card alone
		return answer{status: http.StatusBadRequest, body: []byte("not_ephemeral"), err: "not_ephemeral"}
	}
	h.uses++
	r.s.app.told = newest(append(r.s.app.told, Ephemeral{User: h.user, Channel: h.channel, Text: said.Text,
		At: r.s.now()}), r.s.keep)
	return answer{status: http.StatusOK, body: []byte("ok")}
}

func (r *slackRequest) groupMembers() answer {
	list, ok := r.s.cfg.Groups[r.form.Get("usergroup")]
	if !ok {
		return refuse("no_such_subteam")
	}
	return grant(map[string]any{"users": list})
}

func (r *slackRequest) userInfo() answer {
	id := r.form.Get("user")
	name, ok := r.s.cfg.People[id]
	if !ok {
		return refuse("user_not_found")
	}
	home := Home{teamID, r.s.cfg.Enterprise}
	if stranger, ok := r.s.cfg.Strangers[id]; ok {
		home = stranger
	}
	user := map[string]any{
		"id": id, "team_id": home.Team, "name": r.s.handle(id), "real_name": name,
		"profile":     map[string]any{"display_name": name, "real_name": name},
		"is_stranger": home.Team != teamID && (home.Enterprise == "" || home.Enterprise != r.s.cfg.Enterprise),
	}
	if home.Enterprise != "" {
		user["enterprise_user"] = map[string]any{"id": id, "enterprise_id": home.Enterprise}
	}
	return grant(map[string]any{"user": user})
}
