package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"flowbridge/notifiers/sandbox"
)

// pressable posts a message with a button and a menu, and returns its ts.
func pressable(t *testing.T, api *slack.Client) string {
	t.Helper()
	plain := func(s string) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.PlainTextType, s, false, false)
	}
	menu := slack.NewOptionsSelectBlockElement(slack.OptTypeStatic, plain("For how long"), "silence",
		slack.NewOptionBlockObject("1h", plain("1 h"), nil), slack.NewOptionBlockObject("4h", plain("4 h"), nil))
	_, ts, err := api.PostMessageContext(t.Context(), "#ops",
		slack.MsgOptionAttachments(slack.Attachment{Blocks: slack.Blocks{BlockSet: []slack.Block{
			slack.NewActionBlock("block-1", slack.NewButtonBlockElement("ack", "42", plain("Acknowledge")), menu),
		}}}))
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

// listen is an app: it keeps what is posted to it, with its signature checked.
func listen(t *testing.T, s *sandbox.Slack, answer string) *[]*http.Request {
	t.Helper()
	var got []*http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		v, err := slack.NewSecretsVerifier(r.Header, "sandbox-signing-secret")
		if err != nil {
			t.Errorf("signature: %v", err)
			return
		}
		_, _ = v.Write(body)
		if err := v.Ensure(); err != nil {
			t.Errorf("signature: %v", err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		got = append(got, r)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	s.Connect(server.URL+"/actions", server.URL+"/commands")
	return &got
}

func TestAPressIsSentAsSlackSendsIt(t *testing.T) {
	s, api := startSlack(t, sandbox.SlackConfig{Channels: []string{"#ops"}, People: map[string]string{"U1": "Sam Lee"}})
	ts := pressable(t, api)
	got := listen(t, s, "")
	for _, p := range []sandbox.Press{{Action: "ack", User: "U1"}, {Action: "silence", Option: 1}} {
		if sent, err := s.Press(t.Context(), "#ops", ts, p); err != nil || sent.Status != http.StatusOK {
			t.Fatalf("%+v %v", sent, err)
		}
	}
	first, err := slack.InteractionCallbackParse((*got)[0])
	if err != nil {
		t.Fatal(err)
	}
	second, err := slack.InteractionCallbackParse((*got)[1])
	if err != nil {
		t.Fatal(err)
	}
	type seen struct{ Team, User, Name, Channel, Message, Action, Block, Value string }
	read := func(c slack.InteractionCallback) seen {
		a := c.ActionCallback.BlockActions[0]
		return seen{c.Team.ID, c.User.ID, c.User.Name, c.Channel.ID, c.Message.Timestamp, a.ActionID, a.BlockID,
			a.Value + a.SelectedOption.Value}
	}
	want := []seen{
		{"T0SANDBOX", "U1", "sam.lee", "C0SANDBOX01", ts, "ack", "block-1", "42"},
		{"T0SANDBOX", "U0PERSON", "u0person", "C0SANDBOX01", ts, "silence", "block-1", "4h"},
	}
	if diff := cmp.Diff(want, []seen{read(first), read(second)}); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if first.TriggerID == second.TriggerID ||
		first.ActionCallback.BlockActions[0].ActionTs == second.ActionCallback.BlockActions[0].ActionTs {
		t.Error("two presses share a trigger or a time")
	}
	for _, p := range []sandbox.Press{{Action: "no such"}, {Action: "silence", Option: 2}, {}} {
		if _, err := s.Press(t.Context(), "#ops", ts, p); err == nil {
			t.Errorf("%+v: there is nothing to press", p)
		}
	}
	if _, err := s.Press(t.Context(), "#ops", "1.0", sandbox.Press{Action: "ack"}); err == nil {
		t.Error("there is no such message")
	}
}

func TestACommandIsAnsweredAndItsAddressTakesFiveMoreWords(t *testing.T) {
	clock := newClock()
	s, _ := startSlack(t, sandbox.SlackConfig{Channels: []string{"#ops"}, Now: clock.now})
	base := httptest.NewServer(s)
	t.Cleanup(base.Close)
	api := slack.New(token, slack.OptionAPIURL(base.URL+"/api/"))
	if _, err := api.AuthTestContext(t.Context()); err != nil { // an app has called before it is called
		t.Fatal(err)
	}
	got := listen(t, s, `{"response_type":"ephemeral","text":"here"}`)
	sent, err := s.Write(t.Context(), sandbox.Command{Text: "ack 42"})
	if err != nil || sent.Text() != "here" {
		t.Fatalf("%+v %v", sent, err)
	}
	c, err := slack.SlashCommandParse((*got)[0])
	if err != nil || c.Command != "/flows" || c.Text != "ack 42" || c.TeamID != "T0SANDBOX" || c.ChannelName != "ops" ||
		c.TriggerID == "" {
		t.Errorf("%+v %v", c, err)
	}
	tell := func(body string) int {
		resp, err := http.Post(c.ResponseURL, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	if status := tell(`{"text":"to all","response_type":"in_channel"}`); status != http.StatusBadRequest {
		t.Errorf("a word to everybody is answered %d", status)
	}
	for range 5 {
		if status := tell(`{"text":"psst","response_type":"ephemeral"}`); status != http.StatusOK {
			t.Errorf("a word is answered %d", status)
		}
	}
	if status := tell(`{"text":"psst","response_type":"ephemeral"}`); status != http.StatusNotFound {
		t.Errorf("the sixth word is answered %d", status)
	}
	if told := s.Told(); len(told) != 5 ||
		told[0] != (sandbox.Ephemeral{User: "U0PERSON", Channel: "#ops", Text: "psst", At: told[0].At}) {
		t.Errorf("told %+v", told)
	}
}

func TestGroupsPeopleAndTheirScopes(t *testing.T) {
	_, api := startSlack(t, sandbox.SlackConfig{Groups: map[string][]string{"S1": {"U1"}},
		People: map[string]string{"U1": "Sam"}})
	if got, err := api.GetUserGroupMembersContext(t.Context(), "S1"); err != nil || len(got) != 1 || got[0] != "U1" {
		t.Errorf("members %v %v", got, err)
	}
	if _, err := api.GetUserGroupMembersContext(t.Context(), "S2"); err == nil || err.Error() != "no_such_subteam" {
		t.Errorf("another group: %v", err)
	}
	if _, err := api.GetUserInfoContext(t.Context(), "U1"); err == nil || err.Error() != "missing_scope" {
		t.Errorf("without users:read: %v", err)
	}
	_, api = startSlack(t, sandbox.SlackConfig{Scopes: []string{"users:read"}, People: map[string]string{"U1": "Sam"}})
	if got, err := api.GetUserInfoContext(t.Context(), "U1"); err != nil || got.Profile.DisplayName != "Sam" {
		t.Errorf("%+v %v", got, err)
	}
}

func TestAnAppThatDoesNotAnswerHasFailed(t *testing.T) {
	s, api := startSlack(t, sandbox.SlackConfig{Channels: []string{"#ops"}})
	ts := pressable(t, api)
	if _, err := s.Press(t.Context(), "#ops", ts, sandbox.Press{Action: "ack"}); err == nil {
		t.Error("nobody listens")
	}
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer server.Close()
	defer close(hang)
	s.Connect(server.URL, server.URL)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Press(ctx, "#ops", ts, sandbox.Press{Action: "ack"}); err == nil {
		t.Error("no answer came")
	}
}

func TestMenusAndQuestionsHaveTheirLimits(t *testing.T) {
	_, api := startSlack(t, sandbox.SlackConfig{Channels: []string{"#ops"}, NoLimits: true})
	element := func(change func(e map[string]any)) string {
		e := map[string]any{"type": "overflow", "action_id": "a", "options": []any{}}
		change(e)
		blocks, _ := json.Marshal([]any{map[string]any{"type": "actions", "elements": []any{e}}})
		return string(blocks)
	}
	options := func(n int) (list []any) {
		for range n {
			list = append(list, map[string]any{"text": map[string]any{"type": "plain_text", "text": "x"}, "value": "v"})
		}
		return list
	}
	word := func(n int) map[string]any {
		return map[string]any{"type": "plain_text", "text": strings.Repeat("x", n)}
	}
	for name, change := range map[string]func(e map[string]any){
		"six in an overflow menu": func(e map[string]any) { e["options"] = options(6) },
		"101 in a menu":           func(e map[string]any) { e["type"], e["options"] = "static_select", options(101) },
		"a long placeholder": func(e map[string]any) {
			e["type"], e["options"], e["placeholder"] = "static_select", options(1), word(151)
		},
		"a long yes": func(e map[string]any) {
			e["options"], e["confirm"] = options(1), map[string]any{"title": word(1), "text": word(1), "confirm": word(31)}
		},
	} {
		var blocks slack.Blocks
		if err := json.Unmarshal([]byte(element(change)), &blocks); err != nil {
			t.Fatal(err)
		}
		_, _, err := api.PostMessageContext(t.Context(), "#ops", slack.MsgOptionText("t", false),
			slack.MsgOptionBlocks(blocks.BlockSet...))
		if err == nil || err.Error() != "invalid_blocks" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
