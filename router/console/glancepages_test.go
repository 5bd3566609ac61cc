package console

import (
	"errors"
	"fmt"
	"html"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

// evil is what Meta, people and services may write.
const evil = `</pre><script>alert(1)</script>"onload='x' {{.}} javascript:alert(1)`

// glanceStore has something to show on every page.
func glanceStore() *memStore {
	s := filledStore()
	s.events = append(s.events,
		router.JournalEvent{Event: router.Event{Seq: 105, Source: router.SourceMeta, At: at(4), Received: at(6), WABA: "w1",
			Name:    router.FlowResponse,
			Reduced: router.ReducedPersonal, Value: []byte(`{"Wish":"a table <for> two"}`)}, State: router.EventFolded,
			Outcome: "notice to ops-chat"},
		router.JournalEvent{Event: router.Event{Seq: 106, Source: router.SourceSlack, At: at(7), Received: at(7), WABA: "w1",
			Flow: "2", Name: router.Acknowledge,
			Act: &router.Act{Incident: 41, Actor: "Ada"}}, State: router.EventFolded, Outcome: "acknowledged INC-41"},
		router.JournalEvent{Event: router.Event{Seq: 107, Source: router.SourceMeta, At: at(8), Received: at(8), WABA: evil,
			Flow: evil, Name: evil, Message: evil,
			Change: evil, Facts: []router.Fact{{Name: evil, Text: evil}},
			Reading: router.Reading{Errors: []router.ErrorCount{{Type: evil}}},
			Value:   []byte(`{"k":` + fmt.Sprintf("%q", "<b>"+strings.ReplaceAll(evil, `"`, "")) + `}`)},
			State: router.EventFailed, Outcome: evil + " INC-42"})
	s.deliveries = append(s.deliveries, router.Delivery{ID: 11, Event: 107, Notifier: "chat-of-" + "evil",
		Kind: router.KindSlack, State: router.DeliveryParked, LastError: evil, Updated: at(4)})
	s.attempts = append(s.attempts, router.Attempt{Delivery: 11, N: 1, At: at(4), Result: router.AttemptParked,
		Error: evil,
		Calls: []router.Call{{Method: "POST", URL: "javascript:alert(1)", Request: `{"text":"` + "</pre><script>x</script>" +
			`","blocks":[{"type":"section","text":{"text":"<script>"}}]}`, Answer: evil}}})
	s.marks = []router.AttemptMark{
		{Notifier: "payments-chat", At: at(-90), Took: 120 * time.Millisecond, Result: router.AttemptDelivered},
		{Notifier: "payments-chat", At: at(-60), Took: 2 * time.Second, Result: router.AttemptRetried},
		{Notifier: "payments-oncall", At: at(-30), Took: 90 * time.Millisecond, Result: router.AttemptDelivered},
		{Notifier: "payments-chat", At: at(-5), Took: time.Hour, Result: router.AttemptInterrupted},
	}
	s.backlog = []router.Backlog{{Notifier: "payments-oncall", Class: router.ClassNew, Waiting: 3, Oldest: at(-4)},
		{Notifier: "gone-chat", Class: router.ClassUpdate, Waiting: 1, Oldest: at(-9)}}
	s.lanes = []router.Lane{{Notifier: "payments-oncall", Failures: 3, PausedUntil: at(5)}}
	s.paid = map[string]time.Time{"posts": noon.Add(2500 * time.Millisecond)}
	s.seen = []router.SeenFlow{
		{FlowID: router.FlowID{WABA: "w1", Flow: "2"}, Active: 1, Last: at(-30), Status: router.Blocked},
		{FlowID: router.FlowID{WABA: "w1", Flow: "1987937931743377"}, Active: 1, Last: at(5), Severity: router.Error},
		{FlowID: router.FlowID{WABA: "w1", Flow: "phone:15550100"}, Last: at(-500)},
		{FlowID: router.FlowID{WABA: evil, Flow: evil}, Last: at(-900)},
	}
	s.measured = []router.AlertReading{
		{At: at(-60 * 24 * 3), Event: router.EndpointErrorRate, Level: "5", Reading: router.Reading{Value: new(6.1)}},
		{At: at(0), Event: router.EndpointErrorRate, Level: "10", Reading: router.Reading{Value: new(14.28)}},
	}
	s.notices = []router.Notice{{Event: 90, At: at(-60), WABA: "w1", Flow: "77", Name: router.FlowVersionExpiryWarning,
		Severity: router.Info, Warning: "It ends <soon>"}}
	s.periods = []router.StatusPeriod{
		{FlowID: router.FlowID{WABA: "w1", Flow: "2"}, Status: router.Throttled, From: at(-100), To: at(-30)},
		{FlowID: router.FlowID{WABA: "w1", Flow: "2"}, Status: router.Blocked, From: at(-30), To: at(0), Ongoing: true},
	}
	return s
}

func glanceConfig() Config {
	return Config{
		Explain: func(e *router.Event) (string, error) { return "rules.yaml:3: yes " + e.Name + " <because>", nil },
		Notifiers: func() []router.Target {
			return []router.Target{
				{Notifier: "ops-chat", Kind: router.KindSlack, Address: "#flow-ops"},
				{Notifier: "payments-chat", Kind: router.KindSlack, Address: "#payments-alerts"},
				{Notifier: "payments-oncall", Kind: router.KindPagerDuty, Credential: "0123456789abcdef0123456789abcdef"},
				{Notifier: "vendor", Kind: router.KindWebhook, Address: "https://hooks.example.com/secret-path",
					Credential: "whsec_hidden"},
			}
		},
		RulesNaming: func(notifier string) []string {
			return map[string][]string{"payments-chat": {"payments <endpoint>", "default"}}[notifier]
		},
		Budgets: func(t router.Target) []router.Charge {
			return []router.Charge{{Budget: "posts", Calls: 1, Every: time.Second, Burst: 5}}
		},
		FlowIDs: flowNames, FlowName: func(id string) string {
			return map[string]string{"1987937931743377": "Checkout", "2": `Sign "up": {x}`}[id]
		},
		AccountName: func(id string) string { return map[string]string{"w1": "Example Shop"}[id] },
		Now:         func() time.Time { return noon },
	}
}

// pageText is what a reader sees in the main part of a page, one line for each piece.
func pageText(body string) string {
	_, body, _ = strings.Cut(body, `<main`)
	body, _, _ = strings.Cut(body, `</main>`)
	_, body, _ = strings.Cut(body, `>`)
	body = regexp.MustCompile(`(?s)<svg.*?</svg>`).ReplaceAllString(body, "[picture]")
	body = regexp.MustCompile(`</(p|li|tr|h1|h2|h3|dt|dd|caption|summary|option|pre|label|thead)>`).ReplaceAllString(body,
		"\n")
	body = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, " ")
	var lines []string
	for line := range strings.SplitSeq(html.UnescapeString(body), "\n") {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

func TestPagesAtAGlanceSayWhatTheySay(t *testing.T) {
	for name, path := range map[string]string{
		"events": "/events", "events-filtered": "/events?source=meta&q=error", "event": "/events/101?explain=yes",
		"event-form": "/events/102", "event-form-shown": "/events/105",
		"event-unreadable": "/events/103", "event-hostile": "/events/107", "deliveries": "/deliveries",
		"delivery": "/deliveries/9", "delivery-hostile": "/deliveries/11",
		"retry": "/deliveries/9/retry", "retry-delivered": "/deliveries/7/retry", "retry-all": "/retry?q=channel_not_found",
		"notifiers": "/notifiers",
		"notifier":  "/notifiers/payments-chat", "notifier-paused": "/notifiers/payments-oncall",
		"test": "/notifiers/payments-chat/test", "test-page": "/notifiers/payments-oncall/test",
		"flows": "/flows", "flow": "/flows/1987937931743377", "flow-unnamed": "/flows/2?waba=w1", "account": "/accounts/w1",
	} {
		c, logs := newConsole(t, glanceConfig(), glanceStore())
		resp, body := newBrowser(t, c).do("GET", path, nil)
		if resp.StatusCode != 200 || logs.Len() > 0 {
			t.Errorf("%s: %s\n%s", path, resp.Status, logs)
		}
		if len(body) > 60<<10 || strings.Count(body, "<h1") != 1 {
			t.Errorf("%s: %d bytes, %d headings", path, len(body), strings.Count(body, "<h1"))
		}
		for _, never := range []string{"<script>", "style=", " onload=", `href="javascript:`, "0123456789abcdef", "whsec",
			"secret-path", "Jane Secret"} {
			if strings.Contains(body, never) {
				t.Errorf("%s has %q", path, never)
			}
		}
		file := filepath.Join("testdata", "pages", name+".txt")
		if *updatePages {
			if err := os.WriteFile(file, []byte(pageText(body)), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(string(want), pageText(body)); diff != "" {
			t.Errorf("%s (-want +got; go test -update-pages):\n%s", path, diff)
		}
	}
}

func TestPagesAtAGlanceWithoutAnything(t *testing.T) {
	for path, want := range map[string]string{
		"/events": "No event yet", "/events?q=x": "Nothing fits this filter", "/deliveries": "Everybody has been told",
		"/deliveries?state=parked": "Nothing fits this filter",
		"/events?before=9":         "That was all",
		"/notifiers":               "No notifier yet", "/flows": "No flow is known yet", "/retry": "None is parked",
	} {
		c, logs := newConsole(t, Config{}, &memStore{})
		if resp, body := newBrowser(t, c).do("GET", path, nil); resp.StatusCode != 200 || !strings.Contains(body, want) ||
			logs.Len() > 0 {
			t.Errorf("%s: %s, no %q\n%s", path, resp.Status, want, logs)
		}
	}
	s := &memStore{nextEvent: 7}
	c, _ := newConsole(t, Config{}, s)
	if _, body := newBrowser(t, c).do("GET", "/events?q=x", nil); !strings.Contains(body,
		"looked through a part at a time") || !strings.Contains(body, "/events?before=7&amp;q=x") {
		t.Error(body)
	}
}

func TestPagesAtAGlanceThatAreNot(t *testing.T) {
	broken := glanceStore()
	broken.fault = errors.New("dial postgres://bridge:hunter2@db: refused")
	for path, status := range map[string]int{
		"/events/0": 404, "/events/x": 404, "/events/999": 404, "/events?state=odd": 400, "/events?from=never": 400,
		"/events?before=-1": 400, "/events?odd=1": 400,
		"/deliveries/0": 404, "/deliveries/999": 404, "/deliveries/999/retry": 404, "/deliveries?state=odd": 400,
		"/retry?q=" + strings.Repeat("x", 300): 400,
		"/notifiers/none":                      404, "/accounts/" + strings.Repeat("9", 300): 404,
		"/flows/" + strings.Repeat("9", 300): 404,
	} {
		c, _ := newConsole(t, glanceConfig(), glanceStore())
		if resp, body := newBrowser(t, c).do("GET", path, nil); resp.StatusCode != status || !strings.Contains(body, "<h1>") {
			t.Errorf("%.60s: %s", path, resp.Status)
		}
	}
	for _, path := range []string{"/events", "/events/101", "/deliveries", "/deliveries/9", "/notifiers",
		"/notifiers/ops-chat", "/flows", "/flows/2", "/accounts/w1", "/retry"} {
		c, _ := newConsole(t, glanceConfig(), broken)
		if resp, body := newBrowser(t, c).do("GET", path, nil); resp.StatusCode != 500 || strings.Contains(body, "hunter2") {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

func TestRetriesAndTestMessagesAreActs(t *testing.T) {
	for _, tt := range []struct {
		path    string
		form    url.Values
		to, say string
		audit   string // what the audit says; "": nothing was done
	}{
		{"/deliveries/9/retry", nil, "/deliveries/9", "Delivery 9 is tried at once.", "retry delivery 9"},
		{"/deliveries/8/retry?back=incident", nil, "/incidents/42/told/8", "Delivery 8 is tried at once.",
			"retry delivery 8"},
		{"/deliveries/9/retry?back=incident", nil, "/deliveries/9", "Delivery 9 is tried at once.", "retry delivery 9"},
		{"/deliveries/9/retry?back=//evil.example", nil, "/deliveries/9", "Delivery 9 is tried at once.", "retry delivery 9"},
		{"/deliveries/7/retry", nil, "/deliveries/7",
			"Nothing was done. Delivery 7: not possible now: it was delivered.", ""},
		{"/retry", url.Values{"q": {"channel_not_found"}, "notifier": {"ops-chat"}}, "/deliveries", "Tried at once: 2.",
			`retry all parked deliveries to ops-chat whose error has "channel_not_found"`},
		{"/notifiers/payments-chat/test", nil, "/notifiers/payments-chat", "The test message is on its way",
			"send a test message to payments-chat"},
		{"/notifiers/payments-oncall/test", nil, "/notifiers/payments-oncall", "The test message is on its way",
			"send a test message to payments-oncall"},
		{"/notifiers/payments-oncall/test", url.Values{"page": {"yes"}}, "/notifiers/payments-oncall",
			"The test message is on its way", "page payments-oncall as a test"},
		{"/notifiers/payments-chat/test", url.Values{"page": {"yes"}}, "/notifiers/payments-chat",
			"The test message is on its way", "send a test message to payments-chat"},
	} {
		s := glanceStore()
		cfg := signInConfig()
		cfg.Notifiers = glanceConfig().Notifiers
		c, _ := newConsole(t, cfg, s)
		b := newBrowser(t, c)
		b.signIn("Bo", viewToken)
		if resp, _ := b.do("POST", tt.path, tt.form); resp.StatusCode != 403 || len(s.appended)+len(s.retried) > 0 {
			t.Errorf("%s by who may look: %s", tt.path, resp.Status)
		}
		if _, body := b.do("GET", tt.path, nil); strings.Contains(body, `<form method="post">`) ||
			!strings.Contains(body, onlyLook) && tt.audit != "" && tt.path != "/retry" {
			t.Errorf("%s for who may look: %s", tt.path, body)
		}
		b = newBrowser(t, c)
		b.signIn("Ada", adminToken)
		s.audit = nil
		resp, _ := b.do("POST", tt.path, tt.form)
		if resp.StatusCode != 303 || resp.Header.Get("Location") != tt.to {
			t.Errorf("%s: %s to %q", tt.path, resp.Status, resp.Header.Get("Location"))
		}
		if tt.audit == "" {
			if len(s.audit)+len(s.retried) > 0 {
				t.Errorf("%s: %+v", tt.path, s.audit)
			}
		} else if len(s.audit) != 1 || s.audit[0].What != tt.audit || s.audit[0].Who != "Ada" ||
			s.audit[0].Verified != router.VerifiedAdminToken {
			t.Errorf("%s: %+v", tt.path, s.audit)
		}
		if _, body := b.do("GET", tt.to, nil); !strings.Contains(html.UnescapeString(body), tt.say) {
			t.Errorf("%s: the next page does not say %q", tt.path, tt.say)
		}
		if strings.HasSuffix(tt.path, "/test") {
			e := s.appended[0]
			wakes := tt.form.Get("page") != "" && strings.Contains(tt.path, "oncall")
			if e.Name != router.TestMessage || !e.ForFallback() ||
				!strings.HasPrefix(e.Message, "TEST by Ada: nothing is wrong") || (e.Said == router.Error) != wakes {
				t.Errorf("%s: %+v", tt.path, e)
			}
		}
	}
	c, _ := newConsole(t, glanceConfig(), glanceStore())
	if resp, _ := newBrowser(t, c).do("POST", "/notifiers/none/test", url.Values{}); resp.StatusCode != 404 {
		t.Errorf("a notifier that is none: %s", resp.Status)
	}
}

func TestLinksOfOutcomesAreOfIncidentsAlone(t *testing.T) {
	c, _ := newConsole(t, Config{Prefix: "/bridge"}, &memStore{})
	for text, want := range map[string]string{
		"opened INC-42":     `opened <a href="/bridge/incidents/42">INC-42</a>`,
		"<INC-1>":           `&lt;<a href="/bridge/incidents/1">INC-1</a>&gt;`,
		"INC-0 XINC-3 INC-": "INC-0 XINC-3 INC-",
	} {
		if got := string(c.linkIncidents(text)); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func TestRefusalsAreTakenApart(t *testing.T) {
	for text, want := range map[string][2]string{
		"Slack refused: channel_not_found (invite the bot)": {"Slack refused: channel_not_found",
			"Invite the bot."},
		"Slack refused: missing_scope (needed: chat:write) (add it)": {
			"Slack refused: missing_scope (needed: chat:write)", "Add it."},
		"Slack refused: invalid_auth (set it to the token (xoxb-...) of it)": {"Slack refused: invalid_auth",
			"Set it to the token (xoxb-...) of it."},
		"no answer in time": {"no answer in time", "Mend what it says, then retry."},
		"odd)":              {"odd)", "Mend what it says, then retry."},
		"f(x)":              {"f(x)", "Mend what it says, then retry."},
		"":                  {"", "Mend what it says, then retry."},
	} {
		if said, do := saidAndDo(text); [2]string{said, do} != want {
			t.Errorf("%q: %q, %q", text, said, do)
		}
	}
}

func FuzzWhatMetaWroteIsNoMarkup(f *testing.F) {
	for _, seed := range []string{evil, "INC-1<", "\x00\xff", "{{.}}", "'\"`<!--"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := glanceStore()
		e := router.Event{Seq: 1, Source: router.SourceMeta, At: noon, Received: noon, Name: text, WABA: text, Message: text,
			Facts: []router.Fact{{Name: text, Text: text}}}
		s.events = []router.JournalEvent{{Event: e, State: router.EventFolded, Outcome: text}}
		c, _ := newConsole(t, Config{}, s)
		d := c.newEventDetail(&s.events[0])
		var shape strings.Builder
		layout, err := c.web.template("event")
		if err != nil {
			t.Fatal(err)
		}
		if err := layout.ExecuteTemplate(&shape, "layout",
			&frame{page: page{Title: text, Data: d}}); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(shape.String(), "<script"); n != 1 { // the layout's own
			t.Errorf("%q: %d scripts", text, n)
		}
		if m := regexp.MustCompile(`<(?:img|iframe|object|embed|base)\b`).FindString(shape.String()); m != "" {
			t.Errorf("%q: %s", text, m)
		}
	})
}
