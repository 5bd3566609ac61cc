package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
	"flowbridge/router/rules"
	databases "flowbridge/router/store/storetest"
	"flowbridge/router/whatsapp"
)

const flowWatchRules = `version: 1
flows: {"78": {name: Refunds}}
unheard_after: {ENDPOINT_ERROR_RATE: 1h}
notifiers:
  chat: {kind: slack, channel: "#ops"}
  page: {kind: pagerduty, routing_key: "%s"}
default: {notify: [chat, page]}
`

// lookedAfter is a whole bridge with a Graph, and a clock that can be pushed. It goes on by itself, as clocks do: what
// waits a few seconds more is told in the end.
type lookedAfter struct {
	t     *testing.T
	graph *sandbox.Graph
	slack *sandbox.Slack
	pager *sandbox.PagerDuty
	urls  [3]string
	db    string
	token router.Secret
	rules string // with a place for the routing key of PagerDuty
	probe probeSettings

	mu     sync.Mutex
	ahead  time.Duration
	public string
	stop   func()
}

func newLookedAfter(t *testing.T, db string, token router.Secret, more ...func(*lookedAfter)) *lookedAfter {
	t.Helper()
	w := &lookedAfter{t: t, db: db, token: token, rules: flowWatchRules}
	for _, set := range more {
		set(w)
	}
	w.graph = sandbox.NewGraph(sandbox.GraphConfig{Token: testGraphToken})
	w.slack = sandbox.NewSlack(sandbox.SlackConfig{Token: testSlackToken, Channels: []string{"#ops"}, Now: w.now})
	w.pager = sandbox.NewPagerDuty(sandbox.PagerDutyConfig{RoutingKeys: []router.Secret{testRoutingKey}, Now: w.now})
	for i, h := range []http.Handler{w.graph, w.slack, w.pager} {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		w.urls[i] = server.URL
	}
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

func (w *lookedAfter) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().UTC().Add(w.ahead)
}

func (w *lookedAfter) push(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead += d
}

func (w *lookedAfter) start() {
	loaded, err := rules.Load("rules.yaml", fmt.Appendf(nil, w.rules, testRoutingKey), rules.Config{})
	must(w.t, err)
	ctx, stop := context.WithCancel(context.Background())
	b, err := newBridge(ctx, bridgeConfig{
		Rules: loaded, DB: w.db, AppSecrets: []router.Secret{testSecret}, VerifyToken: "t", Now: w.now,
		SlackToken: testSlackToken, SlackURL: w.urls[1] + "/api/", PagerDutyURL: w.urls[2], GraphToken: w.token,
		GraphURL: w.urls[0], Probe: w.probe, Logger: slog.New(slog.DiscardHandler), Unbudgeted: func() bool { return true },
	})
	must(w.t, err)
	public, err := net.Listen("tcp", "127.0.0.1:0")
	must(w.t, err)
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	must(w.t, err)
	w.public = "http://" + public.Addr().String() + "/webhooks/whatsapp"
	ended := make(chan error, 1)
	go func() { ended <- b.run(ctx, public, admin) }()
	w.stop = sync.OnceFunc(func() {
		stop()
		must(w.t, <-ended)
	})
}

func (w *lookedAfter) post(body string) {
	w.t.Helper()
	req, err := http.NewRequest(http.MethodPost, w.public, strings.NewReader(body))
	must(w.t, err)
	req.Header.Set("X-Hub-Signature-256", whatsapp.Sign(testSecret, []byte(body)))
	resp, err := http.DefaultClient.Do(req)
	must(w.t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("answered %s", resp.Status)
	}
}

// says waits until the channel says something, on a card or in a thread.
func (w *lookedAfter) says(words string) {
	w.t.Helper()
	defer func() {
		if w.t.Failed() {
			w.t.Logf("it says %s", w.all())
		}
	}()
	eventually(w.t, "Slack says "+words, func() bool { return strings.Contains(w.all(), words) })
}

func (w *lookedAfter) all() (text string) {
	for _, m := range w.slack.Messages("#ops") {
		text += cardText(m) + "\n"
	}
	return text
}

// looks waits until Graph was asked so often how it stands with a flow.
func (w *lookedAfter) looks(id string, n int) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("Graph is asked %d times of flow %s", n, id), func() bool {
		asked := 0
		for _, call := range w.graph.Calls() {
			if call.Action != "" && call.Method == "/"+id && call.Status != 0 {
				asked++
			}
		}
		return asked >= n
	})
}

// TestALostRecoveryIsReadFromGraph plays an alert whose recovery never comes, over a restart, on both databases.
func TestALostRecoveryIsReadFromGraph(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	onBoth(t, func(t *testing.T, db string) {
		w := newLookedAfter(t, db, testGraphToken)
		w.graph.Flow("77", "Checkout", "PUBLISHED")
		w.graph.Flow("78", "Refunds", "PUBLISHED")
		w.graph.Health("77", "PUBLISHED", "https://shop.example.com/flow?key=secret", sandbox.FlowHealth{CanSend: "BLOCKED",
			Error: "The endpoint does not answer.", Solution: "Restart it."})
		w.post(pairPost(w.now().Unix(), "77", "ACTIVATED", 10))
		w.says("10 %")
		w.push(2 * time.Minute)
		w.says("the flow is BLOCKED: The endpoint does not answer.")
		w.says("https://shop.example.com/flow")
		w.push(61 * time.Minute)
		w.says("nothing was heard of it for 1 h 3 min")
		looked := 2
		w.looks("77", looked)

		w.graph.Health("77", "PUBLISHED", "", sandbox.FlowHealth{})
		for range 2 {
			w.push(6 * time.Minute)
			looked++
			w.looks("77", looked)
		}
		w.stop() // looks begin anew with the process: two are no recovery
		w.start()
		for i := range 3 {
			if strings.Contains(w.all(), "Resolved") {
				t.Fatalf("closed after %d looks", i)
			}
			w.push(6 * time.Minute)
			looked++
			w.looks("77", looked)
		}
		w.says("by Meta's health: no webhook came")
		w.says("Closed by Meta's health")
		eventually(t, "PagerDuty hears of the end", func() bool {
			incidents := w.pager.Incidents()
			return len(incidents) == 1 && incidents[0].Status == sandbox.IncidentResolved
		})
		if strings.Contains(w.all(), "key=secret") {
			t.Error("the endpoint is shown with its query")
		}
		w.post(pairPost(w.now().Unix(), "77", "DEACTIVATED", 10)) // the true one, late
		w.post(pairPost(w.now().Unix()+1, "79", "ACTIVATED", 50))
		w.says("50 %")
		eventually(t, "PagerDuty has another incident", func() bool { return len(w.pager.Incidents()) == 2 })
		w.stop()
	})
}

// TestAStatusThatNoWebhookBroughtIsTold has a flow that the rules name blocked and published again, without a word.
func TestAStatusThatNoWebhookBroughtIsTold(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db string) {
		w := newLookedAfter(t, db, testGraphToken)
		w.graph.Flow("78", "Refunds", "BLOCKED")
		w.looks("78", 1)
		w.push(6 * time.Minute)
		w.says("Flow status is BLOCKED")
		eventually(t, "PagerDuty is told", func() bool { return len(w.pager.Incidents()) == 1 })
		w.says("Meta's health: no webhook came")
		w.graph.Flow("78", "Refunds", "PUBLISHED")
		w.push(61 * time.Minute)
		w.looks("78", 3)
		w.push(6 * time.Minute)
		w.says("Closed by Meta's health")
		w.stop()
	})
}

// TestWithoutATokenTheCardSaysThatNothingWasHeard holds that nothing is closed, and nobody paged again.
func TestWithoutATokenTheCardSaysThatNothingWasHeard(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db string) {
		w := newLookedAfter(t, db, "")
		w.post(pairPost(w.now().Unix(), "77", "ACTIVATED", 10))
		w.says("10 %")
		w.push(59 * time.Minute)
		w.post(pairPost(w.now().Unix(), "78", "ACTIVATED", 50))
		w.says("50 %")
		if strings.Contains(w.all(), "nothing was heard") {
			t.Fatal("said too early")
		}
		w.push(2 * time.Minute)
		w.says("nothing was heard of it for 1 h 1 min")
		w.stop()
		w.start()
		w.push(10 * time.Hour)
		w.says("nothing was heard of it for 10 h 2 min") // of the other
		if n := strings.Count(w.all(), "nothing was heard of it"); n != 2 {
			t.Errorf("said %d times: %s", n, w.all())
		}
		if n := len(w.pager.Incidents()); n != 2 || len(w.graph.Calls()) > 0 {
			t.Errorf("PagerDuty has %d incidents; Graph was asked %d times", n, len(w.graph.Calls()))
		}
		w.stop()
	})
}

// onBoth plays a story on SQLite and, where that is installed, on PostgreSQL.
func onBoth(t *testing.T, story func(t *testing.T, db string)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		story(t, databases.File(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		story(t, databases.Shared(t).Database(t))
	})
}

// TestAVersionIsCountedDown plays a warning from the version that Graph names to the flow that was moved to another
// one, with the bridge down over two steps, on both databases.
func TestAVersionIsCountedDown(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	onBoth(t, func(t *testing.T, db string) {
		w := newLookedAfter(t, db, testGraphToken)
		w.graph.Flow("77", "Checkout", "PUBLISHED")
		w.graph.Version("77", "6.3", "3.0")
		body, err := whatsapp.Sample{Event: router.FlowVersionExpiryWarning, WABA: "501", Flow: "77",
			Time: w.now()}.Body()
		must(t, err)
		w.post(string(body))
		w.says("Flow version expiry announced")
		w.push(2 * time.Minute)
		w.says("Flow JSON 6.3, data API 3.0")
		w.says("no date is known")
		eventually(t, "PagerDuty has it as news", func() bool { return len(w.pager.ChangeEvents()) == 1 })

		w.stop() // somebody writes down the date
		w.rules = flowWatchRules + "versions: {\"6.3\": " + w.now().AddDate(0, 0, 10).Format(time.DateOnly) + "}\n"
		w.start()
		w.push(61 * time.Minute)
		w.says("by versions in the rules")
		w.says("within 14 days")
		if n := len(w.pager.Incidents()); n != 0 {
			t.Fatalf("%d pages", n)
		}

		w.stop()
		w.push(8 * 24 * time.Hour)
		w.start()
		w.says("within 3 days")
		eventually(t, "PagerDuty has an incident", func() bool { return len(w.pager.Incidents()) == 1 })
		if strings.Contains(w.all(), "within 7 days") {
			t.Errorf("it is told of a step that had passed:\n%s", w.all())
		}

		w.graph.Version("77", "7.3", "4.0")
		w.push(61 * time.Minute)
		w.says("Flow version expiry called off")
		eventually(t, "PagerDuty hears of the end", func() bool {
			return w.pager.Incidents()[0].Status == sandbox.IncidentResolved
		})
		w.stop()
	})
}
