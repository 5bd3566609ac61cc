package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
	"flowbridge/router/rules"
)

// ruleset is the rules in force. They are read anew when their files or those of their keys (${file:PATH}) change, on
// SIGHUP and when the admin API asks; a file with mistakes changes nothing, and says so in the log, the metrics and
// /readyz.
type ruleset struct {
	path   string
	read   func(path string) (loadedRules, error)
	refuse func(*rules.Rules) error // why rules without mistakes cannot be used here; nil for those that can
	logger *slog.Logger
	audit  func(context.Context, router.AuditEntry) // keeps who had the rules read anew; nil: nobody asks
	// is told which rules are in force, and what loaded them; nil: nobody is
	inForce func(loadedRules, string)
	poll    time.Duration // how often the files are looked at
	limit   time.Duration // for reading them, or looking at them, once

	turn chan struct{} // holds one while files are read or looked at: one at a time, so that the newest wins
	late chan struct{} // pulsed when that was given up, and has ended after all
	anew chan struct{} // pulsed after rules were read
	mu   sync.Mutex    // for seen
	seen loadedRules   // what was read last, good or not

	current atomic.Pointer[rules.Rules]
	problem atomic.Pointer[string]

	reloads *prometheus.CounterVec
	good    prometheus.Gauge
	since   prometheus.Gauge
}

const (
	// settle is how long files must have been still before they are read: editors write in several steps.
	settle = 200 * time.Millisecond
	// rulesPoll is how soon a change is seen that no notification tells of: a folder that was replaced as a whole, a link
	// further up, a single file that a container mounts, a file system on the network.
	rulesPoll = 5 * time.Second
	// rulesLimit is how long rules may take to be read: a file system on the network may never answer.
	rulesLimit = 30 * time.Second
)

// newRuleset returns a ruleset with rules that were read from path.
func newRuleset(path string, first loadedRules, read func(string) (loadedRules, error), refuse func(*rules.Rules) error,
	logger *slog.Logger) *ruleset {
	s := &ruleset{
		path: path, read: read, refuse: refuse, logger: logger, poll: rulesPoll, limit: rulesLimit,
		turn: make(chan struct{}, 1), late: make(chan struct{}, 1), anew: make(chan struct{}, 1), seen: first,
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flowbridge_rules_reloads_total", Help: "Times the rules were read anew, by how that went: good or refused."},
			[]string{"result"}),
		good: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "flowbridge_rules_last_reload_good",
			Help: "1 if the rules in force are those in the files, 0 if the files have mistakes."}),
		since: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "flowbridge_rules_loaded_timestamp_seconds", Help: "When the rules in force were read."}),
	}
	s.reloads.WithLabelValues("good")
	s.reloads.WithLabelValues("refused")
	s.use(first.rules)
	return s
}

func (s *ruleset) collectors() []prometheus.Collector {
	return []prometheus.Collector{s.reloads, s.good, s.since}
}

// rules returns the rules in force.
func (s *ruleset) rules() *rules.Rules { return s.current.Load() }

// trouble says why the files are not in force; "" if they are.
func (s *ruleset) trouble() string {
	if p := s.problem.Load(); p != nil {
		return *p
	}
	return ""
}

func (s *ruleset) use(r *rules.Rules) {
	s.current.Store(r)
	s.problem.Store(nil)
	s.good.Set(1)
	s.since.SetToCurrentTime()
}

// reload reads the files. Rules with mistakes are not used: the error says what is wrong, as *rules.Mistakes where
// it is the author's.
func (s *ruleset) reload(ctx context.Context) error {
	var loaded loadedRules
	err := s.inTime(ctx, func() error {
		var err error
		if loaded, err = s.read(s.path); err == nil && s.refuse != nil {
			err = s.refuse(loaded.rules)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen = loaded
		return err
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	pulse(s.anew)
	if err != nil {
		text := err.Error()
		s.problem.Store(&text)
		s.good.Set(0)
		s.reloads.WithLabelValues("refused").Inc()
		s.logger.Error("the rules were changed and cannot be used; the old ones stay in force", "rules", s.path, "error",
			text)
		return err
	}
	s.use(loaded.rules)
	if s.inForce != nil {
		s.inForce(loaded, router.RulesReloaded)
	}
	s.reloads.WithLabelValues("good").Inc()
	s.logger.Info("the rules were read anew", "rules", s.path)
	return nil
}

// watch reloads after each change of the files, and whenever hup says so, until ctx ends. Where files cannot be watched
// they are looked at from time to time.
func (s *ruleset) watch(ctx context.Context, hup <-chan os.Signal) {
	w, err := fsnotify.NewWatcher()
	if err == nil {
		defer w.Close()
		err = s.follow(w)
	} else {
		w = &fsnotify.Watcher{} // its channels are nil, and never speak
	}
	if err != nil {
		s.logger.Warn("changes of the rules are seen late: send SIGHUP after each", "error", err, "within", s.poll.String())
	}
	still := time.NewTimer(0)
	if !still.Stop() {
		<-still.C
	}
	look := time.NewTicker(s.poll)
	defer look.Stop()
	soon := false // still is running
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			if !soon && s.changed(ctx) {
				soon = true
				still.Reset(settle)
			}
		case <-hup:
			s.audited(ctx, "SIGHUP", s.reload(ctx))
		case <-s.late:
			s.audited(ctx, "the files answer again", s.reload(ctx))
		case <-still.C:
			soon = false
			s.audited(ctx, "the files changed", s.reload(ctx))
		case <-s.anew:
			if w.Events != nil {
				_ = s.follow(w) // what cannot be watched is looked at
			}
		case event := <-w.Events:
			if s.concerns(event.Name) {
				soon = true
				still.Reset(settle)
			}
		case err := <-w.Errors:
			s.logger.Warn("a change of the rules may be seen late", "error", err, "within", s.poll.String())
		}
	}
}

// audited tells the audit of a reload that somebody on this machine brought about: who that is nobody knows here.
func (s *ruleset) audited(ctx context.Context, how string, err error) {
	if s.audit == nil {
		return
	}
	e := router.AuditEntry{At: time.Now().UTC(), Who: "operator", Verified: router.VerifiedNot, From: "this machine: " +
		how, What: "reload the rules", Result: "read anew"}
	if err != nil { // it has said so
		e.Result = "refused: the rules have mistakes"
	}
	s.audit(ctx, e)
}

// last returns what was read last.
func (s *ruleset) last() loadedRules {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// changed says whether the files are others than those that were read last, or do not answer.
func (s *ruleset) changed(ctx context.Context) bool {
	err := s.inTime(ctx, func() error {
		if seen := s.last(); stamp(s.path) != seen.files || seen.keys.changed(seen.readKey) {
			return errors.New("they have changed")
		}
		return nil
	})
	return err != nil && ctx.Err() == nil
}

// stamp tells states of the files apart: by name, size and time. It is empty where there are none.
func stamp(path string) string {
	paths, err := rulesFiles(path)
	if err != nil {
		return ""
	}
	var b strings.Builder
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil {
			fmt.Fprintf(&b, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		}
	}
	return b.String()
}

// follow watches the folders of the rules and of their keys, and no others. Folders, not files: an editor replaces a
// file, and Kubernetes changes where a link points. One that was replaced is watched anew.
func (s *ruleset) follow(w *fsnotify.Watcher) error {
	seen := s.last()
	folders := map[string]bool{seen.folder: true}
	for key := range seen.keys {
		folders[filepath.Dir(key)] = true
	}
	var faults []error
	for folder := range folders {
		if err := w.Add(folder); err != nil {
			faults = append(faults, fmt.Errorf("watch %s: %w", folder, err))
		}
	}
	for _, old := range w.WatchList() {
		if !folders[old] {
			_ = w.Remove(old)
		}
	}
	return errors.Join(faults...)
}

// concerns says whether a change in a watched folder can be one of the rules or of their keys. A link that Kubernetes
// swaps has a name that begins with two dots.
func (s *ruleset) concerns(name string) bool {
	name = filepath.Clean(name)
	base := filepath.Base(name)
	if len(base) > 2 && base[:2] == ".." {
		return true
	}
	seen := s.last()
	switch {
	case seen.keys.names(name):
		return true
	case filepath.Dir(name) != seen.folder:
		return false
	case seen.many:
		return isRulesFile(base)
	}
	return base == filepath.Base(s.path)
}

// isRulesFile says whether a file of a folder of rules is one of them.
func isRulesFile(base string) bool {
	ext := filepath.Ext(base)
	return base[0] != '.' && (ext == ".yaml" || ext == ".yml")
}
