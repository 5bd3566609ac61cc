package pagerduty

import (
	"testing"
	"time"
)

// TestTheBudgetStaysUnderTheLimit holds that in no minute more calls are made than PagerDuty takes of a routing key.
func TestTheBudgetStaysUnderTheLimit(t *testing.T) {
	t.Parallel()
	if got := eventBurst + int(time.Minute/eventEvery); got >= 120 {
		t.Errorf("%d calls in a minute, 120 are allowed", got)
	}
}
