package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	databases "flowbridge/router/store/storetest"
)

// needTool leaves a test out where this machine lacks a program, and fails it where databases.Require names it.
func needTool(t *testing.T, program, require string) string {
	t.Helper()
	return databases.Tool(t, program, require, "apt-get install "+program)
}

// completionCases are lines, and what must and must not be offered at their end.
var completionCases = []struct {
	line      string
	want, not []string
}{
	{"flowbridge inc", []string{"incidents"}, []string{"events"}},
	{"flowbridge incidents ", []string{"list", "acknowledge", "page"}, []string{"serve"}},
	{"flowbridge incidents --sta", []string{"--state"}, []string{"--strict"}},
	{"flowbridge incidents list --state ", []string{"unresolved", "resolved"}, []string{"list", "parked"}},
	{"flowbridge deliveries list --state pa", []string{"parked"}, []string{"delivered"}},
	// a value that is named like a command
	{"flowbridge incidents --flow events list --li", []string{"--limit"}, []string{"--admin"}},
	{"flowbridge incidents ack --b", []string{"--by"}, []string{"--state"}},
	{"flowbridge send --event ENDPOINT_AV", []string{"ENDPOINT_AVAILABILITY"}, []string{"FLOW_STATUS_CHANGE"}},
	{"flowbridge send --new-status BLO", []string{"BLOCKED"}, []string{"THROTTLED"}},
	{"flowbridge serve --log-level ", []string{"debug", "warn"}, []string{"json"}},
	{"flowbridge docs con", []string{"connect"}, []string{"rules"}},
	{"flowbridge check a\\ f", []string{"a file.yaml"}, []string{"serve"}},
	{"flowbridge serve --rules ", []string{"a file.yaml"}, []string{"serve"}},
	{"flowbridge health", nil, []string{"healthcheck"}}, // hidden
}

// TestShellsCompleteTheCommandLine has each shell load what it is given, and asks it what it offers.
func TestShellsCompleteTheCommandLine(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	for _, shell := range []struct {
		name string
		// offers returns what stands at the end of a line, one a line, in a folder where the script is at path.
		offers func(t *testing.T, program, script, line string) string
	}{{"bash", bashOffers}, {"fish", fishOffers}, {"zsh", zshOffers}} {
		t.Run(shell.name, func(t *testing.T) {
			program := needTool(t, shell.name, "shells")
			dir := t.TempDir()
			script := filepath.Join(dir, "script")
			must(t, os.WriteFile(script, []byte(printed(t, "completion", shell.name)), 0o644))
			must(t, os.Mkdir(filepath.Join(dir, "in"), 0o755))
			must(t, os.WriteFile(filepath.Join(dir, "in", "a file.yaml"), nil, 0o644))
			for _, c := range completionCases {
				got := strings.ReplaceAll(shell.offers(t, program, script, c.line), `\`, "") // as they quote blanks
				for _, word := range c.want {
					if !offersWord(got, word) {
						t.Errorf("%q: %s is not offered:\n%s", c.line, word, got)
					}
				}
				for _, word := range c.not {
					if offersWord(got, word) {
						t.Errorf("%q: %s is offered:\n%s", c.line, word, got)
					}
				}
			}
		})
	}
}

// offersWord says whether a line of what is offered begins with a word; more of it is the description.
func offersWord(offered, word string) bool {
	return regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(word) + `(?:[=]?\s|=?$)`).MatchString(offered)
}

// printed is what a command prints.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	var out, problems strings.Builder
	p := program{Stdout: &out, Stderr: &problems, Getenv: func(string) (string, bool) { return "", false }}
	if code := p.run(t.Context(), args); code != exitDone || problems.Len() > 0 {
		t.Fatalf("flowbridge %s: status %d: %s", strings.Join(args, " "), code, problems.String())
	}
	return out.String()
}

// runShell runs a program in the folder that has the files.
func runShell(t *testing.T, script string, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = filepath.Join(filepath.Dir(script), "in")
	cmd.Env = append(os.Environ(), "HOME="+filepath.Dir(script), "XDG_CONFIG_HOME="+filepath.Dir(script), "TERM=dumb",
		"LC_ALL=C.UTF-8")
	cmd.Stdin = strings.NewReader(stdin)
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// bashOffers calls the function as bash does: = is a word by itself.
func bashOffers(t *testing.T, program, script, line string) string {
	return runShell(t, script, "", program, "--norc", "--noprofile", "-c", `
set -u
source "$1"
complete -p flowbridge >/dev/null
line=${2//\\ /$'\x01'}
read -r -a COMP_WORDS <<<"${line//=/ = }"
for i in "${!COMP_WORDS[@]}"; do COMP_WORDS[i]=${COMP_WORDS[i]//$'\x01'/ }; done
if [[ $2 == *' ' ]]; then COMP_WORDS+=(''); fi
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_flowbridge
printf '%s\n' "${COMPREPLY[@]-}"
`, "bash", script, line)
}

func fishOffers(t *testing.T, program, script, line string) string {
	return runShell(t, script, "", program, "--no-config", "-c", `source $argv[1]; complete -C $argv[2]`, script, line)
}

// zshOffers types a line into a zsh on a terminal of its own, and reads what its list shows.
func zshOffers(t *testing.T, program, script, line string) string {
	return runShell(t, script, "", program, "-f", absolute(t, "testdata/complete.zsh"), script, line)
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	must(t, err)
	return path
}

// TestTheManualPageIsWellWritten has mandoc look at it, and looks for all that the command line has.
func TestTheManualPageIsWellWritten(t *testing.T) {
	t.Parallel()
	page := printed(t, "man")
	for _, want := range []string{".Ss \\&incidents \\&acknowledge", ".It Fl -\\&keep-events Ns = Ns Ar \\&TIME",
		"Default: 90d.", "FLOWBRIDGE_KEEP_EVENTS"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if strings.Contains(page, "healthcheck") || strings.Contains(page, "SWEEP_EVERY") {
		t.Error("the page has what is hidden")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "flowbridge.1")
	must(t, os.WriteFile(file, []byte(page), 0o644))
	out, err := exec.CommandContext(t.Context(), needTool(t, "mandoc", "mandoc"), "-T", "lint", "-W", "warning",
		file).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("mandoc: %v\n%s", err, out)
	}
}

// TestTheManualPageNamesEveryVariable holds it against what the code reads.
func TestTheManualPageNamesEveryVariable(t *testing.T) {
	t.Parallel()
	page := printed(t, "man")
	code := sources(t, func(path string) bool {
		return strings.HasPrefix(path, "../../cmd/flowbridge/") && !strings.HasSuffix(path, "_test.go")
	})
	hidden := []string{"FLOWBRIDGE_SWEEP_EVERY", "FLOWBRIDGE_STALLED_AFTER", "FLOWBRIDGE_WATCH_EVERY",
		"FLOWBRIDGE_UNBUDGETED"}
	for _, m := range regexp.MustCompile(`"((?:META|SLACK|PAGERDUTY|FLOWBRIDGE)_[A-Z_]+[A-Z])"`).FindAllStringSubmatch(
		code, -1) {
		if !slices.Contains(hidden, m[1]) && !strings.Contains(page, m[1]) {
			t.Errorf("the page does not name %s", m[1])
		}
	}
}
