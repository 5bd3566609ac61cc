package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"flowbridge/cmd/flowbridge/replay"
	"flowbridge/notifiers"
	"flowbridge/router"
	"flowbridge/router/console"
	"flowbridge/router/rules"
	"flowbridge/router/store"
)

// candidateName is what mistakes in pasted rules stand in.
const candidateName = "candidate.yaml"

const (
	// maxTried bounds the events that one paste may hold, and maxTriedLines what is said of them.
	maxTried, maxTriedLines = 20, 64 << 10
)

// rulesTools is what the pages of the rules ask.
func (b *bridge) rulesTools() console.RulesTools {
	// Each holds one: in the process one replays at a time, and others are told so; one reads rules at a time, which takes
	// a few seconds at the worst and cannot be cut short, and others wait.
	turn, reading := make(chan struct{}, 1), make(chan struct{}, 1)
	return console.RulesTools{
		Outline: func() []console.RuleOutline { return outlineFor(b.rules.rules()) },
		Explain: func(_ context.Context, event []byte) (string, error) {
			return explained(b.rules.rules(), b.now(), event)
		},
		Try: func(ctx context.Context, text []byte, days int) (console.RulesTrial, error) {
			if days > 0 {
				select {
				case turn <- struct{}{}:
					defer func() { <-turn }()
				default:
					return console.RulesTrial{}, console.ErrTrialBusy
				}
			}
			return b.tryRules(ctx, reading, text, days)
		},
	}
}

// now is the clock of the bridge.
func (b *bridge) now() time.Time {
	if b.cfg.Now != nil {
		return b.cfg.Now().UTC()
	}
	return time.Now().UTC()
}

// outlineFor lists rules for the console.
func outlineFor(r *rules.Rules) []console.RuleOutline {
	var list []console.RuleOutline
	for _, o := range r.Outline() {
		one := console.RuleOutline{Name: o.Name, File: o.Place.File, Line: o.Place.Line, Drop: o.Drop, Continue: o.Continue,
			ShadowedBy: o.ShadowedBy}
		for _, at := range o.Match {
			one.Match = append(one.Match, at.Line)
		}
		for _, route := range o.Routes {
			one.Notify = append(one.Notify, console.RuleNotify{Notifier: route.Notifier, Kind: route.Kind.Label(),
				When: routeWords(&route)})
		}
		list = append(list, one)
	}
	return list
}

// routeWords says when an entry of notify tells.
func routeWords(route *rules.OutlineRoute) string {
	var parts []string
	if route.Severities != "" {
		parts = append(parts, "of "+route.Severities)
	}
	if route.After > 0 {
		parts = append(parts, "after "+router.FormatDuration(route.After))
	}
	if route.UnlessAck {
		parts = append(parts, "unless acknowledged")
	}
	return strings.Join(parts, ", ")
}

// explainAll writes what rules make of events, in the lines of explain.
func explainAll(out io.Writer, r *rules.Rules, events []router.Event) error {
	x := explainer{rules: r, out: out}
	for i := range events {
		if i > 0 {
			fmt.Fprintln(out)
		}
		x.explain(&events[i])
	}
	return x.err
}

// explained says what rules make of an event, in the lines of explain.
func explained(r *rules.Rules, now time.Time, event []byte) (string, error) {
	in := eventReader{now: now}
	events, err := in.read("the event", event)
	if err != nil {
		return "", err
	}
	if len(events) > maxTried {
		in.note(fmt.Sprintf("of %d events the first %d are explained", len(events), maxTried))
		events = events[:maxTried]
	}
	var out bytes.Buffer
	if err := explainAll(&out, r, events); err != nil {
		return "", err
	}
	for _, note := range in.notes {
		fmt.Fprintf(&out, "\nnote: %s\n", note)
	}
	return router.Shorten(strings.ToValidUTF8(out.String(), "\uFFFD"), maxTriedLines), nil
}

// withoutSecrets reads rules without the variables and files of this machine: whatever they refer to is a stand-in.
func withoutSecrets() rules.Config {
	return rules.Config{
		StandIns: true,
		Env:      func(string) (string, bool) { return "", true },
		ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
	}
}

// tryRules says what pasted rules would be like. Whoever pastes them learns nothing of the variables and files of this
// machine: whatever they refer to is a stand-in.
func (b *bridge) tryRules(ctx context.Context, reading chan struct{}, text []byte,
	days int) (t console.RulesTrial, err error) {
	select {
	case reading <- struct{}{}:
	case <-ctx.Done():
		return t, ctx.Err()
	}
	cfg := withoutSecrets()
	cfg.Samples = sampleEvents()
	r, found := rules.Check([]rules.File{{Name: candidateName, Data: text}}, cfg)
	<-reading
	t.Faults = len(found.Faults())
	if r == nil {
		t.Faults = max(t.Faults, 1)
	}
	for _, m := range first(found, &t.Cut) {
		t.Mistakes = append(t.Mistakes, console.RuleMistake{Line: m.Line, Column: m.Column, Path: m.Path, Problem: m.Problem,
			Hint: m.Hint, Warning: m.Warning})
	}
	if t.Faults > 0 {
		return t, nil
	}
	t.Changed = first(changedRules(b.rules.rules(), r), &t.Cut)
	if t.Open, t.Moved, err = b.moved(ctx, r, &t.Cut); err != nil {
		return t, err
	}
	t.Moved = first(t.Moved, &t.Cut)
	if days > 0 {
		t.Replay, err = b.replayed(ctx, r, time.Duration(days)*24*time.Hour)
	}
	return t, err
}

// maxShown bounds each list that a page shows of rules that are tried.
const maxShown = 200

// first returns the first of a list, and notes that there are more.
func first[T any](list []T, cut *bool) []T {
	if len(list) > maxShown {
		*cut = true
		return list[:maxShown]
	}
	return list
}

// changedRules says which rules are new, gone, or tell others.
func changedRules(was, now *rules.Rules) (list []console.RuleChange) {
	tells := func(o *rules.Outline) string {
		var names []string
		for i := range o.Routes {
			names = append(names, strings.TrimSpace(o.Routes[i].Notifier+" "+routeWords(&o.Routes[i])))
		}
		if o.Drop {
			return "nobody: it drops"
		}
		return cmp.Or(strings.Join(names, ", "), "nobody")
	}
	old := was.Outline()
	for _, o := range now.Outline() {
		at := slices.IndexFunc(old, func(w rules.Outline) bool { return w.Name == o.Name })
		if at < 0 {
			list = append(list, console.RuleChange{Rule: o.Name, What: "new", Now: tells(&o)})
			continue
		}
		if before, after := tells(&old[at]), tells(&o); before != after {
			list = append(list, console.RuleChange{Rule: o.Name, What: "tells others", Was: before, Now: after})
		}
		old = slices.Delete(old, at, at+1)
	}
	for i := range old {
		list = append(list, console.RuleChange{Rule: old[i].Name, What: "gone", Was: tells(&old[i])})
	}
	return list
}

// moved lists the open incidents that other rules would route elsewhere, among router.MaxListed; it notes if there are
// more.
func (b *bridge) moved(ctx context.Context, candidate *rules.Rules,
	cut *bool) (n int, list []console.MovedIncident, err error) {
	open, more, err := router.EveryIncident(router.IncidentFilter{Active: true},
		func(f router.IncidentFilter) ([]router.IncidentRow, error) { return b.store.IncidentRows(ctx, f) })
	if err != nil {
		return 0, nil, err
	}
	*cut = *cut || more
	event := func(seq int64) (*router.Event, error) {
		e, err := b.store.Event(ctx, seq)
		if errors.Is(err, router.ErrNotFound) {
			return nil, nil
		}
		return &e.Event, err
	}
	slices.SortFunc(open, func(a, b router.IncidentRow) int { return cmp.Compare(a.Number, b.Number) })
	for i := range open {
		inc := &open[i]
		var was []string
		var active []activeAlert
		for j := range inc.Alerts {
			a := &inc.Alerts[j]
			if !a.Counts() {
				continue
			}
			for _, route := range a.Routes {
				was = append(was, route.Notifier)
			}
			one := activeAlert{openedBy: positionOf(a.OpenedBy)}
			if threshold, ok := a.Level.Threshold(); ok {
				one.threshold = &threshold
			}
			active = append(active, one)
		}
		now, unknown, err := routedBy(candidate, active, event)
		if err != nil {
			return 0, nil, err
		}
		slices.Sort(was)
		was = slices.Compact(was)
		if unknown || !slices.Equal(was, now) {
			list = append(list, console.MovedIncident{Number: inc.Number, What: inc.What(), Was: whom(was), Now: whom(now),
				Unknown: unknown})
		}
	}
	return len(open), list, nil
}

// positionOf returns a position of the journal, nil for none.
func positionOf(seq int64) *int64 {
	if seq == 0 {
		return nil
	}
	return &seq
}

// replayed folds the journal through other rules.
func (b *bridge) replayed(ctx context.Context, r *rules.Rules, since time.Duration) (*console.RulesReplay, error) {
	h, err := store.OpenHistory(ctx, b.cfg.DB)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	report, err := replay.Run(ctx, h, r, since)
	if err != nil {
		return nil, err
	}
	return replayFor(report), nil
}

// replayFor writes a replay for the console.
func replayFor(report *replay.Report) *console.RulesReplay {
	out := &console.RulesReplay{Events: report.Events, Compared: report.Compared, From: report.From, To: report.To}
	for _, c := range []struct {
		what string
		of   replay.Count
	}{{"Pages", report.Pages}, {"Messages", report.Messages}, {"Change events", report.ChangeEvents}} {
		out.Counts = append(out.Counts, console.ReplayCount{What: c.what, Live: c.of.Live, Now: c.of.Now, Same: c.of.Same,
			Added: c.of.Added, Gone: c.of.Gone})
	}
	for _, d := range report.Differences[:min(len(report.Differences), maxShown)] {
		one := console.ReplayDifference{What: plural(d.Kind, int(d.Added+d.Gone)), Notifier: d.Notifier, Rule: d.Rule,
			Added: d.Added, Gone: d.Gone}
		for _, e := range d.Examples {
			sign := "+"
			if e.Gone {
				sign = "−"
			}
			one.Examples = append(one.Examples, fmt.Sprintf("%s %s UTC %s", sign, e.At.UTC().Format("2006-01-02 15:04"),
				e.What()))
		}
		out.Differences = append(out.Differences, one)
	}
	for _, rule := range report.NeverHit[:min(len(report.NeverHit), maxShown)] {
		out.NeverHit = append(out.NeverHit, strings.TrimPrefix(rule.Place, candidateName+":")+" "+rule.Rule)
	}
	out.Notes = report.Notes()
	return out
}

// examineFor hands what doctor finds to the console.
func examineFor(examine func(ctx context.Context) []notifiers.Finding) func(ctx context.Context) []console.Check {
	if examine == nil {
		return nil
	}
	return func(ctx context.Context) []console.Check {
		var list []console.Check
		for _, f := range examine(ctx) {
			list = append(list, console.Check{Status: f.Status, Name: f.Name, Seen: f.Seen, Do: f.Do})
		}
		return list
	}
}
