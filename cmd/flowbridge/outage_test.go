package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flowbridge/notifiers/pagerduty"
	"flowbridge/notifiers/sandbox"
	"flowbridge/notifiers/slack"
	"flowbridge/router"
	"flowbridge/router/delivery"
	"flowbridge/router/store"
	databases "flowbridge/router/store/storetest"
)

// service is a Notifier that is up or down, and keeps what it was told.
type service struct {
	mu   sync.Mutex
	down bool
	told []router.Notification
	at   []time.Time
}

func (s *service) Sync(_ context.Context, n router.Notification) (router.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told, s.at = append(s.told, n), append(s.at, time.Now())
	switch {
	case s.down:
		return n.Receipt, errors.New("503 Service Unavailable")
	case n.Digest != nil:
		return router.Receipt{Digest: fmt.Sprint(len(s.told)), Open: !n.Digest.Recovered}, nil
	}
	return router.Receipt{Own: made("ts", fmt.Sprint(len(s.told))), Open: n.Open, Severity: n.Severity}, nil
}

// slackLike and pagerDutyLike have the limits of Slack and PagerDuty.
type (
	slackLike     struct{ *service }
	pagerDutyLike struct{ *service }
)

func (slackLike) Charges(n *router.Notification) []router.Charge     { return slack.Charges(n) }
func (pagerDutyLike) Charges(n *router.Notification) []router.Charge { return pagerduty.Charges(n) }

func (s *service) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// calls returns what was told since the call before, with its time.
func (s *service) calls() (told []router.Notification, at []time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	told, at = s.told, s.at
	s.told, s.at = nil, nil
	return told, at
}

// owing is a store with a Deliverer, and what it owes.
type owing struct {
	t            *testing.T
	store        *store.Store
	slack, pager service
}

// deliverInABubble runs a test on the bubble's clock, over a real store.
func deliverInABubble(t *testing.T, test func(*testing.T, *owing)) {
	dir := databases.TempDir(t)
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), store.Config{DSN: filepath.Join(dir, "q.db")})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		o := &owing{t: t, store: s}
		d, err := delivery.New(delivery.Config{Notifiers: map[router.Kind]delivery.Notifier{
			router.KindSlack: slackLike{&o.slack}, router.KindPagerDuty: pagerDutyLike{&o.pager}}}, s)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = d.Run(ctx) })
		test(t, o)
		stop()
		running.Wait()
	})
}

// owe makes both notifiers be owed an incident.
func (o *owing) owe(n int64, open bool, severity router.Severity) {
	inc := router.Incident{Number: n, Key: fmt.Sprint(n), WABA: "w", Flow: fmt.Sprint(n), Event: router.EndpointErrorRate,
		State:    router.IncidentOpen,
		Severity: severity, Peak: severity, OpenedAt: time.Now()}
	if !open {
		inc.State, inc.ResolvedAt = router.IncidentResolved, time.Now()
	}
	owed := func(notifier string, kind router.Kind) router.Owed {
		return router.Owed{Incident: n, Key: inc.Key, Open: open, Severity: severity,
			Target: router.Target{Notifier: notifier, Kind: kind, Address: "#ops", Credential: "key"}}
	}
	err := o.store.Commit(o.t.Context(), router.Batch{Incidents: []router.Incident{inc},
		Owed: []router.Owed{owed("chat", router.KindSlack), owed("page", router.KindPagerDuty)}})
	if err != nil {
		o.t.Fatal(err)
	}
}

func TestADeadServiceIsProbedAndThenToldHowThingsStand(t *testing.T) {
	t.Parallel()
	deliverInABubble(t, func(t *testing.T, o *owing) {
		o.pager.set(true)
		for n := range int64(10) {
			o.owe(n+1, true, router.Error)
		}
		time.Sleep(10 * time.Minute)
		for n := range int64(5) { // half of it is over before PagerDuty could be told
			o.owe(n+1, false, router.Error)
		}
		o.owe(10, true, router.Critical)
		time.Sleep(50 * time.Minute)
		told, _ := o.slack.calls()
		// of ten that are open, of three whose page was still refused a minute later, and of what then changed
		if len(told) != 19 {
			t.Errorf("Slack was told %d times in the meantime, want 19", len(told))
		}
		told, at := o.pager.calls()
		if len(told) < 60 || len(told) > 85 {
			t.Errorf("PagerDuty was called %d times in an hour, want about one a minute", len(told))
		}
		if last := time.Since(at[len(at)-1]); last > time.Minute {
			t.Errorf("the last probe was %s ago", last)
		}

		o.pager.set(false)
		back := time.Now()
		time.Sleep(2 * time.Minute)
		told, at = o.pager.calls()
		state := map[int64]string{}
		for _, n := range told {
			state[n.Incident.Number] += fmt.Sprintf("%v %s;", n.Open, n.Severity)
		}
		for n := range int64(10) {
			want := "true error;"
			switch {
			case n < 5:
				want = "false error;"
			case n == 9:
				want = "true critical;"
			}
			if state[n+1] != want {
				t.Errorf("INC-%d: PagerDuty was told %q, want %q", n+1, state[n+1], want)
			}
		}
		if took := at[len(at)-1].Sub(back); took > time.Minute+time.Second {
			t.Errorf("all was told %s after PagerDuty came back, want within a minute and a second", took)
		}
		early, opens := 0, 0 // ends that were told while a page waited: the probe, and the turn of what is owed longest
		for _, n := range told {
			if n.Open {
				opens++
			} else if opens < 5 {
				early++
			}
		}
		if early > 2 {
			t.Errorf("%d ends were told before the new pages", early)
		}
	})
}

func TestAStormIsToldInDigestsAndWithinTheLimits(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	deliverInABubble(t, func(t *testing.T, o *owing) {
		began := time.Now()
		const many = storm
		for n := range int64(many) {
			o.owe(n+1, true, router.Error)
		}
		time.Sleep(5 * time.Minute)
		pages, at := o.pager.calls()
		if len(pages) != many {
			t.Errorf("%d pages, want %d", len(pages), many)
		}
		for i := range at {
			if i+120 < len(at) && at[i+120].Sub(at[i]) < time.Minute {
				t.Fatalf("more than 120 calls of PagerDuty in a minute, from %s on", at[i].Sub(began))
			}
		}
		cards, _ := o.slack.calls()
		digested, goOn := 0, 10 // of those that go on, how many have no card yet
		for _, n := range cards {
			switch {
			case n.Digest != nil:
				digested += len(n.Digest.Parts)
			case n.Incident.Number > many-10:
				goOn--
			}
		}
		// A lane may be so quick that few wait once its first messages are spent.
		if len(cards) > router.StormSize+10 || digested+len(cards) < many {
			t.Errorf("the channel got %d messages, digests of %d incidents among them; want few messages and all %d incidents",
				len(cards), digested, many)
		}
		for n := range int64(many - 10) {
			o.owe(n+1, false, router.Error)
		}
		time.Sleep(10 * time.Minute)
		ends, _ := o.slack.calls()
		over, open := 0, 0
		for _, n := range ends {
			switch {
			case n.Digest != nil:
				over += len(n.Digest.Parts)
			case n.Open:
				open++
			default:
				over++
			}
		}
		if over != many-10 || open != goOn || len(ends) > 40 {
			t.Errorf("%d messages told of %d ends and %d cards; want all %d ends, and a card for %d that go on without one",
				len(ends), over, open, many-10, goOn)
		}
		if stats, err := o.store.Stats(t.Context()); err != nil || stats.Deliveries[router.DeliveryWaiting] != 0 {
			t.Errorf("still owed: %v, %v", stats.Deliveries, err)
		}
	})
}

// TestADeadServiceIsNotNoticedElsewhere lets Slack take calls and answer none. Posts are stored all the same, and
// PagerDuty gets every page and every end of one, while Slack has not answered once. When it answers again it is told
// how things stand.
func TestADeadServiceIsNotNoticedElsewhere(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	s := newServices(t, "#ops")
	p := start(t, s, writeRules(t, crashRules), databases.File(t))
	s.Slack.Fail(sandbox.Fault{Method: "chat.postMessage", Hang: true})
	for i := range 10 {
		p.post(t, pairPost(lately, fmt.Sprint(70+i), "ACTIVATED", 50), http.StatusOK)
	}
	eventually(t, "PagerDuty has every page", func() bool { return len(s.PagerDuty.Incidents()) == 10 })
	for i := range 5 {
		p.post(t, pairPost(lately+60, fmt.Sprint(70+i), "DEACTIVATED", 50), http.StatusOK)
	}
	open := func() (n int) {
		for _, inc := range s.PagerDuty.Incidents() {
			if inc.Status != sandbox.IncidentResolved {
				n++
			}
		}
		return n
	}
	eventually(t, "PagerDuty is told of every end", func() bool { return open() == 5 })
	if n := len(s.Slack.Messages("#ops")); n != 0 {
		t.Fatalf("Slack has %d messages: it was not dead", n)
	}
	s.Slack.ClearFaults()
	eventually(t, "Slack is told how things stand", func() bool {
		cards, over := 0, 0
		for _, m := range s.Slack.Messages("#ops") {
			if m.ThreadTS == "" {
				cards++
			}
			if m.ThreadTS == "" && m.Color != "#a30200" {
				over++
			}
		}
		return cards == 10 && over == 5
	})
}

// TestABridgeOutlivesItsDatabase ends PostgreSQL under a bridge at work and starts it again.
func TestABridgeOutlivesItsDatabase(t *testing.T) {
	t.Parallel()
	server := databases.Start(t, "fsync=on")
	s := newServices(t, "#ops")
	p := start(t, s, writeRules(t, crashRules), server.Database(t))
	paged := func(n int) func() bool { return func() bool { return len(s.PagerDuty.Incidents()) == n } }
	p.post(t, pairPost(lately, "77", "ACTIVATED", 50), http.StatusOK)
	eventually(t, "the first is told", paged(1))

	server.Stop()
	p.post(t, pairPost(lately, "78", "ACTIVATED", 50), http.StatusServiceUnavailable)
	if got := p.readiness(t); got != http.StatusServiceUnavailable {
		t.Errorf("/readyz without a database answers %d", got)
	}
	if err := server.Run(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "/readyz says yes again", func() bool { return p.readiness(t) == http.StatusOK })
	p.post(t, pairPost(lately, "78", "ACTIVATED", 50), http.StatusOK) // as Meta repeats it
	eventually(t, "the second is told", paged(2))
	p.post(t, pairPost(lately+60, "77", "DEACTIVATED", 50), http.StatusOK)
	eventually(t, "the first is over", func() bool { return s.PagerDuty.Incidents()[0].Status == "resolved" })
	if err := p.stop(t); err != nil {
		t.Errorf("a clean stop: %v", err)
	}
}

// TestABridgeThatWaitsForItsDatabaseStopsAsItIsTold ends one that was never ready.
func TestABridgeThatWaitsForItsDatabaseStopsAsItIsTold(t *testing.T) {
	t.Parallel()
	path, err := binary()
	must(t, err)
	s := newServices(t, "#ops")
	p := launch(t, s, path, writeRules(t, crashRules), "postgres://flowbridge@127.0.0.1:1/nobody?sslmode=disable",
		"127.0.0.1:0")
	eventually(t, "it waits for the database", func() bool {
		return strings.Contains(p.stderr.String(), "the database cannot be reached yet")
	})
	if err := p.stop(t); err != nil || !strings.Contains(p.stderr.String(), "has stopped before it was ready") {
		t.Errorf("a clean stop: %v\n%s", err, p.stderr)
	}
}

// TestADigestIsToldOnce loses the answer to a digest, or the whole bridge while it waits for that.
func TestADigestIsToldOnce(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]struct {
		fault sandbox.Fault
		kill  bool
	}{
		"the answer is lost": {fault: sandbox.Fault{Method: "chat.postMessage", Times: 1, EOF: true, AfterAccept: true}},
		"killed": {fault: sandbox.Fault{Method: "chat.postMessage", Times: 1, Hang: true, AfterAccept: true},
			kill: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServices(t, "#ops")
			rules, db := writeRules(t, crashRules), databases.File(t)
			p := start(t, s, rules, db)
			s.Slack.Fail(lose.fault)
			var entries []string
			for i := range router.StormSize + 5 {
				entries = append(entries, pairEntry(lately, fmt.Sprint(100+i), "ACTIVATED", 50))
			}
			p.post(t, postOf(entries...), http.StatusOK)
			eventually(t, "Slack has the digest", func() bool { return len(s.Slack.Messages("#ops")) == 1 })
			if lose.kill {
				p.kill()
				s.Slack.ClearFaults()
				p = start(t, s, rules, db)
			}
			known := regexp.MustCompile(fmt.Sprintf(`"a delivery is delivered",.*"incidents":%d,`, router.StormSize+5))
			eventually(t, "the bridge knows that it is told", func() bool { return known.MatchString(p.stderr.String()) })
			if got := s.Slack.Messages("#ops"); len(got) != 1 {
				t.Errorf("%d messages, the last: %s", len(got), got[len(got)-1].Text)
			}
		})
	}
}

// made is a receipt's own half with one member.
func made(name, value string) router.Own { return router.Own(fmt.Sprintf("{%q:%q}", name, value)) }
