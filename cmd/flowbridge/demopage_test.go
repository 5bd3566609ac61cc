package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
	databases "flowbridge/router/store/storetest"
)

// demoPage is the page of a demo that runs, as a browser without scripts uses it.
type demoPage struct {
	t      *testing.T
	url    string
	admin  string
	client http.Client
}

// openDemoPage plays the day before today, and returns the page once the demo goes on running.
func openDemoPage(t *testing.T) *demoPage {
	ctx, stop := context.WithCancel(t.Context())
	read, write := io.Pipe()
	p := program{Stdout: write, Stderr: t.Output(), Getenv: func(string) (string, bool) { return "", false }}
	ended := make(chan error, 1)
	go func() {
		ended <- demoCommand{}.Run(ctx, &p)
		write.Close()
	}()
	found := make(chan *demoPage, 1)
	go func() {
		defer close(found)
		d, told := &demoPage{t: t}, false
		for lines := bufio.NewScanner(read); lines.Scan(); {
			fields := strings.Fields(lines.Text())
			switch {
			case strings.HasPrefix(lines.Text(), "✘"):
				t.Log(lines.Text())
			case len(fields) > 1 && fields[0] == "Open" && strings.HasPrefix(fields[1], "http://"):
				d.url = fields[1]
			case len(fields) == 2 && fields[0] == "metrics" && !told:
				d.admin, told = strings.TrimSuffix(fields[1], "/metrics"), true
				found <- d
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		// Whether the story comes to what it should is for the test that tells it.
		if err := <-ended; err != nil && !errors.Is(err, errFault) {
			t.Errorf("the demo ended with %v", err)
		}
	})
	d := <-found
	if d == nil || d.url == "" {
		t.Fatal("the demo named no page")
	}
	d.client.Jar, _ = cookiejar.New(nil)
	d.client.Timeout = time.Minute
	return d
}

// read returns what a request is answered.
func (d *demoPage) read(req *http.Request, err error) (*http.Response, string) {
	d.t.Helper()
	must(d.t, err)
	resp, err := d.client.Do(req)
	must(d.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(d.t, err)
	return resp, string(body)
}

func (d *demoPage) get() string {
	d.t.Helper()
	_, body := d.read(http.NewRequestWithContext(d.t.Context(), http.MethodGet, d.url, nil))
	return body
}

// press posts a form and follows to the page.
func (d *demoPage) press(path string, form ...string) {
	d.t.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.url+path, strings.NewReader(values.Encode()))
	must(d.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, body := d.read(req, nil)
	if resp.StatusCode != http.StatusOK || resp.Request.Method != http.MethodGet {
		d.t.Fatalf("%s %v: %s\n%s", path, form, resp.Status, body)
	}
}

// articles returns those of a class, newest first.
func articles(page, class string) (found []string) {
	for _, part := range strings.Split(page, "<article ")[1:] {
		if strings.HasPrefix(part, `class="`+class) {
			inner, _, _ := strings.Cut(part, "</article>")
			found = append(found, "<article "+inner)
		}
	}
	return append(found, "")
}

var tags = regexp.MustCompile(`<[^>]*>`)

// seen is what a reader sees of a piece of the page, with one space between them.
func seen(piece string) string {
	return strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(piece, " "))), " ")
}

// sectionOf is a section of the page.
func sectionOf(page, id string) string {
	_, rest, _ := strings.Cut(page, `id="`+id+`"`)
	inner, _, _ := strings.Cut(rest, "</section>")
	return inner
}

// until waits until a section of the page has an article whose words hold all of some, and returns it as HTML.
func (d *demoPage) until(id, class string, all ...string) string {
	d.t.Helper()
	deadline := time.Now().Add(databases.Patience)
	for {
		section := sectionOf(d.get(), id)
	next:
		for _, a := range articles(section, class) {
			for _, one := range all {
				if !strings.Contains(seen(a), one) {
					continue next
				}
			}
			return a
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("%s never showed %q:\n%s", id, all, seen(section))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// says waits until the page says all of some of what came of the newest press. "#channel: what" may stand behind other
// things that were done in the channel.
func (d *demoPage) says(all ...string) {
	d.t.Helper()
	deadline := time.Now().Add(databases.Patience)
	for {
		came, missing := seen(articles(d.get(), "came")[0]), ""
		for _, one := range all {
			if !strings.Contains(came, one) && !amongOthers(came, one) {
				missing = one
			}
		}
		switch {
		case missing == "":
			return
		case time.Now().After(deadline):
			d.t.Fatalf("it never says %q: %s", missing, came)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// amongOthers says whether "#channel: what" is said behind other things of the channel.
func amongOthers(came, one string) bool {
	channel, what, of := strings.Cut(one, ": ")
	return of && strings.HasPrefix(channel, "#") &&
		regexp.MustCompile(regexp.QuoteMeta(channel)+": ([a-z ]+, )*"+regexp.QuoteMeta(what)).MatchString(came)
}

// incident asks the bridge itself.
func (d *demoPage) incident(number string) (inc struct{ State, Severity string }) {
	d.t.Helper()
	_, body := d.read(http.NewRequestWithContext(d.t.Context(), http.MethodGet, d.admin+"/api/v1/incidents/"+number, nil))
	must(d.t, json.Unmarshal([]byte(body), &inc))
	return inc
}

// fieldOf is the value of a hidden field of a form.
func fieldOf(piece, name string) string {
	found := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(piece)
	if found == nil {
		return ""
	}
	return html.UnescapeString(found[1])
}

func TestTheDemosPageIsPressedWithoutAScript(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	d := openDemoPage(t)
	const pay, ops, pager = "payments-alerts", "flow-ops", "pagerduty"

	// What a newcomer is told to press first: the errors get worse, and somebody is paged.
	first := d.get()
	if !strings.Contains(seen(first), "Press first: over 50 %") || strings.Count(first, "<script") != 1 {
		t.Errorf("the page begins otherwise:\n%s", seen(first[:3000]))
	}
	d.press("meta", "trick", "errors-50")
	d.says("Meta: 61.5 % of Checkout's requests fail", "answered 200 OK", `"threshold": 50`,
		"escalated INC-11", "#payments-alerts: message edited, line in thread", "somebody is paged (#10)")
	d.until(pay, "sb-msg", "Checkout: Endpoint error rate over 50 %", "61.5 % (was 17.5 %)", "INC-11")
	d.until(pager, "pd-inc", "#10", "61.5 %")

	// A person in Slack has it, takes that back, and asks; each is somebody else.
	press := func(card, action string) {
		t.Helper()
		d.press("slack/press", "channel", fieldOf(card, "channel"), "ts", fieldOf(card, "ts"), "action", action,
			"option."+action, "0")
	}
	card := d.until(pay, "sb-msg", "open · INC-10")
	d.press("as", "who", "U0PAYMENTS")
	press(card, "acknowledge")
	d.says("a payments engineer presses “acknowledge”", "acknowledged INC-10", "incident acknowledged (#8)")
	card = d.until(pay, "sb-msg", "acknowledged by a payments engineer · INC-10", "Unacknowledge")
	if got := d.incident("10"); got.State != "acknowledged" {
		t.Errorf("INC-10 is %+v", got)
	}
	press(card, "silence")
	d.says("silenced", "a payments engineer")
	card = d.until(pay, "sb-msg", "silenced", "· INC-10", "End silence")
	press(card, "unsilence")
	d.says("a payments engineer presses “unsilence”", "#payments-alerts: message edited")
	d.until(pay, "sb-msg", "acknowledged by a payments engineer · INC-10")
	d.press("slack/write", "channel", "#payments-alerts", "text", "/flows 10")
	d.says("writes /flows 10", "an answer that only they see")
	d.until(pay, "sb-msg sb-eph", "Only a payments engineer can see this", "/flows 10", "Endpoint availability below 90 %")

	// PagerDuty says what is done there in a webhook, and the card follows.
	d.press("pagerduty", "number", "10", "do", "acknowledge")
	d.says("presses “acknowledge” on #10", "incident acknowledged (#10)")
	d.press("pagerduty", "number", "8", "do", "resolve")
	d.says("incident resolved (#8)", "resolved INC-10")
	d.until(pay, "sb-msg", "Resolved by a payments engineer", "INC-10")
	if got := d.incident("10"); got.State != "resolved" {
		t.Errorf("INC-10 is %+v", got)
	}
	d.press("pagerduty", "number", "8", "do", "acknowledge")
	d.says("incident #8 is resolved: that is not possible")

	// The ladder down.
	d.press("meta", "trick", "errors-below-50")
	d.says("eased INC-11", "incident resolved (#10)")
	d.press("meta", "trick", "errors-below-10")
	d.says("eased INC-11", "incident resolved (#9)")
	d.press("meta", "trick", "errors-below-5")
	d.says("resolved INC-11")
	d.until(pay, "sb-msg", "Resolved", "INC-11")
	if !strings.Contains(seen(d.get()), "Next: over 5 %") {
		t.Error("the ladder does not begin anew")
	}

	// The rest of what Meta can do.
	for _, trick := range []struct {
		id   string
		says []string
	}{
		{"errors-5", []string{"opened INC-13", "#payments-alerts: new message"}},
		{"errors-10", []string{"escalated INC-13", "somebody is paged (#11)"}},
		{"slow", []string{"opened INC-14", "somebody is paged"}},
		{"fast", []string{"resolved INC-14", "incident resolved"}},
		{"back", []string{"recovery of INC-10"}},
		{"gone", []string{"opened INC-15", "somebody is paged"}},
		{"back", []string{"resolved INC-15"}},
		{"throttled", []string{"opened INC-16", "#flow-ops: new message"}},
		{"blocked", []string{"escalated INC-16", "somebody is paged"}},
		{"published", []string{"resolved INC-16", "incident resolved"}},
		{"ban-announced", []string{"opened INC-17", "somebody is paged"}},
		{"ban-made", []string{"escalated INC-17"}},
		{"ban-lifted", []string{"resolved INC-17", "incident resolved"}},
		{"template-paused", []string{"opened INC-18", "#flow-ops: new message"}},
		{"template-back", []string{"resolved INC-18"}},
		{"drill", []string{"a drill begins", "opened INC-19", "#payments-alerts: new message", "somebody is paged"}},
		{"drill-over", []string{"resolved INC-19", "incident resolved"}},
		{"again", []string{"answered 200 OK", "nothing stored, nobody told"}},
		{"late", []string{"answered 200 OK", "late"}},
		{"forged", []string{"Not Meta: somebody", "answered 401 Unauthorized", "nothing stored, nobody told"}},
		{"garbage", []string{"answered 200 OK", "unreadable"}},
		{"form", []string{"notice to payments-chat", "#payments-alerts: new message"}},
		{"storm", []string{"and 197 more: opened", "opened INC-20", "KB more"}},
		{"calm", []string{"resolved INC-20", "more: resolved"}},
	} {
		d.press("meta", "trick", trick.id)
		d.says(trick.says...)
	}
	d.until(pay, "sb-msg", "Somebody asks to be called back", "delivery", "afternoon")
	page := d.get()
	for _, personal := range []string{"customer@example.com", "15550100200", "sample-token"} {
		if section := sectionOf(page, pay) + sectionOf(page, ops) + sectionOf(page, pager); strings.Contains(section,
			personal) {
			t.Errorf("%s can be read on the page", personal)
		}
	}
	if strings.Contains(page, "ZgotmplZ") {
		t.Error("a template has met what it does not take")
	}
}

func TestTheDemosNeighboursFailAndHeal(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	d := openDemoPage(t)
	for _, how := range []string{"slack-429", "slack-500", "pagerduty-503"} {
		d.press("neighbours", "how", how)
	}
	page := seen(d.get())
	for _, want := range []string{"Slack answers 500 until", "PagerDuty answers 503 until"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(page, "Slack answers 429 until") {
		t.Error("Slack fails in two ways at once")
	}
	d.press("meta", "trick", "errors-50")
	d.says("escalated INC-11")
	if section := sectionOf(d.get(), "pagerduty"); strings.Contains(seen(section), "#10") {
		t.Error("PagerDuty is down, and pages")
	}
	d.press("neighbours", "how", "heal")
	d.says("well again")
	d.until("payments-alerts", "sb-msg", "Endpoint error rate over 50 %", "INC-11")
	d.until("pagerduty", "pd-inc", "#10", "61.5 %")
}

func TestTheDemosPageIsForItsReaderOnly(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	d := openDemoPage(t)
	resp, body := d.read(http.NewRequestWithContext(t.Context(), http.MethodGet, d.url, nil))
	const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	if got := resp.Header.Get("Content-Security-Policy"); got != policy {
		t.Errorf("the policy is %q", got)
	}
	if inline := regexp.MustCompile(`(?i) style=| on[a-z]+=|<style|javascript:`).FindString(tagsOnly(body)); inline != "" {
		t.Errorf("%q is on the page", inline)
	}
	for _, own := range regexp.MustCompile(`(?:src|href)="(/page[^"]*)"`).FindAllStringSubmatch(body, -1) {
		if resp, _ := d.read(http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSuffix(d.url, "/")+own[1],
			nil)); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", own[1], resp.Status)
		}
	}
	for name, limit := range map[string]int{"page.js": 6 << 10, "page.css": 12 << 10} {
		if _, body := d.read(http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+name, nil)); len(body) > limit {
			t.Errorf("%s has %d bytes, want at most %d", name, len(body), limit)
		}
	}

	for _, test := range []struct {
		name, method, path, body, header, value string
		want                                    int
	}{
		{"nothing new", "GET", "", "", "If-None-Match", resp.Header.Get("ETag"), http.StatusNotModified},
		{"another name for this machine", "GET", "", "", "Host", "evil.example", http.StatusMisdirectedRequest},
		{"another name, that acts", "POST", "meta", "trick=storm", "Host", "127.0.0.1.evil.example",
			http.StatusMisdirectedRequest},
		{"another site", "POST", "meta", "trick=storm", "Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		{"another origin", "POST", "meta", "trick=storm", "Origin", "http://evil.example", http.StatusForbidden},
		{"another port of this machine", "POST", "meta", "trick=storm", "Origin", "http://127.0.0.1:1", http.StatusForbidden},
		{"no such trick", "POST", "meta", "trick=<b>", "", "", http.StatusNotFound},
		{"no such failure", "POST", "neighbours", "how=for-good", "", "", http.StatusNotFound},
		{"nobody", "POST", "as", "who=U0EVE", "", "", http.StatusNotFound},
		{"no such button", "POST", "pagerduty", "number=1&do=delete", "", "", http.StatusBadRequest},
		{"no number", "POST", "pagerduty", "number=x&do=resolve", "", "", http.StatusBadRequest},
		{"no such option", "POST", "slack/press", "action=silence&option.silence=-1", "", "", http.StatusBadRequest},
		{"a long command", "POST", "slack/write", "channel=%23flow-ops&text=" + strings.Repeat("x", 600), "", "",
			http.StatusBadRequest},
		{"a huge form", "POST", "slack/write", "text=" + strings.Repeat("x", 1<<20), "", "", http.StatusBadRequest},
		{"a press that is a link", "GET", "meta?trick=storm", "", "", "", http.StatusMethodNotAllowed},
		{"no such page", "GET", "nope", "", "", "", http.StatusNotFound},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, d.url+test.path, strings.NewReader(test.body))
		must(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if test.header == "Host" {
			req.Host = test.value
		} else if test.header != "" {
			req.Header.Set(test.header, test.value)
		}
		resp, body := d.read(req, nil)
		if resp.StatusCode != test.want || strings.Contains(body, "<b>") {
			t.Errorf("%s: %s, want %d\n%s", test.name, resp.Status, test.want, body)
		}
	}

	// What somebody writes is shown, and is no markup.
	const hostile = `<script>alert(1)</script>"><img src=x>`
	d.press("slack/write", "channel", "#flow-ops", "text", hostile)
	d.says("writes /flows " + hostile[:20])
	if page := d.get(); strings.Contains(page, "<script>alert") || strings.Contains(page, "<img") {
		t.Error("what was written is markup")
	}
	if got := d.incident("11"); got.State != string(router.IncidentAcknowledged) {
		t.Errorf("what was refused has changed INC-11: %+v", got)
	}
}

func TestTheDemosPageIsOpenedWhereSomebodyAsks(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("xdg-open is what opens pages on Linux")
	}
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if (demoCommand{}).show() != nil || (demoCommand{Open: true, Once: true}).show() != nil {
		t.Error("a page is opened that nobody asked for, or that is not there")
	}
	show := demoCommand{Open: true}.show()
	if err := show(t.Context(), "http://127.0.0.1:1/"); err == nil ||
		!strings.Contains(err.Error(), "open http://127.0.0.1:1/ yourself") {
		t.Errorf("without a browser: %v", err)
	}
	writeFile(t, dir+"/xdg-open", "#!/bin/sh\necho \"$1\" > "+dir+"/opened\n")
	must(t, os.Chmod(dir+"/xdg-open", 0o755))
	must(t, show(t.Context(), "http://127.0.0.1:1/"))
	if opened, err := os.ReadFile(dir + "/opened"); err != nil || string(opened) != "http://127.0.0.1:1/\n" {
		t.Errorf("opened %q (%v)", opened, err)
	}
}

// tagsOnly are the tags of a page, without what is between them.
func tagsOnly(page string) string { return strings.Join(tags.FindAllString(page, -1), "") }
