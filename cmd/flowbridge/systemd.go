package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What is said to systemd, as sd_notify(3) names it.
const (
	systemdReady    = "READY=1"
	systemdStopping = "STOPPING=1"
	systemdAlive    = "WATCHDOG=1"
	systemdStatus   = "STATUS="
)

const (
	// systemdTimeout bounds one message: the socket of a systemd that does not read fills up.
	systemdTimeout = time.Second
	// feeds is how often the watchdog is fed in the time after which it bites.
	feeds = 3
	// firstListenFD is the first file that sd_listen_fds(3) hands over.
	firstListenFD = 3
)

// systemd is the service manager that started this process. The zero one is none, and is told nothing.
type systemd struct {
	socket   string        // a path, or @NAME in the abstract namespace
	watchdog time.Duration // without a word from this process for so long it is ended; 0: never
	logger   *slog.Logger
}

// systemd reads what the service manager put into the environment.
func (p *program) systemd(logger *slog.Logger) systemd {
	s := systemd{socket: p.setting("NOTIFY_SOCKET"), logger: logger}
	if pid := p.setting("WATCHDOG_PID"); s.socket == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return s
	}
	if micros, err := strconv.ParseInt(p.setting("WATCHDOG_USEC"), 10, 64); err == nil && micros > 0 &&
		micros < int64(24*time.Hour/time.Microsecond) {
		s.watchdog = time.Duration(micros) * time.Microsecond
	}
	return s
}

// tell sends lines in one datagram. What cannot be sent is logged: the bridge goes on, and systemd has a time-out of
// its own.
func (s systemd) tell(lines ...string) {
	if s.socket == "" {
		return
	}
	if err := s.send(strings.Join(lines, "\n")); err != nil {
		s.logger.Warn("systemd could not be told", "what", lines[0], "error", err)
	}
}

func (s systemd) send(message string) error {
	conn, err := net.DialTimeout("unixgram", s.socket, systemdTimeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(systemdTimeout)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(message))
	return err
}

// around tells of a service that listens already: that it is ready, that it lives, and that it stops once ctx ends. It
// returns what the service does.
func (s systemd) around(ctx context.Context, trouble func(context.Context) string, serve func() error) error {
	s.tell(systemdReady)
	serving, ended := context.WithCancel(context.WithoutCancel(ctx))
	var beside sync.WaitGroup
	beside.Go(func() { s.feed(serving, trouble) })
	beside.Go(func() {
		select {
		case <-ctx.Done():
			s.tell(systemdStopping)
		case <-serving.Done():
		}
	})
	err := serve()
	ended()
	beside.Wait()
	return err
}

// feed feeds the watchdog until ctx ends, while trouble returns "". Else systemd is told what the trouble is, and
// starts the process anew when that lasts.
func (s systemd) feed(ctx context.Context, trouble func(context.Context) string) {
	if s.watchdog == 0 {
		return
	}
	tick := time.NewTicker(s.watchdog / feeds)
	defer tick.Stop()
	before := ""
	for {
		now := trouble(ctx)
		switch {
		case now != "":
			if before == "" {
				s.logger.Error("the watchdog of systemd is not fed", "error", now, "ends_after", s.watchdog)
			}
			s.tell(systemdStatus + strings.ReplaceAll(now, "\n", " "))
		case before != "":
			s.tell(systemdAlive, systemdStatus)
		default:
			s.tell(systemdAlive)
		}
		before = now
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// listenPublic listens on the public address, or takes the listener that systemd holds for this process: posts then
// wait in it while the process is started anew.
func (p *program) listenPublic(address string) (net.Listener, error) {
	count := p.setting("LISTEN_FDS")
	switch {
	case !p.inheritsListener():
		return net.Listen("tcp", address)
	case count != "1":
		return nil, fmt.Errorf(
			"systemd hands over %s sockets: give the socket unit one ListenStream=, for the public address", count)
	}
	file := os.NewFile(firstListenFD, "LISTEN_FDS")
	if file == nil {
		return nil, errors.New("systemd hands over a socket that is not there")
	}
	defer file.Close() // the listener has a copy
	l, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("the socket of systemd: %w: it needs ListenStream= and Accept=no", err)
	}
	if _, ok := l.(*net.TCPListener); !ok {
		return nil, errors.Join(fmt.Errorf("the socket of systemd is %s: it must be of TCP", l.Addr().Network()), l.Close())
	}
	return l, nil
}

// inheritsListener says that systemd holds the public address.
func (p *program) inheritsListener() bool {
	return p.setting("LISTEN_FDS") != "" && p.setting("LISTEN_PID") == strconv.Itoa(os.Getpid())
}
