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

// pages counts those that a step came to: for the rule of the event of Meta's that caused them, and where that was
// something else, as time or a person, for the rule that opened the incident.
func (g *batch) pages(e *Event, d *Decision, step *Step) {
	for i := range step.Entries {
		entry := &step.Entries[i]
		n := entry.pages()
		at := slices.IndexFunc(step.State.Incidents, func(inc Incident) bool { return inc.Number == entry.Incident })
		if n == 0 || at < 0 || IsDrill(step.State.Incidents[at].Flow) {
			continue
		}
		rule := step.State.Incidents[at].Rule
		if e.OfMeta() && entry.Event == e.Seq && len(d.Named) > 0 {
			rule = d.Rule()
		}
		g.hitsOf(rule).Pages += int64(n)
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
