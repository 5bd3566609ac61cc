package console

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
)

// browser keeps cookies, and says what a browser says of itself.
type browser struct {
	t       *testing.T
	c       http.Handler
	host    string
	remote  string
	tls     bool
	headers map[string]string
	cookies map[string]*http.Cookie
}

func newBrowser(t *testing.T, c http.Handler) *browser {
	return &browser{t: t, c: c, host: "localhost:9090", remote: "127.0.0.1:4711", cookies: map[string]*http.Cookie{},
		headers: map[string]string{}}
}

func (b *browser) do(method, path string, form url.Values) (*http.Response, string) {
	b.t.Helper()
	var r *http.Request
	if form != nil {
		r = httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else {
		r = httptest.NewRequest(method, path, nil)
	}
	r.Host, r.RemoteAddr, r.TLS = b.host, b.remote, nil
	if b.tls {
		r.TLS = &tls.ConnectionState{}
	}
	r.Header.Set("Accept", "text/html,application/xhtml+xml")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for name, value := range b.headers {
		r.Header.Set(name, value)
	}
	for _, cookie := range b.cookies {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	b.c.ServeHTTP(w, r)
	resp := w.Result()
	for _, cookie := range resp.Cookies() {
		if cookie.MaxAge < 0 {
			delete(b.cookies, cookie.Name)
		} else {
			b.cookies[cookie.Name] = cookie
		}
	}
	return resp, text(b.t, resp)
}

// signIn gives a name and a token.
func (b *browser) signIn(name, token string) (*http.Response, string) {
	b.t.Helper()
	return b.do("POST", "/login", url.Values{"name": {name}, "token": {token}, "next": {"/docs"}})
}

func signInConfig() Config {
	return Config{Token: adminToken, ViewToken: viewToken,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.7/32")}, Hosts: []string{"bridge.example.com"}}
}

func TestSigningInDependsOnTheConnection(t *testing.T) {
	for _, tt := range []struct {
		name, host, remote string
		tls                bool
		headers            map[string]string
		cookie             string // its name; "": signing in is refused
		secure             bool
	}{
		{name: "over TLS of ours", host: "bridge.example.com", remote: "203.0.113.5:1", tls: true,
			cookie: "__Host-flowbridge-session", secure: true},
		{name: "over TLS of a trusted proxy", host: "bridge.example.com", remote: "10.0.0.7:1",
			headers: map[string]string{"X-Forwarded-Proto": "https"}, cookie: "__Host-flowbridge-session", secure: true},
		{name: "a trusted proxy without TLS", host: "bridge.example.com", remote: "10.0.0.7:1",
			headers: map[string]string{"X-Forwarded-Proto": "http"}},
		{name: "a trusted proxy behind one that claims TLS", host: "bridge.example.com", remote: "10.0.0.7:1",
			headers: map[string]string{"X-Forwarded-Proto": "https, http"}},
		{name: "somebody who claims to be a proxy", host: "bridge.example.com", remote: "203.0.113.5:1",
			headers: map[string]string{"X-Forwarded-Proto": "https"}},
		{name: "on loopback", host: "localhost:9090", remote: "127.0.0.1:1", cookie: "flowbridge-session"},
		{name: "on loopback of IPv6", host: "[::1]:9090", remote: "[::1]:1", cookie: "flowbridge-session"},
		{name: "a proxy on this machine that is not trusted", host: "bridge.example.com", remote: "127.0.0.1:1"},
		{name: "one that names this machine as host", host: "localhost", remote: "127.0.0.1:1",
			headers: map[string]string{"X-Forwarded-For": "203.0.113.5"}},
		{name: "in plain text from elsewhere", host: "bridge.example.com", remote: "203.0.113.5:1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, logs := newConsole(t, signInConfig(), filledStore())
			b := newBrowser(t, c)
			b.host, b.remote, b.tls, b.headers = tt.host, tt.remote, tt.tls, tt.headers
			form, body := b.do("GET", "/login?next=/docs", nil)
			resp, said := b.signIn("Ada", adminToken)
			if strings.Contains(logs.String()+body+said, adminToken) {
				t.Errorf("the token is in the log or on a page")
			}
			if tt.cookie == "" {
				if form.StatusCode != 403 || resp.StatusCode != 403 || len(b.cookies) > 0 ||
					!strings.Contains(body, "not encrypted") || strings.Contains(body, "<form method=\"post\"") {
					t.Errorf("%s %s, cookies %v\n%s", form.Status, resp.Status, b.cookies, body)
				}
				return
			}
			got := b.cookies[tt.cookie]
			if resp.StatusCode != 303 || resp.Header.Get("Location") != "/docs" || got == nil {
				t.Fatalf("%s to %q, cookies %v", resp.Status, resp.Header.Get("Location"), b.cookies)
			}
			if !got.HttpOnly || got.SameSite != http.SameSiteLaxMode || got.MaxAge != 12*60*60 || got.Path != "/" ||
				got.Domain != "" || got.Secure != tt.secure {
				t.Errorf("%+v", got)
			}
			if resp, body := b.do("GET", "/docs", nil); resp.StatusCode != 200 || !strings.Contains(body, "Ada") {
				t.Errorf("signed in: %s %s", resp.Status, body)
			}
		})
	}
}

func TestASessionEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		then func(cfg *Config, b *browser, now *time.Time)
		ends bool
	}{
		{"not by itself", func(*Config, *browser, *time.Time) {}, false},
		{"not within twelve hours", func(_ *Config, _ *browser, now *time.Time) { *now = now.Add(sessionLife - time.Second) },
			false},
		{"after twelve hours", func(_ *Config, _ *browser, now *time.Time) { *now = now.Add(sessionLife) }, true},
		{"with the token that made it",
			func(cfg *Config, _ *browser, _ *time.Time) { cfg.Token = "another-token-of-this-bridge" }, true},
		{"not with the other token",
			func(cfg *Config, _ *browser, _ *time.Time) { cfg.ViewToken = "another-token-for-looking" }, false},
		{"when somebody changes it", func(_ *Config, b *browser, _ *time.Time) {
			cookie := b.cookies["flowbridge-session"]
			cookie.Value = strings.Replace(cookie.Value, cookie.Value[:6], "eyJuIk", 1)
			cookie.Value = "A" + cookie.Value
		}, true},
		{"when somebody takes the signature off", func(_ *Config, b *browser, _ *time.Time) {
			cookie := b.cookies["flowbridge-session"]
			cookie.Value, _, _ = strings.Cut(cookie.Value, ".")
		}, true},
		{"by signing out", func(_ *Config, b *browser, _ *time.Time) {
			if resp, _ := b.do("POST", "/logout", url.Values{}); resp.StatusCode != 303 || len(b.cookies) > 0 {
				b.t.Errorf("%s, cookies %v", resp.Status, b.cookies)
			}
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now, cfg, s := noon, signInConfig(), filledStore()
			cfg.Now = func() time.Time { return now }
			c, _ := newConsole(t, cfg, s)
			b := newBrowser(t, c)
			b.signIn("Ada", adminToken)
			tt.then(&cfg, b, &now)
			other, _ := newConsole(t, cfg, s) // another process on the database, or this one after a restart
			b.c = other
			resp, _ := b.do("GET", "/docs", nil)
			if ended := resp.StatusCode == 303; ended != tt.ends || !ended && resp.StatusCode != 200 {
				t.Errorf("%s, cookies %v", resp.Status, b.cookies)
			}
		})
	}
}

func TestFiveWrongTokensAMinute(t *testing.T) {
	now, cfg := noon, signInConfig()
	cfg.Now = func() time.Time { return now }
	c, _ := newConsole(t, cfg, filledStore())
	b := newBrowser(t, c)
	b.tls, b.host, b.remote = true, "bridge.example.com", "[2001:db8::1]:1"
	for i := range maxTries {
		if resp, body := b.signIn("Ada", "wrong"); resp.StatusCode != 403 ||
			!strings.Contains(body, "That is not the token") {
			t.Fatalf("try %d: %s", i+1, resp.Status)
		}
	}
	b.remote = "[2001:db8::2]:1" // the same network
	if resp, _ := b.signIn("Ada", adminToken); resp.StatusCode != 429 || len(b.cookies) > 0 {
		t.Errorf("the right one after five wrong ones: %s", resp.Status)
	}
	b.remote = "[2001:db8:1::1]:1"
	if resp, _ := b.signIn("Ada", adminToken); resp.StatusCode != 303 {
		t.Errorf("from elsewhere: %s", resp.Status)
	}
	now = now.Add(triesWithin)
	b.remote = "[2001:db8::1]:1"
	if resp, _ := b.signIn("Ada", adminToken); resp.StatusCode != 303 {
		t.Errorf("a minute later: %s", resp.Status)
	}
	for i := range 3 * maxTrying {
		c.tries.wrong(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}).String(), now)
	}
	if n := len(c.tries.from); n > maxTrying {
		t.Errorf("%d addresses are remembered", n)
	}
}

func TestWhoSignedInActsUnderTheirName(t *testing.T) {
	s := filledStore()
	c, _ := newConsole(t, signInConfig(), s)
	b := newBrowser(t, c)
	b.signIn("Ada", adminToken)
	r := httptest.NewRequest("POST", "/api/v1/incidents/42/acknowledge", strings.NewReader(`{"by": "Mallory"}`))
	r.Host, r.RemoteAddr = b.host, b.remote
	r.AddCookie(b.cookies["flowbridge-session"])
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	if w.Code != 202 || len(s.appended) != 1 || s.appended[0].Act.Actor != "Ada" ||
		s.appended[0].Act.Verified != router.VerifiedAdminToken {
		t.Errorf("%d %s %+v", w.Code, w.Body, s.appended)
	}
	if len(s.audit) != 1 || s.audit[0].Who != "Ada" || s.audit[0].What != "sign in to the console" {
		t.Errorf("%+v", s.audit)
	}

	look := newBrowser(t, c)
	look.signIn("Bo", viewToken)
	if resp, body := look.do("GET", "/docs", nil); resp.StatusCode != 200 || !strings.Contains(body, "Bo (looking)") {
		t.Errorf("%s %s", resp.Status, body)
	}
	r = httptest.NewRequest("POST", "/api/v1/incidents/42/resolve", nil)
	r.Host, r.RemoteAddr = look.host, look.remote
	r.AddCookie(look.cookies["flowbridge-session"])
	w = httptest.NewRecorder()
	c.ServeHTTP(w, r)
	if w.Code != 403 || len(s.appended) != 1 {
		t.Errorf("who may look acted: %d %s", w.Code, w.Body)
	}
}

func TestWhoHasNotSignedInIsLedThereAndBack(t *testing.T) {
	cfg := signInConfig()
	cfg.Prefix = "/bridge"
	c, _ := newConsole(t, cfg, filledStore())
	b := newBrowser(t, c)
	for _, path := range []string{"/docs?a=1&b=2", "/bridge/docs?a=1&b=2"} { // some proxies take the prefix out
		resp, _ := b.do("GET", path, nil)
		if want := "/bridge/login?next=%2Fdocs%3Fa%3D1%26b%3D2"; resp.StatusCode != 303 ||
			resp.Header.Get("Location") != want {
			t.Errorf("%s: %s to %s", path, resp.Status, resp.Header.Get("Location"))
		}
	}
	form := "/acknowledge?n=42&n=41" // what was ticked when the session ended is asked for once more
	if resp, _ := b.do("POST", "/bridge"+form, url.Values{"n": {"42", "41"}}); resp.StatusCode != 303 ||
		resp.Header.Get("Location") != "/bridge/login?next="+url.QueryEscape(form) {
		t.Errorf("a form: %s to %s", resp.Status, resp.Header.Get("Location"))
	}
	_, body := b.do("GET", "/bridge/login?next=%2Fdocs%3Fa%3D1%26b%3D2", nil)
	if !strings.Contains(body, `value="/docs?a=1&amp;b=2"`) || !strings.Contains(body, `action="/bridge/login"`) {
		t.Error(body)
	}
	resp, _ := b.do("POST", "/bridge/login", url.Values{"name": {"Ada"}, "token": {adminToken}, "next": {"/docs?a=1&b=2"}})
	if resp.StatusCode != 303 || resp.Header.Get("Location") != "/bridge/docs?a=1&b=2" ||
		b.cookies["flowbridge-bridge-session"] == nil {
		t.Errorf("%s to %s, %v", resp.Status, resp.Header.Get("Location"), b.cookies)
	}
	if resp := ask(c, "GET", "/api/v1/incidents", "", "Accept", "text/html"); resp.StatusCode != 401 ||
		resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("the API: %s", resp.Status)
	}
	open, _ := newConsole(t, Config{}, filledStore())
	if resp, _ := newBrowser(t, open).do("GET", "/login", nil); resp.StatusCode != 303 ||
		resp.Header.Get("Location") != "/" {
		t.Errorf("nobody signs in where no token is asked for: %s", resp.Status)
	}
}

func TestOnlyLocalPathsAreLedBackTo(t *testing.T) {
	for next, want := range map[string]string{
		"/": "/", "/incidents/42": "/incidents/42", "/?state=open&q=a%20b": "/?state=open&q=a%20b", "": "/",
		"https://evil.example/": "/", "//evil.example/": "/", `/\evil.example`: "/", "/%5Cevil.example": "/",
		"/%2Fevil.example": "/",
		"evil":             "/", "javascript:alert(1)": "/", "/a\r\nSet-Cookie: x": "/", "/login?next=/login": "/",
		"///evil.example": "/",
		"http:evil":       "/", "/" + strings.Repeat("a", 3000): "/",
	} {
		if got := localPath(next); got != want {
			t.Errorf("%q: got %q, want %q", next, got, want)
		}
	}
}

func FuzzOnlyLocalPathsAreLedBackTo(f *testing.F) {
	f.Add("/incidents/42")
	f.Add("//evil.example")
	f.Add(`/\evil`)
	f.Fuzz(func(t *testing.T, next string) {
		got := localPath(next)
		if !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n\t") {
			t.Errorf("%q leads to %q", next, got)
		}
	})
}
