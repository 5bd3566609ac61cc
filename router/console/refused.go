package console

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
)

// Why a request is refused before anybody looks at what it wants.
const (
	refusedHost   = "host"
	refusedWrong  = "wrong_token"
	refusedNone   = "no_token"
	refusedView   = "view_token"
	refusedSite   = "cross_site"
	refusedHeader = "untrusted_header" // not refused: the header is as good as not there
)

// refusals counts what is refused, and tells the log of it now and then.
type refusals struct {
	counted  *prometheus.CounterVec
	logger   *slog.Logger
	now      func() time.Time
	limiters map[string]*router.LogLimiter
}

func newRefusals(logger *slog.Logger, now func() time.Time) *refusals {
	f := &refusals{logger: logger, now: now, limiters: map[string]*router.LogLimiter{},
		counted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flowbridge_admin_refused_total", Help: "Requests that the admin address refused, by reason.",
		}, []string{"reason"})}
	for _, reason := range []string{refusedHost, refusedWrong, refusedNone, refusedView, refusedSite, refusedHeader} {
		f.counted.WithLabelValues(reason)
		f.limiters[reason] = &router.LogLimiter{}
	}
	return f
}

// note takes in one. Who gives no token at all is mostly somebody who forgot it, and is told so.
func (f *refusals) note(reason string, args ...any) {
	f.counted.WithLabelValues(reason).Inc()
	if reason != refusedNone && f.limiters[reason].Allow(f.now()) {
		f.logger.Warn(map[string]string{
			refusedHost: "a request to the admin address names a host that is not known: name it in --public-url if people " +
				"are to use it",
			refusedWrong: "a wrong token was given at the admin address",
			refusedView:  "somebody who may only look wanted to act",
			refusedSite:  "a page of another site wanted to act at the admin address",
			refusedHeader: "a header that says who is signed in was ignored: it is not of a trusted proxy, or stands there " +
				"twice",
		}[reason], args...)
	}
}

const (
	// wrongTokenWait is how long an answer to a wrong token takes.
	wrongTokenWait = 500 * time.Millisecond
	// wrongTokensWait bounds how many wait so at a time; more are told at once to come back.
	wrongTokensWait = 32
	// wrongTokensEvery is how often the audit tells of wrong tokens, at most, and wrongTokensFrom of how many addresses.
	wrongTokensEvery = time.Minute
	wrongTokensFrom  = 5
)

// wrongTokens slows down who tries tokens, without holding up who has the right one, and sums them up for the audit.
type wrongTokens struct {
	slots chan struct{}

	mu      sync.Mutex
	times   int
	from    []string
	others  bool // there were more addresses than that
	written time.Time
}

func newWrongTokens() *wrongTokens { return &wrongTokens{slots: make(chan struct{}, wrongTokensWait)} }

// slow waits; false if too many do.
func (t *wrongTokens) slow(ctx context.Context) bool {
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
		router.Sleep(ctx, wrongTokenWait)
		return true
	default:
		return false
	}
}

// add takes in one.
func (t *wrongTokens) add(from string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.times++
	switch {
	case slices.Contains(t.from, from):
	case len(t.from) < wrongTokensFrom:
		t.from = append(t.from, from)
	default:
		t.others = true
	}
}

// take returns what the audit is to be told, if there is anything and it is time.
func (t *wrongTokens) take(now time.Time, last bool) (router.AuditEntry, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.times == 0 || !last && now.Sub(t.written).Abs() < wrongTokensEvery {
		return router.AuditEntry{}, false
	}
	entry := router.AuditEntry{At: now, Who: "somebody", Verified: router.VerifiedNot, From: strings.Join(t.from, ", "),
		Result: "refused",
		What:   fmt.Sprintf("give a wrong token, %d times", t.times)}
	if t.times == 1 {
		entry.What = "give a wrong token"
	}
	if t.others {
		entry.From += " and others"
	}
	t.times, t.from, t.others, t.written = 0, nil, false, now
	return entry, true
}

// auditWrongTokens tells the audit of them, if it is time; last: whatever the time.
func (c *Console) auditWrongTokens(ctx context.Context, last bool) {
	if entry, ok := c.wrong.take(c.cfg.Now(), last); ok {
		c.keep(ctx, entry)
	}
}

// admit says why a request goes no further; nil if it does.
func (c *Console) admit(r *http.Request, who *caller) error {
	if !c.knownHost(r) {
		c.refused.note(refusedHost, "host", bounded(r.Host, maxActor), "from", r.RemoteAddr)
		return refuse(http.StatusMisdirectedRequest,
			"%q is not known here: use localhost, the address that --admin names, or --public-url", bounded(r.Host, maxActor))
	}
	if who.wrong && r.URL.Path != "/healthz" { // a token that was replaced is no reason to end a process that lives
		c.refused.note(refusedWrong, "from", r.RemoteAddr)
		c.wrong.add(who.from)
		c.auditWrongTokens(r.Context(), false)
		if !c.wrong.slow(r.Context()) {
			return refuse(http.StatusTooManyRequests, "too many wrong tokens were given: try again in a second")
		}
	}
	if !strings.HasPrefix(r.URL.Path, "/api/") {
		return nil
	}
	switch {
	case who.may == mayNothing:
		if !who.wrong {
			c.refused.note(refusedNone)
		}
		return refuse(http.StatusUnauthorized, "send the admin token: Authorization: Bearer <FLOWBRIDGE_ADMIN_TOKEN>")
	case who.may == mayLook && r.Method != http.MethodGet && r.Method != http.MethodHead:
		return c.refuseView(r, who, "this token may look, and not act: send that of FLOWBRIDGE_ADMIN_TOKEN")
	}
	return nil
}

// refuseView refuses an act of whoever may only look.
func (c *Console) refuseView(r *http.Request, who *caller, text string) error {
	c.refused.note(refusedView, "from", r.RemoteAddr, "method", r.Method, "path", bounded(r.URL.Path, maxActor))
	c.keep(r.Context(), router.AuditEntry{At: c.cfg.Now(), Who: who.actor(""), Verified: who.verified, From: who.from,
		What: bounded(r.Method+" "+r.URL.Path, maxActor), Result: "refused: the view token may only look"})
	return refuse(http.StatusForbidden, "%s", text)
}
