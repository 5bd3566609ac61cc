package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"flowbridge/router"
)

var update = flag.Bool("update", false, "write the golden files anew")

// newConsole returns a console over s and what it logs.
func newConsole(t *testing.T, cfg Config, s Store) (*Console, *bytes.Buffer) {
	t.Helper()
	var logs bytes.Buffer
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return noon }
	}
	cfg.Logger = slog.New(slog.NewTextHandler(&logs, nil))
	c, err := New(cfg, s)
	if err != nil {
		t.Fatal(err)
	}
	return c, &logs
}

func ask(c http.Handler, method, path, body string, headers ...string) *http.Response {
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, in)
	r.Host = "127.0.0.1:9090"
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestIncidentsOfAFlowAreFoundByItsName(t *testing.T) {
	c, _ := newConsole(t, Config{FlowIDs: flowNames}, filledStore())
	byName, byID := text(t, ask(c, "GET", "/api/v1/incidents?flow=Checkout", "")),
		text(t, ask(c, "GET", "/api/v1/incidents?flow=1987937931743377", ""))
	if !strings.Contains(byID, `"number":42`) || byName != byID {
		t.Errorf("by name %s\nby id %s", byName, byID)
	}
	if resp := ask(c, "GET", "/api/v1/incidents?flow=Chekout", ""); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("%s %s", resp.Status, text(t, resp))
	}
}

func TestShapes(t *testing.T) {
	for _, tt := range []struct{ golden, path string }{
		{"incidents", "/api/v1/incidents"},
		{"incidents-acknowledged", "/api/v1/incidents?state=acknowledged"},
		{"incidents-of-a-flow", "/api/v1/incidents?flow=3&state=resolved"},
		{"incidents-none", "/api/v1/incidents?flow=unknown"},
		{"incident", "/api/v1/incidents/42"},
		{"events", "/api/v1/events"},
		{"events-unreadable", "/api/v1/events?state=unreadable"},
		{"events-newest", "/api/v1/events?limit=1"},
		{"deliveries", "/api/v1/deliveries"},
		{"deliveries-parked", "/api/v1/deliveries?state=parked"},
		{"deliveries-delivered-one", "/api/v1/deliveries?state=delivered&limit=1"},
		{"delivery", "/api/v1/deliveries/9"},
		{"delivery-without-attempts", "/api/v1/deliveries/10"},
		{"rules", "/api/v1/rules"},
		{"rules-version", "/api/v1/rules/aa11"},
		{"seen", "/api/v1/seen"},
		{"event", "/api/v1/events/101"},
		{"event-of-a-form", "/api/v1/events/102"},
		{"silences", "/api/v1/silences"},
		{"silences-ended", "/api/v1/silences?state=ended"},
		{"healthz", "/healthz"},
		{"readyz", "/readyz"},
	} {
		t.Run(tt.golden, func(t *testing.T) {
			c, logs := newConsole(t, Config{Version: "1.2.3", RulesNow: func() string { return "bb22" }}, filledStore())
			resp := ask(c, "GET", tt.path, "")
			if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" || logs.Len() > 0 {
				t.Errorf("%s %s\n%s", resp.Status, resp.Header.Get("Content-Type"), logs)
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, []byte(text(t, resp)), "", "  "); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", tt.golden+".json")
			if *update {
				if err := os.WriteFile(file, pretty.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), pretty.String()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		})
	}
}

func TestAnIncidentIsTheSameAloneAndInAList(t *testing.T) {
	c, _ := newConsole(t, Config{}, filledStore())
	var list struct{ Incidents []json.RawMessage }
	if err := json.Unmarshal([]byte(text(t, ask(c, "GET", "/api/v1/incidents", ""))), &list); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/api/v1/incidents/42", "/api/v1/incidents/INC-42", "/api/v1/incidents/inc-42"} {
		if diff := cmp.Diff(string(list.Incidents[0])+"\n", text(t, ask(c, "GET", path, ""))); diff != "" {
			t.Errorf("%s (-in the list +alone):\n%s", path, diff)
		}
	}
}

func TestRefusals(t *testing.T) {
	long := `{"by": "` + strings.Repeat("x", 5000) + `"}`
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"an unknown state of incidents", "GET", "/api/v1/incidents?state=closed", "", 400,
			`unknown state "closed": use open, acknowledged, active, resolved or all`},
		{"an unknown state of events", "GET", "/api/v1/events?state=new", "", 400,
			`unknown state "new": use waiting, folded, unreadable, failed or all`},
		{"an unknown state of deliveries", "GET", "/api/v1/deliveries?state=failed", "", 400,
			`unknown state "failed": use waiting, delivered, parked, cancelled or all`},
		{"a limit that is no number", "GET", "/api/v1/events?limit=all", "", 400,
			`limit is a number from 1 to 500, not "all"`},
		{"a limit that is too high", "GET", "/api/v1/deliveries?limit=501", "", 400,
			`limit is a number from 1 to 500, not "501"`},
		{"a limit of nothing", "GET", "/api/v1/incidents?limit=0", "", 400, `limit is a number from 1 to 500, not "0"`},
		{"an unknown key", "GET", "/api/v1/audit?after=4", "", 400, `unknown key "after": use before or limit`},
		{"a query that is none", "GET", "/api/v1/audit?before=%zz", "", 400,
			`the query cannot be read: invalid URL escape "%zz"`},
		{"a key twice", "GET", "/api/v1/deliveries?notifier=a&notifier=b", "", 400,
			"notifier is given 2 times: give it once"},
		{"several mistakes", "GET", "/api/v1/deliveries?state=new&incident=x&before=-1", "", 400,
			`unknown state "new": use waiting, delivered, parked, cancelled or all; incident is the number of an incident, such as INC-42, not "x"; ` +
				`before is the id of a delivery, not "-1"`},
		{"a severity that is none", "GET", "/api/v1/incidents?severity=>=bad", "", 400,
			`severity: unknown severity "bad": use critical, error, warning or info`},
		{"a time that is none", "GET", "/api/v1/incidents?from=yesterday", "", 400,
			`from: "yesterday" is no time: write 2026-03-02T08:00:00Z, 2026-03-02, or how long ago, such as 4h or 30d`},
		{"a subject that is none", "GET", "/api/v1/incidents?subject=user", "", 400,
			`unknown subject "user": use flow, account, phone, template, entity, payment or bridge, with an id as in phone:15550100`},
		{"two subjects", "GET", "/api/v1/incidents?subject=phone:1&subject_id=2", "", 400,
			`subject names "1", and subject_id "2"`},
		{"a label without a value", "GET", "/api/v1/incidents?label.team=", "", 400,
			`label.team: give the label a name and a value, as in label.team=payments`},
		{"a label without a name", "GET", "/api/v1/incidents?label.=x", "", 400,
			`label.: give the label a name and a value, as in label.team=payments`},
		{"two teams", "GET", "/api/v1/incidents?team=a&label.team=b", "", 400, `team is "a" and "b"`},
		{"an order that is none", "GET", "/api/v1/incidents?order=best", "", 400,
			`unknown order "best": use newest or worst`},
		{"neither yes nor no", "GET", "/api/v1/incidents?trouble=maybe", "", 400,
			`unknown trouble "maybe": use true or false`},
		{"a long look", "GET", "/api/v1/incidents?q=" + strings.Repeat("x", 201), "", 400, "q is longer than 200 bytes"},
		{"a page that goes on from nothing", "GET", "/api/v1/incidents?order=worst&before=9", "", 400,
			"before: there is no INC-9: begin at the first page"},
		{"silences that go on from nothing", "GET", "/api/v1/silences?before=x", "", 400,
			`before: there is no silence "x" here: begin at the first page`},
		{"retrying what was told", "POST", "/api/v1/deliveries/retry", `{"state": "delivered"}`, 400,
			`unknown state "delivered": ` + retryUsage},
		{"retrying by another key", "POST", "/api/v1/deliveries/retry", `{"like": "x"}`, 400,
			`the body cannot be read (unknown field "like"): ` + retryUsage},
		{"retrying without saying so", "POST", "/api/v1/deliveries/9", "", 404, "there is nothing at /api/v1/deliveries/9"},
		{"an unknown incident", "GET", "/api/v1/incidents/43", "", 404, "there is no INC-43"},
		{"a name that is no incident's", "GET", "/api/v1/incidents/latest", "", 404, `there is no incident "latest"`},
		{"a negative number", "GET", "/api/v1/incidents/-1", "", 404, `there is no incident "-1"`},
		{"acknowledging an unknown incident", "POST", "/api/v1/incidents/43/acknowledge", "", 404, "there is no INC-43"},
		{"acknowledging a resolved incident", "POST", "/api/v1/incidents/40/acknowledge", "", 409,
			"INC-40 is resolved already"},
		{"resolving a resolved incident", "POST", "/api/v1/incidents/40/resolve", "", 409, "INC-40 is resolved already"},
		{"a body that is no JSON", "POST", "/api/v1/incidents/42/resolve", "by=Ada", 400,
			`send no body, or {"by": "your name"}`},
		{"a body cut short", "POST", "/api/v1/incidents/42/resolve", `{"by": "Ada"`, 400,
			`send no body, or {"by": "your name"}`},
		{"a body with another field", "POST", "/api/v1/incidents/42/resolve", `{"user": "Ada"}`, 400,
			`send no body, or {"by": "your name"}`},
		{"a body with more behind it", "POST", "/api/v1/incidents/42/resolve", `{"by": "Ada"} {}`, 400,
			`send no body, or {"by": "your name"}`},
		{"a body that is too long", "POST", "/api/v1/incidents/42/resolve", long, 413, "the body is longer than 4096 bytes"},
		{"an unknown delivery", "GET", "/api/v1/deliveries/99", "", 404, "there is no delivery 99"},
		{"a delivery that is no number", "GET", "/api/v1/deliveries/-1", "", 404, `there is no delivery "-1"`},
		{"unknown rules", "GET", "/api/v1/rules/cc33", "", 404, `no rules are kept as "cc33"`},
		{"hits of no days", "GET", "/api/v1/rules?days=0", "", 400, `days is a number from 1 to 90, not "0"`},
		{"retrying an unknown delivery", "POST", "/api/v1/deliveries/99/retry", "", 404, "there is no delivery 99"},
		{"retrying what is no number", "POST", "/api/v1/deliveries/x/retry", "", 404, `there is no delivery "x"`},
		{"retrying what was delivered", "POST", "/api/v1/deliveries/7/retry", "", 409,
			"delivery 7: not possible now: it was delivered"},
		{"a path that is none", "GET", "/api/v2/incidents", "", 404, "there is nothing at /api/v2/incidents"},
		{"a slash too many", "GET", "/api/v1/incidents/", "", 404, "there is nothing at /api/v1/incidents/"},

		{"metrics without a gatherer", "GET", "/metrics", "", 404, "there is nothing at /metrics"},
		{"an unknown event", "GET", "/api/v1/events/99", "", 404, "there is no event 99"},
		{"what is no event's position", "GET", "/api/v1/events/newest", "", 404, `there is no event "newest"`},
		{"taking back the acknowledgement of a resolved incident", "POST", "/api/v1/incidents/40/unacknowledge", "", 409,
			"INC-40 is resolved already"},
		{"reopening what Meta reports no more", "POST", "/api/v1/incidents/40/reopen", "", 409,
			"INC-40 cannot be reopened: Meta reports it no more"},
		{"paging where no rule pages", "POST", "/api/v1/incidents/41/page", "", 409,
			"nobody can be paged for INC-41: its rules name no notifier that pages"},
		{"paging for a resolved incident", "POST", "/api/v1/incidents/40/page", "", 409, "INC-40 is resolved already"},
		{"an unknown act", "POST", "/api/v1/incidents/42/close", "", 404, "there is nothing at /api/v1/incidents/42/close"},
		{"an unknown state of silences", "GET", "/api/v1/silences?state=over", "", 400,
			`unknown state "over": use active, planned or ended`},
		{"ending an unknown silence", "DELETE", "/api/v1/silences/nothing", "", 404, `there is no silence "nothing"`},
		{"ending every silence at once", "DELETE", "/api/v1/silences", "", 405,
			"DELETE is not possible here: use GET or POST"},
		{"rules that cannot be read anew", "POST", "/api/v1/reload", "", 409,
			"the rules of this bridge cannot be read anew: start it again"},
		{"a wrong method", "DELETE", "/api/v1/incidents/42", "", 405, "DELETE is not possible here: use GET"},
		{"reading what is written", "GET", "/api/v1/incidents/42/resolve", "", 405, "GET is not possible here: use POST"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := filledStore()
			c, logs := newConsole(t, Config{}, s)
			resp := ask(c, tt.method, tt.path, tt.body)
			want, _ := json.Marshal(map[string]string{"error": tt.want})
			var got bytes.Buffer
			if err := json.Compact(&got, []byte(text(t, resp))); err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if len(s.appended)+len(s.retried) > 0 {
				t.Errorf("something was done: %v %v", s.appended, s.retried)
			}
			if logs.Len() > 0 {
				t.Errorf("a stranger's mistake is in the log: %s", logs)
			}
		})
	}
}

// act is what the journal keeps of what somebody does who needs no token.
func act(incident int64, actor string) *router.Act {
	return &router.Act{Incident: incident, Actor: actor, Verified: router.VerifiedNot, From: "192.0.2.1"}
}

func TestAPersonActs(t *testing.T) {
	for _, tt := range []struct {
		name, path, body string
		status           int
		want             string
		events           []router.Event
	}{
		{"acknowledges", "/api/v1/incidents/42/acknowledge", `{"by": "Ada"}`, 202, `{"incident":42,"queued":true}`,
			[]router.Event{{
				Source: router.SourceConsole, Name: router.Acknowledge, At: noon, Received: noon, WABA: "w1",
				Flow: "1987937931743377",
				Act:  act(42, "API (name given: Ada)")}}},
		{"resolves, without a name", "/api/v1/incidents/INC-41/resolve", "", 202, `{"incident":41,"queued":true}`,
			[]router.Event{{
				Source: router.SourceConsole, Name: router.Resolve, At: noon, Received: noon, WABA: "w1", Flow: "2",
				Act: act(41, "API")}}},
		{"takes an acknowledgement back", "/api/v1/incidents/41/unacknowledge", "", 202, `{"incident":41,"queued":true}`,
			[]router.Event{{
				Source: router.SourceConsole, Name: router.Unacknowledge, At: noon, Received: noon, WABA: "w1", Flow: "2",
				Act: act(41, "API")}}},
		{"takes back what nobody acknowledged", "/api/v1/incidents/42/unacknowledge", "", 200,
			`{"incident":42,"queued":false}`, nil},
		{"reopens what is open", "/api/v1/incidents/42/reopen", "", 200, `{"incident":42,"queued":false}`, nil},
		{"has somebody paged", "/api/v1/incidents/42/page", `{"by": "Ada"}`, 202, `{"incident":42,"queued":true}`,
			[]router.Event{{
				Source: router.SourceConsole, Name: router.PageNow, At: noon, Received: noon, WABA: "w1", Flow: "1987937931743377",
				Act: act(42, "API (name given: Ada)")}}},
		{"acknowledges what is acknowledged", "/api/v1/incidents/41/acknowledge", "{}", 200, `{"incident":41,"queued":false}`,
			nil},
		{"gives a name that does not fit a card", "/api/v1/incidents/42/resolve", `{"by": "A\nd` + strings.Repeat("ä", 200) +
			`"}`, 202,
			`{"incident":42,"queued":true}`, []router.Event{{
				Source: router.SourceConsole, Name: router.Resolve, At: noon, Received: noon, WABA: "w1", Flow: "1987937931743377",
				Act: act(42, "API (name given: A d"+strings.Repeat("ä", 97)+")")}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := filledStore()
			c, _ := newConsole(t, Config{}, s)
			resp := ask(c, "POST", tt.path, tt.body)
			if got := strings.TrimSpace(text(t, resp)); resp.StatusCode != tt.status || got != tt.want {
				t.Errorf("%d %s, want %d %s", resp.StatusCode, got, tt.status, tt.want)
			}
			if diff := cmp.Diff(tt.events, s.appended, cmpopts.IgnoreFields(router.Event{}, "Digest")); diff != "" {
				t.Errorf("journal (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("twice, and means it", func(t *testing.T) {
		s := filledStore()
		c, _ := newConsole(t, Config{}, s)
		ask(c, "POST", "/api/v1/incidents/42/resolve", "")
		ask(c, "POST", "/api/v1/incidents/42/resolve", "")
		if len(s.appended) != 2 || s.appended[0].Digest == s.appended[1].Digest || s.appended[0].Digest == "" {
			t.Errorf("journal: %+v", s.appended)
		}
	})
	t.Run("reopens what a person resolved and Meta still reports", func(t *testing.T) {
		s := filledStore()
		s.incidents[1].State = router.IncidentResolved
		c, _ := newConsole(t, Config{}, s)
		resp := ask(c, "POST", "/api/v1/incidents/41/reopen", "")
		if resp.StatusCode != 202 || len(s.appended) != 1 || s.appended[0].Name != router.Reopen {
			t.Errorf("%s %+v", resp.Status, s.appended)
		}
	})
	t.Run("pages those who have been paged", func(t *testing.T) {
		s := filledStore()
		s.incidents[0].Watch[2].Open = true
		c, _ := newConsole(t, Config{}, s)
		resp := ask(c, "POST", "/api/v1/incidents/42/page", "")
		want := `{"error":"all who can be paged for INC-42 have been: payments-oncall, vendor-oncall"}`
		if got := strings.TrimSpace(text(t, resp)); resp.StatusCode != 409 || got != want || len(s.appended) > 0 {
			t.Errorf("%s %s", resp.Status, got)
		}
	})
	t.Run("retries a delivery", func(t *testing.T) {
		s := filledStore()
		c, _ := newConsole(t, Config{}, s)
		resp := ask(c, "POST", "/api/v1/deliveries/9/retry", "")
		if got := strings.TrimSpace(text(t, resp)); resp.StatusCode != 202 || got != `{"delivery":9,"queued":true}` {
			t.Errorf("%s %s", resp.Status, got)
		}
		if diff := cmp.Diff([]int64{9}, s.retried); diff != "" {
			t.Errorf("retried (-want +got):\n%s", diff)
		}
	})
}

func TestFaultsInsideAreLoggedAndNotShown(t *testing.T) {
	inside := errors.New("dial postgres://bridge:hunter2@db/flowbridge: refused")
	for _, tt := range []struct {
		name, method, path string
		store              *memStore
		status             int
	}{
		{"a list", "GET", "/api/v1/incidents", &memStore{fault: inside}, 500},
		{"an act", "POST", "/api/v1/incidents/42/resolve", &memStore{fault: inside}, 500},
		{"a panic", "GET", "/api/v1/incidents", &memStore{panics: true}, 500},
		{"a full queue", "GET", "/api/v1/events", &memStore{fault: fmt.Errorf("append: %w", router.ErrBusy)}, 503},
		{"a closed store", "GET", "/api/v1/deliveries", &memStore{fault: router.ErrClosed}, 503},
		{"readiness", "GET", "/readyz", &memStore{fault: inside}, 503},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, logs := newConsole(t, Config{}, tt.store)
			resp := ask(c, tt.method, tt.path, "")
			body := text(t, resp)
			if resp.StatusCode != tt.status || strings.Contains(body, "hunter2") || strings.Contains(body, "nil map") ||
				!json.Valid([]byte(body)) {
				t.Errorf("%s %s", resp.Status, body)
			}
			if strings.Count(logs.String(), "\n") != 1 {
				t.Errorf("want one line in the log: %s", logs)
			}
			if retry := resp.Header.Get("Retry-After"); (retry != "") != (tt.status == 503 && tt.path != "/readyz") {
				t.Errorf("Retry-After %q", retry)
			}
		})
	}
}

func TestProbes(t *testing.T) {
	c, _ := newConsole(t, Config{Ready: func() error { return errors.New("no rules are loaded") }}, filledStore())
	resp := ask(c, "GET", "/readyz", "")
	if got := text(t, resp); resp.StatusCode != 503 || got != `{"ready":false,"error":"no rules are loaded"}`+"\n" {
		t.Errorf("%s %s", resp.Status, got)
	}
	c, _ = newConsole(t, Config{Rules: func() string { return "rules.yaml:3:4: unknown key" }}, filledStore())
	resp = ask(c, "GET", "/readyz", "")
	if got := text(t, resp); resp.StatusCode != 200 || got != `{"ready":true,"rules":"rules.yaml:3:4: unknown key"}`+"\n" {
		t.Errorf("with rules that are not in force: %s %s", resp.Status, got)
	}
	c, _ = newConsole(t, Config{Rules: func() string { return strings.Repeat("ä", 5000) }}, filledStore())
	if got := text(t, ask(c, "GET", "/readyz", "")); len(got) > 2100 || !utf8.ValidString(got) {
		t.Errorf("a long text comes back as %d bytes", len(got))
	}
	c, _ = newConsole(t, Config{}, &memStore{fault: errors.New("gone")})
	if resp := ask(c, "GET", "/healthz", ""); resp.StatusCode != 200 {
		t.Errorf("alive without storage: %s", resp.Status)
	}
}

func TestReload(t *testing.T) {
	var fault error
	c, logs := newConsole(t, Config{Reload: func() error { return fault }}, filledStore())
	if resp := ask(c, "POST", "/api/v1/reload", ""); resp.StatusCode != 200 || text(t, resp) != `{"reloaded":true}`+"\n" ||
		logs.Len() == 0 {
		t.Errorf("good rules: %s, log %q", resp.Status, logs)
	}
	fault = errors.New("rules.yaml:3:4: one\nrules.yaml:9:1: two")
	resp := ask(c, "POST", "/api/v1/reload", "")
	want := `{"error":"the rules cannot be used; the old ones stay in force","mistakes":["rules.yaml:3:4: one","rules.yaml:9:1: two"]}` + "\n"
	if got := text(t, resp); resp.StatusCode != 422 || got != want {
		t.Errorf("%s %s", resp.Status, got)
	}
}

func TestToken(t *testing.T) {
	const token = "correct horse"
	for _, tt := range []struct {
		name, path, authorization string
		status                    int
	}{
		{"the right one", "/api/v1/incidents", "Bearer correct horse", 200},
		{"a scheme in small letters", "/api/v1/incidents", "bearer correct horse", 200},
		{"none", "/api/v1/incidents", "", 401},
		{"a wrong one", "/api/v1/incidents", "Bearer wrong", 401},
		{"a part of it", "/api/v1/incidents", "Bearer correct", 401},
		{"an empty one", "/api/v1/incidents", "Bearer ", 401},
		{"another scheme", "/api/v1/incidents", "Basic correct horse", 401},
		{"none, for a path that is none", "/api/nothing", "", 401},
		{"none, for a probe", "/readyz", "", 200},
		{"none, for liveness", "/healthz", "", 200},
		{"none, for metrics", "/metrics", "", 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // wrong ones are answered late
				c, logs := newConsole(t, Config{Token: token, Gatherer: prometheus.NewRegistry()}, filledStore())
				resp := ask(c, "GET", tt.path, "", "Authorization", tt.authorization)
				body := text(t, resp)
				if resp.StatusCode != tt.status || strings.Contains(body+logs.String(), token) {
					t.Errorf("%s %s %s", resp.Status, body, logs)
				}
				if (resp.StatusCode == 401) != (resp.Header.Get("WWW-Authenticate") == "Bearer") {
					t.Errorf("WWW-Authenticate %q", resp.Header.Get("WWW-Authenticate"))
				}
			})
		})
	}
}

func TestOtherPeoplesWebPagesMayNotAct(t *testing.T) {
	s := filledStore()
	c, _ := newConsole(t, Config{}, s)
	resp := ask(c, "POST", "/api/v1/incidents/42/resolve", "", "Sec-Fetch-Site", "cross-site", "Origin",
		"https://evil.example")
	if got := text(t, resp); resp.StatusCode != 403 || !strings.Contains(got, `"error"`) || len(s.appended) > 0 {
		t.Errorf("%s %s", resp.Status, got)
	}
	if resp := ask(c, "POST", "/api/v1/incidents/42/resolve", "", "Sec-Fetch-Site",
		"same-origin"); resp.StatusCode != 202 {
		t.Errorf("our own page: %s", resp.Status)
	}
}

func TestHeadersKeepAnswersFromBeingReadAsPages(t *testing.T) {
	c, _ := newConsole(t, Config{Gatherer: prometheus.NewRegistry()}, filledStore())
	for _, path := range []string{"/api/v1/incidents", "/nothing", "/metrics"} {
		h := ask(c, "GET", path, "").Header
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

func TestMetrics(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault error
		want  string
	}{
		{"are counted from the store", nil, `
# HELP flowbridge_admin_refused_total Requests that the admin address refused, by reason.
# TYPE flowbridge_admin_refused_total counter
flowbridge_admin_refused_total{reason="cross_site"} 0
flowbridge_admin_refused_total{reason="host"} 0
flowbridge_admin_refused_total{reason="no_token"} 0
flowbridge_admin_refused_total{reason="untrusted_header"} 0
flowbridge_admin_refused_total{reason="view_token"} 0
flowbridge_admin_refused_total{reason="wrong_token"} 0
# HELP flowbridge_build_info 1, with the version that runs.
# TYPE flowbridge_build_info gauge
flowbridge_build_info{version="1.2.3"} 1
# HELP flowbridge_everything_silenced 1 while a silence covers everything, so that nobody is told of new trouble, else 0.
# TYPE flowbridge_everything_silenced gauge
flowbridge_everything_silenced 1
# HELP flowbridge_fold_stalled_seconds For how long events have waited without one being folded by any process, 0 if none waits.
# TYPE flowbridge_fold_stalled_seconds gauge
flowbridge_fold_stalled_seconds 0
# HELP flowbridge_folds 1 while this process has the right to fold the journal, else 0: of several on one database one has it.
# TYPE flowbridge_folds gauge
flowbridge_folds 0
# HELP flowbridge_incidents Incidents that are not resolved.
# TYPE flowbridge_incidents gauge
flowbridge_incidents{state="acknowledged"} 0
flowbridge_incidents{state="open"} 3
# HELP flowbridge_journal_events Events of the journal that are not folded.
# TYPE flowbridge_journal_events gauge
flowbridge_journal_events{state="failed"} 0
flowbridge_journal_events{state="unreadable"} 2
flowbridge_journal_events{state="waiting"} 1
# HELP flowbridge_journal_oldest_waiting_seconds Age of the oldest event that waits to be folded, 0 if none waits.
# TYPE flowbridge_journal_oldest_waiting_seconds gauge
flowbridge_journal_oldest_waiting_seconds 90
# HELP flowbridge_owed_deliveries Deliveries that are not done: waiting, or parked until a person acts.
# TYPE flowbridge_owed_deliveries gauge
flowbridge_owed_deliveries{state="parked"} 5
flowbridge_owed_deliveries{state="waiting"} 4
# HELP flowbridge_storage_up 1 while the storage answers, else 0; the gauges of what it holds are then missing.
# TYPE flowbridge_storage_up gauge
flowbridge_storage_up 1
`},
		{"say that the storage is gone, and go on", errors.New("gone"), `
# HELP flowbridge_admin_refused_total Requests that the admin address refused, by reason.
# TYPE flowbridge_admin_refused_total counter
flowbridge_admin_refused_total{reason="cross_site"} 0
flowbridge_admin_refused_total{reason="host"} 0
flowbridge_admin_refused_total{reason="no_token"} 0
flowbridge_admin_refused_total{reason="untrusted_header"} 0
flowbridge_admin_refused_total{reason="view_token"} 0
flowbridge_admin_refused_total{reason="wrong_token"} 0
# HELP flowbridge_build_info 1, with the version that runs.
# TYPE flowbridge_build_info gauge
flowbridge_build_info{version="1.2.3"} 1
# HELP flowbridge_storage_up 1 while the storage answers, else 0; the gauges of what it holds are then missing.
# TYPE flowbridge_storage_up gauge
flowbridge_storage_up 0
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := filledStore()
			s.fault = tt.fault
			metrics := prometheus.NewRegistry()
			c, _ := newConsole(t, Config{Version: "1.2.3", Gatherer: metrics, Registerer: metrics}, s)
			if err := testutil.GatherAndCompare(metrics, strings.NewReader(tt.want)); err != nil {
				t.Error(err)
			}
			resp := ask(c, "GET", "/metrics", "")
			if got := text(t, resp); resp.StatusCode != 200 || !strings.Contains(got, "flowbridge_storage_up") {
				t.Errorf("%s %s", resp.Status, got)
			}
			if _, err := New(Config{Registerer: metrics}, s); err == nil {
				t.Error("metrics that are registered already: want an error")
			}
		})
	}
}

func TestOneOddNumberDoesNotLoseTheList(t *testing.T) {
	s := filledStore()
	for _, level := range []router.Level{"NaN", "Inf", "", "SOMETHING"} {
		s.incidents[0].Alerts = append(s.incidents[0].Alerts, router.Alert{Event: "NEW_SIGNAL", Level: level})
	}
	c, _ := newConsole(t, Config{}, s)
	if resp := ask(c, "GET", "/api/v1/incidents/42", ""); resp.StatusCode != 200 {
		t.Errorf("%s %s", resp.Status, text(t, resp))
	}
}

func TestNewWantsAStore(t *testing.T) {
	if _, err := New(Config{}, nil); err == nil {
		t.Error("want an error")
	}
}
