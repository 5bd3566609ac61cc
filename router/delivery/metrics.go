package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
)

// metrics count attempts. Labels are bounded: notifiers by the rules file, kinds and classes by the code.
type metrics struct {
	deliveries *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	short      *prometheus.CounterVec
	digested   *prometheus.CounterVec
	queue      queueMetrics
}

func newMetrics(cfg Config, q Queue) metrics {
	return metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flowbridge_deliveries_total",
			Help: "Attempts at a delivery, by how they ended: delivered, cancelled (nothing to tell), retried, parked, " +
				"refused_again (it was parked before), interrupted.",
		}, []string{"notifier", "kind", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "flowbridge_delivery_sync_seconds",
			Help:    "How long a service took to be told, whether that worked or not.",
			Buckets: []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30},
		}, []string{"kind"}),
		short: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flowbridge_budget_waits_total",
			Help: "How often deliveries had to wait because a budget of calls was used up.",
		}, []string{"notifier"}),
		digested: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flowbridge_digested_incidents_total",
			Help: "Incidents, opened or recovered, that a flooded channel was told of in a digest.",
		}, []string{"notifier"}),
		queue: queueMetrics{
			queue: q, now: cfg.Now, logger: cfg.Logger,
			oldest: prometheus.NewDesc("flowbridge_owed_oldest_seconds",
				"Since when the delivery is owed that has waited longest, by class: new, resolved, worse, update, digested.",
				[]string{"notifier", "class"}, nil),
			paused: prometheus.NewDesc("flowbridge_lane_paused",
				"1 while a notifier keeps failing and is only probed, or its service wants a pause of more than a minute, else 0.",
				[]string{"notifier"}, nil),
		},
	}
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{m.deliveries, m.seconds, m.short, m.digested, &m.queue} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

// scrapeTimeout bounds what a scrape asks of the queue.
const scrapeTimeout = 900 * time.Millisecond

// queueMetrics reads gauges from the queue at each scrape: they are true whichever process delivers.
type queueMetrics struct {
	queue          Queue
	now            func() time.Time
	logger         *slog.Logger
	oldest, paused *prometheus.Desc
}

// Describe names the gauges.
func (m *queueMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.oldest
	ch <- m.paused
}

// Collect reads the gauges; they are missing while the queue does not answer.
func (m *queueMetrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	backlog, err := m.queue.Backlog(ctx)
	lanes, laneErr := m.queue.Lanes(ctx)
	if err := errors.Join(err, laneErr); err != nil {
		m.logger.Debug("the queue could not be counted for metrics", "error", err)
		return
	}
	for _, b := range backlog {
		ch <- prometheus.MustNewConstMetric(m.oldest, prometheus.GaugeValue, max(m.now().Sub(b.Oldest).Seconds(), 0),
			b.Notifier, b.Class.String())
	}
	for _, l := range lanes {
		paused := 0.0
		if l.Failures >= router.LaneDown || l.Waits.After(m.now()) {
			paused = 1
		}
		ch <- prometheus.MustNewConstMetric(m.paused, prometheus.GaugeValue, paused, l.Notifier)
	}
}
