package main

import (
	"context"
	"errors"
	"time"

	"flowbridge/cmd/flowbridge/demo"
	"flowbridge/router"
)

type demoCommand struct {
	Once bool `help:"End after the story: exit status 0, or 1 if something arrived that should not have, or did not."`
}

// Run plays yesterday.
func (c demoCommand) Run(ctx context.Context, p *program) error {
	return c.play(ctx, p, time.Now().UTC().Truncate(24*time.Hour).Add(-24*time.Hour))
}

// play plays the day which begins at midnight.
func (c demoCommand) play(ctx context.Context, p *program, midnight time.Time) error {
	client := newHTTPClient(0)
	err := demo.Play(ctx, demo.Config{
		Midnight: midnight, Once: c.Once, Out: p.Stdout, Err: p.Stderr, Open: openDemo, HTTP: client,
		// NO_COLOR: see no-color.org.
		ANSI: isTerminal(p.Stdout) && p.setting("NO_COLOR") == "" && p.setting("TERM") != "dumb",
		Post: func(ctx context.Context, url string, secret router.Secret, body []byte) (status string, err error) {
			status, _, _, err = postSigned(ctx, client, url, secret, body)
			return status, err
		},
	})
	if errors.Is(err, demo.ErrStory) {
		return errFault
	}
	return err
}

// openDemo builds the bridge of a demo.
func openDemo(ctx context.Context, s demo.Settings) (demo.Bridge, error) {
	b, err := newBridge(ctx, bridgeConfig{
		Rules: s.Rules, DB: s.DB, PublicURL: s.PublicURL,
		AppSecrets: []router.Secret{s.AppSecret}, VerifyToken: s.VerifyToken,
		SlackToken: s.SlackToken, SlackURL: s.SlackURL, PagerDutyURL: s.PagerDutyURL,
		SlackBack:     slackBack{SigningSecret: s.SigningSecret},
		PagerDutyBack: pagerDutyBack{Secrets: []router.Secret{s.WebhookSecret}},
		Unbudgeted:    s.Unbudgeted, Now: s.Now, Logger: s.Logger,
	})
	if err != nil {
		return demo.Bridge{}, err
	}
	return demo.Bridge{Store: b.store, Run: b.run}, nil
}
