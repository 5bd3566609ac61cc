package router

// effect is what an event does to the ladder of its signal. Clearing comes first: BLOCKED -> THROTTLED
// leaves BLOCKED and stands on THROTTLED.
type effect struct {
	clears, raises bool
	clear          Level // this level and every worse one become inactive
	raise          Level // this level becomes active
}

// effectOf reads an event's meaning; the zero effect is that of a notice.
func effectOf(e *Event) effect {
	switch {
	case e.Paired() && e.AlertState == Activated:
		return effect{raises: true, raise: e.Level()}
	case e.Paired():
		return effect{clears: true, clear: e.Level()}
	case e.Name != FlowStatusChange || e.NewStatus == "":
		return effect{}
	case e.NewStatus == Blocked:
		return effect{raises: true, raise: Blocked}
	case e.NewStatus == Throttled:
		return effect{clears: true, clear: Blocked, raises: true, raise: Throttled}
	}
	return effect{clears: true, clear: Throttled}
}

// reaches says whether level l of an event is at least as bad as base, so that being below base means
// being below l as well. Levels that cannot be compared reach only themselves.
func reaches(event string, l, base Level) bool {
	if l == base {
		return true
	}
	switch event {
	case FlowStatusChange:
		return l == Blocked && base == Throttled
	case ClientErrorRate, EndpointErrorRate, EndpointLatency, EndpointAvailability:
		lt, ok1 := l.Threshold()
		bt, ok2 := base.Threshold()
		if event == EndpointAvailability { // bad is below
			lt, bt = bt, lt
		}
		return ok1 && ok2 && lt > bt
	}
	return false
}

// Crossed writes that a level was crossed for the worse: "over 10 %", "below 90 %", "is BLOCKED".
func Crossed(event string, l Level) string {
	switch {
	case event == FlowStatusChange:
		return "is " + string(l)
	case l == "":
		return "is out of bounds"
	case event == EndpointAvailability:
		return "below " + FormatLevel(event, l)
	}
	return "over " + FormatLevel(event, l)
}

// uncrossed writes that a level was crossed for the better: "back under 10 %", "no longer BLOCKED".
func uncrossed(event string, l Level) string {
	switch {
	case event == FlowStatusChange:
		return "no longer " + string(l)
	case l == "":
		return "back within bounds"
	case event == EndpointAvailability:
		return "back over " + FormatLevel(event, l)
	}
	return "back under " + FormatLevel(event, l)
}
