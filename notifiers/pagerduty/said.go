package pagerduty

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"flowbridge/router"
)

// Bounds of what is kept of PagerDuty's words, in characters.
const (
	maxActor = 100
	maxNote  = 1000
)

// said is what PagerDuty said of one of its incidents.
type said struct {
	id       string // of what was said; the same for every repeat
	kind     string // "incident.acknowledged"
	at       time.Time
	received time.Time
	made     time.Time      // when PagerDuty made the incident, by its clock; zero where it did not say
	about    router.Link    // which incident: ID, and Number and URL where they were said
	key      string         // what its first alert was sent with; "" where PagerDuty does not say
	service  string         // the id of the service that the incident is in; "" where it was not said
	owner    string         // who has it; "" where it was not said
	events   []router.Event // what it means, without a place; none for what only tells the incident's name
}

// reference is how PagerDuty names a thing.
type reference struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Summary string `json:"summary"`
	URL     string `json:"html_url"`
}

// webhook is the body of a V3 webhook. Source: PagerDuty, "Webhooks: v3 overview".
type webhook struct {
	Event struct {
		ID    string          `json:"id"`
		Type  string          `json:"event_type"`
		At    time.Time       `json:"occurred_at"`
		Agent *reference      `json:"agent"`
		Data  json.RawMessage `json:"data"`
	} `json:"event"`
}

// webhookData is an incident, or what belongs to one: a note names its incident.
type webhookData struct {
	reference
	Number        int64       `json:"number"`
	Status        string      `json:"status"`
	Key           string      `json:"incident_key"`
	Assignees     []reference `json:"assignees"`
	Priority      *reference  `json:"priority"`
	CreatedAt     string      `json:"created_at"`
	Service       *reference  `json:"service"`
	ResolveReason *struct {
		Type     string    `json:"type"`
		Incident reference `json:"incident"`
	} `json:"resolve_reason"`

	Incident *reference `json:"incident"`
	Content  string     `json:"content"`
}

// readSaid reads a webhook; webhookID is that of its header. One odd field never loses the others.
func readSaid(body []byte, webhookID string, received time.Time) (said, error) {
	var hook webhook
	var data webhookData
	if err := lenient(body, &hook); err != nil {
		return said{}, err
	}
	if len(hook.Event.Data) > 0 {
		if err := lenient(hook.Event.Data, &data); err != nil {
			return said{}, err
		}
	}
	s := said{
		id: cmp.Or(hook.Event.ID, webhookID), kind: hook.Event.Type, at: hook.Event.At.UTC(), received: received,
		about: router.Link{ID: data.ID, Number: data.Number, URL: href(data.URL)}, key: data.Key,
		owner: names(data.Assignees), made: timeOf(data.CreatedAt),
	}
	if data.Service != nil && isID(data.Service.ID) {
		s.service = data.Service.ID
	}
	if data.Incident != nil {
		s.made = time.Time{}
		s.about = router.Link{ID: data.Incident.ID, Number: numberOf(data.Incident.Summary), URL: href(data.Incident.URL)}
	}
	if s.id == "" {
		sum := sha256.Sum256(body)
		s.id = hex.EncodeToString(sum[:])
	}
	if s.at.IsZero() || s.at.After(received) { // their clock may be ahead of ours
		s.at = received
	}
	if s.kind == "" {
		return said{}, errors.New("it has no event_type")
	}
	if !isID(s.about.ID) {
		s.about = router.Link{}
	} else {
		s.read(hook.Event.Agent, &data)
	}
	return s, nil
}

// timeOf reads a time; zero where it is none.
func timeOf(text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

// lenient decodes JSON; a field of an odd type is left out.
func lenient(body []byte, v any) error {
	err := json.Unmarshal(body, v)
	if odd := new(json.UnmarshalTypeError); errors.As(err, &odd) && odd.Field != "" {
		return nil
	}
	return err
}

// read finds out what was done. Ours coming back is nothing: PagerDuty names an integration as the one who did what
// the Events API asked for. Were it taken for an act, an acknowledgement that a person takes back at once in Slack
// would come back here and stand again. What neither a person nor an integration did is PagerDuty's own doing: a
// time-out, an automation.
func (s *said) read(agent *reference, data *webhookData) {
	by, ours, itself := "", false, true
	if agent != nil {
		by, ours = line(agent.Summary, maxActor), strings.HasSuffix(agent.Type, "integration_reference")
		itself = !ours && agent.Type != "user_reference" && agent.Type != "user"
	}
	act := func(name string, a router.Act) {
		a.Actor, a.Itself = by, itself
		s.events = append(s.events, router.Event{Source: router.SourcePagerDuty, Name: name, At: s.at, Received: s.received,
			Act: &a})
	}
	switch reason := data.ResolveReason; s.kind {
	case "incident.resolved":
		switch {
		case reason != nil && reason.Type == "merge_resolve_reason":
			// Its alerts go on in another incident, and nobody has resolved anything.
			into := reason.Incident
			if !isID(into.ID) {
				return
			}
			act(router.LinkIncident,
				router.Act{Link: &router.Link{ID: into.ID, Number: numberOf(into.Summary), URL: href(into.URL)}})
		case !ours:
			act(router.Resolve, router.Act{})
		}
	case "incident.acknowledged":
		if !ours {
			act(router.Acknowledge, router.Act{Owner: s.owner})
		}
	case "incident.unacknowledged":
		act(router.Unacknowledge, router.Act{})
	case "incident.reopened":
		act(router.Reopen, router.Act{})
	case "incident.reassigned", "incident.escalated", "incident.delegated":
		act(router.Assign, router.Act{Owner: s.owner})
		if data.Status == "triggered" { // somebody else is notified now: an acknowledgement of before is over
			act(router.Unacknowledge, router.Act{})
		}
	case "incident.annotated":
		if text := line(data.Content, maxNote); text != "" && !strings.HasPrefix(text, noteMark) {
			act(router.Note, router.Act{Text: text})
		}
	case "incident.priority_updated":
		text := "Priority removed"
		if data.Priority != nil && data.Priority.Summary != "" {
			text = "Priority is now " + line(data.Priority.Summary, maxActor)
		}
		act(router.Note, router.Act{Text: text})
	}
}

// isID says whether text has the form of PagerDuty's ids. It becomes part of an address.
func isID(text string) bool {
	return text != "" && len(text) <= 64 && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_' && r != '-'
	})
}

// into returns the incident that this one was merged into, nil if it was not.
func (s *said) into() *router.Link {
	if len(s.events) == 1 && s.events[0].Name == router.LinkIncident {
		return s.events[0].Act.Link
	}
	return nil
}

// names lists people.
func names(people []reference) string {
	var out []string
	for _, one := range people {
		if name := line(one.Summary, maxActor); name != "" {
			out = append(out, name)
		}
	}
	return line(strings.Join(out, ", "), maxName)
}

// summaryNumber is how PagerDuty begins the summary of an incident: "[#1234] Checkout: endpoint error rate".
var summaryNumber = regexp.MustCompile(`^\[#([0-9]{1,18})\]`)

func numberOf(summary string) int64 {
	found := summaryNumber.FindStringSubmatch(summary)
	if found == nil {
		return 0
	}
	n, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// postponed is what waits until the incident was looked up. Of a merge that is the incident which goes on: the other
// has no alerts any more.
func (s *said) postponed() router.Postponed {
	about := s.about.ID
	if into := s.into(); into != nil {
		about = into.ID
	}
	return router.Postponed{About: about, Digest: s.digest(), Received: s.received, Events: s.events}
}

func (s *said) digest() string { return fmt.Sprintf("pagerduty/%s", s.id) }
