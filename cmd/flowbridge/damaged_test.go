package main

import (
	"database/sql"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
	"flowbridge/router/whatsapp"
)

// TestALostReceiptMakesNoSecondCard damages what is kept of a card and a page that are open: the recovery ends both
// where they are.
func TestALostReceiptMakesNoSecondCard(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "damaged.db")
	b := newByHand(t, `version: 1
notifiers:
  chat: {kind: slack, channel: "#ops"}
  page: {kind: pagerduty, routing_key: "`+testRoutingKey+`"}
default: {notify: [chat, page]}
`, path)
	post := func(state string) {
		t.Helper()
		threshold := 10.0
		body, err := whatsapp.Sample{Event: router.EndpointErrorRate, Flow: "77", Time: b.now, Threshold: &threshold,
			AlertState: state}.Body()
		must(t, err)
		b.accept(body)
		b.fold()
		for b.deliver("chat") || b.deliver("page") {
		}
	}
	post(router.Activated)
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(30000)") // the bridge writes, too
	must(t, err)
	done, err := db.Exec(`UPDATE deliveries SET receipt = '{broken'`)
	must(t, err)
	if n, err := done.RowsAffected(); n != 2 || err != nil {
		t.Fatalf("%d receipts are damaged (%v), want 2", n, err)
	}
	must(t, db.Close())
	b.now = b.now.Add(time.Minute)
	post(router.Deactivated)

	var methods []string
	for _, call := range b.chat.Calls() {
		methods = append(methods, call.Method)
	}
	if n := len(slices.DeleteFunc(slices.Clone(methods), func(m string) bool { return m != "chat.update" })); n != 1 {
		t.Errorf("Slack was asked for %v; want its history looked at, and one update", methods)
	}
	if pages := b.pager.Incidents(); len(pages) != 1 || pages[0].Status != sandbox.IncidentResolved {
		t.Errorf("PagerDuty has %+v", pages)
	}
}
