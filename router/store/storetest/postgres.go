//go:build unix

// Package storetest starts databases for the tests of packages that need a real one. What is tested is left to
// them.
package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// Server is a PostgreSQL server of a test's own, on a socket in a folder of its own.
type Server struct {
	bin, dir string
	settings []string
	creds    *syscall.Credential
	stdin    io.WriteCloser // the server ends with it
	running  *exec.Cmd
	n        atomic.Int64 // databases made

	templates sync.Map // by name: what makes it once
}

// TempDir returns a folder that is removed after the test, for a database. It is in memory where the machine has room
// there: what a disk takes its time for, again and again, is that each commit is on it, and no test cuts the power of
// this machine. Files that rules or flags name do not belong there: the bridge does not read what is below /dev.
func TempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(memory(), "flowbridge-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// File returns the path of a SQLite database that is not there yet, in such a folder.
func File(t testing.TB) string {
	t.Helper()
	return filepath.Join(TempDir(t), "bridge.db")
}

// shared is the server of all tests of this process that do nothing to it. Nobody asks what it has after a crash.
var shared = sync.OnceValues(func() (*Server, error) {
	return launch("synchronous_commit=off", "full_page_writes=off")
})

// Shared returns a server that lives as long as this process, for tests that want a database and leave the server
// alone. Where this machine has no PostgreSQL the test is skipped, or fails if Require says so.
func Shared(t testing.TB) *Server {
	t.Helper()
	Long(t)
	return must(t)(shared())
}

// Start makes and starts a server that lives as long as the test. settings are of postgresql.conf, "name=value",
// and win over the defaults, which are made for tests: fsync=off. Where this machine has no PostgreSQL the test is
// skipped, or fails if Require says so.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	Long(t)
	s := must(t)(launch(settings...))
	t.Cleanup(func() {
		s.Stop()
		_ = os.RemoveAll(s.dir)
	})
	return s
}

var errMissing = errors.New("there is no PostgreSQL on this machine: apt-get install postgresql")

func must(t testing.TB) func(*Server, error) *Server {
	return func(s *Server, err error) *Server {
		t.Helper()
		switch {
		case errors.Is(err, errMissing):
			Lacking(t, "postgres", err.Error())
		case err != nil:
			t.Fatal(err)
		}
		return s
	}
}

// place makes a folder for a server.
func place(settings ...string) (s *Server, err error) {
	s = &Server{settings: append([]string{
		"listen_addresses=", "fsync=off", "max_connections=300", "shared_buffers=64MB", "logging_collector=off",
	}, settings...)}
	if s.bin, err = binaries(); err != nil {
		return nil, err
	}
	if s.creds, err = credential(); err != nil {
		return nil, err
	}
	// Not t.TempDir: its parent is closed to other users, and its path may be too long for a socket.
	if s.dir, err = os.MkdirTemp(memory(), "flowbridge-pg-"); err != nil {
		return nil, err
	}
	if s.creds != nil {
		if err := os.Chown(s.dir, int(s.creds.Uid), int(s.creds.Gid)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// launch makes a cluster in a folder of its own and starts it.
func launch(settings ...string) (s *Server, err error) {
	if s, err = place(settings...); err != nil {
		return nil, err
	}
	initdb := s.command(filepath.Join(s.bin, "initdb"), "-D", s.data(), "-U", "flowbridge", "--auth=trust",
		"--encoding=UTF8", "--locale=C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w\n%s", err, out), os.RemoveAll(s.dir))
	}
	if err := s.Run(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// command is a program of PostgreSQL's, which refuses to work for root.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.creds}
	return cmd
}

// guard runs a server until it is told to stop, or until its standard input ends, as it does however this process
// dies: then the server goes at once, and its folder with it. A test that is killed leaves nothing behind.
const guard = `dir=$1; shift; "$@" </dev/null & server=$!; read -r word
	case $word in shutdown) how=INT;; *) how=QUIT;; esac
	kill -$how $server 2>/dev/null; wait $server; test -n "$word" || rm -rf "$dir"`

// Run starts the server, again after Stop, and returns when it answers.
func (s *Server) Run() error {
	args := []string{"-c", guard, "sh", s.dir, filepath.Join(s.bin, "postgres"), "-D", s.data(), "-k", s.dir}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	log, err := os.Create(s.log())
	if err != nil {
		return err
	}
	defer log.Close()
	s.running = s.command("/bin/sh", args...)
	s.running.Stdout, s.running.Stderr = log, log
	if s.stdin, err = s.running.StdinPipe(); err != nil {
		return err
	}
	if err := s.running.Start(); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	return s.await()
}

func (s *Server) log() string { return filepath.Join(s.dir, "log") }

// Patience bounds how long is waited for a server: on a machine that has much else to do. A store of a test waits as
// long for it: see store.Config.StartWait.
const Patience = 2 * time.Minute

// await waits until the server answers.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	db, err := sql.Open("pgx", s.DSN("postgres")+"&connect_timeout=10")
	if err != nil {
		return err
	}
	defer db.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			s.Stop()
			log, _ := os.ReadFile(s.log())
			return fmt.Errorf("postgres does not answer: %w\n%s", err, log)
		case <-tick.C:
		}
	}
}

// Stop ends the server as a power cut would. Run starts it again.
func (s *Server) Stop() { s.end("stop\n") }

// end tells the guard how the server is to end.
func (s *Server) end(word string) {
	if s.running == nil {
		return
	}
	_, _ = io.WriteString(s.stdin, word)
	_ = s.running.Wait()
	s.running = nil
}

// Database makes an empty database and returns its URL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", s.n.Add(1))
	s.Exec(t, s.DSN("postgres"), "CREATE DATABASE "+name)
	return s.DSN(name)
}

// Copy makes a copy of the database that fill makes for the first who asks for it by this name, and returns its URL.
// Tables are copied faster than they are made. fill must leave no session behind.
func (s *Server) Copy(t testing.TB, template string, fill func(dsn string) error) string {
	t.Helper()
	once, _ := s.templates.LoadOrStore(template, sync.OnceValue(func() error {
		s.Exec(t, s.DSN("postgres"), "CREATE DATABASE "+template)
		return fill(s.DSN(template))
	}))
	if err := once.(func() error)(); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test%d", s.n.Add(1))
	s.Exec(t, s.DSN("postgres"), "CREATE DATABASE "+name+" TEMPLATE "+template)
	return s.DSN(name)
}

// Folder makes a folder that the server may use, by a name that is free, and returns its path.
func (s *Server) Folder(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	err := os.Mkdir(path, 0o700)
	if err == nil && s.creds != nil {
		err = os.Chown(path, int(s.creds.Uid), int(s.creds.Gid))
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Socket is where the server listens.
func (s *Server) Socket() string { return filepath.Join(s.dir, ".s.PGSQL.5432") }

// Exec runs a statement, outside of all that is tested.
func (s *Server) Exec(t testing.TB, dsn, statement string) {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(statement)
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// DSN returns the URL of a database.
func (s *Server) DSN(database string) string {
	return "postgres:///" + database + "?" + url.Values{"host": {s.dir}, "user": {"flowbridge"}}.Encode()
}

// binaries finds the folder of PostgreSQL's programs: that of PATH, else the newest of Debian's.
func binaries() (dir string, err error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err != nil { // a link to one of them may be alone there
			return "", err
		}
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errMissing
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}
