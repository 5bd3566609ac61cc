package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"flowbridge/notifiers"
	"flowbridge/router"
	"flowbridge/router/rules"
)

type doctorCommand struct {
	Rules      string        `default:"rules.yaml" env:"FLOWBRIDGE_RULES" help:"Rules, as serve takes them."`
	Admin      string        `default:"127.0.0.1:9090" env:"FLOWBRIDGE_ADMIN" help:"Admin address, as serve takes it."`
	DB         string        `name:"db" default:"flowbridge.db" env:"FLOWBRIDGE_DB" help:"Database, as serve takes it."`
	PublicURL  string        `env:"FLOWBRIDGE_PUBLIC_URL" placeholder:"URL" help:"Where people reach the admin address, as serve takes it."`
	WebhookURL string        `env:"FLOWBRIDGE_WEBHOOK_URL" placeholder:"URL" help:"Where Meta, Slack and PagerDuty reach the public address: what stands before /webhooks/whatsapp. Default: --public-url."`
	Timeout    time.Duration `default:"5s" help:"How long one call may take."`
	JSON       bool          `name:"json" help:"Print the findings as JSON."`
}

// diagnosis is what one check saw.
type diagnosis = notifiers.Finding

// What a check may find.
const (
	statusOK   = notifiers.StatusOK
	statusWarn = notifiers.StatusWarn
	statusFail = notifiers.StatusFail
)

func fine(name, seen string, args ...any) diagnosis { return notifiers.Fine(name, seen, args...) }
func warn(name, seen, do string) diagnosis          { return notifiers.Warn(name, seen, do) }
func fail(name, seen, do string) diagnosis          { return notifiers.Fail(name, seen, do) }

// doctor is one examination.
type doctor struct {
	doctorCommand
	p    *program
	http *http.Client
	now  func() time.Time

	rules   *rules.Rules // nil where they have mistakes
	secrets map[string]router.Secret
	faults  map[string]error // of secrets that could not be read, by name

	secretFiles []string // that the rules take secrets from

	skews skews
}

const (
	// groupTimeout bounds all that is asked of one service.
	groupTimeout = 30 * time.Second
	// maxDoctorAnswer bounds what is read of one answer: a page of 1,000 channels.
	maxDoctorAnswer = 8 << 20
)

// Run examines everything that serve would use, and sends nobody a message or a page.
func (c doctorCommand) Run(ctx context.Context, p *program) error {
	if c.Timeout <= 0 {
		return wrongUsage("--timeout: give more than 0, such as 5s")
	}
	d := c.doctor(p)
	findings := d.examine(ctx)
	if err := d.print(p.Stdout, findings); err != nil {
		return err
	}
	if slices.ContainsFunc(findings, func(f diagnosis) bool { return f.Status == statusFail }) {
		return errFault
	}
	return nil
}

// doctor returns one that asks the services themselves.
func (c doctorCommand) doctor(p *program) *doctor { return newDoctor(c, p, notifiers.NewTransport()) }

func newDoctor(c doctorCommand, p *program, transport http.RoundTripper) *doctor {
	d := &doctor{
		doctorCommand: c, p: p, now: time.Now,
		http: &http.Client{
			Timeout:   c.Timeout,
			Transport: transport,
			// A redirect would carry a token to whoever it names.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		secrets: map[string]router.Secret{}, faults: map[string]error{},
	}
	for _, secret := range ownSecrets() {
		var err error
		if d.secrets[secret.name], err = p.secret(secret.name); err != nil {
			d.faults[secret.name] = err
		}
	}
	d.WebhookURL = strings.TrimRight(cmp.Or(c.WebhookURL, c.PublicURL), "/")
	return d
}

// examine runs the checks, those of different services at the same time, and returns what they found in a fixed order.
func (d *doctor) examine(ctx context.Context) []diagnosis {
	findings := d.checkRules() // the others ask it for channels and keys
	findings = append(findings, d.checkSecrets()...)
	findings = append(findings, d.checkFiles()...)
	var groups []func(context.Context) []diagnosis
	for _, s := range notifierKinds() {
		groups = append(groups, func(ctx context.Context) []diagnosis { return s.examine(ctx, d.of(s.kind)) })
	}
	groups = append(groups, d.checkDatabase, d.checkPublic)
	found := make([][]diagnosis, len(groups))
	var work sync.WaitGroup
	for i, group := range groups {
		work.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, groupTimeout)
			defer cancel()
			found[i] = group(ctx)
		})
	}
	work.Wait()
	findings = append(findings, slices.Concat(found...)...)
	return append(findings, d.checkClock())
}

// of is what the checks of a kind may ask.
func (d *doctor) of(kind router.Kind) *notifiers.Doctor {
	return &notifiers.Doctor{
		Targets: d.targets(kind), RulesRead: d.rules != nil, Public: d.WebhookURL, Setting: d.p.setting, Ask: d.ask,
		Secret: func(name string) router.Secret { return d.secrets[name] },
		Unread: func(name string) bool { return d.faults[name] != nil },
	}
}

// print writes a line for each check, or JSON. Whatever others said, no secret comes out.
func (d *doctor) print(w io.Writer, findings []diagnosis) error {
	hide := d.hider()
	for i := range findings {
		f := &findings[i]
		f.Name, f.Seen, f.Do = clean(hide.Replace(f.Name)), clean(hide.Replace(f.Seen)), clean(hide.Replace(f.Do))
	}
	if d.JSON {
		good := !slices.ContainsFunc(findings, func(f diagnosis) bool { return f.Status == statusFail })
		return printJSON(w, map[string]any{"ok": good, "checks": findings})
	}
	for _, f := range findings {
		line := fmt.Sprintf("%-4s %s: %s", f.Status, f.Name, f.Seen)
		if f.Do != "" {
			line += " -> " + f.Do
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// hider puts dots in the place of every secret that the doctor knows.
func (d *doctor) hider() *strings.Replacer {
	var pairs []string
	hide := func(s router.Secret) {
		for one := range strings.SplitSeq(s.Reveal(), ",") {
			if one = strings.TrimSpace(one); one != "" {
				pairs = append(pairs, one, s.String(), url.QueryEscape(one), s.String(), url.PathEscape(one), s.String())
			}
		}
	}
	for _, secret := range d.secrets {
		hide(secret)
	}
	for _, t := range d.targets("") {
		hide(t.Credential)
		if t.Kind.Private() {
			hide(router.Secret(t.Address))
		}
	}
	addresses := []string{d.DB, d.WebhookURL, d.p.setting("SLACK_API_URL"), d.p.setting("PAGERDUTY_EVENTS_URL"), d.p.setting("PAGERDUTY_API_URL")}
	for _, address := range addresses {
		if u, err := url.Parse(address); err == nil && u.User != nil {
			password, _ := u.User.Password()
			hide(router.Secret(password))
		}
	}
	return strings.NewReplacer(pairs...)
}

// targets returns the notifiers of a kind, "" for all; none where the rules have mistakes.
func (d *doctor) targets(kind router.Kind) (targets []router.Target) {
	if d.rules == nil {
		return nil
	}
	for _, t := range d.rules.Targets() {
		if kind == "" || t.Kind == kind {
			targets = append(targets, t)
		}
	}
	return targets
}

func (d *doctor) checkRules() []diagnosis {
	loaded, err := d.loadRules()
	var mistakes *rules.Mistakes
	switch {
	case errors.As(err, &mistakes):
		return []diagnosis{fail("rules", fmt.Sprintf("%s in %s, the first: %s", counted(len(*mistakes), "mistake"), d.Rules, (*mistakes)[0]),
			"run: flowbridge check "+d.Rules+"; channels and keys are not checked until it is mended")}
	case errors.Is(err, os.ErrNotExist):
		return []diagnosis{fail("rules", fmt.Sprintf("there is no %s", d.Rules), "write one, starting from rules.example.yaml, or name it with --rules")}
	case err != nil:
		return []diagnosis{fail("rules", err.Error(), "name a file that flowbridge may read with --rules")}
	}
	d.rules = loaded
	if warnings, err := d.p.checkRules(d.Rules); err == nil && len(warnings) > 0 {
		return []diagnosis{warn("rules", fmt.Sprintf("%s in %s, the first: %s", counted(len(warnings), "warning"), d.Rules, warnings[0]), "run: flowbridge check "+d.Rules)}
	}
	n := len(d.targets(""))
	if n == 0 {
		return []diagnosis{warn("rules", fmt.Sprintf("%s has no notifiers", d.Rules), "add one: nobody is told of anything")}
	}
	return []diagnosis{fine("rules", "%s has no mistakes, and %s", d.Rules, counted(n, "notifier"))}
}

// checkSecrets looks at what must be set whatever the rules say.
func (d *doctor) checkSecrets() (findings []diagnosis) {
	for name, err := range d.faults {
		findings = append(findings, fail(name, err.Error(), "set it, or a file that flowbridge may read"))
	}
	slices.SortFunc(findings, func(a, b diagnosis) int { return strings.Compare(a.Name, b.Name) })
	secrets, _ := d.p.secrets("META_APP_SECRET")
	odd := slices.ContainsFunc(secrets, func(s router.Secret) bool { return len(s) != 32 || strings.Trim(s.Reveal(), "0123456789abcdef") != "" })
	switch {
	case d.faults["META_APP_SECRET"] != nil:
	case len(secrets) == 0:
		findings = append(findings, fail("meta app secret", "META_APP_SECRET is not set", "give Meta's App settings, Basic, App secret"))
	case odd:
		findings = append(findings, warn("meta app secret", "one is not 32 hexadecimal digits", "compare it with Meta's App settings, Basic, App secret"))
	default:
		findings = append(findings, fine("meta app secret", "set (%d)", len(secrets)))
	}
	if d.secrets["META_VERIFY_TOKEN"] == "" && d.faults["META_VERIFY_TOKEN"] == nil {
		findings = append(findings, fail("meta verify token", "META_VERIFY_TOKEN is not set", "choose a long random word and give the same one to Meta's dashboard"))
	} else if d.faults["META_VERIFY_TOKEN"] == nil {
		findings = append(findings, fine("meta verify token", "set"))
	}
	return append(findings, d.checkTokens()...)
}

// checkTokens looks at who may use the admin address.
func (d *doctor) checkTokens() (findings []diagnosis) {
	admin, view, far := d.secrets[adminToken], d.secrets[viewToken], !loopback(d.Admin)
	switch f := judgeToken(adminToken, admin, far); {
	case d.faults[adminToken] != nil: // said already
	case f.seen != "":
		findings = append(findings, fail("admin token", f.seen, f.do))
	case admin != "":
		findings = append(findings, fine("admin token", "set"))
	case !far:
		findings = append(findings, fine("admin token", "not needed: only this machine reaches %s", d.Admin))
	default:
		findings = append(findings, fail("admin token", fmt.Sprintf("other machines reach %s, and FLOWBRIDGE_ADMIN_TOKEN is not set", d.Admin), "set it, or listen on 127.0.0.1"))
	}
	f := judgeToken(viewToken, view, far)
	if f.seen == "" {
		f = judgeViewToken(admin, view)
	}
	switch {
	case view == "" || d.faults[viewToken] != nil || d.faults[adminToken] != nil:
	case f.seen != "":
		findings = append(findings, fail("view token", f.seen, f.do))
	default:
		findings = append(findings, fine("view token", "set"))
	}
	return findings
}
