package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

// defaultLimit and maxLimit bound the lists of events and deliveries.
const defaultLimit, maxLimit = 100, 500

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
	flow, err := c.flowID(q.Get("flow"))
	if err != nil {
		return 0, nil, refuse(http.StatusBadRequest, "flow: %v", err)
	}
	list, err := c.store.Incidents(r.Context(), router.IncidentFilter{State: state, Flow: flow, Limit: limit})
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

// listEvents: GET /api/v1/events?state=&limit=&digest=
func (c *Console) listEvents(r *http.Request, _ httprouter.Params) (int, any, error) {
	q := r.URL.Query()
	state, err := oneOf(q, router.EventWaiting, router.EventFolded, router.EventUnreadable, router.EventFailed)
	if err != nil {
		return 0, nil, err
	}
	limit, err := limitOf(q, defaultLimit)
	if err != nil {
		return 0, nil, err
	}
	digest := q.Get("digest")
	if digest != "" {
		limit = maxLimit // it is looked for among the newest
	}
	list, err := c.store.Events(r.Context(), state, limit)
	if digest != "" {
		list = slices.DeleteFunc(list, func(e router.JournalEvent) bool { return e.Digest != digest })
	}
	if err != nil || len(list) == 0 {
		return http.StatusOK, map[string]any{"events": []Event{}}, err
	}
	pairs, err := c.store.Pairs(r.Context(), list[len(list)-1].Seq, list[0].Seq)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]any{"events": each(list, func(e *router.JournalEvent) Event { return c.named(newEvent(e, pairs[e.Seq])) })}, nil
}

// showEvent: GET /api/v1/events/{seq}
func (c *Console) showEvent(r *http.Request, p httprouter.Params) (int, any, error) {
	seq, err := strconv.ParseInt(p.ByName("seq"), 10, 64)
	if err != nil || seq < 1 {
		return 0, nil, refuse(http.StatusNotFound, "there is no event %q", p.ByName("seq"))
	}
	e, err := c.store.Event(r.Context(), seq)
	switch {
	case errors.Is(err, router.ErrNotFound):
		return 0, nil, refuse(http.StatusNotFound, "there is no event %d", seq)
	case err != nil:
		return 0, nil, err
	}
	pairs, err := c.store.Pairs(r.Context(), seq, seq)
	if err != nil {
		return 0, nil, err
	}
	detail := newEventDetail(&e, pairs[seq])
	detail.Event = c.named(detail.Event)
	return http.StatusOK, detail, nil
}

// named gives an event the name of its flow.
func (c *Console) named(e Event) Event {
	if e.Flow != "" {
		e.FlowName = c.cfg.FlowName(e.Flow)
	}
	return e
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
	actor, err := actorOf(r)
	if err != nil {
		return 0, nil, err
	}
	err = c.store.RetryDelivery(r.Context(), id, c.auditEntry(r, actor, fmt.Sprintf("retry delivery %d", id), "it is tried at once"))
	switch {
	case errors.Is(err, router.ErrNotFound):
		return 0, nil, refuse(http.StatusNotFound, "there is no delivery %d", id)
	case err != nil:
		return 0, nil, err
	}
	c.cfg.Logger.Info("a person asks for a retry", "delivery", id, "by", actor, "from", r.RemoteAddr)
	return http.StatusAccepted, Acted{Delivery: id, Queued: true}, nil
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
