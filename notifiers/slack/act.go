package slack

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"flowbridge/router"
)

// person is who acts, and where.
type person struct {
	id      string
	name    string // the handle that came with the request
	channel string // id
}

// pressed takes what somebody pressed; false if it is no business of our workspace. It returns once what they did is on
// disk, or was put off with a word to them.
func (r *Receiver) pressed(ctx context.Context, call *slack.InteractionCallback) (ours bool) {
	r.cfg.Seen(router.SightSlackPress, "")
	if call.Type != slack.InteractionTypeBlockActions {
		r.seen.WithLabelValues("action", "ignored").Inc()
		return true
	}
	for _, action := range call.ActionCallback.BlockActions {
		w, ok := readPress(action)
		if !ok { // a link: Slack tells of those too
			r.seen.WithLabelValues("action", "ignored").Inc()
			continue
		}
		standing, err := r.people.standing(ctx, origin{
			team: call.Team.ID, enterprise: cmp.Or(call.Enterprise.ID, call.Team.EnterpriseID),
			teamEnterprise: call.Team.EnterpriseID,
			user:           call.User.ID, home: call.User.TeamID,
		})
		switch {
		case err != nil:
			r.fault("action", "whose workspace this is could not be learnt", err)
			r.tell(call.ResponseURL,
				"flowbridge cannot learn from Slack whose workspace this is. Nothing was done: press again in a minute.")
			continue
		case standing == foreign:
			return false
		case standing == guest:
			r.seen.WithLabelValues("action", "refused").Inc()
			r.cfg.Logger.Warn("a person of another organisation may not act", "incident", router.IncidentName(w.incident), "act",
				w.act,
				"user", call.User.ID, "team", call.User.TeamID)
			r.refusedAct(ctx, w, call.User.ID, call.User.Name, "of another organisation")
			r.tell(call.ResponseURL, router.IncidentName(w.incident)+
				": you may look here and not act, since you are of another organisation, "+
				"or Slack does not say that you are of this one. Nothing was done.")
			continue
		}
		w.digest = digest("action", call.Team.ID, call.User.ID, call.TriggerID, action.ActionTs, action.BlockID,
			action.ActionID, action.Value, action.SelectedOption.Value)
		who := person{id: call.User.ID, name: call.User.Name, channel: cmp.Or(call.Channel.ID, call.Container.ChannelID)}
		out := r.do(ctx, who, w)
		r.seen.WithLabelValues("action", out.result).Inc()
		switch {
		case out.refusal != "":
			r.tell(call.ResponseURL, out.refusal)
		case out.event != nil:
			r.afterwards(func(ctx context.Context) { r.follow(ctx, w, out.event, call.ResponseURL) })
		}
	}
	return true
}

// actOutcome is what came of a request. Exactly one of refusal and event is set, but for a repeat, which has neither.
type actOutcome struct {
	result  string        // of the metric
	refusal string        // why nothing was done, in mrkdwn
	event   *router.Event // what was written down
	inc     router.IncidentDetail
}

// do writes a request to the journal, unless it may not be or makes no sense any more.
func (r *Receiver) do(ctx context.Context, who person, w request) (out actOutcome) {
	name := router.IncidentName(w.incident)
	inc, err := r.journal.Incident(ctx, w.incident)
	switch {
	case errors.Is(err, router.ErrNotFound), err == nil && w.opened != 0 && inc.OpenedAt.Unix() != w.opened:
		return actOutcome{result: "moot", refusal: name + ": not known here any more. Nothing was done."}
	case err != nil:
		r.fault("act", "an incident could not be read", err)
		return actOutcome{result: "failed",
			refusal: name + ": flowbridge cannot read its database now. Nothing was done: try again in a minute."}
	}
	notifier, why := r.mayAct(ctx, who, w, &inc)
	if why != "" {
		r.cfg.Logger.Warn("somebody in Slack may not act", "incident", name, "act", w.act, "user", who.id, "notifier",
			notifier)
		r.refusedAct(ctx, w, who.id, who.name, "not on the list of those who may act, or Slack does not say so")
		return actOutcome{result: "refused", refusal: name + ": " + why}
	}
	if r.recent.has(w.digest) { // what it did itself is no reason to say that it comes too late
		return actOutcome{result: "repeat", inc: inc}
	}
	if refusal := refusalOf(w.act, &inc); refusal != "" {
		return actOutcome{result: "moot", refusal: refusal}
	}
	e := r.event(who, w, &inc, notifier, r.people.name(ctx, who))
	stored, err := r.journal.Append(ctx, []router.Event{e})
	switch {
	case err != nil:
		r.fault("act", "what a person did could not be stored", err)
		return actOutcome{result: "failed",
			refusal: name + ": flowbridge could not write this down, so that it may not happen. Try again in a minute."}
	case stored == 0 && w.act == router.AddSilence: // somebody was faster, and it is not folded yet
		return actOutcome{result: "moot", refusal: name + ": silenced already"}
	case stored == 0:
		return actOutcome{result: "repeat", inc: inc}
	}
	r.recent.add(w.digest)
	r.cfg.Logger.Info("a person acts", "act", w.act, "incident", name, "by", e.Act.Actor, "user", who.id, "notifier",
		notifier)
	return actOutcome{result: "done", event: &e, inc: inc}
}

// event is what the journal keeps of a request.
func (r *Receiver) event(who person, w request, inc *router.IncidentDetail, notifier, actor string) router.Event {
	now := r.cfg.Now().UTC().Truncate(time.Microsecond) // as the store keeps it: follow looks for it
	e := router.Event{
		Digest: w.digest, Source: router.SourceSlack, Name: w.act, At: happened(w.at, now, inc.Since), Received: now,
		WABA: inc.WABA, Flow: inc.Flow,
		Act: &router.Act{Incident: inc.Number, Actor: actor, Notifier: notifier, Verified: r.verified(),
			From: fromSlack(who.id)},
	}
	switch w.act {
	case router.AddSilence:
		e.Digest = silenceDigest(inc, now)
		s := router.Silence{ID: silenceID(e.Digest), Scope: inc.SilenceScope(), Since: now, By: actor + " in Slack"}
		if w.span > 0 {
			s.Until = now.Add(w.span)
		}
		e.Act.Incident, e.Act.Silence = 0, &s
	case router.EndSilence:
		e.Act.Incident, e.Act.Silence = 0, &router.Silence{ID: inc.Silence.ID}
	}
	return e
}

// happened is when a person acted, by which acts are ordered: when they pressed, where that can be. What lies ahead of
// our clock or a day behind it is no time that anybody meant. What lies a little before the incident opened, by our
// clock, was done to its card all the same: our clock is ahead of Slack's.
func happened(pressed, now, opened time.Time) time.Time {
	switch {
	case pressed.IsZero(), pressed.After(now), now.Sub(pressed) > oldestPress:
		return now
	case opened.After(pressed) && opened.Sub(pressed) <= mostSkew && !opened.After(now):
		return opened
	}
	return pressed
}

const (
	oldestPress = 24 * time.Hour
	mostSkew    = time.Minute
)

// silenceDigest names a request for silence by what it is about, not by the press: who clicks twice wants one silence,
// and so do two who click at a time. Once one has begun or ended the next is another one; the minute is for one that
// came and went while nothing was folded.
func silenceDigest(inc *router.IncidentDetail, now time.Time) string {
	last := int64(0)
	for _, e := range inc.Timeline {
		if e.Kind == router.EntrySilenced {
			last = e.N
		}
	}
	return digest(router.AddSilence, inc.Name(), inc.OpenedAt.String(), fmt.Sprint(last), fmt.Sprint(now.Unix()/60))
}

// digest names a request: Slack repeats one with all of this.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return "slack/" + hex.EncodeToString(sum[:16])
}

// digests remembers the last requests that were written down. It only spares words: the journal drops a repeat in any
// case.
type digests struct {
	mu   sync.Mutex
	last [256]string
	next int
}

func (d *digests) add(one string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last[d.next] = one
	d.next = (d.next + 1) % len(d.last)
}

func (d *digests) has(one string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(d.last[:], one)
}

func silenceID(digest string) string { return "slack-" + strings.TrimPrefix(digest, "slack/")[:12] }

// mayAct says through which notifier a person acts, or why they may not, in mrkdwn.
func (r *Receiver) mayAct(ctx context.Context, who person, w request,
	inc *router.IncidentDetail) (notifier, why string) {
	var told []string // notifiers whose card this is, or that told of it where it was no card
	for _, d := range inc.Deliveries {
		switch {
		case d.Kind != router.KindSlack, w.delivery != 0 && d.ID != w.delivery:
		case ownOf(d.Receipt).Channel == who.channel: // where the person is comes first
			told = slices.Insert(told, 0, d.Notifier)
		default:
			told = append(told, d.Notifier)
		}
	}
	if w.delivery != 0 && len(told) == 0 {
		return "", "this card is not known here any more. Nothing was done."
	}
	if len(told) == 0 {
		return "", r.mayActAnywhere(ctx, who)
	}
	known := r.cfg.Notifiers()
	for _, notifier := range told {
		if slices.Contains(known, notifier) {
			why = r.listed(ctx, who, r.cfg.Allow(notifier))
		} else { // the rules call it otherwise by now: no list of its own must not mean everybody
			why = r.mayActAnywhere(ctx, who)
		}
		if why == "" {
			return notifier, ""
		}
	}
	return told[0], why
}

// mayActAnywhere is for incidents that no notifier of the rules told a channel of: everybody may act on them unless
// there are lists, and then who is on one of them.
func (r *Receiver) mayActAnywhere(ctx context.Context, who person) (why string) {
	var all []string
	for _, notifier := range r.cfg.Notifiers() {
		all = append(all, r.cfg.Allow(notifier)...)
	}
	return r.listed(ctx, who, all)
}

// listed says why a person is not on a list; an empty list has everybody.
func (r *Receiver) listed(ctx context.Context, who person, list []string) (why string) {
	if len(list) == 0 {
		return ""
	}
	listed, err := r.people.on(ctx, list, who.id)
	switch {
	case listed:
		return ""
	case err != nil:
		r.fault("act", "the members of a user group could not be learnt", err)
		return "flowbridge cannot learn from Slack whether you may do this. Nothing was done: try again in a minute."
	}
	return "you are not on the list of those who may act here. Nothing was done: ask whoever keeps the rules file to " +
		"add " + line(who.id, nameText) + "."
}

// refusalOf says why an act would change nothing, in mrkdwn; "" if it would.
func refusalOf(act string, inc *router.IncidentDetail) string {
	why := inc.May(act)
	if why == router.MayHappen {
		return ""
	}
	return inc.Name() + ": " + whyNot(&inc.Incident, why)
}

// whyNot says in mrkdwn why an act cannot be, or would change nothing.
func whyNot(inc *router.Incident, why router.Refusal) string {
	switch why {
	case router.AlreadyResolved:
		by := router.Reporter(inc.Event)
		if inc.ResolvedBy != "" {
			by = line(inc.ResolvedBy, nameText)
		}
		return "already resolved by " + by + " at " + clock(inc.ResolvedAt)
	case router.NotResolved:
		return "not resolved any more"
	case router.Recovered:
		return "cannot be reopened: " + router.Reporter(inc.Event) + " reports that it is over"
	case router.AlreadyAcknowledged:
		return "already acknowledged by " + acknowledger(inc) + " at " + clock(inc.AcknowledgedAt)
	case router.NotAcknowledged:
		return "not acknowledged any more"
	case router.NobodyToPage, router.AllPaged:
		return "everybody who can be paged is paged already"
	case router.AlreadySilenced:
		return "already silenced" + silencedBy(&inc.Silence) + "; end that first to silence it otherwise"
	case router.NotSilenced:
		return "not silenced any more"
	case router.SilencedWider:
		return "its silence covers more than this flow: end it where it was made"
	}
	return line(string(why), nameText)
}

// silencedBy says by whom and until when.
func silencedBy(s *router.Silence) (said string) {
	if s.By != "" {
		said = " by " + line(s.By, nameText)
	}
	if s.UntilRecovered() {
		return said + " until it has recovered"
	}
	return said + " until " + date(s.Until)
}

// entryOf is what the timeline says of an act that changed something.
var entryOf = map[string]router.EntryKind{
	router.Acknowledge: router.EntryAcknowledged, router.Unacknowledge: router.EntryUnacknowledged,
	router.Resolve: router.EntryResolved,
	router.Reopen:  router.EntryReopened, router.PageNow: router.EntryPaged,
}

// follow watches what became of an act that was written down, and tells the person if somebody or Meta was faster:
// events of theirs may have stood in the journal before it. Where nothing becomes known in time, the card tells.
func (r *Receiver) follow(ctx context.Context, w request, e *router.Event, address string) {
	if _, ok := entryOf[w.act]; !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, followFor)
	defer cancel()
	for wait := r.followFirst; router.Sleep(ctx, wait); wait = min(2*wait, time.Second) {
		shows, refusal := r.became(ctx, w, e)
		if refusal != "" {
			r.tell(address, refusal)
		}
		if shows || refusal != "" {
			return
		}
	}
}

// lookFor waits a moment until an act shows in its incident, so that whoever asks next is told of it. Where it never
// will, refusal says why. Both are zero where the fold is late: then it is for follow.
func (r *Receiver) lookFor(ctx context.Context, w request, e *router.Event) (shows bool, refusal string) {
	wait := r.followFirst / 10
	for range seenLooks {
		if shows || refusal != "" || !router.Sleep(ctx, wait) {
			break
		}
		shows, refusal = r.became(ctx, w, e)
		wait *= 2
	}
	return shows, refusal
}

// became says whether an act shows in its incident by now, or why it never will, in mrkdwn.
func (r *Receiver) became(ctx context.Context, w request, e *router.Event) (shows bool, why string) {
	inc, err := r.journal.Incident(ctx, w.incident)
	if err != nil {
		return false, ""
	}
	switch w.act {
	case router.AddSilence:
		return inc.Silence.ID != "", ""
	case router.EndSilence:
		return inc.Silence.ID != e.Act.Silence.ID, ""
	}
	kind := entryOf[w.act]
	if slices.ContainsFunc(inc.Timeline, func(one router.Entry) bool { return one.Kind == kind && one.At.Equal(e.At) }) {
		return true, ""
	}
	return false, refusalOf(w.act, &inc)
}

const (
	followFor   = 5 * time.Second
	followFirst = 50 * time.Millisecond
	seenLooks   = 7 // the first after 5 ms, the last after 635 ms
)

// fault logs what kept a person from acting.
func (r *Receiver) fault(kind, what string, err error) {
	r.cfg.Logger.Error("a person in Slack could not act: "+what, "kind", kind, "error", err)
}
