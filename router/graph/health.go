package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"flowbridge/router"
)

// Health is what Graph says of how it stands with a flow.
type Health struct {
	Account  string // id of its WhatsApp Business Account; "" where Graph does not name it
	Status   string // of the flow: router.Published and others
	CanSend  string // available, or another word of Meta's, over all entities
	Version  string // of its Flow JSON; "" where Graph does not say so
	DataAPI  string // version of the data API; "" for a flow without an endpoint
	Endpoint string // where Meta reaches the business, without what may be secret; "" for a flow without one
	// Address is the same, whole: a user, a password or the query may be secret.
	Address  router.Secret
	Entities []Entity
}

// Entity is one of those that a message with the flow needs: FLOW, WABA, BUSINESS, APP. Source: Meta, "Messaging and
// Calling Health Status".
type Entity struct {
	Type    string
	ID      string
	CanSend string
	Errors  []EntityError // of one that is BLOCKED
	More    []string      // of one that is LIMITED, in words
}

// EntityError says why an entity is blocked, and what would help.
type EntityError struct{ Text, Solution string }

// available is the best word of can_send_message; the others are LIMITED and BLOCKED.
const available = "AVAILABLE"

// Well says whether Graph clearly says that nothing is wrong: the flow is published, and it and all that it needs are
// available, without reserve. What Graph leaves out is not well.
func (h *Health) Well() bool {
	flow := false
	for i := range h.Entities {
		e := &h.Entities[i]
		if e.CanSend != available || len(e.Errors)+len(e.More) > 0 {
			return false
		}
		flow = flow || e.Type == "FLOW"
	}
	return flow && router.IsPublished(h.Status) && h.CanSend == available
}

// Facts are what cards show of it, in few lines: the status where it is bad, which entity is blocked or limited and
// what Meta suggests, how the endpoint is reached.
func (h *Health) Facts() (facts []router.Fact) {
	add := func(name, text string) {
		if text = router.Shorten(router.OneLine(text), maxFact); text != "" && len(facts) < mostFacts-1 {
			facts = append(facts, router.Fact{Name: name, Text: text})
		}
	}
	if !router.IsPublished(h.Status) {
		add(router.FactStatus, h.Status)
	}
	for i := range h.Entities {
		e := &h.Entities[i]
		if e.CanSend == available || e.CanSend == "" {
			continue
		}
		said, solution := strings.Join(e.More, " "), ""
		if len(e.Errors) > 0 {
			said, solution = e.Errors[0].Text, e.Errors[0].Solution
		}
		add(router.FactHealth, strings.TrimSuffix(e.words()+": "+said, ": "))
		add(router.FactSolution, solution)
	}
	if h.Endpoint != "" {
		facts = append(facts, router.Fact{Name: router.FactEndpoint, Text: router.Shorten(h.Endpoint, maxFact)})
	}
	return facts
}

const (
	// mostFacts and maxFact bound what cards show of a health: lines, and characters of each.
	mostFacts, maxFact = 4, 200
	// mostEntities and mostErrors bound what is kept of an answer.
	mostEntities, mostErrors = 16, 4
)

func (e *Entity) words() string {
	name := map[string]string{
		"FLOW": "the flow", "WABA": "the account", "BUSINESS": "the business", "APP": "the app",
		"PHONE_NUMBER": "the phone number", "MESSAGE_TEMPLATE": "the template",
	}[e.Type]
	if name == "" {
		name = strings.ToLower(e.Type)
	}
	return fmt.Sprintf("%s is %s", name, e.CanSend)
}

// healthFields are asked for of a flow. Source: Meta's reference of Flow.
const healthFields = "name,status,endpoint_uri,health_status,json_version,data_api_version"

// readHealth reads an answer.
func readHealth(body []byte) (h Health, ok bool) {
	var said struct {
		Status   string `json:"status"`
		Endpoint string `json:"endpoint_uri"`
		Version  any    `json:"json_version"` // a string; whatever else it is must not hide the rest
		DataAPI  any    `json:"data_api_version"`
		Health   struct {
			CanSend  string `json:"can_send_message"`
			Entities []struct {
				Type    string          `json:"entity_type"`
				ID      string          `json:"id"`
				CanSend string          `json:"can_send_message"`
				More    json.RawMessage `json:"additional_info"` // a list of sentences, or one
				Errors  []struct {
					Text     string `json:"error_description"`
					Solution string `json:"possible_solution"`
				} `json:"errors"`
			} `json:"entities"`
		} `json:"health_status"`
	}
	if json.Unmarshal(body, &said) != nil {
		return h, false
	}
	h = Health{Status: said.Status, CanSend: said.Health.CanSend, Endpoint: shownAddress(said.Endpoint),
		Address: router.Secret(said.Endpoint), Version: version(said.Version), DataAPI: version(said.DataAPI)}
	for i, e := range said.Health.Entities {
		if i == mostEntities { // more than a flow can have: it is not known to be well
			h.CanSend = ""
			break
		}
		entity := Entity{Type: e.Type, ID: e.ID, CanSend: e.CanSend, More: sentences(e.More)}
		for _, one := range e.Errors[:min(len(e.Errors), mostErrors)] {
			entity.Errors = append(entity.Errors, EntityError{one.Text, one.Solution})
		}
		if e.Type == "WABA" && ids.MatchString(e.ID) {
			h.Account = e.ID
		}
		h.Entities = append(h.Entities, entity)
	}
	return h, h.Status != ""
}

var versionForm = regexp.MustCompile(`^` + router.FlowVersionForm + `$`)

// version is one as Meta writes it; "" for whatever else.
func version(said any) string {
	if text, ok := said.(string); ok && versionForm.MatchString(text) {
		return text
	}
	return ""
}

func sentences(raw json.RawMessage) (list []string) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var one string
	switch {
	case json.Unmarshal(raw, &list) == nil:
		return list[:min(len(list), mostErrors)]
	case json.Unmarshal(raw, &one) == nil:
		return []string{one}
	}
	return []string{"Meta says more"} // in a form that is not known: at least it is not well
}

// shownAddress is an endpoint as people may see it: user, password and query may be secret.
func shownAddress(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return ""
	}
	return router.OneLine((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String())
}

// lookCall asks Run for a look.
type lookCall struct {
	id   string
	done chan<- lookAnswer // has room for one
}

type lookAnswer struct {
	health Health
	err    error
}

// Look asks how it stands with a flow, and waits for the answer. Looks share the budget of calls with names, and take
// half of it at most: over that the error says so at once. Its errors hold neither the token nor an address.
func (c *Client) Look(ctx context.Context, flow string) (Health, error) {
	if !ids.MatchString(flow) {
		return Health{}, fmt.Errorf("graph: no id of a flow")
	}
	done := make(chan lookAnswer, 1)
	select {
	case <-ctx.Done():
		return Health{}, ctx.Err()
	case c.looks <- lookCall{flow, done}:
	}
	select {
	case <-ctx.Done():
		return Health{}, ctx.Err()
	case a := <-done:
		return a.health, a.err
	}
}

// look makes one call, if the budget has room for it.
func (c *Client) look(ctx context.Context, l lookCall) {
	health, fault := c.lookUp(ctx, l.id)
	if fault == nil {
		l.done <- lookAnswer{health: health}
		return
	}
	l.done <- lookAnswer{err: fmt.Errorf("graph: %w", fault)}
}

func (c *Client) lookUp(ctx context.Context, id string) (Health, *fault) {
	now, token := c.cfg.Now(), c.cfg.TokenNow()
	c.made, c.looked = withinHour(c.made, now), withinHour(c.looked, now)
	switch {
	case len(c.made) >= c.cfg.Hourly || len(c.looked) >= max(c.cfg.Hourly/2, 1):
		return Health{}, &fault{outcome: limited, text: "the budget of calls is used up for this hour"}
	case now.Before(c.pause.until) && token == c.pause.token:
		return Health{}, &fault{outcome: limited,
			text: "Graph is not asked for an hour, since it refused the token or the number of calls"}
	}
	c.made, c.looked = append(c.made, now), append(c.looked, now)
	status, body, f := c.get(ctx, id, healthFields, token)
	if f == nil {
		f = judge(status, body, token)
	}
	var h Health
	if f == nil {
		ok := false
		if h, ok = readHealth(body); !ok {
			f = &fault{outcome: odd, status: status, text: "its answer says nothing of a flow"}
		}
	}
	if ctx.Err() != nil {
		return h, &fault{outcome: timedOut, text: "cut short"}
	}
	if f == nil {
		c.pause = pause{}
		c.asks[asked].Inc()
		c.keepEndpoint(id, h.Address)
		return h, nil
	}
	c.asks[f.outcome].Inc()
	c.report("Graph does not say how it stands with a flow", key{Flow, id}, f)
	if f.outcome.ofAll() {
		c.pause = pause{until: now.Add(c.cfg.KeepError), token: token}
	}
	return h, f
}

// mostEndpoints bounds the addresses that are remembered: those of all flows that are watched fit in.
const mostEndpoints = 2 * mostFlows

func (c *Client) keepEndpoint(flow string, address router.Secret) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.endpoints[flow]; !known && len(c.endpoints) >= mostEndpoints {
		clear(c.endpoints) // those that matter are looked at again within the hour
	}
	c.endpoints[flow] = address
}

// Endpoint returns where Meta reaches the endpoint of a flow, by the last look at it; "" for a flow without one. ok is
// false where Graph has not said so yet. It asks nobody.
func (c *Client) Endpoint(flow string) (address router.Secret, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	address, ok = c.endpoints[flow]
	return address, ok
}
