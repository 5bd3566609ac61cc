package pagerduty

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
)

// signatureHeader carries HMAC-SHA256 over the raw body, in hex, one for each secret that the subscription has.
// Source: PagerDuty, "Verifying signatures".
const (
	signatureHeader = "X-PagerDuty-Signature"
	signaturePrefix = "v1="
	webhookHeader   = "X-Webhook-Id"
)

// storeTimeout bounds how long an answer waits for the disk. PagerDuty waits for 5 s.
const storeTimeout = 4 * time.Second

// WebhookStore keeps what PagerDuty says, and knows where it belongs. Errors are faults of storage, but for
// router.ErrBusy.
type WebhookStore interface {
	// Append writes events to the journal, on disk before it returns; repeats of a digest are dropped.
	Append(ctx context.Context, events []router.Event) (stored int, err error)
	// PlacesByLink returns the places that PagerDuty calls by an id.
	PlacesByLink(ctx context.Context, kind router.Kind, id string) ([]router.Place, error)
	// PlacesByKey returns the places that PagerDuty was told to find by one of the keys, the newest incident first.
	PlacesByKey(ctx context.Context, kind router.Kind, keys ...string) ([]router.Place, error)
	// Postpone keeps what was said until its incident was looked up; ErrBusy if too much waits.
	Postpone(ctx context.Context, p router.Postponed) error
	// Waits says whether something that was said of an incident of theirs waits already.
	Waits(ctx context.Context, about string) (bool, error)
}

// WebhookConfig is what a Webhooks may be told. A zero field takes its default.
type WebhookConfig struct {
	// Secrets of the webhook subscriptions; a post signed with any of them is good. Required.
	Secrets []router.Secret
	// SecretsNow returns those in force; it is asked for each post, since they may be replaced. Default: Secrets.
	SecretsNow func() []router.Secret
	// Lookups says that a Linker runs: what is said of incidents that we do not know is kept for it. Default: it is
	// let go.
	Lookups bool
	// MaxBody bounds a post, in bytes; PagerDuty's have some thousand. Default: 1 MiB.
	MaxBody int64
	// Seen is told what PagerDuty did, and when it was no good. It is called within a request: it must be quick. Default:
	// nobody is.
	Seen func(what router.SightKind, detail string)
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger gets what a person should look at. Default: none.
	Logger *slog.Logger
	// Registerer gets the metrics. Default: none are kept.
	Registerer prometheus.Registerer
}

// Webhooks takes what PagerDuty says: V3 webhooks. What people do there goes to the journal like all else, and what
// it comes to is the router's. An answer is given once that is on disk: 202 for whatever is well signed, known or
// not, since three refusals in a row would end the subscription for a day; 401 for what is not; 503 when nothing
// can be stored, or too much arrives at once, which PagerDuty repeats for two days, in order.
type Webhooks struct {
	cfg     WebhookConfig
	store   WebhookStore
	counted *prometheus.CounterVec
	strange router.LogLimiter // for logging bad signatures
}

// NewWebhooks returns the handler of POST /webhooks/pagerduty.
func NewWebhooks(cfg WebhookConfig, s WebhookStore) (*Webhooks, error) {
	if len(cfg.Secrets) == 0 {
		return nil, errors.New("no webhook secret: set PAGERDUTY_WEBHOOK_SECRET")
	}
	for i, secret := range cfg.Secrets {
		if strings.TrimSpace(secret.Reveal()) == "" {
			return nil, fmt.Errorf("webhook secret %d of %d is empty: check the commas in PAGERDUTY_WEBHOOK_SECRET", i+1,
				len(cfg.Secrets))
		}
	}
	cfg.MaxBody = cmp.Or(cfg.MaxBody, 1<<20)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.SecretsNow == nil {
		cfg.SecretsNow = func() []router.Secret { return cfg.Secrets }
	}
	if cfg.Seen == nil {
		cfg.Seen = func(router.SightKind, string) {}
	}
	w := &Webhooks{cfg: cfg, store: s, counted: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "flowbridge_pagerduty_webhooks_total", Help: "Webhooks of PagerDuty by what became of them."},
		[]string{"result"})}
	for _, r := range []result{refused, broken, crowded, unstored, acted, postponed, nothing, unreadable, foreign} {
		w.counted.WithLabelValues(string(r))
	}
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(w.counted); err != nil {
			return nil, fmt.Errorf("pagerduty: %w", err)
		}
	}
	return w, nil
}

// result is what became of a webhook.
type result string

const (
	refused    result = "refused"        // badly signed, or too large
	broken     result = "broken"         // it did not arrive whole
	crowded    result = "busy"           // too much arrived at that moment: PagerDuty will repeat it
	unstored   result = "storage_failed" // PagerDuty will repeat it
	acted      result = "acted"          // it is in the journal, if it was not before
	postponed  result = "postponed"      // its incident is looked up first
	nothing    result = "nothing"        // it changes nothing for us: a ping, our own act, a type that we do not use
	unreadable result = "unreadable"     // well signed, and no webhook
	foreign    result = "foreign"        // about an incident that is none of ours
)

// ServeHTTP answers one webhook.
func (w *Webhooks) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.counted.WithLabelValues(string(w.serve(rw, r))).Inc()
}

func (w *Webhooks) serve(rw http.ResponseWriter, r *http.Request) result {
	signatures := r.Header.Values(signatureHeader)
	if len(signatures) == 0 {
		return w.unsigned(rw, r)
	}
	body, fault := router.ReadBody(rw, r, w.cfg.MaxBody)
	if fault != nil {
		fault.Answer(rw)
		switch fault.Status {
		case http.StatusRequestEntityTooLarge:
			return refused
		case http.StatusServiceUnavailable:
			return crowded
		}
		return broken
	}
	if !signed(w.cfg.SecretsNow(), signatures, body) {
		return w.unsigned(rw, r)
	}
	w.cfg.Seen(router.SightPagerDutyWebhook, "")
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	became := unreadable
	what, err := readSaid(body, r.Header.Get(webhookHeader), w.cfg.Now().UTC())
	if err != nil {
		w.cfg.Logger.Warn("a well-signed webhook of PagerDuty could not be read, and is let go", "error", err)
		err = nil
	} else {
		became, err = w.take(ctx, &what)
	}
	if err != nil {
		if !errors.Is(err, context.Canceled) { // the caller went away, or we are stopping: PagerDuty will repeat it
			w.cfg.Logger.Error("a webhook of PagerDuty could not be stored; it will be repeated", "error", err)
		}
		rw.Header().Set("Retry-After", "10")
		http.Error(rw, "not stored, try again", http.StatusServiceUnavailable)
		return unstored
	}
	rw.WriteHeader(http.StatusAccepted)
	return became
}

// take writes to the journal what was said, or keeps it until its incident was looked up.
func (w *Webhooks) take(ctx context.Context, s *said) (result, error) {
	switch {
	case s.kind == "pagey.ping":
		w.cfg.Logger.Info("PagerDuty tests its webhook: it arrives, and its signature is good")
		return nothing, nil
	case s.about.ID == "", len(s.events) == 0 && s.about.Number == 0: // neither an act nor a name
		return nothing, nil
	}
	waits := false
	if w.cfg.Lookups { // else what waits will never be placed, and must not hold back what can be
		var err error
		if waits, err = w.store.Waits(ctx, s.postponed().About); err != nil {
			return "", err
		}
	}
	if !waits { // else what was said before comes first
		places, err := w.places(ctx, s)
		if err != nil {
			return "", err
		}
		if len(places) > 0 {
			return w.append(ctx, s, places)
		}
	}
	if len(s.events) == 0 || !w.cfg.Lookups {
		return foreign, nil
	}
	switch err := w.store.Postpone(ctx, s.postponed()); {
	case errors.Is(err, router.ErrBusy):
		w.cfg.Logger.Warn("too many webhooks of PagerDuty wait for their incidents to be looked up; one is let go",
			"incident", s.about.ID, "type", s.kind)
		return foreign, nil
	default:
		return postponed, err
	}
}

// append writes to the journal what was said of places.
func (w *Webhooks) append(ctx context.Context, s *said, places []router.Place) (result, error) {
	events := s.spread(places)
	if into := s.into(); into != nil {
		there, err := w.store.PlacesByLink(ctx, Kind, into.ID)
		if err != nil {
			return "", err
		}
		events = append(events, s.joins(places, there)...)
	}
	if len(events) == 0 {
		return nothing, nil
	}
	_, err := w.store.Append(ctx, events)
	return acted, err
}

// places returns where what was said belongs, without asking anybody.
func (w *Webhooks) places(ctx context.Context, s *said) ([]router.Place, error) {
	linked, err := w.store.PlacesByLink(ctx, Kind, s.about.ID)
	if err != nil || s.key == "" {
		return linked, err
	}
	keyed, err := w.store.PlacesByKey(ctx, Kind, s.key)
	if err != nil {
		return nil, err
	}
	return join(linked, s.choose(keyed, linked)), nil
}

func (w *Webhooks) unsigned(rw http.ResponseWriter, r *http.Request) result {
	w.cfg.Seen(router.SightPagerDutyBad, router.FromHost(r.RemoteAddr))
	if w.strange.Allow(w.cfg.Now()) {
		w.cfg.Logger.Warn(
			"a webhook without a good signature was refused: if PagerDuty sent it, PAGERDUTY_WEBHOOK_SECRET is not its " +
				"subscription's secret")
	}
	http.Error(rw, "bad or missing "+signatureHeader, http.StatusUnauthorized)
	return refused
}

// signed says whether a signature of the header is that of the body with one of the secrets. An empty secret signs
// nothing. All are tried, in a time that does not tell which was near.
func signed(secrets []router.Secret, header []string, body []byte) (ok bool) {
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		mac := hmac.New(sha256.New, []byte(secret.Reveal()))
		mac.Write(body)
		want := mac.Sum(nil)
		for _, list := range header {
			for one := range strings.SplitSeq(list, ",") {
				digits, isV1 := strings.CutPrefix(strings.TrimSpace(one), signaturePrefix)
				got, err := hex.DecodeString(digits)
				ok = isV1 && err == nil && hmac.Equal(want, got) || ok
			}
		}
	}
	return ok
}
