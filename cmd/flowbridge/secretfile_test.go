package main

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
	databases "flowbridge/router/store/storetest"
	"flowbridge/router/whatsapp"
)

// replacement puts other content into the place of a file.
type replacement struct {
	how string
	do  func(t *testing.T, path, content string)
}

// replacements are how editors, shells, Kubernetes and secret managers do that.
var replacements = []replacement{
	{"written in place", func(t *testing.T, path, content string) { writeFile(t, path, content) }},
	{"another file renamed over it", func(t *testing.T, path, content string) {
		writeFile(t, path+".part", content)
		must(t, os.Rename(path+".part", path))
	}},
	{"removed and written again", func(t *testing.T, path, content string) {
		must(t, os.Remove(path))
		writeFile(t, path, content)
	}},
	{"a link swapped by Kubernetes", mountSecret},
	{"with the time that the old one had", func(t *testing.T, path, content string) {
		info, err := os.Stat(path)
		must(t, err)
		writeFile(t, path, content)
		must(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
	}},
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// mountSecret makes path what kubelet makes of a key of a Secret: a link into ..data, which is itself a link that is
// swapped.
func mountSecret(t *testing.T, path, content string) {
	t.Helper()
	dir, base := filepath.Split(path)
	version, err := os.MkdirTemp(dir, "..version")
	must(t, err)
	writeFile(t, filepath.Join(version, base), content)
	data := filepath.Join(dir, "..data")
	must(t, os.Symlink(filepath.Base(version), data+"_tmp"), os.Rename(data+"_tmp", data))
	must(t, os.Symlink(filepath.Join("..data", base), path+"_tmp"), os.Rename(path+"_tmp", path))
}

// secretBench is a secret in a file, with a clock that goes on by two seconds with each look.
type secretBench struct {
	*secretFile
	path string
	log  bytes.Buffer
}

func newSecretBench(t *testing.T, name, content string) *secretBench {
	t.Helper()
	b := &secretBench{path: filepath.Join(t.TempDir(), "secret")}
	writeFile(t, b.path, content)
	at := slices.IndexFunc(ownSecrets(), func(s ownSecret) bool { return s.name == name })
	var err error
	b.secretFile, err = newSecretFile(ownSecrets()[at], b.path, slog.New(slog.NewTextHandler(&b.log, nil)))
	must(t, err)
	now := time.Now()
	b.file.now = func() time.Time {
		now = now.Add(2 * time.Second)
		return now
	}
	return b
}

func TestASecretFileThatIsReplacedIsReadAnew(t *testing.T) {
	t.Parallel()
	for _, r := range replacements {
		t.Run(r.how, func(t *testing.T) {
			b := newSecretBench(t, "META_APP_SECRET", "old-one, old-two\n")
			if got := b.all(); !slices.Equal(got, []router.Secret{"old-one", "old-two"}) {
				t.Fatalf("at first it is %d secrets", len(got))
			}
			r.do(t, b.path, "new-one, new-two\n")
			if got := b.all(); !slices.Equal(got, []router.Secret{"new-one", "new-two"}) {
				t.Errorf("the old ones are in force")
			}
			if n := strings.Count(b.log.String(), "a secret was read anew"); n != 1 {
				t.Errorf("the log says %d times that it was read anew:\n%s", n, &b.log)
			}
			sandbox.AssertNoSecret(t, []string{"old-one", "new-one", "new-two"}, b.log.String())
		})
	}
}

// unusable are files that no secret can be read from.
var unusable = []replacement{
	{"that holds nothing", func(t *testing.T, path, _ string) { writeFile(t, path, "") }},
	{"with white space only", func(t *testing.T, path, _ string) { writeFile(t, path, " \n") }},
	{"that is gone", func(t *testing.T, path, _ string) { must(t, os.Remove(path)) }},
	{"that is a folder", func(t *testing.T, path, _ string) { must(t, os.Remove(path), os.Mkdir(path, 0o700)) }},
	{"that is too large", func(t *testing.T, path, _ string) { writeFile(t, path, strings.Repeat("x", maxSecretFile+1)) }},
	{"that is a pipe, which nobody writes to",
		func(t *testing.T, path, _ string) { must(t, os.Remove(path), syscall.Mkfifo(path, 0o600)) }},
	{"that is a device without an end",
		func(t *testing.T, path, _ string) { must(t, os.Remove(path), os.Symlink("/dev/zero", path)) }},
}

func TestASecretFileThatCannotBeUsedLeavesTheOldSecretInForce(t *testing.T) {
	t.Parallel()
	cases := append(slices.Clone(unusable), replacement{"with an empty one among several",
		func(t *testing.T, path, _ string) { writeFile(t, path, "a,,b") }})
	for _, c := range cases {
		t.Run(c.how, func(t *testing.T) {
			b := newSecretBench(t, "PAGERDUTY_WEBHOOK_SECRET", "old")
			c.do(t, b.path, "")
			for range 3 {
				if got := b.all(); !slices.Equal(got, []router.Secret{"old"}) {
					t.Fatal("the old secret is not in force")
				}
			}
			if n := strings.Count(b.log.String(), "the old one stays in force"); n != 1 ||
				!strings.Contains(b.log.String(), b.path) {
				t.Errorf("the log speaks %d times of it, want once, with its path:\n%s", n, &b.log)
			}
			must(t, os.RemoveAll(b.path))
			writeFile(t, b.path, "new")
			if got := b.all(); !slices.Equal(got, []router.Secret{"new"}) {
				t.Error("once it is mended, it is not in force")
			}
		})
	}
}

func TestABotTokenDoesNotTakeTheAppTokensPlace(t *testing.T) {
	t.Parallel()
	b := newSecretBench(t, "SLACK_APP_TOKEN", "xapp-old")
	writeFile(t, b.path, "xoxb-new")
	if b.one() != "xapp-old" || !strings.Contains(b.log.String(), "does not begin with xapp-") {
		t.Errorf("it is in force:\n%s", &b.log)
	}
}

// TestASecretFileThatCannotBeReadIsRefusedAtTheStart asks for what every command reads.
func TestASecretFileThatCannotBeReadIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	for _, c := range unusable {
		path := filepath.Join(t.TempDir(), "secret")
		writeFile(t, path, "good")
		c.do(t, path, "")
		p := program{Getenv: func(name string) (string, bool) { return path, name == "FLOWBRIDGE_ADMIN_TOKEN_FILE" }}
		if got, err := p.secret("FLOWBRIDGE_ADMIN_TOKEN"); err == nil ||
			!strings.Contains(err.Error(), "FLOWBRIDGE_ADMIN_TOKEN_FILE: "+path) {
			t.Errorf("a file %s: %d characters, error %v", c.how, len(got), err)
		}
		other := program{Getenv: func(string) (string, bool) { return "", false }}
		if _, err := other.readKeyFile(path); err == nil && !strings.Contains(c.how, "nothing") &&
			!strings.Contains(c.how, "white space") {
			t.Errorf("${file:} of a file %s is read", c.how)
		}
	}
}

// secretStory is a bridge, as a process of its own, all of whose secrets are in files.
type secretStory struct {
	*services
	*process
	t   *testing.T
	dir string
}

func newSecretStory(t *testing.T) *secretStory {
	t.Helper()
	s := &secretStory{services: newServices(t, "#ops"), t: t, dir: t.TempDir()}
	for name, value := range map[string]string{
		"META_APP_SECRET": testSecret, "META_VERIFY_TOKEN": "verify-old", "SLACK_BOT_TOKEN": testSlackToken,
		"SLACK_SIGNING_SECRET": "sandbox-signing-secret", "PAGERDUTY_WEBHOOK_SECRET": "hooks-old",
		"FLOWBRIDGE_ADMIN_TOKEN": "admin-old",
	} {
		writeFile(t, s.file(name), value+"\n")
		s.env = append(s.env, name+"=", name+"_FILE="+s.file(name))
	}
	s.process = start(t, s.services, writeRules(t, ruleNamed("everything")), databases.File(t))
	s.Slack.Connect(s.Public+"/slack/actions", s.Public+"/slack/commands")
	return s
}

func (s *secretStory) file(name string) string {
	dir := filepath.Join(s.dir, name) // of its own, as a mounted Secret has
	must(s.t, os.MkdirAll(dir, 0o700))
	return filepath.Join(dir, "value")
}

// answered makes a request and returns its status.
func (s *secretStory) answered(method, address, header, value string, body []byte) int {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, address, bytes.NewReader(body))
	must(s.t, err)
	req.Header.Set(header, value)
	resp, err := http.DefaultClient.Do(req)
	must(s.t, err)
	must(s.t, resp.Body.Close())
	return resp.StatusCode
}

// TestSecretsThatAreReplacedAreInForceWithoutARestart replaces each that a caller must know, in turn.
func TestSecretsThatAreReplacedAreInForceWithoutARestart(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	s := newSecretStory(t)
	event, ping := []byte(pairPost(lately, "77", "ACTIVATED", 50)), []byte(`{"event":{"event_type":"pagey.ping"}}`)
	for i, c := range []struct {
		name, old, fresh string
		good, bad        int
		ask              func(secret string) int
	}{
		{"META_APP_SECRET", testSecret, "meta-new", http.StatusOK, http.StatusUnauthorized, func(secret string) int {
			return s.answered("POST", s.Public+"/webhooks/whatsapp", "X-Hub-Signature-256", metaSignature(secret, event), event)
		}},
		{"META_VERIFY_TOKEN", "verify-old", "verify-new", http.StatusOK, http.StatusForbidden, func(secret string) int {
			return s.answered("GET", s.Public+"/webhooks/whatsapp?hub.mode=subscribe&hub.challenge=1&hub.verify_token="+
				url.QueryEscape(secret), "Accept", "*/*", nil)
		}},
		{"PAGERDUTY_WEBHOOK_SECRET", "hooks-old", "hooks-new", http.StatusAccepted, http.StatusUnauthorized,
			func(secret string) int {
				return s.answered("POST", s.Public+"/webhooks/pagerduty", "X-PagerDuty-Signature",
					sandbox.SignWebhook(router.Secret(secret), ping), ping)
			}},
		{"FLOWBRIDGE_ADMIN_TOKEN", "admin-old", "admin-new", http.StatusOK, http.StatusUnauthorized, func(secret string) int {
			return s.answered("GET", s.Admin+"/api/v1/incidents", "Authorization", "Bearer "+secret, nil)
		}},
		{"SLACK_SIGNING_SECRET", "sandbox-signing-secret", "signing-new", http.StatusOK, http.StatusUnauthorized,
			func(secret string) int {
				s.Slack.Rotate("", "", router.Secret(secret))
				sent, err := s.Slack.Write(t.Context(), sandbox.Command{Text: "list"})
				must(t, err)
				return sent.Status
			}},
	} {
		if got := c.ask(c.old); got != c.good {
			t.Fatalf("%s: at first it is answered %d, want %d", c.name, got, c.good)
		}
		replacements[i%len(replacements)].do(t, s.file(c.name), c.fresh+"\n")
		eventually(t, c.name+" is in force", func() bool { return c.ask(c.fresh) == c.good })
		if got := c.ask(c.old); got != c.bad {
			t.Errorf("%s: with the old one it is answered %d, want %d", c.name, got, c.bad)
		}
		sandbox.AssertNoSecret(t, []string{c.old, c.fresh}, s.stderr.String())
	}
	must(t, s.stop(t))
}

// TestABotTokenThatIsReplacedIsInForceWithoutARestart has Slack refuse the old one at once.
func TestABotTokenThatIsReplacedIsInForceWithoutARestart(t *testing.T) {
	t.Parallel()
	s := newSecretStory(t)
	s.post(t, pairPost(lately, "77", "ACTIVATED", 50), http.StatusOK)
	eventually(t, "Slack is told", func() bool { return len(s.Slack.Messages("#ops")) == 1 })
	mountSecret(t, s.file("SLACK_BOT_TOKEN"), "xoxb-new")
	s.Slack.Rotate("xoxb-new", "", "")
	s.post(t, pairPost(lately+60, "78", "ACTIVATED", 50), http.StatusOK)
	eventually(t, "Slack is told by the new token", func() bool { return len(s.Slack.Messages("#ops")) == 2 })
	s.post(t, pairPost(lately+120, "77", "DEACTIVATED", 50), http.StatusOK)
	eventually(t, "what the old token posted is edited by the new one", func() bool {
		return strings.Contains(s.Slack.Messages("#ops")[0].Text, "esolved")
	})
	sandbox.AssertNoSecret(t, []string{testSlackToken, "xoxb-new"}, s.stderr.String())
	must(t, s.stop(t))
}

func metaSignature(secret string, body []byte) string {
	return whatsapp.Sign(router.Secret(secret), body)
}
