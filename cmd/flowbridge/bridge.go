package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"flowbridge/notifiers"
	"flowbridge/notifiers/pagerduty"
	"flowbridge/notifiers/slack"
	"flowbridge/router"
	"flowbridge/router/console"
	"flowbridge/router/delivery"
	"flowbridge/router/graph"
	"flowbridge/router/probe"
	"flowbridge/router/rules"
	"flowbridge/router/store"
	"flowbridge/router/whatsapp"
)

// bridgeConfig is what a bridge is made of. serve reads it from flags and the environment, demo makes it up.
type bridgeConfig struct {
	Rules     *rules.Rules                           // in force at first
	RulesRead loadedRules                            // the same, with what they were read from; zero if they never change
	RulesPath string                                 // where they were read
	ReadRules func(path string) (loadedRules, error) // reads them anew; nil: they never change
	Faults    *ruleFaults                            // where rules tell of theirs; nil: nowhere
	Reread    <-chan os.Signal                       // asks for that; nil: only a change of the files does
	DB        string                                 // path of a SQLite file, or a postgres:// URL
	PublicURL string                                 // where people reach the console; "" for no links to it
	Admin     string                                 // address to listen on, as it was given
	Prefix    string                                 // path below which a proxy shows the console; "" for none

	Certificates *certificates // of the public address; nil: it speaks no TLS
	// AdminCertificates are those of the admin address, and UserHeader is how proxies name who is signed in there.
	AdminCertificates *certificates
	UserHeader        string
	TrustedProxies    []netip.Prefix
	Forward           string // URL of the receiver behind; "" for none

	AppSecrets   []router.Secret
	VerifyToken  router.Secret
	AdminToken   router.Secret
	ViewToken    router.Secret
	SlackToken   router.Secret
	SlackBack    slackBack
	SlackURL     string
	PagerDutyURL string // of the Events API

	PagerDutyBack pagerDutyBack
	GraphToken    router.Secret // "": no names are asked of Meta
	GraphURL      string

	Probe probeSettings

	SecretFiles secretFiles // those of these secrets that are given as files, and may change; nil: none

	// How long events, and what is over, are kept; 0 for ever.
	KeepEvents, KeepIncidents time.Duration
	// KeepAttempts is how long attempts at deliveries are kept; 0: none are.
	KeepAttempts time.Duration
	// SweepEvery is how often what is old is removed. 0: every hour, and four times in KeepEvents at least.
	SweepEvery time.Duration

	// Unbudgeted says that deliveries take nothing from the services' budgets now. Nil: they do.
	Unbudgeted func() bool

	// StalledAfter is how long the journal may stand still until /readyz says no. 0: the console's default.
	StalledAfter time.Duration

	// WatchEvery is how often the bridge looks at itself. 0: twice a minute; less: never, and nobody looks after what is
	// not heard of.
	WatchEvery time.Duration
	// Passing says that the database is thrown away: how full its disk is is nobody's trouble.
	Passing bool
	// Heartbeat is a URL that is called every two looks while everything gets on; "" for none. It may hold a secret.
	Heartbeat string

	// Examine looks at all that serve uses, as doctor does. Nil: nothing is looked at.
	Examine func(ctx context.Context) []notifiers.Finding

	// Now is the clock of every part. Nil: time.Now.
	Now func() time.Time

	Logger *slog.Logger
	LogTo  *outlet // where it writes; nil: nobody counts what is lost
}

// bridge is the whole of flowbridge in one process: the rooms, wired.
type bridge struct {
	cfg       bridgeConfig
	rules     *ruleset
	store     *store.Store
	router    *router.Router
	deliverer *delivery.Deliverer
	slack     *slack.Receiver   // nil where nothing comes back from Slack
	linker    *pagerduty.Linker // nil without a token for PagerDuty's REST API
	graph     *graph.Client     // nil without a token for Meta's Graph API
	flowWatch *graph.FlowWatch
	prober    *probe.Prober
	public    http.Handler
	admin     *console.Console
	refusals  *refusals

	background *background // what is kept beside the work
	hits       *ruleHits
	watcher    *watcher
	intake     *whatsapp.Handler

	metrics *prometheus.Registry // all but those that quote the rules
}

// Bounds of the servers; those of bodies and connections have files of their own. Meta asks for an answer within a
// second.
const (
	readTimeout   = 15 * time.Second
	headerTimeout = 5 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 30 * time.Second
	maxHeader     = 16 << 10
	maxStreams    = 100              // requests at a time over one HTTP/2 connection; its specification asks for no fewer
	streamWindow  = 256 << 10        // bytes of one of them that the server takes before they are read
	stopTimeout   = 10 * time.Second // for posts that are being answered when the bridge stops
	auditTimeout  = 5 * time.Second  // for writing to the audit what is done
	startWait     = 2 * time.Minute  // for a PostgreSQL server that is away; after that the service manager starts anew
)

// newBridge opens the store and wires the rooms. Run must follow: it closes the store.
func newBridge(ctx context.Context, cfg bridgeConfig) (*bridge, error) {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	var kept *store.Store // nobody is told anything before it is open
	var set *ruleset
	notifiers, without, err := cfg.openServices(&surroundings{
		receipts: func(ctx context.Context, kind router.Kind, address string) ([]router.Receipt, error) {
			return kept.Receipts(ctx, kind, address)
		},
		targets: func() []router.Target { return set.rules().Targets() },
	})
	if err != nil {
		return nil, err
	}
	kept, err = store.Open(ctx, store.Config{
		DSN: cfg.DB, Now: cfg.Now, Logger: cfg.Logger, StartWait: startWait, KeepAttempts: cmp.Or(cfg.KeepAttempts, -1),
		Seals: cfg.AppSecrets, Target: func(notifier string) (router.Target, bool) { return set.rules().Target(notifier) },
	})
	if err != nil {
		return nil, err
	}
	first := cfg.RulesRead
	first.rules = cfg.Rules
	set = newRuleset(cfg.RulesPath, first, cfg.ReadRules, cfg.refuse, cfg.Logger)
	metrics.MustRegister(set.collectors()...)
	if cfg.Certificates != nil {
		metrics.MustRegister(cfg.Certificates.expiry)
	}
	if cfg.AdminCertificates != nil {
		metrics.MustRegister(cfg.AdminCertificates.expiry)
	}
	if cfg.LogTo != nil {
		metrics.MustRegister(cfg.LogTo.collectors()...)
	}
	b := &bridge{cfg: cfg, rules: set, store: kept, refusals: newRefusals(cfg.Logger),
		background: newBackground(cfg.Now, cfg.Logger, kept), hits: newRuleHits(), metrics: metrics}
	b.watcher = newWatcher(b)
	metrics.MustRegister(b.refusals.counted, b.watcher.looks)
	set.audit, set.inForce = b.keepAudit, b.background.rules
	b.background.rules(first, router.RulesAtStart)
	if err := b.wire(notifiers, without, metrics); err != nil {
		return nil, errors.Join(err, kept.Close())
	}
	return b, nil
}

// keepAudit writes to the audit what an operator did; what cannot be written there is in the log.
func (b *bridge) keepAudit(ctx context.Context, e router.AuditEntry) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	if err := b.store.Audit(ctx, e); err != nil {
		b.cfg.Logger.Error("the audit could not be written: keep this line", "error", err, "at", e.At, "who", e.Who, "from",
			e.From, "what", e.What, "result", e.Result)
	}
}

// link returns the page of an incident.
func (b *bridge) link(inc *router.Incident) string {
	if b.cfg.PublicURL == "" {
		return ""
	}
	return fmt.Sprintf("%s/incidents/%d", b.consoleURL(), inc.Number)
}

// consoleURL is where people reach the console, "" where that is not known.
func (b *bridge) consoleURL() string {
	if b.cfg.PublicURL == "" {
		return ""
	}
	return consoleURL(b.cfg.PublicURL, b.cfg.Prefix)
}

// run serves until ctx ends and then stops in the order that loses nothing: no new posts, posts at hand
// answered, the fold and the deliveries in flight ended, the store closed. It returns the first fault.
func (b *bridge) run(ctx context.Context, public, admin net.Listener) error {
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	faults := make(chan error, 6)
	var work sync.WaitGroup
	work.Go(func() {
		faults <- b.router.Run(working)
		b.store.StopFolding() // another process need not wait for the deliveries in flight here
	})
	work.Go(func() {
		faults <- b.deliverer.Run(working)
		b.store.StopDelivering()
	})
	work.Go(func() { faults <- b.store.WatchFiles(working) })
	work.Go(func() { b.sweep(working) })
	work.Go(func() { b.admin.Watch(working) })
	work.Go(func() { b.background.run(working) })
	work.Go(func() { b.watcher.run(working) })
	work.Go(func() { b.watcher.heartbeat.run(working, b.admin.Unready) })
	if b.slack != nil {
		work.Go(func() { faults <- b.slack.Run(working) })
	}
	work.Go(func() { b.runPagerDutyBack(working) })
	work.Go(func() { b.runGraph(working) })
	if b.cfg.WatchEvery >= 0 {
		work.Go(func() { b.flowWatch.Run(working) })
		work.Go(func() { b.prober.Run(working) })
	}
	if b.cfg.ReadRules != nil {
		work.Go(func() { b.rules.watch(working, b.cfg.Reread) })
	}

	mostPublic, mostAdmin := connectionLimits(fileLimit())
	public = limitConnections(public, mostPublic, refusedConnection, b.refusals)
	admin = limitConnections(admin, mostAdmin, refusedAdmin, b.refusals)
	publicServer := newServer(b.public, b.cfg.Logger)
	publicServer.TLSConfig = b.cfg.Certificates.config()
	adminServer := newServer(rememberUse(b.admin), b.cfg.Logger)
	adminServer.TLSConfig = b.cfg.AdminCertificates.config()
	var serving sync.WaitGroup
	serving.Go(func() { faults <- serveOn(publicServer, public) })
	serving.Go(func() { faults <- serveOn(adminServer, admin) })

	var fault error
	select {
	case <-ctx.Done():
	case fault = <-faults:
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	fault = errors.Join(fault, publicServer.Shutdown(stopping), adminServer.Shutdown(stopping))
	serving.Wait()
	stopWork()
	work.Wait()
	return errors.Join(fault, b.store.Close())
}

func newServer(h http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       withConnection,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerStream: streamWindow,
			MaxReceiveBufferPerConnection: 4 * streamWindow},
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug), // broken connections of strangers
	}
}

func serveOn(s *http.Server, l net.Listener) error {
	serve := s.Serve
	if s.TLSConfig != nil {
		serve = func(l net.Listener) error { return s.ServeTLS(l, "", "") }
	}
	if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
