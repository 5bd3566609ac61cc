package sandbox_test

import (
	"flag"
	"path/filepath"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"flowbridge/notifiers/sandbox"
	"flowbridge/notifiers/sandbox/sandboxtest"
)

var update = flag.Bool("update", false, "write the golden files")

func TestAChannelIsDrawnAsItLooksNow(t *testing.T) {
	clock := newClock()
	s, api := startSlack(t, sandbox.SlackConfig{Channels: []string{"#ops", "#quiet"}, NoLimits: true, Now: clock.now})
	mrkdwn := func(text string) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.MarkdownType, text, false, false)
	}
	plain := func(text string) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.PlainTextType, text, false, false)
	}
	post := func(opts ...slack.MsgOption) (id, ts string) {
		t.Helper()
		id, ts, err := api.PostMessageContext(t.Context(), "#ops", opts...)
		if err != nil {
			t.Fatal(err)
		}
		clock.advance(time.Minute)
		return id, ts
	}
	runbook := slack.NewButtonBlockElement("runbook", "", plain("Runbook"))
	resolve := slack.NewButtonBlockElement("resolve", "", plain("Resolve")).WithStyle(slack.StyleDanger)
	card := slack.MsgOptionAttachments(slack.Attachment{Color: "#a30200", Blocks: slack.Blocks{BlockSet: []slack.Block{
		slack.NewHeaderBlock(plain("Checkout <EU>: endpoint error rate")),
		slack.NewSectionBlock(mrkdwn(
			":rotating_light: *Critical*, open since <!date^1773457200^{time}|03:00>: 5 % → 10 % → *50 %*. "+
				"See <https://example.com/inc/42|INC-42> and the runbook, which explains what to look at first and whom to wake."),
			nil, nil),
		slack.NewSectionBlock(nil, []*slack.TextBlockObject{
			mrkdwn("*Now*\n62.5 % (was 14 %)"), mrkdwn("*Requests*\n1200"),
			mrkdwn("*Owner*\npayments, who are asked to look at this at once, whatever the hour may be"),
		}, nil),
		slack.NewSectionBlock(mrkdwn("```timeout_error      60 %  answer faster\nmissing_capability  5 %  ask Meta```"), nil,
			nil),
		slack.NewDividerBlock(),
		slack.NewActionBlock("", runbook, resolve),
		slack.NewContextBlock("", mrkdwn("rule _payments endpoint_"), mrkdwn("`rev 3`")),
	}}})
	id, ts := post(slack.MsgOptionText("Checkout is failing", false), card)
	post(slack.MsgOptionText("Endpoint error rate over 50 %: now 62.5 %", false), slack.MsgOptionTS(ts),
		slack.MsgOptionBroadcast())
	post(slack.MsgOptionText(
		"Still over 50 %. A line that is long enough to be wrapped, since a thread has to stay readable on a narrow "+
			"terminal as well.", false), slack.MsgOptionTS(ts))
	if _, _, _, err := api.UpdateMessageContext(t.Context(), id, ts, slack.MsgOptionText("Checkout is failing", false),
		card); err != nil {
		t.Fatal(err)
	}
	post(slack.MsgOptionText("A hostile flow: &lt;!channel&gt; \x1b[31mred\x1b[0m &amp; *bold*", false))
	post(slack.MsgOptionText("for notifications only", false),
		slack.MsgOptionBlocks(slack.NewSectionBlock(mrkdwn("a block above"), nil, nil)),
		slack.MsgOptionAttachments(slack.Attachment{Color: "#2eb886", Text: "an old attachment"}))

	for name, o := range map[string]sandbox.RenderOptions{"plain": {}, "ansi": {ANSI: true}, "narrow": {Width: 50}} {
		golden(t, "render-"+name+".txt", s.Render("#ops", o))
	}
	if got, want := s.Render("#quiet", sandbox.RenderOptions{}),
		"#quiet\n       nobody has written anything here\n"; got != want {
		t.Errorf("an empty channel: %q, want %q", got, want)
	}
	if got, want := s.Render("#gone", sandbox.RenderOptions{}), "#gone: no such channel\n"; got != want {
		t.Errorf("an unknown channel: %q, want %q", got, want)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	sandboxtest.Golden(t, filepath.Join("testdata", name), got, *update)
}
