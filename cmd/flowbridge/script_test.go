package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	databases "flowbridge/router/store/storetest"
)

var update = flag.Bool("update", false, "write the golden files, also those in scripts")

func TestMain(m *testing.M) {
	if run := benchPrograms[filepath.Base(os.Args[0])]; run != nil {
		run()
		os.Exit(exitDone)
	}
	// Tables are printed in the reader's zone, whatever this machine's is.
	time.Local = time.UTC
	if err := flag.Set("test.parallel", sideBySide); err != nil { // -parallel says otherwise
		panic(err)
	}
	testscript.Main(tidy{m}, map[string]func(){"flowbridge": main})
}

// tidy runs the tests and removes what they built.
type tidy struct{ *testing.M }

func (t tidy) Run() int {
	// A post that sets out when the bridge ends an idle connection fails, and is no fault: ours are given up first.
	http.DefaultTransport.(*http.Transport).IdleConnTimeout = idleTimeout / 2
	code := t.M.Run()
	_ = os.RemoveAll(binaryDir())
	return code
}

// TestScripts runs the stories of testdata/script: what a person types, and what they see. Beside the commands
// of testscript there are
//
//	exits N flowbridge ARGS...   run it; it must end with status N
//	prints RE flowbridge ARGS... run it again and again until it prints what matches
//	capture NAME RE              set NAME to the first group of RE in what was printed last
//	bridge ARGS...               run `flowbridge serve` with stand-in services until the story ends; its addresses
//	                             are $PUBLIC and $ADMIN
//	bridge-stops                 end it; it must end with status 0
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else the race detector waits for a second at the end of each command
			b := &scriptBridge{t: env.T().(testing.TB)}
			env.Values["bridge"] = b
			env.Defer(func() { b.end() })
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":   exits,
			"prints":  prints,
			"capture": capture,
			"bridge": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Value("bridge").(*scriptBridge).start(ts, args)
			},
			"bridge-stops": func(ts *testscript.TestScript, _ bool, _ []string) {
				if code := ts.Value("bridge").(*scriptBridge).end(); code != exitDone {
					ts.Fatalf("the bridge ended with status %d", code)
				}
			},
		},
	})
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("ended with status %d, want %d", got, want)
	}
}

// prints waits for what a bridge does in its own time.
func prints(ts *testscript.TestScript, _ bool, args []string) {
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(databases.Patience); ; <-tick.C {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("never printed %s; the last run: %v", want, err)
		}
	}
}

func capture(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) < 2 {
		ts.Fatalf("%s is not in what was printed", args[1])
	}
	ts.Setenv(args[0], found[1])
}

// scriptBridge is the bridge of a script, run in this process.
type scriptBridge struct {
	t      testing.TB
	stop   context.CancelFunc
	ended  chan int
	logged chan struct{} // closed when all that it said is in the test's log
}

func (b *scriptBridge) start(ts *testscript.TestScript, args []string) {
	ctx, stop := context.WithCancel(context.Background())
	read, write := io.Pipe()
	b.stop, b.ended, b.logged = stop, make(chan int, 1), make(chan struct{})
	env := newServices(b.t, "#ops").env
	p := program{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: write,
		Getenv: func(name string) (string, bool) {
			for _, pair := range env {
				if value, ok := strings.CutPrefix(pair, name+"="); ok {
					return value, true
				}
			}
			return "", false
		}}
	go func() {
		b.ended <- p.run(ctx, append([]string{"serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...))
		write.Close()
	}()
	ready := make(chan [2]string, 1)
	go func() {
		defer close(b.logged)
		defer close(ready)
		for lines := bufio.NewScanner(read); lines.Scan(); {
			var line struct{ Msg, Listen, Admin string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "flowbridge is ready" {
				ready <- [2]string{line.Listen, line.Admin}
			} else {
				b.t.Logf("bridge: %s", lines.Bytes())
			}
		}
	}()
	select {
	case at, ok := <-ready:
		if !ok {
			ts.Fatalf("the bridge did not get ready")
		}
		ts.Setenv("PUBLIC", at[0])
		ts.Setenv("ADMIN", at[1])
	case <-time.After(databases.Patience):
		ts.Fatalf("the bridge did not get ready in time")
	}
}

// end stops the bridge if there is one, and returns its exit status.
func (b *scriptBridge) end() (code int) {
	if b.stop == nil {
		return exitDone
	}
	b.stop()
	b.stop = nil
	code = <-b.ended
	<-b.logged // a test must not be logged to once it has ended
	return code
}
