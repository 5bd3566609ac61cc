package slack

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"flowbridge/router"
)

// Action ids of what can be pressed. What leads somewhere has ids of its own, which ask nothing of us.
const (
	pressAcknowledge   = "acknowledge"
	pressUnacknowledge = "unacknowledge"
	pressResolve       = "resolve"
	pressReopen        = "reopen"
	pressPage          = "page"
	pressSilence       = "silence"
	pressUnsilence     = "unsilence"
)

// acts are the router's words for what is pressed.
var acts = map[string]string{
	pressAcknowledge:   router.Acknowledge,
	pressUnacknowledge: router.Unacknowledge,
	pressResolve:       router.Resolve,
	pressReopen:        router.Reopen,
	pressPage:          router.PageNow,
	pressSilence:       router.AddSilence,
	pressUnsilence:     router.EndSilence,
}

// spans are how long a card offers to silence an incident. The card writes them into what it sends back.
var spans = []struct{ value, label string }{
	{"1h", "for 1 h"},
	{"4h", "for 4 h"},
	{untilRecovered, "until recovered"},
}

const untilRecovered = "recovered"

// openButtons are what people may do about an incident that goes on.
func openButtons(n *router.Notification) []slack.BlockElement {
	inc, about := n.Incident, aboutIncident(n.Incident)
	var out []slack.BlockElement
	if n.May(router.Unacknowledge) == router.MayHappen {
		out = append(out, press(pressUnacknowledge, "Unacknowledge", about))
	} else {
		out = append(out, press(pressAcknowledge, "Acknowledge", about).WithStyle(slack.StylePrimary))
	}
	question := "Nobody is told any more until it gets worse."
	if router.SignalOf(inc.Event).Counts { // the days that go by open nothing again
		question = "Nobody is told any more."
	}
	if slices.ContainsFunc(n.Alerts, func(a router.Alert) bool { return a.Active }) {
		question = router.Reporter(n.Incident.Event) + " still reports it. " + question
	}
	out = append(out, press(pressResolve, "Resolve", about).WithStyle(slack.StyleDanger).
		WithConfirm(confirm("Resolve "+inc.Name()+"?", question, "Resolve")))
	if n.May(router.PageNow) == router.MayHappen {
		out = append(out, press(pressPage, "Page now", about).
			WithConfirm(confirm("Page now?", "This pages "+strings.Join(inc.Unpaged(), ", ")+" at once.", "Page")))
	}
	switch n.May(router.EndSilence) {
	case router.NotSilenced:
		out = append(out, silenceMenu(about))
	case router.MayHappen: // one that covers more is not ended from the card of one incident
		out = append(out, press(pressUnsilence, "End silence", about))
	}
	return out
}

// overButtons are what people may do about what a person has resolved and Meta still reports.
func overButtons(n *router.Notification) []slack.BlockElement {
	if n.May(router.Reopen) != router.MayHappen {
		return nil
	}
	return []slack.BlockElement{press(pressReopen, "Reopen", aboutIncident(n.Incident))}
}

// resolvedByHand says that a person has resolved what Meta still reports.
func resolvedByHand(n *router.Notification) bool {
	return n.Incident.State == router.IncidentResolved && n.Incident.ResolvedBy != "" && worst(n) != nil
}

func press(id, label, value string) *slack.ButtonBlockElement {
	return slack.NewButtonBlockElement(id, value, plainText(label, maxButtonText))
}

func silenceMenu(about string) *slack.SelectBlockElement {
	var options []*slack.OptionBlockObject
	for _, s := range spans {
		options = append(options, slack.NewOptionBlockObject(about+"."+s.value, plainText(s.label, maxOptionText), nil))
	}
	return slack.NewOptionsSelectBlockElement(slack.OptTypeStatic, plainText("Silence", maxPlaceholder), pressSilence,
		options...)
}

func confirm(title, question, yes string) *slack.ConfirmationBlockObject {
	return slack.NewConfirmationBlockObject(plainText(title, maxConfirmTitle), plainText(question, maxConfirmText),
		plainText(yes, maxConfirmButton), plainText("Cancel", maxConfirmButton))
}

// plainText is a text in which nothing has a meaning.
func plainText(s string, most int) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, cut(strings.Join(strings.Fields(harmless(s)), " "), most), false,
		false)
}

// sizeOf counts the characters that an element adds to a message.
func sizeOf(e slack.BlockElement) (size int) {
	count := func(texts ...*slack.TextBlockObject) {
		for _, t := range texts {
			if t != nil {
				size += utf8.RuneCountInString(t.Text)
			}
		}
	}
	asked := func(c *slack.ConfirmationBlockObject) {
		if c != nil {
			count(c.Title, c.Text, c.Confirm, c.Deny)
		}
	}
	switch e := e.(type) {
	case *slack.ButtonBlockElement:
		count(e.Text)
		asked(e.Confirm)
	case *slack.SelectBlockElement:
		count(e.Placeholder)
		for _, o := range e.Options {
			count(o.Text)
		}
	}
	return size
}

// aboutIncident names an incident in what a press sends back: its number, and when it opened, since another
// database counts from one as well.
func aboutIncident(inc *router.Incident) string {
	return fmt.Sprintf("%d.%d", inc.Number, inc.OpenedAt.Unix())
}

// request is what a person wants done.
type request struct {
	act      string        // one of the router's
	incident int64         // its number
	opened   int64         // when the card says that it opened, in Unix seconds; 0 where nothing says so
	delivery int64         // of the card; 0 where it was no card
	span     time.Duration // of a silence; 0 until it has recovered
	digest   string        // the same for the same request, however often it comes
	at       time.Time     // when it was pressed, by Slack's clock; zero where nothing says so
}

// readPress reads what was pressed; ok is false for what is none of our buttons, such as one that leads
// somewhere.
func readPress(a *slack.BlockAction) (w request, ok bool) {
	w.act, ok = acts[a.ActionID]
	value := a.Value
	if a.ActionID == pressSilence {
		value = a.SelectedOption.Value
	}
	parts := strings.Split(value, ".")
	if !ok || len(parts) < 2 {
		return request{}, false
	}
	var err1, err2, err3 error
	w.incident, err1 = strconv.ParseInt(parts[0], 10, 64)
	w.opened, err2 = strconv.ParseInt(parts[1], 10, 64)
	if a.ActionID == pressSilence {
		if len(parts) != 3 {
			return request{}, false
		}
		w.span, err3 = readSpan(parts[2])
	}
	if _, err := fmt.Sscanf(a.BlockID, blockPrefix, &w.delivery, new(int64)); err != nil {
		return request{}, false
	}
	w.at = pressedAt(a.ActionTs)
	return w, err1 == nil && err2 == nil && err3 == nil && w.incident > 0
}

// pressedAt reads the action_ts of a press, "1773457260.123456": seconds and microseconds. What is none is no time.
func pressedAt(ts string) time.Time {
	seconds, micros, _ := strings.Cut(ts, ".")
	s, err := strconv.ParseUint(seconds, 10, 40) // of whatever is longer nobody can say when it was
	if err != nil {
		return time.Time{}
	}
	micros = (micros + "000000")[:6]
	m, err := strconv.ParseUint(micros, 10, 32)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(int64(s), int64(m)*1000).UTC()
}

// Bounds of a silence.
const (
	shortestSilence = time.Minute
	longestSilence  = 30 * 24 * time.Hour
)

// readSpan reads how long a silence lasts: "4h", "90m", "2d", or "recovered" for until it has recovered, which is 0.
func readSpan(s string) (time.Duration, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	if s == untilRecovered {
		return 0, nil
	}
	d, ok := router.ParseDuration(s)
	switch {
	case !ok:
		return 0, fmt.Errorf("%q is no length of time: write 30m, 4h, 2d or recovered", s)
	case d < shortestSilence || d > longestSilence:
		return 0, fmt.Errorf("a silence lasts from 1 minute to 30 days, not %s", s)
	}
	return d, nil
}
