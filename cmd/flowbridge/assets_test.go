package main

import (
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"flowbridge/cmd/flowbridge/assets"
	"flowbridge/router"
	"flowbridge/router/rules"
)

// knownMetrics are the labels of every metric that a bridge may have, by the name under which Prometheus stores it;
// values are those of labels that each bridge has from its start.
type knownMetrics struct {
	labels map[string][]string
	values map[string]map[string]bool // by "metric label"
}

// newKnownMetrics asks the registry of a bridge that has everything that can be switched on.
func newKnownMetrics(t *testing.T) knownMetrics {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	dir, ca := t.TempDir(), newAuthority(t, "CA of the test")
	cert, key := ca.issue("bridge", 20*24*time.Hour)
	files := tlsFiles{Cert: ca.write(filepath.Join(dir, "tls.crt"), cert), Key: ca.write(filepath.Join(dir, "tls.key"),
		key)}
	public, err := newCertificates(files, logger)
	must(t, err)
	files.admin = true
	admin, err := newCertificates(files, logger)
	must(t, err)
	loaded, err := rules.Load("rules.yaml",
		[]byte("version: 1\nnotifiers: {ops: {kind: slack, channel: \"#ops\"}}\ndefault: {notify: [ops]}\n"), rules.Config{})
	must(t, err)
	faults := newRuleFaults(logger)
	b, err := newBridge(t.Context(), bridgeConfig{
		Rules: loaded, DB: filepath.Join(dir, "bridge.db"), Certificates: public, AdminCertificates: admin, Logger: logger,
		Faults: faults,
		LogTo:  &outlet{}, Forward: "http://127.0.0.1:1/", GraphToken: "a token", GraphURL: "http://127.0.0.1:1",
		AppSecrets: []router.Secret{testSecret}, VerifyToken: "a verify token", PagerDutyURL: "http://127.0.0.1:1",
		SlackToken: testSlackToken, SlackURL: "http://127.0.0.1:1/", SlackBack: slackBack{SigningSecret: "a secret",
			AppToken: "xapp-1"},
		PagerDutyBack: pagerDutyBack{Secrets: []router.Secret{"a secret"}, Token: "a token", APIURL: "http://127.0.0.1:1"},
	})
	must(t, err)
	t.Cleanup(func() { b.store.Close() })
	k := knownMetrics{labels: map[string][]string{
		"up": {"job", "instance"}, "process_resident_memory_bytes": nil,
	}, values: map[string]map[string]bool{}}
	k.describe(b.metrics)
	k.describe(faults.unnamed) // what a scrape without a token has
	found, err := b.metrics.Gather()
	must(t, err)
	for _, family := range found {
		k.see(family)
	}
	return k
}

var described = regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)

func (k knownMetrics) describe(c prometheus.Collector) {
	all := make(chan *prometheus.Desc)
	go func() {
		c.Describe(all)
		close(all)
	}()
	for d := range all {
		m := described.FindStringSubmatch(d.String())
		k.labels[m[1]] = strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' || r == ' ' })
	}
}

// see takes in what has series from the start. A histogram is stored as three metrics, one with a label more.
func (k knownMetrics) see(family *dto.MetricFamily) {
	for _, m := range family.Metric {
		for _, label := range m.Label {
			at := family.GetName() + " " + label.GetName()
			if k.values[at] == nil {
				k.values[at] = map[string]bool{}
			}
			k.values[at][label.GetValue()] = true
		}
	}
}

// histograms are the metrics that are stored as buckets, a sum and a count.
var histograms = []string{"flowbridge_post_seconds", "flowbridge_delivery_sync_seconds", "flowbridge_forward_seconds"}

// of returns the labels of a metric as Prometheus stores it.
func (k knownMetrics) of(name string) (labels []string, ok bool) {
	for _, histogram := range histograms {
		switch name {
		case histogram:
			return nil, false
		case histogram + "_bucket":
			return append([]string{"le"}, k.labels[histogram]...), true
		case histogram + "_sum", histogram + "_count":
			return k.labels[histogram], true
		}
	}
	labels, ok = k.labels[name]
	return labels, ok
}

var (
	selectors = regexp.MustCompile(`\b((?:flowbridge|process|go)_[a-z_]+|up)\b(?:\{([^}]*)\})?`)
	matchers  = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	groupings = regexp.MustCompile(`\b(?:by|on|without|ignoring)\s*\(([^)]*)\)`)
	targets   = []string{"job", "instance"} // what Prometheus adds to each series
)

// check says what an expression asks that no bridge has.
func (k knownMetrics) check(expr string) (faults []string) {
	known := slices.Clone(targets)
	found := selectors.FindAllStringSubmatch(expr, -1)
	if len(found) == 0 {
		faults = append(faults, "it asks for no metric of flowbridge")
	}
	for _, m := range found {
		labels, ok := k.of(m[1])
		if !ok {
			faults = append(faults, "there is no metric "+m[1])
		}
		known = append(known, labels...)
		for _, matcher := range matchers.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(append(slices.Clone(labels), targets...), matcher[1]) {
				faults = append(faults, m[1]+" has no label "+matcher[1])
			}
			values := k.values[m[1]+" "+matcher[1]]
			for _, value := range strings.Split(matcher[3], "|") {
				if values != nil && !values[value] {
					faults = append(faults, m[1]+" is never "+matcher[1]+"="+value)
				}
			}
		}
	}
	for _, m := range groupings.FindAllStringSubmatch(expr, -1) {
		for _, label := range strings.Split(m[1], ",") {
			if label = strings.TrimSpace(label); !slices.Contains(known, label) {
				faults = append(faults, "no metric of it has the label "+label)
			}
		}
	}
	return faults
}

// TestAlertRulesAndDashboardAskForMetricsThatThereAre holds names, labels and values against the registry of a bridge.
func TestAlertRulesAndDashboardAskForMetricsThatThereAre(t *testing.T) {
	t.Parallel()
	k := newKnownMetrics(t)
	for _, expr := range []string{
		`flowbridge_nothing == 1`, `flowbridge_post_seconds > 1`, `sum(flowbridge_posts_total{answer="x"})`, `1 > 2`,
		`flowbridge_posts_total{result="refused"}`, `sum by (notifier) (flowbridge_posts_total)`,
		`flowbridge_storage_up_bucket`,
	} {
		if len(k.check(expr)) == 0 {
			t.Errorf("this test does not see what is wrong with %s", expr)
		}
	}
	for name, pattern := range map[string]string{
		"prometheus-rules.yaml":      `(?m)^ +expr: (.*)$`,
		"prometheus-rules.test.yaml": `series: '((?:flowbridge|up)[^']*)'`,
		"grafana-dashboard.json":     `(?m)"expr": (".*"),?$`,
	} {
		text, _ := assets.Read(name)
		found := regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s asks for nothing", name)
		}
		for _, m := range found {
			expr := strings.ReplaceAll(m[1], `\"`, `"`)
			for _, fault := range k.check(expr) {
				t.Errorf("%s: %s: %s", name, expr, fault)
			}
		}
	}
}

// TestAlertsLeadToTheManual holds that each alert has a runbook, and that it is there.
func TestAlertsLeadToTheManual(t *testing.T) {
	t.Parallel()
	text, _ := assets.Read("prometheus-rules.yaml")
	alerts := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(text), -1)
	links := regexp.MustCompile(
		`runbook_url: https://flowbridge\.example\.com/docs/([a-z-]+)#(\S+)`).FindAllStringSubmatch(string(text), -1)
	if len(alerts) == 0 || len(links) != len(alerts) {
		t.Fatalf("%d alerts have %d runbooks", len(alerts), len(links))
	}
	for i, m := range links {
		if !slices.Contains(manualPages, m[1]) || !slices.Contains(anchors(manualPage(m[1])), m[2]) {
			t.Errorf("%s: the manual has no %s#%s", alerts[i][1], m[1], m[2])
		}
		if m[2] != strings.ToLower(alerts[i][1]) {
			t.Errorf("%s leads to %s", alerts[i][1], m[2])
		}
	}
}

// TestAssetsCallTheProgramAsItIs parses the command lines that they have, looks for each variable in the code, and
// holds that proxies pass on the public routes and no other.
func TestAssetsCallTheProgramAsItIs(t *testing.T) {
	t.Parallel()
	var c commands
	p := program{}
	parser, err := kong.New(&c, p.options(t.Context())...)
	must(t, err)
	code := sources(t, func(path string) bool { return !strings.HasSuffix(path, "_test.go") })
	lines := 0
	for _, name := range assets.Names() {
		text, ok := assets.Read(name)
		if !ok {
			continue // a folder
		}
		joined := strings.NewReplacer("\\\n#", "", "\\\n", "").Replace(string(text))
		for _, m := range regexp.MustCompile(
			`(?m)(?:^# |ExecStart=/usr/bin/| run: docker run .* )flowbridge (serve|check|test)( .*)$`).FindAllStringSubmatch(
			joined, -1) {
			lines++
			args := strings.Fields(strings.ReplaceAll(m[1]+m[2], "${STATE_DIRECTORY}", "/var/lib/flowbridge"))
			if _, err := parser.Parse(args); err != nil {
				t.Errorf("%s: flowbridge %s: %v", name, strings.Join(args, " "), err)
			}
		}
		for _, variable := range regexp.MustCompile(`\b(FLOWBRIDGE|META|SLACK|PAGERDUTY)_[A-Z_]+[A-Z]\b`).FindAllString(
			string(text), -1) {
			plain := strings.TrimSuffix(variable, "_FILE")
			if !slices.Contains([]string{"FLOWBRIDGE_IMAGE", "FLOWBRIDGE_SOURCE", "FLOWBRIDGE_COMMIT"}, plain) &&
				!strings.Contains(code, `"`+plain+`"`) && !strings.Contains(code, `env:"`+plain+`"`) {
				t.Errorf("%s: there is no variable %s", name, variable)
			}
		}
		for _, m := range regexp.MustCompile(`uses: (\S+)`).FindAllStringSubmatch(string(text), -1) {
			if !regexp.MustCompile(`@[0-9a-f]{40}$`).MatchString(m[1]) {
				t.Errorf("%s: %s is not pinned by its commit", name, m[1])
			}
		}
	}
	if lines < 5 {
		t.Errorf("%d command lines were looked at", lines)
	}
	for name, pattern := range map[string]string{"nginx.conf": `location = (\S+)`,
		"compose-nginx.conf": `location = (\S+)`, "Caddyfile": `(/(?:webhooks|slack)/\w+)`} {
		text, _ := assets.Read(name)
		var paths []string
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			paths = append(paths, m[1])
		}
		if !slices.Equal(paths, strangerPaths) {
			t.Errorf("%s passes on %v, and the public routes are %v", name, paths, strangerPaths)
		}
	}
}
