package router

import (
	"net"
	"slices"
	"time"
)

// RulesVersion is rules as they were once in force.
type RulesVersion struct {
	Digest string
	First  time.Time // when they were first in force
	Loaded time.Time // when they were loaded last
	By     string    // what loaded them last: RulesAtStart or RulesReloaded
	Files  []RulesFile
}

// What loads rules.
const (
	RulesAtStart  = "start"
	RulesReloaded = "reload"
)

// RulesFile is a file of rules: ${} as it is written, and dots in the place of credentials.
type RulesFile struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// KeepRules is how long a version of the rules is kept that no incident names, and RuleHits are.
const KeepRules = 90 * 24 * time.Hour

// RuleHits counts what a rule did on one day.
type RuleHits struct {
	Day   time.Time // its beginning, in UTC, by our clock
	Rule  string    // "default" for what no rule matched
	Hits  int64     // events that it matched
	Pages int64     // that went out for incidents that it opened
	Last  time.Time // when it matched last; zero if it only paged
}

// Sight is something that was seen of one of the other sides, when last.
type Sight struct {
	What   SightKind
	At     time.Time
	Detail string // for people, without secrets; or ""
}

// SightKind says what was seen.
type SightKind string

// What can be seen of the other sides.
const (
	SightHandshake        SightKind = "meta_handshake"
	SightPost             SightKind = "meta_post" // with a good signature, and on disk
	SightBadPost          SightKind = "meta_bad_signature"
	SightSlackPress       SightKind = "slack_press" // or a command
	SightSlackBad         SightKind = "slack_bad_signature"
	SightPagerDutyWebhook SightKind = "pagerduty_webhook"
	SightPagerDutyBad     SightKind = "pagerduty_bad_signature"
)

// SightKinds lists all of them.
func SightKinds() []SightKind {
	return []SightKind{SightHandshake, SightPost, SightBadPost, SightSlackPress, SightSlackBad, SightPagerDutyWebhook,
		SightPagerDutyBad}
}

// hit counts what an event matched.
func (g *batch) hit(e *Event, d *Decision) {
	if IsDrill(e.Flow) { // what rules do about real trouble is counted
		return
	}
	names := d.Rules
	if len(names) == 0 && len(d.Named) > 0 && e.OfMeta() {
		names = []string{d.Rule()}
	}
	for _, name := range names {
		h := g.hitsOf(name)
		h.Hits, h.Last = h.Hits+1, g.now
	}
}

// page counts the pages that an incident came to, for the rule that opened it.
func (g *batch) page(before, after *Incident) {
	if IsDrill(after.Flow) {
		return
	}
	for i := range after.Watch {
		w := &after.Watch[i]
		if !w.Open || !slices.Contains(after.Pageable, w.Notifier) {
			continue
		}
		had := int64(0)
		for j := range before.Watch {
			if before.Watch[j].Notifier == w.Notifier && before.Watch[j].PagedAt == w.PagedAt {
				had = before.Watch[j].Opening
			}
		}
		if w.Opening > had {
			g.hitsOf(after.Rule).Pages++
		}
	}
}

func (g *batch) hitsOf(rule string) *RuleHits {
	h := g.hits[rule]
	if h == nil {
		h = &RuleHits{Day: g.now.UTC().Truncate(24 * time.Hour), Rule: rule}
		g.hits[rule] = h
	}
	return h
}

// FromHost says for a Sight where a request came from: the other end of its connection, which may be a proxy.
func FromHost(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return ""
	}
	return "from " + host
}
