package console

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

const (
	// defaultLimit and maxLimit bound the lists of events and deliveries.
	defaultLimit, maxLimit = 100, 500
	// maxActor bounds the name of a person, in runes: it is shown on cards.
	maxActor = 100
)

// listIncidents: GET /api/v1/incidents?state=&flow=&limit=
func (c *Console) listIncidents(r *http.Request, _ httprouter.Params) (int, any, error) {
	q := r.URL.Query()
	state, err := oneOf(q, router.IncidentOpen, router.IncidentAcknowledged, router.IncidentResolved)
	if err != nil {
		return 0, nil, err
	}
	limit, err := limitOf(q, maxLimit)
	if err != nil {
		return 0, nil, err
	}
	list, err := c.store.Incidents(r.Context(), router.IncidentFilter{State: state, Flow: q.Get("flow"), Limit: limit})
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]any{"incidents": each(list, newIncident)}, nil
}

// showIncident: GET /api/v1/incidents/{number}
func (c *Console) showIncident(r *http.Request, p httprouter.Params) (int, any, error) {
	inc, err := c.incident(r, p)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, newIncident(&inc), nil
}

// acknowledge: POST /api/v1/incidents/{number}/acknowledge
func (c *Console) acknowledge(r *http.Request, p httprouter.Params) (int, any, error) {
	return c.act(r, p, router.Acknowledge)
}

// resolve: POST /api/v1/incidents/{number}/resolve
func (c *Console) resolve(r *http.Request, p httprouter.Params) (int, any, error) {
	return c.act(r, p, router.Resolve)
}

// queued says that what was asked for is written down and will happen; false, that it was so already.
type queued struct {
	Incident int64 `json:"incident,omitempty"`
	Delivery int64 `json:"delivery,omitempty"`
	Queued   bool  `json:"queued"`
}

// act writes to the journal what a person does to an incident.
func (c *Console) act(r *http.Request, p httprouter.Params, name string) (int, any, error) {
	actor, err := actorOf(r.Body)
	if err != nil {
		return 0, nil, err
	}
	inc, err := c.incident(r, p)
	switch {
	case err != nil:
		return 0, nil, err
	case inc.State == router.IncidentResolved:
		return 0, nil, refuse(http.StatusConflict, "%s is resolved already", inc.Name())
	case inc.State == router.IncidentAcknowledged && name == router.Acknowledge:
		return http.StatusOK, queued{Incident: inc.Number}, nil
	}
	now := c.cfg.Now().UTC()
	_, err = c.store.Append(r.Context(), []router.Event{{
		Digest: "console/" + rand.Text(), // what a person does twice was meant twice
		Source: router.SourceConsole, Name: name, At: now, Received: now, WABA: inc.WABA, Flow: inc.Flow,
		Act: &router.Act{Incident: inc.Number, Actor: actor},
	}})
	if err != nil {
		return 0, nil, err
	}
	c.cfg.Logger.Info("a person acts", "act", name, "incident", inc.Name(), "by", actor, "from", r.RemoteAddr)
	return http.StatusAccepted, queued{Incident: inc.Number, Queued: true}, nil
}

// listEvents: GET /api/v1/events?state=&limit=
func (c *Console) listEvents(r *http.Request, _ httprouter.Params) (int, any, error) {
	q := r.URL.Query()
	state, err := oneOf(q, router.EventWaiting, router.EventFolded, router.EventUnreadable)
	if err != nil {
		return 0, nil, err
	}
	limit, err := limitOf(q, defaultLimit)
	if err != nil {
		return 0, nil, err
	}
	list, err := c.store.Events(r.Context(), state, limit)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]any{"events": each(list, newEvent)}, nil
}

// listDeliveries: GET /api/v1/deliveries?state=&limit=
func (c *Console) listDeliveries(r *http.Request, _ httprouter.Params) (int, any, error) {
	q := r.URL.Query()
	state, err := oneOf(q, router.DeliveryWaiting, router.DeliveryDelivered, router.DeliveryParked, router.DeliveryCancelled)
	if err != nil {
		return 0, nil, err
	}
	limit, err := limitOf(q, defaultLimit)
	if err != nil {
		return 0, nil, err
	}
	list, err := c.store.Deliveries(r.Context(), state, limit)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]any{"deliveries": each(list, newDelivery)}, nil
}

// retryDelivery: POST /api/v1/deliveries/{id}/retry
func (c *Console) retryDelivery(r *http.Request, p httprouter.Params) (int, any, error) {
	id, err := strconv.ParseInt(p.ByName("id"), 10, 64)
	if err != nil || id < 1 {
		return 0, nil, refuse(http.StatusNotFound, "there is no delivery %q", p.ByName("id"))
	}
	err = c.store.RetryDelivery(r.Context(), id)
	switch {
	case errors.Is(err, router.ErrNotFound):
		return 0, nil, refuse(http.StatusNotFound, "there is no delivery %d", id)
	case err != nil:
		return 0, nil, err
	}
	c.cfg.Logger.Info("a person asks for a retry", "delivery", id, "from", r.RemoteAddr)
	return http.StatusAccepted, queued{Delivery: id, Queued: true}, nil
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

// actorOf reads who acts from an optional body {"by": "..."}.
func actorOf(body io.Reader) (string, error) {
	var by struct {
		By string `json:"by"`
	}
	dec := json.NewDecoder(body)
	dec.DisallowUnknownFields()
	err := dec.Decode(&by)
	if err == nil {
		_, err = dec.Token()
	}
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return "", err
	case !errors.Is(err, io.EOF): // of the first, nothing was sent; of the second, nothing follows
		return "", refuse(http.StatusBadRequest, `send no body, or {"by": "your name"}`)
	}
	name := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, by.By)
	runes := []rune(strings.Join(strings.Fields(name), " "))
	return string(runes[:min(len(runes), maxActor)]), nil
}

// oneOf reads ?state=; empty means all.
func oneOf[S ~string](q url.Values, allowed ...S) (S, error) {
	state := S(q.Get("state"))
	if state == "" || slices.Contains(allowed, state) {
		return state, nil
	}
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	return "", refuse(http.StatusBadRequest, "unknown state %q: use %s or %s", state,
		strings.Join(words[:len(words)-1], ", "), words[len(words)-1])
}

// limitOf reads ?limit=, from 1 to maxLimit.
func limitOf(q url.Values, otherwise int) (int, error) {
	if !q.Has("limit") {
		return otherwise, nil
	}
	n, err := strconv.Atoi(q.Get("limit"))
	if err != nil || n < 1 || n > maxLimit {
		return 0, refuse(http.StatusBadRequest, "limit is a number from 1 to %d, not %q", maxLimit, q.Get("limit"))
	}
	return n, nil
}
