package router

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// AuditEntry is one thing that a person or an operator did, or wanted to and may not. It holds no secret.
type AuditEntry struct {
	ID       int64     // ascending in the order in which they were stored; 0 before that
	At       time.Time // when they did it
	Who      string    // in words for people
	Verified string    // how it is known that they may: see below
	From     string    // where from: an address, or a service
	What     string    // what they did, in one line
	Result   string    // what came of it, in one line
	Event    int64     // journal position of what they did; 0 for what does not go through the journal
}

// How it is known that somebody may do something.
const (
	VerifiedAdminToken = "admin token"
	VerifiedViewToken  = "view token"
	VerifiedProxy      = "proxy header" // a trusted proxy signed them in
	VerifiedSlack      = "Slack signature"
	VerifiedSocket     = "Slack socket" // it came through the connection that we opened to Slack
	VerifiedPagerDuty  = "PagerDuty signature"
	VerifiedNot        = "none" // the address is open to this machine only, and asks for nothing
)

// audited returns what the audit keeps of an event with its outcome; false for what no person did.
func (e *Event) audited(result string) (entry AuditEntry, ok bool) {
	if e.Act == nil || e.Act.Itself || e.Source == SourceMeta || e.Source == SourceFlowbridge {
		return AuditEntry{}, false
	}
	what := e.Act.Words(e.Name)
	if what == "" {
		return AuditEntry{}, false
	}
	entry = AuditEntry{At: inTime(e).At, Who: cmp.Or(e.Act.Actor, "somebody"), Verified: e.Act.Verified,
		From: e.Act.From, What: what, Result: result, Event: e.Seq}
	switch e.Source {
	case SourceSlack:
		entry.Verified, entry.From = cmp.Or(entry.Verified, VerifiedSlack), cmp.Or(entry.From, "Slack")
	case SourcePagerDuty:
		entry.Verified, entry.From = cmp.Or(entry.Verified, VerifiedPagerDuty), cmp.Or(entry.From, "PagerDuty")
	default: // of an older flowbridge, if empty
		entry.Verified, entry.From = cmp.Or(entry.Verified, "not recorded"), cmp.Or(entry.From, "not recorded")
	}
	return entry, true
}

// Words says what a person does by an act of a name; "" for what only services and flowbridge itself do.
func (a *Act) Words(name string) string {
	about := IncidentName(a.Incident)
	switch name {
	case Acknowledge:
		return "acknowledge " + about
	case Unacknowledge:
		return "unacknowledge " + about
	case Resolve:
		return "resolve " + about
	case Reopen:
		return "reopen " + about
	case PageNow:
		return "page for " + about
	case Assign:
		return "assign " + about + " to " + cmp.Or(a.Owner, "nobody")
	case Note:
		return "note on " + about
	case AddSilence:
		if a.Silence == nil {
			return "silence what " + about + " is about"
		}
		return "silence " + a.Silence.covers() + " " + a.Silence.span() + " (" + a.Silence.ID + ")"
	case EndSilence:
		if a.Silence == nil {
			return "end the silence of " + about
		}
		return "end silence " + a.Silence.ID
	}
	return ""
}

// Everything says that nothing narrows the scope.
func (s *Scope) Everything() bool {
	return s.WABA == "" && s.Flow == "" && s.Event == "" && len(s.Labels) == 0
}

// covers says what is covered.
func (s *Scope) covers() string {
	var parts []string
	for _, part := range []struct{ name, value string }{{"account", s.WABA}, {"flow", s.Flow}, {"event", s.Event}} {
		if part.value != "" {
			parts = append(parts, part.name+" "+part.value)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		parts = append(parts, key+" "+s.Labels[key])
	}
	return cmp.Or(strings.Join(parts, ", "), "everything")
}

const spanTime = "2006-01-02 15:04 MST"

// span says from when, where that is later than the wish, and for how long the silence was meant to hold.
func (s *Silence) span() string {
	if s.Start.IsZero() {
		return s.length()
	}
	return "from " + s.Start.UTC().Format(spanTime) + " " + s.length()
}

// length says for how long the silence was meant to hold.
func (s *Silence) length() string {
	switch {
	case s.UntilRecovered():
		return "until it has recovered"
	case s.Since.IsZero(): // as people's wishes may come: the fold says when it begins
		return "until " + s.Until.UTC().Format(spanTime)
	}
	return "for " + FormatDuration(s.Until.Sub(s.Since))
}

// everythingSilenced is what the fallback notifier is told when a silence of everything begins: whoever relies on the
// bridge must hear of that from somebody else than the one who made it.
func everythingSilenced(s *Silence, now time.Time) Event {
	text := "Everything is silenced " + s.span()
	if !s.UntilRecovered() {
		text += ", until " + s.Until.UTC().Format(spanTime)
	}
	if s.By != "" {
		text += ", by " + s.By
	}
	if s.Why != "" {
		text += ": " + s.Why
	}
	return Event{
		Digest: "everything-silenced/" + s.ID, Source: SourceFlowbridge, Name: EverythingSilenced, Received: now, At: now,
		Message: text + ". Nobody is told of new trouble meanwhile. It is silence " + s.ID +
			": end it if nobody should have made it.",
	}
}
