package slack

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

func TestALinkIsAnsweredAndIgnored(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.card(escalated())
	for _, id := range []string{"runbook", "flow", "details", "pagerduty-1"} {
		if sent := d.press(sandbox.Press{Action: id, Team: "T0OTHER"}); sent.Status != http.StatusOK {
			t.Errorf("%s: answered %d", id, sent.Status)
		}
	}
	d.over(0)
	if got := d.ledger.stored(); len(got) > 0 {
		t.Errorf("stored %+v", got)
	}
}

func TestOtherWorkspacesAreRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.card(opened())
	if sent := d.press(sandbox.Press{Action: "acknowledge", Team: "T0OTHER"}); sent.Status != http.StatusForbidden {
		t.Errorf("a press: answered %d", sent.Status)
	}
	sent, err := d.slack.Write(t.Context(), sandbox.Command{Text: "ack 42", Team: "T0OTHER"})
	if err != nil || sent.Status != http.StatusForbidden {
		t.Errorf("a command: %+v %v", sent, err)
	}
	d.over(0)
	if got := d.ledger.stored(); len(got) > 0 {
		t.Errorf("stored %+v", got)
	}
}

func TestStrangersDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for range 50 {
		resp, err := http.Post(d.address+"/slack/actions", "application/x-www-form-urlencoded",
			strings.NewReader("payload={}"))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Fatalf("answered %d", resp.StatusCode)
		}
	}
	d.stopped()
	if got := strings.Count(d.log.String(), "was refused"); got != 1 {
		t.Errorf("%d lines, want one", got)
	}
}

func TestOnlyWhatSlackSignedLatelyIsTaken(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.card(opened())
	form := url.Values{"command": {"/flows"}, "text": {"ack 42"}, "team_id": {"T0SANDBOX"}, "user_id": {"U0SAM"},
		"trigger_id": {"1"}}.Encode()
	now := time.Now()
	sign := func(secret router.Secret, at time.Time, body string) http.Header {
		stamp := strconv.FormatInt(at.Unix(), 10)
		return http.Header{"X-Slack-Request-Timestamp": {stamp},
			"X-Slack-Signature": {sandbox.Sign(secret, stamp, []byte(body))}}
	}
	tests := map[string]struct {
		path, body string
		header     http.Header
		want       int
	}{
		"unsigned":              {"commands", form, http.Header{}, http.StatusUnauthorized},
		"signed by another":     {"commands", form, sign("other", now, form), http.StatusUnauthorized},
		"signed without secret": {"commands", form, sign("", now, form), http.StatusUnauthorized},
		"six minutes old": {"commands", form, sign(signingSecret, now.Add(-6*time.Minute), form),
			http.StatusUnauthorized},
		"six minutes ahead": {"commands", form, sign(signingSecret, now.Add(6*time.Minute), form), http.StatusUnauthorized},
		"another body":      {"commands", form + "&x=1", sign(signingSecret, now, form), http.StatusUnauthorized},
		"no hex": {"commands", form, http.Header{"X-Slack-Request-Timestamp": {"1"},
			"X-Slack-Signature": {"v0=zz"}}, http.StatusUnauthorized},
		"too long": {"actions", strings.Repeat("x", maxRequest+1), sign(signingSecret, now, form),
			http.StatusRequestEntityTooLarge},
		"no interaction":     {"actions", form, sign(signingSecret, now, form), http.StatusBadRequest},
		"broken interaction": {"actions", "payload=%7B", sign(signingSecret, now, "payload=%7B"), http.StatusBadRequest},
		"no command":         {"commands", "a=b", sign(signingSecret, now, "a=b"), http.StatusBadRequest},
		"Slack looks":        {"commands", "ssl_check=1", sign(signingSecret, now, "ssl_check=1"), http.StatusOK},
		"another interaction": {"actions", "payload=%7B%22type%22:%22view_closed%22%7D",
			sign(signingSecret, now, "payload=%7B%22type%22:%22view_closed%22%7D"), http.StatusOK},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.address+"/slack/"+test.path,
				strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header = test.header
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != test.want {
				t.Errorf("answered %d %s, want %d", resp.StatusCode, text, test.want)
			}
			sandbox.AssertNoSecret(t, []string{signingSecret, token}, string(text))
		})
	}
	if got := d.ledger.stored(); len(got) > 0 {
		t.Errorf("stored %+v", got)
	}
}

func TestAReceiverWantsItsSecrets(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cfg  ReceiverConfig
		says string
	}{
		"no token":               {ReceiverConfig{SigningSecret: "s"}, "bot token"},
		"nothing to trust":       {ReceiverConfig{Token: token}, "signing secret"},
		"a bot token for an app": {ReceiverConfig{Token: token, AppToken: token}, "xapp-"},
		"no address":             {ReceiverConfig{Token: token, SigningSecret: "s", APIURL: "user:hunter2@host"}, "address"},
	} {
		_, err := NewReceiver(test.cfg, &ledger{})
		if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	d := newDesk(t, func(_ *sandbox.SlackConfig, cfg *ReceiverConfig) { cfg.SigningSecret, cfg.AppToken = "", appToken })
	rec := httptest.NewRecorder()
	d.handlers.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/slack/actions", bytes.NewReader(nil)))
	if rec.Code != http.StatusNotFound {
		t.Errorf("without a signing secret a post is answered %d", rec.Code)
	}
}

func TestAStorageThatFailsIsToldToThePerson(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.card(opened())
	d.ledger.refuse = errors.New("disk full at /var/lib/secret-path")
	d.press(sandbox.Press{Action: "acknowledge", User: "U0SAM"})
	if got := d.told(1); !strings.Contains(got.Text, "could not write this down") || strings.Contains(got.Text, "disk") {
		t.Errorf("told %q", got.Text)
	}
	if got := d.write("ack 42"); !strings.Contains(got, "could not write this down") {
		t.Errorf("told %q", got)
	}
}

func TestWhateverIsSlowSlackIsAnsweredInTime(t *testing.T) {
	t.Parallel()
	if answerIn+500*time.Millisecond > 3*time.Second {
		t.Error("Slack waits 3 s")
	}
	d := newDesk(t)
	d.card(opened())
	d.receiver.answerIn = 200 * time.Millisecond
	for _, slow := range []string{"the storage", "Slack"} {
		before := len(d.slack.Told())
		if slow == "the storage" {
			d.ledger.hang = true
		} else {
			d.ledger.mu.Lock()
			d.ledger.hang = false
			d.ledger.mu.Unlock()
			d.receiver.people.self = identity{}
			d.slack.Fail(sandbox.Fault{Method: "auth.test", Hang: true})
		}
		if sent := d.press(sandbox.Press{Action: "acknowledge"}); sent.Status != http.StatusOK {
			t.Errorf("%s hangs: answered %d", slow, sent.Status)
		}
		if got := d.told(before + 1); !strings.Contains(got.Text, "Nothing was done") {
			t.Errorf("%s hangs: told %q", slow, got.Text)
		}
	}
	d.slack.ClearFaults()
	if got := d.ledger.stored(); len(got) > 0 {
		t.Errorf("stored %+v", got)
	}
}
