package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"flowbridge/notifiers/pagerduty"
	"flowbridge/notifiers/slack"
	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/rules/stories"
)

type explainCommand struct {
	Rules       string `default:"rules.yaml" env:"FLOWBRIDGE_RULES" complete:"file" help:"Rules file, or a folder of them."`
	File        string `arg:"" optional:"" complete:"file" placeholder:"EVENT.json" help:"A webhook post, one change or its value, or an event as /api/v1/events shows it; - is standard input. Without it, the flags say which event."`
	sampleFlags `group:"The sample:"`
	Field       string `help:"Field of the account that a bare value in EVENT.json belongs to. Default: flows."`
	Slack       bool   `help:"Print the Slack cards as JSON too, each with a link to Block Kit Builder, and what PagerDuty and webhooks would get."`
}

// Run says what the rules make of an event, and why. Nobody is told anything.
func (c explainCommand) Run(p *program, line *kong.Context) error {
	if c.File != "" {
		if err := c.with(line, "EVENT.json"); err != nil {
			return err
		}
	}
	if c.File == "" {
		if c.Field != "" {
			return wrongUsage("--field says what EVENT.json holds: leave it out, or give a file")
		}
		if err := c.check(line); err != nil {
			return err
		}
	}
	r, err := p.loadTrialRules(c.Rules, nil)
	if err != nil {
		return p.badRules(err)
	}
	if err := c.named(func() (*rules.Rules, error) { return r, nil }); err != nil {
		return err
	}
	in := eventReader{field: c.Field, now: time.Now().UTC()}
	events, err := c.events(p, &in)
	if err != nil {
		return err
	}
	x := explainer{rules: r, out: p.Stdout, slack: c.Slack}
	for i := range events {
		if i > 0 {
			fmt.Fprintln(x.out)
		}
		x.explain(&events[i])
	}
	for _, note := range in.notes {
		fmt.Fprintf(p.Stderr, "note: %s\n", note)
	}
	return x.err
}

func (c explainCommand) events(p *program, in *eventReader) ([]router.Event, error) {
	if c.File == "" {
		at, err := c.time(in.now)
		if err != nil {
			return nil, err
		}
		if at.After(in.now) { // what is later than now is taken for a clock that is wrong
			in.now = at
		}
		data, err := c.sampleFlags.body(in.now)
		if err != nil {
			return nil, err
		}
		return in.read("the sample", data)
	}
	data, err := p.readInput(c.File, maxEventFile)
	if err != nil {
		return nil, err
	}
	return in.read(cmp.Or(strings.TrimPrefix(c.File, "-"), "standard input"), data)
}

// badRules prints what a person got wrong as it stands, and returns what is no mistake of theirs.
func (p *program) badRules(err error) error {
	if errors.As(err, new(*rules.Mistakes)) {
		fmt.Fprintln(p.Stderr, err) // as file:line:column, from the first line on
		return errFault
	}
	return noRules(err)
}

// noRules says what to do about rules that cannot be read at all.
func noRules(err error) error {
	return fmt.Errorf(
		"rules: %w (write them, starting from rules.example.yaml, or name a file or a folder with --rules)", err)
}

// explainer writes explanations.
type explainer struct {
	rules *rules.Rules
	out   io.Writer
	slack bool
	all   []router.Notification // of the event at hand
	err   error
}

func (x *explainer) explain(ev *router.Event) {
	fmt.Fprintf(x.out, "%s\n\n", x.sentence(ev))
	own := x.rules.Explain(ev)
	opening, undoes := ev.Opening()
	var before rules.Explanation
	if undoes {
		before = x.rules.Explain(&opening)
	}
	x.verdict(ev, opening, undoes, own, before)
	fmt.Fprintln(x.out)
	x.ruleLines(own.Rules)
	x.stepRules(ev, &own)
	if undoes {
		fmt.Fprintf(x.out, "\nWho was told of %s hears that it is over. Its rules:\n\n", x.sentence(&opening))
		x.ruleLines(before.Rules)
	}
	x.cards()
}

// verdict says who is told, when and in which words.
func (x *explainer) verdict(ev *router.Event, opening router.Event, undoes bool, own, before rules.Explanation) {
	told, notifications := x.play(ev, opening, undoes, own, before)
	x.all = nil
	d := own.Decision
	if d.Drop {
		x.fact("dropped", fmt.Sprintf("by rule %q: nobody is told, and nothing opens", d.DroppedBy()))
		return
	}
	severity, routes := x.standing(ev, &own)
	if severity != router.SeverityUnset && (len(routes) > 0 || !undoes) {
		x.fact("severity", severity.String())
	}
	for _, route := range routes {
		if route.Tells {
			x.fact("told", fmt.Sprintf("%s, %s", x.target(route.Notifier), route.When), route.Place)
		} else {
			x.fact("not told", fmt.Sprintf("%s: %s", x.target(route.Notifier), route.Why), route.Place)
		}
	}
	for _, t := range told {
		if t.Verb == stories.VerbResolve || t.Verb == stories.VerbEase {
			x.fact("told", fmt.Sprintf("%s: %s, if it was told before", x.target(t.Notifier), t.Words()))
		}
	}
	if len(told) == 0 && !slices.ContainsFunc(routes, func(t rules.Told) bool { return t.Tells }) {
		x.fact("told", "nobody")
	}
	x.steps(ev, d.Ends)
	if router.IsPersonal(ev.Name) && !x.rules.Wants(ev) {
		x.fact("stored", "nothing: it holds what people wrote, and no rule asks for it")
	}
	if d.ResolveAfter > 0 {
		x.fact("recovery", "held back for "+router.FormatDuration(d.ResolveAfter)+", so that a flap stays one incident")
	}
	if d.AcknowledgedFor > 0 {
		x.fact("lapses", "an acknowledgement that nobody follows up for "+router.FormatDuration(d.AcknowledgedFor)+
			": it is open again, and pages anew")
	}
	if d.PageOnRise {
		x.fact("worse", "pages anew, also when somebody has acknowledged it")
	}
	if d.NoteAutoResolve {
		x.fact("ended", "by PagerDuty itself: noted, and paged anew only when it gets worse")
	}
	x.all = notifications
	x.words()
}

// sentence says in one line what happened.
func (x *explainer) sentence(ev *router.Event) string {
	info := x.rules.Flow(ev.Flow)
	parts := []string{cmp.Or(ev.Name, "an event without a name")}
	if ev.AlertState != "" {
		parts = append(parts, ev.AlertState)
	}
	if ev.Threshold != nil {
		parts = append(parts, "at "+router.FormatValue(ev.Name, *ev.Threshold))
	}
	if ev.NewStatus != "" {
		parts = append(parts, "from "+cmp.Or(ev.OldStatus, "nothing")+" to "+ev.NewStatus)
	}
	if ev.Flow != "" {
		parts = append(parts, "of "+info.DisplayName(ev.Flow))
	}
	if ev.Reading.Value != nil && !router.IsPersonal(ev.Name) {
		parts = append(parts, "("+router.FormatValue(ev.Name, *ev.Reading.Value)+")")
	}
	return strings.Join(parts, " ")
}

// maxSkipped is how many of the rules that were not asked are named.
const maxSkipped = 6

// ruleLines prints a line for each rule: where the key stands that decided, and what it said.
func (x *explainer) ruleLines(all []rules.Asked) {
	type line struct{ place, word, text string }
	var lines []line
	widest := 0
	asked := len(all)
	for asked > 0 && all[asked-1].Skipped != "" {
		asked--
	}
	if len(all)-asked < 2 {
		asked = len(all)
	}
	for _, a := range all[:asked] {
		l := line{a.Place.String() + ":", "no ", a.Rule}
		var why []string
		for _, check := range a.Decided {
			why = append(why, check.Text)
			if !check.Holds {
				l.place = check.Place.String() + ":"
			}
		}
		switch {
		case a.Skipped != "":
			l.word, why = "-  ", []string{"not asked: " + a.Skipped}
		case a.Perhaps:
			l.word = "may"
		case a.Matched:
			l.word = "yes"
		}
		if len(why) > 0 {
			l.text += ": " + strings.Join(why, ", ")
		}
		lines = append(lines, l)
		widest = max(widest, len(l.place))
	}
	if rest := all[asked:]; len(rest) > 0 { // after the one that decided
		var names []string
		for _, a := range rest {
			names = append(names, a.Rule)
		}
		if n := len(names) - maxSkipped; n > 0 {
			names = append(names[:maxSkipped], fmt.Sprintf("%d more", n))
		}
		l := line{rest[0].Place.String() + ":", "-  ", "not asked: " + strings.Join(names, ", ")}
		lines = append(lines, l)
		widest = max(widest, len(l.place))
	}
	for _, l := range lines {
		fmt.Fprintf(x.out, "%-*s %s %s\n", widest, l.place, l.word, l.text)
	}
}

func (x *explainer) fact(name, text string, at ...rules.Place) {
	for _, place := range at {
		if s := place.String(); s != "" {
			text += "  [" + s + "]"
		}
	}
	fmt.Fprintf(x.out, "%-9s %s\n", name, text)
}

func (x *explainer) target(notifier string) string {
	t, _ := x.rules.Target(notifier)
	return fmt.Sprintf("%s (%s)", notifier, strings.TrimSpace(string(t.Kind)+" "+t.Place()))
}

// play folds the event in a bridge where nothing has happened yet, or only what the event undoes, and waits for whom
// the rules make wait. It returns what the event tells, and what services would get.
func (x *explainer) play(ev *router.Event, opening router.Event, undoes bool, own,
	before rules.Explanation) (told []stories.Telling, all []router.Notification) {
	trial := stories.NewTrial(x.rules)
	wait := max(longest(own), longest(before))
	first := *ev
	first.Received = ev.At // arrives at once, so that waits begin with it
	if undoes {
		opening.At = ev.At.Add(-longest(before) - 10*time.Minute)
		opening.Received = opening.At
		trial.Fold(opening)
		trial.Advance(ev.At)
	}
	told, _ = trial.Fold(first)
	told = append(told, trial.Advance(trial.Now().Add(wait))...)
	last := map[string]int{}
	for _, t := range told {
		if i, ok := last[t.Notifier]; ok {
			all[i] = x.notification(trial, ev, t)
			continue
		}
		last[t.Notifier] = len(all)
		all = append(all, x.notification(trial, ev, t))
	}
	return told, all
}

func longest(x rules.Explanation) (wait time.Duration) {
	for _, r := range x.Decision.Notify {
		wait = max(wait, r.After)
	}
	return max(wait, x.Decision.ResolveAfter)
}

// notification is what a notifier's service would get.
func (x *explainer) notification(trial *stories.Trial, ev *router.Event, t stories.Telling) router.Notification {
	n := router.Notification{Delivery: 1, Revision: 1, Severity: t.Severity, Open: t.Verb != stories.VerbResolve,
		Notice: t.Notice}
	n.Target, _ = x.rules.Target(t.Notifier)
	if t.Incident == nil || t.Notice != nil {
		if n.Notice != nil && t.Verb == stories.VerbResolve {
			n.Key = n.Notice.Recovery
		}
		return n
	}
	inc := *t.Incident
	n.Incident, n.Key = &inc, inc.Key
	if !n.Open {
		n.Receipt = router.Receipt{Open: true} // it was told before
	}
	n.Alerts = trial.Alerts(ev.FlowID(), inc.Number)
	return n
}

// words prints the sentence that a phone would show, and the rule's own words.
func (x *explainer) words() {
	said := ""
	for _, n := range x.all {
		card, err := slack.Card(n)
		if err != nil {
			x.err = err
			return
		}
		var message struct {
			Text string `json:"text"`
		}
		if err := json.Unmarshal(card, &message); err != nil {
			x.err = err
			return
		}
		if said == "" {
			said = message.Text
			x.fact("says", said)
			if err := x.rules.WordsFailed(&n); err != nil {
				x.fact("template", fmt.Sprintf("failed, and the built-in words are used (%v)", err))
			}
			if text := ownText(&n); text != "" {
				x.fact("text", strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", 10)))
			}
			x.fields(&n)
		}
		if n.Target.Kind.Pages() {
			title, _, err := pagerduty.Preview(n)
			if err != nil {
				x.err = err
				return
			}
			if title != "" {
				x.fact("page", title)
			}
		}
	}
}

// cards prints what services would get, where that is asked for.
func (x *explainer) cards() {
	if !x.slack {
		return
	}
	for _, n := range x.all {
		preview, err := previewOf(&n)
		if err != nil {
			x.err = err
			return
		}
		if preview != "" {
			what := "card"
			if n.Target.Kind.Pages() {
				what = "page"
			}
			fmt.Fprintf(x.out, "\n%s for %s\n%s\n", what, x.target(n.Target.Notifier), preview)
		}
	}
}

func ownText(n *router.Notification) string {
	if n.Incident != nil {
		return n.Incident.Text
	}
	return n.Notice.Text
}

func (x *explainer) fields(n *router.Notification) {
	fields := []router.Field(nil)
	if n.Incident != nil {
		fields = n.Incident.Fields
	} else if n.Notice != nil {
		fields = n.Notice.Fields
	}
	for _, f := range fields {
		x.fact("field", f.Name+": "+f.Value)
	}
}
