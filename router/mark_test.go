package router_test

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"flowbridge/router"
)

// deadly are rules that end the process on some events: that of a goroutine is its end without an error.
type deadly struct {
	*history
	flow  string
	plain bool // Plain does not help
}

func (d deadly) Decide(e *router.Event) router.Decision {
	if e.Flow == d.flow {
		runtime.Goexit()
	}
	return d.history.Decide(e)
}

func (d deadly) RenderIncident(inc *router.Incident, _ []router.Alert) (string, string) {
	if inc.Flow == d.flow {
		runtime.Goexit()
	}
	return "", ""
}

func (d deadly) Plain() router.Rules {
	if d.plain {
		return d
	}
	return d.history
}

// lives folds in one process after another, until one has nothing to do any more, and returns how many those were.
func lives(t *testing.T, l *ledger, rules router.Rules) (n int) {
	t.Helper()
	for n < 20 {
		n++
		r, _ := over(t, l, rules)
		ended := make(chan bool)
		go func() {
			done := false
			defer func() { ended <- done }()
			for len(l.events)+len(l.due) > 0 {
				_, _ = r.Fold(t.Context())
				_, _, _ = r.Tick(t.Context())
			}
			done = true
		}()
		if <-ended {
			return n
		}
	}
	t.Fatal("the process ends again and again")
	return n
}

func TestAnEventThatEndsTheProcessIsFoldedByPlainRules(t *testing.T) {
	l := refusing(20, nil)
	if n := lives(t, l, deadly{&history{decide: chatAndPage}, "f7", false}); n != 4 {
		t.Errorf("%d processes, want 4: in a batch, twice alone, and one that goes on", n)
	}
	slices.Sort(l.folded)
	if len(l.failed) > 0 || len(l.folded) != 20 || len(slices.Compact(l.folded)) != 20 {
		t.Errorf("folded %v, set aside %v", l.folded, l.failed)
	}
}

func TestAnEventThatEndsTheProcessEvenSoIsSetAside(t *testing.T) {
	l := refusing(20, nil)
	if n := lives(t, l, deadly{&history{decide: chatAndPage}, "f7", true}); n != 6 {
		t.Errorf("%d processes, want 6", n)
	}
	if len(l.failed) != 1 || !strings.HasPrefix(l.failed[7], "set aside: the process ended 4 times in the middle of it") {
		t.Errorf("set aside %v", l.failed)
	}
}

func TestTimersThatEndTheProcessAreRunByPlainRules(t *testing.T) {
	l := refusing(0, nil)
	for i, flow := range []string{"f1", "f2", "f3"} {
		id := router.FlowID{WABA: "w", Flow: flow}
		inc := router.Incident{Number: int64(i + 1), WABA: "w", Flow: flow, State: router.IncidentOpen, Wake: morning}
		l.due, l.states[id] = append(l.due, id), router.State{FlowID: id, Incidents: []router.Incident{inc}}
	}
	if n := lives(t, l, deadly{&history{decide: chatAndPage}, "f2", false}); n != 4 {
		t.Errorf("%d processes, want 4", n)
	}
	if len(l.put) > 0 {
		t.Errorf("put off %v", l.put)
	}
}

// TestTheMarkIsWrittenOnceAndRemovedAtTheEnd counts how often.
func TestTheMarkIsWrittenOnceAndRemovedAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := refusing(100, nil)
		r, _ := over(t, l, &history{decide: chatAndPage})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		synctest.Wait()
		if len(l.events) > 0 || l.marks != 1 || l.mark == nil || *l.mark != (router.Mark{}) {
			t.Errorf("%d events wait; the mark is %v, written %d times", len(l.events), l.mark, l.marks)
		}
		stop()
		if err := <-ended; err != nil || l.mark != nil || l.marks != 2 {
			t.Errorf("the mark is %v, written %d times; %v", l.mark, l.marks, err)
		}
	})
}

// TestAPowerCutMakesTheNextProcessCarefulForABatch looks at how many events each transaction has.
func TestAPowerCutMakesTheNextProcessCarefulForABatch(t *testing.T) {
	l := refusing(40, nil)
	l.mark = &router.Mark{} // of a process that was folding something else
	if n := lives(t, l, &history{decide: chatAndPage}); n != 1 {
		t.Errorf("%d processes", n)
	}
	want := append(slices.Repeat([]int{1}, 16), 16, 8)
	if !slices.Equal(l.tried, want) {
		t.Errorf("transactions of %v events, want %v", l.tried, want)
	}
}
