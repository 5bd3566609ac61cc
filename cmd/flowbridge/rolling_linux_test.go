package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"flowbridge/cmd/flowbridge/assets"
	databases "flowbridge/router/store/storetest"
)

// TestRollingUpgrade runs what compose-postgres.yaml describes, with a third bridge and a standby: PostgreSQL,
// processes on an address each, and nginx with compose-nginx.conf before them. Under the load and the faults of
// TestCrash the bridges are upgraded to a release with a newer schema, and the standby is promoted. It is for Linux,
// where every address of 127.0.0.0/8 is the machine's own: a bridge starts anew where it was.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	if underRace { // the tables are changed in a pause of the load, which is then a long time in coming
		onlyInLongForm(t)
	}
	t.Run("one by one, then the standby is promoted", func(t *testing.T) {
		besideEachOther(t)
		r := newRolling(t, 1)
		r.cannotStart(2, "upgrade them to the release before this one first")
		r.upgradeBesideABackup(r.all[0])
		for _, x := range r.all[1:] {
			r.nginx.reload(t)
			r.upgrade(1, x)
		}
		r.takesPosts(r.all...)
		if refused := r.refusedNow(); len(refused) > 0 {
			t.Errorf("posts were refused while one bridge after another was upgraded: %q", refused)
		}
		r.promote()
		r.takesPosts(r.all...)
		r.upgrade(2, r.all[0])
		r.cannotStart(0, "it was written by a newer flowbridge")
		r.takesPosts(r.all...)
		r.count()
	})
	t.Run("the standby is promoted during the migration, two at a time, one is killed and goes back", func(t *testing.T) {
		besideEachOther(t)
		onlyInLongForm(t)
		r := newRolling(t, 11)
		r.promoteWhileOneMigrates(r.all[0])
		r.takesPosts(r.all...)
		r.all[1].kill()
		r.start(1, r.all[1])
		r.takesPosts(r.all...)
		r.all[0].kill()
		r.start(0, r.all[0]) // the release before, on what the next one made
		r.takesPosts(r.all...)
		r.upgrade(1, r.all[0], r.all[2])
		r.takesPosts(r.all...)
		r.count()
	})
}

// rolling is three processes behind a proxy, on a primary with a standby.
type rolling struct {
	*peers
	pair     *databases.Pair
	direct   string    // URL of the database at the primary, past the links
	releases [3]string // binaries
	endLoad  func()
	nginx    *nginxProcess
	started  time.Time
}

// newRolling starts all of them. Their addresses end with lowest, lowest+1 and so on.
func newRolling(t *testing.T, lowest int) *rolling {
	t.Helper()
	pair := databases.StartPair(t)
	nginx := needTool(t, "nginx", "nginx")
	binaries, err := releases()
	if err != nil {
		t.Fatal(err)
	}
	db := pair.Primary.Database(t)
	r := &rolling{
		peers: &peers{crashes: newCrashes(t, *firstSeed, bothServers(t, pair, db))},
		pair:  pair, direct: db, releases: binaries, started: time.Now(),
	}
	r.rate, r.calm = float64(underLoad(30)), 40
	var at []string
	for i := range 4 {
		at = append(at, fmt.Sprintf("127.%d.%d.%d:8080", os.Getpid()>>8&0xff, os.Getpid()&0xff, lowest+i))
	}
	for _, address := range at[:3] {
		x := &peer{process: &process{Public: "http://" + address}}
		r.all = append(r.all, x)
		r.start(0, x)
	}
	r.nginx = startNginx(t, nginx, at[3], at[:3])
	r.reach("http://" + at[3])
	r.endLoad = r.load()
	r.takesPosts(r.all...)
	return r
}

// bothServers is the URL of a database that names a primary and its standby.
func bothServers(t *testing.T, pair *databases.Pair, db string) string {
	t.Helper()
	primary, err := url.Parse(pair.Primary.Link(t).DSN(db))
	must(t, err)
	standby, err := url.Parse(pair.Standby.Link(t).DSN(db))
	must(t, err)
	primary.Host += "," + standby.Host
	return primary.String() + "&target_session_attrs=read-write"
}

// releases are binaries of this program and of two that come after it: each has a migration more, which adds to the
// tables that everything happens in.
var releases = sync.OnceValues(func() (built [3]string, err error) {
	if built[0], err = binary(); err != nil {
		return built, err
	}
	dir, err := filepath.Abs("../../router/store/migrations")
	if err != nil {
		return built, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.sql"))
	if err != nil || len(files) == 0 {
		return built, errors.Join(err, errors.New("there are no migrations"))
	}
	from := strings.TrimLeft(filepath.Base(files[len(files)-1])[:4], "0")
	overlay := map[string]map[string]string{"Replace": {}}
	for i, name := range []string{"900", "901"} {
		var text strings.Builder
		fmt.Fprintf(&text, "-- +goose Up\n-- Compatible from schema %s.\n", from)
		for _, table := range strings.Fields("events deliveries incidents alerts timeline notices lanes processes") {
			fmt.Fprintf(&text, "ALTER TABLE %s ADD COLUMN of_%s TEXT NOT NULL DEFAULT '';\n", table, name)
		}
		fmt.Fprintf(&text, "UPDATE incidents SET of_%s = words;\n", name)
		fmt.Fprintf(&text, "CREATE TABLE made_by_%s (id BIGINT PRIMARY KEY);\n", name)
		fmt.Fprintf(&text, "CREATE INDEX deliveries_%s ON deliveries (of_%s, id) WHERE state = 'waiting';\n", name, name)
		file := filepath.Join(binaryDir(), name+".sql")
		if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
			return built, err
		}
		overlay["Replace"][filepath.Join(dir, "0"+name+"_later.sql")] = file
		with, err := json.Marshal(overlay)
		if err != nil {
			return built, err
		}
		if err := os.WriteFile(file+".json", with, 0o600); err != nil {
			return built, err
		}
		built[i+1] = filepath.Join(binaryDir(), "flowbridge-"+name)
		build := exec.Command("go", "build", "-ldflags=-s -w", "-overlay", file+".json", "-o", built[i+1], ".")
		out, err := build.CombinedOutput()
		if err != nil {
			return built, fmt.Errorf("go build: %w\n%s", err, out)
		}
		from = name
	}
	return built, nil
})

// nginxProcess is nginx with compose-nginx.conf.
type nginxProcess struct {
	path, dir string
	globals   string // directives outside the file
	log       *logBuffer
}

// startNginx runs it until the test ends.
func startNginx(t *testing.T, path, listen string, bridges []string) *nginxProcess {
	t.Helper()
	n := &nginxProcess{path: path, dir: t.TempDir(), log: &logBuffer{}}
	n.globals = "error_log stderr notice; pid " + filepath.Join(n.dir, "pid") + ";"
	if os.Geteuid() == 0 {
		n.globals += " user root;" // who may look into the folders of tests
	}
	must(t, os.WriteFile(n.conf(), []byte(nginxConf(t, n.dir, listen, bridges)), 0o600))
	// It ends with its standard input, so that no test leaves it behind.
	cmd := exec.Command("sh", append([]string{"-c", `"$@" </dev/null & n=$!; read -r word; kill $n; wait $n`, "sh"},
		n.command("-g", "daemon off; "+n.globals)...)...)
	cmd.Stderr = n.log
	stdin, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("nginx said\n%s", tail(n.log.String()))
		}
	})
	eventually(t, "nginx listens", func() bool {
		conn, err := net.Dial("tcp", listen)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return n
}

func (n *nginxProcess) conf() string { return filepath.Join(n.dir, "nginx.conf") }

func (n *nginxProcess) command(more ...string) []string {
	return append([]string{n.path, "-e", "stderr", "-p", n.dir, "-c", n.conf()}, more...)
}

// reload is nginx -s reload. It returns when the workers that knew who did not answer take no more requests.
func (n *nginxProcess) reload(t *testing.T) {
	t.Helper()
	const over = "gracefully shutting down"
	before := strings.Count(n.log.String(), over)
	args := n.command("-g", n.globals, "-s", "reload")
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("nginx -s reload: %v\n%s", err, out)
	}
	eventually(t, "nginx is reloaded", func() bool {
		return strings.Count(n.log.String(), over) > before
	})
}

// nginxConf is compose-nginx.conf with the addresses of a test, a third bridge, and folders that are there.
func nginxConf(t *testing.T, dir, listen string, bridges []string) string {
	t.Helper()
	text, _ := assets.Read("compose-nginx.conf")
	second := regexp.MustCompile(`.*server bridge-b:8080 .*\n`).FindString(string(text))
	if second == "" {
		t.Fatal("compose-nginx.conf has no bridge-b")
	}
	folders := "http {\n"
	for _, of := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		folders += fmt.Sprintf("  %s_temp_path %s;\n", of, filepath.Join(dir, of))
	}
	conf := strings.Replace(string(text), second, second+strings.Replace(second, "bridge-b", "bridge-c", 1), 1)
	return strings.NewReplacer("bridge-a:8080", bridges[0], "bridge-b:8080", bridges[1], "bridge-c:8080", bridges[2],
		"listen 8080", "listen "+listen, "http {\n", folders, "worker_processes auto", "worker_processes 1",
		"proxy_next_upstream_tries 2", "proxy_next_upstream_tries 3").Replace(conf)
}

// launch starts a process of a release in the place of one that has ended.
func (r *rolling) launch(release int, x *peer) {
	r.t.Helper()
	at := strings.TrimPrefix(x.Public, "http://")
	x.process = launch(r.t, r.services, r.releases[release], r.rules, r.db, at)
	x.Public = "http://" + at
}

// isReady waits until a process has started, and takes posts.
func (r *rolling) isReady(x *peer) {
	r.t.Helper()
	must(r.t, x.process.isReady())
	r.isReadyAgain(x)
}

func (r *rolling) isReadyAgain(x *peer) {
	r.t.Helper()
	eventually(r.t, "it is ready", func() bool { return x.readiness(r.t) == http.StatusOK })
}

func (r *rolling) start(release int, x *peer) {
	r.t.Helper()
	r.launch(release, x)
	r.isReady(x)
}

// stop asks processes to end, all at once.
func (r *rolling) stop(of ...*peer) {
	r.t.Helper()
	for _, x := range of {
		must(r.t, x.cmd.Process.Signal(syscall.SIGTERM))
	}
	for _, x := range of {
		if err := x.end(r.t); err != nil {
			r.t.Errorf("a clean stop: %v", err)
		}
		if strings.Contains(x.stderr.String(), "cached plan") {
			r.t.Error("it ran statements that had been prepared for other tables")
		}
	}
}

// upgrade stops processes and starts those of another release in their place, all at once.
func (r *rolling) upgrade(release int, of ...*peer) {
	r.t.Helper()
	r.stop(of...)
	for _, x := range of {
		r.launch(release, x)
	}
	for _, x := range of {
		r.isReady(x)
	}
}

// cannotStart holds that a release refuses the database, in some words.
func (r *rolling) cannotStart(release int, words string) {
	r.t.Helper()
	p := launch(r.t, r.services, r.releases[release], r.rules, r.db, "127.0.0.1:0")
	if err := p.isReady(); err == nil || !strings.Contains(err.Error(), words) {
		r.t.Errorf("release %d starts: got %v, want %q", release, err, words)
	}
	p.kill()
}

// waits stops a process and starts the next release in its place, which has to wait: a backup reads what its migration
// changes. The others take posts meanwhile. end ends the backup.
func (r *rolling) waits(x *peer) (end func()) {
	r.t.Helper()
	end = r.pair.Primary.Backup(r.t, r.direct, "events")
	r.stop(x)
	r.launch(1, x)
	eventually(r.t, "it waits for the tables", func() bool {
		return strings.Contains(x.stderr.String(), "the tables cannot be changed yet")
	})
	others := r.except(x)
	r.takesPosts(others...)
	r.takesPosts(others...)
	return end
}

func (r *rolling) upgradeBesideABackup(x *peer) {
	r.t.Helper()
	end := r.waits(x)
	end()
	r.isReady(x)
}

// promote kills the primary, and makes the standby the primary.
func (r *rolling) promote() {
	r.t.Helper()
	r.pair.Primary.Stop()
	eventually(r.t, "posts are refused", func() bool { return len(r.refusedNow()) > 0 })
	r.pair.Standby.Promote(r.t)
}

// promoteWhileOneMigrates does so while a process waits to change the tables. It may end: what runs it starts it again.
func (r *rolling) promoteWhileOneMigrates(x *peer) {
	r.t.Helper()
	r.waits(x)
	r.promote()
	for range 20 {
		err := x.process.isReady()
		if err == nil {
			r.isReadyAgain(x)
			return
		}
		r.launch(1, x)
	}
	r.t.Fatal("it does not start any more")
}

// takesPosts waits until each of some processes has stored some posts more.
func (r *rolling) takesPosts(of ...*peer) {
	r.t.Helper()
	const counter = `flowbridge_posts_total{result="accepted"}`
	enough := map[*peer]int{}
	for _, x := range of {
		enough[x] = x.counter(r.t, counter) + underLoad(20)
	}
	for _, x := range of {
		eventually(r.t, "a process has taken posts", func() bool { return x.counter(r.t, counter) >= enough[x] })
	}
}

// refusedNow returns the answers other than 200 so far. Posts that nginx cut off, as when it is reloaded, had none.
func (r *rolling) refusedNow() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.patience.refused)
}

// count ends the load and looks at what came of it.
func (r *rolling) count() {
	r.t.Helper()
	r.endLoad()
	r.bridge = r.all[0].process
	r.rest()
	r.everythingIsARepeat()
	r.t.Logf("in %s: %s; a post was answered 200 within %s; seed %d", time.Since(r.started).Round(time.Second),
		r.crashes.tally(), r.patience.longest.Round(time.Millisecond), *firstSeed)
	if r.lost+r.twice+r.stranded > 0 {
		r.t.Errorf("%d lost, %d told twice, %d stranded", r.lost, r.twice, r.stranded)
	}
}
