package main

import (
	"context"
	"fmt"
	"time"

	"flowbridge/router"
)

// keep is how long something is kept, as a flag: "90d"; what 0 means its help says.
type keep time.Duration

// UnmarshalText reads what a person gave.
func (k *keep) UnmarshalText(text []byte) error {
	d, ok := router.ParseDuration(string(text))
	switch {
	case string(text) == "0":
	case !ok || d <= 0:
		return fmt.Errorf("%q is no length of time: write 90d or 36h, or 0", text)
	}
	*k = keep(d)
	return nil
}

// keepAttempts is the default of --keep-attempts.
const keepAttempts = 30 * 24 * time.Hour

// sweepEvery is how often what is old is removed: little each time.
const sweepEvery = time.Hour

// sweepRhythm returns when what is old is first removed after a start, and how often from then on.
func sweepRhythm(given, keepEvents time.Duration) (first, every time.Duration) {
	if given > 0 {
		return given, given
	}
	every = sweepEvery
	if keepEvents > 0 {
		every = min(every, max(keepEvents/4, time.Minute))
	}
	return time.Minute, every // after a start there is more urgent work
}

// sweep removes what is old, again and again until ctx ends.
func (b *bridge) sweep(ctx context.Context) {
	first, every := sweepRhythm(b.cfg.SweepEvery, b.cfg.KeepEvents)
	timer := time.NewTimer(first)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		swept, err := b.store.Sweep(ctx, time.Now(), b.cfg.KeepEvents, b.cfg.KeepIncidents)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			b.cfg.Logger.Error("what is old could not be removed; trying again later", "error", err, "in", every.String())
		case swept.Any():
			b.cfg.Logger.Info("what is old was removed", "events", swept.Events, "incidents", swept.Incidents,
				"notices", swept.Notices, "silences", swept.Silences, "audit", swept.Audit, "readings", swept.Readings, "attempts",
				swept.Attempts, "rules", swept.Rules, "hits", swept.Hits,
				"refreshes", swept.Refreshed, "reduced", swept.Reduced)
		}
		timer.Reset(every)
	}
}
