package main

import (
	"net/http/httptest"
	"testing"
	"time"

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

// byHand is a Router and a Deliverer that a test drives on a clock of its own, which the limits of the services go by,
// too. It has the channel #ops and the routing key testRoutingKey.
type byHand struct {
	t         *testing.T
	now       time.Time
	chat      *sandbox.Slack
	pager     *sandbox.PagerDuty
	store     *store.Store
	router    *router.Router
	deliverer *delivery.Deliverer
}

func newByHand(t *testing.T, file, db string) *byHand {
	t.Helper()
	b := &byHand{t: t, now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return b.now }
	loaded, err := rules.Load("rules.yaml", []byte(file), rules.Config{})
	must(t, err)
	b.store, err = store.Open(t.Context(), store.Config{DSN: db, StartWait: databases.Patience, Now: clock})
	must(t, err)
	t.Cleanup(func() { must(t, b.store.Close()) })
	b.chat = sandbox.NewSlack(sandbox.SlackConfig{Token: testSlackToken, Channels: []string{"#ops"}, Now: clock})
	b.pager = sandbox.NewPagerDuty(sandbox.PagerDutyConfig{RoutingKeys: []router.Secret{testRoutingKey}, Now: clock})
	slackServer, pagerServer := httptest.NewServer(b.chat), httptest.NewServer(b.pager)
	t.Cleanup(slackServer.Close)
	t.Cleanup(pagerServer.Close)
	chat, err := slack.New(slack.Config{Token: testSlackToken, APIURL: slackServer.URL + "/api/", Now: clock})
	must(t, err)
	page, err := pagerduty.New(pagerduty.Config{EventsURL: pagerServer.URL, Now: clock})
	must(t, err)
	b.router, err = router.New(router.Config{Rules: func() router.Rules { return loaded }, Now: clock}, b.store)
	must(t, err)
	b.deliverer, err = delivery.New(delivery.Config{Notifiers: map[router.Kind]delivery.Notifier{
		router.KindSlack: chat, router.KindPagerDuty: page}, Now: clock}, b.store)
	must(t, err)
	return b
}

// accept stores what Meta posts.
func (b *byHand) accept(body []byte) {
	b.t.Helper()
	events, _ := whatsapp.Decode(body, b.now, whatsapp.WantsAll)
	_, err := b.store.Append(b.t.Context(), events)
	must(b.t, err)
}

// fold folds all that waits.
func (b *byHand) fold() {
	b.t.Helper()
	for n := 1; n > 0; {
		var err error
		n, err = b.router.Fold(b.t.Context())
		must(b.t, err)
	}
}

// deliver makes one attempt, and says whether anything was due.
func (b *byHand) deliver(notifier string) (worked bool) {
	b.t.Helper()
	worked, err := b.deliverer.Deliver(b.t.Context(), notifier, 1)
	must(b.t, err)
	return worked
}

// passUntilDue moves the clock to what waits next.
func (b *byHand) passUntilDue() {
	b.t.Helper()
	_, next, err := b.store.Due(b.t.Context(), b.now)
	if err != nil || !next.After(b.now) {
		b.t.Fatalf("nothing waits: %v %v", next, err)
	}
	b.now = next
}
