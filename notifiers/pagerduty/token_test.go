package pagerduty_test

import (
	"sync/atomic"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

// TestARestTokenThatIsReplacedNeedNotWaitForTheOldOne has PagerDuty refuse the first, which is left alone for minutes.
func TestARestTokenThatIsReplacedNeedNotWaitForTheOldOne(t *testing.T) {
	t.Parallel()
	o := newOffice(t, sandbox.PagerDutyConfig{OnCall: "ben"})
	var held atomic.Value
	held.Store(router.Secret("revoked"))
	o.cfg.Token, o.cfg.TokenNow = "revoked", func() router.Secret { return held.Load().(router.Secret) }
	o.start(t)
	o.page(t, routingKey, incident42)
	o.unlinked = []router.Place{place42("", 0)}
	o.places = o.unlinked
	o.pass(t, 10*time.Second)
	if len(o.journal) != 0 {
		t.Fatalf("with a token that is not taken it learnt %+v", o.journal)
	}
	held.Store(router.Secret(apiToken))
	o.pass(t, 10*time.Second)
	if len(o.journal) == 0 {
		t.Errorf("with the new token it learns nothing:\n%s", &o.log)
	}
	sandbox.AssertNoSecret(t, []string{apiToken}, o.log.String())
}
