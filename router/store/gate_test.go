package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestGateLetsOneTryAtATime holds who may ask a server that does not let us in, and when.
func TestGateLetsOneTryAtATime(t *testing.T) {
	t.Parallel()
	var g gate
	now := time.Unix(1_800_000_000, 0)
	away := errors.New("away")
	enters := func(what string, want bool) (probe bool) {
		t.Helper()
		probe, err := g.enter(now)
		if (err == nil) != want || err != nil && !errors.Is(err, away) {
			t.Errorf("%s: enters: %v, want %t", what, err, want)
		}
		return probe
	}
	first, second := enters("the first", true), enters("another at the same time", true)
	g.leave(now, first, false, away)
	g.leave(now, second, false, away) // counts no more
	enters("at once", false)
	for _, pause := range []time.Duration{50, 100, 200, 400, 500, 500} {
		now = now.Add(pause*time.Millisecond - 1)
		enters("before the pause is over", false)
		now = now.Add(1)
		probe := enters("after the pause", true)
		enters("beside the one that tries", false)
		g.leave(now, probe, true, context.Canceled) // says nothing
		probe = enters("after one that was broken off", true)
		g.leave(now, probe, false, away)
	}
	now = now.Add(mostGatePause)
	g.leave(now, enters("the last", true), false, nil)
	enters("after one was let in", true)
	g.leave(now, false, false, away)
	now = now.Add(leastGatePause)
	enters("the pause begins anew", true)
}

// TestACrowdAsksAServerThatIsAwayAFewTimes holds that the number of tries does not grow with those who want one.
func TestACrowdAsksAServerThatIsAwayAFewTimes(t *testing.T) {
	t.Parallel()
	var g gate
	server := &nobody{}
	var crowd sync.WaitGroup
	for range 8 {
		db := sql.OpenDB(gated{server, &g})
		defer db.Close()
		if err := db.Ping(); err == nil { // from here on it is known to be away
			t.Error("nobody is there, and lets it in")
		}
	}
	g.next = time.Now().Add(time.Hour)
	asked := server.asked.Load()
	for range 8 {
		db := sql.OpenDB(gated{server, &g})
		defer db.Close()
		crowd.Go(func() {
			for range 1000 {
				if err := db.Ping(); !errors.Is(err, errNobody) {
					t.Errorf("got %v, want what the last try heard", err)
				}
			}
		})
	}
	crowd.Wait()
	if got := server.asked.Load() - asked; got != 0 {
		t.Errorf("a server that is known to be away was asked %d times by 8,000", got)
	}
}

var errNobody = errors.New("nobody is there")

// nobody is a server that lets nobody in.
type nobody struct{ asked atomic.Int64 }

func (n *nobody) Connect(context.Context) (driver.Conn, error) {
	n.asked.Add(1)
	return nil, errNobody
}

func (n *nobody) Driver() driver.Driver { return nil }
