package pagerduty

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	pd "github.com/PagerDuty/go-pagerduty"

	"flowbridge/notifiers"
	"flowbridge/router"
)

const (
	// maxRestAnswer bounds what is read of an answer, in bytes: a list of 25 incidents has some 100 KB.
	maxRestAnswer = 4 << 20
	// deniedWait is how long a token that PagerDuty does not take is left alone.
	deniedWait = 5 * time.Minute
	// betweenWait is how long nothing is asked after somebody else has answered for PagerDuty. What was to be looked up
	// waits meanwhile, and no attempt is counted.
	betweenWait = time.Minute
)

// errGone says that PagerDuty has no such thing.
var errGone = errors.New("PagerDuty has no such incident")

// held is an error after which nothing is asked for a while.
type held struct {
	error
	until  time.Time
	denied bool // the token is not taken
}

func (h held) Unwrap() error { return h.error }

// theirs is an incident as PagerDuty's REST API tells it.
type theirs struct {
	link    router.Link
	key     string // "" for what was made from alerts
	owner   string
	service string // id
	made    time.Time
}

// rest asks PagerDuty's REST API, one call at a time.
type rest struct {
	token   router.Secret
	url     string
	timeout time.Duration
	pace    time.Duration // between two calls, at least
	now     func() time.Time
	http    *http.Client
	next    time.Time // no call before
}

// incident returns one incident.
func (r *rest) incident(ctx context.Context, id string) (t theirs, err error) {
	err = r.call(ctx, func(ctx context.Context, c *pd.Client) error {
		found, err := c.GetIncidentWithContext(ctx, id)
		if err == nil {
			t = read(found)
		}
		return err
	})
	if err == nil && t.link.ID == "" { // the library takes {} for an incident
		err = errors.New("PagerDuty answered without an incident")
	}
	return t, err
}

// byKey returns the incidents that are open and were made with a key.
func (r *rest) byKey(ctx context.Context, key string) ([]theirs, error) {
	return r.list(ctx, pd.ListIncidentsOptions{IncidentKey: key})
}

// recent returns the newest incidents that are open, since a time.
func (r *rest) recent(ctx context.Context, since time.Time) ([]theirs, error) {
	return r.list(ctx, pd.ListIncidentsOptions{Since: since.UTC().Format(time.RFC3339), SortBy: "created_at:desc"})
}

func (r *rest) list(ctx context.Context, o pd.ListIncidentsOptions) (list []theirs, err error) {
	o.Limit, o.Statuses = 25, []string{"triggered", "acknowledged"}
	err = r.call(ctx, func(ctx context.Context, c *pd.Client) error {
		found, err := c.ListIncidentsWithContext(ctx, o)
		if err != nil {
			return err
		}
		for i := range found.Incidents {
			if t := read(&found.Incidents[i]); t.link.ID != "" {
				list = append(list, t)
			}
		}
		return nil
	})
	return list, err
}

// alertKeys returns the keys of the alerts that an incident holds.
func (r *rest) alertKeys(ctx context.Context, id string) (keys []string, err error) {
	err = r.call(ctx, func(ctx context.Context, c *pd.Client) error {
		found, err := c.ListIncidentAlertsWithContext(ctx, id, pd.ListIncidentAlertsOptions{Limit: 100})
		if err != nil {
			return err
		}
		for _, a := range found.Alerts {
			keys = append(keys, a.AlertKey)
		}
		return nil
	})
	return keys, err
}

// hasKey says whether a service has an integration with a routing key.
func (r *rest) hasKey(ctx context.Context, service string, key router.Secret) (has bool, err error) {
	if service == "" {
		return false, nil
	}
	err = r.call(ctx, func(ctx context.Context, c *pd.Client) error {
		found, err := c.GetServiceWithContext(ctx, service, &pd.GetServiceOptions{Includes: []string{"integrations"}})
		if err != nil {
			return err
		}
		for _, i := range found.Integrations {
			has = has || i.IntegrationKey == key.Reveal()
		}
		return nil
	})
	return has, err
}

// note writes on an incident, in the name of the user with an e-mail: the one thing that needs more than reading.
func (r *rest) note(ctx context.Context, id, from, text string) error {
	return r.call(ctx, func(ctx context.Context, c *pd.Client) error {
		_, err := c.CreateIncidentNoteWithContext(ctx, id, pd.IncidentNote{Content: text, User: pd.APIObject{Summary: from}})
		return err
	})
}

func read(inc *pd.Incident) theirs {
	if !isID(inc.ID) || inc.Service.ID != "" && !isID(inc.Service.ID) { // they become part of an address
		return theirs{}
	}
	people := make([]reference, len(inc.Assignments))
	for i, a := range inc.Assignments {
		people[i] = reference{Summary: a.Assignee.Summary}
	}
	return theirs{
		link: router.Link{ID: inc.ID, Number: int64(min(inc.IncidentNumber, 1<<62)), URL: href(inc.HTMLURL)},
		key:  inc.IncidentKey, owner: names(people), service: inc.Service.ID, made: timeOf(inc.CreatedAt),
	}
}

// call makes one call and judges by what went over the wire, like send. Until the next it waits for its turn.
func (r *rest) call(ctx context.Context, do func(context.Context, *pd.Client) error) error {
	if wait := r.next.Sub(r.now()); wait > 0 && !router.Sleep(ctx, wait) {
		return ctx.Err()
	}
	r.next = r.now().Add(r.pace)
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	router.ExchangeOf(ctx).Hide(r.token)
	rec := &recorder{http: r.http, most: maxRestAnswer}
	client := pd.NewClient(r.token.Reveal(), pd.WithAPIEndpoint(r.url))
	client.HTTPClient = rec
	err := do(ctx, client)
	switch {
	case !rec.called:
		return hidden{text: scrub(fmt.Sprint(err), r.token), cause: err}
	case rec.err != nil:
		return unanswered(rec.err, r.token)
	}
	return r.judge(rec, err)
}

// judge says what an answer means. That there is no such incident, or that the token may not, must be said in the REST
// API's own form: a proxy on the way answers so too.
func (r *rest) judge(rec *recorder, err error) error {
	code := strings.TrimSpace(fmt.Sprintf("%d %s", rec.status, http.StatusText(rec.status)))
	said, own := restWords(rec.body, r.token)
	failed := fmt.Errorf("the REST API of PagerDuty answered %s: %s", code, cmp.Or(said, "no words"))
	switch s := rec.status; {
	case s/100 == 2 && err == nil:
		return nil
	case s/100 == 2:
		return errors.New("the REST API of PagerDuty gave an answer that cannot be read: check PAGERDUTY_API_URL")
	case s == http.StatusTooManyRequests:
		wait, named := notifiers.RetryAfter(rec.header, r.now())
		if !named {
			wait = busyWait
		}
		return held{error: failed, until: r.now().Add(wait)}
	case s/100 == 5, s == http.StatusRequestTimeout:
		return failed
	case !own:
		between := &notifiers.Between{Service: service, Said: code,
			Hint: "check the proxy or firewall on the way, and PAGERDUTY_API_URL"}
		return held{error: between, until: r.now().Add(betweenWait)}
	case s == http.StatusNotFound:
		return errGone
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		return held{error: failed, until: r.now().Add(deniedWait), denied: true}
	}
	return failed
}

// restWords reads what the REST API says of an error, without the token. own says that it is in the form of that API:
// {"error": {"code": 2100, "message": "Not Found", "errors": [...]}}.
func restWords(body []byte, token router.Secret) (said string, own bool) {
	var answer struct {
		Error struct {
			Message string          `json:"message"`
			Errors  json.RawMessage `json:"errors"` // a list, or a text
		} `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return "", false
	}
	var list []string
	if json.Unmarshal(answer.Error.Errors, &list) != nil {
		var one string
		_ = json.Unmarshal(answer.Error.Errors, &one)
		list = append(list, one)
	}
	said = line(scrub(cmp.Or(strings.Join(list, "; "), answer.Error.Message), token), maxWords)
	return said, said != ""
}
