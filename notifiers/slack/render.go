package slack

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"flowbridge/router"
)

// How much the blocks of a card matter, least first: what goes first when there is no room.
const (
	smallPrint = iota
	helpful
	wanted
	factual
	nearby
	needed
)

// manager is where Meta shows flows; there is no confirmed address of a single one.
const manager = "https://business.facebook.com/wa/manage/flows/"

// render draws what a channel is told; pressable says whether a press would reach us. It is pure: the same
// notification, the same card.
func render(n *router.Notification, pressable bool) card {
	switch {
	case n.Digest != nil:
		return renderDigest(n)
	case n.Notice != nil:
		return renderNotice(n)
	case n.Open:
		return renderOpen(n, pressable)
	case ownOf(n.Receipt).TS == "" && n.Receipt.Digest != "":
		return renderDigested(n)
	case ownOf(n.Receipt).TS == "":
		return renderMissed(n)
	}
	return renderOver(n, pressable)
}

// renderOpen draws an incident that goes on.
func renderOpen(n *router.Notification, pressable bool) card {
	inc, severity, title := n.Incident, severityOf(n), titleOf(n)
	state, more, color, mark := openState(n)
	now := ""
	if r := reading(n); r != nil && r.Value != nil {
		now = ", now " + router.FormatValue(r.Event, *r.Value)
	}
	short := state
	if recovering(n) {
		short += ", recovering"
	}
	facts := []string{"*" + capital(severity.String()) + "*", state + more, link(n.Link, inc.Name())}
	if len(inc.Path) > 1 && signalNow(n) == inc.Event {
		facts = append(facts, line(router.FormatPath(inc.Event, inc.Path), moreText))
	}
	head := newParts(n)
	head.section(needed, "head", mark+" *"+line(title, titleText)+"*\n"+strings.Join(facts, " · "))

	body := newParts(n)
	body.section(needed, "pages", pages(n))
	body.section(wanted, "impact", impact(n))
	body.section(wanted, "text", prose(inc.Text, proseText))
	body.section(factual, "said", saidProse(inc.Facts))
	body.section(nearby, "active", activeSignals(n))
	body.fields(factual, "facts", incidentFacts(n))
	body.section(helpful, "errors", errorTable(readingErrors(n)))
	body.fields(wanted, "fields", asked(inc.Fields))
	body.section(nearby, "also", also(n))
	if inc.Silence.ID != "" {
		body.section(wanted, "silence", why(&inc.Silence))
	}
	if inc.ByItself != "" {
		body.section(needed, "itself", ":robot_face: "+line(inc.ByItself, moreText))
	}
	body.section(needed, "problems", problems(n))
	body.section(needed, "thread", unthreaded(n))
	if pressable {
		body.actions(needed, "actions", openButtons(n))
	}
	body.actions(needed, "links", links(n))
	body.context(smallPrint, "foot", foot(n))

	c := card{
		text: sentenceOf(capital(severity.String())+": "+cut(title, sentenceName)+now, " ("+inc.Name()+", "+short+")"),
		head: head.fit(budget), color: color,
	}
	c.body = body.fit(budget - room(c.text, head))
	if opens(n) || slices.ContainsFunc(n.Timeline, func(e router.Entry) bool { return worse(n, &e) }) {
		c.call = mentions(n)
	}
	return c
}

// renderOver draws what is over for this channel: a few lines, and nothing to press.
func renderOver(n *router.Notification, pressable bool) card {
	inc, title := n.Incident, titleOf(n)
	state, outcome, mark := "Over for this channel", "It goes on elsewhere, as "+inc.Severity.String()+".",
		":white_check_mark:"
	if inc.State == router.IncidentResolved {
		state, outcome = "Resolved", "Resolved"
		if inc.ResolvedBy != "" {
			outcome += " by " + line(inc.ResolvedBy, nameText)
		}
		outcome += " after *" + router.FormatDuration(inc.ResolvedAt.Sub(inc.OpenedAt)) + "*."
		if inc.ByItself != "" {
			outcome += " " + line(inc.ByItself, moreText) + "."
		}
		if resolvedByHand(n) {
			state, mark = "Resolved by hand, "+router.Reporter(inc.Event)+" still reports it", ":ballot_box_with_check:"
			outcome += " " + router.Reporter(inc.Event) + " still reports it: when it gets worse, this card opens again."
		}
	}
	lines := []string{outcome, "Peak: " + peak(inc) + "."}
	if !inc.AcknowledgedAt.IsZero() {
		lines = append(lines, fmt.Sprintf("Acknowledged by %s after %s.", acknowledger(inc),
			router.FormatDuration(inc.AcknowledgedAt.Sub(inc.OpenedAt))))
	}
	head := newParts(n)
	head.section(needed, "head", mark+" *"+line(title, titleText)+"*\n"+state+" · "+link(n.Link, inc.Name()))
	body := newParts(n)
	body.section(needed, "outcome", strings.Join(lines, "\n"))
	body.section(needed, "problems", problems(n))
	body.section(needed, "thread", unthreaded(n))
	if pressable {
		body.actions(needed, "actions", overButtons(n))
	}
	body.context(smallPrint, "foot", foot(n))
	return card{
		text: sentenceOf(state+": "+cut(title, sentenceName), " ("+inc.Name()+")"),
		head: head.fit(budget), color: resolved, body: body.fit(budget),
	}
}

// renderMissed draws what was over before the channel could be told of it: one line.
func renderMissed(n *router.Notification) card {
	inc, title := n.Incident, titleOf(n)
	end := "is over for this channel already; it goes on elsewhere"
	if inc.State == router.IncidentResolved {
		end = "closed again after " + router.FormatDuration(inc.ResolvedAt.Sub(inc.OpenedAt)) +
			", before this channel could be told"
	}
	head := newParts(n)
	head.section(needed, "head", fmt.Sprintf(":white_check_mark: *%s* opened %s (%s) and %s · %s",
		line(title, titleText), date(inc.OpenedAt), peak(inc), end, link(n.Link, inc.Name())))
	return card{
		text:  sentenceOf(cut(title, sentenceName)+" opened and "+end, " ("+inc.Name()+")"),
		head:  head.fit(budget),
		whole: true,
	}
}

// titleOf is the rule's, or names flow, signal and the worst active level.
func titleOf(n *router.Notification) string {
	inc := n.Incident
	if inc.Title != "" {
		return inc.Title
	}
	about := cut(inc.About(), nameText)
	if a := worst(n); a != nil && n.Open {
		return router.Claim(about, a.Event, a.Level)
	}
	return router.Topic(about, inc.Event)
}

// sentenceOf writes the text of a message: what is said is cut so that the tail, which is escaped, stays.
func sentenceOf(said, tail string) string {
	return line(said, sentence-utf8.RuneCountInString(tail)) + tail
}

// severityOf is how bad it is for this channel.
func severityOf(n *router.Notification) router.Severity {
	return cmp.Or(n.Severity, n.Incident.Severity)
}

func acknowledger(inc *router.Incident) string {
	return line(cmp.Or(inc.AcknowledgedBy, "somebody"), nameText)
}

func severityMark(s router.Severity) string {
	switch s {
	case router.Critical:
		return ":rotating_light:"
	case router.Error:
		return ":red_circle:"
	case router.Warning:
		return ":large_orange_circle:"
	}
	return ":large_blue_circle:"
}

// openState says in words how it stands with what goes on, and how that looks. more is what the sentence has
// no room for.
func openState(n *router.Notification) (state, more, color, mark string) {
	inc := n.Incident
	state, color, mark = "open", firing, severityMark(severityOf(n))
	if reopened(n) {
		state = "reopened"
	}
	switch {
	case inc.Silence.ID != "":
		state, color, mark = "silenced", silenced, ":no_bell:"
		more = " until it has recovered"
		if !inc.Silence.UntilRecovered() {
			more = " until " + date(inc.Silence.Until)
		}
		if inc.Silence.By != "" {
			more += " by " + line(inc.Silence.By, nameText)
		}
		if inc.State == router.IncidentAcknowledged {
			more += ", acknowledged by " + acknowledger(inc)
		}
	case inc.State == router.IncidentAcknowledged:
		state, color, mark = "acknowledged by "+acknowledger(inc), acknowledged, ":eyes:"
	}
	switch {
	case worst(n) == nil:
	case recovering(n):
		more += ", recovering"
	case slices.ContainsFunc(n.Alerts, func(a router.Alert) bool { return !a.Active && !replaced(&a) }):
		more += ", partly recovered"
	}
	if inc.Flaps > 0 {
		more += ", came back " + router.FormatTimes(inc.Flaps)
	}
	return state, more, color, mark
}

// replaced says that another level has taken the place of one that is over, which is no recovery.
func replaced(a *router.Alert) bool {
	signal := router.SignalOf(a.Event)
	return signal.Replaces
}

// recovering says that the recovery of all that is wrong is held back.
func recovering(n *router.Notification) bool {
	return worst(n) != nil && !slices.ContainsFunc(n.Alerts, func(a router.Alert) bool { return a.Active })
}

// why is the reason for a silence, as the person gave it.
func why(s *router.Silence) string {
	if s.Why == "" {
		return ""
	}
	return ":no_bell: " + line(s.Why, lineText)
}

// reopened says that the channel had been told that it is over.
func reopened(n *router.Notification) bool {
	return n.Open && !n.Receipt.Open && ownOf(n.Receipt).TS != ""
}

// worst is the worst alert that keeps the incident open, nil for none.
func worst(n *router.Notification) *router.Alert {
	for i := range n.Alerts {
		if n.Alerts[i].Counts() {
			return &n.Alerts[i]
		}
	}
	return nil
}

// signalNow is the signal that the title names: of the worst alert, or the one that the incident began with.
func signalNow(n *router.Notification) string {
	if a := worst(n); a != nil && n.Open {
		return a.Event
	}
	return n.Incident.Event
}

// reading is the newest report of that signal that has a number; nil for none.
func reading(n *router.Notification) *router.Alert {
	return router.LastReport(n.Alerts, signalNow(n), func(a *router.Alert) bool { return a.Value != nil })
}

func readingErrors(n *router.Notification) []router.ErrorCount {
	counted := func(a *router.Alert) bool { return len(a.Errors) > 0 }
	if a := router.LastReport(n.Alerts, signalNow(n), counted); a != nil {
		return a.Errors
	}
	return nil
}

// activeSignals lists what is active where an incident holds more than one signal of its subject, or several levels
// of which none is worse than another.
func activeSignals(n *router.Notification) string {
	seen := map[string]bool{}
	var list []string
	for i := range n.Alerts { // worst first: of each signal the worst level
		a := &n.Alerts[i]
		key := a.Event
		if signal := router.SignalOf(a.Event); signal.Apart {
			key += " " + string(a.Level)
		}
		if a.Counts() && !seen[key] {
			seen[key] = true
			list = append(list, router.Sentence(a.Event, a.Level))
		}
	}
	if len(list) < 2 {
		return ""
	}
	return "*Active*\n" + line(strings.Join(list, ", "), moreText)
}

// also lists what else is active on the flow, in other incidents.
func also(n *router.Notification) string {
	list := n.AlsoActive()
	if len(list) == 0 {
		return ""
	}
	out := "*Also active on this flow*"
	if !n.Incident.Subject.OfFlow() {
		out = "*Also active there*"
	}
	for i, a := range list {
		if i == mostAlso {
			return out + fmt.Sprintf("\n… and %d more", len(list)-mostAlso)
		}
		out += "\n• " + line(router.Sentence(a.Event, a.Level), factText)
		if a.Incident != 0 {
			out += " (" + router.IncidentName(a.Incident) + ")"
		}
	}
	return out
}

// pages says who is paged for the incident, who will be, and who is not. Of whom the service refused, problems tells.
func pages(n *router.Notification) string {
	refused := func(notifier string) bool {
		return slices.ContainsFunc(n.Problems, func(p router.Problem) bool { return p.Notifier == notifier })
	}
	var lines []string
	list := n.Incident.Pages(n.Alerts)
	list = slices.DeleteFunc(list, func(p router.PageStatus) bool {
		return p.State == router.PageMade && refused(p.Notifier)
	})
	for i := range list {
		if i == mostPagers {
			lines = append(lines, fmt.Sprintf("… and %d more", len(list)-mostPagers))
			break
		}
		lines = append(lines, ":pager: "+pageWords(&list[i]))
	}
	return strings.Join(lines, "\n")
}

// pageWords writes one page, with its time in the reader's zone and its number as a link.
func pageWords(p *router.PageStatus) string {
	const when = "{when}"
	text := line(p.Words(func(time.Time) string { return when }), moreText)
	text = strings.Replace(text, when, clock(p.At), 1)
	if name := line(p.Link.Name(), nameText); name != "" {
		text = strings.Replace(text, name, link(p.Link.URL, name), 1)
	}
	return text
}

// impact says what the worst alert means for the people who use the flow, and what helps. A drill means nothing for
// them, as its text says.
func impact(n *router.Notification) string {
	a := worst(n)
	if a == nil || router.IsDrill(n.Incident.Flow) {
		return ""
	}
	signal := router.SignalOf(a.Event)
	means := cmp.Or(router.LevelMeaning(a.Event, a.Level), signal.Impact)
	button := ""
	if !n.Incident.Subject.OfFlow() { // as links has it
		opened := router.SignalOf(n.Incident.Event)
		button = opened.Link
	}
	return advice(means, router.LevelHelp(a.Event, a.Level), &signal, button)
}

// advice is what a signal means for people, and what Meta says to do about it. A link that a button of the card has is
// not said again.
func advice(means, helps string, signal *router.Signal, button string) string {
	var lines []string
	if means != "" {
		whom := "For users"
		if signal.Subject == router.SubjectBridge {
			whom = "What it means"
		}
		lines = append(lines, "*"+whom+":* "+means)
	}
	if helps != "" {
		help := "*What helps:* " + helps
		if signal.Link != "" && signal.Link != button {
			help += " " + link(signal.Link, signal.LinkLabel())
		}
		lines = append(lines, help)
	}
	return strings.Join(lines, "\n")
}

// problems lists who else could not be told of the incident.
func problems(n *router.Notification) string {
	var lines []string
	for i, p := range n.Problems {
		if i == mostProblems {
			lines = append(lines, fmt.Sprintf("… and %d more", len(n.Problems)-mostProblems))
			break
		}
		what, since := "could not be told", ""
		if !p.Since.IsZero() {
			what, since = "could not be paged yet", "; due since "+clock(p.Since)
		}
		lines = append(lines, ":warning: *"+line(p.Notifier, nameText)+"* "+what+": "+line(p.Error, problemText)+since)
	}
	return strings.Join(lines, "\n")
}

// links are the buttons that lead somewhere.
func links(n *router.Notification) []slack.BlockElement {
	var info router.FlowInfo
	var ofFlow bool
	var signal router.Signal
	if n.Incident != nil {
		info, ofFlow, signal = n.Incident.FlowInfo, n.Incident.Subject.OfFlow(), router.SignalOf(n.Incident.Event)
	} else {
		info, ofFlow, signal = n.Notice.FlowInfo, n.Notice.Subject.OfFlow(), router.SignalOf(n.Notice.SignalKey())
	}
	buttons := linkButton("runbook", "Runbook", info.Runbook)
	if ofFlow {
		buttons = append(buttons, linkButton("flow", "Flow manager", manager)...)
	} else {
		buttons = append(buttons, linkButton("meta", signal.LinkLabel(), signal.Link)...)
	}
	buttons = append(buttons, linkButton("details", "Details", n.Link)...)
	pagers := 0
	for _, r := range n.Related {
		if r.Kind.Pages() && pagers < mostPagers {
			pagers++
			buttons = append(buttons, linkButton(fmt.Sprintf("%s-%d", r.Kind, pagers), r.Kind.Label()+": "+r.Notifier,
				r.Link)...)
		}
	}
	return buttons
}

// foot is the small print: which rule told of it.
func foot(n *router.Notification) string { return "rule " + line(n.Incident.Rule, nameText) }

// peak says how bad an incident was: "critical, 5 % → 10 % → 50 %".
func peak(inc *router.Incident) string {
	out := inc.Peak.String()
	if len(inc.Path) > 0 {
		out += ", " + line(router.FormatPath(inc.Event, inc.Path), moreText)
	}
	return out
}
