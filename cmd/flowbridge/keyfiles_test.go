package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
	databases "flowbridge/router/store/storetest"
)

const (
	oldKey = testRoutingKey
	newKey = "fedcba9876543210fedcba9876543210"
)

// keyedRules page by the key in a file.
func keyedRules(path string) string {
	return fmt.Sprintf(`version: 1
notifiers:
  page: {kind: pagerduty, routing_key: "${file:%s}"}
rules:
  - name: everything
    match: {field: flows}
    notify: [page]
`, path)
}

func routingKey(set *ruleset) router.Secret {
	target, _ := set.rules().Target("page")
	return target.Credential
}

// TestAKeyFileOfTheRulesIsWatchedLikeTheRules replaces it in every way, where only a notification can tell of it.
func TestAKeyFileOfTheRulesIsWatchedLikeTheRules(t *testing.T) {
	t.Parallel()
	for _, r := range replacements {
		t.Run(r.how, func(t *testing.T) {
			key := filepath.Join(t.TempDir(), "key")
			writeFile(t, key, oldKey+"\n")
			set, hup := watched(t, writeRules(t, keyedRules(key)), time.Hour)
			nudge(t, set, hup)
			r.do(t, key, newKey+"\n")
			eventually(t, "the new key is in force", func() bool { return routingKey(set) == newKey })
		})
	}
}

// TestAKeyFileThatRulesNameAnewIsWatched edits the rules, and then the file that they name since.
func TestAKeyFileThatRulesNameAnewIsWatched(t *testing.T) {
	t.Parallel()
	path := writeRules(t, ruleNamed("everything"))
	set, hup := watched(t, path, time.Hour)
	nudge(t, set, hup)
	key := filepath.Join(t.TempDir(), "key")
	writeFile(t, path, keyedRules(key)) // it is not there yet
	eventually(t, "the rules are refused", func() bool { return set.trouble() != "" })
	writeFile(t, key, oldKey)
	eventually(t, "the key is in force", func() bool { return routingKey(set) == oldKey })
}

// TestAKeyFileBehindALinkIsSeenAllTheSame changes what no watched folder has: the file that a link points to.
func TestAKeyFileBehindALinkIsSeenAllTheSame(t *testing.T) {
	t.Parallel()
	target, key := filepath.Join(t.TempDir(), "target"), filepath.Join(t.TempDir(), "key")
	writeFile(t, target, oldKey)
	must(t, os.Symlink(target, key))
	set, hup := watched(t, writeRules(t, keyedRules(key)), 20*time.Millisecond)
	nudge(t, set, hup)
	replacements[4].do(t, target, newKey) // of the same size and time
	eventually(t, "the new key is in force", func() bool { return routingKey(set) == newKey })
}

// TestARoutingKeyThatIsReplacedPagesByTheNewOneAndClosesByTheOld replaces it under a running bridge.
func TestARoutingKeyThatIsReplacedPagesByTheNewOneAndClosesByTheOld(t *testing.T) {
	t.Parallel()
	s := startServices(t, sandbox.SlackConfig{}, sandbox.PagerDutyConfig{RoutingKeys: []router.Secret{oldKey, newKey}})
	key := filepath.Join(t.TempDir(), "key")
	mountSecret(t, key, oldKey)
	p := start(t, s, writeRules(t, keyedRules(key)), databases.File(t))
	paged := func(n int) sandbox.Incident {
		t.Helper()
		eventually(t, fmt.Sprintf("%d are paged", n), func() bool { return len(s.PagerDuty.Incidents()) == n })
		return s.PagerDuty.Incidents()[n-1]
	}
	reloads := func(line string) {
		t.Helper()
		eventually(t, line, func() bool { return hasLine(getText(t, p.Admin+"/metrics"), line) })
	}
	p.post(t, pairPost(lately, "77", "ACTIVATED", 50), http.StatusOK)
	if got := paged(1); got.RoutingKey != oldKey {
		t.Fatal("the first page went to another key")
	}

	mountSecret(t, key, newKey)
	reloads(`flowbridge_rules_reloads_total{result="good"} 1`)
	p.post(t, pairPost(lately+60, "78", "ACTIVATED", 50), http.StatusOK)
	if got := paged(2); got.RoutingKey != newKey {
		t.Error("the next incident still goes to the old key")
	}
	p.post(t, pairPost(lately+120, "77", "DEACTIVATED", 50), http.StatusOK)
	eventually(t, "the first is resolved by the key that it was opened with", func() bool {
		return s.PagerDuty.Incidents()[0].Status == sandbox.IncidentResolved
	})

	mountSecret(t, key, "") // a slip
	reloads(`flowbridge_rules_reloads_total{result="refused"} 1`)
	p.post(t, pairPost(lately+180, "79", "ACTIVATED", 50), http.StatusOK)
	if got := paged(3); got.RoutingKey != newKey {
		t.Error("with an empty file another key than the last good one is used")
	}
	for _, call := range s.PagerDuty.Calls() {
		if call.Status != http.StatusAccepted {
			t.Errorf("PagerDuty refused %+v", call)
		}
	}
	sandbox.AssertNoSecret(t, []string{oldKey, newKey}, p.stderr.String())
	must(t, p.stop(t))
}
