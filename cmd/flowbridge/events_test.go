package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFollowPrintsEachEventOnceAndInOrder(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 30, 0, time.UTC)
	event := func(seq int, state, outcome string, received time.Time) json.RawMessage {
		return json.RawMessage(
			fmt.Sprintf(
				`{"seq":%d,"source":"meta","flow_id":"7","flow_name":"Checkout","event":"X","state":%q,"outcome":%q,"received_at":%q}`,
				seq, state, outcome, received.Format(time.RFC3339)))
	}
	var f follower
	var out bytes.Buffer
	for _, list := range [][]json.RawMessage{
		{event(2, "folded", "opened INC-1", now), event(1, "folded", "", now)},
		{event(4, "waiting", "", now), event(3, "folded", "refreshed INC-1", now), event(2, "folded", "opened INC-1", now)},
		{event(5, "folded", "resolved INC-1", now), event(4, "folded", "late", now)},
		{event(6, "waiting", "", now.Add(-time.Minute))},
	} {
		if err := f.print(&out, list, now, false); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		_, rest, _ := strings.Cut(line, "  ")
		got = append(got, strings.TrimSpace(rest))
	}
	want := []string{
		"1 Checkout (7) X: nothing came of it", "2 Checkout (7) X: opened INC-1", "3 Checkout (7) X: refreshed INC-1",
		"4 Checkout (7) X: late", "5 Checkout (7) X: resolved INC-1", "6 Checkout (7) X: waits to be folded",
	}
	for i := range got {
		got[i] = strings.TrimSpace(got[i])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		for _, line := range strings.Split(out.String(), "\n") {
			t.Log(line)
		}
		t.Errorf("-want +got\n%s", diff)
	}
}
