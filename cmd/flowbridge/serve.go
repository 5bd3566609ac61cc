package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"flowbridge/cmd/flowbridge/doctor"
	"flowbridge/notifiers"
	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/store"
	"flowbridge/router/whatsapp"
)

type serveCommand struct {
	Rules      string `default:"rules.yaml" env:"FLOWBRIDGE_RULES" complete:"file" help:"Rules file, or a folder of them."`
	Listen     string `default:":8080" env:"FLOWBRIDGE_LISTEN" help:"Public address: webhooks and nothing else."`
	Admin      string `default:"127.0.0.1:9090" env:"FLOWBRIDGE_ADMIN" help:"Admin address: API, metrics and health."`
	DB         string `name:"db" default:"flowbridge.db" env:"FLOWBRIDGE_DB" complete:"file" help:"Database: the path of a SQLite file, or a postgres:// URL."`
	PublicURL  string `env:"FLOWBRIDGE_PUBLIC_URL" placeholder:"URL" help:"Where people reach the admin address, for links."`
	WebhookURL string `env:"FLOWBRIDGE_WEBHOOK_URL" placeholder:"URL" help:"Where Meta, Slack and PagerDuty reach the public address, as the doctor takes it: the page Setup looks there. Default: --public-url."`

	KeepEvents    keep `env:"FLOWBRIDGE_KEEP_EVENTS" default:"90d" placeholder:"TIME" help:"How long the journal is kept: 90d, or 0 for ever. Digests stay for 8 days in any case, to know what Meta repeats."`
	KeepIncidents keep `env:"FLOWBRIDGE_KEEP_INCIDENTS" default:"365d" placeholder:"TIME" help:"How long incidents are kept after their end; 0 for ever."`
	KeepAttempts  keep `env:"FLOWBRIDGE_KEEP_ATTEMPTS" default:"30d" placeholder:"TIME" help:"How long it is kept what services were sent and answered, word for word and without credentials; 0 keeps none."`

	TLSCert     string     `name:"tls-cert" env:"FLOWBRIDGE_TLS_CERT" placeholder:"FILE" help:"Certificate of the public address, with its chain, in PEM. Not needed behind a proxy that ends TLS."`
	TLSKey      string     `name:"tls-key" env:"FLOWBRIDGE_TLS_KEY" placeholder:"FILE" help:"Its private key, in PEM."`
	TLSClientCA string     `name:"tls-client-ca" env:"FLOWBRIDGE_TLS_CLIENT_CA" placeholder:"FILE" help:"Meta's CA, in PEM: its webhooks must then present their client certificate (mTLS)."`
	Guard       adminGuard `embed:""`
	Forward     string     `env:"FLOWBRIDGE_FORWARD" placeholder:"URL" help:"Receiver that had the callback URL before: every verified webhook of Meta's is passed on to it."`

	Heartbeat string `env:"FLOWBRIDGE_HEARTBEAT" placeholder:"URL" help:"URL that is called once a minute while everything gets on: of a dead man's switch, which tells people when the calls end."`

	ProbeKey     string `env:"FLOWBRIDGE_PROBE_KEY" placeholder:"FILE" help:"The business's public key, in PEM, as it was uploaded to Meta: endpoints that the rules have probed are then pinged as Meta's health check does. Default: probes look at TLS and HTTP alone."`
	ProbePrivate bool   `env:"FLOWBRIDGE_PROBE_PRIVATE" help:"Probe endpoints at private addresses, too."`

	Log logFlags `embed:""`

	SweepEvery   time.Duration `hidden:"" env:"FLOWBRIDGE_SWEEP_EVERY" help:"How often what is old is removed: for tests. Default: 1h, and a quarter of --keep-events at most."`
	WatchEvery   time.Duration `hidden:"" env:"FLOWBRIDGE_WATCH_EVERY" help:"How often the bridge looks at itself: for tests. Default: 30s."`
	StalledAfter time.Duration `hidden:"" env:"FLOWBRIDGE_STALLED_AFTER" help:"How long the journal may stand still until /readyz says no: for tests. Default: 30s."`
	Unbudgeted   bool          `hidden:"" env:"FLOWBRIDGE_UNBUDGETED" help:"Tell services as fast as they take it: for stand-ins that have no limits."`
}

// Run serves until it is told to stop.
func (c serveCommand) Run(ctx context.Context, p *program) error {
	logger := c.Log.logger(p.Stderr)
	if to, ok := p.Stderr.(*outlet); ok {
		to.queued(c.Log)
	}
	cfg, err := c.config(p, logger)
	if err != nil {
		if errors.As(err, new(*rules.Mistakes)) {
			fmt.Fprintln(p.Stderr, err) // as file:line:column, from the first line on
			return errFault
		}
		return err
	}
	if n := utf8.RuneCountInString(cfg.VerifyToken.Reveal()); n > 0 && n < doctor.LeastVerifyToken {
		logger.Warn("META_VERIFY_TOKEN is short: anybody can guess it", "characters", n, "do",
			"make one with openssl rand -hex 16, and give it to Meta's dashboard")
	}
	warnOfLoneMount(c.Rules, os.DirFS("/"), logger)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	cfg.Reread = hup

	// A port that is taken is found before the database is touched.
	if err := c.portsAreFree(p); err != nil {
		return err
	}
	b, err := newBridge(ctx, cfg)
	switch {
	case err != nil && ctx.Err() != nil: // as it was told, while it waited for the database
		logger.Info("flowbridge has stopped before it was ready", "error", err)
		return nil
	case err != nil:
		return err
	}
	// Nobody is let in before: to open the database may take minutes, where a backup keeps its tables from being changed,
	// and a proxy would have posts wait here that other bridges take.
	public, admin, err := c.listen(p)
	if err != nil {
		return errors.Join(err, b.store.Close())
	}
	defer public.Close()
	defer admin.Close()
	if keep := time.Duration(c.KeepEvents); keep > 0 && keep < store.KeepDigests {
		logger.Info(
			"what events say is removed after --keep-events; their digests stay for longer, to know what Meta repeats",
			"keep_events", router.FormatDuration(keep), "digests", router.FormatDuration(store.KeepDigests))
	}
	logger.Info("flowbridge is ready", "version", version(), "listen", public.Addr().String(), "admin",
		admin.Addr().String(), "rules", c.Rules, "db", store.DisplayName(cfg.DB))
	running, ended := context.WithCancel(ctx) // it may end by itself
	beside := c.beside(running, p, cfg.Rules, logger)
	err = p.systemd(logger).around(ctx, b.admin.Trouble, func() error { return b.run(ctx, public, admin) })
	ended()
	beside.Wait()
	logger.Info("flowbridge has stopped")
	return err
}

// portsAreFree says which address cannot be listened on.
func (c serveCommand) portsAreFree(p *program) error {
	if !p.inheritsListener() {
		l, err := net.Listen("tcp", c.Listen)
		if err != nil {
			return fmt.Errorf("--listen: %w", err)
		}
		defer l.Close()
	}
	l, err := net.Listen("tcp", c.Admin)
	if err != nil {
		return fmt.Errorf("--admin: %w", err)
	}
	return l.Close()
}

// listen listens on both addresses.
func (c serveCommand) listen(p *program) (public, admin net.Listener, err error) {
	if public, err = p.listenPublic(c.Listen); err != nil {
		return nil, nil, fmt.Errorf("--listen: %w", err)
	}
	if admin, err = net.Listen("tcp", c.Admin); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("--admin: %w", err), public.Close())
	}
	return public, admin, nil
}

// glanceTimeout bounds each call of the look at tokens.
const glanceTimeout = 5 * time.Second

// settled is when a bridge has done all that only its start does.
const settled = 5 * time.Second

// beside does what nobody waits for: it looks at tokens, and keeps the process small and quick. It ends with ctx.
func (c serveCommand) beside(ctx context.Context, p *program, r *rules.Rules, logger *slog.Logger) *sync.WaitGroup {
	var work sync.WaitGroup
	work.Go(func() { c.glance(ctx, p, r, logger) })
	if p.GiveBack != nil {
		work.Go(func() {
			if router.Sleep(ctx, settled) {
				p.GiveBack()
			}
		})
	}
	if _, chosen := p.Getenv("GOMEMLIMIT"); !chosen && p.GroupLimit != nil {
		memory := memoryKeeper{limit: p.GroupLimit, set: func(heap int64) { debug.SetMemoryLimit(heap) }, logger: logger}
		memory.look()
		work.Go(func() { memory.run(ctx) })
	}
	if _, chosen := p.Getenv("GOGC"); !chosen { // else by an operator
		work.Go(func() { paceGC(ctx) })
	}
	return &work
}

// glance looks whether services take our tokens, and logs what will not work: the first page would be late to find out.
func (c serveCommand) glance(ctx context.Context, p *program, r *rules.Rules, logger *slog.Logger) {
	for _, f := range c.look().doctor(p).Glance(ctx, r).Checks {
		if ctx.Err() != nil {
			return
		}
		level := slog.LevelInfo
		switch f.Status {
		case notifiers.StatusWarn:
			level = slog.LevelWarn
		case notifiers.StatusFail:
			level = slog.LevelError
		}
		var do []any
		if f.Do != "" {
			do = []any{"do", f.Do}
		}
		logger.Log(ctx, level, f.Name+": "+f.Seen, do...)
	}
}

// look is the doctor's examination of what this bridge uses.
func (c serveCommand) look() doctorCommand {
	return doctorCommand{Rules: c.Rules, Admin: c.Admin, DB: c.DB, PublicURL: c.PublicURL, WebhookURL: c.WebhookURL,
		Timeout: glanceTimeout}
}

// config reads the environment and the rules, and checks what can be checked before anything is opened: who
// sets this up learns in one run of all that is missing.
func (c serveCommand) config(p *program, logger *slog.Logger) (cfg bridgeConfig, err error) {
	ruleFaults := newRuleFaults(logger)
	cfg = bridgeConfig{
		Logger:       logger,
		RulesPath:    c.Rules,
		ReadRules:    rulesReader(ruleFaults.config(p.rulesConfig())),
		Faults:       ruleFaults,
		DB:           c.DB,
		PublicURL:    c.PublicURL,
		Admin:        c.Admin,
		SlackURL:     p.setting("SLACK_API_URL"),
		PagerDutyURL: p.setting("PAGERDUTY_EVENTS_URL"),
		Forward:      c.Forward,
		StalledAfter: c.StalledAfter,
		WatchEvery:   c.WatchEvery,
		Heartbeat:    c.Heartbeat,

		KeepEvents: time.Duration(c.KeepEvents), KeepIncidents: time.Duration(c.KeepIncidents),
		KeepAttempts: time.Duration(c.KeepAttempts), SweepEvery: c.SweepEvery,
	}
	cfg.LogTo, _ = p.Stderr.(*outlet)
	cfg.Examine = func(ctx context.Context) []notifiers.Finding { return c.look().doctor(p).Examine(ctx).Checks }
	if c.Unbudgeted {
		cfg.Unbudgeted = func() bool { return true }
	}
	var faults []error
	if c.Forward != "" {
		_, err = whatsapp.ForwardURL(c.Forward)
		faults = append(faults, err)
	}
	if files := (tlsFiles{Cert: c.TLSCert, Key: c.TLSKey, ClientCA: c.TLSClientCA}); files != (tlsFiles{}) {
		cfg.Certificates, err = newCertificates(files, logger)
		faults = append(faults, err)
	}
	cfg.Probe.Private = c.ProbePrivate
	if c.ProbeKey != "" {
		cfg.Probe.Key, err = newProbeKey(c.ProbeKey, logger)
		faults = append(faults, err)
	}
	faults = append(faults, checkHeartbeat(c.Heartbeat), cfg.readSecrets(p))
	faults = append(faults, cfg.checkTokens(c.Admin), c.Guard.into(&cfg, logger))
	faults = append(faults, listenAddress("--listen", c.Listen), listenAddress("--admin", c.Admin))
	if err := store.CheckDSN(c.DB); err != nil {
		faults = append(faults, fmt.Errorf("--db: %w", err))
	}
	faults = append(faults, webAddress("--public-url", c.PublicURL),
		webAddress("--webhook-url", c.WebhookURL), webAddress("SLACK_API_URL", cfg.SlackURL),
		webAddress("PAGERDUTY_EVENTS_URL", cfg.PagerDutyURL))
	cfg.RulesRead, err = cfg.ReadRules(c.Rules)
	cfg.Rules = cfg.RulesRead.rules
	switch {
	case err == nil:
		err = cfg.refuse(cfg.Rules)
	case !errors.As(err, new(*rules.Mistakes)):
		err = noRules(err)
	}
	return cfg, errors.Join(append(faults, err)...)
}

// listenAddress checks an address to listen on.
func listenAddress(name, value string) error {
	if _, port, err := net.SplitHostPort(value); err == nil && port != "" {
		return nil
	}
	return fmt.Errorf(
		"%s: %q is no address to listen on: write host:port, such as 127.0.0.1:9090, or :8080 for every address", name, value)
}

// webAddress checks an address that may be left out.
func webAddress(name, value string) error {
	if u, err := url.Parse(value); value != "" && (err != nil || u.Host == "" || u.Scheme != "http" &&
		u.Scheme != "https") {
		return fmt.Errorf("%s: %q is no http or https address", name, value)
	}
	return nil
}

// loopback says whether only this machine can reach an address to listen on.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	return addressIsLoopback(host)
}

// addressIsLoopback says so of an address without a port.
func addressIsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
