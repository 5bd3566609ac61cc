package console

import (
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"html"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"flowbridge/router"
)

// pagesConfig has a manual of two pages.
func pagesConfig() Config {
	return Config{Version: "1.2.3", ManualPages: []string{"rules", "running"}, Manual: fstest.MapFS{
		"rules.md": {Data: []byte(
			"# Rules\n\nSee [running](running.md#flags-of-serve) and <https://example.com/>.\n\n| a | b |\n| --- | --- |\n| " +
				"`x|y` | <b> |\n")},
		"running.md": {Data: []byte("# Running\n\n```\n<script>\n```\n\n- one\n- **two**\n\n## Flags of serve\n")},
	}}
}

func TestPagesStandInTheFrame(t *testing.T) {
	s := filledStore()
	s.readings = []router.AlertReading{
		{At: at(0), Level: "5", Reading: router.Reading{Value: new(6.1)}},
		{At: at(5), Level: "10", Reading: router.Reading{Value: new(14.28)}},
	}
	c, logs := newConsole(t, pagesConfig(), s)
	b := newBrowser(t, c)
	for path, want := range map[string][]string{
		"/": {"INC-42", "INC-41", "Not everybody was told", `data-key="42"`, "Critical",
			"payments-oncall fails", "was told"},
		"/?state=resolved":         {"INC-40", "after 10 min"},
		"/?q=nothing&flow=unknown": {"Nothing fits this filter"},
		"/incidents/42": {"Checkout &lt;fails&gt; &amp; burns", "14.28 %", "PagerDuty #17",
			"https://runbooks.example.com/checkout", "PagerDuty answered 503", `<svg class="chart"`, "H",
			"Endpoint error rate back under 50 %", "payments endpoint is failing"},
		"/incidents/INC-41":         {"BLOCKED", "Ada"},
		"/incidents/42/acknowledge": {"Acknowledge INC-42", "What will happen", "Who is told", "payments-chat (Slack)"},
		"/incidents/42/reopen":      {"It is not resolved."},
		"/incidents/42/told/8":      {"What payments-oncall was told of INC-42"},
		"/acknowledge?n=42&n=41":    {"INC-42 (", "INC-41 (", "is acknowledged already", "Acknowledge 1"},
		"/docs":                     {"Manual", "Running"},
		"/docs/rules": {`href="/docs/running#flags-of-serve"`, "<code>x|y</code>", "&lt;b&gt;",
			`href="https://example.com/"`},
		"/docs/running.md": {"&lt;script&gt;", "<strong>two</strong>", `id="flags-of-serve"`},
	} {
		resp, body := b.do("GET", path, nil)
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %s\n%s", path, resp.Status, logs)
		}
		for _, one := range append(want, `<html lang="en">`, `href="#main"`, `<main id="main"`, `aria-live="polite"`) {
			if !strings.Contains(body, one) {
				t.Errorf("%s has no %q:\n%s", path, one, body)
			}
		}
		if n := strings.Count(body, "<h1"); n != 1 {
			t.Errorf("%s has %d headings of the first level", path, n)
		}
		if len(body) > 60<<10 {
			t.Errorf("%s has %d bytes", path, len(body))
		}
		if got := resp.Header.Get("Content-Security-Policy"); got != pagePolicy {
			t.Errorf("%s: %s", path, got)
		}
		if regexp.MustCompile(`<script>|style="| on[a-z]+="|javascript:`).MatchString(body) {
			t.Errorf("%s has what the policy forbids:\n%s", path, body)
		}
	}
	if logs.Len() > 0 {
		t.Error(logs)
	}
}

func TestProblemsArePagesForBrowsersAndJSONForPrograms(t *testing.T) {
	c, _ := newConsole(t, pagesConfig(), filledStore())
	broken, _ := newConsole(t, pagesConfig(), &memStore{fault: errors.New("dial postgres://bridge:hunter2@db: refused")})
	busy, _ := newConsole(t, pagesConfig(), &memStore{fault: router.ErrBusy})
	for _, tt := range []struct {
		name, path string
		c          http.Handler
		status     int
		want       string
	}{
		{"a page that is none", "/nothing", c, 404, "Not found"},
		{"an incident that is none", "/incidents/99", c, 404, "INC-99"},
		{"a page of the manual that is none", "/docs/nothing", c, 404, "nothing"},
		{"a delivery that is none", "/incidents/42/told/77", c, 404, "77"},
		{"a filter that cannot be read", "/?severity=terrible", c, 400, "terrible"},
		{"a time that is none", "/?from=yesterday", c, 400, "yesterday"},
		{"storage that is at fault", "/", broken, 500, "Something went wrong"},
		{"storage that is busy", "/incidents/42", busy, 503, "Not possible now"},
	} {
		resp, body := newBrowser(t, tt.c).do("GET", tt.path, nil)
		if resp.StatusCode != tt.status || !strings.Contains(body, "<h1>") || !strings.Contains(body, tt.want) ||
			strings.Contains(body, "hunter2") {
			t.Errorf("%s: %s\n%s", tt.name, resp.Status, body)
		}
		if resp := ask(tt.c, "GET", tt.path, ""); resp.StatusCode != tt.status ||
			resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s, for a program: %s %s", tt.name, resp.Status, resp.Header.Get("Content-Type"))
		}
	}
}

func TestActsAreFormsWithAConfirmation(t *testing.T) {
	for _, tt := range []struct {
		path    string
		form    url.Values
		to, say string
		event   string // "": nothing is done
	}{
		{"/incidents/42/acknowledge", url.Values{}, "/incidents/42", "", router.Acknowledge},
		{"/incidents/41/acknowledge", url.Values{}, "/incidents/41", "Nothing was done", ""},
		{"/incidents/41/unacknowledge", url.Values{}, "/incidents/41", "", router.Unacknowledge},
		{"/incidents/42/resolve", url.Values{}, "/incidents/42", "", router.Resolve},
		{"/incidents/40/reopen", url.Values{}, "/incidents/40", "Meta reports it no more", ""},
		{"/incidents/42/page", url.Values{}, "/incidents/42", "", router.PageNow},
		{"/silences/preview", url.Values{"incident": {"INC-42"}, "flow": {"1987937931743377"}, "for": {"4h"},
			"why": {"deploying"}}, "/incidents/42", "", router.AddSilence},
		{"/silences/preview", url.Values{"incident": {"INC-42"}, "team": {"of another"}, "for": {"4h"},
			"why": {"deploying"}}, "/silences", "", router.AddSilence},
		{"/acknowledge", url.Values{"n": {"42", "41"}}, "/", "Acknowledged: INC-42", router.Acknowledge},
	} {
		s := filledStore()
		s.incidents[0].Silence = router.Silence{}
		s.fold = func() (router.EventProgress, error) {
			return router.EventProgress{Folded: true, Outcome: "it is so now"}, nil
		}
		c, _ := newConsole(t, signInConfig(), s)
		b := newBrowser(t, c)
		b.signIn("Ada", adminToken)
		resp, _ := b.do("POST", tt.path, tt.form)
		if resp.StatusCode != 303 || resp.Header.Get("Location") != tt.to {
			t.Errorf("%s: %s to %q", tt.path, resp.Status, resp.Header.Get("Location"))
			continue
		}
		if (tt.event == "") != (len(s.appended) == 0) || len(s.appended) > 0 &&
			(s.appended[0].Name != tt.event || s.appended[0].Act.Actor != "Ada") {
			t.Errorf("%s: %+v", tt.path, s.appended)
		}
		_, body := b.do("GET", tt.to, nil)
		if say := cmp.Or(tt.say, "It is so now."); !strings.Contains(body, say) {
			t.Errorf("%s: the next page does not say %q", tt.path, say)
		}
		if _, body := b.do("GET", tt.to, nil); strings.Contains(body, `class="flash`) {
			t.Errorf("%s: it is said twice", tt.path)
		}
	}
	s := filledStore()
	s.incidents[0].Silence = router.Silence{}
	c, _ := newConsole(t, Config{}, s)
	for _, form := range []url.Values{{"for": {"4h"}}, {"for": {"900d"}, "why": {"x"}}} {
		form.Set("flow", "1987937931743377")
		form.Set("incident", "INC-42")
		resp, body := newBrowser(t, c).do("POST", "/silences/preview", form)
		if resp.StatusCode != 400 || len(s.appended) > 0 || !strings.Contains(body, `name="incident" value="INC-42"`) {
			t.Errorf("a silence without a reason, or for years: %s\n%s", resp.Status, body)
		}
	}
	if _, body := newBrowser(t, c).do("GET", "/incidents/42", nil); !strings.Contains(body,
		`href="/silences/new?incident=INC-42">Silence<`) {
		t.Error("the incident does not lead to the form of a silence")
	}
	foreign := newBrowser(t, c)
	foreign.headers["Sec-Fetch-Site"] = "cross-site"
	if resp, body := foreign.do("POST", "/incidents/42/resolve", url.Values{}); resp.StatusCode != 403 ||
		!strings.Contains(body, "<h1>") || len(s.appended) > 0 {
		t.Errorf("another site's page: %s", resp.Status)
	}
}

func TestWhatWasNotToldIsTriedAgainFromTheIncident(t *testing.T) {
	const retry = `href="/deliveries/8/retry?back=incident"`
	c, _ := newConsole(t, signInConfig(), filledStore())
	for token, may := range map[string]bool{adminToken: true, viewToken: false} {
		b := newBrowser(t, c)
		b.signIn("Ada", token)
		for _, path := range []string{"/incidents/42", "/incidents/42/told/8", "/incidents/42/told/7"} {
			_, body := b.do("GET", path, nil)
			if got, want := strings.Contains(body, retry), may && path != "/incidents/42/told/7"; got != want {
				t.Errorf("%s with %s: retry is offered: %v, want %v", path, token, got, want)
			}
			if path == "/incidents/42/told/8" && !may && !strings.Contains(body, onlyLook) {
				t.Errorf("%s does not say why not", path)
			}
		}
	}
}

func TestWhoMayLookSeesWhyActsAreNot(t *testing.T) {
	s := filledStore()
	c, _ := newConsole(t, signInConfig(), s)
	b := newBrowser(t, c)
	b.signIn("Bo", viewToken)
	if resp, body := b.do("GET", "/incidents/42", nil); resp.StatusCode != 200 ||
		!strings.Contains(body, "You may look, not act.") || strings.Contains(body, `href="/incidents/42/resolve"`) {
		t.Errorf("%s\n%s", resp.Status, body)
	}
	if _, body := b.do("GET", "/incidents/42/resolve", nil); !strings.Contains(body, onlyLook) ||
		strings.Contains(body, `<form method="post">`) {
		t.Error(body)
	}
	if resp, body := b.do("POST", "/incidents/42/resolve", url.Values{}); resp.StatusCode != 403 ||
		!strings.Contains(body, onlyLook) || len(s.appended) > 0 {
		t.Errorf("%s", resp.Status)
	}
}

func TestALivePageIsRenderedOnlyWhereSomethingChanged(t *testing.T) {
	s := filledStore()
	rules := ""
	c, _ := newConsole(t, Config{Rules: func() string { return rules }}, s)
	b := newBrowser(t, c)
	for _, path := range []string{"/", "/incidents/42"} {
		resp, body := b.do("GET", path, nil)
		etag := resp.Header.Get("ETag")
		if etag == "" || !strings.Contains(html.UnescapeString(body), "data-etag=\""+html.UnescapeString(etag)) &&
			!strings.Contains(body, "data-etag=") {
			t.Fatalf("%s: ETag %q", path, etag)
		}
		again := func() int {
			b.headers["If-None-Match"] = etag
			defer delete(b.headers, "If-None-Match")
			resp, body := b.do("GET", path, nil)
			if resp.StatusCode == 304 && body != "" {
				t.Errorf("%s: 304 with %q", path, body)
			}
			etag = resp.Header.Get("ETag")
			return resp.StatusCode
		}
		if got := again(); got != 304 {
			t.Errorf("%s: nothing changed, and %d", path, got)
		}
		s.stamp++
		if got := again(); got != 200 {
			t.Errorf("%s: something changed in the store, and %d", path, got)
		}
		rules += "a mistake"
		if got := again(); got != 200 && rules == "a mistake" {
			t.Errorf("%s: the rules are not in force any more, and %d", path, got)
		}
		if got := again(); got != 304 {
			t.Errorf("%s: and then nothing, and %d", path, got)
		}
	}
	s.stats = router.Stats{}
	s.lanes = []router.Lane{{Notifier: "payments-chat", PausedUntil: noon.Add(time.Minute)},
		{Notifier: "well", PausedUntil: noon.Add(-time.Minute)}}
	if _, body := b.do("GET", "/", nil); !strings.Contains(body, "payments-chat is paused") || strings.Contains(body,
		"well is paused") || !strings.Contains(body, "The rules on disk are not in force") ||
		strings.Contains(body, "parked:") {
		t.Error(body)
	}
}

func TestAssetsAreSmallHashedAndCompressed(t *testing.T) {
	for name, most := range map[string]int{"console.css": 12 << 10, "console.js": 6 << 10} {
		if data, err := fs.ReadFile(webFiles, "web/"+name); err != nil || len(data) > most {
			t.Errorf("%s: %d bytes (at most %d), %v", name, len(data), most, err)
		}
	}
	c, _ := newConsole(t, pagesConfig(), filledStore())
	_, body := newBrowser(t, c).do("GET", "/docs", nil)
	found := regexp.MustCompile(`(?:href|src)="(/assets/[^"]+)"`).FindAllStringSubmatch(body, -1)
	if len(found) != 3 {
		t.Fatalf("%v", found)
	}
	for _, one := range found {
		for _, encoding := range []string{"", "gzip", "br, gzip;q=0.5", "gzip;q=0"} {
			r := httptest.NewRequest("GET", one[1], nil)
			r.Host = "localhost"
			r.Header.Set("Accept-Encoding", encoding)
			w := httptest.NewRecorder()
			c.ServeHTTP(w, r)
			zipped := w.Header().Get("Content-Encoding") == "gzip"
			if w.Code != 200 || w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" ||
				zipped != (encoding == "gzip" || encoding == "br, gzip;q=0.5") {
				t.Errorf("%s with %q: %d %v", one[1], encoding, w.Code, w.Header())
			}
			if zipped {
				z, err := gzip.NewReader(w.Body)
				if err != nil {
					t.Fatal(err)
				}
				if data, err := io.ReadAll(z); err != nil || len(data) == 0 {
					t.Errorf("%s: %v", one[1], err)
				}
			}
		}
	}
	if resp := ask(c, "GET", "/assets/console.css", ""); resp.StatusCode != 404 {
		t.Errorf("under no hash: %s", resp.Status)
	}
}

func TestFilesOfTheFilter(t *testing.T) {
	s := filledStore()
	s.incidents[1].AcknowledgedBy = `=HYPERLINK("http://evil.example")`
	c, _ := newConsole(t, Config{}, s)
	resp, body := newBrowser(t, c).do("GET", "/incidents.csv?state=all", nil)
	if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/csv") ||
		strings.Count(body, "\n") != 4 ||
		!strings.Contains(body, "INC-42,open,error") || strings.Contains(body, `,"=HYPERLINK`) ||
		!strings.Contains(body, "'=HYPERLINK") {
		t.Errorf("%s\n%s", resp.Status, body)
	}
	if resp, body := newBrowser(t, c).do("GET", "/incidents.json?state=resolved", nil); resp.StatusCode != 200 ||
		!strings.Contains(body, `"number": 40`) || strings.Contains(body, `"number": 42`) {
		t.Errorf("%s\n%s", resp.Status, body)
	}
}

// TestFilesOfAStormAreWhole holds that a file has what matches beyond a page, and that nobody is given a part of it.
func TestFilesOfAStormAreWhole(t *testing.T) {
	for n, status := range map[int]int{1201: 200, router.MaxListed + 1: 400} {
		s := &memStore{}
		for number := n; number > 0; number-- {
			s.incidents = append(s.incidents, router.IncidentDetail{Incident: router.Incident{Number: int64(number),
				State: router.IncidentOpen, Event: "ENDPOINT_ERROR_RATE"}})
		}
		c, _ := newConsole(t, Config{}, s)
		resp, body := newBrowser(t, c).do("GET", "/incidents.csv?state=all", nil)
		if resp.StatusCode != status || status == 200 && strings.Count(body, "\n") != n+1 ||
			status == 400 && !strings.Contains(body, "narrow the filter") {
			t.Errorf("%d incidents: %s, %d lines: %.300s", n, resp.Status, strings.Count(body, "\n"), body)
		}
	}
}

// TestFilesAreMadeOneAtATime holds that several of a storm's do not take memory together.
func TestFilesAreMadeOneAtATime(t *testing.T) {
	s := filledStore()
	c, err := New(Config{}, s)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(ctx context.Context) error {
		_, err := c.incidentsCSV(httptest.NewRequestWithContext(ctx, "GET", "/incidents.csv", nil), nil)
		return err
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	c.files <- struct{}{} // somebody else makes one
	if err := ask(gone); !errors.Is(err, context.Canceled) || len(s.incidentFilters) != 0 {
		t.Errorf("beside another: %v, %d lists were read", err, len(s.incidentFilters))
	}
	<-c.files
	if err := ask(t.Context()); err != nil || len(s.incidentFilters) != 1 || len(c.files) != 0 {
		t.Errorf("alone: %v, %d lists were read", err, len(s.incidentFilters))
	}
}

func TestMyTeamIsOfThisBrowser(t *testing.T) {
	c, _ := newConsole(t, Config{}, filledStore())
	b := newBrowser(t, c)
	if resp, _ := b.do("POST", "/my-team", url.Values{"team": {"Zahlungen & <mehr>"}}); resp.StatusCode != 303 ||
		resp.Header.Get("Location") != "/?team=Zahlungen+%26+%3Cmehr%3E" {
		t.Errorf("%s to %s", resp.Status, resp.Header.Get("Location"))
	}
	b.do("GET", "/", nil)
	if _, body := b.do("GET", "/", nil); !strings.Contains(body, "My team: Zahlungen &amp; &lt;mehr&gt;") {
		t.Error(body)
	}
}

// FuzzNothingOfOthersBecomesMarkup puts a text everywhere where Meta, people, services and rules write.
func FuzzNothingOfOthersBecomesMarkup(f *testing.F) {
	for _, seed := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `javascript:alert(1)`,
		`' onmouseover='x`, "{{.}}", "</textarea>",
		"\x00\xff", "<!--", "]]>", "<svg/onload=x>", "https://evil.example/\"><b>", "data:text/html,<b>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, evil string) {
		evil = "zq<q" + evil + "q>qz"
		s := filledStore()
		inc := &s.incidents[0]
		inc.Title, inc.Text, inc.FlowName, inc.Runbook, inc.Owner, inc.AcknowledgedBy, inc.Rule = evil, evil, evil, evil,
			evil, evil, evil
		inc.Labels, inc.Facts = map[string]string{"team": evil}, []router.Fact{{Name: evil, Text: evil}}
		inc.Silence = router.Silence{ID: evil, By: evil, Why: evil, Until: noon}
		inc.Links = []router.Link{{Notifier: evil, ID: evil, URL: evil}}
		inc.Alerts[0].Level, inc.Path = router.Level(evil), []router.Level{router.Level(evil)}
		inc.Pageable = []string{evil}
		for i := range inc.Deliveries {
			inc.Deliveries[i].Notifier, inc.Deliveries[i].LastError, inc.Deliveries[i].Receipt.Link = evil, evil, evil
		}
		inc.Timeline[0].Text, inc.Timeline[0].Kind = evil, router.EntryKind(evil)
		s.lanes = []router.Lane{{Notifier: evil, PausedUntil: noon.Add(time.Hour)}}
		cfg := pagesConfig()
		cfg.Manual = fstest.MapFS{"rules.md": {Data: []byte("# " + evil + "\n\n" + evil + "\n\n| " + evil +
			" |\n| --- |\n| `" + evil + "` |\n\n[" + evil + "](" + evil + ")\n")}, "running.md": {Data: []byte(evil)}}
		cfg.Why = func(context.Context, *router.IncidentDetail) ([]WhyLine, string, error) {
			return []WhyLine{{evil, "/rules?version=" + url.QueryEscape(evil) + "#L1"}}, evil, nil
		}
		c, _ := newConsole(t, cfg, s)
		b := newBrowser(t, c)
		for _, path := range []string{"/?q=" + url.QueryEscape(evil) + "&team=" + url.QueryEscape(evil), "/", "/incidents/42",
			"/incidents/42/acknowledge", "/incidents/42/told/7", "/docs/rules", "/nothing/" + url.PathEscape(evil)} {
			_, body := b.do("GET", path, nil)
			if tag := strange(body); tag != "" || strings.Contains(body, "zq<q") || strings.Contains(body, "q>qz") {
				t.Errorf("%s: %q became markup: %s", path, evil, tag)
			}
		}
	})
}

var (
	anyTag  = regexp.MustCompile(`<[^>]*>?`)
	ownTag  = regexp.MustCompile(`^</?[A-Za-z][a-z0-9]*((?: [A-Za-z0-9-]+(?:="[^"<>]*")?)*) ?/?>$`)
	ownAttr = regexp.MustCompile(` ([A-Za-z0-9-]+)(?:="([^"]*)")?`)
	ownLink = regexp.MustCompile(`^(/([^/].*)?|#.*|https?://.*)$`)
)

// strange returns the first piece of markup that no template of ours wrote: a tag of another form, an attribute with a
// program in it, or a link that leads neither to us nor to the web.
func strange(body string) string {
	for _, tag := range anyTag.FindAllString(strings.TrimPrefix(body, "<!DOCTYPE html>"), -1) {
		found := ownTag.FindStringSubmatch(tag)
		if found == nil {
			return tag
		}
		for _, attr := range ownAttr.FindAllStringSubmatch(found[1], -1) {
			leads := attr[1] == "href" || attr[1] == "src" || attr[1] == "action"
			if strings.HasPrefix(attr[1], "on") || attr[1] == "style" || leads &&
				!ownLink.MatchString(html.UnescapeString(attr[2])) {
				return tag
			}
		}
	}
	return ""
}

func TestCardsAreDrawnFromWhatWasSent(t *testing.T) {
	got := drawCard(
		`{"text":"Critical: *Checkout*","blocks":"[{\"type\":\"section\",\"text\":{\"type\":\"mrkdwn\",\"text\":\":rotating_light: *Checkout &lt;b&gt;*\\n<https://x.example/|INC-1> <!date^1777896000^{time}|12:00 UTC>\"}}]",` +
			`"attachments":"[{\"color\":\"#a30200\",\"blocks\":[{\"type\":\"section\",\"fields\":[{\"type\":\"mrkdwn\",\"text\":\"*Now*\\n5 %\"}]},{\"type\":\"actions\",\"elements\":[{\"type\":\"button\",\"text\":{\"type\":\"plain_text\",\"text\":\"Acknowledge\"}}]},{\"type\":\"context\",\"elements\":[{\"type\":\"mrkdwn\",\"text\":\"small\"}]}]}]"}`)
	if got == nil || len(got.Blocks) != 4 || got.Text != "Critical: Checkout" ||
		got.Blocks[0].Text != "🚨 Checkout <b>\nINC-1 12:00 UTC" || !got.Blocks[0].Head ||
		got.Blocks[1].Fields[0] != "Now\n5 %" || got.Blocks[2].Buttons[0] != "Acknowledge" ||
		got.Blocks[3].Small[0] != "small" {
		t.Errorf("%+v", got)
	}
	for _, other := range []string{"", "{}", `{"payload":{}}`, `{"blocks":7}`, "text", `{"blocks":"no list"}`} {
		if got := drawCard(other); got != nil {
			t.Errorf("%s: %+v", other, got)
		}
	}
}

func TestASearchSaysWhatItHasNotLookedThrough(t *testing.T) {
	s := filledStore()
	c, _ := newConsole(t, Config{}, s)
	ask := func(path string) string {
		t.Helper()
		resp, body := newBrowser(t, c).do("GET", path, nil)
		if resp.StatusCode != 200 {
			t.Fatalf("%s: %s", path, resp.Status)
		}
		return body
	}
	const more = "Search further back"
	if body := ask("/?q=checkout&state=all"); strings.Contains(body, more) {
		t.Error("all was searched, and the page says otherwise")
	}
	s.searchRest = router.SearchRest{Below: 90001, Until: noon}
	body := ask("/?q=checkout&state=all&before=42")
	for _, want := range []string{more, `/?below=90001&amp;q=checkout&amp;state=all"`,
		"/incidents.csv?q=checkout&amp;state=all"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	ask("/?below=90001&q=checkout&state=all")
	if f := s.incidentFilters[len(s.incidentFilters)-1]; f.Below != 90001 || f.Before != 0 {
		t.Errorf("asked for %+v", f)
	}
	s.incidents = nil
	if body := ask("/?q=checkout&state=all"); !strings.Contains(body, "Nothing fits so far") ||
		!strings.Contains(body, more) {
		t.Errorf("an empty part:\n%s", body)
	}
	s.searchRest = router.SearchRest{}
	for _, path := range []string{"/?before=1", "/?below=1&q=checkout", "/?before=1&team=care"} {
		if body := ask(path); !strings.Contains(body, "That was all") || strings.Contains(body, "Nothing is wrong") {
			t.Errorf("%s, which is past the last:\n%s", path, body)
		}
	}
	for _, odd := range []string{"x", "-1", "0", "99999999999999999999"} {
		if resp, _ := newBrowser(t, c).do("GET", "/?below="+odd, nil); resp.StatusCode != 400 {
			t.Errorf("below=%s: %s", odd, resp.Status)
		}
	}
}

func TestWhoHasGoneIsNoFault(t *testing.T) {
	for _, path := range []string{"/", "/api/v1/incidents"} {
		c, logs := newConsole(t, Config{}, &memStore{fault: errors.New("read lanes: context canceled")})
		ctx, leave := context.WithCancel(context.Background())
		r := httptest.NewRequestWithContext(ctx, "GET", "http://127.0.0.1:9090"+path, nil)
		leave()
		c.ServeHTTP(httptest.NewRecorder(), r)
		if logs.Len() > 0 {
			t.Errorf("%s, asked by somebody who left, is logged:\n%s", path, logs)
		}
		c.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "http://127.0.0.1:9090"+path, nil))
		if logs.Len() == 0 {
			t.Errorf("%s, which failed, is not logged", path)
		}
	}
}

func TestEveryTemplateIsOne(t *testing.T) {
	c, _ := newConsole(t, Config{}, glanceStore())
	for name := range c.web.pages {
		if _, err := c.web.template(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.web.template("nothing"); err == nil {
		t.Error("there is a template that is none")
	}
}
