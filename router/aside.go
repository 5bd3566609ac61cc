package router

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// timerPause is how long the timers of a flow are put off that cannot be run.
const timerPause = 10 * time.Minute

// maxReason bounds, in characters, what people are told of why an event could not be folded.
const maxReason = 300

// aside is an event that could not be folded, or the passing of time for a flow: its Seq is 0 then.
type aside struct {
	event *Event
	err   error
}

// setAside marks an event as one that cannot be folded and tells the fallback notifier of it, unless it is itself what
// tells of another. It names no flow, and with it needs nothing of the state that may be at fault.
func (g *batch) setAside(e *Event, err error) {
	g.aside = append(g.aside, aside{e, err})
	out := Outcome{Text: "set aside: " + reason(err), Failed: true}
	if e.Unreadable == "" { // else what is stored is not what e is
		out.Kept = e.Kept(&Decision{}) // nobody would look at it again
	}
	g.outcome(e, out)
	if e.Name != EventSetAside {
		g.b.Events = append(g.b.Events, g.notice(fmt.Sprintf("set-aside/%d", e.Seq), fmt.Sprintf(
			"Event %d (%s%s) could not be folded and was set aside: nobody was told of it. The reason: %s",
			e.Seq, e.Name, ofFlow(e.FlowID()), reason(err))))
	}
}

// postpone puts off the timers of a flow that cannot be run. The fallback notifier is told once a day.
func (g *batch) postpone(id FlowID, err error) {
	g.aside = append(g.aside, aside{&Event{WABA: id.WABA, Flow: id.Flow, Name: "TIMER"}, err})
	until := g.now.Add(timerPause)
	g.b.Postponed, g.b.PostponedUntil = append(g.b.Postponed, id), until
	day := g.now.UTC().Format(time.DateOnly)
	digest := fmt.Sprintf("set-aside/timers/%s/%s/%s", id.WABA, id.Flow, day)
	g.b.Events = append(g.b.Events, g.notice(digest, fmt.Sprintf("What was due%s could not be done, and is tried again "+
		"every %s: a page that had to wait, a recovery that was held back. The reason: %s",
		ofFlow(id), FormatDuration(timerPause), reason(err))))
	state := g.states[id]
	state.Incidents = slices.Clone(state.Incidents)
	for i := range state.Incidents {
		if inc := &state.Incidents[i]; !inc.Wake.IsZero() && inc.Wake.Before(until) {
			inc.Wake = until
		}
	}
	g.states[id] = state
}

func (g *batch) notice(digest, message string) Event {
	return Event{
		Digest: digest, Source: SourceFlowbridge, Name: EventSetAside, Received: g.now, At: g.now, Message: message,
	}
}

func ofFlow(id FlowID) string {
	switch {
	case id.Flow == "":
		return ""
	case OnlyFlow(id.Flow) == "":
		return " of " + Shorten(FlowInfo{}.DisplayName(strings.ToValidUTF8(id.Flow, "\uFFFD")), 64)
	}
	return " of flow " + Shorten(strings.ToValidUTF8(id.Flow, "\uFFFD"), 64)
}

// reason is an error in one line of bounded length.
func reason(err error) string {
	return Shorten(OneLine(err.Error()), maxReason)
}
