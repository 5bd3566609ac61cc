package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"flowbridge/notifiers/sandbox"
)

const token = "xoxb-sandbox"

// clock is a time that tests move.
type clock struct{ at time.Time }

func newClock() *clock                   { return &clock{at: time.Date(2026, 3, 14, 3, 0, 0, 0, time.UTC)} }
func (c *clock) now() time.Time          { return c.at }
func (c *clock) advance(d time.Duration) { c.at = c.at.Add(d) }

func startSlack(t *testing.T, cfg sandbox.SlackConfig) (*sandbox.Slack, *slack.Client) {
	t.Helper()
	s := sandbox.NewSlack(cfg)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, slack.New(token, slack.OptionAPIURL(server.URL+"/api/"))
}

func TestACardIsPostedEditedAndAnswered(t *testing.T) {
	s, api := startSlack(t, sandbox.SlackConfig{Channels: []string{"#ops", "#other"}, Now: newClock().now})
	ctx := t.Context()
	metadata := slack.MsgOptionMetadata(slack.SlackMetadata{EventType: "incident",
		EventPayload: map[string]any{"incident": 42}})

	id, ts, err := api.PostMessageContext(ctx, "#ops", slack.MsgOptionText("first", false), metadata)
	if err != nil {
		t.Fatal(err)
	}
	_, reply, m, err := api.PostMessageWithResponseContext(ctx, id, slack.MsgOptionText("worse", false),
		slack.MsgOptionTS(ts), slack.MsgOptionBroadcast())
	if err != nil || m.ThreadTimestamp != ts {
		t.Fatalf("reply landed in thread %q, want %q (%v)", m.ThreadTimestamp, ts, err)
	}
	if reply <= ts {
		t.Errorf("ts of the reply %s is not after %s", reply, ts)
	}
	card := slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, "*now*", false, false), nil, nil)
	_, _, _, err = api.UpdateMessageContext(ctx, id, ts, slack.MsgOptionText("second", false),
		slack.MsgOptionAttachments(slack.Attachment{Color: "#a30200", Blocks: slack.Blocks{BlockSet: []slack.Block{card}}}))
	if err != nil {
		t.Fatal(err)
	}

	type seen struct {
		Text, Thread, Color string
		Edited              int
		Broadcast           bool
	}
	var got []seen
	for _, m := range s.Messages("#ops") {
		got = append(got, seen{m.Text, m.ThreadTS, m.Color, m.Edited, m.Broadcast})
	}
	want := []seen{{"second", "", "#a30200", 1, false}, {"worse", ts, "", 0, true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if got := s.Thread("#ops", ts); len(got) != 2 {
		t.Errorf("thread has %d messages, want 2", len(got))
	}
	if got := s.Messages("#other"); got != nil {
		t.Errorf("#other has %d messages, want none", len(got))
	}

	link, err := api.GetPermalinkContext(ctx, &slack.PermalinkParameters{Channel: id, Ts: ts})
	if want := "https://sandbox.slack.com/archives/" + id + "/p" + strings.ReplaceAll(ts, ".", ""); link != want ||
		err != nil {
		t.Errorf("permalink %q (%v), want %q", link, err, want)
	}

	var methods []string
	for _, call := range s.Calls() {
		methods = append(methods, fmt.Sprintf("%s %s %d", call.Method, call.Channel, call.Status))
	}
	wantCalls := []string{"chat.postMessage #ops 200", "chat.postMessage #ops 200", "chat.update #ops 200",
		"chat.getPermalink #ops 200"}
	if diff := cmp.Diff(wantCalls, methods); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestHistoryFindsOurMessageByMetadata(t *testing.T) {
	clock := newClock()
	_, api := startSlack(t, sandbox.SlackConfig{Channels: []string{"#ops"}, NoLimits: true, Now: clock.now})
	ctx := t.Context()
	var id string
	var stamps []string
	for i := range 5 {
		clock.advance(time.Second)
		channel, ts, err := api.PostMessageContext(ctx, "#ops", slack.MsgOptionText("m", false),
			slack.MsgOptionMetadata(slack.SlackMetadata{EventType: "incident", EventPayload: map[string]any{"n": i}}))
		if err != nil {
			t.Fatal(err)
		}
		id, stamps = channel, append(stamps, ts)
	}
	if _, _, err := api.PostMessageContext(ctx, id, slack.MsgOptionText("hidden", false),
		slack.MsgOptionTS(stamps[0])); err != nil {
		t.Fatal(err)
	}

	var got []any
	cursor := ""
	for {
		page, err := api.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{
			ChannelID: id, Oldest: stamps[1], Inclusive: true, Limit: 2, Cursor: cursor, IncludeAllMetadata: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Messages {
			got = append(got, m.Metadata.EventPayload["n"])
		}
		if cursor = page.ResponseMetaData.NextCursor; !page.HasMore {
			break
		}
	}
	if diff := cmp.Diff([]any{4.0, 3.0, 2.0, 1.0}, got); diff != "" {
		t.Errorf("history, newest first (-want +got):\n%s", diff)
	}
	page, err := api.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{ChannelID: id,
		Oldest: stamps[3]})
	if err != nil || len(page.Messages) != 1 || page.Messages[0].Metadata.EventType != "" {
		t.Errorf("history after %s without metadata: %+v, %v", stamps[3], page, err)
	}
	replies, _, _, err := api.GetConversationRepliesContext(ctx, &slack.GetConversationRepliesParameters{ChannelID: id,
		Timestamp: stamps[0]})
	if err != nil || len(replies) != 2 || replies[1].Text != "hidden" || replies[0].ReplyCount != 1 {
		t.Errorf("replies: %+v, %v", replies, err)
	}
}

func TestAReplyToADeletedMessageLandsOutsideTheThread(t *testing.T) {
	s, api := startSlack(t, sandbox.SlackConfig{Channels: []string{"#ops"}})
	_, ts, err := api.PostMessageContext(t.Context(), "#ops", slack.MsgOptionText("root", false))
	if err != nil {
		t.Fatal(err)
	}
	if !s.DeleteMessage("#ops", ts) {
		t.Fatal("nothing was deleted")
	}
	_, _, m, err := api.PostMessageWithResponseContext(t.Context(), "#ops", slack.MsgOptionText("reply", false),
		slack.MsgOptionTS(ts))
	if err != nil || m.ThreadTimestamp != "" {
		t.Errorf("thread %q, error %v; want neither", m.ThreadTimestamp, err)
	}
}

func TestSlackRefusesWhatTheRealOneRefuses(t *testing.T) {
	text := slack.MsgOptionText("text", false)
	words := func(n int) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.MarkdownType, strings.Repeat("x", n), false, false)
	}
	section := func(n int) slack.Block { return slack.NewSectionBlock(words(n), nil, nil) }
	fields := func(n, size int) slack.Block {
		var list []*slack.TextBlockObject
		for range n {
			list = append(list, words(size))
		}
		return slack.NewSectionBlock(nil, list, nil)
	}
	plain := func(n int) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.PlainTextType, strings.Repeat("x", n), false, false)
	}
	context := func(n int) slack.Block {
		var list []slack.MixedElement
		for range n {
			list = append(list, words(1))
		}
		return slack.NewContextBlock("", list...)
	}
	dividers := func(n int) []slack.Block {
		var list []slack.Block
		for range n {
			list = append(list, slack.NewDividerBlock())
		}
		return list
	}
	button := func(label, value int) slack.Block {
		return slack.NewActionBlock("", slack.NewButtonBlockElement("a", strings.Repeat("v", value), plain(label)))
	}
	twice := func(id string) []slack.Block {
		b := slack.NewDividerBlock()
		b.BlockID = id
		return []slack.Block{b, b}
	}
	blocks := slack.MsgOptionBlocks
	attached := func(list ...slack.Block) slack.MsgOption {
		return slack.MsgOptionAttachments(slack.Attachment{Blocks: slack.Blocks{BlockSet: list}})
	}
	metadata := func(size int) slack.MsgOption {
		return slack.MsgOptionMetadata(slack.SlackMetadata{EventType: "e",
			EventPayload: map[string]any{"x": strings.Repeat("x", size)}})
	}

	tests := []struct {
		name string
		opts []slack.MsgOption
		want string
	}{
		{"fifty blocks are enough", []slack.MsgOption{text, blocks(dividers(50)...)}, ""},
		{"fifty-one blocks are too many", []slack.MsgOption{text, blocks(dividers(51)...)}, "invalid_blocks"},
		{"blocks of attachments count too", []slack.MsgOption{text, blocks(dividers(40)...), attached(dividers(11)...)},
			"invalid_attachments"},
		{"a section of 3000 fits", []slack.MsgOption{text, blocks(section(3000))}, ""},
		{"a section of 3001 does not", []slack.MsgOption{text, blocks(section(3001))}, "invalid_blocks"},
		{"the same in an attachment", []slack.MsgOption{text, attached(section(3001))}, "invalid_attachments"},
		{"an empty text", []slack.MsgOption{text, blocks(section(0))}, "invalid_blocks"},
		{"ten fields of 1300", []slack.MsgOption{text, blocks(fields(10, 1300))}, ""},
		{"eleven fields", []slack.MsgOption{text, blocks(fields(11, 1))}, "invalid_blocks"},
		{"a field of 2001", []slack.MsgOption{text, blocks(fields(1, 2001))}, "invalid_blocks"},
		{"an empty field", []slack.MsgOption{text, blocks(fields(2, 0))}, "invalid_blocks"},
		{"a header of 150", []slack.MsgOption{text, blocks(slack.NewHeaderBlock(plain(150)))}, ""},
		{"a header of 151", []slack.MsgOption{text, blocks(slack.NewHeaderBlock(plain(151)))}, "invalid_blocks"},
		{"a header in mrkdwn", []slack.MsgOption{text, blocks(slack.NewHeaderBlock(words(1)))}, "invalid_blocks"},
		{"ten elements of context", []slack.MsgOption{text, blocks(context(10))}, ""},
		{"eleven elements of context", []slack.MsgOption{text, blocks(context(11))}, "invalid_blocks"},
		{"no element of context", []slack.MsgOption{text, blocks(context(0))}, "invalid_blocks"},
		{"a button", []slack.MsgOption{text, blocks(button(75, 2000))}, ""},
		{"a button with a long label", []slack.MsgOption{text, blocks(button(76, 1))}, "invalid_blocks"},
		{"a button with a long value", []slack.MsgOption{text, blocks(button(1, 2001))}, "invalid_blocks"},
		{"two blocks of one id", []slack.MsgOption{text, blocks(twice("same")...)}, "invalid_blocks"},
		{"a block id of 256", []slack.MsgOption{text, blocks(twice(strings.Repeat("i", 256))[:1]...)}, "invalid_blocks"},
		{"too much text together", []slack.MsgOption{text, blocks(section(3000), section(3000), section(3000), section(3000),
			section(1201))}, "msg_blocks_too_long"},
		{"too much text over blocks and attachments", []slack.MsgOption{text, blocks(section(3000), section(3000)),
			attached(section(3000), section(3000), section(1201))}, "msg_blocks_too_long"},
		{"nothing at all", nil, "no_text"},
		{"metadata", []slack.MsgOption{text, metadata(7000)}, ""},
		{"too much metadata", []slack.MsgOption{text, metadata(8000)}, "metadata_too_large"},
	}
	s, api := startSlack(t, sandbox.SlackConfig{Channels: []string{"#ops"}, NoLimits: true})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := len(s.Messages("#ops"))
			_, _, err := api.PostMessageContext(t.Context(), "#ops", test.opts...)
			if got := code(err); got != test.want {
				t.Errorf("error %q, want %q", got, test.want)
			}
			if posted := len(s.Messages("#ops")) > before; posted != (test.want == "") {
				t.Errorf("posted: %v", posted)
			}
		})
	}
}

func TestSlackSaysWhichBlockIsWrong(t *testing.T) {
	_, api := startSlack(t, sandbox.SlackConfig{Channels: []string{"#ops"}})
	_, _, err := api.PostMessageContext(t.Context(), "#ops",
		slack.MsgOptionBlocks(slack.NewHeaderBlock(slack.NewTextBlockObject(slack.PlainTextType, strings.Repeat("x", 151),
			false, false))))
	refusal, ok := errors.AsType[slack.SlackErrorResponse](err)
	if want := "[ERROR] must be less than 151 characters [json-pointer:/blocks/0/text/text]"; !ok ||
		len(refusal.ResponseMetadata.Messages) != 1 || refusal.ResponseMetadata.Messages[0] != want {
		t.Errorf("got %+v (%v), want %q", refusal, err, want)
	}
}

func TestSlackKnowsWhoMayDoWhat(t *testing.T) {
	text := slack.MsgOptionText("text", false)
	post := func(channel string) func(context.Context, *slack.Client) error {
		return func(ctx context.Context, api *slack.Client) error {
			_, _, err := api.PostMessageContext(ctx, channel, text)
			return err
		}
	}
	update := func(channel, ts, words string) func(context.Context, *slack.Client) error {
		return func(ctx context.Context, api *slack.Client) error {
			_, _, _, err := api.UpdateMessageContext(ctx, channel, ts, slack.MsgOptionText(words, false))
			return err
		}
	}
	const id = "C0SANDBOX01"
	tests := []struct {
		name  string
		cfg   sandbox.SlackConfig
		setup func(*sandbox.Slack)
		call  func(context.Context, *slack.Client) error
		want  string
	}{
		{name: "another token", cfg: sandbox.SlackConfig{Token: "xoxb-other"}, call: post("#ops"), want: "invalid_auth"},
		{name: "an unknown channel", call: post("#nowhere"), want: "channel_not_found"},
		{name: "a channel without the #", call: post("ops")},
		{name: "an archived channel", setup: func(s *sandbox.Slack) { s.Archive("#ops", true) }, call: post("#ops"),
			want: "is_archived"},
		{name: "a channel we are not in", setup: func(s *sandbox.Slack) { s.Invite("#ops", false) }, call: post("#ops"),
			want: "not_in_channel"},
		{name: "a channel we joined", setup: func(s *sandbox.Slack) { s.Invite("#ops", false) },
			call: func(ctx context.Context, api *slack.Client) error {
				if _, _, _, err := api.JoinConversationContext(ctx, id); err != nil {
					return err
				}
				return post(id)(ctx, api)
			}},
		{name: "chat:write.public posts without joining", cfg: sandbox.SlackConfig{Scopes: []string{"chat:write",
			"chat:write.public"}}, setup: func(s *sandbox.Slack) { s.Invite("#ops", false) }, call: post("#ops")},
		{name: "no scope", cfg: sandbox.SlackConfig{Scopes: []string{}}, call: post("#ops"), want: "missing_scope"},
		{name: "an update of nothing", call: update(id, "1.000001", "x"), want: "message_not_found"},
		{name: "an update by the channel's name", call: update("#ops", "1.000001", "x"), want: "channel_not_found"},
		{name: "an update in an unknown channel", call: update("C0NOWHERE", "1.000001", "x"), want: "channel_not_found"},
		{name: "a permalink of nothing", call: func(ctx context.Context, api *slack.Client) error {
			_, err := api.GetPermalinkContext(ctx, &slack.PermalinkParameters{Channel: id, Ts: "1.000001"})
			return err
		}, want: "message_not_found"},
		{name: "replies to nothing", call: func(ctx context.Context, api *slack.Client) error {
			_, _, _, err := api.GetConversationRepliesContext(ctx, &slack.GetConversationRepliesParameters{ChannelID: id,
				Timestamp: "1.000001"})
			return err
		}, want: "thread_not_found"},
		{name: "an update of 4001 characters", call: func(ctx context.Context, api *slack.Client) error {
			_, ts, err := api.PostMessageContext(ctx, id, text)
			if err != nil {
				return err
			}
			return update(id, ts, strings.Repeat("x", 4001))(ctx, api)
		}, want: "msg_too_long"},
		{name: "an update that leaves nothing", call: func(ctx context.Context, api *slack.Client) error {
			_, ts, err := api.PostMessageContext(ctx, id, text)
			if err != nil {
				return err
			}
			return update(id, ts, "")(ctx, api)
		}, want: "no_text"},
		{name: "a message that is deleted twice", call: func(ctx context.Context, api *slack.Client) error {
			_, ts, err := api.PostMessageContext(ctx, id, text)
			if err != nil {
				return err
			}
			if _, _, err := api.DeleteMessageContext(ctx, id, ts); err != nil {
				return err
			}
			_, _, err = api.DeleteMessageContext(ctx, id, ts)
			return err
		}, want: "message_not_found"},
		{name: "a method nobody knows", call: func(ctx context.Context, api *slack.Client) error {
			_, err := api.GetEmojiContext(ctx)
			return err
		}, want: "unknown_method"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Channels = []string{"#ops"}
			s, api := startSlack(t, test.cfg)
			if test.setup != nil {
				test.setup(s)
			}
			if got := code(test.call(t.Context(), api)); got != test.want {
				t.Errorf("error %q, want %q", got, test.want)
			}
		})
	}
}

func TestAMessageCanBeFrozenAndItsThreadLocked(t *testing.T) {
	now := newClock()
	s, api := startSlack(t, sandbox.SlackConfig{Channels: []string{"#ops"}, EditWindow: time.Minute, Now: now.now})
	ctx := t.Context()
	id, ts, err := api.PostMessageContext(ctx, "#ops", slack.MsgOptionText("first", false))
	if err != nil {
		t.Fatal(err)
	}
	edit := func() string {
		_, _, _, err := api.UpdateMessageContext(ctx, id, ts, slack.MsgOptionText("second", false))
		return code(err)
	}
	reply := func() string {
		_, _, err := api.PostMessageContext(ctx, id, slack.MsgOptionText("reply", false), slack.MsgOptionTS(ts))
		return code(err)
	}
	got := []string{edit(), reply()}
	now.advance(time.Minute)
	s.LockThread("#ops", ts, "restricted_action_thread_locked")
	got = append(got, edit(), reply())
	s.LockThread("#ops", ts, "")
	got = append(got, reply())
	if diff := cmp.Diff([]string{"", "", "edit_window_closed", "restricted_action_thread_locked", ""}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestAuthTestListsTheScopes(t *testing.T) {
	_, api := startSlack(t, sandbox.SlackConfig{Scopes: []string{"chat:write", "channels:read"},
		Channels: []string{"#ops"}})
	who, err := api.AuthTestContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := who.Header.Get("X-OAuth-Scopes"), "chat:write,channels:read"; got != want {
		t.Errorf("scopes %q, want %q", got, want)
	}
	list, _, err := api.GetConversationsContext(t.Context(), &slack.GetConversationsParameters{})
	if err != nil || len(list) != 1 || list[0].Name != "ops" || !list[0].IsMember {
		t.Errorf("channels %+v, %v", list, err)
	}
	ch, err := api.GetConversationInfoContext(t.Context(), &slack.GetConversationInfoInput{ChannelID: list[0].ID})
	if err != nil || ch.Name != "ops" {
		t.Errorf("channel %+v, %v", ch, err)
	}
}

func TestPostsAreOneASecondAfterABurst(t *testing.T) {
	clock := newClock()
	_, api := startSlack(t, sandbox.SlackConfig{Channels: []string{"#ops", "#other"}, Now: clock.now})
	post := func(channel string) error {
		_, _, err := api.PostMessageContext(t.Context(), channel, slack.MsgOptionText("x", false))
		return err
	}
	for range 5 {
		if err := post("#ops"); err != nil {
			t.Fatal(err)
		}
	}
	limited, ok := errors.AsType[*slack.RateLimitedError](post("#ops"))
	if !ok || limited.RetryAfter != time.Second {
		t.Fatalf("sixth post in a row: %v, want a wait of 1 s", limited)
	}
	if err := post("#other"); err != nil {
		t.Errorf("another channel is limited too: %v", err)
	}
	clock.advance(time.Second)
	if err := post("#ops"); err != nil {
		t.Errorf("a second later: %v", err)
	}
	if err := post("#ops"); code(err) == "" {
		t.Error("two posts in that second went through")
	}
}

func TestUpdatesAreFiftyAMinuteForTheWholeApp(t *testing.T) {
	clock := newClock()
	_, api := startSlack(t, sandbox.SlackConfig{Channels: []string{"#ops"}, Now: clock.now})
	id, ts, err := api.PostMessageContext(t.Context(), "#ops", slack.MsgOptionText("x", false))
	if err != nil {
		t.Fatal(err)
	}
	update := func() error {
		_, _, _, err := api.UpdateMessageContext(t.Context(), id, ts, slack.MsgOptionText("y", false))
		return err
	}
	for i := range 50 {
		if err := update(); err != nil {
			t.Fatalf("update %d: %v", i+1, err)
		}
		clock.advance(time.Second)
	}
	limited, ok := errors.AsType[*slack.RateLimitedError](update())
	if !ok || limited.RetryAfter != 10*time.Second {
		t.Fatalf("update 51: %v, want a wait of 10 s", limited)
	}
	clock.advance(10 * time.Second)
	if err := update(); err != nil {
		t.Errorf("ten seconds later: %v", err)
	}
}

// code is the error as Slack calls it, or as the library does.
func code(err error) string {
	if err == nil {
		return ""
	}
	if refusal, ok := errors.AsType[slack.SlackErrorResponse](err); ok {
		return refusal.Err
	}
	if status, ok := errors.AsType[slack.StatusCodeError](err); ok {
		return http.StatusText(status.Code)
	}
	return err.Error()
}
