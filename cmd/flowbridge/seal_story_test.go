package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
)

// TestRoutingKeysCannotBeReadInTheDatabase pages, restarts with a new app secret beside the old one, and resolves with
// the key that is pinned to the page.
func TestRoutingKeysCannotBeReadInTheDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rules, db := filepath.Join(dir, "rules.yaml"), filepath.Join(dir, "bridge.db")
	text := "version: 1\nnotifiers:\n  page: {kind: pagerduty, routing_key: \"${PD_KEY}\"}\ndefault: {notify: [page]}\n"
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newServices(t)
	p := start(t, s, rules, db)
	at := time.Now().Unix()
	p.post(t, pairPost(at, "77", router.Activated, 10), 200)
	isOpen := func(want bool) func() bool {
		return func() bool {
			incidents := s.PagerDuty.Incidents()
			return len(incidents) == 1 && (incidents[0].Status != "resolved") == want
		}
	}
	eventually(t, "somebody is paged", isOpen(true))
	if found := readable(t, db, testRoutingKey); len(found) > 0 {
		t.Errorf("the routing key can be read: %v", found)
	}
	if err := p.stop(t); err != nil {
		t.Fatal(err)
	}
	for i, pair := range s.env {
		if strings.HasPrefix(pair, "META_APP_SECRET=") {
			s.env[i] = "META_APP_SECRET=a-newer-secret," + testSecret
		}
		if strings.HasPrefix(pair, "PD_KEY=") {
			s.env[i] = "PD_KEY=ffffffffffffffffffffffffffffffff" // of another service
		}
	}
	p = start(t, s, rules, db)
	p.post(t, pairPost(at+1, "77", router.Deactivated, 10), 200)
	eventually(t, "the page is resolved with the key that is pinned", isOpen(false))
	if found := readable(t, db, testRoutingKey); len(found) > 0 {
		t.Errorf("after another start the routing key can be read: %v", found)
	}
}
