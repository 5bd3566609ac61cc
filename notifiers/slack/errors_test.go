package slack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
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

const day = 24 * time.Hour

func TestAnswersSayWhatHappensNext(t *testing.T) {
	t.Parallel()
	const proxy = "not an answer of Slack's"
	tests := []struct {
		fault  sandbox.Fault
		failed time.Duration // how long ago the first attempt failed; 0 where this is the first
		want   string
		unsure bool   // it may have been posted
		says   string // words that must stand in the error
	}{
		{fault: sandbox.Fault{Status: 429, RetryAfter: 30 * time.Second}, want: "later",
			says: "not before 2026-03-14T03:01:30Z"},
		{fault: sandbox.Fault{Status: 429, RetryAfter: 24 * time.Hour}, want: "later",
			says: "not before 2026-03-14T03:06:00Z"},
		{fault: sandbox.Fault{Status: 429, RetryAfter: math.MaxInt32 * time.Second}, want: "later",
			says: "not before 2026-03-14T03:06:00Z"},
		{fault: sandbox.Fault{Status: 429}, want: "retry", says: "HTTP 429"},
		{fault: sandbox.Fault{Status: 500}, want: "retry", unsure: true, says: "HTTP 500"},
		{fault: sandbox.Fault{Status: 503}, failed: day, want: "retry", unsure: true},
		{fault: sandbox.Fault{Status: 302, Location: "http://evil.example.com/?token=" + token}, failed: day, want: "retry",
			unsure: true, says: "HTTP 302"},
		{fault: sandbox.Fault{Status: 401}, failed: day, want: "retry", unsure: true, says: proxy},
		{fault: sandbox.Fault{Status: 403}, failed: day, want: "retry", unsure: true, says: proxy},
		{fault: sandbox.Fault{Status: 404}, failed: day, want: "retry", unsure: true, says: "HTTP 404 Not Found (" + proxy},
		{fault: sandbox.Fault{Status: 405}, failed: day, want: "retry", unsure: true, says: proxy},
		{fault: sandbox.Fault{Status: 407}, failed: day, want: "retry", unsure: true, says: "SLACK_API_URL"},
		{fault: sandbox.Fault{Status: 413}, failed: day, want: "retry", unsure: true, says: proxy},
		{fault: sandbox.Fault{Status: 418}, failed: day, want: "retry", unsure: true, says: proxy},
		{fault: sandbox.Fault{Status: 425}, failed: day, want: "retry", unsure: true, says: proxy},
		{fault: sandbox.Fault{Status: 451}, failed: day, want: "retry", unsure: true, says: proxy},
		{fault: sandbox.Fault{Status: 403, Body: `{"message":"Forbidden"}`}, failed: day, want: "retry", unsure: true,
			says: proxy},
		{fault: sandbox.Fault{Status: 403, Body: `{"ok":false,"error":"invalid_auth"}`}, failed: day, want: "retry",
			unsure: true, says: proxy},
		{fault: sandbox.Fault{EOF: true}, want: "retry", unsure: true, says: "the connection broke"},
		{fault: sandbox.Fault{Body: "<html>" + token}, failed: day, want: "retry", unsure: true, says: proxy},
		{fault: sandbox.Fault{Body: "{}"}, failed: day, want: "retry", unsure: true, says: proxy},
		{fault: sandbox.Fault{Body: `{"message":"blocked"}`}, failed: day, want: "retry", unsure: true, says: proxy},
		{fault: sandbox.Fault{Body: `{"ok":false}`}, failed: day, want: "retry", unsure: true, says: proxy},
		{fault: sandbox.Fault{Body: `{"ok":true}`}, failed: day, want: "retry", unsure: true, says: "without channel and ts"},
		{fault: sandbox.Fault{Body: `{"ok":false,"error":"oops ` + token + `"}`}, failed: day, want: "park"},
		{fault: sandbox.Fault{OKFalse: "internal_error"}, failed: day, want: "retry", unsure: true},
		{fault: sandbox.Fault{OKFalse: "fatal_error"}, failed: day, want: "retry", unsure: true},
		{fault: sandbox.Fault{OKFalse: "service_unavailable"}, failed: day, want: "retry"},
		{fault: sandbox.Fault{OKFalse: "request_timeout"}, failed: day, want: "retry"},
		{fault: sandbox.Fault{OKFalse: "ratelimited"}, failed: day, want: "retry"},
		{fault: sandbox.Fault{OKFalse: "team_added_to_org"}, failed: day, want: "retry"},
		{fault: sandbox.Fault{OKFalse: "external_channel_migrating"}, failed: day, want: "retry"},
		{fault: sandbox.Fault{OKFalse: "org_login_required"}, failed: day, want: "retry"},
		{fault: sandbox.Fault{OKFalse: "team_access_not_granted"}, failed: time.Minute, want: "retry"},
		{fault: sandbox.Fault{OKFalse: "team_access_not_granted"}, failed: day, want: "park", says: "administrator"},
		{fault: sandbox.Fault{OKFalse: "invalid_auth"}, want: "park", says: "SLACK_BOT_TOKEN"},
		{fault: sandbox.Fault{OKFalse: "invalid_auth"}, want: "park", says: "IP addresses"},
		{fault: sandbox.Fault{OKFalse: "accesslimited"}, want: "park", says: "IP addresses"},
		{fault: sandbox.Fault{OKFalse: "team_not_found"}, want: "park", says: "by its id"},
		{fault: sandbox.Fault{OKFalse: "not_authed"}, want: "park", says: "SLACK_BOT_TOKEN"},
		{fault: sandbox.Fault{OKFalse: "account_inactive"}, want: "park", says: "SLACK_BOT_TOKEN"},
		{fault: sandbox.Fault{OKFalse: "token_revoked"}, want: "park", says: "SLACK_BOT_TOKEN"},
		{fault: sandbox.Fault{OKFalse: "token_expired"}, want: "park", says: "SLACK_BOT_TOKEN"},
		{fault: sandbox.Fault{Body: `{"ok":false,"error":"missing_scope","needed":"chat:write","provided":"none"}`},
			want: "park", says: "needed: chat:write"},
		{fault: sandbox.Fault{OKFalse: "channel_not_found"}, want: "park", says: "/invite @flowbridge"},
		{fault: sandbox.Fault{OKFalse: "not_in_channel"}, want: "park", says: "/invite @flowbridge"},
		{fault: sandbox.Fault{OKFalse: "is_archived"}, want: "park", says: "unarchive"},
		{fault: sandbox.Fault{OKFalse: "is_inactive"}, want: "park", says: "unarchive"},
		{fault: sandbox.Fault{OKFalse: "restricted_action"}, want: "park", says: "administrator"},
		{fault: sandbox.Fault{OKFalse: "restricted_action_read_only_channel"}, want: "park", says: "administrator"},
		{fault: sandbox.Fault{OKFalse: "invalid_blocks"}, want: "park", says: "neither the card nor its plain words"},
		{fault: sandbox.Fault{OKFalse: "invalid_attachments"}, want: "park"},
		{fault: sandbox.Fault{OKFalse: "msg_too_long"}, want: "park"},
		{fault: sandbox.Fault{OKFalse: "msg_blocks_too_long"}, want: "park"},
		{fault: sandbox.Fault{OKFalse: "no_text"}, want: "park"},
		{fault: sandbox.Fault{OKFalse: "attachment_payload_limit_exceeded"}, want: "park", says: "nor its plain words"},
		{fault: sandbox.Fault{OKFalse: "invalid_metadata_schema"}, want: "park"},
		{fault: sandbox.Fault{OKFalse: "metadata_must_be_sent_from_app"}, want: "park"},
		{fault: sandbox.Fault{OKFalse: "metadata_too_large"}, want: "park"},
		{fault: sandbox.Fault{OKFalse: "never_heard_of"}, want: "retry", says: "never_heard_of"},
		{fault: sandbox.Fault{OKFalse: "never_heard_of"}, failed: time.Hour - time.Second, want: "retry",
			says: "never_heard_of"},
		{fault: sandbox.Fault{OKFalse: "never_heard_of"}, failed: time.Hour, want: "park", says: "never_heard_of"},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%d %s%.30s %s", test.fault.Status, test.fault.OKFalse,
			strings.ReplaceAll(test.fault.Body, token, "..."), test.failed), func(t *testing.T) {
			w := newWorld(t)
			test.fault.Method = "chat.postMessage"
			w.slack.Fail(test.fault)
			n := opened()
			if test.failed > 0 {
				n.FailingSince, n.Attempt = w.clock().Add(-test.failed), 99 // how often says nothing
			}
			r, err := w.fail(n)
			refused, _ := errors.AsType[*notifiers.Refused](err)
			nowhere := []string{"channel_not_found", "is_archived", "is_inactive"}
			if want := slices.Contains(nowhere, test.fault.OKFalse); want != (refused != nil && refused.TargetGone()) {
				t.Errorf("the channel is gone: %t, want %t", !want, want)
			}
			if got := outcome(err); got != test.want || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s, saying %q; want %s, saying %q", got, err, test.want, test.says)
			}
			want := router.Receipt{}
			if test.unsure {
				want = router.Receipt{Own: put(own{Channel: "#payments"}), Unsure: true}
			}
			if r != want {
				t.Errorf("receipt %+v, want %+v", r, want)
			}
		})
	}
}

func TestAfter429NothingIsSentUntilItIsOver(t *testing.T) {
	t.Parallel()
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

func TestAWaitThatNobodyCanHaveMeantEndsAfterMinutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := after(w.sync(opened()), 2, escalated())
	w.slack.Fail(sandbox.Fault{Method: "chat.update", Status: http.StatusTooManyRequests, RetryAfter: 1000 * time.Hour,
		Times: 1})
	if _, err := w.notifier.Sync(t.Context(), n); err == nil {
		t.Fatal("told in spite of the limit")
	}
	w.pass(5 * time.Minute)
	if _, err := w.notifier.Sync(t.Context(), n); err != nil {
		t.Errorf("five minutes later: %v", err)
	}
}

func TestRetryAfterIsReadAndBelievedForMinutes(t *testing.T) {
	t.Parallel()
	now := began
	for header, want := range map[string]time.Duration{
		"30": 30 * time.Second, " 1.5 ": 1500 * time.Millisecond, "300": 5 * time.Minute, "86400": 5 * time.Minute,
		"2147483647":          5 * time.Minute,
		"9223372036854775807": 5 * time.Minute, "1e300": 5 * time.Minute, "Inf": 5 * time.Minute,
		"": 0, "0": 0, "-1": 0, "-9223372036854775808": 0, "NaN": 0, "soon": 0,
		now.Add(time.Minute).Format(http.TimeFormat):    time.Minute,
		now.Add(72 * time.Hour).Format(http.TimeFormat): 5 * time.Minute,
		now.Add(-time.Hour).Format(http.TimeFormat):     0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("Retry-After: %s is %s, want %s", header, got, want)
		}
	}
}

func TestA429OfOneChannelKeepsNoOtherFromBeingEdited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(there *sandbox.SlackConfig, _ *Config) { there.Channels = append(there.Channels, "#ops") })
	other := opened()
	other.Delivery, other.Target.Address = 8, "#ops"
	r, there := w.sync(opened()), w.sync(other)
	w.slack.Fail(sandbox.Fault{Method: "chat.update", Status: http.StatusTooManyRequests, RetryAfter: time.Minute,
		Times: 1})
	if _, err := w.fail(after(r, 1, escalated())); outcome(err) != "later" {
		t.Fatal(err)
	}
	next := escalated()
	next.Delivery, next.Target = other.Delivery, other.Target
	w.sync(after(there, 1, next))
}

func TestALimitedUpdateComesBackWithTheNewestState(t *testing.T) {
	t.Parallel()
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
	if r = w.sync(n); r.Open || r.Told != 4 || len(w.slack.Thread("#payments", ownOf(r).TS)) != 4 {
		t.Errorf("receipt %+v, %q", r, w.shown())
	}
}

func TestASyncEndsWithItsTime(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the time-out")
	}
	t.Parallel()
	w := newWorld(t, func(_ *sandbox.SlackConfig, here *Config) { here.Timeout = 2 * time.Second })
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
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
	w := newWorld(t)
	w.slack.Invite("#payments", false)
	r := w.sync(opened())
	if got, want := w.calls(0), "postMessage:not_in_channel list join postMessage getPermalink"; got != want {
		t.Errorf("called %q, want %q", got, want)
	}
	if ownOf(r).TS == "" || !w.slack.Channels()[0].Member {
		t.Errorf("receipt %+v", r)
	}

	w = newWorld(t, func(there *sandbox.SlackConfig, _ *Config) { there.Scopes = []string{"chat:write", "channels:read"} })
	w.slack.Invite("#payments", false)
	_, err := w.fail(opened())
	if got, want := w.calls(0), "postMessage:not_in_channel list:missing_scope list join:missing_scope"; got != want ||
		outcome(err) != "park" || !strings.Contains(err.Error(), "/invite @flowbridge") {
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
	t.Parallel()
	w := newWorld(t)
	w.slack.Fail(sandbox.Fault{Method: "chat.postMessage", OKFalse: "invalid_blocks", Times: 1})
	r := w.sync(opened())
	root := w.slack.Messages("#payments")[0]
	if root.Blocks != nil || root.Attachments != nil || !strings.Contains(root.Text, "INC-42") ||
		!strings.Contains(w.log.String(), "plain words") {
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
	t.Parallel()
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

// TestWhoCannotReachSlackIsToldWhereToLook without an address, which may hold a password.
func TestWhoCannotReachSlackIsToldWhereToLook(t *testing.T) {
	t.Parallel()
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(untrusted.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for address, want := range map[string]string{
		untrusted.URL: "the certificate of the API does not verify (check the clock and the CA certificates",
		gone.URL:      "cannot be reached (check the network, the proxy and SLACK_API_URL)",
	} {
		w := newWorld(t)
		n, err := New(Config{Token: token, Now: w.clock, APIURL: address})
		if err != nil {
			t.Fatal(err)
		}
		_, err = n.Sync(t.Context(), opened())
		if err == nil || outcome(err) != "retry" || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), strings.TrimPrefix(address, "https://")) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
