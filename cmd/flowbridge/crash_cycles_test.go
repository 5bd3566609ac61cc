package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
	databases "flowbridge/router/store/storetest"
)

var cycles = flag.Int("cycles", usualCycles, "how often the crash test kills the bridge; 200 take some minutes. "+
	"From ten on several processes get all the load that these tests have for them")

// usualCycles leave the machine to other tests.
const usualCycles = 3

// underLoad is n, a rate or a number of posts, where -cycles asks for the long form of tests of several processes, and
// less where it does not.
func underLoad(n int) int {
	if *cycles < 10 {
		return n / 4
	}
	return n
}

// besideEachOther has the stories of a test run beside each other in the long form. In the short form there is one: it
// begins at once, and does not go to the end of the line again.
func besideEachOther(t *testing.T) {
	if *cycles >= 10 {
		t.Parallel()
	}
}

// onlyInLongForm leaves a second and larger story to the long form.
func onlyInLongForm(t *testing.T) {
	t.Helper()
	if *cycles < 10 {
		t.Skip("only with -cycles 10 or more")
	}
}

const (
	crashPosters = 16
	crashFlows   = 40
	crashLanes   = 8   // channels and PagerDuty services, so that each is told of some flows
	crashRate    = 300 // events a second
	restEvery    = 25  // cycles between two looks at the services
)

// TestCrash runs the real binary under load while its services fail at random, and kills it at random moments. Meta
// repeats whatever is not answered 200. In the end every event that was answered 200 must be reflected: no incident
// stranded, no second PagerDuty incident for one of ours, no second message in Slack. -seed decides what is posted,
// what fails and when it is killed.
func TestCrash(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	c := newCrashes(t, *firstSeed, databases.File(t))
	c.start()
	started := time.Now()
	for i := range *cycles {
		c.cycle()
		if (i+1)%restEvery == 0 {
			c.rest()
		}
	}
	c.rest()
	c.everythingIsARepeat()
	if err := c.bridge.stop(t); err != nil {
		t.Errorf("a clean stop: %v", err)
	}
	t.Logf("%d cycles and kills in %s: %s; seed %d", *cycles, time.Since(started).Round(time.Second), c.tally(),
		*firstSeed)
	if c.lost+c.twice+c.stranded > 0 {
		t.Errorf("%d lost, %d told twice, %d stranded", c.lost, c.twice, c.stranded)
	}
}

// crashes is a bridge that is killed again and again, and all that is around it.
type crashes struct {
	t        *testing.T
	rand     *rand.Rand // of the goroutine of the test, or of that of load
	services *services
	rules    string
	db       string
	rate     float64 // events a second
	calm     int     // steps of 10 ms between two faults of the services, on average
	bridge   *process

	// Meta.
	active  map[string]map[float64]bool // by flow and event: thresholds that are over
	clock   map[string]int64            // by flow: entry.time of its newest event
	history []string                    // every entry so far, as JSON

	mu                sync.Mutex
	work              sync.Cond
	outbox            []string       // entries that wait to be answered 200
	sending           int            // posts at hand
	urls              []string       // of the processes that Meta reaches
	answered          map[string]int // posts that were answered 200, by URL
	posts, unanswered int
	patience          patience

	lost, twice, stranded, incidents int
}

// newCrashes makes the world around a bridge: services, and Meta, which posts to c.urls. Start a bridge next.
func newCrashes(t *testing.T, seed uint64, db string) *crashes {
	c := &crashes{
		t: t, rand: rand.New(rand.NewPCG(seed, 1)), db: db, rate: crashRate, calm: 8,
		active: map[string]map[float64]bool{}, clock: map[string]int64{}, answered: map[string]int{},
		patience: patience{since: map[string]time.Time{}},
	}
	c.work.L = &c.mu
	var rules strings.Builder
	var channels []string
	keys := []router.Secret{}
	rules.WriteString("version: 1\nnotifiers:\n")
	for i := range crashLanes {
		channels = append(channels, fmt.Sprintf("#ops%d", i))
		keys = append(keys, router.Secret(fmt.Sprintf("%032d", i)))
		fmt.Fprintf(&rules,
			"  chat%d: {kind: slack, channel: \"#ops%d\"}\n  page%d: {kind: pagerduty, routing_key: \"%032d\"}\n", i, i, i, i)
	}
	rules.WriteString("rules:\n")
	for i := range crashLanes {
		var flows []string
		for f := i; f < crashFlows; f += crashLanes {
			flows = append(flows, fmt.Sprintf("%q", crashFlow(f)))
		}
		fmt.Fprintf(&rules, "  - {name: \"lane %d\", match: {flow: [%s]}, notify: [chat%d, page%d]}\n", i,
			strings.Join(flows, ", "), i, i)
	}
	c.rules = writeRules(t, rules.String())
	c.services = startServices(t, sandbox.SlackConfig{Token: testSlackToken, Channels: channels, NoLimits: true},
		sandbox.PagerDutyConfig{RoutingKeys: keys, Calls: -1})
	c.services.env = append(c.services.env, "FLOWBRIDGE_UNBUDGETED=true") // these stand-ins have no limits
	posting, stop := context.WithCancel(context.Background())
	var posters sync.WaitGroup
	for i := range crashPosters {
		random := rand.New(rand.NewPCG(seed, uint64(i)+2))
		posters.Go(func() { c.poster(posting, i, random) })
	}
	t.Cleanup(func() {
		stop()
		c.work.Broadcast()
		posters.Wait()
	})
	return c
}

func crashFlow(i int) string { return fmt.Sprint(7000 + i) }

// start runs the bridge over what is on disk.
func (c *crashes) start() {
	c.bridge = start(c.t, c.services, c.rules, c.db)
	c.reach(c.bridge.Public)
}

// cycle lets Meta post and services fail for a while, kills the bridge and starts it again.
func (c *crashes) cycle() {
	life := time.Duration(200+c.rand.IntN(1200)) * time.Millisecond
	stop := c.load()
	<-time.After(life)
	stop()
	c.bridge.kill()
	c.start()
}

// disturb makes a service fail.
func (c *crashes) disturb() {
	f := sandbox.Fault{Times: 1 + c.rand.IntN(3), Skip: c.rand.IntN(10), AfterAccept: c.rand.IntN(2) == 0}
	switch c.rand.IntN(4) {
	case 0:
		f.Status, f.RetryAfter, f.AfterAccept = http.StatusTooManyRequests, time.Second, false
	case 1:
		f.Status = http.StatusInternalServerError
	case 2:
		f.EOF = true
	default:
		f.Hang, f.Times = true, 1
	}
	if c.rand.IntN(2) == 0 {
		c.services.Slack.Fail(f)
	} else {
		c.services.PagerDuty.Fail(f)
	}
}

// faulty counts the calls that went wrong.
func (c *crashes) faulty() (n int) {
	for _, call := range slices.Concat(c.services.Slack.Calls(), c.services.PagerDuty.Calls()) {
		if call.Error != "" || call.Status == 0 {
			n++
		}
	}
	return n
}

// rest ends all trouble, waits until nothing is owed any more, and looks at the services.
func (c *crashes) rest() {
	c.t.Helper()
	c.services.Slack.ClearFaults()
	c.services.PagerDuty.ClearFaults()
	began, heard, calls := time.Now(), time.Now(), -1
	for pause := 200 * time.Millisecond; !c.idle(); pause = min(2*pause, 5*time.Second) {
		if n := len(c.services.Slack.Calls()) + len(c.services.PagerDuty.Calls()); n != calls {
			heard, calls = time.Now(), n // a slow machine is at work
		}
		if time.Since(heard) > 2*time.Minute || time.Since(began) > 20*time.Minute {
			c.t.Fatalf("it does not come to rest\n%s", tail(c.bridge.stderr.String()))
		}
		time.Sleep(pause) // each look asks for what failed to be tried again, which is work for a slow machine, too
	}
	c.lookAtPagerDuty()
	c.lookAtSlack()
}

// idle says whether everything was answered, folded and told. What waits for a retry, or for what changes little to be
// told together, is made due.
func (c *crashes) idle() bool {
	c.mu.Lock()
	posted := len(c.outbox) == 0 && c.sending == 0
	c.mu.Unlock()
	if !posted {
		return false
	}
	var waiting struct {
		Events, Deliveries []struct {
			ID, Attempts int
			Next_at      time.Time
		}
	}
	for _, path := range []string{"events?state=waiting", "deliveries?state=waiting&limit=500",
		"deliveries?state=parked"} {
		c.bridge.get(c.t, "/api/v1/"+path, &waiting)
		for _, d := range waiting.Deliveries {
			if d.Attempts == 0 && time.Until(d.Next_at) < time.Second && !strings.HasSuffix(path, "parked") {
				continue
			}
			c.bridge.tryNow(c.t, d.ID)
		}
		if len(waiting.Events)+len(waiting.Deliveries) > 0 {
			return false
		}
	}
	return true
}

// lookAtPagerDuty compares what is open there with what Meta said last, and counts what was opened twice.
func (c *crashes) lookAtPagerDuty() {
	c.t.Helper()
	open, made := map[string]int{}, map[any]int{}
	for _, inc := range c.services.PagerDuty.Incidents() {
		number := inc.Details["incident"]
		if made[number]++; made[number] > 1 {
			c.twice++
			c.t.Errorf("PagerDuty has %d incidents for %v (%s)", made[number], number, inc.DedupKey)
		}
		if inc.Status != sandbox.IncidentResolved {
			open[inc.DedupKey]++
		}
	}
	for flow := range crashFlows {
		for _, event := range []string{router.EndpointErrorRate, router.EndpointAvailability} {
			want := min(len(c.active[crashFlow(flow)+"/"+event]), 1)
			key := router.GroupBySignal.Key(&router.Event{WABA: "501", Flow: crashFlow(flow), Name: event})
			if open[key] != want {
				c.stranded++
				c.t.Errorf("%s: PagerDuty has %d open incidents, want %d", key, open[key], want)
			}
		}
	}
}

// lookAtSlack checks that each incident has one message, which shows its state, and that no line is there twice. Where
// a channel was flooded, a digest may have told of the end of those that never had a card.
func (c *crashes) lookAtSlack() {
	c.t.Helper()
	roots, lines, digested := map[int64]sandbox.Message{}, map[told]bool{}, 0
	for i := range crashLanes {
		for _, m := range c.services.Slack.Messages(fmt.Sprintf("#ops%d", i)) {
			a, err := about(&m)
			if err != nil {
				c.t.Fatal(err)
			}
			switch _, twice := roots[a.Incident]; {
			case a.Incident == 0: // a digest
				if a.Recovered {
					digested += a.Incidents
				}
				continue
			case m.ThreadTS == "" && twice:
				c.twice++
				c.t.Errorf("%s has two messages", router.IncidentName(a.Incident))
			case m.ThreadTS == "":
				roots[a.Incident] = m
			case lines[a]:
				c.twice++
				c.t.Errorf("%s: two lines tell of entry %d", router.IncidentName(a.Incident), a.Entry)
			}
			lines[a] = true
		}
	}
	var newest, open struct{ Incidents []struct{ Number int64 } }
	c.bridge.get(c.t, "/api/v1/incidents?limit=1", &newest)
	c.bridge.get(c.t, "/api/v1/incidents?state=open&limit=500", &open)
	c.incidents = 0
	for _, inc := range newest.Incidents {
		c.incidents = int(inc.Number)
	}
	for number := int64(1); number <= int64(c.incidents); number++ {
		m, ok := roots[number]
		isOpen := slices.ContainsFunc(open.Incidents, func(inc struct{ Number int64 }) bool { return inc.Number == number })
		switch {
		case !ok && !isOpen && digested > 0:
			digested--
		case !ok:
			c.lost++
			c.t.Errorf("Slack was never told of %s", router.IncidentName(number))
		case isOpen != (m.Color == "#a30200"):
			c.stranded++
			c.t.Errorf("%s: open is %t, and its message has the colour %q: %s", router.IncidentName(number), isOpen, m.Color,
				m.Text)
		}
	}
}

// everythingIsARepeat posts the whole history once more: all of it must be known.
func (c *crashes) everythingIsARepeat() {
	c.t.Helper()
	before := c.repeats()
	for part := range slices.Chunk(c.history, 500) {
		eventually(c.t, "the history is posted", func() bool { // Meta repeats, too
			status, _ := postEntries(http.DefaultClient, c.bridge.Public, part...)
			return status == http.StatusOK
		})
	}
	if missing := len(c.history) - (c.repeats() - before); missing != 0 {
		c.lost += missing
		c.t.Errorf("%d of %d events were answered 200 and are not in the journal", missing, len(c.history))
	}
}

// repeats reads how many events the bridge has dropped as repeats.
func (c *crashes) repeats() int {
	c.t.Helper()
	return c.bridge.counter(c.t, "flowbridge_events_repeated_total")
}

func tail(log string) string { return log[max(0, len(log)-4000):] }
