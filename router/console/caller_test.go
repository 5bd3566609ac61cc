package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"flowbridge/router"
)

const (
	adminToken = "the-admin-token-of-the-test"
	viewToken  = "the-view-token-of-the-test"
)

func TestAnUnknownHostIsMisdirected(t *testing.T) {
	for _, tt := range []struct {
		host   string
		status int
	}{
		{"localhost", 200}, {"localhost:9090", 200}, {"LOCALHOST.:9090", 200}, {"127.0.0.1:9090", 200}, {"127.8.8.8", 200},
		{"[::1]:9090", 200}, {"[::1]", 200},
		{"bridge.internal:9090", 200}, {"flows.example.com", 200}, {"Flows.Example.com:443", 200}, {"10.0.0.7:9090", 200},
		{"[fd00::7]:9090", 200},
		{"192.0.2.80:9090", 200}, // the address that the request came to
		{"", 200},                // no browser
		{"evil.example", 421}, {"evil.example:9090", 421}, {"localhost.evil.example", 421},
		{"127.0.0.1.evil.example:9090", 421}, {"10.0.0.8", 421},
		{"0.0.0.0:9090", 421}, {"flows.example.com.evil.example", 421},
	} {
		t.Run(tt.host, func(t *testing.T) {
			s := filledStore()
			c, logs := newConsole(t, Config{Hosts: []string{"bridge.internal", "Flows.example.com", "10.0.0.7", "fd00::7"},
				Gatherer: prometheus.NewRegistry()}, s)
			for _, path := range []string{"/api/v1/incidents", "/metrics", "/readyz", "/healthz", "POST /api/v1/silences"} {
				method, target, acts := strings.Cut(path, " ")
				if !acts {
					method, target = "GET", path
				}
				r := httptest.NewRequest(method, target, strings.NewReader(`{"everything": true, "for": "1h"}`))
				r.Host = tt.host
				r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey,
					&net.TCPAddr{IP: net.ParseIP("192.0.2.80"), Port: 9090}))
				w := httptest.NewRecorder()
				c.ServeHTTP(w, r)
				if (w.Code == 421) != (tt.status == 421) || w.Code >= 500 {
					t.Errorf("%s: %d %s", path, w.Code, w.Body)
				}
			}
			if refused := tt.status == 421; refused != (len(s.appended) == 0) ||
				refused != strings.Contains(logs.String(), "names a host that is not known") {
				t.Errorf("journal %+v, log %s", s.appended, logs)
			}
		})
	}
}

func TestWhoMayLookMayNotAct(t *testing.T) {
	s := filledStore()
	c, _ := newConsole(t, Config{Token: adminToken, ViewToken: viewToken}, s)
	for path, want := range map[string]int{
		"GET /api/v1/incidents": 200, "GET /api/v1/audit": 200, "POST /api/v1/incidents/42/resolve": 403,
		"POST /api/v1/silences":       403,
		"DELETE /api/v1/silences/all": 403, "POST /api/v1/deliveries/9/retry": 403, "POST /api/v1/reload": 403,
	} {
		method, target, _ := strings.Cut(path, " ")
		if resp := ask(c, method, target, "", "Authorization", "Bearer "+viewToken); resp.StatusCode != want {
			t.Errorf("%s: %s", path, resp.Status)
		}
		if resp := ask(c, method, target, "{}", "Authorization", "Bearer "+adminToken); resp.StatusCode == 403 ||
			resp.StatusCode == 401 {
			t.Errorf("%s with the admin token: %s", path, resp.Status)
		}
	}
	refused := 0
	for _, e := range s.audit {
		if e.Result == "refused: the view token may only look" && e.Verified == router.VerifiedViewToken {
			refused++
		}
	}
	if refused != 5 || testutil.ToFloat64(c.refused.counted.WithLabelValues(refusedView)) != 5 {
		t.Errorf("the audit knows %d that were refused: %+v", refused, s.audit)
	}
}

func TestWrongTokensAreSlowedAndRightOnesAreNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := filledStore()
		c, logs := newConsole(t, Config{Token: adminToken, ViewToken: viewToken, Now: time.Now}, s)
		began := time.Now()
		var tries sync.WaitGroup
		var mu sync.Mutex
		answers := map[string]int{}
		for i := range 100 {
			tries.Go(func() {
				r := httptest.NewRequest("GET", "/api/v1/incidents", nil)
				r.Host, r.RemoteAddr = "localhost", fmt.Sprintf("203.0.113.%d:4000", i%7)
				r.Header.Set("Authorization", "Bearer guess-"+fmt.Sprint(i))
				w := httptest.NewRecorder()
				c.ServeHTTP(w, r)
				mu.Lock()
				defer mu.Unlock()
				answers[fmt.Sprint(w.Code, " after ", time.Since(began))]++
			})
		}
		synctest.Wait()
		if resp := ask(c, "GET", "/api/v1/incidents", "", "Authorization", "Bearer "+adminToken); resp.StatusCode != 200 ||
			time.Since(began) != 0 {
			t.Errorf("the right one: %s after %s", resp.Status, time.Since(began))
		}
		tries.Wait()
		if diff := cmp.Diff(map[string]int{"401 after 500ms": 32, "429 after 0s": 68}, answers); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		if n := testutil.ToFloat64(c.refused.counted.WithLabelValues(refusedWrong)); n != 100 {
			t.Errorf("counted: %v", n)
		}
		if n := strings.Count(logs.String(), "a wrong token was given"); n != 1 ||
			!strings.Contains(logs.String(), "203.0.113.") || strings.Contains(logs.String(), "guess-") {
			t.Errorf("the log speaks of it %d times:\n%s", n, logs)
		}
		ctx, stop := context.WithCancel(t.Context())
		var watch sync.WaitGroup
		watch.Go(func() { c.Watch(ctx) })
		stop()
		watch.Wait()
		if len(s.audit) != 2 || s.audit[1].What != "give a wrong token" ||
			s.audit[0].What != "give a wrong token, 99 times" ||
			!strings.HasSuffix(s.audit[0].From, " and others") || s.audit[0].Result != "refused" {
			t.Errorf("the audit sums up: %+v", s.audit)
		}
	})
}

func TestTheHeaderOfAProxyCountsFromTrustedProxiesOnly(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("fd00::1/128")}
	for _, tt := range []struct {
		name, remote, header, token, by string
		forwarded                       string
		status                          int
		actor, verified, from           string
	}{
		{name: "a trusted proxy signs in", remote: "10.0.0.9:1", header: "ada", by: "mallory",
			forwarded: "6.6.6.6, 198.51.100.4", status: 202,
			actor: "ada", verified: router.VerifiedProxy, from: "198.51.100.4 through 10.0.0.9"},
		{name: "one over IPv6", remote: "[fd00::1]:1", header: "ada", status: 202, actor: "ada",
			verified: router.VerifiedProxy, from: "fd00::1"},
		{name: "one in the form of the other", remote: "[::ffff:10.0.0.9]:1", header: "ada", status: 202, actor: "ada",
			verified: router.VerifiedProxy, from: "10.0.0.9"},
		{name: "with a token that is for somebody else", remote: "10.0.0.9:1", header: "ada", token: "an-id-token",
			status: 202, actor: "ada", verified: router.VerifiedProxy, from: "10.0.0.9"},
		{name: "with the token for looking", remote: "10.0.0.9:1", header: "ada", token: viewToken, status: 403},
		{name: "somebody else", remote: "203.0.113.9:1", header: "ada", status: 401},
		{name: "somebody else with a token", remote: "203.0.113.9:1", header: "ada", token: adminToken, by: "bo",
			forwarded: "10.0.0.9", status: 202,
			actor: "API (name given: bo)", verified: router.VerifiedAdminToken, from: "203.0.113.9"},
		{name: "a trusted proxy that names nobody", remote: "10.0.0.9:1", status: 401},
		{name: "a header twice", remote: "10.0.0.9:1", header: "ada|root", status: 401},
		{name: "nobody", remote: "203.0.113.9:1", token: adminToken, status: 202, actor: "API",
			verified: router.VerifiedAdminToken, from: "203.0.113.9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := filledStore()
			c, _ := newConsole(t, Config{Token: adminToken, ViewToken: viewToken, UserHeader: "X-Forwarded-User",
				TrustedProxies: proxies}, s)
			body, _ := json.Marshal(map[string]string{"by": tt.by})
			r := httptest.NewRequest("POST", "/api/v1/incidents/42/resolve", strings.NewReader(string(body)))
			r.Host, r.RemoteAddr = "localhost", tt.remote
			for _, name := range strings.Split(tt.header, "|") {
				if name != "" {
					r.Header.Add("X-Forwarded-User", name)
				}
			}
			if tt.forwarded != "" {
				r.Header.Set("X-Forwarded-For", tt.forwarded)
			}
			if tt.token != "" {
				r.Header.Set("Authorization", "Bearer "+tt.token)
			}
			w := httptest.NewRecorder()
			c.ServeHTTP(w, r)
			if w.Code != tt.status || (w.Code == 202) != (len(s.appended) == 1) {
				t.Fatalf("%d %s, journal %+v", w.Code, w.Body, s.appended)
			}
			if w.Code != 202 {
				return
			}
			want := router.Act{Incident: 42, Actor: tt.actor, Verified: tt.verified, From: tt.from}
			if diff := cmp.Diff(want, *s.appended[0].Act); diff != "" {
				t.Errorf("the act (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProbesQuoteNoRulesToStrangers(t *testing.T) {
	named, open := prometheus.NewRegistry(), prometheus.NewRegistry()
	named.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "named"}))
	open.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "open"}))
	cfg := Config{Token: adminToken, ViewToken: viewToken, Rules: func() string {
		return "rules.yaml:3:4: unknown key: secret-of-the-rules"
	}, Gatherer: named, OpenGatherer: open}
	for _, tt := range []struct {
		name, token string
		open        bool // no token is asked for
		quotes      bool
	}{
		{name: "a stranger"}, {name: "the admin token", token: adminToken, quotes: true},
		{name: "the view token", token: viewToken, quotes: true},
		{name: "a wrong token", token: "wrong"}, {name: "where no token is asked for", open: true, quotes: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := cfg
				if tt.open {
					cfg.Token, cfg.ViewToken = "", ""
				}
				c, _ := newConsole(t, cfg, filledStore())
				var headers []string
				if tt.token != "" {
					headers = []string{"Authorization", "Bearer " + tt.token}
				}
				ready, metrics := ask(c, "GET", "/readyz", "", headers...), ask(c, "GET", "/metrics", "", headers...)
				said := text(t, ready)
				if ready.StatusCode != 200 || !strings.Contains(said, `"rules":"`) ||
					strings.Contains(said, "secret-of-the-rules") != tt.quotes {
					t.Errorf("/readyz: %s %s", ready.Status, said)
				}
				if page := text(t, metrics); strings.Contains(page, "named 0") != tt.quotes ||
					strings.Contains(page, "open 0") == tt.quotes {
					t.Errorf("/metrics: %s", page)
				}
			})
		})
	}
}

func TestASilenceOfEverythingIsShortWhereNobodyKnowsWhoAsks(t *testing.T) {
	for _, tt := range []struct {
		body         string
		open, signed int // status without a token, and with one
	}{
		{`{"everything": true, "for": "24h"}`, 202, 202},
		{`{"everything": true, "until": "2026-05-05T12:00:00Z"}`, 202, 202},
		{`{"everything": true, "for": "25h"}`, 400, 202},
		{`{"everything": true, "until": "2026-05-05T12:00:01Z"}`, 400, 202},
		{`{"everything": true, "until": "recovered"}`, 400, 202},
		{`{"waba": "w1", "until": "recovered"}`, 202, 202},
		{`{"flow": "5", "for": "300d"}`, 202, 202},
	} {
		c, _ := newConsole(t, Config{}, filledStore())
		if resp := ask(c, "POST", "/api/v1/silences", tt.body); resp.StatusCode != tt.open {
			t.Errorf("%s without a token: %s %s", tt.body, resp.Status, text(t, resp))
		}
		c, _ = newConsole(t, Config{Token: adminToken}, filledStore())
		if resp := ask(c, "POST", "/api/v1/silences", tt.body, "Authorization",
			"Bearer "+adminToken); resp.StatusCode != tt.signed {
			t.Errorf("%s with a token: %s %s", tt.body, resp.Status, text(t, resp))
		}
	}
}

func TestTheAuditIsReadPageByPage(t *testing.T) {
	s := filledStore()
	for id := range int64(5) {
		s.audit = append([]router.AuditEntry{{ID: id + 1, At: at(int(id)), Who: "ada", Verified: router.VerifiedProxy,
			From: "198.51.100.4",
			What: "acknowledge INC-42", Result: "acknowledged INC-42", Event: 100 + id}}, s.audit...)
	}
	c, _ := newConsole(t, Config{}, s)
	for path, want := range map[string]string{
		"?limit=2":          "5 4 next 4",
		"?limit=2&before=4": "3 2 next 2",
		"?before=2":         "1",
		"":                  "5 4 3 2 1",
		"?before=x":         `before is the id of an entry, not "x"`,
		"?limit=0":          `limit is a number from 1 to 500, not "0"`,
	} {
		var got struct {
			Audit []AuditEntry
			Next  *int64
			Error string
		}
		if err := json.Unmarshal([]byte(text(t, ask(c, "GET", "/api/v1/audit"+path, ""))), &got); err != nil {
			t.Fatal(err)
		}
		var words []string
		for _, e := range got.Audit {
			words = append(words, fmt.Sprint(e.ID))
			if e.Who != "ada" || e.At == nil || e.Event == nil || e.Verified != "proxy header" || e.From == "" || e.What == "" ||
				e.Result == "" {
				t.Errorf("%s: %+v", path, e)
			}
		}
		if got.Next != nil {
			words = append(words, "next", fmt.Sprint(*got.Next))
		}
		if said := strings.Join(words, " ") + got.Error; said != want {
			t.Errorf("%s: got %s, want %s", path, said, want)
		}
	}
}

func TestWhatPeopleDoBesideTheJournalIsAudited(t *testing.T) {
	s := filledStore()
	var fault error
	c, logs := newConsole(t, Config{Token: adminToken, Reload: func() error { return fault }}, s)
	act := func(path string) { ask(c, "POST", path, `{"by": "ada"}`, "Authorization", "Bearer "+adminToken) }
	act("/api/v1/deliveries/9/retry")
	act("/api/v1/reload")
	fault = errors.New("rules.yaml:3:4: secret-of-the-rules")
	act("/api/v1/reload")
	entry := func(what, result string) router.AuditEntry {
		return router.AuditEntry{At: noon, Who: "API (name given: ada)", Verified: router.VerifiedAdminToken,
			From: "192.0.2.1", What: what, Result: result}
	}
	want := []router.AuditEntry{
		entry("reload the rules", "refused: the rules have mistakes"), entry("reload the rules", "read anew"),
		entry("retry delivery 9", "it is tried at once"),
	}
	if diff := cmp.Diff(want, s.audit); diff != "" {
		t.Errorf("the audit (-want +got):\n%s", diff)
	}
	s.auditFault, fault = errors.New("the disk is full"), nil
	act("/api/v1/reload")
	if !strings.Contains(logs.String(), "the audit could not be written") ||
		!strings.Contains(logs.String(), `who="API (name given: ada)"`) {
		t.Errorf("lost silently: %s", logs)
	}
}
