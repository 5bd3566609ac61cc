package slack

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/slack-go/slack"

	"flowbridge/router"
)

// Journal is what a Receiver reads, and where it writes what people do. Errors are faults of storage, except
// where a method says otherwise.
type Journal interface {
	// Append returns once the events are on disk, and how many were new: a repeat by digest is none. If ctx
	// ends first they may be stored.
	Append(ctx context.Context, events []router.Event) (stored int, err error)
	// Audit keeps what somebody wanted to do and may not.
	Audit(ctx context.Context, entries ...router.AuditEntry) error
	// Incident returns one by number; router.ErrNotFound if there is none.
	Incident(ctx context.Context, number int64) (router.IncidentDetail, error)
	// Incidents returns those that pass the filter, newest first.
	Incidents(ctx context.Context, f router.IncidentFilter) ([]router.IncidentDetail, error)
}

// ReceiverConfig is what a Receiver may be told. A zero field takes its default.
type ReceiverConfig struct {
	// Token is the bot token (xoxb-...): it says which workspace is ours, and who is in a user group. Required.
	Token router.Secret
	// SigningSecret verifies what Slack posts to Actions and Commands. Without it they refuse everything.
	SigningSecret router.Secret
	// AppToken (xapp-...) is for Socket Mode. Without it Run opens no connection. One of the two is required.
	AppToken router.Secret
	// TokenNow, SigningSecretNow and AppTokenNow return those in force; they are asked again and again, since they may be
	// replaced. Default: Token, SigningSecret and AppToken.
	TokenNow, SigningSecretNow, AppTokenNow func() router.Secret
	// APIURL is the address of Slack's Web API. Default: https://slack.com/api/
	APIURL string
	// Allow returns who may act on what a notifier told: ids of users (U...) and of user groups (S...). It is asked for
	// each act; an empty list means everybody in the workspace. Default: everybody.
	Allow func(notifier string) []string
	// Notifiers returns the names of the notifiers of Slack that the rules have now. Their lists together say who may act
	// on an incident that none of them told a channel of. Default: none.
	Notifiers func() []string
	// Seen is told that somebody pressed or wrote something, and of what was badly signed. It is called within a request:
	// it must be quick. Default: nobody is.
	Seen func(what router.SightKind, detail string)
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger gets a line for each thing that a person did, and for what was refused. Default: none.
	Logger *slog.Logger
	// Registerer gets the metrics. Default: none are kept.
	Registerer prometheus.Registerer
}

// Receiver takes what people press and write in Slack, over HTTP or in Socket Mode, and writes it to the journal.
// What becomes of it is left to the router; the cards follow by themselves. Its methods may be called from several
// goroutines.
type Receiver struct {
	cfg      ReceiverConfig
	journal  Journal
	clients  *clients
	people   *people
	hooks    *hooks
	later    chan func(context.Context) // what is done after the answer
	requests chan envelope              // came through the socket, and wait to be worked
	seen     *prometheus.CounterVec
	online   prometheus.Gauge
	recent   digests
	strange  router.LogLimiter // for logging what was refused

	answerIn    time.Duration // all that is done before an answer
	followFirst time.Duration // before the first look at what became of an act
	socketFirst time.Duration // between two connections that did not last
	stopIn      time.Duration // for what was begun when we stop
}

// Bounds of the way in. Slack waits 3 s for an answer.
const (
	answerIn    = 2500 * time.Millisecond
	lookIn      = 1200 * time.Millisecond // of it, asking Slack who somebody is
	maxRequest  = 1 << 20                 // bytes of a request: it holds the card that was pressed
	laterQueue  = 1024                    // things to do after answers: each of many people may have to be told something
	laterAtOnce = 8
	stopIn      = 2 * time.Second
)

// NewReceiver returns a Receiver. It calls nobody; Run must follow for people to be told anything after the answer.
func NewReceiver(cfg ReceiverConfig, j Journal) (*Receiver, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if j == nil {
		return nil, errors.New("slack: no journal")
	}
	u, err := webAPI(cfg.APIURL)
	if err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	api := &clients{
		url: u.String(), http: apiClient(timeout, cfg.Now),
		tokens: func() (bot, app router.Secret) { return cfg.TokenNow(), cfg.AppTokenNow() },
	}
	r := &Receiver{
		cfg: cfg, journal: j, clients: api, people: newPeople(api, cfg.Now),
		hooks: &hooks{client: newClient(timeout), api: u},
		later: make(chan func(context.Context), laterQueue), requests: make(chan envelope, socketQueue),
		answerIn: answerIn, followFirst: followFirst, socketFirst: socketFirst, stopIn: stopIn,
		seen: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flowbridge_slack_requests_total",
			Help: "What came in from people in Slack, by kind and by what became of it."}, []string{"kind", "result"}),
		online: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "flowbridge_slack_socket_connected",
			Help: "1 while a connection to Slack in Socket Mode is up, else 0; there only where one is wanted."}),
	}
	if cfg.Registerer != nil {
		err := cfg.Registerer.Register(r.seen)
		if cfg.AppToken != "" { // else an alert could not tell no connection from none that is wanted
			err = errors.Join(err, cfg.Registerer.Register(r.online))
		}
		if err != nil {
			return nil, fmt.Errorf("slack: %w", err)
		}
	}
	return r, nil
}

// check says which credential is missing, or cannot be what it is given as.
func (cfg ReceiverConfig) check() error {
	switch {
	case cfg.Token == "":
		return errors.New("slack: no bot token, which says whose presses are ours")
	case cfg.SigningSecret == "" && cfg.AppToken == "":
		return errors.New("slack: neither a signing secret nor an app token: nothing that comes in could be trusted")
	case cfg.AppToken != "" && !strings.HasPrefix(cfg.AppToken.Reveal(), "xapp-"):
		return errors.New("slack: the app token does not begin with xapp-: it is the app-level token with the scope " +
			"connections:write, not the bot token")
	}
	return nil
}

// withDefaults fills in what was not given.
func (cfg ReceiverConfig) withDefaults() ReceiverConfig {
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	for _, one := range []struct {
		now   *func() router.Secret
		fixed router.Secret
	}{
		{&cfg.TokenNow, cfg.Token},
		{&cfg.SigningSecretNow, cfg.SigningSecret},
		{&cfg.AppTokenNow, cfg.AppToken},
	} {
		if *one.now == nil {
			*one.now = func() router.Secret { return one.fixed }
		}
	}
	if cfg.Seen == nil {
		cfg.Seen = func(router.SightKind, string) {}
	}
	if cfg.Allow == nil {
		cfg.Allow = func(string) []string { return nil }
	}
	if cfg.Notifiers == nil {
		cfg.Notifiers = func() []string { return nil }
	}
	return cfg
}

// Run tells people what they must hear after the answer and, with an app token, keeps a connection in Socket Mode. It
// ends soon after ctx does, and returns nil.
func (r *Receiver) Run(ctx context.Context) error {
	telling, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var work sync.WaitGroup
	for range laterAtOnce {
		work.Go(func() { r.workLater(telling) })
	}
	if r.cfg.AppToken != "" {
		r.runSocket(ctx)
	} else {
		<-ctx.Done()
	}
	stop() // whoever acted until now is told what came of it
	work.Wait()
	return nil
}

// workLater does what was put off, one after another. At the end it gives what waits a moment.
func (r *Receiver) workLater(ctx context.Context) {
	for {
		select {
		case do := <-r.later:
			do(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.stopIn)
			defer cancel()
			for {
				select {
				case do := <-r.later:
					do(last)
				default:
					return
				}
			}
		}
	}
}

// afterwards puts something off until the answer was given. Where too much waits already it is dropped: what
// people did is on disk by then.
func (r *Receiver) afterwards(do func(context.Context)) {
	select {
	case r.later <- do:
	default:
		r.cfg.Logger.Warn("too much is to be told to people in Slack; one of them is told nothing")
	}
}

// refusedAct keeps for the audit that somebody may not act.
func (r *Receiver) refusedAct(ctx context.Context, w request, user, name, why string) {
	e := router.AuditEntry{
		At: r.cfg.Now().UTC(), Who: cmp.Or(name, user), Verified: r.verified(), From: fromSlack(user),
		What: (&router.Act{Incident: w.incident}).Words(w.act), Result: "refused: " + why,
	}
	if err := r.journal.Audit(ctx, e); err != nil {
		r.cfg.Logger.Error("the audit could not be written: keep this line", "error", err,
			"at", e.At, "who", e.Who, "verified", e.Verified, "from", e.From, "what", e.What, "result", e.Result)
	}
}

// verified says how it is known that what comes in is Slack's.
func (r *Receiver) verified() string {
	if r.cfg.SigningSecret == "" {
		return router.VerifiedSocket
	}
	return router.VerifiedSlack
}

// fromSlack is where the audit says that a person is.
func fromSlack(user string) string { return "Slack, user " + user }

// tell writes to the person who acted, and to nobody else, through the address that their request named.
func (r *Receiver) tell(address, text string) {
	r.afterwards(func(ctx context.Context) {
		if err := r.hooks.send(ctx, address, text); err != nil {
			r.cfg.Logger.Warn("a person in Slack could not be told", "error", err)
		}
	})
}

// Actions answers POST /slack/actions: what people press on cards.
func (r *Receiver) Actions(w http.ResponseWriter, req *http.Request) {
	if !r.verify(w, req, "action") {
		return
	}
	call, err := slack.InteractionCallbackParse(req)
	if err != nil {
		r.refuse(w, "action", http.StatusBadRequest, "this is no interaction of Slack's")
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), r.answerIn)
	defer cancel()
	if !r.pressed(ctx, &call) {
		r.refuse(w, "action", http.StatusForbidden, "this app belongs to another workspace")
	}
}

// Commands answers POST /slack/commands: /flows.
func (r *Receiver) Commands(w http.ResponseWriter, req *http.Request) {
	if !r.verify(w, req, "command") {
		return
	}
	command, err := slack.SlashCommandParse(req)
	switch {
	case req.PostForm.Get("ssl_check") == "1": // Slack looks whether the address answers
		return
	case err != nil || command.Command == "":
		r.refuse(w, "command", http.StatusBadRequest, "this is no slash command of Slack's")
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), r.answerIn)
	defer cancel()
	said, ours := r.commanded(ctx, &command)
	if !ours {
		r.refuse(w, "command", http.StatusForbidden, "this app belongs to another workspace")
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(ephemeral(said)) // who is gone does not want it
}

// verify reads the body of a request and checks that Slack signed it less than five minutes ago; else it has answered.
// The body can be read again.
func (r *Receiver) verify(w http.ResponseWriter, req *http.Request, kind string) bool {
	if r.cfg.SigningSecret == "" { // Socket Mode only
		r.refuse(w, kind, http.StatusNotFound, "SLACK_SIGNING_SECRET is not set")
		return false
	}
	const strange = "the signature is not Slack's, or older than five minutes"
	verifier, err := slack.NewSecretsVerifier(req.Header, r.cfg.SigningSecretNow().Reveal())
	if err != nil { // what the headers say is enough: the body is not read
		r.cfg.Seen(router.SightSlackBad, router.FromHost(req.RemoteAddr))
		r.refuse(w, kind, http.StatusUnauthorized, strange)
		return false
	}
	body, fault := router.ReadBody(w, req, maxRequest)
	if fault != nil {
		r.refused(kind, fault.Status, fault.Words)
		fault.Answer(w)
		return false
	}
	_, _ = verifier.Write(body) // a hash takes everything
	if verifier.Ensure() != nil {
		r.cfg.Seen(router.SightSlackBad, router.FromHost(req.RemoteAddr))
		r.refuse(w, kind, http.StatusUnauthorized, strange)
		return false
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	return true
}

func (r *Receiver) refuse(w http.ResponseWriter, kind string, status int, why string) {
	r.refused(kind, status, why)
	http.Error(w, why, status)
}

// refused counts a refusal, and logs it now and then.
func (r *Receiver) refused(kind string, status int, why string) {
	r.seen.WithLabelValues(kind, "refused").Inc()
	if r.strange.Allow(r.cfg.Now()) {
		r.cfg.Logger.Warn("a request to act from Slack was refused", "kind", kind, "status", status, "reason", why)
	}
}
