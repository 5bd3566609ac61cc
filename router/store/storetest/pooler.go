//go:build unix

package storetest

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// poolerGuard runs a pooler until its standard input ends, as it does however this process dies.
const poolerGuard = `dir=$1; shift; "$@" </dev/null & pooler=$!; read -r word
	kill -TERM $pooler 2>/dev/null; wait $pooler; rm -rf "$dir"`

// Pooler starts a PgBouncer before a database of the server, in a pool_mode, that lives as long as the test, and
// returns the URL by which it is reached. Where this machine has none the test is skipped, or fails if Require says so.
func (s *Server) Pooler(t testing.TB, mode, dsn string) string {
	t.Helper()
	program := Tool(t, "pgbouncer", "pgbouncer", "apt-get install pgbouncer")
	name, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	database := strings.TrimPrefix(name.Path, "/")
	dir, err := os.MkdirTemp(memory(), "flowbridge-pool-")
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "pgbouncer.ini")
	err = os.WriteFile(config, fmt.Appendf(nil, `[databases]
%s = host=%s user=flowbridge
[pgbouncer]
listen_port = 6432
unix_socket_dir = %s
auth_type = any
admin_users = flowbridge
pool_mode = %s
`, database, s.dir, dir, mode), 0o644)
	if err == nil && s.creds != nil {
		err = os.Chown(dir, int(s.creds.Uid), int(s.creds.Gid))
	}
	if err != nil {
		t.Fatal(err)
	}
	running := exec.Command("/bin/sh", "-c", poolerGuard, "sh", dir, program, "-q", config)
	running.SysProcAttr = &syscall.SysProcAttr{Credential: s.creds}
	stdin, err := running.StdinPipe()
	if err == nil {
		err = running.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = running.Wait()
	})
	where := url.Values{"host": {dir}, "port": {"6432"}, "user": {"flowbridge"}}
	pooled := "postgres:///" + database + "?" + where.Encode()
	awaitPooler(t, pooled)
	return pooled
}

func awaitPooler(t testing.TB, dsn string) {
	t.Helper()
	db, err := sql.Open("pgx", dsn+"&default_query_exec_mode=simple_protocol")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for end := time.Now().Add(Patience); ; time.Sleep(20 * time.Millisecond) {
		err := db.PingContext(t.Context())
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("pgbouncer does not answer: %v", err)
		}
	}
}

// SetPoolMode changes how a pooler works, through its console. dsn is what Pooler returned.
func SetPoolMode(t testing.TB, dsn, mode string) {
	t.Helper()
	console, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	console.Path = "/pgbouncer"
	query := console.Query()
	query.Set("default_query_exec_mode", "simple_protocol")
	console.RawQuery = query.Encode()
	db, err := sql.Open("pgx", console.String())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("SET pool_mode = '" + mode + "'"); err != nil {
		t.Fatal(err)
	}
}
