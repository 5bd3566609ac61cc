package slack

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"flowbridge/router"
)

// What a digest has room for.
const (
	worstLines  = 5  // incidents that opened, named with what is wrong
	mostNumbers = 40 // incidents that are over, by their number
	mostNews    = 10 // things that happened, each to how many
	mostNamed   = 5  // to whom, of each
)

// digest posts one message about many incidents, which is never edited. Where nobody knows whether it was posted it
// only looks: without it there is nothing in the receipt.
func (t *telling) digest(ctx context.Context) *failure {
	if t.n.Digest.Unsettled {
		return t.settle(ctx)
	}
	payload := map[string]any{"digest": t.n.Digest.ID, "incidents": len(t.n.Digest.Parts),
		"recovered": t.n.Digest.Recovered}
	if t.n.Digest.News {
		payload = map[string]any{"digest": t.n.Digest.ID, "notices": len(t.n.Digest.Parts)}
	}
	marked := slack.MsgOptionMetadata(slack.SlackMetadata{EventType: eventType, EventPayload: payload})
	id, ts, f := t.postRoot(ctx, t.card, marked)
	if f != nil {
		t.receipt.Unsure = f.is(ambiguous)
		return f
	}
	t.remember(t.n.Target.Address, id)
	t.toldIn(id, ts)
	return nil
}

// settle finds out whether the digest is there.
func (t *telling) settle(ctx context.Context) *failure {
	id, ts, f := t.search(ctx, func(m *slack.Message) bool {
		return m.Metadata.EventType == eventType && m.Metadata.EventPayload["digest"] == t.n.Digest.ID
	})
	if f = t.unlessUnreadable(f); f != nil {
		return f
	}
	t.receipt = receipt{}
	if ts != "" {
		t.toldIn(id, ts)
	}
	return nil
}

// toldIn puts a digest into the receipt.
func (t *telling) toldIn(channel, ts string) {
	open := !t.n.Digest.Recovered && !t.n.Digest.News
	t.receipt = receipt{router.Receipt{Digest: ts, Open: open}, own{Channel: channel}}
}

// renderDigest draws what a flooded channel is told instead of cards.
func renderDigest(n *router.Notification) card {
	switch {
	case n.Digest.News:
		return renderNews(n)
	case n.Digest.Recovered:
		return renderRecoveries(n)
	}
	parts := n.Digest.Parts
	said := fmt.Sprintf("%d more incidents opened: %s", len(parts), bySeverity(parts))
	mark := severityMark(worstFirst(parts)[0].Severity)
	lines := []string{mark + " *" + said + "*"}
	for _, p := range worstFirst(parts)[:min(len(parts), worstLines)] {
		lines = append(lines, "• "+capital(p.Severity.String())+": "+line(p.Incident.What(), titleText)+" ("+
			p.Incident.Name()+")")
	}
	if left := len(parts) - worstLines; left > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more", left))
	}
	lines = append(lines,
		fmt.Sprintf("They came faster than this channel takes cards. One that gets worse gets its card; "+
			"the others do once no more than %d of them are open. "+seeAll(n), router.StormSize))
	return digestCard(n, said+"; the worst: "+worstFirst(parts)[0].Incident.What(), lines)
}

// renderRecoveries draws the end of many incidents that have no card here.
func renderRecoveries(n *router.Notification) card {
	parts := n.Digest.Parts
	said := fmt.Sprintf("%d incidents without a card here are over", len(parts))
	lines := []string{":white_check_mark: *" + said + "*"}
	var told, missed []string
	for _, p := range parts {
		if p.Told {
			told = append(told, p.Incident.Name())
		} else {
			missed = append(missed, p.Incident.Name())
		}
	}
	if len(told) > 0 {
		lines = append(lines, "Over: "+names(told)+".")
	}
	if len(missed) > 0 {
		lines = append(lines, "Opened and closed again before this channel could be told: "+names(missed)+".")
	}
	return digestCard(n, said, append(lines, seeAll(n)))
}

// renderNews draws many notices for information: what happened, how often, and to whom.
func renderNews(n *router.Notification) card {
	type group struct {
		what  string
		times int
		whom  []string
	}
	var groups []*group
	for _, p := range n.Digest.Parts {
		what, whom := noticeNews(&p.Notice), line(p.Notice.About(), nameText)
		i := slices.IndexFunc(groups, func(g *group) bool { return g.what == what })
		if i < 0 {
			i, groups = len(groups), append(groups, &group{what: what})
		}
		g := groups[i]
		g.times++
		if whom != "" && !slices.Contains(g.whom, whom) {
			g.whom = append(g.whom, whom)
		}
	}
	slices.SortStableFunc(groups, func(a, b *group) int { return cmp.Compare(b.times, a.times) })
	said := fmt.Sprintf("%d news that came at once", len(n.Digest.Parts))
	lines := []string{":information_source: *" + said + "*"}
	for _, g := range groups[:min(len(groups), mostNews)] {
		text := fmt.Sprintf("• %d × %s", g.times, g.what)
		if whom := g.whom[:min(len(g.whom), mostNamed)]; len(whom) > 0 {
			text += ": " + strings.Join(whom, ", ")
			if left := len(g.whom) - len(whom); left > 0 {
				text += fmt.Sprintf(" and %d more", left)
			}
		}
		lines = append(lines, text)
	}
	if left := len(groups) - mostNews; left > 0 {
		lines = append(lines, fmt.Sprintf("… and %d other things", left))
	}
	return digestCard(n, said+", most often "+groups[0].what, append(lines, seeAll(n)))
}

// noticeNews says what happened, without to whom.
func noticeNews(note *router.Notice) string {
	if note.Title != "" {
		return line(note.Title, titleText)
	}
	what := router.SignalName(note.SignalKey())
	if word := cmp.Or(note.Change, note.NewStatus, note.AlertState); word != "" {
		what += " " + line(word, nameText)
	}
	return what
}

// renderDigested draws the end of one incident that a digest told of: one line.
func renderDigested(n *router.Notification) card {
	inc, title := n.Incident, titleOf(n)
	end := "is over for this channel; it goes on elsewhere"
	if inc.State == router.IncidentResolved {
		end = "resolved after " + router.FormatDuration(inc.ResolvedAt.Sub(inc.OpenedAt))
		if inc.ResolvedBy != "" {
			end += " by " + line(inc.ResolvedBy, nameText)
		}
	}
	head := newParts(n)
	head.section(needed, "head", fmt.Sprintf(":white_check_mark: *%s* %s (%s) · %s", line(title, titleText), end,
		peak(inc), link(n.Link, inc.Name())))
	return card{text: sentenceOf(cut(title, sentenceName)+" "+end, " ("+inc.Name()+")"), head: head.fit(budget),
		whole: true}
}

func digestCard(n *router.Notification, said string, lines []string) card {
	head := newParts(n)
	head.section(needed, "digest", strings.TrimSpace(strings.Join(lines, "\n")))
	return card{text: sentenceOf(said, ""), head: head.fit(budget)}
}

// bySeverity counts: "3 critical, 44 error".
func bySeverity(parts []router.Summary) string {
	count := map[router.Severity]int{}
	for _, p := range parts {
		count[max(p.Severity, router.Info)]++
	}
	var out []string
	for s := router.Critical; s >= router.Info; s-- {
		if count[s] > 0 {
			out = append(out, fmt.Sprintf("%d %s", count[s], s))
		}
	}
	return strings.Join(out, ", ")
}

// worstFirst sorts by severity; of equals the one that is owed longest comes first.
func worstFirst(parts []router.Summary) []router.Summary {
	parts = slices.Clone(parts)
	slices.SortStableFunc(parts, func(a, b router.Summary) int { return cmp.Compare(b.Severity, a.Severity) })
	return parts
}

// names lists incidents by number.
func names(all []string) string {
	if left := len(all) - mostNumbers; left > 0 {
		return strings.Join(all[:mostNumbers], ", ") + fmt.Sprintf(" and %d more", left)
	}
	return strings.Join(all, ", ")
}

// seeAll leads to the list of all incidents, if people can reach one.
func seeAll(n *router.Notification) string {
	if n.Digest.Console == "" {
		return ""
	}
	if n.Digest.News {
		return link(strings.TrimSuffix(n.Digest.Console, "/")+"/events", "See all events")
	}
	return link(n.Digest.Console, "See all incidents")
}
