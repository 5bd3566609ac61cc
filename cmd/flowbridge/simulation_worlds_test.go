package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

var worldsFlag = flag.String("worlds", "", "what goes on in a simulation: names with commas, exactly these in every "+
	"seed; \"none\"; \"-name,-name\" leaves some out of what each seed chooses. Default: what each seed chooses")

// trouble is one thing that may go on in a simulated world, beside what goes on in every one.
type trouble uint32

const (
	withConsole   trouble = 1 << iota // people act through the API
	withHooks                         // people act in PagerDuty, which tells of it at once, in order, once
	withShuffled                      // PagerDuty's webhooks come late, reversed and twice
	withItself                        // PagerDuty resolves by itself, and acknowledgements run out there
	withProxies                       // something in front of the services answers in their place
	withWaits                         // answers name absurd times to come back
	withUnsure                        // Slack names faults of its own, after it did what was asked or before
	withFrozen                        // Slack lets nothing be edited for a while
	withClosed                        // Slack's threads take no replies for a while
	withReadonly                      // the database can be read and not written for a while
	withSynonyms                      // the rules have two names for one channel and for one routing key
	withRenamed                       // the rules are read anew, and every notifier has another name
	withSilences                      // people silence a flow, an event, a team, an account, everything
	withAccounts                      // two accounts have flows with the same ids
	withAhead                         // Meta's clock is minutes or hours ahead of ours
	withLate                          // posts arrive hours and days late, and in heaps after an outage
	withRises                         // on_escalation: page
	withTimed                         // rules wait before they page, and hold recoveries back
	withLost                          // the database is lost, and an empty one takes its place
	withStorms                        // many flows break at once
	withReminders                     // remind and acknowledged_for
)

var troubleNames = []string{"console", "hooks", "shuffled", "itself", "proxies", "waits", "unsure", "frozen", "closed",
	"readonly", "synonyms", "renamed", "silences", "accounts", "ahead", "late", "rises", "timed", "lost", "storms",
	"reminders"}

// drawn is how many of them are drawn from one pot. What came later is drawn by itself, so that a seed means what it
// meant.
const drawn = 20

// String lists the names, with commas.
func (t trouble) String() string {
	var names []string
	for i, name := range troubleNames {
		if t&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// readTroubles reads the flag: exactly these, or all but those.
func readTroubles(text string) (exactly, without trouble, chosen bool, err error) {
	for name := range strings.SplitSeq(text, ",") {
		bare, minus := strings.CutPrefix(strings.TrimSpace(name), "-")
		i := slices.Index(troubleNames, bare)
		switch {
		case bare == "":
		case bare == "none":
			chosen = true
		case i < 0:
			return 0, 0, false, fmt.Errorf("-worlds: there is no %q, only %s", bare, strings.Join(troubleNames, ", "))
		case minus:
			without |= 1 << i
		default:
			exactly, chosen = exactly|1<<i, true
		}
	}
	return exactly, without, chosen, nil
}

// troublesOf says what goes on in a world: nothing special in some, one thing alone in some, several in most.
func troublesOf(seed uint64, text string) (trouble, error) {
	exactly, without, chosen, err := readTroubles(text)
	if chosen || err != nil {
		return exactly &^ without, err
	}
	choose := rand.New(rand.NewPCG(seed, 1))
	var t trouble
	for range []int{0, 1, 2, 3, 3, 4, 6, 9}[choose.IntN(8)] {
		t |= 1 << choose.IntN(drawn)
	}
	if seed%6 == 0 {
		t |= withStorms
	}
	if choose.IntN(6) == 0 {
		t |= withReminders
	}
	return t &^ without, nil
}

// has says whether any of some troubles is part of the world.
func (w *world) has(t trouble) bool { return w.troubles&t != 0 }

// names are what the rules of a world call its notifiers.
type names struct{ chat, page, chat2, page2 string }

const simulatedFlows = `version: 1
flows:
  "71": {name: Checkout, team: payments}
  "72": {name: Sign-up, team: payments}
  "73": {name: Survey, team: growth}
notifiers:
`

// rulesText writes the rules of a world. Those that wait page whatever the level: after is what they are about.
func (w *world) rulesText(n names) string {
	var text strings.Builder
	text.WriteString(simulatedFlows)
	notifier := func(chat, page string) {
		fmt.Fprintf(&text, "  %s: {kind: slack, channel: \"#ops\"}\n", chat)
		fmt.Fprintf(&text, "  %s: {kind: pagerduty, routing_key: \"${PD_KEY}\"}\n", page)
	}
	rule := func(name, match, chat, page string) {
		fmt.Fprintf(&text, "  - name: %s\n    match: {field: flows%s}\n", name, match)
		if w.has(withTimed) {
			fmt.Fprintf(&text, "    resolve_after: %s\n", resolveAfter)
		}
		if w.has(withReminders) {
			fmt.Fprintf(&text, "    acknowledged_for: %s\n", acknowledgedFor)
			chat = fmt.Sprintf("{to: %s, remind: %s}", chat, remindEvery)
		}
		if w.has(withRises) {
			fmt.Fprintf(&text, "    on_escalation: page\n")
		}
		how := `severity: ">=error"`
		if w.has(withTimed) {
			how = "after: 2m, unless: acknowledged"
		}
		if w.has(withReminders) {
			how += fmt.Sprintf(", remind: %s", remindEvery)
		}
		fmt.Fprintf(&text, "    notify: [%s, {to: %s, %s}]\n", chat, page, how)
	}
	notifier(n.chat, n.page)
	if w.has(withSynonyms) {
		notifier(n.chat2, n.page2)
	}
	text.WriteString("rules:\n")
	if w.has(withSynonyms) {
		rule("the worst rate", ", threshold: 50", n.chat2, n.page2)
		rule("the worst status", ", new_status: BLOCKED", n.chat2, n.page2)
	}
	rule("everything", "", n.chat, n.page)
	fmt.Fprintf(&text, "default: {notify: [%s]}\n", n.chat)
	return text.String()
}

// isPager says whether a notifier of the rules is one of PagerDuty, by any name that it ever had.
func isPager(notifier string) bool {
	return slices.Contains([]string{"page", "page2", "duty", "duty2"}, notifier)
}
