// Package demo plays a day of trouble: it runs a bridge against stand-in services, does what a story says that Meta and
// people do, tells what comes of it, and says whether that is what should. Nothing leaves the machine. Building the
// bridge, and signing posts as Meta does, is left to its caller.
package demo

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/notifiers/slack"
	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/store"
)

// exampleRules is rules.example.yaml. The binary carries it, so that the demo needs nothing beside it and always
// plays by the rules that its story was written for.
//
//go:embed rules.example.yaml
var exampleRules []byte

// The demo's credentials. Nothing but stand-ins on this machine takes them.
const (
	appSecret  = "demo-app-secret"
	slackToken = "xoxb-demo"
	routingKey = "de300000000000000000000000000000"

	signingSecret = "demo-signing-secret"
	webhookSecret = "demo-webhook-secret"
)

// remembered bounds what the stand-ins keep of each thing, so that a demo can be left running.
const remembered = 1000

// settleTimeout bounds how long an event may take from the post until everybody has been told.
const settleTimeout = 2 * time.Minute

// Config is what a demo is made of.
type Config struct {
	Midnight time.Time // begin of the day that the story is told of
	Once     bool      // end after the story; else go on until the context ends

	Out, Err io.Writer // the story; and the bridge's log
	ANSI     bool      // Out takes colours

	// Log is the form of the bridge's log, and the least of it that is shown. Nil: warnings, as text.
	Log func(w io.Writer) slog.Handler
	// LogNow shows it as it comes. Else it is held back during the story, and shown if that goes wrong.
	LogNow bool

	// Open builds a bridge. It is run once, and its Run closes the store.
	Open func(ctx context.Context, s Settings) (Bridge, error)
	// Post posts a webhook as Meta does, and returns the status of the answer: "200 OK".
	Post func(ctx context.Context, url string, secret router.Secret, body []byte) (status string, err error)
	// HTTP looks at the pages of the bridge.
	HTTP *http.Client
	// Show is told the address of the demo's page once it answers; it ends with ctx. Default: nobody is.
	Show func(ctx context.Context, url string) error
}

// Settings are those of the bridge of a demo.
type Settings struct {
	Rules      *rules.Rules
	RulesShown []router.RulesFile // what they say, for the console
	DB         string             // path of a file
	PublicURL  string             // of the admin address

	AppSecret, VerifyToken router.Secret
	SlackToken             router.Secret
	SigningSecret          router.Secret // of what comes back from Slack
	WebhookSecret          router.Secret // of what comes back from PagerDuty
	SlackURL, PagerDutyURL string

	Unbudgeted func() bool // says that deliveries take nothing from the services' budgets now
	Now        func() time.Time
	Logger     *slog.Logger
}

// Bridge is one that has been built.
type Bridge struct {
	Store *store.Store
	// Run serves until the context ends, and returns the first fault.
	Run func(ctx context.Context, public, admin net.Listener) error
}

// ErrStory says that the story came to something else than it should. What it came to has been told.
var ErrStory = errors.New("the story did not come to what it should")

// Play runs a bridge with stand-in services, tells its story, and goes on from there.
func Play(ctx context.Context, cfg Config) (err error) {
	files := []rules.File{{Name: "rules.example.yaml", Data: exampleRules}}
	shown := rules.Shown(files)
	loaded, err := rules.LoadFiles(files, rules.Config{Version: rules.Digest(shown),
		Env: func(name string) (string, bool) {
			return routingKey, name == "PD_PAYMENTS_KEY"
		}})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "flowbridge-demo-")
	if err != nil {
		return fmt.Errorf("a folder for the database (TMPDIR names another place): %w", err)
	}
	defer os.RemoveAll(dir)
	at, err := listen()
	if err != nil {
		return err
	}
	defer at.close()

	d := &demo{cfg: cfg, rules: loaded, out: teller{w: cfg.Out, ansi: cfg.ANSI}, answers: map[string]int{},
		public: address(at.public), admin: address(at.admin), pageAt: at.page}
	d.page = newPage(d)
	d.standIn()
	d.bridge, err = cfg.Open(ctx, Settings{
		Rules: loaded, RulesShown: shown, DB: filepath.Join(dir, "demo.db"), PublicURL: d.admin,
		AppSecret: appSecret, VerifyToken: "demo-verify-token",
		SlackToken: slackToken, SlackURL: address(at.slack) + "/api/", PagerDutyURL: address(at.pager),
		SigningSecret: signingSecret, WebhookSecret: webhookSecret,
		// Its day lasts a second, and within it the stand-ins keep their limits by its clock.
		Unbudgeted: d.clock.playing, Now: d.clock.now,
		Logger: d.log.newLogger(&cfg),
	})
	if err != nil {
		return err
	}
	return d.run(ctx, at)
}

// listeners are where everything in the demo is reached, all on this machine.
type listeners struct{ public, admin, slack, pager, page net.Listener }

// listen opens them at ports that are free.
func listen() (l listeners, err error) {
	for _, one := range []*net.Listener{&l.public, &l.admin, &l.slack, &l.pager, &l.page} {
		if *one, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			l.close()
			return l, err
		}
	}
	return l, nil
}

func (l *listeners) close() {
	for _, one := range []net.Listener{l.public, l.admin, l.slack, l.pager, l.page} {
		if one != nil {
			one.Close() // those that were served are closed already
		}
	}
}

// standIn makes the services that the bridge tells, and that send it what people do there.
func (d *demo) standIn() {
	d.slack = sandbox.NewSlack(sandbox.SlackConfig{
		Token: slackToken, SigningSecret: signingSecret, Channels: addresses(d.rules, slack.Kind),
		People: people, Scopes: []string{"chat:write", "users:read"}, Keep: remembered, Now: d.clock.now,
	})
	d.pager = sandbox.NewPagerDuty(sandbox.PagerDutyConfig{
		RoutingKeys: []router.Secret{routingKey}, OnCall: onCall.name(), Keep: remembered, Now: d.clock.now,
	})
	d.slack.Connect(d.public+"/slack/actions", d.public+"/slack/commands")
	d.pager.Subscribe(d.public+"/webhooks/pagerduty", webhookSecret)
}

// run serves the bridge and the services while it tells the story and goes on from there.
func (d *demo) run(ctx context.Context, at listeners) error {
	slackServer, pagerServer := &http.Server{Handler: d.slack}, &http.Server{Handler: d.pager}
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	var fault error
	running.Go(func() {
		defer stop() // the story ends with the bridge
		fault = d.bridge.Run(ctx, at.public, at.admin)
		_, _ = slackServer.Close(), pagerServer.Close()
	})
	running.Go(func() { _ = slackServer.Serve(at.slack) })
	running.Go(func() { _ = pagerServer.Serve(at.pager) })
	err := d.tell(ctx)
	stop()
	running.Wait()
	return errors.Join(err, fault)
}

// addresses returns those that rules name of a kind.
func addresses(r *rules.Rules, kind router.Kind) (names []string) {
	for _, t := range r.Targets() {
		if t.Kind == kind {
			names = append(names, t.Address)
		}
	}
	return names
}

func address(l net.Listener) string { return "http://" + l.Addr().String() }

// demo is a running bridge with its stand-ins.
type demo struct {
	cfg           Config
	rules         *rules.Rules
	bridge        Bridge
	slack         *sandbox.Slack
	pager         *sandbox.PagerDuty
	clock         clock
	log           bridgeLog
	public, admin string // base URLs
	page          *page
	pageAt        net.Listener
	out           teller
	answers       map[string]int // how often the bridge answered a post how
}

// tell tells the story, goes on with what people send unless it is told once, and returns ErrStory if the story did not
// come to what it should.
func (d *demo) tell(ctx context.Context) error {
	ok, err := d.story(ctx, d.cfg.Midnight)
	if err != nil || !ok {
		d.log.showHeld()
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return errors.New("the demo was interrupted")
	case err != nil:
		return err
	case !d.cfg.Once:
		d.live(ctx)
	}
	if !ok {
		return ErrStory
	}
	return nil
}

// settle waits until the bridge has folded and told everything that it knows of, and has heard from PagerDuty what
// happened there. The webhooks wait until the bridge is at rest, so that a story comes out the same every time.
func (d *demo) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for {
		if err := d.until(ctx, "the bridge to come to rest", d.told); err != nil || d.pager.Unsent() == 0 {
			return err
		}
		d.sendWebhooks(ctx)
	}
}

// folded says whether no event waits, and told whether no delivery does either.
func (d *demo) folded(ctx context.Context) (bool, error) {
	stats, err := d.bridge.Store.Stats(ctx)
	return stats.Events[router.EventWaiting] == 0, err
}

func (d *demo) told(ctx context.Context) (bool, error) {
	stats, err := d.bridge.Store.Stats(ctx)
	return stats.Events[router.EventWaiting]+stats.Deliveries[router.DeliveryWaiting] == 0, err
}

// until looks every few milliseconds whether something is so, and waits for it as long as settleTimeout.
func (d *demo) until(ctx context.Context, what string, so func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := so(ctx); ok || err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %s", what)
		}
	}
}

// sendWebhooks has PagerDuty send all that waits.
func (d *demo) sendWebhooks(ctx context.Context) {
	sending, stop := context.WithCancel(ctx)
	var posts sync.WaitGroup
	posts.Go(func() { d.pager.SendWebhooks(sending) })
	_ = d.pager.Wait(ctx, func() bool { return d.pager.Unsent() == 0 }) // else ctx is over, which the caller finds
	stop()
	posts.Wait()
}

// quietFor is how long nothing must happen at the services until the rest is known to take longer: what waits for a
// service that fails, or for a channel to have room. Slack takes a message a second.
const quietFor = 1200 * time.Millisecond

// atRest says, when it is asked again and again, whether all is told and PagerDuty's webhooks are sent, or nothing
// happens.
func (d *demo) atRest() func(context.Context) (bool, error) {
	slack, pager, since := d.slack.Changed(), d.pager.Changed(), time.Now()
	return func(ctx context.Context) (bool, error) {
		told, err := d.told(ctx)
		if err != nil || told && d.pager.Unsent() == 0 {
			return true, err
		}
		select {
		case <-slack:
			slack, since = d.slack.Changed(), time.Now()
		case <-pager:
			pager, since = d.pager.Changed(), time.Now()
		default:
		}
		return time.Since(since) > quietFor, nil
	}
}

// live says how to send more, serves the page, and tells what changes until ctx ends.
func (d *demo) live(ctx context.Context) {
	d.clock.set(time.Time{})
	d.log.goLive()
	d.invite()
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { d.pager.SendWebhooks(ctx) })
	running.Go(func() { d.page.serve(ctx, d.pageAt) })
	notShown := make(chan error, 1)
	if d.cfg.Show != nil {
		running.Go(func() { // what opens a browser may last as long as the browser
			if err := d.cfg.Show(ctx, address(d.pageAt)+"/"); err != nil && ctx.Err() == nil {
				notShown <- err
			}
		})
	}
	before := d.look()
	for ctx.Err() == nil {
		slack, pager := d.slack.Changed(), d.pager.Changed()
		after := d.look()
		if changes := difference(before, after); len(changes) > 0 {
			// One event changes several things one after the other: they are told together.
			if err := d.until(ctx, "the bridge to come to rest", d.atRest()); err != nil && ctx.Err() == nil {
				d.out.line("%v", err)
			}
			after = d.look()
			d.out.changes(time.Now(), difference(before, after))
			before = after
		}
		select {
		case <-ctx.Done():
		case err := <-notShown:
			d.out.line("%v", err)
		case <-slack:
		case <-pager:
		}
	}
}

// invite says where the bridge is, how to send it more, and how to act on what it tells.
func (d *demo) invite() {
	self := os.Args[0]
	if strings.Contains(self, "go-build") { // where `go run` puts what it runs
		self = "go run ./cmd/flowbridge"
	}
	d.out.title("Your turn")
	d.out.line("Open  %s  in a browser: the channels, PagerDuty,", d.out.bold(address(d.pageAt)+"/"))
	d.out.line("and Meta's next trick, all to press.")
	d.out.line("")
	d.out.line("The bridge stays up until Ctrl-C. In another terminal you can be Meta, or whoever")
	d.out.line("is on call; what comes of it is told here, too.")
	d.out.line("")
	d.out.line("  export META_APP_SECRET=%s FLOWBRIDGE_ADMIN=%s", appSecret, d.admin)
	d.out.line("  export BRIDGE=%s/webhooks/whatsapp", d.public)
	for _, example := range examples {
		d.out.line("")
		d.out.line("  %s", d.out.dim("# "+example.says))
		for _, command := range example.commands {
			d.out.line("  %s %s", self, command)
		}
	}
	d.out.line("")
	d.out.line("  console     %s/", d.admin)
	d.out.line("  API         %s/api/v1/openapi.json", d.admin)
	d.out.line("  metrics     %s/metrics", d.admin)
	d.out.line("")
}

// clock is the time of the bridge and its stand-ins: that of the story, so that a day's messages carry its hours and
// meet the services' real limits, and the real time when it is over. It goes on between the steps of the story.
type clock struct {
	mu    sync.Mutex
	at    time.Time // zero for the real time
	since time.Time // when at was set
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() {
		return time.Now()
	}
	return c.at.Add(time.Since(c.since))
}

func (c *clock) playing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.at.IsZero()
}

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.since = at, time.Now()
}

// bridgeLog takes the bridge's log. During the story it keeps the lines, since the summary says whether something
// personal or worrying is among them.
type bridgeLog struct {
	mu   sync.Mutex
	live bool
	kept bytes.Buffer
	held bytes.Buffer // lines as they are shown, once the story is over and only if it went wrong
	to   io.Writer    // where lines are shown
	now  bool         // as they come, also during the story
}

// newLogger returns what the bridge logs to.
func (l *bridgeLog) newLogger(cfg *Config) *slog.Logger {
	l.to, l.now = cfg.Err, cfg.LogNow
	shown := cfg.Log
	if shown == nil {
		shown = func(w io.Writer) slog.Handler {
			return slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn})
		}
	}
	return slog.New(slog.NewMultiHandler(slog.NewTextHandler(lineWriter(l.keep), nil), shown(lineWriter(l.show))))
}

// lineWriter gets each line as one write.
type lineWriter func(line []byte) (int, error)

func (w lineWriter) Write(line []byte) (int, error) { return w(line) }

func (l *bridgeLog) keep(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live {
		return len(line), nil
	}
	return l.kept.Write(line)
}

func (l *bridgeLog) show(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live || l.now {
		return l.to.Write(line)
	}
	return l.held.Write(line)
}

// worrying says whether a line of the log is a warning or an error.
func worrying(line string) bool {
	return strings.Contains(line, " level=WARN ") || strings.Contains(line, " level=ERROR ")
}

// goLive ends the keeping.
func (l *bridgeLog) goLive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live = true
}

// read returns what was kept, and how much of it is worrying.
func (l *bridgeLog) read() (text string, worries int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text = l.kept.String()
	for line := range strings.Lines(text) {
		if worrying(line) {
			worries++
		}
	}
	return text, worries
}

// showHeld writes what was held back during a story that went wrong.
func (l *bridgeLog) showHeld() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.held.WriteTo(l.to)
}
