package slack

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestAConnectionIsCountedOnlyWhereOneIsWanted holds what the alert on Socket Mode stands on: who takes presses over
// HTTP has no connection, and misses none.
func TestAConnectionIsCountedOnlyWhereOneIsWanted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		cfg  ReceiverConfig
		want bool
	}{
		{"HTTP", ReceiverConfig{Token: "xoxb-1", SigningSecret: "a secret"}, false},
		{"Socket Mode", ReceiverConfig{Token: "xoxb-1", AppToken: "xapp-1"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			metrics := prometheus.NewRegistry()
			tt.cfg.Registerer = metrics
			if _, err := NewReceiver(tt.cfg, &ledger{}); err != nil {
				t.Fatal(err)
			}
			found, err := metrics.Gather()
			if err != nil {
				t.Fatal(err)
			}
			got := false
			for _, family := range found {
				got = got || family.GetName() == "flowbridge_slack_socket_connected"
			}
			if got != tt.want {
				t.Errorf("there is a metric of the connection: %v, want %v", got, tt.want)
			}
		})
	}
}
