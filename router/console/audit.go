package console

import (
	"context"
	"net/http"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

// auditTimeout bounds how long the audit may take to be written: whoever acted may have gone by then.
const auditTimeout = 5 * time.Second

// auditEntry is what the audit says of a request.
func (c *Console) auditEntry(r *http.Request, actor, what, result string) router.AuditEntry {
	who := callerOf(r)
	return router.AuditEntry{At: c.cfg.Now().UTC(), Who: actor, Verified: who.verified, From: who.from, What: what,
		Result: result}
}

// keep writes to the audit what was done. It is done by then: what cannot be written there is in the log.
func (c *Console) keep(ctx context.Context, e router.AuditEntry) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	if err := c.store.Audit(ctx, e); err != nil {
		c.cfg.Logger.Error("the audit could not be written: keep this line", "error", err,
			"at", e.At, "who", e.Who, "verified", e.Verified, "from", e.From, "what", e.What, "result", e.Result)
	}
}

// listAudit: GET /api/v1/audit?before=&limit=
func (c *Console) listAudit(r *http.Request, _ httprouter.Params) (int, any, error) {
	q, err := readQuery(r)
	if err != nil {
		return 0, nil, err
	}
	before, limit := q.before("the id of an entry"), q.limit(defaultLimit)
	if err := q.err(); err != nil {
		return 0, nil, err
	}
	list, err := c.store.AuditEntries(r.Context(), before, limit)
	if err != nil {
		return 0, nil, err
	}
	var next *int64 // the before of the next page; null where there is none
	if len(list) == limit && list[limit-1].ID > 1 {
		next = &list[limit-1].ID
	}
	return http.StatusOK, map[string]any{"next": next, "audit": each(list, func(e *router.AuditEntry) AuditEntry {
		return AuditEntry{ID: e.ID, At: moment(e.At), Who: e.Who, Verified: e.Verified, From: e.From, What: e.What,
			Result: e.Result, Event: unlessZero(e.Event)}
	})}, nil
}
