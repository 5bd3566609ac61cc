package main

import "testing"

func TestMoreGarbageMayPileUpInAStorm(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	p := gcPace{percent: gcUsual}
	for _, step := range []struct {
		what               string
		looks              int
		collections, alive uint64
		want               int
	}{
		{"at rest", 100, 0, 4 * mib, 100},
		{"one now and then", 100, 1, 4 * mib, 100},
		{"a storm", 1, 2, 4 * mib, 400},
		{"it goes on with fewer collections", 100, 1, 16 * mib, 300},
		{"more is alive", 1, 2, 32 * mib, 150},
		{"much is alive", 1, 9, 200 * mib, 100},
		{"less is alive", 1, 2, 24 * mib, 200},
		{"a pause", gcCalm - 1, 0, 24 * mib, 200},
		{"the storm is over", 1, 0, 24 * mib, 100},
		{"and stays so", 100, 1, 24 * mib, 100},
		{"nothing is known of what is alive", 1, 2, 0, 400},
	} {
		for range step.looks {
			p.next(step.collections, step.alive)
		}
		if p.percent != step.want {
			t.Errorf("%s: %d %%, want %d %%", step.what, p.percent, step.want)
		}
	}
}
