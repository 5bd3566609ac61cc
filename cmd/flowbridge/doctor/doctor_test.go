package doctor

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/notifiers"
	"flowbridge/notifiers/pagerduty"
	"flowbridge/notifiers/sandbox"
	"flowbridge/notifiers/slack"
	"flowbridge/notifiers/webhook"
	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/store"
	databases "flowbridge/router/store/storetest"
	"flowbridge/router/whatsapp"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	testSlackToken = "xoxb-of-the-test"
	testRoutingKey = "11112222333344445555666677778888"
)

// surgery is a flowbridge that is set up well, for tests to break.
type surgery struct {
	dir     string
	cfg     Config
	admin   string // address to listen on
	env     map[string]string
	Slack   *sandbox.Slack
	Pager   *sandbox.PagerDuty
	Account *sandbox.Account
	Graph   *sandbox.Graph
	public  http.Handler
	date    time.Duration // what the services' clocks are ahead
	trusted bool
}

const surgeryRules = `version: 1
notifiers:
  ops-chat: {kind: slack, channel: "#ops"}
  payments-chat: {kind: slack, channel: C0SANDBOX02}
  payments-oncall: {kind: pagerduty, routing_key: "${PD_KEY}"}
rules:
  - name: everything
    match: {field: flows}
    notify: [ops-chat, payments-chat, payments-oncall]
default: {notify: [ops-chat]}
fallback: ops-chat
`

func newSurgery(t *testing.T) *surgery {
	s := &surgery{
		dir: t.TempDir(),
		Slack: sandbox.NewSlack(sandbox.SlackConfig{Token: testSlackToken, Channels: []string{"#ops", "#payments"},
			NoLimits: true,
			Scopes: []string{"chat:write", "chat:write.public", "channels:history", "channels:join", "channels:read",
				"groups:read", "commands"}}),
		Pager:   sandbox.NewPagerDuty(sandbox.PagerDutyConfig{RoutingKeys: []router.Secret{testRoutingKey}}),
		Account: &sandbox.Account{Token: "pd-token-of-the-test", Users: []string{"bridge@example.com"}},
		Graph:   sandbox.NewGraph(sandbox.GraphConfig{Token: "EAAG-token-of-the-test"}),
		trusted: true,
		env: map[string]string{
			"META_APP_SECRET": "0123456789abcdef0123456789abcdef", "META_VERIFY_TOKEN": "verify-token-of-the-test",
			"FLOWBRIDGE_ADMIN_TOKEN": "admin-token-of-the-test",
			"SLACK_BOT_TOKEN":        testSlackToken, "SLACK_SIGNING_SECRET": "fedcba9876543210fedcba9876543210",
			"PD_KEY":              testRoutingKey,
			"PAGERDUTY_API_TOKEN": "pd-token-of-the-test", "PAGERDUTY_WEBHOOK_SECRET": "pd-webhook-secret-of-the-test",
			"PAGERDUTY_FROM":    "bridge@example.com",
			"META_ACCESS_TOKEN": "EAAG-token-of-the-test",
		},
	}
	s.cfg, s.admin = Config{Rules: filepath.Join(s.dir, "rules.yaml"), DB: filepath.Join(s.dir, "bridge.db"),
		Timeout: databases.Patience}, "127.0.0.1:9090"
	writeFile(t, s.cfg.Rules, surgeryRules)
	journal, err := store.Open(context.Background(), store.Config{DSN: s.cfg.DB})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { journal.Close() }) // it stays open: the doctor comes while the bridge runs
	intake, err := whatsapp.New(whatsapp.Config{AppSecrets: []router.Secret{"s"}, VerifyToken: "verify-token-of-the-test"},
		journal)
	if err != nil {
		t.Fatal(err)
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /webhooks/whatsapp", intake.Verify)
	s.public = routes
	return s
}

// examine starts the services and returns what the doctor prints. Names stand for what differs from run to run.
func (s *surgery) examine(t *testing.T, change func(*surgery)) string {
	t.Helper()
	slackServer := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.Slack.ServeHTTP(w, r) }))
	pagerServer, accountServer := s.serve(t, s.Pager), s.serve(t, s.Account)
	public := httptest.NewUnstartedServer(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.public.ServeHTTP(w, r) }))
	public.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that a test wants to fail
	public.StartTLS()
	t.Cleanup(public.Close)
	s.env["SLACK_API_URL"], s.env["PAGERDUTY_EVENTS_URL"], s.env["PAGERDUTY_API_URL"] = slackServer.URL+"/api/",
		pagerServer.URL, accountServer.URL
	s.env["META_GRAPH_URL"] = s.serve(t, s.Graph).URL
	s.cfg.WebhookURL = public.URL
	s.Account.Subscriptions = append(s.Account.Subscriptions, sandbox.Subscription{URL: public.URL + "/webhooks/pagerduty",
		Events: pagerduty.WebhookEvents})
	if change != nil {
		change(s)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if s.trusted {
		transport = public.Client().Transport.(*http.Transport).Clone()
	}
	t.Cleanup(transport.CloseIdleConnections)

	out := printed(t, New(s.config(transport)).Examine(context.Background()))
	for _, call := range s.Slack.Calls() {
		if call.Method != "auth.test" && !strings.HasPrefix(call.Method, "conversations.") {
			t.Errorf("the doctor called Slack's %s", call.Method)
		}
	}
	for _, call := range s.Account.Calls() {
		if !strings.HasPrefix(call, "GET ") {
			t.Errorf("the doctor called PagerDuty: %s", call)
		}
	}
	if calls := s.Pager.Calls(); len(calls) > 0 {
		t.Errorf("the doctor sent events: %+v", calls)
	}
	var secrets []string
	for name, value := range s.env {
		if strings.HasSuffix(name, "_SECRET") || strings.HasSuffix(name, "_TOKEN") || name == "PD_KEY" {
			secrets = append(secrets, value)
		}
	}
	sandbox.AssertNoSecret(t, secrets, out)
	shown := strings.NewReplacer(slackServer.URL, "SLACK", pagerServer.URL, "PAGERDUTY", accountServer.URL, "ACCOUNT",
		public.URL, "PUBLIC", s.dir, "WORK",
		strings.TrimPrefix(public.URL, "https://"), "PUBLIC").Replace(out)
	for from, to := range map[string]string{
		`schema \d+`: "schema N", `\d+ MiB`: "N MiB", `holds \d+ days more, until \S+`: "holds N days more, until DAY",
		`127\.0\.0\.1:\d{5}`: "HOST",
		`[\dhms.]+ behind`:   "DURATION behind",
	} {
		shown = regexp.MustCompile(from).ReplaceAllString(shown, to)
	}
	return shown
}

// config is what the program makes of the environment.
func (s *surgery) config(transport http.RoundTripper) Config {
	cfg := s.cfg
	cfg.Transport, cfg.Version, cfg.Clean = transport, "test", strings.TrimSpace
	cfg.Setting = func(name string) string { return s.env[name] }
	cfg.Secrets = map[string]router.Secret{}
	for name, value := range s.env {
		if strings.HasSuffix(name, "_SECRET") || strings.HasSuffix(name, "_TOKEN") {
			cfg.Secrets[name] = router.Secret(value)
		}
	}
	cfg.RulesConfig = rules.Config{
		Env:      func(name string) (string, bool) { value, ok := s.env[name]; return value, ok },
		ReadFile: os.ReadFile,
	}
	cfg.ReadRules = func(path string, cfg rules.Config) (*rules.Rules, error) {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		return rules.Load(path, data, cfg)
	}
	cfg.Warnings = func(path string) (rules.Mistakes, error) {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		_, found := rules.Check([]rules.File{{Name: path, Data: data}}, cfg.RulesConfig)
		return found, nil
	}
	cfg.Kinds = []Kind{{Kind: slack.Kind, Examine: slack.Examine}, {Kind: pagerduty.Kind, Examine: pagerduty.Examine},
		{Kind: webhook.Kind, Examine: webhook.Examine}}
	cfg.Tokens = []notifiers.Finding{notifiers.Fine("admin token", "set")}
	if s.env["FLOWBRIDGE_ADMIN_TOKEN"] == "" {
		cfg.Tokens[0] = notifiers.Fail("admin token", "other machines reach "+s.admin+
			", and FLOWBRIDGE_ADMIN_TOKEN is not set", "set it, or listen on 127.0.0.1")
	}
	return cfg
}

func printed(t *testing.T, r *Report) string {
	t.Helper()
	var out strings.Builder
	if err := r.Print(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// plain is a doctor of whom nothing is asked but one check.
func plain(cfg Config) *Doctor {
	cfg.Transport, cfg.Clean, cfg.Setting = http.DefaultTransport, strings.TrimSpace, func(string) string { return "" }
	return New(cfg)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *surgery) serve(t *testing.T, h http.Handler) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(s.date).UTC().Format(http.TimeFormat))
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		s.Slack.ClearFaults()
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

func TestTheDoctorSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		golden string
		change func(s *surgery)
	}{
		{"all-is-well", nil},
		{"nothing-is-set", func(s *surgery) {
			s.env, s.cfg.WebhookURL, s.cfg.Rules, s.cfg.DB = map[string]string{}, "", filepath.Join(s.dir, "none.yaml"),
				filepath.Join(s.dir, "none.db")
			s.admin = ":9090"
		}},
		{"secrets-are-wrong", func(s *surgery) {
			for _, name := range []string{"META_APP_SECRET", "META_VERIFY_TOKEN", "SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET",
				"PAGERDUTY_API_TOKEN"} {
				s.env[name] = "wrong-" + strings.ToLower(name)
			}
			s.env["FLOWBRIDGE_ADMIN_TOKEN"] = ""
			s.admin = "0.0.0.0:9090"
		}},
		{"channels-cannot-be-reached", func(s *surgery) {
			s.Slack.Invite("#ops", false)
			s.Slack.Archive("#payments", true)
			s.rules(`  lost: {kind: slack, channel: "#lost"}`, `  gone: {kind: slack, channel: C0GONE00001}`)
		}},
		{"scopes-are-missing", func(s *surgery) { s.workspace("chat:write") }},
		{"the-bot-may-post-uninvited", func(s *surgery) {
			s.workspace("chat:write", "chat:write.public", "channels:history", "channels:read", "commands")
			s.Slack.Invite("#ops", false)
		}},
		{"the-bot-is-not-invited", func(s *surgery) {
			s.workspace("chat:write", "channels:history", "channels:read", "commands")
			s.Slack.Invite("#ops", false)
		}},
		{"a-private-channel-cannot-be-read", func(s *surgery) {
			s.Slack = sandbox.NewSlack(sandbox.SlackConfig{Token: testSlackToken, Channels: []string{"#ops"},
				Private: []string{"#payments"}, NoLimits: true,
				Scopes: []string{"chat:write", "chat:write.public", "channels:history", "channels:join", "channels:read",
					"groups:read", "commands"}})
		}},
		{"people-of-a-grid-are-not-known", func(s *surgery) {
			s.Slack = sandbox.NewSlack(sandbox.SlackConfig{Token: testSlackToken, Channels: []string{"#ops", "#payments"},
				NoLimits: true, Enterprise: "E0GRID",
				Scopes: []string{"chat:write", "chat:write.public", "channels:history", "channels:join", "channels:read",
					"groups:read", "commands"}})
		}},
		{"nothing-can-be-posted", func(s *surgery) { s.workspace("channels:read") }},
		{"buttons-are-not-connected", func(s *surgery) { s.env["SLACK_SIGNING_SECRET"] = "" }},
		{"the-app-token-is-another-token", func(s *surgery) { s.env["SLACK_APP_TOKEN"] = "xoxb-not-an-app-token" }},
		{"the-pagerduty-side-is-unfinished", func(s *surgery) {
			s.env["PAGERDUTY_WEBHOOK_SECRET"], s.env["PAGERDUTY_FROM"] = "", "nobody@example.com"
			s.Account.Subscriptions = nil
		}},
		{"the-subscription-is-disabled", func(s *surgery) { s.Account.Subscriptions[0].Disabled = true }},
		{"the-subscription-hears-little",
			func(s *surgery) { s.Account.Subscriptions[0].Events = []string{"incident.acknowledged"} }},
		{"the-subscription-is-on-the-second-page", func(s *surgery) {
			s.Account.Subscriptions = append([]sandbox.Subscription{{URL: "https://example.com/webhooks/pagerduty"}},
				s.Account.Subscriptions...)
			s.Account.Page = 1
		}},
		{"the-rest-token-may-not-look", func(s *surgery) { s.Account.Denied = []string{"/users", "/webhook_subscriptions"} }},
		{"the-access-token-sees-no-account", func(s *surgery) {
			s.account("501")
			s.Graph.Account("501", "Acme EU")
			s.Graph.Deny("501")
		}},
		{"the-access-token-is-refused", func(s *surgery) { s.Graph.Rotate("EAAG-another") }},
		{"graph-redirects", func(s *surgery) {
			s.Graph.Fail(sandbox.Fault{Status: http.StatusFound, Location: "http://127.0.0.1:1/"})
		}},
		{"graph-is-down", func(s *surgery) { s.env["META_GRAPH_URL"] = "http://127.0.0.1:1" }},
		{"services-are-down", func(s *surgery) {
			s.Slack.Fail(sandbox.Fault{Status: 503})
			s.env["PAGERDUTY_EVENTS_URL"], s.env["PAGERDUTY_API_URL"] = "http://127.0.0.1:1", "http://127.0.0.1:1"
		}},
		{"clocks-differ", func(s *surgery) { s.date = time.Hour }},
		{"the-public-address-is-another-server", func(s *surgery) { s.public = http.NotFoundHandler() }},
		{"the-public-address-has-another-token", func(s *surgery) {
			s.public = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) })
		}},
		{"the-public-address-wants-a-client-certificate", func(s *surgery) {
			s.public = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
		}},
		{"the-certificate-is-not-trusted", func(s *surgery) { s.trusted = false }},
	} {
		t.Run(tt.golden, func(t *testing.T) {
			got := newSurgery(t).examine(t, tt.change)
			if tt.change != nil { // then what is well is no news
				got = regexp.MustCompile(`(?m)^ok .*\n`).ReplaceAllString(got, "")
			}
			file := filepath.Join("testdata", tt.golden+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		})
	}
}

// workspace gives the bot other scopes.
func (s *surgery) workspace(scopes ...string) {
	s.Slack = sandbox.NewSlack(sandbox.SlackConfig{Token: testSlackToken, Channels: []string{"#ops", "#payments"},
		NoLimits: true, Scopes: scopes})
}

// rules adds notifiers to the rules.
func (s *surgery) rules(notifiers ...string) {
	text := strings.Replace(surgeryRules, "rules:\n", strings.Join(notifiers, "\n")+"\nrules:\n", 1)
	if err := os.WriteFile(s.cfg.Rules, []byte(text), 0o600); err != nil {
		panic(err)
	}
}

// account has the rules name an account.
func (s *surgery) account(id string) {
	text := strings.Replace(surgeryRules, "notifiers:\n", "accounts: {\""+id+"\": {name: Acme}}\nnotifiers:\n", 1)
	if err := os.WriteFile(s.cfg.Rules, []byte(text), 0o600); err != nil {
		panic(err)
	}
}

func TestTheDoctorAsJSON(t *testing.T) {
	t.Parallel()
	s := newSurgery(t)
	s.env["META_VERIFY_TOKEN"] = ""
	cfg := s.config(http.DefaultTransport)
	cfg.Kinds = nil
	text, err := json.Marshal(New(cfg).Examine(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		OK     bool
		Checks []diagnosis
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	at := slices.IndexFunc(got.Checks, func(f diagnosis) bool { return f.Name == "meta verify token" })
	if got.OK || at < 0 || got.Checks[at].Status != statusFail || got.Checks[at].Do == "" {
		t.Errorf("got %+v", got)
	}
}

// TestTheDoctorHidesSecretsThatOthersEcho has services say what they were told.
func TestTheDoctorHidesSecretsThatOthersEcho(t *testing.T) {
	t.Parallel()
	s := newSurgery(t)
	text := s.examine(t, func(s *surgery) { s.Slack.Fail(sandbox.Fault{OKFalse: "no such token: " + testSlackToken}) })
	if !strings.Contains(text, "no such token: ••••••") {
		t.Errorf("got %s", text)
	}
}

func TestTheDoctorHidesPasswordsInAddresses(t *testing.T) {
	t.Parallel()
	s := newSurgery(t)
	text := s.examine(t, func(s *surgery) {
		s.env["PAGERDUTY_EVENTS_URL"] = "http://ada:hunter2@127.0.0.1:1"
		s.cfg.WebhookURL = "https://ada:hunter2@127.0.0.1:1"
		s.cfg.DB = "postgres://ada:hunter2@127.0.0.1:1/flowbridge"
	})
	if strings.Contains(text, "hunter2") || strings.Count(text, "\nFAIL ") < 3 {
		t.Errorf("got %s", text)
	}
}

func TestTheDoctorDoesNotTakeTheConsoleForWhereMetaPosts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, path, want string
		guessed          bool
	}{
		{"the console's address, with a prefix", "/bridge", "warn public URL: not checked: there is nothing at " +
			"PUBLIC/bridge/webhooks/whatsapp, below where people reach the console -> give --webhook-url", true},
		{"the console's address, on a host of its own", "", "FAIL public URL: PUBLIC/webhooks/whatsapp answers HTTP 404, " +
			"and not as flowbridge does -> let whatever ends TLS pass /webhooks/whatsapp on to --listen, and start the " +
			"bridge; if Meta reaches the bridge elsewhere, give --webhook-url", true},
		{"the address of webhooks", "/bridge", "FAIL public URL: PUBLIC/bridge/webhooks/whatsapp answers HTTP 404",
			false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSurgery(t)
			text := s.examine(t, func(s *surgery) {
				s.public, s.cfg.Guessed = http.NotFoundHandler(), tt.guessed
				s.cfg.WebhookURL += tt.path
			})
			if !strings.Contains(text, tt.want) {
				t.Errorf("want %q in\n%s", tt.want, text)
			}
		})
	}
}

func TestADoctorWhoWaitsInVainComesToAnEnd(t *testing.T) {
	t.Parallel()
	s := newSurgery(t)
	s.cfg.Timeout = 100 * time.Millisecond
	text := s.examine(t, func(s *surgery) { s.Slack.Fail(sandbox.Fault{Hang: true}) })
	if want := "FAIL slack token: Slack: it did not answer within 100ms -> "; !strings.Contains(text, want) {
		t.Errorf("%q is not in\n%s", want, text)
	}
}

func TestTheDoctorLooksAtDatabasesWithoutTouchingThem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	make := func(name string, statements ...string) string {
		path := filepath.Join(dir, name)
		s, err := store.Open(context.Background(), store.Config{DSN: path})
		if err == nil {
			err = s.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, statement := range statements {
			if _, err := db.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	text := filepath.Join(dir, "text.db")
	writeFile(t, text, strings.Repeat("this is no database\n", 100))
	empty := filepath.Join(dir, "empty.db")
	writeFile(t, empty, "")
	newer := make("newer.db", `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`)
	next := make("next.db", `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`,
		`INSERT INTO remembered (name, value) VALUES ('oldest_for_9999', '20')`)
	older := make("older.db", `DELETE FROM goose_db_version WHERE version_id > 1`)
	damaged := make("damaged.db", `CREATE TABLE filler (text TEXT)`,
		`INSERT INTO filler SELECT hex(randomblob(500)) FROM (SELECT 1 UNION SELECT 2), (SELECT 1 UNION SELECT 2)`)
	spoil(t, damaged, -1)
	headless := make("headless.db")
	spoil(t, headless, 1)
	locked := make("locked.db")
	holder, err := sql.Open("sqlite", locked)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	holder.SetMaxOpenConns(1)
	if _, err := holder.Exec(`BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		make("good.db"): "ok   database: .* can be written, schema ",
		older:           "ok   database: .* can be written; the next start brings schema 1 to ",
		newer:           "FAIL database: it was written by a newer flowbridge: schema 9999, this one knows ",
		next: "warn database: .* is one release newer than this flowbridge, which still works on it: schema 9999, " +
			"this one knows ",
		empty:                         "ok   database: .* can be written; the next start brings schema 0 to ",
		damaged:                       "FAIL database: .* the file is damaged: go back to a copy, .* -> stop flowbridge ",
		headless:                      "FAIL database: .* the file is damaged: go back to a copy, .* -> stop flowbridge ",
		text:                          "FAIL database: .* is no SQLite database: name another file -> ",
		dir:                           "FAIL database: .* is a folder: name a file in it -> ",
		filepath.Join(dir, "none.db"): "ok   database: .* is not there yet: the first start makes it",
		":memory:": "FAIL database: a database in memory is gone with the process, .* name a file, " +
			"such as --db flowbridge.db -> ",
		filepath.Join(dir, "no", "x.db"): "FAIL database: .* does not exist: make it first -> ",
		locked:                           "FAIL database: .*(in use by another process|did not answer)",
	} {
		before, _ := os.ReadFile(path)
		d := plain(Config{DB: path, Timeout: databases.Patience, Through: true})
		if path == locked {
			d.cfg.Timeout = time.Second
		}
		if out := printed(t, d.report(d.checkDatabase(context.Background()))); !regexp.MustCompile("^" +
			want).MatchString(out) {
			t.Errorf("%s: got %s", path, out)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
			t.Errorf("%s was changed", path)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "none.db")); err == nil {
		t.Error("the doctor made a database")
	}
}

// spoil writes over a page of a SQLite file, counted from its end where that is below 0.
func spoil(t *testing.T, path string, page int) {
	t.Helper()
	const size = 4096
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := page * size
	if at < 0 {
		at += len(text)
	}
	copy(text[at:at+size], bytes.Repeat([]byte{0xff}, size))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheDoctorLooksAtPostgreSQL(t *testing.T) {
	t.Parallel()
	server := databases.Shared(t)
	dsn := server.Database(t)
	look := func() string {
		d := plain(Config{DB: dsn, Timeout: databases.Patience})
		return printed(t, d.report(d.checkDatabase(context.Background())))
	}
	server.Exec(t, dsn, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
	server.Exec(t, dsn, "DROP ROLE IF EXISTS doctored")
	server.Exec(t, dsn, "CREATE ROLE doctored LOGIN")
	dsn = strings.Replace(dsn, "user=flowbridge", "user=doctored", 1)
	if got := look(); !regexp.MustCompile(
		`^FAIL database: postgres://\S+: role doctored may not make tables in schema public -> run as a superuser: GRANT USAGE, CREATE ON SCHEMA public TO doctored\n$`).MatchString(got) {
		t.Errorf("as a role that may not create: %s", got)
	}
	dsn = strings.Replace(dsn, "user=doctored", "user=flowbridge", 1)
	if got := look(); !regexp.MustCompile(
		`^ok   database: postgres://\S+ can be written; the next start brings schema 0 to \d+\n$`).MatchString(got) {
		t.Errorf("without tables: %s", got)
	}
	s, err := store.Open(context.Background(), store.Config{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := look(); !regexp.MustCompile(`^ok   database: postgres://\S+ can be written, schema \d+\n$`).MatchString(
		got) {
		t.Errorf("while a bridge uses it: %s", got)
	}
}

func TestJudgementsOfNumbers(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	d := &Doctor{cfg: Config{Now: func() time.Time { return now }}}
	for left, want := range map[time.Duration]string{15 * 24 * time.Hour: statusOK, 13 * 24 * time.Hour: statusWarn,
		-time.Hour: statusWarn} {
		if got := d.certificate("example.com", now.Add(left)); got.Status != want {
			t.Errorf("a certificate that ends in %s: %+v", left, got)
		}
	}
	for free, want := range map[uint64]string{5 << 30: statusOK, 500 << 20: statusWarn, 50 << 20: statusFail} {
		if got := diskSpace("x", func(string) (uint64, error) { return free, nil }); got.Status != want {
			t.Errorf("%d bytes: %+v", free, got)
		}
	}
	for _, tt := range []struct {
		name           string
		date           time.Duration // of the service, after `now`
		sent, received time.Duration
		want           string
	}{
		{"the same second", 0, 200 * time.Millisecond, 300 * time.Millisecond, statusOK},
		{"a slow answer", 0, -4 * time.Second, 4 * time.Second, statusOK},
		{"two seconds and the rest of one", 0, 2900 * time.Millisecond, 3 * time.Second, statusOK},
		{"ahead", 0, 4 * time.Second, 4 * time.Second, statusWarn},
		{"behind", 4 * time.Second, 0, time.Second, statusWarn},
		{"far behind", 6 * time.Minute, 0, time.Second, statusFail},
	} {
		d := &Doctor{}
		d.skews.add("slack.com", now.Add(tt.date).Format(http.TimeFormat), now.Add(tt.sent), now.Add(tt.received))
		d.skews.add("proxy.example.com", now.Add(-time.Hour).Format(http.TimeFormat), now, now)
		d.skews.add("odd.example.com", "yesterday", now, now)
		if got := d.checkClock(); got.Status != tt.want || !strings.Contains(got.Seen, "slack.com") {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}
