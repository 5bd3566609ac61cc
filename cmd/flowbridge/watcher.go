package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/cmd/flowbridge/watch"
	"flowbridge/router"
	"flowbridge/router/store"
)

const (
	// watchEvery is how often the bridge looks at itself, and watchTimeout bounds one look.
	watchEvery, watchTimeout = 30 * time.Second, 20 * time.Second
	// settlingLooks is for how many looks after the start silence is no news.
	settlingLooks = 20
	// learnEvery is how often the account's rhythm is read from the journal.
	learnEvery = 6 * time.Hour
)

// watcher looks at the bridge and its source, and writes what begins and what ends to the journal, as events of the
// bridge's own. What is wrong by now it reads from what the journal was folded to: so a restart neither forgets nor
// repeats, and of several processes on one database any can go on. Only the one that folds writes.
type watcher struct {
	b       *bridge
	every   time.Duration
	now     func() time.Time
	started time.Time
	meter   *watch.Meter

	usual     time.Duration // as it was learned
	learned   time.Time
	failing   bool
	looks     prometheus.Counter
	heartbeat *heartbeat // nil: nobody is called
}

func newWatcher(b *bridge) *watcher {
	now := b.cfg.Now
	if now == nil {
		now = time.Now
	}
	w := &watcher{b: b, every: cmp.Or(b.cfg.WatchEvery, watchEvery), now: now, started: now(),
		meter: watch.NewMeter(now())}
	w.looks = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "flowbridge_watch_looks_total", Help: "Times that the bridge looked at itself and its source."})
	if b.cfg.Heartbeat != "" && w.every > 0 {
		w.heartbeat = newHeartbeat(b.cfg.Heartbeat, 2*w.every, b.cfg.Logger)
	}
	return w
}

// run looks until ctx ends.
func (w *watcher) run(ctx context.Context) {
	if w.every < 0 {
		return
	}
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		w.turn(ctx)
	}
}

// turn looks once, where it is this process's to do so.
func (w *watcher) turn(ctx context.Context) {
	if !w.b.store.Folds() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	err := w.look(ctx)
	if err == nil {
		err = w.drill(ctx)
	}
	if err == nil {
		err = w.report(ctx)
	}
	if err != nil && !w.failing && ctx.Err() == nil {
		w.b.cfg.Logger.Warn("the bridge could not look at itself; trying again", "error", err)
	}
	w.failing = err != nil
	w.looks.Inc()
}

func (w *watcher) look(ctx context.Context) error {
	look, err := w.sees(ctx)
	if err != nil {
		return err
	}
	var subjects []router.FlowID
	findings := watch.Judge(look, func(string, string) string { return "" }) // for the subjects alone
	for _, f := range append(findings, watch.Finding{ID: "source"}, watch.Finding{ID: "answers"},
		watch.Finding{ID: "arrival"}, watch.Finding{ID: "signatures"}) {
		subjects = append(subjects, router.FlowID{Flow: f.Subject().Key()})
	}
	states, err := w.b.store.States(ctx, subjects, nil)
	if err != nil {
		return err
	}
	findings = watch.Judge(look, func(signal, id string) string {
		word, _ := wordOf(states[subjectID(id)], signal)
		return word
	})
	var events []router.Event
	for i := range findings {
		if e, ok := changeOf(states[subjectID(findings[i].ID)], &findings[i], w.now()); ok {
			events = append(events, e)
		}
	}
	return w.tell(ctx, events)
}

func (w *watcher) tell(ctx context.Context, events []router.Event) error {
	if len(events) == 0 {
		return nil
	}
	stored, err := w.b.store.Append(ctx, events)
	if err == nil && stored > 0 {
		for i := range events {
			w.b.cfg.Logger.Log(ctx, slog.LevelWarn, "the bridge about itself: "+router.Sentence(events[i].Name,
				router.Level(events[i].Change)),
				"event", events[i].Name, "change", events[i].Change, "about", events[i].Subject.Name)
		}
	}
	return err
}

func subjectID(id string) router.FlowID {
	f := watch.Finding{ID: id}
	return router.FlowID{Flow: f.Subject().Key()}
}

// wordOf returns the worst word of a signal that is active, "" for none, and when the signal moved last.
func wordOf(s router.State, signal string) (word string, moved time.Time) {
	row := router.SignalOf(signal)
	worst := -1
	for i := range s.Alerts {
		a := &s.Alerts[i]
		if a.Event != signal {
			continue
		}
		for _, at := range []time.Time{a.Raised, a.Cleared} {
			if at.After(moved) {
				moved = at
			}
		}
		for place := range row.Levels {
			if a.Active && row.Levels[place].Word == string(a.Level) && place > worst {
				word, worst = row.Levels[place].Word, place
			}
		}
	}
	return word, moved
}

// changeOf returns the event that brings what is known in line with a finding; ok is false where it is already. Until
// it is folded it comes out the same, and the journal keeps one of a digest.
func changeOf(s router.State, f *watch.Finding, now time.Time) (e router.Event, ok bool) {
	was, moved := wordOf(s, f.Signal)
	if was == f.Word {
		return e, false
	}
	e = router.Event{
		Source: router.SourceFlowbridge, Name: f.Signal, Received: now.UTC(), At: now.UTC(), Subject: f.Subject(),
		Change: f.Word, AlertState: router.Activated, Facts: f.Facts,
		Digest: fmt.Sprintf("watch/%s/%s/%s/%d", f.Signal, f.ID, cmp.Or(f.Word, router.WellWord), moved.UnixMicro()),
	}
	if moved.IsZero() {
		e.Digest = fmt.Sprintf("watch/%s/%s/%s/0", f.Signal, f.ID, f.Word)
	}
	if f.Word == "" {
		e.Change, e.AlertState = router.WellWord, router.Deactivated
	}
	return e, true
}

// sees gathers what is judged.
func (w *watcher) sees(ctx context.Context) (l watch.Look, err error) {
	now := w.now()
	l = watch.Look{Now: now, Posts: w.meter.At(now), Settling: now.Sub(w.started) < settlingLooks*w.every}
	for _, c := range []struct {
		name string
		of   *certificates
	}{{"public", w.b.cfg.Certificates}, {"admin", w.b.cfg.AdminCertificates}} {
		if ends, file, ok := c.of.ends(); ok {
			l.Certificates = append(l.Certificates, watch.Certificate{Name: c.name, File: filepath.Base(file), Ends: ends})
		}
	}
	l.Fold, l.Lanes = w.b.admin.Stalled()
	for _, t := range w.b.rules.rules().Targets() {
		l.Notifiers = append(l.Notifiers, t.Notifier)
	}
	if !store.IsPostgres(w.b.cfg.DB) && !w.b.cfg.Passing {
		l.Disk = diskOf(filepath.Dir(w.b.cfg.DB))
	}
	if l.Silence, err = w.silence(ctx, now); err != nil || l.Silence == 0 {
		return l, err
	}
	l.Last, err = w.lastPost(ctx)
	return l, err
}

// silence is how long nothing may come from Meta.
func (w *watcher) silence(ctx context.Context, now time.Time) (time.Duration, error) {
	said := w.b.rules.rules().Watch()
	if !said.Auto {
		return said.After, nil
	}
	if w.usual == 0 || now.Sub(w.learned).Abs() >= learnEvery {
		pauses, first, err := w.b.store.Pauses(ctx, now.Add(-watch.Learned), watch.LeastSilence)
		if err != nil {
			return 0, err
		}
		w.usual, w.learned = watch.Usual(now, first, pauses), now
	}
	return w.usual, nil
}

// lastPost is when a good post of Meta's came last, to whichever process; where none ever did, when rules were first in
// force.
func (w *watcher) lastPost(ctx context.Context) (last time.Time, err error) {
	unwritten := w.b.background.unwritten() // first: what is written meanwhile would be in neither
	seen, err := w.b.store.Seen(ctx)
	if err != nil {
		return last, err
	}
	for _, one := range append(seen, unwritten...) {
		if one.What == router.SightPost && one.At.After(last) {
			last = one.At
		}
	}
	if !last.IsZero() {
		return last, nil
	}
	last = w.started
	versions, err := w.b.store.RulesVersions(ctx, mostVersions)
	for _, v := range versions {
		if v.First.Before(last) {
			last = v.First
		}
	}
	return last, err
}

// mostVersions bounds the versions of the rules that are asked when the first was in force.
const mostVersions = 500
