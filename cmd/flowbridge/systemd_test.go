package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	databases "flowbridge/router/store/storetest"
)

// notifySocket is what systemd listens on.
type notifySocket struct {
	*net.UnixConn
	path string
}

func newNotifySocket(t *testing.T, path string) notifySocket {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return notifySocket{conn, path}
}

// next returns the next message, under a long deadline.
func (s notifySocket) next(t *testing.T) string {
	t.Helper()
	must(t, s.SetReadDeadline(time.Now().Add(time.Minute)))
	message := make([]byte, 4096)
	n, err := s.Read(message)
	if err != nil {
		t.Fatalf("systemd was told nothing: %v", err)
	}
	return string(message[:n])
}

// TestSystemdIsToldHowTheBridgeIs runs a real bridge under the socket of a systemd that this test is.
func TestSystemdIsToldHowTheBridgeIs(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"a path":                 filepath.Join(t.TempDir(), "notify"),
		"the abstract namespace": fmt.Sprintf("@flowbridge-test-%d", os.Getpid()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket := newNotifySocket(t, path)
			s := newServices(t, "#ops")
			s.env = append(s.env, "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=300000", "FLOWBRIDGE_STALLED_AFTER=300ms")
			db := databases.File(t)
			p := start(t, s, writeRules(t, crashRules), db)
			for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
				if got := socket.next(t); got != want {
					t.Fatalf("systemd was told %q, want %q", got, want)
				}
			}

			broken := openDatabase(t, "sqlite", "file:"+db+"?_pragma=busy_timeout(5000)")
			run(t, broken, `ALTER TABLE timeline RENAME TO gone`)
			p.post(t, pairPost(lately, "77", "ACTIVATED", 50), http.StatusOK)
			said := socket.next(t)
			for said == "WATCHDOG=1" { // until it is seen that nothing is folded
				said = socket.next(t)
			}
			if !strings.HasPrefix(said, "STATUS=events wait to be folded") {
				t.Errorf("systemd was told %q of a fold that stands still", said)
			}
			run(t, broken, `ALTER TABLE gone RENAME TO timeline`)
			for strings.HasPrefix(said, "STATUS=events wait") {
				said = socket.next(t)
			}
			if said != "WATCHDOG=1\nSTATUS=" {
				t.Errorf("systemd was told %q of a fold that goes on", said)
			}

			p.interrupt(t)
			for said = socket.next(t); said != "STOPPING=1"; said = socket.next(t) {
			}
			if err := p.end(t); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTheWatchdogIsFedInTime has a clock that is pushed: three times in the time after which it bites, and never while
// something stands still.
func TestTheWatchdogIsFedInTime(t *testing.T) {
	socket := newNotifySocket(t, filepath.Join(t.TempDir(), "notify"))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		asked := 0
		// it has no socket: what it asks is counted
		s := systemd{watchdog: 90 * time.Second, logger: slog.New(slog.DiscardHandler)}
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.feed(ctx, func(context.Context) string { asked++; return "" })
		}()
		time.Sleep(10*time.Minute + time.Second)
		cancel()
		<-done
		if want := 1 + 20; asked != want {
			t.Errorf("fed %d times in ten minutes, want %d", asked, want)
		}
	})
	s := systemd{socket: socket.path, watchdog: time.Hour, logger: slog.New(slog.DiscardHandler)}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	s.feed(ended, func(context.Context) string { return "one\ntwo" })
	if got := socket.next(t); got != "STATUS=one two" {
		t.Errorf("systemd was told %q: a second line would be another message", got)
	}
}

// TestWhatSystemdPutsIntoTheEnvironment is read as its manual pages say.
func TestWhatSystemdPutsIntoTheEnvironment(t *testing.T) {
	t.Parallel()
	self := fmt.Sprint(os.Getpid())
	for _, c := range []struct {
		name     string
		env      []string
		watchdog time.Duration
	}{
		{"no systemd", nil, 0},
		{"no watchdog", []string{"NOTIFY_SOCKET=/run/n"}, 0},
		{"a watchdog", []string{"NOTIFY_SOCKET=/run/n", "WATCHDOG_USEC=120000000", "WATCHDOG_PID=" + self}, 2 * time.Minute},
		{"a watchdog of any process", []string{"NOTIFY_SOCKET=/run/n", "WATCHDOG_USEC=120000000"}, 2 * time.Minute},
		{"a watchdog of another process", []string{"NOTIFY_SOCKET=/run/n", "WATCHDOG_USEC=120000000", "WATCHDOG_PID=1"}, 0},
		{"a watchdog without a socket", []string{"WATCHDOG_USEC=120000000"}, 0},
		{"what is no number", []string{"NOTIFY_SOCKET=/run/n", "WATCHDOG_USEC=soon"}, 0},
		{"what is too small or too large", []string{"NOTIFY_SOCKET=/run/n", "WATCHDOG_USEC=-1"}, 0},
		{"what would overflow", []string{"NOTIFY_SOCKET=/run/n", "WATCHDOG_USEC=9223372036854775807"}, 0},
	} {
		if got := withEnv(c.env).systemd(nil).watchdog; got != c.watchdog {
			t.Errorf("%s: %s, want %s", c.name, got, c.watchdog)
		}
	}
	for name, env := range map[string][]string{
		"of another process": {"LISTEN_FDS=1", "LISTEN_PID=1"},
		"of none":            {"LISTEN_FDS=1"},
	} {
		l, err := withEnv(env).listenPublic("127.0.0.1:0")
		if err != nil {
			t.Errorf("a socket %s is no reason not to listen: %v", name, err)
			continue
		}
		l.Close()
	}
	if _, err := withEnv([]string{"LISTEN_FDS=2", "LISTEN_PID=" + self}).listenPublic(""); err == nil ||
		!strings.Contains(err.Error(), "one ListenStream=") {
		t.Errorf("two sockets: %v", err)
	}
}

func withEnv(env []string) *program {
	return &program{Getenv: func(name string) (string, bool) {
		i := slices.IndexFunc(env, func(pair string) bool { return strings.HasPrefix(pair, name+"=") })
		if i < 0 {
			return "", false
		}
		return strings.TrimPrefix(env[i], name+"="), true
	}}
}

// TestTheSocketOfSystemdIsThePublicAddress starts a bridge with a listener that was open before it, as a socket unit
// does.
func TestTheSocketOfSystemdIsThePublicAddress(t *testing.T) {
	t.Parallel()
	held, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer held.Close()
	file, err := held.(*net.TCPListener).File()
	must(t, err)
	defer file.Close()
	path, err := binary()
	must(t, err)
	socket := newNotifySocket(t, filepath.Join(t.TempDir(), "notify"))
	// A shell, since LISTEN_PID is the number of the process itself.
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh", path, "serve", "--rules",
		writeRules(t, crashRules),
		"--db", databases.File(t), "--listen", "127.0.0.1:1", "--admin", "127.0.0.1:0")
	cmd.Env = append(append(os.Environ(), newServices(t, "#ops").env...), "LISTEN_FDS=1", "NOTIFY_SOCKET="+socket.path)
	cmd.ExtraFiles = []*os.File{file}
	log := &logBuffer{}
	cmd.Stderr = log
	must(t, cmd.Start())
	if got := socket.next(t); got != "READY=1" {
		t.Errorf("systemd was told %q", got)
	}
	resp, err := http.Get("http://" + held.Addr().String() +
		"/webhooks/whatsapp?hub.mode=subscribe&hub.challenge=17&hub.verify_token=verify-token-of-the-test")
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the socket answers %s", resp.Status)
	}
	must(t, cmd.Process.Signal(os.Interrupt))
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, log)
	}
}
