package console

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestAFaultThatLastsIsLoggedNowAndThen(t *testing.T) {
	now, scraped := noon, prometheus.NewRegistry()
	c, logs := newConsole(t, Config{Now: func() time.Time { return now }, Registerer: scraped},
		&memStore{fault: errors.New("gone")})
	for range 20 { // seconds
		for _, path := range []string{"/readyz", "/", "/api/v1/incidents"} {
			ask(c, "GET", path, "")
		}
		scraped.Gather()
		now = now.Add(time.Second)
	}
	for _, message := range []string{"not ready: storage does not answer", "the storage could not be counted for metrics",
		"a request to the console was not served"} {
		if n := strings.Count(logs.String(), message); n != 2 {
			t.Errorf("%q was logged %d times in 20 s, want 2:\n%s", message, n, logs)
		}
	}
	if n := strings.Count(logs.String(), "\n"); n > 8 {
		t.Errorf("%d lines:\n%s", n, logs)
	}
}
