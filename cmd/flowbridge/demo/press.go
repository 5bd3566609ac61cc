package demo

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

// Bounds of the page.
const (
	maxForm    = 16 << 10
	maxCommand = 500              // bytes of what somebody writes
	maxShown   = 4 << 10          // bytes of a post that are shown
	maxChanges = 8                // of a press that are shown
	keepCame   = 8                // presses whose outcome is shown
	keepSaid   = 20               // answers to commands
	foldedIn   = settleTimeout    // how long a press waits until the bridge has folded what it caused
	toldIn     = 2 * time.Second  // and then until everybody was told
	failFor    = 60 * time.Second // how long a service fails
)

// came is what came of a press.
type came struct {
	N        int64
	At       time.Time
	What     string
	Posts    []sentPost
	Outcomes []string // by the journal
	Own      []string // what the press itself is known to have changed
	Places   []string // where something changed, and what
	Changes  []change // the same in full
	More     int      // changes that are not in it
	Answer   string   // to who pressed
	Fault    string
}

// sentPost is a post and how the bridge answered it.
type sentPost struct{ JSON, Status string }

// press does one thing at a time, waits for what comes of it, and keeps that for the page.
func (p *page) press(ctx context.Context, what string, do func(context.Context, *came) error) {
	select {
	case p.busy <- struct{}{}:
		defer func() { <-p.busy }()
	case <-ctx.Done():
		return
	}
	c := came{At: time.Now(), What: what}
	before, frozen, err := p.retell(ctx)
	var last []router.JournalEvent
	if err == nil {
		last, err = p.d.bridge.Store.Events(ctx, "", 1)
	}
	if err == nil {
		err = do(ctx, &c)
	}
	if err != nil {
		c.Fault = err.Error()
	} else {
		p.wait(ctx, foldedIn, p.d.folded)
		p.wait(ctx, toldIn, p.d.atRest())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pressed++
	c.N = p.pressed
	p.came = slices.Insert(frozen, 0, c)
	p.came = p.came[:min(len(p.came), keepCame)]
	if p.before, p.seq = before, 0; len(last) > 0 {
		p.seq = last[0].Seq
	}
}

// retell returns what the services show now, and what came of the presses: of the newest, all that has happened until
// now. Some of it takes longer than a press waits: where a channel has no room for more, or a service fails.
func (p *page) retell(ctx context.Context) (now snapshot, all []came, err error) {
	now = p.d.look()
	p.mu.Lock()
	all = slices.Clone(p.came)
	before, seq := p.before, p.seq
	p.mu.Unlock()
	if len(all) == 0 {
		return now, nil, nil
	}
	c := &all[0]
	c.Changes = difference(before, now)
	c.Places = slices.Concat(c.Own, places(c.Changes))
	if n := len(c.Changes) - maxChanges; n > 0 {
		c.More, c.Changes = n, c.Changes[:maxChanges]
	}
	c.Outcomes, err = p.outcomes(ctx, seq)
	return now, all, err
}

// wait waits until something is so, and does not mind if that takes longer than it may.
func (p *page) wait(ctx context.Context, most time.Duration, so func(context.Context) (bool, error)) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	_ = p.d.until(ctx, "", so)
}

// outcomes says what the fold made of the events after a journal position: the same words three times, and then how
// often.
func (p *page) outcomes(ctx context.Context, seq int64) (words []string, err error) {
	events, err := p.d.bridge.Store.Events(ctx, "", 20)
	if n := len(events); n > 0 && events[n-1].Seq > seq { // there are more
		events, err = p.d.bridge.Store.Events(ctx, "", 500)
	}
	unnumbered := map[string]int{}
	for _, e := range slices.Backward(events) {
		if e.Seq <= seq || e.Name == router.LinkIncident {
			continue
		}
		text := cmp.Or(e.Outcome, string(e.State))
		verb, _, _ := strings.Cut(text, " INC-")
		if unnumbered[verb]++; unnumbered[verb] <= 3 {
			words = append(words, text)
		}
	}
	for _, verb := range slices.Sorted(maps.Keys(unnumbered)) {
		if n := unnumbered[verb]; n > 3 {
			words = append(words, fmt.Sprintf("and %d more: %s", n-3, verb))
		}
	}
	return words, err
}

// freshOf are the messages, by their ts, and the incidents, by #number, that differ.
func freshOf(before, after snapshot) map[string]bool {
	fresh, was := map[string]bool{}, map[string]int{}
	for _, messages := range before.messages {
		for _, m := range messages {
			was[m.TS] = m.Edited + 1
		}
	}
	for _, messages := range after.messages {
		for _, m := range messages {
			if was[m.TS] != m.Edited+1 {
				fresh[cmp.Or(m.ThreadTS, m.TS)] = true
			}
		}
	}
	old := map[int64]sandbox.Incident{}
	for _, inc := range before.incidents {
		old[inc.Number] = inc
	}
	for _, inc := range after.incidents {
		if was := old[inc.Number]; was.Status != inc.Status || was.Triggers != inc.Triggers {
			fresh[fmt.Sprintf("#%d", inc.Number)] = true
		}
	}
	return fresh
}

// meta sends what Meta would.
func (p *page) meta(w http.ResponseWriter, r *http.Request) {
	t, ok := trickOf(r.PostFormValue("trick"))
	if !ok {
		p.fail(w, http.StatusNotFound, "There is no such trick.")
		return
	}
	from := "Meta: "
	if t.ID == forgedTrick {
		from = "Not Meta: "
	}
	p.press(r.Context(), from+t.what, func(ctx context.Context, c *came) error {
		posts, err := t.posts(p, time.Now())
		if err != nil {
			return err
		}
		if len(posts) == 0 {
			return errors.New("nothing was posted from this page yet: press something else first")
		}
		for _, one := range posts {
			secret := cmp.Or(one.secret, appSecret)
			status, err := p.d.cfg.Post(ctx, p.d.public+"/webhooks/whatsapp", secret, one.body)
			if err != nil {
				return err
			}
			c.Posts = append(c.Posts, sentPost{shown(one.body), status})
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if posts[0].secret == "" {
			p.last = posts
		}
		return nil
	})
	p.seeCame(w, r)
}

func (p *page) lastPosts() []post {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// shown is a post as people read it, cut where it is long.
func shown(body []byte) string {
	var doc any
	if json.Unmarshal(body, &doc) == nil {
		if pretty, err := json.MarshalIndent(doc, "", "  "); err == nil {
			body = pretty
		}
	}
	if len(body) > maxShown {
		return fmt.Sprintf("%s\n... and %d KB more", strings.ToValidUTF8(string(body[:maxShown]), ""),
			(len(body)-maxShown)/1024+1)
	}
	return string(body)
}

// slackPress presses a button of a message.
func (p *page) slackPress(w http.ResponseWriter, r *http.Request) {
	who, action := p.who(r), r.PostFormValue("action")
	option, err := strconv.Atoi(cmp.Or(r.PostFormValue("option."+action), "0"))
	if err != nil || option < 0 {
		p.fail(w, http.StatusBadRequest, "There is no such option.")
		return
	}
	channel, ts := r.PostFormValue("channel"), r.PostFormValue("ts")
	p.press(r.Context(), fmt.Sprintf("Slack: %s presses “%s”", who.name(), bound(action)),
		func(ctx context.Context, c *came) error {
			answer, err := answeredWell(p.d.slack.Press(ctx, channel, ts, sandbox.Press{Action: action, Option: option,
				User: string(who)}))
			c.Answer = answer
			return err
		})
	p.seeCame(w, r)
}

// slackWrite writes a slash command.
func (p *page) slackWrite(w http.ResponseWriter, r *http.Request) {
	who, channel := p.who(r), r.PostFormValue("channel")
	text := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(r.PostFormValue("text")), "/flows"))
	if len(text) > maxCommand {
		p.fail(w, http.StatusBadRequest, fmt.Sprintf("A command has at most %d bytes.", maxCommand))
		return
	}
	command := strings.TrimSpace("/flows " + text)
	p.press(r.Context(), fmt.Sprintf("Slack: %s writes %s", who.name(), bound(command)),
		func(ctx context.Context, c *came) error {
			answer, err := answeredWell(p.d.slack.Write(ctx, sandbox.Command{Text: text, Channel: channel, User: string(who)}))
			if answer != "" {
				c.Own = append(c.Own, channel+": an answer that only they see")
				p.mu.Lock()
				defer p.mu.Unlock()
				p.said = append(p.said, said{sandbox.Ephemeral{User: string(who), Channel: channel, Text: answer, At: time.Now()},
					command})
				p.said = p.said[max(0, len(p.said)-keepSaid):]
			}
			return err
		})
	p.seeCame(w, r)
}

// pagerDuty does what a person does in PagerDuty.
func (p *page) pagerDuty(w http.ResponseWriter, r *http.Request) {
	who, do := p.who(r).name(), r.PostFormValue("do")
	number, err := strconv.ParseInt(r.PostFormValue("number"), 10, 64)
	acts := map[string]func(int64, string) error{
		"acknowledge": p.d.pager.Acknowledge, "unacknowledge": p.d.pager.Unacknowledge,
		"resolve": p.d.pager.Resolve, "reopen": p.d.pager.Reopen,
	}
	if err != nil || acts[do] == nil {
		p.fail(w, http.StatusBadRequest, "PagerDuty has no such incident or button.")
		return
	}
	p.press(r.Context(), fmt.Sprintf("PagerDuty: %s presses “%s” on #%d", who, do, number),
		func(context.Context, *came) error {
			return acts[do](number, who)
		})
	p.seeCame(w, r)
}

// failures are what the services can be made to do, by id.
var failures = map[string]struct {
	Label, what string
	slack       bool
	fault       sandbox.Fault
}{
	"slack-429": {"Slack answers 429", "Slack takes nothing more for a minute", true,
		sandbox.Fault{Status: http.StatusTooManyRequests, RetryAfter: 10 * time.Second}},
	"slack-500": {"Slack answers 500", "Slack fails for a minute", true,
		sandbox.Fault{Status: http.StatusInternalServerError}},
	"pagerduty-503": {"PagerDuty is down", "PagerDuty is down for a minute", false,
		sandbox.Fault{Status: http.StatusServiceUnavailable}},
}

// neighbours makes a service fail for a minute, or all of them well.
func (p *page) neighbours(w http.ResponseWriter, r *http.Request) {
	how := r.PostFormValue("how")
	f, ok := failures[how]
	switch {
	case how == "heal":
		p.press(r.Context(), "Slack and PagerDuty are well again", func(context.Context, *came) error {
			p.d.slack.ClearFaults()
			p.d.pager.ClearFaults()
			return nil
		})
	case !ok:
		p.fail(w, http.StatusNotFound, "Nothing is known to fail like that.")
		return
	default:
		p.press(r.Context(), f.what+". Press something now: nothing is lost.", func(context.Context, *came) error {
			f.fault.Until = time.Now().Add(failFor)
			if f.slack {
				p.d.slack.ClearFaults()
				p.d.slack.Fail(f.fault)
			} else {
				p.d.pager.ClearFaults()
				p.d.pager.Fail(f.fault)
			}
			return nil
		})
	}
	p.seeCame(w, r)
}

// bound cuts what somebody sent to what a line takes.
func bound(text string) string {
	const most = 60
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}
