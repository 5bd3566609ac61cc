package console

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

// Kept is what a Store keeps for those who look back.
type Kept interface {
	// Delivery returns one delivery, ErrNotFound if there is none, and Attempts what is kept of its attempts, oldest first.
	Delivery(ctx context.Context, id int64) (router.Delivery, error)
	Attempts(ctx context.Context, delivery int64) ([]router.Attempt, error)
}

// DeliveryDetail is a delivery with what is kept of its attempts.
type DeliveryDetail struct {
	Delivery
	Log []Attempt `json:"log"` // oldest first; see --keep-attempts
}

// Attempt is one attempt at a delivery, without credentials.
type Attempt struct {
	N        int64      `json:"n"` // from 1 over the life of the delivery
	Revision int64      `json:"revision"`
	At       *time.Time `json:"at"`
	Seconds  float64    `json:"seconds"` // that it took
	Result   string     `json:"result"`  // delivered, cancelled (there was nothing to tell), retried, parked or interrupted
	Status   int        `json:"status"`  // of the last answer, 0 for none
	Error    string     `json:"error"`   // one line, or ""
	ToldBy   *int64     `json:"told_by"` // the delivery that the same message was sent for first: it was a digest; else null
	Calls    []Call     `json:"calls"`   // in their order; the first seven and the last
	More     int        `json:"more"`    // calls before the last that are not kept
}

// Call is one call of a service. What was sent and answered may hold what Meta and people wrote: escape it.
type Call struct {
	Method     string  `json:"method"`
	URL        string  `json:"url"`     // without a query; of a webhook only its host
	Request    string  `json:"request"` // body, up to 16 KB; a form as a JSON object
	Status     int     `json:"status"`  // 0 where there was no answer
	Answer     string  `json:"answer"`  // body, up to 4 KB
	Error      string  `json:"error"`   // of a call without an answer
	Seconds    float64 `json:"seconds"`
	RequestCut bool    `json:"request_cut"` // only the beginning is kept
	AnswerCut  bool    `json:"answer_cut"`
}

// showDelivery: GET /api/v1/deliveries/{id}
func (c *Console) showDelivery(r *http.Request, p httprouter.Params) (int, any, error) {
	id, err := strconv.ParseInt(p.ByName("id"), 10, 64)
	if err != nil || id < 1 {
		return 0, nil, refuse(http.StatusNotFound, "there is no delivery %q", p.ByName("id"))
	}
	d, err := c.store.Delivery(r.Context(), id)
	switch {
	case errors.Is(err, router.ErrNotFound):
		return 0, nil, refuse(http.StatusNotFound, "there is no delivery %d", id)
	case err != nil:
		return 0, nil, err
	}
	attempts, err := c.store.Attempts(r.Context(), id)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, DeliveryDetail{Delivery: newDelivery(&d), Log: each(attempts, newAttempt)}, nil
}

func newAttempt(a *router.Attempt) Attempt {
	return Attempt{
		N: a.N, Revision: a.Revision, At: moment(a.At), Seconds: a.Took.Seconds(), Result: string(a.Result), Status: a.Status, Error: a.Error,
		ToldBy: unlessZero(a.With), Calls: each(a.Calls, newCall), More: a.More,
	}
}

func newCall(c *router.Call) Call {
	return Call{
		Method: c.Method, URL: c.URL, Request: c.Request, Status: c.Status, Answer: c.Answer, Error: c.Error, Seconds: c.Took.Seconds(),
		RequestCut: c.RequestCut, AnswerCut: c.AnswerCut,
	}
}
