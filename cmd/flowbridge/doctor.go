package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"flowbridge/cmd/flowbridge/doctor"
	"flowbridge/notifiers"
	"flowbridge/router"
)

type doctorCommand struct {
	Rules      string        `default:"rules.yaml" env:"FLOWBRIDGE_RULES" complete:"file" help:"Rules, as serve takes them."`
	Admin      string        `default:"127.0.0.1:9090" env:"FLOWBRIDGE_ADMIN" help:"Admin address, as serve takes it."`
	DB         string        `name:"db" default:"flowbridge.db" env:"FLOWBRIDGE_DB" complete:"file" help:"Database, as serve takes it."`
	PublicURL  string        `env:"FLOWBRIDGE_PUBLIC_URL" placeholder:"URL" help:"Where people reach the admin address, as serve takes it."`
	WebhookURL string        `env:"FLOWBRIDGE_WEBHOOK_URL" placeholder:"URL" help:"Where Meta, Slack and PagerDuty reach the public address: what stands before /webhooks/whatsapp. Default: --public-url."`
	Heartbeat  string        `env:"FLOWBRIDGE_HEARTBEAT" placeholder:"URL" help:"Dead man's switch, as serve takes it: it is reached, and not called."`
	Timeout    time.Duration `default:"5s" help:"How long one call may take."`
	JSON       bool          `name:"json" help:"Print the findings as JSON."`
}

// Run examines everything that serve would use, and sends nobody a message or a page.
func (c doctorCommand) Run(ctx context.Context, p *program) error {
	if c.Timeout <= 0 {
		return wrongUsage("--timeout: give more than 0, such as 5s")
	}
	cfg := c.config(p)
	cfg.Through = true
	report := doctor.New(cfg).Examine(ctx)
	var err error
	if c.JSON {
		err = printJSON(p.Stdout, report)
	} else {
		err = report.Print(p.Stdout)
	}
	switch {
	case err != nil:
		return err
	case !report.OK:
		return errFault
	}
	return nil
}

// doctor returns one that asks the services themselves.
func (c doctorCommand) doctor(p *program) *doctor.Doctor { return doctor.New(c.config(p)) }

func (c doctorCommand) config(p *program) doctor.Config {
	cfg := doctor.Config{
		Rules: c.Rules, DB: c.DB, WebhookURL: cmp.Or(c.WebhookURL, c.PublicURL), Guessed: c.WebhookURL == "",
		Heartbeat: c.Heartbeat, Timeout: c.Timeout,
		Setting: p.setting, Secrets: map[string]router.Secret{}, Unread: map[string]error{},
		ReadRules: loadRules, RulesConfig: p.rulesConfig(), Warnings: p.checkRules,
		Transport: notifiers.NewTransport(), Version: version(), Clean: clean,
	}
	for _, secret := range ownSecrets() {
		var err error
		if cfg.Secrets[secret.name], err = p.secret(secret.name); err != nil {
			cfg.Unread[secret.name] = err
		}
	}
	for _, s := range notifierKinds() {
		cfg.Kinds = append(cfg.Kinds, doctor.Kind{Kind: s.kind, Examine: s.examine, Glance: s.glance})
	}
	cfg.Tokens = c.checkTokens(cfg.Secrets, cfg.Unread)
	return cfg
}

// checkTokens looks at who may use the admin address.
func (c doctorCommand) checkTokens(secrets map[string]router.Secret,
	unread map[string]error) (findings []notifiers.Finding) {
	admin, view, far := secrets[adminToken], secrets[viewToken], !loopback(c.Admin)
	switch f := judgeToken(adminToken, admin, far); {
	case unread[adminToken] != nil: // said already
	case f.seen != "":
		findings = append(findings, notifiers.Fail("admin token", f.seen, f.do))
	case admin != "":
		findings = append(findings, notifiers.Fine("admin token", "set"))
	case !far:
		findings = append(findings, notifiers.Fine("admin token", "not needed: only this machine reaches %s", c.Admin))
	default:
		findings = append(findings, notifiers.Fail("admin token",
			fmt.Sprintf("other machines reach %s, and FLOWBRIDGE_ADMIN_TOKEN is not set", c.Admin),
			"set it, or listen on 127.0.0.1"))
	}
	f := judgeToken(viewToken, view, far)
	if f.seen == "" {
		f = judgeViewToken(admin, view)
	}
	switch {
	case view == "" || unread[viewToken] != nil || unread[adminToken] != nil:
	case f.seen != "":
		findings = append(findings, notifiers.Fail("view token", f.seen, f.do))
	default:
		findings = append(findings, notifiers.Fine("view token", "set"))
	}
	return findings
}
