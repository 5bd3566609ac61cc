package console

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
)

// TestReadinessKnowsWhatDoesNotGetOn plays looks at the store, ten seconds apart.
func TestReadinessKnowsWhatDoesNotGetOn(t *testing.T) {
	folds := func(head int64) router.Progress { return router.Progress{Folds: true, Head: head} }
	peer := func(head int64) router.Progress { return router.Progress{Head: head} }
	lane := func(turns int64) router.Progress {
		return router.Progress{Folds: true, Lanes: map[string]int64{"chat": turns, "page": 99}}
	}
	idle := router.Progress{Folds: true}
	again := func(p router.Progress, n int) (all []router.Progress) {
		for range n {
			all = append(all, p)
		}
		return all
	}
	for _, tt := range []struct {
		name  string
		looks []router.Progress
		want  string // part of what keeps it from being ready at the last look; "" if nothing does
	}{
		{"nothing waits", again(idle, 100), ""},
		{"an event waits for less than 30 s", again(folds(7), 3), ""},
		{"an event waits for 30 s, and we are to fold it", again(folds(7), 4),
			"for 30 s none was, though this process has the right to"},
		{"a backlog is worked off", []router.Progress{folds(1), folds(200), folds(400), folds(600), folds(800),
			folds(1000)}, ""},
		{"it is folded at last", append(again(folds(7), 50), folds(8)), ""},
		{"nothing waits any more", append(again(folds(7), 50), idle), ""},
		{"the next event waits as long as the first", append(again(folds(7), 50), again(folds(8), 4)...), "for 30 s none"},
		{"another process has the right, and a minute to use it", again(peer(7), 12), ""},
		{"another process has the right, and folds nothing", again(peer(7), 13), "for 2 min no process has folded any"},
		{"we took over from one that did not get on, and fold", append(again(peer(7), 13), folds(8)), ""},
		{"an attempt may take its time", again(lane(3), 9), ""},
		{"nothing is tried at two notifiers", again(lane(3), 10),
			"deliveries are due and are not tried, to chat (1 min 30 s), page (1 min 30 s)"},
		{"one of them gets on", append(again(lane(3), 9), lane(4), lane(5)), "not tried, to page (1 min 40 s): see"},
		{"nothing is due any more", append(again(lane(3), 20), idle), ""},
		{"what is due comes and goes", append(append(again(lane(3), 9), idle), again(lane(3), 9)...), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now, s := noon, &memStore{}
			c, _ := newConsole(t, Config{Now: func() time.Time { return now }}, s)
			var got string
			var status int
			for _, s.progress = range tt.looks {
				resp := ask(c, "GET", "/readyz", "")
				got, status = text(t, resp), resp.StatusCode
				now = now.Add(10 * time.Second)
			}
			if (tt.want != "") != (status == http.StatusServiceUnavailable) || !strings.Contains(got, tt.want) {
				t.Errorf("%d %s, want %q", status, got, tt.want)
			}
		})
	}
}

func TestTheWatchLooksWhileNobodyAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &memStore{progress: router.Progress{Folds: true, Head: 7, Lanes: map[string]int64{"chat": 3}}}
		metrics := prometheus.NewPedanticRegistry()
		c, _ := newConsole(t, Config{Now: time.Now, Registerer: metrics, Gatherer: metrics}, s)
		ctx := t.Context()
		go c.Watch(ctx)
		time.Sleep(19 * time.Minute)
		if resp := ask(c, "GET", "/readyz", ""); resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("after 19 minutes, at the first question: %s", text(t, resp))
		}
		page := text(t, ask(c, "GET", "/metrics", ""))
		for _, want := range []string{"flowbridge_folds 1\n", "flowbridge_fold_stalled_seconds 1140\n",
			`flowbridge_lane_stalled_seconds{notifier="chat"} 1140` + "\n"} {
			if !strings.Contains(page, want) {
				t.Errorf("the metrics lack %s", want)
			}
		}
		s.mu.Lock()
		s.fault = errors.New("gone") // what was seen before says nothing of the time since
		s.mu.Unlock()
		time.Sleep(time.Hour)
		if _, fold, _ := c.progress.stalled(); fold != 19*time.Minute {
			t.Errorf("%s without storage, want 19 min", fold)
		}
	})
}
