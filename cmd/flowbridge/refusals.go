package main

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
)

// refusalReason is why the public or the admin address turned somebody away before the request was judged.
type refusalReason string

const (
	refusedNoRoom      refusalReason = "no_room"
	refusedDisplaced   refusalReason = "displaced"
	refusedSlow        refusalReason = "too_slow"
	refusedTooLarge    refusalReason = "too_large"
	refusedConnection  refusalReason = "connections"
	refusedAdmin       refusalReason = "admin_connections"
	refusedAccept      refusalReason = "accept_failed"
	refusedCertificate refusalReason = "client_certificate"
)

// refusalWords say it in the log.
var refusalWords = map[refusalReason]string{
	refusedNoRoom:     "a post was told to come back: too many bytes of large posts arrive at a time",
	refusedDisplaced:  "a post that arrived slowly was told to come back, so that others have room",
	refusedSlow:       "a post was ended: its body arrived too slowly",
	refusedTooLarge:   "a post was refused: it is too large",
	refusedConnection: "a connection to --listen was closed to make room for another one: as many are open as it may have",
	refusedAdmin:      "a connection to --admin was closed to make room for another one: as many are open as it may have",
	refusedAccept: "a connection could not be accepted; this is tried again: if files are at their limit (ulimit " +
		"-n), raise it",
	refusedCertificate: "a webhook was refused for its client certificate: if Meta sent it, --tls-client-ca is not " +
		"Meta's CA, or a proxy stands between",
}

// refusals counts them, and logs one of each reason now and then: strangers must not fill the log.
type refusals struct {
	counted  *prometheus.CounterVec
	logger   *slog.Logger
	limiters map[refusalReason]*router.LogLimiter
}

func newRefusals(logger *slog.Logger) *refusals {
	r := &refusals{
		logger: logger, limiters: map[refusalReason]*router.LogLimiter{},
		counted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flowbridge_refused_total", Help: "Requests and connections turned away before they were judged, by reason.",
		}, []string{"reason"}),
	}
	for reason := range refusalWords {
		r.limiters[reason] = &router.LogLimiter{}
		r.counted.WithLabelValues(string(reason))
	}
	return r
}

// note counts a refusal. detail is the route, or the error.
func (r *refusals) note(reason refusalReason, detail string) {
	r.counted.WithLabelValues(string(reason)).Inc()
	if r.limiters[reason].Allow(time.Now()) {
		r.logger.Warn(refusalWords[reason], "reason", string(reason), "detail", detail)
	}
}

// busy notes that a body was not read to its end and returns how to answer: to Meta, Slack and PagerDuty alike a 503
// means that it is worth coming back, while PagerDuty would give a 4xx up.
func (r *refusals) busy(reason refusalReason, b *body) *router.BodyFault {
	r.note(reason, b.route)
	words := "too much arrives at once, try again"
	if reason == refusedSlow {
		words = "the body arrived too slowly, try again"
	}
	return &router.BodyFault{Status: http.StatusServiceUnavailable, Words: words, RetryAfter: "1"}
}
