package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

const slackStoryRules = `version: 1
notifiers:
  chat: {kind: slack, channel: "#ops"%s}
  page: {kind: pagerduty, routing_key: "${PD_KEY}"}
rules:
  - name: everything
    match: {field: flows}
    notify: [chat, {to: page, severity: ">=error"}]
`

// slackStory is a bridge as a process of its own, with people in Slack. Meta's clock goes on by a minute with each
// post.
type slackStory struct {
	*services
	*process
	t     *testing.T
	clock int64
}

// newSlackStory starts one that Slack reaches over HTTP; more adds to the notifier of Slack in the rules.
func newSlackStory(t *testing.T, more string) *slackStory {
	t.Helper()
	s := &slackStory{services: newServices(t, "#ops"), t: t, clock: time.Now().Add(-time.Hour).Unix()}
	s.env = append(s.env, "SLACK_SIGNING_SECRET=sandbox-signing-secret")
	s.start(more)
	s.Slack.Connect(s.Public+"/slack/actions", s.Public+"/slack/commands")
	return s
}

func (s *slackStory) start(more string) {
	s.t.Helper()
	s.process = start(s.t, s.services, writeRules(s.t, fmt.Sprintf(slackStoryRules, more)),
		filepath.Join(s.t.TempDir(), "bridge.db"))
	s.t.Cleanup(func() {
		sandbox.AssertNoSecret(s.t, []string{"sandbox-signing-secret", "xapp-sandbox", testSlackToken}, s.stderr.String())
	})
}

// meta posts what Meta says of a threshold of the error rate.
func (s *slackStory) meta(state string, threshold float64) {
	s.t.Helper()
	s.clock += 60
	s.post(s.t, pairPost(s.clock, "77", state, threshold), http.StatusOK)
}

// settle waits until everything is folded and told.
func (s *slackStory) settle() {
	s.t.Helper()
	eventually(s.t, "nothing waits", func() bool {
		return s.toCome(s.t) == 0
	})
}

// cards returns the root messages, oldest first.
func (s *slackStory) cards() (roots []sandbox.Message) {
	for _, m := range s.Slack.Messages("#ops") {
		if m.ThreadTS == "" {
			roots = append(roots, m)
		}
	}
	return roots
}

// shows waits until the newest card says something.
func (s *slackStory) shows(words string) sandbox.Message {
	s.t.Helper()
	s.settle()
	var last sandbox.Message
	eventually(s.t, "the card says "+words, func() bool {
		all := s.cards()
		if len(all) > 0 {
			last = all[len(all)-1]
		}
		return strings.Contains(last.Text, words)
	})
	return last
}

func (s *slackStory) press(card sandbox.Message, p sandbox.Press) sandbox.Sent {
	s.t.Helper()
	sent, err := s.Slack.Press(s.t.Context(), "#ops", card.TS, p)
	if err != nil || sent.Status != http.StatusOK {
		s.t.Fatalf("press %+v: %+v %v\n%s", p, sent, err, s.stderr)
	}
	return sent
}

func (s *slackStory) write(text string) string {
	s.t.Helper()
	sent, err := s.Slack.Write(s.t.Context(), sandbox.Command{Text: text})
	if err != nil || sent.Status != http.StatusOK {
		s.t.Fatalf("/flows %s: %+v %v", text, sent, err)
	}
	return sent.Text()
}

// told waits until somebody was told so many things where only they see it, and returns the last.
func (s *slackStory) told(n int) string {
	s.t.Helper()
	eventually(s.t, "a person is told", func() bool { return len(s.Slack.Told()) >= n })
	return s.Slack.Told()[n-1].Text
}

// pager lists what PagerDuty shows: one word for each incident, oldest first.
func (s *slackStory) pager() (states string) {
	for _, inc := range s.PagerDuty.Incidents() {
		states += inc.Status + " "
	}
	return strings.TrimSpace(states)
}

// pagerShows waits until it shows something: it is told beside Slack, and not in the same moment.
func (s *slackStory) pagerShows(want string) {
	s.t.Helper()
	eventually(s.t, "PagerDuty shows "+want, func() bool { return s.pager() == want })
}

// asked counts what PagerDuty was asked to do.
func (s *slackStory) asked(action string) (n int) {
	for _, call := range s.PagerDuty.Calls() {
		if call.Action == action {
			n++
		}
	}
	return n
}

// thread writes the lines below a card.
func (s *slackStory) thread(card sandbox.Message) string {
	var lines []string
	for _, m := range s.Slack.Thread("#ops", card.TS)[1:] {
		lines = append(lines, m.Text)
	}
	return strings.Join(lines, "\n")
}

func TestAcknowledgedInSlackIsAcknowledgedInPagerDuty(t *testing.T) {
	t.Parallel()
	s := newSlackStory(t, "")
	s.meta("ACTIVATED", 50)
	card := s.shows("open")
	s.pagerShows("triggered")
	sent := s.press(card, sandbox.Press{Action: "acknowledge"})
	s.shows("acknowledged by u0person")
	s.pagerShows("acknowledged")

	// The same request once more, and then another person who did not see the card change.
	if _, err := s.Slack.Repeat(t.Context(), sent); err != nil {
		t.Error(err)
	}
	if got := s.write("ack 1"); !strings.HasPrefix(got, "INC-1: already acknowledged by u0person at ") {
		t.Errorf("who is second is told %q", got)
	}
	s.settle()
	if got := s.asked("acknowledge"); got != 1 {
		t.Errorf("PagerDuty was asked %d times, want once", got)
	}
	if got, want := s.thread(card), ":eyes: Acknowledged by u0person in Slack"; got != want {
		t.Errorf("the thread says %q, want %q", got, want)
	}

	s.press(card, sandbox.Press{Action: "unacknowledge"})
	s.shows("(INC-1, open)")
	s.settle()
	s.pagerShows("resolved triggered") // nobody has it, and only a new page tells anybody
	s.meta("DEACTIVATED", 50)
	s.shows("Resolved")
	s.pagerShows("resolved resolved")
	if told := s.Slack.Told(); len(told) > 0 {
		t.Errorf("people were told %+v", told)
	}
}

func TestWhoPressesTooLateIsToldSo(t *testing.T) {
	t.Parallel()
	s := newSlackStory(t, "")
	s.meta("ACTIVATED", 50)
	card := s.shows("open")
	s.Slack.Fail(sandbox.Fault{Method: "chat.update", Status: http.StatusServiceUnavailable}) // the card stays as it is
	s.meta("DEACTIVATED", 50)
	eventually(t, "the incident is resolved", func() bool {
		var inc struct{ State string }
		s.get(t, "/api/v1/incidents/1", &inc)
		return inc.State == "resolved"
	})
	s.press(card, sandbox.Press{Action: "acknowledge"})
	at := time.Unix(s.clock, 0)
	if got, want := s.told(1), fmt.Sprintf("INC-1: already resolved by Meta at <!date^%d^{time}|%s>", s.clock,
		at.UTC().Format("15:04 UTC")); got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	s.Slack.ClearFaults()
	card = s.shows("Resolved")
	if _, err := s.Slack.Press(t.Context(), "#ops", card.TS, sandbox.Press{Action: "acknowledge"}); err == nil {
		t.Error("a card that is over still has its buttons")
	}
	if got := s.asked("acknowledge"); got != 0 {
		t.Errorf("PagerDuty was asked to acknowledge %d times", got)
	}
}

func TestResolvedByHandThenRecoveredThenBrokenAgain(t *testing.T) {
	t.Parallel()
	s := newSlackStory(t, "")
	s.meta("ACTIVATED", 10)
	card := s.shows("open")
	s.press(card, sandbox.Press{Action: "resolve"})
	s.shows("Resolved by hand, Meta still reports it")
	s.pagerShows("resolved")

	// A mere repeat does not open it again, and being reopened and resolved once more changes nothing about that.
	s.meta("ACTIVATED", 10)
	s.settle()
	s.press(card, sandbox.Press{Action: "reopen"})
	s.shows("open")
	s.pagerShows("resolved triggered")
	s.press(card, sandbox.Press{Action: "resolve"})
	s.shows("Resolved by hand")

	s.meta("DEACTIVATED", 10)
	s.settle()
	recovered := s.shows("Resolved: ")
	if strings.Contains(string(recovered.Attachments), "still reports") {
		t.Error("the card still says that Meta reports it")
	}
	if got := s.thread(card); !strings.Contains(got, "Meta reports the recovery") {
		t.Errorf("the thread says\n%s", got)
	}
	s.pagerShows("resolved resolved")

	s.meta("ACTIVATED", 10)
	again := s.shows("INC-2, open")
	if again.TS == card.TS {
		t.Error("new trouble has no card of its own")
	}
	s.pagerShows("resolved resolved triggered")
}

func TestWhatGetsWorseAfterItWasResolvedByHandOpensAgain(t *testing.T) {
	t.Parallel()
	s := newSlackStory(t, "")
	s.meta("ACTIVATED", 10)
	card := s.shows("open")
	s.press(card, sandbox.Press{Action: "resolve"})
	s.shows("Resolved by hand")
	s.meta("ACTIVATED", 50)
	if again := s.shows("reopened"); again.TS != card.TS {
		t.Error("it opens again on another card")
	}
	s.pagerShows("resolved triggered")
}

func TestASilenceFromSlackHoldsNewTroubleBackAndNoRecovery(t *testing.T) {
	t.Parallel()
	s := newSlackStory(t, "")
	s.meta("ACTIVATED", 5)
	card := s.shows("open")
	s.press(card, sandbox.Press{Action: "silence", Option: 2})
	s.shows("silenced")
	if card := s.cards()[0]; card.Color != "#dddddd" {
		t.Errorf("the bar is %s", card.Color)
	}
	s.meta("ACTIVATED", 50)
	s.settle()
	if got := s.PagerDuty.Calls(); len(got) > 0 {
		t.Errorf("somebody was paged under a silence: %+v", got)
	}
	s.meta("DEACTIVATED", 5)
	card = s.shows("Resolved")
	if card.Color != "#2eb886" {
		t.Errorf("the bar is %s", card.Color)
	}
	s.settle()
	s.meta("ACTIVATED", 50) // the silence lasted until the recovery
	s.shows("INC-2, open")
	s.settle()
	s.pagerShows("triggered")
}

func TestASilenceIsEndedFromTheCard(t *testing.T) {
	t.Parallel()
	s := newSlackStory(t, "")
	s.meta("ACTIVATED", 5)
	card := s.shows("open")
	if got, want := s.write("silence 1 2h"), "INC-1: silenced for 2 h."; got != want {
		t.Errorf("answered %q, want %q", got, want)
	}
	s.shows("silenced")
	s.meta("ACTIVATED", 50)
	s.settle()
	s.press(card, sandbox.Press{Action: "unsilence"})
	s.shows("(INC-1, open)")
	s.settle() // the card may be first
	if got := s.thread(card); !strings.Contains(got, ":no_bell: Silenced by u0person in Slack for 2 h") ||
		!strings.Contains(got, ":no_bell: No longer silenced") {
		t.Errorf("the thread says\n%s", got)
	}
	s.pagerShows("triggered") // it is still open, so it is told now
}

func TestPageNowPagesWhoHearsOfWorseOnly(t *testing.T) {
	t.Parallel()
	s := newSlackStory(t, "")
	s.meta("ACTIVATED", 5)
	card := s.shows("open")
	s.press(card, sandbox.Press{Action: "page"})
	eventually(t, "somebody is paged", func() bool { return s.pager() == "triggered" })
	s.settle()
	eventually(t, "the button is gone",
		func() bool { return !strings.Contains(string(s.cards()[0].Attachments), "Page now") })
	if got := s.write("page 1"); got != "INC-1: everybody who can be paged is paged already" {
		t.Errorf("answered %q", got)
	}
}

func TestWhoIsNotOnTheListOfTheRulesMayOnlyLook(t *testing.T) {
	t.Parallel()
	s := newSlackStory(t, ", allow: [U0SAMLEE]")
	s.meta("ACTIVATED", 50)
	card := s.shows("open")
	s.press(card, sandbox.Press{Action: "resolve", User: "U0EVE000"})
	if got := s.told(1); !strings.Contains(got, "INC-1: you are not on the list") || !strings.Contains(got, "U0EVE000") {
		t.Errorf("told %q", got)
	}
	if got := s.write(""); !strings.Contains(got, "INC-1") {
		t.Errorf("who looks sees %q", got)
	}
	s.settle()
	s.pagerShows("triggered")
	s.press(card, sandbox.Press{Action: "resolve", User: "U0SAMLEE"})
	s.shows("Resolved by hand")
}

func TestInSocketModeNothingIsPublic(t *testing.T) {
	t.Parallel()
	s := &slackStory{services: newServices(t, "#ops"), t: t, clock: time.Now().Add(-time.Hour).Unix()}
	s.env = append(s.env, "SLACK_APP_TOKEN=xapp-sandbox")
	s.start("")
	connected := func(n int) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		if err := s.Slack.Wait(ctx, func() bool { return s.Slack.Sockets() == n }); err != nil {
			t.Fatalf("%d connections, want %d\n%s", s.Slack.Sockets(), n, s.stderr)
		}
	}
	connected(1)
	s.meta("ACTIVATED", 50)
	card := s.shows("open")
	s.press(card, sandbox.Press{Action: "acknowledge"})
	s.shows("acknowledged")
	s.pagerShows("acknowledged")
	s.Slack.DropSockets(true)
	connected(1)
	if got := s.write("resolve 1"); !strings.HasPrefix(got, "INC-1: resolved.") {
		t.Errorf("answered %q", got)
	}
	s.shows("Resolved by hand")
	resp, err := http.Post(s.Public+"/slack/actions", "application/x-www-form-urlencoded", strings.NewReader("payload={}"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("/slack/actions answers %s", resp.Status)
	}
	if err := s.stop(t); err != nil {
		t.Errorf("serve ended with %v\n%s", err, s.stderr)
	}
	connected(0)
}

func TestWithoutSecretsACardOnlyHasLinks(t *testing.T) {
	t.Parallel()
	s := &slackStory{services: newServices(t, "#ops"), t: t, clock: time.Now().Add(-time.Hour).Unix()}
	s.start("")
	s.meta("ACTIVATED", 50)
	card := s.shows("open")
	if _, err := s.Slack.Press(t.Context(), "#ops", card.TS, sandbox.Press{Action: "acknowledge"}); err == nil {
		t.Error("the card has a button that nobody hears")
	}
}

func TestSecretsOfSlackAreCheckedAtTheStart(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		env   map[string]string
		token string
		says  string // "" for no fault
	}{
		"none":            {nil, "", ""},
		"empty variables": {map[string]string{"SLACK_SIGNING_SECRET": "", "SLACK_APP_TOKEN": ""}, "xoxb-1", ""},
		"both":            {map[string]string{"SLACK_SIGNING_SECRET": "s", "SLACK_APP_TOKEN": "xapp-1"}, "xoxb-1", ""},
		"an empty file": {map[string]string{"SLACK_SIGNING_SECRET_FILE": empty}, "xoxb-1", "SLACK_SIGNING_SECRET_FILE: " +
			empty + " holds nothing"},
		"no bot token": {map[string]string{"SLACK_APP_TOKEN": "xapp-1"}, "", "SLACK_BOT_TOKEN is not set"},
		"no such file": {map[string]string{"SLACK_APP_TOKEN_FILE": empty + "-2"}, "xoxb-1", "SLACK_APP_TOKEN_FILE"},
	} {
		p := program{Getenv: func(name string) (string, bool) { v, ok := test.env[name]; return v, ok }}
		_, err := p.slackBack(router.Secret(test.token))
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
