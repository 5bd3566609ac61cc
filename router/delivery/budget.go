package delivery

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"flowbridge/router"
)

// What services allow, a little under it, so that their limits are never met. In any minute at most Burst + 60 s /
// Every calls are made. Sources: Slack's rate limits (chat.postMessage: about one a second and channel with short
// bursts; chat.update: tier 3, 50 a minute for the app); PagerDuty's Events API (about 120 a minute and routing key).
const (
	postEvery = time.Second
	postBurst = 5

	updateEvery = 1500 * time.Millisecond // 40 a minute, and the burst makes 50
	updateBurst = 10
	// updateReserve is left to ends and to what got worse: they find room whatever else is edited.
	updateReserve = 5

	eventEvery = 600 * time.Millisecond // 100 a minute, and the burst makes 120
	eventBurst = 20
)

// fewLines is how many lines of a thread are a post each; more are joined into one.
const fewLines = 4

// Charges says what telling n takes from the budgets. It is taken before the Sync, so it is a guess at what that will
// call: one post for a message that is not there yet, else one update; one post for each line that the thread has
// yet to say; one call of PagerDuty's for what opens or closes, one more where something older has to be ended there
// first, one for each page that a lost database may have left there, and one where an acknowledgement goes with it. Reads are
// not counted: they come after a crash or an unclear answer only. A guess that is too low meets the service's own
// limit, which the notifier obeys.
func Charges(n *router.Notification) []router.Charge {
	switch n.Target.Kind {
	case router.KindSlack:
		return slackCharges(n)
	case router.KindPagerDuty:
		calls := 1
		switch {
		case n.Recovers():
			calls = len(router.PageKeys(n.Notice.Recovery))
		case n.Stale():
			calls++
		}
		calls += len(n.Left())
		if n.Incident != nil && n.Open && n.Incident.State == router.IncidentAcknowledged && !n.Receipt.Acknowledged {
			calls++
		}
		sum := sha256.Sum256([]byte(n.Target.RoutingKey.Reveal()))
		return []router.Charge{{Budget: "pagerduty " + hex.EncodeToString(sum[:8]), Calls: calls, Every: eventEvery, Burst: eventBurst}}
	}
	return nil
}

func slackCharges(n *router.Notification) (charges []router.Charge) {
	if n.Digest != nil && n.Digest.Unsettled { // it is only looked for
		return nil
	}
	posts := 0
	if n.Receipt.TS == "" {
		posts = 1
	} else if n.Incident != nil && !n.Receipt.Frozen {
		update := router.Charge{Budget: "slack chat.update", Calls: 1, Every: updateEvery, Burst: updateBurst}
		if n.Class > router.ClassWorse {
			update.Reserve = updateReserve
		}
		charges = append(charges, update)
	}
	if (n.Receipt.TS != "" || n.Open) && !n.Receipt.Mute { // what is over without a message is told in one
		posts += lines(n)
	}
	if posts > 0 {
		channel := cmp.Or(n.Target.Channel, n.Receipt.Channel)
		charges = append(charges, router.Charge{Budget: "slack chat.postMessage " + channel, Calls: posts, Every: postEvery, Burst: postBurst})
	}
	return charges
}

// lines is how many posts the thread of an incident has yet to get.
func lines(n *router.Notification) (posts int) {
	for i := range n.Timeline {
		if k := n.Timeline[i].Kind; k != router.EntryOpened && k != router.EntryRefreshed {
			posts++
		}
	}
	if posts > fewLines {
		return 1
	}
	return posts
}
