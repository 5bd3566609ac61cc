package console

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

// Kept is what a Store keeps for those who look back.
type Kept interface {
	// Delivery returns one delivery, ErrNotFound if there is none, and Attempts what is kept of its attempts, oldest
	// first.
	Delivery(ctx context.Context, id int64) (router.Delivery, error)
	Attempts(ctx context.Context, delivery int64) ([]router.Attempt, error)
	// RulesVersions returns at most limit versions of the rules, that which was loaded last first, without their texts,
	// and RulesVersion one with its text; ErrNotFound if there is none.
	RulesVersions(ctx context.Context, limit int) ([]router.RulesVersion, error)
	RulesVersion(ctx context.Context, digest string) (router.RulesVersion, error)
	// RuleHits returns what rules did since the day of a time.
	RuleHits(ctx context.Context, from time.Time) ([]router.RuleHits, error)
	// Seen returns what was seen of the other sides, by its name.
	Seen(ctx context.Context) ([]router.Sight, error)
}

// DeliveryDetail is a delivery with what is kept of its attempts.
type DeliveryDetail struct {
	ListedDelivery
	Log []Attempt `json:"log"` // oldest first; see --keep-attempts
}

// Attempt is one attempt at a delivery, without credentials.
type Attempt struct {
	N        int64      `json:"n"` // from 1 over the life of the delivery
	Revision int64      `json:"revision"`
	At       *time.Time `json:"at"`
	Seconds  float64    `json:"seconds"` // that it took
	// delivered, cancelled (there was nothing to tell), retried, parked or interrupted
	Result string `json:"result"`
	Status int    `json:"status"`  // of the last answer, 0 for none
	Error  string `json:"error"`   // one line, or ""
	ToldBy *int64 `json:"told_by"` // the delivery that the same message was sent for first: it was a digest; else null
	Calls  []Call `json:"calls"`   // in their order; the first seven and the last
	More   int    `json:"more"`    // calls before the last that are not kept
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
	d, err := c.delivery(r, p)
	if err != nil {
		return 0, nil, err
	}
	attempts, err := c.store.Attempts(r.Context(), d.ID)
	if err != nil {
		return 0, nil, err
	}
	about, err := c.store.About(r.Context(), []router.Delivery{d})
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, DeliveryDetail{ListedDelivery: newListedDelivery(&d, about[d.ID]),
		Log: each(attempts, newAttempt)}, nil
}

func newAttempt(a *router.Attempt) Attempt {
	return Attempt{
		N: a.N, Revision: a.Revision, At: moment(a.At), Seconds: a.Took.Seconds(), Result: string(a.Result), Status: a.Status,
		Error:  a.Error,
		ToldBy: unlessZero(a.With), Calls: each(a.Calls, newCall), More: a.More,
	}
}

func newCall(c *router.Call) Call {
	return Call{
		Method: c.Method, URL: c.URL, Request: c.Request, Status: c.Status, Answer: c.Answer, Error: c.Error,
		Seconds:    c.Took.Seconds(),
		RequestCut: c.RequestCut, AnswerCut: c.AnswerCut,
	}
}

// RulesVersion is rules as they were once in force.
type RulesVersion struct {
	Digest  string     `json:"digest"`
	FirstAt *time.Time `json:"first_at"`  // when they were first in force
	At      *time.Time `json:"loaded_at"` // when they were loaded last
	By      string     `json:"loaded_by"` // what loaded them last: start or reload
	InForce bool       `json:"in_force"`  // now, in the process that answers
}

// RulesText is a version with its text.
type RulesText struct {
	RulesVersion
	Files []router.RulesFile `json:"files"` // ${} as it is written, and dots in the place of credentials
}

// RuleHits is what a rule did on one day.
type RuleHits struct {
	Day   string     `json:"day"` // 2026-01-02, in UTC
	Rule  string     `json:"rule"`
	Hits  int64      `json:"hits"`    // events that it matched
	Pages int64      `json:"pages"`   // for incidents that it opened
	Last  *time.Time `json:"last_at"` // when it matched last that day
}

// Sight is what was seen of another side.
type Sight struct {
	// What is meta_handshake, meta_post, meta_bad_signature, slack_press, slack_bad_signature, pagerduty_webhook or
	// pagerduty_bad_signature.
	What   string     `json:"what"`
	At     *time.Time `json:"at"`     // when last; null for never. It is written once a minute
	Detail string     `json:"detail"` // for people, or ""
}

func (c *Console) newRulesVersion(v *router.RulesVersion) RulesVersion {
	return RulesVersion{Digest: v.Digest, FirstAt: moment(v.First), At: moment(v.Loaded), By: v.By,
		InForce: v.Digest == c.cfg.RulesNow()}
}

// listRules: GET /api/v1/rules?limit=&days=
func (c *Console) listRules(r *http.Request, _ httprouter.Params) (int, any, error) {
	q, err := readQuery(r)
	if err != nil {
		return 0, nil, err
	}
	limit, days := q.limit(defaultLimit), q.days(30)
	if err := q.err(); err != nil {
		return 0, nil, err
	}
	list, err := c.store.RulesVersions(r.Context(), limit)
	if err != nil {
		return 0, nil, err
	}
	hits, err := c.store.RuleHits(r.Context(), c.cfg.Now().AddDate(0, 0, 1-days))
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]any{
		"in_force": c.cfg.RulesNow(),
		"versions": each(list, c.newRulesVersion),
		"hits": each(hits, func(h *router.RuleHits) RuleHits {
			return RuleHits{Day: h.Day.UTC().Format(time.DateOnly), Rule: h.Rule, Hits: h.Hits, Pages: h.Pages,
				Last: moment(h.Last)}
		}),
	}, nil
}

// showRules: GET /api/v1/rules/{digest}
func (c *Console) showRules(r *http.Request, p httprouter.Params) (int, any, error) {
	v, err := c.store.RulesVersion(r.Context(), p.ByName("digest"))
	switch {
	case errors.Is(err, router.ErrNotFound):
		return 0, nil, refuse(http.StatusNotFound, "no rules are kept as %q", p.ByName("digest"))
	case err != nil:
		return 0, nil, err
	}
	return http.StatusOK, RulesText{RulesVersion: c.newRulesVersion(&v),
		Files: append([]router.RulesFile{}, v.Files...)}, nil
}

// listSeen: GET /api/v1/seen
func (c *Console) listSeen(r *http.Request, _ httprouter.Params) (int, any, error) {
	list, err := c.store.Seen(r.Context())
	if err != nil {
		return 0, nil, err
	}
	at := map[router.SightKind]router.Sight{}
	for _, one := range list {
		at[one.What] = one
	}
	return http.StatusOK, map[string]any{"seen": each(router.SightKinds(), func(what *router.SightKind) Sight {
		return Sight{What: string(*what), At: moment(at[*what].At), Detail: at[*what].Detail}
	})}, nil
}
