package console

import (
	"context"
	"errors"
	"flag"
	"html"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

var updatePages = flag.Bool("update-pages", false, "rewrite the golden files of pages' texts")

// hostile is what Meta or a person may write.
const hostile = `<script>alert(1)</script>"'&`

// toolsConfig hands in rules as a program does.
func toolsConfig() Config {
	cfg := pagesConfig()
	cfg.RulesNow = func() string { return "aa11" }
	cfg.Tools = RulesTools{
		Outline: func() []RuleOutline {
			return []RuleOutline{
				{Name: "payments endpoint is failing", File: "rules.yaml", Line: 2, Match: []int{2, 2},
					Notify: []RuleNotify{{"payments-chat", "Slack", ""}, {"payments-oncall", "PagerDuty", "after 5 min"}}},
				{Name: hostile, File: "rules.yaml", Line: 900, Drop: true, ShadowedBy: []string{"payments endpoint is failing"}},
				{Name: "default", Notify: []RuleNotify{{"ops-chat", "Slack", ""}}},
			}
		},
		Explain: func(_ context.Context, event []byte) (string, error) {
			if !strings.HasPrefix(string(event), "{") {
				return "", errors.New("the event is no JSON object: " + hostile)
			}
			return "told payments-chat " + hostile, nil
		},
		Try: func(ctx context.Context, text []byte, days int) (RulesTrial, error) {
			switch string(text) {
			case "busy":
				return RulesTrial{}, ErrTrialBusy
			case "slow":
				<-ctx.Done()
				return RulesTrial{}, ctx.Err()
			case "bad":
				return RulesTrial{Mistakes: []RuleMistake{{Line: 3, Column: 7, Path: "rules[0]", Problem: "unknown key " + hostile,
					Hint: "notify"}}, Faults: 1}, nil
			}
			trial := RulesTrial{Mistakes: []RuleMistake{{Line: 9, Column: 1, Problem: "nothing uses this notifier",
				Warning: true}},
				Changed: []RuleChange{{Rule: hostile, What: "tells others", Was: "payments-chat", Now: "nobody"}}, Open: 2,
				Moved: []MovedIncident{{Number: 42, What: "Checkout", Was: "payments-chat", Now: "nobody"},
					{Number: 41, What: "Old", Unknown: true}}}
			if days > 0 {
				trial.Replay = &RulesReplay{Events: 100, Compared: 7, From: at(-100), To: at(0),
					Counts: []ReplayCount{{"Pages", 3, 2, 2, 0, 1}},
					Differences: []ReplayDifference{{"page", "payments-oncall", hostile, 0, 1,
						[]string{"− 2026-03-02 11:00 UTC Endpoint error rate"}}}, NeverHit: []string{"4:3 late"},
					Notes: []string{"2 acts are left out."}}
			}
			return trial, nil
		},
	}
	cfg.Examine = func(context.Context) []Check {
		return []Check{{Status: StatusOK, Name: "clock", Seen: "right"},
			{StatusFail, "slack token", "Slack refuses it " + hostile, "make one"},
			{StatusWarn, "rules", "2 warnings", "run: flowbridge check rules.yaml; and mend them"},
			{Status: StatusOK, Name: "seen of Meta", Seen: "last good post"}}
	}
	return cfg
}

// textOf is what a page says, without its frame: a line for each block.
func textOf(body string) string {
	_, body, _ = strings.Cut(body, "<main")
	_, body, _ = strings.Cut(body, ">")
	body, _, _ = strings.Cut(body, "</main>")
	body = regexp.MustCompile(`<(h[1-6]|p|li|tr|dt|dd|div|section|summary|label|pre|button)\b`).ReplaceAllString(body,
		"\n<$1")
	body = html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, " "))
	var lines []string
	for line := range strings.SplitSeq(body, "\n") {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

func TestPagesOfToolsSayWhatThereIs(t *testing.T) {
	candidate := func(text, days string) url.Values { return url.Values{"rules": {text}, "days": {days}} }
	for _, tt := range []struct {
		name, path string
		form       url.Values
		status     int
	}{
		{"silences", "/silences", nil, 200},
		{"silence-new", "/silences/new?incident=INC-42", nil, 200},
		{"silence-preview", "/silences/preview?" + url.Values{"flow": {"1987937931743377"}, "for": {"4h"},
			"why": {hostile}}.Encode(), nil, 200},
		{"silence-preview-of-nothing", "/silences/preview?flow=77&for=recovered&start=2099-01-02T10:00&why=x", nil, 400},
		{"silence-preview-of-everything", "/silences/preview?everything=yes&for=4h&why=x", nil, 200},
		{"silence-wrong", "/silences/preview?for=4h&labels=x", nil, 400},
		{"silence-end", "/silences/deploying/end", nil, 200},
		{"silence-extend", "/silences/deploying/extend", nil, 200},
		{"rules", "/rules", nil, 200},
		{"rules-try-event", "/rules/try?seq=101", nil, 200},
		{"rules-try-wrong", "/rules/try", url.Values{"event": {"[]"}}, 400},
		{"rules-candidate", "/rules/candidate", candidate("version: 1", "7"), 200},
		{"rules-candidate-wrong", "/rules/candidate", candidate("bad", ""), 200},
		{"rules-candidate-busy", "/rules/candidate", candidate("busy", "1"), 409},
		{"report", "/report?from=2026-04-10&to=2026-05-05&team=payments", nil, 200},
		{"setup", "/setup", nil, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := filledStore()
			s.silences[0].Why = hostile
			c, logs := newConsole(t, toolsConfig(), s)
			method := http.MethodGet
			if tt.form != nil {
				method = http.MethodPost
			}
			resp, body := newBrowser(t, c).do(method, tt.path, tt.form)
			if resp.StatusCode != tt.status || logs.Len() > 0 {
				t.Fatalf("%s\n%s", resp.Status, logs)
			}
			if strings.Contains(body, "<script>alert") || strings.Contains(body, `"'&`) {
				t.Errorf("what others wrote became markup:\n%s", body)
			}
			if len(body) > 60<<10 || strings.Count(body, "<h1") != 1 {
				t.Errorf("%d bytes, %d headings of the first level", len(body), strings.Count(body, "<h1"))
			}
			if len(s.appended) > 0 {
				t.Errorf("it does something: %+v", s.appended)
			}
			file := filepath.Join("testdata", "pages", tt.name+".txt")
			got := textOf(body)
			if *updatePages {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-update-pages writes it anew):\n%s", file, diff)
			}
		})
	}
}

func TestSilencesAreMadeOnlyAfterAPreview(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		form       url.Values
		status     int
		events     string // that are appended
	}{
		{"of a flow", "/silences/preview", url.Values{"flow": {"1987937931743377"}, "for": {"4h"}, "why": {"deploy"}}, 303,
			"SILENCE"},
		{"later, until a time", "/silences/preview", url.Values{"team": {"care"}, "for": {"until"},
			"until": {"2026-05-05T12:00"}, "start": {"2026-05-05T10:00"}, "why": {"x"}}, 303, "SILENCE"},
		{"without a reason", "/silences/preview", url.Values{"flow": {"1"}, "for": {"4h"}}, 400, ""},
		{"of nothing", "/silences/preview", url.Values{"for": {"4h"}, "why": {"x"}}, 400, ""},
		{"of everything, asked once", "/silences/preview", url.Values{"everything": {"yes"}, "for": {"4h"}, "why": {"x"}},
			400, ""},
		{"of everything, asked twice", "/silences/preview", url.Values{"everything": {"yes"}, "for": {"4h"}, "why": {"x"},
			"sure": {"yes"}}, 303, "SILENCE"},
		{"sure of a flow that is none of everything", "/silences/preview", url.Values{"everything": {"yes"}, "flow": {"1"},
			"for": {"4h"}, "why": {"x"}, "sure": {"yes"}}, 400, ""},
		{"ended", "/silences/deploying/end", url.Values{}, 303, "END_SILENCE"},
		{"ended that has ended", "/silences/ended/end", url.Values{}, 303, ""},
		{"ended that is none", "/silences/nothing/end", url.Values{}, 404, ""},
		{"extended: the new one first", "/silences/deploying/extend", url.Values{"for": {"8h"}}, 303, "SILENCE END_SILENCE"},
		{"extended to a time before its end", "/silences/deploying/extend", url.Values{"for": {"30m"}}, 400, ""},
		{"extended until nobody knows", "/silences/deploying/extend", url.Values{"for": {"900d"}}, 400, ""},
		{"extended that holds until recovered", "/silences/all/extend", url.Values{"for": {"8h"}}, 303, ""},
		{"posted where only a form is", "/silences/new", url.Values{"flow": {"1"}}, 404, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := signInConfig()
			cfg.Now = func() time.Time { return noon }
			for _, who := range []struct {
				token, events string
				status        int
			}{{adminToken, tt.events, tt.status}, {viewToken, "", 403}} {
				s := filledStore()
				c, _ := newConsole(t, cfg, s)
				b := newBrowser(t, c)
				b.signIn("Ada", who.token)
				resp, body := b.do("POST", tt.path, tt.form)
				var names []string
				for _, e := range s.appended {
					names = append(names, e.Name)
					if e.Act.Actor != "Ada" {
						t.Errorf("by %q", e.Act.Actor)
					}
				}
				want := strings.ReplaceAll(strings.ReplaceAll(who.events, "END_SILENCE", router.EndSilence), "SILENCE",
					router.AddSilence)
				if who.events != "" && strings.Contains(who.events, "END_") {
					want = strings.TrimSpace(strings.Join(map[bool][]string{true: {router.AddSilence, router.EndSilence},
						false: {router.EndSilence}}[strings.HasPrefix(who.events, "SILENCE")], " "))
				}
				if resp.StatusCode != who.status || strings.Join(names, " ") != want {
					t.Errorf("%s: %v, want %d %s\n%s", resp.Status, names, who.status, want, textOf(body))
				}
			}
		})
	}
}

func TestToolsMayBeUsedByWhoMayOnlyLook(t *testing.T) {
	cfg := toolsConfig()
	cfg.Token, cfg.ViewToken = adminToken, viewToken
	c, _ := newConsole(t, cfg, filledStore())
	b := newBrowser(t, c)
	b.signIn("Grace", viewToken)
	for path, form := range map[string]url.Values{"/rules/try": {"event": {"{}"}},
		"/rules/candidate": {"rules": {"version: 1"}}} {
		if resp, _ := b.do("POST", path, form); resp.StatusCode != 200 {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	for path, want := range map[string]string{"/silences": onlyLook, "/silences/new": onlyLook,
		"/silences/preview?flow=77&for=1h&why=x": onlyLook, "/silences/deploying/end": onlyLook} {
		if resp, body := b.do("GET", path, nil); resp.StatusCode != 200 || !strings.Contains(body, want) ||
			strings.Contains(textOf(body), "\nEnd flow") {
			t.Errorf("%s: %s\n%s", path, resp.Status, textOf(body))
		}
	}
}

func TestWhatIsPastedIsBounded(t *testing.T) {
	c, _ := newConsole(t, toolsConfig(), filledStore())
	b := newBrowser(t, c)
	for _, tt := range []struct {
		path   string
		form   url.Values
		status int
	}{
		{"/rules/candidate", url.Values{"rules": {strings.Repeat("a", maxCandidate)}}, 200},
		{"/rules/candidate", url.Values{"rules": {strings.Repeat("a", maxCandidate+1)}}, 400},
		{"/rules/candidate", url.Values{"rules": {strings.Repeat("ä", maxCandidate)}}, 413},
		{"/rules/candidate", url.Values{"rules": {"version: 1"}, "days": {"365"}}, 400},
		{"/rules/candidate", url.Values{"rules": {" "}}, 400},
		{"/rules/try", url.Values{"event": {"{" + strings.Repeat("a", maxCandidate)}}, 400},
		{"/rules/try", url.Values{"seq": {"99999"}}, 400},
	} {
		if resp, _ := b.do("POST", tt.path, tt.form); resp.StatusCode != tt.status {
			t.Errorf("%s of %d bytes: %s, want %d", tt.path, len(tt.form.Encode()), resp.Status, tt.status)
		}
	}
	bare, _ := newConsole(t, pagesConfig(), filledStore())
	for path, status := range map[string]int{"/rules": 200, "/rules/try": 404, "/rules/candidate": 404, "/setup": 200,
		"/rules?version=nothing": 404, "/report?from=1d&to=2d": 400, "/report?zone=Mars": 400, "/report?from=2y": 400} {
		if resp, body := newBrowser(t, bare).do("GET", path, nil); resp.StatusCode != status {
			t.Errorf("%s: %s\n%s", path, resp.Status, textOf(body))
		}
	}
}

func TestTheSetupIsLookedAtOnceAMinute(t *testing.T) {
	now, looks := noon, 0
	cfg := pagesConfig()
	cfg.Now = func() time.Time { return now }
	cfg.Examine = func(context.Context) []Check { looks++; return nil }
	c, _ := newConsole(t, cfg, filledStore())
	for _, step := range []struct {
		after time.Duration
		looks int
	}{{0, 1}, {59 * time.Second, 1}, {time.Second, 2}, {0, 2}} {
		now = now.Add(step.after)
		newBrowser(t, c).do("GET", "/setup", nil)
		if looks != step.looks {
			t.Errorf("%d looks, want %d", looks, step.looks)
		}
	}
}

func TestReportsAreDownloaded(t *testing.T) {
	s := filledStore()
	s.incidents[0].FlowName = `=HYPERLINK("x")`
	c, _ := newConsole(t, pagesConfig(), s)
	resp, body := newBrowser(t, c).do("GET", "/report?from=2026-04-10&to=2026-05-05&team=payments&zone=&format=csv", nil)
	if resp.Header.Get("Content-Type") != "text/csv; charset=utf-8" ||
		!strings.Contains(body, "part,key,name,incidents") || !strings.Contains(body, `"'=HYPERLINK(""x"")"`) {
		t.Errorf("%s\n%s", resp.Status, body)
	}
	if f := s.reportFilters[0]; f.Team != "payments" || f.To.Sub(f.From) != 25*24*time.Hour {
		t.Errorf("%+v", f)
	}
	if resp, body := newBrowser(t, c).do("GET", "/report?format=json",
		nil); resp.Header.Get("Content-Type") != "application/json" || !strings.Contains(body, `"night_pages"`) {
		t.Errorf("%s\n%s", resp.Status, body)
	}
}
