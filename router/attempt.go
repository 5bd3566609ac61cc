package router

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Attempt is one attempt at a delivery, with what was sent and answered, word for word and without credentials.
type Attempt struct {
	Delivery int64
	N        int64 // from 1 over the life of the delivery
	Revision int64 // that was tried
	At       time.Time
	Took     time.Duration
	Result   AttemptResult
	Status   int    // HTTP status of the last answer; 0 for none
	Error    string // in words for people; "" on success
	Calls    []Call // in their order; MaxCalls at most
	More     int    // calls between the last two that are not kept
	// With, if not 0, is the delivery under which the same attempt is kept with its calls: one digest told of both.
	With int64
}

// AttemptResult is how an attempt ended.
type AttemptResult string

// How an attempt ends.
const (
	AttemptDelivered   AttemptResult = "delivered"
	AttemptCancelled   AttemptResult = "cancelled"   // there was nothing to tell
	AttemptRetried     AttemptResult = "retried"     // it failed, or the service named a later time
	AttemptParked      AttemptResult = "parked"      // the service refused
	AttemptInterrupted AttemptResult = "interrupted" // we ended it ourselves
)

// ResultOf says how an attempt ended, by what the queue is told. now is when it ended.
func (r *Result) ResultOf(now time.Time) AttemptResult {
	switch {
	case r.Interrupted && !r.NextAt.After(now):
		return AttemptInterrupted
	case r.State == DeliveryDelivered:
		return AttemptDelivered
	case r.State == DeliveryCancelled:
		return AttemptCancelled
	case r.State == DeliveryParked:
		return AttemptParked
	}
	return AttemptRetried
}

// Call is one call of a service, as it went over the wire. Headers are not kept: they hold credentials.
type Call struct {
	Method  string
	URL     string // without a query; of a receiver of webhooks only the host
	Request string // the body; a form as a JSON object of its fields
	Status  int    // 0 where there was no answer
	Answer  string // its body
	Error   string // of a call without an answer
	Took    time.Duration
	// RequestCut and AnswerCut say that only the beginning is kept.
	RequestCut, AnswerCut bool
}

// Bounds of what is kept of one attempt.
const (
	MaxCalls   = 8
	MaxRequest = 16 << 10 // bytes of one request
	MaxAnswer  = 4 << 10  // bytes of one answer
	// CutMargin is how much more than that is read before secrets are blanked: one that the bound cuts in two would not be
	// found. No secret is longer.
	CutMargin = 4 << 10
)

// Exchange keeps what one attempt sends and is answered. Whoever makes calls adds them; whoever knows a secret names
// it. Its methods may be called from several goroutines, and on nil, where nothing is kept.
type Exchange struct {
	mu      sync.Mutex
	secrets []Secret
	hider   *hider // for secrets; nil: to be made
	calls   []Call
	more    int
}

type exchangeKey struct{}

// WithExchange returns a context under which calls are kept in e.
func WithExchange(ctx context.Context, e *Exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, e)
}

// ExchangeOf returns the exchange of a context, nil for none.
func ExchangeOf(ctx context.Context) *Exchange {
	e, _ := ctx.Value(exchangeKey{}).(*Exchange)
	return e
}

// Hide names secrets: dots stand for them in all calls that are added from then on.
func (e *Exchange) Hide(secrets ...Secret) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range secrets {
		if s != "" && !containsSecret(e.secrets, s) {
			e.secrets, e.hider = append(e.secrets, s), nil
		}
	}
}

func containsSecret(list []Secret, s Secret) bool {
	for _, other := range list {
		if other == s {
			return true
		}
	}
	return false
}

// Add keeps a call. Secrets are blanked before its texts are cut.
func (e *Exchange) Add(c Call) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.hider == nil {
		e.hider = newHider(e.secrets)
	}
	c.URL, c.Error = e.hider.hide(c.URL), e.hider.hide(c.Error)
	var cut bool
	c.Request, cut = cutAt(e.hider.hide(c.Request), MaxRequest)
	c.RequestCut = c.RequestCut || cut
	c.Answer, cut = cutAt(e.hider.hide(c.Answer), MaxAnswer)
	c.AnswerCut = c.AnswerCut || cut
	if len(e.calls) < MaxCalls {
		e.calls = append(e.calls, c)
		return
	}
	e.calls[MaxCalls-1] = c // the last says how it ended
	e.more++
}

// Calls returns what was kept, and how many calls before the last were not.
func (e *Exchange) Calls() (calls []Call, more int) {
	if e == nil {
		return nil, 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls, e.more
}

// cutAt cuts a text after so many bytes.
func cutAt(text string, most int) (string, bool) {
	if len(text) <= most {
		return text, false
	}
	return strings.ToValidUTF8(text[:most], ""), true
}

// hider puts dots in the place of secrets, however a body writes them: plain, in JSON, in a form.
type hider struct {
	forms []string
	dots  *strings.Replacer
}

func newHider(secrets []Secret) *hider {
	h := &hider{}
	var pairs []string
	for _, s := range secrets {
		plain := s.Reveal()
		forms := []string{plain, url.QueryEscape(plain), url.PathEscape(plain), strings.ReplaceAll(plain, "/", `\/`)}
		if quoted, err := json.Marshal(plain); err == nil {
			forms = append(forms, string(quoted[1:len(quoted)-1]))
		}
		for _, form := range forms {
			if !slices.Contains(h.forms, form) {
				h.forms, pairs = append(h.forms, form), append(pairs, form, s.String())
			}
		}
	}
	h.dots = strings.NewReplacer(pairs...)
	return h
}

// hide returns a text without secrets. To look for them first costs little beside going through it byte by byte.
func (h *hider) hide(text string) string {
	if slices.ContainsFunc(h.forms, func(form string) bool { return strings.Contains(text, form) }) {
		return h.dots.Replace(text)
	}
	return text
}
