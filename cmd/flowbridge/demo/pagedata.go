package demo

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

// pageData is what the page shows.
type pageData struct {
	Day, Console    string
	First           *trick // what to press next
	Groups          []trickGroup
	Active          map[string]bool // tricks whose trouble is there now, by id
	Failures        []failure
	Failing         []string
	As              person
	People          []namedPerson
	Came            []came
	Channels        []channelData
	Open            []router.IncidentDetail
	OpenCount       int64
	Waiting, Parked int64
	Pages           []drawing
	MorePages       int
	Triggered       int
}

type failure struct{ ID, Label string }

type namedPerson struct {
	ID   person
	Name string
}

type channelData struct {
	sandbox.Channel
	Cards []drawing
	More  int
}

// drawing is what a stand-in shows, when something last happened to it.
type drawing struct {
	HTML  template.HTML
	At    time.Time
	Fresh bool // it is what the last press changed
}

func (p *page) data(r *http.Request) (pageData, error) {
	ctx := r.Context()
	data := pageData{
		Day: p.d.cfg.Midnight.Format("2 January"), Console: p.d.admin, Groups: trickGroups, As: p.who(r),
		People:   []namedPerson{{onCall, onCall.name()}, {payments, payments.name()}, {growth, growth.name()}},
		Failures: []failure{}, Failing: p.failing(), Active: map[string]bool{},
	}
	for _, id := range []string{"slack-429", "slack-500", "pagerduty-503"} {
		data.Failures = append(data.Failures, failure{id, failures[id].Label})
	}
	stats, err := p.d.bridge.Store.Stats(ctx)
	if err != nil {
		return data, err
	}
	data.Waiting, data.Parked = stats.Deliveries[router.DeliveryWaiting], stats.Deliveries[router.DeliveryParked]
	for _, state := range []router.IncidentState{router.IncidentOpen, router.IncidentAcknowledged} {
		open, err := p.d.bridge.Store.Incidents(ctx, router.IncidentFilter{State: state, Limit: 6})
		if err != nil {
			return data, err
		}
		data.Open = append(data.Open, open...)
		data.OpenCount += stats.Incidents[state]
	}
	if err := p.ladder(ctx, &data); err != nil {
		return data, err
	}
	now, came, err := p.retell(ctx)
	if err != nil {
		return data, err
	}
	p.mu.Lock()
	answers, fresh := slices.Clone(p.said), freshOf(p.before, now)
	p.mu.Unlock()
	if data.Came = came; len(came) == 0 {
		fresh = nil
	}
	if err := p.drawSlack(&data, answers, fresh); err != nil {
		return data, err
	}
	return data, p.drawPagerDuty(&data, fresh)
}

// failing says what fails now, and until when.
func (p *page) failing() (all []string) {
	for name, faults := range map[string][]sandbox.Fault{"Slack": p.d.slack.Faults(), "PagerDuty": p.d.pager.Faults()} {
		for _, f := range faults {
			all = append(all, fmt.Sprintf("%s answers %d until %s UTC", name, f.Status, f.Until.UTC().Format("15:04:05")))
		}
	}
	slices.Sort(all)
	return all
}

// ladder finds which levels of Checkout's errors are active, and which step comes next: up, and from the top down.
func (p *page) ladder(ctx context.Context, data *pageData) error {
	active := map[string]bool{}
	for _, state := range []router.IncidentState{router.IncidentOpen, router.IncidentAcknowledged} {
		incidents, err := p.d.bridge.Store.Incidents(ctx, router.IncidentFilter{State: state, Flow: checkout, Limit: 10})
		if err != nil {
			return err
		}
		for _, inc := range incidents {
			for _, a := range inc.Alerts {
				if t, ok := a.Level.Threshold(); ok && a.Active && router.EventOf(a.Event) == router.EndpointErrorRate {
					active[fmt.Sprint("errors-", t)] = true
				}
			}
		}
	}
	data.Active = active
	next := "errors-below-50"
	for _, t := range slices.Backward(ladder) {
		if id := fmt.Sprint("errors-", t); !active[id] {
			next = id
		} else {
			break
		}
	}
	if first, ok := trickOf(next); ok {
		data.First = &first
	}
	return nil
}

func (p *page) drawSlack(data *pageData, answers []said, fresh map[string]bool) error {
	h := sandbox.HTML{Press: "/slack/press", Here: true, Names: people}
	told := p.d.slack.Told()
	for _, ch := range p.d.slack.Channels() {
		one := channelData{Channel: ch}
		cards, err := cardsOf(h, ch, p.d.slack.Messages(ch.Name), fresh)
		if err != nil {
			return err
		}
		alone := slices.Clone(answers)
		for _, e := range told[max(0, len(told)-keepSaid):] {
			alone = append(alone, said{e, ""})
		}
		for _, a := range alone {
			if a.Channel != ch.Name {
				continue
			}
			drawn, err := h.Ephemeral(a.Ephemeral, a.Asked)
			if err != nil {
				return err
			}
			cards = append(cards, drawing{HTML: drawn, At: a.At})
		}
		slices.SortStableFunc(cards, func(a, b drawing) int { return b.At.Compare(a.At) })
		one.More = max(0, len(cards)-maxCards)
		one.Cards = cards[:len(cards)-one.More]
		data.Channels = append(data.Channels, one)
	}
	return nil
}

// cardsOf draws the newest threads of a channel.
func cardsOf(h sandbox.HTML, ch sandbox.Channel, messages []sandbox.Message,
	fresh map[string]bool) (cards []drawing, err error) {
	replies, newest := map[string][]sandbox.Message{}, map[string]time.Time{}
	var roots []sandbox.Message
	for _, m := range messages {
		if m.ThreadTS == "" {
			roots = append(roots, m)
		} else {
			replies[m.ThreadTS] = append(replies[m.ThreadTS], m)
		}
		root := m.TS
		if m.ThreadTS != "" {
			root = m.ThreadTS
		}
		newest[root] = m.Posted // they come oldest first
	}
	slices.SortStableFunc(roots, func(a, b sandbox.Message) int { return newest[b.TS].Compare(newest[a.TS]) })
	for i, m := range roots {
		one := drawing{At: newest[m.TS], Fresh: fresh[m.TS]}
		if i <= maxCards {
			if one.HTML, err = h.Message(ch.Name, m, replies[m.TS]); err != nil {
				return nil, err
			}
		}
		cards = append(cards, one)
	}
	return cards, nil
}

func (p *page) drawPagerDuty(data *pageData, fresh map[string]bool) error {
	h := sandbox.HTML{Page: "/pagerduty", Here: true}
	incidents := p.d.pager.Incidents()
	slices.Reverse(incidents)
	slices.SortStableFunc(incidents, func(a, b sandbox.Incident) int { return rank(a) - rank(b) })
	for i, inc := range incidents {
		if inc.Status != sandbox.IncidentResolved {
			data.Triggered++
		}
		if i >= maxCards {
			data.MorePages++
			continue
		}
		drawn, err := h.Incident(inc)
		if err != nil {
			return err
		}
		data.Pages = append(data.Pages, drawing{HTML: drawn, Fresh: fresh[fmt.Sprintf("#%d", inc.Number)]})
	}
	changes := p.d.pager.ChangeEvents()
	for _, c := range slices.Backward(changes[max(0, len(changes)-3):]) {
		drawn, err := h.Change(c)
		if err != nil {
			return err
		}
		data.Pages = append(data.Pages, drawing{HTML: drawn})
	}
	return nil
}

// rank puts what is open first.
func rank(inc sandbox.Incident) int {
	return slices.Index([]string{sandbox.IncidentTriggered, sandbox.IncidentAcknowledged, sandbox.IncidentResolved},
		inc.Status)
}
