package console

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

// showIncident: GET /api/v1/incidents/{number}
func (c *Console) showIncident(r *http.Request, p httprouter.Params) (int, any, error) {
	inc, err := c.incident(r, p)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, newIncident(&inc), nil
}

// showEvent: GET /api/v1/events/{seq}
func (c *Console) showEvent(r *http.Request, p httprouter.Params) (int, any, error) {
	e, err := c.event(r, p)
	if err != nil {
		return 0, nil, err
	}
	pairs, err := c.store.Pairs(r.Context(), e.Seq, e.Seq)
	if err != nil {
		return 0, nil, err
	}
	detail := newEventDetail(&e, pairs[e.Seq])
	detail.Event = c.named(detail.Event)
	return http.StatusOK, detail, nil
}

// named gives an event the names of its flow and its account.
func (c *Console) named(e Event) Event {
	e.AccountName = c.cfg.AccountName(e.WABA)
	if e.Flow != "" {
		e.FlowName = c.cfg.FlowName(e.Flow)
	}
	return e
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
	err = c.store.RetryDelivery(r.Context(), id, c.auditEntry(r, actor, fmt.Sprintf("retry delivery %d", id),
		"it is tried at once"))
	switch {
	case errors.Is(err, router.ErrNotFound):
		return 0, nil, refuse(http.StatusNotFound, "there is no delivery %d", id)
	case err != nil:
		return 0, nil, err
	}
	c.cfg.Logger.Info("a person asks for a retry", "delivery", id, "by", actor, "from", r.RemoteAddr)
	return http.StatusAccepted, Acted{Delivery: id, Queued: true}, nil
}
