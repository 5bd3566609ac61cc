package main

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
)

const (
	// backgroundEvery is how often there is a look at what is to be kept beside the work, and backgroundLimit bounds one
	// write.
	backgroundEvery, backgroundLimit = 2 * time.Second, 5 * time.Second
	// sightEvery is how often the same sight is written: it is no counter.
	sightEvery = time.Minute
	// mostLoads bounds the loads of rules that wait to be written: of more, those in between are dropped.
	mostLoads = 16
)

// keeper is where it is kept.
type keeper interface {
	KeepRulesVersion(ctx context.Context, v router.RulesVersion) error
	KeepSights(ctx context.Context, sights []router.Sight) error
}

// background writes what nobody waits for: which rules are in force, and what was seen of the other sides. What cannot
// be written is tried again.
type background struct {
	now    func() time.Time
	logger *slog.Logger
	to     keeper

	mu      sync.Mutex
	loads   []router.RulesVersion
	sights  map[router.SightKind]router.Sight // that are to be written
	written map[router.SightKind]time.Time    // when each was last
	failing bool
}

func newBackground(now func() time.Time, logger *slog.Logger, to keeper) *background {
	if now == nil {
		now = time.Now
	}
	return &background{now: now, logger: logger, to: to, sights: map[router.SightKind]router.Sight{},
		written: map[router.SightKind]time.Time{}}
}

// saw notes a sight. It waits for nothing.
func (b *background) saw(what router.SightKind, detail string) {
	now := b.now()
	b.mu.Lock()
	b.sights[what] = router.Sight{What: what, At: now, Detail: detail}
	b.mu.Unlock()
}

// unwritten returns the sights that are not written yet.
func (b *background) unwritten() []router.Sight {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Values(b.sights))
}

// rules notes which rules are in force.
func (b *background) rules(loaded loadedRules, by string) {
	if loaded.rules == nil || loaded.rules.Version() == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.loads) == mostLoads {
		b.loads = slices.Delete(b.loads, 1, 2)
	}
	b.loads = append(b.loads, router.RulesVersion{Digest: loaded.rules.Version(), Loaded: b.now(), By: by,
		Files: loaded.shown})
}

// run writes until ctx ends, and then once more.
func (b *background) run(ctx context.Context) {
	tick := time.NewTicker(backgroundEvery)
	defer tick.Stop()
	for {
		b.write(context.WithoutCancel(ctx), ctx.Err() != nil)
		if ctx.Err() != nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// write writes what is due; all is, at the end.
func (b *background) write(ctx context.Context, all bool) {
	ctx, cancel := context.WithTimeout(ctx, backgroundLimit)
	defer cancel()
	b.mu.Lock()
	loads, due := slices.Clone(b.loads), []router.Sight(nil)
	for _, what := range slices.Sorted(maps.Keys(b.sights)) {
		if last := b.written[what]; all || b.sights[what].At.Sub(last).Abs() >= sightEvery {
			due = append(due, b.sights[what])
		}
	}
	b.mu.Unlock()
	var err error
	for _, v := range loads {
		if err = b.to.KeepRulesVersion(ctx, v); err != nil {
			break
		}
		b.mu.Lock()
		b.loads = slices.DeleteFunc(b.loads, func(other router.RulesVersion) bool {
			return other.Digest == v.Digest &&
				other.Loaded.Equal(v.Loaded)
		})
		b.mu.Unlock()
	}
	if err == nil && len(due) > 0 {
		err = b.to.KeepSights(ctx, due)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		if !b.failing {
			b.logger.Warn("which rules are in force, or what was seen of services, could not be written; trying again",
				"error", err)
		}
		b.failing = true
		return
	}
	b.failing = false
	for _, one := range due {
		b.written[one.What] = one.At
		if b.sights[one.What] == one {
			delete(b.sights, one.What)
		}
	}
}

// ruleHits counts what rules did, for who may know what rules there are.
type ruleHits struct{ hits, pages *prometheus.CounterVec }

func newRuleHits() *ruleHits {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"rule"})
	}
	return &ruleHits{
		hits:  counter("flowbridge_rule_hits_total", "Events that a rule matched, by rule."),
		pages: counter("flowbridge_rule_pages_total", "Pages for incidents that a rule opened, by rule."),
	}
}

func (r *ruleHits) count(hits []router.RuleHits) {
	for _, h := range hits {
		rule := cmp.Or(h.Rule, "default")
		r.hits.WithLabelValues(rule).Add(float64(h.Hits))
		r.pages.WithLabelValues(rule).Add(float64(h.Pages))
	}
}

func (r *ruleHits) gatherer() prometheus.Gatherer {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(r.hits, r.pages)
	return metrics
}
