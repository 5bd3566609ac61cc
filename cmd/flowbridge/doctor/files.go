package doctor

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"flowbridge/router/rules"
	"flowbridge/router/store"
)

// loadRules reads the rules and notes which files they take secrets from.
func (d *Doctor) loadRules() (*rules.Rules, error) {
	cfg := d.cfg.RulesConfig
	read := cfg.ReadFile
	cfg.ReadFile = func(path string) ([]byte, error) {
		d.secretFiles = append(d.secretFiles, path)
		return read(path)
	}
	return d.cfg.ReadRules(d.cfg.Rules, cfg)
}

// checkFiles names the files with secrets that everybody on this machine can read, and those of the database that
// anybody else can.
func (d *Doctor) checkFiles() (findings []diagnosis) {
	files := slices.Clone(d.secretFiles)
	for name := range d.cfg.Secrets {
		if path := d.cfg.Setting(name + "_FILE"); path != "" {
			files = append(files, path)
		}
	}
	slices.Sort(files)
	var open []string
	for _, path := range slices.Compact(files) {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o004 != 0 && runtime.GOOS != "windows" {
			open = append(open, fmt.Sprintf("%s (%v)", path, info.Mode().Perm()))
		}
	}
	if len(open) > 0 {
		findings = append(findings, warn("secret files", "everybody on this machine can read "+strings.Join(open, ", "),
			"chmod 0400, owned by the user that runs flowbridge; in Kubernetes set defaultMode: 0400"))
	}
	if store.CheckDSN(d.cfg.DB) != nil || store.IsPostgres(d.cfg.DB) {
		return findings
	}
	open = nil
	inbox := store.InboxPath(d.cfg.DB)
	for _, file := range []string{d.cfg.DB, d.cfg.DB + "-wal", d.cfg.DB + "-shm", d.cfg.DB + ".lock", inbox,
		inbox + "-wal", inbox + "-shm"} {
		if mode, is := store.OpenToOthers(file); is {
			open = append(open, fmt.Sprintf("%s (%v)", file, mode))
		}
	}
	if len(open) > 0 {
		findings = append(findings, warn("database files", "others on this machine have rights on "+strings.Join(open, ", "),
			"nothing: the next start takes them away"))
	}
	return findings
}
