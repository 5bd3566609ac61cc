package router

import "time"

// ParkedGroup is what is parked for the same reason.
type ParkedGroup struct {
	Error          string           // the last error of all of them
	Notifiers      []string         // whose they are, sorted
	Counts         map[string]int64 // by notifier
	Count          int64
	Oldest, Newest time.Time // when they changed last
	Delivery       int64     // the newest of them
}

// AttemptMark is an attempt without what was sent and answered.
type AttemptMark struct {
	Notifier string
	At       time.Time
	Took     time.Duration
	Result   AttemptResult
}

// SeenFlow is a flow, or another subject, that something was wrong with at some time, or that a notice told of.
type SeenFlow struct {
	FlowID
	Active int64     // alerts that are active
	Last   time.Time // when one became active last, or the newest notice was
	Status Level     // THROTTLED or BLOCKED while it is that; else ""
	// Severity is that of the worst alert that is active; SeverityUnset where none is.
	Severity Severity
}

// StatusLevels returns the statuses of a flow that are trouble, the mildest first: THROTTLED, BLOCKED.
func StatusLevels() (levels []Level) {
	for i := range signals {
		if s := &signals[i]; s.Subject == SubjectFlow && s.ByWord() {
			for _, l := range s.Levels {
				levels = append(levels, Level(l.Word))
			}
		}
	}
	return levels
}
