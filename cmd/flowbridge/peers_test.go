package main

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	databases "flowbridge/router/store/storetest"
)

// TestPeers runs several real processes on one PostgreSQL database under the load and the faults of TestCrash. One is
// killed, one is cut off from the database, one leaves. What TestCrash asks of one bridge is asked of all of them
// together. -cycles 200 repeats it all 20 times.
func TestPeers(t *testing.T) {
	t.Parallel()
	server := databases.Shared(t)
	for n, name := range map[int]string{2: "two", 3: "three"} {
		t.Run(name, func(t *testing.T) {
			besideEachOther(t)
			if n == 2 {
				onlyInLongForm(t)
			}
			started := time.Now()
			p := newPeersOver(t, server.Database(t), n, server.Link)
			stop := p.load()
			for range 1 + *cycles/10 {
				p.eachTakesPosts(p.all)
				if n > 2 {
					p.cutOffOneAndKillAnother()
				} else {
					p.killTheOneThatFolds()
				}
				p.stopTheOneThatFolds()
			}
			p.eachTakesPosts(p.all)
			stop()
			p.bridge = p.all[0].process
			p.rest()
			p.everythingIsARepeat()
			t.Logf("%s processes in %s: %s", name, time.Since(started).Round(time.Second), p.tally())
			if p.lost+p.twice+p.stranded > 0 {
				t.Errorf("%d lost, %d told twice, %d stranded", p.lost, p.twice, p.stranded)
			}
		})
	}
}

// peers are processes on one database, with the world of a bridge around them.
type peers struct {
	*crashes
	all     []*peer
	slowest time.Duration // takeover
}

// peer is one of them, with a cable of its own to the database.
type peer struct {
	*process
	link *databases.Link
	db   string // by way of the link
}

// newPeersOver starts n processes over a database, each with a link of its own.
func newPeersOver(t *testing.T, db string, n int, link func(testing.TB) *databases.Link) *peers {
	t.Helper()
	p := &peers{crashes: newCrashes(t, *firstSeed, db)}
	p.rate = float64(underLoad(200))
	p.calm = 40 // they live longer than in TestCrash: a call that hangs holds a lane for long
	for range n {
		link := link(t)
		p.all = append(p.all, &peer{link: link, db: link.DSN(db)})
	}
	for _, x := range p.all {
		p.start(x)
	}
	return p
}

// start runs a process, for the first time or anew, and lets Meta know.
func (p *peers) start(x *peer) {
	p.t.Helper()
	x.process = start(p.t, p.services, p.rules, x.db)
	var urls []string
	for _, x := range p.all {
		if x.process != nil {
			urls = append(urls, x.Public)
		}
	}
	p.reach(urls...)
}

// eachTakesPosts waits until each of some processes has answered many posts more.
func (p *peers) eachTakesPosts(of []*peer) {
	p.t.Helper()
	count := func(x *peer) int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.answered[x.Public]
	}
	enough := map[*peer]int{}
	for _, x := range of {
		enough[x] = count(x) + underLoad(50)
	}
	for _, x := range of {
		eventually(p.t, "a process has taken posts", func() bool { return count(x) >= enough[x] })
	}
}

func (p *peers) killTheOneThatFolds() {
	p.t.Helper()
	killed := p.folder(p.all...)
	p.takeover(killed, killed.kill)
	p.start(killed)
}

func (p *peers) stopTheOneThatFolds() {
	p.t.Helper()
	stopped := p.folder(p.all...)
	p.takeover(stopped, func() { stopped.interrupt(p.t) })
	if err := stopped.end(p.t); err != nil {
		p.t.Errorf("a clean stop: %v", err)
	}
	p.start(stopped)
}

// cutOffOneAndKillAnother pulls the cable of the process that folds, kills another one meanwhile, and finds that the
// one that was cut off refuses what it cannot store, and is well again soon after its cable is back.
func (p *peers) cutOffOneAndKillAnother() {
	p.t.Helper()
	cut := p.folder(p.all...)
	others := p.except(cut)
	refused := make(chan int, 1)
	p.takeover(cut, func() {
		cut.link.Cut()
		go func() {
			status, _, _ := cut.tryPost(unheardOf)
			refused <- status
		}()
		others[0].kill()
		p.start(others[0])
	})
	if got := cut.readiness(p.t); got != http.StatusServiceUnavailable {
		p.t.Errorf("/readyz of a process without a database answers %d", got)
	}
	if got := <-refused; got != http.StatusServiceUnavailable {
		p.t.Errorf("a post to a process without a database is answered %d", got)
	}
	p.eachTakesPosts(others)

	cut.link.Mend()
	eventually(p.t, "the process that was cut off is ready again",
		func() bool { return cut.readiness(p.t) == http.StatusOK })
	cut.post(p.t, unheardOf, http.StatusOK)
	p.eachTakesPosts(p.all)
}

// unheardOf is the end of what nobody knows: it is written down, and no service is told.
var unheardOf = pairPost(lately, "77", "DEACTIVATED", 50)

// takeover takes the right to fold from a process in some way, and waits until another one folds.
func (p *peers) takeover(from *peer, how func()) {
	p.t.Helper()
	others := p.except(from)
	begun := time.Now()
	how()
	p.folder(others...)
	p.slowest = max(p.slowest, time.Since(begun))
}

// folder waits until one of some processes has folded events, and returns it.
func (p *peers) folder(of ...*peer) (found *peer) {
	p.t.Helper()
	before := map[*process]int{}
	eventually(p.t, fmt.Sprintf("one of %d processes folds", len(of)), func() bool {
		for _, x := range of {
			n := x.counter(p.t, "flowbridge_events_folded_total")
			if was, ok := before[x.process]; ok && n > was {
				found = x
			}
			before[x.process] = n
		}
		return found != nil
	})
	return found
}

func (p *peers) except(one *peer) []*peer {
	return slices.DeleteFunc(slices.Clone(p.all), func(x *peer) bool { return x == one })
}
