package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"flowbridge/cmd/flowbridge/replay"
	"flowbridge/router/store"
	databases "flowbridge/router/store/storetest"
)

func TestReplayIsACommand(t *testing.T) {
	t.Parallel()
	db, candidate := filepath.Join(databases.TempDir(t), "past.db"), filepath.Join(t.TempDir(), "rules.yaml")
	past, err := store.Open(t.Context(), store.Config{DSN: db, StartWait: databases.Patience})
	if err != nil {
		t.Fatal(err)
	}
	defer past.Close() // the bridge may run
	writeFile(t, candidate,
		"version: 1\nnotifiers: {oncall: {kind: pagerduty, routing_key: \"${PD_KEY}\"}}\nrules: [{name: all, match: {}, "+
			"notify: oncall}]\n")
	run := func(args ...string) (string, string, int) {
		var out, errs bytes.Buffer
		p := program{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
			Getenv: func(string) (string, bool) { return "", false }}
		code := p.run(context.Background(), append([]string{"replay", "--rules", candidate}, args...))
		return out.String(), errs.String(), code
	}
	out, errs, code := run("--db", db, "--since", "30d")
	if code != exitDone || !strings.HasPrefix(out, "0 events folded through "+candidate+" in ") {
		t.Errorf("ended with %d: %s\n%s", code, errs, out)
	}
	out, errs, code = run("--db", db, "--json")
	var report replay.Report
	if err := json.Unmarshal([]byte(out), &report); code != exitDone || err != nil || report.Rules != candidate ||
		len(report.NeverHit) != 1 {
		t.Errorf("ended with %d: %v %s\n%s", code, err, errs, out)
	}
	for _, c := range []struct {
		want, db, since string
		code            int
	}{
		{"no such file", filepath.Join(databases.TempDir(t), "none.db"), "30d", exitFault},
		{"is no SQLite database", candidate, "30d", exitFault},
		{"--since: \"a month\" is no length of time: write 30d, 12h or 90m", db, "a month", exitUsage},
	} {
		if _, errs, code := run("--db", c.db, "--since", c.since); code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("ended with %d and said %q, want %q", code, errs, c.want)
		}
	}
}
