package store

import (
	"testing"
	"time"
)

func TestACrowdGoesFirstForAWhile(t *testing.T) {
	const crowded = 5000 // events a second
	began := time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		rate func(at time.Duration) int // events a second
		want time.Duration              // that it goes first, of ten seconds
	}{
		{"nothing", func(time.Duration) int { return 0 }, 0},
		{"a storm of alerts", func(time.Duration) int { return 1000 }, 0},
		{"a short crowd", func(at time.Duration) int {
			if at < 2*time.Second {
				return 20_000
			}
			return 0
		}, 2 * time.Second},
		{"one that does not end", func(time.Duration) int { return 6000 }, 3 * time.Second},
		{"one that a slow disk interrupts", func(at time.Duration) int {
			if at%time.Second < 200*time.Millisecond {
				return 0
			}
			return 8000
		}, 2400 * time.Millisecond},
		{"two, some time apart", func(at time.Duration) int {
			if at < 6*time.Second || at >= 8*time.Second {
				return 9000
			}
			return 0
		}, 4950 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, first := crowd{at: crowded}, time.Duration(0)
			for at := time.Duration(0); at < 10*time.Second; at += crowdWindow {
				now := began.Add(at)
				if c.goesFirst(now) {
					first += crowdWindow
				}
				c.arrived(now, tt.rate(at)/int(time.Second/crowdWindow))
			}
			if first != tt.want {
				t.Errorf("it goes first for %v, want %v", first, tt.want)
			}
		})
	}
}

// Whoever stops does not wait for a crowd to go.
func TestGivingWayEndsWithAStop(t *testing.T) {
	over := make(chan struct{})
	close(over)
	c := crowd{} // nothing at all is a crowd
	if !c.goesFirst(time.Now()) {
		t.Fatal("there is no crowd")
	}
	c.giveWay(over, time.Hour, time.Hour)
}
