package router

import "time"

// Class is how much a delivery matters to those who wait for it. A lane tells the lowest first, and within a
// class what has been owed longest.
type Class int

// The classes of deliveries, the most important first.
const (
	// ClassNew is an incident that opened, or came back, and was never told; or a notice of severity error or worse.
	ClassNew      Class = iota
	ClassResolved       // an end: of what was told, or, in a channel, of what was over before it could be
	ClassWorse          // told already, and worse now; or a notice of severity warning
	ClassUpdate         // told already: numbers, names and notes; or the end of a page that its service never heard of
	ClassDigested       // a digest told of it, and it may get a card of its own: see StormSize
	// ClassNews is a notice of severity info: a thousand approvals in a channel never stand before trouble.
	ClassNews
	classes
)

// Classes lists every class, the most important first.
func Classes() []Class {
	all := make([]Class, classes)
	for i := range all {
		all[i] = Class(i)
	}
	return all
}

var classWords = [classes]string{"new", "resolved", "worse", "update", "digested", "news"}

// String returns the class in one word, as metrics show it.
func (c Class) String() string { return classWords[c] }

const (
	// StormSize is how many incidents may wait for a first card in one channel before they are told in one digest:
	// a channel takes about one post a second, so that the last card would be half a minute late, and nobody reads
	// thirty new cards. A digest stands in for their cards until no more than so many of them are open; those that
	// still are get one each then. What pages people is never told in a digest.
	StormSize = 30
	// FewRecoveries is how many recoveries of incidents without a card are told in a line each: what a channel takes
	// in a row. More of them make one digest.
	FewRecoveries = 5
	// FewNews is how many notices for information may wait for one channel before they are told in one digest.
	FewNews = 5
	// DigestSize bounds the incidents, or the notices, of one digest.
	DigestSize = 500
)

// CosmeticEvery is how often a delivery is told of new numbers alone: at once if nothing was told for as long, and else
// as they are when the time is over. Whoever looks at a card for ten seconds sees no more, and a storm of numbers costs
// six calls a minute.
const CosmeticEvery = 10 * time.Second

// LinkAfter is how long a page that was told waits to be told where its card is: nobody whom it wakes reads it sooner,
// and in a storm each such call would take time from somebody's first page. Whatever else is owed takes it along.
const LinkAfter = 5 * time.Second

// Ask is what a lane asks of the queue: one delivery to a notifier.
type Ask struct {
	Notifier string
	Now      time.Time
	Lease    time.Duration // how long the claim holds unless it is extended
	// Charges says what telling a notification costs: what the queue takes from the budgets, whole or not at all.
	// It is pure. Of an incident that was not read yet (that is nil) it says what it costs at least. Nil: nothing.
	Charges func(*Notification) []Charge
}

// Charge is what one delivery takes from a budget that all processes share.
type Charge struct {
	// Budget names what is counted together. It is stored: it holds no secret.
	Budget string
	Calls  int
	// Every is how long a call takes to be paid off, and Burst how many may be owing at a time: at most
	// Burst + d/Every calls are made in any time d.
	Every time.Duration
	Burst int
	// Reserve is how many calls this charge must leave to more important ones.
	Reserve int
}

// Digest is many incidents, or many notices for information, told in one message, to a channel that would get more
// cards than it takes.
type Digest struct {
	// ID is what the service is told to know it again, and Begun when it was first tried: nothing of it is older.
	ID    string
	Begun time.Time
	// Unsettled says that an attempt to tell it ended without a word or a clear answer. It is to be looked for, and
	// not to be told: if it is not there, its incidents are told as they are by now.
	Unsettled bool
	// Recovered says that they are over, and that no card of theirs is there to show it; else they are new.
	Recovered bool
	// News says that its parts are notices; else they are incidents.
	News    bool
	Parts   []Summary // at most DigestSize, those owed longest first
	Console string    // URL of where people find all of them; "" where there is none
}

// Summary is one incident of a digest, or one notice where it is of news.
type Summary struct {
	Delivery int64
	Revision int64    // that was owed when the digest was begun
	Severity Severity // for this notifier, then
	Told     bool     // of a recovery: an earlier digest told that it opened
	Incident Incident
	Notice   Notice
}

// Backlog is what one notifier is owed of one class.
type Backlog struct {
	Notifier string
	Class    Class
	Waiting  int
	Oldest   time.Time // since when the delivery that waits longest is owed
}

// Lane is a notifier's circuit breaker, shared by all processes that deliver to it.
type Lane struct {
	Notifier    string
	Failures    int       // deliveries that failed in a row
	PausedUntil time.Time // nothing is tried before; zero unless it keeps failing
	// Waits is until when the service wants no calls for some class of deliveries; zero unless that is a LongWait.
	Waits time.Time
}

// LaneDown is how many different deliveries must fail in a row before the circuit breaker opens and a lane pauses:
// fewer may be the fault of the deliveries. From then on one delivery at a time probes whether the service is back.
const LaneDown = 3

// LongWait is the longest wait that is usual: services count calls by the minute. A notifier that is to wait longer is
// shown as paused.
const LongWait = time.Minute
