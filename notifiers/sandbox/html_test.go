package sandbox_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
)

var drawn = time.Date(2026, 3, 2, 9, 20, 0, 0, time.UTC)

// TestTheCardsOfSlackAreDrawnForABrowser draws each card that the tests of Slack hold: what the bridge really sends.
func TestTheCardsOfSlackAreDrawnForABrowser(t *testing.T) {
	cards, err := filepath.Glob("../slack/testdata/*.json")
	if err != nil || len(cards) < 10 {
		t.Fatalf("%d cards (%v)", len(cards), err)
	}
	for _, path := range cards {
		var card struct {
			Text                string
			Blocks, Attachments json.RawMessage
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if json.Unmarshal(data, &card) != nil || card.Blocks == nil {
			continue // a file of something else
		}
		m := sandbox.Message{TS: "1.000001", Posted: drawn, Text: card.Text, Blocks: card.Blocks,
			Attachments: card.Attachments}
		got, err := sandbox.HTML{Press: "/press"}.Message("#ops", m, nil)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		for _, bad := range []string{"ZgotmplZ", "&amp;lt;", "&amp;amp;", "<!date", "<script", "style=", "\x00"} {
			if strings.Contains(string(got), bad) {
				t.Errorf("%s: %q is in it:\n%s", path, bad, got)
			}
		}
	}
}

func TestACardIsDrawnForABrowser(t *testing.T) {
	blocks := `[{"type":"header","text":{"type":"plain_text","text":"Checkout <EU>"}},
		{"type":"section","text":{"type":"mrkdwn","text":":fire: *Critical*, _still_ ~open~ since <!date^1773457200^{time}|03:00>: <https://example.com/a_b_c?x=1&amp;y=2|*INC-42*>, <@U0ONE>, <!here>"}},
		{"type":"section","fields":[{"type":"mrkdwn","text":"*Now*\n62 %"},{"type":"mrkdwn","text":"*Was*\n` + "`5 %`" +
		`"}]},
		{"type":"divider"},
		{"type":"section","text":{"type":"mrkdwn","text":"` + "```a  *b*```" + `"}},
		{"type":"context","elements":[{"type":"mrkdwn","text":"rule _x_"}]}]`
	attachments := `[{"color":"#a30200","blocks":[{"type":"actions","elements":[
		{"type":"button","action_id":"acknowledge","style":"primary","text":{"type":"plain_text","text":"Acknowledge"},"value":"42"},
		{"type":"button","action_id":"resolve","style":"danger","text":{"type":"plain_text","text":"Resolve"},
			"confirm":{"title":{"type":"plain_text","text":"Sure?"},"text":{"type":"plain_text","text":"Meta still reports it."},"confirm":{"type":"plain_text","text":"Yes"}}},
		{"type":"static_select","action_id":"silence","placeholder":{"type":"plain_text","text":"Silence"},"options":[{"text":{"type":"plain_text","text":"for 1 h"},"value":"1"}]},
		{"type":"button","action_id":"open","url":"https://example.com/","text":{"type":"plain_text","text":"Runbook"}}]}]}]`
	m := sandbox.Message{TS: "1.000002", Posted: drawn, Edited: 2, Blocks: json.RawMessage(blocks),
		Attachments: json.RawMessage(attachments)}
	replies := []sandbox.Message{{TS: "1.000003", ThreadTS: "1.000002", Posted: drawn, Text: "worse &amp; worse",
		Broadcast: true}}
	names := map[string]string{"U0ONE": "an on-call engineer"}
	for name, h := range map[string]sandbox.HTML{"html-pressed": {Press: "/press", Names: names}, "html-still": {}} {
		got, err := h.Message("#ops", m, replies)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".html", string(got))
	}
}

func TestLinksBetweenTheServicesStayOnThePage(t *testing.T) {
	here := sandbox.HTML{Here: true}
	const channel = "https://sandbox.slack.com/archives/C0SANDBOX01/"
	for address, want := range map[string]string{
		"https://example.pagerduty.com/incidents/Q0000012":           "#pd-12",
		channel + "p1773457260123456":                                "#m-1773457260.123456",
		channel + "p1773457260123456?thread_ts=1773457260.123&cid=C": "#m-1773457260.123456",
		channel + "pnone":         channel + "pnone",
		"https://example.com/Q12": "https://example.com/Q12",
		"javascript:alert(1)":     "",
	} {
		if got := here.Link(address); got != want {
			t.Errorf("%s leads to %q, want %q", address, got, want)
		}
		if got := (sandbox.HTML{}).Link(address); got != address && want != "" {
			t.Errorf("elsewhere %s leads to %q", address, got)
		}
	}
}

func TestHostileTextIsNoMarkup(t *testing.T) {
	for _, text := range []string{
		`<script>alert(1)</script>`, `&lt;script&gt;alert(1)&lt;/script&gt;`, `"><img src=x onerror=alert(1)>`,
		`<javascript:alert(1)|press>`, `<javascript:alert(1)>`, `<data:text/html,x|y>`, `<https://a/"onclick="alert(1)|x>`,
		`<https://a/|&lt;img src=x onerror=alert(1)&gt;>`, "`<b onclick=x>`", "```<img src=x onerror=alert(1)>```",
		`<!date^"><script>^{time}|<script>alert(1)</script>>`, `<@"><script>>`, `<!subteam^"><img>|"><img>>`,
		"\x000\x00", "\x0099\x00 <https://a|b>", `*<https://a/*b*|x>* _<https://b/_c_|y>_`, "<vbscript:x|y> <//evil|z>",
	} {
		raw, _ := json.Marshal([]any{map[string]any{"type": "section", "text": map[string]any{"type": "mrkdwn", "text": text},
			"fields": []any{map[string]any{"type": "plain_text", "text": text}}}})
		got, err := sandbox.HTML{Press: "/p", Names: map[string]string{"U": text}}.Message(text,
			sandbox.Message{TS: text, Text: text, Blocks: raw, Color: text}, nil)
		if err != nil {
			t.Fatal(err)
		}
		inc, err := sandbox.HTML{Page: "/p"}.Incident(sandbox.Incident{Number: 1, Status: "triggered", Summary: text,
			Severity: text, Assignees: []string{text},
			Notes: []string{text}, Client: text, ClientURL: text, Links: []sandbox.Link{{Href: text, Text: text}},
			Details: map[string]any{text: text, "more": []any{text}}})
		if err != nil {
			t.Fatal(err)
		}
		alone, err := sandbox.HTML{}.Ephemeral(sandbox.Ephemeral{User: text, Channel: text, Text: text}, text)
		if err != nil {
			t.Fatal(err)
		}
		if bad := markup(string(got + inc + alone)); bad != "" {
			t.Errorf("%q: %s", text, bad)
		}
	}
}

func FuzzTextIsNoMarkup(f *testing.F) {
	f.Add("*a* _b_ ~c~ `d` ```e``` <https://f|g> <!date^1^{time}|h> <@i> <#j|k> &lt;&amp;&gt; :fire:")
	f.Add("\x00<\x00|>\x001\x00*_`")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := sandbox.HTML{}.Message("#a", sandbox.Message{Text: text}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if bad := markup(string(got)); bad != "" {
			t.Errorf("%q: %s", text, bad)
		}
	})
}

// allowed are the tags and attributes of the drawing.
var allowed = regexp.MustCompile(
	`^/?(article|form|input|div|span|b|i|s|br|hr|pre|code|p|h3|time|a|ul|li|button|select|option|details|summary|table|tr|th|td)( (class|id|tabindex|datetime|method|action|type|name|value|href|target|rel|scope|aria-label|aria-hidden)="[^"<>]*")*$`)

// markup returns the first tag that the drawing has no business with, or a link to somewhere else than the web; "" for
// none.
func markup(drawn string) string {
	for _, tag := range regexp.MustCompile(`<[^>]*>?`).FindAllString(drawn, -1) {
		if !strings.HasSuffix(tag, ">") || !allowed.MatchString(strings.Trim(tag, "<>")) {
			return tag
		}
		for _, href := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(tag, -1) {
			if !regexp.MustCompile(`^(https?|mailto):`).MatchString(href[1]) {
				return tag
			}
		}
	}
	return ""
}

func TestAnIncidentOfPagerDutyIsDrawnForABrowser(t *testing.T) {
	inc := sandbox.Incident{
		Number: 7, Status: sandbox.IncidentAcknowledged, Summary: "Critical: Checkout <EU> fails", Severity: "critical",
		OpenedAt: drawn, AcknowledgedAt: drawn.Add(5 * time.Minute), Assignees: []string{"an on-call engineer"},
		Notes:  []string{"looking"},
		Client: "flowbridge", ClientURL: "https://flows.example.com/incidents/42",
		Links: []sandbox.Link{{Href: "https://sandbox.slack.com/archives/C0SANDBOX01/p1773457200000100",
			Text: "Slack: ops"}, {Text: "nowhere"}},
		Details: map[string]any{"now": "62 %", "requests": 1200.0, "active": []any{"one", "two"},
			"errors": []any{map[string]any{"type": "timeout"}}},
	}
	got, err := sandbox.HTML{Page: "/pagerduty", Here: true}.Incident(inc)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "html-incident.html", string(got))
	for status, buttons := range map[string]string{"triggered": "acknowledge resolve",
		"acknowledged": "unacknowledge resolve", "resolved": "reopen"} {
		inc.Status = status
		pressed, err := sandbox.HTML{Page: "/pagerduty"}.Incident(inc)
		still, stillErr := sandbox.HTML{}.Incident(inc)
		if err != nil || stillErr != nil {
			t.Fatal(err, stillErr)
		}
		var offered []string
		for _, b := range regexp.MustCompile(`name="do" value="([a-z]+)"`).FindAllStringSubmatch(string(pressed), -1) {
			offered = append(offered, b[1])
		}
		if strings.Join(offered, " ") != buttons || strings.Contains(string(still), "<form") {
			t.Errorf("%s offers %q, want %q", status, offered, buttons)
		}
	}
}
