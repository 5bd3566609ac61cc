package rules

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

// inFiles reads the files of a folder of testdata, in the order of their names.
func inFiles(t *testing.T, folder string) (files []File) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, File{filepath.Base(path), data})
	}
	return files
}

func TestTeamsOwnTheirFiles(t *testing.T) {
	rules, err := LoadFiles(inFiles(t, "teams"), testConfig())
	if err != nil {
		t.Fatal(err)
	}
	if fallback, ok := rules.Fallback(); !ok || fallback.Notifier != "ops" {
		t.Errorf("fallback is %+v", fallback)
	}
	for _, c := range []struct {
		ev   router.Event
		want string
	}{
		{activated(router.EndpointLatency, 7000), "payments are slow: critical to ops, payments"},
		{with(activated(router.EndpointLatency, 7000), func(ev *router.Event) { ev.Flow = "2" }),
			"growth: critical to growth"},
		{with(activated(router.EndpointLatency, 7000), func(ev *router.Event) { ev.Flow = "3" }), "default: critical to ops"},
	} {
		c.ev.At = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
		if got := inWords(rules.Decide(&c.ev)); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestMistakesInSeveralFilesAreReportedTogether(t *testing.T) {
	_, err := LoadFiles(inFiles(t, "clash"), testConfig())
	var mistakes *Mistakes
	if !errors.As(err, &mistakes) {
		t.Fatalf("error is %v", err)
	}
	checkGolden(t, "testdata/clash/want.txt", err.Error()+"\n")
}

func TestAFileThatIsCutShortDoesNotMakeNamesUnknownInOthers(t *testing.T) {
	_, err := LoadFiles([]File{
		{"a.yaml", []byte("version: 1\nrules:\n  - {name: a, match: {team: x}, during: night, notify: chat}\n")},
		{"b.yaml", []byte("version: 1\nnotifiers:\n  chat: {kind: slack, channel: \"#chat}\n")},
	}, testConfig())
	want := "b.yaml:3:3: a quoted text is never closed (add the missing quote)"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestNoFilesAreNoRules(t *testing.T) {
	if _, err := LoadFiles(nil, Config{}); err == nil || !strings.Contains(err.Error(), "there are no rules files") {
		t.Errorf("error is %v", err)
	}
}

// checkGolden compares got with a file, or writes it with -update.
func checkGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
