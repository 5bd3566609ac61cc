package delivery

import (
	"context"
	"errors"
	"sync"
	"time"

	"flowbridge/router"
)

// hold keeps the claim of a delivery while its Sync runs. The context that it returns ends with errLost when the
// claim is ours no more, or may be nobody's since the queue could not be reached for a lease: from then on another
// process may tell the same. since is when it was claimed; release must be called, and may be again.
func (d *Deliverer) hold(work context.Context, n *router.Notification,
	since time.Time) (held context.Context, release func()) {
	held, cancel := context.WithCancelCause(work)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		until := since.Add(d.cfg.Lease)
		tick := time.NewTicker(d.cfg.Lease / 3)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			next := d.cfg.Now().Add(d.cfg.Lease)
			err := d.extend(work, n, next)
			switch {
			case err == nil:
				until = next
			case errors.Is(err, router.ErrConflict), !d.cfg.Now().Add(d.cfg.Lease / 3).Before(until):
				cancel(errLost) // no further try comes before the lease is over
				return
			}
		}
	}()
	return held, sync.OnceFunc(func() {
		close(done)
		<-ended
		cancel(nil)
	})
}

// extend asks once, and is not cancelled by a stop: the Sync may still be in its grace.
func (d *Deliverer) extend(work context.Context, n *router.Notification, until time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(work), min(storageTimeout, d.cfg.Lease/4))
	defer cancel()
	err := d.queue.Extend(ctx, n.Delivery, n.Claim, until)
	if errors.Is(err, router.ErrConflict) {
		d.extending.note(nil)
		return err
	}
	d.extending.note(err, "delivery", n.Delivery)
	return err
}
