package slack

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

const (
	signingSecret = "signing-secret-of-the-test"
	appToken      = "xapp-secret-of-the-test"
)

// ledger is a Journal that holds what a test puts in it and can be told to fail. The real one is in the stories of
// cmd/flowbridge: no room of the router may be imported here.
type ledger struct {
	mu        sync.Mutex
	incidents map[int64]router.IncidentDetail
	events    []router.Event
	audit     []router.AuditEntry
	refuse    error                    // of Append
	hang      bool                     // Append and Incident wait until they are given up
	appended  func(*ledger, time.Time) // after an act was stored, with its time
	looked    func()                   // when an incident is read
}

func (l *ledger) wait(ctx context.Context) error {
	l.mu.Lock()
	hang := l.hang
	l.mu.Unlock()
	if hang {
		<-ctx.Done()
	}
	return ctx.Err()
}

func (l *ledger) Append(ctx context.Context, events []router.Event) (int, error) {
	if err := l.wait(ctx); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		return 0, l.refuse
	}
	stored := 0
	for _, e := range events {
		if !slices.ContainsFunc(l.events, func(old router.Event) bool { return old.Digest == e.Digest }) {
			l.events = append(l.events, e)
			stored++
			if l.appended != nil {
				l.appended(l, e.At)
			}
		}
	}
	return stored, nil
}

func (l *ledger) Audit(_ context.Context, entries ...router.AuditEntry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.audit = append(l.audit, entries...)
	return nil
}

func (l *ledger) Incident(ctx context.Context, number int64) (router.IncidentDetail, error) {
	if err := l.wait(ctx); err != nil {
		return router.IncidentDetail{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.looked != nil {
		l.looked()
	}
	inc, ok := l.incidents[number]
	if !ok {
		return inc, router.ErrNotFound
	}
	return inc, nil
}

func (l *ledger) Incidents(ctx context.Context, f router.IncidentFilter) (list []router.IncidentDetail, err error) {
	if err := l.wait(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for number := int64(1000); number > 0 && len(list) < f.Limit; number-- {
		if inc, ok := l.incidents[number]; ok && inc.State == f.State {
			list = append(list, inc)
		}
	}
	return list, nil
}

// set puts an incident into the ledger as its card shows it.
func (l *ledger) set(n router.Notification, receipt router.Receipt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.incidents[n.Incident.Number] = router.IncidentDetail{
		Incident: *n.Incident, Alerts: n.Alerts, Timeline: n.Timeline,
		Deliveries: []router.Delivery{
			{ID: n.Delivery, Incident: n.Incident.Number, Notifier: "payments-chat", Kind: router.KindSlack, Receipt: receipt},
			{ID: 99, Incident: n.Incident.Number, Notifier: "payments-oncall", Kind: router.KindPagerDuty,
				State: router.DeliveryParked, LastError: "PagerDuty refused: <key>"},
		},
	}
}

func (l *ledger) stored() []router.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

// desk is a Receiver over real HTTP, with a stand-in Slack in which a card can be pressed.
type desk struct {
	*world
	ledger   *ledger
	receiver *Receiver
	address  string
	receipt  router.Receipt
	allow    []string
	renamed  string // what the rules call the notifier by now
	handlers http.Handler
	stopped  func()
}

func newDesk(t *testing.T, change ...func(*sandbox.SlackConfig, *ReceiverConfig)) *desk {
	t.Helper()
	return newDeskWith(t, func(*Receiver) {}, change...)
}

// newDeskWith changes the receiver before it runs. Nothing is too slow there for Slack, or Slack for it: where a test
// is about that, it says so.
func newDeskWith(t *testing.T, tune func(*Receiver), change ...func(*sandbox.SlackConfig, *ReceiverConfig)) *desk {
	t.Helper()
	d := &desk{ledger: &ledger{incidents: map[int64]router.IncidentDetail{}}}
	cfg := ReceiverConfig{Token: token, SigningSecret: signingSecret}
	d.world = newWorld(t, func(there *sandbox.SlackConfig, here *Config) {
		there.SigningSecret, there.AppToken, there.Patience = signingSecret, appToken, 2*time.Minute
		there.People = map[string]string{"U0SAM": "Sam Lee", "U0EVE": "Eve"}
		there.Groups = map[string][]string{"S0ONCALL": {"U0SAM"}}
		here.Interactive = true
		for _, c := range change {
			c(there, &cfg)
		}
	})
	cfg.APIURL, cfg.Now = d.notifier.cfg.APIURL, d.clock
	cfg.Logger = slog.New(slog.NewTextHandler(&d.log, nil))
	cfg.Allow = func(notifier string) []string {
		if notifier != cmp.Or(d.renamed, "payments-chat") {
			t.Errorf("asked who may act on %q", notifier)
		}
		return d.allow
	}
	cfg.Notifiers = func() []string { return []string{cmp.Or(d.renamed, "payments-chat")} }
	var err error
	if d.receiver, err = NewReceiver(cfg, d.ledger); err != nil {
		t.Fatal(err)
	}
	d.receiver.followFirst, d.receiver.socketFirst = time.Millisecond, 10*time.Millisecond
	d.receiver.answerIn, d.receiver.people.lookIn = time.Minute, time.Minute
	tune(d.receiver)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /slack/actions", d.receiver.Actions)
	mux.HandleFunc("POST /slack/commands", d.receiver.Commands)
	server := httptest.NewServer(mux)
	d.address, d.handlers = server.URL, mux
	d.slack.Connect(server.URL+"/slack/actions", server.URL+"/slack/commands")

	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.receiver.Run(ctx) }()
	d.stopped = sync.OnceFunc(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		server.Close()
	})
	t.Cleanup(func() {
		d.stopped()
		sandbox.AssertNoSecret(t, []string{signingSecret, appToken, token}, d.log.String())
	})
	return d
}

// card shows a notification in the channel and in the ledger.
func (d *desk) card(n router.Notification) {
	d.t.Helper()
	d.receipt = d.sync(after(d.receipt, 1, n))
	d.ledger.set(n, d.receipt)
}

func (d *desk) press(p sandbox.Press) sandbox.Sent {
	d.t.Helper()
	sent, err := d.slack.Press(d.t.Context(), "#payments", ownOf(d.receipt).TS, p)
	if err != nil {
		d.t.Fatal(err)
	}
	return sent
}

func (d *desk) write(text string) string {
	d.t.Helper()
	sent, err := d.slack.Write(d.t.Context(), sandbox.Command{Text: text, User: "U0SAM"})
	if err != nil || sent.Status != http.StatusOK {
		d.t.Fatalf("/flows %s: %+v %v", text, sent, err)
	}
	return sent.Text()
}

// told waits until somebody was told so many things, and returns the last.
func (d *desk) told(n int) sandbox.Ephemeral {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 2*time.Minute)
	defer cancel()
	if err := d.slack.Wait(ctx, func() bool { return len(d.slack.Told()) >= n }); err != nil {
		d.t.Fatalf("told %v, want %d\n%s", d.slack.Told(), n, &d.log)
	}
	return d.slack.Told()[n-1]
}

// over waits until nothing is left to be told, and asserts how much was.
func (d *desk) over(told int) {
	d.t.Helper()
	d.stopped()
	if got := d.slack.Told(); len(got) != told {
		d.t.Errorf("told %v, want %d", got, told)
	}
}
