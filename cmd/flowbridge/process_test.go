package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/notifiers/sandbox/sandboxtest"
	"flowbridge/router"
	databases "flowbridge/router/store/storetest"
	"flowbridge/router/whatsapp"
)

// binaryDir is removed when the tests have run.
func binaryDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("flowbridge-test-%d", os.Getpid()))
}

// binary builds the program once for all tests that run it as its users do.
var binary = sync.OnceValues(func() (string, error) {
	if err := os.MkdirAll(binaryDir(), 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(binaryDir(), "flowbridge")
	out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

const (
	testSecret     = "app-secret-of-the-test"
	testSlackToken = "xoxb-token-of-the-test"
	testRoutingKey = "0123456789abcdef0123456789abcdef"
)

// services are the stand-ins that a process talks to.
type services struct {
	Slack     *sandbox.Slack
	PagerDuty *sandbox.PagerDuty
	env       []string
	memory    int          // MiB of addresses that a process may have; 0 for no limit
	files     int          // file descriptors that it may have; 0 for no limit
	group     controlGroup // that it begins in; "" for ours
}

// within runs a command with so many MiB of addresses.
func within(memory int, path string, args ...string) *exec.Cmd {
	return limited("-v", memory<<10, path, args...)
}

func limited(what string, most int, path string, args ...string) *exec.Cmd {
	return exec.Command("sh", append([]string{"-c", fmt.Sprintf(`ulimit %s %d && exec "$0" "$@"`, what, most), path},
		args...)...)
}

func newServices(t testing.TB, channels ...string) *services {
	t.Helper()
	return startServices(t, sandbox.SlackConfig{Token: testSlackToken, Channels: channels},
		sandbox.PagerDutyConfig{RoutingKeys: []router.Secret{testRoutingKey}})
}

func startServices(t testing.TB, chat sandbox.SlackConfig, page sandbox.PagerDutyConfig) *services {
	t.Helper()
	chat.Patience = cmp.Or(chat.Patience, databases.Patience) // a busy machine answers late
	s := &services{Slack: sandbox.NewSlack(chat), PagerDuty: sandbox.NewPagerDuty(page)}
	slackServer, pagerServer := httptest.NewServer(s.Slack), httptest.NewServer(s.PagerDuty)
	t.Cleanup(func() {
		s.Slack.ClearFaults()
		s.PagerDuty.ClearFaults()
		slackServer.CloseClientConnections()
		slackServer.Close()
		pagerServer.Close()
	})
	s.env = []string{
		"META_APP_SECRET=" + testSecret, "META_VERIFY_TOKEN=verify-token-of-the-test",
		"SLACK_BOT_TOKEN=" + testSlackToken, "SLACK_API_URL=" + slackServer.URL + "/api/",
		"PD_KEY=" + testRoutingKey, "PAGERDUTY_EVENTS_URL=" + pagerServer.URL,
		"FLOWBRIDGE_WATCH_EVERY=24h", // else a test tells of a full disk of this machine
	}
	return s
}

// process is a running flowbridge.
type process struct {
	cmd           *exec.Cmd
	Public, Admin string // base URLs
	stderr        *logBuffer
	ended         chan error
	ready         chan [2]string // both, once it says that it is ready
}

// start runs `flowbridge serve` and waits until it says that it is ready.
func start(t *testing.T, s *services, rulesFile, db string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	p := launch(t, s, path, rulesFile, db, "127.0.0.1:0")
	if err := p.isReady(); err != nil {
		t.Fatal(err)
	}
	return p
}

// launch starts a binary, and waits for nothing.
func launch(t *testing.T, s *services, path, rulesFile, db, listen string) *process {
	t.Helper()
	args := []string{"serve", "--rules", rulesFile, "--db", db, "--listen", listen, "--admin", "127.0.0.1:0"}
	p := &process{cmd: exec.Command(path, args...), stderr: &logBuffer{}, ended: make(chan error, 1),
		ready: make(chan [2]string, 1)}
	switch {
	case s.memory > 0:
		p.cmd = within(s.memory, path, args...)
	case s.files > 0:
		p.cmd = limited("-n", s.files, path, args...)
	case s.group != "":
		p.cmd = exec.Command("sh", append([]string{"-c", `echo $$ >` + s.group.procs() + ` && exec "$0" "$@"`, path}, args...)...)
	}
	p.cmd.Env = append(os.Environ(), s.env...)
	read, write := io.Pipe()
	p.cmd.Stderr = io.MultiWriter(p.stderr, write)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for lines := bufio.NewScanner(read); lines.Scan(); {
			var line struct{ Msg, Listen, Admin string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "flowbridge is ready" {
				p.ready <- [2]string{"http://" + line.Listen, "http://" + line.Admin}
			}
		}
	}()
	go func() {
		p.ended <- p.cmd.Wait()
		write.Close()
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the bridge said\n%s", tail(p.stderr.String()))
		}
	})
	return p
}

// isReady waits until the process says that it is ready, or returns how it ended.
func (p *process) isReady() error {
	select {
	case urls := <-p.ready:
		p.Public, p.Admin = urls[0], urls[1]
		return nil
	case err := <-p.ended:
		p.ended <- err // for kill
		return fmt.Errorf("serve ended: %w\n%s", err, p.stderr)
	case <-time.After(3 * time.Minute):
		return fmt.Errorf("serve did not get ready:\n%s", p.stderr)
	}
}

// kill ends the process as a power cut would: SIGKILL.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	err := <-p.ended
	p.ended <- err
}

// stop asks the process to end and returns how it did.
func (p *process) stop(t *testing.T) error {
	t.Helper()
	p.interrupt(t)
	return p.end(t)
}

func (p *process) interrupt(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
}

// end waits until the process has ended and returns how.
func (p *process) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.ended:
		p.ended <- err
		return err
	case <-time.After(2 * time.Minute):
		t.Fatalf("did not stop:\n%s", p.stderr)
		return nil
	}
}

// post sends a signed webhook and fails the test unless it is answered with want.
func (p *process) post(t *testing.T, body string, want int) {
	t.Helper()
	got, text, err := p.tryPost(body)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Fatalf("post answered %d: %s", got, text)
	}
}

// tryPost sends a signed webhook and returns the answer.
func (p *process) tryPost(body string) (status int, text string, err error) {
	req, err := http.NewRequest(http.MethodPost, p.Public+"/webhooks/whatsapp", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("X-Hub-Signature-256", whatsapp.Sign(router.Secret(testSecret), []byte(body)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(answer), err
}

// get reads JSON from the admin API into v.
func (p *process) get(t *testing.T, path string, v any) {
	t.Helper()
	resp, err := http.Get(p.Admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// readiness returns what /readyz answers.
func (p *process) readiness(t *testing.T) int {
	t.Helper()
	resp, err := http.Get(p.Admin + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// counter reads one of the numbers that the process counts for itself.
func (p *process) counter(t *testing.T, name string) int {
	t.Helper()
	for line := range strings.Lines(getText(t, p.Admin+"/metrics")) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			var f float64
			if _, err := fmt.Sscan(rest, &f); err != nil {
				t.Fatal(err)
			}
			return int(f)
		}
	}
	t.Fatalf("%s is not counted", name)
	return 0
}

// eventually waits until something is true, looking again and again. It looks less often the longer it waits: many
// tests do so at a time, and a look may cost the bridge more than what is waited for.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for pause := 5 * time.Millisecond; !ok(); pause = min(pause*5/4, 100*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(pause)
	}
}

// logBuffer keeps what a process writes while tests read it.
type logBuffer = sandboxtest.LogBuffer

// getText reads a page.
func getText(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// hasLine says whether a text has a line. A metric is asked for by its line: the one with its help begins alike.
func hasLine(text, line string) bool {
	return slices.Contains(strings.Split(text, "\n"), line)
}

// tryNow makes a delivery due that waits.
func (p *process) tryNow(t *testing.T, delivery int) {
	t.Helper()
	resp, err := http.Post(fmt.Sprintf("%s/api/v1/deliveries/%d/retry", p.Admin, delivery), "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

// toCome counts what is not folded or told yet. What changes little waits to be told together: it is made due.
func (p *process) toCome(t *testing.T) int {
	t.Helper()
	var waiting struct {
		Events     []struct{}
		Deliveries []struct {
			ID, Attempts int
			Next_at      time.Time
		}
	}
	p.get(t, "/api/v1/events?state=waiting", &waiting)
	p.get(t, "/api/v1/deliveries?state=waiting", &waiting)
	for _, d := range waiting.Deliveries {
		if d.Attempts == 0 && time.Until(d.Next_at) > time.Second {
			p.tryNow(t, d.ID)
		}
	}
	return len(waiting.Events) + len(waiting.Deliveries)
}
