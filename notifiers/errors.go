// Package notifiers says what a service's answer means for the queue of deliveries. The notifiers below
// it wrap what their service said in one of these errors; a plain error means "try again, with back-off".
package notifiers

import (
	"fmt"
	"time"
)

// Refused is a service's own "no", said in its own form: repeating the same is of little use. The delivery is parked
// until a person acts, and tried again now and then, in case that the cause went away.
type Refused struct {
	Service string // "Slack", "PagerDuty"
	Said    string // the service's own words, without secrets
	Hint    string // what a person can do; may be empty
	// Gone says that the service has no such target (any more): its key is none, its channel is not there. The message
	// may be told at another that the rules name by now.
	Gone bool
}

// TargetGone tells the queue whether the target itself was refused.
func (e *Refused) TargetGone() bool { return e.Gone }

// Error gives the service's words and what to do.
func (e *Refused) Error() string {
	if e.Hint == "" {
		return fmt.Sprintf("%s refused: %s", e.Service, e.Said)
	}
	return fmt.Sprintf("%s refused: %s (%s)", e.Service, e.Said, e.Hint)
}

// Permanent tells the queue to park the delivery.
func (e *Refused) Permanent() bool { return true }

// Between is an answer that is not in the service's own form: something between us and the service gave it, such as a
// proxy, a firewall or a login page. It says nothing about the delivery. The queue repeats it for as long as it takes,
// as after any other plain error, so it has neither Permanent nor NotBefore.
type Between struct {
	Service string // "Slack", "PagerDuty"
	Said    string // the status and what else can be said of the answer, without secrets
	Hint    string // what a person can look at
}

// Error says that it was not the service that answered.
func (e *Between) Error() string {
	return fmt.Sprintf("not %s but something on the way there, such as a proxy, answered %s: %s", e.Service, e.Said,
		e.Hint)
}

// LongestWait is how long a service is believed that asks us to wait. Both services count calls by the minute; a header
// that says more is a slip of somebody's clock, or not theirs. After it one call finds out.
const LongestWait = 5 * time.Minute

// Later is an answer that names the time before which a repetition is useless, such as a 429 with
// Retry-After. It is no fault of the delivery and does not lengthen its back-off.
type Later struct {
	Err error
	At  time.Time
}

// Error gives the cause and the time.
func (e *Later) Error() string {
	return fmt.Sprintf("%v; not before %s", e.Err, e.At.UTC().Format(time.RFC3339))
}

// Unwrap returns the cause.
func (e *Later) Unwrap() error { return e.Err }

// NotBefore tells the queue when to try again.
func (e *Later) NotBefore() time.Time { return e.At }
