package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"flowbridge/router"
	"flowbridge/router/store"
	"flowbridge/router/store/storetest"
)

// TestTheFoldAndTheLanesNeverWaitForEachOther tells a flooded channel and pages of incidents that come and go all the
// time, in digests, alone, and in vain, while somebody has all tried again: PostgreSQL undoes none of that because two
// wait for each other.
func TestTheFoldAndTheLanesNeverWaitForEachOther(t *testing.T) {
	storetest.Long(t)
	t.Parallel()
	const incidents, lanes, batches = 240, 2, 50
	dsn, ctx := migrated(t, storetest.Shared(t)), context.Background()
	s, err := store.Open(ctx, store.Config{DSN: dsn, StartWait: storetest.Patience, DeadAfter: time.Hour})
	check(t, err)
	defer s.Close()
	waiting(t, s) // so that it folds
	over := make(chan struct{})
	var digests, alone atomic.Int64
	var running sync.WaitGroup
	for lane := range lanes {
		for _, kind := range []router.Kind{router.KindSlack, router.KindPagerDuty} {
			running.Go(func() {
				r := rand.New(rand.NewPCG(uint64(lane), uint64(len(kind))))
				for {
					select {
					case <-over:
						return
					default:
					}
					n, _, err := s.Claim(ctx, router.Ask{Notifier: fmt.Sprint(kind, lane), Now: time.Now(), Lease: time.Minute})
					if err == nil && n != nil {
						if n.Digest != nil {
							digests.Add(1)
						} else {
							alone.Add(1)
						}
						err = s.Finish(ctx, ended(n, r.IntN(4)))
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	running.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			if _, err := s.RetryDeliveries(ctx, router.DeliveryFilter{}, nil); err != nil {
				t.Error(err)
				return
			}
		}
	})
	r := rand.New(rand.NewPCG(1, 1))
	for range batches {
		var b router.Batch
		for _, i := range r.Perm(incidents)[:incidents/2] {
			inc := incident(int64(i + 1))
			inc.Flow = fmt.Sprint("f", i)
			b.Incidents = append(b.Incidents, inc)
			open := r.IntN(2) == 0
			for _, kind := range []router.Kind{router.KindSlack, router.KindPagerDuty} {
				target := router.Target{Notifier: fmt.Sprint(kind, i%lanes), Kind: kind, Address: fmt.Sprint("#", kind, i%lanes)}
				b.Owed = append(b.Owed, router.Owed{Incident: inc.Number, Key: fmt.Sprint("k", i/2), Target: target, Open: open,
					Severity: router.Error})
			}
		}
		check(t, s.Commit(ctx, b))
	}
	close(over)
	running.Wait()
	check(t, s.Close())
	if digests.Load() == 0 || alone.Load() == 0 {
		t.Errorf("%d digests and %d others were tried", digests.Load(), alone.Load())
	}
	db, err := sql.Open("pgx", dsn)
	check(t, err)
	defer db.Close()
	var deadlocks int
	check(t, db.QueryRowContext(ctx, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).
		Scan(&deadlocks))
	if deadlocks > 0 {
		t.Errorf("%d transactions were undone for the sake of another", deadlocks)
	}
}

// ended is how an attempt ends: told, with a link or closed, in vain, refused, or nobody knows.
func ended(n *router.Notification, how int) router.Result {
	now := time.Now()
	r := router.Result{Delivery: n.Delivery, Claim: n.Claim, Revision: n.Revision, State: router.DeliveryDelivered,
		Digest: n.Digest, Receipt: router.Receipt{Own: made("ts", "1"), Open: n.Open, Severity: n.Severity}}
	if n.Digest != nil {
		r.Receipt = router.Receipt{Digest: n.Digest.ID}
	}
	switch how {
	case 0:
		r.Receipt.Link = fmt.Sprint("https://chat.example.com/", now.UnixNano())
	case 1:
		r.State, r.Error, r.NextAt, r.Rest = router.DeliveryWaiting, "503", now, now
		r.Receipt.Unsure = true
	case 2:
		r.State, r.Error, r.NextAt = router.DeliveryParked, fmt.Sprint("no", now.UnixNano()), now
		r.Receipt = n.Receipt
	}
	return r
}
