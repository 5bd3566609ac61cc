package router

import "time"

// Place is where something that a service says of one of its incidents belongs: an incident of ours, and the page
// through which the service knows it. Several places can be one incident there, after a merge.
type Place struct {
	FlowID
	Incident       int64 // number
	State          IncidentState
	OpenedAt       time.Time
	AcknowledgedBy string

	Notifier   string
	Key        string // what the service was told to find it by
	Credential Secret // pinned to the page
	Link       Link   // what the service calls it, as far as we know; the zero Link if we do not
	// Known is since when the service may know of the page as it is open now, or was last: when we first tried to tell
	// it. Zero: it knows nothing of it.
	Known time.Time
	Stale bool // the link is from before the page was opened anew
	Open  bool // the service was told that it is open, and of no end since
}

// Postponed is what a service said of an incident that we could not find at once. It waits, on disk, until the
// service has been asked.
type Postponed struct {
	ID       int64
	About    string    // the service's id of its incident
	Digest   string    // of what was said: a repeat is dropped
	Received time.Time // when it reached us
	Events   []Event   // what it means, without a place
	Attempts int       // how often the service was asked in vain
}

// MaxPostponed bounds how much waits at a time.
const MaxPostponed = 1000
