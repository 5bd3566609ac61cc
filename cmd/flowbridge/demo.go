package main

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
)

type demoCommand struct {
	Once bool `help:"End after the story: exit status 0, or 1 if something arrived that should not have, or did not."`
}

// demoRules is rules.example.yaml. The binary carries it, so that the demo needs nothing beside it and always
// plays by the rules that its story was written for.
//
//go:embed rules.example.yaml
var demoRules []byte

// The demo's credentials. Nothing but stand-ins on this machine takes them.
const (
	demoSecret     = "demo-app-secret"
	demoSlackToken = "xoxb-demo"
	demoRoutingKey = "de300000000000000000000000000000"

	demoSigningSecret = "demo-signing-secret"
	demoWebhookSecret = "demo-webhook-secret"
)

// settleTimeout bounds how long an event may take from the post until everybody has been told.
const settleTimeout = 15 * time.Second

// Run plays yesterday.
func (c demoCommand) Run(ctx context.Context, p *program) error {
	return c.play(ctx, p, time.Now().UTC().Truncate(24*time.Hour).Add(-24*time.Hour))
}

// play runs a bridge with stand-in services, tells its story as that of the day which begins at midnight, and
// goes on from there.
func (c demoCommand) play(ctx context.Context, p *program, midnight time.Time) (err error) {
	loaded, err := rules.Load("rules.example.yaml", demoRules, rules.Config{Env: func(name string) (string, bool) {
		return demoRoutingKey, name == "PD_PAYMENTS_KEY"
	}})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "flowbridge-demo-")
	if err != nil {
		return fmt.Errorf("a folder for the database (TMPDIR names another place): %w", err)
	}
	defer os.RemoveAll(dir)

	d := demo{http: newHTTPClient(0), log: demoLog{w: p.Stderr}, out: newTeller(p), answers: map[string]int{}}
	d.slack = sandbox.NewSlack(sandbox.SlackConfig{
		Token: demoSlackToken, SigningSecret: demoSigningSecret, Channels: slackChannels(loaded),
		People: demoPeople, Scopes: []string{"chat:write", "users:read"}, Now: d.clock.now,
	})
	d.pager = sandbox.NewPagerDuty(sandbox.PagerDutyConfig{RoutingKeys: []router.Secret{demoRoutingKey}, OnCall: onCall.name(), Now: d.clock.now})
	slackServer, pagerServer := &http.Server{Handler: d.slack}, &http.Server{Handler: d.pager}
	var listeners [4]net.Listener
	for i := range listeners {
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
		defer listeners[i].Close()
	}
	public, admin, slackAt, pagerAt := listeners[0], listeners[1], listeners[2], listeners[3]
	d.public, d.admin = address(public), address(admin)
	d.bridge, err = newBridge(ctx, bridgeConfig{
		Rules: loaded, DB: filepath.Join(dir, "demo.db"), PublicURL: d.admin,
		AppSecrets: []router.Secret{demoSecret}, VerifyToken: "demo-verify-token",
		SlackToken: demoSlackToken, SlackURL: address(slackAt) + "/api/", PagerDutyURL: address(pagerAt),
		SlackBack:     slackBack{SigningSecret: demoSigningSecret},
		PagerDutyBack: pagerDutyBack{Secrets: []router.Secret{demoWebhookSecret}},
		// Its day lasts a second, and within it the stand-ins keep their limits by its clock.
		Unbudgeted: d.clock.playing, Now: d.clock.now,
		Logger: slog.New(slog.NewTextHandler(&d.log, nil)),
	})
	if err != nil {
		return err
	}
	d.slack.Connect(d.public+"/slack/actions", d.public+"/slack/commands")
	d.pager.Subscribe(d.public+"/webhooks/pagerduty", demoWebhookSecret)

	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	var fault error
	running.Go(func() {
		defer stop() // the story ends with the bridge
		fault = d.bridge.run(ctx, public, admin)
		_, _ = slackServer.Close(), pagerServer.Close()
	})
	running.Go(func() { _ = slackServer.Serve(slackAt) })
	running.Go(func() { _ = pagerServer.Serve(pagerAt) })
	err = d.tell(ctx, midnight, c.Once)
	stop()
	running.Wait()
	return errors.Join(err, fault)
}

// slackChannels returns the channels that rules name.
func slackChannels(r *rules.Rules) (names []string) {
	for _, t := range targetsOf(r, slack.Kind) {
		names = append(names, t.Address)
	}
	return names
}

func address(l net.Listener) string { return "http://" + l.Addr().String() }

// demo is a running bridge with its stand-ins.
type demo struct {
	bridge        *bridge
	slack         *sandbox.Slack
	pager         *sandbox.PagerDuty
	clock         demoClock
	log           demoLog
	public, admin string // base URLs
	http          *http.Client
	out           teller
	answers       map[string]int // how often the bridge answered a post how
}

// tell tells the story, goes on with what people send unless once, and returns errFault if the story did not come
// to what it should.
func (d *demo) tell(ctx context.Context, midnight time.Time, once bool) error {
	ok, err := d.story(ctx, midnight)
	if err != nil || !ok {
		d.log.showKept()
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return errors.New("the demo was interrupted")
	case err != nil:
		return err
	case !once:
		d.live(ctx)
	}
	if !ok {
		return errFault
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
	stats, err := d.bridge.store.Stats(ctx)
	return stats.Events[router.EventWaiting] == 0, err
}

func (d *demo) told(ctx context.Context) (bool, error) {
	stats, err := d.bridge.store.Stats(ctx)
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

// live says how to send more, and tells what that changes until ctx ends.
func (d *demo) live(ctx context.Context) {
	d.clock.set(time.Time{})
	d.log.goLive()
	d.invite()
	before := d.look()
	for ctx.Err() == nil {
		slack, pager := d.slack.Changed(), d.pager.Changed()
		after := d.look()
		if changes := difference(before, after); len(changes) > 0 {
			// One event changes several things one after the other: they are told together.
			if err := d.settle(ctx); err != nil && ctx.Err() == nil {
				d.out.line("%v", err)
			}
			after = d.look()
			d.out.changes(time.Now(), difference(before, after))
			before = after
		}
		select {
		case <-ctx.Done():
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
	d.out.line("The bridge stays up until Ctrl-C. In another terminal you can be Meta, or whoever")
	d.out.line("is on call; what comes of it is told here. These stand-ins have no screen to press")
	d.out.line("buttons on: flowbridge's own commands do the same.")
	d.out.line("")
	d.out.line("  export META_APP_SECRET=%s FLOWBRIDGE_ADMIN=%s", demoSecret, d.admin)
	d.out.line("  export BRIDGE=%s/webhooks/whatsapp", d.public)
	for _, example := range demoExamples {
		d.out.line("")
		d.out.line("  %s", d.out.dim("# "+example.says))
		for _, command := range example.commands {
			d.out.line("  %s %s", self, command)
		}
	}
	d.out.line("")
	d.out.line("  incidents   %s/api/v1/incidents", d.admin)
	d.out.line("  journal     %s/api/v1/events", d.admin)
	d.out.line("  metrics     %s/metrics", d.admin)
	d.out.line("")
}

// demoClock is the time of the bridge and its stand-ins: that of the story, so that a day's messages carry its hours and
// meet the services' real limits, and the real time when it is over. It goes on between the steps of the story.
type demoClock struct {
	mu    sync.Mutex
	at    time.Time // zero for the real time
	since time.Time // when at was set
}

func (c *demoClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() {
		return time.Now()
	}
	return c.at.Add(time.Since(c.since))
}

func (c *demoClock) playing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.at.IsZero()
}

func (c *demoClock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.since = at, time.Now()
}

// demoLog takes the bridge's log, each line as one write. During the story it keeps the lines, since the summary
// says whether something personal or worrying is among them; after it, it passes on what is worrying.
type demoLog struct {
	w io.Writer

	mu   sync.Mutex
	live bool
	kept bytes.Buffer
}

func (l *demoLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.live:
		return l.kept.Write(line)
	case worrying(string(line)):
		return l.w.Write(line)
	}
	return len(line), nil
}

// worrying says whether a line of the log is a warning or an error.
func worrying(line string) bool {
	return strings.Contains(line, " level=WARN ") || strings.Contains(line, " level=ERROR ")
}

// goLive ends the keeping.
func (l *demoLog) goLive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live = true
}

// read returns what was kept, and how much of it is worrying.
func (l *demoLog) read() (text string, worries int) {
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

// showKept writes the worrying lines of a story that went wrong.
func (l *demoLog) showKept() {
	text, _ := l.read()
	for line := range strings.Lines(text) {
		if worrying(line) {
			fmt.Fprint(l.w, line)
		}
	}
}
