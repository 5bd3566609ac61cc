package main

import (
	"errors"
	"log/slog"
	"math"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestFilesAreSharedAmongTheAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		files         uint64
		public, admin int
	}{{math.MaxUint64, 1024, 256}, {20000, 1024, 256}, {1024, 512, 128}, {512, 256, 64}, {256, 128, 32},
		{1, 1, 1}} {
		if public, admin := connectionLimits(c.files); public != c.public || admin != c.admin {
			t.Errorf("of %d files %d and %d, want %d and %d", c.files, public, admin, c.public, c.admin)
		}
	}
}

// failing is a listener that fails before it accepts.
type failing struct {
	pipes
	faults []error
}

func (f *failing) Accept() (net.Conn, error) {
	if len(f.faults) > 0 {
		err := f.faults[0]
		f.faults = f.faults[1:]
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)}
	}
	return f.pipes.Accept()
}

func TestNoAcceptErrorEndsTheBridge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &logBuffer{}
		f := &failing{make(pipes, 1), []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EPERM}}
		l := limitConnections(f, 10, refusedConnection, newRefusals(slog.New(slog.NewTextHandler(log, nil))))
		_, theirs := net.Pipe()
		f.pipes <- theirs
		if _, err := l.Accept(); err != nil {
			t.Error(err)
		}
		if n := strings.Count(log.String(), refusalWords[refusedAccept]); n != 1 {
			t.Errorf("logged %d times:\n%s", n, log)
		}
		f.faults = []error{syscall.EMFILE, syscall.EMFILE, syscall.EMFILE}
		ended := make(chan error, 1)
		go func() {
			_, err := l.Accept()
			ended <- err
		}()
		synctest.Wait()
		l.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("a listener that was closed ended with %v", err)
		}
	})
}

func TestTheConnectionThatIsLeastMissedGivesWay(t *testing.T) {
	t.Parallel()
	const (
		idle = iota
		useful
		working
		asking       // for the first time
		usefulAsking // and was answered before
	)
	for name, c := range map[string]struct {
		open []int // oldest first
		goes int   // -1: nobody, and the newcomer waits
	}{
		"the oldest":                       {[]int{idle, idle, idle}, 0},
		"one that was never of use":        {[]int{useful, useful, idle}, 2},
		"the oldest of those of use":       {[]int{useful, useful, useful}, 0},
		"none that is being answered":      {[]int{working, useful, working}, 1},
		"nobody while all are answered":    {[]int{working, working, working}, -1},
		"of no use rather than being busy": {[]int{working, useful, idle}, 2},
		"none that somebody asks on":       {[]int{asking, usefulAsking, useful}, 2},
		"of no use, where all are asked":   {[]int{usefulAsking, asking, asking}, 1},
		"the oldest, where all are asked":  {[]int{usefulAsking, usefulAsking, usefulAsking}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := make(pipes, 1)
				l := limitConnections(listener, len(c.open), refusedConnection, newRefusals(slog.New(slog.DiscardHandler)))
				accept := func() *connection {
					_, theirs := net.Pipe()
					listener <- theirs
					conn, err := l.Accept()
					if err != nil {
						t.Error(err)
						return nil
					}
					return conn.(*connection)
				}
				var open []*connection
				for _, is := range c.open {
					conn := accept()
					switch is {
					case useful:
						conn.startWork()
						conn.endWork(true)
					case working:
						conn.startWork()
					case asking:
						conn.ask()
					case usefulAsking:
						conn.ask()(true)
						conn.ask()
					}
					open = append(open, conn)
					time.Sleep(time.Second) // of the bubble's own time
				}
				accepted := make(chan *connection, 1)
				go func() { accepted <- accept() }()
				synctest.Wait()
				if c.goes < 0 {
					if len(accepted) > 0 {
						t.Error("there is no room, and one more was accepted")
					}
					open[1].endWork(true)
					c.goes = 1
				}
				newcomer := <-accepted
				for i, conn := range open {
					if _, still := l.open[conn]; still == (i == c.goes) {
						t.Errorf("connection %d is open: %v", i, still)
					}
				}
				if _, ok := l.open[newcomer]; !ok || len(l.open) != len(c.open) {
					t.Errorf("%d are open, the newcomer among them: %v", len(l.open), ok)
				}
			})
		})
	}
}
