// Package notifiers says what a service's answer means for the queue of deliveries. The notifiers below
// it wrap what their service said in one of these errors; a plain error means "try again, with back-off".
package notifiers

import (
	"fmt"
	"time"
)

// Refused is an answer that no repetition will change: the delivery is parked until a person acts.
type Refused struct {
	Service string // "Slack", "PagerDuty"
	Said    string // the service's own words, without secrets
	Hint    string // what a person can do; may be empty
}

// Error gives the service's words and what to do.
func (e *Refused) Error() string {
	if e.Hint == "" {
		return fmt.Sprintf("%s refused: %s", e.Service, e.Said)
	}
	return fmt.Sprintf("%s refused: %s (%s)", e.Service, e.Said, e.Hint)
}

// Permanent tells the queue never to repeat this by itself.
func (e *Refused) Permanent() bool { return true }

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
