package console

import (
	"errors"
	"net/http"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

// forgetTimeout bounds one request to forget: the whole journal is looked through.
const forgetTimeout = 10 * time.Minute

// found says what was held of a person, and which messages services still have.
type found struct {
	Forgotten router.ForgottenCount `json:"forgotten"` // rows that were blanked, by where they are
	Told      []told                `json:"told"`      // messages that were sent: flowbridge does not touch them
}

// told is a message that a service has.
type told struct {
	Notifier string `json:"notifier"`
	Kind     string `json:"kind"`
	Incident *int64 `json:"incident"` // number; null for a notice
	Notice   *int64 `json:"notice"`   // journal position of the event; null for an incident
	Link     string `json:"link"`     // or ""
}

// forget: POST /api/v1/forget {"phone": "..."} or {"user": "..."}. Who it was is written down nowhere.
func (c *Console) forget(r *http.Request, _ httprouter.Params) (int, any, error) {
	var who struct {
		Phone string `json:"phone"`
		User  string `json:"user"`
		By    string `json:"by"`
	}
	if err := decode(r.Body, &who); err != nil {
		if errors.As(err, new(*http.MaxBytesError)) {
			return 0, nil, err
		}
		return 0, nil, refuse(http.StatusBadRequest, `send {"phone": "+1 555 010 0200"} or {"user": "an id"}`)
	}
	p, err := router.NewPerson(who.Phone, who.User)
	if err != nil {
		return 0, nil, refuse(http.StatusBadRequest, "%v", err)
	}
	was, err := c.store.Forget(r.Context(), p)
	if err != nil {
		return 0, nil, err
	}
	caller := callerOf(r)
	actor := caller.actor(who.By)
	result := "nothing was held of them"
	if was.Any() {
		result = "blanked"
	}
	c.keep(r.Context(), c.deed(r, actor, "forget a person", result))
	c.cfg.Logger.Info("a person was forgotten", "found", was.ForgottenCount, "told", len(was.Told), "by", actor, "from", r.RemoteAddr)
	return http.StatusOK, found{Forgotten: was.ForgottenCount, Told: each(was.Told, func(t *router.Told) told {
		return told{Notifier: t.Notifier, Kind: string(t.Kind), Incident: unlessZero(t.Incident), Notice: unlessZero(t.Event), Link: t.Link}
	})}, nil
}
