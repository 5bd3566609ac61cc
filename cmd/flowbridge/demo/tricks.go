package demo

import (
	"encoding/json"
	"fmt"
	"time"

	"flowbridge/router"
	"flowbridge/router/whatsapp"
)

// stormFlows is how many flows fail at once in a storm.
const stormFlows = 200

// forgedTrick is the one that is not Meta's.
const forgedTrick = "forged"

// post is what Meta, or somebody who is not Meta, sends.
type post struct {
	body   []byte
	secret router.Secret // "" is the app's
}

// trick is something that can be pressed on the page: what Meta sends then.
type trick struct {
	ID, Label string
	what      string // as the page says it afterwards
	posts     func(p *page, now time.Time) ([]post, error)
}

// trickGroup is tricks about one thing.
type trickGroup struct {
	Title, Says string
	Tricks      []trick
}

// sample is a trick of one event.
func sample(id, label, what string, s whatsapp.Sample) trick {
	return trick{id, label, what, func(_ *page, now time.Time) ([]post, error) {
		s := s
		s.Time = now
		body, err := s.Body()
		return []post{{body: body}}, err
	}}
}

// drill is a trick of half of a drill.
func drill(id, label, what, state string) trick {
	return trick{id, label, what, func(_ *page, now time.Time) ([]post, error) {
		body, err := drillPost(now, state)
		return []post{{body: body}}, err
	}}
}

func measured(event, state string, threshold, value float64) whatsapp.Sample {
	return whatsapp.Sample{Event: event, Flow: checkout, Threshold: &threshold, Value: &value, AlertState: state}
}

func became(from, to string) whatsapp.Sample {
	return whatsapp.Sample{Event: router.FlowStatusChange, Flow: checkout, OldStatus: from, NewStatus: to}
}

func ofShop(event, change string) whatsapp.Sample {
	return whatsapp.Sample{Event: event, Change: change, WABA: shop}
}

// ladder are the levels of Checkout's error rate: how the page begins.
var ladder = []float64{5, 10, 50}

// trickGroups are all tricks, in the order of the page.
var trickGroups = []trickGroup{
	{"Checkout's errors", "A ladder: one incident that gets worse and better. From 10 % on somebody is paged.", []trick{
		sample("errors-5", "over 5 %", "6.4 % of Checkout's requests fail",
			measured(router.EndpointErrorRate, router.Activated, 5, 6.4)),
		sample("errors-10", "over 10 %", "14.28 % of Checkout's requests fail",
			measured(router.EndpointErrorRate, router.Activated, 10, 14.28)),
		sample("errors-50", "over 50 %", "61.5 % of Checkout's requests fail",
			measured(router.EndpointErrorRate, router.Activated, 50, 61.5)),
		sample("errors-below-50", "below 50 %", "Checkout's errors fall to 23 %",
			measured(router.EndpointErrorRate, router.Deactivated, 50, 23)),
		sample("errors-below-10", "below 10 %", "Checkout's errors fall to 7.1 %",
			measured(router.EndpointErrorRate, router.Deactivated, 10, 7.1)),
		sample("errors-below-5", "below 5 %", "Checkout's errors fall to 1.2 %",
			measured(router.EndpointErrorRate, router.Deactivated, 5, 1.2)),
	}},
	{"Checkout's answers", "Slow, or none at all: incidents of their own.", []trick{
		sample("slow", "slower than 5 s", "Checkout takes 6.2 s", measured(router.EndpointLatency, router.Activated, 5000,
			6200)),
		sample("fast", "fast again", "Checkout takes 0.6 s", measured(router.EndpointLatency, router.Deactivated, 1000, 600)),
		sample("gone", "below 90 % available", "Checkout answers 71 % of the time",
			measured(router.EndpointAvailability, router.Activated, 90, 71)),
		sample("back", "available again", "Checkout answers 99.6 % of the time",
			measured(router.EndpointAvailability, router.Deactivated, 90, 99.6)),
	}},
	{"Checkout's status", "Meta slows a bad flow down, then stops it.", []trick{
		sample("throttled", "throttled", "Checkout is throttled", became(router.Published, router.Throttled)),
		sample("blocked", "blocked", "Checkout is blocked", became(router.Throttled, router.Blocked)),
		sample("published", "let go", "Checkout is let go", became(router.Blocked, router.Published)),
	}},
	{"The account", "A ban stops every flow at once; a paused template stops its messages.", []trick{
		sample("ban-announced", "ban announced", "a ban of the account is announced",
			ofShop(router.AccountUpdate, "SCHEDULE_FOR_DISABLE")),
		sample("ban-made", "banned", "the account is banned", ofShop(router.AccountUpdate, "DISABLE")),
		sample("ban-lifted", "ban lifted", "the ban is lifted", ofShop(router.AccountUpdate, "REINSTATE")),
		sample("template-paused", "template paused", "a template is paused",
			ofShop("MESSAGE_TEMPLATE_STATUS_UPDATE", "PAUSED")),
		sample("template-back", "template back", "the template is let go",
			ofShop("MESSAGE_TEMPLATE_STATUS_UPDATE", "UNPAUSE")),
	}},
	{"A storm", fmt.Sprintf("%d flows that the rules do not name fail in one post. Slack takes one message a second.",
		stormFlows), []trick{
		{"storm", "it breaks", fmt.Sprintf("%d flows fail at once", stormFlows), storm(router.Activated, 10, 14.28)},
		{"calm", "it passes", fmt.Sprintf("%d flows recover at once", stormFlows), storm(router.Deactivated, 5, 0.4)},
	}},
	{"Does it work?", "A drill goes the way of an alert, marked DRILL, and pages. Before the day no post had come for " +
		"24 hours: the bridge said so in #flow-ops.", []trick{
		drill("drill", "a drill", "a drill begins: a signed post, as flowbridge drill sends it", router.Activated),
		drill("drill-over", "the drill ends", "the drill ends", router.Deactivated),
	}},
	{"Odd posts", "What must change nothing, show nothing, or be refused.", []trick{
		{"late", "a late event", "an alert of last night arrives only now", late},
		{"again", "the last post again", "the same post again",
			func(p *page, _ time.Time) ([]post, error) { return p.lastPosts(), nil }},
		{forgedTrick, "a forged post", "somebody without the app's secret says that Checkout is blocked", forged},
		{"garbage", "garbage, signed", "a post that is well signed and no JSON of Meta's",
			func(*page, time.Time) ([]post, error) {
				return []post{{body: []byte(`{"object":"whatsapp_business_account","entry":"` + "\U0001F9C0" + `"}`)}}, nil
			}},
		sample("form", "a filled form", "a customer fills a form, with personal data",
			whatsapp.Sample{Event: router.FlowResponse}),
	}},
}

// trickOf finds a trick by its id.
func trickOf(id string) (t trick, ok bool) {
	for _, g := range trickGroups {
		for _, t := range g.Tricks {
			if t.ID == id {
				return t, true
			}
		}
	}
	return t, false
}

// storm is one post with a change for each of many flows.
func storm(state string, threshold, value float64) func(*page, time.Time) ([]post, error) {
	return func(_ *page, now time.Time) ([]post, error) {
		type entry struct {
			ID      string            `json:"id"`
			Time    int64             `json:"time"`
			Changes []json.RawMessage `json:"changes"`
		}
		var all struct {
			Object string  `json:"object"`
			Entry  []entry `json:"entry"`
		}
		for i := range stormFlows {
			s := measured(router.EndpointErrorRate, state, threshold, value)
			s.Flow, s.Time = fmt.Sprintf("30000000000%04d", i+1), now
			body, err := s.Body()
			if err != nil {
				return nil, err
			}
			one := all
			one.Entry = nil
			if err := json.Unmarshal(body, &one); err != nil {
				return nil, err
			}
			if i == 0 {
				all = one
			} else {
				all.Entry[0].Changes = append(all.Entry[0].Changes, one.Entry[0].Changes...)
			}
		}
		body, err := json.Marshal(all)
		return []post{{body: body}}, err
	}
}

// late is older than what the story has told of the same alert. Each is a second younger than the last, since Meta's
// repeats are dropped.
func late(p *page, _ time.Time) ([]post, error) {
	s := measured(router.EndpointErrorRate, router.Activated, 10, 12.5)
	s.Time = p.d.cfg.Midnight.Add(23*time.Hour + time.Duration(p.lateness.Add(1)%1000)*time.Second)
	body, err := s.Body()
	return []post{{body: body}}, err
}

func forged(_ *page, now time.Time) ([]post, error) {
	s := became(router.Published, router.Blocked)
	s.Time = now
	body, err := s.Body()
	return []post{{body: body, secret: "a guess"}}, err
}
