package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

// maxActor bounds the name of a person, in runes: it is shown on cards.
const maxActor = 100

// acts is what a person can do to an incident: POST /api/v1/incidents/{number}/{word}, and what the journal calls it.
var acts = map[string]string{
	"acknowledge":   router.Acknowledge,
	"unacknowledge": router.Unacknowledge,
	"resolve":       router.Resolve,
	"reopen":        router.Reopen,
	"page":          router.PageNow,
}

// act writes to the journal what a person does to an incident.
func (c *Console) act(name string) handle {
	return func(r *http.Request, p httprouter.Params) (int, any, error) {
		actor, err := actorOf(r)
		if err != nil {
			return 0, nil, err
		}
		inc, err := c.incident(r, p)
		if err != nil {
			return 0, nil, err
		}
		needed, refused := needed(&inc, name)
		if refused != nil || !needed {
			// What waits to be folded comes first, and may be what makes it possible.
			waits, err := c.actsWait(r, inc.Number)
			if err != nil {
				return 0, nil, err
			}
			if !waits {
				return http.StatusOK, Acted{Incident: inc.Number}, refused
			}
		}
		came, err := c.say(r, router.Event{Name: name, WABA: inc.WABA, Flow: inc.Flow,
			Act: &router.Act{Incident: inc.Number, Actor: actor}})
		if err != nil {
			return 0, nil, err
		}
		c.cfg.Logger.Info("a person acts", "act", name, "incident", inc.Name(), "by", actor, "from", r.RemoteAddr)
		return http.StatusAccepted, Acted{Incident: inc.Number, Queued: true, Result: came}, nil
	}
}

// actsWait says whether an act on an incident is in the journal, and the fold has not come to it yet.
func (c *Console) actsWait(r *http.Request, number int64) (bool, error) {
	waiting, err := c.store.Events(r.Context(), router.EventWaiting, maxLimit)
	return slices.ContainsFunc(waiting, func(e router.JournalEvent) bool {
		return e.Act != nil &&
			e.Act.Incident == number
	}), err
}

// say writes to the journal what a person wants. It returns once that is folded, so that whoever looks next sees it, or
// else after foldWait: it is on disk in any case.
func (c *Console) say(r *http.Request, e router.Event) (Result, error) {
	return c.sayAll(r, []router.Event{e})
}

// sayAll is say for several at a time: all of them are written, or none, and the wait is for the last.
func (c *Console) sayAll(r *http.Request, events []router.Event) (Result, error) {
	now, who := c.cfg.Now().UTC(), callerOf(r)
	for i := range events {
		e := &events[i]
		e.Digest = cmp.Or(e.Digest, "console/"+rand.Text()) // what a person does twice was meant twice
		e.Source, e.At, e.Received = router.SourceConsole, now, now
		e.Act.Verified, e.Act.From = who.verified, who.from
	}
	if _, err := c.store.Append(r.Context(), events); err != nil {
		return Result{}, err
	}
	return c.await(r.Context(), &events[len(events)-1]), nil
}

const (
	// foldWait bounds how long a person waits for the fold. It is a few milliseconds away, unless much stands before the
	// act or nobody folds.
	foldWait = 2 * time.Second
	// foldFirst and foldSlowest are how often there is a look.
	foldFirst, foldSlowest = 2 * time.Millisecond, 50 * time.Millisecond
)

// await returns what came of an event once that shows.
func (c *Console) await(ctx context.Context, e *router.Event) Result {
	ctx, cancel := context.WithTimeout(ctx, foldWait)
	defer cancel()
	silence := e.Name == router.AddSilence || e.Name == router.EndSilence
	came := Result{Note: "it is stored, and will show once what stands before it in the journal has been worked off"}
	for wait := foldFirst; router.Sleep(ctx, wait); wait = min(2*wait, foldSlowest) {
		p, err := c.store.EventProgress(ctx, e.Digest)
		switch {
		case err != nil: // it is stored, and may well be folded: no reason to say that it failed
			return came
		case p.Folded && silence && p.Due:
			came = Result{Outcome: p.Outcome, Note: "the incidents that it covers will show it soon"}
		case p.Folded:
			return Result{Outcome: p.Outcome}
		}
	}
	return came
}

// needed says whether an act would change something: false where it is so already, an error where it cannot be. The
// fold decides in the end, and a person learns here what it would say.
func needed(inc *router.IncidentDetail, name string) (bool, error) {
	switch why := inc.May(name); why {
	case router.MayHappen:
		return true, nil
	case router.AlreadyAcknowledged, router.NotAcknowledged, router.NotResolved:
		return false, nil
	default:
		return false, refuse(http.StatusConflict, "%s", whyNot(inc, why))
	}
}

// whyNot says why an act cannot be.
func whyNot(inc *router.IncidentDetail, why router.Refusal) string {
	switch why {
	case router.AlreadyResolved:
		return inc.Name() + " is resolved already"
	case router.Recovered:
		return inc.Name() + " cannot be reopened: " + router.Reporter(inc.Event) + " reports it no more"
	case router.NobodyToPage:
		return "nobody can be paged for " + inc.Name() + ": its rules name no notifier that pages"
	case router.AllPaged:
		if paged, failed := whoWasPaged(inc); len(failed) == 0 {
			return "all who can be paged for " + inc.Name() + " have been: " + strings.Join(paged, ", ")
		}
		return "nobody is left to page for " + inc.Name() + ": " + allPaged(inc)
	}
	return inc.Name() + ": " + string(why)
}

// incident loads the one that the path names, as 42 or INC-42.
func (c *Console) incident(r *http.Request, p httprouter.Params) (inc router.IncidentDetail, err error) {
	name := p.ByName("number")
	digits := name
	if len(name) > 4 && strings.EqualFold(name[:4], "INC-") {
		digits = name[4:]
	}
	number, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || number < 1 {
		return inc, refuse(http.StatusNotFound, "there is no incident %q", name)
	}
	inc, err = c.store.Incident(r.Context(), number)
	if errors.Is(err, router.ErrNotFound) {
		return inc, refuse(http.StatusNotFound, "there is no %s", router.IncidentName(number))
	}
	return inc, err
}

// actorOf says who acts. An optional body {"by": "..."} gives a name.
func actorOf(r *http.Request) (string, error) {
	var by struct {
		By string `json:"by"`
	}
	if err := decode(r.Body, &by); err != nil {
		if errors.As(err, new(*http.MaxBytesError)) {
			return "", err
		}
		return "", refuse(http.StatusBadRequest, `send no body, or {"by": "your name"}`)
	}
	who := callerOf(r)
	return who.actor(by.By), nil
}

// decode reads one JSON value, with no key that v has not, and nothing behind it. No body at all leaves v as it is.
func decode(body io.Reader, v any) error {
	dec := json.NewDecoder(body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	if _, err := dec.Token(); errors.Is(err, io.EOF) {
		return nil
	} else if errors.As(err, new(*http.MaxBytesError)) {
		return err
	}
	return errors.New("there is more than one JSON value")
}

// bounded cuts what a person wrote to one line of at most so many runes. A name is cut without an ellipsis.
func bounded(s string, limit int) string {
	runes := []rune(router.OneLine(s))
	return string(runes[:min(len(runes), limit)])
}
