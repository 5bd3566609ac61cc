package slack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/notifiers"
	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

// outcome says what the queue will do after an error.
func outcome(err error) string {
	if refused, ok := errors.AsType[*notifiers.Refused](err); ok && refused.Permanent() {
		return "park"
	}
	if _, ok := errors.AsType[*notifiers.Later](err); ok {
		return "later"
	}
	return "retry"
}

func TestAnswersSayWhatHappensNext(t *testing.T) {
	tests := []struct {
		fault   sandbox.Fault
		attempt int
		want    string
		unsure  bool   // it may have been posted
		says    string // words that must stand in the error
	}{
		{fault: sandbox.Fault{Status: 429, RetryAfter: 30 * time.Second}, want: "later", says: "not before 2026-03-14T03:01:30Z"},
		{fault: sandbox.Fault{Status: 429}, want: "retry", says: "HTTP 429"},
		{fault: sandbox.Fault{Status: 500}, want: "retry", unsure: true, says: "HTTP 500"},
		{fault: sandbox.Fault{Status: 503}, attempt: 99, want: "retry", unsure: true},
		{fault: sandbox.Fault{Status: 302, Location: "http://evil.example.com/?token=" + token}, want: "retry", says: "HTTP 302"},
		{fault: sandbox.Fault{Status: 404}, want: "retry", says: "HTTP 404"},
		{fault: sandbox.Fault{Status: 404}, attempt: patience, want: "park", says: "SLACK_API_URL"},
		{fault: sandbox.Fault{EOF: true}, want: "retry", unsure: true, says: "the connection broke"},
		{fault: sandbox.Fault{Body: "<html>" + token}, want: "retry", unsure: true, says: "could not be read"},
		{fault: sandbox.Fault{Body: "{}"}, want: "retry", unsure: true, says: "without channel and ts"},
		{fault: sandbox.Fault{Body: `{"ok":false}`}, want: "retry", unsure: true},
		{fault: sandbox.Fault{Body: `{"ok":false,"error":"oops ` + token + `"}`}, attempt: patience, want: "park"},
		{fault: sandbox.Fault{OKFalse: "internal_error"}, attempt: 99, want: "retry"},
		{fault: sandbox.Fault{OKFalse: "service_unavailable"}, want: "retry"},
		{fault: sandbox.Fault{OKFalse: "request_timeout"}, want: "retry"},
		{fault: sandbox.Fault{OKFalse: "ratelimited"}, want: "retry"},
		{fault: sandbox.Fault{OKFalse: "fatal_error"}, want: "retry", unsure: true},
		{fault: sandbox.Fault{OKFalse: "invalid_auth"}, want: "park", says: "SLACK_BOT_TOKEN"},
		{fault: sandbox.Fault{OKFalse: "not_authed"}, want: "park", says: "SLACK_BOT_TOKEN"},
		{fault: sandbox.Fault{OKFalse: "account_inactive"}, want: "park", says: "SLACK_BOT_TOKEN"},
		{fault: sandbox.Fault{OKFalse: "token_revoked"}, want: "park", says: "SLACK_BOT_TOKEN"},
		{fault: sandbox.Fault{OKFalse: "token_expired"}, want: "park", says: "SLACK_BOT_TOKEN"},
		{fault: sandbox.Fault{Body: `{"ok":false,"error":"missing_scope","needed":"chat:write","provided":"none"}`}, want: "park", says: "needed: chat:write"},
		{fault: sandbox.Fault{OKFalse: "channel_not_found"}, want: "park", says: "/invite @flowbridge"},
		{fault: sandbox.Fault{OKFalse: "not_in_channel"}, want: "park", says: "/invite @flowbridge"},
		{fault: sandbox.Fault{OKFalse: "is_archived"}, want: "park", says: "unarchive"},
		{fault: sandbox.Fault{OKFalse: "restricted_action"}, want: "park", says: "administrator"},
		{fault: sandbox.Fault{OKFalse: "restricted_action_read_only_channel"}, want: "park", says: "administrator"},
		{fault: sandbox.Fault{OKFalse: "invalid_blocks"}, want: "park", says: "neither the card nor its plain words"},
		{fault: sandbox.Fault{OKFalse: "invalid_attachments"}, want: "park"},
		{fault: sandbox.Fault{OKFalse: "msg_too_long"}, want: "park"},
		{fault: sandbox.Fault{OKFalse: "msg_blocks_too_long"}, want: "park"},
		{fault: sandbox.Fault{OKFalse: "no_text"}, want: "park"},
		{fault: sandbox.Fault{OKFalse: "metadata_too_large"}, want: "park"},
		{fault: sandbox.Fault{OKFalse: "never_heard_of"}, attempt: patience - 1, want: "retry", says: "never_heard_of"},
		{fault: sandbox.Fault{OKFalse: "never_heard_of"}, attempt: patience, want: "park", says: "never_heard_of"},
	}
	for _, test := range tests {
		test.attempt = max(test.attempt, 1)
		t.Run(fmt.Sprintf("%d %s%.30s %d", test.fault.Status, test.fault.OKFalse, strings.ReplaceAll(test.fault.Body, token, "..."), test.attempt), func(t *testing.T) {
			w := newWorld(t)
			test.fault.Method = "chat.postMessage"
			w.slack.Fail(test.fault)
			n := opened()
			n.Attempt = test.attempt
			r, err := w.fail(n)
			if got := outcome(err); got != test.want || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s, saying %q; want %s, saying %q", got, err, test.want, test.says)
			}
			want := router.Receipt{}
			if test.unsure {
				want = router.Receipt{Channel: "#payments", Unsure: true}
			}
			if r != want {
				t.Errorf("receipt %+v, want %+v", r, want)
			}
		})
	}
}

func TestAfter429NothingIsSentUntilItIsOver(t *testing.T) {
	w := newWorld(t)
	w.slack.Fail(sandbox.Fault{Method: "chat.postMessage", Status: 429, RetryAfter: 30 * time.Second, Times: 1})
	w.fail(opened())
	from := len(w.slack.Calls())
	other := opened()
	other.Delivery, other.Attempt, other.MayExist = 9, 1, true // the queue says MayExist after every claim
	r, err := w.fail(other)
	later, ok := errors.AsType[*notifiers.Later](err)
	if !ok || !later.At.Equal(w.clock().Add(30*time.Second)) || w.calls(from) != "" || r != (router.Receipt{}) {
		t.Errorf("%v, called %q, receipt %+v", err, w.calls(from), r)
	}
	w.pass(30 * time.Second)
	w.sync(other)
	if got := w.calls(from); got != "postMessage getPermalink" {
		t.Errorf("then called %q", got)
	}
}

func TestAWaitThatNobodyCanHaveMeantEndsAfterAnHour(t *testing.T) {
	w := newWorld(t)
	n := after(w.sync(opened()), 2, escalated())
	w.slack.Fail(sandbox.Fault{Method: "chat.update", Status: http.StatusTooManyRequests, RetryAfter: 1000 * time.Hour, Times: 1})
	if _, err := w.notifier.Sync(t.Context(), n); err == nil {
		t.Fatal("told in spite of the limit")
	}
	w.pass(time.Hour)
	if _, err := w.notifier.Sync(t.Context(), n); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

func TestALimitedUpdateComesBackWithTheNewestState(t *testing.T) {
	w := newWorld(t, func(there *sandbox.SlackConfig, _ *Config) { there.NoLimits, there.Updates = false, 1 })
	r := w.sync(opened())
	r = w.sync(after(r, 1, escalated()))
	limited, err := w.fail(after(r, 1, partlyRecovered()))
	if outcome(err) != "later" || limited != r {
		t.Fatalf("%v, receipt %+v, want %+v", err, limited, r)
	}
	w.pass(time.Minute)
	n := after(r, 1, resolvedOne())
	n.Timeline = append(partlyRecovered().Timeline, n.Timeline...)
	if r = w.sync(n); r.Open || r.Told != 4 || len(w.slack.Thread("#payments", r.TS)) != 4 {
		t.Errorf("receipt %+v, %q", r, w.shown())
	}
}

func TestASyncEndsWithItsTime(t *testing.T) {
	w := newWorld(t, func(_ *sandbox.SlackConfig, here *Config) { here.Timeout = 50 * time.Millisecond })
	w.slack.Fail(sandbox.Fault{Method: "chat.postMessage", Hang: true, AfterAccept: true, Times: 1})
	r, err := w.fail(opened())
	if outcome(err) != "retry" || !strings.Contains(err.Error(), "no answer in time") || !r.Unsure {
		t.Errorf("%v, receipt %+v", err, r)
	}
	w.sync(after(r, 2, opened()))
	if got := len(w.shown()); got != 1 {
		t.Errorf("%d messages", got)
	}

	ctx, cancel := context.WithCancel(t.Context())
	w = newWorld(t)
	w.slack.Fail(sandbox.Fault{Method: "chat.postMessage", Hang: true, Times: 1})
	done := make(chan error, 1)
	go func() {
		r, err := w.notifier.Sync(ctx, opened())
		if !r.Unsure {
			t.Errorf("receipt %+v", r)
		}
		done <- err
	}()
	if err := w.slack.Wait(t.Context(), func() bool { return len(w.slack.Calls()) == 1 }); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err == nil || outcome(err) != "retry" || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("got %v", err)
	}
}

func TestNobodyThereIsNoDoubt(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	s, err := New(Config{Token: token, APIURL: "http://user:password@" + address + "/api"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Sync(t.Context(), opened())
	if err == nil || outcome(err) != "retry" || r != (router.Receipt{}) {
		t.Errorf("%v, receipt %+v", err, r)
	}
	sandbox.AssertNoSecret(t, []string{token, "password", address}, err.Error())
}

func TestAnUntrustedServerIsToldNothing(t *testing.T) {
	server := httptest.NewUnstartedServer(sandbox.NewSlack(sandbox.SlackConfig{Token: token}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	s, err := New(Config{Token: token, APIURL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Sync(t.Context(), opened())
	if err == nil || !strings.Contains(err.Error(), "certificate") || outcome(err) != "retry" || r != (router.Receipt{}) {
		t.Errorf("%v, receipt %+v", err, r)
	}
}

func TestAnEndlessAnswerIsCut(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		chunk := []byte(strings.Repeat(" ", 1<<16))
		for range 2 * maxBody >> 16 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
		_, _ = w.Write([]byte(`{"ok":true,"channel":"C1","ts":"1.0"}`))
	}))
	t.Cleanup(server.Close)
	s, err := New(Config{Token: token, APIURL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := s.Sync(t.Context(), opened()); err == nil || !r.Unsure {
		t.Errorf("%v, receipt %+v", err, r)
	}
}

func TestAnArchivedChannelNeedsAPerson(t *testing.T) {
	w := newWorld(t)
	w.slack.Archive("#payments", true)
	if r, err := w.fail(opened()); outcome(err) != "park" || r != (router.Receipt{}) {
		t.Errorf("%v, receipt %+v; the target may be corrected only while it is zero", err, r)
	}
	w.slack.Archive("#payments", false)
	r := w.sync(opened())
	w.slack.Archive("#payments", true)
	kept, err := w.fail(after(r, 1, escalated()))
	if outcome(err) != "park" || !strings.Contains(err.Error(), "unarchive") || kept != r {
		t.Errorf("%v, receipt %+v, want %+v", err, kept, r)
	}
}

func TestTheAppJoinsAPublicChannelOnce(t *testing.T) {
	w := newWorld(t)
	w.slack.Invite("#payments", false)
	r := w.sync(opened())
	if got, want := w.calls(0), "postMessage:not_in_channel list join postMessage getPermalink"; got != want {
		t.Errorf("called %q, want %q", got, want)
	}
	if r.TS == "" || !w.slack.Channels()[0].Member {
		t.Errorf("receipt %+v", r)
	}

	w = newWorld(t, func(there *sandbox.SlackConfig, _ *Config) { there.Scopes = []string{"chat:write", "channels:read"} })
	w.slack.Invite("#payments", false)
	_, err := w.fail(opened())
	if got, want := w.calls(0), "postMessage:not_in_channel list join:missing_scope"; got != want || outcome(err) != "park" || !strings.Contains(err.Error(), "/invite @flowbridge") {
		t.Errorf("called %q, want %q; %v", got, want, err)
	}

	w = newWorld(t)
	w.slack.Invite("#payments", false)
	w.slack.Fail(sandbox.Fault{Method: "conversations.join", Status: 503, Times: 1})
	if _, err = w.fail(opened()); outcome(err) != "retry" {
		t.Errorf("a join that may succeed later: %v", err)
	}
}

func TestARefusedCardIsToldInPlainWords(t *testing.T) {
	w := newWorld(t)
	w.slack.Fail(sandbox.Fault{Method: "chat.postMessage", OKFalse: "invalid_blocks", Times: 1})
	r := w.sync(opened())
	root := w.slack.Messages("#payments")[0]
	if root.Blocks != nil || root.Attachments != nil || !strings.Contains(root.Text, "INC-42") || !strings.Contains(w.log.String(), "plain words") {
		t.Errorf("%+v\n%s", root, w.log.String())
	}
	r = w.sync(after(r, 1, escalated())) // a card again
	if root = w.slack.Messages("#payments")[0]; root.Blocks == nil {
		t.Errorf("the card did not come back: %+v", root)
	}
	w.slack.Fail(sandbox.Fault{Method: "chat.update", OKFalse: "msg_blocks_too_long", Times: 1})
	w.sync(after(r, 1, partlyRecovered()))
	if root = w.slack.Messages("#payments")[0]; root.Blocks != nil || root.Attachments != nil {
		t.Errorf("what is left of the card: %+v", root)
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	tests := map[string]Config{
		"no bot token":              {},
		"is no http or https URL":   {Token: token, APIURL: "ftp://user:password@example.com"},
		"is no http or https URL ":  {Token: token, APIURL: "user:password@example.com"},
		"is no http or https URL  ": {Token: token, APIURL: "http://[password"},
	}
	for want, cfg := range tests {
		_, err := New(cfg)
		if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("New(%+v): %v, want %q", cfg, err, want)
			continue
		}
		sandbox.AssertNoSecret(t, []string{token, "password"}, err.Error())
		sandbox.AssertNoSecret(t, []string{token}, fmt.Sprintf("%+v %#v", cfg, cfg))
	}
	s, err := New(Config{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{"https://slack.com/api/", timeout}, []any{s.cfg.APIURL, s.cfg.Timeout}); diff != "" {
		t.Errorf("what New chose (-want +got):\n%s", diff)
	}
	n := opened()
	n.Incident = nil
	if _, err := s.Sync(t.Context(), n); err == nil {
		t.Error("a delivery of nothing was told")
	}
}
