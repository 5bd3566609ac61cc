package slack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"flowbridge/router"
)

// What one answer to a command may show.
const (
	mostListed   = 15
	mostActive   = 5
	lastEntries  = 5
	listedTitle  = 100 // characters of a title in the list
	mostProblem  = 3
	longestInput = 200 // characters of a command that are looked at
)

// verb is a word that a command begins with.
type verb struct {
	word  string
	short []string // other ways to write it
	act   string   // one of the router's; "" for those that only show
	usage string
	says  string
}

var verbs = []verb{
	{word: "list", short: []string{"open", "ls"}, usage: "", says: "what is open"},
	{word: "show", usage: "42", says: "one incident"},
	{word: "ack", short: []string{"acknowledge"}, act: router.Acknowledge, usage: "ack 42",
		says: "somebody looks after it"},
	{word: "unack", short: []string{"unacknowledge"}, act: router.Unacknowledge, usage: "unack 42",
		says: "nobody does any more"},
	{word: "resolve", short: []string{"close"}, act: router.Resolve, usage: "resolve 42",
		says: "over, whatever Meta reports; it opens again when it gets worse"},
	{word: "reopen", act: router.Reopen, usage: "reopen 42", says: "not over after all"},
	{word: "silence", short: []string{"mute"}, act: router.AddSilence, usage: "silence 42 4h",
		says: "no new trouble of this flow for 30m, 4h, 2d or until `recovered`"},
	{word: "unsilence", short: []string{"unmute"}, act: router.EndSilence, usage: "unsilence 42", says: "end that"},
	{word: "page", act: router.PageNow, usage: "page 42", says: "page at once whoever is not paged yet"},
	{word: "help", usage: "help", says: "this"},
}

// commanded answers a slash command in mrkdwn; ours is false if it is no business of our workspace.
func (r *Receiver) commanded(ctx context.Context, c *slack.SlashCommand) (said string, ours bool) {
	r.cfg.Seen(router.SightSlackPress, "a command")
	standing, err := r.people.standing(ctx, origin{team: c.TeamID, enterprise: c.EnterpriseID, user: c.UserID})
	switch {
	case err != nil:
		r.fault("command", "whose workspace this is could not be learnt", err)
		return "flowbridge cannot learn from Slack whose workspace this is. Nothing was done: try again in a minute.", true
	case standing == foreign:
		return "", false
	}
	said, result := r.answer(ctx, c)
	r.seen.WithLabelValues("command", result).Inc()
	return said, true
}

func (r *Receiver) answer(ctx context.Context, c *slack.SlashCommand) (said, result string) {
	asked, mistake := readCommand(c.Text)
	switch {
	case mistake != "":
		return mistake + "\n" + help(c.Command), "help"
	case asked.verb.word == "help":
		return help(c.Command), "help"
	case asked.verb.word == "list":
		return r.list(ctx, c.Command)
	case asked.verb.word == "show":
		return r.show(ctx, asked.incident)
	}
	w := request{act: asked.verb.act, incident: asked.incident, span: asked.span}
	w.digest = digest("command", c.TeamID, c.UserID, c.TriggerID, c.Text)
	out := r.do(ctx, person{id: c.UserID, name: c.UserName, channel: c.ChannelID}, w)
	if out.refusal != "" {
		return out.refusal, out.result
	}
	if out.event != nil {
		switch shows, refusal := r.lookFor(ctx, w, out.event); {
		case refusal != "":
			return refusal, "moot"
		case !shows:
			r.afterwards(func(ctx context.Context) { r.follow(ctx, w, out.event, c.ResponseURL) })
		}
	}
	return done(w, &out.inc), out.result
}

// done says that an act is written down. The card and the others follow.
func done(w request, inc *router.IncidentDetail) string {
	said := map[string]string{
		router.Acknowledge: "acknowledged", router.Unacknowledge: "no longer acknowledged", router.Resolve: "resolved",
		router.Reopen: "reopened", router.PageNow: "paging " + line(strings.Join(inc.Unpaged(), ", "), moreText),
		router.EndSilence: "no longer silenced",
		router.AddSilence: "silenced until it has recovered",
	}[w.act]
	switch {
	case w.act == router.AddSilence && w.span > 0:
		said = "silenced for " + router.FormatDuration(w.span)
	case w.act == router.Resolve && slices.ContainsFunc(inc.Alerts, func(a router.Alert) bool { return a.Active }):
		said += ". " + router.Reporter(inc.Event) + " still reports it: when it gets worse, it opens again"
	}
	return inc.Name() + ": " + said + "."
}

// list shows what is not resolved, worst first.
func (r *Receiver) list(ctx context.Context, command string) (said, result string) {
	var all []router.IncidentDetail
	for _, state := range []router.IncidentState{router.IncidentOpen, router.IncidentAcknowledged} {
		some, err := r.journal.Incidents(ctx, router.IncidentFilter{State: state, Limit: mostListed + 1})
		if err != nil {
			r.fault("command", "the incidents could not be read", err)
			return "flowbridge cannot read its database now: try again in a minute.", "failed"
		}
		all = append(all, some...)
	}
	if len(all) == 0 {
		return ":white_check_mark: Nothing is open.", "done"
	}
	slices.SortStableFunc(all, func(a, b router.IncidentDetail) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Number, a.Number))
	})
	lines := []string{"*Open incidents*, worst first"}
	for i := range all {
		if i == mostListed {
			lines = append(lines, "… and older ones, which are on the console")
			break
		}
		n := asNotification(&all[i])
		state, more, _, mark := openState(n)
		lines = append(lines, fmt.Sprintf("%s %s · %s · %s · since %s", mark, link(cardOf(&all[i]), "*"+all[i].Name()+"*"),
			line(titleOf(n), listedTitle), state+more, date(all[i].OpenedAt)))
		for _, p := range all[i].Pages(all[i].Alerts) {
			if p.State == router.PageWaiting {
				lines[len(lines)-1] += " · " + pageWords(&p)
			}
		}
	}
	return fits(append(lines, fmt.Sprintf("_%s %d_ shows one of them", line(command, nameText), all[0].Number))), "done"
}

// show shows one incident.
func (r *Receiver) show(ctx context.Context, number int64) (said, result string) {
	inc, err := r.journal.Incident(ctx, number)
	switch {
	case errors.Is(err, router.ErrNotFound):
		return "There is no " + router.IncidentName(number) + ".", "moot"
	case err != nil:
		r.fault("command", "an incident could not be read", err)
		return "flowbridge cannot read its database now: try again in a minute.", "failed"
	}
	n := asNotification(&inc)
	state, more, _, mark := openState(n)
	if !n.Open {
		state, more, mark = "resolved", " "+date(inc.ResolvedAt)+" after "+
			router.FormatDuration(inc.ResolvedAt.Sub(inc.OpenedAt)), ":white_check_mark:"
		if inc.ResolvedBy != "" {
			more += " by " + line(inc.ResolvedBy, nameText)
		}
		if resolvedByHand(n) {
			more += "; " + router.Reporter(inc.Event) + " still reports it"
		}
	}
	lines := []string{
		fmt.Sprintf("%s %s · *%s*", mark, link(cardOf(&inc), "*"+inc.Name()+"*"), line(titleOf(n), titleText)),
		fmt.Sprintf("*%s* · %s · since %s · peak: %s", capital(inc.Severity.String()), state+more, date(inc.OpenedAt),
			peak(&inc.Incident)),
	}
	active := 0
	for _, a := range inc.Alerts {
		if a.Counts() && active < mostActive {
			active++
			text := router.SignalName(a.Event) + " " + router.Crossed(a.Event, a.Level)
			if a.Value != nil {
				text += ", now " + router.FormatValue(a.Event, *a.Value)
			}
			lines = append(lines, "• "+line(text, factText))
		}
	}
	if paged := pages(n); paged != "" {
		lines = append(lines, paged)
	}
	for _, f := range owner(n) {
		lines = append(lines, f.name+": "+f.value)
	}
	problems := 0
	for _, d := range inc.Deliveries {
		unpaged := slices.ContainsFunc(n.Problems, func(p router.Problem) bool { return p.Notifier == d.Notifier })
		if (d.State == router.DeliveryParked || unpaged) && problems < mostProblem {
			problems++
			lines = append(lines, ":warning: "+line(d.Notifier, nameText)+" could not be told: "+
				line(cmp.Or(d.LastError, d.Behind), problemText))
		}
	}
	for _, e := range inc.Timeline[max(0, len(inc.Timeline)-lastEntries):] {
		lines = append(lines, clock(e.At)+" "+line(e.Text, fieldText))
	}
	return fits(lines), "done"
}

// fits joins lines as far as a person can be told them.
func fits(lines []string) string {
	out, room := "", hookText
	for _, l := range lines {
		if room -= len([]rune(l)) + 1; room < 0 {
			return out + "…"
		}
		out += l + "\n"
	}
	return strings.TrimSuffix(out, "\n")
}

// asNotification is an incident as a card would be told of it.
func asNotification(inc *router.IncidentDetail) *router.Notification {
	n := &router.Notification{Incident: &inc.Incident, Open: inc.State != router.IncidentResolved,
		Severity: inc.Severity, Alerts: inc.Alerts}
	for _, p := range inc.PagesTold() {
		if p.State == router.PageFailed {
			n.Problems = append(n.Problems, router.Problem{Notifier: p.Notifier, Error: p.Why})
		}
	}
	return n
}

// cardOf is the address of a card of an incident, "" for none.
func cardOf(inc *router.IncidentDetail) string {
	for _, d := range inc.Deliveries {
		if d.Kind == router.KindSlack && d.Receipt.Link != "" {
			return d.Receipt.Link
		}
	}
	return ""
}

// command is what a person wrote.
type command struct {
	verb
	incident int64
	span     time.Duration
}

// readCommand reads it. A mistake is in the words of who made it, as mrkdwn.
func readCommand(text string) (c command, mistake string) {
	words := strings.Fields(strings.ToLower(cut(harmless(text), longestInput)))
	if len(words) == 0 {
		return command{verb: verbs[0]}, ""
	}
	if number, ok := readNumber(words[0]); ok {
		words = append([]string{"show"}, words...)
		c.incident = number
	}
	at := slices.IndexFunc(verbs, func(v verb) bool { return v.word == words[0] || slices.Contains(v.short, words[0]) })
	if at < 0 {
		mistake = fmt.Sprintf("flowbridge does not know “%s”.", line(words[0], nameText))
		if near := nearest(words[0]); near != "" {
			mistake += " Did you mean *" + near + "*?"
		}
		return c, mistake
	}
	c.verb = verbs[at]
	rest := words[1:]
	if c.word == "list" || c.word == "help" {
		return c, ""
	}
	if len(rest) == 0 {
		return c, fmt.Sprintf("Which incident? Write its number: *%s 42*.", c.word)
	}
	number, ok := readNumber(rest[0])
	if !ok {
		return c, fmt.Sprintf("“%s” is no number of an incident: write it as 42 or INC-42.", line(rest[0], nameText))
	}
	c.incident, rest = number, rest[1:]
	if c.act != router.AddSilence {
		if len(rest) > 0 {
			return c, fmt.Sprintf("“%s” is too much after the number.", line(strings.Join(rest, " "), nameText))
		}
		return c, ""
	}
	if len(rest) > 1 && (rest[0] == "for" || rest[0] == "until") {
		rest = rest[1:]
	}
	if len(rest) == 0 {
		return c, fmt.Sprintf("For how long? Write *silence %d 4h*, or *silence %d recovered*.", c.incident, c.incident)
	}
	d, err := readSpan(strings.Join(rest, ""))
	if err != nil {
		return c, capital(line(err.Error(), lineText)) + "."
	}
	c.span = d
	return c, ""
}

// readNumber reads 42, #42 or INC-42.
func readNumber(s string) (int64, bool) {
	s = strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(s), "#"), "inc-")
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err == nil && n > 0
}

// help lists what can be written.
func help(name string) string {
	lines := []string{"What you can write:"}
	for _, v := range verbs {
		lines = append(lines, "• `"+strings.TrimSpace(line(name, nameText)+" "+v.usage)+"` "+v.says)
	}
	return strings.Join(lines, "\n")
}

// nearest returns the verb that somebody may have meant, "" if none is near.
func nearest(word string) (found string) {
	least := 3 // slips of the finger, fewer than which are likely
	for _, v := range verbs {
		for _, known := range append([]string{v.word}, v.short...) {
			if d := distance(word, known); d < least && d < len(known) {
				least, found = d, known
			}
		}
	}
	return found
}

// distance counts the letters to change, add or drop to get from one word to the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := row[j+1]
			change := last
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, row[j]+1, next+1)
			last = next
		}
	}
	return row[len(b)]
}
