package console

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

// listIncidents: GET /api/v1/incidents, see incidentFilter.
func (c *Console) listIncidents(r *http.Request, _ httprouter.Params) (int, any, error) {
	q, err := readQuery(r)
	if err != nil {
		return 0, nil, err
	}
	f, err := c.incidentFilter(q, maxLimit)
	if err != nil {
		return 0, nil, err
	}
	list, err := c.store.Incidents(r.Context(), f)
	if err != nil {
		return 0, nil, notThere(err, f.Before)
	}
	return http.StatusOK, map[string]any{
		"incidents": each(list, newIncident),
		"next":      nextOf(list, f.Limit, func(i *router.IncidentDetail) int64 { return i.Number }),
	}, nil
}

// notThere says so of the incident from which a page is to go on.
func notThere(err error, before int64) error {
	if errors.Is(err, router.ErrNotFound) {
		return refuse(http.StatusBadRequest, "before: there is no %s: begin at the first page", router.IncidentName(before))
	}
	return err
}

// nextOf returns what the next page is asked for with, nil where there is none.
func nextOf[T, K any](list []T, limit int, key func(*T) K) *K {
	if len(list) < limit || len(list) == 0 {
		return nil
	}
	return new(key(&list[len(list)-1]))
}

// listEvents: GET /api/v1/events, see eventFilter.
func (c *Console) listEvents(r *http.Request, _ httprouter.Params) (int, any, error) {
	q, err := readQuery(r)
	if err != nil {
		return 0, nil, err
	}
	f, err := c.eventFilter(q)
	if err != nil {
		return 0, nil, err
	}
	list, next, err := c.store.FindEvents(r.Context(), f)
	if err != nil {
		return 0, nil, err
	}
	pairs := map[int64][]int64{}
	if len(list) > 0 {
		if pairs, err = c.store.Pairs(r.Context(), list[len(list)-1].Seq, list[0].Seq); err != nil {
			return 0, nil, err
		}
	}
	events := each(list, func(e *router.JournalEvent) Event { return c.named(newEvent(e, pairs[e.Seq])) })
	return http.StatusOK, map[string]any{"events": events, "next": unlessZero(next)}, nil
}

// listDeliveries: GET /api/v1/deliveries, see deliveryFilter.
func (c *Console) listDeliveries(r *http.Request, _ httprouter.Params) (int, any, error) {
	q, err := readQuery(r)
	if err != nil {
		return 0, nil, err
	}
	f, err := c.deliveryFilter(q)
	if err != nil {
		return 0, nil, err
	}
	list, err := c.store.FindDeliveries(r.Context(), f)
	if err != nil {
		return 0, nil, err
	}
	about, err := c.store.About(r.Context(), list)
	if err != nil {
		return 0, nil, err
	}
	listed := func(d *router.Delivery) ListedDelivery { return newListedDelivery(d, about[d.ID]) }
	return http.StatusOK, map[string]any{
		"deliveries": each(list, listed), "next": nextOf(list, f.Limit, func(d *router.Delivery) int64 { return d.ID }),
	}, nil
}

// retryTimeout bounds a retry of all that a filter names: a hundred deliveries take a few milliseconds.
const retryTimeout = 30 * time.Second

const retryUsage = `send {"notifier": "...", "state": "parked", "q": "..."}: each may be left out; state is parked, or waiting for what failed and waits`

// retryDeliveries: POST /api/v1/deliveries/retry
func (c *Console) retryDeliveries(r *http.Request, _ httprouter.Params) (int, any, error) {
	var asked RetryRequest
	if err := decode(r.Body, &asked); err != nil {
		if errors.As(err, new(*http.MaxBytesError)) {
			return 0, nil, err
		}
		return 0, nil, refuse(http.StatusBadRequest, "the body cannot be read (%s): %s",
			strings.TrimPrefix(err.Error(), "json: "), retryUsage)
	}
	f := router.DeliveryFilter{State: router.DeliveryState(asked.State), Notifier: strings.TrimSpace(asked.Notifier),
		Query: strings.TrimSpace(asked.Query)}
	switch f.State {
	case "":
		f.State = router.DeliveryParked
	case router.DeliveryParked, router.DeliveryWaiting:
	default:
		return 0, nil, refuse(http.StatusBadRequest, "unknown state %q: %s", bounded(asked.State, maxActor), retryUsage)
	}
	if len(f.Notifier) > maxQuery || len(f.Query) > maxQuery {
		return 0, nil, refuse(http.StatusBadRequest, "notifier and q have at most %d bytes", maxQuery)
	}
	who := callerOf(r)
	actor, what := who.actor(asked.By), retryWords(&f)
	n, err := c.store.RetryDeliveries(r.Context(), f, func(n int) router.AuditEntry {
		return c.auditEntry(r, actor, what, fmt.Sprintf("%d are tried at once", n))
	})
	if err != nil {
		return 0, nil, err
	}
	c.cfg.Logger.Info("a person asks for retries", "what", what, "deliveries", n, "by", actor, "from", r.RemoteAddr)
	return http.StatusAccepted, Retried{Retried: n}, nil
}

// retryWords says in a line what is tried again.
func retryWords(f *router.DeliveryFilter) string {
	words := "retry all " + string(f.State) + " deliveries"
	if f.Notifier != "" {
		words += " to " + router.OneLine(f.Notifier)
	}
	if f.Query != "" {
		words += fmt.Sprintf(" whose error has %q", router.OneLine(f.Query))
	}
	return words
}

// listSilences: GET /api/v1/silences?state=&all=&before=&limit=. Those that hold come first, and of the others those
// that have ended in the last days. With all=true it is every one, newest first.
func (c *Console) listSilences(r *http.Request, _ httprouter.Params) (int, any, error) {
	q, err := readQuery(r)
	if err != nil {
		return 0, nil, err
	}
	state := oneOf(q, "state", silenceStates...)
	every, before, limit := q.yes("all"), q.text("before"), q.limit(maxLimit)
	if err := q.err(); err != nil {
		return 0, nil, err
	}
	var page []Silence
	var next *string
	if every != nil && *every {
		page, next, err = c.everySilence(r, state, before, limit)
	} else {
		page, next, err = c.recentSilences(r, state, before, limit)
	}
	if err != nil {
		return 0, nil, err
	}
	if err := c.cover(r, page); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]any{"silences": page, "next": next}, nil
}

// recentSilences returns a page of those that hold, which come first, and of those that ended lately.
func (c *Console) recentSilences(r *http.Request, state, before string,
	limit int) (list []Silence, next *string, err error) {
	known, err := c.silences(r)
	if err != nil {
		return nil, nil, err
	}
	now := c.cfg.Now()
	list = each(known, func(s *router.Silence) Silence { return c.namedSilence(newSilence(s, now)) })
	list = slices.DeleteFunc(list, func(s Silence) bool {
		return state != "" && s.State != state || s.EndedAt != nil && now.Sub(*s.EndedAt) > recently
	})
	slices.SortStableFunc(list, func(a, b Silence) int {
		return slices.Index(silenceStates, a.State) - slices.Index(silenceStates, b.State)
	})
	if before != "" {
		at := slices.IndexFunc(list, func(s Silence) bool { return s.ID == before })
		if at < 0 {
			return nil, nil, refuse(http.StatusBadRequest, "before: there is no silence %q here: begin at the first page",
				before)
		}
		list = list[at+1:]
	}
	if len(list) > limit {
		list = list[:limit]
		next = &list[limit-1].ID
	}
	return list, next, nil
}

// everySilence returns a page of all silences, newest first; with a state, of those of the page that have it.
func (c *Console) everySilence(r *http.Request, state, before string,
	limit int) (list []Silence, next *string, err error) {
	var known []router.Silence
	if before == "" {
		known, err = c.store.AllSilences(r.Context(), limit)
	} else {
		known, err = c.store.SilencesBefore(r.Context(), before, limit)
	}
	if err != nil {
		return nil, nil, err
	}
	now := c.cfg.Now()
	next = nextOf(known, limit, func(s *router.Silence) string { return s.ID })
	list = each(known, func(s *router.Silence) Silence { return c.namedSilence(newSilence(s, now)) })
	return slices.DeleteFunc(list, func(s Silence) bool { return state != "" && s.State != state }), next, nil
}
