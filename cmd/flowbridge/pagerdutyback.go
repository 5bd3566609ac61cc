package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/mail"

	"github.com/julienschmidt/httprouter"
	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/notifiers/pagerduty"
	"flowbridge/router"
)

// pagerDutyBack is what PagerDuty's way back needs: what people do there, and what it calls our incidents. Either part
// may be left out.
type pagerDutyBack struct {
	Secrets []router.Secret // of webhook subscriptions; none: no webhooks are taken
	Token   router.Secret   // of the REST API; "": nothing is looked up
	APIURL  string
	From    string // e-mail of the user in whose name notes are written; "": none are
}

// pagerDutyBack reads it from the environment.
func (p *program) pagerDutyBack() (back pagerDutyBack, err error) {
	var secretFault, tokenFault, fromFault error
	back.Secrets, secretFault = p.secrets("PAGERDUTY_WEBHOOK_SECRET")
	back.Token, tokenFault = p.secret("PAGERDUTY_API_TOKEN")
	back.APIURL, back.From = p.setting("PAGERDUTY_API_URL"), p.setting("PAGERDUTY_FROM")
	for i, secret := range back.Secrets {
		if secret == "" {
			secretFault = fmt.Errorf("PAGERDUTY_WEBHOOK_SECRET: secret %d of %d is empty: check the commas", i+1,
				len(back.Secrets))
		}
	}
	if a, err := mail.ParseAddress(back.From); back.From != "" && (err != nil || a.Address != back.From) {
		fromFault = fmt.Errorf("PAGERDUTY_FROM: %q is no e-mail address: give that of a PagerDuty user", back.From)
	}
	return back, errors.Join(secretFault, tokenFault, fromFault, webAddress("PAGERDUTY_API_URL", back.APIURL))
}

// wirePagerDutyBack adds the route of the webhooks, and makes what looks incidents up.
func (b *bridge) wirePagerDutyBack(routes *httprouter.Router, metrics *prometheus.Registry) error {
	back := b.cfg.PagerDutyBack
	if len(back.Secrets) > 0 {
		hooks, err := pagerduty.NewWebhooks(pagerduty.WebhookConfig{
			Secrets: back.Secrets, SecretsNow: b.cfg.SecretFiles.all("PAGERDUTY_WEBHOOK_SECRET"), Lookups: back.Token != "",
			Seen: b.background.saw,
			Now:  b.cfg.Now, Logger: b.cfg.Logger, Registerer: metrics,
		}, b.store)
		if err != nil {
			return err
		}
		routes.Handler(http.MethodPost, "/webhooks/pagerduty", hooks)
	}
	if back.Token == "" {
		return nil
	}
	var err error
	b.linker, err = pagerduty.NewLinker(pagerduty.LinkerConfig{
		Token: back.Token, TokenNow: b.cfg.SecretFiles.one("PAGERDUTY_API_TOKEN"), APIURL: back.APIURL,
		Now: b.cfg.Now, Logger: b.cfg.Logger, Registerer: metrics,
	}, b.store)
	return err
}

// runPagerDutyBack looks incidents up until ctx ends.
func (b *bridge) runPagerDutyBack(ctx context.Context) {
	if b.linker != nil {
		b.linker.Run(ctx)
	}
}
