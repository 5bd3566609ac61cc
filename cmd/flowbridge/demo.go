package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"runtime"
	"time"

	"flowbridge/cmd/flowbridge/demo"
	"flowbridge/router"
)

type demoCommand struct {
	Once bool `help:"End after the story: exit status 0, or 1 if something arrived that should not have, or did not."`

	Open bool `help:"Open the page of the demo in the browser."`

	LogLevel  demoLevel `env:"FLOWBRIDGE_LOG_LEVEL" complete:"debug,info,warn,error" placeholder:"LEVEL" default:"warn" help:"The least of the bridge's log that is shown: debug, info, warn or error. Default: warn. From info on down it is shown while the story is told, too."`
	LogFormat logFormat `env:"FLOWBRIDGE_LOG_FORMAT" complete:"json,text" placeholder:"FORMAT" help:"Form of the log: json or text. Default: text."`
}

// demoLevel is the least that is logged, from a warning on: the zero one is a warning, since a demo tells its story by
// itself.
type demoLevel struct{ fromWarn slog.Level }

// UnmarshalText reads what a person wrote.
func (l *demoLevel) UnmarshalText(text []byte) error {
	var level logLevel
	if len(text) == 0 {
		level.Level = slog.LevelWarn
	} else if err := level.UnmarshalText(text); err != nil {
		return err
	}
	l.fromWarn = level.Level - slog.LevelWarn
	return nil
}

func (l demoLevel) level() logLevel { return logLevel{slog.LevelWarn + l.fromWarn} }

// Run plays yesterday.
func (c demoCommand) Run(ctx context.Context, p *program) error {
	return c.play(ctx, p, time.Now().UTC().Truncate(24*time.Hour).Add(-24*time.Hour))
}

// play plays the day which begins at midnight.
func (c demoCommand) play(ctx context.Context, p *program, midnight time.Time) error {
	client := newHTTPClient(0)
	log := logFlags{c.LogLevel.level(), cmp.Or(c.LogFormat, "text")}
	err := demo.Play(ctx, demo.Config{
		Midnight: midnight, Once: c.Once, Out: p.Stdout, Err: p.Stderr, Open: openDemo, HTTP: client, Show: c.show(),
		Log: log.handler, LogNow: log.LogLevel.Level < slog.LevelWarn,
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

// show returns what opens a page in the browser, nil where nobody asked for that.
func (c demoCommand) show() func(context.Context, string) error {
	if !c.Open || c.Once {
		return nil
	}
	return func(ctx context.Context, url string) error {
		if err := openBrowser(ctx, url); err != nil {
			return fmt.Errorf("no browser could be opened (%w): open %s yourself", err, url)
		}
		return nil
	}
}

// openBrowser has the system open an address. Some systems come back when the browser ends: it ends with ctx, too.
func openBrowser(ctx context.Context, url string) error {
	command := []string{"xdg-open"}
	switch runtime.GOOS {
	case "darwin":
		command = []string{"open"}
	case "windows":
		command = []string{"rundll32", "url.dll,FileProtocolHandler"}
	}
	cmd := exec.CommandContext(ctx, command[0], append(command[1:], url)...)
	cmd.WaitDelay = time.Second
	return cmd.Run()
}

// openDemo builds the bridge of a demo.
func openDemo(ctx context.Context, s demo.Settings) (demo.Bridge, error) {
	b, err := newBridge(ctx, bridgeConfig{
		Rules: s.Rules, RulesRead: loadedRules{shown: s.RulesShown}, DB: s.DB, PublicURL: s.PublicURL,
		AppSecrets: []router.Secret{s.AppSecret}, VerifyToken: s.VerifyToken,
		SlackToken: s.SlackToken, SlackURL: s.SlackURL, PagerDutyURL: s.PagerDutyURL,
		SlackBack:     slackBack{SigningSecret: s.SigningSecret},
		PagerDutyBack: pagerDutyBack{Secrets: []router.Secret{s.WebhookSecret}},
		Unbudgeted:    s.Unbudgeted, Now: s.Now, Logger: s.Logger, KeepAttempts: keepAttempts,
		WatchEvery: -1, // its clock jumps: the story says when it looks
		Passing:    true,
	})
	if err != nil {
		return demo.Bridge{}, err
	}
	return demo.Bridge{Store: b.store, Run: b.run, Look: b.watcher.turn}, nil
}
