package delivery

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count attempts. Labels are bounded: notifiers by the rules file, kinds by the code.
type metrics struct {
	deliveries *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
}

func newMetrics() metrics {
	return metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flowbridge_deliveries_total",
			Help: "Attempts at a delivery, by how they ended: delivered, cancelled (nothing to tell), retried, parked, interrupted.",
		}, []string{"notifier", "kind", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "flowbridge_delivery_sync_seconds",
			Help:    "How long a service took to be told, whether that worked or not.",
			Buckets: []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30},
		}, []string{"kind"}),
	}
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{m.deliveries, m.seconds} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}
