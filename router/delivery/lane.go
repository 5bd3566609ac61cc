package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"sync"
	"time"

	"flowbridge/router"
)

// lane delivers to one notifier, one delivery after another, until nothing is due or ctx ends. It says
// whether there was anything. work outlives ctx by the grace.
func (d *Deliverer) lane(ctx, work context.Context, notifier string) (worked bool) {
	for faults := 0; ctx.Err() == nil; {
		more, err := d.turn(ctx, work, notifier, math.MaxInt)
		switch {
		case err != nil:
			faults++
			router.Sleep(ctx, storageBackoff(faults))
			continue
		case !more:
			return worked
		}
		faults, worked = 0, true
	}
	return worked
}

// Deliver makes attempts at what is due to a notifier, as a lane does, but so many at most, and says whether there was
// anything. It is Run by hand, for whoever holds the clock.
func (d *Deliverer) Deliver(ctx context.Context, notifier string, most int) (worked bool, err error) {
	return d.turn(ctx, ctx, notifier, most)
}

// turn claims something and tries it; then what was claimed as that ended, until it was nothing or there were so many.
// What is claimed when ctx has ended is handed back untouched.
func (d *Deliverer) turn(ctx, work context.Context, notifier string, most int) (worked bool, err error) {
	since := d.cfg.Now()
	n, err := d.claim(work, notifier, since)
	for n != nil {
		worked = true
		if ctx.Err() != nil {
			d.end(work, n, router.Receipt{}, nil, errStopping, nil, nil)
			break
		}
		most--
		n, since = d.deliver(work, n, since, func() bool { return most > 0 && ctx.Err() == nil })
	}
	return worked, err
}

// claim is not cancelled by a stop: a claim that was written and never heard of would wait for its lease.
func (d *Deliverer) claim(work context.Context, notifier string, now time.Time) (*router.Notification, error) {
	ctx, cancel := context.WithTimeout(work, storageTimeout)
	defer cancel()
	n, short, err := d.queue.Claim(ctx, d.ask(notifier, now))
	if work.Err() == nil {
		d.claiming.note(err, "notifier", notifier)
	}
	d.metrics.short.WithLabelValues(notifier).Add(float64(short))
	return n, err
}

func (d *Deliverer) ask(notifier string, now time.Time) router.Ask {
	return router.Ask{Notifier: notifier, Now: now, Lease: d.cfg.Lease, Charges: d.charges}
}

// charges is what telling a notification takes from the budgets.
func (d *Deliverer) charges(n *router.Notification) []router.Charge {
	c, ok := d.cfg.Notifiers[n.Target.Kind].(Charger)
	if !ok || d.cfg.Unbudgeted() {
		return nil
	}
	return c.Charges(n)
}

// deliver makes one attempt, under a claim that is kept while it lasts. It returns what was claimed as it ended, with
// when that was: if goesOn says by then that more is wanted.
func (d *Deliverer) deliver(work context.Context, n *router.Notification, since time.Time,
	goesOn func() bool) (next *router.Notification, claimed time.Time) {
	held, release := d.hold(work, n, since)
	defer release()
	var made *router.Attempt
	keeping, exchange := held, &router.Exchange{}
	if d.cfg.KeepsAttempts {
		made = &router.Attempt{Revision: n.Revision, At: d.cfg.Now()}
		exchange.Hide(n.Target.Credential)
		keeping = router.WithExchange(held, exchange)
	}
	receipt, err := d.attempt(keeping, n)
	cut := context.Cause(held)
	release()
	if made != nil {
		made.Took = d.cfg.Now().Sub(made.At)
		made.Calls, made.More = exchange.Calls()
		if last := len(made.Calls) - 1; last >= 0 {
			made.Status = made.Calls[last].Status
		}
	}
	claimed = d.cfg.Now()
	var ask *router.Ask
	if goesOn() {
		its := d.ask(n.Target.Notifier, claimed)
		ask = &its
	}
	return d.end(work, n, receipt, err, cut, made, ask), claimed
}

// end writes down how an attempt ended. cut is why it was cancelled, if it was; made is what is kept of it, nil for
// nothing. It returns what was claimed with that, for an ask that is not nil.
func (d *Deliverer) end(work context.Context, n *router.Notification, receipt router.Receipt, err, cut error,
	made *router.Attempt, ask *router.Ask) (next *router.Notification) {
	if errors.Is(cut, errStopping) && err == nil && receipt == (router.Receipt{}) {
		err = cut // it never began
	}
	r := d.result(n, receipt, err, cut)
	if made != nil {
		made.Result, made.Error = r.ResultOf(d.cfg.Now()), r.Error
		r.Attempt = made
	}
	next, err = d.finish(work, r, ask)
	if err != nil {
		if errors.Is(err, router.ErrConflict) {
			d.cfg.Logger.Warn("a delivery was taken over while it was tried; who has it settles what exists", "delivery",
				n.Delivery, "notifier", n.Target.Notifier)
			return nil
		}
		d.finishing.note(err, "delivery", n.Delivery, "notifier", n.Target.Notifier, "then",
			"it is told again when its lease is over")
		return nil
	}
	d.finishing.note(nil)
	d.report(n, &r, r.Interrupted && errors.Is(cut, errStopping))
	return next
}

// attempt aims at the right target and calls its notifier. Where the service says that the target is gone, and the
// rules name another by now, an incident that is open is told there, and one that is over has nothing left to be told.
// That the rules were edited is no reason by itself: what an incident opened stays where it is.
func (d *Deliverer) attempt(work context.Context, n *router.Notification) (router.Receipt, error) {
	if err := d.aim(work, n); err != nil {
		return router.Receipt{}, err
	}
	notifier := d.cfg.Notifiers[n.Target.Kind]
	if notifier == nil {
		receipt := n.Receipt
		if n.MayExist && (n.Attempt > 1 || receipt == router.Receipt{}) { // nobody looks, so nobody knows better
			receipt.Unsure = true
		}
		return receipt, unconfigured{n.Target.Kind, d.cfg.Without[n.Target.Kind]}
	}
	if n.Incident != nil {
		n.Link = d.cfg.Link(n.Incident)
	}
	if n.Digest != nil {
		n.Digest.Console = d.cfg.Console
	}
	receipt, err := d.call(work, notifier, n)
	var refused interface{ TargetGone() bool }
	now, ok := d.cfg.Target(n.Target.Notifier)
	switch gone := errors.As(err, &refused) && refused.TargetGone(); {
	case !gone, !ok, now == n.Target, now.Kind != n.Target.Kind, n.Incident == nil, n.Digest != nil:
		return receipt, err
	case !n.Open: // it ended with its target
		receipt.Open, receipt.Unsure = false, false
		return receipt, nil
	}
	d.cfg.Logger.Warn("a target is gone; what was told there is told where the rules say now", "delivery", n.Delivery,
		"notifier", n.Target.Notifier, "incident", n.Incident.Name(), "error", err)
	if err := d.pin(work, n, now); err != nil {
		return receipt, err
	}
	n.Receipt, n.MayExist = router.Receipt{}, false
	return d.call(work, notifier, n)
}

// call calls a notifier, for so long at most.
func (d *Deliverer) call(work context.Context, notifier Notifier, n *router.Notification) (router.Receipt, error) {
	ctx, cancel := context.WithTimeout(work, d.cfg.Timeout)
	defer cancel()
	started := time.Now()
	defer func() {
		d.metrics.seconds.WithLabelValues(string(n.Target.Kind)).Observe(time.Since(started).Seconds())
	}()
	return d.sync(ctx, notifier, *n)
}

// aim replaces the pinned target by what the rules file says now, if nothing was or may have been made:
// then a corrected key or channel serves the retry. Otherwise the pinned one is where the incident lives.
func (d *Deliverer) aim(work context.Context, n *router.Notification) error {
	now, ok := d.cfg.Target(n.Target.Notifier)
	if !ok || now == n.Target || n.Receipt != (router.Receipt{}) || n.MayExist || n.Digest != nil {
		return nil
	}
	return d.pin(work, n, now)
}

// pin makes a target that of a delivery.
func (d *Deliverer) pin(work context.Context, n *router.Notification, now router.Target) error {
	ctx, cancel := context.WithTimeout(work, storageTimeout)
	defer cancel()
	if err := d.queue.Retarget(ctx, n.Delivery, n.Claim, now); err != nil {
		return fmt.Errorf("pin the new target: %w", err) // telling it unpinned could strand what it makes
	}
	n.Target = now
	return nil
}

// sync turns a panic of a notifier into an error: this delivery is retried, all others live. What it did before that
// nobody knows.
func (d *Deliverer) sync(ctx context.Context, notifier Notifier, n router.Notification) (r router.Receipt, err error) {
	defer func() {
		if p := recover(); p != nil {
			r, err = n.Receipt, fmt.Errorf("fault in flowbridge: %v", p)
			r.Unsure = true
			d.cfg.Logger.Error("a notifier panicked", "delivery", n.Delivery, "kind", n.Target.Kind, "stack",
				string(debug.Stack()))
		}
	}()
	return notifier.Sync(ctx, n)
}

// finish writes a result, a few times if need be: what was told and is not written down is told twice.
// A stop does not cancel it; after a lease it is somebody else's, who has begun anew. What is to be claimed with it is
// asked for once: that it cannot be claimed must not keep the result from being written.
func (d *Deliverer) finish(work context.Context, r router.Result, ask *router.Ask) (next *router.Notification,
	err error) {
	leased, cancel := context.WithTimeout(context.WithoutCancel(work), d.cfg.Lease)
	defer cancel()
	wait := 100 * time.Millisecond
	for range 5 {
		ctx, cancel := context.WithTimeout(leased, storageTimeout)
		if ask != nil {
			var short int
			next, short, err = d.queue.FinishAndClaim(ctx, r, *ask)
			d.metrics.short.WithLabelValues(ask.Notifier).Add(float64(short))
		} else {
			err = d.queue.Finish(ctx, r)
		}
		cancel()
		ask = nil
		useless := errors.Is(err, router.ErrNotFound) || errors.Is(err, router.ErrConflict) ||
			errors.Is(err, router.ErrClosed)
		if err == nil || useless || leased.Err() != nil || !router.Sleep(work, wait) {
			return next, err
		}
		wait *= 2
	}
	return nil, err
}

// report logs and counts how an attempt ended. cut: a stop of ours ended it.
func (d *Deliverer) report(n *router.Notification, r *router.Result, cut bool) {
	attrs := []any{"delivery", n.Delivery, "notifier", n.Target.Notifier, "attempt", n.Attempt}
	if n.Incident != nil {
		attrs = append(attrs, "incident", n.Incident.Name())
	} else if n.Notice != nil {
		attrs = append(attrs, "notice", n.Notice.Event)
	} else if n.Digest != nil {
		of := "incidents"
		if n.Digest.News {
			of = "notices"
		}
		attrs = append(attrs, of, len(n.Digest.Parts), "recovered", n.Digest.Recovered)
		if r.State == router.DeliveryDelivered && !n.Digest.News {
			d.metrics.digested.WithLabelValues(n.Target.Notifier).Add(float64(len(n.Digest.Parts)))
		}
	}
	outcome := string(r.State)
	switch {
	case r.State == router.DeliveryParked && n.Parked:
		outcome = "refused_again"
		d.cfg.Logger.Warn("a delivery that needs a person was tried again in vain",
			append(attrs, "error", r.Error, "at", r.NextAt)...)
	case r.State == router.DeliveryParked:
		d.cfg.Logger.Error("a delivery is parked and needs a person", append(attrs, "error", r.Error)...)
	case cut:
		outcome = "interrupted"
		d.cfg.Logger.Info("a delivery was cut short and is tried after the next start", attrs...)
	case n.Digest != nil && r.State == router.DeliveryCancelled:
		outcome = "retried"
		d.cfg.Logger.Info("a digest had not arrived; what it was to tell is told anew", attrs...)
	case r.State == router.DeliveryWaiting:
		outcome = "retried"
		d.cfg.Logger.Warn("a delivery is tried again", append(attrs, "error", r.Error, "at", r.NextAt)...)
	default:
		d.cfg.Logger.Info("a delivery is "+outcome, append(attrs, "revision", r.Revision)...)
	}
	d.metrics.deliveries.WithLabelValues(n.Target.Notifier, string(n.Target.Kind), outcome).Inc()
}

// health logs the first fault of storage in a row, and its end; those between are for debugging.
type health struct {
	logger *slog.Logger
	doing  string

	mu  sync.Mutex
	bad bool
}

func (h *health) note(err error, attrs ...any) {
	h.mu.Lock()
	was := h.bad
	h.bad = err != nil
	h.mu.Unlock()
	switch {
	case err != nil && !was:
		h.logger.Error("storage does not let me "+h.doing+"; trying again", append(attrs, "error", err)...)
	case err != nil:
		h.logger.Debug("storage still does not let me "+h.doing, append(attrs, "error", err)...)
	case was:
		h.logger.Info("storage lets me " + h.doing + " again")
	}
}
