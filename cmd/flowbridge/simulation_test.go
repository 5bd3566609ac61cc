package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"flowbridge/notifiers/pagerduty"
	"flowbridge/notifiers/sandbox"
	"flowbridge/notifiers/slack"
	"flowbridge/router"
	"flowbridge/router/delivery"
	"flowbridge/router/rules"
	"flowbridge/router/store"
	databases "flowbridge/router/store/storetest"
	"flowbridge/router/whatsapp"
)

var (
	seeds = flag.Int("seeds", usualSeeds,
		"how many simulations to run: some hundreds in CI, tens of thousands in a night")
	firstSeed = flag.Uint64("seed", 1, "seed of the first simulation; with -seeds 1 a failing one is replayed exactly")
	stepsFlag = flag.Int("steps", 0, "how many things happen in a simulation; few make a history that is easy to read. "+
		"Default: what each seed chooses")
	survey = flag.Bool("survey", false,
		"go on after a failure, and name the invariants that failed, each with the seed that has "+
			"the shortest history")
)

// enough seeds see a bit of everything.
const enough = 8

// TestSimulation runs the whole bridge in one process, by hand and on a clock of its own: Meta posts, repeats and
// reorders, the services fail, the process dies at any call to its storage, the clock jumps, and each seed chooses what
// else goes on in its world. In the end everything is given time to come to rest, and every invariant must hold. A seed
// fixes all of it on SQLite; on PostgreSQL, where there are a tenth, the server's time has a part in it.
func TestSimulation(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		*seeds = min(*seeds, enough)
	}
	t.Run("SQLite", func(t *testing.T) { simulateAll(t, *seeds, emptyFile(t)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		databases.Long(t)
		simulateAll(t, min(*seeds, max(*seeds/10, 5)), emptyOnServer(t)) // each is slower
	})
}

// simulateAll runs some seeds, each over an empty database.
func simulateAll(t *testing.T, seeds int, empty func() string) {
	total, found := tally{}, map[string]*failure{}
	for i := range seeds {
		w := simulate(t, *firstSeed+uint64(i), empty)
		failed := false
		for _, inv := range invariants {
			if err := inv.holds(w); err != nil {
				failed = true
				noteFailure(found, inv.name, w, err)
				report := t.Errorf
				if *survey {
					report = t.Logf
				}
				report("seed %d (%s): %s: %v", w.seed, w.troubles, inv.name, err)
			}
		}
		total.add(&w.tally)
		w.close()
		if failed && !*survey {
			t.Logf("%s\nreplay: go test ./cmd/flowbridge -run 'TestSimulation$' -seeds 1 -seed %d -worlds %q -steps %d",
				w.log.String(), w.seed, *worldsFlag, *stepsFlag)
			break
		}
	}
	for _, inv := range invariants {
		if f := found[inv.name]; f != nil && *survey {
			t.Errorf("%s: %d of %d seeds; seed %d (%s), %d lines: %v",
				inv.name, f.times, seeds, f.seed, f.troubles, f.lines, f.err)
		}
	}
	t.Logf("%d seeds: %s", seeds, &total)
	quiet := total.Acts == 0 || total.Crashes == 0 || total.Faults == 0 || total.Sick == 0 || total.Repeats == 0 ||
		total.Digests == 0
	if *worldsFlag == "" && !t.Failed() && quiet && seeds >= enough {
		t.Errorf("a simulation without trouble shows nothing: %s", &total)
	}
}

// failure is an invariant that does not hold, in the world with the shortest history.
type failure struct {
	times, lines int
	seed         uint64
	troubles     trouble
	err          error
}

func noteFailure(found map[string]*failure, name string, w *world, err error) {
	f, lines := found[name], bytes.Count(w.log.Bytes(), []byte("\n"))
	if f == nil {
		f = &failure{lines: lines + 1}
		found[name] = f
	}
	f.times++
	if lines < f.lines {
		f.lines, f.seed, f.troubles, f.err = lines, w.seed, w.troubles, err
	}
}

// simulate lets a world live until it has come to rest.
func simulate(t *testing.T, seed uint64, empty func() string) *world {
	w := newWorld(t, seed, empty)
	steps := 50 + w.rand.IntN(80)
	w.live(cmp.Or(*stepsFlag, steps))
	w.rest()
	return w
}

// TestASeedReplaysExactly runs one seed twice.
func TestASeedReplaysExactly(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	var logs [2]string
	for i := range logs {
		w := simulate(t, *firstSeed, emptyFile(t))
		logs[i] = w.log.String()
		w.close()
	}
	if diff := gocmp.Diff(logs[0], logs[1]); diff != "" {
		t.Errorf("the same seed went another way: -first +second\n%s", diff)
	}
}

// tally counts what simulations went through.
type tally struct{ Posts, Events, Repeats, Acts, Crashes, Faults, Sick, Lost, Storms, Digests, Incidents, Pages int }

func (t *tally) add(o *tally) {
	t.Posts += o.Posts
	t.Events += o.Events
	t.Repeats += o.Repeats
	t.Acts += o.Acts
	t.Crashes += o.Crashes
	t.Faults += o.Faults
	t.Sick += o.Sick
	t.Lost += o.Lost
	t.Storms += o.Storms
	t.Digests += o.Digests
	t.Incidents += o.Incidents
	t.Pages += o.Pages
}

func (t *tally) String() string {
	return fmt.Sprintf("%d posts of %d events (%d repeats), %d acts of people, %d crashes, %d faults of the services, "+
		"%d of the storage, %d databases lost, %d storms, %d incidents, %d digests, %d pages",
		t.Posts, t.Events, t.Repeats, t.Acts, t.Crashes, t.Faults, t.Sick, t.Lost, t.Storms, t.Incidents, t.Digests, t.Pages)
}

// world is a bridge and all that is around it.
type world struct {
	t     *testing.T
	seed  uint64
	rand  *rand.Rand
	log   bytes.Buffer // what happened, for whoever looks for a fault
	now   time.Time
	db    string
	empty func() string // makes an empty database, and returns its DSN
	// troubles are what goes on beside what goes on in every world.
	troubles trouble
	stormy   bool // many flows are broken
	tally

	rules  *rules.Rules
	slack  *sandbox.Slack
	pager  *sandbox.PagerDuty
	gates  []*gate // before Slack and PagerDuty
	server []*httptest.Server

	// The bridge, made anew after each crash.
	store     *fragile
	intake    *whatsapp.Handler
	webhooks  *pagerduty.Webhooks
	router    *router.Router
	deliverer *delivery.Deliverer

	readOnlyUntil time.Time
	retries       int // by hand, of all that is parked

	// Meta.
	truth     time.Time            // of its newest event
	active    map[string][]float64 // thresholds that are active, by account, flow and signal
	status    map[string]string    // by account and flow
	happened  []router.Event       // in order, as they would decode
	unposted  []post               // in flight
	heapUntil time.Time            // none arrives before
	accepted  map[string]bool      // by digest, in whatever database

	// PagerDuty, by its number of an incident or by its key.
	unheard       []hook // webhooks in flight
	hookIDs       int
	seen          []pageStatus
	pageAcked     map[int64]time.Time
	reopenedThere map[int64]bool
	autoResolved  map[string]bool
	outside       map[string]int // how often it had to be made anew, since others closed it or a person wished so
	openings      map[string]int // how often the store was told that it is to open

	// What the test knows of the bridge.
	memory
	claimed *router.Notification // that is tried
	hearing *personAct           // what the webhook at hand is about
	before  map[string]bool      // messages from before the database was lost, by ts
	earlier int64                // how many incidents PagerDuty had by then
	broken  map[string]error     // promises
}

func newWorld(t *testing.T, seed uint64, empty func() string) *world {
	t.Helper()
	w := &world{
		t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 0)), empty: empty,
		now:    time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC),
		active: map[string][]float64{}, status: map[string]string{}, accepted: map[string]bool{},
		pageAcked: map[int64]time.Time{}, reopenedThere: map[int64]bool{}, autoResolved: map[string]bool{},
		outside:  map[string]int{},
		openings: map[string]int{}, before: map[string]bool{}, broken: map[string]error{},
	}
	w.truth = w.now
	var err error
	w.troubles, err = troublesOf(seed, *worldsFlag)
	w.must(err)
	w.readRules(names{"chat", "page", "chat2", "page2"})
	clock := func() time.Time { return w.now }
	w.slack = sandbox.NewSlack(sandbox.SlackConfig{Token: testSlackToken, Channels: []string{"#ops"}, Now: clock})
	w.pager = sandbox.NewPagerDuty(sandbox.PagerDutyConfig{RoutingKeys: []router.Secret{testRoutingKey}, Now: clock})
	w.gates = []*gate{{w: w, name: "Slack", next: w.slack}, {w: w, name: "PagerDuty", next: w.pager}}
	w.server = []*httptest.Server{httptest.NewServer(w.gates[0]), httptest.NewServer(w.gates[1])}
	w.wipe()
	w.start()
	return w
}

// readRules puts the rules of the world in force.
func (w *world) readRules(n names) {
	var err error
	w.rules, err = rules.Load("rules.yaml", []byte(w.rulesText(n)), rules.Config{
		Env: func(string) (string, bool) { return testRoutingKey, true }})
	w.must(err)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("seed %d: %v\n%s", w.seed, err, w.log.String())
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
	fmt.Fprintf(&w.log, "%s  ", w.now.Format("2 15:04:05"))
	fmt.Fprintf(&w.log, format+"\n", args...)
}

// start makes a bridge over what is on disk.
func (w *world) start() {
	w.t.Helper()
	clock := func() time.Time { return w.now }
	opened, err := store.Open(context.Background(), store.Config{DSN: w.db, StartWait: databases.Patience, Now: clock})
	w.must(err)
	w.store = &fragile{Store: opened, w: w, left: -1}
	secrets := []router.Secret{testSecret}
	w.intake, err = whatsapp.New(whatsapp.Config{AppSecrets: secrets, VerifyToken: "v", Now: clock}, w.store)
	w.must(err)
	w.webhooks, err = pagerduty.NewWebhooks(pagerduty.WebhookConfig{Secrets: []router.Secret{testWebhooks}, Now: clock},
		w.store)
	w.must(err)
	inForce := func() router.Rules { return w.rules }
	w.router, err = router.New(router.Config{Rules: inForce, Now: clock, Batch: 1 + w.rand.IntN(5)}, w.store)
	w.must(err)
	chat, err := slack.New(slack.Config{Token: testSlackToken, APIURL: w.server[0].URL + "/api/", Now: clock})
	w.must(err)
	page, err := pagerduty.New(pagerduty.Config{EventsURL: w.server[1].URL, Now: clock})
	w.must(err)
	w.deliverer, err = delivery.New(delivery.Config{
		Notifiers: map[router.Kind]delivery.Notifier{router.KindSlack: chat, router.KindPagerDuty: page},
		Target:    func(name string) (router.Target, bool) { return w.rules.Target(name) }, Now: clock, Rand: w.rand.Float64,
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
		switch n := w.rand.IntN(112); {
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
		case n < 91: // a full disk, or a connection that breaks before or after the commit
			w.store.sick, w.store.deaf = 1+w.rand.IntN(3), w.rand.IntN(2) == 0
			w.Sick += w.store.sick
			w.say("the storage fails %d times; after it did what was asked: %t", w.store.sick, w.store.deaf)
		case n < 98:
			w.survive(w.people)
		case n < 102:
			w.survive(w.hookOne)
		case n < 104:
			w.rarely()
		case n < 108:
			w.drama()
		default:
			w.pass()
		}
	}
}

// people do one of the things that they do in this world.
func (w *world) people() {
	var can []func()
	if w.has(withConsole) {
		can = append(can, w.act)
	}
	if w.has(withHooks | withShuffled | withItself) {
		can = append(can, func() {
			for range 5 { // not everything is possible
				if w.inPagerDuty() {
					return
				}
			}
		})
	}
	if w.has(withSilences) {
		can = append(can, w.silence)
	}
	if len(can) > 0 {
		can[w.rand.IntN(len(can))]()
	}
}

// rarely lets something happen that is rare, where it belongs to this world.
func (w *world) rarely() {
	var can []func()
	for _, k := range []struct {
		when trouble
		do   func()
	}{
		{withStorms, func() {
			if w.Storms < 2 {
				w.storm()
			}
		}},
		{withReadonly, func() {
			w.readOnlyUntil = w.now.Add(time.Duration(1+w.rand.IntN(20*60)) * time.Second)
			w.say("the database is read-only until %s", w.readOnlyUntil.Format("15:04:05"))
		}},
		{withRenamed, func() {
			w.say("the rules are read anew: page is called duty, and chat is called talk")
			w.readRules(names{"talk", "duty", "talk2", "duty2"})
		}},
		{withLost, w.lose},
		{withLate, w.outage},
	} {
		if w.has(k.when) {
			can = append(can, k.do)
		}
	}
	if len(can) > 0 {
		can[w.rand.IntN(len(can))]()
	}
}

// rest ends all trouble and gives everything time to arrive.
func (w *world) rest() {
	w.say("-- the trouble ends")
	w.endTrouble()
	if w.Lost > 0 || w.rand.IntN(2) == 0 || w.has(withReminders) { // what stays open is told again for two days
		w.recover()
	}
	w.calm()
	for range 5000 {
		if w.fold() > 0 || w.deliver() {
			continue
		}
		arrives := w.arrival()
		if !arrives.IsZero() && !arrives.After(w.now) {
			w.survive(w.postOne)
			w.survive(w.hookOne)
			continue
		}
		if !w.skip(arrives) {
			return
		}
	}
	w.breaks(comesToRest, "something is always due")
}

// arrival is when the next thing arrives that is in flight; zero if nothing is.
func (w *world) arrival() (next time.Time) {
	if len(w.unposted) > 0 {
		next = w.unposted[0].at
	}
	if len(w.unheard) > 0 && (next.IsZero() || w.unheard[0].at.Before(next)) {
		next = w.unheard[0].at
	}
	return next
}

// skip moves the clock to the next thing that waits or arrives, and retries what is parked once nothing does; false
// where nothing is left.
func (w *world) skip(next time.Time) bool {
	ctx := context.Background()
	_, due, err := w.store.Due(ctx, w.now)
	w.must(err)
	_, timer, err := w.store.Timers(ctx, w.now, 1)
	w.must(err)
	for _, at := range []time.Time{due, timer} {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	w.now = later(w.now, next)
	if !next.IsZero() {
		return true
	}
	parked, err := w.store.Deliveries(ctx, router.DeliveryParked, 100)
	w.must(err)
	retried := 0
	for _, d := range parked {
		switch err := w.store.RetryDelivery(ctx, d.ID); {
		case err == nil:
			retried++
		case !errors.Is(err, router.ErrConflict): // else nobody can do anything for it any more
			w.must(err)
		}
	}
	w.retries++
	return retried > 0 && w.retries <= 3
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// pass moves the clock: mostly on by seconds, sometimes by hours, now and then back, as clocks that are set do. What
// people do is ordered by it, so that it is not set back where they do anything.
func (w *world) pass() {
	switch n := w.rand.IntN(10); {
	case n == 0 && !w.has(withConsole|withHooks|withShuffled|withItself):
		w.now = w.now.Add(-time.Duration(w.rand.IntN(20)) * time.Second)
	case n == 1:
		w.now = w.now.Add(time.Duration(w.rand.IntN(180)) * time.Minute)
	case n < 5 && w.has(withReminders): // to what is due next, which a jump would go past
		_, timer, err := w.store.Timers(context.Background(), w.now, 1)
		w.must(err)
		w.now = later(w.now, timer)
	default:
		w.now = w.now.Add(time.Duration(w.rand.IntN(60_000)) * time.Millisecond)
	}
}

func (w *world) fold() int {
	ctx := context.Background()
	n, err := w.router.Fold(ctx)
	w.may(err)
	flows, _, fault := w.router.Tick(ctx)
	w.may(fault)
	if w.has(withReminders) && n+flows == 0 && err == nil && fault == nil {
		w.noteForgotten()
	}
	return n + flows
}

// deliver makes one attempt for a notifier that has something due; for another where the first only may have had.
func (w *world) deliver() bool {
	ctx := context.Background()
	due, _, err := w.store.Due(ctx, w.now)
	w.must(err)
	if len(due) == 0 {
		return false
	}
	first := w.rand.IntN(len(due))
	for _, name := range slices.Concat(due[first:], due[:first]) {
		if w.deliverTo(name) {
			return true
		}
	}
	return false
}

func (w *world) deliverTo(name string) bool {
	slackCalls, pagerCalls := len(w.slack.Calls()), len(w.pager.Calls())
	defer func() { // also if it dies over it
		for _, c := range append(w.slack.Calls()[slackCalls:], w.pager.Calls()[pagerCalls:]...) {
			w.say("%s: %s %s%s %s answered %d %s", name, c.Method, c.Action, c.Channel, c.DedupKey, c.Status, c.Error)
		}
		w.seePager()
	}()
	w.claimed = nil
	worked, err := w.deliverer.Deliver(context.Background(), name, 1+w.rand.IntN(3))
	w.may(err)
	return worked
}
