package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"flowbridge/router"
	"flowbridge/router/console"
	"flowbridge/router/rules"
)

// why says what the rules that were in force made of the event that opened an incident, and whether those of today
// would tell others.
func (b *bridge) why(ctx context.Context,
	inc *router.IncidentDetail) (lines []console.WhyLine, today string, err error) {
	i := slices.IndexFunc(inc.Timeline, func(e router.Entry) bool { return e.Kind == router.EntryOpened && e.Event != 0 })
	if i < 0 {
		return []console.WhyLine{{Text: "The beginning of its timeline is not kept any more."}}, "", nil
	}
	opened, err := b.store.Event(ctx, inc.Timeline[i].Event)
	switch {
	case errors.Is(err, router.ErrNotFound):
		return []console.WhyLine{{Text: "The event that opened it is not kept any more."}}, "", nil
	case err != nil:
		return nil, "", err
	}
	now := b.rules.rules()
	then, kept, note, err := b.rulesOf(ctx, inc.RulesVersion, now)
	if err != nil {
		return nil, "", err
	}
	if note != "" {
		lines = append(lines, console.WhyLine{Text: note})
	}
	was := then.Explain(&opened.Event)
	lines = append(lines, whyLines(&kept, &was)...)
	if then != now {
		is := now.Explain(&opened.Event)
		if before, after := toldBy(&was), toldBy(&is); before != after {
			today = fmt.Sprintf("Today's rules would say otherwise: %s. Those of then: %s.", after, before)
		}
	}
	return lines, today, nil
}

// rulesOf returns rules as they were once in force, and their text. Where they are not kept, or cannot be read without
// their credentials, those in force now stand in, and note says so.
func (b *bridge) rulesOf(ctx context.Context, digest string,
	now *rules.Rules) (then *rules.Rules, kept router.RulesVersion, note string, err error) {
	keep := func(digest string) (v router.RulesVersion, err error) {
		v, err = b.store.RulesVersion(ctx, digest)
		if errors.Is(err, router.ErrNotFound) {
			return router.RulesVersion{}, nil
		}
		return v, err
	}
	if digest != "" && digest != now.Version() {
		if kept, err = keep(digest); err != nil {
			return nil, kept, "", err
		}
		note = "The rules of then cannot be read by this version: this is what those of today say."
	}
	if kept.Digest != "" {
		files := make([]rules.File, len(kept.Files))
		for i, f := range kept.Files {
			files[i] = rules.File{Name: f.Name, Data: []byte(f.Text)}
		}
		if then, _ = rules.Check(files, withoutSecrets()); then != nil {
			return then, kept, "", nil
		}
	} else if digest != now.Version() {
		note = "The rules of then are not kept: this is what those of today say."
	}
	kept, err = keep(now.Version())
	return now, kept, note, err
}

// whyLines says which rules matched, and whom they told; where none did, that.
func whyLines(kept *router.RulesVersion, x *rules.Explanation) (lines []console.WhyLine) {
	at := func(place rules.Place) string { return console.RulesPath(kept, place.File, place.Line) }
	for _, asked := range x.Rules {
		if !asked.Matched {
			continue
		}
		var texts []string
		for _, reason := range asked.Decided {
			texts = append(texts, reason.Text)
		}
		text := "Rule " + asked.Rule + " matched"
		if len(texts) > 0 {
			text += ": " + strings.Join(texts, ", ")
		}
		lines = append(lines, console.WhyLine{Text: text, Path: at(asked.Place)})
	}
	if len(lines) == 0 {
		lines = append(lines, console.WhyLine{Text: "No rule matched."})
	}
	for _, route := range x.Routes {
		text := route.Notifier + " is told " + route.When
		if !route.Tells {
			text = route.Notifier + " is not told: " + route.Why
		}
		lines = append(lines, console.WhyLine{Text: text, Path: at(route.Place)})
	}
	return lines
}

// toldBy names whom rules tell.
func toldBy(x *rules.Explanation) string {
	var names []string
	for _, route := range x.Routes {
		if route.Tells && !slices.Contains(names, route.Notifier) {
			names = append(names, route.Notifier)
		}
	}
	if len(names) == 0 {
		return "nobody is told"
	}
	return strings.Join(names, ", ")
}
