package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/notifiers"
	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

const (
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	other  = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
)

var began = time.Date(2026, 3, 14, 3, 0, 0, 0, time.UTC)

// bench is a Notifier that speaks to a stand-in receiver, at a time that is moved.
type bench struct {
	*sandbox.WebhookReceiver
	*Notifier
	url string

	mu  sync.Mutex
	now time.Time // the receiver looks at it, too
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func newBench(t *testing.T, secretsNow ...router.Secret) *bench {
	t.Helper()
	b := &bench{now: began.Add(time.Hour)}
	b.WebhookReceiver = sandbox.NewWebhookReceiver(sandbox.WebhookConfig{Secret: secret, Now: b.clock})
	server := httptest.NewServer(b.WebhookReceiver)
	t.Cleanup(func() {
		b.ClearFaults()
		server.Close()
	})
	b.url = server.URL + "/flows?token=hunter2-in-the-url"
	b.Notifier = New(Config{Now: b.clock, Timeout: 2 * time.Minute,
		SecretsNow: func(string) []router.Secret { return secretsNow }})
	return b
}

func (b *bench) failing() router.Notification {
	value := 14.28
	return router.Notification{
		Delivery: 7, Revision: 1, Attempt: 1, Open: true, Opening: 1, Severity: router.Error,
		Key:    "flowbridge/501/77/ENDPOINT_ERROR_RATE",
		Target: router.Target{Notifier: "desk", Kind: router.KindWebhook, Address: b.url, Credential: secret},
		Incident: &router.Incident{Number: 42, WABA: "501", Flow: "77", Event: router.EndpointErrorRate,
			FlowInfo: router.FlowInfo{FlowName: "Checkout"},
			State:    router.IncidentOpen, Severity: router.Error, Peak: router.Error, Rule: "r", OpenedAt: began, Entries: 1},
		Alerts: []router.Alert{{Event: router.EndpointErrorRate, Level: "10", Active: true, Raised: began, Since: began,
			Severity: router.Error,
			Incident: 42, Reading: router.Reading{Value: &value}}},
	}
}

// next is n as the queue hands it out once more was owed after an attempt that ended with r.
func next(n router.Notification, r router.Receipt, change func(*router.Notification)) router.Notification {
	inc, alerts := *n.Incident, append([]router.Alert{}, n.Alerts...)
	n.Incident, n.Alerts, n.Timeline = &inc, alerts, nil
	n.Receipt, n.MayExist, n.Attempt = r, true, 1
	n.Revision++
	change(&n)
	return n
}

func (b *bench) sync(t *testing.T, n router.Notification) router.Receipt {
	t.Helper()
	r, err := b.Sync(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (b *bench) types() (types []string) {
	for _, m := range b.Messages() {
		types = append(types, m.Type)
	}
	return types
}

// TestASignatureIsThatOfStandardWebhooks holds the example that the project's own libraries are tested with.
func TestASignatureIsThatOfStandardWebhooks(t *testing.T) {
	t.Parallel()
	n := router.Notification{Target: router.Target{Credential: secret}}
	got := New(Config{}).sign(&n, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAnIncidentIsToldFromItsBeginningToItsEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	n := b.failing()
	r := b.sync(t, n)
	same := next(n, r, func(*router.Notification) {})
	r = b.sync(t, same) // nothing is new: nobody is told
	n = next(same, r, func(n *router.Notification) { v := 20.0; n.Alerts[0].Value = &v })
	r = b.sync(t, n)
	n = next(n, r, func(n *router.Notification) {
		n.Incident.State, n.Incident.AcknowledgedAt, n.Incident.AcknowledgedBy = router.IncidentAcknowledged,
			began.Add(time.Minute), "ana"
	})
	r = b.sync(t, n)
	n = next(n, r, func(n *router.Notification) { n.Incident.State = router.IncidentOpen })
	r = b.sync(t, n)
	n = next(n, r, func(n *router.Notification) {
		n.Open, n.Incident.State, n.Incident.ResolvedAt, n.Alerts[0].Active = false, router.IncidentResolved,
			began.Add(2*time.Minute), false
	})
	r = b.sync(t, n)
	n = next(n, r, func(n *router.Notification) { n.Incident.Owner = "bo" })
	r = b.sync(t, n)
	n = next(n, r, func(n *router.Notification) { n.Open, n.Opening, n.Incident.State = true, 2, router.IncidentOpen })
	r = b.sync(t, n)
	want := []string{incidentOpened, incidentUpdated, incidentAcknowledged, incidentUpdated, incidentResolved,
		incidentUpdated, incidentOpened}
	if diff := cmp.Diff(want, b.types()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	var m struct {
		Type      string
		Timestamp time.Time
		Data      struct {
			Notifier, Severity string
			Incident           struct {
				Number                    int64
				State                     string
				Open                      bool
				AcknowledgedBy, FlowName  string
				Alerts                    []struct{ Threshold, Value float64 }
				AcknowledgedAt, OpenedAt1 *time.Time `json:",omitempty"`
			}
		}
	}
	if err := json.Unmarshal(b.Messages()[2].Body, &m); err != nil {
		t.Fatal(err)
	}
	inc := m.Data.Incident
	if !m.Timestamp.Equal(began.Add(time.Minute)) || m.Data.Notifier != "desk" || m.Data.Severity != "error" ||
		inc.Number != 42 || inc.State != "acknowledged" ||
		!inc.Open || len(inc.Alerts) != 1 || inc.Alerts[0].Threshold != 10 || inc.Alerts[0].Value != 20 {
		t.Errorf("the acknowledgement says %s", b.Messages()[2].Body)
	}
	if !r.Open || r.Opening != 2 || r.Acknowledged || r.Own == "" {
		t.Errorf("receipt %+v", r)
	}
}

// TestAReminderIsToldOnceToWhomItIsFor: pages that are made anew, and what the service calls them, are no news for a
// receiver.
func TestAReminderIsToldOnceToWhomItIsFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		remind time.Duration
		want   []string
	}{
		{"a receiver that the rules remind", 30 * time.Minute, []string{incidentOpened, incidentUpdated}},
		{"one that they do not", 0, []string{incidentOpened}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			n := b.failing()
			n.Alerts[0].Routes = []router.AlertRoute{{Notifier: "desk", Remind: tt.remind},
				{Notifier: "oncall", Remind: 30 * time.Minute}}
			n.Incident.Pageable = []string{"oncall"}
			n.Incident.Watch = []router.Watch{{Notifier: "desk", Open: true}, {Notifier: "oncall", Open: true, Opening: 1,
				Since: began}}
			r := b.sync(t, n)
			n = next(n, r, func(n *router.Notification) { // both are due: the receiver is told, and a page is made anew
				n.Incident.Watch = []router.Watch{{Notifier: "desk", Open: true, Reminders: 1},
					{Notifier: "oncall", Open: true, Opening: 2, Since: began.Add(30 * time.Minute)}}
			})
			r = b.sync(t, n)
			n = next(n, r, func(n *router.Notification) { // the service says what it calls the new page
				n.Incident.Links = []router.Link{{Notifier: "oncall", ID: "P2", Number: 9, URL: "https://pages.example.com/P2"}}
			})
			b.sync(t, n)
			if diff := cmp.Diff(tt.want, b.types()); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			for i, m := range b.Messages() {
				var said struct {
					Data struct{ Incident struct{ Reminders int } }
				}
				if err := json.Unmarshal(m.Body, &said); err != nil || said.Data.Incident.Reminders != i {
					t.Errorf("message %d says %d reminders: %v", i, said.Data.Incident.Reminders, err)
				}
			}
		})
	}
}

func TestAPageThatCouldNotBeMadeIsNews(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	n := b.failing()
	n.Incident.Pageable, n.Incident.Watch = []string{"oncall"}, []router.Watch{{Notifier: "oncall", Open: true}}
	r := b.sync(t, n)
	n = next(n, r, func(n *router.Notification) { n.Problems = []router.Problem{{Notifier: "oncall", Error: "503"}} })
	r = b.sync(t, n)
	b.sync(t, next(n, r, func(n *router.Notification) { n.Problems = nil }))
	var states []string
	for _, m := range b.Messages() {
		var said struct {
			Data struct{ Incident struct{ Pages []page } }
		}
		if err := json.Unmarshal(m.Body, &said); err != nil || len(said.Data.Incident.Pages) != 1 {
			t.Fatal(err, string(m.Body))
		}
		states = append(states, said.Data.Incident.Pages[0].State)
	}
	if diff := cmp.Diff([]string{"paged", "failed", "paged"}, states); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAMessageSaysWhatItIsAboutAndWhoIsPaged(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	n := b.failing()
	n.Incident.Event, n.Incident.Flow = "ACCOUNT_BAN", "account:"
	n.Incident.FlowInfo = router.FlowInfo{AccountName: "Main"}
	n.Incident.Subject, n.Incident.Change = router.Subject{Kind: router.SubjectAccount, Name: "Main"}, "DISABLE"
	n.Incident.Facts = []router.Fact{{Name: "Reason", Text: "spam"}}
	n.Alerts[0].Event, n.Alerts[0].Routes = "ACCOUNT_BAN",
		[]router.AlertRoute{{Notifier: "oncall", Due: began.Add(5 * time.Minute), UnlessAcknowledged: true}}
	n.Incident.Pageable, n.Incident.Watch = []string{"oncall"}, []router.Watch{{Notifier: "oncall"}}
	b.sync(t, n)
	var said struct {
		Data struct {
			Incident struct {
				AccountName string `json:"account_name"`
				FlowID      string `json:"flow_id"`
				Change      string
				Subject     subject
				Facts       []router.Fact
				Pages       []page
			}
		}
	}
	if err := json.Unmarshal(b.Messages()[0].Body, &said); err != nil {
		t.Fatal(err)
	}
	got := said.Data.Incident
	due := began.Add(5 * time.Minute)
	if diff := cmp.Diff([]any{"Main", "", "DISABLE", subject{"account", "501", "Main"}, n.Incident.Facts,
		[]page{{Notifier: "oncall", State: "waiting", At: &due, UnlessAcknowledged: true}}},
		[]any{got.AccountName, got.FlowID, got.Change, got.Subject, got.Facts, got.Pages}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatIsOverBeforeItWasToldIsToldOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	n := b.failing()
	n.Open, n.Incident.State, n.Incident.ResolvedAt = false, router.IncidentResolved, began.Add(time.Minute)
	b.sync(t, n)
	if diff := cmp.Diff([]string{incidentResolved}, b.types()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

func TestANoticeIsToldOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	n := b.failing()
	n.Incident, n.Open, n.Notice = nil, false, &router.Notice{Event: 9, At: began, Name: router.FlowStatusChange,
		NewStatus: router.Published, Severity: router.Info, Rule: "r"}
	r := b.sync(t, n)
	n.Receipt, n.MayExist = r, true
	b.sync(t, n)
	if got := b.Messages(); len(got) != 1 || got[0].Type != noticeType || got[0].Repeats != 0 {
		t.Errorf("told %+v", got)
	}
	n.Notice, n.Receipt = &router.Notice{Recovery: "key"}, router.Receipt{}
	if r := b.sync(t, n); r != (router.Receipt{}) || len(b.Messages()) != 1 {
		t.Errorf("the end of what nobody knows is told: %+v", r)
	}
}

func TestALostAnswerIsRepeatedUnderTheSameID(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]sandbox.Fault{
		"a connection that was cut": {EOF: true, AfterAccept: true, Times: 1},
		"502 of a proxy":            {Status: 502, AfterAccept: true, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			n := b.failing()
			b.Fail(fault)
			r, err := b.Sync(t.Context(), n)
			if err == nil || !r.Unsure {
				t.Fatalf("receipt %+v, %v", r, err)
			}
			n.Receipt, n.MayExist, n.Attempt = r, true, 2
			b.pass(time.Minute)
			b.sync(t, n)
			if got := b.Messages(); len(got) != 1 || got[0].Repeats != 1 {
				t.Errorf("told %+v", got)
			}
			n.Revision, n.Receipt, n.Attempt = 2, router.Receipt{}, 2 // a crash, and more was owed meanwhile
			b.sync(t, n)
			if got := len(b.Messages()); got != 2 {
				t.Errorf("%d messages, want a new one for another revision", got)
			}
		})
	}
}

func TestASecretIsReplacedWhileIncidentsAreOpen(t *testing.T) {
	t.Parallel()
	b := newBench(t, secret)
	n := b.failing()
	n.Target.Credential = other // pinned before the receiver was given another
	b.sync(t, n)
	if got := len(b.Messages()); got != 1 {
		t.Errorf("%d messages", got)
	}
}

func TestAnswersSayWhatHappensNext(t *testing.T) {
	t.Parallel()
	const parked, later, retried = "parked", "later", "retried"
	for _, test := range []struct {
		name    string
		fault   sandbox.Fault
		failing time.Duration // for how long it fails already
		outcome string
		may     bool
		wait    time.Duration
		text    string
	}{
		{name: "410", fault: sandbox.Fault{Status: 410}, outcome: parked,
			text: "the webhook receiver refused: 410 Gone (the receiver wants no more messages"},
		{name: "401", fault: sandbox.Fault{Status: 401}, outcome: retried,
			text: "the webhook receiver answered 401 Unauthorized"},
		{name: "404 for an hour", fault: sandbox.Fault{Status: 404}, failing: time.Hour, outcome: retried},
		{name: "404 for three hours", fault: sandbox.Fault{Status: 404}, failing: 3 * time.Hour, outcome: parked,
			text: "404 Not Found for 3 h"},
		{name: "500 for a day", fault: sandbox.Fault{Status: 500}, failing: 24 * time.Hour, outcome: retried, may: true},
		{name: "a redirect", fault: sandbox.Fault{Status: 307, Location: "https://example.com/"}, outcome: retried,
			text: "redirects are not followed"},
		{name: "408", fault: sandbox.Fault{Status: 408}, outcome: retried, may: true},
		{name: "429", fault: sandbox.Fault{Status: 429}, outcome: later, wait: time.Minute},
		{name: "429 with Retry-After", fault: sandbox.Fault{Status: 429, RetryAfter: 17 * time.Second}, outcome: later,
			wait: 17 * time.Second},
		{name: "429 with a day", fault: sandbox.Fault{Status: 429, RetryWords: "86400"}, outcome: later,
			wait: 5 * time.Minute},
		{name: "503 with Retry-After", fault: sandbox.Fault{Status: 503, RetryAfter: 2 * time.Minute}, outcome: later,
			may: true, wait: 2 * time.Minute},
		{name: "a cut connection", fault: sandbox.Fault{EOF: true}, outcome: retried, may: true,
			text: "the webhook receiver did not answer: EOF"},
		{name: "no answer", fault: sandbox.Fault{Hang: true}, outcome: retried, may: true, text: "did not answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.fault.Hang && testing.Short() {
				t.Skip("waits for the time-out")
			}
			t.Parallel()
			b := newBench(t)
			if test.fault.Hang {
				b.Notifier = New(Config{Now: b.clock, Timeout: 2 * time.Second})
			}
			b.Fail(test.fault)
			n := b.failing()
			if test.failing > 0 {
				n.FailingSince = b.clock().Add(-test.failing)
			}
			r, err := b.Sync(t.Context(), n)
			var refused *notifiers.Refused
			var notBefore *notifiers.Later
			got := retried
			switch {
			case err == nil:
				t.Fatal("no error")
			case errors.As(err, &refused):
				got = parked
			case errors.As(err, &notBefore):
				got = later
				if !notBefore.NotBefore().Equal(b.clock().Add(test.wait)) {
					t.Errorf("tried again at %s", notBefore.NotBefore())
				}
			}
			if got != test.outcome || (r != router.Receipt{}) != test.may || !strings.Contains(err.Error(), test.text) {
				t.Errorf("%s, receipt %+v, %v", got, r, err)
			}
			sandbox.AssertNoSecret(t, []string{secret, strings.TrimPrefix(secret, "whsec_"), "hunter2"}, err.Error(),
				fmt.Sprintf("%+v %#v", r, r))
		})
	}
}

func TestFaultsOfTheNetworkHideTheAddress(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, address := range []string{"https://127.0.0.1:1/hunter2", "https://hunter2:x y/",
		strings.Replace(b.url, "http:", "https:", 1), "http://[hunter2"} {
		n := b.failing()
		n.Target.Address = address
		r, err := b.Sync(t.Context(), n)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: receipt %+v, %v", address, r, err)
		}
	}
	n := b.failing()
	n.Target.Credential = ""
	if _, err := b.Sync(t.Context(), n); err == nil || len(b.Calls()) != 0 {
		t.Errorf("a message without a signature is sent: %v", err)
	}
}

func TestAnAnswerIsBounded(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 2*notifiers.MaxAnswerHeader))
	}))
	defer server.Close()
	b := newBench(t)
	n := b.failing()
	n.Target.Address = server.URL
	if _, err := b.Sync(t.Context(), n); err == nil {
		t.Error("a header of any size is taken")
	}
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	n.Target.Address = endless.URL
	if _, err := b.Sync(t.Context(), n); err != nil {
		t.Errorf("it was taken, and its answer has no end: %v", err)
	}
}

// TestWhoNeverEndsAnAnswerIsNotWaitedFor holds that the status counts once it is there: what follows would hold up
// whatever else the receiver is owed.
func TestWhoNeverEndsAnAnswerIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	for status, taken := range map[int]bool{http.StatusOK: true, http.StatusBadGateway: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}))
		b := newBench(t)
		b.Notifier = New(Config{Now: b.clock, Timeout: time.Hour})
		n := b.failing()
		n.Target.Address = server.URL
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		r, err := b.Sync(ctx, n)
		if ctx.Err() != nil || (err == nil) != taken || taken != (r.Told == 1) {
			t.Errorf("%d: %v, receipt %+v; %v", status, err, r, ctx.Err())
		}
		cancel()
		server.Close()
	}
}

func TestAMessageOfAnySizeIsSmall(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	n := b.failing()
	long := strings.Repeat("ä", 100_000)
	n.Incident.Title, n.Incident.Text, n.Incident.FlowName = long, long, long
	for range 500 {
		n.Alerts = append(n.Alerts, n.Alerts[0])
		n.Incident.Fields = append(n.Incident.Fields, router.Field{Name: "x", Value: "y"})
	}
	b.sync(t, n)
	if size := len(b.Messages()[0].Body); size > 20_000 {
		t.Errorf("%d bytes", size)
	}
}
