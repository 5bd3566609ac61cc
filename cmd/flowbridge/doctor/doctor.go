// Package doctor looks at everything that serve would use (rules, secrets, services, database, clock, certificate) and
// says of each what it saw and what to do about it. It tells nobody anything and changes nothing. Which questions a
// service is asked is left to the packages of its kind, and reading flags, rules and secrets to its caller.
package doctor

import (
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
	"unicode/utf8"

	"flowbridge/notifiers"
	"flowbridge/router"
	"flowbridge/router/rules"
)

// Config is what a doctor looks at, and how.
type Config struct {
	Rules      string // path of the rules, as serve takes it
	DB         string // database, as serve takes it
	WebhookURL string // where Meta, Slack and PagerDuty reach the public address; "" where it is not known
	// Guessed says that WebhookURL is only where people reach the console: Meta may reach the bridge elsewhere.
	Guessed   bool
	Heartbeat string        // URL of a dead man's switch, as serve takes it; "" for none
	Timeout   time.Duration // of one call
	Through   bool          // a SQLite file is read through, for damage, as far as the time of one call allows

	// Setting returns a variable of the environment that is no secret; "" where it is not set.
	Setting func(name string) string
	// Secrets are the bridge's own, by the names of their variables, and Unread says why some could not be read.
	Secrets map[string]router.Secret
	Unread  map[string]error
	// ReadRules reads rules with a RulesConfig. Its error is a *rules.Mistakes where a person got something wrong.
	ReadRules   func(path string, cfg rules.Config) (*rules.Rules, error)
	RulesConfig rules.Config
	// Warnings returns what is worth saying of rules that have no mistakes.
	Warnings func(path string) (rules.Mistakes, error)
	// Tokens is what the caller found of the tokens of the admin address: it alone judges them.
	Tokens []notifiers.Finding
	// Kinds are those that are asked, in the order in which they are told of.
	Kinds []Kind

	Transport http.RoundTripper        // of all calls
	Version   string                   // that the calls name
	Clean     func(text string) string // takes out of what others wrote what a terminal would act on
	Now       func() time.Time         // nil: time.Now
}

// Kind is a kind of notifiers, and what asks its service.
type Kind struct {
	Kind    router.Kind
	Examine func(ctx context.Context, d *notifiers.Doctor) []notifiers.Finding
	Glance  func(ctx context.Context, d *notifiers.Doctor) []notifiers.Finding // the least of that; nil: nothing
}

// Doctor is one examination.
type Doctor struct {
	cfg  Config
	http *http.Client

	rules       *rules.Rules // nil where they have mistakes
	secretFiles []string     // that the rules take secrets from

	skews skews
}

// New returns a doctor who has looked at nothing yet.
func New(cfg Config) *Doctor {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.WebhookURL = strings.TrimRight(cfg.WebhookURL, "/")
	return &Doctor{cfg: cfg, http: &http.Client{
		Timeout:   cfg.Timeout,
		Transport: cfg.Transport,
		// A redirect would carry a token to whoever it names.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Report is what a doctor found. No secret is in it.
type Report struct {
	Checks []notifiers.Finding `json:"checks"`
	OK     bool                `json:"ok"` // nothing has failed
}

// Print writes a line for each check.
func (r *Report) Print(w io.Writer) error {
	for _, f := range r.Checks {
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

const (
	// groupTimeout bounds all that is asked of one service.
	groupTimeout = 30 * time.Second
	// maxDoctorAnswer bounds what is read of one answer: a page of 1,000 channels.
	maxDoctorAnswer = 8 << 20
)

// Examine runs the checks, those of different services at the same time, and reports what they found in a fixed order.
func (d *Doctor) Examine(ctx context.Context) *Report {
	findings := d.checkRules() // the others ask it for channels and keys
	findings = append(findings, d.checkSecrets()...)
	findings = append(findings, d.checkFiles()...)
	groups := []func(context.Context) []diagnosis{d.checkGraph}
	for _, k := range d.cfg.Kinds {
		groups = append(groups, func(ctx context.Context) []diagnosis { return k.Examine(ctx, d.of(k.Kind)) })
	}
	groups = append(groups, d.checkDatabase, d.checkPublic, d.checkHeartbeat)
	findings = append(findings, together(ctx, groups)...)
	return d.report(append(findings, d.checkClock()))
}

// Glance asks services no more than whether they take our tokens. r are the rules in force.
func (d *Doctor) Glance(ctx context.Context, r *rules.Rules) *Report {
	d.rules = r
	var groups []func(context.Context) []diagnosis
	for _, k := range d.cfg.Kinds {
		if k.Glance != nil {
			groups = append(groups, func(ctx context.Context) []diagnosis { return k.Glance(ctx, d.of(k.Kind)) })
		}
	}
	return d.report(together(ctx, groups))
}

// together runs checks at the same time, each bounded in time, and returns what they found in their order.
func together(ctx context.Context, groups []func(context.Context) []diagnosis) []diagnosis {
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
	return slices.Concat(found...)
}

// of is what the checks of a kind may ask.
func (d *Doctor) of(kind router.Kind) *notifiers.Doctor {
	return &notifiers.Doctor{
		Targets: d.targets(kind), RulesRead: d.rules != nil, Public: d.cfg.WebhookURL, Setting: d.cfg.Setting, Ask: d.Ask,
		Secret: func(name string) router.Secret { return d.cfg.Secrets[name] },
		Unread: func(name string) bool { return d.cfg.Unread[name] != nil },
	}
}

// report makes a report of findings: whatever others said, no secret comes out.
func (d *Doctor) report(findings []diagnosis) *Report {
	hide := d.hider()
	for i := range findings {
		f := &findings[i]
		f.Name, f.Seen, f.Do = d.cfg.Clean(hide.Replace(f.Name)), d.cfg.Clean(hide.Replace(f.Seen)),
			d.cfg.Clean(hide.Replace(f.Do))
	}
	return &Report{Checks: findings,
		OK: !slices.ContainsFunc(findings, func(f diagnosis) bool { return f.Status == statusFail })}
}

// hider puts dots in the place of every secret that the doctor knows.
func (d *Doctor) hider() *strings.Replacer {
	var pairs []string
	hide := func(s router.Secret) {
		for one := range strings.SplitSeq(s.Reveal(), ",") {
			one = strings.TrimSpace(one)
			switch {
			case one == "":
			case !router.Secret(one).Hideable(): // as the query of an address still
				pairs = append(pairs, "="+url.QueryEscape(one), "="+s.String())
			default:
				pairs = append(pairs, one, s.String(), url.QueryEscape(one), s.String(), url.PathEscape(one), s.String())
			}
		}
	}
	for _, secret := range d.cfg.Secrets {
		hide(secret)
	}
	for _, t := range d.targets("") {
		hide(t.Credential)
		if t.Kind.Private() {
			hide(router.Secret(t.Address))
		}
	}
	addresses := []string{d.cfg.DB, d.cfg.WebhookURL, d.cfg.Setting("SLACK_API_URL"),
		d.cfg.Setting("PAGERDUTY_EVENTS_URL"), d.cfg.Setting("PAGERDUTY_API_URL"),
		d.cfg.Setting("META_GRAPH_URL")}
	for _, address := range addresses {
		if u, err := url.Parse(address); err == nil && u.User != nil {
			password, _ := u.User.Password()
			hide(router.Secret(password))
		}
	}
	return strings.NewReplacer(pairs...)
}

// targets returns the notifiers of a kind, "" for all; none where the rules have mistakes.
func (d *Doctor) targets(kind router.Kind) (targets []router.Target) {
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

func (d *Doctor) checkRules() []diagnosis {
	loaded, err := d.loadRules()
	var mistakes *rules.Mistakes
	switch {
	case errors.As(err, &mistakes):
		return []diagnosis{fail("rules", fmt.Sprintf("%s in %s, the first: %s", counted(len(*mistakes), "mistake"),
			d.cfg.Rules, (*mistakes)[0]),
			"run: flowbridge check "+d.cfg.Rules+"; channels and keys are not checked until it is mended")}
	case errors.Is(err, os.ErrNotExist):
		return []diagnosis{fail("rules", fmt.Sprintf("there is no %s", d.cfg.Rules),
			"write one, starting from rules.example.yaml, or name it with --rules")}
	case err != nil:
		return []diagnosis{fail("rules", err.Error(), "name a file that flowbridge may read with --rules")}
	}
	d.rules = loaded
	if warnings, err := d.cfg.Warnings(d.cfg.Rules); err == nil && len(warnings) > 0 {
		return []diagnosis{warn("rules", fmt.Sprintf("%s in %s, the first: %s", counted(len(warnings), "warning"),
			d.cfg.Rules, warnings[0]), "run: flowbridge check "+d.cfg.Rules)}
	}
	n := len(d.targets(""))
	if n == 0 {
		return []diagnosis{warn("rules", fmt.Sprintf("%s has no notifiers", d.cfg.Rules),
			"add one: nobody is told of anything")}
	}
	return []diagnosis{fine("rules", "%s has no mistakes, and %s", d.cfg.Rules, counted(n, "notifier"))}
}

// checkSecrets looks at what must be set whatever the rules say.
func (d *Doctor) checkSecrets() (findings []diagnosis) {
	for name, err := range d.cfg.Unread {
		findings = append(findings, fail(name, err.Error(), "set it, or a file that flowbridge may read"))
	}
	slices.SortFunc(findings, func(a, b diagnosis) int { return strings.Compare(a.Name, b.Name) })
	var secrets []string
	if all := d.cfg.Secrets["META_APP_SECRET"].Reveal(); all != "" {
		secrets = strings.Split(all, ",")
	}
	odd := slices.ContainsFunc(secrets, func(s string) bool {
		s = strings.TrimSpace(s)
		return len(s) != 32 || strings.Trim(s, "0123456789abcdef") != ""
	})
	switch {
	case d.cfg.Unread["META_APP_SECRET"] != nil:
	case len(secrets) == 0:
		findings = append(findings, fail("meta app secret", "META_APP_SECRET is not set",
			"give Meta's App settings, Basic, App secret"))
	case odd:
		findings = append(findings, warn("meta app secret", "one is not 32 hexadecimal digits",
			"compare it with Meta's App settings, Basic, App secret"))
	default:
		findings = append(findings, fine("meta app secret", "set (%d)", len(secrets)))
	}
	if d.cfg.Secrets["META_VERIFY_TOKEN"] == "" && d.cfg.Unread["META_VERIFY_TOKEN"] == nil {
		findings = append(findings, fail("meta verify token", "META_VERIFY_TOKEN is not set",
			"choose a long random word and give the same one to Meta's dashboard"))
	} else if n := utf8.RuneCountInString(d.cfg.Secrets["META_VERIFY_TOKEN"].Reveal()); n > 0 && n < LeastVerifyToken {
		findings = append(findings, warn("meta verify token",
			fmt.Sprintf("META_VERIFY_TOKEN has %d character%s, and anybody can guess it", n, plural(n)),
			"make one with openssl rand -hex 16, and give it to Meta's dashboard"))
	} else if d.cfg.Unread["META_VERIFY_TOKEN"] == nil {
		findings = append(findings, fine("meta verify token", "set"))
	}
	return append(findings, d.cfg.Tokens...)
}

// LeastVerifyToken is how many characters META_VERIFY_TOKEN should have: fewer can be tried out.
const LeastVerifyToken = 8

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// counted writes how many there are of something: "1 mistake", "3 mistakes".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
