package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"flowbridge/router"
)

// About says what deliveries are about, by their ids. One whose incident or notice is not kept any more is left out.
func (s *Store) About(ctx context.Context, list []router.Delivery) (map[int64]router.About, error) {
	var numbers, events []any
	for i := range list {
		if d := &list[i]; d.Incident != 0 {
			numbers = append(numbers, d.Incident)
		} else {
			events = append(events, d.Event)
		}
	}
	ofIncidents, ofNotices := map[int64]router.About{}, map[int64]router.About{}
	if len(numbers) > 0 {
		found, err := shownIncidents(ctx, s.read, `number IN `+oneEach(numbers), numbers...)
		if err != nil {
			return nil, fmt.Errorf("read what deliveries are about: %w", err)
		}
		for i := range found {
			inc := &found[i]
			ofIncidents[inc.Number] = router.About{WABA: inc.WABA, Flow: inc.Flow, Event: inc.Event, Subject: inc.Subject,
				FlowInfo: inc.FlowInfo}
		}
	}
	if len(events) > 0 {
		notices, err := all(ctx, s.read, `SELECT body FROM notices WHERE event IN `+oneEach(events), events, scanText)
		if err != nil {
			return nil, fmt.Errorf("read what deliveries are about: %w", err)
		}
		for _, body := range notices {
			var n router.Notice
			if json.Unmarshal([]byte(body), &n) != nil {
				continue
			}
			ofNotices[n.Event] = router.About{WABA: n.WABA, Flow: n.Flow, Event: n.SignalKey(), Subject: n.Subject,
				FlowInfo: n.FlowInfo}
		}
	}
	about := map[int64]router.About{}
	for i := range list {
		d := &list[i]
		of, ok := ofIncidents[d.Incident]
		if d.Incident == 0 {
			of, ok = ofNotices[d.Event]
		}
		if ok {
			about[d.ID] = of
		}
	}
	return about, nil
}

// oneEach is a list with a place for each of some values.
func oneEach(values []any) string { return "(?" + strings.Repeat(", ?", len(values)-1) + ")" }
