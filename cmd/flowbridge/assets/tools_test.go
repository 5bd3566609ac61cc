package assets

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"flowbridge/router/store"
	databases "flowbridge/router/store/storetest"
)

// needTool leaves a test out with -short and where this machine lacks a program, and fails it where databases.Require
// names that.
func needTool(t *testing.T, program, how string) string {
	t.Helper()
	databases.Long(t)
	return databases.Tool(t, program, program, how)
}

// written writes assets into a folder, changed by replace, and returns it.
func written(t *testing.T, replace *strings.Replacer, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		text, ok := Read(name)
		if !ok {
			t.Fatalf("there is no asset %s", name)
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(replace.Replace(string(text))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// takes runs a program in a folder; it must end with status 0.
func takes(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "CONSOLE_USER=ada",
		"CONSOLE_PASSWORD_HASH=JDJhJDE0JGFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

var asItIs = strings.NewReplacer()

// TestPrometheusTakesTheAlertRules has promtool read them, play their tests, and read what the dashboard asks as well.
func TestPrometheusTakesTheAlertRules(t *testing.T) {
	promtool := needTool(t, "promtool", "apt-get install prometheus")
	dir := written(t, asItIs, "prometheus-rules.yaml", "prometheus-rules.test.yaml")
	takes(t, dir, promtool, "check", "rules", "--lint-fatal", "prometheus-rules.yaml")
	takes(t, dir, promtool, "test", "rules", "prometheus-rules.test.yaml")

	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var asked []rule
	for i, expr := range dashboardExpressions(t) {
		asked = append(asked, rule{"panel:" + strconv.Itoa(i), strings.ReplaceAll(expr, "$__rate_interval", "5m")})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": asked}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "dashboard.yaml"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	takes(t, dir, promtool, "check", "rules", "dashboard.yaml")
}

// dashboardExpressions are what the panels of the dashboard ask Prometheus.
func dashboardExpressions(t *testing.T) (exprs []string) {
	t.Helper()
	text, _ := Read("grafana-dashboard.json")
	var board struct {
		Panels []struct {
			ID      int
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	for _, p := range board.Panels {
		if ids[p.ID] {
			t.Errorf("two panels are number %d", p.ID)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			exprs = append(exprs, target.Expr)
		}
	}
	if len(exprs) == 0 {
		t.Fatal("no panel asks anything")
	}
	return exprs
}

// TestEveryAlertHasATestThatFiresAndOneThatIsSilent holds the two files against each other.
func TestEveryAlertHasATestThatFiresAndOneThatIsSilent(t *testing.T) {
	rules, _ := Read("prometheus-rules.yaml")
	tests, _ := Read("prometheus-rules.test.yaml")
	alerts := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(rules), -1)
	if len(alerts) == 0 {
		t.Fatal("there are no alerts")
	}
	for _, m := range alerts {
		for _, how := range []string{"fires", "is silent"} {
			if !strings.Contains(string(tests), "name: "+m[1]+" "+how+"\n") {
				t.Errorf("no test holds that %s %s", m[1], how)
			}
		}
	}
}

// mostExposed is what systemd-analyze may find a unit exposed to; 10 is a process that may do everything.
const mostExposed = 1.5

// TestSystemdTakesTheUnits has systemd-analyze read them and judge what the process may do.
func TestSystemdTakesTheUnits(t *testing.T) {
	analyze := needTool(t, "systemd-analyze", "apt-get install systemd")
	program, err := os.Executable() // a program that is there, in the place of the one that the package installs
	if err != nil {
		t.Fatal(err)
	}
	dir := written(t, strings.NewReplacer("/usr/bin/flowbridge", program), "flowbridge.service", "flowbridge.socket")
	out := takes(t, dir, analyze, "verify", "--man=no", "./flowbridge.service", "./flowbridge.socket")
	if strings.Contains(out, "flowbridge") {
		t.Errorf("systemd-analyze verify says\n%s", out)
	}
	out = takes(t, dir, analyze, "security", "--no-pager", "--offline=true", "flowbridge.service")
	m := regexp.MustCompile(`Overall exposure level for flowbridge.service: ([0-9.]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("systemd-analyze does not judge:\n%s", out)
	}
	if level, err := strconv.ParseFloat(m[1], 64); err != nil || level > mostExposed {
		t.Errorf("the unit is exposed to %s, want %v at most:\n%s", m[1], mostExposed, out)
	}
}

// TestNginxTakesItsFiles has nginx read both, with names and certificates of this test.
func TestNginxTakesItsFiles(t *testing.T) {
	nginx := needTool(t, "nginx", "apt-get install nginx")
	openssl := needTool(t, "openssl", "apt-get install openssl")
	dir := t.TempDir()
	replace := strings.NewReplacer("/etc/nginx/", dir+"/", "bridge-a:", "127.0.0.1:", "bridge-b:", "127.0.0.2:",
		"listen 443", "listen 127.0.0.1:8443")
	files := written(t, replace, "nginx.conf", "compose-nginx.conf")
	for _, name := range []string{"flows", "ops"} {
		takes(t, dir, openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
			"/CN="+name,
			"-keyout", name+".key", "-out", name+".crt")
	}
	main := "pid " + dir + "/pid; error_log stderr; events {}\nhttp { include " + files + "/nginx.conf; }\n"
	if err := os.WriteFile(filepath.Join(dir, "main.conf"), []byte(main), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, conf := range []string{filepath.Join(dir, "main.conf"), filepath.Join(files, "compose-nginx.conf")} {
		takes(t, dir, nginx, "-t", "-q", "-e", "stderr", "-c", conf)
	}
}

// TestCaddyTakesItsFile has Caddy read it.
func TestCaddyTakesItsFile(t *testing.T) {
	caddy := needTool(t, "caddy", "apt-get install caddy")
	takes(t, written(t, asItIs, "Caddyfile"), caddy, "validate", "--config", "Caddyfile", "--adapter", "caddyfile")
}

// TestHelmTakesTheChart has helm read it.
func TestHelmTakesTheChart(t *testing.T) {
	helm := needTool(t, "helm", "see https://helm.sh/docs/intro/install")
	dir := written(t, asItIs, under("helm")...)
	takes(t, dir, helm, "lint", "--strict", "helm")
	for _, set := range []string{"databaseURL=", "databaseURL=postgres://db/flowbridge"} {
		objects(t, takes(t, dir, helm, "template", "watch", "helm", "--set", set))
	}
}

// composeFile is what a Compose file of ours may have, to the letter of the Compose specification.
type composeFile struct {
	Name     string                    `json:"name"`
	XBridge  json.RawMessage           `json:"x-bridge"`
	Services map[string]composeService `json:"services"`
	Volumes  map[string]struct{}       `json:"volumes"`
	Secrets  map[string]struct {
		File string `json:"file"`
	} `json:"secrets"`
}

type composeService struct {
	Image           string            `json:"image"`
	Command         []string          `json:"command"`
	Restart         string            `json:"restart"`
	ReadOnly        bool              `json:"read_only"`
	CapDrop         []string          `json:"cap_drop"`
	SecurityOpt     []string          `json:"security_opt"`
	MemLimit        string            `json:"mem_limit"`
	ShmSize         string            `json:"shm_size"`
	StopGracePeriod string            `json:"stop_grace_period"`
	Ports           []string          `json:"ports"`
	Environment     map[string]string `json:"environment"`
	Secrets         []string          `json:"secrets"`
	Volumes         []string          `json:"volumes"`
	DependsOn       json.RawMessage   `json:"depends_on"`
	Healthcheck     *struct {
		Test     []string `json:"test"`
		Interval string   `json:"interval"`
		Timeout  string   `json:"timeout"`
		Retries  int      `json:"retries"`
	} `json:"healthcheck"`
}

// TestComposeFilesFitTogether decodes them strictly; where there is docker compose, it reads them as well.
func TestComposeFilesFitTogether(t *testing.T) {
	for name, bridges := range map[string]int{"compose-sqlite.yaml": 1, "compose-postgres.yaml": 2} {
		t.Run(name, func(t *testing.T) {
			text, _ := Read(name)
			var file composeFile
			if err := yaml.UnmarshalStrict(text, &file, yaml.DisallowUnknownFields); err != nil {
				t.Fatal(err)
			}
			for called, s := range file.Services {
				if !strings.HasPrefix(s.Image, "${") {
					t.Errorf("%s: the image %s cannot be another one", called, s.Image)
				}
				for _, secret := range s.Secrets {
					if file.Secrets[secret].File == "" {
						t.Errorf("%s: there is no secret %s", called, secret)
					}
				}
				if !slices.Equal(s.Command, []string{"serve"}) {
					continue
				}
				bridges--
				checkBridge(t, called, s)
			}
			if bridges != 0 {
				t.Errorf("%d bridges are missing", bridges)
			}
			if exec.Command("docker", "compose", "version").Run() == nil {
				takes(t, written(t, asItIs, name), "docker", "compose", "-f", name, "config", "--quiet")
			}
		})
	}
}

func checkBridge(t *testing.T, called string, s composeService) {
	t.Helper()
	if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) ||
		!slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
		t.Errorf("%s may write, or has rights that it does not need", called)
	}
	for name, value := range s.Environment {
		secret, isSecret := strings.CutPrefix(value, "/run/secrets/")
		if strings.HasSuffix(name, "_FILE") && (!isSecret || !slices.Contains(s.Secrets, secret)) {
			t.Errorf("%s: %s is %s, which is no secret of it", called, name, value)
		}
	}
	if db := s.Environment["FLOWBRIDGE_DB"]; db != "" {
		if err := store.CheckDSN(db); err != nil {
			t.Error(err)
		}
	}
	for _, volume := range s.Volumes {
		if strings.Contains(volume, ":/etc/flowbridge/") {
			t.Errorf("%s: %s is the file alone: one that replaces it is not seen", called, volume)
		}
	}
	for _, port := range s.Ports {
		if strings.HasSuffix(port, ":9090") && !strings.HasPrefix(port, "127.0.0.1:") {
			t.Errorf("%s: everybody reaches the console at %s", called, port)
		}
	}
}
