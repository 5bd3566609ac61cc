package router_test

import (
	"testing"
	"time"

	"flowbridge/router"
)

func TestPeopleWriteLengthsOfTime(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "90d": 90 * 24 * time.Hour, "0m": 0,
		"999999999d": 1<<63 - 1,
	} {
		if got, ok := router.ParseDuration(text); !ok || got != want {
			t.Errorf("%q: %s, %v; want %s", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "5", "m", "-5m", "5 m", "1.5h", "1w", "5m "} {
		if got, ok := router.ParseDuration(text); ok {
			t.Errorf("%q is read as %s", text, got)
		}
	}
}
