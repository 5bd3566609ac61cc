package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"flowbridge/router/rules"
	databases "flowbridge/router/store/storetest"
)

// special are files that are none: reading them may never end.
var special = []struct {
	name string
	make func(t *testing.T, path string)
}{
	{"a pipe that nobody writes to", func(t *testing.T, path string) { must(t, syscall.Mkfifo(path, 0o600)) }},
	{"a device without an end", func(t *testing.T, path string) { must(t, os.Symlink("/dev/zero", path)) }},
	{"a socket", func(t *testing.T, path string) {
		t.Chdir(filepath.Dir(path)) // the path of a socket is short
		l, err := net.Listen("unix", filepath.Base(path))
		must(t, err)
		t.Cleanup(func() { _ = l.Close() })
	}},
	{"a folder without rules", func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) }},
	{"a folder with a pipe in it", func(t *testing.T, path string) {
		must(t, os.Mkdir(path, 0o700), syscall.Mkfifo(filepath.Join(path, "a.yaml"), 0o600))
	}},
	{"a file without an end", func(t *testing.T, path string) { // and without blocks on the disk
		f, err := os.Create(path)
		must(t, err)
		must(t, f.Truncate(1<<40), f.Close())
	}},
}

// TestRulesThatAreNoFileAreRefusedAndStopNothing puts them where the rules of a running bridge were, and ends it there.
func TestRulesThatAreNoFileAreRefusedAndStopNothing(t *testing.T) {
	for _, c := range special {
		t.Run(c.name, func(t *testing.T) {
			s := newServices(t, "#ops")
			path := writeRules(t, ruleNamed("everything"))
			p := start(t, s, path, databases.File(t))
			must(t, os.Remove(path))
			c.make(t, path)
			must(t, p.cmd.Process.Signal(syscall.SIGHUP))
			eventually(t, "the rules are refused", func() bool {
				return hasLine(getText(t, p.Admin+"/metrics"), "flowbridge_rules_last_reload_good 0")
			})
			p.post(t, pairPost(lately, "77", "ACTIVATED", 50), http.StatusOK)
			eventually(t, "Slack is told by the old rules", func() bool { return len(s.Slack.Messages("#ops")) == 1 })
			must(t, p.stop(t))
		})
	}
}

// TestRulesThatAreNoFileAreRefusedAtTheStart asks for what serve reads, and for keys.
func TestRulesThatAreNoFileAreRefusedAtTheStart(t *testing.T) {
	p := program{Getenv: func(string) (string, bool) { return "", false }}
	for _, c := range special {
		path := filepath.Join(t.TempDir(), "file")
		c.make(t, path)
		if _, err := rulesReader(p.rulesConfig())(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("rules that are %s: %v", c.name, err)
		}
		_, err := rulesReader(p.rulesConfig())(writeRules(t, keyedRules(path)))
		if !errors.As(err, new(*rules.Mistakes)) || !strings.Contains(err.Error(), "cannot be read: ") {
			t.Errorf("a key that is %s: %v", c.name, err)
		}
	}
}

// TestCommandsRefuseWhatIsNoFile gives them to every command that reads a file. A pipe of a shell is one that ends, and
// is refused as well: standard input is there for it.
func TestCommandsRefuseWhatIsNoFile(t *testing.T) {
	databases.Long(t)
	path, err := binary()
	must(t, err)
	rulesFile := writeRules(t, ruleNamed("everything"))
	for _, c := range special {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "file")
			c.make(t, file)
			for _, args := range [][]string{
				{"check", file}, {"check", "--json", file}, {"check", "--against", "http://127.0.0.1:1", file},
				{"explain", "--rules", file}, {"explain", "--rules", rulesFile, file}, {"test", file},
				{"send", "--print", "--file", file}, {"replay", "--rules", file}, {"replay", "--rules", rulesFile, "--db", file},
				{"backup", "--db", file, file + ".copy"}, {"forget", "--phone", "15550100", "--db", file},
				{"serve", "--rules", file}, {"serve", "--rules", rulesFile, "--db", file, "--listen", "127.0.0.1:0", "--admin",
					"127.0.0.1:0"},
				{"serve", "--rules", rulesFile, "--tls-cert", file, "--tls-key", file},
				{"doctor", "--rules", file, "--db", file},
			} {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				cmd := exec.CommandContext(ctx, path, args...)
				cmd.Dir = t.TempDir()
				cmd.Env = append(os.Environ(), "META_APP_SECRET="+testSecret, "META_VERIFY_TOKEN=verify-token-of-the-test",
					"SLACK_BOT_TOKEN=xoxb-1", "SLACK_API_URL=http://127.0.0.1:1/")
				said, err := cmd.CombinedOutput()
				if ctx.Err() != nil {
					t.Errorf("flowbridge %s does not end", strings.Join(args, " "))
				} else if cmd.ProcessState.ExitCode() != exitFault || !strings.Contains(string(said), file) &&
					!strings.Contains(string(said), "no SQLite database") {
					t.Errorf("flowbridge %s: %v\n%s", strings.Join(args, " "), err, said)
				}
				cancel()
			}
		})
	}
}

// TestStandardInputIsBounded gives what has no end to the commands that read it.
func TestStandardInputIsBounded(t *testing.T) {
	path, err := binary()
	must(t, err)
	for _, args := range [][]string{
		{"explain", "--rules", writeRules(t, ruleNamed("everything")), "-"}, {"send", "--print", "--file", "-"},
	} {
		zero, err := os.Open("/dev/zero")
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.Stdin = zero
		said, err := cmd.CombinedOutput()
		if want := "flowbridge: standard input: is larger than 4096 KiB\n"; string(said) != want {
			t.Errorf("flowbridge %s: %v, says %q, want %q", strings.Join(args, " "), err, said[:min(len(said), 200)], want)
		}
		cancel()
		must(t, zero.Close())
	}
}

// TestRulesOfAllFilesTogetherAreBounded writes files without blocks on the disk.
func TestRulesOfAllFilesTogetherAreBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range maxRules/maxRulesFile + 1 {
		path := filepath.Join(dir, string(rune('a'+i))+".yaml")
		writeFile(t, path, "")
		must(t, os.Truncate(path, maxRulesFile))
	}
	_, err := readRules(dir)
	if want := dir + ": has more than 64 MiB of rules in it"; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

// hangingRules reads rules from files that do not answer while it is told so.
type hangingRules struct{ answer chan error }

func (h *hangingRules) read(string) (loadedRules, error) {
	return loadedRules{keys: keyFiles{}}, <-h.answer
}

func TestFilesThatDoNotAnswerHoldUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := mustLoadRules(t, ruleNamed("old"))
		h := hangingRules{make(chan error)}
		set := newRuleset("/nowhere/rules.yaml", loadedRules{rules: first}, h.read, nil, slog.New(slog.DiscardHandler))
		begun := time.Now()
		err := set.reload(t.Context())
		if err == nil || !strings.Contains(err.Error(), "/nowhere/rules.yaml cannot be read within 30 s") ||
			time.Since(begun) != rulesLimit {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		if set.rules() != first || set.trouble() == "" {
			t.Errorf("other rules are in force, or nobody hears of it: %q", set.trouble())
		}
		if err := set.reload(t.Context()); err == nil { // and does not begin to read once more
			t.Error("a second reload succeeds")
		}
		h.answer <- nil // after all
		synctest.Wait()
		select {
		case <-set.late:
		default:
			t.Error("nobody hears that the files answer")
		}
		go func() { h.answer <- nil }()
		if err := set.reload(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func mustLoadRules(t *testing.T, text string) *rules.Rules {
	t.Helper()
	r, err := rules.Load("rules.yaml", []byte(text), rules.Config{})
	must(t, err)
	return r
}

// TestRulesNeverGetTheBridgesOwnSecrets knows them all by name.
func TestRulesNeverGetTheBridgesOwnSecrets(t *testing.T) {
	t.Parallel()
	for _, own := range ownSecrets() {
		if !slices.Contains(rules.OwnSecrets(), own.name) {
			t.Errorf("rules can have %s", own.name)
		}
	}
	for _, path := range []string{"/proc/self/environ", "/proc/../proc/self/environ", "/dev/null",
		"/dev/../sys/kernel/mm/transparent_hugepage/enabled"} {
		p := program{Getenv: func(string) (string, bool) { return "", false }}
		if _, err := p.readKeyFile(path); !errors.Is(err, errMadeUp) && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
