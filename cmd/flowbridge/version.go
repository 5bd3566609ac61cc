package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// These are set when a release is built: -ldflags "-X main.release=v1.2.3 -X main.commit=... -X
// main.date=2026-01-31T12:00:00Z". The date is that of the commit, so that two builds of it are the same bytes.
var release, commit, date string

type versionCommand struct{}

// Run prints one line: the version, the commit and its date where they are known, and the platform.
func (versionCommand) Run(p *program) error {
	built := builtFrom()
	origin := strings.Join(slices.DeleteFunc([]string{built.commit, built.date}, func(s string) bool { return s == "" }),
		", ")
	if origin != "" {
		origin = " (" + origin + ")"
	}
	_, err := fmt.Fprintf(p.Stdout, "flowbridge %s%s %s %s/%s\n", version(), origin, runtime.Version(), runtime.GOOS,
		runtime.GOARCH)
	return err
}

// origin is what a binary was built from; what is not known is "".
type origin struct{ commit, date string }

// builtFrom takes what a release was given, else what the Go command wrote down of the working tree.
func builtFrom() origin {
	of := origin{shortCommit(commit), date}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return of
	}
	vcs := map[string]string{}
	for _, s := range info.Settings {
		vcs[s.Key] = s.Value
	}
	seen := shortCommit(vcs["vcs.revision"])
	if seen != "" && vcs["vcs.modified"] == "true" {
		seen += "+changes"
	}
	return origin{cmp.Or(of.commit, seen), cmp.Or(of.date, vcs["vcs.time"])}
}

// shortCommit is a commit as people say it.
func shortCommit(id string) string { return id[:min(len(id), 12)] }

// version is that of the release, else it names the commit.
func version() string {
	if of := builtFrom(); release == "" && of.commit != "" {
		return "dev-" + of.commit
	}
	return cmp.Or(release, "dev")
}
