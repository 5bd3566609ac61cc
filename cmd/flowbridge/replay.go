package main

import (
	"context"
	"runtime/debug"
	"time"

	"flowbridge/cmd/flowbridge/replay"
	"flowbridge/router"
	"flowbridge/router/store"
)

type replayCommand struct {
	Rules string `default:"rules.yaml" env:"FLOWBRIDGE_RULES" complete:"file" help:"Rules to try: a file, or a folder of them."`
	DB    string `name:"db" default:"flowbridge.db" env:"FLOWBRIDGE_DB" complete:"file" help:"Database of a bridge. It is only read; the bridge may run."`
	Since string `placeholder:"30d" help:"Compare only what began in this time, such as 30d or 12h. Default: the whole journal."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// Run folds the journal through other rules and prints what would have been told otherwise. Nobody is told anything.
func (c replayCommand) Run(ctx context.Context, p *program) error {
	since, err := c.since()
	if err != nil {
		return err
	}
	r, err := p.loadTrialRules(c.Rules, nil)
	if err != nil {
		return p.badRules(err)
	}
	h, err := store.OpenHistory(ctx, c.DB)
	if err != nil {
		return err
	}
	defer h.Close()
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	p.inNoHurry()
	started := time.Now()
	report, err := replay.Run(ctx, h, r, since)
	if err != nil {
		return err
	}
	report.Rules, report.Seconds = c.Rules, time.Since(started).Seconds()
	if c.JSON {
		return printJSON(p.Stdout, report)
	}
	return report.Print(p.Stdout, clean)
}

// gcPercent trades memory for time: what a replay keeps is small, what it throws away is much.
const gcPercent = 400

func (c replayCommand) since() (d time.Duration, err error) {
	if c.Since == "" {
		return 0, nil
	}
	d, ok := router.ParseDuration(c.Since)
	if !ok {
		return 0, wrongUsage("--since: %q is no length of time: write 30d, 12h or 90m", c.Since)
	}
	if d <= 0 || d > 100*365*24*time.Hour {
		return 0, wrongUsage("--since: %s is nothing to compare", c.Since)
	}
	return d, nil
}
