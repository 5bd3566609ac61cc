package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	databases "flowbridge/router/store/storetest"
)

// TestLinesThatFindNoRoomAreDroppedAndCounted logs into a pipe that nobody reads, and then reads it.
func TestLinesThatFindNoRoomAreDroppedAndCounted(t *testing.T) {
	read, write := pipe(t)
	o := &outlet{file: write}
	o.queued(logFlags{})
	logger := newLogger(o)
	const lines = 20_000
	for i := range lines {
		logger.Info("a line", "number", i) // it ends: nobody waits
	}
	dropped := o.queue.dropped.Load()
	if dropped == 0 {
		t.Fatal("no line was dropped: the test needs more")
	}
	ended := make(chan []string)
	go func() {
		var got []string
		for scan := bufio.NewScanner(read); scan.Scan(); {
			got = append(got, scan.Text())
		}
		ended <- got
	}()
	o.queue.close()
	<-o.queue.done
	_ = write.Close()
	next := int64(0)
	for _, text := range <-ended {
		var line struct {
			Number int64
			Lines  *int64
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if line.Lines != nil {
			next += *line.Lines
			continue
		}
		if line.Number != next {
			t.Fatalf("line %d where %d should be", line.Number, next)
		}
		next++
	}
	if next != lines {
		t.Errorf("the log accounts for %d lines, want %d", next, lines)
	}
}

// TestWhatAProcessLogsAtItsEndIsWritten reads slowly, and until the end.
func TestWhatAProcessLogsAtItsEndIsWritten(t *testing.T) {
	t.Parallel()
	read, write := pipe(t)
	o := &outlet{file: write}
	o.queued(logFlags{})
	go func() {
		fmt.Fprintln(o, "the last words")
		o.flush()
		_ = write.Close()
	}()
	if got, err := io.ReadAll(read); err != nil || string(got) != "the last words\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestALogThatNobodyReadsHoldsNothingUp fills the pipe of a bridge.
func TestALogThatNobodyReadsHoldsNothingUp(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	path, err := binary()
	must(t, err)
	s := newServices(t, "#ops")
	read, write := pipe(t)
	p := &process{
		cmd: exec.Command(path, "serve", "--rules", writeRules(t, ruleNamed("everything")), "--db",
			databases.File(t),
			"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"),
		stderr: &logBuffer{}, ended: make(chan error, 1),
	}
	p.cmd.Env = append(os.Environ(), s.env...)
	p.cmd.Stderr = write
	must(t, p.cmd.Start())
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(p.kill)
	_ = write.Close()
	lines := bufio.NewScanner(read)
	for p.Public == "" && lines.Scan() {
		var line struct{ Msg, Listen, Admin string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "flowbridge is ready" {
			p.Public, p.Admin = "http://"+line.Listen, "http://"+line.Admin
		}
	}
	client := http.Client{Timeout: time.Minute}
	for p.counter(t, "flowbridge_log_lines_dropped_total") == 0 { // the pipe and the queue are full in the end
		for range 50 { // each is logged
			resp, err := client.Post(p.Admin+"/api/v1/reload", "application/json", strings.NewReader("{}"))
			must(t, err)
			_ = resp.Body.Close()
		}
	}
	p.post(t, pairPost(lately, "77", "ACTIVATED", 50), http.StatusOK)
	eventually(t, "Slack is told", func() bool { return len(s.Slack.Messages("#ops")) == 1 })
	if got := p.readiness(t); got != http.StatusOK {
		t.Errorf("/readyz says %d", got)
	}
	must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	if err := p.end(t); err != nil {
		t.Errorf("asked to end, it ended with %v", err)
	}
	rest, err := io.ReadAll(read)
	must(t, err)
	if text := string(rest); !strings.Contains(text, "the rules were read anew") {
		t.Errorf("what fitted into the pipe is gone:\n%s", text)
	}
}
