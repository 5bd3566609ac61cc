package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

// snapshot is what the stand-ins show at a moment.
type snapshot struct {
	channels  []sandbox.Channel
	messages  map[string][]sandbox.Message // by name of the channel
	incidents []sandbox.Incident
	changes   []sandbox.ChangeEvent
}

func (d *demo) look() snapshot {
	s := snapshot{
		channels: d.slack.Channels(), messages: map[string][]sandbox.Message{},
		incidents: d.pager.Incidents(), changes: d.pager.ChangeEvents(),
	}
	for _, ch := range s.channels {
		s.messages[ch.Name] = d.slack.Messages(ch.Name)
	}
	return s
}

// change is one thing that somebody can see at a service and could not see before.
type change struct{ where, what, text string }

// difference lists what is new in after: channel by channel, then PagerDuty.
func difference(before, after snapshot) (changes []change) {
	for _, ch := range after.channels {
		old := map[string]sandbox.Message{}
		for _, m := range before.messages[ch.Name] {
			old[m.TS] = m
		}
		for _, m := range after.messages[ch.Name] {
			switch was, known := old[m.TS]; {
			case !known && m.ThreadTS != "":
				changes = append(changes, change{ch.Name, "line in thread", plainText(m.Text)})
			case !known:
				changes = append(changes, change{ch.Name, "new message", plainText(m.Text)})
			case m.Edited > was.Edited:
				changes = append(changes, change{ch.Name, "message edited", plainText(m.Text)})
			}
		}
	}
	for i, inc := range after.incidents {
		switch {
		case i >= len(before.incidents):
			changes = append(changes, change{"PagerDuty", "somebody is paged", inc.Summary})
		case inc.Status != before.incidents[i].Status:
			changes = append(changes, change{"PagerDuty", "incident " + inc.Status, inc.Summary})
		case inc.Triggers > before.incidents[i].Triggers:
			changes = append(changes, change{"PagerDuty", "incident updated", inc.Summary})
		}
	}
	for _, ch := range after.changes[min(len(before.changes), len(after.changes)):] {
		changes = append(changes, change{"PagerDuty", "change event", ch.Summary})
	}
	return changes
}

// plainText takes Slack's markup out of a message: the emoji at its front, and the three escapes.
func plainText(text string) string {
	if name, rest, ok := strings.Cut(text, ": "); ok && strings.HasPrefix(name, ":") && !strings.Contains(name, " ") {
		text = rest
	}
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(text)
}

// fact is one thing that the story came to.
type fact struct{ what, value string }

// facts gathers what the story came to.
func (d *demo) facts(ctx context.Context, now snapshot) ([]fact, error) {
	var answers []string
	for _, status := range slices.Sorted(maps.Keys(d.answers)) {
		answers = append(answers, fmt.Sprintf("%d answered %s", d.answers[status], status))
	}
	facts := []fact{{"posts", strings.Join(answers, ", ")}}
	for _, ch := range now.channels {
		lines, edits := 0, 0
		for _, m := range now.messages[ch.Name] {
			edits += m.Edited
			if m.ThreadTS != "" {
				lines++
			}
		}
		facts = append(facts, fact{ch.Name,
			fmt.Sprintf("%d messages, %d lines in their threads, %d edits", len(now.messages[ch.Name])-lines, lines, edits)})
	}
	for _, inc := range now.incidents { // how often it was told is not compared: its card may have an address before or after
		card := "no link to its card"
		if slices.ContainsFunc(inc.Links, func(l sandbox.Link) bool { return strings.HasPrefix(l.Text, "Slack: ") }) {
			card = "linked to its card"
		}
		facts = append(facts, fact{fmt.Sprintf("PagerDuty #%d", inc.Number),
			fmt.Sprintf("%s: %s, %s at last, %s", path.Base(inc.DedupKey), inc.Status, inc.Severity, card)})
	}
	facts = append(facts, fact{"change events", fmt.Sprint(len(now.changes))})

	refused := 0
	for _, call := range slices.Concat(d.slack.Calls(), d.pager.Calls()) {
		if call.Error != "" || call.Dropped {
			refused++
		}
	}
	stats, err := d.bridge.store.Stats(ctx)
	if err != nil {
		return nil, err
	}
	log, worries := d.log.read()
	seen, err := d.everythingVisible(ctx, now)
	if err != nil {
		return nil, err
	}
	leaks := 0
	for _, word := range personal {
		if strings.Contains(log, word) || strings.Contains(seen, word) {
			leaks++
		}
	}
	return append(facts,
		fact{"calls refused", fmt.Sprint(refused)},
		fact{"deliveries parked", fmt.Sprint(stats.Deliveries[router.DeliveryParked])},
		fact{"posts unreadable", fmt.Sprint(stats.Events[router.EventUnreadable])},
		fact{"warnings logged", fmt.Sprint(worries)},
		fact{"personal data", fmt.Sprintf("%d of %d words can be seen", leaks, len(personal))},
	), nil
}

// everythingVisible returns all that people can see at the services and at the admin address.
func (d *demo) everythingVisible(ctx context.Context, now snapshot) (string, error) {
	var all strings.Builder
	for _, shown := range []any{now.messages, now.incidents, now.changes} {
		data, err := json.Marshal(shown)
		if err != nil {
			return "", err
		}
		all.Write(data)
	}
	for _, page := range []string{"/api/v1/incidents", "/api/v1/events", "/api/v1/deliveries", "/metrics"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.admin+page, nil)
		if err != nil {
			return "", err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(&all, io.LimitReader(resp.Body, 16<<20))
		resp.Body.Close()
		if err != nil {
			return "", err
		}
	}
	return all.String(), nil
}

// teller writes the story, with colours where a person sees it on a terminal.
type teller struct {
	w    io.Writer
	ansi bool
}

// newTeller respects NO_COLOR, see no-color.org.
func newTeller(p *program) teller {
	return teller{w: p.Stdout, ansi: isTerminal(p.Stdout) && p.setting("NO_COLOR") == "" && p.setting("TERM") != "dumb"}
}

// demoWidth is how wide the story is: that of the narrowest terminal that people use.
const demoWidth = 80

func (t teller) render() sandbox.RenderOptions {
	return sandbox.RenderOptions{ANSI: t.ansi, Width: demoWidth}
}

func (t teller) paint(style, text string) string {
	if !t.ansi || text == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (t teller) bold(text string) string { return t.paint("1", text) }
func (t teller) dim(text string) string  { return t.paint("2", text) }

func (t teller) line(format string, args ...any) { fmt.Fprintf(t.w, format+"\n", args...) }

func (t teller) block(text string) { fmt.Fprintln(t.w, text) }

func (t teller) title(format string, args ...any) {
	t.line("\n%s\n", t.bold(fmt.Sprintf(format, args...)))
}

// sent tells of a post.
func (t teller) sent(at time.Time, what, note string) {
	t.line("%s  %s", at.Format("15:04"), t.bold(what))
	if note != "" {
		t.line("       %s", t.dim("("+note+")"))
	}
}

// outcome tells what the bridge made of a post.
func (t teller) outcome(text string) { t.line("       %s", text) }

// came tells in short what a post changed, one line for each place.
func (t teller) came(changes []change) {
	for len(changes) > 0 {
		where := changes[0].where
		here := slices.IndexFunc(changes, func(c change) bool { return c.where != where })
		if here < 0 {
			here = len(changes)
		}
		var parts []string
		count := map[string]int{}
		for _, c := range changes[:here] {
			if count[c.what]++; count[c.what] == 1 {
				parts = append(parts, c.what)
			}
		}
		for i, what := range parts {
			parts[i] = t.what(what)
			if n := count[what]; n > 1 {
				parts[i] += fmt.Sprintf(" (%d)", n)
			}
		}
		t.line("       %s %s", t.paint("36", where+":"), strings.Join(parts, ", "))
		changes = changes[here:]
	}
}

// what paints what matters most of what can change.
func (t teller) what(what string) string {
	switch what {
	case "somebody is paged":
		return t.paint("1;31", what)
	case "incident resolved":
		return t.paint("32", what)
	}
	return what
}

// changes tells in full what has changed.
func (t teller) changes(at time.Time, changes []change) {
	for _, c := range changes {
		t.line("%s  %s %s  %s", at.UTC().Format("15:04:05"), t.paint("36", c.where+":"), t.what(c.what), t.dim(harmless(c.text)))
	}
}

// harmless takes out of a text what a terminal would act on.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, text)
}

// pager draws PagerDuty's incidents and change events.
func (t teller) pager(s snapshot) {
	for _, inc := range s.incidents {
		until, style := "     ", "31"
		if inc.Status == sandbox.IncidentResolved {
			until, style = inc.ResolvedAt.Format("15:04"), "32"
		}
		t.line("%s – %s  %s  %-8s  %s", inc.OpenedAt.Format("15:04"), until, t.paint(style, fmt.Sprintf("%-9s", inc.Status)),
			inc.Severity, harmless(inc.Summary))
	}
	for _, c := range s.changes {
		t.line("%s          change event         %s", c.At.Format("15:04"), harmless(c.Summary))
	}
}

// verdict compares what the story came to with what it should, and says whether that is the same.
func (t teller) verdict(got, want []fact) (ok bool) {
	ok = true
	say := func(good bool, what, value string) {
		mark := t.paint("32", "✔")
		if !good {
			mark, ok = t.paint("31", "✘"), false
		}
		t.line("%s %-18s %s", mark, what, value)
	}
	for _, f := range got {
		i := slices.IndexFunc(want, func(w fact) bool { return w.what == f.what })
		switch {
		case i < 0:
			say(false, f.what, f.value+"; expected: nothing")
		case want[i] != f:
			say(false, f.what, f.value+"; expected: "+want[i].value)
		default:
			say(true, f.what, f.value)
		}
	}
	for _, w := range want {
		if !slices.ContainsFunc(got, func(f fact) bool { return f.what == w.what }) {
			say(false, w.what, "nothing; expected: "+w.value)
		}
	}
	return ok
}
