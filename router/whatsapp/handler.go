// Package whatsapp speaks Meta's webhook protocol: it answers the handshake, verifies signatures and turns
// posts into events. What the events mean is left to package router, keeping them to the journal.
package whatsapp

import (
	"bytes"
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
)

// Journal keeps events.
type Journal interface {
	// Append stores events and returns once they are on disk; stored counts those that are no repeats.
	// router.ErrBusy says that too many wait, any other error that storage failed; nothing was stored then.
	Append(ctx context.Context, events []router.Event) (stored int, err error)
}

// Config is what a Handler may be told.
type Config struct {
	// AppSecrets are the Meta app's secrets; a post signed with any of them is good. Required.
	AppSecrets []router.Secret
	// AppSecretsNow returns those in force; it is asked for each post, since they may be replaced. Default: AppSecrets.
	AppSecretsNow func() []router.Secret
	// VerifyToken is the word that Meta repeats in its handshake. Required.
	VerifyToken router.Secret
	// VerifyTokenNow returns the one in force; it is asked for each handshake. Default: VerifyToken.
	VerifyTokenNow func() router.Secret
	// WantsField says whether rules ask for what people write or who they are: for filled forms under
	// router.MessagesField, for one of router.ChatFields by its name. It is asked for each post. Default: never.
	WantsField func(field string) bool
	// Wants says so of one event under a field that is asked for. Default: all of them are wanted.
	Wants func(e *router.Event) bool
	// MaxBody bounds a post, in bytes. Default: 3 MiB, Meta's own limit.
	MaxBody int64
	// Forward is the URL of the receiver that had the callback URL before: every verified post is passed on to it as
	// it came, and Meta gets its status once our part is on disk. Default: nobody.
	Forward string
	// ForwardTimeout bounds how long that receiver may take. Default: 8 s.
	ForwardTimeout time.Duration
	// ForwardAtOnce is how many posts may wait for it; Meta is asked to repeat what comes then. Default: 128.
	ForwardAtOnce int
	// Seen is told what Meta did, and when it was no good. It is called within a request: it must be quick. Default:
	// nobody is.
	Seen func(what router.SightKind, detail string)
	// Took is told of each post once it is answered. It is called within a request: it must be quick. Default: nobody is.
	Took func(p Post)
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger gets what a person should look at. Default: none.
	Logger *slog.Logger
	// Registerer gets the metrics. Default: none are kept.
	Registerer prometheus.Registerer
}

// Handler answers Meta.
type Handler struct {
	cfg     Config
	journal Journal
	keyed   atomic.Pointer[keyed] // for the secrets that were in force last
	metrics *metrics
	forward *forwarder // nil where nothing is passed on

	wrongSignature, wrongToken, notForwarded, unstored, foreign router.LogLimiter // for logging them
}

// storeTimeout bounds how long a post waits for its events to be stored. Meta has given up by then.
const storeTimeout = 10 * time.Second

// New returns a Handler that keeps events in j.
func New(cfg Config, j Journal) (*Handler, error) {
	if len(cfg.AppSecrets) == 0 {
		return nil, errors.New("no app secret: set META_APP_SECRET")
	}
	for i, s := range cfg.AppSecrets {
		if strings.TrimSpace(s.Reveal()) == "" {
			return nil, fmt.Errorf("app secret %d of %d is empty: check the commas in META_APP_SECRET", i+1, len(cfg.AppSecrets))
		}
	}
	if strings.TrimSpace(cfg.VerifyToken.Reveal()) == "" {
		return nil, errors.New("no verify token: set META_VERIFY_TOKEN")
	}
	cfg.MaxBody = cmp.Or(cfg.MaxBody, 3<<20)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.AppSecretsNow == nil {
		cfg.AppSecretsNow = func() []router.Secret { return cfg.AppSecrets }
	}
	if cfg.VerifyTokenNow == nil {
		cfg.VerifyTokenNow = func() router.Secret { return cfg.VerifyToken }
	}
	if cfg.Wants == nil {
		cfg.Wants = func(*router.Event) bool { return true }
	}
	if cfg.Seen == nil {
		cfg.Seen = func(router.SightKind, string) {}
	}
	if cfg.Took == nil {
		cfg.Took = func(Post) {}
	}
	forward, err := newForwarder(&cfg)
	if err != nil {
		return nil, err
	}
	return &Handler{cfg: cfg, journal: j, forward: forward, metrics: newMetrics(cfg.Registerer)}, nil
}

// Verify answers Meta's handshake: 200 and the challenge as it came if the token is right, else 403.
func (h *Handler) Verify(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	token, want := query.Get("hub.verify_token"), h.cfg.VerifyTokenNow()
	if query.Get("hub.mode") != "subscribe" || want == "" ||
		subtle.ConstantTimeCompare([]byte(token), []byte(want.Reveal())) != 1 {
		if token != "" && h.wrongToken.Allow(h.cfg.Now()) {
			h.cfg.Logger.Warn(
				"a handshake was refused: if Meta sent it, META_VERIFY_TOKEN is not the verify token in the app's dashboard")
		}
		http.Error(w, "forbidden", http.StatusForbidden)
		return
	}
	if !strings.HasPrefix(r.UserAgent(), "flowbridge") { // our own doctor
		h.cfg.Seen(router.SightHandshake, "")
	}
	// As text, never as HTML: the challenge is whatever the caller wrote.
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = io.WriteString(w, query.Get("hub.challenge"))
}

// Receive takes a post: 200 once its events are on disk, 401 without a good signature, 413 when it is too
// large, 503 with Retry-After when it could not be stored, or there was no room for it. Nothing else is refused: Meta
// repeats for seven days whatever is not answered 200, so what cannot be read is stored as it came. Where posts are
// passed on, the receiver's status takes the place of 200.
func (h *Handler) Receive(w http.ResponseWriter, r *http.Request) {
	started := h.cfg.Now()
	post := Post{At: started, Delay: -1}
	result := h.receive(w, r, &post)
	h.metrics.posts[result].Inc()
	switch result {
	case accepted, notForwarded:
		post.Good = true
		if !post.Drill { // it shows nothing of Meta
			h.cfg.Seen(router.SightPost, "")
		}
	case unsigned:
		h.cfg.Seen(router.SightBadPost, router.FromHost(r.RemoteAddr))
	}
	post.Took = h.cfg.Now().Sub(started)
	h.metrics.took.Observe(post.Took.Seconds())
	h.cfg.Took(post)
}

// Post is what became of a post.
type Post struct {
	At       time.Time     // when it arrived
	Took     time.Duration // to answer
	Good     bool          // well signed, and stored
	Unsigned bool          // its signature has the form of Meta's, and is wrong
	Drill    bool          // made by a bridge that tries itself
	Delay    time.Duration // from the time that its newest event names until it arrived; -1 where it holds no event
}

// DrillMark is a key in the value of a drill's change. Within what people write its quotes would be escaped, so that it
// can be looked for in a body that was not read.
const DrillMark = "flowbridge_drill"

func isDrill(body []byte) bool { return bytes.Contains(body, []byte(`"`+DrillMark+`":`)) }

func (h *Handler) receive(w http.ResponseWriter, r *http.Request, post *Post) result {
	if r.ContentLength > h.cfg.MaxBody {
		return h.unread(w, router.BodyTooLarge(h.cfg.MaxBody))
	}
	mac, ok := parseSignature(r.Header.Values(signatureHeader))
	if !ok {
		return h.unsigned(w)
	}
	body, fault := router.ReadBody(w, r, h.cfg.MaxBody)
	if fault != nil {
		return h.unread(w, fault)
	}
	if !signedByAny(h.signers(), body, mac) {
		post.Unsigned = true
		return h.unsigned(w)
	}
	post.Drill = isDrill(body)
	if h.forward == nil || post.Drill { // the receiver behind knows nothing of drills
		if err := h.keep(r.Context(), body, post); err != nil {
			return h.notStored(w, err)
		}
		return accepted
	}
	answer := h.forward.start(r, body)
	err := h.keep(r.Context(), body, post)
	out := <-answer
	h.forward.results[out.result].Inc()
	if err != nil {
		return h.notStored(w, err) // whatever the receiver said: Meta has to repeat it
	}
	return h.relay(w, out)
}

// keep returns once what a post holds is on disk.
func (h *Handler) keep(ctx context.Context, body []byte, post *Post) error {
	received := post.At
	wants := Wants(h.cfg.WantsField)
	if ignored, ok := onlyIgnored(body, wants); ok {
		h.metrics.ignore(ignored)
		return nil
	}
	events, ignored := Decode(body, received.UTC(), wants)
	events = slices.DeleteFunc(events, func(e router.Event) bool {
		if !router.IsPersonal(e.Name) || h.cfg.Wants(&e) {
			return false
		}
		ignored.add(cmp.Or(router.ChatField(e.Field), fieldMessages), 1)
		return true
	})
	h.metrics.ignore(ignored)
	if ignored[OtherProduct] > 0 && h.foreign.Allow(received) {
		h.cfg.Logger.Warn(
			"posts of another product of Meta's are let go: take the callback URL out of that product's webhooks, or leave it",
			"object", objectOf(body), "entries", ignored[OtherProduct])
	}
	if len(events) == 0 {
		return nil
	}
	post.Delay = received.Sub(slices.MaxFunc(events, func(a, b router.Event) int { return a.At.Compare(b.At) }).At)
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	stored, err := h.journal.Append(ctx, events)
	if err != nil {
		return err
	}
	h.metrics.repeats.Add(float64(len(events) - stored))
	h.tell(events)
	return nil
}

// tell counts what was stored, and logs once if some of it could not be read.
func (h *Handler) tell(events []router.Event) {
	unreadable, why := 0, ""
	for i := range events {
		h.metrics.event(events[i].Name)
		if events[i].Unreadable != "" {
			unreadable, why = unreadable+1, cmp.Or(why, events[i].Unreadable)
		}
	}
	if unreadable > 0 {
		h.cfg.Logger.Warn("a well-signed post could not be read; it is kept as it came: GET /api/v1/events?state=unreadable",
			"why", why, "parts", unreadable, "events", len(events))
	}
}

// unread answers a post whose body was not read.
func (h *Handler) unread(w http.ResponseWriter, fault *router.BodyFault) result {
	fault.Answer(w)
	switch fault.Status {
	case http.StatusRequestEntityTooLarge:
		return large
	case http.StatusServiceUnavailable:
		return busy
	}
	return broken
}

func (h *Handler) unsigned(w http.ResponseWriter) result {
	if h.wrongSignature.Allow(h.cfg.Now()) {
		h.cfg.Logger.Warn("a post without a good signature was refused: if Meta sent it, META_APP_SECRET is not this app's")
	}
	http.Error(w, "bad or missing "+signatureHeader, http.StatusUnauthorized)
	return unsigned
}

func (h *Handler) notStored(w http.ResponseWriter, err error) result {
	result, wait := failed, "10"
	switch {
	case errors.Is(err, router.ErrBusy):
		result, wait = busy, "1"
	case errors.Is(err, context.Canceled): // the caller went away, or we are stopping: Meta will repeat it
		result = broken
	}
	if result != broken && h.unstored.Allow(h.cfg.Now()) {
		h.cfg.Logger.Error("a post could not be stored; Meta will repeat it", "error", err)
	}
	w.Header().Set("Retry-After", wait)
	http.Error(w, "not stored, try again", http.StatusServiceUnavailable)
	return result
}
