package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func TestARulesFileThatIsMountedByItselfIsWarnedOf(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	folder := filepath.Join(dir, "the rules")
	must(t, os.Mkdir(folder, 0o755))
	file, link := filepath.Join(folder, "rules.yaml"), filepath.Join(dir, "link.yaml")
	must(t, os.WriteFile(file, []byte("version: 1\n"), 0o600))
	must(t, os.Symlink(file, link))
	// as the kernel writes them; see proc_pid_mountinfo(5)
	mounted := func(points ...string) string {
		text := "36 35 98:0 / / rw,noatime master:1 - overlay overlay rw\n"
		for _, point := range points {
			text += "37 36 98:1 /mnt2 " + strings.ReplaceAll(point, " ", `\040`) + " ro,noatime - ext4 /dev/root rw\n"
		}
		return text
	}
	for _, tt := range []struct {
		name  string
		rules string
		info  string
		want  bool
	}{
		{"another system", file, "", false},
		{"no mount", file, mounted(), false},
		{"the file", file, mounted("/etc/hosts", file), true},
		{"the file, by a longer name", folder + "/../the rules//rules.yaml", mounted(file), true},
		{"the file, behind a link", link, mounted(file), true},
		{"the folder", file, mounted(folder), false},
		{"a folder of rules", folder, mounted(folder), false},
		{"a file in a folder of rules", folder, mounted(file), true},
		{"a file beside it", file, mounted(file+".old", filepath.Join(folder, "more.yaml")), false},
		{"nonsense", file, "x\n\n36 35 98:0 / \\777\\9\n", false},
		{"no rules", filepath.Join(dir, "nowhere.yaml"), mounted(file), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files := fstest.MapFS{}
			if tt.info != "" {
				files["proc/self/mountinfo"] = &fstest.MapFile{Data: []byte(tt.info)}
			}
			var log bytes.Buffer
			warnOfLoneMount(tt.rules, files, slog.New(slog.NewTextHandler(&log, nil)))
			want := 0
			if tt.want {
				want = 1
			}
			if got := strings.Count(log.String(), "-v ./rules:"+folder+":ro"); got != want {
				t.Errorf("%d warnings, want %d: %s", got, want, &log)
			}
		})
	}
}
