package demo

import (
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode"

	"flowbridge/notifiers/sandbox"
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
type change struct {
	Where, What string
	Which       string // of several incidents at the same place
	Text        string
}

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
				changes = append(changes, change{ch.Name, "line in thread", "", plainText(m.Text)})
			case !known:
				changes = append(changes, change{ch.Name, "new message", "", plainText(m.Text)})
			case m.Edited > was.Edited:
				changes = append(changes, change{ch.Name, "message edited", "", plainText(m.Text)})
			}
		}
	}
	pages := map[int64]sandbox.Incident{}
	for _, inc := range before.incidents {
		pages[inc.Number] = inc
	}
	for _, inc := range after.incidents {
		number := fmt.Sprintf("#%d", inc.Number)
		switch was, known := pages[inc.Number]; {
		case !known:
			changes = append(changes, change{"PagerDuty", "somebody is paged", number, inc.Summary})
		case inc.Status != was.Status:
			changes = append(changes, change{"PagerDuty", "incident " + inc.Status, number, inc.Summary})
		case inc.Triggers > was.Triggers:
			changes = append(changes, change{"PagerDuty", "incident updated", number, inc.Summary})
		}
	}
	var last int64
	for _, ch := range before.changes {
		last = ch.Number
	}
	for _, ch := range after.changes {
		if ch.Number > last {
			changes = append(changes, change{"PagerDuty", "change event", "", ch.Summary})
		}
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

// teller writes the story, with colours where a person sees it on a terminal.
type teller struct {
	w    io.Writer
	ansi bool
}

// Width is how wide the story is: that of the narrowest terminal that people use.
const Width = 80

func (t teller) render() sandbox.RenderOptions {
	return sandbox.RenderOptions{ANSI: t.ansi, Width: Width}
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

// acted tells what a person did.
func (t teller) acted(at time.Time, what, note string) {
	t.sent(at, t.paint("35", what), note)
}

// outcome tells what the bridge made of it.
func (t teller) outcome(text string) { t.line("       %s", text) }

// alone tells what single people were told: beside the words for that if it is one line, else below them.
func (t teller) alone(texts []string) {
	const indent, says = "       ", "only they see:"
	beside, below := t.render(), t.render()
	beside.Width -= len(indent + says + " ")
	below.Width -= len(indent + "     ")
	for _, text := range texts {
		if lines := sandbox.RenderText(text, beside); len(lines) == 1 {
			t.line(indent+"%s %s", t.paint("36", says), lines[0])
			continue
		}
		t.line(indent + t.paint("36", says))
		for paragraph := range strings.SplitSeq(text, "\n") {
			for i, line := range sandbox.RenderText(paragraph, below) {
				t.line(indent+"%*s%s", 2+min(i, 1)*3, "", line) // what goes on stands behind the sign that it began with
			}
		}
	}
}

// came tells in short what a post changed, one line for each place.
func (t teller) came(changes []change) {
	for where, parts := range byPlace(changes) {
		for i, part := range parts {
			what, more, bracketed := strings.Cut(part, " (")
			if parts[i] = t.what(what); bracketed {
				parts[i] += " (" + more
			}
		}
		t.line("       %s %s", t.paint("36", where+":"), strings.Join(parts, ", "))
	}
}

// places says the same without colours.
func places(changes []change) (lines []string) {
	for where, parts := range byPlace(changes) {
		lines = append(lines, where+": "+strings.Join(parts, ", "))
	}
	return lines
}

// byPlace goes through the places, in their order, with what changed at each: equal things once, with how many or
// which.
func byPlace(changes []change) iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		for len(changes) > 0 {
			where := changes[0].Where
			here := slices.IndexFunc(changes, func(c change) bool { return c.Where != where })
			if here < 0 {
				here = len(changes)
			}
			var parts []string
			count, which := map[string]int{}, map[string][]string{}
			for _, c := range changes[:here] {
				if count[c.What]++; count[c.What] == 1 {
					parts = append(parts, c.What)
				}
				if c.Which != "" {
					which[c.What] = append(which[c.What], c.Which)
				}
			}
			for i, what := range parts {
				switch n := count[what]; {
				case which[what] != nil:
					parts[i] += " (" + strings.Join(which[what], ", ") + ")"
				case n > 1:
					parts[i] += fmt.Sprintf(" (%d)", n)
				}
			}
			changes = changes[here:]
			if !yield(where, parts) {
				return
			}
		}
	}
}

// what paints what matters most of what can change.
func (t teller) what(what string) string {
	switch what {
	case "somebody is paged":
		return t.paint("1;31", what)
	case "incident acknowledged":
		return t.paint("33", what)
	case "incident resolved":
		return t.paint("32", what)
	}
	return what
}

// changes tells in full what has changed.
func (t teller) changes(at time.Time, changes []change) {
	for _, c := range changes {
		t.line("%s  %s %s  %s", at.UTC().Format("15:04:05"), t.paint("36", c.Where+":"), t.what(c.What),
			t.dim(harmless(c.Text)))
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
	const indent = "    "
	for _, inc := range s.incidents {
		until, status, more := "     ", inc.Status, ""
		switch {
		case inc.Status == sandbox.IncidentResolved:
			until, status = inc.ResolvedAt.Format("15:04"), t.paint("32", status)
			if !inc.AcknowledgedAt.IsZero() {
				more = ", acknowledged at " + inc.AcknowledgedAt.Format("15:04")
			}
		case inc.Status == sandbox.IncidentAcknowledged:
			status = t.paint("33", status+" at "+inc.AcknowledgedAt.Format("15:04"))
		default:
			status = t.paint("31", status)
		}
		t.line("#%d  %s – %s  %s, %s%s", inc.Number, inc.OpenedAt.Format("15:04"), until, inc.Severity, status, more)
		below := t.render()
		below.Width -= len(indent)
		for _, l := range sandbox.RenderText(harmless(inc.Summary), below) {
			t.line(indent+"%s", l)
		}
	}
	for _, c := range s.changes {
		t.line(indent+"%s          change event", c.At.Format("15:04"))
		t.line(indent+"%s", harmless(c.Summary))
	}
}
