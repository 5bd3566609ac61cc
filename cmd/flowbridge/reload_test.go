package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/rules"
	databases "flowbridge/router/store/storetest"
)

// ruleNamed is a file with one rule.
func ruleNamed(name string) string {
	return `version: 1
notifiers:
  chat: {kind: slack, channel: "#ops"}
rules:
  - name: ` + name + `
    match: {field: flows}
    notify: [chat]
`
}

// watched returns a ruleset over path that a goroutine of the test watches and looks at every so often, and how to ask
// it for a reload.
func watched(t *testing.T, path string, poll time.Duration) (*ruleset, chan<- os.Signal) {
	t.Helper()
	p := program{Getenv: os.LookupEnv}
	read := rulesReader(p.rulesConfig())
	first, err := read(path)
	if err != nil {
		t.Fatal(err)
	}
	set := newRuleset(path, first, read, nil, slog.New(slog.DiscardHandler))
	set.poll = poll
	ctx, cancel := context.WithCancel(context.Background())
	hup := make(chan os.Signal, 1)
	var watching sync.WaitGroup
	watching.Go(func() { set.watch(ctx, hup) })
	t.Cleanup(func() {
		cancel()
		watching.Wait()
	})
	return set, hup
}

func firstRule(r *rules.Rules) string {
	d := r.Decide(&router.Event{Source: router.SourceMeta, Field: "flows", Name: router.EndpointErrorRate,
		AlertState: router.Activated})
	return d.Rule()
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestChangedRulesAreReadByThemselves changes the file as editors, shells and Kubernetes do.
func TestChangedRulesAreReadByThemselves(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		how    string
		change func(t *testing.T, path string)
	}{
		{"written in place", func(t *testing.T, path string) { writeFile(t, path, ruleNamed("new")) }},
		{"another file renamed over it", func(t *testing.T, path string) {
			writeFile(t, path+".part", ruleNamed("new"))
			if err := os.Rename(path+".part", path); err != nil {
				t.Fatal(err)
			}
		}},
		{"removed and written again", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			writeFile(t, path, ruleNamed("new"))
		}},
	} {
		t.Run(c.how, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "rules.yaml")
			writeFile(t, path, ruleNamed("old"))
			set, hup := watched(t, path, time.Hour)
			nudge(t, set, hup) // the watcher stands
			c.change(t, path)
			eventually(t, "the new rule is in force", func() bool { return firstRule(set.rules()) == "new" })
		})
	}
}

// nudge asks for a reload and waits until it has happened: from then on changes are seen.
func nudge(t *testing.T, set *ruleset, hup chan<- os.Signal) {
	t.Helper()
	before := set.rules()
	hup <- syscall.SIGHUP
	eventually(t, "SIGHUP is heard", func() bool { return set.rules() != before })
}

// TestALinkSwappedByKubernetesIsSeen mounts a ConfigMap as kubelet does: the file is a link into ..data, which is
// itself a link that is swapped.
func TestALinkSwappedByKubernetesIsSeen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mount := func(version string) {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, version, "rules.yaml"), ruleNamed(strings.Trim(version, ".")))
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	mount("..old")
	path := filepath.Join(dir, "rules.yaml")
	if err := os.Symlink(filepath.Join("..data", "rules.yaml"), path); err != nil {
		t.Fatal(err)
	}
	set, hup := watched(t, path, time.Hour)
	nudge(t, set, hup)
	mount("..new")
	eventually(t, "the new rule is in force", func() bool { return firstRule(set.rules()) == "new" })
}

// TestAFolderOfRulesIsWatched adds, changes and removes files of a folder.
func TestAFolderOfRulesIsWatched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "50-all.yaml"), ruleNamed("everything"))
	set, hup := watched(t, dir, time.Hour)
	nudge(t, set, hup)
	more := filepath.Join(dir, "10-payments.yaml")
	write := func(name string) {
		writeFile(t, more, "version: 1\nrules:\n  - name: "+name+"\n    match: {field: flows}\n    notify: [chat]\n")
	}
	write("payments")
	eventually(t, "the rule of the new file is in force", func() bool { return firstRule(set.rules()) == "payments" })
	write("payments anew")
	eventually(t, "it has changed", func() bool { return firstRule(set.rules()) == "payments anew" })
	if err := os.Remove(more); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is gone", func() bool { return firstRule(set.rules()) == "everything" })
}

// TestWhatNoNotificationTellsOfIsSeenAllTheSame swaps what the path goes through.
func TestWhatNoNotificationTellsOfIsSeenAllTheSame(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		how    string
		path   func(current string) string
		change func(t *testing.T, releases string)
	}{
		{"a link further up is swapped", func(current string) string { return filepath.Join(current, "rules.yaml") },
			func(t *testing.T, releases string) {
				next := filepath.Join(releases, "next")
				if err := errors.Join(os.Symlink("2", next), os.Rename(next, filepath.Join(releases, "current"))); err != nil {
					t.Fatal(err)
				}
			}},
		{"the folder is replaced", func(current string) string { return current }, func(t *testing.T, releases string) {
			if err := errors.Join(os.Rename(filepath.Join(releases, "1"), filepath.Join(releases, "old")),
				os.Rename(filepath.Join(releases, "2"), filepath.Join(releases, "1"))); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.how, func(t *testing.T) {
			releases := t.TempDir()
			for name, rule := range map[string]string{"1": "old", "2": "a new one"} {
				if err := os.Mkdir(filepath.Join(releases, name), 0o700); err != nil {
					t.Fatal(err)
				}
				writeFile(t, filepath.Join(releases, name, "rules.yaml"), ruleNamed(rule))
			}
			if err := os.Symlink("1", filepath.Join(releases, "current")); err != nil {
				t.Fatal(err)
			}
			set, hup := watched(t, c.path(filepath.Join(releases, "current")), 20*time.Millisecond)
			nudge(t, set, hup)
			c.change(t, releases)
			eventually(t, "the new rule is in force", func() bool { return firstRule(set.rules()) == "a new one" })
		})
	}
}

// TestBrokenRulesLeaveTheOldOnesInForce edits the rules of a running bridge, wrong and then right.
func TestBrokenRulesLeaveTheOldOnesInForce(t *testing.T) {
	t.Parallel()
	s := newServices(t, "#ops", "#other")
	path := writeRules(t, ruleNamed("old"))
	p := start(t, s, path, databases.File(t))
	p.post(t, pairPost(lately, "77", "ACTIVATED", 50), http.StatusOK)
	eventually(t, "Slack is told", func() bool { return len(s.Slack.Messages("#ops")) == 1 })

	writeFile(t, path, strings.Replace(ruleNamed("new"), "notify: [chat]", "notify: [chta]", 1))
	eventually(t, "the file is refused", func() bool {
		return hasLine(getText(t, p.Admin+"/metrics"), `flowbridge_rules_reloads_total{result="refused"} 1`)
	})
	eventually(t, "the log says where the mistake is", func() bool { // it is written a moment later
		log := p.stderr.String()
		return strings.Contains(log, `rules.yaml:7:14`) && strings.Contains(log, `did you mean \"chat\"`)
	})
	if !hasLine(getText(t, p.Admin+"/metrics"), "flowbridge_rules_last_reload_good 0") {
		t.Error("the metric does not say that the files are not in force")
	}
	p.post(t, pairPost(lately+60, "78", "ACTIVATED", 50), http.StatusOK)
	eventually(t, "the old rules still tell", func() bool { return len(s.Slack.Messages("#ops")) == 2 })

	writeFile(t, path, strings.Replace(ruleNamed("new"), `"#ops"`, `"#other"`, 1))
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new rules are in force", func() bool {
		return hasLine(getText(t, p.Admin+"/metrics"), "flowbridge_rules_last_reload_good 1")
	})
	p.post(t, pairPost(lately+120, "79", "ACTIVATED", 50), http.StatusOK)
	eventually(t, "the other channel is told", func() bool { return len(s.Slack.Messages("#other")) == 1 })

	// What is open stays where it was opened.
	p.post(t, pairPost(lately+180, "77", "DEACTIVATED", 50), http.StatusOK)
	eventually(t, "the incident of the old rules is resolved where it was told", func() bool {
		return strings.Contains(s.Slack.Messages("#ops")[0].Text, "esolved")
	})
	if n := len(s.Slack.Messages("#other")); n != 1 {
		t.Errorf("#other was told %d times, want once", n)
	}
}
