package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"flowbridge/cmd/flowbridge/demo"
	databases "flowbridge/router/store/storetest"
)

// storyDay is the day that the story of these tests is about.
var storyDay = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

func TestTheDemoTellsADayAndLeavesNothingBehind(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	var stdout, stderr bytes.Buffer
	p := program{Stdout: &stdout, Stderr: &stderr, Getenv: func(string) (string, bool) { return "", false }}
	if err := (demoCommand{Once: true}).play(t.Context(), &p, storyDay); err != nil {
		t.Errorf("the demo failed: %v", err)
	}
	if stderr.Len() > 0 {
		t.Errorf("the demo complains: %s", &stderr)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("the demo leaves %v behind (%v)", left, err)
	}
	for line := range strings.Lines(stdout.String()) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > demo.Width {
			t.Errorf("%d columns, want at most %d: %s", n, demo.Width, line)
		}
	}
	golden := filepath.Join("testdata", "demo.golden")
	if *update {
		if err := os.WriteFile(golden, stdout.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(stdout.String(), "\n")); diff != "" {
		t.Errorf("the story (-want +got):\n%s", diff)
	}
}

func TestTheDemoStaysUpAndTellsWhatIsSentToIt(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), databases.Patience)
	defer stop()
	read, write := io.Pipe()
	p := program{Stdout: write, Stderr: t.Output(), Getenv: func(string) (string, bool) { return "", false }}
	ended := make(chan error, 1)
	go func() {
		ended <- demoCommand{}.play(ctx, &p, storyDay)
		write.Close()
	}()

	told := make(chan string, 1000)
	go func() {
		defer close(told)
		for lines := bufio.NewScanner(read); lines.Scan(); {
			told <- lines.Text()
		}
	}()
	until := func(part string) string {
		t.Helper()
		for line := range told {
			if strings.Contains(line, part) {
				return line
			}
		}
		t.Fatalf("the demo never said %q", part)
		return ""
	}

	// What it offers can be copied to a shell: what a person does, and what Meta sends.
	for range 2 {
		for _, field := range strings.Fields(until("export "))[1:] {
			name, value, _ := strings.Cut(field, "=")
			t.Setenv(name, value)
		}
	}
	acknowledge, send := until(" incidents acknowledge 10"), until(" send --url $BRIDGE ")
	send = strings.TrimSuffix(send, `\`) + <-told
	until("metrics")
	shell := program{Stdout: io.Discard, Stderr: t.Output(), Getenv: os.LookupEnv}
	run := func(line, command string) {
		t.Helper()
		_, args, _ := strings.Cut(os.ExpandEnv(line), " "+command+" ")
		if code := shell.run(ctx, append([]string{command}, strings.Fields(args)...)); code != exitDone {
			t.Fatalf("%q ended with status %d", line, code)
		}
	}
	run(acknowledge, "incidents")
	until("#payments-alerts: message edited  Critical: Checkout: Endpoint availability below 90 %")
	until("PagerDuty: incident acknowledged")
	run(send, "send")
	until("#payments-alerts: message edited  Resolved: Checkout: Endpoint availability")
	until("PagerDuty: incident resolved")

	stop()
	for range told { // it may have more to say
	}
	if err := <-ended; err != nil {
		t.Errorf("the demo ended with %v", err)
	}
}
