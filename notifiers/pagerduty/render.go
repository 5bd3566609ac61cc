package pagerduty

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	pd "github.com/PagerDuty/go-pagerduty"

	"flowbridge/router"
)

// Limits of an event. Those of PagerDuty come from "Events API v2: send an alert event"; the others are ours,
// where it documents none: names come from Meta and from the rules file, and are of any length.
const (
	maxEvent   = 500 << 10 // bytes of the body: PagerDuty's 512 KB, less the routing key and some room
	maxSummary = 1024      // characters; PagerDuty's
	maxName    = 255       // characters of source, component, group and class; ours
	maxLink    = 2048      // bytes of a URL; ours: a longer one is left out, since a part of it leads nowhere
	maxCards   = 10        // links to what other notifiers made; ours
)

// flowsPage is Meta's list of flows. Links to a single flow are not documented.
const flowsPage = "https://business.facebook.com/wa/manage/flows/"

// trigger renders the event that opens or refreshes an incident, without the routing key.
func trigger(n *router.Notification) *pd.V2Event {
	inc := n.Incident
	return fit(&pd.V2Event{
		Action:    "trigger",
		DedupKey:  cmp.Or(dedupKey(n.Receipt), n.Key),
		Client:    "flowbridge",
		ClientURL: href(n.Link),
		Links:     linkList(links(n, about(inc.Subject, inc.FlowInfo, inc.WABA, inc.Flow), inc.Event)),
		Payload: &pd.V2Payload{
			Summary:   incidentSummary(n),
			Source:    about(inc.Subject, inc.FlowInfo, inc.WABA, inc.Flow).source(),
			Severity:  severity(n).String(),
			Timestamp: timestamp(inc.OpenedAt),
			Component: about(inc.Subject, inc.FlowInfo, inc.WABA, inc.Flow).component(),
			Group:     group(inc.WABA, inc.FlowInfo),
			Class:     line(inc.Event, maxName),
			Details:   incidentDetails(n),
		},
	})
}

// page renders the event that opens an incident for a notice. Its key is derived from the position in the
// journal, so that repeats fall on it, and from the time of the event: a journal that had to be started anew
// counts from 1 again, and its notices must not vanish in incidents that are open since before.
func page(n *router.Notification) *pd.V2Event {
	notice := n.Notice
	return fit(&pd.V2Event{
		Action:   "trigger",
		DedupKey: fmt.Sprintf("flowbridge/notice/%d/%d", notice.Event, notice.At.Unix()),
		Client:   "flowbridge",
		Links:    linkList(links(n, aboutNotice(notice), notice.SignalKey())),
		Payload: &pd.V2Payload{
			Summary:   line(capital(severity(n).String())+": "+noticeSummary(notice), maxSummary),
			Source:    aboutNotice(notice).source(),
			Severity:  severity(n).String(),
			Timestamp: timestamp(notice.At),
			Component: aboutNotice(notice).component(),
			Group:     group(notice.WABA, notice.FlowInfo),
			Class:     line(notice.Name, maxName),
			Details:   noticeDetails(notice),
		},
	})
}

// change renders the change event of a notice.
func change(n *router.Notification) pd.ChangeEvent {
	notice := n.Notice
	event := pd.ChangeEvent{
		Links: links(n, aboutNotice(notice), notice.SignalKey()),
		Payload: pd.ChangeEventPayload{
			Summary:       line(noticeSummary(notice), maxSummary),
			Source:        aboutNotice(notice).source(),
			Timestamp:     timestamp(notice.At),
			CustomDetails: object(noticeDetails(notice)),
		},
	}
	if size := sizeOf(event); size > maxEvent {
		event.Payload.CustomDetails = object(leftOut(size))
	}
	return event
}

// fit makes an event that is larger than PagerDuty takes small enough: better a page without details than none.
func fit(event *pd.V2Event) *pd.V2Event {
	if size := sizeOf(event); size > maxEvent {
		event.Payload.Details = leftOut(size)
	}
	return event
}

func leftOut(size int) details {
	return details{LeftOut: fmt.Sprintf(
		"the event would have %d KB with its details, and PagerDuty takes 512 KB: look them up in flowbridge", size>>10)}
}

// sizeOf returns how long an event's JSON is. Ours is made of text, numbers and maps of text, and always marshals.
func sizeOf(event any) int {
	body, err := json.Marshal(event)
	if err != nil {
		return 0
	}
	return len(body)
}

// incidentSummary is all that a phone, a text message or a lock screen shows: how bad, what, where, the number, its
// threshold and ours. PagerDuty keeps the title that the first trigger gave, whatever comes after: it says what was
// reached, which stays true.
func incidentSummary(n *router.Notification) string {
	inc := n.Incident
	said := capital(severity(n).String()) + ": "
	if n.Key != inc.Key { // a second page, for what is worse than what somebody had acknowledged
		said = capital(severity(n).String()) + ", worse since it was acknowledged: "
	}
	number := " (" + inc.Name() + ")"
	switch {
	case inc.Title == "":
		said += reached(n)
	default:
		said += inc.Title
		if strings.Contains(inc.Title, inc.Name()) {
			number = ""
		}
	}
	return line(said, maxSummary-len(number)) + number
}

// reached says what is wrong, of the worst alert that the notifier is told of: "Checkout endpoint error rate reached
// 57 %, over 50 %", "account Acme EU is disabled".
func reached(n *router.Notification) string {
	inc, worst := n.Incident, counting(n.Alerts)
	where := about(inc.Subject, inc.FlowInfo, inc.WABA, inc.Flow).name()
	if len(worst) == 0 {
		return where + " " + cmp.Or(router.SignalOf(inc.Event).Trouble, lowerFirst(router.SignalName(inc.Event)))
	}
	a := worst[max(slices.IndexFunc(worst, func(a router.Alert) bool { return a.Severity <= severity(n) }), 0)]
	signal := router.SignalOf(a.Event)
	if signal.Moves() {
		return router.Claim(where, a.Event, a.Level)
	}
	var value *float64
	if measured, ok := newest(n.Alerts); ok && measured.Event == a.Event {
		value = measured.Value
	}
	if !signal.Reaches(a.Level, value) {
		value = a.Value // what is measured now lies below the level that it reached
	}
	if _, numeric := a.Level.Threshold(); numeric && !signal.Reaches(a.Level, value) {
		// the number is that of a recovery that is held back
		value = nil
	}
	return where + " " + lowerFirst(router.SignalName(a.Event)) + " " + router.Reached(a.Event, a.Level, value)
}

// noticeSummary says what happened, in one line.
func noticeSummary(n *router.Notice) string {
	where := aboutNotice(n).name()
	what := lowerFirst(router.SignalName(n.SignalKey()))
	switch signal := router.SignalOf(n.SignalKey()); {
	case n.Title != "":
		return n.Title
	case n.Name == router.TestMessage:
		return router.SignalName(n.Name) + ": " + n.Message
	case n.Act != nil && n.Act.Incident != 0:
		return fmt.Sprintf("flowbridge could not tell %s of %s", n.Act.Notifier, router.IncidentName(n.Act.Incident))
	case n.Act != nil:
		return "flowbridge could not tell " + n.Act.Notifier
	case !n.Subject.OfFlow():
		return router.Claim(where, n.SignalKey(), router.Level(n.Change))
	case signal.ByWord() && n.NewStatus == "":
		return where + ": " + what + " changed"
	case signal.ByWord() && n.OldStatus == "":
		return where + ": " + what + " is " + n.NewStatus
	case signal.ByWord():
		return fmt.Sprintf("%s: %s changed from %s to %s", where, what, n.OldStatus, n.NewStatus)
	case n.AlertState == router.Deactivated:
		return where + ": " + what + " recovered"
	}
	return where + ": " + what
}

// thing is what an event is about: a flow, another subject, or else the account.
type thing struct {
	subject    router.Subject
	info       router.FlowInfo
	waba, flow string
}

func about(s router.Subject, info router.FlowInfo, waba, flow string) thing {
	return thing{s, info, waba, flow}
}

func aboutNotice(n *router.Notice) thing { return thing{n.Subject, n.FlowInfo, n.WABA, n.Flow} }

// name is for people.
func (t thing) name() string {
	switch {
	case !t.subject.OfFlow():
		return line(t.subject.Label(t.info, t.waba), maxName)
	case t.flow != "" || t.info.FlowName != "":
		return line(t.info.DisplayName(t.flow), maxName)
	case t.waba != "":
		return line("WhatsApp account "+t.waba, maxName)
	}
	return "flowbridge"
}

// source names it by its id, which outlives every name.
func (t thing) source() string {
	switch {
	case t.subject.Kind == router.SubjectAccount:
		return line("WhatsApp account "+t.waba, maxName)
	case t.subject.Kind == router.SubjectBridge:
		return line("flowbridge "+t.subject.ID, maxName)
	case !t.subject.OfFlow():
		return line("WhatsApp "+string(t.subject.Kind)+" "+t.subject.ID, maxName)
	case t.flow != "":
		return line("WhatsApp flow "+t.flow, maxName)
	}
	return thing{waba: t.waba}.name()
}

func (t thing) component() string {
	if !t.subject.OfFlow() {
		return t.name()
	}
	return line(cmp.Or(t.info.FlowName, t.flow), maxName)
}

// group is the team that owns the flow, where the rules file names one, else the account.
func group(waba string, info router.FlowInfo) string {
	return line(cmp.Or(info.Labels["team"], waba), maxName)
}

// severity is that of the notifier. PagerDuty takes no event without one.
func severity(n *router.Notification) router.Severity { return cmp.Or(n.Severity, router.Info) }

func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// links leads to what a person who was paged looks at next.
func links(n *router.Notification, of thing, event string) []pd.ChangeEventLink {
	var out []pd.ChangeEventLink
	add := func(url, text string) {
		if url = href(url); url != "" {
			out = append(out, pd.ChangeEventLink{Href: url, Text: line(text, maxName)})
		}
	}
	add(of.info.Runbook, "Runbook")
	add(n.Link, "Details in flowbridge")
	for i, r := range n.Related {
		if i == maxCards {
			break
		}
		if r.Kind.Edits() {
			add(r.Link, r.Kind.Label()+": "+r.Notifier)
		}
	}
	switch signal := router.SignalOf(event); {
	case !of.subject.OfFlow():
		add(signal.Link, signal.LinkLabel())
	case of.flow != "":
		add(flowsPage, "Flows in WhatsApp Manager")
	}
	return out
}

// linkList has the type that the library wants in an alert event.
func linkList(links []pd.ChangeEventLink) []any {
	var out []any
	for _, l := range links {
		out = append(out, l)
	}
	return out
}

// href returns a link that can be followed as it stands, or "".
func href(url string) string {
	web := strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "http://")
	if !web || len(url) > maxLink || !utf8.ValidString(url) || strings.ContainsFunc(url, unicode.IsControl) {
		return ""
	}
	return url
}

// line makes text of unknown origin fit a line of at most limit characters: no line breaks, nothing that a
// terminal, a text message or the direction of the script around it would act on.
func line(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	return router.Shorten(router.OneLine(text), limit)
}

// capital begins a sentence.
func capital(text string) string {
	r, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(r)) + text[size:]
}

// lowerFirst makes a name of a signal stand within a sentence.
func lowerFirst(text string) string {
	r, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToLower(r)) + text[size:]
}
