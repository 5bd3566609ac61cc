package slack

import (
	"cmp"
	"time"

	"flowbridge/router"
)

// What Slack allows, a little under it, so that its limits are never met: a call arrives some milliseconds after it was
// paid for, and the next one sooner. In any minute at most Burst + 60 s / Every calls are made. Source: Slack's rate
// limits (chat.postMessage: about one a second and channel with short bursts; chat.update: tier 3, 50 a minute for the
// app).
const (
	postEvery = 1100 * time.Millisecond
	postBurst = 5

	updateEvery = 1600 * time.Millisecond // 37 a minute, and the burst makes 47
	updateBurst = 10
	// updateReserve is left to ends and to what got worse: they find room whatever else is edited.
	updateReserve = 5
)

// Charges says what telling n takes from the budgets: see Charges of the package.
func (s *Notifier) Charges(n *router.Notification) []router.Charge { return Charges(n) }

// Charges says what telling n takes from the budgets. Reads are not counted: they come after a crash or an unclear
// answer only. Then nobody knows yet whether there is a message to be posted or one to be edited, and both are paid
// for. What only an answer tells (a card that was deleted, or that cannot be edited any more) is not known before:
// Slack's own limit, which the notifier obeys, is the last resort.
func Charges(n *router.Notification) (charges []router.Charge) {
	posts, updates := calls(n)
	if updates > 0 {
		update := router.Charge{Budget: "slack chat.update", Calls: updates, Every: updateEvery, Burst: updateBurst}
		if n.Class > router.ClassWorse {
			update.Reserve = updateReserve
		}
		charges = append(charges, update)
	}
	if posts > 0 {
		channel := cmp.Or(n.Target.Address, ownOf(n.Receipt).Channel)
		charges = append(charges, router.Charge{Budget: "slack chat.postMessage " + channel, Calls: posts, Every: postEvery,
			Burst: postBurst})
	}
	return charges
}

// calls counts what a Sync posts and edits.
func calls(n *router.Notification) (posts, updates int) {
	had := ownOf(n.Receipt)
	there, unclear := had.TS != "", uncertain(n)
	switch {
	case n.Digest != nil && n.Digest.Unsettled: // it is only looked for
		return 0, 0
	case n.Digest != nil:
		return 1, 0
	case n.Notice != nil && there: // told once
		return 0, 0
	case n.Notice != nil:
		return 1, 0
	}
	if had.Old != "" {
		posts++ // the line that leads on from there
	}
	mute := had.Mute
	switch {
	case !there:
		posts++
		if unclear {
			updates++
		}
	case !had.Frozen:
		updates++
	case n.Incident == nil: // what it takes at least is asked
	case deserves(n, had.Shown):
		posts += 2 // another root, and the line that leads there
		mute = false
	}
	if !mute && (there || unclear || n.Open) { // what is over without a message is told in one
		posts += countReplies(n)
	}
	if mute && there {
		if _, who := loudest(n, had.Called); who != "" {
			posts++
		}
	}
	return posts, updates
}

// countReplies is how many replies makes.
func countReplies(n *router.Notification) (lines int) {
	for i := range n.Timeline {
		if markOf(n, i) != "" && !sameLine(n, i) {
			lines++
		}
	}
	if lines > mostReplies {
		return 1
	}
	return lines
}
