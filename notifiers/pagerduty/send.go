package pagerduty

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	pd "github.com/PagerDuty/go-pagerduty"

	"flowbridge/notifiers"
	"flowbridge/router"
)

const (
	service = "PagerDuty"
	// maxAnswer bounds what is read of an answer, in bytes; PagerDuty's have a few hundred.
	maxAnswer = 64 << 10
	// maxWords bounds what is kept of PagerDuty's words, in characters.
	maxWords = 300
	// busyWait is how long a 429 without Retry-After is waited out. PagerDuty counts calls by the minute.
	// Source: "Events API v2 overview", response codes and retry logic.
	busyWait = time.Minute

	keyHint = "the integration key has 32 letters and digits; copy it from the service's Integrations → Events API v2, " +
		"correct routing_key and retry this delivery"
	euHint  = "; an account of the EU region also needs PAGERDUTY_EVENTS_URL=https://events.eu.pagerduty.com"
	urlHint = "check the proxy or firewall on the way, and PAGERDUTY_EVENTS_URL"
)

// enqueue sends an alert event. See send for what it returns.
func (p *Notifier) enqueue(ctx context.Context, key router.Secret, event *pd.V2Event) (may bool, err error) {
	return p.send(ctx, key, func(ctx context.Context, client *pd.Client) error {
		keyed := *event
		keyed.RoutingKey = key.Reveal()
		_, err := client.ManageEventWithContext(ctx, &keyed)
		return err
	})
}

// change sends a change event.
func (p *Notifier) change(ctx context.Context, key router.Secret, event pd.ChangeEvent) (may bool, err error) {
	return p.send(ctx, key, func(ctx context.Context, client *pd.Client) error {
		event.RoutingKey = key.Reveal()
		_, err := client.CreateChangeEventWithContext(ctx, event)
		return err
	})
}

// send makes one call and judges by what went over the wire: the library's own error has lost PagerDuty's
// words, the headers and the cause. may says whether PagerDuty has done what was asked, or may have.
func (p *Notifier) send(ctx context.Context, key router.Secret,
	call func(context.Context, *pd.Client) error) (may bool, err error) {
	if key == "" {
		return false, &notifiers.Refused{Service: service, Said: "no routing key is set", Hint: keyHint}
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	router.ExchangeOf(ctx).Hide(key)
	rec := &recorder{http: p.http}
	client := pd.NewClient("", pd.WithV2EventsAPIEndpoint(p.cfg.EventsURL))
	client.HTTPClient = rec
	err = call(ctx, client)
	switch {
	case !rec.called:
		return false, hidden{text: scrub("the event could not be written: "+fmt.Sprint(err), key), cause: err}
	case rec.err != nil:
		return !notifiers.NeverSent(rec.err), unanswered(rec.err, key)
	}
	return p.judge(rec, key)
}

// judge says what an answer means. PagerDuty documents 202, 400, 429 and 5xx, the first two in a form of its own. Any
// other answer is not PagerDuty's: it is tried again for as long as something stands in the way.
func (p *Notifier) judge(rec *recorder, key router.Secret) (may bool, err error) {
	code := strings.TrimSpace(fmt.Sprintf("%d %s", rec.status, http.StatusText(rec.status)))
	answer := words(rec.body, key)
	switch s := rec.status; {
	case s/100 == 2 && answer.success:
		return true, nil
	case s == http.StatusBadRequest && answer.refusal:
		refused := &notifiers.Refused{Service: service, Said: answer.said}
		if strings.Contains(strings.ReplaceAll(strings.ToLower(answer.said), "_", " "), "routing key") {
			refused.Hint, refused.Gone = keyHint+euHint, true
		}
		return false, refused
	case s == http.StatusTooManyRequests, s == http.StatusRequestTimeout, s/100 == 5:
		err = errors.New(strings.TrimSuffix("PagerDuty answered "+code+": "+answer.said, ": "))
		wait, named := notifiers.RetryAfter(rec.header, p.cfg.Now())
		if !named && s == http.StatusTooManyRequests {
			wait, named = busyWait, true
		}
		if named {
			err = &notifiers.Later{Err: err, At: p.cfg.Now().Add(wait)}
		}
		return s != http.StatusTooManyRequests, err
	}
	// Any web page answers 200, and some proxies 202: whether the event went through is unknown. A proxy that says no
	// or points elsewhere has not passed it on.
	may = rec.status/100 != 3 && rec.status/100 != 4
	if answer.said != "" {
		code += " (" + answer.said + ")"
	}
	return may, &notifiers.Between{Service: service, Said: code, Hint: urlHint}
}

// answer is what a body says, where it is in PagerDuty's form.
type answer struct {
	success bool   // the event was taken
	refusal bool   // the event was refused, with words
	said    string // in one line, without the key; also of a body of another form
}

// words reads a body. An event that is refused is answered {"status": "invalid event", "message": "Event object is
// invalid", "errors": [...]}; one that is taken has the status "success". Source: "Send an alert event", responses.
func words(body []byte, key router.Secret) answer {
	var a struct {
		Status  string   `json:"status"`
		Message string   `json:"message"`
		Errors  []string `json:"errors"`
	}
	err := json.Unmarshal(body, &a) // a page of somebody else says nothing, nor does a field of an odd type
	why := cmp.Or(strings.Join(a.Errors, "; "), a.Message)
	return answer{
		success: err == nil && a.Status == "success",
		refusal: err == nil && a.Status != "" && a.Status != "success" && strings.TrimSpace(why) != "",
		said:    line(scrub(cmp.Or(why, a.Status), key), maxWords),
	}
}

// unanswered puts a fault of the network in words. Its chain stays whole.
func unanswered(err error, key router.Secret) error {
	return hidden{text: "PagerDuty did not answer: " + line(scrub(notifiers.Unanswered(err), key), maxWords), cause: err}
}

// hidden is an error whose cause may quote a secret: only text is shown.
type hidden struct {
	text  string
	cause error
}

func (e hidden) Error() string { return e.text }
func (e hidden) Unwrap() error { return e.cause }

// scrub replaces a routing key: PagerDuty, or a proxy on the way, may quote what was sent.
func scrub(text string, key router.Secret) string {
	return strings.ReplaceAll(text, key.Reveal(), key.String())
}

// recorder keeps what went over the wire in one call.
type recorder struct {
	http *http.Client
	most int64 // bytes that are kept of an answer; 0 for maxAnswer

	called bool
	status int
	header http.Header
	body   []byte // as far as it came
	err    error  // of a call without an answer
}

// Do makes the call. The library reads an answer to its end, however long it is: it gets the bounded copy.
func (r *recorder) Do(req *http.Request) (*http.Response, error) {
	r.called = true
	resp, err := r.http.Do(req)
	if err != nil {
		r.err = err
		return nil, err
	}
	defer resp.Body.Close()
	r.status, r.header = resp.StatusCode, resp.Header
	// a body that breaks off is one without words
	r.body, _ = io.ReadAll(io.LimitReader(resp.Body, cmp.Or(r.most, maxAnswer)))
	resp.Body = io.NopCloser(bytes.NewReader(r.body))
	return resp, nil
}
