package delivery

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"flowbridge/router"
)

const (
	// maxError bounds what is kept of an error, in runes: a card and a row of a list have room for no more.
	maxError = 500
	// maxNotBefore bounds the wait that a service may ask for. Services count calls by the minute; one that names hours or
	// days has a wrong clock, or is none of theirs, and a page must not wait for it. After this one call finds out.
	maxNotBefore = 5 * time.Minute
	// firstProbe is when a parked delivery is tried again by itself; each further probe comes after twice as long, at most
	// mostProbe. That is little enough for any service, and what somebody mended arrives the same day.
	firstProbe = 10 * time.Minute
	mostProbe  = 6 * time.Hour
	// probedFor is how long that goes on for what is over: notices, and the end of incidents. It is as long as Meta
	// repeats its own webhooks. What is still open is never given up.
	probedFor = 7 * 24 * time.Hour
	// spread is how far a retry strays from its schedule, so that those that failed together do not return together.
	spread = 0.2
)

// result says what the queue does after an attempt. cut is why we cancelled it ourselves, if we did.
func (d *Deliverer) result(n *router.Notification, receipt router.Receipt, err, cut error) router.Result {
	now := d.cfg.Now()
	r := router.Result{Delivery: n.Delivery, Revision: n.Revision, Claim: n.Claim, Receipt: receipt, Digest: n.Digest}
	if receipt == (router.Receipt{}) {
		r.Receipt = n.Receipt // what was made before is never forgotten: it still has to be closed
	}
	if err == nil {
		r.State = router.DeliveryDelivered
		if receipt == (router.Receipt{}) {
			r.State = router.DeliveryCancelled
		}
		return r
	}
	var permanent interface{ Permanent() bool }
	var later interface{ NotBefore() time.Time }
	r.State, r.Error = router.DeliveryWaiting, cmp.Or(errorText(err), "an error without words")
	switch {
	case errors.As(err, &permanent) && permanent.Permanent():
		r.State = router.DeliveryParked
		r.Event = parkedEvent(n, r.Error, now)
		r.Rest = now.Add(d.backoff(n.Failures - router.LaneDown + 2))
		if !givenUp(n, now) {
			r.NextAt = now.Add(d.probe(n.Refusals))
		}
	case errors.Is(cut, errStopping):
		r.Interrupted, r.Error, r.NextAt = true, "cut short because flowbridge stopped", now
	case errors.Is(cut, errLost):
		r.Interrupted, r.Error, r.NextAt = true, "cut short because the claim could not be kept", now
	case errors.As(err, &later):
		// Not counted, like an interrupted attempt: a service that is merely busy must not lengthen the
		// back-off of the next real failure.
		r.Interrupted = true
		r.NextAt = later.NotBefore()
		if least := now.Add(d.backoff(1)); r.NextAt.Before(least) {
			r.NextAt = least
		}
		if most := now.Add(maxNotBefore); r.NextAt.After(most) {
			r.NextAt = most
		}
	default:
		r.NextAt = now.Add(d.backoff(n.Attempt))
		// The first rest of a lane is as long as a first retry: this failure is one more than it knew of.
		r.Rest = now.Add(d.backoff(n.Failures - router.LaneDown + 2))
	}
	return r
}

// backoff returns how long to wait after failed attempt n, from 1: about MinBackoff, doubling, at most MaxBackoff.
func (d *Deliverer) backoff(n int) time.Duration {
	return d.grow(n, d.cfg.MinBackoff, d.cfg.MaxBackoff)
}

// probe returns how long a delivery stays parked until it is tried again, after so many refusals before this one.
func (d *Deliverer) probe(refusals int) time.Duration {
	return d.grow(refusals+1, firstProbe, mostProbe)
}

func (d *Deliverer) grow(n int, wait, most time.Duration) time.Duration {
	most = time.Duration(float64(most) / (1 + spread))
	for ; n > 1 && wait < most; n-- {
		wait *= 2
	}
	stray := 1 + spread*(2*d.cfg.Rand()-1)
	return time.Duration(float64(min(wait, most)) * stray)
}

// givenUp says that a delivery which is refused is not tried again by itself: what it tells of is over, and it was
// refused for long enough since.
func givenUp(n *router.Notification, now time.Time) bool {
	since := n.FailingSince
	var inc *router.Incident
	switch {
	case n.Incident != nil:
		inc = n.Incident
	case n.Digest != nil && !n.Digest.News:
		inc = &n.Digest.Parts[0].Incident
	}
	if inc != nil {
		if inc.State != router.IncidentResolved {
			return false
		}
		if inc.ResolvedAt.After(since) {
			since = inc.ResolvedAt
		}
	}
	return !since.IsZero() && now.Sub(since) > probedFor
}

// storageBackoff returns how long to wait after n faults of storage in a row.
func storageBackoff(n int) time.Duration {
	return min(100*time.Millisecond<<min(n-1, 6), 5*time.Second)
}

// parkedEvent tells the journal that a delivery needs a person. The notice about a parked delivery makes
// none when it is parked itself: if the fallback refuses, nobody is left to tell.
func parkedEvent(n *router.Notification, text string, now time.Time) *router.Event {
	e := &router.Event{
		Digest: parkedDigest(n.Delivery, text), Source: router.SourceFlowbridge, Name: router.ParkedDelivery,
		At: now, Received: now, Act: &router.Act{Notifier: n.Target.Notifier, Error: text, Delivery: n.Delivery},
	}
	switch {
	case n.Incident != nil:
		e.WABA, e.Flow, e.Act.Incident = n.Incident.WABA, n.Incident.Flow, n.Incident.Number
		e.Act.About = what(n.Severity, n.Incident)
	case n.Notice != nil && n.Notice.Name == router.ParkedDelivery:
		return nil
	case n.Notice != nil:
		e.WABA, e.Flow = n.Notice.WABA, n.Notice.Flow
	case n.Digest != nil && n.Digest.News:
		notice := &n.Digest.Parts[0].Notice
		e.WABA, e.Flow = notice.WABA, notice.Flow
		e.Act.About = fmt.Sprintf("%d notices for information", len(n.Digest.Parts))
	case n.Digest != nil:
		inc := &n.Digest.Parts[0].Incident
		e.WABA, e.Flow, e.Act.Incident = inc.WABA, inc.Flow, inc.Number
		e.Act.About = what(n.Digest.Parts[0].Severity, inc)
		if more := len(n.Digest.Parts) - 1; more > 0 {
			e.Act.About += fmt.Sprintf(", and %d more incidents", more)
		}
	}
	return e
}

// what says what could not be told: "critical: Checkout: Endpoint error rate over 50 %".
func what(severity router.Severity, inc *router.Incident) string {
	return router.Shorten(router.OneLine(strings.TrimPrefix(severity.String()+": "+inc.What(), ": ")), maxError)
}

// parkedDigest makes the same refusal of a delivery be told once, until it was told or retried by a person: the queue
// counts these. Words with a digit are left out: two
// notifiers that refuse with a request id or a time in their words would otherwise tell each other of a
// new refusal for ever, since each notice renews the other's card.
func parkedDigest(delivery int64, text string) string {
	words := strings.FieldsFunc(text, unicode.IsSpace)
	h := sha256.New()
	fmt.Fprintf(h, "parked\n%d\n", delivery)
	for _, w := range words {
		if !strings.ContainsFunc(w, unicode.IsDigit) {
			fmt.Fprintf(h, "%s ", w)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// errorText makes an error fit a row of a list: one line, bounded.
func errorText(err error) string { return router.Shorten(router.OneLine(err.Error()), maxError) }

// unconfigured is a delivery to a service that nothing speaks to.
type unconfigured struct {
	kind router.Kind
	do   string // what a person can do about it; "" where that is not known
}

func (e unconfigured) Error() string {
	switch {
	case e.kind == "":
		return "the rules name this notifier no more, and it was not told before: name it again, and retry this delivery"
	case !e.kind.Known():
		return fmt.Sprintf(
			"flowbridge knows no service %q: correct the notifier's kind in the rules file, and retry this delivery", e.kind)
	}
	return fmt.Sprintf("flowbridge runs without %s: %s, start it again, and retry this delivery", e.kind.Label(),
		cmp.Or(e.do, "give it what that needs"))
}

// Permanent is true: repeating will not configure it.
func (unconfigured) Permanent() bool { return true }
