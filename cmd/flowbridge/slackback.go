package main

import (
	"errors"
	"net/http"

	"github.com/julienschmidt/httprouter"
	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/notifiers/slack"
	"flowbridge/router"
)

// slackBack is what the way back from Slack needs beside the bot token.
type slackBack struct {
	SigningSecret router.Secret // of what Slack posts to us
	AppToken      router.Secret // of Socket Mode, where Slack cannot reach us
}

// on says whether anything that people do in Slack reaches us.
func (s slackBack) on() bool { return s.SigningSecret != "" || s.AppToken != "" }

// slackBack reads the secrets from the environment.
func (p *program) slackBack(token router.Secret) (s slackBack, err error) {
	var faults []error
	for _, one := range []struct {
		name string
		into *router.Secret
	}{{"SLACK_SIGNING_SECRET", &s.SigningSecret}, {"SLACK_APP_TOKEN", &s.AppToken}} {
		*one.into, err = p.secret(one.name)
		faults = append(faults, err)
	}
	if s.on() && token == "" {
		faults = append(faults,
			errors.New(
				"SLACK_BOT_TOKEN is not set, and SLACK_SIGNING_SECRET or SLACK_APP_TOKEN is: what people press in Slack needs "+
					"all of them"))
	}
	return s, errors.Join(faults...)
}

// wireSlackBack makes who takes what people press and write in Slack, and the routes that Slack may reach. There is
// none where nothing could be trusted, and there are none where Slack has no secret to sign with.
func (b *bridge) wireSlackBack(routes *httprouter.Router, metrics prometheus.Registerer) (err error) {
	if !b.cfg.SlackBack.on() {
		return nil
	}
	b.slack, err = slack.NewReceiver(slack.ReceiverConfig{
		Token:            b.cfg.SlackToken,
		TokenNow:         b.cfg.SecretFiles.one("SLACK_BOT_TOKEN"),
		SigningSecret:    b.cfg.SlackBack.SigningSecret,
		SigningSecretNow: b.cfg.SecretFiles.one("SLACK_SIGNING_SECRET"),
		AppToken:         b.cfg.SlackBack.AppToken,
		AppTokenNow:      b.cfg.SecretFiles.one("SLACK_APP_TOKEN"),
		APIURL:           b.cfg.SlackURL,
		Allow:            b.slackAllow,
		Notifiers:        b.slackNotifiers,
		Seen:             b.background.saw,
		Now:              b.cfg.Now,
		Logger:           b.cfg.Logger,
		Registerer:       metrics,
	}, b.store)
	if err != nil || b.cfg.SlackBack.SigningSecret == "" {
		return err
	}
	routes.Handler(http.MethodPost, "/slack/actions", http.HandlerFunc(b.slack.Actions))
	routes.Handler(http.MethodPost, "/slack/commands", http.HandlerFunc(b.slack.Commands))
	return nil
}

// slackAllow returns who may act on what a notifier told, as the rules have it now.
func (b *bridge) slackAllow(notifier string) []string { return b.rules.rules().Allow(notifier) }

// slackNotifiers lists the notifiers of Slack that the rules have now.
func (b *bridge) slackNotifiers() (names []string) {
	for _, t := range targetsOf(b.rules.rules(), slack.Kind) {
		names = append(names, t.Notifier)
	}
	return names
}
