package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"

	databases "flowbridge/router/store/storetest"
)

// pipe returns both ends of a pipe of the system; the process that gets one notices when the other is closed.
func pipe(t *testing.T) (read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = read.Close(), write.Close() })
	return read, write
}

// TestABridgeOutlivesWhoReadsItsLog is `flowbridge serve 2>&1 | head -1`.
func TestABridgeOutlivesWhoReadsItsLog(t *testing.T) {
	t.Parallel()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	s := newServices(t, "#ops")
	read, write := pipe(t)
	p := &process{
		cmd: exec.Command(path, "serve", "--rules", writeRules(t, ruleNamed("everything")), "--db",
			databases.File(t),
			"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"),
		stderr: &logBuffer{}, ended: make(chan error, 1),
	}
	p.cmd.Env = append(os.Environ(), s.env...)
	p.cmd.Stdout, p.cmd.Stderr = write, write
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(p.kill)
	_ = write.Close()
	for lines := bufio.NewScanner(read); p.Public == "" && lines.Scan(); {
		var line struct{ Msg, Listen, Admin string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "flowbridge is ready" {
			p.Public, p.Admin = "http://"+line.Listen, "http://"+line.Admin
		}
	}
	_ = read.Close() // head has seen enough

	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil { // which is logged
		t.Fatal(err)
	}
	eventually(t, "a line of the log is lost", func() bool { return p.counter(t, "flowbridge_log_lines_lost_total") > 0 })
	p.post(t, pairPost(lately, "77", "ACTIVATED", 50), http.StatusOK)
	eventually(t, "Slack is told", func() bool { return len(s.Slack.Messages("#ops")) == 1 })
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.end(t); err != nil {
		t.Errorf("asked to end, it ended with %v", err)
	}
}

// TestACommandEndsAsUsualWhereNobodyReadsWhatItPrints is `flowbridge COMMAND | true`.
func TestACommandEndsAsUsualWhereNobodyReadsWhatItPrints(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	broken := writeRules(t, "version: 2\n")
	for _, c := range []struct {
		name string
		args []string
		want int
	}{
		{"a page of text", []string{"schema"}, exitDone},
		{"JSON", []string{"check", "--json", "../../rules.example.yaml"}, exitFault}, // its variables are not set
		{"mistakes", []string{"check", broken}, exitFault},
		{"help", []string{"help"}, exitDone},
		{"wrong usage", []string{"check", "--nonsense"}, exitUsage},
		{"a day of trouble", []string{"demo", "--once"}, exitDone},
	} {
		for _, both := range []bool{false, true} {
			read, write := pipe(t)
			_ = read.Close()
			var stderr bytes.Buffer
			cmd := exec.CommandContext(t.Context(), path, c.args...)
			cmd.Stdout, cmd.Stderr = write, &stderr
			if both {
				cmd.Stderr = write
			}
			err := cmd.Run()
			if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
				t.Fatal(err)
			}
			if got := cmd.ProcessState.ExitCode(); got != c.want || c.want != exitUsage && stderr.Len() > 0 {
				t.Errorf("%s, standard error too: %t: ended with %v, want status %d\n%s", c.name, both, err, c.want, &stderr)
			}
		}
	}
}
