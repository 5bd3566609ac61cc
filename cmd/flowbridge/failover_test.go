package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	databases "flowbridge/router/store/storetest"
)

// TestFailover runs several real processes under the load and the faults of TestCrash while PostgreSQL fails over to
// its standby, in one way after another, and kills the process that folds between. Nobody helps the processes. Commits
// are synchronous: with an asynchronous standby PostgreSQL itself loses what it had answered last. -cycles 200 does it
// 21 times.
func TestFailover(t *testing.T) {
	t.Parallel()
	ways := databases.Failovers()
	for n, name := range map[int]string{2: "two", 3: "three"} {
		t.Run(name, func(t *testing.T) {
			besideEachOther(t)
			if n > 2 {
				onlyInLongForm(t)
			}
			started := time.Now()
			pair := databases.StartPair(t)
			p := newPeersOver(t, pair.Primary.Database(t), n, pair.Link)
			p.rate = float64(underLoad(100))
			stop := p.load()
			failovers := 1 + *cycles/10
			for i := range failovers {
				p.eachTakesPosts(p.all)
				ways[(3-n+i)%len(ways)].Do(pair, t, p.eachRefusesPosts)
				p.eachTakesPosts(p.all)
				p.killTheOneThatFolds()
			}
			p.eachTakesPosts(p.all)
			for _, x := range p.all {
				eventually(t, "every process is ready", func() bool { return x.readiness(t) == http.StatusOK })
			}
			stop()
			p.bridge = p.all[0].process
			p.rest()
			p.everythingIsARepeat()
			t.Logf("%s processes in %s: %d failovers, %s", name, time.Since(started).Round(time.Second), failovers, p.tally())
			if p.lost+p.twice+p.stranded > 0 {
				t.Errorf("%d lost, %d told twice, %d stranded", p.lost, p.twice, p.stranded)
			}
		})
	}
}

// eachRefusesPosts waits until every process says that it cannot store.
func (p *peers) eachRefusesPosts() {
	p.t.Helper()
	for _, x := range p.all {
		eventually(p.t, "a post is refused", func() bool {
			status, _, err := x.tryPost(unheardOf)
			return err == nil && status == http.StatusServiceUnavailable
		})
		eventually(p.t, "a process without a database is not ready",
			func() bool { return x.readiness(p.t) == http.StatusServiceUnavailable })
	}
}

// tally says in words what happened.
func (p *peers) tally() string {
	return fmt.Sprintf("%s; takeovers within %s; seed %d", p.crashes.tally(), p.slowest.Round(time.Millisecond),
		*firstSeed)
}

func (c *crashes) tally() string {
	return fmt.Sprintf("%d events (%d posts, %d not answered and repeated), %d faults of the services, %d incidents, "+
		"%d pages; %d lost, %d told twice, %d stranded", len(c.history), c.posts, c.unanswered, c.faulty(), c.incidents,
		len(c.services.PagerDuty.Incidents()), c.lost, c.twice, c.stranded)
}
