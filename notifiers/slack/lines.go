package slack

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"flowbridge/router"
)

// reply is one message of the thread.
type reply struct {
	entry int64 // of the timeline: the newest that it tells
	text  string
	loud  bool // the channel sees it too: it got worse, which an edited card tells nobody
}

// replies are what the thread has yet to say: one message for each entry, or one for all when there are more
// than a channel takes in a row.
func replies(n *router.Notification) []reply {
	list := entryLines(n)
	if len(list) <= mostReplies {
		return list
	}
	return []reply{joined(n, list, threadText-nameText)}
}

// unthreaded is what the card says in place of a thread that takes no replies: the newest lines.
func unthreaded(n *router.Notification) string {
	list := entryLines(n)
	if !ownOf(n.Receipt).Mute || len(list) == 0 {
		return ""
	}
	return "*The thread takes no replies; it would say*\n" + joined(n, list, unthreadedText).text
}

// entryLines makes a line of each entry. What the card shows by itself (that it opened, new numbers) is none.
func entryLines(n *router.Notification) (list []reply) {
	for i := range n.Timeline {
		e := &n.Timeline[i]
		if last := len(list) - 1; sameLine(n, i) {
			list[last].entry = e.N
			list[last].text += ". " + line(e.Text, lineText)
			continue
		}
		if mark := markOf(n, i); mark != "" {
			list = append(list, reply{e.N, mark + " " + line(e.Text, lineText), worse(n, e)})
		}
	}
	return list
}

// worse says that an entry tells the channel of what an edited card does not: it got worse, or nobody has it still.
func worse(n *router.Notification, e *router.Entry) bool {
	rose := e.Kind == router.EntryEscalated || e.Kind == router.EntryReopened || e.Kind == router.EntryActivated &&
		reopened(n)
	unheard := e.Kind == router.EntryReminded && n.Incident.State == router.IncidentOpen
	return (rose || unheard) && n.Open
}

// opens says that the channel has no card of it yet, and that nobody has it.
func opens(n *router.Notification) bool {
	return n.Open && ownOf(n.Receipt).TS == "" && n.Incident.State == router.IncidentOpen
}

// mentions are those whom the rules mention, in mrkdwn; nobody under a silence. Only what the rules file may hold comes
// here, and that needs no escape: see router.Kind.Mentions.
func mentions(n *router.Notification) string {
	if n.Incident.Silence.ID != "" {
		return ""
	}
	var words []string
	for _, name := range n.Mentions() {
		switch {
		case !mentionable.MatchString(name): // of a database that somebody else wrote
		case name == "here" || name == "channel":
			words = append(words, "<!"+name+">")
		case name[0] == 'S':
			words = append(words, "<!subteam^"+name+">")
		default:
			words = append(words, "<@"+name+">")
		}
	}
	return strings.Join(words[:min(len(words), mostCalls)], " ")
}

var mentionable = regexp.MustCompile(`^(` + strings.Join(router.KindSlack.Mentions(), "|") + `)$`)

// sameLine says that an entry goes on in the line of the one before it: who was paged by what that tells.
func sameLine(n *router.Notification, i int) bool {
	if i == 0 || n.Timeline[i].Kind != router.EntryPaged || n.Timeline[i].Event == 0 {
		return false
	}
	before := &n.Timeline[i-1]
	return before.Event == n.Timeline[i].Event && before.Kind != router.EntryPaged && markOf(n, i-1) != ""
}

// joined makes one text of many lines, each with its time; the oldest go where there is no room for all.
func joined(n *router.Notification, list []reply, room int) reply {
	out := reply{entry: list[len(list)-1].entry}
	at := map[int64]time.Time{}
	for _, e := range n.Timeline {
		at[e.N] = e.At
	}
	left := n.Timeline[0].N - n.Receipt.Told - 1 // entries that the notification has no room for
	var lines []string
	for i, r := range slices.Backward(list) {
		text := clock(at[r.entry]) + " " + r.text
		if room -= utf8.RuneCountInString(text) + 1; room < 0 {
			left += int64(i + 1)
			break
		}
		lines = append(lines, text)
		out.loud = out.loud || r.loud
	}
	if left > 0 {
		lines = append(lines, fmt.Sprintf("… %d earlier entries are left out", left))
	}
	slices.Reverse(lines)
	out.text = strings.Join(lines, "\n")
	return out
}

// markOf is the sign before the line of an entry; "" where it gets none: for a reminder that this channel does not ask
// for, and for whom the opening paged. The card says that, and a line for it would make each new card cost two posts of
// the few that a channel takes.
func markOf(n *router.Notification, i int) string {
	e := &n.Timeline[i]
	if e.Kind == router.EntryReminded && !n.Reminds() || openingPage(n, i) {
		return ""
	}
	return entryMark(e.Kind)
}

// openingPage says that an entry names whom the event paged that opened the incident.
func openingPage(n *router.Notification, i int) bool {
	e := &n.Timeline[i]
	if i == 0 || e.Kind != router.EntryPaged || e.Event == 0 {
		return false
	}
	before := &n.Timeline[i-1]
	return before.Kind == router.EntryOpened && before.Event == e.Event
}

// entryMark is the sign before a line of the thread; "" for entries that get none.
func entryMark(kind router.EntryKind) string {
	switch kind {
	case router.EntryOpened, router.EntryRefreshed, router.EntryLate: // the card says it, or there is nothing to say
		return ""
	case router.EntryEscalated:
		return ":arrow_up:"
	case router.EntryActivated:
		return ":red_circle:"
	case router.EntryFlapped, router.EntryReopened:
		return ":repeat:"
	case router.EntryEased:
		return ":arrow_down:"
	case router.EntryRecovering:
		return ":hourglass:"
	case router.EntryResolved, router.EntryRecovered:
		return ":white_check_mark:"
	case router.EntryAcknowledged:
		return ":eyes:"
	case router.EntryUnacknowledged:
		return ":leftwards_arrow_with_hook:"
	case router.EntryReminded:
		return ":alarm_clock:"
	case router.EntryTold:
		return ":bell:"
	case router.EntryPaged:
		return ":pager:"
	case router.EntrySilenced:
		return ":no_bell:"
	case router.EntryAssigned:
		return ":bust_in_silhouette:"
	case router.EntryNote:
		return ":speech_balloon:"
	case router.EntryLinked:
		return ":link:"
	case router.EntryUnheard:
		return ":grey_question:"
	case router.EntryByItself:
		return ":robot_face:"
	case router.EntryUndelivered:
		return ":warning:"
	}
	return ":memo:"
}
