package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flowbridge/notifiers"
	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
	"flowbridge/router/delivery"
	"flowbridge/router/rules"
	"flowbridge/router/store"
	databases "flowbridge/router/store/storetest"
	"flowbridge/router/whatsapp"
)

const parkedRules = `version: 1
notifiers:
  chat: {kind: slack, channel: "#ops"}
  boss: {kind: slack, channel: "#boss"}
  page: {kind: pagerduty, routing_key: "${PD_KEY}"}
rules:
  - name: everything
    match: {field: flows}
    notify: [chat, page]
fallback: boss
`

// answering is a Notifier whose answers a test may change while it runs. What it accepts it keeps.
type answering struct {
	mu     sync.Mutex
	answer func(n *router.Notification) error // nil accepts everything
	calls  int
	told   []router.Notification
}

func (a *answering) Sync(_ context.Context, n router.Notification) (router.Receipt, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls++
	if a.answer != nil {
		if err := a.answer(&n); err != nil {
			return n.Receipt, err
		}
	}
	a.told = append(a.told, n)
	return router.Receipt{Own: made("ts", fmt.Sprint(len(a.told))), Open: n.Open, Severity: n.Severity}, nil
}

func (a *answering) set(answer func(n *router.Notification) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

// tried returns how often it was called.
func (a *answering) tried() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls
}

// about returns how often something was told that a test looks for.
func (a *answering) about(want func(n *router.Notification) bool) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.told {
		if want(&a.told[i]) {
			n++
		}
	}
	return n
}

func isParked(n *router.Notification) bool {
	return n.Notice != nil && n.Notice.Name == router.ParkedDelivery
}

func isOpen(n *router.Notification) bool { return n.Incident != nil && n.Open }

// refusing is a bridge without its intake, on a bubble's clock.
type refusing struct {
	t           *testing.T
	store       *store.Store
	slack, page answering
}

func refuseInABubble(t *testing.T, test func(*testing.T, *refusing)) {
	dir := databases.TempDir(t)
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), store.Config{DSN: filepath.Join(dir, "bridge.db")})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		loaded, err := rules.Load("rules.yaml", []byte(parkedRules),
			rules.Config{Env: func(string) (string, bool) { return testRoutingKey, true }})
		if err != nil {
			t.Fatal(err)
		}
		r := &refusing{t: t, store: s}
		folder, err := router.New(router.Config{Rules: func() router.Rules { return loaded }}, s)
		if err != nil {
			t.Fatal(err)
		}
		d, err := delivery.New(delivery.Config{Notifiers: map[router.Kind]delivery.Notifier{router.KindSlack: &r.slack,
			router.KindPagerDuty: &r.page}}, s)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = d.Run(ctx) })
		running.Go(func() { _ = folder.Run(ctx) })
		test(t, r)
		stop()
		running.Wait()
	})
}

// meta is Meta saying something now, which is given a minute to arrive.
func (r *refusing) meta(state string, threshold float64) {
	r.t.Helper()
	now := time.Now().UTC()
	events, _ := whatsapp.Decode([]byte(pairPost(now.Unix(), "77", state, threshold)), now, nil)
	if _, err := r.store.Append(r.t.Context(), events); err != nil {
		r.t.Fatal(err)
	}
	time.Sleep(time.Minute)
}

func (r *refusing) parked() (list []router.Delivery) {
	r.t.Helper()
	list, err := r.store.Deliveries(r.t.Context(), router.DeliveryParked, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

func refusal(words string) error { return &notifiers.Refused{Service: "The service", Said: words} }

func always(words string) func(*router.Notification) error {
	return func(*router.Notification) error { return refusal(words) }
}

func TestAPageThatWasRefusedArrivesByItselfOnceItsCauseIsGone(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	refuseInABubble(t, func(t *testing.T, r *refusing) {
		r.page.set(always("Invalid routing key"))
		r.meta(router.Activated, 10)
		time.Sleep(4 * time.Hour)
		list := r.parked()
		if len(list) != 1 || list[0].NextAt.Before(time.Now()) || list[0].NextAt.After(time.Now().Add(6*time.Hour)) {
			t.Fatalf("parked: %+v", list)
		}
		if n := r.page.tried(); n > 8 {
			t.Errorf("it was tried %d times in 4 h", n)
		}
		r.page.set(nil)
		time.Sleep(4 * time.Hour)
		if got, told := r.page.about(isOpen), r.slack.about(isParked); got != 1 || told != 1 {
			t.Errorf("paged %d times, the fallback was told %d times; want once each", got, told)
		}
	})
}

func TestTheFallbackIsToldEachTimeThatADeliveryIsParkedAnew(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	refuseInABubble(t, func(t *testing.T, r *refusing) {
		told := func(want int, when string) {
			t.Helper()
			if got := r.slack.about(isParked); got != want {
				t.Errorf("%s: the fallback was told %d times, want %d", when, got, want)
			}
		}
		no := always("Invalid routing key")
		r.page.set(no)
		r.meta(router.Activated, 5)
		told(1, "refused")
		r.meta(router.Activated, 10)
		told(1, "refused again, as it got worse")
		if err := r.store.RetryDelivery(t.Context(), r.parked()[0].ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		told(2, "a person retried it in vain")
		time.Sleep(2 * time.Hour)
		told(2, "tried by itself")
		r.page.set(nil)
		time.Sleep(3 * time.Hour)
		if got := r.page.about(isOpen); got == 0 {
			t.Fatal("nobody was paged")
		}
		r.page.set(no)
		r.meta(router.Activated, 50)
		told(3, "refused after it had been told")
	})
}

// TestTwoThatRefuseDoNotTellEachOtherForEver has both notifiers of an incident refuse, with something in their words
// that is new each time. Each refusal renews the other's card.
func TestTwoThatRefuseDoNotTellEachOtherForEver(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	numbered := func() func(*router.Notification) error {
		n := 0
		return func(*router.Notification) error {
			if n++; n > 500 { // else a fault here would never end
				return nil
			}
			return refusal(fmt.Sprintf("no, request %d", n))
		}
	}
	everyOther := func() func(*router.Notification) error {
		n, no := 0, numbered()
		return func(note *router.Notification) error {
			if n++; n%2 == 0 {
				return nil
			}
			return no(note)
		}
	}
	for name, test := range map[string]struct {
		answer func() func(*router.Notification) error
		most   int // tellings of the fallback in six hours
	}{
		"always": {numbered, 2}, // once for each delivery
		// told in between, it is news each time; but it comes with a probe, and these become rare
		"every other time": {everyOther, 18},
	} {
		t.Run(name, func(t *testing.T) {
			refuseInABubble(t, func(t *testing.T, r *refusing) {
				chat := test.answer()
				r.page.set(test.answer())
				r.slack.set(func(n *router.Notification) error {
					if n.Target.Notifier == "boss" {
						return nil
					}
					return chat(n)
				})
				r.meta(router.Activated, 10)
				time.Sleep(10 * time.Minute)
				soon := r.slack.about(isParked)
				time.Sleep(6 * time.Hour)
				told := r.slack.about(isParked)
				if soon > 8 || told > test.most || r.page.tried()+r.slack.tried() > 100 {
					t.Errorf("the fallback was told %d times in 10 min and %d times in six hours, by %d and %d calls", soon, told,
						r.page.tried(), r.slack.tried())
				}
			})
		})
	}
}

func TestTheFallbackItselfIsTriedAgain(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	refuseInABubble(t, func(t *testing.T, r *refusing) {
		r.page.set(always("Invalid routing key"))
		r.slack.set(func(n *router.Notification) error {
			if n.Target.Notifier == "boss" {
				return refusal("is_archived")
			}
			return nil
		})
		r.meta(router.Activated, 10)
		time.Sleep(2 * time.Hour)
		r.slack.set(nil)
		time.Sleep(3 * time.Hour)
		if got := r.slack.about(isParked); got != 1 {
			t.Errorf("the fallback was told %d times, want once", got)
		}
	})
}

func TestAFaultOnTheWayGivesUpNeitherThePageNorTheFallback(t *testing.T) {
	t.Parallel()
	refuseInABubble(t, func(t *testing.T, r *refusing) {
		blip := func(*router.Notification) error {
			return &notifiers.Between{Service: "PagerDuty", Said: "403 Forbidden", Hint: "look"}
		}
		r.page.set(blip)
		r.slack.set(blip)
		r.meta(router.Activated, 10)
		time.Sleep(time.Hour)
		if list := r.parked(); len(list) != 0 {
			t.Errorf("parked: %+v", list)
		}
		waiting, err := r.store.Deliveries(t.Context(), router.DeliveryWaiting, 0)
		if err != nil || len(waiting) != 2 || !strings.Contains(waiting[0].LastError, "something on the way there") {
			t.Errorf("waiting: %+v, %v", waiting, err)
		}
		r.page.set(nil)
		r.slack.set(nil)
		time.Sleep(2 * time.Minute)
		// A card that was told first said that nobody could be paged yet, and is renewed.
		cards := r.slack.about(isOpen)
		if r.page.about(isOpen) != 1 || cards < 1 || cards > 2 || r.slack.about(isParked) != 0 {
			t.Errorf("told %d pages, %d cards, %d notices of parked deliveries", r.page.about(isOpen), cards,
				r.slack.about(isParked))
		}
	})
}

// TestAProxyThatAnswersForPagerDutyLosesNoPage runs the real bridge behind a proxy that answers in PagerDuty's place.
// When it lets calls through again the page arrives, without anybody acting, and the fallback has been told nothing.
func TestAProxyThatAnswersForPagerDutyLosesNoPage(t *testing.T) {
	t.Parallel()
	s := newServices(t, "#ops", "#boss")
	for _, proxy := range sandbox.ProxyFaults() {
		// the least alike; what each means is told elsewhere
		if f := proxy.Fault; f.Status == http.StatusOK || f.Location != "" {
			f.Times = 1
			s.PagerDuty.Fail(f)
		}
	}
	s.PagerDuty.Fail(sandbox.Fault{Status: http.StatusForbidden}) // and then it stays
	p := start(t, s, writeRules(t, parkedRules), databases.File(t))
	type delivery struct {
		Notifier, State, Last_error string
		Attempts                    int
	}
	waiting := func() []delivery {
		var list struct{ Deliveries []delivery }
		p.get(t, "/api/v1/deliveries?state=waiting", &list)
		return list.Deliveries
	}
	for i := range router.LaneDown {
		p.post(t, pairPost(time.Now().Add(-time.Minute).Unix(), fmt.Sprint(70+i), "ACTIVATED", 50), http.StatusOK)
	}
	eventually(t, "all pages wait, and say who answered", func() bool {
		list := waiting()
		return len(list) == router.LaneDown && !slices.ContainsFunc(list, func(d delivery) bool {
			return d.Notifier != "page" ||
				!strings.Contains(d.Last_error, "not PagerDuty but something on the way there, such as a proxy, answered")
		})
	})
	eventually(t, "the notifier is shown as paused", func() bool {
		return hasLine(getText(t, p.Admin+"/metrics"), `flowbridge_lane_paused{notifier="page"} 1`)
	})
	s.PagerDuty.ClearFaults()
	eventually(t, "all are paged", func() bool {
		return len(s.PagerDuty.Incidents()) == router.LaneDown &&
			len(waiting()) == 0
	})
	if got := s.Slack.Messages("#boss"); len(got) != 0 {
		t.Errorf("the fallback was told %q", got[0].Text)
	}
	if got := p.stderr.String(); strings.Contains(got, "is parked") {
		t.Error("something was parked")
	}
}
