package pagerduty

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"flowbridge/router"
)

// What PagerDuty allows, a little under it, so that its limit is never met, which costs a page a minute: calls arrive
// some milliseconds after they were paid for, some sooner. In any minute at most Burst + 60 s / Every calls are made.
// Source: "Events API v2 overview", about 120 events a minute and routing key.
const (
	eventEvery = 620 * time.Millisecond // 96 a minute, and the burst makes 116
	eventBurst = 20
)

// Charges says what telling n takes from the budgets: see Charges of the package.
func (p *Notifier) Charges(n *router.Notification) []router.Charge { return Charges(n) }

// Charges says what telling n takes from the budget of its routing key.
func Charges(n *router.Notification) []router.Charge {
	calls := calls(n)
	if calls == 0 {
		return nil
	}
	sum := sha256.Sum256([]byte(n.Target.Credential.Reveal()))
	return []router.Charge{{Budget: "pagerduty " + hex.EncodeToString(sum[:8]), Calls: calls, Every: eventEvery,
		Burst: eventBurst}}
}

// calls counts what a Sync sends to the Events API.
func calls(n *router.Notification) (calls int) {
	switch {
	case n.Digest != nil, n.Notice != nil && n.Receipt.Told > 0:
		return 0
	case n.Recovers():
		return len(router.PageKeys(n.Notice.Recovery))
	case n.Notice != nil:
		return 1
	case !n.Open && !mayBeOpen(n) && mayBeLeft(n):
		return len(n.Left())
	case !n.Open && !mayBeOpen(n):
		return 0
	case !n.Open:
		return 1 + len(n.Left())
	}
	calls = 1
	if n.Stale() {
		calls++ // what is older is ended first
	}
	if passesOn(n) {
		calls++
	}
	return calls
}
