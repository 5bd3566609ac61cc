package main

import (
	"errors"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	databases "flowbridge/router/store/storetest"
)

// asBrowser asks for a page, or posts a form, and returns what it says.
func (p *process) asBrowser(t *testing.T, path string, form url.Values) (status int, text string) {
	t.Helper()
	status, text, err := p.tryBrowser(path, form)
	if err != nil {
		t.Fatal(err)
	}
	return status, text
}

func (p *process) tryBrowser(path string, form url.Values) (status int, text string, err error) {
	req, err := http.NewRequest(http.MethodGet, p.Admin+path, nil)
	if form != nil {
		req, err = http.NewRequest(http.MethodPost, p.Admin+path, strings.NewReader(form.Encode()))
	}
	if err != nil {
		return 0, "", err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Origin", p.Admin)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	text = html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(string(body), " "))
	return resp.StatusCode, strings.Join(strings.Fields(text), " "), err
}

// TestRulesAreTriedInTheConsole pastes events and rules into running bridges: nothing is stored, and who pastes learns
// nothing of this machine's variables and files.
func TestRulesAreTriedInTheConsole(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("hunter2hunter2hunter2hunter2hunt"), 0o600))
	t.Setenv("CONSOLE_TEST_SECRET", "hunter3hunter3hunter3hunter3hunt")
	for _, c := range []struct {
		name string
		dsn  func(t *testing.T) string
	}{
		{"SQLite", func(t *testing.T) string { return databases.File(t) }},
		{"PostgreSQL", func(t *testing.T) string { return databases.Shared(t).Database(t) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServices(t, "#ops")
			p := start(t, s, writeRules(t, ruleNamed("everything")), c.dsn(t))
			p.post(t, pairPost(lately, "77", "ACTIVATED", 50), http.StatusOK)
			eventually(t, "the incident is told", func() bool {
				inc := look(t, p)
				return len(inc.Deliveries) == 1 && inc.Deliveries[0].State == "delivered"
			})
			eventually(t, "the version of the rules is kept", func() bool {
				_, text := p.asBrowser(t, "/rules", nil)
				return strings.Contains(text, "- name: everything") && strings.Contains(text, "1 hit, 0 pages")
			})

			for _, tt := range []struct {
				name, path string
				form       url.Values
				status     int
				want       []string
			}{
				{"an event of the journal", "/rules/try?seq=1", nil, 200,
					[]string{"told chat (slack #ops)", "yes everything: field is flows"}},
				{"an event that is pasted", "/rules/try", url.Values{"event": {pairPost(lately, "78", "ACTIVATED", 10)}}, 200,
					[]string{"Endpoint error rate", "told chat"}},
				{"no event", "/rules/try", url.Values{"event": {`{"a": 1}`}}, 400, []string{"no webhook post"}},
				{"an event that is unreadable", "/rules/try", url.Values{"event": {`{"entry": 7}`}}, 400,
					[]string{"keep it as unreadable"}},
				{"the same rules", "/rules/candidate", url.Values{"rules": {ruleNamed("everything")}, "days": {"7"}}, 200,
					[]string{"The same rules tell the same notifiers", "1 compared", "None: these rules tell what was told"}},
				{"rules with mistakes", "/rules/candidate", url.Values{"rules": {ruleNamed("x") + "    notfy: [chat]\n"}}, 200,
					[]string{"They cannot be loaded", "8:5 rules[0].notfy", "notify"}},
				{"others", "/rules/candidate", url.Values{"rules": {strings.ReplaceAll(ruleNamed("others"), "chat", "elsewhere")},
					"days": {"1"}}, 200,
					[]string{"others new elsewhere", "everything gone chat", "chat → elsewhere", "+1 message to elsewhere",
						"−1 message to chat"}},
				{"what refers to secrets", "/rules/candidate", url.Values{"rules": {strings.Replace(ruleNamed("x"), "#ops",
					"${CONSOLE_TEST_SECRET}", 1)}}, 200, []string{"They can be loaded"}},
				{"what refers to a file", "/rules/candidate", url.Values{"rules": {strings.Replace(ruleNamed("x"), "#ops",
					"${file:"+secret+"}", 1)}}, 200, []string{"They can be loaded"}},
				{"what refers to a file that is not there", "/rules/candidate",
					url.Values{"rules": {strings.Replace(ruleNamed("x"), "#ops", "${file:"+secret+"2}", 1)}}, 200,
					[]string{"They can be loaded"}},
				{"the setup", "/setup", nil, 200, []string{"Last good post", "Meta app secret", "Slack token"}},
			} {
				status, text := p.asBrowser(t, tt.path, tt.form)
				for _, want := range tt.want {
					if status != tt.status || !strings.Contains(text, want) {
						t.Errorf("%s: %d without %q:\n%s", tt.name, status, want, text)
					}
				}
				if strings.Contains(text, "hunter") {
					t.Errorf("%s: a secret is shown:\n%s", tt.name, text)
				}
			}
			if err := trySeveral(p); err != nil {
				t.Error(err)
			}
			must(t, p.stop(t))
		})
	}
}

// trySeveral replays rules several times at once: each is done, or told that another is at work.
func trySeveral(p *process) error {
	var work sync.WaitGroup
	faults := make([]error, 8)
	for i := range faults {
		work.Go(func() {
			status, text, err := p.tryBrowser("/rules/candidate", url.Values{"rules": {ruleNamed("everything")}, "days": {"1"}})
			switch {
			case err != nil:
				faults[i] = err
			case status == http.StatusOK && strings.Contains(text, "events folded"):
			case status == http.StatusConflict && strings.Contains(text, "Somebody is replaying rules now"):
			default:
				faults[i] = errors.New(text)
			}
		})
	}
	work.Wait()
	return errors.Join(faults...)
}
