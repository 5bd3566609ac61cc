package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"flowbridge/router"
)

// probeTimeout bounds what a probe or a scrape asks of the store; Kubernetes gives up after one second by
// default, Prometheus after ten.
const probeTimeout = 900 * time.Millisecond

// health: GET /healthz. While the process serves it is alive: to restart it mends no storage.
func (c *Console) health(*http.Request, httprouter.Params) (int, any, error) {
	return http.StatusOK, map[string]string{"status": "ok", "version": c.cfg.Version}, nil
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready bool   `json:"ready"`
	Error string `json:"error,omitempty"` // what keeps it from being ready
	// Rules says why the rules on disk are not in force. A bridge with older rules is ready: to take it out of service
	// would lose posts that those rules serve well.
	Rules string `json:"rules,omitempty"`
}

// Trouble looks whether events are folded and deliveries tried, and says what stands still; "" if nothing does. Storage
// that does not answer is no such trouble: to start the process anew mends no storage.
func (c *Console) Trouble(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if err := c.observe(ctx); err != nil {
		c.faults.warn("it could not be seen whether everything gets on", "error", err)
	}
	return c.progress.trouble(c.cfg.StalledAfter)
}

// maxTrouble bounds what a probe is told of the rules, in bytes: POST /api/v1/reload tells all.
const maxTrouble = 2 << 10

// ready: GET /readyz, 200 or 503.
func (c *Console) ready(r *http.Request, _ httprouter.Params) (int, any, error) {
	if trouble := c.Unready(r.Context()); trouble != "" {
		return http.StatusServiceUnavailable, readiness{Error: trouble}, nil
	}
	return http.StatusOK, readiness{Ready: true, Rules: c.trouble(callerOf(r))}, nil
}

// Unready says what keeps the bridge from doing its work; "" if nothing does.
func (c *Console) Unready(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if err := c.store.Ping(ctx); err != nil {
		c.faults.warn("not ready: storage does not answer", "error", err)
		return "storage does not answer"
	}
	if trouble := c.Trouble(ctx); trouble != "" {
		return trouble
	}
	if err := c.cfg.Ready(); err != nil {
		return err.Error()
	}
	return ""
}

// Stalled returns for how long the fold had not moved at the last look, 0 if no event waits, and so of each notifier
// with something due.
func (c *Console) Stalled() (fold time.Duration, lanes map[string]time.Duration) {
	_, fold, lanes = c.progress.stalled()
	return fold, lanes
}

// trouble says why the rules on disk are not in force, to whom may look at them.
func (c *Console) trouble(who caller) string {
	text := c.cfg.Rules()
	if text != "" && who.may == mayNothing {
		return "the rules on disk are not in force: ask with a token, or see the log"
	}
	if len(text) <= maxTrouble {
		return text
	}
	return strings.ToValidUTF8(text[:maxTrouble], "") + "…"
}

// reload: POST /api/v1/reload
func (c *Console) reload(r *http.Request, _ httprouter.Params) (int, any, error) {
	if c.cfg.Reload == nil {
		return 0, nil, refuse(http.StatusConflict, "the rules of this bridge cannot be read anew: start it again")
	}
	actor, err := actorOf(r)
	if err != nil {
		return 0, nil, err
	}
	if err := c.cfg.Reload(); err != nil {
		c.keep(r.Context(), c.auditEntry(r, actor, reloadRules, "refused: the rules have mistakes"))
		return http.StatusUnprocessableEntity, unread{
			Error:    "the rules cannot be used; the old ones stay in force",
			Mistakes: strings.Split(strings.TrimSpace(err.Error()), "\n"),
		}, nil
	}
	c.keep(r.Context(), c.auditEntry(r, actor, reloadRules, "read anew"))
	c.cfg.Logger.Info("a person had the rules read anew", "by", actor, "from", r.RemoteAddr)
	return http.StatusOK, map[string]bool{"reloaded": true}, nil
}

// reloadRules is what the audit calls it.
const reloadRules = "reload the rules"

// unread is the answer to a reload that was refused.
type unread struct {
	Error    string   `json:"error"`
	Mistakes []string `json:"mistakes"` // as file:line:column: path: what is wrong (hint)
}

// metrics: GET /metrics. Without a token it quotes nothing of the rules.
func (c *Console) metrics() http.Handler {
	options := promhttp.HandlerOpts{
		ErrorLog:      slog.NewLogLogger(c.cfg.Logger.Handler(), slog.LevelError),
		ErrorHandling: promhttp.ContinueOnError, // one broken collector must not blind people to the rest
	}
	all, open := promhttp.HandlerFor(c.cfg.Gatherer, options), promhttp.HandlerFor(c.cfg.OpenGatherer, options)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if callerOf(r).may == mayNothing {
			open.ServeHTTP(w, r)
			return
		}
		all.ServeHTTP(w, r)
	})
}

// collector reads gauges from the store at each scrape, so that they are true after a restart and
// whichever process changed them.
type collector struct {
	console *Console

	build, up, events, oldest, incidents, deliveries *prometheus.Desc
	folds, foldStalled, laneStalled, silenced        *prometheus.Desc
}

func newCollector(c *Console) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("flowbridge_"+name, help, labels, nil)
	}
	return &collector{
		console: c,
		build:   desc("build_info", "1, with the version that runs.", "version"),
		up:      desc("storage_up", "1 while the storage answers, else 0; the gauges of what it holds are then missing."),
		events:  desc("journal_events", "Events of the journal that are not folded.", "state"),
		oldest: desc("journal_oldest_waiting_seconds",
			"Age of the oldest event that waits to be folded, 0 if none waits."),
		incidents:  desc("incidents", "Incidents that are not resolved.", "state"),
		deliveries: desc("owed_deliveries", "Deliveries that are not done: waiting, or parked until a person acts.", "state"),
		folds: desc("folds",
			"1 while this process has the right to fold the journal, else 0: of several on one database one has it."),
		foldStalled: desc("fold_stalled_seconds",
			"For how long events have waited without one being folded by any process, 0 if none waits."),
		silenced: desc("everything_silenced",
			"1 while a silence covers everything, so that nobody is told of new trouble, else 0."),
		laneStalled: desc("lane_stalled_seconds",
			"For how long deliveries to a notifier have been due without one being tried; missing where none is due.",
			"notifier"),
	}
}

// Describe names the gauges.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.build, c.up, c.events, c.oldest, c.incidents, c.deliveries, c.folds,
		c.foldStalled, c.laneStalled, c.silenced} {
		ch <- d
	}
}

// Collect reads the gauges. Storage that does not answer is a value of its own: the other metrics are
// needed most just then.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.build, 1, c.console.cfg.Version)
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	stats, err := c.console.store.Stats(ctx)
	if err != nil {
		gauge(c.up, 0)
		if !errors.Is(err, router.ErrClosed) {
			c.console.faults.warn("the storage could not be counted for metrics", "error", err)
		}
		return
	}
	gauge(c.up, 1)
	age := 0.0
	if !stats.OldestWait.IsZero() {
		age = max(c.console.cfg.Now().Sub(stats.OldestWait).Seconds(), 0)
	}
	gauge(c.oldest, age)
	for _, s := range []router.EventState{router.EventWaiting, router.EventUnreadable, router.EventFailed} {
		gauge(c.events, float64(stats.Events[s]), string(s))
	}
	for _, s := range []router.IncidentState{router.IncidentOpen, router.IncidentAcknowledged} {
		gauge(c.incidents, float64(stats.Incidents[s]), string(s))
	}
	for _, s := range []router.DeliveryState{router.DeliveryWaiting, router.DeliveryParked} {
		gauge(c.deliveries, float64(stats.Deliveries[s]), string(s))
	}
	if holding, err := c.console.store.Silences(ctx); err == nil { // else the storage has just gone
		gauge(c.silenced, map[bool]float64{true: 1}[slices.ContainsFunc(holding,
			func(s router.Silence) bool { return s.Everything() })])
	}
	if err := c.console.observe(ctx); err != nil {
		c.console.cfg.Logger.Debug("it could not be seen whether everything gets on", "error", err)
		return
	}
	folds, fold, lanes := c.console.progress.stalled()
	gauge(c.folds, map[bool]float64{true: 1}[folds])
	gauge(c.foldStalled, fold.Seconds())
	for notifier, d := range lanes {
		gauge(c.laneStalled, d.Seconds(), notifier)
	}
}
