package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flowbridge/notifiers/pagerduty"
	"flowbridge/notifiers/sandbox"
	"flowbridge/notifiers/slack"
	"flowbridge/router"
	databases "flowbridge/router/store/storetest"
	"flowbridge/router/whatsapp"
)

const guardRules = `version: 1
notifiers:
  boss: {kind: slack, channel: "#ops"}
rules:
  - name: secret word of the rules
    match: {field: flows}
    title: "{{(index .Errors 0).Type}}"
    notify: [boss]
fallback: boss
`

const (
	guardToken = "admin-token-of-the-test-0123"
	guardView  = "view-token-of-the-test-01234"
)

// ask makes a request to an admin address.
func ask(t *testing.T, method, url, body string, change func(*http.Request)) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(said)
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// TestAWebPageCannotSilenceEverything plays a page that lets its own name lead to the admin address of whoever looks at
// it.
func TestAWebPageCannotSilenceEverything(t *testing.T) {
	t.Parallel()
	s := newServices(t, "#ops")
	p := start(t, s, writeRules(t, guardRules), databases.File(t))
	const year = `{"everything": true, "for": "365d"}`
	rebound := func(r *http.Request) { r.Host = "evil.example:9090" }
	for _, path := range []string{"/api/v1/silences", "/api/v1/incidents/1/resolve", "/api/v1/reload"} {
		if status, said := ask(t, "POST", p.Admin+path, year, rebound); status != http.StatusMisdirectedRequest {
			t.Errorf("%s: %d %s", path, status, said)
		}
	}
	if status, _ := ask(t, "GET", p.Admin+"/metrics", "", rebound); status != http.StatusMisdirectedRequest {
		t.Errorf("it may look: %d", status)
	}
	foreign := func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }
	if status, _ := ask(t, "POST", p.Admin+"/api/v1/silences", year, foreign); status != http.StatusForbidden {
		t.Errorf("a page that does not hide where it is from: %d", status)
	}
	if status, said := ask(t, "POST", p.Admin+"/api/v1/silences", year, nil); status != http.StatusBadRequest ||
		!strings.Contains(said, "at most 24h") {
		t.Errorf("a year, by whoever it is: %d %s", status, said)
	}
	page := getText(t, p.Admin+"/metrics")
	for _, line := range []string{`flowbridge_admin_refused_total{reason="host"} 4`,
		`flowbridge_admin_refused_total{reason="cross_site"} 1`, "flowbridge_everything_silenced 0"} {
		if !hasLine(page, line) {
			t.Errorf("the metrics lack %s", line)
		}
	}

	local := "http://localhost:" + p.Admin[strings.LastIndex(p.Admin, ":")+1:]
	if status, said := ask(t, "POST", local+"/api/v1/silences", `{"everything": true, "for": "24h", "by": "ada"}`,
		nil); status != http.StatusAccepted {
		t.Fatalf("a day: %d %s", status, said)
	}
	eventually(t, "the fallback is told", func() bool {
		return len(s.Slack.Messages("#ops")) == 1
	})
	told := s.Slack.Messages("#ops")[0]
	if text := fmt.Sprintf("%s %s", told.Blocks, told.Attachments); !strings.Contains(text,
		"Everything is silenced for 1 d") || !strings.Contains(text, "API (name given: ada)") {
		t.Errorf("the fallback was told %s", text)
	}
	if !hasLine(getText(t, p.Admin+"/metrics"), "flowbridge_everything_silenced 1") {
		t.Error("the metrics do not say that everything is silenced")
	}
}

// TestTokensLookAndAct also shows that who has none learns nothing of the rules.
func TestTokensLookAndAct(t *testing.T) {
	t.Parallel()
	s := newServices(t, "#ops")
	s.env = append(s.env, "FLOWBRIDGE_ADMIN_TOKEN="+guardToken, "FLOWBRIDGE_VIEW_TOKEN="+guardView)
	rules := writeRules(t, guardRules)
	p := start(t, s, rules, databases.File(t))
	p.post(t, pairPost(time.Now().Unix(), "77", "ACTIVATED", 10), http.StatusOK)
	if err := os.WriteFile(rules, []byte("version: 1\nsecret-of-the-rules: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the rules are refused, and the template fails", func() bool {
		_, ready := ask(t, "GET", p.Admin+"/readyz", "", bearer(guardView))
		_, metrics := ask(t, "GET", p.Admin+"/metrics", "", bearer(guardView))
		return strings.Contains(ready, "secret-of-the-rules") &&
			hasLine(metrics, `flowbridge_rule_faults_total{part="template",rule="secret word of the rules"} 1`)
	})
	_, ready := ask(t, "GET", p.Admin+"/readyz", "", nil)
	metrics := getText(t, p.Admin+"/metrics")
	if strings.Contains(ready, "secret-of-the-rules") || !strings.Contains(ready, "not in force") {
		t.Errorf("/readyz tells strangers %s", ready)
	}
	if strings.Contains(metrics, "secret word") || !hasLine(metrics, `flowbridge_rule_faults_total{part="template"} 1`) ||
		!hasLine(metrics, "flowbridge_rules_last_reload_good 0") {
		t.Errorf("/metrics tells strangers\n%s", metrics)
	}

	acknowledge := p.Admin + "/api/v1/incidents/1/acknowledge"
	for _, tt := range []struct {
		token     string
		look, act int
	}{{"", 401, 401}, {"a wrong one", 401, 401}, {guardView, 200, 403}, {guardToken, 200, 202}} {
		auth := bearer(tt.token)
		if tt.token == "" {
			auth = nil
		}
		look, _ := ask(t, "GET", p.Admin+"/api/v1/incidents", "", auth)
		act, _ := ask(t, "POST", acknowledge, "", auth)
		if look != tt.look || act != tt.act {
			t.Errorf("%q: looks %d, acts %d", tt.token, look, act)
		}
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	list := exec.Command(path, "audit", "--admin", p.Admin)
	list.Env = append(os.Environ(), "FLOWBRIDGE_VIEW_TOKEN="+guardView)
	out, err := list.CombinedOutput()
	for _, want := range []string{"admin token  127.0.0.1", "acknowledge INC-1", "refused: the view token may only look",
		"give a wrong token", "reload the rules"} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("the audit lacks %q (%v):\n%s", want, err, out)
		}
	}
	sandbox.AssertNoSecret(t, []string{guardToken, guardView, "a wrong one"}, p.stderr.String(), string(out))
}

// TestTheAdminAddressSpeaksTLS also with the command line, and with the health check of the same machine.
func TestTheAdminAddressSpeaksTLS(t *testing.T) {
	t.Parallel()
	ca, dir := newAuthority(t, "CA of the admin address"), t.TempDir()
	cert, key := ca.issue("admin", time.Hour)
	roots := ca.write(filepath.Join(dir, "ca.pem"), ca.pem())
	s := newServices(t, "#ops")
	files := []string{"FLOWBRIDGE_ADMIN_TLS_CERT=" + ca.write(filepath.Join(dir, "admin.crt"), cert),
		"FLOWBRIDGE_ADMIN_TLS_KEY=" + ca.write(filepath.Join(dir, "admin.key"), key)}
	s.env = append(s.env, files...)
	p := start(t, s, writeRules(t, guardRules), filepath.Join(dir, "bridge.db"))
	at := strings.TrimPrefix(p.Admin, "http://")
	run := func(env []string, args ...string) string {
		path, err := binary()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(path, args...)
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		return fmt.Sprintf("%s%v", out, err)
	}
	trusting := []string{"SSL_CERT_FILE=" + roots}
	for _, tt := range []struct {
		name string
		env  []string
		args []string
		want string
	}{
		{"with https", trusting, []string{"incidents", "--admin", "https://" + at}, "no incidents\n<nil>"},
		{"as serve takes it, in its environment", append(trusting, files...), []string{"incidents", "--admin", at},
			"no incidents\n<nil>"},
		{"with roots that do not know it", nil, []string{"incidents", "--admin", "https://" + at}, "SSL_CERT_FILE"},
		{"without TLS", nil, []string{"incidents", "--admin", "http://" + at}, "speaks TLS: give --admin as https://"},
		{"the health check", files, []string{"healthcheck", "--admin", at}, "<nil>"},
	} {
		if got := run(tt.env, tt.args...); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if !strings.Contains(p.stderr.String(), "the certificate of the admin address must be renewed") {
		t.Errorf("nothing warns of a certificate that ends in an hour:\n%s", p.stderr)
	}
}

// TestWhoActsIsWhomTheProxySignedIn over the real binary, with a proxy on this machine.
func TestWhoActsIsWhomTheProxySignedIn(t *testing.T) {
	t.Parallel()
	s := newServices(t, "#ops")
	s.env = append(s.env, "FLOWBRIDGE_ADMIN_TOKEN="+guardToken, "FLOWBRIDGE_ADMIN_USER_HEADER=x-forwarded-user",
		"FLOWBRIDGE_ADMIN_TRUSTED_PROXIES=10.9.9.9, 127.0.0.0/8")
	p := start(t, s, writeRules(t, guardRules), databases.File(t))
	p.post(t, pairPost(time.Now().Unix(), "77", "ACTIVATED", 10), http.StatusOK)
	signed := func(r *http.Request) {
		r.Header.Set("X-Forwarded-User", "ada")
		r.Header.Set("X-Forwarded-For", "198.51.100.4")
	}
	eventually(t, "it is acknowledged", func() bool {
		status, _ := ask(t, "POST", p.Admin+"/api/v1/incidents/1/acknowledge", `{"by": "mallory"}`, signed)
		return status == http.StatusOK // it is so already
	})
	_, said := ask(t, "GET", p.Admin+"/api/v1/incidents/1", "", bearer(guardToken))
	if !strings.Contains(said, `"acknowledged_by":"ada"`) {
		t.Errorf("the incident: %s", said)
	}
	_, said = ask(t, "GET", p.Admin+"/api/v1/audit", "", bearer(guardToken))
	if !strings.Contains(said, `"who":"ada","verified":"proxy header","from":"198.51.100.4 through 127.0.0.1"`) {
		t.Errorf("the audit: %s", said)
	}
}

// TestWhatPeopleDoInSlackIsAudited beside what they may not do.
func TestWhatPeopleDoInSlackIsAudited(t *testing.T) {
	t.Parallel()
	s := newSlackStory(t, ", allow: [U0SAMLEE]")
	s.meta("ACTIVATED", 10)
	card := s.shows("Endpoint error rate")
	s.press(card, sandbox.Press{Action: "acknowledge", User: "U0EVE000"})
	s.press(card, sandbox.Press{Action: "acknowledge", User: "U0SAMLEE"})
	s.settle()
	type line struct{ Verified, From, What, Result string }
	var acts []line
	eventually(t, "both are in the audit", func() bool {
		var got struct{ Audit []line }
		s.get(t, "/api/v1/audit", &got)
		acts = slices.DeleteFunc(got.Audit, func(a line) bool {
			return strings.HasPrefix(a.What, "retry delivery") // settle asks for these
		})
		return len(acts) == 2
	})
	if a := acts[0]; a.Verified != "Slack signature" || a.From != "Slack, user U0SAMLEE" ||
		a.What != "acknowledge INC-1" || a.Result != "acknowledged INC-1" {
		t.Errorf("what was done: %+v", a)
	}
	if a := acts[1]; a.From != "Slack, user U0EVE000" || a.What != "acknowledge INC-1" ||
		!strings.HasPrefix(a.Result, "refused: ") {
		t.Errorf("what was refused: %+v", a)
	}
}

// TestNoAnswerMayHaveAnEndlessHeader asks a server that answers with a large header through every client of ours.
func TestNoAnswerMayHaveAnEndlessHeader(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 100<<10)
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		w.Header().Set("X-Large", large)
		if strings.HasPrefix(r.URL.Path, "/v2/") {
			w.WriteHeader(http.StatusAccepted)
		}
		_, _ = io.WriteString(w,
			`{"ok": true, "status": "success", "ts": "1", "channel": "C1", "team_id": "T1", "incidents": []}`)
	}))
	defer server.Close()
	notification := router.Notification{
		Delivery: 1, Attempt: 1, Revision: 1, Open: true, Severity: router.Error, Key: "k",
		Target: router.Target{Notifier: "n", Address: "C1", Credential: testRoutingKey},
		Incident: &router.Incident{Number: 1, Key: "k", WABA: "w", Flow: "f", Event: router.EndpointErrorRate,
			State: router.IncidentOpen, OpenedAt: time.Now()},
	}
	journal := discarding{}
	for _, tt := range []struct {
		name string
		call func(ctx context.Context) error
	}{
		{"slack", func(ctx context.Context) error {
			n, err := slack.New(slack.Config{Token: testSlackToken, APIURL: server.URL + "/"})
			if err == nil {
				_, err = n.Sync(ctx, notification)
			}
			return err
		}},
		{"the Events API of PagerDuty", func(ctx context.Context) error {
			n, err := pagerduty.New(pagerduty.Config{EventsURL: server.URL})
			if err == nil {
				_, err = n.Sync(ctx, notification)
			}
			return err
		}},
		{"the receiver behind", func(ctx context.Context) error {
			h, err := whatsapp.New(whatsapp.Config{AppSecrets: []router.Secret{testSecret}, VerifyToken: "v",
				Forward: server.URL}, journal)
			if err != nil {
				return nil
			}
			body := pairPost(time.Now().Unix(), "77", "ACTIVATED", 10)
			r := httptest.NewRequestWithContext(ctx, "POST", "/webhooks/whatsapp", strings.NewReader(body))
			r.Header.Set("X-Hub-Signature-256", whatsapp.Sign(testSecret, []byte(body)))
			w := httptest.NewRecorder()
			h.Receive(w, r)
			if w.Code/100 != 2 {
				return fmt.Errorf("%d %s", w.Code, w.Body)
			}
			return nil
		}},
		{"the command line", func(ctx context.Context) error {
			p := program{Getenv: func(string) (string, bool) { return "", false }}
			client, err := p.adminClient("--admin", server.URL)
			if err != nil {
				return nil
			}
			var out json.RawMessage
			return client.call(ctx, "GET", "/api/v1/incidents", nil, &out)
		}},
		{"send", func(ctx context.Context) error {
			_, _, _, err := postSigned(ctx, newHTTPClient(0), server.URL, testSecret, []byte("{}"))
			return err
		}},
		{"the doctor", func(ctx context.Context) error {
			return doctorCommand{Rules: "none.yaml", DB: filepath.Join(databases.TempDir(t), "none.db"), WebhookURL: server.URL,
				Timeout: 5 * time.Second}.asks(ctx, server.URL)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := calls.Load()
			if err := tt.call(t.Context()); err == nil {
				t.Error("it took the answer")
			}
			if calls.Load() == before {
				t.Error("it did not ask")
			}
		})
	}
}

// asks makes one call as the doctor does.
func (c doctorCommand) asks(ctx context.Context, address string) error {
	p := &program{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard,
		Getenv: func(string) (string, bool) { return "", false }}
	_, err := c.doctor(p).Ask(ctx, http.MethodGet, address, nil, nil)
	return err
}

// discarding is a journal that keeps nothing.
type discarding struct{}

func (discarding) Append(_ context.Context, events []router.Event) (int, error) {
	return len(events), nil
}

// TestAShortTokenInAFileIsNotTakenLater off loopback.
func TestAShortTokenInAFileIsNotTakenLater(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	writeFile(t, path, guardToken)
	var log logBuffer
	file, err := newSecretFile(ownSecret{name: adminToken}, path, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	file.file.every = 0
	cfg := bridgeConfig{AdminToken: guardToken, SecretFiles: secretFiles{adminToken: file}}
	if err := cfg.checkTokens("0.0.0.0:9090"); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, "short")
	if got := file.one(); got != guardToken || !strings.Contains(log.String(), "holds 5 characters, and needs 20") {
		t.Errorf("in force: %q, log %s", got.Reveal(), &log)
	}
}

// TestEveryClientIsBounded holds the calls of the library that take answers of any size out of what the bridge is made
// of.
func TestEveryClientIsBounded(t *testing.T) {
	t.Parallel()
	unbounded := regexp.MustCompile(
		`http\.(DefaultClient|DefaultTransport|Get|Post|PostForm|Head)\b|&?http\.(Client|Transport)\{\}|websocket\.(DefaultDialer\b|Dialer\{)`)
	// where the bound is set
	bounded := map[string]bool{"notifiers/transport.go": true, "router/whatsapp/forward.go": true,
		"router/graph/call.go": true, "notifiers/slack/socketdial.go": true}
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || bounded[path] ||
			strings.HasPrefix(path, "notifiers/sandbox/") || strings.Contains(path, "/storetest/") {
			return err
		}
		text, err := fs.ReadFile(root, path)
		if found := unbounded.Find(text); found != nil {
			t.Errorf("%s: %s takes an answer of any size: use notifiers.NewTransport", path, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
