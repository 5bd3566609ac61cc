package pagerduty_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pd "github.com/PagerDuty/go-pagerduty"
	"github.com/google/go-cmp/cmp"

	"flowbridge/notifiers/pagerduty"
	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

const apiToken = "rest-token-of-the-test"

// office is a Linker that asks a stand-in PagerDuty, and the time that both go by.
type office struct {
	*sandbox.PagerDuty
	*desk
	linker *pagerduty.Linker
	url    string
	log    bytes.Buffer
	cfg    pagerduty.LinkerConfig

	mu sync.Mutex
	at time.Time
}

func newOffice(t *testing.T, account sandbox.PagerDutyConfig) *office {
	t.Helper()
	o := &office{desk: &desk{}, at: opened}
	account.RoutingKeys, account.Now = []router.Secret{routingKey, otherKey}, o.now
	if account.APIToken == "" {
		account.APIToken = apiToken
	}
	o.PagerDuty = sandbox.NewPagerDuty(account)
	server := httptest.NewServer(o.PagerDuty)
	t.Cleanup(server.Close)
	t.Cleanup(o.ClearFaults)
	o.url = server.URL
	o.cfg = pagerduty.LinkerConfig{Token: apiToken, APIURL: server.URL, Now: o.now, Pace: time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(&o.log, nil))}
	o.start(t)
	return o
}

// start begins anew, as after a restart.
func (o *office) start(t *testing.T) {
	t.Helper()
	var err error
	if o.linker, err = pagerduty.NewLinker(o.cfg, o.desk); err != nil {
		t.Fatal(err)
	}
}

func (o *office) now() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.at
}

// pass lets time pass, with a round every second.
func (o *office) pass(t *testing.T, d time.Duration) {
	t.Helper()
	for range d / time.Second {
		o.mu.Lock()
		o.at = o.at.Add(time.Second)
		o.mu.Unlock()
		if _, err := o.linker.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// page opens an incident in PagerDuty.
func (o *office) page(t *testing.T, routing, key string) {
	t.Helper()
	client := pd.NewClient("", pd.WithV2EventsAPIEndpoint(o.url))
	if _, err := client.ManageEventWithContext(t.Context(), &pd.V2Event{RoutingKey: routing, Action: "trigger",
		DedupKey: key, Payload: &pd.V2Payload{Summary: "s", Source: "s", Severity: "error"}}); err != nil {
		t.Fatal(err)
	}
}

// asked returns how often the REST API was asked for what.
func (o *office) asked() map[string]int {
	out := map[string]int{}
	for _, call := range o.Calls() {
		if strings.HasPrefix(call.Method, "GET ") {
			out[call.Method]++
		}
	}
	return out
}

func TestOnlyOneOfSeveralProcessesAsks(t *testing.T) {
	t.Parallel()
	o := newOffice(t, sandbox.PagerDutyConfig{OnCall: "ben"})
	o.page(t, routingKey, incident42)
	o.unlinked = []router.Place{place42("", 0)}
	o.places, o.another = o.unlinked, true
	if o.pass(t, 15*time.Second); len(o.asked()) != 0 {
		t.Errorf("while another process asks: %v", o.asked())
	}
	o.another = false // it has taken over
	if o.pass(t, 15*time.Second); len(o.journal) != 1 {
		t.Errorf("journal %v", o.acts())
	}
}

func TestAPageIsAskedForUntilPagerDutyHasMadeIt(t *testing.T) {
	t.Parallel()
	o := newOffice(t, sandbox.PagerDutyConfig{Appears: 10 * time.Second, OnCall: "ben"})
	o.page(t, routingKey, incident42)
	o.unlinked = []router.Place{place42("", 0)}
	o.places = o.unlinked
	// seen after one second, asked after 2 and 5 more
	o.pass(t, 15*time.Second)
	if got := o.asked()["GET /incidents"]; got != 3 || len(o.journal) != 0 { // and once for what was made lately
		t.Errorf("asked %v, journal %v", o.asked(), o.acts())
	}
	o.pass(t, 2*time.Second) // and after 15
	if diff := cmp.Diff([]string{"LINK INC-42 oncall Q0000001 #1 with ben"}, o.acts()); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
	before := o.asked()
	o.pass(t, 90*time.Second)
	if diff := cmp.Diff(before, o.asked()); diff != "" {
		t.Errorf("asked for what is known (-before +after):\n%s", diff)
	}
}

func TestAPageThatPagerDutyNeverMakesIsAskedForFourTimes(t *testing.T) {
	t.Parallel()
	o := newOffice(t, sandbox.PagerDutyConfig{})
	o.unlinked = []router.Place{place42("", 0)}
	o.pass(t, 3*time.Minute)
	// three times also what was made lately
	if diff := cmp.Diff(map[string]int{"GET /incidents": 7}, o.asked()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	o.start(t)
	o.pass(t, 4*time.Second)
	if got := o.asked()["GET /incidents"]; got != 8 {
		t.Errorf("after a restart asked %d times, want 8", got)
	}
}

func TestThePageIsFound(t *testing.T) {
	t.Parallel()
	second := place42("", 0)
	second.Notifier, second.Credential = "second-line", otherKey
	tests := []struct {
		name    string
		account sandbox.PagerDutyConfig
		pages   [][2]string // routing key, key
		do      func(p *sandbox.PagerDuty) error
		places  []router.Place
		want    []string
	}{
		{name: "by its key", pages: [][2]string{{routingKey, incident43}, {routingKey, incident42}},
			places: []router.Place{place42("", 0)},
			want:   []string{"LINK INC-42 oncall Q0000002 #2"}},
		{name: "by the key of its alert", account: sandbox.PagerDutyConfig{NoKeys: true},
			pages:  [][2]string{{routingKey, incident43}, {routingKey, incident42}},
			places: []router.Place{place42("", 0)}, want: []string{"LINK INC-42 oncall Q0000002 #2"}},
		{name: "in what it was merged into", pages: [][2]string{{routingKey, incident43}, {routingKey, incident42}},
			do:     func(p *sandbox.PagerDuty) error { return p.Merge(2, 1, "ben") },
			places: []router.Place{place42("", 0)}, want: []string{"LINK INC-42 oncall Q0000001 #1"}},
		{name: "by its service, where the key is that of another notifier too",
			pages:  [][2]string{{otherKey, incident42}, {routingKey, incident42}},
			places: []router.Place{place42("", 0), second}, want: []string{"LINK INC-42 oncall Q0000002 #2",
				"LINK INC-42 second-line Q0000001 #1"}},
		{name: "not by what it was called before it opened anew", pages: [][2]string{{routingKey, incident42}},
			places: []router.Place{place42("Q0000009", 9)}},
		{name: "by a newer name", pages: [][2]string{{routingKey, incident43}, {routingKey, incident42}},
			places: []router.Place{place42("Q0000001", 1)},
			want:   []string{"LINK INC-42 oncall Q0000002 #2"}},
		{name: "not once it is resolved", pages: [][2]string{{routingKey, incident42}},
			do:     func(p *sandbox.PagerDuty) error { return p.Resolve(1, "ben") },
			places: []router.Place{place42("", 0)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := newOffice(t, test.account)
			for _, page := range test.pages {
				o.page(t, page[0], page[1])
			}
			if test.do != nil {
				if err := test.do(o.PagerDuty); err != nil {
					t.Fatal(err)
				}
			}
			o.unlinked, o.places = test.places, test.places
			o.pass(t, 8*time.Second)
			got := o.acts()
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("journal (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatWasSaidOfAnIncidentIsPlacedByItsAlerts(t *testing.T) {
	t.Parallel()
	o := newOffice(t, sandbox.PagerDutyConfig{NoKeys: true})
	o.page(t, routingKey, "somebody else's")
	o.page(t, routingKey, incident42)
	o.page(t, routingKey, incident43)
	if err := o.Merge(3, 1, "ben"); err != nil {
		t.Fatal(err)
	}
	hooks := newHooks(t, o.desk, pagerduty.WebhookConfig{Lookups: true})
	say := func(id, kind, about string, more map[string]any) {
		t.Helper()
		data := map[string]any{"id": about, "incident_key": nil}
		for key, value := range more {
			data[key] = value
		}
		body := hook(id, kind, "ben", data)
		if code := send(hooks, body, sign(body)); code != http.StatusAccepted {
			t.Fatalf("answered %d", code)
		}
	}
	say("1", "incident.acknowledged", "Q0000002", nil)
	say("2", "incident.resolved", "Q0000003",
		map[string]any{"resolve_reason": map[string]any{"type": "merge_resolve_reason",
			"incident": map[string]any{"id": "Q0000001"}}})
	say("3", "incident.resolved", "Q9999999", nil) // PagerDuty has none such
	o.places = []router.Place{place43("", 0), place42("", 0)}
	o.Fail(sandbox.Fault{Method: "GET /incidents/{id}/alerts", Times: 1, Status: http.StatusInternalServerError})
	o.pass(t, 2*time.Second)
	want := []string{"LINK INC-43 oncall Q0000001 #1", "LINK INC-42 oncall Q0000002 #2",
		"ACKNOWLEDGE INC-42 oncall by ben with dora"}
	if diff := cmp.Diff(want, o.acts()); diff != "" || len(o.postponed) != 0 {
		t.Errorf("postponed %+v; journal (-want +got):\n%s", o.postponed, diff)
	}
}

func TestBehindWhatWasPlacedTheNextIsLookedForAtOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t, sandbox.PagerDutyConfig{})
	o.page(t, routingKey, incident42)
	o.places = []router.Place{place42("", 0)}
	o.postponed = []router.Postponed{{ID: 1, About: "Q0000001", Digest: "pagerduty/1",
		Events: []router.Event{{Name: router.Acknowledge, Act: &router.Act{Actor: "ben"}}}}}
	for _, want := range []bool{true, false} {
		if more, err := o.linker.Round(t.Context()); more != want || err != nil {
			t.Errorf("with %d acts in the journal: more is %v, want %v; %v", len(o.journal), more, want, err)
		}
	}
}

func TestWhatCannotBeLookedUpIsLetGoInTheEnd(t *testing.T) {
	t.Parallel()
	o := newOffice(t, sandbox.PagerDutyConfig{})
	o.postponed = []router.Postponed{{ID: 1, About: "Q1", Digest: "pagerduty/1",
		Events: []router.Event{{Name: router.Resolve, Act: &router.Act{}}}}}
	o.Fail(sandbox.Fault{Status: http.StatusBadGateway})
	o.pass(t, 17*time.Second)
	if len(o.postponed) != 1 || o.postponed[0].Attempts != 17 {
		t.Errorf("after 17 attempts: %+v", o.postponed)
	}
	o.pass(t, time.Second)
	if len(o.postponed) != 0 || len(o.journal) != 0 || !strings.Contains(o.log.String(), "502 Bad Gateway") {
		t.Errorf("after 18 attempts: %+v; %s", o.postponed, &o.log)
	}
}

func TestWhatAProxyAnswersForPagerDutyLosesNothingThatWasSaid(t *testing.T) {
	t.Parallel()
	for _, proxy := range sandbox.ProxyFaults() {
		t.Run(proxy.Name, func(t *testing.T) {
			o := newOffice(t, sandbox.PagerDutyConfig{})
			o.page(t, routingKey, incident42)
			hooks := newHooks(t, o.desk, pagerduty.WebhookConfig{Lookups: true})
			body := hook("1", "incident.acknowledged", "ben", map[string]any{"id": "Q0000001", "incident_key": nil})
			if code := send(hooks, body, sign(body)); code != http.StatusAccepted {
				t.Fatalf("answered %d", code)
			}
			o.places = []router.Place{place42("", 0)}
			o.Fail(proxy.Fault)
			o.pass(t, 10*time.Second)
			if len(o.postponed) != 1 || strings.Contains(o.log.String(), "level=ERROR") {
				t.Fatalf("postponed %+v; log: %s", o.postponed, &o.log)
			}
			o.ClearFaults()
			o.pass(t, 2*time.Minute)
			if diff := cmp.Diff([]string{"LINK INC-42 oncall Q0000001 #1", "ACKNOWLEDGE INC-42 oncall by ben with dora"},
				o.acts()); diff != "" || len(o.postponed) != 0 {
				t.Errorf("postponed %+v; journal (-want +got):\n%s", o.postponed, diff)
			}
		})
	}
}

func TestPagerDutyIsLeftAloneWhenItAsksForThat(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault sandbox.Fault
		quiet time.Duration // so long nothing is asked
		says  string
	}{
		{"too many calls", sandbox.Fault{Status: 429}, 59 * time.Second, ""},
		{"too many calls, with a time", sandbox.Fault{Status: 429, RetryAfter: 20 * time.Second}, 19 * time.Second, ""},
		{"too many calls, with a day", sandbox.Fault{Status: 429, RetryWords: "86400"}, 4 * time.Minute, ""},
		{"a proxy answers 401", sandbox.Fault{Status: 401}, 59 * time.Second, ""},
		{"a proxy answers 403", sandbox.Fault{Status: 403}, 59 * time.Second, ""},
		{"a proxy answers 404", sandbox.Fault{Status: 404}, 59 * time.Second, ""},
		{"a token that is not taken", sandbox.Fault{Status: 401, Body: `{"error":{"message":"no such token ` + apiToken +
			`","errors":"odd"}}`}, 4 * time.Minute, "PagerDuty does not take PAGERDUTY_API_TOKEN"},
		{"a token that may not read", sandbox.Fault{Status: 403, Body: `{"error":{"message":"Access Denied","code":2010}}`},
			4 * time.Minute, "PagerDuty does not take PAGERDUTY_API_TOKEN"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := newOffice(t, sandbox.PagerDutyConfig{})
			o.page(t, routingKey, incident42)
			o.unlinked = []router.Place{place42("", 0)}
			test.fault.Times = 2
			o.Fail(test.fault)
			o.pass(t, 3*time.Second)
			if got := o.asked()["GET /incidents"]; got != 1 {
				t.Fatalf("asked %d times", got)
			}
			o.pass(t, test.quiet)
			if got := o.asked()["GET /incidents"]; got != 1 {
				t.Errorf("asked %d times within %s", got, test.quiet)
			}
			o.pass(t, 11*time.Minute)
			if diff := cmp.Diff([]string{"LINK INC-42 oncall Q0000001 #1"}, o.acts()); diff != "" {
				t.Errorf("journal (-want +got):\n%s", diff)
			}
			if got := strings.Count(o.log.String(), "level=ERROR"); test.says == "" && got != 0 || test.says != "" &&
				(got != 1 || !strings.Contains(o.log.String(), test.says)) {
				t.Errorf("log: %s", &o.log)
			}
			sandbox.AssertNoSecret(t, []string{apiToken}, o.log.String())
		})
	}
}

// TestACallThatIsHeldBackIsNoLookUp has more calls put off than a page is looked up.
func TestACallThatIsHeldBackIsNoLookUp(t *testing.T) {
	t.Parallel()
	o := newOffice(t, sandbox.PagerDutyConfig{})
	o.page(t, routingKey, incident42)
	o.unlinked = []router.Place{place42("", 0)}
	o.places = o.unlinked
	o.Fail(sandbox.Fault{Status: 429, RetryAfter: time.Minute, Times: 8})
	o.pass(t, 12*time.Minute)
	if diff := cmp.Diff([]string{"LINK INC-42 oncall Q0000001 #1"}, o.acts()); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
}

func TestOddAnswersOfTheRESTAPINameNothing(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"{}", `{"incidents":[{}]}`, `{"incidents":[{"id":"../users","incident_number":3}]}`,
		"<html>hello</html>", "[]", `{"incidents":3}`} {
		o := newOffice(t, sandbox.PagerDutyConfig{})
		o.unlinked = []router.Place{place42("", 0)}
		o.Fail(sandbox.Fault{Body: body})
		o.pass(t, 4*time.Second)
		if len(o.journal) != 0 || o.asked()["GET /incidents"] != 1 {
			t.Errorf("%s: journal %v, asked %v", body, o.acts(), o.asked())
		}
	}
}

func TestALinkerEndsWithItsContext(t *testing.T) {
	t.Parallel()
	o := newOffice(t, sandbox.PagerDutyConfig{})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		o.linker.Run(ctx)
		close(ended)
	}()
	stop()
	<-ended
}

func TestALinkerNeedsATokenAndAnAddress(t *testing.T) {
	t.Parallel()
	for _, cfg := range []pagerduty.LinkerConfig{{}, {Token: "t", APIURL: "api.pagerduty.com"},
		{Token: "t", APIURL: "https://user:word@example.com"}} {
		if _, err := pagerduty.NewLinker(cfg, &desk{}); err == nil || strings.Contains(err.Error(), "word") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
