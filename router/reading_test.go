package router_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

func TestWhatMetaMeasuredIsKeptInSlots(t *testing.T) {
	measured := func(e router.Event, reading float64) router.Event {
		e.Reading.Value = &reading
		return e
	}
	dropped := measured(up(9, 10), 99)
	dropped.Flow = "dropped"
	for _, tt := range []struct {
		name   string
		events []router.Event
		want   []string
	}{
		{"an alert that becomes active", []router.Event{measured(up(0, 10), 11)}, []string{"08:00 10: 11"}},
		{"its refreshes, the newest of each slot", []router.Event{measured(up(0, 10), 11), measured(up(3, 10), 12),
			measured(up(4, 10), 13), measured(up(5, 10), 14)},
			[]string{"08:00 10: 13", "08:05 10: 14"}},
		{"and one of each hour later on", []router.Event{measured(up(0, 10), 11), measured(up(361, 10), 12),
			measured(up(415, 10), 13), measured(up(421, 10), 14)},
			[]string{"08:00 10: 11", "14:00 10: 13", "15:00 10: 14"}},
		{"its end, of every level that is over", []router.Event{measured(up(0, 5), 6), measured(up(1, 10), 11),
			measured(down(7, 5), 4)},
			[]string{"08:00 10: 11", "08:05 10: 4", "08:00 5: 6", "08:05 5: 4"}},
		{"nothing that came too late", []router.Event{measured(up(20, 10), 11), measured(up(10, 10), 12)},
			[]string{"08:20 10: 11"}},
		{"nothing where nothing was measured", []router.Event{up(0, 10), up(6, 10)}, nil},
		{"nothing of what is dropped", []router.Event{dropped}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := refusing(0, nil)
			l.events = tt.events
			for i := range l.events {
				l.events[i].Seq = int64(i + 1)
			}
			r, err := router.New(router.Config{Now: func() time.Time { return morning.Add(24 * time.Hour) },
				Rules: func() router.Rules {
					return &history{decide: func(e *router.Event) router.Decision {
						d := chatAndPage(e)
						d.Drop = e.Flow == "dropped"
						return d
					}}
				}}, l)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Fold(t.Context()); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range l.batches[0].Readings {
				got = append(got, fmt.Sprintf("%s %s: %v", r.Slot.Format("15:04"), r.Level, *r.Value))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
