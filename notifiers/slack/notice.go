package slack

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"flowbridge/router"
)

// renderNotice draws an event with no pair: told once, never edited.
func renderNotice(n *router.Notification) card {
	note := n.Notice
	mark, color := noticeMark(note)
	title := cmp.Or(note.Title, noticeTitle(note))
	head := newParts(n)
	head.section(needed, "head", mark+" *"+line(title, titleText)+"*")

	body := newParts(n)
	body.section(needed, "meaning", noticeMeaning(note))
	body.section(wanted, "text", prose(noticeText(note), proseText))
	body.section(factual, "said", saidProse(note.Facts))
	body.fields(factual, "facts", noticeFacts(note))
	body.section(helpful, "errors", errorTable(note.Errors))
	body.fields(nearby, "fields", asked(note.Fields))
	if note.Flow != "" || !note.Subject.OfFlow() {
		body.actions(needed, "links", links(n))
	}
	body.context(smallPrint, "foot", "rule "+line(note.Rule, nameText), date(note.At))

	c := card{text: sentenceOf(noticeKind(note)+": "+title, ""), head: head.fit(budget), color: color}
	c.body = body.fit(budget - room(c.text, head))
	return c
}

// noticeKind begins the sentence: how bad it is, or that it is good.
func noticeKind(note *router.Notice) string {
	if signal := router.SignalOf(note.SignalKey()); signal.Moves() && recovery(note) {
		return "Good news"
	}
	return capital(note.Severity.String())
}

// noticeMeaning says what it means for users, and what helps. Good news needs neither.
func noticeMeaning(note *router.Notice) string {
	signal := router.SignalOf(note.SignalKey())
	if !signal.Moves() && note.Subject.OfFlow() {
		return router.StatusMeaning(note.NewStatus)
	}
	level := router.Level(note.Change)
	means := router.LevelMeaning(note.SignalKey(), level)
	if !note.Troubles() {
		return ""
	}
	button := ""
	if !note.Subject.OfFlow() {
		button = signal.Link
	}
	return advice(cmp.Or(means, signal.Impact), router.LevelHelp(note.SignalKey(), level), &signal, button)
}

// room is what a sentence and a head take of the budget.
func room(text string, head *parts) int {
	size := utf8.RuneCountInString(text)
	for _, p := range head.list {
		size += p.size
	}
	return size
}

func noticeMark(note *router.Notice) (mark, color string) {
	switch {
	case recovery(note):
		return ":white_check_mark:", resolved
	case note.Severity >= router.Error:
		return severityMark(note.Severity), firing
	case note.Severity == router.Warning:
		return ":warning:", acknowledged
	case router.SignalOf(note.Name).Personal:
		return ":inbox_tray:", news
	}
	return ":information_source:", news
}

// recovery says that Meta reports something as over that is no incident of ours, or that a rule wants to be
// told of on its own.
func recovery(note *router.Notice) bool {
	return note.AlertState == router.Deactivated || note.Recovery != ""
}

func noticeTitle(note *router.Notice) string {
	about := cut(note.About(), nameText)
	name := ""
	if about != "" {
		name = about + ": "
	}
	switch signal := router.SignalOf(note.SignalKey()); {
	case note.Name == router.ParkedDelivery && note.Act != nil:
		about := "a notice"
		if note.Act.Incident != 0 {
			about = router.IncidentName(note.Act.Incident)
		}
		return fmt.Sprintf("%s%s could not be told of %s", name, cut(cmp.Or(note.Act.Notifier, "a notifier"), nameText),
			about)
	case about != "" && signal.Moves():
		return router.Claim(about, signal.Name, router.Level(note.Change))
	case signal.ByWord() && note.NewStatus != "":
		was := ""
		if note.OldStatus != "" {
			was = " (was " + note.OldStatus + ")"
		}
		if note.Warning != "" { // such as: its version will freeze
			was += ", with a warning"
		}
		return name + signal.Title + " is " + note.NewStatus + was
	case note.AlertState == router.Deactivated:
		now := ""
		if note.Value != nil {
			now = ", now " + router.FormatValue(note.Name, *note.Value)
		}
		level := router.ThresholdLevel(note.Threshold)
		return name + router.SignalName(note.Name) + " " + router.Uncrossed(note.Name, level) + now
	case signal.Told != "":
		return name + signal.Told
	}
	return name + router.SignalName(note.Name)
}

// noticeText is the rule's, or what there is to say.
func noticeText(note *router.Notice) string {
	if note.Name == router.ParkedDelivery && note.Act != nil && note.Text == "" {
		text := note.Act.Error + "\nMend what it says, then retry the delivery"
		if note.Act.Delivery != 0 {
			text += fmt.Sprintf(": flowbridge deliveries retry %d", note.Act.Delivery)
		}
		if note.Act.About != "" {
			text = "What it should have been told: " + note.Act.About + "\n" + text
		}
		return text
	}
	if note.Text != "" {
		return note.Text
	}
	return strings.TrimSpace(note.Message + "\n" + note.Warning)
}

func noticeFacts(note *router.Notice) (own []field) {
	if note.Value != nil && note.AlertState != router.Deactivated {
		own = append(own, fact("Now", router.FormatValue(note.Name, *note.Value)))
	}
	if note.Threshold != nil {
		own = append(own, fact("Threshold", router.FormatValue(note.Name, *note.Threshold)))
	}
	own = append(own, readingFacts(note.Name, &note.Reading)...)
	own = append(own, saidFacts(note.Facts)...)
	own = append(own, metasWord(note.Subject, router.Level(note.Change))...)
	own = append(own, labels(note.Labels)...)
	if note.Flow != "" || !note.Subject.OfFlow() {
		own = append(own, ids(note.Subject, note.FlowInfo, note.WABA, note.Flow)...)
	}
	return few(own)
}

// errorTable lists the most frequent errors, aligned, each with what helps.
func errorTable(counts []router.ErrorCount) string {
	if len(counts) == 0 {
		return ""
	}
	counts = slices.Clone(counts)
	slices.SortStableFunc(counts, func(a, b router.ErrorCount) int {
		return cmp.Or(cmp.Compare(number(b.Count), number(a.Count)), cmp.Compare(number(b.Rate), number(a.Rate)))
	})
	counts = counts[:min(len(counts), mostErrors)]
	rows := make([][4]string, len(counts), len(counts)+1)
	heading := [4]string{"Error", "Share", "Count", "What helps"}
	var width [3]int
	for i, e := range counts {
		name, help := e.Type, ""
		if known, ok := router.DescribeError(e.Type); ok {
			name, help = known.Type, known.Help
		}
		rows[i] = [4]string{cut(strings.Join(strings.Fields(harmless(name)), " "), errorType), "", "", cut(help, errorHelp)}
		if e.Rate != nil {
			rows[i][1] = router.Percent.Format(*e.Rate)
		}
		if e.Count != nil {
			rows[i][2] = router.FormatValue("", *e.Count)
		}
		for j := range width {
			width[j] = max(width[j], utf8.RuneCountInString(rows[i][j]))
		}
	}
	for j := range width {
		if width[j] > 0 {
			width[j] = max(width[j], len(heading[j]))
		}
	}
	rows = slices.Insert(rows, 0, heading)
	var out []string
	for _, row := range rows {
		text := fmt.Sprintf("%-*s", width[0], row[0])
		for j, cell := range row[1:3] {
			if width[j+1] > 0 {
				text += fmt.Sprintf("  %*s", width[j+1], cell)
			}
		}
		out = append(out, escape(strings.TrimRight(text+"  "+row[3], " "), maxSectionText/(mostErrors+1)-8))
	}
	return "*Top errors*\n```" + strings.Join(out, "\n") + "```"
}

// number is a number to sort by; one that Meta did not send comes last.
func number(v *float64) float64 {
	if v == nil || math.IsNaN(*v) {
		return -1
	}
	return *v
}
