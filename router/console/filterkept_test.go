package console

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"flowbridge/router"
)

// TestTheFilterIsKept holds that no key of the filter is lost: on the way to a number at the head, through the form,
// and through an act on ticked rows and back.
func TestTheFilterIsKept(t *testing.T) {
	const others = "from=30d&label.region=eu&subject=flow&waba=w1"
	query := others + "&severity=%3E%3Derror&team=payments&signal=ENDPOINT_LATENCY,ENDPOINT_ERROR_RATE"
	s := filledStore()
	c, _ := newConsole(t, signInConfig(), s)
	b := newBrowser(t, c)
	b.signIn("Ada", adminToken)
	_, body := b.do("GET", "/?"+query+"&state=resolved&silenced=true&before=99", nil)

	if f := s.countFilters[0]; f.WABA != "w1" || f.Labels["team"] != "payments" || len(f.Severities) != 2 {
		t.Errorf("counted are %+v", f)
	}
	heads := regexp.MustCompile(`<li><a href="([^"]+)" class="[a-z]+"><b>1</b> ([^<]+)</a>`).FindAllStringSubmatch(body, -1)
	if len(heads) != 4 {
		t.Fatalf("%d numbers at the head:\n%s", len(heads), body)
	}
	for _, head := range heads {
		to, err := url.Parse(html.UnescapeString(head[1]))
		if err != nil {
			t.Fatal(err)
		}
		got, want := to.Query(), must1(url.ParseQuery(query))
		for key, value := range map[string]map[string]string{
			"Not everybody was told": {"state": "all", "trouble": "true"}, "Open": {"state": "open"},
			"Acknowledged": {"state": "acknowledged"}, "Silenced": {"silenced": "true"}}[head[2]] {
			want.Set(key, value)
		}
		if got.Encode() != want.Encode() {
			t.Errorf("%s leads to %s, want %s", head[2], got.Encode(), want.Encode())
		}
	}

	form, _, _ := strings.Cut(body[strings.Index(body, `<form method="get"`):], "</form>")
	for _, want := range []string{`type="hidden" name="from" value="30d"`, `type="hidden" name="label.region" value="eu"`,
		`type="hidden" name="subject" value="flow"`, `type="hidden" name="waba" value="w1"`,
		`type="hidden" name="silenced" value="true"`, `<option value="&gt;=error" selected>`,
		`<option value="ENDPOINT_LATENCY,ENDPOINT_ERROR_RATE" selected>`} {
		if !strings.Contains(form, want) {
			t.Errorf("the form has no %s:\n%s", want, form)
		}
	}
	if strings.Contains(form, `name="before"`) {
		t.Error("a new filter goes on where the page before ended")
	}

	_, body = b.do("GET", "/?"+others, nil)
	back := regexp.MustCompile(`name="back" value="([^"]+)"`).FindStringSubmatch(body)
	if back == nil {
		t.Fatalf("the ticked rows do not say where they were ticked:\n%s", body)
	}
	ticked := url.Values{"n": {"42"}, "back": {html.UnescapeString(back[1])}}
	_, body = b.do("GET", "/acknowledge?"+ticked.Encode(), nil)
	here := html.EscapeString("/?" + others)
	if !strings.Contains(body, `href="`+here+`">Cancel`) || !strings.Contains(body, `name="back" value="`+here[1:]+`"`) {
		t.Errorf("the confirmation does not lead back to %s:\n%s", here, body)
	}
	for _, n := range []string{"42", "41"} {
		ticked.Set("n", n)
		if resp, _ := b.do("POST", "/acknowledge", ticked); resp.Header.Get("Location") != "/?"+others {
			t.Errorf("INC-%s leads to %s", n, resp.Header.Get("Location"))
		}
	}
	for _, odd := range []string{"//evil.example/", "https://evil.example/", "?%zz"} {
		resp, _ := b.do("POST", "/acknowledge", url.Values{"n": {"42"}, "back": {odd}})
		if to := resp.Header.Get("Location"); !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") {
			t.Errorf("%s leads to %s", odd, to)
		}
	}
	resp, _ := b.do("POST", "/my-team", url.Values{"team": {"care"}, "back": {"?state=all&team=care"}})
	if to := resp.Header.Get("Location"); to != "/?state=all&team=care" {
		t.Errorf("my team leads to %s", to)
	}
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestTheFormOfASilenceCallsItsFieldsByTheirNames(t *testing.T) {
	c, _ := newConsole(t, Config{}, filledStore())
	for form, want := range map[string]string{
		"why=x&for=1h": "narrow it by flow, signal, team, labels or account, or tick Everything there is",
		"why=x&for=1h&waba=w1&everything=yes": "Everything there is stands alone: leave out flow, signal, team, labels and " +
			"account",
		"why=x&for=1h&event=no%20signal": `Signal: "no signal" is no signal, such as ENDPOINT_ERROR_RATE`,
	} {
		resp, body := newBrowser(t, c).do("POST", "/silences/preview", must1(url.ParseQuery(form)))
		if text := pageText(body); resp.StatusCode != 400 || !strings.Contains(text, want) || strings.Contains(text, "waba") {
			t.Errorf("%s: %s, want %q in\n%s", form, resp.Status, want, text)
		}
	}
}

func TestASilenceSaysWhatOfAFilterItCannotHave(t *testing.T) {
	for query, want := range map[string]string{
		"team=payments&state=open":                         "",
		"team=payments&severity=critical":                  "Severity of the filter",
		"q=slow&severity=error&rule=payments&flow=unknown": "The search, rule and severity of the filter",
		"label.region=eu&label.tier=1":                     "",
	} {
		c, _ := newConsole(t, Config{}, &memStore{silences: []router.Silence{}})
		_, body := newBrowser(t, c).do("GET", "/silences/new?"+query, nil)
		if says := strings.Contains(body, "cannot be part of a silence"); says != (want != "") ||
			!strings.Contains(body, want) {
			t.Errorf("%s: want %q\n%s", query, want, pageText(body))
		}
		if strings.Contains(query, "region") && !strings.Contains(body, `value="region=eu, tier=1"`) {
			t.Errorf("%s: the labels are lost\n%s", query, body)
		}
	}
}
