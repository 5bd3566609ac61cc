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
	c.keep(r.Context(), c.auditEntry(r, actor, "forget a person", result))
	c.cfg.Logger.Info("a person was forgotten", "found", was.ForgottenCount, "told", len(was.Told), "by", actor, "from",
		r.RemoteAddr)
	return http.StatusOK, NewForgotten(was), nil
}

// NewForgotten shows what was held of a person.
func NewForgotten(was router.Found) Forgotten {
	return Forgotten{Forgotten: was.ForgottenCount, Told: each(was.Told, func(t *router.Told) Told {
		about, notice := unlessZero(t.Incident), unlessZero(t.Event)
		return Told{Notifier: t.Notifier, Kind: string(t.Kind), Incident: about, Notice: notice, Link: t.Link}
	})}
}
