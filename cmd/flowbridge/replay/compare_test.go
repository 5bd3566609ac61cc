package replay

import (
	"testing"
	"time"
)

// TestWhatHasThePlaceOfNoOtherIsTheSame: a page that these rules do not make is missing by the name of its own rule,
// though another was told at the same time.
func TestWhatHasThePlaceOfNoOtherIsTheSame(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 3, 2, 8, minute, 0, 0, time.UTC) }
	tell := func(live bool, rule, key string, from, to int) *telling {
		return &telling{live: live, told: live, rule: rule, key: "flowbridge/" + key, from: at(from), to: at(to)}
	}
	for _, tt := range []struct {
		name string
		all  []*telling
		gone []string // rules
	}{
		{"one of two at the same time is gone", []*telling{
			tell(true, "errors", "rate", 0, 30), tell(true, "blocked", "status", 5, 20), tell(false, "blocked", "status", 5, 20),
		}, []string{"errors"}},
		{"grouped in another way", []*telling{tell(true, "errors", "rate", 0, 30), tell(false, "flow", "flow", 0, 30)}, nil},
	} {
		c := newComparison(time.Time{})
		for _, one := range tt.all {
			c.add(one)
		}
		c.settle(time.Time{})
		var gone []string
		for key, d := range c.diffs {
			if d.Gone > 0 {
				gone = append(gone, key.rule)
			}
		}
		if len(gone) != len(tt.gone) || len(gone) > 0 && gone[0] != tt.gone[0] {
			t.Errorf("%s: gone are those of %q, want %q", tt.name, gone, tt.gone)
		}
	}
}
