package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/notifiers/pagerduty"
	"flowbridge/notifiers/sandbox"
	"flowbridge/notifiers/slack"
	"flowbridge/router"
	"flowbridge/router/delivery"
	"flowbridge/router/rules"
	"flowbridge/router/store"
	"flowbridge/router/whatsapp"
)

var (
	seeds     = flag.Int("seeds", usualSeeds, "how many simulations to run: some hundreds in CI, tens of thousands in a night")
	firstSeed = flag.Uint64("seed", 1, "seed of the first simulation; with -seeds 1 a failing one is replayed exactly")
)

// TestSimulation runs the whole bridge in one process, by hand and on a clock of its own: Meta posts, repeats and
// reorders, the services fail, the process dies at any call to its storage, the clock jumps. In the end everything
// is given time to come to rest, and every invariant must hold. A seed fixes all of it.
func TestSimulation(t *testing.T) {
	dir := inMemory(t)
	var total tally
	for i := range *seeds {
		seed := *firstSeed + uint64(i)
		w := newWorld(t, seed, filepath.Join(dir, "bridge.db"))
		w.live(60 + w.rand.IntN(120))
		w.rest()
		for _, inv := range invariants {
			if err := inv.holds(w); err != nil {
				t.Errorf("seed %d: %s: %v\n%s\nreplay: go test ./cmd/flowbridge -run TestSimulation -seeds 1 -seed %d", seed, inv.name, err, w.log.String(), seed)
			}
		}
		total.add(&w.tally)
		w.close()
		if t.Failed() {
			break
		}
	}
	t.Logf("%d seeds: %s", *seeds, &total)
	if total.Acts == 0 || total.Crashes == 0 || total.Faults == 0 || total.Sick == 0 || total.Repeats == 0 || total.Digests == 0 {
		t.Errorf("a simulation without trouble shows nothing: %s", &total)
	}
}

// inMemory returns a folder that no disk slows down, where the machine has one: a crash here is one of the process.
func inMemory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "flowbridge-simulation-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// TestASeedReplaysExactly runs one seed twice.
func TestASeedReplaysExactly(t *testing.T) {
	var logs [2]string
	for i := range logs {
		w := newWorld(t, *firstSeed, filepath.Join(inMemory(t), "bridge.db"))
		w.live(150)
		w.rest()
		logs[i] = w.log.String()
		w.close()
	}
	if diff := cmp.Diff(logs[0], logs[1]); diff != "" {
		t.Errorf("the same seed went another way: -first +second\n%s", diff)
	}
}

// tally counts what simulations went through.
type tally struct{ Posts, Events, Repeats, Acts, Crashes, Faults, Sick, Storms, Digests, Incidents, Pages int }

func (t *tally) add(o *tally) {
	t.Posts += o.Posts
	t.Events += o.Events
	t.Repeats += o.Repeats
	t.Acts += o.Acts
	t.Crashes += o.Crashes
	t.Faults += o.Faults
	t.Sick += o.Sick
	t.Storms += o.Storms
	t.Digests += o.Digests
	t.Incidents += o.Incidents
	t.Pages += o.Pages
}

func (t *tally) String() string {
	return fmt.Sprintf("%d posts of %d events (%d repeats), %d acts of people, %d crashes, %d faults of the services, %d of the storage, %d storms, %d incidents, %d digests, %d pages",
		t.Posts, t.Events, t.Repeats, t.Acts, t.Crashes, t.Faults, t.Sick, t.Storms, t.Incidents, t.Digests, t.Pages)
}

const simulatedRules = `version: 1
notifiers:
  chat: {kind: slack, channel: "#ops"}
  page: {kind: pagerduty, routing_key: "${PD_KEY}"}
rules:
  - name: everything
    match: {field: flows}
    notify: [chat, {to: page, severity: ">=error"}]
default: {notify: [chat]}
`

// timedRules wait before they page, hold recoveries back, and page anew for what gets worse.
const timedRules = `version: 1
notifiers:
  chat: {kind: slack, channel: "#ops"}
  page: {kind: pagerduty, routing_key: "${PD_KEY}"}
rules:
  - name: everything
    match: {field: flows}
    resolve_after: 3m
    on_escalation: page
    notify: [chat, {to: page, after: 2m, unless: acknowledged}]
default: {notify: [chat]}
`

// world is a bridge and all that is around it.
type world struct {
	t    *testing.T
	seed uint64
	rand *rand.Rand
	log  bytes.Buffer // what happened, for whoever looks for a fault
	now  time.Time
	db   string
	// people act too, and rules have timers. What comes of either depends on when things arrive, so that there is
	// no ideal history to compare with.
	people, timed bool
	stormy        bool // many flows are broken
	tally

	rules  *rules.Rules
	slack  *sandbox.Slack
	pager  *sandbox.PagerDuty
	server []*httptest.Server

	// The bridge, made anew after each crash.
	store     *fragile
	intake    *whatsapp.Handler
	router    *router.Router
	deliverer *delivery.Deliverer

	// Meta.
	truth    time.Time            // of its newest event
	active   map[string][]float64 // thresholds that are active, by flow and signal
	status   map[string]string    // by flow
	happened []router.Event       // in order, as they would decode
	unposted []post               // in flight

	// What the store was told of page: how often a key was to open, and which incidents are open there.
	openings map[string]int
	pageOpen map[[2]int64]bool // by incident and rise

	digests map[string]bool // by Slack's names: those that the store knows were told
}

// post is a webhook on its way, or to be repeated.
type post struct {
	at   time.Time // not before
	body []byte
}

func newWorld(t *testing.T, seed uint64, db string) *world {
	t.Helper()
	w := &world{
		t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 0)), db: db,
		now:    time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC),
		active: map[string][]float64{}, status: map[string]string{}, openings: map[string]int{}, pageOpen: map[[2]int64]bool{},
		digests: map[string]bool{},
	}
	w.truth = w.now
	w.people, w.timed = seed%3 == 0, seed%4 == 0
	text := simulatedRules
	if w.timed {
		text = timedRules
	}
	var err error
	w.rules, err = rules.Load("rules.yaml", []byte(text), rules.Config{
		Env: func(string) (string, bool) { return testRoutingKey, true }})
	if err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return w.now }
	w.slack = sandbox.NewSlack(sandbox.SlackConfig{Token: testSlackToken, Channels: []string{"#ops"}, Now: clock})
	w.pager = sandbox.NewPagerDuty(sandbox.PagerDutyConfig{RoutingKeys: []router.Secret{testRoutingKey}, Now: clock})
	w.server = []*httptest.Server{httptest.NewServer(w.slack), httptest.NewServer(w.pager)}
	for _, old := range []string{db, db + "-wal", db + "-shm"} {
		if err := os.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	w.start()
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%v\n%s", err, w.log.String())
	}
}

// may is must, but for the faults of a sick storage: they are for the bridge to wait out.
func (w *world) may(err error) {
	w.t.Helper()
	if !errors.Is(err, errSick) {
		w.must(err)
	}
}

func (w *world) say(format string, args ...any) {
	fmt.Fprintf(&w.log, "%s  ", w.now.Format("15:04:05"))
	fmt.Fprintf(&w.log, format+"\n", args...)
}

// start makes a bridge over what is on disk.
func (w *world) start() {
	w.t.Helper()
	clock := func() time.Time { return w.now }
	opened, err := store.Open(context.Background(), store.Config{DSN: w.db, Now: clock})
	w.must(err)
	w.store = &fragile{Store: opened, w: w, left: -1}
	w.intake, err = whatsapp.New(whatsapp.Config{AppSecrets: []router.Secret{testSecret}, VerifyToken: "v", Now: clock}, w.store)
	w.must(err)
	w.router, err = router.New(router.Config{Rules: func() router.Rules { return w.rules }, Now: clock, Batch: 1 + w.rand.IntN(5)}, w.store)
	w.must(err)
	chat, err := slack.New(slack.Config{Token: testSlackToken, APIURL: w.server[0].URL + "/api/", Now: clock})
	w.must(err)
	page, err := pagerduty.New(pagerduty.Config{EventsURL: w.server[1].URL, Now: clock})
	w.must(err)
	w.deliverer, err = delivery.New(delivery.Config{
		Notifiers: map[router.Kind]delivery.Notifier{router.KindSlack: chat, router.KindPagerDuty: page},
		Target:    w.rules.Target, Now: clock, Rand: w.rand.Float64,
	}, w.store)
	w.must(err)
}

func (w *world) close() {
	w.must(w.store.Close())
	for _, s := range w.server {
		s.CloseClientConnections()
		s.Close()
	}
}

// live lets so many things happen, in an order that the seed decides.
func (w *world) live(steps int) {
	for range steps {
		switch n := w.rand.IntN(100); {
		case n < 18:
			w.happen()
		case n < 40:
			w.survive(w.postOne)
		case n < 60:
			w.survive(func() { w.fold() })
		case n < 80:
			w.survive(func() { w.deliver() })
		case n < 86:
			w.disturb()
		case n < 89:
			w.store.left = w.rand.IntN(6) // the process dies at one of its next calls to the storage
		case n < 90 && w.seed%6 == 0 && w.Storms < 2:
			w.storm()
		case n < 91: // a full disk, or a connection that breaks before or after the commit
			w.store.sick, w.store.deaf = 1+w.rand.IntN(3), w.rand.IntN(2) == 0
			w.Sick += w.store.sick
			w.say("the storage fails %d times; after it did what was asked: %t", w.store.sick, w.store.deaf)
		case n < 95 && w.people:
			w.survive(w.act)
		default:
			w.pass()
		}
	}
}

// rest ends all trouble and gives everything time to arrive.
func (w *world) rest() {
	w.say("-- the trouble ends")
	w.slack.ClearFaults()
	w.pager.ClearFaults()
	w.store.left, w.store.sick = -1, 0
	if w.rand.IntN(2) == 0 {
		w.recover()
	}
	w.calm()
	for range 3000 {
		switch {
		case len(w.unposted) > 0:
			w.now = later(w.now, w.unposted[0].at)
			w.survive(w.postOne)
		case w.fold() > 0:
		default:
			if !w.deliver() && !w.skip() {
				return
			}
		}
	}
	w.t.Fatalf("it does not come to rest\n%s", w.log.String())
}

// skip moves the clock to the next thing that waits, and retries what is parked; false where nothing is left.
func (w *world) skip() bool {
	ctx := context.Background()
	parked, err := w.store.Deliveries(ctx, router.DeliveryParked, 100)
	w.must(err)
	for _, d := range parked {
		w.must(w.store.RetryDelivery(ctx, d.ID))
	}
	_, next, err := w.store.Due(ctx, w.now)
	w.must(err)
	_, timer, err := w.store.Timers(ctx, w.now, 1)
	w.must(err)
	if next.IsZero() || !timer.IsZero() && timer.Before(next) {
		next = timer
	}
	w.now = later(w.now, next)
	return len(parked) > 0 || !next.IsZero()
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// pass moves the clock: mostly on by seconds, sometimes by hours, now and then back, as clocks that are set do.
func (w *world) pass() {
	switch n := w.rand.IntN(10); {
	case n == 0:
		w.now = w.now.Add(-time.Duration(w.rand.IntN(20)) * time.Second)
	case n == 1:
		w.now = w.now.Add(time.Duration(w.rand.IntN(180)) * time.Minute)
	default:
		w.now = w.now.Add(time.Duration(w.rand.IntN(60_000)) * time.Millisecond)
	}
}

// disturb makes a service fail for a while.
func (w *world) disturb() {
	w.Faults++
	times := 1 + w.rand.IntN(3)
	if w.rand.IntN(2) == 0 {
		f := sandbox.Fault{Times: times, Skip: w.rand.IntN(3), AfterAccept: w.rand.IntN(2) == 0}
		switch w.rand.IntN(4) {
		case 0:
			f.Status, f.RetryAfter = http.StatusTooManyRequests, 20*time.Second
			f.AfterAccept = false
		case 1:
			f.Status = http.StatusBadGateway
		case 2:
			f.EOF = true
		default:
			f.OKFalse, f.AfterAccept = "internal_error", false
		}
		w.say("Slack fails %d times: %+v", times, f)
		w.slack.Fail(f)
		return
	}
	f := sandbox.Fault{Times: times, AfterAccept: w.rand.IntN(2) == 0}
	switch w.rand.IntN(3) {
	case 0:
		f.Status, f.AfterAccept = http.StatusTooManyRequests, false
	case 1:
		f.Status = http.StatusServiceUnavailable
	default:
		f.EOF = true
	}
	w.say("PagerDuty fails %d times: %+v", times, f)
	w.pager.Fail(f)
}

// happen is Meta's monitoring finding something, which is then on its way, perhaps twice and out of order.
func (w *world) happen() {
	w.truth = later(w.truth, w.now).Add(time.Second)
	flow := []string{"71", "72", "73"}[w.rand.IntN(3)]
	switch w.rand.IntN(4) {
	case 0:
		from := w.status[flow]
		to := []string{router.Published, router.Throttled, router.Blocked}[w.rand.IntN(3)]
		w.status[flow] = to
		w.sent(map[string]any{"flow_id": flow, "event": router.FlowStatusChange, "old_status": from, "new_status": to})
	case 1:
		w.toggle(flow, router.EndpointAvailability, 90)
	default:
		w.toggle(flow, router.EndpointErrorRate, []float64{5, 10, 50}[w.rand.IntN(3)])
	}
}

func (w *world) toggle(flow, event string, threshold float64) {
	key := flow + "/" + event
	state := router.Activated
	if i := slices.Index(w.active[key], threshold); i >= 0 {
		state = router.Deactivated
		w.active[key] = slices.Delete(slices.Clone(w.active[key]), i, i+1)
	} else {
		w.active[key] = append(slices.Clone(w.active[key]), threshold)
	}
	w.sent(map[string]any{"flow_id": flow, "event": event, "threshold": threshold, "alert_state": state})
}

// recover ends everything that is wrong.
func (w *world) recover() {
	w.say("-- everything recovers")
	for _, flow := range []string{"71", "72", "73"} {
		for _, event := range []string{router.EndpointAvailability, router.EndpointErrorRate} {
			for _, threshold := range slices.Clone(w.active[flow+"/"+event]) {
				w.truth = w.truth.Add(time.Second)
				w.toggle(flow, event, threshold)
			}
		}
		w.truth = w.truth.Add(time.Second)
		w.sent(map[string]any{"flow_id": flow, "event": router.FlowStatusChange, "old_status": w.status[flow], "new_status": router.Published})
	}
}

// storm breaks many flows at once, or mends them. Often something goes wrong while the channel is told.
func (w *world) storm() {
	state := router.Activated
	if w.stormy {
		state = router.Deactivated
	}
	w.stormy = !w.stormy
	w.Storms++
	w.truth = later(w.truth, w.now).Add(time.Second)
	var values []map[string]any
	for i := range router.StormSize + 6 {
		values = append(values, map[string]any{"flow_id": fmt.Sprint(800 + i), "event": router.EndpointAvailability, "threshold": 90, "alert_state": state})
	}
	w.sent(values...)
	for i := range w.unposted {
		w.unposted[i].at = w.now
	}
	for range 40 {
		w.survive(w.postOne)
		w.survive(func() { w.fold() })
	}
	switch w.rand.IntN(3) {
	case 0:
		w.disturb()
	case 1:
		w.store.left = w.rand.IntN(6)
	}
}

// calm ends a storm.
func (w *world) calm() {
	if w.stormy {
		w.storm()
		w.store.left = -1
		w.slack.ClearFaults()
		w.pager.ClearFaults()
	}
}

// sent puts events on their way, in one webhook.
func (w *world) sent(values ...map[string]any) {
	var changes []any
	for _, v := range values {
		changes = append(changes, map[string]any{"field": "flows", "value": v})
	}
	body, err := json.Marshal(map[string]any{"object": "whatsapp_business_account", "entry": []any{map[string]any{
		"id": "501", "time": w.truth.Unix(), "changes": changes}}})
	w.must(err)
	events, _ := whatsapp.Decode(body, w.truth, false)
	w.happened = append(w.happened, events...)
	w.Events += len(events)
	copies := 1 + w.rand.IntN(5)/4
	w.Repeats += copies - 1
	for range copies {
		w.unposted = append(w.unposted, post{w.truth.Add(time.Duration(w.rand.IntN(90)) * time.Second), body})
	}
	slices.SortStableFunc(w.unposted, func(a, b post) int { return a.at.Compare(b.at) })
	w.say("Meta sees %v", values)
}

// postOne delivers the next webhook. What is not answered 200 is repeated, as Meta does.
func (w *world) postOne() {
	if len(w.unposted) == 0 || w.unposted[0].at.After(w.now) {
		return
	}
	p := w.unposted[0]
	req := httptest.NewRequest(http.MethodPost, "/webhooks/whatsapp", bytes.NewReader(p.body))
	req.Header.Set("X-Hub-Signature-256", whatsapp.Sign(testSecret, p.body))
	answer := httptest.NewRecorder()
	w.Posts++
	w.unposted[0].at = w.now.Add(time.Minute) // unless it is answered
	w.intake.Receive(answer, req)
	w.say("post answered %d: %.60s", answer.Code, p.body[bytes.Index(p.body, []byte(`"value"`)):])
	if answer.Code == http.StatusOK {
		w.unposted = w.unposted[1:]
	}
	slices.SortStableFunc(w.unposted, func(a, b post) int { return a.at.Compare(b.at) })
}

// act is a person doing something to an incident through the admin API.
func (w *world) act() {
	ctx := context.Background()
	all, err := w.store.Incidents(ctx, router.IncidentFilter{Limit: 6})
	w.must(err)
	if len(all) == 0 {
		return
	}
	inc := all[w.rand.IntN(len(all))]
	name := []string{router.Acknowledge, router.Unacknowledge, router.Resolve, router.Reopen, router.PageNow}[w.rand.IntN(5)]
	w.say("a person: %s %s", name, inc.Name())
	w.Acts++
	_, err = w.store.Append(ctx, []router.Event{{
		Digest: fmt.Sprintf("act/%d", w.Acts), Source: router.SourceConsole, Name: name, At: w.now, Received: w.now,
		WABA: inc.WABA, Flow: inc.Flow, Act: &router.Act{Incident: inc.Number, Actor: "somebody"},
	}})
	w.may(err) // who acts in vain is told so, and does what he likes
}

func (w *world) fold() int {
	ctx := context.Background()
	n, err := w.router.Fold(ctx)
	w.may(err)
	flows, _, err := w.router.Tick(ctx)
	w.may(err)
	return n + flows
}

// deliver makes one attempt for a notifier that has something due.
func (w *world) deliver() bool {
	ctx := context.Background()
	due, _, err := w.store.Due(ctx, w.now)
	w.must(err)
	if len(due) == 0 {
		return false
	}
	name := due[w.rand.IntN(len(due))]
	slackCalls, pagerCalls := len(w.slack.Calls()), len(w.pager.Calls())
	defer func() { // also if it dies over it
		for _, c := range append(w.slack.Calls()[slackCalls:], w.pager.Calls()[pagerCalls:]...) {
			w.say("%s: %s %s%s answered %d %s", name, c.Method, c.Action, c.Channel, c.Status, c.Error)
		}
	}()
	worked, err := w.deliverer.Deliver(ctx, name)
	w.may(err)
	return worked
}
