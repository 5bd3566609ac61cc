package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is set when a release is built: -ldflags "-X main.release=v1.2.3".
var release string

type versionCommand struct{}

// Run prints one line: the version, the commit where it is known, and the platform.
func (versionCommand) Run(p *program) error {
	_, err := fmt.Fprintf(p.Stdout, "flowbridge %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return cmp.Or(release, "unknown")
	}
	commit := ""
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			commit = "-" + s.Value[:12]
		}
	}
	return cmp.Or(release, "dev"+commit)
}
